//! Encryption at rest: where its keys are.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secret::Secret;

/// Where the keys are of the providers that say `encryption: true`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct EncryptionSettings {
    /// The file of key-encryption keys, which only its owner may read: one `id = key` a line, with 32 bytes in base64
    /// and a `*` in front of the id that wraps.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub keyring: Option<PathBuf>,
    /// The same as a text, such as `${KEYRING}`, instead of a file; `;` separates keys as well.
    #[serde(skip_serializing)]
    pub keyring_text: Option<Secret>,
    /// The file of the tenant keys, each wrapped by a key-encryption key; by default `tenant-keys.json` in `data_path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub tenant_keys: Option<PathBuf>,
}

impl EncryptionSettings {
    /// Takes key-encryption keys from a file.
    #[must_use]
    pub fn with_keyring(mut self, keyring: impl Into<PathBuf>) -> Self {
        self.keyring = Some(keyring.into());
        self
    }

    /// Takes key-encryption keys from a text.
    #[must_use]
    pub fn with_keyring_text(mut self, text: Secret) -> Self {
        self.keyring_text = Some(text);
        self
    }

    /// Keeps tenant keys in this file.
    #[must_use]
    pub fn with_tenant_keys(mut self, tenant_keys: impl Into<PathBuf>) -> Self {
        self.tenant_keys = Some(tenant_keys.into());
        self
    }

    /// Returns whether there are key-encryption keys.
    #[must_use]
    pub fn has_keyring(&self) -> bool {
        self.keyring.is_some() || self.keyring_text.is_some()
    }
}
