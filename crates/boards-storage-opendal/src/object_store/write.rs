//! Writing: small and conditional content in one put, the rest in parts.

use boards_storage_core::{
    Content, CopyOptions, Error, ErrorKind, ObjectMetadata, Precondition, Result, StorageKey, UploadOptions,
};
use bytes::{Bytes, BytesMut};
use object_store::path::Path;
use object_store::{
    Attributes, CopyMode, MultipartUpload, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    UpdateVersion,
};

use super::error::{committed, refusal, translate};
use super::provider::ObjectStoreProvider;
use super::read::quoted;
use crate::intake::Intake;
use crate::notes;
use crate::store::to_native;

/// The greatest number of parts that the big stores take.
const PARTS_MAX: u64 = 10_000;

impl ObjectStoreProvider {
    pub(super) async fn write(
        &self,
        key: &StorageKey,
        content: &Content,
        options: &UploadOptions,
    ) -> Result<ObjectMetadata> {
        let path = self.path(key)?;
        let is_conditional = options.precondition != Precondition::None;
        let length = content.length().or(options.length);
        if let Some(length) = length.filter(|length| is_conditional && *length > self.conditional_bytes_max) {
            return Err(too_large_for_a_condition(length, self.conditional_bytes_max));
        }
        let part_bytes = self
            .part_bytes
            .max(length.map_or(0, |length| length.div_ceil(PARTS_MAX)));
        let mut intake = Intake::open(content, options, None).await?;
        let whole_max = if is_conditional {
            self.conditional_bytes_max
        } else {
            part_bytes
        };
        let mut gathered = Gathered::default();
        let is_whole = gathered.fill(&mut intake, whole_max).await?;
        let attributes = self.attributes(options);
        let result = if is_whole {
            let put = PutOptions {
                mode: put_mode(&options.precondition),
                attributes,
                ..PutOptions::default()
            };
            let bytes = gathered.take(usize::MAX);
            let stored = self
                .store
                .put_opts(&path, PutPayload::from_bytes(bytes), put)
                .await;
            stored.map_err(|error| committed(error, &options.precondition))?
        } else if is_conditional {
            return Err(too_large_for_a_condition(
                intake.seen(),
                self.conditional_bytes_max,
            ));
        } else {
            self.write_parts(&path, &mut intake, gathered, part_bytes, attributes)
                .await?
        };
        Ok(self.answer(key, intake.seen(), &result, options))
    }

    async fn write_parts(
        &self,
        path: &Path,
        intake: &mut Intake,
        gathered: Gathered,
        part_bytes: u64,
        attributes: Attributes,
    ) -> Result<PutResult> {
        let put = PutMultipartOptions {
            attributes,
            ..PutMultipartOptions::default()
        };
        let begun = self.store.put_multipart_opts(path, put).await;
        let mut upload = begun.map_err(translate)?;
        match send_parts(&mut *upload, intake, gathered, part_bytes).await {
            Ok(result) => Ok(result),
            Err(error) => {
                // The first error is the one that counts.
                let _ = upload.abort().await;
                Err(error)
            }
        }
    }

    fn attributes(&self, options: &UploadOptions) -> Attributes {
        let digest = options.digest.filter(|_| self.keeps_notes());
        let fields = notes::encode(&options.attributes.user_metadata, digest, options.write_id);
        to_native(&options.attributes, fields)
    }

    /// What was written, by what was sent and answered: looking now could show another writer's object.
    fn answer(
        &self,
        key: &StorageKey,
        size_bytes: u64,
        result: &PutResult,
        options: &UploadOptions,
    ) -> ObjectMetadata {
        let mut metadata = ObjectMetadata::new(key.clone(), size_bytes);
        metadata.attributes = options.attributes.clone();
        metadata.etag = result.e_tag.as_deref().map(boards_storage_core::ETag::new);
        metadata.version.clone_from(&result.version);
        if self.keeps_notes() {
            metadata.digest = options.digest;
            metadata.write_id = options.write_id;
        }
        metadata
    }

    pub(super) async fn copy_object(
        &self,
        from: &StorageKey,
        to: &StorageKey,
        options: &CopyOptions,
    ) -> Result<ObjectMetadata> {
        if options.source_if_match.is_some() {
            return Err(Error::unsupported(
                "object_store decides no condition of a copy's source",
            ));
        }
        let mode = match options.precondition {
            Precondition::IfAbsent => CopyMode::Create,
            _ => CopyMode::Overwrite,
        };
        let native = object_store::CopyOptions::new().with_mode(mode);
        let copied = self
            .store
            .copy_opts(&self.path(from)?, &self.path(to)?, native)
            .await;
        copied.map_err(|error| refusal(error, &options.precondition))?;
        self.head(to).await
    }
}

/// Bytes that wait until they are a whole part.
#[derive(Default)]
struct Gathered {
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl Gathered {
    /// Takes pieces in until there are more than `most` bytes; says whether that was all.
    async fn fill(&mut self, intake: &mut Intake, most: u64) -> Result<bool> {
        while self.bytes as u64 <= most {
            match intake.next().await? {
                Some(piece) => {
                    self.bytes += piece.len();
                    self.pieces.push(piece);
                }
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Takes so many bytes out, or all; the stores want parts of exactly one size.
    fn take(&mut self, most: usize) -> Bytes {
        if let [only] = &mut *self.pieces {
            let taken = only.split_to(most.min(only.len()));
            self.bytes -= taken.len();
            self.pieces.retain(|piece| !piece.is_empty());
            return taken;
        }
        let mut taken = BytesMut::with_capacity(most.min(self.bytes));
        let mut pieces = std::mem::take(&mut self.pieces).into_iter();
        for mut piece in pieces.by_ref() {
            let part = piece.split_to(piece.len().min(most - taken.len()));
            taken.extend_from_slice(&part);
            if !piece.is_empty() {
                self.pieces.push(piece);
                break;
            }
        }
        self.pieces.extend(pieces);
        self.bytes -= taken.len();
        taken.freeze()
    }
}

async fn send_parts(
    upload: &mut dyn MultipartUpload,
    intake: &mut Intake,
    mut gathered: Gathered,
    part_bytes: u64,
) -> Result<PutResult> {
    let size = usize::try_from(part_bytes).unwrap_or(usize::MAX);
    loop {
        let is_last = gathered.fill(intake, part_bytes).await?;
        while gathered.bytes > size || (is_last && gathered.bytes > 0) {
            let part = PutPayload::from_bytes(gathered.take(size));
            upload.put_part(part).await.map_err(translate)?;
        }
        if is_last {
            return upload.complete().await.map_err(translate);
        }
    }
}

fn put_mode(precondition: &Precondition) -> PutMode {
    match precondition {
        Precondition::IfAbsent => PutMode::Create,
        Precondition::IfMatch(tag) => PutMode::Update(UpdateVersion {
            e_tag: Some(quoted(tag)),
            version: None,
        }),
        _ => PutMode::Overwrite,
    }
}

fn too_large_for_a_condition(has: u64, most: u64) -> Error {
    let message =
        format!("a conditional upload takes at most {most} bytes here, the content has {has} or more");
    Error::new(ErrorKind::Unsupported, message).with_help(
        "object_store puts conditions only on whole objects: raise the limit (with_conditional_max)",
    )
}
