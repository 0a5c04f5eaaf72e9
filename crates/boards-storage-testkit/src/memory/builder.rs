//! How a memory provider is opened: by settings, or by a builder in tests.

use std::num::NonZeroUsize;
use std::sync::Arc;

use boards_storage_core::{
    BoxFuture, Capabilities, Capability, Clock, KeyRules, OperationKind, PartRules, PreconditionKind,
    Protection, ProviderFactory, Reach, Result, SharedProvider, SystemClock, register_provider,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::provider::MemoryProvider;
use super::store::Store;

/// The `config` block of a provider of the type `memory`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MemorySettings {
    /// The URL under which something outside serves the objects. Without it there are no public URLs.
    #[serde(default)]
    pub public_url_base: Option<String>,
    /// How many states of an object are kept, the present one included; 16 by default, at least 1.
    #[serde(default = "versions_max")]
    pub versions_max: NonZeroUsize,
}

fn versions_max() -> NonZeroUsize {
    NonZeroUsize::new(16).expect("16 is not 0")
}

const PRESIGN: &[Capability] = &[
    Capability::PresignedUpload,
    Capability::PresignedPost,
    Capability::PresignedLengthMax,
    Capability::PresignedDownload,
    Capability::PresignedPart,
];

struct Memory;

impl ProviderFactory for Memory {
    const KIND: &'static str = "memory";
    const SUMMARY: &'static str = "objects in the memory of this process, gone when it ends; for tests";
    type Settings = MemorySettings;

    /// Opens a store that signs no requests: whoever opens it by settings has no way to send them.
    fn open(name: String, settings: MemorySettings) -> BoxFuture<'static, Result<SharedProvider>> {
        Box::pin(async move {
            let builder = MemoryProvider::builder()
                .name(name)
                .versions_max(settings.versions_max)
                .without(PRESIGN);
            let builder = builder.protection(Self::protection(&settings));
            let builder = match settings.public_url_base {
                Some(base_url) => builder.base_url(base_url),
                None => builder.without(&[Capability::PublicUrl]),
            };
            Ok(builder.build() as SharedProvider)
        })
    }

    /// What something outside serves is public; else nobody but this process reaches it.
    fn protection(settings: &MemorySettings) -> Protection {
        Protection::new(match settings.public_url_base {
            Some(_) => Reach::Public,
            None => Reach::Private,
        })
    }
}

register_provider!(Memory);

/// Builds a [`MemoryProvider`] that can do less than everything.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{Capability, StorageProvider};
/// use boards_storage_testkit::MemoryProvider;
///
/// let memory = MemoryProvider::builder().without(&[Capability::Copy]).build();
/// assert!(!memory.capabilities().has(Capability::Copy));
/// assert!(memory.capabilities().has(Capability::Range));
/// ```
#[derive(Debug)]
pub struct MemoryBuilder {
    name: String,
    base_url: String,
    capabilities: Capabilities,
    clock: Arc<dyn Clock>,
    versions_max: NonZeroUsize,
}

impl Default for MemoryBuilder {
    fn default() -> Self {
        let mut capabilities = Capabilities::default()
            .with(Capability::ALL)
            // It keeps a checksum of the whole alone.
            .without(&[Capability::VerifiedRange])
            .with_part_rules(PartRules::any());
        for (operation, precondition) in PRECONDITIONS {
            capabilities = capabilities.with_precondition(*operation, *precondition);
        }
        capabilities.delete_many_max = Some(1000);
        Self {
            name: "memory".to_owned(),
            base_url: "http://memory.invalid".to_owned(),
            capabilities,
            clock: Arc::new(SystemClock),
            versions_max: versions_max(),
        }
    }
}

/// Everything that makes sense: a delete or a change of attributes cannot ask that there is no object, and one tag
/// cannot fit many keys.
const PRECONDITIONS: &[(OperationKind, PreconditionKind)] = &[
    (OperationKind::Upload, PreconditionKind::IfAbsent),
    (OperationKind::Upload, PreconditionKind::IfMatch),
    (OperationKind::Copy, PreconditionKind::IfAbsent),
    (OperationKind::Copy, PreconditionKind::IfMatch),
    (OperationKind::Delete, PreconditionKind::IfMatch),
    (OperationKind::SetMetadata, PreconditionKind::IfMatch),
    (OperationKind::CompleteUpload, PreconditionKind::IfAbsent),
    (OperationKind::CompleteUpload, PreconditionKind::IfMatch),
    (OperationKind::PresignedUploadUrl, PreconditionKind::IfAbsent),
    (OperationKind::PresignedUploadUrl, PreconditionKind::IfMatch),
];

impl MemoryBuilder {
    /// Names the store in [`ProviderInfo`](boards_storage_core::ProviderInfo).
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the URL that public URLs and signed requests begin with; `http://memory.invalid` by default.
    #[must_use]
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = base_url.into();
        self
    }

    /// Takes capabilities away: what needs them is refused with `Unsupported`.
    #[must_use]
    pub fn without(mut self, capabilities: &[Capability]) -> Self {
        self.capabilities = self.capabilities.without(capabilities);
        self
    }

    /// Takes one precondition away.
    #[must_use]
    pub fn without_precondition(mut self, operation: OperationKind, precondition: PreconditionKind) -> Self {
        self.capabilities = self.capabilities.without_precondition(operation, precondition);
        self
    }

    /// Takes all preconditions away.
    #[must_use]
    pub fn without_preconditions(self) -> Self {
        PRECONDITIONS.iter().fold(self, |builder, (operation, kind)| {
            builder.without_precondition(*operation, *kind)
        })
    }

    /// Sets the rules for parts; any order and size by default.
    #[must_use]
    pub fn part_rules(mut self, rules: PartRules) -> Self {
        self.capabilities = self.capabilities.with_part_rules(rules);
        self
    }

    /// Sets what is accepted as a key; everything by default.
    #[must_use]
    pub fn key_rules(mut self, rules: KeyRules) -> Self {
        self.capabilities = self.capabilities.with_key_rules(rules);
        self
    }

    /// Says how the objects are protected; nothing is said by default.
    #[must_use]
    pub fn protection(mut self, protection: Protection) -> Self {
        self.capabilities = self.capabilities.with_protection(protection);
        self
    }

    /// Sets the greatest object in bytes; more is `Rejected`. There is no limit by default.
    #[must_use]
    pub fn object_size_bytes_max(mut self, max: u64) -> Self {
        self.capabilities.object_size_bytes_max = Some(max);
        self
    }

    /// Sets where the times of objects and signatures come from; the machine's clock by default.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets how many states of an object are kept, the present one included; 16 by default.
    #[must_use]
    pub fn versions_max(mut self, versions_max: NonZeroUsize) -> Self {
        self.versions_max = versions_max;
        self
    }

    /// Opens the empty store.
    #[must_use]
    pub fn build(self) -> Arc<MemoryProvider> {
        let versions_max = if self.capabilities.has(Capability::ReadVersion) {
            self.versions_max.get()
        } else {
            1
        };
        let is_file_or_folder = self.capabilities.key_rules.file_or_folder;
        let store = Store::new(self.clock, rand::random(), versions_max, is_file_or_folder);
        Arc::new(MemoryProvider::open(
            self.name,
            self.base_url,
            self.capabilities,
            store,
        ))
    }
}
