//! Storage keys: where an object stands in a store.
//!
//! This is the only place that looks at `..` in a key. A key is parsed and refused, never repaired: dropping or
//! replacing characters would make two different names one.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::{Error, Result};

/// The folder name that providers reserve for themselves; no key may begin with it.
pub const RESERVED_SEGMENT: &str = ".boards-storage";

/// An object's key: segments joined by `/`, valid on every provider's outside.
///
/// A key is 1 to [`StorageKey::BYTES_MAX`] bytes of UTF-8. It has no empty segment (so no leading, trailing or
/// double slash), no `.` or `..` segment, no control character and no backslash, and its first segment is not
/// `.boards-storage`. What a particular store cannot hold beyond that is said by its
/// [`KeyRules`](crate::KeyRules). A clone is cheap.
///
/// # Examples
///
/// ```
/// use boards_storage_core::StorageKey;
///
/// let key = StorageKey::parse("default/image/board_123/artifact_456/original.png")?;
/// assert_eq!(key.segments().count(), 5);
/// assert!(StorageKey::parse("../etc/passwd").is_err());
/// # Ok::<(), boards_storage_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorageKey(Arc<str>);

impl StorageKey {
    /// The length limit in bytes, the same as S3's and Google Cloud Storage's.
    pub const BYTES_MAX: usize = 1024;

    /// Parses a key.
    ///
    /// # Errors
    ///
    /// `InvalidInput` that says which rule is broken.
    pub fn parse(text: impl AsRef<str>) -> Result<Self> {
        let text = text.as_ref();
        if let Some(problem) = problem_of(text) {
            return Err(invalid(text, &problem));
        }
        Ok(Self(Arc::from(text)))
    }

    /// Returns the key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the segments in order; at least one.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// Returns the last segment.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.segments().next_back().unwrap_or_default()
    }
}

fn problem_of(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("it is empty".to_owned());
    }
    if text.len() > StorageKey::BYTES_MAX {
        return Some(format!(
            "it has {} bytes, at most {} are allowed",
            text.len(),
            StorageKey::BYTES_MAX
        ));
    }
    if text.starts_with('/') {
        return Some("it begins with '/'; a key is relative".to_owned());
    }
    for (index, segment) in text.split('/').enumerate() {
        if let Some(problem) = segment_problem(segment) {
            return Some(problem);
        }
        if index == 0 && segment == RESERVED_SEGMENT {
            return Some(format!("its first segment '{RESERVED_SEGMENT}' is reserved"));
        }
    }
    None
}

/// Says what is wrong with one segment of a key, if anything.
pub(crate) fn segment_problem(segment: &str) -> Option<String> {
    if segment.is_empty() {
        return Some("it has an empty segment ('//' or a '/' at the end)".to_owned());
    }
    if segment == "." || segment == ".." {
        return Some(format!("it has a '{segment}' segment"));
    }
    segment
        .chars()
        .find(|c| c.is_control() || *c == '\\')
        .map(|bad| match bad {
            '\\' => "it has a backslash; segments are separated by '/'".to_owned(),
            control => format!("it has the control character U+{:04X}", u32::from(control)),
        })
}

fn invalid(text: &str, problem: &str) -> Error {
    // A hostile key can be very long: show its beginning only.
    let shown: String = text.chars().take(120).collect();
    let dots = if shown.len() < text.len() { "…" } else { "" };
    Error::invalid_input(format!("{:?}{dots} is not a storage key: {problem}", shown)).with_help(
        "give segments separated by '/', such as 'default/image/board_123/artifact_456/original.png'",
    )
}

impl fmt::Display for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for StorageKey {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for StorageKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl serde::Serialize for StorageKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for StorageKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[track_caller]
    fn check_valid(text: &str) {
        assert_eq!(StorageKey::parse(text).expect("a valid key").as_str(), text);
    }

    #[track_caller]
    fn check_invalid(text: &str, problem: &str) {
        let error = StorageKey::parse(text).expect_err("an invalid key");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(
            error.to_string().contains(problem),
            "{error} does not say {problem}"
        );
    }

    #[test]
    fn the_rules_hold_at_their_edges() {
        check_valid("a");
        check_valid(&"x".repeat(1024));
        check_invalid(&"x".repeat(1025), "1025 bytes");
        check_invalid("", "empty");
        check_invalid("/a", "begins with '/'");
        check_invalid("a//b", "empty segment");
        check_invalid("a/", "empty segment");
        check_invalid("a/../b", "'..' segment");
        check_invalid("./a", "'.' segment");
        check_valid("a/..b/...");
        check_invalid("a\\b", "backslash");
        check_invalid("a\nb", "U+000A");
        check_invalid("a\u{7f}", "U+007F");
        check_invalid("a\u{85}", "U+0085");
        check_invalid(".boards-storage/x", "reserved");
        check_invalid(".boards-storage", "reserved");
        check_valid("a/.boards-storage");
        check_valid("%2e%2e/a b/ü+?#&.meta");
    }
}
