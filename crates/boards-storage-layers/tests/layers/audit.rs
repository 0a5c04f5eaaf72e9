//! The audit log in files: what is written, read back, and found out.

#![expect(
    clippy::disallowed_methods,
    reason = "these tests prepare files and look at what the log left, as ordinary blocking programs"
)]

mod chain;
mod disk;
mod reader;
mod tampering;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{
    ArtifactId, AuditEvent, AuditOperation, AuditSink, CallContext, Catalog, MemoryCatalog, Principal, Secret,
};
use boards_storage_layers::{AuditKey, AuditKeys, AuditVerification, JsonlConfig, JsonlSink, verify_audit};
use boards_storage_testkit::ManualClock;
use tempfile::TempDir;

/// A log in a folder of its own, its catalog and its clock.
struct Log {
    folder: TempDir,
    catalog: Arc<MemoryCatalog>,
    clock: Arc<ManualClock>,
}

impl Log {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            catalog: Arc::new(MemoryCatalog::default()),
            clock: Arc::new(ManualClock::default()),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit")
    }

    fn config(&self) -> JsonlConfig {
        JsonlConfig::new(self.path()).with_keys(keys())
    }

    /// Opens the log, as another process would.
    fn open(&self) -> JsonlSink {
        self.open_with(self.config())
    }

    fn open_with(&self, config: JsonlConfig) -> JsonlSink {
        JsonlSink::new(config)
            .with_catalog(Arc::clone(&self.catalog) as Arc<_>)
            .with_clock(Arc::clone(&self.clock) as Arc<_>)
    }

    async fn verify(&self) -> AuditVerification {
        let head = self.catalog.audit_head("audit").await.expect("asked");
        verify_audit(self.path(), keys(), head).await.expect("read")
    }

    /// Returns the names of the log's files.
    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.path())
            .expect("the folder")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .filter(|name| name.ends_with(".jsonl"))
            .collect();
        names.sort();
        names
    }

    fn next_day(&self) {
        self.clock.advance(Duration::from_hours(24));
    }
}

fn keys() -> AuditKeys {
    AuditKeys::new(key("0123456789abcdef0123456789abcdef"))
}

fn key(text: &str) -> AuditKey {
    AuditKey::new(&Secret::new(text)).expect("long enough")
}

/// Events that can be told apart.
fn events(names: &[&str]) -> Vec<AuditEvent> {
    let context = CallContext::default().with_principal(Principal::new("ada"));
    names
        .iter()
        .map(|name| {
            let mut event = AuditEvent::new(AuditOperation::Store, &context);
            event.artifact = Some(ArtifactId::parse(name).expect("an id"));
            event
        })
        .collect()
}

async fn append(sink: &JsonlSink, names: &[&str]) {
    sink.append(&events(names)).await.expect("appended");
}

fn name_of(event: &AuditEvent) -> String {
    event.artifact.as_ref().expect("it has one").to_string()
}

fn file(number: u32) -> String {
    format!("audit-{number:08}.jsonl")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a text")
}
