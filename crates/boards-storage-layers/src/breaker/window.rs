//! What became of the last calls: the last so many, or those of the last so much time.

use std::time::Duration;

/// The parts of a window of time; the oldest part leaves it as a whole.
pub(super) const BUCKETS: usize = 30;

/// What became of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) is_failure: bool,
    pub(super) is_slow: bool,
}

/// How many calls there were, and how many of them failed or were slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) calls: u64,
    pub(super) failures: u64,
    pub(super) slow: u64,
}

impl Counts {
    pub(super) fn add(&mut self, sample: Sample) {
        self.calls += 1;
        self.failures += u64::from(sample.is_failure);
        self.slow += u64::from(sample.is_slow);
    }

    fn remove(&mut self, sample: Sample) {
        self.calls -= 1;
        self.failures -= u64::from(sample.is_failure);
        self.slow -= u64::from(sample.is_slow);
    }

    fn remove_all(&mut self, other: Self) {
        self.calls -= other.calls;
        self.failures -= other.failures;
        self.slow -= other.slow;
    }
}

/// Over which calls the rates are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WindowSize {
    Calls(usize),
    Time(Duration),
}

/// The samples of a window and their sums. It allocates nothing after it was made.
#[derive(Debug)]
pub(super) struct Window {
    samples: Samples,
    counts: Counts,
}

#[derive(Debug)]
enum Samples {
    /// A ring; `next` is the oldest once all are used.
    Calls {
        ring: Box<[Sample]>,
        used: usize,
        next: usize,
    },
    /// A ring of the sums of `width` each; `current` counts them from the beginning of time on.
    Time {
        ring: Box<[Counts; BUCKETS]>,
        width: Duration,
        current: u64,
    },
}

impl Window {
    /// Creates an empty window. A size of nothing counts as the smallest.
    pub(super) fn new(size: WindowSize) -> Self {
        let samples = match size {
            WindowSize::Calls(calls) => Samples::Calls {
                ring: vec![Sample::default(); calls.max(1)].into(),
                used: 0,
                next: 0,
            },
            WindowSize::Time(time) => Samples::Time {
                ring: Box::new([Counts::default(); BUCKETS]),
                width: (time / u32::try_from(BUCKETS).unwrap_or(u32::MAX)).max(Duration::from_nanos(1)),
                current: 0,
            },
        };
        Self {
            samples,
            counts: Counts::default(),
        }
    }

    /// Takes a call in, lets go of what is too old, and returns the sums.
    pub(super) fn add(&mut self, now: Duration, sample: Sample) -> Counts {
        match &mut self.samples {
            Samples::Calls { ring, used, next } => {
                if *used == ring.len() {
                    self.counts.remove(ring[*next]);
                } else {
                    *used += 1;
                }
                ring[*next] = sample;
                *next = (*next + 1) % ring.len();
            }
            Samples::Time { ring, width, current } => {
                let bucket = u64::try_from(now.as_nanos() / width.as_nanos()).unwrap_or(u64::MAX);
                let passed = bucket.saturating_sub(*current);
                // Whoever is late, as another thread was faster, is counted in the present bucket.
                *current = bucket.max(*current);
                for back in 0..passed.min(BUCKETS as u64) {
                    let left = std::mem::take(&mut ring[index(*current - back)]);
                    self.counts.remove_all(left);
                }
                ring[index(*current)].add(sample);
            }
        }
        self.counts.add(sample);
        self.counts
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.counts = Counts::default();
        match &mut self.samples {
            Samples::Calls { used, next, .. } => (*used, *next) = (0, 0),
            Samples::Time { ring, .. } => **ring = [Counts::default(); BUCKETS],
        }
    }
}

fn index(bucket: u64) -> usize {
    usize::try_from(bucket % BUCKETS as u64).expect("it is less than the number of buckets")
}
