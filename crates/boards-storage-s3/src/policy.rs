//! POST policies: signed forms by which a browser stores an object. The SDK has none, so they are written here.
//!
//! A policy is JSON in Base64, which lists what each field of the form must be; its signature is Signature Version 4
//! over that text. A field that the policy does not name is refused by the store.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use boards_storage_core::{
    ChecksumAlgorithm, Error, ErrorKind, Precondition, PresignUploadOptions, Result, SignedMethod,
    SignedRequest, StorageKey,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::encoding::{self, Notes};
use crate::error::Asked;
use crate::presign::Life;
use crate::store::{Store, checksum_header};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Signs a form for one key.
pub(crate) async fn post_request(
    store: &Store,
    key: &StorageKey,
    options: &PresignUploadOptions,
    life: Life,
) -> Result<SignedRequest> {
    if options.precondition != Precondition::None {
        return Err(Error::unsupported("a form cannot carry a precondition").with_help("sign a PUT"));
    }
    let credentials = store
        .credentials
        .provide_credentials()
        .await
        .map_err(|source| Error::configuration("there are no usable credentials").with_source(source))?;
    let mut fields = vec![("key".to_owned(), store.full(key))];
    fields.extend(object_fields(store, options)?);
    let form = Form {
        bucket: store.bucket(),
        region: &store.region,
        credentials: &credentials,
        life,
        fields,
        length: length_range(options)?,
    };
    let url = bucket_url(store).await?;
    let request = SignedRequest::new(SignedMethod::Post, url, life.ends());
    Ok(form.sign().into_iter().fold(request, |request, (name, value)| {
        request.with_form_field(name, value)
    }))
}

/// The fields that say what the object is to be.
fn object_fields(store: &Store, options: &PresignUploadOptions) -> Result<Vec<(String, String)>> {
    let attributes = &options.attributes;
    let at_rest = &store.at_rest;
    let named = [
        (
            "Content-Type",
            attributes.content_type.as_ref().map(ToString::to_string),
        ),
        ("Content-Disposition", attributes.content_disposition.clone()),
        ("Content-Encoding", attributes.content_encoding.clone()),
        ("Content-Language", attributes.content_language.clone()),
        ("Cache-Control", attributes.cache_control.clone()),
        (
            "x-amz-storage-class",
            at_rest.storage_class.as_ref().map(ToString::to_string),
        ),
        (
            "x-amz-server-side-encryption",
            at_rest.encryption.as_ref().map(ToString::to_string),
        ),
        (
            "x-amz-server-side-encryption-aws-kms-key-id",
            at_rest.kms_key_id.clone(),
        ),
        ("x-amz-checksum-crc64nvme", crc64(store, options)?),
    ];
    let named = named
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let notes = Notes {
        write_id: options.write_id,
        ..Notes::default()
    };
    let mut metadata: Vec<_> = encoding::encode(attributes, &notes)
        .into_iter()
        .map(|(name, value)| (format!("x-amz-meta-{name}"), value))
        .collect();
    metadata.sort();
    Ok(named.chain(metadata).collect())
}

fn crc64(store: &Store, options: &PresignUploadOptions) -> Result<Option<String>> {
    match &options.checksum {
        None => Ok(None),
        Some(checksum) if store.keeps_checksums() && checksum.algorithm() == ChecksumAlgorithm::Crc64Nvme => {
            Ok(Some(checksum_header(checksum)))
        }
        Some(checksum) => Err(Error::unsupported(format!(
            "a form cannot bind the {} of its file at this store",
            checksum.algorithm().name()
        ))
        .with_help("sign a PUT with an md5, or set checksum to crc64nvme if the store checks it")),
    }
}

/// The least and the greatest length of the file, both allowed.
fn length_range(options: &PresignUploadOptions) -> Result<Option<(u64, u64)>> {
    match (options.length, options.length_max) {
        (Some(length), Some(max)) if length > max => Err(Error::invalid_input(format!(
            "the length {length} is above the greatest length {max}"
        ))),
        (Some(length), _) => Ok(Some((length, length))),
        (None, Some(max)) => Ok(Some((0, max))),
        (None, None) => Ok(None),
    }
}

/// Returns the URL of the bucket, as the SDK resolves it: with the bucket in the host name or in the path.
async fn bucket_url(store: &Store) -> Result<String> {
    const NAME: &str = "x";
    let life = PresigningConfig::builder()
        .start_time(SystemTime::UNIX_EPOCH)
        .expires_in(Duration::from_secs(1))
        .build()
        .map_err(|source| Error::new(ErrorKind::Storage, "no URL can be made").with_source(source))?;
    let request = store.client.get_object().bucket(store.bucket()).key(NAME);
    let signed = request.presigned(life).await;
    let signed = signed.map_err(|error| Asked::Read.failed(error))?;
    let url = signed.uri().split('?').next().unwrap_or_default();
    let base = url.strip_suffix(NAME).unwrap_or(url);
    Ok(base.to_owned())
}

/// What is signed.
struct Form<'a> {
    bucket: &'a str,
    region: &'a str,
    credentials: &'a Credentials,
    life: Life,
    fields: Vec<(String, String)>,
    length: Option<(u64, u64)>,
}

impl Form<'_> {
    /// Returns all fields that the client must send before the file.
    fn sign(self) -> Vec<(String, String)> {
        let begins = self.life.begins;
        let day = format_time(begins, "%Y%m%d");
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let mut fields = self.fields;
        let mut add = |name: &str, value: String| fields.push((name.to_owned(), value));
        add("x-amz-algorithm", ALGORITHM.to_owned());
        add(
            "x-amz-credential",
            format!("{}/{scope}", self.credentials.access_key_id()),
        );
        add("x-amz-date", format_time(begins, "%Y%m%dT%H%M%SZ"));
        if let Some(token) = self.credentials.session_token() {
            add("x-amz-security-token", token.to_owned());
        }
        let mut conditions = vec![json!({ "bucket": self.bucket })];
        conditions.extend(fields.iter().map(|(name, value)| json!({ name: value })));
        if let Some((least, greatest)) = self.length {
            conditions.push(json!(["content-length-range", least, greatest]));
        }
        let policy = policy_text(self.life.ends(), conditions);
        let secret = self.credentials.secret_access_key();
        let signature = sign_policy(secret, self.life, self.region, &policy);
        fields.push(("policy".to_owned(), policy));
        fields.push(("x-amz-signature".to_owned(), signature));
        fields
    }
}

fn sign_policy(secret: &str, life: Life, region: &str, policy: &str) -> String {
    let key = generate_signing_key(secret, life.system_time(), region, "s3");
    calculate_signature(key, policy.as_bytes())
}

fn policy_text(ends: Timestamp, conditions: Vec<Value>) -> String {
    let expiration = format_time(ends, "%Y-%m-%dT%H:%M:%SZ");
    BASE64.encode(json!({ "expiration": expiration, "conditions": conditions }).to_string())
}

fn format_time(time: Timestamp, format: &str) -> String {
    time.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const REGION: &str = "eu-central-1";

    // What `generate_presigned_post` of boto3 1.44 answers for the same arguments at the same time.
    const POLICY: &str = "eyJleHBpcmF0aW9uIjogIjIwMjYtMDMtMDRUMDY6MDY6MDdaIiwgImNvbmRpdGlvbnMiOiBbeyJDb250ZW50LVR5cGUiOiAiaW1hZ2UvcG5nIn0sIHsieC1hbXotbWV0YS1jYW1lcmEiOiAib25lIn0sIFsiY29udGVudC1sZW5ndGgtcmFuZ2UiLCAxLCAxMDQ4NTc2XSwgeyJidWNrZXQiOiAibWVkaWEifSwgeyJrZXkiOiAiYm9hcmRzL2EgYi5wbmcifSwgeyJ4LWFtei1hbGdvcml0aG0iOiAiQVdTNC1ITUFDLVNIQTI1NiJ9LCB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJREVYQU1QTEUvMjAyNjAzMDQvZXUtY2VudHJhbC0xL3MzL2F3czRfcmVxdWVzdCJ9LCB7IngtYW16LWRhdGUiOiAiMjAyNjAzMDRUMDUwNjA3WiJ9XX0=";
    const SIGNATURE: &str = "75ac60415e90391a8e392892c36b669981ca892de58cf5d58a522ce3cf687d69";
    const POLICY_WITH_TOKEN: &str = "eyJleHBpcmF0aW9uIjogIjIwMjYtMDMtMDRUMDY6MDY6MDdaIiwgImNvbmRpdGlvbnMiOiBbeyJDb250ZW50LVR5cGUiOiAiaW1hZ2UvcG5nIn0sIHsieC1hbXotbWV0YS1jYW1lcmEiOiAib25lIn0sIFsiY29udGVudC1sZW5ndGgtcmFuZ2UiLCAxLCAxMDQ4NTc2XSwgeyJidWNrZXQiOiAibWVkaWEifSwgeyJrZXkiOiAiYm9hcmRzL2EgYi5wbmcifSwgeyJ4LWFtei1hbGdvcml0aG0iOiAiQVdTNC1ITUFDLVNIQTI1NiJ9LCB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJREVYQU1QTEUvMjAyNjAzMDQvZXUtY2VudHJhbC0xL3MzL2F3czRfcmVxdWVzdCJ9LCB7IngtYW16LWRhdGUiOiAiMjAyNjAzMDRUMDUwNjA3WiJ9LCB7IngtYW16LXNlY3VyaXR5LXRva2VuIjogInNlc3Npb24tdG9rZW4tMSJ9XX0=";
    const SIGNATURE_WITH_TOKEN: &str = "0edfa93dc0a08ac3c6dadf84a912672f457ef089c0767169c459fd006d83be93";

    fn life() -> Life {
        Life {
            begins: "2026-03-04T05:06:07Z".parse().expect("a time"),
            lasts: Duration::from_hours(1),
        }
    }

    fn read_policy(text: &str) -> (Value, Vec<String>) {
        let json: Value = serde_json::from_slice(&BASE64.decode(text).expect("Base64")).expect("JSON");
        let conditions = json["conditions"].as_array().expect("a list");
        let mut conditions: Vec<_> = conditions.iter().map(ToString::to_string).collect();
        conditions.sort();
        (json["expiration"].clone(), conditions)
    }

    #[track_caller]
    fn check(token: Option<&str>, policy: &str, signature: &str) {
        let credentials = Credentials::new("AKIDEXAMPLE", SECRET, token.map(ToOwned::to_owned), None, "test");
        let fields = [
            ("key", "boards/a b.png"),
            ("Content-Type", "image/png"),
            ("x-amz-meta-camera", "one"),
        ];
        let form = Form {
            bucket: "media",
            region: REGION,
            credentials: &credentials,
            life: life(),
            fields: fields
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            length: Some((1, 1_048_576)),
        };
        let signed = form.sign();
        let field = |name: &str| {
            let found = signed.iter().find(|(known, _)| known == name);
            found.unwrap_or_else(|| panic!("no field {name}")).1.clone()
        };
        // The policies say the same; their texts differ in order and spaces, so each has its own signature.
        assert_eq!(read_policy(&field("policy")), read_policy(policy));
        assert_eq!(sign_policy(SECRET, life(), REGION, policy), signature);
        assert_eq!(
            field("x-amz-signature"),
            sign_policy(SECRET, life(), REGION, &field("policy"))
        );
        assert_eq!(
            field("x-amz-credential"),
            "AKIDEXAMPLE/20260304/eu-central-1/s3/aws4_request"
        );
        assert_eq!(field("x-amz-date"), "20260304T050607Z");
        assert_eq!(field("x-amz-algorithm"), ALGORITHM);
        if let Some(token) = token {
            assert_eq!(field("x-amz-security-token"), token);
        }
    }

    #[test]
    fn forms_are_those_of_boto3() {
        check(None, POLICY, SIGNATURE);
        check(Some("session-token-1"), POLICY_WITH_TOKEN, SIGNATURE_WITH_TOKEN);
    }

    #[test]
    fn lengths_become_ranges() {
        let range = |length, max| {
            let mut options = PresignUploadOptions::default();
            options.length = length;
            options.length_max = max;
            length_range(&options).map_err(|error| error.kind())
        };
        assert_eq!(range(None, None), Ok(None));
        assert_eq!(range(Some(5), None), Ok(Some((5, 5))));
        assert_eq!(range(None, Some(5)), Ok(Some((0, 5))));
        assert_eq!(range(Some(5), Some(5)), Ok(Some((5, 5))));
        assert_eq!(range(Some(6), Some(5)), Err(ErrorKind::InvalidInput));
    }
}
