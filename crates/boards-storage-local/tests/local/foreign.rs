//! What others put into the base directory: links, pipes, folders, files, edits and rotten bits.

use std::os::unix::fs::symlink;
use std::time::Duration;

use boards_storage_core::{
    ByteRange, CallOptions, Content, ContentType, CopyOptions, DeleteOptions, DownloadOptions, ErrorKind,
    ListOptions, ObjectAttributes, SetMetadataOptions, StorageKey, StorageProvider, UploadOptions,
};

use crate::support::{
    BYTES_MAX, Scene, check_refused, key, list, list_all, metadata, open, paths_below, pattern, put, read,
    run, try_put, try_read,
};

/// How long a call may take that must not wait.
const SOON: Duration = Duration::from_secs(10);

/// Checks that every operation on a key is refused with these words.
async fn check_all_refused(scene: &Scene, name: &str, words: &str) {
    let provider = &scene.provider;
    let kind = ErrorKind::Storage;
    let (call, copy) = (CallOptions::default(), CopyOptions::default());
    check_refused(try_put(provider, name, "new").await, kind, words);
    let stream = futures_util::stream::iter([Ok(pattern(2 * 1024 * 1024, 3).into())]);
    let streamed = Content::from_stream(None, stream);
    check_refused(
        provider
            .upload(&key(name), streamed, &UploadOptions::default())
            .await,
        kind,
        words,
    );
    check_refused(try_read(provider, name).await, kind, words);
    check_refused(provider.metadata(&key(name), &call).await, kind, words);
    check_refused(provider.exists(&key(name), &call).await, kind, words);
    check_refused(
        provider.delete(&key(name), &DeleteOptions::default()).await,
        kind,
        words,
    );
    let deleted = provider
        .delete_many(&[key(name)], &DeleteOptions::default())
        .await
        .expect("tried");
    check_refused(
        deleted.into_iter().next().expect("one answer").outcome,
        kind,
        words,
    );
    check_refused(
        provider.copy(&key(name), &key("copied"), &copy).await,
        kind,
        words,
    );
    check_refused(provider.copy(&key("own"), &key(name), &copy).await, kind, words);
    let attributes = ObjectAttributes::default().with_cache_control("no-cache");
    let set = provider
        .set_metadata(&key(name), &attributes, &SetMetadataOptions::default())
        .await;
    check_refused(set, kind, words);
}

pub(crate) fn links_are_never_followed() {
    run(async {
        let scene = Scene::new().await;
        put(&scene.provider, "own", "own").await;
        let outside = scene.folder.path().join("outside");
        std::fs::create_dir(&outside).expect("a folder");
        std::fs::write(outside.join("secret.txt"), "secret").expect("a file");
        let before = std::fs::metadata(outside.join("secret.txt"))
            .expect("a file")
            .modified()
            .expect("a time");
        let links = [
            ("file.txt", outside.join("secret.txt")),
            ("folder", outside.clone()),
            ("relative", "../outside".into()),
            ("deep/folder", outside.clone()),
            ("dangling", outside.join("new.txt")),
            ("inside", "own".into()),
        ];
        std::fs::create_dir(scene.path("deep")).expect("a folder");
        for (name, target) in links {
            symlink(target, scene.path(name)).expect("a link");
        }
        for name in [
            "file.txt",
            "folder",
            "folder/secret.txt",
            "folder/new.txt",
            "folder/new/er.txt",
            "relative/secret.txt",
            "deep/folder/secret.txt",
            "dangling",
            "inside",
        ] {
            check_all_refused(&scene, name, "symbolic link").await;
        }
        assert_eq!(list_all(&scene.provider).await, ["own"]);
        for options in [
            ListOptions::default().with_prefix("folder/"),
            ListOptions::default().with_prefix("deep/folder/s"),
            ListOptions::default().with_prefix("f").with_delimiter("/"),
        ] {
            assert!(list(&scene.provider, &options).await.is_empty(), "{options:?}");
        }
        let after = std::fs::metadata(outside.join("secret.txt"))
            .expect("a file")
            .modified()
            .expect("a time");
        assert_eq!(
            paths_below(&outside).into_iter().collect::<Vec<_>>(),
            ["secret.txt"]
        );
        assert_eq!(
            std::fs::read(outside.join("secret.txt")).expect("a file"),
            b"secret"
        );
        assert_eq!(before, after);
        assert_eq!(&read(&scene.provider, "own").await[..], b"own");
        for climbing in [
            "..",
            "../outside/secret.txt",
            "a/../../outside/secret.txt",
            "/etc/passwd",
            "./own",
        ] {
            check_refused(
                StorageKey::parse(climbing),
                ErrorKind::InvalidInput,
                "is not a storage key",
            );
        }
    });
}

pub(crate) fn a_base_path_may_be_a_link() {
    run(async {
        let scene = Scene::new().await;
        let link = scene.folder.path().join("link");
        symlink(&scene.base, &link).expect("a link");
        let provider = open(&link).await;
        put(&provider, "a/b", "through the link").await;
        assert_eq!(&read(&scene.provider, "a/b").await[..], b"through the link");
    });
}

pub(crate) fn a_file_put_there_by_hand_is_an_object() {
    run(async {
        let scene = Scene::new().await;
        std::fs::create_dir_all(scene.path("photos/2026")).expect("folders");
        let bytes = pattern(2 * 1024 * 1024, 4);
        std::fs::write(scene.path("photos/2026/a.png"), &bytes).expect("a file");
        std::fs::write(scene.path("unknown"), "x").expect("a file");
        let described = metadata(&scene.provider, "photos/2026/a.png").await;
        assert_eq!(
            described.attributes.content_type,
            Some(ContentType::parse("image/png").expect("a type"))
        );
        assert_eq!(described.size_bytes, bytes.len() as u64);
        assert!(described.etag.is_some() && described.modified.is_some() && described.digest.is_none());
        assert!(read(&scene.provider, "photos/2026/a.png").await == bytes);
        assert_eq!(
            metadata(&scene.provider, "unknown").await.attributes,
            ObjectAttributes::default()
        );
        assert_eq!(list_all(&scene.provider).await, ["photos/2026/a.png", "unknown"]);
        let copied = scene
            .provider
            .copy(&key("photos/2026/a.png"), &key("b.png"), &CopyOptions::default())
            .await;
        assert!(copied.expect("copied").checksum.is_some());
        assert!(read(&scene.provider, "b.png").await == bytes);
    });
}

pub(crate) fn a_file_edited_in_place_counts_as_put_by_hand() {
    run(async {
        let scene = Scene::new().await;
        let attributes = ObjectAttributes::default()
            .with_content_type(ContentType::parse("image/png").expect("a type"))
            .with_user_metadata("a", "b");
        // The same length and another one, small and in several pieces.
        for (name, size_bytes, new_bytes) in [
            ("s.txt", 10, 10),
            ("t.txt", 10, 11),
            ("l.txt", 3_000_000, 3_000_000),
            ("m.txt", 3_000_000, 1),
        ] {
            let options = UploadOptions::default().with_attributes(attributes.clone());
            let content = Content::from_bytes(pattern(size_bytes, 5));
            let first = scene
                .provider
                .upload(&key(name), content, &options)
                .await
                .expect("uploaded");
            assert_eq!(metadata(&scene.provider, name).await.attributes, attributes);
            let edited = pattern(new_bytes, 6);
            std::fs::write(scene.path(name), &edited).expect("edited in place");
            assert!(read(&scene.provider, name).await == edited, "{name}");
            let described = metadata(&scene.provider, name).await;
            assert_ne!(described.etag, first.etag);
            assert_eq!(
                described.attributes.content_type,
                Some(ContentType::parse("text/plain").expect("a type"))
            );
            assert!(described.attributes.user_metadata.is_empty() && described.checksum.is_none());
        }
    });
}

pub(crate) fn a_flipped_bit_is_corruption() {
    run(async {
        let scene = Scene::new().await;
        for (name, size_bytes) in [("small", 1), ("middle", 100_000), ("large", 5 * 1024 * 1024)] {
            let mut bytes = pattern(size_bytes, 7);
            put(&scene.provider, name, bytes.clone()).await;
            let path = scene.path(name);
            let modified = std::fs::metadata(&path)
                .expect("a file")
                .modified()
                .expect("a time");
            bytes[size_bytes / 2] ^= 1;
            std::fs::write(&path, &bytes).expect("damaged");
            let file = std::fs::File::options().write(true).open(&path).expect("opened");
            file.set_modified(modified).expect("the old time");
            check_refused(
                try_read(&scene.provider, name).await,
                ErrorKind::Corruption,
                "checksum",
            );
            // The copy must not look sound either.
            let copied = scene
                .provider
                .copy(&key(name), &key("copy"), &CopyOptions::default())
                .await;
            if copied.is_ok() {
                check_refused(
                    try_read(&scene.provider, "copy").await,
                    ErrorKind::Corruption,
                    "checksum",
                );
            }
            if size_bytes > 1 {
                let part = DownloadOptions::default().with_range(ByteRange::Bounded { start: 0, end: 1 });
                let outcome = scene
                    .provider
                    .download(&key(name), &part)
                    .await
                    .expect("a part is not checked");
                let first = outcome
                    .into_object()
                    .expect("an object")
                    .bytes(BYTES_MAX)
                    .await
                    .expect("a byte");
                assert_eq!(first[..], bytes[..1]);
            }
        }
    });
}

pub(crate) fn a_pipe_is_refused_without_waiting() {
    run(async {
        let scene = Scene::new().await;
        put(&scene.provider, "own", "own").await;
        let status = std::process::Command::new("mkfifo")
            .arg(scene.path("pipe"))
            .status()
            .expect("mkfifo runs");
        assert!(status.success(), "mkfifo ended with {status}");
        let _socket = std::os::unix::net::UnixListener::bind(scene.path("socket")).expect("a socket");
        for (name, words) in [("pipe", "a pipe"), ("socket", "a socket")] {
            let checks = Box::pin(check_all_refused(&scene, name, words));
            tokio::time::timeout(SOON, checks)
                .await
                .expect("no operation waits");
        }
        assert_eq!(list_all(&scene.provider).await, ["own"]);
        assert!(scene.path("pipe").exists() && scene.path("socket").exists());
    });
}

pub(crate) fn a_folder_is_no_object() {
    run(async {
        let scene = Scene::new().await;
        put(&scene.provider, "folder/object", "x").await;
        std::fs::create_dir(scene.path("empty")).expect("a folder");
        let copy = CopyOptions::default();
        for name in ["folder", "empty"] {
            check_refused(
                try_read(&scene.provider, name).await,
                ErrorKind::NotFound,
                "no object",
            );
            let described = scene.provider.metadata(&key(name), &CallOptions::default()).await;
            check_refused(described, ErrorKind::NotFound, "no object");
            assert!(
                !scene
                    .provider
                    .exists(&key(name), &CallOptions::default())
                    .await
                    .expect("answered")
            );
            let copied = scene.provider.copy(&key(name), &key("to"), &copy).await;
            check_refused(copied, ErrorKind::NotFound, "no object");
            let deleted = scene.provider.delete(&key(name), &DeleteOptions::default()).await;
            assert_eq!(
                deleted.expect("answered"),
                boards_storage_core::DeleteOutcome::Absent
            );
        }
        assert!(scene.path("folder/object").is_file() && scene.path("empty").is_dir());
        assert_eq!(list_all(&scene.provider).await, ["folder/object"]);
    });
}
