//! Preconditions of uploads, alone and raced.

use std::sync::Arc;

use boards_storage_core::{
    DeleteOptions, DownloadOptions, ETag, Error, ErrorKind, OperationKind, Precondition, PreconditionKind,
    Result, SharedProvider, StorageKey, UploadOptions,
};
use futures_util::future::try_join_all;

use super::case::{Case, pattern, refused, streamed};
use super::conformance_tests;
use super::need::Need::{Decides, Second};

const UPLOAD: OperationKind = OperationKind::Upload;
const IF_ABSENT: super::Need = Decides(UPLOAD, PreconditionKind::IfAbsent);
const IF_MATCH: super::Need = Decides(UPLOAD, PreconditionKind::IfMatch);

conformance_tests! {
    "preconditions" needs [] {
        if_absent_writes_to_nothing [IF_ABSENT]
        if_absent_leaves_what_is_there [IF_ABSENT]
        if_absent_holds_for_streams [IF_ABSENT]
        if_absent_writes_again_after_a_delete [IF_ABSENT]
        if_absent_has_one_winner_for_each_key [IF_ABSENT]
        if_absent_has_one_winner_over_two_handles [IF_ABSENT, Second]
        if_match_replaces_the_right_state [IF_MATCH]
        if_match_leaves_another_state [IF_MATCH]
        if_match_on_nothing_is_refused [IF_MATCH]
        if_match_holds_for_streams [IF_MATCH]
        if_match_loses_no_increment [IF_MATCH]
        if_match_loses_no_increment_over_two_handles [IF_MATCH, Second]
        if_match_and_deletes_never_bring_back_what_is_gone [IF_MATCH]
        a_refused_write_reads_as_no_write [IF_ABSENT]
    }
}

fn if_absent() -> UploadOptions {
    UploadOptions::default().with_precondition(Precondition::IfAbsent)
}

fn if_match(etag: ETag) -> UploadOptions {
    UploadOptions::default().with_precondition(Precondition::IfMatch(etag))
}

async fn if_absent_writes_to_nothing(case: Case) -> Result<()> {
    case.put_with("a", "x", &if_absent()).await?;
    case.put_with("folder/new/a", "x", &if_absent()).await?;
    case.assert_holds("a", b"x").await
}

async fn if_absent_leaves_what_is_there(case: Case) -> Result<()> {
    case.put_with("a", "old", &case.options_of("one")).await?;
    let before = case.head("a").await?;
    for text in ["new", "old", ""] {
        refused(
            case.put_with("a", text, &if_absent()).await,
            ErrorKind::AlreadyExists,
        );
        case.assert_holds("a", b"old").await?;
        assert_eq!(case.head("a").await?, before);
    }
    case.put("empty", "").await?;
    refused(
        case.put_with("empty", "new", &if_absent()).await,
        ErrorKind::AlreadyExists,
    );
    case.assert_holds("empty", b"").await
}

async fn if_absent_holds_for_streams(case: Case) -> Result<()> {
    let bytes = pattern(300_000, 100);
    case.put_with("a", streamed(&bytes, 5_000, None), &if_absent())
        .await?;
    let other = pattern(300_000, 101);
    refused(
        case.put_with("a", streamed(&other, 5_000, None), &if_absent())
            .await,
        ErrorKind::AlreadyExists,
    );
    case.assert_holds("a", &bytes).await
}

async fn if_absent_writes_again_after_a_delete(case: Case) -> Result<()> {
    case.put_with("a", "one", &if_absent()).await?;
    case.provider
        .delete(&case.key("a"), &DeleteOptions::default())
        .await?;
    case.put_with("a", "two", &if_absent()).await?;
    case.assert_holds("a", b"two").await
}

/// Eight writers for each of 25 keys, each with its own bytes: exactly one is told that it won, and its bytes stand.
async fn one_winner(case: &Case, handles: [SharedProvider; 2]) -> Result<()> {
    for number in 0..25 {
        let key = case.key(&format!("n{number}"));
        let writers = (0..8_usize).map(|writer| {
            let (key, provider) = (key.clone(), Arc::clone(&handles[writer % 2]));
            tokio::spawn(async move {
                let content = streamed(&pattern(2_000 + writer, writer as u64), 300, None);
                (writer, provider.upload(&key, content, &if_absent()).await)
            })
        });
        let mut winners = Vec::new();
        for outcome in try_join_all(writers).await.expect("no writer panics") {
            match outcome {
                (writer, Ok(_)) => winners.push(writer),
                (_, Err(error)) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}"),
            }
        }
        let [winner] = winners[..] else {
            panic!("{} winners for {key}", winners.len())
        };
        case.assert_holds(&format!("n{number}"), &pattern(2_000 + winner, winner as u64))
            .await?;
    }
    Ok(())
}

async fn if_absent_has_one_winner_for_each_key(case: Case) -> Result<()> {
    one_winner(&case, [Arc::clone(&case.provider), Arc::clone(&case.provider)]).await
}

async fn if_absent_has_one_winner_over_two_handles(case: Case) -> Result<()> {
    one_winner(&case, [Arc::clone(&case.provider), case.second().await?]).await
}

async fn if_match_replaces_the_right_state(case: Case) -> Result<()> {
    case.put("a", "one").await?;
    for text in ["two", "three"] {
        let etag = case.etag("a").await?;
        case.put_with("a", text, &if_match(etag)).await?;
        case.assert_holds("a", text.as_bytes()).await?;
    }
    Ok(())
}

async fn if_match_leaves_another_state(case: Case) -> Result<()> {
    case.put("a", "one").await?;
    let old = case.etag("a").await?;
    case.put("a", "two").await?;
    for etag in [old, ETag::new("nonsense"), ETag::new("*")] {
        refused(
            case.put_with("a", "three", &if_match(etag)).await,
            ErrorKind::PreconditionFailed,
        );
        case.assert_holds("a", b"two").await?;
    }
    Ok(())
}

async fn if_match_on_nothing_is_refused(case: Case) -> Result<()> {
    case.put("a", "x").await?;
    let etag = case.etag("a").await?;
    case.provider
        .delete(&case.key("a"), &DeleteOptions::default())
        .await?;
    for etag in [etag, ETag::new("nonsense")] {
        refused(
            case.put_with("a", "new", &if_match(etag)).await,
            ErrorKind::PreconditionFailed,
        );
        case.assert_absent("a").await?;
    }
    Ok(())
}

async fn if_match_holds_for_streams(case: Case) -> Result<()> {
    case.put("a", "one").await?;
    let etag = case.etag("a").await?;
    let bytes = pattern(300_000, 102);
    case.put_with("a", streamed(&bytes, 5_000, None), &if_match(etag.clone()))
        .await?;
    refused(
        case.put_with("a", streamed(&bytes, 5_000, None), &if_match(etag))
            .await,
        ErrorKind::PreconditionFailed,
    );
    case.assert_holds("a", &bytes).await
}

/// Reads a number and writes the next one if nobody came between, until it worked.
async fn increment(provider: SharedProvider, key: StorageKey) -> Result<()> {
    loop {
        let download = provider
            .download(&key, &DownloadOptions::default())
            .await?
            .into_object()?;
        let etag = download.metadata().etag.clone().expect("tags are answered");
        let text = download.bytes(100).await?;
        let number: u64 = std::str::from_utf8(&text)
            .expect("digits")
            .parse()
            .expect("a number");
        match provider
            .upload(&key, (number + 1).to_string().into(), &if_match(etag))
            .await
        {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::PreconditionFailed => {}
            Err(error) => return Err(error),
        }
    }
}

async fn counts(case: &Case, handles: [SharedProvider; 2]) -> Result<()> {
    case.put("counter", "0").await?;
    let writers = (0..8_usize).map(|writer| {
        let (key, provider) = (case.key("counter"), Arc::clone(&handles[writer % 2]));
        tokio::spawn(async move {
            for _ in 0..12 {
                increment(Arc::clone(&provider), key.clone()).await?;
            }
            Ok::<_, Error>(())
        })
    });
    for outcome in try_join_all(writers).await.expect("no writer panics") {
        outcome?;
    }
    case.assert_holds("counter", b"96").await
}

async fn if_match_loses_no_increment(case: Case) -> Result<()> {
    counts(&case, [Arc::clone(&case.provider), Arc::clone(&case.provider)]).await
}

async fn if_match_loses_no_increment_over_two_handles(case: Case) -> Result<()> {
    counts(&case, [Arc::clone(&case.provider), case.second().await?]).await
}

async fn if_match_and_deletes_never_bring_back_what_is_gone(case: Case) -> Result<()> {
    for _ in 0..20 {
        case.put("a", "x").await?;
        let etag = case.etag("a").await?;
        let key = case.key("a");
        let (options, delete) = (if_match(etag), DeleteOptions::default());
        let (written, deleted) = tokio::join!(
            case.provider.upload(&key, "y".into(), &options),
            case.provider.delete(&key, &delete)
        );
        deleted?;
        // Either the write came first and was deleted, or it met nothing; but for a write after which no delete came.
        match written {
            Ok(_) => case.assert_absent("a").await?,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::PreconditionFailed, "{error}");
                case.assert_absent("a").await?;
            }
        }
    }
    Ok(())
}

async fn a_refused_write_reads_as_no_write(case: Case) -> Result<()> {
    case.put("a", "old").await?;
    let error = refused(
        case.put_with("a", "new", &if_absent()).await,
        ErrorKind::AlreadyExists,
    );
    assert!(!error.retry().is_wanted(), "a repeat would fail the same way");
    assert!(!error.to_string().is_empty());
    Ok(())
}
