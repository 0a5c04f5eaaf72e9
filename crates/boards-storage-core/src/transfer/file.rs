//! Downloads into a file: several ranges at once, each written where it belongs, resumable.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::downloader::{Downloader, can_pin};
use super::journal::Journal;
use crate::download::Download;
use crate::error::{Error, ErrorKind, Result};
use crate::key::StorageKey;
use crate::metadata::{ETag, ObjectMetadata};
use crate::options::{CallContext, CallOptions, DownloadOptions};
use crate::range::ByteRange;

/// So many bytes are gathered before they are written.
const WRITE_SIZE_BYTES: usize = 1 << 20;

/// A download into a file as it can be kept and gone on with, in this process or another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DownloadState {
    /// The state of the object that the bytes are of.
    pub etag: ETag,
    /// The object's size in bytes.
    pub size_bytes: u64,
    /// The size of a range in bytes; the last may be smaller.
    pub range_size_bytes: u64,
    /// The ranges that the file has, counted from 0.
    pub done: BTreeSet<u64>,
}

impl DownloadState {
    fn count(&self) -> u64 {
        self.size_bytes.div_ceil(self.range_size_bytes)
    }

    fn range(&self, index: u64) -> Range<u64> {
        let start = index * self.range_size_bytes;
        start..self.size_bytes.min(start + self.range_size_bytes)
    }

    fn bytes_done(&self) -> u64 {
        let done = self.done.iter().map(|index| self.range(*index));
        done.map(|range| range.end - range.start).sum()
    }
}

/// Options of [`Downloader::download_to_file`].
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct FileDownloadOptions {
    /// What travels with the calls.
    pub context: CallContext,
    /// The state that the object must be in; the present one by default.
    pub if_match: Option<ETag>,
    /// Where a download that stopped goes on. It is ignored if the object is another one by now.
    pub state: Option<DownloadState>,
    /// Where the state is kept.
    pub journal: Option<Arc<dyn Journal<DownloadState>>>,
    progress: Option<Arc<dyn Fn(u64) + Send + Sync>>,
}

impl FileDownloadOptions {
    /// Sets what travels with the calls.
    #[must_use]
    pub fn with_context(mut self, context: CallContext) -> Self {
        self.context = context;
        self
    }

    /// Asks for this state of the object.
    #[must_use]
    pub fn with_if_match(mut self, etag: ETag) -> Self {
        self.if_match = Some(etag);
        self
    }

    /// Goes on where a download stopped. The file must be the one that it wrote to.
    #[must_use]
    pub fn with_state(mut self, state: DownloadState) -> Self {
        self.state = Some(state);
        self
    }

    /// Keeps the state after each range.
    #[must_use]
    pub fn with_journal(mut self, journal: Arc<dyn Journal<DownloadState>>) -> Self {
        self.journal = Some(journal);
        self
    }

    /// Calls `progress` with the number of bytes that the file has, those of an earlier run included.
    #[must_use]
    pub fn with_progress(mut self, progress: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(progress));
        self
    }
}

impl fmt::Debug for FileDownloadOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileDownloadOptions")
            .field("context", &self.context)
            .field("if_match", &self.if_match)
            .field("state", &self.state)
            .field("journal", &self.journal)
            .finish_non_exhaustive()
    }
}

impl Downloader {
    /// Reads a whole object into a file, from the file's beginning on.
    ///
    /// Ranges are read at once, `file_concurrency` of them, all pinned to one state of the object; each is written
    /// where it belongs as its bytes come, so that a few MiB of memory suffice. A range that breaks is taken up again
    /// by the retry layer of the provider's stack, without the others. With a journal, a later call with the kept
    /// state reads only the ranges that are missing. The file gets the object's size; whether its bytes are right is
    /// for the caller to check by their digest, and neither the file nor the state is synced to disk.
    ///
    /// A provider without `Range` or `ConditionalDownload` is read in one stream, from the beginning each time.
    ///
    /// # Errors
    ///
    /// As [`StorageProvider::download`](crate::StorageProvider::download); `PreconditionFailed` if the object is
    /// changed meanwhile; `InsufficientStorage` or `Storage` if the file cannot be written; what the journal answers.
    ///
    /// # Examples
    ///
    /// ```
    /// use boards_storage_core::{Downloader, FileDownloadOptions, ObjectMetadata, Result, SharedProvider, StorageKey};
    ///
    /// async fn fetch(provider: SharedProvider, key: &StorageKey, file: std::fs::File) -> Result<ObjectMetadata> {
    ///     Downloader::new(provider).download_to_file(key, file, &FileDownloadOptions::default()).await
    /// }
    /// ```
    pub async fn download_to_file(
        &self,
        key: &StorageKey,
        file: impl Into<Arc<File>>,
        options: &FileDownloadOptions,
    ) -> Result<ObjectMetadata> {
        let file = file.into();
        let look = CallOptions::default().with_context(options.context.clone());
        let metadata = self.provider.metadata(key, &look).await?;
        set_length(Arc::clone(&file), metadata.size_bytes).await?;
        let etag = options.if_match.clone().or_else(|| metadata.etag.clone());
        match etag.filter(|_| can_pin(self.provider.capabilities())) {
            Some(etag) => self.read_ranges(key, &file, etag, &metadata, options).await?,
            None => self.read_stream(key, &file, &metadata, options).await?,
        }
        Ok(metadata)
    }

    async fn read_ranges(
        &self,
        key: &StorageKey,
        file: &Arc<File>,
        etag: ETag,
        metadata: &ObjectMetadata,
        options: &FileDownloadOptions,
    ) -> Result<()> {
        let size_bytes = metadata.size_bytes;
        let known = options.state.clone();
        let known = known.filter(|known| {
            let is_of_it = known.etag == etag && known.size_bytes == size_bytes;
            is_of_it
                && known.range_size_bytes > 0
                && known.done.last().is_none_or(|last| *last < known.count())
        });
        let state = known.unwrap_or_else(|| DownloadState {
            etag: etag.clone(),
            size_bytes,
            range_size_bytes: self.settings.range_size_bytes.max(1),
            done: BTreeSet::new(),
        });
        let sink = Sink::new(file, state.bytes_done(), options);
        sink.report(0);
        let missing = (0..state.count()).filter(|index| !state.done.contains(index));
        let missing: Vec<_> = missing.map(|index| (index, state.range(index))).collect();
        let state = Mutex::new(state);
        let (state, sink, etag) = (&state, &sink, &etag);
        let reads = missing.into_iter().map(|(index, range)| async move {
            let download = DownloadOptions::default()
                .with_context(options.context.clone())
                .with_range(ByteRange::from(range))
                .with_if_match(etag.clone());
            let download = self.provider.download(key, &download).await?.into_object()?;
            sink.write_all(download).await?;
            let mut state = state.lock().await;
            state.done.insert(index);
            match &options.journal {
                Some(journal) => journal.keep(&state).await,
                None => Ok(()),
            }
        });
        futures_util::stream::iter(reads)
            .buffer_unordered(self.settings.file_concurrency.max(1))
            .try_collect()
            .await
    }

    async fn read_stream(
        &self,
        key: &StorageKey,
        file: &Arc<File>,
        metadata: &ObjectMetadata,
        options: &FileDownloadOptions,
    ) -> Result<()> {
        let download = DownloadOptions::default().with_context(options.context.clone());
        let download = self.provider.download(key, &download).await?.into_object()?;
        if download.length() != metadata.size_bytes {
            return Err(Error::new(
                ErrorKind::PreconditionFailed,
                "the object was changed while it was being read",
            )
            .with_key(key));
        }
        Sink::new(file, 0, options).write_all(download).await
    }
}

/// The file that is written, and who is told.
struct Sink {
    file: Arc<File>,
    bytes: AtomicU64,
    progress: Option<Arc<dyn Fn(u64) + Send + Sync>>,
}

impl Sink {
    fn new(file: &Arc<File>, bytes: u64, options: &FileDownloadOptions) -> Self {
        Self {
            file: Arc::clone(file),
            bytes: AtomicU64::new(bytes),
            progress: options.progress.clone(),
        }
    }

    fn report(&self, more: u64) {
        let bytes = self.bytes.fetch_add(more, Ordering::Relaxed) + more;
        if let Some(progress) = &self.progress {
            progress(bytes);
        }
    }

    /// Writes a download where its range belongs.
    async fn write_all(&self, download: Download) -> Result<()> {
        let mut position = download.range().start;
        let mut stream = download.into_stream();
        let mut gathered = BytesMut::new();
        loop {
            let piece = stream.next().await.transpose()?;
            let is_end = piece.is_none();
            match piece {
                // A large piece is written as it is.
                Some(piece) if gathered.is_empty() && piece.len() >= WRITE_SIZE_BYTES => {
                    position += self.write_at(piece, position).await?;
                }
                Some(piece) => gathered.extend_from_slice(&piece),
                None => {}
            }
            if gathered.len() >= WRITE_SIZE_BYTES || (is_end && !gathered.is_empty()) {
                position += self.write_at(gathered.split().freeze(), position).await?;
            }
            if is_end {
                return Ok(());
            }
        }
    }

    async fn write_at(&self, bytes: Bytes, position: u64) -> Result<u64> {
        let length = bytes.len() as u64;
        let file = Arc::clone(&self.file);
        blocking(move || write_all_at(&file, &bytes, position)).await?;
        self.report(length);
        Ok(length)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "it runs in a blocking task; the file is the caller's own"
)]
async fn set_length(file: Arc<File>, length: u64) -> Result<()> {
    blocking(move || file.set_len(length)).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await.map_err(io::Error::other);
    done.flatten().map_err(|source| {
        let kind = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::InsufficientStorage,
            io::ErrorKind::PermissionDenied => ErrorKind::AccessDenied,
            _ => ErrorKind::Storage,
        };
        Error::new(kind, "the bytes cannot be written to the file").with_source(source)
    })
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, position)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut position: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, position)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
        position += written as u64;
    }
    Ok(())
}
