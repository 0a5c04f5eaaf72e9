//! What tenants store, and may store. What is used is counted by triggers of the schema.

use boards_storage_core::{Quota, TenantId, TenantUsage, Usage};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

use super::row::unsigned;
use super::writer::{Unwritten, Write};

pub(super) struct SetQuota {
    pub(super) tenant: TenantId,
    pub(super) quota: Option<Quota>,
}

impl Write for SetQuota {
    type Answer = ();

    async fn write(&self, connection: &mut SqliteConnection) -> Result<(), Unwritten> {
        const SET: &str = "\
            INSERT INTO tenants (tenant, has_quota, bytes_max, objects_max) VALUES ($1, $2, $3, $4) \
            ON CONFLICT DO UPDATE SET has_quota = $2, bytes_max = $3, objects_max = $4";
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

pub(super) async fn usage(readers: &SqlitePool, tenant: &TenantId) -> sqlx::Result<TenantUsage> {
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

/// Translates the columns `bytes` and `objects`.
pub(super) fn used(row: &SqliteRow) -> sqlx::Result<Usage> {
    Ok(Usage {
        bytes: unsigned(row, "bytes")?,
        objects: unsigned(row, "objects")?,
    })
}

/// Translates limits from columns of these names.
pub(super) fn limits(row: &SqliteRow, bytes_max: &str, objects_max: &str) -> sqlx::Result<Quota> {
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

/// A limit as SQLite keeps it. What it cannot count to is no limit to it.
pub(super) fn counted(limit: u64) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
