//! The breaker beside a model of its states: random programs of calls, endings and waits.
//!
//! The model keeps every result and looks through all of them each time, which is slow and plain.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use boards_storage_core::{
    CallOptions, CircuitState, Error, ErrorKind, Layer, Next, Operation, Outcome, Result, Retry,
    StorageProvider, async_trait,
};
use boards_storage_layers::{BreakerConfig, BreakerLayer, BreakerSpan, Refusal};
use futures_util::future::BoxFuture;
use futures_util::poll;
use parking_lot::Mutex;
use proptest::prelude::{Strategy, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use tokio::sync::oneshot;

use crate::support::{Bench, key};

/// One step of a program.
#[derive(Clone, Debug)]
enum Step {
    Call,
    Probe,
    /// One of the calls under way, counted from the oldest, ends.
    End(usize, Ending),
    Wait(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Good,
    /// An error that counts.
    Bad,
    /// The store says no, which is as good as yes.
    No,
    /// An error that says nothing of the store.
    Silent,
    /// Our own limits refused it.
    OwnLimit,
    /// The caller goes away.
    Dropped,
}

impl Ending {
    fn error(self) -> Option<Error> {
        Some(match self {
            Self::Good | Self::Dropped => return None,
            Self::Bad => Error::new(ErrorKind::RateLimited, "slow down"),
            Self::No => Error::not_found("no such object"),
            Self::Silent => Error::new(ErrorKind::Corruption, "wrong bytes"),
            Self::OwnLimit => {
                Error::new(ErrorKind::RateLimited, "our queue is full").with_source(Refusal::QueueFull)
            }
        })
    }
}

fn program() -> impl Strategy<Value = Vec<Step>> {
    let ending = prop_oneof![
        3 => proptest::strategy::Just(Ending::Good),
        4 => proptest::strategy::Just(Ending::Bad),
        1 => proptest::strategy::Just(Ending::No),
        1 => proptest::strategy::Just(Ending::Silent),
        1 => proptest::strategy::Just(Ending::OwnLimit),
        1 => proptest::strategy::Just(Ending::Dropped),
    ];
    let step = prop_oneof![
        6 => proptest::strategy::Just(Step::Call),
        1 => proptest::strategy::Just(Step::Probe),
        6 => (0..6_usize, ending).prop_map(|(which, ending)| Step::End(which, ending)),
        3 => (1..4000_u64).prop_map(|milliseconds| Step::Wait(Duration::from_millis(milliseconds))),
    ];
    proptest::collection::vec(step, 1..120)
}

fn config() -> impl Strategy<Value = BreakerConfig> {
    let window = prop_oneof![
        (1..8_u32).prop_map(BreakerSpan::Calls),
        (1..12_u64).prop_map(|seconds| BreakerSpan::Time(Duration::from_secs(seconds))),
    ];
    let percent = prop_oneof![
        proptest::strategy::Just(1_u32),
        proptest::strategy::Just(50),
        proptest::strategy::Just(67),
        proptest::strategy::Just(100)
    ];
    (window, 1..6_u32, percent.clone(), percent, 1..5_u32).prop_map(
        |(window, min, failed, slow, half_open)| {
            BreakerConfig::default()
                .with_window(window)
                .with_calls_min(min)
                .with_failure_rate_percent(failed)
                .with_slow_rate_percent(slow)
                .with_slow_time(Duration::from_secs(3))
                .with_open_time(Duration::from_secs(5))
                .with_half_open_calls(half_open)
        },
    )
}

/// A result that counts: when, whether it failed, whether it was slow.
type Counted = (Duration, bool, bool);

/// What the states should be.
struct Model {
    config: BreakerConfig,
    state: CircuitState,
    /// How often the state has changed.
    era: u32,
    since: Duration,
    /// What counted since the circuit was last closed, and since it became half-open.
    results: Vec<Counted>,
    let_in: usize,
    last_let_in: Duration,
}

/// A call that the model let in.
#[derive(Clone, Copy)]
struct Entry {
    era: u32,
    takes_place: bool,
    at: Duration,
}

impl Model {
    fn new(config: BreakerConfig) -> Self {
        Self {
            config,
            state: CircuitState::Closed,
            era: 0,
            since: Duration::ZERO,
            results: Vec::new(),
            let_in: 0,
            last_let_in: Duration::ZERO,
        }
    }

    fn become_(&mut self, state: CircuitState, now: Duration) {
        self.state = state;
        self.era += 1;
        self.since = now;
        self.results.clear();
        (self.let_in, self.last_let_in) = (0, Duration::ZERO);
    }

    fn call(&mut self, now: Duration, is_probe: bool) -> Option<Entry> {
        if !is_probe && self.state == CircuitState::Open && now >= self.since + self.config.open_time {
            self.become_(CircuitState::HalfOpen, now);
        }
        let takes_place = match self.state {
            _ if is_probe => false,
            CircuitState::Closed => false,
            CircuitState::Open => return None,
            CircuitState::HalfOpen => {
                let is_full = self.let_in >= self.config.half_open_calls as usize;
                if is_full && now < self.last_let_in + self.config.open_time {
                    return None;
                }
                self.let_in += 1;
                self.last_let_in = now;
                true
            }
        };
        Some(Entry {
            era: self.era,
            takes_place,
            at: now,
        })
    }

    fn end(&mut self, entry: Entry, ending: Ending, now: Duration) {
        if entry.era != self.era {
            return;
        }
        let failed = match ending {
            Ending::Good | Ending::No => false,
            Ending::Bad => true,
            Ending::Silent | Ending::OwnLimit | Ending::Dropped => {
                self.let_in -= usize::from(entry.takes_place);
                return;
            }
        };
        self.results
            .push((now, failed, now - entry.at > self.config.slow_time));
        match self.state {
            CircuitState::Closed => {
                let window = self.window(now);
                let min = match self.config.window {
                    BreakerSpan::Calls(calls) => self.config.calls_min.min(calls),
                    BreakerSpan::Time(_) => self.config.calls_min,
                };
                if window.len() >= min as usize && self.is_bad(&window) {
                    self.become_(CircuitState::Open, now);
                }
            }
            CircuitState::Open if failed => self.results.clear(),
            CircuitState::Open => self.become_(CircuitState::HalfOpen, now),
            CircuitState::HalfOpen if self.results.len() < self.config.half_open_calls as usize => {}
            CircuitState::HalfOpen if self.is_bad(&self.results.clone()) => {
                self.become_(CircuitState::Open, now);
            }
            CircuitState::HalfOpen => self.become_(CircuitState::Closed, now),
        }
    }

    /// Returns the results that are still in the window.
    fn window(&self, now: Duration) -> Vec<Counted> {
        match self.config.window {
            BreakerSpan::Calls(calls) => {
                let first = self.results.len().saturating_sub(calls as usize);
                self.results[first..].to_vec()
            }
            BreakerSpan::Time(time) => {
                let thirtieth = |at: Duration| at.as_nanos() / (time / 30).as_nanos();
                let is_inside = |result: &&Counted| thirtieth(result.0) + 30 > thirtieth(now);
                self.results.iter().filter(is_inside).copied().collect()
            }
        }
    }

    fn is_bad(&self, results: &[Counted]) -> bool {
        let percent = |count: usize| count as f64 * 100.0 / results.len() as f64;
        let failed = results.iter().filter(|(_, failed, _)| *failed).count();
        let slow = results.iter().filter(|(_, _, slow)| *slow).count();
        percent(failed) >= f64::from(self.config.failure_rate_percent)
            || percent(slow) >= f64::from(self.config.slow_rate_percent)
    }
}

/// Keeps each call until the test says how it ends.
#[derive(Debug, Default)]
struct Gate(Mutex<Vec<oneshot::Sender<Option<Error>>>>);

#[async_trait]
impl Layer for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    async fn around(&self, operation: Operation, next: Next) -> Result<Outcome> {
        let (sender, receiver) = oneshot::channel();
        self.0.lock().push(sender);
        match receiver.await.expect("the test says how") {
            Some(error) => Err(error),
            None => next.run(operation).await,
        }
    }
}

struct UnderWay<'s> {
    call: BoxFuture<'s, Result<()>>,
    entry: Entry,
    end: oneshot::Sender<Option<Error>>,
}

async fn run(config: BreakerConfig, program: &[Step]) {
    let gate = Arc::new(Gate::default());
    let breaker = BreakerLayer::new(&config);
    let handle = breaker.handle();
    let began = tokio::time::Instant::now();
    let bench = Bench::new(vec![Arc::new(breaker), Arc::clone(&gate) as _]);
    let mut model = Model::new(config);
    let mut under_way: Vec<UnderWay<'_>> = Vec::new();
    for (number, step) in program.iter().enumerate() {
        let now = began.elapsed();
        match step {
            Step::Wait(time) => tokio::time::advance(*time).await,
            Step::Call | Step::Probe => {
                let is_probe = matches!(step, Step::Probe);
                let stack = &bench.stack;
                let mut call: BoxFuture<'_, Result<()>> = Box::pin(async move {
                    let options = CallOptions::default();
                    if is_probe {
                        stack.probe(&options).await
                    } else {
                        stack.exists(&key("a"), &options).await.map(drop)
                    }
                });
                let expected = model.call(now, is_probe);
                match (poll!(&mut call), expected) {
                    (Poll::Pending, Some(entry)) => {
                        let end = gate.0.lock().pop().expect("it went in");
                        under_way.push(UnderWay { call, entry, end });
                    }
                    (Poll::Ready(Err(error)), None) => {
                        assert_eq!(Refusal::of(&error), Some(Refusal::CircuitOpen), "{error}");
                        let Retry::After(wait) = error.retry() else {
                            panic!("step {number}: no wait in {error:?}");
                        };
                        assert!(
                            wait > Duration::ZERO && wait <= Duration::from_secs(5),
                            "{wait:?}"
                        );
                    }
                    (poll, expected) => panic!(
                        "step {number} {step:?}: the call is {poll:?}, and it should have passed: {}",
                        expected.is_some()
                    ),
                }
            }
            Step::End(which, ending) => {
                if under_way.is_empty() {
                    continue;
                }
                let UnderWay { call, entry, end } = under_way.remove(which % under_way.len());
                model.end(entry, *ending, now);
                if *ending == Ending::Dropped {
                    drop(call);
                } else {
                    end.send(ending.error()).expect("it waits");
                    assert_eq!(call.await.is_err(), ending.error().is_some());
                }
            }
        }
        assert_eq!(handle.state(), model.state, "after step {number}: {step:?}");
    }
}

#[test]
fn the_breaker_does_what_its_model_does() {
    let cases = Config {
        cases: 400,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(cases)
        .run(&(config(), program()), |(config, program)| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .expect("a runtime");
            runtime.block_on(run(config, &program));
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
