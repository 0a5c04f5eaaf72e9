//! How failures are met: retries and timeouts, for all providers and for one.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::FriendlyDuration;

/// Retries and timeouts of every provider that does not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ResilienceSettings {
    /// Whether and how a failed call is repeated.
    pub retry: RetrySettings,
    /// How long a call may take.
    pub timeout: TimeoutSettings,
}

/// Whether and how a failed call is repeated.
///
/// The wait before the next attempt doubles from `delay_initial` up to `delay_max`, shortened at random; a store that
/// names its own wait is obeyed.
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

/// How long a call may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TimeoutSettings {
    /// Whether there are timeouts at all.
    pub enabled: bool,
    /// The time for one whole call that moves no content, such as metadata or delete: 1ms to 1h.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1h"))]
    pub control: FriendlyDuration,
    /// The time in which a transfer must move at least one byte: 1ms to 1h.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1h"))]
    pub idle: FriendlyDuration,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            enabled: true,
            attempts_max: 3,
            delay_initial: Duration::from_millis(100).into(),
            delay_max: Duration::from_secs(20).into(),
            time_max: Duration::from_secs(120).into(),
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

impl Default for TimeoutSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            control: Duration::from_secs(30).into(),
            idle: Duration::from_secs(30).into(),
        }
    }
}

/// What one provider does differently; everything left out is as in the global `resilience`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ResilienceOverride {
    /// Whether and how a failed call is repeated.
    pub retry: Option<RetryOverride>,
    /// How long a call may take.
    pub timeout: Option<TimeoutOverride>,
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

/// One provider's differences from the global `resilience.timeout`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TimeoutOverride {
    /// Whether there are timeouts at all.
    pub enabled: Option<bool>,
    /// The time for one whole call that moves no content: 1ms to 1h.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1h"))]
    pub control: Option<FriendlyDuration>,
    /// The time in which a transfer must move at least one byte: 1ms to 1h.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1h"))]
    pub idle: Option<FriendlyDuration>,
}

impl ResilienceSettings {
    /// Returns these settings with one provider's differences applied.
    #[must_use]
    pub fn overridden_by(&self, differences: &ResilienceOverride) -> Self {
        let retry = differences.retry.clone().unwrap_or_default();
        let budget = retry.budget.unwrap_or_default();
        let timeout = differences.timeout.clone().unwrap_or_default();
        Self {
            retry: RetrySettings {
                enabled: retry.enabled.unwrap_or(self.retry.enabled),
                attempts_max: retry.attempts_max.unwrap_or(self.retry.attempts_max),
                delay_initial: retry.delay_initial.unwrap_or(self.retry.delay_initial),
                delay_max: retry.delay_max.unwrap_or(self.retry.delay_max),
                time_max: retry.time_max.unwrap_or(self.retry.time_max),
                budget: RetryBudgetSettings {
                    enabled: budget.enabled.unwrap_or(self.retry.budget.enabled),
                    tokens_max: budget.tokens_max.unwrap_or(self.retry.budget.tokens_max),
                },
            },
            timeout: TimeoutSettings {
                enabled: timeout.enabled.unwrap_or(self.timeout.enabled),
                control: timeout.control.unwrap_or(self.timeout.control),
                idle: timeout.idle.unwrap_or(self.timeout.idle),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_changes_only_what_it_names() {
        let differences: ResilienceOverride = serde_json::from_str(
            r#"{"retry": {"attempts_max": 5, "budget": {"enabled": false}}, "timeout": {"idle": "1m"}}"#,
        )
        .expect("valid");
        let global = ResilienceSettings::default();
        let mut expected = global.clone();
        expected.retry.attempts_max = 5;
        expected.retry.budget.enabled = false;
        expected.timeout.idle = Duration::from_secs(60).into();
        assert_eq!(global.overridden_by(&differences), expected);
        assert_eq!(global.overridden_by(&ResilienceOverride::default()), global);
    }
}
