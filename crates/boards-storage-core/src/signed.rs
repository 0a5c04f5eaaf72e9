//! Requests that a client without credentials may send.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A request that is allowed by its signature: who holds it may send it until it expires.
///
/// `Debug` and logs never show the query, the headers' values or the form's values. Serialising shows all of it:
/// that is how it reaches the client.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{SignedMethod, SignedRequest};
///
/// let request = SignedRequest::new(SignedMethod::Put, "https://host/key?signature=s3cret", jiff::Timestamp::UNIX_EPOCH)
///     .with_header("content-type", "image/png");
/// assert!(!format!("{request:?}").contains("s3cret"));
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SignedRequest {
    /// The HTTP method.
    pub method: SignedMethod,
    /// The whole URL, signature included.
    pub url: String,
    /// Headers that must be sent exactly so.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Fields of a `multipart/form-data` body, in order, before the file (`POST` policies); empty otherwise.
    #[serde(default)]
    pub form_fields: Vec<(String, String)>,
    /// From when on the request is refused.
    pub expires_at: Timestamp,
}

/// The HTTP method of a [`SignedRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SignedMethod {
    /// Fetch the object.
    Get,
    /// Send the object as the body.
    Put,
    /// Send the object as the file of a form.
    Post,
}

impl SignedMethod {
    /// Returns the method's name in upper case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
        }
    }
}

impl fmt::Display for SignedMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SignedMethod {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::Get, Self::Put, Self::Post]
            .into_iter()
            .find(|method| method.name() == text)
            .ok_or_else(|| {
                Error::invalid_input(format!(
                    "'{text}' is not the method of a signed request: GET, PUT or POST"
                ))
            })
    }
}

impl SignedRequest {
    /// Creates a request without headers or form fields.
    pub fn new(method: SignedMethod, url: impl Into<String>, expires_at: Timestamp) -> Self {
        Self {
            method,
            url: url.into(),
            headers: Vec::new(),
            form_fields: Vec::new(),
            expires_at,
        }
    }

    /// Adds a header that must be sent.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds a field of the form.
    #[must_use]
    pub fn with_form_field(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.form_fields.push((name.into(), value.into()));
        self
    }
}

impl fmt::Debug for SignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            |pairs: &[(String, String)]| pairs.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        f.debug_struct("SignedRequest")
            .field("method", &self.method)
            .field("url", &self.url.split('?').next().unwrap_or_default())
            .field("headers", &names(&self.headers))
            .field("form_fields", &names(&self.form_fields))
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
