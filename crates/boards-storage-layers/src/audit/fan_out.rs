//! Several sinks at once.

use async_trait::async_trait;
use boards_storage_core::{AuditEvent, AuditSink, Result, SharedAuditSink};

/// Gives every event to several sinks.
///
/// An event is recorded when all of them have kept it. When one fails, the others have kept it already, and see it
/// again with the next ones.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use boards_storage_core::SharedAuditSink;
/// use boards_storage_layers::{AuditFanOut, TracingSink};
///
/// fn watched(log: SharedAuditSink) -> AuditFanOut {
///     AuditFanOut::new([log, Arc::new(TracingSink::new())])
/// }
/// ```
#[derive(Clone, Debug)]
pub struct AuditFanOut {
    sinks: Vec<SharedAuditSink>,
}

impl AuditFanOut {
    /// Creates a sink that gives to all of these, in this order.
    pub fn new(sinks: impl IntoIterator<Item = SharedAuditSink>) -> Self {
        Self {
            sinks: sinks.into_iter().collect(),
        }
    }
}

#[async_trait]
impl AuditSink for AuditFanOut {
    async fn append(&self, events: &[AuditEvent]) -> Result<()> {
        let mut result = Ok(());
        for sink in &self.sinks {
            result = result.and(sink.append(events).await);
        }
        result
    }

    async fn ready(&self) -> Result<()> {
        for sink in &self.sinks {
            sink.ready().await?;
        }
        Ok(())
    }

    async fn flush(&self) -> Result<()> {
        let mut result = Ok(());
        for sink in &self.sinks {
            result = result.and(sink.flush().await);
        }
        result
    }

    async fn close(&self) -> Result<()> {
        let mut result = Ok(());
        for sink in &self.sinks {
            result = result.and(sink.close().await);
        }
        result
    }
}
