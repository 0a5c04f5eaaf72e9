//! Deletions that can be taken back, purges, and quotas.

use std::time::Duration;

use boards_storage::prelude::*;
use boards_storage::{CallContext, DeletedQuery, ManagerSettings, OperationKind, Quota, VersionSelector};
use boards_storage_testkit::{MemoryProvider, Step};

use crate::world::{World, check_kind, image, locate, stream};

const WEEK: Duration = Duration::from_hours(7 * 24);

fn keeping() -> World {
    let mut settings = ManagerSettings::new("main");
    settings.keep_deleted = WEEK;
    World::with(settings, MemoryProvider::builder())
}

fn limited(quota: Quota) -> World {
    let mut settings = ManagerSettings::new("main");
    settings.quota = quota;
    World::with(settings, MemoryProvider::builder())
}

fn context() -> CallContext {
    CallContext::default()
}

#[tokio::test]
async fn a_deletion_is_taken_back_with_its_bytes() {
    let world = keeping();
    let stored = world.put(image("a"), "pixels").await.expect("stored");
    let (tenant, artifact) = (&stored.tenant_id, &stored.artifact_id);
    let deletion = world
        .manager
        .delete_artifact(tenant, artifact, &context())
        .await
        .expect("deleted");
    let until = world
        .manager
        .list_deleted(&DeletedQuery::default())
        .await
        .expect("listed")[0]
        .recoverable_until;
    assert_eq!((deletion.versions, deletion.recoverable_until), (1, Some(until)));
    check_kind(world.read(&stored).await, ErrorKind::NotFound);
    check_kind(
        world.manager.find_by_key(&stored.storage_key).await,
        ErrorKind::NotFound,
    );
    let restored = world
        .manager
        .restore_artifact(tenant, artifact, &context())
        .await
        .expect("restored");
    assert_eq!(restored, std::slice::from_ref(&stored));
    assert_eq!(world.read(&stored).await.expect("read"), "pixels");
}

#[tokio::test]
async fn when_the_time_is_over_the_bytes_go() {
    let world = keeping();
    world.put(image("a"), "pixels").await.expect("stored");
    let again = world.manager.delete_variant(locate("a"), &context()).await;
    assert!(again.expect("deleted").existed());
    world.clock.advance(WEEK - Duration::from_secs(1));
    let report = world.manager.reap(10).await.expect("reaped");
    assert_eq!(
        (report.expired, report.tombstones, world.memory.objects()),
        (0, 0, 1)
    );
    world.clock.advance(Duration::from_secs(1));
    check_kind(
        world.manager.restore_variant(locate("a"), &context()).await,
        ErrorKind::NotFound,
    );
    let report = world.manager.reap(10).await.expect("reaped");
    assert_eq!(
        (report.expired, report.tombstones, world.memory.objects()),
        (1, 1, 0)
    );
}

#[tokio::test]
async fn a_purge_does_not_wait() {
    let world = keeping();
    for id in ["a", "b"] {
        world.put(image(id), "pixels").await.expect("stored");
    }
    let purged = world
        .manager
        .purge_variant(locate("a"), &context())
        .await
        .expect("purged");
    assert_eq!((purged.versions, purged.recoverable_until), (1, None));
    world
        .manager
        .delete_variant(locate("b"), &context())
        .await
        .expect("deleted");
    let (tenant, b) = (TenantId::default(), locate("b").artifact);
    let purged = world
        .manager
        .purge_artifact(&tenant, &b, &context())
        .await
        .expect("purged");
    assert!(purged.existed(), "what was deleted before is purged, too");
    assert_eq!(world.memory.objects(), 0);
    check_kind(
        world.manager.restore_variant(locate("b"), &context()).await,
        ErrorKind::NotFound,
    );
}

#[tokio::test]
async fn a_restored_version_keeps_its_key_beside_a_new_one() {
    let world = keeping();
    let old = world.put(image("a"), "old").await.expect("stored");
    world
        .manager
        .delete_variant(locate("a"), &context())
        .await
        .expect("deleted");
    let new = world.put(image("a"), "new").await.expect("stored again");
    assert_ne!(old.storage_key, new.storage_key);
    world
        .manager
        .restore_variant(locate("a"), &context())
        .await
        .expect("restored");
    assert_eq!(world.read(locate("a")).await.expect("read"), "new");
    let first = locate("a").with_version(VersionSelector::Number(1));
    assert_eq!(world.read(first).await.expect("read"), "old");
}

#[tokio::test]
async fn without_keeping_a_deletion_is_final() {
    let world = World::new();
    world.put(image("a"), "pixels").await.expect("stored");
    let deletion = world
        .manager
        .delete_variant(locate("a"), &context())
        .await
        .expect("deleted");
    assert_eq!((deletion.recoverable_until, world.memory.objects()), (None, 0));
    check_kind(
        world.manager.restore_variant(locate("a"), &context()).await,
        ErrorKind::NotFound,
    );
}

#[tokio::test]
async fn a_write_over_the_quota_is_refused_and_leaves_nothing() {
    let world = limited(Quota::default().with_bytes_max(10));
    world.put(image("a"), "1234567").await.expect("stored");
    // A known length is refused before anything is sent.
    let error = check_kind(
        world.put(image("b"), "12345").await,
        ErrorKind::InsufficientStorage,
    );
    assert!(error.to_string().contains("bytes_max"), "{error}");
    assert_eq!(world.script.count(OperationKind::Upload), 1);
    // A stream when its length is known.
    let error = check_kind(
        world.put(image("c"), stream(&["12", "345"])).await,
        ErrorKind::InsufficientStorage,
    );
    assert!(error.to_string().contains("bytes_max"), "{error}");
    assert_eq!(world.memory.objects(), 1, "what was sent is removed at once");
    world
        .put(image("d"), stream(&["1", "23"]))
        .await
        .expect("it fits");
    let (usage, holds) = world
        .manager
        .tenant_usage(&TenantId::default())
        .await
        .expect("asked");
    assert_eq!(
        (usage.used.bytes, usage.used.objects, holds.bytes_max),
        (10, 2, Some(10))
    );
    assert_eq!(world.objects_after_reaping().await, 2);
}

#[tokio::test]
async fn a_quota_is_not_a_full_disk_and_goes_nowhere_else() {
    let mut settings = ManagerSettings::new("main");
    settings.quota = Quota::default().with_objects_max(0);
    settings.fallback = vec!["other".to_owned()];
    let world = World::with(settings, MemoryProvider::builder());
    let other = MemoryProvider::builder().build();
    world
        .manager
        .register_provider("other", std::sync::Arc::clone(&other) as std::sync::Arc<_>)
        .expect("a free name");
    check_kind(world.put(image("a"), "x").await, ErrorKind::InsufficientStorage);
    assert_eq!((world.memory.objects(), other.objects()), (0, 0));
}

#[tokio::test]
async fn the_same_bytes_again_need_no_room() {
    let world = limited(Quota::default().with_objects_max(1));
    let first = world.put(image("a"), "pixels").await.expect("stored");
    assert_eq!(world.put(image("a"), "pixels").await.expect("the same"), first);
    let again = image("a").with_overwrite();
    assert_eq!(world.put(again, "pixels").await.expect("the same"), first);
    let other = image("a").with_overwrite();
    check_kind(world.put(other, "other").await, ErrorKind::InsufficientStorage);
}

#[tokio::test]
async fn a_failed_write_uses_nothing() {
    let world = limited(Quota::default().with_objects_max(1));
    let failed = Step::FailBefore(Error::new(ErrorKind::AccessDenied, "no"));
    world.script.push(OperationKind::Upload, failed);
    check_kind(world.put(image("a"), "x").await, ErrorKind::AccessDenied);
    world.put(image("a"), "x").await.expect("there is room");
    let racing = (0..8).map(|index| {
        let world = &world;
        async move { world.put(image(&format!("b{index}")), "x").await }
    });
    let answers = futures_util::future::join_all(racing).await;
    assert!(answers.iter().all(Result::is_err));
    assert_eq!(world.objects_after_reaping().await, 1);
}
