//! Storing: validate, route, reserve, send, record.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use tracing::Instrument as _;

use super::attributes::kept;
use super::buffer::Buffer;
use super::inspect::{Inspection, Seen, too_large};
use super::place::Places;
use super::resumable::{Keeper, Left, Resumable};
use super::{ArtifactReference, NewArtifact, StorageManager};
use crate::audit::{AuditEvent, AuditOperation};
use crate::capabilities::{Capability, PreconditionKind};
use crate::catalog::{
    ArtifactRecord, Begun, DigestState, Intent, NewIntent, StoredObject, VariantIdentity, VersionSelector,
};
use crate::content::Content;
use crate::content_type::ContentType;
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::metadata::{ObjectAttributes, ObjectMetadata, WriteId};
use crate::object_identity::ObjectIdentity;
use crate::operation::OperationKind;
use crate::options::{AccessClass, CallContext, CallOptions, Precondition, UploadOptions};
use crate::provider::SharedProvider;
use crate::routing::{Route, RouteDecision, RouteQuery, RouteSize};
use crate::scope::{ArtifactId, Extension, TenantId, VariantFile, VersionId};
use crate::template::{ArtifactScope, KeyScope, TemporaryScope};
use crate::transfer::{UploadState, Uploader};
use crate::validation::{Inspected, Validation};

/// The name of the object metadata that holds the record, from which a lost catalog is rebuilt.
const RECORD_METADATA: &str = "boards-storage-artifact";

impl StorageManager {
    /// Stores an artifact, or a variant of one, and returns its reference.
    ///
    /// Storing the same bytes again answers the existing reference, also with `overwrite`. Other bytes, or another content type or user
    /// metadata, are `AlreadyExists` unless the new artifact says `overwrite`; then they become a new version.
    ///
    /// When the provider of the route is unavailable, too slow, throttles or is full, and the content can still be read
    /// from its beginning, the first of the route's fallback providers that takes the write has it. The reference and
    /// the record say so; [`ArtifactQuery::with_displaced`](crate::ArtifactQuery::with_displaced) lists it.
    ///
    /// A
    /// stream of unknown length is held in memory only as far as a size rule needs it. After a failure nothing is
    /// left behind, or what is left is removed by [`StorageManager::reap`]; it is never seen by a reader. If the
    /// future is dropped half-way, that is so too, and the variant can be written again when the lease has ended.
    ///
    /// The record has all attributes, and reads through the manager answer them from there. The provider gets those
    /// that it can keep: a plain folder without content types holds artifacts as well as a bucket does. Only where it
    /// hands out URLs of such an artifact, and would not serve a disposition, an encoding, a language or a cache control
    /// that was asked for, is the artifact refused.
    ///
    /// With an [`Inspector`](crate::Inspector), the first 64 KiB are judged before anything is reserved, and the rest while
    /// it is sent. What is rejected leaves nothing behind; what is quarantined is an error too, and its bytes are kept where
    /// only [`StorageManager::list_quarantined`] finds them.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`; `Rejected` for content that is too large, of a type that is not allowed, or refused by the
    /// inspector, whose reason is the error's code; `Unsupported` for a header that the provider's URLs would not serve;
    /// `InsufficientStorage` where the tenant's quota has no room, or a store and its fallbacks are full; `InvalidInput` for
    /// malformed fields, an artifact of another
    /// type or board, a length that lies; `Corruption` if the bytes do not have the digest that was declared; what the
    /// provider and the catalog answer.
    pub async fn store_artifact(
        &self,
        mut new: NewArtifact,
        content: impl Into<Content>,
    ) -> Result<ArtifactReference> {
        new.context = self.context_of(&new.context);
        let mut recording = self.record_begin(AuditOperation::Store, &new.context).await?;
        new.artifact.get_or_insert_with(ArtifactId::fresh);
        recording.note(|event| event.storing(&new));
        let work = self.store_new(new, content.into()).instrument(recording.span());
        let stored = Box::pin(work).await;
        recording.end_with(stored, AuditEvent::stored).await
    }

    async fn store_new(&self, new: NewArtifact, content: Content) -> Result<ArtifactReference> {
        let draft = Draft::new(self, new)?;
        self.store(&draft, content, None).await
    }

    pub(super) async fn store(
        &self,
        draft: &Draft,
        mut content: Content,
        resumable: Option<Resumable>,
    ) -> Result<ArtifactReference> {
        if let Some(max) = self.inner.settings.size_bytes_max
            && content.length().is_some_and(|length| length > max)
        {
            return Err(too_large(max));
        }
        if let Some(declared) = draft.new.digest {
            content = UploadOptions::default().with_digest(declared).guard(content)?;
        }
        let (content, inspected) = match self.inspect(draft, content).await {
            Ok(inspected) => inspected,
            Err(error) => {
                self.give_up_left(resumable, &error, &draft.new.context).await;
                return Err(error);
            }
        };
        let inspection = Inspection::default();
        let content = inspection
            .observe(content, self.inner.settings.size_bytes_max)
            .await?;
        let existing = self
            .inner
            .catalog
            .find(&draft.variant, VersionSelector::Current)
            .await?;
        let (keeper, left) = match &resumable {
            Some(resumable) => (Some(&resumable.keeper), &resumable.left),
            None => (None, &Left::Nothing),
        };
        let work = |intent: Intent| -> Result<Work<'_>> {
            Ok(Work {
                draft,
                provider: self.provider(&intent.provider)?,
                intent,
                inspection: &inspection,
                inspected: inspected.as_ref(),
                keeper,
                existing: existing.as_ref(),
            })
        };
        match left {
            Left::Nothing => {}
            Left::Upload(left) => {
                let (intent, state) = (left.0.clone(), left.1.clone());
                let (work, places) = (work(intent)?, Places::only(&left.0.provider));
                let record = Box::pin(self.fulfil(work, places, content, Some(state))).await?;
                return self.reference(&record).await;
            }
            Left::Record(record) => {
                let seen = read_to_compare(&content, &inspection, record.size_bytes).await?;
                let answer = self.answer_existing(draft, record, seen).await;
                if let Some(keeper) = keeper {
                    keeper.forget().await?;
                }
                return answer;
            }
        }
        if let Some(record) = &existing {
            if !draft.new.overwrite {
                let seen = read_to_compare(&content, &inspection, record.size_bytes).await?;
                return self.answer_existing(draft, record, seen).await;
            }
            if draft.is_same(record, inspection.seen()) {
                return self.reference(record).await;
            }
        }
        let (route, content) = self.route(draft, content).await?;
        // A provider that is missing, or that cannot serve what is asked, is told before anything is reserved.
        let places = self.places(&route, draft.new.access, &draft.attributes)?;
        let size_bytes = content.length();
        let intent = self.new_intent(draft, route.provider, route.provider, size_bytes)?;
        match self.inner.catalog.begin(&intent).await? {
            Begun::Started(intent) => {
                failpoint!("manager::store::begun");
                let work = work(intent)?;
                let record = Box::pin(self.fulfil(work, places, content, None)).await?;
                self.reference(&record).await
            }
            Begun::Exists(record) => {
                let seen = read_to_compare(&content, &inspection, record.size_bytes).await?;
                self.answer_existing(draft, &record, seen).await
            }
            Begun::Busy { lease_until } => Err(self.busy(draft, lease_until)),
        }
    }

    /// Answers a write to a variant that exists: its reference if the write would change nothing.
    async fn answer_existing(
        &self,
        draft: &Draft,
        record: &ArtifactRecord,
        seen: Option<Seen>,
    ) -> Result<ArtifactReference> {
        if draft.is_same(record, seen) {
            return self.reference(record).await;
        }
        let variant = &draft.variant;
        let stored_as = record.primary().key.file_name();
        let help = match &draft.file.extension {
            Some(extension) if !stored_as.ends_with(&format!(".{extension}")) => format!(
                "it is stored as '{stored_as}': the extension is no part of a variant's name, so give another variant \
                 name, or ask to overwrite for a new version"
            ),
            Some(_) | None => {
                "ask to overwrite for a new version, or give another artifact id or variant".to_owned()
            }
        };
        Err(Error::new(
            ErrorKind::AlreadyExists,
            format!(
                "the variant '{}' of the artifact '{}' exists, version {}, {} bytes, and what is stored now differs in {}",
                variant.variant, variant.artifact, record.number, record.size_bytes,
                draft.difference(record, seen),
            ),
        )
        .with_key(&record.primary().key)
        .with_help(help))
    }

    fn busy(&self, draft: &Draft, lease_until: jiff::Timestamp) -> Error {
        let wait = lease_until.duration_since(self.inner.clock.now());
        let wait = Duration::try_from(wait).unwrap_or_default();
        Error::new(
            ErrorKind::AlreadyExists,
            format!(
                "the variant '{}' of the artifact '{}' is being written by somebody else, who has until {lease_until}",
                draft.variant.variant, draft.variant.artifact
            ),
        )
        .with_retry(Retry::After(wait))
        .with_help("try again later: a writer that died loses its claim then")
    }

    /// Chooses the way. A stream of unknown length is read as far as a size rule needs it.
    pub(super) async fn route(&self, draft: &Draft, content: Content) -> Result<(Route<'_>, Content)> {
        let max = self.inner.settings.routing_buffer_bytes_max;
        let mut buffer = Buffer::new(content);
        loop {
            match self.inner.router.decide(&draft.route_query(buffer.size())) {
                RouteDecision::Route(route) => return Ok((route, buffer.into_content())),
                RouteDecision::NeedsMoreThan(threshold) if threshold > max => {
                    return Err(Error::invalid_input(format!(
                        "a routing rule depends on whether the stream has more than {threshold} bytes; at most {max} are \
                         held in memory to find out"
                    ))
                    .with_help("declare the length, or store from a file"));
                }
                RouteDecision::NeedsMoreThan(threshold) => buffer.fill_beyond(threshold).await?,
            }
        }
    }

    fn new_intent(
        &self,
        draft: &Draft,
        home: &str,
        provider: &str,
        size_bytes: Option<u64>,
    ) -> Result<NewIntent> {
        let version = VersionId::fresh();
        let now = self.inner.clock.now();
        let key = |version| {
            let key = self.inner.settings.key_template.key(&draft.key_scope(version))?;
            self.check_no_quarantine(&key).map(|()| key)
        };
        Ok(NewIntent {
            version,
            variant: draft.variant.clone(),
            artifact_type: draft.new.artifact_type.clone(),
            board: draft.new.board.clone(),
            access: draft.new.access,
            home: home.to_owned(),
            provider: provider.to_owned(),
            plain_key: key(None)?,
            versioned_key: key(Some(version))?,
            overwrite: draft.new.overwrite,
            now,
            lease_until: self.lease_from(now, self.inner.settings.lease),
            size_bytes,
            quota: self.inner.settings.quota,
        })
    }

    pub(super) fn lease_from(&self, now: jiff::Timestamp, lease: Duration) -> jiff::Timestamp {
        now.checked_add(lease).unwrap_or(jiff::Timestamp::MAX)
    }

    /// Sends the bytes, to a stand-in if the provider cannot take them, and commits the record; on failure removes what
    /// was sent, unless it can be gone on with.
    async fn fulfil(
        &self,
        mut work: Work<'_>,
        mut places: Places,
        content: Content,
        mut state: Option<UploadState>,
    ) -> Result<ArtifactRecord> {
        let draft = work.draft;
        let context = &draft.new.context;
        let object = loop {
            let sent = self.send(&work, content.clone(), state.take()).await;
            failpoint!("manager::store::sent");
            let judged = self.judge_end(&work, &content).await;
            let error = match (sent, judged) {
                (Ok(object), Ok(())) => break object,
                // What a store made of the refusal is not what the sender should hear.
                (_, Err(refusal)) => {
                    work.abort(context).await;
                    let _ = self.discard(&work.intent, context).await;
                    let _ = work.forget().await;
                    return Err(refusal);
                }
                // The parts that are there are worth more than a place elsewhere.
                (Err(error), Ok(())) if work.is_kept() => return Err(error),
                (Err(error), Ok(())) => error,
            };
            match self.divert(&work, &mut places, &content, error).await {
                Ok(elsewhere) => work = elsewhere,
                Err(error) => {
                    // What cannot be removed now is removed by `reap`; the error that matters is the first.
                    let _ = self.discard(&work.intent, context).await;
                    let _ = work.forget().await;
                    return Err(error);
                }
            }
        };
        let same = |record: &&ArtifactRecord| draft.is_same(record, work.inspection.seen());
        if let Some(record) = work.existing.filter(same) {
            // A stream turned out to be what is stored already: there is no new version.
            let _ = self.discard(&work.intent, context).await;
            work.forget().await?;
            return Ok(record.clone());
        }
        self.commit(&work, &object).await
    }

    /// Gives the write up at its provider and begins it at the next one, in one step of the catalog, so that at most
    /// one of the two is ever seen. What may have arrived at the first is removed by [`StorageManager::reap`].
    async fn divert<'w>(
        &self,
        work: &Work<'w>,
        places: &mut Places,
        content: &Content,
        error: Error,
    ) -> Result<Work<'w>> {
        let (draft, given_up) = (work.draft, &work.intent);
        let why = error.kind();
        let (name, provider) = places.after(
            &given_up.provider,
            error,
            content,
            work.inspection,
            &draft.new.context,
        )?;
        tracing::warn!(
            provider = given_up.provider,
            fallback = name,
            error.kind = why.name(),
            "a write goes to a fallback"
        );
        failpoint!("manager::store::diverting");
        let new = self.new_intent(draft, &places.home, &name, content.length())?;
        let cleanup_from = self.lease_from(new.now, self.inner.settings.cleanup_delay);
        let diverted = self
            .inner
            .catalog
            .divert(given_up.version, &new, cleanup_from)
            .await;
        failpoint!("manager::store::diverted");
        match diverted {
            Ok(intent) => Ok(Work {
                intent,
                provider,
                ..*work
            }),
            Err(error) if error.kind() == ErrorKind::PreconditionFailed => Err(error),
            Err(error) => Err(places.give_up("the catalog", error)),
        }
    }

    /// Turns the intent into the record.
    async fn commit(&self, work: &Work<'_>, object: &StoredObject) -> Result<ArtifactRecord> {
        let committed = self
            .inner
            .catalog
            .commit(work.intent.version, object, self.inner.clock.now())
            .await;
        failpoint!("manager::store::committed");
        match committed {
            // What the catalog refuses it did not write: somebody else's version, other facts, a quota.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::PreconditionFailed
                        | ErrorKind::AlreadyExists
                        | ErrorKind::InsufficientStorage
                        | ErrorKind::InvalidInput
                ) =>
            {
                let _ = self.discard(&work.intent, &work.draft.new.context).await;
                work.forget().await?;
                Err(error)
            }
            Ok(record) => {
                work.forget().await?;
                Ok(record)
            }
            // The record may be there. If it is not, the intent is, and `reap` removes the bytes.
            Err(error) => Err(error),
        }
    }

    async fn send(
        &self,
        work: &Work<'_>,
        content: Content,
        state: Option<UploadState>,
    ) -> Result<StoredObject> {
        let Work {
            draft,
            intent,
            provider,
            inspection,
            inspected: _,
            keeper,
            existing: _,
        } = work;
        let options = self.upload_options(draft, intent, provider, inspection)?;
        let mut uploader = Uploader::new(Arc::clone(provider)).with_settings(self.inner.settings.uploader);
        if let Some(keeper) = keeper {
            uploader = uploader.with_journal(keeper.of(intent));
        }
        let upload = async {
            let sent = match state {
                Some(state) => Box::pin(uploader.resume(state, content, &options)).await,
                None => uploader.upload(&intent.key, content, &options).await,
            };
            match sent {
                Ok(stored) => Ok(stored),
                Err(error) => settle(provider, intent, error, &draft.new.context).await,
            }
        };
        let stored = self.while_renewing(work, upload).await?;
        let seen = inspection.seen().ok_or_else(|| {
            Error::new(
                ErrorKind::Storage,
                "the provider answered before it had read the whole content",
            )
            .with_key(&intent.key)
        })?;
        if stored.size_bytes != seen.size_bytes {
            return Err(Error::new(
                ErrorKind::Corruption,
                format!(
                    "{} bytes were sent, the store has {}",
                    seen.size_bytes, stored.size_bytes
                ),
            )
            .with_key(&intent.key));
        }
        Ok(StoredObject {
            size_bytes: seen.size_bytes,
            attributes: draft.attributes.clone(),
            digest: seen.digest,
            digest_state: DigestState::Verified,
            etag: stored.etag,
            store_version: stored.version,
            checksum: stored.checksum,
        })
    }

    fn upload_options(
        &self,
        draft: &Draft,
        intent: &Intent,
        provider: &SharedProvider,
        inspection: &Inspection,
    ) -> Result<UploadOptions> {
        let capabilities = provider.capabilities();
        let mut options = UploadOptions::default()
            .with_context(about(&draft.new.context, &intent.variant.tenant, intent.version))
            .with_attributes(kept(
                capabilities,
                &self.served(draft.attributes.clone(), draft.new.access),
            ));
        if capabilities.has(Capability::UserMetadata) {
            options.attributes = options
                .attributes
                .with_user_metadata(RECORD_METADATA, draft.record_text(intent)?);
        }
        if capabilities.has(Capability::WriteId) {
            options.write_id = Some(WriteId::from(intent.version));
        }
        if capabilities.has(Capability::Digest) {
            options.digest = inspection.seen().map(|seen| seen.digest).or(draft.new.digest);
        }
        // The key was never given before, so this guards what stands there without a record: a file dropped by hand,
        // or a store whose catalog was lost.
        let guards = |operation| capabilities.has_precondition(operation, PreconditionKind::IfAbsent);
        if guards(OperationKind::Upload)
            && (capabilities.part_rules.is_none() || guards(OperationKind::CompleteUpload))
        {
            options.precondition = Precondition::IfAbsent;
        }
        Ok(options)
    }

    /// Drives an upload while the intent's lease is renewed.
    async fn while_renewing<T>(&self, work: &Work<'_>, upload: impl Future<Output = Result<T>>) -> Result<T> {
        let settings = &self.inner.settings;
        let renewing = async {
            loop {
                tokio::time::sleep(settings.lease / 3).await;
                let lease = if work.is_kept() {
                    settings.resume_lease.max(settings.lease)
                } else {
                    settings.lease
                };
                let until = self.lease_from(self.inner.clock.now(), lease);
                match self.inner.catalog.renew(work.intent.version, until).await {
                    Err(error) if error.kind() == ErrorKind::PreconditionFailed => return error,
                    // A catalog that cannot be reached for a moment is asked again; the commit decides.
                    Ok(()) | Err(_) => {}
                }
            }
        };
        match select(pin!(upload), pin!(renewing)).await {
            Either::Left((done, _)) => done,
            Either::Right((lost, _)) => Err(lost),
        }
    }
}

/// Says which object a call is about: the version, which keeps its id wherever its bytes go.
pub(super) fn about(context: &CallContext, tenant: &TenantId, version: VersionId) -> CallContext {
    context
        .clone()
        .with_object(ObjectIdentity::of_version(tenant.clone(), version))
}

/// After an upload failed: if the object at the key is our own write, it succeeded after all.
async fn settle(
    provider: &SharedProvider,
    intent: &Intent,
    error: Error,
    context: &CallContext,
) -> Result<ObjectMetadata> {
    let is_ambiguous = matches!(
        error.kind(),
        ErrorKind::AlreadyExists
            | ErrorKind::PreconditionFailed
            | ErrorKind::OutcomeUnknown
            | ErrorKind::Timeout
    );
    if !is_ambiguous || !provider.capabilities().has(Capability::WriteId) {
        return Err(error);
    }
    let options = CallOptions::default().with_context(context.clone());
    match provider.metadata(&intent.key, &options).await {
        Ok(found) if found.write_id == Some(WriteId::from(intent.version)) => Ok(found),
        Ok(_) if error.kind() == ErrorKind::AlreadyExists => Err(error.with_help(
            "the store has an object at this key that the catalog does not know; move it away, or use another artifact id",
        )),
        Ok(_) | Err(_) => Err(error),
    }
}

/// Reads content that is not stored, to see whether it is what is stored already. Stops as soon as it is longer.
async fn read_to_compare(
    content: &Content,
    inspection: &Inspection,
    size_bytes: u64,
) -> Result<Option<Seen>> {
    if let Some(seen) = inspection.seen() {
        return Ok(Some(seen));
    }
    if content.length().is_some_and(|length| length != size_bytes) {
        return Ok(None);
    }
    let mut stream = content.open().await?;
    let mut total = 0;
    while let Some(piece) = stream.next().await {
        total += piece?.len() as u64;
        if total > size_bytes {
            return Ok(None);
        }
    }
    Ok(inspection.seen())
}

/// One write from its intent on.
pub(super) struct Work<'a> {
    pub(super) draft: &'a Draft,
    pub(super) intent: Intent,
    provider: SharedProvider,
    inspection: &'a Inspection,
    /// What the inspector says of the content, if there is one.
    pub(super) inspected: Option<&'a Inspected>,
    keeper: Option<&'a Arc<Keeper>>,
    /// The present version, if there is one.
    existing: Option<&'a ArtifactRecord>,
}

impl Work<'_> {
    /// Says whether the write can be gone on with later.
    fn is_kept(&self) -> bool {
        self.keeper.is_some_and(|keeper| keeper.is_kept())
    }

    /// Removes the parts of a refused upload, as far as they were kept to go on with.
    async fn abort(&self, context: &CallContext) {
        let kept = self.keeper.filter(|_| self.is_kept());
        if let Some(upload) = kept.and_then(|keeper| keeper.upload()) {
            // What cannot be aborted now expires at the store.
            let call = CallOptions::default().with_context(context.clone());
            let _ = self.provider.abort_upload(&upload, &call).await;
        }
    }

    async fn forget(&self) -> Result<()> {
        match self.keeper {
            Some(keeper) => keeper.forget().await,
            None => Ok(()),
        }
    }
}

/// A new artifact with everything that follows from what the caller said.
pub(super) struct Draft {
    pub(super) new: NewArtifact,
    variant: VariantIdentity,
    attributes: ObjectAttributes,
    content_type: ContentType,
    file: VariantFile,
    has_own_content_type: bool,
}

impl Draft {
    pub(super) fn new(manager: &StorageManager, new: NewArtifact) -> Result<Self> {
        new.attributes.validate()?;
        if let Some(name) = new
            .attributes
            .user_metadata
            .keys()
            .find(|name| name.starts_with("boards-storage-"))
        {
            return Err(Error::invalid_input(format!(
                "the user metadata name '{name}' is reserved: names beginning with 'boards-storage-' are ours"
            )));
        }
        let has_own_content_type = new.attributes.content_type.is_some();
        let content_type = match (&new.attributes.content_type, &new.file.extension) {
            (Some(content_type), _) => content_type.clone(),
            (None, Some(extension)) => ContentType::from_file_name(&format!("x.{extension}"))
                .unwrap_or_else(ContentType::octet_stream),
            (None, None) => ContentType::octet_stream(),
        };
        let allowed = &manager.inner.settings.content_types;
        if !allowed.is_empty() && !allowed.iter().any(|pattern| pattern.matches(&content_type)) {
            let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            return Err(Error::new(
                ErrorKind::Rejected,
                format!("the content type '{content_type}' is not allowed"),
            )
            .with_help(format!(
                "allowed are {}; see storage.limits.content_types",
                allowed.join(", ")
            )));
        }
        let mut file = new.file.clone();
        if file.extension.is_none() {
            file.extension = content_type
                .extension()
                .and_then(|extension| Extension::parse(extension).ok());
        }
        let variant = VariantIdentity {
            tenant: new.tenant.clone(),
            artifact: new.artifact.clone().unwrap_or_else(ArtifactId::fresh),
            variant: file.name.clone(),
        };
        let attributes = new.attributes.clone().with_content_type(content_type.clone());
        manager.check_disposition(&attributes)?;
        Ok(Self {
            new,
            variant,
            attributes,
            content_type,
            file,
            has_own_content_type,
        })
    }

    pub(super) fn artifact(&self) -> &ArtifactId {
        &self.variant.artifact
    }

    /// What an inspector is told. A content type that follows from the extension says no more than that.
    pub(super) fn validation(&self) -> Validation {
        let mut validation = Validation::new(self.new.artifact_type.clone());
        validation
            .content_type
            .clone_from(&self.new.attributes.content_type);
        validation.file_name.clone_from(&self.new.file_name);
        let extension = self.new.file.extension.as_ref();
        validation.stored_name =
            extension.map(|extension| format!("{}.{}", self.new.file.name, extension.as_str()));
        validation
    }

    fn key_scope(&self, version: Option<VersionId>) -> KeyScope {
        let (tenant, artifact) = (self.variant.tenant.clone(), self.variant.artifact.clone());
        if self.new.access == AccessClass::Temporary {
            return KeyScope::Temporary(TemporaryScope {
                tenant,
                generation: artifact,
                file: self.file.clone(),
                version,
            });
        }
        KeyScope::Artifact(ArtifactScope {
            tenant,
            artifact_type: self.new.artifact_type.clone(),
            board: self.new.board.clone(),
            artifact,
            file: self.file.clone(),
            version,
        })
    }

    fn route_query(&self, size: RouteSize) -> RouteQuery {
        let mut query = RouteQuery::new(self.new.artifact_type.clone(), size, self.content_type.clone())
            .with_tenant(self.new.tenant.clone())
            .with_access(self.new.access);
        query.board.clone_from(&self.new.board);
        query
    }

    /// Says whether storing would change nothing: the same bytes, and no field that the caller gave differs.
    fn is_same(&self, record: &ArtifactRecord, seen: Option<Seen>) -> bool {
        self.difference(record, seen).is_empty()
    }

    fn difference(&self, record: &ArtifactRecord, seen: Option<Seen>) -> String {
        let mut differing = Vec::new();
        if seen.is_none_or(|seen| seen.size_bytes != record.size_bytes || seen.digest != record.digest) {
            differing.push("its bytes");
        }
        if self.has_own_content_type && self.attributes.content_type != record.attributes.content_type {
            differing.push("its content type");
        }
        let mut asked = self.attributes.clone();
        asked.content_type.clone_from(&record.attributes.content_type);
        if !self.new.attributes.is_empty() && asked != record.attributes {
            differing.push("its attributes");
        }
        if self.new.artifact_type != record.artifact_type {
            differing.push("its artifact type");
        }
        if self.new.board != record.board {
            differing.push("its board");
        }
        if self.new.access != record.access {
            differing.push("its access class");
        }
        differing.join(" and ")
    }

    /// The record as the object's own metadata holds it.
    fn record_text(&self, intent: &Intent) -> Result<String> {
        let record = serde_json::json!({
            "tenant": self.variant.tenant,
            "artifact": self.variant.artifact,
            "type": self.new.artifact_type,
            "board": self.new.board,
            "variant": self.variant.variant,
            "version": intent.version,
            "access": self.new.access,
        });
        serde_json::to_string(&record).map_err(|source| {
            Error::new(ErrorKind::Storage, "the record cannot be written").with_source(source)
        })
    }
}
