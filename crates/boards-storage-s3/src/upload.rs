//! Uploads: one request where that is possible, parts where it is not.

use std::sync::Arc;

use aws_sdk_s3::operation::put_object::builders::PutObjectInputBuilder;
use aws_sdk_s3::operation::put_object::{PutObjectInput, PutObjectOutput};
use aws_sdk_s3::primitives::ByteStream as SdkStream;
use boards_storage_core::{
    Checksum, Content, Error, ErrorKind, ObjectMetadata, Precondition, Result, StorageKey, UploadOptions,
};
use bytes::Bytes;

use crate::body::{Failure, stream_body};
use crate::encoding::{self, Notes};
use crate::error::{Asked, outcome_unknown};
use crate::multipart::{Parts, look};
use crate::pieces::PartReader;
use crate::settings::{ChecksumChoice, PART_BYTES_MAX};
use crate::store::{Store, acl_of, checksum_header, etag, quoted};

/// The number of parts that an upload can have.
pub(crate) const PART_COUNT_MAX: u32 = 10_000;

/// After so many parts of an upload of unknown length the next ones are twice as large.
const PARTS_OF_ONE_SIZE: u32 = 1_000;

pub(crate) async fn upload(
    store: &Arc<Store>,
    key: &StorageKey,
    content: Content,
    options: &UploadOptions,
) -> Result<ObjectMetadata> {
    store.capabilities.check_upload(key, content.length(), options)?;
    encoding::check_fields(&options.attributes)?;
    let content = options.guard(content)?;
    let upload = Upload { store, key, options };
    let threshold = in_memory(store.settings.multipart_threshold.bytes());
    // Parts cannot be completed under a precondition everywhere.
    let must_be_single =
        options.precondition != Precondition::None && !store.settings.conditional_completion();
    match content.length() {
        Some(length) if length <= threshold as u64 => upload.put(content.collect(threshold).await?).await,
        Some(length) if must_be_single && length <= PART_BYTES_MAX => {
            let (body, failure) = stream_body(&content, length).await?;
            upload.put_stream(body, length, failure).await
        }
        Some(_) if must_be_single => Err(too_big_for_the_precondition()),
        Some(length) => {
            let reader = PartReader::new(content.open().await?);
            upload.in_parts(reader, Some(length)).await
        }
        None => {
            let mut reader = PartReader::new(content.open().await?);
            if !reader.has_more_than(threshold).await? {
                upload.put(reader.take_held().into_bytes()).await
            } else if must_be_single {
                Err(too_big_for_the_precondition())
            } else {
                upload.in_parts(reader, None).await
            }
        }
    }
}

fn too_big_for_the_precondition() -> Error {
    Error::unsupported(
        "this store decides preconditions of single uploads alone, and the content is too long for one",
    )
    .with_help("declare the length, at most 5 GiB, or set conditional_completion if the store has it")
}

/// One upload.
#[derive(Clone, Copy)]
struct Upload<'a> {
    store: &'a Arc<Store>,
    key: &'a StorageKey,
    options: &'a UploadOptions,
}

impl Upload<'_> {
    /// Sends bytes in one request.
    async fn put(self, bytes: Bytes) -> Result<ObjectMetadata> {
        let size_bytes = bytes.len() as u64;
        // The store keeps it, or the provider notes it, or nobody does.
        let (kept, noted) = match self.store.settings.checksum() {
            ChecksumChoice::Crc64nvme => (Some(Checksum::crc64_nvme(&bytes)), None),
            ChecksumChoice::None => (None, Some(Checksum::crc64_nvme(&bytes))),
            ChecksumChoice::Off => (None, None),
        };
        let request = self
            .request(noted)
            .set_checksum_crc64_nvme(kept.as_ref().map(checksum_header))
            .body(SdkStream::from(bytes));
        let sent = self.store.send_put(request).await;
        let answer = sent.map_err(|error| self.asked().failed(error))?;
        self.answered(&answer, size_bytes, kept)
    }

    /// Sends a stream of known length in one request. No checksum is known before its end.
    async fn put_stream(self, body: SdkStream, length: u64, failure: Failure) -> Result<ObjectMetadata> {
        let header = i64::try_from(length).map_err(|source| {
            Error::invalid_input(format!("{length} bytes are too many")).with_source(source)
        })?;
        let request = self.request(None).content_length(header).body(body);
        let sent = request.send_with(&self.store.client).await;
        let answer = sent.map_err(|error| failure.or(self.asked().failed(error)))?;
        self.answered(&answer, length, None)
    }

    fn request(self, noted_checksum: Option<Checksum>) -> PutObjectInputBuilder {
        let notes = self.notes(noted_checksum);
        let request = PutObjectInput::builder()
            .bucket(self.store.bucket())
            .key(self.store.full(self.key))
            .set_acl(self.options.access.map(acl_of));
        let request = as_new_object!(request, self.store, &self.options.attributes, &notes);
        match &self.options.precondition {
            Precondition::IfAbsent => request.if_none_match("*"),
            Precondition::IfMatch(etag) => request.if_match(quoted(etag)),
            _ => request,
        }
    }

    fn notes(self, checksum: Option<Checksum>) -> Notes {
        Notes {
            digest: self.options.digest,
            write_id: self.options.write_id,
            checksum,
        }
    }

    fn asked(self) -> Asked {
        Asked::write(&self.options.precondition)
    }

    fn answered(
        self,
        answer: &PutObjectOutput,
        size_bytes: u64,
        checksum: Option<Checksum>,
    ) -> Result<ObjectMetadata> {
        // What stands before a store may answer 200 to a request that the store never saw.
        let tag = answer
            .e_tag()
            .ok_or_else(|| outcome_unknown("the answer has no entity tag, so it may be no store's"))?;
        let mut metadata = self.described(size_bytes, checksum);
        metadata.etag = etag(Some(tag));
        metadata.version = self.store.version(answer.version_id());
        Ok(metadata)
    }

    /// What is known without asking.
    fn described(self, size_bytes: u64, checksum: Option<Checksum>) -> ObjectMetadata {
        let mut metadata = ObjectMetadata::new(self.key.clone(), size_bytes);
        metadata.attributes = self.options.attributes.clone();
        metadata.digest = self.options.digest;
        metadata.write_id = self.options.write_id;
        metadata.checksum = checksum;
        metadata
    }

    /// Sends parts, several at a time, and completes them. Whatever fails, the upload is aborted.
    async fn in_parts(self, mut reader: PartReader, length: Option<u64>) -> Result<ObjectMetadata> {
        let sizes = PartSizes::of(self.store, length)?;
        let mut parts = Parts::begin(self.store, self.store.full(self.key), &self.options.into()).await?;
        match self.send_parts(&mut parts, &mut reader, sizes).await {
            Ok(size_bytes) => {
                let checksum = parts.whole_checksum();
                let completed = parts
                    .complete(&self.options.precondition, checksum.as_ref())
                    .await?;
                let mut metadata = self.described(size_bytes, checksum);
                metadata.etag = completed.etag;
                metadata.version = completed.version;
                if metadata.etag.is_none() {
                    return look(self.store, &self.store.full(self.key), metadata).await;
                }
                Ok(metadata)
            }
            Err(error) => {
                parts.abort().await;
                Err(error)
            }
        }
    }

    /// Reads and sends at the same time; at most `concurrency` parts of the first size are in memory.
    async fn send_parts(self, parts: &mut Parts, reader: &mut PartReader, sizes: PartSizes) -> Result<u64> {
        let budget = sizes.first.saturating_mul(self.store.settings.concurrency);
        let mut offset = 0_u64;
        for number in 1..=PART_COUNT_MAX {
            let size = sizes.size_of(number);
            parts.wait_for_room(size, budget).await?;
            // What was begun goes on while the next part is read.
            let Some(pieces) = parts.while_sending(reader.next(size)).await? else {
                parts.wait_for_all().await?;
                return Ok(offset);
            };
            offset += pieces.len() as u64;
            parts.send(number, pieces);
        }
        if reader.has_more_than(0).await? {
            let problem =
                format!("the content is longer than {PART_COUNT_MAX} parts; {offset} bytes were sent");
            return Err(Error::new(ErrorKind::Rejected, problem).with_help("raise part_size"));
        }
        parts.wait_for_all().await?;
        Ok(offset)
    }
}

/// How large the parts of one upload are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartSizes {
    first: usize,
    grows: bool,
}

impl PartSizes {
    fn of(store: &Store, length: Option<u64>) -> Result<Self> {
        Self::new(
            store.settings.part_size.bytes(),
            length,
            store.settings.equal_parts,
        )
    }

    /// For a known length, all parts have the least size with which they suffice.
    fn new(part_bytes: u64, length: Option<u64>, are_equal: bool) -> Result<Self> {
        let needed = length.map_or(0, |length| length.div_ceil(u64::from(PART_COUNT_MAX)));
        if needed > PART_BYTES_MAX {
            let problem =
                format!("the content needs parts of {needed} bytes, at most {PART_BYTES_MAX} are allowed");
            return Err(Error::new(ErrorKind::Rejected, problem));
        }
        Ok(Self {
            first: in_memory(needed.max(part_bytes)),
            grows: length.is_none() && !are_equal,
        })
    }

    fn size_of(self, number: u32) -> usize {
        if !self.grows {
            return self.first;
        }
        let doublings = (number - 1) / PARTS_OF_ONE_SIZE;
        self.first
            .saturating_mul(1 << doublings)
            .min(in_memory(PART_BYTES_MAX))
    }
}

fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const TIB: u64 = 1 << 40;

    #[track_caller]
    fn check(length: u64, part_bytes: u64) {
        let sizes = PartSizes::new(8 * MIB, Some(length), true).expect("it fits");
        assert_eq!((sizes.first as u64, sizes.grows), (part_bytes, false));
        assert!(length.div_ceil(sizes.first as u64) <= u64::from(PART_COUNT_MAX));
    }

    #[test]
    fn parts_of_a_known_length_always_suffice() {
        check(0, 8 * MIB);
        check(80_000 * MIB, 8 * MIB);
        check(80_000 * MIB + 1, 8 * MIB + 1);
        check(5 * TIB, 549_755_814);
        check(PART_BYTES_MAX * 10_000, PART_BYTES_MAX);
        let error = PartSizes::new(8 * MIB, Some(PART_BYTES_MAX * 10_000 + 1), false).expect_err("too long");
        assert_eq!(error.kind(), ErrorKind::Rejected);
    }

    #[test]
    fn parts_of_an_unknown_length_grow_beyond_five_tebibytes() {
        let sizes = PartSizes::new(5 * MIB, None, false).expect("unknown");
        assert_eq!(sizes.size_of(1_000) as u64, 5 * MIB);
        assert_eq!(sizes.size_of(1_001) as u64, 10 * MIB);
        let all: u64 = (1..=PART_COUNT_MAX)
            .map(|number| sizes.size_of(number) as u64)
            .sum();
        assert!(all >= 4 * TIB, "{all}");
        let equal = PartSizes::new(5 * MIB, None, true).expect("unknown");
        assert_eq!(equal.size_of(PART_COUNT_MAX) as u64, 5 * MIB);
    }
}
