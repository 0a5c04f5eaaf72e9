//! Our errors as `object_store` knows them. Each keeps ours as its source.

use boards_storage_core::{Error, ErrorKind};
use object_store::path::Path;

/// The name of this store in errors.
pub(super) const STORE: &str = "boards-storage";

pub(super) fn translate(error: Error, path: &str) -> object_store::Error {
    let path = path.to_owned();
    let kind = error.kind();
    let source = Box::new(error);
    match kind {
        ErrorKind::NotFound => object_store::Error::NotFound { path, source },
        ErrorKind::AlreadyExists => object_store::Error::AlreadyExists { path, source },
        ErrorKind::PreconditionFailed => object_store::Error::Precondition { path, source },
        ErrorKind::AccessDenied => object_store::Error::PermissionDenied { path, source },
        ErrorKind::Unsupported => object_store::Error::NotSupported { source },
        ErrorKind::Storage
        | ErrorKind::ProviderUnavailable
        | ErrorKind::InsufficientStorage
        | ErrorKind::Corruption
        | ErrorKind::InvalidInput
        | ErrorKind::Configuration
        | ErrorKind::Rejected
        | ErrorKind::Timeout
        | ErrorKind::RateLimited
        | ErrorKind::OutcomeUnknown => object_store::Error::Generic { store: STORE, source },
    }
}

/// A path that is no key of ours.
pub(super) fn wrong_path(error: Error, location: &Path) -> object_store::Error {
    let message = format!("the path '{location}' is no key: {error}");
    translate(
        Error::invalid_input(message).with_source(error),
        location.as_ref(),
    )
}

pub(super) fn unsupported(message: &'static str) -> object_store::Error {
    object_store::Error::NotSupported {
        source: message.into(),
    }
}
