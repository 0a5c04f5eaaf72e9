//! Error context: which operation, key and provider an error is about.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use boards_storage_core::{Error, Layer, Next, Operation, OperationKind, Outcome, Result, StorageKey};
use futures_core::Stream;

use crate::stream::{Piece, Pieces, Wrap, wrap_stream};

/// Names the operation, the key and the provider in every error: those of the call, of its returned stream, and of
/// single keys of a `delete_many`.
///
/// What an error names already stays: whoever stands nearer to the failure knows better. The name is the stack's.
///
/// It stands innermost. The other layers of this crate name the place in the errors that they themselves make.
#[derive(Clone, Copy, Debug, Default)]
pub struct ContextLayer;

impl ContextLayer {
    /// Creates the layer.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

#[async_trait]
impl Layer for ContextLayer {
    fn name(&self) -> &'static str {
        "context"
    }

    async fn around(&self, operation: Operation, next: Next) -> Result<Outcome> {
        let place = Place::new(&operation, &next);
        let outcome = next.run(operation).await.map_err(|error| place.mark(error))?;
        Ok(match outcome {
            Outcome::DeleteMany(mut keys) => {
                for deleted in &mut keys {
                    let outcome = std::mem::replace(
                        &mut deleted.outcome,
                        Ok(boards_storage_core::DeleteOutcome::Unknown),
                    );
                    deleted.outcome = outcome.map_err(|error| place.mark(error.with_key(&deleted.key)));
                }
                Outcome::DeleteMany(keys)
            }
            other => wrap_stream(other, place),
        })
    }
}

/// Where an error happened.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    operation: OperationKind,
    key: Option<StorageKey>,
    provider: Arc<str>,
}

impl Place {
    pub(crate) fn new(operation: &Operation, next: &Next) -> Self {
        Self {
            operation: operation.kind(),
            key: operation.key().cloned(),
            provider: Arc::clone(next.name()),
        }
    }

    /// Writes the place into an error that does not name it yet.
    pub(crate) fn mark(&self, error: Error) -> Error {
        let error = error
            .with_operation(self.operation)
            .with_provider(Arc::clone(&self.provider));
        match &self.key {
            Some(key) => error.with_key(key),
            None => error,
        }
    }
}

impl Wrap for Place {
    fn wrap<T: Piece>(self, stream: Pieces<T>) -> Pieces<T> {
        Box::pin(Marked {
            inner: stream,
            place: self,
        })
    }
}

/// A stream whose errors name the place.
struct Marked<T> {
    inner: Pieces<T>,
    place: Place,
}

impl<T> Stream for Marked<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.inner.as_mut().poll_next(context));
        Poll::Ready(item.map(|piece| piece.map_err(|error| self.place.mark(error))))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}
