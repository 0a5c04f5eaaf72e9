//! What the server knows: buckets, objects, unfinished uploads.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::SupabaseBackend;
use super::blob::Blob;
use super::tus::ResumableUpload;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) buckets: HashMap<String, Bucket>,
    pub(super) uploads: HashMap<String, ResumableUpload>,
    /// Counts buckets and objects, so that those of one millisecond keep their order.
    serial: u64,
    /// The time of the last write: each has its own.
    last_write: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct Bucket {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) public: bool,
    pub(super) size_bytes_max: Option<u64>,
    pub(super) mime_types: Option<Vec<String>>,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) serial: u64,
    pub(super) objects: BTreeMap<String, Object>,
}

#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) id: Uuid,
    pub(super) version: Uuid,
    pub(super) owner: String,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) serial: u64,
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) mime_type: String,
    pub(super) cache_control: String,
    pub(super) robots: Option<String>,
    /// `null` where nobody ever said anything.
    pub(super) user_metadata: Value,
    /// `None` once the bytes are lost.
    pub(super) blob: Option<Blob>,
}

/// What a write brings.
#[derive(Clone, Debug)]
pub(super) struct NewObject {
    pub(super) version: Uuid,
    pub(super) owner: String,
    pub(super) mime_type: String,
    pub(super) cache_control: String,
    pub(super) robots: Option<String>,
    pub(super) user_metadata: Value,
    pub(super) etag: String,
    pub(super) blob: Blob,
}

impl State {
    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(super) fn object(&self, bucket: &str, key: &str) -> Option<&Object> {
        self.buckets.get(bucket)?.objects.get(key)
    }

    pub(super) fn object_mut(&mut self, bucket: &str, key: &str) -> Option<&mut Object> {
        self.buckets.get_mut(bucket)?.objects.get_mut(key)
    }

    /// Commits a write: a new row, or a new version of the row that is there.
    pub(super) fn put(&mut self, bucket: &str, key: &str, new: NewObject, now: Timestamp) -> Option<Object> {
        let serial = self.next_serial();
        let next = self.last_write.as_millisecond() + 1;
        let now = now.max(Timestamp::from_millisecond(next).unwrap_or(now));
        self.last_write = now;
        let objects = &mut self.buckets.get_mut(bucket)?.objects;
        let old = objects.get(key);
        let object = Object {
            id: old.map_or_else(Uuid::new_v4, |old| old.id),
            version: new.version,
            owner: new.owner,
            created: old.map_or(now, |old| old.created),
            updated: now,
            serial: old.map_or(serial, |old| old.serial),
            size: new.blob.length(),
            etag: new.etag,
            mime_type: new.mime_type,
            cache_control: new.cache_control,
            robots: new.robots,
            user_metadata: new.user_metadata,
            blob: Some(new.blob),
        };
        objects.insert(key.to_owned(), object.clone());
        Some(object)
    }
}

/// Returns the tag of an object that came in one request.
pub(super) fn upload_tag(backend: SupabaseBackend, blob: &Blob) -> String {
    if backend == SupabaseBackend::S3 && blob.is_large() {
        blob.parts_tag()
    } else {
        blob.md5_tag()
    }
}

/// Writes a time as the server's JSON does.
pub(super) fn iso(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Writes a time as HTTP does.
pub(super) fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

impl Object {
    pub(super) fn quoted_etag(&self) -> String {
        format!("\"{}\"", self.etag)
    }

    fn system_metadata(&self) -> Value {
        let mut metadata = json!({
            "eTag": self.quoted_etag(),
            "size": self.size,
            "mimetype": self.mime_type,
            "cacheControl": self.cache_control,
            "lastModified": iso(self.updated),
            "contentLength": self.size,
            "httpStatusCode": 200,
        });
        if let Some(robots) = &self.robots {
            metadata["xRobotsTag"] = json!(robots);
        }
        metadata
    }

    /// Returns the row as listings show it.
    pub(super) fn listed(&self, name: &str) -> Map<String, Value> {
        let mut row = Map::new();
        row.insert("name".to_owned(), json!(name));
        row.insert("id".to_owned(), json!(self.id.to_string()));
        row.insert("updated_at".to_owned(), json!(iso(self.updated)));
        row.insert("created_at".to_owned(), json!(iso(self.created)));
        row.insert("last_accessed_at".to_owned(), json!(iso(self.created)));
        row.insert("metadata".to_owned(), self.system_metadata());
        row
    }

    /// Returns the whole row, as copies and deletions show it.
    pub(super) fn row(&self, bucket: &str, name: &str) -> Map<String, Value> {
        let mut row = self.listed(name);
        row.insert("bucket_id".to_owned(), json!(bucket));
        row.insert("owner".to_owned(), json!(self.owner));
        row.insert("owner_id".to_owned(), json!(self.owner));
        row.insert("version".to_owned(), json!(self.version.to_string()));
        row.insert("user_metadata".to_owned(), self.user_metadata.clone());
        row
    }

    pub(super) fn info(&self, bucket: &str, name: &str) -> Value {
        json!({
            "id": self.id.to_string(),
            "name": name,
            "version": self.version.to_string(),
            "bucket_id": bucket,
            "size": self.size,
            "content_type": self.mime_type,
            "cache_control": self.cache_control,
            "etag": self.quoted_etag(),
            "metadata": self.user_metadata,
            "last_modified": iso(self.updated),
            "created_at": iso(self.created),
        })
    }
}
