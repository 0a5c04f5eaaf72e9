//! How the manager's operations are recorded: each begins and ends an event and a span, and a stream ends its own.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;

use super::{ArtifactLocator, ArtifactReference, NewArtifact, StorageManager};
use crate::audit::{AuditEvent, AuditOperation, Recording, Settled};
use crate::catalog::{DeleteTarget, VersionSelector};
use crate::content::ByteStream;
use crate::download::Download;
use crate::error::{Error, Result};
use crate::options::CallContext;

impl StorageManager {
    /// Returns what holds for a call: what it says, then what its handle says.
    pub(super) fn context_of(&self, said: &CallContext) -> CallContext {
        match &self.context {
            Some(context) => said.clone().or(context),
            None => said.clone(),
        }
    }

    /// Begins the event and the span of an operation.
    pub(super) async fn record_begin(
        &self,
        operation: AuditOperation,
        context: &CallContext,
    ) -> Result<Recording> {
        Recording::begin(self.audit.as_ref(), operation, context).await
    }

    /// Begins the event and the span of an operation whose call says nothing of its context.
    pub(super) async fn record_plain(&self, operation: AuditOperation) -> Result<Recording> {
        match &self.context {
            Some(context) => self.record_begin(operation, context).await,
            None => self.record_begin(operation, &CallContext::default()).await,
        }
    }
}

impl AuditEvent {
    /// Notes what was asked for by its name.
    pub(super) fn asked(&mut self, locator: &ArtifactLocator) {
        self.tenant = Some(locator.tenant.clone());
        self.artifact = Some(locator.artifact.clone());
        self.variant = Some(locator.variant.clone());
        self.selecting(locator.version);
    }

    /// Notes what is to be deleted or restored.
    pub(super) fn targeting(&mut self, target: &DeleteTarget) {
        let (tenant, artifact) = target.artifact();
        self.tenant = Some(tenant.clone());
        self.artifact = Some(artifact.clone());
        match target {
            DeleteTarget::Artifact { .. } => {}
            DeleteTarget::Variant(variant) => self.variant = Some(variant.variant.clone()),
            DeleteTarget::Version(variant, version) => {
                self.variant = Some(variant.variant.clone());
                self.selecting(*version);
            }
        }
    }

    fn selecting(&mut self, version: VersionSelector) {
        match version {
            VersionSelector::Current => {}
            VersionSelector::Number(number) => self.version_number = Some(number),
            VersionSelector::Id(id) => self.version = Some(id),
        }
    }

    /// Notes what is to be stored.
    pub(super) fn storing(&mut self, new: &NewArtifact) {
        self.tenant = Some(new.tenant.clone());
        self.board.clone_from(&new.board);
        self.artifact.clone_from(&new.artifact);
        self.artifact_type = Some(new.artifact_type.clone());
        self.variant = Some(new.file.name.clone());
        self.access = Some(new.access);
    }

    /// Notes what was stored.
    pub(super) fn stored(&mut self, reference: &ArtifactReference) {
        self.shown(reference);
        self.bytes_in = Some(reference.size);
    }

    /// Notes which version a reference is of.
    pub(super) fn shown(&mut self, reference: &ArtifactReference) {
        self.tenant = Some(reference.tenant_id.clone());
        self.board.clone_from(&reference.board_id);
        self.artifact = Some(reference.artifact_id.clone());
        self.artifact_type = Some(reference.artifact_type.clone());
        self.variant = Some(reference.variant.clone());
        self.version = Some(reference.version_id);
        self.version_number = Some(reference.version);
        self.provider = Some(reference.storage_provider.clone());
        self.key = Some(reference.storage_key.clone());
        self.access = Some(reference.access);
    }
}

/// Ends the event of an opened download: now if its bytes are all here, else with its stream.
pub(super) async fn record_download(mut recording: Recording, opened: Result<Download>) -> Result<Download> {
    match opened {
        Ok(download) if download.as_bytes().is_none() && recording.is_kept() => {
            let length = download.length();
            Ok(download.map_stream(|inner| {
                Box::pin(Recorded {
                    inner,
                    length,
                    bytes_out: 0,
                    state: RecordedState::Flowing(recording),
                })
            }))
        }
        opened => {
            if let Ok(download) = &opened {
                recording.note(|event| event.bytes_out = Some(download.length()));
            }
            recording.end(opened).await
        }
    }
}

/// A stream that records its end: when it ended, failed, or was dropped.
struct Recorded {
    inner: ByteStream,
    length: u64,
    bytes_out: u64,
    state: RecordedState,
}

enum RecordedState {
    Flowing(Recording),
    /// The event is on its way; what the stream ends with is held back until it is recorded.
    Ending(Settled, Option<Error>),
    Ended,
}

impl Stream for Recorded {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                RecordedState::Flowing(recording) => {
                    let item = recording
                        .span()
                        .in_scope(|| this.inner.as_mut().poll_next(context));
                    let error = match std::task::ready!(item) {
                        Some(Ok(piece)) => {
                            this.bytes_out += piece.len() as u64;
                            return Poll::Ready(Some(Ok(piece)));
                        }
                        Some(Err(error)) => Some(error),
                        None => None,
                    };
                    match this.finish(error.as_ref()) {
                        Some(settled) => this.state = RecordedState::Ending(settled, error),
                        None => return Poll::Ready(error.map(Err)),
                    }
                }
                RecordedState::Ending(settled, error) => {
                    let recorded = std::task::ready!(settled.as_mut().poll(context));
                    let error = error.take().or(recorded.err());
                    this.state = RecordedState::Ended;
                    return Poll::Ready(error.map(Err));
                }
                RecordedState::Ended => return Poll::Ready(None),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl Recorded {
    fn finish(&mut self, error: Option<&Error>) -> Option<Settled> {
        match std::mem::replace(&mut self.state, RecordedState::Ended) {
            RecordedState::Flowing(mut recording) => {
                recording.note(|event| event.bytes_out = Some(self.bytes_out));
                recording.settle(error)
            }
            RecordedState::Ending(..) | RecordedState::Ended => None,
        }
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        if let RecordedState::Flowing(recording) = std::mem::replace(&mut self.state, RecordedState::Ended) {
            recording.give_up(self.bytes_out, self.length);
        }
    }
}
