//! What `object_store`'s errors mean. Their own text is kept as the source, without the queries of URLs.

use std::error::Error as _;

use boards_storage_core::{Error, ErrorKind, Precondition};
use object_store::Error as Native;

use crate::redact::redacted;

pub(super) fn translate(error: Native) -> Error {
    let (kind, message) = match &error {
        Native::NotFound { .. } => (ErrorKind::NotFound, "there is no object at the key"),
        Native::AlreadyExists { .. } => (ErrorKind::AlreadyExists, "there is an object at the key"),
        Native::Precondition { .. } => (ErrorKind::PreconditionFailed, "the object has another entity tag"),
        Native::PermissionDenied { .. } => (ErrorKind::AccessDenied, "the store refused: not allowed"),
        Native::Unauthenticated { .. } => (ErrorKind::AccessDenied, "the store refused the credentials"),
        Native::NotSupported { .. } | Native::NotImplemented { .. } => {
            (ErrorKind::Unsupported, "the store cannot do this")
        }
        Native::InvalidPath { .. } => (ErrorKind::InvalidInput, "the store cannot hold the key"),
        Native::UnknownConfigurationKey { .. } => {
            (ErrorKind::Configuration, "the store's settings are wrong")
        }
        other => (kind_of_cause(other), "the store failed"),
    };
    let text = redacted(&error.to_string());
    Error::new(kind, message).with_source(text)
}

/// Translates the refusal of a write.
pub(super) fn refusal(error: Native, precondition: &Precondition) -> Error {
    let translated = translate(error);
    match (precondition, translated.kind()) {
        // A store says one or the other.
        (Precondition::IfAbsent, ErrorKind::PreconditionFailed) => {
            Error::new(ErrorKind::AlreadyExists, "there is an object at the key").with_source(translated)
        }
        (Precondition::IfMatch(_), ErrorKind::NotFound | ErrorKind::AlreadyExists) => {
            Error::new(ErrorKind::PreconditionFailed, "the object has another entity tag")
                .with_source(translated)
        }
        _ => translated,
    }
}

/// Translates an error of the commit itself: a conditional write that may have taken effect must not be repeated
/// blindly.
pub(super) fn committed(error: Native, precondition: &Precondition) -> Error {
    let refused = refusal(error, precondition);
    let is_in_doubt = matches!(
        refused.kind(),
        ErrorKind::Storage | ErrorKind::ProviderUnavailable | ErrorKind::Timeout
    );
    if *precondition != Precondition::None && is_in_doubt {
        return Error::new(
            ErrorKind::OutcomeUnknown,
            "the conditional write failed on its way and may have taken effect",
        )
        .with_source(refused);
    }
    refused
}

/// What is beneath a generic error: a file system or a connection. The store retries by itself, so what is left of a
/// failing connection is an outage.
fn kind_of_cause(error: &Native) -> ErrorKind {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind as Io;
            return match io.kind() {
                Io::StorageFull | Io::QuotaExceeded => ErrorKind::InsufficientStorage,
                Io::TimedOut => ErrorKind::Timeout,
                Io::NotADirectory | Io::IsADirectory | Io::InvalidFilename => ErrorKind::InvalidInput,
                Io::ConnectionRefused | Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe => {
                    ErrorKind::ProviderUnavailable
                }
                _ => ErrorKind::Storage,
            };
        }
        cause = inner.source();
    }
    ErrorKind::Storage
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(source: std::io::ErrorKind) -> Native {
        Native::Generic {
            store: "test",
            source: Box::new(std::io::Error::from(source)),
        }
    }

    #[track_caller]
    fn check(native: Native, kind: ErrorKind) {
        assert_eq!(translate(native).kind(), kind);
    }

    #[test]
    fn kinds_follow_what_the_caller_can_do() {
        let path = || "a".to_owned();
        check(
            Native::NotFound {
                path: path(),
                source: "x".into(),
            },
            ErrorKind::NotFound,
        );
        check(
            Native::Unauthenticated {
                path: path(),
                source: "x".into(),
            },
            ErrorKind::AccessDenied,
        );
        check(
            generic(std::io::ErrorKind::StorageFull),
            ErrorKind::InsufficientStorage,
        );
        check(
            generic(std::io::ErrorKind::ConnectionReset),
            ErrorKind::ProviderUnavailable,
        );
        check(generic(std::io::ErrorKind::Other), ErrorKind::Storage);
    }

    #[test]
    fn a_lost_answer_of_a_conditional_write_is_in_doubt() {
        let lost = || generic(std::io::ErrorKind::ConnectionReset);
        let kind = |precondition| committed(lost(), &precondition).kind();
        assert_eq!(kind(Precondition::IfAbsent), ErrorKind::OutcomeUnknown);
        assert_eq!(kind(Precondition::None), ErrorKind::ProviderUnavailable);
    }

    #[test]
    fn no_signature_is_told() {
        let error = translate(Native::Generic {
            store: "test",
            source: "GET http://host/key?sig=s3cret failed".into(),
        });
        assert!(!format!("{error:?}").contains("s3cret"));
    }
}
