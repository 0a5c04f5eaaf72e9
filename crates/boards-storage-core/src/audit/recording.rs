//! An operation under way: its event, which becomes part of the audit log, and its span.

use std::fmt;

use tokio::time::Instant;
use tracing::field::{Empty, display};
use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};
use tracing::{Level, Span, info_span};

use super::event::{AuditEvent, AuditOperation, AuditOutcome};
use super::trail::{AuditTrail, Reserved, Settled};
use crate::error::{Error, Result};
use crate::options::CallContext;

/// An operation under way, or nothing where no log is kept and nobody listens to its span.
///
/// Dropped before its end, it records that the operation was cancelled.
#[derive(Debug)]
pub(crate) struct Recording(Option<Active>);

struct Active {
    /// Taken when the operation has ended.
    event: Option<Box<AuditEvent>>,
    started: Instant,
    /// Disabled where nobody listens.
    span: Span,
    /// Where the event goes; none without a log.
    place: Option<Reserved>,
}

impl Recording {
    /// Begins an operation.
    ///
    /// # Errors
    ///
    /// What the audit log answers.
    pub(crate) async fn begin(
        trail: Option<&AuditTrail>,
        operation: AuditOperation,
        context: &CallContext,
    ) -> Result<Self> {
        let span = span_of(operation, context);
        if trail.is_none() && span.is_disabled() {
            return Ok(Self(None));
        }
        let mut active = Active {
            event: Some(Box::new(AuditEvent::new(operation, context))),
            started: Instant::now(),
            span,
            place: None,
        };
        let Some(trail) = trail else {
            return Ok(Self(Some(active)));
        };
        match trail.reserve().await {
            Ok(place) => active.place = place,
            Err(error) => {
                // What was not begun is no event.
                Self(Some(active)).settle(Some(&error));
                return Err(error);
            }
        }
        let is_kept = active.place.is_some() || !active.span.is_disabled();
        Ok(Self(is_kept.then_some(active)))
    }

    /// Returns whether anything is recorded.
    pub(crate) fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the span in which the operation is done.
    pub(crate) fn span(&self) -> Span {
        match &self.0 {
            Some(active) => active.span.clone(),
            None => Span::none(),
        }
    }

    /// Adds to the event.
    pub(crate) fn note(&mut self, add: impl FnOnce(&mut AuditEvent)) {
        if let Some(event) = self.0.as_mut().and_then(|active| active.event.as_mut()) {
            add(event);
        }
    }

    /// Ends the operation; answers when its event is recorded.
    pub(crate) async fn end<T>(self, result: Result<T>) -> Result<T> {
        self.end_with(result, |_event, _value| {}).await
    }

    /// Ends the operation, and adds to the event what its success tells.
    pub(crate) async fn end_with<T>(
        mut self,
        result: Result<T>,
        add: impl FnOnce(&mut AuditEvent, &T),
    ) -> Result<T> {
        let settled = match &result {
            Ok(value) => {
                self.note(|event| add(event, value));
                self.settle(None)
            }
            Err(error) => self.settle(Some(error)),
        };
        let recorded = match settled {
            Some(settled) => settled.await,
            None => Ok(()),
        };
        // The operation's own error says more than that it could not be recorded, which is counted and logged.
        result.and_then(|value| recorded.map(|()| value))
    }

    /// Sends the event on its way; the future waits until it is recorded. `None` if there is nothing to wait for.
    pub(crate) fn settle(mut self, error: Option<&Error>) -> Option<Settled> {
        self.note(|event| match error {
            Some(error) => event.failed(error),
            None => event.outcome = AuditOutcome::Success,
        });
        self.0.take()?.send()
    }

    /// Says how many bytes were given out, now that the caller gave up. All of them are a success.
    pub(crate) fn give_up(mut self, bytes_out: u64, length: u64) {
        self.note(|event| {
            event.bytes_out = Some(bytes_out);
            if bytes_out == length {
                event.outcome = AuditOutcome::Success;
            }
        });
        // Dropping it sends it.
    }
}

impl Active {
    fn send(&mut self) -> Option<Settled> {
        let mut event = self.event.take()?;
        let duration = self.started.elapsed();
        event.duration_micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if !self.span.is_disabled() {
            self.span
                .record("storage.duration_seconds", duration.as_secs_f64());
            write(&self.span, &event);
        }
        self.place.take()?.send(event)
    }
}

impl Drop for Active {
    /// An operation that was dropped before its end is recorded too.
    fn drop(&mut self) {
        drop(self.send());
    }
}

impl fmt::Debug for Active {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Active")
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}

/// Creates the span of an operation; disabled if nobody listens, which a single load finds out.
fn span_of(operation: AuditOperation, context: &CallContext) -> Span {
    if Level::INFO > STATIC_MAX_LEVEL || Level::INFO > LevelFilter::current() {
        return Span::none();
    }
    let span = info_span!(
        target: "boards_storage",
        "storage_operation",
        "otel.kind" = "internal",
        "otel.name" = %format_args!("{operation} artifact"),
        "otel.status_code" = Empty,
        "error.type" = Empty,
        "storage.operation" = operation.name(),
        "storage.artifact" = Empty,
        "storage.variant" = Empty,
        "storage.version" = Empty,
        "storage.provider" = Empty,
        "storage.key" = Empty,
        "storage.request_id" = context.request_id.as_deref(),
        "storage.trace_parent" = context.trace_parent.as_deref(),
        "storage.bytes" = Empty,
        "storage.outcome" = Empty,
        "storage.duration_seconds" = Empty,
    );
    if !span.is_disabled() {
        context.adopt(&span);
    }
    span
}

/// Writes what is known at the end of an operation into its span.
fn write(span: &Span, event: &AuditEvent) {
    let outcome = match event.outcome {
        AuditOutcome::Success => "ok",
        AuditOutcome::Failure | AuditOutcome::Denied => "error",
        AuditOutcome::Cancelled => "cancelled",
    };
    span.record("storage.outcome", outcome)
        .record("storage.artifact", event.artifact.as_ref().map(display))
        .record("storage.variant", event.variant.as_ref().map(display))
        .record("storage.version", event.version.map(display))
        .record("storage.provider", event.provider.as_deref())
        .record("storage.key", event.key.as_ref().map(display))
        .record("storage.bytes", event.bytes_in.or(event.bytes_out));
    if let Some(kind) = event.error_kind {
        span.record("error.type", kind.name())
            .record("otel.status_code", "ERROR");
    }
}
