//! The containers of video and audio: ISO media, RIFF, Ogg, Matroska, FLAC.

use boards_storage_core::{ContentFacts, Reason};

use super::{Format, Next, be32, be64, le32, malformed, truncated};

fn read(skip: u64, bytes: usize) -> Result<Next, Reason> {
    Ok(Next::Read { skip, bytes })
}

/// Boxes, one after another (ISO/IEC 14496-12).
#[derive(Debug)]
pub(super) struct Iso {
    name: &'static str,
    /// The boxes of which there must be one.
    needed: [[u8; 4]; 2],
    has_needed: bool,
    is_long: bool,
}

impl Iso {
    pub(super) fn image() -> Self {
        Self {
            name: "AVIF or HEIF",
            needed: [*b"meta", *b"moov"],
            has_needed: false,
            is_long: false,
        }
    }

    pub(super) fn media() -> Self {
        Self {
            name: "MP4 or QuickTime",
            needed: [*b"moov", *b"moof"],
            has_needed: false,
            is_long: false,
        }
    }
}

impl Format for Iso {
    fn first(&self) -> usize {
        8
    }

    fn step(&mut self, header: &[u8], _facts: &mut ContentFacts) -> Result<Next, Reason> {
        let too_short = || Err(malformed(self.name, "a box is shorter than its header"));
        if self.is_long {
            self.is_long = false;
            return match be64(header).checked_sub(16) {
                Some(skip) => read(skip, 8),
                None => too_short(),
            };
        }
        let kind = [header[4], header[5], header[6], header[7]];
        if self.has_needed && header.iter().all(|byte| *byte == 0) {
            // Some writers end with zeros.
            return Ok(Next::Rest);
        }
        if !kind
            .iter()
            .all(|byte| (0x20..=0x7E).contains(byte) || *byte == 0xA9)
        {
            return Err(malformed(self.name, "a box has no name"));
        }
        self.has_needed |= self.needed.contains(&kind);
        match be32(header) {
            0 => Ok(Next::Rest),
            1 => {
                self.is_long = true;
                read(0, 8)
            }
            size @ 8.. => read(u64::from(size) - 8, 8),
            _ => too_short(),
        }
    }

    fn finish(&self, total: u64, is_between: bool) -> Result<(), Reason> {
        if is_between && !self.is_long && self.has_needed && total > 0 {
            Ok(())
        } else {
            Err(truncated(self.name))
        }
    }
}

/// RIFF files whose chunks do not matter: WAV and AVI.
#[derive(Debug)]
pub(super) struct Riff {
    name: &'static str,
    form: [u8; 4],
    state: RiffState,
}

#[derive(Debug, PartialEq, Eq)]
enum RiffState {
    First,
    Within,
    Ended,
}

impl Riff {
    pub(super) fn new(name: &'static str, form: [u8; 4]) -> Self {
        Self {
            name,
            form,
            state: RiffState::First,
        }
    }
}

impl Format for Riff {
    fn first(&self) -> usize {
        20
    }

    fn step(&mut self, header: &[u8], _facts: &mut ContentFacts) -> Result<Next, Reason> {
        if self.state == RiffState::Within {
            self.state = RiffState::Ended;
            return Ok(Next::Rest);
        }
        let is_known =
            header.starts_with(b"RIFF") || header.starts_with(b"RF64") || header.starts_with(b"RIFX");
        if !is_known || header[8..12] != self.form {
            return Err(malformed(self.name, "it does not begin with its header"));
        }
        if !header[12..16].iter().all(|byte| (0x20..=0x7E).contains(byte)) {
            return Err(malformed(self.name, "a chunk has no name"));
        }
        let size = if header.starts_with(b"RIFX") {
            be32(&header[4..])
        } else {
            le32(&header[4..])
        };
        match size {
            // The writer could not go back: the size is not known.
            0 | 0x7FFF_FFFF.. => {
                self.state = RiffState::Ended;
                Ok(Next::Rest)
            }
            12.. => {
                self.state = RiffState::Within;
                read(u64::from(size) - 12, 0)
            }
            _ => Err(malformed(self.name, "its size is not possible")),
        }
    }

    fn finish(&self, _total: u64, _is_between: bool) -> Result<(), Reason> {
        if self.state == RiffState::Ended {
            Ok(())
        } else {
            Err(truncated(self.name))
        }
    }
}

/// Pages, one after another (RFC 3533).
#[derive(Debug, Default)]
pub(super) struct Ogg {
    is_in_page: bool,
}

impl Format for Ogg {
    fn first(&self) -> usize {
        27
    }

    fn step(&mut self, header: &[u8], _facts: &mut ContentFacts) -> Result<Next, Reason> {
        if self.is_in_page {
            self.is_in_page = false;
            return read(header.iter().map(|size| u64::from(*size)).sum(), 27);
        }
        if !header.starts_with(b"OggS\0") {
            return Err(malformed("Ogg", "a page is missing"));
        }
        let segments = usize::from(header[26]);
        self.is_in_page = segments > 0;
        read(0, if segments > 0 { segments } else { 27 })
    }

    fn finish(&self, total: u64, is_between: bool) -> Result<(), Reason> {
        if is_between && !self.is_in_page && total > 0 {
            Ok(())
        } else {
            Err(truncated("Ogg"))
        }
    }
}

/// The two outer elements of Matroska: its header and the segment.
#[derive(Debug, Default)]
pub(super) struct Matroska {
    state: MatroskaState,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum MatroskaState {
    #[default]
    Header,
    Segment,
    Within,
    Ended,
}

/// Reads a size of EBML: its value, `None` if unknown, and its length in bytes.
fn vint(bytes: &[u8]) -> Option<(Option<u64>, u64)> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    let raw = bytes.get(..length).filter(|_| length <= 8)?;
    let mask = (1_u64 << (7 * length)) - 1;
    let value = raw.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)) & mask;
    Some(((value != mask).then_some(value), length as u64))
}

impl Format for Matroska {
    fn first(&self) -> usize {
        12
    }

    fn step(&mut self, header: &[u8], _facts: &mut ContentFacts) -> Result<Next, Reason> {
        let wrong = |what: &str| Err(malformed("WebM or Matroska", what));
        if self.state == MatroskaState::Within {
            self.state = MatroskaState::Ended;
            return Ok(Next::Rest);
        }
        let is_segment = header.starts_with(&[0x18, 0x53, 0x80, 0x67]);
        if self.state == MatroskaState::Segment && !is_segment {
            // Something stands between, which is allowed.
            self.state = MatroskaState::Ended;
            return Ok(Next::Rest);
        }
        let Some((size, length)) = vint(&header[4..]) else {
            return wrong("an element has no size");
        };
        let (Some(size), seen) = (size, 8 - length) else {
            self.state = MatroskaState::Ended;
            return Ok(Next::Rest);
        };
        let Some(skip) = size.checked_sub(seen) else {
            return wrong("an element is too short");
        };
        if self.state == MatroskaState::Header {
            self.state = MatroskaState::Segment;
            return read(skip, 12);
        }
        self.state = MatroskaState::Within;
        read(skip, 0)
    }

    fn finish(&self, _total: u64, _is_between: bool) -> Result<(), Reason> {
        if self.state == MatroskaState::Ended {
            Ok(())
        } else {
            Err(truncated("WebM or Matroska"))
        }
    }
}

/// The blocks of metadata before the frames of FLAC.
#[derive(Debug, Default)]
pub(super) struct Flac {
    state: FlacState,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum FlacState {
    #[default]
    First,
    Block,
    Frames,
}

impl Format for Flac {
    fn first(&self) -> usize {
        8
    }

    fn step(&mut self, header: &[u8], _facts: &mut ContentFacts) -> Result<Next, Reason> {
        let block = match self.state {
            FlacState::First if header[4] & 0x7F != 0 || header[5..8] != [0, 0, 34] => {
                return Err(malformed("FLAC", "its stream information is missing"));
            }
            FlacState::First => &header[4..],
            FlacState::Block => header,
            FlacState::Frames => return Ok(Next::Rest),
        };
        let is_last = block[0] & 0x80 != 0;
        let length = be32(&[0, block[1], block[2], block[3]]);
        self.state = if is_last {
            FlacState::Frames
        } else {
            FlacState::Block
        };
        read(u64::from(length), if is_last { 0 } else { 4 })
    }

    fn finish(&self, _total: u64, is_between: bool) -> Result<(), Reason> {
        if self.state == FlacState::Frames && is_between {
            Ok(())
        } else {
            Err(truncated("FLAC"))
        }
    }
}
