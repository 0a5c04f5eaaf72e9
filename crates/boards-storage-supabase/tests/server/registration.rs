//! The provider as settings name it.

use boards_storage_core::{CallOptions, ErrorKind, ProviderSettings, Registry};
use serde_json::{Value, json};

use crate::support::{BUCKET, Place};

fn settings(config: Value) -> ProviderSettings {
    ProviderSettings::new("cloud", "supabase", config)
}

#[tokio::test]
async fn settings_open_it() {
    let place = Place::open().await;
    let registry = Registry::compiled_in().expect("a registry");
    let config = json!({
        "url": place.double.url(), "key": place.double.service_key(), "bucket": BUCKET,
        "resumable_chunk_size": 1_048_576, "request_timeout": "5s",
    });
    let provider = registry.open(&settings(config)).await.expect("opened");
    provider.probe(&CallOptions::default()).await.expect("reached");
    assert_eq!(provider.info().kind, "supabase");
    assert_eq!(
        provider.capabilities().part_rules.expect("parts").size_bytes_max,
        1 << 20
    );
}

#[tokio::test]
async fn wrong_settings_are_refused() {
    let registry = Registry::compiled_in().expect("a registry");
    for (config, name) in [
        (json!({ "url": "https://a.co", "key": "hunter2" }), "bucket"),
        (
            json!({ "url": "https://a.co", "key": "hunter2", "bucket": "b", "regoin": "x" }),
            "regoin",
        ),
        (
            json!({ "url": "https://a.co", "key": "hunter2", "bucket": "sign" }),
            "bucket",
        ),
        (json!({ "url": "a.co", "key": "hunter2", "bucket": "b" }), "url"),
    ] {
        let error = registry.open(&settings(config)).await.expect_err("refused");
        assert_eq!(
            (error.kind(), error.provider()),
            (ErrorKind::Configuration, Some("cloud"))
        );
        assert!(error.message().contains(name), "{error}");
    }
}
