//! Opening the file: its folder, its rights, its kind, its schema.

use std::path::{Path, PathBuf};
use std::time::Duration;

use boards_storage_core::{Error, ErrorKind, Result};
use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};
use tokio::time::Instant;

use super::error::{is_busy, translate_one};

/// How long a writer waits for other processes before it gives up.
pub(super) const BUSY_PATIENCE: Duration = Duration::from_secs(30);

/// How long SQLite itself waits for the write lock. Its waits grow to 100 ms, in which a busy process could take the
/// lock again and again; many short waits get their turn.
const BUSY_WAIT: Duration = Duration::from_millis(20);

/// How many connections read at a time.
const READERS_MAX: u32 = 4;

/// The write-ahead log is cut to this size when it is written back.
const LOG_BYTES_KEPT: &str = "67108864";

/// What the first migration writes into the file's header: "bdst".
const APPLICATION_ID: i64 = 1_650_750_324;

/// Where the versions that were applied are noted: the usual name, so that the usual tools find it.
const MIGRATIONS_TABLE: &str = "_sqlx_migrations";

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// Returns the absolute path, so that a later change of the working folder changes nothing.
pub(super) fn absolute(path: &Path) -> Result<PathBuf> {
    let shown = path.display();
    if path.file_name().is_none() {
        return Err(
            Error::configuration(format!("'{shown}' is not the path of a file"))
                .with_help("give the path of the catalog's file, such as 'boards-storage-data/catalog.db'"),
        );
    }
    std::path::absolute(path)
        .map_err(|source| Error::configuration(format!("'{shown}' is not a usable path")).with_source(source))
}

/// Creates what is missing and returns the connection that writes.
pub(super) async fn open_writer(path: &Path) -> Result<SqliteConnection> {
    create_file(path).await?;
    let deadline = Instant::now() + BUSY_PATIENCE;
    loop {
        match prepare(path).await {
            Ok(connection) => return Ok(connection),
            // Some locks are refused without a wait, such as the one that turns the write-ahead log on.
            Err(Unprepared::Database(error)) if is_busy(&error) && Instant::now() < deadline => {
                tokio::time::sleep(BUSY_WAIT).await;
            }
            Err(Unprepared::Database(error)) => return Err(translate_one(error, path)),
            Err(Unprepared::Refused(error)) => return Err(error),
        }
    }
}

/// Returns the connections that read. Each is opened when it is first needed.
pub(super) fn readers(path: &Path) -> SqlitePool {
    // Not opened read-only: after a crash a reader has to recover the log.
    let options = options(path)
        .busy_timeout(BUSY_PATIENCE)
        .pragma("query_only", "ON");
    SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        .acquire_timeout(BUSY_PATIENCE)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options)
}

/// Connects for writing to a file that is known to be a catalog.
pub(super) async fn connect_writer(path: &Path) -> sqlx::Result<SqliteConnection> {
    options(path)
        .busy_timeout(BUSY_WAIT)
        .pragma("journal_size_limit", LOG_BYTES_KEPT)
        .connect()
        .await
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging()
}

/// Why a file could not be made ready.
enum Unprepared {
    Database(sqlx::Error),
    Refused(Error),
}

impl From<sqlx::Error> for Unprepared {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

async fn prepare(path: &Path) -> std::result::Result<SqliteConnection, Unprepared> {
    let mut connection = connect_writer(path).await?;
    if !is_up_to_date(&mut connection, path).await? {
        migrate(&mut connection, path).await?;
    }
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode = WAL")
        .fetch_one(&mut connection)
        .await?;
    if mode != "wal" {
        return Err(Unprepared::Refused(
            Error::configuration(format!(
                "the catalog '{}' cannot have a write-ahead log here",
                path.display()
            ))
            .with_help("put the catalog on a local disk"),
        ));
    }
    Ok(connection)
}

/// Refuses files that are not ours or newer than we are.
async fn is_up_to_date(
    connection: &mut SqliteConnection,
    path: &Path,
) -> std::result::Result<bool, Unprepared> {
    let shown = path.display();
    let (application, tables): (i64, i64) = sqlx::query_as(
        "SELECT application_id, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id",
    )
    .fetch_one(&mut *connection)
    .await?;
    if tables == 0 {
        return Ok(false);
    }
    if application != APPLICATION_ID {
        return Err(Unprepared::Refused(
            Error::configuration(format!(
                "the file '{shown}' is no catalog: it is another program's database"
            ))
            .with_help("give the path of a catalog, or of a file that does not exist yet"),
        ));
    }
    let found = schema_version(connection).await?;
    let known = MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or_default();
    if found > known {
        return Err(Unprepared::Refused(
            Error::configuration(format!(
                "the catalog '{shown}' has schema version {found}; this program knows versions up to {known}"
            ))
            .with_help("use the newer version of this program that wrote it"),
        ));
    }
    Ok(found == known)
}

/// Brings the schema up to date, in one transaction: of several processes that open an old file, one does it.
async fn migrate(connection: &mut SqliteConnection, path: &Path) -> std::result::Result<(), Unprepared> {
    let refused = |error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            Unprepared::Database(error)
        }
        error => Unprepared::Refused(
            Error::new(
                ErrorKind::Storage,
                format!(
                    "the schema of the catalog '{}' cannot be upgraded",
                    path.display()
                ),
            )
            .with_source(error),
        ),
    };
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    transaction
        .ensure_migrations_table(MIGRATIONS_TABLE)
        .await
        .map_err(refused)?;
    let found = schema_version(&mut transaction).await?;
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > found) {
        transaction
            .apply(MIGRATIONS_TABLE, migration)
            .await
            .map_err(refused)?;
    }
    Ok(transaction.commit().await?)
}

async fn schema_version(connection: &mut SqliteConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations")
        .fetch_one(connection)
        .await
}

/// Creates the file if it is missing, readable by its owner alone, and its folders.
///
/// SQLite gives the log beside it the same rights, and flushes the folder itself; the new folders are flushed here.
async fn create_file(path: &Path) -> Result<()> {
    let failed = |source: std::io::Error| {
        let kind = match source.kind() {
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                ErrorKind::AccessDenied
            }
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                ErrorKind::InsufficientStorage
            }
            _ => ErrorKind::Configuration,
        };
        Error::new(
            kind,
            format!("the catalog '{}' cannot be created: {source}", path.display()),
        )
        .with_help("give a path in a folder that the process may write in")
        .with_source(source)
    };
    match tokio::fs::metadata(path).await {
        Ok(found) if found.is_dir() => {
            return Err(
                Error::configuration(format!("'{}' is a folder, not a catalog", path.display())).with_help(
                    "give the path of the catalog's file, such as 'boards-storage-data/catalog.db'",
                ),
            );
        }
        Ok(_found) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    if let Some(folder) = path.parent() {
        create_folder(folder).await.map_err(failed)?;
    }
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(0o600);
    match options.open(path).await {
        Ok(_file) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Creates a folder and those above it, and makes their names survive a power failure.
async fn create_folder(folder: &Path) -> std::io::Result<()> {
    let mut missing: Vec<PathBuf> = Vec::new();
    for ancestor in folder.ancestors() {
        if tokio::fs::try_exists(ancestor).await? {
            break;
        }
        missing.push(ancestor.to_owned());
    }
    tokio::fs::create_dir_all(folder).await?;
    for made in missing {
        if let Some(parent) = made.parent() {
            flush_folder(parent).await?;
        }
    }
    Ok(())
}

/// Makes the names in a folder survive a power failure, where the system can.
async fn flush_folder(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) {
        tokio::fs::File::open(folder).await?.sync_all().await
    } else {
        Ok(())
    }
}
