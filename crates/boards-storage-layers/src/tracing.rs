//! Spans: one for each call, one for each attempt.

use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use boards_storage_core::{Error, Layer, Next, Operation, Outcome, Result};
use futures_core::Stream;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};
use tracing::{Instrument, Level, Span, debug_span, info_span};

use crate::stream::{Piece, Pieces, Wrap, has_stream, received_bytes, sent_bytes, wrap_stream};

/// Puts each call into a `tracing` span that lives until the call, or the stream that it returned, has ended.
///
/// Used twice: [`TracingLayer::call`] near the outside makes the span `storage_call` (level info) of what the caller
/// asked for, [`TracingLayer::attempt`] inside the retry makes a `storage_attempt` (level debug) of each thing that
/// is sent. Both have the target `boards_storage` and these fields, with OpenTelemetry's names where it has some:
///
/// | field | |
/// |---|---|
/// | `otel.kind`, `otel.name` | `client`; the operation and the provider, without the key |
/// | `storage.provider` | the stack's name |
/// | `storage.operation` | such as `delete_many` |
/// | `storage.key` | where there is a single one |
/// | `storage.attempt` | of attempts: which one |
/// | `storage.request_id`, `storage.trace_parent` | where the caller gave one |
/// | `storage.bytes` | the object bytes that were sent or received |
/// | `storage.outcome` | `ok`, `error`, or `cancelled` where the caller dropped the call or the stream |
/// | `storage.duration_seconds` | until the end of the stream |
/// | `error.type`, `otel.status_code` | the kind of the error; `ERROR` |
///
/// No URL, no metadata and no error message is recorded. A span that nobody listens to costs next to nothing.
///
/// A span is a child of the one that the call was made in. With the feature `otel` and a `tracing_opentelemetry` layer,
/// the [`CallContext::trace_parent`](boards_storage_core::CallContext::trace_parent) is the parent of a call that is
/// made outside of that trace.
#[derive(Clone, Copy, Debug)]
pub struct TracingLayer {
    scope: Scope,
}

#[derive(Clone, Copy, Debug)]
enum Scope {
    Call,
    Attempt,
}

impl TracingLayer {
    /// Creates the layer that makes a span for what the caller asked for.
    #[must_use]
    pub fn call() -> Self {
        Self { scope: Scope::Call }
    }

    /// Creates the layer that makes a span for each attempt.
    #[must_use]
    pub fn attempt() -> Self {
        Self {
            scope: Scope::Attempt,
        }
    }

    /// Creates the span; disabled if nobody listens.
    fn span(self, operation: &Operation, next: &Next) -> Span {
        // A macro, as the level and the name of a span are constants.
        macro_rules! span {
            ($span:ident, $name:literal) => {
                $span!(
                    target: "boards_storage",
                    $name,
                    "otel.kind" = "client",
                    "otel.name" = %format_args!("{} {}", operation.kind(), next.name()),
                    "otel.status_code" = Empty,
                    "error.type" = Empty,
                    "storage.provider" = &**next.name(),
                    "storage.operation" = operation.kind().name(),
                    "storage.key" = operation.key().map(tracing::field::display),
                    "storage.attempt" = Empty,
                    "storage.request_id" = operation.context().request_id.as_deref(),
                    "storage.trace_parent" = operation.context().trace_parent.as_deref(),
                    "storage.bytes" = Empty,
                    "storage.outcome" = Empty,
                    "storage.duration_seconds" = Empty,
                )
            };
        }
        let span = match self.scope {
            Scope::Call => span!(info_span, "storage_call"),
            Scope::Attempt => {
                let span = span!(debug_span, "storage_attempt");
                span.record("storage.attempt", operation.context().attempt.max(1));
                span
            }
        };
        if !span.is_disabled() {
            operation.context().adopt(&span);
        }
        span
    }
}

#[async_trait]
impl Layer for TracingLayer {
    fn name(&self) -> &'static str {
        match self.scope {
            Scope::Call => "tracing_call",
            Scope::Attempt => "tracing_attempt",
        }
    }

    /// Asks the level alone, which is one load: whether this very span is wanted, its macro finds out.
    fn is_needed(&self, _operation: &Operation) -> bool {
        let level = match self.scope {
            Scope::Call => Level::INFO,
            Scope::Attempt => Level::DEBUG,
        };
        level <= STATIC_MAX_LEVEL && level <= LevelFilter::current()
    }

    async fn around(&self, operation: Operation, next: Next) -> Result<Outcome> {
        let span = self.span(&operation, &next);
        if span.is_disabled() {
            return next.run(operation).await;
        }
        let mut record = Record {
            span: span.clone(),
            started: Instant::now(),
            bytes: 0,
            expected: None,
            end: End::Cancelled,
        };
        match next.run(operation).instrument(span).await {
            Ok(outcome) if has_stream(&outcome) => {
                record.expected = received_bytes(&outcome);
                Ok(wrap_stream(outcome, record))
            }
            Ok(outcome) => {
                record.bytes = sent_bytes(&outcome) + received_bytes(&outcome).unwrap_or(0);
                record.end = End::Done;
                Ok(outcome)
            }
            Err(error) => {
                record.fail(&error);
                Err(error)
            }
        }
    }
}

/// What is written into the span when the call or its stream has ended; also when it is dropped on the way.
struct Record {
    span: Span,
    started: Instant,
    bytes: u64,
    /// How many bytes a download's stream has: whoever got them all need not ask whether there are more.
    expected: Option<u64>,
    end: End,
}

enum End {
    Done,
    Failed,
    Cancelled,
}

impl Record {
    fn fail(&mut self, error: &Error) {
        self.span
            .record("error.type", error.kind().name())
            .record("otel.status_code", "ERROR");
        self.end = End::Failed;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let outcome = match self.end {
            End::Done => "ok",
            End::Failed => "error",
            End::Cancelled if self.expected == Some(self.bytes) => "ok",
            End::Cancelled => "cancelled",
        };
        self.span
            .record("storage.bytes", self.bytes)
            .record("storage.outcome", outcome)
            .record("storage.duration_seconds", self.started.elapsed().as_secs_f64());
    }
}

impl Wrap for Record {
    fn wrap<T: Piece>(self, stream: Pieces<T>) -> Pieces<T> {
        Box::pin(Traced {
            inner: stream,
            record: Some(self),
        })
    }
}

/// A stream inside its call's span.
struct Traced<T> {
    inner: Pieces<T>,
    /// Gone, and so written, at the end.
    record: Option<Record>,
}

impl<T: Piece> Stream for Traced<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { inner, record } = &mut *self;
        let Some(running) = record else {
            return inner.as_mut().poll_next(context);
        };
        let item = running.span.in_scope(|| inner.as_mut().poll_next(context));
        match &item {
            Poll::Ready(Some(Ok(piece))) => running.bytes += piece.size_bytes(),
            Poll::Ready(Some(Err(error))) => {
                running.fail(error);
                *record = None;
            }
            Poll::Ready(None) => {
                running.end = End::Done;
                *record = None;
            }
            Poll::Pending => {}
        }
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}
