//! What is known of an object: between our metadata and the server's.
//!
//! User metadata is a JSON object there. The digest and the write id stand in it under one name that no field of an
//! application can have.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boards_storage_core::{
    ContentType, Digest, ETag, ObjectAttributes, ObjectMetadata, Result, StorageKey, WriteId,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::unexpected;

const OWN: &str = ".boards-storage";
/// What the server makes of a type and a cache control that nobody gave.
pub(crate) const DEFAULT_TYPE: &str = "application/octet-stream";
pub(crate) const DEFAULT_CACHE_CONTROL: &str = "no-cache";

/// The answer of `info`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Info {
    #[serde(default)]
    pub(crate) version: Option<String>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    cache_control: Option<String>,
    #[serde(default)]
    pub(crate) etag: Option<String>,
    #[serde(default)]
    pub(crate) metadata: Option<Map<String, Value>>,
    #[serde(default)]
    pub(crate) last_modified: Option<Timestamp>,
    #[serde(default)]
    created_at: Option<Timestamp>,
}

/// A row, as listings, copies and deletions answer it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    updated_at: Option<Timestamp>,
    #[serde(default)]
    created_at: Option<Timestamp>,
    #[serde(default)]
    metadata: Option<RowMetadata>,
    #[serde(default)]
    user_metadata: Option<Map<String, Value>>,
}

#[derive(Clone, Debug, Deserialize)]
struct RowMetadata {
    #[serde(rename = "eTag", default)]
    etag: Option<String>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    mimetype: Option<String>,
    #[serde(rename = "cacheControl", default)]
    cache_control: Option<String>,
}

impl Info {
    /// Returns what `copy` needs to say of a source that stays as it was.
    pub(crate) fn said(&self) -> (String, String) {
        let or = |value: &Option<String>, default: &str| value.clone().unwrap_or_else(|| default.to_owned());
        (
            or(&self.content_type, DEFAULT_TYPE),
            or(&self.cache_control, DEFAULT_CACHE_CONTROL),
        )
    }

    pub(crate) fn size(&self) -> Result<u64> {
        self.size
            .ok_or_else(|| unexpected("the server did not tell the object's size"))
    }

    pub(crate) fn to_metadata(&self, key: &StorageKey) -> Result<ObjectMetadata> {
        let mut metadata = ObjectMetadata::new(key.clone(), self.size()?);
        fill_said(
            &mut metadata,
            self.content_type.as_deref(),
            self.cache_control.as_deref(),
            self.metadata.as_ref(),
        );
        metadata.etag = self.etag.as_deref().map(ETag::new);
        metadata.created = self.created_at;
        metadata.modified = self.last_modified;
        Ok(metadata)
    }
}

impl Row {
    /// Returns whether the row is a folder of the old listing.
    pub(crate) fn is_folder(&self) -> bool {
        self.id.is_none()
    }

    /// Returns what a listing tells: not the attributes, of which it has only some.
    pub(crate) fn to_listed(&self, key: StorageKey) -> ObjectMetadata {
        let system = self.metadata.as_ref();
        let mut metadata = ObjectMetadata::new(key, system.and_then(|system| system.size).unwrap_or(0));
        metadata.etag = system.and_then(|system| system.etag.as_deref()).map(ETag::new);
        metadata.created = self.created_at;
        metadata.modified = self.updated_at;
        metadata
    }

    /// Returns all of it.
    pub(crate) fn to_metadata(&self, key: StorageKey) -> ObjectMetadata {
        let mut metadata = self.to_listed(key);
        if let Some(system) = &self.metadata {
            fill_said(
                &mut metadata,
                system.mimetype.as_deref(),
                system.cache_control.as_deref(),
                self.user_metadata.as_ref(),
            );
        }
        metadata
    }
}

fn fill_said(
    metadata: &mut ObjectMetadata,
    content_type: Option<&str>,
    cache_control: Option<&str>,
    user: Option<&Map<String, Value>>,
) {
    let own = user.and_then(|user| user.get(OWN));
    let own_text = |name: &str| own.and_then(|own| own.get(name)).and_then(Value::as_str);
    metadata.digest = own_text("digest").and_then(|text| text.parse().ok());
    metadata.write_id = own_text("write_id").and_then(|text| text.parse().ok());
    let attributes = &mut metadata.attributes;
    // The defaults say nothing, unless the writer said just that.
    attributes.content_type = content_type
        .filter(|text| *text != DEFAULT_TYPE || own_text("content_type").is_some())
        .and_then(|text| ContentType::parse(text).ok());
    attributes.cache_control = cache_control
        .filter(|text| *text != DEFAULT_CACHE_CONTROL || own_text("cache_control").is_some())
        .filter(|text| !text.is_empty())
        .map(str::to_owned);
    for (name, value) in user.into_iter().flatten().filter(|(name, _)| *name != OWN) {
        let text = match value {
            Value::String(text) => text.clone(),
            // Others may keep numbers and objects there.
            other => other.to_string(),
        };
        attributes.user_metadata.insert(name.clone(), text);
    }
}

/// Returns the user metadata to send for these attributes.
pub(crate) fn user_metadata(
    attributes: &ObjectAttributes,
    digest: Option<Digest>,
    write_id: Option<WriteId>,
) -> Map<String, Value> {
    let text = |(name, value): (&String, &String)| (name.clone(), Value::String(value.clone()));
    let mut user: Map<_, _> = attributes.user_metadata.iter().map(text).collect();
    let said = [
        (
            "content_type",
            attributes.content_type.as_ref().map(ContentType::as_str),
            DEFAULT_TYPE,
        ),
        (
            "cache_control",
            attributes.cache_control.as_deref(),
            DEFAULT_CACHE_CONTROL,
        ),
    ];
    let mut own = Map::new();
    for (name, value, default) in said {
        if value == Some(default) {
            own.insert(name.to_owned(), json!(default));
        }
    }
    if let Some(digest) = digest {
        own.insert("digest".to_owned(), json!(digest.to_string()));
    }
    set_own(&mut user, own, write_id);
    user
}

/// Returns the user metadata of a copy that keeps its source's: all but the write id.
pub(crate) fn copied_metadata(source: &Info, write_id: Option<WriteId>) -> Map<String, Value> {
    let mut user = source.metadata.clone().unwrap_or_default();
    let own = match user.remove(OWN) {
        Some(Value::Object(own)) => own,
        Some(_) | None => Map::new(),
    };
    set_own(&mut user, own, write_id);
    user
}

/// Adds what is ours: defaults that were said, the digest, and the id of this very write.
fn set_own(user: &mut Map<String, Value>, mut own: Map<String, Value>, write_id: Option<WriteId>) {
    own.remove("write_id");
    if let Some(write_id) = write_id {
        own.insert("write_id".to_owned(), json!(write_id.to_string()));
    }
    if !own.is_empty() {
        user.insert(OWN.to_owned(), Value::Object(own));
    }
}

/// Returns user metadata as the header `x-metadata` holds it.
pub(crate) fn header_value(user: &Map<String, Value>) -> String {
    STANDARD.encode(Value::Object(user.clone()).to_string())
}
