//! Limits: how much is asked of a store at a time, and a bounded queue for what exceeds it.
//!
//! Here: the settings and the layer. Whose turn it is decides `queue`, how fast bytes flow `pace`.

mod pace;
mod queue;

use std::num::{NonZeroU32, NonZeroU64};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use boards_storage_core::{
    Content, DownloadOutcome, Error, ErrorKind, Layer, Next, Operation, Outcome, Result,
};
use futures_core::Stream;
use tokio::sync::OwnedSemaphorePermit;

use self::pace::Pace;
use self::queue::Queue;
use crate::context::Place;
use crate::own_wait;
use crate::refusal::Refusal;
use crate::stream::{Piece, Pieces, Wrap, has_stream, wrap_stream};

/// How much is asked of a store at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitsConfig {
    /// The calls that run at a time, streams that are still being read included. 0 counts as 1. Default: 512: more than
    /// the connections that a client keeps to one store, and few enough to bound what they hold in memory.
    pub concurrency: u32,
    /// The calls that may wait for their turn; one more is refused. Default: 1,024.
    pub queue_length: u32,
    /// How long a call may wait for its turn. Default: 30 s, as long as a call may take.
    pub queue_time: Duration,
    /// The calls that may begin in a second; a tenth of them may come at once. Default: no limit.
    pub requests_per_second: Option<NonZeroU32>,
    /// The bytes that all uploads together may send in a second. Default: no limit.
    pub upload_bytes_per_second: Option<NonZeroU64>,
    /// The bytes that all downloads together may receive in a second. Default: no limit.
    pub download_bytes_per_second: Option<NonZeroU64>,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            concurrency: 512,
            queue_length: 1024,
            queue_time: Duration::from_secs(30),
            requests_per_second: None,
            upload_bytes_per_second: None,
            download_bytes_per_second: None,
        }
    }
}

impl LimitsConfig {
    /// Sets how many calls run at a time.
    #[must_use]
    pub fn with_concurrency(mut self, calls: u32) -> Self {
        self.concurrency = calls;
        self
    }

    /// Sets how many calls may wait.
    #[must_use]
    pub fn with_queue_length(mut self, calls: u32) -> Self {
        self.queue_length = calls;
        self
    }

    /// Sets how long a call may wait.
    #[must_use]
    pub fn with_queue_time(mut self, time: Duration) -> Self {
        self.queue_time = time;
        self
    }

    /// Sets how many calls may begin in a second; 0 for no limit.
    #[must_use]
    pub fn with_requests_per_second(mut self, calls: u32) -> Self {
        self.requests_per_second = NonZeroU32::new(calls);
        self
    }

    /// Sets how many bytes uploads may send in a second; 0 for no limit.
    #[must_use]
    pub fn with_upload_bytes_per_second(mut self, bytes: u64) -> Self {
        self.upload_bytes_per_second = NonZeroU64::new(bytes);
        self
    }

    /// Sets how many bytes downloads may receive in a second; 0 for no limit.
    #[must_use]
    pub fn with_download_bytes_per_second(mut self, bytes: u64) -> Self {
        self.download_bytes_per_second = NonZeroU64::new(bytes);
        self
    }
}

/// Bounds what is asked of a store at a time; what exceeds it waits, first come, first served.
///
/// An instance belongs to one stack: its permits are that provider's. It stands inside the retry and the breaker, so
/// that a backoff holds no permit, and outside the timeout, whose clock starts with the permit.
///
/// - A call holds a permit until it ends, and one that returned a stream until the stream ends, fails or is dropped.
/// - A health probe passes at once: it must say how the store is, not how busy we are.
/// - The bytes of all uploads share one rate, those of all downloads another, in slices that take a 32nd of a second
///   and are 64 KiB at most; after a pause a tenth of a second's bytes flow at once. A larger upload of plain bytes
///   becomes a stream that can be replayed. Bytes that a download already has are held back for the time they take.
/// - A caller that holds a stream, or copies from one into an upload of the same provider, holds one permit while it
///   asks for another. If all do, nobody gets one; the wait ends after `queue_time`.
///
/// # Errors
///
/// `RateLimited` that a later repeat may help, with [`Refusal::QueueFull`] or [`Refusal::QueueTimeout`] as its source.
/// Nothing was sent.
#[derive(Clone, Debug)]
pub struct LimitsLayer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: LimitsConfig,
    queue: Queue,
    upload: Option<Arc<Pace>>,
    download: Option<Arc<Pace>>,
}

impl Default for LimitsLayer {
    fn default() -> Self {
        Self::new(LimitsConfig::default())
    }
}

impl LimitsLayer {
    /// Creates the layer with all permits free.
    #[must_use]
    pub fn new(config: LimitsConfig) -> Self {
        let pace = |rate: Option<NonZeroU64>| rate.map(|rate| Arc::new(Pace::new(rate)));
        let shared = Shared {
            queue: Queue::new(
                config.concurrency,
                config.requests_per_second,
                config.queue_length,
                config.queue_time,
            ),
            upload: pace(config.upload_bytes_per_second),
            download: pace(config.download_bytes_per_second),
            config,
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl Shared {
    fn refuse(&self, refusal: Refusal) -> Error {
        let Self { config, .. } = self;
        let (message, setting) = match refusal {
            Refusal::QueueTimeout => (
                format!(
                    "the call waited {:?} for its turn behind {} others",
                    config.queue_time, config.concurrency
                ),
                "queue_time",
            ),
            Refusal::QueueFull | Refusal::CircuitOpen => (
                format!(
                    "{} calls run or begin, and {} more wait for their turn, which is all that may",
                    config.concurrency, config.queue_length
                ),
                "queue_length",
            ),
        };
        Error::new(ErrorKind::RateLimited, message)
            .with_help(format!(
                "ask for less at a time, end streams that nobody reads, or raise resilience.limits.concurrency, \
                 requests_per_second or {setting}"
            ))
            .with_source(refusal)
    }

    /// Slows an upload's content down. One of a single slice waits here.
    async fn pace_upload(&self, operation: &mut Operation) {
        let Some(pace) = &self.upload else { return };
        let (Operation::Upload { content, .. } | Operation::UploadPart { content, .. }) = operation else {
            return;
        };
        match content.as_bytes() {
            Some(bytes) if pace.is_one_slice(bytes.len()) => pace.wait(bytes.len()).await,
            Some(_) | None => {
                let pace = Arc::clone(pace);
                let all = std::mem::replace(content, Content::from_bytes(""));
                *content = all.map_stream(move |stream| pace.slow_down(stream));
            }
        }
    }

    /// Slows a download down. One whose bytes are here waits here.
    async fn pace_download(&self, mut outcome: Outcome) -> Outcome {
        let (Some(pace), Outcome::Download(download)) = (&self.download, &mut outcome) else {
            return outcome;
        };
        let nothing = DownloadOutcome::NotModified(boards_storage_core::NotModified::default());
        **download = match std::mem::replace(&mut **download, nothing) {
            DownloadOutcome::Object(object) => match object.as_bytes() {
                Some(bytes) => {
                    own_wait::spend(pace.wait(bytes.len())).await;
                    DownloadOutcome::Object(object)
                }
                None => DownloadOutcome::Object(object.map_stream(|stream| pace.slow_down(stream))),
            },
            other @ DownloadOutcome::NotModified(_) => other,
        };
        outcome
    }
}

#[async_trait]
impl Layer for LimitsLayer {
    fn name(&self) -> &'static str {
        "limits"
    }

    fn is_needed(&self, operation: &Operation) -> bool {
        !matches!(operation, Operation::Probe { .. })
    }

    async fn around(&self, mut operation: Operation, next: Next) -> Result<Outcome> {
        let shared = &self.shared;
        let permit = match shared.queue.enter().await {
            Ok(permit) => permit,
            Err(refusal) => return Err(Place::new(&operation, &next).mark(shared.refuse(refusal))),
        };
        if shared.upload.is_some() {
            shared.pace_upload(&mut operation).await;
        }
        let mut outcome = next.run(operation).await?;
        if shared.download.is_some() {
            outcome = shared.pace_download(outcome).await;
        }
        if has_stream(&outcome) {
            outcome = wrap_stream(outcome, Permit(permit));
        }
        Ok(outcome)
    }
}

/// A permit that a stream holds.
struct Permit(
    #[expect(dead_code, reason = "it is held, and given back when it is dropped")] OwnedSemaphorePermit,
);

impl Wrap for Permit {
    fn wrap<T: Piece>(self, stream: Pieces<T>) -> Pieces<T> {
        Box::pin(Holding {
            inner: stream,
            permit: Some(self),
        })
    }
}

struct Holding<T> {
    inner: Pieces<T>,
    /// Gone at the end.
    permit: Option<Permit>,
}

impl<T> Stream for Holding<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = self.inner.as_mut().poll_next(context);
        if let Poll::Ready(None | Some(Err(_))) = item {
            self.permit = None;
        }
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}
