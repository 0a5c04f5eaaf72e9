//! Reading: which stored bytes a range needs, and sealed segments back to content.

use std::collections::VecDeque;
use std::ops::Range;

use aws_lc_rs::aead::LessSafeKey;
use boards_storage_core::{ByteStream, Result};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};

use super::crypto;
use super::format::{
    self, EncryptionHeader, HEADERS_BYTES, SEGMENT_BYTES, TAG_BYTES_U64, TinkHeader, damaged,
};

/// Which segments a part of the content lies in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The content that is wanted.
    pub(super) plain: Range<u64>,
    /// The segments that hold it.
    pub(super) segments: Range<u64>,
    /// Where these segments are stored; the headers are no part of it.
    pub(super) stored: Range<u64>,
    /// How many segments the object has.
    count: u64,
    plain_size: u64,
}

impl Plan {
    /// Plans to read a part of an object of this stored size.
    pub(super) fn new(plain: Range<u64>, plain_size: u64, stored_size: u64) -> Self {
        let last = plain.end.saturating_sub(1).max(plain.start);
        let segments = format::segment_of(plain.start)..format::segment_of(last) + 1;
        Self {
            stored: format::stored_range(segments.clone(), stored_size),
            plain,
            segments,
            count: format::segments(plain_size),
            plain_size,
        }
    }

    /// Returns the size of the whole content.
    pub(super) fn plain_size(&self) -> u64 {
        self.plain_size
    }

    /// Plans to read everything, an empty object too.
    pub(super) fn whole(plain_size: u64, stored_size: u64) -> Self {
        let count = format::segments(plain_size);
        Self {
            plain: 0..plain_size,
            segments: 0..count,
            stored: format::stored_range(0..count, stored_size),
            count,
            plain_size,
        }
    }
}

/// Both headers of an object.
#[derive(Clone, Debug)]
pub(super) struct Headers {
    pub(super) ours: EncryptionHeader,
    pub(super) tink: TinkHeader,
}

impl Headers {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let ours = EncryptionHeader::parse(bytes)?;
        let tink = bytes
            .get(EncryptionHeader::SIZE_BYTES..HEADERS_BYTES_USIZE)
            .ok_or_else(|| damaged("the object is shorter than its headers"))?;
        Ok(Self {
            ours,
            tink: TinkHeader::parse(tink)?,
        })
    }

    /// Reads the headers from the beginning of a stream; returns what came with them.
    pub(super) async fn read(stream: &mut ByteStream) -> Result<(Self, Bytes)> {
        let mut gathered = BytesMut::new();
        loop {
            let Some(piece) = stream.next().await.transpose()? else {
                return Err(damaged("the object is shorter than its headers"));
            };
            if gathered.is_empty() && piece.len() >= HEADERS_BYTES_USIZE {
                return Ok((Self::parse(&piece)?, piece.slice(HEADERS_BYTES_USIZE..)));
            }
            gathered.extend_from_slice(&piece);
            if gathered.len() >= HEADERS_BYTES_USIZE {
                let mut piece = gathered.freeze();
                let rest = piece.split_off(HEADERS_BYTES_USIZE);
                return Ok((Self::parse(&piece)?, rest));
            }
        }
    }
}

const HEADERS_BYTES_USIZE: usize = 168;
const _: () = assert!(HEADERS_BYTES_USIZE as u64 == HEADERS_BYTES);

/// Opens segment after segment. No byte leaves before its segment is proven.
pub(super) struct Opener {
    key: LessSafeKey,
    tink: TinkHeader,
    plan: Plan,
    segment: u64,
    /// The stored bytes of the present segment, as far as they are here.
    buffer: BytesMut,
    ready: VecDeque<Bytes>,
}

impl Opener {
    pub(super) fn new(key: LessSafeKey, tink: TinkHeader, plan: Plan) -> Self {
        Self {
            key,
            tink,
            segment: plan.segments.start,
            plan,
            buffer: BytesMut::new(),
            ready: VecDeque::new(),
        }
    }

    /// Returns the stored size of the present segment behind the headers.
    fn stored_bytes(&self) -> usize {
        let range = format::stored_range(self.segment..self.segment + 1, self.plan.stored.end);
        usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX)
    }

    /// Takes stored bytes in and opens what is complete.
    pub(super) fn push(&mut self, mut piece: &[u8]) -> Result<()> {
        while !piece.is_empty() {
            if self.segment >= self.plan.segments.end {
                return Err(damaged("the store sent more bytes than the object has"));
            }
            let wanted = self.stored_bytes();
            if self.buffer.is_empty() {
                self.buffer.reserve(wanted);
            }
            let count = piece.len().min(wanted - self.buffer.len());
            self.buffer.extend_from_slice(&piece[..count]);
            piece = &piece[count..];
            if self.buffer.len() == wanted {
                self.open()?;
            }
        }
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        let number =
            u32::try_from(self.segment).map_err(|_large| damaged("the object has too many segments"))?;
        let is_last = self.segment + 1 == self.plan.count;
        let nonce = self.tink.nonce(number, is_last);
        let mut segment = self.buffer.split();
        let size = segment.len() as u64;
        if size < TAG_BYTES_U64 || crypto::open(&self.key, nonce, &[], &mut segment).is_none() {
            // What is in the buffer is not proven.
            return Err(damaged("a segment of the object is not what was written there"));
        }
        let plain_size = size - TAG_BYTES_U64;
        let start = format::segment_start(self.segment);
        let from = self.plan.plain.start.clamp(start, start + plain_size) - start;
        let to = self.plan.plain.end.clamp(start, start + plain_size) - start;
        self.segment += 1;
        if to > from {
            let (from, to) = (as_index(from), as_index(to));
            self.ready.push_back(segment.freeze().slice(from..to));
        }
        Ok(())
    }

    /// Returns what was opened and not taken yet.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        self.ready.pop_front()
    }

    /// Checks that every segment came.
    pub(super) fn finish(&self) -> Result<()> {
        if self.segment == self.plan.segments.end {
            return Ok(());
        }
        Err(damaged("the object ends before its last segment"))
    }

    /// Opens stored bytes that are all here.
    pub(super) fn open_all(mut self, bytes: &[u8]) -> Result<Bytes> {
        self.push(bytes)?;
        self.finish()?;
        match (self.ready.pop_front(), self.ready.len()) {
            (None, _) => Ok(Bytes::new()),
            (Some(only), 0) => Ok(only),
            (Some(first), _) => {
                let size = usize::try_from(self.plan.plain.end - self.plan.plain.start).unwrap_or(0);
                let mut whole = BytesMut::with_capacity(size);
                whole.extend_from_slice(&first);
                for piece in &self.ready {
                    whole.extend_from_slice(piece);
                }
                Ok(whole.freeze())
            }
        }
    }

    /// Opens a stream of stored bytes. `first` came before it.
    pub(super) fn open_stream(self, first: Bytes, stored: ByteStream) -> ByteStream {
        Box::pin(stream::try_unfold(
            Some((self, first, stored)),
            |state| async move {
                let Some((mut opener, mut piece, mut stored)) = state else {
                    return Ok(None);
                };
                loop {
                    if let Some(plain) = opener.take() {
                        return Ok(Some((plain, Some((opener, piece, stored)))));
                    }
                    if piece.is_empty() {
                        match stored.next().await.transpose()? {
                            Some(next) => piece = next,
                            None => {
                                opener.finish()?;
                                return Ok(None);
                            }
                        }
                    }
                    // A segment at a time, so that what is opened does not pile up.
                    let part = piece.split_to(piece.len().min(as_index(SEGMENT_BYTES)));
                    opener.push(&part)?;
                }
            },
        ))
    }
}

fn as_index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
