//! From scopes to keys and back.
//!
//! The mapping is one-to-one: two different scopes never make one key, and a key names exactly one scope.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::key::{RESERVED_SEGMENT, StorageKey};
use crate::scope::{
    ArtifactId, ArtifactType, BoardId, Extension, TEMPORARY_SEGMENT, TenantId, VariantFile, VersionId,
};

/// Everything that a key says: whose object it is, what it is, and which version of it.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{KeyScope, KeyTemplate, StorageKey};
///
/// let key = StorageKey::parse("default/model/lora_789/weights.safetensors")?;
/// let scope = KeyTemplate::default().parse_key(&key)?;
/// assert!(matches!(scope, KeyScope::Artifact(ref scope) if scope.artifact.as_str() == "lora_789"));
/// assert_eq!(KeyTemplate::default().key(&scope)?, key);
/// # Ok::<(), boards_storage_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyScope {
    /// A variant of an artifact.
    Artifact(ArtifactScope),
    /// A file of a generation in several steps, short-lived.
    Temporary(TemporaryScope),
}

/// A variant of an artifact: `{tenant_id}/{artifact_type}/{board_id}/{artifact_id}/{variant}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArtifactScope {
    /// Whose it is.
    pub tenant: TenantId,
    /// What it is.
    pub artifact_type: ArtifactType,
    /// The board that it belongs to; without one the segment is left out.
    pub board: Option<BoardId>,
    /// The artifact.
    pub artifact: ArtifactId,
    /// The variant and its extension.
    pub file: VariantFile,
    /// The version; the first one's key does not say it.
    pub version: Option<VersionId>,
}

/// A temporary file: `temp/{generation}/{file}` of the default tenant, `temp/{tenant_id}/{generation}/{file}` of
/// another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TemporaryScope {
    /// Whose it is.
    pub tenant: TenantId,
    /// The generation, which is the artifact's id.
    pub generation: ArtifactId,
    /// The file.
    pub file: VariantFile,
    /// The version; the first one's key does not say it.
    pub version: Option<VersionId>,
}

/// The shape of keys: literal segments and placeholders.
///
/// The text has each of `{tenant_id}`, `{artifact_type}`, `{board_id}`, `{artifact_id}` and `{variant}` once, as
/// whole segments, `{variant}` last; other segments stand as they are. Without a board the `{board_id}` segment is
/// left out. Temporary keys do not depend on the template.
///
/// # Examples
///
/// ```
/// use boards_storage_core::KeyTemplate;
///
/// assert!(KeyTemplate::parse("v2/{artifact_type}/{tenant_id}/{board_id}/{artifact_id}/{variant}").is_ok());
/// assert!(KeyTemplate::parse("{tenant_id}/{variant}").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTemplate {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Tenant,
    Type,
    Board,
    Artifact,
    Variant,
}

const PLACEHOLDERS: [(&str, Segment); 5] = [
    ("{tenant_id}", Segment::Tenant),
    ("{artifact_type}", Segment::Type),
    ("{board_id}", Segment::Board),
    ("{artifact_id}", Segment::Artifact),
    ("{variant}", Segment::Variant),
];

impl Default for KeyTemplate {
    /// `{tenant_id}/{artifact_type}/{board_id}/{artifact_id}/{variant}`.
    fn default() -> Self {
        Self::parse(Self::DEFAULT).expect("the default template is valid: a test holds it")
    }
}

impl KeyTemplate {
    /// The default template's text.
    pub const DEFAULT: &'static str = "{tenant_id}/{artifact_type}/{board_id}/{artifact_id}/{variant}";

    /// Parses a template.
    ///
    /// # Errors
    ///
    /// `InvalidInput` that says which placeholder is missing, doubled or misplaced.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |problem: String| {
            Error::invalid_input(format!("'{text}' is not a key template: {problem}"))
                .with_help(format!("the default is '{}'", Self::DEFAULT))
        };
        let mut segments = Vec::new();
        for segment in text.split('/') {
            let placeholder = PLACEHOLDERS.iter().find(|(name, _)| *name == segment);
            segments.push(match placeholder {
                Some((_, placeholder)) => placeholder.clone(),
                None if segment.contains(['{', '}']) => {
                    return Err(wrong(format!(
                        "'{segment}' must be one of the placeholders alone, or plain text"
                    )));
                }
                None => Segment::Literal(segment.to_owned()),
            });
        }
        for (name, placeholder) in &PLACEHOLDERS {
            match segments.iter().filter(|segment| *segment == placeholder).count() {
                1 => {}
                0 => return Err(wrong(format!("{name} is missing"))),
                count => return Err(wrong(format!("{name} stands {count} times"))),
            }
        }
        if segments.last() != Some(&Segment::Variant) {
            return Err(wrong("{variant} must stand last".to_owned()));
        }
        if let Some(Segment::Literal(first)) = segments.first()
            && (first == TEMPORARY_SEGMENT || first == RESERVED_SEGMENT)
        {
            return Err(wrong(format!("the first segment '{first}' is reserved")));
        }
        if !matches!(
            segments.first(),
            Some(Segment::Literal(_) | Segment::Tenant | Segment::Type)
        ) {
            // A board or artifact called "temp" would otherwise make a temporary key.
            return Err(wrong(
                "it must begin with plain text, {tenant_id} or {artifact_type}".to_owned(),
            ));
        }
        let literals: String = segments
            .iter()
            .filter_map(|segment| match segment {
                Segment::Literal(text) => Some(format!("{text}/")),
                _ => None,
            })
            .collect();
        if !literals.is_empty() {
            StorageKey::parse(literals.trim_end_matches('/'))
                .map_err(|source| wrong(source.message().to_owned()))?;
        }
        Ok(Self {
            text: text.to_owned(),
            segments,
        })
    }

    /// Returns the key of a scope.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is longer than a key may be.
    pub fn key(&self, scope: &KeyScope) -> Result<StorageKey> {
        match scope {
            KeyScope::Artifact(scope) => self.artifact_key(scope),
            KeyScope::Temporary(scope) => temporary_key(scope),
        }
    }

    fn artifact_key(&self, scope: &ArtifactScope) -> Result<StorageKey> {
        let file = file_name(&scope.file, scope.version);
        // A type of the application's own may be called "temp"; only the tenant's name is reserved.
        if self.segments[0] == Segment::Type && scope.artifact_type.name() == TEMPORARY_SEGMENT {
            return Err(Error::invalid_input(
                "the artifact type 'temp' cannot begin a key: it is reserved",
            ));
        }
        let parts: Vec<&str> = self
            .segments
            .iter()
            .filter_map(|segment| match segment {
                Segment::Literal(text) => Some(text.as_str()),
                Segment::Tenant => Some(scope.tenant.as_str()),
                Segment::Type => Some(scope.artifact_type.name()),
                Segment::Board => scope.board.as_ref().map(BoardId::as_str),
                Segment::Artifact => Some(scope.artifact.as_str()),
                Segment::Variant => Some(file.as_str()),
            })
            .collect();
        StorageKey::parse(parts.join("/"))
    }

    /// Returns the scope that a key names.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the key was not made by this template.
    pub fn parse_key(&self, key: &StorageKey) -> Result<KeyScope> {
        let parts: Vec<&str> = key.segments().collect();
        if parts[0] == TEMPORARY_SEGMENT {
            return parse_temporary(key, &parts[1..]).map(KeyScope::Temporary);
        }
        self.parse_artifact(key, &parts).map(KeyScope::Artifact)
    }

    fn parse_artifact(&self, key: &StorageKey, parts: &[&str]) -> Result<ArtifactScope> {
        let wrong = || foreign(key, &format!("it does not have the shape {}", self.text));
        let has_board = match self.segments.len().checked_sub(parts.len()) {
            Some(0) => true,
            Some(1) => false,
            Some(_) | None => return Err(wrong()),
        };
        let expected = self
            .segments
            .iter()
            .filter(|segment| has_board || **segment != Segment::Board);
        let (mut tenant, mut artifact_type, mut board, mut artifact, mut file) =
            (None, None, None, None, None);
        for (segment, part) in expected.zip(parts) {
            match segment {
                Segment::Literal(text) if text == part => {}
                Segment::Literal(_) => return Err(wrong()),
                Segment::Tenant => tenant = Some(TenantId::parse(part)?),
                Segment::Type => artifact_type = Some(ArtifactType::parse(part)?),
                Segment::Board => board = Some(BoardId::parse(part)?),
                Segment::Artifact => artifact = Some(ArtifactId::parse(part)?),
                Segment::Variant => file = Some(parse_file_name(part)?),
            }
        }
        let (file, version) = file.ok_or_else(wrong)?;
        Ok(ArtifactScope {
            tenant: tenant.ok_or_else(wrong)?,
            artifact_type: artifact_type.ok_or_else(wrong)?,
            board,
            artifact: artifact.ok_or_else(wrong)?,
            file,
            version,
        })
    }
}

fn temporary_key(scope: &TemporaryScope) -> Result<StorageKey> {
    let file = file_name(&scope.file, scope.version);
    let generation = &scope.generation;
    StorageKey::parse(if scope.tenant == TenantId::default() {
        format!("{TEMPORARY_SEGMENT}/{generation}/{file}")
    } else {
        format!("{TEMPORARY_SEGMENT}/{}/{generation}/{file}", scope.tenant)
    })
}

fn parse_temporary(key: &StorageKey, parts: &[&str]) -> Result<TemporaryScope> {
    let (tenant, generation, file) = match parts {
        [generation, file] => (TenantId::default(), generation, file),
        [tenant, generation, file] => (TenantId::parse(tenant)?, generation, file),
        _ => {
            return Err(foreign(
                key,
                "a temporary key is temp/{generation}/{file} or temp/{tenant_id}/{generation}/{file}",
            ));
        }
    };
    if parts.len() == 3 && tenant == TenantId::default() {
        return Err(foreign(key, "the default tenant's temporary keys do not name it"));
    }
    let (file, version) = parse_file_name(file)?;
    Ok(TemporaryScope {
        tenant,
        generation: ArtifactId::parse(generation)?,
        file,
        version,
    })
}

fn foreign(key: &StorageKey, problem: &str) -> Error {
    Error::invalid_input(format!("the key names no artifact: {problem}")).with_key(key)
}

/// Writes `name`, `name.ext`, `name.<version>` or `name.<version>.ext`.
/// The two objects of something in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuarantinePart {
    /// The bytes.
    Content,
    /// What they were to become.
    Entry,
}

/// Returns the key of an object in quarantine: `{prefix}/{tenant_id}/{id}/content` or `entry.json`.
///
/// # Errors
///
/// `InvalidInput` if the prefix cannot begin a key.
pub(crate) fn quarantine_key(
    prefix: &str,
    tenant: &TenantId,
    id: VersionId,
    part: QuarantinePart,
) -> Result<StorageKey> {
    let name = match part {
        QuarantinePart::Content => "content",
        QuarantinePart::Entry => "entry.json",
    };
    StorageKey::parse(format!("{prefix}/{tenant}/{id}/{name}"))
}

fn file_name(file: &VariantFile, version: Option<VersionId>) -> String {
    let mut name = file.name.as_str().to_owned();
    if let Some(version) = version {
        name.push('.');
        name.push_str(&version.to_string());
    }
    if let Some(extension) = &file.extension {
        name.push('.');
        name.push_str(extension.as_str());
    }
    name
}

fn parse_file_name(text: &str) -> Result<(VariantFile, Option<VersionId>)> {
    let Some((name, rest)) = text.split_once('.') else {
        return Ok((VariantFile::parse(text)?, None));
    };
    let (first, after) = rest
        .split_once('.')
        .map_or((rest, None), |(first, after)| (first, Some(after)));
    let Ok(version) = VersionId::parse(first) else {
        return Ok((VariantFile::parse(text)?, None));
    };
    let file = VariantFile {
        extension: after.map(Extension::parse).transpose()?,
        ..VariantFile::parse(name)?
    };
    Ok((file, Some(version)))
}

impl fmt::Display for KeyTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for KeyTemplate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_seed(key: &str, expected: &KeyScope) {
        let key = StorageKey::parse(key).expect("a key");
        let template = KeyTemplate::default();
        assert_eq!(&template.parse_key(&key).expect("parsed"), expected);
        assert_eq!(template.key(expected).expect("produced"), key);
    }

    fn artifact(tenant: &str, kind: &str, board: Option<&str>, id: &str, file: &str) -> KeyScope {
        KeyScope::Artifact(ArtifactScope {
            tenant: TenantId::parse(tenant).expect("tenant"),
            artifact_type: ArtifactType::parse(kind).expect("type"),
            board: board.map(|board| BoardId::parse(board).expect("board")),
            artifact: ArtifactId::parse(id).expect("id"),
            file: VariantFile::parse(file).expect("file"),
            version: None,
        })
    }

    fn temporary(tenant: &str, generation: &str, file: &str) -> KeyScope {
        KeyScope::Temporary(TemporaryScope {
            tenant: TenantId::parse(tenant).expect("tenant"),
            generation: ArtifactId::parse(generation).expect("id"),
            file: VariantFile::parse(file).expect("file"),
            version: None,
        })
    }

    #[test]
    fn every_key_of_the_seed_is_produced_and_parsed() {
        let image = |file| artifact("default", "image", Some("board_123"), "artifact_456", file);
        check_seed(
            "default/image/board_123/artifact_456/original.png",
            &image("original.png"),
        );
        check_seed(
            "default/image/board_123/artifact_456/thumbnail.webp",
            &image("thumbnail.webp"),
        );
        let lora = |file| artifact("default", "model", None, "lora_789", file);
        check_seed(
            "default/model/lora_789/weights.safetensors",
            &lora("weights.safetensors"),
        );
        check_seed("default/model/lora_789/config.json", &lora("config.json"));
        check_seed(
            "tenant_abc/dataset/training_001/img_001.jpg",
            &artifact("tenant_abc", "dataset", None, "training_001", "img_001.jpg"),
        );
        check_seed(
            "temp/generation_xyz/input_mask.png",
            &temporary("default", "generation_xyz", "input_mask.png"),
        );
        check_seed(
            "temp/tenant_abc/generation_xyz/mask.png",
            &temporary("tenant_abc", "generation_xyz", "mask.png"),
        );
    }

    #[test]
    fn keys_that_name_no_artifact_are_refused() {
        for bad in [
            "a",
            "a/b/c",
            "a/b/c/d/e/f",
            "default/Image/b/a/original.png",
            "temp/x",
            "temp/default/g/f.png",
            "temp/temp/g/f.png",
            "temp/a/b/c/d",
            "default/image/b/a/.png",
        ] {
            let key = StorageKey::parse(bad).expect("a key");
            assert!(KeyTemplate::default().parse_key(&key).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_template_names_each_placeholder_once() {
        for bad in [
            "",
            "{tenant_id}",
            "{tenant_id}/{artifact_type}/{board_id}/{variant}/{artifact_id}",
            "{tenant_id}/{tenant_id}/{artifact_type}/{board_id}/{artifact_id}/{variant}",
            "{board_id}/{tenant_id}/{artifact_type}/{artifact_id}/{variant}",
            "temp/{tenant_id}/{artifact_type}/{board_id}/{artifact_id}/{variant}",
            "x/../{tenant_id}/{artifact_type}/{board_id}/{artifact_id}/{variant}",
            "x-{tenant_id}/{artifact_type}/{board_id}/{artifact_id}/{variant}",
            "/{tenant_id}/{artifact_type}/{board_id}/{artifact_id}/{variant}",
        ] {
            assert!(KeyTemplate::parse(bad).is_err(), "{bad}");
        }
    }

    prop_compose! {
        // Few short names from few characters: collisions are what is looked for.
        fn any_scope()(
            temp in any::<bool>(),
            tenant in "(default|a|b|image|t\\.e)",
            kind in "(image|model|temp|a|b)",
            board in proptest::option::of("(a|b|image|temp|\\.a|a\\.b)"),
            id in "(a|b|image|default|temp|a\\.b)",
            name in "(a|b|original)",
            extension in proptest::option::of("(png|a|a\\.b|00000000000000000000000000000000)"),
            version in proptest::option::of(0_u8..2),
        ) -> KeyScope {
            let extension = extension.and_then(|text| Extension::parse(&text).ok());
            let file = VariantFile { name: VariantName::parse(name).expect("name"), extension };
            let version = version.map(|digit| VersionId::parse(&format!("{digit}").repeat(32)).expect("version"));
            let tenant = TenantId::parse(tenant).expect("tenant");
            let artifact = ArtifactId::parse(id).expect("id");
            if temp {
                KeyScope::Temporary(TemporaryScope { tenant, generation: artifact, file, version })
            } else {
                KeyScope::Artifact(ArtifactScope {
                    tenant,
                    artifact_type: ArtifactType::parse(kind).expect("type"),
                    board: board.map(|board| BoardId::parse(board).expect("board")),
                    artifact,
                    file,
                    version,
                })
            }
        }
    }

    use crate::scope::VariantName;

    fn templates() -> [KeyTemplate; 3] {
        [
            KeyTemplate::default(),
            KeyTemplate::parse("v2/{artifact_type}/{tenant_id}/{board_id}/{artifact_id}/{variant}")
                .expect("valid"),
            KeyTemplate::parse("{artifact_type}/{tenant_id}/image/{artifact_id}/{board_id}/{variant}")
                .expect("valid"),
        ]
    }

    proptest! {
        #[test]
        fn two_scopes_never_make_one_key(scopes in proptest::collection::vec(any_scope(), 2..60)) {
            for template in templates() {
                let mut seen: HashMap<StorageKey, &KeyScope> = HashMap::new();
                for scope in &scopes {
                    let Ok(key) = template.key(scope) else { continue };
                    prop_assert_eq!(&template.parse_key(&key).expect("its own key"), scope);
                    if let Some(other) = seen.insert(key, scope) {
                        prop_assert_eq!(other, scope);
                    }
                }
            }
        }

        #[test]
        fn no_id_leaves_its_tenant(tenant in "[a-z]{1,8}", board in "\\PC{0,20}", id in "\\PC{0,20}", file in "\\PC{0,20}") {
            let parsed = (TenantId::parse(&tenant), BoardId::parse(&board), ArtifactId::parse(&id), VariantFile::parse(&file));
            if let (Ok(tenant), Ok(board), Ok(artifact), Ok(file)) = parsed {
                let scope = ArtifactScope {
                    tenant: tenant.clone(), artifact_type: ArtifactType::Image, board: Some(board), artifact, file, version: None,
                };
                let key = KeyTemplate::default().key(&KeyScope::Artifact(scope)).expect("short enough");
                prop_assert_eq!(key.segments().next(), Some(tenant.as_str()));
                prop_assert_eq!(key.segments().count(), 5);
                prop_assert!(key.segments().all(|segment| segment != ".." && segment != "."));
            }
        }

        #[test]
        fn any_text_parses_or_is_refused(text in "\\PC{0,60}") {
            if let Ok(key) = StorageKey::parse(&text) {
                prop_assert_eq!(key.as_str(), &text);
                if let Ok(scope) = KeyTemplate::default().parse_key(&key) {
                    prop_assert_eq!(KeyTemplate::default().key(&scope).expect("made of a key"), key);
                }
            }
        }
    }
}
