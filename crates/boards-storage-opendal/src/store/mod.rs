//! Any provider as an `object_store::ObjectStore`.

mod attributes;
mod error;
mod read;
mod upload;
mod write;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use boards_storage_core::{
    Capability, DeleteOptions, ListEntry, ListOptions, ObjectMetadata, SharedProvider, StorageKey,
};
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

pub(crate) use attributes::{from_native, to_native};
use error::{translate, wrong_path};

/// How many deletes run at a time where the provider takes one key in a call.
const DELETES_AT_A_TIME: usize = 16;
/// The most keys of one call that deletes many.
const KEYS_OF_ONE_DELETE: usize = 1_000;

/// A provider as an `object_store::ObjectStore`.
///
/// Give it a [`Stack`](boards_storage_core::Stack) to keep its layers (retries, limits, traces) under whatever reads.
/// Keys and paths are the same text. Conditions are decided by the provider or refused with `NotImplemented`, never
/// looked at before; a copy that the provider cannot do goes through this program, in constant memory.
///
/// # Examples
///
/// ```
/// use boards_storage_local::{LocalProvider, LocalSettings};
/// use boards_storage_opendal::ProviderStore;
/// use object_store::ObjectStoreExt as _;
/// use object_store::path::Path;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let provider = LocalProvider::open("local", LocalSettings::new(folder.path())).await?;
/// let store = ProviderStore::new(std::sync::Arc::new(provider));
/// store.put(&Path::from("greetings/hello.txt"), "hello".into()).await?;
/// assert_eq!(store.get(&Path::from("greetings/hello.txt")).await?.bytes().await?, "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ProviderStore {
    provider: SharedProvider,
    part_bytes: u64,
}

impl ProviderStore {
    /// Wraps a provider.
    #[must_use]
    pub fn new(provider: SharedProvider) -> Self {
        Self {
            provider,
            part_bytes: upload::PART_BYTES,
        }
    }

    /// Sets the size in bytes of the parts that uploads in parts are sent in, whatever the size of what is put: 8 MiB
    /// by default. The provider's own rules come first, and later parts of long uploads are larger.
    #[must_use]
    pub fn with_part_size(mut self, bytes: u64) -> Self {
        self.part_bytes = bytes.max(1);
        self
    }

    fn has(&self, capability: Capability) -> bool {
        self.provider.capabilities().has(capability)
    }

    /// Lists objects and folders below a folder.
    async fn listed(&self, options: ListOptions) -> Result<BoxStream<'static, Result<ListEntry>>> {
        let entries = self.provider.list(&options).await;
        let entries = entries.map_err(|error| translate(error, &options.prefix))?;
        Ok(entries
            .map_err(move |error| translate(error, &options.prefix))
            .boxed())
    }

    fn objects(&self, options: ListOptions) -> BoxStream<'static, Result<ObjectMeta>> {
        let store = self.clone();
        let begun = async move { store.listed(options).await };
        stream::once(begun)
            .try_flatten()
            .try_filter_map(|entry| {
                std::future::ready(match entry {
                    ListEntry::Object(metadata) => object_meta(&metadata).map(Some),
                    ListEntry::Prefix(_) => Ok(None),
                })
            })
            .boxed()
    }
}

/// Every key below a folder begins so.
fn folder(prefix: Option<&Path>) -> String {
    match prefix.map_or("", AsRef::as_ref) {
        "" => String::new(),
        folder => format!("{folder}/"),
    }
}

fn key_of(location: &Path) -> Result<StorageKey> {
    StorageKey::parse(location.as_ref()).map_err(|source| wrong_path(source, location))
}

/// Says in `object_store`'s words what is known of an object. A store that does not say when it was written gives the
/// beginning of 1970.
fn object_meta(metadata: &ObjectMetadata) -> Result<ObjectMeta> {
    let modified = metadata.modified.or(metadata.created).unwrap_or_default();
    let nanoseconds = u32::try_from(modified.subsec_nanosecond()).unwrap_or_default();
    Ok(ObjectMeta {
        location: Path::parse(metadata.key.as_str())?,
        last_modified: DateTime::<Utc>::from_timestamp(modified.as_second(), nanoseconds).unwrap_or_default(),
        size: metadata.size_bytes,
        e_tag: metadata.etag.as_ref().map(|tag| format!("\"{tag}\"")),
        version: metadata.version.clone(),
    })
}

impl fmt::Display for ProviderStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.provider.info();
        write!(f, "boards-storage({}, {})", info.kind, info.location)
    }
}

#[async_trait]
impl ObjectStore for ProviderStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.put_whole(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.begin_upload(location, opts)
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.read(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let provider = Arc::clone(&self.provider);
        if !self.has(Capability::DeleteMany) {
            return locations
                .map(move |location| {
                    let provider = Arc::clone(&provider);
                    async move {
                        let location = location?;
                        let deleted = provider
                            .delete(&key_of(&location)?, &DeleteOptions::default())
                            .await;
                        deleted.map_err(|error| translate(error, location.as_ref()))?;
                        Ok(location)
                    }
                })
                .buffered(DELETES_AT_A_TIME)
                .boxed();
        }
        let most = provider
            .capabilities()
            .delete_many_max
            .unwrap_or(KEYS_OF_ONE_DELETE);
        locations
            .ready_chunks(most.clamp(1, KEYS_OF_ONE_DELETE))
            .then(move |locations| {
                let provider = Arc::clone(&provider);
                async move { stream::iter(delete_many(&provider, locations).await) }
            })
            .flatten()
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects(ListOptions::default().with_prefix(folder(prefix)))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let options = ListOptions::default().with_prefix(folder(prefix));
        if self.has(Capability::ListStartAfter) && !offset.as_ref().is_empty() {
            return self.objects(options.with_start_after(offset.as_ref()));
        }
        let offset = offset.clone();
        let is_behind = move |object: &ObjectMeta| std::future::ready(object.location > offset);
        self.objects(options).try_filter(is_behind).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let folder = folder(prefix);
        let mut options = ListOptions::default().with_prefix(folder.as_str());
        if self.has(Capability::ListDelimiter) {
            options = options.with_delimiter("/");
        }
        let mut entries = self.listed(options).await?;
        let (mut common_prefixes, mut objects) = (Vec::<Path>::new(), Vec::new());
        while let Some(entry) = entries.try_next().await? {
            let below = entry.name().get(folder.len()..).unwrap_or_default();
            match (below.split_once('/'), &entry) {
                (None, ListEntry::Object(metadata)) => objects.push(object_meta(metadata)?),
                (None, ListEntry::Prefix(_)) => {}
                (Some((name, _)), _) => {
                    let common = Path::parse(format!("{folder}{name}"))?;
                    if common_prefixes.last() != Some(&common) {
                        common_prefixes.push(common);
                    }
                }
            }
        }
        Ok(ListResult {
            common_prefixes,
            objects,
            extensions: object_store::Extensions::default(),
        })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.copy_object(from, to, options.mode).await
    }
}

/// Deletes in one call; each location has its own outcome.
async fn delete_many(provider: &SharedProvider, locations: Vec<Result<Path>>) -> Vec<Result<Path>> {
    let mut outcomes = Vec::with_capacity(locations.len());
    let (mut keys, mut places) = (Vec::new(), Vec::new());
    for location in locations {
        let parsed = location.and_then(|location| Ok((key_of(&location)?, location)));
        if let Ok((key, _)) = &parsed {
            keys.push(key.clone());
            places.push(outcomes.len());
        }
        outcomes.push(parsed.map(|(_, location)| location));
    }
    if keys.is_empty() {
        return outcomes;
    }
    match provider.delete_many(&keys, &DeleteOptions::default()).await {
        Ok(deleted) => {
            for (place, deleted) in places.into_iter().zip(deleted) {
                if let Err(error) = deleted.outcome {
                    outcomes[place] = Err(translate(error, deleted.key.as_str()));
                }
            }
        }
        Err(error) => {
            let message = error.to_string();
            let mut first = Some(translate(error, keys[0].as_str()));
            for place in places {
                let again = || object_store::Error::Generic {
                    store: error::STORE,
                    source: message.clone().into(),
                };
                outcomes[place] = Err(first.take().unwrap_or_else(again));
            }
        }
    }
    outcomes
}
