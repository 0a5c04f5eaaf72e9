//! The `config` block of a Supabase provider, and what must be true of it.

use std::time::Duration;

use boards_storage_core::{Error, FriendlyDuration, Result, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

/// Names that are routes of the server, so that no bucket of that name can be reached.
const ROUTES: &[&str] = &[
    "authenticated",
    "copy",
    "info",
    "list",
    "list-v2",
    "move",
    "public",
    "sign",
    "upload",
];
/// The least and the greatest chunk of a resumable upload.
const CHUNK_BYTES: std::ops::RangeInclusive<u64> = 256 << 10..=64 << 20;

/// Where the bucket is and how it is used.
///
/// # Examples
///
/// ```
/// use boards_storage_supabase::SupabaseSettings;
///
/// let settings = SupabaseSettings::new("https://abcdefgh.supabase.co", "key", "artifacts").with_create_bucket();
/// assert!(settings.create_bucket && !settings.public);
/// assert!(!format!("{settings:?}").contains("\"key\""));
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SupabaseSettings {
    /// The project's URL, such as `https://abcdefgh.supabase.co`, without `/storage/v1`.
    pub url: String,
    /// The API key or a user's token. What it may do is decided by the bucket's policies; the service role's key may
    /// do everything.
    pub key: Secret,
    /// The bucket.
    pub bucket: String,
    /// Whether the bucket is made if it is missing. It needs the service role's key.
    #[serde(default)]
    pub create_bucket: bool,
    /// Whether the bucket is public: then objects have a URL that needs no signature.
    #[serde(default)]
    pub public: bool,
    /// Content of more bytes than this goes in resumable chunks. 6 MiB by default, at most 64 MiB: so much of it is
    /// held in memory.
    #[serde(default = "six_mebibytes")]
    pub resumable_threshold: u64,
    /// The size of a chunk of a resumable upload in bytes: 256 KiB to 64 MiB. Hosted Supabase asks for the default of
    /// 6 MiB.
    #[serde(default = "six_mebibytes")]
    pub resumable_chunk_size: u64,
    /// For how long the server signs uploads. 2 hours by default, as when hosted; on a self-hosted server the value
    /// of its `UPLOAD_SIGNED_URL_EXPIRATION_TIME`.
    #[serde(default = "two_hours")]
    pub signed_upload_life: FriendlyDuration,
    /// How long a connection may take. 10 seconds by default.
    #[serde(default = "ten_seconds")]
    pub connect_timeout: FriendlyDuration,
    /// How long a request may take, a chunk of an upload included; a download may take longer. 2 minutes by default.
    #[serde(default = "two_minutes")]
    pub request_timeout: FriendlyDuration,
    /// How long a download may pause. 1 minute by default.
    #[serde(default = "one_minute")]
    pub read_timeout: FriendlyDuration,
}

fn six_mebibytes() -> u64 {
    6 << 20
}

fn two_hours() -> FriendlyDuration {
    Duration::from_hours(2).into()
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

impl SupabaseSettings {
    /// Creates settings of a private bucket that exists, with the defaults.
    pub fn new(url: impl Into<String>, key: impl Into<String>, bucket: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            key: Secret::new(key),
            bucket: bucket.into(),
            create_bucket: false,
            public: false,
            resumable_threshold: six_mebibytes(),
            resumable_chunk_size: six_mebibytes(),
            signed_upload_life: two_hours(),
            connect_timeout: ten_seconds(),
            request_timeout: two_minutes(),
            read_timeout: one_minute(),
        }
    }

    /// Makes the bucket if it is missing.
    #[must_use]
    pub fn with_create_bucket(mut self) -> Self {
        self.create_bucket = true;
        self
    }

    /// Says that the bucket is public.
    #[must_use]
    pub fn with_public(mut self) -> Self {
        self.public = true;
        self
    }

    /// Sets from how many bytes on content goes in chunks, and the size of a chunk in bytes.
    #[must_use]
    pub fn with_resumable(mut self, threshold: u64, chunk_size: u64) -> Self {
        self.resumable_threshold = threshold;
        self.resumable_chunk_size = chunk_size;
        self
    }

    /// Sets how long a request may take.
    #[must_use]
    pub fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout.into();
        self
    }

    /// Sets how long a download may pause.
    #[must_use]
    pub fn with_read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout.into();
        self
    }

    /// Checks every field, and returns the base of all requests.
    pub(crate) fn check(&self) -> Result<String> {
        self.check_bucket()?;
        let wrong = |field: &str, problem: String| Err(Error::configuration(format!("{field} {problem}")));
        if self.key.expose().is_empty() || !self.key.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            return wrong(
                "key",
                "must be the project's API key: printable ASCII without spaces".to_owned(),
            );
        }
        if !CHUNK_BYTES.contains(&self.resumable_chunk_size) {
            let got = self.resumable_chunk_size;
            return wrong(
                "resumable_chunk_size",
                format!("must be 262144 to 67108864 bytes, got {got}"),
            );
        }
        if self.resumable_threshold > *CHUNK_BYTES.end() {
            let got = self.resumable_threshold;
            return wrong(
                "resumable_threshold",
                format!("must be at most 67108864 bytes, got {got}"),
            );
        }
        for (name, time) in [
            ("connect_timeout", self.connect_timeout),
            ("request_timeout", self.request_timeout),
            ("read_timeout", self.read_timeout),
            ("signed_upload_life", self.signed_upload_life),
        ] {
            if time.get().is_zero() {
                return wrong(name, "must be more than nothing".to_owned());
            }
        }
        self.base()
    }

    fn check_bucket(&self) -> Result<()> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_!-.*'() &$@=;:+,?".contains(c);
        let name = &self.bucket;
        let is_right = !name.is_empty()
            && name.len() <= 100
            && name.trim() == name
            && name.chars().all(is_name)
            && !name.bytes().all(|byte| byte == b'.');
        if !is_right || ROUTES.contains(&name.as_str()) {
            return Err(
                Error::configuration(format!("bucket {name:?} cannot be the name of a bucket"))
                    .with_help("give 1 to 100 letters, digits or '-', and none of the server's own routes"),
            );
        }
        Ok(())
    }

    fn base(&self) -> Result<String> {
        let wrong = || {
            Error::configuration("url is not the URL of a Supabase project".to_owned()).with_help(
                "give something like 'https://abcdefgh.supabase.co', without user, query or fragment",
            )
        };
        let url = url::Url::parse(&self.url).map_err(|source| wrong().with_source(source))?;
        let is_plain = url.username().is_empty() && url.password().is_none();
        let is_bare = url.query().is_none() && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || !is_plain || !is_bare {
            return Err(wrong());
        }
        let base = url.as_str().trim_end_matches('/');
        Ok(format!(
            "{}/storage/v1",
            base.strip_suffix("/storage/v1").unwrap_or(base)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: impl FnOnce(&mut SupabaseSettings), problem: Option<&str>) {
        let mut settings = SupabaseSettings::new("https://abc.supabase.co", "k", "artifacts");
        change(&mut settings);
        match (settings.check(), problem) {
            (Ok(_), None) => {}
            (Err(error), Some(problem)) => assert!(error.to_string().contains(problem), "{error}"),
            (result, problem) => panic!("{result:?}, expected {problem:?}"),
        }
    }

    #[test]
    fn fields_are_checked_at_their_edges() {
        check(|_| {}, None);
        check(|settings| settings.bucket = "sign".to_owned(), Some("bucket"));
        check(|settings| settings.bucket = "a/b".to_owned(), Some("bucket"));
        check(|settings| settings.bucket = "..".to_owned(), Some("bucket"));
        check(|settings| settings.bucket = "x".repeat(100), None);
        check(|settings| settings.bucket = "x".repeat(101), Some("bucket"));
        check(|settings| settings.key = Secret::new("a\nb"), Some("key"));
        check(|settings| settings.resumable_chunk_size = 256 << 10, None);
        check(
            |settings| settings.resumable_chunk_size = (256 << 10) - 1,
            Some("resumable_chunk_size"),
        );
        check(
            |settings| settings.resumable_chunk_size = (64 << 20) + 1,
            Some("resumable_chunk_size"),
        );
        check(|settings| settings.resumable_threshold = 0, None);
        check(
            |settings| settings.resumable_threshold = (64 << 20) + 1,
            Some("resumable_threshold"),
        );
        check(
            |settings| settings.read_timeout = Duration::ZERO.into(),
            Some("read_timeout"),
        );
        check(|settings| settings.url = "ftp://x".to_owned(), Some("url"));
        check(
            |settings| settings.url = "https://user:pw@x".to_owned(),
            Some("url"),
        );
        check(|settings| settings.url = "https://x?y".to_owned(), Some("url"));
    }

    #[test]
    fn the_base_has_the_prefix_once() {
        for url in [
            "https://a.co",
            "https://a.co/",
            "https://a.co/storage/v1",
            "https://a.co/storage/v1/",
        ] {
            let base = SupabaseSettings::new(url, "k", "b").check().expect("valid");
            assert_eq!(base, "https://a.co/storage/v1");
        }
    }
}
