//! How many operations a second the audit log records in a folder: `cargo bench -p boards-storage --bench audit -- FOLDER…`.
//!
//! The operation is the cheapest that there is, a listing of a catalog in memory, so what is measured is the event: a
//! flush of the log and one of the head in SQLite.

#![expect(clippy::print_stdout, reason = "a benchmark's report")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use boards_storage::layers::{JsonlConfig, JsonlSink};
use boards_storage::{
    AuditOptions, AuditTrail, Catalog, ManagerSettings, MemoryCatalog, Result, StorageManager, SystemClock,
};
use boards_storage_catalog::SqliteCatalog;
use tokio::task::JoinSet;

/// How long each figure is measured.
const TIME: Duration = Duration::from_secs(5);

fn main() {
    let folders: Vec<PathBuf> = std::env::args_os()
        .skip(1)
        .filter(|argument| !argument.to_string_lossy().starts_with('-'))
        .map(PathBuf::from)
        .collect();
    let folders = if folders.is_empty() {
        vec![std::env::temp_dir()]
    } else {
        folders
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    for folder in folders {
        for tasks in [1, 16, 64] {
            let (events, appends) = runtime.block_on(measure(&folder, tasks)).expect("measured");
            let seconds = TIME.as_secs_f64();
            println!(
                "{}: {tasks} tasks: {:.0} events/s, {:.1} events per flush",
                folder.display(),
                events as f64 / seconds,
                events as f64 / appends as f64
            );
        }
    }
}

/// Returns how many events were recorded, and in how many flushes.
async fn measure(folder: &Path, tasks: usize) -> Result<(u64, u64)> {
    let folder = tempfile::tempdir_in(folder).expect("a folder");
    let catalog = Arc::new(SqliteCatalog::open(folder.path().join("catalog.db")).await?);
    let sink = JsonlSink::new(JsonlConfig::new(folder.path().join("audit")))
        .with_catalog(Arc::clone(&catalog) as Arc<_>);
    let sink = Arc::new(Counting {
        sink,
        appends: AtomicU64::new(0),
    });
    let trail = AuditTrail::start(
        Arc::clone(&sink) as Arc<_>,
        AuditOptions::default(),
        Arc::new(SystemClock),
    );
    let manager = StorageManager::new(ManagerSettings::new("main"), Arc::new(MemoryCatalog::default()))
        .with_audit(trail.clone());
    let end = Instant::now() + TIME;
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        let manager = manager.clone();
        running.spawn(async move {
            while Instant::now() < end {
                manager.list_artifacts(&Default::default()).await?;
            }
            Ok::<(), boards_storage::Error>(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.expect("it does not panic")?;
    }
    trail.close().await?;
    catalog.close().await?;
    let appends = sink.appends.load(Ordering::Relaxed);
    Ok((trail.status().recorded, appends))
}

/// Counts how often events are written.
#[derive(Debug)]
struct Counting {
    sink: JsonlSink,
    appends: AtomicU64,
}

#[boards_storage::async_trait]
impl boards_storage::AuditSink for Counting {
    async fn append(&self, events: &[boards_storage::AuditEvent]) -> Result<()> {
        self.appends.fetch_add(1, Ordering::Relaxed);
        self.sink.append(events).await
    }
}
