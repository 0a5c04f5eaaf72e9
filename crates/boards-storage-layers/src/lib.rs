//! The layers that stand around every provider, one concern each, over every operation; and the sinks of the audit log.
//!
//! The order is picked by whoever builds the [`Stack`](boards_storage_core::Stack), outermost first:
//!
//! ```text
//!  caller
//!    │
//!    ▼
//!  DeadlineLayer            the caller's deadline bounds everything inside, queues and backoff included
//!   └ MetricsLayer::call, TracingLayer::call          what the caller asked for: counted, and a span
//!      └ RetryLayer             repeats what can help, settles lost answers, resumes broken streams
//!         └ MetricsLayer::attempt, TracingLayer::attempt   each thing that is sent: counted, and a span
//!            └ TimeoutLayer          bounds one attempt: by total time, or by idle time where bytes move
//!               └ ContextLayer         says in every error which operation, key and provider it was
//!                  │
//!                  ▼
//!               provider
//! ```
//!
//! Why so: the deadline must cover the waits of a retry; every attempt must have its own clock, so the timeout stands
//! inside the retry; a stream that is returned stays wrapped by each of them until it ends.
//!
//! A layer never asks which provider it wraps; what the inside can do, and its name, it hears from
//! [`Next`](boards_storage_core::Next). Each layer alone changes nothing that a caller of a healthy store can see.
//!
//! # Examples
//!
//! ```
//! use std::sync::Arc;
//! use boards_storage_core::{SharedProvider, Stack};
//! use boards_storage_layers::{
//!     ContextLayer, DeadlineLayer, Metrics, MetricsLayer, RetryConfig, RetryLayer, TimeoutConfig, TimeoutLayer,
//!     TracingLayer,
//! };
//!
//! fn with_layers(provider: SharedProvider, metrics: &Metrics) -> Stack {
//!     Stack::new("main", provider, vec![
//!         Arc::new(DeadlineLayer::new()),
//!         Arc::new(MetricsLayer::call(metrics)),
//!         Arc::new(TracingLayer::call()),
//!         Arc::new(RetryLayer::new(RetryConfig::default().with_attempts_max(5))),
//!         Arc::new(MetricsLayer::attempt(metrics)),
//!         Arc::new(TracingLayer::attempt()),
//!         Arc::new(TimeoutLayer::new(TimeoutConfig::default())),
//!         Arc::new(ContextLayer::new()),
//!     ])
//! }
//! ```

mod audit;
mod context;
mod deadline;
mod metrics;
mod retry;
mod stream;
mod timeout;
mod tracing;

pub use self::metrics::{
    METRICS, MetricDescription, MetricKind, Metrics, MetricsLayer, describe_metrics, publish_utilization,
};
pub use self::tracing::TracingLayer;
pub use audit::*;
pub use context::ContextLayer;
pub use deadline::DeadlineLayer;
pub use retry::{RetryConfig, RetryLayer};
pub use timeout::{TimeoutConfig, TimeoutLayer};
