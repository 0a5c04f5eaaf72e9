//! Where tenant keys are kept: in memory, or in a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use boards_storage_core::{Error, ErrorKind, Result, TenantId, async_trait};
use serde::{Deserialize, Serialize};

use super::tenant::{TenantKeyRecord, TenantKeyStore};

type Records = BTreeMap<String, TenantKeyRecord>;

/// Keeps tenant keys in memory, for tests: what they encrypted is lost with them.
#[derive(Debug, Default)]
pub struct MemoryTenantKeyStore {
    records: Mutex<Records>,
}

#[async_trait]
impl TenantKeyStore for MemoryTenantKeyStore {
    async fn load(&self, tenant: &TenantId) -> Result<Option<TenantKeyRecord>> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(records.get(tenant.as_str()).cloned())
    }

    async fn save(&self, record: &TenantKeyRecord, expected: u64) -> Result<bool> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(replace(&mut records, record, expected))
    }

    async fn list(&self) -> Result<Vec<TenantKeyRecord>> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(records.values().cloned().collect())
    }
}

fn replace(records: &mut Records, record: &TenantKeyRecord, expected: u64) -> bool {
    let known = records
        .get(record.tenant.as_str())
        .map_or(0, |known| known.revision);
    if known != expected {
        return false;
    }
    records.insert(record.tenant.as_str().to_owned(), record.clone());
    true
}

/// Keeps tenant keys in one file of JSON, which several processes of one machine may share.
///
/// A change takes a lock beside it, writes a new file, syncs it and renames it into place: whoever reads sees the old or
/// the new one. Nothing in it is secret without the key-encryption keys; still only its owner may read it.
///
/// # Examples
///
/// ```no_run
/// use boards_storage_layers::FileTenantKeyStore;
///
/// let store = FileTenantKeyStore::new("/var/lib/app/tenant-keys.json");
/// ```
#[derive(Clone, Debug)]
pub struct FileTenantKeyStore {
    path: Arc<PathBuf>,
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    format: u32,
    tenants: Records,
}

const FORMAT: u32 = 1;

impl FileTenantKeyStore {
    /// Names the file. It and its folder are made with the first key.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: Arc::new(path.into()),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: fn(&Path, Option<Change>) -> Result<T>,
        change: Option<Change>,
    ) -> Result<T> {
        let path = Arc::clone(&self.path);
        tokio::task::spawn_blocking(move || work(&path, change))
            .await
            .map_err(|source| {
                Error::new(ErrorKind::Storage, "looking at the tenant keys failed").with_source(source)
            })?
    }
}

/// A record to keep, and the revision that it replaces.
type Change = (TenantKeyRecord, u64);

#[async_trait]
impl TenantKeyStore for FileTenantKeyStore {
    async fn load(&self, tenant: &TenantId) -> Result<Option<TenantKeyRecord>> {
        let mut records = self.run(|path, _none| read(path), None).await?;
        Ok(records.remove(tenant.as_str()))
    }

    async fn save(&self, record: &TenantKeyRecord, expected: u64) -> Result<bool> {
        self.run(write, Some((record.clone(), expected))).await
    }

    async fn list(&self) -> Result<Vec<TenantKeyRecord>> {
        let records = self.run(|path, _none| read(path), None).await?;
        Ok(records.into_values().collect())
    }
}

fn failed(path: &Path, what: &str, source: io::Error) -> Error {
    let kind = match source.kind() {
        io::ErrorKind::PermissionDenied => ErrorKind::AccessDenied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::InsufficientStorage,
        _ => ErrorKind::Storage,
    };
    Error::new(
        kind,
        format!("the tenant keys '{}' cannot be {what}", path.display()),
    )
    .with_source(source)
}

#[expect(clippy::disallowed_methods, reason = "it runs in a blocking task")]
fn read(path: &Path) -> Result<Records> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Records::new()),
        Err(error) => return Err(failed(path, "read", error)),
    };
    let damaged = |what: &str| {
        Error::new(
            ErrorKind::Corruption,
            format!("the tenant keys '{}' {what}", path.display()),
        )
        .with_help("restore the file from its backup: without it no object of its tenants can be read")
    };
    let kept: Kept = serde_json::from_slice(&text)
        .map_err(|source| damaged("are not what was written there").with_source(source))?;
    if kept.format != FORMAT {
        return Err(damaged(&format!(
            "have the format {}, known is {FORMAT}",
            kept.format
        )));
    }
    if let Some((name, _)) = kept
        .tenants
        .iter()
        .find(|(name, record)| record.tenant.as_str() != *name)
    {
        return Err(damaged(&format!("name the tenant '{name}' in two ways")));
    }
    Ok(kept.tenants)
}

#[expect(clippy::disallowed_methods, reason = "it runs in a blocking task")]
fn write(path: &Path, change: Option<Change>) -> Result<bool> {
    let Some((record, expected)) = change else {
        return Ok(false);
    };
    let beside = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|source| failed(folder, "kept in their folder", source))?;
    }
    let lock_path = beside(".lock");
    let lock = private(&lock_path).map_err(|source| failed(&lock_path, "locked", source))?;
    lock.lock()
        .map_err(|source| failed(&lock_path, "locked", source))?;
    let mut tenants = read(path)?;
    if !replace(&mut tenants, &record, expected) {
        return Ok(false);
    }
    let kept = Kept {
        format: FORMAT,
        tenants,
    };
    let text = serde_json::to_vec_pretty(&kept).map_err(|source| {
        Error::new(ErrorKind::Storage, "the tenant keys cannot be written").with_source(source)
    })?;
    let new_path = beside(".new");
    let publish = || -> io::Result<()> {
        let mut file = private(&new_path)?;
        file.set_len(0)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&new_path, path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if cfg!(unix) {
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(())
    };
    publish().map_err(|source| failed(path, "written", source))?;
    // The lock goes with its file handle.
    drop(lock);
    Ok(true)
}

/// Opens a file to write, for its owner alone.
#[expect(clippy::disallowed_methods, reason = "it runs in a blocking task")]
fn private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
