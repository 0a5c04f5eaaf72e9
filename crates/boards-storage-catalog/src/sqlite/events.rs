//! The event log: what the writes append, and how it is read.
//!
//! One transaction writes at a time, so events are numbered in the order in which they take effect.

use boards_storage_core::{ArtifactRecord, CatalogChange, CatalogEvent, EventQuery, VersionId};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqlitePool};

use super::row::{limit, nonsense, time, unsigned, variant, version};

pub(super) async fn read(readers: &SqlitePool, query: &EventQuery) -> sqlx::Result<Vec<CatalogEvent>> {
    let rows = page(query).build().fetch_all(readers).await?;
    rows.iter().map(event).collect()
}

/// The query of a page: an artifact's events by the index, all others in the order of the log, which costs a reader of
/// every page one walk. Left to itself, SQLite would sort all of a tenant's events for each page.
fn page(query: &EventQuery) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("SELECT * FROM events WHERE TRUE");
    if let Some(tenant) = &query.tenant {
        let column = if query.artifact.is_some() {
            "tenant"
        } else {
            "+tenant"
        };
        sql.push(format!(" AND {column} = "))
            .push_bind(tenant.as_str().to_owned());
    }
    if let Some(artifact) = &query.artifact {
        sql.push(" AND artifact = ")
            .push_bind(artifact.as_str().to_owned());
    }
    if let Some(after) = query.after {
        // A number that SQLite cannot count to is after all events.
        sql.push(" AND sequence > ")
            .push_bind(i64::try_from(after).unwrap_or(i64::MAX));
    }
    sql.push(" ORDER BY sequence LIMIT ")
        .push_bind(limit(query.page_size()));
    sql
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

#[cfg(test)]
mod tests {
    use boards_storage_core::{ArtifactId, TenantId};
    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::sqlite::connect::open_writer;

    async fn check_plan(query: EventQuery, expected: &str) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("catalog.db");
        let mut connection = open_writer(&path).await.expect("created");
        let sql = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", page(&query).sql().as_str()));
        let rows = sqlx::query(sql)
            .fetch_all(&mut connection)
            .await
            .expect("planned");
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        assert_eq!(plan, [expected]);
    }

    #[tokio::test]
    async fn a_page_is_never_sorted() {
        let of_tenant = || EventQuery::default().with_tenant(TenantId::default());
        let artifact = ArtifactId::parse("a").expect("valid");
        let walk = "SEARCH events USING INTEGER PRIMARY KEY (rowid>?)";
        check_plan(EventQuery::default().with_after(5), walk).await;
        check_plan(of_tenant().with_after(5), walk).await;
        check_plan(of_tenant(), "SCAN events").await;
        check_plan(
            of_tenant().with_artifact(artifact).with_after(5),
            "SEARCH events USING INDEX events_by_artifact (tenant=? AND artifact=? AND sequence>?)",
        )
        .await;
    }
}
