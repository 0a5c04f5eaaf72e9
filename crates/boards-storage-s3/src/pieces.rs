//! Contents cut into parts. The pieces of a part are sent as they came: what is large is not copied.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use aws_sdk_s3::primitives::SdkBody;
use boards_storage_core::{ByteStream, Checksum, Crc64Hasher, Result};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http_body::{Body, Frame, SizeHint};

/// Shorter pieces are put together, so that a part has few of them, and none keeps a large buffer for a few bytes.
const COPIED_BYTES_MAX: usize = 32 << 10;

/// The size of what short pieces are put together to.
const JOINED_BYTES: usize = 256 << 10;

/// Bytes in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pieces {
    pieces: VecDeque<Bytes>,
    length: usize,
}

impl Pieces {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn crc64(&self) -> Checksum {
        let mut hasher = Crc64Hasher::default();
        for piece in &self.pieces {
            hasher.update(piece);
        }
        hasher.finish()
    }

    /// Puts the pieces together; one alone is not copied.
    pub(crate) fn into_bytes(mut self) -> Bytes {
        if self.pieces.len() <= 1 {
            return self.pieces.pop_front().unwrap_or_default();
        }
        let mut whole = BytesMut::with_capacity(self.length);
        for piece in &self.pieces {
            whole.extend_from_slice(piece);
        }
        whole.freeze()
    }

    /// Makes a body that sends the pieces one after the other.
    pub(crate) fn into_body(self) -> SdkBody {
        if self.pieces.len() <= 1 {
            return SdkBody::from(self.into_bytes());
        }
        SdkBody::from_body_1_x(PiecesBody(self))
    }

    /// Removes the first `size` bytes and returns them.
    fn split_to(&mut self, size: usize) -> Self {
        let mut given = Self::default();
        while given.length < size {
            let mut piece = self
                .pieces
                .pop_front()
                .expect("as many bytes are held as were counted");
            let wanted = piece.len().min(size - given.length);
            let first = piece.split_to(wanted);
            if !piece.is_empty() {
                self.pieces.push_front(piece);
            }
            self.length -= wanted;
            given.push(first);
        }
        given
    }

    fn push(&mut self, piece: Bytes) {
        self.length += piece.len();
        self.pieces.push_back(piece);
    }
}

impl From<Bytes> for Pieces {
    fn from(bytes: Bytes) -> Self {
        let mut pieces = Self::default();
        if !bytes.is_empty() {
            pieces.push(bytes);
        }
        pieces
    }
}

struct PiecesBody(Pieces);

impl Body for PiecesBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        let piece = self.0.pieces.pop_front();
        Poll::Ready(piece.map(|piece| {
            self.0.length -= piece.len();
            Ok(Frame::data(piece))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.0.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.length as u64)
    }
}

/// Cuts a stream into parts. It can be dropped at any await without losing bytes.
pub(crate) struct PartReader {
    stream: ByteStream,
    /// What was read and not given yet; after it comes what is joined.
    held: Pieces,
    joined: BytesMut,
    is_at_end: bool,
}

impl PartReader {
    pub(crate) fn new(stream: ByteStream) -> Self {
        Self {
            stream,
            held: Pieces::default(),
            joined: BytesMut::new(),
            is_at_end: false,
        }
    }

    /// Reads until more than `size` bytes are held; says whether there are.
    pub(crate) async fn has_more_than(&mut self, size: usize) -> Result<bool> {
        while self.held_bytes() <= size && !self.is_at_end {
            match self.stream.next().await.transpose()? {
                Some(piece) => self.hold(piece),
                None => self.is_at_end = true,
            }
        }
        Ok(self.held_bytes() > size)
    }

    /// Returns the next `size` bytes, fewer at the end, none after it.
    pub(crate) async fn next(&mut self, size: usize) -> Result<Option<Pieces>> {
        // One byte fewer is asked for, so that nothing is read beyond what is given.
        self.has_more_than(size.saturating_sub(1)).await?;
        if self.held_bytes() == 0 {
            return Ok(None);
        }
        self.join();
        let size = size.min(self.held.len());
        Ok(Some(self.held.split_to(size)))
    }

    /// Returns all that is held.
    pub(crate) fn take_held(&mut self) -> Pieces {
        self.join();
        std::mem::take(&mut self.held)
    }

    fn held_bytes(&self) -> usize {
        self.held.len() + self.joined.len()
    }

    fn hold(&mut self, piece: Bytes) {
        if piece.len() > COPIED_BYTES_MAX {
            self.join();
            self.held.push(piece);
            return;
        }
        if self.joined.len() + piece.len() > JOINED_BYTES {
            self.join();
        }
        self.joined.extend_from_slice(&piece);
    }

    fn join(&mut self) {
        if !self.joined.is_empty() {
            let joined = std::mem::take(&mut self.joined);
            self.held.push(joined.freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn reader(pieces: &[&'static str]) -> PartReader {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Ok(Bytes::from_static(piece.as_bytes())))
            .collect();
        PartReader::new(Box::pin(stream::iter(pieces)))
    }

    async fn parts(pieces: &[&'static str], size: usize) -> Vec<String> {
        let mut reader = reader(pieces);
        let mut parts = Vec::new();
        while let Some(part) = reader.next(size).await.expect("no failure") {
            parts.push(text(part));
        }
        parts
    }

    fn text(pieces: Pieces) -> String {
        String::from_utf8(pieces.into_bytes().to_vec()).expect("text")
    }

    #[tokio::test]
    async fn pieces_of_any_size_make_parts_of_one_size() {
        assert_eq!(parts(&["abcdefg"], 3).await, ["abc", "def", "g"]);
        assert_eq!(parts(&["a", "b", "", "cd", "ef"], 3).await, ["abc", "def"]);
        assert_eq!(parts(&["ab", "cdefgh", "i"], 4).await, ["abcd", "efgh", "i"]);
        assert_eq!(parts(&["abc"], 3).await, ["abc"]);
        assert!(parts(&["", ""], 3).await.is_empty());
        assert!(parts(&[], 3).await.is_empty());
    }

    #[tokio::test]
    async fn what_was_looked_at_is_given_later() {
        let mut three = reader(&["ab", "c"]);
        assert!(!three.has_more_than(3).await.expect("no failure"));
        assert_eq!(text(three.take_held()), "abc");
        let mut four = reader(&["ab", "cd"]);
        assert!(four.has_more_than(3).await.expect("no failure"));
        assert_eq!(
            four.next(3).await.expect("no failure").map(text).as_deref(),
            Some("abc")
        );
        assert_eq!(
            four.next(3).await.expect("no failure").map(text).as_deref(),
            Some("d")
        );
        assert_eq!(four.next(3).await.expect("no failure"), None);
    }

    /// Pieces of these sizes, with bytes that tell where they belong.
    fn pieces_of(sizes: &[usize]) -> Vec<Bytes> {
        let mut next = 0_u32;
        let mut piece = |size: &usize| {
            let byte = |_| {
                next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                next.to_be_bytes()[0]
            };
            let bytes: Vec<u8> = (0..*size).map(byte).collect();
            Bytes::from(bytes)
        };
        sizes.iter().map(&mut piece).collect()
    }

    #[tokio::test]
    async fn short_pieces_are_put_together_and_long_ones_are_not_copied() {
        let long = COPIED_BYTES_MAX + 1;
        let sizes = [vec![1; 1000], vec![long, 7, long], vec![COPIED_BYTES_MAX; 20]].concat();
        let pieces = pieces_of(&sizes);
        let whole = pieces.concat();
        let stream = stream::iter(pieces.clone().into_iter().map(Ok));
        let mut reader = PartReader::new(Box::pin(stream));
        assert!(reader.has_more_than(whole.len() - 1).await.expect("no failure"));
        let held = reader.take_held();
        let found: Vec<usize> = held.pieces.iter().map(Bytes::len).collect();
        assert_eq!(found[..4], [1000, long, 7, long]);
        assert!(
            found[4..].iter().all(|size| *size <= JOINED_BYTES) && found.len() == 7,
            "{found:?}"
        );
        assert_eq!(held.pieces[1].as_ptr(), pieces[1000].as_ptr());
        assert_eq!(held.crc64(), Checksum::crc64_nvme(&whole));
        assert_eq!(held.into_bytes(), whole);
    }

    #[tokio::test]
    async fn a_body_of_pieces_announces_its_length_and_sends_all() {
        for sizes in [&[40_000, 50_000, 60_000][..], &[5], &[]] {
            let pieces = pieces_of(sizes);
            let mut held = Pieces::default();
            pieces.iter().for_each(|piece| held.push(piece.clone()));
            let mut body = Box::pin(held.into_body());
            let length: usize = sizes.iter().sum();
            assert_eq!(Body::size_hint(&*body).exact(), Some(length as u64));
            let mut sent = Vec::new();
            while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await {
                sent.extend_from_slice(frame.expect("it cannot fail").data_ref().expect("data"));
            }
            assert_eq!(sent, pieces.concat());
        }
    }
}
