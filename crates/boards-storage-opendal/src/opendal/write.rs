//! Writing: as a stream where the service takes pieces, in one piece where it does not.

use boards_storage_core::{
    Content, Error, ErrorKind, ObjectMetadata, OperationKind, Precondition, Result, StorageKey, UploadOptions,
};
use opendal::options::WriteOptions;
use opendal::{Buffer, ErrorKind as Native, Metadata, Writer};

use super::error::{is_in_doubt, translate};
use super::provider::OpendalProvider;
use super::read::describe;
use crate::intake::Intake;
use crate::notes;

/// The greatest number of pieces that the big object stores take.
const PARTS_MAX: u64 = 10_000;

impl OpendalProvider {
    pub(super) async fn write(
        &self,
        key: &StorageKey,
        content: &Content,
        options: &UploadOptions,
    ) -> Result<ObjectMetadata> {
        let length = content.length().or(options.length);
        let size_max = self.capabilities.object_size_bytes_max;
        let mut intake = Intake::open(content, options, size_max).await?;
        let path = self.path(key);
        let write_options = self.write_options(length, options);
        let answered = if self.native.write_can_multi {
            let writer = self.operator.writer_options(&path, write_options).await;
            let mut writer = writer.map_err(|error| refusal(error, &options.precondition))?;
            match send(&mut writer, &mut intake, &options.precondition).await {
                Ok(answered) => answered,
                Err(error) => {
                    // The first error is the one that counts.
                    let _ = writer.abort().await;
                    return Err(error);
                }
            }
        } else {
            let buffer = gather(&mut intake).await?;
            let written = self.operator.write_options(&path, buffer, write_options).await;
            written.map_err(|error| committed(error, &options.precondition))?
        };
        Ok(self.answer(key, &intake, &answered, options))
    }

    fn write_options(&self, length: Option<u64>, options: &UploadOptions) -> WriteOptions {
        let attributes = &options.attributes;
        let fields = notes::encode(
            &attributes.user_metadata,
            options.digest.filter(|_| self.keeps_notes()),
            options.write_id,
        );
        let part = length.map_or(0, |length| length.div_ceil(PARTS_MAX));
        let chunk = usize::try_from(self.part_bytes.max(part)).unwrap_or(usize::MAX);
        WriteOptions {
            content_type: attributes.content_type.as_ref().map(ToString::to_string),
            content_disposition: attributes.content_disposition.clone(),
            content_encoding: attributes.content_encoding.clone(),
            cache_control: attributes.cache_control.clone(),
            user_metadata: (!fields.is_empty()).then(|| fields.into_iter().collect()),
            if_not_exists: options.precondition == Precondition::IfAbsent,
            if_match: match &options.precondition {
                Precondition::IfMatch(tag) => Some(quoted(tag)),
                _ => None,
            },
            chunk: self.native.write_can_multi.then_some(chunk),
            ..WriteOptions::default()
        }
    }

    /// What was written, by what was sent and answered: looking now could show another writer's object.
    fn answer(
        &self,
        key: &StorageKey,
        intake: &Intake,
        answered: &Metadata,
        options: &UploadOptions,
    ) -> ObjectMetadata {
        let known = describe(key.clone(), answered, false);
        let mut metadata = ObjectMetadata::new(key.clone(), intake.seen());
        metadata.attributes = options.attributes.clone();
        metadata.etag = known.etag;
        metadata.version = known.version;
        metadata.modified = known.modified;
        if self.keeps_notes() {
            metadata.digest = options.digest;
            metadata.write_id = options.write_id;
        }
        metadata
    }
}

async fn send(writer: &mut Writer, intake: &mut Intake, precondition: &Precondition) -> Result<Metadata> {
    while let Some(piece) = intake.next().await? {
        let written = writer.write(piece).await;
        written.map_err(|error| refusal(error, precondition))?;
    }
    let closed = writer.close().await;
    closed.map_err(|error| committed(error, precondition))
}

/// Reads everything, within the greatest size. A buffer takes the pieces as they are.
async fn gather(intake: &mut Intake) -> Result<Buffer> {
    let mut pieces = Vec::new();
    while let Some(piece) = intake.next().await? {
        pieces.push(piece);
    }
    Ok(Buffer::from(pieces))
}

/// Quotes a tag, as headers want it.
pub(super) fn quoted(tag: &boards_storage_core::ETag) -> String {
    format!("\"{tag}\"")
}

/// Translates an error of a write that did not commit.
pub(super) fn refusal(error: opendal::Error, precondition: &Precondition) -> Error {
    let native = error.kind();
    let translated = translate(error);
    match native {
        Native::ConditionNotMatch | Native::AlreadyExists if *precondition == Precondition::IfAbsent => {
            Error::new(ErrorKind::AlreadyExists, "there is an object at the key").with_source(translated)
        }
        Native::IsADirectory | Native::NotADirectory => {
            Error::invalid_input("the key stands where other keys have a folder, or below an object")
                .with_source(translated)
        }
        _ => translated,
    }
}

/// Translates an error of the commit itself: a conditional write that may have taken effect must not be repeated
/// blindly.
fn committed(error: opendal::Error, precondition: &Precondition) -> Error {
    let is_conditional = *precondition != Precondition::None;
    let in_doubt = is_conditional && is_in_doubt(&error);
    let refused = refusal(error, precondition);
    let is_store_failure = matches!(
        refused.kind(),
        ErrorKind::Storage | ErrorKind::ProviderUnavailable | ErrorKind::Timeout
    );
    if in_doubt && is_store_failure {
        return Error::new(
            ErrorKind::OutcomeUnknown,
            "the conditional write failed on its way and may have taken effect",
        )
        .with_operation(OperationKind::Upload)
        .with_source(refused);
    }
    refused
}
