//! What every test uses: a catalog, intents and objects with sensible contents, and assertions.

use std::fmt::Debug;
use std::sync::Arc;

use boards_storage_core::{
    AccessClass, ArtifactId, ArtifactQuery, ArtifactRecord, ArtifactType, Begun, CatalogCursor, Checksum,
    ContentType, DeleteMode, DeleteTarget, Digest, DigestAlgorithm, DigestState, ETag, Error, ErrorKind,
    Intent, NewIntent, ObjectAttributes, Result, SharedCatalog, StorageKey, StoredObject, TenantId,
    VariantIdentity, VariantName, VersionId, VersionSelector,
};
use jiff::{SignedDuration, Timestamp};

use super::fixture::Fixture;

/// How many seconds the leases of [`intent`] last.
pub(crate) const LEASE_SECONDS: i64 = 60;

/// One test's catalog.
pub(crate) struct Case {
    pub(crate) catalog: SharedCatalog,
    /// Another handle of the same records.
    pub(crate) second: SharedCatalog,
    // The last field: it is dropped after the catalogs.
    _fixture: Fixture,
}

impl Case {
    pub(crate) fn new(fixture: Fixture) -> Self {
        Self {
            catalog: Arc::clone(&fixture.catalog),
            second: Arc::clone(&fixture.second),
            _fixture: fixture,
        }
    }

    /// Returns one of the two handles, for the tasks of a race.
    pub(crate) fn handle(&self, index: usize) -> SharedCatalog {
        Arc::clone(if index.is_multiple_of(2) {
            &self.catalog
        } else {
            &self.second
        })
    }

    /// Begins, and expects that the write may go on.
    pub(crate) async fn start(&self, new: &NewIntent) -> Result<Intent> {
        started(self.catalog.begin(new).await?)
    }

    /// Writes a version whole.
    pub(crate) async fn store(&self, new: &NewIntent) -> Result<ArtifactRecord> {
        let intent = self.start(new).await?;
        self.catalog
            .commit(intent.version, &object("content"), new.now)
            .await
    }

    /// Writes the versions `1..=count` of a variant.
    pub(crate) async fn store_versions(&self, artifact: &str, count: usize) -> Result<Vec<ArtifactRecord>> {
        let mut records = Vec::new();
        for _ in 0..count {
            records.push(self.store(&overwrite(artifact)).await?);
        }
        Ok(records)
    }

    pub(crate) async fn present(&self, artifact: &str) -> Result<Option<ArtifactRecord>> {
        self.catalog
            .find(&identity(artifact), VersionSelector::Current)
            .await
    }

    /// Lists all pages, each of at most `limit` records.
    pub(crate) async fn list_all(&self, query: &ArtifactQuery, limit: usize) -> Result<Vec<ArtifactRecord>> {
        let mut records = Vec::new();
        let mut after: Option<CatalogCursor> = None;
        loop {
            let mut query = query.clone().with_limit(limit);
            query.after = after;
            let page = self.catalog.list(&query).await?;
            assert!(page.records.len() <= limit.max(1), "a page keeps its limit");
            assert!(
                page.next.is_none() || !page.records.is_empty(),
                "a page that is not the last has records"
            );
            records.extend(page.records);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(records),
            }
        }
    }

    /// Deletes all variants of an artifact of the default tenant, and returns the deleted versions.
    pub(crate) async fn delete(&self, artifact: &str) -> Result<Vec<VersionId>> {
        let target = DeleteTarget::Artifact {
            tenant: TenantId::default(),
            artifact: artifact_id(artifact),
        };
        Ok(self
            .catalog
            .tombstone(&target, DeleteMode::Final, at(0))
            .await?
            .into_iter()
            .map(|dead| dead.version)
            .collect())
    }
}

/// A time, in seconds after the beginning of all tests.
#[track_caller]
pub(crate) fn at(seconds: i64) -> Timestamp {
    let start = Timestamp::from_second(1_790_000_000).expect("in range");
    start
        .checked_add(SignedDuration::from_secs(seconds))
        .expect("in range")
}

#[track_caller]
pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).expect("tests use valid ids")
}

#[track_caller]
pub(crate) fn artifact_id(name: &str) -> ArtifactId {
    ArtifactId::parse(name).expect("tests use valid ids")
}

#[track_caller]
pub(crate) fn variant_name(name: &str) -> VariantName {
    VariantName::parse(name).expect("tests use valid names")
}

#[track_caller]
pub(crate) fn artifact_type(name: &str) -> ArtifactType {
    ArtifactType::parse(name).expect("tests use valid types")
}

#[track_caller]
pub(crate) fn key(text: &str) -> StorageKey {
    StorageKey::parse(text).expect("tests use valid keys")
}

/// The original of an artifact of the default tenant.
#[track_caller]
pub(crate) fn identity(artifact: &str) -> VariantIdentity {
    VariantIdentity {
        tenant: TenantId::default(),
        artifact: artifact_id(artifact),
        variant: VariantName::default(),
    }
}

/// A first write of a variant at time 0.
pub(crate) fn intent_of(variant: VariantIdentity) -> NewIntent {
    let version = VersionId::fresh();
    let stem = format!(
        "{}/image/{}/{}",
        variant.tenant, variant.artifact, variant.variant
    );
    NewIntent {
        version,
        variant,
        artifact_type: ArtifactType::Image,
        board: None,
        access: AccessClass::Private,
        home: "main".to_owned(),
        provider: "main".to_owned(),
        plain_key: key(&format!("{stem}.png")),
        versioned_key: key(&format!("{stem}.{version}.png")),
        overwrite: false,
        now: at(0),
        lease_until: at(LEASE_SECONDS),
        size_bytes: None,
        quota: boards_storage_core::Quota::default(),
    }
}

/// A first write of an artifact's original at time 0.
pub(crate) fn intent(artifact: &str) -> NewIntent {
    intent_of(identity(artifact))
}

/// A write that may replace the original.
pub(crate) fn overwrite(artifact: &str) -> NewIntent {
    NewIntent {
        overwrite: true,
        ..intent(artifact)
    }
}

/// A write that begins when the lease of another, begun at time 0, has ended.
pub(crate) fn later(artifact: &str) -> NewIntent {
    NewIntent {
        now: at(LEASE_SECONDS),
        lease_until: at(2 * LEASE_SECONDS),
        ..intent(artifact)
    }
}

/// An object of which only the least is known.
pub(crate) fn object(content: &str) -> StoredObject {
    StoredObject {
        size_bytes: content.len() as u64,
        attributes: ObjectAttributes::default(),
        digest: Digest::of(DigestAlgorithm::Blake3, content.as_bytes()),
        digest_state: DigestState::Verified,
        etag: None,
        store_version: None,
        checksum: None,
    }
}

/// An object of which everything is known.
pub(crate) fn rich_object() -> StoredObject {
    let content_type = ContentType::parse("text/plain; charset=utf-8").expect("valid");
    StoredObject {
        attributes: ObjectAttributes::default()
            .with_content_type(content_type)
            .with_content_disposition("attachment; filename=\"a b.txt\"")
            .with_content_encoding("gzip")
            .with_content_language("de-AT")
            .with_cache_control("public, max-age=31536000, immutable")
            .with_user_metadata("prompt", "Ein Bär, \"quoted\" 'twice' \\ 🎨")
            .with_user_metadata("empty", "")
            .with_user_metadata("json", "{\"a\":[1,null]}")
            .with_user_metadata("number", "12"),
        digest: Digest::of(DigestAlgorithm::Sha256, b"content"),
        digest_state: DigestState::Declared,
        etag: Some(ETag::new("\"9b2cf535f27731c974343645a3985328-7\"")),
        store_version: Some("3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY".to_owned()),
        checksum: Some(Checksum::crc64_nvme(b"content")),
        ..object("content")
    }
}

#[track_caller]
pub(crate) fn started(begun: Begun) -> Result<Intent> {
    match begun {
        Begun::Started(intent) => Ok(intent),
        begun @ (Begun::Exists(_) | Begun::Busy { .. }) => {
            panic!("expected that the write may go on, got {begun:?}")
        }
    }
}

/// Checks that a call failed with that kind, and returns the error.
#[track_caller]
pub(crate) fn refused<T: Debug>(result: Result<T>, kind: ErrorKind) -> Error {
    match result {
        Err(error) if error.kind() == kind => error,
        Err(error) => panic!("expected {kind}, got {}: {error}", error.kind()),
        Ok(answer) => panic!("expected {kind}, got {answer:?}"),
    }
}

/// The numbers of records, in their order.
pub(crate) fn numbers(records: &[ArtifactRecord]) -> Vec<u64> {
    records.iter().map(|record| record.number).collect()
}

/// The artifacts of records, in their order.
pub(crate) fn artifacts(records: &[ArtifactRecord]) -> Vec<&str> {
    records
        .iter()
        .map(|record| record.variant.artifact.as_str())
        .collect()
}
