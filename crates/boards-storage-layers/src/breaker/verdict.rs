//! What counts for and against a store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use boards_storage_core::{Content, Error, ErrorKind, Operation, OperationKind, Outcome, Retry};
use futures_util::StreamExt;

use crate::refusal::Refusal;

/// What a call says about its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It works.
    Works,
    /// It fails.
    Fails,
    /// Nothing.
    Silent,
}

/// Judges an error.
pub(super) fn of_error(error: &Error) -> Verdict {
    if Refusal::of(error).is_some() {
        return Verdict::Silent;
    }
    match error.kind() {
        ErrorKind::ProviderUnavailable
        | ErrorKind::Timeout
        | ErrorKind::RateLimited
        | ErrorKind::OutcomeUnknown => Verdict::Fails,
        ErrorKind::Storage => match (error.status(), error.retry()) {
            (Some(500..), _) => Verdict::Fails,
            (Some(_), _) => Verdict::Works,
            (None, Retry::Yes | Retry::After(_) | Retry::Exhausted) => Verdict::Fails,
            (None, Retry::No) => Verdict::Silent,
        },
        // The store is there, and says no.
        ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::PreconditionFailed
        | ErrorKind::AccessDenied => Verdict::Works,
        // Of one object, one call or one setting; often nothing was sent.
        ErrorKind::InsufficientStorage
        | ErrorKind::Corruption
        | ErrorKind::InvalidInput
        | ErrorKind::Unsupported
        | ErrorKind::Configuration
        | ErrorKind::Rejected => Verdict::Silent,
    }
}

/// Judges an answer: a `delete_many` of which every key failed is as good as one that failed.
pub(super) fn of_outcome(outcome: &Outcome) -> Verdict {
    let Outcome::DeleteMany(keys) = outcome else {
        return Verdict::Works;
    };
    let mut verdict = None;
    for deleted in keys {
        let own = match &deleted.outcome {
            Ok(_) => Verdict::Works,
            Err(error) => of_error(error),
        };
        if own == Verdict::Works {
            return Verdict::Works;
        }
        if verdict != Some(Verdict::Fails) {
            verdict = Some(own);
        }
    }
    verdict.unwrap_or(Verdict::Works)
}

/// Returns whether the time until the answer says something of the store, and not of how much there was to do.
pub(super) fn is_timed(kind: OperationKind) -> bool {
    match kind {
        // Of these the time to the first byte or entry: what follows has its own pace.
        OperationKind::Download | OperationKind::List => true,
        OperationKind::Metadata
        | OperationKind::Exists
        | OperationKind::Delete
        | OperationKind::SetAccess
        | OperationKind::CreateUpload
        | OperationKind::ListParts
        | OperationKind::AbortUpload
        | OperationKind::PresignedUploadUrl
        | OperationKind::PresignedDownloadUrl
        | OperationKind::PresignedPartUrl
        | OperationKind::PublicUrl
        | OperationKind::Probe => true,
        OperationKind::Upload
        | OperationKind::UploadPart
        | OperationKind::Copy
        | OperationKind::CompleteUpload
        | OperationKind::SetMetadata
        | OperationKind::DeleteMany => false,
    }
}

/// Whether the content of an upload failed, which says nothing of the store that it was for.
#[derive(Debug, Default)]
pub(super) struct ContentWatch(Option<Arc<AtomicBool>>);

impl ContentWatch {
    /// Watches the content, where it is not plain bytes, which cannot fail.
    pub(super) fn put_on(operation: &mut Operation) -> Self {
        let (Operation::Upload { content, .. } | Operation::UploadPart { content, .. }) = operation else {
            return Self(None);
        };
        if content.as_bytes().is_some() {
            return Self(None);
        }
        let has_failed = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&has_failed);
        let watched = std::mem::replace(content, Content::from_bytes("")).map_stream(move |stream| {
            let seen = Arc::clone(&seen);
            Box::pin(stream.inspect(move |piece| {
                if piece.is_err() {
                    seen.store(true, Ordering::Relaxed);
                }
            }))
        });
        *content = watched;
        Self(Some(has_failed))
    }

    pub(super) fn has_failed(&self) -> bool {
        self.0.as_ref().is_some_and(|seen| seen.load(Ordering::Relaxed))
    }
}
