//! The storage manager: artifacts by identity, on whichever provider the rules choose.
//!
//! Writing goes intent → validate → key → route → upload → record; `store.rs` has it in that order. The catalog
//! decides what exists; providers only hold bytes.

mod artifact;
mod attributes;
mod audited;
mod buffer;
mod fetch;
mod health;
mod inspect;
mod place;
mod quarantine;
mod quota;
mod read;
mod remove;
mod restore;
mod resumable;
mod store;
mod validation;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::audit::AuditTrail;
use crate::catalog::{Quota, SharedCatalog};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::layer::Stack;
use crate::metrics::{MetricsSource, StorageMetrics};
use crate::options::CallContext;
use crate::protection::ProtectionSettings;
use crate::provider::SharedProvider;
use crate::routing::{RouteExplanation, RouteQuery, Router};
use crate::settings::{ContentTypePattern, HealthSettings, RoutingRule};
use crate::template::KeyTemplate;
use crate::transfer::{DownloaderSettings, UploaderSettings};
use crate::validation::{InlinePolicy, Inspector};

use health::HealthBoard;

pub use artifact::{
    ArtifactLocator, ArtifactMetadata, ArtifactPage, ArtifactReference, DeletedArtifact, Deletion,
    DownloadUrl, NewArtifact, ReapReport,
};
pub use health::{CANARY_KEY_PREFIX, HealthOptions};
pub use quarantine::{QuarantinedContent, Rescan};
pub use read::OpenOptions;
pub use resumable::{ResumableOptions, StoreState};

/// The manager's failpoints, in the order in which a write and a delete pass them.
#[cfg(feature = "failpoints")]
pub const FAILPOINTS: &[&str] = &[
    "manager::store::begun",
    "manager::store::sent",
    "manager::store::diverting",
    "manager::store::diverted",
    "manager::store::committed",
    "manager::delete::tombstoned",
    "manager::delete::removed",
];

/// How a [`StorageManager`] works. Every field has a default but the default provider.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ManagerSettings {
    /// The provider of what no rule matches.
    pub default_provider: String,
    /// The rules; the first that matches wins.
    pub routing_rules: Vec<RoutingRule>,
    /// The providers that take a write, in this order, when the one that it is meant for cannot. A rule may have its
    /// own. None by default.
    pub fallback: Vec<String>,
    /// What is known of the protection of providers beyond what they declare, by name.
    pub protections: BTreeMap<String, ProtectionSettings>,
    /// The shape of keys.
    pub key_template: KeyTemplate,
    /// The greatest artifact in bytes; no limit by default.
    pub size_bytes_max: Option<u64>,
    /// The content types that are allowed, such as `image/*`; all if empty.
    pub content_types: Vec<ContentTypePattern>,
    /// The first segments of the keys of what is kept in quarantine. `quarantine` by default. No artifact gets a key that
    /// begins so while there is an inspector.
    pub quarantine_prefix: String,
    /// What the URLs of artifacts serve inline; what is not allowed is an attachment. Without a policy, the default,
    /// everything is served as it was stored.
    pub inline: Option<InlinePolicy>,
    /// How many bytes of a stream of unknown length may be held in memory to decide a size rule. 256 MiB by
    /// default; a rule that needs more is `InvalidInput` for such a stream.
    pub routing_buffer_bytes_max: u64,
    /// For how long a writer that says nothing keeps its intent; it is renewed three times in that span. 30 s by
    /// default.
    pub lease: Duration,
    /// For how long an interrupted upload that can be resumed keeps its intent. One day by default.
    pub resume_lease: Duration,
    /// For how long the bytes of a write that went elsewhere may still arrive at the provider that it was given up at:
    /// until then the cleanup leaves them. 10 minutes by default.
    pub cleanup_delay: Duration,
    /// For how long deleted artifacts can be restored. Zero by default: a deletion is final, and removes the bytes at
    /// once.
    pub keep_deleted: Duration,
    /// How much each tenant may store that has no quota of its own in the catalog. No limit by default.
    pub quota: Quota,
    /// How providers and catalog are watched.
    pub health: HealthSettings,
    /// How large content is sent.
    pub uploader: UploaderSettings,
    /// How large objects are read.
    pub downloader: DownloaderSettings,
}

impl ManagerSettings {
    /// Creates settings with a default provider and no rule.
    pub fn new(default_provider: impl Into<String>) -> Self {
        Self {
            default_provider: default_provider.into(),
            routing_rules: Vec::new(),
            fallback: Vec::new(),
            protections: BTreeMap::new(),
            key_template: KeyTemplate::default(),
            size_bytes_max: None,
            content_types: Vec::new(),
            quarantine_prefix: "quarantine".to_owned(),
            inline: None,
            routing_buffer_bytes_max: 256 << 20,
            lease: Duration::from_secs(30),
            resume_lease: Duration::from_hours(24),
            cleanup_delay: Duration::from_mins(10),
            keep_deleted: Duration::ZERO,
            quota: Quota::default(),
            health: HealthSettings::default(),
            uploader: UploaderSettings::default(),
            downloader: DownloaderSettings::default(),
        }
    }
}

/// Puts layers around a provider that is registered under a name.
pub type StackBuilder = Arc<dyn Fn(&str, SharedProvider) -> SharedProvider + Send + Sync>;

/// Stores, finds, opens and deletes artifacts. A clone is cheap and shares everything.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use boards_storage_core::{
///     ArtifactType, Content, ContentType, ManagerSettings, MemoryCatalog, NewArtifact, Result, SharedProvider,
///     StorageManager,
/// };
///
/// async fn main_job(provider: SharedProvider) -> Result<()> {
///     let manager = StorageManager::new(ManagerSettings::new("main"), Arc::new(MemoryCatalog::default()));
///     manager.register_provider("main", provider)?;
///     let artifact = NewArtifact::new(ArtifactType::Image).with_content_type(ContentType::parse("image/png")?);
///     let reference = manager.store_artifact(artifact, Content::from("not really a picture")).await?;
///     let download = manager.open_artifact(&reference, &Default::default()).await?;
///     assert_eq!(&download.bytes(1024).await?[..], b"not really a picture");
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct StorageManager {
    inner: Arc<Inner>,
    audit: Option<AuditTrail>,
    /// What holds for every call of this handle, as far as the call itself says nothing.
    context: Option<Arc<CallContext>>,
    metrics: Option<Arc<dyn MetricsSource>>,
    inspector: Option<Arc<Inspector>>,
}

struct Inner {
    settings: ManagerSettings,
    router: Router,
    catalog: SharedCatalog,
    clock: Arc<dyn Clock>,
    providers: RwLock<BTreeMap<String, SharedProvider>>,
    stack_builder: StackBuilder,
    health: Arc<HealthBoard>,
    /// The task that probes. Dropping it ends it.
    watch: Mutex<Option<JoinSet<()>>>,
}

impl StorageManager {
    /// Creates a manager without providers. Providers get no layers but the capability checks.
    #[must_use]
    pub fn new(settings: ManagerSettings, catalog: SharedCatalog) -> Self {
        Self::with_parts(
            settings,
            catalog,
            Arc::new(SystemClock),
            Arc::new(|name, provider| Arc::new(Stack::new(name, provider, Vec::new()))),
        )
    }

    /// Creates a manager with a clock of the caller's, which puts the layers of `stack_builder` around each provider.
    #[must_use]
    pub fn with_parts(
        settings: ManagerSettings,
        catalog: SharedCatalog,
        clock: Arc<dyn Clock>,
        stack_builder: StackBuilder,
    ) -> Self {
        let router = Router::new(settings.default_provider.clone(), settings.routing_rules.clone())
            .with_fallback(settings.fallback.clone());
        let providers = RwLock::default();
        let health = Arc::new(HealthBoard::new(settings.health.clone(), Arc::clone(&clock)));
        Self::around(Arc::new(Inner {
            settings,
            router,
            catalog,
            clock,
            providers,
            stack_builder,
            health,
            watch: Mutex::default(),
        }))
    }

    /// Returns a handle that adds nothing to its calls.
    fn around(inner: Arc<Inner>) -> Self {
        Self {
            inner,
            audit: None,
            context: None,
            metrics: None,
            inspector: None,
        }
    }

    /// Returns the manager with an audit log: from now on this handle and its clones record every artifact operation,
    /// each with exactly one event at its end. Handles that were cloned before do not.
    ///
    /// Those who use [`StorageManager::provider`] or [`StorageManager::catalog`] by themselves pass the log by.
    #[must_use]
    pub fn with_audit(mut self, trail: AuditTrail) -> Self {
        self.audit = Some(trail);
        self
    }

    /// Returns the audit log, if there is one.
    #[must_use]
    pub fn audit(&self) -> Option<&AuditTrail> {
        self.audit.as_ref()
    }

    /// Returns a handle whose calls are made in a context, as far as they do not say otherwise themselves: who acts,
    /// from where, within which request. Everything else is shared with this one.
    ///
    /// # Examples
    ///
    /// ```
    /// use boards_storage_core::{ArtifactReference, ArtifactType, CallContext, NewArtifact, Principal, Result, StorageManager};
    ///
    /// async fn store_for(user: &str, manager: &StorageManager) -> Result<ArtifactReference> {
    ///     let context = CallContext::default().with_principal(Principal::new(user)).with_request_id("req-1");
    ///     let manager = manager.with_context(context);
    ///     manager.store_artifact(NewArtifact::new(ArtifactType::Text), "hello").await
    /// }
    /// ```
    #[must_use]
    pub fn with_context(&self, context: CallContext) -> Self {
        let context = match &self.context {
            Some(outer) => context.or(outer),
            None => context,
        };
        Self {
            context: Some(Arc::new(context)),
            ..self.clone()
        }
    }

    /// Returns the manager with whoever counts its calls, for [`StorageManager::metrics`]. Handles that were cloned
    /// before have none.
    #[must_use]
    pub fn with_metrics_source(mut self, source: Arc<dyn MetricsSource>) -> Self {
        self.metrics = Some(source);
        self
    }

    /// Registers a provider under the name that rules and records call it by.
    ///
    /// # Errors
    ///
    /// `Configuration` if the name is taken: records refer to it, so it never changes its meaning.
    pub fn register_provider(&self, name: impl Into<String>, provider: SharedProvider) -> Result<()> {
        let name = name.into();
        let mut providers = self
            .inner
            .providers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if providers.contains_key(&name) {
            return Err(Error::configuration(format!(
                "a provider called '{name}' is registered already"
            )));
        }
        let stack = (self.inner.stack_builder)(&name, provider);
        providers.insert(name, stack);
        Ok(())
    }

    /// Returns a provider with its layers.
    ///
    /// # Errors
    ///
    /// `Configuration` that lists the registered names.
    pub fn provider(&self, name: &str) -> Result<SharedProvider> {
        let providers = self
            .inner
            .providers
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        providers.get(name).cloned().ok_or_else(|| {
            let names: Vec<_> = providers.keys().map(String::as_str).collect();
            let names = if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            };
            Error::configuration(format!("no provider is called '{name}'; registered: {names}"))
                .with_help("add it under storage.providers, or register it")
        })
    }

    /// Returns the names of the registered providers, in order.
    #[must_use]
    pub fn provider_names(&self) -> Vec<String> {
        self.inner
            .providers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .cloned()
            .collect()
    }

    /// Says where an artifact would go, and why. Nothing is stored.
    #[must_use]
    pub fn explain_route(&self, query: &RouteQuery) -> RouteExplanation {
        self.inner
            .router
            .explain(query, |provider| self.protection(provider).ok())
    }

    /// Returns the catalog.
    #[must_use]
    pub fn catalog(&self) -> &SharedCatalog {
        &self.inner.catalog
    }

    /// Returns what was done, how fast and how well since the manager was made, and what is stored now.
    ///
    /// Without a [`MetricsSource`] only `storage_utilization` is filled. It is counted anew each time, by a look at
    /// every version in the catalog: see [`Catalog::utilization`](crate::Catalog::utilization).
    ///
    /// # Errors
    ///
    /// What the catalog answers.
    ///
    /// # Examples
    ///
    /// ```
    /// # use boards_storage_core::{Result, StorageManager};
    /// async fn report(manager: &StorageManager) -> Result<()> {
    ///     for (key, stored) in manager.metrics().await?.storage_utilization {
    ///         println!("{} {} {}: {} bytes", key.provider, key.tenant, key.artifact_type, stored.bytes);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub async fn metrics(&self) -> Result<StorageMetrics> {
        let mut metrics = match &self.metrics {
            Some(source) => source.snapshot(),
            None => StorageMetrics::default(),
        };
        metrics.storage_utilization = self.inner.catalog.utilization().await?;
        Ok(metrics)
    }

    /// Returns the settings.
    #[must_use]
    pub fn settings(&self) -> &ManagerSettings {
        &self.inner.settings
    }

    /// Ends the watch over the health, and closes the audit log, every provider and the catalog.
    ///
    /// # Errors
    ///
    /// The first that could not be closed; the others are closed all the same.
    pub async fn close(&self) -> Result<()> {
        let providers: Vec<SharedProvider> = self
            .inner
            .providers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect();
        self.stop_health_monitor().await;
        // Before the catalog, which holds the log's head.
        let mut result = match &self.audit {
            Some(trail) => trail.close().await,
            None => Ok(()),
        };
        for provider in providers {
            result = result.and(provider.close().await);
        }
        result.and(self.inner.catalog.close().await)
    }
}

impl fmt::Debug for StorageManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageManager")
            .field("default_provider", &self.inner.settings.default_provider)
            .field("providers", &self.provider_names())
            .finish_non_exhaustive()
    }
}
