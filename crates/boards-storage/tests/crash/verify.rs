//! What must be true after a kill.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use boards_storage::prelude::*;
use boards_storage::{Digest, DigestAlgorithm, DownloadOptions, ListEntry, ListOptions, UploadOptions};
use futures_util::TryStreamExt;

use crate::worker;

/// What was acknowledged, artifact by artifact: the digest of what is stored, or nothing.
#[derive(Default)]
pub(crate) struct Model {
    acknowledged: BTreeMap<String, Option<String>>,
}

impl Model {
    /// Opens the store as a new process would and holds it against what the killed worker said.
    pub(crate) fn check(&mut self, folder: &Path, said: &[String]) {
        let in_flight = self.learn(said);
        runtime().block_on(async {
            let manager = worker::open(folder).await;
            let mut found = read_everything(&manager).await;
            manager.close().await.expect("closed");
            found.extend(read_in_place(folder).await);
            for (id, expected) in &self.acknowledged {
                let present = found.get(id).cloned();
                let may_be = in_flight.as_ref().filter(|(flying, _)| flying == id).map(|(_, effect)| effect.clone());
                assert!(
                    present == *expected || may_be.as_ref() == Some(&present),
                    "'{id}' is {present:?}; acknowledged was {expected:?}, in flight {may_be:?}; said {said:#?}"
                );
            }
            let unknown: Vec<_> = found.keys().filter(|id| !self.acknowledged.contains_key(*id)).collect();
            let flying = in_flight.as_ref().map(|(id, _)| id);
            assert!(unknown.iter().all(|id| Some(*id) == flying), "{unknown:?} were never written; said {said:#?}");
            self.acknowledged = found.into_iter().map(|(id, digest)| (id, Some(digest))).collect();
        });
    }

    /// Takes in the lines of a worker; returns the operation that was not acknowledged, and its effect.
    fn learn(&mut self, said: &[String]) -> Option<(String, Option<String>)> {
        let mut in_flight = None;
        for line in said {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["begin", "put", id, digest] => in_flight = Some((id.to_owned(), Some(digest.to_owned()))),
                ["begin", "delete", id] => in_flight = Some((id.to_owned(), None)),
                ["ack", "put", id, digest] => {
                    self.acknowledged.insert(id.to_owned(), Some(digest.to_owned()));
                    in_flight = None;
                }
                ["ack", "delete", id] => {
                    self.acknowledged.insert(id.to_owned(), None);
                    in_flight = None;
                }
                ["refused", "put", _] => in_flight = None,
                _ => panic!("the worker said {line:?}"),
            }
        }
        in_flight
    }

    /// After the leases have ended and the reaper has run, every file in the store belongs to a record.
    pub(crate) fn check_nothing_is_left(&mut self, folder: &Path) {
        std::thread::sleep(worker::LEASE * 2);
        runtime().block_on(async {
            let manager = worker::open(folder).await;
            let report = manager.reap(10_000).await.expect("reaped");
            assert_eq!(report.failed, 0, "{report:?}");
            // Deletes are taken over after a minute; finishing them now is what their owners would do.
            let dead = manager
                .catalog()
                .tombstones(jiff::Timestamp::MAX, None, 10_000)
                .await
                .expect("listed");
            let pending: BTreeSet<PathBuf> = dead
                .iter()
                .flat_map(|tombstone| &tombstone.replicas)
                .map(|replica| folder.join("objects").join(replica.key.as_str()))
                .collect();
            let mut named = BTreeSet::new();
            for reference in list_versions(&manager).await {
                named.insert(folder.join("objects").join(reference.storage_key.as_str()));
            }
            let mut files = BTreeSet::new();
            files_below(&folder.join("objects"), &mut files);
            let orphans: Vec<_> = files
                .iter()
                .filter(|file| !named.contains(*file) && !pending.contains(*file))
                .collect();
            assert!(orphans.is_empty(), "no record names {orphans:?}");
            let missing: Vec<_> = named.difference(&files).collect();
            assert!(missing.is_empty(), "records without bytes: {missing:?}");
            let mut given_up = BTreeSet::new();
            files_below(&folder.join(worker::AWAY), &mut given_up);
            assert!(given_up.is_empty(), "what went elsewhere left {given_up:?}");
            manager.close().await.expect("closed");
        });
        self.check_nothing_is_left_in_place(folder);
    }

    /// The first write of a new process removes what dead ones staged and described.
    fn check_nothing_is_left_in_place(&self, folder: &Path) {
        runtime().block_on(async {
            let objects = worker::open_objects(folder).await;
            let last = StorageKey::parse("last").expect("a key");
            let options = UploadOptions::default();
            objects
                .upload(&last, Content::from("x"), &options)
                .await
                .expect("stored");
        });
        let mut left = BTreeSet::new();
        files_below(&folder.join("in-place/.boards-storage/staging"), &mut left);
        files_below(&folder.join("in-place/.boards-storage/meta"), &mut left);
        let objects = self
            .acknowledged
            .keys()
            .filter(|id| id.starts_with(worker::IN_PLACE))
            .count();
        assert_eq!(
            left.len(),
            objects + 1,
            "one sidecar for each object and nothing staged: {left:?}"
        );
    }
}

/// Reads every object that is overwritten in place; returns their digests.
async fn read_in_place(folder: &Path) -> BTreeMap<String, String> {
    let objects = worker::open_objects(folder).await;
    let entries = objects.list(&ListOptions::default()).await.expect("listed");
    let entries: Vec<ListEntry> = entries.try_collect().await.expect("listed");
    let mut found = BTreeMap::new();
    for entry in entries {
        let key = StorageKey::parse(entry.name()).expect("a key");
        let download = objects
            .download(&key, &DownloadOptions::default())
            .await
            .expect("there");
        let download = download.into_object().expect("sent");
        let own = download.metadata().attributes.user_metadata["content-digest"].clone();
        let bytes = download.bytes(1 << 24).await.expect("a whole object");
        let digest = Digest::of(DigestAlgorithm::Blake3, &bytes).to_string();
        assert_eq!(
            digest, own,
            "'{key}' is torn or has the metadata of another object"
        );
        found.insert(key.as_str().to_owned(), digest);
    }
    found
}

/// Reads every version of every artifact whole; returns the digest of each present one.
async fn read_everything(manager: &StorageManager) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for reference in list_versions(manager).await {
        let metadata = manager
            .artifact_metadata(&reference, &Default::default())
            .await
            .expect("a record with bytes");
        assert_eq!(
            metadata.object.attributes, metadata.attributes,
            "the store describes {reference:?} otherwise"
        );
        let own = &metadata.attributes.user_metadata["content-digest"];
        assert_eq!(*own, reference.digest.to_string(), "metadata of another object");
        let download = manager
            .open_artifact(&reference, &OpenOptions::default())
            .await
            .expect("opened");
        let bytes = download.bytes(1 << 24).await.expect("a whole object");
        assert_eq!(bytes.len() as u64, reference.size);
        let present = manager
            .get_artifact_reference(ArtifactLocator::new(reference.artifact_id.clone()))
            .await
            .expect("a present version");
        found.insert(reference.artifact_id.to_string(), present.digest.to_string());
    }
    found
}

async fn list_versions(manager: &StorageManager) -> Vec<ArtifactReference> {
    let page = manager
        .list_artifacts(&ArtifactQuery::default())
        .await
        .expect("listed");
    assert!(page.next.is_none(), "few enough for one page");
    let mut versions = Vec::new();
    for present in page.artifacts {
        versions.extend(
            manager
                .list_versions(ArtifactLocator::new(present.artifact_id))
                .await
                .expect("listed"),
        );
    }
    versions
}

fn files_below(folder: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.ends_with(".boards-storage") {
            continue;
        }
        if path.is_dir() {
            files_below(&path, files);
        } else {
            files.insert(path);
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}
