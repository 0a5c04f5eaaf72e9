//! How long the last reads took, by kind, and what is late compared with them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use boards_storage_core::{OperationKind, Outcome, Result};
use tokio::time::Instant;

/// How many reads of a kind are remembered.
const SAMPLES_MAX: usize = 1000;

/// After how many more reads the percentile is taken anew.
const FRESH_MAX: usize = 16;

const HEDGED: [OperationKind; 5] = [
    OperationKind::Download,
    OperationKind::Metadata,
    OperationKind::Exists,
    OperationKind::List,
    OperationKind::ListParts,
];

/// Returns whether reads of this kind are asked for twice.
pub(super) fn is_hedged(kind: OperationKind) -> bool {
    HEDGED.contains(&kind)
}

/// The latencies of all kinds.
#[derive(Debug)]
pub(super) struct Latencies {
    kinds: [Latency; HEDGED.len()],
    percentile: usize,
    samples_min: usize,
}

/// The latencies of one kind.
#[derive(Debug, Default)]
struct Latency {
    /// Nanoseconds; 0 while too few were seen. Read by every call, so it is no part of what is locked.
    late: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// A ring once it is full.
    nanoseconds: Vec<u64>,
    next: usize,
    fresh: usize,
    sorted: Vec<u64>,
}

impl Latencies {
    pub(super) fn new(percentile: u32, samples_min: u32) -> Self {
        Self {
            kinds: Default::default(),
            percentile: usize::try_from(percentile.min(99)).unwrap_or(99),
            samples_min: usize::try_from(samples_min)
                .unwrap_or(SAMPLES_MAX)
                .clamp(1, SAMPLES_MAX),
        }
    }

    /// Returns how long a read takes that is late; `None` while too few were seen.
    pub(super) fn late(&self, kind: OperationKind) -> Option<Duration> {
        match self.of(kind)?.late.load(Ordering::Relaxed) {
            0 => None,
            nanoseconds => Some(Duration::from_nanos(nanoseconds)),
        }
    }

    /// Remembers how long a read took that succeeded.
    pub(super) fn note(&self, kind: OperationKind, started: Instant, result: &Result<Outcome>) {
        if result.is_ok() {
            self.add(kind, started.elapsed());
        }
    }

    /// Remembers how long a read took.
    pub(super) fn add(&self, kind: OperationKind, time: Duration) {
        let Some(latency) = self.of(kind) else { return };
        let mut seen = latency.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // 0 stands for "not known".
        seen.push(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1));
        let is_first = latency.late.load(Ordering::Relaxed) == 0;
        if seen.nanoseconds.len() >= self.samples_min && (is_first || seen.fresh >= FRESH_MAX) {
            latency
                .late
                .store(seen.percentile(self.percentile), Ordering::Relaxed);
        }
    }

    fn of(&self, kind: OperationKind) -> Option<&Latency> {
        let index = HEDGED.iter().position(|hedged| *hedged == kind)?;
        self.kinds.get(index)
    }
}

impl Seen {
    fn push(&mut self, nanoseconds: u64) {
        self.fresh += 1;
        if self.nanoseconds.len() < SAMPLES_MAX {
            self.nanoseconds.push(nanoseconds);
            return;
        }
        self.nanoseconds[self.next] = nanoseconds;
        self.next = (self.next + 1) % SAMPLES_MAX;
    }

    /// Returns the smallest time that at least so many percent of the reads did not exceed.
    fn percentile(&mut self, percent: usize) -> u64 {
        self.fresh = 0;
        self.sorted.clone_from(&self.nanoseconds);
        let rank = (self.sorted.len() * percent).div_ceil(100).max(1) - 1;
        *self.sorted.select_nth_unstable(rank).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(percentile: u32, samples_min: u32, milliseconds: impl Iterator<Item = u64>, late: Option<u64>) {
        let latencies = Latencies::new(percentile, samples_min);
        for time in milliseconds {
            latencies.add(OperationKind::Metadata, Duration::from_millis(time));
        }
        let late = late.map(Duration::from_millis);
        assert_eq!(latencies.late(OperationKind::Metadata), late);
        assert_eq!(latencies.late(OperationKind::Download), None);
    }

    #[test]
    fn late_is_what_so_many_percent_did_not_exceed() {
        check(95, 100, 1..=99, None);
        check(95, 100, 1..=100, Some(95));
        check(50, 100, (1..=100).rev(), Some(50));
        check(99, 10, std::iter::repeat_n(7, 10), Some(7));
        // Taken anew after 16 more.
        check(95, 100, (1..=100).chain(std::iter::repeat_n(1000, 15)), Some(95));
        check(
            95,
            100,
            (1..=100).chain(std::iter::repeat_n(1000, 16)),
            Some(1000),
        );
    }

    #[test]
    fn only_the_last_reads_are_remembered() {
        let old = std::iter::repeat_n(1000, SAMPLES_MAX);
        check(95, 10, old.chain(std::iter::repeat_n(1, SAMPLES_MAX)), Some(1));
    }
}
