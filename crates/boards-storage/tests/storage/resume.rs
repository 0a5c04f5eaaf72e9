//! Transfers that were interrupted and go on.

#![expect(
    clippy::disallowed_methods,
    reason = "the tests look at the files that were written"
)]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use boards_storage::prelude::*;
use boards_storage::{
    Capability, DownloadOptions, DownloadState, Downloader, DownloaderSettings, FileDownloadOptions, Journal,
    ManagerSettings, OperationKind, PartOrder, PartRules, ResumableOptions, SharedProvider, StorageProvider,
    StoreState, UploadOptions, UploadState, Uploader, UploaderSettings, WriteId, async_trait,
};
use boards_storage_testkit::{MemoryProvider, Script, Step};
use bytes::Bytes;

use crate::world::{World, check_kind, image, locate};

/// Keeps everything that it was given.
#[derive(Debug)]
struct Kept<State> {
    states: Mutex<Vec<State>>,
    is_forgotten: Mutex<bool>,
}

impl<State: Clone> Kept<State> {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            states: Mutex::new(Vec::new()),
            is_forgotten: Mutex::new(false),
        })
    }

    fn last(&self) -> State {
        self.all().pop().expect("a state was kept")
    }

    fn all(&self) -> Vec<State> {
        self.states.lock().expect("not poisoned").clone()
    }

    fn is_forgotten(&self) -> bool {
        *self.is_forgotten.lock().expect("not poisoned")
    }
}

#[async_trait]
impl<State> Journal<State> for Kept<State>
where
    State: Clone + std::fmt::Debug + Send + Sync + serde::Serialize + serde::de::DeserializeOwned,
{
    async fn keep(&self, state: &State) -> Result<()> {
        // What is kept is what can be written down and read again.
        let text = serde_json::to_string(state).expect("written");
        let state = serde_json::from_str(&text).expect("read");
        self.states.lock().expect("not poisoned").push(state);
        *self.is_forgotten.lock().expect("not poisoned") = false;
        Ok(())
    }

    async fn forget(&self) -> Result<()> {
        *self.is_forgotten.lock().expect("not poisoned") = true;
        Ok(())
    }
}

const LENGTH: usize = 1000;
const PARTS: usize = 16;

fn bytes() -> Bytes {
    (0..LENGTH)
        .map(|index| u8::try_from(index * 7 % 251).expect("below 251"))
        .collect()
}

fn key() -> StorageKey {
    StorageKey::parse("big/object.bin").expect("a key")
}

fn outage() -> Error {
    Error::new(ErrorKind::ProviderUnavailable, "the line is dead")
}

fn small_parts() -> UploaderSettings {
    let mut settings = UploaderSettings::default();
    settings.single_bytes_max = 100;
    settings.part_size_bytes = 64;
    settings.concurrency = 3;
    settings
}

fn rules(order: PartOrder) -> PartRules {
    let mut rules = PartRules::any();
    rules.order = order;
    rules.equal_size = order == PartOrder::Sequential;
    rules
}

fn scripted(memory: &Arc<MemoryProvider>) -> (Arc<Script>, SharedProvider) {
    let script = Script::new();
    let stack = script.over(Arc::clone(memory) as Arc<_>);
    (script, Arc::new(stack))
}

fn options() -> UploadOptions {
    let mut options = UploadOptions::default();
    options.write_id = Some(WriteId::from(boards_storage::VersionId::fresh()));
    options
}

async fn assert_holds(provider: &dyn StorageProvider, expected: &Bytes) {
    let read = provider.download(&key(), &DownloadOptions::default()).await;
    let read = read.expect("there").into_object().expect("sent");
    assert_eq!(read.bytes(1 << 20).await.expect("read"), expected);
}

/// Breaks an upload at its part number `broken`, then goes on with what the journal has.
async fn check_interrupted_at(order: PartOrder, broken: usize, is_lost_answer: bool) {
    let memory = MemoryProvider::builder().part_rules(rules(order)).build();
    let (script, provider) = scripted(&memory);
    for _ in 1..broken {
        script.push(OperationKind::UploadPart, Step::Pass);
    }
    let step = if is_lost_answer {
        Step::FailAfter(outage())
    } else {
        Step::FailBefore(outage())
    };
    script.push(OperationKind::UploadPart, step);
    let journal = Kept::<UploadState>::new();
    let uploader = Uploader::new(Arc::clone(&provider))
        .with_settings(small_parts())
        .with_journal(Arc::clone(&journal) as Arc<_>);
    let options = options();
    let first = uploader.upload(&key(), bytes().into(), &options).await;
    check_kind(first, ErrorKind::ProviderUnavailable);
    assert!(!journal.is_forgotten() && memory.pending_uploads() == 1);
    let sent = script.count(OperationKind::UploadPart);
    let stored = uploader.resume(journal.last(), bytes().into(), &options).await;
    assert_eq!(stored.expect("resumed").size_bytes, LENGTH as u64);
    assert_holds(&*memory, &bytes()).await;
    assert!(journal.is_forgotten() && memory.pending_uploads() == 0);
    let again = script.count(OperationKind::UploadPart) - sent;
    // Those that were on their way when the first call failed were given up.
    let expected = if is_lost_answer {
        PARTS - broken
    } else {
        PARTS - broken + 1
    };
    let given_up = if order == PartOrder::Any { 2 } else { 0 };
    assert!(
        again >= expected && again <= expected + given_up,
        "{again} parts travelled again after part {broken} broke, {expected} were missing"
    );
}

#[tokio::test]
async fn a_resumed_upload_sends_only_the_missing_parts() {
    for broken in 1..=PARTS {
        for order in [PartOrder::Any, PartOrder::Sequential] {
            for is_lost_answer in [false, true] {
                check_interrupted_at(order, broken, is_lost_answer).await;
            }
        }
    }
}

#[tokio::test]
async fn every_kept_state_can_be_gone_on_with() {
    let memory = MemoryProvider::new();
    let journal = Kept::<UploadState>::new();
    let (script, provider) = scripted(&memory);
    for _ in 1..PARTS {
        script.push(OperationKind::UploadPart, Step::Pass);
    }
    script.push(OperationKind::UploadPart, Step::FailBefore(outage()));
    let uploader = Uploader::new(provider)
        .with_settings(small_parts())
        .with_journal(Arc::clone(&journal) as Arc<_>);
    let options = options();
    check_kind(
        uploader.upload(&key(), bytes().into(), &options).await,
        ErrorKind::ProviderUnavailable,
    );
    let states = journal.all();
    assert_eq!(states.len(), PARTS, "a state is kept before each part");
    for state in states {
        // The first finishes the upload; for the others it is complete, and their own.
        let stored = uploader.resume(state, bytes().into(), &options).await;
        assert_eq!(stored.expect("resumed").size_bytes, LENGTH as u64);
        assert_holds(&*memory, &bytes()).await;
    }
    assert_eq!(memory.pending_uploads(), 0);
}

/// Returns an upload that was interrupted in the middle.
async fn interrupted(memory: &Arc<MemoryProvider>, options: &UploadOptions) -> (Uploader, UploadState) {
    let (script, provider) = scripted(memory);
    for _ in 0..PARTS / 2 {
        script.push(OperationKind::UploadPart, Step::Pass);
    }
    script.push(OperationKind::UploadPart, Step::FailBefore(outage()));
    let journal = Kept::<UploadState>::new();
    let uploader = Uploader::new(provider)
        .with_settings(small_parts())
        .with_journal(Arc::clone(&journal) as Arc<_>);
    let first = uploader.upload(&key(), bytes().into(), options).await;
    check_kind(first, ErrorKind::ProviderUnavailable);
    (uploader, journal.last())
}

#[tokio::test]
async fn other_content_is_never_mixed_in() {
    let memory = MemoryProvider::new();
    let options = options();
    let (uploader, state) = interrupted(&memory, &options).await;
    let mut other = bytes().to_vec();
    other[3] ^= 1;
    let refused = uploader.resume(state.clone(), other.into(), &options).await;
    let error = check_kind(refused, ErrorKind::InvalidInput);
    assert!(
        error
            .to_string()
            .contains("not the one that the upload began with")
    );
    let shorter = uploader
        .resume(state.clone(), bytes().slice(1..).into(), &options)
        .await;
    check_kind(shorter, ErrorKind::InvalidInput);
    assert_eq!(memory.objects(), 0);
    let right = uploader.resume(state, bytes().into(), &options).await;
    assert_eq!(right.expect("resumed").size_bytes, LENGTH as u64);
    assert_holds(&*memory, &bytes()).await;
}

/// A process that died while one part hung left a gap: the parts after it are at the store.
#[tokio::test(start_paused = true)]
async fn other_content_does_not_fill_a_gap() {
    let memory = MemoryProvider::new();
    let (script, provider) = scripted(&memory);
    script.push(OperationKind::UploadPart, Step::Pass);
    script.push(OperationKind::UploadPart, Step::Pass);
    script.push(OperationKind::UploadPart, Step::Stall);
    let journal = Kept::<UploadState>::new();
    let uploader = Uploader::new(provider)
        .with_settings(small_parts())
        .with_journal(Arc::clone(&journal) as Arc<_>);
    let options = options();
    let key = key();
    let first = uploader.upload(&key, bytes().into(), &options);
    let died = tokio::time::timeout(Duration::from_secs(60), first).await;
    assert!(died.is_err());
    let mut other = bytes().to_vec();
    other[2 * 64] ^= 1;
    other[5 * 64] ^= 1;
    let sent = script.count(OperationKind::UploadPart);
    assert_eq!(sent, PARTS);
    let mut one_by_one = small_parts();
    one_by_one.concurrency = 1;
    let careful = uploader.clone().with_settings(one_by_one);
    let refused = careful.resume(journal.last(), other.into(), &options).await;
    check_kind(refused, ErrorKind::InvalidInput);
    assert_eq!(
        script.count(OperationKind::UploadPart),
        sent,
        "something of it was sent"
    );
    let right = uploader.resume(journal.last(), bytes().into(), &options).await;
    assert_eq!(right.expect("resumed").size_bytes, LENGTH as u64);
    assert_eq!(script.count(OperationKind::UploadPart), sent + 1);
    assert_holds(&*memory, &bytes()).await;
}

#[tokio::test]
async fn an_upload_that_is_resumed_without_a_journal_can_be_resumed_again() {
    let memory = MemoryProvider::new();
    let options = options();
    let (_, state) = interrupted(&memory, &options).await;
    let (script, provider) = scripted(&memory);
    script.push(OperationKind::UploadPart, Step::FailBefore(outage()));
    let uploader = Uploader::new(provider).with_settings(small_parts());
    let again = uploader.resume(state.clone(), bytes().into(), &options).await;
    check_kind(again, ErrorKind::ProviderUnavailable);
    let mut other = bytes().to_vec();
    other[0] ^= 1;
    let refused = uploader.resume(state.clone(), other.into(), &options).await;
    check_kind(refused, ErrorKind::InvalidInput);
    let sent = script.count(OperationKind::UploadPart);
    let right = uploader.resume(state, bytes().into(), &options).await;
    assert_eq!(right.expect("resumed").size_bytes, LENGTH as u64);
    assert!(script.count(OperationKind::UploadPart) - sent <= PARTS / 2 + 2);
}

/// Cannot keep anything.
#[derive(Debug)]
struct Full;

#[async_trait]
impl<State: Sync> Journal<State> for Full {
    async fn keep(&self, _: &State) -> Result<()> {
        Err(Error::new(ErrorKind::InsufficientStorage, "the disk is full"))
    }

    async fn forget(&self) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_state_that_cannot_be_kept_leaves_nothing_behind() {
    let world = manager();
    let options = ResumableOptions::new(Arc::new(Full));
    let manager = &world.manager;
    let stored = manager
        .store_artifact_resumable(image("one"), bytes(), &options)
        .await;
    check_kind(stored, ErrorKind::InsufficientStorage);
    assert_eq!(world.memory.pending_uploads(), 0);
    world
        .put(image("one"), bytes())
        .await
        .expect("nothing is reserved");
}

#[tokio::test]
async fn a_download_state_of_no_sense_is_ignored() {
    let memory = MemoryProvider::new();
    let options = UploadOptions::default();
    let stored = memory.upload(&key(), bytes().into(), &options).await;
    let state = serde_json::json!({
        "etag": stored.expect("stored").etag, "size_bytes": LENGTH, "range_size_bytes": 0, "done": [0, 99],
    });
    let state: DownloadState = serde_json::from_value(state).expect("a state");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    let (script, provider) = scripted(&memory);
    let downloader = Downloader::new(provider).with_settings(ranges());
    let options = FileDownloadOptions::default().with_state(state);
    let found = downloader.download_to_file(&key(), open(&path), &options).await;
    assert_eq!(found.expect("read").size_bytes, LENGTH as u64);
    assert_eq!(std::fs::read(&path).expect("written"), bytes());
    assert_eq!(script.count(OperationKind::Download), PARTS);
}

#[tokio::test]
async fn an_upload_that_the_store_forgot_begins_anew() {
    let memory = MemoryProvider::new();
    let options = options();
    let (uploader, state) = interrupted(&memory, &options).await;
    memory
        .abort_upload(&state.upload, &Default::default())
        .await
        .expect("aborted");
    let stored = uploader.resume(state, bytes().into(), &options).await;
    assert_eq!(stored.expect("stored").size_bytes, LENGTH as u64);
    assert_holds(&*memory, &bytes()).await;
}

#[tokio::test]
async fn a_failure_that_does_not_pass_aborts() {
    let memory = MemoryProvider::new();
    let (script, provider) = scripted(&memory);
    script.push(
        OperationKind::UploadPart,
        Step::FailBefore(Error::new(ErrorKind::Rejected, "no")),
    );
    let journal = Kept::<UploadState>::new();
    let uploader = Uploader::new(provider)
        .with_settings(small_parts())
        .with_journal(Arc::clone(&journal) as Arc<_>);
    check_kind(
        uploader.upload(&key(), bytes().into(), &options()).await,
        ErrorKind::Rejected,
    );
    assert!(journal.is_forgotten() && memory.pending_uploads() == 0);
}

fn manager() -> World {
    let mut settings = ManagerSettings::new("main");
    settings.uploader = small_parts();
    settings.downloader = ranges();
    World::with(settings, MemoryProvider::builder())
}

/// Begins to store an artifact, which fails half-way.
async fn begin(world: &World) -> StoreState {
    for _ in 0..PARTS / 2 {
        world.script.push(OperationKind::UploadPart, Step::Pass);
    }
    world
        .script
        .push(OperationKind::UploadPart, Step::FailBefore(outage()));
    let journal = Kept::<StoreState>::new();
    let options = ResumableOptions::new(Arc::clone(&journal) as Arc<_>);
    let manager = &world.manager;
    let first = manager
        .store_artifact_resumable(image("one"), bytes(), &options)
        .await;
    check_kind(first, ErrorKind::ProviderUnavailable);
    assert!(!journal.is_forgotten());
    journal.last()
}

async fn go_on(world: &World, state: StoreState) -> (Result<ArtifactReference>, bool) {
    let journal = Kept::<StoreState>::new();
    let options = ResumableOptions::new(Arc::clone(&journal) as Arc<_>).with_state(state);
    let stored = world
        .manager
        .store_artifact_resumable(image("one"), bytes(), &options)
        .await;
    (stored, journal.is_forgotten())
}

#[tokio::test]
async fn an_interrupted_artifact_waits_a_day_for_its_writer() {
    let world = manager();
    let state = begin(&world).await;
    world.clock.advance(Duration::from_hours(23));
    let report = world.manager.reap(100).await.expect("reaped");
    assert_eq!((report.intents, report.failed), (0, 0));
    let rival = world.put(image("one"), "other bytes").await;
    check_kind(rival, ErrorKind::AlreadyExists);
    let sent = world.script.count(OperationKind::UploadPart);
    let (stored, is_forgotten) = go_on(&world, state.clone()).await;
    assert_eq!(stored.expect("stored").size, LENGTH as u64);
    assert!(is_forgotten);
    assert!(world.script.count(OperationKind::UploadPart) - sent <= PARTS / 2 + 2);
    assert_eq!(world.read(locate("one")).await.expect("read"), bytes());
    // The same state once more: it is committed, nothing travels.
    let sent = world.script.count(OperationKind::UploadPart);
    let (stored, is_forgotten) = go_on(&world, state).await;
    assert_eq!(stored.expect("stored").version, 1);
    assert!(is_forgotten && world.script.count(OperationKind::UploadPart) == sent);
    assert_eq!(world.objects_after_reaping().await, 1);
}

#[tokio::test]
async fn after_a_day_a_rival_may_write_and_the_state_is_of_no_use() {
    let world = manager();
    let state = begin(&world).await;
    world.clock.advance(Duration::from_hours(25));
    let report = world.manager.reap(100).await.expect("reaped");
    assert_eq!((report.intents, report.failed), (1, 0));
    let (stored, is_forgotten) = go_on(&world, state).await;
    assert_eq!(stored.expect("stored anew").size, LENGTH as u64);
    assert!(is_forgotten && world.memory.pending_uploads() == 0);
    assert_eq!(world.read(locate("one")).await.expect("read"), bytes());
}

#[tokio::test]
async fn a_state_of_another_artifact_is_refused() {
    let world = manager();
    let options = ResumableOptions::new(Kept::<StoreState>::new() as Arc<_>).with_state(begin(&world).await);
    let refused = world
        .manager
        .store_artifact_resumable(image("two"), bytes(), &options)
        .await;
    check_kind(refused, ErrorKind::InvalidInput);
}

fn ranges() -> DownloaderSettings {
    let mut settings = DownloaderSettings::default();
    settings.range_size_bytes = 64;
    settings
}

fn open(path: &Path) -> std::fs::File {
    let mut options = std::fs::File::options();
    let options = options.read(true).write(true).create(true).truncate(false);
    options.open(path).expect("opened")
}

#[tokio::test]
async fn a_resumed_download_reads_only_the_missing_ranges() {
    let memory = MemoryProvider::new();
    let options = UploadOptions::default();
    memory
        .upload(&key(), bytes().into(), &options)
        .await
        .expect("stored");
    let folder = tempfile::tempdir().expect("a folder");
    for broken in 0..PARTS {
        let (script, provider) = scripted(&memory);
        for _ in 0..broken {
            script.push(OperationKind::Download, Step::Pass);
        }
        script.push(OperationKind::Download, Step::BreakStream(5, outage()));
        let downloader = Downloader::new(provider).with_settings(ranges());
        let journal = Kept::<DownloadState>::new();
        let path = folder.path().join(broken.to_string());
        let options = FileDownloadOptions::default().with_journal(Arc::clone(&journal) as Arc<_>);
        let first = downloader.download_to_file(&key(), open(&path), &options).await;
        check_kind(first, ErrorKind::ProviderUnavailable);
        let states = journal.all();
        let done = states.last().map_or(0, |state| state.done.len());
        assert!(done + 4 > broken, "{done} ranges of {broken} were kept");
        let before = script.count(OperationKind::Download);
        let options = match states.last() {
            Some(state) => options.with_state(state.clone()),
            None => options,
        };
        let found = downloader.download_to_file(&key(), open(&path), &options).await;
        assert_eq!(found.expect("read").size_bytes, LENGTH as u64);
        assert_eq!(std::fs::read(&path).expect("written"), bytes());
        assert_eq!(script.count(OperationKind::Download) - before, PARTS - done);
        assert_eq!(journal.last().done.len(), PARTS);
    }
}

#[tokio::test]
async fn progress_counts_what_was_there_before() {
    let world = manager();
    world.put(image("one"), bytes()).await.expect("stored");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    // As many as travel together go through, so that at least one was read.
    for _ in 0..4 {
        world.script.push(OperationKind::Download, Step::Pass);
    }
    world
        .script
        .push(OperationKind::Download, Step::FailBefore(outage()));
    let journal = Kept::<DownloadState>::new();
    let options = FileDownloadOptions::default().with_journal(Arc::clone(&journal) as Arc<_>);
    let manager = &world.manager;
    let first = manager.fetch_artifact(locate("one"), open(&path), &options).await;
    check_kind(first, ErrorKind::ProviderUnavailable);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let teller = Arc::clone(&seen);
    let options = options
        .with_state(journal.last())
        .with_progress(move |bytes| teller.lock().expect("not poisoned").push(bytes));
    let fetched = manager.fetch_artifact(locate("one"), open(&path), &options).await;
    assert_eq!(fetched.expect("fetched").size, LENGTH as u64);
    assert_eq!(std::fs::read(&path).expect("written"), bytes());
    let seen = seen.lock().expect("not poisoned").clone();
    assert!(seen.first().is_some_and(|first| *first >= 64), "{seen:?}");
    assert_eq!(seen.last(), Some(&(LENGTH as u64)), "{seen:?}");
}

#[tokio::test]
async fn a_file_that_was_damaged_in_between_is_corruption_and_begins_anew() {
    let world = manager();
    world.put(image("one"), bytes()).await.expect("stored");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    for _ in 0..PARTS / 2 {
        world.script.push(OperationKind::Download, Step::Pass);
    }
    world
        .script
        .push(OperationKind::Download, Step::FailBefore(outage()));
    let journal = Kept::<DownloadState>::new();
    let options = FileDownloadOptions::default().with_journal(Arc::clone(&journal) as Arc<_>);
    let manager = &world.manager;
    let first = manager.fetch_artifact(locate("one"), open(&path), &options).await;
    check_kind(first, ErrorKind::ProviderUnavailable);
    std::fs::write(&path, b"somebody wrote here").expect("written");
    let resumed = options.clone().with_state(journal.last());
    let second = manager.fetch_artifact(locate("one"), open(&path), &resumed).await;
    check_kind(second, ErrorKind::Corruption);
    assert!(journal.is_forgotten());
    let third = manager.fetch_artifact(locate("one"), open(&path), &options).await;
    assert_eq!(third.expect("fetched").size, LENGTH as u64);
    assert_eq!(std::fs::read(&path).expect("written"), bytes());
}

#[tokio::test]
async fn an_object_that_was_replaced_is_read_from_its_beginning() {
    let memory = MemoryProvider::new();
    let options = UploadOptions::default();
    memory
        .upload(&key(), bytes().into(), &options)
        .await
        .expect("stored");
    let (script, provider) = scripted(&memory);
    for _ in 0..4 {
        script.push(OperationKind::Download, Step::Pass);
    }
    script.push(OperationKind::Download, Step::FailBefore(outage()));
    let downloader = Downloader::new(provider).with_settings(ranges());
    let journal = Kept::<DownloadState>::new();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    let options = FileDownloadOptions::default().with_journal(Arc::clone(&journal) as Arc<_>);
    let first = downloader.download_to_file(&key(), open(&path), &options).await;
    check_kind(first, ErrorKind::ProviderUnavailable);
    let new: Bytes = bytes().iter().rev().copied().collect();
    let replaced = memory
        .upload(&key(), new.clone().into(), &UploadOptions::default())
        .await;
    replaced.expect("replaced");
    let options = options.with_state(journal.last());
    let found = downloader.download_to_file(&key(), open(&path), &options).await;
    assert_eq!(found.expect("read").size_bytes, LENGTH as u64);
    assert_eq!(std::fs::read(&path).expect("written"), new);
}

#[tokio::test]
async fn a_provider_without_ranges_is_read_in_one_stream() {
    let memory = MemoryProvider::builder().without(&[Capability::Range]).build();
    let options = UploadOptions::default();
    memory
        .upload(&key(), bytes().into(), &options)
        .await
        .expect("stored");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    std::fs::write(&path, vec![1; LENGTH * 2]).expect("written");
    let downloader = Downloader::new(Arc::clone(&memory) as Arc<_>).with_settings(ranges());
    let found = downloader
        .download_to_file(&key(), open(&path), &FileDownloadOptions::default())
        .await;
    assert_eq!(found.expect("read").size_bytes, LENGTH as u64);
    assert_eq!(std::fs::read(&path).expect("written"), bytes());
}
