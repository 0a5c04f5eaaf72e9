//! Bytes come back as they were, whatever their number and however they came.

use boards_storage_core::{
    CallContext, CallOptions, Checksum, Content, CopyOptions, Digest, DigestAlgorithm, DownloadOptions,
    ErrorKind, ListEntry, ListOptions, StorageProvider, UploadOptions,
};
use bytes::Bytes;
use futures_util::TryStreamExt;
use proptest::prelude::*;

use super::bench::{Bench, SEGMENT, context, key, replayable, sample};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

fn contains(whole: &[u8], part: &[u8]) -> bool {
    whole.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn every_size_around_a_segments_edge_comes_back() {
    let bench = Bench::new();
    for edge in [0, SEGMENT - 40, 2 * SEGMENT - 40, 3 * SEGMENT - 40, 6 * SEGMENT] {
        for size in edge.saturating_sub(2)..edge + 3 {
            let bytes = sample(size);
            let stored = bench.put("a", &bytes).await;
            assert_eq!(stored.size_bytes, size as u64);
            let found = bench.stack.metadata(&key("a"), &CallOptions::default()).await;
            assert_eq!(found.expect("there").size_bytes, size as u64);
            assert_eq!(bench.get("a").await.expect("read"), bytes, "{size}");
            let held = bench.stored("a").await;
            let segments = (size + 40).div_ceil(SEGMENT).max(1);
            assert_eq!(held.len(), 168 + size + 16 * segments);
            if size >= 64 {
                assert!(!contains(&held, &bytes[..64]));
            }
        }
    }
}

#[tokio::test]
async fn large_content_comes_back_by_every_way_in() {
    let bench = Bench::new();
    let bytes = sample(17 << 20);
    let one_shot = |length| {
        let pieces: Vec<_> = bytes
            .chunks(100_000)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        Content::from_stream(length, futures_util::stream::iter(pieces))
    };
    let contents = [
        Content::from_bytes(bytes.clone()),
        Content::from_bytes(bytes.slice(..1 << 20)),
        replayable(&bytes, 70_000),
        one_shot(Some(bytes.len() as u64)),
        one_shot(None),
    ];
    for content in contents {
        let size = content.as_bytes().map_or(bytes.len(), Bytes::len);
        let options = UploadOptions::default().with_context(context("acme", "a"));
        let stored = bench
            .stack
            .upload(&key("a"), content, &options)
            .await
            .expect("stored");
        assert_eq!(stored.size_bytes, size as u64);
        assert_eq!(bench.get("a").await.expect("read"), bytes.slice(..size));
    }
}

#[tokio::test]
async fn equal_content_is_never_equal_ciphertext() {
    let bench = Bench::new();
    bench.put("a", &sample(1000)).await;
    let first = bench.stored("a").await;
    bench.put("a", &sample(1000)).await;
    let second = bench.stored("a").await;
    let equal = first.iter().zip(&second).skip(20).filter(|(one, two)| one == two);
    // The zeros of the header, Tink's length byte and chance.
    assert!(equal.count() < 60);
}

#[tokio::test]
async fn a_copy_can_be_read_by_the_same_identity_alone() {
    let bench = Bench::new();
    bench.put("a", &sample(100)).await;
    let copied = bench
        .stack
        .copy(&key("a"), &key("b"), &CopyOptions::default())
        .await;
    assert_eq!(copied.expect("copied").size_bytes, 100);
    assert_eq!(
        bench.get_as("b", context("acme", "a")).await.expect("read"),
        sample(100)
    );
    let other = bench
        .get_as("b", context("acme", "b"))
        .await
        .expect_err("refused");
    assert_eq!(other.kind(), ErrorKind::Corruption);
}

#[tokio::test]
async fn a_call_without_an_identity_is_refused() {
    let bench = Bench::new();
    let options = UploadOptions::default();
    let refused = bench.stack.upload(&key("a"), "x".into(), &options).await;
    assert_eq!(refused.expect_err("refused").kind(), ErrorKind::InvalidInput);
    bench.put("a", &sample(1)).await;
    let refused = bench
        .get_as("a", CallContext::default())
        .await
        .expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert!(
        refused
            .to_string()
            .starts_with("download of 'a' on provider 'main': "),
        "{refused}"
    );
}

#[tokio::test]
async fn a_listing_and_the_metadata_give_the_size_of_the_content() {
    let bench = Bench::new();
    bench.put("a", &sample(70_000)).await;
    bench.replace("b", "no ciphertext").await;
    let entries = bench.stack.list(&ListOptions::default()).await.expect("listed");
    let entries: Vec<ListEntry> = entries.try_collect().await.expect("listed");
    let sizes: Vec<u64> = entries
        .iter()
        .map(|entry| match entry {
            ListEntry::Object(found) => found.size_bytes,
            ListEntry::Prefix(_) => 0,
        })
        .collect();
    assert_eq!(sizes, [70_000, 13]);
    let metadata = bench
        .stack
        .metadata(&key("a"), &CallOptions::default())
        .await
        .expect("there");
    assert_eq!((metadata.checksum, metadata.digest), (None, None));
    let damaged = bench.stack.metadata(&key("b"), &CallOptions::default()).await;
    assert_eq!(damaged.expect_err("refused").kind(), ErrorKind::Corruption);
}

#[tokio::test]
async fn a_declared_digest_is_checked_and_not_sent_on() {
    let bench = Bench::new();
    let bytes = sample(200_000);
    for content in [Content::from_bytes(bytes.clone()), replayable(&bytes, 999)] {
        let right = Digest::of(DigestAlgorithm::Sha256, &bytes);
        let options = UploadOptions::default().with_context(context("acme", "a"));
        let stored = bench
            .stack
            .upload(&key("a"), content.clone(), &options.clone().with_digest(right))
            .await;
        stored.expect("stored");
        let held = bench
            .memory
            .metadata(&key("a"), &CallOptions::default())
            .await
            .expect("there");
        assert_eq!(held.digest, None);
        let wrong = Digest::of(DigestAlgorithm::Blake3, b"other");
        let refused = bench
            .stack
            .upload(&key("b"), content, &options.with_digest(wrong))
            .await;
        assert_eq!(refused.expect_err("refused").kind(), ErrorKind::Corruption);
        assert_eq!(bench.memory.objects(), 1);
    }
    assert_ne!(
        bench
            .memory
            .metadata(&key("a"), &CallOptions::default())
            .await
            .expect("there")
            .checksum,
        Some(Checksum::crc64_nvme(&bytes))
    );
}

#[tokio::test]
async fn content_that_changes_between_attempts_is_not_sent_under_the_same_nonce() {
    use std::sync::atomic::{AtomicU8, Ordering};
    let bench = Bench::new();
    let opened = std::sync::Arc::new(AtomicU8::new(0));
    let count = std::sync::Arc::clone(&opened);
    let content = Content::from_factory(Some(200_000), move || {
        let bytes = Bytes::from(vec![count.fetch_add(1, Ordering::Relaxed); 200_000]);
        Box::pin(async { Ok(Box::pin(futures_util::stream::iter([Ok(bytes)])) as _) })
    });
    let options = UploadOptions::default().with_context(context("acme", "a"));
    let retry = boards_storage_layers::RetryLayer::default();
    let script = boards_storage_testkit::Script::new();
    script.push(
        boards_storage_core::OperationKind::Upload,
        boards_storage_testkit::Step::FailAfter(boards_storage_core::Error::new(
            ErrorKind::Timeout,
            "no answer",
        )),
    );
    let stack = boards_storage_core::Stack::new(
        "main",
        std::sync::Arc::clone(&bench.memory) as _,
        vec![
            std::sync::Arc::new(boards_storage_layers::EncryptionLayer::new(bench.keys.clone())),
            std::sync::Arc::new(retry),
            script,
        ],
    );
    let refused = stack
        .upload(&key("a"), content, &options)
        .await
        .expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused}");
    assert_eq!(opened.load(Ordering::Relaxed), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_content_in_any_pieces_comes_back(size in 0usize..300_000, piece in 1usize..140_000) {
        block_on(async {
            let bench = Bench::new();
            let bytes = sample(size);
            let options = UploadOptions::default().with_context(context("acme", "a"));
            let content = replayable(&bytes, piece);
            bench.stack.upload(&key("a"), content, &options).await.expect("stored");
            assert_eq!(bench.get("a").await.expect("read"), bytes);
            let options = DownloadOptions::default().with_context(context("acme", "a"));
            let download = bench.stack.download(&key("a"), &options).await.expect("there");
            assert_eq!(download.into_object().expect("an object").length(), size as u64);
        });
    }
}
