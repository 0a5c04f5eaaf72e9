//! The `config` block of a local provider.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the objects are and how they are kept.
///
/// # Examples
///
/// ```
/// use boards_storage_local::LocalSettings;
///
/// let settings = LocalSettings::new("/var/lib/boards").with_public_url_base("https://cdn.example.com/boards");
/// assert!(settings.fsync && settings.checksum);
/// ```
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LocalSettings {
    /// The directory that holds the objects. It is made if it is missing. A relative path counts from the current
    /// directory.
    pub base_path: PathBuf,
    /// The URL under which a web server serves `base_path`. Without it there are no public URLs.
    #[serde(default)]
    pub public_url_base: Option<String>,
    /// Whether a write is answered only after it is safe from a power failure. Without it, it is safe from a crash
    /// of the process alone.
    #[serde(default = "yes")]
    pub fsync: bool,
    /// Whether a CRC-64/NVME of each object is kept and checked when the whole object is read.
    #[serde(default = "yes")]
    pub checksum: bool,
}

fn yes() -> bool {
    true
}

impl LocalSettings {
    /// Creates settings with `fsync` and `checksum` on and no public URL.
    pub fn new(base_path: impl Into<PathBuf>) -> Self {
        Self {
            base_path: base_path.into(),
            public_url_base: None,
            fsync: true,
            checksum: true,
        }
    }

    /// Sets the URL under which a web server serves the directory.
    #[must_use]
    pub fn with_public_url_base(mut self, url: impl Into<String>) -> Self {
        self.public_url_base = Some(url.into());
        self
    }

    /// Answers writes before they are safe from a power failure.
    #[must_use]
    pub fn without_fsync(mut self) -> Self {
        self.fsync = false;
        self
    }

    /// Keeps and checks no checksums.
    #[must_use]
    pub fn without_checksum(mut self) -> Self {
        self.checksum = false;
        self
    }
}
