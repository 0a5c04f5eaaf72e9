//! The layers that stand around every provider, one concern each, over every operation; and the sinks of the audit log.
//!
//! The order is picked by whoever builds the [`Stack`](boards_storage_core::Stack), outermost first:
//!
//! ```text
//!  caller
//!    │
//!    ▼
//!  DeadlineLayer            the caller's deadline bounds everything inside, queues and backoff included
//!   └ MetricsLayer::call, TracingLayer::call   what the caller asked for: counted, and a span
//!      └ EncryptionLayer        (feature `encryption`) what the store holds is ciphertext
//!      └ HedgeLayer             asks for a late read a second time
//!         └ RetryLayer            repeats what can help, settles lost answers, resumes broken streams
//!            └ BreakerLayer         leaves a store that fails alone
//!               └ LimitsLayer         gives permits, and a place in a bounded queue
//!                  └ MetricsLayer::attempt, TracingLayer::attempt   each thing that is sent: counted, and a span
//!                     └ TimeoutLayer          bounds one attempt: by total time, or by idle time where bytes move
//!                        └ ContextLayer         says in every error which operation, key and provider it was
//!                           │
//!                           ▼
//!                        provider
//! ```
//!
//! Why so: the deadline must cover the waits of a retry and of the queue; a hedged request is a call of its own; a backoff
//! must hold no permit, and every attempt must count, so breaker and limits stand inside the retry; what the breaker
//! refuses must not queue; every attempt must have its own clock, which starts with its permit; a stream that is returned
//! stays wrapped by each of them until it ends.
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
//!     BreakerConfig, BreakerLayer, ContextLayer, DeadlineLayer, LimitsConfig, LimitsLayer, Metrics, MetricsLayer,
//!     RetryConfig, RetryLayer, TimeoutConfig, TimeoutLayer, TracingLayer,
//! };
//!
//! fn with_layers(provider: SharedProvider, metrics: &Metrics) -> Stack {
//!     Stack::new("main", provider, vec![
//!         Arc::new(DeadlineLayer::new()),
//!         Arc::new(MetricsLayer::call(metrics)),
//!         Arc::new(TracingLayer::call()),
//!         Arc::new(RetryLayer::new(RetryConfig::default().with_attempts_max(5))),
//!         Arc::new(BreakerLayer::new(&BreakerConfig::default())),
//!         Arc::new(LimitsLayer::new(LimitsConfig::default().with_concurrency(64))),
//!         Arc::new(MetricsLayer::attempt(metrics)),
//!         Arc::new(TracingLayer::attempt()),
//!         Arc::new(TimeoutLayer::new(TimeoutConfig::default())),
//!         Arc::new(ContextLayer::new()),
//!     ])
//! }
//! ```

mod audit;
mod breaker;
mod context;
mod deadline;
#[cfg(feature = "encryption")]
mod encryption;
mod hedge;
mod limits;
mod metrics;
mod own_wait;
mod refusal;
mod retry;
mod stream;
mod timeout;
mod tracing;

pub use self::metrics::{
    LatencyHistogram, METRICS, MetricDescription, MetricKind, Metrics, MetricsLayer, describe_metrics,
    publish_utilization,
};
pub use self::tracing::TracingLayer;
pub use audit::*;
pub use breaker::{BreakerConfig, BreakerHandle, BreakerLayer, BreakerSpan};
pub use context::ContextLayer;
pub use deadline::DeadlineLayer;
#[cfg(feature = "encryption")]
pub use encryption::{
    EncryptionHeader, EncryptionLayer, FileTenantKeyStore, KeyProvider, Keyring, MemoryTenantKeyStore,
    Rewrapped, SecretKey, TenantKeyGeneration, TenantKeyRecord, TenantKeyStore, TenantKeys, WrappedKey,
};
pub use hedge::{HedgeConfig, HedgeLayer};
pub use limits::{LimitsConfig, LimitsLayer};
pub use refusal::Refusal;
pub use retry::{RetryConfig, RetryLayer};
pub use timeout::{TimeoutConfig, TimeoutLayer};
