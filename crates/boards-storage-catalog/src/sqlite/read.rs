//! What readers ask. Each question is one statement, so it sees one state.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use boards_storage_core::{
    ArtifactQuery, ArtifactRecord, CatalogCursor, CatalogPage, DeletedQuery, DeletedRecord, Intent,
    StorageKey, Tombstone, Utilization, UtilizationKey, VariantIdentity, VersionId, VersionSelector,
};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite, SqliteExecutor, SqlitePool};

use super::row::{
    bytes, intent, limit, microseconds, record, record_columns, replicas_column, time, tombstone,
    utilization as utilization_row,
};

/// Selects records of versions that are not deleted.
macro_rules! select_record {
    ($($rest:literal),+) => {
        concat!(
            "SELECT ", record_columns!(), replicas_column!(),
            "FROM variants \
             JOIN artifacts ON artifacts.tenant = variants.tenant AND artifacts.artifact = variants.artifact \
             JOIN versions ON versions.variant_id = variants.id AND versions.deleted_at IS NULL ",
            $($rest),+
        )
    };
}

pub(super) async fn find(
    executor: impl SqliteExecutor<'_>,
    variant: &VariantIdentity,
    version: VersionSelector,
) -> sqlx::Result<Option<ArtifactRecord>> {
    const CURRENT: &str = select_record!(
        "AND versions.id = variants.current_version ",
        "WHERE variants.tenant = $1 AND variants.artifact = $2 AND variants.variant = $3"
    );
    const NUMBER: &str = select_record!(
        "AND versions.number = $4 ",
        "WHERE variants.tenant = $1 AND variants.artifact = $2 AND variants.variant = $3"
    );
    const ID: &str = select_record!(
        "AND versions.id = $4 ",
        "WHERE variants.tenant = $1 AND variants.artifact = $2 AND variants.variant = $3"
    );
    let sql = match version {
        VersionSelector::Current => CURRENT,
        VersionSelector::Number(_) => NUMBER,
        VersionSelector::Id(_) => ID,
    };
    let query = sqlx::query(sql)
        .bind(variant.tenant.as_str())
        .bind(variant.artifact.as_str())
        .bind(variant.variant.as_str());
    let query = match version {
        VersionSelector::Current => query,
        // A number that SQLite cannot count to was never given.
        VersionSelector::Number(number) => query.bind(i64::try_from(number).unwrap_or(0)),
        VersionSelector::Id(id) => query.bind(bytes(id)),
    };
    one(query.fetch_optional(executor).await?)
}

pub(super) async fn find_by_id(
    executor: impl SqliteExecutor<'_>,
    version: VersionId,
) -> sqlx::Result<Option<ArtifactRecord>> {
    const BY_ID: &str = select_record!("WHERE versions.id = $1");
    one(sqlx::query(BY_ID)
        .bind(bytes(version))
        .fetch_optional(executor)
        .await?)
}

/// Returns the records of versions whose ids stand in a JSON array, in its order.
pub(super) async fn find_all(
    executor: impl SqliteExecutor<'_>,
    ids: &str,
) -> sqlx::Result<Vec<ArtifactRecord>> {
    const ALL: &str =
        select_record!("JOIN json_each($1) AS ids ON versions.id = unhex(ids.value) ORDER BY ids.key");
    let rows = sqlx::query(ALL).bind(ids).fetch_all(executor).await?;
    rows.iter().map(record).collect()
}

pub(super) async fn find_by_key(
    readers: &SqlitePool,
    key: &StorageKey,
) -> sqlx::Result<Option<ArtifactRecord>> {
    const BY_KEY: &str = select_record!("WHERE versions.id = (SELECT version FROM replicas WHERE key = $1)");
    one(sqlx::query(BY_KEY)
        .bind(key.as_str())
        .fetch_optional(readers)
        .await?)
}

pub(super) async fn versions(
    readers: &SqlitePool,
    variant: &VariantIdentity,
) -> sqlx::Result<Vec<ArtifactRecord>> {
    const VERSIONS: &str = select_record!(
        "WHERE variants.tenant = $1 AND variants.artifact = $2 AND variants.variant = $3 ORDER BY versions.number DESC"
    );
    let rows = sqlx::query(VERSIONS)
        .bind(variant.tenant.as_str())
        .bind(variant.artifact.as_str())
        .bind(variant.variant.as_str())
        .fetch_all(readers)
        .await?;
    rows.iter().map(record).collect()
}

pub(super) async fn list(readers: &SqlitePool, query: &ArtifactQuery) -> sqlx::Result<CatalogPage> {
    let size = query.page_size();
    let rows = page(query, size + 1).build().fetch_all(readers).await?;
    let records = rows
        .iter()
        .take(size)
        .map(record)
        .collect::<sqlx::Result<Vec<_>>>()?;
    let last = records.last().filter(|_| rows.len() > size);
    let next = last.map(|last| CatalogCursor(last.variant.clone()));
    Ok(CatalogPage { records, next })
}

/// The query of a page: first the variants, found by keys alone, then their records.
///
/// A board or a type is looked for in the artifacts; then the variants of each are few.
fn page(query: &ArtifactQuery, size: usize) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(concat!(
        "SELECT ",
        record_columns!(),
        replicas_column!(),
        "FROM (SELECT variants.* FROM "
    ));
    let of_artifacts = query.board.is_some() || query.artifact_type.is_some() || query.access.is_some();
    let outer = if of_artifacts { "artifacts" } else { "variants" };
    sql.push(outer);
    if of_artifacts {
        // Without statistics SQLite would rather walk all of a tenant's artifacts.
        sql.push(match (&query.tenant, &query.board) {
            (None, _) => "",
            (Some(_), Some(_)) => " INDEXED BY artifacts_by_board",
            (Some(_), None) if query.artifact_type.is_some() => " INDEXED BY artifacts_by_type",
            (Some(_), None) => "",
        });
        sql.push(" CROSS JOIN variants ON variants.tenant = artifacts.tenant AND variants.artifact = artifacts.artifact");
        sql.push(" WHERE artifacts.forgotten_at IS NULL AND variants.current_version IS NOT NULL");
    } else {
        sql.push(" WHERE variants.current_version IS NOT NULL");
    }
    conditions(&mut sql, query, outer);
    if let Some(CatalogCursor(after)) = &query.after {
        after_cursor(&mut sql, query, after, outer);
    }
    sql.push(format!(
        " ORDER BY {outer}.tenant, {outer}.artifact, variants.variant LIMIT "
    ))
    .push_bind(limit(size));
    sql.push(
        ") AS variants \
         JOIN artifacts ON artifacts.tenant = variants.tenant AND artifacts.artifact = variants.artifact \
         JOIN versions ON versions.id = variants.current_version \
         ORDER BY variants.tenant, variants.artifact, variants.variant",
    );
    sql
}

fn conditions(sql: &mut QueryBuilder<Sqlite>, query: &ArtifactQuery, outer: &str) {
    let mut equal = |column: &str, value: Option<&str>| {
        if let Some(value) = value {
            sql.push(format!(" AND {column} = ")).push_bind(value.to_owned());
        }
    };
    equal(
        &format!("{outer}.tenant"),
        query.tenant.as_ref().map(|tenant| tenant.as_str()),
    );
    equal(
        &format!("{outer}.artifact"),
        query.artifact.as_ref().map(|artifact| artifact.as_str()),
    );
    equal(
        "artifacts.board",
        query.board.as_ref().map(|board| board.as_str()),
    );
    equal(
        "artifacts.artifact_type",
        query
            .artifact_type
            .as_ref()
            .map(|artifact_type| artifact_type.name()),
    );
    equal("artifacts.access", query.access.map(|access| access.name()));
    if let Some(digest) = &query.digest {
        sql.push(" AND variants.current_version IN (SELECT id FROM versions WHERE digest = ")
            .push_bind(digest.to_string())
            .push(")");
    }
    let mut created = |comparison: &str, time: Option<Timestamp>| {
        if let Some(time) = time {
            sql.push(format!(
                " AND EXISTS (SELECT 1 FROM versions WHERE versions.id = variants.current_version \
                 AND versions.created_at {comparison} "
            ))
            .push_bind(microseconds(time))
            .push(")");
        }
    };
    created(">=", query.created_from);
    created("<", query.created_before);
    if query.displaced {
        // The first condition alone names few; the second is what counts.
        sql.push(
            " AND variants.id IN (SELECT variant_id FROM versions WHERE home IS NOT NULL AND deleted_at IS NULL) \
             AND EXISTS (SELECT 1 FROM versions AS away WHERE away.id = variants.current_version \
             AND away.home IS NOT NULL AND NOT EXISTS (SELECT 1 FROM replicas WHERE replicas.version = away.id \
             AND replicas.provider = away.home))",
        );
    }
    for (name, value) in &query.user_metadata {
        sql.push(
            " AND EXISTS (SELECT 1 FROM user_metadata WHERE user_metadata.version = variants.current_version \
             AND user_metadata.name = ",
        )
        .push_bind(name.clone());
        sql.push(" AND user_metadata.value = ")
            .push_bind(value.clone())
            .push(")");
    }
}

/// Adds that a variant comes after the cursor, in a form for which SQLite enters the index at the cursor.
fn after_cursor(sql: &mut QueryBuilder<Sqlite>, query: &ArtifactQuery, after: &VariantIdentity, outer: &str) {
    let (tenant, artifact) = (
        after.tenant.as_str().to_owned(),
        after.artifact.as_str().to_owned(),
    );
    // Of one tenant, the index is entered by the artifact alone.
    match query.tenant.as_ref().map(|tenant| tenant.cmp(&after.tenant)) {
        Some(Ordering::Less) => {
            sql.push(" AND FALSE");
        }
        Some(Ordering::Greater) => {}
        Some(Ordering::Equal) => {
            sql.push(format!(" AND {outer}.artifact >= "))
                .push_bind(artifact.clone());
            sql.push(format!(" AND ({outer}.artifact > ")).push_bind(artifact);
            sql.push(" OR variants.variant > ")
                .push_bind(after.variant.as_str().to_owned())
                .push(")");
        }
        None => {
            sql.push(format!(" AND ({outer}.tenant, {outer}.artifact) >= ("));
            sql.push_bind(tenant.clone())
                .push(", ")
                .push_bind(artifact.clone());
            sql.push(format!(") AND (({outer}.tenant, {outer}.artifact) > ("));
            sql.push_bind(tenant).push(", ").push_bind(artifact);
            sql.push(") OR variants.variant > ")
                .push_bind(after.variant.as_str().to_owned())
                .push(")");
        }
    }
}

/// Says which unfinished writes have ended. A superseded one waits for the time that its diversion named; one that
/// was taken over had ended by then.
const ENDED: &str = "\
    SELECT * FROM intents WHERE (state = 'reaping' OR (state IN ('active', 'superseded') AND lease_until <= $1)) \
    AND version > $2 ORDER BY version LIMIT $3";

pub(super) async fn ended_intents(
    executor: impl SqliteExecutor<'_>,
    now: Timestamp,
    after: Option<VersionId>,
    count_max: usize,
) -> sqlx::Result<Vec<Intent>> {
    let rows = sqlx::query(ENDED)
        .bind(microseconds(now))
        .bind(after_or_first(after))
        .bind(limit(count_max))
        .fetch_all(executor)
        .await?;
    rows.iter().map(intent).collect()
}

/// Returns what all wanted versions come after, as it is stored.
fn after_or_first(after: Option<VersionId>) -> Vec<u8> {
    after.map_or_else(|| vec![0], |version| bytes(version).to_vec())
}

pub(super) async fn tombstones(
    readers: &SqlitePool,
    before: Timestamp,
    after: Option<VersionId>,
    count_max: usize,
) -> sqlx::Result<Vec<Tombstone>> {
    const TOMBSTONES: &str = concat!(
        "SELECT versions.id, versions.deleted_at, variants.tenant, variants.artifact, variants.variant, ",
        replicas_column!(),
        "FROM versions JOIN variants ON variants.id = versions.variant_id ",
        "WHERE versions.deleted_at IS NOT NULL AND versions.purged_at IS NULL AND versions.recoverable_until IS NULL ",
        "AND versions.deleted_at < $1 ",
        "AND versions.id > $2 ORDER BY versions.id LIMIT $3"
    );
    let rows = sqlx::query(TOMBSTONES)
        .bind(microseconds(before))
        .bind(after_or_first(after))
        .bind(limit(count_max))
        .fetch_all(readers)
        .await?;
    rows.iter()
        .map(|row| tombstone(row, time(row, "deleted_at")?, None))
        .collect()
}

/// Versions that can be restored, in the order of their ids, of all tenants, of one or of one artifact.
pub(super) async fn deleted(readers: &SqlitePool, query: &DeletedQuery) -> sqlx::Result<Vec<DeletedRecord>> {
    let mut sql = QueryBuilder::<Sqlite>::new(concat!(
        "SELECT ",
        record_columns!(),
        replicas_column!(),
        ", versions.deleted_at, versions.recoverable_until FROM versions \
         JOIN variants ON variants.id = versions.variant_id \
         JOIN artifacts ON artifacts.tenant = variants.tenant AND artifacts.artifact = variants.artifact \
         WHERE versions.recoverable_until IS NOT NULL AND versions.id > "
    ));
    sql.push_bind(after_or_first(query.after));
    if let Some(tenant) = &query.tenant {
        sql.push(" AND variants.tenant = ")
            .push_bind(tenant.as_str().to_owned());
    }
    if let Some(artifact) = &query.artifact {
        sql.push(" AND variants.artifact = ")
            .push_bind(artifact.as_str().to_owned());
    }
    sql.push(" ORDER BY versions.id LIMIT ")
        .push_bind(limit(query.page_size()));
    let rows = sql.build().fetch_all(readers).await?;
    let deleted = |row: &SqliteRow| {
        Ok(DeletedRecord {
            record: record(row)?,
            deleted_at: time(row, "deleted_at")?,
            recoverable_until: time(row, "recoverable_until")?,
        })
    };
    rows.iter().map(deleted).collect()
}

/// Adds up all versions that are not deleted.
///
/// The joins are in this order: versions and replicas lie in the order of the version's id, so both are read from end to
/// end. Left to itself, SQLite walks the replicas by their keys and looks each version up.
pub(super) async fn utilization(readers: &SqlitePool) -> sqlx::Result<BTreeMap<UtilizationKey, Utilization>> {
    const UTILIZATION: &str = "\
        SELECT replicas.provider, artifacts.tenant, artifacts.artifact_type, \
               count(*) AS objects, sum(versions.size_bytes) AS bytes \
        FROM versions \
        CROSS JOIN replicas ON replicas.version = versions.id AND replicas.state = 'present' \
        CROSS JOIN variants ON variants.id = versions.variant_id \
        CROSS JOIN artifacts ON artifacts.tenant = variants.tenant AND artifacts.artifact = variants.artifact \
        WHERE versions.deleted_at IS NULL \
        GROUP BY replicas.provider, artifacts.tenant, artifacts.artifact_type";
    let rows = sqlx::query(UTILIZATION).fetch_all(readers).await?;
    rows.iter().map(utilization_row).collect()
}

/// Reads the one row that tells the schema's version.
pub(super) async fn probe(readers: &SqlitePool) -> sqlx::Result<()> {
    sqlx::query("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(readers)
        .await?;
    Ok(())
}

fn one(row: Option<SqliteRow>) -> sqlx::Result<Option<ArtifactRecord>> {
    row.as_ref().map(record).transpose()
}

#[cfg(test)]
mod tests {
    use boards_storage_core::{ArtifactId, ArtifactType, BoardId, TenantId, VariantName};
    use sqlx::{AssertSqlSafe, Row};

    use super::*;
    use crate::sqlite::connect::open_writer;

    fn cursor() -> CatalogCursor {
        CatalogCursor(VariantIdentity {
            tenant: TenantId::default(),
            artifact: ArtifactId::parse("a").expect("valid"),
            variant: VariantName::default(),
        })
    }

    /// Checks by which index a page is found, and that nothing is sorted whole.
    async fn check_plan(query: ArtifactQuery, enters: &str, then: &str) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut connection = open_writer(&folder.path().join("catalog.db"))
            .await
            .expect("created");
        let sql = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", page(&query, 10).sql().as_str()));
        let rows = sqlx::query(sql)
            .fetch_all(&mut connection)
            .await
            .expect("planned");
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        assert!(
            plan.iter().any(|step| step.contains(enters)),
            "{enters} is not in {plan:#?}"
        );
        assert!(
            plan.iter().any(|step| step.contains(then)),
            "{then} is not in {plan:#?}"
        );
        // The page itself, at most a thousand rows, is put in order at the end.
        let sorts = plan.iter().filter(|step| step.ends_with("FOR ORDER BY")).count();
        assert!(sorts <= 1, "the candidates are sorted: {plan:#?}");
        let scans: Vec<_> = plan.iter().filter(|step| step.starts_with("SCAN")).collect();
        assert!(
            scans
                .iter()
                .all(|step| *step == "SCAN variants" || *step == "SCAN user_metadata"),
            "{plan:#?}"
        );
    }

    #[tokio::test]
    async fn a_page_is_found_by_an_index_entered_at_the_cursor() {
        let of_tenant = || ArtifactQuery::of_tenant(TenantId::default()).with_after(cursor());
        let board = || BoardId::parse("b").expect("valid");
        let artifact = ArtifactId::parse("a").expect("valid");
        let by_artifact = "variants_present (tenant=? AND artifact=?";
        let cases = [
            (
                ArtifactQuery::default().with_after(cursor()),
                "variants_present ((tenant,artifact)>(?,?))",
                "",
            ),
            (of_tenant(), "variants_present (tenant=? AND artifact>?)", ""),
            (
                of_tenant().with_user_metadata("a", "b"),
                "variants_present (tenant=? AND artifact>?)",
                "(version=? AND name=?)",
            ),
            (of_tenant().with_artifact(artifact), by_artifact, ""),
            (
                of_tenant().with_board(board()),
                "artifacts_by_board (tenant=? AND board=? AND artifact>?)",
                by_artifact,
            ),
            (
                of_tenant()
                    .with_board(board())
                    .with_artifact_type(ArtifactType::Image),
                "artifacts_by_board (tenant=? AND board=? AND artifact>?)",
                by_artifact,
            ),
            (
                of_tenant().with_artifact_type(ArtifactType::Image),
                "artifacts_by_type (tenant=? AND artifact_type=? AND artifact>?)",
                by_artifact,
            ),
        ];
        for (query, enters, then) in cases {
            check_plan(query, enters, then).await;
        }
    }
}
