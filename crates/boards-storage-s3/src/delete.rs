//! Deletes: one key, or up to 1,000 in one request. S3 does not say whether there was an object.

use std::collections::HashMap;

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use boards_storage_core::{DeleteOptions, DeleteOutcome, DeletedKey, Error, ErrorKind, Result, StorageKey};

use crate::error::Asked;
use crate::store::{Store, incomplete};

/// The greatest number of keys in one request, as S3 has it.
pub(crate) const DELETE_MANY_MAX: usize = 1_000;

pub(crate) async fn delete(
    store: &Store,
    key: &StorageKey,
    options: &DeleteOptions,
) -> Result<DeleteOutcome> {
    store.capabilities.check_delete(key, options)?;
    let request = store
        .client
        .delete_object()
        .bucket(store.bucket())
        .key(store.full(key));
    match request.send().await {
        Ok(_) => Ok(DeleteOutcome::Unknown),
        Err(error) => match Asked::Write.failed(error) {
            error if error.kind() == ErrorKind::NotFound => Ok(DeleteOutcome::Unknown),
            error => Err(error),
        },
    }
}

pub(crate) async fn delete_many(
    store: &Store,
    keys: &[StorageKey],
    options: &DeleteOptions,
) -> Result<Vec<DeletedKey>> {
    store.capabilities.check_delete_many(keys, options)?;
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let objects: std::result::Result<Vec<_>, _> = keys
        .iter()
        .map(|key| ObjectIdentifier::builder().key(store.full(key)).build())
        .collect();
    let delete = objects.and_then(|objects| Delete::builder().set_objects(Some(objects)).build());
    let delete = delete.map_err(|source| {
        Error::new(ErrorKind::Storage, "the request could not be made").with_source(source)
    })?;
    let request = store
        .client
        .delete_objects()
        .bucket(store.bucket())
        .delete(delete);
    let answer = request.send().await.map_err(|error| Asked::Write.failed(error))?;
    let deleted = answer.deleted().iter().map(|deleted| (deleted.key(), None));
    let refused = answer
        .errors()
        .iter()
        .map(|refused| (refused.key(), Some(refused)));
    let answers: HashMap<_, _> = deleted.chain(refused).collect();
    Ok(keys
        .iter()
        .map(|key| DeletedKey {
            key: key.clone(),
            outcome: match answers.get(&Some(store.full(key).as_str())) {
                Some(None) => Ok(DeleteOutcome::Unknown),
                Some(Some(refused)) => refusal(refused),
                None => Err(incomplete("outcome of this key")),
            },
        })
        .collect())
}

fn refusal(refused: &aws_sdk_s3::types::Error) -> Result<DeleteOutcome> {
    let code = refused.code().unwrap_or_default();
    match Asked::Write.refused_key(code, refused.message().unwrap_or_default()) {
        error if error.kind() == ErrorKind::NotFound => Ok(DeleteOutcome::Unknown),
        error => Err(error),
    }
}
