//! The primitives: AES-256-GCM, HKDF-SHA256, random bytes and keys that are wiped.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{constant_time, hkdf, rand};
use boards_storage_core::{Error, ErrorKind, Result};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The size of every key, in bytes.
pub(super) const KEY_BYTES: usize = 32;

/// The size of a GCM tag, in bytes.
pub(super) const TAG_BYTES: usize = 16;

/// The size of a GCM nonce, in bytes.
pub(super) const NONCE_BYTES: usize = 12;

/// A key of 256 bits. It is wiped from memory when it goes, and never shown.
///
/// # Examples
///
/// ```
/// use boards_storage_layers::SecretKey;
///
/// let key = SecretKey::random()?;
/// assert_eq!(format!("{key:?}"), "SecretKey([redacted])");
/// # Ok::<(), boards_storage_core::Error>(())
/// ```
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretKey([u8; KEY_BYTES]);

impl SecretKey {
    /// Draws a fresh key.
    ///
    /// # Errors
    ///
    /// `Storage` if the system gives no random bytes.
    pub fn random() -> Result<Self> {
        let mut key = Self([0; KEY_BYTES]);
        fill_random(&mut key.0)?;
        Ok(key)
    }

    /// Takes the bytes of a key.
    #[must_use]
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes, for whoever wraps or uses the key.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut key = Self([0; KEY_BYTES]);
        if bytes.len() != KEY_BYTES {
            return None;
        }
        key.0.copy_from_slice(bytes);
        Some(key)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey([redacted])")
    }
}

/// Fills a buffer with random bytes.
pub(super) fn fill_random(bytes: &mut [u8]) -> Result<()> {
    rand::fill(bytes)
        .map_err(|_unspecified| Error::new(ErrorKind::Storage, "the system gives no random bytes"))
}

/// Prepares a key for AES-256-GCM.
pub(super) fn cipher(key: &SecretKey) -> LessSafeKey {
    let unbound = UnboundKey::new(&AES_256_GCM, key.expose()).expect("AES-256 takes keys of 32 bytes");
    LessSafeKey::new(unbound)
}

/// Encrypts in place and returns the tag.
pub(super) fn seal(
    key: &LessSafeKey,
    nonce: [u8; NONCE_BYTES],
    associated: &[u8],
    bytes: &mut [u8],
) -> Result<[u8; TAG_BYTES]> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = key
        .seal_in_place_separate_tag(nonce, Aad::from(associated), bytes)
        .map_err(|_unspecified| Error::new(ErrorKind::Storage, "the encryption failed"))?;
    let mut out = [0; TAG_BYTES];
    out.copy_from_slice(tag.as_ref());
    Ok(out)
}

/// Decrypts bytes that their tag follows, in place; `None` if they are not what was encrypted.
pub(super) fn open<'a>(
    key: &LessSafeKey,
    nonce: [u8; NONCE_BYTES],
    associated: &[u8],
    bytes: &'a mut [u8],
) -> Option<&'a mut [u8]> {
    key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(associated), bytes)
        .ok()
}

/// Derives a key by HKDF-SHA256.
pub(super) fn derive(key: &SecretKey, salt: &[u8], info: &[&[u8]]) -> SecretKey {
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(key.expose());
    let mut derived = SecretKey([0; KEY_BYTES]);
    extracted
        .expand(info, hkdf::HKDF_SHA256)
        .and_then(|output| output.fill(&mut derived.0))
        .expect("HKDF-SHA256 gives up to 8160 bytes");
    derived
}

/// Compares in constant time.
pub(super) fn is_same(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

/// Wraps a key under another: the nonce, the encrypted key, the tag.
pub(super) fn wrap(by: &SecretKey, key: &SecretKey, associated: &[u8]) -> Result<[u8; WRAPPED_BYTES]> {
    let mut wrapped = [0; WRAPPED_BYTES];
    let mut nonce = [0; NONCE_BYTES];
    fill_random(&mut nonce)?;
    wrapped[..NONCE_BYTES].copy_from_slice(&nonce);
    let (body, tag) = wrapped[NONCE_BYTES..].split_at_mut(KEY_BYTES);
    body.copy_from_slice(key.expose());
    tag.copy_from_slice(&seal(&cipher(by), nonce, associated, body)?);
    Ok(wrapped)
}

/// Unwraps what [`wrap`] gave; `None` if it is not that.
pub(super) fn unwrap(by: &SecretKey, wrapped: &[u8], associated: &[u8]) -> Option<SecretKey> {
    let mut bytes: [u8; WRAPPED_BYTES] = wrapped.try_into().ok()?;
    let (nonce, body) = bytes.split_at_mut(NONCE_BYTES);
    let nonce: [u8; NONCE_BYTES] = (&*nonce).try_into().ok()?;
    let key = open(&cipher(by), nonce, associated, body).and_then(|key| SecretKey::from_slice(key));
    bytes.zeroize();
    key
}

/// The size of a wrapped key, in bytes.
pub(super) const WRAPPED_BYTES: usize = NONCE_BYTES + KEY_BYTES + TAG_BYTES;
