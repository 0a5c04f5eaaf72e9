//! Where events go.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::event::AuditEvent;
use crate::error::{Error, ErrorKind, Result};

/// Keeps audit events.
///
/// One task of the [`AuditTrail`](crate::AuditTrail) calls it, so calls never overlap within a process; several
/// processes may keep their events in one place at once.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{AuditEvent, AuditSink, Result, async_trait};
///
/// /// Sends events to a collector.
/// #[derive(Debug)]
/// struct Collector;
///
/// #[async_trait]
/// impl AuditSink for Collector {
///     async fn append(&self, events: &[AuditEvent]) -> Result<()> {
///         for event in events {
///             let _line = serde_json::to_string(event).expect("an event is JSON");
///             // Send it, and wait until it is acknowledged.
///         }
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait AuditSink: Debug + Send + Sync + 'static {
    /// Keeps events, in this order. When it answers, they are as durable as the sink makes them.
    ///
    /// All events that wait at one time come together, so that they can share what it costs to make them durable.
    ///
    /// # Errors
    ///
    /// Whatever keeps the events from being kept. They are given again with the next ones, so a sink that kept some
    /// of them may see these twice: an event's id tells.
    async fn append(&self, events: &[AuditEvent]) -> Result<()>;

    /// Finds out whether events can be kept. It is asked before the first event, and after a failure.
    ///
    /// # Errors
    ///
    /// What would keep events from being kept.
    async fn ready(&self) -> Result<()> {
        Ok(())
    }

    /// Makes durable what [`AuditSink::append`] did not. The default does nothing.
    ///
    /// # Errors
    ///
    /// As [`AuditSink::append`].
    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    /// Frees what the sink holds. The default does nothing.
    ///
    /// # Errors
    ///
    /// As [`AuditSink::append`].
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// A sink that is shared.
pub type SharedAuditSink = Arc<dyn AuditSink>;

/// How far a chained log has come: the last entry that was acknowledged. The catalog keeps it, apart from the log, so
/// that a log that was cut off is found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// The number of the last entry, from 1 on.
    pub sequence: u64,
    /// The entry's message authentication code: 64 lower-case hex digits.
    pub mac: String,
}

impl AuditHead {
    /// The error of a head that says something else than the one that is kept.
    #[must_use]
    pub fn forked(log: &str, sequence: u64) -> Error {
        Error::new(
            ErrorKind::PreconditionFailed,
            format!(
                "the entry {sequence} of the audit log '{log}' is another than the one that was acknowledged"
            ),
        )
        .with_help("verify the log; two copies of it may have been written to")
    }
}
