//! Audit events as `tracing` events.

use async_trait::async_trait;
use boards_storage_core::{AuditEvent, AuditOutcome, AuditSink, Error, ErrorKind, Result};
use tracing::{info, warn};

/// Writes every audit event as a `tracing` event with the target `boards_storage::audit`: level info, or warn where
/// the operation was denied. The field `event` is the whole event as JSON.
///
/// How durable that is, and whether it can be changed later, is up to the subscriber.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingSink;

impl TracingSink {
    /// Creates the sink.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

#[async_trait]
impl AuditSink for TracingSink {
    async fn append(&self, events: &[AuditEvent]) -> Result<()> {
        for event in events {
            tell(event)?;
        }
        Ok(())
    }
}

fn tell(event: &AuditEvent) -> Result<()> {
    // A macro, as the level of an event is a constant.
    macro_rules! tell {
        ($level:ident, $json:expr) => {
            $level!(
                target: "boards_storage::audit",
                id = %event.id,
                operation = event.operation.name(),
                outcome = event.outcome.name(),
                principal = event.principal.as_ref().map(|principal| principal.id.as_str()),
                tenant = event.tenant.as_ref().map(|tenant| tenant.as_str()),
                artifact = event.artifact.as_ref().map(|artifact| artifact.as_str()),
                provider = event.provider.as_deref(),
                event = $json,
                "artifact operation"
            )
        };
    }
    let json = serde_json::to_string(event).map_err(|source| {
        Error::new(ErrorKind::Storage, "an audit event cannot be written as JSON").with_source(source)
    })?;
    match event.outcome {
        AuditOutcome::Denied => tell!(warn, json.as_str()),
        AuditOutcome::Success | AuditOutcome::Failure | AuditOutcome::Cancelled => tell!(info, json.as_str()),
    }
    Ok(())
}
