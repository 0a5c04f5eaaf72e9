//! From settings to a working storage.

use std::sync::Arc;

use boards_storage::ManagerSettings;
use boards_storage::prelude::*;
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
