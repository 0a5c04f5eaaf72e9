//! PNG, JPEG, GIF, WebP and BMP.

use boards_storage_core::{ContentFacts, Reason};

use super::{Format, Next, be16, be32, le16, le32, malformed, truncated};

fn read(skip: u64, bytes: usize) -> Result<Next, Reason> {
    Ok(Next::Read { skip, bytes })
}

/// Notes the greatest dimensions that were seen.
fn note_size(facts: &mut ContentFacts, width: u32, height: u32) {
    facts.width = facts.width.max(Some(width));
    facts.height = facts.height.max(Some(height));
}

fn count_frame(facts: &mut ContentFacts) {
    facts.frames = Some(facts.frames.unwrap_or(0).saturating_add(1));
}

/// The end of a format that every structure must have reached.
fn must_have_ended(name: &str, has_ended: bool) -> Result<(), Reason> {
    if has_ended { Ok(()) } else { Err(truncated(name)) }
}

#[derive(Debug, Default)]
pub(super) struct Png {
    state: PngState,
    has_pixels: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum PngState {
    #[default]
    First,
    Chunk,
    Animation(u64),
    Ended,
}

impl Format for Png {
    fn first(&self) -> usize {
        29
    }

    fn step(&mut self, header: &[u8], facts: &mut ContentFacts) -> Result<Next, Reason> {
        let wrong = |what: &str| Err(malformed("PNG", what));
        match self.state {
            PngState::First => {
                if !header.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR") {
                    return wrong("it does not begin with its header");
                }
                let (width, height) = (be32(&header[16..]), be32(&header[20..]));
                if width == 0 || height == 0 || width > i32::MAX as u32 || height > i32::MAX as u32 {
                    return wrong("its dimensions are not possible");
                }
                note_size(facts, width, height);
                facts.frames = Some(1);
                self.state = PngState::Chunk;
                read(4, 8)
            }
            PngState::Chunk => {
                let (length, kind) = (be32(header), &header[4..8]);
                if length > i32::MAX as u32 || !kind.iter().all(u8::is_ascii_alphabetic) {
                    return wrong("a chunk's header is not one");
                }
                let whole = u64::from(length) + 4;
                match kind {
                    b"IEND" if length != 0 => wrong("its end holds data"),
                    b"IEND" if !self.has_pixels => wrong("it has no pixels"),
                    b"IEND" => {
                        self.state = PngState::Ended;
                        read(4, 0)
                    }
                    b"IHDR" => wrong("it has a second header"),
                    b"acTL" if length == 8 => {
                        self.state = PngState::Animation(4);
                        read(0, 8)
                    }
                    kind => {
                        self.has_pixels |= kind == b"IDAT";
                        read(whole, 8)
                    }
                }
            }
            PngState::Animation(skip) => {
                facts.frames = Some(be32(header).max(1));
                self.state = PngState::Chunk;
                read(skip, 8)
            }
            PngState::Ended => Ok(Next::End),
        }
    }

    fn finish(&self, _total: u64, _is_between: bool) -> Result<(), Reason> {
        must_have_ended("PNG", self.state == PngState::Ended)
    }
}

#[derive(Debug, Default)]
pub(super) struct Jpeg {
    state: JpegState,
    has_frame: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum JpegState {
    #[default]
    First,
    Marker,
    /// A marker may be preceded by any number of 0xFF.
    Fill,
    Length {
        marker: u8,
    },
    Frame {
        rest: u64,
    },
    /// Behind the header of a scan.
    Scan,
    Ended,
}

impl Jpeg {
    fn marker(&mut self, marker: u8) -> Result<Next, Reason> {
        match marker {
            0xFF => {
                self.state = JpegState::Fill;
                read(0, 1)
            }
            0xD9 if !self.has_frame => Err(malformed("JPEG", "it has no picture")),
            // Cameras put previews and their own data behind the end.
            0xD9 => {
                self.state = JpegState::Ended;
                Ok(Next::Rest)
            }
            0x01 | 0xD0..=0xD7 => {
                self.state = JpegState::Marker;
                read(0, 2)
            }
            0x00 | 0x02..=0xBF | 0xD8 => Err(malformed("JPEG", "a marker is not one")),
            _ => {
                self.state = JpegState::Length { marker };
                read(0, 2)
            }
        }
    }
}

impl Format for Jpeg {
    fn first(&self) -> usize {
        2
    }

    fn step(&mut self, header: &[u8], facts: &mut ContentFacts) -> Result<Next, Reason> {
        let wrong = |what: &str| Err(malformed("JPEG", what));
        match self.state {
            JpegState::First if header != [0xFF, 0xD8] => wrong("it does not begin with its marker"),
            JpegState::First => {
                self.state = JpegState::Marker;
                read(0, 2)
            }
            JpegState::Marker if header[0] != 0xFF => wrong("a marker is missing"),
            JpegState::Marker => self.marker(header[1]),
            JpegState::Fill => self.marker(header[0]),
            JpegState::Length { marker } => {
                let length = u64::from(be16(header));
                let is_frame = (0xC0..=0xCF).contains(&marker) && ![0xC4, 0xC8, 0xCC].contains(&marker);
                match length {
                    0 | 1 => wrong("a segment is shorter than its length"),
                    2..=6 if is_frame => wrong("its frame header is too short"),
                    _ if is_frame => {
                        self.state = JpegState::Frame { rest: length - 7 };
                        read(0, 5)
                    }
                    _ if marker == 0xDA && !self.has_frame => wrong("its data come before its frame header"),
                    _ if marker == 0xDA => {
                        self.state = JpegState::Scan;
                        read(length - 2, 0)
                    }
                    _ => {
                        self.state = JpegState::Marker;
                        read(length - 2, 2)
                    }
                }
            }
            JpegState::Frame { rest } => {
                let (height, width) = (be16(&header[1..]), be16(&header[3..]));
                if height == 0 || width == 0 {
                    return wrong("its dimensions are not possible");
                }
                note_size(facts, width, height);
                facts.frames = Some(1);
                self.has_frame = true;
                self.state = JpegState::Marker;
                read(rest, 2)
            }
            JpegState::Scan => {
                self.state = JpegState::Marker;
                Ok(Next::Entropy)
            }
            JpegState::Ended => Ok(Next::Rest),
        }
    }

    fn finish(&self, _total: u64, _is_between: bool) -> Result<(), Reason> {
        must_have_ended("JPEG", self.state == JpegState::Ended)
    }
}

#[derive(Debug, Default)]
pub(super) struct Gif {
    state: GifState,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum GifState {
    #[default]
    First,
    Block,
    Image,
    SubBlock,
    Ended,
}

fn color_table_bytes(packed: u8) -> u64 {
    if packed & 0x80 == 0 {
        0
    } else {
        3 << ((packed & 7) + 1)
    }
}

impl Format for Gif {
    fn first(&self) -> usize {
        13
    }

    fn step(&mut self, header: &[u8], facts: &mut ContentFacts) -> Result<Next, Reason> {
        match self.state {
            GifState::First => {
                if !header.starts_with(b"GIF87a") && !header.starts_with(b"GIF89a") {
                    return Err(malformed("GIF", "it does not begin with its header"));
                }
                note_size(facts, le16(&header[6..]), le16(&header[8..]));
                self.state = GifState::Block;
                read(color_table_bytes(header[10]), 1)
            }
            GifState::Block => match header[0] {
                0x2C => {
                    self.state = GifState::Image;
                    read(0, 9)
                }
                // An extension: its label, then blocks.
                0x21 => {
                    self.state = GifState::SubBlock;
                    read(1, 1)
                }
                0x3B if facts.frames.is_none() => Err(malformed("GIF", "it has no picture")),
                0x3B => {
                    self.state = GifState::Ended;
                    Ok(Next::End)
                }
                0x00 => read(0, 1),
                _ => Err(malformed("GIF", "a block is of no known kind")),
            },
            GifState::Image => {
                let (left, top) = (le16(header), le16(&header[2..]));
                let (width, height) = (le16(&header[4..]), le16(&header[6..]));
                if width == 0 || height == 0 {
                    return Err(malformed("GIF", "a frame's dimensions are not possible"));
                }
                note_size(facts, left + width, top + height);
                count_frame(facts);
                self.state = GifState::SubBlock;
                read(color_table_bytes(header[8]) + 1, 1)
            }
            GifState::SubBlock => {
                if header[0] == 0 {
                    self.state = GifState::Block;
                }
                read(u64::from(header[0]), 1)
            }
            GifState::Ended => Ok(Next::End),
        }
    }

    fn finish(&self, _total: u64, _is_between: bool) -> Result<(), Reason> {
        must_have_ended("GIF", self.state == GifState::Ended)
    }
}

#[derive(Debug, Default)]
pub(super) struct WebP {
    state: WebPState,
    /// What is left of the RIFF's size.
    left: u64,
    has_pixels: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum WebPState {
    #[default]
    First,
    Chunk,
    Header {
        kind: [u8; 4],
        rest: u64,
    },
    Ended,
}

impl WebP {
    /// Goes to the next chunk, or to the end.
    fn onward(&mut self, skip: u64) -> Result<Next, Reason> {
        if self.left > 0 {
            self.state = WebPState::Chunk;
            return read(skip, 8);
        }
        if !self.has_pixels {
            return Err(malformed("WebP", "it has no pixels"));
        }
        self.state = WebPState::Ended;
        read(skip, 0)
    }
}

impl Format for WebP {
    fn first(&self) -> usize {
        12
    }

    fn step(&mut self, header: &[u8], facts: &mut ContentFacts) -> Result<Next, Reason> {
        let wrong = |what: &str| Err(malformed("WebP", what));
        match self.state {
            WebPState::First => {
                let size = u64::from(le32(&header[4..]));
                if size < 12 {
                    return wrong("its size is not possible");
                }
                self.left = size - 4;
                self.onward(0)
            }
            WebPState::Chunk => {
                let length = u64::from(le32(&header[4..]));
                let padded = length + length % 2;
                // Some writers leave the last padding byte out of the size.
                let Some(left) = self.left.checked_sub(8 + length) else {
                    return wrong("a chunk is longer than the file says");
                };
                self.left = left.saturating_sub(padded - length);
                let kind = [header[0], header[1], header[2], header[3]];
                let bytes = match &kind {
                    b"VP8X" | b"VP8 " => 10,
                    b"VP8L" => 5,
                    b"ANMF" => {
                        count_frame(facts);
                        self.has_pixels = true;
                        return self.onward(padded);
                    }
                    _ if facts.width.is_none() => return wrong("it does not begin with a picture"),
                    _ => return self.onward(padded),
                };
                let Some(rest) = padded.checked_sub(bytes) else {
                    return wrong("its header is too short");
                };
                self.state = WebPState::Header { kind, rest };
                read(0, if bytes == 5 { 5 } else { 10 })
            }
            WebPState::Header { kind, rest } => {
                let le24 = |at: usize| le32(&[header[at], header[at + 1], header[at + 2], 0]);
                match &kind {
                    b"VP8X" => note_size(facts, le24(4) + 1, le24(7) + 1),
                    b"VP8 " if header[3..6] != [0x9D, 0x01, 0x2A] => {
                        return wrong("its frame has no start code");
                    }
                    b"VP8 " => {
                        note_size(facts, le16(&header[6..]) & 0x3FFF, le16(&header[8..]) & 0x3FFF);
                        self.has_pixels = true;
                    }
                    _ if header[0] != 0x2F => return wrong("its frame has no signature"),
                    _ => {
                        let bits = le32(&header[1..]);
                        note_size(facts, (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1);
                        self.has_pixels = true;
                    }
                }
                if &kind != b"VP8X" {
                    facts.frames = facts.frames.or(Some(1));
                }
                self.onward(rest)
            }
            WebPState::Ended => Ok(Next::End),
        }
    }

    fn finish(&self, _total: u64, _is_between: bool) -> Result<(), Reason> {
        must_have_ended("WebP", self.state == WebPState::Ended)
    }
}

#[derive(Debug, Default)]
pub(super) struct Bmp {
    size: u64,
}

impl Format for Bmp {
    fn first(&self) -> usize {
        26
    }

    fn step(&mut self, header: &[u8], facts: &mut ContentFacts) -> Result<Next, Reason> {
        let wrong = |what: &str| Err(malformed("BMP", what));
        let dib = le32(&header[14..]);
        if !header.starts_with(b"BM") || ![12, 16, 40, 52, 56, 64, 108, 124].contains(&dib) {
            return wrong("its header is not one");
        }
        let offset = le32(&header[10..]);
        let (width, height) = match dib {
            12 => (le16(&header[18..]), le16(&header[20..])),
            _ => (
                le32(&header[18..]),
                le32(&header[22..]).cast_signed().unsigned_abs(),
            ),
        };
        if width == 0 || height == 0 || width > i32::MAX as u32 || offset < 14 + dib {
            return wrong("its dimensions or its offset are not possible");
        }
        note_size(facts, width, height);
        facts.frames = Some(1);
        self.size = u64::from(le32(&header[2..])).max(u64::from(offset) + 1);
        Ok(Next::Rest)
    }

    fn finish(&self, total: u64, _is_between: bool) -> Result<(), Reason> {
        must_have_ended("BMP", self.size > 0 && total >= self.size)
    }
}
