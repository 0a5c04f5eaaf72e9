//! `put --resume`: what was begun, file by file, and what was stored already.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use boards_storage::{
    ArtifactReference, CallContext, Content, Error, ErrorKind, Journal, NewArtifact, Result,
    ResumableOptions, StorageManager, StoreState, async_trait,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::errors::file_error;
use crate::kept::{StateFile, remove_old};

/// The states of one command.
#[derive(Debug)]
pub(super) struct Resumption {
    folder: PathBuf,
    /// What tells this command from another one for the same file.
    facts: serde_json::Value,
    is_one: bool,
    used: Mutex<Vec<StateFile>>,
}

impl Resumption {
    pub(super) async fn open(folder: PathBuf, facts: serde_json::Value, is_one: bool) -> Self {
        remove_old(&folder).await;
        Self {
            folder,
            facts,
            is_one,
            used: Mutex::default(),
        }
    }

    /// Stores a file, from where an earlier run stopped.
    pub(super) async fn store(
        &self,
        storage: &StorageManager,
        path: &Path,
        new: NewArtifact,
        content: Content,
    ) -> Result<ArtifactReference> {
        let path = tokio::fs::canonicalize(path)
            .await
            .map_err(|source| file_error("cannot look at", path, source))?;
        let stamp = Stamp::of(&path).await?;
        let mut facts = self.facts.clone();
        facts["file"] = path.display().to_string().into();
        let file = StateFile::of(&self.folder, &facts);
        self.used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(file.clone());
        let keeper = Arc::new(Keeper { file, stamp });
        let mut options = ResumableOptions::new(Arc::clone(&keeper) as Arc<_>);
        match keeper.file.read::<Kept>().await? {
            Some(Kept {
                stamp,
                progress: Progress::Stored(reference),
            }) if stamp == keeper.stamp => match storage.get_artifact_reference(&reference).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                found => return found,
            },
            Some(Kept {
                stamp,
                progress: Progress::UnderWay(state),
            }) if stamp == keeper.stamp => {
                options = options.with_state(state);
            }
            Some(Kept {
                progress: Progress::UnderWay(state),
                ..
            }) => {
                // The file was changed since: its parts are of no more use.
                storage.abandon_store(&state, &CallContext::default()).await?;
                keeper.forget().await?;
            }
            Some(_) | None => {}
        }
        let reference = storage.store_artifact_resumable(new, content, &options).await?;
        if !self.is_one {
            keeper.write(Progress::Stored(reference.clone())).await?;
        }
        Ok(reference)
    }

    /// Forgets everything: all files are stored.
    pub(super) async fn finish(self) -> Result<()> {
        for file in self.used.into_inner().unwrap_or_else(PoisonError::into_inner) {
            file.remove().await?;
        }
        Ok(())
    }
}

/// What tells whether a file was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size_bytes: u64,
    modified: Timestamp,
}

impl Stamp {
    async fn of(path: &Path) -> Result<Self> {
        let failed = |source| file_error("cannot look at", path, source);
        let metadata = tokio::fs::metadata(path).await.map_err(failed)?;
        let modified = metadata.modified().map_err(failed)?;
        let modified = Timestamp::try_from(modified)
            .map_err(|source| Error::invalid_input("the file's time is out of range").with_source(source))?;
        Ok(Self {
            size_bytes: metadata.len(),
            modified,
        })
    }
}

/// The state of one file.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    stamp: Stamp,
    progress: Progress,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Progress {
    UnderWay(StoreState),
    Stored(ArtifactReference),
}

#[derive(Debug)]
struct Keeper {
    file: StateFile,
    stamp: Stamp,
}

impl Keeper {
    async fn write(&self, progress: Progress) -> Result<()> {
        let stamp = self.stamp.clone();
        self.file.write(&Kept { stamp, progress }).await
    }
}

#[async_trait]
impl Journal<StoreState> for Keeper {
    async fn keep(&self, state: &StoreState) -> Result<()> {
        self.write(Progress::UnderWay(state.clone())).await
    }

    async fn forget(&self) -> Result<()> {
        self.file.remove().await
    }
}
