//! What the store answers, and missing answers, as [`Error`]s. Here alone its codes are known.

use std::time::Duration;

use boards_storage_core::{Error, ErrorKind, Precondition, Retry};
use http::HeaderMap;
use serde::Deserialize;

/// The longest part of the store's own words that is passed on, in characters.
const MESSAGE_CHARACTERS_MAX: usize = 300;
/// The longest wait that the store can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// What was asked, as far as it decides what an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The store stays as it is, or nothing of it is visible.
    Read,
    /// The store is changed, so that a lost answer leaves the outcome open.
    Write,
    /// As [`Asked::Write`], if there is nothing at the key.
    WriteIfAbsent,
    /// As [`Asked::Write`], if that state is at the key.
    WriteIfMatch,
}

impl Asked {
    pub(crate) fn write(precondition: &Precondition) -> Self {
        match precondition {
            Precondition::IfAbsent => Self::WriteIfAbsent,
            Precondition::IfMatch(_) => Self::WriteIfMatch,
            _ => Self::Write,
        }
    }

    /// Makes an error of a request that brought no answer, or half of one. The URL, which may be a credential, is
    /// left out.
    pub(crate) fn lost(self, error: reqwest::Error) -> Error {
        let error = error.without_url();
        if error.is_connect() || error.is_builder() {
            let kind = if error.is_timeout() {
                ErrorKind::Timeout
            } else {
                ErrorKind::ProviderUnavailable
            };
            return Error::new(kind, "the store cannot be reached")
                .with_help("check the endpoint, the network, and whether the store runs")
                .with_source(error);
        }
        let (kind, what) = if error.is_timeout() {
            (ErrorKind::Timeout, "the store did not answer in time")
        } else {
            (
                ErrorKind::ProviderUnavailable,
                "the connection to the store broke",
            )
        };
        self.open(kind, what).with_source(error)
    }

    /// A write without an answer may have been done.
    fn open(self, kind: ErrorKind, what: &'static str) -> Error {
        match self {
            Self::Read => Error::new(kind, what),
            Self::Write | Self::WriteIfAbsent | Self::WriteIfMatch => outcome_unknown(what),
        }
    }

    /// Makes an error of a refusal.
    pub(crate) fn refused(self, status: u16, headers: &HeaderMap, body: &[u8]) -> Error {
        let told = Told::of(body);
        let (kind, what) = self.meaning(status, &told);
        let mut error = Error::new(kind, told.after(what)).with_status(status);
        if let Some(reason) = told.reason() {
            error = error.with_code(reason);
        }
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(id) = text("x-guploader-uploadid").or_else(|| text("x-request-id")) {
            error = error.with_request_id(id);
        }
        let is_transient = matches!(status, 408 | 409 | 425 | 429 | 500..) && status != 501 && status != 507;
        let retry = match text("retry-after").and_then(|seconds| seconds.parse().ok()) {
            _ if !is_transient && kind != ErrorKind::RateLimited => Retry::No,
            Some(seconds) => Retry::After(Duration::from_secs(seconds).min(RETRY_AFTER_MAX)),
            None => Retry::Yes,
        };
        let error = error.with_retry(retry);
        match help(kind, status) {
            "" => error,
            help => error.with_help(help),
        }
    }

    /// Refuses a success whose body says that it is none. A store, or what stands before it, may fail when the head of
    /// its answer is already on its way; an object or a page has no field `error`.
    pub(crate) fn check_success(self, headers: &HeaderMap, body: &[u8]) -> Result<(), Error> {
        match serde_json::from_slice::<Body>(body) {
            Ok(Body { error }) => {
                let status = error.code.filter(|code| (400..600).contains(code)).unwrap_or(500);
                Err(self.refused(status, headers, body))
            }
            Err(_) => Ok(()),
        }
    }

    fn meaning(self, status: u16, told: &Told) -> (ErrorKind, &'static str) {
        use ErrorKind as Kind;
        match (status, told.reason().unwrap_or_default()) {
            (_, "rateLimitExceeded" | "userRateLimitExceeded" | "slowDown") => {
                (Kind::RateLimited, "the store asks to slow down")
            }
            (_, "quotaExceeded" | "storageQuotaExceeded") | (507, _) => {
                (Kind::InsufficientStorage, "the store or its quota is full")
            }
            (404, _) if told.words.contains("bucket does not exist") => {
                (Kind::Configuration, "the bucket does not exist")
            }
            (404 | 410, _) if self == Self::WriteIfMatch => {
                (Kind::PreconditionFailed, "there is no object to match")
            }
            (404 | 410, _) => (Kind::NotFound, "there is no such object"),
            (412, _) if self == Self::WriteIfAbsent => (Kind::AlreadyExists, "there is an object already"),
            (412, _) => (Kind::PreconditionFailed, "the object is in another state"),
            (401, _) => (Kind::AccessDenied, "the credentials are not valid"),
            (403, _) => (Kind::AccessDenied, "the credentials may not do this"),
            (408, _) => (Kind::Timeout, "the store waited too long for the request"),
            (409, _) => (Kind::Storage, "another request for the same object was under way"),
            (413, _) => (Kind::Rejected, "the store takes no object of this size"),
            (416, _) => (Kind::InvalidInput, "the range lies beyond the end of the object"),
            (429, _) => (Kind::RateLimited, "the store asks to slow down"),
            (400, _) if told.words.contains("hash") || told.words.contains("crc32c") => (
                Kind::Corruption,
                "the bytes that arrived are not the ones that were announced",
            ),
            (405 | 501, _) => (Kind::Unsupported, "the store cannot do this"),
            (300..=399, _) => (Kind::Configuration, "the store is somewhere else"),
            (400..=499, _) => (Kind::InvalidInput, "the store refuses the request"),
            // A gateway that got no answer: what is behind it may have done its work.
            (502 | 504, _) if self != Self::Read => {
                (Kind::OutcomeUnknown, "a gateway before the store got no answer")
            }
            (504, _) => (Kind::Timeout, "a gateway before the store got no answer"),
            (500.., _) => (Kind::ProviderUnavailable, "the store failed"),
            _ => (Kind::Storage, "the store gave an answer that makes no sense"),
        }
    }
}

fn help(kind: ErrorKind, status: u16) -> &'static str {
    match kind {
        ErrorKind::Configuration if status == 404 => "make the bucket, or correct its name",
        ErrorKind::Configuration => "correct the endpoint",
        ErrorKind::AccessDenied if status == 401 => "check the credentials, and this machine's clock",
        ErrorKind::AccessDenied => "grant the account a role on the bucket, such as Storage Object User",
        ErrorKind::InsufficientStorage => "make room, or raise the quota",
        _ => "",
    }
}

/// A write whose outcome nobody can tell.
pub(crate) fn outcome_unknown(what: &'static str) -> Error {
    Error::new(ErrorKind::OutcomeUnknown, what)
        .with_retry(Retry::Yes)
        .with_help("look whether it was done before doing it again")
}

/// Says that the store answered what no such store answers.
pub(crate) fn unexpected(what: &'static str) -> Error {
    Error::new(ErrorKind::Storage, what).with_help("check that the endpoint is Google Cloud Storage")
}

/// What the store says of a refusal.
#[derive(Debug, Default)]
struct Told {
    words: String,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    error: Refusal,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: Option<u16>,
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    reason: String,
}

impl Told {
    fn of(body: &[u8]) -> Self {
        let (words, reason) = match serde_json::from_slice::<Body>(body) {
            Ok(Body { error }) => {
                let first = error.errors.into_iter().next();
                (error.message, first.map(|first| first.reason))
            }
            // Uploads and downloads are also refused in plain text; a page says nothing.
            Err(_) => {
                let text = String::from_utf8_lossy(body).into_owned();
                let is_page = text.trim_start().starts_with('<');
                (if is_page { String::new() } else { text }, None)
            }
        };
        let words = words.trim().trim_end_matches('.').chars();
        // What looks like a URL may be a session, which is a credential.
        let words: String = words
            .filter(|c| !c.is_control())
            .take(MESSAGE_CHARACTERS_MAX)
            .collect();
        let words = if words.contains("://") {
            String::new()
        } else {
            words
        };
        Self {
            words,
            reason: reason.filter(|reason| !reason.is_empty()),
        }
    }

    fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    fn after(&self, what: &str) -> String {
        match self.words.as_str() {
            "" => what.to_owned(),
            words => format!("{what}; the store says: {words}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(asked: Asked, status: u16, reason: &str, kind: ErrorKind, is_again: bool) {
        let body = format!(
            r#"{{"error":{{"code":{status},"message":"Words.","errors":[{{"reason":"{reason}"}}]}}}}"#
        );
        let error = asked.refused(status, &HeaderMap::new(), body.as_bytes());
        assert_eq!((error.kind(), error.status()), (kind, Some(status)), "{error}");
        assert_eq!(error.retry().is_wanted(), is_again, "{error}");
        assert!(error.message().ends_with("the store says: Words"), "{error}");
    }

    #[test]
    fn every_refusal_has_its_kind() {
        use Asked::{Read, Write, WriteIfAbsent, WriteIfMatch};
        use ErrorKind as Kind;
        check(Read, 400, "invalid", Kind::InvalidInput, false);
        check(Read, 401, "authError", Kind::AccessDenied, false);
        check(Read, 403, "forbidden", Kind::AccessDenied, false);
        check(Read, 403, "rateLimitExceeded", Kind::RateLimited, true);
        check(Read, 403, "quotaExceeded", Kind::InsufficientStorage, false);
        check(Read, 404, "notFound", Kind::NotFound, false);
        check(WriteIfMatch, 404, "notFound", Kind::PreconditionFailed, false);
        check(Read, 408, "timeout", Kind::Timeout, true);
        check(Write, 409, "conflict", Kind::Storage, true);
        check(Read, 412, "conditionNotMet", Kind::PreconditionFailed, false);
        check(
            WriteIfMatch,
            412,
            "conditionNotMet",
            Kind::PreconditionFailed,
            false,
        );
        check(WriteIfAbsent, 412, "conditionNotMet", Kind::AlreadyExists, false);
        check(Write, 413, "uploadTooLarge", Kind::Rejected, false);
        check(
            Read,
            416,
            "requestedRangeNotSatisfiable",
            Kind::InvalidInput,
            false,
        );
        check(Read, 429, "rateLimitExceeded", Kind::RateLimited, true);
        check(Read, 429, "", Kind::RateLimited, true);
        check(Write, 500, "backendError", Kind::ProviderUnavailable, true);
        check(Write, 501, "", Kind::Unsupported, false);
        check(Write, 502, "", Kind::OutcomeUnknown, true);
        check(Read, 502, "", Kind::ProviderUnavailable, true);
        check(Read, 504, "", Kind::Timeout, true);
        check(Write, 503, "backendError", Kind::ProviderUnavailable, true);
    }

    #[track_caller]
    fn check_success(body: &str, expected: Option<(ErrorKind, u16)>) {
        let checked = Asked::Write.check_success(&HeaderMap::new(), body.as_bytes());
        let found = checked
            .err()
            .map(|error| (error.kind(), error.status().unwrap_or(0)));
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn a_success_that_says_that_it_failed_is_a_refusal() {
        use ErrorKind as Kind;
        let error = |code: &str, reason: &str| {
            format!(r#"{{"error":{{"code":{code},"message":"Words.","errors":[{{"reason":"{reason}"}}]}}}}"#)
        };
        check_success(
            &error("503", "backendError"),
            Some((Kind::ProviderUnavailable, 503)),
        );
        check_success(&error("403", "rateLimitExceeded"), Some((Kind::RateLimited, 403)));
        check_success(&error("502", ""), Some((Kind::OutcomeUnknown, 502)));
        check_success(&error("200", ""), Some((Kind::ProviderUnavailable, 500)));
        check_success(&error("null", ""), Some((Kind::ProviderUnavailable, 500)));
        check_success(r#"{"name":"a","size":"5"}"#, None);
        check_success(r#"{"metadata":{"error":"mine"}}"#, None);
        check_success("", None);
        check_success("plain", None);
    }

    #[test]
    fn words_are_read_wherever_they_stand_and_sessions_are_not_told() {
        let told = |body: &str| Asked::Read.refused(400, &HeaderMap::new(), body.as_bytes());
        assert!(
            told("Provided CRC32C \"a\" doesn't match calculated CRC32C hash").kind()
                == ErrorKind::Corruption
        );
        assert!(!told("<html>page</html>").message().contains("page"));
        assert!(
            !told("no such session https://h/o?upload_id=s3cret")
                .to_string()
                .contains("s3cret")
        );
        let bucket = r#"{"error":{"message":"The specified bucket does not exist."}}"#;
        let missing = Asked::Read.refused(404, &HeaderMap::new(), bucket.as_bytes());
        assert_eq!(missing.kind(), ErrorKind::Configuration);
    }

    #[test]
    fn a_wait_that_the_store_asks_for_is_kept_within_bounds() {
        let wait = |seconds: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", seconds.parse().expect("a header"));
            Asked::Read.refused(503, &headers, b"").retry()
        };
        assert_eq!(wait("7"), Retry::After(Duration::from_secs(7)));
        assert_eq!(wait("99999999"), Retry::After(RETRY_AFTER_MAX));
        assert_eq!(wait("soon"), Retry::Yes);
    }
}
