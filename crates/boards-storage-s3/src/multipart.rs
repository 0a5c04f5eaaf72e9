//! Uploads in parts: the provider's own, which it aborts when they fail or are dropped, and those of callers.

use std::sync::Arc;

use aws_sdk_s3::operation::head_object::HeadObjectInput;
use aws_sdk_s3::operation::upload_part::UploadPartInput;
use aws_sdk_s3::primitives::ByteStream as SdkStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm as SdkChecksum, ChecksumType, CompletedMultipartUpload, CompletedPart,
};
use boards_storage_core::{
    BoxFuture, CallOptions, Checksum, ChecksumAlgorithm, CompleteUploadOptions, Content, Crc64Hasher,
    CreateUploadOptions, Digest, DigestAlgorithm, ETag, Error, ErrorKind, MultipartUpload, ObjectMetadata,
    Part, PartPlace, PartRules, Precondition, Result, StorageKey, UploadPartOptions,
};
use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use md5::{Digest as _, Md5};

use crate::body::{Failure, stream_body};
use crate::encoding::{self, Notes};
use crate::error::{Asked, outcome_unknown};
use crate::pieces::Pieces;
use crate::settings::{PART_BYTES_MAX, PART_BYTES_MIN, S3Settings};
use crate::store::{Store, acl_of, checksum_header, etag, parse_crc64, quoted};
use crate::upload::PART_COUNT_MAX;

/// The longest part of unknown length, which is read into memory.
const UNKNOWN_PART_BYTES_MAX: usize = 64 << 20;

pub(crate) fn part_rules(settings: &S3Settings) -> PartRules {
    let mut rules = PartRules::any();
    rules.size_bytes_min = PART_BYTES_MIN;
    rules.size_bytes_max = PART_BYTES_MAX;
    rules.count_max = PART_COUNT_MAX;
    rules.equal_size = settings.equal_parts;
    rules
}

/// Begins an upload in parts and returns the store's name of it.
async fn create(store: &Store, name: String, options: &CreateUploadOptions) -> Result<String> {
    if !encoding::fits_in_xml(&name) {
        let problem = "a key with the characters U+FFFE or U+FFFF cannot be uploaded in parts: XML has no way to say it";
        return Err(Error::invalid_input(problem));
    }
    let notes = Notes {
        digest: options.digest,
        write_id: options.write_id,
        checksum: None,
    };
    let keeps = store.keeps_checksums();
    let request = store
        .client
        .create_multipart_upload()
        .bucket(store.bucket())
        .key(name)
        .set_acl(options.access.map(acl_of))
        .set_checksum_algorithm(keeps.then_some(SdkChecksum::Crc64Nvme))
        .set_checksum_type(keeps.then_some(ChecksumType::FullObject));
    let request = as_new_object!(request, store, &options.attributes, &notes);
    // A lost answer leaves an upload without parts behind, which nobody sees: a repeat makes another one.
    let answer = request.send().await.map_err(|error| Asked::Read.failed(error))?;
    let id = answer.upload_id().filter(|id| !id.is_empty());
    Ok(id
        .ok_or_else(|| crate::store::incomplete("upload id"))?
        .to_owned())
}

/// Sends one part.
async fn send_part(
    store: &Store,
    key: String,
    upload_id: String,
    number: u32,
    body: PartBody,
) -> Result<Part> {
    let size_bytes = body.size_bytes();
    let keeps = store.keeps_checksums();
    let request = UploadPartInput::builder()
        .bucket(store.bucket())
        .key(key)
        .upload_id(upload_id)
        .part_number(header_number(number)?);
    let request = with_customer_key!(request, store.at_rest);
    // A part that is sent again replaces the first.
    let asked = Asked::Read;
    let (answer, checksum) = match body {
        PartBody::Pieces(pieces, checksum) => {
            let header = checksum.as_ref().filter(|_| keeps).map(checksum_header);
            let body = SdkStream::new(store.body_of(pieces));
            let request = request.set_checksum_crc64_nvme(header).body(body);
            let sent = store.send_part(request).await;
            (sent.map_err(|error| asked.failed(error))?, checksum)
        }
        PartBody::Stream(body, length, failure) => {
            let length = i64::try_from(length).unwrap_or(i64::MAX);
            let request = request
                .set_checksum_algorithm(keeps.then_some(SdkChecksum::Crc64Nvme))
                .content_length(length)
                .body(body);
            let sent = request.send_with(&store.client).await;
            (sent.map_err(|error| failure.or(asked.failed(error)))?, None)
        }
    };
    if answer.e_tag().is_none() {
        let problem = "the answer to a part has no entity tag, so it may be no store's";
        return Err(Error::new(ErrorKind::ProviderUnavailable, problem));
    }
    let mut part = Part::new(number, size_bytes);
    part.etag = etag(answer.e_tag()).map(|etag| etag.as_str().to_owned());
    part.checksum = checksum.or_else(|| answer.checksum_crc64_nvme().and_then(parse_crc64));
    Ok(part)
}

fn header_number(number: u32) -> Result<i32> {
    if (1..=PART_COUNT_MAX).contains(&number) {
        return Ok(number.cast_signed());
    }
    Err(Error::invalid_input(format!(
        "the part number must be 1 to {PART_COUNT_MAX}, got {number}"
    )))
}

enum PartBody {
    /// Bytes, and their CRC-64/NVME if it is needed.
    Pieces(Pieces, Option<Checksum>),
    Stream(SdkStream, u64, Failure),
}

impl PartBody {
    fn size_bytes(&self) -> u64 {
        match self {
            Self::Pieces(pieces, _) => pieces.len() as u64,
            Self::Stream(_, length, _) => *length,
        }
    }
}

/// What a completion answered.
#[derive(Debug)]
pub(crate) struct Completed {
    pub(crate) etag: Option<ETag>,
    pub(crate) version: Option<String>,
}

/// Makes the parts one object.
async fn complete(
    store: &Store,
    name: &str,
    upload_id: &str,
    parts: &[Part],
    precondition: &Precondition,
    checksum: Option<&Checksum>,
) -> Result<Completed> {
    let keeps = store.keeps_checksums();
    let completed = parts.iter().map(|part| {
        let crc64 = part
            .checksum
            .as_ref()
            .filter(|checksum| is_crc64(checksum) && keeps);
        Ok(CompletedPart::builder()
            .part_number(header_number(part.number)?)
            .set_e_tag(part.etag.as_ref().map(|tag| format!("\"{tag}\"")))
            .set_checksum_crc64_nvme(crc64.map(checksum_header))
            .build())
    });
    let completed = CompletedMultipartUpload::builder()
        .set_parts(Some(completed.collect::<Result<_>>()?))
        .build();
    let checksum = checksum.filter(|_| keeps);
    let request = store
        .client
        .complete_multipart_upload()
        .bucket(store.bucket())
        .key(name)
        .upload_id(upload_id)
        .multipart_upload(completed)
        .set_checksum_crc64_nvme(checksum.map(checksum_header))
        .set_checksum_type(checksum.map(|_| ChecksumType::FullObject));
    let request = match precondition {
        Precondition::IfAbsent => request.if_none_match("*"),
        Precondition::IfMatch(etag) => request.if_match(quoted(etag)),
        _ => request,
    };
    match request.send().await {
        Ok(answer) => Ok(Completed {
            // Ceph answers an empty one.
            etag: etag(answer.e_tag()).or_else(|| tag_of(parts)),
            version: store.version(answer.version_id()),
        }),
        Err(error) => {
            let failed = Asked::write(precondition).failed(error);
            match failed.status() {
                Some(500) => Err(unless_unknown(store, name, upload_id, failed).await),
                // Ceph's answer is no text where the key is long.
                Some(200) if failed.code().is_none() && *precondition == Precondition::None => {
                    unless_done(store, name, parts, failed).await
                }
                _ => Err(failed),
            }
        }
    }
}

/// Returns the success of a completion whose answer could not be read, if just these parts are the object now.
async fn unless_done(store: &Store, name: &str, parts: &[Part], failed: Error) -> Result<Completed> {
    let expected = tag_of(parts);
    let request = HeadObjectInput::builder().bucket(store.bucket()).key(name);
    match store.send_head(request).await {
        Ok(found) if expected.is_some() && etag(found.e_tag()) == expected => Ok(Completed {
            etag: expected,
            version: store.version(found.version_id()),
        }),
        Ok(_) | Err(_) => Err(failed),
    }
}

/// Returns the entity tag of an object made of parts: the MD5 of theirs, and their number. Where the parts' tags are
/// no MD5, as with some encryption, the object's is not known either.
fn tag_of(parts: &[Part]) -> Option<ETag> {
    let mut whole = Md5::new();
    for part in parts {
        let text = part.etag.as_deref()?;
        let md5: Checksum = format!("md5:{text}").parse().ok()?;
        whole.update(md5.value());
    }
    let whole = Checksum::new(ChecksumAlgorithm::Md5, whole.finalize().to_vec()).ok()?;
    let text = whole.to_string();
    Some(ETag::new(format!(
        "{}-{}",
        text.strip_prefix("md5:")?,
        parts.len()
    )))
}

/// Ceph answers 500 where there is no such upload, or no more: it may have been completed just now.
async fn unless_unknown(store: &Store, name: &str, upload_id: &str, failed: Error) -> Error {
    match list(store, name, upload_id).await {
        Err(error) if error.kind() == ErrorKind::NotFound => error,
        Ok(_) | Err(_) => failed,
    }
}

async fn abort(store: &Store, key: &str, upload_id: &str) -> Result<()> {
    let request = store
        .client
        .abort_multipart_upload()
        .bucket(store.bucket())
        .key(key)
        .upload_id(upload_id);
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) => match Asked::Read.failed(error) {
            error if error.kind() == ErrorKind::NotFound => Ok(()),
            error => Err(error),
        },
    }
}

/// Lists the parts, page by page.
async fn list(store: &Store, key: &str, upload_id: &str) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let request = store
            .client
            .list_parts()
            .bucket(store.bucket())
            .key(key)
            .upload_id(upload_id)
            .set_part_number_marker(after);
        let request = with_customer_key!(request, store.at_rest);
        let answer = request.send().await.map_err(|error| Asked::Read.failed(error))?;
        for listed in answer.parts() {
            let number = listed.part_number().and_then(|number| u32::try_from(number).ok());
            let size_bytes = listed.size().and_then(|size| u64::try_from(size).ok());
            let (Some(number), Some(size_bytes)) = (number, size_bytes) else {
                return Err(crate::store::incomplete("part number or size"));
            };
            let mut part = Part::new(number, size_bytes);
            part.etag = etag(listed.e_tag()).map(|etag| etag.as_str().to_owned());
            part.checksum = listed.checksum_crc64_nvme().and_then(parse_crc64);
            parts.push(part);
        }
        after = answer
            .next_part_number_marker()
            .filter(|_| answer.is_truncated() == Some(true))
            .map(ToOwned::to_owned);
        if after.is_none() {
            parts.sort_by_key(|part| part.number);
            return Ok(parts);
        }
    }
}

/// An upload in parts of the provider's own: several parts at a time, aborted unless it is completed.
pub(crate) struct Parts {
    guard: AbortOnDrop,
    running: FuturesUnordered<BoxFuture<'static, Result<Part>>>,
    running_bytes: usize,
    done: Vec<Part>,
}

impl Parts {
    pub(crate) async fn begin(
        store: &Arc<Store>,
        name: String,
        options: &CreateUploadOptions,
    ) -> Result<Self> {
        let upload_id = create(store, name.clone(), options).await?;
        Ok(Self {
            guard: AbortOnDrop {
                store: Arc::clone(store),
                key: name,
                upload_id: Some(upload_id),
            },
            running: FuturesUnordered::new(),
            running_bytes: 0,
            done: Vec::new(),
        })
    }

    /// The store's name of the upload.
    pub(crate) fn id(&self) -> &str {
        self.guard.upload_id.as_deref().unwrap_or_default()
    }

    /// Begins to send a part.
    pub(crate) fn send(&mut self, number: u32, pieces: Pieces) {
        let (store, key) = (Arc::clone(&self.guard.store), self.guard.key.clone());
        let upload_id = self.id().to_owned();
        self.running_bytes += pieces.len();
        self.push(async move {
            let checksum = store.keeps_checksums().then(|| pieces.crc64());
            let body = PartBody::Pieces(pieces, checksum);
            send_part(&store, key, upload_id, number, body).await
        });
    }

    /// Begins something that makes a part.
    pub(crate) fn push(&mut self, part: impl Future<Output = Result<Part>> + Send + 'static) {
        self.running.push(part.boxed());
    }

    /// How many parts are under way.
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    /// Waits until a part of `size` bytes fits beside those under way; alone it always does.
    pub(crate) async fn wait_for_room(&mut self, size: usize, budget: usize) -> Result<()> {
        while !self.running.is_empty() && self.running_bytes + size > budget {
            self.wait_for_one().await?;
        }
        Ok(())
    }

    /// Waits for `other` while the parts under way go on. `other` may be dropped and begun again.
    pub(crate) async fn while_sending<T>(&mut self, other: impl Future<Output = Result<T>>) -> Result<T> {
        let mut other = std::pin::pin!(other);
        loop {
            tokio::select! {
                biased;
                outcome = &mut other => return outcome,
                outcome = self.wait_for_one(), if !self.running.is_empty() => outcome?,
            }
        }
    }

    pub(crate) async fn wait_for_one(&mut self) -> Result<()> {
        if let Some(outcome) = self.running.next().await {
            let part = outcome?;
            self.running_bytes = self
                .running_bytes
                .saturating_sub(usize::try_from(part.size_bytes).unwrap_or(0));
            self.done.push(part);
        }
        Ok(())
    }

    pub(crate) async fn wait_for_all(&mut self) -> Result<()> {
        while !self.running.is_empty() {
            self.wait_for_one().await?;
        }
        Ok(())
    }

    /// Returns the checksum of all parts together, where the store keeps checksums.
    pub(crate) fn whole_checksum(&mut self) -> Option<Checksum> {
        self.done.sort_by_key(|part| part.number);
        whole_checksum(&self.done).filter(|_| self.guard.store.keeps_checksums())
    }

    /// Completes the upload. If that fails it is aborted, also where it may have worked: then there is nothing to
    /// abort.
    pub(crate) async fn complete(
        &mut self,
        precondition: &Precondition,
        checksum: Option<&Checksum>,
    ) -> Result<Completed> {
        self.done.sort_by_key(|part| part.number);
        let store = Arc::clone(&self.guard.store);
        let outcome = complete(
            &store,
            &self.guard.key,
            self.id(),
            &self.done,
            precondition,
            checksum,
        )
        .await;
        match outcome {
            Ok(completed) => {
                self.guard.upload_id = None;
                Ok(completed)
            }
            Err(error) => {
                self.abort().await;
                // It was there a moment ago: somebody aborted it, or it was completed and the answer is wrong.
                Err(match error.kind() {
                    ErrorKind::NotFound => outcome_unknown("the upload in parts is gone").with_source(error),
                    _ => error,
                })
            }
        }
    }

    /// Gives the upload up and waits until the store has heard of it; what goes wrong is tried again in the
    /// background.
    pub(crate) async fn abort(&mut self) {
        self.running.clear();
        let store = Arc::clone(&self.guard.store);
        if abort(&store, &self.guard.key, self.id()).await.is_ok() {
            self.guard.upload_id = None;
        }
    }
}

/// Aborts an upload when its owner is dropped.
struct AbortOnDrop {
    store: Arc<Store>,
    key: String,
    /// None when there is nothing to abort any more.
    upload_id: Option<String>,
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        let Some(upload_id) = self.upload_id.take() else {
            return;
        };
        // Without a runtime nothing can be sent; the store's clean-up of stale uploads takes it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (store, key) = (Arc::clone(&self.store), std::mem::take(&mut self.key));
        runtime.spawn(async move {
            // A failure leaves an upload that nobody sees, for the store's clean-up too.
            let _ = abort(&store, &key, &upload_id).await;
        });
    }
}

pub(crate) async fn create_upload(
    store: &Store,
    key: &StorageKey,
    options: &CreateUploadOptions,
) -> Result<MultipartUpload> {
    store.capabilities.check_create_upload(key, options)?;
    encoding::check_fields(&options.attributes)?;
    let id = create(store, store.full(key), options).await?;
    let mut upload = MultipartUpload::new(key.clone(), id, part_rules(&store.settings));
    upload.write_id = options.write_id;
    Ok(upload)
}

pub(crate) async fn upload_part(
    store: &Store,
    upload: &MultipartUpload,
    place: PartPlace,
    content: Content,
    options: &UploadPartOptions,
) -> Result<Part> {
    let id = known_id(upload)?;
    if let Some(length) = content.length() {
        check_size(place, length)?;
    }
    let whole_in_memory = usize::try_from(store.settings.part_size.bytes()).unwrap_or(usize::MAX);
    let whole_in_memory = whole_in_memory.max(UNKNOWN_PART_BYTES_MAX);
    let body = match content.length() {
        Some(length) if length > whole_in_memory as u64 && content.as_bytes().is_none() => {
            if options.checksum.is_some() {
                return Err(Error::unsupported(format!(
                    "the checksum of a streamed part is checked up to {whole_in_memory} bytes, this one has {length}"
                ))
                .with_help("give the part as bytes, or without a checksum"));
            }
            let (body, failure) = stream_body(&content, length).await?;
            PartBody::Stream(body, length, failure)
        }
        Some(_) if content.as_bytes().is_some() => in_memory(
            content.collect(usize::MAX).await?,
            place,
            options.checksum.as_ref(),
        )?,
        _ => {
            let bytes = content.collect(whole_in_memory).await?;
            in_memory(bytes, place, options.checksum.as_ref())?
        }
    };
    send_part(store, store.full(&upload.key), id.to_owned(), place.number, body).await
}

/// Makes the body of a caller's part, which is checked, and whose checksum the caller gets.
fn in_memory(bytes: Bytes, place: PartPlace, expected: Option<&Checksum>) -> Result<PartBody> {
    check_size(place, bytes.len() as u64)?;
    if let Some(expected) = expected {
        check_checksum(&bytes, expected)?;
    }
    let checksum = Checksum::crc64_nvme(&bytes);
    Ok(PartBody::Pieces(bytes.into(), Some(checksum)))
}

fn check_size(place: PartPlace, size_bytes: u64) -> Result<()> {
    let problem = if size_bytes > PART_BYTES_MAX {
        format!("at most {PART_BYTES_MAX} are allowed")
    } else if size_bytes < PART_BYTES_MIN && !place.is_last {
        format!("at least {PART_BYTES_MIN} are needed in all parts but the last")
    } else {
        return Ok(());
    };
    let number = place.number;
    Err(Error::invalid_input(format!(
        "part {number} has {size_bytes} bytes, {problem}"
    )))
}

fn check_checksum(bytes: &[u8], expected: &Checksum) -> Result<()> {
    let is_right = match expected.algorithm() {
        ChecksumAlgorithm::Crc64Nvme => Checksum::crc64_nvme(bytes) == *expected,
        ChecksumAlgorithm::Sha256 => {
            Digest::of(DigestAlgorithm::Sha256, bytes).as_bytes()[..] == *expected.value()
        }
        ChecksumAlgorithm::Md5 => Md5::digest(bytes)[..] == *expected.value(),
        ChecksumAlgorithm::Crc32c => {
            return Err(Error::unsupported(
                "parts are checked by crc64nvme, sha256 or md5, not by crc32c",
            ));
        }
    };
    if is_right {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Corruption,
        format!("the part does not have the checksum that was declared: {expected}"),
    )
    .with_help("compute the checksum of the very bytes that are sent, then send them again"))
}

pub(crate) async fn list_parts(
    store: &Store,
    upload: &MultipartUpload,
    _: &CallOptions,
) -> Result<Vec<Part>> {
    let id = known_id(upload)?;
    list(store, &store.full(&upload.key), id).await
}

pub(crate) async fn complete_upload(
    store: &Store,
    upload: &MultipartUpload,
    parts: &[Part],
    options: &CompleteUploadOptions,
) -> Result<ObjectMetadata> {
    let id = known_id(upload)?;
    store.capabilities.require_precondition(
        boards_storage_core::OperationKind::CompleteUpload,
        &options.precondition,
    )?;
    if parts.is_empty() {
        return Err(Error::invalid_input(
            "an upload in parts is completed by at least one part",
        ));
    }
    let tagged = with_tags(store, upload, id, parts).await?;
    let whole = whole_checksum(&tagged);
    let completed = complete(
        store,
        &store.full(&upload.key),
        id,
        &tagged,
        &options.precondition,
        whole.as_ref(),
    )
    .await;
    match completed {
        Ok(completed) => {
            let size_bytes = tagged.iter().map(|part| part.size_bytes).sum();
            let mut known = ObjectMetadata::new(upload.key.clone(), size_bytes);
            known.etag = completed.etag;
            known.version = completed.version;
            known.write_id = upload.write_id;
            look(store, &store.full(&upload.key), known).await
        }
        Err(error) if error.kind() == ErrorKind::NotFound => own_object(store, upload).await.ok_or(error),
        Err(error) => Err(error),
    }
}

/// Looks at what was just written, for what the answer to the write did not tell. Where it was replaced or removed
/// since, what is `known` of the write is all there is.
pub(crate) async fn look(store: &Store, name: &str, known: ObjectMetadata) -> Result<ObjectMetadata> {
    match store.head_named(name, &known.key).await {
        Ok(found) if known.etag.is_some() && found.metadata.etag != known.etag => Ok(known),
        Ok(found) => Ok(found.metadata),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(known),
        Err(error) => {
            let unknown = outcome_unknown("the object was written, but looking at it failed");
            Err(unknown.with_source(error))
        }
    }
}

/// Returns the object at the key if it is the one of this upload, which was then completed before.
async fn own_object(store: &Store, upload: &MultipartUpload) -> Option<ObjectMetadata> {
    let own = upload.write_id?;
    let found = store.head(&upload.key).await.ok()?.metadata;
    (found.write_id == Some(own)).then_some(found)
}

/// Adds the tags that the caller does not have.
async fn with_tags(store: &Store, upload: &MultipartUpload, id: &str, parts: &[Part]) -> Result<Vec<Part>> {
    let mut tagged = parts.to_vec();
    if tagged.iter().any(|part| part.etag.is_none()) {
        let listed = list(store, &store.full(&upload.key), id).await?;
        for part in tagged.iter_mut().filter(|part| part.etag.is_none()) {
            let found = listed.iter().find(|listed| listed.number == part.number);
            let found =
                found.ok_or_else(|| Error::invalid_input(format!("part {} was not sent", part.number)))?;
            part.etag.clone_from(&found.etag);
        }
    }
    Ok(tagged)
}

/// Returns the CRC-64/NVME of the whole, if those of all parts are known.
fn whole_checksum(parts: &[Part]) -> Option<Checksum> {
    let mut whole = Crc64Hasher::default();
    for part in parts {
        let checksum = part.checksum.as_ref().filter(|checksum| is_crc64(checksum))?;
        whole.append(checksum, part.size_bytes).ok()?;
    }
    Some(whole.finish())
}

fn is_crc64(checksum: &Checksum) -> bool {
    checksum.algorithm() == ChecksumAlgorithm::Crc64Nvme
}

pub(crate) async fn abort_upload(store: &Store, upload: &MultipartUpload, _: &CallOptions) -> Result<()> {
    match known_id(upload) {
        Ok(id) => abort(store, &store.full(&upload.key), id).await,
        Err(_) => Ok(()),
    }
}

/// Returns the upload's id. The store would take an empty one for another kind of request.
pub(crate) fn known_id(upload: &MultipartUpload) -> Result<&str> {
    if upload.id.is_empty() {
        return Err(Error::not_found(
            "there is no such upload in parts: its id is empty",
        ));
    }
    Ok(&upload.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_of_parts_is_known_where_theirs_are_md5() {
        let part = |number, tag: Option<&str>| {
            let mut part = Part::new(number, 1);
            part.etag = tag.map(ToOwned::to_owned);
            part
        };
        let (one, two) = (
            "0cc175b9c0f1b6a831c399e269772661",
            "92eb5ffee6ae2fec3ad71c777531578f",
        );
        let tag = tag_of(&[part(1, Some(one)), part(2, Some(two))]);
        // As `printf` of both in binary through `md5sum` says.
        assert_eq!(tag, Some(ETag::new("96e024ba2074fe77e8e965ba43a704be-2")));
        assert_eq!(tag_of(&[part(1, Some(one)), part(2, Some("opaque"))]), None);
        assert_eq!(tag_of(&[part(1, None)]), None);
    }
}
