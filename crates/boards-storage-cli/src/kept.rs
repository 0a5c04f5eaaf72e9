//! States of transfers that can be resumed, each in a small file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use boards_storage::{Digest, DigestAlgorithm, Error};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

use crate::errors::file_error;

/// A state that nobody came back for in this time is removed: the stores have forgotten the upload, too.
const AGE_MAX: Duration = Duration::from_hours(24 * 30);

/// A file that holds one state, or is not there.
#[derive(Clone, Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Names the state of what `facts` describe, in a folder.
    pub(crate) fn of(folder: &Path, facts: &serde_json::Value) -> Self {
        let digest = Digest::of(DigestAlgorithm::Blake3, facts.to_string().as_bytes()).to_string();
        let name = digest.rsplit(':').next().unwrap_or_default();
        Self::new(folder.join(format!("{name}.json")))
    }

    /// Returns the state. One that cannot be understood, because another version of the program wrote it, is none.
    pub(crate) async fn read<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        match tokio::fs::read(&self.path).await {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(file_error("cannot read the state in", &self.path, source)),
        }
    }

    /// Replaces the state, durably. Only the user can read it.
    pub(crate) async fn write<T: Serialize>(&self, state: &T) -> Result<(), Error> {
        let failed = |source| file_error("cannot keep the state in", &self.path, source);
        let text = serde_json::to_vec(state).map_err(|error| failed(error.into()))?;
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || replace(&path, &text)).await;
        written.map_err(io::Error::other).flatten().map_err(failed)
    }

    /// Removes the state. Idempotent.
    pub(crate) async fn remove(&self) -> Result<(), Error> {
        match tokio::fs::remove_file(&self.path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(file_error("cannot remove the state in", &self.path, error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it runs in a blocking task")]
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(text)?;
    file.as_file().sync_data()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// Removes states that nobody came back for. What cannot be removed stays.
pub(crate) async fn remove_old(folder: &Path) {
    let Ok(mut entries) = tokio::fs::read_dir(folder).await else {
        return;
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "compared with the file system's times, which come from the same clock"
    )]
    let now = SystemTime::now();
    while let Ok(Some(entry)) = entries.next_entry().await {
        let modified = entry.metadata().await.and_then(|metadata| metadata.modified());
        let is_old =
            modified.is_ok_and(|modified| now.duration_since(modified).is_ok_and(|age| age > AGE_MAX));
        if is_old {
            let _ = tokio::fs::remove_file(entry.path()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_state_is_replaced_read_and_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = StateFile::of(&folder.path().join("new"), &serde_json::json!({ "a": 1 }));
        assert_eq!(file.read::<u32>().await.expect("read"), None);
        for state in [1_u32, 2] {
            file.write(&state).await.expect("written");
            assert_eq!(file.read::<u32>().await.expect("read"), Some(state));
        }
        assert_eq!(file.read::<String>().await.expect("read"), None);
        remove_old(&folder.path().join("new")).await;
        assert_eq!(file.read::<u32>().await.expect("read"), Some(2));
        for _ in 0..2 {
            file.remove().await.expect("removed");
        }
        assert_eq!(file.read::<u32>().await.expect("read"), None);
    }
}
