//! The one error type: what the caller can do, whether a repeat can help, and where it happened.
//!
//! A provider translates its SDK's errors here exactly once, in its own `error.rs`. No secret and no signed URL
//! may ever be put into a message.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::key::StorageKey;
use crate::operation::OperationKind;

/// The result of every fallible call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in terms of what the caller can do about it.
///
/// The enum is exhaustive: a new kind breaks every match, on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The store failed in a way that no other kind describes. Read the message; look at the store.
    Storage,
    /// The store cannot be reached or refuses to work at the moment. Try later or elsewhere.
    ProviderUnavailable,
    /// A disk, quota or account is full. Make room.
    InsufficientStorage,
    /// The credentials or the principal may not do this. Change the grant.
    AccessDenied,
    /// The bytes are not the ones that were stored. Restore from a replica or a backup.
    Corruption,
    /// The key, artifact, variant or upload does not exist.
    NotFound,
    /// It exists already and overwriting was not asked for.
    AlreadyExists,
    /// The object changed since the caller looked. Read it again, then decide.
    PreconditionFailed,
    /// An argument is malformed. Correct it.
    InvalidInput,
    /// The provider cannot do this; its capabilities say so.
    Unsupported,
    /// The settings are wrong. Correct them.
    Configuration,
    /// A policy refused the content: too large, a type that is not allowed, malware.
    Rejected,
    /// It took longer than the deadline or the time allowed.
    Timeout,
    /// Too many requests, at the store or at our own limits. Slow down.
    RateLimited,
    /// The request may have taken effect and may not. Look before repeating it.
    OutcomeUnknown,
}

impl ErrorKind {
    /// Every kind, in documentation order.
    pub const ALL: [Self; 15] = [
        Self::Storage,
        Self::ProviderUnavailable,
        Self::InsufficientStorage,
        Self::AccessDenied,
        Self::Corruption,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PreconditionFailed,
        Self::InvalidInput,
        Self::Unsupported,
        Self::Configuration,
        Self::Rejected,
        Self::Timeout,
        Self::RateLimited,
        Self::OutcomeUnknown,
    ];

    /// Returns the kind's stable machine-readable name, such as `not_found`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Storage => "storage",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::InsufficientStorage => "insufficient_storage",
            Self::AccessDenied => "access_denied",
            Self::Corruption => "corruption",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::PreconditionFailed => "precondition_failed",
            Self::InvalidInput => "invalid_input",
            Self::Unsupported => "unsupported",
            Self::Configuration => "configuration",
            Self::Rejected => "rejected",
            Self::Timeout => "timeout",
            Self::RateLimited => "rate_limited",
            Self::OutcomeUnknown => "outcome_unknown",
        }
    }

    /// Returns what [`Error::new`] assumes of a repeat: transient kinds may be retried, the others not.
    fn default_retry(self) -> Retry {
        match self {
            Self::ProviderUnavailable | Self::Timeout | Self::RateLimited => Retry::Yes,
            Self::Storage
            | Self::InsufficientStorage
            | Self::AccessDenied
            | Self::Corruption
            | Self::NotFound
            | Self::AlreadyExists
            | Self::PreconditionFailed
            | Self::InvalidInput
            | Self::Unsupported
            | Self::Configuration
            | Self::Rejected
            | Self::OutcomeUnknown => Retry::No,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether repeating the same call can help. Orthogonal to [`ErrorKind`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retry {
    /// A repeat would fail the same way.
    #[default]
    No,
    /// A repeat may succeed.
    Yes,
    /// A repeat may succeed after this wait, which the store asked for.
    After(Duration),
    /// It was repeated, and the attempts, the time or the budget ran out.
    Exhausted,
}

impl Retry {
    /// Returns whether the error asks for another attempt.
    #[must_use]
    pub fn is_wanted(self) -> bool {
        matches!(self, Self::Yes | Self::After(_))
    }
}

/// The error of every operation.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{Error, ErrorKind, Retry};
///
/// let error = Error::new(ErrorKind::ProviderUnavailable, "connection refused")
///     .with_provider("s3")
///     .with_help("start the server or check the endpoint in storage.yaml");
/// assert_eq!(error.kind(), ErrorKind::ProviderUnavailable);
/// assert_eq!(error.retry(), Retry::Yes);
/// assert_eq!(error.to_string(), "provider 's3': connection refused");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    retry: Retry,
    message: Cow<'static, str>,
    help: Option<Cow<'static, str>>,
    operation: Option<OperationKind>,
    provider: Option<Arc<str>>,
    key: Option<StorageKey>,
    status: Option<u16>,
    code: Option<Box<str>>,
    request_id: Option<Box<str>>,
    attempts: u32,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Creates an error. Transient kinds start as [`Retry::Yes`], all others as [`Retry::No`].
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            retry: kind.default_retry(),
            message: message.into(),
            help: None,
            operation: None,
            provider: None,
            key: None,
            status: None,
            code: None,
            request_id: None,
            attempts: 0,
            source: None,
        }))
    }

    /// Creates an [`ErrorKind::InvalidInput`] error.
    pub fn invalid_input(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// Creates an [`ErrorKind::NotFound`] error.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// Creates an [`ErrorKind::Unsupported`] error.
    pub fn unsupported(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// Creates an [`ErrorKind::Configuration`] error.
    pub fn configuration(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    /// Sets whether a repeat can help.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Says what to do about it, as an imperative without a full stop.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Returns what completes an error with the place where it happened, for `map_err` in a provider.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use boards_storage_core::{Error, ErrorKind, OperationKind};
    ///
    /// let name: Arc<str> = Arc::from("media");
    /// let located = Error::located(OperationKind::Probe, &name, None);
    /// let error = located(Error::new(ErrorKind::Storage, "the disk is gone"));
    /// assert_eq!(error.provider(), Some("media"));
    /// ```
    pub fn located(
        operation: OperationKind,
        provider: &Arc<str>,
        key: Option<&StorageKey>,
    ) -> impl Fn(Self) -> Self + use<> {
        let (provider, key) = (Arc::clone(provider), key.cloned());
        move |error| {
            let error = error
                .with_operation(operation)
                .with_provider(Arc::clone(&provider));
            match &key {
                Some(key) => error.with_key(key),
                None => error,
            }
        }
    }

    /// Names the operation, unless one is named already.
    #[must_use]
    pub fn with_operation(mut self, operation: OperationKind) -> Self {
        self.0.operation.get_or_insert(operation);
        self
    }

    /// Names the provider, unless one is named already.
    #[must_use]
    pub fn with_provider(mut self, provider: impl Into<Arc<str>>) -> Self {
        self.0.provider.get_or_insert_with(|| provider.into());
        self
    }

    /// Names the key, unless one is named already.
    #[must_use]
    pub fn with_key(mut self, key: &StorageKey) -> Self {
        self.0.key.get_or_insert_with(|| key.clone());
        self
    }

    /// Records the store's status code.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Records the store's own error code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Box<str>>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// Records the store's request id, which its operators ask for.
    #[must_use]
    pub fn with_request_id(mut self, request_id: impl Into<Box<str>>) -> Self {
        self.0.request_id = Some(request_id.into());
        self
    }

    /// Records how many attempts were made.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.0.attempts = attempts;
        self
    }

    /// Keeps the cause. It is printed by whoever walks [`StdError::source`], never by `Display`.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Returns what the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns whether a repeat can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// Returns the message alone, without the place where it happened.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// Returns the operation that failed.
    #[must_use]
    pub fn operation(&self) -> Option<OperationKind> {
        self.0.operation
    }

    /// Returns the name of the provider that failed.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.0.provider.as_deref()
    }

    /// Returns the key that the operation was about.
    #[must_use]
    pub fn key(&self) -> Option<&StorageKey> {
        self.0.key.as_ref()
    }

    /// Returns the store's status code.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// Returns the store's own error code.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Returns the store's request id.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// Returns how many attempts were made; 0 when nobody counted.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            operation,
            provider,
            key,
            message,
            status,
            code,
            request_id,
            attempts,
            ..
        } = &*self.0;
        if let Some(operation) = operation {
            write!(f, "{operation}")?;
            if let Some(key) = key {
                write!(f, " of '{key}'")?;
            }
            if let Some(provider) = provider {
                write!(f, " on provider '{provider}'")?;
            }
            f.write_str(": ")?;
        } else if let Some(key) = key {
            write!(f, "key '{key}': ")?;
        } else if let Some(provider) = provider {
            write!(f, "provider '{provider}': ")?;
        }
        f.write_str(message)?;
        let mut details = Vec::new();
        if let Some(status) = status {
            details.push(format!("status {status}"));
        }
        if let Some(code) = code {
            details.push(format!("code {code}"));
        }
        if let Some(request_id) = request_id {
            details.push(format!("request id {request_id}"));
        }
        if *attempts > 1 || (*attempts == 1 && self.0.retry == Retry::Exhausted) {
            details.push(format!("gave up after {attempts} attempts"));
        }
        if !details.is_empty() {
            write!(f, " ({})", details.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.debug_struct("Error")
            .field("kind", &inner.kind)
            .field("retry", &inner.retry)
            .field("message", &inner.message)
            .field("operation", &inner.operation)
            .field("provider", &inner.provider)
            .field("key", &inner.key)
            .field("status", &inner.status)
            .field("code", &inner.code)
            .field("request_id", &inner.request_id)
            .field("attempts", &inner.attempts)
            .field("help", &inner.help)
            .field("source", &inner.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_ref()
            .map(|source| &**source as &(dyn StdError + 'static))
    }
}

impl From<Error> for std::io::Error {
    /// Keeps the whole error as the source, so that an [`AsyncRead`](tokio::io::AsyncRead) loses nothing.
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::NotFound => std::io::ErrorKind::NotFound,
            ErrorKind::AlreadyExists => std::io::ErrorKind::AlreadyExists,
            ErrorKind::AccessDenied => std::io::ErrorKind::PermissionDenied,
            ErrorKind::InvalidInput => std::io::ErrorKind::InvalidInput,
            ErrorKind::Corruption => std::io::ErrorKind::InvalidData,
            ErrorKind::Timeout => std::io::ErrorKind::TimedOut,
            ErrorKind::InsufficientStorage => std::io::ErrorKind::StorageFull,
            ErrorKind::Unsupported => std::io::ErrorKind::Unsupported,
            ErrorKind::Storage
            | ErrorKind::ProviderUnavailable
            | ErrorKind::PreconditionFailed
            | ErrorKind::Configuration
            | ErrorKind::Rejected
            | ErrorKind::RateLimited
            | ErrorKind::OutcomeUnknown => std::io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_the_place_and_not_the_source() {
        let key = StorageKey::parse("a/b").expect("a plain key");
        let error = Error::new(ErrorKind::Storage, "the store said no")
            .with_operation(OperationKind::Upload)
            .with_provider("s3")
            .with_key(&key)
            .with_status(500)
            .with_code("InternalError")
            .with_source(std::io::Error::other("inner"));
        assert_eq!(
            error.to_string(),
            "upload of 'a/b' on provider 's3': the store said no (status 500, code InternalError)"
        );
        assert_eq!(error.source().expect("kept").to_string(), "inner");
    }

    #[test]
    fn the_innermost_place_wins() {
        let error = Error::new(ErrorKind::Storage, "x")
            .with_provider("inner")
            .with_provider("outer");
        assert_eq!(error.provider(), Some("inner"));
    }

    #[test]
    fn an_error_is_one_pointer() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn every_kind_has_its_own_name() {
        let names: std::collections::BTreeSet<_> = ErrorKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), ErrorKind::ALL.len());
    }
}
