//! One event: who did what to which artifact, from where, and how it ended.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::catalog::{ArtifactRecord, Replica};
use crate::error::{Error, ErrorKind, Result};
use crate::key::StorageKey;
use crate::options::{AccessClass, CallContext, Principal};
use crate::scope::{ArtifactId, ArtifactType, BoardId, TenantId, VariantName, VersionId};
use crate::signed::{SignedMethod, SignedRequest};

/// The id of an audit event: a UUIDv7, so that ids sort by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuditEventId(Uuid);

impl AuditEventId {
    /// Creates a fresh id.
    #[must_use]
    pub fn fresh() -> Self {
        Self(Uuid::now_v7())
    }

    /// Returns the UUID.
    #[must_use]
    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for AuditEventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for AuditEventId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Uuid::try_parse(text).map(Self).map_err(|source| {
            let shown: String = text.chars().take(80).collect();
            Error::invalid_input(format!("{shown:?} is not the id of an audit event: a UUID"))
                .with_source(source)
        })
    }
}

/// Declares the operations once: their names, and what they are.
macro_rules! operations {
    ($( $(#[$doc:meta])* $operation:ident = $name:literal, $nature:ident; )*) => {
        /// An artifact operation of the manager, as the audit log calls it.
        ///
        /// The enum is exhaustive: a new operation of the manager is a new name here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum AuditOperation {
            $( $(#[$doc])* $operation, )*
        }

        impl AuditOperation {
            /// Every operation, in documentation order.
            pub const ALL: &[Self] = &[$( Self::$operation ),*];

            /// Returns the operation's stable machine-readable name, such as `download_url`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $( Self::$operation => $name, )*
                }
            }

            fn nature(self) -> Nature {
                match self {
                    $( Self::$operation => Nature::$nature, )*
                }
            }
        }
    };
}

/// What an operation touches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nature {
    /// It changes what is stored.
    Change,
    /// It gives bytes away, or the right to fetch them.
    Access,
    /// It only tells what is known of artifacts.
    Lookup,
}

operations! {
    /// An artifact was stored: [`StorageManager::store_artifact`](crate::StorageManager::store_artifact), also one
    /// that can be resumed.
    Store = "store", Change;
    /// An interrupted upload was given up.
    Abandon = "abandon", Change;
    /// Bytes were opened as a stream.
    Open = "open", Access;
    /// Bytes were fetched into a file.
    Fetch = "fetch", Access;
    /// A URL to fetch bytes from was issued.
    DownloadUrl = "download_url", Access;
    /// A reference was looked up.
    Reference = "reference", Lookup;
    /// A reference was looked up by its key.
    FindByKey = "find_by_key", Lookup;
    /// All that is known of a variant was asked for.
    Metadata = "metadata", Lookup;
    /// A page of artifacts was listed.
    List = "list", Lookup;
    /// The versions of a variant were listed.
    Versions = "versions", Lookup;
    /// A page of the catalog's event log was read.
    Events = "events", Lookup;
    /// An artifact, a variant or a version was deleted.
    Delete = "delete", Change;
    /// An artifact, a variant or a version was deleted for good, whatever else is kept.
    Purge = "purge", Change;
    /// A deletion was taken back.
    Restore = "restore", Change;
    /// A page of what can be restored was listed.
    ListDeleted = "list_deleted", Lookup;
    /// What a tenant stores, and may store, was asked for.
    Usage = "usage", Lookup;
    /// A tenant's quota was set.
    SetQuota = "set_quota", Change;
    /// What unfinished writes and deletes left behind was removed.
    Reap = "reap", Change;
}

impl AuditOperation {
    /// Returns whether the operation changes nothing that is stored.
    #[must_use]
    pub fn is_read_only(self) -> bool {
        match self.nature() {
            Nature::Access | Nature::Lookup => true,
            Nature::Change => false,
        }
    }

    /// Returns whether the operation only tells what is known of artifacts, and neither gives bytes away nor changes
    /// anything.
    #[must_use]
    pub fn is_lookup(self) -> bool {
        self.nature() == Nature::Lookup
    }
}

impl fmt::Display for AuditOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for AuditOperation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|operation| operation.name() == text)
            .ok_or_else(|| {
                let names: Vec<_> = Self::ALL.iter().map(|operation| operation.name()).collect();
                Error::invalid_input(format!("'{text}' is not an operation of the audit log"))
                    .with_help(format!("give one of {}", names.join(", ")))
            })
    }
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    /// It was done.
    Success,
    /// It was not done, or not to its end.
    Failure,
    /// It was not allowed.
    Denied,
    /// The caller dropped it, or the stream that it returned, before its end. It may have taken effect.
    Cancelled,
}

impl AuditOutcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Success, Self::Failure, Self::Denied, Self::Cancelled];

    /// Returns the outcome's stable machine-readable name, such as `denied`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Denied => "denied",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for AuditOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for AuditOutcome {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.name() == text)
            .ok_or_else(|| {
                Error::invalid_input(format!("'{text}' is not an outcome of the audit log"))
                    .with_help("give success, failure, denied or cancelled")
            })
    }
}

/// What is told of a URL that was issued; never the URL itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SignedFacts {
    /// The HTTP method that it allows.
    pub method: SignedMethod,
    /// From when on it is refused; absent for a public URL, which does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl SignedFacts {
    /// Returns what may be told of a request.
    #[must_use]
    pub fn of(request: &SignedRequest) -> Self {
        let expires = request.expires_at != Timestamp::MAX;
        Self {
            method: request.method,
            expires_at: expires.then_some(request.expires_at),
        }
    }
}

/// One artifact operation that has ended.
///
/// The names of the fields are stable: this is the format of every sink. A field that is not known is left out. Texts
/// that come from outside are cut at [`AuditEvent::TEXT_BYTES_MAX`].
///
/// # Examples
///
/// ```
/// use boards_storage_core::{AuditEvent, AuditOperation, AuditOutcome, CallContext, Principal};
///
/// let context = CallContext::default().with_principal(Principal::new("ada")).with_request_id("req-1");
/// let event = AuditEvent::new(AuditOperation::Store, &context);
/// let json = serde_json::to_value(&event).expect("it is JSON");
/// assert_eq!((json["operation"].as_str(), json["principal"]["id"].as_str()), (Some("store"), Some("ada")));
/// assert_eq!(event.outcome, AuditOutcome::Cancelled, "until it is known better");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditEvent {
    /// The event's id.
    pub id: AuditEventId,
    /// When the operation ended.
    pub time: Timestamp,
    /// What was done.
    pub operation: AuditOperation,
    /// Whether it changes nothing that is stored.
    pub read_only: bool,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// The kind of the error, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_kind: Option<ErrorKind>,
    /// The store's own error code, or the code of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<Principal>,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_address: Option<IpAddr>,
    /// With what program, as that says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The tenant whose artifact it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// The board that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub board: Option<BoardId>,
    /// The artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<ArtifactId>,
    /// The artifact's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<ArtifactType>,
    /// The variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<VariantName>,
    /// The version's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionId>,
    /// The version's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_number: Option<u64>,
    /// The provider that has the bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The key of the bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<StorageKey>,
    /// How the artifact may be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessClass>,
    /// The bytes that were taken in and stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_in: Option<u64>,
    /// The bytes that were given out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_out: Option<u64>,
    /// How many artifacts or versions a listing, a delete or a cleanup was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// What may be told of the URL that was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<SignedFacts>,
    /// The caller's id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The caller's W3C trace id: 32 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// How long it took, until the end of its stream, in microseconds.
    pub duration_micros: u64,
}

impl AuditEvent {
    /// The greatest length of a text from outside, in bytes; what is longer is cut.
    pub const TEXT_BYTES_MAX: usize = 512;

    /// Begins the event of an operation. Its outcome is `cancelled` until it is known better.
    #[must_use]
    pub fn new(operation: AuditOperation, context: &CallContext) -> Self {
        let principal = context.principal.as_deref().map(|principal| Principal {
            id: cut(&principal.id),
            ..principal.clone()
        });
        Self {
            id: AuditEventId::fresh(),
            time: Timestamp::UNIX_EPOCH,
            operation,
            read_only: operation.is_read_only(),
            outcome: AuditOutcome::Cancelled,
            error_kind: None,
            error_code: None,
            principal,
            source_address: context.source_address,
            user_agent: context.user_agent.as_deref().map(cut),
            tenant: None,
            board: None,
            artifact: None,
            artifact_type: None,
            variant: None,
            version: None,
            version_number: None,
            provider: None,
            key: None,
            access: None,
            bytes_in: None,
            bytes_out: None,
            count: None,
            signed: None,
            request_id: context.request_id.as_deref().map(cut),
            trace_id: context.trace_parent.as_deref().and_then(trace_id),
            duration_micros: 0,
        }
    }

    /// Returns how long the operation took, until the end of its stream.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.duration_micros)
    }

    /// Notes which version it was about.
    pub(crate) fn found(&mut self, record: &ArtifactRecord) {
        self.tenant = Some(record.variant.tenant.clone());
        self.artifact = Some(record.variant.artifact.clone());
        self.variant = Some(record.variant.variant.clone());
        self.board.clone_from(&record.board);
        self.artifact_type = Some(record.artifact_type.clone());
        self.access = Some(record.access);
        self.version = Some(record.version);
        self.version_number = Some(record.number);
        self.at(record.primary());
    }

    /// Notes where the bytes are.
    pub(crate) fn at(&mut self, replica: &Replica) {
        self.provider = Some(replica.provider.clone());
        self.key = Some(replica.key.clone());
    }

    /// Notes that it failed, and what the error tells besides.
    pub(crate) fn failed(&mut self, error: &Error) {
        self.outcome = match error.kind() {
            ErrorKind::AccessDenied => AuditOutcome::Denied,
            ErrorKind::Storage
            | ErrorKind::ProviderUnavailable
            | ErrorKind::InsufficientStorage
            | ErrorKind::Corruption
            | ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::PreconditionFailed
            | ErrorKind::InvalidInput
            | ErrorKind::Unsupported
            | ErrorKind::Configuration
            | ErrorKind::Rejected
            | ErrorKind::Timeout
            | ErrorKind::RateLimited
            | ErrorKind::OutcomeUnknown => AuditOutcome::Failure,
        };
        self.error_kind = Some(error.kind());
        self.error_code = error.code().map(cut);
        if self.provider.is_none() {
            self.provider = error.provider().map(str::to_owned);
        }
        if self.key.is_none() {
            self.key = error.key().cloned();
        }
    }
}

/// Cuts a text from outside at its limit.
fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(AuditEvent::TEXT_BYTES_MAX)].to_owned()
}

/// Returns the trace id of a `traceparent`: its second field.
fn trace_id(trace_parent: &str) -> Option<String> {
    let id = trace_parent.split('-').nth(1)?;
    let is_hex = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| id.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        for operation in AuditOperation::ALL {
            assert_eq!(operation.name().parse::<AuditOperation>().ok(), Some(*operation));
            let json = serde_json::to_value(operation).expect("json");
            assert_eq!(json, operation.name(), "its name is its JSON");
        }
        for outcome in AuditOutcome::ALL {
            assert_eq!(outcome.name().parse::<AuditOutcome>().ok(), Some(outcome));
            assert_eq!(serde_json::to_value(outcome).expect("json"), outcome.name());
        }
        assert!("destroy".parse::<AuditOperation>().is_err());
        assert!("great".parse::<AuditOutcome>().is_err());
    }

    #[test]
    fn a_lookup_is_a_read() {
        for operation in AuditOperation::ALL {
            assert!(!operation.is_lookup() || operation.is_read_only(), "{operation}");
        }
        assert!(AuditOperation::Open.is_read_only() && !AuditOperation::Open.is_lookup());
        assert!(!AuditOperation::Store.is_read_only());
    }

    #[test]
    fn texts_from_outside_are_cut_at_a_character() {
        assert_eq!(cut(&"x".repeat(512)).len(), 512);
        assert_eq!(cut(&"x".repeat(513)).len(), 512);
        let euros = "€".repeat(200);
        assert_eq!(cut(&euros).len(), 510, "170 whole characters of three bytes");
    }

    #[test]
    fn a_trace_id_is_32_hex_digits_or_nothing() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(
            trace_id(&format!("00-{id}-00f067aa0ba902b7-01")).as_deref(),
            Some(id)
        );
        assert_eq!(trace_id("00-4bf9-00f067aa0ba902b7-01"), None);
        assert_eq!(trace_id("nonsense"), None);
    }

    #[test]
    fn an_event_is_read_back_from_its_json() {
        let context = CallContext::default()
            .with_principal(Principal::service("thumbnailer"))
            .with_source_address("2001:db8::1".parse().expect("an address"))
            .with_user_agent("test/1.0");
        let mut event = AuditEvent::new(AuditOperation::DownloadUrl, &context);
        let request = SignedRequest::new(
            SignedMethod::Get,
            "https://host/key?signature=s3cret",
            "2026-01-01T00:00:00Z".parse().expect("a time"),
        );
        event.signed = Some(SignedFacts::of(&request));
        event.failed(&Error::new(ErrorKind::AccessDenied, "no").with_code("AccessDenied"));
        let json = serde_json::to_string(&event).expect("json");
        assert!(!json.contains("s3cret") && !json.contains("https://"), "{json}");
        assert_eq!(
            serde_json::from_str::<AuditEvent>(&json).expect("read back"),
            event
        );
        assert_eq!(event.outcome, AuditOutcome::Denied);
    }
}
