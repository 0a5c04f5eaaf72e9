//! Listings: page by page, objects and common prefixes merged into one order.

use std::collections::VecDeque;

use boards_storage_core::{ListEntry, ListOptions, ListStream, RESERVED_SEGMENT, Result, StorageKey};
use futures_util::stream;
use reqwest::Method;
use serde::Deserialize;

use crate::client::{Client, Query, send_json};
use crate::error::Asked;
use crate::resource::{LISTED_FIELDS, Resource};
use crate::upload::no_bucket;

/// The greatest number of entries in a page, as the store has it.
const PAGE_ENTRIES_MAX: usize = 1_000;

/// A page of a listing, as the store answers it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Page {
    pub(crate) items: Vec<Resource>,
    prefixes: Vec<String>,
    next_page_token: Option<String>,
}

impl Page {
    /// Reads one page.
    pub(crate) async fn read(client: &Client, query: Query, token: Option<&str>) -> Result<Self> {
        let query = query.with("fields", LISTED_FIELDS).with_some("pageToken", token);
        let request = client.request(Method::GET, &client.objects_url(), &query).await?;
        send_json(request, Asked::Read).await.map_err(no_bucket)
    }

    /// Reads all pages of the names that begin so. Only for what is known to be little.
    pub(crate) async fn read_all(client: &Client, prefix: &str) -> Result<Vec<Resource>> {
        let (mut items, mut token) = (Vec::new(), None);
        loop {
            let page = Self::read(client, Query::default().with("prefix", prefix), token.as_deref()).await?;
            items.extend(page.items);
            token = page.next_page_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(items);
            }
        }
    }
}

pub(crate) fn list(client: &Client, options: &ListOptions) -> ListStream {
    let listing = Listing {
        client: client.clone(),
        options: options.clone(),
        left: options.limit.unwrap_or(usize::MAX),
        entries: VecDeque::new(),
        next: Next::First,
    };
    Box::pin(stream::try_unfold(listing, |mut listing| async move {
        let entry = listing.next().await?;
        Ok(entry.map(|entry| (entry, listing)))
    }))
}

/// A listing on its way.
struct Listing {
    client: Client,
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
            self.read_page(token.as_deref()).await?;
        }
    }

    async fn read_page(&mut self, token: Option<&str>) -> Result<()> {
        let below = &self.client.settings().prefix;
        let start_after = self.options.start_after.as_ref();
        let query = Query::default()
            .with("prefix", format!("{below}{}", self.options.prefix))
            .with_some("delimiter", self.options.delimiter.as_deref())
            // The store begins at this name; it is left out below.
            .with_some("startOffset", start_after.map(|after| format!("{below}{after}")))
            .with("maxResults", self.left.min(PAGE_ENTRIES_MAX));
        let page = Page::read(&self.client, query, token).await?;
        if let Some(token) = page.next_page_token.as_ref().filter(|token| !token.is_empty()) {
            self.next = Next::After(token.clone());
        }
        self.entries = self.entries_of(page)?;
        Ok(())
    }

    /// Merges the objects and the prefixes of a page. What is no valid key was not written by this project, or is what
    /// uploads in parts leave beside the keys.
    fn entries_of(&self, page: Page) -> Result<VecDeque<ListEntry>> {
        let below = self.client.settings().prefix.as_str();
        let mut entries = Vec::new();
        for resource in page.items {
            let key = resource.name.strip_prefix(below);
            if let Some(Ok(key)) = key.map(StorageKey::parse) {
                entries.push(ListEntry::Object(Box::new(resource.to_listed(key)?)));
            }
        }
        let prefixes = page.prefixes.iter().filter_map(|name| name.strip_prefix(below));
        let is_ours = |name: &&str| name.split('/').next() != Some(RESERVED_SEGMENT);
        entries.extend(
            prefixes
                .filter(is_ours)
                .map(|name| ListEntry::Prefix(name.to_owned())),
        );
        if let Some(after) = &self.options.start_after {
            entries.retain(|entry| entry.name() > after.as_str());
        }
        entries.sort_by(|left, right| left.name().cmp(right.name()));
        Ok(entries.into())
    }
}
