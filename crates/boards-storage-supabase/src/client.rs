//! Requests to the server: addresses, credentials, time limits, and answers turned into values or errors.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use boards_storage_core::{Error, Result, Secret, StorageKey};
use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Hints, refusal, refusal_in_success, transport, unexpected};
use crate::settings::SupabaseSettings;

/// No refusal that is read is longer.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// A connection pool to one bucket. A clone is cheap.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Arc<str>,
    key: Secret,
    pub(crate) bucket: Arc<str>,
    request_timeout: Duration,
    pub(crate) reached: Reached,
}

/// Where the server is within parts that arrived in part, by the upload's id: from there they go on. It saves bytes and
/// nothing else, so that what is not remembered does no harm.
#[derive(Clone, Default)]
pub(crate) struct Reached(Arc<Mutex<HashMap<String, u64>>>);

impl Reached {
    const UPLOADS_MAX: usize = 1024;

    pub(crate) fn note(&self, upload: &str, offset: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of uploads that nobody went on with.
        if known.len() >= Self::UPLOADS_MAX {
            known.clear();
        }
        known.insert(upload.to_owned(), offset);
    }

    pub(crate) fn take(&self, upload: &str) -> Option<u64> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(upload)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base)
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(settings: &SupabaseSettings) -> Result<Self> {
        let base = settings.check()?;
        let mut headers = HeaderMap::new();
        let agent = concat!("boards-storage/", env!("CARGO_PKG_VERSION"));
        headers.insert("x-client-info", HeaderValue::from_static(agent));
        // What the store has is what is wanted, not what a proxy made of it.
        headers.insert("accept-encoding", HeaderValue::from_static("identity"));
        let http = reqwest::Client::builder()
            .connect_timeout(settings.connect_timeout.get())
            .read_timeout(settings.read_timeout.get())
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .build()
            .map_err(|source| {
                Error::configuration("the HTTP client could not be made").with_source(source.without_url())
            })?;
        Ok(Self {
            http,
            base: base.into(),
            key: settings.key.clone(),
            bucket: settings.bucket.as_str().into(),
            request_timeout: settings.request_timeout.get(),
            reached: Reached::default(),
        })
    }

    pub(crate) fn location(&self) -> String {
        format!("{}/{}", self.base, self.bucket)
    }

    /// Returns the whole URL of a route.
    pub(crate) fn url(&self, route: &str) -> String {
        format!("{}/{route}", self.base)
    }

    /// Returns a route about an object, percent-encoded segment by segment.
    pub(crate) fn object_route(&self, route: &str, key: &StorageKey) -> String {
        format!("{route}/{}/{}", encode(&self.bucket), encode(key.as_str()))
    }

    /// Returns a route about the bucket.
    pub(crate) fn bucket_route(&self, route: &str) -> String {
        format!("{route}/{}", encode(&self.bucket))
    }

    /// Begins a request with credentials, whose time is limited.
    pub(crate) fn request(&self, method: Method, route: &str) -> RequestBuilder {
        self.long_request(method, route).timeout(self.request_timeout)
    }

    /// Begins a request with credentials whose answer may take long, but must not pause.
    pub(crate) fn long_request(&self, method: Method, route: &str) -> RequestBuilder {
        let key = self.key.expose();
        let mut bearer =
            HeaderValue::try_from(format!("Bearer {key}")).unwrap_or(HeaderValue::from_static(""));
        bearer.set_sensitive(true);
        let mut apikey = HeaderValue::try_from(key).unwrap_or(HeaderValue::from_static(""));
        apikey.set_sensitive(true);
        self.http
            .request(method, self.url(route))
            .header("authorization", bearer)
            .header("apikey", apikey)
    }

    /// Sends a request that has a JSON body.
    pub(crate) fn json_request(&self, method: Method, route: &str, body: &Value) -> RequestBuilder {
        self.request(method, route)
            .header("content-type", "application/json")
            .body(body.to_string())
    }
}

/// Sends a request, and returns its answer whatever it is.
pub(crate) async fn send(request: RequestBuilder) -> Result<Response> {
    request.send().await.map_err(transport)
}

/// Sends a request, and returns its answer if it is a success.
pub(crate) async fn send_ok(request: RequestBuilder) -> Result<Response> {
    let answer = send(request).await?;
    if answer.status().is_success() {
        Ok(answer)
    } else {
        Err(refused(answer).await)
    }
}

/// Sends a request, and reads the JSON of its answer. A success whose body is a refusal is a refusal.
pub(crate) async fn send_json<T: DeserializeOwned>(request: RequestBuilder) -> Result<T> {
    let answer = send_ok(request).await?;
    let status = answer.status().as_u16();
    let body = body_of(answer).await?;
    if let Some(refused) = refusal_in_success(status, &body) {
        return Err(refused);
    }
    serde_json::from_slice(&body)
        .map_err(|source| unexpected("the server's answer is not what it should be").with_source(source))
}

/// Sends a request of whose answer nothing is needed but that it is JSON and no refusal.
pub(crate) async fn send_unit(request: RequestBuilder) -> Result<()> {
    send_json::<Value>(request).await.map(drop)
}

async fn body_of(answer: Response) -> Result<Bytes> {
    answer.bytes().await.map_err(transport)
}

/// Makes an error of an answer.
pub(crate) async fn refused(mut answer: Response) -> Error {
    let status = answer.status().as_u16();
    let text = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let hints = Hints {
        retry_after: text("retry-after")
            .and_then(|seconds| seconds.parse().ok())
            .map(Duration::from_secs),
        request_id: ["sb-request-id", "x-request-id", "cf-ray"]
            .iter()
            .find_map(|name| text(name))
            .map(str::to_owned),
    };
    let mut body = Vec::new();
    while let Ok(Some(piece)) = answer.chunk().await {
        body.extend_from_slice(&piece);
        if body.len() > REFUSAL_BYTES_MAX {
            break;
        }
    }
    refusal(status, &body, hints)
}

/// Encodes everything but unreserved characters and slashes.
pub(crate) fn encode(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
            encoded.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    encoded
}
