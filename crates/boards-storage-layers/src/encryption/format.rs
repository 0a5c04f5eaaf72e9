//! How an encrypted object lies in the store: our header, then a Tink stream. Pure arithmetic and parsing.
//!
//! ```text
//! 0    magic "bstorenc"
//! 8    format version (1), suite (1: AES256-GCM-HKDF-SHA256), header size (128, two bytes)
//! 12   ciphertext segment size (65,536, four bytes)
//! 16   generation of the tenant key (four bytes)
//! 20   the data key, wrapped by the tenant key: nonce (12), key (32), tag (16)
//! 80   commitment to the data key and the object (32)
//! 112  zeros
//! 128  Tink: 40, salt (32), nonce prefix (7), then segments of 65,536 bytes, the first with this header
//! ```
//!
//! Numbers are big-endian. Every byte before the wrapped key is associated data of its wrapping.

use std::ops::Range;

use boards_storage_core::{Error, ErrorKind, ObjectIdentity, Result};

use super::crypto::{self, KEY_BYTES, NONCE_BYTES, SecretKey, TAG_BYTES, WRAPPED_BYTES};

/// The size of a segment as it is stored, in bytes.
pub(super) const SEGMENT_BYTES: u64 = 65_536;
pub(super) const SEGMENT_BYTES_USIZE: usize = 65_536;
/// How many bytes of content a segment holds.
pub(super) const SEGMENT_PLAIN_BYTES: u64 = SEGMENT_BYTES - TAG_BYTES as u64;
/// The size of Tink's header, which stands in the first segment.
pub(super) const TINK_HEADER_BYTES: usize = 1 + SALT_BYTES + PREFIX_BYTES;
/// The size of both headers.
pub(super) const HEADERS_BYTES: u64 = (EncryptionHeader::SIZE_BYTES + TINK_HEADER_BYTES) as u64;
/// The size of a tag.
pub(super) const TAG_BYTES_U64: u64 = TAG_BYTES as u64;
/// Tink counts segments by 32 bits.
const SEGMENTS_MAX: u64 = 1 << 32;
/// The largest content.
pub(super) const PLAIN_BYTES_MAX: u64 = SEGMENTS_MAX * SEGMENT_PLAIN_BYTES - TINK_HEADER_BYTES as u64;

const SALT_BYTES: usize = 32;
const PREFIX_BYTES: usize = 7;
const MAGIC: &[u8; 8] = b"bstorenc";
const VERSION: u8 = 1;
const SUITE: u8 = 1;
const SEGMENT_BYTES_FIELD: u32 = 65_536;
const WRAPPED_AT: usize = 20;
const COMMITMENT_AT: usize = WRAPPED_AT + WRAPPED_BYTES;
const COMMITMENT_BYTES: usize = 32;
const COMMITMENT_END: usize = COMMITMENT_AT + COMMITMENT_BYTES;

/// Returns how many segments content of this size has.
pub(super) fn segments(plain: u64) -> u64 {
    (plain + TINK_HEADER_BYTES as u64)
        .div_ceil(SEGMENT_PLAIN_BYTES)
        .max(1)
}

/// Returns the stored size of content of this size; `None` if it is too large.
pub(super) fn stored_size(plain: u64) -> Option<u64> {
    (plain <= PLAIN_BYTES_MAX).then(|| HEADERS_BYTES + plain + segments(plain) * TAG_BYTES as u64)
}

/// Returns the size of the content whose stored size is this; `None` if no content has it.
pub(super) fn plain_size(stored: u64) -> Option<u64> {
    let stream = stored.checked_sub(EncryptionHeader::SIZE_BYTES as u64)?;
    let tags = stream.div_ceil(SEGMENT_BYTES).checked_mul(TAG_BYTES as u64)?;
    let plain = stream.checked_sub(tags + TINK_HEADER_BYTES as u64)?;
    (stored_size(plain)? == stored).then_some(plain)
}

/// Returns which segment holds this byte of the content.
pub(super) fn segment_of(plain_offset: u64) -> u64 {
    (plain_offset + TINK_HEADER_BYTES as u64) / SEGMENT_PLAIN_BYTES
}

/// Returns the first byte of the content that a segment holds.
pub(super) fn segment_start(segment: u64) -> u64 {
    (segment * SEGMENT_PLAIN_BYTES).saturating_sub(TINK_HEADER_BYTES as u64)
}

/// Returns how many bytes of content a full segment holds.
pub(super) fn segment_room(segment: u64) -> usize {
    let less = if segment == 0 { TINK_HEADER_BYTES } else { 0 };
    SEGMENT_BYTES_FIELD as usize - TAG_BYTES - less
}

/// Returns where the bytes of these segments are stored; the first one's begin behind both headers.
pub(super) fn stored_range(segments: Range<u64>, stored: u64) -> Range<u64> {
    let at = |segment: u64| EncryptionHeader::SIZE_BYTES as u64 + segment * SEGMENT_BYTES;
    let start = at(segments.start).max(HEADERS_BYTES);
    start..at(segments.end).min(stored)
}

/// The header that stands in front of every encrypted object, as it was read: nothing in it is proven yet.
///
/// # Examples
///
/// ```
/// use boards_storage_layers::EncryptionHeader;
///
/// assert!(EncryptionHeader::parse(b"plain text").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptionHeader {
    generation: u32,
    wrapped: [u8; WRAPPED_BYTES],
    commitment: [u8; COMMITMENT_BYTES],
}

impl EncryptionHeader {
    /// The size of the header in bytes.
    pub const SIZE_BYTES: usize = 128;

    /// Parses the first [`Self::SIZE_BYTES`] bytes of an object; what follows is not looked at.
    ///
    /// # Errors
    ///
    /// `Corruption` if these bytes are no such header.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let bytes: &[u8; Self::SIZE_BYTES] = bytes
            .get(..Self::SIZE_BYTES)
            .and_then(|head| head.try_into().ok())
            .ok_or_else(|| damaged("the object is shorter than the header of an encrypted one"))?;
        if &bytes[..8] != MAGIC {
            return Err(damaged("the object does not begin as an encrypted one"));
        }
        let generation = u32::from_be_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]);
        if bytes[8..WRAPPED_AT] != fixed(generation)[8..] {
            return Err(damaged(
                "the object is encrypted in a format that is not known here",
            ));
        }
        if bytes[COMMITMENT_END..].iter().any(|byte| *byte != 0) {
            return Err(damaged("the header has bytes that must be zero"));
        }
        let mut header = Self {
            generation,
            wrapped: [0; WRAPPED_BYTES],
            commitment: [0; COMMITMENT_BYTES],
        };
        header.wrapped.copy_from_slice(&bytes[WRAPPED_AT..COMMITMENT_AT]);
        header
            .commitment
            .copy_from_slice(&bytes[COMMITMENT_AT..COMMITMENT_END]);
        Ok(header)
    }

    /// Returns the generation of the tenant key that wraps the data key.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Writes the header.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::SIZE_BYTES] {
        let mut bytes = [0; Self::SIZE_BYTES];
        bytes[..WRAPPED_AT].copy_from_slice(&fixed(self.generation));
        bytes[WRAPPED_AT..COMMITMENT_AT].copy_from_slice(&self.wrapped);
        bytes[COMMITMENT_AT..COMMITMENT_END].copy_from_slice(&self.commitment);
        bytes
    }

    /// Returns the associated data of an object's Tink stream: what its bytes are bound to.
    #[must_use]
    pub fn associated_data(identity: &ObjectIdentity) -> Vec<u8> {
        associated_data(identity)
    }

    /// Wraps a data key for an object.
    pub(super) fn wrap(
        tenant_key: &SecretKey,
        generation: u32,
        data_key: &SecretKey,
        identity: &ObjectIdentity,
    ) -> Result<Self> {
        let associated = wrap_associated(generation, identity);
        Ok(Self {
            generation,
            wrapped: crypto::wrap(tenant_key, data_key, &associated)?,
            commitment: commitment(data_key, identity),
        })
    }

    /// Unwraps the data key of an object.
    pub(super) fn unwrap(&self, tenant_key: &SecretKey, identity: &ObjectIdentity) -> Result<SecretKey> {
        let associated = wrap_associated(self.generation, identity);
        let key = crypto::unwrap(tenant_key, &self.wrapped, &associated)
            .ok_or_else(|| damaged("the object's key does not belong to this object, or was changed"))?;
        if crypto::is_same(&commitment(&key, identity), &self.commitment) {
            return Ok(key);
        }
        Err(damaged("the object's key is not the one that it commits to"))
    }
}

/// The bytes before the wrapped key.
fn fixed(generation: u32) -> [u8; WRAPPED_AT] {
    let mut bytes = [0; WRAPPED_AT];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8] = VERSION;
    bytes[9] = SUITE;
    bytes[11] = 128;
    bytes[12..16].copy_from_slice(&SEGMENT_BYTES_FIELD.to_be_bytes());
    bytes[16..].copy_from_slice(&generation.to_be_bytes());
    bytes
}

fn wrap_associated(generation: u32, identity: &ObjectIdentity) -> Vec<u8> {
    let mut associated = fixed(generation).to_vec();
    associated.extend(associated_data(identity));
    associated
}

/// Returns the associated data of an object's stream: what its bytes are bound to.
pub(super) fn associated_data(identity: &ObjectIdentity) -> Vec<u8> {
    let mut bytes = b"boards-storage object v1\0".to_vec();
    for text in [identity.tenant().as_str(), identity.object()] {
        bytes.extend((text.len() as u64).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

fn commitment(key: &SecretKey, identity: &ObjectIdentity) -> [u8; COMMITMENT_BYTES] {
    let associated = associated_data(identity);
    *crypto::derive(key, b"boards-storage key commitment v1", &[&associated]).expose()
}

/// The header of a Tink stream: what its segment key is derived with.
#[derive(Clone, Debug)]
pub(super) struct TinkHeader {
    salt: [u8; SALT_BYTES],
    prefix: [u8; PREFIX_BYTES],
}

impl TinkHeader {
    pub(super) fn random() -> Result<Self> {
        let mut header = Self {
            salt: [0; SALT_BYTES],
            prefix: [0; PREFIX_BYTES],
        };
        crypto::fill_random(&mut header.salt)?;
        crypto::fill_random(&mut header.prefix)?;
        Ok(header)
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let wrong = || damaged("the encrypted stream does not begin as one");
        let bytes: &[u8; TINK_HEADER_BYTES] = bytes.try_into().map_err(|_length| wrong())?;
        if usize::from(bytes[0]) != TINK_HEADER_BYTES {
            return Err(wrong());
        }
        let mut header = Self {
            salt: [0; SALT_BYTES],
            prefix: [0; PREFIX_BYTES],
        };
        header.salt.copy_from_slice(&bytes[1..=SALT_BYTES]);
        header.prefix.copy_from_slice(&bytes[1 + SALT_BYTES..]);
        Ok(header)
    }

    pub(super) fn to_bytes(&self) -> [u8; TINK_HEADER_BYTES] {
        let mut bytes = [0; TINK_HEADER_BYTES];
        bytes[0] = 40;
        bytes[1..=SALT_BYTES].copy_from_slice(&self.salt);
        bytes[1 + SALT_BYTES..].copy_from_slice(&self.prefix);
        bytes
    }

    /// Derives the key of the segments.
    pub(super) fn segment_key(&self, data_key: &SecretKey, identity: &ObjectIdentity) -> SecretKey {
        crypto::derive(data_key, &self.salt, &[&associated_data(identity)])
    }

    /// Returns the nonce of a segment.
    pub(super) fn nonce(&self, segment: u32, is_last: bool) -> [u8; NONCE_BYTES] {
        let mut nonce = [0; NONCE_BYTES];
        nonce[..PREFIX_BYTES].copy_from_slice(&self.prefix);
        nonce[PREFIX_BYTES..PREFIX_BYTES + 4].copy_from_slice(&segment.to_be_bytes());
        nonce[NONCE_BYTES - 1] = u8::from(is_last);
        nonce
    }
}

const _: () = assert!(TINK_HEADER_BYTES == 40 && KEY_BYTES == 32 && COMMITMENT_END == 112);

/// Returns the error of bytes that are not what was written.
pub(super) fn damaged(what: &'static str) -> Error {
    Error::new(ErrorKind::Corruption, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_map_both_ways_around_every_edge() {
        let edges = [
            0,
            SEGMENT_PLAIN_BYTES - 40,
            2 * SEGMENT_PLAIN_BYTES - 40,
            SEGMENT_PLAIN_BYTES * 1000 - 40,
        ];
        for edge in edges {
            for plain in edge.saturating_sub(20)..edge + 20 {
                let stored = stored_size(plain).expect("small enough");
                assert_eq!(plain_size(stored), Some(plain), "{plain}");
                if plain > 0 {
                    assert_eq!(segments(plain), segment_of(plain - 1) + 1, "{plain}");
                }
            }
        }
        assert_eq!(stored_size(0), Some(184));
        assert_eq!(plain_size(183), None);
        // A last segment has a tag and at least one byte, unless it is the first.
        assert_eq!(plain_size(128 + 65_536 + 16), None);
        assert_eq!(plain_size(128 + 65_536 + 17), Some(SEGMENT_PLAIN_BYTES - 40 + 1));
        assert!(stored_size(PLAIN_BYTES_MAX).is_some() && stored_size(PLAIN_BYTES_MAX + 1).is_none());
        assert_eq!(plain_size(u64::MAX), None);
    }

    #[test]
    fn segments_begin_where_the_one_before_ends() {
        for segment in 0..5 {
            assert_eq!(segment_of(segment_start(segment)), segment);
            assert_eq!(
                segment_start(segment) + segment_room(segment) as u64,
                segment_start(segment + 1)
            );
        }
        assert_eq!(stored_range(0..1, 200), 168..200);
        assert_eq!(stored_range(1..3, 1 << 20), 128 + 65_536..128 + 3 * 65_536);
    }
}
