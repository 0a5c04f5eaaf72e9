//! Listings: keys in byte order, with flat memory.
//!
//! A folder stands where its name with a `/` would stand, so a walk in that order gives keys in byte order. A folder
//! of a million files is read several times, each time for the next window of names; so neither memory nor the
//! order depends on its size, and what is neither made nor removed meanwhile is given exactly once.

use std::sync::Arc;

use boards_storage_core::{
    ListEntry, ListOptions, ListStream, ObjectMetadata, RESERVED_SEGMENT, Result, StorageKey,
};
use futures_util::StreamExt;
use rustix::fd::OwnedFd;
use rustix::fs::{Dir, FileType, OFlags};
use rustix::io::Errno;
use tokio::task::JoinHandle;

use crate::error::{While, from_errno};
use crate::generation::Generation;
use crate::hop::{begin, join};
use crate::store::Store;
use crate::tree::{Present, look_in, split};

/// How many names of one folder are held at once.
pub(crate) const WINDOW_NAMES: usize = 64 * 1024;

/// How many entries one hop gives.
const BATCH_ENTRIES: usize = 1_000;

/// Lists objects.
pub(crate) fn list(store: &Arc<Store>, options: &ListOptions) -> ListStream {
    let walker = Walker::new(Arc::clone(store), options);
    let batches = futures_util::stream::unfold(walker.begin(), |batch| async move {
        match join(batch?).await {
            Ok((walker, entries)) => {
                let has_failed = entries.last().is_some_and(Result::is_err);
                let next = if has_failed { None } else { walker.begin() };
                Some((entries, next))
            }
            Err(error) => Some((vec![Err(error)], None)),
        }
    });
    Box::pin(batches.flat_map(futures_util::stream::iter))
}

/// A batch of entries that is being read.
type Batch = JoinHandle<(Walker, Vec<Result<ListEntry>>)>;

/// A walk through the tree, at some place.
struct Walker {
    store: Arc<Store>,
    /// Whether folders are given as common prefixes instead of being entered.
    has_delimiter: bool,
    /// The folders from the first one to the present one.
    levels: Vec<Level>,
    entries_left: usize,
}

/// One folder of the walk.
#[derive(Default)]
struct Level {
    /// The folder's path; empty for the base directory.
    path: String,
    /// What its names must begin with.
    prefix: String,
    /// The caller's start, relative to the folder.
    start_after: Option<String>,
    /// Whether folders are entered, so also one that holds the start.
    is_entered: bool,
    /// The present window. The names of folders end with `/`.
    names: Names,
    /// The last name of the present window.
    last: Option<Box<str>>,
    /// Whether there may be names after the present window.
    has_more: bool,
    /// The folder, open, as long as it is the present one.
    folder: Option<OwnedFd>,
}

/// Some names of one folder, all in one piece of memory: many little ones would leave holes in it.
#[derive(Default)]
struct Names {
    text: String,
    /// Where each name begins and ends, the last name first once they are sorted.
    spans: Vec<Span>,
    /// Where those that are kept go, used again and again.
    spare: (String, Vec<Span>),
}

type Span = (u32, u32);

impl Names {
    fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
    }

    /// Adds a name. A window of them is far from the 4 GiB that the spans can name.
    fn push(&mut self, name: &str) {
        let begin = self.end();
        self.text.push_str(name);
        self.spans.push((begin, self.end()));
    }

    fn end(&self) -> u32 {
        u32::try_from(self.text.len()).expect("a window of names is smaller than 4 GiB")
    }

    /// Keeps the first names in order and forgets the others. Returns the last one that is kept, if any was not.
    fn keep_first(&mut self, count: usize) -> Option<Box<str>> {
        if self.spans.len() <= count {
            return None;
        }
        let text = &self.text;
        let (_, last, _) = self
            .spans
            .select_nth_unstable_by(count - 1, |a, b| name_at(text, *a).cmp(name_at(text, *b)));
        let last = Box::from(name_at(text, *last));
        let all = (std::mem::take(&mut self.text), std::mem::take(&mut self.spans));
        (self.text, self.spans) = std::mem::take(&mut self.spare);
        self.clear();
        for span in &all.1[..count] {
            self.push(name_at(&all.0, *span));
        }
        self.spare = all;
        Some(last)
    }

    fn sort(&mut self) {
        let text = &self.text;
        self.spans
            .sort_unstable_by(|a, b| name_at(text, *b).cmp(name_at(text, *a)));
    }

    /// Returns the last name in order; the names are sorted.
    fn last(&self) -> Option<&str> {
        self.spans.first().map(|span| name_at(&self.text, *span))
    }

    /// Takes the first name in order; the names are sorted.
    fn pop_first(&mut self) -> Option<Box<str>> {
        self.spans.pop().map(|span| Box::from(name_at(&self.text, span)))
    }
}

fn name_at(text: &str, (begin, end): Span) -> &str {
    &text[begin as usize..end as usize]
}

impl Walker {
    fn new(store: Arc<Store>, options: &ListOptions) -> Self {
        let entries_left = options.limit.unwrap_or(usize::MAX);
        let levels = Level::first(options).into_iter().collect();
        Self {
            store,
            has_delimiter: options.delimiter.is_some(),
            levels,
            entries_left,
        }
    }

    /// Begins to read the next batch; `None` at the end.
    fn begin(mut self) -> Option<Batch> {
        (!self.levels.is_empty() && self.entries_left > 0).then(|| {
            begin(move || {
                let mut entries = Vec::with_capacity(BATCH_ENTRIES.min(self.entries_left));
                if let Err(error) = self.fill(&mut entries) {
                    entries.push(Err(error));
                }
                (self, entries)
            })
        })
    }

    fn fill(&mut self, entries: &mut Vec<Result<ListEntry>>) -> Result<()> {
        let room = BATCH_ENTRIES.min(self.entries_left);
        while entries.len() < room
            && let Some(level) = self.levels.last_mut()
        {
            let Some(name) = level.next(&self.store)? else {
                self.levels.pop();
                continue;
            };
            match name.strip_suffix('/') {
                Some(folder) if self.has_delimiter => {
                    let path = level.path_of(folder);
                    if holds_object(&self.store, &path)? {
                        entries.push(Ok(ListEntry::Prefix(format!("{path}/"))));
                    }
                }
                Some(folder) => {
                    let below = level.below(folder, &name);
                    // One open folder is enough, however deep the walk is.
                    level.folder = None;
                    self.levels.push(below);
                }
                None => entries.extend(level.object(&self.store, &name)?.map(Ok)),
            }
        }
        self.entries_left -= entries.len();
        Ok(())
    }
}

impl Level {
    /// Returns the folder in which everything is that a listing can give; `None` if it can give nothing.
    fn first(options: &ListOptions) -> Option<Self> {
        let (path, prefix) = split(&options.prefix);
        if options.prefix.starts_with('/') || (!path.is_empty() && StorageKey::parse(path).is_err()) {
            return None;
        }
        let start_after = match &options.start_after {
            None => None,
            Some(start) if path.is_empty() => Some(start.clone()),
            Some(start) => match start.strip_prefix(path).and_then(|rest| rest.strip_prefix('/')) {
                Some(rest) => Some(rest.to_owned()),
                None if start.as_str() < format!("{path}/").as_str() => None,
                // Everything below the folder is before it.
                None => return None,
            },
        };
        Some(Self {
            path: path.to_owned(),
            prefix: prefix.to_owned(),
            start_after,
            is_entered: options.delimiter.is_none(),
            has_more: true,
            ..Self::default()
        })
    }

    /// Returns a folder in this one. `name` is its name with the `/`.
    fn below(&self, folder: &str, name: &str) -> Self {
        let start_after = self
            .start_after
            .as_deref()
            .and_then(|start| start.strip_prefix(name))
            .map(str::to_owned);
        Self {
            path: self.path_of(folder),
            start_after,
            is_entered: true,
            has_more: true,
            ..Self::default()
        }
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}/{name}", self.path)
        }
    }

    /// Returns the next name.
    fn next(&mut self, store: &Store) -> Result<Option<Box<str>>> {
        if self.names.is_empty() && self.has_more {
            self.read_window(store)?;
        }
        Ok(self.names.pop_first())
    }

    /// Reads the next names, at most a window of them.
    fn read_window(&mut self, store: &Store) -> Result<()> {
        self.has_more = false;
        let Some(folder) = open_for_reading(store, &self.path)? else {
            return Ok(());
        };
        let mut names = std::mem::take(&mut self.names);
        names.clear();
        // Beyond this name a window is full.
        let mut bound: Option<Box<str>> = None;
        each_name(&folder, self.path.is_empty(), |name| {
            if !self.is_wanted(name) || bound.as_deref().is_some_and(|bound| name > bound) {
                return;
            }
            names.push(name);
            if names.spans.len() >= store.list_window * 2 {
                bound = names.keep_first(store.list_window);
            }
        })?;
        let cut = names.keep_first(store.list_window);
        self.has_more = bound.is_some() || cut.is_some();
        names.sort();
        self.last = names.last().map(Box::from);
        self.names = names;
        self.folder = Some(folder);
        Ok(())
    }

    fn is_wanted(&self, name: &str) -> bool {
        let is_after_start = || match self.start_after.as_deref() {
            None => true,
            Some(start) => {
                name > start || (self.is_entered && name.ends_with('/') && start.starts_with(name))
            }
        };
        name.starts_with(&self.prefix)
            && self.last.as_deref().is_none_or(|last| name > last)
            && is_after_start()
    }

    /// Returns the object of a name, if it is one.
    fn object(&mut self, store: &Store, name: &str) -> Result<Option<ListEntry>> {
        let Ok(key) = StorageKey::parse(self.path_of(name)) else {
            return Ok(None);
        };
        let folder = match &self.folder {
            Some(folder) => folder,
            None => match open_for_reading(store, &self.path)? {
                Some(folder) => self.folder.insert(folder),
                None => return Ok(None),
            },
        };
        match look_in(folder, name).during("an object could not be looked at")? {
            Present::Object(generation) => Ok(Some(ListEntry::Object(Box::new(listed(key, generation))))),
            Present::Nothing | Present::Folder | Present::Other(_) => Ok(None),
        }
    }
}

/// Returns what a listing knows of an object.
fn listed(key: StorageKey, generation: Generation) -> ObjectMetadata {
    let mut metadata = ObjectMetadata::new(key, generation.size_bytes);
    metadata.etag = Some(generation.etag());
    metadata.modified = generation.modified();
    metadata
}

/// Opens a folder; `None` if it is gone or not a folder any more.
fn open_for_reading(store: &Store, path: &str) -> Result<Option<OwnedFd>> {
    match store.tree.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY) {
        Ok(folder) => Ok(Some(folder)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(from_errno(
            format!("the folder '{path}' could not be read"),
            errno,
        )),
    }
}

/// Calls `each` with every name that may be an object's or a folder's; those of folders end with `/`.
fn each_name(folder: &OwnedFd, is_base: bool, mut each: impl FnMut(&str)) -> Result<()> {
    let failed = "a folder could not be read";
    let mut text = String::new();
    for entry in Dir::read_from(folder).during(failed)? {
        let entry = entry.during(failed)?;
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if name == "." || name == ".." || (is_base && name == RESERVED_SEGMENT) {
            continue;
        }
        let file_type = match entry.file_type() {
            // Some file systems don't tell.
            FileType::Unknown => match look_in(folder, name).during(failed)? {
                Present::Object(_) => FileType::RegularFile,
                Present::Folder => FileType::Directory,
                Present::Nothing | Present::Other(_) => continue,
            },
            known => known,
        };
        match file_type {
            FileType::RegularFile => each(name),
            FileType::Directory => {
                text.clear();
                text.push_str(name);
                text.push('/');
                each(&text);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Says whether there is an object below a folder: an empty one is no common prefix.
fn holds_object(store: &Store, path: &str) -> Result<bool> {
    let mut folders = vec![path.to_owned()];
    while let Some(path) = folders.pop() {
        if StorageKey::parse(&path).is_err() {
            continue;
        }
        let Some(folder) = open_for_reading(store, &path)? else {
            continue;
        };
        let mut is_found = false;
        each_name(&folder, false, |name| match name.strip_suffix('/') {
            Some(below) => folders.push(format!("{path}/{below}")),
            None => is_found |= StorageKey::parse(format!("{path}/{name}")).is_ok(),
        })?;
        if is_found {
            return Ok(true);
        }
    }
    Ok(false)
}
