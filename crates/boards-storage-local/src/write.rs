//! The write path: stage, describe, make durable, decide, rename, make durable, sweep.
//!
//! The rename is the one commit. Before it nothing can be seen, after it everything; what comes after it only makes it
//! survive a power failure and removes what it made obsolete.

use std::io::IoSlice;

use boards_storage_core::{
    Checksum, ChecksumAlgorithm, Crc64Hasher, Digest, DigestHasher, Error, ErrorKind, ObjectMetadata,
    Precondition, Result, StorageKey,
};
use bytes::Bytes;
use rustix::fd::AsFd;
use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::error::{While, from_errno, not_regular, too_busy, unknown_outcome};
use crate::generation::{Generation, KeyHash};
use crate::hop::Cancellation;
use crate::sidecar::{self, Record};
use crate::staging::{Note, StagedFile};
use crate::store::{Store, Writer};
use crate::tree::{ATTEMPTS_MAX, Folder, Present, look_in, split, sync};

/// How many pieces one write takes; the system's own limit on Linux.
const PIECES_MAX: usize = 1024;

/// A payload that is being written.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) staged: StagedFile,
    pub(crate) size_bytes: u64,
    checksum: Option<Crc64Hasher>,
    digest: Option<(DigestHasher, Digest)>,
}

/// A payload that is complete, with its checksum.
#[derive(Debug)]
pub(crate) struct Payload {
    pub(crate) staged: StagedFile,
    pub(crate) size_bytes: u64,
    pub(crate) checksum: Option<Checksum>,
}

impl Draft {
    /// Begins a payload. If a digest is given, the bytes must have it.
    pub(crate) fn begin(store: &Store, with_checksum: bool, digest: Option<Digest>) -> Result<Self> {
        let staged = store.writer()?.staging.file()?;
        failpoint!("local::put::staged");
        Ok(Self {
            staged,
            size_bytes: 0,
            checksum: with_checksum.then(Crc64Hasher::default),
            digest: digest.map(|digest| (DigestHasher::new(digest.algorithm()), digest)),
        })
    }

    /// Adds bytes.
    pub(crate) fn write(&mut self, pieces: &[Bytes]) -> Result<()> {
        failpoint!("local::put::write", |_| Err(from_errno(
            "the payload could not be written",
            Errno::NOSPC
        )));
        for piece in pieces {
            if let Some(checksum) = &mut self.checksum {
                checksum.update(piece);
            }
            if let Some((hasher, _)) = &mut self.digest {
                hasher.update(piece);
            }
            self.size_bytes += piece.len() as u64;
        }
        for some in pieces.chunks(PIECES_MAX) {
            write_vectored(&self.staged, some).during("the payload could not be written")?;
        }
        Ok(())
    }

    /// Ends the payload.
    pub(crate) fn finish(self) -> Result<Payload> {
        failpoint!("local::put::written");
        if let Some((hasher, declared)) = self.digest {
            let computed = hasher.finish();
            if computed != declared {
                return Err(Error::new(
                    ErrorKind::Corruption,
                    format!("the content has the digest {computed}, declared was {declared}"),
                ));
            }
        }
        let checksum = self.checksum.map(Crc64Hasher::finish);
        Ok(Payload {
            staged: self.staged,
            size_bytes: self.size_bytes,
            checksum,
        })
    }
}

fn write_vectored(staged: &StagedFile, pieces: &[Bytes]) -> rustix::io::Result<()> {
    if let [piece] = pieces {
        return sidecar::write_all(&staged.file, piece);
    }
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut left = &mut slices[..];
    // Empty slices at the front would make a write of nothing look like a full disk.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        let count = rustix::io::retry_on_intr(|| rustix::io::writev(&staged.file, left))?;
        IoSlice::advance_slices(&mut left, count);
    }
    Ok(())
}

/// Checks what must be true of the object that a write replaces.
pub(crate) fn check_precondition(precondition: &Precondition, present: Present) -> Result<()> {
    match precondition {
        Precondition::None => Ok(()),
        Precondition::IfAbsent => match present {
            Present::Object(_) => Err(Error::new(ErrorKind::AlreadyExists, "there is an object already")),
            Present::Nothing | Present::Folder | Present::Other(_) => Ok(()),
        },
        Precondition::IfMatch(wanted) => match present.generation() {
            Some(generation) if generation.etag() == *wanted => Ok(()),
            Some(generation) => Err(Error::new(
                ErrorKind::PreconditionFailed,
                format!(
                    "the object has the etag {:?}, wanted was {wanted:?}",
                    generation.etag()
                ),
            )),
            None => Err(Error::new(
                ErrorKind::PreconditionFailed,
                format!("there is no object, wanted was one with the etag {wanted:?}"),
            )),
        },
        other => Err(Error::unsupported(format!(
            "the local provider does not know the precondition {other:?}"
        ))),
    }
}

/// A payload with everything that is said of it, on its way to its place.
struct Commit<'a> {
    store: &'a Store,
    writer: &'a Writer,
    key: &'a StorageKey,
    hash: KeyHash,
    staged: StagedFile,
    record: &'a Record,
    note: Option<Note<'a>>,
    generation: Generation,
    /// Whether the generation has a sidecar of ours, which must go if the commit fails.
    has_sidecar: bool,
}

impl Drop for Commit<'_> {
    fn drop(&mut self) {
        if self.has_sidecar {
            // It names a generation that never was; if it stays, our staging's note tells of it.
            let _ = sidecar::remove(&self.store.tree, self.hash, self.generation);
        }
    }
}

impl Store {
    /// Makes a staged payload the object at the key, with everything that is said of it.
    pub(crate) fn commit(
        &self,
        key: &StorageKey,
        payload: Payload,
        mut record: Record,
        precondition: &Precondition,
        cancellation: &Cancellation,
    ) -> Result<ObjectMetadata> {
        let writer = self.writer()?;
        record.checksum = payload.checksum;
        let mut commit = Commit {
            store: self,
            writer,
            key,
            hash: KeyHash::of(key),
            staged: payload.staged,
            record: &record,
            note: None,
            generation: writer.clock.next(payload.size_bytes),
            has_sidecar: false,
        };
        commit.describe()?;
        let folder_path = split(key.as_str()).0;
        let (folder, replaced) = commit.place(precondition, cancellation).inspect_err(|_| {
            // The folders that were made for it go again.
            self.tree.prune(folder_path);
        })?;
        let generation = commit.generation;
        failpoint!("local::put::unlocked");
        if self.is_durable {
            self.sync_after_commit(&folder, folder_path)
                .map_err(unknown_outcome)?;
        }
        failpoint!("local::put::folders-synced");
        if let Some(replaced) = replaced {
            // Nobody asks for it any more. If it stays, our staging's note tells of it.
            let _ = sidecar::remove(&self.tree, commit.hash, replaced);
        }
        failpoint!("local::put::swept");
        drop(commit);
        Ok(record.into_metadata(key, generation))
    }
}

impl<'a> Commit<'a> {
    /// Gives the payload its generation and the generation its sidecar, and makes both durable.
    fn describe(&mut self) -> Result<()> {
        let store = self.store;
        if !self.record.is_inferred(self.key) {
            loop {
                self.note(&[self.generation])?;
                failpoint!("local::put::noted");
                let (key, hash, record) = (self.key, self.hash, self.record);
                if sidecar::write(&store.tree, key, hash, self.generation, record, store.is_durable)? {
                    break;
                }
                // Another process wrote the same key at the same nanosecond.
                self.generation = self.writer.clock.next(self.generation.size_bytes);
            }
            self.has_sidecar = true;
            failpoint!("local::put::described");
        }
        rustix::fs::futimens(&self.staged.file, &self.generation.to_times())
            .during("the payload's time could not be set")?;
        if store.is_durable {
            sync(&self.staged.file).during("the payload could not be synced")?;
            if self.has_sidecar {
                store
                    .sync_sidecar_folder(self.writer, self.hash)
                    .during("the metadata folder could not be synced")?;
            }
        }
        failpoint!("local::put::synced");
        Ok(())
    }

    fn note(&mut self, generations: &[Generation]) -> Result<()> {
        let staging = &self.writer.staging;
        let note = self.note.get_or_insert_with(|| staging.note());
        note.write(self.key, self.hash, generations)
            .during("the staging notes could not be written")
    }

    /// Puts the payload into its place. Returns the folder and the generation that was replaced.
    ///
    /// Where there is no object the rename itself decides, because it replaces nothing. All that changes a present
    /// object takes the key's lock, looks at it and decides, in one step for all who do.
    fn place(
        &mut self,
        precondition: &Precondition,
        cancellation: &Cancellation,
    ) -> Result<(Folder<'a>, Option<Generation>)> {
        let store = self.store;
        let (folder_path, name) = split(self.key.as_str());
        let mut may_be_first = !matches!(precondition, Precondition::IfMatch(_));
        for _ in 0..ATTEMPTS_MAX {
            let folder = store
                .tree
                .folder_created(folder_path, store.is_durable)
                .map_err(|errno| folder_error(folder_path, errno))?;
            let placed = if may_be_first {
                cancellation.check()?;
                failpoint!("local::put::undecided");
                self.staged.rename_to_absent(&folder, name).map(|()| None)
            } else {
                self.replace(&folder, name, precondition, cancellation)?
            };
            match placed {
                Ok(replaced) => {
                    self.has_sidecar = false;
                    return Ok((folder, replaced));
                }
                // There is something, or this file system cannot decide by itself.
                Err(_) if std::mem::take(&mut may_be_first) => {}
                // Somebody removed the folder when it was empty, or there is another generation to take.
                Err(Errno::NOENT | Errno::AGAIN) => {}
                Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => remove_empty_folder(&folder, name)?,
                Err(errno) => return Err(from_errno("the object could not be put into place", errno)),
            }
        }
        Err(too_busy())
    }

    /// Decides the precondition and renames the payload into place under the key's lock.
    fn replace(
        &mut self,
        folder: &Folder<'_>,
        name: &str,
        precondition: &Precondition,
        cancellation: &Cancellation,
    ) -> Result<rustix::io::Result<Option<Generation>>> {
        let lock = self
            .writer
            .locks
            .lock(&self.store.tree, self.hash)
            .during("the key could not be locked")?;
        failpoint!("local::put::locked");
        let present = look_in(folder, name).during("the object could not be looked at")?;
        if let Present::Other(what) = present {
            return Err(not_regular(what));
        }
        check_precondition(precondition, present)?;
        let Some(replaced) = present.generation() else {
            cancellation.check()?;
            return Ok(match self.staged.rename_to_absent(folder, name) {
                // Here nobody puts anything into place without the lock.
                Err(Errno::NOSYS) => self.staged.rename(folder, name),
                other => other,
            }
            .map(|()| None));
        };
        if let Some(better) = self.writer.clock.better_than(self.generation, Some(replaced)) {
            drop(lock);
            self.change_generation(better)?;
            return Ok(Err(Errno::AGAIN));
        }
        let own = self.has_sidecar.then_some(self.generation);
        let generations = [Some(replaced), own];
        self.note(&generations.into_iter().flatten().collect::<Vec<_>>())?;
        cancellation.check()?;
        failpoint!("local::put::decided");
        let renamed = self.staged.rename(folder, name);
        failpoint!("local::put::renamed");
        Ok(renamed.map(|()| Some(replaced)))
    }

    /// Moves to another generation, because the present object is from a later time than ours.
    fn change_generation(&mut self, better: Generation) -> Result<()> {
        if self.has_sidecar {
            sidecar::remove(&self.store.tree, self.hash, self.generation)
                .during("the metadata could not be replaced")?;
            self.has_sidecar = false;
        }
        self.generation = better;
        self.describe()
    }
}

/// Removes a folder that stands where an object is to go, if it is empty: a leftover of a delete.
fn remove_empty_folder(folder: impl AsFd, name: &str) -> Result<()> {
    match rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Err(Error::invalid_input(
            "there are objects below this key, so it cannot be an object itself: in a directory 'a' and 'a/b' \
             exclude each other",
        )
        .with_help("choose another key")),
        Err(errno) => Err(from_errno("an empty folder at the key could not be removed", errno)),
    }
}

fn folder_error(path: &str, errno: Errno) -> Error {
    match errno {
        Errno::NOTDIR => Error::invalid_input(format!(
            "a part of '{path}' is an object, so there can be none below it: in a directory 'a' and 'a/b' exclude \
             each other"
        ))
        .with_help("choose another key"),
        Errno::LOOP => from_errno(format!("'{path}' leads through a symbolic link"), errno),
        _ => from_errno("the object's folder could not be made", errno),
    }
}

/// Returns whether a checksum is of the kind that we compute and keep.
pub(crate) fn is_ours(checksum: &Checksum) -> bool {
    checksum.algorithm() == ChecksumAlgorithm::Crc64Nvme
}
