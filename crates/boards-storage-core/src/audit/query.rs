//! Events as they are read back, and which somebody asks for.

use jiff::Timestamp;
use serde::Serialize;

use super::event::{AuditEvent, AuditOperation, AuditOutcome};
use crate::scope::{ArtifactId, TenantId};

/// An event as it stands in a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuditEntry {
    /// The number of the entry, in the order of completion.
    pub sequence: u64,
    /// The event.
    #[serde(flatten)]
    pub event: AuditEvent,
}

impl AuditEntry {
    /// Creates an entry.
    #[must_use]
    pub fn new(sequence: u64, event: AuditEvent) -> Self {
        Self { sequence, event }
    }
}

/// Which events are wanted: those for which everything that is given holds.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{AuditEvent, AuditOperation, AuditQuery, CallContext};
///
/// let event = AuditEvent::new(AuditOperation::Store, &CallContext::default());
/// assert!(AuditQuery::default().matches(&event));
/// assert!(!AuditQuery::default().with_operation(AuditOperation::Delete).matches(&event));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditQuery {
    /// Only events from this time on.
    pub since: Option<Timestamp>,
    /// Only events before this time.
    pub until: Option<Timestamp>,
    /// Only events of the principal with this id.
    pub principal: Option<String>,
    /// Only events about this tenant's artifacts.
    pub tenant: Option<TenantId>,
    /// Only events about this artifact.
    pub artifact: Option<ArtifactId>,
    /// Only this operation.
    pub operation: Option<AuditOperation>,
    /// Only this outcome.
    pub outcome: Option<AuditOutcome>,
    /// Only events about bytes at this provider.
    pub provider: Option<String>,
}

impl AuditQuery {
    /// Asks for events from this time on.
    #[must_use]
    pub fn with_since(mut self, since: Timestamp) -> Self {
        self.since = Some(since);
        self
    }

    /// Asks for events before this time.
    #[must_use]
    pub fn with_until(mut self, until: Timestamp) -> Self {
        self.until = Some(until);
        self
    }

    /// Asks for one principal's events.
    #[must_use]
    pub fn with_principal(mut self, id: impl Into<String>) -> Self {
        self.principal = Some(id.into());
        self
    }

    /// Asks for events about one tenant's artifacts.
    #[must_use]
    pub fn with_tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// Asks for events about one artifact.
    #[must_use]
    pub fn with_artifact(mut self, artifact: ArtifactId) -> Self {
        self.artifact = Some(artifact);
        self
    }

    /// Asks for one operation.
    #[must_use]
    pub fn with_operation(mut self, operation: AuditOperation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Asks for one outcome.
    #[must_use]
    pub fn with_outcome(mut self, outcome: AuditOutcome) -> Self {
        self.outcome = Some(outcome);
        self
    }

    /// Asks for events about bytes at one provider.
    #[must_use]
    pub fn with_provider(mut self, provider: impl Into<String>) -> Self {
        self.provider = Some(provider.into());
        self
    }

    /// Returns whether an event is wanted.
    #[must_use]
    pub fn matches(&self, event: &AuditEvent) -> bool {
        fn fits<T: PartialEq>(asked: Option<&T>, found: Option<&T>) -> bool {
            asked.is_none() || asked == found
        }
        self.since.is_none_or(|since| event.time >= since)
            && self.until.is_none_or(|until| event.time < until)
            && fits(
                self.principal.as_ref(),
                event.principal.as_ref().map(|principal| &principal.id),
            )
            && fits(self.tenant.as_ref(), event.tenant.as_ref())
            && fits(self.artifact.as_ref(), event.artifact.as_ref())
            && fits(self.operation.as_ref(), Some(&event.operation))
            && fits(self.outcome.as_ref(), Some(&event.outcome))
            && fits(self.provider.as_ref(), event.provider.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{CallContext, Principal};

    fn event() -> AuditEvent {
        let context = CallContext::default().with_principal(Principal::new("ada"));
        let mut event = AuditEvent::new(AuditOperation::Open, &context);
        event.time = at(100);
        event.tenant = Some(TenantId::default());
        event.artifact = Some(ArtifactId::parse("a").expect("an id"));
        event.provider = Some("s3".to_owned());
        event
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    #[track_caller]
    fn check(query: &AuditQuery, is_wanted: bool) {
        assert_eq!(query.matches(&event()), is_wanted, "{query:?}");
    }

    #[test]
    fn everything_that_is_given_must_hold() {
        let all = AuditQuery::default;
        check(&all(), true);
        check(&all().with_since(at(100)).with_until(at(101)), true);
        check(&all().with_since(at(101)), false);
        check(&all().with_until(at(100)), false);
        check(&all().with_principal("ada").with_provider("s3"), true);
        check(&all().with_principal("bob").with_provider("s3"), false);
        check(&all().with_principal("ada").with_provider("gcs"), false);
        check(
            &all().with_tenant(TenantId::parse("other").expect("an id")),
            false,
        );
        check(&all().with_artifact(ArtifactId::parse("a").expect("an id")), true);
        check(
            &all().with_artifact(ArtifactId::parse("b").expect("an id")),
            false,
        );
        check(&all().with_operation(AuditOperation::Fetch), false);
        check(&all().with_outcome(AuditOutcome::Cancelled), true);
        check(&all().with_outcome(AuditOutcome::Success), false);
    }
}
