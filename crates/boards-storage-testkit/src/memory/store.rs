//! The objects: a map behind a lock that is never held across an await. Every change is one call here, so it is
//! atomic.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use boards_storage_core::{
    AccessClass, Checksum, Clock, DeleteOutcome, Digest, ETag, Error, ErrorKind, ListEntry, ListOptions,
    ObjectAttributes, ObjectMetadata, Precondition, Result, StorageKey, WriteId,
};
use bytes::Bytes;
use parking_lot::Mutex;

use super::parts::PendingUpload;

/// What all handles of one memory store share.
pub(super) struct Store {
    state: Mutex<State>,
    pub(super) clock: Arc<dyn Clock>,
    /// Signs requests; random, so that no other instance's signature counts here.
    pub(super) signing_key: [u8; 32],
    pub(super) versions_max: usize,
    pub(super) is_file_or_folder: bool,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, History>,
    uploads: BTreeMap<String, PendingUpload>,
    /// Makes every version, entity tag and upload id of the store unique.
    counter: u64,
}

/// The states of one key, oldest first, the present one last; never empty.
type History = VecDeque<Arc<Object>>;

/// One state of an object.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) bytes: Bytes,
    pub(super) checksum: Checksum,
    pub(super) access: AccessClass,
    pub(super) metadata: Arc<ObjectMetadata>,
}

/// What a write brings; the store adds tags and times.
#[derive(Clone, Debug)]
pub(super) struct NewObject {
    pub(super) bytes: Bytes,
    pub(super) checksum: Checksum,
    pub(super) attributes: ObjectAttributes,
    pub(super) digest: Option<Digest>,
    pub(super) write_id: Option<WriteId>,
    /// `None` keeps what is there.
    pub(super) access: Option<AccessClass>,
}

impl Store {
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        signing_key: [u8; 32],
        versions_max: usize,
        is_file_or_folder: bool,
    ) -> Self {
        Self {
            state: Mutex::default(),
            clock,
            signing_key,
            versions_max,
            is_file_or_folder,
        }
    }

    pub(super) fn find(&self, key: &StorageKey) -> Result<Arc<Object>> {
        self.state
            .lock()
            .present(key)
            .cloned()
            .ok_or_else(|| missing(key))
    }

    pub(super) fn find_version(&self, key: &StorageKey, version: &str) -> Result<Arc<Object>> {
        let state = self.state.lock();
        let mut states = state.objects.get(key.as_str()).into_iter().flatten();
        states
            .find(|object| version_of(object) == version)
            .cloned()
            .ok_or_else(|| {
                Error::not_found(format!("there is no version '{version}' of this object")).with_key(key)
            })
    }

    /// Makes `new` the present state of the key.
    pub(super) fn commit(
        &self,
        key: &StorageKey,
        precondition: &Precondition,
        new: NewObject,
    ) -> Result<Arc<Object>> {
        let mut state = self.state.lock();
        state.check(key, precondition)?;
        self.commit_checked(&mut state, key, new)
    }

    /// Makes the parts of a pending upload the present state of its key, and forgets the upload.
    pub(super) fn commit_upload(
        &self,
        key: &StorageKey,
        id: &str,
        precondition: &Precondition,
        new: NewObject,
    ) -> Result<Arc<Object>> {
        let mut state = self.state.lock();
        // Looked for again: another completion may have come first while these parts were joined.
        state.upload(key, id)?;
        state.check(key, precondition)?;
        let object = self.commit_checked(&mut state, key, new)?;
        state.uploads.remove(id);
        Ok(object)
    }

    fn commit_checked(&self, state: &mut State, key: &StorageKey, new: NewObject) -> Result<Arc<Object>> {
        if self.is_file_or_folder {
            state.check_file_or_folder(key)?;
        }
        state.counter += 1;
        let number = state.counter;
        let now = self.clock.now();
        let before = state.present(key);
        let mut metadata = ObjectMetadata::new(key.clone(), new.bytes.len() as u64);
        metadata.attributes = new.attributes;
        metadata.etag = Some(ETag::new(format!("{number:016x}")));
        metadata.version = Some(format!("v{number}"));
        metadata.checksum = Some(new.checksum.clone());
        metadata.digest = new.digest;
        metadata.write_id = new.write_id;
        metadata.created = before.and_then(|object| object.metadata.created).or(Some(now));
        metadata.modified = Some(now);
        let access = new
            .access
            .or_else(|| before.map(|object| object.access))
            .unwrap_or_default();
        let metadata = Arc::new(metadata);
        let object = Arc::new(Object {
            bytes: new.bytes,
            checksum: new.checksum,
            access,
            metadata,
        });
        let history = state.objects.entry(key.as_str().to_owned()).or_default();
        if history.len() == self.versions_max {
            history.pop_front();
        }
        history.push_back(Arc::clone(&object));
        Ok(object)
    }

    /// Makes a changed copy of the present state the present one.
    pub(super) fn amend(
        &self,
        key: &StorageKey,
        precondition: &Precondition,
        change: impl FnOnce(&mut NewObject),
    ) -> Result<Arc<Object>> {
        let mut state = self.state.lock();
        state.check(key, precondition)?;
        let before = state.present(key).ok_or_else(|| missing(key))?;
        let mut new = NewObject {
            bytes: before.bytes.clone(),
            checksum: before.checksum.clone(),
            attributes: before.metadata.attributes.clone(),
            digest: before.metadata.digest,
            write_id: before.metadata.write_id,
            access: None,
        };
        change(&mut new);
        self.commit_checked(&mut state, key, new)
    }

    /// Changes the present state in place, without a new version.
    pub(super) fn edit(&self, key: &StorageKey, change: impl FnOnce(&mut Object)) -> Result<()> {
        let mut state = self.state.lock();
        let object = state
            .objects
            .get_mut(key.as_str())
            .and_then(VecDeque::back_mut)
            .ok_or_else(|| missing(key))?;
        change(Arc::make_mut(object));
        Ok(())
    }

    /// Removes an object with its whole history.
    pub(super) fn remove(&self, key: &StorageKey, precondition: &Precondition) -> Result<DeleteOutcome> {
        let mut state = self.state.lock();
        state.check(key, precondition)?;
        Ok(match state.objects.remove(key.as_str()) {
            Some(_) => DeleteOutcome::Existed,
            None => DeleteOutcome::Absent,
        })
    }

    /// Returns up to `count` entries after `cursor`, in byte order.
    pub(super) fn list(&self, options: &ListOptions, cursor: &str, count: usize) -> Vec<ListEntry> {
        let state = self.state.lock();
        let mut entries = Vec::new();
        // The position may stand before the prefix, where nothing can match.
        let mut position = Bound::Excluded(cursor.to_owned());
        if cursor < options.prefix.as_str() {
            position = Bound::Included(options.prefix.clone());
        }
        while entries.len() < count {
            let bounds = (position.as_ref().map(String::as_str), Bound::Unbounded);
            let Some((key, history)) = state.objects.range::<str, _>(bounds).next() else {
                break;
            };
            let Some(rest) = key.strip_prefix(options.prefix.as_str()) else {
                break;
            };
            let folded = options
                .delimiter
                .as_ref()
                .and_then(|delimiter| rest.split_once(delimiter.as_str()));
            if let Some((name, _)) = folded {
                let folder = format!("{}{name}", options.prefix);
                // '0' is the character after '/'.
                position = Bound::Included(format!("{folder}0"));
                let prefix = format!("{folder}/");
                if prefix.as_str() > cursor {
                    entries.push(ListEntry::Prefix(prefix));
                }
            } else {
                position = Bound::Excluded(key.clone());
                entries.extend(history.back().map(|object| entry_of(object)));
            }
        }
        entries
    }

    pub(super) fn begin_upload(&self, upload: PendingUpload) -> String {
        let mut state = self.state.lock();
        state.counter += 1;
        let id = format!("upload-{:016x}", state.counter);
        state.uploads.insert(id.clone(), upload);
        id
    }

    /// Runs `work` on a pending upload.
    pub(super) fn with_upload<T>(
        &self,
        key: &StorageKey,
        id: &str,
        work: impl FnOnce(&mut PendingUpload) -> Result<T>,
    ) -> Result<T> {
        work(self.state.lock().upload(key, id)?)
    }

    pub(super) fn forget_upload(&self, key: &StorageKey, id: &str) {
        let mut state = self.state.lock();
        if state.upload(key, id).is_ok() {
            state.uploads.remove(id);
        }
    }

    pub(super) fn pending_uploads(&self) -> usize {
        self.state.lock().uploads.len()
    }

    pub(super) fn objects(&self) -> usize {
        self.state.lock().objects.len()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the objects nor the signing key.
        f.debug_struct("Store")
            .field("objects", &self.objects())
            .finish_non_exhaustive()
    }
}

impl State {
    fn present(&self, key: &StorageKey) -> Option<&Arc<Object>> {
        self.objects.get(key.as_str()).and_then(VecDeque::back)
    }

    fn upload(&mut self, key: &StorageKey, id: &str) -> Result<&mut PendingUpload> {
        self.uploads
            .get_mut(id)
            .filter(|upload| upload.key == *key)
            .ok_or_else(|| {
                Error::not_found("there is no such upload in parts: it was completed, aborted or never begun")
                    .with_key(key)
            })
    }

    fn check(&self, key: &StorageKey, precondition: &Precondition) -> Result<()> {
        let present = self.present(key);
        match precondition {
            Precondition::None => Ok(()),
            Precondition::IfAbsent if present.is_none() => Ok(()),
            Precondition::IfAbsent => {
                Err(Error::new(ErrorKind::AlreadyExists, "there is an object already").with_key(key))
            }
            Precondition::IfMatch(etag)
                if present.and_then(|object| object.metadata.etag.as_ref()) == Some(etag) =>
            {
                Ok(())
            }
            Precondition::IfMatch(etag) => Err(changed(key, etag.as_str(), present)),
            other => Err(Error::unsupported(format!(
                "the memory provider does not know {other:?}"
            ))),
        }
    }

    /// Checks that no object stands where the key needs a folder, nor a folder where it needs a file.
    fn check_file_or_folder(&self, key: &StorageKey) -> Result<()> {
        let refuse = |message: String| Err(Error::invalid_input(message).with_key(key));
        for (position, _) in key.as_str().match_indices('/') {
            let folder = &key.as_str()[..position];
            if self.objects.contains_key(folder) {
                return refuse(format!(
                    "'{folder}' is an object, so it cannot be a folder as well"
                ));
            }
        }
        let below = format!("{key}/");
        if self
            .objects
            .range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded))
            .next()
            .is_some_and(|(next, _)| next.starts_with(&below))
        {
            return refuse(format!("'{key}' is a folder, so it cannot be an object as well"));
        }
        Ok(())
    }
}

fn missing(key: &StorageKey) -> Error {
    Error::not_found("there is no object").with_key(key)
}

pub(super) fn changed(key: &StorageKey, expected: &str, present: Option<&Arc<Object>>) -> Error {
    let found = match present.and_then(|object| object.metadata.etag.as_ref()) {
        Some(etag) => format!("it is '{etag}'"),
        None => "there is none".to_owned(),
    };
    Error::new(
        ErrorKind::PreconditionFailed,
        format!("the object should have the entity tag '{expected}', but {found}"),
    )
    .with_key(key)
}

fn version_of(object: &Object) -> &str {
    object.metadata.version.as_deref().unwrap_or_default()
}

/// What a listing says of an object: as little as real stores do.
fn entry_of(object: &Object) -> ListEntry {
    let mut metadata = ObjectMetadata::new(object.metadata.key.clone(), object.metadata.size_bytes);
    metadata.etag.clone_from(&object.metadata.etag);
    metadata.modified = object.metadata.modified;
    ListEntry::Object(Box::new(metadata))
}
