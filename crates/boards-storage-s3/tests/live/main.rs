//! What the suite does not ask, on a real server: signed requests in the hands of curl, what is left behind by uploads
//! that fail or are dropped, copies in parts, damage, and what others wrote into the bucket.

mod cleanup;
mod copies;
mod errors;
mod foreign;
mod signed;
#[path = "../support/mod.rs"]
mod support;
mod world;

use boards_storage_testkit::TestServer;
use libtest_mimic::{Arguments, Failed, Trial};

use self::world::{Test, World};

fn main() {
    let mut arguments = Arguments::from_args();
    // Each test has a runtime of two threads, and the server has its own work.
    arguments.test_threads.get_or_insert(4);
    let found = TestServer::find("ceph", "S3");
    // Whoever left the server out says what is not tested.
    let tests: &[&[Test]] = match found {
        Ok(TestServer::LeftOut) => &[],
        _ => &[
            signed::TESTS,
            cleanup::TESTS,
            copies::TESTS,
            foreign::TESTS,
            errors::TESTS,
        ],
    };
    let trials = tests.iter().copied().flatten().map(|test| trial(*test));
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
