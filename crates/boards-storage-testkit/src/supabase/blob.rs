//! Stored bytes: small ones in memory, large ones in a temporary file, so that a test of gigabytes fits.

use std::io::SeekFrom;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, StreamExt};
use md5::{Digest as _, Md5};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

/// Blobs up to this size stay in memory.
const MEMORY_BYTES_MAX: usize = 1 << 20;
/// The part size with which the server itself uploads to its S3 store.
const S3_PART_BYTES: u64 = 16 << 20;
/// The least size of a part in S3, the last one excepted.
const LEAST_S3_PART_BYTES: u64 = 5 << 20;
const PIECE_BYTES: usize = 256 << 10;

/// Bytes that never change.
#[derive(Clone, Debug)]
pub(super) struct Blob {
    source: Source,
    length: u64,
    md5: [u8; 16],
    /// The MD5 of each part.
    part_md5s: Arc<[[u8; 16]]>,
}

#[derive(Clone, Debug)]
enum Source {
    Memory(Bytes),
    File(Arc<TemporaryFile>),
}

#[derive(Debug)]
struct TemporaryFile(PathBuf);

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        #[expect(
            clippy::disallowed_methods,
            reason = "unlinking a temporary file of a test server does not wait for the disk"
        )]
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A part of a blob on its way out.
#[derive(Debug)]
pub(super) struct Slice {
    blob: Blob,
    range: Range<u64>,
}

impl Blob {
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Returns the tag of one PUT: the MD5 in hex.
    pub(super) fn md5_tag(&self) -> String {
        hex(&self.md5)
    }

    /// Returns the tag of a large upload on S3: the MD5 of the parts' MD5s, and their number.
    pub(super) fn parts_tag(&self) -> String {
        let mut hasher = Md5::new();
        for part in self.part_md5s.iter() {
            hasher.update(part);
        }
        format!("{}-{}", hex(&hasher.finalize()), self.part_md5s.len().max(1))
    }

    /// Returns whether the server sends it to S3 in parts.
    pub(super) fn is_large(&self) -> bool {
        self.length > S3_PART_BYTES
    }

    pub(super) fn slice(&self, range: Range<u64>) -> Slice {
        Slice {
            blob: self.clone(),
            range,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Slice {
    pub(super) fn length(&self) -> u64 {
        self.range.end - self.range.start
    }

    pub(super) async fn into_stream(self) -> BoxStream<'static, std::io::Result<Bytes>> {
        let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX);
        match self.blob.source {
            Source::Memory(bytes) => {
                let bytes = bytes.slice(at(self.range.start)..at(self.range.end));
                stream::iter((!bytes.is_empty()).then_some(Ok(bytes))).boxed()
            }
            Source::File(file) => read_file(file, self.range).boxed(),
        }
    }
}

fn read_file(
    file: Arc<TemporaryFile>,
    range: Range<u64>,
) -> impl stream::Stream<Item = std::io::Result<Bytes>> + Send {
    let start = (None::<File>, range.start);
    stream::try_unfold(start, move |(opened, position)| {
        let file = Arc::clone(&file);
        let end = range.end;
        async move {
            if position >= end {
                return Ok(None);
            }
            let mut opened = match opened {
                Some(opened) => opened,
                None => {
                    let mut opened = File::open(&file.0).await?;
                    opened.seek(SeekFrom::Start(position)).await?;
                    opened
                }
            };
            let wanted = usize::try_from(end - position)
                .unwrap_or(PIECE_BYTES)
                .min(PIECE_BYTES);
            let mut piece = BytesMut::zeroed(wanted);
            opened.read_exact(&mut piece).await?;
            Ok(Some((piece.freeze(), (Some(opened), position + wanted as u64))))
        }
    })
}

/// Takes bytes until they are a blob.
#[derive(Debug)]
pub(super) struct BlobWriter {
    folder: PathBuf,
    memory: BytesMut,
    file: Option<(File, Arc<TemporaryFile>)>,
    length: u64,
    md5: Md5,
    part_md5: Md5,
    part_md5s: Vec<[u8; 16]>,
    part_bytes_max: u64,
    in_part: u64,
}

impl BlobWriter {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            memory: BytesMut::new(),
            file: None,
            length: 0,
            md5: Md5::new(),
            part_md5: Md5::new(),
            part_md5s: Vec::new(),
            part_bytes_max: S3_PART_BYTES,
            in_part: 0,
        }
    }

    /// Lets the caller say where parts end, by [`BlobWriter::end_large_part`].
    pub(super) fn with_parts_by_request(mut self) -> Self {
        self.part_bytes_max = u64::MAX;
        self
    }

    /// Ends a part, unless it is smaller than S3 allows: then what follows belongs to it.
    pub(super) fn end_large_part(&mut self) {
        if self.in_part >= LEAST_S3_PART_BYTES {
            self.end_part();
        }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hash(bytes);
        self.length += bytes.len() as u64;
        if let Some((file, _)) = &mut self.file {
            return file.write_all(bytes).await;
        }
        self.memory.extend_from_slice(bytes);
        if self.memory.len() > MEMORY_BYTES_MAX {
            let path = self.folder.join(uuid::Uuid::new_v4().to_string());
            let mut file = File::create(&path).await?;
            file.set_max_buf_size(PIECE_BYTES);
            file.write_all(&self.memory.split()).await?;
            self.file = Some((file, Arc::new(TemporaryFile(path))));
        }
        Ok(())
    }

    fn hash(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = usize::try_from(self.part_bytes_max - self.in_part).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.part_md5.update(now);
            self.in_part += now.len() as u64;
            if self.in_part == self.part_bytes_max {
                self.end_part();
            }
            rest = later;
        }
    }

    fn end_part(&mut self) {
        let done = std::mem::replace(&mut self.part_md5, Md5::new());
        self.part_md5s.push(done.finalize().into());
        self.in_part = 0;
    }

    pub(super) async fn finish(mut self) -> std::io::Result<Blob> {
        if self.in_part > 0 || self.part_md5s.is_empty() {
            self.end_part();
        }
        let source = match self.file {
            Some((mut file, path)) => {
                file.flush().await?;
                Source::File(path)
            }
            None => Source::Memory(self.memory.freeze()),
        };
        Ok(Blob {
            source,
            length: self.length,
            md5: self.md5.finalize().into(),
            part_md5s: self.part_md5s.into(),
        })
    }
}
