//! Files that are two things at once: an image with a script or an archive in it.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use boards_storage_core::{Reason, ReasonKind};
use memchr::memmem;

use crate::walk::le16;

/// Texts that no image holds by chance, and that a browser or a server would run.
static SCRIPTS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(["<script", "<iframe", "<!doctype html", "<?php "])
        .expect("the patterns are few and short")
});

/// The longest pattern, less one byte.
const CARRY_BYTES: usize = 13;

/// Looks for scripts in every byte of an image, and for an archive that ends where any file ends.
#[derive(Debug)]
pub(crate) struct PolyglotWatch {
    name: &'static str,
    is_image: bool,
    carry: Vec<u8>,
    total: u64,
    /// Where an archive would end, by the last record that describes its end.
    archive_end: Option<u64>,
}

impl PolyglotWatch {
    pub(crate) fn new(name: &'static str, is_image: bool) -> Self {
        Self {
            name,
            is_image,
            carry: Vec::new(),
            total: 0,
            archive_end: None,
        }
    }

    pub(crate) fn update(&mut self, piece: &[u8]) -> Result<(), Reason> {
        // The seam between two pieces, and then the piece itself.
        let seam_start = self.total - self.carry.len() as u64;
        let mut seam = std::mem::take(&mut self.carry);
        let before = seam.len();
        seam.extend_from_slice(&piece[..piece.len().min(22)]);
        self.look(&seam, seam_start)?;
        if piece.len() > 22 {
            self.look(piece, self.total)?;
        }
        self.total += piece.len() as u64;
        let keep = CARRY_BYTES.max(21);
        self.carry = if piece.len() >= keep {
            piece[piece.len() - keep..].to_vec()
        } else {
            let mut all = seam[..before].to_vec();
            all.extend_from_slice(piece);
            all.drain(..all.len().saturating_sub(keep));
            all
        };
        Ok(())
    }

    fn look(&mut self, bytes: &[u8], start: u64) -> Result<(), Reason> {
        if self.is_image && SCRIPTS.is_match(bytes) {
            let message = format!("the {} file holds a script", self.name);
            return Err(Reason::new(ReasonKind::Polyglot, message));
        }
        for at in memmem::find_iter(bytes, b"PK\x05\x06") {
            if let Some(record) = bytes.get(at..at + 22) {
                let end = start + at as u64 + 22 + u64::from(le16(&record[20..]));
                self.archive_end = self.archive_end.max(Some(end));
            }
        }
        Ok(())
    }

    pub(crate) fn finish(&self) -> Result<(), Reason> {
        if self.archive_end == Some(self.total) {
            let message = format!("the {} file is a ZIP file too", self.name);
            return Err(Reason::new(ReasonKind::Polyglot, message));
        }
        Ok(())
    }
}

/// Waits for a text that must come.
#[derive(Debug)]
pub(crate) struct Awaited {
    text: &'static [u8],
    carry: Vec<u8>,
    is_there: bool,
}

impl Awaited {
    pub(crate) fn new(text: &'static [u8]) -> Self {
        Self {
            text,
            carry: Vec::new(),
            is_there: false,
        }
    }

    pub(crate) fn update(&mut self, piece: &[u8]) {
        if self.is_there {
            return;
        }
        let keep = self.text.len() - 1;
        self.carry.extend_from_slice(&piece[..piece.len().min(keep)]);
        self.is_there =
            memmem::find(&self.carry, self.text).is_some() || memmem::find(piece, self.text).is_some();
        if piece.len() >= keep {
            self.carry = piece[piece.len() - keep..].to_vec();
        } else {
            let surplus = self.carry.len().saturating_sub(keep);
            self.carry.drain(..surplus);
        }
    }

    pub(crate) fn is_there(&self) -> bool {
        self.is_there
    }
}
