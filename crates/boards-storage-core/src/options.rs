//! The options of every provider call, and the context that travels with it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::checksum::{Checksum, Digest};
use crate::content_type::ContentType;
use crate::metadata::{ETag, ObjectAttributes, WriteId};
use crate::object_identity::ObjectIdentity;
use crate::range::ByteRange;
use crate::scope::TenantId;

/// Adds `with_*` setters to an options struct.
macro_rules! setters {
    ($options:ident { $( $(#[$doc:meta])* $setter:ident: $field:ident = $type:ty => $convert:expr; )* }) => {
        impl $options {
            $( $(#[$doc])* #[must_use] pub fn $setter(mut self, value: $type) -> Self {
                self.$field = $convert(value);
                self
            } )*
        }
    };
}

/// Who acts. Authorization fills it in; everything below only passes it on.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{Principal, PrincipalKind, TenantId};
///
/// let worker = Principal::service("thumbnailer").with_tenant(TenantId::parse("acme")?);
/// assert_eq!((worker.kind, worker.id.as_str()), (PrincipalKind::Service, "thumbnailer"));
/// # Ok::<(), boards_storage_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Principal {
    /// The stable id of the user, service or token; never a secret.
    pub id: String,
    /// What it is.
    pub kind: PrincipalKind,
    /// The tenant that the principal belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
}

/// What kind of being a [`Principal`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A person, or a program in a person's hands.
    #[default]
    User,
    /// A program that acts for itself.
    Service,
    /// Nobody that is known: a visitor, the holder of a signed URL.
    Anonymous,
}

impl PrincipalKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::User, Self::Service, Self::Anonymous];

    /// Returns the kind's stable machine-readable name, such as `user`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
            Self::Anonymous => "anonymous",
        }
    }
}

impl std::fmt::Display for PrincipalKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Principal {
    /// The id of whoever is not known.
    pub const ANONYMOUS: &'static str = "anonymous";

    /// Creates a user without a tenant.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            kind: PrincipalKind::User,
            tenant: None,
        }
    }

    /// Creates a service without a tenant.
    pub fn service(id: impl Into<String>) -> Self {
        Self {
            kind: PrincipalKind::Service,
            ..Self::new(id)
        }
    }

    /// Creates the principal of whoever is not known.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            kind: PrincipalKind::Anonymous,
            ..Self::new(Self::ANONYMOUS)
        }
    }

    /// Sets the tenant that the principal belongs to.
    #[must_use]
    pub fn with_tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }
}

/// What travels with a call through all layers. A clone is cheap.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use boards_storage_core::CallContext;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let context = CallContext::default().with_deadline_in(Duration::from_secs(5)).with_request_id("req-1");
/// assert!(context.remaining().is_some_and(|left| left <= Duration::from_secs(5)));
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CallContext {
    /// Who acts.
    pub principal: Option<Arc<Principal>>,
    /// When the caller stops waiting. It covers queueing, every attempt, backoff and the stream that is returned.
    pub deadline: Option<Instant>,
    /// The caller's id of this request, for logs.
    pub request_id: Option<Arc<str>>,
    /// The caller's W3C `traceparent`.
    pub trace_parent: Option<Arc<str>>,
    /// From where the caller speaks, as whoever took the request saw it.
    pub source_address: Option<IpAddr>,
    /// What the caller says it is, such as `boards-storage/1.0`.
    pub user_agent: Option<Arc<str>>,
    /// Which object it is about. Encryption needs it to write and to read bytes; nothing else looks at it.
    pub object: Option<Arc<ObjectIdentity>>,
    /// Which attempt this is, from 1 on; 0 where nobody counts.
    pub attempt: u32,
}

impl CallContext {
    /// Sets who acts.
    #[must_use]
    pub fn with_principal(mut self, principal: impl Into<Arc<Principal>>) -> Self {
        self.principal = Some(principal.into());
        self
    }

    /// Sets when the caller stops waiting.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets how long the caller waits from now on.
    #[must_use]
    pub fn with_deadline_in(self, time: Duration) -> Self {
        self.with_deadline(Instant::now() + time)
    }

    /// Sets the caller's id of this request.
    #[must_use]
    pub fn with_request_id(mut self, request_id: impl Into<Arc<str>>) -> Self {
        self.request_id = Some(request_id.into());
        self
    }

    /// Sets the caller's W3C `traceparent`.
    #[must_use]
    pub fn with_trace_parent(mut self, trace_parent: impl Into<Arc<str>>) -> Self {
        self.trace_parent = Some(trace_parent.into());
        self
    }

    /// Sets from where the caller speaks.
    #[must_use]
    pub fn with_source_address(mut self, source_address: IpAddr) -> Self {
        self.source_address = Some(source_address);
        self
    }

    /// Sets what the caller says it is.
    #[must_use]
    pub fn with_user_agent(mut self, user_agent: impl Into<Arc<str>>) -> Self {
        self.user_agent = Some(user_agent.into());
        self
    }

    /// Sets which object the call is about.
    #[must_use]
    pub fn with_object(mut self, object: impl Into<Arc<ObjectIdentity>>) -> Self {
        self.object = Some(object.into());
        self
    }

    /// Sets which attempt this is.
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Returns this context with what it does not say taken from another. The earlier of two deadlines counts.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        self.principal = self.principal.or_else(|| other.principal.clone());
        self.deadline = match (self.deadline, other.deadline) {
            (Some(own), Some(others)) => Some(own.min(others)),
            (own, others) => own.or(others),
        };
        self.request_id = self.request_id.or_else(|| other.request_id.clone());
        self.trace_parent = self.trace_parent.or_else(|| other.trace_parent.clone());
        self.source_address = self.source_address.or(other.source_address);
        self.user_agent = self.user_agent.or_else(|| other.user_agent.clone());
        self.object = self.object.or_else(|| other.object.clone());
        self
    }

    /// Returns the time left until the deadline; zero when it has passed, `None` when there is none.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}

/// What must be true of the object that is written or deleted, decided atomically by the store.
///
/// A provider that cannot decide it atomically refuses it with `Unsupported`; nobody looks first and writes then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Precondition {
    /// Nothing: the last writer wins.
    #[default]
    None,
    /// There is no object at the key. Otherwise `AlreadyExists`.
    IfAbsent,
    /// The object at the key has this entity tag. Otherwise `PreconditionFailed`, also when there is none.
    IfMatch(ETag),
}

/// How an artifact may be reached.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AccessClass {
    /// Anyone who knows the URL.
    Public,
    /// Holders of a signed URL.
    #[default]
    Private,
    /// As private, and it is removed after a while.
    Temporary,
    /// Only through the authorized manager.
    Authenticated,
}

impl AccessClass {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::Public, Self::Private, Self::Temporary, Self::Authenticated];

    /// Returns the class's name, such as `private`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Temporary => "temporary",
            Self::Authenticated => "authenticated",
        }
    }
}

impl std::fmt::Display for AccessClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for AccessClass {
    type Err = crate::Error;

    fn from_str(text: &str) -> crate::Result<Self> {
        Self::ALL
            .into_iter()
            .find(|class| class.name() == text)
            .ok_or_else(|| {
                crate::Error::invalid_input(format!("'{text}' is not an access class"))
                    .with_help("give public, private, temporary or authenticated")
            })
    }
}

/// Options of [`StorageProvider::upload`](crate::StorageProvider::upload).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct UploadOptions {
    /// What travels with the call.
    pub context: CallContext,
    /// How the object is to be served, and the application's fields.
    pub attributes: ObjectAttributes,
    /// What must be true at the key.
    pub precondition: Precondition,
    /// The digest that the content must have. Other bytes are `Corruption` and nothing is stored. It is kept in
    /// the object's metadata.
    pub digest: Option<Digest>,
    /// The length that the content must have, in bytes. Another one is `InvalidInput` and nothing is stored.
    pub length: Option<u64>,
    /// The name of this write, kept in the object's metadata.
    pub write_id: Option<WriteId>,
    /// How the object may be reached, where the store decides that per object.
    pub access: Option<AccessClass>,
}

setters!(UploadOptions {
    /// Sets what travels with the call.
    with_context: context = CallContext => std::convert::identity;
    /// Sets all attributes.
    with_attributes: attributes = ObjectAttributes => std::convert::identity;
    /// Sets what must be true at the key.
    with_precondition: precondition = Precondition => std::convert::identity;
    /// Sets the digest that the content must have.
    with_digest: digest = Digest => Some;
    /// Sets the length that the content must have, in bytes.
    with_length: length = u64 => Some;
    /// Sets the name of this write.
    with_write_id: write_id = WriteId => Some;
    /// Sets how the object may be reached.
    with_access: access = AccessClass => Some;
});

impl UploadOptions {
    /// Sets the content type.
    #[must_use]
    pub fn with_content_type(mut self, content_type: ContentType) -> Self {
        self.attributes.content_type = Some(content_type);
        self
    }
}

/// Options of [`StorageProvider::download`](crate::StorageProvider::download).
///
/// With `if_match` and `if_none_match` both set, `if_match` is looked at first, as in HTTP; `if_modified_since`
/// counts only without `if_none_match`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DownloadOptions {
    /// What travels with the call.
    pub context: CallContext,
    /// Which bytes; all by default.
    pub range: Option<ByteRange>,
    /// The object must have this entity tag; otherwise `PreconditionFailed`.
    pub if_match: Option<ETag>,
    /// The caller has this state: if it is the present one, the answer is `NotModified`.
    pub if_none_match: Option<ETag>,
    /// The caller's copy is from this time: if nothing was written after it, the answer is `NotModified`. Stores
    /// compare whole seconds.
    pub if_modified_since: Option<Timestamp>,
    /// The store's version to read; the present one by default.
    pub version: Option<String>,
}

setters!(DownloadOptions {
    /// Sets what travels with the call.
    with_context: context = CallContext => std::convert::identity;
    /// Asks for a part of the bytes.
    with_range: range = ByteRange => Some;
    /// Requires this entity tag.
    with_if_match: if_match = ETag => Some;
    /// Says which state the caller has.
    with_if_none_match: if_none_match = ETag => Some;
    /// Says of when the caller's copy is.
    with_if_modified_since: if_modified_since = Timestamp => Some;
    /// Asks for one of the store's versions.
    with_version: version = String => Some;
});

/// Options of calls that need nothing but the context: `metadata`, `exists`, `list_parts`, `abort_upload`,
/// `set_access`, `public_url`, `probe`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CallOptions {
    /// What travels with the call.
    pub context: CallContext,
}

setters!(CallOptions {
    /// Sets what travels with the call.
    with_context: context = CallContext => std::convert::identity;
});

/// Options of [`StorageProvider::delete`](crate::StorageProvider::delete) and `delete_many`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DeleteOptions {
    /// What travels with the call.
    pub context: CallContext,
    /// What must be true at the key; `IfAbsent` makes no sense here and is `InvalidInput`.
    pub precondition: Precondition,
}

setters!(DeleteOptions {
    /// Sets what travels with the call.
    with_context: context = CallContext => std::convert::identity;
    /// Sets what must be true at the key.
    with_precondition: precondition = Precondition => std::convert::identity;
});

/// Options of [`StorageProvider::list`](crate::StorageProvider::list).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ListOptions {
    /// What travels with the call.
    pub context: CallContext,
    /// Only keys that begin with this text; it need not end at a `/`. A prefix that no key can begin with is
    /// simply the beginning of nothing.
    pub prefix: String,
    /// Keys that share the text up to the next delimiter after the prefix are given once, as that common prefix.
    /// Only `/` is supported everywhere.
    pub delimiter: Option<String>,
    /// Only entries after this text in byte order.
    pub start_after: Option<String>,
    /// At most so many entries, common prefixes included; 0 is `InvalidInput`.
    pub limit: Option<usize>,
}

setters!(ListOptions {
    /// Sets what travels with the call.
    with_context: context = CallContext => std::convert::identity;
    /// Lists only keys that begin with this text.
    with_prefix: prefix = impl Into<String> => Into::into;
    /// Folds keys that share the text up to the next delimiter.
    with_delimiter: delimiter = impl Into<String> => |value| Some(Into::into(value));
    /// Begins after this text.
    with_start_after: start_after = impl Into<String> => |value| Some(Into::into(value));
    /// Gives at most so many entries.
    with_limit: limit = usize => Some;
});

/// Options of [`StorageProvider::copy`](crate::StorageProvider::copy).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CopyOptions {
    /// What travels with the call.
    pub context: CallContext,
    /// What must be true at the destination.
    pub precondition: Precondition,
    /// The source must have this entity tag; otherwise `PreconditionFailed`.
    pub source_if_match: Option<ETag>,
    /// Attributes to write instead of the source's.
    pub attributes: Option<ObjectAttributes>,
    /// The name of this write.
    pub write_id: Option<WriteId>,
}

setters!(CopyOptions {
    /// Sets what travels with the call.
    with_context: context = CallContext => std::convert::identity;
    /// Sets what must be true at the destination.
    with_precondition: precondition = Precondition => std::convert::identity;
    /// Requires this entity tag of the source.
    with_source_if_match: source_if_match = ETag => Some;
    /// Writes these attributes instead of the source's.
    with_attributes: attributes = ObjectAttributes => Some;
    /// Sets the name of this write.
    with_write_id: write_id = WriteId => Some;
});

/// Options of [`StorageProvider::set_metadata`](crate::StorageProvider::set_metadata).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SetMetadataOptions {
    /// What travels with the call.
    pub context: CallContext,
    /// What must be true at the key; `IfAbsent` makes no sense here and is `InvalidInput`.
    pub precondition: Precondition,
}

setters!(SetMetadataOptions {
    /// Sets what travels with the call.
    with_context: context = CallContext => std::convert::identity;
    /// Sets what must be true at the key.
    with_precondition: precondition = Precondition => std::convert::identity;
});

/// Options of [`StorageProvider::create_upload`](crate::StorageProvider::create_upload).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CreateUploadOptions {
    /// What travels with the call.
    pub context: CallContext,
    /// How the object is to be served, and the application's fields.
    pub attributes: ObjectAttributes,
    /// What must be true at the key when the upload is completed. Some stores want to hear it now, some then: the
    /// caller says it both times.
    pub precondition: Precondition,
    /// The digest of the whole, where it is known.
    pub digest: Option<Digest>,
    /// The length of the whole in bytes, where it is known.
    pub length: Option<u64>,
    /// The name of this write.
    pub write_id: Option<WriteId>,
    /// How the object may be reached.
    pub access: Option<AccessClass>,
}

setters!(CreateUploadOptions {
    /// Sets what travels with the call.
    with_context: context = CallContext => std::convert::identity;
    /// Sets all attributes.
    with_attributes: attributes = ObjectAttributes => std::convert::identity;
    /// Sets what must be true at the key in the end.
    with_precondition: precondition = Precondition => std::convert::identity;
    /// Sets the digest of the whole.
    with_digest: digest = Digest => Some;
    /// Sets the length of the whole in bytes.
    with_length: length = u64 => Some;
    /// Sets the name of this write.
    with_write_id: write_id = WriteId => Some;
    /// Sets how the object may be reached.
    with_access: access = AccessClass => Some;
});

impl From<&UploadOptions> for CreateUploadOptions {
    /// Says the same of an upload in parts.
    fn from(options: &UploadOptions) -> Self {
        Self {
            context: options.context.clone(),
            attributes: options.attributes.clone(),
            precondition: options.precondition.clone(),
            digest: options.digest,
            length: options.length,
            write_id: options.write_id,
            access: options.access,
        }
    }
}

/// Options of [`StorageProvider::upload_part`](crate::StorageProvider::upload_part).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct UploadPartOptions {
    /// What travels with the call.
    pub context: CallContext,
    /// The checksum that the part must have.
    pub checksum: Option<Checksum>,
}

setters!(UploadPartOptions {
    /// Sets what travels with the call.
    with_context: context = CallContext => std::convert::identity;
    /// Sets the checksum that the part must have.
    with_checksum: checksum = Checksum => Some;
});

/// Options of [`StorageProvider::complete_upload`](crate::StorageProvider::complete_upload).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CompleteUploadOptions {
    /// What travels with the call.
    pub context: CallContext,
    /// What must be true at the key.
    pub precondition: Precondition,
    /// The digest that the whole must have, where the store can check it.
    pub digest: Option<Digest>,
}

setters!(CompleteUploadOptions {
    /// Sets what travels with the call.
    with_context: context = CallContext => std::convert::identity;
    /// Sets what must be true at the key.
    with_precondition: precondition = Precondition => std::convert::identity;
    /// Sets the digest that the whole must have.
    with_digest: digest = Digest => Some;
});

/// How a client sends a signed upload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignedUploadForm {
    /// The body is the object (`PUT`).
    #[default]
    Put,
    /// The object is the file of a form (`POST` with a policy).
    Post,
}

/// Options of [`StorageProvider::presigned_upload_url`](crate::StorageProvider::presigned_upload_url).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PresignUploadOptions {
    /// What travels with the call.
    pub context: CallContext,
    /// For how long the request is valid: 1 second to 7 days. If nothing is asked, as long as the store does, or one
    /// hour where it leaves the choice.
    pub expires_in: Option<Duration>,
    /// How the client sends it.
    pub form: SignedUploadForm,
    /// Attributes that the upload must carry exactly so.
    pub attributes: ObjectAttributes,
    /// The exact length in bytes.
    pub length: Option<u64>,
    /// The greatest length in bytes.
    pub length_max: Option<u64>,
    /// The checksum that the bytes must have.
    pub checksum: Option<Checksum>,
    /// What must be true at the key when the client uploads.
    pub precondition: Precondition,
    /// The name of this write.
    pub write_id: Option<WriteId>,
}

impl Default for PresignUploadOptions {
    /// `PUT`, no limits, and the life that the store offers.
    fn default() -> Self {
        Self {
            context: CallContext::default(),
            expires_in: None,
            form: SignedUploadForm::default(),
            attributes: ObjectAttributes::default(),
            length: None,
            length_max: None,
            checksum: None,
            precondition: Precondition::None,
            write_id: None,
        }
    }
}

setters!(PresignUploadOptions {
    /// Sets what travels with the call.
    with_context: context = CallContext => std::convert::identity;
    /// Sets for how long the request is valid.
    with_expires_in: expires_in = Duration => Some;
    /// Sets how the client sends it.
    with_form: form = SignedUploadForm => std::convert::identity;
    /// Sets the attributes that the upload must carry.
    with_attributes: attributes = ObjectAttributes => std::convert::identity;
    /// Sets the exact length in bytes.
    with_length: length = u64 => Some;
    /// Sets the greatest length in bytes.
    with_length_max: length_max = u64 => Some;
    /// Sets the checksum that the bytes must have.
    with_checksum: checksum = Checksum => Some;
    /// Sets what must be true at the key.
    with_precondition: precondition = Precondition => std::convert::identity;
    /// Sets the name of this write.
    with_write_id: write_id = WriteId => Some;
});

/// Options of [`StorageProvider::presigned_download_url`](crate::StorageProvider::presigned_download_url).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PresignDownloadOptions {
    /// What travels with the call.
    pub context: CallContext,
    /// For how long the request is valid: 1 second to 7 days.
    pub expires_in: Duration,
    /// The bytes that the request is for; all, or what the client asks, by default.
    pub range: Option<ByteRange>,
    /// The content type to serve instead of the object's.
    pub content_type: Option<ContentType>,
    /// The content disposition to serve instead of the object's.
    pub content_disposition: Option<String>,
}

impl Default for PresignDownloadOptions {
    /// One hour, as stored.
    fn default() -> Self {
        Self {
            context: CallContext::default(),
            expires_in: Duration::from_hours(1),
            range: None,
            content_type: None,
            content_disposition: None,
        }
    }
}

setters!(PresignDownloadOptions {
    /// Sets what travels with the call.
    with_context: context = CallContext => std::convert::identity;
    /// Sets for how long the request is valid.
    with_expires_in: expires_in = Duration => std::convert::identity;
    /// Sets the bytes that the request is for.
    with_range: range = ByteRange => Some;
    /// Sets the content type to serve.
    with_content_type: content_type = ContentType => Some;
    /// Sets the content disposition to serve.
    with_content_disposition: content_disposition = impl Into<String> => |value| Some(Into::into(value));
});

/// Options of [`StorageProvider::presigned_part_url`](crate::StorageProvider::presigned_part_url).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PresignPartOptions {
    /// What travels with the call.
    pub context: CallContext,
    /// For how long the request is valid: 1 second to 7 days.
    pub expires_in: Duration,
    /// The exact length in bytes.
    pub length: Option<u64>,
    /// The checksum that the bytes must have.
    pub checksum: Option<Checksum>,
}

impl Default for PresignPartOptions {
    /// One hour, no limits.
    fn default() -> Self {
        Self {
            context: CallContext::default(),
            expires_in: Duration::from_hours(1),
            length: None,
            checksum: None,
        }
    }
}

setters!(PresignPartOptions {
    /// Sets what travels with the call.
    with_context: context = CallContext => std::convert::identity;
    /// Sets for how long the request is valid.
    with_expires_in: expires_in = Duration => std::convert::identity;
    /// Sets the exact length in bytes.
    with_length: length = u64 => Some;
    /// Sets the checksum that the bytes must have.
    with_checksum: checksum = Checksum => Some;
});
