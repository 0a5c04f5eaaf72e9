//! How a layer goes around the streams that an outcome carries: object bytes and list entries alike.

use std::pin::Pin;

use boards_storage_core::{DownloadOutcome, ListEntry, NotModified, Outcome, Result};
use bytes::Bytes;
use futures_core::Stream;

/// A returned stream of either kind.
pub(crate) type Pieces<T> = Pin<Box<dyn Stream<Item = Result<T>> + Send + 'static>>;

/// What a returned stream gives.
pub(crate) trait Piece: Send + Unpin + 'static {
    /// Returns how many object bytes it has.
    fn size_bytes(&self) -> u64;
}

impl Piece for Bytes {
    fn size_bytes(&self) -> u64 {
        self.len() as u64
    }
}

impl Piece for ListEntry {
    fn size_bytes(&self) -> u64 {
        0
    }
}

/// Goes around a stream, whatever it gives.
pub(crate) trait Wrap {
    /// Returns the stream with the layer's concern around it.
    fn wrap<T: Piece>(self, stream: Pieces<T>) -> Pieces<T>;
}

/// Returns whether something is still to come after the outcome.
///
/// A download whose bytes are here already carries no stream: it stays as it is, so that small reads cost nothing.
pub(crate) fn has_stream(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Download(download) => match &**download {
            DownloadOutcome::Object(download) => download.as_bytes().is_none(),
            DownloadOutcome::NotModified(_) => false,
        },
        Outcome::List(_) => true,
        Outcome::Upload(_)
        | Outcome::Metadata(_)
        | Outcome::Exists(_)
        | Outcome::Delete(_)
        | Outcome::DeleteMany(_)
        | Outcome::Copy(_)
        | Outcome::SetMetadata(_)
        | Outcome::SetAccess
        | Outcome::CreateUpload(_)
        | Outcome::UploadPart(_)
        | Outcome::ListParts(_)
        | Outcome::CompleteUpload(_)
        | Outcome::AbortUpload
        | Outcome::PresignedUploadUrl(_)
        | Outcome::PresignedDownloadUrl(_)
        | Outcome::PresignedPartUrl(_)
        | Outcome::PublicUrl(_)
        | Outcome::Probe => false,
    }
}

/// Returns the object bytes that were stored, as an outcome tells them.
pub(crate) fn sent_bytes(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Upload(metadata) => metadata.size_bytes,
        Outcome::UploadPart(part) => part.size_bytes,
        Outcome::Download(_)
        | Outcome::Metadata(_)
        | Outcome::Exists(_)
        | Outcome::Delete(_)
        | Outcome::DeleteMany(_)
        | Outcome::List(_)
        | Outcome::Copy(_)
        | Outcome::SetMetadata(_)
        | Outcome::SetAccess
        | Outcome::CreateUpload(_)
        | Outcome::ListParts(_)
        | Outcome::CompleteUpload(_)
        | Outcome::AbortUpload
        | Outcome::PresignedUploadUrl(_)
        | Outcome::PresignedDownloadUrl(_)
        | Outcome::PresignedPartUrl(_)
        | Outcome::PublicUrl(_)
        | Outcome::Probe => 0,
    }
}

/// Returns the object bytes that a download gives or will give; `None` of any other outcome.
pub(crate) fn received_bytes(outcome: &Outcome) -> Option<u64> {
    let Outcome::Download(download) = outcome else {
        return None;
    };
    Some(match &**download {
        DownloadOutcome::Object(download) => download.length(),
        DownloadOutcome::NotModified(_) => 0,
    })
}

/// Wraps the stream of an outcome that [has one](has_stream); any other passes unchanged.
pub(crate) fn wrap_stream(outcome: Outcome, wrap: impl Wrap) -> Outcome {
    if !has_stream(&outcome) {
        return outcome;
    }
    match outcome {
        Outcome::List(stream) => Outcome::List(wrap.wrap(stream)),
        Outcome::Download(mut download) => {
            // Taken out and put back, so that the box is used again.
            let nothing = DownloadOutcome::NotModified(NotModified::default());
            *download = match std::mem::replace(&mut *download, nothing) {
                DownloadOutcome::Object(object) => {
                    DownloadOutcome::Object(object.map_stream(|stream| wrap.wrap(stream)))
                }
                other @ DownloadOutcome::NotModified(_) => other,
            };
            Outcome::Download(download)
        }
        other => other,
    }
}
