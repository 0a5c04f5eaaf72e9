//! `get --resume`: the part of a file that was fetched so far, and the state that says which part that is.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boards_storage::{
    DownloadState, Error, ErrorKind, FileDownloadOptions, Journal, Result, VersionId, async_trait,
};
use serde::{Deserialize, Serialize};
use tempfile::TempPath;

use crate::errors::file_error;
use crate::kept::StateFile;

/// A file on its way, beside its target: `.NAME.boards-storage-part`, and its state with `.json` behind it.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    file: File,
    is_new: bool,
    keeper: Arc<Keeper>,
}

impl Partial {
    /// Opens what an earlier run left, or begins anew. Only one process at a time can have it.
    pub(super) async fn open(target: &Path, version: VersionId) -> Result<Self> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.boards-storage-part"));
        let state = target.with_file_name(format!(".{name}.boards-storage-part.json"));
        let opened = tokio::task::spawn_blocking({
            let path = path.clone();
            move || open(&path)
        });
        let opened = opened.await.map_err(io::Error::other).flatten();
        let (file, is_new) = opened.map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => Error::new(
                ErrorKind::AlreadyExists,
                format!("another process is fetching into '{}'", path.display()),
            )
            .with_help("wait for it, or give another file with -o"),
            _ => file_error("cannot write beside the target: cannot open", &path, source),
        })?;
        Ok(Self {
            path,
            file,
            is_new,
            keeper: Arc::new(Keeper {
                file: StateFile::new(state),
                version,
            }),
        })
    }

    /// Returns the options that go on where the earlier run stopped.
    pub(super) async fn options(&self) -> Result<FileDownloadOptions> {
        let options = FileDownloadOptions::default().with_journal(Arc::clone(&self.keeper) as Arc<_>);
        if self.is_new {
            return Ok(options);
        }
        Ok(match self.keeper.file.read::<Kept>().await? {
            Some(kept) if kept.version == self.keeper.version => options.with_state(kept.state),
            Some(_) | None => options,
        })
    }

    pub(super) fn file(&self) -> Result<File> {
        self.file
            .try_clone()
            .map_err(|source| file_error("cannot open", &self.path, source))
    }

    /// Returns the path that is renamed when everything is there.
    pub(super) fn finish(&self) -> Result<TempPath> {
        TempPath::try_from_path(&self.path).map_err(|source| file_error("cannot look at", &self.path, source))
    }

    pub(super) async fn forget(&self) -> Result<()> {
        self.keeper.forget().await
    }
}

#[expect(clippy::disallowed_methods, reason = "it runs in a blocking task")]
fn open(path: &Path) -> io::Result<(File, bool)> {
    let is_new = !std::fs::exists(path)?;
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    match file.try_lock() {
        Ok(()) => Ok((file, is_new)),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    version: VersionId,
    state: DownloadState,
}

#[derive(Debug)]
struct Keeper {
    file: StateFile,
    version: VersionId,
}

#[async_trait]
impl Journal<DownloadState> for Keeper {
    async fn keep(&self, state: &DownloadState) -> Result<()> {
        let kept = Kept {
            version: self.version,
            state: state.clone(),
        };
        self.file.write(&kept).await
    }

    async fn forget(&self) -> Result<()> {
        self.file.remove().await
    }
}
