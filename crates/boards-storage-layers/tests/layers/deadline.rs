//! The caller's deadline.

use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{
    CallContext, CallOptions, Download, DownloadOptions, DownloadOutcome, Error, ErrorKind, Layer,
    ListOptions, ObjectMetadata, OperationKind, Outcome, Retry, StorageProvider,
};
use boards_storage_layers::{DeadlineLayer, RetryConfig, RetryLayer};
use boards_storage_testkit::Step;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::time::sleep;

use crate::support::{Bench, key, sample, throttled, timed, unavailable};

const SECOND: Duration = Duration::from_secs(1);

fn layers() -> Vec<Arc<dyn Layer>> {
    vec![Arc::new(DeadlineLayer::new())]
}

fn within(seconds: u32) -> CallContext {
    CallContext::default().with_deadline_in(seconds * SECOND)
}

fn options(seconds: u32) -> CallOptions {
    CallOptions::default().with_context(within(seconds))
}

#[track_caller]
fn check_passed(error: &Error, operation: OperationKind) {
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Timeout, Retry::No),
        "{error}"
    );
    assert_eq!(
        (error.operation(), error.provider()),
        (Some(operation), Some("main"))
    );
    assert!(error.message().contains("deadline"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_the_deadline() {
    let bench = Bench::new(layers());
    bench.script.push(OperationKind::Exists, Step::Stall);
    let (result, took) = timed(bench.stack.exists(&key("a"), &options(5))).await;
    check_passed(&result.expect_err("too late"), OperationKind::Exists);
    assert_eq!(took, 5 * SECOND);
    bench.script.push(OperationKind::Exists, Step::Delay(4 * SECOND));
    assert!(!bench.stack.exists(&key("a"), &options(5)).await.expect("in time"));
    bench
        .script
        .push(OperationKind::Exists, Step::Delay(4000 * SECOND));
    assert!(
        !bench
            .stack
            .exists(&key("a"), &CallOptions::default())
            .await
            .expect("no deadline")
    );
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_lets_nothing_through() {
    let bench = Bench::new(layers());
    check_passed(
        &bench
            .stack
            .exists(&key("a"), &options(0))
            .await
            .expect_err("too late"),
        OperationKind::Exists,
    );
    assert_eq!(bench.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_waits_and_attempts_of_a_retry_are_covered() {
    let config = RetryConfig::default().with_attempts_max(100);
    let bench = Bench::new(vec![
        Arc::new(DeadlineLayer::new()),
        Arc::new(RetryLayer::new(config)),
    ]);
    bench
        .script
        .push(OperationKind::Exists, Step::FailBefore(throttled(3 * SECOND)));
    bench
        .script
        .push(OperationKind::Exists, Step::FailBefore(unavailable()));
    bench.script.otherwise(|_| Step::Stall);
    let (result, took) = timed(bench.stack.exists(&key("a"), &options(9))).await;
    check_passed(&result.expect_err("too late"), OperationKind::Exists);
    assert_eq!((took, bench.calls()), (9 * SECOND, 3));
}

#[tokio::test(start_paused = true)]
async fn returned_streams_are_covered() {
    let bench = Bench::new(layers());
    bench.put("a", sample(700_000)).await;
    bench.script.push(OperationKind::Download, Step::StallStream(10));
    bench.script.push(OperationKind::List, Step::StallStream(0));

    let download = bench
        .download("a", DownloadOptions::default().with_context(within(5)))
        .await
        .expect("open");
    let mut pieces = download.into_stream();
    assert_eq!(pieces.next().await.expect("a piece").expect("in time").len(), 10);
    let (end, took) = timed(pieces.next()).await;
    check_passed(
        &end.expect("an end").expect_err("too late"),
        OperationKind::Download,
    );
    assert_eq!(took, 5 * SECOND);
    assert!(pieces.next().await.is_none());

    let mut entries = bench
        .stack
        .list(&ListOptions::default().with_context(within(5)))
        .await
        .expect("open");
    let (end, took) = timed(entries.next()).await;
    check_passed(&end.expect("an end").expect_err("too late"), OperationKind::List);
    assert_eq!(took, 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_always_ready_or_a_slow_reader_is_stopped_too() {
    let bench = Bench::new(layers());
    let size = 1_000_000;
    let endless = stream::repeat_with(|| Ok(Bytes::from_static(b"x")));
    let download = Download::from_stream(ObjectMetadata::new(key("a"), size), 0..size, Box::pin(endless));
    let answer = Outcome::Download(Box::new(DownloadOutcome::Object(download)));
    bench.script.push(OperationKind::Download, Step::Answer(answer));
    let options = DownloadOptions::default().with_context(within(5));
    let mut pieces = bench.download("a", options).await.expect("open").into_stream();
    pieces.next().await.expect("a piece").expect("in time");
    sleep(6 * SECOND).await;
    check_passed(
        &pieces.next().await.expect("an end").expect_err("too late"),
        OperationKind::Download,
    );
}

#[tokio::test(start_paused = true)]
async fn without_the_layer_a_deadline_passes_unseen() {
    for (layers, is_ok) in [(layers(), false), (Vec::new(), true)] {
        let bench = Bench::new(layers);
        bench.script.push(OperationKind::Exists, Step::Delay(10 * SECOND));
        assert_eq!(bench.stack.exists(&key("a"), &options(5)).await.is_ok(), is_ok);
    }
}
