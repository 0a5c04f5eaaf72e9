//! An outage under load: a server goes away and comes back while artifacts are stored and read.
//!
//! The manager serves from its fallback, a local folder; the circuit opens, and closes when the server is back; and
//! every artifact that was acknowledged is read back in the end. Here the proxy takes the server away. `cargo xtask
//! prove outage` does it for longer, and with a server whose process is killed and started again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use boards_storage::CircuitState;
use boards_storage::layers::BreakerHandle;
use boards_storage::prelude::*;
use boards_storage::{
    BoxFuture, Digest, DigestAlgorithm, ManagerSettings, MemoryCatalog, ProviderSettings, ResilienceSettings,
    SystemClock, default_layers,
};
use boards_storage_testkit::Dice;
use boards_storage_testkit::proxy::FaultProxy;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Config;
use crate::store::{Store, text};

type Test = (&'static str, fn(Store, Config) -> BoxFuture<'static, ()>);

pub(crate) const TESTS: [Test; 1] = [(
    "an_outage_under_load_is_served_by_the_fallback_and_loses_nothing",
    |store, config| Box::pin(through_the_proxy(store, config)),
)];

/// With a server that whoever runs the test kills and starts again.
pub(crate) const KILLED: Test = ("an_outage_by_a_killed_server_loses_nothing", |store, config| {
    Box::pin(by_killing(store, config))
});

/// Where the one who kills the server listens.
pub(crate) const CONTROL: &str = "BOARDS_STORAGE_TEST_OUTAGE_CONTROL";

const TASKS: u64 = 16;
const CONTENT_BYTES_MAX: u64 = 32 << 10;

/// So long the circuit may take to open and to close.
const CIRCUIT_TIME_MAX: Duration = Duration::from_secs(60);

pub(crate) fn setting(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a test's settings come from outside")]
    std::env::var(name).ok()
}

/// How long each of the three parts of a run takes.
fn part_time() -> Duration {
    let seconds = setting("BOARDS_STORAGE_TEST_OUTAGE_SECONDS");
    seconds.map_or(Duration::from_secs(1), |text| {
        Duration::from_secs(text.parse().expect("a number of seconds"))
    })
}

/// How the server is taken away and given back.
enum Switch {
    Proxy(FaultProxy),
    Control(BufReader<TcpStream>),
}

impl Switch {
    async fn down(&mut self) {
        match self {
            Self::Proxy(proxy) => proxy.down(),
            Self::Control(stream) => command(stream, "down").await,
        }
    }

    async fn up(&mut self) {
        match self {
            Self::Proxy(proxy) => proxy.up(),
            Self::Control(stream) => command(stream, "up").await,
        }
    }
}

/// Says a word to whoever controls the server, and waits until it is done.
async fn command(stream: &mut BufReader<TcpStream>, word: &str) {
    let line = format!("{word}\n");
    stream.get_mut().write_all(line.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_line(&mut answer).await.expect("answered");
    assert_eq!(answer.trim(), "ok", "'{word}' was not done");
}

async fn through_the_proxy(store: Store, config: Config) {
    let opened = (store.open)(config).await;
    let proxy = FaultProxy::start(text(&opened.config, store.address))
        .await
        .expect("a port");
    let mut through = opened.config.clone();
    through.insert(store.address.to_owned(), json!(proxy.endpoint()));
    run(store, through, Switch::Proxy(proxy)).await;
}

async fn by_killing(store: Store, config: Config) {
    let opened = (store.open)(config).await;
    let address = setting(CONTROL).expect("whoever kills the server says where it listens");
    let stream = TcpStream::connect(address).await.expect("connected");
    run(
        store,
        opened.config.clone(),
        Switch::Control(BufReader::new(stream)),
    )
    .await;
}

/// The parts of a run.
const PARTS: [&str; 3] = ["before", "during", "after"];

/// What happened in one part.
#[derive(Debug, Default)]
struct Counts {
    stored: u64,
    to_fallback: u64,
    store_errors: BTreeMap<&'static str, u64>,
    read: u64,
    read_errors: BTreeMap<&'static str, u64>,
}

/// What one task was promised: each artifact with the digest of its bytes.
#[derive(Debug, Default)]
struct Outcome {
    promised: Vec<(ArtifactReference, Digest)>,
    counts: [Counts; PARTS.len()],
}

struct World {
    manager: StorageManager,
    circuit: BreakerHandle,
    part: AtomicU8,
    is_over: AtomicBool,
}

impl World {
    async fn open(store: Store, config: Config, folder: &std::path::Path) -> Arc<Self> {
        let resilience: ResilienceSettings = serde_json::from_value(json!({
            "retry": { "delay_initial": "1ms" },
            "breaker": { "open_time": "500ms", "half_open_calls": 3 },
        }))
        .expect("settings");
        let layers = default_layers(&resilience, None);
        let circuit = layers.breaker().expect("it is on").clone();
        let layers = parking_lot::Mutex::new(Some(layers));
        let mut settings = ManagerSettings::new("bucket");
        settings.fallback = vec!["spare".to_owned()];
        let manager = StorageManager::with_parts(
            settings,
            Arc::new(MemoryCatalog::default()),
            Arc::new(SystemClock),
            Arc::new(move |name, provider| {
                // The first provider that is registered is the bucket.
                let own = layers.lock().take();
                Arc::new(
                    own.unwrap_or_else(|| default_layers(&resilience, None))
                        .around(name, provider),
                )
            }),
        );
        let registry = Storage::registry().expect("no name twice");
        let spare = json!({ "base_path": folder.join("spare") });
        for settings in [
            ProviderSettings::new("bucket", store.kind, Value::Object(config)),
            ProviderSettings::new("spare", "local", spare),
        ] {
            let provider = registry.open(&settings).await.expect("opened");
            manager
                .register_provider(&settings.name, provider)
                .expect("a free name");
        }
        Arc::new(Self {
            manager,
            circuit,
            part: AtomicU8::new(0),
            is_over: AtomicBool::new(false),
        })
    }

    /// Waits until the circuit is in this state; returns how long that took.
    async fn circuit_is(&self, state: CircuitState) -> Duration {
        let start = Instant::now();
        while self.circuit.state() != state {
            assert!(
                start.elapsed() < CIRCUIT_TIME_MAX,
                "the circuit is never {state:?}"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        start.elapsed()
    }
}

async fn task(world: Arc<World>, number: u64) -> Outcome {
    let (mut dice, mut outcome) = (Dice::new(number), Outcome::default());
    while !world.is_over.load(Ordering::Relaxed) {
        let part = usize::from(world.part.load(Ordering::Relaxed));
        let counts = &mut outcome.counts[part];
        if outcome.promised.is_empty() || dice.chance(0.5) {
            let size = usize::try_from(dice.below(CONTENT_BYTES_MAX)).expect("small");
            let mut bytes = vec![u8::try_from(number).expect("few tasks"); size];
            bytes.extend_from_slice(&dice.roll().to_le_bytes());
            let bytes = Bytes::from(bytes);
            let new = NewArtifact::new(ArtifactType::Image);
            match world.manager.store_artifact(new, bytes.clone()).await {
                Ok(reference) => {
                    counts.stored += 1;
                    counts.to_fallback += u64::from(reference.storage_provider == "spare");
                    let digest = Digest::of(DigestAlgorithm::Blake3, &bytes);
                    outcome.promised.push((reference, digest));
                }
                Err(error) => *counts.store_errors.entry(error.kind().name()).or_default() += 1,
            }
        } else {
            let (reference, digest) = dice.pick(&outcome.promised);
            match read(&world.manager, reference).await {
                Ok(found) => {
                    assert_eq!(found, *digest, "other bytes of {reference:?}");
                    counts.read += 1;
                }
                Err(error) => *counts.read_errors.entry(error.kind().name()).or_default() += 1,
            }
        }
    }
    outcome
}

async fn read(manager: &StorageManager, reference: &ArtifactReference) -> Result<Digest> {
    let download = manager.open_artifact(reference, &OpenOptions::default()).await?;
    let bytes = download.bytes(1 << 20).await?;
    Ok(Digest::of(DigestAlgorithm::Blake3, &bytes))
}

async fn run(store: Store, config: Config, mut switch: Switch) {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::open(store, config, folder.path()).await;
    let mut tasks = JoinSet::new();
    for number in 0..TASKS {
        tasks.spawn(task(Arc::clone(&world), number));
    }
    tokio::time::sleep(part_time()).await;
    let gone = Instant::now();
    world.part.store(1, Ordering::Relaxed);
    switch.down().await;
    world.circuit_is(CircuitState::Open).await;
    let opened = gone.elapsed();
    tokio::time::sleep(part_time()).await;
    switch.up().await;
    let closed = world.circuit_is(CircuitState::Closed).await;
    world.part.store(2, Ordering::Relaxed);
    tokio::time::sleep(part_time()).await;
    world.is_over.store(true, Ordering::Relaxed);
    let mut outcomes = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        outcomes.push(ended.expect("the task saw nothing wrong"));
    }
    // What was acknowledged is there, wherever it went.
    let (mut acknowledged, mut lost) = (0, Vec::new());
    for (reference, digest) in outcomes.iter().flat_map(|outcome| &outcome.promised) {
        acknowledged += 1;
        match read(&world.manager, reference).await {
            Ok(found) if found == *digest => {}
            other => lost.push(format!("{other:?}: {reference:?}")),
        }
    }
    let total = sum(outcomes);
    for (part, counts) in PARTS.iter().zip(&total) {
        println!(
            "{}: {part}: {} stored, {} of them by the fallback, errors {:?}; {} read, errors {:?}",
            store.name,
            counts.stored,
            counts.to_fallback,
            counts.store_errors,
            counts.read,
            counts.read_errors
        );
    }
    println!(
        "{}: open {opened:?} after the server went, closed {closed:?} after it was back; {acknowledged} acknowledged, {} lost",
        store.name,
        lost.len()
    );
    assert!(lost.is_empty(), "{lost:#?}");
    let [before, during, after] = &total;
    assert!(
        // Those under way when the server went move on.
        before.stored > before.to_fallback && before.to_fallback <= TASKS && before.store_errors.is_empty(),
        "{before:?}"
    );
    assert!(
        during.to_fallback > 0 && during.store_errors.is_empty(),
        "{during:?}"
    );
    assert!(
        after.stored > after.to_fallback && after.store_errors.is_empty(),
        "{after:?}"
    );
}

fn sum(outcomes: Vec<Outcome>) -> [Counts; PARTS.len()] {
    let mut total: [Counts; PARTS.len()] = Default::default();
    for outcome in outcomes {
        for (total, counts) in total.iter_mut().zip(outcome.counts) {
            total.stored += counts.stored;
            total.to_fallback += counts.to_fallback;
            total.read += counts.read;
            for (errors, own) in [
                (&mut total.store_errors, counts.store_errors),
                (&mut total.read_errors, counts.read_errors),
            ] {
                for (kind, count) in own {
                    *errors.entry(kind).or_default() += count;
                }
            }
        }
    }
    total
}
