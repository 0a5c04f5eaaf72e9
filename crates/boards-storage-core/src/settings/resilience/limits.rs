//! How much is asked of a provider at once.

use std::time::Duration;

use super::section::section;
use crate::settings::{ByteSize, FriendlyDuration};

section! {
    /// How much is asked of a provider at once; what exceeds it waits in a bounded queue.
    TrafficSettings {
        /// Whether there are limits at all.
        enabled: bool = true,
        /// The number of calls that run at a time, streams that are still being read included: 1 to 100,000.
        #[schemars(range(min = 1, max = 100_000))]
        concurrency: u32 = 512,
        /// The number of calls that may wait for their turn; one more is refused: 0 to 1,000,000.
        #[schemars(range(min = 0, max = 1_000_000))]
        queue_length: u32 = 1024,
        /// How long a call may wait for its turn; then it is refused: 1ms to 1h.
        #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1h"))]
        queue_time: FriendlyDuration = Duration::from_secs(30).into(),
        /// The number of calls that may begin in a second: 1 to 1,000,000; 0 for no limit.
        #[schemars(range(min = 0, max = 1_000_000))]
        requests_per_second: u32 = 0,
        /// The bytes that uploads may send in a second; 0 for no limit.
        upload_per_second: ByteSize = ByteSize::from_bytes(0),
        /// The bytes that downloads may receive in a second; 0 for no limit.
        download_per_second: ByteSize = ByteSize::from_bytes(0),
    }
    /// One provider's differences from the global `resilience.limits`.
    TrafficOverride
}
