//! The `config` block of an S3 provider.

use std::time::Duration;

use boards_storage_core::{ByteSize, Error, FriendlyDuration, Result, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

/// Which bucket, how to reach it, and what its store can do.
///
/// Only `bucket` is needed: the region and the credentials then come from where AWS's own tools look for them.
/// A store that is not AWS is named by `endpoint`; what such stores often refuse or ignore (checksums, conditional
/// writes, ACLs) is then off until a setting says that this one has it.
///
/// # Examples
///
/// ```
/// use boards_storage_core::Secret;
/// use boards_storage_s3::{ConditionalWrites, S3Settings};
///
/// let settings = S3Settings::new("media")
///     .with_endpoint("http://127.0.0.1:9000")
///     .with_keys(Secret::new("id"), Secret::new("key"));
/// assert!(settings.path_style());
/// assert_eq!(settings.conditional_writes(), ConditionalWrites::None);
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct S3Settings {
    /// The bucket. It must exist.
    pub bucket: String,
    /// The region. Without it: that of the environment or profile; for an `endpoint`, `us-east-1`.
    #[serde(default)]
    pub region: Option<String>,
    /// The access key's id. Without it: the standard chain of credentials (environment, profile, web identity,
    /// container, instance).
    #[serde(default)]
    pub access_key_id: Option<Secret>,
    /// The access key's secret; it stands beside `access_key_id`.
    #[serde(default)]
    pub secret_access_key: Option<Secret>,
    /// The session token of temporary keys.
    #[serde(default)]
    pub session_token: Option<Secret>,
    /// The profile of AWS's shared files to take region and credentials from. It excludes keys.
    #[serde(default)]
    pub profile: Option<String>,
    /// The URL of a store that is not AWS: Ceph, Garage, R2, MinIO …
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Whether the bucket stands in the path of URLs instead of the host name. On by default with an `endpoint`.
    #[serde(default)]
    path_style: Option<bool>,
    /// What stands before every key in the bucket, such as `boards/`. It must end with `/`.
    #[serde(default)]
    pub prefix: String,
    /// How the store encrypts the objects. By default as the bucket says.
    #[serde(default)]
    pub encryption: Encryption,
    /// The storage class, such as `STANDARD_IA`. By default as the bucket says.
    #[serde(default)]
    pub storage_class: Option<String>,
    /// The checksum that the store checks when it receives, keeps, and answers. By default `crc64nvme` on AWS, and
    /// `none` with an `endpoint`.
    #[serde(default)]
    checksum: Option<ChecksumChoice>,
    /// Which conditions of PUT requests the store decides, also in a race. By default `all` on AWS, and `none` with an
    /// `endpoint`: a store that ignores them would overwrite.
    #[serde(default)]
    conditional_writes: Option<ConditionalWrites>,
    /// Whether the completion of an upload in parts decides them too, all of them. On by default on AWS, off with an `endpoint`.
    #[serde(default)]
    conditional_completion: Option<bool>,
    /// Whether a copy decides them, of its source and of its target. On by default on AWS, off with an `endpoint`.
    #[serde(default)]
    conditional_copies: Option<bool>,
    /// Whether the bucket keeps versions, so that older ones can be read. Off by default.
    #[serde(default)]
    pub versions: bool,
    /// Whether access is set per object, by ACLs. Off by default: no ACL is ever sent.
    #[serde(default)]
    pub acl: bool,
    /// The URL under which the prefix of the bucket can be read without a signature: a CDN, a website. Without it
    /// there are no public URLs.
    #[serde(default)]
    pub public_url_base: Option<String>,
    /// Contents of unknown length, or longer than this, go up in parts. Default: 16 MiB.
    #[serde(default = "default_multipart_threshold")]
    pub multipart_threshold: ByteSize,
    /// The size of a part, 5 MiB to 5 GiB. It grows where 10,000 parts would not suffice. Default: 8 MiB.
    #[serde(default = "default_part_size")]
    pub part_size: ByteSize,
    /// Whether all parts but the last must have one size, as R2 wants it. An upload of unknown length is then
    /// limited to 10,000 parts of `part_size`. Off by default.
    #[serde(default)]
    pub equal_parts: bool,
    /// How many parts of one upload or copy are sent at a time, 1 to 64. One upload holds at most so many parts in
    /// memory. Default: 4.
    #[serde(default = "default_concurrency")]
    #[schemars(range(min = 1, max = 64))]
    pub concurrency: usize,
    /// Whether the SHA-256 of each request's bytes is part of its signature. By default on over plain HTTP alone,
    /// as TLS protects the bytes better and faster.
    #[serde(default)]
    sign_payload: Option<bool>,
    /// The connections.
    #[serde(default)]
    pub connections: ConnectionSettings,
}

/// How the store encrypts.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Encryption {
    /// As the bucket's own default says.
    #[default]
    Default,
    /// With keys of the store (SSE-S3).
    S3,
    /// With a key of the key service (SSE-KMS).
    Kms {
        /// The key's id or ARN; without it, the account's own.
        #[serde(default)]
        key_id: Option<String>,
    },
    /// With a key that is sent along with each request and that the store does not keep (SSE-C). Nothing can be
    /// signed for others then: they would need the key.
    Customer {
        /// The key: 32 bytes in Base64.
        key: Secret,
    },
}

/// Which conditions of PUT requests a store decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConditionalWrites {
    /// None.
    None,
    /// That there is no object (`If-None-Match: *`), as Ceph 16 does.
    IfAbsent,
    /// That there is none, and that the object has an entity tag (`If-Match`).
    All,
}

/// Which checksum the store is asked to check and keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChecksumChoice {
    /// None. The provider then keeps a CRC-64/NVME of single uploads in the object's metadata, and checks full reads
    /// by it.
    None,
    /// CRC-64/NVME: the one that stores keep of whole objects, also of those that came in parts.
    Crc64nvme,
    /// None, and the provider keeps none either: for objects that are checked above, as by the manager's digests.
    Off,
}

/// The connections to the store.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ConnectionSettings {
    /// How long making a connection may take. Default: 5 s.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "10m"))]
    pub connect_timeout: FriendlyDuration,
    /// How long the store may take to begin its answer, once it has the request. Default: 60 s.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1h"))]
    pub read_timeout: FriendlyDuration,
    /// How long an unused connection is kept. Default: 60 s.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1h"))]
    pub idle_timeout: FriendlyDuration,
    /// How many unused connections are kept. Default: 64.
    pub idle_max: usize,
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        Self {
            connect_timeout: FriendlyDuration::new(Duration::from_secs(5)),
            read_timeout: FriendlyDuration::new(Duration::from_secs(60)),
            idle_timeout: FriendlyDuration::new(Duration::from_secs(60)),
            idle_max: 64,
        }
    }
}

fn default_multipart_threshold() -> ByteSize {
    ByteSize::from_bytes(16 << 20)
}

fn default_part_size() -> ByteSize {
    ByteSize::from_bytes(8 << 20)
}

fn default_concurrency() -> usize {
    4
}

/// The least and greatest size of a part, in bytes, as S3 has them.
pub(crate) const PART_BYTES_MIN: u64 = 5 << 20;
pub(crate) const PART_BYTES_MAX: u64 = 5 << 30;

impl S3Settings {
    /// Creates settings of a bucket on AWS, with region and credentials from the standard chain.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            region: None,
            access_key_id: None,
            secret_access_key: None,
            session_token: None,
            profile: None,
            endpoint: None,
            path_style: None,
            prefix: String::new(),
            encryption: Encryption::default(),
            storage_class: None,
            checksum: None,
            conditional_writes: None,
            conditional_completion: None,
            conditional_copies: None,
            versions: false,
            acl: false,
            public_url_base: None,
            multipart_threshold: default_multipart_threshold(),
            part_size: default_part_size(),
            equal_parts: false,
            concurrency: default_concurrency(),
            sign_payload: None,
            connections: ConnectionSettings::default(),
        }
    }

    /// Sets the URL of a store that is not AWS.
    #[must_use]
    pub fn with_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Sets the access key.
    #[must_use]
    pub fn with_keys(mut self, id: Secret, secret: Secret) -> Self {
        self.access_key_id = Some(id);
        self.secret_access_key = Some(secret);
        self
    }

    /// Sets the region.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Sets what stands before every key.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how the store encrypts.
    #[must_use]
    pub fn with_encryption(mut self, encryption: Encryption) -> Self {
        self.encryption = encryption;
        self
    }

    /// Sets the storage class.
    #[must_use]
    pub fn with_storage_class(mut self, class: impl Into<String>) -> Self {
        self.storage_class = Some(class.into());
        self
    }

    /// Sets the checksum that the store keeps.
    #[must_use]
    pub fn with_checksum(mut self, checksum: ChecksumChoice) -> Self {
        self.checksum = Some(checksum);
        self
    }

    /// Says which conditions of PUT requests the store decides.
    #[must_use]
    pub fn with_conditional_writes(mut self, decided: ConditionalWrites) -> Self {
        self.conditional_writes = Some(decided);
        self
    }

    /// Says whether the completion of an upload in parts decides preconditions.
    #[must_use]
    pub fn with_conditional_completion(mut self, is_decided: bool) -> Self {
        self.conditional_completion = Some(is_decided);
        self
    }

    /// Says whether copies decide preconditions.
    #[must_use]
    pub fn with_conditional_copies(mut self, is_decided: bool) -> Self {
        self.conditional_copies = Some(is_decided);
        self
    }

    /// Says whether the SHA-256 of the bytes is signed.
    #[must_use]
    pub fn with_sign_payload(mut self, is_signed: bool) -> Self {
        self.sign_payload = Some(is_signed);
        self
    }

    /// Sets where the bucket can be read without a signature.
    #[must_use]
    pub fn with_public_url_base(mut self, url: impl Into<String>) -> Self {
        self.public_url_base = Some(url.into());
        self
    }

    /// Says whether the bucket stands in the path of URLs.
    #[must_use]
    pub fn path_style(&self) -> bool {
        self.path_style.unwrap_or(self.endpoint.is_some())
    }

    /// Says which checksum the store keeps.
    #[must_use]
    pub fn checksum(&self) -> ChecksumChoice {
        self.checksum.unwrap_or(if self.endpoint.is_some() {
            ChecksumChoice::None
        } else {
            ChecksumChoice::Crc64nvme
        })
    }

    /// Says which conditions of PUT requests the store decides.
    #[must_use]
    pub fn conditional_writes(&self) -> ConditionalWrites {
        self.conditional_writes.unwrap_or(if self.endpoint.is_some() {
            ConditionalWrites::None
        } else {
            ConditionalWrites::All
        })
    }

    /// Says whether the completion of an upload in parts decides preconditions.
    #[must_use]
    pub fn conditional_completion(&self) -> bool {
        self.conditional_completion.unwrap_or(self.endpoint.is_none())
    }

    /// Says whether copies decide preconditions.
    #[must_use]
    pub fn conditional_copies(&self) -> bool {
        self.conditional_copies.unwrap_or(self.endpoint.is_none())
    }

    /// Says whether the SHA-256 of the bytes is signed.
    #[must_use]
    pub fn sign_payload(&self) -> bool {
        let is_plain = self
            .endpoint
            .as_deref()
            .is_some_and(|url| url.starts_with("http://"));
        self.sign_payload.unwrap_or(is_plain)
    }

    /// Checks what no type can.
    ///
    /// # Errors
    ///
    /// `Configuration` that names the field.
    pub fn validate(&self) -> Result<()> {
        if self.bucket.is_empty() {
            return Err(wrong("bucket", "is empty").with_help("name the bucket"));
        }
        if self.access_key_id.is_some() != self.secret_access_key.is_some() {
            return Err(wrong(
                "access_key_id",
                "and secret_access_key stand together or not at all",
            ));
        }
        if self.session_token.is_some() && self.access_key_id.is_none() {
            return Err(wrong("session_token", "belongs to an access_key_id").with_help("give the keys too"));
        }
        if self.profile.is_some() && self.access_key_id.is_some() {
            return Err(wrong("profile", "and keys exclude each other").with_help("give one of them"));
        }
        if let Some(url) = &self.endpoint {
            check_url("endpoint", url)?;
        }
        if let Some(url) = &self.public_url_base {
            check_url("public_url_base", url)?;
        }
        self.check_prefix()?;
        let part = self.part_size.bytes();
        if !(PART_BYTES_MIN..=PART_BYTES_MAX).contains(&part) {
            return Err(wrong(
                "part_size",
                format!("is {part} bytes, expected 5 MiB to 5 GiB"),
            ));
        }
        if self.multipart_threshold.bytes() > PART_BYTES_MAX {
            return Err(wrong(
                "multipart_threshold",
                "is above 5 GiB, the greatest single upload",
            ));
        }
        if !(1..=64).contains(&self.concurrency) {
            let problem = format!("is {}, expected 1 to 64", self.concurrency);
            return Err(wrong("concurrency", problem));
        }
        Ok(())
    }

    fn check_prefix(&self) -> Result<()> {
        let prefix = &self.prefix;
        if prefix.is_empty() {
            return Ok(());
        }
        let is_key = prefix
            .strip_suffix('/')
            .is_some_and(|path| boards_storage_core::StorageKey::parse(path).is_ok());
        if !is_key || prefix.len() > 512 {
            let problem = format!("is {prefix:?}, expected segments that end with '/', at most 512 bytes");
            return Err(wrong("prefix", problem).with_help("give something like 'boards/'"));
        }
        Ok(())
    }
}

fn wrong(field: &str, problem: impl std::fmt::Display) -> Error {
    Error::configuration(format!("{field} {problem}"))
}

fn check_url(field: &str, text: &str) -> Result<()> {
    let is_url = text.split_once("://").is_some_and(|(scheme, rest)| {
        matches!(scheme, "http" | "https") && !rest.is_empty() && !rest.starts_with('/')
    });
    let is_clean = text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains(['?', '#', '@']);
    if is_url && is_clean {
        return Ok(());
    }
    Err(wrong(
        field,
        "is not an http or https URL without user, query and fragment",
    )
    .with_help("give something like 'https://s3.example.com'"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(change: Value, problem: Option<&str>) {
        let mut config = json!({ "bucket": "media" });
        let fields = config.as_object_mut().expect("a map");
        for (name, value) in change.as_object().expect("a map") {
            fields.insert(name.clone(), value.clone());
        }
        let settings: S3Settings = serde_json::from_value(config).expect("it parses");
        match (settings.validate(), problem) {
            (Ok(()), None) => {}
            (Err(error), Some(problem)) => {
                assert_eq!(error.kind(), boards_storage_core::ErrorKind::Configuration);
                assert!(error.message().contains(problem), "{error}");
            }
            (outcome, expected) => panic!("{outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn settings_are_checked_at_their_limits() {
        check(json!({}), None);
        check(json!({"bucket": ""}), Some("bucket"));
        check(json!({"access_key_id": "a"}), Some("secret_access_key"));
        check(json!({"secret_access_key": "a"}), Some("access_key_id"));
        check(json!({"session_token": "a"}), Some("session_token"));
        let keys = json!({"access_key_id": "a", "secret_access_key": "b", "profile": "c"});
        check(keys, Some("profile"));
        check(json!({"endpoint": "127.0.0.1:9000"}), Some("endpoint"));
        check(json!({"endpoint": "https://user@host"}), Some("endpoint"));
        check(json!({"endpoint": "http://[::1]:9000/sub"}), None);
        check(json!({"public_url_base": "ftp://a"}), Some("public_url_base"));
        check(json!({"prefix": "boards/v1/"}), None);
        check(json!({"prefix": "boards"}), Some("prefix"));
        check(json!({"prefix": "/"}), Some("prefix"));
        check(json!({"part_size": "5MiB"}), None);
        check(json!({"part_size": 5_242_879}), Some("part_size"));
        check(json!({"part_size": "5GiB"}), None);
        check(json!({"part_size": "6GiB"}), Some("part_size"));
        check(
            json!({"multipart_threshold": "6GiB"}),
            Some("multipart_threshold"),
        );
        check(json!({"concurrency": 64}), None);
        check(json!({"concurrency": 0}), Some("concurrency"));
        check(json!({"concurrency": 65}), Some("concurrency"));
    }

    #[test]
    fn what_other_stores_may_ignore_is_off_with_an_endpoint() {
        let aws = S3Settings::new("media");
        assert_eq!(aws.conditional_writes(), ConditionalWrites::All);
        assert!(aws.conditional_completion() && aws.conditional_copies());
        assert_eq!(aws.checksum(), ChecksumChoice::Crc64nvme);
        assert!(!aws.path_style() && !aws.sign_payload());
        assert_eq!(
            aws.clone().with_checksum(ChecksumChoice::Off).checksum(),
            ChecksumChoice::Off
        );
        let other = aws.with_endpoint("http://127.0.0.1:9000");
        assert_eq!(other.conditional_writes(), ConditionalWrites::None);
        assert!(!(other.conditional_completion() || other.conditional_copies()));
        assert_eq!(other.checksum(), ChecksumChoice::None);
        assert!(other.path_style() && other.sign_payload());
        assert!(!other.clone().with_endpoint("https://a").sign_payload());
        assert!(!other.clone().with_sign_payload(false).sign_payload());
        let other = other.with_conditional_writes(ConditionalWrites::IfAbsent);
        assert_eq!(other.conditional_writes(), ConditionalWrites::IfAbsent);
    }

    #[test]
    fn debug_shows_no_secret() {
        let encryption = Encryption::Customer {
            key: Secret::new("hunter2"),
        };
        let keys = (Secret::new("hunter2"), Secret::new("hunter2"));
        let settings = S3Settings::new("media").with_keys(keys.0, keys.1);
        let shown = format!("{:?}", settings.with_encryption(encryption));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
