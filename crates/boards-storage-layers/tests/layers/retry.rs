//! When a call is repeated, how often and how fast.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use boards_storage_core::{
    CallContext, CallOptions, Content, DeleteOptions, Error, ErrorKind, OperationKind, Retry,
    StorageProvider, UploadOptions,
};
use boards_storage_layers::{RetryConfig, RetryLayer, TimeoutConfig, TimeoutLayer};
use boards_storage_testkit::Step;
use bytes::Bytes;

use crate::support::{Bench, Prepared, call, key, one_shot, throttled, timed, unavailable};

const SECOND: Duration = Duration::from_secs(1);

/// Fails the first call of each operation once, and counts the calls that follow.
async fn check_repeats(kind: OperationKind, error: fn() -> Error, calls: usize) {
    let bench = Bench::with_retry(RetryConfig::default());
    let prepared = Prepared::new(&bench).await;
    bench.script.push(kind, Step::FailBefore(error()));
    let result = call(kind, &bench.stack, &prepared).await;
    assert_eq!(result.is_ok(), calls > 1, "{kind}: {result:?}");
    assert_eq!(bench.script.count(kind), calls, "{kind}");
}

#[tokio::test(start_paused = true)]
async fn a_passing_failure_is_repeated_for_every_operation_that_bears_it() {
    for kind in OperationKind::ALL {
        let calls = match kind {
            // A probe asks for the present state; an upload without a name may have been completed.
            OperationKind::Probe | OperationKind::CompleteUpload => 1,
            _ => 2,
        };
        check_repeats(kind, unavailable, calls).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_throttled_did_nothing_and_is_repeated_even_without_a_name() {
    check_repeats(OperationKind::CompleteUpload, || throttled(SECOND), 2).await;
}

#[tokio::test(start_paused = true)]
async fn an_error_that_no_repeat_can_help_passes_unchanged() {
    for kind in ErrorKind::ALL {
        for retry in [Retry::No, Retry::Exhausted] {
            let bench = Bench::with_retry(RetryConfig::default());
            let error = Error::new(kind, "no").with_retry(retry);
            bench.script.push(OperationKind::Exists, Step::FailBefore(error));
            let error = bench
                .stack
                .exists(&key("a"), &CallOptions::default())
                .await
                .expect_err("failed");
            assert_eq!((error.kind(), error.retry(), error.attempts()), (kind, retry, 0));
            assert_eq!(bench.calls(), 1, "{kind}");
        }
    }
}

#[track_caller]
fn check_exhausted(bench: &Bench, error: &Error, attempts: u32) {
    assert_eq!(
        (error.retry(), error.attempts()),
        (Retry::Exhausted, attempts),
        "{error}"
    );
    assert_eq!(
        bench.attempts(OperationKind::Exists),
        (1..=attempts).collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn attempts_are_numbered_and_bounded() {
    for (max, made) in [(0, 1), (1, 1), (2, 2), (3, 3), (9, 9)] {
        let bench = Bench::with_retry(RetryConfig::default().with_attempts_max(max));
        bench.script.otherwise(|_| Step::FailBefore(unavailable()));
        let error = bench
            .stack
            .exists(&key("a"), &CallOptions::default())
            .await
            .expect_err("an outage");
        assert_eq!(error.kind(), ErrorKind::ProviderUnavailable);
        check_exhausted(&bench, &error, made);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_after_a_repeat_tells_the_attempts() {
    let bench = Bench::with_retry(RetryConfig::default());
    bench
        .script
        .push(OperationKind::Exists, Step::FailBefore(unavailable()));
    bench.script.push(
        OperationKind::Exists,
        Step::FailBefore(Error::new(ErrorKind::AccessDenied, "no")),
    );
    let error = bench
        .stack
        .exists(&key("a"), &CallOptions::default())
        .await
        .expect_err("denied");
    assert_eq!(
        (error.kind(), error.retry(), error.attempts()),
        (ErrorKind::AccessDenied, Retry::No, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn waits_are_random_below_a_doubling_ceiling() {
    let config = RetryConfig::default()
        .with_attempts_max(6)
        .with_delay_initial(SECOND)
        .with_delay_max(5 * SECOND);
    let mut greatest = [Duration::ZERO; 5];
    for _ in 0..40 {
        let bench = Bench::with_retry(config.clone());
        bench.script.otherwise(|_| Step::FailBefore(unavailable()));
        bench
            .stack
            .exists(&key("a"), &CallOptions::default())
            .await
            .expect_err("an outage");
        let times: Vec<_> = bench.script.calls().iter().map(|call| call.at).collect();
        for (index, pair) in times.windows(2).enumerate() {
            greatest[index] = greatest[index].max(pair[1] - pair[0]);
        }
    }
    for (greatest, ceiling) in greatest.into_iter().zip([1, 2, 4, 5, 5]) {
        let ceiling = ceiling * SECOND;
        // Tokio's timer is as fine as a millisecond. That 40 draws all stay in the lower half happens once in 10^12.
        assert!(
            greatest <= ceiling + SECOND / 500 && greatest > ceiling / 2,
            "{greatest:?} of {ceiling:?}"
        );
    }
}

/// Asks for a wait, and says how often and for how long the call was tried.
async fn check_wait(wait: Duration, deadline: Option<Duration>, calls: usize, elapsed: Duration) {
    let bench = Bench::with_retry(RetryConfig::default().with_time_max(60 * SECOND));
    bench
        .script
        .push(OperationKind::Exists, Step::FailBefore(throttled(wait)));
    let mut context = CallContext::default();
    if let Some(deadline) = deadline {
        context = context.with_deadline_in(deadline);
    }
    let options = CallOptions::default().with_context(context);
    let (result, took) = timed(bench.stack.exists(&key("a"), &options)).await;
    assert_eq!((bench.calls(), took), (calls, elapsed), "a wait of {wait:?}");
    match result {
        Ok(found) => assert!(!found && calls == 2),
        Err(error) => assert_eq!((error.retry(), error.attempts()), (Retry::Exhausted, 1)),
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_store_asks_for_is_kept_or_not_begun() {
    check_wait(7 * SECOND, None, 2, 7 * SECOND).await;
    check_wait(60 * SECOND, None, 2, 60 * SECOND).await;
    check_wait(61 * SECOND, None, 1, Duration::ZERO).await;
    check_wait(7 * SECOND, Some(7 * SECOND), 2, 7 * SECOND).await;
    check_wait(8 * SECOND, Some(7 * SECOND), 1, Duration::ZERO).await;
    check_wait(Duration::ZERO, None, 2, Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn no_attempt_begins_after_the_time_is_over() {
    let config = RetryConfig::default()
        .with_attempts_max(100)
        .with_time_max(60 * SECOND);
    let bench = Bench::with_retry(config);
    bench
        .script
        .otherwise(|_| Step::FailBefore(throttled(9 * SECOND)));
    let (result, took) = timed(bench.stack.exists(&key("a"), &CallOptions::default())).await;
    assert_eq!(took, 54 * SECOND);
    check_exhausted(&bench, &result.expect_err("an outage"), 7);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_fails_late_is_repeated_too() {
    let retry = RetryLayer::new(RetryConfig::default().with_time_max(60 * SECOND));
    let timeout = TimeoutLayer::new(TimeoutConfig::default().with_control(500 * SECOND));
    let bench = Bench::new(vec![Arc::new(retry), Arc::new(timeout)]);
    bench.script.push(OperationKind::Exists, Step::Stall);
    bench
        .stack
        .exists(&key("a"), &CallOptions::default())
        .await
        .expect("second time");
    bench.script.push(OperationKind::DeleteMany, Step::Stall);
    bench
        .stack
        .delete_many(&[key("a")], &DeleteOptions::default())
        .await
        .expect("second time");
    assert_eq!(bench.calls(), 4);
}

/// Runs 200 calls in an outage and counts what reaches the store.
async fn check_outage(error: fn() -> Error, config: RetryConfig, calls: usize) {
    let bench = Bench::with_retry(config);
    bench.script.otherwise(move |_| Step::FailBefore(error()));
    for _ in 0..200 {
        bench
            .stack
            .exists(&key("a"), &CallOptions::default())
            .await
            .expect_err("an outage");
    }
    assert_eq!(bench.calls(), calls);
}

#[tokio::test(start_paused = true)]
async fn the_budget_keeps_an_outage_from_being_multiplied() {
    check_outage(unavailable, RetryConfig::default(), 235).await;
    check_outage(|| throttled(SECOND), RetryConfig::default(), 300).await;
    check_outage(unavailable, RetryConfig::default().with_budget_tokens_max(0), 200).await;
}

#[tokio::test(start_paused = true)]
async fn successes_fill_the_budget_again() {
    let bench = Bench::with_retry(RetryConfig::default().with_budget_tokens_max(14));
    let exists = async || bench.stack.exists(&key("a"), &CallOptions::default()).await;
    let fail = || {
        bench
            .script
            .push(OperationKind::Exists, Step::FailBefore(unavailable()))
    };
    fail();
    exists()
        .await
        .expect("one repeat is paid for, and the success pays back 1");
    fail();
    assert_eq!(
        exists().await.expect_err("not paid for").retry(),
        Retry::Exhausted
    );
    for _ in 0..13 {
        exists().await.expect("healthy");
    }
    fail();
    exists().await.expect("paid for again");
}

#[tokio::test(start_paused = true)]
async fn retry_stops_when_the_stream_is_spent() {
    let bytes = Bytes::from_static(b"0123456789");
    let steps: [(fn() -> Step, usize); 3] = [
        (|| Step::FailBefore(unavailable()), 2),
        (|| Step::FailMidway(4, unavailable()), 1),
        (|| Step::FailAfter(unavailable()), 1),
    ];
    for (step, calls) in steps {
        let bench = Bench::with_retry(RetryConfig::default());
        bench.script.push(OperationKind::Upload, step());
        let result = bench
            .stack
            .upload(&key("a"), one_shot(&bytes, 3), &UploadOptions::default())
            .await;
        assert_eq!(bench.script.count(OperationKind::Upload), calls, "{:?}", step());
        match result {
            Ok(_) => assert_eq!(bench.find("a").await.expect("stored").1, bytes),
            Err(error) => {
                assert_eq!(
                    (error.kind(), error.retry()),
                    (ErrorKind::ProviderUnavailable, Retry::Yes)
                );
                assert_eq!(error.attempts(), 0);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn replayable_content_is_sent_from_its_beginning_each_time() {
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let content = Content::from_factory(Some(6), move || {
        count.fetch_add(1, Ordering::Relaxed);
        let pieces = ["abc", "def"].map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
        Box::pin(async move { Ok(Box::pin(futures_util::stream::iter(pieces)) as _) })
    });
    let bench = Bench::with_retry(RetryConfig::default());
    bench
        .script
        .push_times(2, OperationKind::Upload, || Step::FailMidway(4, unavailable()));
    bench
        .stack
        .upload(&key("a"), content, &UploadOptions::default())
        .await
        .expect("third time");
    assert_eq!(opened.load(Ordering::Relaxed), 3);
    assert_eq!(&bench.find("a").await.expect("stored").1[..], b"abcdef");
}

#[tokio::test(start_paused = true)]
async fn without_the_layer_nothing_is_repeated() {
    for (layers, is_helped) in [
        (Bench::with_retry(RetryConfig::default()), true),
        (Bench::new(Vec::new()), false),
    ] {
        let bench = layers;
        bench
            .script
            .push(OperationKind::Exists, Step::FailBefore(unavailable()));
        assert_eq!(
            bench
                .stack
                .exists(&key("a"), &CallOptions::default())
                .await
                .is_ok(),
            is_helped
        );
    }
}
