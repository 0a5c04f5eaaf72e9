//! What is left in the bucket by uploads that fail, are aborted or dropped: nothing that can be seen, and after an abort
//! nothing at all.

use std::time::Duration;

use boards_storage_core::{
    Content, Error, ErrorKind, ListOptions, PartPlace, Result, StorageProvider as _, UploadOptions,
    UploadPartOptions,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use crate::world::{World, key, pattern, tests};

tests! { "left_behind":
    an_upload_in_parts_is_unseen_and_its_abort_leaves_nothing
    a_part_of_an_aborted_upload_is_not_kept
    a_failed_stream_leaves_nothing
    a_dropped_stream_leaves_nothing
}

async fn an_upload_in_parts_is_unseen_and_its_abort_leaves_nothing(world: World) -> Result<()> {
    let upload = world
        .provider
        .create_upload(&key("a"), &Default::default())
        .await?;
    let options = UploadPartOptions::default();
    for number in [1, 2] {
        let place = PartPlace::new(number, u64::from(number) * 10);
        world
            .provider
            .upload_part(&upload, place, "0123456789".into(), &options)
            .await?;
    }
    assert_eq!(
        world.raw_names().await?.len(),
        3,
        "two parts, and what stands for the upload"
    );
    for options in [ListOptions::default(), ListOptions::default().with_delimiter("/")] {
        let listed: Vec<_> = world.provider.list(&options).await?.try_collect().await?;
        assert!(listed.is_empty(), "{listed:?}");
    }
    world.provider.abort_upload(&upload, &Default::default()).await?;
    assert!(world.raw_names().await?.is_empty());
    Ok(())
}

async fn a_part_of_an_aborted_upload_is_not_kept(world: World) -> Result<()> {
    let upload = world
        .provider
        .create_upload(&key("a"), &Default::default())
        .await?;
    world.provider.abort_upload(&upload, &Default::default()).await?;
    let place = PartPlace::new(1, 0).last();
    let sent = world
        .provider
        .upload_part(&upload, place, "late".into(), &UploadPartOptions::default())
        .await;
    assert_eq!(sent.expect_err("it has ended").kind(), ErrorKind::NotFound);
    assert!(world.raw_names().await?.is_empty());
    Ok(())
}

async fn a_failed_stream_leaves_nothing(world: World) -> Result<()> {
    let provider = world
        .with(json!({ "resumable_threshold": 1000, "chunk_size": "256KiB" }))
        .await?;
    let pieces = vec![
        Ok(pattern(600_000)),
        Err(Error::new(ErrorKind::Storage, "the source broke")),
    ];
    let content = Content::from_stream(None, stream::iter(pieces));
    let outcome = provider
        .upload(&key("a"), content, &UploadOptions::default())
        .await;
    assert_eq!(outcome.expect_err("it broke").kind(), ErrorKind::Storage);
    assert!(world.raw_names().await?.is_empty());
    Ok(())
}

async fn a_dropped_stream_leaves_nothing(world: World) -> Result<()> {
    let provider = world
        .with(json!({ "resumable_threshold": 1000, "chunk_size": "256KiB" }))
        .await?;
    let endless = stream::iter([Ok(pattern(600_000))]).chain(stream::pending());
    let content = Content::from_stream(None, endless);
    let (options, name) = (UploadOptions::default(), key("a"));
    let late = tokio::time::timeout(
        Duration::from_millis(300),
        provider.upload(&name, content, &options),
    );
    assert!(late.await.is_err(), "the stream never ends");
    assert!(world.raw_names().await?.is_empty());
    Ok(())
}
