//! Whose artifact, of which type: the names that keys are built of.
//!
//! Ids come from outside. Each is exactly one key segment; one that could not be is refused, never repaired.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::key::{RESERVED_SEGMENT, segment_problem};

/// The first segment of temporary keys, which therefore is no tenant's id.
pub const TEMPORARY_SEGMENT: &str = "temp";

/// The length limit of an id in bytes.
pub const ID_BYTES_MAX: usize = 128;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $extra:expr) => {
        $(#[$doc])*
        ///
        /// 1 to 128 bytes of UTF-8 without `/`, `\` and control characters; neither `.` nor `..`.
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses the id.
            ///
            /// # Errors
            ///
            /// `InvalidInput` that says which rule is broken.
            pub fn parse(text: impl AsRef<str>) -> Result<Self> {
                let text = text.as_ref();
                let extra: fn(&str) -> Option<String> = $extra;
                match id_problem(text).or_else(|| extra(text)) {
                    Some(problem) => Err(invalid_id($what, text, &problem)),
                    None => Ok(Self(Arc::from(text))),
                }
            }

            /// Returns the id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

fn id_problem(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("it is empty".to_owned());
    }
    if text.len() > ID_BYTES_MAX {
        return Some(format!(
            "it has {} bytes, at most {ID_BYTES_MAX} are allowed",
            text.len()
        ));
    }
    if text.contains('/') {
        return Some("it has a '/'; an id is one segment of a key".to_owned());
    }
    segment_problem(text)
}

fn invalid_id(what: &str, text: &str, problem: &str) -> Error {
    let shown: String = text.chars().take(80).collect();
    Error::invalid_input(format!("{shown:?} is not a valid {what}: {problem}"))
}

fn nothing_more(_text: &str) -> Option<String> {
    None
}

id!(
    /// Who owns an artifact. `temp` and `.boards-storage` are reserved.
    ///
    /// # Examples
    ///
    /// ```
    /// use boards_storage_core::TenantId;
    ///
    /// assert_eq!(TenantId::default().as_str(), "default");
    /// assert!(TenantId::parse("temp").is_err());
    /// ```
    TenantId, "tenant id", |text| (text == TEMPORARY_SEGMENT || text == RESERVED_SEGMENT)
        .then(|| "it is reserved".to_owned())
);
id!(
    /// The board that an artifact belongs to.
    BoardId, "board id", nothing_more
);
id!(
    /// An artifact's id, unique within its tenant.
    ArtifactId, "artifact id", nothing_more
);
id!(
    /// The name of one variant of an artifact, such as `original` or `thumbnail`.
    ///
    /// It has no dot: in `original.png` the name is `original`, and the extension is no part of its identity.
    VariantName, "variant name", |text| text.contains('.')
        .then(|| "it has a '.'; a variant's name ends before the extension".to_owned())
);

impl Default for TenantId {
    /// The tenant of applications that have only one: `default`.
    fn default() -> Self {
        Self(Arc::from("default"))
    }
}

impl ArtifactId {
    /// Creates a fresh id: a UUIDv7, so that ids sort by time.
    #[must_use]
    pub fn fresh() -> Self {
        Self(Arc::from(Uuid::now_v7().to_string()))
    }
}

impl Default for VariantName {
    /// The artifact itself: `original`.
    fn default() -> Self {
        Self(Arc::from("original"))
    }
}

/// A variant's file name as the caller gave it: a name, and perhaps an extension.
///
/// # Examples
///
/// ```
/// use boards_storage_core::VariantFile;
///
/// let file = VariantFile::parse("weights.safetensors")?;
/// assert_eq!(file.name.as_str(), "weights");
/// assert_eq!(file.extension.as_ref().map(|extension| extension.as_str()), Some("safetensors"));
/// # Ok::<(), boards_storage_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct VariantFile {
    /// What identifies the variant.
    pub name: VariantName,
    /// What follows the first dot; by default it comes from the content type.
    pub extension: Option<Extension>,
}

impl VariantFile {
    /// Parses `name` or `name.extension`; the name ends at the first dot.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if either part is malformed.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(match text.split_once('.') {
            None => Self {
                name: VariantName::parse(text)?,
                extension: None,
            },
            Some((name, extension)) => Self {
                name: VariantName::parse(name)?,
                extension: Some(Extension::parse(extension)?),
            },
        })
    }
}

impl From<VariantName> for VariantFile {
    fn from(name: VariantName) -> Self {
        Self {
            name,
            extension: None,
        }
    }
}

impl FromStr for VariantFile {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// A file name extension without its leading dot: 1 to 32 of `A-Z a-z 0-9 _ - +`, in parts joined by dots.
///
/// No part looks like a version id (32 hex digits), so that a key says unmistakably whether it names a version.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Extension(Arc<str>);

impl Extension {
    /// Parses an extension.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it has another form.
    pub fn parse(text: &str) -> Result<Self> {
        let is_part = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-+".contains(&byte))
        };
        if text.len() > 32
            || !text
                .split('.')
                .all(|part| is_part(part) && VersionId::parse(part).is_err())
        {
            let shown: String = text.chars().take(80).collect();
            return Err(
                Error::invalid_input(format!("{shown:?} is not a file name extension"))
                    .with_help("give 1 to 32 letters, digits, '_', '-' or '+', such as 'png' or 'tar.gz'"),
            );
        }
        Ok(Self(Arc::from(text)))
    }

    /// Returns the extension as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The id of one version of a variant: a UUIDv7, written as 32 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionId(#[serde(with = "uuid::serde::simple")] Uuid);

impl VersionId {
    /// Creates a fresh id.
    #[must_use]
    pub fn fresh() -> Self {
        Self(Uuid::now_v7())
    }

    /// Returns the UUID.
    #[must_use]
    pub fn as_uuid(self) -> Uuid {
        self.0
    }

    /// Parses 32 lower-case hex digits.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the text has another form.
    pub fn parse(text: &str) -> Result<Self> {
        let is_simple =
            text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match Uuid::try_parse(text) {
            Ok(uuid) if is_simple => Ok(Self(uuid)),
            Ok(_) | Err(_) => {
                let shown: String = text.chars().take(80).collect();
                Err(Error::invalid_input(format!(
                    "{shown:?} is not a version id: 32 lower-case hex digits"
                )))
            }
        }
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl FromStr for VersionId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// What an artifact is.
///
/// # Examples
///
/// ```
/// use boards_storage_core::ArtifactType;
///
/// assert_eq!(ArtifactType::parse("image")?, ArtifactType::Image);
/// assert_eq!(ArtifactType::parse("mesh")?.name(), "mesh");
/// # Ok::<(), boards_storage_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ArtifactType {
    /// PNG, JPG, WebP, GIF …
    Image,
    /// MP4, WebM, MOV …
    Video,
    /// MP3, WAV, OGG …
    Audio,
    /// JSON, TXT, MD …
    Text,
    /// LoRA weights, checkpoints …
    Model,
    /// Training data.
    Dataset,
    /// Files of a generation in several steps.
    Intermediate,
    /// The application's own type.
    Custom(CustomType),
}

/// The name of an application's own artifact type: 1 to 64 of `a-z 0-9 - _`, none of the built-in names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CustomType(Arc<str>);

impl ArtifactType {
    /// The built-in types.
    pub const BUILT_IN: [Self; 7] = [
        Self::Image,
        Self::Video,
        Self::Audio,
        Self::Text,
        Self::Model,
        Self::Dataset,
        Self::Intermediate,
    ];

    /// Parses a built-in name, or an application's own: 1 to 64 of `a-z 0-9 - _`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is neither.
    pub fn parse(text: impl AsRef<str>) -> Result<Self> {
        let text = text.as_ref();
        if let Some(built_in) = Self::BUILT_IN.into_iter().find(|known| known.name() == text) {
            return Ok(built_in);
        }
        let is_name =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        if text.is_empty() || text.len() > 64 || !text.bytes().all(is_name) {
            let shown: String = text.chars().take(80).collect();
            return Err(
                Error::invalid_input(format!("{shown:?} is not an artifact type")).with_help(
                    "give image, video, audio, text, model, dataset, intermediate or a name of your own \
                 (1 to 64 of a-z, 0-9, '-' and '_')",
                ),
            );
        }
        Ok(Self::Custom(CustomType(Arc::from(text))))
    }

    /// Returns the name, as it stands in keys and settings.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Text => "text",
            Self::Model => "model",
            Self::Dataset => "dataset",
            Self::Intermediate => "intermediate",
            Self::Custom(CustomType(name)) => name,
        }
    }
}

impl fmt::Display for ArtifactType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ArtifactType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl Serialize for ArtifactType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for ArtifactType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_one_segment_or_refused() {
        for good in ["a", "board_123", "ü b", "..a", &"x".repeat(128)] {
            assert!(BoardId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a\\b", "a\nb", &"x".repeat(129)] {
            assert!(ArtifactId::parse(bad).is_err(), "{bad}");
        }
        assert!(TenantId::parse(".boards-storage").is_err());
        assert!(BoardId::parse("temp").is_ok());
        assert!(VariantName::parse("a.b").is_err());
    }

    #[test]
    fn a_variant_file_ends_its_name_at_the_first_dot() {
        let file = VariantFile::parse("archive.tar.gz").expect("valid");
        assert_eq!(
            (file.name.as_str(), file.extension.expect("there").as_str()),
            ("archive", "tar.gz")
        );
        let version = VersionId::fresh().to_string();
        for bad in [
            "",
            ".png",
            "a.",
            "a..b",
            "a.b c",
            &format!("a.{version}"),
            &format!("a.{version}.png"),
        ] {
            assert!(VariantFile::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn artifact_types_are_built_in_or_custom() {
        for built_in in ArtifactType::BUILT_IN {
            assert_eq!(ArtifactType::parse(built_in.name()).expect("built in"), built_in);
        }
        for bad in ["", "Image", "a/b", "ä", &"x".repeat(65)] {
            assert!(ArtifactType::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_version_id_is_32_lower_case_hex_digits() {
        let fresh = VersionId::fresh();
        assert_eq!(VersionId::parse(&fresh.to_string()).expect("its own text"), fresh);
        assert!(
            VersionId::parse(&fresh.to_string().to_uppercase()).is_err()
                || !fresh.to_string().contains(char::is_alphabetic)
        );
        assert!(VersionId::parse("0190").is_err());
    }
}
