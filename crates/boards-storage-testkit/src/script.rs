//! A layer that does what a test tells it: fails, stalls, delays or answers, call by call, and records the calls.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use boards_storage_core::{
    ByteRange, ETag, Layer, Next, Operation, OperationKind, Outcome, Result, SharedProvider, Stack,
    StorageKey,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::step::Step;

/// A call that came by.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// Which method.
    pub kind: OperationKind,
    /// The key, where there is one.
    pub key: Option<StorageKey>,
    /// The attempt that the context names.
    pub attempt: u32,
    /// When it came, by tokio's clock.
    pub at: Instant,
    /// The range of a download.
    pub range: Option<ByteRange>,
    /// The entity tag that a download requires.
    pub if_match: Option<ETag>,
}

/// The steps that wait for their calls, by the kind of the call.
#[derive(Debug, Default)]
pub(crate) struct Steps(BTreeMap<OperationKind, VecDeque<Step>>);

impl Steps {
    pub(crate) fn push(&mut self, kind: OperationKind, step: Step) {
        self.0.entry(kind).or_default().push_back(step);
    }

    pub(crate) fn next(&mut self, kind: OperationKind) -> Option<Step> {
        self.0.get_mut(&kind)?.pop_front()
    }

    pub(crate) fn left(&self) -> usize {
        self.0.values().map(VecDeque::len).sum()
    }
}

type Otherwise = Box<dyn Fn(&Operation) -> Step + Send + Sync>;

/// A layer that follows a script: for each kind of operation a queue of [`Step`]s, one for each call. When the queue
/// is empty, the call goes through, or does what [`Script::otherwise`] says.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{CallOptions, Error, ErrorKind, OperationKind, StorageKey, StorageProvider};
/// use boards_storage_testkit::{MemoryProvider, Script, Step};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> boards_storage_core::Result<()> {
/// let script = Script::new();
/// let stack = script.over(MemoryProvider::new());
/// script.push(OperationKind::Exists, Step::FailBefore(Error::new(ErrorKind::ProviderUnavailable, "no answer")));
///
/// let key = StorageKey::parse("a")?;
/// assert!(stack.exists(&key, &CallOptions::default()).await.is_err());
/// assert!(!stack.exists(&key, &CallOptions::default()).await?);
/// assert_eq!(script.count(OperationKind::Exists), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct Script {
    steps: Mutex<Steps>,
    otherwise: Mutex<Option<Otherwise>>,
    calls: Mutex<Vec<Call>>,
}

impl Script {
    /// Creates a script that lets everything through.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Puts the script, and nothing else, around a provider.
    #[must_use]
    pub fn over(self: &Arc<Self>, provider: SharedProvider) -> Stack {
        Stack::new("scripted", provider, vec![Arc::clone(self) as Arc<dyn Layer>])
    }

    /// Adds what happens to the next call of this kind that has no step yet.
    pub fn push(&self, kind: OperationKind, step: Step) {
        self.steps.lock().push(kind, step);
    }

    /// Adds what happens to the next `count` calls of this kind.
    pub fn push_times(&self, count: usize, kind: OperationKind, step: impl Fn() -> Step) {
        for _ in 0..count {
            self.push(kind, step());
        }
    }

    /// Sets what happens to every call that has no step of its own.
    pub fn otherwise(&self, step: impl Fn(&Operation) -> Step + Send + Sync + 'static) {
        *self.otherwise.lock() = Some(Box::new(step));
    }

    /// Forgets all steps: everything goes through from now on.
    pub fn clear(&self) {
        *self.steps.lock() = Steps::default();
        *self.otherwise.lock() = None;
    }

    /// Returns the calls so far, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().clone()
    }

    /// Returns how many calls of one kind came so far.
    #[must_use]
    pub fn count(&self, kind: OperationKind) -> usize {
        self.calls.lock().iter().filter(|call| call.kind == kind).count()
    }

    /// Returns how many steps are still waiting for their call.
    #[must_use]
    pub fn steps_left(&self) -> usize {
        self.steps.lock().left()
    }

    fn record(&self, operation: &Operation) {
        let (range, if_match) = match operation {
            Operation::Download { options, .. } => (options.range, options.if_match.clone()),
            _ => (None, None),
        };
        self.calls.lock().push(Call {
            kind: operation.kind(),
            key: operation.key().cloned(),
            attempt: operation.context().attempt,
            at: Instant::now(),
            range,
            if_match,
        });
    }

    fn next_step(&self, operation: &Operation) -> Step {
        let queued = self.steps.lock().next(operation.kind());
        queued.unwrap_or_else(|| {
            self.otherwise
                .lock()
                .as_ref()
                .map_or(Step::Pass, |step| step(operation))
        })
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script")
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Layer for Script {
    fn name(&self) -> &'static str {
        "script"
    }

    async fn around(&self, operation: Operation, next: Next) -> Result<Outcome> {
        self.record(&operation);
        self.next_step(&operation).run(operation, next).await
    }
}
