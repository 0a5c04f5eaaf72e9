//! Retry beside the refusals of our own layers, and beside a model of its attempts and its tokens.

use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{
    CallOptions, Content, DownloadOptions, Error, ErrorKind, OperationKind, Precondition, Retry,
    StorageProvider, UploadOptions,
};
use boards_storage_layers::{BreakerConfig, BreakerLayer, Refusal, RetryConfig, RetryLayer};
use boards_storage_testkit::Step;
use proptest::prelude::{Just, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use tokio::time::advance;

use crate::support::{Bench, key, sample, timed, unavailable};

const SECOND: Duration = Duration::from_secs(1);

fn open_for(wait: Duration) -> Error {
    Error::new(ErrorKind::ProviderUnavailable, "the circuit breaker is open")
        .with_retry(Retry::After(wait))
        .with_source(Refusal::CircuitOpen)
}

fn queue_full() -> Error {
    Error::new(ErrorKind::RateLimited, "our queue is full").with_source(Refusal::QueueFull)
}

/// No wait of our own, so that all waits are those that are asked for.
fn config() -> RetryConfig {
    RetryConfig::default()
        .with_delay_initial(Duration::ZERO)
        .with_delay_max(20 * SECOND)
}

async fn exists(bench: &Bench) -> (boards_storage_core::Result<bool>, Duration) {
    timed(bench.stack.exists(&key("a"), &CallOptions::default())).await
}

#[tokio::test(start_paused = true)]
async fn a_breaker_is_waited_for_no_longer_than_a_backoff() {
    for (wait, is_waited_for) in [(2, true), (3, false)] {
        let bench = Bench::with_retry(config().with_delay_initial(2 * SECOND));
        bench
            .script
            .push(OperationKind::Exists, Step::FailBefore(open_for(wait * SECOND)));
        let (result, took) = exists(&bench).await;
        if is_waited_for {
            assert!(
                result.is_ok() && (wait * SECOND..=2 * wait * SECOND).contains(&took),
                "{result:?} after {took:?}"
            );
        } else {
            let error = result.expect_err("at once");
            assert_eq!(
                (error.retry(), error.attempts()),
                (Retry::After(wait * SECOND), 0)
            );
            assert_eq!(
                (Refusal::of(&error), took),
                (Some(Refusal::CircuitOpen), Duration::ZERO)
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_was_the_wait() {
    let bench = Bench::with_retry(config());
    bench
        .script
        .push(OperationKind::Exists, Step::FailBefore(queue_full()));
    let error = exists(&bench).await.0.expect_err("at once");
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::RateLimited, Retry::Yes)
    );
    assert_eq!(
        (bench.calls(), Refusal::of(&error)),
        (1, Some(Refusal::QueueFull))
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_something_was_sent_keeps_what_the_store_said() {
    for refusal in [open_for(30 * SECOND), queue_full()] {
        let bench = Bench::with_retry(config());
        let kind = refusal.kind();
        bench
            .script
            .push(OperationKind::Exists, Step::FailBefore(unavailable()));
        bench
            .script
            .push(OperationKind::Exists, Step::FailBefore(refusal));
        let error = exists(&bench).await.0.expect_err("refused");
        assert_eq!(
            (error.kind(), error.retry(), error.attempts()),
            (kind, Retry::Exhausted, 2)
        );
        assert_eq!(Refusal::of(&error), None, "something was sent");
        let cause = std::error::Error::source(&error).expect("the store's error");
        assert_eq!(cause.to_string(), "connection reset");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_write_has_not_landed() {
    let bench = Bench::with_retry(config());
    bench.put("a", "of somebody else").await;
    bench
        .script
        .push(OperationKind::Upload, Step::FailBefore(open_for(Duration::ZERO)));
    let options = UploadOptions::default().with_precondition(Precondition::IfAbsent);
    let result = bench.stack.upload(&key("a"), Content::from("x"), &options).await;
    assert_eq!(result.expect_err("it is there").kind(), ErrorKind::AlreadyExists);
    assert_eq!(
        bench.script.count(OperationKind::Metadata),
        0,
        "nobody had to look"
    );
}

#[tokio::test(start_paused = true)]
async fn a_broken_stream_waits_for_the_breaker() {
    let bench = Bench::with_retry(config());
    bench.put("a", sample(1000)).await;
    bench
        .script
        .push(OperationKind::Download, Step::BreakStream(500, unavailable()));
    bench
        .script
        .push(OperationKind::Download, Step::FailBefore(open_for(60 * SECOND)));
    let download = bench.download("a", DownloadOptions::default()).await;
    let (bytes, took) = timed(download.expect("opened").bytes(1000)).await;
    assert_eq!((bytes.expect("whole"), took), (sample(1000), 60 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_is_no_storm_and_spends_no_tokens() {
    let breaker = BreakerLayer::new(
        &BreakerConfig::default()
            .with_calls_min(2)
            .with_half_open_calls(1)
            .with_open_time(30 * SECOND),
    );
    // As many tokens as the two failures that open it cost.
    let retry = config().with_delay_initial(SECOND).with_budget_tokens_max(28);
    let retry = RetryLayer::new(retry);
    let bench = Bench::new(vec![Arc::new(retry), Arc::new(breaker)]);
    bench
        .script
        .push_times(2, OperationKind::Exists, || Step::FailBefore(unavailable()));
    exists(&bench).await.0.expect_err("refused at the third attempt");
    for _ in 0..1000 {
        exists(&bench).await.0.expect_err("refused");
    }
    assert_eq!(bench.calls(), 2, "nothing was sent");
    // Shortly before the time is over a call waits for it.
    advance(29 * SECOND).await;
    let (result, took) = exists(&bench).await;
    assert!(result.is_ok(), "{result:?}");
    assert!(took <= 2 * SECOND, "{took:?}");
}

/// What one attempt meets.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Unavailable,
    Throttled,
    Denied,
    CircuitOpen,
    QueueFull,
}

impl Failure {
    fn error(self) -> Error {
        match self {
            Self::Unavailable => unavailable(),
            Self::Throttled => crate::support::throttled(SECOND),
            Self::Denied => Error::new(ErrorKind::AccessDenied, "no"),
            Self::CircuitOpen => open_for(Duration::ZERO),
            Self::QueueFull => queue_full(),
        }
    }
}

/// What the attempts of one call, and the tokens that are left, should be.
fn expect(
    failures: &[Failure],
    attempts_max: usize,
    tokens: &mut u32,
    tokens_max: u32,
) -> (usize, Option<Retry>) {
    for attempt in 1.. {
        let Some(failure) = failures.get(attempt - 1) else {
            *tokens = tokens_max.min(*tokens + 1);
            return (attempt, None);
        };
        let cost = match failure {
            Failure::Denied => return (attempt, Some(Retry::No)),
            Failure::QueueFull if attempt == 1 => return (attempt, Some(Retry::Yes)),
            Failure::QueueFull => return (attempt, Some(Retry::Exhausted)),
            Failure::CircuitOpen => 0,
            Failure::Throttled => 5,
            Failure::Unavailable => 14,
        };
        if attempt == attempts_max || *tokens < cost {
            return (attempt, Some(Retry::Exhausted));
        }
        *tokens -= cost;
    }
    unreachable!("the loop ends by itself");
}

async fn run(attempts_max: u32, tokens_max: u32, calls: &[Vec<Failure>]) {
    let config = config()
        .with_attempts_max(attempts_max)
        .with_budget_tokens_max(tokens_max);
    let bench = Bench::with_retry(config);
    let mut tokens = tokens_max;
    for (number, failures) in calls.iter().enumerate() {
        for failure in failures {
            bench
                .script
                .push(OperationKind::Exists, Step::FailBefore(failure.error()));
        }
        let before = bench.calls();
        let retry = exists(&bench).await.0.err().map(|error| error.retry());
        bench.script.clear();
        let expected = expect(failures, attempts_max as usize, &mut tokens, tokens_max);
        assert_eq!(
            (bench.calls() - before, retry),
            expected,
            "call {number} with {failures:?}"
        );
    }
}

#[test]
fn attempts_and_tokens_are_those_of_the_model() {
    let failure = prop_oneof![
        4 => Just(Failure::Unavailable),
        3 => Just(Failure::Throttled),
        1 => Just(Failure::Denied),
        2 => Just(Failure::CircuitOpen),
        1 => Just(Failure::QueueFull),
    ];
    let calls = proptest::collection::vec(proptest::collection::vec(failure, 0..5), 1..30);
    let cases = Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(cases)
        .run(
            &(1..5_u32, 0..60_u32, calls),
            |(attempts_max, tokens_max, calls)| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .start_paused(true)
                    .build()
                    .expect("a runtime");
                runtime.block_on(run(attempts_max, tokens_max, &calls));
                Ok(())
            },
        )
        .unwrap_or_else(|failure| panic!("{failure}"));
}
