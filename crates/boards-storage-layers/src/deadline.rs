//! The caller's deadline. How long a single attempt may take is the timeout layer's.

use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use boards_storage_core::{Error, ErrorKind, Layer, Next, Operation, Outcome, Result, Retry};
use futures_core::Stream;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use crate::context::Place;
use crate::stream::{Piece, Pieces, Wrap, wrap_stream};

/// Ends a call, and the stream that it returned, when the [deadline](boards_storage_core::CallContext::deadline) of
/// its context passes.
///
/// It stands outermost, so that it covers queues, every attempt and every wait between them. A call without a
/// deadline passes untouched; one whose deadline has passed already does not reach the store. What runs is dropped,
/// which every provider bears: the old state stays, or the new one is there.
///
/// # Errors
///
/// `Timeout` that no repeat can help.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeadlineLayer;

impl DeadlineLayer {
    /// Creates the layer.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

#[async_trait]
impl Layer for DeadlineLayer {
    fn name(&self) -> &'static str {
        "deadline"
    }

    fn is_needed(&self, operation: &Operation) -> bool {
        operation.context().deadline.is_some()
    }

    async fn around(&self, operation: Operation, next: Next) -> Result<Outcome> {
        let Some(deadline) = operation.context().deadline else {
            return next.run(operation).await;
        };
        let place = Place::new(&operation, &next);
        if deadline <= Instant::now() {
            return Err(place.mark(passed().with_help("nothing was sent; give the call more time")));
        }
        match timeout_at(deadline, next.run(operation)).await {
            Ok(outcome) => Ok(wrap_stream(outcome?, Deadline { deadline, place })),
            Err(_elapsed) => {
                Err(place.mark(passed().with_help("give the call more time; look first if it was a write")))
            }
        }
    }
}

fn passed() -> Error {
    Error::new(ErrorKind::Timeout, "the caller's deadline passed").with_retry(Retry::No)
}

struct Deadline {
    deadline: Instant,
    place: Place,
}

impl Wrap for Deadline {
    fn wrap<T: Piece>(self, stream: Pieces<T>) -> Pieces<T> {
        let Self { deadline, place } = self;
        Box::pin(Bounded {
            inner: Some(stream),
            deadline,
            timer: None,
            place,
        })
    }
}

/// A stream that ends with an error at the deadline.
struct Bounded<T> {
    /// Gone once the deadline has passed, so that what it holds is freed at once.
    inner: Option<Pieces<T>>,
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    place: Place,
}

impl<T> Stream for Bounded<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        // The clock is read as well as the timer set: a stream that is always ready would never let the timer fire.
        if Instant::now() < this.deadline {
            if let Poll::Ready(item) = inner.as_mut().poll_next(context) {
                return Poll::Ready(item);
            }
            let timer = this
                .timer
                .get_or_insert_with(|| Box::pin(sleep_until(this.deadline)));
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
        this.inner = None;
        let error =
            passed().with_help("give the call more time, or read on with a range from where it ended");
        Poll::Ready(Some(Err(this.place.mark(error))))
    }
}
