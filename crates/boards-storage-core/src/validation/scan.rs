//! Malware: who looks for it, and what is done with the answer.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::verdict::{ContentVerdict, Reason, ReasonKind, RefusedContent};
use crate::content::ByteStream;
use crate::error::{Error, Result};

/// A scanner that is shared.
pub type SharedScanner = Arc<dyn Scanner>;

/// Looks for malware.
#[async_trait]
pub trait Scanner: fmt::Debug + Send + Sync + 'static {
    /// The scanner's name for messages, such as `clamav`.
    fn name(&self) -> &'static str;

    /// The greatest content that it takes, in bytes; without one it takes any. What is known to be larger is not given to
    /// it, and counts as not scanned.
    fn size_bytes_max(&self) -> Option<u64> {
        None
    }

    /// Reads the stream and says whether it holds malware. It may answer before the end.
    ///
    /// # Errors
    ///
    /// What the stream answers; `ProviderUnavailable`, `Timeout` or `Storage` if the scanner cannot look. An error
    /// never means that the content is clean.
    async fn scan(&self, stream: ByteStream) -> Result<ScanOutcome>;

    /// Asks whether the scanner works, and returns its version.
    ///
    /// # Errors
    ///
    /// `ProviderUnavailable` or `Timeout`.
    async fn probe(&self) -> Result<String>;
}

/// What a scanner says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanOutcome {
    /// It knows nothing bad of the content.
    Clean,
    /// It found malware.
    Infected {
        /// The scanner's name of it.
        signature: String,
    },
}

/// When content is scanned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScanMode {
    /// While it is stored, before anybody can see it.
    #[default]
    BeforeAvailable,
    /// Later: it is kept in quarantine until a scan finds it clean.
    Later,
    /// Never.
    Off,
}

/// What happens while the scanner cannot look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScanFailure {
    /// The content is refused.
    #[default]
    Closed,
    /// The content is stored unscanned, with a warning in the log.
    Open,
    /// The content is kept in quarantine until a scan finds it clean.
    Quarantine,
}

/// What is done with a scanner's answer. By default content is scanned while it is stored, malware is rejected, and so
/// is what cannot be scanned.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{ContentVerdict, Error, ErrorKind, ScanOutcome, ScanPolicy};
///
/// let policy = ScanPolicy::default();
/// assert_eq!(policy.decide(&Ok(ScanOutcome::Clean)), ContentVerdict::Accepted);
/// let down = Err(Error::new(ErrorKind::ProviderUnavailable, "connection refused"));
/// assert!(matches!(policy.decide(&down), ContentVerdict::Rejected { .. }));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanPolicy {
    /// When content is scanned.
    pub mode: ScanMode,
    /// What becomes of malware.
    pub on_infected: RefusedContent,
    /// What happens while the scanner cannot look.
    pub on_failure: ScanFailure,
}

impl ScanPolicy {
    /// Sets when content is scanned.
    #[must_use]
    pub fn with_mode(mut self, mode: ScanMode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets what becomes of malware.
    #[must_use]
    pub fn with_on_infected(mut self, on_infected: RefusedContent) -> Self {
        self.on_infected = on_infected;
        self
    }

    /// Sets what happens while the scanner cannot look.
    #[must_use]
    pub fn with_on_failure(mut self, on_failure: ScanFailure) -> Self {
        self.on_failure = on_failure;
        self
    }

    /// Decides what is done with scanned content.
    #[must_use]
    pub fn decide(&self, outcome: &Result<ScanOutcome>) -> ContentVerdict {
        match outcome {
            Ok(ScanOutcome::Clean) => ContentVerdict::Accepted,
            Ok(ScanOutcome::Infected { signature }) => {
                let message = format!("the scanner found malware: {}", shown(signature));
                self.on_infected
                    .verdict(Reason::new(ReasonKind::Malware, message))
            }
            Err(error) => self.decide_failure(error),
        }
    }

    fn decide_failure(&self, error: &Error) -> ContentVerdict {
        let reason = Reason::new(
            ReasonKind::ScanFailed,
            format!("the content could not be scanned for malware: {error}"),
        );
        match self.on_failure {
            ScanFailure::Closed => ContentVerdict::Rejected { reason },
            ScanFailure::Quarantine => ContentVerdict::Quarantined { reason },
            ScanFailure::Open => {
                tracing::warn!(error = %error, "content is stored unscanned, as storage.validation.scan says");
                ContentVerdict::Accepted
            }
        }
    }
}

/// A scanner's text, as far as it is fit for a message.
fn shown(signature: &str) -> String {
    signature
        .chars()
        .filter(|c| c.is_ascii_graphic())
        .take(120)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn it_fails_closed_unless_asked_otherwise() {
        let down = || Err(Error::new(ErrorKind::ProviderUnavailable, "refused"));
        let kind = |policy: ScanPolicy| policy.decide(&down()).reason().map(|reason| reason.kind);
        assert_eq!(kind(ScanPolicy::default()), Some(ReasonKind::ScanFailed));
        assert_eq!(
            kind(ScanPolicy::default().with_on_failure(ScanFailure::Open)),
            None
        );
        let kept = ScanPolicy::default()
            .with_on_failure(ScanFailure::Quarantine)
            .decide(&down());
        assert!(matches!(kept, ContentVerdict::Quarantined { .. }));
    }

    #[test]
    fn a_signature_is_told_without_control_characters() {
        let found = Ok(ScanOutcome::Infected {
            signature: "Eicar\u{1b}[31m\n".to_owned(),
        });
        let verdict = ScanPolicy::default().decide(&found);
        let message = verdict.reason().map(|reason| reason.message.as_str());
        assert_eq!(message, Some("the scanner found malware: Eicar[31m"));
    }
}
