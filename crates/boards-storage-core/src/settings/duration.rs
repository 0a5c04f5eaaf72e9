//! Durations as people write them: `30s`, `1m 30s`, `250ms`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};

/// A length of time, written with units: weeks, days of 24 hours, hours, minutes, seconds, `ms`, `us` or `ns`.
///
/// The forms are those of [jiff's friendly format](jiff::fmt::friendly), and ISO 8601 (`PT30S`). A number without a
/// unit is refused, as is a negative one. In a JSON Schema, `x-minimum` and `x-maximum` bound it.
///
/// # Examples
///
/// ```
/// use boards_storage_core::FriendlyDuration;
/// use std::time::Duration;
///
/// assert_eq!(FriendlyDuration::parse("1m 30s")?.get(), Duration::from_secs(90));
/// assert_eq!(FriendlyDuration::new(Duration::from_millis(250)).to_string(), "250ms");
/// assert_eq!(FriendlyDuration::parse("7d")?.get(), Duration::from_hours(7 * 24));
/// assert!(FriendlyDuration::parse("30").is_err());
/// # Ok::<(), boards_storage_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FriendlyDuration(Duration);

impl FriendlyDuration {
    /// Wraps a duration.
    #[must_use]
    pub const fn new(duration: Duration) -> Self {
        Self(duration)
    }

    /// Returns the duration.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }

    /// Parses a duration.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it has another form.
    pub fn parse(text: &str) -> Result<Self> {
        text.parse::<Span>()
            .ok()
            .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok())
            .and_then(|signed| Duration::try_from(signed).ok())
            .map(Self)
            .ok_or_else(|| {
                let shown: String = text.chars().take(40).collect();
                Error::invalid_input(format!("{shown:?} is not a duration"))
                    .with_help("give a number and a unit, such as '250ms', '30s' or '1m 30s'")
            })
    }
}

impl From<FriendlyDuration> for Duration {
    fn from(duration: FriendlyDuration) -> Self {
        duration.0
    }
}

impl From<Duration> for FriendlyDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl fmt::Display for FriendlyDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SignedDuration::try_from(self.0) {
            Ok(signed) => write!(f, "{signed:#}"),
            Err(_beyond) => write!(f, "{}s", self.0.as_secs()),
        }
    }
}

impl FromStr for FriendlyDuration {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl Serialize for FriendlyDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FriendlyDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for FriendlyDuration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "FriendlyDuration".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "friendly-duration" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<Duration>) {
        assert_eq!(
            FriendlyDuration::parse(text).ok().map(FriendlyDuration::get),
            expected,
            "{text:?}"
        );
    }

    #[test]
    fn durations_have_units() {
        check("30s", Some(Duration::from_secs(30)));
        check("1m 30s", Some(Duration::from_secs(90)));
        check("1 minute, 30 seconds", Some(Duration::from_secs(90)));
        check("250ms", Some(Duration::from_millis(250)));
        check("0s", Some(Duration::ZERO));
        check("PT2M", Some(Duration::from_secs(120)));
        for bad in [
            "",
            "30",
            "-1s",
            "1s ago",
            "1 fortnight",
            "s",
            "99999999999999999999h",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn a_duration_is_written_and_read_back() {
        for text in ["100ms", "20s", "2m", "1m 30s", "1h"] {
            assert_eq!(FriendlyDuration::parse(text).expect("valid").to_string(), text);
        }
        assert_eq!(
            FriendlyDuration::new(Duration::MAX).to_string(),
            format!("{}s", u64::MAX)
        );
    }
}
