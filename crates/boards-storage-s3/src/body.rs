//! Streams on their way to the store as the body of one request.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use aws_sdk_s3::primitives::{ByteStream as SdkStream, SdkBody};
use boards_storage_core::{ByteStream, Content, Error, Result};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

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
}
