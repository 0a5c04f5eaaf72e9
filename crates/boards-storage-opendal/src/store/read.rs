//! Reading through `object_store`: ranges, conditions, the head alone.

use boards_storage_core::{
    ByteRange, CallOptions, Capability, DownloadOptions, DownloadOutcome, ETag, ErrorKind, ObjectMetadata,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Attributes, GetOptions, GetRange, GetResult, GetResultPayload, ObjectMeta, Result};

use super::error::translate;
use super::{ProviderStore, key_of, object_meta, to_native};

impl ProviderStore {
    /// Reads one state of an object, and decides all conditions by the metadata of that state.
    pub(super) async fn read(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let failed = |error| translate(error, location.as_ref());
        let key = key_of(location)?;
        if options.head && options.version.is_none() {
            let metadata = self.provider.metadata(&key, &CallOptions::default()).await;
            return head(&metadata.map_err(failed)?, &options).map_err(failed_range(location));
        }
        let mut ours = DownloadOptions::default();
        ours.range = options.range.as_ref().map(byte_range);
        ours.version.clone_from(&options.version);
        if self.has(Capability::ConditionalDownload) {
            // A single tag saves the bytes; lists of tags are compared below.
            ours.if_match = options.if_match.as_deref().and_then(single_tag);
        }
        let outcome = match self.provider.download(&key, &ours).await {
            Err(error) if is_beyond(&error) && has_conditions(&options) => {
                // The conditions come before the range.
                let metadata = self.provider.metadata(&key, &CallOptions::default()).await;
                let (meta, _) = described(&metadata.map_err(failed)?)?;
                options.check_preconditions(&meta)?;
                return Err(failed(error));
            }
            outcome => outcome.map_err(failed)?,
        };
        let download = match outcome {
            DownloadOutcome::Object(download) => download,
            DownloadOutcome::NotModified(_) => {
                return Err(object_store::Error::NotModified {
                    path: location.to_string(),
                    source: "the object was not modified".into(),
                });
            }
        };
        let (meta, attributes) = described(download.metadata())?;
        options.check_preconditions(&meta)?;
        let range = download.range();
        let path = location.to_string();
        let payload = if options.head {
            stream::empty().boxed()
        } else {
            let bytes = download.into_stream();
            bytes.map_err(move |error| translate(error, &path)).boxed()
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(payload),
            meta,
            range,
            attributes,
            extensions: object_store::Extensions::default(),
        })
    }
}

fn head(metadata: &ObjectMetadata, options: &GetOptions) -> std::result::Result<GetResult, HeadError> {
    let (meta, attributes) = described(metadata).map_err(HeadError::Store)?;
    options.check_preconditions(&meta).map_err(HeadError::Store)?;
    let range = match &options.range {
        Some(range) => byte_range(range).resolve(meta.size).map_err(HeadError::Ours)?,
        None => 0..meta.size,
    };
    Ok(GetResult {
        payload: GetResultPayload::Stream(stream::empty().boxed()),
        meta,
        range,
        attributes,
        extensions: object_store::Extensions::default(),
    })
}

enum HeadError {
    Store(object_store::Error),
    Ours(boards_storage_core::Error),
}

fn failed_range(location: &Path) -> impl FnOnce(HeadError) -> object_store::Error {
    let path = location.to_string();
    move |error| match error {
        HeadError::Store(error) => error,
        HeadError::Ours(error) => translate(error, &path),
    }
}

fn described(metadata: &ObjectMetadata) -> Result<(ObjectMeta, Attributes)> {
    let fields = metadata.attributes.user_metadata.clone();
    Ok((object_meta(metadata)?, to_native(&metadata.attributes, fields)))
}

fn byte_range(range: &GetRange) -> ByteRange {
    match range {
        GetRange::Bounded(range) => ByteRange::from(range.clone()),
        GetRange::Offset(start) => ByteRange::From(*start),
        GetRange::Suffix(count) => ByteRange::Suffix(*count),
    }
}

fn has_conditions(options: &GetOptions) -> bool {
    options.if_match.is_some()
        || options.if_none_match.is_some()
        || options.if_modified_since.is_some()
        || options.if_unmodified_since.is_some()
}

fn is_beyond(error: &boards_storage_core::Error) -> bool {
    error.kind() == ErrorKind::InvalidInput && error.status() == Some(416)
}

fn single_tag(text: &str) -> Option<ETag> {
    let is_single = text != "*" && !text.contains(',');
    is_single.then(|| ETag::new(text.trim()))
}
