//! Whole puts and copies through `object_store`.

use boards_storage_core::{
    CallOptions, Capability, Content, CopyOptions, DownloadOptions, ETag, ErrorKind, ObjectAttributes,
    ObjectMetadata, OperationKind, Precondition, PreconditionKind, UploadOptions, Uploader,
};
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{CopyMode, PutMode, PutOptions, PutPayload, PutResult, Result, UpdateVersion};

use super::error::{translate, unsupported};
use super::{ProviderStore, from_native, key_of};

impl ProviderStore {
    pub(super) async fn put_whole(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if !options.tags.is_empty() {
            return Err(unsupported("tags of objects cannot be kept"));
        }
        let key = key_of(location)?;
        let ours = UploadOptions::default()
            .with_attributes(attributes(location, &options.attributes)?)
            .with_precondition(precondition(options.mode)?);
        let stored = self.provider.upload(&key, content(payload), &ours).await;
        let stored = stored.map_err(|error| translate(error, location.as_ref()))?;
        Ok(put_result(&stored))
    }

    pub(super) async fn copy_object(&self, from: &Path, to: &Path, mode: CopyMode) -> Result<()> {
        let (source, target) = (key_of(from)?, key_of(to)?);
        let (precondition, kind) = match mode {
            CopyMode::Overwrite => (Precondition::None, None),
            CopyMode::Create => (Precondition::IfAbsent, Some(PreconditionKind::IfAbsent)),
        };
        if source == target {
            let present = self.provider.metadata(&source, &CallOptions::default()).await;
            present.map_err(|error| translate(error, from.as_ref()))?;
            return match kind {
                None => Ok(()),
                Some(_) => Err(object_store::Error::AlreadyExists {
                    path: to.to_string(),
                    source: "an object cannot be copied onto itself if it must be absent".into(),
                }),
            };
        }
        let capabilities = self.provider.capabilities();
        let decides = kind.is_none_or(|kind| capabilities.has_precondition(OperationKind::Copy, kind));
        if capabilities.has(Capability::Copy) && decides {
            let options = CopyOptions::default().with_precondition(precondition);
            let copied = self.provider.copy(&source, &target, &options).await;
            return copied.map(drop).map_err(|error| match error.kind() {
                ErrorKind::NotFound => translate(error, from.as_ref()),
                _ => translate(error, to.as_ref()),
            });
        }
        let read = self.provider.download(&source, &DownloadOptions::default()).await;
        let read = read.and_then(boards_storage_core::DownloadOutcome::into_object);
        let read = read.map_err(|error| translate(error, from.as_ref()))?;
        let metadata = std::sync::Arc::clone(read.metadata());
        let content = Content::from_stream(Some(metadata.size_bytes), read.into_stream());
        let options = UploadOptions::default()
            .with_attributes(metadata.attributes.clone())
            .with_precondition(precondition);
        let uploader = Uploader::new(std::sync::Arc::clone(&self.provider));
        let written = uploader.upload(&target, content, &options).await;
        written.map(drop).map_err(|error| translate(error, to.as_ref()))
    }
}

pub(super) fn attributes(location: &Path, native: &object_store::Attributes) -> Result<ObjectAttributes> {
    let mut fields = Vec::new();
    let ours = from_native(native, |name, value| {
        fields.push((name.to_owned(), value.to_owned()))
    });
    let mut ours = ours.map_err(|error| translate(error, location.as_ref()))?;
    ours.user_metadata.extend(fields);
    Ok(ours)
}

fn precondition(mode: PutMode) -> Result<Precondition> {
    match mode {
        PutMode::Overwrite => Ok(Precondition::None),
        PutMode::Create => Ok(Precondition::IfAbsent),
        PutMode::Update(UpdateVersion { e_tag: Some(tag), .. }) => Ok(Precondition::IfMatch(ETag::new(tag))),
        PutMode::Update(_) => Err(unsupported(
            "an update needs the entity tag of the state that it replaces",
        )),
    }
}

/// The pieces of a payload, which can be sent again.
pub(super) fn content(payload: PutPayload) -> Content {
    let length = payload.content_length() as u64;
    let mut pieces = payload.iter();
    match (pieces.next(), pieces.next()) {
        (None, _) => Content::from_bytes(bytes::Bytes::new()),
        (Some(only), None) => Content::from_bytes(only.clone()),
        (Some(_), Some(_)) => Content::from_factory(Some(length), move || {
            let pieces = payload.clone().into_iter().map(Ok);
            let stream = futures_util::stream::iter(pieces).boxed();
            Box::pin(std::future::ready(Ok(stream)))
        }),
    }
}

pub(super) fn put_result(stored: &ObjectMetadata) -> PutResult {
    PutResult {
        e_tag: stored.etag.as_ref().map(|tag| format!("\"{tag}\"")),
        version: stored.version.clone(),
        extensions: object_store::Extensions::default(),
    }
}
