//! Which calls may be repeated, and what became of a write whose answer was lost.

use std::sync::Arc;

use boards_storage_core::{
    CallOptions, Capability, DeleteOutcome, Error, ErrorKind, Next, ObjectMetadata, Operation, Outcome,
    Precondition, Result, WriteId,
};

use super::{Attempts, Policy};
use crate::context::Place;

/// Returns the name by which a write's object is recognised at its key.
pub(super) fn write_id_of(operation: &Operation) -> Option<WriteId> {
    match operation {
        Operation::Upload { options, .. } => options.write_id,
        Operation::Copy { options, .. } => options.write_id,
        Operation::CompleteUpload { upload, .. } => upload.write_id,
        _ => None,
    }
}

/// Names a conditional write that has no name yet, where the store keeps names.
///
/// An unconditional one needs none: it is repeated as it is.
pub(super) fn name_write(mut operation: Operation, next: &Next) -> Operation {
    let needs_name = |write_id: Option<WriteId>, precondition: &Precondition| {
        write_id.is_none() && precondition.kind().is_some() && next.capabilities().has(Capability::WriteId)
    };
    match &mut operation {
        Operation::Upload { options, .. } if needs_name(options.write_id, &options.precondition) => {
            Arc::make_mut(options).write_id = Some(WriteId::fresh());
        }
        Operation::Copy { options, .. } if needs_name(options.write_id, &options.precondition) => {
            Arc::make_mut(options).write_id = Some(WriteId::fresh());
        }
        Operation::CreateUpload { options, .. } if needs_name(options.write_id, &options.precondition) => {
            Arc::make_mut(options).write_id = Some(WriteId::fresh());
        }
        _ => {}
    }
    operation
}

/// Returns whether repeating the operation has no other effect than doing it once, and answers the truth.
pub(super) fn is_idempotent(operation: &Operation) -> bool {
    match operation {
        Operation::Upload { options, .. } => options.precondition == Precondition::None,
        Operation::Copy { options, .. } => options.precondition == Precondition::None,
        Operation::DeleteMany { options, .. } => options.precondition == Precondition::None,
        Operation::SetMetadata { options, .. } => options.precondition == Precondition::None,
        Operation::CompleteUpload { .. } => false,
        Operation::Download { .. }
        | Operation::Metadata { .. }
        | Operation::Exists { .. }
        // A conditional one too: whether the object is gone can be looked up.
        | Operation::Delete { .. }
        | Operation::List { .. }
        | Operation::SetAccess { .. }
        | Operation::CreateUpload { .. }
        | Operation::UploadPart { .. }
        | Operation::ListParts { .. }
        | Operation::AbortUpload { .. }
        | Operation::PresignedUploadUrl { .. }
        | Operation::PresignedDownloadUrl { .. }
        | Operation::PresignedPartUrl { .. }
        | Operation::PublicUrl { .. }
        | Operation::Probe { .. } => true,
    }
}

/// Corrects the answer of an operation that may have taken effect before, and notes the name of an upload in parts.
pub(super) fn answer(outcome: Outcome, operation: &Operation, is_ambiguous: bool) -> Outcome {
    match (outcome, operation) {
        (Outcome::Delete(DeleteOutcome::Absent), _) if is_ambiguous => {
            Outcome::Delete(DeleteOutcome::Unknown)
        }
        (Outcome::CreateUpload(mut upload), Operation::CreateUpload { options, .. }) => {
            upload.write_id = upload.write_id.or(options.write_id);
            Outcome::CreateUpload(upload)
        }
        (outcome, _) => outcome,
    }
}

/// Returns whether the error may only say that an earlier attempt has worked.
pub(super) fn is_doubtful(operation: &Operation, error: &Error) -> bool {
    let kind = error.kind();
    let is_refused = matches!(kind, ErrorKind::AlreadyExists | ErrorKind::PreconditionFailed);
    match operation {
        Operation::Upload { options, .. } => is_refused && options.write_id.is_some(),
        // The source may have gone since the copy was made.
        Operation::Copy { options, .. } => {
            is_refused && options.write_id.is_some() || kind == ErrorKind::NotFound
        }
        Operation::CompleteUpload { upload, .. } => {
            upload.write_id.is_some() && (is_refused || kind == ErrorKind::NotFound)
        }
        Operation::Delete { .. } => matches!(kind, ErrorKind::PreconditionFailed | ErrorKind::NotFound),
        _ => false,
    }
}

/// Finds out what a [doubtful](is_doubtful) answer means.
pub(super) async fn after_repeat(attempts: &Attempts, policy: &Policy, error: Error) -> Result<Outcome> {
    let is_nameless_copy =
        attempts.write_id.is_none() && matches!(attempts.operation, Operation::Copy { .. });
    if is_nameless_copy {
        return Err(unknown(
            attempts,
            error.kind(),
            "the copy has no name by which it could be recognised",
            error,
        ));
    }
    let Some(look) = look(attempts) else {
        return Err(attempts.counted(error));
    };
    // Boxed, as a look is itself a call of several attempts; it is never doubtful, so this goes no deeper.
    let found = Box::pin(Attempts::new(look, attempts.next.clone()).run(policy)).await;
    match (found, attempts.write_id) {
        (Ok(Outcome::Metadata(found)), Some(own)) if found.write_id == Some(own) => {
            Ok(success(attempts, found))
        }
        (Err(found), None) if found.kind() == ErrorKind::NotFound => {
            Ok(Outcome::Delete(DeleteOutcome::Unknown))
        }
        // What refused it is gone: it may have been its own, and deleted since.
        (Err(found), _)
            if found.kind() == ErrorKind::NotFound && error.kind() == ErrorKind::AlreadyExists =>
        {
            let why = "what was there then is gone, so nobody can tell whose it was";
            Err(unknown(attempts, error.kind(), why, found))
        }
        (Ok(_), _) => Err(attempts.counted(error)),
        (Err(found), _) if found.kind() == ErrorKind::NotFound => Err(attempts.counted(error)),
        (Err(found), _) => {
            let why = "the key cannot be looked at to tell whether the first one worked";
            Err(unknown(attempts, error.kind(), why, found))
        }
    }
}

/// Looks once more, when nothing is left to try, whether one of the attempts has worked.
pub(super) async fn after_last(attempts: &Attempts, error: Error) -> Result<Outcome> {
    let Some(own) = attempts.write_id else {
        return Err(error);
    };
    let Some(look) = look(attempts) else {
        return Err(error);
    };
    match attempts.next.clone().run(look).await {
        Ok(Outcome::Metadata(found)) if found.write_id == Some(own) => Ok(success(attempts, found)),
        Ok(_) | Err(_) => Err(error),
    }
}

fn look(attempts: &Attempts) -> Option<Operation> {
    let key = attempts.operation.key()?.clone();
    let mut context = attempts.operation.context().clone();
    context.attempt = 1;
    Some(Operation::Metadata {
        key,
        options: Arc::new(CallOptions::default().with_context(context)),
    })
}

/// Returns the answer of a write whose object was found at its key.
fn success(attempts: &Attempts, found: Box<ObjectMetadata>) -> Outcome {
    match attempts.operation {
        Operation::Copy { .. } => Outcome::Copy(found),
        Operation::CompleteUpload { .. } => Outcome::CompleteUpload(found),
        _ => Outcome::Upload(found),
    }
}

fn unknown(attempts: &Attempts, answer: ErrorKind, why: &str, source: Error) -> Error {
    let error = Error::new(
        ErrorKind::OutcomeUnknown,
        format!("the answer to an attempt was lost, the next was answered {answer}, and {why}"),
    );
    Place::new(&attempts.operation, &attempts.next)
        .mark(error)
        .with_help("look at the key before repeating it")
        .with_attempts(attempts.made)
        .with_source(source)
}
