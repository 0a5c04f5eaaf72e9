//! The provider: checks what the capabilities say, reads the content, and makes one change at the store.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use boards_storage_core::{
    AccessClass, ByteStream, CallOptions, Capabilities, Capability, Checksum, CompleteUploadOptions, Content,
    CopyOptions, Crc64Hasher, CreateUploadOptions, DeleteOptions, DeleteOutcome, DeletedKey, Digest,
    Download, DownloadOptions, DownloadOutcome, Error, ErrorKind, ListOptions, ListStream, MultipartUpload,
    NotModified, ObjectAttributes, ObjectMetadata, Part, PartPlace, PresignDownloadOptions,
    PresignPartOptions, PresignUploadOptions, ProviderInfo, Result, SetMetadataOptions, SignedMethod,
    SignedRequest, SignedUploadForm, StorageKey, StorageProvider, UploadOptions, UploadPartOptions,
    check_expiry,
};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};

use super::builder::MemoryBuilder;
use super::executor::{MemoryExecutor, check_algorithm, slice};
use super::parts::{PendingUpload, StoredPart};
use super::presign::{Grant, GrantedPart, url_of};
use super::store::{NewObject, Object, Store, changed};
use crate::executor::SignedRequestExecutor;

/// Downloads come in pieces of at most so many bytes.
const PIECE_BYTES: usize = 256 * 1024;
/// So many entries of a listing are taken under one lock.
const LIST_PAGE_ENTRIES: usize = 256;

/// A store in the memory of this process, with every capability and precondition.
///
/// It does what real stores do, so that tests above it need no server: it keeps versions, verifies reads, takes
/// uploads in parts, and signs requests that [`MemoryProvider::executor`] answers. An upload is read into memory and
/// becomes visible in one step. Clones are handles of the same store. What can be taken away or set is in
/// [`MemoryBuilder`].
///
/// # Examples
///
/// ```
/// use boards_storage_core::{Content, DownloadOptions, StorageKey, StorageProvider, UploadOptions};
/// use boards_storage_testkit::MemoryProvider;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> boards_storage_core::Result<()> {
/// let memory = MemoryProvider::new();
/// let key = StorageKey::parse("greetings/hello.txt")?;
/// memory.upload(&key, Content::from("hello"), &UploadOptions::default()).await?;
/// let download = memory.download(&key, &DownloadOptions::default()).await?.into_object()?;
/// assert_eq!(&download.bytes(1024).await?[..], b"hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryProvider {
    name: Arc<str>,
    base_url: Arc<str>,
    capabilities: Capabilities,
    store: Arc<Store>,
}

impl MemoryProvider {
    /// Opens an empty store that can do everything.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::builder().build()
    }

    /// Returns a builder, for a store that can do less.
    #[must_use]
    pub fn builder() -> MemoryBuilder {
        MemoryBuilder::default()
    }

    pub(super) fn open(name: String, base_url: String, capabilities: Capabilities, store: Store) -> Self {
        Self {
            name: name.into(),
            base_url: base_url.into(),
            capabilities,
            store: Arc::new(store),
        }
    }

    /// Returns the server of the requests that this store signs.
    #[must_use]
    pub fn executor(&self) -> Arc<dyn SignedRequestExecutor> {
        Arc::new(MemoryExecutor {
            store: Arc::clone(&self.store),
            base_url: Arc::clone(&self.base_url),
        })
    }

    /// Returns the number of objects, old versions not counted.
    #[must_use]
    pub fn objects(&self) -> usize {
        self.store.objects()
    }

    /// Returns the number of uploads in parts that are neither completed nor aborted.
    #[must_use]
    pub fn pending_uploads(&self) -> usize {
        self.store.pending_uploads()
    }

    /// Flips one bit of the stored bytes and leaves the checksum, as a failing disk would.
    ///
    /// # Errors
    ///
    /// `NotFound`; `InvalidInput` if the object is empty.
    pub fn damage(&self, key: &StorageKey) -> Result<()> {
        if self.store.find(key)?.bytes.is_empty() {
            return Err(Error::invalid_input("an empty object has no bit to flip").with_key(key));
        }
        self.store.edit(key, |object| {
            let mut bytes = BytesMut::from(&object.bytes[..]);
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            object.bytes = bytes.freeze();
        })
    }

    /// Returns how an object may be reached.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn access(&self, key: &StorageKey) -> Result<AccessClass> {
        self.store.find(key).map(|object| object.access)
    }

    /// Reads content to its end: the bytes and their checksum.
    async fn read(&self, content: &Content) -> Result<(Bytes, Checksum)> {
        let max = self.capabilities.object_size_bytes_max.unwrap_or(u64::MAX);
        let bytes = match content.as_bytes() {
            Some(bytes) => bytes.clone(),
            None => collect(content.open().await?, max).await?,
        };
        let checksum = Checksum::crc64_nvme(&bytes);
        Ok((bytes, checksum))
    }

    /// Returns the metadata without what is not declared.
    fn shown(&self, object: &Object) -> Arc<ObjectMetadata> {
        let has = |capability| self.capabilities.has(capability);
        let hides = !(has(Capability::Checksum) && has(Capability::Digest) && has(Capability::ReadVersion));
        if !hides {
            return Arc::clone(&object.metadata);
        }
        let mut metadata = ObjectMetadata::clone(&object.metadata);
        metadata.checksum = metadata.checksum.filter(|_| has(Capability::Checksum));
        metadata.digest = metadata.digest.filter(|_| has(Capability::Digest));
        metadata.version = metadata.version.filter(|_| has(Capability::ReadVersion));
        Arc::new(metadata)
    }

    fn answer(&self, object: &Object) -> ObjectMetadata {
        Arc::unwrap_or_clone(self.shown(object))
    }

    fn outcome(&self, outcome: DeleteOutcome) -> DeleteOutcome {
        if self.capabilities.has(Capability::TruthfulDelete) {
            outcome
        } else {
            DeleteOutcome::Unknown
        }
    }

    fn body(&self, object: &Object, range: Range<u64>) -> Download {
        let metadata = self.shown(object);
        let bytes = slice(&object.bytes, &range);
        let is_verified =
            self.capabilities.has(Capability::VerifiedRead) && bytes.len() == object.bytes.len();
        let expected = is_verified.then(|| object.checksum.clone());
        Download::from_stream(metadata, range, in_pieces(bytes, expected))
    }

    fn check_upload_known(&self, upload: &MultipartUpload) -> Result<()> {
        self.capabilities.require(Capability::Multipart)?;
        self.store.with_upload(&upload.key, &upload.id, |_| Ok(()))
    }
}

async fn collect(mut content: ByteStream, size_bytes_max: u64) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = content.next().await.transpose()? {
        if (bytes.len() + piece.len()) as u64 > size_bytes_max {
            return Err(Error::new(
                ErrorKind::Rejected,
                format!(
                    "the object has more than {size_bytes_max} bytes, which is all that this store takes"
                ),
            ));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

/// Gives the bytes piece by piece; where they do not have the checksum, `Corruption` instead of the last piece.
fn in_pieces(bytes: Bytes, expected: Option<Checksum>) -> ByteStream {
    let start = (bytes, expected, Crc64Hasher::default());
    Box::pin(stream::try_unfold(
        start,
        |(mut rest, mut expected, mut hasher)| async move {
            if rest.is_empty() {
                return Ok(None);
            }
            let piece = rest.split_to(rest.len().min(PIECE_BYTES));
            if expected.is_some() {
                hasher.update(&piece);
            }
            if rest.is_empty()
                && let Some(expected) = expected.take()
                && hasher.finish() != expected
            {
                return Err(Error::new(
                    ErrorKind::Corruption,
                    "the bytes do not have the checksum that was kept of them",
                ));
            }
            Ok(Some((piece, (rest, expected, hasher))))
        },
    ))
}

/// Returns the answer to a conditional download whose conditions say that no bytes are wanted.
fn not_modified(object: &Object, options: &DownloadOptions) -> Option<NotModified> {
    let metadata = &object.metadata;
    let holds = match (&options.if_none_match, options.if_modified_since) {
        (Some(etag), _) => metadata.etag.as_ref() == Some(etag),
        (None, Some(since)) => metadata
            .modified
            .is_some_and(|modified| modified.as_second() <= since.as_second()),
        (None, None) => false,
    };
    holds.then(|| NotModified::new(metadata.etag.clone(), metadata.modified))
}

#[async_trait]
impl StorageProvider for MemoryProvider {
    fn info(&self) -> ProviderInfo {
        ProviderInfo::new("memory", &*self.name)
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn upload(
        &self,
        key: &StorageKey,
        content: Content,
        options: &UploadOptions,
    ) -> Result<ObjectMetadata> {
        self.capabilities.check_upload(key, content.length(), options)?;
        let content = options.guard(content)?;
        let (bytes, checksum) = self.read(&content).await?;
        let new = NewObject {
            bytes,
            checksum,
            attributes: options.attributes.clone(),
            digest: options.digest,
            write_id: options.write_id,
            access: options.access,
        };
        Ok(self.answer(&*self.store.commit(key, &options.precondition, new)?))
    }

    async fn download(&self, key: &StorageKey, options: &DownloadOptions) -> Result<DownloadOutcome> {
        self.capabilities.check_download(key, options)?;
        let object = match &options.version {
            Some(version) => self.store.find_version(key, version)?,
            None => self.store.find(key)?,
        };
        if let Some(etag) = &options.if_match
            && object.metadata.etag.as_ref() != Some(etag)
        {
            return Err(changed(key, etag.as_str(), Some(&object)));
        }
        if let Some(answer) = not_modified(&object, options) {
            return Ok(DownloadOutcome::NotModified(answer));
        }
        let size = object.metadata.size_bytes;
        let range = options.range.map_or(Ok(0..size), |range| range.resolve(size))?;
        Ok(DownloadOutcome::Object(self.body(&object, range)))
    }

    async fn metadata(&self, key: &StorageKey, _options: &CallOptions) -> Result<ObjectMetadata> {
        self.capabilities.key_rules.check(key)?;
        Ok(self.answer(&*self.store.find(key)?))
    }

    async fn delete(&self, key: &StorageKey, options: &DeleteOptions) -> Result<DeleteOutcome> {
        self.capabilities.check_delete(key, options)?;
        Ok(self.outcome(self.store.remove(key, &options.precondition)?))
    }

    async fn delete_many(&self, keys: &[StorageKey], options: &DeleteOptions) -> Result<Vec<DeletedKey>> {
        self.capabilities.check_delete_many(keys, options)?;
        let delete = |key: &StorageKey| {
            let outcome = self
                .store
                .remove(key, &options.precondition)
                .map(|outcome| self.outcome(outcome));
            DeletedKey {
                key: key.clone(),
                outcome,
            }
        };
        Ok(keys.iter().map(delete).collect())
    }

    async fn list(&self, options: &ListOptions) -> Result<ListStream> {
        self.capabilities.check_list(options)?;
        let store = Arc::clone(&self.store);
        let cursor = options.start_after.clone().unwrap_or_default();
        let limit = options.limit.unwrap_or(usize::MAX);
        let options = Arc::new(options.clone());
        let pages = stream::unfold(Some(cursor), move |cursor| {
            let page = cursor.map(|cursor| store.list(&options, &cursor, LIST_PAGE_ENTRIES));
            async move {
                let page = page?;
                let next = if page.len() == LIST_PAGE_ENTRIES {
                    page.last().map(|entry| entry.name().to_owned())
                } else {
                    None
                };
                Some((stream::iter(page.into_iter().map(Ok)), next))
            }
        });
        Ok(Box::pin(pages.flatten().take(limit)))
    }

    async fn copy(
        &self,
        from: &StorageKey,
        to: &StorageKey,
        options: &CopyOptions,
    ) -> Result<ObjectMetadata> {
        self.capabilities.check_copy(from, to, options)?;
        let source = self.store.find(from)?;
        if let Some(etag) = &options.source_if_match
            && source.metadata.etag.as_ref() != Some(etag)
        {
            return Err(changed(from, etag.as_str(), Some(&source)));
        }
        let new = NewObject {
            bytes: source.bytes.clone(),
            checksum: source.checksum.clone(),
            attributes: options
                .attributes
                .clone()
                .unwrap_or_else(|| source.metadata.attributes.clone()),
            digest: source.metadata.digest,
            write_id: options.write_id,
            access: None,
        };
        Ok(self.answer(&*self.store.commit(to, &options.precondition, new)?))
    }

    async fn set_metadata(
        &self,
        key: &StorageKey,
        attributes: &ObjectAttributes,
        options: &SetMetadataOptions,
    ) -> Result<ObjectMetadata> {
        self.capabilities.check_set_metadata(key, attributes, options)?;
        let attributes = attributes.clone();
        let object = self
            .store
            .amend(key, &options.precondition, |new| new.attributes = attributes)?;
        Ok(self.answer(&object))
    }

    async fn set_access(&self, key: &StorageKey, access: AccessClass, _options: &CallOptions) -> Result<()> {
        self.capabilities.require(Capability::SetAccess)?;
        self.capabilities.key_rules.check(key)?;
        self.store.edit(key, |object| object.access = access)
    }

    async fn create_upload(
        &self,
        key: &StorageKey,
        options: &CreateUploadOptions,
    ) -> Result<MultipartUpload> {
        self.capabilities.check_create_upload(key, options)?;
        let rules = self
            .capabilities
            .part_rules
            .ok_or_else(|| Error::unsupported("there are no rules for parts"))?;
        let id = self
            .store
            .begin_upload(PendingUpload::new(key.clone(), options.clone(), rules));
        Ok(MultipartUpload::new(key.clone(), id, rules))
    }

    async fn upload_part(
        &self,
        upload: &MultipartUpload,
        place: PartPlace,
        content: Content,
        options: &UploadPartOptions,
    ) -> Result<Part> {
        self.check_upload_known(upload)?;
        check_algorithm(options.checksum.as_ref())?;
        let (bytes, checksum) = self.read(&content).await?;
        if options
            .checksum
            .as_ref()
            .is_some_and(|expected| *expected != checksum)
        {
            return Err(Error::new(
                ErrorKind::Corruption,
                format!(
                    "part {} does not have the checksum that was asked for: it has {checksum}",
                    place.number
                ),
            )
            .with_key(&upload.key));
        }
        let part = StoredPart {
            bytes,
            checksum,
            place: Some(place),
        };
        self.store.with_upload(&upload.key, &upload.id, |pending| {
            pending.store(place.number, part)
        })
    }

    async fn list_parts(&self, upload: &MultipartUpload, _options: &CallOptions) -> Result<Vec<Part>> {
        self.capabilities.require(Capability::Multipart)?;
        self.store
            .with_upload(&upload.key, &upload.id, |pending| Ok(pending.list()))
    }

    async fn complete_upload(
        &self,
        upload: &MultipartUpload,
        parts: &[Part],
        options: &CompleteUploadOptions,
    ) -> Result<ObjectMetadata> {
        let (key, id) = (&upload.key, upload.id.as_str());
        self.capabilities.require(Capability::Multipart)?;
        let (bytes, begun) = self.store.with_upload(key, id, |pending| {
            Ok((pending.join(parts, options)?, pending.options.clone()))
        })?;
        for expected in [begun.digest, options.digest].into_iter().flatten() {
            if Digest::of(expected.algorithm(), &bytes) != expected {
                return Err(Error::new(
                    ErrorKind::Corruption,
                    "the parts do not have the digest that was declared",
                )
                .with_key(key));
            }
        }
        let new = NewObject {
            checksum: Checksum::crc64_nvme(&bytes),
            bytes,
            attributes: begun.attributes,
            digest: begun.digest.or(options.digest),
            write_id: begun.write_id,
            access: begun.access,
        };
        Ok(self.answer(&*self.store.commit_upload(key, id, &options.precondition, new)?))
    }

    async fn abort_upload(&self, upload: &MultipartUpload, _options: &CallOptions) -> Result<()> {
        self.capabilities.require(Capability::Multipart)?;
        self.store.forget_upload(&upload.key, &upload.id);
        Ok(())
    }

    async fn presigned_upload_url(
        &self,
        key: &StorageKey,
        options: &PresignUploadOptions,
    ) -> Result<SignedRequest> {
        self.capabilities.check_presign_upload(key, options)?;
        check_algorithm(options.checksum.as_ref())?;
        let method = match options.form {
            SignedUploadForm::Put => SignedMethod::Put,
            SignedUploadForm::Post => SignedMethod::Post,
        };
        let life = self.capabilities.signed_upload_life(options);
        let mut grant = Grant::new(method, key, self.store.clock.now(), life)?;
        grant.attributes = options.attributes.clone();
        grant.length = options.length;
        grant.length_max = options.length_max;
        grant.checksum.clone_from(&options.checksum);
        grant.precondition = options.precondition.clone();
        grant.write_id = options.write_id;
        grant.sign(&self.base_url, &self.store.signing_key)
    }

    async fn presigned_download_url(
        &self,
        key: &StorageKey,
        options: &PresignDownloadOptions,
    ) -> Result<SignedRequest> {
        self.capabilities.check_presign_download(key, options)?;
        let mut grant = Grant::new(SignedMethod::Get, key, self.store.clock.now(), options.expires_in)?;
        grant.range = options.range.map(|range| range.to_string());
        grant.response_type.clone_from(&options.content_type);
        grant
            .response_disposition
            .clone_from(&options.content_disposition);
        grant.sign(&self.base_url, &self.store.signing_key)
    }

    async fn presigned_part_url(
        &self,
        upload: &MultipartUpload,
        number: u32,
        options: &PresignPartOptions,
    ) -> Result<SignedRequest> {
        self.capabilities.require(Capability::PresignedPart)?;
        check_expiry(options.expires_in)?;
        check_algorithm(options.checksum.as_ref())?;
        if number == 0 || number > upload.part_rules.count_max {
            return Err(Error::invalid_input(format!(
                "part {number} is not one of 1 to {}",
                upload.part_rules.count_max
            )));
        }
        let mut grant = Grant::new(
            SignedMethod::Put,
            &upload.key,
            self.store.clock.now(),
            options.expires_in,
        )?;
        grant.part = Some(GrantedPart {
            upload_id: upload.id.clone(),
            number,
        });
        grant.length = options.length;
        grant.checksum.clone_from(&options.checksum);
        grant.sign(&self.base_url, &self.store.signing_key)
    }

    async fn public_url(&self, key: &StorageKey, _options: &CallOptions) -> Result<String> {
        self.capabilities.require(Capability::PublicUrl)?;
        self.capabilities.key_rules.check(key)?;
        Ok(url_of(&self.base_url, key))
    }

    async fn probe(&self, _options: &CallOptions) -> Result<()> {
        Ok(())
    }
}

impl fmt::Debug for MemoryProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the objects nor the signing key.
        f.debug_struct("MemoryProvider")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
