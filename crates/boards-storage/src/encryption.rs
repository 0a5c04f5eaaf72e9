//! Encryption at rest, from the settings: its keys, and the layer of a provider.

use std::sync::Arc;

use boards_storage_core::{Error, Result, StorageSettings};
use boards_storage_layers::{FileTenantKeyStore, Keyring, TenantKeys};

/// Opens the tenant keys that the settings describe, to look after them or to encrypt by hand.
///
/// # Errors
///
/// `Configuration` if `storage.encryption` has no keyring, or one that is wrong.
///
/// # Examples
///
/// ```
/// use boards_storage::{open_tenant_keys, Result, StorageSettings, TenantId};
///
/// async fn forget(settings: &StorageSettings, tenant: &TenantId) -> Result<u64> {
///     open_tenant_keys(settings).await?.shred(tenant).await
/// }
/// ```
pub async fn open_tenant_keys(settings: &StorageSettings) -> Result<TenantKeys> {
    let encryption = &settings.encryption;
    let keyring = match (&encryption.keyring, &encryption.keyring_text) {
        (Some(path), None) => Keyring::read(path).await?,
        (None, Some(text)) => Keyring::parse(text)?,
        (Some(_), Some(_)) => {
            return Err(Error::configuration(
                "storage.encryption has both a keyring and a keyring_text",
            ));
        }
        (None, None) => {
            return Err(Error::configuration("storage.encryption has no keyring")
                .with_help("give storage.encryption.keyring, or keyring_text"));
        }
    };
    let store = FileTenantKeyStore::new(settings.tenant_keys_path());
    Ok(TenantKeys::new(Arc::new(keyring), Arc::new(store)))
}
