//! The data types of the settings. Their docs are the descriptions of the JSON Schema.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::audit::AuditSettings;
use super::duration::FriendlyDuration;
use super::encryption::EncryptionSettings;
use super::health::HealthSettings;
use super::provider::{ProviderSettings, WrittenProvider};
use super::resilience::ResilienceSettings;
use super::secret::Secret;
use super::size::ByteSize;
use super::validation::ValidationSettings;
use super::vocabulary::{ContentTypePattern, OneOrMany};
use crate::catalog::Quota;
use crate::options::AccessClass;
use crate::protection::EncryptionDemand;
use crate::scope::{ArtifactType, BoardId, TenantId};
use crate::template::KeyTemplate;

/// The settings of boards-storage.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// The JSON Schema of this file, for editors. It has no other effect.
    #[serde(rename = "$schema", default)]
    pub schema: Option<String>,
    /// Where artifacts are stored, and how.
    pub storage: StorageSettings,
}

/// Where artifacts are stored, and how.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StorageSettings {
    /// The name of the provider that stores what no routing rule decides.
    #[schemars(length(min = 1))]
    pub default_provider: String,
    /// The providers by name. Rules and stored records call them by these names.
    #[serde(deserialize_with = "read_providers")]
    #[schemars(extend("minProperties" = 1, "propertyNames" = {
        "format": "provider-name",
        "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$",
    }))]
    pub providers: BTreeMap<String, ProviderSettings>,
    /// Which artifact goes to which provider. The first rule that matches wins.
    #[serde(default)]
    pub routing_rules: Vec<RoutingRule>,
    /// The providers that take a write, in this order, when the one that it is meant for cannot: for the default
    /// provider, and for every rule without a list of its own. What they hold is listed by `ls --displaced`. None takes
    /// an artifact whose access class or encryption it does not honour.
    #[serde(default)]
    pub fallback: Vec<String>,
    /// The directory of what boards-storage itself keeps, such as the catalog.
    #[serde(default = "default_data_path")]
    #[schemars(length(min = 1))]
    pub data_path: PathBuf,
    /// Where the records of artifacts are kept.
    #[serde(default)]
    pub catalog: CatalogSettings,
    /// What may be stored.
    #[serde(default)]
    pub limits: LimitSettings,
    /// What becomes of deleted artifacts.
    #[serde(default)]
    pub deletion: DeletionSettings,
    /// The shape of storage keys. Records keep the key they were stored under.
    #[serde(default)]
    pub key_template: KeyTemplate,
    /// How failures are met, by every provider that does not say otherwise.
    #[serde(default)]
    pub resilience: ResilienceSettings,
    /// How a long-running application watches its providers and its catalog.
    #[serde(default)]
    pub health: HealthSettings,
    /// Where the keys are of the providers that say `encryption: true`.
    #[serde(default)]
    pub encryption: EncryptionSettings,
    /// The audit log: one event for each artifact operation, refusals included.
    #[serde(default)]
    pub audit: AuditSettings,
    /// Whether calls are counted and measured.
    #[serde(default)]
    pub metrics: MetricsSettings,
    /// What content must be, and whether it is scanned for malware.
    #[serde(default)]
    pub validation: ValidationSettings,
}

fn default_data_path() -> PathBuf {
    PathBuf::from("./boards-storage-data")
}

fn read_providers<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, ProviderSettings>, D::Error> {
    let written = BTreeMap::<String, WrittenProvider>::deserialize(deserializer)?;
    Ok(written
        .into_iter()
        .map(|(name, provider)| (name.clone(), ProviderSettings::from_written(name, provider)))
        .collect())
}

/// One rule: if the condition holds, the provider stores the artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RoutingRule {
    /// A name for explanations and logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What must hold; a rule without a condition matches everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<RouteCondition>,
    /// The name of the provider.
    #[schemars(length(min = 1))]
    pub provider: String,
    /// The providers that take a write, in this order, when this one cannot; without it, those of `storage.fallback`.
    /// An empty list forbids it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Vec<String>>,
    /// Whether what the rule stores must be encrypted at rest, wherever it goes.
    #[serde(default, skip_serializing_if = "is_no_demand")]
    pub encryption: EncryptionDemand,
}

fn is_no_demand(demand: &EncryptionDemand) -> bool {
    *demand == EncryptionDemand::None
}

/// What must hold for a rule to match: everything that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RouteCondition {
    /// The artifact's type is this, or one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<OneOrMany<ArtifactType>>,
    /// The content is larger than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_gt: Option<ByteSize>,
    /// The content is as large as this, or larger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_gte: Option<ByteSize>,
    /// The content is smaller than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_lt: Option<ByteSize>,
    /// The content is as large as this, or smaller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_lte: Option<ByteSize>,
    /// The content type matches this pattern, or one of these, such as `image/*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<OneOrMany<ContentTypePattern>>,
    /// The tenant is this, or one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<OneOrMany<TenantId>>,
    /// The board is this, or one of these. An artifact without a board does not match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board_id: Option<OneOrMany<BoardId>>,
    /// The access class is this, or one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<OneOrMany<AccessClass>>,
}

/// Where the records of artifacts are kept.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum CatalogSettings {
    /// A SQLite database in a file.
    Sqlite {
        /// The file; by default `catalog.db` in `data_path`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1))]
        path: Option<PathBuf>,
    },
    /// A PostgreSQL database, for any number of processes on any number of machines.
    Postgres {
        /// The URL of the database, such as `${DATABASE_URL}`:
        /// `postgres://user:password@db.example.com:5432/app?sslmode=verify-full`.
        #[serde(skip_serializing)]
        url: Secret,
        /// The schema that holds all tables, created where it is missing; `boards_storage` by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1, max = 63))]
        schema: Option<String>,
        /// How many connections a process opens at most; 10 by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1, max = 1000))]
        connections_max: Option<u32>,
    },
    /// In memory: gone when the program ends.
    Memory {},
}

/// What may be stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LimitSettings {
    /// The largest content in bytes; without it there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_max: Option<ByteSize>,
    /// The content types that are allowed, such as `image/*`; an empty list allows all.
    pub content_types: Vec<ContentTypePattern>,
    /// How much each tenant may store that has no quota of its own (`boards-storage quota set`). Every version counts, and
    /// what is deleted counts as long as it can be restored.
    pub quota: QuotaSettings,
}

/// How much a tenant may store; without a field there is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct QuotaSettings {
    /// The size of all content together, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<ByteSize>,
    /// The number of versions of all variants of all artifacts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects_max: Option<u64>,
}

impl QuotaSettings {
    /// Returns the quota.
    #[must_use]
    pub fn quota(&self) -> Quota {
        Quota {
            bytes_max: self.bytes_max.map(ByteSize::bytes),
            objects_max: self.objects_max,
        }
    }
}

/// What becomes of deleted artifacts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DeletionSettings {
    /// For how long a deletion can be taken back (`boards-storage restore`), such as `30d`. Until then the bytes stay. By
    /// default `0s`: a deletion is final, and removes the bytes at once.
    pub keep: FriendlyDuration,
}

/// Whether calls are counted and measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MetricsSettings {
    /// Whether there are metrics at all.
    pub enabled: bool,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Default for CatalogSettings {
    fn default() -> Self {
        Self::Sqlite { path: None }
    }
}

impl Settings {
    /// Creates settings in code.
    #[must_use]
    pub fn new(storage: StorageSettings) -> Self {
        Self {
            schema: None,
            storage,
        }
    }
}

impl StorageSettings {
    /// Creates settings in code: one provider, which is the default one, and every other field at its default.
    #[must_use]
    pub fn new(default_provider: ProviderSettings) -> Self {
        Self {
            default_provider: default_provider.name.clone(),
            providers: BTreeMap::from([(default_provider.name.clone(), default_provider)]),
            routing_rules: Vec::new(),
            fallback: Vec::new(),
            data_path: default_data_path(),
            catalog: CatalogSettings::default(),
            limits: LimitSettings::default(),
            deletion: DeletionSettings::default(),
            key_template: KeyTemplate::default(),
            resilience: ResilienceSettings::default(),
            health: HealthSettings::default(),
            encryption: EncryptionSettings::default(),
            audit: AuditSettings::default(),
            metrics: MetricsSettings::default(),
            validation: ValidationSettings::default(),
        }
    }

    /// Adds a provider; one of the same name is replaced.
    #[must_use]
    pub fn with_provider(mut self, provider: ProviderSettings) -> Self {
        self.providers.insert(provider.name.clone(), provider);
        self
    }

    /// Adds a routing rule behind the others.
    #[must_use]
    pub fn with_rule(mut self, rule: RoutingRule) -> Self {
        self.routing_rules.push(rule);
        self
    }

    /// Sets the providers that take a write when the one that it is meant for cannot.
    #[must_use]
    pub fn with_fallback(mut self, providers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.fallback = providers.into_iter().map(Into::into).collect();
        self
    }

    /// Returns the file of the SQLite catalog; `None` if the catalog is another.
    #[must_use]
    pub fn catalog_path(&self) -> Option<PathBuf> {
        match &self.catalog {
            CatalogSettings::Sqlite { path: Some(path) } => Some(path.clone()),
            CatalogSettings::Sqlite { path: None } => Some(Path::new(&self.data_path).join("catalog.db")),
            CatalogSettings::Postgres { .. } | CatalogSettings::Memory {} => None,
        }
    }

    /// Sets where the keys of encrypting providers are.
    #[must_use]
    pub fn with_encryption(mut self, encryption: EncryptionSettings) -> Self {
        self.encryption = encryption;
        self
    }

    /// Returns the file of the tenant keys.
    #[must_use]
    pub fn tenant_keys_path(&self) -> PathBuf {
        let own = self.encryption.tenant_keys.clone();
        own.unwrap_or_else(|| self.data_path.join("tenant-keys.json"))
    }

    /// Sets the audit log.
    #[must_use]
    pub fn with_audit(mut self, audit: AuditSettings) -> Self {
        self.audit = audit;
        self
    }

    /// Sets what content must be.
    #[must_use]
    pub fn with_validation(mut self, validation: ValidationSettings) -> Self {
        self.validation = validation;
        self
    }

    /// Returns the folder or the file of the audit log; `None` if it has none of its own.
    #[must_use]
    pub fn audit_path(&self) -> Option<PathBuf> {
        match &self.audit {
            AuditSettings::Jsonl { path, .. } => {
                Some(path.clone().unwrap_or_else(|| self.data_path.join("audit")))
            }
            AuditSettings::Sqlite { path: Some(path), .. } => Some(path.clone()),
            AuditSettings::Sqlite { path: None, .. } => match self.catalog {
                CatalogSettings::Sqlite { .. } => None,
                CatalogSettings::Postgres { .. } | CatalogSettings::Memory {} => {
                    Some(self.data_path.join("audit.db"))
                }
            },
            AuditSettings::Tracing { .. } | AuditSettings::None {} => None,
        }
    }

    /// Returns how failures and load of one provider are met: as the global settings say, with its own differences.
    #[must_use]
    pub fn resilience_of(&self, provider: &str) -> ResilienceSettings {
        match self.providers.get(provider) {
            Some(settings) => self.resilience.overridden_by(&settings.resilience),
            None => self.resilience.clone(),
        }
    }
}

impl RoutingRule {
    /// Creates a rule that matches everything.
    pub fn new(provider: impl Into<String>) -> Self {
        Self {
            name: None,
            condition: None,
            provider: provider.into(),
            fallback: None,
            encryption: EncryptionDemand::None,
        }
    }

    /// Sets the providers that take a write when this one cannot; none forbids it.
    #[must_use]
    pub fn with_fallback(mut self, providers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.fallback = Some(providers.into_iter().map(Into::into).collect());
        self
    }

    /// Demands encryption at rest.
    #[must_use]
    pub fn with_encryption_required(mut self) -> Self {
        self.encryption = EncryptionDemand::Required;
        self
    }

    /// Sets the condition.
    #[must_use]
    pub fn with_condition(mut self, condition: RouteCondition) -> Self {
        self.condition = Some(condition);
        self
    }

    /// Sets the name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Returns whether the rule matches everything: no condition, or an empty one.
    #[must_use]
    pub fn is_unconditional(&self) -> bool {
        self.condition
            .as_ref()
            .is_none_or(|condition| *condition == RouteCondition::default())
    }
}

impl LimitSettings {
    /// Returns whether the content type is allowed.
    #[must_use]
    pub fn allows(&self, content_type: &crate::ContentType) -> bool {
        self.content_types.is_empty()
            || self
                .content_types
                .iter()
                .any(|pattern| pattern.matches(content_type))
    }
}
