//! Uploads in parts: what was sent so far, and the rules for parts.

use std::collections::BTreeMap;

use boards_storage_core::{
    Checksum, CompleteUploadOptions, CreateUploadOptions, Error, Part, PartOrder, PartPlace, PartRules,
    Result, StorageKey,
};
use bytes::{Bytes, BytesMut};

/// An upload that is neither completed nor aborted.
#[derive(Debug)]
pub(super) struct PendingUpload {
    pub(super) key: StorageKey,
    pub(super) options: CreateUploadOptions,
    pub(super) rules: PartRules,
    pub(super) parts: BTreeMap<u32, StoredPart>,
}

#[derive(Clone, Debug)]
pub(super) struct StoredPart {
    pub(super) bytes: Bytes,
    pub(super) checksum: Checksum,
    /// A part that came by a signed request has no place.
    pub(super) place: Option<PartPlace>,
}

impl StoredPart {
    fn describe(&self, number: u32) -> Part {
        let mut part = Part::new(number, self.bytes.len() as u64);
        part.etag = Some(self.checksum.to_string());
        part.checksum = Some(self.checksum.clone());
        part
    }
}

impl PendingUpload {
    pub(super) fn new(key: StorageKey, options: CreateUploadOptions, rules: PartRules) -> Self {
        Self {
            key,
            options,
            rules,
            parts: BTreeMap::new(),
        }
    }

    /// Keeps one part.
    pub(super) fn store(&mut self, number: u32, part: StoredPart) -> Result<Part> {
        self.check_part(number, &part)?;
        let described = part.describe(number);
        self.parts.insert(number, part);
        Ok(described)
    }

    pub(super) fn list(&self) -> Vec<Part> {
        self.parts
            .iter()
            .map(|(number, part)| part.describe(*number))
            .collect()
    }

    fn check_part(&self, number: u32, part: &StoredPart) -> Result<()> {
        let rules = &self.rules;
        let size = part.bytes.len() as u64;
        let refuse = |problem: String| {
            Err(Error::invalid_input(format!("part {number} {problem}")).with_key(&self.key))
        };
        if number == 0 || number > rules.count_max {
            return refuse(format!("is not one of 1 to {}", rules.count_max));
        }
        if size > rules.size_bytes_max {
            return refuse(format!(
                "has {size} bytes, at most {} are allowed",
                rules.size_bytes_max
            ));
        }
        // The last part again is a repeat after a lost answer.
        let next = self.parts.keys().next_back().map_or(1, |last| last + 1);
        if rules.order == PartOrder::Sequential && number != next && number + 1 != next {
            return refuse(format!("came out of order: part {next} is next"));
        }
        if part.place.is_some_and(|place| place.is_last) {
            return Ok(());
        }
        if part.place.is_some() && size < rules.size_bytes_min {
            return refuse(format!(
                "has {size} bytes, at least {} are needed",
                rules.size_bytes_min
            ));
        }
        if part.place.is_some() && !size.is_multiple_of(rules.multiple_of_bytes) {
            return refuse(format!(
                "has {size} bytes, which is no multiple of {}",
                rules.multiple_of_bytes
            ));
        }
        Ok(())
    }

    /// Joins the parts that the caller names, after checking that they are the ones that were sent and that they
    /// follow each other.
    pub(super) fn join(&self, parts: &[Part], options: &CompleteUploadOptions) -> Result<Bytes> {
        let refuse = |problem: String| Err(Error::invalid_input(problem).with_key(&self.key));
        if self.options.precondition != options.precondition {
            return refuse("the precondition is not the one that the upload was begun with".to_owned());
        }
        if parts.is_empty() {
            return refuse("an upload in parts needs at least one part".to_owned());
        }
        let mut whole = BytesMut::new();
        for (expected, part) in (1..).zip(parts) {
            let number = part.number;
            if number != expected {
                return refuse(format!(
                    "part {expected} is missing: part {number} follows part {}",
                    expected - 1
                ));
            }
            let Some(stored) = self.parts.get(&number) else {
                return refuse(format!("part {number} was not sent"));
            };
            let known = stored.describe(number);
            if known.size_bytes != part.size_bytes || known.etag != part.etag {
                return refuse(format!(
                    "part {number} is not the one that was sent last under this number"
                ));
            }
            if stored
                .place
                .is_some_and(|place| place.offset != whole.len() as u64)
            {
                return refuse(format!(
                    "part {number} does not begin where the parts before it end"
                ));
            }
            if (number as usize) < parts.len() {
                self.check_inner(number, stored, parts[0].size_bytes)?;
            }
            whole.extend_from_slice(&stored.bytes);
        }
        if let Some(length) = self.options.length
            && length != whole.len() as u64
        {
            return refuse(format!(
                "the parts have {} bytes, {length} were declared",
                whole.len()
            ));
        }
        Ok(whole.freeze())
    }

    /// Checks the rules from which the last part alone is exempt.
    fn check_inner(&self, number: u32, part: &StoredPart, first: u64) -> Result<()> {
        let size = part.bytes.len() as u64;
        let rules = &self.rules;
        let is_equal = !rules.equal_size || size == first;
        let is_ended = part.place.is_some_and(|place| place.is_last);
        if size >= rules.size_bytes_min
            && size.is_multiple_of(rules.multiple_of_bytes)
            && is_equal
            && !is_ended
        {
            return Ok(());
        }
        Err(Error::invalid_input(format!(
            "part {number} with {size} bytes may only be the last: others have at least {} bytes, in multiples of {}{}",
            rules.size_bytes_min,
            rules.multiple_of_bytes,
            if rules.equal_size { ", and all one size" } else { "" }
        ))
        .with_key(&self.key))
    }
}
