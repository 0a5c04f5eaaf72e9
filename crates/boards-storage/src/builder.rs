//! From settings to a manager: opens the catalog and the providers, and picks the layers and their order.

use std::path::PathBuf;
use std::sync::Arc;

use boards_storage_core::{
    AuditOptions, AuditTrail, CatalogSettings, Error, ManagerSettings, MemoryCatalog, ProviderSettings,
    Registry, ResilienceSettings, Result, Secret, SharedAuditSink, SharedCatalog, SharedProvider,
    SharedScanner, StackBuilder, StorageManager, StorageSettings, SystemClock, ValidationSettings,
};
use boards_storage_layers::Metrics;

use crate::audit::open_sink;
use crate::order::{DefaultLayers, default_layers};
use crate::validation::inspector;

/// Where an application begins.
///
/// # Examples
///
/// See [`Storage::builder`].
#[derive(Clone, Copy, Debug)]
pub struct Storage;

impl Storage {
    /// Begins to describe a storage.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(all(feature = "local", feature = "sqlite"))]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> boards_storage::Result<()> {
    /// use boards_storage::prelude::*;
    ///
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let path = folder.path().join("data");
    /// let storage = Storage::builder().local(path).open().await?;
    /// let reference = storage.store_artifact(NewArtifact::new(ArtifactType::Text), "hello").await?;
    /// assert_eq!(reference.size, 5);
    /// # Ok(())
    /// # }
    /// # #[cfg(not(all(feature = "local", feature = "sqlite")))]
    /// # fn main() {}
    /// ```
    #[must_use]
    pub fn builder() -> StorageBuilder {
        StorageBuilder::default()
    }

    /// Returns the provider types of this program: those compiled in, and what to do for the official others.
    ///
    /// # Errors
    ///
    /// `Configuration` if two crates register one name.
    pub fn registry() -> Result<Registry> {
        let mut registry = Registry::compiled_in()?;
        for (kind, how) in OFFICIAL {
            registry.announce(kind, how);
        }
        Ok(registry)
    }
}

/// The provider types of this project, and how a program gets them.
const OFFICIAL: [(&str, &str); 5] = [
    ("local", "enable the Cargo feature 'local' of boards-storage"),
    ("s3", "enable the Cargo feature 's3' of boards-storage"),
    ("gcs", "enable the Cargo feature 'gcs' of boards-storage"),
    (
        "opendal",
        "enable the Cargo feature 'opendal' of boards-storage, and the service's feature of opendal",
    ),
    (
        "supabase",
        "enable the Cargo feature 'supabase' of boards-storage",
    ),
];

/// Describes a storage: settings, and what the program adds to them.
#[derive(Debug, Default)]
pub struct StorageBuilder {
    settings: Option<StorageSettings>,
    registry: Option<Registry>,
    catalog: Option<SharedCatalog>,
    providers: Vec<(String, SharedProvider)>,
    local: Option<PathBuf>,
    default_provider: Option<String>,
    health: Watch,
    audit: Option<SharedAuditSink>,
    audit_options: Option<AuditOptions>,
    validation: Option<ValidationSettings>,
    scanner: Option<SharedScanner>,
}

/// Whether the storage watches its health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Watch {
    #[default]
    Off,
    On,
}

/// What becomes of a provider that cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unopened {
    /// It fails the start.
    Fails,
    /// It is left out, and told.
    IsTold,
}

impl StorageBuilder {
    /// Takes providers, rules, limits and the catalog from settings.
    #[must_use]
    pub fn settings(mut self, settings: StorageSettings) -> Self {
        self.settings = Some(settings);
        self
    }

    /// Takes the embedded default: objects under `path/objects`, records in `path/catalog.db`.
    #[must_use]
    pub fn local(mut self, path: impl Into<PathBuf>) -> Self {
        self.local = Some(path.into());
        self
    }

    /// Adds a provider under a name. The first one added is the default where no settings name another.
    #[must_use]
    pub fn provider(mut self, name: impl Into<String>, provider: SharedProvider) -> Self {
        self.providers.push((name.into(), provider));
        self
    }

    /// Names the provider of what no rule matches.
    #[must_use]
    pub fn default_provider(mut self, name: impl Into<String>) -> Self {
        self.default_provider = Some(name.into());
        self
    }

    /// Uses a catalog instead of the one that the settings describe.
    #[must_use]
    pub fn catalog(mut self, catalog: SharedCatalog) -> Self {
        self.catalog = Some(catalog);
        self
    }

    /// Keeps audit events in a sink instead of the one that the settings describe. Without settings there is no audit
    /// log but this one.
    #[must_use]
    pub fn audit(mut self, sink: SharedAuditSink) -> Self {
        self.audit = Some(sink);
        self
    }

    /// Sets what happens while the audit log does not work, and what is recorded, instead of what the settings say.
    #[must_use]
    pub fn audit_options(mut self, options: AuditOptions) -> Self {
        self.audit_options = Some(options);
        self
    }

    /// Sets what content must be, instead of what the settings say. Without both, the default policy holds:
    /// [`ValidationSettings::off`] checks nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use boards_storage::{RefusedContent, Storage, StorageBuilder, ValidationSettings};
    ///
    /// fn keeping(builder: StorageBuilder) -> StorageBuilder {
    ///     builder.validation(ValidationSettings::default().with_on_mismatch(RefusedContent::Quarantine))
    /// }
    /// # let _ = keeping(Storage::builder());
    /// ```
    #[must_use]
    pub fn validation(mut self, validation: ValidationSettings) -> Self {
        self.validation = Some(validation);
        self
    }

    /// Uses a scanner for malware instead of the one that the settings describe. What is done with its answers is in the
    /// settings.
    #[must_use]
    pub fn scanner(mut self, scanner: SharedScanner) -> Self {
        self.scanner = Some(scanner);
        self
    }

    /// Uses these provider types instead of those compiled in.
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Watches the health of the providers and of the catalog in the background, as the settings' `health` says, until
    /// the storage is closed or dropped. For applications that run long.
    #[must_use]
    pub fn health_monitor(mut self) -> Self {
        self.health = Watch::On;
        self
    }

    /// Opens the catalog and every provider.
    ///
    /// A provider that cannot be opened fails the start; none is skipped, none takes another's place.
    ///
    /// # Errors
    ///
    /// `Configuration` that names the provider and the field, or a route whose providers do not fit; what the catalog
    /// and the providers answer.
    pub async fn open(self) -> Result<StorageManager> {
        let watch = self.health;
        let (manager, _) = self.open_as(Unopened::Fails).await?;
        manager.check_routes()?;
        if watch == Watch::On {
            manager.start_health_monitor();
        }
        Ok(manager)
    }

    /// Opens the catalog and those providers that can be opened, to look at a storage that is not well. The others are
    /// returned by name, each with its error; routes that name them find no provider.
    ///
    /// # Errors
    ///
    /// As [`StorageBuilder::open`], but for the providers.
    pub async fn open_available(self) -> Result<(StorageManager, Vec<(String, Error)>)> {
        self.open_as(Unopened::IsTold).await
    }

    async fn open_as(self, unopened: Unopened) -> Result<(StorageManager, Vec<(String, Error)>)> {
        let registry = match self.registry {
            Some(registry) => registry,
            None => Storage::registry()?,
        };
        let mut to_open: Vec<ProviderSettings> = Vec::new();
        if let Some(path) = &self.local {
            let config = serde_json::json!({ "base_path": path.join("objects") });
            to_open.push(ProviderSettings::new("local", "local", config));
        }
        if let Some(settings) = &self.settings {
            to_open.extend(settings.providers.values().cloned());
        }
        let first = to_open.first().map(|provider| provider.name.clone());
        let first = first.or_else(|| self.providers.first().map(|(name, _)| name.clone()));
        let default_provider = self
            .default_provider
            .or_else(|| {
                self.settings
                    .as_ref()
                    .map(|settings| settings.default_provider.clone())
            })
            .or(first)
            .ok_or_else(|| {
                Error::configuration("a storage needs a provider")
                    .with_help("give settings, a local path or a provider to the builder")
            })?;
        let opened = match self.catalog {
            Some(catalog) => Opened::given(catalog),
            None => open_catalog(self.settings.as_ref(), self.local).await?,
        };
        let sink = match (self.audit, &self.settings) {
            (Some(sink), _) => Some(sink),
            (None, Some(settings)) => open_sink(settings, &opened).await?,
            (None, None) => None,
        };
        let audit_options = self
            .audit_options
            .or_else(|| self.settings.as_ref().map(|settings| settings.audit.options()))
            .unwrap_or_default();
        let validation = self
            .validation
            .or_else(|| self.settings.as_ref().map(|settings| settings.validation.clone()))
            .unwrap_or_default();
        let inspector = inspector(&validation, self.scanner)?;
        let mut manager_settings = manager_settings(default_provider, self.settings.as_ref());
        manager_settings
            .quarantine_prefix
            .clone_from(&validation.quarantine_prefix);
        manager_settings.inline = validation.enabled.then(|| validation.inline_policy());
        let has_metrics = self
            .settings
            .as_ref()
            .is_none_or(|settings| settings.metrics.enabled);
        let metrics = has_metrics.then(Metrics::default);
        let encryption = Encryption::open(self.settings.as_ref()).await?;
        let stacks = stack_builder(self.settings, metrics.clone(), encryption);
        let mut manager =
            StorageManager::with_parts(manager_settings, opened.catalog, Arc::new(SystemClock), stacks);
        if let Some(inspector) = inspector {
            manager = manager.with_inspector(inspector);
        }
        if let Some(metrics) = metrics {
            manager = manager.with_metrics_source(Arc::new(metrics));
        }
        if let Some(sink) = sink {
            manager = manager.with_audit(AuditTrail::start(sink, audit_options, Arc::new(SystemClock)));
        }
        let mut told = Vec::new();
        for settings in &to_open {
            match registry.open(settings).await {
                Ok(provider) => manager.register_provider(&settings.name, provider)?,
                Err(error) if unopened == Unopened::Fails => return Err(error),
                Err(error) => told.push((settings.name.clone(), error)),
            }
        }
        for (name, provider) in self.providers {
            manager.register_provider(name, provider)?;
        }
        Ok((manager, told))
    }
}

fn manager_settings(default_provider: String, settings: Option<&StorageSettings>) -> ManagerSettings {
    let mut manager = ManagerSettings::new(default_provider);
    if let Some(settings) = settings {
        manager.routing_rules.clone_from(&settings.routing_rules);
        manager.fallback.clone_from(&settings.fallback);
        manager.health = settings.health.clone();
        let protections = settings.providers.values();
        manager.protections = protections
            .map(|provider| (provider.name.clone(), provider.protection))
            .collect();
        manager.key_template = settings.key_template.clone();
        manager.size_bytes_max = settings.limits.size_max.map(boards_storage_core::ByteSize::bytes);
        manager.content_types.clone_from(&settings.limits.content_types);
        manager.quota = settings.limits.quota.quota();
        manager.keep_deleted = settings.deletion.keep.get();
    }
    manager
}

/// A catalog that was opened.
pub(crate) struct Opened {
    pub(crate) catalog: SharedCatalog,
    /// The same, where it is in SQLite.
    #[cfg(feature = "sqlite")]
    pub(crate) sqlite: Option<Arc<boards_storage_catalog::SqliteCatalog>>,
}

impl Opened {
    fn given(catalog: SharedCatalog) -> Self {
        Self {
            catalog,
            #[cfg(feature = "sqlite")]
            sqlite: None,
        }
    }
}

pub(crate) async fn open_catalog(
    settings: Option<&StorageSettings>,
    local: Option<PathBuf>,
) -> Result<Opened> {
    let path = match (settings, local) {
        (Some(settings), _) => match &settings.catalog {
            CatalogSettings::Memory {} => None,
            CatalogSettings::Postgres {
                url,
                schema,
                connections_max,
            } => return open_postgres(url, schema.as_deref(), *connections_max).await,
            _ => settings.catalog_path(),
        },
        (None, Some(path)) => Some(path.join("catalog.db")),
        (None, None) => None,
    };
    match path {
        Some(path) => open_sqlite(path).await,
        None => Ok(Opened::given(Arc::new(MemoryCatalog::default()))),
    }
}

#[cfg(feature = "sqlite")]
async fn open_sqlite(path: PathBuf) -> Result<Opened> {
    let catalog = Arc::new(boards_storage_catalog::SqliteCatalog::open(path).await?);
    Ok(Opened {
        catalog: Arc::clone(&catalog) as SharedCatalog,
        sqlite: Some(catalog),
    })
}

#[cfg(not(feature = "sqlite"))]
async fn open_sqlite(path: PathBuf) -> Result<Opened> {
    Err(Error::configuration(format!(
        "the catalog '{}' needs SQLite, which is not compiled in",
        path.display()
    ))
    .with_help("enable the Cargo feature 'sqlite' of boards-storage, or give another catalog to the builder"))
}

#[cfg(feature = "postgres")]
async fn open_postgres(url: &Secret, schema: Option<&str>, connections_max: Option<u32>) -> Result<Opened> {
    use boards_storage_catalog::{PostgresCatalog, PostgresOptions};

    let mut options = PostgresOptions::parse(url.expose())?;
    if let Some(schema) = schema {
        options = options.with_schema(schema)?;
    }
    if let Some(connections) = connections_max {
        options = options.with_connections_max(connections);
    }
    Ok(Opened::given(Arc::new(PostgresCatalog::open(options).await?)))
}

#[cfg(not(feature = "postgres"))]
async fn open_postgres(_url: &Secret, _schema: Option<&str>, _connections: Option<u32>) -> Result<Opened> {
    Err(
        Error::configuration("storage.catalog is a PostgreSQL database, which is not compiled in").with_help(
            "enable the Cargo feature 'postgres' of boards-storage, or give another catalog to the builder",
        ),
    )
}

/// Puts the layers of its settings around every provider.
fn stack_builder(
    settings: Option<StorageSettings>,
    metrics: Option<Metrics>,
    encryption: Encryption,
) -> StackBuilder {
    Arc::new(move |name, provider| {
        let resilience = match &settings {
            Some(settings) => settings.resilience_of(name),
            None => ResilienceSettings::default(),
        };
        let layers = default_layers(&resilience, metrics.as_ref());
        Arc::new(encryption.added_to(layers, name).around(name, provider))
    })
}

/// Which providers encrypt, and by which keys.
#[derive(Default)]
struct Encryption {
    #[cfg(feature = "encryption")]
    names: std::collections::BTreeSet<String>,
    #[cfg(feature = "encryption")]
    keys: Option<boards_storage_layers::TenantKeys>,
}

impl Encryption {
    /// Opens the keys, where a provider encrypts.
    async fn open(settings: Option<&StorageSettings>) -> Result<Self> {
        let Some(settings) = settings else {
            return Ok(Self::default());
        };
        let providers = settings.providers.values();
        let names: Vec<_> = providers.filter(|provider| provider.encryption).collect();
        match names.first() {
            Some(first) => Self::of(settings, &first.name).await,
            None => Ok(Self::default()),
        }
    }

    #[cfg(feature = "encryption")]
    async fn of(settings: &StorageSettings, _first: &str) -> Result<Self> {
        let providers = settings.providers.values();
        let encrypting = providers.filter(|provider| provider.encryption);
        Ok(Self {
            names: encrypting.map(|provider| provider.name.clone()).collect(),
            keys: Some(crate::encryption::open_tenant_keys(settings).await?),
        })
    }

    #[cfg(not(feature = "encryption"))]
    async fn of(_settings: &StorageSettings, first: &str) -> Result<Self> {
        Err(Error::configuration(format!(
            "storage.providers.{first}.encryption is true, and encryption is not compiled in"
        ))
        .with_help("enable the Cargo feature 'encryption' of boards-storage"))
    }

    #[cfg(feature = "encryption")]
    fn added_to(&self, layers: DefaultLayers, name: &str) -> DefaultLayers {
        match &self.keys {
            Some(keys) if self.names.contains(name) => {
                layers.with_encryption(boards_storage_layers::EncryptionLayer::new(keys.clone()))
            }
            Some(_) | None => layers,
        }
    }

    #[cfg(not(feature = "encryption"))]
    fn added_to(&self, layers: DefaultLayers, _name: &str) -> DefaultLayers {
        layers
    }
}
