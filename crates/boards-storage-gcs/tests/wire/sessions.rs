//! Resumable sessions: chunks, what the store has of them, lost answers.

use boards_storage_core::{
    ByteSize, Content, ErrorKind, ObjectMetadata, Precondition, Result, Retry, StorageProvider, UploadOptions,
};
use boards_storage_gcs::GcsProvider;
use bytes::Bytes;

use crate::server::{Answer, Asked, Server, answer, crc32c_text, key, object, refusal, resource};

const CHUNK: usize = 256 << 10;
const SESSION: &str = "upload_id=s3cret";

async fn provider(server: &Server) -> GcsProvider {
    let size = ByteSize::from_bytes(CHUNK as u64);
    server
        .provider(|settings| settings.with_resumable(ByteSize::from_bytes(1_000), size))
        .await
}

/// Answers the beginning of a session.
fn begun() -> (&'static str, Answer) {
    let begun = answer(200, "").with("location", format!("{{url}}/upload/session?{SESSION}"));
    ("uploadType=resumable", begun)
}

/// Says that the store has all bytes before `end`.
fn has(end: usize) -> (&'static str, Answer) {
    let answer = answer(308, "");
    let answer = if end == 0 {
        answer
    } else {
        answer.with("range", format!("bytes=0-{}", end - 1))
    };
    ("PUT /upload/session", answer)
}

fn done(bytes: &Bytes) -> (&'static str, Answer) {
    let text = std::str::from_utf8(bytes).expect("ASCII");
    ("PUT /upload/session", object(text))
}

fn put(answer: Answer) -> (&'static str, Answer) {
    ("PUT /upload/session", answer)
}

fn cancelled() -> (&'static str, Answer) {
    ("DELETE /upload/session", answer(499, ""))
}

fn content(length: usize) -> Bytes {
    (0..length)
        .map(|index| b'a' + u8::try_from(index % 23).expect("small"))
        .collect()
}

fn streamed(bytes: &Bytes) -> Content {
    let pieces: Vec<_> = bytes.chunks(10_000).map(Bytes::copy_from_slice).map(Ok).collect();
    Content::from_stream(None, futures_util::stream::iter(pieces))
}

async fn run(
    content: Content,
    script: impl IntoIterator<Item = (&'static str, Answer)>,
) -> (Result<ObjectMetadata>, Vec<Asked>) {
    let server = Server::start(script).await;
    let provider = provider(&server).await;
    let outcome = provider
        .upload(&key("a"), content, &UploadOptions::default())
        .await;
    if let Err(error) = &outcome {
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains("s3cret") && !shown.contains("session?"),
            "{shown}"
        );
    }
    (outcome, server.asked())
}

fn ranges(asked: &[Asked]) -> Vec<&str> {
    asked
        .iter()
        .filter_map(|asked| asked.header("content-range"))
        .collect()
}

#[tokio::test]
async fn a_stream_of_unknown_length_goes_in_chunks_of_one_size() {
    let bytes = content(CHUNK * 2 + 5);
    let script = [begun(), has(CHUNK), has(2 * CHUNK), done(&bytes)];
    let (outcome, asked) = run(streamed(&bytes), script).await;
    assert_eq!(outcome.expect("stored").size_bytes, bytes.len() as u64);
    let expected = [
        "bytes 0-262143/*".to_owned(),
        "bytes 262144-524287/*".to_owned(),
        format!("bytes 524288-524292/{}", bytes.len()),
    ];
    assert_eq!(ranges(&asked), expected);
    assert_eq!(asked[0].header("x-upload-content-length"), None);
    assert_eq!(asked[0].json()["name"], "a");
    let sent: Vec<u8> = asked[1..].iter().flat_map(|asked| asked.body.clone()).collect();
    assert_eq!(sent, bytes);
    let sum = format!("crc32c={}", crc32c_text(&bytes));
    assert_eq!(asked[3].header("x-goog-hash"), Some(sum.as_str()));
    assert_eq!(asked[1].header("x-goog-hash"), None);
}

#[tokio::test]
async fn a_known_length_is_told_at_once() {
    let bytes = content(CHUNK + 1);
    let (outcome, asked) = run(bytes.clone().into(), [begun(), has(CHUNK), done(&bytes)]).await;
    outcome.expect("stored");
    assert_eq!(asked[0].header("x-upload-content-length"), Some("262145"));
    assert_eq!(
        ranges(&asked),
        ["bytes 0-262143/262145", "bytes 262144-262144/262145"]
    );
}

#[tokio::test]
async fn what_the_store_did_not_take_is_sent_again() {
    let bytes = content(2_000);
    let (outcome, asked) = run(bytes.clone().into(), [begun(), has(1_500), done(&bytes)]).await;
    outcome.expect("stored");
    assert_eq!(ranges(&asked), ["bytes 0-1999/2000", "bytes 1500-1999/2000"]);
    assert_eq!(asked[2].body, bytes[1_500..]);
}

#[tokio::test]
async fn a_store_that_takes_nothing_ends_the_call_and_the_session() {
    let (outcome, asked) = run(content(2_000).into(), [begun(), has(0), cancelled()]).await;
    let error = outcome.expect_err("no progress");
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::ProviderUnavailable, Retry::Yes)
    );
    assert_eq!(asked.len(), 3);
    let (outcome, _) = run(content(2_000).into(), [begun(), has(9_999), cancelled()]).await;
    outcome.expect_err("more than there is");
}

#[tokio::test]
async fn a_chunk_without_an_answer_is_asked_for() {
    let bytes = content(CHUNK + 5);
    let script = [begun(), put(Answer::Nothing), has(CHUNK), done(&bytes)];
    let (outcome, asked) = run(streamed(&bytes), script).await;
    outcome.expect("stored");
    let expected = ["bytes 0-262143/*", "bytes */*", "bytes 262144-262148/262149"];
    assert_eq!(ranges(&asked), expected);
    // Half of it arrived.
    let script = [
        begun(),
        put(refusal(503, "backendError")),
        has(1_000),
        has(CHUNK),
        done(&bytes),
    ];
    let (outcome, asked) = run(streamed(&bytes), script).await;
    outcome.expect("stored");
    assert_eq!(ranges(&asked)[2], "bytes 1000-262143/*");
}

#[tokio::test]
async fn the_last_chunk_without_an_answer_is_settled() {
    let bytes = content(2_000);
    let (outcome, asked) = run(
        bytes.clone().into(),
        [begun(), put(Answer::Nothing), done(&bytes)],
    )
    .await;
    assert_eq!(outcome.expect("it was stored").size_bytes, 2_000);
    assert_eq!(ranges(&asked)[1], "bytes */2000");
    // Not stored: nothing is open.
    let (outcome, _) = run(
        bytes.clone().into(),
        [begun(), put(Answer::Nothing), has(0), cancelled()],
    )
    .await;
    let error = outcome.expect_err("not stored");
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::ProviderUnavailable, Retry::Yes)
    );
    // Nobody knows; the session is left alone, for it may be done.
    let (outcome, asked) = run(
        bytes.into(),
        [begun(), put(Answer::Nothing), put(Answer::Nothing)],
    )
    .await;
    let error = outcome.expect_err("open");
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::OutcomeUnknown, Retry::Yes)
    );
    assert!(asked.iter().all(|asked| !asked.line.starts_with("DELETE")));
}

#[tokio::test]
async fn refusals_of_a_session_have_their_kinds() {
    let bytes = content(2_000);
    let (outcome, asked) = run(bytes.clone().into(), [("resumable", refusal(404, "notFound"))]).await;
    assert_eq!(outcome.expect_err("no bucket").kind(), ErrorKind::Configuration);
    assert_eq!(asked.len(), 1);
    let (outcome, _) = run(bytes.clone().into(), [("resumable", Answer::Nothing)]).await;
    assert_eq!(
        outcome.expect_err("nothing was sent").kind(),
        ErrorKind::ProviderUnavailable
    );
    let (outcome, _) = run(bytes.clone().into(), [("resumable", refusal(502, ""))]).await;
    assert_eq!(
        outcome.expect_err("nothing was sent").kind(),
        ErrorKind::ProviderUnavailable
    );
    let (outcome, _) = run(
        bytes.clone().into(),
        [begun(), put(answer(410, "")), has(0), cancelled()],
    )
    .await;
    assert_eq!(
        outcome.expect_err("forgotten").kind(),
        ErrorKind::ProviderUnavailable
    );
    let (outcome, _) = run(
        bytes.into(),
        [begun(), put(refusal(412, "conditionNotMet")), cancelled()],
    )
    .await;
    assert_eq!(
        outcome.expect_err("another state").kind(),
        ErrorKind::PreconditionFailed
    );
}

#[tokio::test]
async fn a_precondition_may_be_decided_at_any_chunk() {
    let bytes = content(CHUNK + 5);
    let server = Server::start([begun(), put(refusal(412, "conditionNotMet")), cancelled()]).await;
    let options = UploadOptions::default().with_precondition(Precondition::IfAbsent);
    let outcome = provider(&server)
        .await
        .upload(&key("a"), bytes.into(), &options)
        .await;
    assert_eq!(outcome.expect_err("taken").kind(), ErrorKind::AlreadyExists);
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn the_address_of_a_session_is_sent_alone() {
    let bytes = content(2_000);
    let server = Server::start([begun(), done(&bytes)]).await;
    let size = ByteSize::from_bytes(CHUNK as u64);
    let provider = server
        .provider(|settings| {
            let mut settings = settings.with_resumable(ByteSize::from_bytes(0), size);
            settings.project = Some("payer".to_owned());
            settings.with_credentials(crate::signing::key_credentials())
        })
        .await;
    provider
        .upload(&key("a"), bytes.into(), &UploadOptions::default())
        .await
        .expect("stored");
    let asked = server.asked();
    assert!(
        asked[0]
            .header("authorization")
            .is_some_and(|text| text.starts_with("Bearer "))
    );
    assert_eq!(asked[0].header("x-goog-user-project"), Some("payer"));
    assert_eq!(asked[1].header("authorization"), None);
    assert_eq!(asked[1].header("x-goog-user-project"), None);
}

#[tokio::test]
async fn other_bytes_than_were_sent_are_removed() {
    let bytes = content(2_000);
    let other = content(1_999)
        .iter()
        .chain(b"!")
        .map(|byte| char::from(*byte))
        .collect::<String>();
    let wrong = answer(200, resource(&other, 7));
    let script = [
        begun(),
        put(wrong),
        ("DELETE /storage", answer(204, "")),
        cancelled(),
    ];
    let server = Server::start(script.into_iter().take(3)).await;
    let provider = provider(&server).await;
    let outcome = provider
        .upload(&key("a"), bytes.into(), &UploadOptions::default())
        .await;
    let error = outcome.expect_err("other bytes");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Corruption, Retry::Yes));
    server.asked()[2].has(&["ifGenerationMatch=7"]);
}

#[tokio::test]
async fn content_that_lies_is_never_completed() {
    let server = Server::start([begun(), has(CHUNK), cancelled()]).await;
    let provider = provider(&server).await;
    let options = UploadOptions::default().with_length(CHUNK as u64 + 10);
    let outcome = provider
        .upload(&key("a"), streamed(&content(CHUNK + 5)), &options)
        .await;
    assert_eq!(outcome.expect_err("too short").kind(), ErrorKind::InvalidInput);
    assert_eq!(ranges(&server.asked()), ["bytes 0-262143/262154"]);
}
