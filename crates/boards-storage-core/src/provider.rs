//! The contract of a store.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::capabilities::{Capabilities, Capability};
use crate::content::Content;
use crate::download::DownloadOutcome;
use crate::error::{Error, ErrorKind, Result};
use crate::key::StorageKey;
use crate::metadata::{ObjectAttributes, ObjectMetadata};
use crate::operation::{
    DeleteOutcome, DeletedKey, ListStream, MultipartUpload, OperationKind, Part, PartPlace,
};
use crate::options::{
    AccessClass, CallOptions, CompleteUploadOptions, CopyOptions, CreateUploadOptions, DeleteOptions,
    DownloadOptions, ListOptions, PresignDownloadOptions, PresignPartOptions, PresignUploadOptions,
    SetMetadataOptions, UploadOptions, UploadPartOptions,
};
use crate::signed::SignedRequest;

/// What a provider says of itself. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct ProviderInfo {
    /// The provider's type, as in the settings: `local`, `s3` …
    pub kind: &'static str,
    /// Where the objects are: a directory, a bucket with its endpoint.
    pub location: String,
}

impl ProviderInfo {
    /// Creates the description.
    pub fn new(kind: &'static str, location: impl Into<String>) -> Self {
        Self {
            kind,
            location: location.into(),
        }
    }
}

/// A store of immutable objects under keys.
///
/// # What every implementation promises
///
/// - **Whole objects.** A reader sees an object as one write made it, bytes and metadata together: before an
///   overwrite's commit the old one, after it the new one. An upload that fails, is cancelled (its future dropped)
///   or whose process dies leaves the old state.
/// - **Acknowledged means kept.** When `upload`, `complete_upload`, `copy`, `set_metadata` or `delete` has answered,
///   what it did survives a crash of the process and, where the store can do it, of the machine; and every later
///   read sees it.
/// - **Preconditions are atomic**, across threads, processes and machines, or refused with `Unsupported`.
/// - **Nothing is dropped in silence.** An option, a key or a field that the store cannot honour is an error before
///   anything is written: `Unsupported` for what is not in [`StorageProvider::capabilities`], `InvalidInput` for
///   keys outside the key rules. `Capabilities::check_*` does this in one call.
/// - **Truth.** "Not there" is `NotFound` (or `false`, `Absent`); that the store cannot be asked is an error.
/// - **Flat memory**: a call needs memory for a few pieces, whatever the object's size.
/// - **No policy.** No retry, cache, rate limit or log line: layers do that. Errors say by their
///   [`Retry`](crate::Retry) whether a repeat can help.
/// - Returned streams are `'static`; dropping one frees what it holds.
///
/// An optional operation's default answers `Unsupported`; it is never emulated.
///
/// The conformance suite of `boards-storage-testkit` holds a provider to all of it.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{Content, DownloadOptions, Result, StorageKey, StorageProvider, UploadOptions};
///
/// async fn round_trip(provider: &dyn StorageProvider) -> Result<()> {
///     let key = StorageKey::parse("greetings/hello.txt")?;
///     provider.upload(&key, Content::from("hello"), &UploadOptions::default()).await?;
///     let download = provider.download(&key, &DownloadOptions::default()).await?.into_object()?;
///     assert_eq!(&download.bytes(1024).await?[..], b"hello");
///     Ok(())
/// }
/// ```
#[async_trait]
pub trait StorageProvider: Debug + Send + Sync + 'static {
    /// Says what this provider is.
    fn info(&self) -> ProviderInfo;

    /// Says what this provider can do. It never changes while the provider lives.
    fn capabilities(&self) -> &Capabilities;

    /// Stores an object. Atomic, durable, idempotent for replayable content; cancel-safe: a dropped future leaves
    /// the old state or, if the store had committed already, the new one.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` or `PreconditionFailed` by [`UploadOptions::precondition`]; `InvalidInput` if the content's
    /// length lies; `Corruption` if its digest does; the content's own error, its kind unchanged, if its stream
    /// fails; `InsufficientStorage`; `OutcomeUnknown` if the store may or may not have committed.
    async fn upload(
        &self,
        key: &StorageKey,
        content: Content,
        options: &UploadOptions,
    ) -> Result<ObjectMetadata>;

    /// Reads an object or a range of it.
    ///
    /// The stream gives exactly the bytes of one state of the object. Where the provider has `VerifiedRead`, a full
    /// read whose bytes do not have the object's checksum ends with `Corruption` instead of its last piece.
    ///
    /// # Errors
    ///
    /// `NotFound`; `PreconditionFailed` by `if_match`; `InvalidInput` with status 416 for a range beyond the end.
    async fn download(&self, key: &StorageKey, options: &DownloadOptions) -> Result<DownloadOutcome>;

    /// Answers what is known of an object.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    async fn metadata(&self, key: &StorageKey, options: &CallOptions) -> Result<ObjectMetadata>;

    /// Says whether there is an object. The default asks [`StorageProvider::metadata`].
    ///
    /// # Errors
    ///
    /// Any but `NotFound`: an outage is an error, not "no".
    async fn exists(&self, key: &StorageKey, options: &CallOptions) -> Result<bool> {
        match self.metadata(key, options).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes an object. Idempotent: that there was none is an answer, not an error. `Existed` and `Absent` are
    /// told only where they are true, by `TruthfulDelete`.
    ///
    /// # Errors
    ///
    /// `PreconditionFailed` by [`DeleteOptions::precondition`].
    async fn delete(&self, key: &StorageKey, options: &DeleteOptions) -> Result<DeleteOutcome>;

    /// Removes many objects; each key has its own outcome, in the order of `keys`.
    ///
    /// # Errors
    ///
    /// `Unsupported` without `DeleteMany`; otherwise only if no key could be tried.
    async fn delete_many(&self, keys: &[StorageKey], options: &DeleteOptions) -> Result<Vec<DeletedKey>> {
        let _ = (keys, options);
        unsupported(Capability::DeleteMany, OperationKind::DeleteMany)
    }

    /// Lists objects in byte order of their keys. Objects written or removed meanwhile may or may not be seen;
    /// all others are given exactly once.
    ///
    /// # Errors
    ///
    /// `Unsupported` without `List`. A failure on the way ends the stream with an error: an incomplete listing never
    /// looks complete.
    async fn list(&self, options: &ListOptions) -> Result<ListStream> {
        let _ = options;
        unsupported(Capability::List, OperationKind::List)
    }

    /// Copies an object within the store, bytes and attributes, without moving the bytes through the caller. The
    /// copy shares nothing with its source that a later write could change.
    ///
    /// # Errors
    ///
    /// `Unsupported` without `Copy`; `NotFound` if there is no source; otherwise as
    /// [`StorageProvider::upload`].
    async fn copy(
        &self,
        from: &StorageKey,
        to: &StorageKey,
        options: &CopyOptions,
    ) -> Result<ObjectMetadata> {
        let _ = (from, to, options);
        unsupported(Capability::Copy, OperationKind::Copy)
    }

    /// Replaces all attributes of an object; its bytes stay.
    ///
    /// # Errors
    ///
    /// `Unsupported` without `SetMetadata`; `NotFound`.
    async fn set_metadata(
        &self,
        key: &StorageKey,
        attributes: &ObjectAttributes,
        options: &SetMetadataOptions,
    ) -> Result<ObjectMetadata> {
        let _ = (key, attributes, options);
        unsupported(Capability::SetMetadata, OperationKind::SetMetadata)
    }

    /// Sets how an object may be reached.
    ///
    /// # Errors
    ///
    /// `Unsupported` without `SetAccess`; `NotFound`.
    async fn set_access(&self, key: &StorageKey, access: AccessClass, options: &CallOptions) -> Result<()> {
        let _ = (key, access, options);
        unsupported(Capability::SetAccess, OperationKind::SetAccess)
    }

    /// Begins an upload in parts. Nothing is visible at the key until it is completed.
    ///
    /// # Errors
    ///
    /// `Unsupported` without `Multipart`.
    async fn create_upload(
        &self,
        key: &StorageKey,
        options: &CreateUploadOptions,
    ) -> Result<MultipartUpload> {
        let _ = (key, options);
        unsupported(Capability::Multipart, OperationKind::CreateUpload)
    }

    /// Stores one part. Sending the same number again replaces it.
    ///
    /// # Errors
    ///
    /// `Unsupported` without `Multipart`; `NotFound` if the upload is unknown, completed or aborted;
    /// `InvalidInput` if the part breaks the rules; `Corruption` if it does not have the checksum asked for.
    async fn upload_part(
        &self,
        upload: &MultipartUpload,
        place: PartPlace,
        content: Content,
        options: &UploadPartOptions,
    ) -> Result<Part> {
        let _ = (upload, place, content, options);
        unsupported(Capability::Multipart, OperationKind::UploadPart)
    }

    /// Lists the parts that the store has, by number.
    ///
    /// # Errors
    ///
    /// `Unsupported` without `Multipart`; `NotFound` if the upload is unknown, completed or aborted.
    async fn list_parts(&self, upload: &MultipartUpload, options: &CallOptions) -> Result<Vec<Part>> {
        let _ = (upload, options);
        unsupported(Capability::Multipart, OperationKind::ListParts)
    }

    /// Makes the parts one object, atomically. `parts` are the parts to use, by number.
    ///
    /// # Errors
    ///
    /// `Unsupported` without `Multipart`; `NotFound` if the upload is unknown, completed or aborted;
    /// `InvalidInput` if a part is missing or breaks the rules; otherwise as [`StorageProvider::upload`].
    async fn complete_upload(
        &self,
        upload: &MultipartUpload,
        parts: &[Part],
        options: &CompleteUploadOptions,
    ) -> Result<ObjectMetadata> {
        let _ = (upload, parts, options);
        unsupported(Capability::Multipart, OperationKind::CompleteUpload)
    }

    /// Gives an upload in parts up and frees what it holds. Idempotent: an unknown upload is no error.
    ///
    /// # Errors
    ///
    /// `Unsupported` without `Multipart`.
    async fn abort_upload(&self, upload: &MultipartUpload, options: &CallOptions) -> Result<()> {
        let _ = (upload, options);
        unsupported(Capability::Multipart, OperationKind::AbortUpload)
    }

    /// Signs a request by which a client without credentials stores this object.
    ///
    /// # Errors
    ///
    /// `Unsupported` without `PresignedUpload` or `PresignedPost`.
    async fn presigned_upload_url(
        &self,
        key: &StorageKey,
        options: &PresignUploadOptions,
    ) -> Result<SignedRequest> {
        let _ = (key, options);
        unsupported(Capability::PresignedUpload, OperationKind::PresignedUploadUrl)
    }

    /// Signs a request by which a client without credentials reads this object. Whether it exists is not looked at,
    /// unless the store itself signs and refuses to for what is missing.
    ///
    /// # Errors
    ///
    /// `Unsupported` without `PresignedDownload`; `NotFound` from a store that looks.
    async fn presigned_download_url(
        &self,
        key: &StorageKey,
        options: &PresignDownloadOptions,
    ) -> Result<SignedRequest> {
        let _ = (key, options);
        unsupported(Capability::PresignedDownload, OperationKind::PresignedDownloadUrl)
    }

    /// Signs a request by which a client without credentials stores one part.
    ///
    /// # Errors
    ///
    /// `Unsupported` without `PresignedPart`.
    async fn presigned_part_url(
        &self,
        upload: &MultipartUpload,
        number: u32,
        options: &PresignPartOptions,
    ) -> Result<SignedRequest> {
        let _ = (upload, number, options);
        unsupported(Capability::PresignedPart, OperationKind::PresignedPartUrl)
    }

    /// Returns the URL that needs no signature. Whether the object exists is not looked at.
    ///
    /// # Errors
    ///
    /// `Unsupported` without `PublicUrl`.
    async fn public_url(&self, key: &StorageKey, options: &CallOptions) -> Result<String> {
        let _ = (key, options);
        unsupported(Capability::PublicUrl, OperationKind::PublicUrl)
    }

    /// Finds out cheaply, and without changing anything, whether the store can be used.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    async fn probe(&self, options: &CallOptions) -> Result<()>;

    /// Frees what the provider holds beyond its own drop. Calls after it may fail.
    ///
    /// # Errors
    ///
    /// What could not be freed. The default does nothing.
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// A provider that is shared.
pub type SharedProvider = Arc<dyn StorageProvider>;

fn unsupported<T>(capability: Capability, operation: OperationKind) -> Result<T> {
    Err(Error::unsupported(format!(
        "this provider does not have the capability '{capability}'"
    ))
    .with_operation(operation))
}
