//! Which providers this program can open.

use std::collections::BTreeMap;
use std::fmt;

use futures_core::future::BoxFuture;
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::protection::Protection;
use crate::provider::SharedProvider;
use crate::settings::ProviderSettings;

/// A type of provider that can be opened from settings.
///
/// # Examples
///
/// A third-party crate registers its provider so; an application that wants it says `use my_provider as _;`.
///
/// ```
/// use boards_storage_core::{BoxFuture, ProviderFactory, Result, SharedProvider, register_provider};
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct TapeSettings {
///     /// The device file of the drive.
///     device: String,
/// }
///
/// struct Tape;
///
/// impl ProviderFactory for Tape {
///     const KIND: &'static str = "tape";
///     const SUMMARY: &'static str = "a tape drive";
///     type Settings = TapeSettings;
///
///     fn open(_name: String, settings: TapeSettings) -> BoxFuture<'static, Result<SharedProvider>> {
///         Box::pin(async move { Err(boards_storage_core::Error::unsupported(format!("no tape in {}", settings.device))) })
///     }
/// }
///
/// register_provider!(Tape);
/// ```
pub trait ProviderFactory: 'static {
    /// The type's name in the settings, such as `local`.
    const KIND: &'static str;
    /// What it is, in a few words.
    const SUMMARY: &'static str;
    /// The type of the `config` block. It denies unknown fields; the docs of its fields become the JSON Schema's.
    type Settings: DeserializeOwned + JsonSchema + Send + 'static;

    /// Opens the provider that the settings call `name`.
    fn open(name: String, settings: Self::Settings) -> BoxFuture<'static, Result<SharedProvider>>;

    /// Says how objects are protected, as the settings alone tell it: what the opened provider will declare in its
    /// [`Capabilities::protection`](crate::Capabilities::protection). Nothing is promised by default.
    fn protection(settings: &Self::Settings) -> Protection {
        let _ = settings;
        Protection::default()
    }
}

/// A [`ProviderFactory`] as a value.
#[derive(Clone, Copy)]
pub struct ProviderPlugin {
    kind: &'static str,
    summary: &'static str,
    schema: fn() -> Schema,
    open: fn(&ProviderSettings) -> BoxFuture<'static, Result<SharedProvider>>,
    protection: fn(&ProviderSettings) -> Result<Protection>,
}

impl ProviderPlugin {
    /// Creates the value.
    #[must_use]
    pub const fn of<F: ProviderFactory>() -> Self {
        Self {
            kind: F::KIND,
            summary: F::SUMMARY,
            schema: || schemars::SchemaGenerator::default().into_root_schema_for::<F::Settings>(),
            open: |settings| match settings.parse_config::<F::Settings>() {
                Ok(parsed) => F::open(settings.name.clone(), parsed),
                Err(error) => Box::pin(std::future::ready(Err(error))),
            },
            protection: |settings| Ok(F::protection(&settings.parse_config::<F::Settings>()?)),
        }
    }

    /// Returns the type's name in the settings.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Returns what it is, in a few words.
    #[must_use]
    pub fn summary(&self) -> &'static str {
        self.summary
    }

    /// Returns the JSON Schema of the `config` block.
    #[must_use]
    pub fn schema(&self) -> Schema {
        (self.schema)()
    }
}

impl fmt::Debug for ProviderPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderPlugin")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

inventory::collect!(ProviderPlugin);

/// Registers a [`ProviderFactory`] with every [`Registry::compiled_in`] of the program.
#[macro_export]
macro_rules! register_provider {
    ($factory:ty) => {
        $crate::inventory::submit! { $crate::ProviderPlugin::of::<$factory>() }
    };
}

/// The provider types that can be opened: an ordinary value.
///
/// # Examples
///
/// ```
/// use boards_storage_core::Registry;
///
/// let registry = Registry::compiled_in()?;
/// assert!(registry.find("nonsense").is_err());
/// # Ok::<(), boards_storage_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Registry {
    plugins: BTreeMap<&'static str, ProviderPlugin>,
    absent: BTreeMap<&'static str, &'static str>,
}

impl Registry {
    /// Creates a registry without any provider.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Creates a registry of every provider that registered itself by [`register_provider!`](crate::register_provider).
    ///
    /// # Errors
    ///
    /// `Configuration` if two have one name.
    pub fn compiled_in() -> Result<Self> {
        let mut registry = Self::default();
        for plugin in inventory::iter::<ProviderPlugin> {
            registry.register(*plugin)?;
        }
        Ok(registry)
    }

    /// Adds a provider type by hand.
    ///
    /// # Errors
    ///
    /// `Configuration` if the name is taken.
    pub fn register(&mut self, plugin: ProviderPlugin) -> Result<()> {
        if self.plugins.insert(plugin.kind, plugin).is_some() {
            return Err(
                Error::configuration(format!("two provider types are called '{}'", plugin.kind)).with_help(
                    "remove one of the two crates, or register them by hand under different names",
                ),
            );
        }
        Ok(())
    }

    /// Says that a type exists which may not be compiled in, and how to get it.
    pub fn announce(&mut self, kind: &'static str, how_to_enable: &'static str) {
        self.absent.insert(kind, how_to_enable);
    }

    /// Returns the types that can be opened, by name.
    pub fn plugins(&self) -> impl Iterator<Item = &ProviderPlugin> {
        self.plugins.values()
    }

    /// Returns how to enable a type that is known but not compiled in.
    #[must_use]
    pub fn how_to_enable(&self, kind: &str) -> Option<&'static str> {
        if self.plugins.contains_key(kind) {
            None
        } else {
            self.absent.get(kind).copied()
        }
    }

    /// Returns every name that may stand in the settings, compiled in or announced.
    pub fn known_kinds(&self) -> impl Iterator<Item = &'static str> {
        let absent = self
            .absent
            .keys()
            .filter(|kind| !self.plugins.contains_key(**kind));
        self.plugins.keys().chain(absent).copied()
    }

    /// Returns a type by name.
    ///
    /// # Errors
    ///
    /// `Configuration` that lists what is compiled in and says what is missing.
    pub fn find(&self, kind: &str) -> Result<&ProviderPlugin> {
        self.plugins.get(kind).ok_or_else(|| {
            let names: Vec<_> = self.plugins.keys().copied().collect();
            let compiled_in = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let help = match self.absent.get(kind) {
                Some(how) => (*how).to_owned(),
                None => "if a crate of yours provides it, add a `use my_provider as _;` line, or the linker drops it"
                    .to_owned(),
            };
            Error::configuration(format!(
                "the provider type '{kind}' is not compiled in; compiled in: {compiled_in}"
            ))
            .with_help(help)
        })
    }

    /// Says how the provider that these settings describe protects its objects, without opening it: what its type
    /// makes of its `config`, and what the operator adds. Nothing is promised by a type that is not compiled in.
    ///
    /// # Errors
    ///
    /// `Configuration` if a field is wrong.
    pub fn protection(&self, settings: &ProviderSettings) -> Result<Protection> {
        let own = match self.plugins.get(settings.kind.as_str()) {
            Some(plugin) => (plugin.protection)(settings)?,
            None => Protection::default(),
        };
        let told = own.overridden_by(&settings.protection);
        Ok(if settings.encryption {
            told.with_encryption()
        } else {
            told
        })
    }

    /// Opens a provider from its settings.
    ///
    /// # Errors
    ///
    /// `Configuration` if the type or a field is wrong; whatever the provider answers otherwise. All errors name
    /// the provider.
    pub async fn open(&self, settings: &ProviderSettings) -> Result<SharedProvider> {
        let named = |error: Error| error.with_provider(settings.name.as_str());
        let plugin = self.find(&settings.kind).map_err(named)?;
        (plugin.open)(settings).await.map_err(named)
    }
}
