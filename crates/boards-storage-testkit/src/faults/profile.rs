//! How often what happens.

use std::collections::BTreeMap;
use std::time::Duration;

use boards_storage_core::OperationKind;

use super::FaultKind;

/// How often which fault happens to which operation, and how long its waits are. At most one happens to a call.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultProfile {
    rates: BTreeMap<(OperationKind, FaultKind), f64>,
    wait_max: Duration,
}

impl Default for FaultProfile {
    fn default() -> Self {
        Self::none()
    }
}

impl FaultProfile {
    /// Creates a profile in which nothing happens.
    #[must_use]
    pub fn none() -> Self {
        Self {
            rates: BTreeMap::new(),
            wait_max: Duration::from_secs(2),
        }
    }

    /// Creates a profile in which this part of all calls, of each operation, meets some
    /// [honest](FaultKind::is_honest) fault: errors before and lost answers most often, calls that never answer
    /// least.
    ///
    /// # Panics
    ///
    /// If the rate is not within 0 to 1.
    #[must_use]
    pub fn honest(rate: f64) -> Self {
        let mut profile = Self::none();
        for operation in OperationKind::ALL {
            let kinds = || {
                FaultKind::ALL
                    .into_iter()
                    .filter(|kind| kind.applies_to(operation))
            };
            let whole: f64 = kinds().map(FaultKind::weight).sum();
            for kind in kinds().filter(|kind| kind.is_honest()) {
                profile = profile.with_on(operation, kind, rate * kind.weight() / whole);
            }
        }
        profile
    }

    /// Sets how often a fault happens, to every operation that it can happen to.
    ///
    /// # Panics
    ///
    /// If the rate is not within 0 to 1, or the rates of an operation are more than 1 together.
    #[must_use]
    pub fn with(self, kind: FaultKind, rate: f64) -> Self {
        OperationKind::ALL
            .into_iter()
            .filter(|operation| kind.applies_to(*operation))
            .fold(self, |profile, operation| profile.with_on(operation, kind, rate))
    }

    /// Sets how often a fault happens to one operation.
    ///
    /// # Panics
    ///
    /// As [`FaultProfile::with`], or if it cannot happen to this operation.
    #[must_use]
    pub fn with_on(mut self, operation: OperationKind, kind: FaultKind, rate: f64) -> Self {
        assert!(kind.applies_to(operation), "{kind} cannot happen to {operation}");
        assert!((0.0..=1.0).contains(&rate), "a rate is 0 to 1, got {rate}");
        self.rates.insert((operation, kind), rate);
        let whole: f64 = self.of(operation).map(|(_, rate)| rate).sum();
        assert!(
            whole <= 1.0 + 1e-9,
            "the rates of {operation} are {whole} together, at most 1 is possible"
        );
        self
    }

    /// Lets a fault never happen.
    #[must_use]
    pub fn without(mut self, kind: FaultKind) -> Self {
        self.rates.retain(|(_, known), _| *known != kind);
        self
    }

    /// Sets the longest delay, and the longest wait that a throttling store asks for; 2 s by default.
    #[must_use]
    pub fn with_wait_max(mut self, wait: Duration) -> Self {
        self.wait_max = wait;
        self
    }

    /// Returns whether a fault ever happens.
    #[must_use]
    pub fn has(&self, kind: FaultKind) -> bool {
        self.rates
            .iter()
            .any(|((_, known), rate)| *known == kind && *rate > 0.0)
    }

    pub(super) fn wait_max(&self) -> Duration {
        self.wait_max
    }

    /// The rates of one operation, in a fixed order.
    pub(super) fn of(&self, operation: OperationKind) -> impl Iterator<Item = (FaultKind, f64)> {
        FaultKind::ALL
            .into_iter()
            .filter_map(move |kind| Some((kind, *self.rates.get(&(operation, kind))?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_honest_profile_gives_each_operation_its_whole_rate() {
        let profile = FaultProfile::honest(0.3);
        for operation in OperationKind::ALL {
            let whole: f64 = profile.of(operation).map(|(_, rate)| rate).sum();
            assert!((whole - 0.3).abs() < 1e-9, "{operation}: {whole}");
        }
        assert!(
            FaultKind::ALL
                .iter()
                .all(|kind| profile.has(*kind) == kind.is_honest())
        );
    }

    #[test]
    #[should_panic(expected = "together")]
    fn more_than_always_is_refused() {
        let _never = FaultProfile::honest(0.6).with(FaultKind::Truncate, 0.5);
    }

    #[test]
    #[should_panic(expected = "cannot happen to probe")]
    fn a_fault_that_cannot_happen_is_refused() {
        let _never = FaultProfile::none().with_on(OperationKind::Probe, FaultKind::WrongBytes, 0.1);
    }
}
