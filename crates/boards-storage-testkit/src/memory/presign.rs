//! Signed requests: what is granted, and the signature over it.
//!
//! A grant travels in the request as JSON beside its signature (keyed BLAKE3), so the server side needs no memory of
//! what it signed.

use std::fmt::Write as _;
use std::time::Duration;

use boards_storage_core::{
    Checksum, ContentType, Error, ObjectAttributes, Precondition, Result, SignedMethod, SignedRequest,
    StorageKey, WriteId,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What the holder of a signed request may do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Grant {
    pub(super) method: SignedMethod,
    pub(super) key: StorageKey,
    pub(super) expires_at: Timestamp,
    /// The part of an upload that may be sent; the whole object otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) part: Option<GrantedPart>,
    #[serde(default)]
    pub(super) attributes: ObjectAttributes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) length: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) length_max: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) checksum: Option<Checksum>,
    #[serde(default)]
    pub(super) precondition: Precondition,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) write_id: Option<WriteId>,
    /// An HTTP range that is all that may be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) range: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) response_type: Option<ContentType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) response_disposition: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct GrantedPart {
    pub(super) upload_id: String,
    pub(super) number: u32,
}

impl Grant {
    pub(super) fn new(
        method: SignedMethod,
        key: &StorageKey,
        now: Timestamp,
        expires_in: Duration,
    ) -> Result<Self> {
        let expires_at = now.checked_add(expires_in).map_err(|source| {
            Error::invalid_input("the signature would expire too late").with_source(source)
        })?;
        Ok(Self {
            method,
            key: key.clone(),
            expires_at,
            part: None,
            attributes: ObjectAttributes::default(),
            length: None,
            length_max: None,
            checksum: None,
            precondition: Precondition::None,
            write_id: None,
            range: None,
            response_type: None,
            response_disposition: None,
        })
    }

    /// Returns the request that carries the grant out.
    pub(super) fn sign(&self, base_url: &str, signing_key: &[u8; 32]) -> Result<SignedRequest> {
        let grant = serde_json::to_string(self)
            .map_err(|source| Error::invalid_input("the grant cannot be written down").with_source(source))?;
        let signature = signature(signing_key, &grant).to_hex().to_string();
        let mut request = SignedRequest::new(self.method, url_of(base_url, &self.key), self.expires_at);
        if self.method == SignedMethod::Post {
            request.form_fields = self.bound_fields();
            request
                .form_fields
                .insert(0, ("key".to_owned(), self.key.to_string()));
            request.form_fields.push(("policy".to_owned(), grant));
            request.form_fields.push(("signature".to_owned(), signature));
        } else {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("grant", &grant)
                .append_pair("signature", &signature)
                .finish();
            let _ = write!(request.url, "?{query}");
            request.headers = self.bound_fields();
        }
        Ok(request)
    }

    /// Returns the grant if the signature is ours.
    pub(super) fn verify(grant: &str, claimed: &str, signing_key: &[u8; 32]) -> Option<Self> {
        let claimed = blake3::Hash::from_hex(claimed).ok()?;
        // The comparison takes the same time wherever they differ.
        if signature(signing_key, grant) != claimed {
            return None;
        }
        serde_json::from_str(grant).ok()
    }

    /// Returns the headers or form fields that must be sent exactly so.
    pub(super) fn bound_fields(&self) -> Vec<(String, String)> {
        let attributes = &self.attributes;
        let content_type = attributes
            .content_type
            .as_ref()
            .map(|content_type| content_type.as_str().to_owned());
        let mut fields: Vec<_> = [
            ("content-type", content_type),
            ("content-disposition", attributes.content_disposition.clone()),
            ("content-encoding", attributes.content_encoding.clone()),
            ("content-language", attributes.content_language.clone()),
            ("cache-control", attributes.cache_control.clone()),
            ("x-checksum", self.checksum.as_ref().map(Checksum::to_string)),
            ("x-write-id", self.write_id.map(|id| id.to_string())),
            (
                "if-none-match",
                (self.precondition == Precondition::IfAbsent).then(|| "*".to_owned()),
            ),
            ("if-match", if_match(&self.precondition)),
            ("range", self.range.clone()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
        for (name, value) in &attributes.user_metadata {
            fields.push((format!("x-meta-{name}"), percent_encode(value)));
        }
        fields
    }
}

fn if_match(precondition: &Precondition) -> Option<String> {
    match precondition {
        Precondition::IfMatch(etag) => Some(format!("\"{etag}\"")),
        _ => None,
    }
}

fn signature(signing_key: &[u8; 32], grant: &str) -> blake3::Hash {
    blake3::keyed_hash(signing_key, grant.as_bytes())
}

/// Returns the URL at which an object stands under `base_url`.
pub(super) fn url_of(base_url: &str, key: &StorageKey) -> String {
    format!(
        "{}/{}",
        base_url.trim_end_matches('/'),
        percent_encode(key.as_str())
    )
}

/// Returns the key whose URL under `base_url` this is.
pub(super) fn key_of(base_url: &str, url: &str) -> Option<StorageKey> {
    let mut encoded = url
        .strip_prefix(base_url.trim_end_matches('/'))?
        .strip_prefix('/')?
        .bytes();
    let mut text = Vec::new();
    while let Some(byte) = encoded.next() {
        let decoded = match byte {
            b'%' => {
                let mut digit = || char::from(encoded.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            plain => plain,
        };
        text.push(decoded);
    }
    StorageKey::parse(std::str::from_utf8(&text).ok()?).ok()
}

/// Encodes all but what RFC 3986 leaves unreserved, and `/`.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
