//! Who is measured, and how each does the work.
//!
//! Each contender works as its documentation suggests, in a place of its own. None is given a knob that another of
//! them lacks; what each checks and keeps is said beside the table.

pub(crate) mod local;
#[cfg(feature = "s3")]
pub(crate) mod s3;

use async_trait::async_trait;
use boards_storage_core::{
    CallOptions, Content, ContentType, DeleteOptions, DownloadOptions, ListOptions, ObjectAttributes,
    SharedProvider, StorageKey, UploadOptions,
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::{
    Attributes, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, WriteMultipart,
};

/// Any error: a benchmark stops at the first.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The greatest object that is read into memory.
const WHOLE_BYTES_MAX: usize = 16 << 20;

/// The content type of what is stored, where a contender keeps one.
const CONTENT_TYPE: &str = "image/png";

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
    /// Reads an object into memory, in one piece, and returns its length.
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

/// A provider of boards-storage.
struct Ours {
    name: &'static str,
    keeps: &'static str,
    provider: SharedProvider,
    attributes: ObjectAttributes,
}

impl Ours {
    async fn upload(&self, key: &str, content: Content) -> Result<()> {
        let options = UploadOptions::default().with_attributes(self.attributes.clone());
        self.provider
            .upload(&StorageKey::parse(key)?, content, &options)
            .await?;
        Ok(())
    }
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
        self.keeps
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<()> {
        self.upload(key, Content::from_bytes(bytes)).await
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
        let pieces = futures_util::stream::iter((0..count).map(move |_| Ok(piece.clone())));
        self.upload(key, Content::from_stream(None, pieces)).await
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

/// A store of object_store.
struct Arrow<S> {
    store: S,
    keeps: &'static str,
    attributes: Attributes,
    /// The size of the parts of a large object; none for its own.
    part_bytes: Option<usize>,
    /// How many parts are under way at a time.
    concurrency: usize,
}

#[async_trait]
impl<S: ObjectStore> Contender for Arrow<S> {
    fn name(&self) -> &'static str {
        "object_store"
    }

    fn keeps(&self) -> &'static str {
        self.keeps
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<()> {
        let options = PutOptions::from(self.attributes.clone());
        self.store.put_opts(&key.into(), bytes.into(), options).await?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<usize> {
        Ok(self.store.get(&key.into()).await?.bytes().await?.len())
    }

    async fn stat(&self, key: &str) -> Result<u64> {
        Ok(self.store.head(&key.into()).await?.size)
    }

    async fn put_stream(&self, key: &str, piece: Bytes, count: usize) -> Result<()> {
        let options = PutMultipartOptions::from(self.attributes.clone());
        let upload = self.store.put_multipart_opts(&key.into(), options).await?;
        // As the documentation of `WriteMultipart` suggests.
        let mut writer = match self.part_bytes {
            Some(part_bytes) => WriteMultipart::new_with_chunk_size(upload, part_bytes),
            None => WriteMultipart::new(upload),
        };
        for _ in 0..count {
            writer.wait_for_capacity(self.concurrency).await?;
            writer.put(piece.clone());
        }
        writer.finish().await?;
        Ok(())
    }

    async fn get_stream(&self, key: &str) -> Result<u64> {
        let mut stream = self.store.get(&key.into()).await?.into_stream();
        let mut total = 0;
        while let Some(piece) = stream.next().await {
            total += piece?.len() as u64;
        }
        Ok(total)
    }

    async fn delete(&self, key: &str) -> Result<()> {
        Ok(self.store.delete(&key.into()).await?)
    }

    async fn list(&self, folder: &str) -> Result<usize> {
        let entries = self.store.list(Some(&folder.into()));
        Ok(entries
            .try_fold(0, |count, _entry| async move { Ok(count + 1) })
            .await?)
    }
}

/// A service of OpenDAL.
struct OpenDal {
    name: &'static str,
    keeps: &'static str,
    operator: opendal::Operator,
    content_type: Option<&'static str>,
    /// The size of the parts in which a large object is written; none for one write per piece.
    part_bytes: Option<usize>,
    /// How many parts are under way at a time.
    concurrency: usize,
    /// The size of the pieces in which a large object is read; none for one request.
    read_bytes: Option<usize>,
}

#[async_trait]
impl Contender for OpenDal {
    fn name(&self) -> &'static str {
        self.name
    }

    fn keeps(&self) -> &'static str {
        self.keeps
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<()> {
        let mut write = self.operator.write_with(key, bytes);
        if let Some(content_type) = self.content_type {
            write = write.content_type(content_type);
        }
        write.await?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<usize> {
        Ok(self.operator.read(key).await?.to_bytes().len())
    }

    async fn stat(&self, key: &str) -> Result<u64> {
        Ok(self.operator.stat(key).await?.content_length())
    }

    async fn put_stream(&self, key: &str, piece: Bytes, count: usize) -> Result<()> {
        let mut writer = self.operator.writer_with(key).concurrent(self.concurrency);
        if let Some(part_bytes) = self.part_bytes {
            writer = writer.chunk(part_bytes);
        }
        if let Some(content_type) = self.content_type {
            writer = writer.content_type(content_type);
        }
        let mut writer = writer.await?;
        for _ in 0..count {
            writer.write(piece.clone()).await?;
        }
        writer.close().await?;
        Ok(())
    }

    async fn get_stream(&self, key: &str) -> Result<u64> {
        let mut reader = self.operator.reader_with(key);
        if let Some(read_bytes) = self.read_bytes {
            reader = reader.chunk(read_bytes);
        }
        let mut stream = reader.await?.into_bytes_stream(..).await?;
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

/// The attributes of what is stored in one piece of metadata alone.
fn typed() -> Result<ObjectAttributes> {
    Ok(ObjectAttributes::default().with_content_type(ContentType::parse(CONTENT_TYPE)?))
}
