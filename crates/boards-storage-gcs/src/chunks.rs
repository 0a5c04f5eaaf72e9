//! Content as chunks of the sizes asked for, measured and hashed on the way.

use std::collections::VecDeque;

use boards_storage_core::{
    ByteStream, Checksum, ChecksumAlgorithm, Content, Crc64Hasher, Digest, DigestHasher, Error, ErrorKind,
    Result,
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

/// What the content must be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    pub(crate) length: Option<u64>,
    pub(crate) digest: Option<Digest>,
    pub(crate) checksum: Option<Checksum>,
}

/// Content on its way. The last chunk is handed out only when length, digest and checksum of all are right.
pub(crate) struct Chunks {
    stream: ByteStream,
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    has_ended: bool,
    taken: u64,
    declared: Option<u64>,
    crc32c: Crc32cHasher,
    digest: Option<(Digest, DigestHasher)>,
    checksum: Option<(Checksum, Option<Crc64Hasher>)>,
}

impl Chunks {
    pub(crate) async fn open(content: &Content, expected: &Expected) -> Result<Self> {
        if let (Some(asked), Some(known)) = (expected.length, content.length())
            && asked != known
        {
            return Err(Error::invalid_input(format!(
                "the content has {known} bytes, the options ask for {asked}"
            )));
        }
        let checksum = match &expected.checksum {
            None => None,
            Some(checksum) => Some((checksum.clone(), hasher_of(checksum)?)),
        };
        Ok(Self {
            stream: content.open().await?,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            has_ended: false,
            taken: 0,
            declared: content.length().or(expected.length),
            crc32c: Crc32cHasher::default(),
            digest: expected
                .digest
                .map(|digest| (digest, DigestHasher::new(digest.algorithm()))),
            checksum,
        })
    }

    /// Returns the length, if it is known beforehand.
    pub(crate) fn declared(&self) -> Option<u64> {
        self.declared
    }

    /// Returns the CRC-32C of all bytes, once the last chunk was handed out.
    pub(crate) fn crc32c(&self) -> u32 {
        self.crc32c.finish()
    }

    async fn fill(&mut self, size: usize) -> Result<()> {
        while self.waiting_bytes < size && !self.has_ended {
            match self.stream.next().await {
                Some(piece) => self.take_in(piece?)?,
                None => {
                    self.has_ended = true;
                    self.check()?;
                }
            }
        }
        Ok(())
    }

    fn take_in(&mut self, piece: Bytes) -> Result<()> {
        self.taken += piece.len() as u64;
        if self.declared.is_some_and(|declared| self.taken > declared) {
            return Err(self.lied("more"));
        }
        self.crc32c.update(&piece);
        if let Some((_, hasher)) = &mut self.digest {
            hasher.update(&piece);
        }
        if let Some((_, Some(hasher))) = &mut self.checksum {
            hasher.update(&piece);
        }
        self.waiting_bytes += piece.len();
        self.waiting.push_back(piece);
        Ok(())
    }

    fn lied(&self, what: &str) -> Error {
        Error::invalid_input(format!(
            "the content should have {} bytes but has {what}",
            self.declared.unwrap_or_default()
        ))
    }

    fn check(&mut self) -> Result<()> {
        if self.declared.is_some_and(|declared| self.taken != declared) {
            return Err(self.lied(&format!("only {}", self.taken)));
        }
        let is_other_digest = self
            .digest
            .take()
            .is_some_and(|(expected, hasher)| hasher.finish() != expected);
        let crc32c = crate::resource::checksum_of(self.crc32c.finish());
        let is_other_checksum = self
            .checksum
            .take()
            .is_some_and(|(expected, hasher)| expected != hasher.map_or(crc32c, Crc64Hasher::finish));
        if is_other_digest || is_other_checksum {
            return Err(Error::new(
                ErrorKind::Corruption,
                "the content does not have the digest or checksum that was declared",
            ));
        }
        Ok(())
    }

    /// Returns whether there are more than so many bytes.
    pub(crate) async fn is_longer_than(&mut self, size: usize) -> Result<bool> {
        self.fill(size.saturating_add(1)).await?;
        Ok(self.waiting_bytes > size)
    }

    /// Returns the next `size` bytes, and whether they are the last.
    pub(crate) async fn next(&mut self, size: usize) -> Result<(Bytes, bool)> {
        let is_last = !self.is_longer_than(size).await?;
        Ok((self.take(size.min(self.waiting_bytes)), is_last))
    }

    /// Takes so many of the bytes that wait. What lies in one piece is not copied, however large the piece is.
    fn take(&mut self, size: usize) -> Bytes {
        self.waiting_bytes -= size;
        if let Some(front) = self.waiting.front_mut()
            && front.len() >= size
        {
            return front.split_to(size);
        }
        let mut gathered = BytesMut::with_capacity(size);
        while gathered.len() < size {
            let Some(mut piece) = self.waiting.pop_front() else {
                break;
            };
            let wanted = piece.len().min(size - gathered.len());
            gathered.extend_from_slice(&piece.split_to(wanted));
            if !piece.is_empty() {
                self.waiting.push_front(piece);
            }
        }
        gathered.freeze()
    }
}

/// Returns what computes the checksum; nothing where the CRC-32C, which is computed anyway, is it.
fn hasher_of(checksum: &Checksum) -> Result<Option<Crc64Hasher>> {
    match checksum.algorithm() {
        ChecksumAlgorithm::Crc32c => Ok(None),
        ChecksumAlgorithm::Crc64Nvme => Ok(Some(Crc64Hasher::default())),
        other => Err(Error::unsupported(format!(
            "a part's checksum must be crc32c or crc64nvme here, got {}",
            other.name()
        ))),
    }
}

/// Computes a CRC-32C piece by piece.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crc32cHasher(crc_fast::Digest);

impl Default for Crc32cHasher {
    fn default() -> Self {
        Self(crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi))
    }
}

impl Crc32cHasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(&self) -> u32 {
        as_crc32(self.0.finalize())
    }
}

/// Returns the CRC-32C of two runs of bytes, one after the other; the second is `size_bytes` long.
pub(crate) fn combine_crc32c(first: u32, second: u32, size_bytes: u64) -> u32 {
    as_crc32(crc_fast::checksum_combine(
        crc_fast::CrcAlgorithm::Crc32Iscsi,
        first.into(),
        second.into(),
        size_bytes,
    ))
}

fn as_crc32(value: u64) -> u32 {
    u32::try_from(value).expect("a CRC-32C has 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crc32c(bytes: &[u8]) -> u32 {
        let mut hasher = Crc32cHasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    #[test]
    fn checksums_are_those_of_the_standard_and_add_up() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(combine_crc32c(crc32c(b"1234"), crc32c(b"56789"), 5), 0xe306_9283);
        assert_eq!(combine_crc32c(crc32c(b""), crc32c(b"x"), 1), crc32c(b"x"));
    }

    async fn gather(pieces: &[&'static str], sizes: &[usize]) -> Vec<(String, bool)> {
        let stream =
            futures_util::stream::iter(pieces.to_vec()).map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
        let content = Content::from_stream(None, stream);
        let mut chunks = Chunks::open(&content, &Expected::default())
            .await
            .expect("it opens");
        let mut gathered = Vec::new();
        for size in sizes {
            let (bytes, is_last) = chunks.next(*size).await.expect("bytes");
            gathered.push((String::from_utf8(bytes.to_vec()).expect("text"), is_last));
        }
        gathered
    }

    #[tokio::test]
    async fn chunks_have_their_sizes_and_the_last_is_known() {
        let text = |text: &str, is_last| (text.to_owned(), is_last);
        let chunks = gather(&["ab", "cde", "f"], &[4, 2]).await;
        assert_eq!(chunks, [text("abcd", false), text("ef", true)]);
        assert_eq!(
            gather(&["abcd"], &[2, 2]).await,
            [text("ab", false), text("cd", true)]
        );
        assert_eq!(gather(&[], &[2]).await, [text("", true)]);
    }

    #[tokio::test]
    async fn wrong_content_keeps_its_last_chunk() {
        let kind = async |expected: Expected| {
            let opened = Chunks::open(&Content::from("abcd"), &expected).await;
            match opened {
                Ok(mut chunks) => chunks.next(4).await.map(|_| ()).map_err(|error| error.kind()),
                Err(error) => Err(error.kind()),
            }
        };
        let checksum = |checksum| Expected {
            checksum: Some(checksum),
            ..Expected::default()
        };
        let length = |length| Expected {
            length: Some(length),
            ..Expected::default()
        };
        assert_eq!(kind(checksum(Checksum::crc64_nvme(b"abcd"))).await, Ok(()));
        assert_eq!(
            kind(checksum(Checksum::crc64_nvme(b"abce"))).await,
            Err(ErrorKind::Corruption)
        );
        let right = crate::resource::checksum_of(crc32c(b"abcd"));
        assert_eq!(kind(checksum(right)).await, Ok(()));
        let md5 = Checksum::new(ChecksumAlgorithm::Md5, [0; 16]).expect("16 bytes");
        assert_eq!(kind(checksum(md5)).await, Err(ErrorKind::Unsupported));
        assert_eq!(kind(length(4)).await, Ok(()));
        assert_eq!(kind(length(5)).await, Err(ErrorKind::InvalidInput));
        let digest = Some(Digest::of(boards_storage_core::DigestAlgorithm::Sha256, b"x"));
        let expected = Expected {
            digest,
            ..Expected::default()
        };
        assert_eq!(kind(expected).await, Err(ErrorKind::Corruption));
    }
}
