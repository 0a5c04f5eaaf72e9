//! An object as the store writes it in JSON, and its state as an entity tag.
//!
//! The tag is `GENERATION-METAGENERATION`: the first number changes with the bytes, the second with the attributes. So
//! a tag says everything that the store needs to decide a precondition.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use boards_storage_core::{
    Checksum, ChecksumAlgorithm, ContentType, ETag, Error, ErrorKind, ObjectAttributes, ObjectMetadata,
    Precondition, Result, StorageKey,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::encoding::{self, NO_CONTENT_TYPE, Notes};
use crate::error::unexpected;

/// The fields of a listing that are read.
pub(crate) const LISTED_FIELDS: &str =
    "items(name,size,generation,metageneration,crc32c,updated),prefixes,nextPageToken";

/// One state of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) generation: u64,
    pub(crate) metageneration: u64,
}

impl State {
    pub(crate) fn etag(self) -> ETag {
        ETag::new(format!("{}-{}", self.generation, self.metageneration))
    }

    pub(crate) fn of(etag: &ETag) -> Option<Self> {
        let (generation, metageneration) = etag.as_str().split_once('-')?;
        Some(Self {
            generation: number(generation)?,
            metageneration: number(metageneration)?,
        })
    }
}

/// Reads a number that has no sign and no zero before it, so that one state has one tag.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// What the store is to decide, in its own words; `None` is a state that no object is in.
pub(crate) fn conditions(precondition: &Precondition) -> Result<Vec<(&'static str, u64)>> {
    match precondition {
        Precondition::None => Ok(Vec::new()),
        Precondition::IfAbsent => Ok(vec![("ifGenerationMatch", 0)]),
        Precondition::IfMatch(etag) => {
            let state = State::of(etag).ok_or_else(other_state)?;
            Ok(vec![
                ("ifGenerationMatch", state.generation),
                ("ifMetagenerationMatch", state.metageneration),
            ])
        }
        _ => Err(Error::unsupported("the store does not know this precondition")),
    }
}

pub(crate) fn other_state() -> Error {
    Error::new(ErrorKind::PreconditionFailed, "the object is in another state")
}

/// An object, as the store answers it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Resource {
    pub(crate) name: String,
    size: String,
    content_type: String,
    content_disposition: String,
    content_encoding: String,
    content_language: String,
    cache_control: String,
    generation: String,
    metageneration: Option<String>,
    crc32c: String,
    metadata: BTreeMap<String, String>,
    updated: Option<Timestamp>,
}

impl Resource {
    pub(crate) fn size(&self) -> Result<u64> {
        self.size
            .parse()
            .map_err(|_not_a_number| unexpected("the store did not tell the object's size"))
    }

    pub(crate) fn state(&self) -> Result<State> {
        let generation = number(&self.generation);
        // Some answers of emulators leave the second number out.
        let metageneration = self.metageneration.as_deref().map_or(Some(1), number);
        match (generation, metageneration) {
            (Some(generation), Some(metageneration)) => Ok(State {
                generation,
                metageneration,
            }),
            _ => Err(unexpected("the store did not tell the object's generation")),
        }
    }

    /// Returns the CRC-32C of the bytes, if the store tells it.
    pub(crate) fn crc32c(&self) -> Option<u32> {
        read_crc32c(&self.crc32c)
    }

    pub(crate) fn notes(&self) -> Notes {
        encoding::decode(&self.metadata).1
    }

    /// Returns the names of the custom metadata, ours included.
    pub(crate) fn custom_names(&self) -> impl Iterator<Item = &String> {
        self.metadata.keys()
    }

    pub(crate) fn attributes(&self) -> ObjectAttributes {
        let text = |value: &String| (!value.is_empty()).then(|| value.clone());
        let mut attributes = ObjectAttributes::default();
        attributes.content_type = Some(self.content_type.as_str())
            .filter(|kind| !kind.is_empty() && *kind != NO_CONTENT_TYPE)
            .and_then(|kind| ContentType::parse(kind).ok());
        attributes.content_disposition = text(&self.content_disposition);
        attributes.content_encoding = text(&self.content_encoding);
        attributes.content_language = text(&self.content_language);
        attributes.cache_control = text(&self.cache_control);
        attributes.user_metadata = encoding::decode(&self.metadata).0;
        attributes
    }

    /// Returns all that is known of the object; its version where the bucket keeps them.
    pub(crate) fn to_metadata(&self, key: &StorageKey, versions: bool) -> Result<ObjectMetadata> {
        let notes = self.notes();
        let mut metadata = self.to_listed(key.clone())?;
        metadata.attributes = self.attributes();
        metadata.digest = notes.digest;
        metadata.write_id = notes.write_id;
        metadata.version = versions.then(|| self.generation.clone());
        Ok(metadata)
    }

    /// Returns what a listing tells.
    pub(crate) fn to_listed(&self, key: StorageKey) -> Result<ObjectMetadata> {
        let mut metadata = ObjectMetadata::new(key, self.size()?);
        metadata.etag = Some(self.state()?.etag());
        metadata.checksum = self.crc32c().map(checksum_of);
        metadata.modified = self.updated;
        Ok(metadata)
    }
}

/// Returns what is to be said of an object that is written, as JSON.
pub(crate) fn to_json(attributes: &ObjectAttributes, notes: &Notes) -> Map<String, Value> {
    let content_type = attributes.content_type.as_ref().map(ContentType::as_str);
    let mut fields = Map::new();
    fields.insert(
        "contentType".to_owned(),
        json!(content_type.unwrap_or(NO_CONTENT_TYPE)),
    );
    for (name, value) in header_fields(attributes) {
        if let Some(value) = value {
            fields.insert(name.to_owned(), json!(value));
        }
    }
    fields.insert("metadata".to_owned(), json!(encoding::encode(attributes, notes)));
    fields
}

/// Returns the fields beside the content type, by their names in JSON.
pub(crate) fn header_fields(attributes: &ObjectAttributes) -> [(&'static str, Option<&String>); 4] {
    [
        ("contentDisposition", attributes.content_disposition.as_ref()),
        ("contentEncoding", attributes.content_encoding.as_ref()),
        ("contentLanguage", attributes.content_language.as_ref()),
        ("cacheControl", attributes.cache_control.as_ref()),
    ]
}

pub(crate) fn checksum_of(crc32c: u32) -> Checksum {
    Checksum::new(ChecksumAlgorithm::Crc32c, crc32c.to_be_bytes()).expect("a CRC-32C has four bytes")
}

/// Writes a CRC-32C as the store does: Base64 of its big-endian bytes.
pub(crate) fn crc32c_text(crc32c: u32) -> String {
    BASE64.encode(crc32c.to_be_bytes())
}

fn read_crc32c(text: &str) -> Option<u32> {
    let bytes: [u8; 4] = BASE64.decode(text).ok()?.try_into().ok()?;
    Some(u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_state_and_nothing_else() {
        let state = State {
            generation: u64::MAX,
            metageneration: 1,
        };
        assert_eq!(State::of(&state.etag()), Some(state));
        for nonsense in [
            "",
            "1",
            "1-",
            "-1",
            "01-1",
            "+1-1",
            "1-1-1",
            "a-b",
            "18446744073709551616-1",
        ] {
            assert_eq!(State::of(&ETag::new(nonsense)), None, "{nonsense}");
        }
    }

    #[test]
    fn preconditions_become_generations() {
        assert_eq!(conditions(&Precondition::None).expect("none"), []);
        let absent = conditions(&Precondition::IfAbsent).expect("known");
        assert_eq!(absent, [("ifGenerationMatch", 0)]);
        let matching = conditions(&Precondition::IfMatch(ETag::new("7-2"))).expect("known");
        assert_eq!(matching, [("ifGenerationMatch", 7), ("ifMetagenerationMatch", 2)]);
        let nonsense = conditions(&Precondition::IfMatch(ETag::new("nonsense"))).expect_err("no such state");
        assert_eq!(nonsense.kind(), ErrorKind::PreconditionFailed);
    }

    #[test]
    fn an_answer_becomes_metadata() {
        let text = r#"{"name":"a","size":"5","contentType":"binary/octet-stream","cacheControl":"",
            "generation":"7","metageneration":"2","crc32c":"mnG7TA==","metadata":{"a":"ü"},
            "updated":"2026-11-24T00:42:21.559888Z","other":{}}"#;
        let resource: Resource = serde_json::from_str(text).expect("JSON");
        let key = StorageKey::parse("a").expect("a key");
        let metadata = resource.to_metadata(&key, true).expect("complete");
        let expected = ObjectAttributes::default().with_user_metadata("a", "ü");
        assert_eq!((metadata.size_bytes, metadata.attributes), (5, expected));
        assert_eq!(metadata.etag, Some(ETag::new("7-2")));
        assert_eq!(metadata.version.as_deref(), Some("7"));
        assert_eq!(
            metadata.checksum.map(|sum| sum.to_string()).as_deref(),
            Some("crc32c:9a71bb4c")
        );
        assert_eq!(crc32c_text(0x9a71_bb4c), "mnG7TA==");
        let empty = Resource::default();
        assert!(empty.to_metadata(&key, false).is_err(), "a size is needed");
    }
}
