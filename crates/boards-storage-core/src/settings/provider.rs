//! The settings of one provider, whose `config` block only its own crate understands.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::problem::Origin;
use super::redact;
use super::resilience::ResilienceOverride;
use crate::error::{Error, Result};
use crate::protection::ProtectionSettings;

/// One provider of the settings: its name, its type and its `config` block.
///
/// `Debug` does not show the `config` block, which may hold secrets.
#[derive(Clone)]
#[non_exhaustive]
pub struct ProviderSettings {
    /// The name by which rules call it.
    pub name: String,
    /// The provider type.
    pub kind: String,
    /// What it does differently from the global `resilience`.
    pub resilience: ResilienceOverride,
    /// What the operator knows of its protection.
    pub protection: ProtectionSettings,
    /// Whether what it stores is encrypted on the way, by the keys of `storage.encryption`.
    pub encryption: bool,
    config: serde_json::Value,
    origins: Arc<ValueOrigins>,
}

/// Where the values of a block come from; empty for settings that were made by hand.
#[derive(Debug, Default)]
pub(super) struct ValueOrigins {
    /// The field path of the block itself.
    pub(super) base: String,
    /// By field path relative to the block; the block itself is the empty path.
    pub(super) by_path: BTreeMap<String, Origin>,
}

impl ValueOrigins {
    /// Returns where a field stands, or else the nearest one that it is a part of.
    pub(super) fn find(&self, path: &str) -> Option<&Origin> {
        let mut known = path;
        loop {
            match self.by_path.get(known) {
                Some(origin) => return Some(origin),
                None if known.is_empty() => return None,
                None => known = known.rfind(['.', '[']).map_or("", |end| &known[..end]),
            }
        }
    }
}

/// A provider as it is written: its name is the key of the map.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenProvider {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default = "empty_map")]
    config: serde_json::Value,
    #[serde(default)]
    resilience: ResilienceOverride,
    #[serde(default)]
    protection: ProtectionSettings,
    #[serde(default)]
    encryption: bool,
}

fn empty_map() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

impl ProviderSettings {
    /// Creates the settings of one provider.
    pub fn new(name: impl Into<String>, kind: impl Into<String>, config: serde_json::Value) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
            resilience: ResilienceOverride::default(),
            protection: ProtectionSettings::default(),
            encryption: false,
            config,
            origins: Arc::default(),
        }
    }

    /// Sets what the provider does differently from the global `resilience`.
    #[must_use]
    pub fn with_resilience(mut self, resilience: ResilienceOverride) -> Self {
        self.resilience = resilience;
        self
    }

    /// Says what the operator knows of its protection.
    #[must_use]
    pub fn with_protection(mut self, protection: ProtectionSettings) -> Self {
        self.protection = protection;
        self
    }

    /// Has what it stores encrypted on the way.
    #[must_use]
    pub fn with_encryption(mut self) -> Self {
        self.encryption = true;
        self
    }

    /// Parses the `config` block.
    ///
    /// # Errors
    ///
    /// `Configuration` that names the field, and the file and line where that is known. Secrets are cut out of it.
    pub fn parse_config<T: DeserializeOwned>(&self) -> Result<T> {
        serde_path_to_error::deserialize(self.config.clone()).map_err(|error| {
            let path = error.path().to_string();
            let path = if path == "." { String::new() } else { path };
            let cause = redact::scrub(&error.inner().to_string(), &self.config);
            Error::configuration(format!("{}: {cause}", self.place(&path)))
        })
    }

    /// Says where a field of the `config` block stands, as precisely as is known.
    fn place(&self, path: &str) -> String {
        let base = if self.origins.base.is_empty() {
            "config"
        } else {
            self.origins.base.as_str()
        };
        let separator = if path.is_empty() || path.starts_with('[') {
            ""
        } else {
            "."
        };
        let field = format!("{base}{separator}{path}");
        match self.origins.find(path) {
            Some(origin) => format!("{origin}: {field}"),
            None => field,
        }
    }

    pub(super) fn from_written(name: String, written: WrittenProvider) -> Self {
        Self {
            resilience: written.resilience,
            protection: written.protection,
            encryption: written.encryption,
            ..Self::new(name, written.kind, written.config)
        }
    }

    pub(super) fn set_origins(&mut self, origins: ValueOrigins) {
        self.origins = Arc::new(origins);
    }
}

impl fmt::Debug for ProviderSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderSettings")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("resilience", &self.resilience)
            .field("protection", &self.protection)
            .field("encryption", &self.encryption)
            .finish_non_exhaustive()
    }
}

impl JsonSchema for ProviderSettings {
    fn schema_name() -> Cow<'static, str> {
        "ProviderSettings".into()
    }

    /// The schema of a provider of any type; the schema of a registry replaces it by one branch for each known type.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let resilience = generator.subschema_for::<ResilienceOverride>();
        let protection = generator.subschema_for::<ProtectionSettings>();
        json_schema!({
            "type": "object",
            "properties": {
                "type": { "type": "string", "description": "The provider type." },
                "config": { "type": "object", "description": "The type's own settings.", "default": {} },
                "resilience": resilience,
                "protection": protection,
                "encryption": {
                    "type": "boolean",
                    "description": "Whether what it stores is encrypted on the way, by the keys of storage.encryption.",
                },
            },
            "required": ["type"],
            "additionalProperties": false,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        port: u16,
        #[expect(dead_code, reason = "only parsed")]
        password: Option<Vec<String>>,
    }

    #[test]
    fn a_config_error_names_the_field_and_hides_secrets() {
        let parse = |config| ProviderSettings::new("a", "b", config).parse_config::<Config>();
        assert_eq!(parse(json!({"port": 5})).expect("valid").port, 5);
        let error = parse(json!({"port": "x"})).expect_err("text");
        assert_eq!(
            error.message(),
            "config.port: invalid type: string \"x\", expected u16"
        );
        let error = parse(json!({"port": 5, "password": "hunter2"})).expect_err("text");
        assert_eq!(
            error.message(),
            "config.password: invalid type: string \"[redacted]\", expected a sequence"
        );
        assert_eq!(
            parse(json!({})).expect_err("missing").message(),
            "config: missing field `port`"
        );
    }

    #[test]
    fn debug_shows_no_config() {
        let settings = ProviderSettings::new("a", "b", json!({"password": "hunter2"}));
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
