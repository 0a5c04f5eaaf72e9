//! The provider is found by its type in the settings, though nothing here names it but the `use` line.

use boards_storage::prelude::*;
use boards_storage::{Settings, SettingsSources};
use boards_storage_scratch as _;

const STORAGE_YAML: &str = "
storage:
  default_provider: main
  catalog: { type: memory }
  providers:
    main:
      type: scratch
      config:
        size_bytes_max: 10
";

#[tokio::test]
async fn the_provider_is_selected_in_yaml() {
    let registry = Storage::registry().expect("a registry");
    let sources = SettingsSources::new().with_file("storage.yaml", STORAGE_YAML);
    let loaded = Settings::load(&sources, &registry).expect("valid settings");
    let storage = Storage::builder()
        .settings(loaded.settings.storage)
        .open()
        .await
        .expect("opened");
    let reference = storage
        .store_artifact(NewArtifact::new(ArtifactType::Text), "hello")
        .await
        .expect("stored");
    assert_eq!(reference.storage_provider, "main");
    let download = storage
        .open_artifact(&reference, &OpenOptions::default())
        .await
        .expect("opened");
    assert_eq!(&download.bytes(10).await.expect("read")[..], b"hello");
    let too_large = storage
        .store_artifact(NewArtifact::new(ArtifactType::Text), "hello hello")
        .await;
    assert_eq!(
        too_large.expect_err("above its limit").kind(),
        ErrorKind::InvalidInput
    );
}
