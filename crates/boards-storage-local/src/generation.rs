//! Generations: the names of the states that one key goes through.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

use boards_storage_core::{Clock, ETag, StorageKey, SystemClock};
use jiff::Timestamp;
use rustix::fs::Stat;

const NANOSECONDS: i128 = 1_000_000_000;
/// A file that claims to be from further in the future than this was dated by hand: it does not drag us along.
const FUTURE_NANOSECONDS_MAX: i128 = 24 * 3600 * NANOSECONDS;

/// One state of one key: the payload's modification time, which its writer sets and never repeats, and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation {
    seconds: i64,
    nanoseconds: u32,
    pub(crate) size_bytes: u64,
}

impl Generation {
    /// Reads the generation of a payload.
    #[expect(
        clippy::useless_conversion,
        reason = "the fields' types differ between platforms"
    )]
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            seconds: i64::from(stat.st_mtime),
            nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
            size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
        }
    }

    fn from_nanoseconds(total: i128, size_bytes: u64) -> Self {
        let seconds = i64::try_from(total.div_euclid(NANOSECONDS)).unwrap_or(i64::MAX);
        let nanoseconds = u32::try_from(total.rem_euclid(NANOSECONDS)).unwrap_or(0);
        Self {
            seconds,
            nanoseconds,
            size_bytes,
        }
    }

    fn total_nanoseconds(self) -> i128 {
        i128::from(self.seconds) * NANOSECONDS + i128::from(self.nanoseconds)
    }

    /// Returns the ETag, which is also the end of the sidecar's name.
    pub(crate) fn etag(self) -> ETag {
        ETag::new(self.to_string())
    }

    /// Returns the modification time; `None` if it lies outside of the calendar.
    pub(crate) fn modified(self) -> Option<Timestamp> {
        Timestamp::new(self.seconds, i32::try_from(self.nanoseconds).ok()?).ok()
    }

    /// Returns the modification time as the operating system takes it, leaving the access time alone.
    pub(crate) fn to_times(self) -> rustix::fs::Timestamps {
        let omit = rustix::fs::Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_OMIT,
        };
        let modified = rustix::fs::Timespec {
            tv_sec: self.seconds,
            tv_nsec: i64::from(self.nanoseconds),
        };
        rustix::fs::Timestamps {
            last_access: omit,
            last_modification: modified,
        }
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:x}{:08x}-{:x}",
            self.seconds.cast_unsigned(),
            self.nanoseconds,
            self.size_bytes
        )
    }
}

/// Hands out modification times: the time of day, but never one twice, and in steps that the file system keeps.
#[derive(Debug)]
pub(crate) struct GenerationClock {
    last: AtomicI64,
    step_nanoseconds: i64,
}

impl GenerationClock {
    /// Creates a clock with steps that the file system can tell apart.
    pub(crate) fn new(step_nanoseconds: i64) -> Self {
        Self {
            last: AtomicI64::new(0),
            step_nanoseconds,
        }
    }

    /// Returns a fresh generation.
    pub(crate) fn next(&self, size_bytes: u64) -> Generation {
        let step = self.step_nanoseconds;
        let now = i64::try_from(SystemClock.now().as_nanosecond()).unwrap_or(i64::MAX - step);
        let now = now - now.rem_euclid(step);
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            let next = now.max(last.saturating_add(step));
            match self
                .last
                .compare_exchange_weak(last, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return Generation::from_nanoseconds(i128::from(next), size_bytes),
                Err(other) => last = other,
            }
        }
    }

    /// Returns the generation to use instead of `chosen` over the present one, if `chosen` does not do: a
    /// generation is later than the one that it replaces.
    pub(crate) fn better_than(&self, chosen: Generation, present: Option<Generation>) -> Option<Generation> {
        let present = present?.total_nanoseconds();
        let ours = chosen.total_nanoseconds();
        if ours > present || (present - ours > FUTURE_NANOSECONDS_MAX) {
            return None;
        }
        let step = i128::from(self.step_nanoseconds);
        let next = present - present.rem_euclid(step) + step;
        Some(Generation::from_nanoseconds(next, chosen.size_bytes))
    }
}

/// The hash of a key: the name of its sidecars and the choice of its lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyHash([u8; 16]);

impl KeyHash {
    /// Hashes a key.
    pub(crate) fn of(key: &StorageKey) -> Self {
        let mut hash = [0; 16];
        hash.copy_from_slice(&blake3::hash(key.as_str().as_bytes()).as_bytes()[..16]);
        Self(hash)
    }

    /// Returns the number from which the folder of the sidecars is named.
    pub(crate) fn folder(self) -> u8 {
        self.0[0]
    }

    /// Returns the number from which the lock is chosen.
    pub(crate) fn shard(self) -> u8 {
        self.0[1]
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_repeats_itself() {
        let clock = GenerationClock::new(100);
        let mut last = clock.next(1);
        for _ in 0..10_000 {
            let next = clock.next(1);
            assert!(next.total_nanoseconds() > last.total_nanoseconds());
            assert_eq!(next.nanoseconds % 100, 0);
            last = next;
        }
    }

    #[test]
    fn a_generation_is_later_than_the_one_it_replaces() {
        let clock = GenerationClock::new(1);
        let at = |nanoseconds: i128| Generation::from_nanoseconds(nanoseconds, 7);
        assert_eq!(clock.better_than(at(5), None), None);
        assert_eq!(clock.better_than(at(5), Some(at(4))), None);
        assert_eq!(clock.better_than(at(5), Some(at(5))), Some(at(6)));
        assert_eq!(clock.better_than(at(5), Some(at(900))), Some(at(901)));
        assert_eq!(
            clock.better_than(at(5), Some(at(6 + FUTURE_NANOSECONDS_MAX))),
            None
        );
        assert_eq!(
            GenerationClock::new(100).better_than(at(100), Some(at(250))),
            Some(at(300))
        );
    }

    #[test]
    fn every_time_has_its_own_name() {
        let names = [
            (-1, 1),
            (1, 1),
            (0, 0),
            (NANOSECONDS - 1, 0),
            (NANOSECONDS, 0),
            (1, 2),
        ];
        let names: std::collections::BTreeSet<_> = names
            .iter()
            .map(|(time, size)| Generation::from_nanoseconds(*time, *size).to_string())
            .collect();
        assert_eq!(names.len(), 6);
        assert!(names.contains("ffffffffffffffff3b9ac9ff-1"), "{names:?}");
        let far = Generation {
            seconds: i64::MAX,
            nanoseconds: 0,
            size_bytes: 0,
        };
        assert_eq!(far.modified(), None);
    }
}
