//! What answers, and missing answers, mean.

use std::time::Duration;

use boards_storage_core::{
    CallOptions, Checksum, CompleteUploadOptions, CopyOptions, DeleteOptions, DownloadOptions, Error,
    ErrorKind, FriendlyDuration, MultipartUpload, Part, PartPlace, PartRules, Result, Retry, Secret,
    StorageKey, StorageProvider, UploadOptions, UploadPartOptions,
};
use boards_storage_s3::{ChecksumChoice, S3Provider, S3Settings};

use crate::server::{Answer, Server, answer, headers, refusal};

fn key() -> StorageKey {
    StorageKey::parse("a").expect("a key")
}

async fn put(script: Vec<Answer>) -> (Server, Result<()>) {
    let server = Server::start(script).await;
    let provider = server.provider(|settings| settings).await;
    let outcome = provider
        .upload(&key(), "hello".into(), &UploadOptions::default())
        .await;
    (server, outcome.map(drop))
}

async fn get(answer: Answer, change: impl FnOnce(S3Settings) -> S3Settings) -> Result<bytes::Bytes> {
    let server = Server::start([answer]).await;
    let provider = server.provider(change).await;
    let download = provider.download(&key(), &DownloadOptions::default()).await?;
    download.into_object()?.bytes(1000).await
}

#[track_caller]
fn check(outcome: Result<()>, kind: ErrorKind, retry: Retry) -> Error {
    let error = outcome.expect_err("it fails");
    assert_eq!((error.kind(), error.retry()), (kind, retry), "{error}");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("secret-of-the-test"), "{shown}");
    error
}

#[tokio::test]
async fn nothing_is_sent_twice() {
    let (server, outcome) = put(vec![refusal(500, "InternalError"), headers(200, &[])]).await;
    let error = check(outcome, ErrorKind::ProviderUnavailable, Retry::Yes);
    assert_eq!(server.asked().len(), 1);
    assert_eq!((error.status(), error.code()), (Some(500), Some("InternalError")));
    assert_eq!(error.request_id(), Some("request-7"));
}

#[tokio::test]
async fn a_store_that_asks_to_wait_is_waited_for() {
    let body = "<Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>";
    let slow = Answer::Full(503, vec![("retry-after", "7".to_owned())], body.to_owned());
    let (_, outcome) = put(vec![slow]).await;
    check(
        outcome,
        ErrorKind::RateLimited,
        Retry::After(Duration::from_secs(7)),
    );
    let (_, outcome) = put(vec![headers(503, &[("retry-after", "soon")])]).await;
    check(outcome, ErrorKind::ProviderUnavailable, Retry::Yes);
}

#[tokio::test]
async fn a_lost_answer_leaves_the_outcome_of_a_write_open() {
    let (_, outcome) = put(vec![Answer::Nothing]).await;
    check(outcome, ErrorKind::OutcomeUnknown, Retry::Yes);
    let server = Server::start([Answer::Nothing]).await;
    let provider = server.provider(|settings| settings).await;
    let outcome = provider.delete(&key(), &DeleteOptions::default()).await;
    check(outcome.map(drop), ErrorKind::OutcomeUnknown, Retry::Yes);
    let read = get(Answer::Nothing, |settings| settings).await;
    check(read.map(drop), ErrorKind::ProviderUnavailable, Retry::Yes);
}

#[tokio::test]
async fn a_success_that_is_no_stores_is_none() {
    let page = || answer(200, "<html>Please sign in.</html>");
    let (_, outcome) = put(vec![page()]).await;
    check(outcome, ErrorKind::OutcomeUnknown, Retry::Yes);
    let read = get(page(), |settings| settings).await;
    check(read.map(drop), ErrorKind::ProviderUnavailable, Retry::Yes);
    let server = Server::start([page(), page()]).await;
    let provider = server.provider(|settings| settings).await;
    let found = provider.metadata(&key(), &CallOptions::default()).await;
    check(found.map(drop), ErrorKind::ProviderUnavailable, Retry::Yes);
    let upload = MultipartUpload::new(key(), "upload-1", PartRules::any());
    let place = PartPlace::new(1, 0).last();
    let part = provider
        .upload_part(&upload, place, "hello".into(), &UploadPartOptions::default())
        .await;
    check(part.map(drop), ErrorKind::ProviderUnavailable, Retry::Yes);
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_not_waited_for() {
    let server = Server::start([Answer::Silence, Answer::Silence]).await;
    let impatient = |mut settings: S3Settings| {
        settings.connections.read_timeout = FriendlyDuration::new(Duration::from_millis(50));
        settings
    };
    let provider = server.provider(impatient).await;
    let read = provider.download(&key(), &DownloadOptions::default()).await;
    check(read.map(drop), ErrorKind::Timeout, Retry::Yes);
    let written = provider
        .upload(&key(), "x".into(), &UploadOptions::default())
        .await;
    check(written.map(drop), ErrorKind::OutcomeUnknown, Retry::Yes);
}

#[tokio::test]
async fn a_store_that_is_not_there_has_done_nothing() {
    // A port that was free a moment ago.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let settings = S3Settings::new("media")
        .with_endpoint(url)
        .with_keys(Secret::new("AKIDTEST"), Secret::new("secret-of-the-test"));
    let provider = S3Provider::open("s3", settings).await.expect("it opens");
    let outcome = provider
        .upload(&key(), "x".into(), &UploadOptions::default())
        .await;
    let error = check(outcome.map(drop), ErrorKind::ProviderUnavailable, Retry::Yes);
    assert!(error.message().contains("cannot be reached"), "{error}");
    let outcome = provider.exists(&key(), &CallOptions::default()).await;
    check(outcome.map(drop), ErrorKind::ProviderUnavailable, Retry::Yes);
}

fn upload() -> (MultipartUpload, Vec<Part>) {
    let mut part = Part::new(1, 5);
    part.etag = Some("ppp".to_owned());
    (MultipartUpload::new(key(), "id-1", PartRules::any()), vec![part])
}

async fn complete(script: Vec<Answer>) -> (Server, Result<()>) {
    let server = Server::start(script).await;
    let provider = server.provider(|settings| settings).await;
    let (upload, parts) = upload();
    let outcome = provider
        .complete_upload(&upload, &parts, &CompleteUploadOptions::default())
        .await;
    (server, outcome.map(drop))
}

#[tokio::test]
async fn an_error_in_an_answer_of_200_is_an_error() {
    let body =
        "<?xml version=\"1.0\"?><Error><Code>InternalError</Code><Message>Try again.</Message></Error>";
    let (_, outcome) = complete(vec![answer(200, body)]).await;
    let error = outcome.expect_err("an error");
    assert!(error.retry().is_wanted(), "{error}");
    assert_eq!(error.code(), Some("InternalError"));
    let found = || headers(200, &[("etag", "\"aaa\""), ("content-length", "5")]);
    let server = Server::start([found(), answer(200, body)]).await;
    let provider = server
        .provider(|settings| settings.with_conditional_copies(true))
        .await;
    let to = StorageKey::parse("to").expect("a key");
    let copied = provider
        .copy(&key(), &to, &CopyOptions::default())
        .await
        .expect_err("an error");
    assert_eq!(copied.code(), Some("InternalError"));
    assert!(copied.retry().is_wanted(), "{copied}");
}

#[tokio::test]
async fn an_unknown_upload_is_not_found_also_where_the_store_answers_500() {
    let (server, outcome) = complete(vec![refusal(500, "UnknownError"), refusal(404, "NoSuchUpload")]).await;
    check(outcome, ErrorKind::NotFound, Retry::No);
    assert!(
        server.asked()[1].line.starts_with("GET /media/a?"),
        "the parts are asked for"
    );
    let parts = "<ListPartsResult></ListPartsResult>";
    let (_, outcome) = complete(vec![refusal(500, "InternalError"), answer(200, parts)]).await;
    check(outcome, ErrorKind::ProviderUnavailable, Retry::Yes);
}

#[tokio::test]
async fn a_body_is_whole_and_right_or_an_error() {
    let broken = get(Answer::Broken("hel", 5), |settings| settings).await;
    check(broken.map(drop), ErrorKind::ProviderUnavailable, Retry::Yes);
    let checksum = Checksum::crc64_nvme(b"hello");
    let header = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, checksum.value());
    let with = |body: &str| {
        let headers = vec![
            ("x-amz-checksum-crc64nvme", header.clone()),
            ("x-amz-checksum-type", "FULL_OBJECT".to_owned()),
            ("etag", "\"e\"".to_owned()),
        ];
        Answer::Full(200, headers, body.to_owned())
    };
    let keeps = |settings: S3Settings| settings.with_checksum(ChecksumChoice::Crc64nvme);
    assert_eq!(get(with("hello"), keeps).await.expect("right"), "hello");
    check(
        get(with("jello"), keeps).await.map(drop),
        ErrorKind::Corruption,
        Retry::No,
    );
    // What the provider noted itself counts where the store keeps none.
    let noted = Answer::Full(
        200,
        vec![
            ("etag", "\"aaa\"".to_owned()),
            ("x-amz-meta-boards.checksum", checksum.to_string()),
        ],
        "jello".to_owned(),
    );
    check(
        get(noted, |settings| settings).await.map(drop),
        ErrorKind::Corruption,
        Retry::No,
    );
}

#[tokio::test]
async fn a_missing_bucket_is_no_missing_object() {
    let server = Server::start([headers(404, &[]), headers(404, &[])]).await;
    let provider = server.provider(|settings| settings).await;
    let outcome = provider.exists(&key(), &CallOptions::default()).await;
    check(outcome.map(drop), ErrorKind::Configuration, Retry::No);
    let server = Server::start([headers(404, &[]), headers(200, &[]), headers(404, &[])]).await;
    let provider = server.provider(|settings| settings).await;
    for _ in 0..2 {
        assert!(
            !provider
                .exists(&key(), &CallOptions::default())
                .await
                .expect("the bucket is there")
        );
    }
    assert_eq!(server.asked().len(), 3, "the bucket is looked at once");
}

#[tokio::test]
async fn what_others_stored_as_expires_is_no_error() {
    for expires in ["never", "Wed, 04 Mar 2026 05:06:07 GMT"] {
        let found = [("etag", "\"aaa\"".to_owned()), ("expires", expires.to_owned())];
        let answer = Answer::Full(200, found.to_vec(), "hello".to_owned());
        assert_eq!(get(answer, |settings| settings).await.expect("read"), "hello");
    }
}
