//! A listing that comes too late: it does not know the latest writes and deletes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use boards_storage_core::{
    ListEntry, ListOptions, ListStream, Next, ObjectMetadata, Operation, Outcome, Result, StorageKey,
};
use futures_util::{StreamExt, stream};

/// What a late listing leaves out, and what it still shows.
#[derive(Clone, Debug, Default)]
pub struct LateListing {
    hidden: BTreeSet<StorageKey>,
    ghosts: BTreeMap<StorageKey, ObjectMetadata>,
}

impl LateListing {
    /// Leaves an object out that was written.
    #[must_use]
    pub fn hiding(mut self, key: StorageKey) -> Self {
        self.ghosts.remove(&key);
        self.hidden.insert(key);
        self
    }

    /// Still shows an object that was deleted.
    #[must_use]
    pub fn showing(mut self, metadata: ObjectMetadata) -> Self {
        self.hidden.remove(&metadata.key);
        self.ghosts.insert(metadata.key.clone(), metadata);
        self
    }

    /// Returns whether the listing would be as it should be.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hidden.is_empty() && self.ghosts.is_empty()
    }

    pub(crate) async fn run(self, operation: Operation, next: Next) -> Result<Outcome> {
        let Operation::List { options } = operation else {
            return next.run(operation).await;
        };
        // Folded and cut here, after the changes: a folder with nothing but hidden objects is hidden too.
        let mut plain = ListOptions::clone(&options);
        plain.delimiter = None;
        plain.limit = None;
        plain.start_after = None;
        let plain = Operation::List {
            options: Arc::new(plain),
        };
        Ok(match next.run(plain).await? {
            Outcome::List(entries) => Outcome::List(self.change(entries, &options)),
            other => other,
        })
    }

    fn change(self, entries: ListStream, options: &ListOptions) -> ListStream {
        let Self { hidden, ghosts } = self;
        let ghosts: Vec<ListEntry> = ghosts
            .into_values()
            .filter(|ghost| ghost.key.as_str().starts_with(&options.prefix))
            .map(|ghost| ListEntry::Object(Box::new(ghost)))
            .collect();
        let shown = merge(entries, ghosts).filter(move |entry| {
            let is_hidden = match entry {
                Ok(ListEntry::Object(object)) => hidden.contains(&object.key),
                Ok(ListEntry::Prefix(_)) | Err(_) => false,
            };
            std::future::ready(!is_hidden)
        });
        let (prefix, delimiter) = (options.prefix.clone(), options.delimiter.clone());
        let mut folder = None;
        let folded = shown.filter_map(move |entry| {
            std::future::ready(match (entry, &delimiter) {
                (Ok(entry), Some(delimiter)) => fold(entry, &prefix, delimiter, &mut folder).map(Ok),
                (entry, _) => Some(entry),
            })
        });
        let after = options.start_after.clone().unwrap_or_default();
        let rest = folded.filter(move |entry| {
            std::future::ready(entry.as_ref().map_or(true, |entry| entry.name() > after.as_str()))
        });
        Box::pin(rest.take(options.limit.unwrap_or(usize::MAX)))
    }
}

/// Puts further entries in their places.
fn merge(entries: ListStream, others: Vec<ListEntry>) -> ListStream {
    let others = others.into_iter().peekable();
    let state = (entries.peekable(), others);
    Box::pin(stream::unfold(state, |(mut entries, mut others)| async move {
        let mut pinned = std::pin::Pin::new(&mut entries);
        let next = match pinned.as_mut().peek().await {
            Some(Ok(entry)) => Some(entry.name().to_owned()),
            Some(Err(_)) => {
                let error = entries.next().await?;
                return Some((error, (entries, others)));
            }
            None => None,
        };
        // One that is there again is no ghost.
        let _present = others.next_if(|other| next.as_deref() == Some(other.name()));
        let other = others.next_if(|other| next.as_deref().is_none_or(|next| other.name() < next));
        let entry = match other {
            Some(other) => Ok(other),
            None => entries.next().await?,
        };
        Some((entry, (entries, others)))
    }))
}

/// Folds an object below a folder into the folder, which is given once.
fn fold(entry: ListEntry, prefix: &str, delimiter: &str, last: &mut Option<String>) -> Option<ListEntry> {
    let rest = entry.name().strip_prefix(prefix).unwrap_or_default();
    let Some((name, _)) = rest.split_once(delimiter) else {
        return Some(entry);
    };
    let folder = format!("{prefix}{name}{delimiter}");
    if last.as_ref() == Some(&folder) {
        return None;
    }
    *last = Some(folder.clone());
    Some(ListEntry::Prefix(folder))
}
