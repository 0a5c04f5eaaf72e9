//! Begin: who may write, and under which key.

use boards_storage_core::{ArtifactFacts, Begun, Intent, NewIntent, VersionSelector};
use sqlx::{Row, SqliteConnection};

use super::read;
use super::row::{bytes, facts, microseconds, time, truncated};
use super::writer::{Unwritten, Write};

/// All that decides, in one row.
const LOOK: &str = "\
SELECT artifacts.artifact_type, artifacts.board, artifacts.access,
    EXISTS (SELECT 1 FROM variants WHERE tenant = $1 AND artifact = $2 AND variant = $3
        AND current_version IS NOT NULL) AS is_there,
    (SELECT max(lease_until) FROM intents WHERE tenant = $1 AND artifact = $2 AND variant = $3
        AND state = 'active' AND lease_until > $4) AS lease_until,
    EXISTS (SELECT 1 FROM used_keys WHERE key = $5) AS plain_is_used,
    EXISTS (SELECT 1 FROM used_keys WHERE key = $6) AS versioned_is_used,
    EXISTS (SELECT 1 FROM intents WHERE version = $7) OR EXISTS (SELECT 1 FROM versions WHERE id = $7) AS id_is_used
FROM (SELECT 1)
LEFT JOIN artifacts ON tenant = $1 AND artifact = $2 AND forgotten_at IS NULL";

/// Supersedes the others unless this is to overwrite, in which case they may all commit.
const BEGIN: &str = "\
UPDATE intents SET state = 'superseded'
    WHERE tenant = $2 AND artifact = $3 AND variant = $4 AND state = 'active' AND NOT $10;
INSERT INTO used_keys (key, version) VALUES ($9, $1);
INSERT INTO intents (version, tenant, artifact, variant, artifact_type, board, access, provider, key, overwrite,
    state, created_at, lease_until)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'active', $11, $12)";

pub(super) struct Begin(pub(super) NewIntent);

impl Write for Begin {
    type Answer = Begun;

    async fn write(&self, connection: &mut SqliteConnection) -> Result<Begun, Unwritten> {
        let new = &self.0;
        let identity = &new.variant;
        let row = sqlx::query(LOOK)
            .bind(identity.tenant.as_str())
            .bind(identity.artifact.as_str())
            .bind(identity.variant.as_str())
            .bind(microseconds(new.now))
            .bind(new.plain_key.as_str())
            .bind(new.versioned_key.as_str())
            .bind(bytes(new.version))
            .fetch_one(&mut *connection)
            .await?;
        if let Some(known) = facts(&row)? {
            known.check(&identity.artifact, &ArtifactFacts::of(new))?;
        }
        let plain_is_used: bool = row.try_get("plain_is_used")?;
        let versioned_is_used: bool = row.try_get("versioned_is_used")?;
        let id_is_used: bool = row.try_get("id_is_used")?;
        if id_is_used || (plain_is_used && versioned_is_used) {
            return Err(Intent::repeated(new.version, &new.versioned_key).into());
        }
        if !new.overwrite {
            if row.try_get("is_there")? {
                let record = read::find(connection, identity, VersionSelector::Current).await?;
                return Ok(Begun::Exists(Box::new(record.ok_or(sqlx::Error::RowNotFound)?)));
            }
            if row.try_get::<Option<i64>, _>("lease_until")?.is_some() {
                return Ok(Begun::Busy {
                    lease_until: time(&row, "lease_until")?,
                });
            }
        }
        let key = if plain_is_used {
            &new.versioned_key
        } else {
            &new.plain_key
        };
        let intent = Intent {
            version: new.version,
            variant: identity.clone(),
            provider: new.provider.clone(),
            key: key.clone(),
            lease_until: truncated(new.lease_until),
        };
        insert(connection, new, &intent).await?;
        Ok(Begun::Started(intent))
    }
}

async fn insert(connection: &mut SqliteConnection, new: &NewIntent, intent: &Intent) -> sqlx::Result<()> {
    sqlx::query(BEGIN)
        .bind(bytes(new.version))
        .bind(new.variant.tenant.as_str())
        .bind(new.variant.artifact.as_str())
        .bind(new.variant.variant.as_str())
        .bind(new.artifact_type.name())
        .bind(new.board.as_ref().map(|board| board.as_str()))
        .bind(new.access.name())
        .bind(&new.provider)
        .bind(intent.key.as_str())
        .bind(new.overwrite)
        .bind(microseconds(new.now))
        .bind(microseconds(new.lease_until))
        .execute(connection)
        .await?;
    Ok(())
}
