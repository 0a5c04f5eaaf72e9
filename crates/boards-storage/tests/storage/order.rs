//! The order of the default layers, by what follows from it: the whole stack over a scripted memory store.

use std::sync::Arc;
use std::time::Duration;

use boards_storage::{
    CallContext, CallOptions, CircuitState, Content, Error, ErrorKind, OperationKind, ResilienceSettings,
    Result, Retry, Stack, StorageKey, StorageProvider, UploadOptions, default_layers, layers::Metrics,
};
use boards_storage_testkit::{MemoryProvider, Script, Step};
use bytes::Bytes;
use futures_util::{future::join_all, poll, stream};
use tokio::time::{Instant, advance};

const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    script: Arc<Script>,
    stack: Stack,
}

impl Bench {
    fn new(change: impl FnOnce(&mut ResilienceSettings)) -> Self {
        let mut settings = ResilienceSettings::default();
        change(&mut settings);
        let script = Script::new();
        let mut layers = default_layers(&settings, None).into_layers();
        layers.push(Arc::clone(&script) as _);
        Self {
            stack: Stack::new("main", MemoryProvider::new(), layers),
            script,
        }
    }

    async fn exists(&self) -> Result<bool> {
        self.stack.exists(&key(), &CallOptions::default()).await
    }

    async fn exists_within(&self, time: Duration) -> Result<bool> {
        let context = CallContext::default().with_deadline_in(time);
        self.stack
            .exists(&key(), &CallOptions::default().with_context(context))
            .await
    }
}

fn key() -> StorageKey {
    StorageKey::parse("a").expect("a key")
}

fn unavailable(wait: Duration) -> Error {
    Error::new(ErrorKind::ProviderUnavailable, "down").with_retry(Retry::After(wait))
}

#[test]
fn the_layers_stand_in_this_order_and_can_be_switched_off() {
    let names = |settings: &ResilienceSettings| {
        let stack = default_layers(settings, Some(&Metrics::default())).around("main", MemoryProvider::new());
        stack.layer_names().collect::<Vec<_>>()
    };
    let mut settings = ResilienceSettings::default();
    settings.hedge.enabled = true;
    let all = names(&settings);
    let position = |name: &str| all.iter().position(|known| *known == name);
    let order = [
        "deadline",
        "metrics_call",
        "tracing_call",
        "hedge",
        "retry",
        "breaker",
        "limits",
        "metrics_attempt",
        "tracing_attempt",
        "timeout",
        "context",
    ];
    let positions: Vec<_> = order.iter().map(|name| position(name)).collect();
    assert!(
        positions.iter().all(Option::is_some) && positions.is_sorted(),
        "{all:?}"
    );
    assert!(default_layers(&settings, None).breaker().is_some());
    let mut off = settings.clone();
    off.hedge.enabled = false;
    off.retry.enabled = false;
    off.breaker.enabled = false;
    off.limits.enabled = false;
    off.timeout.enabled = false;
    let switched = ["hedge", "retry", "breaker", "limits", "timeout"];
    let expected: Vec<_> = all
        .iter()
        .copied()
        .filter(|name| !switched.contains(name))
        .collect();
    assert_eq!(names(&off), expected);
    assert!(default_layers(&off, None).breaker().is_none());
    assert!(
        !names(&ResilienceSettings::default()).contains(&"hedge"),
        "off by default"
    );
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_an_attempt_starts_with_its_permit() {
    let bench = Bench::new(|settings| {
        settings.limits.concurrency = 1;
        settings.timeout.control = (10 * SECOND).into();
    });
    bench.script.otherwise(|_| Step::Delay(8 * SECOND));
    let started = Instant::now();
    for result in join_all((0..3).map(|_| bench.exists())).await {
        result.expect("8 seconds each are not too many");
    }
    assert_eq!(started.elapsed(), 24 * SECOND);
    assert_eq!(
        bench.script.count(OperationKind::Exists),
        3,
        "nothing was repeated"
    );
}

#[tokio::test(start_paused = true)]
async fn the_deadline_covers_the_queue_the_attempts_and_the_waits_between_them() {
    let bench = Bench::new(|settings| settings.limits.concurrency = 1);
    bench.script.push(OperationKind::Exists, Step::Delay(8 * SECOND));
    let mut running = Box::pin(bench.exists());
    assert!(poll!(&mut running).is_pending());
    let started = Instant::now();
    let error = bench.exists_within(3 * SECOND).await.expect_err("it waits");
    assert_eq!(
        (error.kind(), error.retry(), started.elapsed()),
        (ErrorKind::Timeout, Retry::No, 3 * SECOND)
    );
    running.await.expect("answered");

    bench
        .script
        .push(OperationKind::Exists, Step::FailBefore(unavailable(2 * SECOND)));
    bench.script.push(OperationKind::Exists, Step::Stall);
    let started = Instant::now();
    let error = bench.exists_within(3 * SECOND).await.expect_err("it stalls");
    assert_eq!(
        (error.kind(), started.elapsed()),
        (ErrorKind::Timeout, 3 * SECOND)
    );
}

#[tokio::test(start_paused = true)]
async fn every_attempt_counts_for_the_breaker() {
    let mut settings = ResilienceSettings::default();
    settings.breaker.calls_min = 3;
    let defaults = default_layers(&settings, None);
    let breaker = defaults.breaker().expect("it is on").clone();
    let script = Script::new();
    let mut layers = defaults.into_layers();
    layers.push(Arc::clone(&script) as _);
    let stack = Stack::new("main", MemoryProvider::new(), layers);
    let options = CallOptions::default();
    script.push_times(3, OperationKind::Exists, || {
        Step::FailBefore(unavailable(Duration::ZERO))
    });
    let key = key();
    let error = stack.exists(&key, &options).await.expect_err("three attempts");
    assert_eq!((error.retry(), error.attempts()), (Retry::Exhausted, 3));
    assert_eq!(breaker.state(), CircuitState::Open);
    let started = Instant::now();
    let error = stack.exists(&key, &options).await.expect_err("refused");
    assert_eq!(error.retry(), Retry::After(30 * SECOND));
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(script.count(OperationKind::Exists), 3);
}

#[tokio::test(start_paused = true)]
async fn a_backoff_holds_no_permit() {
    let bench = Bench::new(|settings| settings.limits.concurrency = 1);
    bench
        .script
        .push(OperationKind::Exists, Step::FailBefore(unavailable(5 * SECOND)));
    let mut first = Box::pin(bench.exists());
    assert!(poll!(&mut first).is_pending());
    let started = Instant::now();
    bench.exists().await.expect("the permit is free");
    assert_eq!(started.elapsed(), Duration::ZERO);
    advance(5 * SECOND).await;
    first.await.expect("at the second attempt");
}

#[tokio::test(start_paused = true)]
async fn a_slow_pace_is_no_stall() {
    let bench = Bench::new(|settings| {
        settings.limits.upload_per_second = boards_storage::ByteSize::from_bytes(100_000);
        settings.timeout.idle = SECOND.into();
    });
    let pieces = (0..4).map(|_| Ok(Bytes::from(vec![0; 100_000])));
    let content = Content::from_stream(Some(400_000), stream::iter(pieces.collect::<Vec<_>>()));
    let started = Instant::now();
    let uploads = [
        bench
            .stack
            .upload(&key(), content, &UploadOptions::default())
            .await,
        bench
            .stack
            .upload(&key(), Content::from(vec![0; 400_000]), &UploadOptions::default())
            .await,
    ];
    for upload in uploads {
        assert_eq!(upload.expect("stored").size_bytes, 400_000);
    }
    assert!(started.elapsed() > 7 * SECOND, "{:?}", started.elapsed());
}
