//! What the provider sends.

use boards_storage_core::{
    Checksum, Content, ContentType, CopyOptions, ETag, ErrorKind, ListOptions, MultipartUpload,
    ObjectAttributes, Part, PartRules, Precondition, PresignUploadOptions, Secret, StorageKey,
    StorageProvider, UploadOptions,
};
use boards_storage_s3::{ChecksumChoice, ConditionalWrites, Encryption, S3Provider, S3Settings};
use futures_util::TryStreamExt as _;

use crate::server::{Answer, Server, answer, headers, refusal};

fn key(text: &str) -> StorageKey {
    StorageKey::parse(text).expect("a key")
}

fn found() -> Answer {
    let head = [
        ("etag", "\"aaa\""),
        ("content-length", "5"),
        ("last-modified", "Wed, 04 Mar 2026 05:06:07 GMT"),
    ];
    headers(200, &head)
}

fn stored() -> Answer {
    headers(200, &[("etag", "\"abc\"")])
}

fn upload() -> MultipartUpload {
    MultipartUpload::new(key("a"), "id-1", PartRules::any())
}

fn parts() -> Vec<Part> {
    let mut part = Part::new(1, 5);
    part.etag = Some("ppp".to_owned());
    vec![part]
}

const COMPLETED: &str =
    "<CompleteMultipartUploadResult><ETag>\"ccc-1\"</ETag></CompleteMultipartUploadResult>";

#[tokio::test]
async fn a_small_upload_is_one_put_with_its_length_and_nothing_that_was_not_asked_for() {
    let server = Server::start([stored()]).await;
    let provider = server.provider(|settings| settings.with_prefix("boards/")).await;
    let content = Content::from_stream(None, futures_util::stream::iter([Ok("hello".into())]));
    provider
        .upload(&key("a b"), content, &UploadOptions::default())
        .await
        .expect("stored");
    let [put] = &server.asked()[..] else {
        panic!("one request: {:?}", server.asked())
    };
    assert_eq!(put.line, "PUT /media/boards/a%20b?x-id=PutObject");
    assert_eq!(
        (put.header("content-length"), &put.body[..]),
        (Some("5"), &b"hello"[..])
    );
    for name in put.header_names() {
        let is_asked_for = !name.starts_with("x-amz-acl")
            && !name.starts_with("x-amz-checksum")
            && !name.starts_with("x-amz-sdk-checksum")
            && !name.starts_with("x-amz-server-side")
            && !["x-amz-trailer", "transfer-encoding", "if-match", "if-none-match"].contains(&name);
        assert!(is_asked_for, "{name}");
    }
    assert_ne!(put.header("x-amz-content-sha256"), Some("UNSIGNED-PAYLOAD"));
}

#[tokio::test]
async fn preconditions_of_a_put_are_headers() {
    let server = Server::start([stored(), stored()]).await;
    let provider = server
        .provider(|settings| settings.with_conditional_writes(ConditionalWrites::All))
        .await;
    for precondition in [Precondition::IfAbsent, Precondition::IfMatch(ETag::new("abc"))] {
        let options = UploadOptions::default().with_precondition(precondition);
        provider
            .upload(&key("a"), "x".into(), &options)
            .await
            .expect("stored");
    }
    let asked = server.asked();
    assert_eq!(asked[0].header("if-none-match"), Some("*"));
    assert_eq!(asked[1].header("if-match"), Some("\"abc\""));
}

// No server at hand decides this condition.
#[tokio::test]
async fn preconditions_of_a_completion_are_headers_and_their_refusal_is_told() {
    let script = [
        answer(200, COMPLETED),
        found(),
        refusal(412, "PreconditionFailed"),
        refusal(412, "PreconditionFailed"),
    ];
    let server = Server::start(script).await;
    let provider = server
        .provider(|settings| settings.with_conditional_completion(true))
        .await;
    let complete = |precondition: Precondition| {
        let provider = &provider;
        async move {
            let options =
                boards_storage_core::CompleteUploadOptions::default().with_precondition(precondition);
            provider.complete_upload(&upload(), &parts(), &options).await
        }
    };
    complete(Precondition::IfAbsent).await.expect("completed");
    let taken = complete(Precondition::IfAbsent).await.expect_err("taken");
    assert_eq!(
        (taken.kind(), taken.status()),
        (ErrorKind::AlreadyExists, Some(412))
    );
    let other = complete(Precondition::IfMatch(ETag::new("abc")))
        .await
        .expect_err("another state");
    assert_eq!(other.kind(), ErrorKind::PreconditionFailed);
    let asked = server.asked();
    assert_eq!(asked[0].line, "POST /media/a?uploadId=id-1");
    assert_eq!(asked[0].header("if-none-match"), Some("*"));
    assert!(
        String::from_utf8_lossy(&asked[0].body).contains("ppp"),
        "the part's tag"
    );
    assert_eq!(asked[3].header("if-match"), Some("\"abc\""));
}

const COPIED: &str = "<CopyObjectResult><ETag>\"aaa\"</ETag></CopyObjectResult>";

#[tokio::test]
async fn a_copy_is_pinned_to_its_source_and_decides_its_target() {
    let server = Server::start([
        found(),
        answer(200, COPIED),
        found(),
        refusal(412, "PreconditionFailed"),
        found(),
    ])
    .await;
    let provider = server
        .provider(|settings| settings.with_conditional_copies(true))
        .await;
    let options = CopyOptions::default().with_precondition(Precondition::IfAbsent);
    provider
        .copy(&key("from ü"), &key("to"), &options)
        .await
        .expect("copied");
    let taken = provider
        .copy(&key("from ü"), &key("to"), &options)
        .await
        .expect_err("taken");
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    let copy = &server.asked()[1];
    assert_eq!(copy.line, "PUT /media/to?x-id=CopyObject");
    assert_eq!(copy.header("x-amz-copy-source"), Some("media/from%20%C3%BC"));
    assert_eq!(copy.header("x-amz-copy-source-if-match"), Some("\"aaa\""));
    assert_eq!(copy.header("if-none-match"), Some("*"));
    assert_eq!(copy.header("x-amz-metadata-directive"), None);
}

async fn put_with(change: impl FnOnce(S3Settings) -> S3Settings) -> crate::server::Asked {
    let server = Server::start([stored()]).await;
    let provider = server.provider(change).await;
    provider
        .upload(&key("a"), "hello".into(), &UploadOptions::default())
        .await
        .expect("stored");
    server.asked().remove(0)
}

#[tokio::test]
async fn encryption_class_and_checksum_are_headers() {
    let put = put_with(|settings| {
        settings
            .with_encryption(Encryption::S3)
            .with_storage_class("STANDARD_IA")
    })
    .await;
    assert_eq!(put.header("x-amz-server-side-encryption"), Some("AES256"));
    assert_eq!(put.header("x-amz-storage-class"), Some("STANDARD_IA"));
    let kms = Encryption::Kms {
        key_id: Some("key-9".to_owned()),
    };
    let put = put_with(|settings| settings.with_encryption(kms)).await;
    assert_eq!(put.header("x-amz-server-side-encryption"), Some("aws:kms"));
    assert_eq!(
        put.header("x-amz-server-side-encryption-aws-kms-key-id"),
        Some("key-9")
    );
    let key = Secret::new("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=");
    let put = put_with(|settings| settings.with_encryption(Encryption::Customer { key })).await;
    assert_eq!(
        put.header("x-amz-server-side-encryption-customer-algorithm"),
        Some("AES256")
    );
    assert!(
        put.header("x-amz-server-side-encryption-customer-key-md5")
            .is_some()
    );
    let put = put_with(|settings| settings.with_checksum(ChecksumChoice::Crc64nvme)).await;
    let expected = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        Checksum::crc64_nvme(b"hello").value(),
    );
    assert_eq!(put.header("x-amz-checksum-crc64nvme"), Some(expected.as_str()));
    assert_eq!(put.header("x-amz-meta-boards.checksum"), None);
    let noted = Checksum::crc64_nvme(b"hello").to_string();
    let put = put_with(|settings| settings).await;
    assert_eq!(put.header("x-amz-meta-boards.checksum"), Some(noted.as_str()));
    let put = put_with(|settings| settings.with_checksum(ChecksumChoice::Off)).await;
    assert_eq!(put.header("x-amz-meta-boards.checksum"), None);
    assert_eq!(put.header("x-amz-checksum-crc64nvme"), None);
}

#[tokio::test]
async fn the_bytes_are_signed_over_plain_http_unless_that_is_turned_off() {
    // As `printf hello | sha256sum` says.
    const HASH: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let put = put_with(|settings| settings).await;
    assert_eq!(put.header("x-amz-content-sha256"), Some(HASH));
    let put = put_with(|settings| settings.with_sign_payload(false)).await;
    assert_eq!(put.header("x-amz-content-sha256"), Some("UNSIGNED-PAYLOAD"));
}

#[tokio::test]
async fn temporary_keys_send_their_token_and_sign_it() {
    let put = put_with(|mut settings| {
        settings.session_token = Some(Secret::new("token-of-the-test"));
        settings
    })
    .await;
    assert_eq!(put.header("x-amz-security-token"), Some("token-of-the-test"));
    let authorization = put.header("authorization").expect("it is signed");
    assert!(authorization.contains("x-amz-security-token"), "{authorization}");
}

#[tokio::test]
async fn a_part_of_many_pieces_announces_its_length() {
    const PIECE: usize = 100_000;
    let created = "<InitiateMultipartUploadResult><UploadId>id-1</UploadId></InitiateMultipartUploadResult>";
    let script = [answer(200, created), stored(), stored(), answer(200, COMPLETED)];
    let server = Server::start(script).await;
    let one_by_one = |mut settings: S3Settings| {
        settings.multipart_threshold = boards_storage_core::ByteSize::from_bytes(1 << 20);
        settings.part_size = boards_storage_core::ByteSize::from_bytes(5 << 20);
        settings.concurrency = 1;
        settings.with_sign_payload(false)
    };
    let provider = server.provider(one_by_one).await;
    let pieces = (0..60_u8).map(|number| Ok(bytes::Bytes::from(vec![number; PIECE])));
    let sent: Vec<u8> = (0..60_u8).flat_map(|number| vec![number; PIECE]).collect();
    let content = Content::from_stream(None, futures_util::stream::iter(pieces));
    provider
        .upload(&key("a"), content, &UploadOptions::default())
        .await
        .expect("stored");
    let asked = server.asked();
    assert_eq!(asked[1].header("content-length"), Some("5242880"));
    assert_eq!(asked[1].header("transfer-encoding"), None);
    assert_eq!(asked[1].body, sent[..5 << 20]);
    assert_eq!(asked[2].body, sent[5 << 20..]);
}

#[tokio::test]
async fn a_listing_reads_pages_until_the_last_and_names_out_of_order_are_merged() {
    let page = |next: &str, body: &str| {
        let next = match next {
            "" => "<IsTruncated>false</IsTruncated>".to_owned(),
            next => format!(
                "<IsTruncated>true</IsTruncated><NextContinuationToken>{next}</NextContinuationToken>"
            ),
        };
        answer(
            200,
            &format!("<ListBucketResult><EncodingType>url</EncodingType>{next}{body}</ListBucketResult>"),
        )
    };
    let object = |name: &str| format!("<Contents><Key>{name}</Key><Size>1</Size></Contents>");
    let prefix = |name: &str| format!("<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>");
    let first = [
        object("p/a+b"),
        object("p/d"),
        object("p/d//no-key"),
        prefix("p/c%2Bd/"),
    ]
    .concat();
    let server = Server::start([page("t 2", &first), page("", &object("p/e"))]).await;
    let provider = server.provider(|settings| settings.with_prefix("p/")).await;
    let options = ListOptions::default().with_delimiter("/");
    let entries: Vec<_> = provider
        .list(&options)
        .await
        .expect("begun")
        .try_collect()
        .await
        .expect("whole");
    let names: Vec<_> = entries.iter().map(|entry| entry.name()).collect();
    assert_eq!(names, ["a b", "c+d/", "d", "e"]);
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert!(
        asked[1].line.contains("continuation-token=t%202"),
        "{}",
        asked[1].line
    );
}

#[tokio::test]
async fn a_signed_put_names_its_headers_and_addresses_the_bucket_by_host_on_aws() {
    let settings = S3Settings::new("media")
        .with_region("eu-central-1")
        .with_keys(Secret::new("AKIDTEST"), Secret::new("secret-of-the-test"));
    let provider = S3Provider::open("s3", settings).await.expect("it opens");
    let attributes =
        ObjectAttributes::default().with_content_type(ContentType::parse("image/png").expect("a type"));
    let options = PresignUploadOptions::default()
        .with_attributes(attributes)
        .with_length(5)
        .with_precondition(Precondition::IfAbsent)
        .with_checksum(Checksum::crc64_nvme(b"hello"));
    let signed = provider
        .presigned_upload_url(&key("a b"), &options)
        .await
        .expect("signed");
    assert!(
        signed
            .url
            .starts_with("https://media.s3.eu-central-1.amazonaws.com/a%20b?"),
        "{}",
        signed.url
    );
    let names = signed
        .url
        .split('&')
        .find_map(|pair| pair.strip_prefix("X-Amz-SignedHeaders="));
    let names: Vec<_> = names.expect("headers are signed").split("%3B").collect();
    for name in [
        "content-length",
        "content-type",
        "host",
        "if-none-match",
        "x-amz-checksum-crc64nvme",
    ] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    let form = provider
        .presigned_upload_url(
            &key("a"),
            &PresignUploadOptions::default().with_form(boards_storage_core::SignedUploadForm::Post),
        )
        .await
        .expect("signed");
    assert_eq!(form.url, "https://media.s3.eu-central-1.amazonaws.com/");
}
