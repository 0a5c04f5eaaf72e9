//! Uploads in parts, which any process can go on with.
//!
//! An upload is a folder: `upload.json` says what it is for, and each part is a file named by its number, made by one
//! rename. A part ends with a trailer of ours, its checksum, so that bytes and checksum are replaced together. To
//! complete, the parts are joined into a staged payload that takes the common way; a lock on `upload.json` lets one
//! complete or abort at a time, and the folder's removal is seen by all at once.

use std::sync::Arc;

use boards_storage_core::{
    Checksum, ChecksumAlgorithm, CompleteUploadOptions, Content, Crc64Hasher, CreateUploadOptions, Digest,
    Error, ErrorKind, MultipartUpload, ObjectAttributes, ObjectMetadata, Part, PartPlace, PartRules,
    Precondition, Result, StorageKey, UploadPartOptions, WriteId,
};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::copy::{copy_in_kernel, copy_through_memory};
use crate::error::{While, corruption, from_errno};
use crate::hop::{Cancellation, hop};
use crate::read::read_exactly;
use crate::sidecar::{Record, read_all, write_all};
use crate::staging::names_in;
use crate::store::Store;
use crate::tree::{CREATE_FLAGS, READ_FLAGS, sync};
use crate::upload::{check_length, stage};
use crate::write::{Draft, Payload};

/// The folder of all uploads in parts.
pub(crate) const MULTIPART: &str = ".boards-storage/multipart";

const DESCRIPTION: &str = "upload.json";
const DESCRIPTION_FORMAT: u32 = 1;
const DESCRIPTION_BYTES_MAX: usize = 64 * 1024;

/// What stands at the end of each part: this and the big-endian CRC-64/NVME of what is before.
const TRAILER_MARK: &[u8; 8] = b"bs-part1";
const TRAILER_BYTES: u64 = 16;

/// What an upload is for.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    format: u32,
    key: StorageKey,
    #[serde(default)]
    attributes: ObjectAttributes,
    #[serde(default)]
    precondition: Precondition,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    write_id: Option<WriteId>,
}

/// A part as it lies on the disk.
struct StoredPart {
    file: OwnedFd,
    size_bytes: u64,
    checksum: Checksum,
}

impl StoredPart {
    fn etag(&self) -> String {
        format!("{:x}-{}", self.size_bytes, self.checksum)
    }

    fn to_part(&self, number: u32) -> Part {
        let mut part = Part::new(number, self.size_bytes);
        part.etag = Some(self.etag());
        part.checksum = Some(self.checksum.clone());
        part
    }
}

/// Returns what the parts must look like.
pub(crate) fn part_rules() -> PartRules {
    PartRules::any()
}

fn unknown() -> Error {
    Error::not_found("there is no such upload: it was never begun, or it was completed or aborted")
}

/// Returns the folder of an upload. Its id comes from outside: only the form that we gave out is looked for.
fn folder_of(upload: &MultipartUpload) -> Result<String> {
    let is_ours = upload.id.len() == 32
        && upload
            .id
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if is_ours {
        Ok(format!("{MULTIPART}/{}", upload.id))
    } else {
        Err(unknown())
    }
}

impl Store {
    /// Begins an upload.
    pub(crate) fn create_upload(
        &self,
        key: &StorageKey,
        options: &CreateUploadOptions,
    ) -> Result<MultipartUpload> {
        self.writer()?;
        let description = Description {
            format: DESCRIPTION_FORMAT,
            key: key.clone(),
            attributes: options.attributes.clone(),
            precondition: options.precondition.clone(),
            digest: options.digest,
            length: options.length,
            write_id: options.write_id,
        };
        let id = uuid::Uuid::now_v7().simple().to_string();
        let folder = format!("{MULTIPART}/{id}");
        let text = serde_json::to_vec_pretty(&description).expect("maps with text keys become JSON");
        let write = || {
            drop(self.tree.folder_created(&folder, false)?);
            let file = self
                .tree
                .open_at(&format!("{folder}/{DESCRIPTION}"), CREATE_FLAGS)?;
            write_all(&file, &text)?;
            if self.is_durable {
                sync(&file)?;
                self.tree.sync_folder(&folder)?;
                self.tree.sync_folder(MULTIPART)?;
            }
            Ok(())
        };
        write().during("the upload could not be begun")?;
        Ok(MultipartUpload::new(key.clone(), id, part_rules()))
    }

    /// Opens the description of an upload, which is locked to complete or abort it.
    fn description(&self, upload: &MultipartUpload) -> Result<(OwnedFd, Description)> {
        let path = format!("{}/{DESCRIPTION}", folder_of(upload)?);
        let file = match self.tree.open_at(&path, READ_FLAGS) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Err(unknown()),
            Err(errno) => return Err(from_errno("the upload could not be opened", errno)),
        };
        let text = read_all(&file, DESCRIPTION_BYTES_MAX).during("the upload could not be read")?;
        let description: Description = serde_json::from_slice(&text)
            .map_err(|source| corruption("the upload's description is damaged").with_source(source))?;
        if description.format != DESCRIPTION_FORMAT {
            return Err(corruption(format!(
                "the upload has the unknown format {}",
                description.format
            )));
        }
        if description.key != upload.key {
            return Err(Error::not_found(format!(
                "the upload is for the key '{}'",
                description.key
            )));
        }
        Ok((file, description))
    }

    /// Waits until nobody else completes or aborts the upload; the lock goes with the file.
    fn lock_upload(&self, upload: &MultipartUpload) -> Result<(OwnedFd, Description)> {
        let (file, description) = self.description(upload)?;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))
            .during("the upload could not be locked")?;
        // Whoever had the lock may have removed the file.
        let stat = rustix::fs::fstat(&file).during("the upload could not be looked at")?;
        let path = format!("{}/{DESCRIPTION}", folder_of(upload)?);
        match self.tree.open_at(&path, READ_FLAGS).and_then(rustix::fs::fstat) {
            Ok(at_path) if (at_path.st_dev, at_path.st_ino) == (stat.st_dev, stat.st_ino) => {
                Ok((file, description))
            }
            Ok(_) | Err(Errno::NOENT) => Err(unknown()),
            Err(errno) => Err(from_errno("the upload could not be looked at", errno)),
        }
    }

    /// Puts a staged part into its place.
    fn commit_part(
        &self,
        upload: &MultipartUpload,
        number: u32,
        payload: Payload,
        wanted: Option<&Checksum>,
        cancellation: &Cancellation,
    ) -> Result<Part> {
        self.description(upload)?;
        let checksum = payload.checksum.expect("parts are staged with their checksum");
        if let Some(wanted) = wanted.filter(|wanted| wanted.algorithm() == ChecksumAlgorithm::Crc64Nvme)
            && *wanted != checksum
        {
            return Err(Error::new(
                ErrorKind::Corruption,
                format!("the part has the checksum {checksum}, declared was {wanted}"),
            ));
        }
        let mut staged = payload.staged;
        let trailer = [&TRAILER_MARK[..], checksum.value()].concat();
        write_all(&staged.file, &trailer).during("the part could not be written")?;
        if self.is_durable {
            sync(&staged.file).during("the part could not be synced")?;
        }
        failpoint!("local::part::written");
        let folder_path = folder_of(upload)?;
        cancellation.check()?;
        let renamed = self
            .tree
            .folder(&folder_path)
            .and_then(|folder| staged.rename(&folder, &number.to_string()));
        match renamed {
            Ok(()) => {}
            Err(Errno::NOENT) => return Err(unknown()),
            Err(errno) => return Err(from_errno("the part could not be put into place", errno)),
        }
        failpoint!("local::part::renamed");
        if self.is_durable {
            self.tree
                .sync_folder(&folder_path)
                .map_err(crate::error::unknown_outcome)?;
        }
        let mut part = Part::new(number, payload.size_bytes);
        part.etag = Some(format!("{:x}-{checksum}", payload.size_bytes));
        part.checksum = Some(checksum);
        Ok(part)
    }

    fn open_part(&self, folder: &str, number: u32) -> Result<Option<StoredPart>> {
        let file = match self.tree.open_at(&format!("{folder}/{number}"), READ_FLAGS) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(from_errno("a part could not be opened", errno)),
        };
        let stat = rustix::fs::fstat(&file).during("a part could not be looked at")?;
        let damaged = || corruption(format!("part {number} is damaged"));
        let size_bytes = u64::try_from(stat.st_size)
            .ok()
            .and_then(|size| size.checked_sub(TRAILER_BYTES))
            .ok_or_else(damaged)?;
        let trailer = read_exactly(&self.buffers, &file, size_bytes..size_bytes + TRAILER_BYTES, None)?;
        let value = trailer.strip_prefix(TRAILER_MARK).ok_or_else(damaged)?;
        let checksum = Checksum::new(ChecksumAlgorithm::Crc64Nvme, value)?;
        Ok(Some(StoredPart {
            file,
            size_bytes,
            checksum,
        }))
    }

    /// Lists the parts by number.
    pub(crate) fn list_parts(&self, upload: &MultipartUpload) -> Result<Vec<Part>> {
        self.description(upload)?;
        let folder = folder_of(upload)?;
        let names = match names_in(&self.tree, &folder) {
            Ok(names) => names,
            Err(Errno::NOENT) => return Err(unknown()),
            Err(errno) => return Err(from_errno("the parts could not be listed", errno)),
        };
        let mut numbers: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
        numbers.sort_unstable();
        let mut parts = Vec::with_capacity(numbers.len());
        for number in numbers {
            parts.extend(
                self.open_part(&folder, number)?
                    .map(|stored| stored.to_part(number)),
            );
        }
        Ok(parts)
    }

    /// Makes the parts one object.
    pub(crate) fn complete_upload(
        &self,
        upload: &MultipartUpload,
        parts: &[Part],
        options: &CompleteUploadOptions,
        cancellation: &Cancellation,
    ) -> Result<ObjectMetadata> {
        let (_lock, description) = self.lock_upload(upload)?;
        check_parts(parts)?;
        // Either may have been told; what was told once is not forgotten.
        let precondition = match &options.precondition {
            Precondition::None => &description.precondition,
            told => told,
        };
        let length = parts
            .iter()
            .fold(0_u64, |sum, part| sum.saturating_add(part.size_bytes));
        check_length(description.length, length)?;
        let digest = options.digest.or(description.digest);
        let payload = self.join_parts(&folder_of(upload)?, parts, digest, cancellation)?;
        failpoint!("local::complete::joined");
        let record = Record {
            attributes: description.attributes,
            checksum: None,
            digest,
            write_id: description.write_id,
        };
        let metadata = self.commit(&upload.key, payload, record, precondition, cancellation)?;
        failpoint!("local::complete::committed");
        // The object is there. An upload that could not be removed is one that can be completed again or aborted.
        let _ = self.remove_upload(upload);
        failpoint!("local::complete::removed");
        Ok(metadata)
    }

    /// Joins parts into one staged payload. Its checksum is made of the parts' checksums, so it is that of what was
    /// sent, whatever happened to the parts meanwhile.
    fn join_parts(
        &self,
        folder: &str,
        parts: &[Part],
        digest: Option<Digest>,
        cancellation: &Cancellation,
    ) -> Result<Payload> {
        let mut draft = Draft::begin(self, false, digest)?;
        let mut checksum = Crc64Hasher::default();
        let mut size_bytes = 0;
        for part in parts {
            let stored = self.open_part(folder, part.number)?.ok_or_else(|| {
                Error::invalid_input(format!("part {} is missing", part.number)).with_help("send it again")
            })?;
            if stored.size_bytes != part.size_bytes
                || part.etag.as_ref().is_some_and(|etag| *etag != stored.etag())
            {
                return Err(Error::invalid_input(format!(
                    "part {} is not the one that was asked for: it has the tag {}",
                    part.number,
                    stored.etag()
                ))
                .with_help("list the parts and send the wrong one again"));
            }
            checksum.append(&stored.checksum, stored.size_bytes)?;
            size_bytes += stored.size_bytes;
            if digest.is_some() {
                copy_through_memory(self, &stored.file, stored.size_bytes, cancellation, |bytes| {
                    draft.write(&[bytes])
                })?;
            } else {
                copy_in_kernel(&stored.file, &draft.staged.file, stored.size_bytes, cancellation)?;
            }
        }
        let checksum = self.has_checksums.then(|| checksum.finish());
        Ok(Payload {
            size_bytes,
            checksum,
            ..draft.finish()?
        })
    }

    /// Gives an upload up.
    pub(crate) fn abort_upload(&self, upload: &MultipartUpload) -> Result<()> {
        match self.lock_upload(upload) {
            Ok(_lock) => self
                .remove_upload(upload)
                .during("the upload could not be removed"),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            // Whatever is wrong with it, it is not wanted any more.
            Err(error) if error.kind() == ErrorKind::Corruption => self
                .remove_upload(upload)
                .during("the upload could not be removed"),
            Err(error) => Err(error),
        }
    }

    fn remove_upload(&self, upload: &MultipartUpload) -> rustix::io::Result<()> {
        let Ok(writer) = self.writer() else {
            return Err(Errno::IO);
        };
        let parent = self.tree.open_at(MULTIPART, OFlags::RDONLY | OFlags::DIRECTORY)?;
        writer.staging.discard_folder(&parent, &upload.id)?;
        if self.is_durable { sync(&parent) } else { Ok(()) }
    }
}

fn check_parts(parts: &[Part]) -> Result<()> {
    if parts.is_empty() {
        return Err(
            Error::invalid_input("an upload needs at least one part").with_help("send an empty last part")
        );
    }
    if let Some(pair) = parts.windows(2).find(|pair| pair[0].number >= pair[1].number) {
        return Err(Error::invalid_input(format!(
            "parts must be given by rising number, got {} after {}",
            pair[1].number, pair[0].number
        )));
    }
    let rules = part_rules();
    let (last, others) = parts.split_last().expect("not empty");
    if let Some(small) = others.iter().find(|part| part.size_bytes < rules.size_bytes_min) {
        return Err(Error::invalid_input(format!(
            "part {} is empty; only the last may be",
            small.number
        )));
    }
    check_number(last.number)
}

fn check_number(number: u32) -> Result<()> {
    let max = part_rules().count_max;
    if (1..=max).contains(&number) {
        return Ok(());
    }
    Err(Error::invalid_input(format!(
        "part numbers are 1 to {max}, got {number}"
    )))
}

/// Stores one part.
pub(crate) async fn upload_part(
    store: &Arc<Store>,
    upload: &MultipartUpload,
    place: PartPlace,
    content: &Content,
    options: &UploadPartOptions,
) -> Result<Part> {
    check_number(place.number)?;
    let rules = part_rules();
    let check_size = move |size: u64| {
        if size > rules.size_bytes_max || (size < rules.size_bytes_min && !place.is_last) {
            return Err(Error::invalid_input(format!(
                "a part has {} to {} bytes, got {size}",
                rules.size_bytes_min, rules.size_bytes_max
            )));
        }
        Ok(())
    };
    if let Some(length) = content.length() {
        check_size(length)?;
    }
    let wanted = options.checksum.clone();
    let digest = wanted.as_ref().map(declared_digest).transpose()?.flatten();
    if content.as_bytes().is_none() {
        // An unknown upload is told before its bytes are received.
        let (shared, named) = (Arc::clone(store), upload.clone());
        hop(move || shared.description(&named).map(drop)).await?;
    }
    let (shared, named) = (Arc::clone(store), upload.clone());
    stage(
        store,
        content,
        None,
        true,
        digest,
        move |payload, cancellation| {
            check_size(payload.size_bytes)?;
            shared.commit_part(&named, place.number, payload, wanted.as_ref(), cancellation)
        },
    )
    .await
}

/// Returns the checksum as a digest, where it is one.
fn declared_digest(checksum: &Checksum) -> Result<Option<Digest>> {
    match checksum.algorithm() {
        ChecksumAlgorithm::Crc64Nvme => Ok(None),
        ChecksumAlgorithm::Sha256 => {
            let hex = checksum.to_string();
            Ok(Some(hex.parse()?))
        }
        other @ (ChecksumAlgorithm::Crc32c | ChecksumAlgorithm::Md5) => Err(Error::unsupported(format!(
            "this provider checks parts by crc64nvme or sha256, not by {}",
            other.name()
        ))),
    }
}
