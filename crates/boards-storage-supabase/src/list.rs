//! Listings: by plain prefixes and cursors where the server has that, folder by folder on old servers.
//!
//! Two things are set right here. The server's own folding loses a folder whose name a page's last object has too, so
//! that folder is asked for. And a missing bucket lists as empty, so nothing at all is looked into.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boards_storage_core::{ErrorKind, ListEntry, ListOptions, ListStream, Result, StorageKey};
use futures_util::stream;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use crate::client::{Client, send_json};
use crate::metadata::Row;
use crate::object;
use crate::provider::KEY_CHARACTERS;

const PAGE_MAX: usize = 1000;

/// What the new listing answers.
#[derive(Debug, Deserialize)]
struct Page {
    // Without a default: an answer that lacks it is no listing, and not an empty one.
    #[serde(rename = "hasNext")]
    has_next: bool,
    #[serde(rename = "nextCursor", default)]
    next_cursor: Option<String>,
    #[serde(default)]
    folders: Vec<Row>,
    objects: Vec<Row>,
}

/// Which listing the server has: found out once for all listings of a provider.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerAge {
    is_old: Arc<AtomicBool>,
}

/// A listing under way.
struct Listing {
    client: Client,
    age: ServerAge,
    prefix: String,
    folds: bool,
    start_after: Option<String>,
    limit: Option<usize>,
    ready: VecDeque<ListEntry>,
    /// The name given last; nothing at or before it is given again.
    last: Option<String>,
    given: usize,
    source: Source,
}

enum Source {
    New(Cursor),
    /// Folders of an old server that are still to be gone through, the present one last.
    Old(Vec<VecDeque<OldEntry>>),
    Ended,
}

#[derive(Default)]
struct Cursor {
    /// `None` for the first page.
    text: Option<String>,
    is_made_here: bool,
    /// Folders that the server would lose.
    lost: BTreeSet<String>,
}

struct OldEntry {
    name: String,
    /// `None` for a folder, whose name ends with a slash.
    row: Option<Row>,
}

pub(crate) fn list(client: &Client, age: &ServerAge, options: &ListOptions) -> ListStream {
    let is_possible = options.prefix.len() <= StorageKey::BYTES_MAX
        && options
            .prefix
            .chars()
            .all(|c| c == '/' || KEY_CHARACTERS.contains(c));
    let source = if is_possible {
        Source::New(Cursor::default())
    } else {
        Source::Ended
    };
    let mut listing = Listing {
        client: client.clone(),
        age: age.clone(),
        prefix: options.prefix.clone(),
        folds: options.delimiter.is_some(),
        start_after: options.start_after.clone(),
        limit: options.limit,
        ready: VecDeque::new(),
        last: None,
        given: 0,
        source,
    };
    listing.begin_after();
    Box::pin(stream::try_unfold(listing, |mut listing| async move {
        Ok(listing.next().await?.map(|entry| (entry, listing)))
    }))
}

impl Listing {
    /// Begins at a cursor of our own making where that saves reading what is not wanted.
    fn begin_after(&mut self) {
        let Some(after) = self
            .start_after
            .as_deref()
            .filter(|after| *after > self.prefix.as_str())
        else {
            return;
        };
        if after.chars().any(char::is_control) {
            return;
        }
        if let Source::New(cursor) = &mut self.source {
            cursor.text = Some(STANDARD.encode(format!("l:{after}")));
            cursor.is_made_here = true;
        }
    }

    /// The server folds, unless the listing begins somewhere: then it may skip too much.
    fn server_folds(&self) -> bool {
        self.folds && self.start_after.is_none()
    }

    async fn next(&mut self) -> Result<Option<ListEntry>> {
        if self.limit.is_some_and(|limit| self.given >= limit) {
            return Ok(None);
        }
        loop {
            while let Some(entry) = self.ready.pop_front() {
                let name = entry.name();
                let is_before = |mark: &Option<String>| mark.as_deref().is_some_and(|mark| name <= mark);
                if is_before(&self.last) || is_before(&self.start_after) {
                    continue;
                }
                self.last = Some(name.to_owned());
                self.given += 1;
                return Ok(Some(entry));
            }
            match std::mem::replace(&mut self.source, Source::Ended) {
                Source::Ended => return Ok(None),
                Source::New(cursor) if self.age.is_old.load(Ordering::Relaxed) => {
                    drop(cursor);
                    self.begin_old().await?;
                }
                Source::New(cursor) => self.new_page(cursor).await?,
                Source::Old(folders) => self.old_step(folders).await?,
            }
        }
    }

    async fn new_page(&mut self, cursor: Cursor) -> Result<()> {
        let left = self.limit.map_or(PAGE_MAX, |limit| limit - self.given);
        // What is folded or filtered here may need more than it gives.
        let is_exact = self.start_after.is_none() && (!self.folds || self.server_folds());
        let size = if is_exact { left.min(PAGE_MAX) } else { PAGE_MAX };
        let page = match self
            .ask(cursor.text.as_deref(), self.server_folds(), &self.prefix, size)
            .await
        {
            Ok(page) => page,
            // A server that makes its cursors otherwise: read from the beginning.
            Err(error) if cursor.is_made_here && error.kind() == ErrorKind::InvalidInput => {
                self.source = Source::New(Cursor::default());
                return Ok(());
            }
            // An old server takes the request for an upload into a bucket of the route's name.
            Err(error) if cursor.text.is_none() || cursor.is_made_here => {
                let is_unknown = matches!(error.kind(), ErrorKind::Configuration | ErrorKind::NotFound);
                if !is_unknown || error.status() != Some(404) {
                    return Err(error);
                }
                self.begin_old().await?;
                self.age.is_old.store(true, Ordering::Relaxed);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let is_first = cursor.text.is_none();
        if is_first && page.objects.is_empty() && page.folders.is_empty() && !page.has_next {
            object::probe(&self.client, false).await?;
        }
        self.take_page(page, cursor.lost).await
    }

    async fn ask(&self, cursor: Option<&str>, folds: bool, prefix: &str, size: usize) -> Result<Page> {
        let mut body = json!({
            "prefix": prefix,
            "limit": size,
            "with_delimiter": folds,
            "sortBy": { "column": "name", "order": "asc" },
        });
        if let Some(cursor) = cursor {
            body["cursor"] = json!(cursor);
        }
        let route = self.client.bucket_route("object/list-v2");
        send_json(self.client.json_request(Method::POST, &route, &body)).await
    }

    async fn take_page(&mut self, page: Page, mut lost: BTreeSet<String>) -> Result<()> {
        let mut entries = BTreeMap::new();
        for row in page.folders {
            entries.insert(row.name.clone(), ListEntry::Prefix(row.name));
        }
        for row in page.objects {
            let name = row.name.clone();
            if let Some(entry) = self.entry_of(&name, &row) {
                entries.insert(entry.name().to_owned(), entry);
            } else {
                // No valid key, but where the page ends counts.
                entries
                    .entry(name.clone())
                    .or_insert(ListEntry::Prefix(String::new()));
            }
        }
        let end = entries
            .last_key_value()
            .map(|(name, entry)| (name.clone(), matches!(entry, ListEntry::Object(_))));
        if page.has_next
            && self.server_folds()
            && let Some((name, true)) = &end
        {
            let folder = format!("{name}/");
            let below = self.ask(None, false, &folder, 1).await?;
            if !below.objects.is_empty() {
                lost.insert(folder);
            }
        }
        let is_due = |folder: &String| !page.has_next || end.as_ref().is_some_and(|(end, _)| folder < end);
        let due: Vec<_> = lost.iter().filter(|folder| is_due(folder)).cloned().collect();
        for folder in due {
            lost.remove(&folder);
            entries.entry(folder.clone()).or_insert(ListEntry::Prefix(folder));
        }
        self.ready
            .extend(entries.into_values().filter(|entry| !entry.name().is_empty()));
        self.source = match page.next_cursor {
            Some(text) if page.has_next => Source::New(Cursor {
                text: Some(text),
                is_made_here: false,
                lost,
            }),
            Some(_) | None => Source::Ended,
        };
        Ok(())
    }

    /// Returns the entry of an object, folded if that is wanted; `None` if its name is no key.
    fn entry_of(&self, name: &str, row: &Row) -> Option<ListEntry> {
        if self.folds
            && let Some((first, _)) = name
                .get(self.prefix.len()..)
                .and_then(|rest| rest.split_once('/'))
        {
            return Some(ListEntry::Prefix(format!("{}{first}/", self.prefix)));
        }
        let key = StorageKey::parse(name).ok()?;
        Some(ListEntry::Object(Box::new(row.to_listed(key))))
    }

    async fn begin_old(&mut self) -> Result<()> {
        let parent = self
            .prefix
            .rfind('/')
            .map_or("", |slash| &self.prefix[..=slash])
            .to_owned();
        let mut entries = self.old_folder(&parent).await?;
        if entries.is_empty() && self.prefix.is_empty() {
            object::probe(&self.client, false).await?;
        }
        entries.retain(|entry| entry.name.starts_with(&self.prefix));
        self.source = Source::Old(vec![entries]);
        Ok(())
    }

    /// Reads one folder of an old server, whose order is not ours and whose pages are cut in silence.
    async fn old_folder(&self, folder: &str) -> Result<VecDeque<OldEntry>> {
        let route = self.client.bucket_route("object/list");
        let mut entries = BTreeMap::new();
        let mut offset = 0;
        loop {
            let body = json!({
                "prefix": folder.trim_end_matches('/'),
                "limit": PAGE_MAX,
                "offset": offset,
                "sortBy": { "column": "name", "order": "asc" },
            });
            let rows: Vec<Row> = send_json(self.client.json_request(Method::POST, &route, &body)).await?;
            if rows.is_empty() {
                break;
            }
            offset += rows.len();
            for row in rows {
                let slash = if row.is_folder() { "/" } else { "" };
                let name = format!("{folder}{}{slash}", row.name);
                let row = (!row.is_folder()).then_some(row);
                entries.insert(name.clone(), OldEntry { name, row });
            }
        }
        Ok(entries.into_values().collect())
    }

    async fn old_step(&mut self, mut folders: Vec<VecDeque<OldEntry>>) -> Result<()> {
        let Some(present) = folders.last_mut() else {
            return Ok(());
        };
        match present.pop_front() {
            None => {
                folders.pop();
            }
            Some(OldEntry { name, row: Some(row) }) => {
                self.ready.extend(self.entry_of(&name, &row));
            }
            Some(OldEntry { name, row: None }) => {
                let is_folded = self.folds && name.len() > self.prefix.len();
                let after = self.start_after.as_deref().unwrap_or_default();
                if is_folded {
                    self.ready.push_back(ListEntry::Prefix(name));
                } else if name.as_str() > after || after.starts_with(&name) {
                    let below = self.old_folder(&name).await?;
                    folders.push(below);
                }
            }
        }
        self.source = Source::Old(folders);
        Ok(())
    }
}
