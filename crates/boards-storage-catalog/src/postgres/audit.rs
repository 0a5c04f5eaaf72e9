//! How far audit logs have come.

use boards_storage_core::{AuditHead, Error};
use sqlx::{PgConnection, PgExecutor, Row};

use super::row::unsigned;
use super::write::{Unwritten, Write, lock_name};

pub(super) struct Advance<'a> {
    pub(super) log: &'a str,
    pub(super) head: &'a AuditHead,
}

impl Write for Advance<'_> {
    type Answer = AuditHead;

    async fn write(&self, connection: &mut PgConnection) -> Result<AuditHead, Unwritten> {
        lock_name(connection, &format!("audit {}", self.log)).await?;
        let kept = head(&mut *connection, self.log).await?;
        if let Some(kept) = kept.filter(|kept| kept.sequence >= self.head.sequence) {
            if kept.sequence == self.head.sequence && kept.mac != self.head.mac {
                return Err(AuditHead::forked(self.log, kept.sequence).into());
            }
            return Ok(kept);
        }
        let sequence = i64::try_from(self.head.sequence).map_err(|source| {
            Error::invalid_input("the audit log has more entries than the catalog can count")
                .with_source(source)
        })?;
        sqlx::query(
            "INSERT INTO audit_heads (log, sequence, mac) VALUES ($1, $2, $3) \
             ON CONFLICT (log) DO UPDATE SET sequence = excluded.sequence, mac = excluded.mac",
        )
        .bind(self.log)
        .bind(sequence)
        .bind(&self.head.mac)
        .execute(connection)
        .await?;
        Ok(self.head.clone())
    }
}

pub(super) async fn head(executor: impl PgExecutor<'_>, log: &str) -> sqlx::Result<Option<AuditHead>> {
    let row = sqlx::query("SELECT sequence, mac FROM audit_heads WHERE log = $1")
        .bind(log)
        .fetch_optional(executor)
        .await?;
    row.map(|row| {
        Ok(AuditHead {
            sequence: unsigned(&row, "sequence")?,
            mac: row.try_get("mac")?,
        })
    })
    .transpose()
}
