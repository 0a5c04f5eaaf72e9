//! The provider: it checks arguments, hands each operation to its room, and names what failed.

use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{
    BoxFuture, CallOptions, Capabilities, Capability, CompleteUploadOptions, Content, CopyOptions,
    CreateUploadOptions, DeleteOptions, DeleteOutcome, DeletedKey, DownloadOptions, DownloadOutcome, Error,
    KeyRules, ListOptions, ListStream, MultipartUpload, ObjectMetadata, OperationKind, Part, PartPlace,
    PresignDownloadOptions, PresignUploadOptions, Protection, ProviderFactory, ProviderInfo, Reach, Result,
    SharedProvider, SignedRequest, StorageKey, StorageProvider, UploadOptions, UploadPartOptions,
    async_trait,
};
use futures_util::TryStreamExt;

use crate::client::{Client, encode};
use crate::list::{self, ServerAge};
use crate::resumable;
use crate::settings::SupabaseSettings;
use crate::upload::{self, Sizes};
use crate::{object, presign};

/// The characters that the server takes in a key.
pub(crate) const KEY_CHARACTERS: &str =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_/!.*'() &$@=;:+,?-";
/// What the server's own directory backend can hold.
const SEGMENT_BYTES_MAX: usize = 255;
/// The server's limit of a batch.
const BATCH_MAX: usize = 1000;

/// Objects in a bucket of Supabase Storage.
///
/// See the [crate](crate) for what the server can do. A call holds at most a chunk of its content, and never more
/// than the threshold, in memory.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{Capability, StorageProvider};
/// use boards_storage_supabase::{SupabaseProvider, SupabaseSettings};
///
/// # #[tokio::main]
/// # async fn main() -> boards_storage_core::Result<()> {
/// let settings = SupabaseSettings::new("https://abcdefgh.supabase.co", "service-role-key", "artifacts");
/// let provider = SupabaseProvider::open("supabase", settings).await?;
/// assert!(provider.capabilities().has(Capability::Multipart));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SupabaseProvider {
    name: Arc<str>,
    client: Client,
    capabilities: Capabilities,
    sizes: Sizes,
    signed_upload_life: Duration,
    is_public: bool,
    age: ServerAge,
}

impl SupabaseProvider {
    /// Opens a bucket. `name` is how errors call the provider. The server is asked only to make the bucket.
    ///
    /// # Errors
    ///
    /// `Configuration` if a field is wrong; why the bucket could not be made.
    pub async fn open(name: impl Into<Arc<str>>, settings: SupabaseSettings) -> Result<Self> {
        let name = name.into();
        let named = |error: Error| error.with_provider(Arc::clone(&name));
        let client = Client::new(&settings).map_err(named)?;
        if settings.create_bucket {
            object::create_bucket(&client, settings.public)
                .await
                .map_err(named)?;
        }
        let as_usize = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Ok(Self {
            name,
            client,
            capabilities: capabilities_of(&settings),
            sizes: Sizes {
                threshold: as_usize(settings.resumable_threshold),
                chunk: as_usize(settings.resumable_chunk_size),
            },
            signed_upload_life: settings.signed_upload_life.get(),
            is_public: settings.public,
            age: ServerAge::default(),
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

impl ProviderFactory for SupabaseProvider {
    const KIND: &'static str = "supabase";
    const SUMMARY: &'static str = "a bucket of Supabase Storage";
    type Settings = SupabaseSettings;

    fn open(name: String, settings: SupabaseSettings) -> BoxFuture<'static, Result<SharedProvider>> {
        Box::pin(async move { Ok(Arc::new(Self::open(name, settings).await?) as SharedProvider) })
    }

    /// The bucket is public or private as a whole. What encrypts below the server, the operator knows.
    fn protection(settings: &SupabaseSettings) -> Protection {
        Protection::new(if settings.public {
            Reach::Public
        } else {
            Reach::Private
        })
    }
}

fn capabilities_of(settings: &SupabaseSettings) -> Capabilities {
    let mut key_rules = KeyRules::default();
    key_rules.segment_bytes_max = Some(SEGMENT_BYTES_MAX);
    key_rules.characters = Some(KEY_CHARACTERS);
    let mut capabilities = Capabilities::default()
        .with(&[
            Capability::Range,
            Capability::ConditionalDownload,
            Capability::List,
            Capability::ListDelimiter,
            Capability::ListStartAfter,
            Capability::TruthfulDelete,
            Capability::DeleteMany,
            Capability::Copy,
            Capability::CopyAttributes,
            Capability::StreamingUpload,
            Capability::PresignedUpload,
            Capability::PresignedDownload,
            Capability::ContentType,
            Capability::CacheControl,
            Capability::UserMetadata,
            Capability::Digest,
            Capability::WriteId,
        ])
        .with_part_rules(resumable::part_rules(settings.resumable_chunk_size))
        .with_key_rules(key_rules)
        .with_reason(
            Capability::SetMetadata,
            "the server cannot change attributes without a race; copy to another key, or store again",
        )
        .with_reason(
            Capability::SetAccess,
            "access is decided by the bucket and its policies",
        )
        .with_reason(
            Capability::PresignedPost,
            "the server signs PUT requests only, see presigned_upload",
        )
        .with_reason(
            Capability::PresignedLengthMax,
            "set the bucket's file size limit instead",
        );
    capabilities.delete_many_max = Some(BATCH_MAX);
    capabilities.presigned_upload_life = Some(settings.signed_upload_life.get());
    // More goes in parts, each of which can be retried and resumed by itself.
    capabilities.single_upload_bytes_max = Some(settings.resumable_threshold);
    let capabilities = capabilities.with_protection(SupabaseProvider::protection(settings));
    if settings.public {
        capabilities.with(&[Capability::PublicUrl])
    } else {
        capabilities.with_reason(Capability::PublicUrl, "set public for a public bucket")
    }
}

#[async_trait]
impl StorageProvider for SupabaseProvider {
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
        let work = upload::upload(&self.client, key, &content, options, self.sizes);
        self.run(OperationKind::Upload, Some(key), checked, work).await
    }

    async fn download(&self, key: &StorageKey, options: &DownloadOptions) -> Result<DownloadOutcome> {
        let checked = self.capabilities.check_download(key, options);
        let work = object::download(&self.client, key, options);
        self.run(OperationKind::Download, Some(key), checked, work).await
    }

    async fn metadata(&self, key: &StorageKey, _options: &CallOptions) -> Result<ObjectMetadata> {
        let work = object::metadata(&self.client, key);
        self.run(OperationKind::Metadata, Some(key), self.check_key(key), work)
            .await
    }

    async fn exists(&self, key: &StorageKey, _options: &CallOptions) -> Result<bool> {
        let work = async {
            match object::info(&self.client, key).await {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == boards_storage_core::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(error),
            }
        };
        self.run(OperationKind::Exists, Some(key), self.check_key(key), work)
            .await
    }

    async fn delete(&self, key: &StorageKey, options: &DeleteOptions) -> Result<DeleteOutcome> {
        let checked = self.capabilities.check_delete(key, options);
        let work = object::delete(&self.client, key);
        self.run(OperationKind::Delete, Some(key), checked, work).await
    }

    async fn delete_many(&self, keys: &[StorageKey], options: &DeleteOptions) -> Result<Vec<DeletedKey>> {
        let checked = self.capabilities.check_delete_many(keys, options);
        let work = object::delete_many(&self.client, keys);
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
        let entries = list::list(&self.client, &self.age, options);
        Ok(Box::pin(entries.map_err(name_error)))
    }

    async fn copy(
        &self,
        from: &StorageKey,
        to: &StorageKey,
        options: &CopyOptions,
    ) -> Result<ObjectMetadata> {
        let checked = self.capabilities.check_copy(from, to, options);
        let work = object::copy(&self.client, from, to, options);
        self.run(OperationKind::Copy, Some(to), checked, work).await
    }

    async fn create_upload(
        &self,
        key: &StorageKey,
        options: &CreateUploadOptions,
    ) -> Result<MultipartUpload> {
        let checked = self.capabilities.check_create_upload(key, options);
        let rules = resumable::part_rules(self.sizes.chunk as u64);
        let work = resumable::create_upload(&self.client, key, options, rules);
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
        let work = resumable::upload_part(&self.client, upload, place, &content, options);
        self.run(OperationKind::UploadPart, Some(&upload.key), checked, work)
            .await
    }

    async fn list_parts(&self, upload: &MultipartUpload, _options: &CallOptions) -> Result<Vec<Part>> {
        let work = resumable::list_parts(&self.client, upload);
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
        let work = resumable::complete_upload(&self.client, upload, parts);
        self.run(OperationKind::CompleteUpload, Some(&upload.key), checked, work)
            .await
    }

    async fn abort_upload(&self, upload: &MultipartUpload, _options: &CallOptions) -> Result<()> {
        let work = resumable::abort_upload(&self.client, upload);
        self.run(OperationKind::AbortUpload, Some(&upload.key), Ok(()), work)
            .await
    }

    async fn presigned_upload_url(
        &self,
        key: &StorageKey,
        options: &PresignUploadOptions,
    ) -> Result<SignedRequest> {
        let checked = self.capabilities.check_presign_upload(key, options);
        let work = presign::upload(&self.client, key, options, self.signed_upload_life);
        self.run(OperationKind::PresignedUploadUrl, Some(key), checked, work)
            .await
    }

    async fn presigned_download_url(
        &self,
        key: &StorageKey,
        options: &PresignDownloadOptions,
    ) -> Result<SignedRequest> {
        let checked = self.capabilities.check_presign_download(key, options);
        let work = presign::download(&self.client, key, options);
        self.run(OperationKind::PresignedDownloadUrl, Some(key), checked, work)
            .await
    }

    async fn public_url(&self, key: &StorageKey, _options: &CallOptions) -> Result<String> {
        let checked = self
            .capabilities
            .require(Capability::PublicUrl)
            .and_then(|()| self.check_key(key));
        let route = format!(
            "object/public/{}/{}",
            encode(&self.client.bucket),
            encode(key.as_str())
        );
        let work = std::future::ready(Ok(self.client.url(&route)));
        self.run(OperationKind::PublicUrl, Some(key), checked, work).await
    }

    async fn probe(&self, _options: &CallOptions) -> Result<()> {
        let work = object::probe(&self.client, self.is_public);
        self.run(OperationKind::Probe, None, Ok(()), work).await
    }
}
