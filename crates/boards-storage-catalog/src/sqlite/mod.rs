//! The catalog in one SQLite file.
//!
//! Here: the type and its promises. The other files: `connect` opens and migrates, `writer` is the one task that
//! writes, `begin`, `commit`, `settle`, `deletion` and `quota` are what it writes, `read` asks, `row` translates rows; `events` is the log of
//! what was written; `audit` is the audit log's part.
//!
//! Each statement costs a change of threads, so what is written together is one text of several statements. In such a
//! text the parameters are `$1`, `$2` …: SQLite counts only those that a statement names, while `?3` alone would
//! also stand for `?1` and `?2`, which sqlx would then take from the wrong place.

mod audit;
mod begin;
mod commit;
mod connect;
mod deletion;
mod error;
mod events;
mod quota;
mod read;
mod row;
mod settle;
mod writer;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use boards_storage_core::{
    ArtifactQuery, ArtifactRecord, AuditHead, Begun, Catalog, CatalogEvent, CatalogPage, DeleteMode,
    DeleteTarget, DeletedQuery, DeletedRecord, EventQuery, Intent, NewIntent, Quota, Result, StorageKey,
    StoredObject, TenantId, TenantUsage, Tombstone, Utilization, UtilizationKey, VariantIdentity, VersionId,
    VersionSelector,
};
use jiff::Timestamp;
use sqlx::SqlitePool;

use crate::failpoints;
use error::translate_one;
use writer::Writer;

pub use audit::SqliteAuditSink;

/// A [`Catalog`] in an SQLite database: one file, no server, any number of processes on one machine.
///
/// What a call has acknowledged survives a killed process and a power failure (write-ahead log, `synchronous=FULL`).
/// Calls that wait at the same time share one transaction, and so one flush of the disk; one that fails does not
/// harm the others. A call whose future is dropped takes effect as a whole or not at all.
///
/// When other processes hold the write lock for 30 seconds, a call fails with `ProviderUnavailable`, to be retried.
/// The file has to be on a local disk: SQLite's write-ahead log does not work on network file systems.
///
/// Times are kept in whole microseconds.
///
/// # Examples
///
/// ```
/// use boards_storage_catalog::SqliteCatalog;
/// use boards_storage_core::{ArtifactQuery, Catalog};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let catalog = SqliteCatalog::open(folder.path().join("catalog.db")).await?;
/// assert!(catalog.list(&ArtifactQuery::default()).await?.records.is_empty());
/// catalog.close().await?;
/// # Ok(())
/// # }
/// ```
pub struct SqliteCatalog {
    path: PathBuf,
    writer: Writer,
    readers: SqlitePool,
}

impl SqliteCatalog {
    /// Opens the catalog in the file at `path`, creates the file and its folder where they are missing, and brings
    /// an older catalog up to date.
    ///
    /// A new file can be read and written by its owner alone. The catalog works as long as the runtime that it was
    /// opened in.
    ///
    /// # Errors
    ///
    /// `Configuration` if the file is no catalog, or one of a newer version of this program; `AccessDenied`,
    /// `ProviderUnavailable`, `InsufficientStorage` or `Corruption` if it cannot be opened or created.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = connect::absolute(path.as_ref())?;
        let connection = connect::open_writer(&path).await?;
        let readers = connect::readers(&path);
        let writer = Writer::start(path.clone(), connection);
        Ok(Self {
            path,
            writer,
            readers,
        })
    }

    /// Returns the file's path, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Translates what a reader was answered.
    fn answer<T>(&self, answer: sqlx::Result<T>) -> Result<T> {
        answer.map_err(|error| translate_one(error, &self.path))
    }
}

impl fmt::Debug for SqliteCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteCatalog")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Catalog for SqliteCatalog {
    async fn begin(&self, intent: &NewIntent) -> Result<Begun> {
        let begun = self.writer.run(begin::Begin(intent.clone())).await?;
        failpoints::reach(failpoints::BEGIN_COMMITTED)?;
        Ok(begun)
    }

    async fn divert(&self, from: VersionId, to: &NewIntent, cleanup_from: Timestamp) -> Result<Intent> {
        failpoints::reach(failpoints::DIVERT_BEFORE)?;
        let divert = begin::Divert {
            from,
            to: to.clone(),
            cleanup_from,
        };
        let intent = self.writer.run(divert).await?;
        failpoints::reach(failpoints::DIVERT_AFTER)?;
        Ok(intent)
    }

    async fn renew(&self, version: VersionId, lease_until: Timestamp) -> Result<()> {
        self.writer.run(settle::Renew { version, lease_until }).await
    }

    async fn commit(
        &self,
        version: VersionId,
        object: &StoredObject,
        at: Timestamp,
    ) -> Result<ArtifactRecord> {
        failpoints::reach(failpoints::COMMIT_BEFORE)?;
        let record = self
            .writer
            .run(commit::Commit {
                version,
                object: object.clone(),
                at,
            })
            .await?;
        failpoints::reach(failpoints::COMMIT_AFTER)?;
        Ok(record)
    }

    async fn abandon(&self, version: VersionId) -> Result<()> {
        failpoints::reach(failpoints::ABANDON_BEFORE)?;
        self.writer.run(settle::Abandon(version)).await
    }

    async fn reap_intents(
        &self,
        now: Timestamp,
        after: Option<VersionId>,
        limit: usize,
    ) -> Result<Vec<Intent>> {
        let intents = self.writer.run(settle::Reap { now, after, limit }).await?;
        failpoints::reach(failpoints::REAP_AFTER)?;
        Ok(intents)
    }

    async fn ended_intents(
        &self,
        now: Timestamp,
        after: Option<VersionId>,
        limit: usize,
    ) -> Result<Vec<Intent>> {
        self.answer(read::ended_intents(&self.readers, now, after, limit).await)
    }

    async fn find(
        &self,
        variant: &VariantIdentity,
        version: VersionSelector,
    ) -> Result<Option<ArtifactRecord>> {
        self.answer(read::find(&self.readers, variant, version).await)
    }

    async fn find_by_key(&self, key: &StorageKey) -> Result<Option<ArtifactRecord>> {
        self.answer(read::find_by_key(&self.readers, key).await)
    }

    async fn versions(&self, variant: &VariantIdentity) -> Result<Vec<ArtifactRecord>> {
        self.answer(read::versions(&self.readers, variant).await)
    }

    async fn list(&self, query: &ArtifactQuery) -> Result<CatalogPage> {
        self.answer(read::list(&self.readers, query).await)
    }

    async fn tombstone(
        &self,
        target: &DeleteTarget,
        mode: DeleteMode,
        at: Timestamp,
    ) -> Result<Vec<Tombstone>> {
        failpoints::reach(failpoints::TOMBSTONE_BEFORE)?;
        let target = target.clone();
        let tombstones = self.writer.run(deletion::Delete { target, mode, at }).await?;
        failpoints::reach(failpoints::TOMBSTONE_AFTER)?;
        Ok(tombstones)
    }

    async fn restore(&self, target: &DeleteTarget, at: Timestamp) -> Result<Vec<ArtifactRecord>> {
        let target = target.clone();
        self.writer.run(deletion::Restore { target, at }).await
    }

    async fn deleted(&self, query: &DeletedQuery) -> Result<Vec<DeletedRecord>> {
        self.answer(read::deleted(&self.readers, query).await)
    }

    async fn expire_deleted(&self, now: Timestamp, limit: usize) -> Result<usize> {
        self.writer.run(deletion::Expire { now, limit }).await
    }

    async fn tombstones(
        &self,
        before: Timestamp,
        after: Option<VersionId>,
        limit: usize,
    ) -> Result<Vec<Tombstone>> {
        self.answer(read::tombstones(&self.readers, before, after, limit).await)
    }

    async fn purge(&self, version: VersionId) -> Result<()> {
        failpoints::reach(failpoints::PURGE_BEFORE)?;
        self.writer.run(deletion::Purge(version)).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<CatalogEvent>> {
        self.answer(events::read(&self.readers, query).await)
    }

    async fn audit_head(&self, log: &str) -> Result<Option<AuditHead>> {
        self.answer(audit::head(&self.readers, log).await)
    }

    async fn advance_audit_head(&self, log: &str, head: &AuditHead) -> Result<AuditHead> {
        let (log, head) = (log.to_owned(), head.clone());
        self.writer.run(audit::Advance { log, head }).await
    }

    async fn usage(&self, tenant: &TenantId) -> Result<TenantUsage> {
        self.answer(quota::usage(&self.readers, tenant).await)
    }

    async fn set_quota(&self, tenant: &TenantId, quota: Option<Quota>) -> Result<()> {
        let tenant = tenant.clone();
        self.writer.run(quota::SetQuota { tenant, quota }).await
    }

    async fn utilization(&self) -> Result<BTreeMap<UtilizationKey, Utilization>> {
        self.answer(read::utilization(&self.readers).await)
    }

    async fn probe(&self) -> Result<()> {
        self.answer(read::probe(&self.readers).await)
    }

    async fn close(&self) -> Result<()> {
        self.writer.close().await;
        self.readers.close().await;
        Ok(())
    }
}
