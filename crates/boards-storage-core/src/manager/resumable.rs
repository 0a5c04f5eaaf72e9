//! Storing what may be interrupted: the upload goes on after a restart, within the same intent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tracing::Instrument as _;

use super::store::Draft;
use super::{ArtifactReference, NewArtifact, StorageManager};
use crate::audit::{AuditEvent, AuditOperation};
use crate::catalog::{ArtifactRecord, Intent, VariantIdentity, VersionSelector};
use crate::content::Content;
use crate::error::{Error, ErrorKind, Result};
use crate::metadata::WriteId;
use crate::operation::MultipartUpload;
use crate::options::{CallContext, CallOptions};
use crate::scope::{ArtifactId, VersionId};
use crate::transfer::{Journal, UploadState};

/// The storing of an artifact as it can be kept and gone on with, in this process or another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoreState {
    /// What is stored.
    pub variant: VariantIdentity,
    /// The version to be.
    pub version: VersionId,
    /// The provider that gets the bytes.
    pub provider: String,
    /// The upload.
    pub upload: UploadState,
}

/// Options of [`StorageManager::store_artifact_resumable`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResumableOptions {
    /// Where the state is kept.
    pub journal: Arc<dyn Journal<StoreState>>,
    /// What an earlier call kept, if it was interrupted.
    pub state: Option<StoreState>,
}

impl ResumableOptions {
    /// Begins something that can be resumed.
    #[must_use]
    pub fn new(journal: Arc<dyn Journal<StoreState>>) -> Self {
        Self { journal, state: None }
    }

    /// Goes on with what was interrupted.
    #[must_use]
    pub fn with_state(mut self, state: StoreState) -> Self {
        self.state = Some(state);
        self
    }
}

impl StorageManager {
    /// Stores an artifact as [`StorageManager::store_artifact`] does, so that an interrupted upload can go on.
    ///
    /// Content large enough to go in parts, at a provider that takes parts, is journaled: the state is kept before
    /// each part is sent, and forgotten at the end. Until then nobody else can write the variant, unless to overwrite
    /// it, for [`resume_lease`](super::ManagerSettings::resume_lease). A later call with the state and the same
    /// artifact and content sends only the parts that the store does not have. If the state is too old, and the
    /// intent was cleaned up since, it begins anew. Everything else is stored as if this were `store_artifact`.
    ///
    /// # Errors
    ///
    /// As [`StorageManager::store_artifact`]; `InvalidInput` if the state is of another artifact or variant, or if the
    /// content is not the one that the upload began with; what the journal answers.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::path::Path;
    /// use boards_storage_core::{
    ///     ArtifactReference, ArtifactType, Content, NewArtifact, ResumableOptions, Result, StorageManager,
    /// };
    ///
    /// async fn store(manager: &StorageManager, file: &Path, options: &ResumableOptions) -> Result<ArtifactReference> {
    ///     let content = Content::from_path(file).await?;
    ///     manager.store_artifact_resumable(NewArtifact::new(ArtifactType::Model), content, options).await
    /// }
    /// ```
    pub async fn store_artifact_resumable(
        &self,
        mut new: NewArtifact,
        content: impl Into<Content>,
        options: &ResumableOptions,
    ) -> Result<ArtifactReference> {
        new.context = self.context_of(&new.context);
        let mut recording = self.record_begin(AuditOperation::Store, &new.context).await?;
        if new.artifact.is_none() {
            let begun = options.state.as_ref().map(|state| state.variant.artifact.clone());
            new.artifact = Some(begun.unwrap_or_else(ArtifactId::fresh));
        }
        recording.note(|event| event.storing(&new));
        let work = self.store_resumable(new, content.into(), options);
        let stored = Box::pin(work.instrument(recording.span())).await;
        recording.end_with(stored, AuditEvent::stored).await
    }

    async fn store_resumable(
        &self,
        mut new: NewArtifact,
        content: Content,
        options: &ResumableOptions,
    ) -> Result<ArtifactReference> {
        if let Some(state) = &options.state {
            let artifact = new.artifact.get_or_insert_with(|| state.variant.artifact.clone());
            let is_same = (&*artifact, &new.tenant, &new.file.name)
                == (
                    &state.variant.artifact,
                    &state.variant.tenant,
                    &state.variant.variant,
                );
            if !is_same {
                return Err(Error::invalid_input(format!(
                    "the state is of the variant '{}' of the artifact '{}' of the tenant '{}', not of what is stored now",
                    state.variant.variant, state.variant.artifact, state.variant.tenant
                ))
                .with_help("resume with the same artifact, or begin without the state"));
            }
        }
        let draft = Draft::new(self, new)?;
        let resumable = self.take_up(&draft, options).await?;
        Box::pin(self.store(&draft, content, Some(resumable))).await
    }

    /// Gives up what an interrupted [`StorageManager::store_artifact_resumable`] left: its parts and its intent. What
    /// was committed since stays. Idempotent.
    ///
    /// # Errors
    ///
    /// What the catalog and the provider answer; what is left then is removed by [`StorageManager::reap`] when its
    /// time is over.
    pub async fn abandon_store(&self, state: &StoreState, context: &CallContext) -> Result<()> {
        let context = self.context_of(context);
        let mut recording = self.record_begin(AuditOperation::Abandon, &context).await?;
        recording.note(|event| {
            event.tenant = Some(state.variant.tenant.clone());
            event.artifact = Some(state.variant.artifact.clone());
            event.variant = Some(state.variant.variant.clone());
            event.version = Some(state.version);
            event.provider = Some(state.provider.clone());
            event.key = Some(state.upload.upload.key.clone());
        });
        let abandoned = self.abandon(state, &context).instrument(recording.span()).await;
        recording.end(abandoned).await
    }

    async fn abandon(&self, state: &StoreState, context: &CallContext) -> Result<()> {
        let provider = self.provider(&state.provider)?;
        let call = CallOptions::default().with_context(context.clone());
        provider.abort_upload(&state.upload.upload, &call).await?;
        // Nobody can commit from here on, so the object at the key, if there is one, is nobody's or the record's.
        self.inner.catalog.abandon(state.version).await?;
        let selector = VersionSelector::Id(state.version);
        if self.inner.catalog.find(&state.variant, selector).await?.is_some() {
            return Ok(());
        }
        let write = WriteId::from(state.version);
        self.remove_own(&state.provider, &state.upload.upload.key, write, context)
            .await
    }

    /// Gives up what an earlier call left, if the content was refused: it will not be gone on with.
    pub(super) async fn give_up_left(
        &self,
        resumable: Option<Resumable>,
        error: &Error,
        context: &CallContext,
    ) {
        let Some(Resumable {
            keeper,
            left: Left::Upload(left),
        }) = resumable
        else {
            return;
        };
        if error.kind() != ErrorKind::Rejected {
            return;
        }
        let (intent, upload) = *left;
        let state = StoreState {
            variant: intent.variant,
            version: intent.version,
            provider: intent.provider,
            upload,
        };
        // What cannot be removed now is removed by `reap`; the error that matters is the refusal.
        let _ = self.abandon(&state, context).await;
        let _ = keeper.forget().await;
    }

    /// Finds out what is left of an earlier call.
    async fn take_up(&self, draft: &Draft, options: &ResumableOptions) -> Result<Resumable> {
        let resumable = |left| Resumable {
            keeper: Arc::new(Keeper {
                manager: self.clone(),
                journal: Arc::clone(&options.journal),
                is_kept: AtomicBool::new(matches!(left, Left::Upload(_))),
                upload: Mutex::new(match &left {
                    Left::Upload(left) => Some(left.1.upload.clone()),
                    Left::Nothing | Left::Record(_) => None,
                }),
            }),
            left,
        };
        let Some(state) = &options.state else {
            return Ok(resumable(Left::Nothing));
        };
        let until = self.lease_from(self.inner.clock.now(), self.inner.settings.resume_lease);
        match self.inner.catalog.renew(state.version, until).await {
            Ok(()) => {
                let intent = Intent {
                    version: state.version,
                    variant: state.variant.clone(),
                    // Where it was meant to be, the catalog knows; what is resumed goes on where it began.
                    home: state.provider.clone(),
                    provider: state.provider.clone(),
                    key: state.upload.upload.key.clone(),
                    lease_until: until,
                };
                Ok(resumable(Left::Upload(Box::new((intent, state.upload.clone())))))
            }
            Err(error) if error.kind() == ErrorKind::PreconditionFailed => {
                let selector = VersionSelector::Id(state.version);
                let record = self.inner.catalog.find(&state.variant, selector).await?;
                if let Some(record) = record {
                    return Ok(resumable(Left::Record(Box::new(record))));
                }
                let call = CallOptions::default().with_context(draft.new.context.clone());
                // The parts are of no more use; what cannot be aborted now expires at the store.
                if let Ok(provider) = self.provider(&state.provider) {
                    let _ = provider.abort_upload(&state.upload.upload, &call).await;
                }
                options.journal.forget().await?;
                Ok(resumable(Left::Nothing))
            }
            Err(error) => Err(error),
        }
    }
}

/// What an upload that can be resumed begins with.
pub(super) struct Resumable {
    pub(super) keeper: Arc<Keeper>,
    pub(super) left: Left,
}

/// What an earlier call left.
pub(super) enum Left {
    Nothing,
    /// An intent that is still ours, and its upload.
    Upload(Box<(Intent, UploadState)>),
    /// A version that was committed already.
    Record(Box<ArtifactRecord>),
}

/// Keeps the states of one store.
#[derive(Debug)]
pub(super) struct Keeper {
    manager: StorageManager,
    journal: Arc<dyn Journal<StoreState>>,
    is_kept: AtomicBool,
    /// The upload that was kept last.
    upload: Mutex<Option<MultipartUpload>>,
}

impl Keeper {
    /// Says whether there is a state to go on with.
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::Acquire)
    }

    /// Returns the upload that was kept last.
    pub(super) fn upload(&self) -> Option<MultipartUpload> {
        self.upload.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) async fn forget(&self) -> Result<()> {
        self.is_kept.store(false, Ordering::Release);
        self.journal.forget().await
    }

    /// Returns what keeps the states of an intent's upload.
    pub(super) fn of(self: &Arc<Self>, intent: &Intent) -> Arc<dyn Journal<UploadState>> {
        Arc::new(IntentKeeper {
            keeper: Arc::clone(self),
            intent: intent.clone(),
        })
    }
}

#[derive(Debug)]
struct IntentKeeper {
    keeper: Arc<Keeper>,
    intent: Intent,
}

#[async_trait]
impl Journal<UploadState> for IntentKeeper {
    async fn keep(&self, upload: &UploadState) -> Result<()> {
        let (keeper, intent) = (&self.keeper, &self.intent);
        let state = StoreState {
            variant: intent.variant.clone(),
            version: intent.version,
            provider: intent.provider.clone(),
            upload: upload.clone(),
        };
        keeper.journal.keep(&state).await?;
        *keeper.upload.lock().unwrap_or_else(PoisonError::into_inner) = Some(upload.upload.clone());
        if keeper.is_kept.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        // Only what can be gone on with is reserved for long.
        let manager = &keeper.manager.inner;
        let until = keeper
            .manager
            .lease_from(manager.clock.now(), manager.settings.resume_lease);
        manager.catalog.renew(intent.version, until).await
    }

    /// The state itself outlives the upload, because the record comes after it.
    async fn forget(&self) -> Result<()> {
        self.keeper.is_kept.store(false, Ordering::Release);
        Ok(())
    }
}
