//! Uploads: from content to a staged payload, at first in memory, then piece by piece.
//!
//! What arrives is gathered into writes of about a mebibyte. While one is being written, in a blocking hop, the next
//! is gathered. Content that ends within the first takes a single hop for everything.

use std::sync::Arc;

use boards_storage_core::{
    ByteStream, Content, Digest, Error, ObjectMetadata, Precondition, Result, StorageKey, UploadOptions,
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::task::JoinHandle;

use crate::hop::{Cancellation, begin, hop, hop_until_dropped, join};
use crate::sidecar::Record;
use crate::store::Store;
use crate::write::{Draft, Payload, check_precondition};

/// How many bytes one write takes, but for the last.
const WRITE_BYTES: usize = 1024 * 1024;

/// Smaller pieces are copied together, so that many tiny ones cost neither memory nor calls.
const PIECE_BYTES_MIN: usize = 16 * 1024;

/// What will be written next.
#[derive(Debug, Default)]
struct Batch {
    pieces: Vec<Bytes>,
    small: BytesMut,
    size_bytes: usize,
}

impl Batch {
    fn push(&mut self, piece: Bytes) {
        self.size_bytes += piece.len();
        if piece.len() < PIECE_BYTES_MIN {
            self.small.extend_from_slice(&piece);
        } else {
            self.close_small();
            self.pieces.push(piece);
        }
    }

    fn close_small(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push(self.small.split().freeze());
        }
    }

    fn into_pieces(mut self) -> Vec<Bytes> {
        self.close_small();
        self.pieces
    }
}

/// Content on its way, with the length that it must have.
struct Incoming {
    stream: ByteStream,
    length: Option<u64>,
    seen: u64,
    is_done: bool,
}

impl Incoming {
    async fn open(content: &Content, length: Option<u64>) -> Result<Self> {
        Ok(Self {
            stream: content.open().await?,
            length,
            seen: 0,
            is_done: false,
        })
    }

    /// Gathers the next write.
    async fn batch(&mut self) -> Result<Vec<Bytes>> {
        let mut batch = Batch::default();
        while batch.size_bytes < WRITE_BYTES {
            let Some(piece) = self.stream.next().await.transpose()? else {
                self.is_done = true;
                check_length(self.length, self.seen)?;
                break;
            };
            self.seen += piece.len() as u64;
            if self.length.is_some_and(|length| self.seen > length) {
                check_length(self.length, self.seen)?;
            }
            batch.push(piece);
        }
        Ok(batch.into_pieces())
    }
}

/// Checks a length that was asked for.
pub(crate) fn check_length(wanted: Option<u64>, seen: u64) -> Result<()> {
    match wanted {
        Some(wanted) if wanted != seen => Err(Error::invalid_input(format!(
            "the content has {} {seen} bytes, declared were {wanted}",
            if seen > wanted { "at least" } else { "only" }
        ))
        .with_help("declare the true length, or none")),
        _ => Ok(()),
    }
}

/// What one hop does with a payload that is complete.
pub(crate) trait Finish<T>: FnOnce(Payload, &Cancellation) -> Result<T> + Send + 'static {}

impl<T, F> Finish<T> for F where F: FnOnce(Payload, &Cancellation) -> Result<T> + Send + 'static {}

/// Stages content and hands the payload to `finish`, in the last hop.
pub(crate) async fn stage<T: Send + 'static>(
    store: &Arc<Store>,
    content: &Content,
    length: Option<u64>,
    with_checksum: bool,
    digest: Option<Digest>,
    finish: impl Finish<T>,
) -> Result<T> {
    let mut incoming;
    let mut batch = match content.as_bytes() {
        Some(bytes) => {
            check_length(length, bytes.len() as u64)?;
            let batch = if bytes.is_empty() {
                Vec::new()
            } else {
                vec![bytes.clone()]
            };
            return stage_at_once(store, batch, with_checksum, digest, finish).await;
        }
        None => {
            incoming = Incoming::open(content, length).await?;
            incoming.batch().await?
        }
    };
    if incoming.is_done {
        return stage_at_once(store, batch, with_checksum, digest, finish).await;
    }
    let shared = Arc::clone(store);
    let mut draft = hop(move || Draft::begin(&shared, with_checksum, digest)).await?;
    loop {
        let writing: JoinHandle<Result<Draft>> = begin(move || {
            draft.write(&batch)?;
            Ok(draft)
        });
        if incoming.is_done {
            draft = join(writing).await??;
            break;
        }
        let next = incoming.batch().await;
        // The write ends before an error is told, so that nothing is still being done then.
        let written = join(writing).await?;
        match next {
            Ok(next) => {
                draft = written?;
                batch = next;
            }
            Err(error) => {
                return hop(move || {
                    drop(written);
                    Err(error)
                })
                .await;
            }
        }
    }
    hop_until_dropped(move |cancellation| finish(draft.finish()?, cancellation)).await
}

/// Stages what is in memory already, in one hop.
async fn stage_at_once<T: Send + 'static>(
    store: &Arc<Store>,
    pieces: Vec<Bytes>,
    with_checksum: bool,
    digest: Option<Digest>,
    finish: impl Finish<T>,
) -> Result<T> {
    let shared = Arc::clone(store);
    let size_bytes = pieces.iter().map(Bytes::len).sum();
    let work = move |cancellation: &Cancellation| {
        let mut draft = Draft::begin(&shared, with_checksum, digest)?;
        draft.write(&pieces)?;
        finish(draft.finish()?, cancellation)
    };
    store.write_hop(size_bytes, work).await
}

/// Stores an object.
pub(crate) async fn upload(
    store: &Arc<Store>,
    key: &StorageKey,
    content: &Content,
    options: &UploadOptions,
) -> Result<ObjectMetadata> {
    let precondition = options.precondition.clone();
    if content.as_bytes().is_none() && precondition != Precondition::None {
        // The commit decides; but what cannot be true then, because it is not true now, need not be received.
        look_first(store, key, &precondition).await?;
    }
    let record = Record {
        attributes: options.attributes.clone(),
        checksum: None,
        digest: options.digest,
        write_id: options.write_id,
    };
    let (shared, target) = (Arc::clone(store), key.clone());
    stage(
        store,
        content,
        options.length,
        store.has_checksums,
        options.digest,
        move |payload, cancellation| shared.commit(&target, payload, record, &precondition, cancellation),
    )
    .await
}

/// Answers a precondition that fails already.
async fn look_first(store: &Arc<Store>, key: &StorageKey, precondition: &Precondition) -> Result<()> {
    let (store, key, precondition) = (Arc::clone(store), key.clone(), precondition.clone());
    hop(move || {
        // What cannot be looked at is told by the write.
        store
            .tree
            .look(key.as_str())
            .map_or(Ok(()), |present| check_precondition(&precondition, present))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_are_gathered_and_large_ones_are_kept() {
        let mut batch = Batch::default();
        let large = Bytes::from(vec![1; PIECE_BYTES_MIN]);
        for piece in [
            Bytes::from_static(b"a"),
            Bytes::from_static(b"b"),
            large.clone(),
            Bytes::from_static(b"c"),
        ] {
            batch.push(piece);
        }
        assert_eq!(batch.size_bytes, PIECE_BYTES_MIN + 3);
        let pieces = batch.into_pieces();
        assert_eq!(
            pieces,
            [Bytes::from_static(b"ab"), large.clone(), Bytes::from_static(b"c")]
        );
        assert_eq!(pieces[1].as_ptr(), large.as_ptr());
    }
}
