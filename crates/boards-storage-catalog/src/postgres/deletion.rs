//! Deletion: what readers no longer see, what can be taken back, and what is gone for good.

use std::collections::{BTreeMap, BTreeSet};

use boards_storage_core::{
    ArtifactId, ArtifactRecord, Clock, DeleteMode, DeleteTarget, SystemClock, TenantId, Tombstone, VersionId,
    VersionSelector,
};
use jiff::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use super::quota::uncount;
use super::read;
use super::row::{limit, microseconds, replicas_column, time, tombstone, truncated, unsigned, uuid, variant};
use super::write::{Unwritten, Write, lock, lock_name};

/// Notes a change of the versions $1, at $2, by variant and number.
macro_rules! note {
    ($change:literal, $until:literal, $condition:literal) => {
        concat!(
            "INSERT INTO events (time, change, version, tenant, artifact, variant, recoverable_until) SELECT $2, '",
            $change,
            "', versions.id, variants.tenant, variants.artifact, variants.variant, ",
            $until,
            " FROM versions JOIN variants ON variants.id = versions.variant_id WHERE versions.id = ANY($1) AND ",
            $condition,
            " ORDER BY variants.variant, versions.number"
        )
    };
}

/// Makes the newest version that is left of each variant of the versions $1 the present one.
const SETTLE: &str = "\
    UPDATE variants SET current_version = (SELECT id FROM versions \
        WHERE variant_id = variants.id AND deleted_at IS NULL ORDER BY number DESC LIMIT 1) \
    WHERE id IN (SELECT variant_id FROM versions WHERE id = ANY($1))";

/// Forgets the artifacts of the versions $1 that have no version left, not even a deleted one that can be restored.
const FORGET: &str = "\
    UPDATE artifacts SET forgotten_at = $2 WHERE forgotten_at IS NULL AND (tenant, artifact) IN \
        (SELECT variants.tenant, variants.artifact FROM versions JOIN variants ON variants.id = versions.variant_id \
         WHERE versions.id = ANY($1)) \
    AND NOT EXISTS (SELECT 1 FROM variants WHERE variants.tenant = artifacts.tenant \
        AND variants.artifact = artifacts.artifact AND (current_version IS NOT NULL OR EXISTS \
            (SELECT 1 FROM versions WHERE variant_id = variants.id AND recoverable_until IS NOT NULL)))";

async fn at_all(connection: &mut PgConnection, sql: &'static str, ids: &[Uuid], at: i64) -> sqlx::Result<()> {
    sqlx::query(sql).bind(ids).bind(at).execute(connection).await?;
    Ok(())
}

async fn settle(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query(SETTLE).bind(ids).execute(connection).await?;
    Ok(())
}

pub(super) struct Delete<'a> {
    pub(super) target: &'a DeleteTarget,
    pub(super) mode: DeleteMode,
    pub(super) at: Timestamp,
}

impl Write for Delete<'_> {
    type Answer = Vec<Tombstone>;

    async fn write(&self, connection: &mut PgConnection) -> Result<Vec<Tombstone>, Unwritten> {
        /// What was deleted before keeps its time, and is not told again.
        const NOTE: &str = note!("deleted", "$3::bigint", "versions.deleted_at IS NULL");
        const DELETE: &str = "\
            UPDATE versions SET deleted_at = coalesce(deleted_at, $2), recoverable_until = $3 WHERE id = ANY($1)";
        let (tenant, artifact) = self.target.artifact();
        lock(connection, tenant, artifact).await?;
        let (until, condition) = match self.mode {
            DeleteMode::Recoverable { until } => (Some(truncated(until)), "versions.deleted_at IS NULL"),
            DeleteMode::Final => (
                None,
                "(versions.deleted_at IS NULL OR versions.recoverable_until IS NOT NULL)",
            ),
        };
        let mut query = select(self.target, condition);
        query.push(" ORDER BY variants.variant, versions.number");
        let rows = query.build().fetch_all(&mut *connection).await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let deleted_now = truncated(self.at);
        let translated = rows.iter().map(|row: &PgRow| {
            let before: Option<i64> = row.try_get("deleted_at")?;
            let deleted_at = before.map_or(Ok(deleted_now), |_| time(row, "deleted_at"))?;
            tombstone(row, deleted_at, until)
        });
        let tombstones = translated.collect::<sqlx::Result<Vec<_>>>()?;
        let ids: Vec<Uuid> = tombstones.iter().map(|dead| uuid(dead.version)).collect();
        let at = microseconds(self.at);
        for sql in [NOTE, DELETE] {
            sqlx::query(sql)
                .bind(&ids)
                .bind(at)
                .bind(until.map(microseconds))
                .execute(&mut *connection)
                .await?;
        }
        settle(connection, &ids).await?;
        at_all(connection, FORGET, &ids, at).await?;
        if until.is_none() {
            let sizes = rows.iter().map(|row| unsigned(row, "size_bytes"));
            uncount(connection, tenant, &sizes.collect::<sqlx::Result<Vec<_>>>()?).await?;
        }
        Ok(tombstones)
    }
}

pub(super) struct Restore<'a> {
    pub(super) target: &'a DeleteTarget,
    pub(super) at: Timestamp,
}

impl Write for Restore<'_> {
    type Answer = Vec<ArtifactRecord>;

    async fn write(&self, connection: &mut PgConnection) -> Result<Vec<ArtifactRecord>, Unwritten> {
        const NOTE: &str = note!("restored", "NULL", "TRUE");
        let (tenant, artifact) = self.target.artifact();
        lock(connection, tenant, artifact).await?;
        let mut query = select(self.target, "versions.recoverable_until > ");
        query.push_bind(microseconds(self.at));
        let rows = query.build().fetch_all(&mut *connection).await?;
        let mut deleted = Vec::with_capacity(rows.len());
        for row in &rows {
            deleted.push((
                row.try_get::<i64, _>("deleted_at")?,
                row.try_get::<Uuid, _>("id")?,
            ));
        }
        let Some(last) = deleted.iter().map(|(at, _)| *at).max() else {
            return Ok(Vec::new());
        };
        let of_last = deleted.into_iter().filter(|(at, _)| *at == last);
        let ids: Vec<Uuid> = of_last.map(|(_, id)| id).collect();
        sqlx::query("UPDATE versions SET deleted_at = NULL, recoverable_until = NULL WHERE id = ANY($1)")
            .bind(&ids)
            .execute(&mut *connection)
            .await?;
        settle(connection, &ids).await?;
        at_all(connection, NOTE, &ids, microseconds(self.at)).await?;
        Ok(read::find_all(connection, &ids).await?)
    }
}

/// The query of the versions that are meant, in the state that the condition says; more may be added to it.
fn select(target: &DeleteTarget, condition: &str) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(concat!(
        "SELECT versions.id, versions.deleted_at, versions.size_bytes, variants.tenant, variants.artifact, \
         variants.variant, ",
        replicas_column!(),
        "FROM variants JOIN versions ON versions.variant_id = variants.id WHERE variants.tenant = "
    ));
    let (tenant, artifact) = target.artifact();
    query.push_bind(tenant.as_str().to_owned());
    query
        .push(" AND variants.artifact = ")
        .push_bind(artifact.as_str().to_owned());
    if let DeleteTarget::Variant(identity) | DeleteTarget::Version(identity, _) = target {
        query
            .push(" AND variants.variant = ")
            .push_bind(identity.variant.as_str().to_owned());
    }
    if let DeleteTarget::Version(_, selector) = target {
        match selector {
            VersionSelector::Current => query.push(" AND versions.id = variants.current_version"),
            // A number that the database cannot count to was never given.
            VersionSelector::Number(number) => query
                .push(" AND versions.number = ")
                .push_bind(i64::try_from(*number).unwrap_or(0)),
            VersionSelector::Id(id) => query.push(" AND versions.id = ").push_bind(uuid(*id)),
        };
    }
    query.push(" AND ").push(condition);
    query
}

pub(super) struct Expire {
    pub(super) now: Timestamp,
    pub(super) limit: usize,
}

impl Write for Expire {
    type Answer = usize;

    async fn write(&self, connection: &mut PgConnection) -> Result<usize, Unwritten> {
        const OVER: &str = "\
            SELECT versions.id, variants.tenant, variants.artifact, variants.variant \
            FROM versions JOIN variants ON variants.id = versions.variant_id \
            WHERE recoverable_until <= $1 ORDER BY recoverable_until LIMIT $2";
        // Who holds the locks of several artifacts waits for nobody who does.
        lock_name(connection, "expiry").await?;
        let now = microseconds(self.now);
        let rows = sqlx::query(OVER)
            .bind(now)
            .bind(limit(self.limit))
            .fetch_all(&mut *connection)
            .await?;
        let mut ids = Vec::with_capacity(rows.len());
        let mut artifacts = BTreeSet::<(TenantId, ArtifactId)>::new();
        for row in &rows {
            ids.push(row.try_get::<Uuid, _>("id")?);
            let variant = variant(row)?;
            artifacts.insert((variant.tenant, variant.artifact));
        }
        for (tenant, artifact) in &artifacts {
            lock(connection, tenant, artifact).await?;
        }
        let (ids, sizes) = still_over(connection, &ids, now).await?;
        if ids.is_empty() {
            return Ok(0);
        }
        sqlx::query("UPDATE versions SET recoverable_until = NULL WHERE id = ANY($1)")
            .bind(&ids)
            .execute(&mut *connection)
            .await?;
        at_all(connection, FORGET, &ids, now).await?;
        for (tenant, sizes) in &sizes {
            uncount(connection, tenant, sizes).await?;
        }
        Ok(ids.len())
    }
}

/// Those that were not restored until their locks were held, and the sizes of each tenant's.
async fn still_over(
    connection: &mut PgConnection,
    ids: &[Uuid],
    now: i64,
) -> sqlx::Result<(Vec<Uuid>, BTreeMap<TenantId, Vec<u64>>)> {
    let rows = sqlx::query(
        "SELECT versions.id, versions.size_bytes, variants.tenant, variants.artifact, variants.variant \
         FROM versions JOIN variants ON variants.id = versions.variant_id \
         WHERE versions.id = ANY($1) AND recoverable_until <= $2",
    )
    .bind(ids)
    .bind(now)
    .fetch_all(connection)
    .await?;
    let (mut over, mut sizes) = (Vec::with_capacity(rows.len()), BTreeMap::<_, Vec<u64>>::new());
    for row in &rows {
        over.push(row.try_get("id")?);
        let tenant = variant(row)?.tenant;
        sizes
            .entry(tenant)
            .or_default()
            .push(unsigned(row, "size_bytes")?);
    }
    Ok((over, sizes))
}

pub(super) struct Purge(pub(super) VersionId);

impl Write for Purge {
    type Answer = ();

    async fn write(&self, connection: &mut PgConnection) -> Result<(), Unwritten> {
        const NOTE: &str = note!("purged", "NULL", "TRUE");
        /// Not of a version that is not deleted for good: its bytes are in use, or may be.
        const PURGE: &str = "\
            UPDATE versions SET purged_at = $2 \
            WHERE id = $1 AND deleted_at IS NOT NULL AND purged_at IS NULL AND recoverable_until IS NULL";
        let now = microseconds(SystemClock.now());
        let purged = sqlx::query(PURGE)
            .bind(uuid(self.0))
            .bind(now)
            .execute(&mut *connection)
            .await?;
        if purged.rows_affected() > 0 {
            sqlx::query("UPDATE replicas SET state = 'gone' WHERE version = $1")
                .bind(uuid(self.0))
                .execute(&mut *connection)
                .await?;
            at_all(connection, NOTE, &[uuid(self.0)], now).await?;
        }
        Ok(())
    }
}
