//! Hedging: a read whose answer is late is asked for a second time, and the first answer wins.
//!
//! Here: the settings, the layer and its budget. What is late is known by `latency`.

mod latency;

use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use boards_storage_core::{Layer, Next, Operation, OperationKind, Outcome, Result};
use futures_util::future::{Either, select};
use tokio::time::{Instant, timeout};

use self::latency::Latencies;

/// When a read is asked for a second time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HedgeConfig {
    /// The second request is sent when so many percent of the last reads of its kind were answered; 99 at most.
    /// Default: 95.
    pub percentile: u32,
    /// The reads of a kind that must have been seen before one is asked for twice; 1,000 at most. Default: 50.
    pub samples_min: u32,
    /// The shortest wait before the second request. Default: 5 ms.
    pub delay_min: Duration,
    /// The longest wait before the second request. Default: 5 s.
    pub delay_max: Duration,
    /// The second requests, in percent of all reads, that are sent at most; 100 at most. Default: 5.
    pub extra_load_percent: u32,
}

impl Default for HedgeConfig {
    fn default() -> Self {
        Self {
            percentile: 95,
            samples_min: 50,
            delay_min: Duration::from_millis(5),
            delay_max: Duration::from_secs(5),
            extra_load_percent: 5,
        }
    }
}

impl HedgeConfig {
    /// Sets how many percent of the reads must be answered before a second request.
    #[must_use]
    pub fn with_percentile(mut self, percent: u32) -> Self {
        self.percentile = percent;
        self
    }

    /// Sets how many reads of a kind must have been seen.
    #[must_use]
    pub fn with_samples_min(mut self, samples: u32) -> Self {
        self.samples_min = samples;
        self
    }

    /// Sets the shortest wait before the second request.
    #[must_use]
    pub fn with_delay_min(mut self, delay: Duration) -> Self {
        self.delay_min = delay;
        self
    }

    /// Sets the longest wait before the second request.
    #[must_use]
    pub fn with_delay_max(mut self, delay: Duration) -> Self {
        self.delay_max = delay;
        self
    }

    /// Sets how many second requests are sent at most.
    #[must_use]
    pub fn with_extra_load_percent(mut self, percent: u32) -> Self {
        self.extra_load_percent = percent;
        self
    }
}

/// Asks for a read a second time when its answer is late, and gives the first that succeeds.
///
/// An instance belongs to one stack: it has learned that provider's latencies. It stands outside the retry, so that the
/// second request is a call of its own, with its own attempts, permit and place in the breaker's count.
///
/// - `download`, `metadata`, `exists`, `list` and `list_parts` are hedged, all up to their answer only: a stream that has
///   begun is that of one request. Nothing that changes the store ever is.
/// - Late is what takes longer than the percentile of the last 1,000 successful reads of the same kind, between
///   `delay_min` and `delay_max`; before `samples_min` of them there is no second request.
/// - A second request is sent only if the budget has it: each read adds `extra_load_percent` of one, and 10 can be
///   saved. So an outage, in which every read is late, is not made worse.
/// - The first success wins; the other request is dropped, and with it its permit and its connection. If both fail, the
///   error is that of the first. An error before a second request was sent passes as it is.
#[derive(Debug)]
pub struct HedgeLayer {
    config: HedgeConfig,
    latencies: Latencies,
    budget: Budget,
}

impl Default for HedgeLayer {
    fn default() -> Self {
        Self::new(HedgeConfig::default())
    }
}

impl HedgeLayer {
    /// Creates the layer, which has seen nothing yet.
    #[must_use]
    pub fn new(config: HedgeConfig) -> Self {
        Self {
            latencies: Latencies::new(config.percentile, config.samples_min),
            budget: Budget::new(config.extra_load_percent),
            config,
        }
    }

    /// Returns after how long a read of this kind is late; `None` while too few were seen.
    fn delay(&self, kind: OperationKind) -> Option<Duration> {
        let late = self.latencies.late(kind)?;
        Some(late.max(self.config.delay_min).min(self.config.delay_max))
    }
}

#[async_trait]
impl Layer for HedgeLayer {
    fn name(&self) -> &'static str {
        "hedge"
    }

    fn is_needed(&self, operation: &Operation) -> bool {
        latency::is_hedged(operation.kind())
    }

    async fn around(&self, operation: Operation, next: Next) -> Result<Outcome> {
        let kind = operation.kind();
        self.budget.earn();
        let started = Instant::now();
        let Some(delay) = self.delay(kind) else {
            let result = next.run(operation).await;
            self.latencies.note(kind, started, &result);
            return result;
        };
        let mut first = pin!(next.clone().run(operation.clone()));
        if let Ok(result) = timeout(delay, first.as_mut()).await {
            self.latencies.note(kind, started, &result);
            return result;
        }
        if !self.budget.take() {
            let result = first.await;
            self.latencies.note(kind, started, &result);
            return result;
        }
        let second_started = Instant::now();
        let second = pin!(next.run(operation));
        match select(first, second).await {
            Either::Left((Ok(outcome), _second)) => {
                self.latencies.add(kind, started.elapsed());
                Ok(outcome)
            }
            Either::Left((Err(error), second)) => match second.await {
                Ok(outcome) => {
                    self.latencies.add(kind, second_started.elapsed());
                    Ok(outcome)
                }
                Err(_of_the_second) => Err(error),
            },
            Either::Right((Ok(outcome), _first)) => {
                self.latencies.add(kind, second_started.elapsed());
                Ok(outcome)
            }
            Either::Right((Err(_of_the_second), first)) => {
                let result = first.await;
                self.latencies.note(kind, started, &result);
                result
            }
        }
    }
}

/// What a second request costs, in the units that each read earns `extra_load_percent` of.
const COST: u32 = 100;

/// The second requests that can be saved up.
const SAVED_MAX: u32 = 10 * COST;

/// The second requests that may be sent.
#[derive(Debug)]
struct Budget {
    earned: AtomicU32,
    percent: u32,
}

impl Budget {
    fn new(percent: u32) -> Self {
        Self {
            earned: AtomicU32::new(0),
            percent: percent.min(COST),
        }
    }

    fn earn(&self) {
        let _full = self
            .earned
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |earned| {
                (earned < SAVED_MAX).then_some((earned + self.percent).min(SAVED_MAX))
            });
    }

    fn take(&self) -> bool {
        self.earned
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |earned| {
                earned.checked_sub(COST)
            })
            .is_ok()
    }
}
