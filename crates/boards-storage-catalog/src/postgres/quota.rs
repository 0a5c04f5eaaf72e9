//! What tenants store, and may store.

use boards_storage_core::{Quota, TenantId, TenantUsage, Usage};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};

use super::row::unsigned;
use super::write::{Unwritten, Write};

pub(super) struct SetQuota<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) quota: Option<Quota>,
}

impl Write for SetQuota<'_> {
    type Answer = ();

    async fn write(&self, connection: &mut PgConnection) -> Result<(), Unwritten> {
        const SET: &str = "\
            INSERT INTO tenants (tenant, has_quota, bytes_max, objects_max) VALUES ($1, $2, $3, $4) \
            ON CONFLICT (tenant) DO UPDATE SET has_quota = $2, bytes_max = $3, objects_max = $4";
        let quota = self.quota.unwrap_or_default();
        sqlx::query(SET)
            .bind(self.tenant.as_str())
            .bind(self.quota.is_some())
            .bind(quota.bytes_max.map(counted))
            .bind(quota.objects_max.map(counted))
            .execute(connection)
            .await?;
        Ok(())
    }
}

pub(super) async fn usage(readers: &PgPool, tenant: &TenantId) -> sqlx::Result<TenantUsage> {
    let row = sqlx::query(
        "SELECT bytes, objects, has_quota, bytes_max, objects_max FROM tenants WHERE tenant = $1",
    )
    .bind(tenant.as_str())
    .fetch_optional(readers)
    .await?;
    let Some(row) = row else {
        return Ok(TenantUsage::default());
    };
    let quota = row.try_get::<bool, _>("has_quota")?;
    Ok(TenantUsage {
        used: used(&row)?,
        quota: quota
            .then(|| limits(&row, "bytes_max", "objects_max"))
            .transpose()?,
    })
}

/// Counts a version that is stored. The tenant's row is locked from here to the end of the transaction, and its quota
/// checked under that lock.
pub(super) async fn count(
    connection: &mut PgConnection,
    tenant: &TenantId,
    quota: Quota,
    size_bytes: u64,
) -> Result<(), Unwritten> {
    const COUNT: &str = "\
        INSERT INTO tenants (tenant, bytes, objects) VALUES ($1, $2, 1) \
        ON CONFLICT (tenant) DO UPDATE SET objects = tenants.objects + 1, \
            bytes = LEAST(tenants.bytes::numeric + excluded.bytes, 9223372036854775807)::bigint \
        RETURNING bytes, objects, has_quota, bytes_max, objects_max";
    let row = sqlx::query(COUNT)
        .bind(tenant.as_str())
        .bind(counted(size_bytes))
        .fetch_one(connection)
        .await?;
    let mut before = used(&row)?;
    before.remove(size_bytes);
    // Set since the transaction looked.
    let quota = if row.try_get("has_quota")? {
        limits(&row, "bytes_max", "objects_max")?
    } else {
        quota
    };
    Ok(quota.check(tenant, before, size_bytes)?)
}

/// Takes versions from what is counted.
pub(super) async fn uncount(
    connection: &mut PgConnection,
    tenant: &TenantId,
    sizes: &[u64],
) -> sqlx::Result<()> {
    let bytes = sizes.iter().fold(0, |sum: u64, size| sum.saturating_add(*size));
    sqlx::query(
        "UPDATE tenants SET objects = GREATEST(objects - $2, 0), bytes = GREATEST(bytes - $3, 0) WHERE tenant = $1",
    )
    .bind(tenant.as_str())
    .bind(counted(sizes.len() as u64))
    .bind(counted(bytes))
    .execute(connection)
    .await?;
    Ok(())
}

/// Translates the columns `bytes` and `objects`.
pub(super) fn used(row: &PgRow) -> sqlx::Result<Usage> {
    Ok(Usage {
        bytes: unsigned(row, "bytes")?,
        objects: unsigned(row, "objects")?,
    })
}

/// Translates limits from columns of these names.
pub(super) fn limits(row: &PgRow, bytes_max: &str, objects_max: &str) -> sqlx::Result<Quota> {
    let column = |name: &str| -> sqlx::Result<Option<u64>> {
        match row.try_get::<Option<i64>, _>(name)? {
            Some(_) => unsigned(row, name).map(Some),
            None => Ok(None),
        }
    };
    Ok(Quota {
        bytes_max: column(bytes_max)?,
        objects_max: column(objects_max)?,
    })
}

/// A limit as the database keeps it. What it cannot count to is no limit to it.
pub(super) fn counted(limit: u64) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
