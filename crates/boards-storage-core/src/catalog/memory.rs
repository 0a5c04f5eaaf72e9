//! A catalog in memory: for tests, and for programs that need no records after they end.

mod state;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::audit::AuditHead;
use crate::catalog::{
    ArtifactFacts, ArtifactQuery, ArtifactRecord, Begun, Catalog, CatalogChange, CatalogCursor, CatalogEvent,
    CatalogPage, DeleteMode, DeleteTarget, DeletedQuery, DeletedRecord, EventQuery, Intent, NewIntent, Quota,
    StoredObject, TenantUsage, Tombstone, Utilization, UtilizationKey, VariantIdentity, VersionSelector,
};
use crate::clock::{Clock, SystemClock};
use crate::error::Result;
use crate::key::StorageKey;
use crate::scope::{TenantId, VersionId};

use state::{IntentState, State, after_or_first, is_target, matches};

/// A [`Catalog`] that forgets everything when it is dropped, and of its events all but the newest
/// [`EVENTS_MAX`](Self::EVENTS_MAX) before.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{Catalog, MemoryCatalog};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> boards_storage_core::Result<()> {
/// MemoryCatalog::default().probe().await
/// # }
/// ```
#[derive(Debug, Default)]
pub struct MemoryCatalog {
    state: Mutex<State>,
}

impl MemoryCatalog {
    /// How many events are kept.
    pub const EVENTS_MAX: usize = 10_000;

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Catalog for MemoryCatalog {
    async fn begin(&self, new: &NewIntent) -> Result<Begun> {
        let mut state = self.state();
        state.check_facts(&new.variant, &ArtifactFacts::of(new))?;
        state.check_unused(new)?;
        if !new.overwrite {
            if let Some(record) = state.current(&new.variant) {
                return Ok(Begun::Exists(Box::new(record.clone())));
            }
            let others = state.intents.values();
            let rivals = others.filter(|open| open.is_active() && open.intent.variant == new.variant);
            let leases = rivals.map(|open| open.intent.lease_until);
            if let Some(lease_until) = leases.filter(|lease| *lease > new.now).max() {
                return Ok(Begun::Busy { lease_until });
            }
        }
        state.check_quota(&new.variant.tenant, new.quota, new.size_bytes.unwrap_or(0))?;
        if !new.overwrite {
            let others = state.intents.values_mut();
            others
                .filter(|open| open.is_active() && open.intent.variant == new.variant)
                .for_each(|open| open.state = IntentState::Superseded);
        }
        Ok(Begun::Started(state.open(new)))
    }

    async fn divert(&self, from: VersionId, to: &NewIntent, cleanup_from: Timestamp) -> Result<Intent> {
        let mut state = self.state();
        let open = state.intents.get(&from).filter(|open| open.is_active());
        let open = open.ok_or_else(|| Intent::lost(from))?;
        if open.intent.variant != to.variant || open.overwrite != to.overwrite {
            return Err(Intent::other_variant(from));
        }
        open.facts.check(&to.variant.artifact, &ArtifactFacts::of(to))?;
        state.check_unused(to)?;
        let intent = state.open(to);
        if let Some(open) = state.intents.get_mut(&from) {
            open.state = IntentState::Superseded;
            open.intent.lease_until = cleanup_from;
        }
        Ok(intent)
    }

    async fn renew(&self, version: VersionId, lease_until: Timestamp) -> Result<()> {
        let mut state = self.state();
        let open = state.intents.get_mut(&version).filter(|open| open.is_active());
        open.ok_or_else(|| Intent::lost(version))?.intent.lease_until = lease_until;
        Ok(())
    }

    async fn commit(
        &self,
        version: VersionId,
        object: &StoredObject,
        at: Timestamp,
    ) -> Result<ArtifactRecord> {
        let mut state = self.state();
        let Some(open) = state.intents.get(&version).filter(|open| open.is_active()) else {
            // The answer to a first commit may have been lost.
            return state.by_id(version).cloned().ok_or_else(|| Intent::lost(version));
        };
        let (intent, facts) = (open.intent.clone(), open.facts.clone());
        let (overwrite, quota) = (open.overwrite, open.quota);
        state.check_facts(&intent.variant, &facts)?;
        if !overwrite && state.current(&intent.variant).is_some() {
            return Err(Intent::came_second());
        }
        state.check_quota(&intent.variant.tenant, quota, object.size_bytes)?;
        state.intents.remove(&version);
        state.used(&intent.variant.tenant).add(object.size_bytes);
        let number = state.numbers.entry(intent.variant.clone()).or_insert(0);
        *number += 1;
        let number = *number;
        let record = ArtifactRecord::committed(&intent, &facts, number, object, at);
        state.artifacts.insert(
            (intent.variant.tenant.clone(), intent.variant.artifact.clone()),
            facts,
        );
        let versions = state.versions.entry(intent.variant).or_default();
        versions.values_mut().for_each(|older| older.is_current = false);
        versions.insert(number, record.clone());
        state.note(
            at,
            CatalogChange::Committed {
                record: Box::new(record.clone()),
            },
        );
        Ok(record)
    }

    async fn abandon(&self, version: VersionId) -> Result<()> {
        self.state().intents.remove(&version);
        Ok(())
    }

    async fn reap_intents(
        &self,
        now: Timestamp,
        after: Option<VersionId>,
        limit: usize,
    ) -> Result<Vec<Intent>> {
        let ended = self.ended_intents(now, after, limit).await?;
        let mut state = self.state();
        // One that was settled since is nobody's to take any more.
        let taken = ended
            .into_iter()
            .filter(|intent| match state.intents.get_mut(&intent.version) {
                Some(open) if open.has_ended(now) => {
                    open.state = IntentState::Reaping;
                    true
                }
                _ => false,
            });
        Ok(taken.collect())
    }

    async fn ended_intents(
        &self,
        now: Timestamp,
        after: Option<VersionId>,
        limit: usize,
    ) -> Result<Vec<Intent>> {
        let state = self.state();
        let ended = state.intents.range(after_or_first(after)).map(|(_, open)| open);
        Ok(ended
            .filter(|open| open.has_ended(now))
            .take(limit)
            .map(|open| open.intent.clone())
            .collect())
    }

    async fn find(
        &self,
        variant: &VariantIdentity,
        version: VersionSelector,
    ) -> Result<Option<ArtifactRecord>> {
        let state = self.state();
        Ok(match version {
            VersionSelector::Current => state.current(variant).cloned(),
            VersionSelector::Number(number) => state
                .versions
                .get(variant)
                .and_then(|versions| versions.get(&number))
                .cloned(),
            VersionSelector::Id(id) => state
                .by_id(id)
                .filter(|record| record.variant == *variant)
                .cloned(),
        })
    }

    async fn find_by_key(&self, key: &StorageKey) -> Result<Option<ArtifactRecord>> {
        let state = self.state();
        let mut records = state.versions.values().flat_map(BTreeMap::values);
        Ok(records
            .find(|record| record.replicas.iter().any(|replica| replica.key == *key))
            .cloned())
    }

    async fn versions(&self, variant: &VariantIdentity) -> Result<Vec<ArtifactRecord>> {
        let state = self.state();
        Ok(state
            .versions
            .get(variant)
            .into_iter()
            .flat_map(|versions| versions.values().rev().cloned())
            .collect())
    }

    async fn list(&self, query: &ArtifactQuery) -> Result<CatalogPage> {
        let state = self.state();
        let size = query.page_size();
        let mut matching = state
            .versions
            .iter()
            .filter(|(variant, _)| query.after.as_ref().is_none_or(|after| **variant > after.0))
            .filter_map(|(_, versions)| versions.values().next_back())
            .filter(|record| matches(query, record));
        let records: Vec<_> = matching.by_ref().take(size).cloned().collect();
        let next = matching
            .next()
            .and_then(|_| records.last().map(|last| CatalogCursor(last.variant.clone())));
        Ok(CatalogPage { records, next })
    }

    async fn tombstone(
        &self,
        target: &DeleteTarget,
        mode: DeleteMode,
        at: Timestamp,
    ) -> Result<Vec<Tombstone>> {
        let mut state = self.state();
        let live = state.versions.values().flat_map(BTreeMap::values);
        let mut doomed: Vec<(VariantIdentity, u64, VersionId)> = live
            .filter(|record| is_target(target, &record.variant, record))
            .map(|record| (record.variant.clone(), record.number, record.version))
            .collect();
        let recoverable_until = match mode {
            DeleteMode::Recoverable { until } => Some(until),
            DeleteMode::Final => {
                let dead = state.deleted.values().map(|dead| &dead.record);
                let dead = dead.filter(|record| is_target(target, &record.variant, record));
                doomed.extend(dead.map(|record| (record.variant.clone(), record.number, record.version)));
                doomed.sort();
                None
            }
        };
        let mut tombstones = Vec::with_capacity(doomed.len());
        for (variant, number, version) in doomed {
            let tombstone = match state.finish(version) {
                Some(tombstone) => Some(tombstone),
                None => state.remove(&variant, number, at, recoverable_until),
            };
            tombstones.extend(tombstone);
        }
        Ok(tombstones)
    }

    async fn restore(&self, target: &DeleteTarget, at: Timestamp) -> Result<Vec<ArtifactRecord>> {
        let mut state = self.state();
        let dead = state.deleted.values().filter(|dead| dead.recoverable_until > at);
        let dead: Vec<_> = dead
            .filter(|dead| is_target(target, &dead.record.variant, &dead.record))
            .collect();
        let last = dead.iter().map(|dead| dead.deleted_at).max();
        let mut meant: Vec<(VariantIdentity, u64, VersionId)> = dead
            .into_iter()
            .filter(|dead| Some(dead.deleted_at) == last)
            .map(|dead| {
                (
                    dead.record.variant.clone(),
                    dead.record.number,
                    dead.record.version,
                )
            })
            .collect();
        meant.sort();
        for (variant, number, version) in &meant {
            let Some(dead) = state.deleted.remove(version) else {
                continue;
            };
            state
                .versions
                .entry(variant.clone())
                .or_default()
                .insert(*number, dead.record);
            state.note(
                at,
                CatalogChange::Restored {
                    version: *version,
                    variant: variant.clone(),
                },
            );
            state.settle(variant);
        }
        let restored = meant.iter().filter_map(|(_, _, version)| state.by_id(*version));
        Ok(restored.cloned().collect())
    }

    async fn deleted(&self, query: &DeletedQuery) -> Result<Vec<DeletedRecord>> {
        let state = self.state();
        let dead = state
            .deleted
            .range(after_or_first(query.after))
            .map(|(_, dead)| dead);
        let asked = dead.filter(|dead| {
            let variant = &dead.record.variant;
            query
                .tenant
                .as_ref()
                .is_none_or(|tenant| *tenant == variant.tenant)
                && query
                    .artifact
                    .as_ref()
                    .is_none_or(|artifact| *artifact == variant.artifact)
        });
        Ok(asked.take(query.page_size()).cloned().collect())
    }

    async fn expire_deleted(&self, now: Timestamp, limit: usize) -> Result<usize> {
        let mut state = self.state();
        let over = state
            .deleted
            .values()
            .filter(|dead| dead.recoverable_until <= now);
        let over: Vec<VersionId> = over.take(limit).map(|dead| dead.record.version).collect();
        for version in &over {
            state.finish(*version);
        }
        Ok(over.len())
    }

    async fn tombstones(
        &self,
        before: Timestamp,
        after: Option<VersionId>,
        limit: usize,
    ) -> Result<Vec<Tombstone>> {
        let state = self.state();
        Ok(state
            .tombstones
            .range(after_or_first(after))
            .map(|(_, dead)| dead)
            .filter(|dead| dead.deleted_at < before)
            .take(limit)
            .cloned()
            .collect())
    }

    async fn purge(&self, version: VersionId) -> Result<()> {
        let mut state = self.state();
        if let Some(Tombstone { variant, .. }) = state.tombstones.remove(&version) {
            state.note(SystemClock.now(), CatalogChange::Purged { version, variant });
        }
        Ok(())
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<CatalogEvent>> {
        let state = self.state();
        let asked = state
            .events
            .iter()
            .filter(|event| query.after.is_none_or(|after| event.sequence > after))
            .filter(|event| query.is_of(&event.change));
        Ok(asked.take(query.page_size()).cloned().collect())
    }

    async fn audit_head(&self, log: &str) -> Result<Option<AuditHead>> {
        Ok(self.state().audit_heads.get(log).cloned())
    }

    async fn advance_audit_head(&self, log: &str, head: &AuditHead) -> Result<AuditHead> {
        let mut state = self.state();
        let kept = state
            .audit_heads
            .entry(log.to_owned())
            .or_insert_with(|| head.clone());
        if head.sequence > kept.sequence {
            *kept = head.clone();
        } else if head.sequence == kept.sequence && head.mac != kept.mac {
            return Err(AuditHead::forked(log, head.sequence));
        }
        Ok(kept.clone())
    }

    async fn usage(&self, tenant: &TenantId) -> Result<TenantUsage> {
        Ok(self.state().usage_of(tenant))
    }

    async fn set_quota(&self, tenant: &TenantId, quota: Option<Quota>) -> Result<()> {
        self.state().usage.entry(tenant.clone()).or_default().quota = quota;
        Ok(())
    }

    async fn utilization(&self) -> Result<BTreeMap<UtilizationKey, Utilization>> {
        let mut utilization = BTreeMap::<_, Utilization>::new();
        for record in self.state().versions.values().flat_map(BTreeMap::values) {
            for replica in &record.replicas {
                let key = UtilizationKey {
                    provider: replica.provider.clone(),
                    tenant: record.variant.tenant.clone(),
                    artifact_type: record.artifact_type.clone(),
                };
                utilization.entry(key).or_default().add_object(record.size_bytes);
            }
        }
        Ok(utilization)
    }

    async fn probe(&self) -> Result<()> {
        Ok(())
    }
}
