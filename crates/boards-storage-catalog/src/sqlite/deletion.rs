//! Deletion: what readers no longer see, what can be taken back, and what is gone for good.

use boards_storage_core::{
    ArtifactRecord, Clock, DeleteMode, DeleteTarget, SystemClock, Tombstone, VersionId, VersionSelector,
};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::read;
use super::row::{bytes, limit, microseconds, replicas_column, tombstone, truncated, version};
use super::settle::hex_list;
use super::writer::{Unwritten, Write};

/// Forgets the artifacts of the versions $1 that have no version left, not even a deleted one that can be restored.
macro_rules! forget {
    () => {
        "UPDATE artifacts SET forgotten_at = $2 WHERE forgotten_at IS NULL AND (tenant, artifact) IN \
             (SELECT variants.tenant, variants.artifact FROM json_each($1) \
              CROSS JOIN versions ON versions.id = unhex(json_each.value) \
              CROSS JOIN variants ON variants.id = versions.variant_id) \
         AND NOT EXISTS (SELECT 1 FROM variants WHERE variants.tenant = artifacts.tenant \
             AND variants.artifact = artifacts.artifact AND (current_version IS NOT NULL OR EXISTS \
                (SELECT 1 FROM versions WHERE variant_id = variants.id AND recoverable_until IS NOT NULL)))"
    };
}

/// Makes the newest version that is left of each variant of the versions $1 the present one.
macro_rules! settle {
    () => {
        "UPDATE variants SET current_version = (SELECT id FROM versions \
             WHERE variant_id = variants.id AND deleted_at IS NULL ORDER BY number DESC LIMIT 1) \
         WHERE id IN (SELECT variant_id FROM versions WHERE id IN (SELECT unhex(value) FROM json_each($1)));"
    };
}

pub(super) struct Delete {
    pub(super) target: DeleteTarget,
    pub(super) mode: DeleteMode,
    pub(super) at: Timestamp,
}

impl Write for Delete {
    type Answer = Vec<Tombstone>;

    async fn write(&self, connection: &mut SqliteConnection) -> Result<Vec<Tombstone>, Unwritten> {
        /// What was deleted before keeps its time, and is not told again.
        const DELETE: &str = concat!(
            "INSERT INTO events (time, change, version, tenant, artifact, variant, recoverable_until) \
                 SELECT $2, 'deleted', versions.id, variants.tenant, variants.artifact, variants.variant, $3 \
                 FROM json_each($1) CROSS JOIN versions ON versions.id = unhex(json_each.value) \
                 CROSS JOIN variants ON variants.id = versions.variant_id \
                 WHERE versions.deleted_at IS NULL ORDER BY json_each.key; \
             UPDATE versions SET deleted_at = coalesce(deleted_at, $2), recoverable_until = $3 \
                 WHERE id IN (SELECT unhex(value) FROM json_each($1));",
            settle!(),
            forget!()
        );
        let (until, condition) = match self.mode {
            DeleteMode::Recoverable { until } => (Some(truncated(until)), "versions.deleted_at IS NULL"),
            DeleteMode::Final => (
                None,
                "(versions.deleted_at IS NULL OR versions.recoverable_until IS NOT NULL)",
            ),
        };
        let mut query = select(&self.target, condition);
        query.push(" ORDER BY variants.variant, versions.number");
        let rows = query.build().fetch_all(&mut *connection).await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let deleted_now = truncated(self.at);
        let translated = rows.iter().map(|row: &SqliteRow| {
            let before: Option<i64> = row.try_get("deleted_at")?;
            let deleted_at = match before {
                Some(_) => super::row::time(row, "deleted_at")?,
                None => deleted_now,
            };
            tombstone(row, deleted_at, until)
        });
        let tombstones = translated.collect::<sqlx::Result<Vec<_>>>()?;
        sqlx::query(DELETE)
            .bind(hex_list(tombstones.iter().map(|dead| dead.version)))
            .bind(microseconds(self.at))
            .bind(until.map(microseconds))
            .execute(connection)
            .await?;
        Ok(tombstones)
    }
}

pub(super) struct Restore {
    pub(super) target: DeleteTarget,
    pub(super) at: Timestamp,
}

impl Write for Restore {
    type Answer = Vec<ArtifactRecord>;

    async fn write(&self, connection: &mut SqliteConnection) -> Result<Vec<ArtifactRecord>, Unwritten> {
        const RESTORE: &str = concat!(
            "UPDATE versions SET deleted_at = NULL, recoverable_until = NULL \
                 WHERE id IN (SELECT unhex(value) FROM json_each($1));",
            settle!(),
            "INSERT INTO events (time, change, version, tenant, artifact, variant) \
                 SELECT $2, 'restored', versions.id, variants.tenant, variants.artifact, variants.variant \
                 FROM json_each($1) CROSS JOIN versions ON versions.id = unhex(json_each.value) \
                 CROSS JOIN variants ON variants.id = versions.variant_id ORDER BY json_each.key"
        );
        let mut query = select(&self.target, "versions.recoverable_until > ");
        query.push_bind(microseconds(self.at));
        query.push(" ORDER BY variants.variant, versions.number");
        let rows = query.build().fetch_all(&mut *connection).await?;
        let mut deleted = Vec::with_capacity(rows.len());
        for row in &rows {
            deleted.push((row.try_get::<i64, _>("deleted_at")?, version(row.try_get("id")?)?));
        }
        let Some(last) = deleted.iter().map(|(at, _)| *at).max() else {
            return Ok(Vec::new());
        };
        let of_last = deleted.iter().filter(|(at, _)| *at == last);
        let ids = hex_list(of_last.map(|(_, version)| *version));
        sqlx::query(RESTORE)
            .bind(&ids)
            .bind(microseconds(self.at))
            .execute(&mut *connection)
            .await?;
        Ok(read::find_all(connection, &ids).await?)
    }
}

/// The query of the versions that are meant, in the state that the condition says; more may be added to it.
fn select(target: &DeleteTarget, condition: &str) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(concat!(
        "SELECT versions.id, versions.deleted_at, variants.tenant, variants.artifact, variants.variant, ",
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
            // A number that SQLite cannot count to was never given.
            VersionSelector::Number(number) => query
                .push(" AND versions.number = ")
                .push_bind(i64::try_from(*number).unwrap_or(0)),
            VersionSelector::Id(id) => query.push(" AND versions.id = ").push_bind(bytes(*id)),
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

    async fn write(&self, connection: &mut SqliteConnection) -> Result<usize, Unwritten> {
        const OVER: &str =
            "SELECT id FROM versions WHERE recoverable_until <= $1 ORDER BY recoverable_until LIMIT $2";
        const EXPIRE: &str = concat!(
            "UPDATE versions SET recoverable_until = NULL WHERE id IN (SELECT unhex(value) FROM json_each($1));",
            forget!()
        );
        let ids: Vec<Vec<u8>> = sqlx::query_scalar(OVER)
            .bind(microseconds(self.now))
            .bind(limit(self.limit))
            .fetch_all(&mut *connection)
            .await?;
        if ids.is_empty() {
            return Ok(0);
        }
        let versions = ids.iter().map(|id| version(id));
        let versions = versions.collect::<sqlx::Result<Vec<VersionId>>>()?;
        sqlx::query(EXPIRE)
            .bind(hex_list(versions.iter().copied()))
            .bind(microseconds(self.now))
            .execute(connection)
            .await?;
        Ok(versions.len())
    }
}

pub(super) struct Purge(pub(super) VersionId);

impl Write for Purge {
    type Answer = ();

    async fn write(&self, connection: &mut SqliteConnection) -> Result<(), Unwritten> {
        /// Not of a version that is not deleted for good: its bytes are in use, or may be.
        const PURGE: &str = "\
            INSERT INTO events (time, change, version, tenant, artifact, variant) \
                SELECT $2, 'purged', versions.id, variants.tenant, variants.artifact, variants.variant \
                FROM versions JOIN variants ON variants.id = versions.variant_id \
                WHERE versions.id = $1 AND deleted_at IS NOT NULL AND purged_at IS NULL \
                AND recoverable_until IS NULL; \
            UPDATE replicas SET state = 'gone' WHERE version = (SELECT id FROM versions \
                WHERE id = $1 AND deleted_at IS NOT NULL AND purged_at IS NULL AND recoverable_until IS NULL); \
            UPDATE versions SET purged_at = $2 \
                WHERE id = $1 AND deleted_at IS NOT NULL AND purged_at IS NULL AND recoverable_until IS NULL";
        sqlx::query(PURGE)
            .bind(bytes(self.0))
            .bind(microseconds(SystemClock.now()))
            .execute(connection)
            .await?;
        Ok(())
    }
}
