//! Writing: content becomes our header, Tink's header and sealed segments.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::aead::LessSafeKey;
use boards_storage_core::{
    ByteStream, Checksum, ChecksumHasher, Content, Digest, DigestHasher, Error, ErrorKind, ObjectIdentity,
    Result,
};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{StreamExt, stream};

use super::crypto::{self, SecretKey, TAG_BYTES};
use super::format::{self, EncryptionHeader, SEGMENT_BYTES_USIZE, TinkHeader};

/// How much is handed on at a time.
const BATCH_BYTES: usize = 4 * SEGMENT_BYTES_USIZE;

/// Content of up to this many bytes that is in memory is encrypted at once, so that a retry sends the same buffer.
const AT_ONCE_BYTES_MAX: usize = 16 << 20;

/// More than this is encrypted at once only away from the runtime.
const ON_RUNTIME_BYTES_MAX: usize = 256 << 10;

/// How many segments are remembered in one piece.
const BLOCK_SEGMENTS: u32 = 1024;

/// One encryption: its keys, its salt, and what was sealed with them.
///
/// No two different contents are ever sealed under one nonce: each sealed segment is remembered by its tag, and other
/// bytes in its place are refused before they leave.
pub(super) struct Encryption {
    header: EncryptionHeader,
    tink: TinkHeader,
    key: LessSafeKey,
    /// By blocks, so that parts may come in any order: a short form of each segment's tag.
    sealed: Mutex<HashMap<u32, Vec<u64>>>,
}

impl Encryption {
    /// Draws a data key and a salt for an object.
    pub(super) fn begin(tenant_key: &SecretKey, generation: u32, identity: &ObjectIdentity) -> Result<Self> {
        let data_key = SecretKey::random()?;
        let header = EncryptionHeader::wrap(tenant_key, generation, &data_key, identity)?;
        let tink = TinkHeader::random()?;
        let key = crypto::cipher(&tink.segment_key(&data_key, identity));
        Ok(Self {
            header,
            tink,
            key,
            sealed: Mutex::default(),
        })
    }

    /// Notes that a segment was sealed; refuses it if other bytes were sealed in its place.
    fn note(&self, segment: u32, is_last: bool, tag: [u8; TAG_BYTES]) -> Result<()> {
        let mut short = [0; 8];
        short.copy_from_slice(&tag[..8]);
        // Never zero, which means "none yet".
        let seen = u64::from_be_bytes(short) & !3 | 2 | u64::from(is_last);
        let mut blocks = self.sealed.lock().unwrap_or_else(PoisonError::into_inner);
        let sealed = blocks.entry(segment / BLOCK_SEGMENTS).or_default();
        let index = (segment % BLOCK_SEGMENTS) as usize;
        if sealed.len() <= index {
            sealed.resize(index + 1, 0);
        }
        if sealed[index] == 0 || sealed[index] == seen {
            sealed[index] = seen;
            return Ok(());
        }
        Err(other_bytes())
    }
}

fn other_bytes() -> Error {
    Error::invalid_input("other bytes were sent in this place before, and encryption never reuses a nonce")
        .with_help("send the same bytes again, or begin a new upload")
}

/// What is written, and where in the object.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The first segment.
    pub(super) segment: u64,
    /// Whether nothing follows.
    pub(super) is_last: bool,
    /// What the content must have.
    pub(super) checks: Checks,
}

/// What plain content must have.
#[derive(Clone, Debug, Default)]
pub(super) struct Checks {
    pub(super) length: Option<u64>,
    pub(super) digest: Option<Digest>,
    pub(super) checksum: Option<Checksum>,
}

/// Encrypts content. What could be replayed still can be, and gives the same bytes each time.
pub(super) async fn encrypt(
    encryption: Arc<Encryption>,
    content: Content,
    mut place: Place,
) -> Result<Content> {
    let length = place.checks.length.or(content.length());
    if length.is_some_and(|length| length > format::PLAIN_BYTES_MAX) {
        return Err(Error::new(
            ErrorKind::Rejected,
            format!(
                "an encrypted object has at most {} bytes",
                format::PLAIN_BYTES_MAX
            ),
        ));
    }
    place.checks.length = length;
    if place.checks.digest.is_some() && place.checks.digest == content.known_digest() {
        place.checks.digest = None;
    }
    if let Some(bytes) = content.as_bytes()
        && bytes.len() <= AT_ONCE_BYTES_MAX
    {
        return at_once(encryption, bytes.clone(), place).await;
    }
    let stored = length.map(|length| stored_part_size(&place, length));
    let sealed = content.map_stream(move |plain| {
        let sealer = Sealer::new(Arc::clone(&encryption), place.clone(), BATCH_BYTES);
        Box::pin(stream::try_unfold(
            Some((sealer, plain, Bytes::new())),
            |state| async move {
                let Some((sealer, plain, piece)) = state else {
                    return Ok(None);
                };
                advance(sealer, plain, piece).await
            },
        ))
    });
    Ok(match stored {
        Some(stored) => sealed.with_length(stored),
        None => sealed,
    })
}

/// Returns the stored size of content that begins at a segment.
fn stored_part_size(place: &Place, length: u64) -> u64 {
    if place.segment == 0 {
        let full = format::HEADERS_BYTES + length;
        return full + format::segments(length) * TAG_BYTES as u64;
    }
    length + length.div_ceil(format::SEGMENT_PLAIN_BYTES).max(1) * TAG_BYTES as u64
}

async fn at_once(encryption: Arc<Encryption>, bytes: Bytes, place: Place) -> Result<Content> {
    let is_small = bytes.len() <= ON_RUNTIME_BYTES_MAX;
    let run = move || {
        let size = stored_part_size(&place, bytes.len() as u64);
        let mut sealer = Sealer::new(encryption, place, usize::try_from(size).unwrap_or(BATCH_BYTES));
        let mut rest = bytes;
        sealer.checks.update(&rest);
        while !rest.is_empty() {
            sealer.fill(&mut rest)?;
        }
        sealer.finish().map(Content::from_bytes)
    };
    if is_small {
        return run();
    }
    tokio::task::spawn_blocking(run)
        .await
        .map_err(|source| Error::new(ErrorKind::Storage, "the encryption failed").with_source(source))?
}

type Reading = (Sealer, ByteStream, Bytes);

/// Reads and seals until a batch is full.
async fn advance(
    mut sealer: Sealer,
    mut plain: ByteStream,
    mut piece: Bytes,
) -> Result<Option<(Bytes, Option<Reading>)>> {
    loop {
        while !piece.is_empty() {
            sealer.fill(&mut piece)?;
            if sealer.is_full() {
                return Ok(Some((sealer.take(), Some((sealer, plain, piece)))));
            }
        }
        match plain.next().await.transpose()? {
            Some(next) => {
                sealer.checks.update(&next);
                piece = next;
            }
            None => return Ok(Some((sealer.finish()?, None))),
        }
    }
}

/// Seals segment after segment in one buffer.
struct Sealer {
    encryption: Arc<Encryption>,
    checks: Checking,
    /// The segment that is filled.
    segment: u64,
    /// Where its content begins in the buffer.
    start: usize,
    buffer: BytesMut,
    batch: usize,
    is_last: bool,
}

impl Sealer {
    fn new(encryption: Arc<Encryption>, place: Place, capacity: usize) -> Self {
        let batch = capacity.min(BATCH_BYTES);
        let mut buffer = BytesMut::with_capacity(capacity + SEGMENT_BYTES_USIZE);
        if place.segment == 0 {
            buffer.extend_from_slice(&encryption.header.to_bytes());
            buffer.extend_from_slice(&encryption.tink.to_bytes());
        }
        Self {
            encryption,
            checks: Checking::new(place.checks),
            segment: place.segment,
            start: buffer.len(),
            buffer,
            batch,
            is_last: place.is_last,
        }
    }

    /// Takes as much as the segment has room for; a full one is sealed as soon as it is known that more follows.
    fn fill(&mut self, piece: &mut Bytes) -> Result<()> {
        let room = format::segment_room(self.segment) - (self.buffer.len() - self.start);
        if room == 0 {
            self.seal(false)?;
            return Ok(());
        }
        let count = room.min(piece.len());
        self.buffer.extend_from_slice(&piece[..count]);
        piece.advance(count);
        Ok(())
    }

    /// Returns whether a batch is sealed, and nothing else is in the buffer.
    fn is_full(&self) -> bool {
        self.buffer.len() == self.start && self.buffer.len() >= self.batch
    }

    fn take(&mut self) -> Bytes {
        let sealed = self.buffer.split().freeze();
        self.buffer.reserve(BATCH_BYTES + SEGMENT_BYTES_USIZE);
        self.start = 0;
        sealed
    }

    fn seal(&mut self, is_last: bool) -> Result<()> {
        let number = u32::try_from(self.segment).map_err(|source| {
            Error::new(ErrorKind::Rejected, "the object is too large").with_source(source)
        })?;
        let nonce = self.encryption.tink.nonce(number, is_last);
        let tag = crypto::seal(&self.encryption.key, nonce, &[], &mut self.buffer[self.start..])?;
        self.encryption.note(number, is_last, tag)?;
        self.buffer.extend_from_slice(&tag);
        self.segment += 1;
        self.start = self.buffer.len();
        Ok(())
    }

    fn finish(mut self) -> Result<Bytes> {
        self.checks.finish()?;
        if !self.is_last && self.buffer.len() - self.start != format::segment_room(self.segment) {
            return Err(Error::invalid_input(
                "a part that is not the last must end with a segment",
            ));
        }
        self.seal(self.is_last)?;
        Ok(self.buffer.freeze())
    }
}

/// The plain content against what was declared of it.
struct Checking {
    declared: Checks,
    seen: u64,
    digest: Option<DigestHasher>,
    checksum: Option<ChecksumHasher>,
}

impl Checking {
    fn new(declared: Checks) -> Self {
        Self {
            digest: declared
                .digest
                .map(|digest| DigestHasher::new(digest.algorithm())),
            checksum: declared
                .checksum
                .as_ref()
                .and_then(|checksum| ChecksumHasher::new(checksum.algorithm())),
            seen: 0,
            declared,
        }
    }

    fn update(&mut self, piece: &[u8]) {
        self.seen += piece.len() as u64;
        if let Some(hasher) = &mut self.digest {
            hasher.update(piece);
        }
        if let Some(hasher) = &mut self.checksum {
            hasher.update(piece);
        }
    }

    fn finish(&mut self) -> Result<()> {
        if let Some(length) = self.declared.length
            && length != self.seen
        {
            return Err(Error::invalid_input(format!(
                "the content was declared to have {length} bytes but has {}",
                self.seen
            ))
            .with_help("declare the true length, or none"));
        }
        let digest = self.digest.take().map(DigestHasher::finish);
        let checksum = self.checksum.take().map(ChecksumHasher::finish);
        if digest.is_some() && digest != self.declared.digest
            || checksum.is_some() && checksum != self.declared.checksum
        {
            return Err(format::damaged(
                "the content does not have the digest that was declared",
            ));
        }
        Ok(())
    }
}
