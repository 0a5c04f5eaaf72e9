//! What content must be, and whether it is scanned for malware.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::FriendlyDuration;
use super::problem::{Problem, ProblemKind};
use super::size::ByteSize;
use super::tree::{FieldPath, Node, shorten};
use super::vocabulary::ContentTypePattern;
use crate::key::StorageKey;
use crate::scope::ArtifactType;
use crate::validation::{
    InlinePolicy, RefusedContent, ScanFailure, ScanMode, ScanPolicy, default_inline_patterns, is_active_type,
};

/// What content must be, on every way in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ValidationSettings {
    /// Whether content is checked at all. The scan for malware has its own switch.
    pub enabled: bool,
    /// What becomes of content that is not what it says: refused without a trace, or refused and kept in quarantine.
    /// Content that is too large and pickles are never kept.
    pub on_mismatch: RefusedContent,
    /// Whether formats that run code when they are loaded (pickle, .ckpt, .pt, .pth) may be stored.
    pub allow_pickle: bool,
    /// What holds for one artifact type alone, by its name.
    pub types: BTreeMap<String, TypeSettings>,
    /// The largest images, as their headers say before anything decodes them.
    pub image: ImageLimitSettings,
    /// The content types that browsers may show in place; others are saved to a file. HTML, SVG, XML and scripts cannot
    /// be among them.
    pub inline: Vec<ContentTypePattern>,
    /// The first segments of the keys of what is kept in quarantine.
    #[schemars(length(min = 1, max = 200))]
    pub quarantine_prefix: String,
    /// The scan for malware.
    pub scan: ScanSettings,
}

impl Default for ValidationSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            on_mismatch: RefusedContent::Reject,
            allow_pickle: false,
            types: BTreeMap::new(),
            image: ImageLimitSettings::default(),
            inline: default_inline_patterns(),
            quarantine_prefix: "quarantine".to_owned(),
            scan: ScanSettings::default(),
        }
    }
}

/// What holds for one artifact type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TypeSettings {
    /// The file name extensions that are allowed, without their dots; an empty list allows all.
    pub extensions: Vec<String>,
    /// The content types that are allowed, such as `image/png`; an empty list allows all.
    pub content_types: Vec<ContentTypePattern>,
    /// The largest content; without it `storage.limits.size_max` holds alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_max: Option<ByteSize>,
}

/// The largest images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ImageLimitSettings {
    /// The greatest width in pixels.
    #[schemars(range(min = 1))]
    pub width_max: u32,
    /// The greatest height in pixels.
    #[schemars(range(min = 1))]
    pub height_max: u32,
    /// The greatest number of pixels of one frame.
    #[schemars(range(min = 1))]
    pub pixels_max: u64,
    /// The greatest number of frames.
    #[schemars(range(min = 1))]
    pub frames_max: u32,
}

impl Default for ImageLimitSettings {
    fn default() -> Self {
        Self {
            width_max: 32_768,
            height_max: 32_768,
            pixels_max: 268_435_456,
            frames_max: 10_000,
        }
    }
}

/// The scan for malware.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ScanSettings {
    /// Who scans; without a scanner nothing is scanned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scanner: Option<ScannerSettings>,
    /// When content is scanned: while it is stored, later (it stays in quarantine until then), or never.
    pub mode: ScanMode,
    /// What becomes of malware.
    pub on_infected: RefusedContent,
    /// What happens while the scanner cannot look: `closed` refuses the content, `open` stores it unscanned,
    /// `quarantine` keeps it aside until a scan finds it clean.
    pub on_failure: ScanFailure,
}

/// Who scans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ScannerSettings {
    /// The daemon of ClamAV.
    Clamav {
        /// Where it listens: `host:port`, or `unix:` and the path of its socket.
        #[schemars(length(min = 1, max = 1000))]
        address: String,
        /// How long one step with it may take, such as its answer at the end: 100ms to 1h.
        #[serde(default = "default_scan_timeout")]
        #[schemars(extend("x-minimum" = "100ms", "x-maximum" = "1h"))]
        timeout: FriendlyDuration,
        /// The largest content that it takes, no more than its own `StreamMaxLength`. Larger content counts as not
        /// scanned.
        #[serde(default = "default_scan_size_max")]
        size_max: ByteSize,
    },
}

fn default_scan_timeout() -> FriendlyDuration {
    Duration::from_secs(60).into()
}

fn default_scan_size_max() -> ByteSize {
    ByteSize::from_bytes(100 << 20)
}

impl ScannerSettings {
    /// Describes a daemon of ClamAV, with everything but its address at the default.
    pub fn clamav(address: impl Into<String>) -> Self {
        Self::Clamav {
            address: address.into(),
            timeout: default_scan_timeout(),
            size_max: default_scan_size_max(),
        }
    }
}

impl ScanSettings {
    /// Sets who scans.
    #[must_use]
    pub fn with_scanner(mut self, scanner: ScannerSettings) -> Self {
        self.scanner = Some(scanner);
        self
    }

    /// Returns what is done with the scanner's answers.
    #[must_use]
    pub fn policy(&self) -> ScanPolicy {
        ScanPolicy::default()
            .with_mode(self.mode)
            .with_on_infected(self.on_infected)
            .with_on_failure(self.on_failure)
    }
}

impl ValidationSettings {
    /// Returns settings that check nothing.
    #[must_use]
    pub fn off() -> Self {
        Self {
            enabled: false,
            ..Self::default()
        }
    }

    /// Sets what becomes of content that is not what it says.
    #[must_use]
    pub fn with_on_mismatch(mut self, on_mismatch: RefusedContent) -> Self {
        self.on_mismatch = on_mismatch;
        self
    }

    /// Allows pickles.
    #[must_use]
    pub fn with_pickle_allowed(mut self) -> Self {
        self.allow_pickle = true;
        self
    }

    /// Sets what holds for one artifact type.
    #[must_use]
    pub fn with_type(mut self, artifact_type: &ArtifactType, settings: TypeSettings) -> Self {
        self.types.insert(artifact_type.name().to_owned(), settings);
        self
    }

    /// Sets the largest images.
    #[must_use]
    pub fn with_image(mut self, image: ImageLimitSettings) -> Self {
        self.image = image;
        self
    }

    /// Sets the scan for malware.
    #[must_use]
    pub fn with_scan(mut self, scan: ScanSettings) -> Self {
        self.scan = scan;
        self
    }

    /// Returns what may be served inline.
    #[must_use]
    pub fn inline_policy(&self) -> InlinePolicy {
        InlinePolicy::new(self.inline.clone())
    }
}

impl TypeSettings {
    /// Sets the extensions that are allowed.
    #[must_use]
    pub fn with_extensions(mut self, extensions: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.extensions = extensions.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the content types that are allowed.
    #[must_use]
    pub fn with_content_types(mut self, patterns: impl IntoIterator<Item = ContentTypePattern>) -> Self {
        self.content_types = patterns.into_iter().collect();
        self
    }

    /// Sets the size limit.
    #[must_use]
    pub fn with_size_max(mut self, size_max: ByteSize) -> Self {
        self.size_max = Some(size_max);
        self
    }
}

/// Checks what the schema cannot say of `storage.validation`.
pub(super) fn check(storage: &Node, root: &FieldPath, problems: &mut Vec<Problem>) {
    let Some(validation) = storage.field("validation") else {
        return;
    };
    let path = root.field("validation");
    let mut wrong = |node: &Node, path: &FieldPath, expected: &str, text: &str, help: &str| {
        let found = format!("{:?}", shorten(text, 60));
        problems.push(
            Problem::mismatch(
                ProblemKind::BadValue,
                path,
                &node.origin,
                expected.to_owned(),
                found,
            )
            .with_help(help),
        );
    };
    for (name, entry) in validation
        .field("types")
        .and_then(Node::as_map)
        .into_iter()
        .flatten()
    {
        let path = path.field("types").field(name);
        if ArtifactType::parse(name).is_err() {
            let help = "write image, video, audio, text, model, dataset, intermediate or your own type";
            wrong(&entry.node, &path, "the name of an artifact type", name, help);
        }
        for (path, node, text) in texts(entry.node.field("extensions"), &path.field("extensions")) {
            if !is_extension(text) {
                let help = "write it as 'png': 1 to 16 of a-z and 0-9, without the dot";
                wrong(node, &path, "a file name extension", text, help);
            }
        }
    }
    for (path, node, text) in texts(validation.field("inline"), &path.field("inline")) {
        if is_active_type(text) {
            let help = "remove it: a browser would run its code on your site";
            wrong(
                node,
                &path,
                "a content type that may be served inline",
                text,
                help,
            );
        }
    }
    if let Some((node, text)) = text_of(validation.field("quarantine_prefix"))
        && !text.is_empty()
        && StorageKey::parse(format!("{text}/x")).is_err()
    {
        let help = "write it as 'quarantine', without a slash at its ends";
        wrong(
            node,
            &path.field("quarantine_prefix"),
            "the beginning of a storage key",
            text,
            help,
        );
    }
    let scanner = validation.field("scan").and_then(|scan| scan.field("scanner"));
    if let Some((node, text)) = text_of(scanner.and_then(|scanner| scanner.field("address")))
        && !is_scanner_address(text)
    {
        let path = path.field("scan").field("scanner").field("address");
        let help = "write it as '127.0.0.1:3310' or 'unix:/run/clamav/clamd.ctl'";
        wrong(node, &path, "'host:port' or 'unix:/path'", text, help);
    }
}

fn text_of(node: Option<&Node>) -> Option<(&Node, &str)> {
    node.and_then(|node| Some((node, node.as_text()?)))
}

fn texts<'n>(list: Option<&'n Node>, path: &FieldPath) -> Vec<(FieldPath, &'n Node, &'n str)> {
    let items = list.and_then(Node::as_list).unwrap_or_default();
    let items = items.iter().enumerate();
    items
        .filter_map(|(index, node)| Some((path.item(index), node, node.as_text()?)))
        .collect()
}

fn is_extension(text: &str) -> bool {
    (1..=16).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn is_scanner_address(text: &str) -> bool {
    match text.strip_prefix("unix:") {
        Some(path) => path.starts_with('/'),
        None => text
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)),
    }
}
