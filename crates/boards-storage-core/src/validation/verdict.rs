//! What is known of content beforehand, what a validator answers, and why.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::content_type::ContentType;
use crate::error::{Error, ErrorKind};
use crate::scope::ArtifactType;

/// A validator that is shared.
pub type SharedValidator = Arc<dyn Validator>;

/// Knows formats: begins one [`ContentCheck`] for each reading of content.
pub trait Validator: fmt::Debug + Send + Sync + 'static {
    /// Begins to check content of which `validation` is known.
    fn start(&self, validation: &Validation) -> Box<dyn ContentCheck>;
}

/// Checks one reading of content, from its first byte to its last, in flat memory.
///
/// The caller calls `head` once, then `update` for every piece (the head's bytes again among them), then `finish`. A
/// verdict other than `Accepted` is final; the sizes of the pieces never change it.
pub trait ContentCheck: Send {
    /// Judges the first bytes: [`HEAD_SIZE_BYTES`](super::HEAD_SIZE_BYTES) of them, or all if `is_whole`.
    fn head(&mut self, head: &[u8], is_whole: bool) -> ContentVerdict;

    /// Judges the next piece.
    fn update(&mut self, piece: &[u8]) -> ContentVerdict;

    /// Judges the end, and says what was found.
    fn finish(&mut self) -> Findings;
}

/// What is known of content before it is read.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{ArtifactType, ContentType, Validation};
///
/// let known = Validation::new(ArtifactType::Image)
///     .with_content_type(ContentType::parse("image/png")?)
///     .with_file_name("cat.png")
///     .with_length(512);
/// assert_eq!(known.extension().as_deref(), Some("png"));
/// # Ok::<(), boards_storage_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Validation {
    /// What it shall be stored as.
    pub artifact_type: ArtifactType,
    /// The declared content type.
    pub content_type: Option<ContentType>,
    /// The file name that it had.
    pub file_name: Option<String>,
    /// The file name that it is stored under, where that has an extension of its own.
    pub stored_name: Option<String>,
    /// The declared length in bytes.
    pub length: Option<u64>,
}

impl Validation {
    /// Creates what is known of content: what it shall be stored as.
    #[must_use]
    pub fn new(artifact_type: ArtifactType) -> Self {
        Self {
            artifact_type,
            content_type: None,
            file_name: None,
            stored_name: None,
            length: None,
        }
    }

    /// Sets the declared content type.
    #[must_use]
    pub fn with_content_type(mut self, content_type: ContentType) -> Self {
        self.content_type = Some(content_type);
        self
    }

    /// Sets the file name.
    #[must_use]
    pub fn with_file_name(mut self, name: impl Into<String>) -> Self {
        self.file_name = Some(name.into());
        self
    }

    /// Sets the file name that it is stored under.
    #[must_use]
    pub fn with_stored_name(mut self, name: impl Into<String>) -> Self {
        self.stored_name = Some(name.into());
        self
    }

    /// Sets the declared length in bytes.
    #[must_use]
    pub fn with_length(mut self, length: u64) -> Self {
        self.length = Some(length);
        self
    }

    /// Returns the last extension of the file name, or else of the name that it is stored under, in lower case and without
    /// its dot.
    #[must_use]
    pub fn extension(&self) -> Option<String> {
        let name = self.file_name.as_deref().or(self.stored_name.as_deref())?;
        let name = name.rsplit(['/', '\\']).next()?;
        let (_, extension) = name.rsplit_once('.')?;
        (!extension.is_empty()).then(|| extension.to_ascii_lowercase())
    }
}

/// What was found out about content. A field is `None` where nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ContentFacts {
    /// The content type that the bytes have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<ContentType>,
    /// The width of an image in pixels, as its header says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// The height of an image in pixels, as its header says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// The number of frames of an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<u32>,
    /// The number of bytes that were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
}

/// What is to be done with content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentVerdict {
    /// It may be stored.
    Accepted,
    /// It is refused: nothing of it may be kept.
    Rejected {
        /// Why.
        reason: Reason,
    },
    /// It is refused, and kept where nobody opens it until somebody has looked.
    Quarantined {
        /// Why.
        reason: Reason,
    },
}

impl ContentVerdict {
    /// Returns whether the content may be stored.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        *self == Self::Accepted
    }

    /// Returns why the content may not be stored.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Accepted => None,
            Self::Rejected { reason } | Self::Quarantined { reason } => Some(reason),
        }
    }

    /// Returns this verdict if it is a refusal, and else the other.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self.is_accepted() { other } else { self }
    }
}

/// The verdict at the end of content, and what was found out on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Findings {
    /// What is to be done.
    pub verdict: ContentVerdict,
    /// What was found out.
    pub facts: ContentFacts,
}

impl Findings {
    /// Creates findings.
    #[must_use]
    pub fn new(verdict: ContentVerdict, facts: ContentFacts) -> Self {
        Self { verdict, facts }
    }
}

/// Why content was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reason {
    /// What is wrong, for programs.
    pub kind: ReasonKind,
    /// What is wrong, for people: what was expected, and what came. No byte of the content is quoted.
    pub message: String,
}

/// What is wrong with content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReasonKind {
    /// Declared type, extension, artifact type and bytes do not agree.
    TypeMismatch,
    /// The extension or the type is not allowed for the artifact type.
    TypeNotAllowed,
    /// It is larger than its type may be.
    TooLarge,
    /// It is no valid text of its encoding.
    NotText,
    /// It is broken: a header, a length or the syntax is not as its format demands.
    Malformed,
    /// It ends too early.
    Truncated,
    /// An image has too many pixels.
    TooManyPixels,
    /// An image has too many frames.
    TooManyFrames,
    /// It is valid in two formats at once, or hides another one behind its end.
    Polyglot,
    /// It would become enormous when somebody unpacks or expands it.
    Bomb,
    /// It is, or holds, a pickle: loading it runs its code.
    Pickle,
    /// A scanner found malware.
    Malware,
    /// A scanner could not look at it.
    ScanFailed,
    /// A scanner has not looked at it yet.
    ScanPending,
}

impl ReasonKind {
    /// Returns the stable machine-readable name, such as `type_mismatch`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TypeMismatch => "type_mismatch",
            Self::TypeNotAllowed => "type_not_allowed",
            Self::TooLarge => "too_large",
            Self::NotText => "not_text",
            Self::Malformed => "malformed",
            Self::Truncated => "truncated",
            Self::TooManyPixels => "too_many_pixels",
            Self::TooManyFrames => "too_many_frames",
            Self::Polyglot => "polyglot",
            Self::Bomb => "bomb",
            Self::Pickle => "pickle",
            Self::Malware => "malware",
            Self::ScanFailed => "scan_failed",
            Self::ScanPending => "scan_pending",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::TypeMismatch => "declare the type that the bytes have, and name the file accordingly",
            Self::TypeNotAllowed => "see storage.validation.types, or give another artifact type",
            Self::TooLarge => "store less, or raise size_max in storage.validation.types",
            Self::NotText => "store text as UTF-8, or declare its charset",
            Self::Malformed | Self::Truncated => "write the file anew, and check that it was copied whole",
            Self::TooManyPixels | Self::TooManyFrames => {
                "make the image smaller, or raise the limits in storage.validation.image"
            }
            Self::Polyglot => "export the file anew with the program that made it",
            Self::Bomb => "nothing here unpacks it, but somebody would: pack it in smaller pieces",
            Self::Pickle => {
                "convert the model to safetensors, or set storage.validation.allow_pickle if you trust every sender"
            }
            Self::Malware => "do not open the file; clean the machine that it came from",
            Self::ScanFailed => {
                "start the scanner or correct its address in storage.validation.scan, then try again"
            }
            Self::ScanPending => "run `boards-storage rescan` when the scanner is there",
        }
    }
}

impl fmt::Display for ReasonKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Reason {
    /// Creates a reason.
    pub fn new(kind: ReasonKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// Returns the error that a caller gets: `Rejected`, with the reason's kind as its code.
    ///
    /// # Examples
    ///
    /// ```
    /// use boards_storage_core::{ErrorKind, Reason, ReasonKind};
    ///
    /// let error = Reason::new(ReasonKind::Pickle, "the content is a pickle").to_error();
    /// assert_eq!((error.kind(), error.code()), (ErrorKind::Rejected, Some("pickle")));
    /// ```
    #[must_use]
    pub fn to_error(&self) -> Error {
        Error::new(ErrorKind::Rejected, self.message.clone())
            .with_code(self.kind.name())
            .with_help(self.kind.help())
    }
}

/// What becomes of content that is refused for what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefusedContent {
    /// Nothing of it is kept.
    #[default]
    Reject,
    /// It is refused too, but its bytes are kept under the quarantine prefix.
    Quarantine,
}

impl RefusedContent {
    /// Returns the verdict that refuses content so.
    #[must_use]
    pub fn verdict(self, reason: Reason) -> ContentVerdict {
        match self {
            Self::Reject => ContentVerdict::Rejected { reason },
            Self::Quarantine => ContentVerdict::Quarantined { reason },
        }
    }
}
