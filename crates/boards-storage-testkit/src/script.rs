//! A layer that does what a test tells it: fails, stalls, delays or answers, call by call, and records the calls.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use boards_storage_core::{
    ByteRange, ByteStream, Content, DownloadOutcome, ETag, Error, Layer, Next, Operation, OperationKind,
    Outcome, Result, SharedProvider, Stack, StorageKey,
};
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::time::Instant;

/// What happens to one call.
pub enum Step {
    /// It goes through.
    Pass,
    /// It fails before anything reaches the store.
    FailBefore(Error),
    /// It fails after the store has done it: the answer is lost.
    FailAfter(Error),
    /// It fails after this many bytes of its content were read; without content, at once. The store gets nothing.
    FailMidway(u64, Error),
    /// It goes through, but the stream that it returns gives this many bytes, or entries of a listing, and then the
    /// error. An outcome without a stream goes through.
    BreakStream(u64, Error),
    /// It goes through, but the stream that it returns gives this many bytes or entries and then nothing, ever.
    StallStream(u64),
    /// It never answers, and nothing reaches the store.
    Stall,
    /// It never answers, but the store has done it.
    StallAfter,
    /// It waits so long by tokio's clock, then it goes through.
    Delay(Duration),
    /// It is answered so, and nothing reaches the store.
    Answer(Outcome),
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "Pass",
            Self::FailBefore(_) => "FailBefore",
            Self::FailAfter(_) => "FailAfter",
            Self::FailMidway(..) => "FailMidway",
            Self::BreakStream(..) => "BreakStream",
            Self::StallStream(_) => "StallStream",
            Self::Stall => "Stall",
            Self::StallAfter => "StallAfter",
            Self::Delay(_) => "Delay",
            Self::Answer(_) => "Answer",
        })
    }
}

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
    steps: Mutex<Vec<(OperationKind, VecDeque<Step>)>>,
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
        let mut steps = self.steps.lock();
        if let Some((_, queue)) = steps.iter_mut().find(|(known, _)| *known == kind) {
            queue.push_back(step);
        } else {
            steps.push((kind, VecDeque::from([step])));
        }
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
        self.steps.lock().clear();
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
        self.steps.lock().iter().map(|(_, queue)| queue.len()).sum()
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
        let kind = operation.kind();
        let queued = self
            .steps
            .lock()
            .iter_mut()
            .find(|(known, _)| *known == kind)
            .and_then(|(_, queue)| queue.pop_front());
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
        match self.next_step(&operation) {
            Step::Pass => next.run(operation).await,
            Step::FailBefore(error) => Err(error),
            Step::FailAfter(error) => {
                next.run(operation).await?;
                Err(error)
            }
            Step::FailMidway(bytes, error) => {
                if let Some(content) = operation.content() {
                    read_some(content, bytes).await?;
                }
                Err(error)
            }
            Step::BreakStream(after, error) => Ok(cut(next.run(operation).await?, after, Some(error))),
            Step::StallStream(after) => Ok(cut(next.run(operation).await?, after, None)),
            Step::Stall => std::future::pending().await,
            Step::StallAfter => {
                next.run(operation).await?;
                std::future::pending().await
            }
            Step::Delay(time) => {
                tokio::time::sleep(time).await;
                next.run(operation).await
            }
            Step::Answer(outcome) => Ok(outcome),
        }
    }
}

async fn read_some(content: &Content, bytes: u64) -> Result<()> {
    let mut pieces = content.open().await?;
    let mut seen = 0;
    while seen < bytes
        && let Some(piece) = pieces.next().await.transpose()?
    {
        seen += piece.len() as u64;
    }
    Ok(())
}

/// Ends the stream of an outcome after so many bytes or entries: with the error, or never where there is none.
fn cut(outcome: Outcome, after: u64, error: Option<Error>) -> Outcome {
    match outcome {
        Outcome::Download(download) => match *download {
            DownloadOutcome::Object(object) => {
                let object = object.map_stream(|inner| cut_bytes(inner, after, error));
                Outcome::Download(Box::new(DownloadOutcome::Object(object)))
            }
            DownloadOutcome::NotModified(answer) => {
                Outcome::Download(Box::new(DownloadOutcome::NotModified(answer)))
            }
        },
        Outcome::List(entries) => {
            let after = usize::try_from(after).unwrap_or(usize::MAX);
            Outcome::List(Box::pin(entries.take(after).chain(end(error))))
        }
        other => other,
    }
}

fn cut_bytes(inner: ByteStream, after: u64, error: Option<Error>) -> ByteStream {
    let head = inner.scan(after, |left, piece| {
        let shown = match piece {
            Ok(_) if *left == 0 => None,
            Ok(mut piece) => {
                piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= piece.len() as u64;
                Some(Ok(piece))
            }
            Err(error) => Some(Err(error)),
        };
        std::future::ready(shown)
    });
    Box::pin(head.chain(end(error)))
}

fn end<T: Send + 'static>(error: Option<Error>) -> impl stream::Stream<Item = Result<T>> + Send + 'static {
    stream::once(async move {
        match error {
            Some(error) => Err(error),
            None => std::future::pending().await,
        }
    })
}
