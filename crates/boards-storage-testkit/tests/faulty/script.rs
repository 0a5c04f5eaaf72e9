//! The script layer does what it is told, and no more.

use std::time::Duration;

use boards_storage_core::{
    ByteRange, CallContext, CallOptions, Content, DownloadOptions, ETag, Error, ErrorKind, ListOptions,
    OperationKind, Outcome, Result, StorageKey, StorageProvider, UploadOptions,
};
use boards_storage_testkit::{MemoryProvider, Script, Step};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use tokio::time::Instant;

fn key(text: &str) -> StorageKey {
    StorageKey::parse(text).expect("a valid key")
}

fn outage() -> Error {
    Error::new(ErrorKind::ProviderUnavailable, "no answer")
}

fn options() -> UploadOptions {
    UploadOptions::default()
}

#[tokio::test]
async fn failing_before_reaches_nothing_and_failing_after_is_done() -> Result<()> {
    let (script, memory) = (Script::new(), MemoryProvider::new());
    let stack = script.over(memory.clone());
    script.push(OperationKind::Upload, Step::FailBefore(outage()));
    script.push(OperationKind::Upload, Step::FailAfter(outage()));
    assert!(stack.upload(&key("a"), "x".into(), &options()).await.is_err());
    assert_eq!(memory.objects(), 0);
    assert!(stack.upload(&key("a"), "x".into(), &options()).await.is_err());
    assert_eq!(memory.objects(), 1);
    stack.upload(&key("b"), "x".into(), &options()).await?;
    assert_eq!((script.count(OperationKind::Upload), script.steps_left()), (3, 0));
    Ok(())
}

#[tokio::test]
async fn failing_midway_spends_the_content() -> Result<()> {
    let (script, memory) = (Script::new(), MemoryProvider::new());
    script.push(OperationKind::Upload, Step::FailMidway(3, outage()));
    let content = Content::from_async_read(&b"123456"[..]);
    assert!(
        script
            .over(memory.clone())
            .upload(&key("a"), content.clone(), &options())
            .await
            .is_err()
    );
    assert!(!content.can_replay());
    assert_eq!(memory.objects(), 0);
    Ok(())
}

#[tokio::test]
async fn a_stream_breaks_after_exactly_so_many_bytes() -> Result<()> {
    let script = Script::new();
    let stack = script.over(MemoryProvider::new());
    stack
        .upload(&key("a"), vec![7; 600_000].into(), &options())
        .await?;
    for after in [0, 1, 262_144, 262_145, 600_000] {
        script.push(OperationKind::Download, Step::BreakStream(after, outage()));
        let download = stack
            .download(&key("a"), &DownloadOptions::default())
            .await?
            .into_object()?;
        let pieces: Vec<_> = download.into_stream().collect().await;
        let bytes: usize = pieces
            .iter()
            .filter_map(|piece| piece.as_ref().ok())
            .map(|piece| piece.len())
            .sum();
        assert_eq!(bytes as u64, after);
        assert!(pieces.last().is_some_and(|last| last.is_err()), "after {after}");
    }
    Ok(())
}

#[tokio::test]
async fn listings_break_and_stall_too() -> Result<()> {
    let script = Script::new();
    let stack = script.over(MemoryProvider::new());
    for name in ["a", "b", "c"] {
        stack.upload(&key(name), "x".into(), &options()).await?;
    }
    script.push(OperationKind::List, Step::BreakStream(2, outage()));
    assert!(
        stack
            .list(&ListOptions::default())
            .await?
            .try_collect::<Vec<_>>()
            .await
            .is_err()
    );
    script.push(OperationKind::List, Step::StallStream(2));
    let mut entries = stack.list(&ListOptions::default()).await?;
    assert!(entries.next().now_or_never().is_some() && entries.next().now_or_never().is_some());
    assert!(entries.next().now_or_never().is_none());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn delays_and_stalls_follow_the_clock_of_tokio() -> Result<()> {
    let (script, memory) = (Script::new(), MemoryProvider::new());
    let stack = script.over(memory.clone());
    script.push(OperationKind::Probe, Step::Delay(Duration::from_secs(9)));
    let start = Instant::now();
    stack.probe(&CallOptions::default()).await?;
    assert_eq!(start.elapsed(), Duration::from_secs(9));
    script.push(OperationKind::Upload, Step::Stall);
    script.push(OperationKind::Upload, Step::StallAfter);
    for objects in [0, 1] {
        let (name, limit, options) = (key("a"), Duration::from_secs(60), options());
        assert!(
            tokio::time::timeout(limit, stack.upload(&name, "x".into(), &options))
                .await
                .is_err()
        );
        assert_eq!(memory.objects(), objects);
    }
    let times: Vec<_> = script.calls().iter().map(|call| call.at - start).collect();
    assert_eq!(times, [0, 9, 69].map(Duration::from_secs));
    Ok(())
}

#[tokio::test]
async fn answers_and_defaults_and_records() -> Result<()> {
    let script = Script::new();
    let stack = script.over(MemoryProvider::new());
    script.push(OperationKind::Exists, Step::Answer(Outcome::Exists(true)));
    assert!(stack.exists(&key("a"), &CallOptions::default()).await?);
    assert!(!stack.exists(&key("a"), &CallOptions::default()).await?);
    script.otherwise(|operation| {
        if operation.kind() == OperationKind::Probe {
            Step::FailBefore(outage())
        } else {
            Step::Pass
        }
    });
    for _ in 0..3 {
        assert!(stack.probe(&CallOptions::default()).await.is_err());
    }
    script.clear();
    stack.probe(&CallOptions::default()).await?;
    let options = DownloadOptions::default()
        .with_context(CallContext::default().with_attempt(4))
        .with_range(ByteRange::from(1..2))
        .with_if_match(ETag::new("x"));
    assert!(stack.download(&key("b"), &options).await.is_err());
    let calls = script.calls();
    let last = calls.last().expect("recorded");
    assert_eq!(
        (last.kind, last.key.clone(), last.attempt),
        (OperationKind::Download, Some(key("b")), 4)
    );
    assert_eq!(
        (last.range, last.if_match.clone()),
        (Some(ByteRange::from(1..2)), Some(ETag::new("x")))
    );
    assert_eq!(calls.len(), 7);
    Ok(())
}
