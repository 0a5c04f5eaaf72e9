//! Looking and reading: the store answers metadata and bytes of one state together.

use boards_storage_core::{
    ByteRange, Capability, Download, DownloadOptions, DownloadOutcome, ETag, Error, ErrorKind, NotModified,
    ObjectMetadata, Result, StorageKey,
};
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use object_store::{Attributes, GetOptions, GetRange, ObjectMeta};

use super::error::translate;
use super::provider::ObjectStoreProvider;
use crate::store::from_native;
use crate::{notes, outflow};

impl ObjectStoreProvider {
    pub(super) async fn read(&self, key: &StorageKey, options: &DownloadOptions) -> Result<DownloadOutcome> {
        let path = self.path(key)?;
        let native = GetOptions {
            range: options.range.map(get_range),
            if_match: options.if_match.as_ref().map(quoted),
            if_none_match: options.if_none_match.as_ref().map(quoted),
            // It counts only without a tag, and in whole seconds.
            if_modified_since: options
                .if_modified_since
                .filter(|_| options.if_none_match.is_none())
                .and_then(|since| DateTime::<Utc>::from_timestamp(since.as_second(), 999_999_999)),
            version: options.version.clone(),
            ..GetOptions::default()
        };
        let is_partial = native.range.is_some();
        let answer = match self.store.get_opts(&path, native).await {
            Ok(answer) => answer,
            Err(object_store::Error::NotModified { .. }) => {
                return Ok(DownloadOutcome::NotModified(self.unmodified(key, options).await?));
            }
            // Only a range can be wrong about an object that is there.
            Err(error) if is_partial && !is_named(&error) => {
                let found = self.head(key).await?;
                if let Some(range) = options.range {
                    range.resolve(found.size_bytes)?;
                }
                return Err(translate(error));
            }
            Err(error) => return Err(unread(error)),
        };
        let metadata = self.describe(key.clone(), &answer.meta, &answer.attributes)?;
        let range = match options.range {
            Some(range) => range.resolve(metadata.size_bytes)?,
            None => 0..metadata.size_bytes,
        };
        if range != answer.range {
            return Err(Error::new(
                ErrorKind::Storage,
                format!("the store sent the bytes {:?} instead of {range:?}", answer.range),
            ));
        }
        let body = outflow::exactly(range.end - range.start, answer.into_stream().map_err(translate));
        Ok(DownloadOutcome::Object(Download::from_stream(
            metadata, range, body,
        )))
    }

    /// Asks for the state of an object.
    pub(super) async fn head(&self, key: &StorageKey) -> Result<ObjectMetadata> {
        let options = GetOptions {
            head: true,
            ..GetOptions::default()
        };
        let answer = self
            .store
            .get_opts(&self.path(key)?, options)
            .await
            .map_err(unread)?;
        self.describe(key.clone(), &answer.meta, &answer.attributes)
    }

    /// The state that the caller has. With a tag it is that tag's, also if another one has come meanwhile.
    async fn unmodified(&self, key: &StorageKey, options: &DownloadOptions) -> Result<NotModified> {
        let found = self.head(key).await?;
        Ok(match &options.if_none_match {
            Some(tag) if found.etag.as_ref() != Some(tag) => NotModified::new(Some(tag.clone()), None),
            _ => NotModified::new(found.etag, found.modified),
        })
    }

    pub(super) fn describe(
        &self,
        key: StorageKey,
        found: &ObjectMeta,
        attributes: &Attributes,
    ) -> Result<ObjectMetadata> {
        let mut metadata = listed(key, found);
        if self.capabilities.has(Capability::UserMetadata) {
            let mut pairs = Vec::new();
            // What this library has no word for, such as a storage class, is not the writer's.
            let known: Attributes = attributes
                .iter()
                .filter(|(name, _)| !matches!(name, object_store::Attribute::StorageClass))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            let ours = from_native(&known, |name, value| {
                pairs.push((name.to_owned(), value.to_owned()))
            })?;
            metadata.attributes = ours;
            for (name, value) in pairs {
                notes::decode(&mut metadata, &name, &value);
            }
            if self.is_s3 {
                notes::drop_default_type(&mut metadata);
            }
        }
        Ok(metadata)
    }
}

/// What a listing tells of an object.
pub(super) fn listed(key: StorageKey, found: &ObjectMeta) -> ObjectMetadata {
    let mut metadata = ObjectMetadata::new(key, found.size);
    metadata.etag = found.e_tag.as_deref().map(ETag::new);
    metadata.version.clone_from(&found.version);
    let seconds = found.last_modified.timestamp();
    let nanoseconds = i32::try_from(found.last_modified.timestamp_subsec_nanos()).unwrap_or_default();
    metadata.modified = jiff::Timestamp::new(seconds, nanoseconds).ok();
    metadata
}

/// `object_store` takes tags as they stand in headers.
pub(super) fn quoted(tag: &ETag) -> String {
    format!("\"{tag}\"")
}

fn get_range(range: ByteRange) -> GetRange {
    match range {
        ByteRange::Bounded { start, end } => GetRange::Bounded(start..end),
        ByteRange::From(start) => GetRange::Offset(start),
        ByteRange::Suffix(count) => GetRange::Suffix(count),
    }
}

/// Translates an error of a read. A key below an object, in a file system, is simply not there.
fn unread(error: object_store::Error) -> Error {
    let translated = translate(error);
    match translated.kind() {
        ErrorKind::InvalidInput => Error::not_found("there is no object at the key").with_source(translated),
        _ => translated,
    }
}

/// Whether the error says by itself what it is.
fn is_named(error: &object_store::Error) -> bool {
    use object_store::Error as Native;
    matches!(
        error,
        Native::NotFound { .. }
            | Native::Precondition { .. }
            | Native::PermissionDenied { .. }
            | Native::Unauthenticated { .. }
            | Native::NotSupported { .. }
            | Native::NotImplemented { .. }
    )
}
