//! What becomes of intents: leases and cleanup.

use boards_storage_core::{Intent, VersionId};
use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::row::{bytes, microseconds};
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

/// Version ids as a JSON array of hex texts, so that one statement takes any number of them.
pub(super) fn hex_list(versions: impl Iterator<Item = VersionId>) -> String {
    let mut list = String::from("[");
    for (index, version) in versions.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        list.push_str(&format!("{comma}\"{version}\""));
    }
    list.push(']');
    list
}
