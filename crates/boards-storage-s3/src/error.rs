//! What the store and the SDK answer, as [`Error`]s. Here alone their codes are known.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::Response;
use boards_storage_core::{Error, ErrorKind, Precondition, Retry};

/// The longest part of a server's own words that is passed on, in characters.
const MESSAGE_CHARACTERS_MAX: usize = 300;

/// The longest wait that a server can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// What was asked, as far as it decides what an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The store stays as it is, or a repeat makes no difference.
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

    /// Makes an error of what the SDK gives.
    pub(crate) fn failed<E>(self, error: SdkError<E, Response>) -> Error
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        match error {
            SdkError::ConstructionFailure(failure) => {
                let causes = SdkError::<E, Response>::ConstructionFailure(failure);
                Error::new(
                    ErrorKind::Storage,
                    format!("the request could not be made{}", causes_of(&causes)),
                )
            }
            SdkError::TimeoutError(_) => self.lost("the store did not answer in time", ErrorKind::Timeout),
            SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
                Some(connector) => self.disconnected(connector),
                None => Error::new(ErrorKind::ProviderUnavailable, "the request could not be sent"),
            },
            SdkError::ResponseError(response) => {
                let status = response.raw().status().as_u16();
                self.lost(
                    "the store's answer could not be read",
                    ErrorKind::ProviderUnavailable,
                )
                .with_status(status)
            }
            SdkError::ServiceError(refusal) => self.refused(refusal.err(), refusal.raw()),
            other => Error::new(
                ErrorKind::Storage,
                format!("the request failed{}", causes_of(&other)),
            ),
        }
    }

    fn disconnected(self, error: &ConnectorError) -> Error {
        let causes = causes_of(error);
        if is_no_credentials(error) {
            return Error::new(
                ErrorKind::Configuration,
                format!("there are no usable credentials{causes}"),
            )
            .with_help("set access_key_id and secret_access_key, or sign in where the program runs");
        }
        if is_before_the_request(error) {
            let kind = if error.is_timeout() {
                ErrorKind::Timeout
            } else {
                ErrorKind::ProviderUnavailable
            };
            return Error::new(kind, format!("the store cannot be reached{causes}"))
                .with_help("check the endpoint, the network, and whether the store runs");
        }
        let kind = if error.is_timeout() {
            ErrorKind::Timeout
        } else {
            ErrorKind::ProviderUnavailable
        };
        self.lost(&format!("the connection broke{causes}"), kind)
    }

    /// The request may have arrived, and no answer came back.
    fn lost(self, what: &str, kind: ErrorKind) -> Error {
        match self {
            Self::Read => Error::new(kind, what.to_owned()),
            Self::Write | Self::WriteIfAbsent | Self::WriteIfMatch => outcome_unknown(what),
        }
    }

    fn refused<E>(self, error: &E, response: &Response) -> Error
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let status = response.status().as_u16();
        let code = error.code().unwrap_or_default();
        if response.status().is_success() && code.is_empty() {
            let problem = format!("the store's answer could not be read{}", causes_of(error));
            return self
                .lost(&problem, ErrorKind::ProviderUnavailable)
                .with_status(status);
        }
        let answer = Answer::of(self, status, code);
        let made = answer
            .told(code, error.message().unwrap_or_default())
            .with_retry(answer.retry(response))
            .with_status(status);
        match request_id(response) {
            Some(id) => made.with_request_id(id),
            None => made,
        }
    }

    /// Makes an error of the refusal of one key among many.
    pub(crate) fn refused_key(self, code: &str, words: &str) -> Error {
        let answer = Answer::by_code(self, code)
            .unwrap_or_else(|| Answer::new(ErrorKind::ProviderUnavailable, "the store failed").again());
        let retry = if answer.may_repeat { Retry::Yes } else { Retry::No };
        answer.told(code, words).with_retry(retry)
    }
}

/// What an answer of the store means.
struct Answer {
    kind: ErrorKind,
    what: &'static str,
    help: &'static str,
    may_repeat: bool,
}

impl Answer {
    fn new(kind: ErrorKind, what: &'static str) -> Self {
        Self {
            kind,
            what,
            help: "",
            may_repeat: false,
        }
    }

    fn help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    fn again(mut self) -> Self {
        self.may_repeat = true;
        self
    }

    /// Makes the error, with the store's own code and words.
    fn told(&self, code: &str, words: &str) -> Error {
        let mut text = self.what.to_owned();
        if !words.is_empty() {
            let words: String = words
                .trim_end_matches('.')
                .chars()
                .take(MESSAGE_CHARACTERS_MAX)
                .collect();
            text.push_str("; the store says: ");
            text.push_str(&words);
        }
        let mut error = Error::new(self.kind, text);
        if !code.is_empty() {
            error = error.with_code(code);
        }
        match self.help {
            "" => error,
            help => error.with_help(help),
        }
    }

    fn of(asked: Asked, status: u16, code: &str) -> Self {
        Self::by_code(asked, code).unwrap_or_else(|| Self::by_status(asked, status))
    }

    fn by_code(asked: Asked, code: &str) -> Option<Self> {
        use ErrorKind as Kind;
        Some(match code {
            "NoSuchKey" | "NoSuchVersion" => Self::missing(asked),
            "NoSuchUpload" => Self::new(Kind::NotFound, "there is no such upload in parts"),
            "NoSuchBucket" => Self::new(Kind::Configuration, "the bucket does not exist")
                .help("make the bucket, or correct bucket and region"),
            "PreconditionFailed" => Self::precondition(asked),
            "ConditionalRequestConflict" | "OperationAborted" => {
                Self::new(Kind::Storage, "another write of the same key was under way").again()
            }
            "InvalidRange" => Self::new(Kind::InvalidInput, "the range lies beyond the end of the object"),
            "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => {
                Self::new(Kind::AccessDenied, "the credentials may not do this")
                    .help("grant the access key the right on this bucket and key")
            }
            "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" => {
                Self::new(Kind::AccessDenied, "the credentials are not valid")
                    .help("check access_key_id, secret_access_key and session_token")
            }
            "ExpiredToken" | "TokenRefreshRequired" => {
                Self::new(Kind::AccessDenied, "the credentials have expired").help("renew them")
            }
            "RequestTimeTooSkewed" => Self::new(Kind::AccessDenied, "this machine's clock is wrong")
                .help("set the clock, for instance by NTP"),
            "SlowDown"
            | "TooManyRequests"
            | "Throttling"
            | "ThrottlingException"
            | "RequestLimitExceeded" => Self::new(Kind::RateLimited, "the store asks to slow down").again(),
            // Also in an answer of 200: a long request is answered before it has ended.
            "InternalError" | "ServiceUnavailable" => {
                Self::new(Kind::ProviderUnavailable, "the store failed").again()
            }
            "RequestTimeout" => Self::new(Kind::Timeout, "the store waited too long for the request").again(),
            "QuotaExceeded" | "InsufficientStorage" | "XMinioStorageFull" | "InsufficientCapacity" => {
                Self::new(Kind::InsufficientStorage, "the store or its quota is full").help("make room")
            }
            "BadDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch" => Self::new(
                Kind::Corruption,
                "the bytes that arrived are not the ones that were announced",
            )
            .again(),
            "EntityTooLarge"
            | "EntityTooSmall"
            | "InvalidPart"
            | "InvalidPartOrder"
            | "InvalidArgument"
            | "InvalidDigest"
            | "InvalidRequest"
            | "KeyTooLongError"
            | "MetadataTooLarge"
            | "MalformedXML"
            | "MissingContentLength" => Self::new(Kind::InvalidInput, "the store refuses the request"),
            "NotImplemented" | "MethodNotAllowed" | "UnsupportedOperation" => {
                Self::new(Kind::Unsupported, "the store cannot do this")
                    .help("turn the setting off that asks for it")
            }
            "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
                Self::new(
                    Kind::Configuration,
                    "the bucket is in another region, or behind another endpoint",
                )
                .help("correct region and endpoint")
            }
            "InvalidObjectState" => Self::new(Kind::Storage, "the object is in an archive")
                .help("restore it to a class that can be read"),
            _ => return None,
        })
    }

    fn by_status(asked: Asked, status: u16) -> Self {
        use ErrorKind as Kind;
        match status {
            404 | 410 => Self::missing(asked),
            412 => Self::precondition(asked),
            409 => Self::new(Kind::Storage, "another write of the same key was under way").again(),
            416 => Self::new(Kind::InvalidInput, "the range lies beyond the end of the object"),
            301 | 307 | 308 => Self::new(
                Kind::Configuration,
                "the bucket is in another region, or behind another endpoint",
            )
            .help("correct region and endpoint"),
            401 | 403 => Self::new(Kind::AccessDenied, "the store denies access")
                .help("check the credentials and their rights"),
            400 | 411 | 413 | 422 => Self::new(Kind::InvalidInput, "the store refuses the request"),
            405 | 501 => Self::new(Kind::Unsupported, "the store cannot do this")
                .help("turn the setting off that asks for it"),
            429 => Self::new(Kind::RateLimited, "the store asks to slow down").again(),
            507 => Self::new(Kind::InsufficientStorage, "the store is full").help("make room"),
            // A gateway that got no answer: what is behind it may have done its work.
            502 | 504 if asked != Asked::Read => {
                Self::new(Kind::OutcomeUnknown, "a gateway before the store got no answer").again()
            }
            504 => Self::new(Kind::Timeout, "a gateway before the store got no answer").again(),
            500.. => Self::new(Kind::ProviderUnavailable, "the store failed").again(),
            _ => Self::new(Kind::Storage, "the store refuses the request"),
        }
    }

    fn missing(asked: Asked) -> Self {
        match asked {
            Asked::WriteIfMatch => Self::new(ErrorKind::PreconditionFailed, "there is no object to match"),
            Asked::Read | Asked::Write | Asked::WriteIfAbsent => {
                Self::new(ErrorKind::NotFound, "there is no object")
            }
        }
    }

    fn precondition(asked: Asked) -> Self {
        match asked {
            Asked::WriteIfAbsent => Self::new(ErrorKind::AlreadyExists, "there is an object already"),
            Asked::Read | Asked::Write | Asked::WriteIfMatch => {
                Self::new(ErrorKind::PreconditionFailed, "the object has another entity tag")
            }
        }
    }

    fn retry(&self, response: &Response) -> Retry {
        if !self.may_repeat {
            return Retry::No;
        }
        let seconds = response.headers().get("retry-after");
        match seconds.and_then(|text| text.trim().parse().ok()) {
            Some(seconds) => Retry::After(Duration::from_secs(seconds).min(RETRY_AFTER_MAX)),
            None => Retry::Yes,
        }
    }
}

fn request_id(response: &Response) -> Option<&str> {
    let headers = response.headers();
    headers
        .get("x-amz-request-id")
        .or_else(|| headers.get("x-amzn-requestid"))
        .filter(|id| id.len() <= 128)
}

/// The request may or may not have taken effect; whoever can look or repeat may do so.
pub(crate) fn outcome_unknown(what: &str) -> Error {
    Error::new(
        ErrorKind::OutcomeUnknown,
        format!("{what}; the store may or may not have done it"),
    )
    .with_retry(Retry::Yes)
    .with_help("look at the key before repeating it")
}

/// Whether nothing of the request was sent, since there was no connection.
fn is_before_the_request(error: &ConnectorError) -> bool {
    chain(error).any(|cause| {
        cause
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(hyper_util::client::legacy::Error::is_connect)
            || cause.to_string().starts_with("error trying to connect")
    })
}

fn is_no_credentials(error: &ConnectorError) -> bool {
    chain(error).any(|cause| cause.is::<aws_credential_types::provider::error::CredentialsError>())
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| {
        (*error).source()
    })
}

/// Writes the causes of an error, without the error itself and without repetitions.
fn causes_of(error: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    let mut last = String::new();
    for cause in chain(error).skip(1) {
        let words = cause.to_string();
        if !last.contains(&words) {
            let _ = write!(text, ": {words}");
        }
        last = words;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(asked: Asked, status: u16, code: &str, kind: ErrorKind, may_repeat: bool) {
        let answer = Answer::of(asked, status, code);
        assert_eq!(
            (answer.kind, answer.may_repeat),
            (kind, may_repeat),
            "{status} {code}"
        );
    }

    #[test]
    fn answers_have_the_right_kind() {
        use Asked::{Read, Write, WriteIfAbsent, WriteIfMatch};
        use ErrorKind as Kind;
        check(Read, 404, "NoSuchKey", Kind::NotFound, false);
        check(Read, 404, "", Kind::NotFound, false);
        check(Read, 404, "NoSuchBucket", Kind::Configuration, false);
        check(WriteIfMatch, 404, "NoSuchKey", Kind::PreconditionFailed, false);
        check(WriteIfMatch, 404, "NoSuchUpload", Kind::NotFound, false);
        check(
            WriteIfAbsent,
            412,
            "PreconditionFailed",
            Kind::AlreadyExists,
            false,
        );
        check(WriteIfMatch, 412, "", Kind::PreconditionFailed, false);
        check(
            WriteIfAbsent,
            409,
            "ConditionalRequestConflict",
            Kind::Storage,
            true,
        );
        check(Read, 416, "InvalidRange", Kind::InvalidInput, false);
        check(Write, 403, "SignatureDoesNotMatch", Kind::AccessDenied, false);
        check(Write, 403, "Whatever", Kind::AccessDenied, false);
        check(Write, 503, "SlowDown", Kind::RateLimited, true);
        check(Write, 429, "", Kind::RateLimited, true);
        check(Write, 400, "RequestTimeout", Kind::Timeout, true);
        check(Write, 400, "EntityTooSmall", Kind::InvalidInput, false);
        check(Write, 400, "BadDigest", Kind::Corruption, true);
        check(Write, 403, "QuotaExceeded", Kind::InsufficientStorage, false);
        check(Write, 507, "", Kind::InsufficientStorage, false);
        check(Write, 500, "InternalError", Kind::ProviderUnavailable, true);
        check(Read, 503, "", Kind::ProviderUnavailable, true);
        check(Write, 504, "", Kind::OutcomeUnknown, true);
        check(Read, 504, "", Kind::Timeout, true);
        check(Read, 501, "NotImplemented", Kind::Unsupported, false);
        check(Read, 301, "PermanentRedirect", Kind::Configuration, false);
        check(Read, 418, "Teapot", Kind::Storage, false);
    }

    #[test]
    fn only_a_write_is_in_doubt_without_an_answer() {
        let lost = |asked: Asked| asked.lost("no answer", ErrorKind::Timeout);
        assert_eq!(lost(Asked::Read).kind(), ErrorKind::Timeout);
        for asked in [Asked::Write, Asked::WriteIfAbsent, Asked::WriteIfMatch] {
            assert_eq!(lost(asked).kind(), ErrorKind::OutcomeUnknown);
            assert_eq!(lost(asked).retry(), Retry::Yes);
        }
    }
}
