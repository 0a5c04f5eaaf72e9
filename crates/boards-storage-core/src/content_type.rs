//! Content types and the file name extensions that go with them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A content type (media type) such as `image/png` or `text/plain; charset=utf-8`.
///
/// The text is kept as given; comparisons by [`ContentType::matches`] ignore case and parameters.
///
/// # Examples
///
/// ```
/// use boards_storage_core::ContentType;
///
/// let content_type = ContentType::parse("image/png")?;
/// assert!(content_type.matches("image/*"));
/// assert_eq!(content_type.extension(), Some("png"));
/// # Ok::<(), boards_storage_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentType(Arc<str>);

/// Pairs that `mime_guess` lacks or answers with an unusual spelling; the first match counts in both directions.
const PREFERRED: &[(&str, &str)] = &[
    ("image/png", "png"),
    ("image/jpeg", "jpg"),
    ("image/webp", "webp"),
    ("image/gif", "gif"),
    ("image/avif", "avif"),
    ("image/svg+xml", "svg"),
    ("image/tiff", "tiff"),
    ("video/mp4", "mp4"),
    ("video/webm", "webm"),
    ("video/quicktime", "mov"),
    ("audio/mpeg", "mp3"),
    ("audio/wav", "wav"),
    ("audio/x-wav", "wav"),
    ("audio/ogg", "ogg"),
    ("audio/flac", "flac"),
    ("audio/mp4", "m4a"),
    ("text/plain", "txt"),
    ("text/markdown", "md"),
    ("text/html", "html"),
    ("text/csv", "csv"),
    ("application/json", "json"),
    ("application/jsonl", "jsonl"),
    ("application/yaml", "yaml"),
    ("application/pdf", "pdf"),
    ("application/zip", "zip"),
    ("application/gzip", "gz"),
    ("application/x-tar", "tar"),
    ("application/xml", "xml"),
    ("application/vnd.safetensors", "safetensors"),
    ("application/vnd.gguf", "gguf"),
    ("application/octet-stream", "bin"),
];

impl ContentType {
    /// The length limit in bytes.
    pub const BYTES_MAX: usize = 255;

    /// The type of bytes about which nothing is known: `application/octet-stream`.
    #[must_use]
    pub fn octet_stream() -> Self {
        Self(Arc::from("application/octet-stream"))
    }

    /// Parses `type/subtype` with optional `; name=value` parameters (RFC 9110, section 8.3.1).
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is not one.
    pub fn parse(text: impl AsRef<str>) -> Result<Self> {
        let text = text.as_ref().trim();
        let (essence, parameters) = text
            .split_once(';')
            .map_or((text, ""), |(essence, rest)| (essence, rest));
        let essence_is_right = essence
            .trim_end()
            .split_once('/')
            .is_some_and(|(main, sub)| is_token(main) && is_token(sub) && main != "*" && sub != "*");
        let parameters_are_right = parameters.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !essence_is_right || !parameters_are_right || text.len() > Self::BYTES_MAX {
            let shown: String = text.chars().take(80).collect();
            return Err(Error::invalid_input(format!("{shown:?} is not a content type"))
                .with_help("give 'type/subtype', such as 'image/png'"));
        }
        Ok(Self(Arc::from(text)))
    }

    /// Returns the usual type for a file name's last extension; `None` if there is no extension or it is unknown.
    #[must_use]
    pub fn from_file_name(name: &str) -> Option<Self> {
        let extension = name.rsplit('/').next()?.rsplit_once('.')?.1.to_ascii_lowercase();
        let preferred = PREFERRED
            .iter()
            .find(|(_, known)| *known == extension)
            .map(|(essence, _)| *essence);
        let essence = preferred.or_else(|| mime_guess::from_ext(&extension).first_raw())?;
        Some(Self(Arc::from(essence)))
    }

    /// Returns the usual extension, without its dot; `None` for a type that has none.
    #[must_use]
    pub fn extension(&self) -> Option<&'static str> {
        let essence = self.essence().to_ascii_lowercase();
        let preferred = PREFERRED
            .iter()
            .find(|(known, _)| *known == essence)
            .map(|(_, extension)| *extension);
        preferred.or_else(|| mime_guess::get_mime_extensions_str(&essence)?.first().copied())
    }

    /// Returns the whole text, parameters included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns `type/subtype` without parameters.
    #[must_use]
    pub fn essence(&self) -> &str {
        self.0.split(';').next().unwrap_or_default().trim_end()
    }

    /// Returns whether the type fits a pattern: `image/png`, `image/*` or `*/*`. Case and parameters are ignored.
    #[must_use]
    pub fn matches(&self, pattern: &str) -> bool {
        let Some((main, sub)) = self.essence().split_once('/') else {
            return false;
        };
        let Some((pattern_main, pattern_sub)) = pattern.split_once('/') else {
            return false;
        };
        (pattern_main == "*" || pattern_main.eq_ignore_ascii_case(main))
            && (pattern_sub == "*" || pattern_sub.eq_ignore_ascii_case(sub))
    }
}

/// Says whether `pattern` is one that [`ContentType::matches`] understands.
pub(crate) fn is_pattern(pattern: &str) -> bool {
    pattern
        .split_once('/')
        .is_some_and(|(main, sub)| is_token(main) && is_token(sub) && (main != "*" || sub == "*"))
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for ContentType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl Serialize for ContentType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ContentType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_formats_have_their_extension_both_ways() {
        for extension in "png jpg webp gif mp4 webm mov mp3 wav ogg json txt md safetensors".split(' ') {
            let content_type = ContentType::from_file_name(&format!("x.{extension}")).expect(extension);
            assert_eq!(content_type.extension(), Some(extension));
        }
        assert_eq!(
            ContentType::from_file_name("a.JPEG").expect("known").extension(),
            Some("jpg")
        );
        assert_eq!(ContentType::from_file_name("Makefile"), None);
        assert_eq!(ContentType::from_file_name("a.png/Makefile"), None);
        assert_eq!(ContentType::from_file_name("x.unheard-of"), None);
    }

    #[test]
    fn only_type_and_subtype_is_a_content_type() {
        for good in [
            "image/png",
            "text/plain; charset=utf-8",
            "application/vnd.api+json",
        ] {
            assert!(ContentType::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "png",
            "image/",
            "/png",
            "image/*",
            "image/png\r\nx: y",
            "im age/png",
            "a/b/c",
            "ü/x",
        ] {
            assert!(ContentType::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_ignore_case_and_parameters() {
        let text = ContentType::parse("Text/Plain; charset=utf-8").expect("valid");
        assert!(text.matches("text/plain") && text.matches("text/*") && text.matches("*/*"));
        assert!(!text.matches("text/html") && !text.matches("text"));
        assert!(is_pattern("image/*") && is_pattern("*/*") && !is_pattern("*/png") && !is_pattern("image"));
    }
}
