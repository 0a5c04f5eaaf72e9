//! How long one attempt may take. The caller's own deadline is the deadline layer's.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use boards_storage_core::{
    Content, Error, ErrorKind, Layer, Next, Operation, OperationKind, Outcome, Result,
};
use futures_core::Stream;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};

use crate::context::Place;
use crate::stream::{Piece, Pieces, Wrap, wrap_stream};

/// How long one attempt may take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeoutConfig {
    /// How long a call may take in all that moves no object bytes. Default: 30 s.
    pub control: Duration,
    /// How long a call may take in all that makes the store itself move bytes: `copy`, `complete_upload`,
    /// `set_metadata` (a copy onto itself on many stores) and `delete_many`. Nothing can be seen of its progress.
    /// Default: 10 min.
    pub bulk: Duration,
    /// How long a transfer or a listing may stand still: no byte taken from the content, no piece or entry given,
    /// or no answer after the last byte. Its whole time is not bounded. Default: 30 s.
    pub idle: Duration,
    /// Content that is plain bytes is handed to the provider as such, so nobody sees it flow; such an upload has
    /// `idle` and in addition the time that its size takes at this rate. 0 counts as 1. Default: 64 KiB/s.
    pub bytes_per_second_min: u64,
}

impl Default for TimeoutConfig {
    fn default() -> Self {
        Self {
            control: Duration::from_secs(30),
            bulk: Duration::from_mins(10),
            idle: Duration::from_secs(30),
            bytes_per_second_min: 64 * 1024,
        }
    }
}

impl TimeoutConfig {
    /// Sets how long a call may take that moves no object bytes.
    #[must_use]
    pub fn with_control(mut self, time: Duration) -> Self {
        self.control = time;
        self
    }

    /// Sets how long a call may take that makes the store itself move bytes.
    #[must_use]
    pub fn with_bulk(mut self, time: Duration) -> Self {
        self.bulk = time;
        self
    }

    /// Sets how long a transfer or a listing may stand still.
    #[must_use]
    pub fn with_idle(mut self, time: Duration) -> Self {
        self.idle = time;
        self
    }

    /// Sets the rate that gives an upload of plain bytes its time.
    #[must_use]
    pub fn with_bytes_per_second_min(mut self, rate: u64) -> Self {
        self.bytes_per_second_min = rate;
        self
    }
}

/// Bounds each attempt: control calls by their total time, transfers and listings by idle time.
///
/// A returned stream stays bounded until it ends, but only while somebody waits for it: a slow reader is no stall.
/// What timed out is dropped, and with it its connection.
///
/// It stands inside retry, breaker and limits, so that the clock starts with each attempt, after its permit.
///
/// # Errors
///
/// `Timeout` that a repeat may help. After it the outcome of a write is not known; the retry layer settles it.
#[derive(Clone, Debug, Default)]
pub struct TimeoutLayer {
    config: TimeoutConfig,
}

impl TimeoutLayer {
    /// Creates the layer.
    #[must_use]
    pub fn new(config: TimeoutConfig) -> Self {
        Self { config }
    }

    /// Returns how the time of an operation is bounded.
    fn bound(&self, operation: &Operation) -> Bound {
        match operation.kind() {
            OperationKind::Upload | OperationKind::UploadPart => {
                match operation.content().and_then(Content::as_bytes) {
                    Some(bytes) => {
                        let at_least = bytes.len() as u64 / self.config.bytes_per_second_min.max(1);
                        Bound::Total(self.config.idle.saturating_add(Duration::from_secs(at_least)))
                    }
                    None => Bound::Sending(self.config.idle),
                }
            }
            OperationKind::Download | OperationKind::List => Bound::Receiving(self.config.idle),
            OperationKind::Copy
            | OperationKind::CompleteUpload
            | OperationKind::SetMetadata
            | OperationKind::DeleteMany => Bound::Total(self.config.bulk),
            OperationKind::Metadata
            | OperationKind::Exists
            | OperationKind::Delete
            | OperationKind::SetAccess
            | OperationKind::CreateUpload
            | OperationKind::ListParts
            | OperationKind::AbortUpload
            | OperationKind::PresignedUploadUrl
            | OperationKind::PresignedDownloadUrl
            | OperationKind::PresignedPartUrl
            | OperationKind::PublicUrl
            | OperationKind::Probe => Bound::Total(self.config.control),
        }
    }
}

#[async_trait]
impl Layer for TimeoutLayer {
    fn name(&self) -> &'static str {
        "timeout"
    }

    async fn around(&self, operation: Operation, next: Next) -> Result<Outcome> {
        let place = Place::new(&operation, &next);
        match self.bound(&operation) {
            Bound::Total(time) => match timeout(time, next.run(operation)).await {
                Ok(result) => result,
                Err(_elapsed) => Err(place.mark(too_long(time))),
            },
            Bound::Receiving(idle) => match timeout(idle, next.run(operation)).await {
                Ok(result) => Ok(wrap_stream(result?, Idle { idle, place })),
                Err(_elapsed) => Err(place.mark(stalled(idle))),
            },
            Bound::Sending(idle) => send(operation, next, idle)
                .await
                .unwrap_or_else(|| Err(place.mark(stalled(idle)))),
        }
    }
}

/// How the time of an operation is bounded.
enum Bound {
    Total(Duration),
    Sending(Duration),
    Receiving(Duration),
}

fn too_long(time: Duration) -> Error {
    Error::new(ErrorKind::Timeout, format!("no answer within {time:?}"))
}

fn stalled(idle: Duration) -> Error {
    Error::new(ErrorKind::Timeout, format!("nothing moved for {idle:?}"))
}

/// Runs an upload; `None` if nothing moved for `idle`.
async fn send(operation: Operation, next: Next, idle: Duration) -> Option<Result<Outcome>> {
    let activity = Arc::new(Activity::start());
    let operation = observe(operation, &activity);
    let run = pin!(next.run(operation));
    let watch = pin!(activity.idle_for(idle));
    match select(run, watch).await {
        Either::Left((result, _watch)) => Some(result),
        Either::Right(((), _run)) => None,
    }
}

fn observe(mut operation: Operation, activity: &Arc<Activity>) -> Operation {
    if let Operation::Upload { content, .. } | Operation::UploadPart { content, .. } = &mut operation {
        let activity = Arc::clone(activity);
        let observed = content.clone().map_stream(move |stream| {
            let activity = Arc::clone(&activity);
            Box::pin(stream.inspect(move |_piece| activity.note()))
        });
        *content = observed;
    }
    operation
}

/// When something last moved.
struct Activity {
    start: Instant,
    /// Microseconds after `start`: an atomic, as the content may be read on another thread.
    last: AtomicU64,
}

impl Activity {
    fn start() -> Self {
        Self {
            start: Instant::now(),
            last: AtomicU64::new(0),
        }
    }

    fn note(&self) {
        let elapsed = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.last.store(elapsed, Ordering::Relaxed);
    }

    /// Waits until nothing has moved for `idle`.
    async fn idle_for(&self, idle: Duration) {
        let mut last = 0;
        loop {
            match (self.start + Duration::from_micros(last)).checked_add(idle) {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
            let now = self.last.load(Ordering::Relaxed);
            if now == last {
                return;
            }
            last = now;
        }
    }
}

/// Bounds how long a returned stream may stand still.
struct Idle {
    idle: Duration,
    place: Place,
}

impl Wrap for Idle {
    fn wrap<T: Piece>(self, stream: Pieces<T>) -> Pieces<T> {
        let Self { idle, place } = self;
        Box::pin(Watched {
            inner: Some(stream),
            idle,
            place,
            timer: None,
            is_waiting: false,
        })
    }
}

/// A stream that fails when somebody waits for its next piece longer than `idle`.
struct Watched<T> {
    /// Gone once it has stalled, so that its connection is freed at once.
    inner: Option<Pieces<T>>,
    idle: Duration,
    place: Place,
    /// Made at the first wait: a stream that is always ready never needs one.
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
}

impl<T> Watched<T> {
    /// Returns the timer of the present wait.
    fn timer(&mut self) -> Pin<&mut Sleep> {
        let idle = self.idle;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(idle)));
        if !self.is_waiting {
            self.is_waiting = true;
            if let Some(due) = Instant::now().checked_add(idle) {
                timer.as_mut().reset(due);
            }
        }
        timer.as_mut()
    }
}

impl<T> Stream for Watched<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(item) = inner.as_mut().poll_next(context) {
            self.is_waiting = false;
            return Poll::Ready(item);
        }
        if self.timer().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.inner = None;
        Poll::Ready(Some(Err(self.place.mark(stalled(self.idle)))))
    }
}
