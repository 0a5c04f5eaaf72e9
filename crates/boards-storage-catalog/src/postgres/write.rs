//! Transactions: run whole or not at all, and again where the server undid one for the sake of another.

use std::time::Duration;

use boards_storage_core::{ArtifactId, Error, Result, TenantId};
use sqlx::{PgConnection, PgPool};

use super::error::{is_overtaken, translate_postgres};

/// How often a transaction is tried that others undo.
const ATTEMPTS_MAX: u32 = 10;

/// The pause before another attempt, at most as often as there were attempts.
const PAUSE: Duration = Duration::from_millis(5);

/// Something to write. It may be done more than once, but takes effect once.
pub(super) trait Write: Sync {
    type Answer: Send;

    /// Does it in the transaction that is open.
    fn write(
        &self,
        connection: &mut PgConnection,
    ) -> impl Future<Output = Result<Self::Answer, Unwritten>> + Send;
}

/// Why nothing was written.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// The contract says no.
    Refused(Error),
    /// The database failed.
    Failed(sqlx::Error),
}

impl From<Error> for Unwritten {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<sqlx::Error> for Unwritten {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

pub(super) async fn run<W: Write>(pool: &PgPool, name: &str, write: &W) -> Result<W::Answer> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match attempt(pool, write).await {
            Ok(answer) => return Ok(answer),
            Err(Unwritten::Refused(error)) => return Err(error),
            Err(Unwritten::Failed(error)) if is_overtaken(&error) && attempts < ATTEMPTS_MAX => {
                tokio::time::sleep(PAUSE * attempts).await;
            }
            Err(Unwritten::Failed(error)) => return Err(translate_postgres(error, name)),
        }
    }
}

async fn attempt<W: Write>(pool: &PgPool, write: &W) -> Result<W::Answer, Unwritten> {
    // Each statement sees what was committed before it, so a look after a lock sees what the lock waited for.
    let mut transaction = pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    let answer = write.write(&mut transaction).await?;
    transaction.commit().await?;
    Ok(answer)
}

/// Lets nobody else decide about an artifact until the transaction ends.
pub(super) async fn lock(
    connection: &mut PgConnection,
    tenant: &TenantId,
    artifact: &ArtifactId,
) -> sqlx::Result<()> {
    lock_name(connection, &format!("artifact {tenant}/{artifact}")).await
}

/// Takes a lock of this catalog, by a name that no other kind of lock has.
pub(super) async fn lock_name(connection: &mut PgConnection, name: &str) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ' ' || $1, 1650750324))")
        .bind(name)
        .execute(connection)
        .await?;
    Ok(())
}
