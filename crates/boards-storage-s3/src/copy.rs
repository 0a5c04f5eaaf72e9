//! Copies within the store, changes of attributes, and access.
//!
//! All go by what HEAD says of the source, pinned to its entity tag: by the store, where it decides conditions of
//! copies. Elsewhere a copy whose source must not change meanwhile goes by way of a staged object below
//! `.boards-storage/`, which no listing shows: only when the source has the same tag afterwards, it becomes the target.

use std::sync::Arc;

use aws_sdk_s3::types::{MetadataDirective, ObjectCannedAcl};
use boards_storage_core::{
    AccessClass, CallOptions, Capability, CopyOptions, CreateUploadOptions, ETag, Error, ErrorKind,
    ObjectAttributes, ObjectMetadata, Part, Precondition, RESERVED_SEGMENT, Result, Retry,
    SetMetadataOptions, StorageKey, WriteId,
};

use crate::encoding::{self, Notes, encode_path};
use crate::error::Asked;
use crate::multipart::{Parts, look};
use crate::store::{Found, Store, acl_of, etag, incomplete, quoted, timestamp};
use crate::upload::PART_COUNT_MAX;

/// How often a copy begins anew because its source changed meanwhile.
const ATTEMPTS_MAX: u32 = 5;

pub(crate) async fn copy(
    store: &Arc<Store>,
    from: &StorageKey,
    to: &StorageKey,
    options: &CopyOptions,
) -> Result<ObjectMetadata> {
    store.capabilities.check_copy(from, to, options)?;
    if let Some(attributes) = &options.attributes {
        encoding::check_fields(attributes)?;
    }
    for _ in 0..ATTEMPTS_MAX {
        let source = store.head(from).await?;
        require_tag(options.source_if_match.as_ref(), &source)?;
        let copy = Copy::new(store, from, to, options, &source);
        let must_pin = copy.must_replace || options.source_if_match.is_some();
        let outcome = if must_pin && !store.settings.conditional_copies() {
            copy.run_staged().await?
        } else {
            copy.run().await?
        };
        match outcome {
            Outcome::Copied(metadata) => return Ok(*metadata),
            // The next look at the source refuses it if the caller named its tag.
            Outcome::SourceChanged => {}
        }
    }
    Err(too_busy())
}

pub(crate) async fn set_metadata(
    store: &Arc<Store>,
    key: &StorageKey,
    attributes: &ObjectAttributes,
    options: &SetMetadataOptions,
) -> Result<ObjectMetadata> {
    store.capabilities.check_set_metadata(key, attributes, options)?;
    encoding::check_fields(attributes)?;
    for _ in 0..ATTEMPTS_MAX {
        let source = store.head(key).await?;
        let copy = Copy {
            store,
            key,
            from: store.full(key),
            to: store.full(key),
            source: &source,
            attributes,
            // The write is still the one that made the bytes.
            notes: source.notes.clone(),
            precondition: &Precondition::None,
            must_replace: true,
        };
        if let Outcome::Copied(metadata) = copy.run().await? {
            return Ok(*metadata);
        }
    }
    Err(too_busy())
}

fn require_tag(wanted: Option<&ETag>, source: &Found) -> Result<()> {
    match wanted {
        Some(wanted) if source.metadata.etag.as_ref() != Some(wanted) => Err(Error::new(
            ErrorKind::PreconditionFailed,
            "the source has another entity tag",
        )),
        Some(_) | None => Ok(()),
    }
}

fn too_busy() -> Error {
    Error::new(ErrorKind::Storage, "the source of the copy kept changing").with_retry(Retry::Yes)
}

/// What became of one attempt.
enum Outcome {
    Copied(Box<ObjectMetadata>),
    SourceChanged,
}

/// One attempt at a copy.
#[derive(Clone)]
struct Copy<'a> {
    store: &'a Arc<Store>,
    /// The key that the answer tells of.
    key: &'a StorageKey,
    /// The source and the target, as they are called in the bucket.
    from: String,
    to: String,
    source: &'a Found,
    attributes: &'a ObjectAttributes,
    notes: Notes,
    precondition: &'a Precondition,
    /// Whether the copy's metadata differ from the source's.
    must_replace: bool,
}

impl<'a> Copy<'a> {
    fn new(
        store: &'a Arc<Store>,
        from: &StorageKey,
        to: &'a StorageKey,
        options: &'a CopyOptions,
        source: &'a Found,
    ) -> Self {
        let mut notes = source.notes.clone();
        notes.write_id = options.write_id;
        Self {
            store,
            key: to,
            from: store.full(from),
            to: store.full(to),
            source,
            attributes: options.attributes.as_ref().unwrap_or(&source.metadata.attributes),
            must_replace: options.attributes.is_some() || notes != source.notes,
            notes,
            precondition: &options.precondition,
        }
    }

    /// Copies to a staged object, and from there to the target.
    async fn run_staged(&self) -> Result<Outcome> {
        let staged = Staged::new(self.store);
        let first = Self {
            to: staged.name.clone(),
            precondition: &Precondition::None,
            ..self.clone()
        };
        let outcome = match first.run().await {
            Ok(Outcome::Copied(_)) => {
                // Nobody else knows the staged object, so that it cannot change.
                let source = self.store.head_named(&staged.name, self.key).await?;
                let second = Copy {
                    from: staged.name.clone(),
                    source: &source,
                    must_replace: false,
                    ..self.clone()
                };
                second.run().await
            }
            outcome => outcome,
        };
        staged.remove().await;
        outcome
    }

    async fn run(&self) -> Result<Outcome> {
        if self.source.metadata.size_bytes > self.store.single_copy_bytes_max {
            self.in_parts().await
        } else {
            self.in_one().await
        }
    }

    /// The source as the header wants it.
    fn source_path(&self) -> String {
        let path = encode_path(&self.from);
        format!("{}/{path}", self.store.bucket())
    }

    fn source_tag(&self) -> Option<String> {
        self.source.metadata.etag.as_ref().map(quoted)
    }

    async fn in_one(&self) -> Result<Outcome> {
        let store = self.store;
        let request = store
            .client
            .copy_object()
            .bucket(store.bucket())
            .key(&self.to)
            .copy_source(self.source_path())
            .set_copy_source_if_match(self.source_tag());
        let request = if self.must_replace {
            as_new_object!(request, store, self.attributes, &self.notes)
                .metadata_directive(MetadataDirective::Replace)
        } else {
            let at_rest = &store.at_rest;
            let request = request
                .set_storage_class(at_rest.storage_class.clone())
                .set_server_side_encryption(at_rest.encryption.clone())
                .set_ssekms_key_id(at_rest.kms_key_id.clone());
            with_customer_key!(request, at_rest)
        };
        let request = with_source_key!(request, store.at_rest);
        let request = match self.precondition {
            Precondition::IfAbsent => request.if_none_match("*"),
            Precondition::IfMatch(etag) => request.if_match(quoted(etag)),
            _ => request,
        };
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return self.refused(Asked::write(self.precondition).failed(error)).await,
        };
        let result = answer.copy_object_result().ok_or_else(|| incomplete("result"))?;
        let copied = etag(result.e_tag());
        if !self.store.settings.conditional_copies() && self.has_changed(copied.as_ref()).await? {
            return Ok(Outcome::SourceChanged);
        }
        let mut metadata = self.described();
        metadata.etag = copied;
        metadata.version = store.version(answer.version_id());
        metadata.modified = result.last_modified().and_then(timestamp);
        // Ceph does not tell the version.
        if metadata.etag.is_none() || (store.settings.versions && metadata.version.is_none()) {
            metadata = look(store, &self.to, metadata).await?;
        }
        Ok(Outcome::Copied(Box::new(metadata)))
    }

    /// A refused condition may be the pin to the source, of which the caller knows nothing.
    async fn refused(&self, error: Error) -> Result<Outcome> {
        let is_refused = matches!(
            error.kind(),
            ErrorKind::PreconditionFailed | ErrorKind::AlreadyExists
        );
        if is_refused && self.has_changed(None).await? {
            return Ok(Outcome::SourceChanged);
        }
        // Not found can only be the source: where there is no target, IfMatch is refused as such.
        if is_refused && *self.precondition == Precondition::None {
            return Ok(Outcome::SourceChanged);
        }
        Err(error)
    }

    /// Looks whether the source is another one than was copied. `copied` is the copy's tag: where it is the source's,
    /// nothing needs to be asked.
    async fn has_changed(&self, copied: Option<&ETag>) -> Result<bool> {
        let before = self.source.metadata.etag.as_ref();
        if copied.is_some() && copied == before {
            return Ok(false);
        }
        if self.from == self.to && copied.is_some() {
            // What is there now is the copy itself: an object that came in parts has another tag as one piece.
            return Ok(before.is_none_or(|before| !before.as_str().contains('-')));
        }
        match self.store.head_named(&self.from, self.key).await {
            Ok(now) => Ok(now.metadata.etag.as_ref() != before),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// What is known of the copy without asking.
    fn described(&self) -> ObjectMetadata {
        let mut metadata = ObjectMetadata::new(self.key.clone(), self.source.metadata.size_bytes);
        metadata.attributes = self.attributes.clone();
        metadata.digest = self.notes.digest;
        metadata.write_id = self.notes.write_id;
        metadata.checksum.clone_from(&self.source.metadata.checksum);
        metadata
    }

    async fn in_parts(&self) -> Result<Outcome> {
        let mut options = CreateUploadOptions::default().with_attributes(self.attributes.clone());
        options.digest = self.notes.digest;
        options.write_id = self.notes.write_id;
        let mut parts = Parts::begin(self.store, self.to.clone(), &options).await?;
        if let Err(error) = self.send_parts(&mut parts).await {
            parts.abort().await;
            return self.refused(error).await;
        }
        if !self.store.settings.conditional_copies() && self.has_changed(None).await? {
            parts.abort().await;
            return Ok(Outcome::SourceChanged);
        }
        let checksum = self.source.metadata.checksum.as_ref();
        let completed = parts.complete(self.precondition, checksum).await?;
        let mut metadata = self.described();
        metadata.etag = completed.etag;
        metadata.version = completed.version;
        Ok(Outcome::Copied(Box::new(
            look(self.store, &self.to, metadata).await?,
        )))
    }

    async fn send_parts(&self, parts: &mut Parts) -> Result<()> {
        let size = self.source.metadata.size_bytes;
        let part_bytes = self
            .store
            .copy_part_bytes
            .max(size.div_ceil(u64::from(PART_COUNT_MAX)));
        for (number, start) in (1..).zip((0..size).step_by(usize::try_from(part_bytes).unwrap_or(usize::MAX)))
        {
            let end = size.min(start.saturating_add(part_bytes));
            let part = self.send_part(parts.id().to_owned(), number, start, end);
            parts.push(part);
            while parts.running() >= self.store.settings.concurrency {
                parts.wait_for_one().await?;
            }
        }
        parts.wait_for_all().await
    }

    fn send_part(
        &self,
        upload_id: String,
        number: u32,
        start: u64,
        end: u64,
    ) -> impl Future<Output = Result<Part>> + Send + 'static {
        let store = Arc::clone(self.store);
        let request = store
            .client
            .upload_part_copy()
            .bucket(store.bucket())
            .key(&self.to)
            .upload_id(upload_id)
            .part_number(number.cast_signed())
            .copy_source(self.source_path())
            .copy_source_range(format!("bytes={start}-{}", end - 1))
            .set_copy_source_if_match(self.source_tag());
        let request = with_customer_key!(request, store.at_rest);
        let request = with_source_key!(request, store.at_rest);
        async move {
            // Ceph demands a length of every part, also of one without a body.
            let request = request.customize().mutate_request(|request| {
                request.headers_mut().insert("content-length", "0");
            });
            let answer = request.send().await.map_err(|error| Asked::Read.failed(error))?;
            let result = answer.copy_part_result().ok_or_else(|| incomplete("result"))?;
            let mut part = Part::new(number, end - start);
            part.etag = etag(result.e_tag()).map(|etag| etag.as_str().to_owned());
            part.checksum = result.checksum_crc64_nvme().and_then(crate::store::parse_crc64);
            Ok(part)
        }
    }
}

/// An object that nobody sees, removed also when it is dropped.
struct Staged {
    store: Arc<Store>,
    name: String,
    is_removed: bool,
}

impl Staged {
    fn new(store: &Arc<Store>) -> Self {
        let id = WriteId::fresh();
        Self {
            store: Arc::clone(store),
            name: format!("{}{RESERVED_SEGMENT}/copies/{id}", store.settings.prefix),
            is_removed: false,
        }
    }

    async fn remove(mut self) {
        self.is_removed = remove_named(&self.store, self.name.clone()).await;
    }
}

async fn remove_named(store: &Store, name: String) -> bool {
    let request = store.client.delete_object().bucket(store.bucket()).key(name);
    request.send().await.is_ok()
}

impl Drop for Staged {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.is_removed {
            return;
        }
        let (store, name) = (Arc::clone(&self.store), std::mem::take(&mut self.name));
        // A failure leaves an object that no listing shows.
        runtime.spawn(async move { remove_named(&store, name).await });
    }
}

pub(crate) async fn set_access(
    store: &Store,
    key: &StorageKey,
    access: AccessClass,
    _: &CallOptions,
) -> Result<()> {
    store.capabilities.require(Capability::SetAccess)?;
    let acl: ObjectCannedAcl = acl_of(access);
    let request = store
        .client
        .put_object_acl()
        .bucket(store.bucket())
        .key(store.full(key))
        .acl(acl);
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) => Err(Asked::Read.failed(error)),
    }
}
