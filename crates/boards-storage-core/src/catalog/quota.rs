//! Quotas: how much a tenant may store.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::scope::TenantId;

/// How much a tenant may store at most. By default there is no limit.
///
/// Every version counts, old ones too, and so do deleted ones as long as they can be restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// The size of all content together, in bytes.
    pub bytes_max: Option<u64>,
    /// The number of versions of all variants of all artifacts.
    pub objects_max: Option<u64>,
}

impl Quota {
    /// Limits the bytes.
    #[must_use]
    pub fn with_bytes_max(mut self, bytes: u64) -> Self {
        self.bytes_max = Some(bytes);
        self
    }

    /// Limits the number of versions.
    #[must_use]
    pub fn with_objects_max(mut self, objects: u64) -> Self {
        self.objects_max = Some(objects);
        self
    }

    /// Checks that a tenant who uses so much may store one version more, of `size_bytes`.
    ///
    /// # Errors
    ///
    /// `InsufficientStorage` that names the quota, what is used and what was to be stored.
    pub fn check(&self, tenant: &TenantId, used: Usage, size_bytes: u64) -> Result<()> {
        let refused = |quota: &str, max: u64, used: u64, more: String| {
            Err(Error::new(
                ErrorKind::InsufficientStorage,
                format!("the quota {quota} of the tenant '{tenant}' is {max}: {used} are used, and {more}"),
            )
            .with_help("delete artifacts for good, or raise the tenant's quota"))
        };
        if let Some(max) = self.bytes_max
            && used.bytes.saturating_add(size_bytes) > max
        {
            return refused(
                "bytes_max",
                max,
                used.bytes,
                format!("the content has {size_bytes}"),
            );
        }
        if let Some(max) = self.objects_max
            && used.objects >= max
        {
            return refused(
                "objects_max",
                max,
                used.objects,
                "this would be one more".to_owned(),
            );
        }
        Ok(())
    }
}

/// How much a tenant stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The size of all content together, in bytes.
    pub bytes: u64,
    /// The number of versions.
    pub objects: u64,
}

impl Usage {
    /// Adds a version.
    pub fn add(&mut self, size_bytes: u64) {
        self.bytes = self.bytes.saturating_add(size_bytes);
        self.objects = self.objects.saturating_add(1);
    }

    /// Takes a version away.
    pub fn remove(&mut self, size_bytes: u64) {
        self.bytes = self.bytes.saturating_sub(size_bytes);
        self.objects = self.objects.saturating_sub(1);
    }
}

/// How much a tenant stores, and what the catalog says it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantUsage {
    /// How much the tenant stores.
    pub used: Usage,
    /// The tenant's own quota; `None` if what holds for everybody holds.
    pub quota: Option<Quota>,
}
