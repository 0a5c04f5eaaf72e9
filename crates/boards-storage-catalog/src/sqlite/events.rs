//! The event log: what the writes append, and how it is read.
//!
//! One transaction writes at a time, so events are numbered in the order in which they take effect.

use boards_storage_core::{ArtifactRecord, CatalogChange, CatalogEvent, EventQuery, VersionId};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqlitePool};

use super::row::{limit, nonsense, time, unsigned, variant, version};

pub(super) async fn read(readers: &SqlitePool, query: &EventQuery) -> sqlx::Result<Vec<CatalogEvent>> {
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT * FROM events WHERE TRUE");
    if let Some(tenant) = &query.tenant {
        sql.push(" AND tenant = ").push_bind(tenant.as_str());
    }
    if let Some(artifact) = &query.artifact {
        sql.push(" AND artifact = ").push_bind(artifact.as_str());
    }
    if let Some(after) = query.after {
        // A number that SQLite cannot count to is after all events.
        sql.push(" AND sequence > ")
            .push_bind(i64::try_from(after).unwrap_or(i64::MAX));
    }
    sql.push(" ORDER BY sequence LIMIT ")
        .push_bind(limit(query.page_size()));
    let rows = sql.build().fetch_all(readers).await?;
    rows.iter().map(event).collect()
}

fn event(row: &SqliteRow) -> sqlx::Result<CatalogEvent> {
    let version: VersionId = version(row.try_get("version")?)?;
    let variant = variant(row)?;
    let change = match row.try_get("change")? {
        "committed" => {
            let record: &str = row.try_get("record")?;
            let record: Box<ArtifactRecord> = serde_json::from_str(record).map_err(nonsense)?;
            CatalogChange::Committed { record }
        }
        "deleted" => CatalogChange::Deleted { version, variant },
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
