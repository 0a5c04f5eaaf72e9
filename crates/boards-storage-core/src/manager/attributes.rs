//! Which of an artifact's attributes go to a store: those that it keeps. The record has them all.

use crate::capabilities::{Capabilities, Capability};
use crate::error::{Error, Result};
use crate::metadata::ObjectAttributes;
use crate::options::AccessClass;

/// Returns what a store keeps of the attributes.
pub(super) fn kept(capabilities: &Capabilities, attributes: &ObjectAttributes) -> ObjectAttributes {
    let mut kept = attributes.clone();
    let mut keep = |capability, forget: fn(&mut ObjectAttributes)| {
        if !capabilities.has(capability) {
            forget(&mut kept);
        }
    };
    keep(Capability::ContentType, |kept| kept.content_type = None);
    keep(Capability::ContentDisposition, |kept| {
        kept.content_disposition = None;
    });
    keep(Capability::ContentEncoding, |kept| kept.content_encoding = None);
    keep(Capability::ContentLanguage, |kept| kept.content_language = None);
    keep(Capability::CacheControl, |kept| kept.cache_control = None);
    keep(Capability::UserMetadata, |kept| kept.user_metadata.clear());
    kept
}

/// Refuses what would be lost to those who fetch the artifact from the store itself, by its URL: a header that was
/// asked for and that the store does not keep.
///
/// The content type is not refused: it is said of every artifact, and whoever serves files without one goes by the
/// extension, which each key has.
pub(super) fn check_served(
    capabilities: &Capabilities,
    access: AccessClass,
    attributes: &ObjectAttributes,
) -> Result<()> {
    if !is_served_by_url(capabilities, access) {
        return Ok(());
    }
    let asked = [
        (
            Capability::ContentDisposition,
            attributes.content_disposition.is_some(),
        ),
        (Capability::ContentEncoding, attributes.content_encoding.is_some()),
        (Capability::ContentLanguage, attributes.content_language.is_some()),
        (Capability::CacheControl, attributes.cache_control.is_some()),
    ];
    for (capability, is_asked) in asked {
        if is_asked && !capabilities.has(capability) {
            return Err(Error::unsupported(format!(
                "this provider hands out URLs of {} artifacts and does not have the capability '{capability}', so \
                 whoever fetches by such a URL would not get what was asked for",
                access.name()
            ))
            .with_help(
                "leave that attribute out, store with access 'authenticated', whose readers get it from the record, or \
                 route to a provider that keeps it",
            ));
        }
    }
    Ok(())
}

/// Says whether the manager hands out URLs at which the store itself answers; see
/// [`StorageManager::get_download_url`](super::StorageManager::get_download_url).
fn is_served_by_url(capabilities: &Capabilities, access: AccessClass) -> bool {
    let signs = capabilities.has(Capability::PresignedDownload);
    match access {
        AccessClass::Public => signs || capabilities.has(Capability::PublicUrl),
        AccessClass::Private | AccessClass::Temporary => signs,
        AccessClass::Authenticated => false,
    }
}
