//! The circuit: its states, and what moves it from one to the other.
//!
//! It knows no clock and no task: whoever calls says what time it is. What it locks and counts with comes from `sync`.

use std::fmt;
use std::sync::PoisonError;
use std::time::Duration;

use boards_storage_core::CircuitState;

use super::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use super::window::{Counts, Sample, Window, WindowSize};

/// The number of a state, as it is kept in the position.
fn code(state: CircuitState) -> u64 {
    match state {
        CircuitState::Closed => 0,
        CircuitState::HalfOpen => 1,
        CircuitState::Open => 2,
    }
}

fn state_of(code: u64) -> CircuitState {
    match code {
        0 => CircuitState::Closed,
        1 => CircuitState::HalfOpen,
        _ => CircuitState::Open,
    }
}

/// When the circuit changes its state.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) window: WindowSize,
    pub(super) calls_min: u64,
    pub(super) failure_percent: u64,
    pub(super) slow_percent: u64,
    pub(super) open_time: Duration,
    pub(super) half_open_calls: u64,
}

impl Rules {
    /// Returns whether the calls are so bad that the circuit opens.
    fn are_exceeded(&self, counts: Counts) -> bool {
        counts.failures * 100 >= self.failure_percent * counts.calls
            || counts.slow * 100 >= self.slow_percent * counts.calls
    }
}

/// What wants to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entrant {
    Call,
    /// A health probe: it always passes.
    Probe,
}

/// That a call may pass. It is [recorded](Circuit::record) or [given back](Circuit::give_back), once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admission {
    /// In which stretch of one state it was given; what ends in another does not count.
    stretch: u64,
    /// Whether it is one of the calls that a half-open circuit lets through.
    pub(super) is_counted: bool,
}

/// Why a call may not pass, and when another attempt may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) state: CircuitState,
    pub(super) wait: Duration,
    /// What opened the circuit.
    pub(super) counts: Counts,
}

/// A change of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transition {
    pub(super) from: CircuitState,
    pub(super) to: CircuitState,
    /// The calls that caused it.
    pub(super) counts: Counts,
}

/// A refused call of a half-open circuit comes back at the latest after this: the calls under way will have ended.
const HALF_OPEN_WAIT: Duration = Duration::from_secs(1);

/// The state machine of a circuit breaker.
pub(super) struct Circuit {
    rules: Rules,
    /// The stretch and the state's code, so that a closed circuit admits by one load: `stretch * 4 + code`.
    position: AtomicU64,
    phase: Mutex<Phase>,
}

/// What belongs to the present state, and the window of the closed one.
struct Phase {
    /// How often the state has changed.
    stretch: u64,
    state: State,
    window: Window,
    /// What opened the circuit last.
    cause: Counts,
}

enum State {
    Closed,
    Open {
        since: Duration,
    },
    HalfOpen {
        /// How many calls were let through and not given back, and when the last one was.
        admitted: u64,
        last: Duration,
        results: Counts,
    },
}

impl State {
    fn kind(&self) -> CircuitState {
        match self {
            Self::Closed => CircuitState::Closed,
            Self::Open { .. } => CircuitState::Open,
            Self::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }
}

impl Circuit {
    /// Creates a closed circuit.
    pub(super) fn new(mut rules: Rules) -> Self {
        if let WindowSize::Calls(calls) = rules.window {
            rules.calls_min = rules.calls_min.min(calls as u64);
        }
        rules.calls_min = rules.calls_min.max(1);
        rules.half_open_calls = rules.half_open_calls.max(1);
        Self {
            position: AtomicU64::new(0),
            phase: Mutex::new(Phase {
                stretch: 0,
                state: State::Closed,
                window: Window::new(rules.window),
                cause: Counts::default(),
            }),
            rules,
        }
    }

    /// Returns the present state.
    pub(super) fn state(&self) -> CircuitState {
        state_of(self.position.load(Ordering::Acquire) % 4)
    }

    /// Returns how long an open circuit goes on refusing; `None` if it is not open.
    pub(super) fn open_for(&self, now: Duration) -> Option<Duration> {
        match self.lock().state {
            State::Open { since } => Some(self.open_left(since, now)),
            State::Closed | State::HalfOpen { .. } => None,
        }
    }

    /// Lets a call in, or says why not. Whoever comes when an open circuit's time is over makes it half-open.
    pub(super) fn admit(
        &self,
        entrant: Entrant,
        now: Duration,
    ) -> (Result<Admission, Refused>, Option<Transition>) {
        let position = self.position.load(Ordering::Acquire);
        if state_of(position % 4) == CircuitState::Closed {
            let admission = Admission {
                stretch: position / 4,
                is_counted: false,
            };
            return (Ok(admission), None);
        }
        let mut phase = self.lock();
        let transition = match phase.state {
            State::Open { since }
                if entrant == Entrant::Call && self.open_left(since, now) == Duration::ZERO =>
            {
                Some(self.change(&mut phase, half_open(), Counts::default()))
            }
            State::Open { .. } | State::Closed | State::HalfOpen { .. } => None,
        };
        (self.admit_slowly(&mut phase, entrant, now), transition)
    }

    fn admit_slowly(&self, phase: &mut Phase, entrant: Entrant, now: Duration) -> Result<Admission, Refused> {
        let stretch = phase.stretch;
        let counts = phase.cause;
        let passed = |is_counted| Ok(Admission { stretch, is_counted });
        match &mut phase.state {
            State::Closed => passed(false),
            State::Open { .. } | State::HalfOpen { .. } if entrant == Entrant::Probe => passed(false),
            State::Open { since } => Err(Refused {
                state: CircuitState::Open,
                wait: self.open_left(*since, now),
                counts,
            }),
            State::HalfOpen { admitted, last, .. } => {
                // One whose result does not come, such as a stream that nobody reads on, must not keep the rest out
                // for ever.
                let is_overdue = now.saturating_sub(*last) >= self.rules.open_time;
                if *admitted < self.rules.half_open_calls || is_overdue {
                    *admitted += 1;
                    *last = now.max(*last);
                    return passed(true);
                }
                Err(Refused {
                    state: CircuitState::HalfOpen,
                    wait: HALF_OPEN_WAIT.min(self.rules.open_time),
                    counts,
                })
            }
        }
    }

    /// Counts what became of a call.
    pub(super) fn record(&self, admission: Admission, now: Duration, sample: Sample) -> Option<Transition> {
        let mut phase = self.lock();
        if phase.stretch != admission.stretch {
            return None;
        }
        let Phase { state, window, .. } = &mut *phase;
        let (next, counts) = match state {
            State::Closed => {
                let counts = window.add(now, sample);
                if counts.calls < self.rules.calls_min || !self.rules.are_exceeded(counts) {
                    return None;
                }
                (State::Open { since: now }, counts)
            }
            // Only probes get here.
            State::Open { .. } if sample.is_failure => return None,
            State::Open { .. } => (half_open(), Counts::default()),
            State::HalfOpen { results, .. } => {
                results.add(sample);
                let results = *results;
                if results.calls < self.rules.half_open_calls {
                    return None;
                }
                if self.rules.are_exceeded(results) {
                    (State::Open { since: now }, results)
                } else {
                    (State::Closed, results)
                }
            }
        };
        Some(self.change(&mut phase, next, counts))
    }

    /// Takes back that a call was let in: what became of it says nothing of the store.
    pub(super) fn give_back(&self, admission: Admission) {
        if !admission.is_counted {
            return;
        }
        let mut phase = self.lock();
        if phase.stretch != admission.stretch {
            return;
        }
        if let State::HalfOpen { admitted, .. } = &mut phase.state {
            *admitted = admitted.saturating_sub(1);
        }
    }

    fn change(&self, phase: &mut Phase, next: State, counts: Counts) -> Transition {
        let from = phase.state.kind();
        let to = next.kind();
        match next {
            State::Closed => phase.window.clear(),
            State::Open { .. } => phase.cause = counts,
            State::HalfOpen { .. } => {}
        }
        phase.state = next;
        phase.stretch += 1;
        self.position
            .store(phase.stretch * 4 + code(to), Ordering::Release);
        Transition { from, to, counts }
    }

    fn open_left(&self, since: Duration, now: Duration) -> Duration {
        self.rules.open_time.saturating_sub(now.saturating_sub(since))
    }

    /// Locks what cannot be left half-changed: nothing in here panics or waits.
    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing admitted yet. The first call sets `last`.
fn half_open() -> State {
    State::HalfOpen {
        admitted: 0,
        last: Duration::ZERO,
        results: Counts::default(),
    }
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit")
            .field("state", &self.state())
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
