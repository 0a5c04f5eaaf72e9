//! A recorder of the `metrics` facade that keeps everything, for a test to look at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use boards_storage_layers::MetricKind;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use parking_lot::Mutex;

type Labels = Vec<(String, String)>;
/// By name and labels.
type Cells = BTreeMap<(String, Labels), (MetricKind, Arc<Cell>)>;

/// What was recorded by handles that were made while it was the recorder.
#[derive(Default)]
pub(crate) struct Recorded {
    cells: Mutex<Cells>,
    described: Mutex<BTreeSet<String>>,
}

/// The values of one series, in order.
#[derive(Default)]
struct Cell(Mutex<Vec<f64>>);

impl Recorded {
    /// Returns every series: its name, its labels, its kind.
    pub(crate) fn series(&self) -> Vec<(String, Labels, MetricKind)> {
        let cells = self.cells.lock();
        cells
            .iter()
            .map(|((name, labels), (kind, _))| (name.clone(), labels.clone(), *kind))
            .collect()
    }

    pub(crate) fn described(&self) -> BTreeSet<String> {
        self.described.lock().clone()
    }

    /// Returns the sum of a counter or gauge.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.values(name, labels).map(|values| values.iter().sum())
    }

    /// Returns how many values a histogram has.
    pub(crate) fn samples(&self, name: &str, labels: &[(&str, &str)]) -> usize {
        self.values(name, labels).map_or(0, |values| values.len())
    }

    fn values(&self, name: &str, labels: &[(&str, &str)]) -> Option<Vec<f64>> {
        let labels = labels
            .iter()
            .map(|(label, value)| ((*label).to_owned(), (*value).to_owned()))
            .collect();
        let cells = self.cells.lock();
        cells
            .get(&(name.to_owned(), labels))
            .map(|(_, cell)| cell.0.lock().clone())
    }

    fn cell(&self, key: &Key, kind: MetricKind) -> Arc<Cell> {
        let labels = key
            .labels()
            .map(|label| (label.key().to_owned(), label.value().to_owned()))
            .collect();
        let mut cells = self.cells.lock();
        let place = cells.entry((key.name().to_owned(), labels));
        Arc::clone(&place.or_insert_with(|| (kind, Arc::default())).1)
    }

    fn describe(&self, name: &KeyName, help: &str) {
        assert!(help.ends_with('.'), "{help}");
        self.described.lock().insert(name.as_str().to_owned());
    }
}

impl Recorder for Recorded {
    fn describe_counter(&self, key: KeyName, _unit: Option<Unit>, help: SharedString) {
        self.describe(&key, &help);
    }

    fn describe_gauge(&self, key: KeyName, _unit: Option<Unit>, help: SharedString) {
        self.describe(&key, &help);
    }

    fn describe_histogram(&self, key: KeyName, _unit: Option<Unit>, help: SharedString) {
        self.describe(&key, &help);
    }

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key, MetricKind::Counter))
    }

    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key, MetricKind::Gauge))
    }

    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell(key, MetricKind::Histogram))
    }
}

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.0.lock().push(value as f64);
    }

    fn absolute(&self, value: u64) {
        *self.0.lock() = vec![value as f64];
    }
}

impl GaugeFn for Cell {
    fn increment(&self, value: f64) {
        self.0.lock().push(value);
    }

    fn decrement(&self, value: f64) {
        self.0.lock().push(-value);
    }

    fn set(&self, value: f64) {
        *self.0.lock() = vec![value];
    }
}

impl HistogramFn for Cell {
    fn record(&self, value: f64) {
        self.0.lock().push(value);
    }
}
