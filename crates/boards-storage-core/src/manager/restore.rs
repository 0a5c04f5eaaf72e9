//! Taking deletions back.

use tracing::Instrument as _;

use super::remove::target_of;
use super::{ArtifactLocator, ArtifactReference, DeletedArtifact, StorageManager};
use crate::audit::AuditOperation;
use crate::catalog::{DeleteTarget, DeletedQuery};
use crate::error::{Error, ErrorKind, Result};
use crate::options::CallContext;
use crate::scope::{ArtifactId, TenantId};

impl StorageManager {
    /// Takes the last deletion of an artifact back, if its time is not over, and returns what is there again, by variant
    /// and version. What was deleted before that stays deleted.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing of it can be restored; what the catalog answers.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use boards_storage_core::{
    ///     ArtifactType, CallContext, ManagerSettings, MemoryCatalog, NewArtifact, Result, SharedProvider, StorageManager,
    /// };
    ///
    /// async fn regret(provider: SharedProvider) -> Result<()> {
    ///     let mut settings = ManagerSettings::new("main");
    ///     settings.keep_deleted = Duration::from_hours(7 * 24);
    ///     let manager = StorageManager::new(settings, std::sync::Arc::new(MemoryCatalog::default()));
    ///     manager.register_provider("main", provider)?;
    ///     let stored = manager.store_artifact(NewArtifact::new(ArtifactType::Text), "hello").await?;
    ///     let (tenant, artifact, context) = (&stored.tenant_id, &stored.artifact_id, CallContext::default());
    ///     manager.delete_artifact(tenant, artifact, &context).await?;
    ///     let restored = manager.restore_artifact(tenant, artifact, &context).await?;
    ///     assert_eq!(restored, [stored]);
    ///     Ok(())
    /// }
    /// ```
    pub async fn restore_artifact(
        &self,
        tenant: &TenantId,
        artifact: &ArtifactId,
        context: &CallContext,
    ) -> Result<Vec<ArtifactReference>> {
        let target = DeleteTarget::Artifact {
            tenant: tenant.clone(),
            artifact: artifact.clone(),
        };
        self.restore(&target, context).await
    }

    /// Takes the last deletion of a variant back, or that of the version which the locator names by number or id.
    ///
    /// # Errors
    ///
    /// As [`StorageManager::restore_artifact`].
    pub async fn restore_variant(
        &self,
        locator: impl Into<ArtifactLocator>,
        context: &CallContext,
    ) -> Result<Vec<ArtifactReference>> {
        self.restore(&target_of(locator.into()), context).await
    }

    async fn restore(&self, target: &DeleteTarget, context: &CallContext) -> Result<Vec<ArtifactReference>> {
        let context = self.context_of(context);
        let mut recording = self.record_begin(AuditOperation::Restore, &context).await?;
        recording.note(|event| event.targeting(target));
        let restored = async {
            let now = self.inner.clock.now();
            let records = self.inner.catalog.restore(target, now).await?;
            if records.is_empty() {
                let (tenant, artifact) = target.artifact();
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!("nothing of the artifact '{artifact}' of the tenant '{tenant}' can be restored"),
                )
                .with_help(
                    "only what was deleted while deleted artifacts are kept, and whose time is not over, can be",
                ));
            }
            self.references(&records).await
        }
        .instrument(recording.span())
        .await;
        recording
            .end_with(restored, |event, restored| {
                event.count = Some(restored.len() as u64)
            })
            .await
    }

    /// Lists what can be restored, version by version, in the order of their ids. The next page is the one after the id
    /// of the last version.
    ///
    /// # Errors
    ///
    /// What the catalog answers.
    pub async fn list_deleted(&self, query: &DeletedQuery) -> Result<Vec<DeletedArtifact>> {
        let mut recording = self.record_plain(AuditOperation::ListDeleted).await?;
        recording.note(|event| {
            event.tenant.clone_from(&query.tenant);
            event.artifact.clone_from(&query.artifact);
        });
        let deleted = self
            .inner
            .catalog
            .deleted(query)
            .instrument(recording.span())
            .await;
        let deleted = deleted.map(|records| {
            let shown = records.into_iter().map(|dead| DeletedArtifact {
                // A public URL would not be the artifact's any more.
                reference: ArtifactReference::new(&dead.record, dead.record.primary().url()),
                deleted_at: dead.deleted_at,
                recoverable_until: dead.recoverable_until,
            });
            shown.collect::<Vec<_>>()
        });
        recording
            .end_with(deleted, |event, deleted| event.count = Some(deleted.len() as u64))
            .await
    }
}
