//! The one place where PostgreSQL's errors become ours.

use boards_storage_core::{Error, ErrorKind, Retry};

/// Returns whether the server undid the transaction for the sake of another: the same may succeed at once.
pub(super) fn is_overtaken(error: &sqlx::Error) -> bool {
    // serialization_failure, deadlock_detected, unique_violation.
    matches!(sql_state(error).as_deref(), Some("40001" | "40P01" | "23505"))
}

/// Translates an error of the PostgreSQL database of that name, by its SQLSTATE
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
pub(super) fn translate_postgres(source: sqlx::Error, name: &str) -> Error {
    let state = sql_state(&source);
    let error = match (&source, state.as_deref()) {
        (_, Some(state)) => from_sql_state(state, name),
        (sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_), None) => unreachable(name),
        (sqlx::Error::PoolClosed, None) => Error::new(
            ErrorKind::ProviderUnavailable,
            format!("the catalog '{name}' is closed"),
        )
        .with_retry(Retry::No),
        (sqlx::Error::PoolTimedOut, None) => Error::new(
            ErrorKind::ProviderUnavailable,
            format!("no connection to the catalog '{name}' was free, or could be made, in time"),
        ),
        (sqlx::Error::WorkerCrashed, None) => unreachable(name),
        (sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::RowNotFound, None) => {
            Error::new(
                ErrorKind::Storage,
                format!("the catalog '{name}' holds what no version of this program wrote"),
            )
        }
        (_, None) => Error::new(ErrorKind::Storage, format!("the catalog '{name}' failed")),
    };
    let error = error.with_source(source);
    match state {
        Some(state) => error.with_code(state),
        None => error,
    }
}

fn sql_state(error: &sqlx::Error) -> Option<String> {
    match error {
        sqlx::Error::Database(database) => database.code().map(std::borrow::Cow::into_owned),
        _ => None,
    }
}

fn unreachable(name: &str) -> Error {
    Error::new(
        ErrorKind::ProviderUnavailable,
        format!("the catalog '{name}' cannot be reached"),
    )
    .with_help("check that the server runs, and storage.catalog.url")
}

fn from_sql_state(state: &str, name: &str) -> Error {
    match (&state[..2.min(state.len())], state) {
        ("28", _) => Error::new(
            ErrorKind::AccessDenied,
            format!("the server of the catalog '{name}' does not let us in"),
        )
        .with_help("check the user and the password of storage.catalog.url"),
        (_, "42501") => Error::new(
            ErrorKind::AccessDenied,
            format!("the catalog '{name}' must not be used, or not be made, by this user"),
        )
        .with_help("create the schema and grant all rights on it to the user of storage.catalog.url"),
        ("3D", _) => Error::configuration(format!("there is no such database: the catalog '{name}'"))
            .with_help("create the database, or correct storage.catalog.url"),
        (_, "42P07") => Error::configuration(format!(
            "the schema of the catalog '{name}' has tables of another program"
        ))
        .with_help("give the catalog a schema of its own: storage.catalog.schema"),
        (_, "53100") => Error::new(
            ErrorKind::InsufficientStorage,
            format!("no space is left for the catalog '{name}'"),
        )
        .with_help("make room on the server's disk"),
        ("08" | "57" | "53" | "40", _) => Error::new(
            ErrorKind::ProviderUnavailable,
            format!("the server of the catalog '{name}' is not available now"),
        ),
        ("XX", _) => Error::new(ErrorKind::Corruption, format!("the catalog '{name}' is damaged"))
            .with_help("look into the server's log"),
        _ => Error::new(ErrorKind::Storage, format!("the catalog '{name}' failed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(state: &str, kind: ErrorKind, retry: Retry) {
        let error = from_sql_state(state, "db:5432/app");
        assert_eq!((error.kind(), error.retry()), (kind, retry), "{state}");
        assert!(error.to_string().contains("'db:5432/app'"), "{error}");
    }

    #[test]
    fn each_state_says_what_the_caller_can_do() {
        check("28P01", ErrorKind::AccessDenied, Retry::No); // invalid_password
        check("42501", ErrorKind::AccessDenied, Retry::No); // insufficient_privilege
        check("3D000", ErrorKind::Configuration, Retry::No); // invalid_catalog_name
        check("42P07", ErrorKind::Configuration, Retry::No); // duplicate_table
        check("53100", ErrorKind::InsufficientStorage, Retry::No); // disk_full
        check("53300", ErrorKind::ProviderUnavailable, Retry::Yes); // too_many_connections
        check("57P01", ErrorKind::ProviderUnavailable, Retry::Yes); // admin_shutdown
        check("08006", ErrorKind::ProviderUnavailable, Retry::Yes); // connection_failure
        check("40P01", ErrorKind::ProviderUnavailable, Retry::Yes); // deadlock_detected
        check("XX001", ErrorKind::Corruption, Retry::No); // data_corrupted
        check("23514", ErrorKind::Storage, Retry::No); // check_violation
        check("", ErrorKind::Storage, Retry::No);
    }
}
