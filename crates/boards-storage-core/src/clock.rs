//! The one place that reads the wall clock.

use std::fmt::Debug;

use jiff::Timestamp;

/// Tells the time of day. Leases and records take their times from it, so that tests can set it.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{Clock, SystemClock};
///
/// assert!(SystemClock.now() > jiff::Timestamp::UNIX_EPOCH);
/// ```
pub trait Clock: Debug + Send + Sync + 'static {
    /// Returns the present time.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the clock's own room")]
        Timestamp::now()
    }
}
