//! Sinks of the audit log: files of JSON lines, `tracing`, and several at once.
//!
//! What an event is, and when it is written, is in `boards-storage-core`; a sink in an SQLite database is in
//! `boards-storage-catalog`.

mod fan_out;
mod jsonl;
mod to_tracing;

pub use fan_out::AuditFanOut;
pub use jsonl::{
    AuditKey, AuditKeys, AuditOrder, AuditPosition, AuditProblem, AuditProblemKind, AuditReader,
    AuditVerification, JsonlConfig, JsonlSink, verify_audit,
};
pub use to_tracing::TracingSink;
