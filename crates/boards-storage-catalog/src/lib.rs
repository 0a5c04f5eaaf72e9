//! The catalog of boards-storage on a database: records of artifacts that survive the process and the power.
//!
//! The contract, and a catalog in memory, are in `boards-storage-core`. All SQL of the workspace is here; nothing
//! here knows a provider.

#[cfg(feature = "sqlite")]
mod failpoints;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(all(feature = "failpoints", feature = "sqlite"))]
pub use failpoints::FAILPOINTS;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresCatalog, PostgresOptions};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteAuditSink, SqliteCatalog};
