//! A store that says when to come again is not asked before.

use std::time::Duration;

use boards_storage::prelude::*;
use boards_storage::{BoxFuture, Retry, StorageProvider, UploadOptions};
use boards_storage_testkit::proxy::Answer;

use crate::Config;
use crate::case::Does;
use crate::store::{At, Store};
use crate::world::{World, bytes, key, read};

type Test = (&'static str, fn(Store, Config) -> BoxFuture<'static, ()>);

pub(crate) const TESTS: [Test; 2] = [
    ("a_busy_store_is_asked_again_when_it_said", |store, config| {
        Box::pin(waits_are_kept(store, config))
    }),
    (
        "a_wait_that_is_too_long_is_left_to_the_caller",
        |store, config| Box::pin(long_waits_are_told(store, config)),
    ),
];

fn busy(status: u16, seconds: &str) -> Answer {
    Answer::new(status).with_header("retry-after", seconds)
}

fn does_of(at: At) -> Does {
    match at {
        At::Put => Does::Put,
        At::Get => Does::Get,
        At::Head => Does::Head,
        At::Delete => Does::Delete,
        at => panic!("{at:?} is not tried here"),
    }
}

async fn call(provider: &dyn StorageProvider, at: At) -> Result<()> {
    let key = key("a/object");
    match at {
        At::Put => {
            let options = UploadOptions::default();
            let put = provider.upload(&key, bytes(1, 1000).into(), &options);
            put.await.map(drop)
        }
        At::Get => read(provider, &key).await.map(drop),
        At::Head => provider.metadata(&key, &Default::default()).await.map(drop),
        At::Delete => provider.delete(&key, &Default::default()).await.map(drop),
        at => panic!("{at:?} is not tried here"),
    }
}

async fn check_wait(store: Store, config: Config, at: At, status: u16, kind: ErrorKind) {
    let world = World::open(store, config).await;
    call(&*world.direct, At::Put).await.expect("stored");
    world.proxy.inject(world.rule(does_of(at), at, busy(status, "1")));
    let error = call(&*world.bare, at).await.expect_err("busy");
    let wait = Duration::from_secs(1);
    assert_eq!(
        (error.kind(), error.retry()),
        (kind, Retry::After(wait)),
        "{error:?}"
    );
    assert_eq!(error.status(), Some(status));
    let before = world.proxy.requests().len();
    world.proxy.inject(world.rule(does_of(at), at, busy(status, "1")));
    call(&*world.layered(), at).await.expect("after the wait");
    let requests = world.proxy.requests().split_off(before);
    let refused = requests.iter().position(|request| request.status == Some(status));
    let refused = &requests[refused.expect("it was refused once")];
    let again = requests
        .iter()
        .filter(|request| request.at > refused.at && request.path == refused.path)
        .filter(|request| request.query_names == refused.query_names);
    let again: Vec<_> = again.map(|request| request.at - refused.at).collect();
    assert!(again.first().is_some_and(|waited| *waited >= wait), "{again:?}");
}

async fn waits_are_kept(store: Store, config: Config) {
    use ErrorKind::{ProviderUnavailable, RateLimited};
    let check = |at, status, kind| check_wait(store, config.clone(), at, status, kind);
    tokio::join!(
        check(At::Put, 503, ProviderUnavailable),
        check(At::Put, 429, RateLimited),
        check(At::Get, 503, ProviderUnavailable),
        check(At::Get, 429, RateLimited),
        check(At::Head, 503, ProviderUnavailable),
        check(At::Delete, 429, RateLimited),
    );
}

async fn long_waits_are_told(store: Store, config: Config) {
    let world = World::open(store, config).await;
    world
        .proxy
        .inject(world.rule(Does::Put, At::Put, busy(503, "1000")));
    let error = call(&*world.layered(), At::Put).await.expect_err("too long");
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::ProviderUnavailable, Retry::Exhausted),
        "{error:?}"
    );
    assert_eq!(world.keys().await, Vec::<String>::new());
}
