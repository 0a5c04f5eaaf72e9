//! What the server's refusals mean.
//!
//! Nearly every error comes with HTTP status 400; the true one is in the body, as text or number. Old servers send no
//! `code`, routers another shape, resumable uploads plain text, proxies anything.

use std::time::Duration;

use boards_storage_core::{Error, ErrorKind, Retry};
use serde::Deserialize;
use serde_json::Value;

/// No message is longer.
const MESSAGE_CHARS_MAX: usize = 300;

#[derive(Debug, Default, Deserialize)]
struct Body {
    #[serde(rename = "statusCode", default)]
    status: Value,
    #[serde(default)]
    error: Value,
    #[serde(default)]
    message: Value,
    #[serde(default)]
    code: Value,
}

/// What is said beside the body.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    pub(crate) retry_after: Option<Duration>,
    pub(crate) request_id: Option<String>,
}

/// Translates a refusal.
pub(crate) fn refusal(http: u16, body: &[u8], hints: Hints) -> Error {
    let parsed: Body = serde_json::from_slice(body).unwrap_or_default();
    let status = match &parsed.status {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_u64().and_then(|number| u16::try_from(number).ok()),
        _ => None,
    };
    let status = status
        .filter(|status| (100..1000).contains(status))
        .unwrap_or(http);
    let code = parsed.code.as_str().unwrap_or_default();
    let error = parsed.error.as_str().unwrap_or_default();
    let plain = String::from_utf8_lossy(body);
    let message = match parsed.message.as_str() {
        Some(message) => message,
        // A body that is no JSON is the message, unless it is a page.
        None if !error.is_empty() => error,
        None if plain.trim_start().starts_with('<') => "",
        None => plain.trim(),
    };
    let kind = kind_of(status, code, error, message);
    let mut message: String = message
        .chars()
        .filter(|c| !c.is_control())
        .take(MESSAGE_CHARS_MAX)
        .collect();
    if message.is_empty() {
        message = "the server gave no reason".to_owned();
    }
    let mut translated = Error::new(kind, message).with_status(status);
    if !code.is_empty() {
        translated = translated.with_code(code);
    }
    if let Some(request_id) = hints.request_id {
        translated = translated.with_request_id(request_id);
    }
    if let Some(wait) = hints.retry_after
        && translated.retry() == Retry::Yes
    {
        translated = translated.with_retry(Retry::After(wait));
    }
    match help(kind, status, error, code) {
        Some(help) => translated.with_help(help),
        None => translated,
    }
}

fn kind_of(status: u16, code: &str, error: &str, message: &str) -> ErrorKind {
    match code {
        // The row is there, the bytes are not.
        "NoSuchKey" if message == "The resource was not found" => ErrorKind::Corruption,
        "S3Error" if status == 404 => ErrorKind::Corruption,
        "NoSuchKey" => ErrorKind::NotFound,
        "NoSuchBucket" | "InvalidBucketName" => ErrorKind::Configuration,
        "KeyAlreadyExists" | "ResourceAlreadyExists" | "BucketAlreadyExists" => ErrorKind::AlreadyExists,
        "AccessDenied" | "InvalidJWT" | "InvalidSignature" => ErrorKind::AccessDenied,
        "EntityTooLarge" | "InvalidMimeType" => ErrorKind::Rejected,
        "InvalidKey" | "InvalidParameter" | "InvalidRange" | "MissingParameter" => ErrorKind::InvalidInput,
        "SlowDown" => ErrorKind::RateLimited,
        "DatabaseTimeout" => ErrorKind::Timeout,
        "DatabaseReadOnly" | "InternalError" | "DatabaseError" => ErrorKind::ProviderUnavailable,
        _ => kind_of_status(status, error, message),
    }
}

fn kind_of_status(status: u16, error: &str, message: &str) -> ErrorKind {
    match status {
        400 if matches!(error, "InvalidJWT" | "InvalidSignature") => ErrorKind::AccessDenied,
        401 | 403 => ErrorKind::AccessDenied,
        402 | 507 => ErrorKind::InsufficientStorage,
        404 if error == "Bucket not found" || message == "Bucket not found" => ErrorKind::Configuration,
        404 if message == "The related resource does not exist" => ErrorKind::Configuration,
        404 if message == "The resource was not found" => ErrorKind::Corruption,
        404 | 410 => ErrorKind::NotFound,
        408 | 504 | 522 | 524 | 544 => ErrorKind::Timeout,
        409 => ErrorKind::AlreadyExists,
        413 | 415 => ErrorKind::Rejected,
        429 => ErrorKind::RateLimited,
        400..=499 => ErrorKind::InvalidInput,
        500..=599 => ErrorKind::ProviderUnavailable,
        _ => ErrorKind::Storage,
    }
}

fn help(kind: ErrorKind, status: u16, error: &str, code: &str) -> Option<&'static str> {
    match kind {
        ErrorKind::Configuration if status == 404 => {
            Some("make the bucket, set create_bucket, or correct the bucket's name")
        }
        ErrorKind::AccessDenied if status == 403 || error == "Unauthorized" => Some(
            "give a key that the bucket's policies let do this; the service role's key may do everything",
        ),
        ErrorKind::Rejected if code == "EntityTooLarge" || status == 413 => {
            Some("raise the bucket's or the project's file size limit, or store less")
        }
        ErrorKind::Rejected => Some("allow the content type in the bucket's settings"),
        ErrorKind::Corruption => Some("the server lost the bytes: store the object again"),
        _ => None,
    }
}

/// Translates a refusal that came as a success, as what stands before the server may send it.
pub(crate) fn refusal_in_success(http: u16, body: &[u8]) -> Option<Error> {
    let parsed: Body = serde_json::from_slice(body).ok()?;
    let is_refusal = parsed.error.is_string() && parsed.message.is_string() && !parsed.status.is_null();
    is_refusal.then(|| refusal(http, body, Hints::default()))
}

/// Says of a write without an answer, or with one that cannot be read, that it may have taken effect.
///
/// A refusal, which has a status, says that it has not; without a connection nothing was sent.
pub(crate) fn lost_write(error: Error) -> Error {
    let is_unsent = std::error::Error::source(&error)
        .and_then(|source| source.downcast_ref::<reqwest::Error>())
        .is_some_and(reqwest::Error::is_connect);
    if error.status().is_some() || is_unsent {
        return error;
    }
    let problem = format!("{}; the server may or may not have done it", error.message());
    Error::new(ErrorKind::OutcomeUnknown, problem)
        .with_retry(Retry::Yes)
        .with_help("look at the key before repeating it")
        .with_source(error)
}

/// Translates what went wrong before an answer was there. The URL, which may be signed, is left out.
pub(crate) fn transport(error: reqwest::Error) -> Error {
    let error = error.without_url();
    let (kind, message) = if error.is_timeout() {
        (ErrorKind::Timeout, "the server did not answer in time")
    } else if error.is_connect() {
        (ErrorKind::ProviderUnavailable, "the server cannot be reached")
    } else {
        (
            ErrorKind::ProviderUnavailable,
            "the connection to the server broke",
        )
    };
    Error::new(kind, message).with_source(error)
}

/// Says that the server answered what no server answers.
pub(crate) fn unexpected(what: &'static str) -> Error {
    Error::new(ErrorKind::Storage, what).with_help("check that the url is a Supabase project's")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(http: u16, body: &str, kind: ErrorKind, status: u16, retries: bool) {
        let error = refusal(http, body.as_bytes(), Hints::default());
        assert_eq!((error.kind(), error.status()), (kind, Some(status)), "{body}");
        assert_eq!(error.retry().is_wanted(), retries, "{body}");
        assert!(!error.message().is_empty());
    }

    #[test]
    fn every_refusal_has_its_kind() {
        use ErrorKind::*;
        let body = |status: &str, error: &str, code: &str| {
            format!(r#"{{"statusCode":"{status}","error":"{error}","message":"m","code":"{code}"}}"#)
        };
        for (status, error, code, kind, retries) in [
            ("404", "not_found", "NoSuchKey", NotFound, false),
            ("404", "Bucket not found", "NoSuchBucket", Configuration, false),
            ("409", "Duplicate", "KeyAlreadyExists", AlreadyExists, false),
            ("409", "Duplicate", "ResourceAlreadyExists", AlreadyExists, false),
            ("409", "Duplicate", "BucketAlreadyExists", AlreadyExists, false),
            ("403", "Unauthorized", "AccessDenied", AccessDenied, false),
            ("400", "InvalidJWT", "InvalidJWT", AccessDenied, false),
            ("400", "InvalidSignature", "InvalidSignature", AccessDenied, false),
            ("413", "Payload too large", "EntityTooLarge", Rejected, false),
            ("415", "invalid_mime_type", "InvalidMimeType", Rejected, false),
            ("400", "InvalidKey", "InvalidKey", InvalidInput, false),
            (
                "503",
                "DatabaseReadOnly",
                "DatabaseReadOnly",
                ProviderUnavailable,
                true,
            ),
        ] {
            let number: u16 = status.parse().expect("a number");
            check(400, &body(status, error, code), kind, number, retries);
            // Servers before July 2026 send no code.
            let old = body(status, error, code).replace(&format!(r#","code":"{code}""#), "");
            check(400, &old, kind, number, retries);
        }
        check(
            429,
            &body("429", "too_many_connections", "SlowDown"),
            RateLimited,
            429,
            true,
        );
        check(
            544,
            &body("544", "DatabaseTimeout", "DatabaseTimeout"),
            Timeout,
            544,
            true,
        );
        check(
            500,
            &body("500", "Internal", "InternalError"),
            ProviderUnavailable,
            500,
            true,
        );
        check(
            500,
            &body("500", "connect ECONNREFUSED", "S3Error"),
            ProviderUnavailable,
            500,
            true,
        );
        check(
            400,
            &body("404", "The specified key does not exist.", "S3Error"),
            Corruption,
            404,
            false,
        );
    }

    #[test]
    fn other_shapes_are_understood() {
        use ErrorKind::*;
        check(
            404,
            r#"{"message":"Route GET:/ not found","error":"Not Found","statusCode":404}"#,
            NotFound,
            404,
            false,
        );
        check(413, "Maximum size exceeded\n", Rejected, 413, false);
        check(400, "", InvalidInput, 400, false);
        check(502, "<html>bad gateway</html>", ProviderUnavailable, 502, true);
        check(401, r#"{"message":"Invalid API key"}"#, AccessDenied, 401, false);
        check(
            431,
            r#"{"error":"Request Header Fields Too Large","statusCode":431}"#,
            InvalidInput,
            431,
            false,
        );
        check(200, r#"{"statusCode":"nonsense"}"#, Storage, 200, false);
        let lost = r#"{"statusCode":"404","error":"Not found","message":"The resource was not found","code":"NoSuchKey"}"#;
        check(400, lost, Corruption, 404, false);
    }

    #[test]
    fn a_wait_that_the_server_asks_for_is_kept() {
        let hints = Hints {
            retry_after: Some(Duration::from_secs(7)),
            request_id: Some("r".to_owned()),
        };
        let error = refusal(503, b"", hints);
        assert_eq!(error.retry(), Retry::After(Duration::from_secs(7)));
        assert_eq!(error.request_id(), Some("r"));
    }
}
