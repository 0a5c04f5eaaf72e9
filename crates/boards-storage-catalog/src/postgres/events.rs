//! The event log: how it is numbered, and how it is read.
//!
//! A transaction gives its events ids while it holds the artifact's lock, so the ids of an artifact's events are in their
//! order. But transactions of other artifacts may end in another order than that of their ids, and who followed the ids
//! would miss the late ones. So readers follow a second number, which an event gets when it can be seen: whoever reads
//! numbers what is new, one at a time.

use boards_storage_core::{ArtifactRecord, CatalogChange, CatalogEvent, EventQuery, VersionId};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder, Row};

use super::row::{limit, nonsense, time, unsigned, variant, version};
use super::write::{Unwritten, Write, lock_name};

/// How many events are numbered in one transaction.
const BATCH: i64 = 10_000;

/// Numbers what is new, and says whether there may be more.
pub(super) struct Number;

impl Write for Number {
    type Answer = bool;

    async fn write(&self, connection: &mut PgConnection) -> Result<bool, Unwritten> {
        /// Of two events of one artifact, whoever sees the second sees the first: the one was committed before the other's
        /// transaction could begin to write.
        const NUMBER: &str = "\
            WITH fresh AS (SELECT id, row_number() OVER (ORDER BY id) AS place \
                FROM (SELECT id FROM events WHERE sequence IS NULL ORDER BY id LIMIT $1) AS batch) \
            UPDATE events SET sequence = fresh.place + (SELECT coalesce(max(sequence), 0) FROM events) \
            FROM fresh WHERE events.id = fresh.id";
        let is_any: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM events WHERE sequence IS NULL)")
            .fetch_one(&mut *connection)
            .await?;
        if !is_any {
            return Ok(false);
        }
        lock_name(connection, "events").await?;
        let numbered = sqlx::query(NUMBER).bind(BATCH).execute(connection).await?;
        Ok(numbered.rows_affected() >= BATCH.unsigned_abs())
    }
}

pub(super) async fn read(readers: &PgPool, query: &EventQuery) -> sqlx::Result<Vec<CatalogEvent>> {
    let rows = page(query).build().fetch_all(readers).await?;
    rows.iter().map(event).collect()
}

fn page(query: &EventQuery) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new("SELECT * FROM events WHERE sequence > ");
    // A number that the database cannot count to is after all events.
    sql.push_bind(
        query
            .after
            .map_or(0, |after| i64::try_from(after).unwrap_or(i64::MAX)),
    );
    if let Some(tenant) = &query.tenant {
        sql.push(" AND tenant = ").push_bind(tenant.as_str().to_owned());
    }
    if let Some(artifact) = &query.artifact {
        sql.push(" AND artifact = ")
            .push_bind(artifact.as_str().to_owned());
    }
    sql.push(" ORDER BY sequence LIMIT ")
        .push_bind(limit(query.page_size()));
    sql
}

fn event(row: &PgRow) -> sqlx::Result<CatalogEvent> {
    let version: VersionId = version(row.try_get("version")?)?;
    let variant = variant(row)?;
    let change = match row.try_get("change")? {
        "committed" => {
            let record: &str = row.try_get("record")?;
            let record: Box<ArtifactRecord> = serde_json::from_str(record).map_err(nonsense)?;
            CatalogChange::Committed { record }
        }
        "deleted" => CatalogChange::Deleted {
            version,
            variant,
            recoverable_until: match row.try_get::<Option<i64>, _>("recoverable_until")? {
                Some(_) => Some(time(row, "recoverable_until")?),
                None => None,
            },
        },
        "restored" => CatalogChange::Restored { version, variant },
        "purged" => CatalogChange::Purged { version, variant },
        other => {
            let error = boards_storage_core::Error::invalid_input(format!("'{other}' is no change"));
            return Err(nonsense(error));
        }
    };
    Ok(CatalogEvent::new(
        unsigned(row, "sequence")?,
        time(row, "time")?,
        change,
    ))
}
