//! Programs of provider calls.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use boards_storage::layers::Metrics;
use boards_storage::{
    CallOptions, Capability, Checksum, DownloadOptions, ErrorKind, Layer, Next, Operation, OperationKind,
    Outcome, ResilienceSettings, Result, SharedProvider, Stack, StorageProvider, async_trait,
};
use boards_storage_testkit::faults::{FaultKind, Faults};
use boards_storage_testkit::{Dice, MemoryProvider};
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::client::{Client, Record, key};
use super::linearize::{self, Event};
use super::object::{Call, Contents, Seen, State};
use super::program::{KEYS, Lack, Program};
use super::seeds::{self, Tally};

/// What a run puts around or into the layers; nothing but for mutants.
pub(crate) type Layers = Vec<Arc<dyn Layer>>;

/// What is changed before a program runs: the layers above the faults, and those below.
#[derive(Clone, Copy)]
pub(crate) struct Change {
    pub(crate) above: fn(Layers) -> Layers,
    pub(crate) below: fn() -> Layers,
}

impl Change {
    pub(crate) const NONE: Self = Self {
        above: std::convert::identity,
        below: Vec::new,
    };
}

/// Runs the program of a seed and holds it to the model.
pub(crate) fn check(seed: u64, change: Change) -> Result<Tally, String> {
    seeds::run_one(seed, async || run(seed, change).await)
}

async fn run(seed: u64, change: Change) -> Result<Tally, String> {
    let program = Program::of(seed);
    let memory = memory(program.lack);
    let faults = Faults::new(seed ^ 0xfa17, program.profile.clone());
    let stack = stack(&memory, &faults, change);
    let record = Record::new(contents(&program.sizes));
    let clients: Vec<Client<'_>> = (0..program.tasks.len())
        .map(|number| Client::new(number, &record, &stack))
        .collect();
    let tasks = clients
        .iter()
        .zip(&program.tasks)
        .map(|(client, plan)| client.run(plan));
    futures_util::future::join_all(tasks).await;
    look(&*memory, &record).await;
    verdict(&program, &faults, record)
}

fn memory(lack: Lack) -> Arc<MemoryProvider> {
    let builder = MemoryProvider::builder();
    match lack {
        Lack::Nothing => builder,
        Lack::Ranges => builder.without(&[Capability::Range]),
        Lack::WriteIds => builder.without(&[Capability::WriteId]),
        Lack::Preconditions => builder.without_preconditions(),
        Lack::ListStartAfter => builder.without(&[Capability::ListStartAfter]),
        Lack::TruthfulDeletes => builder.without(&[Capability::TruthfulDelete]),
        Lack::Checksums => builder.without(&[Capability::Checksum, Capability::VerifiedRead]),
    }
    .build()
}

/// The layers that an application gets, then faults, then pieces so small that others come between them.
fn stack(memory: &Arc<MemoryProvider>, faults: &Arc<Faults>, change: Change) -> Stack {
    let mut layers = (change.above)(
        boards_storage::default_layers(&ResilienceSettings::default(), Some(&Metrics::default()))
            .into_layers(),
    );
    layers.push(Arc::clone(faults) as Arc<dyn Layer>);
    layers.push(Arc::new(Chop));
    layers.extend((change.below)());
    Stack::new("main", Arc::clone(memory) as SharedProvider, layers)
}

fn contents(sizes: &[usize]) -> Contents {
    let bytes: Vec<Bytes> = sizes
        .iter()
        .zip(0..)
        .map(|(size, number)| Dice::new(number).bytes(*size).into())
        .collect();
    let checksums = bytes.iter().map(|bytes| Checksum::crc64_nvme(bytes)).collect();
    Contents { bytes, checksums }
}

/// Looks at every key past the layers and the faults: what is there in the end is a read like any other.
async fn look(memory: &dyn StorageProvider, record: &Record) {
    for number in 0..KEYS.len() {
        let began = record.now();
        let found = match memory.metadata(&key(number), &CallOptions::default()).await {
            Ok(metadata) => {
                let download = memory.download(&key(number), &DownloadOptions::default()).await;
                let download = download
                    .and_then(|outcome| outcome.into_object())
                    .expect("it is there");
                let bytes = download.bytes(usize::MAX).await.expect("whole");
                Some(Seen {
                    bytes: Some((0, bytes)),
                    ..Seen::of(&metadata)
                })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => panic!("{error}"),
        };
        record.add(began, vec![(number, Call::Read(found))]);
    }
}

fn verdict(program: &Program, faults: &Faults, record: Record) -> Result<Tally, String> {
    let mut wrong = record.wrong.into_inner();
    if faults.spent_contents() > 0 {
        wrong.push("a spent stream was sent again".to_owned());
    }
    let mut histories: BTreeMap<usize, Vec<Event<Call>>> = BTreeMap::new();
    let calls = record.calls.into_inner();
    let mut tally = Tally::from([
        ("calls".to_owned(), faults.calls()),
        ("observations".to_owned(), calls.len() as u64),
        ("unknown outcomes".to_owned(), record.unknown.get()),
    ]);
    for (key, event) in calls {
        histories.entry(key).or_default().push(event);
    }
    for (key, history) in &histories {
        if let Err((index, states)) = linearize::check(&record.contents, State::Absent, history) {
            wrong.push(format!(
                "nothing explains what was seen at '{}': {}\nthe states that were possible: {states:?}\nall that was \
                 seen there:\n{}",
                KEYS[*key],
                tell(&history[index]),
                history.iter().map(|event| format!("  {}\n", tell(event))).collect::<String>(),
            ));
        }
    }
    if !wrong.is_empty() {
        let mut text = wrong.join("\n");
        let _ = write!(text, "\nthe store lacks: {:?}\nthe program:\n", program.lack);
        for (number, task) in program.tasks.iter().enumerate() {
            for planned in task {
                let _ = writeln!(text, "  task {number}: {planned:?}");
            }
        }
        text.push_str("the faults:\n");
        for injected in faults.injected() {
            let _ = writeln!(text, "  {injected}");
        }
        return Err(text);
    }
    for ((operation, fault), count) in faults.counts() {
        *tally.entry(format!("fault {fault}")).or_default() += count;
        *tally.entry(format!("faulty {operation}")).or_default() += count;
    }
    Ok(tally)
}

fn tell(event: &Event<Call>) -> String {
    let mut text = format!("{:?}", event.call);
    // Bytes of contents are many.
    if text.len() > 600 {
        text.truncate(text.floor_char_boundary(600));
        text.push('…');
    }
    format!("{}..{} {text}", event.began, event.ended)
}

/// Cuts downloads into small pieces, with a pause before each.
#[derive(Debug)]
struct Chop;

#[async_trait]
impl Layer for Chop {
    fn name(&self) -> &'static str {
        "chop"
    }

    async fn around(&self, operation: Operation, next: Next) -> Result<Outcome> {
        let outcome = next.run(operation).await?;
        let Outcome::Download(download) = outcome else {
            return Ok(outcome);
        };
        let download = match *download {
            boards_storage::DownloadOutcome::Object(object) => {
                boards_storage::DownloadOutcome::Object(object.map_stream(|inner| {
                    let pieces = inner.flat_map(|piece| {
                        let pieces: Vec<Result<Bytes>> = match piece {
                            Ok(bytes) => bytes
                                .chunks(700)
                                .map(|chunk| Ok(bytes.slice_ref(chunk)))
                                .collect(),
                            Err(error) => vec![Err(error)],
                        };
                        stream::iter(pieces)
                    });
                    Box::pin(pieces.then(async |piece| {
                        tokio::task::yield_now().await;
                        piece
                    }))
                }))
            }
            other @ boards_storage::DownloadOutcome::NotModified(_) => other,
        };
        Ok(Outcome::Download(Box::new(download)))
    }
}

#[test]
fn whatever_a_store_does_nothing_is_lost_and_nothing_is_a_lie() {
    let total = seeds::run_all("model::objects", 2000, |seed| check(seed, Change::NONE));
    println!("{total:#?}");
    let honest = FaultKind::ALL.into_iter().filter(|kind| kind.is_honest());
    let faults = honest
        .chain([FaultKind::Truncate])
        .map(|kind| format!("fault {kind}"));
    let operations = OperationKind::ALL
        .into_iter()
        // Neither of these is what the model is about.
        .filter(|kind| {
            !matches!(
                kind,
                OperationKind::SetAccess
                    | OperationKind::PresignedUploadUrl
                    | OperationKind::PresignedPartUrl
            )
        })
        .map(|kind| format!("faulty {kind}"));
    seeds::expect(
        &total,
        faults.chain(operations).chain(["unknown outcomes".to_owned()]),
    );
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [1, 2, 3, 5, 8, 13, 21, 34] {
        let run = || seeds::run_one(seed, async || trace(seed).await).expect("it passes");
        assert_eq!(run(), run(), "seed {seed}");
    }
}

/// Everything that happened in a run, as text.
async fn trace(seed: u64) -> Result<Vec<String>, String> {
    let program = Program::of(seed);
    let memory = memory(program.lack);
    let faults = Faults::new(seed ^ 0xfa17, program.profile.clone());
    let stack = stack(&memory, &faults, Change::NONE);
    let record = Record::new(contents(&program.sizes));
    let clients: Vec<Client<'_>> = (0..program.tasks.len())
        .map(|number| Client::new(number, &record, &stack))
        .collect();
    let tasks = clients
        .iter()
        .zip(&program.tasks)
        .map(|(client, plan)| client.run(plan));
    futures_util::future::join_all(tasks).await;
    let calls = record.calls.into_inner();
    let calls = calls.iter().map(|(key, event)| format!("{key} {}", tell(event)));
    let faults = faults.injected().into_iter().map(|injected| injected.to_string());
    Ok(calls.chain(faults).collect())
}
