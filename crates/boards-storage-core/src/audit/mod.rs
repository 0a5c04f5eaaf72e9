//! The audit log's contract: what an event says, where events go, and what happens if they cannot go there.
//!
//! The manager writes one event for each artifact operation, refusals included, at its end: `trail` sees to it. A
//! [`AuditSink`] keeps them; the sinks themselves are in `boards-storage-layers` and `boards-storage-catalog`. No
//! event holds content, a secret, a signed URL or a signature.

mod event;
mod query;
mod recording;
mod sink;
mod trail;

pub use event::{AuditEvent, AuditEventId, AuditOperation, AuditOutcome, SignedFacts};
pub use query::{AuditEntry, AuditQuery};
pub(crate) use recording::Recording;
pub use sink::{AuditHead, AuditSink, SharedAuditSink};
pub(crate) use trail::Settled;
pub use trail::{
    AuditFailurePolicy, AuditLookups, AuditOptions, AuditStatus, AuditTrail, CODE_AUDIT_NOT_READY,
    CODE_AUDIT_UNRECORDED,
};
