//! Connecting: the address, the schema, its version.

use std::str::FromStr;
use std::time::Duration;

use boards_storage_core::{Error, ErrorKind, Result};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool};

use super::error::{is_overtaken, translate_postgres};

/// How long a call waits for a connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest name that PostgreSQL keeps whole.
const SCHEMA_BYTES_MAX: usize = 63;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// Where a [`PostgresCatalog`](crate::PostgresCatalog) is, and how many connections it may use.
///
/// `Debug` shows no password.
#[derive(Clone)]
pub struct PostgresOptions {
    connect: PgConnectOptions,
    schema: String,
    connections_max: u32,
}

impl PostgresOptions {
    /// The schema where nothing else is said.
    pub const SCHEMA: &str = "boards_storage";

    /// Takes the address from a URL, such as `postgres://user:password@db.example.com:5432/app?sslmode=verify-full`.
    ///
    /// # Errors
    ///
    /// `Configuration` if it is no such URL. The message does not show it.
    pub fn parse(url: &str) -> Result<Self> {
        let refused = || {
            Error::configuration("the URL of the catalog is no URL of a PostgreSQL database").with_help(
                "give one such as 'postgres://user:password@db.example.com:5432/app?sslmode=verify-full'",
            )
        };
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(refused());
        }
        let connect = PgConnectOptions::from_str(url).map_err(|_may_show_it| refused())?;
        Ok(Self {
            connect: connect
                .application_name("boards-storage")
                .disable_statement_logging(),
            schema: Self::SCHEMA.to_owned(),
            connections_max: 10,
        })
    }

    /// Sets the schema that holds all tables: a name of its own for each catalog in the database.
    ///
    /// # Errors
    ///
    /// `Configuration` unless it has lower-case letters, digits and `_` alone, begins with no digit, and has at most 63
    /// bytes.
    pub fn with_schema(mut self, schema: impl Into<String>) -> Result<Self> {
        let schema = schema.into();
        let is_named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let begins = schema.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        if !begins || schema.len() > SCHEMA_BYTES_MAX || !schema.bytes().all(is_named) {
            let shown: String = schema.chars().take(80).collect();
            return Err(
                Error::configuration(format!("{shown:?} is no name of a schema")).with_help(
                    "give lower-case letters, digits and '_', at most 63, with no digit at the beginning",
                ),
            );
        }
        self.schema = schema;
        Ok(self)
    }

    /// Sets how many connections are open at a time at most; 10 by default, and at least 1.
    #[must_use]
    pub fn with_connections_max(mut self, connections: u32) -> Self {
        self.connections_max = connections.max(1);
        self
    }

    /// What the database is called in messages, without user and password.
    pub(super) fn name(&self) -> String {
        let (host, port) = (self.connect.get_host(), self.connect.get_port());
        let database = self.connect.get_database().unwrap_or_default();
        format!("{host}:{port}/{database}, schema {}", self.schema)
    }
}

impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("name", &self.name())
            .field("connections_max", &self.connections_max)
            .finish_non_exhaustive()
    }
}

/// Returns the connections, with the schema up to date.
pub(super) async fn open(options: PostgresOptions) -> Result<PgPool> {
    let name = options.name();
    let connect = options
        .connect
        .clone()
        .options([("search_path", options.schema.as_str())]);
    prepare(connect.clone(), options.schema, name).await?;
    Ok(PgPoolOptions::new()
        .max_connections(options.connections_max)
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(connect))
}

async fn prepare(connect: PgConnectOptions, schema: String, name: String) -> Result<()> {
    let failed = |error| translate_postgres(error, &name);
    let connecting = tokio::time::timeout(PATIENCE, connect.connect()).await;
    let connected = connecting.unwrap_or(Err(sqlx::Error::PoolTimedOut));
    let mut connection = connected.map_err(failed)?;
    create_schema(&mut connection, schema).await.map_err(failed)?;
    migrate(&mut connection, &name).await?;
    connection.close().await.map_err(failed)
}

async fn create_schema(connection: &mut PgConnection, schema: String) -> sqlx::Result<()> {
    let is_there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)")
        .bind(schema.clone())
        .fetch_one(&mut *connection)
        .await?;
    if is_there {
        return Ok(());
    }
    // The name has no character that means anything in SQL.
    let sql = format!("CREATE SCHEMA IF NOT EXISTS {schema}");
    match sqlx::query(AssertSqlSafe(sql)).execute(connection).await {
        // Somebody else made it at the same moment.
        Err(error) if is_overtaken(&error) => Ok(()),
        made => made.map(drop),
    }
}

/// Brings the schema up to date. Of several processes that open an old one, one does it, and the others wait.
async fn migrate(connection: &mut PgConnection, name: &str) -> Result<()> {
    let known = MIGRATIONS.iter().map(|migration| migration.version).max();
    MIGRATIONS
        .run_direct(None, connection, false)
        .await
        .map_err(|error| match error {
            MigrateError::VersionMissing(found) => Error::configuration(format!(
                "the catalog '{name}' has schema version {found}; this program knows versions up to {}",
                known.unwrap_or_default()
            ))
            .with_help("use the newer version of this program that wrote it"),
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                translate_postgres(error, name)
            }
            error => Error::new(
                ErrorKind::Storage,
                format!("the schema of the catalog '{name}' cannot be upgraded"),
            )
            .with_source(error),
        })
}
