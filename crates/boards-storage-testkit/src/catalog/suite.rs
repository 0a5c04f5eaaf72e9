//! Running the tests: each on a runtime of its own, with a catalog of its own.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{BoxFuture, Error, Result};
use libtest_mimic::{Arguments, Failed, Trial};

use super::case::Case;
use super::fixture::{Fixture, FixtureFactory};
use super::{TESTS, Test};

/// How long one test may take.
const TIME_LIMIT: Duration = Duration::from_mins(2);

/// Returns the names of all tests, without the name of a suite.
#[must_use]
pub fn names() -> Vec<&'static str> {
    all_tests().map(|test| test.name).collect()
}

/// Returns the tests of the catalog that `factory` opens, for those who run them with a harness of their own.
///
/// The name stands before the names of all tests. Several fixtures may live at the same time.
pub fn trials<F>(name: &str, factory: F) -> Vec<Trial>
where
    F: Fn() -> BoxFuture<'static, Result<Fixture>> + Send + Sync + 'static,
{
    let factory: FixtureFactory = Arc::new(factory);
    let trial = |test: &'static Test| {
        let factory = Arc::clone(&factory);
        Trial::test(format!("{name}::{}", test.name), move || {
            check(test, &factory).map_err(Failed::from)
        })
    };
    all_tests().map(trial).collect()
}

/// Runs the tests as the program's arguments say, as `cargo test` and `cargo nextest` give them, and ends the program.
pub fn run<F>(name: &str, factory: F) -> !
where
    F: Fn() -> BoxFuture<'static, Result<Fixture>> + Send + Sync + 'static,
{
    libtest_mimic::run(&Arguments::from_args(), trials(name, factory)).exit()
}

fn all_tests() -> impl Iterator<Item = &'static Test> {
    TESTS.iter().copied().flatten()
}

fn check(test: &'static Test, factory: &FixtureFactory) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name(test.name)
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime could be built: {error}"))?;
    let opening = factory();
    let outcome = runtime.block_on(async move {
        let task = tokio::spawn(async move {
            let fixture = opening.await?;
            let (catalog, second) = (Arc::clone(&fixture.catalog), Arc::clone(&fixture.second));
            (test.run)(Case::new(fixture)).await?;
            second.close().await?;
            catalog.close().await
        });
        match tokio::time::timeout(TIME_LIMIT, task).await {
            Ok(Ok(outcome)) => outcome.map_err(|error| tell(&error)),
            Ok(Err(panicked)) => Err(panic_message(panicked)),
            Err(_late) => Err(format!("the test did not end within {TIME_LIMIT:?}")),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Writes an error with its causes.
fn tell(error: &Error) -> String {
    let mut text = format!("{}: {error}", error.kind());
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn panic_message(error: tokio::task::JoinError) -> String {
    let Ok(payload) = error.try_into_panic() else {
        return "the test was cancelled".to_owned();
    };
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload
            .downcast_ref::<&str>()
            .map_or("the test panicked", |text| text)
            .to_owned(),
    }
}
