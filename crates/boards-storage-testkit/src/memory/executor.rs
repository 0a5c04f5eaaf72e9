//! The in-process server of signed requests: it answers as an HTTP store does.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use boards_storage_core::{
    AccessClass, ByteRange, Checksum, ChecksumAlgorithm, Error, ErrorKind, Result, SignedMethod,
    SignedRequest,
};
use bytes::Bytes;

use super::parts::StoredPart;
use super::presign::{Grant, key_of, url_of};
use super::store::{NewObject, Object, Store};
use crate::executor::{SignedRequestExecutor, SignedResponse};

/// Answers the requests that a [`MemoryProvider`](crate::MemoryProvider) signed, and requests for its public URLs.
#[derive(Debug)]
pub(super) struct MemoryExecutor {
    pub(super) store: Arc<Store>,
    pub(super) base_url: Arc<str>,
}

/// A refusal: the status and what a server would write.
type Refusal = (u16, String);

#[async_trait]
impl SignedRequestExecutor for MemoryExecutor {
    async fn send(&self, request: &SignedRequest, body: Bytes) -> Result<SignedResponse> {
        Ok(self
            .answer(request, body)
            .unwrap_or_else(|(status, text)| SignedResponse::new(status, Vec::new(), text)))
    }
}

impl MemoryExecutor {
    fn answer(&self, request: &SignedRequest, body: Bytes) -> Result<SignedResponse, Refusal> {
        let (path, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
        if request.method == SignedMethod::Get && query.is_empty() {
            return self.read_public(path, request);
        }
        let (fields, sent) = match request.method {
            SignedMethod::Post => (&request.form_fields, request.form_fields.clone()),
            SignedMethod::Get | SignedMethod::Put => (
                &request.headers,
                url::form_urlencoded::parse(query.as_bytes())
                    .into_owned()
                    .collect(),
            ),
        };
        let value = |name: &str| {
            sent.iter()
                .find(|(known, _)| known == name)
                .map_or("", |(_, value)| value.as_str())
        };
        let text = if request.method == SignedMethod::Post {
            value("policy")
        } else {
            value("grant")
        };
        let forbidden = |why: &str| (403, why.to_owned());
        let grant = Grant::verify(text, value("signature"), &self.store.signing_key)
            .ok_or_else(|| forbidden("the signature is not ours"))?;
        if grant.method != request.method || path != url_of(&self.base_url, &grant.key) {
            return Err(forbidden("the signature is for another method or path"));
        }
        if request.method == SignedMethod::Post && value("key") != grant.key.as_str() {
            return Err(forbidden("the policy is for another key"));
        }
        if self.store.clock.now() >= grant.expires_at {
            return Err(forbidden("the signature has expired"));
        }
        for bound in grant.bound_fields() {
            if !fields.contains(&bound) {
                return Err(forbidden(&format!(
                    "the field '{}' is not as it was signed",
                    bound.0
                )));
            }
        }
        match request.method {
            SignedMethod::Get => self.read(&grant, request),
            SignedMethod::Put | SignedMethod::Post => self.write(&grant, body),
        }
    }

    fn write(&self, grant: &Grant, body: Bytes) -> Result<SignedResponse, Refusal> {
        let length = body.len() as u64;
        if grant.length.is_some_and(|expected| expected != length) {
            return Err((
                400,
                format!("the body has {length} bytes, which is not the length that was signed"),
            ));
        }
        if grant.length_max.is_some_and(|max| length > max) {
            return Err((
                413,
                format!("the body has {length} bytes, which is more than was signed"),
            ));
        }
        let checksum = Checksum::crc64_nvme(&body);
        if grant
            .checksum
            .as_ref()
            .is_some_and(|expected| *expected != checksum)
        {
            return Err((
                400,
                "the body does not have the checksum that was signed".to_owned(),
            ));
        }
        let etag = match &grant.part {
            Some(part) => {
                let stored = StoredPart {
                    bytes: body,
                    checksum,
                    place: None,
                };
                let store = |upload: &mut super::parts::PendingUpload| upload.store(part.number, stored);
                self.store
                    .with_upload(&grant.key, &part.upload_id, store)
                    .map_err(refusal)?
                    .etag
            }
            None => {
                let new = NewObject {
                    bytes: body,
                    checksum,
                    attributes: grant.attributes.clone(),
                    digest: None,
                    write_id: grant.write_id,
                    access: None,
                };
                let object = self
                    .store
                    .commit(&grant.key, &grant.precondition, new)
                    .map_err(refusal)?;
                object.metadata.etag.as_ref().map(ToString::to_string)
            }
        };
        let headers = etag
            .map(|etag| ("etag".to_owned(), format!("\"{etag}\"")))
            .into_iter()
            .collect();
        Ok(SignedResponse::new(200, headers, Bytes::new()))
    }

    fn read(&self, grant: &Grant, request: &SignedRequest) -> Result<SignedResponse, Refusal> {
        let object = self.store.find(&grant.key).map_err(refusal)?;
        let mut response = respond(&object, header(request, "range"))?;
        let replaced = [
            (
                "content-type",
                grant
                    .response_type
                    .as_ref()
                    .map(|content_type| content_type.as_str()),
            ),
            ("content-disposition", grant.response_disposition.as_deref()),
        ];
        for (name, value) in replaced {
            if let Some(value) = value {
                response.headers.retain(|(known, _)| known != name);
                response.headers.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(response)
    }

    /// Answers a request without a signature: only public objects.
    fn read_public(&self, path: &str, request: &SignedRequest) -> Result<SignedResponse, Refusal> {
        let object = key_of(&self.base_url, path).and_then(|key| self.store.find(&key).ok());
        match object {
            Some(object) if object.access == AccessClass::Public => {
                respond(&object, header(request, "range"))
            }
            // Whether a private object exists is nobody's business.
            Some(_) | None => Err((403, "access denied".to_owned())),
        }
    }
}

fn respond(object: &Object, range: Option<&str>) -> Result<SignedResponse, Refusal> {
    let metadata = &object.metadata;
    let attributes = &metadata.attributes;
    let mut headers: Vec<_> = [
        (
            "content-type",
            attributes
                .content_type
                .as_ref()
                .map(|content_type| content_type.as_str()),
        ),
        ("content-disposition", attributes.content_disposition.as_deref()),
        ("content-encoding", attributes.content_encoding.as_deref()),
        ("content-language", attributes.content_language.as_deref()),
        ("cache-control", attributes.cache_control.as_deref()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
    .collect();
    headers.extend(
        metadata
            .etag
            .as_ref()
            .map(|etag| ("etag".to_owned(), format!("\"{etag}\""))),
    );
    let Some(range) = range else {
        return Ok(SignedResponse::new(200, headers, object.bytes.clone()));
    };
    let size = metadata.size_bytes;
    let bytes = ByteRange::parse(range)
        .and_then(|range| range.resolve(size))
        .map_err(|error| (416, error.to_string()))?;
    headers.push((
        "content-range".to_owned(),
        format!("bytes {}-{}/{size}", bytes.start, bytes.end - 1),
    ));
    Ok(SignedResponse::new(206, headers, slice(&object.bytes, &bytes)))
}

/// Returns the bytes of a range that was resolved against their length.
pub(super) fn slice(bytes: &Bytes, range: &Range<u64>) -> Bytes {
    let position =
        |offset: u64| usize::try_from(offset).expect("the range lies within bytes that are in memory");
    bytes.slice(position(range.start)..position(range.end))
}

fn header<'a>(request: &'a SignedRequest, name: &str) -> Option<&'a str> {
    request
        .headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

fn refusal(error: Error) -> Refusal {
    let status = match error.kind() {
        ErrorKind::NotFound => 404,
        ErrorKind::AlreadyExists | ErrorKind::PreconditionFailed => 412,
        _ => 400,
    };
    (status, error.to_string())
}

/// Checks that a checksum that a signature shall bind is one that the server can compute.
pub(super) fn check_algorithm(checksum: Option<&Checksum>) -> Result<()> {
    match checksum {
        Some(checksum) if checksum.algorithm() != ChecksumAlgorithm::Crc64Nvme => {
            Err(Error::unsupported(format!(
                "the memory provider checks crc64nvme checksums only, got {}",
                checksum.algorithm().name()
            )))
        }
        Some(_) | None => Ok(()),
    }
}
