//! Downloads of large objects by several ranges at once, pinned to one state of the object.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};

use crate::capabilities::{Capabilities, Capability};
use crate::content::ByteStream;
use crate::download::{Download, DownloadOutcome};
use crate::error::Result;
use crate::key::StorageKey;
use crate::options::{CallOptions, DownloadOptions};
use crate::provider::SharedProvider;
use crate::range::ByteRange;

/// How a [`Downloader`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DownloaderSettings {
    /// How many ranges of a stream are on their way at once; 1 means one plain request. 1 by default.
    pub concurrency: usize,
    /// How many ranges are on their way at once when an object is read into a file. 4 by default.
    pub file_concurrency: usize,
    /// The size of a range in bytes. 8 MiB by default.
    pub range_size_bytes: u64,
}

impl Default for DownloaderSettings {
    fn default() -> Self {
        Self {
            concurrency: 1,
            file_concurrency: 4,
            range_size_bytes: 8 << 20,
        }
    }
}

/// Reads objects through a provider, large ones by several ranges at once.
///
/// All ranges are pinned to the entity tag of the first look, so the bytes are those of one state of the object; an
/// overwrite in between ends the stream with `PreconditionFailed`. It holds at most `range_size × concurrency` bytes.
/// Parallel reading needs `Range` and `ConditionalDownload`; without them, or below two ranges, it is one request.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{DownloadOptions, Downloader, Result, SharedProvider, StorageKey};
///
/// async fn fetch(provider: SharedProvider, key: &StorageKey) -> Result<bytes::Bytes> {
///     let downloader = Downloader::new(provider);
///     downloader.download(key, &DownloadOptions::default()).await?.into_object()?.bytes(1 << 30).await
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Downloader {
    pub(super) provider: SharedProvider,
    pub(super) settings: DownloaderSettings,
}

impl Downloader {
    /// Creates a downloader with default settings.
    #[must_use]
    pub fn new(provider: SharedProvider) -> Self {
        Self {
            provider,
            settings: DownloaderSettings::default(),
        }
    }

    /// Sets how it reads.
    #[must_use]
    pub fn with_settings(mut self, settings: DownloaderSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Reads an object or a range of it.
    ///
    /// # Errors
    ///
    /// As [`StorageProvider::download`](crate::StorageProvider::download).
    pub async fn download(&self, key: &StorageKey, options: &DownloadOptions) -> Result<DownloadOutcome> {
        let can_pin = can_pin(self.provider.capabilities());
        let is_conditional = options.if_none_match.is_some() || options.if_modified_since.is_some();
        if self.settings.concurrency < 2 || !can_pin || is_conditional || options.version.is_some() {
            return self.provider.download(key, options).await;
        }
        let look = CallOptions::default().with_context(options.context.clone());
        let metadata = self.provider.metadata(key, &look).await?;
        let range = match options.range {
            Some(range) => range.resolve(metadata.size_bytes)?,
            None => 0..metadata.size_bytes,
        };
        let size = self.settings.range_size_bytes.max(1);
        let Some(etag) = options.if_match.clone().or_else(|| metadata.etag.clone()) else {
            return self.provider.download(key, options).await;
        };
        if range.end - range.start <= size {
            return self.provider.download(key, options).await;
        }
        let (provider, key, context) = (Arc::clone(&self.provider), key.clone(), options.context.clone());
        let count = (range.end - range.start).div_ceil(size);
        let (start, end) = (range.start, range.end);
        let ranges = futures_util::stream::iter(0..count).map(move |index| {
            let from = start + index * size;
            let part = ByteRange::from(from..end.min(from + size));
            let options = DownloadOptions::default()
                .with_context(context.clone())
                .with_range(part)
                .with_if_match(etag.clone());
            let (provider, key) = (Arc::clone(&provider), key.clone());
            async move {
                let download = provider.download(&key, &options).await?.into_object()?;
                // Each range is read to its end here, or the ranges would wait for one another.
                download.into_stream().try_collect::<Vec<_>>().await
            }
        });
        let pieces: ByteStream = Box::pin(
            ranges
                .buffered(self.settings.concurrency)
                .map_ok(|pieces| futures_util::stream::iter(pieces.into_iter().map(Ok)))
                .try_flatten(),
        );
        Ok(DownloadOutcome::Object(Download::from_stream(
            metadata, range, pieces,
        )))
    }
}

/// Says whether several requests can be held to one state of an object.
pub(super) fn can_pin(capabilities: &Capabilities) -> bool {
    capabilities.has(Capability::Range) && capabilities.has(Capability::ConditionalDownload)
}
