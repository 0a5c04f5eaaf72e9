//! A provider as a third party would write it: objects in a map, gone when the program ends.
//!
//! It declares few capabilities. What it does not declare is refused by `Capabilities::check_*`, which each method
//! calls first.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use boards_storage_core::{
    BoxFuture, CallOptions, Capabilities, Capability, Content, DeleteOptions, DeleteOutcome, Download,
    DownloadOptions, DownloadOutcome, ETag, Error, ErrorKind, ListEntry, ListOptions, ListStream,
    ObjectMetadata, OperationKind, Precondition, PreconditionKind, ProviderFactory, ProviderInfo, Result,
    SharedProvider, StorageKey, StorageProvider, UploadOptions, async_trait, register_provider,
};

/// The `config` block of a provider of the type `scratch`.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScratchSettings {
    /// The greatest object in bytes; 64 MiB by default.
    #[serde(default = "size_bytes_max")]
    pub size_bytes_max: usize,
}

fn size_bytes_max() -> usize {
    64 << 20
}

/// Objects in a map.
#[derive(Debug)]
pub struct ScratchProvider {
    capabilities: Capabilities,
    size_bytes_max: usize,
    objects: Mutex<BTreeMap<StorageKey, Arc<Object>>>,
    counter: AtomicU64,
}

#[derive(Debug)]
struct Object {
    metadata: ObjectMetadata,
    bytes: bytes::Bytes,
}

impl ScratchProvider {
    /// Creates an empty store.
    #[must_use]
    pub fn new(settings: &ScratchSettings) -> Self {
        let capabilities = Capabilities::default()
            .with(&[
                Capability::Range,
                Capability::List,
                Capability::ListStartAfter,
                Capability::TruthfulDelete,
                Capability::ContentType,
                Capability::UserMetadata,
                Capability::WriteId,
            ])
            .with_precondition(OperationKind::Upload, PreconditionKind::IfAbsent);
        Self {
            capabilities,
            size_bytes_max: settings.size_bytes_max,
            objects: Mutex::default(),
            counter: AtomicU64::new(0),
        }
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<StorageKey, Arc<Object>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn object(&self, key: &StorageKey) -> Result<Arc<Object>> {
        self.capabilities.key_rules.check(key)?;
        self.objects()
            .get(key)
            .cloned()
            .ok_or_else(|| Error::not_found("there is no object").with_key(key))
    }
}

#[async_trait]
impl StorageProvider for ScratchProvider {
    fn info(&self) -> ProviderInfo {
        ProviderInfo::new("scratch", "this process")
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
        self.capabilities.check_upload(key, content.length(), options)?;
        let bytes = options.guard(content)?.collect(self.size_bytes_max).await?;
        let mut metadata = ObjectMetadata::new(key.clone(), bytes.len() as u64);
        metadata.attributes = options.attributes.clone();
        metadata.write_id = options.write_id;
        metadata.etag = Some(ETag::new(
            self.counter.fetch_add(1, Ordering::Relaxed).to_string(),
        ));
        let mut objects = self.objects();
        if options.precondition == Precondition::IfAbsent && objects.contains_key(key) {
            return Err(Error::new(ErrorKind::AlreadyExists, "there is an object").with_key(key));
        }
        objects.insert(
            key.clone(),
            Arc::new(Object {
                metadata: metadata.clone(),
                bytes,
            }),
        );
        Ok(metadata)
    }

    async fn download(&self, key: &StorageKey, options: &DownloadOptions) -> Result<DownloadOutcome> {
        self.capabilities.check_download(key, options)?;
        let object = self.object(key)?;
        let size = object.metadata.size_bytes;
        let range = options.range.map_or(Ok(0..size), |range| range.resolve(size))?;
        let place = |offset| usize::try_from(offset).expect("an offset into memory fits");
        let bytes = object.bytes.slice(place(range.start)..place(range.end));
        Ok(DownloadOutcome::Object(Download::from_bytes(
            object.metadata.clone(),
            range,
            bytes,
        )))
    }

    async fn metadata(&self, key: &StorageKey, _options: &CallOptions) -> Result<ObjectMetadata> {
        Ok(self.object(key)?.metadata.clone())
    }

    async fn delete(&self, key: &StorageKey, options: &DeleteOptions) -> Result<DeleteOutcome> {
        self.capabilities.check_delete(key, options)?;
        let removed = self.objects().remove(key);
        Ok(if removed.is_some() {
            DeleteOutcome::Existed
        } else {
            DeleteOutcome::Absent
        })
    }

    async fn list(&self, options: &ListOptions) -> Result<ListStream> {
        self.capabilities.check_list(options)?;
        let after = options.start_after.as_deref().unwrap_or_default();
        let entries: Vec<_> = self
            .objects()
            .values()
            .filter(|object| object.metadata.key.as_str().starts_with(&options.prefix))
            .filter(|object| object.metadata.key.as_str() > after)
            .take(options.limit.unwrap_or(usize::MAX))
            .map(|object| Ok(ListEntry::Object(Box::new(object.metadata.clone()))))
            .collect();
        Ok(Box::pin(futures_util::stream::iter(entries)))
    }

    async fn probe(&self, _options: &CallOptions) -> Result<()> {
        Ok(())
    }
}

impl ProviderFactory for ScratchProvider {
    const KIND: &'static str = "scratch";
    const SUMMARY: &'static str = "objects in memory, gone when the program ends";
    type Settings = ScratchSettings;

    fn open(_name: String, settings: ScratchSettings) -> BoxFuture<'static, Result<SharedProvider>> {
        Box::pin(async move { Ok(Arc::new(Self::new(&settings)) as SharedProvider) })
    }
}

register_provider!(ScratchProvider);
