//! The structure of binary formats, walked while the bytes flow: from header to header, over everything between.
//!
//! Nothing is decoded. A walk finds what is broken, what ends too early, and what hides behind the end.

mod image;
mod media;

use boards_storage_core::{ContentFacts, Reason, ReasonKind};

use crate::family::Family;
use crate::model::Gguf;

/// What follows a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// So many bytes that do not matter, and then a header of so many.
    Read { skip: u64, bytes: usize },
    /// Entropy-coded bytes of JPEG, and then a marker.
    Entropy,
    /// The end of the format: nothing may follow.
    End,
    /// Anything, or nothing.
    Rest,
}

/// One format: from each header it says where the next one is.
pub(crate) trait Format: Send {
    /// The length of the first header in bytes.
    fn first(&self) -> usize;

    /// Reads a header.
    fn step(&mut self, header: &[u8], facts: &mut ContentFacts) -> Result<Next, Reason>;

    /// Judges the end; `is_between` says that it is where a header could begin.
    fn finish(&self, total: u64, is_between: bool) -> Result<(), Reason>;
}

/// The reason for a structure that is broken.
pub(crate) fn malformed(format: &str, what: &str) -> Reason {
    Reason::new(
        ReasonKind::Malformed,
        format!("the {format} file is broken: {what}"),
    )
}

/// The reason for a structure that ends too early.
pub(crate) fn truncated(format: &str) -> Reason {
    Reason::new(
        ReasonKind::Truncated,
        format!("the {format} file ends too early: its structure goes on behind the last byte"),
    )
}

pub(crate) fn be16(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .take(2)
        .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

pub(crate) fn be32(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .take(4)
        .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

pub(crate) fn be64(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(8)
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

pub(crate) fn le16(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .take(2)
        .rev()
        .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

pub(crate) fn le32(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .take(4)
        .rev()
        .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

pub(crate) fn le64(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(8)
        .rev()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Skip(u64),
    Gather,
    Entropy { is_behind_ff: bool },
    End,
    Rest,
}

/// A walk through one file.
pub(crate) struct Walk {
    format: Box<dyn Format>,
    name: &'static str,
    mode: Mode,
    header: Vec<u8>,
    wanted: usize,
    total: u64,
}

impl Walk {
    /// Begins a walk; `None` for a family without one.
    pub(crate) fn new(family: Family) -> Option<Self> {
        let format: Box<dyn Format> = match family {
            Family::Png => Box::new(image::Png::default()),
            Family::Jpeg => Box::new(image::Jpeg::default()),
            Family::Gif => Box::new(image::Gif::default()),
            Family::WebP => Box::new(image::WebP::default()),
            Family::Bmp => Box::new(image::Bmp::default()),
            Family::IsoImage => Box::new(media::Iso::image()),
            Family::IsoMedia => Box::new(media::Iso::media()),
            Family::Wav => Box::new(media::Riff::new("WAV", *b"WAVE")),
            Family::Avi => Box::new(media::Riff::new("AVI", *b"AVI ")),
            Family::Ogg => Box::new(media::Ogg::default()),
            Family::Matroska => Box::new(media::Matroska::default()),
            Family::Flac => Box::new(media::Flac::default()),
            Family::Gguf => Box::new(Gguf::default()),
            _ => return None,
        };
        let wanted = format.first();
        Some(Self {
            format,
            name: family.name(),
            mode: Mode::Gather,
            header: Vec::new(),
            wanted,
            total: 0,
        })
    }

    pub(crate) fn update(&mut self, piece: &[u8], facts: &mut ContentFacts) -> Result<(), Reason> {
        self.total += piece.len() as u64;
        let mut rest = piece;
        loop {
            match self.mode {
                Mode::Rest => return Ok(()),
                Mode::End if rest.iter().all(|byte| *byte == 0) => return Ok(()),
                Mode::End => {
                    return Err(Reason::new(
                        ReasonKind::Polyglot,
                        format!("bytes follow the end of the {} file", self.name),
                    ));
                }
                Mode::Skip(bytes) => {
                    let step = bytes.min(rest.len() as u64);
                    rest = &rest[usize::try_from(step).unwrap_or(rest.len())..];
                    if step < bytes {
                        self.mode = Mode::Skip(bytes - step);
                        return Ok(());
                    }
                    self.mode = Mode::Gather;
                }
                Mode::Gather => {
                    let step = (self.wanted - self.header.len()).min(rest.len());
                    self.header.extend_from_slice(&rest[..step]);
                    rest = &rest[step..];
                    if self.header.len() < self.wanted {
                        return Ok(());
                    }
                    self.step(facts)?;
                }
                Mode::Entropy { is_behind_ff } => {
                    let Some((marker, tail)) = find_marker(rest, is_behind_ff) else {
                        self.mode = Mode::Entropy {
                            is_behind_ff: rest.last().map_or(is_behind_ff, |last| *last == 0xFF),
                        };
                        return Ok(());
                    };
                    self.header = vec![0xFF, marker];
                    rest = tail;
                    self.step(facts)?;
                }
            }
        }
    }

    fn step(&mut self, facts: &mut ContentFacts) -> Result<(), Reason> {
        let next = self.format.step(&self.header, facts)?;
        self.header.clear();
        self.mode = match next {
            Next::Read { skip, bytes } => {
                self.wanted = bytes;
                Mode::Skip(skip)
            }
            Next::Entropy => Mode::Entropy { is_behind_ff: false },
            Next::End => Mode::End,
            Next::Rest => Mode::Rest,
        };
        Ok(())
    }

    pub(crate) fn finish(&self) -> Result<(), Reason> {
        match self.mode {
            Mode::End | Mode::Rest => self.format.finish(self.total, true),
            Mode::Gather | Mode::Skip(0) if self.header.is_empty() && self.wanted > 0 => {
                self.format.finish(self.total, true)
            }
            // An end without a header of its own was reached exactly.
            Mode::Gather | Mode::Skip(_) | Mode::Entropy { .. } => {
                self.format.finish(self.total, false)?;
                Err(truncated(self.name))
            }
        }
    }
}

/// Finds the first marker of JPEG in entropy-coded bytes, and what follows it.
fn find_marker(bytes: &[u8], mut is_behind_ff: bool) -> Option<(u8, &[u8])> {
    let mut at = 0;
    loop {
        if !is_behind_ff {
            at += memchr::memchr(0xFF, &bytes[at..])? + 1;
        }
        match bytes.get(at)? {
            // A stuffed zero, or a restart: the data go on.
            0x00 | 0xD0..=0xD7 => {
                is_behind_ff = false;
                at += 1;
            }
            0xFF => {
                is_behind_ff = true;
                at += 1;
            }
            marker => return Some((*marker, &bytes[at + 1..])),
        }
    }
}
