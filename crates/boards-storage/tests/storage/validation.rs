//! Validation on every way in: what is refused leaves nothing behind, what is quarantined is found by nobody else.

use std::sync::{Arc, Mutex};

use boards_storage::prelude::*;
use boards_storage::{
    ArtifactQuery, ByteStream, CallContext, Capability, HEAD_SIZE_BYTES, Inspector, Journal, ManagerSettings,
    OperationKind, PresignDownloadOptions, QuarantinedContent, ReasonKind, RefusedContent, Rescan,
    ResumableOptions, ScanFailure, ScanMode, ScanOutcome, ScanPolicy, ScanSettings, Scanner, SharedScanner,
    StoreState, ValidationSettings,
};
use boards_storage_testkit::samples::{Hostile, eicar, gif, hostile, png, safetensors};
use boards_storage_testkit::{MemoryBuilder, MemoryProvider, Step};
use bytes::Bytes;
use futures_util::StreamExt;

use crate::world::{World, check_kind, image, locate};

/// Finds EICAR's file, like a scanner; while it is down it answers nothing.
#[derive(Debug, Default)]
struct Watchdog {
    is_down: Mutex<bool>,
}

#[boards_storage::async_trait]
impl Scanner for Watchdog {
    fn name(&self) -> &'static str {
        "watchdog"
    }

    async fn scan(&self, mut stream: ByteStream) -> Result<ScanOutcome> {
        let mut all = Vec::new();
        while let Some(piece) = stream.next().await {
            all.extend_from_slice(&piece?);
        }
        self.probe().await?;
        let eicar = eicar();
        let is_infected = all.windows(eicar.len()).any(|window| window == eicar);
        Ok(if is_infected {
            ScanOutcome::Infected {
                signature: "Eicar".to_owned(),
            }
        } else {
            ScanOutcome::Clean
        })
    }

    async fn probe(&self) -> Result<String> {
        if *self.is_down.lock().expect("not poisoned") {
            return Err(Error::new(ErrorKind::ProviderUnavailable, "the dog sleeps"));
        }
        Ok("watchdog 1".to_owned())
    }
}

fn checked(settings: &ValidationSettings) -> World {
    let private = boards_storage::Protection::new(boards_storage::Reach::Private);
    checked_over(settings, MemoryProvider::builder().protection(private))
}

fn checked_over(settings: &ValidationSettings, memory: MemoryBuilder) -> World {
    let mut manager = ManagerSettings::new("main");
    manager.inline = Some(settings.inline_policy());
    manager.uploader.single_bytes_max = 128 << 10;
    manager.uploader.part_size_bytes = 64 << 10;
    manager.uploader.concurrency = 1;
    let mut world = World::with(manager, memory);
    let validator = boards_storage_validation::ContentValidator::new(settings);
    let inspector = Inspector::default().with_validator(Arc::new(validator));
    world.manager = world.manager.with_inspector(inspector);
    world
}

fn scanned(policy: ScanPolicy) -> (World, Arc<Watchdog>) {
    let mut world = checked(&ValidationSettings::default());
    let dog = Arc::new(Watchdog::default());
    let inspector = world.manager.inspector().expect("there is one").clone();
    let inspector = inspector.with_scanner(Arc::clone(&dog) as SharedScanner, policy);
    world.manager = world.manager.with_inspector(inspector);
    (world, dog)
}

/// A one-shot stream, whose length is not known.
fn once(bytes: &[u8]) -> Content {
    let pieces: Vec<Result<Bytes>> = pieces(bytes).into_iter().map(Ok).collect();
    Content::from_stream(None, futures_util::stream::iter(pieces))
}

fn pieces(bytes: &[u8]) -> Vec<Bytes> {
    bytes.chunks(100_000).map(Bytes::copy_from_slice).collect()
}

fn again(bytes: &[u8]) -> Content {
    let pieces = pieces(bytes);
    Content::from_factory(Some(bytes.len() as u64), move || {
        let pieces: Vec<Result<Bytes>> = pieces.iter().cloned().map(Ok).collect();
        Box::pin(async move { Ok(Box::pin(futures_util::stream::iter(pieces)) as ByteStream) })
    })
}

fn sent(input: &Hostile) -> NewArtifact {
    let mut new = NewArtifact::new(input.artifact_type.clone()).with_file_name(input.file_name);
    new.attributes.content_type = input.validation().content_type;
    new
}

/// Checks that nobody finds anything, and that no write is under way.
async fn check_nothing_left(world: &World) {
    let listed = world.manager.list_artifacts(&ArtifactQuery::default()).await;
    assert_eq!(listed.expect("listed").artifacts.len(), 0);
    assert_eq!(world.memory.objects(), 0);
    let late = "2030-01-01T00:00:00Z".parse().expect("a time");
    let intents = world.manager.catalog().ended_intents(late, None, 10).await;
    assert_eq!(intents.expect("listed").len(), 0);
}

async fn quarantined(world: &World) -> Vec<QuarantinedContent> {
    let listed = world.manager.list_quarantined(&CallContext::default()).await;
    listed.expect("listed")
}

#[tokio::test(start_paused = true)]
async fn each_hostile_input_is_refused_and_leaves_nothing() {
    let world = checked(&ValidationSettings::default());
    for input in hostile() {
        for content in [
            Content::from(input.bytes.clone()),
            once(&input.bytes),
            again(&input.bytes),
        ] {
            let error = world.put(sent(&input), content).await.expect_err(input.name);
            let told = (error.kind(), error.code());
            assert_eq!(
                told,
                (ErrorKind::Rejected, Some(input.reason.name())),
                "{}",
                input.name
            );
            assert!(error.help().is_some(), "{}", input.name);
        }
        check_nothing_left(&world).await;
    }
}

#[tokio::test(start_paused = true)]
async fn sound_content_is_stored_as_ever() {
    let world = checked(&ValidationSettings::default());
    for (id, content) in [
        ("a", Content::from(png())),
        ("b", once(&png())),
        ("c", again(&png())),
    ] {
        world.put(image(id), content).await.expect("stored");
        assert_eq!(world.read(locate(id)).await.expect("read"), png());
    }
    let same = world.put(image("a"), once(&png())).await.expect("the same");
    assert_eq!(same.version, 1);
}

/// A text that is none behind its first 64 KiB, and that goes in parts.
fn spoiled_late() -> Vec<u8> {
    let mut bytes = vec![b'a'; 1 << 20];
    let last = bytes.len() - 1;
    bytes[last] = 0xFF;
    assert!(last > HEAD_SIZE_BYTES);
    bytes
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_at_the_end_is_refused_before_the_record() {
    for parts in [true, false] {
        let memory = MemoryProvider::builder();
        let memory = if parts {
            memory.without(&[Capability::StreamingUpload])
        } else {
            memory
        };
        let world = checked_over(&ValidationSettings::default(), memory);
        for content in [again(&spoiled_late()), once(&spoiled_late())] {
            let new = NewArtifact::new(ArtifactType::Text).with_file_name("a.txt");
            let error = check_kind(world.put(new, content).await, ErrorKind::Rejected);
            assert_eq!(error.code(), Some("not_text"));
            check_nothing_left(&world).await;
        }
    }
}

#[derive(Debug, Default)]
struct Kept(Mutex<Vec<Option<StoreState>>>);

#[boards_storage::async_trait]
impl Journal<StoreState> for Kept {
    async fn keep(&self, state: &StoreState) -> Result<()> {
        self.0.lock().expect("not poisoned").push(Some(state.clone()));
        Ok(())
    }

    async fn forget(&self) -> Result<()> {
        self.0.lock().expect("not poisoned").push(None);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_resumable_upload_that_is_refused_keeps_no_parts_and_no_state() {
    let world = checked_over(
        &ValidationSettings::default(),
        MemoryProvider::builder().without(&[Capability::StreamingUpload]),
    );
    let journal = Arc::new(Kept::default());
    let options = ResumableOptions::new(Arc::clone(&journal) as Arc<_>);
    let new = NewArtifact::new(ArtifactType::Text).with_file_name("a.txt");
    let stored = world
        .manager
        .store_artifact_resumable(new, again(&spoiled_late()), &options)
        .await;
    check_kind(stored, ErrorKind::Rejected);
    check_nothing_left(&world).await;
    let states = journal.0.lock().expect("not poisoned").clone();
    assert!(states.iter().any(Option::is_some), "it went in parts");
    assert_eq!(states.last(), Some(&None), "the state is forgotten");
    assert_eq!(world.memory.pending_uploads(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_is_resumed_with_refused_content_is_given_up() {
    let mut world = World::with(
        {
            let mut settings = ManagerSettings::new("main");
            settings.uploader.single_bytes_max = 128 << 10;
            settings.uploader.part_size_bytes = 64 << 10;
            settings
        },
        MemoryProvider::builder().without(&[Capability::StreamingUpload]),
    );
    let journal = Arc::new(Kept::default());
    let options = ResumableOptions::new(Arc::clone(&journal) as Arc<_>);
    let denied = Step::FailBefore(Error::new(ErrorKind::AccessDenied, "no"));
    world.script.push(OperationKind::CompleteUpload, denied);
    let new = || NewArtifact::new(ArtifactType::Image).with_file_name("a.png");
    let content = vec![0; 1 << 20];
    let stored = world
        .manager
        .store_artifact_resumable(new(), content.clone(), &options)
        .await;
    check_kind(stored, ErrorKind::AccessDenied);
    let states = journal.0.lock().expect("not poisoned").clone();
    let state = states
        .iter()
        .rev()
        .find_map(Option::clone)
        .expect("it went in parts");
    assert_eq!(world.memory.pending_uploads(), 1);
    let validator = boards_storage_validation::ContentValidator::new(&ValidationSettings::default());
    let inspector = Inspector::default().with_validator(Arc::new(validator));
    world.manager = world.manager.with_inspector(inspector);
    let options = options.with_state(state);
    let stored = world
        .manager
        .store_artifact_resumable(new(), content, &options)
        .await;
    check_kind(stored, ErrorKind::Rejected);
    assert_eq!(world.memory.pending_uploads(), 0);
    assert_eq!(journal.0.lock().expect("not poisoned").last(), Some(&None));
    check_nothing_left(&world).await;
}

#[tokio::test(start_paused = true)]
async fn parts_of_what_is_quarantined_do_not_stay_when_the_store_fails_too() {
    let settings = ValidationSettings::default().with_on_mismatch(RefusedContent::Quarantine);
    let private = boards_storage::Protection::new(boards_storage::Reach::Private);
    let memory = MemoryProvider::builder()
        .protection(private)
        .without(&[Capability::StreamingUpload]);
    let world = checked_over(&settings, memory);
    let options = ResumableOptions::new(Arc::new(Kept::default()) as Arc<_>);
    let denied = Step::FailBefore(Error::new(ErrorKind::AccessDenied, "no"));
    world.script.push(OperationKind::CompleteUpload, denied);
    let new = NewArtifact::new(ArtifactType::Text).with_file_name("a.txt");
    let content = again(&spoiled_late());
    let stored = world
        .manager
        .store_artifact_resumable(new, content, &options)
        .await;
    check_kind(stored, ErrorKind::Rejected);
    assert_eq!(world.memory.pending_uploads(), 0);
    assert_eq!(quarantined(&world).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_scan_does_not_release_what_is_not_what_it_says() {
    let settings = ValidationSettings::default().with_on_mismatch(RefusedContent::Quarantine);
    let mut world = checked(&settings);
    let inspector = world.manager.inspector().expect("there is one").clone();
    let dog: SharedScanner = Arc::new(Watchdog::default());
    world.manager = world
        .manager
        .with_inspector(inspector.with_scanner(dog, ScanPolicy::default()));
    check_kind(world.put(image("a"), gif()).await, ErrorKind::Rejected);
    let entries = quarantined(&world).await;
    let context = CallContext::default();
    match world
        .manager
        .rescan(&entries[0], &context)
        .await
        .expect("scanned")
    {
        Rescan::Kept(reason) => assert_eq!(reason.kind, ReasonKind::TypeMismatch),
        other => panic!("{other:?}"),
    }
    assert_eq!(quarantined(&world).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_quarantine_that_cannot_be_filled_leaves_nothing() {
    let settings = ValidationSettings::default().with_on_mismatch(RefusedContent::Quarantine);
    let world = checked(&settings);
    for after in [0, 1] {
        for _ in 0..after {
            world.script.push(OperationKind::Upload, Step::Pass);
        }
        let full = Step::FailBefore(Error::new(ErrorKind::InsufficientStorage, "the disk is full"));
        world.script.push(OperationKind::Upload, full);
        let error = check_kind(world.put(image("a"), gif()).await, ErrorKind::Rejected);
        assert!(error.to_string().contains("could not be kept"), "{error}");
        check_nothing_left(&world).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_quarantined_is_found_only_there() {
    let settings = ValidationSettings::default().with_on_mismatch(RefusedContent::Quarantine);
    let world = checked(&settings);
    let new = || image("a").with_user_metadata("prompt", "a cat");
    for content in [Content::from(gif()), once(&gif()), again(&gif())] {
        let error = check_kind(world.put(new(), content).await, ErrorKind::Rejected);
        assert_eq!(error.code(), Some("type_mismatch"));
        let entries = quarantined(&world).await;
        assert_eq!(entries.len(), 1, "{error}");
        let entry = &entries[0];
        assert!(error.to_string().contains(&entry.id.to_string()), "{error}");
        assert_eq!(
            (entry.reason.kind, entry.size_bytes),
            (ReasonKind::TypeMismatch, Some(gif().len() as u64))
        );
        assert_eq!(entry.attributes.user_metadata["prompt"], "a cat");
        check_kind(world.read(locate("a")).await, ErrorKind::NotFound);
        let key = format!("quarantine/default/{}/content", entry.id)
            .parse()
            .expect("a key");
        check_kind(world.manager.find_by_key(&key).await, ErrorKind::NotFound);
        let listed = world.manager.list_artifacts(&ArtifactQuery::default()).await;
        assert_eq!(listed.expect("listed").artifacts.len(), 0);
        assert_eq!(world.memory.objects(), 2);
        world
            .manager
            .purge_quarantined(entry, &CallContext::default())
            .await
            .expect("purged");
        check_nothing_left(&world).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_at_the_end_is_moved_to_the_quarantine() {
    let settings = ValidationSettings::default().with_on_mismatch(RefusedContent::Quarantine);
    for content in [again(&spoiled_late()), once(&spoiled_late())] {
        let world = checked(&settings);
        let new = NewArtifact::new(ArtifactType::Text)
            .with_artifact(ArtifactId::parse("a").expect("an id"))
            .with_file_name("a.txt");
        let error = check_kind(world.put(new, content).await, ErrorKind::Rejected);
        let entries = quarantined(&world).await;
        assert_eq!(entries.len(), 1, "{error}");
        assert_eq!(entries[0].size_bytes, Some(1 << 20));
        assert_eq!(world.objects_after_reaping().await, 2);
        let context = CallContext::default();
        let released = world.manager.release_quarantined(&entries[0], &context).await;
        assert_eq!(released.expect("released").size, 1 << 20);
        assert_eq!(world.read(locate("a")).await.expect("read"), spoiled_late());
        assert_eq!(quarantined(&world).await.len(), 0);
        assert_eq!(world.memory.objects(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_where_everybody_could_read_it() {
    let settings = ValidationSettings::default().with_on_mismatch(RefusedContent::Quarantine);
    let public = boards_storage::Protection::new(boards_storage::Reach::Public);
    let world = checked_over(&settings, MemoryProvider::builder().protection(public));
    let error = check_kind(world.put(image("a"), gif()).await, ErrorKind::Rejected);
    assert!(error.to_string().contains("could not be kept"), "{error}");
    check_nothing_left(&world).await;
}

#[tokio::test(start_paused = true)]
async fn no_artifact_gets_a_key_in_the_quarantine() {
    let world = checked(&ValidationSettings::default());
    let tenant = TenantId::parse("quarantine").expect("an id");
    let error = check_kind(
        world.put(image("a").with_tenant(tenant.clone()), png()).await,
        ErrorKind::InvalidInput,
    );
    assert!(error.to_string().contains("quarantine"), "{error}");
    let near = TenantId::parse("quarantine2").expect("an id");
    world
        .put(image("a").with_tenant(near), png())
        .await
        .expect("stored");
    let unchecked = World::new();
    unchecked
        .put(image("a").with_tenant(tenant), png())
        .await
        .expect("stored");
}

#[tokio::test(start_paused = true)]
async fn malware_is_refused_and_a_scanner_that_is_down_lets_nothing_pass() {
    let (world, dog) = scanned(ScanPolicy::default());
    let text = || NewArtifact::new(ArtifactType::Text).with_file_name("a.txt");
    let infected = [&b"hello "[..], &eicar()].concat();
    for content in [Content::from(infected.clone()), once(&infected), again(&infected)] {
        let error = check_kind(world.put(text(), content).await, ErrorKind::Rejected);
        assert_eq!(error.code(), Some("malware"));
        check_nothing_left(&world).await;
    }
    *dog.is_down.lock().expect("not poisoned") = true;
    for content in [Content::from("hello"), once(b"hello"), again(b"hello")] {
        let error = check_kind(world.put(text(), content).await, ErrorKind::Rejected);
        assert_eq!(error.code(), Some("scan_failed"));
        check_nothing_left(&world).await;
    }
    *dog.is_down.lock().expect("not poisoned") = false;
    let stored = world.put(text(), once(b"hello")).await.expect("stored");
    let context = CallContext::default();
    let outcome = world.manager.scan_artifact(&stored, &context).await;
    assert_eq!(outcome.expect("scanned"), ScanOutcome::Clean);
}

#[tokio::test(start_paused = true)]
async fn a_later_scan_makes_content_available() {
    for policy in [
        ScanPolicy::default().with_mode(ScanMode::Later),
        ScanPolicy::default().with_on_failure(ScanFailure::Quarantine),
    ] {
        let (world, dog) = scanned(policy);
        *dog.is_down.lock().expect("not poisoned") = true;
        let model = NewArtifact::new(ArtifactType::Model)
            .with_artifact(ArtifactId::parse("a").expect("an id"))
            .with_variant(VariantFile::parse("weights.safetensors").expect("a name"));
        let bad = NewArtifact::new(ArtifactType::Text).with_file_name("a.txt");
        check_kind(world.put(model, once(&safetensors())).await, ErrorKind::Rejected);
        check_kind(world.put(bad, eicar()).await, ErrorKind::Rejected);
        let entries = quarantined(&world).await;
        assert_eq!(entries.len(), 2);
        let context = CallContext::default();
        check_kind(
            world.manager.rescan(&entries[0], &context).await,
            ErrorKind::ProviderUnavailable,
        );
        *dog.is_down.lock().expect("not poisoned") = false;
        for entry in &entries {
            match world.manager.rescan(entry, &context).await.expect("scanned") {
                Rescan::Released(reference) => {
                    let key = reference.storage_key.as_str();
                    assert!(
                        key.starts_with("default/model/a/weights.") && key.ends_with("safetensors"),
                        "{key}"
                    );
                }
                Rescan::Kept(reason) => assert_eq!(reason.kind, ReasonKind::Malware),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(quarantined(&world).await.len(), 1, "the bad one stays");
    }
}

#[tokio::test(start_paused = true)]
async fn signed_urls_are_attachments_unless_the_type_may_be_inline() {
    let world = checked(&ValidationSettings::default());
    let put = async |id: &str, content_type: &str, bytes: Vec<u8>| {
        let new = NewArtifact::new(ArtifactType::Intermediate)
            .with_artifact(ArtifactId::parse(id).expect("an id"))
            .with_content_type(ContentType::parse(content_type).expect("a type"));
        world.put(new, bytes).await.expect("stored");
    };
    put("picture", "image/png", png()).await;
    put("page", "text/html", b"<html></html>".to_vec()).await;
    put("drawing", "image/svg+xml", b"<svg/>".to_vec()).await;
    let url = async |id: &str, options: PresignDownloadOptions| {
        let issued = world.manager.get_download_url(locate(id), &options).await;
        issued.map(|url| url.request.url.clone())
    };
    let plain = PresignDownloadOptions::default();
    assert!(
        !url("picture", plain.clone())
            .await
            .expect("signed")
            .contains("attachment")
    );
    for id in ["page", "drawing"] {
        assert!(
            url(id, plain.clone())
                .await
                .expect("signed")
                .contains("attachment"),
            "{id}"
        );
        let inline = plain.clone().with_content_disposition("inline");
        check_kind(url(id, inline).await, ErrorKind::Rejected);
    }
    let disguised = plain.with_content_type(ContentType::parse("text/html").expect("a type"));
    assert!(
        url("picture", disguised)
            .await
            .expect("signed")
            .contains("attachment")
    );
    let svg = NewArtifact::new(ArtifactType::Image)
        .with_content_type(ContentType::parse("image/svg+xml").expect("a type"));
    let mut inline = svg.clone();
    inline.attributes = inline.attributes.with_content_disposition("inline");
    check_kind(world.put(inline, "<svg/>").await, ErrorKind::Rejected);
}

#[tokio::test]
async fn a_storage_checks_content_unless_it_is_told_not_to() {
    let open = async |settings: Option<ValidationSettings>| {
        let builder = Storage::builder().provider("main", MemoryProvider::new() as Arc<_>);
        let builder = match settings {
            Some(settings) => builder.validation(settings),
            None => builder,
        };
        builder.open().await.expect("opened")
    };
    check_kind(
        open(None).await.store_artifact(image("a"), "no picture").await,
        ErrorKind::Rejected,
    );
    let off = open(Some(ValidationSettings::off())).await;
    off.store_artifact(image("a"), "no picture")
        .await
        .expect("stored");
    let scan = ScanSettings::default();
    let dog: SharedScanner = Arc::new(Watchdog::default());
    let storage = Storage::builder()
        .provider("main", MemoryProvider::new() as Arc<_>)
        .validation(ValidationSettings::off().with_scan(scan))
        .scanner(dog);
    let storage = storage.open().await.expect("opened");
    check_kind(
        storage.store_artifact(image("a"), eicar()).await,
        ErrorKind::Rejected,
    );
    storage
        .store_artifact(image("a"), "no picture")
        .await
        .expect("stored");
}
