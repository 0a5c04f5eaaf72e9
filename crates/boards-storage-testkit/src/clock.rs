//! A clock that stands still until a test moves it.

use std::time::Duration;

use boards_storage_core::Clock;
use jiff::Timestamp;
use parking_lot::Mutex;

/// A clock that a test sets and moves.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use boards_storage_core::Clock;
/// use boards_storage_testkit::ManualClock;
///
/// let clock = ManualClock::default();
/// let start = clock.now();
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(clock.now().as_second() - start.as_second(), 90);
/// ```
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// Creates a clock that stands at `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self(Mutex::new(start))
    }

    /// Sets the time, forwards or back.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock() = now;
    }

    /// Moves the time forwards.
    ///
    /// # Panics
    ///
    /// If the time would leave the range of [`Timestamp`].
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock();
        *now = now
            .checked_add(by)
            .expect("a test stays within the range of time stamps");
    }
}

impl Default for ManualClock {
    /// Stands at 2026-01-01 00:00 UTC.
    fn default() -> Self {
        Self::new(Timestamp::constant(1_767_225_600, 0))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}
