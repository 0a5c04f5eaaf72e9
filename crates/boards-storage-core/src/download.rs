//! What a download answers.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use jiff::Timestamp;
use tokio::io::AsyncBufRead;
use tokio_util::io::StreamReader;

use crate::content::{ByteStream, collect, report_progress};
use crate::error::{Error, ErrorKind, Result};
use crate::metadata::{ETag, ObjectMetadata};

/// The answer to a download: the object, or the news that the caller's copy is still the present one.
#[derive(Debug)]
pub enum DownloadOutcome {
    /// The object's bytes follow.
    Object(Download),
    /// `if_none_match` or `if_modified_since` held: nothing is sent.
    NotModified(NotModified),
}

impl DownloadOutcome {
    /// Returns the object.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the answer is [`NotModified`], which only comes to those who asked for it.
    pub fn into_object(self) -> Result<Download> {
        match self {
            Self::Object(download) => Ok(download),
            Self::NotModified(_) => Err(Error::invalid_input(
                "the object was not modified; handle DownloadOutcome::NotModified when a condition is set",
            )),
        }
    }
}

/// The state of an object that the caller has already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotModified {
    /// The present entity tag.
    pub etag: Option<ETag>,
    /// When the present state was written.
    pub modified: Option<Timestamp>,
}

impl NotModified {
    /// Creates the answer.
    #[must_use]
    pub fn new(etag: Option<ETag>, modified: Option<Timestamp>) -> Self {
        Self { etag, modified }
    }
}

/// An object, or a range of it, on its way.
///
/// Whoever reads it gets exactly [`Download::length`] bytes or an error, also if the store or a layer cut the stream:
/// `ProviderUnavailable` for too few, `Corruption` for too many.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{Download, ObjectMetadata, StorageKey};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> boards_storage_core::Result<()> {
/// let metadata = ObjectMetadata::new(StorageKey::parse("a")?, 5);
/// let download = Download::from_bytes(metadata, 0..5, "hello".into());
/// assert_eq!(&download.bytes(1024).await?[..], b"hello");
/// # Ok(())
/// # }
/// ```
pub struct Download {
    metadata: Arc<ObjectMetadata>,
    range: Range<u64>,
    body: Body,
}

enum Body {
    Bytes(Bytes),
    Stream(ByteStream),
}

impl Download {
    /// Creates a download whose bytes are here.
    #[must_use]
    pub fn from_bytes(metadata: impl Into<Arc<ObjectMetadata>>, range: Range<u64>, bytes: Bytes) -> Self {
        debug_assert_eq!(
            range.end - range.start,
            bytes.len() as u64,
            "a body fills its range"
        );
        Self {
            metadata: metadata.into(),
            range,
            body: Body::Bytes(bytes),
        }
    }

    /// Creates a download whose bytes will come. The stream must give exactly the range's bytes or fail; one that
    /// does not fails for its reader.
    #[must_use]
    pub fn from_stream(
        metadata: impl Into<Arc<ObjectMetadata>>,
        range: Range<u64>,
        stream: ByteStream,
    ) -> Self {
        Self {
            metadata: metadata.into(),
            range,
            body: Body::Stream(stream),
        }
    }

    /// Returns the metadata of the whole object.
    #[must_use]
    pub fn metadata(&self) -> &Arc<ObjectMetadata> {
        &self.metadata
    }

    /// Returns the bytes that are sent: `0..size` unless a range was asked for.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// Returns the number of bytes that are sent.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Returns whether the whole object is sent.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.range == (0..self.metadata.size_bytes)
    }

    /// Returns the bytes, if they are all here already.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match &self.body {
            Body::Bytes(bytes) => Some(bytes),
            Body::Stream(_) => None,
        }
    }

    /// Replaces the metadata, keeping the bytes.
    #[must_use]
    pub fn with_metadata(mut self, metadata: impl Into<Arc<ObjectMetadata>>) -> Self {
        self.metadata = metadata.into();
        self
    }

    /// Passes the bytes through `mapping`, which must not change their number.
    #[must_use]
    pub fn map_stream(mut self, mapping: impl FnOnce(ByteStream) -> ByteStream) -> Self {
        self.body = Body::Stream(mapping(self.body.into_stream()));
        self
    }

    /// Calls `progress` with the number of bytes received so far, after each piece.
    #[must_use]
    pub fn with_progress(self, progress: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.map_stream(|stream| report_progress(stream, Arc::new(progress)))
    }

    /// Returns the bytes as a stream of pieces: exactly [`Download::length`] of them, or an error.
    #[must_use]
    pub fn into_stream(self) -> ByteStream {
        let length = self.length();
        match self.body {
            Body::Bytes(_) => self.body.into_stream(),
            Body::Stream(inner) => Box::pin(Exactly {
                inner: Some(inner),
                length,
                seen: 0,
                metadata: self.metadata,
            }),
        }
    }

    /// Returns the bytes as a reader. An [`Error`] on the way is inside the [`std::io::Error`].
    pub fn into_async_read(self) -> impl AsyncBufRead + Send + Unpin + 'static {
        StreamReader::new(self.into_stream())
    }

    /// Reads everything into memory, at most `size_bytes_max` bytes.
    ///
    /// # Errors
    ///
    /// `InvalidInput` before a byte is read if there is more; what the store answers while reading, `Corruption`
    /// included; as [`Download::into_stream`].
    pub async fn bytes(self, size_bytes_max: usize) -> Result<Bytes> {
        let length = self.length();
        if length > size_bytes_max as u64 {
            return Err(Error::invalid_input(format!(
                "'{}' has {length} bytes, more than the {size_bytes_max} that may be read into memory",
                self.metadata.key
            ))
            .with_help("allow more, or read it as a stream"));
        }
        match self.body {
            Body::Bytes(bytes) => Ok(bytes),
            Body::Stream(stream) => {
                let bytes = collect(stream, size_bytes_max, Some(length)).await?;
                check_length(&self.metadata, length, bytes.len() as u64)?;
                Ok(bytes)
            }
        }
    }
}

impl Body {
    fn into_stream(self) -> ByteStream {
        match self {
            Self::Bytes(bytes) => Box::pin(futures_util::stream::iter(
                (!bytes.is_empty()).then_some(Ok(bytes)),
            )),
            Self::Stream(stream) => stream,
        }
    }
}

/// Checks how many bytes came in all.
fn check_length(metadata: &ObjectMetadata, length: u64, seen: u64) -> Result<()> {
    if seen == length {
        return Ok(());
    }
    let error = if seen < length {
        let short = length - seen;
        Error::new(
            ErrorKind::ProviderUnavailable,
            format!("the stream ended {short} bytes too early, after {seen}"),
        )
        .with_help("read it again, or go on with a range from where it ended")
    } else {
        Error::new(
            ErrorKind::Corruption,
            format!("the store sent more than the {length} bytes that it announced"),
        )
    };
    Err(error.with_key(&metadata.key))
}

/// A stream that gives exactly so many bytes, or fails.
struct Exactly {
    /// Gone at the end.
    inner: Option<ByteStream>,
    length: u64,
    seen: u64,
    metadata: Arc<ObjectMetadata>,
}

impl Stream for Exactly {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        let item = ready!(inner.as_mut().poll_next(context));
        if let Some(Ok(piece)) = &item {
            this.seen += piece.len() as u64;
            if this.seen <= this.length {
                return Poll::Ready(item);
            }
        }
        this.inner = None;
        Poll::Ready(match item {
            Some(Err(error)) => Some(Err(error)),
            Some(Ok(_)) | None => check_length(&this.metadata, this.length, this.seen)
                .err()
                .map(Err),
        })
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download")
            .field("metadata", &self.metadata)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;
    use crate::key::StorageKey;

    /// A store that announces three bytes and sends these pieces.
    fn download(pieces: &[&'static str]) -> Download {
        let metadata = ObjectMetadata::new(StorageKey::parse("a").expect("a key"), 3);
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Ok(Bytes::from_static(piece.as_bytes())))
            .collect();
        Download::from_stream(metadata, 0..3, Box::pin(futures_util::stream::iter(pieces)))
    }

    async fn check(pieces: &[&'static str], expected: Result<&str, ErrorKind>) {
        let expected = expected.map(|text| Bytes::copy_from_slice(text.as_bytes()));
        // The store sends what it has: more than may be held is another error.
        let whole = download(pieces).bytes(5).await;
        assert_eq!(whole.map_err(|error| error.kind()), expected, "{pieces:?}");
        let streamed: Vec<_> = download(pieces).into_stream().collect().await;
        let streamed: Result<Vec<Bytes>> = streamed.into_iter().collect();
        let streamed = streamed.map(|pieces| Bytes::from(pieces.concat()));
        assert_eq!(streamed.map_err(|error| error.kind()), expected, "{pieces:?}");
    }

    #[tokio::test]
    async fn a_reader_gets_every_byte_or_an_error() {
        check(&["ab", "", "c"], Ok("abc")).await;
        check(&["ab"], Err(ErrorKind::ProviderUnavailable)).await;
        check(&[], Err(ErrorKind::ProviderUnavailable)).await;
        check(&["ab", "cd"], Err(ErrorKind::Corruption)).await;
        let mapped = download(&["ab"]).map_stream(|inner| Box::pin(inner));
        assert!(mapped.bytes(5).await.is_err());
    }
}
