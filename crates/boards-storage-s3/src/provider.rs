//! The provider: what it can do, and which room does it. Each error gets the operation, the provider and the key.

use std::sync::Arc;

use boards_storage_core::{
    AccessClass, BoxFuture, CallOptions, Capabilities, Capability, CompleteUploadOptions, Content,
    CopyOptions, CreateUploadOptions, DeleteOptions, DeleteOutcome, DeletedKey, DownloadOptions,
    DownloadOutcome, Error, ListOptions, ListStream, MultipartUpload, ObjectAttributes, ObjectMetadata,
    OperationKind, Part, PartPlace, PresignDownloadOptions, PresignPartOptions, PresignUploadOptions,
    Protection, ProviderFactory, ProviderInfo, Result, SetMetadataOptions, SharedProvider, SignedRequest,
    StorageKey, StorageProvider, UploadOptions, UploadPartOptions, async_trait,
};

use crate::capabilities::{capabilities_of, protection_of};
use crate::encoding::encode_path;
use crate::settings::S3Settings;
use crate::store::Store;
use crate::{copy, delete, list, multipart, presign, read, upload};

/// Objects in a bucket of S3, or of a store that speaks its protocol.
///
/// It must be used on a Tokio runtime. Clones of one program share nothing: each provider has its own client and
/// connections.
///
/// # Examples
///
/// ```no_run
/// use boards_storage_core::{Content, StorageKey, StorageProvider, UploadOptions};
/// use boards_storage_s3::{S3Provider, S3Settings};
///
/// # #[tokio::main]
/// # async fn main() -> boards_storage_core::Result<()> {
/// let provider = S3Provider::open("s3", S3Settings::new("media").with_region("eu-central-1")).await?;
/// let key = StorageKey::parse("greetings/hello.txt")?;
/// provider.upload(&key, Content::from("hello"), &UploadOptions::default()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct S3Provider {
    name: Arc<str>,
    store: Arc<Store>,
}

impl S3Provider {
    /// Opens a bucket. `name` is how errors call the provider. Nothing is asked of the store: `probe` does that.
    ///
    /// # Errors
    ///
    /// `Configuration` that names the field.
    pub async fn open(name: impl Into<Arc<str>>, settings: S3Settings) -> Result<Self> {
        let name = name.into();
        let named = |error: Error| error.with_provider(Arc::clone(&name));
        settings.validate().map_err(named)?;
        let capabilities = capabilities_of(&settings);
        let store = Store::open(settings, capabilities).await.map_err(named)?;
        Ok(Self {
            name,
            store: Arc::new(store),
        })
    }

    /// Sets above which size copies go in parts, and the size of these, so that tests need no 5 GiB.
    #[doc(hidden)]
    #[must_use]
    pub fn with_copy_limits(mut self, single_bytes_max: u64, part_bytes: u64) -> Self {
        if let Some(store) = Arc::get_mut(&mut self.store) {
            store.single_copy_bytes_max = single_bytes_max;
            store.copy_part_bytes = part_bytes.max(1);
        }
        self
    }

    /// Returns what completes an error with the place where it happened.
    fn at(&self, operation: OperationKind, key: Option<&StorageKey>) -> impl Fn(Error) -> Error + use<> {
        Error::located(operation, &self.name, key)
    }
}

impl ProviderFactory for S3Provider {
    const KIND: &'static str = "s3";
    const SUMMARY: &'static str = "a bucket of Amazon S3, or of a store that speaks its protocol";
    type Settings = S3Settings;

    fn open(name: String, settings: S3Settings) -> BoxFuture<'static, Result<SharedProvider>> {
        Box::pin(async move { Ok(Arc::new(Self::open(name, settings).await?) as SharedProvider) })
    }

    fn protection(settings: &S3Settings) -> Protection {
        protection_of(settings)
    }
}

#[async_trait]
impl StorageProvider for S3Provider {
    fn info(&self) -> ProviderInfo {
        let settings = &self.store.settings;
        let location = format!("s3://{}/{}", settings.bucket, settings.prefix);
        let location = match &settings.endpoint {
            Some(endpoint) => format!("{location} at {endpoint}"),
            None => format!("{location} in {}", self.store.region),
        };
        ProviderInfo::new(Self::KIND, location)
    }

    fn capabilities(&self) -> &Capabilities {
        &self.store.capabilities
    }

    async fn upload(
        &self,
        key: &StorageKey,
        content: Content,
        options: &UploadOptions,
    ) -> Result<ObjectMetadata> {
        let uploaded = Box::pin(upload::upload(&self.store, key, content, options)).await;
        uploaded.map_err(self.at(OperationKind::Upload, Some(key)))
    }

    async fn download(&self, key: &StorageKey, options: &DownloadOptions) -> Result<DownloadOutcome> {
        let answered = read::download(&self.store, key, options).await;
        answered.map_err(self.at(OperationKind::Download, Some(key)))
    }

    async fn metadata(&self, key: &StorageKey, _: &CallOptions) -> Result<ObjectMetadata> {
        let named = self.at(OperationKind::Metadata, Some(key));
        let looked = match self.store.capabilities.key_rules.check(key) {
            Ok(()) => self.store.head(key).await,
            Err(error) => Err(error),
        };
        looked.map(|found| found.metadata).map_err(named)
    }

    async fn delete(&self, key: &StorageKey, options: &DeleteOptions) -> Result<DeleteOutcome> {
        let deleted = delete::delete(&self.store, key, options).await;
        deleted.map_err(self.at(OperationKind::Delete, Some(key)))
    }

    async fn delete_many(&self, keys: &[StorageKey], options: &DeleteOptions) -> Result<Vec<DeletedKey>> {
        let deleted = delete::delete_many(&self.store, keys, options).await;
        let mut deleted = deleted.map_err(self.at(OperationKind::DeleteMany, None))?;
        for DeletedKey { key, outcome } in &mut deleted {
            if let Err(error) = std::mem::replace(outcome, Ok(DeleteOutcome::Unknown)) {
                *outcome = Err(self.at(OperationKind::DeleteMany, Some(key))(error));
            }
        }
        Ok(deleted)
    }

    async fn list(&self, options: &ListOptions) -> Result<ListStream> {
        use futures_util::StreamExt as _;
        let name = Arc::clone(&self.name);
        let stream = list::list(Arc::clone(&self.store), options);
        let stream = stream.map_err(self.at(OperationKind::List, None))?;
        Ok(Box::pin(stream.map(move |entry| {
            entry.map_err(|error| {
                error
                    .with_operation(OperationKind::List)
                    .with_provider(Arc::clone(&name))
            })
        })))
    }

    async fn copy(
        &self,
        from: &StorageKey,
        to: &StorageKey,
        options: &CopyOptions,
    ) -> Result<ObjectMetadata> {
        let copied = Box::pin(copy::copy(&self.store, from, to, options)).await;
        copied.map_err(self.at(OperationKind::Copy, Some(to)))
    }

    async fn set_metadata(
        &self,
        key: &StorageKey,
        attributes: &ObjectAttributes,
        options: &SetMetadataOptions,
    ) -> Result<ObjectMetadata> {
        let changed = Box::pin(copy::set_metadata(&self.store, key, attributes, options)).await;
        changed.map_err(self.at(OperationKind::SetMetadata, Some(key)))
    }

    async fn set_access(&self, key: &StorageKey, access: AccessClass, options: &CallOptions) -> Result<()> {
        let changed = copy::set_access(&self.store, key, access, options).await;
        changed.map_err(self.at(OperationKind::SetAccess, Some(key)))
    }

    async fn create_upload(
        &self,
        key: &StorageKey,
        options: &CreateUploadOptions,
    ) -> Result<MultipartUpload> {
        let created = multipart::create_upload(&self.store, key, options).await;
        created.map_err(self.at(OperationKind::CreateUpload, Some(key)))
    }

    async fn upload_part(
        &self,
        upload: &MultipartUpload,
        place: PartPlace,
        content: Content,
        options: &UploadPartOptions,
    ) -> Result<Part> {
        let sent = multipart::upload_part(&self.store, upload, place, content, options);
        Box::pin(sent)
            .await
            .map_err(self.at(OperationKind::UploadPart, Some(&upload.key)))
    }

    async fn list_parts(&self, upload: &MultipartUpload, options: &CallOptions) -> Result<Vec<Part>> {
        let listed = multipart::list_parts(&self.store, upload, options).await;
        listed.map_err(self.at(OperationKind::ListParts, Some(&upload.key)))
    }

    async fn complete_upload(
        &self,
        upload: &MultipartUpload,
        parts: &[Part],
        options: &CompleteUploadOptions,
    ) -> Result<ObjectMetadata> {
        let completed = Box::pin(multipart::complete_upload(&self.store, upload, parts, options)).await;
        completed.map_err(self.at(OperationKind::CompleteUpload, Some(&upload.key)))
    }

    async fn abort_upload(&self, upload: &MultipartUpload, options: &CallOptions) -> Result<()> {
        let aborted = multipart::abort_upload(&self.store, upload, options).await;
        aborted.map_err(self.at(OperationKind::AbortUpload, Some(&upload.key)))
    }

    async fn presigned_upload_url(
        &self,
        key: &StorageKey,
        options: &PresignUploadOptions,
    ) -> Result<SignedRequest> {
        let signed = Box::pin(presign::upload_request(&self.store, key, options)).await;
        signed.map_err(self.at(OperationKind::PresignedUploadUrl, Some(key)))
    }

    async fn presigned_download_url(
        &self,
        key: &StorageKey,
        options: &PresignDownloadOptions,
    ) -> Result<SignedRequest> {
        let signed = presign::download_request(&self.store, key, options).await;
        signed.map_err(self.at(OperationKind::PresignedDownloadUrl, Some(key)))
    }

    async fn presigned_part_url(
        &self,
        upload: &MultipartUpload,
        number: u32,
        options: &PresignPartOptions,
    ) -> Result<SignedRequest> {
        let signed = presign::part_request(&self.store, upload, number, options).await;
        signed.map_err(self.at(OperationKind::PresignedPartUrl, Some(&upload.key)))
    }

    async fn public_url(&self, key: &StorageKey, _: &CallOptions) -> Result<String> {
        let capabilities = &self.store.capabilities;
        let base = self.store.settings.public_url_base.as_deref();
        let checked = capabilities
            .require(Capability::PublicUrl)
            .and_then(|()| capabilities.key_rules.check(key));
        checked.map_err(self.at(OperationKind::PublicUrl, Some(key)))?;
        let base = base.unwrap_or_default().trim_end_matches('/');
        Ok(format!("{base}/{}", encode_path(key.as_str())))
    }

    async fn probe(&self, _: &CallOptions) -> Result<()> {
        let answered = self.store.probe().await;
        answered.map_err(self.at(OperationKind::Probe, None))
    }
}
