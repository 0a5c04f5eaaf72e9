//! What tenants store, and may store.

use tracing::Instrument as _;

use super::StorageManager;
use crate::audit::AuditOperation;
use crate::catalog::{Quota, TenantUsage};
use crate::error::Result;
use crate::options::CallContext;
use crate::scope::TenantId;

impl StorageManager {
    /// Returns how much a tenant stores, and the quota that holds for it: its own, else the one of the
    /// [settings](crate::ManagerSettings::quota).
    ///
    /// Every version counts, and what is deleted counts as long as it can be restored. It is exact at any time.
    ///
    /// # Errors
    ///
    /// What the catalog answers.
    ///
    /// # Examples
    ///
    /// ```
    /// # use boards_storage_core::{CallContext, Quota, Result, StorageManager, TenantId};
    /// async fn limit(manager: &StorageManager, tenant: &TenantId) -> Result<()> {
    ///     let quota = Quota::default().with_bytes_max(10 << 30);
    ///     manager.set_quota(tenant, Some(quota), &CallContext::default()).await?;
    ///     let (usage, holds) = manager.tenant_usage(tenant).await?;
    ///     println!("{} of {:?} bytes are used", usage.used.bytes, holds.bytes_max);
    ///     Ok(())
    /// }
    /// ```
    pub async fn tenant_usage(&self, tenant: &TenantId) -> Result<(TenantUsage, Quota)> {
        let mut recording = self.record_plain(AuditOperation::Usage).await?;
        recording.note(|event| event.tenant = Some(tenant.clone()));
        let usage = self
            .inner
            .catalog
            .usage(tenant)
            .instrument(recording.span())
            .await;
        let default = self.inner.settings.quota;
        let usage = usage.map(|usage| (usage, usage.quota.unwrap_or(default)));
        recording.end_with(usage, |_, _| {}).await
    }

    /// Gives a tenant a quota of its own, or with `None` that of the settings again. It is kept in the catalog and holds
    /// for every process at once. What is stored already stays, also where it is more.
    ///
    /// # Errors
    ///
    /// What the catalog answers.
    pub async fn set_quota(
        &self,
        tenant: &TenantId,
        quota: Option<Quota>,
        context: &CallContext,
    ) -> Result<()> {
        let context = self.context_of(context);
        let mut recording = self.record_begin(AuditOperation::SetQuota, &context).await?;
        recording.note(|event| event.tenant = Some(tenant.clone()));
        let set = self
            .inner
            .catalog
            .set_quota(tenant, quota)
            .instrument(recording.span())
            .await;
        recording.end_with(set, |_, ()| {}).await
    }
}
