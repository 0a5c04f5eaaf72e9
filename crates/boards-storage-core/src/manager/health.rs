//! Health: probing the providers and the catalog, on demand and in the background.
//!
//! Probes go through each provider's stack. Of one provider there is never more than one probe at a time: whoever comes
//! while one runs waits for its result. The watch holds no manager alive, and ends with it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::{join, join_all};
use futures_util::{FutureExt, StreamExt};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::{Inner, StorageManager};
use crate::capabilities::Capability;
use crate::catalog::SharedCatalog;
use crate::clock::Clock;
use crate::content::Content;
use crate::error::{Error, ErrorKind, Result};
use crate::health::{
    CanaryState, ComponentHealth, HealthReport, HealthState, ProviderHealth, RouteHealth, StateChange,
};
use crate::key::StorageKey;
use crate::object_identity::ObjectIdentity;
use crate::operation::ListEntry;
use crate::options::{
    AccessClass, CallContext, CallOptions, DeleteOptions, DownloadOptions, ListOptions, UploadOptions,
};
use crate::provider::SharedProvider;
use crate::routing::Route;
use crate::scope::TenantId;
use crate::settings::HealthSettings;

/// What the keys of canaries begin with. A temporary artifact's key has three segments or more, so that none has such
/// a key.
pub const CANARY_KEY_PREFIX: &str = "temp/boards-storage-canary-";

/// The size of a canary in bytes.
const CANARY_BYTES: usize = 32;

/// Whose objects canaries are, where they are encrypted.
const CANARY_TENANT: &str = "boards-storage-canary";

/// A canary of another process that is this old was left behind.
const CANARY_AGE: Duration = Duration::from_mins(10);

/// So many keys are looked through for them.
const LISTED_MAX: usize = 1000;

/// So many canaries that were left behind are removed at a time.
const CANARIES_MAX: usize = 16;

/// How long [`StorageManager::close`] tries to remove a canary of its own.
const CANARY_PATIENCE: Duration = Duration::from_secs(5);

/// How far the time between two rounds may be from the interval, in parts of it.
const JITTER: f64 = 0.2;

/// Options of [`StorageManager::check_health`].
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct HealthOptions {
    /// Whether each provider also has to take, give back and delete a small object.
    pub canary: bool,
}

impl HealthOptions {
    /// Asks for the canary.
    #[must_use]
    pub fn with_canary(mut self) -> Self {
        self.canary = true;
        self
    }
}

impl StorageManager {
    /// Returns what the last probes said, without probing.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use boards_storage_core::{HealthState, ManagerSettings, MemoryCatalog, StorageManager};
    ///
    /// let manager = StorageManager::new(ManagerSettings::new("main"), Arc::new(MemoryCatalog::default()));
    /// let report = manager.health();
    /// assert_eq!(report.catalog.state, HealthState::Unknown);
    /// assert!(!report.is_ready, "the default route has no provider");
    /// ```
    #[must_use]
    pub fn health(&self) -> HealthReport {
        let board = &self.inner.health;
        let names = self.provider_names();
        let state_of = |name: &str| {
            let is_there = names.iter().any(|known| known == name);
            is_there.then(|| board.of(name).snapshot().state)
        };
        let routes = self.inner.router.routes();
        let routes = routes.map(|route| self.route_health(route, &state_of)).collect();
        let health_of = |name: &String| ProviderHealth::new(name, board.of(name).snapshot());
        HealthReport::new(
            board.catalog.snapshot(),
            names.iter().map(health_of).collect(),
            routes,
        )
    }

    /// Probes every provider and the catalog now, all at once, and returns what they said.
    ///
    /// A probe takes no longer than the settings' `timeout`, and changes nothing; the canary, if asked for, writes,
    /// reads and deletes an object below [`CANARY_KEY_PREFIX`].
    pub async fn check_health(&self, options: &HealthOptions) -> HealthReport {
        self.round(*options).await;
        self.health()
    }

    /// Begins to probe in the background, as the settings' `health` says, until the manager is closed or dropped.
    /// Returns whether it is watched then: not if the settings switch it off. It is begun once.
    ///
    /// Call it within the runtime that is to do it.
    pub fn start_health_monitor(&self) -> bool {
        let settings = &self.inner.settings.health;
        if !settings.enabled {
            return false;
        }
        let mut watch = self.inner.watch.lock().unwrap_or_else(PoisonError::into_inner);
        if watch.is_none() {
            let mut tasks = JoinSet::new();
            tasks.spawn(run(Arc::downgrade(&self.inner), settings.clone()));
            *watch = Some(tasks);
        }
        true
    }

    /// Ends the watch, and removes a canary that it was interrupted at.
    pub(super) async fn stop_health_monitor(&self) {
        let watch = self
            .inner
            .watch
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(mut tasks) = watch {
            tasks.shutdown().await;
        }
        for name in self.provider_names() {
            let entry = self.inner.health.of(&name);
            if let (true, Ok(provider)) = (entry.canary_is_out.load(Ordering::Acquire), self.provider(&name))
            {
                let options = DeleteOptions::default();
                let removed = provider.delete(&self.inner.health.canary_key, &options);
                // What is left is removed by the next process that sends a canary.
                let _ = timeout(CANARY_PATIENCE, removed).await;
            }
        }
    }

    /// Probes everything. The future holds no manager.
    fn round(&self, options: HealthOptions) -> impl Future<Output = ()> + Send + use<> {
        let board = Arc::clone(&self.inner.health);
        let catalog = Arc::clone(&self.inner.catalog);
        let providers: Vec<(String, SharedProvider)> = self
            .provider_names()
            .into_iter()
            .filter_map(|name| self.provider(&name).ok().map(|provider| (name, provider)))
            .collect();
        async move {
            let of_providers = providers
                .iter()
                .map(|(name, provider)| board.probe_provider(name, provider, options));
            join(board.probe_catalog(&catalog), join_all(of_providers)).await;
        }
    }

    fn route_health(&self, route: Route<'_>, state_of: &impl Fn(&str) -> Option<HealthState>) -> RouteHealth {
        let rule = route.rule.and_then(|index| self.inner.router.rules().get(index));
        let condition = rule.and_then(|rule| rule.condition.as_ref());
        let of_condition = condition.and_then(|condition| condition.access.as_ref());
        let classes = of_condition.map_or(&AccessClass::ALL[..], |classes| classes.as_slice());
        let may_hold = |name: &str| {
            let protection = self.protection(name).unwrap_or_default();
            name == route.provider
                || classes
                    .iter()
                    .any(|access| protection.shortfall(*access, route.encryption).is_none())
        };
        let usable = route
            .providers()
            .filter(|name| state_of(name).is_some_and(HealthState::is_usable) && may_hold(name));
        RouteHealth {
            rule: route.rule,
            name: rule.and_then(|rule| rule.name.clone()),
            provider: route.provider.to_owned(),
            usable: usable.map(str::to_owned).collect(),
        }
    }
}

/// A temporary artifact may be called so that its key begins like a canary's; it has more segments.
fn is_canary(key: &StorageKey) -> bool {
    let id = key.as_str().strip_prefix(CANARY_KEY_PREFIX);
    id.is_some_and(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The watch: a round, a pause, for as long as there is a manager.
async fn run(inner: Weak<Inner>, settings: HealthSettings) {
    let options = HealthOptions {
        canary: settings.canary,
    };
    loop {
        let Some(inner) = inner.upgrade() else { return };
        let round = StorageManager::around(inner).round(options);
        round.await;
        tokio::time::sleep(jittered(settings.interval.get())).await;
    }
}

/// Spreads the rounds of many processes that began together.
fn jittered(interval: Duration) -> Duration {
    // Of a random id the first four bytes are random.
    let id = Uuid::new_v4();
    let random = id
        .as_bytes()
        .first_chunk()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let between = f64::from(random) / f64::from(u32::MAX);
    interval.mul_f64(1.0 + JITTER * (2.0 * between - 1.0))
}

/// What is known of everything that a manager uses.
#[derive(Debug)]
pub(super) struct HealthBoard {
    settings: HealthSettings,
    clock: Arc<dyn Clock>,
    catalog: Entry,
    providers: Mutex<BTreeMap<String, Arc<Entry>>>,
    /// The key of this manager's canaries.
    canary_key: StorageKey,
}

/// What is known of one of them.
#[derive(Debug)]
struct Entry {
    health: Mutex<ComponentHealth>,
    /// Who has it probes.
    turn: Semaphore,
    /// Whether a canary may be there.
    canary_is_out: AtomicBool,
}

impl Entry {
    fn new(since: Timestamp) -> Self {
        Self {
            health: Mutex::new(ComponentHealth::unknown(since)),
            turn: Semaphore::new(1),
            canary_is_out: AtomicBool::new(false),
        }
    }

    fn snapshot(&self) -> ComponentHealth {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl HealthBoard {
    pub(super) fn new(settings: HealthSettings, clock: Arc<dyn Clock>) -> Self {
        let key = format!("{CANARY_KEY_PREFIX}{}", Uuid::new_v4().simple());
        Self {
            settings,
            catalog: Entry::new(clock.now()),
            clock,
            providers: Mutex::default(),
            canary_key: StorageKey::parse(key).expect("the prefix is a key's and the rest hex digits"),
        }
    }

    fn of(&self, provider: &str) -> Arc<Entry> {
        let mut providers = self.providers.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = providers.entry(provider.to_owned());
        Arc::clone(entry.or_insert_with(|| Arc::new(Entry::new(self.clock.now()))))
    }

    async fn probe_catalog(&self, catalog: &SharedCatalog) {
        let probe = catalog.probe().map(|outcome| (outcome, CanaryState::Off));
        self.probe("the catalog", &self.catalog, probe).await;
    }

    async fn probe_provider(&self, name: &str, provider: &SharedProvider, options: HealthOptions) {
        let entry = self.of(name);
        let context = CallContext::default().with_deadline_in(self.settings.timeout.get());
        let work = async {
            let call = CallOptions::default().with_context(context.clone());
            let probed = provider.probe(&call).await;
            match probed {
                Ok(()) if options.canary => self.send_canary(provider, &entry, &context).await,
                probed => (probed, CanaryState::Off),
            }
        };
        self.probe(name, &entry, work).await;
    }

    /// Does one probe, unless one is under way: then its result is the answer.
    async fn probe(&self, name: &str, entry: &Entry, work: impl Future<Output = (Result<()>, CanaryState)>) {
        let Ok(_turn) = entry.turn.try_acquire() else {
            let _end_of_the_other = entry.turn.acquire().await;
            return;
        };
        let begun = Instant::now();
        let limit = self.settings.timeout.get();
        let (outcome, canary) = timeout(limit, work).await.unwrap_or_else(|_elapsed| {
            let late = Error::new(
                ErrorKind::Timeout,
                format!("the probe took longer than {limit:?}"),
            );
            (Err(late), CanaryState::Off)
        });
        let (change, state) = {
            let mut health = entry.health.lock().unwrap_or_else(PoisonError::into_inner);
            let change = health.observe(
                outcome.as_ref().copied(),
                begun.elapsed(),
                self.clock.now(),
                &self.settings,
            );
            health.canary = canary;
            (change, health.state)
        };
        if let StateChange::From(before) = change {
            let error = outcome.err().map(|error| error.to_string());
            match state {
                HealthState::Healthy | HealthState::Unknown => {
                    tracing::info!(component = name, %before, now = %state, "health changed");
                }
                HealthState::Degraded | HealthState::Unavailable => {
                    tracing::warn!(component = name, %before, now = %state, error, "health changed");
                }
            }
        }
    }

    /// Writes, reads and deletes a small object, after removing those that others left behind.
    async fn send_canary(
        &self,
        provider: &SharedProvider,
        entry: &Entry,
        context: &CallContext,
    ) -> (Result<()>, CanaryState) {
        // Only where keys are listed, a canary that was left behind is found.
        if !provider.capabilities().has(Capability::List) {
            return (Ok(()), CanaryState::Refused);
        }
        entry.canary_is_out.store(true, Ordering::Release);
        let sent = self.fly(provider, context).await;
        if sent.is_ok() {
            entry.canary_is_out.store(false, Ordering::Release);
        }
        let state = if sent.is_ok() {
            CanaryState::Passed
        } else {
            CanaryState::Failed
        };
        (sent, state)
    }

    async fn fly(&self, provider: &SharedProvider, context: &CallContext) -> Result<()> {
        let key = &self.canary_key;
        self.sweep(provider, context).await?;
        let song: Vec<u8> = [Uuid::new_v4(), Uuid::new_v4()]
            .iter()
            .flat_map(|id| *id.as_bytes())
            .collect();
        let tenant = TenantId::parse(CANARY_TENANT)?;
        let identity = ObjectIdentity::new(tenant, key.as_str())?;
        let context = &context.clone().with_object(identity);
        let upload = UploadOptions::default().with_context(context.clone());
        provider
            .upload(key, Content::from_bytes(song.clone()), &upload)
            .await?;
        let download = DownloadOptions::default().with_context(context.clone());
        let heard = provider
            .download(key, &download)
            .await?
            .into_object()?
            .bytes(CANARY_BYTES)
            .await?;
        if heard[..] != song[..] {
            return Err(
                Error::new(ErrorKind::Corruption, "the canary came back as other bytes").with_key(key),
            );
        }
        let delete = DeleteOptions::default().with_context(context.clone());
        provider.delete(key, &delete).await.map(drop)
    }

    /// Removes canaries that processes which ended left behind.
    async fn sweep(&self, provider: &SharedProvider, context: &CallContext) -> Result<()> {
        let options = ListOptions::default()
            .with_context(context.clone())
            .with_prefix(CANARY_KEY_PREFIX)
            .with_limit(LISTED_MAX);
        let mut entries = provider.list(&options).await?;
        let now = self.clock.now();
        let mut removed = 0;
        while removed < CANARIES_MAX
            && let Some(entry) = entries.next().await.transpose()?
        {
            let ListEntry::Object(found) = entry else { continue };
            let age = found.modified.map(|modified| now.duration_since(modified));
            let is_old = age.is_some_and(|age| Duration::try_from(age).is_ok_and(|age| age > CANARY_AGE));
            if is_old && is_canary(&found.key) && found.key != self.canary_key {
                let delete = DeleteOptions::default().with_context(context.clone());
                provider.delete(&found.key, &delete).await?;
                removed += 1;
            }
        }
        Ok(())
    }
}
