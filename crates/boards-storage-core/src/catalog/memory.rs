//! A catalog in memory: for tests, and for programs that need no records after they end.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::audit::AuditHead;
use crate::catalog::{
    ArtifactFacts, ArtifactQuery, ArtifactRecord, Begun, Catalog, CatalogChange, CatalogCursor, CatalogEvent,
    CatalogPage, DeleteTarget, EventQuery, Intent, NewIntent, StoredObject, Tombstone, Utilization,
    UtilizationKey, VariantIdentity, VersionSelector,
};
use crate::clock::{Clock, SystemClock};
use crate::error::Result;
use crate::key::StorageKey;
use crate::scope::{ArtifactId, TenantId, VersionId};

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

#[derive(Debug, Default)]
struct State {
    artifacts: BTreeMap<(TenantId, ArtifactId), ArtifactFacts>,
    /// Versions that are not deleted, by variant and number.
    versions: BTreeMap<VariantIdentity, BTreeMap<u64, ArtifactRecord>>,
    /// The highest number ever given.
    numbers: BTreeMap<VariantIdentity, u64>,
    intents: BTreeMap<VersionId, OpenIntent>,
    tombstones: BTreeMap<VersionId, Tombstone>,
    /// Every key that was ever given.
    used_keys: HashSet<StorageKey>,
    /// The newest events.
    events: VecDeque<CatalogEvent>,
    /// The number of the newest event.
    last_event: u64,
    /// How far the audit logs have come, by name.
    audit_heads: BTreeMap<String, AuditHead>,
}

#[derive(Debug)]
struct OpenIntent {
    intent: Intent,
    facts: ArtifactFacts,
    overwrite: bool,
    state: IntentState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IntentState {
    /// Its writer may still commit.
    Active,
    /// Another write took its place.
    Superseded,
    /// The cleanup has it.
    Reaping,
}

impl OpenIntent {
    fn is_active(&self) -> bool {
        self.state == IntentState::Active
    }

    /// Says whether its bytes may be removed.
    fn has_ended(&self, now: Timestamp) -> bool {
        self.state == IntentState::Reaping || self.intent.lease_until <= now
    }
}

/// Returns the versions after one, or all.
fn after_or_first(after: Option<VersionId>) -> (Bound<VersionId>, Bound<VersionId>) {
    (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
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
            let others = state.intents.values_mut();
            let rivals: Vec<_> = others
                .filter(|open| open.is_active() && open.intent.variant == new.variant)
                .collect();
            let leases = rivals.iter().map(|open| open.intent.lease_until);
            if let Some(lease_until) = leases.filter(|lease| *lease > new.now).max() {
                return Ok(Begun::Busy { lease_until });
            }
            let supersede = |open: &mut OpenIntent| open.state = IntentState::Superseded;
            rivals.into_iter().for_each(supersede);
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
        let (intent, facts, overwrite) = (open.intent.clone(), open.facts.clone(), open.overwrite);
        state.check_facts(&intent.variant, &facts)?;
        if !overwrite && state.current(&intent.variant).is_some() {
            return Err(Intent::came_second());
        }
        state.intents.remove(&version);
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

    async fn tombstone(&self, target: &DeleteTarget, at: Timestamp) -> Result<Vec<Tombstone>> {
        let mut state = self.state();
        let doomed: Vec<(VariantIdentity, u64)> = state
            .versions
            .iter()
            .flat_map(|(variant, versions)| versions.values().map(move |record| (variant, record)))
            .filter(|(variant, record)| is_target(target, variant, record))
            .map(|(variant, record)| (variant.clone(), record.number))
            .collect();
        let mut tombstones = Vec::with_capacity(doomed.len());
        for (variant, number) in doomed {
            let record = state
                .versions
                .get_mut(&variant)
                .and_then(|versions| versions.remove(&number));
            let Some(record) = record else { continue };
            let tombstone = Tombstone {
                version: record.version,
                variant: variant.clone(),
                replicas: record.replicas,
                deleted_at: at,
            };
            state.tombstones.insert(record.version, tombstone.clone());
            state.note(
                at,
                CatalogChange::Deleted {
                    version: record.version,
                    variant: variant.clone(),
                },
            );
            tombstones.push(tombstone);
            state.settle(&variant);
        }
        Ok(tombstones)
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

impl State {
    fn current(&self, variant: &VariantIdentity) -> Option<&ArtifactRecord> {
        self.versions.get(variant)?.values().next_back()
    }

    fn by_id(&self, version: VersionId) -> Option<&ArtifactRecord> {
        self.versions
            .values()
            .flat_map(BTreeMap::values)
            .find(|record| record.version == version)
    }

    /// Whether the version was ever committed, even if it is deleted by now.
    fn is_committed(&self, version: VersionId) -> bool {
        self.by_id(version).is_some() || self.tombstones.contains_key(&version)
    }

    fn note(&mut self, at: Timestamp, change: CatalogChange) {
        self.last_event += 1;
        if self.events.len() == MemoryCatalog::EVENTS_MAX {
            self.events.pop_front();
        }
        self.events
            .push_back(CatalogEvent::new(self.last_event, at, change));
    }

    /// Returns the key that a write gets.
    fn key_of<'n>(&self, new: &'n NewIntent) -> &'n StorageKey {
        if self.used_keys.contains(&new.plain_key) {
            &new.versioned_key
        } else {
            &new.plain_key
        }
    }

    fn check_unused(&self, new: &NewIntent) -> Result<()> {
        let is_used = self.intents.contains_key(&new.version) || self.is_committed(new.version);
        if is_used || self.used_keys.contains(self.key_of(new)) {
            return Err(Intent::repeated(new.version, &new.versioned_key));
        }
        Ok(())
    }

    fn open(&mut self, new: &NewIntent) -> Intent {
        let key = self.key_of(new).clone();
        let intent = Intent {
            version: new.version,
            variant: new.variant.clone(),
            home: new.home.clone(),
            provider: new.provider.clone(),
            key: key.clone(),
            lease_until: new.lease_until,
        };
        self.used_keys.insert(key);
        let open = OpenIntent {
            intent: intent.clone(),
            facts: ArtifactFacts::of(new),
            overwrite: new.overwrite,
            state: IntentState::Active,
        };
        self.intents.insert(new.version, open);
        intent
    }

    fn check_facts(&self, variant: &VariantIdentity, facts: &ArtifactFacts) -> Result<()> {
        let known = self
            .artifacts
            .get(&(variant.tenant.clone(), variant.artifact.clone()));
        known.map_or(Ok(()), |known| known.check(&variant.artifact, facts))
    }

    /// After a version is gone: the newest that is left is the present one; an artifact without any is forgotten.
    fn settle(&mut self, variant: &VariantIdentity) {
        let versions = self.versions.entry(variant.clone()).or_default();
        match versions.values_mut().next_back() {
            Some(newest) => newest.is_current = true,
            None => {
                self.versions.remove(variant);
            }
        }
        let is_left = self
            .versions
            .keys()
            .any(|other| other.tenant == variant.tenant && other.artifact == variant.artifact);
        if !is_left {
            self.artifacts
                .remove(&(variant.tenant.clone(), variant.artifact.clone()));
        }
    }
}

fn matches(query: &ArtifactQuery, record: &ArtifactRecord) -> bool {
    fn fits<T: PartialEq>(asked: Option<&T>, found: Option<&T>) -> bool {
        asked.is_none() || asked == found
    }
    fits(query.tenant.as_ref(), Some(&record.variant.tenant))
        && fits(query.board.as_ref(), record.board.as_ref())
        && fits(query.artifact_type.as_ref(), Some(&record.artifact_type))
        && fits(query.artifact.as_ref(), Some(&record.variant.artifact))
        && query
            .user_metadata
            .iter()
            .all(|(name, value)| record.attributes.user_metadata.get(name) == Some(value))
        && (!query.displaced || record.is_displaced())
}

fn is_target(target: &DeleteTarget, variant: &VariantIdentity, record: &ArtifactRecord) -> bool {
    match target {
        DeleteTarget::Artifact { tenant, artifact } => {
            variant.tenant == *tenant && variant.artifact == *artifact
        }
        DeleteTarget::Variant(asked) => variant == asked,
        DeleteTarget::Version(asked, selector) => {
            variant == asked
                && match selector {
                    VersionSelector::Current => record.is_current,
                    VersionSelector::Number(number) => record.number == *number,
                    VersionSelector::Id(id) => record.version == *id,
                }
        }
    }
}
