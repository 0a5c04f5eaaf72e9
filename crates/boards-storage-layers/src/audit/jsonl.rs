//! The audit log as files of JSON lines, each line chained to the one before by a message authentication code.
//!
//! `docs/audit-log.md` describes the format for those who verify it with another program. Files:
//!
//! | file | |
//! |---|---|
//! | `audit-00000001.jsonl` … | the log; each begins with a header; numbered without a gap |
//! | `lock` | whoever appends holds its lock |
//! | `key` | the key, where the settings give none |
//!
//! Appending, in this order: take the lock of all processes, look where the log ends, write all lines at once, flush
//! them to the disk, free the lock, move the head in the catalog forward, acknowledge. So each acknowledged event is
//! covered by the head, and everything behind it in a file was never acknowledged.

#![expect(
    clippy::disallowed_methods,
    reason = "the log's own room: everything here that blocks is called in blocking tasks"
)]

mod append;
mod files;
mod key;
mod line;
mod reader;
mod sink;
mod verify;

pub use key::{AuditKey, AuditKeys};
pub use reader::{AuditOrder, AuditPosition, AuditReader};
pub use sink::{JsonlConfig, JsonlSink};
pub use verify::{AuditProblem, AuditProblemKind, AuditVerification, verify_audit};
