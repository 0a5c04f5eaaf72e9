//! Whoever sends signed requests: a client without credentials.

use std::fmt::Debug;

use async_trait::async_trait;
use boards_storage_core::{Result, SignedRequest};
use bytes::Bytes;

/// Sends a [`SignedRequest`] as a client without credentials would.
///
/// The memory provider has one that answers in-process, see
/// [`MemoryProvider::executor`](crate::MemoryProvider::executor); for an HTTP store it is an HTTP client.
///
/// An implementation sends the method, the URL and all headers exactly as they stand in the request. For `POST` it
/// builds the `multipart/form-data` body: the form's fields in order, then `body` as the field `file`. It follows no
/// redirect and adds no credentials.
#[async_trait]
pub trait SignedRequestExecutor: Debug + Send + Sync + 'static {
    /// Sends the request and reads the whole answer. A refusal by the server is an answer, not an error.
    ///
    /// # Errors
    ///
    /// If no answer came.
    async fn send(&self, request: &SignedRequest, body: Bytes) -> Result<SignedResponse>;
}

/// What the server answered to a signed request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl SignedResponse {
    /// Creates an answer.
    pub fn new(status: u16, headers: Vec<(String, String)>, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers,
            body: body.into(),
        }
    }

    /// Returns whether the request was carried out.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Returns the first header of that name, which is given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}
