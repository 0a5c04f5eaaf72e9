//! What answers, and missing answers, mean.

use std::time::Duration;

use boards_storage_core::{
    CallOptions, DeleteOptions, Error, ErrorKind, ListOptions, Result, Retry, StorageProvider, UploadOptions,
};
use boards_storage_gcs::{GcsProvider, GcsSettings};
use futures_util::TryStreamExt as _;

use crate::server::{Answer, Server, answer, key, object, refusal, resource};

async fn upload(script: Vec<Answer>) -> (Server, Result<()>) {
    let script = script.into_iter().map(|answer| ("uploadType=multipart", answer));
    let server = Server::start(script).await;
    let provider = server.plain().await;
    let outcome = provider
        .upload(&key("a"), "hello".into(), &UploadOptions::default())
        .await;
    (server, outcome.map(drop))
}

#[track_caller]
fn check(outcome: Result<()>, kind: ErrorKind, retry: Retry) -> Error {
    let error = outcome.expect_err("it fails");
    assert_eq!((error.kind(), error.retry()), (kind, retry), "{error}");
    error
}

#[tokio::test]
async fn nothing_is_sent_twice() {
    let (server, outcome) = upload(vec![refusal(500, "backendError")]).await;
    let error = check(outcome, ErrorKind::ProviderUnavailable, Retry::Yes);
    assert_eq!(server.asked().len(), 1);
    assert_eq!((error.status(), error.code()), (Some(500), Some("backendError")));
    assert_eq!(error.request_id(), Some("request-7"));
}

#[tokio::test]
async fn a_store_that_asks_to_wait_is_waited_for() {
    let wait = Retry::After(Duration::from_secs(7));
    let (_, outcome) = upload(vec![refusal(503, "backendError").with("retry-after", 7)]).await;
    check(outcome, ErrorKind::ProviderUnavailable, wait);
    let (_, outcome) = upload(vec![refusal(429, "rateLimitExceeded").with("retry-after", 7)]).await;
    check(outcome, ErrorKind::RateLimited, wait);
}

#[tokio::test]
async fn refusals_of_an_upload_have_their_kinds() {
    use ErrorKind as Kind;
    for (status, kind, retry) in [
        (400, Kind::InvalidInput, Retry::No),
        (401, Kind::AccessDenied, Retry::No),
        (403, Kind::AccessDenied, Retry::No),
        // There is no bucket.
        (404, Kind::Configuration, Retry::No),
        (409, Kind::Storage, Retry::Yes),
        (412, Kind::PreconditionFailed, Retry::No),
        (413, Kind::Rejected, Retry::No),
        (502, Kind::OutcomeUnknown, Retry::Yes),
    ] {
        let (_, outcome) = upload(vec![refusal(status, "")]).await;
        check(outcome, kind, retry);
    }
}

#[tokio::test]
async fn a_lost_answer_leaves_the_outcome_of_a_write_open() {
    let (_, outcome) = upload(vec![Answer::Nothing]).await;
    check(outcome, ErrorKind::OutcomeUnknown, Retry::Yes);
    let (_, outcome) = upload(vec![answer(200, "<html>")]).await;
    check(outcome, ErrorKind::OutcomeUnknown, Retry::Yes);
    let server = Server::start([("DELETE", Answer::Nothing)]).await;
    let outcome = server
        .plain()
        .await
        .delete(&key("a"), &DeleteOptions::default())
        .await;
    check(outcome.map(drop), ErrorKind::OutcomeUnknown, Retry::Yes);
    let server = Server::start([("GET", Answer::Nothing)]).await;
    let outcome = server
        .plain()
        .await
        .metadata(&key("a"), &CallOptions::default())
        .await;
    check(outcome.map(drop), ErrorKind::ProviderUnavailable, Retry::Yes);
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_not_waited_for() {
    let server = Server::start([("GET", Answer::Silence), ("POST", Answer::Silence)]).await;
    let impatient = |mut settings: GcsSettings| {
        settings.request_timeout = Duration::from_millis(50).into();
        settings
    };
    let provider = server.provider(impatient).await;
    let read = provider.metadata(&key("a"), &CallOptions::default()).await;
    check(read.map(drop), ErrorKind::Timeout, Retry::Yes);
    let written = provider
        .upload(&key("a"), "x".into(), &UploadOptions::default())
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
    let settings = GcsSettings::new("media").with_endpoint(url);
    let provider = GcsProvider::open("gcs", settings).await.expect("it opens");
    let outcome = provider
        .upload(&key("a"), "x".into(), &UploadOptions::default())
        .await;
    let error = check(outcome.map(drop), ErrorKind::ProviderUnavailable, Retry::Yes);
    assert!(error.message().contains("cannot be reached"), "{error}");
}

#[tokio::test]
async fn a_missing_bucket_is_no_missing_object() {
    let words = r#"{"error":{"code":404,"message":"The specified bucket does not exist."}}"#;
    let missing = || answer(404, words);
    let server = Server::start([("GET", missing()), ("/o?", refusal(404, "notFound"))]).await;
    let provider = server.plain().await;
    let outcome = provider.exists(&key("a"), &CallOptions::default()).await;
    check(outcome.map(drop), ErrorKind::Configuration, Retry::No);
    // A listing needs no object.
    let listed: Result<Vec<_>> = match provider.list(&ListOptions::default()).await {
        Ok(stream) => stream.try_collect().await,
        Err(error) => Err(error),
    };
    check(listed.map(drop), ErrorKind::Configuration, Retry::No);
    let server = Server::start([("GET", refusal(404, "notFound"))]).await;
    let is_there = server
        .plain()
        .await
        .exists(&key("a"), &CallOptions::default())
        .await;
    assert!(!is_there.expect("the bucket is there"));
}

#[tokio::test]
async fn an_upload_is_stored_with_another_checksum_by_no_one() {
    let script = [
        ("uploadType=multipart", answer(200, resource("jello", 7))),
        ("DELETE", answer(204, "")),
    ];
    let server = Server::start(script).await;
    let provider = server.plain().await;
    let outcome = provider
        .upload(&key("a"), "hello".into(), &UploadOptions::default())
        .await;
    check(outcome.map(drop), ErrorKind::Corruption, Retry::Yes);
    server.asked()[1].has(&["DELETE", "ifGenerationMatch=7"]);
    let server = Server::start([("uploadType=multipart", object("hello"))]).await;
    let stored = server
        .plain()
        .await
        .upload(&key("a"), "hello".into(), &UploadOptions::default())
        .await;
    assert_eq!(stored.expect("the same bytes").size_bytes, 5);
}
