//! The latest writes and deletes, which a late listing does not know yet.

use std::collections::VecDeque;

use boards_storage_core::{ObjectMetadata, Outcome, StorageKey};

use crate::Dice;
use crate::late::LateListing;

/// So many changes are remembered.
const CHANGES_MAX: usize = 32;

/// What changed last, oldest first; a key at most once.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<Change>);

#[derive(Debug)]
enum Change {
    Written(Box<ObjectMetadata>),
    Deleted(Box<ObjectMetadata>),
}

impl Change {
    fn metadata(&self) -> &ObjectMetadata {
        match self {
            Self::Written(metadata) | Self::Deleted(metadata) => metadata,
        }
    }
}

impl Recent {
    /// Notes what a call did. Of a deleted object only what was seen of it can be shown again.
    pub(super) fn note(&mut self, key: Option<&StorageKey>, outcome: &Outcome) {
        match outcome {
            Outcome::Upload(metadata)
            | Outcome::Copy(metadata)
            | Outcome::CompleteUpload(metadata)
            | Outcome::SetMetadata(metadata) => {
                self.take(&metadata.key);
                self.push(Change::Written(metadata.clone()));
            }
            Outcome::Delete(_) => {
                if let Some(key) = key {
                    self.delete(key);
                }
            }
            Outcome::DeleteMany(deleted) => {
                for deleted in deleted.iter().filter(|deleted| deleted.outcome.is_ok()) {
                    self.delete(&deleted.key);
                }
            }
            _ => {}
        }
    }

    fn delete(&mut self, key: &StorageKey) {
        if let Some(Change::Written(metadata)) = self.take(key) {
            self.push(Change::Deleted(metadata));
        }
    }

    fn take(&mut self, key: &StorageKey) -> Option<Change> {
        let index = self.0.iter().position(|change| change.metadata().key == *key)?;
        self.0.remove(index)
    }

    fn push(&mut self, change: Change) {
        if self.0.len() == CHANGES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(change);
    }

    /// Returns a listing that does not know some of the last changes.
    pub(super) fn late(&self, dice: &mut Dice) -> LateListing {
        let unknown = 1 + dice.index(4);
        self.0
            .iter()
            .rev()
            .take(unknown)
            .fold(LateListing::default(), |late, change| match change {
                Change::Written(metadata) => late.hiding(metadata.key.clone()),
                Change::Deleted(metadata) => late.showing(ObjectMetadata::clone(metadata)),
            })
    }
}
