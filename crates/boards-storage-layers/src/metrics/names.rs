//! The names of the metrics, their labels and what they mean: the one list that dashboards and alerts are held to.

use boards_storage_core::MetricLevel;
use metrics::Unit;

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It only rises.
    Counter,
    /// It rises and falls.
    Gauge,
    /// It counts values by size.
    Histogram,
}

/// A metric that this crate gives to the `metrics` facade.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MetricDescription {
    /// Its name.
    pub name: &'static str,
    /// How it behaves.
    pub kind: MetricKind,
    /// Its labels. Their values are names of providers, operations, outcomes, directions and types, never a key, a
    /// tenant, a URL or a message.
    pub labels: &'static [&'static str],
    /// What it means, in a sentence.
    pub help: &'static str,
    unit: Unit,
}

/// The names of what is measured on one level.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) duration: &'static str,
    pub(super) answer: &'static str,
    pub(super) bytes: &'static str,
    pub(super) inflight: &'static str,
}

const CALL: Names = Names {
    duration: "boards_storage_operation_duration_seconds",
    answer: "boards_storage_operation_answer_seconds",
    bytes: "boards_storage_bytes_total",
    inflight: "boards_storage_inflight",
};

const ATTEMPT: Names = Names {
    duration: "boards_storage_attempt_duration_seconds",
    answer: "boards_storage_attempt_answer_seconds",
    bytes: "boards_storage_attempt_bytes_total",
    inflight: "boards_storage_attempt_inflight",
};

pub(super) const RETRIES: &str = "boards_storage_retries_total";
/// The gauge of a circuit's state: 0 closed, 1 half-open, 2 open.
pub(crate) const CIRCUIT: &str = "boards_storage_circuit_state";
pub(super) const STORED_BYTES: &str = "boards_storage_stored_bytes";
pub(super) const STORED_OBJECTS: &str = "boards_storage_stored_objects";

pub(super) fn of(level: MetricLevel) -> &'static Names {
    match level {
        MetricLevel::Call => &CALL,
        MetricLevel::Attempt => &ATTEMPT,
    }
}

/// Every metric.
pub const METRICS: &[MetricDescription] = &[
    MetricDescription {
        name: CALL.duration,
        kind: MetricKind::Histogram,
        labels: &["provider", "op", "outcome"],
        help: "How long operations took, repeats and waits included; with a returned stream, until its end.",
        unit: Unit::Seconds,
    },
    MetricDescription {
        name: CALL.answer,
        kind: MetricKind::Histogram,
        labels: &["provider", "op"],
        help: "How long operations took until their stream could be read; only operations that return one.",
        unit: Unit::Seconds,
    },
    MetricDescription {
        name: CALL.bytes,
        kind: MetricKind::Counter,
        labels: &["provider", "op", "direction"],
        help: "Object bytes that callers stored (in) and read (out).",
        unit: Unit::Bytes,
    },
    MetricDescription {
        name: CALL.inflight,
        kind: MetricKind::Gauge,
        labels: &["provider", "op"],
        help: "Operations that run at the moment, with their streams.",
        unit: Unit::Count,
    },
    MetricDescription {
        name: ATTEMPT.duration,
        kind: MetricKind::Histogram,
        labels: &["provider", "op", "outcome"],
        help: "How long single attempts at the store took; with a returned stream, until its end.",
        unit: Unit::Seconds,
    },
    MetricDescription {
        name: ATTEMPT.answer,
        kind: MetricKind::Histogram,
        labels: &["provider", "op"],
        help: "How long attempts took until their stream could be read; only operations that return one.",
        unit: Unit::Seconds,
    },
    MetricDescription {
        name: ATTEMPT.bytes,
        kind: MetricKind::Counter,
        labels: &["provider", "op", "direction"],
        help: "Object bytes that moved to (in) and from (out) the store, repeats and failures included.",
        unit: Unit::Bytes,
    },
    MetricDescription {
        name: ATTEMPT.inflight,
        kind: MetricKind::Gauge,
        labels: &["provider", "op"],
        help: "Attempts that run at the moment, with their streams.",
        unit: Unit::Count,
    },
    MetricDescription {
        name: RETRIES,
        kind: MetricKind::Counter,
        labels: &["provider", "op"],
        help: "Attempts that were not the first of their operation, resumed streams included.",
        unit: Unit::Count,
    },
    MetricDescription {
        name: CIRCUIT,
        kind: MetricKind::Gauge,
        labels: &["provider"],
        help: "Whether the circuit breaker lets calls through: 0 closed, 1 half-open, 2 open.",
        unit: Unit::Count,
    },
    MetricDescription {
        name: STORED_BYTES,
        kind: MetricKind::Gauge,
        labels: &["provider", "type"],
        help: "Bytes of all artifacts in the catalog, old versions included.",
        unit: Unit::Bytes,
    },
    MetricDescription {
        name: STORED_OBJECTS,
        kind: MetricKind::Gauge,
        labels: &["provider", "type"],
        help: "Objects of all artifacts in the catalog, old versions included.",
        unit: Unit::Count,
    },
];

/// Tells the recorder of the `metrics` facade what each metric means.
///
/// # Examples
///
/// ```
/// // After the application has installed a recorder.
/// boards_storage_layers::describe_metrics();
/// ```
pub fn describe_metrics() {
    for metric in METRICS {
        let MetricDescription { name, help, unit, .. } = *metric;
        match metric.kind {
            MetricKind::Counter => metrics::describe_counter!(name, unit, help),
            MetricKind::Gauge => metrics::describe_gauge!(name, unit, help),
            MetricKind::Histogram => metrics::describe_histogram!(name, unit, help),
        }
    }
}
