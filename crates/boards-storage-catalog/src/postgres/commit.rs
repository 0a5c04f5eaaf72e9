//! Commit: an intent becomes the record.

use boards_storage_core::{ArtifactRecord, Error, Intent, StoredObject, VariantIdentity, VersionId};
use jiff::Timestamp;
use sqlx::{PgConnection, Row};

use super::quota::{count, limits};
use super::read;
use super::row::{away, facts, facts_of, intent, microseconds, truncated, uuid, variant};
use super::write::{Unwritten, Write, lock};

/// The intent, if its writer may still commit, and all that decides, in one row.
const LOOK: &str = "\
SELECT intents.*, present.artifact_type AS present_type, present.board AS present_board,
    present.access AS present_access, coalesce(variants.last_number, 0) AS last_number,
    variants.current_version IS NOT NULL AS is_there,
    CASE WHEN tenants.has_quota THEN tenants.bytes_max ELSE intents.bytes_max END AS holds_bytes_max,
    CASE WHEN tenants.has_quota THEN tenants.objects_max ELSE intents.objects_max END AS holds_objects_max
FROM intents
LEFT JOIN tenants ON tenants.tenant = intents.tenant
LEFT JOIN variants ON variants.tenant = intents.tenant AND variants.artifact = intents.artifact
    AND variants.variant = intents.variant
LEFT JOIN artifacts AS present ON present.tenant = intents.tenant AND present.artifact = intents.artifact
    AND present.forgotten_at IS NULL
WHERE intents.version = $1 AND intents.state = 'active'
FOR UPDATE OF intents";

/// $8: there is no such artifact, or it is forgotten and created anew.
const COMMIT: &str = "\
WITH artifact AS (
    INSERT INTO artifacts (tenant, artifact, artifact_type, board, access, created_at)
    SELECT $2, $3, $5, $6, $7, $9 WHERE $8
    ON CONFLICT (tenant, artifact) DO UPDATE SET artifact_type = $5, board = $6, access = $7, created_at = $9,
        forgotten_at = NULL
), variant AS (
    INSERT INTO variants (tenant, artifact, variant, last_number, current_version) VALUES ($2, $3, $4, $10, $1)
    ON CONFLICT (tenant, artifact, variant) DO UPDATE SET last_number = $10, current_version = $1
    RETURNING id
), version AS (
    INSERT INTO versions (id, variant_id, number, size_bytes, content_type, content_disposition, content_encoding,
        content_language, cache_control, digest, digest_state, user_metadata, created_at, home)
    SELECT $1, id, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19::jsonb, $9, $25 FROM variant
), replica AS (
    INSERT INTO replicas (version, ordinal, provider, key, state, etag, store_version, checksum)
    VALUES ($1, 0, $20, $21, 'present', $22, $23, $24)
), event AS (
    INSERT INTO events (time, change, version, tenant, artifact, variant, record)
    VALUES ($9, 'committed', $1, $2, $3, $4, $26)
)
DELETE FROM intents WHERE version = $1";

pub(super) struct Commit<'a> {
    pub(super) version: VersionId,
    pub(super) object: &'a StoredObject,
    pub(super) at: Timestamp,
}

impl Write for Commit<'_> {
    type Answer = ArtifactRecord;

    async fn write(&self, connection: &mut PgConnection) -> Result<ArtifactRecord, Unwritten> {
        if let Some(identity) = variant_of(connection, self.version).await? {
            lock(connection, &identity.tenant, &identity.artifact).await?;
        }
        let found = sqlx::query(LOOK)
            .bind(uuid(self.version))
            .fetch_optional(&mut *connection)
            .await?;
        let Some(row) = found else {
            // The answer to a first commit may have been lost.
            let committed = read::find_by_id(&mut *connection, self.version).await?;
            return Ok(committed.ok_or_else(|| Intent::lost(self.version))?);
        };
        let intent = intent(&row)?;
        let said = facts(&row)?.ok_or(sqlx::Error::RowNotFound)?;
        let present = facts_of(&row, "present_type", "present_board", "present_access")?;
        if let Some(present) = &present {
            present.check(&intent.variant.artifact, &said)?;
        }
        if row.try_get("is_there")? && !row.try_get::<bool, _>("overwrite")? {
            return Err(Intent::came_second().into());
        }
        let number = super::row::unsigned(&row, "last_number")? + 1;
        let record = ArtifactRecord::committed(&intent, &said, number, self.object, truncated(self.at));
        insert(connection, &record, present.is_none()).await?;
        let quota = limits(&row, "holds_bytes_max", "holds_objects_max")?;
        count(connection, &intent.variant.tenant, quota, self.object.size_bytes).await?;
        Ok(record)
    }
}

/// The variant that a write under way is of, before its lock is held.
async fn variant_of(
    connection: &mut PgConnection,
    version: VersionId,
) -> sqlx::Result<Option<VariantIdentity>> {
    let row = sqlx::query("SELECT tenant, artifact, variant FROM intents WHERE version = $1")
        .bind(uuid(version))
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(variant).transpose()
}

async fn insert(
    connection: &mut PgConnection,
    record: &ArtifactRecord,
    artifact_is_new: bool,
) -> Result<(), Unwritten> {
    let attributes = &record.attributes;
    let replica = record.primary();
    let size_bytes =
        i64::try_from(record.size_bytes).map_err(|source| too_large(record.size_bytes, source))?;
    let number = i64::try_from(record.number).map_err(|source| too_large(record.number, source))?;
    let user_metadata = serde_json::to_string(&attributes.user_metadata)
        .map_err(|source| Error::invalid_input("the user metadata cannot be written").with_source(source))?;
    let whole = serde_json::to_string(record)
        .map_err(|source| Error::invalid_input("the record cannot be written").with_source(source))?;
    sqlx::query(COMMIT)
        .bind(uuid(record.version))
        .bind(record.variant.tenant.as_str())
        .bind(record.variant.artifact.as_str())
        .bind(record.variant.variant.as_str())
        .bind(record.artifact_type.name())
        .bind(record.board.as_ref().map(|board| board.as_str()))
        .bind(record.access.name())
        .bind(artifact_is_new)
        .bind(microseconds(record.created_at))
        .bind(number)
        .bind(size_bytes)
        .bind(
            attributes
                .content_type
                .as_ref()
                .map(|content_type| content_type.as_str()),
        )
        .bind(&attributes.content_disposition)
        .bind(&attributes.content_encoding)
        .bind(&attributes.content_language)
        .bind(&attributes.cache_control)
        .bind(record.digest.to_string())
        .bind(record.digest_state.name())
        .bind(user_metadata)
        .bind(&replica.provider)
        .bind(replica.key.as_str())
        .bind(replica.etag.as_ref().map(|etag| etag.as_str()))
        .bind(&replica.store_version)
        .bind(replica.checksum.as_ref().map(ToString::to_string))
        .bind(away(&record.home, &replica.provider))
        .bind(whole)
        .execute(connection)
        .await?;
    Ok(())
}

fn too_large(value: u64, source: std::num::TryFromIntError) -> Error {
    Error::invalid_input(format!(
        "{value} is more than the catalog can count: at most {}",
        i64::MAX
    ))
    .with_source(source)
}
