//! Transfers that broke on the wire and go on: only what is missing travels again.

use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use boards_storage::prelude::*;
use boards_storage::{
    BoxFuture, DownloadState, Downloader, DownloaderSettings, FileDownloadOptions, Journal, UploadOptions,
    UploadState, Uploader, UploaderSettings, WriteId, async_trait,
};
use boards_storage_testkit::proxy::{Answer, Fault};
use bytes::Bytes;
use serde_json::json;

use crate::Config;
use crate::case::Does;
use crate::store::{At, Store};
use crate::world::{World, bytes, key};

type Test = (&'static str, fn(Store, Config) -> BoxFuture<'static, ()>);

pub(crate) const TESTS: [Test; 3] = [
    (
        "an_upload_that_broke_at_a_part_sends_the_missing_ones",
        |store, config| Box::pin(broken_uploads_go_on(store, config)),
    ),
    (
        "an_upload_whose_end_was_not_heard_of_sends_nothing_again",
        |store, config| Box::pin(unheard_ends_are_found(store, config)),
    ),
    (
        "a_download_that_broke_at_a_range_reads_the_missing_ones",
        |store, config| Box::pin(broken_downloads_go_on(store, config)),
    ),
];

/// How many parts an upload has here, the last one of them shorter.
const PARTS: usize = 5;
const LAST_PART_BYTES: usize = 100_000;
const RANGE_BYTES: usize = 256 << 10;
const RANGES: usize = 6;
/// What beside the content may travel: heads within bodies, JSON, a page of a listing.
const OVERHEAD_BYTES: u64 = 64 << 10;

/// Keeps the last state, as a journal on a disk does.
#[derive(Debug)]
struct Kept<State>(Mutex<Option<State>>);

impl<State: Clone> Kept<State> {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(None)))
    }

    fn state(&self) -> Option<State> {
        self.0.lock().expect("not poisoned").clone()
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
        *self.0.lock().expect("not poisoned") = Some(state);
        Ok(())
    }

    async fn forget(&self) -> Result<()> {
        *self.0.lock().expect("not poisoned") = None;
        Ok(())
    }
}

/// A world in which nothing is repeated and nobody waits long, so that each fault breaks a transfer.
async fn fragile(store: Store, config: Config) -> World {
    let resilience = json!({
        "retry": { "enabled": false },
        "timeout": { "idle": "1s", "control": "1s" },
    });
    World::open_with(store, config, resilience, |_| {}).await
}

struct Upload {
    world: World,
    uploader: Uploader,
    journal: Arc<Kept<UploadState>>,
    content: Bytes,
    options: UploadOptions,
}

impl Upload {
    async fn prepare(store: Store, config: Config) -> Self {
        let world = fragile(store, config).await;
        let mut settings = UploaderSettings::default();
        settings.single_bytes_max = store.part_bytes as u64;
        settings.part_size_bytes = store.part_bytes as u64;
        // One after the other, so that it is known which parts the store has.
        settings.concurrency = 1;
        let journal = Kept::new();
        let uploader = Uploader::new(world.layered())
            .with_settings(settings)
            .with_journal(Arc::clone(&journal) as Arc<_>);
        let mut options = UploadOptions::default();
        options.write_id = Some(WriteId::fresh());
        let content = bytes(5, (PARTS - 1) * store.part_bytes + LAST_PART_BYTES);
        Self {
            world,
            uploader,
            journal,
            content,
            options,
        }
    }

    /// Uploads, and goes on after each failure; returns how many bytes the second call sent, if there was one.
    async fn run(&self, at: At, fault: Fault) -> Option<u64> {
        let (key, world) = (key("a/film"), &self.world);
        let rule = world.rule(Does::Parts, at, fault.clone());
        world.proxy.inject(rule);
        let content = || Content::from(self.content.clone());
        let first = self.uploader.upload(&key, content(), &self.options).await;
        assert_eq!(world.proxy.totals().faults, 1, "{at:?} {fault:?}: {first:?}");
        let sent = world.proxy.totals().request_body_bytes;
        let again = match first {
            // The provider asked the store, and found out that nothing was lost.
            Ok(_) => None,
            Err(error) => {
                assert!(error.retry().is_wanted(), "{at:?} {fault:?}: {error:?}");
                let state = self.journal.state().expect("a state was kept");
                let stored = self.uploader.resume(state, content(), &self.options).await;
                let stored = stored.unwrap_or_else(|error| panic!("{at:?} {fault:?}: {error:?}"));
                assert_eq!(stored.size_bytes, self.content.len() as u64);
                Some(world.proxy.totals().request_body_bytes - sent)
            }
        };
        assert_eq!(
            world.stored(&key).await.as_ref(),
            Some(&self.content),
            "{at:?} {fault:?}"
        );
        assert_eq!(world.keys().await, [key.as_str()], "{at:?} {fault:?}");
        assert_eq!(world.unfinished().await, 0, "{at:?} {fault:?}");
        assert!(self.journal.state().is_none(), "{at:?} {fault:?}");
        again
    }
}

/// Breaks an upload at its second part, of which the store then has all or nothing.
async fn check_upload(store: Store, config: Config, fault: Fault) {
    let upload = Upload::prepare(store, config).await;
    let again = upload.run(At::SecondPart, fault.clone()).await;
    let (total, part) = (upload.content.len() as u64, store.part_bytes as u64);
    let kept = if fault == Fault::LoseAnswer {
        2 * part
    } else {
        part
    };
    match again {
        Some(again) => {
            let missing = total - kept;
            // A store may have kept what it got of the part that broke.
            let at_least = missing.min(total - 2 * part);
            assert!(again >= at_least, "{fault:?}: {again} bytes make no {at_least}");
            assert!(
                again <= missing + OVERHEAD_BYTES,
                "{fault:?}: {missing} bytes were missing, {again} travelled"
            );
        }
        None => {
            let sent = upload.world.proxy.totals().request_body_bytes;
            assert!(
                sent <= total + OVERHEAD_BYTES,
                "{fault:?}: {sent} bytes for {total}"
            );
        }
    }
}

async fn broken_uploads_go_on(store: Store, config: Config) {
    let check = |fault| check_upload(store, config.clone(), fault);
    check(Fault::ResetRequest { after_bytes: 0 }).await;
    check(Fault::ResetRequest { after_bytes: 100_000 }).await;
    check(Fault::LoseAnswer).await;
    check(Answer::new(503).into()).await;
}

async fn unheard_ends_are_found(store: Store, config: Config) {
    let upload = Upload::prepare(store, config).await;
    if let Some(again) = upload.run(At::Complete, Fault::LoseAnswer).await {
        assert!(again <= OVERHEAD_BYTES, "{again} bytes travelled again");
    }
}

/// Breaks a download at its third range, then goes on with what the journal has.
async fn check_download(store: Store, config: Config, fault: Fault) {
    let world = fragile(store, config).await;
    let (key, content) = (key("a/object"), bytes(3, RANGES * RANGE_BYTES));
    world.store(&key, &content).await;
    let mut settings = DownloaderSettings::default();
    settings.range_size_bytes = RANGE_BYTES as u64;
    settings.file_concurrency = 1;
    let downloader = Downloader::new(world.layered()).with_settings(settings);
    let rule = world.rule(Does::Get, At::Get, fault.clone());
    world.proxy.inject(rule.with_skipped(2));
    let journal = Kept::<DownloadState>::new();
    let file = Arc::new(temporary_file());
    let options = FileDownloadOptions::default().with_journal(Arc::clone(&journal) as Arc<_>);
    let first = downloader
        .download_to_file(&key, Arc::clone(&file), &options)
        .await;
    let error = first.expect_err("it broke");
    assert!(error.retry().is_wanted(), "{fault:?}: {error:?}");
    assert_eq!(world.proxy.totals().faults, 1, "{fault:?}");
    let state = journal.state().expect("a state was kept");
    assert_eq!(state.done.len(), 2, "{fault:?}: {state:?}");
    let before = world.proxy.totals().response_body_bytes;
    let options = options.with_state(state);
    let found = downloader
        .download_to_file(&key, Arc::clone(&file), &options)
        .await;
    let found = found.unwrap_or_else(|error| panic!("{fault:?}: {error:?}"));
    assert_eq!(found.size_bytes, content.len() as u64);
    assert_eq!(read(&file, content.len()), content, "{fault:?}");
    let again = world.proxy.totals().response_body_bytes - before;
    let missing = ((RANGES - 2) * RANGE_BYTES) as u64;
    assert!(again >= missing, "{fault:?}: {again} bytes make no {missing}");
    assert!(
        again <= missing + OVERHEAD_BYTES,
        "{fault:?}: {missing} bytes were missing, {again} travelled"
    );
}

#[expect(clippy::disallowed_methods, reason = "a test may block")]
fn temporary_file() -> File {
    tempfile::tempfile().expect("a file")
}

fn read(file: &File, length: usize) -> Vec<u8> {
    use std::os::unix::fs::FileExt as _;

    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0).expect("written");
    bytes
}

async fn broken_downloads_go_on(store: Store, config: Config) {
    let check = |fault| check_download(store, config.clone(), fault);
    let after_bytes = 100_000;
    check(Fault::ResetResponse { after_bytes }).await;
    check(Fault::TruncateResponse { after_bytes }).await;
    check(Answer::new(503).into()).await;
    check(Fault::LoseAnswer).await;
    // A body that stalls is given up after a second.
    check(Fault::StallResponse {
        after_bytes,
        stall: None,
    })
    .await;
    check(Fault::Delay(Duration::from_secs(20))).await;
}
