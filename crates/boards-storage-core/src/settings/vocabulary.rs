//! The small words of the settings: one or a list, content type patterns, and how core's own names look in a schema.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::content_type::{ContentType, is_pattern};
use crate::error::{Error, Result};
use crate::scope::{ArtifactType, BoardId, TenantId};
use crate::template::KeyTemplate;

/// One value, or a list of at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOrMany<T>(Vec<T>);

impl<T> OneOrMany<T> {
    /// Creates it from a list; `None` if the list is empty.
    #[must_use]
    pub fn from_list(values: Vec<T>) -> Option<Self> {
        if values.is_empty() {
            None
        } else {
            Some(Self(values))
        }
    }

    /// Returns the values; there is at least one.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// Returns the values in order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<T: PartialEq> OneOrMany<T> {
    /// Returns whether `value` is one of them.
    pub fn contains(&self, value: &T) -> bool {
        self.0.contains(value)
    }
}

impl<T> From<T> for OneOrMany<T> {
    fn from(value: T) -> Self {
        Self(vec![value])
    }
}

impl<T: Serialize> Serialize for OneOrMany<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected one valid value or a list of them")]
        enum Written<T> {
            One(T),
            Many(Vec<T>),
        }
        let values = match Written::deserialize(deserializer)? {
            Written::One(one) => vec![one],
            Written::Many(many) => many,
        };
        Self::from_list(values).ok_or_else(|| serde::de::Error::custom("expected at least one value"))
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

/// A pattern of content types: `image/png`, `image/*` or `*/*`. Case does not matter.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{ContentType, ContentTypePattern};
///
/// let images = ContentTypePattern::parse("image/*")?;
/// assert!(images.matches(&ContentType::parse("image/png")?));
/// assert!(ContentTypePattern::parse("*.png").is_err());
/// # Ok::<(), boards_storage_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct ContentTypePattern(String);

impl ContentTypePattern {
    /// Parses a pattern.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is none.
    pub fn parse(text: impl AsRef<str>) -> Result<Self> {
        let text = text.as_ref();
        if !is_pattern(text) || text.len() > ContentType::BYTES_MAX {
            let shown: String = text.chars().take(80).collect();
            return Err(
                Error::invalid_input(format!("{shown:?} is not a content type pattern"))
                    .with_help("give 'image/png', 'image/*' or '*/*'"),
            );
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether a content type fits; its parameters are ignored.
    #[must_use]
    pub fn matches(&self, content_type: &ContentType) -> bool {
        content_type.matches(&self.0)
    }
}

impl fmt::Display for ContentTypePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ContentTypePattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Serialize for KeyTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

macro_rules! text_schema {
    ($type:ty, $name:literal, $format:literal) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $format })
            }
        }
    };
}

text_schema!(ArtifactType, "ArtifactType", "artifact-type");
text_schema!(BoardId, "BoardId", "board-id");
text_schema!(ContentTypePattern, "ContentTypePattern", "content-type-pattern");
text_schema!(KeyTemplate, "KeyTemplate", "key-template");
text_schema!(TenantId, "TenantId", "tenant-id");

/// The checks behind the `format` of a text, and what such a text is called in a message.
pub(super) struct TextFormat {
    name: &'static str,
    noun: &'static str,
    /// What follows the noun unless a range does.
    details: &'static str,
    check: fn(&str) -> Result<()>,
}

const FORMATS: [TextFormat; 8] = [
    TextFormat {
        name: "byte-size",
        noun: "a size",
        details: " such as \"100MB\" or \"1.5GiB\"",
        check: |text| super::ByteSize::parse(text).map(drop),
    },
    TextFormat {
        name: "friendly-duration",
        noun: "a duration",
        details: " such as \"30s\" or \"1m 30s\"",
        check: |text| super::FriendlyDuration::parse(text).map(drop),
    },
    TextFormat {
        name: "content-type-pattern",
        noun: "a content type",
        details: " or a pattern such as \"image/*\"",
        check: |text| ContentTypePattern::parse(text).map(drop),
    },
    TextFormat {
        name: "artifact-type",
        noun: "an artifact type",
        details: " (image, video, audio, text, model, dataset, intermediate or a name of a-z, 0-9, '-' and '_')",
        check: |text| ArtifactType::parse(text).map(drop),
    },
    TextFormat {
        name: "tenant-id",
        noun: "a tenant id",
        details: " (one segment of a key)",
        check: |text| TenantId::parse(text).map(drop),
    },
    TextFormat {
        name: "board-id",
        noun: "a board id",
        details: " (one segment of a key)",
        check: |text| BoardId::parse(text).map(drop),
    },
    TextFormat {
        name: "key-template",
        noun: "a key template",
        details: " such as \"{tenant_id}/{artifact_type}/{board_id}/{artifact_id}/{variant}\"",
        check: |text| KeyTemplate::parse(text).map(drop),
    },
    TextFormat {
        name: "provider-name",
        noun: "a provider name",
        details: " (1 to 64 of a-z, A-Z, 0-9, '-', '_' and '.', beginning with a letter or digit)",
        check: check_provider_name,
    },
];

impl TextFormat {
    /// Returns the format of that name, if we check it ourselves.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.name == name)
    }

    /// Says what such a text is, and its range if it has one, as ` from 1ms to 1m`.
    pub(super) fn describe(&self, range: &str) -> String {
        format!(
            "{}{}",
            self.noun,
            if range.is_empty() { self.details } else { range }
        )
    }

    /// Returns whether the text has the format.
    pub(super) fn accepts(&self, text: &str) -> bool {
        (self.check)(text).is_ok()
    }
}

fn check_provider_name(text: &str) -> Result<()> {
    let begins_right = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let is_right = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if begins_right && text.len() <= 64 && text.bytes().all(is_right) {
        Ok(())
    } else {
        Err(Error::invalid_input("not a provider name"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_many_reads_both_and_never_nothing() {
        let read = |json: &str| serde_json::from_str::<OneOrMany<ArtifactType>>(json).ok();
        assert_eq!(read("\"video\""), Some(OneOrMany::from(ArtifactType::Video)));
        assert_eq!(
            read("[\"video\", \"image\"]").expect("a list").as_slice().len(),
            2
        );
        assert_eq!(read("[]"), None);
        assert_eq!(read("5"), None);
        assert_eq!(serde_json::to_string(&OneOrMany::from(1)).expect("json"), "1");
    }

    #[test]
    fn a_provider_name_fits_a_url() {
        for (name, good) in [
            ("s3", true),
            ("my-s3_eu.1", true),
            ("", false),
            ("-a", false),
            ("a b", false),
            ("ü", false),
        ] {
            assert_eq!(check_provider_name(name).is_ok(), good, "{name}");
        }
        assert!(check_provider_name(&"x".repeat(64)).is_ok());
        assert!(check_provider_name(&"x".repeat(65)).is_err());
    }
}
