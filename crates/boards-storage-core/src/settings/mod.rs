//! Settings: their types, and how they are loaded from a file and the environment.
//!
//! Nothing here reads a file or the environment itself. On the way from text to types everything stays a tree whose
//! values know their line (`tree`), because serde stops at the first problem and figment forgets lines: `yaml` →
//! `interpolate` → `layers` (figment) → `validate` against the JSON Schema of the types, and `semantic` → serde.

mod audit;
mod duration;
mod encryption;
mod health;
mod model;
mod provider;
mod resilience;
mod secret;
mod size;
mod validation;
mod vocabulary;

mod effective;
mod load;
mod problem;

mod describe;
mod environment;
mod interpolate;
mod layers;
mod placement;
mod redact;
mod schema;
mod semantic;
mod shape;
mod tree;
mod validate;
mod yaml;

pub use audit::{AuditSettings, RotationSettings};
pub use duration::FriendlyDuration;
pub use effective::EffectiveSetting;
pub use encryption::EncryptionSettings;
pub use health::HealthSettings;
pub use load::{LoadedSettings, SettingsSources};
pub use model::{
    CatalogSettings, LimitSettings, MetricsSettings, RouteCondition, RoutingRule, Settings, StorageSettings,
};
pub use problem::{Note, Origin, Problem, ProblemKind, SettingsError};
pub use provider::ProviderSettings;
pub use resilience::{
    BreakerOverride, BreakerSettings, BreakerWindow, HedgeOverride, HedgeSettings, ResilienceOverride,
    ResilienceSettings, RetryBudgetOverride, RetryBudgetSettings, RetryOverride, RetrySettings,
    TimeoutOverride, TimeoutSettings, TrafficOverride, TrafficSettings,
};
pub use secret::{REDACTED, Secret};
pub use size::ByteSize;
pub use validation::{ImageLimitSettings, ScanSettings, ScannerSettings, TypeSettings, ValidationSettings};
pub use vocabulary::{ContentTypePattern, OneOrMany};
