//! The beginning of a stream, held to decide its route.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::content::{ByteStream, Content};
use crate::error::Result;
use crate::routing::RouteSize;

/// The beginning of a stream, read to decide its route.
pub(super) struct Buffer {
    content: Content,
    pieces: Vec<Bytes>,
    held_bytes: u64,
    rest: Option<ByteStream>,
    ended: bool,
}

impl Buffer {
    pub(super) fn new(content: Content) -> Self {
        Self {
            content,
            pieces: Vec::new(),
            held_bytes: 0,
            rest: None,
            ended: false,
        }
    }

    pub(super) fn size(&self) -> RouteSize {
        match self.content.length() {
            Some(length) => RouteSize::Exactly(length),
            None if self.ended => RouteSize::Exactly(self.held_bytes),
            None => RouteSize::AtLeast(self.held_bytes),
        }
    }

    pub(super) async fn fill_beyond(&mut self, threshold: u64) -> Result<()> {
        let mut stream = match self.rest.take() {
            Some(stream) => stream,
            None => self.content.open().await?,
        };
        while self.held_bytes <= threshold && !self.ended {
            match stream.next().await.transpose()? {
                Some(piece) => {
                    self.held_bytes += piece.len() as u64;
                    self.pieces.push(piece);
                }
                None => self.ended = true,
            }
        }
        self.rest = Some(stream);
        Ok(())
    }

    /// Returns the whole as one content again: what was read, then what was not.
    pub(super) fn into_content(self) -> Content {
        if self.content.can_replay() {
            let length = self.ended.then_some(self.held_bytes);
            return length.map_or(self.content.clone(), |length| {
                self.content.clone().with_length(length)
            });
        }
        match self.rest {
            _ if self.ended => {
                let mut whole = BytesMut::new();
                self.pieces
                    .iter()
                    .for_each(|piece| whole.extend_from_slice(piece));
                Content::from_bytes(whole)
            }
            Some(rest) => {
                let held = futures_util::stream::iter(self.pieces.into_iter().map(Ok));
                Content::from_stream(None, held.chain(rest))
            }
            None => self.content,
        }
    }
}
