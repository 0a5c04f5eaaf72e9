//! The catalog's records.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::catalog::Quota;
use crate::checksum::{Checksum, Digest};
use crate::error::{Error, Result};
use crate::key::StorageKey;
use crate::metadata::{ETag, ObjectAttributes};
use crate::options::AccessClass;
use crate::scope::{ArtifactId, ArtifactType, BoardId, TenantId, VariantName, VersionId};

/// Names a variant of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VariantIdentity {
    /// Whose artifact.
    pub tenant: TenantId,
    /// Which artifact.
    pub artifact: ArtifactId,
    /// Which variant.
    pub variant: VariantName,
}

/// Names a version of a variant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VersionSelector {
    /// The present one.
    #[default]
    Current,
    /// The one with this number, counted from 1.
    Number(u64),
    /// The one with this id.
    Id(VersionId),
}

impl VersionSelector {
    /// Parses a number or a version id.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the text is neither.
    pub fn parse(text: &str) -> Result<Self> {
        if let Ok(id) = VersionId::parse(text) {
            return Ok(Self::Id(id));
        }
        match text.parse::<u64>() {
            Ok(number) if number > 0 => Ok(Self::Number(number)),
            Ok(_) | Err(_) => Err(Error::invalid_input(format!("'{text}' is not a version"))
                .with_help("give a number from 1 on, or a version id of 32 hex digits")),
        }
    }
}

/// What a writer wants to write.
#[derive(Clone, Debug)]
pub struct NewIntent {
    /// The id of the version to be, which is also the intent's.
    pub version: VersionId,
    /// What is written.
    pub variant: VariantIdentity,
    /// The artifact's type.
    pub artifact_type: ArtifactType,
    /// The artifact's board.
    pub board: Option<BoardId>,
    /// How the artifact may be reached.
    pub access: AccessClass,
    /// The provider that the routing meant.
    pub home: String,
    /// The provider that gets the bytes: the home, or one that takes its place.
    pub provider: String,
    /// The key without a version, used if it was never used.
    pub plain_key: StorageKey,
    /// The key with the version.
    pub versioned_key: StorageKey,
    /// Whether an existing version is no obstacle.
    pub overwrite: bool,
    /// The present time.
    pub now: Timestamp,
    /// Until when nobody else may take over.
    pub lease_until: Timestamp,
    /// The size of the content, if it is known by now.
    pub size_bytes: Option<u64>,
    /// What the tenant may store, if the catalog keeps no quota of its own for it.
    pub quota: Quota,
}

/// The answer to [`Catalog::begin`](crate::Catalog::begin).
#[derive(Clone, Debug)]
pub enum Begun {
    /// The write may go on.
    Started(Intent),
    /// There is a version, and overwriting was not asked for.
    Exists(Box<ArtifactRecord>),
    /// Somebody else is writing the variant.
    Busy {
        /// Until when at least, unless the lease is renewed.
        lease_until: Timestamp,
    },
}

/// A write under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The id of the version to be.
    pub version: VersionId,
    /// What is written.
    pub variant: VariantIdentity,
    /// The provider that the routing meant.
    pub home: String,
    /// The provider that gets the bytes: the home, or one that takes its place.
    pub provider: String,
    /// The only key that this write, and its cleanup, may touch.
    pub key: StorageKey,
    /// Until when nobody else may take over.
    pub lease_until: Timestamp,
}

/// Whether a digest was computed by us or only told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DigestState {
    /// The writer said so.
    Declared,
    /// It was computed from the bytes.
    Verified,
}

impl DigestState {
    /// Returns the state's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Verified => "verified",
        }
    }
}

/// What is known of the bytes when they are stored.
#[derive(Clone, Debug)]
pub struct StoredObject {
    /// The size in bytes.
    pub size_bytes: u64,
    /// How the object is served, and the application's fields.
    pub attributes: ObjectAttributes,
    /// The digest of the plain content.
    pub digest: Digest,
    /// How the digest is known.
    pub digest_state: DigestState,
    /// The store's entity tag.
    pub etag: Option<ETag>,
    /// The store's version id.
    pub store_version: Option<String>,
    /// The store's checksum.
    pub checksum: Option<Checksum>,
}

/// Where a version's bytes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// The provider's name in the settings.
    pub provider: String,
    /// The key there.
    pub key: StorageKey,
    /// The store's entity tag.
    pub etag: Option<ETag>,
    /// The store's version id.
    pub store_version: Option<String>,
    /// The store's checksum.
    pub checksum: Option<Checksum>,
    /// When the bytes were last seen to have the version's digest.
    pub verified_at: Option<Timestamp>,
}

impl Replica {
    /// Returns the URL that names the place, `boards-storage://provider/key`; it serves nothing.
    #[must_use]
    pub fn url(&self) -> String {
        format!("boards-storage://{}/{}", self.provider, self.key)
    }
}

/// One version of a variant, with the artifact's own facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRecord {
    /// What it is a version of.
    #[serde(flatten)]
    pub variant: VariantIdentity,
    /// The artifact's type.
    pub artifact_type: ArtifactType,
    /// The artifact's board.
    pub board: Option<BoardId>,
    /// How the artifact may be reached.
    pub access: AccessClass,
    /// The version's id.
    pub version: VersionId,
    /// The version's number, from 1 on; never given twice for a variant.
    pub number: u64,
    /// Whether it is the present version.
    pub is_current: bool,
    /// The size in bytes.
    pub size_bytes: u64,
    /// How the object is served, and the application's fields.
    pub attributes: ObjectAttributes,
    /// The digest of the plain content.
    pub digest: Digest,
    /// How the digest is known.
    pub digest_state: DigestState,
    /// When the version was committed.
    pub created_at: Timestamp,
    /// The provider that the routing meant when the version was written. Its bytes may be elsewhere: see
    /// [`ArtifactRecord::is_displaced`].
    pub home: String,
    /// Where the bytes are, the place they were written to first; at least one.
    pub replicas: Vec<Replica>,
}

impl ArtifactRecord {
    /// Returns where the bytes were written to first.
    #[must_use]
    pub fn primary(&self) -> &Replica {
        self.replicas
            .first()
            .expect("a record has at least one replica: commit writes it")
    }

    /// Returns whether no replica is at home: a fallback took the write.
    #[must_use]
    pub fn is_displaced(&self) -> bool {
        self.replicas.iter().all(|replica| replica.provider != self.home)
    }
}

/// Which records to list.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ArtifactQuery {
    /// Only this tenant's; every tenant's by default.
    pub tenant: Option<TenantId>,
    /// Only this board's.
    pub board: Option<BoardId>,
    /// Only this type.
    pub artifact_type: Option<ArtifactType>,
    /// Only this artifact's variants; needs the tenant to be one.
    pub artifact: Option<ArtifactId>,
    /// Only those whose user metadata has all these fields.
    pub user_metadata: BTreeMap<String, String>,
    /// Only those of this access class.
    pub access: Option<AccessClass>,
    /// Only those whose content has this digest.
    pub digest: Option<Digest>,
    /// Only those whose present version was stored then or later.
    pub created_from: Option<Timestamp>,
    /// Only those whose present version was stored before.
    pub created_before: Option<Timestamp>,
    /// Only those that a fallback holds: no replica is at home.
    pub displaced: bool,
    /// Only those after this one.
    pub after: Option<CatalogCursor>,
    /// At most so many; 1,000 by default and at most.
    pub limit: Option<usize>,
}

impl ArtifactQuery {
    /// The greatest page.
    pub const LIMIT_MAX: usize = 1000;

    /// Returns the page size: the limit asked for, between 1 and [`Self::LIMIT_MAX`].
    #[must_use]
    pub fn page_size(&self) -> usize {
        self.limit.unwrap_or(Self::LIMIT_MAX).clamp(1, Self::LIMIT_MAX)
    }

    /// Lists one tenant's.
    #[must_use]
    pub fn of_tenant(tenant: TenantId) -> Self {
        Self {
            tenant: Some(tenant),
            ..Self::default()
        }
    }

    /// Lists only one board's.
    #[must_use]
    pub fn with_board(mut self, board: BoardId) -> Self {
        self.board = Some(board);
        self
    }

    /// Lists only one type.
    #[must_use]
    pub fn with_artifact_type(mut self, artifact_type: ArtifactType) -> Self {
        self.artifact_type = Some(artifact_type);
        self
    }

    /// Lists only one artifact's variants.
    #[must_use]
    pub fn with_artifact(mut self, artifact: ArtifactId) -> Self {
        self.artifact = Some(artifact);
        self
    }

    /// Lists only those with this field of user metadata.
    #[must_use]
    pub fn with_user_metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.user_metadata.insert(name.into(), value.into());
        self
    }

    /// Lists only one access class.
    #[must_use]
    pub fn with_access(mut self, access: AccessClass) -> Self {
        self.access = Some(access);
        self
    }

    /// Lists only those with this content.
    #[must_use]
    pub fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// Lists only those whose present version was stored at that time or later.
    #[must_use]
    pub fn with_created_from(mut self, time: Timestamp) -> Self {
        self.created_from = Some(time);
        self
    }

    /// Lists only those whose present version was stored before that time.
    #[must_use]
    pub fn with_created_before(mut self, time: Timestamp) -> Self {
        self.created_before = Some(time);
        self
    }

    /// Lists only those that a fallback holds.
    #[must_use]
    pub fn with_displaced(mut self) -> Self {
        self.displaced = true;
        self
    }

    /// Begins after this one.
    #[must_use]
    pub fn with_after(mut self, after: CatalogCursor) -> Self {
        self.after = Some(after);
        self
    }

    /// Gives at most so many.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// Where a page ended: the last record's identity. It stays good while records come and go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CatalogCursor(pub VariantIdentity);

/// Some of the records asked for.
#[derive(Clone, Debug, Default)]
pub struct CatalogPage {
    /// The records, in order.
    pub records: Vec<ArtifactRecord>,
    /// Where to go on; `None` on the last page.
    pub next: Option<CatalogCursor>,
}
