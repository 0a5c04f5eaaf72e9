//! How long things took: counts in the layout of an HDR histogram, in atomics.
//!
//! `hdrhistogram` records behind `&mut`, or by a recorder for each thread. Here any thread adds by one atomic
//! increment, and a snapshot is handed to `hdrhistogram`, which answers the percentiles.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use boards_storage_core::LatencyPercentiles;
use hdrhistogram::Histogram;

/// The shortest time that is told from others, in nanoseconds.
const LOWEST: u64 = 64;
/// The longest time that is told from longer ones, in nanoseconds: one hour.
const HIGHEST: u64 = 3_600_000_000_000;
/// Two significant decimal digits: a percentile is off by less than one part in a hundred.
const DIGITS: u8 = 2;

// What follows from the three above, as `hdrhistogram` derives it; a test compares.
const UNIT_MAGNITUDE: u32 = LOWEST.ilog2();
const SUB_BUCKETS_MAGNITUDE: u32 = 8;
const SUB_BUCKETS_HALF: u64 = 1 << (SUB_BUCKETS_MAGNITUDE - 1);
const SUB_BUCKETS_MASK: u64 = ((1 << SUB_BUCKETS_MAGNITUDE) - 1) << UNIT_MAGNITUDE;
const PLACES: usize = index_of(HIGHEST) + 1;

/// Returns where a time is counted.
const fn index_of(nanoseconds: u64) -> usize {
    let bits = 64 - UNIT_MAGNITUDE - SUB_BUCKETS_MAGNITUDE;
    let bucket = bits - (nanoseconds | SUB_BUCKETS_MASK).leading_zeros();
    let index = (bucket as u64) * SUB_BUCKETS_HALF + (nanoseconds >> (bucket + UNIT_MAGNITUDE));
    #[expect(clippy::cast_possible_truncation, reason = "there are a few thousand places")]
    {
        index as usize
    }
}

/// Returns the shortest time that is counted there.
fn lowest_at(index: usize) -> u64 {
    let index = index as u64;
    let bucket = (index / SUB_BUCKETS_HALF).saturating_sub(1);
    (index - bucket * SUB_BUCKETS_HALF) << (bucket + u64::from(UNIT_MAGNITUDE))
}

/// Times that were measured. Its memory is bounded, some 30 KiB, whatever is recorded.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use boards_storage_layers::LatencyHistogram;
///
/// let times = LatencyHistogram::default();
/// times.record(Duration::from_millis(20));
/// assert_eq!(times.percentiles().map(|found| found.count), Some(1));
/// ```
#[derive(Debug)]
pub struct LatencyHistogram {
    counts: Box<[AtomicU64]>,
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self {
            counts: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl LatencyHistogram {
    /// Adds a time. One over an hour counts as an hour.
    pub fn record(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).map_or(HIGHEST, |exact| exact.min(HIGHEST));
        self.counts[index_of(nanoseconds)].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the percentiles of what was recorded, right to a hundredth; `None` if nothing was.
    #[must_use]
    pub fn percentiles(&self) -> Option<LatencyPercentiles> {
        let mut histogram = histogram();
        for (index, count) in self.counts.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                histogram.saturating_record_n(lowest_at(index), count);
            }
        }
        let percentile = |percent| Duration::from_nanos(histogram.value_at_percentile(percent));
        (!histogram.is_empty()).then(|| LatencyPercentiles::from_percentiles(histogram.len(), percentile))
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(LOWEST, HIGHEST, DIGITS).expect("the bounds are in order, the digits are few")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_place(nanoseconds: u64) {
        let histogram = histogram();
        let lowest = lowest_at(index_of(nanoseconds));
        assert_eq!(lowest, histogram.lowest_equivalent(nanoseconds), "{nanoseconds}");
    }

    #[test]
    fn places_are_those_of_hdrhistogram() {
        for power in 0..42 {
            for near in [-1_i64, 0, 1] {
                let value = (1_u64 << power).saturating_add_signed(near);
                check_place(value.min(HIGHEST));
            }
        }
        for value in [0, 100, 12_345, 999_999_999, HIGHEST - 1, HIGHEST] {
            check_place(value);
        }
        for index in 0..PLACES {
            assert_eq!(index_of(lowest_at(index)), index);
        }
        assert!(PLACES <= histogram().distinct_values());
    }

    #[test]
    fn percentiles_are_right_to_a_hundredth() {
        let latencies = LatencyHistogram::default();
        assert_eq!(latencies.percentiles(), None);
        for milliseconds in 1..=1000 {
            latencies.record(Duration::from_millis(milliseconds));
        }
        let found = latencies.percentiles().expect("recorded");
        assert_eq!(found.count, 1000);
        for (time, expected) in [
            (found.p50, 0.5),
            (found.p90, 0.9),
            (found.p99, 0.99),
            (found.p99_9, 0.999),
        ] {
            let off = (time.as_secs_f64() - expected).abs() / expected;
            assert!(off < 0.01, "{time:?} for {expected}");
        }
    }

    #[test]
    fn a_time_beyond_the_bounds_is_counted_at_the_edge() {
        let latencies = LatencyHistogram::default();
        latencies.record(Duration::ZERO);
        latencies.record(Duration::MAX);
        let found = latencies.percentiles().expect("recorded");
        assert_eq!(found.count, 2);
        assert!(found.p50 < Duration::from_nanos(LOWEST));
        assert!(found.p99_9 >= Duration::from_hours(1));
    }
}
