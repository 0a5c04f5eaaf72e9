//! The provider: it checks arguments, hands each operation on to its file, and names what failed.

use std::sync::Arc;

use boards_storage_core::{
    CallOptions, Capabilities, Capability, Content, CopyOptions, DeleteOptions, DeleteOutcome,
    DownloadOptions, DownloadOutcome, Error, ErrorKind, ListOptions, ListStream, ObjectMetadata,
    OperationKind, ProviderInfo, Result, StorageKey, StorageProvider, UploadOptions, async_trait,
};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};

use super::builder::ObjectStoreBuilder;
use super::error::translate;

/// An `object_store::ObjectStore` as a provider.
///
/// What it can do beyond reading, whole writes and deletes is known of some stores and declared for the others: see
/// [`ObjectStoreBuilder`]. The store's own retries should be off (`RetryConfig` with no retries): a retry belongs to
/// the stack.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use boards_storage_core::{Content, StorageKey, StorageProvider, UploadOptions};
/// use boards_storage_opendal::ObjectStoreProvider;
/// use object_store::memory::InMemory;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> boards_storage_core::Result<()> {
/// let provider = ObjectStoreProvider::builder(Arc::new(InMemory::new())).build()?;
/// let key = StorageKey::parse("greetings/hello.txt")?;
/// let stored = provider.upload(&key, Content::from("hello"), &UploadOptions::default()).await?;
/// assert_eq!(stored.size_bytes, 5);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ObjectStoreProvider {
    pub(super) name: Arc<str>,
    pub(super) store: Arc<dyn ObjectStore>,
    /// Empty, or a folder with its `/`.
    pub(super) prefix: Arc<str>,
    pub(super) is_s3: bool,
    pub(super) part_bytes: u64,
    pub(super) conditional_bytes_max: u64,
    pub(super) capabilities: Capabilities,
}

impl ObjectStoreProvider {
    /// Begins to describe the provider of a store.
    #[must_use]
    pub fn builder(store: Arc<dyn ObjectStore>) -> ObjectStoreBuilder {
        ObjectStoreBuilder::new(store)
    }

    /// Returns where the store finds a key.
    pub(super) fn path(&self, key: &StorageKey) -> Result<Path> {
        Path::parse(format!("{}{key}", self.prefix))
            .map_err(|source| Error::invalid_input("the store cannot hold the key").with_source(source))
    }

    /// Whether a digest and a write id are kept.
    pub(super) fn keeps_notes(&self) -> bool {
        self.capabilities.has(Capability::WriteId)
    }

    fn located(&self, operation: OperationKind, key: Option<&StorageKey>) -> impl Fn(Error) -> Error + use<> {
        Error::located(operation, &self.name, key)
    }
}

#[async_trait]
impl StorageProvider for ObjectStoreProvider {
    fn info(&self) -> ProviderInfo {
        let location = match self.prefix.trim_end_matches('/') {
            "" => self.store.to_string(),
            prefix => format!("{}/{prefix}", self.store),
        };
        ProviderInfo::new("object_store", location)
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
        self.head(key).await.map_err(located)
    }

    async fn delete(&self, key: &StorageKey, options: &DeleteOptions) -> Result<DeleteOutcome> {
        let located = self.located(OperationKind::Delete, Some(key));
        self.capabilities.check_delete(key, options).map_err(&located)?;
        match self.store.delete(&self.path(key)?).await.map_err(translate) {
            Ok(()) => Ok(DeleteOutcome::Unknown),
            // Stores differ in what they say of nothing.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(DeleteOutcome::Unknown),
            Err(error) => Err(located(error)),
        }
    }

    async fn list(&self, options: &ListOptions) -> Result<ListStream> {
        let located = self.located(OperationKind::List, None);
        self.capabilities.check_list(options).map_err(located)?;
        Ok(self.list_objects(options))
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

    async fn probe(&self, _options: &CallOptions) -> Result<()> {
        let located = self.located(OperationKind::Probe, None);
        let key = StorageKey::parse("boards-storage-probe").map_err(&located)?;
        match self.head(&key).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(located(error)),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
