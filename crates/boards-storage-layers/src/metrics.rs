//! Metrics: what is done, how fast, how well, and how many bytes it moves.
//!
//! Here: the layer, and when a call and its stream begin and end. What is counted of one operation is in `series`,
//! the value that all layers share in `registry`, times in `latency`, the names in `names`.

mod latency;
mod names;
mod registry;
mod series;

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use async_trait::async_trait;
use boards_storage_core::{
    Content, Direction, EndKind, Layer, MetricLevel, Next, Operation, OperationKind, Outcome, Result,
};
use futures_core::Stream;
use futures_util::StreamExt;
use tokio::time::Instant;

use self::registry::ProviderSeries;
use self::series::Series;
use crate::stream::{Piece, Pieces, Wrap, has_stream, received_bytes, sent_bytes, wrap_stream};

pub use latency::LatencyHistogram;
pub(crate) use names::CIRCUIT;
pub use names::{METRICS, MetricDescription, MetricKind, describe_metrics};
pub use registry::{Metrics, publish_utilization};

/// Counts and measures each call, for [`Metrics`] and for the `metrics` facade.
///
/// Used twice: [`MetricsLayer::call`] near the outside counts what the caller asked for, [`MetricsLayer::attempt`]
/// inside the retry each thing that is sent. The metrics and their labels are in [`METRICS`].
///
/// - A call ends when it has returned; one that returned a stream, when the stream has ended, failed or was dropped.
///   The time until it had returned is measured too, so that a slow reader is not taken for a slow store.
/// - What is dropped on the way is counted as cancelled, or as a timeout if the caller's deadline has passed.
/// - A download whose bytes are here when it returns carries no stream: it ends then.
/// - Of bytes a call counts what its caller got and what was stored; an attempt all that moved. Content that is plain
///   bytes is handed on as it is, so nobody sees it flow: it counts when the attempt succeeds.
///
/// The handles of the facade are made when they are first needed, and kept: install a recorder before the first call.
#[derive(Debug)]
pub struct MetricsLayer {
    level: MetricLevel,
    metrics: Metrics,
    /// The provider that was called first: mostly there is no other.
    first: OnceLock<Arc<ProviderSeries>>,
}

impl MetricsLayer {
    /// Creates the layer that counts what the caller asked for.
    #[must_use]
    pub fn call(metrics: &Metrics) -> Self {
        Self::new(MetricLevel::Call, metrics)
    }

    /// Creates the layer that counts each attempt.
    #[must_use]
    pub fn attempt(metrics: &Metrics) -> Self {
        Self::new(MetricLevel::Attempt, metrics)
    }

    fn new(level: MetricLevel, metrics: &Metrics) -> Self {
        Self {
            level,
            metrics: metrics.clone(),
            first: OnceLock::new(),
        }
    }

    /// Returns what counts that operation of that provider.
    fn series(&self, provider: &Arc<str>, operation: OperationKind) -> Arc<Series> {
        let first = self.first.get_or_init(|| self.metrics.provider(provider));
        if Arc::ptr_eq(first.name(), provider) || first.name() == provider {
            first.series(self.level, operation)
        } else {
            self.metrics.provider(provider).series(self.level, operation)
        }
    }
}

#[async_trait]
impl Layer for MetricsLayer {
    fn name(&self) -> &'static str {
        match self.level {
            MetricLevel::Call => "metrics_call",
            MetricLevel::Attempt => "metrics_attempt",
        }
    }

    async fn around(&self, mut operation: Operation, next: Next) -> Result<Outcome> {
        let series = self.series(next.name(), operation.kind());
        let mut unseen = 0;
        if self.level == MetricLevel::Attempt {
            if operation.context().attempt > 1 {
                series.repeated();
            }
            unseen = observe(&mut operation, &series);
        }
        let mut running = Running::begin(series, operation.context().deadline);
        match next.run(operation).await {
            Ok(outcome) if has_stream(&outcome) => {
                running.series.stream_answered(running.started.elapsed());
                running.left = received_bytes(&outcome);
                Ok(wrap_stream(outcome, running))
            }
            Ok(outcome) => {
                let sent = match self.level {
                    MetricLevel::Call => sent_bytes(&outcome),
                    MetricLevel::Attempt => unseen,
                };
                running.moved(Direction::In, sent);
                running.moved(Direction::Out, received_bytes(&outcome).unwrap_or(0));
                running.answer(EndKind::Ok);
                Ok(outcome)
            }
            Err(error) => {
                running.answer(EndKind::from(&error));
                Err(error)
            }
        }
    }
}

/// Counts the content's bytes as they flow. Returns the number of those that nobody will see flow.
fn observe(operation: &mut Operation, series: &Arc<Series>) -> u64 {
    let (Operation::Upload { content, .. } | Operation::UploadPart { content, .. }) = operation else {
        return 0;
    };
    if let Some(bytes) = content.as_bytes() {
        return bytes.len() as u64;
    }
    let series = Arc::clone(series);
    let observed = std::mem::replace(content, Content::from_bytes(bytes::Bytes::new()));
    *content = observed.map_stream(move |stream| {
        let series = Arc::clone(&series);
        Box::pin(stream.inspect(move |piece| {
            if let Ok(piece) = piece {
                series.moved(Direction::In, piece.len() as u64);
            }
        }))
    });
    0
}

/// A call under way, with its stream. It is counted when it is dropped, so that none is ever forgotten.
struct Running {
    series: Arc<Series>,
    started: Instant,
    deadline: Option<Instant>,
    /// How many bytes of a download's stream are still to come: whoever got them all need not ask for more.
    left: Option<u64>,
    end: EndKind,
    has_returned: bool,
}

impl Running {
    fn begin(series: Arc<Series>, deadline: Option<Instant>) -> Self {
        series.begin();
        Self {
            series,
            started: Instant::now(),
            deadline,
            left: None,
            end: EndKind::Cancelled,
            has_returned: false,
        }
    }

    fn moved(&self, direction: Direction, size_bytes: u64) {
        if size_bytes > 0 {
            self.series.moved(direction, size_bytes);
        }
    }

    /// Notes that the call has returned, and nothing is still to come.
    fn answer(&mut self, end: EndKind) {
        self.end = end;
        self.has_returned = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let now = Instant::now();
        let time = now.duration_since(self.started);
        if self.end == EndKind::Cancelled && self.left == Some(0) {
            self.end = EndKind::Ok;
        }
        if self.end == EndKind::Cancelled {
            if self.deadline.is_some_and(|deadline| deadline <= now) {
                self.end = EndKind::Error(boards_storage_core::ErrorKind::Timeout);
            }
        } else if self.has_returned {
            self.series.answered(time);
        } else {
            self.series.stream_ended(time);
        }
        self.series.end(self.end, time);
    }
}

impl Wrap for Running {
    fn wrap<T: Piece>(self, stream: Pieces<T>) -> Pieces<T> {
        Box::pin(Counted {
            inner: stream,
            running: Some(self),
        })
    }
}

/// A stream whose call is counted when it ends.
struct Counted<T> {
    inner: Pieces<T>,
    /// Gone, and so counted, at the end.
    running: Option<Running>,
}

impl<T: Piece> Stream for Counted<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = self.inner.as_mut().poll_next(context);
        let Some(running) = &mut self.running else {
            return item;
        };
        let end = match &item {
            Poll::Pending => return item,
            Poll::Ready(Some(Ok(piece))) => {
                let size_bytes = piece.size_bytes();
                running.moved(Direction::Out, size_bytes);
                running.left = running.left.map(|left| left.saturating_sub(size_bytes));
                return item;
            }
            Poll::Ready(Some(Err(error))) => EndKind::from(error),
            Poll::Ready(None) => EndKind::Ok,
        };
        running.end = end;
        self.running = None;
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}
