//! Uploads within one call: small content in one request, more in chunks.

use std::collections::VecDeque;

use boards_storage_core::{
    ByteStream, Content, Digest, DigestHasher, Error, ErrorKind, ObjectMetadata, Result, StorageKey,
    UploadOptions,
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Map, Value};

use crate::client::{Client, send_json};
use crate::error::{lost_write, unexpected};
use crate::metadata::{DEFAULT_CACHE_CONTROL, DEFAULT_TYPE, header_value, user_metadata};
use crate::object;
use crate::resumable;

/// How content is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) threshold: usize,
    pub(crate) chunk: usize,
}

/// Content as chunks of the sizes asked for. The last one is handed out only when the length and the digest of all
/// are right.
pub(crate) struct Chunks {
    stream: ByteStream,
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    ended: bool,
    taken: u64,
    declared: Option<u64>,
    digest: Option<(Digest, DigestHasher)>,
}

impl Chunks {
    async fn open(content: &Content, options: &UploadOptions) -> Result<Self> {
        if let (Some(asked), Some(known)) = (options.length, content.length())
            && asked != known
        {
            return Err(Error::invalid_input(format!(
                "the content has {known} bytes, the options ask for {asked}"
            )));
        }
        Ok(Self {
            stream: content.open().await?,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            ended: false,
            taken: 0,
            declared: content.length().or(options.length),
            digest: options
                .digest
                .map(|digest| (digest, DigestHasher::new(digest.algorithm()))),
        })
    }

    /// Returns the length, if it is known beforehand.
    pub(crate) fn declared(&self) -> Option<u64> {
        self.declared
    }

    async fn fill(&mut self, size: usize) -> Result<()> {
        while self.waiting_bytes < size && !self.ended {
            match self.stream.next().await {
                Some(piece) => {
                    let piece = piece?;
                    if let Some((_, hasher)) = &mut self.digest {
                        hasher.update(&piece);
                    }
                    self.taken += piece.len() as u64;
                    if self.declared.is_some_and(|declared| self.taken > declared) {
                        return Err(self.lied("more"));
                    }
                    self.waiting_bytes += piece.len();
                    self.waiting.push_back(piece);
                }
                None => {
                    self.ended = true;
                    self.check()?;
                }
            }
        }
        Ok(())
    }

    fn lied(&self, what: &str) -> Error {
        Error::invalid_input(format!(
            "the content should have {} bytes but has {what}",
            self.declared.unwrap_or_default()
        ))
    }

    fn check(&mut self) -> Result<()> {
        if self.declared.is_some_and(|declared| self.taken != declared) {
            return Err(self.lied(&format!("only {}", self.taken)));
        }
        match self.digest.take() {
            Some((expected, hasher)) if hasher.clone().finish() != expected => Err(Error::new(
                ErrorKind::Corruption,
                "the content does not have the digest that was declared",
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Returns whether there are more than so many bytes.
    async fn is_longer_than(&mut self, size: usize) -> Result<bool> {
        self.fill(size.saturating_add(1)).await?;
        Ok(self.waiting_bytes > size)
    }

    /// Returns the next `size` bytes, and whether they are the last.
    pub(crate) async fn next(&mut self, size: usize) -> Result<(Bytes, bool)> {
        let is_last = !self.is_longer_than(size).await?;
        Ok((self.take(size.min(self.waiting_bytes)), is_last))
    }

    /// Takes so many of the bytes that wait. What lies in one piece is not copied, however large the piece is.
    fn take(&mut self, size: usize) -> Bytes {
        self.waiting_bytes -= size;
        if let Some(front) = self.waiting.front_mut()
            && front.len() >= size
        {
            return front.split_to(size);
        }
        let mut gathered = BytesMut::with_capacity(size);
        while gathered.len() < size {
            let Some(mut piece) = self.waiting.pop_front() else {
                break;
            };
            let wanted = piece.len().min(size - gathered.len());
            gathered.extend_from_slice(&piece.split_to(wanted));
            if !piece.is_empty() {
                self.waiting.push_front(piece);
            }
        }
        gathered.freeze()
    }
}

pub(crate) async fn upload(
    client: &Client,
    key: &StorageKey,
    content: &Content,
    options: &UploadOptions,
    sizes: Sizes,
) -> Result<ObjectMetadata> {
    let mut chunks = Chunks::open(content, options).await?;
    let user = user_metadata(&options.attributes, options.digest, options.write_id);
    let size = if chunks.is_longer_than(sizes.threshold).await? {
        resumable::upload_whole(client, key, &options.attributes, &user, &mut chunks, sizes.chunk).await?
    } else {
        let (bytes, _) = chunks.next(sizes.threshold).await?;
        let size = bytes.len() as u64;
        let attributes = &options.attributes;
        let content_type = attributes
            .content_type
            .as_ref()
            .map_or(DEFAULT_TYPE, |kind| kind.as_str());
        let cache_control = attributes
            .cache_control
            .as_deref()
            .unwrap_or(DEFAULT_CACHE_CONTROL);
        let request = client
            .request(Method::POST, &client.object_route("object", key))
            .header("content-type", content_type)
            .header("cache-control", cache_control)
            .header("x-upsert", "true")
            .header("x-metadata", header_value(&user))
            .body(bytes);
        let stored: Map<String, Value> = send_json(request).await.map_err(lost_write)?;
        if !stored.contains_key("Key") {
            return Err(lost_write(unexpected("the server did not say what it stored")));
        }
        size
    };
    let info = object::info(client, key).await;
    let metadata = info.and_then(|info| info.to_metadata(key));
    match metadata {
        Ok(metadata) if is_ours(&metadata, size, options) => Ok(metadata),
        // It is stored. That another write or a deletion came right after, or that the look failed, changes nothing.
        Ok(_) | Err(_) => {
            let mut metadata = ObjectMetadata::new(key.clone(), size);
            metadata.attributes = options.attributes.clone();
            metadata.digest = options.digest;
            metadata.write_id = options.write_id;
            Ok(metadata)
        }
    }
}

fn is_ours(metadata: &ObjectMetadata, size: u64, options: &UploadOptions) -> bool {
    metadata.size_bytes == size
        && metadata.write_id == options.write_id
        && metadata.digest == options.digest
        && metadata.attributes.user_metadata == options.attributes.user_metadata
}
