//! The files that a command line names: each by itself, those of folders one after the other.

use std::path::{Path, PathBuf};

use boards_storage::Error;
use futures_util::Stream;
use futures_util::stream;
use tokio::sync::mpsc;
use walkdir::WalkDir;

use crate::errors::{Failure, file_error};

/// So many names are read ahead.
const AHEAD: usize = 64;

/// What a walk through the named paths comes by.
#[derive(Debug)]
pub(crate) enum Source {
    /// A file, or whatever was named itself.
    File(PathBuf),
    /// Something in a folder that is left out, and why.
    LeftOut(PathBuf, &'static str),
    /// Something in a folder that cannot be looked at.
    Failed(PathBuf, Failure),
}

/// Walks through paths in their order; folders are walked in the order of names, all the way down.
///
/// What is named itself is given as it is. Within folders, links are not followed: they could lead anywhere.
pub(crate) fn walk(paths: Vec<PathBuf>) -> impl Stream<Item = Source> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        for path in paths {
            if is_folder(&path) {
                if walk_folder(&path, &sender).is_none() {
                    return;
                }
            } else if sender.blocking_send(Source::File(path)).is_err() {
                return;
            }
        }
    });
    stream::unfold(receiver, |mut receiver| async move {
        let source = receiver.recv().await?;
        Some((source, receiver))
    })
}

/// Returns whether a path is a folder, or a link to one.
#[expect(clippy::disallowed_methods, reason = "it runs in a blocking task")]
fn is_folder(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// `None` says that nobody wants more.
fn walk_folder(folder: &Path, sender: &mpsc::Sender<Source>) -> Option<()> {
    for entry in WalkDir::new(folder).min_depth(1).sort_by_file_name() {
        let source = match entry {
            Ok(entry) if entry.file_type().is_dir() => continue,
            Ok(entry) if entry.file_type().is_file() => Source::File(entry.into_path()),
            Ok(entry) if entry.file_type().is_symlink() => {
                Source::LeftOut(entry.into_path(), "left out: links in folders are not followed")
            }
            Ok(entry) => Source::LeftOut(entry.into_path(), "left out: it is not a regular file"),
            Err(error) => {
                let path = error.path().unwrap_or(folder).to_owned();
                let source = error.into();
                let error: Error = file_error("cannot read", &path, source);
                Source::Failed(path, error.into())
            }
        };
        sender.blocking_send(source).ok()?;
    }
    Some(())
}
