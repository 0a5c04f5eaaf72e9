//! How fast bytes flow: all streams of one direction share a rate, a slice at a time.

use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use boards_storage_core::{ByteStream, Result};
use bytes::Bytes;
use futures_core::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

/// How much may be sent at once after a pause.
const BURST: Duration = Duration::from_millis(100);

/// A slice is so much as flows in a part of a second, so that hundreds of streams all move on within a few seconds.
const SLICES_PER_SECOND: u64 = 32;
const SLICE_SIZE_BYTES_MAX: u64 = 64 * 1024;

/// The rate of one direction.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_second: NonZeroU64,
    slice_size_bytes: usize,
    /// From when on the next slice may flow.
    free: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(bytes_per_second: NonZeroU64) -> Self {
        let slice = (bytes_per_second.get() / SLICES_PER_SECOND).clamp(1, SLICE_SIZE_BYTES_MAX);
        Self {
            bytes_per_second,
            slice_size_bytes: usize::try_from(slice).unwrap_or(usize::MAX),
            free: Mutex::new(Instant::now()),
        }
    }

    /// Returns whether so many bytes need not be cut.
    pub(super) fn is_one_slice(&self, bytes: usize) -> bool {
        bytes <= self.slice_size_bytes
    }

    /// Takes the time of so many bytes, and returns when they may flow. Who comes first is served first; who is dropped
    /// before that wastes one slice at most.
    pub(super) fn reserve(&self, bytes: usize) -> Instant {
        let now = Instant::now();
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second.get() as f64);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = now
            .checked_sub(BURST)
            .map_or(*free, |earliest| earliest.max(*free));
        // So far away that it is never.
        *free = begin.checked_add(cost).unwrap_or(begin);
        begin
    }

    /// Waits until so many bytes may flow.
    pub(super) async fn wait(&self, bytes: usize) {
        let begin = self.reserve(bytes);
        if begin > Instant::now() {
            sleep_until(begin).await;
        }
    }

    /// Returns the stream at this pace.
    pub(super) fn slow_down(self: &Arc<Self>, stream: ByteStream) -> ByteStream {
        Box::pin(Paced {
            inner: stream,
            pace: Arc::clone(self),
            rest: Bytes::new(),
            slice: None,
            timer: None,
        })
    }
}

/// A stream whose bytes keep to a pace.
struct Paced {
    inner: ByteStream,
    pace: Arc<Pace>,
    /// What is left of the last piece.
    rest: Bytes,
    /// What flows next, and from when on.
    slice: Option<(Bytes, Instant)>,
    /// Made at the first wait.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    fn poll_slice(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let Some((_, begin)) = &self.slice else {
            return Poll::Ready(None);
        };
        let begin = *begin;
        if begin > Instant::now() {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(begin)));
            if timer.deadline() != begin {
                timer.as_mut().reset(begin);
            }
            ready!(timer.as_mut().poll(context));
        }
        Poll::Ready(self.slice.take().map(|(slice, _)| Ok(slice)))
    }
}

impl Stream for Paced {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if this.slice.is_some() {
                return this.poll_slice(context);
            }
            if !this.rest.is_empty() {
                let length = this.rest.len().min(this.pace.slice_size_bytes);
                let slice = this.rest.split_to(length);
                this.slice = Some((slice, this.pace.reserve(length)));
                continue;
            }
            match ready!(this.inner.as_mut().poll_next(context)) {
                Some(Ok(piece)) if piece.is_empty() => return Poll::Ready(Some(Ok(piece))),
                Some(Ok(piece)) => this.rest = piece,
                other => return Poll::Ready(other),
            }
        }
    }
}
