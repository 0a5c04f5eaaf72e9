//! A full disk.
//!
//! The work is done by a child in a mount namespace of its own, whose small tmpfs vanishes with it, however it ends.

use std::path::Path;
use std::process::Command;

use boards_storage_core::{
    Content, CopyOptions, DeleteOptions, DeleteOutcome, ErrorKind, StorageProvider, UploadOptions,
};
use bytes::Bytes;

use crate::child::Running;
use crate::support::{
    check_refused, key, list_all, metadata, open, pattern, put, read, run, staged_files, try_put,
};

const DISK_BYTES: usize = 2 * 1024 * 1024;

pub(crate) fn a_full_disk_leaves_the_old_object() {
    let folder = tempfile::tempdir().expect("a folder");
    let wrapper: &[&str] = if rustix::process::getuid().is_root() {
        &["unshare", "--mount"]
    } else {
        &["unshare", "--user", "--map-root-user", "--mount"]
    };
    let lines = Running::start_under(wrapper, "full", folder.path(), &[]).finish();
    assert_eq!(
        lines,
        ["checked"],
        "the child could not mount a tmpfs, or did not check everything"
    );
}

pub(crate) fn child(mount_point: &Path) {
    let size = format!("size={DISK_BYTES}");
    let status = Command::new("mount")
        .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
        .arg(mount_point)
        .status()
        .expect("mount runs");
    assert!(
        status.success(),
        "a tmpfs must be mounted to test a full disk: mount ended with {status}"
    );
    run(check_full_disk(&mount_point.join("base")));
    crate::child::tell("checked");
}

async fn check_full_disk(base: &Path) {
    let provider = open(base).await;
    let old = put(&provider, "a/old", "old bytes").await;
    put(&provider, "half", pattern(DISK_BYTES / 2, 1)).await;
    let half_sidecars = sidecars(base);
    let too_much = pattern(DISK_BYTES, 2);

    let check_intact = async |what: &str| {
        assert_eq!(staged_files(base), Vec::<std::path::PathBuf>::new(), "{what}");
        assert_eq!(sidecars(base), half_sidecars, "{what}");
        assert_eq!(list_all(&provider).await, ["a/old", "half"], "{what}");
        assert_eq!(&read(&provider, "a/old").await[..], b"old bytes", "{what}");
        assert_eq!(metadata(&provider, "a/old").await, old, "{what}");
    };
    let kind = ErrorKind::InsufficientStorage;
    for target in ["a/old", "new/deep/key"] {
        check_refused(
            try_put(&provider, target, too_much.clone()).await,
            kind,
            "make room",
        );
        check_intact("at once").await;
        let pieces: Vec<_> = too_much
            .chunks(100_000)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        let content = Content::from_stream(None, futures_util::stream::iter(pieces));
        let streamed = provider
            .upload(&key(target), content, &UploadOptions::default())
            .await;
        check_refused(streamed, kind, "make room");
        check_intact("streamed").await;
        let copied = provider
            .copy(&key("half"), &key(target), &CopyOptions::default())
            .await;
        check_refused(copied, kind, "make room");
        check_intact("copied").await;
        assert!(!base.join("new").exists());
    }
    put(&provider, "a/old", "new bytes").await;
    assert_eq!(&read(&provider, "a/old").await[..], b"new bytes");
    check_room_can_be_made(base, &provider).await;
}

/// Fills the disk to the last byte: reads go on, and deletes make room, also by one who comes anew.
async fn check_room_can_be_made(base: &Path, provider: &boards_storage_local::LocalProvider) {
    // The hand of another program.
    let mut filler = std::fs::File::create(base.join("filler")).expect("a file");
    while std::io::Write::write(&mut filler, &[1; 4096]).is_ok_and(|count| count > 0) {}
    drop(filler);
    check_refused(
        try_put(provider, "late", "late").await,
        ErrorKind::InsufficientStorage,
        "make room",
    );
    assert_eq!(&read(provider, "a/old").await[..], b"new bytes");
    let other = open(base).await;
    assert_eq!(&read(&other, "a/old").await[..], b"new bytes");
    for name in ["half", "filler"] {
        let deleted = other.delete(&key(name), &DeleteOptions::default()).await;
        assert_eq!(
            deleted.expect("a full disk must not hinder deletes"),
            DeleteOutcome::Existed
        );
    }
    put(provider, "late", "late").await;
    put(&other, "later", pattern(DISK_BYTES / 2, 3)).await;
    assert_eq!(list_all(provider).await, ["a/old", "late", "later"]);
    assert_eq!(staged_files(base), Vec::<std::path::PathBuf>::new());
}

fn sidecars(base: &Path) -> usize {
    let paths = crate::support::paths_below(&base.join(".boards-storage/meta"));
    paths.iter().filter(|path| path.contains('/')).count()
}
