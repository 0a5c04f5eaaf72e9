//! What must be true after a kill.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use boards_storage::prelude::*;

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
            let found = read_everything(&manager).await;
            manager.close().await.expect("closed");
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
                .tombstones(jiff::Timestamp::MAX, 10_000)
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
            manager.close().await.expect("closed");
        });
    }
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
