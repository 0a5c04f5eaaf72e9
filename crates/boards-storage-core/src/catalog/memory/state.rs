//! What the catalog in memory holds, and how it changes.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::Bound;

use jiff::Timestamp;

use super::MemoryCatalog;
use crate::audit::AuditHead;
use crate::catalog::{
    ArtifactFacts, ArtifactQuery, ArtifactRecord, CatalogChange, CatalogEvent, DeleteTarget, DeletedRecord,
    Intent, NewIntent, Quota, TenantUsage, Tombstone, Usage, VariantIdentity, VersionSelector,
};
use crate::error::Result;
use crate::key::StorageKey;
use crate::scope::{ArtifactId, TenantId, VersionId};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) artifacts: BTreeMap<(TenantId, ArtifactId), ArtifactFacts>,
    /// Versions that are not deleted, by variant and number.
    pub(super) versions: BTreeMap<VariantIdentity, BTreeMap<u64, ArtifactRecord>>,
    /// The highest number ever given.
    pub(super) numbers: BTreeMap<VariantIdentity, u64>,
    pub(super) intents: BTreeMap<VersionId, OpenIntent>,
    /// Deleted versions that can be restored.
    pub(super) deleted: BTreeMap<VersionId, DeletedRecord>,
    /// Versions whose deletion is final.
    pub(super) tombstones: BTreeMap<VersionId, Tombstone>,
    /// What tenants store, and their own quotas.
    pub(super) usage: BTreeMap<TenantId, TenantUsage>,
    /// Every key that was ever given.
    pub(super) used_keys: HashSet<StorageKey>,
    /// The newest events.
    pub(super) events: VecDeque<CatalogEvent>,
    /// The number of the newest event.
    pub(super) last_event: u64,
    /// How far the audit logs have come, by name.
    pub(super) audit_heads: BTreeMap<String, AuditHead>,
}

#[derive(Debug)]
pub(super) struct OpenIntent {
    pub(super) intent: Intent,
    pub(super) facts: ArtifactFacts,
    pub(super) overwrite: bool,
    /// What the tenant may store, if it has no quota of its own.
    pub(super) quota: Quota,
    pub(super) state: IntentState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IntentState {
    /// Its writer may still commit.
    Active,
    /// Another write took its place.
    Superseded,
    /// The cleanup has it.
    Reaping,
}

impl OpenIntent {
    pub(super) fn is_active(&self) -> bool {
        self.state == IntentState::Active
    }

    /// Says whether its bytes may be removed.
    pub(super) fn has_ended(&self, now: Timestamp) -> bool {
        self.state == IntentState::Reaping || self.intent.lease_until <= now
    }
}

/// Returns the versions after one, or all.
pub(super) fn after_or_first(after: Option<VersionId>) -> (Bound<VersionId>, Bound<VersionId>) {
    (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}

impl State {
    pub(super) fn current(&self, variant: &VariantIdentity) -> Option<&ArtifactRecord> {
        self.versions.get(variant)?.values().next_back()
    }

    pub(super) fn by_id(&self, version: VersionId) -> Option<&ArtifactRecord> {
        self.versions
            .values()
            .flat_map(BTreeMap::values)
            .find(|record| record.version == version)
    }

    /// Whether the version was ever committed, even if it is deleted by now.
    fn is_committed(&self, version: VersionId) -> bool {
        self.by_id(version).is_some()
            || self.deleted.contains_key(&version)
            || self.tombstones.contains_key(&version)
    }

    pub(super) fn note(&mut self, at: Timestamp, change: CatalogChange) {
        self.last_event += 1;
        if self.events.len() == MemoryCatalog::EVENTS_MAX {
            self.events.pop_front();
        }
        self.events
            .push_back(CatalogEvent::new(self.last_event, at, change));
    }

    /// Checks that the tenant's quota has room for a version.
    pub(super) fn check_quota(&self, tenant: &TenantId, default: Quota, size_bytes: u64) -> Result<()> {
        let usage = self.usage_of(tenant);
        usage
            .quota
            .unwrap_or(default)
            .check(tenant, usage.used, size_bytes)
    }

    pub(super) fn usage_of(&self, tenant: &TenantId) -> TenantUsage {
        self.usage.get(tenant).copied().unwrap_or_default()
    }

    pub(super) fn used(&mut self, tenant: &TenantId) -> &mut Usage {
        &mut self.usage.entry(tenant.clone()).or_default().used
    }

    /// Takes a version from the present ones, and notes its deletion.
    pub(super) fn remove(
        &mut self,
        variant: &VariantIdentity,
        number: u64,
        at: Timestamp,
        recoverable_until: Option<Timestamp>,
    ) -> Option<Tombstone> {
        let mut record = self.versions.get_mut(variant)?.remove(&number)?;
        self.note(
            at,
            CatalogChange::Deleted {
                version: record.version,
                variant: variant.clone(),
                recoverable_until,
            },
        );
        record.is_current = false;
        let tombstone = Tombstone {
            version: record.version,
            variant: variant.clone(),
            replicas: record.replicas.clone(),
            deleted_at: at,
            recoverable_until,
        };
        match recoverable_until {
            Some(recoverable_until) => {
                let dead = DeletedRecord {
                    record,
                    deleted_at: at,
                    recoverable_until,
                };
                self.deleted.insert(tombstone.version, dead);
            }
            None => {
                self.used(&variant.tenant).remove(record.size_bytes);
                self.tombstones.insert(tombstone.version, tombstone.clone());
            }
        }
        self.settle(variant);
        Some(tombstone)
    }

    /// Makes a deletion final.
    pub(super) fn finish(&mut self, version: VersionId) -> Option<Tombstone> {
        let DeletedRecord {
            record, deleted_at, ..
        } = self.deleted.remove(&version)?;
        let tombstone = Tombstone {
            version,
            variant: record.variant,
            replicas: record.replicas,
            deleted_at,
            recoverable_until: None,
        };
        self.used(&tombstone.variant.tenant).remove(record.size_bytes);
        self.tombstones.insert(version, tombstone.clone());
        self.settle(&tombstone.variant);
        Some(tombstone)
    }

    /// Returns the key that a write gets.
    fn key_of<'n>(&self, new: &'n NewIntent) -> &'n StorageKey {
        if self.used_keys.contains(&new.plain_key) {
            &new.versioned_key
        } else {
            &new.plain_key
        }
    }

    pub(super) fn check_unused(&self, new: &NewIntent) -> Result<()> {
        let is_used = self.intents.contains_key(&new.version) || self.is_committed(new.version);
        if is_used || self.used_keys.contains(self.key_of(new)) {
            return Err(Intent::repeated(new.version, &new.versioned_key));
        }
        Ok(())
    }

    pub(super) fn open(&mut self, new: &NewIntent) -> Intent {
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
            quota: new.quota,
            state: IntentState::Active,
        };
        self.intents.insert(new.version, open);
        intent
    }

    pub(super) fn check_facts(&self, variant: &VariantIdentity, facts: &ArtifactFacts) -> Result<()> {
        let known = self
            .artifacts
            .get(&(variant.tenant.clone(), variant.artifact.clone()));
        known.map_or(Ok(()), |known| known.check(&variant.artifact, facts))
    }

    /// After versions came or went: the newest is the present one; an artifact without any, not even a deleted one that
    /// can be restored, is forgotten.
    pub(super) fn settle(&mut self, variant: &VariantIdentity) {
        let versions = self.versions.entry(variant.clone()).or_default();
        versions
            .values_mut()
            .for_each(|version| version.is_current = false);
        match versions.values_mut().next_back() {
            Some(newest) => newest.is_current = true,
            None => {
                self.versions.remove(variant);
            }
        }
        let is_kin =
            |other: &VariantIdentity| other.tenant == variant.tenant && other.artifact == variant.artifact;
        let is_left = self.versions.keys().any(is_kin)
            || self.deleted.values().any(|dead| is_kin(&dead.record.variant));
        if !is_left {
            self.artifacts
                .remove(&(variant.tenant.clone(), variant.artifact.clone()));
        }
    }
}

pub(super) fn matches(query: &ArtifactQuery, record: &ArtifactRecord) -> bool {
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
        && fits(query.access.as_ref(), Some(&record.access))
        && fits(query.digest.as_ref(), Some(&record.digest))
        && query.created_from.is_none_or(|from| record.created_at >= from)
        && query
            .created_before
            .is_none_or(|before| record.created_at < before)
        && (!query.displaced || record.is_displaced())
}

pub(super) fn is_target(target: &DeleteTarget, variant: &VariantIdentity, record: &ArtifactRecord) -> bool {
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
