//! The `config` block of a Google Cloud Storage provider.

use std::path::PathBuf;
use std::time::Duration;

use boards_storage_core::{ByteSize, Error, FriendlyDuration, Result, Secret, StorageKey};
use schemars::JsonSchema;
use serde::Deserialize;

/// Where Google serves the store.
pub(crate) const GOOGLE: &str = "https://storage.googleapis.com";
/// Chunks of a resumable upload are multiples of this, in bytes.
pub(crate) const CHUNK_UNIT_BYTES: u64 = 256 << 10;
/// The most that one request of an upload holds in memory, in bytes.
const CHUNK_BYTES_MAX: u64 = 64 << 20;

/// Which bucket, who asks, and how objects are stored.
///
/// Only `bucket` is needed: the credentials then come from where Google's own tools look for them. An `endpoint` that
/// is not Google's is asked without credentials, and decides no preconditions, until a setting says otherwise.
///
/// # Examples
///
/// ```
/// use boards_storage_gcs::{GcsSettings, Preconditions};
///
/// let settings = GcsSettings::new("media");
/// assert_eq!(settings.preconditions(), Preconditions::All);
/// let emulator = settings.with_endpoint("http://127.0.0.1:4443");
/// assert_eq!(emulator.preconditions(), Preconditions::None);
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GcsSettings {
    /// The bucket. It must exist.
    pub bucket: String,
    /// The project that requests are billed to and limited by, where it is not that of the credentials.
    #[serde(default)]
    pub project: Option<String>,
    /// Who asks. By default the application default credentials on Google's hosts, and nobody (`anonymous`) with
    /// another `endpoint`.
    #[serde(default)]
    credentials: Option<CredentialsChoice>,
    /// Who signs URLs and forms. By default the service account key of `credentials`; with application default
    /// credentials the account that the machine runs as.
    #[serde(default)]
    pub signer: Option<SignerChoice>,
    /// The URL of another place that speaks the same protocol: an emulator, a private endpoint.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// What stands before every key in the bucket, such as `boards/`. It must end with `/`.
    #[serde(default)]
    pub prefix: String,
    /// The storage class of what is written, such as `NEARLINE`. By default as the bucket says.
    #[serde(default)]
    pub storage_class: Option<String>,
    /// The Cloud KMS key that encrypts what is written: `projects/…/locations/…/keyRings/…/cryptoKeys/…`. By default
    /// as the bucket says.
    #[serde(default)]
    pub kms_key_name: Option<String>,
    /// The URL under which the prefix of the bucket can be read without a signature: a CDN, a website,
    /// `https://storage.googleapis.com/BUCKET`. Without it there are no public URLs.
    #[serde(default)]
    pub public_url_base: Option<String>,
    /// Contents longer than this go up in chunks of a resumable session; shorter ones are held in memory and sent in
    /// one request. At most 64 MiB. Default: 8 MiB.
    #[serde(default = "eight_mebibytes")]
    pub resumable_threshold: ByteSize,
    /// The size of a chunk: a multiple of 256 KiB, at most 64 MiB. Default: 8 MiB.
    #[serde(default = "eight_mebibytes")]
    pub chunk_size: ByteSize,
    /// Which preconditions the store decides. By default `all` on Google's hosts, and `none` with another `endpoint`:
    /// an emulator that ignores them would overwrite.
    #[serde(default)]
    preconditions: Option<Preconditions>,
    /// Whether the bucket keeps versions, so that older ones can be read. Off by default.
    #[serde(default)]
    pub versions: bool,
    /// How long a connection may take. Default: 10 s.
    #[serde(default = "ten_seconds")]
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "10m"))]
    pub connect_timeout: FriendlyDuration,
    /// How long a request may take, a chunk of an upload included; a download may take longer. Default: 2 minutes.
    #[serde(default = "two_minutes")]
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1h"))]
    pub request_timeout: FriendlyDuration,
    /// How long an answer may pause. Default: 1 minute.
    #[serde(default = "one_minute")]
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "1h"))]
    pub read_timeout: FriendlyDuration,
    /// How many unused connections are kept. Default: 64.
    #[serde(default = "sixty_four")]
    pub idle_max: usize,
}

/// Who asks.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum CredentialsChoice {
    /// What Google's own tools would use: the file of `GOOGLE_APPLICATION_CREDENTIALS`, that of `gcloud`, or the
    /// account that the machine runs as.
    ApplicationDefault,
    /// A key in a file.
    KeyFile {
        /// The file: a service account's key, or another JSON that Google's tools make.
        path: PathBuf,
    },
    /// A key that stands here.
    Key {
        /// The JSON text.
        json: Secret,
    },
    /// Nobody: a public bucket, an emulator.
    Anonymous,
}

/// Who signs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum SignerChoice {
    /// A service account's key in a file.
    KeyFile {
        /// The file.
        path: PathBuf,
    },
    /// A service account's key that stands here.
    Key {
        /// The JSON text.
        json: Secret,
    },
    /// The service `signBlob` of IAM, asked with the credentials of the provider, which need the role *Service Account
    /// Token Creator* on the account.
    Iam {
        /// The e-mail address of the service account in whose name it signs.
        service_account: String,
        /// The URL of the service. By default Google's.
        #[serde(default)]
        endpoint: Option<String>,
    },
}

/// Which preconditions a store decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Preconditions {
    /// None.
    None,
    /// Those of uploads in one request, as fake-gcs-server does: no others, and none above `resumable_threshold`.
    SingleUploads,
    /// All of them, as Google does.
    All,
}

fn eight_mebibytes() -> ByteSize {
    ByteSize::from_bytes(8 << 20)
}

fn ten_seconds() -> FriendlyDuration {
    Duration::from_secs(10).into()
}

fn two_minutes() -> FriendlyDuration {
    Duration::from_mins(2).into()
}

fn one_minute() -> FriendlyDuration {
    Duration::from_mins(1).into()
}

fn sixty_four() -> usize {
    64
}

impl GcsSettings {
    /// Creates settings of a bucket on Google's hosts, with application default credentials.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            project: None,
            credentials: None,
            signer: None,
            endpoint: None,
            prefix: String::new(),
            storage_class: None,
            kms_key_name: None,
            public_url_base: None,
            resumable_threshold: eight_mebibytes(),
            chunk_size: eight_mebibytes(),
            preconditions: None,
            versions: false,
            connect_timeout: ten_seconds(),
            request_timeout: two_minutes(),
            read_timeout: one_minute(),
            idle_max: sixty_four(),
        }
    }

    /// Sets the URL of another place that speaks the same protocol.
    #[must_use]
    pub fn with_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Sets who asks.
    #[must_use]
    pub fn with_credentials(mut self, credentials: CredentialsChoice) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Sets who signs.
    #[must_use]
    pub fn with_signer(mut self, signer: SignerChoice) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Sets what stands before every key.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Says which preconditions the store decides.
    #[must_use]
    pub fn with_preconditions(mut self, decided: Preconditions) -> Self {
        self.preconditions = Some(decided);
        self
    }

    /// Sets from how many bytes on content goes in chunks, and the size of a chunk.
    #[must_use]
    pub fn with_resumable(mut self, threshold: ByteSize, chunk_size: ByteSize) -> Self {
        self.resumable_threshold = threshold;
        self.chunk_size = chunk_size;
        self
    }

    /// Sets where the bucket can be read without a signature.
    #[must_use]
    pub fn with_public_url_base(mut self, url: impl Into<String>) -> Self {
        self.public_url_base = Some(url.into());
        self
    }

    /// Says which preconditions the store decides.
    #[must_use]
    pub fn preconditions(&self) -> Preconditions {
        self.preconditions.unwrap_or(if self.is_google() {
            Preconditions::All
        } else {
            Preconditions::None
        })
    }

    /// Says who asks.
    #[must_use]
    pub fn credentials(&self) -> CredentialsChoice {
        match &self.credentials {
            Some(choice) => choice.clone(),
            None if self.is_google() => CredentialsChoice::ApplicationDefault,
            None => CredentialsChoice::Anonymous,
        }
    }

    /// Returns the URL that all requests begin with, without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        self.endpoint.as_deref().unwrap_or(GOOGLE).trim_end_matches('/')
    }

    /// Whether the host is one of Google's, private endpoints included.
    pub(crate) fn is_google(&self) -> bool {
        let Some(host) = self.base().strip_prefix("https://") else {
            return false;
        };
        let host = host.split(['/', ':']).next().unwrap_or_default();
        host == "googleapis.com" || host.ends_with(".googleapis.com")
    }

    /// Checks what no type can.
    ///
    /// # Errors
    ///
    /// `Configuration` that names the field.
    pub fn validate(&self) -> Result<()> {
        self.check_names()?;
        let urls = [
            ("endpoint", &self.endpoint),
            ("public_url_base", &self.public_url_base),
        ];
        for (field, url) in urls {
            url.as_deref().map_or(Ok(()), |url| check_url(field, url))?;
        }
        if let Some(SignerChoice::Iam {
            service_account,
            endpoint,
        }) = &self.signer
        {
            if !service_account.contains('@') || !is_header(service_account) {
                return Err(wrong(
                    "signer.service_account",
                    "is not the e-mail address of a service account",
                )
                .with_help("give something like 'signer@project.iam.gserviceaccount.com'"));
            }
            endpoint
                .as_deref()
                .map_or(Ok(()), |url| check_url("signer.endpoint", url))?;
        }
        self.check_prefix()?;
        self.check_sizes()?;
        for (field, time) in [
            ("connect_timeout", self.connect_timeout),
            ("request_timeout", self.request_timeout),
            ("read_timeout", self.read_timeout),
        ] {
            if time.get().is_zero() {
                return Err(wrong(field, "must be more than nothing"));
            }
        }
        Ok(())
    }

    fn check_names(&self) -> Result<()> {
        let is_bucket =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        if !(3..=222).contains(&self.bucket.len()) || !self.bucket.bytes().all(is_bucket) {
            let problem = format!(
                "is {:?}, expected 3 to 222 of a-z, 0-9, '-', '_' and '.'",
                self.bucket
            );
            return Err(wrong("bucket", problem).with_help("give the bucket's name alone, without 'gs://'"));
        }
        for (field, value) in [
            ("project", &self.project),
            ("storage_class", &self.storage_class),
            ("kms_key_name", &self.kms_key_name),
        ] {
            if value.as_deref().is_some_and(|value| !is_header(value)) {
                return Err(wrong(field, "must be printable ASCII without spaces"));
            }
        }
        Ok(())
    }

    fn check_prefix(&self) -> Result<()> {
        let prefix = &self.prefix;
        let is_key = prefix
            .strip_suffix('/')
            .is_some_and(|path| StorageKey::parse(path).is_ok());
        if !prefix.is_empty() && (!is_key || prefix.len() > 512) {
            let problem = format!("is {prefix:?}, expected segments that end with '/', at most 512 bytes");
            return Err(wrong("prefix", problem).with_help("give something like 'boards/'"));
        }
        Ok(())
    }

    fn check_sizes(&self) -> Result<()> {
        let chunk = self.chunk_size.bytes();
        if chunk == 0 || chunk > CHUNK_BYTES_MAX || !chunk.is_multiple_of(CHUNK_UNIT_BYTES) {
            let problem = format!("is {chunk} bytes, expected a multiple of 256 KiB, at most 64 MiB");
            return Err(wrong("chunk_size", problem));
        }
        let threshold = self.resumable_threshold.bytes();
        if threshold > CHUNK_BYTES_MAX {
            let problem = format!("is {threshold} bytes, expected at most 64 MiB");
            return Err(wrong("resumable_threshold", problem));
        }
        Ok(())
    }
}

fn is_header(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic())
}

fn wrong(field: &str, problem: impl std::fmt::Display) -> Error {
    Error::configuration(format!("{field} {problem}"))
}

fn check_url(field: &str, text: &str) -> Result<()> {
    let is_url = text.split_once("://").is_some_and(|(scheme, rest)| {
        matches!(scheme, "http" | "https") && !rest.is_empty() && !rest.starts_with('/')
    });
    if is_url && is_header(text) && !text.contains(['?', '#', '@']) {
        return Ok(());
    }
    Err(wrong(
        field,
        "is not an http or https URL without user, query and fragment",
    )
    .with_help("give something like 'https://storage.example.com'"))
}

#[cfg(test)]
mod tests {
    use boards_storage_core::ErrorKind;
    use serde_json::{Value, json};

    use super::*;

    fn parse(change: Value) -> GcsSettings {
        let mut config = json!({ "bucket": "media" });
        let fields = config.as_object_mut().expect("a map");
        fields.extend(change.as_object().cloned().expect("a map"));
        serde_json::from_value(config).expect("it parses")
    }

    #[track_caller]
    fn check(change: Value, problem: Option<&str>) {
        match (parse(change).validate(), problem) {
            (Ok(()), None) => {}
            (Err(error), Some(problem)) => {
                assert_eq!(error.kind(), ErrorKind::Configuration);
                assert!(error.message().starts_with(problem), "{error}");
            }
            (outcome, expected) => panic!("{outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn settings_are_checked_at_their_limits() {
        check(json!({}), None);
        check(json!({"bucket": "ab"}), Some("bucket"));
        check(json!({"bucket": "a".repeat(222)}), None);
        check(json!({"bucket": "a".repeat(223)}), Some("bucket"));
        check(json!({"bucket": "gs://media"}), Some("bucket"));
        check(json!({"project": "a b"}), Some("project"));
        check(json!({"storage_class": ""}), Some("storage_class"));
        check(json!({"endpoint": "127.0.0.1:4443"}), Some("endpoint"));
        check(json!({"endpoint": "https://user@host"}), Some("endpoint"));
        check(json!({"endpoint": "http://[::1]:4443/sub"}), None);
        check(json!({"public_url_base": "ftp://a"}), Some("public_url_base"));
        check(json!({"prefix": "boards/v1/"}), None);
        check(json!({"prefix": "boards"}), Some("prefix"));
        check(json!({"chunk_size": "256KiB"}), None);
        check(json!({"chunk_size": 0}), Some("chunk_size"));
        check(json!({"chunk_size": "300KiB"}), Some("chunk_size"));
        check(json!({"chunk_size": "64MiB"}), None);
        check(json!({"chunk_size": "65MiB"}), Some("chunk_size"));
        check(json!({"resumable_threshold": 0}), None);
        check(json!({"resumable_threshold": "64MiB"}), None);
        check(
            json!({"resumable_threshold": 67_108_865}),
            Some("resumable_threshold"),
        );
        check(json!({"request_timeout": "0s"}), Some("request_timeout"));
        let signer = |account: &str| json!({"signer": {"type": "iam", "service_account": account}});
        check(signer("a@b.iam.gserviceaccount.com"), None);
        check(signer("somebody"), Some("signer.service_account"));
    }

    #[test]
    fn credentials_go_to_googles_hosts_alone_unless_they_are_given() {
        let is_sent = |endpoint: &str| {
            let settings = GcsSettings::new("media").with_endpoint(endpoint);
            let asks = matches!(settings.credentials(), CredentialsChoice::ApplicationDefault);
            assert_eq!(settings.preconditions() == Preconditions::All, asks);
            asks
        };
        assert!(is_sent("https://storage.googleapis.com"));
        assert!(is_sent("https://storage-media.p.googleapis.com:443/"));
        assert!(!is_sent("http://storage.googleapis.com"));
        assert!(!is_sent("https://googleapis.com.example.org"));
        assert!(!is_sent("https://notgoogleapis.com"));
        let given = parse(json!({
            "endpoint": "https://private.example.org",
            "credentials": { "type": "key_file", "path": "key.json" },
            "preconditions": "single_uploads",
        }));
        assert!(matches!(given.credentials(), CredentialsChoice::KeyFile { .. }));
        assert_eq!(given.preconditions(), Preconditions::SingleUploads);
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = || Secret::new("hunter2");
        let settings = GcsSettings::new("media")
            .with_credentials(CredentialsChoice::Key { json: secret() })
            .with_signer(SignerChoice::Key { json: secret() });
        let shown = format!("{settings:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
