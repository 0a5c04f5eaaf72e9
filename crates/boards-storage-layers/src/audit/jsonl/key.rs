//! The key of the chain: from the settings, or in a file beside the log.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use boards_storage_core::{Error, ErrorKind, Result, Secret};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::files::{KEY, failed, sync_folder};

/// The shortest key, in bytes.
const KEY_BYTES_MIN: usize = 32;

/// The longest key file, in bytes.
const KEY_FILE_BYTES_MAX: u64 = 4096;

/// What the id of a key is computed over.
const ID_INPUT: &[u8] = b"boards-storage audit key id";

/// The key of a log's message authentication codes, which are HMAC-SHA256. Its bytes are those of its text.
///
/// Whoever has the key can forge the log. Its id, which the log shows, tells nothing of the key.
#[derive(Clone)]
pub struct AuditKey {
    id: String,
    mac: Hmac<Sha256>,
}

impl AuditKey {
    /// Takes a text of at least 32 bytes as the key.
    ///
    /// # Errors
    ///
    /// `Configuration` if it is shorter.
    ///
    /// # Examples
    ///
    /// ```
    /// use boards_storage_core::Secret;
    /// use boards_storage_layers::AuditKey;
    ///
    /// assert!(AuditKey::new(&Secret::new("hunter2")).is_err());
    /// let key = AuditKey::new(&Secret::new("correct horse battery staple, and more")).expect("long enough");
    /// assert_eq!(key.id().len(), 16);
    /// ```
    pub fn new(text: &Secret) -> Result<Self> {
        let bytes = text.expose().as_bytes();
        if bytes.len() < KEY_BYTES_MIN {
            return Err(Error::configuration(format!(
                "the key of the audit log has {} bytes, expected at least {KEY_BYTES_MIN}",
                bytes.len()
            ))
            .with_help("make one with `openssl rand -hex 32`"));
        }
        let mac = Hmac::<Sha256>::new_from_slice(bytes).expect("HMAC takes keys of any length");
        let mut id = mac.clone();
        id.update(ID_INPUT);
        Ok(Self {
            id: hex(&id.finalize().into_bytes()[..8]),
            mac,
        })
    }

    /// Returns the key's id: 16 hex digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Computes the code of these bytes, as 64 lower-case hex digits.
    pub(super) fn code(&self, bytes: &[u8]) -> String {
        let mut mac = self.mac.clone();
        mac.update(bytes);
        hex(&mac.finalize().into_bytes())
    }
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The keys of a log: the one that writes, and older ones that can still verify.
#[derive(Clone, Debug)]
pub struct AuditKeys {
    keys: Vec<AuditKey>,
}

impl AuditKeys {
    /// Takes one key.
    #[must_use]
    pub fn new(key: AuditKey) -> Self {
        Self { keys: vec![key] }
    }

    /// Adds an older key.
    #[must_use]
    pub fn with_previous(mut self, key: AuditKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Returns the key that writes.
    pub(super) fn present(&self) -> &AuditKey {
        &self.keys[0]
    }

    /// Returns the key of that id.
    pub(super) fn find(&self, id: &str) -> Option<&AuditKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Reads the key file of a log, if it has one.
    ///
    /// # Errors
    ///
    /// `Configuration` if it holds no key; `Storage` or `AccessDenied` if it cannot be read.
    pub async fn of_folder(folder: impl AsRef<Path>) -> Result<Option<Self>> {
        let folder = folder.as_ref().to_owned();
        let read = tokio::task::spawn_blocking(move || Self::read(&folder)).await;
        let read = read.map_err(|source| {
            Error::new(ErrorKind::Storage, "reading the key of the audit log was ended").with_source(source)
        })?;
        match read {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// Reads the key file of a log.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is none; `Configuration` if it holds no key.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(KEY);
        let file = File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::not_found(format!(
                "the key of the audit log, '{}', does not exist",
                path.display()
            ))
            .with_help("put the key file back, or give the key in the audit settings"),
            _ => failed("cannot read the key of the audit log", &path, source),
        })?;
        let mut text = String::new();
        file.take(KEY_FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(|source| failed("cannot read the key of the audit log", &path, source))?;
        AuditKey::new(&Secret::new(text.trim_end())).map(Self::new)
    }

    /// Reads the key file of a log that has no lines yet, or makes it. The caller holds the log's lock.
    pub(super) fn read_or_make(folder: &Path) -> Result<Self> {
        let path = folder.join(KEY);
        if path.try_exists().unwrap_or(true) {
            return Self::read(folder);
        }
        let cannot = |source| failed("cannot make the key of the audit log", &path, source);
        let fresh = folder.join(format!("{KEY}.new"));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        private(&mut options);
        let mut file = options.open(&fresh).map_err(cannot)?;
        let text = hex(&rand::random::<[u8; 32]>());
        writeln!(file, "{text}")
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::rename(&fresh, &path))
            .and_then(|()| sync_folder(folder))
            .map_err(cannot)?;
        AuditKey::new(&Secret::new(text)).map(Self::new)
    }
}

/// Gives new files to their owner alone.
pub(super) fn private(options: &mut OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    #[cfg(not(unix))]
    let _ = options;
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_hmac_sha256() {
        let key = Secret::new("\u{2a}".repeat(131));
        let code = AuditKey::new(&key).expect("long enough").code(b"what");
        // Computed with Python: hmac.new(b"*" * 131, b"what", "sha256").hexdigest()
        assert_eq!(
            code,
            "5a1d832d2e29036ee332b27c602effaa98cd4260b6649f35461af793b0ef6471"
        );
    }

    #[test]
    fn a_key_has_32_bytes_at_least() {
        assert!(AuditKey::new(&Secret::new("x".repeat(31))).is_err());
        assert!(AuditKey::new(&Secret::new("x".repeat(32))).is_ok());
    }

    #[test]
    fn neither_a_key_nor_its_debug_tells_it() {
        let text = "0123456789abcdef0123456789abcdef";
        let key = AuditKey::new(&Secret::new(text)).expect("long enough");
        assert!(!format!("{key:?}{:?}", AuditKeys::new(key.clone())).contains(text));
    }
}
