//! What the tests share.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use boards_storage_core::{
    CallOptions, Content, DownloadOptions, Error, ErrorKind, ListEntry, ListOptions, ObjectMetadata, Result,
    StorageKey, StorageProvider, UploadOptions,
};
use boards_storage_local::{LocalProvider, LocalSettings};
use bytes::Bytes;
use futures_util::TryStreamExt;
use tempfile::TempDir;

/// The folder of everything that is no object.
pub(crate) const INTERNAL: &str = ".boards-storage";

/// The most that a test reads into memory.
pub(crate) const BYTES_MAX: usize = 64 * 1024 * 1024;

/// A provider on a fresh base directory, beside which there is room for other things.
pub(crate) struct Scene {
    pub(crate) folder: TempDir,
    pub(crate) base: PathBuf,
    pub(crate) provider: LocalProvider,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let base = folder.path().join("base");
        let provider = open(&base).await;
        Self {
            folder,
            base,
            provider,
        }
    }

    pub(crate) fn path(&self, key: &str) -> PathBuf {
        self.base.join(key)
    }
}

/// Runs a test on several threads.
pub(crate) fn run<F: Future>(work: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(work)
}

pub(crate) async fn try_open(base: &Path) -> Result<LocalProvider> {
    LocalProvider::open("local", LocalSettings::new(base).without_fsync()).await
}

pub(crate) async fn open(base: &Path) -> LocalProvider {
    try_open(base).await.expect("opened")
}

pub(crate) fn key(text: &str) -> StorageKey {
    StorageKey::parse(text).expect("a key")
}

pub(crate) async fn try_put(
    provider: &LocalProvider,
    text: &str,
    bytes: impl Into<Bytes>,
) -> Result<ObjectMetadata> {
    provider
        .upload(&key(text), Content::from_bytes(bytes), &UploadOptions::default())
        .await
}

pub(crate) async fn put(provider: &LocalProvider, text: &str, bytes: impl Into<Bytes>) -> ObjectMetadata {
    try_put(provider, text, bytes).await.expect("uploaded")
}

pub(crate) async fn try_read(provider: &LocalProvider, text: &str) -> Result<Bytes> {
    let outcome = provider.download(&key(text), &DownloadOptions::default()).await?;
    outcome.into_object()?.bytes(BYTES_MAX).await
}

pub(crate) async fn read(provider: &LocalProvider, text: &str) -> Bytes {
    try_read(provider, text).await.expect("downloaded")
}

pub(crate) async fn metadata(provider: &LocalProvider, text: &str) -> ObjectMetadata {
    provider
        .metadata(&key(text), &CallOptions::default())
        .await
        .expect("described")
}

pub(crate) async fn list(provider: &LocalProvider, options: &ListOptions) -> Vec<String> {
    let entries = provider.list(options).await.expect("a listing");
    let name = |entry: ListEntry| entry.name().to_owned();
    entries.map_ok(name).try_collect().await.expect("a whole listing")
}

pub(crate) async fn list_all(provider: &LocalProvider) -> Vec<String> {
    list(provider, &ListOptions::default()).await
}

/// Checks the kind of an error, and that what it shows has these words. Returns the error.
#[track_caller]
pub(crate) fn check_refused<T: std::fmt::Debug>(outcome: Result<T>, kind: ErrorKind, words: &str) -> Error {
    let error = outcome.expect_err("it must be refused");
    let shown = format!("{error} {}", error.help().unwrap_or_default());
    assert!(
        error.kind() == kind && shown.contains(words),
        "expected {kind:?} with {words:?}: {error:?}"
    );
    error
}

/// Returns all paths below a folder, relative to it. Links are not followed.
pub(crate) fn paths_below(folder: &Path) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(present) = folders.pop() {
        for entry in std::fs::read_dir(&present).expect("a readable folder") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("a type").is_dir() {
                folders.push(entry.path());
            }
            let below = entry.path().strip_prefix(folder).expect("below").to_owned();
            paths.insert(below.to_str().expect("UTF-8").to_owned());
        }
    }
    paths
}

/// Returns what is staged: all files in all staging folders but the notebook and the owner's lock.
pub(crate) fn staged_files(base: &Path) -> Vec<PathBuf> {
    let staging = base.join(INTERNAL).join("staging");
    let is_payload = |path: &&String| {
        path.split_once('/')
            .is_some_and(|(_, name)| !["owner", "notes"].contains(&name))
    };
    paths_below(&staging)
        .iter()
        .filter(is_payload)
        .map(|path| staging.join(path))
        .collect()
}

/// Returns the names of the staging folders.
pub(crate) fn staging_folders(base: &Path) -> BTreeSet<String> {
    let paths = paths_below(&base.join(INTERNAL).join("staging"));
    paths.into_iter().filter(|path| !path.contains('/')).collect()
}

/// Returns bytes that differ from piece to piece.
pub(crate) fn pattern(size_bytes: usize, seed: u64) -> Vec<u8> {
    use rand::{RngExt, SeedableRng};
    let mut bytes = vec![0; size_bytes];
    rand::rngs::StdRng::seed_from_u64(seed).fill(&mut bytes[..]);
    bytes
}
