//! The small operations whose cost is measured and held: the same for the benchmark and for the test.

use std::sync::Arc;

use boards_storage::{
    CallOptions, Content, DeleteOptions, DownloadOptions, ResilienceSettings, SharedProvider, StorageKey,
    UploadOptions, default_layers, layers::Metrics,
};
use boards_storage_testkit::MemoryProvider;
use bytes::Bytes;

/// What a small object holds.
const CONTENT: Bytes = Bytes::from_static(b"hello");

/// A small operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Small {
    Metadata,
    Exists,
    Download,
    Upload,
    Delete,
}

impl Small {
    pub(crate) const ALL: [Self; 5] = [
        Self::Metadata,
        Self::Exists,
        Self::Download,
        Self::Upload,
        Self::Delete,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Exists => "exists",
            Self::Download => "download of 5 bytes",
            Self::Upload => "upload of 5 bytes",
            Self::Delete => "delete",
        }
    }
}

/// Returns a memory store with one object, bare and with the layers that a program gets by default.
pub(crate) async fn stores() -> (SharedProvider, SharedProvider) {
    let memory: SharedProvider = MemoryProvider::new();
    let stack = default_layers(&ResilienceSettings::default(), Some(&Metrics::default()))
        .around("main", Arc::clone(&memory));
    run(&memory, Small::Upload, &key()).await;
    (memory, Arc::new(stack))
}

pub(crate) fn key() -> StorageKey {
    StorageKey::parse("acme/image/b1/a1/original.png").expect("a key")
}

/// Runs an operation once and makes sure that it did what it says.
pub(crate) async fn run(provider: &SharedProvider, small: Small, key: &StorageKey) {
    match small {
        Small::Metadata => {
            let metadata = provider.metadata(key, &CallOptions::default()).await;
            assert_eq!(metadata.expect("it is there").size_bytes, 5);
        }
        Small::Exists => {
            let exists = provider.exists(key, &CallOptions::default()).await;
            assert!(exists.expect("answered"));
        }
        Small::Download => {
            let download = provider.download(key, &DownloadOptions::default()).await;
            let object = download.expect("it is there").into_object().expect("an object");
            assert_eq!(object.bytes(5).await.expect("read"), CONTENT);
        }
        Small::Upload => {
            let content = Content::from_bytes(CONTENT);
            let metadata = provider.upload(key, content, &UploadOptions::default()).await;
            assert_eq!(metadata.expect("stored").size_bytes, 5);
        }
        Small::Delete => {
            let deleted = provider.delete(key, &DeleteOptions::default()).await;
            deleted.expect("answered");
        }
    }
}
