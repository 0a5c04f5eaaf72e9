//! The audit log that settings describe: opened to write by the builder, and to read and verify by whoever looks.

use std::path::PathBuf;
use std::sync::Arc;

use boards_storage_core::{
    AuditEntry, AuditQuery, AuditSettings, CatalogSettings, Error, Result, Secret, SharedAuditSink,
    SharedCatalog, StorageSettings,
};
use boards_storage_layers::{
    AuditKey, AuditKeys, AuditOrder, AuditPosition, AuditReader, AuditVerification, JsonlConfig, JsonlSink,
    TracingSink, verify_audit,
};

use crate::builder::{Opened, open_catalog};

/// Opens the sink that settings describe; `None` if they want no log.
pub(crate) async fn open_sink(
    settings: &StorageSettings,
    opened: &Opened,
) -> Result<Option<SharedAuditSink>> {
    Ok(match &settings.audit {
        AuditSettings::Jsonl { rotation, log, .. } => {
            let path = settings.audit_path().unwrap_or_default();
            let mut config = JsonlConfig::new(path)
                .with_log(log.as_str())
                .with_size_bytes_max(rotation.size_max.bytes());
            config.files_max = rotation.files_max;
            config.keys = keys(&settings.audit)?;
            let sink = JsonlSink::new(config).with_catalog(Arc::clone(&opened.catalog));
            Some(Arc::new(sink))
        }
        AuditSettings::Sqlite { .. } => Some(open_sqlite(settings.audit_path(), opened).await?),
        AuditSettings::Tracing { .. } => Some(Arc::new(TracingSink::new())),
        _ => None,
    })
}

/// Returns the keys that settings give.
fn keys(settings: &AuditSettings) -> Result<Option<AuditKeys>> {
    let AuditSettings::Jsonl {
        key, previous_keys, ..
    } = settings
    else {
        return Ok(None);
    };
    let read = |key: &Secret| AuditKey::new(key).map_err(|error| error.with_help("correct storage.audit"));
    let Some(key) = key else {
        return if previous_keys.is_empty() {
            Ok(None)
        } else {
            Err(
                Error::configuration("storage.audit.previous_keys is given without storage.audit.key")
                    .with_help("give the present key too"),
            )
        };
    };
    let mut keys = AuditKeys::new(read(key)?);
    for previous in previous_keys {
        keys = keys.with_previous(read(previous)?);
    }
    Ok(Some(keys))
}

#[cfg(feature = "sqlite")]
async fn open_sqlite(path: Option<PathBuf>, opened: &Opened) -> Result<SharedAuditSink> {
    Ok(Arc::new(sqlite_sink(path, opened).await?))
}

#[cfg(feature = "sqlite")]
async fn sqlite_sink(
    path: Option<PathBuf>,
    opened: &Opened,
) -> Result<boards_storage_catalog::SqliteAuditSink> {
    use boards_storage_catalog::SqliteAuditSink;
    match (path, &opened.sqlite) {
        (Some(path), _) => SqliteAuditSink::open(path).await,
        (None, Some(catalog)) => Ok(SqliteAuditSink::of(Arc::clone(catalog))),
        (None, None) => Err(Error::configuration(
            "the audit log has no path, and the catalog that was given is not one of the settings",
        )
        .with_help("give storage.audit.path")),
    }
}

#[cfg(not(feature = "sqlite"))]
#[expect(clippy::unused_async, reason = "it is so where SQLite is compiled in")]
async fn open_sqlite(_path: Option<PathBuf>, _opened: &Opened) -> Result<SharedAuditSink> {
    Err(
        Error::configuration("the audit log of type 'sqlite' needs SQLite, which is not compiled in")
            .with_help("enable the Cargo feature 'sqlite' of boards-storage, or give another type"),
    )
}

/// How many rows are read at a time.
#[cfg(feature = "sqlite")]
const PAGE: usize = 256;

/// The audit log that settings describe, to be read and verified. No provider is opened for it.
///
/// # Examples
///
/// ```
/// use boards_storage::{AuditLog, AuditQuery, Result, StorageSettings};
/// use boards_storage::layers::AuditOrder;
///
/// async fn last(settings: &StorageSettings) -> Result<Option<u64>> {
///     let log = AuditLog::open(settings).await?;
///     let mut reader = log.reader(AuditOrder::NewestFirst, AuditQuery::default()).await?;
///     let entry = reader.next().await?;
///     log.close().await?;
///     Ok(entry.map(|entry| entry.sequence))
/// }
/// ```
#[derive(Debug)]
pub struct AuditLog {
    kept: Kept,
    catalog: Option<SharedCatalog>,
}

#[derive(Debug)]
enum Kept {
    Files {
        folder: PathBuf,
        log: String,
        keys: Option<AuditKeys>,
    },
    #[cfg(feature = "sqlite")]
    Rows(boards_storage_catalog::SqliteAuditSink),
}

impl AuditLog {
    /// Opens the log, and the catalog that keeps its head.
    ///
    /// # Errors
    ///
    /// `Unsupported` if the settings keep no log that can be read: the types `tracing` and `none`; what the catalog
    /// answers.
    pub async fn open(settings: &StorageSettings) -> Result<Self> {
        match &settings.audit {
            AuditSettings::Jsonl { log, .. } => {
                let opened = open_catalog(Some(settings), None).await?;
                let is_lasting = !matches!(settings.catalog, CatalogSettings::Memory {});
                Ok(Self {
                    kept: Kept::Files {
                        folder: settings.audit_path().unwrap_or_default(),
                        log: log.clone(),
                        keys: keys(&settings.audit)?,
                    },
                    catalog: is_lasting.then_some(opened.catalog),
                })
            }
            #[cfg(feature = "sqlite")]
            AuditSettings::Sqlite { .. } => {
                let opened = open_catalog(Some(settings), None).await?;
                Ok(Self {
                    kept: Kept::Rows(sqlite_sink(settings.audit_path(), &opened).await?),
                    catalog: Some(opened.catalog),
                })
            }
            _ => Err(Error::unsupported("the settings keep no audit log that can be read")
                .with_help("set storage.audit.type to jsonl or sqlite; what was written to `tracing` is where its subscriber put it")),
        }
    }

    /// Returns the folder of the log's files, if it has any.
    #[must_use]
    pub fn folder(&self) -> Option<&std::path::Path> {
        match &self.kept {
            Kept::Files { folder, .. } => Some(folder),
            #[cfg(feature = "sqlite")]
            Kept::Rows(_) => None,
        }
    }

    /// Checks the whole log: every line, in order, up to the head that the catalog keeps.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a log that is not chained; `NotFound` if there is no key; what the catalog and the files
    /// answer. What is wrong with the log is no error, but what is answered.
    pub async fn verify(&self) -> Result<AuditVerification> {
        let (folder, log, keys) = match &self.kept {
            Kept::Files { folder, log, keys } => (folder, log, keys),
            #[cfg(feature = "sqlite")]
            Kept::Rows(_) => {
                return Err(Error::unsupported(
                    "an audit log in SQLite is not chained, so it cannot be verified",
                )
                .with_help("set storage.audit.type to jsonl"));
            }
        };
        // The head first: others may write meanwhile.
        let head = match &self.catalog {
            Some(catalog) => catalog.audit_head(log).await?,
            None => None,
        };
        let keys = match keys {
            Some(keys) => keys.clone(),
            None => match AuditKeys::of_folder(folder).await? {
                Some(keys) => keys,
                None if head.is_none() => return Ok(AuditVerification::default()),
                None => {
                    return Err(Error::not_found(format!(
                        "the audit log '{}' has no key, and entries of it were acknowledged",
                        folder.display()
                    ))
                    .with_help("put the folder's files back, the file 'key' among them"));
                }
            },
        };
        verify_audit(folder, keys, head).await
    }

    /// Reads the events that a query asks for, from either end.
    ///
    /// # Errors
    ///
    /// What the files or the database answer.
    pub async fn reader(&self, order: AuditOrder, query: AuditQuery) -> Result<AuditEvents> {
        let source = match &self.kept {
            Kept::Files { folder, .. } => Source::Files(AuditReader::open(folder, order).await?),
            #[cfg(feature = "sqlite")]
            Kept::Rows(sink) => Source::rows(sink, order, None),
        };
        Ok(AuditEvents { source, query })
    }

    /// Reads the newest events that a query asks for, at most `count`, oldest first; and returns what goes on with
    /// those that come after.
    ///
    /// # Errors
    ///
    /// What the files or the database answer.
    pub async fn tail(&self, count: usize, query: AuditQuery) -> Result<(Vec<AuditEntry>, AuditEvents)> {
        let (mut backward, forward) = match &self.kept {
            Kept::Files { folder, .. } => {
                let end: AuditPosition = AuditReader::end_of(folder).await?;
                let open = |order| Source::Files(AuditReader::open_at(folder, order, end));
                (open(AuditOrder::NewestFirst), open(AuditOrder::OldestFirst))
            }
            #[cfg(feature = "sqlite")]
            Kept::Rows(sink) => {
                let newest = sink.events_before(&AuditQuery::default(), None, 1).await?;
                let newest = newest.first().map_or(0, |entry| entry.sequence);
                (
                    Source::rows(sink, AuditOrder::NewestFirst, Some(newest + 1)),
                    Source::rows(sink, AuditOrder::OldestFirst, Some(newest)),
                )
            }
        };
        let mut entries = Vec::new();
        while entries.len() < count
            && let Some(entry) = backward.next(&query).await?
        {
            entries.push(entry);
        }
        entries.reverse();
        Ok((
            entries,
            AuditEvents {
                source: forward,
                query,
            },
        ))
    }

    /// Frees what was opened.
    ///
    /// # Errors
    ///
    /// What the catalog answers.
    pub async fn close(&self) -> Result<()> {
        match &self.catalog {
            Some(catalog) => catalog.close().await,
            None => Ok(()),
        }
    }
}

/// Events of an [`AuditLog`], one after the other, in bounded memory.
#[derive(Debug)]
pub struct AuditEvents {
    source: Source,
    query: AuditQuery,
}

impl AuditEvents {
    /// Returns the next event; `None` at the end. With the oldest first, it may be asked again later, when there may
    /// be more.
    ///
    /// # Errors
    ///
    /// What the files or the database answer.
    pub async fn next(&mut self) -> Result<Option<AuditEntry>> {
        self.source.next(&self.query).await
    }

    /// Returns how many lines were left out so far, because they are no entries.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        match &self.source {
            Source::Files(reader) => reader.unreadable(),
            #[cfg(feature = "sqlite")]
            Source::Rows { .. } => 0,
        }
    }
}

#[derive(Debug)]
enum Source {
    Files(AuditReader),
    #[cfg(feature = "sqlite")]
    Rows {
        sink: boards_storage_catalog::SqliteAuditSink,
        order: AuditOrder,
        beyond: Option<u64>,
        page: std::collections::VecDeque<AuditEntry>,
    },
}

impl Source {
    #[cfg(feature = "sqlite")]
    fn rows(sink: &boards_storage_catalog::SqliteAuditSink, order: AuditOrder, beyond: Option<u64>) -> Self {
        Self::Rows {
            sink: sink.clone(),
            order,
            beyond,
            page: std::collections::VecDeque::new(),
        }
    }

    async fn next(&mut self, query: &AuditQuery) -> Result<Option<AuditEntry>> {
        match self {
            Self::Files(reader) => {
                while let Some(entry) = reader.next().await? {
                    if query.matches(&entry.event) {
                        return Ok(Some(entry));
                    }
                }
                Ok(None)
            }
            #[cfg(feature = "sqlite")]
            Self::Rows {
                sink,
                order,
                beyond,
                page,
            } => {
                if page.is_empty() {
                    let more = match order {
                        AuditOrder::OldestFirst => sink.events_after(query, *beyond, PAGE).await?,
                        AuditOrder::NewestFirst => sink.events_before(query, *beyond, PAGE).await?,
                    };
                    *beyond = more.last().map(|entry| entry.sequence).or(*beyond);
                    page.extend(more);
                }
                Ok(page.pop_front())
            }
        }
    }
}
