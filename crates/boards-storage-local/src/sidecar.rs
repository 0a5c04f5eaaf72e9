//! Sidecars: what is known of one generation of one object beside its bytes.
//!
//! A sidecar is written under its final name, which no reader asks for before its payload is renamed into place, and
//! is never changed. It is JSON, so that a person can read it.

use std::borrow::Cow;

use boards_storage_core::{
    Checksum, ContentType, Digest, ObjectAttributes, ObjectMetadata, Result, StorageKey, WriteId,
};
use rustix::buffer::spare_capacity;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::{While, corruption, from_errno};
use crate::generation::{Generation, KeyHash};
use crate::tree::{CREATE_FLAGS, READ_FLAGS, Tree, sync};

/// The folder of the sidecars.
pub(crate) const META: &str = ".boards-storage/meta";

/// The version of the form below.
const FORMAT: u32 = 1;

/// The greatest sidecar in bytes; what [`ObjectAttributes::validate`] lets through is far smaller.
const BYTES_MAX: usize = 64 * 1024;

/// What is kept of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) attributes: ObjectAttributes,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) digest: Option<Digest>,
    pub(crate) write_id: Option<WriteId>,
}

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    format: u32,
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<Checksum>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    write_id: Option<WriteId>,
    attributes: Cow<'a, ObjectAttributes>,
}

impl Record {
    /// Returns what is known of an object that has no sidecar: the content type that its name suggests.
    pub(crate) fn inferred(key: &StorageKey) -> Self {
        let mut record = Self::default();
        record.attributes.content_type = ContentType::from_file_name(key.file_name());
        record
    }

    /// Returns whether the object needs no sidecar, because a reader would infer the same without.
    pub(crate) fn is_inferred(&self, key: &StorageKey) -> bool {
        // The checksum is there as a rule, so look at it first.
        self.checksum.is_none() && *self == Self::inferred(key)
    }

    /// Returns the answer to a caller.
    pub(crate) fn into_metadata(self, key: &StorageKey, generation: Generation) -> ObjectMetadata {
        let mut metadata = ObjectMetadata::new(key.clone(), generation.size_bytes);
        metadata.attributes = self.attributes;
        metadata.checksum = self.checksum;
        metadata.digest = self.digest;
        metadata.write_id = self.write_id;
        metadata.etag = Some(generation.etag());
        metadata.modified = generation.modified();
        metadata
    }
}

/// Returns the name of a sidecar within its folder.
pub(crate) fn name_of(hash: KeyHash, generation: Generation) -> String {
    format!("{hash}.{generation}")
}

/// Returns the folder of a key's sidecars.
pub(crate) fn folder_of(hash: KeyHash) -> String {
    format!("{META}/{:02x}", hash.folder())
}

fn path_of(hash: KeyHash, generation: Generation) -> String {
    format!("{META}/{:02x}/{hash}.{generation}", hash.folder())
}

/// Removes a sidecar; that there is none is fine.
pub(crate) fn remove(tree: &Tree, hash: KeyHash, generation: Generation) -> rustix::io::Result<()> {
    tree.remove_file(&path_of(hash, generation))
}

/// Writes a sidecar, synced if asked to. `Ok(false)` if the generation has one already.
pub(crate) fn write(
    tree: &Tree,
    key: &StorageKey,
    hash: KeyHash,
    generation: Generation,
    record: &Record,
    is_synced: bool,
) -> Result<bool> {
    let stored = Stored {
        format: FORMAT,
        key: Cow::Borrowed(key.as_str()),
        checksum: record.checksum.clone(),
        digest: record.digest,
        write_id: record.write_id,
        attributes: Cow::Borrowed(&record.attributes),
    };
    let mut text = Vec::with_capacity(512);
    serde_json::to_writer(&mut text, &stored).expect("maps with text keys become JSON");
    let path = path_of(hash, generation);
    let file = match tree.open_at(&path, CREATE_FLAGS) {
        Err(Errno::NOENT) => {
            tree.folder_created(&folder_of(hash), false)
                .during("the metadata folder could not be made")?;
            tree.open_at(&path, CREATE_FLAGS)
        }
        other => other,
    };
    match file {
        Ok(file) => {
            let written = write_all(&file, &text).and_then(|()| if is_synced { sync(&file) } else { Ok(()) });
            if let Err(errno) = written {
                // It is ours and incomplete. If it can't be removed, it names a generation that never was.
                let _ = tree.remove_file(&path);
                return Err(from_errno("the metadata could not be written", errno));
            }
            Ok(true)
        }
        Err(Errno::EXIST) => Ok(false),
        Err(errno) => Err(from_errno("the metadata could not be written", errno)),
    }
}

/// Reads the sidecar of a generation; `None` if it has none.
pub(crate) fn read(
    tree: &Tree,
    key: &StorageKey,
    hash: KeyHash,
    generation: Generation,
) -> Result<Option<Record>> {
    let file = match tree.open_at(&path_of(hash, generation), READ_FLAGS) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(from_errno("the metadata could not be read", errno)),
    };
    let text = read_all(&file, BYTES_MAX).during("the metadata could not be read")?;
    let stored: Stored<'_> = serde_json::from_slice(&text)
        .map_err(|source| corruption("the object's metadata is damaged").with_source(source))?;
    if stored.format != FORMAT || stored.key != key.as_str() {
        return Err(corruption(format!(
            "the object's metadata has format {} and is of '{}'; expected format {FORMAT} and '{key}'",
            stored.format, stored.key
        )));
    }
    Ok(Some(Record {
        attributes: stored.attributes.into_owned(),
        checksum: stored.checksum,
        digest: stored.digest,
        write_id: stored.write_id,
    }))
}

/// Writes all bytes at the file's position.
pub(crate) fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        let count = rustix::io::retry_on_intr(|| rustix::io::write(file, bytes))?;
        bytes = &bytes[count..];
    }
    Ok(())
}

/// Reads a small file of ours from its position to its end.
pub(crate) fn read_all(file: impl AsFd, size_bytes_max: usize) -> rustix::io::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(2048);
    loop {
        if text.len() == text.capacity() {
            text.reserve(text.len());
        }
        // One read does for nearly every file: a read that leaves room has met the end.
        let count = rustix::io::retry_on_intr(|| rustix::io::read(&file, spare_capacity(&mut text)))?;
        if count == 0 || text.len() < text.capacity() {
            return Ok(text);
        }
        if text.len() > size_bytes_max {
            return Err(Errno::FBIG);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::GenerationClock;

    #[test]
    fn a_sidecar_comes_back_as_it_went() {
        let folder = tempfile::tempdir().expect("a folder");
        let tree = Tree::open(folder.path(), false).expect("opened");
        let key = StorageKey::parse("a/ü \"quoted\".png").expect("a key");
        let hash = KeyHash::of(&key);
        let generation = GenerationClock::new(1).next(5);
        let record = Record {
            attributes: ObjectAttributes::default()
                .with_content_type(ContentType::parse("image/png").expect("a type"))
                .with_cache_control("no-cache")
                .with_user_metadata("a", "\"ä\\\u{1f389}".repeat(100)),
            checksum: Some(Checksum::crc64_nvme(b"x")),
            digest: None,
            write_id: Some(WriteId::fresh()),
        };
        assert_eq!(read(&tree, &key, hash, generation).expect("looked"), None);
        assert!(write(&tree, &key, hash, generation, &record, true).expect("written"));
        assert!(!write(&tree, &key, hash, generation, &record, true).expect("refused"));
        assert_eq!(read(&tree, &key, hash, generation).expect("read"), Some(record));
        let other = StorageKey::parse("other").expect("a key");
        let error = read(&tree, &other, hash, generation).expect_err("of another key");
        assert_eq!(error.kind(), boards_storage_core::ErrorKind::Corruption);
        remove(&tree, hash, generation).expect("removed");
        assert_eq!(read(&tree, &key, hash, generation).expect("looked"), None);
    }

    #[test]
    fn only_what_the_name_says_needs_no_sidecar() {
        let png = StorageKey::parse("a.png").expect("a key");
        let none = StorageKey::parse("a").expect("a key");
        assert!(Record::inferred(&png).is_inferred(&png) && Record::default().is_inferred(&none));
        assert!(!Record::default().is_inferred(&png) && !Record::inferred(&png).is_inferred(&none));
        let checked = Record {
            checksum: Some(Checksum::crc64_nvme(b"")),
            ..Record::default()
        };
        assert!(!checked.is_inferred(&none));
    }
}
