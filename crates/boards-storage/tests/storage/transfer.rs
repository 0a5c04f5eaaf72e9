//! Uploads in parts and downloads by ranges, above the provider.

use std::sync::Arc;

use boards_storage::prelude::*;
use boards_storage::{
    ByteStream, Capability, DownloadOptions, Downloader, DownloaderSettings, OperationKind, PartOrder,
    PartRules, Precondition, SharedProvider, StorageProvider, UploadOptions, Uploader, UploaderSettings,
};
use boards_storage_testkit::{MemoryBuilder, MemoryProvider, Script, Step};
use bytes::Bytes;

use crate::world::check_kind;

fn key() -> StorageKey {
    StorageKey::parse("big/object.bin").expect("a key")
}

/// Bytes of which no two hundred are alike.
fn bytes(length: usize) -> Bytes {
    (0..length)
        .map(|index| u8::try_from(index * 7 % 251).expect("below 251"))
        .collect()
}

fn one_shot(bytes: &Bytes, piece: usize) -> Content {
    let pieces: Vec<_> = bytes
        .chunks(piece)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    let stream: ByteStream = Box::pin(futures_util::stream::iter(pieces));
    Content::from_stream(None, stream)
}

fn small_parts() -> UploaderSettings {
    let mut settings = UploaderSettings::default();
    settings.single_bytes_max = 100;
    settings.part_size_bytes = 64;
    settings.concurrency = 3;
    settings
}

/// A store that does not stream.
fn store(rules: PartRules) -> MemoryBuilder {
    MemoryProvider::builder()
        .without(&[Capability::StreamingUpload])
        .part_rules(rules)
}

fn scripted(memory: &Arc<MemoryProvider>) -> (Arc<Script>, SharedProvider) {
    let script = Script::new();
    let stack = script.over(Arc::clone(memory) as Arc<_>);
    (script, Arc::new(stack))
}

async fn check_round_trip(rules: PartRules, length: usize, calls: OperationKind) {
    let memory = store(rules).build();
    for declared in [true, false] {
        let (script, provider) = scripted(&memory);
        let expected = bytes(length);
        let content = one_shot(&expected, 50);
        let content = if declared {
            content.with_length(length as u64)
        } else {
            content
        };
        let uploader = Uploader::new(Arc::clone(&provider)).with_settings(small_parts());
        let stored = uploader
            .upload(&key(), content, &UploadOptions::default())
            .await
            .expect("stored");
        assert_eq!(stored.size_bytes, length as u64);
        assert!(script.count(calls) > 0, "{length} bytes should go by {calls}");
        let read = provider
            .download(&key(), &DownloadOptions::default())
            .await
            .expect("there");
        assert_eq!(
            read.into_object()
                .expect("sent")
                .bytes(1 << 20)
                .await
                .expect("read"),
            expected
        );
        assert_eq!(memory.pending_uploads(), 0);
    }
}

#[tokio::test]
async fn content_goes_in_one_call_up_to_the_threshold_and_in_parts_above() {
    check_round_trip(PartRules::any(), 0, OperationKind::Upload).await;
    check_round_trip(PartRules::any(), 100, OperationKind::Upload).await;
    check_round_trip(PartRules::any(), 101, OperationKind::CompleteUpload).await;
    check_round_trip(PartRules::any(), 128, OperationKind::CompleteUpload).await;
    check_round_trip(PartRules::any(), 5000, OperationKind::CompleteUpload).await;
}

#[tokio::test]
async fn the_rules_of_the_store_are_kept() {
    let mut sequential = PartRules::any();
    sequential.order = PartOrder::Sequential;
    check_round_trip(sequential, 1000, OperationKind::CompleteUpload).await;
    let mut equal = PartRules::any();
    equal.equal_size = true;
    check_round_trip(equal, 1000, OperationKind::CompleteUpload).await;
    let mut multiples = PartRules::any();
    multiples.multiple_of_bytes = 50;
    multiples.size_bytes_min = 120;
    check_round_trip(multiples, 1000, OperationKind::CompleteUpload).await;
    let mut few = PartRules::any();
    few.count_max = 4;
    few.size_bytes_max = 250;
    let memory = store(few).build();
    let uploader = Uploader::new(Arc::clone(&memory) as Arc<_>).with_settings(small_parts());
    let known = one_shot(&bytes(1001), 50).with_length(1001);
    check_kind(
        uploader.upload(&key(), known, &UploadOptions::default()).await,
        ErrorKind::Rejected,
    );
    let fitting = one_shot(&bytes(1000), 50).with_length(1000);
    assert!(
        uploader
            .upload(&key(), fitting, &UploadOptions::default())
            .await
            .is_ok()
    );
    assert_eq!(memory.pending_uploads(), 0);
}

#[tokio::test]
async fn a_failed_part_aborts_the_upload_and_leaves_the_old_object() {
    let memory = store(PartRules::any()).build();
    memory
        .upload(&key(), Content::from("old"), &UploadOptions::default())
        .await
        .expect("stored");
    let failures = [
        (
            OperationKind::UploadPart,
            Error::new(ErrorKind::ProviderUnavailable, "no answer"),
        ),
        (
            OperationKind::CompleteUpload,
            Error::new(ErrorKind::Storage, "no"),
        ),
    ];
    for (kind, error) in failures {
        let (script, provider) = scripted(&memory);
        let expected = error.kind();
        script.push(kind, Step::FailBefore(error));
        let uploader = Uploader::new(provider).with_settings(small_parts());
        check_kind(
            uploader
                .upload(&key(), one_shot(&bytes(900), 50), &UploadOptions::default())
                .await,
            expected,
        );
        assert_eq!(memory.pending_uploads(), 0, "the upload was aborted");
    }
    let uploader = Uploader::new(Arc::clone(&memory) as Arc<_>).with_settings(small_parts());
    let absent = UploadOptions::default().with_precondition(Precondition::IfAbsent);
    check_kind(
        uploader.upload(&key(), one_shot(&bytes(900), 50), &absent).await,
        ErrorKind::AlreadyExists,
    );
    assert_eq!(memory.pending_uploads(), 0);
    let read = memory
        .download(&key(), &DownloadOptions::default())
        .await
        .expect("there");
    assert_eq!(
        read.into_object().expect("sent").bytes(9).await.expect("read"),
        "old"
    );
}

#[tokio::test]
async fn a_store_that_neither_streams_nor_takes_parts_gets_what_fits_in_memory() {
    let memory = MemoryProvider::builder()
        .without(&[Capability::StreamingUpload, Capability::Multipart])
        .build();
    let uploader = Uploader::new(Arc::clone(&memory) as Arc<_>).with_settings(small_parts());
    assert!(
        uploader
            .upload(&key(), one_shot(&bytes(100), 7), &UploadOptions::default())
            .await
            .is_ok()
    );
    let error = check_kind(
        uploader
            .upload(&key(), one_shot(&bytes(101), 7), &UploadOptions::default())
            .await,
        ErrorKind::Unsupported,
    );
    assert!(
        error
            .help()
            .is_some_and(|help| help.contains("declare the length")),
        "{error}"
    );
    let declared = one_shot(&bytes(101), 7).with_length(101);
    assert!(
        uploader
            .upload(&key(), declared, &UploadOptions::default())
            .await
            .is_ok()
    );
}

fn parallel() -> DownloaderSettings {
    let mut settings = DownloaderSettings::default();
    settings.concurrency = 4;
    settings.range_size_bytes = 64;
    settings
}

#[tokio::test]
async fn ranges_that_travel_together_give_the_object_in_order() {
    let memory = MemoryProvider::new();
    let expected = bytes(1000);
    memory
        .upload(&key(), Content::from(expected.clone()), &UploadOptions::default())
        .await
        .expect("stored");
    let (script, provider) = scripted(&memory);
    let downloader = Downloader::new(provider).with_settings(parallel());
    let whole = downloader
        .download(&key(), &DownloadOptions::default())
        .await
        .expect("there");
    assert_eq!(
        whole
            .into_object()
            .expect("sent")
            .bytes(1 << 20)
            .await
            .expect("read"),
        expected
    );
    assert_eq!(script.count(OperationKind::Download), 16);
    let part = DownloadOptions::default().with_range(ByteRange::from(100..900));
    let part = downloader
        .download(&key(), &part)
        .await
        .expect("there")
        .into_object()
        .expect("sent");
    assert_eq!(part.range(), 100..900);
    assert_eq!(part.bytes(1 << 20).await.expect("read"), expected.slice(100..900));
    let beyond = DownloadOptions::default().with_range(ByteRange::from(1000..));
    check_kind(
        downloader.download(&key(), &beyond).await,
        ErrorKind::InvalidInput,
    );
}

#[tokio::test]
async fn an_overwrite_during_a_parallel_read_is_seen() {
    use futures_util::StreamExt;
    let memory = MemoryProvider::new();
    memory
        .upload(&key(), Content::from(bytes(5000)), &UploadOptions::default())
        .await
        .expect("stored");
    let downloader = Downloader::new(Arc::clone(&memory) as Arc<_>).with_settings(parallel());
    let download = downloader
        .download(&key(), &DownloadOptions::default())
        .await
        .expect("there");
    let mut stream = download.into_object().expect("sent").into_stream();
    stream.next().await.expect("a piece").expect("of the old object");
    memory
        .upload(&key(), Content::from(bytes(4000)), &UploadOptions::default())
        .await
        .expect("overwritten");
    let rest: Vec<_> = stream.collect().await;
    let end = rest.into_iter().next_back().expect("an end");
    check_kind(end, ErrorKind::PreconditionFailed);
}
