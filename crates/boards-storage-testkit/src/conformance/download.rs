//! Whole downloads: what they carry, and what may happen while they run.

use std::sync::Arc;

use boards_storage_core::{
    CallOptions, Capability, DeleteOptions, DownloadOptions, Error, ErrorKind, Result,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::io::AsyncReadExt;

use super::case::{Case, SIZE_BYTES_MAX, pattern, refused, same_bytes};
use super::conformance_tests;
use super::need::Need::{Damage, Has};

conformance_tests! {
    "download" needs [] {
        a_missing_object_is_not_found []
        a_deleted_object_is_not_found []
        a_folder_is_not_found []
        a_download_carries_the_metadata []
        a_download_knows_its_range_and_length []
        bytes_and_reader_give_the_same []
        too_much_for_memory_is_refused_before_a_byte []
        a_dropped_stream_harms_nothing []
        many_readers_at_once []
        a_reader_keeps_its_state_while_the_object_is_overwritten []
        a_reader_keeps_its_state_while_the_object_is_deleted []
        damaged_bytes_are_corruption [Has(Capability::VerifiedRead), Damage]
        damaged_big_objects_are_corruption [Has(Capability::VerifiedRead), Damage]
    }
}

async fn a_missing_object_is_not_found(case: Case) -> Result<()> {
    case.assert_absent("a").await?;
    case.put("a", "x").await?;
    // Not even with a name that begins or ends alike.
    for name in ["b", "aa", "a.meta", "A"] {
        case.assert_absent(name).await?;
    }
    Ok(())
}

async fn a_deleted_object_is_not_found(case: Case) -> Result<()> {
    case.put("a", "x").await?;
    case.provider
        .delete(&case.key("a"), &DeleteOptions::default())
        .await?;
    case.assert_absent("a").await
}

async fn a_folder_is_not_found(case: Case) -> Result<()> {
    case.put("folder/a", "x").await?;
    refused(case.head("folder").await, ErrorKind::NotFound);
    refused(case.read("folder").await, ErrorKind::NotFound);
    assert!(!case.exists("folder").await?);
    // Below an object there is nothing either.
    refused(case.head("folder/a/b").await, ErrorKind::NotFound);
    refused(case.read("folder/a/b").await, ErrorKind::NotFound);
    assert!(!case.exists("folder/a/b").await?);
    Ok(())
}

async fn a_download_carries_the_metadata(case: Case) -> Result<()> {
    case.put_with("a", "hello", &case.options_of("one")).await?;
    let download = case
        .provider
        .download(&case.key("a"), &DownloadOptions::default())
        .await?
        .into_object()?;
    let head = case.head("a").await?;
    let carried = download.metadata();
    assert_eq!((&carried.key, carried.size_bytes), (&head.key, 5));
    assert_eq!(carried.attributes, head.attributes);
    assert_eq!(carried.attributes, case.attributes("one"));
    assert_eq!(carried.etag, head.etag);
    assert_eq!(carried.write_id, head.write_id);
    Ok(())
}

async fn a_download_knows_its_range_and_length(case: Case) -> Result<()> {
    for (name, length) in [("empty", 0_u64), ("one", 1), ("more", 100_000)] {
        case.put(name, pattern(usize::try_from(length).unwrap_or_default(), 20))
            .await?;
        let download = case
            .provider
            .download(&case.key(name), &DownloadOptions::default())
            .await?
            .into_object()?;
        assert_eq!(download.range(), 0..length);
        assert_eq!(download.length(), length);
        assert!(download.is_whole());
    }
    Ok(())
}

async fn bytes_and_reader_give_the_same(case: Case) -> Result<()> {
    let bytes = pattern(700_000, 21);
    case.put("a", bytes.clone()).await?;
    let download = case
        .provider
        .download(&case.key("a"), &DownloadOptions::default())
        .await?
        .into_object()?;
    let mut read = Vec::new();
    let mut reader = download.into_async_read();
    reader
        .read_to_end(&mut read)
        .await
        .map_err(|error| Error::new(ErrorKind::Storage, "reading").with_source(error))?;
    same_bytes(&read, &bytes, "what was read");
    case.assert_holds("a", &bytes).await
}

async fn too_much_for_memory_is_refused_before_a_byte(case: Case) -> Result<()> {
    case.put("a", "12345").await?;
    let download = case
        .provider
        .download(&case.key("a"), &DownloadOptions::default())
        .await?
        .into_object()?;
    refused(download.bytes(4).await, ErrorKind::InvalidInput);
    Ok(())
}

async fn a_dropped_stream_harms_nothing(case: Case) -> Result<()> {
    let bytes = pattern(4 << 20, 22);
    case.put("a", bytes.clone()).await?;
    for taken in [0, 1, 2] {
        let download = case
            .provider
            .download(&case.key("a"), &DownloadOptions::default())
            .await?
            .into_object()?;
        let mut stream = download.into_stream();
        for _ in 0..taken {
            stream.next().await.transpose()?;
        }
    }
    case.put("b", "after").await?;
    case.assert_holds("a", &bytes).await
}

async fn many_readers_at_once(case: Case) -> Result<()> {
    let bytes = pattern(300_000, 23);
    case.put("a", bytes.clone()).await?;
    let case = Arc::new(case);
    stream::iter(0..32)
        .map(Ok::<_, Error>)
        .try_for_each_concurrent(16, |_| async {
            same_bytes(&case.read("a").await?, &bytes, "a");
            Ok(())
        })
        .await
}

/// Reads one piece, lets `change` happen, and reads on: the rest is of the same state, or an honest error.
async fn keeps_its_state<F: Future<Output = Result<()>>>(case: &Case, change: F) -> Result<()> {
    let bytes = pattern(8 << 20, 24);
    case.put_with("a", bytes.clone(), &case.options_of("old")).await?;
    let download = case
        .provider
        .download(&case.key("a"), &DownloadOptions::default())
        .await?
        .into_object()?;
    assert_eq!(download.metadata().attributes, case.attributes("old"));
    let mut stream = download.into_stream();
    let first = stream.next().await.transpose()?.expect("there are bytes");
    change.await?;
    let mut position = first.len();
    same_bytes(&first, &bytes[..position], "the first piece");
    while let Some(piece) = stream.next().await {
        let Ok(piece) = piece else { return Ok(()) };
        same_bytes(&piece, &bytes[position..position + piece.len()], "a later piece");
        position += piece.len();
    }
    assert_eq!(
        position,
        bytes.len(),
        "a stream that ends without an error is whole"
    );
    Ok(())
}

async fn a_reader_keeps_its_state_while_the_object_is_overwritten(case: Case) -> Result<()> {
    let overwrite = async { case.put("a", pattern(9 << 20, 25)).await.map(drop) };
    keeps_its_state(&case, overwrite).await?;
    case.assert_holds("a", &pattern(9 << 20, 25)).await
}

async fn a_reader_keeps_its_state_while_the_object_is_deleted(case: Case) -> Result<()> {
    let key = case.key("a");
    let delete = async {
        case.provider
            .delete(&key, &DeleteOptions::default())
            .await
            .map(drop)
    };
    keeps_its_state(&case, delete).await?;
    case.assert_absent("a").await
}

async fn damage_is_seen(case: &Case, length: usize) -> Result<()> {
    let bytes = pattern(length, 26);
    case.put("a", bytes.clone()).await?;
    case.assert_holds("a", &bytes).await?;
    let damage = case.fixture.damage.clone().expect("the test needs it");
    damage(case.key("a")).await?;
    let outcome = match case
        .provider
        .download(&case.key("a"), &DownloadOptions::default())
        .await
    {
        Ok(download) => download
            .into_object()?
            .into_stream()
            .try_collect::<Vec<_>>()
            .await
            .map(drop),
        Err(error) => Err(error),
    };
    refused(outcome, ErrorKind::Corruption);
    // The metadata are not the bytes.
    assert!(
        case.provider
            .exists(&case.key("a"), &CallOptions::default())
            .await?
    );
    case.put("a", bytes.clone()).await?;
    assert_eq!(
        case.read_with("a", &DownloadOptions::default()).await?.len(),
        length.min(SIZE_BYTES_MAX)
    );
    Ok(())
}

async fn damaged_bytes_are_corruption(case: Case) -> Result<()> {
    damage_is_seen(&case, 10).await
}

async fn damaged_big_objects_are_corruption(case: Case) -> Result<()> {
    damage_is_seen(&case, 3 << 20).await
}
