//! Deletes: the unlink is the commit; empty folders go with it.

use boards_storage_core::{DeleteOutcome, DeletedKey, Error, ErrorKind, Precondition, Result, StorageKey};
use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::error::{While, from_errno, not_regular, unknown_outcome};
use crate::generation::{Generation, KeyHash};
use crate::hop::Cancellation;
use crate::sidecar;
use crate::staging::Note;
use crate::store::{Store, Writer};
use crate::tree::{Folder, Present, look_in, split};
use crate::write::check_precondition;

/// How many deletes share one sync of their folders.
const BATCH_MAX: usize = 256;

/// An object whose payload is gone and whose sidecar is not yet.
struct Removed<'a> {
    /// The deepest folder that is left.
    folder: String,
    hash: KeyHash,
    generation: Generation,
    _note: Note<'a>,
}

impl Store {
    /// Removes an object.
    pub(crate) fn delete(
        &self,
        key: &StorageKey,
        precondition: &Precondition,
        cancellation: &Cancellation,
    ) -> Result<DeleteOutcome> {
        let writer = self.writer()?;
        let Some(removed) = self.remove(writer, key, precondition, cancellation)? else {
            return Ok(DeleteOutcome::Absent);
        };
        self.settle(&[removed])?;
        Ok(DeleteOutcome::Existed)
    }

    /// Removes many objects, each with its own outcome.
    pub(crate) fn delete_many(
        &self,
        keys: &[StorageKey],
        cancellation: &Cancellation,
    ) -> Result<Vec<DeletedKey>> {
        let writer = self.writer()?;
        let mut outcomes = Vec::with_capacity(keys.len());
        for some in keys.chunks(BATCH_MAX) {
            let mut removed = Vec::new();
            let first = outcomes.len();
            for key in some {
                let outcome = match self.remove(writer, key, &Precondition::None, cancellation) {
                    Ok(Some(one)) => {
                        removed.push(one);
                        Ok(DeleteOutcome::Existed)
                    }
                    Ok(None) => Ok(DeleteOutcome::Absent),
                    Err(error) => Err(error),
                };
                outcomes.push(DeletedKey {
                    key: key.clone(),
                    outcome,
                });
            }
            if let Err(error) = self.settle(&removed) {
                let mut error = Some(error);
                for deleted in &mut outcomes[first..] {
                    if matches!(deleted.outcome, Ok(DeleteOutcome::Existed)) {
                        deleted.outcome = Err(error.take().unwrap_or_else(sync_failed));
                    }
                }
            }
        }
        Ok(outcomes)
    }

    /// Unlinks a payload and the folders that are empty then. `None` if there was no object.
    fn remove<'a>(
        &self,
        writer: &'a Writer,
        key: &StorageKey,
        precondition: &Precondition,
        cancellation: &Cancellation,
    ) -> Result<Option<Removed<'a>>> {
        let (folder_path, name) = split(key.as_str());
        let folder = match self.tree.folder(folder_path) {
            Ok(folder) => folder,
            Err(Errno::NOENT | Errno::NOTDIR) => {
                check_precondition(precondition, Present::Nothing)?;
                return Ok(None);
            }
            Err(Errno::LOOP) => {
                return Err(from_errno(
                    format!("'{folder_path}' leads through a symbolic link"),
                    Errno::LOOP,
                ));
            }
            Err(errno) => return Err(from_errno("the object's folder could not be opened", errno)),
        };
        let hash = KeyHash::of(key);
        let Some((generation, note)) =
            self.unlink(writer, key, hash, (&folder, name), precondition, cancellation)?
        else {
            return Ok(None);
        };
        drop(folder);
        failpoint!("local::delete::unlinked");
        let left = self.tree.prune(folder_path).to_owned();
        failpoint!("local::delete::pruned");
        Ok(Some(Removed {
            folder: left,
            hash,
            generation,
            _note: note,
        }))
    }

    fn unlink<'a>(
        &self,
        writer: &'a Writer,
        key: &StorageKey,
        hash: KeyHash,
        (folder, name): (&Folder<'_>, &str),
        precondition: &Precondition,
        cancellation: &Cancellation,
    ) -> Result<Option<(Generation, Note<'a>)>> {
        let _lock = writer
            .locks
            .lock(&self.tree, hash)
            .during("the key could not be locked")?;
        failpoint!("local::delete::locked");
        let present = look_in(folder, name).during("the object could not be looked at")?;
        check_precondition(precondition, present)?;
        let generation = match present {
            Present::Object(generation) => generation,
            Present::Nothing | Present::Folder => return Ok(None),
            Present::Other(what) => return Err(not_regular(what)),
        };
        cancellation.check()?;
        let note = writer.staging.note();
        match note.write(key, hash, &[generation]) {
            // A full disk must not hinder what makes room. Without the note a crash leaves one sidecar behind.
            Ok(()) | Err(Errno::NOSPC | Errno::DQUOT) => {}
            Err(errno) => return Err(from_errno("the staging notes could not be written", errno)),
        }
        match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) => Ok(Some((generation, note))),
            // Somebody who takes no locks was faster.
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(from_errno("the object could not be removed", errno)),
        }
    }

    /// Makes removals safe from a power failure, each folder once, and then removes the sidecars: one must not go
    /// before its payload is gone for good.
    fn settle(&self, removed: &[Removed<'_>]) -> Result<()> {
        if self.is_durable {
            let mut folders: Vec<&str> = removed.iter().map(|one| one.folder.as_str()).collect();
            folders.sort_unstable();
            folders.dedup();
            for folder in folders {
                self.tree.sync_folder(folder).map_err(unknown_outcome)?;
            }
        }
        failpoint!("local::delete::synced");
        for one in removed {
            // Nobody asks for it any more. If it stays, our staging's note tells of it.
            let _ = sidecar::remove(&self.tree, one.hash, one.generation);
        }
        failpoint!("local::delete::swept");
        Ok(())
    }
}

fn sync_failed() -> Error {
    Error::new(
        ErrorKind::OutcomeUnknown,
        "the object was removed, but syncing the folders of its batch failed",
    )
}
