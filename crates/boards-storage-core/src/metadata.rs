//! What is known of an object beside its bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::checksum::{Checksum, Digest};
use crate::content_type::ContentType;
use crate::error::{Error, Result};
use crate::key::StorageKey;

/// What the writer says about an object: how it is to be served, and the application's own fields.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{ContentType, ObjectAttributes};
///
/// let attributes = ObjectAttributes::default()
///     .with_content_type(ContentType::parse("image/png")?)
///     .with_user_metadata("camera", "Größe 1");
/// # Ok::<(), boards_storage_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ObjectAttributes {
    /// The content type. A store without one answers `None`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub content_type: Option<ContentType>,
    /// The `Content-Disposition` to serve it with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub content_disposition: Option<String>,
    /// The `Content-Encoding` of the bytes as stored.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub content_encoding: Option<String>,
    /// The `Content-Language`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub content_language: Option<String>,
    /// The `Cache-Control` to serve it with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cache_control: Option<String>,
    /// The application's fields: lower-case ASCII names, any Unicode text without control characters as values.
    /// Names that begin with `boards-storage-` are the manager's own: it refuses them from applications.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub user_metadata: BTreeMap<String, String>,
}

impl ObjectAttributes {
    /// The limit in bytes of all user metadata names and values together, as on S3.
    pub const USER_METADATA_BYTES_MAX: usize = 2048;
    /// The limit in bytes of each of the header fields.
    pub const FIELD_BYTES_MAX: usize = 1024;

    /// Sets the content type.
    #[must_use]
    pub fn with_content_type(mut self, content_type: ContentType) -> Self {
        self.content_type = Some(content_type);
        self
    }

    /// Sets the content disposition.
    #[must_use]
    pub fn with_content_disposition(mut self, value: impl Into<String>) -> Self {
        self.content_disposition = Some(value.into());
        self
    }

    /// Sets the content encoding.
    #[must_use]
    pub fn with_content_encoding(mut self, value: impl Into<String>) -> Self {
        self.content_encoding = Some(value.into());
        self
    }

    /// Sets the content language.
    #[must_use]
    pub fn with_content_language(mut self, value: impl Into<String>) -> Self {
        self.content_language = Some(value.into());
        self
    }

    /// Sets the cache control.
    #[must_use]
    pub fn with_cache_control(mut self, value: impl Into<String>) -> Self {
        self.cache_control = Some(value.into());
        self
    }

    /// Adds one field of user metadata.
    #[must_use]
    pub fn with_user_metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.user_metadata.insert(name.into(), value.into());
        self
    }

    /// Returns whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the fields against the rules that hold on every provider.
    ///
    /// # Errors
    ///
    /// `InvalidInput` naming the field: a name that is not 1 to 64 of `a-z 0-9 - _`, a value with a control
    /// character, more than [`Self::USER_METADATA_BYTES_MAX`] or [`Self::FIELD_BYTES_MAX`] bytes, or a header field
    /// that is not printable ASCII.
    pub fn validate(&self) -> Result<()> {
        let headers = [
            ("content_disposition", &self.content_disposition),
            ("content_encoding", &self.content_encoding),
            ("content_language", &self.content_language),
            ("cache_control", &self.cache_control),
        ];
        for (name, value) in headers {
            let Some(value) = value else { continue };
            let is_printable = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            if value.is_empty() || !is_printable || value.len() > Self::FIELD_BYTES_MAX {
                return Err(Error::invalid_input(format!(
                    "{name} must be 1 to {} characters of printable ASCII, got {value:?}",
                    Self::FIELD_BYTES_MAX
                )));
            }
        }
        let mut bytes = 0;
        for (name, value) in &self.user_metadata {
            validate_user_metadata(name, value)?;
            bytes += name.len() + value.len();
        }
        if bytes > Self::USER_METADATA_BYTES_MAX {
            return Err(Error::invalid_input(format!(
                "user metadata has {bytes} bytes, at most {} are allowed",
                Self::USER_METADATA_BYTES_MAX
            )));
        }
        Ok(())
    }
}

fn validate_user_metadata(name: &str, value: &str) -> Result<()> {
    let is_name =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > 64 || !name.bytes().all(is_name) {
        return Err(Error::invalid_input(format!(
            "the user metadata name {name:?} must be 1 to 64 characters of a-z, 0-9, '-' and '_'"
        )));
    }
    if value.chars().any(char::is_control) {
        return Err(Error::invalid_input(format!(
            "the user metadata '{name}' has a control character"
        )));
    }
    Ok(())
}

/// An entity tag: an opaque name of one state of one object, without quotes.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ETag(String);

impl ETag {
    /// Creates a tag; surrounding quotes are not part of it.
    pub fn new(value: impl Into<String>) -> Self {
        let value = value.into();
        match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(inner) => Self(inner.to_owned()),
            None => Self(value),
        }
    }

    /// Returns the tag without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// Names one logical write, so that a write whose answer was lost can be recognised at the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WriteId(Uuid);

impl WriteId {
    /// Creates a fresh id (UUIDv7).
    #[must_use]
    pub fn fresh() -> Self {
        Self(Uuid::now_v7())
    }

    /// Returns the UUID.
    #[must_use]
    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl From<crate::scope::VersionId> for WriteId {
    /// The write that makes a version carries the version's own id.
    fn from(version: crate::scope::VersionId) -> Self {
        Self(version.as_uuid())
    }
}

impl fmt::Display for WriteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl FromStr for WriteId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Uuid::parse_str(text)
            .map(Self)
            .map_err(|source| Error::invalid_input(format!("'{text}' is not a write id")).with_source(source))
    }
}

/// What a store answers about an object.
///
/// A field that a store does not have, or does not give in this answer, is `None`. Listings give the key, the
/// size and, where the store has them cheaply, the ETag and the modification time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ObjectMetadata {
    /// The key.
    pub key: StorageKey,
    /// The size in bytes as stored.
    pub size_bytes: u64,
    /// What the writer said.
    #[serde(flatten)]
    pub attributes: ObjectAttributes,
    /// The entity tag of this state of the object.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub etag: Option<ETag>,
    /// The store's version id, where it keeps versions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
    /// The checksum that the store keeps of the whole object.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub checksum: Option<Checksum>,
    /// The digest that the writer declared.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Digest>,
    /// The write that made this state.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub write_id: Option<WriteId>,
    /// When the key was first written, where the store knows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created: Option<Timestamp>,
    /// When this state was written.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub modified: Option<Timestamp>,
}

impl ObjectMetadata {
    /// Creates metadata of which only the key and the size are known; the other fields are public.
    #[must_use]
    pub fn new(key: StorageKey, size_bytes: u64) -> Self {
        Self {
            key,
            size_bytes,
            attributes: ObjectAttributes::default(),
            etag: None,
            version: None,
            checksum: None,
            digest: None,
            write_id: None,
            created: None,
            modified: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(attributes: &ObjectAttributes, problem: Option<&str>) {
        match (attributes.validate(), problem) {
            (Ok(()), None) => {}
            (Err(error), Some(problem)) => assert!(error.to_string().contains(problem), "{error}"),
            (result, problem) => panic!("{result:?}, expected {problem:?}"),
        }
    }

    #[test]
    fn attributes_are_checked_at_their_edges() {
        let none = ObjectAttributes::default;
        check(&none().with_user_metadata("name_1-x", "Grüße 🎉"), None);
        check(&none().with_user_metadata("Name", "x"), Some("a-z"));
        check(&none().with_user_metadata("", "x"), Some("1 to 64"));
        check(&none().with_user_metadata("a".repeat(64), "x"), None);
        check(&none().with_user_metadata("a".repeat(65), "x"), Some("1 to 64"));
        check(&none().with_user_metadata("a", "x\ny"), Some("control"));
        check(&none().with_user_metadata("a", "x".repeat(2047)), None);
        check(
            &none().with_user_metadata("a", "x".repeat(2048)),
            Some("2049 bytes"),
        );
        check(&none().with_cache_control("no-cache"), None);
        check(
            &none().with_cache_control("no-cache\r\nx: y"),
            Some("cache_control"),
        );
        check(&none().with_content_disposition(""), Some("content_disposition"));
        check(
            &none().with_content_language("x".repeat(1025)),
            Some("content_language"),
        );
    }

    #[test]
    fn an_etag_has_no_quotes() {
        assert_eq!(ETag::new("\"abc\""), ETag::new("abc"));
    }
}
