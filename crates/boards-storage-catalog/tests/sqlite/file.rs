//! The file: how it is made, opened, closed and opened again.

use std::path::Path;

use boards_storage_catalog::SqliteCatalog;
use boards_storage_core::{Catalog, DeleteMode, DeleteTarget, ErrorKind, Retry, VersionSelector};

use crate::support::{connect, identity, intent, object, second, store};

fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().expect("the folder can be read");
    let mut names: Vec<_> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_missing_file_is_created_with_its_folders() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a/b c/ü/catalog?mode=ro#.db");
    let catalog = SqliteCatalog::open(&path).await.expect("created");
    assert_eq!(catalog.path(), path);
    store(&catalog, "a").await.expect("stored");
    catalog.close().await.expect("closed");
    assert!(path.is_file());
}

#[tokio::test]
async fn a_file_name_that_looks_like_a_url_is_a_file_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file:catalog.db?vfs=nothing");
    SqliteCatalog::open(&path)
        .await
        .expect("created")
        .close()
        .await
        .expect("closed");
    assert_eq!(names(folder.path()), ["file:catalog.db?vfs=nothing"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_file_and_its_log_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().expect("a folder");
    let catalog = SqliteCatalog::open(folder.path().join("catalog.db"))
        .await
        .expect("created");
    store(&catalog, "a").await.expect("stored");
    assert_eq!(
        names(folder.path()),
        ["catalog.db", "catalog.db-shm", "catalog.db-wal"]
    );
    for name in names(folder.path()) {
        let mode = folder
            .path()
            .join(&name)
            .metadata()
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn everything_is_there_when_it_is_opened_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path).await.expect("created");
    let kept = store(&catalog, "kept").await.expect("stored");
    store(&catalog, "deleted").await.expect("stored");
    let target = DeleteTarget::Variant(identity("deleted"));
    let dead = catalog
        .tombstone(&target, DeleteMode::Final, second(2))
        .await
        .expect("deleted");
    let open = intent("open");
    catalog.begin(&open).await.expect("begun");
    catalog.close().await.expect("closed");
    assert_eq!(names(folder.path()), ["catalog.db"], "the log is written back");

    let catalog = SqliteCatalog::open(&path).await.expect("opened");
    let found = catalog
        .find(&identity("kept"), VersionSelector::Current)
        .await
        .expect("found");
    assert_eq!(found, Some(kept));
    assert_eq!(
        catalog.tombstones(second(3), None, 10).await.expect("asked"),
        dead
    );
    assert_eq!(
        catalog
            .find(&identity("deleted"), VersionSelector::Current)
            .await
            .expect("asked"),
        None
    );
    catalog
        .commit(open.version, &object(), second(4))
        .await
        .expect("the intent is still good");
}

#[tokio::test]
async fn dropping_it_without_closing_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.db");
    for round in 0..20 {
        let catalog = SqliteCatalog::open(&path).await.expect("opened");
        store(&catalog, &format!("a{round}")).await.expect("stored");
        let new = intent("never answered");
        let unanswered = catalog.begin(&new);
        drop(unanswered);
        drop(catalog);
    }
    let catalog = SqliteCatalog::open(&path).await.expect("opened");
    assert_eq!(
        catalog
            .list(&Default::default())
            .await
            .expect("listed")
            .records
            .len(),
        20
    );
}

#[tokio::test]
async fn a_closed_catalog_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let catalog = SqliteCatalog::open(folder.path().join("catalog.db"))
        .await
        .expect("created");
    for _ in 0..2 {
        catalog.close().await.expect("closed");
    }
    let errors = [
        store(&catalog, "a").await.expect_err("no writer"),
        catalog.probe().await.expect_err("no readers"),
    ];
    for error in errors {
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::ProviderUnavailable, Retry::No),
            "{error}"
        );
        assert!(error.to_string().ends_with("is closed"), "{error}");
    }
}

#[test]
fn a_catalog_outlives_its_runtime_only_to_refuse() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
    };
    let first = runtime();
    let catalog = first
        .block_on(SqliteCatalog::open(folder.path().join("catalog.db")))
        .expect("created");
    drop(first);
    let error = runtime()
        .block_on(store(&catalog, "a"))
        .expect_err("its writer is gone");
    assert_eq!(error.kind(), ErrorKind::ProviderUnavailable);
}

#[tokio::test]
async fn calls_in_the_queue_are_done_before_it_is_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path).await.expect("created");
    let intents: Vec<_> = (0..50).map(|index| intent(&format!("a{index}"))).collect();
    let begins = futures_util::future::join_all(intents.iter().map(|new| catalog.begin(new)));
    let (begun, closed) = tokio::join!(begins, catalog.close());
    closed.expect("closed");
    let begun = begun.into_iter().filter(Result::is_ok).count();
    let mut connection = connect(&path).await;
    let found: i64 = sqlx::query_scalar("SELECT count(*) FROM intents")
        .fetch_one(&mut connection)
        .await
        .expect("counted");
    assert_eq!(found, i64::try_from(begun).expect("small"));
    assert!(begun > 0, "those that were asked before the close are done");
}

#[tokio::test]
async fn the_settings_that_durability_needs_are_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path).await.expect("created");
    store(&catalog, "a").await.expect("stored");
    let mut connection = connect(&path).await;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&mut connection)
        .await
        .expect("asked");
    assert_eq!(mode, "wal");
}
