//! A full disk: the old object stays, nothing is left, and the error says so.

use std::path::Path;
use std::process::Command;

use boards_storage_core::{Content, ErrorKind, StorageProvider, UploadOptions};
use boards_storage_local::{LocalProvider, LocalSettings};
use bytes::Bytes;

use crate::processes::command;
use crate::support::{Base, get, key, put};

/// A file system of 4 MiB, which goes with this value.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(path: &'a Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
            .arg(path)
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then(|| Self(path))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// Puts more than there is room for, at once and as a stream.
async fn overfill(provider: &LocalProvider) {
    let options = UploadOptions::default();
    let at_once = provider
        .upload(&key("old"), Content::from(vec![1; 8 << 20]), &options)
        .await;
    assert_eq!(at_once.expect_err("full").kind(), ErrorKind::InsufficientStorage);
    let pieces = (0..80).map(|_| Ok(Bytes::from(vec![1; 100_000])));
    let content = Content::from_stream(None, futures_util::stream::iter(pieces));
    let streamed = provider.upload(&key("old"), content, &options).await;
    assert_eq!(streamed.expect_err("full").kind(), ErrorKind::InsufficientStorage);
    assert_eq!(get(provider, "old").await.expect("there"), b"old");
    assert!(
        provider
            .exists(&key("old"), &Default::default())
            .await
            .expect("asked")
    );
}

#[tokio::test]
async fn a_full_disk_leaves_the_old_object() {
    let base = Base::new();
    let Some(_disk) = SmallDisk::mount(base.path()) else {
        // Without the right to mount, a limit on the size of files stands in for the disk's.
        println!("no right to mount a file system: the disk is full by a limit on file sizes");
        let child = command(&base, "fill", 0);
        let mut limited = Command::new("sh");
        limited
            .args(["-c", "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\""])
            .arg(child.get_program());
        limited.args(child.get_args());
        limited.envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))));
        assert!(limited.status().expect("ran").success());
        return;
    };
    println!("the disk is a file system of 4 MiB");
    let provider = LocalProvider::open("local", LocalSettings::new(base.path()))
        .await
        .expect("opened");
    put(&provider, "old", b"old").await;
    overfill(&provider).await;
    assert_eq!(base.staged(), Vec::<String>::new());
    assert_eq!(base.sidecars().len(), 1);
    // There is room again.
    put(&provider, "new", &vec![2; 1 << 20]).await;
    // Full of other things to the last page: no sidecar can be written.
    let _ = std::fs::write(base.path().join("ballast"), vec![0; 8 << 20]);
    let refused = provider
        .upload(&key("old"), Content::from("x"), &UploadOptions::default())
        .await;
    assert_eq!(refused.expect_err("full").kind(), ErrorKind::InsufficientStorage);
    assert_eq!(get(&provider, "old").await.expect("there"), b"old");
    assert_eq!((base.staged(), base.sidecars().len()), (Vec::new(), 2));
}

/// What the child does under its limit.
pub(crate) async fn fill(provider: &LocalProvider) {
    put(provider, "old", b"old").await;
    overfill(provider).await;
}
