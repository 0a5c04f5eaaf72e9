//! Encryption at rest as an application sees it: settings, a manager, a local provider, and the bytes on the disk.

#![expect(
    clippy::disallowed_methods,
    reason = "these tests look at what is on the disk themselves"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use boards_storage::layers::{EncryptionLayer, Keyring, MemoryTenantKeyStore, SecretKey, TenantKeys};
use boards_storage::prelude::*;
use boards_storage::{
    CallContext, Capability, CatalogSettings, EncryptionSettings, HealthOptions, Journal, ManagerSettings,
    MemoryCatalog, ProviderSettings, ResumableOptions, Stack, StackBuilder, StorageSettings, StoreState,
    async_trait, open_tenant_keys,
};
use boards_storage_testkit::MemoryProvider;

/// A place with a keyring, and one provider that encrypts.
struct Place {
    folder: tempfile::TempDir,
    settings: StorageSettings,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = serde_json::json!({ "base_path": folder.path().join("objects") });
        let provider = ProviderSettings::new("vault", "local", config).with_encryption();
        let keyring = Keyring::line("k1").expect("a line");
        let mut settings = StorageSettings::new(provider)
            .with_encryption(EncryptionSettings::default().with_keyring_text(keyring));
        settings.data_path = folder.path().join("data");
        settings.catalog = CatalogSettings::Sqlite { path: None };
        Self { folder, settings }
    }

    async fn open(&self) -> StorageManager {
        Storage::builder()
            .settings(self.settings.clone())
            .open()
            .await
            .expect("opened")
    }

    async fn keys(&self) -> TenantKeys {
        open_tenant_keys(&self.settings).await.expect("opened")
    }

    /// Every file below the place that holds the text.
    fn holding(&self, text: &[u8]) -> Vec<PathBuf> {
        let mut found = Vec::new();
        search(&self.folder.path().join("objects"), text, &mut found);
        found
    }
}

fn search(folder: &Path, text: &[u8], found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            search(&path, text, found);
        } else if contains(&std::fs::read(&path).expect("read"), text) {
            found.push(path);
        }
    }
}

fn contains(whole: &[u8], part: &[u8]) -> bool {
    whole.windows(part.len()).any(|window| window == part)
}

fn sample(length: usize) -> Vec<u8> {
    let line = b"The quick brown fox jumps over the lazy dog. ";
    line.iter().copied().cycle().take(length).collect()
}

fn new(id: &str) -> NewArtifact {
    NewArtifact::new(ArtifactType::Text)
        .with_artifact(ArtifactId::parse(id).expect("an id"))
        .with_tenant(tenant())
        .with_user_metadata("patient", "Erika Mustermann")
}

fn tenant() -> TenantId {
    TenantId::parse("acme").expect("a tenant")
}

/// Keeps nothing: the upload goes in parts, and is not gone on with.
#[derive(Debug)]
struct Forgetful;

#[async_trait]
impl Journal<StoreState> for Forgetful {
    async fn keep(&self, _state: &StoreState) -> Result<()> {
        Ok(())
    }

    async fn forget(&self) -> Result<()> {
        Ok(())
    }
}

async fn read(
    storage: &StorageManager,
    found: &ArtifactReference,
    range: Option<ByteRange>,
) -> Result<Vec<u8>> {
    let mut options = OpenOptions::default();
    options.range = range;
    let download = storage.open_artifact(found, &options).await?;
    download.bytes(usize::MAX).await.map(|bytes| bytes.to_vec())
}

#[tokio::test]
async fn nothing_of_an_artifact_is_readable_on_the_disk() {
    let place = Place::new();
    let storage = place.open().await;
    let content = sample(300_000);
    let stored = storage
        .store_artifact(new("a"), content.clone())
        .await
        .expect("stored");
    assert_eq!(stored.size, 300_000);
    for secret in [&content[..30], b"Erika", b"patient"] {
        assert_eq!(place.holding(secret), Vec::<PathBuf>::new());
    }
    assert!(!place.holding(b"bstorenc").is_empty(), "the object is there");
    assert!(read(&storage, &stored, None).await.expect("read") == content);
    for range in [0..10, 65_470..65_490, 200_000..299_999, 299_999..300_000] {
        let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
        let expected = &content[start.expect("small")..end.expect("small")];
        assert!(
            read(&storage, &stored, Some(ByteRange::from(range)))
                .await
                .expect("read")
                == expected
        );
    }
    let told = storage
        .artifact_metadata(&stored, &CallContext::default())
        .await
        .expect("told");
    assert_eq!(told.object.size_bytes, 300_000);
    assert_eq!(
        told.attributes.user_metadata.get("patient").map(String::as_str),
        Some("Erika Mustermann")
    );
    let refused = storage
        .get_download_url(&stored, &Default::default())
        .await
        .expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    assert!(
        refused
            .help()
            .is_some_and(|help| help.contains("through the application")),
        "{refused:?}"
    );
    // Storing it again finds it there.
    let again = storage.store_artifact(new("a"), content).await.expect("stored");
    assert_eq!(again, stored);
}

#[tokio::test]
async fn large_artifacts_go_in_and_out_and_into_files() {
    let place = Place::new();
    let storage = place.open().await;
    let content = sample(40 << 20);
    let pieces: Vec<_> = content
        .chunks(1 << 20)
        .map(|piece| Ok(piece.to_vec().into()))
        .collect();
    let stream = Content::from_stream(None, futures_util::stream::iter(pieces));
    let stored = storage.store_artifact(new("big"), stream).await.expect("stored");
    assert!(read(&storage, &stored, None).await.expect("read") == content);
    let path = place.folder.path().join("fetched");
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .expect("made");
    storage
        .fetch_artifact(&stored, file, &Default::default())
        .await
        .expect("fetched");
    assert!(std::fs::read(&path).expect("read") == content);
    let kept = Arc::new(Forgetful);
    let options = ResumableOptions::new(kept);
    let stored = storage
        .store_artifact_resumable(new("parts"), content.clone(), &options)
        .await
        .expect("stored");
    assert!(read(&storage, &stored, None).await.expect("read") == content);
    assert_eq!(place.holding(b"quick brown fox"), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn keys_are_rotated_and_shredded_while_the_storage_runs() {
    let place = Place::new();
    let storage = place.open().await;
    let old = storage.store_artifact(new("old"), "old").await.expect("stored");
    let keys = place.keys().await;
    assert_eq!(keys.rotate(&tenant()).await.expect("rotated"), 2);
    let young = storage.store_artifact(new("new"), "new").await.expect("stored");
    storage.close().await.expect("closed");
    let storage = place.open().await;
    let newest = storage
        .store_artifact(new("newest"), "newest")
        .await
        .expect("stored");
    for (found, expected) in [(&old, "old"), (&young, "new"), (&newest, "newest")] {
        assert_eq!(
            read(&storage, found, None).await.expect("read"),
            expected.as_bytes()
        );
    }
    assert_eq!(keys.shred(&tenant()).await.expect("shredded"), 2);
    storage.close().await.expect("closed");
    let storage = place.open().await;
    for found in [&old, &young, &newest] {
        let error = read(&storage, found, None).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::AccessDenied, "{error}");
        assert!(error.to_string().contains("'acme' was destroyed"), "{error}");
    }
    let refused = storage
        .store_artifact(new("later"), "x")
        .await
        .expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::AccessDenied);
    // Another tenant is not touched, and what cannot be read can be deleted.
    let other = NewArtifact::new(ArtifactType::Text);
    let other = storage.store_artifact(other, "other").await.expect("stored");
    assert_eq!(read(&storage, &other, None).await.expect("read"), b"other");
    storage
        .delete_artifact(
            &tenant(),
            &ArtifactId::parse("old").expect("an id"),
            &CallContext::default(),
        )
        .await
        .expect("deleted");
}

#[tokio::test]
async fn one_artifacts_bytes_in_anothers_place_are_corruption() {
    let place = Place::new();
    let storage = place.open().await;
    let one = storage
        .store_artifact(new("one"), sample(1000))
        .await
        .expect("stored");
    let two = storage
        .store_artifact(new("two"), sample(1000))
        .await
        .expect("stored");
    let objects = place.folder.path().join("objects");
    let path = |found: &ArtifactReference| objects.join(found.storage_key.as_str());
    std::fs::copy(path(&one), path(&two)).expect("copied");
    let error = read(&storage, &two, None).await.expect_err("refused");
    assert!(
        matches!(
            error.kind(),
            ErrorKind::Corruption | ErrorKind::PreconditionFailed
        ),
        "{error}"
    );
    assert_eq!(read(&storage, &one, None).await.expect("read"), sample(1000));
}

#[tokio::test]
async fn the_canary_sings_through_the_encryption() {
    let place = Place::new();
    let storage = place.open().await;
    let report = storage
        .check_health(&HealthOptions::default().with_canary())
        .await;
    assert!(report.is_ready, "{report:?}");
}

#[tokio::test]
async fn an_encrypting_provider_without_a_keyring_is_not_opened() {
    let mut place = Place::new();
    place.settings.encryption = EncryptionSettings::default();
    let refused = Storage::builder()
        .settings(place.settings.clone())
        .open()
        .await
        .expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::Configuration);
    assert!(
        refused.to_string().contains("storage.encryption has no keyring"),
        "{refused}"
    );
}

/// Keeps the last state, and fails after so many parts.
#[derive(Debug)]
struct Interrupted {
    state: std::sync::Mutex<Option<StoreState>>,
    parts_max: usize,
}

#[async_trait]
impl Journal<StoreState> for Interrupted {
    async fn keep(&self, state: &StoreState) -> Result<()> {
        if state.upload.parts.len() > self.parts_max {
            return Err(Error::new(ErrorKind::Storage, "the journal is full"));
        }
        *self.state.lock().expect("no panic") = Some(state.clone());
        Ok(())
    }

    async fn forget(&self) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_interrupted_upload_begins_anew_in_another_process_and_leaves_nothing() {
    let memory = MemoryProvider::builder()
        .without(&[Capability::StreamingUpload])
        .build();
    let keyring = Keyring::new("k1", SecretKey::random().expect("random")).expect("an id");
    let keys = TenantKeys::new(Arc::new(keyring), Arc::new(MemoryTenantKeyStore::default()));
    let catalog = Arc::new(MemoryCatalog::default());
    let process = || {
        let keys = keys.clone();
        let stacks: StackBuilder = Arc::new(move |name, provider| {
            let layer = EncryptionLayer::new(keys.clone());
            Arc::new(Stack::new(name, provider, vec![Arc::new(layer) as _]))
        });
        let mut settings = ManagerSettings::new("vault");
        settings.uploader.single_bytes_max = 1000;
        settings.uploader.part_size_bytes = 100_000;
        let manager = StorageManager::with_parts(
            settings,
            Arc::clone(&catalog) as _,
            Arc::new(boards_storage::SystemClock),
            stacks,
        );
        manager
            .register_provider("vault", Arc::clone(&memory) as _)
            .expect("registered");
        manager
    };
    let content = sample(1_000_000);
    let journal = Arc::new(Interrupted {
        state: std::sync::Mutex::default(),
        parts_max: 3,
    });
    let options = ResumableOptions::new(Arc::clone(&journal) as _);
    let failed = process()
        .store_artifact_resumable(new("a"), content.clone(), &options)
        .await;
    assert_eq!(failed.expect_err("interrupted").kind(), ErrorKind::Storage);
    assert_eq!(memory.pending_uploads(), 1);
    let state = journal.state.lock().expect("no panic").take().expect("kept");
    let options = ResumableOptions::new(Arc::new(Forgetful)).with_state(state);
    let second = process();
    let stored = second
        .store_artifact_resumable(new("a"), content.clone(), &options)
        .await;
    let stored = stored.expect("stored");
    assert_eq!(memory.pending_uploads(), 0);
    assert!(read(&second, &stored, None).await.expect("read") == content);
}

#[cfg(feature = "validation")]
#[tokio::test]
async fn what_is_quarantined_is_encrypted_too() {
    use boards_storage::{RefusedContent, ValidationSettings};

    let mut place = Place::new();
    place.settings.validation = ValidationSettings::default().with_on_mismatch(RefusedContent::Quarantine);
    let storage = place.open().await;
    let context = CallContext::default();
    // A text, as it seems from its beginning.
    let mut content = sample(200_000);
    content.push(0xff);
    let pieces = vec![content.clone()];
    let once = Content::from_stream(
        None,
        futures_util::stream::iter(pieces.into_iter().map(|piece| Ok(bytes::Bytes::from(piece)))),
    );
    for content in [Content::from(content.clone()), once] {
        let error = storage
            .store_artifact(new("a"), content)
            .await
            .expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
    }
    assert_eq!(place.holding(&content[..30]), Vec::<PathBuf>::new());
    assert_eq!(place.holding(b"Erika"), Vec::<PathBuf>::new());
    let entries = storage.list_quarantined(&context).await.expect("listed");
    assert_eq!(entries.len(), 2);
    storage
        .purge_quarantined(&entries[1], &context)
        .await
        .expect("purged");
    let released = storage
        .release_quarantined(&entries[0], &context)
        .await
        .expect("released");
    assert!(read(&storage, &released, None).await.expect("read") == content);
    assert_eq!(storage.list_quarantined(&context).await.expect("listed"), []);
}
