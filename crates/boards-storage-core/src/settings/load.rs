//! From sources to settings: parse, put variables in, merge, check everything, and only then build the types.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value as Json;

use super::effective::{self, EffectiveSetting};
use super::interpolate::interpolate;
use super::layers::{Layer, merge};
use super::model::Settings;
use super::problem::{Note, Origin, Problem, ProblemKind, SettingsError};
use super::provider::ValueOrigins;
use super::redact;
use super::shape::Schema;
use super::tree::{FieldPath, Node, Value};
use super::{environment, placement, schema, semantic, validate, yaml};
use crate::registry::Registry;

/// What settings are made of: defaults, a file and the environment, each optional.
///
/// Core reads neither files nor variables; the caller hands both down. `Debug` shows no values.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct SettingsSources {
    defaults: Json,
    file: Option<(String, String)>,
    environment: BTreeMap<String, String>,
}

impl SettingsSources {
    /// Creates sources without anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what holds where neither the file nor the environment says anything, in the form of the file.
    ///
    /// Maps merge field by field: a provider of the defaults is there beside those of the file.
    #[must_use]
    pub fn with_defaults(mut self, defaults: Json) -> Self {
        self.defaults = defaults;
        self
    }

    /// Sets the file: its name for messages, and its text, which is YAML or JSON.
    #[must_use]
    pub fn with_file(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.file = Some((name.into(), text.into()));
        self
    }

    /// Sets the environment: for `${…}` in the file, and `BOARDS_STORAGE__…` variables that override it.
    #[must_use]
    pub fn with_environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment = variables.into_iter().collect();
        self
    }
}

impl fmt::Debug for SettingsSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettingsSources")
            .field("file", &self.file.as_ref().map(|(name, _)| name))
            .finish_non_exhaustive()
    }
}

/// Settings that passed every check.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoadedSettings {
    /// The settings.
    pub settings: Settings,
    /// What is allowed and worth knowing, in the order of the file.
    pub notes: Vec<Note>,
    shown: Json,
    effective: Vec<EffectiveSetting>,
}

impl LoadedSettings {
    /// Returns the settings in effect, defaults included, with `"[redacted]"` in place of secrets.
    ///
    /// A secret is what its JSON Schema calls `writeOnly`, what its name in a provider's `config` makes likely (unless
    /// its schema says `"writeOnly": false`), and the credentials in a URL.
    #[must_use]
    pub fn to_redacted_value(&self) -> &Json {
        &self.shown
    }

    /// Returns each value in effect, redacted, with where it comes from.
    #[must_use]
    pub fn effective(&self) -> &[EffectiveSetting] {
        &self.effective
    }
}

impl Settings {
    /// Loads settings: defaults ← file ← environment.
    ///
    /// In the file's values, `${NAME}` is the environment variable (which must be set), `${NAME:-text}` has a default
    /// for one that is unset or empty, `${NAME:?message}` refuses it with a message, and `$${` stands for `${`. A value
    /// without quotes that is one variable and nothing else becomes the number or boolean that its field wants; what a
    /// variable holds never becomes a list or a map.
    ///
    /// A variable `BOARDS_STORAGE__FIELD` overrides the field `storage.field`, and each further `__` goes one level
    /// down; lists can't be set so. A provider type that is known and not compiled in is a note.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once. Only behind text that is not YAML nothing more is found.
    ///
    /// # Examples
    ///
    /// ```
    /// use boards_storage_core::{Registry, Settings, SettingsSources};
    ///
    /// let mut registry = Registry::empty();
    /// registry.announce("s3", "enable the feature `s3`");
    /// let text = "
    /// storage:
    ///   default_provider: s3
    ///   providers:
    ///     s3: {type: s3, config: {bucket: art}}
    ///   limits: {size_max: 2GB}
    /// ";
    /// let loaded = Settings::load(&SettingsSources::new().with_file("storage.yaml", text), &registry)?;
    /// assert_eq!(loaded.settings.storage.limits.size_max.map(|size| size.bytes()), Some(2_000_000_000));
    ///
    /// let wrong = text.replace("size_max", "size_maxi");
    /// let error = Settings::load(&SettingsSources::new().with_file("storage.yaml", wrong), &registry).unwrap_err();
    /// assert_eq!(
    ///     error.problems[0].to_string(),
    ///     "storage.yaml:6:12: storage.limits.size_maxi: there is no such field; did you mean 'size_max'?"
    /// );
    /// # Ok::<(), boards_storage_core::SettingsError>(())
    /// ```
    pub fn load(sources: &SettingsSources, registry: &Registry) -> Result<LoadedSettings, SettingsError> {
        let mut problems = Vec::new();
        let mut tree = read(sources, &mut problems)?;
        let schema = schema::build(registry);
        let schema = Schema::new(&schema);
        validate::validate(schema, &mut tree, &mut problems);
        let mut notes = Vec::new();
        semantic::check(&tree, registry, &mut problems, &mut notes);
        if !problems.is_empty() {
            return Err(SettingsError::new(problems));
        }
        let settings = build(&tree)?;
        placement::check_protection(&settings, &tree, registry, &mut problems, &mut notes);
        if !problems.is_empty() {
            return Err(SettingsError::new(problems));
        }
        effective::fill_defaults(schema, schema.root(), &mut tree);
        let (shown, effective) = effective::show(schema, &tree);
        notes.sort_by(|a, b| a.origin.cmp(&b.origin));
        Ok(LoadedSettings {
            settings,
            notes,
            shown,
            effective,
        })
    }

    /// Returns the JSON Schema (draft 2020-12) of the settings file, with the `config` of every provider type that is
    /// compiled in.
    ///
    /// An editor uses it when the file names it: in `$schema`, or in a comment
    /// `# yaml-language-server: $schema=storage.schema.json`.
    ///
    /// # Examples
    ///
    /// ```
    /// use boards_storage_core::{Registry, Settings};
    ///
    /// let schema = Settings::schema(&Registry::compiled_in()?);
    /// assert_eq!(schema["properties"]["storage"]["$ref"], "#/$defs/StorageSettings");
    /// # Ok::<(), boards_storage_core::Error>(())
    /// ```
    #[must_use]
    pub fn schema(registry: &Registry) -> Json {
        schema::build(registry)
    }
}

/// Reads the sources and merges them into one tree.
fn read(sources: &SettingsSources, problems: &mut Vec<Problem>) -> Result<Node, SettingsError> {
    let empty = || Node::from_json(&Json::Object(serde_json::Map::new()), &Origin::Default);
    let defaults = match &sources.defaults {
        Json::Null => empty(),
        defaults => Node::from_json(defaults, &Origin::Default),
    };
    let mut file = match &sources.file {
        None => empty(),
        Some((name, text)) => match yaml::parse(name, text, problems) {
            Some(tree) => tree,
            None => return Err(SettingsError::new(std::mem::take(problems))),
        },
    };
    for layer in [&defaults, &file] {
        if layer.as_map().is_none() {
            let kind = ProblemKind::WrongType;
            let problem = Problem::mismatch(
                kind,
                "",
                &layer.origin,
                "a map with 'storage'",
                layer.describe_kind(),
            );
            problems.push(problem);
            return Err(SettingsError::new(std::mem::take(problems)));
        }
    }
    interpolate(&mut file, &FieldPath::default(), &sources.environment, problems);
    let below = [
        Layer {
            name: "defaults",
            root: defaults,
        },
        Layer {
            name: "file",
            root: file,
        },
    ];
    let merged = merge(&below);
    let overrides = environment::read(&sources.environment, &merged, problems);
    let [defaults, file] = below;
    Ok(merge(&[
        defaults,
        file,
        Layer {
            name: "environment",
            root: overrides,
        },
    ]))
}

/// Builds the types. The checks have passed, so that an error here is one that only a type's own code can find.
fn build(tree: &Node) -> Result<Settings, SettingsError> {
    let json = tree.to_json();
    let mut settings: Settings = serde_path_to_error::deserialize(json.clone()).map_err(|error| {
        let path = error.path().to_string();
        let origins = origins(tree, String::new());
        let origin = origins.find(&path).unwrap_or(&tree.origin);
        let message = redact::scrub(&error.inner().to_string(), &json);
        SettingsError::new(vec![Problem::new(ProblemKind::BadValue, path, origin, message)])
    })?;
    for (name, provider) in &mut settings.storage.providers {
        let base = FieldPath::of(&["storage", "providers", name.as_str(), "config"]).to_string();
        let place = tree.descend(&["storage", "providers", name.as_str()]);
        let found = match place.and_then(|place| place.field("config")).or(place) {
            Some(node) => origins(node, base),
            None => ValueOrigins {
                base,
                by_path: BTreeMap::new(),
            },
        };
        provider.set_origins(found);
    }
    Ok(settings)
}

/// Collects where everything in a block stands.
fn origins(block: &Node, base: String) -> ValueOrigins {
    let mut by_path = BTreeMap::from([(String::new(), block.origin.clone())]);
    collect_origins(block, &FieldPath::default(), &mut by_path);
    ValueOrigins { base, by_path }
}

fn collect_origins(node: &Node, path: &FieldPath, by_path: &mut BTreeMap<String, Origin>) {
    let mut add = |path: FieldPath, node: &Node| {
        by_path.insert(path.to_string(), node.origin.clone());
        collect_origins(node, &path, by_path);
    };
    match &node.value {
        Value::Map(map) => map
            .iter()
            .for_each(|(name, entry)| add(path.field(name), &entry.node)),
        Value::List(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, item)| add(path.item(index), item)),
        Value::Null
        | Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Unknown => {}
    }
}
