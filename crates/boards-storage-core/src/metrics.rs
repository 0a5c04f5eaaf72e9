//! What was done, how fast and how well, and how full the stores are: a snapshot, and who gives it.
//!
//! Nothing is measured here. A [`MetricsSource`] counts, the [catalog](crate::Catalog::utilization) knows what is
//! stored, and [`StorageManager::metrics`](crate::StorageManager::metrics) puts both together.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::catalog::{Utilization, UtilizationKey};
use crate::error::{Error, ErrorKind};
use crate::operation::OperationKind;

/// Gives a snapshot of what it has counted since it was created. It knows nothing of the catalog.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{MetricsSource, StorageMetrics};
///
/// #[derive(Debug)]
/// struct CountsNothing;
///
/// impl MetricsSource for CountsNothing {
///     fn snapshot(&self) -> StorageMetrics {
///         StorageMetrics::default()
///     }
/// }
/// ```
pub trait MetricsSource: fmt::Debug + Send + Sync + 'static {
    /// Returns the figures of this moment. Calls under way are in `in_flight` alone.
    fn snapshot(&self) -> StorageMetrics;
}

/// The figures of a storage at one moment, since its program began.
///
/// Each map is an array of its entries in JSON, the fields of the key and `value`, where nothing else is said.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{EndKind, MetricLevel, OperationKind, OperationsKey, SeriesKey, StorageMetrics};
///
/// let mut metrics = StorageMetrics::default();
/// let uploads = SeriesKey::new("main", MetricLevel::Call, OperationKind::Upload);
/// metrics.operations_count.insert(OperationsKey::new(uploads, EndKind::Ok), 3);
/// assert_eq!(metrics.count_of(MetricLevel::Call, |key| key.end == EndKind::Ok), 3);
/// let text = serde_json::to_string(&metrics.operations_count.keys().next())?;
/// assert_eq!(text, r#"{"provider":"main","level":"call","operation":"upload","end":"ok"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StorageMetrics {
    /// How many operations have ended, and how.
    #[serde(with = "entries")]
    pub operations_count: BTreeMap<OperationsKey, u64>,
    /// How many object bytes were moved. Of calls: those of calls that succeeded, and what a reader got of a
    /// stream. Of attempts: all that moved, repeats and failures included; content that is plain bytes counts when
    /// the attempt succeeded, as nobody sees it flow.
    #[serde(with = "entries")]
    pub bytes_transferred: BTreeMap<BytesKey, u64>,
    /// Which part of the operations failed, from 0 to 1; see [`EndKind::is_failure`]. What was cancelled counts
    /// on neither side.
    #[serde(with = "entries")]
    pub error_rates: BTreeMap<SeriesKey, f64>,
    /// How long operations took. What was cancelled is not in it.
    #[serde(with = "entries")]
    pub latency_percentiles: BTreeMap<LatencyKey, LatencyPercentiles>,
    /// How many operations run at the moment; of those with a stream, until it has ended or was dropped.
    #[serde(with = "entries")]
    pub in_flight: BTreeMap<SeriesKey, u64>,
    /// Whether the circuit breaker of each provider lets calls through, by the provider's name: of those that have one
    /// and were called. An object in JSON.
    #[serde(default)]
    pub circuits: BTreeMap<String, CircuitState>,
    /// What is stored, from the catalog.
    #[serde(with = "entries")]
    pub storage_utilization: BTreeMap<UtilizationKey, Utilization>,
}

impl StorageMetrics {
    /// Returns how many operations of a level have ended that `is_counted` chooses.
    pub fn count_of(&self, level: MetricLevel, is_counted: impl Fn(&OperationsKey) -> bool) -> u64 {
        self.operations_count
            .iter()
            .filter(|(key, _)| key.series.level == level && is_counted(key))
            .map(|(_, count)| count)
            .sum()
    }
}

/// Whether a provider's circuit breaker lets calls through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CircuitState {
    /// All calls pass.
    Closed,
    /// A few calls pass; what becomes of them decides.
    HalfOpen,
    /// No call passes.
    Open,
}

impl CircuitState {
    /// Returns the state's name: `closed`, `half_open` or `open`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

impl fmt::Display for CircuitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether calls are meant, or the attempts that they are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricLevel {
    /// What the caller asked for, repeats and waits included.
    Call,
    /// One thing that was sent to the store.
    Attempt,
}

impl MetricLevel {
    /// Both, outermost first.
    pub const ALL: [Self; 2] = [Self::Call, Self::Attempt];

    /// Returns the level's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Attempt => "attempt",
        }
    }
}

/// How an operation ended. There are [`EndKind::COUNT`] of them, so it can be a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndKind {
    /// It was answered.
    Ok,
    /// Its future or its stream was dropped.
    Cancelled,
    /// It failed.
    Error(ErrorKind),
}

impl EndKind {
    /// How many there are.
    pub const COUNT: usize = ErrorKind::ALL.len() + 2;

    /// Returns each, in the order of their [index](Self::index).
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Ok, Self::Cancelled]
            .into_iter()
            .chain(ErrorKind::ALL.into_iter().map(Self::Error))
    }

    /// Returns its place among all, below [`EndKind::COUNT`].
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Ok => 0,
            Self::Cancelled => 1,
            Self::Error(kind) => 2 + kind as usize,
        }
    }

    /// Returns its name: `ok`, `cancelled`, or that of the error's kind.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Cancelled => "cancelled",
            Self::Error(kind) => kind.name(),
        }
    }

    /// Returns whether the store, or the way to it, is to blame.
    ///
    /// "Not there", "there already", "changed since", "refused by policy", a malformed argument and what a
    /// provider cannot do are answers.
    #[must_use]
    pub fn is_failure(self) -> bool {
        match self {
            Self::Ok | Self::Cancelled => false,
            Self::Error(kind) => match kind {
                ErrorKind::NotFound
                | ErrorKind::AlreadyExists
                | ErrorKind::PreconditionFailed
                | ErrorKind::InvalidInput
                | ErrorKind::Unsupported
                | ErrorKind::Rejected => false,
                ErrorKind::Storage
                | ErrorKind::ProviderUnavailable
                | ErrorKind::InsufficientStorage
                | ErrorKind::AccessDenied
                | ErrorKind::Corruption
                | ErrorKind::Configuration
                | ErrorKind::Timeout
                | ErrorKind::RateLimited
                | ErrorKind::OutcomeUnknown => true,
            },
        }
    }
}

impl From<&Error> for EndKind {
    fn from(error: &Error) -> Self {
        Self::Error(error.kind())
    }
}

impl fmt::Display for EndKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for EndKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for EndKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::all().find(|end| end.name() == name).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "expected 'ok', 'cancelled' or an error kind, got '{name}'"
            ))
        })
    }
}

/// Which way object bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Into the store.
    In,
    /// Out of the store.
    Out,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::In, Self::Out];

    /// Returns the direction's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// Up to when an operation's time was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LatencySpan {
    /// Until the call had returned: of a download, when its first bytes can be read.
    Answer,
    /// Until the returned stream had ended, a slow reader's time included. Only of operations that return one.
    Stream,
}

/// What is counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SeriesKey {
    /// The provider's name in the settings.
    pub provider: String,
    /// Calls, or attempts.
    pub level: MetricLevel,
    /// Which operation.
    pub operation: OperationKind,
}

impl SeriesKey {
    /// Creates a key.
    pub fn new(provider: impl Into<String>, level: MetricLevel, operation: OperationKind) -> Self {
        Self {
            provider: provider.into(),
            level,
            operation,
        }
    }
}

/// The key of [`StorageMetrics::operations_count`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OperationsKey {
    /// Of what.
    #[serde(flatten)]
    pub series: SeriesKey,
    /// How they ended.
    pub end: EndKind,
}

impl OperationsKey {
    /// Creates a key.
    #[must_use]
    pub fn new(series: SeriesKey, end: EndKind) -> Self {
        Self { series, end }
    }
}

/// The key of [`StorageMetrics::bytes_transferred`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BytesKey {
    /// Of what.
    #[serde(flatten)]
    pub series: SeriesKey,
    /// Which way.
    pub direction: Direction,
}

/// The key of [`StorageMetrics::latency_percentiles`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LatencyKey {
    /// Of what.
    #[serde(flatten)]
    pub series: SeriesKey,
    /// Up to when.
    pub span: LatencySpan,
}

/// How long operations took: this part of them at most so long. Times are in seconds in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LatencyPercentiles {
    /// How many were measured.
    pub count: u64,
    /// Half of them.
    #[serde(rename = "p50_seconds", with = "seconds")]
    pub p50: Duration,
    /// Of ten, nine.
    #[serde(rename = "p90_seconds", with = "seconds")]
    pub p90: Duration,
    /// Of a hundred, 99.
    #[serde(rename = "p99_seconds", with = "seconds")]
    pub p99: Duration,
    /// Of a thousand, 999.
    #[serde(rename = "p99.9_seconds", with = "seconds")]
    pub p99_9: Duration,
}

impl LatencyPercentiles {
    /// Creates the figures of `count` measurements by asking for each percentile, from 0 to 100.
    pub fn from_percentiles(count: u64, percentile: impl Fn(f64) -> Duration) -> Self {
        Self {
            count,
            p50: percentile(50.0),
            p90: percentile(90.0),
            p99: percentile(99.0),
            p99_9: percentile(99.9),
        }
    }
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(time.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A map as an array of its entries: keys with fields are no keys in JSON.
mod entries {
    use std::collections::BTreeMap;

    use serde::de::DeserializeOwned;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Entry<K, V> {
        #[serde(flatten)]
        key: K,
        value: V,
    }

    pub(super) fn serialize<S, K, V>(map: &BTreeMap<K, V>, serializer: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
        K: Serialize,
        V: Serialize,
    {
        serializer.collect_seq(map.iter().map(|(key, value)| Entry { key, value }))
    }

    pub(super) fn deserialize<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        D: Deserializer<'de>,
        K: DeserializeOwned + Ord,
        V: DeserializeOwned,
    {
        let entries = Vec::<Entry<K, V>>::deserialize(deserializer)?;
        Ok(entries
            .into_iter()
            .map(|entry| (entry.key, entry.value))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::{ArtifactType, TenantId};

    #[test]
    fn every_end_has_its_own_place_and_name() {
        let ends: Vec<EndKind> = EndKind::all().collect();
        assert_eq!(ends.len(), EndKind::COUNT);
        for (index, end) in ends.iter().enumerate() {
            assert_eq!(end.index(), index, "{end}");
        }
        let names: std::collections::BTreeSet<_> = ends.iter().map(|end| end.name()).collect();
        assert_eq!(names.len(), EndKind::COUNT);
    }

    #[test]
    fn an_answer_is_no_failure() {
        assert!(!EndKind::Ok.is_failure());
        assert!(!EndKind::Cancelled.is_failure());
        assert!(!EndKind::Error(ErrorKind::NotFound).is_failure());
        assert!(EndKind::Error(ErrorKind::Timeout).is_failure());
    }

    #[test]
    fn a_snapshot_is_the_same_after_json() {
        let series = SeriesKey::new("main", MetricLevel::Attempt, OperationKind::Download);
        let mut metrics = StorageMetrics::default();
        for end in [EndKind::Ok, EndKind::Error(ErrorKind::Timeout)] {
            metrics
                .operations_count
                .insert(OperationsKey::new(series.clone(), end), 7);
        }
        metrics.bytes_transferred.insert(
            BytesKey {
                series: series.clone(),
                direction: Direction::Out,
            },
            u64::MAX,
        );
        metrics.error_rates.insert(series.clone(), 0.5);
        metrics.latency_percentiles.insert(
            LatencyKey {
                series,
                span: LatencySpan::Answer,
            },
            LatencyPercentiles::from_percentiles(14, |_percent| Duration::from_millis(250)),
        );
        let key = UtilizationKey {
            provider: "main".to_owned(),
            tenant: TenantId::default(),
            artifact_type: ArtifactType::Image,
        };
        metrics.storage_utilization.insert(
            key,
            Utilization {
                objects: 2,
                bytes: 10,
            },
        );
        let text = serde_json::to_string(&metrics).expect("written");
        for part in [
            r#"{"provider":"main","level":"attempt","operation":"download","end":"timeout","value":7}"#,
            r#""direction":"out","value":18446744073709551615"#,
            r#""p99.9_seconds":0.25"#,
            r#"{"provider":"main","tenant":"default","artifact_type":"image","value":{"objects":2,"bytes":10}}"#,
        ] {
            assert!(text.contains(part), "no {part} in {text}");
        }
        let read: StorageMetrics = serde_json::from_str(&text).expect("read");
        assert_eq!(read, metrics);
    }
}
