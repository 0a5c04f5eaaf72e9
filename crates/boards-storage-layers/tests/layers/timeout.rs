//! How long an attempt may take.

use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{
    CallOptions, Content, Download, DownloadOptions, DownloadOutcome, ErrorKind, ListEntry, ListOptions,
    ObjectMetadata, OperationKind, Outcome, Result, Retry, StorageProvider, UploadOptions,
};
use boards_storage_layers::{TimeoutConfig, TimeoutLayer};
use boards_storage_testkit::Step;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use tokio::time::sleep;

use crate::support::{Bench, Prepared, call, key, sample, timed};

const SECOND: Duration = Duration::from_secs(1);

fn bench() -> Bench {
    let config = TimeoutConfig::default()
        .with_control(10 * SECOND)
        .with_bulk(100 * SECOND)
        .with_idle(20 * SECOND)
        .with_bytes_per_second_min(1000);
    Bench::new(vec![Arc::new(TimeoutLayer::new(config))])
}

/// A stream whose next piece comes after each of these waits.
fn slow<T: Send + 'static>(pieces: Vec<(u32, T)>) -> impl Stream<Item = Result<T>> + Send + 'static {
    stream::iter(pieces).then(|(seconds, piece)| async move {
        sleep(seconds * SECOND).await;
        Ok(piece)
    })
}

fn slow_content(seconds: &[u32]) -> Content {
    let pieces = seconds
        .iter()
        .map(|seconds| (*seconds, Bytes::from_static(b"x")))
        .collect();
    Content::from_stream(None, slow(pieces))
}

#[tokio::test(start_paused = true)]
async fn every_operation_that_gets_no_answer_ends() {
    for kind in OperationKind::ALL {
        let seconds = match kind {
            OperationKind::Upload
            | OperationKind::UploadPart
            | OperationKind::Download
            | OperationKind::List => 20,
            OperationKind::Copy
            | OperationKind::CompleteUpload
            | OperationKind::SetMetadata
            | OperationKind::DeleteMany => 100,
            _ => 10,
        };
        let bench = bench();
        let prepared = Prepared::new(&bench).await;
        bench.script.push(kind, Step::Stall);
        let (result, took) = timed(call(kind, &bench.stack, &prepared)).await;
        let error = result.expect_err("no answer");
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Timeout, Retry::Yes),
            "{kind}"
        );
        assert_eq!(
            (error.operation(), error.provider()),
            (Some(kind), Some("main")),
            "{kind}"
        );
        assert_eq!(took, seconds * SECOND, "{kind}");

        bench
            .script
            .push(kind, Step::Delay(seconds * SECOND - SECOND / 100));
        call(kind, &bench.stack, &prepared)
            .await
            .unwrap_or_else(|error| panic!("{kind} at the limit: {error}"));
    }
}

/// Uploads content; `limit` says after how many seconds it times out, if it does.
async fn check_upload(content: Content, step: Step, limit: Option<u32>) {
    let bench = bench();
    let shown = format!("{step:?} {content:?}");
    bench.script.push(OperationKind::Upload, step);
    let (result, took) = timed(bench.stack.upload(&key("a"), content, &UploadOptions::default())).await;
    match limit {
        None => assert!(result.is_ok(), "{shown}: {result:?}"),
        Some(seconds) => {
            assert_eq!(
                result.expect_err("it stalls").kind(),
                ErrorKind::Timeout,
                "{shown}"
            );
            // The activity is noted in whole microseconds.
            let limit = seconds * SECOND;
            assert!(took >= limit && took < limit + SECOND / 100, "{shown}: {took:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_may_take_long_but_not_stand_still() {
    check_upload(slow_content(&[19; 30]), Step::Pass, None).await;
    check_upload(slow_content(&[5, 19, 21, 1]), Step::Pass, Some(5 + 19 + 20)).await;
    check_upload(slow_content(&[21]), Step::Pass, Some(20)).await;
    check_upload(slow_content(&[15, 15]), Step::StallAfter, Some(15 + 15 + 20)).await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_of_plain_bytes_has_time_by_its_size() {
    check_upload(Content::from(vec![0; 5000]), Step::Stall, Some(20 + 5)).await;
    check_upload(Content::from(vec![0; 5000]), Step::Delay(24 * SECOND), None).await;
    check_upload(Content::from(vec![0; 999]), Step::Stall, Some(20)).await;
}

#[tokio::test(start_paused = true)]
async fn plain_bytes_and_replayability_reach_the_provider() {
    let bench = bench();
    bench.script.otherwise(|operation| {
        let content = operation.content().expect("an upload");
        let is_plain = content.as_bytes().is_some();
        assert_eq!(
            is_plain,
            content.length() == Some(3),
            "only plain bytes stay plain"
        );
        assert_eq!(content.is_replayable(), is_plain);
        Step::Pass
    });
    bench
        .stack
        .upload(&key("a"), Content::from("abc"), &UploadOptions::default())
        .await
        .expect("stored");
    bench
        .stack
        .upload(&key("a"), slow_content(&[1]), &UploadOptions::default())
        .await
        .expect("stored");
}

fn answer_with(pieces: Vec<(u32, Bytes)>) -> Step {
    let size = pieces.iter().map(|(_, piece)| piece.len() as u64).sum();
    let metadata = ObjectMetadata::new(key("a"), size);
    let download = Download::from_stream(metadata, 0..size, Box::pin(slow(pieces)));
    Step::Answer(Outcome::Download(Box::new(DownloadOutcome::Object(download))))
}

#[tokio::test(start_paused = true)]
async fn a_download_may_take_long_but_not_stand_still() {
    let piece = || Bytes::from_static(b"x");
    for (waits, limit) in [
        (vec![19, 19, 19], None),
        (vec![19, 21, 1], Some(19 + 20)),
        (vec![21], Some(20)),
    ] {
        let bench = bench();
        let pieces = waits.iter().map(|wait| (*wait, piece())).collect();
        bench.script.push(OperationKind::Download, answer_with(pieces));
        let download = bench
            .download("a", DownloadOptions::default())
            .await
            .expect("answered");
        let (result, took) = timed(download.bytes(10)).await;
        match (result, limit) {
            (Ok(bytes), None) => assert_eq!(bytes.len(), waits.len()),
            (Err(error), Some(seconds)) => {
                assert_eq!((error.kind(), took), (ErrorKind::Timeout, seconds * SECOND));
                assert_eq!(error.key(), Some(&key("a")));
            }
            (result, _) => panic!("{waits:?}: {result:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_no_stall() {
    let bench = bench();
    let pieces = vec![(5, sample(1)), (5, sample(1)), (5, sample(1))];
    bench.script.push(OperationKind::Download, answer_with(pieces));
    let mut pieces = bench
        .download("a", DownloadOptions::default())
        .await
        .expect("answered")
        .into_stream();
    for _ in 0..3 {
        sleep(1000 * SECOND).await;
        pieces.next().await.expect("a piece").expect("in time");
    }
    assert!(pieces.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stalled_stream_ends_once_and_is_dropped() {
    struct Connection(Arc<()>);
    let alive = Arc::new(());
    let connection = Connection(Arc::clone(&alive));
    let entries = stream::pending::<Result<ListEntry>>().map(move |entry| {
        let _held = &connection.0;
        entry
    });
    let bench = bench();
    bench.script.push(
        OperationKind::List,
        Step::Answer(Outcome::List(Box::pin(entries))),
    );
    let mut entries = bench.stack.list(&ListOptions::default()).await.expect("answered");
    assert_eq!(Arc::strong_count(&alive), 2);
    let (entry, took) = timed(entries.next()).await;
    assert_eq!(
        entry.expect("an end").expect_err("stalled").kind(),
        ErrorKind::Timeout
    );
    assert_eq!((took, Arc::strong_count(&alive)), (20 * SECOND, 1));
    assert!(entries.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_endless_time_is_no_problem() {
    let endless = TimeoutConfig::default()
        .with_control(Duration::MAX)
        .with_bulk(Duration::MAX)
        .with_idle(Duration::MAX)
        .with_bytes_per_second_min(0);
    for kind in OperationKind::ALL {
        let bench = Bench::new(vec![Arc::new(TimeoutLayer::new(endless.clone()))]);
        let prepared = Prepared::new(&bench).await;
        bench.script.push(kind, Step::Delay(1000 * SECOND));
        call(kind, &bench.stack, &prepared)
            .await
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
    let bench = Bench::new(vec![Arc::new(TimeoutLayer::new(endless))]);
    bench
        .stack
        .upload(&key("b"), slow_content(&[99]), &UploadOptions::default())
        .await
        .expect("stored");
}

#[tokio::test(start_paused = true)]
async fn without_the_layer_a_stall_lasts_for_ever() {
    for (bench, is_helped) in [(bench(), true), (Bench::new(Vec::new()), false)] {
        bench.script.push(OperationKind::Exists, Step::Stall);
        let (a, options) = (key("a"), CallOptions::default());
        let call = bench.stack.exists(&a, &options);
        assert_eq!(tokio::time::timeout(1000 * SECOND, call).await.is_ok(), is_helped);
    }
}
