//! The content of an upload on its way in: counted, hashed and checked before anything is committed.

use boards_storage_core::{
    ByteStream, Content, Digest, DigestHasher, Error, ErrorKind, Result, UploadOptions,
};
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;

/// Pieces of a content, with what the writer declared of the whole.
pub(crate) struct Intake {
    stream: ByteStream,
    hasher: Option<(DigestHasher, Digest)>,
    length: Option<u64>,
    size_bytes_max: Option<u64>,
    seen: u64,
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
        })
    }

    /// Returns the next piece that is not empty; at the end, nothing if the whole is what was declared.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
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

    /// Reads everything that is left, within the greatest size.
    pub(crate) async fn collect(&mut self) -> Result<Bytes> {
        let Some(first) = self.next().await? else {
            return Ok(Bytes::new());
        };
        let mut all = Collected::One(first);
        while let Some(piece) = self.next().await? {
            all.push(&piece);
        }
        Ok(all.into_bytes())
    }

    /// Returns how many bytes came so far.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }
}

/// Content of one piece is handed on without a copy.
enum Collected {
    One(Bytes),
    Many(BytesMut),
}

impl Collected {
    fn push(&mut self, piece: &Bytes) {
        match self {
            Self::One(first) => {
                let mut all = BytesMut::with_capacity(2 * first.len() + piece.len());
                all.extend_from_slice(first);
                all.extend_from_slice(piece);
                *self = Self::Many(all);
            }
            Self::Many(all) => all.extend_from_slice(piece),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::One(bytes) => bytes,
            Self::Many(all) => all.freeze(),
        }
    }
}

fn wrong_length(wanted: u64, has: u64) -> Error {
    Error::invalid_input(format!(
        "the content was declared to have {wanted} bytes but has {has} or more"
    ))
    .with_help("declare the true length, or none")
}
