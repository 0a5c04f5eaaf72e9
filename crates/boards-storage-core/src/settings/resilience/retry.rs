//! Whether and how a failed call is repeated.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::FriendlyDuration;

/// Whether and how a failed call is repeated.
///
/// The wait before the next attempt doubles from `delay_initial` up to `delay_max`, shortened at random; a store that
/// names its own wait is obeyed. The circuit breaker is waited for no longer than that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RetrySettings {
    /// Whether failed calls are repeated at all.
    pub enabled: bool,
    /// The number of attempts, the first included: 1 to 20.
    #[schemars(range(min = 1, max = 20))]
    pub attempts_max: u32,
    /// The wait before the second attempt: 1ms to 1m.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1m"))]
    pub delay_initial: FriendlyDuration,
    /// The longest wait between two attempts: 1ms to 10m.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "10m"))]
    pub delay_max: FriendlyDuration,
    /// No attempt begins later than this after the first: 1ms to 24h.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "24h"))]
    pub time_max: FriendlyDuration,
    /// How often one stream is taken up where it broke, a download at its byte and a listing after its last name: 0 to
    /// 10,000.
    #[schemars(range(min = 0, max = 10_000))]
    pub resumes_max: u32,
    /// How many repeats all calls of a provider may spend together, so that an outage is not made worse.
    pub budget: RetryBudgetSettings,
}

/// How many repeats all calls of one provider may spend together.
///
/// The budget begins full. A repeat takes 14 tokens, one after throttling 5; a success gives 1 back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RetryBudgetSettings {
    /// Whether there is a budget; without one only `attempts_max` and `time_max` bound the repeats.
    pub enabled: bool,
    /// The tokens that a full budget holds: 1 to 1,000,000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub tokens_max: u32,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            enabled: true,
            attempts_max: 3,
            delay_initial: Duration::from_millis(100).into(),
            delay_max: Duration::from_secs(20).into(),
            time_max: Duration::from_secs(120).into(),
            resumes_max: 100,
            budget: RetryBudgetSettings::default(),
        }
    }
}

impl Default for RetryBudgetSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            tokens_max: 500,
        }
    }
}

/// One provider's differences from the global `resilience.retry`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RetryOverride {
    /// Whether failed calls are repeated at all.
    pub enabled: Option<bool>,
    /// The number of attempts, the first included: 1 to 20.
    #[schemars(range(min = 1, max = 20))]
    pub attempts_max: Option<u32>,
    /// The wait before the second attempt: 1ms to 1m.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1m"))]
    pub delay_initial: Option<FriendlyDuration>,
    /// The longest wait between two attempts: 1ms to 10m.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "10m"))]
    pub delay_max: Option<FriendlyDuration>,
    /// No attempt begins later than this after the first: 1ms to 24h.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "24h"))]
    pub time_max: Option<FriendlyDuration>,
    /// How often one stream is taken up where it broke: 0 to 10,000.
    #[schemars(range(min = 0, max = 10_000))]
    pub resumes_max: Option<u32>,
    /// How many repeats all calls of the provider may spend together.
    pub budget: Option<RetryBudgetOverride>,
}

/// One provider's differences from the global `resilience.retry.budget`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RetryBudgetOverride {
    /// Whether there is a budget.
    pub enabled: Option<bool>,
    /// The tokens that a full budget holds: 1 to 1,000,000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub tokens_max: Option<u32>,
}

impl RetrySettings {
    /// Returns these settings with one provider's differences applied.
    #[must_use]
    pub fn overridden_by(&self, differences: Option<&RetryOverride>) -> Self {
        let own = differences.cloned().unwrap_or_default();
        let budget = own.budget.unwrap_or_default();
        Self {
            enabled: own.enabled.unwrap_or(self.enabled),
            attempts_max: own.attempts_max.unwrap_or(self.attempts_max),
            delay_initial: own.delay_initial.unwrap_or(self.delay_initial),
            delay_max: own.delay_max.unwrap_or(self.delay_max),
            time_max: own.time_max.unwrap_or(self.time_max),
            resumes_max: own.resumes_max.unwrap_or(self.resumes_max),
            budget: RetryBudgetSettings {
                enabled: budget.enabled.unwrap_or(self.budget.enabled),
                tokens_max: budget.tokens_max.unwrap_or(self.budget.tokens_max),
            },
        }
    }
}
