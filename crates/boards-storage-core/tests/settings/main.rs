//! Settings from outside: what a program and a provider crate see of them.

mod bounds;
mod encryption;
mod loading;
mod placement;
mod problems;
mod redaction;
mod robustness;
mod schema;
mod shapes;
mod validation;

use boards_storage_core::{
    BoxFuture, Error, LoadedSettings, Protection, ProviderFactory, ProviderPlugin, Reach, Registry, Result,
    Secret, Settings, SettingsError, SettingsSources, SharedProvider,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The file of the storage architecture's document, verbatim.
const EXAMPLE: &str = include_str!("../data/storage.yaml");

/// The variables that it names.
const EXAMPLE_VARIABLES: [(&str, &str); 4] = [
    ("SUPABASE_URL", "https://abc.supabase.co"),
    ("SUPABASE_ANON_KEY", "anon-hunter2"),
    ("AWS_ACCESS_KEY_ID", "AKIA123"),
    ("AWS_SECRET_ACCESS_KEY", "aws-hunter2"),
];

/// A provider with a field of every kind.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LocalSettings {
    /// The directory.
    base_path: String,
    public_url_base: Option<String>,
    #[serde(default = "yes")]
    fsync: bool,
    #[serde(default)]
    workers: Option<u16>,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    nested: Option<Nested>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// Best for most.
    #[default]
    Plain,
    /// Best for some.
    Sharded,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nested {
    ratio: f64,
    names: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "some fields are only parsed")]
struct SupabaseSettings {
    url: String,
    key: Secret,
    bucket: String,
    #[serde(default)]
    pin: Option<Secret>,
    #[serde(default)]
    passphrase_hint: Option<String>,
    #[serde(default)]
    #[schemars(extend("writeOnly" = false))]
    key_style: Option<String>,
}

macro_rules! factory {
    ($factory:ident, $kind:literal, $settings:ty, $protection:expr) => {
        struct $factory;

        impl ProviderFactory for $factory {
            const KIND: &'static str = $kind;
            const SUMMARY: &'static str = "a provider for tests";
            type Settings = $settings;

            fn open(_name: String, _settings: $settings) -> BoxFuture<'static, Result<SharedProvider>> {
                Box::pin(async { Err(Error::unsupported("settings tests open nothing")) })
            }

            fn protection(settings: &$settings) -> Protection {
                let protection: fn(&$settings) -> Protection = $protection;
                protection(settings)
            }
        }
    };
}

factory!(Local, "local", LocalSettings, |settings| {
    Protection::new(match settings.public_url_base {
        Some(_) => Reach::Public,
        None => Reach::Private,
    })
});
factory!(Supabase, "supabase", SupabaseSettings, |_| Protection::default());

/// `local` and `supabase` are compiled in, `s3` is announced.
fn registry() -> Registry {
    let mut registry = Registry::empty();
    registry
        .register(ProviderPlugin::of::<Local>())
        .expect("a new name");
    registry
        .register(ProviderPlugin::of::<Supabase>())
        .expect("a new name");
    registry.announce("s3", "enable the feature `s3`");
    registry
}

fn variables(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn load(text: &str, environment: &[(&str, &str)]) -> Result<LoadedSettings, SettingsError> {
    let sources = SettingsSources::new()
        .with_file("storage.yaml", text)
        .with_environment(variables(environment));
    Settings::load(&sources, &registry())
}

/// Settings that are right, with one more line in each place that a test wants to spoil.
fn minimal(storage: &str, config: &str) -> String {
    format!(
        "storage:\n  default_provider: local\n  providers:\n    local:\n      type: local\n      config:\n        base_path: /data\n{config}{storage}"
    )
}
