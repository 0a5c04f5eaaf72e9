//! Running the tests: each on a runtime of its own, with a catalog of its own.

use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{BoxFuture, Result};
use libtest_mimic::{Arguments, Failed, Trial};

use super::case::Case;
use super::fixture::{Fixture, FixtureFactory};
use super::{TESTS, Test};
use crate::run::{block_on, tell};

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
    let opening = factory();
    let work = async move {
        let fixture = opening.await?;
        let (catalog, second) = (Arc::clone(&fixture.catalog), Arc::clone(&fixture.second));
        (test.run)(Case::new(fixture)).await?;
        second.close().await?;
        catalog.close().await
    };
    block_on(test.name, TIME_LIMIT, async move {
        work.await.map_err(|error| tell(&error))
    })
}
