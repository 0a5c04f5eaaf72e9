//! The catalog in a PostgreSQL database.
//!
//! Here: the type and its promises. The other files: `connect` opens and migrates, `write` runs transactions, `begin`,
//! `commit`, `settle`, `deletion` and `quota` are what they write, `read` asks, `row` translates rows, `events` is the log
//! of what was written, `audit` keeps the heads of audit logs.
//!
//! Transactions run side by side. Those that decide something about an artifact hold its lock from before their first look
//! to their end; what they look at cannot change meanwhile. A tenant's row of what is used is locked last, since it is what
//! most transactions want.

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
mod write;

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use boards_storage_core::{
    ArtifactQuery, ArtifactRecord, AuditHead, Begun, Catalog, CatalogEvent, CatalogPage, DeleteMode,
    DeleteTarget, DeletedQuery, DeletedRecord, EventQuery, Intent, NewIntent, Quota, Result, StorageKey,
    StoredObject, TenantId, TenantUsage, Tombstone, Utilization, UtilizationKey, VariantIdentity, VersionId,
    VersionSelector,
};
use jiff::Timestamp;
use sqlx::PgPool;

pub use connect::PostgresOptions;

/// A [`Catalog`] in a PostgreSQL database, version 13 or newer: any number of processes on any number of machines.
///
/// What a call has acknowledged is as durable as the server makes it (`synchronous_commit`). A transaction that the server
/// undid for the sake of another is repeated, up to ten times. A call that lost its connection while it was committing may
/// have taken effect: it fails with `ProviderUnavailable`.
///
/// All tables are in one schema, which is created where it is missing.
///
/// Times are kept in whole microseconds.
///
/// # Examples
///
/// ```no_run
/// use boards_storage_catalog::{PostgresCatalog, PostgresOptions};
/// use boards_storage_core::{ArtifactQuery, Catalog};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let options = PostgresOptions::parse("postgres://user:password@db.example.com/app")?.with_schema("artifacts")?;
/// let catalog = PostgresCatalog::open(options).await?;
/// println!("{}", catalog.list(&ArtifactQuery::default()).await?.records.len());
/// # Ok(())
/// # }
/// ```
pub struct PostgresCatalog {
    /// What the database is called in messages.
    name: String,
    pool: PgPool,
}

impl PostgresCatalog {
    /// Connects, creates what is missing, and brings an older catalog up to date.
    ///
    /// # Errors
    ///
    /// `Configuration` if the schema is one of a newer version of this program or another program's, or if there is no such
    /// database; `AccessDenied` if the server does not let us in or create tables; `ProviderUnavailable` if it cannot be
    /// reached.
    pub async fn open(options: PostgresOptions) -> Result<Self> {
        let name = options.name();
        let pool = connect::open(options).await?;
        Ok(Self { name, pool })
    }

    /// Translates what a reader was answered.
    fn answer<T>(&self, answer: sqlx::Result<T>) -> Result<T> {
        answer.map_err(|error| error::translate_postgres(error, &self.name))
    }

    async fn run<W: write::Write>(&self, write: W) -> Result<W::Answer> {
        write::run(&self.pool, &self.name, &write).await
    }
}

impl fmt::Debug for PostgresCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresCatalog")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Catalog for PostgresCatalog {
    async fn begin(&self, intent: &NewIntent) -> Result<Begun> {
        self.run(begin::Begin(intent)).await
    }

    async fn divert(&self, from: VersionId, to: &NewIntent, cleanup_from: Timestamp) -> Result<Intent> {
        let divert = begin::Divert {
            from,
            to,
            cleanup_from,
        };
        self.run(divert).await
    }

    async fn renew(&self, version: VersionId, lease_until: Timestamp) -> Result<()> {
        self.run(settle::Renew { version, lease_until }).await
    }

    async fn commit(
        &self,
        version: VersionId,
        object: &StoredObject,
        at: Timestamp,
    ) -> Result<ArtifactRecord> {
        self.run(commit::Commit { version, object, at }).await
    }

    async fn abandon(&self, version: VersionId) -> Result<()> {
        self.run(settle::Abandon(version)).await
    }

    async fn reap_intents(
        &self,
        now: Timestamp,
        after: Option<VersionId>,
        limit: usize,
    ) -> Result<Vec<Intent>> {
        self.run(settle::Reap { now, after, limit }).await
    }

    async fn ended_intents(
        &self,
        now: Timestamp,
        after: Option<VersionId>,
        limit: usize,
    ) -> Result<Vec<Intent>> {
        self.answer(read::ended_intents(&self.pool, now, after, limit).await)
    }

    async fn find(
        &self,
        variant: &VariantIdentity,
        version: VersionSelector,
    ) -> Result<Option<ArtifactRecord>> {
        self.answer(read::find(&self.pool, variant, version).await)
    }

    async fn find_by_key(&self, key: &StorageKey) -> Result<Option<ArtifactRecord>> {
        self.answer(read::find_by_key(&self.pool, key).await)
    }

    async fn versions(&self, variant: &VariantIdentity) -> Result<Vec<ArtifactRecord>> {
        self.answer(read::versions(&self.pool, variant).await)
    }

    async fn list(&self, query: &ArtifactQuery) -> Result<CatalogPage> {
        self.answer(read::list(&self.pool, query).await)
    }

    async fn tombstone(
        &self,
        target: &DeleteTarget,
        mode: DeleteMode,
        at: Timestamp,
    ) -> Result<Vec<Tombstone>> {
        self.run(deletion::Delete { target, mode, at }).await
    }

    async fn restore(&self, target: &DeleteTarget, at: Timestamp) -> Result<Vec<ArtifactRecord>> {
        self.run(deletion::Restore { target, at }).await
    }

    async fn deleted(&self, query: &DeletedQuery) -> Result<Vec<DeletedRecord>> {
        self.answer(read::deleted(&self.pool, query).await)
    }

    async fn expire_deleted(&self, now: Timestamp, limit: usize) -> Result<usize> {
        self.run(deletion::Expire { now, limit }).await
    }

    async fn tombstones(
        &self,
        before: Timestamp,
        after: Option<VersionId>,
        limit: usize,
    ) -> Result<Vec<Tombstone>> {
        self.answer(read::tombstones(&self.pool, before, after, limit).await)
    }

    async fn purge(&self, version: VersionId) -> Result<()> {
        self.run(deletion::Purge(version)).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<CatalogEvent>> {
        while self.run(events::Number).await? {}
        self.answer(events::read(&self.pool, query).await)
    }

    async fn audit_head(&self, log: &str) -> Result<Option<AuditHead>> {
        self.answer(audit::head(&self.pool, log).await)
    }

    async fn advance_audit_head(&self, log: &str, head: &AuditHead) -> Result<AuditHead> {
        self.run(audit::Advance { log, head }).await
    }

    async fn usage(&self, tenant: &TenantId) -> Result<TenantUsage> {
        self.answer(quota::usage(&self.pool, tenant).await)
    }

    async fn set_quota(&self, tenant: &TenantId, quota: Option<Quota>) -> Result<()> {
        self.run(quota::SetQuota { tenant, quota }).await
    }

    async fn utilization(&self) -> Result<BTreeMap<UtilizationKey, Utilization>> {
        self.answer(read::utilization(&self.pool).await)
    }

    async fn probe(&self) -> Result<()> {
        self.answer(read::probe(&self.pool).await)
    }

    async fn close(&self) -> Result<()> {
        self.pool.close().await;
        Ok(())
    }
}
