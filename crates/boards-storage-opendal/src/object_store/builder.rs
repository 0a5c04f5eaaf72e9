//! From a store to a provider. `ObjectStore` says nothing of what a store can do, so it is known here of some stores
//! by their name, and of the others whoever builds the provider declares it.

use std::collections::BTreeSet;
use std::sync::Arc;

use boards_storage_core::{
    Capabilities, Capability, Error, KeyRules, OperationKind, PreconditionKind, Result, StorageKey,
};
use object_store::ObjectStore;

use super::provider::ObjectStoreProvider;

/// The size of a part of an upload, where nothing else is said.
const PART_BYTES: u64 = 8 << 20;
/// The most bytes of a conditional upload, which is held in memory, where nothing else is said.
const CONDITIONAL_BYTES_MAX: u64 = 64 << 20;

const ATTRIBUTES: &[Capability] = &[
    Capability::ContentType,
    Capability::ContentDisposition,
    Capability::ContentEncoding,
    Capability::ContentLanguage,
    Capability::CacheControl,
    Capability::UserMetadata,
    Capability::Digest,
    Capability::WriteId,
];

/// Describes an [`ObjectStoreProvider`].
///
/// Known by their names are `InMemory`, `LocalFileSystem`, `AmazonS3`, `GoogleCloudStorage` and `MicrosoftAzure`. Of
/// any other store, and of one in a wrapper, nothing is taken for granted beyond reading, conditions of reads, whole
/// writes and deletes, which `ObjectStore` itself promises. Conditions of writes are the server's affair, so that those
/// of the cloud stores are off until [`with_precondition`](Self::with_precondition) says that the server decides them.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use boards_storage_core::{Capability, StorageProvider};
/// use boards_storage_opendal::ObjectStoreProvider;
/// use object_store::memory::InMemory;
///
/// # fn main() -> boards_storage_core::Result<()> {
/// let provider = ObjectStoreProvider::builder(Arc::new(InMemory::new())).with_prefix("artifacts").build()?;
/// assert!(provider.capabilities().has(Capability::UserMetadata));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ObjectStoreBuilder {
    store: Arc<dyn ObjectStore>,
    name: Arc<str>,
    prefix: String,
    declared: Declared,
    part_bytes: u64,
    conditional_bytes_max: u64,
}

/// What the store does beyond what every `ObjectStore` must.
#[derive(Clone, Debug, Default)]
struct Declared {
    preconditions: BTreeSet<PreconditionKind>,
    copy_if_absent: bool,
    copy: bool,
    list: bool,
    attributes: bool,
    file_or_folder: bool,
}

impl Declared {
    /// What is known of a store by its name.
    fn of(store: &dyn ObjectStore) -> Self {
        use PreconditionKind::{IfAbsent, IfMatch};
        let name = store.to_string();
        let is = |known: &str| name == known || name.starts_with(&format!("{known}("));
        let cloud = Self {
            list: true,
            attributes: true,
            ..Self::default()
        };
        if is("InMemory") {
            Self {
                preconditions: [IfAbsent, IfMatch].into(),
                ..cloud
            }
        } else if ["AmazonS3", "GoogleCloudStorage", "MicrosoftAzure"]
            .into_iter()
            .any(is)
        {
            // Whether conditions are decided is a matter of the server: an emulator that ignores them would overwrite.
            cloud
        } else if is("LocalFileSystem") {
            Self {
                preconditions: [IfAbsent].into(),
                copy: true,
                copy_if_absent: true,
                file_or_folder: true,
                ..Self::default()
            }
        } else {
            Self::default()
        }
    }
}

impl ObjectStoreBuilder {
    pub(super) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            declared: Declared::of(&*store),
            store,
            name: Arc::from("object_store"),
            prefix: String::new(),
            part_bytes: PART_BYTES,
            conditional_bytes_max: CONDITIONAL_BYTES_MAX,
        }
    }

    /// Sets how errors call the provider; `object_store` by default.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Keeps all objects below this folder of the store.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Declares that the store's puts decide a precondition atomically: `PutMode::Create` for `IfAbsent`,
    /// `PutMode::Update` for `IfMatch`. If they don't, two writers may both be the first.
    #[must_use]
    pub fn with_precondition(mut self, precondition: PreconditionKind) -> Self {
        self.declared.preconditions.insert(precondition);
        self
    }

    /// Takes back what is known of the store's puts, for a server that ignores conditions.
    #[must_use]
    pub fn without_preconditions(mut self) -> Self {
        self.declared.preconditions.clear();
        self.declared.copy_if_absent = false;
        self
    }

    /// Declares that the store copies objects, and that the copy shares nothing with its source that a later write
    /// could change. It counts only where no attributes are kept: a copy would carry its source's write id.
    #[must_use]
    pub fn with_copy(mut self) -> Self {
        self.declared.copy = true;
        self
    }

    /// Declares that listings come in byte order. A listing that doesn't ends with an error.
    #[must_use]
    pub fn with_ordered_list(mut self) -> Self {
        self.declared.list = true;
        self
    }

    /// Declares that the store keeps attributes, user metadata among them.
    #[must_use]
    pub fn with_attributes(mut self) -> Self {
        self.declared.attributes = true;
        self
    }

    /// Sets the size in bytes of the parts in which larger content is sent: 8 MiB by default, 5 MiB to 5 GiB. Where
    /// the length is known, it grows so that 10,000 parts suffice.
    #[must_use]
    pub fn with_part_size(mut self, bytes: u64) -> Self {
        self.part_bytes = bytes;
        self
    }

    /// Sets the greatest content in bytes of a conditional upload, which `object_store` takes only in one piece: 64 MiB
    /// by default. It is held in memory.
    #[must_use]
    pub fn with_conditional_max(mut self, bytes: u64) -> Self {
        self.conditional_bytes_max = bytes;
        self
    }

    /// Builds the provider.
    ///
    /// # Errors
    ///
    /// `Configuration` if the prefix or the part size is out of bounds.
    pub fn build(self) -> Result<ObjectStoreProvider> {
        let name = Arc::clone(&self.name);
        self.build_unnamed().map_err(|error| error.with_provider(name))
    }

    fn build_unnamed(self) -> Result<ObjectStoreProvider> {
        if !(5 << 20..=5 << 30).contains(&self.part_bytes) {
            return Err(Error::configuration(format!(
                "the part size must be 5 MiB to 5 GiB, got {} bytes",
                self.part_bytes
            )));
        }
        let prefix = match self.prefix.trim_end_matches('/') {
            "" => String::new(),
            prefix => {
                let wrong = |source| {
                    Error::configuration(format!(
                        "the prefix must be a folder such as 'a/b', got {prefix:?}"
                    ))
                    .with_source(source)
                };
                format!("{}/", StorageKey::parse(prefix).map_err(wrong)?)
            }
        };
        // There must be room for keys.
        if prefix.len() > StorageKey::BYTES_MAX / 2 {
            return Err(Error::configuration("the prefix must have at most 512 bytes"));
        }
        Ok(ObjectStoreProvider {
            name: self.name,
            capabilities: capabilities(&self.declared, prefix.len()),
            prefix: prefix.into(),
            is_s3: self.store.to_string().starts_with("AmazonS3("),
            part_bytes: self.part_bytes,
            conditional_bytes_max: self.conditional_bytes_max,
            store: self.store,
        })
    }
}

fn capabilities(declared: &Declared, prefix_bytes: usize) -> Capabilities {
    let mut key_rules = KeyRules::default();
    key_rules.bytes_max -= prefix_bytes;
    if declared.file_or_folder {
        // The store appends `#` and a number while a file is written.
        key_rules.segment_bytes_max = Some(240);
        key_rules.file_or_folder = true;
    }
    let mut capabilities = Capabilities::default()
        .with(&[
            Capability::Range,
            Capability::ConditionalDownload,
            Capability::StreamingUpload,
        ])
        .with_reason(Capability::Copy, NO_COPY)
        .with_reason(Capability::List, NO_LIST)
        .with_reason(Capability::Multipart, NO_PARTS)
        .with_key_rules(key_rules);
    if declared.list {
        capabilities = capabilities.with(&[
            Capability::List,
            Capability::ListDelimiter,
            Capability::ListStartAfter,
        ]);
    }
    let copies = declared.copy && !declared.attributes;
    if copies {
        capabilities = capabilities.with(&[Capability::Copy]);
    }
    if declared.attributes {
        capabilities = capabilities.with(ATTRIBUTES);
    }
    for kind in &declared.preconditions {
        capabilities = capabilities.with_precondition(OperationKind::Upload, *kind);
    }
    if copies && declared.copy_if_absent {
        capabilities = capabilities.with_precondition(OperationKind::Copy, PreconditionKind::IfAbsent);
    }
    capabilities
}

/// The note of the write id is user metadata, which a store copies as it is.
const NO_COPY: &str = "the copy would carry the write id of its source; download and upload instead";
const NO_LIST: &str = "it is not known in which order the store lists: declare it (with_ordered_list)";
const NO_PARTS: &str =
    "object_store cannot say which parts of an upload a store has; upload the whole as a stream";

#[cfg(test)]
mod tests {
    use boards_storage_core::{ErrorKind, StorageProvider as _};
    use object_store::memory::InMemory;
    use object_store::prefix::PrefixStore;

    use super::*;

    #[test]
    fn nothing_is_taken_for_granted_of_an_unknown_store() {
        let wrapped = PrefixStore::new(InMemory::new(), "a");
        let builder = || ObjectStoreProvider::builder(Arc::new(PrefixStore::new(InMemory::new(), "a")));
        let provider = ObjectStoreProvider::builder(Arc::new(wrapped))
            .build()
            .expect("built");
        let capabilities = provider.capabilities();
        for absent in [Capability::List, Capability::Copy, Capability::UserMetadata] {
            assert!(!capabilities.has(absent), "{absent}");
        }
        assert_eq!(capabilities.preconditions().count(), 0);
        let copying = builder().with_copy().build().expect("built");
        assert!(copying.capabilities().has(Capability::Copy));
        let declared = builder().with_ordered_list().with_copy().with_attributes();
        let declared = declared
            .with_precondition(PreconditionKind::IfAbsent)
            .build()
            .expect("built");
        assert!(declared.capabilities().has(Capability::List));
        // A copy would carry its source's write id.
        assert!(!declared.capabilities().has(Capability::Copy));
        assert_eq!(declared.capabilities().preconditions().count(), 1);
    }

    #[test]
    fn conditions_of_a_cloud_store_are_its_servers_affair() {
        let store = object_store::aws::AmazonS3Builder::new()
            .with_bucket_name("media")
            .build();
        let store = Arc::new(store.expect("built"));
        let builder = || ObjectStoreProvider::builder(Arc::clone(&store) as _);
        let provider = builder().build().expect("built");
        assert!(provider.capabilities().has(Capability::UserMetadata));
        assert_eq!(provider.capabilities().preconditions().count(), 0);
        let declared = builder().with_precondition(PreconditionKind::IfAbsent).build();
        let declared = declared.expect("built");
        assert_eq!(declared.capabilities().preconditions().count(), 1);
    }

    #[test]
    fn limits_hold_at_their_edges() {
        let builder = || ObjectStoreProvider::builder(Arc::new(InMemory::new()));
        assert!(builder().with_part_size(5 << 20).build().is_ok());
        for wrong in [
            builder().with_part_size((5 << 20) - 1),
            builder().with_part_size((5 << 30) + 1),
            builder().with_prefix("../a"),
            builder().with_prefix("x".repeat(513)),
        ] {
            assert_eq!(
                wrong.build().expect_err("refused").kind(),
                ErrorKind::Configuration
            );
        }
    }
}
