//! How failures and load are met, for all providers and for one: a section for each layer.

mod breaker;
mod hedge;
mod limits;
mod retry;
mod section;
mod timeout;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use breaker::{BreakerOverride, BreakerSettings, BreakerWindow};
pub use hedge::{HedgeOverride, HedgeSettings};
pub use limits::{TrafficOverride, TrafficSettings};
pub use retry::{RetryBudgetOverride, RetryBudgetSettings, RetryOverride, RetrySettings};
pub use timeout::{TimeoutOverride, TimeoutSettings};

/// How failures and load are met by every provider that does not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ResilienceSettings {
    /// Whether and how a failed call is repeated.
    pub retry: RetrySettings,
    /// How long a call may take.
    pub timeout: TimeoutSettings,
    /// When a provider that fails is left alone for a while.
    pub breaker: BreakerSettings,
    /// How much is asked of a provider at once.
    pub limits: TrafficSettings,
    /// When a slow read is asked for a second time.
    pub hedge: HedgeSettings,
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
    /// When a provider that fails is left alone for a while.
    pub breaker: Option<BreakerOverride>,
    /// How much is asked of a provider at once.
    pub limits: Option<TrafficOverride>,
    /// When a slow read is asked for a second time.
    pub hedge: Option<HedgeOverride>,
}

impl ResilienceSettings {
    /// Returns these settings with one provider's differences applied.
    #[must_use]
    pub fn overridden_by(&self, differences: &ResilienceOverride) -> Self {
        Self {
            retry: self.retry.overridden_by(differences.retry.as_ref()),
            timeout: self.timeout.overridden_by(differences.timeout.as_ref()),
            breaker: self.breaker.overridden_by(differences.breaker.as_ref()),
            limits: self.limits.overridden_by(differences.limits.as_ref()),
            hedge: self.hedge.overridden_by(differences.hedge.as_ref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_provider_changes_only_what_it_names() {
        let differences: ResilienceOverride = serde_json::from_str(
            r#"{"retry": {"attempts_max": 5, "resumes_max": 7, "budget": {"enabled": false}}, "timeout": {"idle": "1m"},
                "breaker": {"window": "time"}, "limits": {"upload_per_second": "1MB"}, "hedge": {"enabled": true}}"#,
        )
        .expect("valid");
        let global = ResilienceSettings::default();
        let mut expected = global.clone();
        expected.retry.attempts_max = 5;
        expected.retry.resumes_max = 7;
        expected.retry.budget.enabled = false;
        expected.timeout.idle = Duration::from_secs(60).into();
        expected.breaker.window = BreakerWindow::Time;
        expected.limits.upload_per_second = crate::ByteSize::from_bytes(1_000_000);
        expected.hedge.enabled = true;
        assert_eq!(global.overridden_by(&differences), expected);
        assert_eq!(global.overridden_by(&ResilienceOverride::default()), global);
    }
}
