//! Requests to the store: addresses, who asks, time limits, and answers turned into values or errors.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{Error, Result, StorageKey};
use bytes::Bytes;
use http::HeaderMap;
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::credentials::Identity;
use crate::encoding::{encode_path, encode_segment};
use crate::error::{Asked, outcome_unknown, unexpected};
use crate::settings::GcsSettings;

/// No refusal that is read is longer, in bytes.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// A connection pool to one bucket. A clone is cheap.
#[derive(Clone)]
pub(crate) struct Client(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    settings: GcsSettings,
    identity: Identity,
    request_timeout: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("location", &self.location())
            .finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) async fn open(settings: GcsSettings) -> Result<Self> {
        settings.validate()?;
        let http = reqwest::Client::builder()
            .connect_timeout(settings.connect_timeout.get())
            .read_timeout(settings.read_timeout.get())
            .pool_max_idle_per_host(settings.idle_max)
            .user_agent(concat!("boards-storage/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .build()
            .map_err(|source| {
                Error::configuration("the HTTP client could not be made").with_source(source.without_url())
            })?;
        let identity = Identity::open(&settings).await?;
        Ok(Self(Arc::new(Inner {
            http,
            request_timeout: settings.request_timeout.get(),
            settings,
            identity,
        })))
    }

    pub(crate) fn settings(&self) -> &GcsSettings {
        &self.0.settings
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.0.identity
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.0.http
    }

    pub(crate) fn location(&self) -> String {
        let settings = self.settings();
        let location = format!("gs://{}/{}", settings.bucket, settings.prefix);
        match &settings.endpoint {
            Some(endpoint) => format!("{location} at {endpoint}"),
            None => location,
        }
    }

    /// Returns how a key is called in the bucket.
    pub(crate) fn full(&self, key: &StorageKey) -> String {
        format!("{}{key}", self.settings().prefix)
    }

    /// Returns the URL of the bucket's objects.
    pub(crate) fn objects_url(&self) -> String {
        let settings = self.settings();
        format!("{}/storage/v1/b/{}/o", settings.base(), settings.bucket)
    }

    /// Returns the URL of an object by its name in the bucket.
    pub(crate) fn object_url(&self, name: &str) -> String {
        format!("{}/{}", self.objects_url(), encode_segment(name))
    }

    /// Returns the URL that uploads go to.
    pub(crate) fn upload_url(&self) -> String {
        let settings = self.settings();
        format!("{}/upload/storage/v1/b/{}/o", settings.base(), settings.bucket)
    }

    /// Returns the URL of an object for clients that have nothing but a signature.
    pub(crate) fn plain_url(&self, name: &str) -> String {
        let settings = self.settings();
        format!("{}/{}/{}", settings.base(), settings.bucket, encode_path(name))
    }

    /// Begins a request whose time is limited.
    pub(crate) async fn request(&self, method: Method, url: &str, query: &Query) -> Result<RequestBuilder> {
        let request = self.long_request(method, url, query).await?;
        Ok(request.timeout(self.0.request_timeout))
    }

    /// Begins a request whose answer may take long, but must not pause.
    pub(crate) async fn long_request(
        &self,
        method: Method,
        url: &str,
        query: &Query,
    ) -> Result<RequestBuilder> {
        let headers = self.0.identity.headers().await?;
        let mut request = self.0.http.request(method, query.on(url)).headers(headers);
        if let Some(project) = &self.settings().project {
            request = request.header("x-goog-user-project", project);
        }
        Ok(request)
    }

    /// Begins a request to a session of an upload. Its address is all that it needs.
    pub(crate) fn session_request(&self, method: Method, session: &str) -> RequestBuilder {
        let request = self.0.http.request(method, session);
        request.timeout(self.0.request_timeout)
    }

    /// Begins a request with a JSON body.
    pub(crate) async fn json_request(
        &self,
        method: Method,
        url: &str,
        query: &Query,
        body: &Value,
    ) -> Result<RequestBuilder> {
        let request = self.request(method, url, query).await?;
        let request = request.header("content-type", "application/json; charset=UTF-8");
        Ok(request.body(body.to_string()))
    }

    /// Adds to what is said of an object how the bucket is to hold it.
    pub(crate) fn held(&self, mut fields: Map<String, Value>) -> Map<String, Value> {
        if let Some(class) = &self.settings().storage_class {
            fields.insert("storageClass".to_owned(), json!(class));
        }
        fields
    }

    /// Returns the parameter that names the encryption key of what is written.
    pub(crate) fn kms_query(&self, name: &'static str) -> Query {
        Query::default().with_some(name, self.settings().kms_key_name.as_deref())
    }
}

/// The parameters of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(&'static str, String)>);

impl Query {
    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.0.push((name, value.to_string()));
        self
    }

    pub(crate) fn with_some(self, name: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub(crate) fn with_all(self, pairs: impl IntoIterator<Item = (&'static str, u64)>) -> Self {
        pairs
            .into_iter()
            .fold(self, |query, (name, value)| query.with(name, value))
    }

    fn on(&self, url: &str) -> String {
        let pairs = self.0.iter();
        let pairs = pairs.map(|(name, value)| format!("{name}={}", encode_segment(value)));
        match pairs.collect::<Vec<_>>().join("&") {
            query if query.is_empty() => url.to_owned(),
            query => format!("{url}?{query}"),
        }
    }
}

/// Sends a request, and returns its answer if it is a success.
pub(crate) async fn send_ok(request: RequestBuilder, asked: Asked) -> Result<Response> {
    let answer = request.send().await.map_err(|error| asked.lost(error))?;
    if answer.status().is_success() {
        Ok(answer)
    } else {
        Err(refused(answer, asked).await)
    }
}

/// Sends a request, and reads the JSON of its answer.
pub(crate) async fn send_json<T: DeserializeOwned>(request: RequestBuilder, asked: Asked) -> Result<T> {
    read_json(send_ok(request, asked).await?, asked).await
}

/// Reads the JSON of an answer.
pub(crate) async fn read_json<T: DeserializeOwned>(answer: Response, asked: Asked) -> Result<T> {
    let body = body_of(answer, asked).await?;
    serde_json::from_slice(&body).map_err(|source| match asked {
        Asked::Read => unexpected("the store's answer is not what it should be").with_source(source),
        _ => outcome_unknown("the store's answer could not be read").with_source(source),
    })
}

/// Sends a request of whose answer nothing is needed. It is read, so that the connection can be used again.
pub(crate) async fn send_unit(request: RequestBuilder, asked: Asked) -> Result<()> {
    let answer = send_ok(request, asked).await?;
    let headers = answer.headers().clone();
    // That it was done is known, unless the body takes it back.
    match answer.bytes().await {
        Ok(body) => asked.check_success(&headers, &body),
        Err(_) => Ok(()),
    }
}

/// Reads the body of a success, in which a refusal may stand.
pub(crate) async fn body_of(answer: Response, asked: Asked) -> Result<Bytes> {
    let headers = answer.headers().clone();
    let body = answer.bytes().await.map_err(|error| asked.lost(error))?;
    asked.check_success(&headers, &body)?;
    Ok(body)
}

/// Makes an error of an answer.
pub(crate) async fn refused(mut answer: Response, asked: Asked) -> Error {
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let mut body = Vec::new();
    while let Ok(Some(piece)) = answer.chunk().await {
        body.extend_from_slice(&piece);
        if body.len() > REFUSAL_BYTES_MAX {
            break;
        }
    }
    asked.refused(status, &headers, &body)
}

/// Returns a header as text.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded() {
        let query = Query::default()
            .with("prefix", "a b/ü&c")
            .with_some("x", None::<&str>);
        assert_eq!(query.on("http://h/o"), "http://h/o?prefix=a%20b%2F%C3%BC%26c");
        assert_eq!(Query::default().on("http://h/o"), "http://h/o");
    }
}
