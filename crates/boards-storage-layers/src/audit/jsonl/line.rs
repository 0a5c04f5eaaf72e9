//! One line: an entry as JSON, and the message authentication code over the bytes before it.
//!
//! ```text
//! {"sequence":7,"previous":"<mac of 6>","type":"event", … ,"mac":"<mac>"}
//! └────────────────── the code is over these bytes ──────┘
//! ```

use boards_storage_core::{AuditEvent, Error, ErrorKind, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::key::AuditKey;

/// The version of the format.
pub(super) const FORMAT: u32 = 1;

/// The code before the first line.
pub(super) const ZERO: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What stands between the bytes that the code is over, and the code.
const BEFORE_MAC: &[u8] = b",\"mac\":\"";

/// What stands behind the code.
const AFTER_MAC: &[u8] = b"\"}";

const MAC_LENGTH: usize = ZERO.len();

const SUFFIX_LENGTH: usize = BEFORE_MAC.len() + MAC_LENGTH + AFTER_MAC.len();

/// A line's content but its code.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The number of the line, through all files of the log.
    pub(super) sequence: u64,
    /// The code of the line before.
    pub(super) previous: String,
    #[serde(flatten)]
    pub(super) record: Record,
}

/// What a line says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Record {
    /// The first line of a file.
    Header(Header),
    /// An artifact operation.
    Event(Box<AuditEvent>),
    /// What a process that died left half-written was removed.
    Repair(Repair),
}

/// What the first line of a file says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) format: u32,
    /// The log's name, by which the catalog keeps its head.
    pub(super) log: String,
    /// The number of the file.
    pub(super) file: u32,
    /// Files before this one may have been removed by the settings.
    pub(super) first_file: u32,
    /// The id of the key of this file's codes.
    pub(super) key_id: String,
    pub(super) time: Timestamp,
}

/// What a repair removed. None of it was acknowledged.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Repair {
    pub(super) time: Timestamp,
    /// The file and the place in it.
    pub(super) file: u32,
    pub(super) offset: u64,
    pub(super) removed_bytes: u64,
    /// The SHA-256 of the removed bytes.
    pub(super) removed_sha256: String,
}

/// Writes a line behind what is there, and returns its code.
pub(super) fn write(entry: &Entry, key: &AuditKey, lines: &mut Vec<u8>) -> Result<String> {
    let start = lines.len();
    serde_json::to_writer(&mut *lines, entry).map_err(|source| {
        Error::new(ErrorKind::Storage, "an audit event cannot be written as JSON").with_source(source)
    })?;
    // The brace comes back behind the code.
    lines.pop();
    let mac = key.code(&lines[start..]);
    lines.extend_from_slice(BEFORE_MAC);
    lines.extend_from_slice(mac.as_bytes());
    lines.extend_from_slice(AFTER_MAC);
    lines.push(b'\n');
    Ok(mac)
}

/// A line in its parts.
pub(super) struct Parts<'a> {
    /// The bytes that the code is over.
    pub(super) signed: &'a [u8],
    /// The code that the line says.
    pub(super) mac: &'a str,
}

/// Takes a line apart; `None` if it has not this form.
pub(super) fn split(line: &[u8]) -> Option<Parts<'_>> {
    let (signed, suffix) = line.split_at_checked(line.len().checked_sub(SUFFIX_LENGTH)?)?;
    let mac = suffix.strip_prefix(BEFORE_MAC)?.strip_suffix(AFTER_MAC)?;
    let is_hex = mac.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    Some(Parts {
        signed,
        mac: std::str::from_utf8(mac).ok().filter(|_text| is_hex)?,
    })
}

impl Parts<'_> {
    /// Returns whether the code is the key's for these bytes.
    pub(super) fn is_authentic(&self, key: &AuditKey) -> bool {
        key.code(self.signed) == self.mac
    }
}

/// Reads what a line says, without a look at its code.
pub(super) fn read(line: &[u8]) -> Option<Entry> {
    serde_json::from_slice(line).ok()
}

#[cfg(test)]
mod tests {
    use boards_storage_core::{AuditOperation, CallContext, Secret};

    use super::*;

    fn entry() -> Entry {
        Entry {
            sequence: 2,
            previous: ZERO.to_owned(),
            record: Record::Event(Box::new(AuditEvent::new(
                AuditOperation::Store,
                &CallContext::default().with_user_agent("a \"quoted\" agent\n"),
            ))),
        }
    }

    fn key() -> AuditKey {
        AuditKey::new(&Secret::new("k".repeat(32))).expect("long enough")
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let mut lines = Vec::new();
        let mac = write(&entry(), &key(), &mut lines).expect("written");
        assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
        let line = &lines[..lines.len() - 1];
        let parts = split(line).expect("it has the form");
        assert_eq!(parts.mac, mac);
        assert!(parts.is_authentic(&key()));
        let read = read(line).expect("read");
        assert_eq!((read.sequence, read.previous.as_str()), (2, ZERO));
        let (Record::Event(read), Record::Event(written)) = (read.record, entry().record) else {
            panic!("it is an event");
        };
        assert_eq!(
            (read.operation, read.user_agent),
            (written.operation, written.user_agent)
        );
        serde_json::from_slice::<serde_json::Value>(line).expect("the whole line is JSON");
    }

    #[test]
    fn no_byte_of_a_line_can_be_another() {
        let mut lines = Vec::new();
        write(&entry(), &key(), &mut lines).expect("written");
        let line = &lines[..lines.len() - 1];
        for place in 0..line.len() {
            for flip in [0x01, 0x20, 0x80] {
                let mut changed = line.to_vec();
                changed[place] ^= flip;
                let is_authentic = split(&changed).is_some_and(|parts| parts.is_authentic(&key()));
                assert!(!is_authentic, "the byte {place} was changed");
            }
        }
    }
}
