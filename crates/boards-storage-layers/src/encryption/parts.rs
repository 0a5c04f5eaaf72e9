//! Uploads in parts: one encryption for all of them, which lives in this process alone.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use boards_storage_core::{Error, MultipartUpload, Part, PartPlace, PartRules, Result, StorageKey};

use super::crypto::TAG_BYTES;
use super::format::{EncryptionHeader, HEADERS_BYTES, SEGMENT_BYTES, SEGMENT_PLAIN_BYTES, TINK_HEADER_BYTES};
use super::seal::Encryption;

/// How many uploads may be under way; the oldest is forgotten for another one.
const UPLOADS_MAX: usize = 4096;

/// Returns what the parts of the content must look like, for a store with these rules; `None` where encrypted parts
/// cannot fulfil them.
pub(super) fn rules(inner: PartRules) -> Option<PartRules> {
    // The first part carries the headers, so it is never as large as the others, nor a multiple of anything.
    if inner.equal_size || inner.multiple_of_bytes > 1 || inner.first_less_bytes > 0 {
        return None;
    }
    let header = EncryptionHeader::SIZE_BYTES as u64;
    let segments_max = inner.size_bytes_max.saturating_sub(header) / SEGMENT_BYTES;
    let mut rules = inner;
    rules.size_bytes_max = segments_max * SEGMENT_PLAIN_BYTES;
    rules.multiple_of_bytes = SEGMENT_PLAIN_BYTES;
    rules.first_less_bytes = TINK_HEADER_BYTES as u64;
    rules.same_bytes_again = true;
    (segments_max > 0 && rules.size_bytes_max >= rules.size_bytes_min).then_some(rules)
}

/// Returns how many bytes of content a stored part holds.
pub(super) fn plain_part_size(number: u32, stored: u64) -> u64 {
    let (ours, all) = match number {
        1 => (EncryptionHeader::SIZE_BYTES as u64, HEADERS_BYTES),
        _ => (0, 0),
    };
    let segments = stored.saturating_sub(ours).div_ceil(SEGMENT_BYTES);
    stored.saturating_sub(all + segments * TAG_BYTES as u64)
}

/// Returns how many bytes a part of the content has when it is stored.
pub(super) fn stored_part_size(number: u32, plain: u64) -> u64 {
    let (in_segments, all) = match number {
        1 => (plain + TINK_HEADER_BYTES as u64, HEADERS_BYTES),
        _ => (plain, 0),
    };
    plain + all + in_segments.div_ceil(SEGMENT_PLAIN_BYTES).max(1) * TAG_BYTES as u64
}

/// An upload in parts under way.
pub(super) struct Upload {
    pub(super) encryption: Arc<Encryption>,
    /// The upload as the store knows it.
    pub(super) inner: MultipartUpload,
    sent: Mutex<BTreeMap<u32, Sent>>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    offset: u64,
    size: u64,
    is_last: bool,
}

impl Upload {
    pub(super) fn new(encryption: Arc<Encryption>, inner: MultipartUpload) -> Self {
        Self {
            encryption,
            inner,
            sent: Mutex::default(),
        }
    }

    /// Returns the segment that a part begins with.
    pub(super) fn segment(place: PartPlace, length: Option<u64>) -> Result<u64> {
        let tink_offset = place.offset
            + if place.offset == 0 {
                0
            } else {
                TINK_HEADER_BYTES as u64
            };
        if (place.number == 1) != (place.offset == 0) || !tink_offset.is_multiple_of(SEGMENT_PLAIN_BYTES) {
            return Err(Error::invalid_input(format!(
                "part {} begins at byte {}, but an encrypted part begins with a segment",
                place.number, place.offset
            ))
            .with_help("cut the content as the upload's part rules say"));
        }
        if let Some(length) = length {
            let first = if place.number == 1 {
                TINK_HEADER_BYTES as u64
            } else {
                0
            };
            let is_whole = length > 0 && (length + first).is_multiple_of(SEGMENT_PLAIN_BYTES);
            if !place.is_last && !is_whole {
                return Err(Error::invalid_input(format!(
                    "part {} has {length} bytes, expected a multiple of {SEGMENT_PLAIN_BYTES}{}",
                    place.number,
                    if first > 0 { " less 40" } else { "" }
                ))
                .with_help("cut the content as the upload's part rules say"));
            }
            if length == 0 && place.number > 1 {
                return Err(Error::invalid_input("a part without bytes"));
            }
        }
        Ok(tink_offset / SEGMENT_PLAIN_BYTES)
    }

    /// Notes that the store has a part.
    pub(super) fn note(&self, place: PartPlace, size: u64) {
        let sent = Sent {
            offset: place.offset,
            size,
            is_last: place.is_last,
        };
        let mut parts = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        parts.insert(place.number, sent);
    }

    /// Checks that these parts are one whole object, from its first segment to its last.
    pub(super) fn check_complete(&self, parts: &[Part]) -> Result<()> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let mut offset = 0;
        for (index, part) in parts.iter().enumerate() {
            let known = sent
                .get(&part.number)
                .ok_or_else(|| Error::invalid_input(format!("part {} was not sent", part.number)))?;
            let is_last = index + 1 == parts.len();
            if known.offset != offset || known.is_last != is_last {
                return Err(Error::invalid_input(format!(
                    "part {} does not stand where it was sent for: at byte {}{}",
                    part.number,
                    known.offset,
                    if known.is_last { ", as the last one" } else { "" }
                ))
                .with_help("complete with all parts, and send the last one as such"));
            }
            offset += known.size;
        }
        if parts.is_empty() {
            return Err(Error::invalid_input("an upload is not completed without parts"));
        }
        Ok(())
    }
}

/// The uploads that this process began.
#[derive(Default)]
pub(super) struct Uploads {
    all: Mutex<All>,
}

#[derive(Default)]
struct All {
    count: u64,
    uploads: HashMap<(StorageKey, String), (u64, Arc<Upload>)>,
}

impl Uploads {
    pub(super) fn insert(&self, upload: Upload) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.uploads.len() >= UPLOADS_MAX
            && let Some(oldest) = all
                .uploads
                .iter()
                .min_by_key(|(_, (age, _))| *age)
                .map(|(name, _)| name.clone())
        {
            all.uploads.remove(&oldest);
        }
        all.count += 1;
        let age = all.count;
        let name = (upload.inner.key.clone(), upload.inner.id.clone());
        all.uploads.insert(name, (age, Arc::new(upload)));
    }

    pub(super) fn find(&self, upload: &MultipartUpload) -> Result<Arc<Upload>> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (upload.key.clone(), upload.id.clone());
        let found = all.uploads.get(&name).map(|(_, upload)| Arc::clone(upload));
        found.ok_or_else(|| {
            Error::not_found("no encrypted upload of this name is under way in this process").with_help(
                "begin it anew: its keys never leave the process that began it, so no other goes on with it",
            )
        })
    }

    pub(super) fn remove(&self, upload: &MultipartUpload) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.uploads.remove(&(upload.key.clone(), upload.id.clone()));
    }
}
