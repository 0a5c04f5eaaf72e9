//! From settings to a working storage.

use std::sync::Arc;

use boards_storage::prelude::*;
use boards_storage::{EndKind, ManagerSettings, MetricLevel};
use boards_storage_testkit::MemoryProvider;

use crate::world::check_kind;

#[cfg(all(feature = "local", feature = "sqlite"))]
#[tokio::test]
async fn the_embedded_default_keeps_everything_across_openings() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data");
    let new = || NewArtifact::new(ArtifactType::Text).with_artifact(ArtifactId::parse("a").expect("an id"));
    let storage = Storage::builder().local(&path).open().await.expect("opened");
    let stored = storage.store_artifact(new(), "kept").await.expect("stored");
    storage.close().await.expect("closed");
    let storage = Storage::builder()
        .local(&path)
        .open()
        .await
        .expect("opened again");
    let found = storage
        .get_artifact_reference(ArtifactLocator::from(&stored))
        .await
        .expect("found");
    assert_eq!(found, stored);
    let download = storage
        .open_artifact(&found, &OpenOptions::default())
        .await
        .expect("opened");
    assert_eq!(&download.bytes(10).await.expect("read")[..], b"kept");
    assert!(
        path.join("objects").join(stored.storage_key.as_str()).is_file(),
        "the payload is a plain file"
    );
}

/// Counts what a store and a read through the manager are made of.
async fn count_calls(storage: &StorageManager) -> u64 {
    let stored = storage
        .store_artifact(NewArtifact::new(ArtifactType::Text), "hello")
        .await
        .expect("stored");
    storage
        .open_artifact(&stored, &OpenOptions::default())
        .await
        .expect("opened")
        .bytes(10)
        .await
        .expect("read");
    let metrics = storage.metrics().await.expect("a snapshot");
    let stored: u64 = metrics
        .storage_utilization
        .values()
        .map(|stored| stored.bytes)
        .sum();
    assert_eq!(stored, 5, "what is stored is told with and without counters");
    let calls = metrics.count_of(MetricLevel::Call, |key| key.end == EndKind::Ok);
    let attempts = metrics.count_of(MetricLevel::Attempt, |key| key.end == EndKind::Ok);
    assert_eq!(calls, attempts);
    calls
}

#[tokio::test]
async fn metrics_are_on_unless_the_settings_switch_them_off() {
    let storage = Storage::builder()
        .provider("main", MemoryProvider::new())
        .open()
        .await
        .expect("opened");
    assert_eq!(count_calls(&storage).await, 2, "an upload and a download");
}

#[cfg(all(feature = "local", feature = "sqlite"))]
#[tokio::test]
async fn metrics_can_be_switched_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = format!(
        "storage: {{default_provider: local, data_path: {0}, metrics: {{enabled: false}}, \
         providers: {{local: {{type: local, config: {{base_path: {0}/objects}}}}}}}}",
        folder.path().display()
    );
    let sources = boards_storage::SettingsSources::new().with_file("storage.yaml", text);
    let registry = Storage::registry().expect("a registry");
    let loaded = boards_storage::Settings::load(&sources, &registry).expect("valid");
    let storage = Storage::builder()
        .settings(loaded.settings.storage)
        .open()
        .await
        .expect("opened");
    assert_eq!(count_calls(&storage).await, 0);
}

#[tokio::test]
async fn a_storage_without_a_provider_is_refused() {
    check_kind(Storage::builder().open().await, ErrorKind::Configuration);
    let missing = Storage::builder()
        .provider("a", MemoryProvider::new())
        .default_provider("b")
        .open()
        .await;
    let error = check_kind(missing, ErrorKind::Configuration);
    assert!(error.to_string().contains("'b'"), "{error}");
}

#[tokio::test]
async fn a_provider_given_by_hand_is_the_default() {
    let storage = Storage::builder()
        .provider("mine", MemoryProvider::new() as Arc<_>)
        .open()
        .await
        .expect("opened");
    let stored = storage
        .store_artifact(NewArtifact::new(ArtifactType::Text), "x")
        .await
        .expect("stored");
    assert_eq!(stored.storage_provider, "mine");
    assert_eq!(
        storage.settings().default_provider,
        ManagerSettings::new("mine").default_provider
    );
}

#[test]
fn official_types_that_are_not_compiled_in_are_known() {
    let registry = Storage::registry().expect("a registry");
    assert!(registry.known_kinds().any(|kind| kind == "s3"));
    let error = check_kind(registry.find("s3"), ErrorKind::Configuration);
    assert!(
        error.help().is_some_and(|help| help.contains("feature 's3'")),
        "{error}"
    );
    #[cfg(feature = "local")]
    assert!(registry.find("local").is_ok());
}
