//! Encryption at rest: what the store holds is ciphertext, whatever the store is.
//!
//! Each object has a random data key, which its tenant's key wraps, which a key-encryption key wraps. The bytes are a
//! Tink AES-GCM-HKDF stream behind a header of ours; ADR 0021 tells the format and what it does not hide.

mod attributes;
mod crypto;
mod format;
mod keyring;
mod known;
mod open;
mod parts;
mod read;
mod seal;
mod store;
mod tenant;

use std::fmt;
use std::sync::Arc;

use boards_storage_core::{
    CallContext, Capabilities, Capability, ChecksumHasher, CompleteUploadOptions, Content,
    CreateUploadOptions, DownloadOptions, DownloadOutcome, Error, ErrorKind, Layer, ListEntry,
    MultipartUpload, Next, ObjectIdentity, ObjectMetadata, Operation, Outcome, Part, PartPlace, Result,
    StorageKey, UploadOptions, UploadPartOptions, async_trait,
};
use futures_util::StreamExt as _;

pub use crypto::SecretKey;
pub use format::EncryptionHeader;
pub use keyring::{KeyProvider, Keyring, WrappedKey};
pub use store::{FileTenantKeyStore, MemoryTenantKeyStore};
pub use tenant::{Rewrapped, TenantKeyGeneration, TenantKeyRecord, TenantKeyStore, TenantKeys};

use crate::context::Place as CallPlace;
use format::{HEADERS_BYTES, damaged, plain_size};
use known::KnownHeaders;
use parts::{Upload, Uploads};
use read::Reading;
use seal::{Checks, Encryption, Place, encrypt};

/// What a client without our keys cannot use, and what the store would say of the ciphertext.
const TAKEN: [Capability; 9] = [
    Capability::PresignedUpload,
    Capability::PresignedPost,
    Capability::PresignedLengthMax,
    Capability::PresignedDownload,
    Capability::PresignedPart,
    Capability::PublicUrl,
    Capability::SetAccess,
    Capability::Checksum,
    Capability::Digest,
];

/// Encrypts what is stored and decrypts what is read.
///
/// It stands outside of retry, cache and hedging, so that these see ciphertext alone, and a retry sends the same bytes.
///
/// - Whoever writes or reads bytes says by [`CallContext::object`] which object it is; a call that does not is
///   `InvalidInput`. The manager does it. Bytes are bound to tenant and object, not to the key: a copy can be read, and
///   one object in another's place is `Corruption`, as is every change of the stored bytes.
/// - Sizes are those of the content, computed from the stored ones. A range is fetched by the segments of 64 KiB that
///   hold it, and is authenticated as a whole read is.
/// - A digest or checksum that is declared is checked here, and is not sent on: the store would check the ciphertext,
///   and could tell equal contents by it. Keys, sizes and content types are not hidden.
/// - User metadata is sealed into one field of the store's, of which about 1,400 bytes are left; a call that does not say
///   which object it is about, and a listing, do without it.
/// - Presigned and public URLs are gone: nobody but us can use what they lead to.
/// - Uploads in parts: each part begins with a segment, as the part rules say; a part that is sent again must have the
///   same bytes; an upload that this process did not begin is `NotFound`.
/// - A listing gives the stored size of an object that cannot be an encrypted one.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use boards_storage_core::{
///     CallContext, Content, DownloadOptions, ObjectIdentity, Result, SharedProvider, Stack, StorageKey,
///     StorageProvider, TenantId, UploadOptions,
/// };
/// use boards_storage_layers::{EncryptionLayer, TenantKeys};
///
/// async fn round_trip(provider: SharedProvider, keys: TenantKeys) -> Result<()> {
///     let stack = Stack::new("main", provider, vec![Arc::new(EncryptionLayer::new(keys))]);
///     let identity = ObjectIdentity::new(TenantId::parse("acme")?, "object 1")?;
///     let context = CallContext::default().with_object(identity);
///     let key = StorageKey::parse("secret.txt")?;
///     let options = UploadOptions::default().with_context(context.clone());
///     stack.upload(&key, Content::from("hello"), &options).await?;
///     let options = DownloadOptions::default().with_context(context);
///     let download = stack.download(&key, &options).await?.into_object()?;
///     assert_eq!(&download.bytes(5).await?[..], b"hello");
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct EncryptionLayer {
    keys: TenantKeys,
    uploads: Arc<Uploads>,
    known: Arc<KnownHeaders>,
}

impl EncryptionLayer {
    /// Encrypts with these keys.
    #[must_use]
    pub fn new(keys: TenantKeys) -> Self {
        Self {
            keys,
            uploads: Arc::default(),
            known: Arc::default(),
        }
    }

    async fn begin(&self, context: &CallContext) -> Result<Encryption> {
        let identity = identity(context)?;
        let (generation, key) = self.keys.current(identity.tenant()).await?;
        Encryption::begin(&key, generation, identity)
    }

    async fn upload(
        &self,
        key: StorageKey,
        content: Content,
        mut options: Arc<UploadOptions>,
        next: Next,
    ) -> Result<Outcome> {
        let encryption = Arc::new(self.begin(&options.context).await?);
        let context = options.context.clone();
        let asked = Arc::make_mut(&mut options);
        attributes::seal(&self.keys, &mut asked.attributes, identity(&context)?).await?;
        if let (Some(asked), Some(known)) = (asked.length, content.length())
            && asked != known
        {
            return Err(Error::invalid_input(format!(
                "the content has {known} bytes, the options ask for {asked}"
            )));
        }
        let place = Place {
            segment: 0,
            is_last: true,
            checks: Checks {
                length: asked.length,
                digest: asked.digest.take(),
                checksum: None,
            },
        };
        asked.length = asked.length.map(stored_size).transpose()?;
        let content = encrypt(encryption, content, place).await?;
        match next
            .run(Operation::Upload {
                key,
                content,
                options,
            })
            .await?
        {
            Outcome::Upload(found) => Ok(Outcome::Upload(self.told(found, &context).await?)),
            other => Ok(other),
        }
    }

    async fn download(&self, key: StorageKey, options: Arc<DownloadOptions>, next: Next) -> Result<Outcome> {
        let identity = identity(&options.context)?.clone();
        let place = CallPlace::new(
            &Operation::Download {
                key: key.clone(),
                options: Arc::clone(&options),
            },
            &next,
        );
        let reading = Reading {
            keys: &self.keys,
            known: &self.known,
            key,
            identity,
            options,
            next,
        };
        let outcome = match reading.options.range {
            None => reading.whole().await?,
            Some(range) => reading.range(range).await?,
        };
        Ok(Outcome::Download(Box::new(match outcome {
            DownloadOutcome::Object(download) if download.as_bytes().is_none() => {
                DownloadOutcome::Object(download.map_stream(|stream| {
                    Box::pin(stream.map(move |piece| piece.map_err(|error| place.mark(error))))
                }))
            }
            other => other,
        })))
    }

    async fn create(
        &self,
        key: StorageKey,
        mut options: Arc<CreateUploadOptions>,
        next: Next,
    ) -> Result<Outcome> {
        let encryption = Arc::new(self.begin(&options.context).await?);
        let context = options.context.clone();
        let asked = Arc::make_mut(&mut options);
        attributes::seal(&self.keys, &mut asked.attributes, identity(&context)?).await?;
        asked.digest = None;
        asked.length = asked.length.map(stored_size).transpose()?;
        match next.run(Operation::CreateUpload { key, options }).await? {
            Outcome::CreateUpload(mut upload) => {
                let inner = (*upload).clone();
                upload.part_rules = parts::rules(upload.part_rules).ok_or_else(no_parts)?;
                self.uploads.insert(Upload::new(encryption, inner));
                Ok(Outcome::CreateUpload(upload))
            }
            other => Ok(other),
        }
    }

    async fn part(
        &self,
        upload: &MultipartUpload,
        place: PartPlace,
        content: Content,
        mut options: Arc<UploadPartOptions>,
        next: Next,
    ) -> Result<Outcome> {
        let state = self.uploads.find(upload)?;
        let checksum = Arc::make_mut(&mut options).checksum.take();
        if let Some(checksum) = &checksum
            && ChecksumHasher::new(checksum.algorithm()).is_none()
        {
            return Err(Error::unsupported(format!(
                "a part that is encrypted cannot be checked by {}",
                checksum.algorithm().name()
            )));
        }
        let target = Place {
            segment: Upload::segment(place, content.length())?,
            is_last: place.is_last,
            checks: Checks {
                checksum,
                ..Checks::default()
            },
        };
        let content = encrypt(Arc::clone(&state.encryption), content, target).await?;
        let operation = Operation::UploadPart {
            upload: Arc::new(inner_upload(&state, upload)),
            place: stored_place(place),
            content,
            options,
        };
        match next.run(operation).await? {
            Outcome::UploadPart(part) => {
                let part = plain_part(*part);
                state.note(place, part.size_bytes);
                Ok(Outcome::UploadPart(Box::new(part)))
            }
            other => Ok(other),
        }
    }

    async fn complete(
        &self,
        upload: &MultipartUpload,
        parts: &[Part],
        mut options: Arc<CompleteUploadOptions>,
        next: Next,
    ) -> Result<Outcome> {
        let state = self.uploads.find(upload)?;
        state.check_complete(parts)?;
        let context = options.context.clone();
        // It is the content's digest, and the store has ciphertext.
        Arc::make_mut(&mut options).digest = None;
        let stored = parts.iter().map(|part| {
            let mut part = part.clone();
            part.size_bytes = parts::stored_part_size(part.number, part.size_bytes);
            part
        });
        let operation = Operation::CompleteUpload {
            upload: Arc::new(inner_upload(&state, upload)),
            parts: stored.collect(),
            options,
        };
        match next.run(operation).await? {
            Outcome::CompleteUpload(found) => {
                self.uploads.remove(upload);
                Ok(Outcome::CompleteUpload(self.told(found, &context).await?))
            }
            other => Ok(other),
        }
    }

    /// Reads metadata, or writes other attributes: those that are written are sealed, those that come back opened.
    async fn attributes(&self, mut operation: Operation, next: Next) -> Result<Outcome> {
        let context = operation.context().clone();
        match &mut operation {
            Operation::Copy { options, .. } => {
                if let Some(attributes) = &mut Arc::make_mut(options).attributes
                    && !attributes.user_metadata.is_empty()
                {
                    attributes::seal(&self.keys, attributes, identity(&context)?).await?;
                }
            }
            Operation::SetMetadata { attributes, .. } if !attributes.user_metadata.is_empty() => {
                attributes::seal(&self.keys, Arc::make_mut(attributes), identity(&context)?).await?;
            }
            _ => {}
        }
        Ok(match next.run(operation).await? {
            Outcome::Metadata(found) => Outcome::Metadata(self.told(found, &context).await?),
            Outcome::Copy(found) => Outcome::Copy(self.told(found, &context).await?),
            Outcome::SetMetadata(found) => Outcome::SetMetadata(self.told(found, &context).await?),
            other => other,
        })
    }

    /// Returns what is known of the content, from what the store says of the ciphertext.
    async fn told(
        &self,
        mut found: Box<ObjectMetadata>,
        context: &CallContext,
    ) -> Result<Box<ObjectMetadata>> {
        *found = described(*found)?;
        attributes::open(&self.keys, &mut found.attributes, context.object.as_deref()).await?;
        Ok(found)
    }

    async fn run(&self, operation: Operation, next: Next) -> Result<Outcome> {
        match operation {
            Operation::Upload {
                key,
                content,
                options,
            } => self.upload(key, content, options, next).await,
            Operation::Download { key, options } => self.download(key, options, next).await,
            Operation::CreateUpload { key, options } => self.create(key, options, next).await,
            Operation::UploadPart {
                upload,
                place,
                content,
                options,
            } => self.part(&upload, place, content, options, next).await,
            Operation::CompleteUpload {
                upload,
                parts,
                options,
            } => self.complete(&upload, &parts, options, next).await,
            Operation::ListParts { upload, options } => {
                let state = self.uploads.find(&upload)?;
                let upload = Arc::new(inner_upload(&state, &upload));
                match next.run(Operation::ListParts { upload, options }).await? {
                    Outcome::ListParts(parts) => {
                        Ok(Outcome::ListParts(parts.into_iter().map(plain_part).collect()))
                    }
                    other => Ok(other),
                }
            }
            Operation::AbortUpload { upload, options } => {
                self.uploads.remove(&upload);
                next.run(Operation::AbortUpload { upload, options }).await
            }
            Operation::Metadata { .. } | Operation::Copy { .. } | Operation::SetMetadata { .. } => {
                self.attributes(operation, next).await
            }
            Operation::List { options } => Ok(match next.run(Operation::List { options }).await? {
                Outcome::List(entries) => Outcome::List(Box::pin(entries.map(|entry| entry.map(listed)))),
                other => other,
            }),
            Operation::SetAccess { .. }
            | Operation::PresignedUploadUrl { .. }
            | Operation::PresignedDownloadUrl { .. }
            | Operation::PresignedPartUrl { .. }
            | Operation::PublicUrl { .. } => Err(Error::unsupported(format!(
                "{} leads past the encryption",
                operation.kind()
            ))
            .with_help(NO_DIRECT_ACCESS)),
            Operation::Exists { .. }
            | Operation::Delete { .. }
            | Operation::DeleteMany { .. }
            | Operation::Probe { .. } => next.run(operation).await,
        }
    }
}

const NO_DIRECT_ACCESS: &str = "let clients come through the application, or store what they fetch directly on a provider without encryption";

#[async_trait]
impl Layer for EncryptionLayer {
    fn name(&self) -> &'static str {
        "encryption"
    }

    fn capabilities(&self, inner: Capabilities) -> Capabilities {
        let protection = inner.protection.with_encryption();
        let rules = inner.part_rules.and_then(parts::rules);
        let is_in_parts = inner.part_rules.is_some();
        let largest = format::PLAIN_BYTES_MAX;
        let plain = |stored: Option<u64>| stored.map(largest_plain).map(|size| size.min(largest));
        let object_max = plain(inner.object_size_bytes_max).or(Some(largest));
        let single_max = plain(inner.single_upload_bytes_max);
        let verified = [Capability::VerifiedRead, Capability::VerifiedRange];
        let has_range = inner.has(Capability::Range);
        let mut outer = inner
            .without(&TAKEN)
            .with(&verified[..1 + usize::from(has_range)])
            .with_protection(protection);
        for taken in TAKEN {
            outer = outer.with_reason(taken, NO_DIRECT_ACCESS);
        }
        outer.object_size_bytes_max = object_max;
        outer.single_upload_bytes_max = single_max;
        outer.presigned_upload_life = None;
        match rules {
            Some(rules) => outer.with_part_rules(rules),
            None if is_in_parts => outer.without(&[Capability::Multipart]).with_reason(
                Capability::Multipart,
                "the store's parts have sizes that encrypted parts cannot have",
            ),
            None => outer,
        }
    }

    fn is_needed(&self, operation: &Operation) -> bool {
        !matches!(
            operation,
            Operation::Exists { .. }
                | Operation::Delete { .. }
                | Operation::DeleteMany { .. }
                | Operation::Probe { .. }
        )
    }

    async fn around(&self, operation: Operation, next: Next) -> Result<Outcome> {
        let place = CallPlace::new(&operation, &next);
        self.run(operation, next).await.map_err(|error| place.mark(error))
    }
}

impl fmt::Debug for EncryptionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionLayer")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

fn identity(context: &CallContext) -> Result<&Arc<ObjectIdentity>> {
    context.object.as_ref().ok_or_else(|| {
        Error::invalid_input(
            "the call does not say which object it is about, which encryption binds the bytes to",
        )
        .with_help("store through the manager, or set CallContext::with_object")
    })
}

fn stored_size(plain: u64) -> Result<u64> {
    format::stored_size(plain).ok_or_else(|| {
        Error::new(
            ErrorKind::Rejected,
            format!(
                "an encrypted object has at most {} bytes",
                format::PLAIN_BYTES_MAX
            ),
        )
    })
}

/// Returns the largest content that fits into so many stored bytes.
fn largest_plain(stored: u64) -> u64 {
    let body = stored.saturating_sub(HEADERS_BYTES);
    body.saturating_sub((body.div_ceil(format::SEGMENT_BYTES) + 1) * format::TAG_BYTES_U64)
}

fn no_size() -> Error {
    damaged("the object has a size that no encrypted one has")
}

fn no_parts() -> Error {
    Error::unsupported("the store's parts have sizes that encrypted parts cannot have")
}

/// Returns what is known of the content, from what the store says of the ciphertext.
fn described(stored: ObjectMetadata) -> Result<ObjectMetadata> {
    let size = plain_size(stored.size_bytes).ok_or_else(no_size)?;
    Ok(described_as(stored, size))
}

fn described_as(mut metadata: ObjectMetadata, size_bytes: u64) -> ObjectMetadata {
    metadata.size_bytes = size_bytes;
    metadata.checksum = None;
    metadata.digest = None;
    metadata
}

fn without_sealed(mut metadata: ObjectMetadata) -> ObjectMetadata {
    attributes::leave_out(&mut metadata.attributes);
    metadata
}

fn listed(entry: ListEntry) -> ListEntry {
    match entry {
        ListEntry::Object(mut metadata) => {
            let size = plain_size(metadata.size_bytes).unwrap_or(metadata.size_bytes);
            *metadata = without_sealed(described_as(*metadata, size));
            ListEntry::Object(metadata)
        }
        prefix @ ListEntry::Prefix(_) => prefix,
    }
}

/// Returns the upload as the store knows it.
fn inner_upload(state: &Upload, upload: &MultipartUpload) -> MultipartUpload {
    let mut inner = state.inner.clone();
    inner.write_id = upload.write_id.or(inner.write_id);
    inner
}

/// Returns where a part stands in the ciphertext.
fn stored_place(mut place: PartPlace) -> PartPlace {
    if place.offset > 0 {
        let segment = format::segment_of(place.offset);
        place.offset = format::stored_range(segment..segment + 1, u64::MAX).start;
    }
    place
}

fn plain_part(mut part: Part) -> Part {
    part.size_bytes = parts::plain_part_size(part.number, part.size_bytes);
    part.checksum = None;
    part
}
