//! The metrics in Prometheus's text format.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use boards_storage_core::{Error, Result, StorageManager, Utilization, UtilizationKey};
use boards_storage_layers::{describe_metrics, publish_utilization};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio::task::JoinHandle;

/// The upper bounds of the buckets of durations, in seconds: from what memory answers to a long transfer.
pub const DURATION_BUCKETS: [f64; 18] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    60.0, 300.0,
];

/// How often the samples that were recorded are put into their buckets, so that they do not pile up between two
/// looks.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Collects the program's metrics, and gives them in Prometheus's text format.
///
/// It is a recorder of the [`metrics`](https://docs.rs/metrics) facade, so it has the application's own metrics too.
/// Install it before the first call through a storage: what was recorded before is nowhere. An application that has a
/// recorder already needs none of this; boards-storage gives its metrics to whichever is installed.
///
/// # Examples
///
/// ```
/// use boards_storage::PrometheusExporter;
/// use boards_storage::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let exporter = PrometheusExporter::install()?;
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let path = folder.path().join("data");
/// let storage = Storage::builder().local(path).open().await?;
/// storage.store_artifact(NewArtifact::new(ArtifactType::Text), "hello").await?;
/// let text = exporter.render_with(&storage).await?;
/// assert!(text.contains(r#"boards_storage_bytes_total{provider="local",op="upload",direction="in"} 5"#), "{text}");
/// assert!(text.contains(r#"boards_storage_stored_bytes{provider="local",type="text"} 5"#), "{text}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PrometheusExporter {
    handle: PrometheusHandle,
    published: Mutex<BTreeMap<UtilizationKey, Utilization>>,
    upkeep: JoinHandle<()>,
}

impl PrometheusExporter {
    /// The content type of what is rendered.
    pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// Installs the recorder for the whole program.
    ///
    /// Call it within a runtime: a task of it keeps the memory bounded, until the exporter is dropped.
    ///
    /// # Errors
    ///
    /// `Configuration` if there is a recorder already.
    pub fn install() -> Result<Self> {
        let recorder = recorder()?;
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|source| {
            Error::configuration("the program has a recorder of metrics already")
                .with_help("install one exporter, before anything else that records metrics")
                .with_source(source.to_string())
        })?;
        describe_metrics();
        let drained = handle.clone();
        let upkeep = tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP_INTERVAL).await;
                drained.run_upkeep();
            }
        });
        Ok(Self {
            handle,
            published: Mutex::default(),
            upkeep,
        })
    }

    /// Returns the metrics in Prometheus's text format. What is stored is as it was at the last
    /// [`PrometheusExporter::render_with`].
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Returns the metrics, with how much is stored now.
    ///
    /// The catalog counts it, which on a large one takes a while: see
    /// [`Catalog::utilization`](boards_storage_core::Catalog::utilization).
    ///
    /// # Errors
    ///
    /// What the catalog answers.
    pub async fn render_with(&self, storage: &StorageManager) -> Result<String> {
        let now = storage.catalog().utilization().await?;
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        publish_utilization(&published, &now);
        *published = now;
        drop(published);
        Ok(self.render())
    }
}

impl Drop for PrometheusExporter {
    fn drop(&mut self) {
        self.upkeep.abort();
    }
}

fn recorder() -> Result<PrometheusRecorder> {
    let durations = Matcher::Suffix("_seconds".to_owned());
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(durations, &DURATION_BUCKETS)
        .map_err(|source| Error::configuration("the buckets cannot be used").with_source(source))?;
    Ok(builder.build_recorder())
}
