//! Who may begin: so many at a time, so many a second, and a bounded number that waits.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use crate::own_wait;
use crate::refusal::Refusal;

/// How many calls of a rate may come at once, as a part of a second.
const BURST_PER_SECOND: u32 = 10;

/// The calls that run and the calls that wait.
#[derive(Debug)]
pub(super) struct Queue {
    /// Fair: who waits first is first.
    running: Arc<Semaphore>,
    rate: Option<Rate>,
    waiting: AtomicUsize,
    length_max: usize,
    time_max: Duration,
}

impl Queue {
    pub(super) fn new(
        concurrency: u32,
        per_second: Option<NonZeroU32>,
        length_max: u32,
        time_max: Duration,
    ) -> Self {
        let permits = usize::try_from(concurrency.max(1)).unwrap_or(usize::MAX);
        Self {
            running: Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))),
            rate: per_second.map(Rate::new),
            waiting: AtomicUsize::new(0),
            length_max: usize::try_from(length_max).unwrap_or(usize::MAX),
            time_max,
        }
    }

    /// Waits for a call's turn. Dropped while it waits, it leaves the queue.
    pub(super) async fn enter(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let permit = Arc::clone(&self.running).try_acquire_owned().ok();
        let permit = match (permit, &self.rate) {
            (Some(permit), None) => return Ok(permit),
            (Some(permit), Some(rate)) if rate.try_pass() => return Ok(permit),
            (permit, _) => permit,
        };
        let _place = self.line_up()?;
        match own_wait::spend(timeout(self.time_max, self.wait(permit))).await {
            Ok(permit) => Ok(permit),
            Err(_elapsed) => Err(Refusal::QueueTimeout),
        }
    }

    async fn wait(&self, permit: Option<OwnedSemaphorePermit>) -> OwnedSemaphorePermit {
        let permit = match permit {
            Some(permit) => permit,
            None => Arc::clone(&self.running)
                .acquire_owned()
                .await
                .expect("the semaphore is never closed"),
        };
        if let Some(rate) = &self.rate {
            rate.pass().await;
        }
        permit
    }

    fn line_up(&self) -> Result<Waiting<'_>, Refusal> {
        let entered = self
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
                (waiting < self.length_max).then_some(waiting + 1)
            });
        match entered {
            Ok(_before) => Ok(Waiting(&self.waiting)),
            Err(_full) => Err(Refusal::QueueFull),
        }
    }
}

/// A place in the queue.
struct Waiting<'q>(&'q AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many calls begin in a second.
#[derive(Debug)]
struct Rate {
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>,
    /// Held by the one whose turn is next, so that they pass in the order in which they came.
    gate: Mutex<()>,
    clock: TokioClock,
}

impl Rate {
    fn new(per_second: NonZeroU32) -> Self {
        let burst = NonZeroU32::new(per_second.get() / BURST_PER_SECOND).unwrap_or(NonZeroU32::MIN);
        let clock = TokioClock {
            epoch: Instant::now(),
        };
        Self {
            limiter: RateLimiter::direct_with_clock(Quota::per_second(per_second).allow_burst(burst), clock),
            gate: Mutex::new(()),
            clock,
        }
    }

    /// Passes if nobody waits and the rate has room.
    fn try_pass(&self) -> bool {
        self.gate
            .try_lock()
            .is_ok_and(|_gate| self.limiter.check().is_ok())
    }

    async fn pass(&self) {
        let _gate = self.gate.lock().await;
        while let Err(too_early) = self.limiter.check() {
            sleep(too_early.wait_time_from(self.clock.now())).await;
        }
    }
}

/// tokio's clock, which tests can pause.
#[derive(Clone, Copy, Debug)]
struct TokioClock {
    epoch: Instant,
}

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }
}
