//! What a killed process leaves in staging.

use std::path::Path;
use std::time::{Duration, Instant};

use boards_storage_core::{Content, StorageProvider, UploadOptions};
use bytes::Bytes;
use futures_util::StreamExt;

use crate::child::{Running, tell, wait_for_parent};
use crate::support::{
    Scene, key, list_all, metadata, open, pattern, put, read, run, staged_files, staging_folders,
};

const PIECE_BYTES: usize = 1024 * 1024;
const PIECES: u64 = 4;

/// Uploads all but the last piece, tells it, and goes on when the parent says so.
pub(crate) async fn child(base: &Path, name: &str) {
    let provider = open(base).await;
    let pieces = futures_util::stream::iter(0..PIECES).then(|index| async move {
        if index == PIECES - 1 {
            tell("stalled");
            tokio::task::spawn_blocking(wait_for_parent)
                .await
                .expect("the parent's word");
        }
        Ok(Bytes::from(pattern(PIECE_BYTES, index)))
    });
    let content = Content::from_stream(None, pieces);
    provider
        .upload(&key(name), content, &UploadOptions::default())
        .await
        .expect("uploaded");
    tell("done");
}

/// Waits until so many uploads have bytes in staging.
fn wait_for_staged(base: &Path, count: usize) {
    let end = Instant::now() + Duration::from_secs(20);
    let has_bytes = |path: &&std::path::PathBuf| path.metadata().is_ok_and(|file| file.len() > 0);
    while staged_files(base).iter().filter(has_bytes).count() < count {
        assert!(
            Instant::now() < end,
            "the uploads never began: {:?}",
            staged_files(base)
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn what_a_killed_process_staged_is_removed_while_others_write() {
    run(async {
        let scene = Scene::new().await;
        let old = put(&scene.provider, "target", "old").await;
        let own = staging_folders(&scene.base);
        let mut alive = Running::start("stall", &scene.base, &["alive"]);
        alive.expect("stalled");
        let with_alive = staging_folders(&scene.base);
        assert_eq!((own.len(), with_alive.len()), (1, 2));
        let mut doomed: Vec<_> = (0..3)
            .map(|_| Running::start("stall", &scene.base, &["target"]))
            .collect();
        doomed.iter_mut().for_each(|child| child.expect("stalled"));
        wait_for_staged(&scene.base, 4);
        doomed.into_iter().for_each(Running::kill);
        assert_eq!(staging_folders(&scene.base).len(), 5);

        // Several come at once; each removes what it finds, none what lives.
        let (first, second) = (open(&scene.base).await, open(&scene.base).await);
        assert_eq!(
            staging_folders(&scene.base).len(),
            5,
            "reading alone changes nothing"
        );
        assert_eq!(&read(&first, "target").await[..], b"old");
        tokio::join!(put(&first, "first", "first"), put(&second, "second", "second"));
        let left = staging_folders(&scene.base);
        assert!(left.is_superset(&with_alive) && left.len() == 4, "{left:?}");
        assert_eq!(staged_files(&scene.base).len(), 1, "that of the living one");
        assert_eq!(metadata(&scene.provider, "target").await, old);
        assert_eq!(&read(&scene.provider, "target").await[..], b"old");

        put(&scene.provider, "own", "still writing").await;
        assert_eq!(alive.finish(), ["done"]);
        let whole: Vec<u8> = (0..PIECES)
            .flat_map(|index| pattern(PIECE_BYTES, index))
            .collect();
        assert!(read(&first, "alive").await == whole);
        drop((first, second));
        assert_eq!(staging_folders(&scene.base), own);
        assert_eq!(
            list_all(&scene.provider).await,
            ["alive", "first", "own", "second", "target"]
        );
    });
}
