//! What is counted of one operation of one provider on one level.
//!
//! Everything is made once, at its first use, and then only incremented: no lock, no lookup, no allocation.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use boards_storage_core::{
    BytesKey, Direction, EndKind, LatencyKey, LatencySpan, OperationsKey, SeriesKey, StorageMetrics,
};
use metrics::{Counter, Gauge, Histogram, SharedString};

use super::latency::LatencyHistogram;
use super::names::{self, Names};

/// Counts one operation of one provider on one level.
#[derive(Debug)]
pub(super) struct Series {
    key: SeriesKey,
    names: &'static Names,
    in_flight: AtomicU64,
    in_flight_gauge: Gauge,
    retries: OnceLock<Counter>,
    ends: [OnceLock<End>; EndKind::COUNT],
    bytes: [OnceLock<Bytes>; Direction::ALL.len()],
    answers: LatencyHistogram,
    /// Made when the first stream is returned.
    streams: OnceLock<Streams>,
}

/// One way of ending.
#[derive(Debug)]
struct End {
    count: AtomicU64,
    durations: Histogram,
}

#[derive(Debug)]
struct Bytes {
    count: AtomicU64,
    counter: Counter,
}

#[derive(Debug)]
struct Streams {
    latencies: LatencyHistogram,
    answers: Histogram,
}

impl Series {
    pub(super) fn new(key: SeriesKey) -> Self {
        let names = names::of(key.level);
        let [provider, op] = labels(&key);
        Self {
            names,
            in_flight: AtomicU64::new(0),
            in_flight_gauge: metrics::gauge!(names.inflight, "provider" => provider, "op" => op),
            retries: OnceLock::new(),
            ends: [const { OnceLock::new() }; EndKind::COUNT],
            bytes: [const { OnceLock::new() }; Direction::ALL.len()],
            answers: LatencyHistogram::default(),
            streams: OnceLock::new(),
            key,
        }
    }

    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.in_flight_gauge.increment(1);
    }

    /// Counts that the operation is over, however it ended.
    pub(super) fn end(&self, end: EndKind, time: Duration) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.in_flight_gauge.decrement(1);
        let ended = self.ends[end.index()].get_or_init(|| {
            let [provider, op] = labels(&self.key);
            End {
                count: AtomicU64::new(0),
                durations: metrics::histogram!(
                    self.names.duration, "provider" => provider, "op" => op, "outcome" => end.name()
                ),
            }
        });
        ended.count.fetch_add(1, Ordering::Relaxed);
        ended.durations.record(time);
    }

    /// Measures the time until the call had returned.
    pub(super) fn answered(&self, time: Duration) {
        self.answers.record(time);
    }

    /// Measures the time until the call had returned a stream.
    pub(super) fn stream_answered(&self, time: Duration) {
        self.answers.record(time);
        self.streams().answers.record(time);
    }

    /// Measures the time until a returned stream had ended.
    pub(super) fn stream_ended(&self, time: Duration) {
        self.streams().latencies.record(time);
    }

    fn streams(&self) -> &Streams {
        self.streams.get_or_init(|| {
            let [provider, op] = labels(&self.key);
            Streams {
                latencies: LatencyHistogram::default(),
                answers: metrics::histogram!(self.names.answer, "provider" => provider, "op" => op),
            }
        })
    }

    pub(super) fn moved(&self, direction: Direction, size_bytes: u64) {
        let bytes = self.bytes[direction as usize].get_or_init(|| {
            let [provider, op] = labels(&self.key);
            Bytes {
                count: AtomicU64::new(0),
                counter: metrics::counter!(
                    self.names.bytes, "provider" => provider, "op" => op, "direction" => direction.name()
                ),
            }
        });
        bytes.count.fetch_add(size_bytes, Ordering::Relaxed);
        bytes.counter.increment(size_bytes);
    }

    pub(super) fn repeated(&self) {
        let counter = self.retries.get_or_init(|| {
            let [provider, op] = labels(&self.key);
            metrics::counter!(names::RETRIES, "provider" => provider, "op" => op)
        });
        counter.increment(1);
    }

    /// Writes the figures of this moment.
    pub(super) fn write(&self, metrics: &mut StorageMetrics) {
        let (mut answered, mut failed) = (0, 0);
        for end in EndKind::all() {
            let Some(ended) = self.ends[end.index()].get() else {
                continue;
            };
            let count = ended.count.load(Ordering::Relaxed);
            let key = OperationsKey::new(self.key.clone(), end);
            metrics.operations_count.insert(key, count);
            if end != EndKind::Cancelled {
                answered += count;
            }
            if end.is_failure() {
                failed += count;
            }
        }
        if answered > 0 {
            let rate = failed as f64 / answered as f64;
            metrics.error_rates.insert(self.key.clone(), rate);
        }
        for direction in Direction::ALL {
            if let Some(bytes) = self.bytes[direction as usize].get() {
                let key = BytesKey {
                    series: self.key.clone(),
                    direction,
                };
                let count = bytes.count.load(Ordering::Relaxed);
                metrics.bytes_transferred.insert(key, count);
            }
        }
        let streams = self.streams.get().map(|streams| &streams.latencies);
        for (span, latencies) in [
            (LatencySpan::Answer, Some(&self.answers)),
            (LatencySpan::Stream, streams),
        ] {
            if let Some(percentiles) = latencies.and_then(LatencyHistogram::percentiles) {
                let key = LatencyKey {
                    series: self.key.clone(),
                    span,
                };
                metrics.latency_percentiles.insert(key, percentiles);
            }
        }
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        if in_flight > 0 {
            metrics.in_flight.insert(self.key.clone(), in_flight);
        }
    }
}

/// The values of the labels `provider` and `op`.
fn labels(key: &SeriesKey) -> [SharedString; 2] {
    [
        SharedString::from_owned(key.provider.clone()),
        SharedString::const_str(key.operation.name()),
    ]
}
