//! Failures of the database: what they are called, and that they harm nobody else.

use std::time::Duration;

use boards_storage_catalog::SqliteCatalog;
use boards_storage_core::{ArtifactQuery, Catalog, ErrorKind};
use sqlx::Executor;

use crate::support::{connect, intent, object, second, store};

#[tokio::test]
async fn a_damaged_file_is_corruption_and_names_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path).await.expect("created");
    for index in 0..50 {
        store(&catalog, &format!("a{index}")).await.expect("stored");
    }
    catalog.close().await.expect("closed");
    let mut bytes = tokio::fs::read(&path).await.expect("read");
    // The first page has the header and the schema.
    bytes[2 * 4096..].fill(0xa5);
    tokio::fs::write(&path, &bytes).await.expect("written");
    let damaged = SqliteCatalog::open(&path).await;
    let error = match damaged {
        Ok(catalog) => catalog
            .list(&ArtifactQuery::default())
            .await
            .expect_err("it cannot be read"),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::Corruption, "{error:?}");
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
}

#[tokio::test]
async fn what_nobody_wrote_is_storage() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path).await.expect("created");
    store(&catalog, "a").await.expect("stored");
    let mut connection = connect(&path).await;
    connection
        .execute("UPDATE versions SET digest = 'nonsense'")
        .await
        .expect("spoilt");
    let error = catalog
        .list(&ArtifactQuery::default())
        .await
        .expect_err("no digest");
    assert_eq!(error.kind(), ErrorKind::Storage, "{error:?}");
}

#[tokio::test]
async fn a_writer_waits_while_another_process_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path).await.expect("created");
    let mut other = connect(&path).await;
    other.execute("BEGIN IMMEDIATE").await.expect("locked");
    let waiting = store(&catalog, "a");
    tokio::pin!(waiting);
    assert!(
        tokio::time::timeout(Duration::from_millis(300), &mut waiting)
            .await
            .is_err(),
        "the lock is held"
    );
    // Readers do not wait.
    assert_eq!(
        catalog
            .list(&ArtifactQuery::default())
            .await
            .expect("listed")
            .records
            .len(),
        0
    );
    other.execute("ROLLBACK").await.expect("released");
    waiting.await.expect("stored");
}

#[tokio::test]
async fn a_failure_of_one_call_does_not_harm_those_that_shared_its_transaction() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path).await.expect("created");
    let mut other = connect(&path).await;
    // A failure half-way through a commit, after rows were written.
    other
        .execute(
            "CREATE TRIGGER poison BEFORE INSERT ON replicas WHEN NEW.provider = 'poison' \
             BEGIN SELECT RAISE(ABORT, 'poisoned'); END",
        )
        .await
        .expect("made");
    let intents: Vec<_> = (0..40)
        .map(|index| {
            let mut new = intent(&format!("a{index}"));
            if index % 10 == 7 {
                "poison".clone_into(&mut new.provider);
            }
            new
        })
        .collect();
    for new in &intents {
        catalog.begin(new).await.expect("begun");
    }
    let object = object();
    let commits = intents
        .iter()
        .map(|new| catalog.commit(new.version, &object, second(1)));
    let answers = futures_util::future::join_all(commits).await;
    for (new, answer) in intents.iter().zip(answers) {
        match answer {
            Ok(record) => assert_eq!((record.version, new.provider.as_str()), (new.version, "main")),
            Err(error) => assert_eq!(
                (error.kind(), new.provider.as_str()),
                (ErrorKind::Storage, "poison"),
                "{error:?}"
            ),
        }
    }
    assert_eq!(
        catalog
            .list(&ArtifactQuery::default())
            .await
            .expect("listed")
            .records
            .len(),
        36
    );
    other.execute("DROP TRIGGER poison").await.expect("dropped");
    for new in intents.iter().filter(|new| new.provider == "poison") {
        catalog
            .commit(new.version, &object, second(1))
            .await
            .expect("its intent still stands");
    }
}
