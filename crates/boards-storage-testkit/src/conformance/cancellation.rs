//! Calls whose future is dropped half-way.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use boards_storage_core::{Capability, Content, PartPlace, Precondition, Result};

use super::case::{Case, pattern, stalled, streamed};
use super::conformance_tests;
use super::multipart::{Upload, part_start};
use super::need::Need::Has;

conformance_tests! {
    "cancellation" needs [] {
        a_dropped_upload_leaves_nothing []
        a_dropped_upload_of_many_bytes_leaves_nothing []
        a_dropped_upload_leaves_the_old_object []
        a_dropped_upload_does_not_come_back []
        an_upload_dropped_at_any_await_leaves_the_old_or_the_new []
        many_dropped_uploads_leave_nothing []
        a_dropped_part_is_not_stored [Has(Capability::Multipart)]
        an_upload_in_parts_goes_on_after_a_dropped_part [Has(Capability::Multipart)]
    }
}

/// Starts an upload of `length` bytes that never end, and drops it when all of them were taken.
async fn drop_upload(case: &Case, name: &str, length: usize) {
    let (content, reached) = stalled(&pattern(length, 120), 16 * 1024);
    let options = case.options_of("dropped");
    let upload = case.put_with(name, content, &options);
    tokio::select! {
        outcome = upload => panic!("the content never ends, yet the upload did: {outcome:?}"),
        reached = reached => reached.expect("the content was read"),
    }
}

async fn a_dropped_upload_leaves_nothing(case: Case) -> Result<()> {
    for length in [0, 1, 100_000] {
        drop_upload(&case, "a", length).await;
        case.assert_absent("a").await?;
    }
    if case.has(Capability::List) {
        assert!(case.names(&case.listing("")).await?.is_empty());
    }
    Ok(())
}

async fn a_dropped_upload_of_many_bytes_leaves_nothing(case: Case) -> Result<()> {
    drop_upload(&case, "folder/a", 18 << 20).await;
    case.assert_absent("folder/a").await?;
    if case.has(Capability::List) {
        assert!(case.names(&case.listing("")).await?.is_empty());
    }
    Ok(())
}

async fn a_dropped_upload_leaves_the_old_object(case: Case) -> Result<()> {
    case.put_with("a", "old", &case.options_of("one")).await?;
    let before = case.head("a").await?;
    drop_upload(&case, "a", 100_000).await;
    case.assert_holds("a", b"old").await?;
    assert_eq!(case.head("a").await?, before);
    Ok(())
}

async fn a_dropped_upload_does_not_come_back(case: Case) -> Result<()> {
    drop_upload(&case, "a", 100_000).await;
    case.put("a", "after").await?;
    // What runs on behind the dropped future would show by now.
    tokio::time::sleep(Duration::from_millis(100)).await;
    case.assert_holds("a", b"after").await
}

/// Polls an upload so often, then drops it; returns whether it ended before that.
async fn upload_with_polls(case: &Case, content: Content, polls: usize) -> Result<bool> {
    let options = case.options_of("other2");
    let mut upload = pin!(case.put_with("a", content, &options));
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(Ok(false));
        }
        left -= 1;
        upload.as_mut().poll(context).map(|outcome| outcome.map(|_| true))
    })
    .await
}

async fn an_upload_dropped_at_any_await_leaves_the_old_or_the_new(case: Case) -> Result<()> {
    let (old, new) = (pattern(1_000, 121), pattern(40_000, 122));
    for polls in 0..60 {
        case.put_with("a", old.clone(), &case.options_of("one")).await?;
        let is_ended = upload_with_polls(&case, streamed(&new, 4_000, None), polls).await?;
        // Bytes and attributes come from one download: a commit that was on its way may arrive between two.
        let object = case
            .provider
            .download(&case.key("a"), &Default::default())
            .await?
            .into_object()?;
        let attributes = object.metadata().attributes.clone();
        let bytes = object.bytes(1 << 20).await?;
        let is_new = bytes == new;
        assert!(
            is_new || bytes == old,
            "old or new after {polls} polls, not {} bytes",
            bytes.len()
        );
        assert!(is_new || !is_ended, "an acknowledged upload is there");
        assert_eq!(attributes, case.attributes(if is_new { "other2" } else { "one" }));
        if is_ended {
            return Ok(());
        }
    }
    Ok(())
}

async fn many_dropped_uploads_leave_nothing(case: Case) -> Result<()> {
    let names: Vec<_> = (0..16).map(|number| format!("n{number}")).collect();
    futures_util::future::join_all(names.iter().map(|name| drop_upload(&case, name, 50_000))).await;
    for name in &names {
        case.assert_absent(name).await?;
    }
    Ok(())
}

/// Starts a part whose bytes never end, and drops it.
async fn drop_part(case: &Case, upload: &Upload<'_>) {
    let (content, reached) = stalled(&pattern(part_start(case, 2) / 2, 123), 1_000);
    let content = content.with_length(part_start(case, 2) as u64);
    let options = Default::default();
    let sent = case
        .provider
        .upload_part(&upload.upload, PartPlace::new(1, 0), content, &options);
    tokio::select! {
        outcome = sent => panic!("the content never ends, yet the part did: {outcome:?}"),
        reached = reached => reached.expect("the content was read"),
    }
}

async fn a_dropped_part_is_not_stored(case: Case) -> Result<()> {
    let upload = Upload::begin(&case, &Default::default()).await?;
    drop_part(&case, &upload).await;
    assert!(
        case.provider
            .list_parts(&upload.upload, &Default::default())
            .await?
            .is_empty()
    );
    case.assert_absent("a").await?;
    upload.abort().await
}

async fn an_upload_in_parts_goes_on_after_a_dropped_part(case: Case) -> Result<()> {
    let mut upload = Upload::begin(&case, &Default::default()).await?;
    drop_part(&case, &upload).await;
    let whole = pattern(part_start(&case, 2) + 10, 124);
    upload.send(&whole.slice(..part_start(&case, 2)), false).await?;
    upload.send(&whole.slice(part_start(&case, 2)..), true).await?;
    upload.complete(Precondition::None).await?;
    case.assert_holds("a", &whole).await
}
