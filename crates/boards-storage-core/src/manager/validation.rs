//! Validation on the way in, and what may be served inline on the way out.

use super::StorageManager;
use super::store::{Draft, Work};
use crate::catalog::ArtifactRecord;
use crate::content::Content;
use crate::content_type::ContentType;
use crate::error::{Error, ErrorKind, Result};
use crate::metadata::ObjectAttributes;
use crate::options::{AccessClass, PresignDownloadOptions};
use crate::validation::{ContentVerdict, Disposition, InlinePolicy, Inspected, Inspector, Reason};

impl StorageManager {
    /// Returns the manager with an inspector: from now on this handle and its clones let every content that is stored
    /// pass it. Handles that were cloned before do not.
    ///
    /// # Examples
    ///
    /// ```
    /// use boards_storage_core::{Inspector, SharedValidator, StorageManager};
    ///
    /// fn checked(manager: StorageManager, validator: SharedValidator) -> StorageManager {
    ///     manager.with_inspector(Inspector::default().with_validator(validator))
    /// }
    /// ```
    #[must_use]
    pub fn with_inspector(mut self, inspector: Inspector) -> Self {
        self.inspector = Some(std::sync::Arc::new(inspector));
        self
    }

    /// Returns the inspector, if there is one.
    #[must_use]
    pub fn inspector(&self) -> Option<&Inspector> {
        self.inspector.as_deref()
    }

    /// Judges the head of content that is to be stored, and returns it so that the rest is judged while it flows.
    ///
    /// # Errors
    ///
    /// `Rejected` if the head is refused. What is to be quarantined is kept aside by then.
    pub(super) async fn inspect(
        &self,
        draft: &Draft,
        content: Content,
    ) -> Result<(Content, Option<Inspected>)> {
        let Some(inspector) = self.inspector() else {
            return Ok((content, None));
        };
        let inspected = inspector.inspect_content(&draft.validation(), content).await?;
        match &inspected.head().verdict {
            ContentVerdict::Accepted => Ok((inspected.content(), Some(inspected))),
            ContentVerdict::Rejected { reason } => Err(reason.to_error()),
            ContentVerdict::Quarantined { reason } => {
                Err(Box::pin(self.keep_aside(draft, inspected.content(), reason)).await)
            }
        }
    }

    /// Refuses what was sent, if its end was: rejected content is an error already, quarantined is kept aside here.
    pub(super) async fn judge_end(&self, work: &Work<'_>, content: &Content) -> Result<()> {
        match work.inspected.and_then(Inspected::verdict) {
            Some(ContentVerdict::Quarantined { reason }) => {
                Err(Box::pin(self.move_aside(work, content, &reason)).await)
            }
            Some(ContentVerdict::Rejected { reason }) => Err(reason.to_error()),
            Some(ContentVerdict::Accepted) | None => Ok(()),
        }
    }

    /// Refuses a disposition that would let a browser run what is stored.
    pub(super) fn check_disposition(&self, attributes: &ObjectAttributes) -> Result<()> {
        let Some(asked) = attributes.content_disposition.as_deref() else {
            return Ok(());
        };
        let octets = ContentType::octet_stream();
        let content_type = attributes.content_type.as_ref().unwrap_or(&octets);
        if self.inner.settings.inline.is_none()
            || is_attachment(asked)
            || !InlinePolicy::is_active(content_type)
        {
            return Ok(());
        }
        Err(never_inline(content_type))
    }

    /// The attributes that an object gets, so that its public URL serves it as the policy says.
    pub(super) fn served(&self, mut attributes: ObjectAttributes, access: AccessClass) -> ObjectAttributes {
        if access == AccessClass::Public
            && attributes.content_disposition.is_none()
            && let Some(policy) = &self.inner.settings.inline
            && let Some(content_type) = &attributes.content_type
            && policy.disposition(content_type) == Disposition::Attachment
        {
            attributes.content_disposition = Some("attachment".to_owned());
        }
        attributes
    }

    /// The options of a signed URL, so that it serves the artifact as the policy says.
    ///
    /// # Errors
    ///
    /// `Rejected` if the caller asks for inline what never is.
    pub(super) fn signed_as_attachment(
        &self,
        record: &ArtifactRecord,
        options: &PresignDownloadOptions,
    ) -> Result<Option<PresignDownloadOptions>> {
        let Some(policy) = &self.inner.settings.inline else {
            return Ok(None);
        };
        let octets = ContentType::octet_stream();
        let stored = record.attributes.content_type.as_ref().unwrap_or(&octets);
        let content_type = options.content_type.as_ref().unwrap_or(stored);
        if policy.disposition(content_type) == Disposition::Inline {
            return Ok(None);
        }
        let own = record.attributes.content_disposition.as_deref();
        match options.content_disposition.as_deref() {
            Some(asked) if is_attachment(asked) => Ok(None),
            Some(_) if InlinePolicy::is_active(content_type) => Err(never_inline(content_type)),
            // The caller knows better of what holds no code.
            Some(_) => Ok(None),
            None if own.is_some_and(is_attachment) => Ok(None),
            None => Ok(Some(options.clone().with_content_disposition("attachment"))),
        }
    }
}

fn is_attachment(disposition: &str) -> bool {
    let kind = disposition.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("attachment")
}

fn never_inline(content_type: &ContentType) -> Error {
    Error::new(
        ErrorKind::Rejected,
        format!("the content type '{content_type}' is never served inline: a browser would run its code"),
    )
    .with_help("ask for an attachment, or leave the disposition out")
}

/// The error of content that is refused and kept, or that should have been.
pub(super) fn refused(reason: &Reason, more: &str) -> Error {
    Reason::new(reason.kind, format!("{}; {more}", reason.message)).to_error()
}
