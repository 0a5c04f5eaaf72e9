//! Where key-encryption keys come from: the contract, and a keyring in a text.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boards_storage_core::{Error, Result, Secret, async_trait};
use zeroize::{Zeroize as _, Zeroizing};

use super::crypto::{self, SecretKey};

/// A key that is wrapped by a key-encryption key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrappedKey {
    /// The id of the key-encryption key.
    pub key_id: String,
    /// The wrapped key, in whatever form its provider gives.
    pub bytes: Vec<u8>,
}

impl WrappedKey {
    /// Names a wrapped key.
    pub fn new(key_id: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            key_id: key_id.into(),
            bytes: bytes.into(),
        }
    }
}

/// Wraps and unwraps tenant keys by key-encryption keys, which need never leave where they are.
///
/// # Key management services
///
/// A service that encrypts small texts is a provider. For AWS KMS, `wrap` is `Encrypt` and `unwrap` is `Decrypt`, the id
/// the key's ARN, and `context` goes into the encryption context, base64-encoded; for Google Cloud KMS it is the
/// additional authenticated data of `encrypt` and `decrypt`; for Vault's transit engine `associated_data` of
/// `transit/encrypt/:name`, and the id is the name. They are asked once per tenant key and time that it is kept in
/// memory, not per object. No layer repeats a call that fails: a provider does that itself.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{Result, async_trait};
/// use boards_storage_layers::{KeyProvider, Keyring, SecretKey, WrappedKey};
///
/// /// Counts nothing, logs nothing: passes on to a keyring.
/// #[derive(Debug)]
/// struct Vault(Keyring);
///
/// #[async_trait]
/// impl KeyProvider for Vault {
///     fn primary_id(&self) -> &str {
///         self.0.primary_id()
///     }
///
///     async fn wrap(&self, key: &SecretKey, context: &[u8]) -> Result<WrappedKey> {
///         self.0.wrap(key, context).await
///     }
///
///     async fn unwrap(&self, wrapped: &WrappedKey, context: &[u8]) -> Result<SecretKey> {
///         self.0.unwrap(wrapped, context).await
///     }
/// }
/// ```
#[async_trait]
pub trait KeyProvider: fmt::Debug + Send + Sync + 'static {
    /// Returns the id of the key that [`KeyProvider::wrap`] uses.
    fn primary_id(&self) -> &str;

    /// Wraps a key by the primary key-encryption key. `context` is authenticated with it, and not stored.
    ///
    /// # Errors
    ///
    /// What the provider answers; `ProviderUnavailable` that may be retried where it cannot be asked.
    async fn wrap(&self, key: &SecretKey, context: &[u8]) -> Result<WrappedKey>;

    /// Unwraps a key that was wrapped with this context.
    ///
    /// # Errors
    ///
    /// `Configuration` if the key-encryption key of that id is not there; `Corruption` if this is not what was wrapped,
    /// or not with this context.
    async fn unwrap(&self, wrapped: &WrappedKey, context: &[u8]) -> Result<SecretKey>;
}

/// Key-encryption keys in a text: a file that only its owner may read, or a value of the settings.
///
/// One key a line (or between semicolons): its id, `=`, 32 bytes in base64. The primary one, which wraps, has a `*` in
/// front; a lone key needs none. Empty lines and lines that begin with `#` are skipped.
///
/// ```text
/// # made 2026-12-01
/// *2026-12 = 6PNVDIQzuXnx1oNDlMFvSDTLzWvDJHrLFwK7nAWgGTY=
/// 2026-06 = dUAxzqAkiSUwNYhWHXYoTFgs1bPDB2tlYnMzZTs8fIk=
/// ```
///
/// `Debug` shows ids alone.
///
/// # Examples
///
/// ```
/// use boards_storage_core::Secret;
/// use boards_storage_layers::Keyring;
///
/// let line = Keyring::line("2026-12")?;
/// let keyring = Keyring::parse(&line)?;
/// assert_eq!(keyring.ids().collect::<Vec<_>>(), ["2026-12"]);
/// assert!(Keyring::parse(&Secret::new("2026-12 = short")).is_err());
/// # Ok::<(), boards_storage_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Keyring {
    primary: String,
    keys: BTreeMap<String, SecretKey>,
}

impl Keyring {
    /// The longest id of a key, in bytes.
    pub const ID_BYTES_MAX: usize = 64;
    /// The longest keyring, in bytes.
    pub const TEXT_BYTES_MAX: u64 = 64 << 10;

    /// Creates a keyring of one key, its primary.
    ///
    /// # Errors
    ///
    /// `Configuration` if the id is not 1 to [`Self::ID_BYTES_MAX`] of `A-Z a-z 0-9 . _ -`.
    pub fn new(id: impl Into<String>, key: SecretKey) -> Result<Self> {
        let primary = id.into();
        check_id(&primary)?;
        Ok(Self {
            keys: BTreeMap::from([(primary.clone(), key)]),
            primary,
        })
    }

    /// Adds a key that can still unwrap.
    ///
    /// # Errors
    ///
    /// `Configuration` if the id is no id, or taken.
    pub fn with_key(mut self, id: impl Into<String>, key: SecretKey) -> Result<Self> {
        let id = id.into();
        check_id(&id)?;
        if self.keys.contains_key(&id) {
            return Err(Error::configuration(format!(
                "the keyring has the key '{id}' twice"
            )));
        }
        self.keys.insert(id, key);
        Ok(self)
    }

    /// Parses a keyring.
    ///
    /// # Errors
    ///
    /// `Configuration` that names the line and never shows it.
    pub fn parse(text: &Secret) -> Result<Self> {
        let mut keys = BTreeMap::new();
        let mut marked = None;
        for (number, line) in (1..).zip(text.expose().split(['\n', ';'])) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |what: &str| {
                Error::configuration(format!("line {number} of the keyring {what}")).with_help(
                    "write `id = key` with 32 bytes in base64, such as from `openssl rand -base64 32`",
                )
            };
            let (id, key) = line.split_once('=').ok_or_else(|| wrong("has no '='"))?;
            let (id, is_primary) = match id.trim().strip_prefix('*') {
                Some(id) => (id.trim(), true),
                None => (id.trim(), false),
            };
            check_id(id)?;
            let bytes = STANDARD
                .decode(key.trim())
                .map(Zeroizing::new)
                .map_err(|_shows_bytes| wrong("has a key that is not base64"))?;
            let key =
                SecretKey::from_slice(&bytes).ok_or_else(|| wrong("has a key that is not 32 bytes long"))?;
            if keys.insert(id.to_owned(), key).is_some() {
                return Err(wrong("has an id that an earlier line has"));
            }
            if is_primary && marked.replace(id.to_owned()).is_some() {
                return Err(wrong("marks a second primary key by '*'"));
            }
        }
        let primary = match (marked, keys.len()) {
            (Some(primary), _) => primary,
            (None, 1) => keys.keys().next().cloned().unwrap_or_default(),
            (None, 0) => return Err(Error::configuration("the keyring has no key")),
            (None, _) => {
                return Err(Error::configuration(
                    "the keyring has several keys and none is marked as the primary one",
                )
                .with_help("put a '*' in front of the id of the key that is to wrap from now on"));
            }
        };
        Ok(Self { primary, keys })
    }

    /// Reads a keyring from a file.
    ///
    /// # Errors
    ///
    /// `Configuration` if the file cannot be read, if others than its owner may read it (on Unix), or as
    /// [`Keyring::parse`].
    pub async fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        tokio::task::spawn_blocking(move || Self::parse(&read_private(&path)?))
            .await
            .map_err(|source| Error::configuration("reading the keyring failed").with_source(source))?
    }

    /// Makes a fresh key and returns it as a line of a keyring.
    ///
    /// # Errors
    ///
    /// `Configuration` if the id is no id; `Storage` if the system gives no random bytes.
    pub fn line(id: &str) -> Result<Secret> {
        check_id(id)?;
        let key = SecretKey::random()?;
        let mut text = STANDARD.encode(key.expose());
        let line = Secret::new(format!("{id} = {text}"));
        text.zeroize();
        Ok(line)
    }

    /// Returns the ids of the keys, in order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }
}

#[expect(clippy::disallowed_methods, reason = "it runs in a blocking task")]
fn read_private(path: &Path) -> Result<Secret> {
    use std::io::Read as _;
    let cannot = |what: &str| Error::configuration(format!("the keyring '{}' {what}", path.display()));
    let file = std::fs::File::open(path).map_err(|source| cannot("cannot be read").with_source(source))?;
    let metadata = file
        .metadata()
        .map_err(|source| cannot("cannot be looked at").with_source(source))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(
                cannot(&format!("can be read or changed by others (mode {mode:03o})"))
                    .with_help(format!("run `chmod 600 {}`", path.display())),
            );
        }
    }
    if metadata.len() > Keyring::TEXT_BYTES_MAX {
        return Err(cannot(&format!(
            "has more than {} bytes",
            Keyring::TEXT_BYTES_MAX
        )));
    }
    let mut text = String::new();
    file.take(Keyring::TEXT_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|source| cannot("cannot be read as text").with_source(source))?;
    Ok(Secret::new(text))
}

fn check_id(id: &str) -> Result<()> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=Keyring::ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(is_allowed) {
        return Ok(());
    }
    // It may be a key that slipped into the id's place.
    Err(Error::configuration(format!(
        "the id of a key must be 1 to {} of A-Z, a-z, 0-9, '.', '_' and '-'",
        Keyring::ID_BYTES_MAX
    )))
}

#[async_trait]
impl KeyProvider for Keyring {
    fn primary_id(&self) -> &str {
        &self.primary
    }

    async fn wrap(&self, key: &SecretKey, context: &[u8]) -> Result<WrappedKey> {
        let by = self
            .keys
            .get(&self.primary)
            .expect("the primary key is one of the keys");
        Ok(WrappedKey::new(
            self.primary.clone(),
            crypto::wrap(by, key, context)?,
        ))
    }

    async fn unwrap(&self, wrapped: &WrappedKey, context: &[u8]) -> Result<SecretKey> {
        let by = self.keys.get(&wrapped.key_id).ok_or_else(|| {
            Error::configuration(format!("the keyring has no key '{}'", wrapped.key_id))
                .with_help("add it: what it wrapped can be read with it alone")
        })?;
        crypto::unwrap(by, &wrapped.bytes, context).ok_or_else(|| {
            super::format::damaged("a tenant key was changed, or wrapped by another key of the same id")
        })
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("primary", &self.primary)
            .field("ids", &self.keys.keys())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const TWO: &str = "HxweHRobGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgE=";

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        match (Keyring::parse(&Secret::new(text)), expected) {
            (Ok(keyring), Ok(primary)) => assert_eq!(keyring.primary_id(), primary),
            (Err(error), Err(part)) => {
                let told = format!("{error} {:?}", error.help());
                assert!(told.contains(part), "{told}");
                assert!(!told.contains(ONE) && !told.contains(TWO), "{told}");
            }
            (result, expected) => panic!("{result:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_keyring_has_one_primary_key() {
        check(&format!("a = {ONE}"), Ok("a"));
        check(&format!("\n# old\na={ONE}\n * b = {TWO}\n"), Ok("b"));
        check(&format!("*a={ONE};b={TWO};"), Ok("a"));
        check(&format!("a={ONE};b={TWO}"), Err("none is marked"));
        check(
            &format!("*a={ONE};*b={TWO}"),
            Err("line 2 of the keyring marks a second"),
        );
        check(&format!("a={ONE};a={TWO}"), Err("line 2"));
        check("", Err("no key"));
        check(ONE.trim_end_matches('='), Err("line 1 of the keyring has no '='"));
        check("a=x", Err("not base64"));
        check("a=AAEC", Err("32 bytes"));
        check(&format!("a b={ONE}"), Err("the id of a key"));
        check(&format!("={ONE}"), Err("the id of a key"));
    }

    #[test]
    fn a_keyring_shows_no_key() {
        let keyring = Keyring::parse(&Secret::new(format!("*a={ONE};b={TWO}"))).expect("valid");
        assert_eq!(
            format!("{keyring:?}"),
            r#"Keyring { primary: "a", ids: ["a", "b"], .. }"#
        );
    }

    #[cfg(unix)]
    #[expect(clippy::disallowed_methods, reason = "a test that writes the file itself")]
    #[tokio::test]
    async fn a_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keyring");
        std::fs::write(&path, format!("a={ONE}")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("set");
        let error = Keyring::read(&path).await.expect_err("refused");
        assert!(error.to_string().contains("mode 644"), "{error}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("set");
        assert_eq!(Keyring::read(&path).await.expect("private").primary_id(), "a");
    }
}
