//! A store or a writer that fails in the middle of a write: nothing half-written is seen, nothing is lost.

use std::sync::Arc;
use std::time::Duration;

use boards_storage::prelude::*;
use boards_storage::{
    CallContext, Capability, OperationKind, StorageProvider, UploadOptions, VersionSelector,
};
use boards_storage_testkit::{MemoryProvider, Step};

use crate::world::{World, check_kind, image, locate, stream};

fn outage() -> Error {
    Error::new(ErrorKind::ProviderUnavailable, "no answer")
}

fn unknown() -> Error {
    Error::new(ErrorKind::OutcomeUnknown, "the answer was lost")
}

#[tokio::test]
async fn a_failed_upload_leaves_nothing_and_frees_the_variant() {
    let world = World::new();
    world
        .script
        .push(OperationKind::Upload, Step::FailBefore(outage()));
    world
        .script
        .push(OperationKind::Upload, Step::FailMidway(2, outage()));
    for _ in 0..2 {
        check_kind(
            world.put(image("a"), stream(&["12", "34"])).await,
            ErrorKind::ProviderUnavailable,
        );
        assert_eq!(world.memory.objects(), 0);
    }
    let stored = world.put(image("a"), "x").await.expect("free again");
    assert_eq!(world.read(&stored).await.expect("read"), "x");
}

#[tokio::test]
async fn an_upload_whose_answer_was_lost_is_settled_by_its_write_id() {
    let world = World::new();
    world
        .script
        .push(OperationKind::Upload, Step::FailAfter(unknown()));
    let stored = world.put(image("a"), "x").await.expect("it was stored");
    assert_eq!(world.read(&stored).await.expect("read"), "x");
}

#[tokio::test]
async fn an_upload_that_arrived_after_all_is_removed_when_its_fate_cannot_be_learnt() {
    let world = World::new();
    world
        .script
        .push(OperationKind::Upload, Step::FailAfter(outage()));
    check_kind(world.put(image("a"), "x").await, ErrorKind::ProviderUnavailable);
    assert_eq!(world.memory.objects(), 0, "the write's own object was removed");
    // And if even that fails, the reaper does it.
    world
        .script
        .push(OperationKind::Upload, Step::FailAfter(outage()));
    world
        .script
        .push(OperationKind::Metadata, Step::FailBefore(outage()));
    check_kind(world.put(image("b"), "x").await, ErrorKind::ProviderUnavailable);
    assert_eq!(world.memory.objects(), 1);
    check_kind(world.read(locate("b")).await, ErrorKind::NotFound);
    assert_eq!(world.objects_after_reaping().await, 0);
}

#[tokio::test]
async fn what_cannot_be_reaped_keeps_nothing_else_waiting() {
    let world = World::new();
    for id in ["a", "b"] {
        world
            .script
            .push(OperationKind::Upload, Step::FailAfter(outage()));
        world
            .script
            .push(OperationKind::Metadata, Step::FailBefore(outage()));
        check_kind(world.put(image(id), "x").await, ErrorKind::ProviderUnavailable);
    }
    world.clock.advance(Duration::from_secs(600));
    world
        .script
        .push(OperationKind::Metadata, Step::FailBefore(outage()));
    let report = world.manager.reap(1).await.expect("reaped");
    assert_eq!((report.intents, report.failed), (1, 1));
    assert_eq!(world.memory.objects(), 1);
    assert_eq!(world.objects_after_reaping().await, 0);
}

#[tokio::test]
async fn an_object_that_is_not_ours_is_never_touched() {
    let world = World::new();
    let key = StorageKey::parse("default/image/a/original.png").expect("a key");
    world
        .memory
        .upload(&key, Content::from("foreign"), &UploadOptions::default())
        .await
        .expect("dropped by hand");
    let error = check_kind(world.put(image("a"), "mine").await, ErrorKind::AlreadyExists);
    assert!(
        error
            .help()
            .is_some_and(|help| help.contains("catalog does not know")),
        "{error}"
    );
    assert_eq!(world.objects_after_reaping().await, 1);
}

#[tokio::test]
async fn two_writers_of_one_variant_have_one_winner() {
    for round in 0..50 {
        let world = Arc::new(World::new());
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let world = Arc::clone(&world);
                tokio::spawn(async move { world.put(image("a"), format!("{round}-{writer}")).await })
            })
            .collect();
        let mut winners = Vec::new();
        for writer in writers {
            match writer.await.expect("no panic") {
                Ok(reference) => winners.push(reference),
                Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}"),
            }
        }
        assert_eq!(winners.len(), 1);
        assert_eq!(world.memory.objects(), 1);
        let stored = world
            .manager
            .get_artifact_reference(locate("a"))
            .await
            .expect("found");
        assert_eq!(stored, winners[0]);
    }
}

#[tokio::test]
async fn overwriters_all_win_and_every_version_is_whole() {
    let world = Arc::new(World::new());
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                world
                    .put(image("a").with_overwrite(), format!("bytes {writer}"))
                    .await
            })
        })
        .collect();
    let mut numbers = Vec::new();
    for writer in writers {
        let reference = writer.await.expect("no panic").expect("stored");
        numbers.push(reference.version);
        assert_eq!(
            world.read(&reference).await.expect("read").len() as u64,
            reference.size
        );
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=16).collect::<Vec<u64>>());
    let newest = world
        .manager
        .get_artifact_reference(locate("a"))
        .await
        .expect("found");
    assert_eq!(newest.version, 16);
    assert_eq!(
        world
            .manager
            .get_artifact_reference(locate("a").with_version(VersionSelector::Number(16)))
            .await
            .expect("found"),
        newest
    );
}

#[tokio::test]
async fn a_writer_that_vanished_blocks_its_variant_until_its_lease_ends() {
    let world = World::new();
    let endless = Content::from_stream(None, futures_util::stream::pending());
    let vanished = tokio::time::timeout(Duration::from_millis(20), world.put(image("a"), endless)).await;
    assert!(vanished.is_err(), "the writer was dropped half-way");
    let error = check_kind(world.put(image("a"), "x").await, ErrorKind::AlreadyExists);
    assert!(error.to_string().contains("being written"), "{error}");
    assert!(error.retry().is_wanted(), "it can be tried again later");
    world.clock.advance(Duration::from_secs(31));
    let stored = world.put(image("a"), "x").await.expect("taken over");
    assert_eq!(
        stored.storage_key.as_str(),
        format!("default/image/a/original.{}.png", stored.version_id)
    );
    assert_eq!(world.objects_after_reaping().await, 1);
    assert_eq!(world.read(locate("a")).await.expect("read"), "x");
}

#[tokio::test(start_paused = true)]
async fn a_slow_writer_keeps_its_lease() {
    let world = Arc::new(World::new());
    world
        .script
        .push(OperationKind::Upload, Step::Delay(Duration::from_secs(3600)));
    let writer = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.put(image("a"), "slow").await }
    });
    for _ in 0..300 {
        tokio::time::sleep(Duration::from_secs(11)).await;
        world.clock.advance(Duration::from_secs(11));
    }
    check_kind(world.put(image("a"), "fast").await, ErrorKind::AlreadyExists);
    tokio::time::sleep(Duration::from_secs(600)).await;
    let stored = writer.await.expect("no panic").expect("stored in the end");
    assert_eq!(world.read(&stored).await.expect("read"), "slow");
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_lost_its_lease_stops_and_harms_nobody() {
    let world = Arc::new(World::new());
    world
        .script
        .push(OperationKind::Upload, Step::Delay(Duration::from_secs(60)));
    let slow = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.put(image("a"), "slow").await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Its clock stood still, as when a machine sleeps: the lease ends unrenewed and another writer takes over.
    world.clock.advance(Duration::from_secs(31));
    let winner = world.put(image("a"), "fast").await.expect("taken over");
    tokio::time::sleep(Duration::from_secs(120)).await;
    check_kind(slow.await.expect("no panic"), ErrorKind::PreconditionFailed);
    assert_eq!(world.read(locate("a")).await.expect("read"), "fast");
    assert_eq!(world.read(&winner).await.expect("read"), "fast");
    assert_eq!(world.objects_after_reaping().await, 1);
}

#[tokio::test]
async fn a_delete_that_the_store_refuses_is_finished_later() {
    let world = World::new();
    let stored = world.put(image("a"), "x").await.expect("stored");
    world
        .script
        .push(OperationKind::Delete, Step::FailBefore(outage()));
    let deletion = world
        .manager
        .delete_variant(&stored, &CallContext::default())
        .await
        .expect("deleted");
    assert_eq!((deletion.versions, deletion.bytes_pending), (1, 1));
    check_kind(world.read(locate("a")).await, ErrorKind::NotFound);
    assert_eq!(world.memory.objects(), 1);
    assert_eq!(world.objects_after_reaping().await, 0);
}

#[tokio::test]
async fn a_provider_with_few_capabilities_still_stores_safely() {
    let memory = MemoryProvider::builder()
        .without(&[
            Capability::WriteId,
            Capability::Digest,
            Capability::UserMetadata,
            Capability::Multipart,
            Capability::ConditionalDownload,
            Capability::Checksum,
            Capability::VerifiedRead,
        ])
        .without_preconditions();
    let world = World::with(boards_storage::ManagerSettings::new("main"), memory);
    let stored = world
        .put(image("a"), stream(&["12", "34"]))
        .await
        .expect("stored");
    assert_eq!(world.read(&stored).await.expect("read"), "1234");
    world.memory.damage(&stored.storage_key).expect("damaged");
    check_kind(world.read(&stored).await, ErrorKind::Corruption);
}
