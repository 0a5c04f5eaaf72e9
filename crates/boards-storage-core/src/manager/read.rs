//! Finding and opening artifacts.

use tracing::Instrument as _;

use super::audited::record_download;
use super::place::Failures;
use super::store::about;
use super::{
    ArtifactLocator, ArtifactMetadata, ArtifactPage, ArtifactReference, DownloadUrl, StorageManager,
};
use crate::audit::{AuditEvent, AuditOperation, Recording, SignedFacts};
use crate::capabilities::Capability;
use crate::catalog::{ArtifactQuery, ArtifactRecord, CatalogEvent, EventQuery, Replica, VersionSelector};
use crate::checksum::Digest;
use crate::download::Download;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::{check_digest, verified};
use crate::key::StorageKey;
use crate::metadata::ObjectMetadata;
use crate::options::{AccessClass, CallContext, CallOptions, DownloadOptions, PresignDownloadOptions};
use crate::provider::SharedProvider;
use crate::range::ByteRange;
use crate::signed::{SignedMethod, SignedRequest};
use crate::transfer::Downloader;

/// Options of [`StorageManager::open_artifact`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct OpenOptions {
    /// What travels with the calls.
    pub context: CallContext,
    /// Which bytes; all by default.
    pub range: Option<ByteRange>,
}

impl OpenOptions {
    /// Sets what travels with the calls.
    #[must_use]
    pub fn with_context(mut self, context: CallContext) -> Self {
        self.context = context;
        self
    }

    /// Asks for a part of the bytes.
    #[must_use]
    pub fn with_range(mut self, range: ByteRange) -> Self {
        self.range = Some(range);
        self
    }
}

impl StorageManager {
    /// Returns the reference of a stored variant.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub async fn get_artifact_reference(
        &self,
        locator: impl Into<ArtifactLocator>,
    ) -> Result<ArtifactReference> {
        let locator = locator.into();
        let mut recording = self.record_plain(AuditOperation::Reference).await?;
        recording.note(|event| event.asked(&locator));
        let found = async { self.reference(&self.record(&locator).await?).await }
            .instrument(recording.span())
            .await;
        recording.end_with(found, AuditEvent::shown).await
    }

    /// Returns the reference of what stands at a key.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub async fn find_by_key(&self, key: &StorageKey) -> Result<ArtifactReference> {
        let mut recording = self.record_plain(AuditOperation::FindByKey).await?;
        recording.note(|event| event.key = Some(key.clone()));
        let found = self.find_reference(key).instrument(recording.span()).await;
        recording.end_with(found, AuditEvent::shown).await
    }

    async fn find_reference(&self, key: &StorageKey) -> Result<ArtifactReference> {
        let record = self.inner.catalog.find_by_key(key).await?;
        let record = record.ok_or_else(|| Error::not_found("no artifact has this key").with_key(key))?;
        self.reference(&record).await
    }

    /// Opens a variant's bytes as a stream, all or a range.
    ///
    /// The bytes are those of the version that the locator named when it was opened. If the first replica cannot be
    /// opened, whatever the reason, the next one is. A full read is checked against
    /// the record's digest: wrong bytes end it with `Corruption` instead of the last piece.
    ///
    /// # Errors
    ///
    /// `NotFound`; `InvalidInput` for a range beyond the end; `Corruption` if the store no longer has the bytes of
    /// the record; what the provider answers.
    pub async fn open_artifact(
        &self,
        locator: impl Into<ArtifactLocator>,
        options: &OpenOptions,
    ) -> Result<Download> {
        let locator = locator.into();
        let options = OpenOptions {
            context: self.context_of(&options.context),
            ..options.clone()
        };
        let mut recording = self.record_begin(AuditOperation::Open, &options.context).await?;
        recording.note(|event| event.asked(&locator));
        let span = recording.span();
        let opened = self
            .open(&locator, &options, &mut recording)
            .instrument(span)
            .await;
        record_download(recording, opened).await
    }

    async fn open(
        &self,
        locator: &ArtifactLocator,
        options: &OpenOptions,
        recording: &mut Recording,
    ) -> Result<Download> {
        let record = self.record(locator).await?;
        recording.note(|event| event.found(&record));
        if let Some(range) = options.range {
            range.resolve(record.size_bytes)?;
        }
        let mut tries = Tries::of(&record, &options.context);
        while let Some(replica) = tries.next() {
            match self.open_replica(&record, replica, options).await {
                Ok(download) => {
                    recording.note(|event| event.at(replica));
                    return Ok(download);
                }
                Err(error) => tries.failed(replica, error),
            }
        }
        Err(self.lost_or_gone(&record, tries.sum_up()).await)
    }

    /// Tells bytes that were lost from those whose version was deleted since its record was looked up: records go
    /// first, so the catalog knows.
    pub(super) async fn lost_or_gone(&self, record: &ArtifactRecord, error: Error) -> Error {
        if error.kind() != ErrorKind::Corruption {
            return error;
        }
        let version = VersionSelector::Id(record.version);
        match self.inner.catalog.find(&record.variant, version).await {
            Ok(None) => Error::not_found("the version was deleted while it was opened")
                .with_key(&record.primary().key)
                .with_source(error),
            Ok(Some(_)) | Err(_) => error,
        }
    }

    async fn open_replica(
        &self,
        record: &ArtifactRecord,
        replica: &Replica,
        options: &OpenOptions,
    ) -> Result<Download> {
        let provider = self.provider(&replica.provider)?;
        let mut download = DownloadOptions::default().with_context(about(
            &options.context,
            &record.variant.tenant,
            record.version,
        ));
        download.range = options.range;
        if provider.capabilities().has(Capability::ConditionalDownload) {
            download.if_match.clone_from(&replica.etag);
        }
        let downloader = Downloader::new(provider).with_settings(self.inner.settings.downloader);
        let opened = downloader
            .download(&replica.key, &download)
            .await
            .map_err(|error| lost(replica, error))?;
        let opened = opened.into_object()?;
        let mut metadata = same_size(record, ObjectMetadata::clone(opened.metadata()))?;
        metadata.attributes = record.attributes.clone();
        metadata.digest = Some(record.digest);
        metadata.created = Some(record.created_at);
        let opened = opened.with_metadata(metadata);
        if !opened.is_whole() {
            return Ok(opened);
        }
        match opened.as_bytes() {
            Some(bytes) => {
                let found = Digest::of(record.digest.algorithm(), bytes);
                check_digest(record.digest, found).map_err(|error| error.with_key(&replica.key))?;
                Ok(opened)
            }
            None => Ok(opened.map_stream(|stream| verified(stream, record.digest))),
        }
    }

    /// Returns a URL by which the bytes can be fetched without credentials: the public one of a public artifact, a
    /// signed one of a private or temporary artifact.
    ///
    /// With an [`InlinePolicy`](crate::InlinePolicy), a signed URL of a type that may not be inline serves an attachment, as
    /// far as the provider can say so.
    ///
    /// # Errors
    ///
    /// `NotFound`; `AccessDenied` for an `authenticated` artifact; `Rejected` if an inline disposition is asked for a type
    /// that is never served inline; `Unsupported` if the provider can do neither.
    pub async fn get_download_url(
        &self,
        locator: impl Into<ArtifactLocator>,
        options: &PresignDownloadOptions,
    ) -> Result<DownloadUrl> {
        let locator = locator.into();
        let options = options.clone().with_context(self.context_of(&options.context));
        let mut recording = self
            .record_begin(AuditOperation::DownloadUrl, &options.context)
            .await?;
        recording.note(|event| event.asked(&locator));
        let span = recording.span();
        let issued = self
            .issue_url(&locator, &options, &mut recording)
            .instrument(span)
            .await;
        recording
            .end_with(issued, |event, url| {
                event.signed = Some(SignedFacts::of(&url.request))
            })
            .await
    }

    async fn issue_url(
        &self,
        locator: &ArtifactLocator,
        options: &PresignDownloadOptions,
        recording: &mut Recording,
    ) -> Result<DownloadUrl> {
        let record = self.record(locator).await?;
        recording.note(|event| event.found(&record));
        if record.access == AccessClass::Authenticated {
            return Err(
                Error::new(ErrorKind::AccessDenied, "an authenticated artifact has no URL")
                    .with_key(&record.primary().key)
                    .with_help("open it through the manager"),
            );
        }
        let mut tries = Tries::of(&record, &options.context);
        while let Some(replica) = tries.next() {
            match self.url_of(&record, replica, options).await {
                Ok(url) => {
                    recording.note(|event| event.at(replica));
                    return Ok(url);
                }
                Err(error) => tries.failed(replica, error),
            }
        }
        Err(tries.sum_up())
    }

    async fn url_of(
        &self,
        record: &ArtifactRecord,
        replica: &Replica,
        options: &PresignDownloadOptions,
    ) -> Result<DownloadUrl> {
        let provider = self.provider(&replica.provider)?;
        let has_public = provider.capabilities().has(Capability::PublicUrl);
        if record.access == AccessClass::Public && has_public {
            let call = CallOptions::default().with_context(options.context.clone());
            let url = provider.public_url(&replica.key, &call).await?;
            let request = SignedRequest::new(SignedMethod::Get, url, jiff::Timestamp::MAX);
            return Ok(DownloadUrl {
                request,
                is_public: true,
            });
        }
        let attached = self.signed_as_attachment(record, options)?;
        let signed = match &attached {
            Some(attached) => match provider.presigned_download_url(&replica.key, attached).await {
                // A store that cannot say so serves it as it does.
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    provider.presigned_download_url(&replica.key, options).await
                }
                signed => signed,
            },
            None => provider.presigned_download_url(&replica.key, options).await,
        };
        let request = signed.map_err(|error| match error.kind() {
            ErrorKind::Unsupported if error.help().is_none() => error.with_key(&replica.key).with_help(
                "store it with access 'public' on a provider with a public URL, or read it through the program",
            ),
            _ => error,
        })?;
        Ok(DownloadUrl {
            request,
            is_public: false,
        })
    }

    /// Returns all that is known of a variant: its record, and what the store says now.
    ///
    /// # Errors
    ///
    /// `NotFound`; `Corruption` if the store does not have the record's bytes; what the provider answers.
    pub async fn artifact_metadata(
        &self,
        locator: impl Into<ArtifactLocator>,
        context: &CallContext,
    ) -> Result<ArtifactMetadata> {
        let (locator, context) = (locator.into(), self.context_of(context));
        let mut recording = self.record_begin(AuditOperation::Metadata, &context).await?;
        recording.note(|event| event.asked(&locator));
        let span = recording.span();
        let metadata = self
            .look_up(&locator, &context, &mut recording)
            .instrument(span)
            .await;
        recording.end(metadata).await
    }

    async fn look_up(
        &self,
        locator: &ArtifactLocator,
        context: &CallContext,
        recording: &mut Recording,
    ) -> Result<ArtifactMetadata> {
        let record = self.record(locator).await?;
        recording.note(|event| event.found(&record));
        let mut object = self.object_of(&record, context).await?;
        object
            .attributes
            .user_metadata
            .retain(|name, _| !name.starts_with("boards-storage-"));
        Ok(ArtifactMetadata {
            reference: self.reference(&record).await?,
            attributes: record.attributes.clone(),
            replicas: record.replicas.clone(),
            object,
        })
    }

    async fn object_of(&self, record: &ArtifactRecord, context: &CallContext) -> Result<ObjectMetadata> {
        let call =
            CallOptions::default().with_context(about(context, &record.variant.tenant, record.version));
        let mut tries = Tries::of(record, context);
        while let Some(replica) = tries.next() {
            let found = match self.provider(&replica.provider) {
                Ok(provider) => provider.metadata(&replica.key, &call).await,
                Err(error) => Err(error),
            };
            let found = found.map_err(|error| lost(replica, error));
            match found.and_then(|found| same_size(record, found)) {
                Ok(object) => return Ok(object),
                Err(error) => tries.failed(replica, error),
            }
        }
        Err(self.lost_or_gone(record, tries.sum_up()).await)
    }

    /// Lists present versions, ordered by tenant, artifact and variant, a page at a time.
    ///
    /// # Errors
    ///
    /// What the catalog answers.
    pub async fn list_artifacts(&self, query: &ArtifactQuery) -> Result<ArtifactPage> {
        let mut recording = self.record_plain(AuditOperation::List).await?;
        recording.note(|event| {
            event.tenant.clone_from(&query.tenant);
            event.board.clone_from(&query.board);
            event.artifact_type.clone_from(&query.artifact_type);
            event.artifact.clone_from(&query.artifact);
        });
        let page = self.page(query).instrument(recording.span()).await;
        recording
            .end_with(page, |event, page| {
                event.count = Some(page.artifacts.len() as u64)
            })
            .await
    }

    async fn page(&self, query: &ArtifactQuery) -> Result<ArtifactPage> {
        let page = self.inner.catalog.list(query).await?;
        let artifacts = self.references(&page.records).await?;
        Ok(ArtifactPage {
            artifacts,
            next: page.next,
        })
    }

    /// Lists changes of the records, oldest first, a page at a time: what the catalog's event log says.
    ///
    /// # Errors
    ///
    /// What the catalog answers.
    pub async fn list_events(&self, query: &EventQuery) -> Result<Vec<CatalogEvent>> {
        let mut recording = self.record_plain(AuditOperation::Events).await?;
        recording.note(|event| {
            event.tenant.clone_from(&query.tenant);
            event.artifact.clone_from(&query.artifact);
        });
        let events = self
            .inner
            .catalog
            .events(query)
            .instrument(recording.span())
            .await;
        recording
            .end_with(events, |event, events| event.count = Some(events.len() as u64))
            .await
    }

    /// Returns all versions of a variant, newest first; empty if there is none.
    ///
    /// # Errors
    ///
    /// What the catalog answers.
    pub async fn list_versions(&self, locator: impl Into<ArtifactLocator>) -> Result<Vec<ArtifactReference>> {
        let locator = locator.into();
        let mut recording = self.record_plain(AuditOperation::Versions).await?;
        recording.note(|event| event.asked(&locator));
        let versions = async {
            let records = self.inner.catalog.versions(&locator.identity()).await?;
            self.references(&records).await
        }
        .instrument(recording.span())
        .await;
        recording
            .end_with(versions, |event, versions| {
                event.count = Some(versions.len() as u64)
            })
            .await
    }

    pub(super) async fn record(&self, locator: &ArtifactLocator) -> Result<ArtifactRecord> {
        let found = self
            .inner
            .catalog
            .find(&locator.identity(), locator.version)
            .await?;
        found.ok_or_else(|| {
            let version = match locator.version {
                VersionSelector::Current => String::new(),
                VersionSelector::Number(number) => format!("version {number} of "),
                VersionSelector::Id(id) => format!("version {id} of "),
            };
            Error::not_found(format!(
                "there is no {version}variant '{}' of an artifact '{}' of the tenant '{}'",
                locator.variant, locator.artifact, locator.tenant
            ))
        })
    }

    pub(super) async fn references(&self, records: &[ArtifactRecord]) -> Result<Vec<ArtifactReference>> {
        let mut references = Vec::with_capacity(records.len());
        for record in records {
            references.push(self.reference(record).await?);
        }
        Ok(references)
    }

    pub(super) async fn reference(&self, record: &ArtifactRecord) -> Result<ArtifactReference> {
        let replica = record.primary();
        if record.access != AccessClass::Public {
            return Ok(ArtifactReference::new(record, replica.url()));
        }
        // A record of a provider that is no longer configured can still be shown.
        let provider = self.provider(&replica.provider).ok();
        let url = match provider
            .filter(|provider: &SharedProvider| provider.capabilities().has(Capability::PublicUrl))
        {
            Some(provider) => provider.public_url(&replica.key, &CallOptions::default()).await?,
            None => replica.url(),
        };
        Ok(ArtifactReference::new(record, url))
    }
}

/// Checks that the store has an object as large as the record's.
fn same_size(record: &ArtifactRecord, found: ObjectMetadata) -> Result<ObjectMetadata> {
    if found.size_bytes == record.size_bytes {
        return Ok(found);
    }
    Err(Error::new(
        ErrorKind::Corruption,
        format!(
            "the record says {} bytes, the store has {}",
            record.size_bytes, found.size_bytes
        ),
    )
    .with_key(&found.key))
}

/// The replicas of a record in the order in which they are asked, and what those that were asked said.
///
/// What one cannot give, another may, so only a wrong request and the caller's deadline end the search. A replica that
/// is passed by is told in the log, since nobody else hears of it.
pub(super) struct Tries<'r> {
    waiting: std::slice::Iter<'r, Replica>,
    context: &'r CallContext,
    failures: Failures,
}

impl<'r> Tries<'r> {
    pub(super) fn of(record: &'r ArtifactRecord, context: &'r CallContext) -> Self {
        Self {
            waiting: record.replicas.iter(),
            context,
            failures: Failures::default(),
        }
    }

    pub(super) fn next(&mut self) -> Option<&'r Replica> {
        self.waiting.next()
    }

    pub(super) fn failed(&mut self, replica: &Replica, error: Error) {
        let is_late = self.context.remaining().is_some_and(|left| left.is_zero());
        if is_late || error.kind() == ErrorKind::InvalidInput {
            self.waiting = [].iter();
        }
        if !self.waiting.as_slice().is_empty() {
            tracing::warn!(
                provider = replica.provider,
                error.kind = error.kind().name(),
                %error,
                "a replica cannot be read; the next one is asked"
            );
        }
        self.failures.note(&replica.provider, error);
    }

    /// The error of the first replica; where several were asked, with what each said.
    pub(super) fn sum_up(self) -> Error {
        self.failures.sum_up("no replica can be read", &[])
    }
}

/// A store that does not have what the record says has lost or changed it.
pub(super) fn lost(replica: &Replica, error: Error) -> Error {
    let problem = match error.kind() {
        ErrorKind::NotFound => "the store does not have the bytes of the record",
        ErrorKind::PreconditionFailed => "the bytes at the store were changed since they were recorded",
        _ => return error,
    };
    Error::new(ErrorKind::Corruption, problem)
        .with_provider(replica.provider.as_str())
        .with_key(&replica.key)
        .with_help("restore the object from a replica or a backup, or delete the artifact")
        .with_source(error)
}
