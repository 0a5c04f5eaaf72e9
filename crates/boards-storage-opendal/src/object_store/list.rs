//! Listings: the store's, filtered and folded. `object_store` lists folders, so a prefix that ends within a segment is
//! the listing of its folder.

use std::pin::Pin;

use boards_storage_core::{Error, ErrorKind, ListEntry, ListOptions, ListStream, Result, StorageKey};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use object_store::ObjectMeta;
use object_store::path::Path;

use super::error::translate;
use super::provider::ObjectStoreProvider;
use super::read::listed;

type Objects = Pin<Box<dyn Stream<Item = object_store::Result<ObjectMeta>> + Send>>;

impl ObjectStoreProvider {
    pub(super) fn list_objects(&self, options: &ListOptions) -> ListStream {
        let folder = match options.prefix.rsplit_once('/') {
            Some((folder, _)) => format!("{}{folder}", self.prefix),
            None => self.prefix.trim_end_matches('/').to_owned(),
        };
        // What no key can begin with lies nowhere.
        let Ok(folder) = Path::parse(&folder) else {
            return stream::empty().boxed();
        };
        let folder = (!folder.as_ref().is_empty()).then_some(folder);
        let offset = options.start_after.as_ref();
        let offset = offset.and_then(|after| Path::parse(format!("{}{after}", self.prefix)).ok());
        let objects: Objects = match offset {
            // A path loses a slash at its end: more is filtered below, never less.
            Some(offset) => self.store.list_with_offset(folder.as_ref(), &offset),
            None => self.store.list(folder.as_ref()),
        };
        let folding = Folding {
            objects,
            provider: self.clone(),
            options: options.clone(),
            last: None,
            folded: None,
            left: options.limit,
        };
        Box::pin(stream::try_unfold(folding, |mut folding| async move {
            let entry = folding.next().await?;
            Ok(entry.map(|entry| (entry, folding)))
        }))
    }
}

/// A listing on its way.
struct Folding {
    objects: Objects,
    provider: ObjectStoreProvider,
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
        while let Some(object) = self.objects.try_next().await.map_err(translate)? {
            let Some(key) = self.key_of(&object) else { continue };
            self.check_order(&key)?;
            let entry = match self.fold(&key) {
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
                    let mut metadata = listed(key.clone(), &object);
                    metadata.version = None;
                    Some(ListEntry::Object(Box::new(metadata)))
                }
            };
            self.last = Some(key);
            if entry.is_some() {
                self.left = self.left.map(|left| left - 1);
                return Ok(entry);
            }
        }
        Ok(None)
    }

    /// The key of an object of this provider that the caller asked for.
    fn key_of(&self, object: &ObjectMeta) -> Option<StorageKey> {
        let name = object.location.as_ref().strip_prefix(&*self.provider.prefix)?;
        let key = StorageKey::parse(name).ok()?;
        let after = self.options.start_after.as_deref();
        let is_asked = name.starts_with(&self.options.prefix) && after.is_none_or(|after| name > after);
        is_asked.then_some(key)
    }

    /// The common prefix that stands for the key, if it is folded.
    fn fold(&self, key: &StorageKey) -> Option<String> {
        let delimiter = self.options.delimiter.as_deref()?;
        let prefix = &self.options.prefix;
        let (name, _) = key.as_str().get(prefix.len()..)?.split_once(delimiter)?;
        Some(format!("{prefix}{name}{delimiter}"))
    }

    /// Whoever declared the order was wrong if it isn't kept; a listing in a wrong order would lose keys.
    fn check_order(&self, key: &StorageKey) -> Result<()> {
        match &self.last {
            Some(last) if last.as_str() >= key.as_str() => Err(Error::new(
                ErrorKind::Storage,
                format!("the store lists '{key}' after '{last}', but its order was declared"),
            )
            .with_help("leave with_ordered_list out")),
            _ => Ok(()),
        }
    }
}
