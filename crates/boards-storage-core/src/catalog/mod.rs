//! The catalog's contract: which artifacts exist, and where their bytes are.
//!
//! The catalog alone decides uniqueness, because some stores cannot. An *intent* is committed before any byte is
//! written and is invisible to readers; the *record* that replaces it is the commit. A delete tombstones the record
//! before any byte is removed. So a crash leaves at most an intent, a tombstone or an orphan; never a record without
//! bytes.

mod commit;
mod deletion;
mod event;
mod memory;
mod quota;
mod record;
mod utilization;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::audit::AuditHead;
use crate::error::Result;
use crate::key::StorageKey;
use crate::scope::{TenantId, VersionId};

pub use commit::ArtifactFacts;
pub use deletion::{DeleteMode, DeleteTarget, DeletedQuery, DeletedRecord, Tombstone};
pub use event::{CatalogChange, CatalogEvent, EventQuery};
pub use memory::MemoryCatalog;
pub use quota::{Quota, TenantUsage, Usage};
pub use record::{
    ArtifactQuery, ArtifactRecord, Begun, CatalogCursor, CatalogPage, DigestState, Intent, NewIntent,
    Replica, StoredObject, VariantIdentity, VersionSelector,
};
pub use utilization::{Utilization, UtilizationKey};

/// Records of artifacts, variants, versions and replicas, and the intents of writes under way.
///
/// Every method is one transaction: it takes effect as a whole or not at all, durably where the implementation keeps
/// anything, and any number of processes may use one catalog at a time. Methods are cancel-safe: a dropped future
/// leaves one of the two states. Times may be kept in whole microseconds: what is finer is cut off, in answers too.
///
/// All methods fail with `ProviderUnavailable` when the database cannot be reached, `InsufficientStorage` when it is
/// full and `Storage` when it answers nonsense.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{ArtifactQuery, Catalog, MemoryCatalog};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> boards_storage_core::Result<()> {
/// let catalog = MemoryCatalog::default();
/// let page = catalog.list(&ArtifactQuery::default()).await?;
/// assert!(page.records.is_empty());
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Catalog: Debug + Send + Sync + 'static {
    /// Reserves the right to write one version of a variant, and decides its key.
    ///
    /// The key is the intent's `plain_key` unless any version, intent or tombstone ever had it; else the
    /// `versioned_key`. A key is never given twice, so that a late writer or a late cleaner can hurt nobody.
    ///
    /// Without `overwrite` there can be one intent for a variant at a time: an older one whose lease has ended is
    /// superseded (it can no longer commit), one whose lease runs answers [`Begun::Busy`] and changes nothing.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the artifact exists with another type, board or access class, also if it is deleted and can be
    /// restored, or if the version id or the versioned key was used before; `InsufficientStorage` if the tenant's quota
    /// is used up, or has no room for the size that the intent tells.
    async fn begin(&self, intent: &NewIntent) -> Result<Begun>;

    /// Gives a write up at its provider and begins it at another, in one step: from then on `to` is the variant's
    /// write, and `from` can no longer commit. So of the two at most one ever becomes a version, whatever arrives at the
    /// first provider.
    ///
    /// The intent of `from` stays, so that what it left at its provider is found: [`Catalog::reap_intents`] takes it
    /// from `cleanup_from` on, when its bytes have had time to arrive. The new intent gets a key of its own, as in
    /// [`Catalog::begin`]. Nobody else's write is waited for.
    ///
    /// # Errors
    ///
    /// `PreconditionFailed` if the intent of `from` was superseded, reaped, committed or never existed; `InvalidInput`
    /// if `to` is of another variant, says otherwise whether to overwrite, or as in [`Catalog::begin`].
    async fn divert(&self, from: VersionId, to: &NewIntent, cleanup_from: Timestamp) -> Result<Intent>;

    /// Extends the lease of an intent.
    ///
    /// # Errors
    ///
    /// `PreconditionFailed` if the intent was superseded, reaped, committed or never existed.
    async fn renew(&self, version: VersionId, lease_until: Timestamp) -> Result<()>;

    /// Turns an intent into the record: from now on readers see the version as the present one.
    ///
    /// Repeating a commit that took effect answers the same record.
    ///
    /// # Errors
    ///
    /// `PreconditionFailed` if the intent was superseded or reaped; `AlreadyExists` if it was not to overwrite and
    /// another version was committed meanwhile; `InvalidInput` if the artifact was created meanwhile with another
    /// type, board or access class; `InsufficientStorage` if the tenant's quota has no room for it: the quota that the
    /// catalog keeps for the tenant, else the one that the intent told. After these three the intent still stands,
    /// until it is abandoned or reaped.
    async fn commit(
        &self,
        version: VersionId,
        object: &StoredObject,
        at: Timestamp,
    ) -> Result<ArtifactRecord>;

    /// Forgets an intent whose bytes are gone. Idempotent.
    async fn abandon(&self, version: VersionId) -> Result<()>;

    /// Takes intents whose lease ended before `now`, and diverted ones whose cleanup may begin, out of their writers' hands and returns them, with those taken
    /// before and not yet abandoned: their bytes may be removed. In the order of their versions, those after `after`,
    /// at most `limit`.
    async fn reap_intents(
        &self,
        now: Timestamp,
        after: Option<VersionId>,
        limit: usize,
    ) -> Result<Vec<Intent>>;

    /// Returns what [`Catalog::reap_intents`] would, and takes nothing.
    async fn ended_intents(
        &self,
        now: Timestamp,
        after: Option<VersionId>,
        limit: usize,
    ) -> Result<Vec<Intent>>;

    /// Returns a version of a variant, unless it is deleted.
    async fn find(
        &self,
        variant: &VariantIdentity,
        version: VersionSelector,
    ) -> Result<Option<ArtifactRecord>>;

    /// Returns the version that has a replica at this key, unless it is deleted.
    async fn find_by_key(&self, key: &StorageKey) -> Result<Option<ArtifactRecord>>;

    /// Returns all versions of a variant that are not deleted, newest first.
    async fn versions(&self, variant: &VariantIdentity) -> Result<Vec<ArtifactRecord>>;

    /// Returns present versions, ordered by tenant, artifact and variant, a page at a time.
    async fn list(&self, query: &ArtifactQuery) -> Result<CatalogPage>;

    /// Deletes records: readers no longer see them. Nothing found is no error. Deleting a present version makes the newest
    /// one that is left the present one.
    ///
    /// Returns what was deleted now. After a [final](DeleteMode::Final) deletion the bytes are to be removed next, and
    /// also those of versions that had been deleted recoverably: they are returned too, except where the present version
    /// is meant.
    async fn tombstone(
        &self,
        target: &DeleteTarget,
        mode: DeleteMode,
        at: Timestamp,
    ) -> Result<Vec<Tombstone>>;

    /// Takes the last recoverable deletion back that concerns what is meant and whose time is not over at `at`: of all
    /// versions that it deleted, as far as they are meant. What earlier deletions deleted stays deleted. The version with
    /// the highest number is the present one then. Returns the records, by variant and number. Nothing found is no error;
    /// no deleted version is the present one.
    async fn restore(&self, target: &DeleteTarget, at: Timestamp) -> Result<Vec<ArtifactRecord>>;

    /// Returns deleted versions that can be restored, in the order of their ids, a page at a time. Those whose time is
    /// over, and which nobody expired yet, are among them.
    async fn deleted(&self, query: &DeletedQuery) -> Result<Vec<DeletedRecord>>;

    /// Makes recoverable deletions final whose time is over at `now`, at most `limit`, and returns how many it were. From
    /// then on nobody can restore them, and [`Catalog::tombstones`] has them.
    async fn expire_deleted(&self, now: Timestamp, limit: usize) -> Result<usize>;

    /// Returns versions whose deletion is final and whose bytes are not known to be gone, deleted before `before`. In the
    /// order of their versions, those after `after`, at most `limit`.
    async fn tombstones(
        &self,
        before: Timestamp,
        after: Option<VersionId>,
        limit: usize,
    ) -> Result<Vec<Tombstone>>;

    /// Notes that the bytes of a version whose deletion is final are gone. Idempotent.
    async fn purge(&self, version: VersionId) -> Result<()>;

    /// Returns changes of the records, oldest first, a page at a time: every commit, deletion, restoration and purge,
    /// each noted in the transaction that made it. What was refused or is under way is not in it.
    ///
    /// An event that is not yet there when a later one is read never turns up before it afterwards, so that whoever
    /// goes on after the last number misses nothing.
    async fn events(&self, query: &EventQuery) -> Result<Vec<CatalogEvent>>;

    /// Returns how far the audit log of that name has come, as it was last advanced.
    async fn audit_head(&self, log: &str) -> Result<Option<AuditHead>>;

    /// Moves the head of an audit log forward, never back, and returns the head that holds then: a head that is not
    /// further than the one that is kept changes nothing.
    ///
    /// # Errors
    ///
    /// `PreconditionFailed` if another entry of the same number was acknowledged: then there are two histories.
    async fn advance_audit_head(&self, log: &str, head: &AuditHead) -> Result<AuditHead>;

    /// Returns how much a tenant stores, and its own quota. A tenant that never stored anything uses nothing.
    ///
    /// What is used is counted in the transactions that change it: it is exact at any time, and costs one row.
    async fn usage(&self, tenant: &TenantId) -> Result<TenantUsage>;

    /// Gives a tenant a quota of its own, or with `None` the one that its writers tell. What is stored already stays, also
    /// where it is more.
    async fn set_quota(&self, tenant: &TenantId, quota: Option<Quota>) -> Result<()>;

    /// Counts what is stored, by provider, tenant and type: every version that is not deleted, old ones included, at
    /// each provider that has it. What a writer has under way and what a delete has left behind is not in it.
    ///
    /// It looks at every version; on a large catalog it is nothing to be asked each second.
    async fn utilization(&self) -> Result<BTreeMap<UtilizationKey, Utilization>>;

    /// Finds out cheaply whether the catalog can be used.
    async fn probe(&self) -> Result<()>;

    /// Frees what the catalog holds. The default does nothing.
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// A catalog that is shared.
pub type SharedCatalog = Arc<dyn Catalog>;
