//! What a bucket can do, as its settings say.

use boards_storage_core::{
    Capabilities, Capability, KeyRules, OperationKind, PreconditionKind, Protection, Reach, StorageKey,
};

use crate::change::DELETE_MANY_MAX;
use crate::parts::{OBJECT_BYTES_MAX, part_rules};
use crate::settings::{GcsSettings, Preconditions};

const ALWAYS: &[Capability] = &[
    Capability::Range,
    Capability::ConditionalDownload,
    Capability::List,
    Capability::ListDelimiter,
    Capability::ListStartAfter,
    Capability::TruthfulDelete,
    Capability::DeleteMany,
    Capability::Copy,
    Capability::CopyAttributes,
    Capability::SetMetadata,
    Capability::StreamingUpload,
    Capability::ContentType,
    Capability::ContentDisposition,
    Capability::ContentEncoding,
    Capability::ContentLanguage,
    Capability::CacheControl,
    Capability::UserMetadata,
    Capability::Digest,
    Capability::WriteId,
    Capability::Checksum,
    Capability::VerifiedRead,
];

const SIGNED: &[Capability] = &[
    Capability::PresignedUpload,
    Capability::PresignedPost,
    Capability::PresignedLengthMax,
    Capability::PresignedDownload,
    Capability::PresignedPart,
];

pub(crate) fn capabilities_of(settings: &GcsSettings, can_sign: bool) -> Capabilities {
    let mut key_rules = KeyRules::default();
    key_rules.bytes_max = StorageKey::BYTES_MAX - settings.prefix.len();
    let mut capabilities = Capabilities::default()
        .with(ALWAYS)
        .with_key_rules(key_rules)
        .with_part_rules(part_rules())
        .with_reason(
            Capability::SetAccess,
            "access is decided by the bucket and its policies; give it there",
        )
        .with_reason(Capability::PublicUrl, "set public_url_base")
        .with_reason(
            Capability::ReadVersion,
            "set versions: true if the bucket keeps them",
        );
    capabilities.object_size_bytes_max = Some(OBJECT_BYTES_MAX);
    capabilities.delete_many_max = Some(DELETE_MANY_MAX);
    for missing in SIGNED {
        let reason = "give the key of a service account, or set signer";
        capabilities = capabilities.with_reason(*missing, reason);
    }
    let options = [
        (can_sign, SIGNED),
        (settings.versions, &[Capability::ReadVersion]),
        (settings.public_url_base.is_some(), &[Capability::PublicUrl]),
    ];
    for (_, there) in options.into_iter().filter(|(is_there, _)| *is_there) {
        capabilities = capabilities.with(there);
    }
    with_preconditions(capabilities, settings.preconditions(), can_sign)
        .with_protection(protection_of(settings))
}

/// What the settings say of the bucket: one with a public URL is public. Google encrypts every object; of another
/// endpoint nothing is known.
pub(crate) fn protection_of(settings: &GcsSettings) -> Protection {
    let protection = Protection::new(match settings.public_url_base {
        Some(_) => Reach::Public,
        None => Reach::Private,
    });
    if settings.is_google() {
        protection.with_encryption()
    } else {
        protection
    }
}

fn with_preconditions(capabilities: Capabilities, decided: Preconditions, can_sign: bool) -> Capabilities {
    use OperationKind::{CompleteUpload, Copy, Delete, PresignedUploadUrl, SetMetadata, Upload};
    use PreconditionKind::{IfAbsent, IfMatch};
    let is_all = decided == Preconditions::All;
    [
        (decided != Preconditions::None, Upload, IfAbsent),
        (decided != Preconditions::None, Upload, IfMatch),
        (is_all, Copy, IfAbsent),
        (is_all, Copy, IfMatch),
        (is_all, CompleteUpload, IfAbsent),
        (is_all, CompleteUpload, IfMatch),
        (is_all, Delete, IfMatch),
        (is_all, SetMetadata, IfMatch),
        (is_all && can_sign, PresignedUploadUrl, IfAbsent),
        (is_all && can_sign, PresignedUploadUrl, IfMatch),
    ]
    .into_iter()
    .filter(|(is_decided, ..)| *is_decided)
    .fold(capabilities, |capabilities, (_, operation, kind)| {
        capabilities.with_precondition(operation, kind)
    })
}
