//! What is left behind by uploads in parts that do not end well: nothing.

use std::time::{Duration, Instant};

use boards_storage_core::{
    Content, DownloadOptions, Error, ErrorKind, Result, StorageProvider as _, UploadOptions,
};
use futures_util::{StreamExt as _, stream};

use crate::world::{World, key, pattern, refused, tests};

tests! { "cleanup":
    an_upload_that_fails_is_aborted_before_it_answers
    an_upload_that_is_dropped_is_aborted
    an_upload_in_parts_is_whole_and_leaves_nothing_open
    an_upload_in_parts_without_a_length_is_whole
}

/// Twelve mebibytes in pieces, and then what follows.
fn twelve(
    then: impl stream::Stream<Item = Result<bytes::Bytes>> + Send + 'static,
) -> impl stream::Stream<Item = Result<bytes::Bytes>> + Send {
    let bytes = pattern(12 << 20);
    let pieces = (0..bytes.len())
        .step_by(300_000)
        .map(move |start| Ok(bytes.slice(start..bytes.len().min(start + 300_000))));
    stream::iter(pieces).chain(then)
}

async fn an_upload_that_fails_is_aborted_before_it_answers(world: World) -> Result<()> {
    let provider = world.in_parts().await?;
    let broken =
        stream::once(async { Err(Error::new(ErrorKind::InsufficientStorage, "the source broke off")) });
    let content = Content::from_stream(None, twelve(broken));
    let outcome = provider
        .upload(&key("a"), content, &UploadOptions::default())
        .await;
    refused(outcome, ErrorKind::InsufficientStorage);
    assert_eq!(world.open_uploads().await?, 0);
    refused(world.head("a").await, ErrorKind::NotFound);
    Ok(())
}

async fn an_upload_that_is_dropped_is_aborted(world: World) -> Result<()> {
    let provider = world.in_parts().await?;
    let (tell, reached) = tokio::sync::oneshot::channel();
    let stalled = stream::once(async move {
        let _ = tell.send(());
        std::future::pending().await
    });
    let options = UploadOptions::default();
    let key = key("a");
    let upload = provider.upload(&key, Content::from_stream(None, twelve(stalled)), &options);
    tokio::select! {
        outcome = upload => panic!("the content never ends, yet the upload did: {:?}", outcome.map(drop)),
        reached = reached => reached.expect("the content was read"),
    }
    let started = Instant::now();
    while world.open_uploads().await? > 0 {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "the upload is still open"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    refused(world.head("a").await, ErrorKind::NotFound);
    Ok(())
}

async fn an_upload_in_parts_is_whole_and_leaves_nothing_open(world: World) -> Result<()> {
    let provider = world.in_parts().await?;
    let bytes = pattern((23 << 20) + 17);
    let answer = provider
        .upload(&key("a"), bytes.clone().into(), &UploadOptions::default())
        .await?;
    assert_eq!(world.read("a").await?, bytes);
    // The provider computes the tag, where the server does not tell it.
    assert_eq!(answer.etag, world.head("a").await?.etag);
    assert!(answer.etag.is_some_and(|etag| etag.as_str().ends_with("-5")));
    assert_eq!(world.open_uploads().await?, 0);
    Ok(())
}

async fn an_upload_in_parts_without_a_length_is_whole(world: World) -> Result<()> {
    let provider = world.in_parts().await?;
    let content = Content::from_stream(None, twelve(stream::empty()));
    provider
        .upload(&key("a"), content, &UploadOptions::default())
        .await?;
    let download = provider
        .download(&key("a"), &DownloadOptions::default())
        .await?
        .into_object()?;
    assert_eq!(download.bytes(64 << 20).await?, pattern(12 << 20));
    Ok(())
}
