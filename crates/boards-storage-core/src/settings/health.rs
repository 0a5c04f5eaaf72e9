//! How a long-running application watches its providers and its catalog.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::FriendlyDuration;

/// How a long-running application watches its providers and its catalog. The command line looks once and starts no
/// watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HealthSettings {
    /// Whether they are watched at all.
    pub enabled: bool,
    /// The time between two probes of one of them, a fifth shorter or longer at random: 1s to 1h.
    #[schemars(extend("x-minimum" = "1s", "x-maximum" = "1h"))]
    pub interval: FriendlyDuration,
    /// How long a probe may take, its repeats included: 10ms to 5m.
    #[schemars(extend("x-minimum" = "10ms", "x-maximum" = "5m"))]
    pub timeout: FriendlyDuration,
    /// A probe that takes longer than this makes it `degraded`: 1ms to 5m.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "5m"))]
    pub slow: FriendlyDuration,
    /// After so many failed probes in a row it is `unavailable`; before that, `degraded`: 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub failures_max: u32,
    /// After so many quick probes in a row it is `healthy` again: 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub successes_min: u32,
    /// Whether a probe also writes, reads and deletes a small object, where the provider lists its keys.
    pub canary: bool,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(30).into(),
            timeout: Duration::from_secs(10).into(),
            slow: Duration::from_secs(2).into(),
            failures_max: 3,
            successes_min: 2,
            canary: false,
        }
    }
}
