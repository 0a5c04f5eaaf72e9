//! Uploads in parts: each part is an object beside the keys, and the store composes them into one.
//!
//! Everything of an upload is below `.boards-storage/uploads/ID-HASH/`, which no key can begin with and no listing
//! shows. The object `upload` there says what the whole is to be, and that the upload is neither completed nor aborted;
//! the hash of the key keeps an id from being used for another. At most 32 objects are composed at a time, so more
//! parts are joined in several rounds.

use std::collections::BTreeMap;

use boards_storage_core::{
    CompleteUploadOptions, Content, CreateUploadOptions, Digest, DigestAlgorithm, Error, ErrorKind,
    MultipartUpload, ObjectAttributes, ObjectMetadata, Part, PartPlace, PartRules, Precondition,
    RESERVED_SEGMENT, Result, StorageKey, UploadPartOptions, WriteId,
};
use futures_util::{StreamExt, TryStreamExt, future, stream};
use reqwest::Method;
use serde_json::{Value, json};

use crate::change::{delete_object, remove_all};
use crate::chunks::{Expected, combine_crc32c};
use crate::client::{Client, Query, send_json};
use crate::encoding::{self, Notes, encode_segment, hex};
use crate::error::{Asked, unexpected};
use crate::list::Page;
use crate::read::look;
use crate::resource::{Resource, checksum_of, conditions, to_json};
use crate::upload::{Write, check_crc32c, no_bucket, write_object};

/// The store composes at most so many objects at a time.
const COMPOSED_MAX: usize = 32;
/// How many rounds of joining run at a time.
const JOINS_AT_ONCE: usize = 4;
/// The greatest number of parts; three rounds suffice.
const PARTS_MAX: u32 = 10_000;
/// The greatest object, in bytes.
pub(crate) const OBJECT_BYTES_MAX: u64 = 5 << 40;

pub(crate) fn part_rules() -> PartRules {
    let mut rules = PartRules::any();
    rules.size_bytes_max = OBJECT_BYTES_MAX;
    rules.count_max = PARTS_MAX;
    rules
}

/// Where the objects of an upload are.
#[derive(Debug)]
struct Place {
    key: StorageKey,
    /// The beginning of all their names in the bucket.
    folder: String,
}

impl Place {
    fn of(client: &Client, key: &StorageKey, id: &str) -> Result<Self> {
        let is_id = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_id {
            return Err(unknown(key));
        }
        let hash = Digest::of(DigestAlgorithm::Sha256, key.as_str().as_bytes());
        let below = &client.settings().prefix;
        Ok(Self {
            key: key.clone(),
            folder: format!(
                "{below}{RESERVED_SEGMENT}/uploads/{id}-{}/",
                hex(&hash.as_bytes()[..8])
            ),
        })
    }

    /// The name of the object that stands for the upload.
    fn marker(&self) -> String {
        format!("{}upload", self.folder)
    }

    fn part(&self, number: u32) -> String {
        format!("{}part-{number:05}", self.folder)
    }

    fn join(&self, round: usize, index: usize) -> String {
        format!("{}join-{round}-{index:05}", self.folder)
    }

    /// Reads what the whole is to be; there is nothing once the upload has ended.
    async fn open(&self, client: &Client) -> Result<Resource> {
        match look(client, &self.marker()).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(unknown(&self.key).with_source(error)),
            looked => looked,
        }
    }

    /// Returns the parts that the store has, by number.
    async fn parts(&self, client: &Client) -> Result<BTreeMap<u32, Resource>> {
        let prefix = format!("{}part-", self.folder);
        let items = Page::read_all(client, &prefix).await?.into_iter();
        let numbered = items.filter_map(|item| {
            let number = item.name.strip_prefix(&prefix)?.parse().ok()?;
            Some((number, item))
        });
        Ok(numbered.collect())
    }

    /// Ends the upload, and removes what it holds.
    async fn remove(&self, client: &Client) -> Result<()> {
        delete_object(client, &self.marker(), &Query::default(), Asked::Read).await?;
        let items = Page::read_all(client, &self.folder).await?;
        remove_all(client, items.into_iter().map(|item| item.name).collect()).await
    }
}

fn unknown(key: &StorageKey) -> Error {
    Error::not_found("the upload is unknown, completed or aborted").with_key(key)
}

pub(crate) async fn create_upload(
    client: &Client,
    key: &StorageKey,
    options: &CreateUploadOptions,
) -> Result<MultipartUpload> {
    encoding::check_fields(&options.attributes)?;
    let id = WriteId::fresh().to_string();
    let write = Write {
        name: Place::of(client, key, &id)?.marker(),
        attributes: &options.attributes,
        notes: Notes {
            digest: options.digest,
            write_id: options.write_id,
        },
        precondition: &Precondition::None,
        asked: Asked::Read,
    };
    write_object(client, &write, &Content::from_bytes(""), &Expected::default()).await?;
    let mut upload = MultipartUpload::new(key.clone(), id, part_rules());
    upload.write_id = options.write_id;
    Ok(upload)
}

pub(crate) fn check_number(number: u32) -> Result<()> {
    if (1..=PARTS_MAX).contains(&number) {
        return Ok(());
    }
    Err(Error::invalid_input(format!(
        "the part number must be 1 to {PARTS_MAX}, got {number}"
    )))
}

/// Returns the name of a part's object in the bucket.
pub(crate) fn part_name(client: &Client, upload: &MultipartUpload, number: u32) -> Result<String> {
    check_number(number)?;
    Ok(Place::of(client, &upload.key, &upload.id)?.part(number))
}

pub(crate) async fn upload_part(
    client: &Client,
    upload: &MultipartUpload,
    place: PartPlace,
    content: &Content,
    options: &UploadPartOptions,
) -> Result<Part> {
    let folder = Place::of(client, &upload.key, &upload.id)?;
    check_number(place.number)?;
    let attributes = ObjectAttributes::default();
    let write = Write {
        name: folder.part(place.number),
        attributes: &attributes,
        notes: Notes::default(),
        precondition: &Precondition::None,
        asked: Asked::Read,
    };
    let expected = Expected {
        checksum: options.checksum.clone(),
        ..Expected::default()
    };
    let resource = write_object(client, &write, content, &expected).await?;
    // Only now is it known that the upload did not end meanwhile, with this part behind it.
    let refusal = match folder.open(client).await {
        Err(error) => Some(error),
        Ok(_) if resource.size()? == 0 && !place.is_last => Some(Error::invalid_input(format!(
            "part {} has no bytes",
            place.number
        ))),
        Ok(_) => return to_part(place.number, &resource),
    };
    delete_object(client, &write.name, &Query::default(), Asked::Read).await?;
    refusal.map_or_else(|| Err(unknown(&upload.key)), Err)
}

fn to_part(number: u32, resource: &Resource) -> Result<Part> {
    let mut part = Part::new(number, resource.size()?);
    part.etag = Some(resource.state()?.generation.to_string());
    part.checksum = resource.crc32c().map(checksum_of);
    Ok(part)
}

pub(crate) async fn list_parts(client: &Client, upload: &MultipartUpload) -> Result<Vec<Part>> {
    let place = Place::of(client, &upload.key, &upload.id)?;
    let (_, parts) = future::try_join(place.open(client), place.parts(client)).await?;
    parts
        .iter()
        .map(|(number, resource)| to_part(*number, resource))
        .collect()
}

/// One run of bytes that is to be composed.
#[derive(Clone, Debug)]
struct Source {
    name: String,
    generation: u64,
    size: u64,
    crc32c: u32,
}

impl Source {
    fn of(resource: &Resource) -> Result<Self> {
        Ok(Self {
            name: resource.name.clone(),
            generation: resource.state()?.generation,
            size: resource.size()?,
            crc32c: resource
                .crc32c()
                .ok_or_else(|| unexpected("the store did not tell the checksum of a part"))?,
        })
    }
}

/// Returns the checksum of the sources, one after the other.
fn crc32c_of(sources: &[Source]) -> u32 {
    let start = 0;
    sources.iter().fold(start, |sum, source| {
        combine_crc32c(sum, source.crc32c, source.size)
    })
}

pub(crate) async fn complete_upload(
    client: &Client,
    upload: &MultipartUpload,
    parts: &[Part],
    options: &CompleteUploadOptions,
) -> Result<ObjectMetadata> {
    let place = Place::of(client, &upload.key, &upload.id)?;
    let (marker, stored) = future::try_join(place.open(client), place.parts(client)).await?;
    let conditions = conditions(&options.precondition)?;
    let mut sources = chosen(parts, &stored)?;
    let mut round = 0;
    while sources.len() > COMPOSED_MAX {
        sources = join(client, &place, sources, round).await?;
        round += 1;
    }
    let said = to_json(&marker.attributes(), &marker.notes());
    let query = client.kms_query("kmsKeyName").with_all(conditions);
    let asked = Asked::write(&options.precondition);
    let composed = compose(client, &client.full(&upload.key), &sources, said, query, asked).await;
    let resource = match composed {
        // What is missing is a part: another completed or aborted the upload.
        Err(error) if error.status() == Some(404) && error.kind() != ErrorKind::Configuration => {
            return Err(unknown(&upload.key).with_source(error));
        }
        composed => composed?,
    };
    let resource = check_crc32c(client, resource, crc32c_of(&sources)).await?;
    // The object is there. What cannot be removed is invisible, and a lifecycle rule's affair.
    drop(place.remove(client).await);
    resource.to_metadata(&upload.key, client.settings().versions)
}

/// Returns the objects of the parts that were asked for.
fn chosen(parts: &[Part], stored: &BTreeMap<u32, Resource>) -> Result<Vec<Source>> {
    if parts.is_empty() {
        return Err(Error::invalid_input(
            "an upload is completed with at least one part, got none",
        ));
    }
    if !parts.is_sorted_by(|left, right| left.number < right.number) {
        return Err(Error::invalid_input("the parts must come by number, each once"));
    }
    let mut sources = Vec::with_capacity(parts.len());
    for part in parts {
        let found = stored.get(&part.number).map(Source::of).transpose()?;
        let is_same = |source: &Source| {
            let generation = part.etag.as_ref();
            source.size == part.size_bytes
                && generation.is_none_or(|generation| *generation == source.generation.to_string())
        };
        let source = found.filter(is_same).ok_or_else(|| {
            Error::invalid_input(format!(
                "the store does not have part {} as it was given",
                part.number
            ))
            .with_help("complete with what list_parts answers")
        })?;
        sources.push(source);
    }
    Ok(sources)
}

/// Joins runs of parts, so that fewer are left.
async fn join(client: &Client, place: &Place, sources: Vec<Source>, round: usize) -> Result<Vec<Source>> {
    let runs: Vec<Vec<Source>> = sources.chunks(COMPOSED_MAX).map(<[Source]>::to_vec).collect();
    let joins = stream::iter(runs.into_iter().enumerate()).map(|(index, run)| async move {
        let said = to_json(&ObjectAttributes::default(), &Notes::default());
        let name = place.join(round, index);
        let query = client.kms_query("kmsKeyName");
        let resource = compose(client, &name, &run, said, query, Asked::Read).await?;
        Source::of(&check_crc32c(client, resource, crc32c_of(&run)).await?)
    });
    joins.buffered(JOINS_AT_ONCE).try_collect().await
}

async fn compose(
    client: &Client,
    name: &str,
    sources: &[Source],
    said: serde_json::Map<String, Value>,
    query: Query,
    asked: Asked,
) -> Result<Resource> {
    let listed: Vec<_> = sources
        .iter()
        .map(|source| json!({ "name": source.name, "generation": source.generation.to_string() }))
        .collect();
    let body = json!({
        "kind": "storage#composeRequest",
        "sourceObjects": listed,
        "destination": Value::Object(client.held(said)),
    });
    let url = format!("{}/{}/compose", client.objects_url(), encode_segment(name));
    let request = client.json_request(Method::POST, &url, &query, &body).await?;
    send_json(request, asked).await
}

pub(crate) async fn abort_upload(client: &Client, upload: &MultipartUpload) -> Result<()> {
    match Place::of(client, &upload.key, &upload.id) {
        Ok(place) => place.remove(client).await.map_err(no_bucket),
        // No upload of that name can be.
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(parts: &[(u32, u64)]) -> BTreeMap<u32, Resource> {
        let resource = |size: u64| {
            let text = format!(r#"{{"name":"n","size":"{size}","generation":"7","crc32c":"AAAAAA=="}}"#);
            serde_json::from_str(&text).expect("JSON")
        };
        parts
            .iter()
            .map(|(number, size)| (*number, resource(*size)))
            .collect()
    }

    fn part(number: u32, size: u64, etag: &str) -> Part {
        let mut part = Part::new(number, size);
        part.etag = Some(etag.to_owned());
        part
    }

    #[test]
    fn only_parts_that_are_there_are_composed() {
        let there = stored(&[(1, 10), (3, 5)]);
        let check = |parts: &[Part]| {
            chosen(parts, &there)
                .map(|sources| sources.len())
                .map_err(|error| error.kind())
        };
        assert_eq!(check(&[part(1, 10, "7"), part(3, 5, "7")]), Ok(2));
        assert_eq!(check(&[Part::new(3, 5)]), Ok(1));
        assert_eq!(check(&[]), Err(ErrorKind::InvalidInput));
        assert_eq!(check(&[part(2, 10, "7")]), Err(ErrorKind::InvalidInput));
        assert_eq!(check(&[part(1, 10, "8")]), Err(ErrorKind::InvalidInput));
        assert_eq!(check(&[part(1, 11, "7")]), Err(ErrorKind::InvalidInput));
        assert_eq!(
            check(&[part(3, 5, "7"), part(1, 10, "7")]),
            Err(ErrorKind::InvalidInput)
        );
        assert_eq!(
            check(&[part(1, 10, "7"), part(1, 10, "7")]),
            Err(ErrorKind::InvalidInput)
        );
    }

    #[test]
    fn part_numbers_have_bounds() {
        for (number, is_right) in [(0, false), (1, true), (PARTS_MAX, true), (PARTS_MAX + 1, false)] {
            assert_eq!(check_number(number).is_ok(), is_right, "{number}");
        }
    }
}
