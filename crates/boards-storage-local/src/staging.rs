//! Staging: what one open provider has begun and not committed.
//!
//! Each open provider has a folder of its own there, with a locked file: while the lock is held its owner lives. What
//! a dead one left behind is removed by the next that writes, while others go on writing.
//!
//! The folder also has a notebook. Before a write makes a sidecar, and before it or a delete makes one obsolete, it
//! notes key and names there. After a crash the notes tell which few sidecars to look at, so that none piles up and
//! no one has to search for them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use boards_storage_core::{Result, StorageKey};
use parking_lot::Mutex;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FlockOperation, OFlags};
use rustix::io::Errno;

use crate::error::{While, from_errno};
use crate::generation::{Generation, GenerationClock, KeyHash};
use crate::lock::{KeyLocks, LOCKS, open_lock};
use crate::sidecar;
use crate::tree::{CREATE_FLAGS, Present, READ_FLAGS, Tree};

/// The folder of all staging folders.
pub(crate) const STAGING: &str = ".boards-storage/staging";

const OWNER_LOCK: &str = "owner";
const NOTES: &str = "notes";

/// The room of one note: a key of at most 1,024 bytes and two names of sidecars.
const NOTE_BYTES: u64 = 2048;

/// How many notes of a dead provider are read; it had no more operations at once.
const NOTES_MAX: u64 = 16 * 1024;

/// The staging folder of one open provider.
#[derive(Debug)]
pub(crate) struct Staging {
    tree: Arc<Tree>,
    path: String,
    folder: OwnedFd,
    notes: OwnedFd,
    free_notes: Mutex<Vec<u32>>,
    notes_made: AtomicU32,
    files_made: AtomicU64,
    /// Whether renames may be asked to replace nothing; not every file system can do that.
    can_rename_to_absent: AtomicBool,
    /// Holds the owner's lock until the folder is gone.
    _owner: OwnedFd,
}

/// A file in staging. Unless it is committed, its drop removes it.
#[derive(Debug)]
pub(crate) struct StagedFile {
    staging: Arc<Staging>,
    name: String,
    pub(crate) file: OwnedFd,
    is_committed: bool,
}

/// The right to write one note.
#[derive(Debug)]
pub(crate) struct Note<'a> {
    staging: &'a Staging,
    index: u32,
}

impl Staging {
    /// Makes a staging folder, and removes those of the dead.
    pub(crate) fn open(tree: &Arc<Tree>, locks: &KeyLocks) -> Result<Self> {
        let guard =
            open_lock(tree, &format!("{LOCKS}/staging")).during("the staging lock could not be opened")?;
        // While it is held no other folder is being made, so one whose owner's lock is free has no owner.
        rustix::io::retry_on_intr(|| rustix::fs::flock(&guard, FlockOperation::LockExclusive))
            .during("the staging lock could not be taken")?;
        let dead = find_dead(tree).during("the staging folder could not be read")?;
        let own = Self::create(tree).during("the staging folder could not be made");
        drop(guard);
        for (name, _owner) in dead {
            // Whatever cannot be removed now is found again by the next: no reason to refuse this write.
            let _ = bury(tree, locks, &format!("{STAGING}/{name}"));
        }
        own
    }

    fn create(tree: &Arc<Tree>) -> rustix::io::Result<Self> {
        let path = format!("{STAGING}/{}", uuid::Uuid::now_v7().simple());
        drop(tree.folder_created(&path, false)?);
        let folder = tree.open_at(&path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let owner = tree.open_at(&format!("{path}/{OWNER_LOCK}"), CREATE_FLAGS)?;
        rustix::fs::flock(&owner, FlockOperation::NonBlockingLockExclusive)?;
        let notes = tree.open_at(&format!("{path}/{NOTES}"), CREATE_FLAGS)?;
        Ok(Self {
            tree: Arc::clone(tree),
            path,
            folder,
            notes,
            free_notes: Mutex::new(Vec::new()),
            notes_made: AtomicU32::new(0),
            files_made: AtomicU64::new(0),
            can_rename_to_absent: AtomicBool::new(cfg!(any(target_os = "linux", target_vendor = "apple"))),
            _owner: owner,
        })
    }

    /// Goes on as on a file system whose renames cannot be asked to replace nothing.
    pub(crate) fn without_rename_to_absent(self) -> Self {
        self.can_rename_to_absent.store(false, Ordering::Relaxed);
        self
    }

    /// Makes a file for a payload.
    pub(crate) fn file(self: &Arc<Self>) -> Result<StagedFile> {
        let name = self.fresh_name();
        let file = self
            .tree
            .open_at(&format!("{}/{name}", self.path), CREATE_FLAGS)
            .during("the staged file could not be made")?;
        Ok(StagedFile {
            staging: Arc::clone(self),
            name,
            file,
            is_committed: false,
        })
    }

    /// Moves a folder here, so that it vanishes from its place at once, and removes it.
    pub(crate) fn discard_folder(&self, parent: &OwnedFd, name: &str) -> rustix::io::Result<()> {
        let own = self.fresh_name();
        rustix::fs::renameat(parent, name, &self.folder, &own)?;
        // What is left of it is removed with the staging folder.
        let _ = remove_all(&self.tree, &format!("{}/{own}", self.path));
        Ok(())
    }

    /// Takes the right to write one note.
    pub(crate) fn note(&self) -> Note<'_> {
        let free = self.free_notes.lock().pop();
        let index = free.unwrap_or_else(|| self.notes_made.fetch_add(1, Ordering::Relaxed));
        Note { staging: self, index }
    }

    /// Finds out in which steps, in nanoseconds, the file system keeps modification times.
    pub(crate) fn time_step(&self) -> rustix::io::Result<Option<i64>> {
        for step in [1, 100, 1_000] {
            let probe = GenerationClock::new(step).next(0);
            rustix::fs::futimens(&self.notes, &probe.to_times())?;
            let kept = Generation::of(&rustix::fs::fstat(&self.notes)?);
            if kept == probe {
                return Ok(Some(step));
            }
        }
        Ok(None)
    }

    fn fresh_name(&self) -> String {
        self.files_made.fetch_add(1, Ordering::Relaxed).to_string()
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // If it fails, the lock is freed all the same and the next that writes finds the folder.
        let _ = remove_all(&self.tree, &self.path);
    }
}

impl StagedFile {
    /// Renames the file to a place where there is nothing; `Errno::EXIST` if there is something, `Errno::NOSYS` where
    /// the file system cannot do that.
    pub(crate) fn rename_to_absent(
        &mut self,
        folder: &impl rustix::fd::AsFd,
        name: &str,
    ) -> rustix::io::Result<()> {
        let can_rename = &self.staging.can_rename_to_absent;
        if !can_rename.load(Ordering::Relaxed) {
            return Err(Errno::NOSYS);
        }
        #[cfg(any(target_os = "linux", target_vendor = "apple"))]
        {
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(&self.staging.folder, &self.name, folder, name, flags) {
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    can_rename.store(false, Ordering::Relaxed)
                }
                renamed => {
                    self.is_committed = renamed.is_ok();
                    return renamed;
                }
            }
        }
        Err(Errno::NOSYS)
    }

    /// Renames the file to its place. Until then it is removed with this value, after that it is not ours.
    pub(crate) fn rename(&mut self, folder: &impl rustix::fd::AsFd, name: &str) -> rustix::io::Result<()> {
        rustix::fs::renameat(&self.staging.folder, &self.name, folder, name)?;
        self.is_committed = true;
        Ok(())
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if self.is_committed {
            return;
        }
        let unlink = |staging: &Staging, name: &str| {
            // A file that cannot be removed now is removed with the staging folder.
            let _ = rustix::fs::unlinkat(&staging.folder, name, AtFlags::empty());
        };
        // Freeing a large file takes long: a call that is cancelled on a thread of the runtime leaves it to another.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if !crate::hop::may_block() => {
                let (staging, name) = (Arc::clone(&self.staging), std::mem::take(&mut self.name));
                drop(runtime.spawn_blocking(move || unlink(&staging, &name)));
            }
            Ok(_) | Err(_) => unlink(&self.staging, &self.name),
        }
    }
}

impl Note<'_> {
    /// Notes that the sidecars of these generations may be left behind if the operation on the key is cut off.
    pub(crate) fn write(
        &self,
        key: &StorageKey,
        hash: KeyHash,
        generations: &[Generation],
    ) -> rustix::io::Result<()> {
        let mut text = String::with_capacity(256);
        for generation in generations {
            let _ = write!(text, "{} ", sidecar::name_of(hash, *generation));
        }
        let _ = writeln!(text, "/{key}");
        let offset = u64::from(self.index) * NOTE_BYTES;
        rustix::io::retry_on_intr(|| rustix::io::pwrite(&self.staging.notes, text.as_bytes(), offset))?;
        Ok(())
    }
}

impl Drop for Note<'_> {
    fn drop(&mut self) {
        // The text stays until the room is used again: after a crash it is only looked at, not believed.
        self.staging.free_notes.lock().push(self.index);
    }
}

/// Finds the staging folders whose owners are dead, and holds their locks so that nobody else buries them.
fn find_dead(tree: &Tree) -> rustix::io::Result<Vec<(String, Option<OwnedFd>)>> {
    let mut dead = Vec::new();
    for name in names_in(tree, STAGING)? {
        match tree.open_at(&format!("{STAGING}/{name}/{OWNER_LOCK}"), OFlags::RDONLY) {
            Ok(owner) => {
                if rustix::fs::flock(&owner, FlockOperation::NonBlockingLockExclusive).is_ok() {
                    dead.push((name, Some(owner)));
                }
            }
            Err(Errno::NOENT) => dead.push((name, None)),
            // Something that is not ours to judge.
            Err(_) => {}
        }
    }
    Ok(dead)
}

fn bury(tree: &Tree, locks: &KeyLocks, path: &str) -> Result<()> {
    match tree.open_at(&format!("{path}/{NOTES}"), READ_FLAGS) {
        Ok(notes) => {
            for index in 0..NOTES_MAX {
                let mut room = [0; 2048];
                let count = rustix::io::pread(&notes, &mut room, index * NOTE_BYTES)
                    .during("the notes could not be read")?;
                if count == 0 {
                    break;
                }
                if let Some(text) = room[..count].split(|byte| *byte == b'\n').next() {
                    follow(tree, locks, &String::from_utf8_lossy(text))?;
                }
            }
        }
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(from_errno("the notes could not be opened", errno)),
    }
    remove_all(tree, path).during("the staging folder could not be removed")
}

/// Removes the sidecars of a note that are not the present one of their key.
fn follow(tree: &Tree, locks: &KeyLocks, text: &str) -> Result<()> {
    let Some((names, key)) = text.split_once('/') else {
        return Ok(());
    };
    let Ok(key) = StorageKey::parse(key) else {
        return Ok(());
    };
    let hash = KeyHash::of(&key);
    let _lock = locks.lock(tree, hash).during("the key could not be locked")?;
    let present = match tree
        .look(key.as_str())
        .during("the object could not be looked at")?
    {
        Present::Object(generation) => Some(sidecar::name_of(hash, generation)),
        Present::Nothing | Present::Folder | Present::Other(_) => None,
    };
    let prefix = format!("{hash}.");
    let is_sidecar = |name: &&str| {
        name.strip_prefix(&prefix)
            .is_some_and(|tag| tag.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'))
    };
    for name in names.split_ascii_whitespace().filter(is_sidecar) {
        if present.as_deref() != Some(name) {
            let path = format!("{}/{name}", sidecar::folder_of(hash));
            tree.remove_file(&path)
                .during("a left-over sidecar could not be removed")?;
        }
    }
    Ok(())
}

/// Returns the names in one of our own folders.
pub(crate) fn names_in(tree: &Tree, path: &str) -> rustix::io::Result<Vec<String>> {
    let folder = tree.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut names = Vec::new();
    for entry in Dir::new(folder)? {
        if let Ok(name) = entry?.file_name().to_str()
            && name != "."
            && name != ".."
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Removes one of our own folders with all that is in it. That it is gone is fine.
fn remove_all(tree: &Tree, path: &str) -> rustix::io::Result<()> {
    let removed = (|| {
        let folder = tree.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        for name in names_in(tree, path)? {
            // The lock goes last: without it the folder would count as dead while it is being emptied.
            if name == OWNER_LOCK {
                continue;
            }
            match rustix::fs::unlinkat(&folder, &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::ISDIR | Errno::PERM) => remove_all(tree, &format!("{path}/{name}"))?,
                Err(errno) => return Err(errno),
            }
        }
        let _ = rustix::fs::unlinkat(&folder, OWNER_LOCK, AtFlags::empty());
        let (above, name) = crate::tree::split(path);
        rustix::fs::unlinkat(tree.folder(above)?, name, AtFlags::REMOVEDIR)
    })();
    match removed {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}
