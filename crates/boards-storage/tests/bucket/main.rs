//! The whole way down to a bucket: settings, registry, layers, manager, S3.

use boards_storage::prelude::*;
use boards_storage::{
    CallContext, CallOptions, ListOptions, PresignDownloadOptions, ProviderSettings, Result as StorageResult,
};
use boards_storage_testkit::{CurlExecutor, SignedRequestExecutor as _, TestServer};
use futures_util::TryStreamExt as _;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Map, Value, json};

fn main() {
    let trial = match TestServer::find("ceph", "S3") {
        // Whoever left the server out says what is not tested.
        Ok(TestServer::LeftOut) => None,
        Ok(TestServer::Settings(config)) => Some(test(Ok(config))),
        Err(error) => Some(test(Err(format!("{error}; help: {:?}", error.help())))),
    };
    libtest_mimic::run(&Arguments::from_args(), trial.into_iter().collect()).exit();
}

fn test(config: Result<Map<String, Value>, String>) -> Trial {
    Trial::test("an_artifact_goes_to_a_bucket_and_back", move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let config = config.map_err(Failed::from)?;
        let outcome = runtime.block_on(goes_to_a_bucket_and_back(config));
        outcome.map_err(|error| Failed::from(format!("{}: {error}", error.kind())))
    })
}

async fn goes_to_a_bucket_and_back(mut config: Map<String, Value>) -> StorageResult<()> {
    let prefix = format!("artifacts/{:08x}/", rand::random::<u32>());
    config.insert("prefix".to_owned(), json!(prefix));
    // Three parts.
    config.insert("multipart_threshold".to_owned(), json!("1MiB"));
    config.insert("part_size".to_owned(), json!("5MiB"));
    let settings = ProviderSettings::new("bucket", "s3", Value::Object(config));
    let provider = Storage::registry()?.open(&settings).await?;
    let storage = Storage::builder()
        .provider("bucket", provider.clone())
        .open()
        .await?;
    let bytes = bytes::Bytes::from((0..=250).cycle().take(12_000_000).collect::<Vec<u8>>());
    let new = NewArtifact::new(ArtifactType::Image).with_content_type(ContentType::parse("image/png")?);
    let reference = storage.store_artifact(new, Content::from(bytes.clone())).await?;
    let opened = storage.open_artifact(&reference, &OpenOptions::default()).await?;
    assert_eq!(opened.bytes(1 << 30).await?, bytes);
    let listed: Vec<_> = provider
        .list(&ListOptions::default())
        .await?
        .try_collect()
        .await?;
    assert_eq!(listed.len(), 1, "one object: {listed:?}");
    assert_eq!(listed[0].name(), reference.storage_key.as_str());
    let url = storage
        .get_download_url(&reference, &PresignDownloadOptions::default())
        .await?;
    let answer = CurlExecutor::new()
        .send(&url.request, bytes::Bytes::new())
        .await?;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("image/png"))
    );
    assert_eq!(answer.body, bytes);
    storage
        .delete_variant(&reference, &CallContext::default())
        .await?;
    assert!(
        !provider
            .exists(&reference.storage_key, &CallOptions::default())
            .await?
    );
    Ok(())
}
