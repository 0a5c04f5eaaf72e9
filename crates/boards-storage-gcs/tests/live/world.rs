//! A provider, the bare protocol beside it, and a prefix that no other test has.

use boards_storage_core::{
    BoxFuture, CallOptions, DownloadOptions, Error, ErrorKind, ObjectMetadata, Result, StorageKey,
    StorageProvider as _,
};
use boards_storage_gcs::{GcsProvider, GcsSettings};
use boards_storage_testkit::TestServer;
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// The key of an account that does not exist, published by Google beside its vectors.
const KEY: &str = include_str!("../fixtures/test_service_account.not-a-test.json");

/// A test and its name.
pub(crate) type Test = (&'static str, fn(World) -> BoxFuture<'static, Result<()>>);

/// Makes the table of a file's tests.
macro_rules! tests {
    ($group:literal: $( $name:ident )*) => {
        pub(crate) const TESTS: &[crate::world::Test] = &[ $(
            (concat!($group, "::", stringify!($name)), |world| Box::pin($name(world))),
        )* ];
    };
}
pub(crate) use tests;

/// What a test has.
pub(crate) struct World {
    pub(crate) provider: GcsProvider,
    raw: reqwest::Client,
    config: Map<String, Value>,
    prefix: String,
}

impl World {
    pub(crate) async fn open() -> Result<Self> {
        let TestServer::Settings(mut config) = TestServer::find("fake-gcs", "GCS")? else {
            return Err(Error::configuration("the server is left out"));
        };
        let prefix = format!("live/{:08x}/", rand::random::<u32>());
        config.insert("prefix".to_owned(), prefix.clone().into());
        config.insert("preconditions".to_owned(), "single_uploads".into());
        config.insert("signer".to_owned(), json!({ "type": "key", "json": KEY }));
        Ok(Self {
            provider: open(&config).await?,
            raw: reqwest::Client::new(),
            config,
            prefix,
        })
    }

    /// Opens the same bucket with other settings.
    pub(crate) async fn with(&self, changes: Value) -> Result<GcsProvider> {
        let mut config = self.config.clone();
        config.extend(changes.as_object().cloned().unwrap_or_default());
        open(&config).await
    }

    fn objects_url(&self, route: &str) -> String {
        let text = |name: &str| self.config.get(name).and_then(Value::as_str).unwrap_or_default();
        format!("{}/{route}storage/v1/b/{}/o", text("endpoint"), text("bucket"))
    }

    pub(crate) async fn read(&self, name: &str) -> Result<Bytes> {
        let download = self
            .provider
            .download(&key(name), &DownloadOptions::default())
            .await?;
        download.into_object()?.bytes(64 << 20).await
    }

    pub(crate) async fn head(&self, name: &str) -> Result<ObjectMetadata> {
        self.provider.metadata(&key(name), &CallOptions::default()).await
    }

    /// Lists what is in the bucket, as it is.
    pub(crate) async fn raw_names(&self) -> Result<Vec<String>> {
        let url = format!(
            "{}?prefix={}",
            self.objects_url(""),
            self.prefix.replace('/', "%2F")
        );
        let answer = self.raw.get(url).send().await.map_err(failed)?;
        let page: Value = serde_json::from_slice(&answer.bytes().await.map_err(failed)?).expect("JSON");
        let items = page["items"].as_array().cloned().unwrap_or_default();
        let names = items.iter().filter_map(|item| item["name"].as_str());
        Ok(names
            .map(|name| name.trim_start_matches(&self.prefix).to_owned())
            .collect())
    }

    /// Writes an object as another program would.
    pub(crate) async fn raw_put(&self, name: &str, fields: Value, bytes: &str) -> Result<()> {
        let mut said = fields;
        said["name"] = format!("{}{name}", self.prefix).into();
        let body = format!(
            "--b\r\ncontent-type: application/json\r\n\r\n{said}\r\n--b\r\ncontent-type: text/x-raw\r\n\r\n{bytes}\r\n--b--\r\n"
        );
        let url = format!("{}?uploadType=multipart", self.objects_url("upload/"));
        let request = self
            .raw
            .post(url)
            .header("content-type", "multipart/related; boundary=b");
        let answer = request.body(body).send().await.map_err(failed)?;
        assert!(answer.status().is_success(), "{}", answer.status());
        Ok(())
    }
}

fn failed(source: reqwest::Error) -> Error {
    Error::new(ErrorKind::Storage, "the bare protocol failed").with_source(source)
}

async fn open(config: &Map<String, Value>) -> Result<GcsProvider> {
    let settings: GcsSettings = serde_json::from_value(Value::Object(config.clone()))
        .map_err(|source| Error::configuration("the environment's settings").with_source(source))?;
    GcsProvider::open("gcs", settings).await
}

#[track_caller]
pub(crate) fn key(name: &str) -> StorageKey {
    StorageKey::parse(name).expect("tests use valid names")
}

/// Reproducible bytes that do not repeat (xorshift64).
pub(crate) fn pattern(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}
