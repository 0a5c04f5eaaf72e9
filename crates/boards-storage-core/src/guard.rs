//! What the options of an upload demand of its bytes, checked while they flow.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;

use crate::checksum::{Digest, DigestHasher};
use crate::content::{ByteStream, Content};
use crate::error::{Error, ErrorKind, Result};
use crate::options::UploadOptions;

impl UploadOptions {
    /// Returns the content with [`UploadOptions::length`] and [`UploadOptions::digest`] enforced: a provider calls it
    /// once, reads the result, and stores nothing if that fails.
    ///
    /// Plain bytes are checked at once. Any other content is checked each time it is read: the last piece is held
    /// back until the digest of all is right, so that whoever only waits for the announced number of bytes has not
    /// got them all before a wrong digest is known. Without a length and a digest the content is returned as it is.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the known length is another one, `Corruption` if plain bytes have another digest. The
    /// returned content's streams end with the same two errors.
    ///
    /// # Examples
    ///
    /// ```
    /// use boards_storage_core::{Content, Digest, DigestAlgorithm, ErrorKind, UploadOptions};
    ///
    /// let options = UploadOptions::default().with_digest(Digest::of(DigestAlgorithm::Blake3, b"hello"));
    /// assert!(options.guard(Content::from("hello")).is_ok());
    /// let refused = options.guard(Content::from("jello")).expect_err("other bytes");
    /// assert_eq!(refused.kind(), ErrorKind::Corruption);
    /// ```
    pub fn guard(&self, content: Content) -> Result<Content> {
        if let (Some(expected), Some(known)) = (self.length, content.length())
            && expected != known
        {
            return Err(wrong_length(expected, &known.to_string()));
        }
        if let Some(bytes) = content.as_bytes() {
            if let Some(expected) = self.digest
                && content.known_digest() != Some(expected)
            {
                check_digest(expected, Digest::of(expected.algorithm(), bytes))?;
            }
            return Ok(content);
        }
        let length = self.length.or(content.length());
        let content = match length {
            Some(length) => content.with_length(length),
            None => content,
        };
        let Some(expected) = self.digest else {
            return Ok(content);
        };
        Ok(content.map_stream(move |inner| Box::pin(Guarded::new(inner, length, expected))))
    }
}

/// Ends a stream with `Corruption` instead of its last piece if its bytes do not have the digest.
pub(crate) fn verified(stream: ByteStream, digest: Digest) -> ByteStream {
    Box::pin(Guarded::new(stream, None, digest))
}

/// Holds each piece back until the next one is there, and the last one until the digest of all is right.
struct Guarded {
    inner: ByteStream,
    length: Option<u64>,
    seen: u64,
    digest: Digest,
    /// `None` when the end was reached.
    hasher: Option<DigestHasher>,
    held: Option<Bytes>,
}

impl Guarded {
    fn new(inner: ByteStream, length: Option<u64>, digest: Digest) -> Self {
        let hasher = Some(DigestHasher::new(digest.algorithm()));
        Self {
            inner,
            length,
            seen: 0,
            digest,
            hasher,
            held: None,
        }
    }

    /// Ends the stream with its last piece, or with what is wrong. A wrong length explains a wrong digest, so it
    /// comes first.
    fn finish(&mut self, hasher: DigestHasher) -> Option<Result<Bytes>> {
        let held = self.held.take();
        if let Some(length) = self.length
            && self.seen < length
        {
            return Some(Err(wrong_length(length, &format!("only {}", self.seen))));
        }
        match check_digest(self.digest, hasher.finish()) {
            Ok(()) => held.map(Ok),
            Err(error) => Some(Err(error)),
        }
    }
}

impl Stream for Guarded {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while let Some(hasher) = &mut this.hasher {
            match ready!(this.inner.as_mut().poll_next(context)) {
                // An empty piece must not push the true last one out.
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => {
                    hasher.update(&piece);
                    this.seen += piece.len() as u64;
                    if let Some(length) = this.length
                        && this.seen > length
                    {
                        this.hasher = None;
                        return Poll::Ready(Some(Err(wrong_length(length, "more"))));
                    }
                    if let Some(earlier) = this.held.replace(piece) {
                        return Poll::Ready(Some(Ok(earlier)));
                    }
                }
                Some(Err(error)) => {
                    this.hasher = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    let hasher = this.hasher.take().expect("the loop looked");
                    return Poll::Ready(this.finish(hasher));
                }
            }
        }
        Poll::Ready(None)
    }
}

fn wrong_length(expected: u64, found: &str) -> Error {
    Error::invalid_input(format!(
        "the upload was declared to have {expected} bytes but its content has {found}"
    ))
    .with_help("declare the true length, or none")
}

pub(crate) fn check_digest(expected: Digest, found: Digest) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Corruption,
        format!("the content does not have the digest that was declared: expected {expected}, got {found}"),
    )
    .with_help("compute the digest of the very bytes that are sent, then send them again"))
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;
    use crate::checksum::DigestAlgorithm;

    fn stream(length: Option<u64>, pieces: &[&'static str]) -> Content {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Ok(Bytes::from_static(piece.as_bytes())))
            .collect();
        Content::from_stream(length, futures_util::stream::iter(pieces))
    }

    fn digest(text: &str) -> UploadOptions {
        UploadOptions::default().with_digest(Digest::of(DigestAlgorithm::Sha256, text.as_bytes()))
    }

    #[track_caller]
    fn check(options: &UploadOptions, content: Content, expected: Result<&str, ErrorKind>) {
        let read = || {
            futures_util::FutureExt::now_or_never(options.guard(content)?.collect(100)).expect("no waiting")
        };
        match (read(), expected) {
            (Ok(bytes), Ok(text)) => assert_eq!(bytes, text),
            (Err(error), Err(kind)) => assert_eq!(error.kind(), kind, "{error}"),
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn lengths_are_held_to() {
        let three = UploadOptions::default().with_length(3);
        check(&three, Content::from("abc"), Ok("abc"));
        check(&three, Content::from("ab"), Err(ErrorKind::InvalidInput));
        check(&three, stream(Some(4), &["abcd"]), Err(ErrorKind::InvalidInput));
        check(&three, stream(None, &["ab", "", "c"]), Ok("abc"));
        check(&three, stream(None, &["ab"]), Err(ErrorKind::InvalidInput));
        check(&three, stream(None, &["ab", "cd"]), Err(ErrorKind::InvalidInput));
        check(
            &UploadOptions::default().with_length(0),
            stream(None, &[]),
            Ok(""),
        );
        assert_eq!(
            three.guard(stream(None, &["abc"])).expect("plausible").length(),
            Some(3)
        );
    }

    #[test]
    fn digests_are_held_to() {
        check(&digest("abc"), Content::from("abc"), Ok("abc"));
        check(&digest("abc"), Content::from("abd"), Err(ErrorKind::Corruption));
        check(&digest("abc"), stream(None, &["ab", "", "c", ""]), Ok("abc"));
        check(
            &digest("abc"),
            stream(None, &["ab", "d"]),
            Err(ErrorKind::Corruption),
        );
        check(&digest(""), stream(None, &[]), Ok(""));
        check(&digest("abc"), stream(None, &[]), Err(ErrorKind::Corruption));
        // A wrong length explains a wrong digest.
        check(
            &digest("abc"),
            stream(Some(3), &["ab"]),
            Err(ErrorKind::InvalidInput),
        );
        check(
            &digest("abc").with_length(3),
            stream(None, &["ab", "cd"]),
            Err(ErrorKind::InvalidInput),
        );
    }

    #[tokio::test]
    async fn the_last_piece_is_not_given_before_the_digest_is_right() {
        let content = digest("abc")
            .guard(stream(Some(3), &["ab", "d", ""]))
            .expect("not read yet");
        let pieces: Vec<_> = content.open().await.expect("opened").collect().await;
        assert_eq!(pieces.len(), 2);
        assert_eq!(pieces[0].as_deref().ok(), Some(&b"ab"[..]));
        assert_eq!(
            pieces[1].as_ref().expect_err("wrong digest").kind(),
            ErrorKind::Corruption
        );
    }

    #[tokio::test]
    async fn replayable_content_is_checked_each_time() {
        let open = || -> futures_core::future::BoxFuture<'static, Result<ByteStream>> {
            Box::pin(async { stream(None, &["ab", "c"]).open().await })
        };
        let content = digest("abc")
            .guard(Content::from_factory(None, open))
            .expect("not read yet");
        assert!(content.is_replayable());
        for _ in 0..2 {
            assert_eq!(&content.collect(3).await.expect("right")[..], b"abc");
        }
    }
}
