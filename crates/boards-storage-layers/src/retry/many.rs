//! A `delete_many` of which only the keys that failed are tried again.

use std::sync::Arc;

use boards_storage_core::{
    DeleteOptions, DeleteOutcome, DeletedKey, Error, ErrorKind, Next, Operation, Outcome, Result, Retry,
    StorageKey,
};
use tokio::time::{Instant, sleep};

use super::{Policy, Progress, Step, is_idempotent, may_have_landed};

/// One key and what became of it so far.
struct Target {
    key: StorageKey,
    /// Whether an attempt that failed may have removed it.
    is_ambiguous: bool,
    outcome: Option<Result<DeleteOutcome>>,
}

impl Target {
    fn is_open(&self) -> bool {
        match &self.outcome {
            None => true,
            Some(Ok(_)) => false,
            Some(Err(error)) => error.retry().is_wanted(),
        }
    }

    fn take(&mut self, outcome: Result<DeleteOutcome>) {
        let outcome = match outcome {
            Ok(DeleteOutcome::Absent) if self.is_ambiguous => Ok(DeleteOutcome::Unknown),
            other => other,
        };
        self.is_ambiguous |= outcome.as_ref().is_err_and(may_have_landed);
        self.outcome = Some(outcome);
    }
}

/// Runs the operation, and again for the keys that failed for a moment.
pub(super) async fn run(
    policy: &Policy,
    keys: Arc<[StorageKey]>,
    options: Arc<DeleteOptions>,
    next: Next,
) -> Result<Outcome> {
    let mut since = None;
    let mut operation = Operation::DeleteMany {
        keys: Arc::clone(&keys),
        options: Arc::clone(&options),
    };
    let is_repeatable = is_idempotent(&operation);
    let targets = keys.iter().map(|key| Target {
        key: key.clone(),
        is_ambiguous: false,
        outcome: None,
    });
    let mut targets: Vec<Target> = targets.collect();
    let mut made = 0;
    loop {
        made += 1;
        operation.context_mut().attempt = made;
        let whole = send(&mut targets, operation.clone(), &next).await?;
        let Some(worst) = worst(&targets, whole.as_ref()) else {
            policy.budget.pay_back();
            return Ok(answer(targets));
        };
        let is_safe = is_repeatable
            || targets
                .iter()
                .all(|target| !target.is_open() || !target.is_ambiguous);
        let step = if is_safe {
            policy.step(
                worst,
                made,
                *since.get_or_insert_with(Instant::now),
                options.context.deadline,
                Progress::None,
            )
        } else {
            Step::Stop
        };
        match step {
            Step::Again(delay) => sleep(delay).await,
            Step::GiveUp | Step::Stop => return give_up(targets, whole, made, matches!(step, Step::GiveUp)),
        }
        let open = targets
            .iter()
            .filter(|target| target.is_open())
            .map(|target| target.key.clone());
        operation = Operation::DeleteMany {
            keys: open.collect(),
            options: Arc::clone(&options),
        };
    }
}

/// Sends the open keys. The error is that of the whole call, when none of them could be tried.
async fn send(targets: &mut [Target], operation: Operation, next: &Next) -> Result<Option<Error>> {
    let mut open: Vec<&mut Target> = targets.iter_mut().filter(|target| target.is_open()).collect();
    match next.clone().run(operation).await {
        Ok(Outcome::DeleteMany(deleted)) if deleted.len() == open.len() => {
            for (target, deleted) in open.iter_mut().zip(deleted) {
                target.take(deleted.outcome);
            }
            Ok(None)
        }
        Ok(other) => Err(Error::new(
            ErrorKind::OutcomeUnknown,
            format!(
                "{} keys were to be deleted, and the answer ({other:?}) is of another number",
                open.len()
            ),
        )),
        Err(error) => {
            for target in &mut open {
                target.is_ambiguous |= error.retry().is_wanted() && may_have_landed(&error);
            }
            Ok(Some(error))
        }
    }
}

/// Returns the error that decides about the next attempt: the one that asks for the longest wait.
fn worst<'a>(targets: &'a [Target], whole: Option<&'a Error>) -> Option<&'a Error> {
    let wait = |error: &&Error| match error.retry() {
        Retry::After(wait) => Some(wait),
        Retry::No | Retry::Yes | Retry::Exhausted => None,
    };
    whole.or_else(|| {
        let errors = targets
            .iter()
            .filter_map(|target| target.outcome.as_ref()?.as_ref().err());
        errors.filter(|error| error.retry().is_wanted()).max_by_key(wait)
    })
}

fn answer(targets: Vec<Target>) -> Outcome {
    let lost = || Err(Error::new(ErrorKind::OutcomeUnknown, "the key was not answered"));
    let deleted = targets.into_iter().map(|target| DeletedKey {
        key: target.key,
        outcome: target.outcome.unwrap_or_else(lost),
    });
    Outcome::DeleteMany(deleted.collect())
}

/// Ends with what is known of each key, or with the whole call's error where that is all that is known.
fn give_up(mut targets: Vec<Target>, whole: Option<Error>, made: u32, is_exhausted: bool) -> Result<Outcome> {
    let finish = |error: Error| {
        let error = if is_exhausted {
            error.with_retry(Retry::Exhausted)
        } else {
            error
        };
        if is_exhausted || made > 1 {
            error.with_attempts(made)
        } else {
            error
        }
    };
    match whole {
        Some(error) if targets.iter().all(|target| target.outcome.is_none()) => return Err(finish(error)),
        // Earlier attempts answered some keys; the others get the last error, each its own copy.
        Some(error) => {
            for target in targets.iter_mut().filter(|target| target.is_open()) {
                target.outcome = Some(Err(Error::new(error.kind(), error.message().to_owned())
                    .with_retry(error.retry())
                    .with_operation(boards_storage_core::OperationKind::DeleteMany)
                    .with_key(&target.key)));
            }
        }
        None => {}
    }
    for target in targets.iter_mut().filter(|target| target.is_open()) {
        target.outcome = target.outcome.take().map(|outcome| outcome.map_err(finish));
    }
    Ok(answer(targets))
}
