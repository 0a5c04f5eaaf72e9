//! Programs of artifact operations: the manager over the layers, faults and memory, and a catalog in memory.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use boards_storage::layers::Metrics;
use boards_storage::prelude::*;
use boards_storage::{
    CallContext, Capability, Clock, Digest, DigestAlgorithm, Layer, ManagerSettings, MemoryCatalog,
    OperationKind, ResilienceSettings, Retry, Stack, UploaderSettings,
};
use boards_storage_testkit::faults::{FaultKind, FaultProfile, Faults};
use boards_storage_testkit::{Dice, MemoryProvider};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use tokio::time::Instant;

use super::linearize::{self, Event, Thing};
use super::seeds::{self, Tally};

const ARTIFACTS: usize = 3;
const CONTENT_BYTES_MAX: u64 = 4000;

/// One call of a program.
#[derive(Clone, Debug)]
enum Action {
    Store {
        artifact: usize,
        content: usize,
        overwrite: bool,
        streamed: bool,
    },
    Open {
        artifact: usize,
        range: Option<(u64, u64)>,
    },
    Find {
        artifact: usize,
    },
    Describe {
        artifact: usize,
    },
    Versions {
        artifact: usize,
    },
    Delete {
        artifact: usize,
    },
    List,
    Reap,
    Pause(Duration),
}

#[derive(Clone, Debug)]
struct Planned {
    action: Action,
    patience: Option<Duration>,
}

#[derive(Debug)]
struct Program {
    profile: FaultProfile,
    /// Whether the store breaks its promises too.
    is_dishonest: bool,
    lacks: &'static [Capability],
    tasks: Vec<Vec<Planned>>,
    contents: Vec<Bytes>,
}

impl Program {
    fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let rate = *dice.pick(&[0.0, 0.05, 0.1, 0.25, 0.4]);
        let is_dishonest = dice.chance(0.4);
        let mut profile = FaultProfile::honest(rate);
        if is_dishonest {
            let lies = [FaultKind::WrongBytes, FaultKind::Truncate, FaultKind::WrongLength];
            profile = lies.into_iter().fold(profile, |profile, lie| {
                OperationKind::ALL
                    .into_iter()
                    .filter(|operation| lie.applies_to(*operation) && *operation != OperationKind::List)
                    .fold(profile, |profile, operation| {
                        profile.with_on(operation, lie, 0.05)
                    })
            });
        }
        let lacks: &[&[Capability]] = &[
            &[],
            &[Capability::StreamingUpload],
            &[Capability::StreamingUpload],
            &[Capability::WriteId],
            &[Capability::ConditionalDownload],
            &[Capability::Digest, Capability::Checksum, Capability::VerifiedRead],
        ];
        let lacks = *dice.pick(lacks);
        let mut contents = Vec::new();
        let length = 4 + dice.index(12);
        let tasks = *dice.pick(&[1, 1, 2, 3]);
        let tasks = (0..tasks)
            .map(|_| {
                (0..length)
                    .map(|_| planned(&mut dice, &mut contents, is_dishonest))
                    .collect()
            })
            .collect();
        Self {
            profile,
            is_dishonest,
            lacks,
            tasks,
            contents,
        }
    }
}

fn planned(dice: &mut Dice, contents: &mut Vec<Bytes>, is_dishonest: bool) -> Planned {
    let artifact = dice.index(ARTIFACTS);
    let action = match dice.below(100) {
        0..=34 => {
            let content = if !contents.is_empty() && dice.chance(0.2) {
                dice.index(contents.len())
            } else {
                let size = usize::try_from(dice.below(CONTENT_BYTES_MAX)).expect("small");
                contents.push(dice.bytes(size).into());
                contents.len() - 1
            };
            Action::Store {
                artifact,
                content,
                overwrite: dice.chance(0.6),
                streamed: dice.chance(0.5),
            }
        }
        35..=54 => Action::Open {
            artifact,
            // A part is checked against nothing: see docs/shortcomings.md.
            range: (!is_dishonest && dice.chance(0.4)).then(|| {
                let start = dice.below(CONTENT_BYTES_MAX);
                (start, start + 1 + dice.below(CONTENT_BYTES_MAX))
            }),
        },
        55..=59 => Action::Find { artifact },
        60..=65 => Action::Describe { artifact },
        66..=69 => Action::Versions { artifact },
        70..=81 => Action::Delete { artifact },
        82..=87 => Action::List,
        88..=91 => Action::Reap,
        _ => Action::Pause(Duration::from_millis(dice.below(120_000))),
    };
    let patience = dice.chance(0.1).then(|| Duration::from_millis(dice.below(5_000)));
    Planned { action, patience }
}

/// The contents of an artifact's versions, oldest first.
type Versions = Vec<usize>;

/// A call as it concerns one artifact. What was read is told by digests.
#[derive(Clone, Debug)]
enum Call {
    Store {
        content: usize,
        overwrite: bool,
        answer: Stored,
    },
    /// The present version; its bytes, as far as they were read.
    Read {
        found: Option<Digest>,
        bytes: Option<(u64, Bytes)>,
    },
    /// Nothing of it is as long as this.
    ShorterThan(u64),
    Versions(Vec<Digest>),
    /// How many versions were deleted, where that is known.
    Delete(Option<usize>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stored {
    Done,
    /// Something else is there.
    Exists,
    /// It failed: nothing is there that was not there before.
    Failed,
    /// Its caller did not wait.
    Unknown,
}

struct Artifacts<'a> {
    contents: &'a [Bytes],
    digests: &'a [Digest],
}

impl Artifacts<'_> {
    fn stored(&self, state: &Versions, content: usize, overwrite: bool) -> Vec<Versions> {
        let further = || state.iter().copied().chain([content]).collect();
        match state.last() {
            None => vec![further()],
            // The same bytes are the same version. Known: two who overwrite with them at once do not see each other.
            Some(present) if self.digests[*present] == self.digests[content] => {
                let mut states = vec![state.clone()];
                states.extend(overwrite.then(further));
                states
            }
            Some(_) if overwrite => vec![further()],
            Some(_) => Vec::new(),
        }
    }
}

impl Thing for Artifacts<'_> {
    type State = Versions;
    type Call = Call;

    fn answered(&self, state: &Versions, call: &Call) -> Vec<Versions> {
        let keep = |fits: bool| fits.then(|| state.clone()).into_iter().collect();
        match call {
            Call::Store {
                content,
                overwrite,
                answer,
            } => match answer {
                Stored::Done | Stored::Unknown => self.stored(state, *content, *overwrite),
                // Who overwrites may still come second; so may who stores the same at once.
                Stored::Exists => keep(*overwrite || !state.is_empty()),
                Stored::Failed => keep(true),
            },
            Call::Read { found: None, .. } => keep(state.is_empty()),
            Call::Read {
                found: Some(digest),
                bytes,
            } => keep(state.last().is_some_and(|present| {
                let whole = &self.contents[*present];
                self.digests[*present] == *digest
                    && bytes.as_ref().is_none_or(|(start, bytes)| {
                        let start = usize::try_from(*start).expect("small");
                        whole.get(start..start + bytes.len()) == Some(&bytes[..])
                    })
            })),
            Call::ShorterThan(size) => keep(
                state
                    .last()
                    .is_some_and(|present| self.contents[*present].len() as u64 <= *size),
            ),
            Call::Versions(digests) => {
                let known = state.iter().rev().map(|content| self.digests[*content]);
                keep(known.eq(digests.iter().copied()))
            }
            Call::Delete(count) => {
                let fits = count.is_none_or(|count| count == state.len());
                fits.then(Versions::new).into_iter().collect()
            }
        }
    }

    fn attempted(&self, _: &Versions, _: &Call) -> Vec<Versions> {
        // The catalog decides, and it fails never here: a call takes effect once.
        Vec::new()
    }

    fn is_known(&self, call: &Call) -> bool {
        match call {
            Call::Store { answer, .. } => *answer != Stored::Unknown,
            Call::Delete(count) => count.is_some(),
            Call::Read { .. } | Call::ShorterThan(_) | Call::Versions(_) => true,
        }
    }
}

/// A wall clock that goes with tokio's, so that leases end in paused time.
#[derive(Debug)]
struct PausedClock(Instant);

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        Timestamp::constant(1_767_225_600, 0) + self.0.elapsed()
    }
}

/// What all tasks share.
struct World {
    manager: StorageManager,
    memory: Arc<MemoryProvider>,
    faults: Arc<Faults>,
    program: Program,
    digests: Vec<Digest>,
    time: Cell<u64>,
    calls: RefCell<Vec<(usize, Event<Call>)>>,
    wrong: RefCell<Vec<String>>,
    dropped: Cell<u64>,
    tally: RefCell<Tally>,
}

impl World {
    fn new(seed: u64) -> Self {
        let program = Program::of(seed);
        let memory = MemoryProvider::builder().without(program.lacks).build();
        let faults = Faults::new(seed ^ 0xfa17, program.profile.clone());
        let layer = Arc::clone(&faults);
        let mut settings = ManagerSettings::new("main");
        settings.uploader = UploaderSettings::default();
        settings.uploader.single_bytes_max = 1000;
        settings.uploader.part_size_bytes = 700;
        settings.uploader.concurrency = 2;
        let manager = StorageManager::with_parts(
            settings,
            Arc::new(MemoryCatalog::default()),
            Arc::new(PausedClock(Instant::now())),
            Arc::new(move |name, provider| {
                let mut layers =
                    boards_storage::default_layers(&ResilienceSettings::default(), Some(&Metrics::default()))
                        .into_layers();
                layers.push(Arc::clone(&layer) as Arc<dyn Layer>);
                Arc::new(Stack::new(name, provider, layers))
            }),
        );
        manager
            .register_provider("main", Arc::clone(&memory) as Arc<_>)
            .expect("a free name");
        let digest = |bytes: &Bytes| Digest::of(DigestAlgorithm::Blake3, bytes);
        Self {
            digests: program.contents.iter().map(digest).collect(),
            manager,
            memory,
            faults,
            program,
            time: Cell::default(),
            calls: RefCell::default(),
            wrong: RefCell::default(),
            dropped: Cell::default(),
            tally: RefCell::default(),
        }
    }

    fn now(&self) -> u64 {
        self.time.set(self.time.get() + 1);
        self.time.get()
    }

    fn count(&self, what: &str) {
        *self.tally.borrow_mut().entry(what.to_owned()).or_default() += 1;
    }

    async fn task(&self, plan: &[Planned]) {
        for planned in plan {
            let began = self.now();
            let open = RefCell::new(Vec::new());
            let lies = self.lies();
            let work = Box::pin(self.perform(&planned.action, &open, lies));
            let is_heard = match planned.patience {
                Some(time) => tokio::time::timeout(time, work).await.is_ok(),
                None => {
                    work.await;
                    true
                }
            };
            if !is_heard {
                self.dropped.set(self.dropped.get() + 1);
            }
            let ended = self.now();
            let events = open
                .into_inner()
                .into_iter()
                .map(|(artifact, call)| (artifact, Event { began, ended, call }));
            self.calls.borrow_mut().extend(events);
        }
    }

    /// How often the store has broken its promises so far.
    fn lies(&self) -> u64 {
        let counts = self.faults.counts();
        let is_lie = |fault: &str| {
            FaultKind::ALL
                .into_iter()
                .any(|kind| kind.name() == fault && !kind.is_honest())
        };
        counts
            .iter()
            .filter(|((_, fault), _)| is_lie(fault))
            .map(|(_, count)| count)
            .sum()
    }

    /// Checks that a failure is one that passes; or a store that lied since is the cause.
    fn passing(&self, action: &Action, error: &Error, lies: u64) {
        self.count(error.kind().name());
        let may_be = match error.kind() {
            ErrorKind::Storage
            | ErrorKind::ProviderUnavailable
            | ErrorKind::Timeout
            | ErrorKind::RateLimited
            | ErrorKind::OutcomeUnknown => true,
            ErrorKind::Corruption | ErrorKind::InvalidInput => self.lies() > lies,
            ErrorKind::InsufficientStorage
            | ErrorKind::AccessDenied
            | ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::PreconditionFailed
            | ErrorKind::Unsupported
            | ErrorKind::Configuration
            | ErrorKind::Rejected => false,
        };
        if !may_be {
            let what = format!("{action:?}: {}: {error:?}", error.kind());
            self.wrong.borrow_mut().push(what);
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each action")]
    async fn perform(&self, action: &Action, open: &RefCell<Vec<(usize, Call)>>, lies: u64) {
        let manager = &self.manager;
        let set = |artifact: usize, call| *open.borrow_mut() = vec![(artifact, call)];
        match *action {
            Action::Store {
                artifact,
                content,
                overwrite,
                streamed,
            } => {
                let store = |answer| Call::Store {
                    content,
                    overwrite,
                    answer,
                };
                set(artifact, store(Stored::Unknown));
                let bytes = &self.program.contents[content];
                let stored = manager
                    .store_artifact(new(artifact, overwrite), give(bytes, streamed))
                    .await;
                let answer = match stored {
                    Ok(reference) => {
                        if reference.digest != self.digests[content] || reference.size != bytes.len() as u64 {
                            let what = format!("{action:?}: stored as {reference:?}");
                            self.wrong.borrow_mut().push(what);
                        }
                        self.count("stored");
                        Stored::Done
                    }
                    // Busy: a writer before may not be gone yet.
                    Err(error)
                        if matches!(error.retry(), Retry::After(_))
                            && error.kind() == ErrorKind::AlreadyExists =>
                    {
                        self.count("busy");
                        Stored::Failed
                    }
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => Stored::Exists,
                    Err(error) => {
                        self.passing(action, &error, lies);
                        Stored::Failed
                    }
                };
                set(artifact, store(answer));
            }
            Action::Open { artifact, range } => {
                if let Some(call) = self.open(action, artifact, range, lies).await {
                    set(artifact, call);
                }
            }
            Action::Find { artifact } => {
                let found = manager.get_artifact_reference(id(artifact)).await;
                let found = self.found(action, found.map(|reference| reference.digest), lies);
                set(artifact, Call::Read { found, bytes: None });
            }
            Action::Describe { artifact } => {
                match manager
                    .artifact_metadata(id(artifact), &CallContext::default())
                    .await
                {
                    Ok(found) => {
                        if found.object.size_bytes != found.reference.size {
                            let what = format!("{action:?}: {} bytes: {found:?}", found.object.size_bytes);
                            self.wrong.borrow_mut().push(what);
                        }
                        let found = Some(found.reference.digest);
                        set(artifact, Call::Read { found, bytes: None });
                    }
                    Err(error) if error.kind() == ErrorKind::NotFound => set(
                        artifact,
                        Call::Read {
                            found: None,
                            bytes: None,
                        },
                    ),
                    Err(error) => self.passing(action, &error, lies),
                }
            }
            Action::Versions { artifact } => match manager.list_versions(id(artifact)).await {
                Ok(found) => {
                    let digests = found.iter().map(|reference| reference.digest).collect();
                    set(artifact, Call::Versions(digests));
                }
                Err(error) => self.passing(action, &error, lies),
            },
            Action::Delete { artifact } => {
                set(artifact, Call::Delete(None));
                match manager
                    .delete_variant(id(artifact), &CallContext::default())
                    .await
                {
                    Ok(deletion) => set(artifact, Call::Delete(Some(deletion.versions))),
                    Err(error) => self.passing(action, &error, lies),
                }
            }
            Action::List => match manager.list_artifacts(&ArtifactQuery::default()).await {
                Ok(page) => {
                    let found = |artifact| {
                        let mut all = page.artifacts.iter();
                        all.find(|reference| reference.artifact_id == id(artifact))
                            .map(|reference| reference.digest)
                    };
                    let reads = (0..ARTIFACTS).map(|artifact| {
                        let found = found(artifact);
                        (artifact, Call::Read { found, bytes: None })
                    });
                    *open.borrow_mut() = reads.collect();
                }
                Err(error) => self.passing(action, &error, lies),
            },
            Action::Reap => match manager.reap(100).await {
                Ok(_) => self.count("reaped"),
                Err(error) => self.passing(action, &error, lies),
            },
            Action::Pause(time) => tokio::time::sleep(time).await,
        }
    }

    fn found(&self, action: &Action, found: Result<Digest>, lies: u64) -> Option<Digest> {
        match found {
            Ok(digest) => Some(digest),
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    self.passing(action, &error, lies);
                }
                None
            }
        }
    }

    async fn open(
        &self,
        action: &Action,
        artifact: usize,
        range: Option<(u64, u64)>,
        lies: u64,
    ) -> Option<Call> {
        let mut options = OpenOptions::default();
        options.range = range.map(|(start, end)| ByteRange::from(start..end));
        let download = match self.manager.open_artifact(id(artifact), &options).await {
            Ok(download) => download,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Some(Call::Read {
                    found: None,
                    bytes: None,
                });
            }
            Err(error) => {
                return match (error.kind(), range) {
                    (ErrorKind::InvalidInput, Some((start, _))) => Some(Call::ShorterThan(start)),
                    _ => {
                        self.passing(action, &error, lies);
                        None
                    }
                };
            }
        };
        let found = download.metadata().digest;
        let (start, length) = (download.range().start, download.length());
        let mut pieces = download.into_stream();
        let mut bytes = BytesMut::new();
        let mut failure = None;
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) => bytes.extend_from_slice(&piece),
                Err(error) => failure = Some(error),
            }
            tokio::task::yield_now().await;
        }
        let is_whole = failure.is_none();
        match failure {
            // It was deleted while it was read.
            Some(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PreconditionFailed) => {}
            Some(error) => self.passing(action, &error, lies),
            None if bytes.len() as u64 == length => self.count("read"),
            None => {
                let what = format!("{action:?}: {} of {length} bytes as if all", bytes.len());
                self.wrong.borrow_mut().push(what);
            }
        }
        // What comes before a digest is checked may be wrong; what comes without an error may not.
        let bytes = (is_whole || !self.program.is_dishonest).then(|| (start, bytes.freeze()));
        Some(Call::Read { found, bytes })
    }

    /// When all is calm: what was left is removed, and what was acknowledged is there.
    async fn finish(&self) -> Result<()> {
        self.faults.calm();
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_mins(10)).await;
            if self.manager.reap(1000).await?.failed == 0 {
                break;
            }
        }
        let mut versions = 0;
        for artifact in 0..ARTIFACTS {
            let began = self.now();
            let listed = self.manager.list_versions(id(artifact)).await?;
            versions += listed.len();
            for reference in &listed {
                let bytes = self.read_at_last(reference).await?;
                if Digest::of(DigestAlgorithm::Blake3, &bytes) != reference.digest {
                    self.wrong
                        .borrow_mut()
                        .push(format!("other bytes than the record says: {reference:?}"));
                }
            }
            let digests = listed.iter().map(|reference| reference.digest).collect();
            let ended = self.now();
            let call = Call::Versions(digests);
            self.calls
                .borrow_mut()
                .push((artifact, Event { began, ended, call }));
        }
        let (objects, pending) = (self.memory.objects(), self.memory.pending_uploads());
        if objects != versions {
            let what = format!("{objects} objects are left of {versions} versions");
            self.wrong.borrow_mut().push(what);
        }
        // Known: whoever drops an upload in parts, or cannot abort it, leaves its parts.
        let faults = self.faults.injected().len() as u64;
        if pending > 0 && self.dropped.get() == 0 && faults == 0 {
            self.wrong
                .borrow_mut()
                .push(format!("{pending} uploads in parts are left"));
        }
        Ok(())
    }

    /// Reads a whole version. A circuit that past failures open at the next call is waited for once: all is well by then.
    async fn read_at_last(&self, reference: &ArtifactReference) -> Result<Bytes> {
        let read = async || {
            let options = OpenOptions::default();
            let download = self.manager.open_artifact(reference, &options).await?;
            download.bytes(usize::MAX).await
        };
        match read().await {
            Err(error) if error.kind() == ErrorKind::ProviderUnavailable => {
                let Retry::After(delay) = error.retry() else {
                    return Err(error);
                };
                tokio::time::sleep(delay).await;
                read().await
            }
            answer => answer,
        }
    }
}

fn id(artifact: usize) -> ArtifactId {
    ArtifactId::parse(["one", "two", "three"][artifact]).expect("an id")
}

fn new(artifact: usize, overwrite: bool) -> NewArtifact {
    let new = NewArtifact::new(ArtifactType::Image).with_artifact(id(artifact));
    if overwrite { new.with_overwrite() } else { new }
}

fn give(bytes: &Bytes, streamed: bool) -> Content {
    if !streamed {
        return Content::from_bytes(bytes.clone());
    }
    let pieces: Vec<Bytes> = bytes.chunks(600).map(|piece| bytes.slice_ref(piece)).collect();
    Content::from_stream(
        None,
        stream::iter(pieces).then(async |piece| {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(piece)
        }),
    )
}

fn check(seed: u64) -> Result<Tally, String> {
    seeds::run_one(seed, async || {
        let world = World::new(seed);
        let tasks = world.program.tasks.iter().map(|plan| world.task(plan));
        futures_util::future::join_all(tasks).await;
        if let Err(error) = world.finish().await {
            world.wrong.borrow_mut().push(format!("in the end: {error:?}"));
        }
        verdict(world)
    })
}

fn verdict(world: World) -> Result<Tally, String> {
    let mut wrong = world.wrong.into_inner();
    if world.faults.spent_contents() > 0 {
        wrong.push("a spent stream was sent again".to_owned());
    }
    let mut histories: BTreeMap<usize, Vec<Event<Call>>> = BTreeMap::new();
    for (artifact, event) in world.calls.into_inner() {
        histories.entry(artifact).or_default().push(event);
    }
    let thing = Artifacts {
        contents: &world.program.contents,
        digests: &world.digests,
    };
    for (artifact, history) in &histories {
        if let Err((index, states)) = linearize::check(&thing, Versions::new(), history) {
            let seen: String = history
                .iter()
                .map(|event| format!("  {}..{} {}\n", event.began, event.ended, tell(&event.call)))
                .collect();
            wrong.push(format!(
                "nothing explains what was seen of the artifact '{}': {}\nthe states that were possible: {states:?}\n\
                 all that was seen of it:\n{seen}",
                id(*artifact),
                tell(&history[index].call),
            ));
        }
    }
    if !wrong.is_empty() {
        let mut text = wrong.join("\n");
        let _ = writeln!(text, "\nthe store lacks: {:?}\nthe program:", world.program.lacks);
        for (number, task) in world.program.tasks.iter().enumerate() {
            for planned in task {
                let _ = writeln!(text, "  task {number}: {planned:?}");
            }
        }
        text.push_str("the faults:\n");
        for injected in world.faults.injected() {
            let _ = writeln!(text, "  {injected}");
        }
        return Err(text);
    }
    let mut tally = world.tally.into_inner();
    for ((_, fault), count) in world.faults.counts() {
        *tally.entry(format!("fault {fault}")).or_default() += count;
    }
    Ok(tally)
}

fn tell(call: &Call) -> String {
    match call {
        Call::Read {
            found,
            bytes: Some((start, bytes)),
        } => format!("Read {found:?}, {} bytes from {start}", bytes.len()),
        other => format!("{other:?}"),
    }
}

#[test]
fn whatever_a_store_does_artifacts_are_there_once_and_whole() {
    let total = seeds::run_all("model::artifact", 1000, check);
    println!("{total:#?}");
    let names = ["stored", "busy", "read", "reaped", "corruption"];
    let faults = [
        "wrong_bytes",
        "truncate",
        "wrong_length",
        "stall_after",
        "error_after",
    ];
    let faults = faults.into_iter().map(|fault| format!("fault {fault}"));
    seeds::expect(&total, names.into_iter().map(str::to_owned).chain(faults));
}
