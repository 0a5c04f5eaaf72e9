//! Contents on their way to the store: pieces made into parts, and streams made into bodies.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use aws_sdk_s3::primitives::{ByteStream as SdkStream, SdkBody};
use boards_storage_core::{ByteStream, Content, Error, Result};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http_body::{Body, Frame, SizeHint};

/// Cuts a stream into parts. It can be dropped at any await without losing bytes.
pub(crate) struct PartReader {
    stream: ByteStream,
    /// What was read and not given yet.
    held: Vec<Bytes>,
    held_bytes: usize,
    is_at_end: bool,
}

impl PartReader {
    pub(crate) fn new(stream: ByteStream) -> Self {
        Self {
            stream,
            held: Vec::new(),
            held_bytes: 0,
            is_at_end: false,
        }
    }

    /// Reads until more than `size` bytes are held; says whether there are.
    pub(crate) async fn has_more_than(&mut self, size: usize) -> Result<bool> {
        while self.held_bytes <= size && !self.is_at_end {
            match self.stream.next().await.transpose()? {
                Some(piece) => {
                    self.held_bytes += piece.len();
                    self.held.push(piece);
                }
                None => self.is_at_end = true,
            }
        }
        Ok(self.held_bytes > size)
    }

    /// Returns the next `size` bytes, fewer at the end, none after it.
    pub(crate) async fn next(&mut self, size: usize) -> Result<Option<Bytes>> {
        // One byte fewer is asked for, so that nothing is read beyond what is given.
        self.has_more_than(size.saturating_sub(1)).await?;
        if self.held_bytes == 0 {
            return Ok(None);
        }
        Ok(Some(self.take(size.min(self.held_bytes))))
    }

    /// Returns all that is held.
    pub(crate) fn take_held(&mut self) -> Bytes {
        self.take(self.held_bytes)
    }

    /// Gives bytes that are held; those of one piece are not copied.
    fn take(&mut self, size: usize) -> Bytes {
        self.held_bytes -= size;
        let mut pieces = std::mem::take(&mut self.held).into_iter();
        let mut first = pieces.next().unwrap_or_default();
        if first.len() >= size {
            let given = first.split_to(size);
            self.hold(first, pieces);
            return given;
        }
        let mut given = BytesMut::with_capacity(size);
        given.extend_from_slice(&first);
        while given.len() < size {
            let mut piece = pieces.next().expect("as many bytes are held as were counted");
            let wanted = piece.len().min(size - given.len());
            given.extend_from_slice(&piece.split_to(wanted));
            first = piece;
        }
        self.hold(first, pieces);
        given.freeze()
    }

    fn hold(&mut self, first: Bytes, rest: impl Iterator<Item = Bytes>) {
        self.held = std::iter::once(first)
            .chain(rest)
            .filter(|piece| !piece.is_empty())
            .collect();
    }
}

/// Keeps the content's own error while the SDK only knows that its body failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failure(Arc<Mutex<Option<Error>>>);

impl Failure {
    /// Returns the content's own error, or else the store's.
    pub(crate) fn or(&self, other: Error) -> Error {
        let own = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        own.unwrap_or(other)
    }
}

/// Opens a content of known length as a body that is sent while it is read.
pub(crate) async fn stream_body(content: &Content, length: u64) -> Result<(SdkStream, Failure)> {
    let failure = Failure::default();
    let body = StreamBody {
        stream: Mutex::new(content.open().await?),
        left: length,
        last: None,
        failure: failure.clone(),
    };
    Ok((SdkStream::new(SdkBody::from_body_1_x(body)), failure))
}

/// Sends a stream's bytes. The last piece is held back until the stream has ended well: with it the store has all
/// that was announced, and commits.
struct StreamBody {
    // Never locked: it makes the stream shareable, as the SDK wants it, which polls it exclusively.
    stream: Mutex<ByteStream>,
    /// How many bytes were not taken from the stream yet.
    left: u64,
    last: Option<Bytes>,
    failure: Failure,
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = ContentFailed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ContentFailed>>> {
        loop {
            let stream = self.stream.get_mut().unwrap_or_else(PoisonError::into_inner);
            match ready!(stream.as_mut().poll_next(context)) {
                None => return Poll::Ready(self.last.take().map(|last| Ok(Frame::data(last)))),
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => {
                    self.left = self.left.saturating_sub(piece.len() as u64);
                    if self.left > 0 {
                        return Poll::Ready(Some(Ok(Frame::data(piece))));
                    }
                    self.last = Some(piece);
                }
                Some(Err(error)) => {
                    let mut kept = self.failure.0.lock().unwrap_or_else(PoisonError::into_inner);
                    *kept = Some(error);
                    drop(kept);
                    return Poll::Ready(Some(Err(ContentFailed)));
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left + self.last.as_ref().map_or(0, |last| last.len() as u64))
    }
}

/// The content failed; why is in its [`Failure`].
#[derive(Debug)]
struct ContentFailed;

impl std::fmt::Display for ContentFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the content could not be read")
    }
}

impl std::error::Error for ContentFailed {}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn reader(pieces: &[&'static str]) -> PartReader {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Ok(Bytes::from_static(piece.as_bytes())))
            .collect();
        PartReader::new(Box::pin(stream::iter(pieces)))
    }

    async fn parts(pieces: &[&'static str], size: usize) -> Vec<String> {
        let mut reader = reader(pieces);
        let mut parts = Vec::new();
        while let Some(part) = reader.next(size).await.expect("no failure") {
            parts.push(String::from_utf8(part.to_vec()).expect("text"));
        }
        parts
    }

    #[tokio::test]
    async fn pieces_of_any_size_make_parts_of_one_size() {
        assert_eq!(parts(&["abcdefg"], 3).await, ["abc", "def", "g"]);
        assert_eq!(parts(&["a", "b", "", "cd", "ef"], 3).await, ["abc", "def"]);
        assert_eq!(parts(&["ab", "cdefgh", "i"], 4).await, ["abcd", "efgh", "i"]);
        assert_eq!(parts(&["abc"], 3).await, ["abc"]);
        assert!(parts(&["", ""], 3).await.is_empty());
        assert!(parts(&[], 3).await.is_empty());
    }

    async fn sent(pieces: &[&'static str], declared: u64) -> (String, Option<Error>) {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Ok(Bytes::from_static(piece.as_bytes())))
            .collect();
        let content = Content::from_stream(Some(declared), stream::iter(pieces));
        let (body, failure) = stream_body(&content, declared).await.expect("opened");
        let mut body = Box::pin(body.into_inner());
        assert_eq!(Body::size_hint(&*body).exact(), Some(declared));
        let mut text = String::new();
        while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await {
            match frame {
                Ok(frame) => {
                    text.push_str(std::str::from_utf8(frame.data_ref().expect("data")).expect("text"))
                }
                Err(_) => return (text, Some(failure.or(Error::not_found("the store's")))),
            }
        }
        (text, None)
    }

    #[tokio::test]
    async fn a_body_is_never_whole_where_the_length_lies() {
        assert!(matches!(sent(&["ab", "", "cd", ""], 4).await, (text, None) if text == "abcd"));
        assert!(matches!(sent(&[], 0).await, (text, None) if text.is_empty()));
        for pieces in [&["ab", "cd", "e"][..], &["abcde"], &["ab", "c"], &["abcd", "e"]] {
            let (text, error) = sent(pieces, 4).await;
            assert!(text.len() < 4, "{text}");
            assert_eq!(
                error.expect("it lies").kind(),
                boards_storage_core::ErrorKind::InvalidInput
            );
        }
    }

    #[tokio::test]
    async fn what_was_looked_at_is_given_later() {
        let mut three = reader(&["ab", "c"]);
        assert!(!three.has_more_than(3).await.expect("no failure"));
        assert_eq!(&three.take_held()[..], b"abc");
        let mut four = reader(&["ab", "cd"]);
        assert!(four.has_more_than(3).await.expect("no failure"));
        assert_eq!(
            four.next(3).await.expect("no failure").as_deref(),
            Some(&b"abc"[..])
        );
        assert_eq!(
            four.next(3).await.expect("no failure").as_deref(),
            Some(&b"d"[..])
        );
        assert_eq!(four.next(3).await.expect("no failure"), None);
    }
}
