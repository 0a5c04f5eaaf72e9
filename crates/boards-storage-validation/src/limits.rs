//! How large content may be, and which types an artifact type takes.

use boards_storage_core::{ContentType, Reason, ReasonKind, TypeSettings, Validation};

/// Holds what is declared against the settings of the artifact type.
pub(crate) fn check_declared(settings: &TypeSettings, validation: &Validation) -> Result<(), Reason> {
    let artifact_type = &validation.artifact_type;
    if let Some(length) = validation.length {
        check_size(settings, validation, length)?;
    }
    if !settings.extensions.is_empty() {
        let extension = validation.extension();
        if !extension
            .as_ref()
            .is_some_and(|extension| settings.extensions.contains(extension))
        {
            let found = extension.map_or("none".to_owned(), |extension| format!("{extension:?}"));
            let allowed = settings.extensions.join(", ");
            let message =
                format!("the extension is {found}; an artifact of type {artifact_type} has one of {allowed}");
            return Err(Reason::new(ReasonKind::TypeNotAllowed, message));
        }
    }
    let octets = ContentType::octet_stream();
    let content_type = validation.content_type.as_ref().unwrap_or(&octets);
    let is_allowed = |patterns: &[boards_storage_core::ContentTypePattern]| {
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(content_type))
    };
    if !is_allowed(&settings.content_types) {
        let message =
            format!("the content type {content_type} is not allowed for an artifact of type {artifact_type}");
        return Err(Reason::new(ReasonKind::TypeNotAllowed, message));
    }
    Ok(())
}

/// Holds a size against the limit of the artifact type.
pub(crate) fn check_size(settings: &TypeSettings, validation: &Validation, size: u64) -> Result<(), Reason> {
    match settings.size_max {
        Some(max) if size > max.bytes() => Err(Reason::new(
            ReasonKind::TooLarge,
            format!(
                "the content is larger than the {} bytes that an artifact of type {} may have",
                max.bytes(),
                validation.artifact_type
            ),
        )),
        _ => Ok(()),
    }
}
