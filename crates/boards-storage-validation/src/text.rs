//! Text as a stream: UTF-8, or UTF-16 with its mark.

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Encoding,
    Control,
}

/// The encoding of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    Utf16 {
        is_big_endian: bool,
    },
    /// A declared charset of single bytes: only NUL is wrong in it.
    Other,
}

impl Encoding {
    /// Chooses by the declared charset, and by the mark at the beginning.
    pub(crate) fn choose(charset: Option<&str>, head: &[u8]) -> Self {
        match head {
            [0xFF, 0xFE, ..] => return Self::Utf16 { is_big_endian: false },
            [0xFE, 0xFF, ..] => return Self::Utf16 { is_big_endian: true },
            _ => {}
        }
        match charset.map(str::to_ascii_lowercase).as_deref() {
            None | Some("utf-8" | "utf8" | "us-ascii" | "ascii") => Self::Utf8,
            Some("utf-16le") => Self::Utf16 { is_big_endian: false },
            Some("utf-16" | "utf-16be") => Self::Utf16 { is_big_endian: true },
            Some(_) => Self::Other,
        }
    }
}

/// Checks text piece by piece, and keeps at most three bytes.
#[derive(Debug)]
pub(crate) struct TextCheck {
    encoding: Encoding,
    carry: Vec<u8>,
    high_surrogate: bool,
}

impl TextCheck {
    pub(crate) fn new(encoding: Encoding) -> Self {
        Self {
            encoding,
            carry: Vec::with_capacity(4),
            high_surrogate: false,
        }
    }

    pub(crate) fn update(&mut self, piece: &[u8]) -> Result<(), Fault> {
        match self.encoding {
            Encoding::Other => match memchr::memchr(0, piece) {
                Some(_) => Err(Fault::Control),
                None => Ok(()),
            },
            Encoding::Utf8 => self.utf8(piece),
            Encoding::Utf16 { is_big_endian } => self.utf16(piece, is_big_endian),
        }
    }

    pub(crate) fn finish(&self) -> Result<(), Fault> {
        if self.carry.is_empty() && !self.high_surrogate {
            Ok(())
        } else {
            Err(Fault::Encoding)
        }
    }

    fn utf8(&mut self, mut piece: &[u8]) -> Result<(), Fault> {
        if memchr::memchr(0, piece).is_some() {
            return Err(Fault::Control);
        }
        while !self.carry.is_empty() {
            let [first, rest @ ..] = piece else { return Ok(()) };
            self.carry.push(*first);
            piece = rest;
            match std::str::from_utf8(&self.carry) {
                Ok(_) => self.carry.clear(),
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(Fault::Encoding),
            }
        }
        match std::str::from_utf8(piece) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_none() => {
                self.carry.extend_from_slice(&piece[error.valid_up_to()..]);
                Ok(())
            }
            Err(_) => Err(Fault::Encoding),
        }
    }

    fn utf16(&mut self, piece: &[u8], is_big_endian: bool) -> Result<(), Fault> {
        for byte in piece {
            let Some(first) = self.carry.pop() else {
                self.carry.push(*byte);
                continue;
            };
            let pair = [first, *byte];
            let unit = if is_big_endian {
                u16::from_be_bytes(pair)
            } else {
                u16::from_le_bytes(pair)
            };
            match (self.high_surrogate, unit) {
                (false, 0) => return Err(Fault::Control),
                (false, 0xD800..=0xDBFF) => self.high_surrogate = true,
                (true, 0xDC00..=0xDFFF) => self.high_surrogate = false,
                (true, _) | (false, 0xDC00..=0xDFFF) => return Err(Fault::Encoding),
                (false, _) => {}
            }
        }
        Ok(())
    }
}
