//! Symbolic links, pipes and sockets: nothing outside of the base is ever reached, and nothing hangs.

use std::os::unix::fs::symlink;
use std::time::Duration;

use boards_storage_core::{
    Content, CopyOptions, DeleteOptions, ErrorKind, ListOptions, StorageProvider, UploadOptions,
};
use boards_storage_local::{LocalProvider, LocalSettings};
use futures_util::StreamExt;

use crate::support::{Base, get, head, key, kind, put};

async fn names(provider: &LocalProvider) -> Vec<String> {
    let entries: Vec<_> = provider
        .list(&ListOptions::default())
        .await
        .expect("listed")
        .collect()
        .await;
    entries
        .into_iter()
        .map(|entry| entry.expect("an entry").name().to_owned())
        .collect()
}

#[tokio::test]
async fn links_are_refused_wherever_they_stand() {
    let outside = Base::new();
    std::fs::write(outside.path().join("secret"), "secret").expect("written");
    std::fs::create_dir(outside.path().join("deep")).expect("made");
    let base = Base::new();
    let provider = base.open().await;
    put(&provider, "own", b"own").await;
    symlink(outside.path().join("secret"), base.path().join("file")).expect("linked");
    symlink(outside.path(), base.path().join("folder")).expect("linked");
    symlink("own", base.path().join("inside")).expect("linked");
    symlink("nowhere", base.path().join("dangling")).expect("linked");

    for name in [
        "file",
        "folder/secret",
        "folder/new",
        "folder/deep/new",
        "inside",
        "dangling",
    ] {
        let upload = provider
            .upload(&key(name), Content::from("x"), &UploadOptions::default())
            .await;
        assert_eq!(kind(upload), ErrorKind::Storage, "upload {name}");
        assert_eq!(
            kind(get(&provider, name).await),
            ErrorKind::Storage,
            "download {name}"
        );
        assert_eq!(
            kind(head(&provider, name).await),
            ErrorKind::Storage,
            "metadata {name}"
        );
        assert_eq!(
            kind(provider.exists(&key(name), &Default::default()).await),
            ErrorKind::Storage,
            "exists {name}"
        );
        assert_eq!(
            kind(provider.delete(&key(name), &DeleteOptions::default()).await),
            ErrorKind::Storage,
            "delete {name}"
        );
        let copy = provider
            .copy(&key("own"), &key(name), &CopyOptions::default())
            .await;
        assert_eq!(kind(copy), ErrorKind::Storage, "copy to {name}");
        let copy = provider
            .copy(&key(name), &key("copy"), &CopyOptions::default())
            .await;
        assert_eq!(kind(copy), ErrorKind::Storage, "copy from {name}");
    }
    assert_eq!(names(&provider).await, ["own"]);
    assert_eq!(
        std::fs::read(outside.path().join("secret")).expect("there"),
        b"secret"
    );
    assert_eq!(outside.files(""), ["secret".to_owned()].into());
    assert_eq!(base.sidecars().len(), 1, "no sidecar of what was refused is left");
}

#[tokio::test]
async fn the_base_itself_may_be_a_link() {
    let base = Base::new();
    std::fs::create_dir(base.path().join("real")).expect("made");
    symlink("real", base.path().join("link")).expect("linked");
    let provider = LocalProvider::open("local", LocalSettings::new(base.path().join("link")))
        .await
        .expect("opened");
    put(&provider, "a", b"1").await;
    assert!(base.path().join("real/a").exists());
}

#[tokio::test]
async fn a_link_in_our_own_folder_is_not_followed_either() {
    let outside = Base::new();
    let base = Base::new();
    let provider = base.open().await;
    put(&provider, "a", b"1").await;
    let meta = base.path().join(".boards-storage/meta");
    std::fs::remove_dir_all(&meta).expect("removed");
    symlink(outside.path(), &meta).expect("linked");
    let refused = provider
        .upload(&key("b"), Content::from("x"), &UploadOptions::default())
        .await;
    assert_eq!(kind(refused), ErrorKind::Storage);
    assert!(outside.files("").is_empty());
    assert!(!base.path().join("b").exists());
}

#[tokio::test]
async fn pipes_and_sockets_are_no_objects_and_do_not_hang() {
    let base = Base::new();
    let provider = base.open().await;
    let made = std::process::Command::new("mkfifo")
        .arg(base.path().join("pipe"))
        .status()
        .expect("mkfifo runs");
    assert!(made.success());
    let _socket = std::os::unix::net::UnixListener::bind(base.path().join("socket")).expect("bound");
    for name in ["pipe", "socket"] {
        let look = async {
            assert_eq!(kind(get(&provider, name).await), ErrorKind::Storage, "{name}");
            assert_eq!(kind(head(&provider, name).await), ErrorKind::Storage, "{name}");
            let upload = provider
                .upload(&key(name), Content::from("x"), &UploadOptions::default())
                .await;
            assert_eq!(kind(upload), ErrorKind::Storage, "{name}");
            assert_eq!(
                kind(provider.delete(&key(name), &DeleteOptions::default()).await),
                ErrorKind::Storage
            );
        };
        tokio::time::timeout(Duration::from_secs(10), look)
            .await
            .expect("nothing hangs");
    }
    assert_eq!(names(&provider).await, Vec::<String>::new());
    assert_eq!(
        kind(
            provider
                .copy(&key("pipe"), &key("x"), &CopyOptions::default())
                .await
        ),
        ErrorKind::Storage
    );
}
