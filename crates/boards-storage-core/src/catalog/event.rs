//! The catalog's event log: what changed, in the order in which it took effect.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::catalog::{ArtifactRecord, VariantIdentity};
use crate::scope::{ArtifactId, TenantId, VersionId};

/// A change of the records, as the catalog noted it in the transaction that made it.
///
/// Events are only ever added. Whoever replays them from the first on has the records of any moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CatalogEvent {
    /// The event's place in the log: greater than that of every change which took effect before. Numbers may be left
    /// out.
    pub sequence: u64,
    /// When the change was made, by the clock of whoever made it; the order is that of the sequence.
    pub at: Timestamp,
    /// The change.
    #[serde(flatten)]
    pub change: CatalogChange,
}

impl CatalogEvent {
    /// Puts an event together: for implementations of [`Catalog`](crate::Catalog).
    #[must_use]
    pub fn new(sequence: u64, at: Timestamp, change: CatalogChange) -> Self {
        Self { sequence, at, change }
    }
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum CatalogChange {
    /// A version was committed, and is the present one of its variant.
    Committed {
        /// The record as it was committed.
        record: Box<ArtifactRecord>,
    },
    /// A version was deleted. If it was the present one, the one with the highest number that is left takes its place.
    Deleted {
        /// The version.
        version: VersionId,
        /// What it was a version of.
        #[serde(flatten)]
        variant: VariantIdentity,
        /// Until when it could be restored, as it was deleted; without it the deletion was final.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recoverable_until: Option<Timestamp>,
    },
    /// A deleted version was restored. The version with the highest number is the present one again.
    Restored {
        /// The version.
        version: VersionId,
        /// What it is a version of.
        #[serde(flatten)]
        variant: VariantIdentity,
    },
    /// A deleted version's bytes are gone.
    Purged {
        /// The version.
        version: VersionId,
        /// What it was a version of.
        #[serde(flatten)]
        variant: VariantIdentity,
    },
}

impl CatalogChange {
    /// Returns the change's name, such as `committed`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Committed { .. } => "committed",
            Self::Deleted { .. } => "deleted",
            Self::Restored { .. } => "restored",
            Self::Purged { .. } => "purged",
        }
    }

    /// Returns the variant that changed.
    #[must_use]
    pub fn variant(&self) -> &VariantIdentity {
        match self {
            Self::Committed { record } => &record.variant,
            Self::Deleted { variant, .. } | Self::Restored { variant, .. } | Self::Purged { variant, .. } => {
                variant
            }
        }
    }

    /// Returns the version that changed.
    #[must_use]
    pub fn version(&self) -> VersionId {
        match self {
            Self::Committed { record } => record.version,
            Self::Deleted { version, .. } | Self::Restored { version, .. } | Self::Purged { version, .. } => {
                *version
            }
        }
    }
}

/// Which events to read.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct EventQuery {
    /// Only this tenant's; every tenant's by default.
    pub tenant: Option<TenantId>,
    /// Only this artifact's; needs the tenant to be one.
    pub artifact: Option<ArtifactId>,
    /// Only those after the one with this number.
    pub after: Option<u64>,
    /// At most so many; 1,000 by default and at most.
    pub limit: Option<usize>,
}

impl EventQuery {
    /// The greatest page.
    pub const LIMIT_MAX: usize = 1000;

    /// Returns the page size: the limit asked for, between 1 and [`Self::LIMIT_MAX`].
    #[must_use]
    pub fn page_size(&self) -> usize {
        self.limit.unwrap_or(Self::LIMIT_MAX).clamp(1, Self::LIMIT_MAX)
    }

    /// Reads only one tenant's.
    #[must_use]
    pub fn with_tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// Reads only one artifact's.
    #[must_use]
    pub fn with_artifact(mut self, artifact: ArtifactId) -> Self {
        self.artifact = Some(artifact);
        self
    }

    /// Begins after the one with this number.
    #[must_use]
    pub fn with_after(mut self, sequence: u64) -> Self {
        self.after = Some(sequence);
        self
    }

    /// Gives at most so many.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Says whether a change is asked for, wherever it stands in the log.
    #[must_use]
    pub fn is_of(&self, change: &CatalogChange) -> bool {
        let variant = change.variant();
        self.tenant
            .as_ref()
            .is_none_or(|tenant| *tenant == variant.tenant)
            && self
                .artifact
                .as_ref()
                .is_none_or(|artifact| *artifact == variant.artifact)
    }
}
