//! The read path: one open payload and the sidecar of the generation that was opened.

use std::ops::Range;
use std::sync::Arc;

use boards_storage_core::{
    Checksum, Crc64Hasher, Download, DownloadOptions, DownloadOutcome, Error, ErrorKind, NotModified,
    ObjectMetadata, Result, StorageKey,
};
use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::{Errno, retry_on_intr};

use crate::buffers::{BUFFER_BYTES, Buffers};
use crate::error::{While, corruption, from_errno, not_found, not_regular, too_busy};
use crate::generation::{Generation, KeyHash};
use crate::sidecar::{self, Record};
use crate::store::Store;
use crate::stream::PayloadReader;
use crate::tree::{ATTEMPTS_MAX, LOOK_FLAGS, Present, READ_FLAGS};

/// Objects up to this size are read in the same hop that opens them.
const WHOLE_BYTES_MAX: u64 = BUFFER_BYTES as u64;

/// One state of one object, bytes and metadata together.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) file: OwnedFd,
    pub(crate) generation: Generation,
    pub(crate) record: Record,
}

impl Store {
    /// Opens an object for reading.
    pub(crate) fn snapshot(&self, key: &StorageKey) -> Result<Snapshot> {
        self.open_object(key, READ_FLAGS)
    }

    /// Answers what is known of an object.
    pub(crate) fn metadata(&self, key: &StorageKey) -> Result<ObjectMetadata> {
        let Snapshot {
            generation, record, ..
        } = self.open_object(key, LOOK_FLAGS)?;
        Ok(record.into_metadata(key, generation))
    }

    /// Says whether there is an object.
    pub(crate) fn exists(&self, key: &StorageKey) -> Result<bool> {
        match self.tree.look(key.as_str()) {
            Ok(Present::Object(_)) => Ok(true),
            Ok(Present::Nothing | Present::Folder) => Ok(false),
            Ok(Present::Other(what)) => Err(not_regular(what)),
            Err(errno) => Err(open_error(errno)),
        }
    }

    fn open_object(&self, key: &StorageKey, flags: OFlags) -> Result<Snapshot> {
        let hash = KeyHash::of(key);
        let mut present = None;
        for _ in 0..ATTEMPTS_MAX {
            let (file, generation) = self.open_payload(key, flags)?;
            let record = match sidecar::read(&self.tree, key, hash, generation)? {
                Some(record) => record,
                // It has none: either it never had one, or it was replaced meanwhile and its sidecar removed. It
                // never had one if the path still names it.
                None if present == Some(generation) => Record::inferred(key),
                None => {
                    present = self.tree.look(key.as_str()).map_err(open_error)?.generation();
                    if present != Some(generation) {
                        continue;
                    }
                    Record::inferred(key)
                }
            };
            return Ok(Snapshot {
                file,
                generation,
                record,
            });
        }
        Err(too_busy())
    }

    fn open_payload(&self, key: &StorageKey, flags: OFlags) -> Result<(OwnedFd, Generation)> {
        let file = self.tree.open_at(key.as_str(), flags).map_err(open_error)?;
        let stat = rustix::fs::fstat(&file).during("the object could not be looked at")?;
        match Present::from_stat(&stat) {
            Present::Object(generation) => Ok((file, generation)),
            Present::Nothing | Present::Folder => Err(not_found()),
            Present::Other(what) => Err(not_regular(what)),
        }
    }
}

fn open_error(errno: Errno) -> Error {
    match errno {
        Errno::NOENT | Errno::NOTDIR => not_found(),
        Errno::LOOP => from_errno("there is a symbolic link at the key or on the way to it", errno),
        // What a socket answers.
        Errno::NXIO => not_regular("a socket"),
        _ => from_errno("the object could not be opened", errno),
    }
}

/// What the first hop of a download finds.
enum Opened {
    NotModified(NotModified),
    Whole(Download),
    Large {
        metadata: Arc<ObjectMetadata>,
        reader: Box<PayloadReader>,
    },
}

/// Reads an object or a range of it.
pub(crate) async fn download(
    store: &Arc<Store>,
    key: &StorageKey,
    options: &DownloadOptions,
) -> Result<DownloadOutcome> {
    let conditions = Conditions::of(options);
    let (shared, key) = (Arc::clone(store), key.clone());
    Ok(
        match store
            .lane
            .hop(move || open_download(&shared, &key, &conditions))
            .await?
        {
            Opened::NotModified(answer) => DownloadOutcome::NotModified(answer),
            Opened::Whole(download) => DownloadOutcome::Object(download),
            Opened::Large { metadata, reader } => {
                let range = reader.range();
                DownloadOutcome::Object(Download::from_stream(metadata, range, reader.into_stream()))
            }
        },
    )
}

/// The part of the options that the hop needs.
struct Conditions {
    range: Option<boards_storage_core::ByteRange>,
    if_match: Option<boards_storage_core::ETag>,
    if_none_match: Option<boards_storage_core::ETag>,
    if_modified_since: Option<jiff::Timestamp>,
}

impl Conditions {
    fn of(options: &DownloadOptions) -> Self {
        Self {
            range: options.range,
            if_match: options.if_match.clone(),
            if_none_match: options.if_none_match.clone(),
            if_modified_since: options.if_modified_since,
        }
    }

    /// Decides whether the object is sent.
    fn check(&self, generation: Generation) -> Result<Option<NotModified>> {
        if self.if_match.is_none() && self.if_none_match.is_none() && self.if_modified_since.is_none() {
            return Ok(None);
        }
        let etag = generation.etag();
        if let Some(wanted) = &self.if_match
            && *wanted != etag
        {
            return Err(Error::new(
                ErrorKind::PreconditionFailed,
                format!("the object has the etag {etag:?}, wanted was {wanted:?}"),
            ));
        }
        let modified = generation.modified();
        let is_known = match (&self.if_none_match, self.if_modified_since, modified) {
            (Some(known), _, _) => *known == etag,
            (None, Some(since), Some(modified)) => modified.as_second() <= since.as_second(),
            (None, _, _) => false,
        };
        Ok(is_known.then(|| NotModified::new(Some(etag), modified)))
    }
}

fn open_download(store: &Arc<Store>, key: &StorageKey, conditions: &Conditions) -> Result<Opened> {
    let Snapshot {
        file,
        generation,
        record,
    } = store.snapshot(key)?;
    if let Some(answer) = conditions.check(generation)? {
        return Ok(Opened::NotModified(answer));
    }
    let size = generation.size_bytes;
    let range = match conditions.range {
        Some(range) => range.resolve(size)?,
        None => 0..size,
    };
    let expected = if store.has_checksums && range == (0..size) {
        checksum_of(&record)
    } else {
        None
    };
    let metadata = Arc::new(record.into_metadata(key, generation));
    let length = range.end - range.start;
    if length > WHOLE_BYTES_MAX {
        let reader = Box::new(PayloadReader::new(store, file, key, range, expected));
        return Ok(Opened::Large { metadata, reader });
    }
    let mut hasher = expected.is_some().then(Crc64Hasher::default);
    let bytes = read_exactly(&store.buffers, &file, range.clone(), hasher.as_mut())?;
    if let (Some(expected), Some(hasher)) = (expected, hasher) {
        check_checksum(&expected, &hasher.finish())?;
    }
    Ok(Opened::Whole(Download::from_bytes(metadata, range, bytes)))
}

/// Returns the checksum against which a full read is checked.
fn checksum_of(record: &Record) -> Option<Checksum> {
    record.checksum.clone().filter(crate::write::is_ours)
}

/// Compares what was read with what was written.
pub(crate) fn check_checksum(expected: &Checksum, computed: &Checksum) -> Result<()> {
    if expected == computed {
        return Ok(());
    }
    Err(corruption(format!(
        "the object has the checksum {computed}, when written it had {expected}"
    )))
}

/// So much is read at once before it is hashed, so that it is still in the processor's nearest caches then.
const NEAR_BYTES: usize = 128 * 1024;

/// Reads a range of a payload, at most one buffer, and adds it to a checksum.
pub(crate) fn read_exactly(
    buffers: &Arc<Buffers>,
    file: &OwnedFd,
    range: Range<u64>,
    mut hasher: Option<&mut Crc64Hasher>,
) -> Result<Bytes> {
    let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let mut filled = 0;
    let mut note = |result: rustix::io::Result<usize>| {
        let count = result.during("the object could not be read")?;
        filled += count;
        if count == 0 {
            return Err(corruption(
                "the object became shorter while it was being read: it was cut in place",
            ));
        }
        Ok(filled)
    };
    if Buffers::is_for(length) {
        let mut buffer = buffers.take(length);
        let mut done = 0;
        while done < length {
            let offset = range.start + done as u64;
            let end = if hasher.is_some() {
                length.min(done + NEAR_BYTES)
            } else {
                length
            };
            let now = note(retry_on_intr(|| {
                rustix::io::pread(file, &mut buffer.as_mut()[done..end], offset)
            }))?;
            if let Some(hasher) = &mut hasher {
                hasher.update(&buffer.as_ref()[done..now]);
            }
            done = now;
        }
        return Ok(buffer.into_bytes());
    }
    let mut memory = Vec::with_capacity(length);
    while memory.len() < length {
        let offset = range.start + memory.len() as u64;
        note(retry_on_intr(|| {
            rustix::io::pread(file, spare_capacity(&mut memory), offset)
        }))?;
    }
    memory.truncate(length);
    if let Some(hasher) = hasher {
        hasher.update(&memory);
    }
    Ok(Bytes::from(memory))
}
