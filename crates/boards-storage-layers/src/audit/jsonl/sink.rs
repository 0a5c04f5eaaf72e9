//! The sink: blocking work in blocking tasks, and the head in the catalog.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use boards_storage_core::{
    AuditEvent, AuditEventId, AuditHead, AuditSink, Clock, Error, ErrorKind, Result, SharedCatalog,
    SystemClock,
};

use super::append::{Acknowledged, Appended, Appender};
use super::key::AuditKeys;

/// How a [`JsonlSink`] writes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JsonlConfig {
    /// The folder of the files.
    pub folder: PathBuf,
    /// The log's name, by which the catalog keeps its head. Logs that share a catalog have different names. `audit` by
    /// default.
    pub log: String,
    /// The keys; by default the one in the file `key` in the folder, which is made with the log.
    pub keys: Option<AuditKeys>,
    /// A file that has this size, in bytes, is followed by another. 64 MiB by default. Each day begins a file, too.
    pub size_bytes_max: u64,
    /// How many files are kept; the oldest are removed. All are kept by default.
    pub files_max: Option<u32>,
}

impl JsonlConfig {
    /// The name of a log that is given none.
    pub const LOG: &'static str = "audit";

    /// The size at which a file is followed by another, in bytes, where nothing else is said.
    pub const SIZE_BYTES_MAX: u64 = 64 << 20;

    /// Creates the configuration of a log in a folder; everything else is at its default.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            log: Self::LOG.to_owned(),
            keys: None,
            size_bytes_max: Self::SIZE_BYTES_MAX,
            files_max: None,
        }
    }

    /// Sets the log's name.
    #[must_use]
    pub fn with_log(mut self, log: impl Into<String>) -> Self {
        self.log = log.into();
        self
    }

    /// Sets the keys.
    #[must_use]
    pub fn with_keys(mut self, keys: AuditKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Sets the size at which a file is followed by another, in bytes.
    #[must_use]
    pub fn with_size_bytes_max(mut self, size_bytes_max: u64) -> Self {
        self.size_bytes_max = size_bytes_max;
        self
    }

    /// Sets how many files are kept.
    #[must_use]
    pub fn with_files_max(mut self, files_max: u32) -> Self {
        self.files_max = Some(files_max);
        self
    }
}

/// Keeps audit events as lines of JSON, chained by message authentication codes, in files that rotate.
///
/// An event that was acknowledged is on the disk, and covered by the head in the catalog. Any number of processes on
/// one machine may write one log at once. Nothing is opened before the first event, so creating it cannot fail.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use boards_storage_core::{
///     AuditOptions, AuditTrail, ManagerSettings, MemoryCatalog, StorageManager, SystemClock,
/// };
/// use boards_storage_layers::{JsonlConfig, JsonlSink};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> boards_storage_core::Result<()> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let folder = folder.path().join("audit");
/// let catalog = Arc::new(MemoryCatalog::default());
/// let sink = JsonlSink::new(JsonlConfig::new(folder)).with_catalog(catalog.clone());
/// let trail = AuditTrail::start(Arc::new(sink), AuditOptions::default(), Arc::new(SystemClock));
/// let manager = StorageManager::new(ManagerSettings::new("main"), catalog).with_audit(trail);
/// manager.list_artifacts(&Default::default()).await?;
/// manager.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct JsonlSink {
    log: String,
    folder: PathBuf,
    catalog: Option<SharedCatalog>,
    clock: Arc<dyn Clock>,
    appender: Arc<Mutex<Appender>>,
    written: Mutex<Written>,
}

/// What is in the log and was not acknowledged, because the head could not be moved.
#[derive(Debug, Default)]
struct Written {
    events: HashSet<AuditEventId>,
    head: Option<AuditHead>,
}

impl JsonlSink {
    /// Creates a sink whose head nobody keeps: a log that was cut off at its end cannot be found out.
    #[must_use]
    pub fn new(config: JsonlConfig) -> Self {
        let folder = std::path::absolute(&config.folder).unwrap_or_else(|_error| config.folder.clone());
        Self {
            log: config.log.clone(),
            catalog: None,
            clock: Arc::new(SystemClock),
            appender: Arc::new(Mutex::new(Appender::new(config, folder.clone()))),
            folder,
            written: Mutex::default(),
        }
    }

    /// Keeps the head in a catalog.
    #[must_use]
    pub fn with_catalog(mut self, catalog: SharedCatalog) -> Self {
        self.catalog = Some(catalog);
        self
    }

    /// Takes the day from a clock of the caller's.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Returns the folder of the files, absolute.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    async fn acknowledged(&self) -> Result<Option<AuditHead>> {
        match &self.catalog {
            Some(catalog) => catalog.audit_head(&self.log).await,
            None => Ok(None),
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Appender) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let appender = Arc::clone(&self.appender);
        let work = move || work(&mut appender.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::task::spawn_blocking(work).await.map_err(|source| {
            Error::new(ErrorKind::Storage, "writing the audit log was ended").with_source(source)
        })?
    }

    fn written(&self) -> std::sync::MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes events, and returns the head that they have then.
    async fn write(&self, events: Vec<AuditEvent>) -> Result<AuditHead> {
        let events: Arc<[AuditEvent]> = events.into();
        let now = self.clock.now();
        let some = Arc::clone(&events);
        let appended = self
            .blocking(move |appender| appender.append(&some, Acknowledged::Unasked, now))
            .await?;
        if let Appended::Done(head) = appended {
            return Ok(head);
        }
        let acknowledged = self.acknowledged().await?;
        let appended = self
            .blocking(move |appender| {
                appender.append(&events, Acknowledged::Head(acknowledged.as_ref()), now)
            })
            .await?;
        match appended {
            Appended::Done(head) => Ok(head),
            Appended::HeadNeeded => Err(Error::new(
                ErrorKind::Storage,
                "the audit log asked twice for its head",
            )),
        }
    }
}

#[async_trait]
impl AuditSink for JsonlSink {
    async fn append(&self, events: &[AuditEvent]) -> Result<()> {
        let fresh: Vec<AuditEvent> = {
            let written = self.written();
            let is_fresh = |event: &&AuditEvent| !written.events.contains(&event.id);
            events.iter().filter(is_fresh).cloned().collect()
        };
        if !fresh.is_empty() {
            let ids: Vec<_> = fresh.iter().map(|event| event.id).collect();
            let head = self.write(fresh).await?;
            let mut written = self.written();
            written.events.extend(ids);
            written.head = Some(head);
        }
        let head = self.written().head.clone();
        if let (Some(catalog), Some(head)) = (&self.catalog, &head) {
            catalog.advance_audit_head(&self.log, head).await?;
        }
        *self.written() = Written::default();
        Ok(())
    }

    async fn ready(&self) -> Result<()> {
        let acknowledged = self.acknowledged().await?;
        let now = self.clock.now();
        self.blocking(move |appender| appender.prove(acknowledged.as_ref(), now))
            .await
    }

    async fn close(&self) -> Result<()> {
        self.blocking(|appender| {
            appender.close();
            Ok(())
        })
        .await
    }
}
