//! The base directory: the only place where a key becomes a path.
//!
//! Every path is opened relative to the base directory, which is held open, beneath it and without following any
//! symbolic link: by `openat2` where the kernel has it, folder by folder elsewhere. Paths are at most a key long, so
//! no system limit on absolute paths matters.

use std::path::{Path, PathBuf};

use boards_storage_core::{Error, Result};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::error::{While, from_errno};
use crate::generation::Generation;

/// How often an operation begins anew because others change the same folders.
pub(crate) const ATTEMPTS_MAX: usize = 1_000;

const FILE_MODE: Mode = Mode::from_raw_mode(0o666);
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o777);

/// Opens a folder only to go on from it.
#[cfg(target_os = "linux")]
const PASS_FLAGS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);
#[cfg(not(target_os = "linux"))]
const PASS_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// Opens a file only to look at it.
#[cfg(target_os = "linux")]
pub(crate) const LOOK_FLAGS: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
pub(crate) const LOOK_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK);

/// Opens a file for reading. A pipe does not make it wait.
pub(crate) const READ_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK);

/// Makes a file that must not be there.
pub(crate) const CREATE_FLAGS: OFlags = OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL);

/// The base directory, held open.
#[derive(Debug)]
pub(crate) struct Tree {
    base: OwnedFd,
    path: PathBuf,
    /// Whether the kernel has `openat2`.
    has_openat2: bool,
}

/// An open folder below the base directory, or the base directory itself.
#[derive(Debug)]
pub(crate) enum Folder<'a> {
    Base(BorrowedFd<'a>),
    Below(OwnedFd),
}

impl AsFd for Folder<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Base(base) => *base,
            Self::Below(folder) => folder.as_fd(),
        }
    }
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Present {
    Nothing,
    Object(Generation),
    Folder,
    /// A symbolic link, pipe, socket or device.
    Other(&'static str),
}

impl Present {
    pub(crate) fn from_stat(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Self::Object(Generation::of(stat)),
            FileType::Directory => Self::Folder,
            FileType::Symlink => Self::Other("a symbolic link"),
            FileType::Fifo => Self::Other("a pipe"),
            FileType::Socket => Self::Other("a socket"),
            _ => Self::Other("a device"),
        }
    }

    /// Returns the generation, if it is an object.
    pub(crate) fn generation(self) -> Option<Generation> {
        match self {
            Self::Object(generation) => Some(generation),
            Self::Nothing | Self::Folder | Self::Other(_) => None,
        }
    }
}

/// Returns the folder (empty for the base directory) and the name of a path.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

impl Tree {
    /// Opens the base directory, making it if it is missing.
    pub(crate) fn open(path: &Path, is_durable: bool) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let base = match rustix::fs::open(path, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                create_base(path, is_durable)?;
                rustix::fs::open(path, flags, Mode::empty())
            }
            other => other,
        };
        let base = base.map_err(|errno| base_error(path, errno))?;
        let has_openat2 = openat2_works(&base);
        Ok(Self {
            base,
            path: path.to_owned(),
            has_openat2,
        })
    }

    /// Returns the base directory's path, as it was given.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file or folder. `Errno::LOOP` means that a symbolic link is in the way.
    pub(crate) fn open_at(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        #[cfg(target_os = "linux")]
        if self.has_openat2 {
            return openat2(&self.base, path, flags);
        }
        let (folder, name) = split(path);
        let mut current = Folder::Base(self.base.as_fd());
        for segment in folder.split('/').filter(|segment| !segment.is_empty()) {
            current = Folder::Below(open_one(&current, segment, PASS_FLAGS)?);
        }
        open_one(&current, name, flags)
    }

    /// Opens a folder to go on from it. The empty path is the base directory.
    pub(crate) fn folder(&self, path: &str) -> rustix::io::Result<Folder<'_>> {
        self.folder_for(path, false)
    }

    /// Opens a folder, for syncing too if asked to.
    fn folder_for(&self, path: &str, is_synced: bool) -> rustix::io::Result<Folder<'_>> {
        if path.is_empty() {
            return Ok(Folder::Base(self.base.as_fd()));
        }
        let flags = if is_synced {
            OFlags::RDONLY | OFlags::DIRECTORY
        } else {
            PASS_FLAGS
        };
        self.open_at(path, flags).map(Folder::Below)
    }

    /// Opens a folder, making it and those above it where they are missing.
    pub(crate) fn folder_created(&self, path: &str, is_synced: bool) -> rustix::io::Result<Folder<'_>> {
        for _ in 0..ATTEMPTS_MAX {
            match self.folder_for(path, is_synced) {
                Err(Errno::NOENT) => {}
                other => return other,
            }
            match self.create_folders(path) {
                // Somebody removed an empty folder under our hands.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::NOENT)
    }

    fn create_folders(&self, path: &str) -> rustix::io::Result<()> {
        let mut current = Folder::Base(self.base.as_fd());
        for segment in path.split('/') {
            match rustix::fs::mkdirat(&current, segment, FOLDER_MODE) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
            current = Folder::Below(open_one(&current, segment, PASS_FLAGS)?);
        }
        Ok(())
    }

    /// Says what is at a path.
    pub(crate) fn look(&self, path: &str) -> rustix::io::Result<Present> {
        let (folder, name) = split(path);
        match self.folder(folder) {
            Ok(folder) => look_in(&folder, name),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(Present::Nothing),
            Err(errno) => Err(errno),
        }
    }

    /// Removes a file; that there is none is fine.
    pub(crate) fn remove_file(&self, path: &str) -> rustix::io::Result<()> {
        let (folder, name) = split(path);
        let removed = self
            .folder(folder)
            .and_then(|folder| rustix::fs::unlinkat(folder, name, AtFlags::empty()));
        match removed {
            Err(Errno::NOENT) => Ok(()),
            other => other,
        }
    }

    /// Removes a folder and those above it as long as they are empty. Returns the deepest that is left.
    pub(crate) fn prune<'p>(&self, path: &'p str) -> &'p str {
        let mut left = path;
        while !left.is_empty() {
            let (above, name) = split(left);
            let removed = self
                .folder(above)
                .and_then(|above| rustix::fs::unlinkat(above, name, AtFlags::REMOVEDIR));
            match removed {
                Ok(()) | Err(Errno::NOENT) => left = above,
                Err(_) => break,
            }
        }
        left
    }

    /// Makes a folder's entries safe from a power failure. If it is gone, those of the one above.
    pub(crate) fn sync_folder(&self, path: &str) -> rustix::io::Result<()> {
        let mut path = path;
        loop {
            match self.folder_for(path, true) {
                Ok(folder) => return sync(&folder),
                // A peer removed it, so what we did in it is undone or superseded; its removal is the peer's.
                Err(Errno::NOENT | Errno::NOTDIR) if !path.is_empty() => path = split(path).0,
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Makes a folder's entries and all folders above it safe from a power failure: a peer may have made one of
    /// them and not have synced it yet.
    pub(crate) fn sync_folders(&self, path: &str) -> rustix::io::Result<()> {
        let mut path = path;
        loop {
            match self.folder_for(path, true) {
                Ok(folder) => sync(&folder)?,
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(errno) => return Err(errno),
            }
            if path.is_empty() {
                return Ok(());
            }
            path = split(path).0;
        }
    }

    /// Checks that the base directory is still what the path names, and that it can be written.
    pub(crate) fn probe(&self) -> Result<()> {
        let at_path = rustix::fs::stat(&self.path).map_err(|errno| base_error(&self.path, errno))?;
        let ours = rustix::fs::fstat(&self.base).during("the base path cannot be looked at")?;
        if (at_path.st_dev, at_path.st_ino) != (ours.st_dev, ours.st_ino) {
            return Err(Error::new(
                boards_storage_core::ErrorKind::ProviderUnavailable,
                format!(
                    "the base path '{}' was replaced while it was in use",
                    self.path.display()
                ),
            )
            .with_help("open the storage again"));
        }
        let access = rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        rustix::fs::accessat(&self.base, ".", access, AtFlags::empty())
            .map_err(|errno| base_error(&self.path, errno))
    }
}

/// Says what is at a name in a folder.
pub(crate) fn look_in(folder: impl AsFd, name: &str) -> rustix::io::Result<Present> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Present::from_stat(&stat)),
        Err(Errno::NOENT) => Ok(Present::Nothing),
        Err(errno) => Err(errno),
    }
}

/// Makes a file or folder safe from a power failure.
pub(crate) fn sync(file: impl AsFd) -> rustix::io::Result<()> {
    // On Apple's systems `fsync` leaves the bytes in the drive's cache.
    #[cfg(target_vendor = "apple")]
    return rustix::io::retry_on_intr(|| rustix::fs::fcntl_fullfsync(file.as_fd()));
    #[cfg(not(target_vendor = "apple"))]
    rustix::io::retry_on_intr(|| rustix::fs::fsync(file.as_fd()))
}

/// Opens one name in a folder without following a link.
fn open_one(folder: impl AsFd, name: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let name = if name.is_empty() { "." } else { name };
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::io::retry_on_intr(|| rustix::fs::openat(&folder, name, flags, FILE_MODE));
    let may_be_link = match &opened {
        Err(Errno::NOTDIR) => true,
        // A link itself is opened for looking only.
        Ok(_) => flags.contains(LOOK_FLAGS) && !flags.contains(OFlags::DIRECTORY),
        Err(_) => false,
    };
    if may_be_link && look_in(&folder, name)? == Present::Other("a symbolic link") {
        return Err(Errno::LOOP);
    }
    opened
}

#[cfg(target_os = "linux")]
fn openat2(base: &OwnedFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    use rustix::fs::ResolveFlags;
    const RESOLVE: ResolveFlags = ResolveFlags::BENEATH
        .union(ResolveFlags::NO_SYMLINKS)
        .union(ResolveFlags::NO_MAGICLINKS);
    let path = if path.is_empty() { "." } else { path };
    // The kernel refuses a mode where nothing can be made.
    let mode = if flags.contains(OFlags::CREATE) {
        FILE_MODE
    } else {
        Mode::empty()
    };
    loop {
        match rustix::fs::openat2(base, path, flags, mode, RESOLVE) {
            // The second: a rename elsewhere disturbed the kernel's own check.
            Err(Errno::INTR | Errno::AGAIN) => {}
            other => return other,
        }
    }
}

#[cfg(target_os = "linux")]
fn openat2_works(base: &OwnedFd) -> bool {
    openat2(base, ".", PASS_FLAGS | OFlags::CLOEXEC).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn openat2_works(_base: &OwnedFd) -> bool {
    false
}

fn base_error(path: &Path, errno: Errno) -> Error {
    let problem = match errno {
        Errno::NOTDIR => format!("the base path '{}' is not a directory", path.display()),
        _ => format!("the base path '{}' cannot be used", path.display()),
    };
    let error = from_errno(problem, errno);
    match errno {
        // Without its directory the store is away; `NotFound` would say that an object is.
        Errno::NOENT => Error::new(
            boards_storage_core::ErrorKind::ProviderUnavailable,
            error.message().to_owned(),
        )
        .with_source(std::io::Error::from(errno))
        .with_help("create the directory or mount its file system"),
        Errno::NOTDIR => Error::configuration(error.message().to_owned())
            .with_source(std::io::Error::from(errno))
            .with_help("set base_path to a directory"),
        _ => error,
    }
}

/// Makes the base directory and those above it.
fn create_base(path: &Path, is_durable: bool) -> Result<()> {
    let mut missing: Vec<&Path> = Vec::new();
    for folder in path.ancestors().filter(|folder| !folder.as_os_str().is_empty()) {
        match rustix::fs::mkdir(folder, FOLDER_MODE) {
            Ok(()) | Err(Errno::EXIST) => break,
            Err(Errno::NOENT) => missing.push(folder),
            Err(errno) => return Err(base_error(folder, errno)),
        }
    }
    let made: Vec<&Path> = missing.iter().rev().copied().collect();
    for folder in made {
        match rustix::fs::mkdir(folder, FOLDER_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(base_error(folder, errno)),
        }
    }
    if is_durable {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        for folder in path.ancestors().skip(1).take(missing.len() + 1) {
            let folder = if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            };
            // A folder above that may not be read cannot be synced either; it was not made by us.
            if let Ok(above) = rustix::fs::open(folder, flags, Mode::empty()) {
                sync(&above).map_err(|errno| base_error(folder, errno))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests may block")]
mod tests {
    use super::*;

    /// Runs `check` with the kernel's own protection and with ours.
    fn check_both(check: impl Fn(&Path, &Tree)) {
        for has_openat2 in [true, false] {
            let folder = tempfile::tempdir().expect("a folder");
            let mut tree = Tree::open(&folder.path().join("new/base"), true).expect("made");
            tree.has_openat2 &= has_openat2;
            check(&folder.path().join("new/base"), &tree);
        }
    }

    #[test]
    fn no_link_is_ever_followed() {
        check_both(|base, tree| {
            let outside = base.parent().expect("above").join("outside");
            std::fs::create_dir_all(outside.join("deep")).expect("made");
            std::fs::write(outside.join("secret"), "s").expect("written");
            std::os::unix::fs::symlink(&outside, base.join("link")).expect("linked");
            std::os::unix::fs::symlink(outside.join("secret"), base.join("file")).expect("linked");
            for flags in [READ_FLAGS, LOOK_FLAGS] {
                assert_eq!(tree.open_at("file", flags).err(), Some(Errno::LOOP));
                assert_eq!(tree.open_at("link/secret", flags).err(), Some(Errno::LOOP));
            }
            assert_eq!(tree.open_at("link/made", CREATE_FLAGS).err(), Some(Errno::LOOP));
            assert_eq!(tree.folder("link").err(), Some(Errno::LOOP));
            assert_eq!(
                tree.folder_created("link/deep/new", true).err(),
                Some(Errno::LOOP)
            );
            assert_eq!(tree.remove_file("link/secret").err(), Some(Errno::LOOP));
            assert_eq!(
                tree.look("file").expect("looked"),
                Present::Other("a symbolic link")
            );
            assert!(!outside.join("deep/new").exists() && outside.join("secret").exists());
        });
    }

    #[test]
    fn folders_are_made_and_pruned() {
        check_both(|base, tree| {
            tree.folder_created("a/b/c", true).expect("made");
            std::fs::write(base.join("a/x"), "").expect("written");
            tree.sync_folders("a/b/c").expect("synced");
            assert_eq!(tree.prune("a/b/c"), "a");
            assert!(base.join("a/x").exists() && !base.join("a/b").exists());
            tree.sync_folder("a/b/c").expect("the one above");
            assert_eq!(tree.folder_created("a/x/y", false).err(), Some(Errno::NOTDIR));
            tree.remove_file("a/x").expect("removed");
            tree.remove_file("a/x").expect("nothing to remove");
            assert_eq!(tree.prune("a"), "");
            assert!(base.exists());
        });
    }
}
