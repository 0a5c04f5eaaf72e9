//! What every test uses: a provider under a prefix of its own, contents of many shapes, and assertions.

use std::fmt::Debug;
use std::sync::Arc;

use boards_storage_core::{
    ByteStream, CallOptions, Capability, Content, ContentType, DownloadOptions, ETag, Error, ErrorKind,
    ListEntry, ListOptions, ObjectAttributes, ObjectMetadata, Result, SharedProvider, StorageKey,
    UploadOptions,
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::fixture::Fixture;
use crate::executor::SignedRequestExecutor;

/// No test reads more than this into memory.
pub(crate) const SIZE_BYTES_MAX: usize = 128 << 20;

/// One test's own corner of the store.
pub(crate) struct Case {
    pub(crate) provider: SharedProvider,
    prefix: String,
    // The last field: it is dropped after the provider.
    pub(crate) fixture: Fixture,
}

impl Case {
    pub(crate) fn new(fixture: Fixture) -> Self {
        // Letters and digits are in every store's character set.
        let prefix = format!("c{:08x}/", rand::random::<u32>());
        Self {
            provider: fixture.provider.clone(),
            prefix,
            fixture,
        }
    }

    pub(crate) fn has(&self, capability: Capability) -> bool {
        self.provider.capabilities().has(capability)
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns the key of that name in this test's corner.
    #[track_caller]
    pub(crate) fn key(&self, name: &str) -> StorageKey {
        StorageKey::parse(format!("{}{name}", self.prefix)).expect("tests use valid names")
    }

    /// Returns whether the store says that it can hold a key of that name.
    pub(crate) fn can_hold(&self, name: &str) -> bool {
        self.provider
            .capabilities()
            .key_rules
            .check(&self.key(name))
            .is_ok()
    }

    /// Opens the second handle, which the test declared to need.
    pub(crate) async fn second(&self) -> Result<SharedProvider> {
        let open = self
            .fixture
            .second
            .clone()
            .expect("the test needs a second handle");
        open().await
    }

    /// Opens the second handle, or returns the first again where there is no other.
    pub(crate) async fn second_or_same(&self) -> Result<SharedProvider> {
        match self.fixture.second {
            Some(_) => self.second().await,
            None => Ok(Arc::clone(&self.provider)),
        }
    }

    /// Returns the client for signed requests, which the test declared to need.
    pub(crate) fn executor(&self) -> Arc<dyn SignedRequestExecutor> {
        self.fixture.executor.clone().expect("the test needs an executor")
    }

    pub(crate) async fn put(&self, name: &str, content: impl Into<Content>) -> Result<ObjectMetadata> {
        self.put_with(name, content, &UploadOptions::default()).await
    }

    pub(crate) async fn put_with(
        &self,
        name: &str,
        content: impl Into<Content>,
        options: &UploadOptions,
    ) -> Result<ObjectMetadata> {
        self.provider
            .upload(&self.key(name), content.into(), options)
            .await
    }

    pub(crate) async fn read(&self, name: &str) -> Result<Bytes> {
        self.read_with(name, &DownloadOptions::default()).await
    }

    pub(crate) async fn read_with(&self, name: &str, options: &DownloadOptions) -> Result<Bytes> {
        self.provider
            .download(&self.key(name), options)
            .await?
            .into_object()?
            .bytes(SIZE_BYTES_MAX)
            .await
    }

    pub(crate) async fn head(&self, name: &str) -> Result<ObjectMetadata> {
        self.provider
            .metadata(&self.key(name), &CallOptions::default())
            .await
    }

    pub(crate) async fn exists(&self, name: &str) -> Result<bool> {
        self.provider
            .exists(&self.key(name), &CallOptions::default())
            .await
    }

    pub(crate) async fn etag(&self, name: &str) -> Result<ETag> {
        Ok(self
            .head(name)
            .await?
            .etag
            .expect("a store that compares entity tags answers them"))
    }

    /// Returns listing options for names that begin with `prefix` in this test's corner.
    pub(crate) fn listing(&self, prefix: &str) -> ListOptions {
        ListOptions::default().with_prefix(format!("{}{prefix}", self.prefix))
    }

    pub(crate) async fn entries(&self, options: &ListOptions) -> Result<Vec<ListEntry>> {
        self.provider.list(options).await?.try_collect().await
    }

    /// Lists names, without this test's prefix.
    pub(crate) async fn names(&self, options: &ListOptions) -> Result<Vec<String>> {
        let entries = self.entries(options).await?;
        Ok(entries.iter().map(|entry| self.name_of(entry.name())).collect())
    }

    #[track_caller]
    pub(crate) fn name_of(&self, key: &str) -> String {
        key.strip_prefix(&self.prefix)
            .expect("a listing stays within its prefix")
            .to_owned()
    }

    /// Checks that exactly these bytes are at the name, by every way of looking.
    pub(crate) async fn assert_holds(&self, name: &str, bytes: &[u8]) -> Result<()> {
        same_bytes(&self.read(name).await?, bytes, name);
        assert_eq!(
            self.head(name).await?.size_bytes,
            bytes.len() as u64,
            "size of {name}"
        );
        assert!(self.exists(name).await?, "{name} exists");
        Ok(())
    }

    /// Checks that there is nothing at the name, by every way of looking.
    pub(crate) async fn assert_absent(&self, name: &str) -> Result<()> {
        refused(self.head(name).await, ErrorKind::NotFound);
        refused(self.read(name).await, ErrorKind::NotFound);
        assert!(!self.exists(name).await?, "{name} does not exist");
        if self.has(Capability::List) {
            let names = self.names(&self.listing(name)).await?;
            assert!(!names.iter().any(|found| found == name), "{name} is not listed");
        }
        Ok(())
    }

    /// Returns attributes with everything that the provider declares; `tag` makes them different.
    pub(crate) fn attributes(&self, tag: &str) -> ObjectAttributes {
        let mut attributes = ObjectAttributes::default();
        for capability in Capability::ALL.iter().filter(|capability| self.has(**capability)) {
            attributes = with_attribute(attributes, *capability, tag);
        }
        attributes
    }

    /// Returns upload options with all of these attributes.
    pub(crate) fn options_of(&self, tag: &str) -> UploadOptions {
        UploadOptions::default().with_attributes(self.attributes(tag))
    }
}

/// Sets the attribute that a capability is about; others change nothing.
pub(crate) fn with_attribute(
    attributes: ObjectAttributes,
    capability: Capability,
    tag: &str,
) -> ObjectAttributes {
    match capability {
        Capability::ContentType => attributes.with_content_type(content_type(&format!("text/x-{tag}"))),
        Capability::ContentDisposition => {
            attributes.with_content_disposition(format!("attachment; filename=\"{tag}.txt\""))
        }
        // The bytes are not really encoded so, but a store must not care.
        Capability::ContentEncoding => {
            attributes.with_content_encoding(if tag.len().is_multiple_of(2) { "x-a" } else { "x-b" })
        }
        Capability::ContentLanguage => attributes.with_content_language(if tag.len().is_multiple_of(2) {
            "de-AT"
        } else {
            "en"
        }),
        Capability::CacheControl => attributes.with_cache_control(format!("max-age={}", tag.len())),
        Capability::UserMetadata => attributes
            .with_user_metadata("tag", tag)
            .with_user_metadata("name-2_x", "Grüße 🎉"),
        _ => attributes,
    }
}

#[track_caller]
pub(crate) fn content_type(text: &str) -> ContentType {
    ContentType::parse(text).expect("tests use valid types")
}

/// Checks that a call failed with that kind, and returns the error.
#[track_caller]
pub(crate) fn refused<T: Debug>(result: Result<T>, kind: ErrorKind) -> Error {
    match result {
        Err(error) if error.kind() == kind => error,
        Err(error) => panic!("expected {kind}, got {}: {error}", error.kind()),
        Ok(answer) => panic!("expected {kind}, got {answer:?}"),
    }
}

/// Compares bytes without printing megabytes.
#[track_caller]
pub(crate) fn same_bytes(found: &[u8], expected: &[u8], what: &str) {
    assert_eq!(found.len(), expected.len(), "length of {what}");
    if let Some(position) = found
        .iter()
        .zip(expected)
        .position(|(found, expected)| found != expected)
    {
        panic!(
            "{what} differs at byte {position}: {:#04x} instead of {:#04x}",
            found[position], expected[position]
        );
    }
}

/// Returns reproducible bytes that do not repeat (xorshift64).
pub(crate) fn pattern(length: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    Bytes::from(bytes)
}

/// Cuts bytes into a stream of pieces.
pub(crate) fn pieces(
    bytes: &Bytes,
    piece_bytes: usize,
) -> impl stream::Stream<Item = Result<Bytes>> + Send + use<> {
    let bytes = bytes.clone();
    let starts = (0..bytes.len()).step_by(piece_bytes);
    stream::iter(starts).map(move |start| Ok(bytes.slice(start..bytes.len().min(start + piece_bytes))))
}

/// Returns a one-shot stream of pieces, with the length that is declared for it.
pub(crate) fn streamed(bytes: &Bytes, piece_bytes: usize, declared: Option<u64>) -> Content {
    Content::from_stream(declared, pieces(bytes, piece_bytes))
}

/// Returns content that can be opened again and again.
pub(crate) fn replayable(bytes: &Bytes, declared: Option<u64>) -> Content {
    let bytes = bytes.clone();
    Content::from_factory(declared, move || {
        let stream = pieces(&bytes, 1000);
        Box::pin(async move { Ok(Box::pin(stream) as ByteStream) })
    })
}

/// Returns a stream that gives these bytes and then fails.
pub(crate) fn broken(bytes: &Bytes, piece_bytes: usize, declared: Option<u64>) -> Content {
    let end = stream::once(async { Err(Error::new(ErrorKind::Storage, "the source broke off")) });
    Content::from_stream(declared, pieces(bytes, piece_bytes).chain(end))
}

/// Returns a stream that gives these bytes, tells `reached`, and then never goes on.
pub(crate) fn stalled(bytes: &Bytes, piece_bytes: usize) -> (Content, tokio::sync::oneshot::Receiver<()>) {
    let (tell, reached) = tokio::sync::oneshot::channel();
    let end = stream::once(async move {
        let _ = tell.send(());
        std::future::pending::<Result<Bytes>>().await
    });
    (
        Content::from_stream(None, pieces(bytes, piece_bytes).chain(end)),
        reached,
    )
}
