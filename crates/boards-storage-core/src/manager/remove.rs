//! Deleting, and cleaning up after those who did not finish.

use std::time::Duration;

use tracing::Instrument as _;

use super::{ArtifactLocator, Deletion, ReapReport, StorageManager};
use crate::audit::AuditOperation;
use crate::capabilities::Capability;
use crate::catalog::{DeleteMode, DeleteTarget, Intent, Tombstone, VersionSelector};
use crate::error::{ErrorKind, Result};
use crate::key::StorageKey;
use crate::metadata::WriteId;
use crate::options::{CallContext, CallOptions, DeleteOptions};
use crate::scope::{ArtifactId, TenantId};

/// A delete that has not finished after this long is taken over by the cleanup.
const TOMBSTONE_AGE: Duration = Duration::from_secs(60);

/// How many unfinished writes or deletes are asked for at once.
const REAP_PAGE: usize = 100;

impl StorageManager {
    /// Deletes an artifact: every variant, every version. Records go first, then bytes.
    ///
    /// With [`ManagerSettings::keep_deleted`](crate::ManagerSettings::keep_deleted) the bytes stay for that long, and
    /// [`StorageManager::restore_artifact`] takes the deletion back; [`StorageManager::purge_artifact`] does not wait.
    /// Until then it counts for the tenant's quota.
    ///
    /// # Errors
    ///
    /// What the catalog answers. Bytes that a store could not remove are counted, not an error: nobody sees them any
    /// more, and [`StorageManager::reap`] removes them.
    pub async fn delete_artifact(
        &self,
        tenant: &TenantId,
        artifact: &ArtifactId,
        context: &CallContext,
    ) -> Result<Deletion> {
        let target = DeleteTarget::Artifact {
            tenant: tenant.clone(),
            artifact: artifact.clone(),
        };
        self.delete_recorded(AuditOperation::Delete, &target, self.delete_mode(), context)
            .await
    }

    /// Deletes one variant: all its versions, or the one that the locator names by number or id.
    ///
    /// # Errors
    ///
    /// As [`StorageManager::delete_artifact`].
    pub async fn delete_variant(
        &self,
        locator: impl Into<ArtifactLocator>,
        context: &CallContext,
    ) -> Result<Deletion> {
        let target = target_of(locator.into());
        self.delete_recorded(AuditOperation::Delete, &target, self.delete_mode(), context)
            .await
    }

    /// Deletes an artifact for good, also what of it was deleted before and could be restored.
    ///
    /// # Errors
    ///
    /// As [`StorageManager::delete_artifact`].
    pub async fn purge_artifact(
        &self,
        tenant: &TenantId,
        artifact: &ArtifactId,
        context: &CallContext,
    ) -> Result<Deletion> {
        let target = DeleteTarget::Artifact {
            tenant: tenant.clone(),
            artifact: artifact.clone(),
        };
        self.delete_recorded(AuditOperation::Purge, &target, DeleteMode::Final, context)
            .await
    }

    /// Deletes one variant for good: all its versions, deleted ones too, or the one that the locator names by number or
    /// id.
    ///
    /// # Errors
    ///
    /// As [`StorageManager::delete_artifact`].
    pub async fn purge_variant(
        &self,
        locator: impl Into<ArtifactLocator>,
        context: &CallContext,
    ) -> Result<Deletion> {
        let target = target_of(locator.into());
        self.delete_recorded(AuditOperation::Purge, &target, DeleteMode::Final, context)
            .await
    }

    /// How this manager deletes what it is not asked to purge.
    fn delete_mode(&self) -> DeleteMode {
        match self.inner.settings.keep_deleted {
            Duration::ZERO => DeleteMode::Final,
            keep => DeleteMode::Recoverable {
                until: self.lease_from(self.inner.clock.now(), keep),
            },
        }
    }

    async fn delete_recorded(
        &self,
        operation: AuditOperation,
        target: &DeleteTarget,
        mode: DeleteMode,
        context: &CallContext,
    ) -> Result<Deletion> {
        let context = &self.context_of(context);
        let mut recording = self.record_begin(operation, context).await?;
        recording.note(|event| event.targeting(target));
        let deleted = self
            .delete(target, mode, context)
            .instrument(recording.span())
            .await;
        recording
            .end_with(deleted, |event, deletion| {
                event.count = Some(deletion.versions as u64)
            })
            .await
    }

    async fn delete(
        &self,
        target: &DeleteTarget,
        mode: DeleteMode,
        context: &CallContext,
    ) -> Result<Deletion> {
        let dead = self
            .inner
            .catalog
            .tombstone(target, mode, self.inner.clock.now())
            .await?;
        failpoint!("manager::delete::tombstoned");
        let mut deletion = Deletion {
            versions: dead.len(),
            ..Deletion::default()
        };
        if let DeleteMode::Recoverable { until } = mode {
            deletion.recoverable_until = (!dead.is_empty()).then_some(until);
            return Ok(deletion);
        }
        for tombstone in &dead {
            if self.bury(tombstone, context).await.is_err() {
                deletion.bytes_pending += 1;
            }
        }
        Ok(deletion)
    }

    /// Removes a deleted version's bytes and notes that they are gone.
    async fn bury(&self, tombstone: &Tombstone, context: &CallContext) -> Result<()> {
        for replica in &tombstone.replicas {
            let provider = self.provider(&replica.provider)?;
            // A key is never given twice, so whatever stands there now is the deleted version.
            provider
                .delete(
                    &replica.key,
                    &DeleteOptions::default().with_context(context.clone()),
                )
                .await?;
        }
        failpoint!("manager::delete::removed");
        self.inner.catalog.purge(tombstone.version).await
    }

    /// Removes what writers and deleters that did not finish left behind, and the bytes of what was deleted and can no
    /// longer be restored: at most `limit` of each.
    /// What cannot be removed does not keep the rest waiting.
    ///
    /// Safe at any time and from any number of processes: only writes whose lease has ended and deletes older than a
    /// minute are touched, and only the keys that they name.
    ///
    /// # Errors
    ///
    /// What the catalog answers. What a store could not remove is counted and tried again next time.
    pub async fn reap(&self, limit: usize) -> Result<ReapReport> {
        let context = self.context_of(&CallContext::default());
        let recording = self.record_begin(AuditOperation::Reap, &context).await?;
        let work = self.clean_up(limit, &context).instrument(recording.span());
        let reaped = Box::pin(work).await;
        recording
            .end_with(reaped, |event, report| {
                event.count = Some((report.intents + report.tombstones) as u64);
            })
            .await
    }

    async fn clean_up(&self, limit: usize, context: &CallContext) -> Result<ReapReport> {
        let now = self.inner.clock.now();
        let catalog = &self.inner.catalog;
        let mut report = ReapReport::default();
        let mut after = None;
        while report.intents < limit {
            let some = REAP_PAGE.min(limit - report.intents);
            let intents = catalog.reap_intents(now, after, some).await?;
            for intent in &intents {
                match self.discard(intent, context).await {
                    Ok(()) => report.intents += 1,
                    Err(_) => report.failed += 1,
                }
            }
            match intents.last() {
                Some(last) if intents.len() == some => after = Some(last.version),
                _ => break,
            }
        }
        report.expired = catalog.expire_deleted(now, limit).await?;
        let before = now.checked_sub(TOMBSTONE_AGE).unwrap_or(now);
        let mut after = None;
        while report.tombstones < limit {
            let some = REAP_PAGE.min(limit - report.tombstones);
            let tombstones = catalog.tombstones(before, after, some).await?;
            for tombstone in &tombstones {
                match self.bury(tombstone, context).await {
                    Ok(()) => report.tombstones += 1,
                    Err(_) => report.failed += 1,
                }
            }
            match tombstones.last() {
                Some(last) if tombstones.len() == some => after = Some(last.version),
                _ => break,
            }
        }
        Ok(report)
    }

    /// Removes what a write that will not be committed may have stored, then forgets it.
    pub(super) async fn discard(&self, intent: &Intent, context: &CallContext) -> Result<()> {
        let write = WriteId::from(intent.version);
        self.remove_own(&intent.provider, &intent.key, write, context)
            .await?;
        self.inner.catalog.abandon(intent.version).await
    }

    /// Removes the object at a key if it is the one that `write` made; somebody else's stays.
    pub(super) async fn remove_own(
        &self,
        provider: &str,
        key: &StorageKey,
        write: WriteId,
        context: &CallContext,
    ) -> Result<()> {
        let provider = self.provider(provider)?;
        if provider.capabilities().has(Capability::WriteId) {
            let found = provider
                .metadata(key, &CallOptions::default().with_context(context.clone()))
                .await;
            match found {
                Ok(metadata) if metadata.write_id == Some(write) => {}
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        provider
            .delete(key, &DeleteOptions::default().with_context(context.clone()))
            .await
            .map(drop)
    }
}

/// What a locator means to a deletion: without a version, all of them.
pub(super) fn target_of(locator: ArtifactLocator) -> DeleteTarget {
    match locator.version {
        VersionSelector::Current => DeleteTarget::Variant(locator.identity()),
        version => DeleteTarget::Version(locator.identity(), version),
    }
}
