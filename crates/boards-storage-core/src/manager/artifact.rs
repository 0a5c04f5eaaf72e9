//! What the application says and hears of artifacts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::catalog::{ArtifactRecord, VariantIdentity, VersionSelector};
use crate::checksum::Digest;
use crate::content_type::ContentType;
use crate::key::StorageKey;
use crate::metadata::{ObjectAttributes, ObjectMetadata};
use crate::options::{AccessClass, CallContext};
use crate::scope::{ArtifactId, ArtifactType, BoardId, TenantId, VariantFile, VariantName, VersionId};

/// An artifact, or a variant of one, to be stored.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{ArtifactType, BoardId, ContentType, NewArtifact};
///
/// let artifact = NewArtifact::new(ArtifactType::Image)
///     .with_board(BoardId::parse("board_123")?)
///     .with_content_type(ContentType::parse("image/png")?)
///     .with_user_metadata("prompt", "a lighthouse at dusk");
/// # Ok::<(), boards_storage_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewArtifact {
    /// What travels with the calls.
    pub context: CallContext,
    /// The artifact's id; a fresh one (UUIDv7) by default.
    pub artifact: Option<ArtifactId>,
    /// What it is.
    pub artifact_type: ArtifactType,
    /// Whose it is; the tenant `default` by default.
    pub tenant: TenantId,
    /// The board that it belongs to.
    pub board: Option<BoardId>,
    /// Which variant; `original` by default. Its extension, where none is given, comes from the content type.
    pub file: VariantFile,
    /// How it may be reached; private by default. A temporary artifact's key begins with `temp/`.
    pub access: AccessClass,
    /// How it is served, and the application's fields. Without a content type the one of the file's extension is
    /// taken, else `application/octet-stream`.
    pub attributes: ObjectAttributes,
    /// The file name that the content had. It is not stored: its extension must agree with the content, if that is
    /// validated.
    pub file_name: Option<String>,
    /// Whether an existing variant gets a new version.
    pub overwrite: bool,
    /// The digest that the content must have; other bytes are `Corruption`.
    pub digest: Option<Digest>,
}

impl NewArtifact {
    /// Describes an artifact of a type; everything else is at its default.
    #[must_use]
    pub fn new(artifact_type: ArtifactType) -> Self {
        Self {
            context: CallContext::default(),
            artifact: None,
            artifact_type,
            tenant: TenantId::default(),
            board: None,
            file: VariantFile::default(),
            access: AccessClass::default(),
            attributes: ObjectAttributes::default(),
            file_name: None,
            overwrite: false,
            digest: None,
        }
    }

    /// Sets what travels with the calls.
    #[must_use]
    pub fn with_context(mut self, context: CallContext) -> Self {
        self.context = context;
        self
    }

    /// Sets the artifact's id.
    #[must_use]
    pub fn with_artifact(mut self, artifact: ArtifactId) -> Self {
        self.artifact = Some(artifact);
        self
    }

    /// Sets whose it is.
    #[must_use]
    pub fn with_tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = tenant;
        self
    }

    /// Sets the board.
    #[must_use]
    pub fn with_board(mut self, board: BoardId) -> Self {
        self.board = Some(board);
        self
    }

    /// Sets which variant.
    #[must_use]
    pub fn with_variant(mut self, file: impl Into<VariantFile>) -> Self {
        self.file = file.into();
        self
    }

    /// Sets how it may be reached.
    #[must_use]
    pub fn with_access(mut self, access: AccessClass) -> Self {
        self.access = access;
        self
    }

    /// Sets all attributes.
    #[must_use]
    pub fn with_attributes(mut self, attributes: ObjectAttributes) -> Self {
        self.attributes = attributes;
        self
    }

    /// Sets the content type.
    #[must_use]
    pub fn with_content_type(mut self, content_type: ContentType) -> Self {
        self.attributes.content_type = Some(content_type);
        self
    }

    /// Adds one field of user metadata.
    #[must_use]
    pub fn with_user_metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes = self.attributes.with_user_metadata(name, value);
        self
    }

    /// Sets the file name that the content had.
    #[must_use]
    pub fn with_file_name(mut self, name: impl Into<String>) -> Self {
        self.file_name = Some(name.into());
        self
    }

    /// Asks for a new version if the variant exists.
    #[must_use]
    pub fn with_overwrite(mut self) -> Self {
        self.overwrite = true;
        self
    }

    /// Sets the digest that the content must have.
    #[must_use]
    pub fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }
}

/// Names a stored variant, and which version of it.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{ArtifactId, ArtifactLocator, VariantName};
///
/// let original = ArtifactLocator::new(ArtifactId::parse("artifact_456")?);
/// let thumbnail = original.clone().with_variant(VariantName::parse("thumbnail")?);
/// # Ok::<(), boards_storage_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArtifactLocator {
    /// Whose.
    pub tenant: TenantId,
    /// Which artifact.
    pub artifact: ArtifactId,
    /// Which variant.
    pub variant: VariantName,
    /// Which version.
    pub version: VersionSelector,
}

impl ArtifactLocator {
    /// Names the present version of the `original` variant of the default tenant's artifact.
    #[must_use]
    pub fn new(artifact: ArtifactId) -> Self {
        Self {
            tenant: TenantId::default(),
            artifact,
            variant: VariantName::default(),
            version: VersionSelector::Current,
        }
    }

    /// Sets whose.
    #[must_use]
    pub fn with_tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = tenant;
        self
    }

    /// Sets which variant.
    #[must_use]
    pub fn with_variant(mut self, variant: VariantName) -> Self {
        self.variant = variant;
        self
    }

    /// Sets which version.
    #[must_use]
    pub fn with_version(mut self, version: VersionSelector) -> Self {
        self.version = version;
        self
    }

    /// Returns the variant without the version.
    #[must_use]
    pub fn identity(&self) -> VariantIdentity {
        VariantIdentity {
            tenant: self.tenant.clone(),
            artifact: self.artifact.clone(),
            variant: self.variant.clone(),
        }
    }
}

impl From<ArtifactId> for ArtifactLocator {
    fn from(artifact: ArtifactId) -> Self {
        Self::new(artifact)
    }
}

impl From<&ArtifactReference> for ArtifactLocator {
    /// Names exactly the version that the reference is of.
    fn from(reference: &ArtifactReference) -> Self {
        Self {
            tenant: reference.tenant_id.clone(),
            artifact: reference.artifact_id.clone(),
            variant: reference.variant.clone(),
            version: VersionSelector::Id(reference.version_id),
        }
    }
}

/// A stored artifact, as applications keep and show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ArtifactReference {
    /// The artifact's id.
    pub artifact_id: ArtifactId,
    /// Where the bytes stand at the provider.
    pub storage_key: StorageKey,
    /// The provider's name in the settings.
    pub storage_provider: String,
    /// The provider that it is meant for, if a fallback holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home_provider: Option<String>,
    /// The public URL if the artifact is public and the provider has one, else `boards-storage://provider/key`;
    /// never a signed URL.
    pub storage_url: String,
    /// The content type.
    pub content_type: ContentType,
    /// The artifact's type.
    pub artifact_type: ArtifactType,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The board that it belongs to.
    pub board_id: Option<BoardId>,
    /// Which variant.
    pub variant: VariantName,
    /// How it may be reached.
    pub access: AccessClass,
    /// The size in bytes.
    pub size: u64,
    /// The digest of the content.
    pub digest: Digest,
    /// The version's number, from 1 on.
    pub version: u64,
    /// The version's id.
    pub version_id: VersionId,
    /// When this version was stored.
    pub created_at: Timestamp,
}

impl ArtifactReference {
    pub(super) fn new(record: &ArtifactRecord, storage_url: String) -> Self {
        let replica = record.primary();
        Self {
            artifact_id: record.variant.artifact.clone(),
            storage_key: replica.key.clone(),
            storage_provider: replica.provider.clone(),
            home_provider: record.is_displaced().then(|| record.home.clone()),
            storage_url,
            content_type: record
                .attributes
                .content_type
                .clone()
                .unwrap_or_else(ContentType::octet_stream),
            artifact_type: record.artifact_type.clone(),
            tenant_id: record.variant.tenant.clone(),
            board_id: record.board.clone(),
            variant: record.variant.variant.clone(),
            access: record.access,
            size: record.size_bytes,
            digest: record.digest,
            version: record.number,
            version_id: record.version,
            created_at: record.created_at,
        }
    }
}

/// All that is known of a stored artifact: the record, and what the store says.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ArtifactMetadata {
    /// The artifact as applications show it.
    #[serde(flatten)]
    pub reference: ArtifactReference,
    /// How it is served, and the application's fields.
    pub attributes: ObjectAttributes,
    /// The catalog's record of where the bytes are.
    pub replicas: Vec<crate::catalog::Replica>,
    /// What the store that holds the bytes answers now.
    pub object: ObjectMetadata,
}

/// A page of artifacts.
#[derive(Clone, Debug, Default)]
pub struct ArtifactPage {
    /// The artifacts, by tenant, id and variant.
    pub artifacts: Vec<ArtifactReference>,
    /// Where to go on; `None` on the last page.
    pub next: Option<crate::catalog::CatalogCursor>,
}

/// A URL to fetch an artifact's bytes from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DownloadUrl {
    /// The request to send; a plain `GET` in almost every case.
    pub request: crate::signed::SignedRequest,
    /// Whether the URL is public and does not expire; then `request.expires_at` is the greatest time there is.
    pub is_public: bool,
}

/// What a delete did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Deletion {
    /// How many versions were deleted now. 0 says that there was nothing.
    pub versions: usize,
    /// How many of them still have bytes at a store that could not remove them now; they are removed later by
    /// [`StorageManager::reap`](crate::StorageManager::reap).
    pub bytes_pending: usize,
    /// Until when it can be taken back, by [`StorageManager::restore_artifact`](crate::StorageManager::restore_artifact);
    /// `None` if it is final.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recoverable_until: Option<Timestamp>,
}

impl Deletion {
    /// Returns whether there was anything to delete: the seed's yes or no.
    #[must_use]
    pub fn existed(&self) -> bool {
        self.versions > 0
    }
}

/// A deleted version of an artifact that can be restored.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct DeletedArtifact {
    /// The artifact as it was, and will be again.
    #[serde(flatten)]
    pub reference: ArtifactReference,
    /// When it was deleted.
    pub deleted_at: Timestamp,
    /// Until when it can be restored.
    pub recoverable_until: Timestamp,
}

/// What was cleaned up after writers and deleters that did not finish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReapReport {
    /// Unfinished writes whose bytes are gone now.
    pub intents: usize,
    /// Deleted versions whose time to be restored is over since now.
    pub expired: usize,
    /// Deleted versions whose bytes are gone now.
    pub tombstones: usize,
    /// Those that could not be cleaned up now.
    pub failed: usize,
}
