//! What the conformance suite does not see: the knobs, the clock, the registration.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{
    AccessClass, CallOptions, Capability, Checksum, ChecksumAlgorithm, Clock, Content, DownloadOptions,
    ErrorKind, PresignDownloadOptions, PresignUploadOptions, ProviderSettings, Registry, Result, StorageKey,
    StorageProvider, UploadOptions,
};
use bytes::Bytes;
use serde_json::json;

use super::MemoryProvider;
use crate::clock::ManualClock;

fn key(text: &str) -> StorageKey {
    StorageKey::parse(text).expect("a valid key")
}

async fn put(memory: &MemoryProvider, name: &str, text: &'static str) -> Result<String> {
    let metadata = memory
        .upload(&key(name), text.into(), &UploadOptions::default())
        .await?;
    Ok(metadata.version.unwrap_or_default())
}

#[tokio::test]
async fn times_come_from_the_clock() -> Result<()> {
    let clock = Arc::new(ManualClock::default());
    let memory = MemoryProvider::builder().clock(clock.clone()).build();
    put(&memory, "a", "one").await?;
    let created = clock.now();
    clock.advance(Duration::from_mins(5));
    put(&memory, "a", "two").await?;
    let metadata = memory.metadata(&key("a"), &CallOptions::default()).await?;
    assert_eq!(
        (metadata.created, metadata.modified),
        (Some(created), Some(clock.now()))
    );
    Ok(())
}

#[tokio::test]
async fn a_signature_lives_until_its_last_second() -> Result<()> {
    let clock = Arc::new(ManualClock::default());
    let memory = MemoryProvider::builder().clock(clock.clone()).build();
    put(&memory, "a", "x").await?;
    let request = memory
        .presigned_download_url(&key("a"), &PresignDownloadOptions::default())
        .await?;
    let status = async || {
        memory
            .executor()
            .send(&request, Bytes::new())
            .await
            .map(|response| response.status)
    };
    clock.advance(Duration::from_secs(3599));
    assert_eq!(status().await?, 200);
    clock.advance(Duration::from_secs(1));
    assert_eq!(clock.now(), request.expires_at);
    assert_eq!(status().await?, 403);
    Ok(())
}

#[tokio::test]
async fn statuses_are_those_of_a_server() -> Result<()> {
    let memory = MemoryProvider::new();
    let options = PresignUploadOptions::default().with_length_max(3);
    let request = memory.presigned_upload_url(&key("a"), &options).await?;
    for (body, status) in [("1234", 413), ("123", 200)] {
        assert_eq!(
            memory.executor().send(&request, body.into()).await?.status,
            status,
            "{body}"
        );
    }
    let checked = PresignUploadOptions::default().with_checksum(Checksum::crc64_nvme(b"right"));
    let request = memory.presigned_upload_url(&key("a"), &checked).await?;
    assert_eq!(
        memory.executor().send(&request, "wrong".into()).await?.status,
        400
    );
    let other = MemoryProvider::new();
    assert_eq!(
        other.executor().send(&request, "right".into()).await?.status,
        403,
        "another instance's signature"
    );
    let md5 = Checksum::new(ChecksumAlgorithm::Md5, [0; 16])?;
    let unknown = memory
        .presigned_upload_url(&key("a"), &PresignUploadOptions::default().with_checksum(md5))
        .await;
    assert_eq!(
        unknown.expect_err("cannot be computed").kind(),
        ErrorKind::Unsupported
    );
    Ok(())
}

#[tokio::test]
async fn the_greatest_size_holds_for_streams_too() -> Result<()> {
    let memory = MemoryProvider::builder().object_size_bytes_max(4).build();
    for (text, is_taken) in [("1234", true), ("12345", false)] {
        let stream = Content::from_async_read(text.as_bytes());
        for content in [Content::from(text), stream] {
            let outcome = memory.upload(&key("a"), content, &UploadOptions::default()).await;
            assert_eq!(
                outcome.as_ref().err().map(|error| error.kind()),
                (!is_taken).then_some(ErrorKind::Rejected)
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn old_versions_go_first() -> Result<()> {
    let memory = MemoryProvider::builder()
        .versions_max(NonZeroUsize::MIN.saturating_add(1))
        .build();
    let mut versions = Vec::new();
    for text in ["one", "two", "three"] {
        versions.push(put(&memory, "a", text).await?);
    }
    let read = async |version: &str| {
        memory
            .download(
                &key("a"),
                &DownloadOptions::default().with_version(version.to_owned()),
            )
            .await
    };
    assert_eq!(
        read(&versions[0]).await.expect_err("only two are kept").kind(),
        ErrorKind::NotFound
    );
    assert_eq!(read(&versions[1]).await?.into_object()?.bytes(10).await?, "two");
    Ok(())
}

#[tokio::test]
async fn access_stays_until_it_is_set_anew() -> Result<()> {
    let memory = MemoryProvider::new();
    put(&memory, "a", "one").await?;
    assert_eq!(memory.access(&key("a"))?, AccessClass::Private);
    memory
        .set_access(&key("a"), AccessClass::Public, &CallOptions::default())
        .await?;
    put(&memory, "a", "two").await?;
    assert_eq!(memory.access(&key("a"))?, AccessClass::Public);
    Ok(())
}

#[tokio::test]
async fn it_counts_what_it_holds() -> Result<()> {
    let memory = MemoryProvider::new();
    put(&memory, "a", "one").await?;
    put(&memory, "a", "two").await?;
    let upload = memory.create_upload(&key("b"), &Default::default()).await?;
    assert_eq!((memory.objects(), memory.pending_uploads()), (1, 1));
    memory.abort_upload(&upload, &CallOptions::default()).await?;
    assert_eq!((memory.objects(), memory.pending_uploads()), (1, 0));
    assert_eq!(
        memory.damage(&key("b")).expect_err("nothing there").kind(),
        ErrorKind::NotFound
    );
    Ok(())
}

#[tokio::test]
async fn settings_open_it_through_the_registry() -> Result<()> {
    let registry = Registry::compiled_in()?;
    let open = async |config: serde_json::Value| {
        registry
            .open(&ProviderSettings::new("main", "memory", config))
            .await
    };
    let plain = open(json!({})).await?;
    assert_eq!(plain.info().location, "main");
    assert!(
        !plain.capabilities().has(Capability::PublicUrl)
            && !plain.capabilities().has(Capability::PresignedDownload)
    );
    let public = open(json!({ "public_url_base": "https://cdn.example/x/", "versions_max": 1 })).await?;
    assert_eq!(
        public.public_url(&key("a b"), &CallOptions::default()).await?,
        "https://cdn.example/x/a%20b"
    );
    for wrong in [json!({ "versions_max": 0 }), json!({ "nonsense": 1 })] {
        assert_eq!(
            open(wrong).await.expect_err("wrong").kind(),
            ErrorKind::Configuration
        );
    }
    Ok(())
}

#[tokio::test]
async fn nothing_secret_is_shown() -> Result<()> {
    let memory = MemoryProvider::new();
    put(&memory, "a", "content").await?;
    let shown = format!("{memory:?} {:?}", memory.executor());
    assert!(
        !shown.contains("content") && !shown.contains("signing_key"),
        "{shown}"
    );
    Ok(())
}
