//! Retry: repeats what can help, settles writes whose answer was lost, and goes on with broken streams.
//!
//! Here: the settings, the layer and its loop over attempts. What may be repeated, and how a lost answer is settled,
//! is in `settle`; single keys of a `delete_many` in `many`; broken streams in `resume`.

mod budget;
mod many;
mod resume;
mod settle;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use boards_storage_core::{
    Content, Error, ErrorKind, Layer, Next, Operation, Outcome, Result, Retry, WriteId,
};
use tokio::time::{Instant, sleep};

use self::budget::Budget;
use self::settle::{is_idempotent, write_id_of};
use crate::refusal::Refusal;

/// How often, how long and how fast calls are repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryConfig {
    /// The greatest number of attempts, the first included; 1 repeats nothing. A stream that breaks has as many
    /// each time, counted anew once it has moved on. 0 counts as 1. Default: 3, as in the AWS SDKs' standard mode.
    pub attempts_max: u32,
    /// No attempt begins later than this after the first failure of the call, or of the stream since it last moved
    /// on: a transfer may fail late and still be repeated. A wait that the store asks for and that would end later is
    /// not begun. The caller's deadline bounds the whole. Default: 2 min.
    pub time_max: Duration,
    /// The longest wait before the second attempt; it doubles with each further one. The real wait is a random part
    /// of it, from nothing to all ("full jitter"). Default: 100 ms.
    pub delay_initial: Duration,
    /// The longest wait of our own choice. A longer one that the store asks for is kept. Default: 20 s.
    pub delay_max: Duration,
    /// The tokens of this layer instance: a repeat costs 14, a throttled one 5, a success pays back 1. Without
    /// tokens nothing is repeated, so that an outage is not multiplied; `u32::MAX` is as good as no budget. Default:
    /// 500, as in the AWS SDKs.
    pub budget_tokens_max: u32,
    /// How often one stream may be taken up again in all. Default: 100.
    pub resumes_max: u32,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            attempts_max: 3,
            time_max: Duration::from_mins(2),
            delay_initial: Duration::from_millis(100),
            delay_max: Duration::from_secs(20),
            budget_tokens_max: 500,
            resumes_max: 100,
        }
    }
}

impl RetryConfig {
    /// Sets the greatest number of attempts.
    #[must_use]
    pub fn with_attempts_max(mut self, attempts: u32) -> Self {
        self.attempts_max = attempts;
        self
    }

    /// Sets how long new attempts may begin.
    #[must_use]
    pub fn with_time_max(mut self, time: Duration) -> Self {
        self.time_max = time;
        self
    }

    /// Sets the longest wait before the second attempt.
    #[must_use]
    pub fn with_delay_initial(mut self, delay: Duration) -> Self {
        self.delay_initial = delay;
        self
    }

    /// Sets the longest wait of our own choice.
    #[must_use]
    pub fn with_delay_max(mut self, delay: Duration) -> Self {
        self.delay_max = delay;
        self
    }

    /// Sets the tokens of the layer.
    #[must_use]
    pub fn with_budget_tokens_max(mut self, tokens: u32) -> Self {
        self.budget_tokens_max = tokens;
        self
    }

    /// Sets how often one stream may be taken up again.
    #[must_use]
    pub fn with_resumes_max(mut self, resumes: u32) -> Self {
        self.resumes_max = resumes;
        self
    }

    /// Returns the longest wait after so many attempts.
    fn ceiling(&self, attempts: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        self.delay_initial.saturating_mul(factor).min(self.delay_max)
    }
}

/// Repeats calls that failed for a moment, and goes on with streams that broke.
///
/// An instance belongs to one stack: its budget of tokens is that provider's.
///
/// # What is repeated
///
/// Errors that [ask for it](boards_storage_core::Retry::is_wanted), as long as the content can be sent again, the
/// attempts, the time, the caller's deadline and the budget last. Each attempt carries its number in the
/// [context](boards_storage_core::CallContext::attempt).
///
/// - Reads, deletes, parts, access changes and unconditional writes are repeated freely. A `probe` never is: it asks
///   for the present state.
/// - Conditional writes and `complete_upload` are repeated if the write has a name
///   ([`WriteId`](boards_storage_core::WriteId)) by which its own object is recognised. Where the caller gave none
///   and the store keeps it, the layer names a conditional upload, copy or upload in parts itself, and notes the
///   name in the answer of `create_upload`. Without a name they are repeated only after `RateLimited`, which says
///   that nothing was done.
/// - A repeated `create_upload` may leave an unused upload behind when the first answer was lost; the store's
///   clean-up of stale uploads takes it.
/// - Of a `delete_many`, only the keys that failed.
///
/// # Refusals of our own layers
///
/// A call that the circuit breaker or the limits [refused](crate::Refusal) was not sent: it took no effect, and its
/// repeat costs no token. The time that the breaker names is waited for, with jitter, if it is no longer than the
/// longest wait before this attempt would be anyway; otherwise, and after a refusal of the limits, whose queue was the
/// wait, the call ends at once with that error as it is, so that its caller can go elsewhere. A broken stream waits for
/// either as long as its time lasts, since what was read would be lost.
///
/// # Lost answers
///
/// After an attempt that may have taken effect, a later `AlreadyExists`, `PreconditionFailed` or unknown upload, or
/// the end of all attempts, is not the truth yet. The layer looks at the key: its own name there means success. If
/// it cannot look, the answer is `OutcomeUnknown`. A delete that may have worked before answers
/// [`Unknown`](boards_storage_core::DeleteOutcome::Unknown) for "there is none". An error that asks for no repeat
/// is never settled so: that an object is there says nothing of, say, an fsync that failed.
///
/// # Broken streams
///
/// A download goes on at the byte where it broke, pinned to the first answer's ETag, where the store has both ranges
/// and conditional reads; the object must still be the same, otherwise `PreconditionFailed`. A read of the whole
/// object stays verified, though the store no longer sees all of it: the layer keeps a running CRC-64/NVME where the
/// store promises `VerifiedRead`; an object with another kind of checksum is then not resumed. `Corruption` never is.
/// A listing goes on after its last name where the store has `ListStartAfter`.
///
/// # Errors
///
/// The last one, [`Exhausted`](boards_storage_core::Retry::Exhausted) and with the number of attempts; one that no
/// repeat can help passes unchanged.
#[derive(Clone, Debug, Default)]
pub struct RetryLayer {
    shared: Arc<Policy>,
}

impl RetryLayer {
    /// Creates the layer with a full budget.
    #[must_use]
    pub fn new(config: RetryConfig) -> Self {
        Self {
            shared: Arc::new(Policy::new(config)),
        }
    }
}

#[async_trait]
impl Layer for RetryLayer {
    fn name(&self) -> &'static str {
        "retry"
    }

    async fn around(&self, operation: Operation, next: Next) -> Result<Outcome> {
        let policy = &self.shared;
        match operation {
            Operation::Probe { .. } => next.run(operation).await,
            Operation::DeleteMany { keys, options } => many::run(policy, keys, options, next).await,
            operation @ (Operation::Download { .. } | Operation::List { .. }) => {
                let mut calls = Attempts::new(operation, next);
                let outcome = calls.run(policy).await?;
                Ok(resume::go_on(policy, calls.operation, calls.next, outcome))
            }
            operation => {
                Attempts::new(settle::name_write(operation, &next), next)
                    .run(policy)
                    .await
            }
        }
    }
}

/// When to try again; shared with the streams that outlive their call.
#[derive(Debug)]
struct Policy {
    config: RetryConfig,
    budget: Budget,
}

impl Default for Policy {
    fn default() -> Self {
        Self::new(RetryConfig::default())
    }
}

/// Whether something would be lost if it ended here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// A call: it can be made anew, or somewhere else.
    None,
    /// A stream of which a part is read.
    Some,
}

/// What follows from a failure.
enum Step {
    /// Try again after this wait.
    Again(Duration),
    /// A repeat may help, but no attempt, time or token is left.
    GiveUp,
    /// No repeat can help, or it is not ours to make.
    Stop,
}

impl Step {
    /// Ends a call that a layer of ours refused: as it is, if nothing was sent before.
    fn end(attempts: u32) -> Self {
        if attempts > 1 { Self::GiveUp } else { Self::Stop }
    }
}

impl Policy {
    fn new(config: RetryConfig) -> Self {
        let budget = Budget::new(config.budget_tokens_max);
        Self { config, budget }
    }

    /// Decides after the `attempts`-th failure, the first of which was at `since`; takes the tokens of a further attempt.
    fn step(
        &self,
        error: &Error,
        attempts: u32,
        since: Instant,
        deadline: Option<Instant>,
        progress: Progress,
    ) -> Step {
        let jitter = || full_jitter(self.config.ceiling(attempts));
        let delay = match (error.retry(), Refusal::of(error)) {
            (Retry::No | Retry::Exhausted, _) => return Step::Stop,
            // Fail fast is what a breaker is for: whoever has another place to go to must learn of it now.
            (Retry::After(delay), Some(Refusal::CircuitOpen))
                if progress == Progress::None && delay > self.config.ceiling(attempts) =>
            {
                return Step::end(attempts);
            }
            // All that were refused would come back at the same instant.
            (Retry::After(delay), Some(_)) => delay.saturating_add(jitter()),
            // The call has waited in the queue for as long as it may.
            (Retry::Yes, Some(Refusal::QueueFull | Refusal::QueueTimeout)) if progress == Progress::None => {
                return Step::end(attempts);
            }
            (Retry::After(delay), None) => delay,
            (Retry::Yes, _) => jitter(),
        };
        let now = Instant::now();
        let time_left = self.config.time_max.saturating_sub(now - since);
        let left = deadline.map_or(time_left, |deadline| {
            time_left.min(deadline.saturating_duration_since(now))
        });
        if attempts >= self.config.attempts_max || delay > left {
            return Step::GiveUp;
        }
        // A call that never left us is no load, so its repeat costs nothing.
        if Refusal::of(error).is_none() && !self.budget.take(error.kind()) {
            return Step::GiveUp;
        }
        Step::Again(delay)
    }
}

/// Returns a random part of the ceiling. `backon`, and most others, add their jitter on top of the delay; a random
/// part of it spreads a crowd of clients best.
fn full_jitter(ceiling: Duration) -> Duration {
    let nanoseconds = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(fastrand::u64(0..=nanoseconds))
}

/// Returns whether a failed attempt may have taken effect: always, but where the store says that it did nothing, and
/// where it was never sent.
fn may_have_landed(error: &Error) -> bool {
    error.kind() != ErrorKind::RateLimited && Refusal::of(error).is_none()
}

/// The attempts of one call.
struct Attempts {
    operation: Operation,
    next: Next,
    write_id: Option<WriteId>,
    is_idempotent: bool,
    /// How many were made.
    made: u32,
    /// Whether one of those that failed may have taken effect.
    is_ambiguous: bool,
}

impl Attempts {
    fn new(operation: Operation, next: Next) -> Self {
        let write_id = write_id_of(&operation);
        let is_idempotent = is_idempotent(&operation);
        Self {
            operation,
            next,
            write_id,
            is_idempotent,
            made: 0,
            is_ambiguous: false,
        }
    }

    async fn run(&mut self, policy: &Policy) -> Result<Outcome> {
        let mut since = None;
        let mut sent = None;
        loop {
            let error = match self.attempt().await {
                Ok(outcome) => {
                    policy.budget.pay_back();
                    return Ok(settle::answer(outcome, &self.operation, self.is_ambiguous));
                }
                Err(error) => error,
            };
            if self.is_ambiguous && settle::is_doubtful(&self.operation, &error) {
                return settle::after_repeat(self, policy, error).await;
            }
            let is_wanted = error.retry().is_wanted();
            self.is_ambiguous |= is_wanted && may_have_landed(&error);
            // Whoever says "unknown, and do not repeat" knows more than a look at the key can tell.
            let can_settle = self.is_ambiguous && (is_wanted || error.kind() != ErrorKind::OutcomeUnknown);
            let deadline = self.operation.context().deadline;
            let step = if self.may_repeat() {
                policy.step(
                    &error,
                    self.made,
                    *since.get_or_insert_with(Instant::now),
                    deadline,
                    Progress::None,
                )
            } else {
                Step::Stop
            };
            let error = match step {
                Step::Again(delay) => {
                    if Refusal::of(&error).is_none() {
                        sent = Some(error);
                    }
                    sleep(delay).await;
                    continue;
                }
                Step::GiveUp => error.with_retry(Retry::Exhausted).with_attempts(self.made),
                Step::Stop => self.counted(error),
            };
            let error = match sent {
                // Something was sent, so it is no plain refusal, and what the store said is the cause.
                Some(sent) if Refusal::of(&error).is_some() => error.with_source(sent),
                Some(_) | None => error,
            };
            return if can_settle {
                settle::after_last(self, error).await
            } else {
                Err(error)
            };
        }
    }

    /// Sends the operation once more.
    async fn attempt(&mut self) -> Result<Outcome> {
        self.made += 1;
        self.operation.context_mut().attempt = self.made;
        self.next.clone().run(self.operation.clone()).await
    }

    /// Returns whether the operation can and may be sent again.
    fn may_repeat(&self) -> bool {
        let is_safe = self.is_idempotent || self.write_id.is_some() || !self.is_ambiguous;
        is_safe && self.operation.content().is_none_or(Content::can_replay)
    }

    /// Tells the attempts where there was more than one.
    fn counted(&self, error: Error) -> Error {
        if self.made > 1 {
            error.with_attempts(self.made)
        } else {
            error
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_ceiling(attempts: u32, milliseconds: u64) {
        let config = RetryConfig::default();
        assert_eq!(
            config.ceiling(attempts),
            Duration::from_millis(milliseconds),
            "after {attempts} attempts"
        );
    }

    #[test]
    fn the_ceiling_doubles_up_to_the_greatest_delay() {
        check_ceiling(1, 100);
        check_ceiling(2, 200);
        check_ceiling(3, 400);
        check_ceiling(7, 6_400);
        check_ceiling(8, 12_800);
        check_ceiling(9, 20_000);
        check_ceiling(32, 20_000);
        check_ceiling(33, 20_000);
        check_ceiling(u32::MAX, 20_000);
    }

    #[test]
    fn the_jitter_is_full() {
        let ceiling = Duration::from_millis(100);
        let delays: Vec<_> = (0..2000).map(|_| full_jitter(ceiling)).collect();
        assert!(delays.iter().all(|delay| *delay <= ceiling));
        assert!(delays.iter().any(|delay| *delay < ceiling / 10));
        assert!(delays.iter().any(|delay| *delay > ceiling * 9 / 10));
        assert_eq!(full_jitter(Duration::ZERO), Duration::ZERO);
        assert!(full_jitter(Duration::MAX) <= Duration::from_nanos(u64::MAX));
    }
}
