//! Layers: concerns that go around every call of one provider.
//!
//! A layer is one function over [`Operation`] and [`Outcome`]. [`Stack`] alone turns the methods of
//! [`StorageProvider`] into operations and outcomes back into answers.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::capabilities::{Capabilities, Capability};
use crate::content::Content;
use crate::download::DownloadOutcome;
use crate::error::{Error, ErrorKind, Result};
use crate::key::StorageKey;
use crate::metadata::{ObjectAttributes, ObjectMetadata};
use crate::operation::{
    DeleteOutcome, DeletedKey, ListStream, MultipartUpload, Operation, Outcome, Part, PartPlace,
};
use crate::options::{
    AccessClass, CallOptions, CompleteUploadOptions, CopyOptions, CreateUploadOptions, DeleteOptions,
    DownloadOptions, ListOptions, PresignDownloadOptions, PresignPartOptions, PresignUploadOptions,
    SetMetadataOptions, UploadOptions, UploadPartOptions,
};
use crate::provider::{ProviderInfo, SharedProvider, StorageProvider};
use crate::signed::SignedRequest;

/// One concern around every call.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{async_trait, Layer, Next, Operation, Outcome, Result};
///
/// #[derive(Debug)]
/// struct Announce;
///
/// #[async_trait]
/// impl Layer for Announce {
///     fn name(&self) -> &'static str {
///         "announce"
///     }
///
///     async fn around(&self, operation: Operation, next: Next) -> Result<Outcome> {
///         let kind = operation.kind();
///         let outcome = next.run(operation).await;
///         assert!(outcome.as_ref().is_ok_and(|outcome| outcome.kind() == kind));
///         outcome
///     }
/// }
/// ```
#[async_trait]
pub trait Layer: fmt::Debug + Send + Sync + 'static {
    /// Returns the layer's name, as in settings and traces.
    fn name(&self) -> &'static str;

    /// Says what is left of the inner capabilities, or what is added.
    fn capabilities(&self, inner: Capabilities) -> Capabilities {
        inner
    }

    /// Returns whether the layer may have something to do for the operation. One that has not is passed over, which
    /// saves the call its cost; it must be the same to the caller as if it were passed through.
    fn is_needed(&self, operation: &Operation) -> bool {
        let _any = operation;
        true
    }

    /// Handles a call: passes it on by `next`, once, several times or not at all.
    ///
    /// The outcome must answer the operation. A layer that hands a stream on and still cares for it wraps it.
    async fn around(&self, operation: Operation, next: Next) -> Result<Outcome>;
}

/// What is inside a layer. It owns what it needs and clones cheaply, so that a retry can run it again and a
/// returned stream can keep it.
#[derive(Clone, Debug)]
pub struct Next {
    chain: Arc<Chain>,
    index: usize,
}

#[derive(Debug)]
struct Chain {
    name: Arc<str>,
    layers: Box<[Arc<dyn Layer>]>,
    /// What is left from each layer on; one more than there are layers: the last is the provider's own.
    capabilities: Box<[Capabilities]>,
    provider: SharedProvider,
}

impl Next {
    /// Returns the name of the provider that the stack is around, as errors and traces carry it.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.chain.name
    }

    /// Returns what the inside can do.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.chain.capabilities[self.index]
    }

    /// Runs the rest of the stack.
    ///
    /// # Errors
    ///
    /// Whatever the inner layers and the provider answer.
    pub async fn run(mut self, operation: Operation) -> Result<Outcome> {
        let layers = &self.chain.layers[self.index..];
        let Some(skipped) = layers.iter().position(|layer| layer.is_needed(&operation)) else {
            return dispatch(&*self.chain.provider, operation).await;
        };
        let layer = Arc::clone(&layers[skipped]);
        self.index += skipped + 1;
        layer.around(operation, self).await
    }
}

/// A provider with its layers, outermost first; itself a provider.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{SharedProvider, Stack};
///
/// fn bare(provider: SharedProvider) -> Stack {
///     Stack::new("main", provider, Vec::new())
/// }
/// ```
#[derive(Debug)]
pub struct Stack {
    chain: Arc<Chain>,
}

impl Stack {
    /// Puts `layers`, outermost first, around a provider that is known by `name`.
    pub fn new(name: impl Into<Arc<str>>, provider: SharedProvider, layers: Vec<Arc<dyn Layer>>) -> Self {
        let mut inner = provider.capabilities().clone();
        let mut capabilities = vec![inner.clone()];
        for layer in layers.iter().rev() {
            inner = layer.capabilities(inner);
            capabilities.push(inner.clone());
        }
        capabilities.reverse();
        let chain = Chain {
            name: name.into(),
            layers: layers.into(),
            capabilities: capabilities.into(),
            provider,
        };
        Self {
            chain: Arc::new(chain),
        }
    }

    /// Returns the name that errors and traces carry.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.chain.name
    }

    /// Returns the names of the layers, outermost first.
    pub fn layer_names(&self) -> impl Iterator<Item = &'static str> {
        self.chain.layers.iter().map(|layer| layer.name())
    }

    async fn run(&self, checked: Result<()>, operation: impl FnOnce() -> Operation) -> Result<Outcome> {
        // The checks stand before the layers, so that what can never succeed is not retried, counted or queued.
        checked.map_err(|error| error.with_provider(Arc::clone(&self.chain.name)))?;
        let operation = operation();
        let asked = operation.kind();
        let outcome = Next {
            chain: Arc::clone(&self.chain),
            index: 0,
        }
        .run(operation)
        .await?;
        if outcome.kind() == asked {
            return Ok(outcome);
        }
        Err(self.mismatch(asked.name(), &outcome))
    }

    fn mismatch(&self, asked: &str, outcome: &Outcome) -> Error {
        Error::new(
            ErrorKind::Storage,
            format!("a layer answered {asked} with the outcome of {}", outcome.kind()),
        )
        .with_provider(Arc::clone(&self.chain.name))
    }
}

/// Runs an operation through the stack and unwraps the outcome of the same name.
macro_rules! through {
    ($self:ident, $checked:expr, $kind:ident { $($field:ident $(: $value:expr)?),* $(,)? }) => {
        match $self.run($checked, || Operation::$kind { $($field $(: $value)?),* }).await? {
            Outcome::$kind(answer) => Ok(answer),
            other => Err($self.mismatch(stringify!($kind), &other)),
        }
    };
}

#[async_trait]
impl StorageProvider for Stack {
    fn info(&self) -> ProviderInfo {
        self.chain.provider.info()
    }

    fn capabilities(&self) -> &Capabilities {
        &self.chain.capabilities[0]
    }

    async fn upload(
        &self,
        key: &StorageKey,
        content: Content,
        options: &UploadOptions,
    ) -> Result<ObjectMetadata> {
        let checked = self.capabilities().check_upload(key, content.length(), options);
        through!(
            self,
            checked,
            Upload {
                key: key.clone(),
                content,
                options: Arc::new(options.clone())
            }
        )
        .map(|answer: Box<_>| *answer)
    }

    async fn download(&self, key: &StorageKey, options: &DownloadOptions) -> Result<DownloadOutcome> {
        let checked = self.capabilities().check_download(key, options);
        through!(
            self,
            checked,
            Download {
                key: key.clone(),
                options: Arc::new(options.clone())
            }
        )
        .map(|answer: Box<_>| *answer)
    }

    async fn metadata(&self, key: &StorageKey, options: &CallOptions) -> Result<ObjectMetadata> {
        let checked = self.capabilities().key_rules.check(key);
        through!(
            self,
            checked,
            Metadata {
                key: key.clone(),
                options: Arc::new(options.clone())
            }
        )
        .map(|answer: Box<_>| *answer)
    }

    async fn exists(&self, key: &StorageKey, options: &CallOptions) -> Result<bool> {
        let checked = self.capabilities().key_rules.check(key);
        through!(
            self,
            checked,
            Exists {
                key: key.clone(),
                options: Arc::new(options.clone())
            }
        )
    }

    async fn delete(&self, key: &StorageKey, options: &DeleteOptions) -> Result<DeleteOutcome> {
        let checked = self.capabilities().check_delete(key, options);
        through!(
            self,
            checked,
            Delete {
                key: key.clone(),
                options: Arc::new(options.clone())
            }
        )
    }

    async fn delete_many(&self, keys: &[StorageKey], options: &DeleteOptions) -> Result<Vec<DeletedKey>> {
        let checked = self.capabilities().check_delete_many(keys, options);
        through!(
            self,
            checked,
            DeleteMany {
                keys: Arc::from(keys),
                options: Arc::new(options.clone())
            }
        )
    }

    async fn list(&self, options: &ListOptions) -> Result<ListStream> {
        let checked = self.capabilities().check_list(options);
        through!(
            self,
            checked,
            List {
                options: Arc::new(options.clone())
            }
        )
    }

    async fn copy(
        &self,
        from: &StorageKey,
        to: &StorageKey,
        options: &CopyOptions,
    ) -> Result<ObjectMetadata> {
        let checked = self.capabilities().check_copy(from, to, options);
        through!(
            self,
            checked,
            Copy {
                from: from.clone(),
                to: to.clone(),
                options: Arc::new(options.clone())
            }
        )
        .map(|answer: Box<_>| *answer)
    }

    async fn set_metadata(
        &self,
        key: &StorageKey,
        attributes: &ObjectAttributes,
        options: &SetMetadataOptions,
    ) -> Result<ObjectMetadata> {
        let checked = self.capabilities().check_set_metadata(key, attributes, options);
        through!(
            self,
            checked,
            SetMetadata {
                key: key.clone(),
                attributes: Arc::new(attributes.clone()),
                options: Arc::new(options.clone()),
            }
        )
        .map(|answer: Box<_>| *answer)
    }

    async fn set_access(&self, key: &StorageKey, access: AccessClass, options: &CallOptions) -> Result<()> {
        let checked = self
            .capabilities()
            .require(Capability::SetAccess)
            .and_then(|()| self.capabilities().key_rules.check(key));
        let operation = || Operation::SetAccess {
            key: key.clone(),
            access,
            options: Arc::new(options.clone()),
        };
        self.run(checked, operation).await.map(drop)
    }

    async fn create_upload(
        &self,
        key: &StorageKey,
        options: &CreateUploadOptions,
    ) -> Result<MultipartUpload> {
        let checked = self.capabilities().check_create_upload(key, options);
        through!(
            self,
            checked,
            CreateUpload {
                key: key.clone(),
                options: Arc::new(options.clone())
            }
        )
        .map(|answer: Box<_>| *answer)
    }

    async fn upload_part(
        &self,
        upload: &MultipartUpload,
        place: PartPlace,
        content: Content,
        options: &UploadPartOptions,
    ) -> Result<Part> {
        through!(
            self,
            self.capabilities().require(Capability::Multipart),
            UploadPart {
                upload: Arc::new(upload.clone()),
                place,
                content,
                options: Arc::new(options.clone()),
            }
        )
        .map(|answer: Box<_>| *answer)
    }

    async fn list_parts(&self, upload: &MultipartUpload, options: &CallOptions) -> Result<Vec<Part>> {
        through!(
            self,
            self.capabilities().require(Capability::Multipart),
            ListParts {
                upload: Arc::new(upload.clone()),
                options: Arc::new(options.clone()),
            }
        )
    }

    async fn complete_upload(
        &self,
        upload: &MultipartUpload,
        parts: &[Part],
        options: &CompleteUploadOptions,
    ) -> Result<ObjectMetadata> {
        through!(
            self,
            self.capabilities().require(Capability::Multipart),
            CompleteUpload {
                upload: Arc::new(upload.clone()),
                parts: Arc::from(parts),
                options: Arc::new(options.clone()),
            }
        )
        .map(|answer: Box<_>| *answer)
    }

    async fn abort_upload(&self, upload: &MultipartUpload, options: &CallOptions) -> Result<()> {
        let operation = || Operation::AbortUpload {
            upload: Arc::new(upload.clone()),
            options: Arc::new(options.clone()),
        };
        self.run(self.capabilities().require(Capability::Multipart), operation)
            .await
            .map(drop)
    }

    async fn presigned_upload_url(
        &self,
        key: &StorageKey,
        options: &PresignUploadOptions,
    ) -> Result<SignedRequest> {
        let checked = self.capabilities().check_presign_upload(key, options);
        through!(
            self,
            checked,
            PresignedUploadUrl {
                key: key.clone(),
                options: Arc::new(options.clone())
            }
        )
        .map(|answer: Box<_>| *answer)
    }

    async fn presigned_download_url(
        &self,
        key: &StorageKey,
        options: &PresignDownloadOptions,
    ) -> Result<SignedRequest> {
        let checked = self.capabilities().check_presign_download(key, options);
        through!(
            self,
            checked,
            PresignedDownloadUrl {
                key: key.clone(),
                options: Arc::new(options.clone())
            }
        )
        .map(|answer: Box<_>| *answer)
    }

    async fn presigned_part_url(
        &self,
        upload: &MultipartUpload,
        number: u32,
        options: &PresignPartOptions,
    ) -> Result<SignedRequest> {
        through!(
            self,
            self.capabilities().require(Capability::PresignedPart),
            PresignedPartUrl {
                upload: Arc::new(upload.clone()),
                number,
                options: Arc::new(options.clone()),
            }
        )
        .map(|answer: Box<_>| *answer)
    }

    async fn public_url(&self, key: &StorageKey, options: &CallOptions) -> Result<String> {
        let checked = self
            .capabilities()
            .require(Capability::PublicUrl)
            .and_then(|()| self.capabilities().key_rules.check(key));
        through!(
            self,
            checked,
            PublicUrl {
                key: key.clone(),
                options: Arc::new(options.clone())
            }
        )
    }

    async fn probe(&self, options: &CallOptions) -> Result<()> {
        self.run(Ok(()), || Operation::Probe {
            options: Arc::new(options.clone()),
        })
        .await
        .map(drop)
    }

    async fn close(&self) -> Result<()> {
        self.chain.provider.close().await
    }
}

/// Calls the provider's method that the operation names.
async fn dispatch(provider: &dyn StorageProvider, operation: Operation) -> Result<Outcome> {
    Ok(match operation {
        Operation::Upload {
            key,
            content,
            options,
        } => Outcome::Upload(Box::new(provider.upload(&key, content, &options).await?)),
        Operation::Download { key, options } => {
            Outcome::Download(Box::new(provider.download(&key, &options).await?))
        }
        Operation::Metadata { key, options } => {
            Outcome::Metadata(Box::new(provider.metadata(&key, &options).await?))
        }
        Operation::Exists { key, options } => Outcome::Exists(provider.exists(&key, &options).await?),
        Operation::Delete { key, options } => Outcome::Delete(provider.delete(&key, &options).await?),
        Operation::DeleteMany { keys, options } => {
            Outcome::DeleteMany(provider.delete_many(&keys, &options).await?)
        }
        Operation::List { options } => Outcome::List(provider.list(&options).await?),
        Operation::Copy { from, to, options } => {
            Outcome::Copy(Box::new(provider.copy(&from, &to, &options).await?))
        }
        Operation::SetMetadata {
            key,
            attributes,
            options,
        } => Outcome::SetMetadata(Box::new(
            provider.set_metadata(&key, &attributes, &options).await?,
        )),
        Operation::SetAccess { key, access, options } => {
            provider.set_access(&key, access, &options).await?;
            Outcome::SetAccess
        }
        Operation::CreateUpload { key, options } => {
            Outcome::CreateUpload(Box::new(provider.create_upload(&key, &options).await?))
        }
        Operation::UploadPart {
            upload,
            place,
            content,
            options,
        } => Outcome::UploadPart(Box::new(
            provider.upload_part(&upload, place, content, &options).await?,
        )),
        Operation::ListParts { upload, options } => {
            Outcome::ListParts(provider.list_parts(&upload, &options).await?)
        }
        Operation::CompleteUpload {
            upload,
            parts,
            options,
        } => Outcome::CompleteUpload(Box::new(
            provider.complete_upload(&upload, &parts, &options).await?,
        )),
        Operation::AbortUpload { upload, options } => {
            provider.abort_upload(&upload, &options).await?;
            Outcome::AbortUpload
        }
        Operation::PresignedUploadUrl { key, options } => {
            Outcome::PresignedUploadUrl(Box::new(provider.presigned_upload_url(&key, &options).await?))
        }
        Operation::PresignedDownloadUrl { key, options } => {
            Outcome::PresignedDownloadUrl(Box::new(provider.presigned_download_url(&key, &options).await?))
        }
        Operation::PresignedPartUrl {
            upload,
            number,
            options,
        } => Outcome::PresignedPartUrl(Box::new(
            provider.presigned_part_url(&upload, number, &options).await?,
        )),
        Operation::PublicUrl { key, options } => {
            Outcome::PublicUrl(provider.public_url(&key, &options).await?)
        }
        Operation::Probe { options } => {
            provider.probe(&options).await?;
            Outcome::Probe
        }
    })
}
