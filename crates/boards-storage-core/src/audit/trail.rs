//! From operations to the sink: one event each, exactly once, whatever becomes of the caller.
//!
//! Each operation takes a place in a bounded queue when it begins, so that its event finds one when it ends, even if it
//! ends by being dropped, where nobody can wait. One task takes all events that wait and gives them to the sink at
//! once. Events that the sink refused stay in the task's hands, and are given again with the next ones.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_core::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::event::{AuditEvent, AuditOutcome};
use super::sink::SharedAuditSink;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result, Retry};

/// The code of the error of an operation that was not begun, because it could not have been recorded.
pub const CODE_AUDIT_NOT_READY: &str = "audit_not_ready";

/// The code of the error of an operation that took effect and could not be recorded.
pub const CODE_AUDIT_UNRECORDED: &str = "audit_unrecorded";

/// How many operations may be under way at a time, streams that are still read among them.
const OPERATIONS_MAX: usize = 65_536;

/// How many events are given to the sink at once, those that failed before apart.
const BATCH_MAX: usize = 256;

/// How many events that the sink refused are kept to be given again.
const BACKLOG_MAX: usize = 4096;

/// How long an operation waits for its event to be recorded.
const APPEND_TIME_MAX: Duration = Duration::from_secs(30);

/// What happens to operations while the audit log does not work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditFailurePolicy {
    /// They are refused before they have any effect. One that the log failed under has taken effect, and its error
    /// says so.
    Refuse,
    /// They go on. What was not recorded is counted and logged.
    #[default]
    Count,
}

/// Whether operations that only tell what is known of artifacts are recorded: reference, find_by_key, metadata, list
/// and versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditLookups {
    /// They are recorded.
    #[default]
    Record,
    /// Only those that were denied are recorded.
    Skip,
}

/// How an [`AuditTrail`] works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditOptions {
    /// What happens to operations while the log does not work.
    pub on_failure: AuditFailurePolicy,
    /// Whether lookups are recorded.
    pub lookups: AuditLookups,
}

impl AuditOptions {
    /// Sets what happens to operations while the log does not work.
    #[must_use]
    pub fn with_on_failure(mut self, on_failure: AuditFailurePolicy) -> Self {
        self.on_failure = on_failure;
        self
    }

    /// Sets whether lookups are recorded.
    #[must_use]
    pub fn with_lookups(mut self, lookups: AuditLookups) -> Self {
        self.lookups = lookups;
        self
    }
}

/// What became of the events so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditStatus {
    /// Events that the sink has kept.
    pub recorded: u64,
    /// Events that were not recorded when their operation ended. Those that were recorded later are counted in both.
    pub unrecorded: u64,
    /// Events that are gone: of those that waited to be given again there were too many, or the log never worked again.
    pub lost: u64,
    /// Why the sink refused events the last time, if it has not worked since.
    pub failure: Option<String>,
}

/// Records artifact operations in a sink. A clone is cheap and shares everything.
///
/// Given to [`StorageManager::with_audit`](crate::StorageManager::with_audit). An operation answers after its event
/// was kept, except while the log does not work and the policy is to go on.
///
/// The task that gives events to the sink works as long as the runtime that the trail was started in.
/// [`AuditTrail::close`] waits for it; a trail that is dropped without it still gives away what it has, if the runtime
/// lasts.
#[derive(Clone)]
pub struct AuditTrail {
    shared: Arc<Shared>,
}

struct Shared {
    queue: mpsc::Sender<Job>,
    task: Mutex<Option<JoinHandle<()>>>,
    state: Arc<State>,
    options: AuditOptions,
    clock: Arc<dyn Clock>,
}

/// What the task and the operations both know.
struct State {
    sink: SharedAuditSink,
    is_ready: AtomicBool,
    is_closed: AtomicBool,
    recorded: AtomicU64,
    unrecorded: AtomicU64,
    lost: AtomicU64,
    failure: Mutex<Option<Arc<Error>>>,
}

type Answer = oneshot::Sender<Result<(), Arc<Error>>>;

enum Job {
    Record(Box<AuditEvent>, Option<Answer>),
    Prove(Answer),
    Close(Answer),
}

impl AuditTrail {
    /// Starts the task on the present runtime.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(sink: SharedAuditSink, options: AuditOptions, clock: Arc<dyn Clock>) -> Self {
        let (queue, jobs) = mpsc::channel(OPERATIONS_MAX);
        let state = Arc::new(State {
            sink,
            is_ready: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            recorded: AtomicU64::new(0),
            unrecorded: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            failure: Mutex::new(None),
        });
        let recorder = Recorder {
            state: Arc::clone(&state),
            backlog: Vec::new(),
        };
        // The handle is kept to be waited for. Were it dropped first, the task ends by itself: the queue closes with
        // its last user, and what is in it is bounded.
        let task = tokio::spawn(recorder.serve(jobs));
        Self {
            shared: Arc::new(Shared {
                queue,
                task: Mutex::new(Some(task)),
                state,
                options,
                clock,
            }),
        }
    }

    /// Returns what became of the events so far.
    #[must_use]
    pub fn status(&self) -> AuditStatus {
        let state = &self.shared.state;
        AuditStatus {
            recorded: state.recorded.load(Ordering::Acquire),
            unrecorded: state.unrecorded.load(Ordering::Acquire),
            lost: state.lost.load(Ordering::Acquire),
            failure: state.failure().as_ref().map(|error| describe(error)),
        }
    }

    /// Returns how the trail works.
    #[must_use]
    pub fn options(&self) -> AuditOptions {
        self.shared.options
    }

    /// Gives away what waits, and closes the sink. Operations that end later are no longer recorded; they are counted.
    ///
    /// # Errors
    ///
    /// What the sink answers.
    pub async fn close(&self) -> Result<()> {
        let task = self
            .shared
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(task) = task else { return Ok(()) };
        let (reply, answer) = oneshot::channel();
        let closed = match self.shared.queue.send(Job::Close(reply)).await {
            Ok(()) => answer.await.unwrap_or_else(|_ended| Err(Arc::new(ended()))),
            Err(_ended) => Err(Arc::new(ended())),
        };
        // It has answered, so it ends now; a panic was told as such already.
        let _ = task.await;
        closed
            .map_err(|source| Error::new(source.kind(), "the audit log cannot be closed").with_source(source))
    }

    /// Takes a place for the event of an operation that begins; none if the operation goes on without.
    ///
    /// # Errors
    ///
    /// `ProviderUnavailable` if the log does not work and the policy is to refuse; `RateLimited` if too many
    /// operations are under way.
    pub(super) async fn reserve(&self) -> Result<Option<Reserved>> {
        let shared = &*self.shared;
        let place = match (
            shared.queue.clone().try_reserve_owned(),
            shared.options.on_failure,
        ) {
            (Ok(place), _) => place,
            (Err(_full), AuditFailurePolicy::Count) => {
                shared.state.count_unrecorded(1);
                return Ok(None);
            }
            (Err(mpsc::error::TrySendError::Full(_)), AuditFailurePolicy::Refuse) => {
                return Err(Error::new(
                    ErrorKind::RateLimited,
                    format!("{OPERATIONS_MAX} operations are under way, more cannot be recorded"),
                ));
            }
            (Err(mpsc::error::TrySendError::Closed(_)), AuditFailurePolicy::Refuse) => {
                return Err(not_ready(Arc::new(ended())));
            }
        };
        if shared.options.on_failure == AuditFailurePolicy::Refuse && !shared.state.is_ready() {
            self.prove().await?;
        }
        Ok(Some(Reserved {
            place,
            state: Arc::clone(&shared.state),
            options: shared.options,
            clock: Arc::clone(&shared.clock),
        }))
    }

    /// Asks whether the log works, after the events that wait.
    async fn prove(&self) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            let sent = self.shared.queue.send(Job::Prove(reply)).await;
            sent.map_err(|_ended| Arc::new(ended()))?;
            answer.await.unwrap_or_else(|_ended| Err(Arc::new(ended())))
        };
        match tokio::time::timeout(APPEND_TIME_MAX, asked).await {
            Ok(answer) => answer.map_err(not_ready),
            Err(_elapsed) => Err(not_ready(Arc::new(too_slow()))),
        }
    }
}

impl fmt::Debug for AuditTrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditTrail")
            .field("sink", &self.shared.state.sink)
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

impl State {
    fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    fn failure(&self) -> std::sync::MutexGuard<'_, Option<Arc<Error>>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn works(&self) {
        if !self.is_ready.swap(true, Ordering::AcqRel) {
            *self.failure() = None;
        }
    }

    fn fails(&self, error: &Arc<Error>) {
        self.is_ready.store(false, Ordering::Release);
        *self.failure() = Some(Arc::clone(error));
    }

    fn count_unrecorded(&self, count: usize) {
        self.unrecorded.fetch_add(count as u64, Ordering::AcqRel);
    }

    fn count_lost(&self, count: usize) {
        self.lost.fetch_add(count as u64, Ordering::AcqRel);
    }
}

/// The task.
struct Recorder {
    state: Arc<State>,
    /// Events that the sink refused, oldest first.
    backlog: Vec<AuditEvent>,
}

impl Recorder {
    async fn serve(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut waiting = Vec::with_capacity(BATCH_MAX);
        let mut closing = None;
        while closing.is_none() && jobs.recv_many(&mut waiting, BATCH_MAX).await > 0 {
            closing = self.work(&mut waiting).await;
        }
        jobs.close();
        while let Ok(job) = jobs.try_recv() {
            waiting.push(job);
        }
        self.state.is_closed.store(true, Ordering::Release);
        let again = self.work(&mut waiting).await;
        let closed = self.close().await;
        for answer in closing.into_iter().chain(again) {
            // Nobody listens if the call was dropped meanwhile.
            let _ = answer.send(closed.clone());
        }
    }

    /// Does what waits; returns whom to tell if the trail is to be closed.
    async fn work(&mut self, waiting: &mut Vec<Job>) -> Option<Answer> {
        let mut events = Vec::with_capacity(waiting.len());
        let (mut recorded, mut proven, mut closing) = (Vec::new(), Vec::new(), None);
        for job in waiting.drain(..) {
            match job {
                Job::Record(event, answer) => {
                    events.push(*event);
                    recorded.extend(answer);
                }
                Job::Prove(answer) => proven.push(answer),
                Job::Close(answer) => closing = Some(answer),
            }
        }
        if !events.is_empty() {
            let result = self.append(events).await;
            for answer in recorded {
                let _ = answer.send(result.clone());
            }
        }
        if !proven.is_empty() {
            let result = self.prove().await;
            for answer in proven {
                let _ = answer.send(result.clone());
            }
        }
        closing
    }

    async fn append(&mut self, events: Vec<AuditEvent>) -> Result<(), Arc<Error>> {
        let fresh = events.len();
        self.backlog.extend(events);
        let result = self.state.sink.append(&self.backlog).await.map_err(Arc::new);
        match &result {
            Ok(()) => {
                let recorded = self.backlog.len() as u64;
                self.state.recorded.fetch_add(recorded, Ordering::AcqRel);
                self.state.works();
                self.backlog.clear();
            }
            Err(error) => {
                self.state.count_unrecorded(fresh);
                self.state.fails(error);
                let lost = self.backlog.len().saturating_sub(BACKLOG_MAX);
                self.backlog.truncate(BACKLOG_MAX);
                self.state.count_lost(lost);
                tracing::error!(
                    target: "boards_storage::audit",
                    events = fresh,
                    lost,
                    error = describe(error),
                    "audit events could not be recorded"
                );
            }
        }
        result
    }

    async fn prove(&mut self) -> Result<(), Arc<Error>> {
        if self.state.is_ready() {
            return Ok(());
        }
        if !self.backlog.is_empty() {
            return self.append(Vec::new()).await;
        }
        let result = self.state.sink.ready().await.map_err(Arc::new);
        match &result {
            Ok(()) => self.state.works(),
            Err(error) => self.state.fails(error),
        }
        result
    }

    async fn close(&mut self) -> Result<(), Arc<Error>> {
        if !self.backlog.is_empty() && self.append(Vec::new()).await.is_err() {
            self.state.count_lost(self.backlog.len());
        }
        let flushed = self.state.sink.flush().await;
        flushed.and(self.state.sink.close().await).map_err(Arc::new)
    }
}

/// A place in the queue.
pub(super) struct Reserved {
    place: mpsc::OwnedPermit<Job>,
    state: Arc<State>,
    options: AuditOptions,
    clock: Arc<dyn Clock>,
}

impl Reserved {
    /// Sends the event; answers when it is recorded. While the log does not work and operations go on, nobody waits.
    pub(super) fn send(self, mut event: Box<AuditEvent>) -> Option<Settled> {
        let Self {
            place,
            state,
            options,
            clock,
        } = self;
        let is_skipped = options.lookups == AuditLookups::Skip
            && event.operation.is_lookup()
            && event.outcome != AuditOutcome::Denied;
        if is_skipped {
            return None;
        }
        let (reply, answer) = oneshot::channel();
        let awaited = Awaited {
            answer,
            state,
            on_failure: options.on_failure,
        };
        let refuses = options.on_failure == AuditFailurePolicy::Refuse;
        let is_waited_for = if awaited.state.is_closed.load(Ordering::Acquire) {
            awaited.state.count_unrecorded(1);
            awaited.state.count_lost(1);
            // Nobody answers any more.
            drop(reply);
            refuses
        } else {
            event.time = clock.now();
            let is_known_to_fail = awaited.state.failure().is_some();
            place.send(Job::Record(event, Some(reply)));
            refuses || !is_known_to_fail
        };
        is_waited_for.then(|| Box::pin(awaited.wait()) as Settled)
    }
}

/// The end of a recording: whether it could be recorded.
pub(crate) type Settled = BoxFuture<'static, Result<()>>;

/// The answer that an operation waits for.
struct Awaited {
    answer: oneshot::Receiver<Result<(), Arc<Error>>>,
    state: Arc<State>,
    on_failure: AuditFailurePolicy,
}

impl Awaited {
    async fn wait(self) -> Result<()> {
        let recorded = match tokio::time::timeout(APPEND_TIME_MAX, self.answer).await {
            Ok(Ok(recorded)) => recorded,
            Ok(Err(_ended)) => {
                self.state.count_unrecorded(1);
                Err(Arc::new(ended()))
            }
            Err(_elapsed) => {
                let error = Arc::new(too_slow());
                self.state.fails(&error);
                Err(error)
            }
        };
        match (recorded, self.on_failure) {
            (Ok(()), _) | (Err(_), AuditFailurePolicy::Count) => Ok(()),
            (Err(error), AuditFailurePolicy::Refuse) => Err(unrecorded(error)),
        }
    }
}

/// An error with its causes, in one text.
fn describe(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

fn ended() -> Error {
    Error::new(ErrorKind::ProviderUnavailable, "the audit log is closed").with_retry(Retry::No)
}

fn too_slow() -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!("the audit log did not answer within {APPEND_TIME_MAX:?}"),
    )
}

fn not_ready(source: Arc<Error>) -> Error {
    let help = source
        .help()
        .unwrap_or("mend what the cause says, then try again")
        .to_owned();
    Error::new(
        ErrorKind::ProviderUnavailable,
        "nothing was done, because it could not be recorded: the audit log does not work",
    )
    .with_code(CODE_AUDIT_NOT_READY)
    .with_help(format!(
        "{help}; with `on_failure: count` in the audit settings operations go on without it"
    ))
    .with_source(source)
}

fn unrecorded(source: Arc<Error>) -> Error {
    let help = source.help().unwrap_or("mend what the cause says").to_owned();
    Error::new(
        ErrorKind::OutcomeUnknown,
        "the operation took effect, but it could not be recorded in the audit log",
    )
    .with_code(CODE_AUDIT_UNRECORDED)
    .with_help(format!(
        "do not repeat it; {help}, and it is recorded with the next operation"
    ))
    .with_source(source)
}
