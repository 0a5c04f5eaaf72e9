//! A stream that a scanner reads along with its reader.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use super::scan::{ScanOutcome, SharedScanner};
use crate::content::ByteStream;
use crate::error::Result;

/// How many pieces may wait for the scanner.
const WAITING_MAX: usize = 2;

/// What was polled: the next piece, or the end with what the scanner says.
pub(super) enum Teed {
    Piece(Result<Bytes>),
    End(Result<ScanOutcome>),
}

/// Gives every piece to the scanner and to the reader. No task is spawned: the scanner works while the stream is
/// polled, and the end waits for its answer.
pub(super) struct Tee {
    inner: ByteStream,
    sender: Option<PollSender<Result<Bytes>>>,
    scan: Option<BoxFuture<'static, Result<ScanOutcome>>>,
    outcome: Option<Result<ScanOutcome>>,
    is_at_end: bool,
}

impl Tee {
    pub(super) fn new(scanner: SharedScanner, inner: ByteStream) -> Self {
        let (sender, mut receiver) = mpsc::channel(WAITING_MAX);
        let pieces: ByteStream = Box::pin(futures_util::stream::poll_fn(move |context| {
            receiver.poll_recv(context)
        }));
        Self {
            inner,
            sender: Some(PollSender::new(sender)),
            scan: Some(Box::pin(async move { scanner.scan(pieces).await })),
            outcome: None,
            is_at_end: false,
        }
    }

    fn poll_scan(&mut self, context: &mut Context<'_>) {
        if let Some(scan) = &mut self.scan
            && let Poll::Ready(outcome) = scan.as_mut().poll(context)
        {
            self.outcome = Some(outcome);
            self.scan = None;
            self.sender = None;
        }
    }

    pub(super) fn poll_teed(&mut self, context: &mut Context<'_>) -> Poll<Teed> {
        self.poll_scan(context);
        if !self.is_at_end {
            if let Some(sender) = &mut self.sender {
                match sender.poll_reserve(context) {
                    Poll::Ready(Ok(())) => {}
                    // The scanner has heard enough; its answer comes.
                    Poll::Ready(Err(_)) => self.sender = None,
                    Poll::Pending => return Poll::Pending,
                }
            }
            match std::task::ready!(self.inner.as_mut().poll_next(context)) {
                Some(Ok(piece)) => {
                    if let Some(sender) = &mut self.sender
                        && sender.send_item(Ok(piece.clone())).is_err()
                    {
                        self.sender = None;
                    }
                    self.poll_scan(context);
                    return Poll::Ready(Teed::Piece(Ok(piece)));
                }
                Some(Err(error)) => return Poll::Ready(Teed::Piece(Err(error))),
                None => {
                    self.is_at_end = true;
                    self.sender = None;
                    self.poll_scan(context);
                }
            }
        }
        match self.outcome.take() {
            Some(outcome) => Poll::Ready(Teed::End(outcome)),
            None => Poll::Pending,
        }
    }
}

impl Stream for Tee {
    type Item = Teed;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Teed>> {
        self.poll_teed(context).map(Some)
    }
}
