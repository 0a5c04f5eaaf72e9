//! What readers ask. Each question is one statement, so it sees one state.

use std::collections::BTreeMap;

use boards_storage_core::{
    ArtifactQuery, ArtifactRecord, CatalogCursor, CatalogPage, DeletedQuery, DeletedRecord, Intent,
    StorageKey, Tombstone, Utilization, UtilizationKey, VariantIdentity, VersionId, VersionSelector,
};
use jiff::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use super::row::{
    intent, limit, microseconds, record, record_columns, replicas_column, time, tombstone,
    utilization as utilization_row, uuid,
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
    executor: impl PgExecutor<'_>,
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
        VersionSelector::Id(id) => query.bind(uuid(id)),
    };
    one(query.fetch_optional(executor).await?)
}

pub(super) async fn find_by_id(
    executor: impl PgExecutor<'_>,
    version: VersionId,
) -> sqlx::Result<Option<ArtifactRecord>> {
    const BY_ID: &str = select_record!("WHERE versions.id = $1");
    one(sqlx::query(BY_ID)
        .bind(uuid(version))
        .fetch_optional(executor)
        .await?)
}

/// Returns the records of one artifact's versions, by variant and number.
pub(super) async fn find_all(
    executor: impl PgExecutor<'_>,
    ids: &[Uuid],
) -> sqlx::Result<Vec<ArtifactRecord>> {
    const ALL: &str =
        select_record!("WHERE versions.id = ANY($1) ORDER BY variants.variant, versions.number");
    let rows = sqlx::query(ALL).bind(ids).fetch_all(executor).await?;
    rows.iter().map(record).collect()
}

pub(super) async fn find_by_key(readers: &PgPool, key: &StorageKey) -> sqlx::Result<Option<ArtifactRecord>> {
    const BY_KEY: &str = select_record!("WHERE versions.id = (SELECT version FROM replicas WHERE key = $1)");
    one(sqlx::query(BY_KEY)
        .bind(key.as_str())
        .fetch_optional(readers)
        .await?)
}

pub(super) async fn versions(
    readers: &PgPool,
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

pub(super) async fn list(readers: &PgPool, query: &ArtifactQuery) -> sqlx::Result<CatalogPage> {
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

/// The query of a page: the present versions in the order of their variants, from the cursor on.
fn page(query: &ArtifactQuery, size: usize) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new(select_record!(
        "AND versions.id = variants.current_version WHERE variants.current_version IS NOT NULL"
    ));
    conditions(&mut sql, query);
    if let Some(CatalogCursor(after)) = &query.after {
        sql.push(" AND (variants.tenant, variants.artifact, variants.variant) > (")
            .push_bind(after.tenant.as_str().to_owned())
            .push(", ")
            .push_bind(after.artifact.as_str().to_owned())
            .push(", ")
            .push_bind(after.variant.as_str().to_owned())
            .push(")");
    }
    sql.push(" ORDER BY variants.tenant, variants.artifact, variants.variant LIMIT ")
        .push_bind(limit(size));
    sql
}

fn conditions(sql: &mut QueryBuilder<Postgres>, query: &ArtifactQuery) {
    let mut equal = |column: &str, value: Option<&str>| {
        if let Some(value) = value {
            sql.push(format!(" AND {column} = ")).push_bind(value.to_owned());
        }
    };
    let artifact_type = query.artifact_type.as_ref();
    equal(
        "variants.tenant",
        query.tenant.as_ref().map(|tenant| tenant.as_str()),
    );
    equal(
        "variants.artifact",
        query.artifact.as_ref().map(|artifact| artifact.as_str()),
    );
    equal(
        "artifacts.board",
        query.board.as_ref().map(|board| board.as_str()),
    );
    equal("artifacts.artifact_type", artifact_type.map(|name| name.name()));
    equal("artifacts.access", query.access.map(|access| access.name()));
    equal(
        "versions.digest",
        query.digest.map(|digest| digest.to_string()).as_deref(),
    );
    if let Some(from) = query.created_from {
        sql.push(" AND versions.created_at >= ")
            .push_bind(microseconds(from));
    }
    if let Some(before) = query.created_before {
        sql.push(" AND versions.created_at < ")
            .push_bind(microseconds(before));
    }
    if query.displaced {
        sql.push(
            " AND versions.home IS NOT NULL AND NOT EXISTS (SELECT 1 FROM replicas \
             WHERE replicas.version = versions.id AND replicas.provider = versions.home)",
        );
    }
    if !query.user_metadata.is_empty() {
        let wanted = serde_json::json!(query.user_metadata).to_string();
        sql.push(" AND versions.user_metadata @> ")
            .push_bind(wanted)
            .push("::jsonb");
    }
}

/// Says which unfinished writes have ended. A superseded one waits for the time that its diversion named; one that
/// was taken over had ended by then.
macro_rules! ended {
    () => {
        "SELECT * FROM intents WHERE (state = 'reaping' OR (state IN ('active', 'superseded') AND lease_until <= $1)) \
         AND version > $2 ORDER BY version LIMIT $3"
    };
}
pub(super) use ended;

pub(super) async fn ended_intents(
    executor: impl PgExecutor<'_>,
    now: Timestamp,
    after: Option<VersionId>,
    count_max: usize,
) -> sqlx::Result<Vec<Intent>> {
    let rows = sqlx::query(ended!())
        .bind(microseconds(now))
        .bind(after_or_first(after))
        .bind(limit(count_max))
        .fetch_all(executor)
        .await?;
    rows.iter().map(intent).collect()
}

/// Returns what all wanted versions come after. No version has the id of zeros.
pub(super) fn after_or_first(after: Option<VersionId>) -> Uuid {
    after.map_or_else(Uuid::nil, uuid)
}

pub(super) async fn tombstones(
    readers: &PgPool,
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
pub(super) async fn deleted(readers: &PgPool, query: &DeletedQuery) -> sqlx::Result<Vec<DeletedRecord>> {
    let mut sql = QueryBuilder::<Postgres>::new(concat!(
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
    let deleted = |row: &PgRow| {
        Ok(DeletedRecord {
            record: record(row)?,
            deleted_at: time(row, "deleted_at")?,
            recoverable_until: time(row, "recoverable_until")?,
        })
    };
    rows.iter().map(deleted).collect()
}

/// Adds up all versions that are not deleted.
pub(super) async fn utilization(readers: &PgPool) -> sqlx::Result<BTreeMap<UtilizationKey, Utilization>> {
    const UTILIZATION: &str = "\
        SELECT replicas.provider, artifacts.tenant, artifacts.artifact_type, \
               count(*) AS objects, \
               LEAST(sum(versions.size_bytes), 9223372036854775807)::bigint AS bytes \
        FROM versions \
        JOIN replicas ON replicas.version = versions.id AND replicas.state = 'present' \
        JOIN variants ON variants.id = versions.variant_id \
        JOIN artifacts ON artifacts.tenant = variants.tenant AND artifacts.artifact = variants.artifact \
        WHERE versions.deleted_at IS NULL \
        GROUP BY replicas.provider, artifacts.tenant, artifacts.artifact_type";
    let rows = sqlx::query(UTILIZATION).fetch_all(readers).await?;
    rows.iter().map(utilization_row).collect()
}

/// Reads the one row that tells the schema's version.
pub(super) async fn probe(readers: &PgPool) -> sqlx::Result<()> {
    sqlx::query("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(readers)
        .await?;
    Ok(())
}

fn one(row: Option<PgRow>) -> sqlx::Result<Option<ArtifactRecord>> {
    row.as_ref().map(record).transpose()
}
