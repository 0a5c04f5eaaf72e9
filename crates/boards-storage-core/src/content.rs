//! What is uploaded: bytes, something that can be read again, or a stream that can be read once.

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_util::StreamExt;
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use crate::checksum::Digest;
use crate::error::{Error, ErrorKind, Result};

/// A stream of bytes. It owns what it needs and may be sent between threads.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send + 'static>>;

/// How much is read from a file or reader at a time.
const READ_SIZE_BYTES: usize = 256 * 1024;

type Factory = Arc<dyn Fn() -> BoxFuture<'static, Result<ByteStream>> + Send + Sync>;
type Mapping = Arc<dyn Fn(ByteStream) -> ByteStream + Send + Sync>;

/// The content of an upload, with its length where that is known.
///
/// Clones share the source. Bytes and replayable sources can be opened any number of times; a one-shot stream
/// once, by whichever clone comes first, but an opening that is dropped before it gave anything does not count:
/// [`Content::can_replay`] tells retry and fallback whether it is still there. A declared length is checked while the bytes flow: more or fewer bytes are an error.
///
/// # Examples
///
/// ```
/// use boards_storage_core::Content;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> boards_storage_core::Result<()> {
/// let content = Content::from("hello");
/// assert_eq!(content.length(), Some(5));
/// assert!(content.can_replay());
///
/// let once = Content::from_async_read(&b"hello"[..]);
/// assert_eq!(once.length(), None);
/// assert_eq!(&once.collect(1024).await?[..], b"hello");
/// assert!(!once.can_replay());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Content {
    source: Source,
    length: Option<u64>,
    mappings: Vec<Mapping>,
    /// The digest of the plain bytes, where it was computed already.
    known_digest: Option<Digest>,
}

#[derive(Clone)]
enum Source {
    Bytes(Bytes),
    Replayable(Factory),
    OneShot(Slot),
}

/// Where a one-shot stream waits to be opened.
type Slot = Arc<Mutex<Option<ByteStream>>>;

impl Content {
    /// Creates content that holds its bytes.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let length = Some(bytes.len() as u64);
        Self {
            source: Source::Bytes(bytes),
            length,
            mappings: Vec::new(),
            known_digest: None,
        }
    }

    /// Creates replayable content from a function that opens the same bytes anew each time.
    pub fn from_factory<F>(length: Option<u64>, open: F) -> Self
    where
        F: Fn() -> BoxFuture<'static, Result<ByteStream>> + Send + Sync + 'static,
    {
        Self {
            source: Source::Replayable(Arc::new(open)),
            length,
            mappings: Vec::new(),
            known_digest: None,
        }
    }

    /// Creates content from a stream that can be read once.
    pub fn from_stream<S>(length: Option<u64>, stream: S) -> Self
    where
        S: Stream<Item = Result<Bytes>> + Send + 'static,
    {
        let stream: ByteStream = Box::pin(stream);
        Self {
            source: Source::OneShot(Arc::new(Mutex::new(Some(stream)))),
            length,
            mappings: Vec::new(),
            known_digest: None,
        }
    }

    /// Creates one-shot content of unknown length from a reader, such as standard input.
    pub fn from_async_read<R>(reader: R) -> Self
    where
        R: AsyncRead + Send + 'static,
    {
        Self::from_stream(None, read_to_end(reader))
    }

    /// Creates replayable content from a file. Its length is taken now; a file that changes later is an error.
    ///
    /// # Errors
    ///
    /// `NotFound`, `AccessDenied` or `Storage` if the file cannot be looked at; `InvalidInput` if it is not a
    /// regular file.
    pub async fn from_path(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let metadata = tokio::fs::metadata(&path)
            .await
            .map_err(|source| file_error(&path, source))?;
        if !metadata.is_file() {
            return Err(Error::invalid_input(format!(
                "'{}' is not a regular file",
                path.display()
            )));
        }
        let path: Arc<PathBuf> = Arc::new(path);
        Ok(Self::from_factory(Some(metadata.len()), move || {
            let path = Arc::clone(&path);
            Box::pin(async move {
                let mut file = tokio::fs::File::open(&*path)
                    .await
                    .map_err(|source| file_error(&path, source))?;
                file.set_max_buf_size(READ_SIZE_BYTES);
                Ok(Box::pin(read_to_end(file)) as ByteStream)
            })
        }))
    }

    /// Declares or corrects the length in bytes. A length that lies fails the upload.
    #[must_use]
    pub fn with_length(mut self, length: u64) -> Self {
        if !matches!(self.source, Source::Bytes(_)) || !self.mappings.is_empty() {
            self.length = Some(length);
        }
        self
    }

    /// Passes every opened stream through `mapping`, which must not change the number of bytes.
    ///
    /// Used to observe, limit or hash the bytes as they flow. Replayable content stays replayable: the mapping
    /// starts anew with each opening.
    #[must_use]
    pub fn map_stream<F>(mut self, mapping: F) -> Self
    where
        F: Fn(ByteStream) -> ByteStream + Send + Sync + 'static,
    {
        self.mappings.push(Arc::new(mapping));
        self.known_digest = None;
        self
    }

    /// Notes a digest that was computed from these very bytes, so that nobody computes it again.
    #[must_use]
    pub(crate) fn with_known_digest(mut self, digest: Digest) -> Self {
        self.known_digest = Some(digest);
        self
    }

    /// Returns the digest that was computed from these very bytes already, if it was.
    #[must_use]
    pub fn known_digest(&self) -> Option<Digest> {
        self.known_digest
    }

    /// Calls `progress` with the number of bytes sent so far in this opening, after each piece.
    #[must_use]
    pub fn with_progress<F>(self, progress: F) -> Self
    where
        F: Fn(u64) + Send + Sync + 'static,
    {
        let progress: Arc<dyn Fn(u64) + Send + Sync> = Arc::new(progress);
        self.map_stream(move |stream| report_progress(stream, Arc::clone(&progress)))
    }

    /// Returns the length in bytes, where it is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Returns the bytes, if the content simply holds them.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match &self.source {
            Source::Bytes(bytes) if self.mappings.is_empty() => Some(bytes),
            Source::Bytes(_) | Source::Replayable(_) | Source::OneShot(_) => None,
        }
    }

    /// Returns whether [`Content::open`] can still succeed: always, but for a one-shot stream that is open, or that
    /// gave anything when it was.
    #[must_use]
    pub fn can_replay(&self) -> bool {
        match &self.source {
            Source::Bytes(_) | Source::Replayable(_) => true,
            Source::OneShot(stream) => stream.lock().unwrap_or_else(PoisonError::into_inner).is_some(),
        }
    }

    /// Returns whether the content can be opened more than once.
    #[must_use]
    pub fn is_replayable(&self) -> bool {
        !matches!(self.source, Source::OneShot(_))
    }

    /// Opens the content for reading from its beginning.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is a one-shot stream that was read from before; what the source answers otherwise. The
    /// stream itself fails with `InvalidInput` if the declared length lies.
    pub async fn open(&self) -> Result<ByteStream> {
        let mut stream: ByteStream = match &self.source {
            Source::Bytes(bytes) => {
                let bytes = bytes.clone();
                Box::pin(futures_util::stream::iter(
                    (!bytes.is_empty()).then_some(Ok(bytes)),
                ))
            }
            Source::Replayable(factory) => factory().await?,
            Source::OneShot(slot) => {
                let taken = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
                let stream = taken.ok_or_else(|| {
                    Error::invalid_input("the content is a one-shot stream that was read already")
                        .with_help("give bytes, a file or a factory of streams if the upload may be repeated")
                })?;
                Box::pin(Lent {
                    stream: Some(stream),
                    slot: Some(Arc::clone(slot)),
                })
            }
        };
        for mapping in &self.mappings {
            stream = mapping(stream);
        }
        Ok(match (&self.source, self.length) {
            (Source::Bytes(_), _) | (_, None) => stream,
            (_, Some(length)) => Box::pin(LengthChecked {
                inner: stream,
                declared: length,
                seen: 0,
                done: false,
            }),
        })
    }

    /// Reads everything into memory, at most `size_bytes_max` bytes.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there is more, or as [`Content::open`].
    pub async fn collect(&self, size_bytes_max: usize) -> Result<Bytes> {
        if let Some(bytes) = self.as_bytes()
            && bytes.len() <= size_bytes_max
        {
            return Ok(bytes.clone());
        }
        collect(self.open().await?, size_bytes_max, self.length).await
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            Source::Bytes(_) => "bytes",
            Source::Replayable(_) => "replayable",
            Source::OneShot(_) => "one-shot",
        };
        f.debug_struct("Content")
            .field("source", &source)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self::from_bytes(bytes)
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from_bytes(bytes)
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::from_bytes(text)
    }
}

impl From<&'static str> for Content {
    fn from(text: &'static str) -> Self {
        Self::from_bytes(text)
    }
}

impl From<&'static [u8]> for Content {
    fn from(bytes: &'static [u8]) -> Self {
        Self::from_bytes(bytes)
    }
}

/// Reads a stream into one buffer, refusing more than `size_bytes_max` bytes.
///
/// A stream of one piece is handed over without a copy.
pub(crate) async fn collect(
    mut stream: ByteStream,
    size_bytes_max: usize,
    hint: Option<u64>,
) -> Result<Bytes> {
    let too_much = || {
        Error::invalid_input(format!(
            "there are more than the {size_bytes_max} bytes that may be read into memory"
        ))
        .with_help("allow more, or read it as a stream")
    };
    let Some(first) = stream.next().await.transpose()? else {
        return Ok(Bytes::new());
    };
    if first.len() > size_bytes_max {
        return Err(too_much());
    }
    let Some(second) = stream.next().await.transpose()? else {
        return Ok(first);
    };
    let expected = usize::try_from(hint.unwrap_or(0))
        .unwrap_or(usize::MAX)
        .min(size_bytes_max);
    let mut all = Vec::with_capacity(expected.max(first.len() + second.len()));
    all.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(piece) = next {
        if all.len() + piece.len() > size_bytes_max {
            return Err(too_much());
        }
        all.extend_from_slice(&piece);
        next = stream.next().await.transpose()?;
    }
    Ok(Bytes::from(all))
}

/// Calls `progress` with the running total after each piece.
pub(crate) fn report_progress(stream: ByteStream, progress: Arc<dyn Fn(u64) + Send + Sync>) -> ByteStream {
    let mut total = 0;
    Box::pin(stream.inspect(move |piece| {
        if let Ok(piece) = piece {
            total += piece.len() as u64;
            progress(total);
        }
    }))
}

fn read_to_end<R: AsyncRead + Send + 'static>(
    reader: R,
) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    ReaderStream::with_capacity(reader, READ_SIZE_BYTES).map(|piece| {
        piece.map_err(|source| {
            Error::new(ErrorKind::Storage, "the content could not be read").with_source(source)
        })
    })
}

fn file_error(path: &Path, source: std::io::Error) -> Error {
    let kind = match source.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        std::io::ErrorKind::PermissionDenied => ErrorKind::AccessDenied,
        _ => ErrorKind::Storage,
    };
    Error::new(kind, format!("the file '{}' cannot be read", path.display())).with_source(source)
}

/// A one-shot stream on loan. Dropped before it gave anything, it goes back to its slot, as fresh as it was.
struct Lent {
    /// There until the drop.
    stream: Option<ByteStream>,
    /// There until the stream gave something.
    slot: Option<Slot>,
}

impl Stream for Lent {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(None);
        };
        let item = std::task::ready!(stream.as_mut().poll_next(context));
        self.slot = None;
        Poll::Ready(item)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(stream), Some(slot)) = (self.stream.take(), self.slot.take()) {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
        }
    }
}

/// Fails when the bytes are more or fewer than declared.
struct LengthChecked {
    inner: ByteStream,
    declared: u64,
    seen: u64,
    done: bool,
}

impl LengthChecked {
    fn lied(&self, what: &str) -> Error {
        Error::invalid_input(format!(
            "the content was declared to have {} bytes but has {what}",
            self.declared
        ))
        .with_help("declare the true length, or none")
    }
}

impl Stream for LengthChecked {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.done {
            return Poll::Ready(None);
        }
        let item = std::task::ready!(self.inner.as_mut().poll_next(context));
        Poll::Ready(match item {
            Some(Ok(piece)) => {
                self.seen += piece.len() as u64;
                if self.seen > self.declared {
                    self.done = true;
                    Some(Err(self.lied("more")))
                } else {
                    Some(Ok(piece))
                }
            }
            Some(Err(error)) => {
                self.done = true;
                Some(Err(error))
            }
            None => {
                self.done = true;
                (self.seen < self.declared).then(|| Err(self.lied(&format!("only {}", self.seen))))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(pieces: &[&'static str]) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        futures_util::stream::iter(
            pieces
                .iter()
                .map(|piece| Ok(Bytes::from_static(piece.as_bytes())))
                .collect::<Vec<_>>(),
        )
    }

    #[tokio::test]
    async fn a_stream_that_gave_nothing_is_not_spent() {
        let content = Content::from_stream(Some(4), stream(&["ab", "cd"]));
        let open = content.open().await.expect("fresh");
        assert!(!content.can_replay(), "it is open elsewhere");
        assert!(content.clone().open().await.is_err());
        drop(open);
        assert!(content.can_replay(), "nobody read from it");
        let mut open = content.open().await.expect("as fresh as before");
        assert_eq!(open.next().await.expect("a piece").expect("read"), "ab");
        drop(open);
        assert!(!content.can_replay(), "a piece is gone");
        assert!(content.open().await.is_err());
        // The end is something, too.
        let empty = Content::from_stream(None, stream(&[]));
        assert!(empty.open().await.expect("fresh").next().await.is_none());
        assert!(!empty.can_replay());
        // What only waited gave nothing.
        let waiting = Content::from_stream(None, futures_util::stream::pending());
        let mut open = waiting.open().await.expect("fresh");
        assert!(futures_util::FutureExt::now_or_never(open.next()).is_none());
        drop(open);
        assert!(waiting.can_replay());
    }

    #[tokio::test]
    async fn a_length_that_lies_is_an_error() {
        let text = |length| Content::from_stream(Some(length), stream(&["ab", "cd"]));
        assert_eq!(&text(4).collect(10).await.expect("true length")[..], b"abcd");
        assert!(
            text(5)
                .collect(10)
                .await
                .expect_err("short")
                .to_string()
                .contains("only 4")
        );
        assert!(
            text(3)
                .collect(10)
                .await
                .expect_err("long")
                .to_string()
                .contains("has more")
        );
    }

    #[tokio::test]
    async fn a_one_shot_stream_is_opened_once_by_all_clones_together() {
        let content = Content::from_stream(None, stream(&["ab"]));
        let clone = content.clone();
        assert!(clone.can_replay());
        let _first = content.open().await.expect("first");
        assert!(!clone.can_replay());
        assert_eq!(
            clone.open().await.err().map(|error| error.kind()),
            Some(ErrorKind::InvalidInput)
        );
    }

    #[tokio::test]
    async fn replayable_content_maps_each_opening_anew() {
        let total = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&total);
        let content =
            Content::from("abc").with_progress(move |bytes| seen.lock().expect("not poisoned").push(bytes));
        assert!(content.as_bytes().is_none());
        for _ in 0..2 {
            assert_eq!(&content.collect(3).await.expect("fits")[..], b"abc");
        }
        assert_eq!(*total.lock().expect("not poisoned"), [3, 3]);
        assert!(content.collect(2).await.is_err());
    }

    #[tokio::test]
    async fn a_file_is_replayable_and_must_not_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        tokio::fs::write(&path, b"12345").await.expect("written");
        let content = Content::from_path(&path).await.expect("a file");
        assert_eq!(&content.collect(9).await.expect("read")[..], b"12345");
        tokio::fs::write(&path, b"123").await.expect("written");
        assert!(content.collect(9).await.is_err());
        assert!(Content::from_path(folder.path()).await.is_err());
        let missing = Content::from_path(folder.path().join("missing"))
            .await
            .expect_err("missing");
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }
}
