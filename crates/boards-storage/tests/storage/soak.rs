//! Soak: 64 tasks over a store that fails in one call of twenty. Memory stays flat; no task, call or permit is left.
//!
//! A few seconds in the tests; `cargo xtask prove soak` runs ten minutes.

#![expect(
    clippy::disallowed_methods,
    reason = "the time of the run comes from outside, and its memory from the kernel"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use boards_storage::layers::Metrics;
use boards_storage::prelude::*;
use boards_storage::{
    ByteStream, CallContext, CallOptions, CompleteUploadOptions, CopyOptions, CreateUploadOptions,
    DeleteOptions, Digest, DigestAlgorithm, DownloadOptions, DownloadOutcome, Layer, ListOptions, ListStream,
    ManagerSettings, MetricsSource, Next, Operation, OperationKind, Outcome, PartPlace, ResilienceSettings,
    SharedProvider, Stack, StorageProvider, SystemClock, UploadOptions, UploadPartOptions, async_trait,
};
use boards_storage_testkit::faults::{FaultProfile, Faults};
use boards_storage_testkit::{Dice, MemoryProvider, Step};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use tokio::task::JoinSet;

const TASKS: u64 = 64;
const FAULT_RATE: f64 = 0.05;
const MIB: u64 = 1 << 20;

/// After the warm-up the memory may grow by so much: what an allocator keeps, not what a leak takes.
const GROWTH_MIB_MAX: u64 = 24;

/// A store answers a call that it forgot, after so long: by the timeout layer.
const PATIENCE: Duration = Duration::from_millis(250);

/// So many calls run at the store at a time: fewer than there are tasks, so that some wait.
const PERMITS: u32 = 48;

/// How long the run takes: seconds in the tests.
fn duration() -> Duration {
    let seconds = std::env::var("BOARDS_STORAGE_TEST_SOAK_SECONDS");
    Duration::from_secs(seconds.map_or(6, |text| text.parse().expect("a number of seconds")))
}

/// The memory of this process that is resident, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse::<u64>().ok()).expect("a number") * 1024
}

/// Counts the calls that reach the store, and those that are under way, their streams included.
#[derive(Debug, Default)]
struct Traffic {
    calls: AtomicU64,
    under_way: Arc<AtomicU64>,
}

/// One call or stream that is under way.
struct UnderWay(Arc<AtomicU64>);

impl UnderWay {
    fn new(count: &Arc<AtomicU64>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Layer for Traffic {
    fn name(&self) -> &'static str {
        "traffic"
    }

    async fn around(&self, operation: Operation, next: Next) -> Result<Outcome> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let call = UnderWay::new(&self.under_way);
        Ok(match next.run(operation).await? {
            Outcome::Download(download) => Outcome::Download(Box::new(match *download {
                DownloadOutcome::Object(object) => DownloadOutcome::Object(object.map_stream(|inner| {
                    let held: ByteStream = Box::pin(hold(inner, call));
                    held
                })),
                other @ DownloadOutcome::NotModified(_) => other,
            })),
            Outcome::List(entries) => {
                let held: ListStream = Box::pin(hold(entries, call));
                Outcome::List(held)
            }
            other => other,
        })
    }
}

/// Keeps the count up as long as the stream lives.
fn hold<S: futures_util::Stream + Send>(
    stream: S,
    call: UnderWay,
) -> impl futures_util::Stream<Item = S::Item> + Send {
    stream.inspect(move |_| {
        let _held = &call;
    })
}

/// What the tasks did.
#[derive(Debug, Default)]
struct Report {
    operations: AtomicU64,
    errors: Mutex<BTreeMap<&'static str, u64>>,
}

struct World {
    manager: StorageManager,
    store: SharedProvider,
    memory: Arc<MemoryProvider>,
    faults: Arc<Faults>,
    traffic: Arc<Traffic>,
    metrics: Metrics,
    report: Report,
    is_over: AtomicBool,
}

impl World {
    async fn open(folder: &std::path::Path) -> Arc<Self> {
        let memory = MemoryProvider::new();
        let profile = FaultProfile::honest(FAULT_RATE).with_wait_max(Duration::from_millis(20));
        let faults = Faults::new(1, profile);
        let traffic = Arc::new(Traffic::default());
        let mut resilience = ResilienceSettings::default();
        resilience.timeout.control = PATIENCE.into();
        resilience.timeout.idle = PATIENCE.into();
        resilience.timeout.bulk = PATIENCE.into();
        resilience.limits.concurrency = PERMITS;
        resilience.retry.delay_initial = Duration::from_millis(1).into();
        let metrics = Metrics::default();
        let counted_calls = metrics.clone();
        let (counted, failing) = (Arc::clone(&traffic), Arc::clone(&faults));
        let catalog = boards_storage_catalog::SqliteCatalog::open(folder.join("catalog.db")).await;
        let manager = StorageManager::with_parts(
            ManagerSettings::new("main"),
            Arc::new(catalog.expect("opened")),
            Arc::new(SystemClock),
            Arc::new(move |name, provider| {
                let mut layers =
                    boards_storage::default_layers(&resilience, Some(&counted_calls)).into_layers();
                layers.push(Arc::clone(&counted) as Arc<dyn Layer>);
                layers.push(Arc::clone(&failing) as Arc<dyn Layer>);
                Arc::new(Stack::new(name, provider, layers))
            }),
        );
        manager
            .register_provider("main", Arc::clone(&memory) as Arc<_>)
            .expect("a free name");
        Arc::new(Self {
            store: manager.provider("main").expect("registered"),
            manager,
            memory,
            faults,
            traffic,
            metrics,
            report: Report::default(),
            is_over: AtomicBool::new(false),
        })
    }

    /// Counts an operation; says whether it succeeded.
    fn count<T>(&self, result: Result<T>) -> Option<T> {
        self.report.operations.fetch_add(1, Ordering::Relaxed);
        match result {
            Ok(answer) => Some(answer),
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::Corruption, "{error:?}");
                *self.report.errors.lock().entry(error.kind().name()).or_default() += 1;
                None
            }
        }
    }
}

/// One task with artifacts and objects of its own, so that it knows what it must find.
struct Task {
    world: Arc<World>,
    number: u64,
    dice: Dice,
    /// What its artifacts must be.
    artifacts: [Option<Digest>; 3],
}

impl Task {
    async fn run(mut self) {
        while !self.world.is_over.load(Ordering::Relaxed) {
            match self.dice.below(10) {
                0..=1 => self.store().await,
                2..=4 => self.open().await,
                5 => self.delete().await,
                6 => self.parts().await,
                _ => self.object().await,
            }
        }
        for artifact in 0..self.artifacts.len() {
            self.remove(artifact).await;
        }
    }

    fn content(&mut self) -> Bytes {
        let size = self.dice.below(16 << 10);
        let byte = u8::try_from(self.dice.below(256)).expect("a byte");
        let mut bytes = vec![byte; usize::try_from(size).expect("small")];
        // No two contents are alike.
        bytes.extend_from_slice(&self.dice.roll().to_le_bytes());
        bytes.into()
    }

    fn id(&self, artifact: usize) -> ArtifactId {
        ArtifactId::parse(format!("soak-{}-{artifact}", self.number)).expect("an id")
    }

    async fn store(&mut self) {
        let artifact = self.dice.index(self.artifacts.len());
        let bytes = self.content();
        let new = NewArtifact::new(ArtifactType::Image)
            .with_artifact(self.id(artifact))
            .with_overwrite();
        let stored = self.world.manager.store_artifact(new, bytes.clone()).await;
        if self.world.count(stored).is_some() {
            self.artifacts[artifact] = Some(Digest::of(DigestAlgorithm::Blake3, &bytes));
        }
    }

    async fn open(&mut self) {
        let artifact = self.dice.index(self.artifacts.len());
        let is_impatient = self.dice.below(50) == 0;
        let manager = &self.world.manager;
        let read = async {
            let download = manager
                .open_artifact(self.id(artifact), &OpenOptions::default())
                .await?;
            download.bytes(1 << 20).await
        };
        // Now and then the reader goes away.
        let read = match is_impatient {
            true => tokio::time::timeout(Duration::from_micros(100), read).await.ok(),
            false => Some(read.await),
        };
        match (read, self.artifacts[artifact]) {
            (Some(Err(error)), None) if error.kind() == ErrorKind::NotFound => {}
            (Some(Err(error)), Some(_)) if error.kind() == ErrorKind::NotFound => {
                panic!("an acknowledged artifact is gone: {error:?}");
            }
            (Some(read), expected) => {
                if let Some(bytes) = self.world.count(read) {
                    assert_eq!(Some(Digest::of(DigestAlgorithm::Blake3, &bytes)), expected);
                }
            }
            (None, _) => {}
        }
    }

    async fn delete(&mut self) {
        let artifact = self.dice.index(self.artifacts.len());
        self.remove(artifact).await;
    }

    async fn remove(&mut self, artifact: usize) {
        let deleted = self
            .world
            .manager
            .delete_variant(self.id(artifact), &CallContext::default())
            .await;
        if self.world.count(deleted).is_some() {
            self.artifacts[artifact] = None;
        }
    }

    fn key(&mut self) -> StorageKey {
        let name = self.dice.below(4);
        StorageKey::parse(format!("objects/{}/{name}", self.number)).expect("a key")
    }

    /// One call of the provider with its layers.
    async fn object(&mut self) {
        let (one, other) = (self.key(), self.key());
        let content = self.content();
        let world = Arc::clone(&self.world);
        let (store, call) = (&world.store, CallOptions::default());
        match self.dice.below(8) {
            0 => drop(
                world.count(
                    store
                        .upload(&one, content.into(), &UploadOptions::default())
                        .await,
                ),
            ),
            1 => {
                let pieces = content.chunks(4096).map(|piece| Ok(content.slice_ref(piece)));
                let pieces = futures_util::stream::iter(pieces.collect::<Vec<_>>());
                let content = Content::from_stream(None, pieces);
                drop(world.count(store.upload(&one, content, &UploadOptions::default()).await));
            }
            2 => {
                let download = store.download(&one, &DownloadOptions::default()).await;
                if let Some(DownloadOutcome::Object(object)) = world.count(download) {
                    world.count(object.bytes(1 << 20).await);
                }
            }
            3 => drop(world.count(store.metadata(&one, &call).await)),
            4 => drop(world.count(store.delete(&one, &DeleteOptions::default()).await)),
            5 => {
                let keys = if one == other { vec![one] } else { vec![one, other] };
                drop(world.count(store.delete_many(&keys, &DeleteOptions::default()).await));
            }
            6 if one != other => {
                drop(world.count(store.copy(&one, &other, &CopyOptions::default()).await));
            }
            _ => {
                let options = ListOptions::default().with_prefix(format!("objects/{}/", self.number));
                if let Some(entries) = world.count(store.list(&options).await) {
                    world.count(entries.try_collect::<Vec<_>>().await);
                }
            }
        }
    }

    /// An upload in parts. What fails is aborted past the faults: a store's own rule for stale uploads does that.
    async fn parts(&mut self) {
        let (key, content) = (self.key(), self.content());
        let world = Arc::clone(&self.world);
        let store = &world.store;
        let begun = store.create_upload(&key, &CreateUploadOptions::default()).await;
        let Some(upload) = world.count(begun) else { return };
        let half = content.len() / 2;
        let options = UploadPartOptions::default();
        let mut parts = Vec::new();
        for (place, bytes) in [
            (PartPlace::new(1, 0), content.slice(..half.max(1))),
            (
                PartPlace::new(2, half.max(1) as u64).last(),
                content.slice(half.max(1)..),
            ),
        ] {
            let sent = store.upload_part(&upload, place, bytes.into(), &options).await;
            parts.extend(world.count(sent));
        }
        let completed = match parts.len() {
            2 => {
                let options = CompleteUploadOptions::default();
                world.count(store.complete_upload(&upload, &parts, &options).await)
            }
            _ => None,
        };
        if completed.is_none() {
            let call = CallOptions::default();
            world.memory.abort_upload(&upload, &call).await.expect("aborted");
        }
    }
}

/// Waits until the count of alive tasks is what it was; returns what it is in the end.
async fn settled(expected: usize) -> usize {
    let metrics = tokio::runtime::Handle::current().metrics();
    for _ in 0..50 {
        if metrics.num_alive_tasks() <= expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    metrics.num_alive_tasks()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_long_load_and_faults_nothing_grows_and_nothing_is_left() {
    let duration = duration();
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::open(folder.path()).await;
    // The catalog's own tasks are there after its first use; what only opened it is gone soon after.
    world.manager.reap(1).await.expect("reaped");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let mut tasks = JoinSet::new();
    for number in 0..TASKS {
        let task = Task {
            world: Arc::clone(&world),
            number,
            dice: Dice::new(number),
            artifacts: [None; 3],
        };
        tasks.spawn(task.run());
    }
    let (start, mut samples) = (Instant::now(), Vec::new());
    while start.elapsed() < duration {
        tokio::time::sleep(duration / 60).await;
        samples.push(resident());
        // What fails in its cleanup is reaped, as it is in operation.
        world.manager.reap(1000).await.expect("reaped");
    }
    world.is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended.expect("the task saw nothing wrong");
    }
    let warm = samples.len() / 5;
    let before = *samples[..warm.max(1)].iter().max().expect("sampled");
    let after = *samples[warm..].iter().max().expect("sampled");
    let (first, last) = (
        median(&samples[warm..samples.len() / 2]),
        median(&samples[samples.len() * 3 / 4..]),
    );
    let calls = world.traffic.calls.load(Ordering::Relaxed);
    println!(
        "{:.0} s, {TASKS} tasks: {} operations, {calls} calls at the store, {} faults; errors {:?}",
        start.elapsed().as_secs_f64(),
        world.report.operations.load(Ordering::Relaxed),
        world.faults.counts().values().sum::<u64>(),
        world.report.errors.lock(),
    );
    println!(
        "memory: {} MiB at most in the first fifth, {} MiB after it; medians {} MiB, then {} MiB",
        before / MIB,
        after / MIB,
        first / MIB,
        last / MIB
    );
    assert!(calls > 1000, "only {calls} calls");
    assert!(
        after <= before + GROWTH_MIB_MAX * MIB && last <= first + GROWTH_MIB_MAX / 2 * MIB,
        "the memory grows: {:?} MiB",
        samples.iter().map(|bytes| bytes / MIB).collect::<Vec<_>>()
    );
    let left = settled(alive).await;
    assert!(
        left <= alive,
        "tasks are left: {left}, of which {alive} were there before"
    );
    assert_eq!(
        world.traffic.under_way.load(Ordering::Relaxed),
        0,
        "calls or streams are left"
    );
    assert_eq!(
        world.metrics.snapshot().in_flight,
        BTreeMap::default(),
        "calls are left"
    );
    assert_eq!(permits(&world).await, u64::from(PERMITS), "permits are left");
    assert_eq!(world.faults.spent_contents(), 0, "a spent stream was sent again");
}

/// How many calls run at the store at a time now: as many as there are permits.
async fn permits(world: &Arc<World>) -> u64 {
    world.faults.calm();
    let mut calls = JoinSet::new();
    for _ in 0..2 * PERMITS {
        world
            .faults
            .push(OperationKind::Exists, Step::Delay(PATIENCE / 2));
        let store = Arc::clone(&world.store);
        calls.spawn(async move {
            let key = StorageKey::parse("none").expect("a key");
            store.exists(&key, &CallOptions::default()).await
        });
    }
    let mut most = 0;
    while !calls.is_empty() {
        most = most.max(world.traffic.under_way.load(Ordering::Relaxed));
        tokio::time::sleep(Duration::from_millis(1)).await;
        while let Some(ended) = calls.try_join_next() {
            let _seen = ended.expect("no panic");
        }
    }
    most
}

fn median(samples: &[u64]) -> u64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}
