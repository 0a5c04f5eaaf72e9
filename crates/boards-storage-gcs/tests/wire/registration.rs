//! The provider as settings name it.

use boards_storage_core::{
    CallOptions, Capability, ErrorKind, OperationKind, PreconditionKind, ProviderSettings, Registry,
};
use boards_storage_gcs as _;
use serde_json::{Value, json};

use crate::server::{Server, answer, key};

fn settings(config: Value) -> ProviderSettings {
    ProviderSettings::new("cloud", "gcs", config)
}

#[tokio::test]
async fn settings_open_it() {
    let server = Server::start([("/o?", answer(200, "{}"))]).await;
    let registry = Registry::compiled_in().expect("a registry");
    let config = json!({
        "bucket": "media", "endpoint": server.url, "prefix": "boards/", "project": "payer",
        "credentials": { "type": "anonymous" }, "storage_class": "NEARLINE", "kms_key_name": "projects/p/k",
        "public_url_base": "https://cdn.example.org/media/", "resumable_threshold": "1MiB", "chunk_size": "512KiB",
        "preconditions": "all", "versions": true, "connect_timeout": "2s", "request_timeout": "5s",
        "read_timeout": "5s", "idle_max": 4,
    });
    let provider = registry.open(&settings(config)).await.expect("opened");
    provider.probe(&CallOptions::default()).await.expect("reached");
    assert_eq!(provider.info().kind, "gcs");
    let capabilities = provider.capabilities();
    assert!(capabilities.has(Capability::ReadVersion) && !capabilities.has(Capability::PresignedUpload));
    assert!(capabilities.has_precondition(OperationKind::Copy, PreconditionKind::IfMatch));
    let url = provider
        .public_url(&key("a b"), &CallOptions::default())
        .await
        .expect("a URL");
    assert_eq!(url, "https://cdn.example.org/media/a%20b");
    server.asked()[0].has(&["prefix=boards%2F", "maxResults=1"]);
}

#[tokio::test]
async fn wrong_settings_are_refused() {
    let registry = Registry::compiled_in().expect("a registry");
    for (config, name) in [
        (json!({ "endpoint": "https://a.co" }), "bucket"),
        (json!({ "bucket": "media", "regoin": "x" }), "regoin"),
        (
            json!({ "bucket": "media", "credentials": { "type": "key" } }),
            "json",
        ),
        (
            json!({ "bucket": "media", "credentials": { "type": "key", "json": "hunter2" } }),
            "credentials.json",
        ),
        (
            json!({ "bucket": "media", "credentials": { "type": "key_file", "path": "no/such" } }),
            "credentials.path",
        ),
        (
            json!({ "bucket": "media", "preconditions": "some" }),
            "preconditions",
        ),
        (json!({ "bucket": "media", "chunk_size": "1MB" }), "chunk_size"),
    ] {
        let error = registry.open(&settings(config)).await.expect_err(name);
        assert_eq!(
            (error.kind(), error.provider()),
            (ErrorKind::Configuration, Some("cloud"))
        );
        assert!(error.message().contains(name), "{name}: {error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}
