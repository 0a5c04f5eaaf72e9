//! What becomes of intents and records: leases, cleanup, deletion.

use boards_storage_core::{Clock, DeleteTarget, Intent, SystemClock, Tombstone, VersionId, VersionSelector};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::row::{bytes, microseconds, replicas_column, tombstone, truncated};
use super::writer::{Unwritten, Write};

pub(super) struct Renew {
    pub(super) version: VersionId,
    pub(super) lease_until: Timestamp,
}

impl Write for Renew {
    type Answer = ();

    async fn write(&self, connection: &mut SqliteConnection) -> Result<(), Unwritten> {
        let done = sqlx::query("UPDATE intents SET lease_until = $2 WHERE version = $1 AND state = 'active'")
            .bind(bytes(self.version))
            .bind(microseconds(self.lease_until))
            .execute(connection)
            .await?;
        if done.rows_affected() == 0 {
            return Err(Intent::lost(self.version).into());
        }
        Ok(())
    }
}

pub(super) struct Abandon(pub(super) VersionId);

impl Write for Abandon {
    type Answer = ();

    async fn write(&self, connection: &mut SqliteConnection) -> Result<(), Unwritten> {
        sqlx::query("DELETE FROM intents WHERE version = $1")
            .bind(bytes(self.0))
            .execute(connection)
            .await?;
        Ok(())
    }
}

pub(super) struct Reap {
    pub(super) now: Timestamp,
    pub(super) after: Option<VersionId>,
    pub(super) limit: usize,
}

impl Write for Reap {
    type Answer = Vec<Intent>;

    async fn write(&self, connection: &mut SqliteConnection) -> Result<Vec<Intent>, Unwritten> {
        let intents = super::read::ended_intents(&mut *connection, self.now, self.after, self.limit).await?;
        let ids = hex_list(intents.iter().map(|intent| intent.version));
        sqlx::query(
            "UPDATE intents SET state = 'reaping' WHERE state <> 'reaping' \
             AND version IN (SELECT unhex(value) FROM json_each($1))",
        )
        .bind(ids)
        .execute(connection)
        .await?;
        Ok(intents)
    }
}

pub(super) struct Delete {
    pub(super) target: DeleteTarget,
    pub(super) at: Timestamp,
}

impl Write for Delete {
    type Answer = Vec<Tombstone>;

    async fn write(&self, connection: &mut SqliteConnection) -> Result<Vec<Tombstone>, Unwritten> {
        /// Where the present version goes, the newest that is left takes its place; where none is left, the artifact
        /// is forgotten.
        const DELETE: &str = "\
            UPDATE versions SET deleted_at = $2 WHERE id IN (SELECT unhex(value) FROM json_each($1)); \
            UPDATE variants SET current_version = (SELECT id FROM versions \
                WHERE variant_id = variants.id AND deleted_at IS NULL ORDER BY number DESC LIMIT 1) \
            WHERE id IN (SELECT variant_id FROM versions WHERE id IN (SELECT unhex(value) FROM json_each($1))); \
            INSERT INTO events (time, change, version, tenant, artifact, variant) \
                SELECT $2, 'deleted', versions.id, $3, $4, variants.variant \
                FROM json_each($1) CROSS JOIN versions ON versions.id = unhex(json_each.value) \
                CROSS JOIN variants ON variants.id = versions.variant_id ORDER BY json_each.key; \
            UPDATE artifacts SET forgotten_at = $2 WHERE tenant = $3 AND artifact = $4 AND NOT EXISTS \
                (SELECT 1 FROM variants WHERE tenant = $3 AND artifact = $4 AND current_version IS NOT NULL)";
        let rows = self.select().build().fetch_all(&mut *connection).await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let deleted_at = truncated(self.at);
        let translated = rows.iter().map(|row: &SqliteRow| tombstone(row, deleted_at));
        let tombstones = translated.collect::<sqlx::Result<Vec<_>>>()?;
        sqlx::query(DELETE)
            .bind(hex_list(tombstones.iter().map(|dead| dead.version)))
            .bind(microseconds(self.at))
            .bind(tombstones[0].variant.tenant.as_str())
            .bind(tombstones[0].variant.artifact.as_str())
            .execute(connection)
            .await?;
        Ok(tombstones)
    }
}

impl Delete {
    /// The query of what is to be deleted.
    fn select(&self) -> QueryBuilder<Sqlite> {
        let mut query = QueryBuilder::new(concat!(
            "SELECT versions.id, variants.tenant, variants.artifact, variants.variant, ",
            replicas_column!(),
            "FROM variants JOIN versions ON versions.variant_id = variants.id ",
            "WHERE versions.deleted_at IS NULL AND variants.tenant = "
        ));
        match &self.target {
            DeleteTarget::Artifact { tenant, artifact } => {
                query.push_bind(tenant.as_str().to_owned());
                query
                    .push(" AND variants.artifact = ")
                    .push_bind(artifact.as_str().to_owned());
            }
            DeleteTarget::Variant(identity) | DeleteTarget::Version(identity, _) => {
                query.push_bind(identity.tenant.as_str().to_owned());
                query
                    .push(" AND variants.artifact = ")
                    .push_bind(identity.artifact.as_str().to_owned());
                query
                    .push(" AND variants.variant = ")
                    .push_bind(identity.variant.as_str().to_owned());
            }
        }
        if let DeleteTarget::Version(_, selector) = &self.target {
            match selector {
                VersionSelector::Current => query.push(" AND versions.id = variants.current_version"),
                // A number that SQLite cannot count to was never given.
                VersionSelector::Number(number) => query
                    .push(" AND versions.number = ")
                    .push_bind(i64::try_from(*number).unwrap_or(0)),
                VersionSelector::Id(id) => query.push(" AND versions.id = ").push_bind(bytes(*id)),
            };
        }
        query.push(" ORDER BY variants.variant, versions.number");
        query
    }
}

pub(super) struct Purge(pub(super) VersionId);

impl Write for Purge {
    type Answer = ();

    async fn write(&self, connection: &mut SqliteConnection) -> Result<(), Unwritten> {
        /// Not of a version that is not deleted: its bytes are in use.
        const PURGE: &str = "\
            INSERT INTO events (time, change, version, tenant, artifact, variant) \
                SELECT $2, 'purged', versions.id, variants.tenant, variants.artifact, variants.variant \
                FROM versions JOIN variants ON variants.id = versions.variant_id \
                WHERE versions.id = $1 AND deleted_at IS NOT NULL AND purged_at IS NULL; \
            UPDATE replicas SET state = 'gone' WHERE version = (SELECT id FROM versions \
                WHERE id = $1 AND deleted_at IS NOT NULL AND purged_at IS NULL); \
            UPDATE versions SET purged_at = $2 WHERE id = $1 AND deleted_at IS NOT NULL AND purged_at IS NULL";
        sqlx::query(PURGE)
            .bind(bytes(self.0))
            .bind(microseconds(SystemClock.now()))
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// Version ids as a JSON array of hex texts, so that one statement takes any number of them.
fn hex_list(versions: impl Iterator<Item = VersionId>) -> String {
    let mut list = String::from("[");
    for (index, version) in versions.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        list.push_str(&format!("{comma}\"{version}\""));
    }
    list.push(']');
    list
}
