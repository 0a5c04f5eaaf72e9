//! Downloads: two answers of one state, and bytes that are whole and right, or an error.

use boards_storage_core::{
    ByteRange, DownloadOptions, DownloadOutcome, ETag, ErrorKind, Result, Retry, StorageProvider,
};
use bytes::Bytes;

use crate::server::{Answer, Asked, GENERATION, Server, answer, key, media, object, refusal, resource};

const LOOK: &str = "GET /storage/v1/b/media/o/a";
const MEDIA: &str = "alt=media";

async fn get(
    options: DownloadOptions,
    script: impl IntoIterator<Item = (&'static str, Answer)>,
) -> (Result<Bytes>, Vec<Asked>) {
    let server = Server::start(script).await;
    let provider = server.plain().await;
    let read = match provider.download(&key("a"), &options).await {
        Ok(outcome) => match outcome.into_object() {
            Ok(download) => download.bytes(1_000).await,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    (read, server.asked())
}

// The bytes come first in each script: the look would take their place.
#[tokio::test]
async fn bytes_come_as_they_are_stored_and_are_checked() {
    let plain = DownloadOptions::default;
    let (read, asked) = get(
        plain(),
        [(MEDIA, media("hello", GENERATION)), (LOOK, object("hello"))],
    )
    .await;
    assert_eq!(read.expect("right"), "hello");
    let bytes = asked
        .iter()
        .find(|asked| asked.line.contains(MEDIA))
        .expect("asked for");
    assert_eq!(bytes.header("accept-encoding"), Some("gzip"));
    let look = asked
        .iter()
        .find(|asked| !asked.line.contains(MEDIA))
        .expect("asked for");
    assert_eq!(look.header("accept-encoding"), None);
    let (read, _) = get(
        plain(),
        [(MEDIA, media("jello", GENERATION)), (LOOK, object("hello"))],
    )
    .await;
    let error = read.expect_err("damaged");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Corruption, Retry::No));
    let (read, _) = get(
        plain(),
        [(MEDIA, Answer::Broken("hel", 5)), (LOOK, object("hello"))],
    )
    .await;
    let error = read.expect_err("cut");
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::ProviderUnavailable, Retry::Yes)
    );
}

#[tokio::test]
async fn bytes_and_metadata_of_two_states_are_asked_for_again() {
    let script = [
        (MEDIA, media("other", 9)),
        (LOOK, object("hello")),
        (MEDIA, media("other", 9)),
        (LOOK, answer(200, resource("other", 9))),
    ];
    let (read, asked) = get(DownloadOptions::default(), script).await;
    assert_eq!(read.expect("one state"), "other");
    assert_eq!(asked.len(), 4);
    // Deleted, and made again.
    let script = [
        (MEDIA, refusal(404, "notFound")),
        (LOOK, object("hello")),
        (MEDIA, media("hello", GENERATION)),
        (LOOK, object("hello")),
    ];
    let (read, _) = get(DownloadOptions::default(), script).await;
    assert_eq!(read.expect("one state"), "hello");
}

#[tokio::test]
async fn a_state_that_is_asked_for_is_the_one_that_is_read() {
    let tag = ETag::new(format!("{GENERATION}-2"));
    let options = DownloadOptions::default().with_if_match(tag.clone());
    let script = [(MEDIA, media("hello", GENERATION)), (LOOK, object("hello"))];
    let (read, asked) = get(options, script).await;
    assert_eq!(read.expect("that state"), "hello");
    let bytes = asked
        .iter()
        .find(|asked| asked.line.contains(MEDIA))
        .expect("asked for");
    bytes.has(&[&format!("generation={GENERATION}")]);
    for other in [format!("{GENERATION}-1"), "9-2".to_owned(), "nonsense".to_owned()] {
        let options = DownloadOptions::default().with_if_match(ETag::new(&other));
        let script = [(MEDIA, refusal(404, "notFound")), (LOOK, object("hello"))];
        let (read, _) = get(options, script).await;
        assert_eq!(read.expect_err(&other).kind(), ErrorKind::PreconditionFailed);
    }
    let server = Server::start([(LOOK, object("hello"))]).await;
    let options = DownloadOptions::default().with_if_none_match(tag.clone());
    let outcome = server.plain().await.download(&key("a"), &options).await;
    match outcome.expect("an answer") {
        DownloadOutcome::NotModified(answer) => assert_eq!(answer.etag, Some(tag)),
        DownloadOutcome::Object(_) => panic!("the caller has it"),
    }
    assert_eq!(server.asked().len(), 1, "no bytes are asked for");
}

#[tokio::test]
async fn a_range_is_the_one_that_was_asked_for() {
    let range = |range: ByteRange| DownloadOptions::default().with_range(range);
    let part = |text: &str, told: &str| {
        let part = Answer::Full(206, Vec::new(), text.to_owned());
        part.with("content-range", told)
            .with("x-goog-generation", GENERATION)
    };
    let script = [(MEDIA, part("ell", "bytes 1-3/5")), (LOOK, object("hello"))];
    let (read, asked) = get(range((1..4).into()), script).await;
    assert_eq!(read.expect("unchecked, but whole"), "ell");
    assert!(
        asked
            .iter()
            .any(|asked| asked.header("range") == Some("bytes=1-3"))
    );
    let script = [(MEDIA, part("hel", "bytes 0-2/5")), (LOOK, object("hello"))];
    let (read, _) = get(range((1..4).into()), script).await;
    assert_eq!(read.expect_err("another range").kind(), ErrorKind::Storage);
    let script = [
        (MEDIA, refusal(416, "requestedRangeNotSatisfiable")),
        (LOOK, object("hello")),
    ];
    let (read, _) = get(range((7..9).into()), script).await;
    let error = read.expect_err("beyond the end");
    assert_eq!(
        (error.kind(), error.status()),
        (ErrorKind::InvalidInput, Some(416))
    );
}
