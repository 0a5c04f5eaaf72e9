//! Each layer alone, and all of them, over the memory store with every capability: the conformance suite must not
//! notice.

use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{
    BoxFuture, Layer, Next, Operation, Outcome, Result, SharedProvider, Stack, StorageKey, async_trait,
};
use boards_storage_layers::{
    BreakerLayer, ContextLayer, DeadlineLayer, HedgeConfig, HedgeLayer, LimitsConfig, LimitsLayer, Metrics,
    MetricsLayer, RetryLayer, TimeoutLayer, TracingLayer,
};
use boards_storage_testkit::MemoryProvider;
use boards_storage_testkit::conformance::{self, Fixture, Suite};
use tokio::time::Instant;
use tracing_subscriber::Registry;

type Layers = fn() -> Vec<Arc<dyn Layer>>;

fn main() {
    // With nobody listening the tracing layer would do nothing.
    tracing::subscriber::set_global_default(Registry::default()).expect("the first one");
    let suites: [(&str, Layers); 10] = [
        ("retry", || vec![Arc::new(RetryLayer::default())]),
        ("breaker", || vec![Arc::new(BreakerLayer::default())]),
        ("limits", || vec![Arc::new(LimitsLayer::new(limits()))]),
        ("hedge", || vec![Arc::new(HedgeLayer::new(hedge()))]),
        ("timeout", || vec![Arc::new(TimeoutLayer::default())]),
        ("deadline", || {
            vec![Arc::new(SetDeadline), Arc::new(DeadlineLayer::new())]
        }),
        ("tracing", || {
            vec![Arc::new(TracingLayer::call()), Arc::new(TracingLayer::attempt())]
        }),
        ("metrics", || {
            let metrics = Metrics::default();
            vec![
                Arc::new(MetricsLayer::call(&metrics)),
                Arc::new(MetricsLayer::attempt(&metrics)),
            ]
        }),
        ("context", || vec![Arc::new(ContextLayer::new())]),
        ("all", || {
            let metrics = Metrics::default();
            vec![
                Arc::new(SetDeadline),
                Arc::new(DeadlineLayer::new()),
                Arc::new(MetricsLayer::call(&metrics)),
                Arc::new(TracingLayer::call()),
                Arc::new(HedgeLayer::new(hedge())),
                Arc::new(RetryLayer::default()),
                Arc::new(BreakerLayer::default()),
                Arc::new(LimitsLayer::new(limits())),
                Arc::new(MetricsLayer::attempt(&metrics)),
                Arc::new(TracingLayer::attempt()),
                Arc::new(TimeoutLayer::default()),
                Arc::new(ContextLayer::new()),
            ]
        }),
    ];
    conformance::run_all(suites.map(|(name, layers)| Suite::new(name, move || fixture(layers))));
}

/// Every limit at work, and none so low that the suite would feel it.
fn limits() -> LimitsConfig {
    LimitsConfig::default()
        .with_requests_per_second(1_000_000)
        .with_upload_bytes_per_second(1 << 40)
        .with_download_bytes_per_second(1 << 40)
}

/// Every read that takes a millisecond is asked for twice.
fn hedge() -> HedgeConfig {
    HedgeConfig::default()
        .with_samples_min(1)
        .with_delay_min(Duration::ZERO)
        .with_delay_max(Duration::from_millis(1))
        .with_extra_load_percent(100)
}

/// A stack over a memory store. The second handle has the same layers, as another process would.
fn fixture(layers: Layers) -> BoxFuture<'static, Result<Fixture>> {
    let memory = MemoryProvider::new();
    let stack = move |memory: &Arc<MemoryProvider>| {
        Arc::new(Stack::new("main", Arc::clone(memory) as SharedProvider, layers())) as SharedProvider
    };
    let (second, damaged) = (Arc::clone(&memory), Arc::clone(&memory));
    let fixture = Fixture::new(stack(&memory))
        .with_executor(memory.executor())
        .with_second(move || {
            let second = stack(&second);
            Box::pin(async { Ok(second) })
        })
        .with_damage(move |key: StorageKey| {
            let damaged = Arc::clone(&damaged);
            Box::pin(async move { damaged.damage(&key) })
        });
    Box::pin(async { Ok(fixture) })
}

/// Gives each call a deadline: without one the deadline layer would do nothing.
#[derive(Debug)]
struct SetDeadline;

#[async_trait]
impl Layer for SetDeadline {
    fn name(&self) -> &'static str {
        "set_deadline"
    }

    async fn around(&self, mut operation: Operation, next: Next) -> Result<Outcome> {
        let deadline = Instant::now() + Duration::from_hours(1);
        operation.context_mut().deadline.get_or_insert(deadline);
        next.run(operation).await
    }
}
