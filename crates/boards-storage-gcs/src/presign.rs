//! Signed URLs (V4): requests that a client without credentials may send.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use boards_storage_core::{
    Checksum, ChecksumAlgorithm, Clock as _, ContentType, Digest, DigestAlgorithm, Error, MultipartUpload,
    PresignDownloadOptions, PresignPartOptions, PresignUploadOptions, Result, SignedMethod, SignedRequest,
    SignedUploadForm, StorageKey, SystemClock, check_expiry,
};
use jiff::Timestamp;

use crate::client::Client;
use crate::credentials::Signer;
use crate::encoding::{self, Notes, encode_segment, hex};
use crate::parts;
use crate::policy;
use crate::read::range_header;
use crate::resource::{conditions, header_fields};

pub(crate) const ALGORITHM: &str = "GOOG4-RSA-SHA256";

/// From when to when a signature holds, in whole seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) begins: Timestamp,
    pub(crate) lasts: Duration,
}

impl Life {
    /// Begins now.
    pub(crate) fn of(expires_in: Duration) -> Result<Self> {
        check_expiry(expires_in)?;
        let now = SystemClock.now();
        Ok(Self {
            begins: Timestamp::from_second(now.as_second()).unwrap_or(now),
            lasts: Duration::from_secs(expires_in.as_secs()),
        })
    }

    pub(crate) fn ends(self) -> Timestamp {
        self.begins.saturating_add(self.lasts).unwrap_or(Timestamp::MAX)
    }

    /// The beginning as signatures write it.
    pub(crate) fn date(self) -> String {
        self.begins.strftime("%Y%m%dT%H%M%SZ").to_string()
    }

    /// What a signature is good for.
    pub(crate) fn scope(self) -> String {
        format!("{}/auto/storage/goog4_request", self.begins.strftime("%Y%m%d"))
    }
}

/// A request that is to be signed.
#[derive(Clone, Debug)]
pub(crate) struct Unsigned {
    pub(crate) method: &'static str,
    /// The URL without parameters, its path encoded.
    pub(crate) url: String,
    /// The headers that the client must send, by their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) query: BTreeMap<String, String>,
}

impl Unsigned {
    fn new(method: &'static str, url: String) -> Self {
        Self {
            method,
            url,
            headers: BTreeMap::new(),
            query: BTreeMap::new(),
        }
    }

    fn with_header(mut self, name: impl Into<String>, value: Option<impl Into<String>>) -> Self {
        if let Some(value) = value {
            self.headers.insert(name.into(), value.into());
        }
        self
    }

    fn with_parameter(mut self, name: &str, value: Option<impl Into<String>>) -> Self {
        if let Some(value) = value {
            self.query.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Returns the text that is signed, and the URL to which its signature is added.
    pub(crate) fn to_sign(&self, life: Life, email: &str) -> (String, String) {
        let rest = self
            .url
            .split_once("://")
            .map_or(self.url.as_str(), |(_, rest)| rest);
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        // The store looks at the name alone, whatever the port.
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        };
        let mut headers = self.headers.clone();
        headers.insert("host".to_owned(), host.to_owned());
        let names = headers.keys().cloned().collect::<Vec<_>>().join(";");
        let own = [
            ("X-Goog-Algorithm", ALGORITHM.to_owned()),
            ("X-Goog-Credential", format!("{email}/{}", life.scope())),
            ("X-Goog-Date", life.date()),
            ("X-Goog-Expires", life.lasts.as_secs().to_string()),
            ("X-Goog-SignedHeaders", names.clone()),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        let all: BTreeMap<String, String> = self
            .query
            .clone()
            .into_iter()
            .chain(own)
            .map(|(name, value)| (encode_segment(&name), encode_segment(&value)))
            .collect();
        let query: Vec<_> = all
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let query = query.join("&");
        let lines: String = headers
            .iter()
            .map(|(name, value)| format!("{name}:{}\n", with_single_spaces(value)))
            .collect();
        let payload = headers.get("x-goog-content-sha256");
        let payload = payload.map_or("UNSIGNED-PAYLOAD", String::as_str);
        let canonical = format!("{}\n{path}\n{query}\n{lines}\n{names}\n{payload}", self.method);
        let hash = Digest::of(DigestAlgorithm::Sha256, canonical.as_bytes());
        let text = format!(
            "{ALGORITHM}\n{}\n{}\n{}",
            life.date(),
            life.scope(),
            hex(hash.as_bytes())
        );
        (text, format!("{}?{query}", self.url))
    }
}

/// A header's value as it is signed.
fn with_single_spaces(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns who signs.
pub(crate) fn signer(client: &Client) -> Result<&Signer> {
    client.identity().signer.as_ref().ok_or_else(|| {
        Error::unsupported("there is nobody who signs")
            .with_help("give the key of a service account, or set signer")
    })
}

async fn sign(client: &Client, method: SignedMethod, request: Unsigned, life: Life) -> Result<SignedRequest> {
    let signer = signer(client)?;
    let (text, url) = request.to_sign(life, &signer.email().await?);
    let signature = signer.sign(&text, client.identity(), client.http()).await?;
    let url = format!("{url}&X-Goog-Signature={}", hex(&signature));
    let signed = SignedRequest::new(method, url, life.ends());
    Ok(request
        .headers
        .into_iter()
        .fold(signed, |signed, (name, value)| signed.with_header(name, value)))
}

pub(crate) async fn upload_request(
    client: &Client,
    key: &StorageKey,
    options: &PresignUploadOptions,
    life: Duration,
) -> Result<SignedRequest> {
    encoding::check_fields(&options.attributes)?;
    let life = Life::of(life)?;
    if options.form == SignedUploadForm::Post {
        return policy::post_request(client, key, options, life).await;
    }
    let attributes = &options.attributes;
    let settings = client.settings();
    let range = length_range(options.length, options.length_max)?;
    let content_type = attributes.content_type.as_ref().map(ContentType::as_str);
    let mut request = Unsigned::new("PUT", client.plain_url(&client.full(key)))
        .with_header("content-type", content_type)
        .with_header(
            "x-goog-content-length-range",
            range.map(|(least, greatest)| format!("{least},{greatest}")),
        )
        .with_header("x-goog-storage-class", settings.storage_class.as_deref())
        .with_header("x-goog-encryption-kms-key-name", settings.kms_key_name.as_deref())
        .with_header("x-goog-hash", checksum_header(options.checksum.as_ref())?);
    for (name, value) in header_fields(attributes) {
        request = request.with_header(header_name(name), value);
    }
    request.headers.extend(custom_headers(options));
    for (name, value) in conditions(&options.precondition)? {
        let name = match name {
            "ifGenerationMatch" => "x-goog-if-generation-match",
            _ => "x-goog-if-metageneration-match",
        };
        request.headers.insert(name.to_owned(), value.to_string());
    }
    sign(client, SignedMethod::Put, request, life).await
}

/// Returns the header of a field that JSON calls so.
pub(crate) fn header_name(json_name: &str) -> &'static str {
    match json_name {
        "contentDisposition" => "content-disposition",
        "contentEncoding" => "content-encoding",
        "contentLanguage" => "content-language",
        _ => "cache-control",
    }
}

/// Returns the custom metadata as headers.
pub(crate) fn custom_headers(options: &PresignUploadOptions) -> BTreeMap<String, String> {
    let notes = Notes {
        write_id: options.write_id,
        ..Notes::default()
    };
    let encoded = encoding::encode_for_headers(&options.attributes, &notes);
    encoded
        .into_iter()
        .map(|(name, value)| (format!("x-goog-meta-{name}"), value))
        .collect()
}

/// Returns the least and the greatest length, both allowed.
pub(crate) fn length_range(length: Option<u64>, length_max: Option<u64>) -> Result<Option<(u64, u64)>> {
    match (length, length_max) {
        (Some(length), Some(max)) if length > max => Err(Error::invalid_input(format!(
            "the length {length} is above the greatest length {max}"
        ))),
        (Some(length), _) => Ok(Some((length, length))),
        (None, Some(max)) => Ok(Some((0, max))),
        (None, None) => Ok(None),
    }
}

/// Returns the header by which the store checks the bytes.
fn checksum_header(checksum: Option<&Checksum>) -> Result<Option<String>> {
    let Some(checksum) = checksum else {
        return Ok(None);
    };
    match checksum.algorithm() {
        ChecksumAlgorithm::Crc32c | ChecksumAlgorithm::Md5 => {
            let name = checksum.algorithm().name();
            Ok(Some(format!("{name}={}", BASE64.encode(checksum.value()))))
        }
        other => Err(Error::unsupported(format!(
            "the store does not check {} of a signed upload",
            other.name()
        ))
        .with_help("give a crc32c or an md5")),
    }
}

pub(crate) async fn part_request(
    client: &Client,
    upload: &MultipartUpload,
    number: u32,
    options: &PresignPartOptions,
) -> Result<SignedRequest> {
    let life = Life::of(options.expires_in)?;
    let settings = client.settings();
    let name = parts::part_name(client, upload, number)?;
    let range = length_range(options.length, None)?;
    let request = Unsigned::new("PUT", client.plain_url(&name))
        .with_header(
            "x-goog-content-length-range",
            range.map(|(least, greatest)| format!("{least},{greatest}")),
        )
        .with_header("x-goog-storage-class", settings.storage_class.as_deref())
        .with_header("x-goog-encryption-kms-key-name", settings.kms_key_name.as_deref())
        .with_header("x-goog-hash", checksum_header(options.checksum.as_ref())?);
    sign(client, SignedMethod::Put, request, life).await
}

pub(crate) async fn download_request(
    client: &Client,
    key: &StorageKey,
    options: &PresignDownloadOptions,
) -> Result<SignedRequest> {
    let life = Life::of(options.expires_in)?;
    let content_type = options.content_type.as_ref().map(ContentType::as_str);
    let request = Unsigned::new("GET", client.plain_url(&client.full(key)))
        .with_header("range", options.range.map(range_header))
        .with_parameter("response-content-type", content_type)
        .with_parameter(
            "response-content-disposition",
            options.content_disposition.as_deref(),
        );
    sign(client, SignedMethod::Get, request, life).await
}

#[cfg(test)]
mod tests {
    use boards_storage_core::{ErrorKind, Secret};
    use serde_json::Value;

    use super::*;
    use crate::settings::{GcsSettings, SignerChoice};

    /// Google's own vectors; see the licence beside them.
    const VECTORS: &str = include_str!("../tests/fixtures/v4_signatures.json");
    const KEY: &str = include_str!("../tests/fixtures/test_service_account.not-a-test.json");

    pub(crate) async fn client() -> Client {
        let settings = GcsSettings::new("media")
            .with_endpoint("http://127.0.0.1:9")
            .with_signer(SignerChoice::Key {
                json: Secret::new(KEY),
            });
        Client::open(settings).await.expect("it opens")
    }

    fn text(vector: &Value, name: &str) -> String {
        vector[name].as_str().unwrap_or_default().to_owned()
    }

    fn pairs(vector: &Value) -> BTreeMap<String, String> {
        let pairs = vector.as_object().into_iter().flatten();
        pairs
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect()
    }

    /// The expected URL tells where the request goes: which of the styles of URLs is asked for is not ours to choose.
    fn unsigned(vector: &Value) -> (Unsigned, Life) {
        let expected = text(vector, "expectedUrl");
        let url = expected.split('?').next().unwrap_or_default().to_owned();
        let method = match text(vector, "method").as_str() {
            "GET" => "GET",
            "PUT" => "PUT",
            "POST" => "POST",
            other => panic!("a method {other}"),
        };
        let headers = pairs(&vector["headers"]).into_iter();
        let request = Unsigned {
            method,
            url,
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value))
                .collect(),
            query: pairs(&vector["queryParameters"]),
        };
        let life = Life {
            begins: text(vector, "timestamp").parse().expect("a time"),
            lasts: Duration::from_secs(vector["expiration"].as_u64().expect("a number")),
        };
        (request, life)
    }

    #[tokio::test]
    async fn signatures_are_those_of_googles_vectors() {
        let client = client().await;
        let vectors: Value = serde_json::from_str(VECTORS).expect("JSON");
        let vectors = vectors["signingV4Tests"].as_array().expect("a list");
        assert!(vectors.len() >= 29, "{} vectors", vectors.len());
        for vector in vectors {
            let description = &vector["description"];
            let (request, life) = unsigned(vector);
            let email = signer(&client).expect("a key").email().await.expect("a name");
            let (to_sign, _) = request.to_sign(life, &email);
            assert_eq!(to_sign, text(vector, "expectedStringToSign"), "{description}");
            let signed = sign(&client, SignedMethod::Get, request, life)
                .await
                .expect("signed");
            assert_eq!(signed.url, text(vector, "expectedUrl"), "{description}");
        }
    }

    #[test]
    fn lengths_become_ranges() {
        let range = |length, max| length_range(length, max).map_err(|error| error.kind());
        assert_eq!(range(None, None), Ok(None));
        assert_eq!(range(Some(5), None), Ok(Some((5, 5))));
        assert_eq!(range(None, Some(5)), Ok(Some((0, 5))));
        assert_eq!(range(Some(5), Some(5)), Ok(Some((5, 5))));
        assert_eq!(range(Some(6), Some(5)), Err(ErrorKind::InvalidInput));
    }

    #[test]
    fn checksums_that_the_store_does_not_check_are_refused() {
        let check = |checksum: Checksum| checksum_header(Some(&checksum)).map_err(|error| error.kind());
        let crc32c = crate::resource::checksum_of(0x9a71_bb4c);
        assert_eq!(check(crc32c), Ok(Some("crc32c=mnG7TA==".to_owned())));
        assert_eq!(check(Checksum::crc64_nvme(b"x")), Err(ErrorKind::Unsupported));
    }
}
