//! The one place where SQLite's errors become ours.

use std::path::Path;
use std::sync::Arc;

use boards_storage_core::{Error, ErrorKind, Retry};

/// SQLite's primary result codes (<https://www.sqlite.org/rescode.html>).
mod code {
    pub(super) const PERM: i32 = 3;
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const NOMEM: i32 = 7;
    pub(super) const READONLY: i32 = 8;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const CONSTRAINT: i32 = 19;
    pub(super) const NOTADB: i32 = 26;
    /// Extended: the memory file that processes share could not be made larger.
    pub(super) const IOERR_SHMSIZE: i32 = 4874;
}

/// Returns whether another connection holds the lock that was asked for: the same may succeed later.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    sqlite_code(error).is_some_and(|code| matches!(code & 0xff, code::BUSY | code::LOCKED))
}

/// Translates an error of the database in the file at `path`.
///
/// Several calls can fail together, so the cause is shared.
pub(super) fn translate(source: &Arc<sqlx::Error>, path: &Path) -> Error {
    let error = match sqlite_code(source) {
        Some(code) => from_sqlite(code, path),
        None => from_sqlx(source, path),
    };
    let code = sqlite_code(source).map(|code| code.to_string());
    let error = error.with_source(Arc::clone(source));
    match code {
        Some(code) => error.with_code(code),
        None => error,
    }
}

/// Translates an error that one call met.
pub(super) fn translate_one(source: sqlx::Error, path: &Path) -> Error {
    translate(&Arc::new(source), path)
}

/// The error of a call on a catalog that was closed.
pub(super) fn closed(path: &Path) -> Error {
    Error::new(
        ErrorKind::ProviderUnavailable,
        format!("the catalog '{}' is closed", path.display()),
    )
    .with_retry(Retry::No)
}

fn sqlite_code(error: &sqlx::Error) -> Option<i32> {
    match error {
        sqlx::Error::Database(database) => database.code()?.parse().ok(),
        _ => None,
    }
}

fn from_sqlite(extended: i32, path: &Path) -> Error {
    let path = path.display();
    if extended == code::IOERR_SHMSIZE {
        return full(&path);
    }
    match extended & 0xff {
        code::BUSY | code::LOCKED => Error::new(
            ErrorKind::ProviderUnavailable,
            format!("the catalog '{path}' was locked by other processes all the time"),
        )
        .with_help("try again; if it stays so, look for a process that keeps a transaction open"),
        code::FULL => full(&path),
        code::CORRUPT => Error::new(ErrorKind::Corruption, format!("the catalog '{path}' is damaged"))
            .with_help("keep a copy of the file, then restore it from a backup or rebuild it from the stored objects"),
        code::NOTADB => Error::configuration(format!("the file '{path}' is no catalog: it is no SQLite database"))
            .with_help("give the path of a catalog, or of a file that does not exist yet"),
        code::READONLY | code::PERM => {
            Error::new(ErrorKind::AccessDenied, format!("the catalog '{path}' cannot be written to"))
                .with_help("give the process the right to write the file and its folder")
        }
        code::CANTOPEN => Error::new(ErrorKind::ProviderUnavailable, format!("the catalog '{path}' cannot be opened"))
            .with_retry(Retry::No)
            .with_help("check that the folder is there and that the process may write in it"),
        code::NOMEM => Error::new(ErrorKind::ProviderUnavailable, format!("no memory to use the catalog '{path}'")),
        code::CONSTRAINT => {
            Error::new(ErrorKind::Storage, format!("the catalog '{path}' refused a record that breaks its rules"))
        }
        _ => Error::new(ErrorKind::Storage, format!("the catalog '{path}' failed")),
    }
}

fn full(path: &impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::InsufficientStorage,
        format!("no space is left for the catalog '{path}'"),
    )
    .with_help("make room on its disk")
}

fn from_sqlx(source: &sqlx::Error, path: &Path) -> Error {
    let shown = path.display();
    match source {
        sqlx::Error::PoolClosed => closed(path),
        sqlx::Error::PoolTimedOut => Error::new(
            ErrorKind::ProviderUnavailable,
            format!("all connections to the catalog '{shown}' stayed in use"),
        ),
        sqlx::Error::WorkerCrashed => Error::new(
            ErrorKind::ProviderUnavailable,
            format!("the connection to the catalog '{shown}' broke"),
        ),
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::RowNotFound => Error::new(
            ErrorKind::Storage,
            format!("the catalog '{shown}' holds what no version of this program wrote"),
        ),
        _ => Error::new(ErrorKind::Storage, format!("the catalog '{shown}' failed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: i32, kind: ErrorKind, retry: Retry) {
        let error = from_sqlite(code, Path::new("folder/catalog.db"));
        assert_eq!((error.kind(), error.retry()), (kind, retry), "{code}");
        assert!(error.to_string().contains("'folder/catalog.db'"), "{error}");
    }

    #[test]
    fn each_code_says_what_the_caller_can_do() {
        check(5, ErrorKind::ProviderUnavailable, Retry::Yes); // BUSY
        check(261, ErrorKind::ProviderUnavailable, Retry::Yes); // BUSY_RECOVERY
        check(6, ErrorKind::ProviderUnavailable, Retry::Yes); // LOCKED
        check(13, ErrorKind::InsufficientStorage, Retry::No); // FULL
        check(4874, ErrorKind::InsufficientStorage, Retry::No); // IOERR_SHMSIZE
        check(10, ErrorKind::Storage, Retry::No); // IOERR
        check(778, ErrorKind::Storage, Retry::No); // IOERR_WRITE
        check(11, ErrorKind::Corruption, Retry::No); // CORRUPT
        check(267, ErrorKind::Corruption, Retry::No); // CORRUPT_VTAB
        check(26, ErrorKind::Configuration, Retry::No); // NOTADB
        check(8, ErrorKind::AccessDenied, Retry::No); // READONLY
        check(1032, ErrorKind::AccessDenied, Retry::No); // READONLY_DBMOVED
        check(3, ErrorKind::AccessDenied, Retry::No); // PERM
        check(14, ErrorKind::ProviderUnavailable, Retry::No); // CANTOPEN
        check(7, ErrorKind::ProviderUnavailable, Retry::Yes); // NOMEM
        check(2067, ErrorKind::Storage, Retry::No); // CONSTRAINT_UNIQUE
        check(1, ErrorKind::Storage, Retry::No); // ERROR
    }
}
