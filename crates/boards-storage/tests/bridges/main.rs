//! Artifacts go through the whole stack to a bridge, and an engine reads them back as an `object_store`.

use std::sync::Arc;

use boards_storage::bridges::{ObjectStoreProvider, ProviderStore};
use boards_storage::prelude::*;
use boards_storage::{Capability, ProviderSettings, SharedProvider, ValidationSettings};
use object_store::ObjectStoreExt as _;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;

async fn check(provider: SharedProvider) {
    let storage = Storage::builder().provider("bridge", Arc::clone(&provider));
    let storage = storage.open().await.expect("opened");
    let artifact =
        NewArtifact::new(ArtifactType::Text).with_content_type("text/plain".parse().expect("a type"));
    let reference = storage.store_artifact(artifact, "hello").await.expect("stored");
    let opened = storage
        .open_artifact(&reference, &OpenOptions::default())
        .await
        .expect("there");
    assert_eq!(opened.bytes(100).await.expect("read"), "hello");

    let store = ProviderStore::new(provider);
    let path = Path::parse(reference.storage_key.as_str()).expect("a path");
    let found = store
        .get(&path)
        .await
        .expect("there")
        .bytes()
        .await
        .expect("read");
    assert_eq!(found, "hello");
}

#[tokio::test]
async fn artifacts_go_to_an_opendal_service_by_settings() {
    let config = serde_json::json!({ "scheme": "memory", "prefix": "artifacts" });
    let settings = ProviderSettings::new("bridge", "opendal", config);
    let registry = Storage::registry().expect("one of each");
    check(registry.open(&settings).await.expect("compiled in")).await;
}

#[tokio::test]
async fn artifacts_go_to_an_object_store() {
    let provider = ObjectStoreProvider::builder(Arc::new(InMemory::new())).build();
    check(Arc::new(provider.expect("built"))).await;
}

/// A plain folder keeps no content type: the record has it.
async fn check_without_types(provider: SharedProvider) {
    assert!(!provider.capabilities().has(Capability::ContentType));
    check(Arc::clone(&provider)).await;
    let storage = Storage::builder()
        .provider("bridge", provider)
        .validation(ValidationSettings::off());
    let storage = storage.open().await.expect("opened");
    let image = NewArtifact::new(ArtifactType::Image)
        .with_content_type("image/png".parse().expect("a type"))
        .with_user_metadata("camera", "Größe 1");
    let stored = storage.store_artifact(image, "pixels").await.expect("stored");
    assert_eq!(stored.content_type.as_str(), "image/png");
    let opened = storage.open_artifact(&stored, &OpenOptions::default()).await;
    let opened = opened.expect("there");
    let attributes = &opened.metadata().attributes;
    assert_eq!(attributes.content_type.as_ref(), Some(&stored.content_type));
    assert_eq!(attributes.user_metadata["camera"], "Größe 1");
}

#[tokio::test]
async fn artifacts_go_to_a_folder_that_opendal_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = serde_json::json!({
        "scheme": "fs",
        "options": { "root": folder.path().join("root"), "atomic_write_dir": folder.path().join("new") },
    });
    let settings = ProviderSettings::new("bridge", "opendal", config);
    let registry = Storage::registry().expect("one of each");
    check_without_types(registry.open(&settings).await.expect("compiled in")).await;
}

#[tokio::test]
async fn artifacts_go_to_a_folder_that_object_store_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = LocalFileSystem::new_with_prefix(folder.path()).expect("opened");
    let provider = ObjectStoreProvider::builder(Arc::new(store)).build();
    check_without_types(Arc::new(provider.expect("built"))).await;
}
