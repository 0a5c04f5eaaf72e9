//! A base directory with its provider, and how to look at both.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use boards_storage_core::{
    CallOptions, Content, ContentType, DownloadOptions, ErrorKind, ObjectAttributes, ObjectMetadata, Result,
    StorageKey, StorageProvider, UploadOptions,
};
use boards_storage_local::{LocalProvider, LocalSettings};
use futures_util::StreamExt;
use tempfile::TempDir;

pub(crate) struct Base {
    pub(crate) folder: TempDir,
}

impl Base {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn settings(&self) -> LocalSettings {
        LocalSettings::new(self.path())
    }

    pub(crate) async fn open(&self) -> LocalProvider {
        LocalProvider::open("local", self.settings())
            .await
            .expect("opened")
    }

    /// Opens it without checksums, so that an object may have no sidecar.
    pub(crate) async fn open_plain(&self) -> LocalProvider {
        LocalProvider::open("local", self.settings().without_checksum())
            .await
            .expect("opened")
    }

    /// Returns the paths of all files below a folder, relative to the base.
    pub(crate) fn files(&self, folder: &str) -> BTreeSet<String> {
        let mut files = BTreeSet::new();
        let mut folders = vec![self.path().join(folder)];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else {
                continue;
            };
            for entry in entries {
                let entry = entry.expect("an entry");
                if entry.file_type().expect("a type").is_dir() {
                    folders.push(entry.path());
                } else {
                    let path = entry.path();
                    let path = path.strip_prefix(self.path()).expect("below the base");
                    files.insert(path.to_str().expect("UTF-8").to_owned());
                }
            }
        }
        files
    }

    /// Returns the sidecars.
    pub(crate) fn sidecars(&self) -> Vec<PathBuf> {
        self.files(".boards-storage/meta")
            .into_iter()
            .map(|path| self.path().join(path))
            .collect()
    }

    /// Returns the staged payloads.
    pub(crate) fn staged(&self) -> Vec<String> {
        let files = self.files(".boards-storage/staging").into_iter();
        files
            .filter(|path| !path.ends_with("/owner") && !path.ends_with("/notes"))
            .collect()
    }
}

pub(crate) fn key(text: &str) -> StorageKey {
    StorageKey::parse(text).expect("a key")
}

pub(crate) fn attributes() -> ObjectAttributes {
    ObjectAttributes::default()
        .with_content_type(ContentType::parse("image/webp").expect("a type"))
        .with_user_metadata("origin", "Zürich")
}

pub(crate) async fn put(provider: &LocalProvider, name: &str, bytes: &[u8]) -> ObjectMetadata {
    let options = UploadOptions::default().with_attributes(attributes());
    provider
        .upload(&key(name), Content::from(bytes.to_vec()), &options)
        .await
        .expect("stored")
}

pub(crate) async fn get(provider: &LocalProvider, name: &str) -> Result<Vec<u8>> {
    let download = provider
        .download(&key(name), &DownloadOptions::default())
        .await?
        .into_object()?;
    // As a stream, so that large objects are read as they are in earnest.
    let mut stream = download.into_stream();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

pub(crate) async fn head(provider: &LocalProvider, name: &str) -> Result<ObjectMetadata> {
    provider.metadata(&key(name), &CallOptions::default()).await
}

pub(crate) fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.expect_err("an error").kind()
}

/// Returns bytes that tell their place.
pub(crate) fn pattern(size: usize) -> Vec<u8> {
    (0..size)
        .map(|index| (index.wrapping_mul(31) ^ (index >> 9)).to_le_bytes()[0])
        .collect()
}
