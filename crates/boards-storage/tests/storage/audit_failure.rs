//! What happens while the audit log does not work.

use std::time::Duration;

use boards_storage::prelude::*;
use boards_storage::{
    AuditFailurePolicy, AuditOptions, AuditOutcome, AuditStatus, CODE_AUDIT_NOT_READY, CODE_AUDIT_UNRECORDED,
    Retry,
};
use futures_util::StreamExt;

use crate::world::{World, check_kind, image, in_pieces, locate, stream};

fn refusing() -> AuditOptions {
    AuditOptions::default().with_on_failure(AuditFailurePolicy::Refuse)
}

fn status(world: &World) -> AuditStatus {
    world.manager.audit().expect("a log").status()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_done_while_it_could_not_be_recorded() {
    let (world, sink) = World::new().audited(refusing());
    sink.fail(ErrorKind::InsufficientStorage);
    let error = check_kind(
        world.put(image("a"), "bytes").await,
        ErrorKind::ProviderUnavailable,
    );
    assert_eq!(error.code(), Some(CODE_AUDIT_NOT_READY));
    assert!(
        std::error::Error::source(&error).is_some_and(|cause| cause.to_string().contains("told to fail"))
    );
    assert_eq!(world.memory.objects(), 0, "nothing reached the store");
    assert!(world.script.calls().is_empty());
    check_kind(
        world.manager.get_artifact_reference(locate("a")).await,
        ErrorKind::ProviderUnavailable,
    );
    sink.work();
    world.put(image("a"), "bytes").await.expect("it works again");
    assert_eq!(
        sink.events().len(),
        1,
        "what was refused is no event: nothing was done"
    );
}

#[tokio::test(start_paused = true)]
async fn what_took_effect_unrecorded_says_so_and_is_recorded_later() {
    let (world, sink) = World::new().audited(refusing());
    world.put(image("first"), "bytes").await.expect("stored");
    sink.fail(ErrorKind::InsufficientStorage);
    let error = check_kind(world.put(image("a"), "bytes").await, ErrorKind::OutcomeUnknown);
    assert_eq!(
        (error.code(), error.retry()),
        (Some(CODE_AUDIT_UNRECORDED), Retry::No)
    );
    assert_eq!(world.memory.objects(), 2, "it took effect");
    let refused = check_kind(
        world.put(image("b"), "bytes").await,
        ErrorKind::ProviderUnavailable,
    );
    assert_eq!(refused.code(), Some(CODE_AUDIT_NOT_READY));
    assert_eq!(world.memory.objects(), 2);
    assert_eq!(status(&world).unrecorded, 1);
    assert!(status(&world).failure.is_some());
    sink.work();
    world.put(image("b"), "bytes").await.expect("it works again");
    let artifacts: Vec<_> = sink
        .events()
        .iter()
        .map(|event| event.artifact.as_ref().expect("known").to_string())
        .collect();
    assert_eq!(artifacts, ["first", "a", "b"], "in the order of completion");
    assert_eq!((status(&world).recorded, status(&world).lost), (3, 0));
    assert_eq!(status(&world).failure, None);
}

#[tokio::test(start_paused = true)]
async fn a_failed_operation_keeps_its_own_error() {
    let (world, sink) = World::new().audited(refusing());
    world.put(image("a"), "bytes").await.expect("stored");
    sink.fail(ErrorKind::Storage);
    check_kind(world.read(locate("nothing")).await, ErrorKind::NotFound);
    assert_eq!(status(&world).unrecorded, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_cannot_be_recorded_ends_with_an_error() {
    let (world, sink) = in_pieces().audited(refusing());
    world
        .put(image("a"), stream(&["one", "two", "three"]))
        .await
        .expect("stored");
    let opened = world
        .manager
        .open_artifact(locate("a"), &OpenOptions::default())
        .await;
    let mut stream = opened.expect("opened").into_stream();
    sink.fail(ErrorKind::Storage);
    let mut bytes = 0;
    let error = loop {
        match stream.next().await.expect("it does not end as if all were well") {
            Ok(piece) => bytes += piece.len(),
            Err(error) => break error,
        }
    };
    assert_eq!((bytes, error.code()), (11, Some(CODE_AUDIT_UNRECORDED)));
    assert!(stream.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn operations_go_on_and_are_counted() {
    let (world, sink) = World::new().audited(AuditOptions::default());
    sink.fail(ErrorKind::InsufficientStorage);
    for id in ["a", "b"] {
        world.put(image(id), "bytes").await.expect("it goes on");
    }
    // The second is not waited for, as the log is known not to work.
    tokio::task::yield_now().await;
    let failed = status(&world);
    assert_eq!((failed.recorded, failed.unrecorded, failed.lost), (0, 2, 0));
    assert!(failed.failure.expect("it fails").contains("told to fail"));
    sink.work();
    world.put(image("c"), "bytes").await.expect("stored");
    tokio::task::yield_now().await;
    assert_eq!(sink.events().len(), 3, "what failed is recorded with the next");
    assert_eq!(status(&world).failure, None);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_hangs_is_waited_for_once() {
    let (world, sink) = World::new().audited(AuditOptions::default());
    sink.hang();
    let begun = tokio::time::Instant::now();
    world.put(image("a"), "bytes").await.expect("it goes on");
    assert_eq!(begun.elapsed(), Duration::from_secs(30));
    world.put(image("b"), "bytes").await.expect("it goes on");
    assert_eq!(
        begun.elapsed(),
        Duration::from_secs(30),
        "nobody waits for it any more"
    );
    let (world, sink) = World::new().audited(refusing());
    world.put(image("a"), "bytes").await.expect("stored");
    sink.hang();
    check_kind(world.put(image("b"), "bytes").await, ErrorKind::OutcomeUnknown);
    check_kind(
        world.put(image("c"), "bytes").await,
        ErrorKind::ProviderUnavailable,
    );
    assert_eq!(world.memory.objects(), 2);
}

#[tokio::test(start_paused = true)]
async fn closing_gives_away_what_waits() {
    let (world, sink) = in_pieces().audited(AuditOptions::default());
    world
        .put(image("a"), stream(&["one", "two", "three"]))
        .await
        .expect("stored");
    let open = |world: &World| {
        let manager = world.manager.clone();
        async move {
            let opened = manager.open_artifact(locate("a"), &OpenOptions::default()).await;
            opened.expect("opened").into_stream()
        }
    };
    let (dropped, outliving) = (open(&world).await, open(&world).await);
    drop(dropped);
    world.manager.close().await.expect("closed");
    let outcomes: Vec<_> = sink.events().iter().map(|event| event.outcome).collect();
    assert_eq!(outcomes, [AuditOutcome::Success, AuditOutcome::Cancelled]);
    drop(outliving);
    assert_eq!(sink.events().len(), 2);
    assert_eq!(
        status(&world).lost,
        1,
        "it ended after the log was closed, and is counted"
    );
}

#[tokio::test(start_paused = true)]
async fn a_log_that_never_works_again_loses_what_waits_and_says_so() {
    let (world, sink) = World::new().audited(AuditOptions::default());
    sink.fail(ErrorKind::Storage);
    world.put(image("a"), "bytes").await.expect("it goes on");
    world.manager.close().await.expect("the sink itself closes");
    assert_eq!(status(&world).lost, 1);
}
