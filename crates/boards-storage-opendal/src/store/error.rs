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
        ErrorKind::Unsupported => not_implemented(source.to_string()),
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

/// What `object_store`'s own stores say of an option that they don't have.
pub(super) fn unsupported(message: &'static str) -> object_store::Error {
    not_implemented(message.to_owned())
}

fn not_implemented(operation: String) -> object_store::Error {
    object_store::Error::NotImplemented {
        operation,
        implementer: STORE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: ErrorKind, is_right: fn(&object_store::Error) -> bool) {
        let translated = translate(Error::new(kind, "what happened"), "a/b");
        assert!(is_right(&translated), "{kind}: {translated:?}");
        assert!(translated.to_string().contains("what happened"), "{translated}");
    }

    #[test]
    fn kinds_become_those_of_object_store() {
        use object_store::Error as Native;
        check(ErrorKind::NotFound, |error| {
            matches!(error, Native::NotFound { .. })
        });
        check(ErrorKind::AlreadyExists, |error| {
            matches!(error, Native::AlreadyExists { .. })
        });
        check(ErrorKind::PreconditionFailed, |error| {
            matches!(error, Native::Precondition { .. })
        });
        check(ErrorKind::AccessDenied, |error| {
            matches!(error, Native::PermissionDenied { .. })
        });
        check(ErrorKind::Unsupported, |error| {
            matches!(error, Native::NotImplemented { .. })
        });
        check(ErrorKind::Corruption, |error| {
            matches!(error, Native::Generic { .. })
        });
    }
}
