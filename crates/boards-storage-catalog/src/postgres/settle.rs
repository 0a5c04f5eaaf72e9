//! What becomes of intents: leases and cleanup.

use boards_storage_core::{Intent, VersionId};
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::row::{intent, limit, microseconds, uuid};
use super::write::{Unwritten, Write};

pub(super) struct Renew {
    pub(super) version: VersionId,
    pub(super) lease_until: Timestamp,
}

impl Write for Renew {
    type Answer = ();

    async fn write(&self, connection: &mut PgConnection) -> Result<(), Unwritten> {
        let done = sqlx::query("UPDATE intents SET lease_until = $2 WHERE version = $1 AND state = 'active'")
            .bind(uuid(self.version))
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

    async fn write(&self, connection: &mut PgConnection) -> Result<(), Unwritten> {
        sqlx::query("DELETE FROM intents WHERE version = $1")
            .bind(uuid(self.0))
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

    async fn write(&self, connection: &mut PgConnection) -> Result<Vec<Intent>, Unwritten> {
        /// One that somebody is just settling is left to the next time.
        const ENDED: &str = concat!(super::read::ended!(), " FOR UPDATE SKIP LOCKED");
        let rows = sqlx::query(ENDED)
            .bind(microseconds(self.now))
            .bind(super::read::after_or_first(self.after))
            .bind(limit(self.limit))
            .fetch_all(&mut *connection)
            .await?;
        let intents = rows.iter().map(intent).collect::<sqlx::Result<Vec<_>>>()?;
        let ids: Vec<Uuid> = intents.iter().map(|intent| uuid(intent.version)).collect();
        sqlx::query("UPDATE intents SET state = 'reaping' WHERE state <> 'reaping' AND version = ANY($1)")
            .bind(ids)
            .execute(connection)
            .await?;
        Ok(intents)
    }
}
