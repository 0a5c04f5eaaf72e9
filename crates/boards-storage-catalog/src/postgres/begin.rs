//! Begin: who may write, and under which key; and divert, which begins anew elsewhere.

use boards_storage_core::{ArtifactFacts, Begun, Error, Intent, NewIntent, VersionId, VersionSelector};
use jiff::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::quota::{counted, limits, used};
use super::read;
use super::row::{away, facts, intent, microseconds, time, truncated, uuid};
use super::write::{Unwritten, Write, lock};

/// All that decides, in one row.
const LOOK: &str = "\
SELECT artifacts.artifact_type, artifacts.board, artifacts.access,
    EXISTS (SELECT 1 FROM variants WHERE tenant = $1 AND artifact = $2 AND variant = $3
        AND current_version IS NOT NULL) AS is_there,
    (SELECT max(lease_until) FROM intents WHERE tenant = $1 AND artifact = $2 AND variant = $3
        AND state = 'active' AND lease_until > $4) AS lease_until,
    EXISTS (SELECT 1 FROM used_keys WHERE key = $5) AS plain_is_used,
    EXISTS (SELECT 1 FROM used_keys WHERE key = $6) AS versioned_is_used,
    EXISTS (SELECT 1 FROM intents WHERE version = $7) OR EXISTS (SELECT 1 FROM versions WHERE id = $7) AS id_is_used,
    coalesce(tenants.bytes, 0) AS bytes, coalesce(tenants.objects, 0) AS objects,
    coalesce(tenants.has_quota, FALSE) AS has_quota, tenants.bytes_max, tenants.objects_max
FROM (SELECT 1) AS one
LEFT JOIN artifacts ON artifacts.tenant = $1 AND artifact = $2 AND forgotten_at IS NULL
LEFT JOIN tenants ON tenants.tenant = $1";

/// Supersedes the others unless this is to overwrite, in which case they may all commit.
const BEGIN: &str = "\
WITH superseded AS (
    UPDATE intents SET state = 'superseded'
    WHERE tenant = $2 AND artifact = $3 AND variant = $4 AND state = 'active' AND NOT $10
), used AS (
    INSERT INTO used_keys (key, version) VALUES ($9, $1)
)
INSERT INTO intents (version, tenant, artifact, variant, artifact_type, board, access, provider, key, overwrite,
    state, created_at, lease_until, home, bytes_max, objects_max)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'active', $11, $12, $13, $14, $15)";

/// The write that is given up waits for its cleanup until then.
const GIVE_UP: &str = "UPDATE intents SET state = 'superseded', lease_until = $2 WHERE version = $1";

pub(super) struct Begin<'a>(pub(super) &'a NewIntent);

impl Write for Begin<'_> {
    type Answer = Begun;

    async fn write(&self, connection: &mut PgConnection) -> Result<Begun, Unwritten> {
        let new = self.0;
        let identity = &new.variant;
        lock(connection, &identity.tenant, &identity.artifact).await?;
        let row = look(connection, new).await?;
        if let Some(known) = facts(&row)? {
            known.check(&identity.artifact, &ArtifactFacts::of(new))?;
        }
        let plain_is_used = check_unused(&row, new)?;
        if !new.overwrite {
            if row.try_get("is_there")? {
                let record = read::find(&mut *connection, identity, VersionSelector::Current).await?;
                return Ok(Begun::Exists(Box::new(record.ok_or(sqlx::Error::RowNotFound)?)));
            }
            if row.try_get::<Option<i64>, _>("lease_until")?.is_some() {
                return Ok(Begun::Busy {
                    lease_until: time(&row, "lease_until")?,
                });
            }
        }
        let quota = if row.try_get("has_quota")? {
            limits(&row, "bytes_max", "objects_max")?
        } else {
            new.quota
        };
        quota.check(&identity.tenant, used(&row)?, new.size_bytes.unwrap_or(0))?;
        Ok(Begun::Started(insert(connection, new, plain_is_used).await?))
    }
}

pub(super) struct Divert<'a> {
    pub(super) from: VersionId,
    pub(super) to: &'a NewIntent,
    pub(super) cleanup_from: Timestamp,
}

impl Write for Divert<'_> {
    type Answer = Intent;

    async fn write(&self, connection: &mut PgConnection) -> Result<Intent, Unwritten> {
        let (from, to) = (self.from, self.to);
        lock(connection, &to.variant.tenant, &to.variant.artifact).await?;
        let found = sqlx::query("SELECT * FROM intents WHERE version = $1 AND state = 'active' FOR UPDATE")
            .bind(uuid(from))
            .fetch_optional(&mut *connection)
            .await?;
        let given_up = found.ok_or_else(|| Intent::lost(from))?;
        let overwrites: bool = given_up.try_get("overwrite")?;
        if intent(&given_up)?.variant != to.variant || overwrites != to.overwrite {
            return Err(Intent::other_variant(from).into());
        }
        let known = facts(&given_up)?.ok_or(sqlx::Error::RowNotFound)?;
        known.check(&to.variant.artifact, &ArtifactFacts::of(to))?;
        let row = look(connection, to).await?;
        let plain_is_used = check_unused(&row, to)?;
        sqlx::query(GIVE_UP)
            .bind(uuid(from))
            .bind(microseconds(self.cleanup_from))
            .execute(&mut *connection)
            .await?;
        Ok(insert(connection, to, plain_is_used).await?)
    }
}

async fn look(connection: &mut PgConnection, new: &NewIntent) -> sqlx::Result<PgRow> {
    sqlx::query(LOOK)
        .bind(new.variant.tenant.as_str())
        .bind(new.variant.artifact.as_str())
        .bind(new.variant.variant.as_str())
        .bind(microseconds(new.now))
        .bind(new.plain_key.as_str())
        .bind(new.versioned_key.as_str())
        .bind(uuid(new.version))
        .fetch_one(&mut *connection)
        .await
}

/// Checks that the id and the key are new, and says whether the plain key is not.
fn check_unused(row: &PgRow, new: &NewIntent) -> Result<bool, Unwritten> {
    let plain_is_used: bool = row.try_get("plain_is_used")?;
    let versioned_is_used: bool = row.try_get("versioned_is_used")?;
    let id_is_used: bool = row.try_get("id_is_used")?;
    if id_is_used || (plain_is_used && versioned_is_used) {
        let repeated: Error = Intent::repeated(new.version, &new.versioned_key);
        return Err(repeated.into());
    }
    Ok(plain_is_used)
}

async fn insert(connection: &mut PgConnection, new: &NewIntent, plain_is_used: bool) -> sqlx::Result<Intent> {
    let key = if plain_is_used {
        &new.versioned_key
    } else {
        &new.plain_key
    };
    sqlx::query(BEGIN)
        .bind(uuid(new.version))
        .bind(new.variant.tenant.as_str())
        .bind(new.variant.artifact.as_str())
        .bind(new.variant.variant.as_str())
        .bind(new.artifact_type.name())
        .bind(new.board.as_ref().map(|board| board.as_str()))
        .bind(new.access.name())
        .bind(&new.provider)
        .bind(key.as_str())
        .bind(new.overwrite)
        .bind(microseconds(new.now))
        .bind(microseconds(new.lease_until))
        .bind(away(&new.home, &new.provider))
        .bind(new.quota.bytes_max.map(counted))
        .bind(new.quota.objects_max.map(counted))
        .execute(connection)
        .await?;
    Ok(Intent {
        version: new.version,
        variant: new.variant.clone(),
        home: new.home.clone(),
        provider: new.provider.clone(),
        key: key.clone(),
        lease_until: truncated(new.lease_until),
    })
}
