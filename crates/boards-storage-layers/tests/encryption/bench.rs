//! The bench that the tests work on: the layer over a counting memory store.

use std::sync::Arc;

use boards_storage_core::{
    ByteRange, CallContext, Content, Download, DownloadOptions, Layer, Next, ObjectIdentity, ObjectMetadata,
    Operation, Outcome, Result, Stack, StorageKey, StorageProvider, TenantId, UploadOptions, async_trait,
};
use boards_storage_layers::{
    EncryptionLayer, Keyring, MemoryTenantKeyStore, SecretKey, TenantKeyStore, TenantKeys,
};
use boards_storage_testkit::MemoryProvider;
use bytes::Bytes;
use parking_lot::Mutex;

/// How many bytes of content a full segment holds.
pub(crate) const SEGMENT: usize = 65_520;

/// The layer over a memory store.
pub(crate) struct Bench {
    pub(crate) memory: Arc<MemoryProvider>,
    pub(crate) keys: TenantKeys,
    pub(crate) store: Arc<MemoryTenantKeyStore>,
    pub(crate) stack: Stack,
    pub(crate) asked: Arc<Asked>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::over(MemoryProvider::new())
    }

    pub(crate) fn over(memory: Arc<MemoryProvider>) -> Self {
        let keyring = Keyring::new("test", SecretKey::random().expect("random")).expect("an id");
        let store = Arc::new(MemoryTenantKeyStore::default());
        let keys = TenantKeys::new(Arc::new(keyring), Arc::clone(&store) as Arc<dyn TenantKeyStore>);
        let asked = Arc::new(Asked::default());
        let layers: Vec<Arc<dyn Layer>> = vec![
            Arc::new(EncryptionLayer::new(keys.clone())),
            Arc::clone(&asked) as Arc<dyn Layer>,
        ];
        Self {
            stack: Stack::new("main", Arc::clone(&memory) as _, layers),
            memory,
            keys,
            store,
            asked,
        }
    }

    pub(crate) async fn put(&self, name: &str, bytes: &Bytes) -> ObjectMetadata {
        let options = UploadOptions::default().with_context(context("acme", name));
        self.stack
            .upload(&key(name), bytes.clone().into(), &options)
            .await
            .expect("stored")
    }

    pub(crate) async fn get(&self, name: &str) -> Result<Bytes> {
        self.get_as(name, context("acme", name)).await
    }

    pub(crate) async fn get_as(&self, name: &str, context: CallContext) -> Result<Bytes> {
        let options = DownloadOptions::default().with_context(context);
        let download = self.stack.download(&key(name), &options).await?.into_object()?;
        download.bytes(usize::MAX).await
    }

    pub(crate) async fn get_range(&self, name: &str, range: ByteRange) -> Result<Download> {
        let options = DownloadOptions::default()
            .with_context(context("acme", name))
            .with_range(range);
        self.stack.download(&key(name), &options).await?.into_object()
    }

    /// Returns what the store holds.
    pub(crate) async fn stored(&self, name: &str) -> Bytes {
        let download = self
            .memory
            .download(&key(name), &DownloadOptions::default())
            .await
            .expect("is there");
        let download = download.into_object().expect("an object");
        download.bytes(usize::MAX).await.expect("read")
    }

    /// Puts bytes into the store, past the layer.
    pub(crate) async fn replace(&self, name: &str, bytes: impl Into<Bytes>) {
        let content = Content::from_bytes(bytes.into());
        self.memory
            .upload(&key(name), content, &UploadOptions::default())
            .await
            .expect("stored");
    }
}

pub(crate) fn key(text: &str) -> StorageKey {
    StorageKey::parse(text).expect("a key")
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).expect("a tenant")
}

/// The context of a call about an object of a tenant.
pub(crate) fn context(of: &str, object: &str) -> CallContext {
    CallContext::default().with_object(ObjectIdentity::new(tenant(of), object).expect("an id"))
}

/// Bytes that repeat nowhere near a segment's size.
pub(crate) fn sample(length: usize) -> Bytes {
    let byte = |index: usize| u8::try_from((index * 31 + index / 251) % 256).expect("below 256");
    (0..length).map(byte).collect::<Vec<u8>>().into()
}

/// Content in pieces that can be opened again.
pub(crate) fn replayable(bytes: &Bytes, piece: usize) -> Content {
    let bytes = bytes.clone();
    Content::from_factory(Some(bytes.len() as u64), move || {
        let pieces: Vec<Result<Bytes>> = bytes
            .chunks(piece)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        Box::pin(async { Ok(Box::pin(futures_util::stream::iter(pieces)) as _) })
    })
}

/// Counts the bytes that reads ask of the store.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    ranges: Mutex<Vec<std::ops::Range<u64>>>,
}

impl Asked {
    /// Returns what was fetched since the last time.
    pub(crate) fn take(&self) -> Vec<std::ops::Range<u64>> {
        std::mem::take(&mut self.ranges.lock())
    }
}

#[async_trait]
impl Layer for Asked {
    fn name(&self) -> &'static str {
        "asked"
    }

    async fn around(&self, operation: Operation, next: Next) -> Result<Outcome> {
        let outcome = next.run(operation).await?;
        if let Outcome::Download(download) = &outcome
            && let boards_storage_core::DownloadOutcome::Object(download) = &**download
        {
            self.ranges.lock().push(download.range());
        }
        Ok(outcome)
    }
}
