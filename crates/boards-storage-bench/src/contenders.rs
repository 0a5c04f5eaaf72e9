//! Who is measured, and how each is set up.
//!
//! Each contender works as its documentation suggests, in a folder of its own. None is given a knob that another of
//! them lacks: OpenDAL always syncs the file on close, which costs nothing on tmpfs; with `--fsync` object_store and
//! boards-storage sync files and folders too.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use boards_storage_core::{
    CallOptions, Content, ContentType, DeleteOptions, DownloadOptions, ListOptions, ObjectAttributes,
    StorageKey, StorageProvider, UploadOptions,
};
use boards_storage_local::{LocalProvider, LocalSettings};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};

/// Any error: a benchmark stops at the first.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The greatest object that is read into memory.
const WHOLE_BYTES_MAX: usize = 16 << 20;

/// One store under measurement.
#[async_trait]
pub(crate) trait Contender: Send + Sync {
    /// Its name in the table.
    fn name(&self) -> &'static str;
    /// Whether the row belongs to boards-storage.
    fn is_ours(&self) -> bool {
        false
    }
    /// What it checks and keeps beside the bytes.
    fn keeps(&self) -> &'static str;
    /// Stores bytes.
    async fn put(&self, key: &str, bytes: Bytes) -> Result<()>;
    /// Reads an object into memory and returns its length.
    async fn get(&self, key: &str) -> Result<usize>;
    /// Returns an object's length from its metadata.
    async fn stat(&self, key: &str) -> Result<u64>;
    /// Stores `count` pieces as one object of unknown length.
    async fn put_stream(&self, key: &str, piece: Bytes, count: usize) -> Result<()>;
    /// Reads an object as a stream and returns its length.
    async fn get_stream(&self, key: &str) -> Result<u64>;
    /// Lists a folder with sizes and times, and returns the number of objects.
    async fn list(&self, folder: &str) -> Result<usize>;
    /// Removes an object; never measured.
    async fn delete(&self, key: &str) -> Result<()>;
}

/// Returns all contenders, each with a folder below `path`.
pub(crate) async fn all(path: &Path, fsync: bool) -> Result<Vec<Arc<dyn Contender>>> {
    let settings = |name: &str| {
        let settings = LocalSettings::new(path.join(name));
        if fsync { settings } else { settings.without_fsync() }
    };
    let full = LocalProvider::open("full", settings("full")).await?;
    let plain = LocalProvider::open("plain", settings("plain").without_checksum()).await?;
    for name in ["object_store", "opendal", "opendal-atomic", "opendal-temporary"] {
        tokio::task::block_in_place(|| create(&path.join(name)))?;
    }
    let text = |name: &str| path.join(name).display().to_string();
    let fs = || opendal::services::Fs::default();
    let in_place = opendal::Operator::new(fs().root(&text("opendal")))?;
    let atomic = fs()
        .root(&text("opendal-atomic"))
        .atomic_write_dir(&text("opendal-temporary"));
    // What the file's name says already needs no sidecar.
    let inferred = ObjectAttributes::default().with_content_type(ContentType::parse("image/png")?);
    Ok(vec![
        Arc::new(Ours {
            name: "boards-storage",
            provider: full,
            attributes: attributes()?,
        }),
        Arc::new(Ours {
            name: "boards-storage plain",
            provider: plain,
            attributes: inferred,
        }),
        Arc::new(Arrow(
            LocalFileSystem::new_with_prefix(path.join("object_store"))?.with_fsync(fsync),
        )),
        Arc::new(OpenDal {
            name: "OpenDAL in place",
            operator: in_place,
        }),
        Arc::new(OpenDal {
            name: "OpenDAL atomic",
            operator: opendal::Operator::new(atomic)?,
        }),
    ])
}

#[expect(clippy::disallowed_methods, reason = "the caller says that it blocks")]
fn create(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir(path)
}

fn attributes() -> Result<ObjectAttributes> {
    Ok(ObjectAttributes::default()
        .with_content_type(ContentType::parse("image/png")?)
        .with_user_metadata("board", "board_123")
        .with_user_metadata("prompt", "a lighthouse at dusk, oil on canvas"))
}

/// The local provider.
struct Ours {
    name: &'static str,
    provider: LocalProvider,
    attributes: ObjectAttributes,
}

#[async_trait]
impl Contender for Ours {
    fn name(&self) -> &'static str {
        self.name
    }

    fn is_ours(&self) -> bool {
        true
    }

    fn keeps(&self) -> &'static str {
        if self.attributes.user_metadata.is_empty() {
            "checksums off, so no sidecar: atomic; etag never repeats; content type by the name; no checksum"
        } else {
            "atomic; etag never repeats; content type and user metadata kept; CRC-64 kept and checked on full reads"
        }
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<()> {
        let options = UploadOptions::default().with_attributes(self.attributes.clone());
        self.provider
            .upload(&StorageKey::parse(key)?, Content::from_bytes(bytes), &options)
            .await?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<usize> {
        let download = self
            .provider
            .download(&StorageKey::parse(key)?, &DownloadOptions::default())
            .await?;
        Ok(download.into_object()?.bytes(WHOLE_BYTES_MAX).await?.len())
    }

    async fn stat(&self, key: &str) -> Result<u64> {
        Ok(self
            .provider
            .metadata(&StorageKey::parse(key)?, &CallOptions::default())
            .await?
            .size_bytes)
    }

    async fn put_stream(&self, key: &str, piece: Bytes, count: usize) -> Result<()> {
        let options = UploadOptions::default().with_attributes(self.attributes.clone());
        let pieces = futures_util::stream::iter((0..count).map(move |_| Ok(piece.clone())));
        let content = Content::from_stream(None, pieces);
        self.provider
            .upload(&StorageKey::parse(key)?, content, &options)
            .await?;
        Ok(())
    }

    async fn get_stream(&self, key: &str) -> Result<u64> {
        let download = self
            .provider
            .download(&StorageKey::parse(key)?, &DownloadOptions::default())
            .await?;
        let mut stream = download.into_object()?.into_stream();
        let mut total = 0;
        while let Some(piece) = stream.next().await {
            total += piece?.len() as u64;
        }
        Ok(total)
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.provider
            .delete(&StorageKey::parse(key)?, &DeleteOptions::default())
            .await?;
        Ok(())
    }

    async fn list(&self, folder: &str) -> Result<usize> {
        let options = ListOptions::default().with_prefix(format!("{folder}/"));
        let mut entries = self.provider.list(&options).await?;
        let mut count = 0;
        while let Some(entry) = entries.next().await {
            entry?;
            count += 1;
        }
        Ok(count)
    }
}

/// object_store's local file system.
struct Arrow(LocalFileSystem);

#[async_trait]
impl Contender for Arrow {
    fn name(&self) -> &'static str {
        "object_store"
    }

    fn keeps(&self) -> &'static str {
        "atomic; refuses metadata; no checksum"
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<()> {
        self.0.put(&key.into(), bytes.into()).await?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<usize> {
        Ok(self.0.get(&key.into()).await?.bytes().await?.len())
    }

    async fn stat(&self, key: &str) -> Result<u64> {
        Ok(self.0.head(&key.into()).await?.size)
    }

    async fn put_stream(&self, key: &str, piece: Bytes, count: usize) -> Result<()> {
        let upload = self.0.put_multipart(&key.into()).await?;
        // As the documentation of `WriteMultipart` suggests, with its own chunk size.
        let mut writer = WriteMultipart::new(upload);
        for _ in 0..count {
            writer.wait_for_capacity(8).await?;
            writer.put(piece.clone());
        }
        writer.finish().await?;
        Ok(())
    }

    async fn get_stream(&self, key: &str) -> Result<u64> {
        let mut stream = self.0.get(&key.into()).await?.into_stream();
        let mut total = 0;
        while let Some(piece) = stream.next().await {
            total += piece?.len() as u64;
        }
        Ok(total)
    }

    async fn delete(&self, key: &str) -> Result<()> {
        Ok(self.0.delete(&key.into()).await?)
    }

    async fn list(&self, folder: &str) -> Result<usize> {
        let entries = self.0.list(Some(&folder.into()));
        Ok(entries
            .try_fold(0, |count, _entry| async move { Ok(count + 1) })
            .await?)
    }
}

/// OpenDAL's file system service: in place as it is by default (a reader can see a half-written object), or with a
/// folder for atomic writes.
struct OpenDal {
    name: &'static str,
    operator: opendal::Operator,
}

#[async_trait]
impl Contender for OpenDal {
    fn name(&self) -> &'static str {
        self.name
    }

    fn keeps(&self) -> &'static str {
        if self.name.ends_with("atomic") {
            "atomic; user metadata only, as extended attributes (not used here); no checksum"
        } else {
            "not atomic; user metadata only, as extended attributes (not used here); no checksum"
        }
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<()> {
        self.operator.write(key, bytes).await?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<usize> {
        Ok(self.operator.read(key).await?.len())
    }

    async fn stat(&self, key: &str) -> Result<u64> {
        Ok(self.operator.stat(key).await?.content_length())
    }

    async fn put_stream(&self, key: &str, piece: Bytes, count: usize) -> Result<()> {
        let mut writer = self.operator.writer(key).await?;
        for _ in 0..count {
            writer.write(piece.clone()).await?;
        }
        writer.close().await?;
        Ok(())
    }

    async fn get_stream(&self, key: &str) -> Result<u64> {
        // The fastest of the chunk sizes 256 KiB to 8 MiB here.
        let reader = self.operator.reader_with(key).chunk(1 << 20).await?;
        let mut stream = reader.into_bytes_stream(..).await?;
        let mut total = 0;
        while let Some(piece) = stream.next().await {
            total += piece?.len() as u64;
        }
        Ok(total)
    }

    async fn delete(&self, key: &str) -> Result<()> {
        Ok(self.operator.delete(key).await?)
    }

    async fn list(&self, folder: &str) -> Result<usize> {
        let entries = self.operator.lister(&format!("{folder}/")).await?;
        let count =
            |count, entry: opendal::Entry| async move { Ok(count + usize::from(entry.metadata().is_file())) };
        Ok(entries.try_fold(0, count).await?)
    }
}
