//! Health: what the last probes said of each provider and of the catalog, and whether writes still have a way.
//!
//! Here: the states and how they change, a pure function of probes and times. The manager probes.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::error::{Error, ErrorKind};
use crate::settings::HealthSettings;

/// How well a provider or the catalog works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// Nobody looked yet. It counts as usable.
    #[default]
    Unknown,
    /// It answers, and quickly.
    Healthy,
    /// It failed of late, answers slowly or throttles, and may be used.
    Degraded,
    /// It does not answer.
    Unavailable,
}

impl HealthState {
    /// Returns the state's name, such as `degraded`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unavailable => "unavailable",
        }
    }

    /// Returns whether it is worth asking.
    #[must_use]
    pub fn is_usable(self) -> bool {
        self != Self::Unavailable
    }
}

impl fmt::Display for HealthState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What became of the canary: the small object that a probe writes, reads and deletes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CanaryState {
    /// It was not asked for.
    #[default]
    Off,
    /// It was written, read and deleted.
    Passed,
    /// It failed; the last error says why.
    Failed,
    /// The provider cannot list, so one that was left behind could not be found. Nothing was written.
    Refused,
}

/// Why a probe failed, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HealthError {
    /// What kind of error it was.
    pub kind: ErrorKind,
    /// What it said.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

impl HealthError {
    /// Describes an error.
    #[must_use]
    pub fn new(error: &Error, at: Timestamp) -> Self {
        Self {
            kind: error.kind(),
            message: error.message().to_owned(),
            at,
        }
    }
}

/// The health of one provider, or of the catalog.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ComponentHealth {
    /// How well it works.
    pub state: HealthState,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// When it was probed last.
    pub checked_at: Option<Timestamp>,
    /// When a probe last succeeded.
    pub last_success: Option<Timestamp>,
    /// What the last probe that failed said; it stays when the next one succeeds.
    pub last_error: Option<HealthError>,
    /// How long the last probe took.
    #[serde(rename = "latency_seconds", serialize_with = "as_seconds")]
    pub latency: Option<Duration>,
    /// How many probes failed in a row.
    pub failures: u32,
    /// What became of the canary.
    pub canary: CanaryState,
    /// How many probes succeeded quickly in a row.
    #[serde(skip)]
    successes: u32,
}

fn as_seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration
        .map(|duration| duration.as_secs_f64())
        .serialize(serializer)
}

impl ComponentHealth {
    /// Describes what nobody looked at yet.
    #[must_use]
    pub fn unknown(since: Timestamp) -> Self {
        Self {
            state: HealthState::Unknown,
            since,
            checked_at: None,
            last_success: None,
            last_error: None,
            latency: None,
            failures: 0,
            canary: CanaryState::Off,
            successes: 0,
        }
    }

    /// Describes what cannot even be opened.
    #[must_use]
    pub fn unopened(error: &Error, at: Timestamp) -> Self {
        Self {
            state: HealthState::Unavailable,
            checked_at: Some(at),
            last_error: Some(HealthError::new(error, at)),
            failures: 1,
            ..Self::unknown(at)
        }
    }

    /// Takes in what a probe said, and returns whether the state changed.
    ///
    /// | before | a quick answer | a slow answer, or throttling | a failure |
    /// |---|---|---|---|
    /// | unknown | healthy | degraded | unavailable: the first look decides |
    /// | healthy | healthy | degraded | degraded; unavailable after `failures_max` in a row |
    /// | degraded | healthy after `successes_min` in a row | degraded | unavailable after `failures_max` in a row |
    /// | unavailable | degraded; healthy after `successes_min` in a row | degraded | unavailable |
    pub fn observe(
        &mut self,
        outcome: Result<(), &Error>,
        latency: Duration,
        at: Timestamp,
        settings: &HealthSettings,
    ) -> StateChange {
        let before = self.state;
        self.checked_at = Some(at);
        self.latency = Some(latency);
        let answer = match outcome {
            Ok(()) if latency > settings.slow.get() => Answer::Slow,
            Ok(()) => Answer::Quick,
            // Who says that there is too much to do is there.
            Err(error) if error.kind() == ErrorKind::RateLimited => Answer::Slow,
            Err(_) => Answer::None,
        };
        match outcome {
            Ok(()) => self.last_success = Some(at),
            Err(error) => self.last_error = Some(HealthError::new(error, at)),
        }
        self.failures = if answer == Answer::None {
            self.failures.saturating_add(1)
        } else {
            0
        };
        self.successes = if answer == Answer::Quick {
            self.successes.saturating_add(1)
        } else {
            0
        };
        self.state = match (answer, before) {
            (Answer::Quick, HealthState::Unknown | HealthState::Healthy) => HealthState::Healthy,
            (Answer::Quick, _) if self.successes >= settings.successes_min => HealthState::Healthy,
            (Answer::Quick | Answer::Slow, _) => HealthState::Degraded,
            (Answer::None, HealthState::Unknown | HealthState::Unavailable) => HealthState::Unavailable,
            (Answer::None, _) if self.failures >= settings.failures_max => HealthState::Unavailable,
            (Answer::None, _) => HealthState::Degraded,
        };
        if self.state == before {
            return StateChange::None;
        }
        self.since = at;
        StateChange::From(before)
    }
}

/// How a probe was answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Quick,
    Slow,
    None,
}

/// Whether a probe changed the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateChange {
    /// It did not.
    None,
    /// It did; this was the state before.
    From(HealthState),
}

/// The health of one provider by its name.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ProviderHealth {
    /// The provider's name in the settings.
    pub provider: String,
    /// Its health.
    #[serde(flatten)]
    pub health: ComponentHealth,
}

impl ProviderHealth {
    /// Names whose health it is.
    pub fn new(provider: impl Into<String>, health: ComponentHealth) -> Self {
        Self {
            provider: provider.into(),
            health,
        }
    }
}

/// Whether writes of one route have a way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RouteHealth {
    /// The rule's number, from 0; `None` for the default provider.
    pub rule: Option<usize>,
    /// The rule's name, where it has one.
    pub name: Option<String>,
    /// The provider that the route means.
    pub provider: String,
    /// The usable providers of the route, in the order in which they are tried; empty if no write gets through. A
    /// fallback counts if it takes any access class that the rule allows.
    pub usable: Vec<String>,
}

/// What the last probes said of everything.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HealthReport {
    /// Whether a write has any way left: the catalog is usable, and a provider of at least one route is.
    pub is_ready: bool,
    /// The catalog.
    pub catalog: ComponentHealth,
    /// Each provider, by name.
    pub providers: Vec<ProviderHealth>,
    /// Each route: the rules in order, then the default.
    pub routes: Vec<RouteHealth>,
}

impl HealthReport {
    /// Puts a report together and decides whether it is ready.
    #[must_use]
    pub fn new(catalog: ComponentHealth, providers: Vec<ProviderHealth>, routes: Vec<RouteHealth>) -> Self {
        let has_way = routes.iter().any(|route| !route.usable.is_empty());
        Self {
            is_ready: catalog.state.is_usable() && has_way,
            catalog,
            providers,
            routes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HealthState::{Degraded, Healthy, Unavailable, Unknown};

    const QUICK: char = 'q';
    const SLOW: char = 's';
    const THROTTLED: char = 't';
    const FAILED: char = 'f';

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).expect("in range")
    }

    /// Feeds probes, one a second, and returns the state after each.
    fn run(probes: &str) -> (Vec<HealthState>, ComponentHealth) {
        let settings = HealthSettings::default();
        let mut health = ComponentHealth::unknown(at(0));
        let mut states = Vec::new();
        for (index, probe) in probes.chars().enumerate() {
            let kind = if probe == THROTTLED {
                ErrorKind::RateLimited
            } else {
                ErrorKind::ProviderUnavailable
            };
            let error = Error::new(kind, "no answer");
            let outcome = match probe {
                QUICK | SLOW => Ok(()),
                FAILED | THROTTLED => Err(&error),
                other => panic!("{other} is no probe"),
            };
            let latency = if probe == SLOW {
                settings.slow.get() + Duration::from_nanos(1)
            } else {
                settings.slow.get()
            };
            let before = health.state;
            let change = health.observe(outcome, latency, at(index as i64 + 1), &settings);
            assert_eq!(change == StateChange::None, health.state == before, "{probes}");
            states.push(health.state);
        }
        (states, health)
    }

    #[track_caller]
    fn check(probes: &str, expected: &[HealthState]) {
        assert_eq!(run(probes).0, expected, "{probes}");
    }

    #[test]
    fn states_change_as_the_table_says() {
        check("q", &[Healthy]);
        check("s", &[Degraded]);
        check("t", &[Degraded]);
        check("f", &[Unavailable]);
        check("qqs", &[Healthy, Healthy, Degraded]);
        check("qfff", &[Healthy, Degraded, Degraded, Unavailable]);
        check(
            "qffqff",
            &[Healthy, Degraded, Degraded, Degraded, Degraded, Degraded],
        );
        check("qfqq", &[Healthy, Degraded, Degraded, Healthy]);
        check(
            "qsqsqq",
            &[Healthy, Degraded, Degraded, Degraded, Degraded, Healthy],
        );
        check(
            "ffqfffqq",
            &[
                Unavailable,
                Unavailable,
                Degraded,
                Degraded,
                Degraded,
                Unavailable,
                Degraded,
                Healthy,
            ],
        );
        check("ftttt", &[Unavailable, Degraded, Degraded, Degraded, Degraded]);
        check("fsqq", &[Unavailable, Degraded, Degraded, Healthy]);
        assert_eq!(run("").1.state, Unknown);
    }

    #[test]
    fn what_was_seen_is_kept() {
        let (_, health) = run("qqff");
        assert_eq!((health.state, health.since), (Degraded, at(3)));
        assert_eq!((health.failures, health.last_success), (2, Some(at(2))));
        assert_eq!(health.checked_at, Some(at(4)));
        let error = health.last_error.expect("it failed");
        assert_eq!(
            (error.kind, error.message.as_str(), error.at),
            (ErrorKind::ProviderUnavailable, "no answer", at(4))
        );
        let (_, health) = run("qfqq");
        assert_eq!((health.state, health.since, health.failures), (Healthy, at(4), 0));
        assert_eq!(
            health.last_error.map(|error| error.at),
            Some(at(2)),
            "it is history, not gone"
        );
    }

    #[test]
    fn it_is_ready_while_a_write_has_any_way() {
        let healthy = || {
            let mut health = ComponentHealth::unknown(at(0));
            health.observe(Ok(()), Duration::ZERO, at(1), &HealthSettings::default());
            health
        };
        let route = |usable: &[&str]| RouteHealth {
            rule: None,
            name: None,
            provider: "main".to_owned(),
            usable: usable.iter().map(|name| (*name).to_owned()).collect(),
        };
        let ready = |catalog, routes| HealthReport::new(catalog, Vec::new(), routes).is_ready;
        assert!(ready(healthy(), vec![route(&["main"])]));
        assert!(ready(healthy(), vec![route(&[]), route(&["spare"])]));
        assert!(!ready(healthy(), vec![route(&[]), route(&[])]));
        let error = Error::new(ErrorKind::ProviderUnavailable, "gone");
        assert!(!ready(
            ComponentHealth::unopened(&error, at(0)),
            vec![route(&["main"])]
        ));
        assert!(
            ready(ComponentHealth::unknown(at(0)), vec![route(&["main"])]),
            "nobody looked yet"
        );
    }
}
