//! The audit log: where events go, and what happens if they cannot go there.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secret::Secret;
use super::size::ByteSize;
use crate::audit::{AuditFailurePolicy, AuditLookups, AuditOptions};

/// The audit log: one event for each artifact operation, refusals included.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum AuditSettings {
    /// Files of JSON lines, each line chained to the one before, with the head of the chain in the catalog.
    Jsonl {
        /// The folder; by default `audit` in `data_path`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1))]
        path: Option<PathBuf>,
        /// The log's name, by which the catalog keeps its head. Logs that share a catalog need different names, such as
        /// those of several machines.
        #[serde(default = "default_log")]
        #[schemars(length(min = 1, max = 64))]
        log: String,
        /// What happens to operations while the log does not work.
        #[serde(default)]
        on_failure: AuditFailurePolicy,
        /// Whether operations that only tell what is known of artifacts are recorded.
        #[serde(default)]
        lookups: AuditLookups,
        /// When a file is followed by another, and how many are kept.
        #[serde(default)]
        rotation: RotationSettings,
        /// The key of the chain, of at least 32 bytes; by default a generated one, in the file `key` in the folder.
        #[serde(default, skip_serializing)]
        key: Option<Secret>,
        /// Keys that the log was written with before, to go on with it and to verify it.
        #[serde(default, skip_serializing)]
        previous_keys: Vec<Secret>,
    },
    /// A table of an SQLite database; not chained.
    Sqlite {
        /// The file; by default the catalog's own where that is SQLite, else `audit.db` in `data_path`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1))]
        path: Option<PathBuf>,
        /// What happens to operations while the log does not work.
        #[serde(default)]
        on_failure: AuditFailurePolicy,
        /// Whether operations that only tell what is known of artifacts are recorded.
        #[serde(default)]
        lookups: AuditLookups,
    },
    /// Events of the `tracing` library, with the target `boards_storage::audit`.
    Tracing {
        /// Whether operations that only tell what is known of artifacts are recorded.
        #[serde(default)]
        lookups: AuditLookups,
    },
    /// No log.
    None {},
}

/// When a file of the audit log is followed by another, and how many are kept. Each day begins a file, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RotationSettings {
    /// The size at which a file is followed by another: 4KiB to 1GiB.
    #[schemars(extend("x-minimum" = "4KiB", "x-maximum" = "1GiB"))]
    pub size_max: ByteSize,
    /// How many files are kept, the oldest are removed: 2 to 1,000,000. Without it all are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 1_000_000))]
    pub files_max: Option<u32>,
}

/// The name of a log that is given none.
const LOG: &str = "audit";

fn default_log() -> String {
    LOG.to_owned()
}

impl Default for RotationSettings {
    fn default() -> Self {
        Self {
            size_max: ByteSize::from_bytes(64 << 20),
            files_max: None,
        }
    }
}

impl Default for AuditSettings {
    /// Chained files in `data_path`, all of them kept; operations go on while the log does not work.
    fn default() -> Self {
        Self::Jsonl {
            path: None,
            log: default_log(),
            on_failure: AuditFailurePolicy::default(),
            lookups: AuditLookups::default(),
            rotation: RotationSettings::default(),
            key: None,
            previous_keys: Vec::new(),
        }
    }
}

impl AuditSettings {
    /// Returns what holds for every kind of log.
    #[must_use]
    pub fn options(&self) -> AuditOptions {
        let (on_failure, lookups) = match self {
            Self::Jsonl {
                on_failure, lookups, ..
            }
            | Self::Sqlite {
                on_failure, lookups, ..
            } => (*on_failure, *lookups),
            Self::Tracing { lookups } => (AuditFailurePolicy::default(), *lookups),
            Self::None {} => (AuditFailurePolicy::default(), AuditLookups::default()),
        };
        AuditOptions::default()
            .with_on_failure(on_failure)
            .with_lookups(lookups)
    }
}
