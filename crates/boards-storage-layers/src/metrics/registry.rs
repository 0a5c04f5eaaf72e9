//! What all metrics layers of a storage count into, and the snapshot of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use boards_storage_core::{
    ArtifactType, MetricLevel, MetricsSource, OperationKind, SeriesKey, StorageMetrics, Utilization,
    UtilizationKey,
};

use super::names::{STORED_BYTES, STORED_OBJECTS};
use super::series::Series;
use crate::breaker::{BreakerHandle, Watched};

/// What all [metrics layers](super::MetricsLayer) of a storage count into. A clone is cheap and shares everything.
///
/// Its memory is bounded: some 30 KiB for each operation of each provider that was called, on each level.
///
/// # Examples
///
/// ```
/// use boards_storage_core::MetricsSource;
/// use boards_storage_layers::Metrics;
///
/// let metrics = Metrics::default();
/// assert!(metrics.snapshot().operations_count.is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    providers: Arc<RwLock<BTreeMap<Arc<str>, Arc<ProviderSeries>>>>,
    circuits: Arc<Mutex<Vec<Watched>>>,
}

impl Metrics {
    /// Shows the state of a circuit breaker in each snapshot, as long as the breaker is used.
    ///
    /// # Examples
    ///
    /// ```
    /// use boards_storage_layers::{BreakerLayer, Metrics};
    ///
    /// let (metrics, breaker) = (Metrics::default(), BreakerLayer::default());
    /// metrics.watch(&breaker.handle());
    /// ```
    pub fn watch(&self, breaker: &BreakerHandle) {
        let mut circuits = self.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        circuits.retain(|circuit| !circuit.is_gone());
        circuits.push(breaker.watched());
    }

    /// Returns what counts a provider's operations.
    pub(super) fn provider(&self, name: &Arc<str>) -> Arc<ProviderSeries> {
        let known = self.providers.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known.get(name) {
            return Arc::clone(series);
        }
        drop(known);
        let mut providers = self.providers.write().unwrap_or_else(PoisonError::into_inner);
        let series = providers
            .entry(Arc::clone(name))
            .or_insert_with(|| Arc::new(ProviderSeries::new(Arc::clone(name))));
        Arc::clone(series)
    }
}

impl MetricsSource for Metrics {
    fn snapshot(&self) -> StorageMetrics {
        let mut metrics = StorageMetrics::default();
        let providers = self.providers.read().unwrap_or_else(PoisonError::into_inner);
        for provider in providers.values() {
            let levels = provider.levels.iter().flatten();
            levels
                .filter_map(OnceLock::get)
                .for_each(|series| series.write(&mut metrics));
        }
        let circuits = self.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        metrics.circuits = circuits.iter().filter_map(Watched::read).collect();
        metrics
    }
}

/// Counts one provider's operations.
#[derive(Debug)]
pub(super) struct ProviderSeries {
    name: Arc<str>,
    /// By level, then by operation. Each is made when it is first needed.
    levels: [[OnceLock<Arc<Series>>; OperationKind::ALL.len()]; MetricLevel::ALL.len()],
}

impl ProviderSeries {
    fn new(name: Arc<str>) -> Self {
        Self {
            name,
            levels: [const { [const { OnceLock::new() }; OperationKind::ALL.len()] }; MetricLevel::ALL.len()],
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn series(&self, level: MetricLevel, operation: OperationKind) -> Arc<Series> {
        let place = &self.levels[level as usize][operation as usize];
        Arc::clone(place.get_or_init(|| {
            let key = SeriesKey::new(&*self.name, level, operation);
            Arc::new(Series::new(key))
        }))
    }
}

/// Gives what is stored to the `metrics` facade, by provider and type.
///
/// Tenants are added up, as a label must not grow with them; and the application's own types, as `custom`.
/// What `before` had and `now` has not becomes zero.
///
/// # Examples
///
/// ```
/// # use boards_storage_core::{Result, StorageManager};
/// # async fn publish(manager: &StorageManager) -> Result<()> {
/// use boards_storage_layers::publish_utilization;
///
/// let before = manager.metrics().await?.storage_utilization;
/// publish_utilization(&Default::default(), &before);
/// let now = manager.metrics().await?.storage_utilization;
/// publish_utilization(&before, &now);
/// # Ok(())
/// # }
/// ```
pub fn publish_utilization(
    before: &BTreeMap<UtilizationKey, Utilization>,
    now: &BTreeMap<UtilizationKey, Utilization>,
) {
    let mut sums = BTreeMap::<(&str, &'static str), Utilization>::new();
    for key in before.keys() {
        sums.insert(
            (&key.provider, type_label(&key.artifact_type)),
            Utilization::default(),
        );
    }
    for (key, stored) in now {
        let label = type_label(&key.artifact_type);
        sums.entry((&key.provider, label)).or_default().add(*stored);
    }
    for ((provider, artifact_type), stored) in sums {
        metrics::gauge!(STORED_BYTES, "provider" => provider.to_owned(), "type" => artifact_type)
            .set(stored.bytes as f64);
        metrics::gauge!(STORED_OBJECTS, "provider" => provider.to_owned(), "type" => artifact_type)
            .set(stored.objects as f64);
    }
}

/// The value of the label `type`.
fn type_label(artifact_type: &ArtifactType) -> &'static str {
    match artifact_type {
        ArtifactType::Image => "image",
        ArtifactType::Video => "video",
        ArtifactType::Audio => "audio",
        ArtifactType::Text => "text",
        ArtifactType::Model => "model",
        ArtifactType::Dataset => "dataset",
        ArtifactType::Intermediate => "intermediate",
        ArtifactType::Custom(_) => "custom",
    }
}
