//! The audit log as settings describe it: opened by the builder, read and verified by whoever looks.

use std::path::Path;
use std::sync::Arc;

use boards_storage::layers::AuditOrder;
use boards_storage::prelude::*;
use boards_storage::{
    AuditLog, AuditOperation, AuditQuery, AuditSettings, CatalogSettings, ProviderSettings, Settings,
    SettingsSources, Storage, StorageSettings, ValidationSettings,
};
use boards_storage_testkit::MemoryAudit;

use crate::world::{image, locate};

fn settings(folder: &Path) -> StorageSettings {
    let config = serde_json::json!({ "base_path": folder.join("objects") });
    let mut settings = StorageSettings::new(ProviderSettings::new("local", "local", config));
    settings.data_path = folder.to_owned();
    settings.validation = ValidationSettings::off();
    settings
}

/// Reads an `audit` section as a file has it.
fn audit(json: &str) -> AuditSettings {
    serde_json::from_str(json).expect("valid")
}

async fn work(settings: &StorageSettings, id: &str) {
    let storage = Storage::builder()
        .settings(settings.clone())
        .open()
        .await
        .expect("opened");
    storage.store_artifact(image(id), "bytes").await.expect("stored");
    let read = storage.open_artifact(locate(id), &OpenOptions::default()).await;
    read.expect("opened").bytes(100).await.expect("read");
    storage.close().await.expect("closed");
}

async fn operations(log: &AuditLog, order: AuditOrder, query: AuditQuery) -> Vec<AuditOperation> {
    let mut events = log.reader(order, query).await.expect("opened");
    let mut operations = Vec::new();
    while let Some(entry) = events.next().await.expect("read") {
        operations.push(entry.event.operation);
    }
    operations
}

#[tokio::test]
async fn settings_without_a_word_keep_a_chained_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(folder.path());
    for id in ["a", "b"] {
        work(&settings, id).await;
    }
    let log = AuditLog::open(&settings).await.expect("opened");
    let found = log.verify().await.expect("verified");
    assert!(found.is_whole(), "{found:?}");
    assert_eq!((found.events, found.head.map(|head| head.sequence)), (4, Some(5)));
    assert_eq!(log.folder(), Some(folder.path().join("audit").as_path()));
    log.close().await.expect("closed");
}

#[tokio::test]
async fn a_log_is_read_from_either_end_whatever_keeps_it() {
    for section in [
        r#"{"type": "jsonl"}"#,
        r#"{"type": "sqlite"}"#,
        r#"{"type": "sqlite", "path": "PATH"}"#,
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("own.db").display().to_string();
        let settings = settings(folder.path()).with_audit(audit(&section.replace("PATH", &path)));
        for id in ["a", "b"] {
            work(&settings, id).await;
        }
        let log = AuditLog::open(&settings).await.expect("opened");
        let (store, open) = (AuditOperation::Store, AuditOperation::Open);
        let all = AuditQuery::default();
        let oldest = operations(&log, AuditOrder::OldestFirst, all.clone()).await;
        assert_eq!(oldest, [store, open, store, open], "{section}");
        let newest = operations(&log, AuditOrder::NewestFirst, all.clone()).await;
        assert_eq!(newest, [open, store, open, store], "{section}");
        let of_a = all.clone().with_artifact(ArtifactId::parse("a").expect("an id"));
        assert_eq!(
            operations(&log, AuditOrder::OldestFirst, of_a).await,
            [store, open]
        );
        let stores = all.clone().with_operation(store).with_provider("local");
        assert_eq!(
            operations(&log, AuditOrder::NewestFirst, stores).await,
            [store, store]
        );
        let denied = all.clone().with_principal("nobody");
        assert!(operations(&log, AuditOrder::NewestFirst, denied).await.is_empty());
        let (last, mut later) = log.tail(3, all).await.expect("read");
        let last: Vec<_> = last.iter().map(|entry| entry.event.operation).collect();
        assert_eq!(last, [open, store, open], "{section}");
        assert_eq!(later.next().await.expect("read"), None);
        work(&settings, "c").await;
        assert_eq!(
            later.next().await.expect("read").expect("one").event.operation,
            store
        );
        log.close().await.expect("closed");
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_chained_or_read_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = settings(folder.path()).with_audit(audit(r#"{"type": "sqlite"}"#));
    let log = AuditLog::open(&sqlite).await.expect("opened");
    assert_eq!(
        log.verify().await.expect_err("not chained").kind(),
        ErrorKind::Unsupported
    );
    log.close().await.expect("closed");
    for section in [r#"{"type": "tracing"}"#, r#"{"type": "none"}"#] {
        let settings = settings(folder.path()).with_audit(audit(section));
        work(&settings, "a").await;
        let error = AuditLog::open(&settings).await.expect_err("nothing to read");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
    assert!(!folder.path().join("audit").exists());
}

#[tokio::test]
async fn a_log_that_cannot_be_written_refuses_or_counts() {
    for (on_failure, is_refused) in [("refuse", true), ("count", false)] {
        let folder = tempfile::tempdir().expect("a folder");
        tokio::fs::write(folder.path().join("audit"), "in the way")
            .await
            .expect("written");
        let section = format!(r#"{{"type": "jsonl", "on_failure": "{on_failure}"}}"#);
        let settings = settings(folder.path()).with_audit(audit(&section));
        let storage = Storage::builder()
            .settings(settings)
            .open()
            .await
            .expect("it opens");
        let stored = storage.store_artifact(image("a"), "bytes").await;
        assert_eq!(stored.is_err(), is_refused, "{stored:?}");
        let status = storage.audit().expect("a log").status();
        assert_eq!(status.unrecorded, u64::from(!is_refused));
        assert!(status.failure.expect("told").contains("audit"));
        storage.close().await.expect("closed");
    }
}

#[tokio::test]
async fn a_sink_of_the_programs_takes_the_place_of_the_settings() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = Arc::new(MemoryAudit::default());
    let storage = Storage::builder()
        .settings(settings(folder.path()))
        .audit(Arc::clone(&sink) as Arc<_>)
        .open()
        .await
        .expect("opened");
    storage.store_artifact(image("a"), "bytes").await.expect("stored");
    storage.close().await.expect("closed");
    assert_eq!(sink.events().len(), 1);
    assert!(!folder.path().join("audit").exists());
}

#[tokio::test]
async fn a_catalog_in_memory_keeps_no_head_from_one_run_to_the_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut settings = settings(folder.path());
    settings.catalog = CatalogSettings::Memory {};
    work(&settings, "a").await;
    work(&settings, "b").await;
    let log = AuditLog::open(&settings).await.expect("opened");
    let found = log.verify().await.expect("verified");
    assert!(found.is_whole(), "{found:?}");
    assert_eq!((found.events, found.head), (4, None));
}

#[test]
fn what_is_wrong_with_the_section_is_told_without_the_key() {
    let text = "
storage:
  default_provider: local
  providers:
    local: { type: local, config: { base_path: /x } }
  audit:
    type: jsonl
    key: hunter2-is-short
    previous_keys: [also-hunter2]
    on_failure: panic
    rotation: { size_max: 1KiB, files_max: 1 }
";
    let sources = SettingsSources::new().with_file("storage.yaml", text);
    let registry = Storage::registry().expect("a registry");
    let error = Settings::load(&sources, &registry).expect_err("wrong");
    let told: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
    let told = told.join("\n");
    for field in [
        "audit.key",
        "audit.previous_keys[0]",
        "audit.on_failure",
        "rotation.size_max",
        "rotation.files_max",
    ] {
        assert!(told.contains(field), "{field} in {told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
    let good = text
        .replace("panic", "refuse")
        .replace("1KiB", "1MiB")
        .replace("files_max: 1", "files_max: 10");
    let key = "0123456789abcdef0123456789abcdef";
    let good = good.replace("also-hunter2", key).replace("hunter2-is-short", key);
    let loaded =
        Settings::load(&SettingsSources::new().with_file("storage.yaml", good), &registry).expect("valid");
    assert!(!loaded.to_redacted_value().to_string().contains(key));
    assert!(!format!("{:?}", loaded.settings).contains(key));
}
