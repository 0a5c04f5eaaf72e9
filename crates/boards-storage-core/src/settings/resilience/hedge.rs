//! When a slow read is asked for a second time.

use std::time::Duration;

use super::section::section;
use crate::settings::FriendlyDuration;

section! {
    /// When a read whose answer is late is asked for a second time; the first answer wins.
    HedgeSettings {
        /// Whether late reads are asked for twice. Off by default, as it costs the store requests.
        enabled: bool = false,
        /// The second request is sent when so many percent of the last reads of its kind were answered: 50 to 99.
        #[schemars(range(min = 50, max = 99))]
        percentile: u32 = 95,
        /// The reads of a kind that must have been seen before one is asked for twice: 10 to 1,000.
        #[schemars(range(min = 10, max = 1_000))]
        samples_min: u32 = 50,
        /// The shortest wait before the second request: 1ms to 1m.
        #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1m"))]
        delay_min: FriendlyDuration = Duration::from_millis(5).into(),
        /// The longest wait before the second request: 1ms to 10m.
        #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "10m"))]
        delay_max: FriendlyDuration = Duration::from_secs(5).into(),
        /// The second requests, in percent of all reads, that are sent at most: 1 to 5.
        #[schemars(range(min = 1, max = 5))]
        extra_load_percent: u32 = 5,
    }
    /// One provider's differences from the global `resilience.hedge`.
    HedgeOverride
}
