//! The bench that every test works on: layers, then a script, then a memory store.

use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{
    AccessClass, CallOptions, CompleteUploadOptions, Content, CopyOptions, CreateUploadOptions,
    DeleteOptions, Download, DownloadOptions, Error, ErrorKind, Layer, ListEntry, ListOptions,
    MultipartUpload, ObjectAttributes, ObjectMetadata, OperationKind, Part, PartPlace,
    PresignDownloadOptions, PresignPartOptions, PresignUploadOptions, Result, Retry, SetMetadataOptions,
    Stack, StorageKey, StorageProvider, UploadOptions, UploadPartOptions,
};
use boards_storage_layers::{RetryConfig, RetryLayer};
use boards_storage_testkit::{MemoryProvider, Script};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::Instant;

/// Layers around a scripted memory store.
pub(crate) struct Bench {
    pub(crate) memory: Arc<MemoryProvider>,
    pub(crate) script: Arc<Script>,
    pub(crate) stack: Stack,
}

impl Bench {
    pub(crate) fn new(layers: Vec<Arc<dyn Layer>>) -> Self {
        Self::over(MemoryProvider::new(), layers)
    }

    pub(crate) fn over(memory: Arc<MemoryProvider>, mut layers: Vec<Arc<dyn Layer>>) -> Self {
        let script = Script::new();
        layers.push(Arc::clone(&script) as Arc<dyn Layer>);
        Self {
            stack: Stack::new("main", Arc::clone(&memory) as _, layers),
            memory,
            script,
        }
    }

    pub(crate) fn with_retry(config: RetryConfig) -> Self {
        Self::new(vec![Arc::new(RetryLayer::new(config))])
    }

    /// Stores an object behind the script's back.
    pub(crate) async fn put(&self, name: &str, bytes: impl Into<Bytes>) -> ObjectMetadata {
        let content = Content::from_bytes(bytes.into());
        self.memory
            .upload(&key(name), content, &UploadOptions::default())
            .await
            .expect("stored")
    }

    /// Looks at an object behind the script's back.
    pub(crate) async fn find(&self, name: &str) -> Option<(ObjectMetadata, Bytes)> {
        let metadata = self
            .memory
            .metadata(&key(name), &CallOptions::default())
            .await
            .ok()?;
        let download = self
            .memory
            .download(&key(name), &DownloadOptions::default())
            .await
            .expect("is there");
        Some((
            metadata,
            download
                .into_object()
                .expect("an object")
                .bytes(usize::MAX)
                .await
                .expect("read"),
        ))
    }

    /// Returns how many calls reached the script.
    pub(crate) fn calls(&self) -> usize {
        self.script.calls().len()
    }

    /// Returns the attempt numbers that the calls of one kind carried.
    pub(crate) fn attempts(&self, kind: OperationKind) -> Vec<u32> {
        self.script
            .calls()
            .iter()
            .filter(|call| call.kind == kind)
            .map(|call| call.attempt)
            .collect()
    }

    pub(crate) async fn download(&self, name: &str, options: DownloadOptions) -> Result<Download> {
        self.stack.download(&key(name), &options).await?.into_object()
    }

    pub(crate) async fn names(&self, options: ListOptions) -> Result<Vec<String>> {
        let entries: Vec<ListEntry> = self.stack.list(&options).await?.try_collect().await?;
        Ok(entries.iter().map(|entry| entry.name().to_owned()).collect())
    }
}

pub(crate) fn key(text: &str) -> StorageKey {
    StorageKey::parse(text).expect("a key")
}

pub(crate) fn unavailable() -> Error {
    Error::new(ErrorKind::ProviderUnavailable, "connection reset")
}

pub(crate) fn timed_out() -> Error {
    Error::new(ErrorKind::Timeout, "no answer")
}

pub(crate) fn throttled(wait: Duration) -> Error {
    Error::new(ErrorKind::RateLimited, "slow down").with_retry(Retry::After(wait))
}

/// Bytes that repeat nowhere near a piece's size.
pub(crate) fn sample(length: usize) -> Bytes {
    let byte = |index: usize| u8::try_from((index * 31 + index / 251) % 256).expect("below 256");
    (0..length).map(byte).collect::<Vec<u8>>().into()
}

/// Runs a future and tells how long it took by tokio's clock.
pub(crate) async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    let output = future.await;
    (output, start.elapsed())
}

/// Content as a stream that can be read once, in pieces.
pub(crate) fn one_shot(bytes: &Bytes, piece: usize) -> Content {
    let pieces: Vec<Result<Bytes>> = bytes
        .chunks(piece)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    Content::from_stream(Some(bytes.len() as u64), futures_util::stream::iter(pieces))
}

/// What every operation needs to be there: the object `a`, and uploads in parts that can be gone on with.
pub(crate) struct Prepared {
    pub(crate) upload: MultipartUpload,
    pub(crate) parts: Vec<Part>,
}

impl Prepared {
    pub(crate) async fn new(bench: &Bench) -> Self {
        bench.put("a", "0123456789").await;
        let memory = &bench.memory;
        let upload = memory
            .create_upload(&key("parts"), &CreateUploadOptions::default())
            .await
            .expect("begun");
        let place = PartPlace::new(1, 0).last();
        let part = memory
            .upload_part(&upload, place, Content::from("x"), &UploadPartOptions::default())
            .await;
        Self {
            upload,
            parts: vec![part.expect("a part")],
        }
    }
}

/// Calls the method of that name with plain arguments, and reads what it returns to the end.
pub(crate) async fn call(kind: OperationKind, stack: &Stack, prepared: &Prepared) -> Result<()> {
    let (a, call) = (key("a"), CallOptions::default());
    let Prepared { upload, parts } = prepared;
    match kind {
        OperationKind::Upload => stack
            .upload(&key("new"), Content::from("x"), &UploadOptions::default())
            .await
            .map(drop),
        OperationKind::Download => {
            let download = stack
                .download(&a, &DownloadOptions::default())
                .await?
                .into_object()?;
            download.bytes(1000).await.map(drop)
        }
        OperationKind::Metadata => stack.metadata(&a, &call).await.map(drop),
        OperationKind::Exists => stack.exists(&a, &call).await.map(drop),
        OperationKind::Delete => stack.delete(&a, &DeleteOptions::default()).await.map(drop),
        OperationKind::DeleteMany => stack.delete_many(&[a], &DeleteOptions::default()).await.map(drop),
        OperationKind::List => {
            let mut entries = stack.list(&ListOptions::default()).await?;
            while let Some(entry) = entries.next().await {
                entry?;
            }
            Ok(())
        }
        OperationKind::Copy => stack
            .copy(&a, &key("copy"), &CopyOptions::default())
            .await
            .map(drop),
        OperationKind::SetMetadata => stack
            .set_metadata(&a, &ObjectAttributes::default(), &SetMetadataOptions::default())
            .await
            .map(drop),
        OperationKind::SetAccess => stack.set_access(&a, AccessClass::default(), &call).await,
        OperationKind::CreateUpload => stack
            .create_upload(&a, &CreateUploadOptions::default())
            .await
            .map(drop),
        OperationKind::UploadPart => {
            let options = UploadPartOptions::default();
            stack
                .upload_part(upload, PartPlace::new(2, 1).last(), Content::from("y"), &options)
                .await
                .map(drop)
        }
        OperationKind::ListParts => stack.list_parts(upload, &call).await.map(drop),
        OperationKind::CompleteUpload => stack
            .complete_upload(upload, parts, &CompleteUploadOptions::default())
            .await
            .map(drop),
        OperationKind::AbortUpload => stack.abort_upload(upload, &call).await,
        OperationKind::PresignedUploadUrl => stack
            .presigned_upload_url(&a, &PresignUploadOptions::default())
            .await
            .map(drop),
        OperationKind::PresignedDownloadUrl => stack
            .presigned_download_url(&a, &PresignDownloadOptions::default())
            .await
            .map(drop),
        OperationKind::PresignedPartUrl => stack
            .presigned_part_url(upload, 1, &PresignPartOptions::default())
            .await
            .map(drop),
        OperationKind::PublicUrl => stack.public_url(&a, &call).await.map(drop),
        OperationKind::Probe => stack.probe(&call).await,
    }
}
