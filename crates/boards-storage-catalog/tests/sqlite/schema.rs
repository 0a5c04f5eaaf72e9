//! The schema: older files are brought up to date, newer and foreign ones are refused.

use std::path::Path;

use boards_storage_catalog::SqliteCatalog;
use boards_storage_core::{
    AccessClass, ArtifactQuery, ArtifactType, BoardId, Catalog, CatalogChange, Checksum, ContentType,
    DigestState, ETag, ErrorKind, EventQuery, TenantId, VersionId, VersionSelector,
};
use sqlx::migrate::Migrator;
use sqlx::{Connection, Executor};

use crate::support::{connect, identity, second, store};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// What version 1 wrote: an artifact with two versions, a deleted one, and a write under way.
const ROWS_OF_VERSION_1: &str = "\
BEGIN;
INSERT INTO artifacts VALUES ('default', 'a', 'image', 'b1', 'public', 1790000000000000, NULL),
    ('default', 'gone', 'video', NULL, 'private', 1790000000000000, 1790000005000000);
INSERT INTO variants (id, tenant, artifact, variant, last_number, current_version) VALUES
    (1, 'default', 'a', 'original', 2, x'000000000000000000000000000000a2'),
    (2, 'default', 'gone', 'original', 1, NULL);
INSERT INTO versions (id, variant_id, number, size_bytes, content_type, digest, digest_state, created_at, deleted_at)
VALUES
    (x'000000000000000000000000000000a1', 1, 1, 5, NULL,
        'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', 'declared', 1790000000000000, NULL),
    (x'000000000000000000000000000000a2', 1, 2, 6, 'image/png',
        'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', 'verified', 1790000001000000, NULL),
    (x'000000000000000000000000000000b1', 2, 1, 7, NULL,
        'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', 'verified', 1790000000000000,
        1790000005000000);
INSERT INTO user_metadata VALUES (x'000000000000000000000000000000a2', 'prompt', 'Ein Bär');
INSERT INTO replicas VALUES
    (x'000000000000000000000000000000a1', 0, 'main', 'a.png', 'present', NULL, NULL, NULL, NULL),
    (x'000000000000000000000000000000a2', 0, 'main', 'a.2.png', 'present', 'tag', 'v1', 'crc32c:00000001',
        1790000002000000),
    (x'000000000000000000000000000000a2', 1, 'copy', 'a.2.png', 'present', NULL, NULL, NULL, NULL),
    (x'000000000000000000000000000000b1', 0, 'main', 'gone.mp4', 'present', NULL, NULL, NULL, NULL);
INSERT INTO used_keys VALUES ('a.png', x'000000000000000000000000000000a1'),
    ('a.2.png', x'000000000000000000000000000000a2'), ('gone.mp4', x'000000000000000000000000000000b1'),
    ('new.png', x'000000000000000000000000000000c1');
INSERT INTO intents VALUES (x'000000000000000000000000000000c1', 'default', 'new', 'original', 'image', NULL, 'private',
    'main', 'new.png', 0, 'active', 1790000000000000, 1790000060000000);
COMMIT";

/// Makes a catalog as the program with that schema version left it.
async fn build(path: &Path, version: i64) {
    let mut connection = connect(path).await;
    connection
        .execute("PRAGMA journal_mode = WAL")
        .await
        .expect("a log");
    MIGRATIONS.run_to(1, &mut connection).await.expect("version 1");
    connection.execute(ROWS_OF_VERSION_1).await.expect("rows");
    MIGRATIONS
        .run_to(version, &mut connection)
        .await
        .expect("the version asked for");
    connection.close().await.expect("closed");
}

fn newest() -> i64 {
    MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .max()
        .expect("there are migrations")
}

fn id(hex: &str) -> VersionId {
    VersionId::parse(&format!("{hex:0>32}")).expect("valid")
}

#[tokio::test]
async fn a_file_of_every_version_is_read_and_written() {
    for version in 1..=newest() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("catalog.db");
        build(&path, version).await;
        let catalog = SqliteCatalog::open(&path)
            .await
            .expect("an older file is brought up to date");
        check_nothing_is_displaced(&catalog).await;
        check_rows_of_version_1(&catalog).await;
        check_events_of_version_1(&catalog).await;
        let used = catalog.usage(&TenantId::default()).await.expect("asked").used;
        assert_eq!(
            (used.bytes, used.objects),
            (11, 2),
            "what is not deleted is counted"
        );
        store(&catalog, "more").await.expect("it can be written to");
        catalog.close().await.expect("closed");
        let mut connection = connect(&path).await;
        let found: i64 = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
            .fetch_one(&mut connection)
            .await
            .expect("asked");
        assert_eq!(found, newest());
    }
}

/// What happened before there was a log is told as far as the records know it.
async fn check_events_of_version_1(catalog: &SqliteCatalog) {
    let events = catalog.events(&EventQuery::default()).await.expect("read");
    let told: Vec<_> = events
        .iter()
        .map(|event| (event.change.name(), event.change.version(), event.at))
        .collect();
    assert_eq!(
        told,
        [
            ("committed", id("a1"), second(0)),
            ("committed", id("b1"), second(0)),
            ("committed", id("a2"), second(1)),
            ("deleted", id("b1"), second(5)),
        ]
    );
    let record = catalog
        .find(&identity("a"), VersionSelector::Current)
        .await
        .expect("asked")
        .expect("it is there");
    let expected = CatalogChange::Committed {
        record: Box::new(record),
    };
    assert_eq!(events[2].change, expected);
}

async fn check_nothing_is_displaced(catalog: &SqliteCatalog) {
    let query = ArtifactQuery::default().with_displaced();
    assert_eq!(catalog.list(&query).await.expect("listed").records, []);
}

async fn check_rows_of_version_1(catalog: &SqliteCatalog) {
    let record = catalog
        .find(&identity("a"), VersionSelector::Current)
        .await
        .expect("asked")
        .expect("it is there");
    assert_eq!((record.home.as_str(), record.is_displaced()), ("main", false));
    assert_eq!(
        (
            record.version,
            record.number,
            record.size_bytes,
            record.is_current
        ),
        (id("a2"), 2, 6, true)
    );
    assert_eq!(
        (record.artifact_type.clone(), record.access),
        (ArtifactType::Image, AccessClass::Public)
    );
    assert_eq!(record.board, Some(BoardId::parse("b1").expect("valid")));
    let content_type = record.attributes.content_type.as_ref().map(ContentType::as_str);
    assert_eq!(content_type, Some("image/png"));
    assert_eq!(record.attributes.user_metadata["prompt"], "Ein Bär");
    assert_eq!(
        (record.digest_state, record.created_at),
        (DigestState::Verified, second(1))
    );
    let places: Vec<_> = record
        .replicas
        .iter()
        .map(|replica| replica.provider.as_str())
        .collect();
    assert_eq!(places, ["main", "copy"]);
    let primary = &record.replicas[0];
    assert_eq!(
        (primary.etag.clone(), primary.store_version.as_deref()),
        (Some(ETag::new("tag")), Some("v1"))
    );
    assert_eq!(
        primary.checksum,
        Some("crc32c:00000001".parse::<Checksum>().expect("valid"))
    );
    assert_eq!(primary.verified_at, Some(second(2)));

    assert_eq!(catalog.versions(&identity("a")).await.expect("asked").len(), 2);
    assert_eq!(
        catalog
            .list(&ArtifactQuery::default())
            .await
            .expect("listed")
            .records
            .len(),
        1
    );
    let dead = catalog.tombstones(second(6), None, 10).await.expect("asked");
    assert_eq!(
        (dead.len(), dead[0].version, dead[0].deleted_at),
        (1, id("b1"), second(5))
    );
    let intents = catalog.reap_intents(second(60), None, 10).await.expect("asked");
    assert_eq!(
        (intents.len(), intents[0].version, intents[0].key.as_str()),
        (1, id("c1"), "new.png")
    );
    assert_eq!(intents[0].home, "main");
}

#[track_caller]
fn check_refused(opened: boards_storage_core::Result<SqliteCatalog>, kind: ErrorKind, says: &str) {
    let error = opened.expect_err("it must not be opened");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(
        error.to_string().contains(says),
        "'{error}' does not say '{says}'"
    );
    assert!(error.help().is_some(), "'{error}' does not say what to do");
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.db");
    SqliteCatalog::open(&path)
        .await
        .expect("created")
        .close()
        .await
        .expect("closed");
    let mut connection = connect(&path).await;
    connection
        .execute("INSERT INTO _sqlx_migrations VALUES (9999, 'later', CURRENT_TIMESTAMP, TRUE, x'00', 0)")
        .await
        .expect("marked");
    connection.close().await.expect("closed");
    let opened = SqliteCatalog::open(&path).await;
    check_refused(
        opened,
        ErrorKind::Configuration,
        "has schema version 9999; this program knows versions up to",
    );
}

#[tokio::test]
async fn what_is_no_catalog_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = folder.path().join("notes.txt");
    let notes = "these are notes, and no database. ".repeat(100);
    tokio::fs::write(&text, &notes).await.expect("written");
    check_refused(
        SqliteCatalog::open(&text).await,
        ErrorKind::Configuration,
        "is no SQLite database",
    );
    assert_eq!(tokio::fs::read_to_string(&text).await.expect("read"), notes);

    let other = folder.path().join("other.db");
    let mut connection = connect(&other).await;
    connection
        .execute("CREATE TABLE artifacts (a TEXT)")
        .await
        .expect("made");
    connection.close().await.expect("closed");
    check_refused(
        SqliteCatalog::open(&other).await,
        ErrorKind::Configuration,
        "another program's database",
    );

    check_refused(
        SqliteCatalog::open(folder.path()).await,
        ErrorKind::Configuration,
        "is a folder",
    );
    check_refused(
        SqliteCatalog::open(text.join("catalog.db")).await,
        ErrorKind::Configuration,
        "cannot be created",
    );
    check_refused(
        SqliteCatalog::open("").await,
        ErrorKind::Configuration,
        "not the path of a file",
    );
}

#[tokio::test]
async fn an_empty_file_becomes_a_catalog() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.db");
    tokio::fs::write(&path, "").await.expect("written");
    let catalog = SqliteCatalog::open(&path).await.expect("opened");
    store(&catalog, "a").await.expect("stored");
}

#[tokio::test]
async fn many_may_create_the_same_file_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    for round in 0..10 {
        let path = folder.path().join(format!("{round}/catalog.db"));
        let opened = futures_util::future::join_all((0..8).map(|_| SqliteCatalog::open(&path))).await;
        for (index, catalog) in opened.into_iter().enumerate() {
            store(&catalog.expect("opened"), &format!("a{index}"))
                .await
                .expect("stored");
        }
    }
}
