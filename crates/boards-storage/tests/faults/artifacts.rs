//! Artifacts: whatever the wire does, an artifact is there once and whole, or not at all.

use boards_storage::prelude::*;
use boards_storage::{BoxFuture, HealthOptions, HealthState};
use boards_storage_testkit::proxy::{Answer, Fault, Rule};
use serde_json::json;

use crate::Config;
use crate::case::Does;
use crate::store::{At, Store};
use crate::world::{World, bytes};

type Test = (&'static str, fn(Store, Config) -> BoxFuture<'static, ()>);

pub(crate) const TESTS: [Test; 5] = [
    (
        "an_artifact_is_stored_once_whatever_the_wire_does",
        |store, config| Box::pin(artifacts_are_stored_once(store, config)),
    ),
    (
        "a_long_artifact_is_stored_once_whatever_the_wire_does",
        |store, config| Box::pin(long_artifacts_are_stored_once(store, config)),
    ),
    (
        "an_artifact_that_failed_leaves_nothing_and_can_be_stored_again",
        |store, config| Box::pin(failures_leave_nothing(store, config)),
    ),
    (
        "a_long_artifact_that_failed_leaves_nothing_and_can_be_stored_again",
        |store, config| Box::pin(long_failures_leave_nothing(store, config)),
    ),
    (
        "an_artifact_goes_elsewhere_while_the_store_is_away",
        |store, config| Box::pin(another_store_stands_in(store, config)),
    ),
];

const SIZE_BYTES_MAX: usize = 64 << 20;

/// An artifact of this size, in one request or in parts.
fn size_of(store: Store, at: At) -> usize {
    match at {
        At::Put => 200_000,
        _ => 2 * store.part_bytes + 100_000,
    }
}

fn rule(store: Store, at: At, fault: Fault) -> Rule {
    // A store that streams gets it in one call, any other in parts: where both look different, the store streams.
    let does = if at == At::Put { Does::Put } else { Does::PutLong };
    let (method, target, skipped) = (store.at)(does, at);
    Rule::new(fault)
        .with_method(method)
        // An artifact's key is the manager's affair.
        .with_target_part(target.trim_end_matches("object"))
        .with_skipped(skipped)
}

async fn check_stored(store: Store, config: Config, at: At, fault: Fault) {
    let world = World::open(store, config).await;
    let (content, storage) = (bytes(3, size_of(store, at)), &world.storage);
    world.proxy.inject(rule(store, at, fault.clone()));
    let reference = storage
        .store_artifact(NewArtifact::new(ArtifactType::Model), content.clone())
        .await
        .unwrap_or_else(|error| panic!("{at:?} {fault:?}: {error:?}"));
    assert_eq!(world.proxy.totals().faults, 1, "{at:?} {fault:?}");
    assert_eq!((reference.version, reference.size), (1, content.len() as u64));
    let versions = storage.list_versions(&reference).await.expect("versions");
    assert_eq!(versions.len(), 1, "{at:?} {fault:?}");
    assert_eq!(
        world.keys().await,
        [reference.storage_key.as_str()],
        "{at:?} {fault:?}"
    );
    let opened = storage.open_artifact(&reference, &OpenOptions::default()).await;
    let got = opened.expect("opened").bytes(SIZE_BYTES_MAX).await.expect("read");
    assert_eq!(got, content);
    let is_created_twice = at == At::Create && fault == Fault::LoseAnswer;
    assert!(
        world.unfinished().await <= usize::from(is_created_twice),
        "{at:?} {fault:?}"
    );
}

async fn artifacts_are_stored_once(store: Store, config: Config) {
    let check = |at, fault| check_stored(store, config.clone(), at, fault);
    check(At::Put, Fault::LoseAnswer).await;
    check(At::Put, Fault::ResetRequest { after_bytes: 0 }).await;
    check(At::Put, Fault::ResetRequest { after_bytes: 100_000 }).await;
    check(At::Put, Answer::new(503).into()).await;
    check(
        At::Put,
        Answer::new(200).with_body("no answer of a store's").into(),
    )
    .await;
}

async fn long_artifacts_are_stored_once(store: Store, config: Config) {
    let check = |at, fault| check_stored(store, config.clone(), at, fault);
    check(At::Create, Fault::LoseAnswer).await;
    check(At::SecondPart, Fault::LoseAnswer).await;
    check(At::SecondPart, Fault::ResetRequest { after_bytes: 100_000 }).await;
    check(At::SecondPart, Answer::new(503).into()).await;
    check(At::Complete, Fault::LoseAnswer).await;
    check(At::Complete, Answer::new(503).into()).await;
}

/// Without repeats: what failed is gone, what was done after all is known.
async fn check_failed(store: Store, config: Config, at: At, fault: Fault, is_stored: bool) {
    let resilience = json!({ "retry": { "enabled": false } });
    let world = World::open_with(store, config, resilience, |_| {}).await;
    let content = bytes(3, size_of(store, at));
    world.proxy.inject(rule(store, at, fault.clone()));
    let id = ArtifactId::parse("film").expect("an id");
    let new = || NewArtifact::new(ArtifactType::Model).with_artifact(id.clone());
    let first = world.storage.store_artifact(new(), content.clone()).await;
    assert_eq!(world.proxy.totals().faults, 1, "{at:?} {fault:?}");
    assert_eq!(first.is_ok(), is_stored, "{at:?} {fault:?}: {first:?}");
    assert_eq!(
        world.keys().await.len(),
        usize::from(is_stored),
        "{at:?} {fault:?}"
    );
    assert_eq!(world.unfinished().await, 0, "{at:?} {fault:?}");
    if !is_stored {
        let again = world.storage.store_artifact(new(), content.clone()).await;
        let again = again.expect("the variant is free");
        assert_eq!(world.keys().await, [again.storage_key.as_str()]);
        let opened = world.storage.open_artifact(&again, &OpenOptions::default()).await;
        let got = opened.expect("opened").bytes(SIZE_BYTES_MAX).await.expect("read");
        assert_eq!(got, content);
    }
}

async fn failures_leave_nothing(store: Store, config: Config) {
    let check = |at, fault, is_stored| check_failed(store, config.clone(), at, fault, is_stored);
    check(At::Put, Fault::ResetRequest { after_bytes: 100_000 }, false).await;
    check(At::Put, Answer::new(503).into(), false).await;
    // Its own name at the key tells the manager that it was done.
    check(At::Put, Fault::LoseAnswer, true).await;
}

async fn long_failures_leave_nothing(store: Store, config: Config) {
    let check = |at, fault, is_stored| check_failed(store, config.clone(), at, fault, is_stored);
    check(
        At::SecondPart,
        Fault::ResetRequest { after_bytes: 100_000 },
        false,
    )
    .await;
    check(At::SecondPart, Answer::new(503).into(), false).await;
    check(At::Complete, Answer::new(503).into(), false).await;
    check(At::Complete, Fault::LoseAnswer, true).await;
}

/// Before an outage, during it and after it: what was acknowledged is read, and each artifact is once.
async fn another_store_stands_in(store: Store, config: Config) {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::open_with_spare(store, config, folder.path()).await;
    let storage = &world.storage;
    let content = |seed| bytes(seed, size_of(store, At::Put));
    let put = async |seed| {
        let stored = storage
            .store_artifact(NewArtifact::new(ArtifactType::Model), content(seed))
            .await;
        stored.unwrap_or_else(|error| panic!("{seed}: {error:?}"))
    };
    let read = async |reference: &ArtifactReference| {
        let opened = storage.open_artifact(reference, &OpenOptions::default()).await?;
        opened.bytes(SIZE_BYTES_MAX).await
    };
    let before = put(1).await;
    let look = async || {
        let report = storage.check_health(&HealthOptions::default()).await;
        (report.providers[0].health.state, report.is_ready)
    };
    assert_eq!(
        (before.storage_provider.as_str(), look().await),
        ("bucket", (HealthState::Healthy, true))
    );

    world
        .proxy
        .inject(Rule::new(Fault::ResetRequest { after_bytes: 0 }).always());
    let during = put(2).await;
    assert_eq!(
        (during.storage_provider.as_str(), during.home_provider.as_deref()),
        ("spare", Some("bucket"))
    );
    assert_eq!(read(&during).await.expect("read"), content(2));
    read(&before).await.expect_err("its store is away");
    let mut states = Vec::new();
    for _ in 0..3 {
        states.push(look().await);
    }
    let (degraded, away) = ((HealthState::Degraded, true), (HealthState::Unavailable, true));
    assert_eq!(states, [degraded, degraded, away], "the spare takes writes");

    world.proxy.clear();
    // The circuit breaker has opened; probes that work close it.
    assert_eq!(
        (look().await, look().await),
        (degraded, (HealthState::Healthy, true))
    );
    let after = put(3).await;
    for (reference, seed, provider) in [
        (&before, 1, "bucket"),
        (&during, 2, "spare"),
        (&after, 3, "bucket"),
    ] {
        assert_eq!(reference.storage_provider, provider);
        assert_eq!(read(reference).await.expect("read"), content(seed));
        assert_eq!(storage.list_versions(reference).await.expect("listed").len(), 1);
    }
    let query = ArtifactQuery::default().with_displaced();
    let displaced = storage.list_artifacts(&query).await.expect("listed").artifacts;
    assert_eq!(displaced, [during]);
    let mut expected = [before.storage_key.to_string(), after.storage_key.to_string()];
    expected.sort_unstable();
    assert_eq!(world.keys().await, expected, "nothing else arrived");
    // What was given up is not forgotten: the cleanup will look.
    let given_up = storage
        .catalog()
        .ended_intents(jiff::Timestamp::MAX, None, 10)
        .await
        .expect("asked");
    assert_eq!(given_up.len(), 1);
    assert_eq!(
        (given_up[0].provider.as_str(), given_up[0].home.as_str()),
        ("bucket", "bucket")
    );
}
