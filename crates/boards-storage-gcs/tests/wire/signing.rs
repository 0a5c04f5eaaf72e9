//! Who asks and who signs. What a signature is, Google's own vectors say, in the crate's unit tests.

use boards_storage_core::{
    ByteRange, CallOptions, Checksum, ChecksumAlgorithm, ContentType, ETag, ErrorKind, ObjectAttributes,
    Precondition, PresignDownloadOptions, PresignUploadOptions, Secret, SignedMethod, SignedUploadForm,
    StorageProvider,
};
use boards_storage_gcs::{CredentialsChoice, GcsProvider, GcsSettings, SignerChoice};

use crate::server::{Server, answer, key, object, refusal};

/// The key of an account that does not exist, published by Google beside its vectors.
const KEY: &str = include_str!("../fixtures/test_service_account.not-a-test.json");

pub(crate) fn key_credentials() -> CredentialsChoice {
    let json = Secret::new(KEY);
    serde_json::from_value(serde_json::json!({ "type": "key", "json": json.expose() })).expect("it parses")
}

#[tokio::test]
async fn a_key_is_a_token_without_asking_anybody() {
    let server = Server::start([("GET", object("hello"))]).await;
    let provider = server
        .provider(|settings| settings.with_credentials(key_credentials()))
        .await;
    provider
        .metadata(&key("a"), &CallOptions::default())
        .await
        .expect("answered");
    let asked = server.asked();
    let token = asked[0]
        .header("authorization")
        .and_then(|text| text.strip_prefix("Bearer "));
    assert_eq!(token.expect("a token").split('.').count(), 3, "a signed token");
}

#[tokio::test]
async fn keys_come_from_files_and_wrong_ones_are_told_without_their_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = async |name: &str, text: &str| {
        let path = folder.path().join(name);
        tokio::fs::write(&path, text).await.expect("written");
        let choice = serde_json::json!({ "type": "key_file", "path": path });
        let choice = serde_json::from_value(choice).expect("it parses");
        let settings = GcsSettings::new("media").with_endpoint("http://127.0.0.1:9");
        GcsProvider::open("gcs", settings.with_credentials(choice)).await
    };
    let provider = open("right.json", KEY).await.expect("a key");
    assert!(
        provider
            .capabilities()
            .has(boards_storage_core::Capability::PresignedUpload)
    );
    for (name, text) in [
        ("no-json", "hunter2"),
        ("no-type", r#"{"private_key":"hunter2"}"#),
        ("other-type", r#"{"type":"hunter2"}"#),
        (
            "no-fields",
            r#"{"type":"service_account","private_key":"hunter2"}"#,
        ),
    ] {
        let error = open(name, text).await.expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

fn signed_by_key(settings: GcsSettings) -> GcsSettings {
    settings.with_credentials(key_credentials())
}

#[tokio::test]
async fn a_signed_put_binds_what_was_asked_for() {
    let server = Server::start([]).await;
    let provider = server.provider(signed_by_key).await;
    let attributes = ObjectAttributes::default()
        .with_content_type(ContentType::parse("image/png").expect("a type"))
        .with_cache_control("no-cache")
        .with_user_metadata("camera", "Größe 1");
    let checksum = Checksum::new(ChecksumAlgorithm::Md5, [7; 16]).expect("16 bytes");
    let options = PresignUploadOptions::default()
        .with_attributes(attributes)
        .with_length(100)
        .with_checksum(checksum)
        .with_precondition(Precondition::IfMatch(ETag::new("7-2")));
    let request = provider
        .presigned_upload_url(&key("a b"), &options)
        .await
        .expect("signed");
    assert_eq!(request.method, SignedMethod::Put);
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let expected = [
        "cache-control: no-cache",
        "content-type: image/png",
        "x-goog-content-length-range: 100,100",
        "x-goog-hash: md5=BwcHBwcHBwcHBwcHBwcHBw==",
        "x-goog-if-generation-match: 7",
        "x-goog-if-metageneration-match: 2",
        "x-goog-meta-camera: =?UTF-8?B?R3LDtsOfZSAx?=",
    ];
    assert_eq!(headers, expected);
    assert!(
        request
            .url
            .starts_with(&format!("{}/media/a%20b?X-Goog-Algorithm=", server.url))
    );
    for name in [
        "content-type",
        "x-goog-hash",
        "x-goog-content-length-range",
        "x-goog-meta-camera",
    ] {
        let signed = request
            .url
            .split("X-Goog-SignedHeaders=")
            .nth(1)
            .and_then(|rest| rest.split('&').next());
        assert!(
            signed.is_some_and(|names| names.split("%3B").any(|signed| signed == name)),
            "{name}"
        );
    }
    let most = PresignUploadOptions::default().with_length_max(100);
    let request = provider
        .presigned_upload_url(&key("a"), &most)
        .await
        .expect("signed");
    assert_eq!(
        request.headers,
        [("x-goog-content-length-range".to_owned(), "0,100".to_owned())]
    );
    let absent = PresignUploadOptions::default().with_precondition(Precondition::IfAbsent);
    let request = provider
        .presigned_upload_url(&key("a"), &absent)
        .await
        .expect("signed");
    assert_eq!(
        request.headers,
        [("x-goog-if-generation-match".to_owned(), "0".to_owned())]
    );
}

#[tokio::test]
async fn a_signed_get_says_what_is_served() {
    let server = Server::start([]).await;
    let provider = server.provider(signed_by_key).await;
    let options = PresignDownloadOptions::default()
        .with_content_type(ContentType::parse("text/x").expect("a type"))
        .with_content_disposition("attachment; filename=\"a b\"")
        .with_range(ByteRange::from(1..3));
    let request = provider
        .presigned_download_url(&key("a"), &options)
        .await
        .expect("signed");
    assert_eq!(request.headers, [("range".to_owned(), "bytes=1-2".to_owned())]);
    let query = request.url.split('?').nth(1).expect("a query");
    let has = |pair: &str| query.split('&').any(|found| found == pair);
    assert!(has("response-content-type=text%2Fx"), "{query}");
    assert!(
        has("response-content-disposition=attachment%3B%20filename%3D%22a%20b%22"),
        "{query}"
    );
}

#[tokio::test]
async fn a_form_lists_what_each_field_must_be() {
    let server = Server::start([]).await;
    let provider = server.provider(signed_by_key).await;
    let options = PresignUploadOptions::default()
        .with_form(SignedUploadForm::Post)
        .with_attributes(ObjectAttributes::default().with_user_metadata("a", "ü"))
        .with_length_max(10);
    let request = provider
        .presigned_upload_url(&key("ü"), &options)
        .await
        .expect("signed");
    assert_eq!(request.url, format!("{}/media/", server.url));
    let field = |name: &str| {
        let found = request.form_fields.iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("no field {name}")).1.clone()
    };
    assert_eq!(
        (field("key").as_str(), field("x-goog-meta-a").as_str()),
        ("ü", "=?UTF-8?B?w7w=?=")
    );
    let policy = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, field("policy"));
    let policy = String::from_utf8(policy.expect("Base64")).expect("text");
    for condition in [
        r#"["content-length-range",0,10]"#,
        r#"{"x-goog-meta-a":"=?UTF-8?B?w7w=?="}"#,
        r#"{"bucket":"media"}"#,
        r#"{"key":"\u00fc"}"#,
    ] {
        assert!(policy.contains(condition), "{condition} in {policy}");
    }
    let bound = options.with_precondition(Precondition::IfAbsent);
    let refused = provider
        .presigned_upload_url(&key("a"), &bound)
        .await
        .expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}

fn by_iam(server: &Server) -> SignerChoice {
    let choice = serde_json::json!({
        "type": "iam",
        "service_account": "signer@project.iam.gserviceaccount.com",
        "endpoint": server.url,
    });
    serde_json::from_value(choice).expect("it parses")
}

#[tokio::test]
async fn iam_signs_in_the_name_of_an_account() {
    let line = "POST /v1/projects/-/serviceAccounts/signer@project.iam.gserviceaccount.com:signBlob";
    let signed = answer(200, r#"{"keyId":"k","signedBlob":"AAH/"}"#);
    let server = Server::start([(line, signed), (line, refusal(403, "forbidden"))]).await;
    let signer = by_iam(&server);
    let provider = server
        .provider(|settings| settings.with_credentials(key_credentials()).with_signer(signer))
        .await;
    let options = PresignDownloadOptions::default();
    let request = provider
        .presigned_download_url(&key("a"), &options)
        .await
        .expect("signed");
    assert!(
        request.url.ends_with("&X-Goog-Signature=0001ff"),
        "{}",
        request.url
    );
    assert!(
        request
            .url
            .contains("X-Goog-Credential=signer%40project.iam.gserviceaccount.com%2F")
    );
    let refused = provider
        .presigned_download_url(&key("a"), &options)
        .await
        .expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::AccessDenied);
    assert!(refused.help().is_some_and(|help| help.contains("Token Creator")));
    let asked = server.asked();
    assert!(
        asked[0]
            .header("authorization")
            .is_some_and(|text| text.starts_with("Bearer "))
    );
    let payload = asked[0].json()["payload"]
        .as_str()
        .map(ToOwned::to_owned)
        .expect("a payload");
    let text = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, payload).expect("Base64");
    assert!(text.starts_with(b"GOOG4-RSA-SHA256\n"));
}
