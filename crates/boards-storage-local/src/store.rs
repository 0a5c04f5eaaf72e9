//! What all operations of one open provider share.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use boards_storage_core::{Error, Result};
use parking_lot::Mutex;
use rustix::fd::AsFd;
use rustix::io::Errno;

use crate::buffers::Buffers;
use crate::error::{While, from_errno};
use crate::generation::{GenerationClock, KeyHash};
use crate::hop::{Cancellation, Lane, hop_until_dropped};
use crate::list::WINDOW_NAMES;
use crate::lock::{KeyLocks, LOCKS};
use crate::multipart::MULTIPART;
use crate::settings::LocalSettings;
use crate::sidecar::{self, META, read_all, write_all};
use crate::staging::{STAGING, Staging};
use crate::tree::{CREATE_FLAGS, READ_FLAGS, Tree, sync};

/// The folder of everything that is no object.
const INTERNAL: &str = ".boards-storage";
const FORMAT_PATH: &str = ".boards-storage/format";

/// What the file `format` says.
const FORMAT: &str = "boards-storage local 1\n";

/// A write of more bytes has a thread of its own.
const SHORT_WRITE_BYTES_MAX: usize = 64 * 1024;

/// One open base directory.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) tree: Arc<Tree>,
    pub(crate) is_durable: bool,
    pub(crate) has_checksums: bool,
    pub(crate) buffers: Arc<Buffers>,
    /// Where short work is done.
    pub(crate) lane: Lane,
    /// How many names of one folder a listing holds at once.
    pub(crate) list_window: usize,
    /// Whether every write takes its key's lock, as on a file system whose renames cannot decide.
    pub(crate) always_locks: bool,
    writer: OnceLock<Writer>,
    writer_is_made: Mutex<()>,
}

/// What writes need beyond reads; made by the first write.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) staging: Arc<Staging>,
    pub(crate) locks: KeyLocks,
    pub(crate) clock: GenerationClock,
    /// Which folders of sidecars are known to survive a power failure.
    safe_sidecar_folders: [AtomicBool; 256],
}

impl Store {
    /// Opens the base directory. Nothing but it is made: what a reader does not need waits for the first write.
    pub(crate) fn open(settings: &LocalSettings) -> Result<Self> {
        if settings.base_path.as_os_str().is_empty() {
            return Err(Error::configuration("base_path is empty").with_help("set base_path to a directory"));
        }
        let tree = Tree::open(&settings.base_path, settings.fsync)?;
        check_format(&tree)?;
        Ok(Self {
            tree: Arc::new(tree),
            is_durable: settings.fsync,
            has_checksums: settings.checksum,
            buffers: Arc::default(),
            lane: Lane::new(),
            list_window: WINDOW_NAMES,
            always_locks: false,
            writer: OnceLock::new(),
            writer_is_made: Mutex::new(()),
        })
    }

    /// Returns what writes need.
    pub(crate) fn writer(&self) -> Result<&Writer> {
        if let Some(writer) = self.writer.get() {
            return Ok(writer);
        }
        let _guard = self.writer_is_made.lock();
        match self.writer.get() {
            Some(writer) => Ok(writer),
            None => {
                let writer = self.make_writer()?;
                Ok(self.writer.get_or_init(|| writer))
            }
        }
    }

    fn make_writer(&self) -> Result<Writer> {
        let tree = &self.tree;
        for path in [META, STAGING, MULTIPART, LOCKS] {
            tree.folder_created(path, false)
                .during("the folder '.boards-storage' could not be made")?;
        }
        if !check_format(tree)? {
            write_format(tree)?;
        }
        if self.is_durable {
            tree.sync_folders(INTERNAL)
                .during("the folder '.boards-storage' could not be synced")?;
        }
        let locks = KeyLocks::new();
        let mut staging = Staging::open(tree, &locks)?;
        if self.always_locks {
            staging = staging.without_rename_to_absent();
        }
        let step = staging
            .time_step()
            .during("a modification time could not be set")?
            .ok_or_else(|| {
                Error::configuration(format!(
                    "the file system of '{}' keeps times less exactly than to a microsecond",
                    tree.path().display()
                ))
                .with_help("use a file system with exact times, such as ext4, XFS, Btrfs, ZFS, APFS or tmpfs")
            })?;
        Ok(Writer {
            staging: Arc::new(staging),
            locks,
            clock: GenerationClock::new(step),
            safe_sidecar_folders: std::array::from_fn(|_| AtomicBool::new(false)),
        })
    }

    /// Runs a write of so many bytes: where short work is done, unless it moves many bytes or waits for the disk.
    pub(crate) async fn write_hop<T, F>(&self, size_bytes: usize, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Cancellation) -> Result<T> + Send + 'static,
    {
        if self.is_durable || size_bytes > SHORT_WRITE_BYTES_MAX {
            hop_until_dropped(work).await
        } else {
            self.lane.hop_until_dropped(work).await
        }
    }

    /// Checks that the base directory and its format are still right.
    pub(crate) fn probe(&self) -> Result<()> {
        self.tree.probe()?;
        check_format(&self.tree).map(drop)
    }

    /// Makes a new sidecar's entry safe from a power failure.
    pub(crate) fn sync_sidecar_folder(&self, writer: &Writer, hash: KeyHash) -> rustix::io::Result<()> {
        self.tree.sync_folder(&sidecar::folder_of(hash))?;
        let is_safe = &writer.safe_sidecar_folders[usize::from(hash.folder())];
        if !is_safe.load(Ordering::Acquire) {
            // These folders are never removed, so once is enough.
            self.tree.sync_folder(META)?;
            is_safe.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Makes the commit of a payload safe from a power failure: its folder, which is open, and those above.
    pub(crate) fn sync_after_commit(&self, folder: impl AsFd, path: &str) -> rustix::io::Result<()> {
        sync(folder)?;
        if path.is_empty() {
            return Ok(());
        }
        self.tree.sync_folders(crate::tree::split(path).0)
    }
}

/// Says whether the format is set, and refuses one that we don't know.
fn check_format(tree: &Tree) -> Result<bool> {
    let file = match tree.open_at(FORMAT_PATH, READ_FLAGS) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(false),
        Err(errno) => {
            return Err(from_errno(
                "the file '.boards-storage/format' could not be opened",
                errno,
            ));
        }
    };
    let text = read_all(&file, 256).during("the file '.boards-storage/format' could not be read")?;
    if text == FORMAT.as_bytes() {
        return Ok(true);
    }
    let shown: String = String::from_utf8_lossy(&text).chars().take(60).collect();
    Err(Error::configuration(format!(
        "the directory '{}' has the format {:?}, this program knows {:?}",
        tree.path().display(),
        shown.trim_end(),
        FORMAT.trim_end()
    ))
    .with_help("use the version of the program that wrote the directory, or a newer one"))
}

fn write_format(tree: &Tree) -> Result<()> {
    let name = format!("format.{}", uuid::Uuid::now_v7().simple());
    let path = format!("{INTERNAL}/{name}");
    let write = || {
        let file = tree.open_at(&path, CREATE_FLAGS)?;
        write_all(&file, FORMAT.as_bytes())?;
        sync(&file)?;
        let folder = tree.folder(INTERNAL)?;
        // All who come here at once write the same.
        rustix::fs::renameat(&folder, &name, &folder, "format")
    };
    write().during("the file '.boards-storage/format' could not be written")
}
