//! Observing content on its way: size, digest and limits.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;

use crate::checksum::{Digest, DigestAlgorithm, DigestHasher};
use crate::content::{ByteStream, Content};
use crate::error::{Error, ErrorKind, Result};

/// What was seen of the content that was sent last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) size_bytes: u64,
    pub(super) digest: Digest,
}

/// Where the result of an observed opening is left.
#[derive(Clone, Debug, Default)]
pub(super) struct Inspection {
    seen: Arc<Mutex<Option<Seen>>>,
    has_failed: Arc<AtomicBool>,
}

impl Inspection {
    /// Returns what the last completed opening saw.
    pub(super) fn seen(&self) -> Option<Seen> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether the content itself failed when it was opened last: then no provider is to blame.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    fn set(&self, seen: Option<Seen>) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    /// Returns content that leaves its size and digest here when it was read to its end, and fails as soon as it is
    /// larger than allowed. Bytes are hashed at once and stay plain bytes.
    pub(super) async fn observe(&self, content: Content, size_bytes_max: Option<u64>) -> Result<Content> {
        if let (Some(length), Some(max)) = (content.length(), size_bytes_max)
            && length > max
        {
            return Err(too_large(max));
        }
        if let Some(bytes) = content.as_bytes() {
            let digest = digest_of(bytes.clone()).await?;
            self.set(Some(Seen {
                size_bytes: bytes.len() as u64,
                digest,
            }));
            return Ok(content.with_known_digest(digest));
        }
        let inspection = self.clone();
        Ok(content.map_stream(move |inner| {
            inspection.set(None);
            inspection.has_failed.store(false, Ordering::Release);
            Box::pin(Observed {
                inner,
                hasher: Some(DigestHasher::new(DigestAlgorithm::Blake3)),
                size_bytes: 0,
                size_bytes_max,
                inspection: inspection.clone(),
            })
        }))
    }
}

/// Hashes a buffer, away from the runtime where it is large.
async fn digest_of(bytes: Bytes) -> Result<Digest> {
    const INLINE_BYTES_MAX: usize = 1 << 20;
    if bytes.len() <= INLINE_BYTES_MAX {
        return Ok(Digest::of(DigestAlgorithm::Blake3, &bytes));
    }
    tokio::task::spawn_blocking(move || Digest::of(DigestAlgorithm::Blake3, &bytes))
        .await
        .map_err(|source| Error::new(ErrorKind::Storage, "hashing the content failed").with_source(source))
}

pub(super) fn too_large(max: u64) -> Error {
    Error::new(
        ErrorKind::Rejected,
        format!("the content is larger than the {max} bytes that are allowed"),
    )
    .with_help("store less, or raise storage.limits.size_max")
}

struct Observed {
    inner: ByteStream,
    hasher: Option<DigestHasher>,
    size_bytes: u64,
    size_bytes_max: Option<u64>,
    inspection: Inspection,
}

impl Stream for Observed {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = std::task::ready!(self.inner.as_mut().poll_next(context));
        let this = &mut *self;
        match &item {
            Some(Ok(piece)) => {
                this.size_bytes += piece.len() as u64;
                if let Some(max) = this.size_bytes_max
                    && this.size_bytes > max
                {
                    this.hasher = None;
                    return Poll::Ready(Some(Err(too_large(max))));
                }
                if let Some(hasher) = &mut this.hasher {
                    hasher.update(piece);
                }
            }
            Some(Err(_)) => {
                this.hasher = None;
                this.inspection.has_failed.store(true, Ordering::Release);
            }
            None => {
                if let Some(hasher) = this.hasher.take() {
                    this.inspection.set(Some(Seen {
                        size_bytes: this.size_bytes,
                        digest: hasher.finish(),
                    }));
                }
            }
        }
        Poll::Ready(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(texts: &[&'static str]) -> ByteStream {
        Box::pin(futures_util::stream::iter(
            texts
                .iter()
                .map(|text| Ok(Bytes::from_static(text.as_bytes())))
                .collect::<Vec<_>>(),
        ))
    }

    #[tokio::test]
    async fn a_limit_holds_while_the_bytes_flow() {
        let check = async |max: u64| {
            let content = Content::from_stream(None, pieces(&["abc", "de"]));
            let inspection = Inspection::default();
            let observed = inspection
                .observe(content, Some(max))
                .await
                .expect("unknown length");
            (
                observed.collect(10).await.map_err(|error| error.kind()),
                inspection.seen().map(|seen| seen.size_bytes),
            )
        };
        assert_eq!(check(5).await, (Ok(Bytes::from_static(b"abcde")), Some(5)));
        assert_eq!(check(4).await, (Err(ErrorKind::Rejected), None));
    }
}
