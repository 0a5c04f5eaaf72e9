//! Digests, which identify content, and checksums, which detect damage.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::error::{Error, Result};

/// A cryptographic hash of an object's plain content: its identity.
///
/// Its text is `blake3:` or `sha256:` and 64 lower-case hex digits.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{Digest, DigestAlgorithm};
///
/// let digest = Digest::of(DigestAlgorithm::Blake3, b"hello");
/// assert_eq!(digest, digest.to_string().parse()?);
/// # Ok::<(), boards_storage_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: DigestAlgorithm,
    bytes: [u8; 32],
}

/// The hash function of a [`Digest`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DigestAlgorithm {
    /// BLAKE3 with 256 bits: what the manager computes.
    #[default]
    Blake3,
    /// SHA-256: accepted from callers who have it.
    Sha256,
}

impl DigestAlgorithm {
    /// Returns the name used in a digest's text.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Blake3 => "blake3",
            Self::Sha256 => "sha256",
        }
    }
}

impl Digest {
    /// Returns the digest of `content`.
    #[must_use]
    pub fn of(algorithm: DigestAlgorithm, content: &[u8]) -> Self {
        let mut hasher = DigestHasher::new(algorithm);
        hasher.update(content);
        hasher.finish()
    }

    /// Returns the hash function.
    #[must_use]
    pub fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    /// Returns the raw hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), Hex(&self.bytes))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid_input(format!("'{text}' is not a digest"))
                .with_help("give 'blake3:' or 'sha256:' and 64 hex digits")
        };
        let (name, hex) = text.split_once(':').ok_or_else(wrong)?;
        let algorithm = [DigestAlgorithm::Blake3, DigestAlgorithm::Sha256]
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .ok_or_else(wrong)?;
        let bytes = decode_hex(hex)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(wrong)?;
        Ok(Self { algorithm, bytes })
    }
}

/// Computes a [`Digest`] piece by piece.
#[derive(Clone, Debug)]
pub struct DigestHasher(Hasher);

#[derive(Clone, Debug)]
enum Hasher {
    // BLAKE3's state is about 2 KiB, so it lives on the heap.
    Blake3(Box<blake3::Hasher>),
    Sha256(sha2::Sha256),
}

impl DigestHasher {
    /// Creates a hasher of no bytes.
    #[must_use]
    pub fn new(algorithm: DigestAlgorithm) -> Self {
        Self(match algorithm {
            DigestAlgorithm::Blake3 => Hasher::Blake3(Box::new(blake3::Hasher::new())),
            DigestAlgorithm::Sha256 => Hasher::Sha256(sha2::Sha256::new()),
        })
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Hasher::Blake3(hasher) => {
                hasher.update(bytes);
            }
            Hasher::Sha256(hasher) => hasher.update(bytes),
        }
    }

    /// Returns the digest of all bytes added.
    #[must_use]
    pub fn finish(self) -> Digest {
        match self.0 {
            Hasher::Blake3(hasher) => Digest {
                algorithm: DigestAlgorithm::Blake3,
                bytes: *hasher.finalize().as_bytes(),
            },
            Hasher::Sha256(hasher) => Digest {
                algorithm: DigestAlgorithm::Sha256,
                bytes: hasher.finalize().into(),
            },
        }
    }
}

/// A checksum as a store keeps it: it detects damage and says nothing about identity.
///
/// Its text is the algorithm's name, a colon and lower-case hex digits, such as `crc64nvme:ae8b14860a799888`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Checksum {
    algorithm: ChecksumAlgorithm,
    value: Box<[u8]>,
}

/// The function of a [`Checksum`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChecksumAlgorithm {
    /// CRC-64/NVME, 8 bytes, big endian: what providers compute themselves.
    Crc64Nvme,
    /// CRC-32C, 4 bytes, big endian.
    Crc32c,
    /// MD5, 16 bytes.
    Md5,
    /// SHA-256, 32 bytes.
    Sha256,
}

impl ChecksumAlgorithm {
    const ALL: [Self; 4] = [Self::Crc64Nvme, Self::Crc32c, Self::Md5, Self::Sha256];

    /// Returns the name used in a checksum's text.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc64Nvme => "crc64nvme",
            Self::Crc32c => "crc32c",
            Self::Md5 => "md5",
            Self::Sha256 => "sha256",
        }
    }

    /// Returns the length of a value in bytes.
    #[must_use]
    pub fn size_bytes(self) -> usize {
        match self {
            Self::Crc64Nvme => 8,
            Self::Crc32c => 4,
            Self::Md5 => 16,
            Self::Sha256 => 32,
        }
    }
}

impl Checksum {
    /// Creates a checksum from its raw value.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the value does not have the algorithm's length.
    pub fn new(algorithm: ChecksumAlgorithm, value: impl Into<Box<[u8]>>) -> Result<Self> {
        let value = value.into();
        if value.len() != algorithm.size_bytes() {
            return Err(Error::invalid_input(format!(
                "a {} checksum has {} bytes, got {}",
                algorithm.name(),
                algorithm.size_bytes(),
                value.len()
            )));
        }
        Ok(Self { algorithm, value })
    }

    /// Returns the CRC-64/NVME of `content`.
    #[must_use]
    pub fn crc64_nvme(content: &[u8]) -> Self {
        let mut hasher = Crc64Hasher::default();
        hasher.update(content);
        hasher.finish()
    }

    /// Returns the function.
    #[must_use]
    pub fn algorithm(&self) -> ChecksumAlgorithm {
        self.algorithm
    }

    /// Returns the raw value.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.value
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), Hex(&self.value))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Checksum {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once(':').and_then(|(name, hex)| {
            let algorithm = ChecksumAlgorithm::ALL
                .into_iter()
                .find(|algorithm| algorithm.name() == name)?;
            Self::new(algorithm, decode_hex(hex)?).ok()
        });
        parsed.ok_or_else(|| {
            Error::invalid_input(format!("'{text}' is not a checksum"))
                .with_help("give an algorithm (crc64nvme, crc32c, md5, sha256), a colon and hex digits")
        })
    }
}

/// Computes a CRC-64/NVME [`Checksum`] piece by piece, at memory speed where the processor helps.
#[derive(Clone, Copy, Debug)]
pub struct Crc64Hasher(crc_fast::Digest);

impl Default for Crc64Hasher {
    fn default() -> Self {
        Self(crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme))
    }
}

impl Crc64Hasher {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Adds `size_bytes` bytes of which only the CRC-64/NVME is known, as when parts become one object.
    ///
    /// It takes tens of microseconds, whatever the size.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the checksum is of another function.
    pub fn append(&mut self, checksum: &Checksum, size_bytes: u64) -> Result<()> {
        let value: Option<[u8; 8]> = match checksum.algorithm {
            ChecksumAlgorithm::Crc64Nvme => checksum.value[..].try_into().ok(),
            ChecksumAlgorithm::Crc32c | ChecksumAlgorithm::Md5 | ChecksumAlgorithm::Sha256 => None,
        };
        let following = value.map(u64::from_be_bytes).ok_or_else(|| {
            Error::invalid_input(format!(
                "a crc64nvme checksum is wanted, got {}",
                checksum.algorithm.name()
            ))
        })?;
        let algorithm = crc_fast::CrcAlgorithm::Crc64Nvme;
        let both = crc_fast::checksum_combine(algorithm, self.0.finalize(), following, size_bytes);
        // A digest's state is its checksum before the final inversion.
        self.0 = crc_fast::Digest::new_with_init_state(algorithm, !both);
        Ok(())
    }

    /// Returns the checksum of all bytes added.
    #[must_use]
    pub fn finish(self) -> Checksum {
        Checksum {
            algorithm: ChecksumAlgorithm::Crc64Nvme,
            value: Box::new(self.0.finalize().to_be_bytes()),
        }
    }
}

/// Computes a [`Checksum`] of any function but MD5 piece by piece.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{ChecksumAlgorithm, ChecksumHasher};
///
/// let mut hasher = ChecksumHasher::new(ChecksumAlgorithm::Crc32c).expect("it is computed here");
/// hasher.update(b"12345");
/// hasher.update(b"6789");
/// assert_eq!(hasher.finish().to_string(), "crc32c:e3069283");
/// ```
#[derive(Clone, Debug)]
pub struct ChecksumHasher(Sum);

#[derive(Clone, Debug)]
enum Sum {
    Crc64(Crc64Hasher),
    Crc32c(crc_fast::Digest),
    Sha256(sha2::Sha256),
}

impl ChecksumHasher {
    /// Creates a hasher of no bytes; `None` for MD5, which no provider computes.
    #[must_use]
    pub fn new(algorithm: ChecksumAlgorithm) -> Option<Self> {
        match algorithm {
            ChecksumAlgorithm::Crc64Nvme => Some(Self(Sum::Crc64(Crc64Hasher::default()))),
            ChecksumAlgorithm::Crc32c => {
                let digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
                Some(Self(Sum::Crc32c(digest)))
            }
            ChecksumAlgorithm::Sha256 => Some(Self(Sum::Sha256(sha2::Sha256::new()))),
            ChecksumAlgorithm::Md5 => None,
        }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Sum::Crc64(hasher) => hasher.update(bytes),
            Sum::Crc32c(hasher) => hasher.update(bytes),
            Sum::Sha256(hasher) => hasher.update(bytes),
        }
    }

    /// Returns the checksum of all bytes added.
    #[must_use]
    pub fn finish(self) -> Checksum {
        let (algorithm, value): (_, Box<[u8]>) = match self.0 {
            Sum::Crc64(hasher) => return hasher.finish(),
            // The four low bytes of eight.
            Sum::Crc32c(hasher) => (
                ChecksumAlgorithm::Crc32c,
                hasher.finalize().to_be_bytes()[4..].into(),
            ),
            Sum::Sha256(hasher) => (ChecksumAlgorithm::Sha256, hasher.finalize().to_vec().into()),
        };
        Checksum { algorithm, value }
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0_u8; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text[..self.0.len() * 2]).map_err(|_not_ascii| fmt::Error)?)
    }
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

macro_rules! serde_as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}

serde_as_text!(Digest);
serde_as_text!(Checksum);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // The check values of the algorithms' own catalogues.
        assert_eq!(
            Checksum::crc64_nvme(b"123456789").to_string(),
            "crc64nvme:ae8b14860a799888"
        );
        assert_eq!(
            Digest::of(DigestAlgorithm::Sha256, b"abc").to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            Digest::of(DigestAlgorithm::Blake3, b"").to_string(),
            "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
    }

    #[test]
    fn a_hasher_computes_what_a_store_may_keep() {
        for expected in [
            "crc64nvme:ae8b14860a799888",
            "crc32c:e3069283",
            "sha256:15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
        ] {
            let expected: Checksum = expected.parse().expect("a checksum");
            let mut hasher = ChecksumHasher::new(expected.algorithm()).expect("it is computed");
            hasher.update(b"1234");
            hasher.update(b"56789");
            assert_eq!(hasher.finish(), expected);
        }
        assert!(ChecksumHasher::new(ChecksumAlgorithm::Md5).is_none());
    }

    #[test]
    fn a_checksum_is_appended_as_if_its_bytes_were() {
        let bytes: Vec<u8> = (0..10_000_u32)
            .map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1])
            .collect();
        for (first, second) in [(0, 0), (0, 10), (10, 10), (1, 5_000), (4_096, 9_999)] {
            let mut hasher = Crc64Hasher::default();
            hasher.update(&bytes[..first]);
            hasher
                .append(
                    &Checksum::crc64_nvme(&bytes[first..second]),
                    (second - first) as u64,
                )
                .expect("crc64");
            hasher.update(&bytes[second..]);
            assert_eq!(hasher.finish(), Checksum::crc64_nvme(&bytes), "{first} {second}");
        }
        let other = "crc32c:e3069283".parse().expect("a checksum");
        assert!(Crc64Hasher::default().append(&other, 9).is_err());
    }

    #[test]
    fn malformed_text_is_refused() {
        for bad in [
            "",
            "blake3",
            "blake3:",
            "blake3:00",
            "md5:00",
            &format!("blake3:{}g", "0".repeat(63)),
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
        for bad in ["crc64nvme:00", "crc32c:+1000000", "none:00000000"] {
            assert!(bad.parse::<Checksum>().is_err(), "{bad}");
        }
        assert!("crc32c:E3069283".parse::<Checksum>().is_ok());
    }
}
