//! The content of an upload on its way in: counted, hashed and checked before anything is committed.

use boards_storage_core::{
    ByteStream, Content, Digest, DigestHasher, Error, ErrorKind, Result, UploadOptions,
};
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;

/// All blocks but the last have at least so many bytes.
const BLOCK_BYTES: usize = 64 << 10;

/// Pieces of a content, with what the writer declared of the whole.
pub(crate) struct Intake {
    stream: ByteStream,
    hasher: Option<(DigestHasher, Digest)>,
    length: Option<u64>,
    size_bytes_max: Option<u64>,
    seen: u64,
    /// Small pieces, until they are a block.
    held: BytesMut,
}

impl Intake {
    /// Opens the content. A length that is known to be wrong is refused before a byte is read.
    pub(crate) async fn open(
        content: &Content,
        options: &UploadOptions,
        size_bytes_max: Option<u64>,
    ) -> Result<Self> {
        if let (Some(has), Some(wanted)) = (content.length(), options.length)
            && has != wanted
        {
            return Err(wrong_length(wanted, has));
        }
        let hasher = options
            .digest
            .map(|digest| (DigestHasher::new(digest.algorithm()), digest));
        Ok(Self {
            stream: content.open().await?,
            hasher,
            length: options.length,
            size_bytes_max,
            seen: 0,
            held: BytesMut::new(),
        })
    }

    /// Returns the next block; at the end, nothing if the whole is what was declared. Small pieces are put together, so
    /// that whoever holds blocks holds hardly more than their bytes.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(piece) = self.next_piece().await? {
            if self.held.is_empty() && piece.len() >= BLOCK_BYTES {
                return Ok(Some(piece));
            }
            self.held.extend_from_slice(&piece);
            if self.held.len() >= BLOCK_BYTES {
                return Ok(Some(self.held.split().freeze()));
            }
        }
        let last = self.held.split().freeze();
        Ok((!last.is_empty()).then_some(last))
    }

    async fn next_piece(&mut self) -> Result<Option<Bytes>> {
        while let Some(piece) = self.stream.try_next().await? {
            if piece.is_empty() {
                continue;
            }
            self.seen += piece.len() as u64;
            if let Some(wanted) = self.length.filter(|wanted| self.seen > *wanted) {
                return Err(wrong_length(wanted, self.seen));
            }
            if let Some(max) = self.size_bytes_max.filter(|max| self.seen > *max) {
                let message =
                    format!("the content has more than {max} bytes, which is what this store takes");
                return Err(Error::new(ErrorKind::Rejected, message));
            }
            if let Some((hasher, _)) = &mut self.hasher {
                hasher.update(&piece);
            }
            return Ok(Some(piece));
        }
        if let Some(wanted) = self.length.filter(|wanted| self.seen != *wanted) {
            return Err(wrong_length(wanted, self.seen));
        }
        if let Some((hasher, wanted)) = self.hasher.take()
            && hasher.finish() != wanted
        {
            return Err(Error::new(
                ErrorKind::Corruption,
                "the content does not have the digest that was declared",
            ));
        }
        Ok(None)
    }

    /// Returns how many bytes came so far.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }
}

fn wrong_length(wanted: u64, has: u64) -> Error {
    Error::invalid_input(format!(
        "the content was declared to have {wanted} bytes but has {has} or more"
    ))
    .with_help("declare the true length, or none")
}

#[cfg(test)]
mod tests {
    use boards_storage_core::DigestAlgorithm;

    use super::*;

    async fn blocks(pieces: Vec<Bytes>, options: &UploadOptions, max: Option<u64>) -> Result<Vec<usize>> {
        let stream = futures_util::stream::iter(pieces.into_iter().map(Ok));
        let content = Content::from_stream(None, stream);
        let mut intake = Intake::open(&content, options, max).await?;
        let mut sizes = Vec::new();
        while let Some(block) = intake.next().await? {
            sizes.push(block.len());
        }
        // It stays at its end.
        assert_eq!(intake.next().await?, None);
        assert_eq!(intake.seen(), sizes.iter().sum::<usize>() as u64);
        Ok(sizes)
    }

    async fn check(sizes: &[usize], expected: &[usize]) {
        let pieces = sizes.iter().map(|size| vec![1; *size].into()).collect();
        let found = blocks(pieces, &UploadOptions::default(), None).await;
        assert_eq!(found.expect("read"), expected);
    }

    #[tokio::test]
    async fn small_pieces_are_put_together() {
        const BLOCK: usize = BLOCK_BYTES;
        check(&[], &[]).await;
        check(&[0, 1, 0, 2], &[3]).await;
        check(&[BLOCK, 1], &[BLOCK, 1]).await;
        check(&[1, BLOCK - 2, 1, 5], &[BLOCK, 5]).await;
        check(&[1, BLOCK, 5], &[BLOCK + 1, 5]).await;
        check(&vec![1; BLOCK + 3], &[BLOCK, 3]).await;
    }

    #[tokio::test]
    async fn what_was_declared_is_held_to() {
        let of = |text: &'static str| vec![Bytes::from(text)];
        let digest = Digest::of(DigestAlgorithm::Blake3, b"abc");
        let declared = UploadOptions::default().with_length(3).with_digest(digest);
        assert_eq!(blocks(of("abc"), &declared, Some(3)).await.expect("right"), [3]);
        for (text, options, max, kind) in [
            ("abd", &declared, None, ErrorKind::Corruption),
            ("ab", &declared, None, ErrorKind::InvalidInput),
            ("abcd", &declared, None, ErrorKind::InvalidInput),
            ("abcd", &UploadOptions::default(), Some(3), ErrorKind::Rejected),
        ] {
            let refused = blocks(of(text), options, max).await.expect_err(text);
            assert_eq!(refused.kind(), kind, "{text}: {refused}");
        }
    }
}
