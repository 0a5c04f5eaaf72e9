//! How content flows: in any pieces, again, once, and without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use boards_storage_core::{
    ArtifactType, ByteStream, Content, ContentVerdict, ErrorKind, HEAD_SIZE_BYTES, Inspector, RefusedContent,
    ValidationSettings,
};
use boards_storage_testkit::samples::{self, hostile, png};
use futures_util::StreamExt;
use proptest::prelude::*;

use crate::support::{in_pieces, inspector, judge, known};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(future)
}

fn sound() -> Vec<Vec<u8>> {
    vec![
        samples::png(),
        samples::jpeg(),
        samples::gif(),
        samples::webp(),
        samples::bmp(),
        samples::tiff(),
        samples::mp4(),
        samples::webm(),
        samples::wav(),
        samples::flac(),
        samples::ogg(),
        samples::pdf(),
        samples::safetensors(),
        samples::gguf(),
        samples::zip(&[("a", b"a"), ("b", b"b")]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_size_of_pieces_never_changes_the_verdict(index in 0_usize..1000, size in 1_usize..300) {
        let table = hostile();
        let input = &table[index % table.len()];
        let inspector = inspector(&ValidationSettings::default());
        let found = run(judge(&inspector, &input.validation(), &input.bytes, size));
        let kind = found.verdict.reason().map(|reason| reason.kind);
        prop_assert_eq!(kind, Some(input.reason), "{} in pieces of {}", input.name, size);
    }

    #[test]
    fn damaged_files_never_panic_and_are_judged_the_same_in_all_pieces(
        index in 0_usize..15,
        cut in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        size in 1_usize..40,
    ) {
        let mut bytes = sound()[index].clone();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len() + 1));
        let inspector = inspector(&ValidationSettings::default());
        for artifact_type in [ArtifactType::Image, ArtifactType::Model, ArtifactType::Text, ArtifactType::Dataset] {
            let known = known(artifact_type, "", "a");
            let whole = run(judge(&inspector, &known, &bytes, usize::MAX));
            let pieces = run(judge(&inspector, &known, &bytes, size));
            prop_assert_eq!(whole.verdict, pieces.verdict);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), index in 0_usize..15) {
        let inspector = inspector(&ValidationSettings::default());
        let start = &sound()[index];
        let bytes = [&start[..start.len().min(8)], &bytes].concat();
        for name in ["a.png", "a.mp4", "a.gguf", "a.safetensors", "a.zip", "a.json", "a"] {
            let findings = run(judge(&inspector, &known(ArtifactType::Dataset, "", name), &bytes, 5));
            prop_assert_eq!(findings.facts.size_bytes.is_some(), true);
        }
    }
}

#[tokio::test]
async fn replayable_content_stays_replayable_and_is_judged_each_time() {
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let content = Content::from_factory(Some(png().len() as u64), move || {
        count.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(in_pieces(&png(), 10)) })
    });
    let inspector = inspector(&ValidationSettings::default());
    let known = known(ArtifactType::Image, "image/png", "a.png");
    let inspected = inspector
        .inspect_content(&known, content)
        .await
        .expect("readable");
    assert!(inspected.head().verdict.is_accepted() && inspected.verdict().is_none());
    assert!(!inspected.is_judged());
    for _ in 0..2 {
        let content = inspected.content();
        assert!(content.is_replayable());
        assert_eq!(content.collect(1000).await.expect("sound"), png());
        assert_eq!(inspected.verdict(), Some(ContentVerdict::Accepted));
    }
    assert_eq!(
        opened.load(Ordering::Relaxed),
        3,
        "once for the head, and for each reading"
    );
}

#[tokio::test]
async fn a_stream_goes_on_behind_its_head() {
    for length in [
        0,
        1,
        HEAD_SIZE_BYTES - 1,
        HEAD_SIZE_BYTES,
        HEAD_SIZE_BYTES + 1,
        3 * HEAD_SIZE_BYTES,
    ] {
        for size in [1000, HEAD_SIZE_BYTES, HEAD_SIZE_BYTES + 7, usize::MAX] {
            let bytes = vec![b'a'; length];
            let content = Content::from_stream(Some(length as u64), in_pieces(&bytes, size));
            let inspector = inspector(&ValidationSettings::default());
            let known = known(ArtifactType::Text, "text/plain", "a.txt");
            let inspected = inspector
                .inspect_content(&known, content)
                .await
                .expect("readable");
            let read = inspected.content().collect(length + 1).await.expect("text");
            assert_eq!(read.len(), length, "in pieces of {size}");
            let findings = inspected.findings().expect("the stream has ended");
            assert_eq!(findings.facts.size_bytes, Some(length as u64));
        }
    }
}

#[tokio::test]
async fn what_is_wrong_behind_the_head_ends_the_stream() {
    let bytes = [
        vec![b'a'; 2 * HEAD_SIZE_BYTES],
        b"\xFF".to_vec(),
        vec![b'a'; HEAD_SIZE_BYTES],
    ]
    .concat();
    let known = known(ArtifactType::Text, "text/plain", "a.txt");
    let content = || Content::from_stream(None, in_pieces(&bytes, 1000));
    let rejecting = inspector(&ValidationSettings::default());
    let inspected = rejecting
        .inspect_content(&known, content())
        .await
        .expect("readable");
    assert!(inspected.head().verdict.is_accepted());
    let error = inspected
        .content()
        .collect(bytes.len())
        .await
        .expect_err("it is no text");
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Rejected, Some("not_text"))
    );
    let settings = ValidationSettings::default().with_on_mismatch(RefusedContent::Quarantine);
    let inspected = inspector(&settings)
        .inspect_content(&known, content())
        .await
        .expect("readable");
    let kept = inspected
        .content()
        .collect(bytes.len())
        .await
        .expect("it is kept whole");
    assert_eq!(kept.len(), bytes.len());
    assert!(matches!(
        inspected.verdict(),
        Some(ContentVerdict::Quarantined { .. })
    ));
}

#[tokio::test]
async fn a_failing_source_is_no_verdict() {
    let broken = || boards_storage_core::Error::new(ErrorKind::Storage, "the disk is gone");
    let pieces: Vec<boards_storage_core::Result<bytes::Bytes>> = vec![Ok("a".into()), Err(broken())];
    let stream: ByteStream = Box::pin(futures_util::stream::iter(pieces));
    let known = known(ArtifactType::Text, "text/plain", "a.txt");
    let inspector = inspector(&ValidationSettings::default());
    let mut inspected = inspector.inspect_stream(&known, stream);
    let error = loop {
        match inspected.next().await.expect("an error comes") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert_eq!(inspected.findings(), None);
}

#[tokio::test]
async fn an_inspector_without_parts_lets_everything_pass() {
    let known = known(ArtifactType::Image, "image/png", "a.png");
    let content = Content::from_stream(None, in_pieces(b"no picture", 3));
    let inspected = Inspector::default()
        .inspect_content(&known, content)
        .await
        .expect("readable");
    assert_eq!(
        &inspected.content().collect(100).await.expect("passes")[..],
        b"no picture"
    );
    assert_eq!(inspected.verdict(), Some(ContentVerdict::Accepted));
}
