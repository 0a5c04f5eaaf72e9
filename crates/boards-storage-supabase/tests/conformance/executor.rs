//! A client without credentials that sends signed requests over HTTP.

use boards_storage_core::{Error, ErrorKind, Result, SignedMethod, SignedRequest, async_trait};
use boards_storage_testkit::{SignedRequestExecutor, SignedResponse};
use bytes::Bytes;

#[derive(Debug, Default)]
pub(crate) struct HttpExecutor {
    http: reqwest::Client,
}

#[async_trait]
impl SignedRequestExecutor for HttpExecutor {
    async fn send(&self, request: &SignedRequest, body: Bytes) -> Result<SignedResponse> {
        let failed = |source: reqwest::Error| {
            Error::new(ErrorKind::ProviderUnavailable, "no answer").with_source(source.without_url())
        };
        let method = match request.method {
            SignedMethod::Get => reqwest::Method::GET,
            SignedMethod::Put => reqwest::Method::PUT,
            SignedMethod::Post => reqwest::Method::POST,
        };
        let mut sent = self.http.request(method, &request.url);
        for (name, value) in &request.headers {
            sent = sent.header(name, value);
        }
        let answer = sent.body(body).send().await.map_err(failed)?;
        let status = answer.status().as_u16();
        let text =
            |value: &reqwest::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = answer
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        let body = answer.bytes().await.map_err(failed)?;
        Ok(SignedResponse::new(status, headers, body))
    }
}
