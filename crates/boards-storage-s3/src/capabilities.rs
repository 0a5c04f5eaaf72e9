//! What a bucket can do, as its settings say.

use boards_storage_core::{
    Capabilities, Capability, KeyRules, OperationKind, PreconditionKind, Protection, Reach, StorageKey,
};

use crate::delete::DELETE_MANY_MAX;
use crate::multipart::part_rules;
use crate::settings::{ChecksumChoice, ConditionalWrites, Encryption, S3Settings};

pub(crate) fn capabilities_of(settings: &S3Settings) -> Capabilities {
    let mut key_rules = KeyRules::default();
    key_rules.bytes_max = StorageKey::BYTES_MAX - settings.prefix.len();
    let rules = part_rules(settings);
    let capabilities = Capabilities::default()
        .with(&[
            Capability::Range,
            Capability::ConditionalDownload,
            Capability::List,
            Capability::ListDelimiter,
            Capability::ListStartAfter,
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
        ])
        .with_key_rules(key_rules)
        .with_part_rules(rules);
    let mut capabilities = with_conditions(
        with_signatures(with_options(capabilities, settings), settings),
        settings,
    );
    capabilities.object_size_bytes_max = Some(rules.size_bytes_max * u64::from(rules.count_max));
    capabilities.delete_many_max = Some(DELETE_MANY_MAX);
    capabilities.with_protection(protection_of(settings))
}

/// What the settings say of the bucket: one with a public URL is public. AWS itself encrypts every object since 2023;
/// of another store only the settings tell it.
pub(crate) fn protection_of(settings: &S3Settings) -> Protection {
    let protection = Protection::new(match settings.public_url_base {
        Some(_) => Reach::Public,
        None => Reach::Private,
    });
    let is_encrypted = match settings.encryption {
        Encryption::Default => settings.endpoint.is_none(),
        Encryption::S3 | Encryption::Kms { .. } | Encryption::Customer { .. } => true,
    };
    if is_encrypted {
        protection.with_encryption()
    } else {
        protection
    }
}

/// What a setting turns on.
fn with_options(capabilities: Capabilities, settings: &S3Settings) -> Capabilities {
    let capabilities = capabilities
        .with_reason(
            Capability::SetAccess,
            "set acl: true if the bucket takes ACLs, or give access by a bucket policy",
        )
        .with_reason(Capability::PublicUrl, "set public_url_base")
        .with_reason(
            Capability::ReadVersion,
            "set versions: true if the bucket keeps them",
        );
    let keeps_checksums = settings.checksum() == ChecksumChoice::Crc64nvme;
    [
        (keeps_checksums, Capability::Checksum),
        (keeps_checksums, Capability::VerifiedRead),
        (settings.versions, Capability::ReadVersion),
        (settings.acl, Capability::SetAccess),
        (settings.public_url_base.is_some(), Capability::PublicUrl),
    ]
    .into_iter()
    .filter(|(is_there, _)| *is_there)
    .fold(capabilities, |capabilities, (_, capability)| {
        capabilities.with(&[capability])
    })
}

fn can_sign(settings: &S3Settings) -> bool {
    !matches!(settings.encryption, Encryption::Customer { .. })
}

fn with_signatures(capabilities: Capabilities, settings: &S3Settings) -> Capabilities {
    let signed = [
        Capability::PresignedUpload,
        Capability::PresignedPost,
        Capability::PresignedLengthMax,
        Capability::PresignedDownload,
        Capability::PresignedPart,
    ];
    if can_sign(settings) {
        return capabilities.with(&signed);
    }
    signed.into_iter().fold(capabilities, |capabilities, missing| {
        capabilities.with_reason(missing, "whoever holds the URL would need the customer's key too")
    })
}

fn with_conditions(capabilities: Capabilities, settings: &S3Settings) -> Capabilities {
    use OperationKind::{CompleteUpload, Copy, PresignedUploadUrl, Upload};
    use PreconditionKind::{IfAbsent, IfMatch};
    let writes = settings.conditional_writes();
    let decides_absence = writes != ConditionalWrites::None;
    let decides_tags = writes == ConditionalWrites::All;
    [
        (decides_absence, Upload, IfAbsent),
        (decides_tags, Upload, IfMatch),
        (
            decides_absence && can_sign(settings),
            PresignedUploadUrl,
            IfAbsent,
        ),
        (decides_tags && can_sign(settings), PresignedUploadUrl, IfMatch),
        (settings.conditional_completion(), CompleteUpload, IfAbsent),
        (settings.conditional_completion(), CompleteUpload, IfMatch),
        (settings.conditional_copies(), Copy, IfAbsent),
        (settings.conditional_copies(), Copy, IfMatch),
    ]
    .into_iter()
    .filter(|(is_decided, ..)| *is_decided)
    .fold(capabilities, |capabilities, (_, operation, kind)| {
        capabilities.with_precondition(operation, kind)
    })
}
