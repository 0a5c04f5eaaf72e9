//! When a provider that fails is left alone for a while.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::section::section;
use crate::settings::FriendlyDuration;

/// Over which calls a circuit breaker takes its rates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakerWindow {
    /// Over the last `window_calls` calls.
    #[default]
    Calls,
    /// Over the calls of the last `window_time`.
    Time,
}

section! {
    /// When a provider that fails is left alone for a while.
    ///
    /// The circuit opens when too many of the calls in the window failed or were slow. While it is open every call but
    /// a probe is refused at once; then a few calls are let through, and what becomes of them closes or opens it.
    BreakerSettings {
        /// Whether there is a circuit breaker at all.
        enabled: bool = true,
        /// Whether the rates are taken over the last `window_calls` calls or over the last `window_time`.
        window: BreakerWindow = BreakerWindow::Calls,
        /// The number of calls in a window of calls: 1 to 10,000.
        #[schemars(range(min = 1, max = 10_000))]
        window_calls: u32 = 100,
        /// The length of a window of time: 1s to 1h.
        #[schemars(extend("x-minimum" = "1s", "x-maximum" = "1h"))]
        window_time: FriendlyDuration = Duration::from_secs(60).into(),
        /// The calls that must be in the window before its rates count: 1 to 10,000.
        #[schemars(range(min = 1, max = 10_000))]
        calls_min: u32 = 10,
        /// The part of failed calls, in percent, that opens the circuit: 1 to 100.
        #[schemars(range(min = 1, max = 100))]
        failure_rate_percent: u32 = 50,
        /// The part of slow calls, in percent, that opens the circuit: 1 to 100.
        #[schemars(range(min = 1, max = 100))]
        slow_rate_percent: u32 = 100,
        /// A call that takes longer is slow: 1ms to 1h. What counts of a transfer is the time to its first byte.
        #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1h"))]
        slow_time: FriendlyDuration = Duration::from_secs(10).into(),
        /// How long an open circuit refuses calls before it lets some through: 1ms to 1h.
        #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1h"))]
        open_time: FriendlyDuration = Duration::from_secs(30).into(),
        /// How many calls a half-open circuit lets through to find out: 1 to 1,000.
        #[schemars(range(min = 1, max = 1_000))]
        half_open_calls: u32 = 5,
    }
    /// One provider's differences from the global `resilience.breaker`.
    BreakerOverride
}
