//! The layer that lets calls fail: it draws what happens, or takes what a test asked for, and notes it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use boards_storage_core::{
    Capabilities, Capability, Content, DownloadOutcome, Error, ErrorKind, Layer, Next, Operation,
    OperationKind, Outcome, Result, Retry, SharedProvider, Stack,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::log::Log;
use super::recent::Recent;
use super::{FaultCounts, FaultKind, FaultProfile, Injected};
use crate::Dice;
use crate::script::Steps;
use crate::step::{KeyFault, Step};

/// A break within content of unknown length happens within so many bytes.
const UNKNOWN_LENGTH_BYTES: u64 = 64 * 1024;

/// A listing breaks within so many entries.
const LIST_ENTRIES: u64 = 8;

/// Faults that happen by chance or on demand. See the [module](super) for what they are, and an example.
///
/// It is a layer, so that it can stand anywhere in a stack; [`Faults::over`] makes a provider of it.
pub struct Faults {
    state: Mutex<State>,
    flips: bool,
    start: Instant,
}

struct State {
    profile: FaultProfile,
    dice: Dice,
    steps: Steps,
    recent: Recent,
    log: Log,
}

/// What happens to a call: before and instead of it, or to what it answers.
enum Plan {
    Call(Step),
    /// The number is brought into the answer's length when that is known.
    Answer(FaultKind, u64),
}

impl Faults {
    /// Creates faults that happen by this profile, always the same for the same seed.
    #[must_use]
    pub fn new(seed: u64, profile: FaultProfile) -> Arc<Self> {
        Arc::new(Self {
            flips: profile.has(FaultKind::WrongBytes),
            start: Instant::now(),
            state: Mutex::new(State {
                profile,
                dice: Dice::new(seed),
                steps: Steps::default(),
                recent: Recent::default(),
                log: Log::default(),
            }),
        })
    }

    /// Creates faults that happen only when they are asked for.
    #[must_use]
    pub fn on_demand() -> Arc<Self> {
        Self::new(0, FaultProfile::none())
    }

    /// Puts the faults, and nothing else, around a provider.
    #[must_use]
    pub fn over(self: &Arc<Self>, provider: SharedProvider) -> Stack {
        Stack::new("faulty", provider, vec![Arc::clone(self) as Arc<dyn Layer>])
    }

    /// Says what happens to the next call of this kind that has no step yet; [`Step::Pass`] spares it.
    pub fn push(&self, kind: OperationKind, step: Step) {
        self.state.lock().steps.push(kind, step);
    }

    /// Sets what happens by chance from now on. The capabilities stay as they were at the beginning.
    pub fn set_profile(&self, profile: FaultProfile) {
        self.state.lock().profile = profile;
    }

    /// Lets nothing happen any more, neither by chance nor on demand.
    pub fn calm(&self) {
        let mut state = self.state.lock();
        state.profile = FaultProfile::none();
        state.steps = Steps::default();
    }

    /// Returns how many steps are still waiting for their call.
    #[must_use]
    pub fn steps_left(&self) -> usize {
        self.state.lock().steps.left()
    }

    /// Returns how many calls came so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state.lock().log.calls
    }

    /// Returns how many calls came with content that had been read already: what no layer may send.
    #[must_use]
    pub fn spent_contents(&self) -> u64 {
        self.state.lock().log.spent_contents
    }

    /// Returns what happened, in order: the last 10,000 faults.
    #[must_use]
    pub fn injected(&self) -> Vec<Injected> {
        self.state.lock().log.injected.iter().cloned().collect()
    }

    /// Returns how often what happened.
    #[must_use]
    pub fn counts(&self) -> FaultCounts {
        self.state.lock().log.counts.clone()
    }

    fn plan(&self, operation: &Operation) -> Plan {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.log.calls += 1;
        if operation.content().is_some_and(|content| !content.can_replay()) {
            state.log.spent_contents += 1;
        }
        if let Some(step) = state.steps.next(operation.kind()) {
            if !matches!(step, Step::Pass) {
                state.log.note(operation, self.start.elapsed(), step.name());
            }
            return Plan::Call(step);
        }
        let Some(kind) = state.draw(operation.kind()) else {
            return Plan::Call(Step::Pass);
        };
        state.log.note(operation, self.start.elapsed(), kind.name());
        state.plan(kind, operation)
    }
}

impl State {
    fn draw(&mut self, operation: OperationKind) -> Option<FaultKind> {
        let mut left = self.dice.fraction();
        for (kind, rate) in self.profile.of(operation) {
            if left < rate {
                return Some(kind);
            }
            left -= rate;
        }
        None
    }

    fn plan(&mut self, kind: FaultKind, operation: &Operation) -> Plan {
        let step = match kind {
            FaultKind::ErrorBefore => Step::FailBefore(error(&mut self.dice, "the store failed")),
            FaultKind::ErrorAfter => Step::FailAfter(error(&mut self.dice, "the answer was lost")),
            FaultKind::Throttle => Step::FailBefore(self.throttle()),
            FaultKind::Delay => Step::Delay(self.wait()),
            FaultKind::Stall => Step::Stall,
            FaultKind::StallAfter => Step::StallAfter,
            FaultKind::BreakUpload => {
                let length = operation.content().and_then(Content::length);
                let read = self.dice.below(length.unwrap_or(UNKNOWN_LENGTH_BYTES) + 1);
                Step::FailMidway(read, error(&mut self.dice, "the connection broke"))
            }
            FaultKind::SomeKeys => Step::FailKeys(self.key_faults(operation)),
            FaultKind::LateListing => Step::LateList(self.recent.late(&mut self.dice)),
            FaultKind::BreakStream
            | FaultKind::StallStream
            | FaultKind::Truncate
            | FaultKind::WrongBytes
            | FaultKind::WrongLength => return Plan::Answer(kind, self.dice.roll()),
        };
        Plan::Call(step)
    }

    fn wait(&mut self) -> Duration {
        let most = u64::try_from(self.profile.wait_max().as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.dice.below(most.saturating_add(1)))
    }

    fn throttle(&mut self) -> Error {
        let error = Error::new(ErrorKind::RateLimited, "too many requests").with_status(429);
        if self.dice.chance(0.5) {
            let wait = self.wait();
            error.with_retry(Retry::After(wait))
        } else {
            error
        }
    }

    fn key_faults(&mut self, operation: &Operation) -> BTreeMap<usize, KeyFault> {
        let Operation::DeleteMany { keys, .. } = operation else {
            return BTreeMap::new();
        };
        let mut faults = BTreeMap::new();
        for index in 0..keys.len() {
            if self.dice.chance(0.5) {
                let error = error(&mut self.dice, "this key failed").with_key(&keys[index]);
                let fault = if self.dice.chance(0.5) {
                    KeyFault::Before(error)
                } else {
                    KeyFault::After(error)
                };
                faults.insert(index, fault);
            }
        }
        faults
    }
}

/// An error as a store or a connection may give it; most may pass, some do not.
fn error(dice: &mut Dice, message: &'static str) -> Error {
    match dice.below(10) {
        0..=4 => Error::new(ErrorKind::ProviderUnavailable, message).with_status(503),
        5..=6 => Error::new(ErrorKind::Timeout, message),
        7 => Error::new(ErrorKind::OutcomeUnknown, message).with_retry(Retry::Yes),
        8 => Error::new(ErrorKind::Storage, message)
            .with_retry(Retry::Yes)
            .with_status(500),
        _ => Error::new(ErrorKind::Storage, message),
    }
}

/// Does to an answer what was drawn, somewhere within its length.
fn spoil(outcome: Outcome, kind: FaultKind, roll: u64) -> Outcome {
    let length = match &outcome {
        Outcome::Download(download) => match &**download {
            DownloadOutcome::Object(object) => object.length(),
            DownloadOutcome::NotModified(_) => 0,
        },
        Outcome::List(_) => LIST_ENTRIES,
        _ => 0,
    };
    let within = roll % (length + 1);
    // A stream that gives everything is not truncated.
    let less = roll % length.max(1);
    let step = match kind {
        FaultKind::BreakStream => Step::BreakStream(
            within,
            Error::new(ErrorKind::ProviderUnavailable, "the connection broke"),
        ),
        FaultKind::StallStream => Step::StallStream(within),
        FaultKind::Truncate => Step::TruncateStream(less),
        FaultKind::WrongBytes => Step::FlipBit(less),
        FaultKind::WrongLength => {
            let by = i64::try_from(1 + roll % 7).expect("a digit");
            Step::WrongLength(if roll & 0x100 == 0 { by } else { -by })
        }
        FaultKind::ErrorBefore
        | FaultKind::ErrorAfter
        | FaultKind::Throttle
        | FaultKind::Delay
        | FaultKind::Stall
        | FaultKind::StallAfter
        | FaultKind::BreakUpload
        | FaultKind::SomeKeys
        | FaultKind::LateListing => Step::Pass,
    };
    step.change(outcome)
}

#[async_trait]
impl Layer for Faults {
    fn name(&self) -> &'static str {
        "faults"
    }

    fn capabilities(&self, inner: Capabilities) -> Capabilities {
        if self.flips {
            inner.without(&[Capability::VerifiedRead, Capability::VerifiedRange])
        } else {
            inner
        }
    }

    async fn around(&self, operation: Operation, next: Next) -> Result<Outcome> {
        let key = operation.key().cloned();
        let outcome = match self.plan(&operation) {
            Plan::Call(step) => step.run(operation, next).await?,
            Plan::Answer(kind, roll) => spoil(next.run(operation).await?, kind, roll),
        };
        self.state.lock().recent.note(key.as_ref(), &outcome);
        Ok(outcome)
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Faults")
            .field("calls", &state.log.calls)
            .field("counts", &state.log.counts)
            .finish_non_exhaustive()
    }
}
