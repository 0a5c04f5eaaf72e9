//! When calls are refused, what counts, and what the refusal says. Random programs are in `breaker_model`.

use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{
    CallOptions, CircuitState, Content, DeleteOptions, DeletedKey, DownloadOptions, Error, ErrorKind, Layer,
    ListOptions, OperationKind, Outcome, Result, Retry, StorageProvider, UploadOptions,
};
use boards_storage_layers::{BreakerConfig, BreakerHandle, BreakerLayer, LimitsConfig, LimitsLayer, Refusal};
use boards_storage_testkit::Step;
use bytes::Bytes;
use futures_util::{StreamExt, poll, stream};
use tokio::time::{advance, sleep};

use crate::support::{Bench, Prepared, call, key, sample, timed_out, unavailable};

const SECOND: Duration = Duration::from_secs(1);

/// Two calls are enough, and half of them bad; 10 seconds open, then two calls.
fn config() -> BreakerConfig {
    BreakerConfig::default()
        .with_calls_min(2)
        .with_slow_time(5 * SECOND)
        .with_open_time(10 * SECOND)
        .with_half_open_calls(2)
}

fn bench() -> (Bench, BreakerHandle) {
    let breaker = BreakerLayer::new(&config());
    let handle = breaker.handle();
    (Bench::new(vec![Arc::new(breaker)]), handle)
}

async fn exists(bench: &Bench) -> Result<bool> {
    bench.stack.exists(&key("a"), &CallOptions::default()).await
}

async fn probe(bench: &Bench) -> Result<()> {
    bench.stack.probe(&CallOptions::default()).await
}

/// Opens the circuit by two failures.
async fn open(bench: &Bench) {
    bench
        .script
        .push_times(2, OperationKind::Exists, || Step::FailBefore(unavailable()));
    for _ in 0..2 {
        exists(bench).await.expect_err("it fails");
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_refuses_every_operation_but_a_probe_and_says_until_when() {
    for kind in OperationKind::ALL {
        let (bench, handle) = bench();
        let prepared = Prepared::new(&bench).await;
        open(&bench).await;
        assert_eq!(handle.state(), CircuitState::Open);
        advance(3 * SECOND).await;
        assert_eq!(handle.open_for(), Some(7 * SECOND));
        let seen = bench.calls();
        let result = call(kind, &bench.stack, &prepared).await;
        if kind == OperationKind::Probe {
            result.expect("it passes");
            assert_eq!(handle.state(), CircuitState::HalfOpen);
            continue;
        }
        let error = result.expect_err("refused");
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::ProviderUnavailable, Retry::After(7 * SECOND)),
            "{kind}"
        );
        assert_eq!(
            (error.operation(), error.provider()),
            (Some(kind), Some("main")),
            "{kind}"
        );
        assert_eq!(Refusal::of(&error), Some(Refusal::CircuitOpen));
        assert!(error.to_string().contains("2 of 2 calls failed"), "{error}");
        assert_eq!(bench.calls(), seen, "{kind}: nothing was sent");
    }
}

#[tokio::test(start_paused = true)]
async fn after_its_time_a_few_calls_decide() {
    for (endings, expected) in [
        ([true, true], CircuitState::Closed),
        ([true, false], CircuitState::Open),
        ([false, false], CircuitState::Open),
    ] {
        let (bench, handle) = bench();
        open(&bench).await;
        advance(10 * SECOND).await;
        assert_eq!(handle.state(), CircuitState::Open, "until somebody calls");
        for is_good in endings {
            if !is_good {
                bench
                    .script
                    .push(OperationKind::Exists, Step::FailBefore(timed_out()));
            }
            assert_eq!(exists(&bench).await.is_ok(), is_good);
        }
        assert_eq!(handle.state(), expected, "{endings:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_open_circuit_refuses_more_calls_than_it_needs() {
    let (bench, handle) = bench();
    open(&bench).await;
    advance(10 * SECOND).await;
    bench
        .script
        .push_times(2, OperationKind::Exists, || Step::Delay(SECOND));
    let (first, second) = (exists(&bench), exists(&bench));
    let (mut first, mut second) = (Box::pin(first), Box::pin(second));
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    let error = exists(&bench).await.expect_err("refused");
    assert_eq!(
        (Refusal::of(&error), error.retry()),
        (Some(Refusal::CircuitOpen), Retry::After(SECOND))
    );
    // A dropped call gives its place back.
    drop(second);
    exists(&bench).await.expect("passes");
    first.await.expect("passes");
    assert_eq!(handle.state(), CircuitState::Closed);
}

/// Two calls that end so; the state that follows.
async fn check_verdict(error: impl Fn() -> Error, expected: CircuitState) {
    let (bench, handle) = bench();
    bench
        .script
        .push_times(2, OperationKind::Exists, || Step::FailBefore(error()));
    for _ in 0..2 {
        exists(&bench).await.expect_err("it fails");
    }
    assert_eq!(handle.state(), expected, "{:?}", error());
}

#[tokio::test(start_paused = true)]
async fn only_what_says_that_the_store_fails_counts() {
    for kind in ErrorKind::ALL {
        let expected = match kind {
            ErrorKind::ProviderUnavailable
            | ErrorKind::Timeout
            | ErrorKind::RateLimited
            | ErrorKind::OutcomeUnknown => CircuitState::Open,
            ErrorKind::Storage
            | ErrorKind::InsufficientStorage
            | ErrorKind::AccessDenied
            | ErrorKind::Corruption
            | ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::PreconditionFailed
            | ErrorKind::InvalidInput
            | ErrorKind::Unsupported
            | ErrorKind::Configuration
            | ErrorKind::Rejected => CircuitState::Closed,
        };
        check_verdict(|| Error::new(kind, "x"), expected).await;
    }
    let storage = || Error::new(ErrorKind::Storage, "x");
    check_verdict(|| storage().with_status(500), CircuitState::Open).await;
    check_verdict(|| storage().with_status(499), CircuitState::Closed).await;
    check_verdict(|| storage().with_retry(Retry::Yes), CircuitState::Open).await;
    for refusal in [Refusal::QueueFull, Refusal::QueueTimeout, Refusal::CircuitOpen] {
        check_verdict(
            || Error::new(ErrorKind::RateLimited, "ours").with_source(refusal),
            CircuitState::Closed,
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_store_refuses_counts_as_an_answer() {
    let (bench, handle) = bench();
    let not_found = || Step::FailBefore(Error::not_found("no"));
    bench.script.push_times(98, OperationKind::Exists, not_found);
    for _ in 0..98 {
        exists(&bench).await.expect_err("not found");
    }
    open(&bench).await;
    assert_eq!(handle.state(), CircuitState::Closed, "2 of 100");
}

#[tokio::test(start_paused = true)]
async fn slow_answers_open_it_and_slow_uploads_do_not() {
    let (bench, handle) = bench();
    let late = || Step::Delay(5 * SECOND + SECOND / 1000);
    bench.script.push_times(2, OperationKind::Upload, late);
    for _ in 0..2 {
        let content = Content::from("x");
        bench
            .stack
            .upload(&key("a"), content, &UploadOptions::default())
            .await
            .expect("stored");
    }
    assert_eq!(handle.state(), CircuitState::Closed);
    bench
        .script
        .push_times(2, OperationKind::Exists, || Step::Delay(5 * SECOND));
    for _ in 0..2 {
        exists(&bench).await.expect("just in time");
    }
    assert_eq!(handle.state(), CircuitState::Closed);
    // All of the last calls must be slow: the default.
    let (bench, handle) = self::bench();
    bench.script.push_times(2, OperationKind::Exists, late);
    for _ in 0..2 {
        exists(&bench).await.expect("late");
    }
    assert_eq!(handle.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_wait_in_our_own_queue_is_no_slow_store() {
    let breaker = BreakerLayer::new(&config());
    let handle = breaker.handle();
    let limits = LimitsLayer::new(LimitsConfig::default().with_concurrency(1));
    let bench = Bench::new(vec![Arc::new(breaker), Arc::new(limits)]);
    bench
        .script
        .push_times(6, OperationKind::Exists, || Step::Delay(4 * SECOND));
    let calls = (0..6).map(|_| exists(&bench));
    for result in futures_util::future::join_all(calls).await {
        result.expect("answered");
    }
    assert_eq!(handle.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_stream_counts_when_it_ends() {
    let (bench, handle) = bench();
    let bytes = sample(1000);
    bench.put("a", bytes.clone()).await;
    let broken = || Step::BreakStream(500, unavailable());
    bench.script.push_times(2, OperationKind::Download, broken);
    let mut streams = Vec::new();
    for _ in 0..2 {
        let download = bench
            .download("a", DownloadOptions::default())
            .await
            .expect("opened");
        streams.push(download.into_stream());
    }
    assert_eq!(handle.state(), CircuitState::Closed, "both have answered");
    for mut pieces in streams {
        while let Some(Ok(_)) = pieces.next().await {}
    }
    assert_eq!(handle.state(), CircuitState::Open, "both broke");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_stream_gives_its_place_back_and_a_forgotten_one_keeps_it_for_a_time() {
    let (bench, handle) = bench();
    bench.put("a", "x").await;
    open(&bench).await;
    advance(10 * SECOND).await;
    let options = ListOptions::default();
    let held = bench.stack.list(&options).await.expect("the first");
    let dropped = bench.stack.list(&options).await.expect("the second");
    exists(&bench).await.expect_err("both are under way");
    drop(dropped);
    let forgotten = bench.stack.list(&options).await.expect("its place is free");
    exists(&bench).await.expect_err("both are under way");
    // Nobody reads the streams: another call is let in after the open time.
    advance(10 * SECOND).await;
    assert!(exists(&bench).await.expect("one more"));
    assert_eq!(handle.state(), CircuitState::HalfOpen);
    assert_eq!(held.count().await, 1);
    assert_eq!(
        handle.state(),
        CircuitState::Closed,
        "a stream that ended is the second result"
    );
    drop(forgotten);
}

#[tokio::test(start_paused = true)]
async fn probes_alone_close_a_circuit() {
    let (bench, handle) = bench();
    open(&bench).await;
    bench
        .script
        .push(OperationKind::Probe, Step::FailBefore(unavailable()));
    probe(&bench).await.expect_err("it fails");
    assert_eq!(handle.state(), CircuitState::Open);
    assert_eq!(handle.open_for(), Some(10 * SECOND), "no longer than before");
    let mut states = Vec::new();
    for _ in 0..3 {
        probe(&bench).await.expect("it works");
        states.push(handle.state());
    }
    let expected = [
        CircuitState::HalfOpen,
        CircuitState::HalfOpen,
        CircuitState::Closed,
    ];
    assert_eq!(states, expected);
}

#[tokio::test(start_paused = true)]
async fn a_delete_of_many_fails_if_every_key_does() {
    let failed = |failed: usize| {
        let keys = (0..3).map(|number| DeletedKey {
            key: key(&format!("k{number}")),
            outcome: if number < failed {
                Err(unavailable())
            } else {
                Ok(boards_storage_core::DeleteOutcome::Existed)
            },
        });
        Step::Answer(Outcome::DeleteMany(keys.collect()))
    };
    for (count, expected) in [(2, CircuitState::Closed), (3, CircuitState::Open)] {
        let (bench, handle) = bench();
        bench
            .script
            .push_times(2, OperationKind::DeleteMany, || failed(count));
        let keys = [key("k0"), key("k1"), key("k2")];
        for _ in 0..2 {
            bench
                .stack
                .delete_many(&keys, &DeleteOptions::default())
                .await
                .expect("answered");
        }
        assert_eq!(handle.state(), expected, "{count} of 3");
    }
}

#[tokio::test(start_paused = true)]
async fn content_that_fails_says_nothing_of_the_store() {
    let (bench, handle) = bench();
    for _ in 0..5 {
        let pieces = vec![Ok(Bytes::from_static(b"x")), Err(unavailable())];
        let content = Content::from_stream(None, stream::iter(pieces));
        let options = UploadOptions::default();
        let result = bench.stack.upload(&key("a"), content, &options).await;
        assert_eq!(
            result.expect_err("it breaks").kind(),
            ErrorKind::ProviderUnavailable
        );
    }
    assert_eq!(handle.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn without_the_layer_a_store_that_is_down_is_asked_for_ever() {
    let breaker: Arc<dyn Layer> = Arc::new(BreakerLayer::new(&config()));
    for (layers, sent) in [(vec![breaker], 2), (Vec::new(), 50)] {
        let bench = Bench::new(layers);
        bench.script.otherwise(|_| Step::FailBefore(unavailable()));
        for _ in 0..50 {
            exists(&bench).await.expect_err("down");
            sleep(SECOND / 100).await;
        }
        assert_eq!(bench.calls(), sent);
    }
}
