//! Deletion: what is meant, whether it can be taken back, and what is left of it.

use jiff::Timestamp;
use serde::Serialize;

use crate::catalog::{ArtifactRecord, Replica, VariantIdentity, VersionSelector};
use crate::scope::{ArtifactId, TenantId, VersionId};

/// What to delete.
#[derive(Clone, Debug)]
pub enum DeleteTarget {
    /// Every variant of an artifact, all versions.
    Artifact {
        /// Whose.
        tenant: TenantId,
        /// Which.
        artifact: ArtifactId,
    },
    /// All versions of a variant.
    Variant(VariantIdentity),
    /// One version.
    Version(VariantIdentity, VersionSelector),
}

impl DeleteTarget {
    /// Returns whose artifact is meant, and which.
    #[must_use]
    pub fn artifact(&self) -> (&TenantId, &ArtifactId) {
        match self {
            Self::Artifact { tenant, artifact } => (tenant, artifact),
            Self::Variant(variant) | Self::Version(variant, _) => (&variant.tenant, &variant.artifact),
        }
    }
}

/// Whether a deletion can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteMode {
    /// It is for good. What was deleted recoverably before, and is meant too, is given up with it.
    Final,
    /// [`Catalog::restore`](crate::Catalog::restore) takes it back until then. Until then the bytes stay, the versions
    /// count for the quota, and the artifact keeps its type, board and access class.
    Recoverable {
        /// When the time to take it back is over.
        until: Timestamp,
    },
}

/// A deleted version. Once the deletion is final, its bytes are to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The version.
    pub version: VersionId,
    /// What it was a version of.
    pub variant: VariantIdentity,
    /// Where its bytes are, or were.
    pub replicas: Vec<Replica>,
    /// When it was deleted.
    pub deleted_at: Timestamp,
    /// Until when it can be restored, and keeps its bytes; `None` if the deletion is final.
    pub recoverable_until: Option<Timestamp>,
}

/// Which deleted versions to list.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DeletedQuery {
    /// Only this tenant's; every tenant's by default.
    pub tenant: Option<TenantId>,
    /// Only this artifact's; needs the tenant to be one.
    pub artifact: Option<ArtifactId>,
    /// Only those after the version with this id.
    pub after: Option<VersionId>,
    /// At most so many; 1,000 by default and at most.
    pub limit: Option<usize>,
}

impl DeletedQuery {
    /// The greatest page.
    pub const LIMIT_MAX: usize = 1000;

    /// Returns the page size: the limit asked for, between 1 and [`Self::LIMIT_MAX`].
    #[must_use]
    pub fn page_size(&self) -> usize {
        self.limit.unwrap_or(Self::LIMIT_MAX).clamp(1, Self::LIMIT_MAX)
    }

    /// Lists only one tenant's.
    #[must_use]
    pub fn with_tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// Lists only one artifact's.
    #[must_use]
    pub fn with_artifact(mut self, artifact: ArtifactId) -> Self {
        self.artifact = Some(artifact);
        self
    }

    /// Begins after the version with this id.
    #[must_use]
    pub fn with_after(mut self, version: VersionId) -> Self {
        self.after = Some(version);
        self
    }

    /// Gives at most so many.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// A deleted version that can be restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeletedRecord {
    /// The record as it was, and will be again; it is no present version now.
    #[serde(flatten)]
    pub record: ArtifactRecord,
    /// When it was deleted.
    pub deleted_at: Timestamp,
    /// Until when it can be restored.
    pub recoverable_until: Timestamp,
}
