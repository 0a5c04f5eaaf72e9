//! Rows to records, and records to values of columns.

use std::collections::BTreeMap;
use std::str::FromStr;

use boards_storage_core::{
    AccessClass, ArtifactFacts, ArtifactId, ArtifactRecord, ArtifactType, BoardId, Checksum, ContentType,
    DigestState, ETag, Error, Intent, ObjectAttributes, Replica, Result, StorageKey, TenantId, Tombstone,
    Utilization, UtilizationKey, VariantIdentity, VariantName, VersionId,
};
use jiff::Timestamp;
use serde::Deserialize;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

/// Selects a record from the tables `versions`, `variants` and `artifacts`; [`record`] reads it.
///
/// One statement sees one state, so that metadata and replicas always fit the version.
macro_rules! record_columns {
    () => {
        "variants.tenant, variants.artifact, variants.variant, \
         artifacts.artifact_type, artifacts.board, artifacts.access, \
         versions.id, versions.number, (versions.id IS NOT DISTINCT FROM variants.current_version) AS is_current, versions.size_bytes, \
         versions.content_type, versions.content_disposition, versions.content_encoding, \
         versions.content_language, versions.cache_control, versions.digest, versions.digest_state, \
         versions.created_at, versions.home, versions.user_metadata::text AS user_metadata, "
    };
}

/// Selects the replicas of `versions.id` as JSON; [`replicas`] reads them.
macro_rules! replicas_column {
    () => {
        "(SELECT json_agg(json_build_object('provider', provider, 'key', key, 'etag', etag, \
         'store_version', store_version, 'checksum', checksum, 'verified_at', verified_at) ORDER BY ordinal)::text \
         FROM replicas WHERE version = versions.id) AS replicas "
    };
}

pub(super) use {record_columns, replicas_column};

/// Translates a row of [`record_columns`] and [`replicas_column`].
pub(super) fn record(row: &PgRow) -> sqlx::Result<ArtifactRecord> {
    let facts = facts(row)?.ok_or(sqlx::Error::RowNotFound)?;
    let replicas = replicas(row)?;
    let home = match row.try_get("home")? {
        Some(home) => home,
        None => replicas
            .first()
            .map(|replica| replica.provider.clone())
            .ok_or(sqlx::Error::RowNotFound)?,
    };
    Ok(ArtifactRecord {
        variant: variant(row)?,
        artifact_type: facts.artifact_type,
        board: facts.board,
        access: facts.access,
        version: version(row.try_get("id")?)?,
        number: unsigned(row, "number")?,
        is_current: row.try_get("is_current")?,
        size_bytes: unsigned(row, "size_bytes")?,
        attributes: attributes(row)?,
        digest: parsed(row.try_get("digest")?)?,
        digest_state: digest_state(row.try_get("digest_state")?)?,
        created_at: time(row, "created_at")?,
        home,
        replicas,
    })
}

/// Translates a deleted version's row.
pub(super) fn tombstone(
    row: &PgRow,
    deleted_at: Timestamp,
    recoverable_until: Option<Timestamp>,
) -> sqlx::Result<Tombstone> {
    Ok(Tombstone {
        version: version(row.try_get("id")?)?,
        variant: variant(row)?,
        replicas: replicas(row)?,
        deleted_at,
        recoverable_until,
    })
}

/// Translates a row of sums.
pub(super) fn utilization(row: &PgRow) -> sqlx::Result<(UtilizationKey, Utilization)> {
    let key = UtilizationKey {
        provider: row.try_get("provider")?,
        tenant: text(row.try_get("tenant")?, TenantId::parse)?,
        artifact_type: text(row.try_get("artifact_type")?, ArtifactType::parse)?,
    };
    let utilization = Utilization {
        objects: unsigned(row, "objects")?,
        bytes: unsigned(row, "bytes")?,
    };
    Ok((key, utilization))
}

/// Translates a row of `intents`.
pub(super) fn intent(row: &PgRow) -> sqlx::Result<Intent> {
    let provider: String = row.try_get("provider")?;
    let home: Option<String> = row.try_get("home")?;
    Ok(Intent {
        version: version(row.try_get("version")?)?,
        variant: variant(row)?,
        home: home.unwrap_or_else(|| provider.clone()),
        provider,
        key: text(row.try_get("key")?, StorageKey::parse)?,
        lease_until: time(row, "lease_until")?,
    })
}

/// Translates the facts of an artifact, which an outer join may not have found.
pub(super) fn facts(row: &PgRow) -> sqlx::Result<Option<ArtifactFacts>> {
    facts_of(row, "artifact_type", "board", "access")
}

/// Translates facts from columns of these names.
pub(super) fn facts_of(
    row: &PgRow,
    artifact_type: &str,
    board: &str,
    access: &str,
) -> sqlx::Result<Option<ArtifactFacts>> {
    let Some(artifact_type) = row.try_get::<Option<&str>, _>(artifact_type)? else {
        return Ok(None);
    };
    Ok(Some(ArtifactFacts {
        artifact_type: text(artifact_type, ArtifactType::parse)?,
        board: row
            .try_get::<Option<&str>, _>(board)?
            .map(|board| text(board, BoardId::parse))
            .transpose()?,
        access: parsed::<AccessClass>(row.try_get(access)?)?,
    }))
}

/// The home of a write, where it is not where its bytes go.
pub(super) fn away<'h>(home: &'h str, provider: &str) -> Option<&'h str> {
    (home != provider).then_some(home)
}

/// A version id as the database keeps it.
pub(super) fn uuid(version: VersionId) -> Uuid {
    version.as_uuid()
}

/// A time as the catalog keeps it.
pub(super) fn microseconds(time: Timestamp) -> i64 {
    time.as_microsecond()
}

/// A time as the catalog will answer it.
pub(super) fn truncated(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond())
        .expect("it is not beyond the time that it was cut from")
}

/// A column of a time.
pub(super) fn time(row: &PgRow, column: &str) -> sqlx::Result<Timestamp> {
    Timestamp::from_microsecond(row.try_get(column)?).map_err(nonsense)
}

/// A limit as the database understands it.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A column that is never negative.
pub(super) fn unsigned(row: &PgRow, column: &str) -> sqlx::Result<u64> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(nonsense)
}

/// A value of a version id.
pub(super) fn version(uuid: Uuid) -> sqlx::Result<VersionId> {
    text(&uuid.simple().to_string(), VersionId::parse)
}

/// The columns that name a variant.
pub(super) fn variant(row: &PgRow) -> sqlx::Result<VariantIdentity> {
    Ok(VariantIdentity {
        tenant: text(row.try_get("tenant")?, TenantId::parse)?,
        artifact: text(row.try_get("artifact")?, ArtifactId::parse)?,
        variant: text(row.try_get("variant")?, VariantName::parse)?,
    })
}

fn attributes(row: &PgRow) -> sqlx::Result<ObjectAttributes> {
    let mut attributes = ObjectAttributes::default();
    let content_type: Option<&str> = row.try_get("content_type")?;
    attributes.content_type = content_type
        .map(|value| text(value, ContentType::parse))
        .transpose()?;
    attributes.content_disposition = row.try_get("content_disposition")?;
    attributes.content_encoding = row.try_get("content_encoding")?;
    attributes.content_language = row.try_get("content_language")?;
    attributes.cache_control = row.try_get("cache_control")?;
    attributes.user_metadata =
        serde_json::from_str::<BTreeMap<_, _>>(row.try_get("user_metadata")?).map_err(nonsense)?;
    Ok(attributes)
}

fn digest_state(name: &str) -> sqlx::Result<DigestState> {
    let known = [DigestState::Declared, DigestState::Verified]
        .into_iter()
        .find(|state| state.name() == name);
    known.ok_or_else(|| {
        nonsense(Error::invalid_input(format!(
            "'{name}' is not a state of a digest"
        )))
    })
}

#[derive(Deserialize)]
struct ReplicaRow {
    provider: String,
    key: StorageKey,
    etag: Option<ETag>,
    store_version: Option<String>,
    checksum: Option<Checksum>,
    verified_at: Option<i64>,
}

fn replicas(row: &PgRow) -> sqlx::Result<Vec<Replica>> {
    let rows: Vec<ReplicaRow> = serde_json::from_str(row.try_get("replicas")?).map_err(nonsense)?;
    let replica = |row: ReplicaRow| {
        Ok(Replica {
            provider: row.provider,
            key: row.key,
            etag: row.etag,
            store_version: row.store_version,
            checksum: row.checksum,
            verified_at: row
                .verified_at
                .map(Timestamp::from_microsecond)
                .transpose()
                .map_err(nonsense)?,
        })
    };
    rows.into_iter().map(replica).collect()
}

fn parsed<T: FromStr<Err = Error>>(value: &str) -> sqlx::Result<T> {
    value.parse().map_err(nonsense)
}

fn text<'a, T>(value: &'a str, parse: impl FnOnce(&'a str) -> Result<T>) -> sqlx::Result<T> {
    parse(value).map_err(nonsense)
}

/// What no version of this program wrote.
pub(super) fn nonsense(source: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(source))
}
