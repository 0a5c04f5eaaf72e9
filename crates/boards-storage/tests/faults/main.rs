//! Faults on the wire, between a provider and its store: no corrupt object, no duplicate, nothing left behind, and
//! the right kind of error, from the bare provider and from the layers around it.
//!
//! A store is a row in [`STORES`]: how it is opened, and what each fault of its own table leads to.

mod artifacts;
mod case;
mod gcs;
mod outage;
mod reads;
mod s3;
mod store;
mod supabase;
mod transfers;
mod waits;
mod world;

use std::sync::Arc;

use boards_storage::BoxFuture;
use boards_storage_testkit::TestServer;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Map, Value};

use self::store::Store;

const STORES: [Store; 3] = [s3::STORE, gcs::STORE, supabase::STORE];

/// What a test needs to open its store.
type Config = Map<String, Value>;
type Run = Arc<dyn Fn(Config) -> BoxFuture<'static, ()> + Send + Sync>;

fn main() {
    let trials = STORES.into_iter().flat_map(of_store).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn of_store(store: Store) -> Vec<Trial> {
    let config = match store
        .server
        .map(|(service, name)| TestServer::find(service, name))
    {
        // Whoever left the server out says what is not tested.
        Some(Ok(TestServer::LeftOut)) => return Vec::new(),
        Some(Ok(TestServer::Settings(config))) => Ok(config),
        Some(Err(error)) => Err(format!("{error}; help: {:?}", error.help())),
        None => Ok(Map::new()),
    };
    let mut tests: Vec<(String, Run)> = Vec::new();
    for case in (store.cases)() {
        let name = case.to_string();
        let case = Arc::new(case);
        tests.push((
            name,
            Arc::new(move |config| {
                let case = Arc::clone(&case);
                Box::pin(async move { case::check(store, config, &case).await })
            }),
        ));
    }
    let mut add = |name: &str, run: fn(Store, Config) -> BoxFuture<'static, ()>| {
        tests.push((name.to_owned(), Arc::new(move |config| run(store, config))));
    };
    for (name, run) in reads::TESTS
        .into_iter()
        .chain(waits::TESTS)
        .chain(artifacts::TESTS)
        .chain(transfers::TESTS)
        .chain(outage::TESTS)
    {
        add(name, run);
    }
    // Only whoever controls the server can kill it.
    if store.kind == "s3" && outage::setting(outage::CONTROL).is_some() {
        let (name, run) = outage::KILLED;
        add(name, run);
    }
    for (beginning, _) in store.left_out {
        let is_one = tests.iter().any(|(name, _)| name.starts_with(beginning));
        assert!(is_one, "no test of {} begins with '{beginning}'", store.name);
    }
    let trial = |(name, run): (String, Run)| {
        let config = config.clone();
        let is_left_out = |(beginning, _): &&(&str, &str)| name.starts_with(beginning);
        if let Some((_, reason)) = store.left_out.iter().find(is_left_out) {
            return Trial::test(format!("{}::{name}", store.name), || Ok(()))
                .with_ignored_flag(true)
                .with_kind(format!("not proven on this server: {reason}"));
        }
        Trial::test(format!("{}::{name}", store.name), move || {
            let config = config.map_err(Failed::from)?;
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?;
            runtime.block_on(run(config));
            Ok(())
        })
    };
    tests.into_iter().map(trial).collect()
}
