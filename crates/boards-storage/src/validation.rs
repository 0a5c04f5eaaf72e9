//! The inspector that the settings describe.

#[cfg(not(feature = "clamav"))]
use boards_storage_core::{Error, ScanMode};
use boards_storage_core::{Inspector, Result, ScanSettings, SharedScanner, ValidationSettings};

/// Makes the inspector; `None` where there is nothing to inspect.
///
/// # Errors
///
/// `Configuration` if the settings name a scanner that is not compiled in: content that should be scanned is never stored
/// unscanned in silence.
pub(crate) fn inspector(
    settings: &ValidationSettings,
    scanner: Option<SharedScanner>,
) -> Result<Option<Inspector>> {
    let mut inspector = None;
    if settings.enabled {
        inspector = with_validator(settings);
    }
    let scanner = match scanner {
        Some(scanner) => Some(scanner),
        None => scanner_of(&settings.scan)?,
    };
    if let Some(scanner) = scanner {
        let policy = settings.scan.policy();
        inspector = Some(inspector.unwrap_or_default().with_scanner(scanner, policy));
    }
    Ok(inspector)
}

#[cfg(feature = "validation")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature there is none")]
fn with_validator(settings: &ValidationSettings) -> Option<Inspector> {
    let validator = boards_storage_validation::ContentValidator::new(settings);
    Some(Inspector::default().with_validator(std::sync::Arc::new(validator)))
}

#[cfg(not(feature = "validation"))]
fn with_validator(_settings: &ValidationSettings) -> Option<Inspector> {
    None
}

#[cfg(feature = "clamav")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature it fails")]
fn scanner_of(settings: &ScanSettings) -> Result<Option<SharedScanner>> {
    Ok(boards_storage_validation::ClamAv::from_settings(settings))
}

#[cfg(not(feature = "clamav"))]
fn scanner_of(settings: &ScanSettings) -> Result<Option<SharedScanner>> {
    if settings.scanner.is_none() || settings.mode == ScanMode::Off {
        return Ok(None);
    }
    Err(
        Error::configuration("storage.validation.scan names ClamAV, which is not compiled in").with_help(
            "enable the Cargo feature 'clamav' of boards-storage, or give a scanner to the builder",
        ),
    )
}
