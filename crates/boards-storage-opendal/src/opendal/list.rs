//! Listings: recursive ones of OpenDAL, filtered, in byte order, folded.
//!
//! OpenDAL's own folding gives folders and objects of a page apart from each other, so what is folded here is the
//! recursive listing: a folder of many objects is read through to its end.

use std::collections::VecDeque;
use std::pin::Pin;

use boards_storage_core::{
    Error, ErrorKind, ListEntry, ListOptions, ListStream, ObjectMetadata, Result, StorageKey,
};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use opendal::options::ListOptions as NativeListOptions;
use opendal::{Entry, Lister};

use super::error::translate;
use super::provider::OpendalProvider;
use super::read::describe;

type Objects = Pin<Box<dyn Stream<Item = Result<(StorageKey, Entry)>> + Send>>;

impl OpendalProvider {
    pub(super) async fn list_objects(&self, options: &ListOptions) -> Result<ListStream> {
        let native_options = NativeListOptions {
            recursive: true,
            start_after: options
                .start_after
                .as_ref()
                .filter(|_| self.native.list_with_start_after && self.sorted_list_max.is_none())
                .map(|after| format!("{}{after}", self.prefix)),
            ..NativeListOptions::default()
        };
        let folder = self.folder(&options.prefix);
        let lister = self.operator.lister_options(&folder, native_options).await;
        let mut objects = self.objects(lister.map_err(translate)?, options);
        if let Some(max) = self.sorted_list_max {
            objects = sorted(objects, max).await?;
        }
        let folding = Folding {
            objects,
            provider: self.clone(),
            options: options.clone(),
            last: None,
            folded: None,
            left: options.limit,
        };
        Ok(Box::pin(stream::try_unfold(folding, |mut folding| async move {
            let entry = folding.next().await?;
            Ok(entry.map(|entry| (entry, folding)))
        })))
    }

    /// The folder to list: the one in which everything with the prefix lies.
    fn folder(&self, prefix: &str) -> String {
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        // What no key can begin with lies nowhere; the whole is then filtered to nothing.
        let folder = match StorageKey::parse(folder) {
            Ok(folder) if folder.as_str().trim() == folder.as_str() => format!("{folder}/"),
            Ok(_) | Err(_) => String::new(),
        };
        match format!("{}{folder}", self.prefix) {
            root if root.is_empty() => "/".to_owned(),
            folder => folder,
        }
    }

    fn objects(&self, lister: Lister, options: &ListOptions) -> Objects {
        let provider = self.clone();
        let (prefix, after) = (options.prefix.clone(), options.start_after.clone());
        let objects = lister.map_err(translate).try_filter_map(move |entry| {
            let key = provider.key_of(&entry).filter(|key| {
                let key = key.as_str();
                key.starts_with(&prefix) && after.as_deref().is_none_or(|after| key > after)
            });
            std::future::ready(Ok(key.map(|key| (key, entry))))
        });
        Box::pin(objects)
    }

    /// The key of an entry that is an object of this provider.
    fn key_of(&self, entry: &Entry) -> Option<StorageKey> {
        if entry.metadata().is_dir() || entry.path().ends_with('/') {
            return None;
        }
        let name = entry.path().strip_prefix(&*self.prefix)?;
        let key = StorageKey::parse(name).ok()?;
        self.capabilities.key_rules.check(&key).ok().map(|()| key)
    }

    /// What the listing tells of an object; it is looked at where the listing does not even tell the size.
    async fn listed(&self, key: StorageKey, entry: &Entry) -> Result<Option<ObjectMetadata>> {
        let looked;
        let found = if entry.metadata().is_file() {
            entry.metadata()
        } else {
            match self.stat(&key).await {
                Ok(found) => {
                    looked = found;
                    &looked
                }
                // It was removed meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        };
        let all = describe(key, found, false);
        let mut metadata = ObjectMetadata::new(all.key, all.size_bytes);
        metadata.etag = all.etag;
        metadata.modified = all.modified;
        Ok(Some(metadata))
    }
}

/// Sorts a listing that has no order.
async fn sorted(mut objects: Objects, max: usize) -> Result<Objects> {
    let mut all = Vec::new();
    while let Some(object) = objects.try_next().await? {
        if all.len() == max {
            return Err(Error::unsupported(format!(
                "the service has no order of its own, and there are more than the {max} keys that may be sorted"
            ))
            .with_help("raise sorted_list_max, or list a longer prefix"));
        }
        all.push(object);
    }
    all.sort_by(|(left, _), (right, _)| left.as_str().cmp(right.as_str()));
    Ok(Box::pin(stream::iter(VecDeque::from(all)).map(Ok)))
}

/// A listing on its way.
struct Folding {
    objects: Objects,
    provider: OpendalProvider,
    options: ListOptions,
    last: Option<StorageKey>,
    folded: Option<String>,
    left: Option<usize>,
}

impl Folding {
    async fn next(&mut self) -> Result<Option<ListEntry>> {
        if self.left == Some(0) {
            return Ok(None);
        }
        while let Some((key, entry)) = self.objects.try_next().await? {
            self.check_order(&key)?;
            let listed = match self.fold(&key) {
                Some(prefix) if self.folded.as_ref() == Some(&prefix) => None,
                Some(prefix) => {
                    self.folded = Some(prefix.clone());
                    // A prefix at or before `start_after` was given on an earlier page.
                    let is_new = self
                        .options
                        .start_after
                        .as_ref()
                        .is_none_or(|after| prefix > *after);
                    is_new.then_some(ListEntry::Prefix(prefix))
                }
                None => {
                    let metadata = self.provider.listed(key.clone(), &entry).await?;
                    metadata.map(|metadata| ListEntry::Object(Box::new(metadata)))
                }
            };
            self.last = Some(key);
            if listed.is_some() {
                self.left = self.left.map(|left| left - 1);
                return Ok(listed);
            }
        }
        Ok(None)
    }

    /// The common prefix that stands for the key, if it is folded.
    fn fold(&self, key: &StorageKey) -> Option<String> {
        let delimiter = self.options.delimiter.as_deref()?;
        let prefix = &self.options.prefix;
        let (name, _) = key.as_str().get(prefix.len()..)?.split_once(delimiter)?;
        Some(format!("{prefix}{name}{delimiter}"))
    }

    /// Whoever guaranteed the order was wrong if it isn't kept; a listing in a wrong order would lose keys.
    fn check_order(&self, key: &StorageKey) -> Result<()> {
        match &self.last {
            Some(last) if last.as_str() >= key.as_str() => Err(Error::new(
                ErrorKind::Storage,
                format!("the service lists '{key}' after '{last}', but its order was guaranteed"),
            )
            .with_help("take the guarantee 'ordered_list' back")),
            _ => Ok(()),
        }
    }
}
