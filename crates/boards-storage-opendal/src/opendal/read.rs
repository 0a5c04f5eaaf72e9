//! Looking and reading: bytes and metadata of one state of the object.
//!
//! OpenDAL asks for metadata and bytes in two calls. Where the service has entity tags, the second call demands the
//! tag of the first. Elsewhere the metadata are asked for again when the bytes have begun to flow: if they are the same
//! as before, the bytes are theirs.

use boards_storage_core::{
    Capability, Download, DownloadOptions, DownloadOutcome, ETag, Error, ErrorKind, NotModified,
    ObjectAttributes, ObjectMetadata, Result, StorageKey,
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use opendal::options::ReaderOptions;
use opendal::{ErrorKind as Native, Metadata};

use super::error::translate;
use super::provider::OpendalProvider;
use crate::{notes, outflow};

/// How often an object may change between the two calls before a read gives up.
const ATTEMPTS: usize = 64;

/// A read that met another state than the one that was looked at.
enum Look {
    Read(DownloadOutcome),
    Again,
}

impl OpendalProvider {
    /// Asks for the state of an object. A folder is none.
    pub(super) async fn stat(&self, key: &StorageKey) -> Result<Metadata> {
        let found = match self.operator.stat(&self.path(key)).await {
            Ok(found) => found,
            // A key below an object.
            Err(error) if error.kind() == Native::NotADirectory => return Err(no_object()),
            Err(error) => match translate(error) {
                error if error.kind() == ErrorKind::InvalidInput => {
                    return Err(no_object().with_source(error));
                }
                error => return Err(error),
            },
        };
        if found.is_dir() {
            return Err(no_object());
        }
        Ok(found)
    }

    pub(super) fn describe(&self, key: &StorageKey, found: &Metadata) -> ObjectMetadata {
        let mut metadata = describe(
            key.clone(),
            found,
            self.capabilities.has(Capability::UserMetadata),
        );
        if self.operator.info().scheme() == "s3" {
            notes::drop_default_type(&mut metadata);
        }
        metadata
    }

    pub(super) async fn read(&self, key: &StorageKey, options: &DownloadOptions) -> Result<DownloadOutcome> {
        for _ in 0..ATTEMPTS {
            if let Look::Read(outcome) = self.try_read(key, options).await? {
                return Ok(outcome);
            }
        }
        Err(Error::new(
            ErrorKind::ProviderUnavailable,
            format!("the object changed {ATTEMPTS} times while it was to be read"),
        ))
    }

    async fn try_read(&self, key: &StorageKey, options: &DownloadOptions) -> Result<Look> {
        let found = self.stat(key).await?;
        let metadata = self.describe(key, &found);
        if let Some(unmodified) = decide(&metadata, options)? {
            return Ok(Look::Read(DownloadOutcome::NotModified(unmodified)));
        }
        let size = metadata.size_bytes;
        let range = match options.range {
            Some(range) => range.resolve(size)?,
            None => 0..size,
        };
        if range.is_empty() {
            let empty = Download::from_bytes(metadata, range, Bytes::new());
            return Ok(Look::Read(DownloadOutcome::Object(empty)));
        }
        let tag = found.etag().filter(|_| self.native.read_with_if_match);
        let reader_options = ReaderOptions {
            if_match: tag.map(str::to_owned),
            ..ReaderOptions::default()
        };
        let begun = async {
            let reader = self
                .operator
                .reader_options(&self.path(key), reader_options)
                .await?;
            let mut bytes = Box::pin(reader.into_stream(range.clone()).await?);
            let first = bytes.try_next().await?;
            Ok::<_, opendal::Error>((first, bytes))
        };
        let (first, rest) = match begun.await {
            Ok(begun) => begun,
            Err(error) if has_changed(error.kind()) => return Ok(Look::Again),
            Err(error) => return Err(translate(error)),
        };
        if tag.is_none() {
            match self.stat(key).await {
                Ok(after) if after == found => {}
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(_) | Err(_) => return Ok(Look::Again),
            }
        }
        let pieces = stream::iter(first.map(Ok)).chain(rest);
        let pieces = pieces
            .map_ok(|buffer| stream::iter(Iterator::map(buffer, Ok)))
            .try_flatten()
            .map_err(translate);
        let body = outflow::exactly(range.end - range.start, pieces);
        let download = Download::from_stream(metadata, range, body);
        Ok(Look::Read(DownloadOutcome::Object(download)))
    }
}

fn has_changed(kind: Native) -> bool {
    matches!(
        kind,
        Native::ConditionNotMatch | Native::RangeNotSatisfied | Native::NotFound
    )
}

fn no_object() -> Error {
    Error::not_found("there is no object at this key")
}

/// Decides the caller's conditions. What is then read is of the same state.
fn decide(metadata: &ObjectMetadata, options: &DownloadOptions) -> Result<Option<NotModified>> {
    let is_tag = |tag: &ETag| metadata.etag.as_ref() == Some(tag);
    if options.if_match.as_ref().is_some_and(|tag| !is_tag(tag)) {
        return Err(Error::new(
            ErrorKind::PreconditionFailed,
            "the object has another entity tag",
        ));
    }
    let is_unmodified = match (&options.if_none_match, options.if_modified_since) {
        (Some(tag), _) => is_tag(tag),
        (None, Some(since)) => metadata
            .modified
            .is_some_and(|modified| modified.as_second() <= since.as_second()),
        (None, None) => false,
    };
    Ok(is_unmodified.then(|| NotModified::new(metadata.etag.clone(), metadata.modified)))
}

/// Says in our words what OpenDAL knows of an object.
pub(super) fn describe(key: StorageKey, found: &Metadata, has_fields: bool) -> ObjectMetadata {
    let mut metadata = ObjectMetadata::new(key, found.content_length());
    let text = |value: Option<&str>| value.filter(|value| !value.is_empty()).map(str::to_owned);
    metadata.attributes = ObjectAttributes::default();
    let attributes = &mut metadata.attributes;
    attributes.content_type = found.content_type().and_then(|value| value.parse().ok());
    attributes.content_disposition = text(found.content_disposition());
    attributes.content_encoding = text(found.content_encoding());
    attributes.cache_control = text(found.cache_control());
    metadata.etag = found.etag().map(ETag::new);
    metadata.version = text(found.version());
    metadata.modified = found.last_modified().and_then(|modified| {
        // OpenDAL's crate of times is another version than ours.
        jiff::Timestamp::from_nanosecond(modified.into_inner().as_nanosecond()).ok()
    });
    if has_fields && let Some(fields) = found.user_metadata() {
        for (name, value) in fields {
            notes::decode(&mut metadata, name, value);
        }
    }
    metadata
}
