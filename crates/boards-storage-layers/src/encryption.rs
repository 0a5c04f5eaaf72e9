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
mod seal;
mod store;
mod tenant;

use std::fmt;
use std::sync::Arc;

use boards_storage_core::{
    ByteRange, CallContext, Capabilities, Capability, ChecksumHasher, CompleteUploadOptions, Content,
    CreateUploadOptions, Download, DownloadOptions, DownloadOutcome, ETag, Error, ErrorKind, Layer,
    ListEntry, MultipartUpload, Next, NotModified, ObjectIdentity, ObjectMetadata, Operation, Outcome, Part,
    PartPlace, Result, StorageKey, UploadOptions, UploadPartOptions, async_trait,
};
use bytes::Bytes;
use futures_util::StreamExt as _;

pub use crypto::SecretKey;
pub use format::EncryptionHeader;
pub use keyring::{KeyProvider, Keyring, WrappedKey};
pub use store::{FileTenantKeyStore, MemoryTenantKeyStore};
pub use tenant::{Rewrapped, TenantKeyGeneration, TenantKeyRecord, TenantKeyStore, TenantKeys};

use crate::context::Place as CallPlace;
use format::{HEADERS_BYTES, damaged, plain_size};
use known::KnownHeaders;
use open::{Headers, Opener, Plan};
use parts::{Upload, Uploads};
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

/// A stored object of up to this many bytes that is all here is opened at once.
const AT_ONCE_BYTES_MAX: usize = 256 << 10;

/// How often a read begins again because the object was replaced meanwhile.
const REPLACED_MAX: u32 = 5;

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

/// What is known before a range is fetched.
enum Head {
    /// The headers, the stored size, and of which state they are.
    Read(Box<Headers>, u64, Option<ETag>),
    /// The caller has this state already.
    NotModified(NotModified),
}

/// One read.
struct Reading<'a> {
    keys: &'a TenantKeys,
    known: &'a KnownHeaders,
    key: StorageKey,
    identity: Arc<ObjectIdentity>,
    options: Arc<DownloadOptions>,
    next: Next,
}

impl Reading<'_> {
    async fn fetch(&self, options: Arc<DownloadOptions>) -> Result<DownloadOutcome> {
        let operation = Operation::Download {
            key: self.key.clone(),
            options,
        };
        match self.next.clone().run(operation).await? {
            Outcome::Download(outcome) => Ok(*outcome),
            other => Err(Error::new(
                ErrorKind::Storage,
                format!("a layer answered download with the outcome of {}", other.kind()),
            )),
        }
    }

    async fn whole(&self) -> Result<DownloadOutcome> {
        match self.fetch(Arc::clone(&self.options)).await? {
            DownloadOutcome::Object(download) => {
                let stored = download.metadata().size_bytes;
                let plain = plain_size(stored).ok_or_else(no_size)?;
                self.open_from_start(download, Plan::whole(plain, stored)).await
            }
            not_modified => Ok(not_modified),
        }
    }

    async fn range(&self, range: ByteRange) -> Result<DownloadOutcome> {
        if let Some(from_start) = with_headers(range) {
            return self.range_from_start(range, from_start).await;
        }
        let may_begin_again = self.options.if_match.is_none() && self.options.version.is_none();
        for attempt in 1.. {
            match self.range_behind(range).await {
                Err(error)
                    if error.kind() == ErrorKind::PreconditionFailed
                        && may_begin_again
                        && attempt < REPLACED_MAX => {}
                outcome => return outcome,
            }
        }
        unreachable!("the loop returns")
    }

    /// Reads a range that begins in the first segment: the headers come with it.
    async fn range_from_start(&self, range: ByteRange, stored: ByteRange) -> Result<DownloadOutcome> {
        let mut options = Arc::clone(&self.options);
        Arc::make_mut(&mut options).range = Some(stored);
        match self.fetch(options).await.map_err(too_short)? {
            DownloadOutcome::Object(download) => {
                let stored = download.metadata().size_bytes;
                let plain = plain_size(stored).ok_or_else(no_size)?;
                let plan = Plan::new(range.resolve(plain)?, plain, stored);
                self.open_from_start(download, plan).await
            }
            not_modified => Ok(not_modified),
        }
    }

    /// Reads a range that begins later: first the headers, then its segments of the same state of the object.
    async fn range_behind(&self, range: ByteRange) -> Result<DownloadOutcome> {
        let (headers, stored, etag) = match self.headers().await? {
            Head::Read(headers, stored, etag) => (*headers, stored, etag),
            Head::NotModified(not_modified) => return Ok(DownloadOutcome::NotModified(not_modified)),
        };
        let plain = plain_size(stored).ok_or_else(no_size)?;
        let plan = Plan::new(range.resolve(plain)?, plain, stored);
        let opener = self.opener(headers, plan.clone()).await?;
        let mut options = Arc::clone(&self.options);
        let asked = Arc::make_mut(&mut options);
        asked.range = Some(ByteRange::from(plan.stored.clone()));
        asked.if_none_match = None;
        asked.if_modified_since = None;
        if asked.if_match.is_none() && self.next.capabilities().has(Capability::ConditionalDownload) {
            asked.if_match.clone_from(&etag);
        }
        let body = self.fetch(options).await?.into_object()?;
        let metadata = Arc::clone(body.metadata());
        if metadata.size_bytes != stored || metadata.etag != etag {
            return Err(Error::new(
                ErrorKind::PreconditionFailed,
                "the object was replaced while a range of it was read",
            ));
        }
        self.deliver(&metadata, opener, plan, Bytes::new(), body).await
    }

    /// Reads the headers, or finds those that were read of this very state.
    async fn headers(&self) -> Result<Head> {
        let is_plain = self.options.if_none_match.is_none() && self.options.if_modified_since.is_none();
        if let Some(etag) = self.options.if_match.as_ref().filter(|_| is_plain)
            && let Some((headers, stored)) = self.known.find(&self.key, etag)
        {
            return Ok(Head::Read(Box::new(headers), stored, Some(etag.clone())));
        }
        let mut options = Arc::clone(&self.options);
        Arc::make_mut(&mut options).range = Some(ByteRange::from(0..HEADERS_BYTES));
        let head = match self.fetch(options).await.map_err(too_short)? {
            DownloadOutcome::Object(head) => head,
            DownloadOutcome::NotModified(not_modified) => return Ok(Head::NotModified(not_modified)),
        };
        let metadata = Arc::clone(head.metadata());
        let (headers, _none) = Headers::read(&mut head.into_stream()).await?;
        self.known
            .note(&self.key, metadata.etag.as_ref(), &headers, metadata.size_bytes);
        Ok(Head::Read(
            Box::new(headers),
            metadata.size_bytes,
            metadata.etag.clone(),
        ))
    }

    async fn open_from_start(&self, download: Download, plan: Plan) -> Result<DownloadOutcome> {
        let metadata = Arc::clone(download.metadata());
        if let Some(bytes) = download.as_bytes() {
            let mut first = bytes.clone();
            let headers = Headers::parse(&first)?;
            let opener = self.opener(headers, plan.clone()).await?;
            let body = first.split_off(usize::try_from(HEADERS_BYTES).unwrap_or(usize::MAX));
            let size = body.len() as u64;
            let body = Download::from_bytes(Arc::clone(&metadata), 0..size, body);
            return self.deliver(&metadata, opener, plan, Bytes::new(), body).await;
        }
        let mut stream = download.into_stream();
        let (headers, first) = Headers::read(&mut stream).await?;
        let opener = self.opener(headers, plan.clone()).await?;
        let plain = self.described(&metadata, &plan).await?;
        let range = plan.plain.clone();
        Ok(DownloadOutcome::Object(Download::from_stream(
            plain,
            range,
            opener.open_stream(first, stream),
        )))
    }

    /// Opens the bytes that stand behind the headers.
    async fn deliver(
        &self,
        metadata: &ObjectMetadata,
        opener: Opener,
        plan: Plan,
        first: Bytes,
        body: Download,
    ) -> Result<DownloadOutcome> {
        let plain = self.described(metadata, &plan).await?;
        let range = plan.plain.clone();
        let download = match body.as_bytes() {
            Some(bytes) if bytes.len() <= AT_ONCE_BYTES_MAX => {
                Download::from_bytes(plain, range, opener.open_all(bytes)?)
            }
            _ => Download::from_stream(plain, range, opener.open_stream(first, body.into_stream())),
        };
        Ok(DownloadOutcome::Object(download))
    }

    async fn described(&self, stored: &ObjectMetadata, plan: &Plan) -> Result<ObjectMetadata> {
        let mut metadata = described_as(stored.clone(), plan.plain_size());
        attributes::open(self.keys, &mut metadata.attributes, Some(&self.identity)).await?;
        Ok(metadata)
    }

    async fn opener(&self, headers: Headers, plan: Plan) -> Result<Opener> {
        let generation = headers.ours.generation();
        let tenant_key = self.keys.generation(self.identity.tenant(), generation).await?;
        let data_key = headers.ours.unwrap(&tenant_key, &self.identity)?;
        let key = headers.tink.segment_key(&data_key, &self.identity);
        Ok(Opener::new(crypto::cipher(&key), headers.tink, plan))
    }
}

/// Returns the stored range from the object's start that covers a range which begins in the first segment.
fn with_headers(range: ByteRange) -> Option<ByteRange> {
    let is_first = |start: u64| start < format::segment_start(1);
    match range {
        ByteRange::Bounded { start, end } if is_first(start) && end > start => {
            let segments = 0..format::segment_of(end.min(format::PLAIN_BYTES_MAX) - 1) + 1;
            Some(ByteRange::from(0..format::stored_range(segments, u64::MAX).end))
        }
        ByteRange::From(start) if is_first(start) => Some(ByteRange::From(0)),
        ByteRange::Bounded { .. } | ByteRange::From(_) | ByteRange::Suffix(_) => None,
    }
}

/// A range of the headers that the store does not have means that it has no encrypted object.
fn too_short(error: Error) -> Error {
    if error.status() == Some(416) {
        return damaged("the object is shorter than its headers").with_source(error);
    }
    error
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
