//! An audit sink in memory that does what a test tells it.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use boards_storage_core::{AuditEvent, AuditSink, Error, ErrorKind, Result};
use parking_lot::Mutex;

/// Keeps audit events in memory; fails or hangs while a test says so.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{AuditEvent, AuditOperation, AuditSink, CallContext, ErrorKind};
/// use boards_storage_testkit::MemoryAudit;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let sink = MemoryAudit::default();
/// let event = AuditEvent::new(AuditOperation::Store, &CallContext::default());
/// sink.fail(ErrorKind::InsufficientStorage);
/// assert!(sink.append(&[event.clone()]).await.is_err());
/// sink.work();
/// assert!(sink.append(&[event]).await.is_ok());
/// assert_eq!(sink.events().len(), 1);
/// # }
/// ```
#[derive(Debug, Default)]
pub struct MemoryAudit {
    events: Mutex<Vec<AuditEvent>>,
    mode: Mutex<Mode>,
    appends: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default)]
enum Mode {
    #[default]
    Works,
    Fails(ErrorKind),
    Hangs,
}

impl MemoryAudit {
    /// Returns the events that were kept, in order.
    #[must_use]
    pub fn events(&self) -> Vec<AuditEvent> {
        self.events.lock().clone()
    }

    /// Returns the events that were kept, and forgets them.
    #[must_use]
    pub fn take(&self) -> Vec<AuditEvent> {
        std::mem::take(&mut *self.events.lock())
    }

    /// Returns how often events were given, whether they were kept or not.
    #[must_use]
    pub fn appends(&self) -> u64 {
        self.appends.load(Ordering::Acquire)
    }

    /// Lets every call fail from now on.
    pub fn fail(&self, kind: ErrorKind) {
        *self.mode.lock() = Mode::Fails(kind);
    }

    /// Lets every call hang from now on.
    pub fn hang(&self) {
        *self.mode.lock() = Mode::Hangs;
    }

    /// Lets every call work from now on. What hangs already goes on hanging.
    pub fn work(&self) {
        *self.mode.lock() = Mode::Works;
    }

    async fn obey(&self) -> Result<()> {
        let mode = *self.mode.lock();
        match mode {
            Mode::Works => Ok(()),
            Mode::Fails(kind) => Err(Error::new(kind, "the audit log was told to fail")),
            Mode::Hangs => std::future::pending().await,
        }
    }
}

#[async_trait]
impl AuditSink for MemoryAudit {
    async fn append(&self, events: &[AuditEvent]) -> Result<()> {
        self.appends.fetch_add(1, Ordering::AcqRel);
        self.obey().await?;
        self.events.lock().extend_from_slice(events);
        Ok(())
    }

    async fn ready(&self) -> Result<()> {
        self.obey().await
    }
}
