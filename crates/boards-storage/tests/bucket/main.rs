//! The whole way down to a bucket: settings, registry, layers, manager, S3.

use boards_storage::prelude::*;
use boards_storage::{
    BoxFuture, CallContext, CallOptions, ListOptions, Precondition, PresignDownloadOptions, ProviderSettings,
    Result as StorageResult, SharedProvider, UploadOptions, ValidationSettings,
};
use boards_storage_testkit::proxy::{Fault, FaultProxy, Rule};
use boards_storage_testkit::{CurlExecutor, SignedRequestExecutor as _, TestServer};
use futures_util::TryStreamExt as _;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Map, Value, json};

type Test = (
    &'static str,
    fn(Map<String, Value>) -> BoxFuture<'static, StorageResult<()>>,
);

const TESTS: [Test; 2] = [
    ("an_artifact_goes_to_a_bucket_and_back", |config| {
        Box::pin(goes_to_a_bucket_and_back(config))
    }),
    ("a_write_whose_answer_was_lost_is_settled", |config| {
        Box::pin(lost_answers_are_settled(config))
    }),
];

fn main() {
    let config = match TestServer::find("ceph", "S3") {
        // Whoever left the server out says what is not tested.
        Ok(TestServer::LeftOut) => None,
        Ok(TestServer::Settings(config)) => Some(Ok(config)),
        Err(error) => Some(Err(format!("{error}; help: {:?}", error.help()))),
    };
    let trials = config
        .into_iter()
        .flat_map(|config| TESTS.map(|test| trial(test, config.clone())));
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

fn trial((name, run): Test, config: Result<Map<String, Value>, String>) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let mut config = config.map_err(Failed::from)?;
        let prefix = format!("artifacts/{:08x}/", rand::random::<u32>());
        config.insert("prefix".to_owned(), json!(prefix));
        let outcome = runtime.block_on(run(config));
        outcome.map_err(|error| Failed::from(format!("{}: {error}", error.kind())))
    })
}

async fn open(config: Map<String, Value>) -> StorageResult<(StorageManager, SharedProvider)> {
    let settings = ProviderSettings::new("bucket", "s3", Value::Object(config));
    let provider = Storage::registry()?.open(&settings).await?;
    let storage = Storage::builder()
        .provider("bucket", provider.clone())
        .validation(ValidationSettings::off())
        .open()
        .await?;
    Ok((storage, provider))
}

/// The store commits, and its answer is lost: the retry layer finds its own write by its name.
async fn lost_answers_are_settled(mut config: Map<String, Value>) -> StorageResult<()> {
    let endpoint = config.get("endpoint").and_then(Value::as_str).unwrap_or_default();
    let proxy = FaultProxy::start(endpoint).await.expect("a port");
    config.insert("endpoint".to_owned(), json!(proxy.endpoint()));
    let lose_put = || Rule::new(Fault::LoseAnswer).with_method("PUT");
    let (storage, _) = open(config).await?;
    let provider = storage.provider("bucket")?;
    let key = StorageKey::parse("a")?;
    let if_absent = UploadOptions::default().with_precondition(Precondition::IfAbsent);
    proxy.inject(lose_put());
    provider.upload(&key, "own".into(), &if_absent).await?;
    assert_eq!(proxy.totals().faults, 1);
    let taken = provider.upload(&key, "other".into(), &if_absent).await;
    assert_eq!(
        taken.map_err(|error| error.kind()).err(),
        Some(ErrorKind::AlreadyExists)
    );
    proxy.inject(lose_put());
    let reference = storage
        .store_artifact(NewArtifact::new(ArtifactType::Text), "an artifact")
        .await?;
    assert_eq!((proxy.totals().faults, reference.version), (2, 1));
    let names: Vec<_> = provider
        .list(&ListOptions::default())
        .await?
        .map_ok(|entry| entry.name().to_owned())
        .try_collect()
        .await?;
    assert_eq!(names, ["a", reference.storage_key.as_str()], "nothing twice");
    let read = provider
        .download(&key, &Default::default())
        .await?
        .into_object()?;
    assert_eq!(read.bytes(100).await?, "own");
    Ok(())
}

async fn goes_to_a_bucket_and_back(mut config: Map<String, Value>) -> StorageResult<()> {
    // Three parts.
    config.insert("multipart_threshold".to_owned(), json!("1MiB"));
    config.insert("part_size".to_owned(), json!("5MiB"));
    let (storage, provider) = open(config).await?;
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
