//! What a provider can do, and the checks that follow from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::key::StorageKey;
use crate::metadata::ObjectAttributes;
use crate::operation::OperationKind;
use crate::options::{
    CopyOptions, CreateUploadOptions, DeleteOptions, DownloadOptions, ListOptions, Precondition,
    PresignDownloadOptions, PresignUploadOptions, SetMetadataOptions, SignedUploadForm, UploadOptions,
};
use crate::protection::Protection;

macro_rules! capability {
    ($( $(#[$doc:meta])* $name:ident = $text:literal, )*) => {
        /// One thing that a provider may be able to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Capability { $( $(#[$doc])* $name, )* }

        impl Capability {
            /// Every capability, in documentation order.
            pub const ALL: &[Self] = &[$( Self::$name, )*];

            /// Returns the capability's name, such as `delete_many`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $( Self::$name => $text, )* }
            }
        }
    };
}

capability! {
    /// Parts of an object can be read.
    Range = "range",
    /// Downloads take `if_match`, `if_none_match` and `if_modified_since`.
    ConditionalDownload = "conditional_download",
    /// Older versions can be read by the store's version id.
    ReadVersion = "read_version",
    /// Keys can be listed in byte order.
    List = "list",
    /// Listings take the delimiter `/`.
    ListDelimiter = "list_delimiter",
    /// Listings take `start_after`.
    ListStartAfter = "list_start_after",
    /// `delete` says truly whether there was an object.
    TruthfulDelete = "truthful_delete",
    /// Many keys can be deleted in one call.
    DeleteMany = "delete_many",
    /// The store itself copies objects.
    Copy = "copy",
    /// A copy can be given other attributes.
    CopyAttributes = "copy_attributes",
    /// Attributes can be changed without sending the bytes again.
    SetMetadata = "set_metadata",
    /// How an object may be reached can be set per object.
    SetAccess = "set_access",
    /// Objects can be uploaded in parts; see [`Capabilities::part_rules`].
    Multipart = "multipart",
    /// A single upload of unknown length runs in constant memory.
    StreamingUpload = "streaming_upload",
    /// `PUT` requests can be signed.
    PresignedUpload = "presigned_upload",
    /// `POST` policies can be signed.
    PresignedPost = "presigned_post",
    /// A signed upload can bound the length.
    PresignedLengthMax = "presigned_length_max",
    /// `GET` requests can be signed.
    PresignedDownload = "presigned_download",
    /// Part uploads can be signed.
    PresignedPart = "presigned_part",
    /// Objects have a URL without a signature.
    PublicUrl = "public_url",
    /// The content type is kept.
    ContentType = "content_type",
    /// The content disposition is kept.
    ContentDisposition = "content_disposition",
    /// The content encoding is kept.
    ContentEncoding = "content_encoding",
    /// The content language is kept.
    ContentLanguage = "content_language",
    /// The cache control is kept.
    CacheControl = "cache_control",
    /// User metadata is kept.
    UserMetadata = "user_metadata",
    /// The digest that the writer declares is kept.
    Digest = "digest",
    /// The write id is kept.
    WriteId = "write_id",
    /// A checksum of the whole object is kept and answered.
    Checksum = "checksum",
    /// Full reads are checked against the checksum: a mismatch is `Corruption`.
    VerifiedRead = "verified_read",
    /// Ranges are checked as full reads are: damaged bytes of a range are `Corruption`.
    VerifiedRange = "verified_range",
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A precondition without its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PreconditionKind {
    /// [`Precondition::IfAbsent`].
    IfAbsent,
    /// [`Precondition::IfMatch`].
    IfMatch,
}

impl Precondition {
    /// Returns the kind; `None` where there is no condition.
    #[must_use]
    pub fn kind(&self) -> Option<PreconditionKind> {
        match self {
            Self::None => None,
            Self::IfAbsent => Some(PreconditionKind::IfAbsent),
            Self::IfMatch(_) => Some(PreconditionKind::IfMatch),
        }
    }
}

/// What a store accepts as a key, beyond what every [`StorageKey`] fulfils.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyRules {
    /// The limit of a whole key in bytes.
    pub bytes_max: usize,
    /// The limit of one segment in bytes.
    pub segment_bytes_max: Option<usize>,
    /// The characters that may stand in a key beside `/`; `None` means all.
    pub characters: Option<&'static str>,
    /// Whether `a` and `a/b` exclude each other, as in a file system.
    pub file_or_folder: bool,
    /// Whether no segment may begin or end with white space, since the store would cut it off.
    pub trimmed: bool,
}

impl Default for KeyRules {
    /// Everything that is a [`StorageKey`].
    fn default() -> Self {
        Self {
            bytes_max: StorageKey::BYTES_MAX,
            segment_bytes_max: None,
            characters: None,
            file_or_folder: false,
            trimmed: false,
        }
    }
}

impl KeyRules {
    /// Checks a key.
    ///
    /// # Errors
    ///
    /// `InvalidInput` that names the rule.
    pub fn check(&self, key: &StorageKey) -> Result<()> {
        let refuse = |problem: String| {
            Err(Error::invalid_input(format!("this store cannot hold the key: {problem}")).with_key(key))
        };
        if key.as_str().len() > self.bytes_max {
            return refuse(format!(
                "it has {} bytes, at most {} are allowed",
                key.as_str().len(),
                self.bytes_max
            ));
        }
        if let Some(max) = self.segment_bytes_max
            && let Some(long) = key.segments().find(|segment| segment.len() > max)
        {
            return refuse(format!(
                "a segment has {} bytes, at most {max} are allowed",
                long.len()
            ));
        }
        if self.trimmed && key.segments().any(|segment| segment.trim() != segment) {
            return refuse("a segment begins or ends with white space".to_owned());
        }
        if let Some(allowed) = self.characters
            && let Some(bad) = key.as_str().chars().find(|c| *c != '/' && !allowed.contains(*c))
        {
            return refuse(format!("it has the character {bad:?}; allowed are {allowed:?}"));
        }
        Ok(())
    }
}

/// In which order the parts of an upload may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartOrder {
    /// In any order, several at once.
    Any,
    /// One after the other.
    Sequential,
}

/// What the parts of an upload must look like. The last part is exempt from `size_bytes_min`, `multiple_of_bytes`
/// and `equal_size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartRules {
    /// In which order parts may come.
    pub order: PartOrder,
    /// The least size of a part in bytes.
    pub size_bytes_min: u64,
    /// The greatest size of a part in bytes.
    pub size_bytes_max: u64,
    /// Sizes are multiples of this; 1 where there is no such rule.
    pub multiple_of_bytes: u64,
    /// By how many bytes the first part must be smaller than a multiple of `multiple_of_bytes`, unless it is the last.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub first_less_bytes: u64,
    /// All parts have one size.
    pub equal_size: bool,
    /// A part that is sent again must have the same bytes as before; others are `InvalidInput`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub same_bytes_again: bool,
    /// The greatest number of parts.
    pub count_max: u32,
}

impl PartRules {
    /// Creates rules for parts of any order and size: 1 byte to 5 GiB, 10,000 of them. The fields are public.
    #[must_use]
    pub fn any() -> Self {
        Self {
            order: PartOrder::Any,
            size_bytes_min: 1,
            size_bytes_max: 5 << 30,
            multiple_of_bytes: 1,
            first_less_bytes: 0,
            equal_size: false,
            same_bytes_again: false,
            count_max: 10_000,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// What a provider can do. Everything that is not declared is refused with `Unsupported`.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{Capabilities, Capability, OperationKind, PreconditionKind};
///
/// let capabilities = Capabilities::default()
///     .with(&[Capability::Range, Capability::List])
///     .with_precondition(OperationKind::Upload, PreconditionKind::IfAbsent);
/// assert!(capabilities.has(Capability::Range));
/// assert!(!capabilities.has(Capability::Copy));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    features: u64,
    /// Why what is missing is missing, where that helps the caller.
    reasons: BTreeMap<Capability, &'static str>,
    preconditions: BTreeSet<(OperationKind, PreconditionKind)>,
    /// What the store accepts as a key.
    pub key_rules: KeyRules,
    /// How uploads in parts go; there are none without it.
    pub part_rules: Option<PartRules>,
    /// The greatest object in bytes.
    pub object_size_bytes_max: Option<u64>,
    /// The greatest single upload in bytes; larger ones need parts.
    pub single_upload_bytes_max: Option<u64>,
    /// The greatest number of keys in one `delete_many`.
    pub delete_many_max: Option<usize>,
    /// The only life of a signed upload, where the store does not let it be chosen.
    pub presigned_upload_life: Option<std::time::Duration>,
    /// How the objects are protected. Nothing is promised by default.
    pub protection: Protection,
}

impl Capabilities {
    /// Adds capabilities.
    #[must_use]
    pub fn with(mut self, capabilities: &[Capability]) -> Self {
        for capability in capabilities {
            self.features |= bit(*capability);
        }
        self
    }

    /// Takes capabilities away.
    #[must_use]
    pub fn without(mut self, capabilities: &[Capability]) -> Self {
        for capability in capabilities {
            self.features &= !bit(*capability);
        }
        if capabilities.contains(&Capability::Multipart) {
            self.part_rules = None;
        }
        self
    }

    /// Says why a capability is missing, or what to do instead; [`Capabilities::require`] gives it as help.
    #[must_use]
    pub fn with_reason(mut self, missing: Capability, reason: &'static str) -> Self {
        self.reasons.insert(missing, reason);
        self
    }

    /// Declares that an operation decides a precondition atomically.
    #[must_use]
    pub fn with_precondition(mut self, operation: OperationKind, precondition: PreconditionKind) -> Self {
        self.preconditions.insert((operation, precondition));
        self
    }

    /// Takes back that an operation decides a precondition.
    #[must_use]
    pub fn without_precondition(mut self, operation: OperationKind, precondition: PreconditionKind) -> Self {
        self.preconditions.remove(&(operation, precondition));
        self
    }

    /// Sets what the store accepts as a key.
    #[must_use]
    pub fn with_key_rules(mut self, key_rules: KeyRules) -> Self {
        self.key_rules = key_rules;
        self
    }

    /// Declares [`Capability::Multipart`] and its rules.
    #[must_use]
    pub fn with_part_rules(mut self, part_rules: PartRules) -> Self {
        self.part_rules = Some(part_rules);
        self.with(&[Capability::Multipart])
    }

    /// Says how the objects are protected.
    #[must_use]
    pub fn with_protection(mut self, protection: Protection) -> Self {
        self.protection = protection;
        self
    }

    /// Returns whether a capability is declared.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        self.features & bit(capability) != 0
    }

    /// Returns whether an operation decides a precondition atomically.
    #[must_use]
    pub fn has_precondition(&self, operation: OperationKind, precondition: PreconditionKind) -> bool {
        self.preconditions.contains(&(operation, precondition))
    }

    /// Returns the declared capabilities.
    pub fn iter(&self) -> impl Iterator<Item = Capability> {
        Capability::ALL
            .iter()
            .copied()
            .filter(|capability| self.has(*capability))
    }

    /// Returns the declared preconditions.
    pub fn preconditions(&self) -> impl Iterator<Item = (OperationKind, PreconditionKind)> {
        self.preconditions.iter().copied()
    }

    /// Requires one capability.
    ///
    /// # Errors
    ///
    /// `Unsupported` that names it.
    pub fn require(&self, capability: Capability) -> Result<()> {
        if self.has(capability) {
            return Ok(());
        }
        let error = Error::unsupported(format!(
            "this provider does not have the capability '{capability}'"
        ));
        Err(match self.reasons.get(&capability) {
            Some(reason) => error.with_help(*reason),
            None => error,
        })
    }

    /// Requires that an operation can decide a precondition.
    ///
    /// # Errors
    ///
    /// `Unsupported` that names both.
    pub fn require_precondition(&self, operation: OperationKind, precondition: &Precondition) -> Result<()> {
        match precondition.kind() {
            Some(kind) if !self.has_precondition(operation, kind) => Err(Error::unsupported(format!(
                "this provider cannot decide {kind:?} atomically in {operation}"
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// Checks the arguments of an upload. A provider calls it first thing; the stack does too.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for what no store can hold, `Unsupported` for what this one cannot honour, `Rejected` for a
    /// declared length above the greatest object.
    pub fn check_upload(&self, key: &StorageKey, length: Option<u64>, options: &UploadOptions) -> Result<()> {
        self.key_rules.check(key)?;
        self.check_attributes(&options.attributes)?;
        self.require_precondition(OperationKind::Upload, &options.precondition)?;
        self.require_if(options.write_id.is_some(), Capability::WriteId)?;
        self.require_if(options.access.is_some(), Capability::SetAccess)?;
        self.check_length(length.or(options.length))
    }

    /// Checks the arguments of a download.
    ///
    /// # Errors
    ///
    /// `InvalidInput` or `Unsupported`.
    pub fn check_download(&self, key: &StorageKey, options: &DownloadOptions) -> Result<()> {
        self.key_rules.check(key)?;
        if let Some(range) = options.range {
            range.validate()?;
            self.require(Capability::Range)?;
        }
        let is_conditional = options.if_match.is_some()
            || options.if_none_match.is_some()
            || options.if_modified_since.is_some();
        self.require_if(is_conditional, Capability::ConditionalDownload)?;
        self.require_if(options.version.is_some(), Capability::ReadVersion)
    }

    /// Checks the arguments of a delete.
    ///
    /// # Errors
    ///
    /// `InvalidInput` or `Unsupported`.
    pub fn check_delete(&self, key: &StorageKey, options: &DeleteOptions) -> Result<()> {
        self.key_rules.check(key)?;
        refuse_if_absent(OperationKind::Delete, &options.precondition)?;
        self.require_precondition(OperationKind::Delete, &options.precondition)
    }

    /// Checks the arguments of a delete of many keys.
    ///
    /// # Errors
    ///
    /// `InvalidInput` or `Unsupported`.
    pub fn check_delete_many(&self, keys: &[StorageKey], options: &DeleteOptions) -> Result<()> {
        self.require(Capability::DeleteMany)?;
        if let Some(max) = self.delete_many_max
            && keys.len() > max
        {
            return Err(Error::invalid_input(format!(
                "{} keys in one call, at most {max} are allowed",
                keys.len()
            )));
        }
        refuse_if_absent(OperationKind::DeleteMany, &options.precondition)?;
        self.require_precondition(OperationKind::DeleteMany, &options.precondition)?;
        keys.iter().try_for_each(|key| self.key_rules.check(key))
    }

    /// Checks the arguments of a listing.
    ///
    /// # Errors
    ///
    /// `InvalidInput` or `Unsupported`.
    pub fn check_list(&self, options: &ListOptions) -> Result<()> {
        self.require(Capability::List)?;
        self.require_if(options.start_after.is_some(), Capability::ListStartAfter)?;
        if let Some(delimiter) = &options.delimiter {
            self.require(Capability::ListDelimiter)?;
            if delimiter != "/" {
                return Err(Error::unsupported(format!(
                    "the list delimiter must be '/', got {delimiter:?}"
                )));
            }
        }
        if options.limit == Some(0) {
            return Err(Error::invalid_input("the list limit must be at least 1, got 0"));
        }
        Ok(())
    }

    /// Checks the arguments of a copy.
    ///
    /// # Errors
    ///
    /// `InvalidInput` or `Unsupported`.
    pub fn check_copy(&self, from: &StorageKey, to: &StorageKey, options: &CopyOptions) -> Result<()> {
        self.require(Capability::Copy)?;
        self.key_rules.check(from)?;
        self.key_rules.check(to)?;
        if from == to {
            return Err(Error::invalid_input(
                "a copy needs two different keys; set_metadata changes attributes",
            )
            .with_key(to));
        }
        if let Some(attributes) = &options.attributes {
            self.require(Capability::CopyAttributes)?;
            self.check_attributes(attributes)?;
        }
        self.require_if(options.source_if_match.is_some(), Capability::ConditionalDownload)?;
        self.require_if(options.write_id.is_some(), Capability::WriteId)?;
        self.require_precondition(OperationKind::Copy, &options.precondition)
    }

    /// Checks the arguments of a change of attributes.
    ///
    /// # Errors
    ///
    /// `InvalidInput` or `Unsupported`.
    pub fn check_set_metadata(
        &self,
        key: &StorageKey,
        attributes: &ObjectAttributes,
        options: &SetMetadataOptions,
    ) -> Result<()> {
        self.require(Capability::SetMetadata)?;
        self.key_rules.check(key)?;
        self.check_attributes(attributes)?;
        refuse_if_absent(OperationKind::SetMetadata, &options.precondition)?;
        self.require_precondition(OperationKind::SetMetadata, &options.precondition)
    }

    /// Checks the arguments of the beginning of an upload in parts.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, `Unsupported` or `Rejected`, as [`Capabilities::check_upload`].
    pub fn check_create_upload(&self, key: &StorageKey, options: &CreateUploadOptions) -> Result<()> {
        self.require(Capability::Multipart)?;
        self.key_rules.check(key)?;
        self.check_attributes(&options.attributes)?;
        self.require_precondition(OperationKind::CompleteUpload, &options.precondition)?;
        self.require_if(options.write_id.is_some(), Capability::WriteId)?;
        self.require_if(options.access.is_some(), Capability::SetAccess)?;
        self.check_length(options.length)
    }

    /// Checks the arguments of a signed upload.
    ///
    /// # Errors
    ///
    /// `InvalidInput` or `Unsupported`.
    pub fn check_presign_upload(&self, key: &StorageKey, options: &PresignUploadOptions) -> Result<()> {
        self.require(match options.form {
            SignedUploadForm::Put => Capability::PresignedUpload,
            SignedUploadForm::Post => Capability::PresignedPost,
        })?;
        self.key_rules.check(key)?;
        let life = self.signed_upload_life(options);
        check_expiry(life)?;
        if let Some(only) = self.presigned_upload_life
            && only != life
        {
            return Err(Error::unsupported(format!(
                "this store signs uploads for {only:?}, not for {life:?}"
            ))
            .with_help(format!(
                "ask for exactly {} seconds, or leave the time to the store",
                only.as_secs()
            )));
        }
        self.require_if(options.length_max.is_some(), Capability::PresignedLengthMax)?;
        self.require_if(options.write_id.is_some(), Capability::WriteId)?;
        self.require_precondition(OperationKind::PresignedUploadUrl, &options.precondition)?;
        self.check_attributes(&options.attributes)
    }

    /// Returns for how long a signed upload is valid: what is asked for, else what the store offers, else one hour.
    #[must_use]
    pub fn signed_upload_life(&self, options: &PresignUploadOptions) -> std::time::Duration {
        let default = std::time::Duration::from_hours(1);
        options
            .expires_in
            .or(self.presigned_upload_life)
            .unwrap_or(default)
    }

    /// Checks the arguments of a signed download.
    ///
    /// # Errors
    ///
    /// `InvalidInput` or `Unsupported`.
    pub fn check_presign_download(&self, key: &StorageKey, options: &PresignDownloadOptions) -> Result<()> {
        self.require(Capability::PresignedDownload)?;
        self.key_rules.check(key)?;
        if let Some(range) = options.range {
            range.validate()?;
        }
        check_expiry(options.expires_in)
    }

    fn check_attributes(&self, attributes: &ObjectAttributes) -> Result<()> {
        attributes.validate()?;
        self.require_if(attributes.content_type.is_some(), Capability::ContentType)?;
        self.require_if(
            attributes.content_disposition.is_some(),
            Capability::ContentDisposition,
        )?;
        self.require_if(attributes.content_encoding.is_some(), Capability::ContentEncoding)?;
        self.require_if(attributes.content_language.is_some(), Capability::ContentLanguage)?;
        self.require_if(attributes.cache_control.is_some(), Capability::CacheControl)?;
        self.require_if(!attributes.user_metadata.is_empty(), Capability::UserMetadata)
    }

    fn check_length(&self, length: Option<u64>) -> Result<()> {
        match (length, self.object_size_bytes_max) {
            (Some(length), Some(max)) if length > max => Err(Error::new(
                crate::ErrorKind::Rejected,
                format!("the object has {length} bytes, this store takes at most {max}"),
            )),
            _ => Ok(()),
        }
    }

    fn require_if(&self, is_asked: bool, capability: Capability) -> Result<()> {
        if is_asked {
            self.require(capability)
        } else {
            Ok(())
        }
    }
}

/// Checks that a signature's life is 1 second to 7 days, the bounds that S3 and Google Cloud Storage share.
///
/// # Errors
///
/// `InvalidInput` otherwise.
pub fn check_expiry(expires_in: std::time::Duration) -> Result<()> {
    let week = std::time::Duration::from_hours(7 * 24);
    if (std::time::Duration::from_secs(1)..=week).contains(&expires_in) {
        return Ok(());
    }
    Err(Error::invalid_input(format!(
        "a signed request lives 1 second to 7 days, got {expires_in:?}"
    )))
}

fn refuse_if_absent(operation: OperationKind, precondition: &Precondition) -> Result<()> {
    if *precondition == Precondition::IfAbsent {
        return Err(Error::invalid_input(format!(
            "IfAbsent makes no sense in {operation}"
        )));
    }
    Ok(())
}

fn bit(capability: Capability) -> u64 {
    1 << capability as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn what_is_not_declared_is_refused() {
        let key = StorageKey::parse("a").expect("valid");
        let none = Capabilities::default();
        let options = UploadOptions::default()
            .with_attributes(ObjectAttributes::default().with_user_metadata("a", "b"));
        assert_eq!(
            none.check_upload(&key, None, &options)
                .expect_err("refused")
                .kind(),
            ErrorKind::Unsupported
        );
        let some = none.with(&[Capability::UserMetadata]);
        assert!(some.check_upload(&key, None, &options).is_ok());
        let absent = UploadOptions::default().with_precondition(Precondition::IfAbsent);
        assert_eq!(
            some.check_upload(&key, None, &absent)
                .expect_err("refused")
                .kind(),
            ErrorKind::Unsupported
        );
        let some = some.with_precondition(OperationKind::Upload, PreconditionKind::IfAbsent);
        assert!(some.check_upload(&key, None, &absent).is_ok());
    }

    #[test]
    fn key_rules_hold_at_their_edges() {
        let rules = KeyRules {
            bytes_max: 9,
            segment_bytes_max: Some(3),
            characters: Some("abc"),
            file_or_folder: true,
            trimmed: false,
        };
        let check = |text: &str| rules.check(&StorageKey::parse(text).expect("a key")).is_ok();
        assert!(check("abc/abc/a"));
        assert!(!check("abc/abc/ab"));
        assert!(!check("abca"));
        assert!(!check("abd"));
    }

    #[test]
    fn white_space_at_an_end_is_refused_where_it_would_be_lost() {
        let mut rules = KeyRules::default();
        let check =
            |rules: &KeyRules, text: &str| rules.check(&StorageKey::parse(text).expect("a key")).is_ok();
        assert!(check(&rules, " a ") && check(&rules, "a\u{2003}"));
        rules.trimmed = true;
        assert!(check(&rules, "a b/c"));
        for lost in [" a", "a ", "a/ b", "a /b", "a/b\u{a0}", "\u{2003}a", " "] {
            assert!(!check(&rules, lost), "{lost:?}");
        }
    }

    #[test]
    fn capabilities_come_and_go() {
        let all = Capabilities::default()
            .with(Capability::ALL)
            .with_part_rules(PartRules::any());
        assert_eq!(all.iter().count(), Capability::ALL.len());
        let fewer = all.without(&[Capability::Multipart]);
        assert!(!fewer.has(Capability::Multipart) && fewer.part_rules.is_none());
    }

    #[test]
    fn a_life_that_cannot_be_chosen_is_the_only_one() {
        use std::time::Duration;
        let key = StorageKey::parse("a").expect("valid");
        let mut fixed = Capabilities::default().with(&[Capability::PresignedUpload]);
        fixed.presigned_upload_life = Some(Duration::from_hours(2));
        let check =
            |life| fixed.check_presign_upload(&key, &PresignUploadOptions::default().with_expires_in(life));
        assert!(check(Duration::from_hours(2)).is_ok());
        let other = check(Duration::from_hours(1)).expect_err("refused");
        assert_eq!(other.kind(), ErrorKind::Unsupported);
        assert_eq!(
            other.help(),
            Some("ask for exactly 7200 seconds, or leave the time to the store")
        );
        let unasked = PresignUploadOptions::default();
        assert!(fixed.check_presign_upload(&key, &unasked).is_ok());
        assert_eq!(fixed.signed_upload_life(&unasked), Duration::from_hours(2));
        let free = Capabilities::default();
        assert_eq!(free.signed_upload_life(&unasked), Duration::from_hours(1));
        assert_eq!(
            check(Duration::ZERO).expect_err("refused").kind(),
            ErrorKind::InvalidInput
        );
    }

    #[test]
    fn a_signature_lives_one_second_to_seven_days() {
        use std::time::Duration;
        assert!(check_expiry(Duration::from_secs(1)).is_ok());
        assert!(check_expiry(Duration::from_millis(999)).is_err());
        assert!(check_expiry(Duration::from_secs(604_800)).is_ok());
        assert!(check_expiry(Duration::from_secs(604_801)).is_err());
    }
}
