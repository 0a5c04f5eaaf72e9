//! Answers in the server's own form: JSON, errors with their two statuses, streams of stored bytes.

use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{HeaderName, HeaderValue, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};

use super::blob::Slice;

pub(super) type Body = UnsyncBoxBody<Bytes, std::io::Error>;
pub(super) type Reply = Response<Body>;

/// An error as the server tells it: nearly always HTTP 400, with the true status as text in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) http: u16,
    pub(super) status: u16,
    pub(super) error: String,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(status: u16, error: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            http: 400,
            status,
            error: error.to_owned(),
            code,
            message: message.into(),
        }
    }

    fn with_http(mut self, http: u16) -> Self {
        self.http = http;
        self
    }

    pub(super) fn no_such_key() -> Self {
        Self::new(404, "not_found", "NoSuchKey", "Object not found")
    }

    pub(super) fn no_such_bucket() -> Self {
        Self::new(404, "Bucket not found", "NoSuchBucket", "Bucket not found")
    }

    pub(super) fn related_missing() -> Self {
        let message = "The related resource does not exist";
        Self::new(404, "InvalidRequest", "InvalidRequest", message)
    }

    pub(super) fn key_exists() -> Self {
        Self::new(
            409,
            "Duplicate",
            "KeyAlreadyExists",
            "The resource already exists",
        )
    }

    pub(super) fn denied(message: impl Into<String>) -> Self {
        Self::new(403, "Unauthorized", "AccessDenied", message)
    }

    pub(super) fn row_security() -> Self {
        Self::denied("new row violates row-level security policy")
    }

    /// What the schema of a route refuses.
    pub(super) fn schema(message: impl Into<String>) -> Self {
        Self::new(400, "Error", "InvalidRequest", message)
    }

    pub(super) fn body_parser(message: &str) -> Self {
        Self::new(400, "FastifyError", "InvalidRequest", message)
    }

    pub(super) fn request(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidRequest", "InvalidRequest", message)
    }

    pub(super) fn parameter(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidParameter", "InvalidParameter", message)
    }

    pub(super) fn invalid_key(key: &str) -> Self {
        Self::new(400, "InvalidKey", "InvalidKey", format!("Invalid key: {key}"))
    }

    pub(super) fn token(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidJWT", "InvalidJWT", message)
    }

    pub(super) fn signature(message: &str) -> Self {
        Self::new(400, "InvalidSignature", "InvalidSignature", message)
    }

    pub(super) fn too_large() -> Self {
        let message = "The object exceeded the maximum allowed size";
        Self::new(413, "Payload too large", "EntityTooLarge", message)
    }

    pub(super) fn mime(message: impl Into<String>) -> Self {
        Self::new(415, "invalid_mime_type", "InvalidMimeType", message)
    }

    pub(super) fn internal() -> Self {
        Self::new(500, "Internal", "InternalError", "Internal Server Error").with_http(500)
    }

    pub(super) fn range() -> Self {
        let message = "invalid range provided";
        Self::new(416, "invalid_range", "InvalidRange", message).with_http(416)
    }

    pub(super) fn database_error(code: &str) -> Self {
        let message = format!("database error, code: {code}");
        Self::new(500, "DatabaseError", "DatabaseError", message).with_http(500)
    }

    pub(super) fn database_timeout() -> Self {
        let message = "The connection to the database timed out";
        Self::new(544, "DatabaseTimeout", "DatabaseTimeout", message).with_http(544)
    }

    pub(super) fn slow_down() -> Self {
        let message = "Too many connections issued to the database";
        Self::new(429, "too_many_connections", "SlowDown", message).with_http(429)
    }

    pub(super) fn read_only() -> Self {
        let message = "The database is currently in read-only mode. Please try again later.";
        Self::new(503, "DatabaseReadOnly", "DatabaseReadOnly", message)
    }

    pub(super) fn forbidden(message: &str) -> Self {
        Self::denied(message).with_http(403)
    }

    pub(super) fn store(status: u16, error: &str, message: &str) -> Self {
        let failure = Self::new(status, error, "S3Error", message);
        if status == 500 {
            failure.with_http(500)
        } else {
            failure
        }
    }

    pub(super) fn image(message: &str) -> Self {
        Self::new(500, "InternalError", "InternalError", message).with_http(500)
    }

    /// Returns the body; servers before July 2026 had no `code`.
    pub(super) fn body(&self, with_code: bool) -> Value {
        let mut body = json!({
            "statusCode": self.status.to_string(),
            "error": self.error,
            "message": self.message,
        });
        if with_code {
            body["code"] = json!(self.code);
        }
        body
    }

    pub(super) fn reply(&self, with_code: bool) -> Reply {
        json_reply(self.http, &self.body(with_code))
    }
}

pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

pub(super) fn reply(status: u16, content_type: Option<&str>, body: impl Into<Bytes>) -> Reply {
    let body = body.into();
    let length = body.len();
    let mut reply = Response::new(full(body));
    *reply.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    if let Some(content_type) = content_type {
        set(&mut reply, "content-type", content_type);
    }
    set(&mut reply, "content-length", &length.to_string());
    reply
}

pub(super) fn json_reply(status: u16, body: &Value) -> Reply {
    reply(status, Some("application/json; charset=utf-8"), body.to_string())
}

pub(super) fn ok(body: &Value) -> Reply {
    json_reply(200, body)
}

/// Answers the bytes of a blob.
pub(super) async fn blob_reply(status: u16, slice: Slice) -> Reply {
    let length = slice.length();
    let frames = slice.into_stream().await.map_ok(Frame::data);
    let mut reply = Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)));
    *reply.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    set(&mut reply, "content-length", &length.to_string());
    reply
}

/// Sets a header; what cannot be one is left out, as the real server's proxy does.
pub(super) fn set(reply: &mut Reply, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (
        HeaderName::from_bytes(name.as_bytes()),
        HeaderValue::from_bytes(value.as_bytes()),
    ) {
        reply.headers_mut().insert(name, value);
    }
}
