//! What the suite does not ask, on a real server: a signed request in the hands of curl, many parts, what is left behind,
//! long streams, and what others wrote into the bucket.

mod foreign;
mod left_behind;
mod long;
mod signed;
mod world;

use boards_storage_testkit::TestServer;
use libtest_mimic::{Arguments, Failed, Trial};

use self::world::{Test, World};

fn main() {
    let mut arguments = Arguments::from_args();
    // Each test has a runtime of two threads, and the server has its own work.
    arguments.test_threads.get_or_insert(4);
    // Whoever left the server out says what is not tested.
    let found = TestServer::find("fake-gcs", "GCS");
    // They speak the bare protocol too, without credentials.
    let is_real = matches!(&found, Ok(TestServer::Settings(settings)) if !settings.contains_key("endpoint"));
    let tests: &[&[Test]] = match found {
        Ok(TestServer::LeftOut) => &[],
        _ => &[signed::TESTS, long::TESTS, left_behind::TESTS, foreign::TESTS],
    };
    let trials = tests.iter().copied().flatten().map(|test| {
        let trial = trial(*test);
        if is_real {
            trial.with_kind("needs the emulator").with_ignored_flag(true)
        } else {
            trial
        }
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn trial((name, run): Test) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        runtime.block_on(async move {
            let world = World::open().await.map_err(|error| tell(&error))?;
            run(world).await.map_err(|error| tell(&error))
        })
    })
}

fn tell(error: &boards_storage_core::Error) -> Failed {
    let help = error
        .help()
        .map_or(String::new(), |help| format!("; help: {help}"));
    Failed::from(format!("{}: {error}{help}", error.kind()))
}
