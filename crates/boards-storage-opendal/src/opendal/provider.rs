//! The provider: it checks arguments, hands each operation on to its file, and names what failed.

use std::sync::Arc;

use boards_storage_core::{
    BoxFuture, CallOptions, Capabilities, Capability, Content, CopyOptions, DeleteOptions, DeleteOutcome,
    DownloadOptions, DownloadOutcome, Error, ErrorKind, ListOptions, ListStream, ObjectMetadata,
    OperationKind, Precondition, PresignDownloadOptions, PresignUploadOptions, ProviderFactory, ProviderInfo,
    Result, SharedProvider, SignedRequest, StorageKey, StorageProvider, UploadOptions, async_trait,
};
use opendal::Operator;
use opendal::options::DeleteOptions as NativeDeleteOptions;

use super::builder::OpendalBuilder;
use super::error::translate;
use super::settings::OpendalSettings;
use super::write::{quoted, refusal};

/// An OpenDAL operator as a provider.
///
/// Its capabilities follow from OpenDAL's and from what is known or guaranteed of the service: see
/// [`Guarantee`](super::Guarantee). The operator must have no retry layer: a retry belongs to the stack.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{Content, StorageKey, StorageProvider, UploadOptions};
/// use boards_storage_opendal::OpendalProvider;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let operator = opendal::Operator::new(opendal::services::Memory::default())?;
/// let provider = OpendalProvider::builder(operator.clone()).build()?;
/// let key = StorageKey::parse("greetings/hello.txt")?;
/// provider.upload(&key, Content::from("hello"), &UploadOptions::default()).await?;
/// assert_eq!(operator.read("greetings/hello.txt").await?.to_bytes(), "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct OpendalProvider {
    pub(super) name: Arc<str>,
    pub(super) operator: Operator,
    /// Empty, or a folder with its `/`.
    pub(super) prefix: Arc<str>,
    pub(super) sorted_list_max: Option<usize>,
    pub(super) part_bytes: u64,
    pub(super) native: opendal::Capability,
    pub(super) capabilities: Capabilities,
}

impl OpendalProvider {
    /// Begins to describe the provider of an operator.
    #[must_use]
    pub fn builder(operator: Operator) -> OpendalBuilder {
        OpendalBuilder::new(operator)
    }

    /// Returns where OpenDAL finds a key.
    pub(super) fn path(&self, key: &StorageKey) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Whether a digest and a write id are kept.
    pub(super) fn keeps_notes(&self) -> bool {
        self.capabilities.has(Capability::WriteId)
    }

    fn located(&self, operation: OperationKind, key: Option<&StorageKey>) -> impl Fn(Error) -> Error + use<> {
        Error::located(operation, &self.name, key)
    }

    async fn remove(&self, key: &StorageKey, options: &DeleteOptions) -> Result<DeleteOutcome> {
        // A folder is no object: some services would take it for one.
        if self.capabilities.key_rules.file_or_folder {
            match self.stat(key).await {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(DeleteOutcome::Unknown),
                outcome => drop(outcome?),
            }
        }
        let native = NativeDeleteOptions {
            if_match: match &options.precondition {
                Precondition::IfMatch(tag) => Some(quoted(tag)),
                _ => None,
            },
            ..NativeDeleteOptions::default()
        };
        match self.operator.delete_options(&self.path(key), native).await {
            Ok(()) => Ok(DeleteOutcome::Unknown),
            Err(error) if error.kind() == opendal::ErrorKind::NotFound => match options.precondition {
                Precondition::None => Ok(DeleteOutcome::Unknown),
                _ => Err(Error::new(
                    ErrorKind::PreconditionFailed,
                    "there is no object at the key",
                )),
            },
            Err(error) => Err(translate(error)),
        }
    }

    async fn copy_object(
        &self,
        from: &StorageKey,
        to: &StorageKey,
        options: &CopyOptions,
    ) -> Result<ObjectMetadata> {
        if options.source_if_match.is_some() {
            return Err(Error::unsupported(
                "OpenDAL decides no condition of a copy's source",
            ));
        }
        let copied = self.operator.copy(&self.path(from), &self.path(to)).await;
        copied.map_err(|error| refusal(error, &options.precondition))?;
        let found = self.stat(to).await?;
        Ok(self.describe(to, &found))
    }
}

impl ProviderFactory for OpendalProvider {
    const KIND: &'static str = "opendal";
    const SUMMARY: &'static str = "any service of OpenDAL that is compiled in";
    type Settings = OpendalSettings;

    fn open(name: String, settings: OpendalSettings) -> BoxFuture<'static, Result<SharedProvider>> {
        Box::pin(async move {
            let provider = settings.builder()?.with_name(name).build()?;
            Ok(Arc::new(provider) as SharedProvider)
        })
    }
}

#[async_trait]
impl StorageProvider for OpendalProvider {
    fn info(&self) -> ProviderInfo {
        let info = self.operator.info();
        let place = [info.name(), info.root(), self.prefix.to_string()];
        let place: Vec<_> = place
            .iter()
            .map(|part| part.trim_matches('/'))
            .filter(|part| !part.is_empty())
            .collect();
        ProviderInfo::new("opendal", format!("{}://{}", info.scheme(), place.join("/")))
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
        let located = self.located(OperationKind::Upload, Some(key));
        let checked = self.capabilities.check_upload(key, content.length(), options);
        checked.map_err(&located)?;
        self.write(key, &content, options).await.map_err(located)
    }

    async fn download(&self, key: &StorageKey, options: &DownloadOptions) -> Result<DownloadOutcome> {
        let located = self.located(OperationKind::Download, Some(key));
        self.capabilities.check_download(key, options).map_err(&located)?;
        self.read(key, options).await.map_err(located)
    }

    async fn metadata(&self, key: &StorageKey, _options: &CallOptions) -> Result<ObjectMetadata> {
        let located = self.located(OperationKind::Metadata, Some(key));
        self.capabilities.key_rules.check(key).map_err(&located)?;
        let found = self.stat(key).await.map_err(located)?;
        Ok(self.describe(key, &found))
    }

    async fn delete(&self, key: &StorageKey, options: &DeleteOptions) -> Result<DeleteOutcome> {
        let located = self.located(OperationKind::Delete, Some(key));
        self.capabilities.check_delete(key, options).map_err(&located)?;
        self.remove(key, options).await.map_err(located)
    }

    async fn list(&self, options: &ListOptions) -> Result<ListStream> {
        let located = self.located(OperationKind::List, None);
        self.capabilities.check_list(options).map_err(&located)?;
        self.list_objects(options).await.map_err(located)
    }

    async fn copy(
        &self,
        from: &StorageKey,
        to: &StorageKey,
        options: &CopyOptions,
    ) -> Result<ObjectMetadata> {
        let located = self.located(OperationKind::Copy, Some(to));
        self.capabilities
            .check_copy(from, to, options)
            .map_err(&located)?;
        self.copy_object(from, to, options).await.map_err(located)
    }

    async fn presigned_upload_url(
        &self,
        key: &StorageKey,
        options: &PresignUploadOptions,
    ) -> Result<SignedRequest> {
        let located = self.located(OperationKind::PresignedUploadUrl, Some(key));
        self.capabilities
            .check_presign_upload(key, options)
            .map_err(&located)?;
        self.sign_upload(key, options).await.map_err(located)
    }

    async fn presigned_download_url(
        &self,
        key: &StorageKey,
        options: &PresignDownloadOptions,
    ) -> Result<SignedRequest> {
        let located = self.located(OperationKind::PresignedDownloadUrl, Some(key));
        self.capabilities
            .check_presign_download(key, options)
            .map_err(&located)?;
        self.sign_download(key, options).await.map_err(located)
    }

    async fn probe(&self, _options: &CallOptions) -> Result<()> {
        let located = self.located(OperationKind::Probe, None);
        let probed = if self.native.list {
            self.operator.check().await
        } else {
            match self.operator.stat(&format!("{}probe", self.prefix)).await {
                Err(error) if error.kind() != opendal::ErrorKind::NotFound => Err(error),
                Ok(_) | Err(_) => Ok(()),
            }
        };
        probed.map_err(translate).map_err(located)
    }
}
