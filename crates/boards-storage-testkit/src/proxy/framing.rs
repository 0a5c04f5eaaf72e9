//! Where a body ends on the wire, and how many bytes of it have passed.

use std::io;

/// What frames a body; it moves on with the bytes that pass.
#[derive(Debug)]
pub(super) enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    Chunked(Chunk),
    /// It ends with the connection.
    UntilClose,
}

/// Where in a chunked body.
#[derive(Debug)]
pub(super) enum Chunk {
    /// In the line with the size of the next chunk, as far as it was read.
    Size {
        size: u64,
        in_extension: bool,
    },
    /// So many bytes of the chunk are still to come.
    Body(u64),
    /// In the line end after a chunk.
    BodyEnd,
    /// After the last chunk, so many bytes into a line.
    Trailer {
        line: usize,
    },
    End,
}

/// A piece of the wire.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The bytes of the wire.
    pub(super) wire: usize,
    /// The bytes of the body among them.
    pub(super) body: u64,
}

impl Framing {
    pub(super) fn length(length: u64) -> Self {
        Self::Length(length)
    }

    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunk::SIZE)
    }

    pub(super) fn is_ended(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::End))
    }

    /// Moves over as much of `wire` as belongs to the body, but over no more than `body_max` bytes of it.
    ///
    /// # Errors
    ///
    /// `InvalidData` if chunks are not framed as they must be.
    pub(super) fn advance(&mut self, wire: &[u8], body_max: u64) -> io::Result<Step> {
        let most = body_max.min(wire.len() as u64);
        let plain = |body: u64| Step {
            // No more than the piece has.
            wire: usize::try_from(body).unwrap_or(wire.len()),
            body,
        };
        match self {
            Self::UntilClose => Ok(plain(most)),
            Self::Length(left) => {
                let body = most.min(*left);
                *left -= body;
                Ok(plain(body))
            }
            Self::Chunked(chunk) => chunk.advance(wire, body_max),
        }
    }
}

impl Chunk {
    const SIZE: Self = Self::Size {
        size: 0,
        in_extension: false,
    };

    fn advance(&mut self, wire: &[u8], body_max: u64) -> io::Result<Step> {
        let mut step = Step { wire: 0, body: 0 };
        while let Some(rest) = wire.get(step.wire..).filter(|rest| !rest.is_empty()) {
            match self {
                Self::End => break,
                Self::Body(left) => {
                    let body = (*left).min(body_max - step.body).min(rest.len() as u64);
                    if body == 0 {
                        break;
                    }
                    step.body += body;
                    step.wire += usize::try_from(body).unwrap_or(rest.len());
                    *left -= body;
                    if *left == 0 {
                        *self = Self::BodyEnd;
                    }
                }
                Self::Size { .. } | Self::BodyEnd | Self::Trailer { .. } => {
                    self.read(rest[0])?;
                    step.wire += 1;
                }
            }
        }
        Ok(step)
    }

    /// Reads one byte of the framing.
    fn read(&mut self, byte: u8) -> io::Result<()> {
        *self = match (&*self, byte) {
            (Self::Size { size: 0, .. }, b'\n') => Self::Trailer { line: 0 },
            (Self::Size { size, .. }, b'\n') => Self::Body(*size),
            (Self::Size { size, in_extension }, _)
                if *in_extension || matches!(byte, b';' | b'\r' | b' ') =>
            {
                Self::Size {
                    size: *size,
                    in_extension: true,
                }
            }
            (Self::Size { size, .. }, _) => {
                let digit = char::from(byte).to_digit(16).map(u64::from);
                let size = digit.and_then(|digit| size.checked_mul(16)?.checked_add(digit));
                Self::Size {
                    size: size.ok_or_else(wrong)?,
                    in_extension: false,
                }
            }
            (Self::BodyEnd, b'\r') => Self::BodyEnd,
            (Self::BodyEnd, b'\n') => Self::SIZE,
            (Self::BodyEnd, _) => return Err(wrong()),
            (Self::Trailer { line: 0 }, b'\n') => Self::End,
            (Self::Trailer { .. }, b'\n') => Self::Trailer { line: 0 },
            (Self::Trailer { line }, b'\r') => Self::Trailer { line: *line },
            (Self::Trailer { line }, _) => Self::Trailer { line: line + 1 },
            (Self::Body(_) | Self::End, _) => return Err(wrong()),
        };
        Ok(())
    }
}

fn wrong() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a chunked body is framed wrongly")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &[u8] = b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nA: b\r\n\r\nnext";

    /// Feeds `wire` in pieces of `size` and returns (wire bytes of the body, body bytes, ended).
    fn feed(mut framing: Framing, wire: &[u8], size: usize, body_max: u64) -> (usize, u64, bool) {
        let (mut at, mut body) = (0, 0);
        while at < wire.len() && !framing.is_ended() {
            let piece = &wire[at..wire.len().min(at + size)];
            let step = framing.advance(piece, body_max - body).expect("framed well");
            at += step.wire;
            body += step.body;
            if step.wire < piece.len() {
                break;
            }
        }
        (at, body, framing.is_ended())
    }

    #[track_caller]
    fn check_feed(framing: fn() -> Framing, wire: &[u8], body_max: u64, expected: (usize, u64, bool)) {
        for size in [1, 2, 7, wire.len()] {
            assert_eq!(
                feed(framing(), wire, size, body_max),
                expected,
                "pieces of {size}"
            );
        }
    }

    #[test]
    fn a_body_ends_where_its_framing_says() {
        let whole = CHUNKED.len() - "next".len();
        check_feed(Framing::chunked, CHUNKED, u64::MAX, (whole, 11, true));
        check_feed(|| Framing::length(3), b"abcdef", u64::MAX, (3, 3, true));
        check_feed(|| Framing::length(6), b"abcdef", u64::MAX, (6, 6, true));
        check_feed(|| Framing::length(7), b"abcdef", u64::MAX, (6, 6, false));
        check_feed(|| Framing::UntilClose, b"abcdef", u64::MAX, (6, 6, false));
    }

    #[test]
    fn a_body_is_passed_up_to_a_limit() {
        check_feed(Framing::chunked, CHUNKED, 0, (3, 0, false));
        check_feed(Framing::chunked, CHUNKED, 3, (6, 3, false));
        check_feed(Framing::chunked, CHUNKED, 6, (18, 6, false));
        check_feed(|| Framing::length(6), b"abcdef", 2, (2, 2, false));
        check_feed(|| Framing::UntilClose, b"abcdef", 2, (2, 2, false));
    }

    #[track_caller]
    fn check_wrong(wire: &[u8]) {
        let outcome = Framing::chunked().advance(wire, u64::MAX);
        assert!(outcome.is_err(), "{outcome:?}");
    }

    #[test]
    fn chunks_that_are_framed_wrongly_are_refused() {
        check_wrong(b"g\r\n");
        check_wrong(b"10000000000000000\r\n");
        check_wrong(b"1\r\nab\r\n");
    }
}
