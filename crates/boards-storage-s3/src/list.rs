//! Listings: page by page, objects and common prefixes merged into one order.

use std::collections::VecDeque;
use std::sync::Arc;

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::EncodingType;
use boards_storage_core::{ListEntry, ListOptions, ListStream, ObjectMetadata, Result, StorageKey};
use futures_util::stream;

use crate::encoding::decode_listed;
use crate::error::Asked;
use crate::store::{Store, etag, incomplete, timestamp};

/// The greatest number of entries in a page, as S3 has it.
const PAGE_ENTRIES_MAX: usize = 1_000;

pub(crate) fn list(store: Arc<Store>, options: &ListOptions) -> Result<ListStream> {
    store.capabilities.check_list(options)?;
    let listing = Listing {
        store,
        options: options.clone(),
        left: options.limit.unwrap_or(usize::MAX),
        entries: VecDeque::new(),
        next: Next::First,
    };
    Ok(Box::pin(stream::try_unfold(listing, |mut listing| async move {
        let entry = listing.next().await?;
        Ok(entry.map(|entry| (entry, listing)))
    })))
}

/// A listing on its way.
struct Listing {
    store: Arc<Store>,
    options: ListOptions,
    left: usize,
    /// What is left of the page.
    entries: VecDeque<ListEntry>,
    next: Next,
}

/// Which page comes next.
enum Next {
    First,
    After(String),
    None,
}

impl Listing {
    async fn next(&mut self) -> Result<Option<ListEntry>> {
        if self.left == 0 {
            return Ok(None);
        }
        loop {
            if let Some(entry) = self.entries.pop_front() {
                self.left -= 1;
                return Ok(Some(entry));
            }
            let token = match std::mem::replace(&mut self.next, Next::None) {
                Next::First => None,
                Next::After(token) => Some(token),
                Next::None => return Ok(None),
            };
            self.read_page(token).await?;
        }
    }

    async fn read_page(&mut self, token: Option<String>) -> Result<()> {
        let prefix = &self.store.settings.prefix;
        let start_after = self.options.start_after.as_ref();
        let page = self.left.min(PAGE_ENTRIES_MAX);
        let request = self
            .store
            .client
            .list_objects_v2()
            .bucket(self.store.bucket())
            .prefix(format!("{prefix}{}", self.options.prefix))
            .set_delimiter(self.options.delimiter.clone())
            .set_start_after(start_after.map(|after| format!("{prefix}{after}")))
            .encoding_type(EncodingType::Url)
            .max_keys(i32::try_from(page).unwrap_or(i32::MAX))
            .set_continuation_token(token);
        let answer = request.send().await.map_err(|error| Asked::Read.failed(error))?;
        if answer.is_truncated() == Some(true) {
            let token = answer.next_continuation_token();
            let token = token.ok_or_else(|| incomplete("continuation token"))?;
            self.next = Next::After(token.to_owned());
        }
        self.entries = self.entries_of(&answer)?;
        Ok(())
    }

    /// Merges the objects and the prefixes of a page. What is no valid key was not written by this project.
    fn entries_of(&self, answer: &ListObjectsV2Output) -> Result<VecDeque<ListEntry>> {
        let is_encoded = answer.encoding_type() == Some(&EncodingType::Url);
        let own_name = |name: &str| {
            let name = if is_encoded {
                decode_listed(name)?
            } else {
                name.to_owned()
            };
            Some(name.strip_prefix(&self.store.settings.prefix)?.to_owned())
        };
        let mut entries = Vec::new();
        for object in answer.contents() {
            let name = object.key().ok_or_else(|| incomplete("key"))?;
            let Some(key) = own_name(name).and_then(|name| StorageKey::parse(name).ok()) else {
                continue;
            };
            let size = object.size().and_then(|size| u64::try_from(size).ok());
            let mut metadata = ObjectMetadata::new(key, size.ok_or_else(|| incomplete("size"))?);
            metadata.etag = etag(object.e_tag());
            metadata.modified = object.last_modified().and_then(timestamp);
            entries.push(ListEntry::Object(Box::new(metadata)));
        }
        for prefix in answer.common_prefixes() {
            let name = prefix.prefix().ok_or_else(|| incomplete("prefix"))?;
            entries.extend(own_name(name).map(ListEntry::Prefix));
        }
        // A prefix that begins before this text is answered for the keys below it that come after.
        if let Some(after) = &self.options.start_after {
            entries.retain(|entry| entry.name() > after.as_str());
        }
        entries.sort_by(|left, right| left.name().cmp(right.name()));
        Ok(entries.into())
    }
}
