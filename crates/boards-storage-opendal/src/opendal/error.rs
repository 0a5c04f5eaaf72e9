//! What OpenDAL's errors mean.

use std::error::Error as _;

use boards_storage_core::{Error, ErrorKind, Retry};
use opendal::ErrorKind as Native;

use crate::redact::redacted;

/// Translates an error. OpenDAL's own text is kept as the source, without the queries of URLs.
pub(super) fn translate(error: opendal::Error) -> Error {
    let kind = match error.kind() {
        Native::NotFound => ErrorKind::NotFound,
        Native::PermissionDenied => ErrorKind::AccessDenied,
        // A key below an object, or an object where keys are below.
        Native::IsADirectory | Native::NotADirectory | Native::IsSameFile | Native::RangeNotSatisfied => {
            ErrorKind::InvalidInput
        }
        Native::AlreadyExists => ErrorKind::AlreadyExists,
        Native::ConditionNotMatch => ErrorKind::PreconditionFailed,
        Native::RateLimited => ErrorKind::RateLimited,
        Native::Unsupported => ErrorKind::Unsupported,
        Native::ConfigInvalid => ErrorKind::Configuration,
        Native::Conflict => ErrorKind::ProviderUnavailable,
        _ => kind_of_cause(&error),
    };
    let translated = Error::new(kind, message(&error));
    let translated = match error.kind() {
        Native::RangeNotSatisfied => translated.with_status(416),
        _ if error.is_temporary() && translated.retry() == Retry::No => translated.with_retry(Retry::Yes),
        _ => translated,
    };
    translated
        .with_code(error.kind().into_static())
        .with_source(Cause(redacted(&error.to_string())))
}

/// Whether a write that ended so may have taken effect.
pub(super) fn is_in_doubt(error: &opendal::Error) -> bool {
    error.kind() == Native::Unexpected
}

fn kind_of_cause(error: &opendal::Error) -> ErrorKind {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind as Io;
            match io.kind() {
                Io::StorageFull | Io::QuotaExceeded => return ErrorKind::InsufficientStorage,
                Io::TimedOut => return ErrorKind::Timeout,
                Io::NotADirectory | Io::IsADirectory => return ErrorKind::InvalidInput,
                _ => {}
            }
        }
        cause = inner.source();
    }
    if error.is_temporary() {
        ErrorKind::ProviderUnavailable
    } else {
        ErrorKind::Storage
    }
}

fn message(error: &opendal::Error) -> String {
    match error.message() {
        "" => "OpenDAL failed".to_owned(),
        message => format!("OpenDAL: {}", redacted(message)),
    }
}

/// OpenDAL's text, for whoever walks the sources.
#[derive(Debug)]
struct Cause(String);

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(native: opendal::Error, kind: ErrorKind, retry: Retry) {
        let error = translate(native);
        assert_eq!((error.kind(), error.retry()), (kind, retry), "{error:?}");
    }

    #[test]
    fn kinds_follow_what_the_caller_can_do() {
        let new = |kind| opendal::Error::new(kind, "text");
        check(new(Native::NotFound), ErrorKind::NotFound, Retry::No);
        check(new(Native::PermissionDenied), ErrorKind::AccessDenied, Retry::No);
        check(new(Native::RateLimited), ErrorKind::RateLimited, Retry::Yes);
        check(new(Native::Unexpected), ErrorKind::Storage, Retry::No);
        check(
            new(Native::Unexpected).set_temporary(),
            ErrorKind::ProviderUnavailable,
            Retry::Yes,
        );
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        check(
            new(Native::Unexpected).set_source(full),
            ErrorKind::InsufficientStorage,
            Retry::No,
        );
    }

    #[test]
    fn no_signature_is_told() {
        let native =
            opendal::Error::new(Native::Unexpected, "failed").with_context("uri", "http://h/k?sig=s3cret");
        assert!(!format!("{:?}", translate(native)).contains("s3cret"));
    }
}
