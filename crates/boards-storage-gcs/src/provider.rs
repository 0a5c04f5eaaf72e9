//! The provider: it checks arguments, hands each operation to its room, and names what failed.

use std::sync::Arc;

use boards_storage_core::{
    BoxFuture, CallOptions, Capabilities, Capability, CompleteUploadOptions, Content, CopyOptions,
    CreateUploadOptions, DeleteOptions, DeleteOutcome, DeletedKey, DownloadOptions, DownloadOutcome, Error,
    ListOptions, ListStream, MultipartUpload, ObjectAttributes, ObjectMetadata, OperationKind, Part,
    PartPlace, PresignDownloadOptions, PresignPartOptions, PresignUploadOptions, Protection, ProviderFactory,
    ProviderInfo, Result, SetMetadataOptions, SharedProvider, SignedRequest, StorageKey, StorageProvider,
    UploadOptions, UploadPartOptions, async_trait,
};
use futures_util::TryStreamExt;

use crate::capabilities::{capabilities_of, protection_of};
use crate::client::Client;
use crate::encoding::encode_path;
use crate::settings::GcsSettings;
use crate::{change, list, parts, presign, read, upload};

/// Objects in a bucket of Google Cloud Storage.
///
/// See the [crate](crate) for what it promises. A call holds at most a chunk of its content, and never more than the
/// threshold, in memory.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{Capability, StorageProvider};
/// use boards_storage_gcs::{GcsProvider, GcsSettings};
///
/// # #[tokio::main]
/// # async fn main() -> boards_storage_core::Result<()> {
/// let settings = GcsSettings::new("media").with_endpoint("http://127.0.0.1:4443");
/// let provider = GcsProvider::open("gcs", settings).await?;
/// assert!(provider.capabilities().has(Capability::VerifiedRead));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct GcsProvider {
    name: Arc<str>,
    client: Client,
    capabilities: Capabilities,
}

impl GcsProvider {
    /// Opens a bucket. `name` is how errors call the provider. Nothing is asked of the store.
    ///
    /// # Errors
    ///
    /// `Configuration` if a field is wrong or a key cannot be used.
    pub async fn open(name: impl Into<Arc<str>>, settings: GcsSettings) -> Result<Self> {
        let name = name.into();
        let client = Client::open(settings).await;
        let client = client.map_err(|error| error.with_provider(Arc::clone(&name)))?;
        let can_sign = client.identity().signer.is_some();
        Ok(Self {
            name,
            capabilities: capabilities_of(client.settings(), can_sign),
            client,
        })
    }

    fn name_error(
        &self,
        operation: OperationKind,
        key: Option<&StorageKey>,
    ) -> impl Fn(Error) -> Error + use<> {
        Error::located(operation, &self.name, key)
    }

    /// Runs an operation whose arguments were checked, and names its error.
    async fn run<T>(
        &self,
        operation: OperationKind,
        key: Option<&StorageKey>,
        checked: Result<()>,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let name_error = self.name_error(operation, key);
        checked.map_err(&name_error)?;
        // Operations are large; their callers need not be.
        Box::pin(work).await.map_err(name_error)
    }

    fn check_key(&self, key: &StorageKey) -> Result<()> {
        self.capabilities.key_rules.check(key)
    }
}

impl ProviderFactory for GcsProvider {
    const KIND: &'static str = "gcs";
    const SUMMARY: &'static str = "a bucket of Google Cloud Storage";
    type Settings = GcsSettings;

    fn open(name: String, settings: GcsSettings) -> BoxFuture<'static, Result<SharedProvider>> {
        Box::pin(async move { Ok(Arc::new(Self::open(name, settings).await?) as SharedProvider) })
    }

    fn protection(settings: &GcsSettings) -> Protection {
        protection_of(settings)
    }
}

#[async_trait]
impl StorageProvider for GcsProvider {
    fn info(&self) -> ProviderInfo {
        ProviderInfo::new(Self::KIND, self.client.location())
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
        let checked = self.capabilities.check_upload(key, content.length(), options);
        let work = upload::upload(&self.client, key, &content, options);
        self.run(OperationKind::Upload, Some(key), checked, work).await
    }

    async fn download(&self, key: &StorageKey, options: &DownloadOptions) -> Result<DownloadOutcome> {
        let checked = self.capabilities.check_download(key, options);
        let work = read::download(&self.client, key, options);
        self.run(OperationKind::Download, Some(key), checked, work).await
    }

    async fn metadata(&self, key: &StorageKey, _options: &CallOptions) -> Result<ObjectMetadata> {
        let work = read::metadata(&self.client, key);
        self.run(OperationKind::Metadata, Some(key), self.check_key(key), work)
            .await
    }

    async fn delete(&self, key: &StorageKey, options: &DeleteOptions) -> Result<DeleteOutcome> {
        let checked = self.capabilities.check_delete(key, options);
        let work = change::delete(&self.client, key, &options.precondition);
        self.run(OperationKind::Delete, Some(key), checked, work).await
    }

    async fn delete_many(&self, keys: &[StorageKey], options: &DeleteOptions) -> Result<Vec<DeletedKey>> {
        let checked = self.capabilities.check_delete_many(keys, options);
        let work = async { Ok(change::delete_many(&self.client, keys, options).await) };
        let deleted = self.run(OperationKind::DeleteMany, None, checked, work).await?;
        let named = |one: DeletedKey| {
            let name_error = self.name_error(OperationKind::DeleteMany, Some(&one.key));
            DeletedKey {
                outcome: one.outcome.map_err(name_error),
                key: one.key,
            }
        };
        Ok(deleted.into_iter().map(named).collect())
    }

    async fn list(&self, options: &ListOptions) -> Result<ListStream> {
        let name_error = self.name_error(OperationKind::List, None);
        self.capabilities.check_list(options).map_err(&name_error)?;
        Ok(Box::pin(list::list(&self.client, options).map_err(name_error)))
    }

    async fn copy(
        &self,
        from: &StorageKey,
        to: &StorageKey,
        options: &CopyOptions,
    ) -> Result<ObjectMetadata> {
        let checked = self.capabilities.check_copy(from, to, options);
        let work = change::copy(&self.client, from, to, options);
        self.run(OperationKind::Copy, Some(to), checked, work).await
    }

    async fn set_metadata(
        &self,
        key: &StorageKey,
        attributes: &ObjectAttributes,
        options: &SetMetadataOptions,
    ) -> Result<ObjectMetadata> {
        let checked = self.capabilities.check_set_metadata(key, attributes, options);
        let work = change::set_metadata(&self.client, key, attributes, options);
        self.run(OperationKind::SetMetadata, Some(key), checked, work)
            .await
    }

    async fn create_upload(
        &self,
        key: &StorageKey,
        options: &CreateUploadOptions,
    ) -> Result<MultipartUpload> {
        let checked = self.capabilities.check_create_upload(key, options);
        let work = parts::create_upload(&self.client, key, options);
        self.run(OperationKind::CreateUpload, Some(key), checked, work)
            .await
    }

    async fn upload_part(
        &self,
        upload: &MultipartUpload,
        place: PartPlace,
        content: Content,
        options: &UploadPartOptions,
    ) -> Result<Part> {
        let checked = self.check_key(&upload.key);
        let work = parts::upload_part(&self.client, upload, place, &content, options);
        self.run(OperationKind::UploadPart, Some(&upload.key), checked, work)
            .await
    }

    async fn list_parts(&self, upload: &MultipartUpload, _options: &CallOptions) -> Result<Vec<Part>> {
        let work = parts::list_parts(&self.client, upload);
        self.run(OperationKind::ListParts, Some(&upload.key), Ok(()), work)
            .await
    }

    async fn complete_upload(
        &self,
        upload: &MultipartUpload,
        parts: &[Part],
        options: &CompleteUploadOptions,
    ) -> Result<ObjectMetadata> {
        let checked = self
            .capabilities
            .require_precondition(OperationKind::CompleteUpload, &options.precondition);
        let work = parts::complete_upload(&self.client, upload, parts, options);
        self.run(OperationKind::CompleteUpload, Some(&upload.key), checked, work)
            .await
    }

    async fn abort_upload(&self, upload: &MultipartUpload, _options: &CallOptions) -> Result<()> {
        let work = parts::abort_upload(&self.client, upload);
        self.run(OperationKind::AbortUpload, Some(&upload.key), Ok(()), work)
            .await
    }

    async fn presigned_upload_url(
        &self,
        key: &StorageKey,
        options: &PresignUploadOptions,
    ) -> Result<SignedRequest> {
        let checked = self.capabilities.check_presign_upload(key, options);
        let life = self.capabilities.signed_upload_life(options);
        let work = presign::upload_request(&self.client, key, options, life);
        self.run(OperationKind::PresignedUploadUrl, Some(key), checked, work)
            .await
    }

    async fn presigned_download_url(
        &self,
        key: &StorageKey,
        options: &PresignDownloadOptions,
    ) -> Result<SignedRequest> {
        let checked = self.capabilities.check_presign_download(key, options);
        let work = presign::download_request(&self.client, key, options);
        self.run(OperationKind::PresignedDownloadUrl, Some(key), checked, work)
            .await
    }

    async fn presigned_part_url(
        &self,
        upload: &MultipartUpload,
        number: u32,
        options: &PresignPartOptions,
    ) -> Result<SignedRequest> {
        let checked = self.capabilities.require(Capability::PresignedPart);
        let work = presign::part_request(&self.client, upload, number, options);
        self.run(OperationKind::PresignedPartUrl, Some(&upload.key), checked, work)
            .await
    }

    async fn public_url(&self, key: &StorageKey, _options: &CallOptions) -> Result<String> {
        let checked = self
            .capabilities
            .require(Capability::PublicUrl)
            .and_then(|()| self.check_key(key));
        let base = self
            .client
            .settings()
            .public_url_base
            .as_deref()
            .unwrap_or_default();
        let url = format!("{}/{}", base.trim_end_matches('/'), encode_path(key.as_str()));
        self.run(
            OperationKind::PublicUrl,
            Some(key),
            checked,
            std::future::ready(Ok(url)),
        )
        .await
    }

    async fn probe(&self, _options: &CallOptions) -> Result<()> {
        let work = read::probe(&self.client);
        self.run(OperationKind::Probe, None, Ok(()), work).await
    }
}
