//! The circuit breaker: a store that fails is left alone for a while.
//!
//! Here: the settings, the layer, its handle, and what it tells the world. The states are in `circuit`, the rates in
//! `window`, what counts in `verdict`.

mod circuit;
mod sync;
mod verdict;
mod window;

use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use boards_storage_core::{
    CircuitState, Error, ErrorKind, Layer, Next, Operation, OperationKind, Outcome, Result, Retry,
};
use futures_core::Stream;
use tokio::time::Instant;

use self::circuit::{Admission, Circuit, Entrant, Refused, Rules, Transition};
use self::verdict::{ContentWatch, Verdict};
use self::window::{Sample, WindowSize};
use crate::context::Place;
use crate::metrics::CIRCUIT;
use crate::own_wait;
use crate::refusal::Refusal;
use crate::stream::{Piece, Pieces, Wrap, has_stream, wrap_stream};

/// When a circuit opens, and how it closes again. The meaning of each is resilience4j's; so are the defaults, where
/// no other reason is given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerConfig {
    /// Over which calls the rates are taken. Default: the last 100 calls.
    pub window: BreakerSpan,
    /// The calls that must be in the window before its rates count; no more than the window holds. 0 counts as 1.
    /// Default: 10, as a quiet application would take very long to make the 100 of resilience4j.
    pub calls_min: u32,
    /// The part of failed calls, in percent, that opens the circuit. Default: 50.
    pub failure_rate_percent: u32,
    /// The part of slow calls, in percent, that opens the circuit. Default: 100.
    pub slow_rate_percent: u32,
    /// A call that takes longer is slow. Default: 10 s: less than the timeout of a call (30 s), after which it is a
    /// failure anyway.
    pub slow_time: Duration,
    /// How long an open circuit refuses. Default: 30 s.
    pub open_time: Duration,
    /// How many calls a half-open circuit lets through to find out. 0 counts as 1. Default: 5.
    pub half_open_calls: u32,
}

/// Over which calls the rates of a circuit are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerSpan {
    /// The last so many. 0 counts as 1.
    Calls(u32),
    /// Those of the last so much time, which is counted in thirtieths.
    Time(Duration),
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            window: BreakerSpan::Calls(100),
            calls_min: 10,
            failure_rate_percent: 50,
            slow_rate_percent: 100,
            slow_time: Duration::from_secs(10),
            open_time: Duration::from_secs(30),
            half_open_calls: 5,
        }
    }
}

impl BreakerConfig {
    /// Sets over which calls the rates are taken.
    #[must_use]
    pub fn with_window(mut self, window: BreakerSpan) -> Self {
        self.window = window;
        self
    }

    /// Sets how many calls must be in the window before its rates count.
    #[must_use]
    pub fn with_calls_min(mut self, calls: u32) -> Self {
        self.calls_min = calls;
        self
    }

    /// Sets the part of failed calls that opens the circuit.
    #[must_use]
    pub fn with_failure_rate_percent(mut self, percent: u32) -> Self {
        self.failure_rate_percent = percent;
        self
    }

    /// Sets the part of slow calls that opens the circuit.
    #[must_use]
    pub fn with_slow_rate_percent(mut self, percent: u32) -> Self {
        self.slow_rate_percent = percent;
        self
    }

    /// Sets how long a call may take that is not slow.
    #[must_use]
    pub fn with_slow_time(mut self, time: Duration) -> Self {
        self.slow_time = time;
        self
    }

    /// Sets how long an open circuit refuses.
    #[must_use]
    pub fn with_open_time(mut self, time: Duration) -> Self {
        self.open_time = time;
        self
    }

    /// Sets how many calls a half-open circuit lets through.
    #[must_use]
    pub fn with_half_open_calls(mut self, calls: u32) -> Self {
        self.half_open_calls = calls;
        self
    }

    fn rules(&self) -> Rules {
        let window = match self.window {
            BreakerSpan::Calls(calls) => {
                WindowSize::Calls(usize::try_from(calls.max(1)).unwrap_or(usize::MAX))
            }
            BreakerSpan::Time(time) => WindowSize::Time(time),
        };
        Rules {
            window,
            calls_min: self.calls_min.into(),
            failure_percent: self.failure_rate_percent.into(),
            slow_percent: self.slow_rate_percent.into(),
            open_time: self.open_time,
            half_open_calls: self.half_open_calls.into(),
        }
    }
}

/// Refuses calls to a store that fails, until it may have recovered.
///
/// An instance belongs to one stack: its circuit is that provider's. It stands inside the retry, so that it counts
/// every attempt, and outside the limits, so that a refused call does not queue.
///
/// # States
///
/// | state | what passes | what ends it |
/// |---|---|---|
/// | closed | everything | the failure rate or the slow rate of the window, once it holds `calls_min` calls: open |
/// | open | probes | a call after `open_time`, or a probe that works: half-open |
/// | half-open | `half_open_calls` calls, and probes | so many results: by the same rates closed, with an empty window, or open |
///
/// A call counts when it ends, and one that returned a stream when the stream ends. What ends in another state than it
/// began in does not count. A half-open circuit that waits for results longer than `open_time` lets one more call in.
///
/// # What counts
///
/// - As a failure: `ProviderUnavailable`, `Timeout`, `OutcomeUnknown`, `RateLimited` by the store, `Storage` with a status
///   of 500 or more, or without a status if a repeat may help; a stream that breaks so; a `delete_many` of which all keys
///   failed so.
/// - As a success, since the store answered: everything else that comes from it, `NotFound`, `AlreadyExists`,
///   `PreconditionFailed` and `AccessDenied` among it.
/// - Not at all: `InvalidInput`, `Unsupported`, `Configuration`, `Rejected`, `Corruption`, `InsufficientStorage`, other
///   errors of kind `Storage`; refusals of our own [limits](crate::LimitsLayer); an upload whose content failed; a call or
///   stream that its caller dropped. A half-open circuit lets another call in instead.
/// - As slow: a call that takes longer than `slow_time` from its permit on. Of downloads and listings the time to the
///   answer counts; uploads, parts, copies and other calls whose time depends on what there is to move never are slow.
///
/// # Probes
///
/// A health probe always passes. In an open circuit one that works makes it half-open at once, and one that fails
/// changes nothing; in a half-open one its result is counted as any other. So a monitor closes the circuit of a provider
/// that nobody uses.
///
/// # Cost
///
/// A closed circuit lets a call in by one atomic load, and counts it under a lock that is held for a few instructions.
/// Nothing is allocated for that.
///
/// Changes of the state are logged (target `boards_storage`: `warn` for an opening, `info` otherwise), and are the gauge
/// `boards_storage_circuit_state` with the label `provider`: 0 closed, 1 half-open, 2 open.
///
/// # Errors
///
/// Its refusal is `ProviderUnavailable` with [`Refusal::CircuitOpen`] as its source and
/// [`Retry::After`](boards_storage_core::Retry::After) the time until the next call is let through.
#[derive(Clone, Debug)]
pub struct BreakerLayer {
    shared: Arc<Shared>,
}

impl Default for BreakerLayer {
    fn default() -> Self {
        Self::new(&BreakerConfig::default())
    }
}

impl BreakerLayer {
    /// Creates the layer with a closed circuit.
    #[must_use]
    pub fn new(config: &BreakerConfig) -> Self {
        let shared = Shared {
            circuit: Circuit::new(config.rules()),
            slow_time: config.slow_time,
            epoch: Instant::now(),
            name: OnceLock::new(),
            telling: Mutex::new(()),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Returns a handle by which the circuit's state can be read.
    #[must_use]
    pub fn handle(&self) -> BreakerHandle {
        BreakerHandle {
            shared: Arc::clone(&self.shared),
        }
    }
}

/// Reads the state of one provider's circuit.
///
/// # Examples
///
/// ```
/// use boards_storage_core::CircuitState;
/// use boards_storage_layers::BreakerLayer;
///
/// let handle = BreakerLayer::default().handle();
/// assert_eq!(handle.state(), CircuitState::Closed);
/// assert_eq!(handle.open_for(), None);
/// ```
#[derive(Clone, Debug)]
pub struct BreakerHandle {
    shared: Arc<Shared>,
}

impl BreakerHandle {
    /// Returns the present state. A circuit stays open until a call comes after its time.
    #[must_use]
    pub fn state(&self) -> CircuitState {
        self.shared.circuit.state()
    }

    pub(crate) fn watched(&self) -> Watched {
        Watched(Arc::downgrade(&self.shared))
    }

    /// Returns how long an open circuit goes on refusing, zero if the next call passes; `None` if it is not open.
    #[must_use]
    pub fn open_for(&self) -> Option<Duration> {
        self.shared.circuit.open_for(self.shared.now())
    }
}

/// Reads the state of a circuit as long as it is used.
#[derive(Clone, Debug)]
pub(crate) struct Watched(Weak<Shared>);

impl Watched {
    pub(crate) fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }

    /// Returns the provider's name and the state, once there was a call.
    pub(crate) fn read(&self) -> Option<(String, CircuitState)> {
        let shared = self.0.upgrade()?;
        let name = shared.name.get()?.to_string();
        Some((name, shared.circuit.state()))
    }
}

#[derive(Debug)]
struct Shared {
    circuit: Circuit,
    slow_time: Duration,
    epoch: Instant,
    /// The stack's name, known from the first call on.
    name: OnceLock<Arc<str>>,
    /// Held while a change is told, so that the last one told is the last one that was.
    telling: Mutex<()>,
}

impl Shared {
    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// Notes the stack's name, and at the first call that there is a circuit.
    fn introduce(&self, name: &Arc<str>) {
        if self.name.get().is_none() && self.name.set(Arc::clone(name)).is_ok() {
            self.show();
        }
    }

    fn show(&self) {
        let _telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        let state = match self.circuit.state() {
            CircuitState::Closed => 0.0,
            CircuitState::HalfOpen => 1.0,
            CircuitState::Open => 2.0,
        };
        ::metrics::gauge!(CIRCUIT, "provider" => self.name().to_owned()).set(state);
    }

    fn name(&self) -> &str {
        self.name.get().map_or("", |name| name)
    }

    fn tell(&self, transition: Option<Transition>) {
        let Some(Transition { from, to, counts }) = transition else {
            return;
        };
        self.show();
        let provider = self.name();
        match to {
            CircuitState::Open => tracing::warn!(
                target: "boards_storage",
                provider,
                from = from.name(),
                calls = counts.calls,
                failed = counts.failures,
                slow = counts.slow,
                "the circuit breaker opened"
            ),
            CircuitState::HalfOpen => tracing::info!(
                target: "boards_storage",
                provider,
                from = from.name(),
                "the circuit breaker lets some calls through"
            ),
            CircuitState::Closed => tracing::info!(
                target: "boards_storage",
                provider,
                from = from.name(),
                "the circuit breaker closed"
            ),
        }
    }

    /// Lets a call in.
    fn admit(self: &Arc<Self>, operation: &Operation, next: &Next) -> Result<Call> {
        self.introduce(next.name());
        let kind = operation.kind();
        let entrant = match kind {
            OperationKind::Probe => Entrant::Probe,
            _ => Entrant::Call,
        };
        let started = Instant::now();
        let (admission, transition) = self.circuit.admit(entrant, started - self.epoch);
        self.tell(transition);
        match admission {
            Ok(admission) => Ok(Call {
                shared: Arc::clone(self),
                admission: Some(admission),
                started,
                kind,
                is_slow: false,
            }),
            Err(refused) => Err(Place::new(operation, next).mark(refusal(refused))),
        }
    }
}

fn refusal(refused: Refused) -> Error {
    let Refused { state, wait, counts } = refused;
    let why = match state {
        CircuitState::HalfOpen => "finds out with a few calls whether the store works again".to_owned(),
        CircuitState::Open | CircuitState::Closed => format!(
            "is open, as {} of {} calls failed and {} were slow",
            counts.failures, counts.calls, counts.slow
        ),
    };
    Error::new(
        ErrorKind::ProviderUnavailable,
        format!("the circuit breaker {why}; the next call is let through in {wait:.1?}"),
    )
    .with_retry(Retry::After(wait))
    .with_help("wait until then, or see what the store's health says; resilience.breaker has the settings")
    .with_source(Refusal::CircuitOpen)
}

#[async_trait]
impl Layer for BreakerLayer {
    fn name(&self) -> &'static str {
        "breaker"
    }

    async fn around(&self, mut operation: Operation, next: Next) -> Result<Outcome> {
        let mut call = self.shared.admit(&operation, &next)?;
        let content = ContentWatch::put_on(&mut operation);
        let (result, waited) = own_wait::observe(next.run(operation)).await;
        call.answered(waited);
        match result {
            Ok(outcome) if has_stream(&outcome) => Ok(wrap_stream(outcome, call)),
            Ok(outcome) => {
                call.end(verdict::of_outcome(&outcome));
                Ok(outcome)
            }
            Err(error) => {
                let verdict = if content.has_failed() {
                    Verdict::Silent
                } else {
                    verdict::of_error(&error)
                };
                call.end(verdict);
                Err(error)
            }
        }
    }
}

/// A call that was let in. Dropped before it has ended, it takes nothing with it.
struct Call {
    shared: Arc<Shared>,
    /// Gone once it is counted.
    admission: Option<Admission>,
    started: Instant,
    kind: OperationKind,
    is_slow: bool,
}

impl Call {
    /// Takes the time until the answer, without what of it was a wait for our own limits.
    fn answered(&mut self, waited: Duration) {
        if verdict::is_timed(self.kind) {
            self.is_slow = self.started.elapsed().saturating_sub(waited) > self.shared.slow_time;
        }
    }

    fn end(&mut self, verdict: Verdict) {
        let Some(admission) = self.admission.take() else {
            return;
        };
        let is_failure = match verdict {
            Verdict::Works => false,
            Verdict::Fails => true,
            Verdict::Silent => return self.shared.circuit.give_back(admission),
        };
        let sample = Sample {
            is_failure,
            is_slow: self.is_slow,
        };
        let transition = self.shared.circuit.record(admission, self.shared.now(), sample);
        self.shared.tell(transition);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Verdict::Silent);
    }
}

impl Wrap for Call {
    fn wrap<T: Piece>(self, stream: Pieces<T>) -> Pieces<T> {
        Box::pin(Counted {
            inner: stream,
            call: self,
        })
    }
}

/// A stream that counts when it ends.
struct Counted<T> {
    inner: Pieces<T>,
    call: Call,
}

impl<T> Stream for Counted<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = self.inner.as_mut().poll_next(context);
        match &item {
            Poll::Ready(Some(Err(error))) => self.call.end(verdict::of_error(error)),
            Poll::Ready(None) => self.call.end(Verdict::Works),
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}
