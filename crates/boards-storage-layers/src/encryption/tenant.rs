//! Tenant keys: generations, wrapped by key-encryption keys, kept in a store.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use boards_storage_core::{
    Clock, Error, ErrorKind, ObjectIdentity, Result, SystemClock, TenantId, async_trait,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::crypto::SecretKey;
use super::format::EncryptionHeader;
use super::keyring::{KeyProvider, WrappedKey};

/// How often a change that another process was faster with is tried again.
const RACES_MAX: u32 = 20;

/// For how many tenants keys are kept in memory.
const TENANTS_KEPT_MAX: usize = 10_000;

/// The keys of one tenant as they are kept: nothing in it is secret, as every key is wrapped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TenantKeyRecord {
    /// The tenant.
    pub tenant: TenantId,
    /// Counts the changes, from 1 on.
    pub revision: u64,
    /// Every key that the tenant ever had, oldest first; destroyed ones keep their place.
    pub generations: Vec<TenantKeyGeneration>,
}

impl TenantKeyRecord {
    /// Returns whether every key of the tenant was destroyed and none was made since.
    #[must_use]
    pub fn is_shredded(&self) -> bool {
        self.generations
            .last()
            .is_some_and(|generation| generation.destroyed.is_some())
    }
}

/// One key of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TenantKeyGeneration {
    /// Its number, from 1 on, which the objects name.
    pub number: u32,
    /// When it was made.
    pub created: Timestamp,
    /// When it was destroyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroyed: Option<Timestamp>,
    /// The id of the key-encryption key that wraps it; none once it is destroyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The wrapped key, in base64; none once it is destroyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrapped: Option<String>,
}

impl TenantKeyGeneration {
    fn wrapped_key(&self) -> Result<WrappedKey> {
        use base64::Engine as _;
        let (Some(key_id), Some(wrapped)) = (&self.key_id, &self.wrapped) else {
            return Err(super::format::damaged(
                "a tenant key has neither a wrapped key nor the note that it was destroyed",
            ));
        };
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(wrapped)
            .map_err(|source| {
                super::format::damaged("a wrapped tenant key is not base64").with_source(source)
            })?;
        Ok(WrappedKey::new(key_id.clone(), bytes))
    }

    fn hold(&mut self, wrapped: &WrappedKey) {
        use base64::Engine as _;
        self.key_id = Some(wrapped.key_id.clone());
        self.wrapped = Some(base64::engine::general_purpose::STANDARD.encode(&wrapped.bytes));
    }
}

/// Keeps tenant keys. Losing it is losing every object; a copy of it brings shredded ones back.
#[async_trait]
pub trait TenantKeyStore: fmt::Debug + Send + Sync + 'static {
    /// Returns the keys of a tenant; `None` if it never had one.
    ///
    /// # Errors
    ///
    /// `Corruption` if what is kept cannot be read, `Storage` if the store cannot be asked.
    async fn load(&self, tenant: &TenantId) -> Result<Option<TenantKeyRecord>>;

    /// Keeps a record, durably, if the one that is kept has revision `expected` (0: there is none). Answers whether it
    /// was kept. Atomic, across processes.
    ///
    /// # Errors
    ///
    /// As [`TenantKeyStore::load`].
    async fn save(&self, record: &TenantKeyRecord, expected: u64) -> Result<bool>;

    /// Returns the keys of all tenants, by tenant.
    ///
    /// # Errors
    ///
    /// As [`TenantKeyStore::load`].
    async fn list(&self) -> Result<Vec<TenantKeyRecord>>;
}

/// The tenant keys of an application. A clone shares everything.
///
/// A tenant's first key is made when its first object is written. Unwrapped keys stay in memory, and what the store
/// says is looked at again after [`TenantKeys::with_kept_for`]: so long a process may go on after another one
/// [shredded](TenantKeys::shred) a tenant.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use boards_storage_core::TenantId;
/// use boards_storage_layers::{Keyring, MemoryTenantKeyStore, SecretKey, TenantKeys};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> boards_storage_core::Result<()> {
/// let keyring = Keyring::new("2026-12", SecretKey::random()?)?;
/// let keys = TenantKeys::new(Arc::new(keyring), Arc::new(MemoryTenantKeyStore::default()));
/// let acme = TenantId::parse("acme")?;
/// assert_eq!(keys.rotate(&acme).await?, 1);
/// assert_eq!(keys.rotate(&acme).await?, 2);
/// assert_eq!(keys.shred(&acme).await?, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TenantKeys {
    provider: Arc<dyn KeyProvider>,
    store: Arc<dyn TenantKeyStore>,
    clock: Arc<dyn Clock>,
    kept_for: Duration,
    kept: Arc<Mutex<HashMap<TenantId, Kept>>>,
}

/// What is known of a tenant.
#[derive(Clone, Debug)]
struct Kept {
    record: Arc<TenantKeyRecord>,
    keys: BTreeMap<u32, SecretKey>,
    since: Instant,
}

/// What [`TenantKeys::rewrap_all`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rewrapped {
    /// How many tenant keys were wrapped anew.
    pub rewrapped: u64,
    /// How many had been wrapped by the primary key already.
    pub unchanged: u64,
}

impl TenantKeys {
    /// Keeps tenant keys in `store`, wrapped by `provider`.
    #[must_use]
    pub fn new(provider: Arc<dyn KeyProvider>, store: Arc<dyn TenantKeyStore>) -> Self {
        Self {
            provider,
            store,
            clock: Arc::new(SystemClock),
            kept_for: Duration::from_mins(1),
            kept: Arc::default(),
        }
    }

    /// Sets after which time the store is asked again; one minute by default.
    #[must_use]
    pub fn with_kept_for(mut self, kept_for: Duration) -> Self {
        self.kept_for = kept_for;
        self
    }

    /// Sets the clock that dates keys.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Returns the id of the key-encryption key that wraps from now on.
    #[must_use]
    pub fn primary_id(&self) -> &str {
        self.provider.primary_id()
    }

    /// Returns what is kept of every tenant.
    ///
    /// # Errors
    ///
    /// As [`TenantKeyStore::list`].
    pub async fn list(&self) -> Result<Vec<TenantKeyRecord>> {
        self.store.list().await
    }

    /// Makes a new key for a tenant, which its next objects are wrapped by; returns its generation. Older ones stay, to
    /// read with. After [`TenantKeys::shred`] this is what lets the tenant write again.
    ///
    /// # Errors
    ///
    /// As [`TenantKeyStore::save`] and [`KeyProvider::wrap`].
    pub async fn rotate(&self, tenant: &TenantId) -> Result<u32> {
        let (record, _) = self
            .change(tenant, async |keys, record| {
                keys.add_generation(record).await.map(Some)
            })
            .await?;
        Ok(record
            .generations
            .last()
            .map_or(0, |generation| generation.number))
    }

    /// Wraps every tenant key that another key-encryption key wraps by the primary one. Objects are not touched.
    ///
    /// After it, older key-encryption keys can go. A failure half-way leaves good keys; call it again.
    ///
    /// # Errors
    ///
    /// As [`TenantKeyStore::save`], [`KeyProvider::wrap`] and [`KeyProvider::unwrap`].
    pub async fn rewrap_all(&self) -> Result<Rewrapped> {
        let mut total = Rewrapped::default();
        for known in self.store.list().await? {
            let (record, count) = self
                .change(&known.tenant, async |keys, record| keys.rewrap(record).await)
                .await?;
            let live = record.generations.iter().filter(|key| key.destroyed.is_none());
            total.rewrapped += count;
            total.unchanged += (live.count() as u64).saturating_sub(count);
        }
        Ok(total)
    }

    /// Destroys every key of a tenant, so that nobody can ever read its objects again; returns how many keys.
    ///
    /// The tenant cannot write until [`TenantKeys::rotate`] gives it a new key, which reads nothing old. Copies of the
    /// store, its backups among them, still hold the wrapped keys: they must go too.
    ///
    /// # Errors
    ///
    /// `NotFound` if the tenant never had a key; as [`TenantKeyStore::save`].
    pub async fn shred(&self, tenant: &TenantId) -> Result<u64> {
        let (record, count) = self
            .change(tenant, async |keys, record| {
                let now = keys.clock.now();
                let mut count = 0;
                for generation in &mut record.generations {
                    if generation.destroyed.is_none() {
                        generation.destroyed = Some(now);
                        generation.key_id = None;
                        generation.wrapped = None;
                        count += 1;
                    }
                }
                Ok((count > 0).then_some(count))
            })
            .await?;
        if record.generations.is_empty() {
            return Err(Error::not_found(format!("the tenant '{tenant}' has no key")));
        }
        Ok(count)
    }

    /// Unwraps the data key of an object, so that any Tink (AES256-GCM-HKDF, segments of 64 KiB) reads the stream behind
    /// the header. The associated data is [`EncryptionHeader::associated_data`].
    ///
    /// # Errors
    ///
    /// `Corruption` if the header is not that of this object, `AccessDenied` if the tenant's key was destroyed.
    pub async fn data_key(&self, header: &EncryptionHeader, identity: &ObjectIdentity) -> Result<SecretKey> {
        let tenant_key = self.generation(identity.tenant(), header.generation()).await?;
        header.unwrap(&tenant_key, identity)
    }

    /// Makes the header that goes in front of a Tink stream that was written with this data key.
    ///
    /// # Errors
    ///
    /// `AccessDenied` if the tenant's key was destroyed.
    pub async fn header(&self, data_key: &SecretKey, identity: &ObjectIdentity) -> Result<EncryptionHeader> {
        let (generation, tenant_key) = self.current(identity.tenant()).await?;
        EncryptionHeader::wrap(&tenant_key, generation, data_key, identity)
    }

    /// Returns the key that a tenant's next object is wrapped by, and its generation.
    pub(super) async fn current(&self, tenant: &TenantId) -> Result<(u32, SecretKey)> {
        let mut kept = self.look(tenant, None).await?;
        if kept.record.generations.is_empty() {
            // Two who find none make one: the change is made only where there still is none.
            self.change(tenant, async |keys, record| match record.generations.is_empty() {
                true => keys.add_generation(record).await.map(Some),
                false => Ok(None),
            })
            .await?;
            kept = self.look(tenant, None).await?;
        }
        match kept.record.generations.last() {
            Some(last) if last.destroyed.is_none() => {
                let number = last.number;
                Ok((number, self.unwrapped(&kept, number).await?))
            }
            _ => Err(destroyed(tenant)
                .with_help("make a new key for the tenant if it is to write again: it reads nothing old")),
        }
    }

    /// Returns the key of a generation that an object names.
    pub(super) async fn generation(&self, tenant: &TenantId, number: u32) -> Result<SecretKey> {
        let kept = self.look(tenant, Some(number)).await?;
        let found = kept.record.generations.iter().find(|key| key.number == number);
        match found {
            Some(generation) if generation.destroyed.is_none() => self.unwrapped(&kept, number).await,
            Some(_) => Err(destroyed(tenant)),
            None if kept.record.generations.is_empty() => Err(Error::configuration(format!(
                "there is no key for the tenant '{tenant}'"
            ))
            .with_help("point at the tenant keys that the object was written with, or restore them")),
            None => Err(super::format::damaged(
                "the object names a generation of the tenant's key that never was",
            )),
        }
    }

    /// Returns what is known of a tenant, asking the store where that is old or does not know the generation.
    async fn look(&self, tenant: &TenantId, number: Option<u32>) -> Result<Kept> {
        let known = self.kept().get(tenant).cloned();
        if let Some(known) = &known {
            let generations = &known.record.generations;
            let has = number.is_none_or(|number| generations.iter().any(|key| key.number == number));
            if known.since.elapsed() < self.kept_for && has {
                return Ok(known.clone());
            }
        }
        let record = self.load(tenant).await?;
        let mut kept = Kept {
            keys: BTreeMap::new(),
            since: Instant::now(),
            record: Arc::new(record),
        };
        if let Some(known) = known {
            // What is unwrapped already stays, unless it was destroyed.
            let live = |number: &u32| {
                let mut generations = kept.record.generations.iter();
                generations.any(|key| key.number == *number && key.destroyed.is_none())
            };
            kept.keys = known
                .keys
                .into_iter()
                .filter(|(number, _)| live(number))
                .collect();
        }
        self.keep(kept.clone());
        Ok(kept)
    }

    async fn unwrapped(&self, kept: &Kept, number: u32) -> Result<SecretKey> {
        if let Some(key) = kept.keys.get(&number) {
            return Ok(key.clone());
        }
        let generation = kept.record.generations.iter().find(|key| key.number == number);
        let wrapped = generation
            .ok_or_else(|| super::format::damaged("a generation of a tenant key is missing"))?
            .wrapped_key()?;
        let context = context(&kept.record.tenant, number);
        let key = self.provider.unwrap(&wrapped, &context).await?;
        if let Some(known) = self.kept().get_mut(&kept.record.tenant)
            && known.record == kept.record
        {
            known.keys.insert(number, key.clone());
        }
        Ok(key)
    }

    async fn load(&self, tenant: &TenantId) -> Result<TenantKeyRecord> {
        let record = self.store.load(tenant).await?;
        Ok(record.unwrap_or_else(|| TenantKeyRecord {
            tenant: tenant.clone(),
            revision: 0,
            generations: Vec::new(),
        }))
    }

    /// Changes a record, again if another process was faster. `change` answers `None` if nothing is to be changed.
    async fn change(
        &self,
        tenant: &TenantId,
        change: impl AsyncFn(&Self, &mut TenantKeyRecord) -> Result<Option<u64>>,
    ) -> Result<(Arc<TenantKeyRecord>, u64)> {
        for _ in 0..RACES_MAX {
            let mut record = self.load(tenant).await?;
            let expected = record.revision;
            let count = change(self, &mut record).await?;
            record.revision += u64::from(count.is_some());
            if count.is_none() || self.store.save(&record, expected).await? {
                let record = Arc::new(record);
                self.keep(Kept {
                    record: Arc::clone(&record),
                    keys: BTreeMap::new(),
                    since: Instant::now(),
                });
                return Ok((record, count.unwrap_or(0)));
            }
        }
        Err(Error::new(
            ErrorKind::Storage,
            format!(
                "the keys of the tenant '{tenant}' changed {RACES_MAX} times while they were to be changed"
            ),
        ))
    }

    async fn add_generation(&self, record: &mut TenantKeyRecord) -> Result<u64> {
        let last = record.generations.last().map_or(0, |key| key.number);
        let number = last.checked_add(1).ok_or_else(|| {
            Error::new(
                ErrorKind::Storage,
                "the tenant has as many keys as can be numbered",
            )
        })?;
        let key = SecretKey::random()?;
        let wrapped = self.provider.wrap(&key, &context(&record.tenant, number)).await?;
        let mut generation = TenantKeyGeneration {
            number,
            created: self.clock.now(),
            destroyed: None,
            key_id: None,
            wrapped: None,
        };
        generation.hold(&wrapped);
        record.generations.push(generation);
        Ok(1)
    }

    async fn rewrap(&self, record: &mut TenantKeyRecord) -> Result<Option<u64>> {
        let mut count = 0;
        for generation in &mut record.generations {
            let is_current = generation.key_id.as_deref() == Some(self.provider.primary_id());
            if generation.destroyed.is_some() || is_current {
                continue;
            }
            let context = context(&record.tenant, generation.number);
            let key = self.provider.unwrap(&generation.wrapped_key()?, &context).await?;
            generation.hold(&self.provider.wrap(&key, &context).await?);
            count += 1;
        }
        Ok((count > 0).then_some(count))
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<TenantId, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, new: Kept) {
        let mut kept = self.kept();
        if kept.len() >= TENANTS_KEPT_MAX && !kept.contains_key(&new.record.tenant) {
            kept.clear();
        }
        kept.insert(new.record.tenant.clone(), new);
    }
}

fn destroyed(tenant: &TenantId) -> Error {
    Error::new(
        ErrorKind::AccessDenied,
        format!("the key of the tenant '{tenant}' was destroyed: what it encrypted can never be read again"),
    )
}

/// What a wrapped tenant key is bound to.
fn context(tenant: &TenantId, number: u32) -> Vec<u8> {
    let mut bytes = b"boards-storage tenant key v1\0".to_vec();
    bytes.extend(number.to_be_bytes());
    bytes.extend(tenant.as_str().as_bytes());
    bytes
}
