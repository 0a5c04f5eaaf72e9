//! What SQLite adds to the contract: the file, its rights, its schema, its failures.

mod audit;
mod failure;
mod file;
mod schema;
mod support;
