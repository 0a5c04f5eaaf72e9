//! Locks of keys, across threads and processes.
//!
//! A key's shard has a mutex for the threads of this process and a locked file for the others. The kernel frees the
//! file when its process ends, however it ends.

use parking_lot::{Mutex, MutexGuard};
use std::sync::OnceLock;

use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, OFlags};

use crate::generation::KeyHash;
use crate::tree::Tree;

/// How many locks there are. Each costs one open file when it is first used. All programs that share a tree must
/// agree on it: it is part of the format.
pub(crate) const SHARDS: usize = 64;

/// The folder of the locks.
pub(crate) const LOCKS: &str = ".boards-storage/locks";

#[derive(Debug)]
pub(crate) struct KeyLocks {
    shards: [Shard; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    mutex: Mutex<()>,
    file: OnceLock<OwnedFd>,
}

/// A held lock; it is freed on drop.
pub(crate) struct KeyLock<'a> {
    file: &'a OwnedFd,
    _guard: MutexGuard<'a, ()>,
}

impl KeyLocks {
    pub(crate) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Shard::default()),
        }
    }

    /// Waits for the lock of a key's shard.
    pub(crate) fn lock(&self, tree: &Tree, hash: KeyHash) -> rustix::io::Result<KeyLock<'_>> {
        let index = usize::from(hash.shard()) % SHARDS;
        let shard = &self.shards[index];
        let guard = shard.mutex.lock();
        let file = match shard.file.get() {
            Some(file) => file,
            None => {
                let opened = open_lock(tree, &format!("{LOCKS}/{index:02x}"))?;
                shard.file.get_or_init(|| opened)
            }
        };
        rustix::io::retry_on_intr(|| rustix::fs::flock(file, FlockOperation::LockExclusive))?;
        Ok(KeyLock { file, _guard: guard })
    }
}

impl Drop for KeyLock<'_> {
    fn drop(&mut self) {
        // It cannot fail on a file that is open and locked; were it to, the next holder in this process still
        // excludes the other processes.
        let _ = rustix::fs::flock(self.file, FlockOperation::Unlock);
    }
}

/// Opens the file of a lock, making it if it is missing.
pub(crate) fn open_lock(tree: &Tree, path: &str) -> rustix::io::Result<OwnedFd> {
    tree.open_at(path, OFlags::RDONLY | OFlags::CREATE)
}
