//! Every provider call as a value, so that a layer is one function and none can forget an operation.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use serde::{Deserialize, Serialize};

use crate::capabilities::PartRules;
use crate::checksum::Checksum;
use crate::content::Content;
use crate::download::DownloadOutcome;
use crate::error::Result;
use crate::key::StorageKey;
use crate::metadata::{ObjectAttributes, ObjectMetadata, WriteId};
use crate::options::{
    AccessClass, CallContext, CallOptions, CompleteUploadOptions, CopyOptions, CreateUploadOptions,
    DeleteOptions, DownloadOptions, ListOptions, PresignDownloadOptions, PresignPartOptions,
    PresignUploadOptions, SetMetadataOptions, UploadOptions, UploadPartOptions,
};
use crate::signed::SignedRequest;

/// Which method of [`StorageProvider`](crate::StorageProvider) is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is the method of the same name")]
pub enum OperationKind {
    Upload,
    Download,
    Metadata,
    Exists,
    Delete,
    DeleteMany,
    List,
    Copy,
    SetMetadata,
    SetAccess,
    CreateUpload,
    UploadPart,
    ListParts,
    CompleteUpload,
    AbortUpload,
    PresignedUploadUrl,
    PresignedDownloadUrl,
    PresignedPartUrl,
    PublicUrl,
    Probe,
}

impl OperationKind {
    /// Every operation.
    pub const ALL: [Self; 20] = [
        Self::Upload,
        Self::Download,
        Self::Metadata,
        Self::Exists,
        Self::Delete,
        Self::DeleteMany,
        Self::List,
        Self::Copy,
        Self::SetMetadata,
        Self::SetAccess,
        Self::CreateUpload,
        Self::UploadPart,
        Self::ListParts,
        Self::CompleteUpload,
        Self::AbortUpload,
        Self::PresignedUploadUrl,
        Self::PresignedDownloadUrl,
        Self::PresignedPartUrl,
        Self::PublicUrl,
        Self::Probe,
    ];

    /// Returns the method's name, such as `delete_many`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
            Self::Metadata => "metadata",
            Self::Exists => "exists",
            Self::Delete => "delete",
            Self::DeleteMany => "delete_many",
            Self::List => "list",
            Self::Copy => "copy",
            Self::SetMetadata => "set_metadata",
            Self::SetAccess => "set_access",
            Self::CreateUpload => "create_upload",
            Self::UploadPart => "upload_part",
            Self::ListParts => "list_parts",
            Self::CompleteUpload => "complete_upload",
            Self::AbortUpload => "abort_upload",
            Self::PresignedUploadUrl => "presigned_upload_url",
            Self::PresignedDownloadUrl => "presigned_download_url",
            Self::PresignedPartUrl => "presigned_part_url",
            Self::PublicUrl => "public_url",
            Self::Probe => "probe",
        }
    }

    /// Returns whether the operation moves object bytes, so that its time depends on their number.
    #[must_use]
    pub fn is_transfer(self) -> bool {
        matches!(self, Self::Upload | Self::Download | Self::UploadPart)
    }

    /// Returns whether the operation leaves the store as it is.
    #[must_use]
    pub fn is_read(self) -> bool {
        match self {
            Self::Download
            | Self::Metadata
            | Self::Exists
            | Self::List
            | Self::ListParts
            | Self::PresignedUploadUrl
            | Self::PresignedDownloadUrl
            | Self::PresignedPartUrl
            | Self::PublicUrl
            | Self::Probe => true,
            Self::Upload
            | Self::Delete
            | Self::DeleteMany
            | Self::Copy
            | Self::SetMetadata
            | Self::SetAccess
            | Self::CreateUpload
            | Self::UploadPart
            | Self::CompleteUpload
            | Self::AbortUpload => false,
        }
    }
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An upload in parts, as the provider knows it. It can be stored and gone on with in another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MultipartUpload {
    /// The key that the parts will make.
    pub key: StorageKey,
    /// The provider's own name of the upload.
    pub id: String,
    /// What the parts must look like.
    pub part_rules: PartRules,
    /// The name of the write, by which [`complete_upload`](crate::StorageProvider::complete_upload) recognises
    /// its own object after an answer was lost. Whoever names the write may leave it to the retry layer to note it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub write_id: Option<WriteId>,
}

impl MultipartUpload {
    /// Creates the description of an upload.
    pub fn new(key: StorageKey, id: impl Into<String>, part_rules: PartRules) -> Self {
        Self {
            key,
            id: id.into(),
            part_rules,
            write_id: None,
        }
    }
}

/// Where a part stands in the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartPlace {
    /// The part's number, from 1 on.
    pub number: u32,
    /// The part's first byte in the whole.
    pub offset: u64,
    /// Whether no part follows.
    pub is_last: bool,
}

impl PartPlace {
    /// Creates the place of a part that is not the last.
    #[must_use]
    pub fn new(number: u32, offset: u64) -> Self {
        Self {
            number,
            offset,
            is_last: false,
        }
    }

    /// Says that no part follows.
    #[must_use]
    pub fn last(mut self) -> Self {
        self.is_last = true;
        self
    }
}

/// A part that the store has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Part {
    /// The part's number, from 1 on.
    pub number: u32,
    /// The part's size in bytes.
    pub size_bytes: u64,
    /// The store's tag of the part, which it wants back at the end.
    pub etag: Option<String>,
    /// The part's checksum.
    pub checksum: Option<Checksum>,
}

impl Part {
    /// Creates a part without tag and checksum; the fields are public.
    #[must_use]
    pub fn new(number: u32, size_bytes: u64) -> Self {
        Self {
            number,
            size_bytes,
            etag: None,
            checksum: None,
        }
    }
}

/// What a delete found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteOutcome {
    /// There was an object; it is gone.
    Existed,
    /// There was none.
    Absent,
    /// There is none now; the store does not say whether there was.
    Unknown,
}

/// What happened to one key of a delete of many.
#[derive(Debug)]
pub struct DeletedKey {
    /// The key.
    pub key: StorageKey,
    /// Its own outcome.
    pub outcome: Result<DeleteOutcome>,
}

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListEntry {
    /// An object; see [`ObjectMetadata`] for what a listing knows of it.
    Object(Box<ObjectMetadata>),
    /// A common prefix, ending with the delimiter.
    Prefix(String),
}

impl ListEntry {
    /// Returns the key or the prefix, by which entries are ordered.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Object(metadata) => metadata.key.as_str(),
            Self::Prefix(prefix) => prefix,
        }
    }
}

/// A stream of entries in byte order of their names.
pub type ListStream = Pin<Box<dyn Stream<Item = Result<ListEntry>> + Send + 'static>>;

/// A provider call as a value. A clone is cheap: options are shared, and clones of a content share its source.
#[derive(Clone, Debug)]
#[expect(
    missing_docs,
    reason = "each variant is the method of the same name, each field its argument"
)]
pub enum Operation {
    Upload {
        key: StorageKey,
        content: Content,
        options: Arc<UploadOptions>,
    },
    Download {
        key: StorageKey,
        options: Arc<DownloadOptions>,
    },
    Metadata {
        key: StorageKey,
        options: Arc<CallOptions>,
    },
    Exists {
        key: StorageKey,
        options: Arc<CallOptions>,
    },
    Delete {
        key: StorageKey,
        options: Arc<DeleteOptions>,
    },
    DeleteMany {
        keys: Arc<[StorageKey]>,
        options: Arc<DeleteOptions>,
    },
    List {
        options: Arc<ListOptions>,
    },
    Copy {
        from: StorageKey,
        to: StorageKey,
        options: Arc<CopyOptions>,
    },
    SetMetadata {
        key: StorageKey,
        attributes: Arc<ObjectAttributes>,
        options: Arc<SetMetadataOptions>,
    },
    SetAccess {
        key: StorageKey,
        access: AccessClass,
        options: Arc<CallOptions>,
    },
    CreateUpload {
        key: StorageKey,
        options: Arc<CreateUploadOptions>,
    },
    UploadPart {
        upload: Arc<MultipartUpload>,
        place: PartPlace,
        content: Content,
        options: Arc<UploadPartOptions>,
    },
    ListParts {
        upload: Arc<MultipartUpload>,
        options: Arc<CallOptions>,
    },
    CompleteUpload {
        upload: Arc<MultipartUpload>,
        parts: Arc<[Part]>,
        options: Arc<CompleteUploadOptions>,
    },
    AbortUpload {
        upload: Arc<MultipartUpload>,
        options: Arc<CallOptions>,
    },
    PresignedUploadUrl {
        key: StorageKey,
        options: Arc<PresignUploadOptions>,
    },
    PresignedDownloadUrl {
        key: StorageKey,
        options: Arc<PresignDownloadOptions>,
    },
    PresignedPartUrl {
        upload: Arc<MultipartUpload>,
        number: u32,
        options: Arc<PresignPartOptions>,
    },
    PublicUrl {
        key: StorageKey,
        options: Arc<CallOptions>,
    },
    Probe {
        options: Arc<CallOptions>,
    },
}

/// Runs `$body` with `$options` bound to the options of whatever operation it is.
macro_rules! on_options {
    ($operation:expr, $options:ident => $body:expr) => {
        match $operation {
            Operation::Upload {
                options: $options, ..
            } => $body,
            Operation::Download {
                options: $options, ..
            } => $body,
            Operation::Metadata {
                options: $options, ..
            } => $body,
            Operation::Exists {
                options: $options, ..
            } => $body,
            Operation::Delete {
                options: $options, ..
            } => $body,
            Operation::DeleteMany {
                options: $options, ..
            } => $body,
            Operation::List { options: $options } => $body,
            Operation::Copy {
                options: $options, ..
            } => $body,
            Operation::SetMetadata {
                options: $options, ..
            } => $body,
            Operation::SetAccess {
                options: $options, ..
            } => $body,
            Operation::CreateUpload {
                options: $options, ..
            } => $body,
            Operation::UploadPart {
                options: $options, ..
            } => $body,
            Operation::ListParts {
                options: $options, ..
            } => $body,
            Operation::CompleteUpload {
                options: $options, ..
            } => $body,
            Operation::AbortUpload {
                options: $options, ..
            } => $body,
            Operation::PresignedUploadUrl {
                options: $options, ..
            } => $body,
            Operation::PresignedDownloadUrl {
                options: $options, ..
            } => $body,
            Operation::PresignedPartUrl {
                options: $options, ..
            } => $body,
            Operation::PublicUrl {
                options: $options, ..
            } => $body,
            Operation::Probe { options: $options } => $body,
        }
    };
}

impl Operation {
    /// Returns which method it is.
    #[must_use]
    pub fn kind(&self) -> OperationKind {
        match self {
            Self::Upload { .. } => OperationKind::Upload,
            Self::Download { .. } => OperationKind::Download,
            Self::Metadata { .. } => OperationKind::Metadata,
            Self::Exists { .. } => OperationKind::Exists,
            Self::Delete { .. } => OperationKind::Delete,
            Self::DeleteMany { .. } => OperationKind::DeleteMany,
            Self::List { .. } => OperationKind::List,
            Self::Copy { .. } => OperationKind::Copy,
            Self::SetMetadata { .. } => OperationKind::SetMetadata,
            Self::SetAccess { .. } => OperationKind::SetAccess,
            Self::CreateUpload { .. } => OperationKind::CreateUpload,
            Self::UploadPart { .. } => OperationKind::UploadPart,
            Self::ListParts { .. } => OperationKind::ListParts,
            Self::CompleteUpload { .. } => OperationKind::CompleteUpload,
            Self::AbortUpload { .. } => OperationKind::AbortUpload,
            Self::PresignedUploadUrl { .. } => OperationKind::PresignedUploadUrl,
            Self::PresignedDownloadUrl { .. } => OperationKind::PresignedDownloadUrl,
            Self::PresignedPartUrl { .. } => OperationKind::PresignedPartUrl,
            Self::PublicUrl { .. } => OperationKind::PublicUrl,
            Self::Probe { .. } => OperationKind::Probe,
        }
    }

    /// Returns the key that is read or written; a copy's destination; `None` where there is no single one.
    #[must_use]
    pub fn key(&self) -> Option<&StorageKey> {
        match self {
            Self::Upload { key, .. }
            | Self::Download { key, .. }
            | Self::Metadata { key, .. }
            | Self::Exists { key, .. }
            | Self::Delete { key, .. }
            | Self::Copy { to: key, .. }
            | Self::SetMetadata { key, .. }
            | Self::SetAccess { key, .. }
            | Self::CreateUpload { key, .. }
            | Self::PresignedUploadUrl { key, .. }
            | Self::PresignedDownloadUrl { key, .. }
            | Self::PublicUrl { key, .. } => Some(key),
            Self::UploadPart { upload, .. }
            | Self::ListParts { upload, .. }
            | Self::CompleteUpload { upload, .. }
            | Self::AbortUpload { upload, .. }
            | Self::PresignedPartUrl { upload, .. } => Some(&upload.key),
            Self::DeleteMany { .. } | Self::List { .. } | Self::Probe { .. } => None,
        }
    }

    /// Returns the content that is sent, if any.
    #[must_use]
    pub fn content(&self) -> Option<&Content> {
        match self {
            Self::Upload { content, .. } | Self::UploadPart { content, .. } => Some(content),
            _ => None,
        }
    }

    /// Returns what travels with the call.
    #[must_use]
    pub fn context(&self) -> &CallContext {
        on_options!(self, options => &options.context)
    }

    /// Returns what travels with the call, to be changed. Other clones of the operation keep theirs.
    pub fn context_mut(&mut self) -> &mut CallContext {
        on_options!(self, options => &mut Arc::make_mut(options).context)
    }

    /// Changes what travels with the call.
    #[must_use]
    pub fn with_context(mut self, change: impl FnOnce(&mut CallContext)) -> Self {
        change(self.context_mut());
        self
    }
}

/// The answer to an [`Operation`], variant by variant.
#[expect(missing_docs, reason = "each variant answers the operation of the same name")]
pub enum Outcome {
    Upload(Box<ObjectMetadata>),
    Download(Box<DownloadOutcome>),
    Metadata(Box<ObjectMetadata>),
    Exists(bool),
    Delete(DeleteOutcome),
    DeleteMany(Vec<DeletedKey>),
    List(ListStream),
    Copy(Box<ObjectMetadata>),
    SetMetadata(Box<ObjectMetadata>),
    SetAccess,
    CreateUpload(Box<MultipartUpload>),
    UploadPart(Box<Part>),
    ListParts(Vec<Part>),
    CompleteUpload(Box<ObjectMetadata>),
    AbortUpload,
    PresignedUploadUrl(Box<SignedRequest>),
    PresignedDownloadUrl(Box<SignedRequest>),
    PresignedPartUrl(Box<SignedRequest>),
    PublicUrl(String),
    Probe,
}

impl Outcome {
    /// Returns which method it answers.
    #[must_use]
    pub fn kind(&self) -> OperationKind {
        match self {
            Self::Upload(_) => OperationKind::Upload,
            Self::Download(_) => OperationKind::Download,
            Self::Metadata(_) => OperationKind::Metadata,
            Self::Exists(_) => OperationKind::Exists,
            Self::Delete(_) => OperationKind::Delete,
            Self::DeleteMany(_) => OperationKind::DeleteMany,
            Self::List(_) => OperationKind::List,
            Self::Copy(_) => OperationKind::Copy,
            Self::SetMetadata(_) => OperationKind::SetMetadata,
            Self::SetAccess => OperationKind::SetAccess,
            Self::CreateUpload(_) => OperationKind::CreateUpload,
            Self::UploadPart(_) => OperationKind::UploadPart,
            Self::ListParts(_) => OperationKind::ListParts,
            Self::CompleteUpload(_) => OperationKind::CompleteUpload,
            Self::AbortUpload => OperationKind::AbortUpload,
            Self::PresignedUploadUrl(_) => OperationKind::PresignedUploadUrl,
            Self::PresignedDownloadUrl(_) => OperationKind::PresignedDownloadUrl,
            Self::PresignedPartUrl(_) => OperationKind::PresignedPartUrl,
            Self::PublicUrl(_) => OperationKind::PublicUrl,
            Self::Probe => OperationKind::Probe,
        }
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outcome").field(&self.kind()).finish()
    }
}
