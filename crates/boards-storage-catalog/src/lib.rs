//! The catalog of boards-storage on a database: records of artifacts that survive the process and the power.
//!
//! The contract, and a catalog in memory, are in `boards-storage-core`. All SQL of the workspace is here; nothing
//! here knows a provider.

mod error;
mod failpoints;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "failpoints")]
pub use failpoints::FAILPOINTS;
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteAuditSink, SqliteCatalog};
