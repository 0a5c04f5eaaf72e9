//! Whether declared type, extension, artifact type and the sniffers agree.

use boards_storage_core::{ArtifactType, Reason, ReasonKind, Validation};

use crate::family::{Category, Family};
use crate::sniff::Sniffed;

/// What the names say that the content is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) declared: Option<Family>,
    pub(crate) by_extension: Vec<Family>,
}

impl Named {
    pub(crate) fn of(validation: &Validation) -> Self {
        let declared = validation.content_type.as_ref();
        let mut named = Self {
            declared: declared.and_then(|declared| Family::of_type(declared.essence())),
            by_extension: validation
                .extension()
                .map(|extension| Family::of_extension(&extension))
                .unwrap_or_default(),
        };
        // Where an extension stands for two things, such as `.ts`, the type was guessed from it.
        if named.by_extension.len() > 1
            && named
                .declared
                .is_some_and(|declared| named.by_extension.contains(&declared))
        {
            named.declared = None;
        }
        named
    }

    /// The family that the names agree on: the declared one, or else the only one of the extension.
    pub(crate) fn family(&self) -> Option<Family> {
        self.declared.or(match self.by_extension.as_slice() {
            [one] => Some(*one),
            _ => None,
        })
    }
}

fn mismatch(message: String) -> Reason {
    Reason::new(ReasonKind::TypeMismatch, message)
}

/// Says whether declared type and extension agree.
pub(crate) fn names(named: &Named, validation: &Validation) -> Result<(), Reason> {
    let Some(declared) = named.declared else {
        return Ok(());
    };
    if named.by_extension.is_empty() || named.by_extension.iter().any(|family| family.agrees(declared)) {
        return Ok(());
    }
    let extension = validation.extension().unwrap_or_default();
    Err(mismatch(format!(
        "the content is declared as {}, and its extension is {extension:?}",
        declared.name()
    )))
}

/// Says whether the bytes are what the names say.
pub(crate) fn bytes(named: &Named, sniffed: &Sniffed) -> Result<(), Reason> {
    if let [first, second, ..] = sniffed.families.as_slice() {
        return Err(mismatch(format!(
            "the content may be {} as well as {}",
            first.name(),
            second.name()
        )));
    }
    let expected = named.family();
    match (expected, sniffed.family()) {
        (Some(expected), Some(found)) if !expected.agrees(found) => Err(mismatch(format!(
            "the content is named {}, and its bytes are {}",
            expected.name(),
            found.name()
        ))),
        (Some(expected), None) if must_be_known(expected) => Err(mismatch(format!(
            "the content is named {}, and its bytes are not",
            expected.name()
        ))),
        _ => {
            let found = sniffed.family();
            if named.declared.is_none()
                && let Some(found) = found
                && !named.by_extension.is_empty()
                && !named.by_extension.iter().any(|family| family.agrees(found))
            {
                return Err(mismatch(format!(
                    "the extension is that of {}, and the bytes are {}",
                    named.by_extension[0].name(),
                    found.name()
                )));
            }
            Ok(())
        }
    }
}

/// Says whether the sniffers know every file of a family, so that an unknown one is not of it.
fn must_be_known(family: Family) -> bool {
    !family.is_text()
        && !matches!(
            family,
            // Streams may begin in the middle; a pickle's name is refused anyway.
            Family::Mpeg
                | Family::Mp3
                | Family::Pickle
                | Family::Tar
                | Family::Executable
                | Family::Amr
                | Family::OtherImage
                | Family::OtherMedia
        )
}

/// Says whether the bytes fit the artifact type.
pub(crate) fn artifact(
    artifact_type: &ArtifactType,
    named: &Named,
    sniffed: &Sniffed,
    is_text: bool,
) -> Result<(), Reason> {
    let found = sniffed.family();
    let category = found.map(Family::category);
    let shown = || match found {
        Some(family) => format!("its bytes are {}", family.name()),
        None => "its bytes are of no known kind".to_owned(),
    };
    let is_svg = is_text && named.family() == Some(Family::Svg);
    let fits = match artifact_type {
        ArtifactType::Image => category == Some(Category::Image) || is_svg,
        ArtifactType::Video | ArtifactType::Audio => {
            category == Some(Category::Media)
                // Streams of MPEG may begin in the middle of a packet.
                || (found.is_none() && matches!(named.family(), Some(Family::Mp3 | Family::Mpeg | Family::Amr | Family::OtherMedia)))
        }
        ArtifactType::Text => found.is_none() && is_text,
        ArtifactType::Model
        | ArtifactType::Dataset
        | ArtifactType::Intermediate
        | ArtifactType::Custom(_) => true,
    };
    if fits {
        Ok(())
    } else {
        Err(mismatch(format!(
            "the artifact is of type {artifact_type}, and {}",
            shown()
        )))
    }
}
