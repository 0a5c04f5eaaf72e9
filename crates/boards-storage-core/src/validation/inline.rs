//! What a browser may show in place, and what it must save.

use crate::content_type::ContentType;
use crate::settings::ContentTypePattern;

/// How content is handed to a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Shown in place.
    Inline,
    /// Saved to a file.
    Attachment,
}

/// Which content types may be served inline. All others are served as attachments, and those that can run code in a
/// page (SVG, HTML, XML, scripts) always, whatever the list says.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{ContentType, Disposition, InlinePolicy};
///
/// let policy = InlinePolicy::default();
/// assert_eq!(policy.disposition(&ContentType::parse("image/png")?), Disposition::Inline);
/// assert_eq!(policy.disposition(&ContentType::parse("image/svg+xml")?), Disposition::Attachment);
/// # Ok::<(), boards_storage_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlinePolicy {
    allowed: Vec<ContentTypePattern>,
}

/// What is served inline by default: formats that browsers show and that hold no code.
const INLINE: &[&str] = &[
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/avif",
    "video/mp4",
    "video/webm",
    "video/ogg",
    "video/quicktime",
    "audio/mpeg",
    "audio/mp4",
    "audio/ogg",
    "audio/wav",
    "audio/x-wav",
    "audio/webm",
    "audio/flac",
    "audio/aac",
    "text/plain",
    "application/json",
];

impl Default for InlinePolicy {
    fn default() -> Self {
        Self::new(default_patterns())
    }
}

/// The patterns of the default policy.
pub(crate) fn default_patterns() -> Vec<ContentTypePattern> {
    INLINE
        .iter()
        .filter_map(|text| ContentTypePattern::parse(text).ok())
        .collect()
}

impl InlinePolicy {
    /// Creates a policy with a list of what may be inline.
    #[must_use]
    pub fn new(allowed: Vec<ContentTypePattern>) -> Self {
        Self { allowed }
    }

    /// Returns how content of this type is handed out.
    #[must_use]
    pub fn disposition(&self, content_type: &ContentType) -> Disposition {
        let is_allowed = self.allowed.iter().any(|pattern| pattern.matches(content_type));
        if is_allowed && !Self::is_active(content_type) {
            Disposition::Inline
        } else {
            Disposition::Attachment
        }
    }

    /// Returns whether a browser may run code that stands in content of this type: such content is never inline.
    #[must_use]
    pub fn is_active(content_type: &ContentType) -> bool {
        is_active(content_type.essence())
    }
}

/// Says whether a browser may run code that stands in content of this type.
pub(crate) fn is_active(essence: &str) -> bool {
    let essence = essence.to_ascii_lowercase();
    let (_, sub) = essence.split_once('/').unwrap_or(("", &essence));
    ["xml", "html", "xhtml", "svg", "xsl", "rdf", "mathml"].contains(&sub)
        || sub.ends_with("+xml")
        || sub.contains("html")
        || sub.contains("javascript")
        || sub.contains("ecmascript")
        || sub.contains("-flash")
        || essence == "message/rfc822"
        || essence == "multipart/x-mixed-replace"
        || essence == "text/cache-manifest"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_run_code_is_never_inline() {
        let everything = InlinePolicy::new(vec![ContentTypePattern::parse("*/*").expect("valid")]);
        for (text, expected) in [
            ("image/png", Disposition::Inline),
            ("application/pdf", Disposition::Inline),
            ("image/svg+xml", Disposition::Attachment),
            ("IMAGE/SVG+XML; charset=utf-8", Disposition::Attachment),
            ("text/html", Disposition::Attachment),
            ("application/xhtml+xml", Disposition::Attachment),
            ("text/xml", Disposition::Attachment),
            ("application/xml", Disposition::Attachment),
            ("application/rss+xml", Disposition::Attachment),
            ("text/javascript", Disposition::Attachment),
        ] {
            let content_type = ContentType::parse(text).expect("valid");
            assert_eq!(everything.disposition(&content_type), expected, "{text}");
        }
        let octets = ContentType::octet_stream();
        assert_eq!(
            InlinePolicy::default().disposition(&octets),
            Disposition::Attachment
        );
    }
}
