//! A store, the proxy before it, and the ways to it: past the proxy, bare through it, and with layers through it.

use boards_storage::prelude::*;
use boards_storage::{
    AuditSettings, CatalogSettings, DownloadOptions, ListOptions, ProviderSettings, SharedProvider,
    StorageProvider, StorageSettings, UploadOptions, ValidationSettings,
};
use boards_storage_testkit::SupabaseDouble;
use boards_storage_testkit::proxy::{Fault, FaultProxy, Rule};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};

use crate::Config;
use crate::case::Does;
use crate::store::{At, Store, Unfinished, text};

/// More than any object here has.
const OBJECT_BYTES_MAX: usize = 64 << 20;

pub(crate) struct World {
    pub(crate) proxy: FaultProxy,
    /// Past the proxy.
    pub(crate) direct: SharedProvider,
    /// Through the proxy, without layers.
    pub(crate) bare: SharedProvider,
    /// Through the proxy, with the layers that an application gets.
    pub(crate) storage: StorageManager,
    store: Store,
    config: Config,
    _double: Option<SupabaseDouble>,
}

impl World {
    /// Opens a world whose layers repeat at once.
    pub(crate) async fn open(store: Store, config: Config) -> Self {
        let resilience = json!({ "retry": { "delay_initial": "1ms" } });
        Self::open_with(store, config, resilience, |_| {}).await
    }

    /// Opens a world in which a local folder stands in for the store.
    pub(crate) async fn open_with_spare(store: Store, config: Config, folder: &std::path::Path) -> Self {
        let resilience = json!({ "retry": { "delay_initial": "1ms" } });
        let spare = ProviderSettings::new("spare", "local", json!({ "base_path": folder }));
        let with_spare = |settings: StorageSettings| settings.with_provider(spare).with_fallback(["spare"]);
        Self::open_as(store, config, resilience, |_| {}, with_spare).await
    }

    pub(crate) async fn open_with(
        store: Store,
        config: Config,
        resilience: Value,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        Self::open_as(store, config, resilience, change, std::convert::identity).await
    }

    async fn open_as(
        store: Store,
        config: Config,
        resilience: Value,
        change: impl FnOnce(&mut Config),
        settled: impl FnOnce(StorageSettings) -> StorageSettings,
    ) -> Self {
        let mut opened = (store.open)(config).await;
        let proxy = FaultProxy::start(text(&opened.config, store.address))
            .await
            .expect("a port");
        let open = async |config: &Config| {
            let settings = ProviderSettings::new("bucket", store.kind, Value::Object(config.clone()));
            Storage::registry()
                .expect("no name twice")
                .open(&settings)
                .await
                .expect("opened")
        };
        let direct = open(&opened.config).await;
        let mut through = opened.config.clone();
        through.insert(store.address.to_owned(), json!(proxy.endpoint()));
        change(&mut through);
        let bare = open(&through).await;
        let settings = ProviderSettings::new("bucket", store.kind, Value::Object(through));
        let mut settings = StorageSettings::new(settings);
        settings.catalog = CatalogSettings::Memory {};
        settings.audit = AuditSettings::None {};
        settings.validation = ValidationSettings::off();
        settings.resilience = serde_json::from_value(resilience).expect("settings");
        let storage = Storage::builder()
            .settings(settled(settings))
            .open()
            .await
            .expect("opened");
        Self {
            proxy,
            direct,
            bare,
            storage,
            store,
            config: std::mem::take(&mut opened.config),
            _double: opened.double,
        }
    }

    /// The provider with its layers.
    pub(crate) fn layered(&self) -> SharedProvider {
        self.storage.provider("bucket").expect("it is registered")
    }

    /// Makes a rule for a place on the wire.
    pub(crate) fn rule(&self, does: Does, at: At, fault: impl Into<Fault>) -> Rule {
        let (method, target, skipped) = (self.store.at)(does, at);
        Rule::new(fault)
            .with_method(method)
            .with_target_part(target)
            .with_skipped(skipped)
    }

    pub(crate) fn part_bytes(&self) -> usize {
        self.store.part_bytes
    }

    /// Stores an object past the proxy.
    pub(crate) async fn store(&self, key: &StorageKey, content: &Bytes) {
        let options = UploadOptions::default();
        let stored = self.direct.upload(key, content.clone().into(), &options);
        stored.await.expect("stored");
    }

    /// What is at a key, asked past the proxy.
    pub(crate) async fn stored(&self, key: &StorageKey) -> Option<Bytes> {
        match read(&*self.direct, key).await {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// The keys of all objects, asked past the proxy.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let entries = self.direct.list(&ListOptions::default()).await;
        let entries: Vec<_> = entries
            .expect("a listing")
            .try_collect()
            .await
            .expect("it is whole");
        entries.iter().map(|entry| entry.name().to_owned()).collect()
    }

    /// How many uploads in parts were begun and are neither completed nor aborted.
    pub(crate) async fn unfinished(&self) -> usize {
        let (config, requests) = (self.config.clone(), self.proxy.requests());
        (self.store.unfinished)(Unfinished { config, requests }).await
    }
}

/// Reads a whole object.
pub(crate) async fn read(provider: &dyn StorageProvider, key: &StorageKey) -> Result<Bytes> {
    let download = provider.download(key, &DownloadOptions::default()).await?;
    download.into_object()?.bytes(OBJECT_BYTES_MAX).await
}

/// Bytes that differ from their neighbours and from those of another seed.
pub(crate) fn bytes(seed: u8, size: usize) -> Bytes {
    (0..=250_u8).cycle().skip(seed.into()).take(size).collect()
}

pub(crate) fn key(text: &str) -> StorageKey {
    StorageKey::parse(text).expect("a key")
}
