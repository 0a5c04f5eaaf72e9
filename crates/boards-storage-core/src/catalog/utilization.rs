//! How much is stored, by whom and where.

use serde::{Deserialize, Serialize};

use crate::scope::{ArtifactType, TenantId};

/// What [`Utilization`] is told of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UtilizationKey {
    /// The provider's name in the settings.
    pub provider: String,
    /// The tenant.
    pub tenant: TenantId,
    /// The artifacts' type.
    pub artifact_type: ArtifactType,
}

/// How much is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Utilization {
    /// The objects: each version of each variant, at each provider that has it.
    pub objects: u64,
    /// Their sizes together, as they were stored: what the provider adds to keep them is not in it.
    pub bytes: u64,
}

impl Utilization {
    /// Adds one object.
    pub fn add_object(&mut self, size_bytes: u64) {
        self.add(Self {
            objects: 1,
            bytes: size_bytes,
        });
    }

    /// Adds what else is stored.
    pub fn add(&mut self, other: Self) {
        self.objects = self.objects.saturating_add(other.objects);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}
