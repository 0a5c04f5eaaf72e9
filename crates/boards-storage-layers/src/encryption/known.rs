//! Headers that were read a moment ago, so that the ranges of one download fetch them once.
//!
//! Nothing in them is secret: without the tenant's key, which is asked for each time, they open nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use boards_storage_core::{ETag, StorageKey};

use super::open::Headers;

/// For how many states of objects headers are kept.
const KNOWN_MAX: usize = 1024;

/// The headers of states of objects, by key and entity tag.
#[derive(Default)]
pub(super) struct KnownHeaders {
    known: Mutex<HashMap<(StorageKey, ETag), (Headers, u64)>>,
}

impl KnownHeaders {
    /// Returns the headers and the stored size of a state.
    pub(super) fn find(&self, key: &StorageKey, etag: &ETag) -> Option<(Headers, u64)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(key.clone(), etag.clone())).cloned()
    }

    /// Notes the headers of a state.
    pub(super) fn note(&self, key: &StorageKey, etag: Option<&ETag>, headers: &Headers, stored: u64) {
        let Some(etag) = etag else { return };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert((key.clone(), etag.clone()), (headers.clone(), stored));
    }
}
