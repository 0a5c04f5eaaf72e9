//! The quarantine: bytes that were refused and are kept aside, until somebody has looked, or a scan finds them clean.
//!
//! They have no record, so nothing finds, lists or opens them as an artifact. Beside the bytes, at
//! `{prefix}/{tenant}/{id}/content`, an object `entry.json` says what they were to become. They only go where nobody
//! reads them without us.

use std::sync::Arc;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::store::{Draft, Work, about};
use super::validation::refused;
use super::{ArtifactLocator, ArtifactReference, NewArtifact, OpenOptions, StorageManager};
use crate::audit::AuditOperation;
use crate::capabilities::Capability;
use crate::catalog::Intent;
use crate::content::Content;
use crate::error::{Error, ErrorKind, Result};
use crate::key::StorageKey;
use crate::metadata::ObjectAttributes;
use crate::operation::ListEntry;
use crate::options::{
    AccessClass, CallContext, CopyOptions, DeleteOptions, DownloadOptions, ListOptions, UploadOptions,
};
use crate::protection::EncryptionDemand;
use crate::provider::SharedProvider;
use crate::scope::{ArtifactId, ArtifactType, BoardId, TenantId, VariantFile, VersionId};
use crate::template::{QuarantinePart, quarantine_key};
use crate::transfer::Uploader;
use crate::validation::{Reason, ReasonKind, ScanOutcome, SharedScanner};

use super::inspect::Inspection;

/// An entry that is longer is not one of ours.
const ENTRY_BYTES_MAX: usize = 64 * 1024;

/// Content in quarantine, and what it was to become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QuarantinedContent {
    /// Its id in the quarantine.
    pub id: VersionId,
    /// The name of the provider that holds it.
    #[serde(skip)]
    pub provider: String,
    /// When it came.
    pub at: Timestamp,
    /// Why it is here.
    pub reason: Reason,
    /// The number of bytes; `None` while they are on their way, or if they never came.
    pub size_bytes: Option<u64>,
    /// Whose it is.
    pub tenant: TenantId,
    /// The artifact that it was to be.
    pub artifact: ArtifactId,
    /// The type that it was to have.
    pub artifact_type: ArtifactType,
    /// The board that it was to belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub board: Option<BoardId>,
    /// The variant that it was to be, with its extension.
    pub file: String,
    /// How it was to be reached.
    pub access: AccessClass,
    /// The attributes that it was to have.
    pub attributes: ObjectAttributes,
    /// Whether it was to become a new version.
    pub overwrite: bool,
}

/// What became of content in quarantine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Rescan {
    /// It is clean, and stored now.
    Released(Box<ArtifactReference>),
    /// It stays, for this reason.
    Kept(Reason),
}

/// Where the bytes to be kept come from.
enum Source<'a> {
    Content(Content),
    /// What a write sent to its provider, which copies it.
    Sent(&'a Intent),
}

impl StorageManager {
    /// Keeps refused content aside, and returns the error for its sender, which says so.
    pub(super) async fn keep_aside(&self, draft: &Draft, content: Content, reason: &Reason) -> Error {
        self.aside(draft, Source::Content(content), reason).await
    }

    /// Keeps content aside that was sent already, and is not committed.
    pub(super) async fn move_aside(&self, work: &Work<'_>, content: &Content, reason: &Reason) -> Error {
        let source = if content.can_replay() {
            Source::Content(content.clone())
        } else {
            Source::Sent(&work.intent)
        };
        self.aside(work.draft, source, reason).await
    }

    async fn aside(&self, draft: &Draft, source: Source<'_>, reason: &Reason) -> Error {
        match self.quarantine(draft, source, reason).await {
            Ok(id) => refused(reason, &format!("its bytes are kept in quarantine as {id}")),
            // Worse was found on the way: nothing is kept.
            Err(error) if error.kind() == ErrorKind::Rejected => error,
            Err(error) => refused(reason, "its bytes could not be kept in quarantine").with_source(error),
        }
    }

    async fn quarantine(&self, draft: &Draft, source: Source<'_>, reason: &Reason) -> Result<VersionId> {
        let (name, source) = match source {
            Source::Content(content) => {
                let max = self.inner.settings.size_bytes_max;
                let content = Inspection::default().observe(content, max).await?;
                let (route, content) = self.route(draft, content).await?;
                let is_safe = |name: &&str| self.keeps_secret(name, route.encryption);
                let name = route.providers().find(is_safe).ok_or_else(no_place)?;
                (name.to_owned(), Source::Content(content))
            }
            Source::Sent(intent) if !self.keeps_secret(&intent.provider, EncryptionDemand::None) => {
                return Err(no_place());
            }
            Source::Sent(intent) => (intent.provider.clone(), source),
        };
        let provider = self.provider(&name)?;
        // A copy of what is encrypted keeps the id that it was encrypted for.
        let id = match &source {
            Source::Content(_) => VersionId::fresh(),
            Source::Sent(intent) => intent.version,
        };
        let tenant = &draft.new.tenant;
        let prefix = &self.inner.settings.quarantine_prefix;
        let key = quarantine_key(prefix, tenant, id, QuarantinePart::Content)?;
        let entry_key = quarantine_key(prefix, tenant, id, QuarantinePart::Entry)?;
        let mut entry = draft.entry(id, self.inner.clock.now(), reason);
        // The entry comes first, so that nothing lies here that is not listed.
        let context = &about(&draft.new.context, tenant, id);
        write_entry(&provider, &entry_key, &entry, context).await?;
        let filled = self.fill(context, &provider, source, &key).await;
        let written = match filled {
            Ok(size_bytes) => {
                entry.size_bytes = Some(size_bytes);
                write_entry(&provider, &entry_key, &entry, context).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            let delete = DeleteOptions::default().with_context(context.clone());
            for key in [&key, &entry_key] {
                let _ = provider.delete(key, &delete).await;
            }
            return Err(error);
        }
        tracing::warn!(quarantine.id = %id, reason = reason.kind.name(), "content is kept in quarantine");
        Ok(id)
    }

    /// Refuses a key in the quarantine, which no artifact may have.
    pub(super) fn check_no_quarantine(&self, key: &StorageKey) -> Result<()> {
        let prefix = &self.inner.settings.quarantine_prefix;
        let rest = key.as_str().strip_prefix(prefix.as_str());
        if self.inspector.is_some() && rest.is_some_and(|rest| rest.starts_with('/')) {
            return Err(Error::invalid_input(format!(
                "the key would begin with '{prefix}/', where refused content is kept"
            ))
            .with_help("use another tenant id, or another storage.validation.quarantine_prefix"));
        }
        Ok(())
    }

    /// Says whether nobody reads a provider's objects without us.
    fn keeps_secret(&self, provider: &str, demand: EncryptionDemand) -> bool {
        let protection = self.protection(provider);
        protection.is_ok_and(|protection| protection.shortfall(AccessClass::Private, demand).is_none())
    }

    /// Brings the bytes to their place. They have no content type there.
    async fn fill(
        &self,
        context: &CallContext,
        provider: &SharedProvider,
        source: Source<'_>,
        key: &StorageKey,
    ) -> Result<u64> {
        let context = context.clone();
        let stored = match source {
            Source::Content(content) => {
                let options = UploadOptions::default().with_context(context);
                let uploader =
                    Uploader::new(Arc::clone(provider)).with_settings(self.inner.settings.uploader);
                uploader.upload(key, content, &options).await?
            }
            Source::Sent(intent) => {
                let options = CopyOptions::default().with_context(context);
                provider.copy(&intent.key, key, &options).await?
            }
        };
        Ok(stored.size_bytes)
    }

    /// Returns everything that is in quarantine, oldest first for each tenant. Providers that cannot list have nothing
    /// to tell.
    ///
    /// # Errors
    ///
    /// What the providers answer.
    ///
    /// # Examples
    ///
    /// ```
    /// use boards_storage_core::{CallContext, Result, StorageManager};
    ///
    /// async fn show(manager: &StorageManager) -> Result<()> {
    ///     for entry in manager.list_quarantined(&CallContext::default()).await? {
    ///         println!("{} {} {}", entry.id, entry.reason.kind, entry.artifact);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub async fn list_quarantined(&self, context: &CallContext) -> Result<Vec<QuarantinedContent>> {
        let context = self.context_of(context);
        let mut entries = Vec::new();
        for name in self.provider_names() {
            let provider = self.provider(&name)?;
            if !provider.capabilities().has(Capability::List) {
                continue;
            }
            let prefix = format!("{}/", self.inner.settings.quarantine_prefix);
            let options = ListOptions::default()
                .with_context(context.clone())
                .with_prefix(prefix);
            let mut listed = provider.list(&options).await?;
            while let Some(item) = listed.try_next().await? {
                let ListEntry::Object(object) = item else { continue };
                if let Some(entry) = self.read_entry(&name, &provider, &object.key, &context).await? {
                    entries.push(entry);
                }
            }
        }
        Ok(entries)
    }

    /// Reads an entry; `None` for an object that is none of ours.
    async fn read_entry(
        &self,
        name: &str,
        provider: &SharedProvider,
        key: &StorageKey,
        context: &CallContext,
    ) -> Result<Option<QuarantinedContent>> {
        let prefix = &self.inner.settings.quarantine_prefix;
        let Some((tenant, id)) = entry_names(prefix, key) else {
            return Ok(None);
        };
        let options = DownloadOptions::default().with_context(about(context, &tenant, id));
        let text = match provider.download(key, &options).await {
            Ok(outcome) => outcome.into_object()?.bytes(ENTRY_BYTES_MAX).await?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Ok(mut entry) = serde_json::from_slice::<QuarantinedContent>(&text) else {
            return Ok(None);
        };
        name.clone_into(&mut entry.provider);
        Ok(((&entry.tenant, entry.id) == (&tenant, id)).then_some(entry))
    }

    /// Scans content in quarantine. If it is clean, and it was kept for the scanner's sake alone, it is stored as what
    /// it was to become, through every other check, and leaves the quarantine. What was kept because it is not what it
    /// says stays; [`StorageManager::release_quarantined`] stores it all the same.
    ///
    /// # Errors
    ///
    /// `Configuration` without a scanner; what the scanner, the provider and
    /// [`StorageManager::store_artifact`] answer.
    ///
    /// # Examples
    ///
    /// ```
    /// use boards_storage_core::{CallContext, Rescan, Result, StorageManager};
    ///
    /// async fn rescan_all(manager: &StorageManager) -> Result<()> {
    ///     let context = CallContext::default();
    ///     for entry in manager.list_quarantined(&context).await? {
    ///         if let Rescan::Released(reference) = manager.rescan(&entry, &context).await? {
    ///             println!("{} is available as {}", entry.id, reference.artifact_id);
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub async fn rescan(&self, entry: &QuarantinedContent, context: &CallContext) -> Result<Rescan> {
        let context = self.context_of(context);
        let scanner = self.scanner()?;
        let content = self.quarantined_content(entry, &context)?;
        let outcome = scanner.scan(content.open().await?).await?;
        let policy = self
            .inspector()
            .map(|inspector| inspector.scan_policy())
            .unwrap_or_default();
        if let Some(reason) = policy.decide(&Ok(outcome)).reason() {
            return Ok(Rescan::Kept(reason.clone()));
        }
        let for_scan = [
            ReasonKind::Malware,
            ReasonKind::ScanFailed,
            ReasonKind::ScanPending,
        ];
        if !for_scan.contains(&entry.reason.kind) {
            return Ok(Rescan::Kept(entry.reason.clone()));
        }
        let manager = match self.inspector() {
            Some(inspector) => self.clone().with_inspector(inspector.without_scanner()),
            None => self.clone(),
        };
        let reference = manager.store_entry(entry, &context).await?;
        Ok(Rescan::Released(Box::new(reference)))
    }

    /// Stores content in quarantine as what it was to become, without any check: somebody has looked at it. It leaves the
    /// quarantine.
    ///
    /// # Errors
    ///
    /// What the provider and [`StorageManager::store_artifact`] answer.
    ///
    /// # Examples
    ///
    /// ```
    /// use boards_storage_core::{ArtifactReference, CallContext, QuarantinedContent, Result, StorageManager};
    ///
    /// async fn overrule(manager: &StorageManager, entry: &QuarantinedContent) -> Result<ArtifactReference> {
    ///     manager.release_quarantined(entry, &CallContext::default()).await
    /// }
    /// ```
    pub async fn release_quarantined(
        &self,
        entry: &QuarantinedContent,
        context: &CallContext,
    ) -> Result<ArtifactReference> {
        let context = self.context_of(context);
        let mut manager = self.clone();
        manager.inspector = None;
        manager.store_entry(entry, &context).await
    }

    async fn store_entry(
        &self,
        entry: &QuarantinedContent,
        context: &CallContext,
    ) -> Result<ArtifactReference> {
        let mut new = NewArtifact::new(entry.artifact_type.clone())
            .with_context(context.clone())
            .with_artifact(entry.artifact.clone())
            .with_tenant(entry.tenant.clone())
            .with_variant(VariantFile::parse(&entry.file)?)
            .with_access(entry.access)
            .with_attributes(entry.attributes.clone());
        new.board.clone_from(&entry.board);
        new.overwrite = entry.overwrite;
        let content = self.quarantined_content(entry, context)?;
        let reference = self.store_artifact(new, content).await?;
        self.remove_quarantined(entry, context).await?;
        Ok(reference)
    }

    /// Removes content from the quarantine for good. Idempotent.
    ///
    /// # Errors
    ///
    /// What the provider answers.
    ///
    /// # Examples
    ///
    /// ```
    /// use boards_storage_core::{CallContext, Result, StorageManager};
    ///
    /// async fn empty(manager: &StorageManager) -> Result<()> {
    ///     let context = CallContext::default();
    ///     for entry in manager.list_quarantined(&context).await? {
    ///         manager.purge_quarantined(&entry, &context).await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub async fn purge_quarantined(&self, entry: &QuarantinedContent, context: &CallContext) -> Result<()> {
        let context = self.context_of(context);
        let mut recording = self.record_begin(AuditOperation::Delete, &context).await?;
        recording.note(|event| {
            event.tenant = Some(entry.tenant.clone());
            event.artifact = Some(entry.artifact.clone());
            event.provider = Some(entry.provider.clone());
        });
        let removed = self.remove_quarantined(entry, &context).await;
        recording.end(removed).await
    }

    async fn remove_quarantined(&self, entry: &QuarantinedContent, context: &CallContext) -> Result<()> {
        let provider = self.provider(&entry.provider)?;
        let prefix = &self.inner.settings.quarantine_prefix;
        let options = DeleteOptions::default().with_context(context.clone());
        // The entry goes last: until then everything can be found.
        for part in [QuarantinePart::Content, QuarantinePart::Entry] {
            let key = quarantine_key(prefix, &entry.tenant, entry.id, part)?;
            provider.delete(&key, &options).await?;
        }
        Ok(())
    }

    fn quarantined_content(&self, entry: &QuarantinedContent, context: &CallContext) -> Result<Content> {
        let provider = self.provider(&entry.provider)?;
        let prefix = &self.inner.settings.quarantine_prefix;
        let key = quarantine_key(prefix, &entry.tenant, entry.id, QuarantinePart::Content)?;
        let options = DownloadOptions::default().with_context(about(context, &entry.tenant, entry.id));
        Ok(Content::from_factory(entry.size_bytes, move || {
            let (provider, key, options) = (Arc::clone(&provider), key.clone(), options.clone());
            Box::pin(async move {
                let outcome = provider.download(&key, &options).await?;
                Ok(outcome.into_object()?.into_stream())
            })
        }))
    }

    /// Scans an artifact that is stored. Nothing becomes of it: the caller decides.
    ///
    /// # Errors
    ///
    /// `Configuration` without a scanner; as [`StorageManager::open_artifact`]; what the scanner answers.
    ///
    /// # Examples
    ///
    /// ```
    /// use boards_storage_core::{ArtifactReference, CallContext, Result, ScanOutcome, StorageManager};
    ///
    /// async fn is_clean(manager: &StorageManager, reference: &ArtifactReference) -> Result<bool> {
    ///     let outcome = manager.scan_artifact(reference, &CallContext::default()).await?;
    ///     Ok(outcome == ScanOutcome::Clean)
    /// }
    /// ```
    pub async fn scan_artifact(
        &self,
        locator: impl Into<ArtifactLocator>,
        context: &CallContext,
    ) -> Result<ScanOutcome> {
        let scanner = self.scanner()?;
        let options = OpenOptions {
            context: self.context_of(context),
            ..OpenOptions::default()
        };
        let download = self.open_artifact(locator, &options).await?;
        scanner.scan(download.into_stream()).await
    }

    fn scanner(&self) -> Result<SharedScanner> {
        let scanner = self.inspector().and_then(|inspector| inspector.scanner());
        scanner.cloned().ok_or_else(|| {
            Error::configuration("there is no scanner for malware")
                .with_help("name one in storage.validation.scan.scanner, such as {type: clamav, address: '127.0.0.1:3310'}")
        })
    }
}

async fn write_entry(
    provider: &SharedProvider,
    key: &StorageKey,
    entry: &QuarantinedContent,
    context: &CallContext,
) -> Result<()> {
    let text = serde_json::to_vec(entry).map_err(|source| {
        Error::new(
            ErrorKind::Storage,
            "the entry of the quarantine cannot be written",
        )
        .with_source(source)
    })?;
    let options = UploadOptions::default().with_context(context.clone());
    provider
        .upload(key, Content::from(text), &options)
        .await
        .map(drop)
}

/// Whose entry a key names, and which; `None` if it is not the key of an entry.
fn entry_names(prefix: &str, key: &StorageKey) -> Option<(TenantId, VersionId)> {
    let rest = key.as_str().strip_prefix(prefix)?.strip_prefix('/')?;
    let (tenant, rest) = rest.split_once('/')?;
    let id = rest.strip_suffix("/entry.json")?;
    let (tenant, id) = (TenantId::parse(tenant).ok()?, VersionId::parse(id).ok()?);
    let own = quarantine_key(prefix, &tenant, id, QuarantinePart::Entry).ok()?;
    (own == *key).then_some((tenant, id))
}

fn no_place() -> Error {
    Error::configuration("no provider of the route keeps what is not public from those who ask without us")
        .with_help("declare `protection: {reach: private}` of one that does")
}

impl Draft {
    /// What the quarantine keeps beside the bytes.
    fn entry(&self, id: VersionId, at: Timestamp, reason: &Reason) -> QuarantinedContent {
        let new = &self.new;
        let extension = new.file.extension.as_ref();
        let file = match extension {
            Some(extension) => format!("{}.{}", new.file.name, extension.as_str()),
            None => new.file.name.to_string(),
        };
        QuarantinedContent {
            id,
            provider: String::new(),
            at,
            reason: reason.clone(),
            size_bytes: None,
            tenant: new.tenant.clone(),
            artifact: self.artifact().clone(),
            artifact_type: new.artifact_type.clone(),
            board: new.board.clone(),
            file,
            access: new.access,
            attributes: new.attributes.clone(),
            overwrite: new.overwrite,
        }
    }
}
