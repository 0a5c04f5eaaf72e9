//! A provider, the SDK's own client beside it, and a prefix that no other test has.

use aws_sdk_s3::Client;
use boards_storage_core::{
    BoxFuture, CallOptions, DownloadOptions, Error, ErrorKind, ObjectMetadata, Result, StorageKey,
    StorageProvider as _,
};
use boards_storage_s3::{S3Provider, S3Settings};
use boards_storage_testkit::TestServer;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::support;

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
    pub(crate) provider: S3Provider,
    pub(crate) raw: Client,
    config: Map<String, Value>,
    prefix: String,
}

impl World {
    pub(crate) async fn open() -> Result<Self> {
        let TestServer::Settings(mut config) = TestServer::find("ceph", "S3")? else {
            return Err(Error::configuration("the server is left out"));
        };
        let prefix = format!("live/{:08x}/", rand::random::<u32>());
        config.insert("prefix".to_owned(), prefix.clone().into());
        Ok(Self {
            provider: open(&config).await?,
            raw: support::client(&config),
            config,
            prefix,
        })
    }

    /// Opens the same bucket with other settings.
    pub(crate) async fn with(&self, changes: Value) -> Result<S3Provider> {
        let mut config = self.config.clone();
        config.extend(changes.as_object().cloned().unwrap_or_default());
        open(&config).await
    }

    /// A provider whose uploads go in parts of 5 MiB, two at a time.
    pub(crate) async fn in_parts(&self) -> Result<S3Provider> {
        self.with(json!({ "multipart_threshold": 1000, "part_size": "5MiB", "concurrency": 2 }))
            .await
    }

    pub(crate) fn bucket(&self) -> &str {
        self.config
            .get("bucket")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Returns how a name of this test is called in the bucket.
    pub(crate) fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
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
        let request = self
            .raw
            .list_objects_v2()
            .bucket(self.bucket())
            .prefix(&self.prefix);
        let answer = request.send().await.map_err(support::failed)?;
        let names = answer.contents().iter().filter_map(|object| object.key());
        Ok(names
            .map(|name| name.trim_start_matches(&self.prefix).to_owned())
            .collect())
    }

    /// Counts the uploads in parts of this test that are neither completed nor aborted.
    pub(crate) async fn open_uploads(&self) -> Result<usize> {
        let request = self
            .raw
            .list_multipart_uploads()
            .bucket(self.bucket())
            .prefix(&self.prefix);
        Ok(request.send().await.map_err(support::failed)?.uploads().len())
    }
}

async fn open(config: &Map<String, Value>) -> Result<S3Provider> {
    let settings: S3Settings = serde_json::from_value(Value::Object(config.clone()))
        .map_err(|source| Error::configuration("the environment's settings").with_source(source))?;
    S3Provider::open("s3", settings).await
}

#[track_caller]
pub(crate) fn key(name: &str) -> StorageKey {
    StorageKey::parse(name).expect("tests use valid names")
}

/// Checks that a call failed with that kind, and returns the error.
#[track_caller]
pub(crate) fn refused<T>(outcome: Result<T>, kind: ErrorKind) -> Error {
    match outcome {
        Err(error) if error.kind() == kind => error,
        Err(error) => panic!("expected {kind}, got {}: {error}", error.kind()),
        Ok(_) => panic!("expected {kind}, got an answer"),
    }
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
