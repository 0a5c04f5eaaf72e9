//! ZIP files as a stream: which entries they name. Nothing is unpacked.

use boards_storage_core::{Reason, ReasonKind};
use memchr::memmem;

use crate::pickle::{is_pickle_entry, refused};
use crate::walk::{le16, le32, truncated};

/// An entry that becomes so many times larger, and so large, is a bomb.
const RATIO_MAX: u64 = 1_000;
const UNPACKED_BYTES_MIN: u64 = 256 << 20;

/// Whether pickles may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pickles {
    Refused,
    Allowed,
}

/// Watches for the headers of entries.
#[derive(Debug)]
pub(crate) struct ZipWatch {
    pickles: Pickles,
    /// The bytes from the last signature on, or the last three.
    carry: Vec<u8>,
    has_end: bool,
}

const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";

impl ZipWatch {
    pub(crate) fn new(pickles: Pickles) -> Self {
        Self {
            pickles,
            carry: Vec::new(),
            has_end: false,
        }
    }

    pub(crate) fn update(&mut self, piece: &[u8]) -> Result<(), Reason> {
        if self.carry.is_empty() {
            let used = self.look(piece)?;
            self.carry.extend_from_slice(&piece[used..]);
            return Ok(());
        }
        // A header is at most 46 bytes and a name: so much of the piece is looked at together with what was carried.
        let mut all = std::mem::take(&mut self.carry);
        all.extend_from_slice(piece);
        let used = self.look(&all)?;
        all.drain(..used);
        self.carry = all;
        Ok(())
    }

    /// Looks at all headers that are whole, and returns how many bytes need not be looked at again.
    fn look(&mut self, bytes: &[u8]) -> Result<usize, Reason> {
        let mut at = 0;
        while let Some(found) = memmem::find(&bytes[at..], b"PK") {
            let start = at + found;
            let rest = &bytes[start..];
            if rest.len() < 4 {
                return Ok(start);
            }
            let (name_at, length_at) = match &rest[..4] {
                LOCAL => (30, 26),
                CENTRAL => (46, 28),
                signature => {
                    self.has_end |= signature == END;
                    at = start + 2;
                    continue;
                }
            };
            if rest.len() < name_at {
                return Ok(start);
            }
            let length = le16(&rest[length_at..]) as usize;
            let Some(name) = rest.get(name_at..name_at + length) else {
                return Ok(start);
            };
            self.entry(name)?;
            let sizes = if name_at == 30 { 18 } else { 20 };
            check_ratio(le32(&rest[sizes..]), le32(&rest[sizes + 4..]))?;
            at = start + 4;
        }
        Ok(bytes.len() - usize::from(bytes.last() == Some(&b'P') && at < bytes.len()))
    }

    fn entry(&self, name: &[u8]) -> Result<(), Reason> {
        if self.pickles == Pickles::Refused && is_pickle_entry(name) {
            return Err(refused("the ZIP file holds a pickle"));
        }
        let is_outside = name.starts_with(b"/")
            || name
                .split(|byte| matches!(byte, b'/' | b'\\'))
                .any(|part| part == b"..")
            || matches!(name, [drive, b':', ..] if drive.is_ascii_alphabetic());
        if is_outside {
            return Err(Reason::new(
                ReasonKind::Malformed,
                "the ZIP file has an entry whose name leads out of its folder",
            ));
        }
        Ok(())
    }

    pub(crate) fn finish(&self) -> Result<(), Reason> {
        if self.has_end {
            Ok(())
        } else {
            Err(truncated("ZIP"))
        }
    }
}

fn check_ratio(packed: u32, unpacked: u32) -> Result<(), Reason> {
    let (packed, unpacked) = (u64::from(packed), u64::from(unpacked));
    // All ones: the size is elsewhere.
    if packed == u64::from(u32::MAX) || unpacked < UNPACKED_BYTES_MIN || unpacked / packed.max(1) <= RATIO_MAX
    {
        return Ok(());
    }
    Err(Reason::new(
        ReasonKind::Bomb,
        format!(
            "the ZIP file has an entry that becomes more than {RATIO_MAX} times larger when it is unpacked"
        ),
    ))
}
