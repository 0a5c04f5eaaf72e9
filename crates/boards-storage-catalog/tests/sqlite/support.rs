//! What the tests of the file share.

use std::path::Path;

use boards_storage_catalog::SqliteCatalog;
use boards_storage_core::{
    AccessClass, ArtifactId, ArtifactRecord, ArtifactType, Begun, Catalog, Digest, DigestAlgorithm,
    DigestState, NewIntent, ObjectAttributes, Result, StorageKey, StoredObject, TenantId, VariantIdentity,
    VariantName, VersionId,
};
use jiff::Timestamp;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};

pub(crate) fn second(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).expect("in range")
}

pub(crate) fn identity(artifact: &str) -> VariantIdentity {
    VariantIdentity {
        tenant: TenantId::default(),
        artifact: ArtifactId::parse(artifact).expect("valid"),
        variant: VariantName::default(),
    }
}

pub(crate) fn intent(artifact: &str) -> NewIntent {
    let version = VersionId::fresh();
    let key = |text: String| StorageKey::parse(text).expect("valid");
    NewIntent {
        version,
        variant: identity(artifact),
        artifact_type: ArtifactType::Image,
        board: None,
        access: AccessClass::Private,
        home: "main".to_owned(),
        provider: "main".to_owned(),
        plain_key: key(format!("default/image/{artifact}/original.png")),
        versioned_key: key(format!("default/image/{artifact}/original.{version}.png")),
        overwrite: false,
        now: second(0),
        lease_until: second(60),
        size_bytes: None,
        quota: boards_storage_core::Quota::default(),
    }
}

pub(crate) fn object() -> StoredObject {
    StoredObject {
        size_bytes: 7,
        attributes: ObjectAttributes::default().with_user_metadata("name", "value"),
        digest: Digest::of(DigestAlgorithm::Blake3, b"content"),
        digest_state: DigestState::Verified,
        etag: None,
        store_version: None,
        checksum: None,
    }
}

pub(crate) async fn store(catalog: &SqliteCatalog, artifact: &str) -> Result<ArtifactRecord> {
    let new = intent(artifact);
    let begun = catalog.begin(&new).await?;
    assert!(matches!(begun, Begun::Started(_)), "{begun:?}");
    catalog.commit(new.version, &object(), second(1)).await
}

/// A connection past the catalog.
pub(crate) async fn connect(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    options.connect().await.expect("SQLite opens the file")
}
