//! Deletes: one key, or up to 1,000 in one request. S3 does not say whether there was an object.

use std::collections::{HashMap, HashSet};

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use boards_storage_core::{DeleteOptions, DeleteOutcome, DeletedKey, Error, ErrorKind, Result, StorageKey};

use crate::encoding::fits_in_xml;
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
    // The answer is XML, which cannot say every key.
    let (together, alone): (Vec<_>, Vec<_>) = keys.iter().partition(|key| fits_in_xml(key.as_str()));
    let mut outcomes: HashMap<&StorageKey, Result<DeleteOutcome>> = HashMap::with_capacity(keys.len());
    if !together.is_empty() {
        outcomes.extend(delete_together(store, &together).await?);
    }
    for key in alone {
        outcomes.insert(key, delete(store, key, options).await);
    }
    let mut failed: HashSet<&StorageKey> = HashSet::new();
    Ok(keys
        .iter()
        .map(|key| {
            let outcome = match outcomes.remove(key) {
                Some(outcome) => outcome,
                // A key that is named twice has its outcome once.
                None if failed.contains(key) => Err(named_twice()),
                None => Ok(DeleteOutcome::Unknown),
            };
            if outcome.is_err() {
                failed.insert(key);
            }
            DeletedKey {
                key: key.clone(),
                outcome,
            }
        })
        .collect())
}

fn named_twice() -> Error {
    Error::new(
        ErrorKind::Storage,
        "the key is named twice, and was not deleted the first time",
    )
}

async fn delete_together<'a>(
    store: &Store,
    keys: &[&'a StorageKey],
) -> Result<Vec<(&'a StorageKey, Result<DeleteOutcome>)>> {
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
        .map(|key| {
            let outcome = match answers.get(&Some(store.full(key).as_str())) {
                Some(None) => Ok(DeleteOutcome::Unknown),
                Some(Some(refused)) => refusal(refused),
                None => Err(incomplete("outcome of this key")),
            };
            (*key, outcome)
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
