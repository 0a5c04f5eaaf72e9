//! Long contents: streams through sessions, and more parts than the store composes at once.

use boards_storage_core::{
    CompleteUploadOptions, Content, Digest, DigestAlgorithm, PartPlace, Result, StorageProvider as _,
    UploadOptions, UploadPartOptions,
};
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;

use crate::world::{World, key, pattern, tests};

tests! { "long":
    a_stream_of_unknown_length_is_stored_whole
    a_stream_as_long_as_its_chunks_is_stored_whole
    more_parts_than_are_composed_at_once_are_joined
}

fn streamed(bytes: &Bytes, piece: usize) -> Content {
    let pieces: Vec<_> = bytes.chunks(piece).map(Bytes::copy_from_slice).map(Ok).collect();
    Content::from_stream(None, stream::iter(pieces))
}

async fn is_stored(world: &World, length: usize, piece: usize) -> Result<()> {
    let provider = world
        .with(json!({ "resumable_threshold": 1000, "chunk_size": "256KiB" }))
        .await?;
    let bytes = pattern(length);
    let digest = Digest::of(DigestAlgorithm::Blake3, &bytes);
    let options = UploadOptions::default().with_digest(digest);
    let stored = provider
        .upload(&key("a"), streamed(&bytes, piece), &options)
        .await?;
    assert_eq!((stored.size_bytes, stored.digest), (length as u64, Some(digest)));
    assert!(stored.checksum.is_some());
    assert_eq!(stored, world.head("a").await?);
    assert!(world.read("a").await? == bytes, "the same bytes");
    Ok(())
}

async fn a_stream_of_unknown_length_is_stored_whole(world: World) -> Result<()> {
    is_stored(&world, 5_000_001, 70_001).await
}

async fn a_stream_as_long_as_its_chunks_is_stored_whole(world: World) -> Result<()> {
    is_stored(&world, 2 << 20, 256 << 10).await?;
    is_stored(&world, 256 << 10, 1 << 20).await
}

/// Two rounds of joining: 32 times 32 parts would be one.
async fn more_parts_than_are_composed_at_once_are_joined(world: World) -> Result<()> {
    const PARTS: u32 = 1_030;
    let upload = world
        .provider
        .create_upload(&key("a"), &Default::default())
        .await?;
    let options = UploadPartOptions::default();
    let mut parts = Vec::new();
    let mut whole = Vec::new();
    for number in 1..=PARTS {
        let bytes = Bytes::from(format!("{number},"));
        let place = PartPlace::new(number, whole.len() as u64);
        whole.extend_from_slice(&bytes);
        let sent = world.provider.upload_part(&upload, place, bytes.into(), &options);
        parts.push(sent.await?);
    }
    let options = CompleteUploadOptions::default();
    let stored = world.provider.complete_upload(&upload, &parts, &options).await?;
    assert_eq!(stored.size_bytes, whole.len() as u64);
    assert_eq!(world.read("a").await?, whole);
    assert_eq!(world.raw_names().await?, ["a"], "nothing is left of the parts");
    Ok(())
}
