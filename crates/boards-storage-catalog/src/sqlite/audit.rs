//! The audit log: heads of logs in files, and the events that are kept here.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use boards_storage_core::{
    AuditEntry, AuditEvent, AuditEventId, AuditHead, AuditQuery, AuditSink, Catalog, Result,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, SqliteExecutor, SqlitePool};

use super::SqliteCatalog;
use super::row::{limit, microseconds, unsigned};
use super::writer::{Unwritten, Write};

/// Keeps audit events in an SQLite database, beside a catalog's records or in a file of their own.
///
/// Events are only ever added, by triggers of the database too; they are not chained, so whoever may write the file can
/// change them unseen. An event that was acknowledged survives the process and the power.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use boards_storage_catalog::{SqliteAuditSink, SqliteCatalog};
/// use boards_storage_core::{AuditEvent, AuditOperation, AuditQuery, AuditSink, CallContext};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let catalog = Arc::new(SqliteCatalog::open(folder.path().join("catalog.db")).await?);
/// let sink = SqliteAuditSink::of(catalog);
/// sink.append(&[AuditEvent::new(AuditOperation::Store, &CallContext::default())]).await?;
/// assert_eq!(sink.events_after(&AuditQuery::default(), None, 10).await?.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SqliteAuditSink {
    catalog: Arc<SqliteCatalog>,
    /// Whether nobody else uses the database.
    is_own: bool,
}

impl SqliteAuditSink {
    /// Keeps events beside the records of a catalog, which is closed by its owner.
    #[must_use]
    pub fn of(catalog: Arc<SqliteCatalog>) -> Self {
        Self {
            catalog,
            is_own: false,
        }
    }

    /// Keeps events in a file of their own, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// As [`SqliteCatalog::open`].
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self {
            catalog: Arc::new(SqliteCatalog::open(path).await?),
            is_own: true,
        })
    }

    /// Returns a page of events, oldest first: those after a number, at most `limit`.
    ///
    /// # Errors
    ///
    /// As all methods of [`Catalog`].
    pub async fn events_after(
        &self,
        query: &AuditQuery,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        let catalog = &self.catalog;
        catalog.answer(events(&catalog.readers, query, Way::Forward, after, limit).await)
    }

    /// Returns a page of events, newest first: those before a number, at most `limit`.
    ///
    /// # Errors
    ///
    /// As all methods of [`Catalog`].
    pub async fn events_before(
        &self,
        query: &AuditQuery,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        let catalog = &self.catalog;
        catalog.answer(events(&catalog.readers, query, Way::Backward, before, limit).await)
    }
}

#[async_trait]
impl AuditSink for SqliteAuditSink {
    async fn append(&self, events: &[AuditEvent]) -> Result<()> {
        self.catalog.writer.run(Append(events.to_vec())).await
    }

    async fn ready(&self) -> Result<()> {
        self.catalog.probe().await
    }

    async fn close(&self) -> Result<()> {
        if self.is_own {
            self.catalog.close().await
        } else {
            Ok(())
        }
    }
}

pub(super) struct Advance {
    pub(super) log: String,
    pub(super) head: AuditHead,
}

impl Write for Advance {
    type Answer = AuditHead;

    async fn write(&self, connection: &mut SqliteConnection) -> Result<AuditHead, Unwritten> {
        let kept = head(&mut *connection, &self.log).await?;
        if let Some(kept) = kept.filter(|kept| kept.sequence >= self.head.sequence) {
            if kept.sequence == self.head.sequence && kept.mac != self.head.mac {
                return Err(AuditHead::forked(&self.log, kept.sequence).into());
            }
            return Ok(kept);
        }
        sqlx::query(
            "INSERT INTO audit_heads (log, sequence, mac) VALUES ($1, $2, $3) \
             ON CONFLICT (log) DO UPDATE SET sequence = excluded.sequence, mac = excluded.mac",
        )
        .bind(&self.log)
        .bind(signed(self.head.sequence)?)
        .bind(&self.head.mac)
        .execute(connection)
        .await?;
        Ok(self.head.clone())
    }
}

pub(super) async fn head(executor: impl SqliteExecutor<'_>, log: &str) -> sqlx::Result<Option<AuditHead>> {
    let row = sqlx::query("SELECT sequence, mac FROM audit_heads WHERE log = $1")
        .bind(log)
        .fetch_optional(executor)
        .await?;
    row.map(|row| {
        Ok(AuditHead {
            sequence: unsigned(&row, "sequence")?,
            mac: row.try_get("mac")?,
        })
    })
    .transpose()
}

struct Append(Vec<AuditEvent>);

impl Write for Append {
    type Answer = ();

    async fn write(&self, connection: &mut SqliteConnection) -> Result<(), Unwritten> {
        for event in &self.0 {
            let json = serde_json::to_string(event).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
            // An event that comes again was kept, although its caller was told otherwise.
            sqlx::query(
                "INSERT INTO audit_events (id, time, operation, outcome, principal, tenant, artifact, provider, event) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING",
            )
            .bind(id_bytes(event.id))
            .bind(microseconds(event.time))
            .bind(event.operation.name())
            .bind(event.outcome.name())
            .bind(event.principal.as_ref().map(|principal| principal.id.as_str()))
            .bind(event.tenant.as_ref().map(|tenant| tenant.as_str()))
            .bind(event.artifact.as_ref().map(|artifact| artifact.as_str()))
            .bind(&event.provider)
            .bind(json)
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }
}

/// Which way events are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Forward,
    Backward,
}

/// Reads events beyond a number, at most so many.
async fn events(
    readers: &SqlitePool,
    query: &AuditQuery,
    way: Way,
    beyond: Option<u64>,
    count: usize,
) -> sqlx::Result<Vec<AuditEntry>> {
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT sequence, event FROM audit_events WHERE TRUE");
    if let Some(beyond) = beyond {
        sql.push(match way {
            Way::Forward => " AND sequence > ",
            Way::Backward => " AND sequence < ",
        });
        sql.push_bind(signed(beyond)?);
    }
    if let Some(since) = query.since {
        sql.push(" AND time >= ").push_bind(microseconds(since));
    }
    if let Some(until) = query.until {
        sql.push(" AND time < ").push_bind(microseconds(until));
    }
    let texts = [
        (" AND principal = ", query.principal.as_deref()),
        (
            " AND tenant = ",
            query.tenant.as_ref().map(|tenant| tenant.as_str()),
        ),
        (
            " AND artifact = ",
            query.artifact.as_ref().map(|artifact| artifact.as_str()),
        ),
        (
            " AND operation = ",
            query.operation.map(|operation| operation.name()),
        ),
        (" AND outcome = ", query.outcome.map(|outcome| outcome.name())),
        (" AND provider = ", query.provider.as_deref()),
    ];
    for (condition, text) in texts {
        if let Some(text) = text {
            sql.push(condition).push_bind(text.to_owned());
        }
    }
    sql.push(match way {
        Way::Forward => " ORDER BY sequence LIMIT ",
        Way::Backward => " ORDER BY sequence DESC LIMIT ",
    });
    sql.push_bind(limit(count));
    let rows = sql.build().fetch_all(readers).await?;
    rows.iter().map(event).collect()
}

fn event(row: &SqliteRow) -> sqlx::Result<AuditEntry> {
    let json: &str = row.try_get("event")?;
    let event = serde_json::from_str(json).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(AuditEntry::new(unsigned(row, "sequence")?, event))
}

fn id_bytes(id: AuditEventId) -> Vec<u8> {
    id.as_uuid().as_bytes().to_vec()
}

/// A number as SQLite counts.
fn signed(number: u64) -> sqlx::Result<i64> {
    i64::try_from(number).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}
