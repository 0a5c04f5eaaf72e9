//! How long a call may take.

use std::time::Duration;

use super::section::section;
use crate::settings::{ByteSize, FriendlyDuration};

section! {
    /// How long one attempt of a call may take, from the moment on when the limits let it through.
    TimeoutSettings {
        /// Whether there are timeouts at all.
        enabled: bool = true,
        /// The time for one whole call that moves no content, such as metadata or delete: 1ms to 1h.
        #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1h"))]
        control: FriendlyDuration = Duration::from_secs(30).into(),
        /// The time for one whole call that makes the store itself move bytes, such as a copy or the joining of parts:
        /// 1ms to 24h.
        #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "24h"))]
        bulk: FriendlyDuration = Duration::from_mins(10).into(),
        /// The time in which a transfer must move at least one byte: 1ms to 1h.
        #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1h"))]
        idle: FriendlyDuration = Duration::from_secs(30).into(),
        /// The bytes in a second that an upload of bytes at hand must send: it has `idle`, and the time that its size
        /// takes at this rate, as nobody sees it flow.
        upload_per_second_min: ByteSize = ByteSize::from_bytes(64 << 10),
    }
    /// One provider's differences from the global `resilience.timeout`.
    TimeoutOverride
}
