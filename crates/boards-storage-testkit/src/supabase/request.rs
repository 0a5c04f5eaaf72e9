//! A request as the routes see it: the decoded path, the query, the headers, and the body still to come.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use super::reply::Failure;

/// No route but the uploads takes more than this.
const JSON_BYTES_MAX: usize = 1 << 20;

pub(super) struct Request {
    pub(super) method: Method,
    /// The path as it was sent, without prefix and query.
    pub(super) raw_path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Incoming,
}

/// Decodes percent signs; `None` where that is no UTF-8 or no hex.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Decodes as JavaScript's `decodeURI`: characters that mean something in a URL stay encoded.
pub(super) fn decode_uri(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(position) = rest.find('%') {
        decoded.push_str(&rest[..position]);
        rest = &rest[position..];
        let escapes = rest
            .as_bytes()
            .chunks(3)
            .take_while(|chunk| chunk[0] == b'%' && chunk.len() == 3)
            .count();
        let (escaped, after) = rest.split_at((escapes * 3).max(1));
        let plain = decode(escaped)?;
        for (index, character) in plain.char_indices() {
            if ";/?:@&=+$,#".contains(character) {
                // Only ASCII is reserved, so its escape stands at the place of its byte.
                decoded.push_str(&escaped[index * 3..index * 3 + 3]);
            } else {
                decoded.push(character);
            }
        }
        rest = after;
    }
    decoded.push_str(rest);
    Some(decoded)
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the `authorization` header, which the schema of most routes demands.
    pub(super) fn authorization(&self) -> Result<&str, Failure> {
        self.header("authorization")
            .ok_or_else(|| Failure::schema("headers must have required property 'authorization'"))
    }

    pub(super) fn is_upsert(&self) -> bool {
        self.header("x-upsert") == Some("true")
    }

    pub(super) fn content_length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// Reads what is left of a body that nobody wants, as the real server does: a client that is still sending
    /// could not read its refusal otherwise.
    pub(super) async fn drain(&mut self) {
        let rest = async { while let Some(Ok(_)) = self.body.frame().await {} };
        let _ = tokio::time::timeout(Duration::from_secs(5), rest).await;
    }

    /// Reads a body that must be small.
    pub(super) async fn bytes(&mut self, size_bytes_max: usize) -> Result<Bytes, Failure> {
        let mut all = BytesMut::new();
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|_broken| Failure::request("request aborted"))?;
            if let Some(piece) = frame.data_ref() {
                if all.len() + piece.len() > size_bytes_max {
                    return Err(Failure::too_large());
                }
                all.extend_from_slice(piece);
            }
        }
        Ok(all.freeze())
    }

    /// Reads a JSON body as the server's body parser does.
    pub(super) async fn json(&mut self) -> Result<Value, Failure> {
        let bytes = self.bytes(JSON_BYTES_MAX).await?;
        let is_json = self
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/json"));
        if !is_json {
            return Ok(Value::Null);
        }
        if bytes.is_empty() {
            return Err(Failure::body_parser(
                "Body cannot be empty when content-type is set to 'application/json'",
            ));
        }
        serde_json::from_slice(&bytes).map_err(|_malformed| {
            Failure::body_parser("Body is not valid JSON but content-type is set to 'application/json'")
        })
    }

    /// Reads a JSON object.
    pub(super) async fn object(&mut self) -> Result<Value, Failure> {
        let body = self.json().await?;
        if body.is_object() {
            Ok(body)
        } else {
            Err(Failure::schema("body must be object"))
        }
    }
}

/// Returns a required text.
pub(super) fn required<'a>(body: &'a Value, name: &str) -> Result<&'a str, Failure> {
    body[name]
        .as_str()
        .ok_or_else(|| Failure::schema(format!("body must have required property '{name}'")))
}

/// Returns a whole number, also out of a text, as the schema coerces it.
pub(super) fn integer(body: &Value, name: &str, least: i64) -> Result<Option<i64>, Failure> {
    let value = match &body[name] {
        Value::Null => return Ok(None),
        Value::String(text) => text.parse::<f64>().ok(),
        other => other.as_f64(),
    };
    match value {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "checked to be whole; huge values saturate"
        )]
        Some(number) if number.fract() == 0.0 && number >= least as f64 => Ok(Some(number as i64)),
        Some(number) if number.fract() == 0.0 => {
            Err(Failure::schema(format!("body/{name} must be >= {least}")))
        }
        Some(_) | None => Err(Failure::schema(format!("body/{name} must be integer"))),
    }
}
