//! Large objects as streams: the next piece is read while the present one is used.

use std::ops::Range;
use std::sync::Arc;

use boards_storage_core::{ByteStream, Checksum, Crc64Hasher, Error, Result, StorageKey};
use bytes::Bytes;
use rustix::fd::OwnedFd;
use tokio::task::JoinHandle;

use crate::buffers::{BUFFER_BYTES, Buffers};
use crate::hop::{begin, join};
use crate::read::{check_checksum, read_exactly};
use crate::store::Store;

/// Reads a range of one open payload piece by piece. No thread waits for a slow consumer: each piece is a hop.
#[derive(Debug)]
pub(crate) struct PayloadReader {
    file: OwnedFd,
    buffers: Arc<Buffers>,
    key: StorageKey,
    range: Range<u64>,
    next: u64,
    check: Option<(Checksum, Crc64Hasher)>,
}

impl PayloadReader {
    pub(crate) fn new(
        store: &Store,
        file: OwnedFd,
        key: &StorageKey,
        range: Range<u64>,
        expected: Option<Checksum>,
    ) -> Self {
        Self {
            file,
            buffers: Arc::clone(&store.buffers),
            key: key.clone(),
            next: range.start,
            range,
            check: expected.map(|expected| (expected, Crc64Hasher::default())),
        }
    }

    /// Returns the bytes that are read.
    pub(crate) fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// Reads the next piece. The last one is given only if the whole has its checksum.
    fn read(&mut self) -> Result<Bytes> {
        let end = self.range.end.min(self.next + BUFFER_BYTES as u64);
        let hasher = self.check.as_mut().map(|(_, hasher)| hasher);
        let read = read_exactly(&self.buffers, &self.file, self.next..end, hasher);
        let bytes = read.map_err(|error| self.named(error))?;
        self.next = end;
        if end == self.range.end
            && let Some((expected, hasher)) = self.check.take()
        {
            check_checksum(&expected, &hasher.finish()).map_err(|error| self.named(error))?;
        }
        Ok(bytes)
    }

    fn named(&self, error: Error) -> Error {
        error
            .with_operation(boards_storage_core::OperationKind::Download)
            .with_key(&self.key)
    }

    fn begin(mut self) -> Option<Reading> {
        (self.next < self.range.end).then(|| {
            begin(move || {
                let bytes = self.read();
                (self, bytes)
            })
        })
    }

    /// Gives the bytes as a stream. It must be polled on a Tokio runtime.
    pub(crate) fn into_stream(self) -> ByteStream {
        Box::pin(futures_util::stream::unfold(self.begin(), |reading| async move {
            match join(reading?).await {
                Ok((reader, Ok(bytes))) => Some((Ok(bytes), reader.begin())),
                Ok((_, Err(error))) | Err(error) => Some((Err(error), None)),
            }
        }))
    }
}

/// A piece that is being read.
type Reading = JoinHandle<(PayloadReader, Result<Bytes>)>;
