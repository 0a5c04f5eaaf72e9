//! Fetching an artifact into a file: ranges in parallel, checked against the record.

use std::fs::File;
use std::io;
use std::sync::Arc;

use tracing::Instrument as _;

use super::read::{Tries, lost};
use super::store::about;
use super::{ArtifactLocator, ArtifactReference, StorageManager};
use crate::audit::{AuditOperation, Recording};
use crate::capabilities::Capability;
use crate::catalog::{ArtifactRecord, Replica};
use crate::checksum::{Digest, DigestHasher};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::check_digest;
use crate::transfer::{Downloader, FileDownloadOptions};

/// So many bytes are hashed at a time.
const READ_SIZE_BYTES: usize = 1 << 20;

impl StorageManager {
    /// Reads a variant's bytes into a file, which must be readable too, and checks them against the record's digest.
    ///
    /// Large objects come in several ranges at once where the provider can, and a call that was interrupted goes on
    /// with the state that its journal kept: see [`Downloader::download_to_file`]. The state stays after a success:
    /// the caller forgets it when the file is where it belongs. Neither is synced to disk.
    ///
    /// # Errors
    ///
    /// As [`StorageManager::open_artifact`]; `Corruption` if the file does not have the record's digest in the end,
    /// and then the state is forgotten; what [`Downloader::download_to_file`] answers.
    ///
    /// # Examples
    ///
    /// ```
    /// use boards_storage_core::{ArtifactId, ArtifactReference, FileDownloadOptions, Result, StorageManager};
    ///
    /// async fn fetch(manager: &StorageManager, id: ArtifactId, file: std::fs::File) -> Result<ArtifactReference> {
    ///     manager.fetch_artifact(id, file, &FileDownloadOptions::default()).await
    /// }
    /// ```
    pub async fn fetch_artifact(
        &self,
        locator: impl Into<ArtifactLocator>,
        file: File,
        options: &FileDownloadOptions,
    ) -> Result<ArtifactReference> {
        let locator = locator.into();
        let options = options.clone().with_context(self.context_of(&options.context));
        let mut recording = self.record_begin(AuditOperation::Fetch, &options.context).await?;
        recording.note(|event| event.asked(&locator));
        let span = recording.span();
        let fetched = self
            .fetch(&locator, Arc::new(file), &options, &mut recording)
            .instrument(span)
            .await;
        recording
            .end_with(fetched, |event, reference| event.bytes_out = Some(reference.size))
            .await
    }

    async fn fetch(
        &self,
        locator: &ArtifactLocator,
        file: Arc<File>,
        options: &FileDownloadOptions,
        recording: &mut Recording,
    ) -> Result<ArtifactReference> {
        let record = self.record(locator).await?;
        recording.note(|event| event.found(&record));
        let mut tries = Tries::of(&record, &options.context);
        while let Some(replica) = tries.next() {
            match self.fetch_replica(&record, replica, &file, options).await {
                Ok(()) => {
                    recording.note(|event| event.at(replica));
                    return self.reference(&record).await;
                }
                Err(error) => tries.failed(replica, error),
            }
        }
        Err(self.lost_or_gone(&record, tries.sum_up()).await)
    }

    async fn fetch_replica(
        &self,
        record: &ArtifactRecord,
        replica: &Replica,
        file: &Arc<File>,
        options: &FileDownloadOptions,
    ) -> Result<()> {
        let provider = self.provider(&replica.provider)?;
        let mut options = options.clone();
        options.context = about(&options.context, &record.variant.tenant, record.version);
        if provider.capabilities().has(Capability::ConditionalDownload) {
            options.if_match.clone_from(&replica.etag);
        }
        let downloader = Downloader::new(provider).with_settings(self.inner.settings.downloader);
        let found = downloader
            .download_to_file(&replica.key, Arc::clone(file), &options)
            .await
            .map_err(|error| lost(replica, error))?;
        let checked = if found.size_bytes == record.size_bytes {
            check_file(Arc::clone(file), record.digest).await
        } else {
            Err(Error::new(
                ErrorKind::Corruption,
                format!(
                    "the record says {} bytes, the store has {}",
                    record.size_bytes, found.size_bytes
                ),
            ))
        };
        if let (Err(error), Some(journal)) = (&checked, &options.journal)
            && error.kind() == ErrorKind::Corruption
        {
            journal.forget().await?;
        }
        checked.map_err(|error| error.with_key(&replica.key))
    }
}

async fn check_file(file: Arc<File>, expected: Digest) -> Result<()> {
    let hashed = tokio::task::spawn_blocking(move || hash(&file, expected)).await;
    let found = hashed.map_err(io::Error::other).flatten().map_err(|source| {
        Error::new(ErrorKind::Storage, "the file cannot be read back").with_source(source)
    })?;
    check_digest(expected, found)
}

fn hash(file: &File, expected: Digest) -> io::Result<Digest> {
    let mut hasher = DigestHasher::new(expected.algorithm());
    let mut buffer = vec![0; READ_SIZE_BYTES];
    let mut position = 0;
    loop {
        match read_at(file, &mut buffer, position) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                position += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, position)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, position)
}
