//! A double, a provider over it, and requests past the provider.

use boards_storage_core::{
    CallOptions, Content, DownloadOptions, ObjectMetadata, Result, StorageKey, StorageProvider, UploadOptions,
};
use boards_storage_supabase::{SupabaseProvider, SupabaseSettings};
use boards_storage_testkit::{SupabaseDouble, SupabaseOptions};
use bytes::Bytes;
use serde_json::Value;

pub(crate) const BUCKET: &str = "artifacts";

pub(crate) struct Place {
    pub(crate) double: SupabaseDouble,
    pub(crate) provider: SupabaseProvider,
}

pub(crate) fn key(text: &str) -> StorageKey {
    StorageKey::parse(text).expect("a key")
}

impl Place {
    pub(crate) async fn open() -> Self {
        Self::open_with(SupabaseOptions::default(), |settings| settings).await
    }

    pub(crate) async fn open_with(
        options: SupabaseOptions,
        change: impl FnOnce(SupabaseSettings) -> SupabaseSettings,
    ) -> Self {
        let options = options.with_user_bucket(BUCKET.to_owned());
        let double = SupabaseDouble::start(options).await.expect("a free port");
        let settings = SupabaseSettings::new(double.url(), double.service_key(), BUCKET).with_create_bucket();
        let provider = SupabaseProvider::open("supabase", change(settings))
            .await
            .expect("opened");
        Self { double, provider }
    }

    pub(crate) async fn put(&self, name: &str, content: impl Into<Content>) -> Result<ObjectMetadata> {
        let options = UploadOptions::default();
        self.provider.upload(&key(name), content.into(), &options).await
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

    /// Sends a request with the service's key, past the provider.
    pub(crate) async fn raw(
        &self,
        method: reqwest::Method,
        route: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> reqwest::Response {
        let url = format!("{}/storage/v1/{route}", self.double.url());
        let mut request = reqwest::Client::new()
            .request(method, url)
            .bearer_auth(self.double.service_key())
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.expect("an answer")
    }

    /// Limits the bucket.
    pub(crate) async fn limit(&self, limits: Value) {
        let headers = [("content-type", "application/json")];
        let route = format!("bucket/{BUCKET}");
        let answer = self
            .raw(reqwest::Method::PUT, &route, &headers, limits.to_string())
            .await;
        assert!(answer.status().is_success(), "{}", answer.status());
    }
}
