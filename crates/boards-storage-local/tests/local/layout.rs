//! How objects lie on the disk.

use boards_storage_core::{
    CallOptions, Content, ContentType, CopyOptions, DeleteOptions, DeleteOutcome, Digest, DigestAlgorithm,
    ErrorKind, ObjectAttributes, StorageProvider, UploadOptions, WriteId,
};

use crate::support::{
    INTERNAL, Scene, check_refused, key, list_all, metadata, open, paths_below, pattern, put, read, run,
    try_put, try_read,
};

pub(crate) fn a_payload_is_a_plain_file_and_all_else_is_in_one_folder() {
    run(async {
        let scene = Scene::new().await;
        let cases = [
            ("a.txt", 0),
            ("b/c/d.png", 5),
            ("b/large.bin", 3 * 1024 * 1024 + 1),
            ("ü %2e+ .meta", 100),
        ];
        for (name, size_bytes) in cases {
            let bytes = pattern(size_bytes, 1);
            put(&scene.provider, name, bytes.clone()).await;
            assert!(
                std::fs::read(scene.path(name)).expect("a plain file") == bytes,
                "{name}"
            );
        }
        let is_inside = |path: &&String| *path == INTERNAL || path.starts_with(&format!("{INTERNAL}/"));
        let all = paths_below(&scene.base);
        let outside: Vec<&str> = all
            .iter()
            .filter(|path| !is_inside(path))
            .map(String::as_str)
            .collect();
        assert_eq!(
            outside,
            ["a.txt", "b", "b/c", "b/c/d.png", "b/large.bin", "ü %2e+ .meta"]
        );
        let metadata_files = all
            .iter()
            .filter(|path| path.starts_with(".boards-storage/meta/") && path.len() > 24);
        assert_eq!(metadata_files.count(), cases.len(), "{all:?}");
        let format = std::fs::read_to_string(scene.path(".boards-storage/format")).expect("a format");
        assert_eq!(format, "boards-storage local 1\n");
    });
}

pub(crate) fn a_delete_prunes_empty_folders() {
    run(async {
        let scene = Scene::new().await;
        for name in ["a/b/c/one", "a/b/two", "z/y/x/three"] {
            put(&scene.provider, name, name).await;
        }
        let delete = async |name: &str| {
            scene
                .provider
                .delete(&key(name), &DeleteOptions::default())
                .await
                .expect("answered")
        };
        assert_eq!(delete("a/b/c/one").await, DeleteOutcome::Existed);
        assert!(!scene.path("a/b/c").exists() && scene.path("a/b/two").is_file());
        assert_eq!(delete("a/b/two").await, DeleteOutcome::Existed);
        assert!(!scene.path("a").exists() && scene.path("z/y/x/three").is_file());
        assert_eq!(delete("a/b/two").await, DeleteOutcome::Absent);
        assert_eq!(delete("z/y/x/three").await, DeleteOutcome::Existed);
        let left = paths_below(&scene.base);
        assert!(left.iter().all(|path| path.starts_with(INTERNAL)), "{left:?}");
        let sidecars = paths_below(&scene.path(".boards-storage/meta"));
        assert!(
            sidecars.iter().all(|path| !path.contains('/')),
            "left over: {sidecars:?}"
        );
    });
}

pub(crate) fn a_copied_tree_keeps_everything() {
    run(async {
        let Scene {
            folder,
            base,
            provider,
        } = Scene::new().await;
        let bytes = pattern(2 * 1024 * 1024, 2);
        let options = UploadOptions::default()
            .with_attributes(
                ObjectAttributes::default()
                    .with_content_type(ContentType::parse("image/webp").expect("a type"))
                    .with_cache_control("no-cache")
                    .with_user_metadata("camera", "ü \"quoted\""),
            )
            .with_digest(Digest::of(DigestAlgorithm::Sha256, &bytes))
            .with_write_id(WriteId::fresh());
        let content = Content::from_bytes(bytes.clone());
        provider
            .upload(&key("a/b.png"), content, &options)
            .await
            .expect("uploaded");
        put(&provider, "plain.txt", "plain").await;
        let before = [
            metadata(&provider, "a/b.png").await,
            metadata(&provider, "plain.txt").await,
        ];
        drop(provider);

        let copy = folder.path().join("copy");
        let status = std::process::Command::new("cp")
            .arg("-a")
            .arg(&base)
            .arg(&copy)
            .status()
            .expect("cp runs");
        assert!(status.success(), "cp ended with {status}");
        std::fs::remove_dir_all(&base).expect("the first is gone");
        let provider = open(&copy).await;
        let after = [
            metadata(&provider, "a/b.png").await,
            metadata(&provider, "plain.txt").await,
        ];
        assert_eq!(after, before);
        assert_eq!(after[0].attributes, options.attributes);
        assert_eq!(after[0].digest, options.digest);
        assert!(after[0].checksum.is_some());
        assert!(read(&provider, "a/b.png").await == bytes);
        assert_eq!(list_all(&provider).await, ["a/b.png", "plain.txt"]);
    });
}

pub(crate) fn a_file_and_a_folder_exclude_each_other() {
    run(async {
        let scene = Scene::new().await;
        let provider = &scene.provider;
        put(provider, "a", "file").await;
        put(provider, "d/e", "below").await;
        let words = "exclude each other";
        for below in ["a/b", "a/b/c"] {
            check_refused(
                try_put(provider, below, "x").await,
                ErrorKind::InvalidInput,
                words,
            );
            check_refused(try_read(provider, below).await, ErrorKind::NotFound, "no object");
            let deleted = provider.delete(&key(below), &DeleteOptions::default()).await;
            assert_eq!(deleted.expect("answered"), DeleteOutcome::Absent);
        }
        check_refused(try_put(provider, "d", "x").await, ErrorKind::InvalidInput, words);
        for (from, to) in [("a", "d"), ("d/e", "a/b")] {
            let copied = provider.copy(&key(from), &key(to), &CopyOptions::default()).await;
            check_refused(copied, ErrorKind::InvalidInput, words);
        }
        assert_eq!(list_all(provider).await, ["a", "d/e"]);
        assert_eq!(
            (&read(provider, "a").await[..], &read(provider, "d/e").await[..]),
            (&b"file"[..], &b"below"[..])
        );

        std::fs::create_dir_all(scene.path("left/over")).expect("an empty folder");
        std::fs::remove_dir(scene.path("left/over")).expect("only the upper one is left");
        put(provider, "left", "object").await;
        assert_eq!(
            std::fs::read(scene.path("left")).expect("a plain file"),
            b"object"
        );
    });
}

pub(crate) fn long_keys_work_below_a_long_base_path() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        // With the key the whole path is longer than the 4,096 bytes that the kernel takes in one call.
        let mut base = folder.path().to_owned();
        while base.as_os_str().len() < 3_700 {
            base.push("d".repeat(200));
        }
        let provider = open(&base).await;
        let deep = format!("{}x", "k/".repeat(511));
        let wide = [
            &*"w".repeat(255),
            &"w".repeat(255),
            &"w".repeat(255),
            &"w".repeat(255),
            "w",
        ]
        .join("/");
        let wide = &wide[..1024];
        let deep = format!("{deep}y");
        for name in [deep.as_str(), wide.trim_end_matches('/')] {
            assert!(name.len() >= 1023 && base.as_os_str().len() + name.len() > 4_096);
            put(&provider, name, "first").await;
            put(&provider, name, "second").await;
            assert_eq!(&read(&provider, name).await[..], b"second");
            assert_eq!(metadata(&provider, name).await.size_bytes, 6);
            assert_eq!(list_all(&provider).await, [name]);
            let copied = provider
                .copy(&key(name), &key("copy"), &CopyOptions::default())
                .await;
            assert_eq!(copied.expect("copied").size_bytes, 6);
            for gone in [name, "copy"] {
                let outcome = provider.delete(&key(gone), &DeleteOptions::default()).await;
                assert_eq!(outcome.expect("answered"), DeleteOutcome::Existed);
            }
            assert!(list_all(&provider).await.is_empty());
        }
    });
}

pub(crate) fn a_segment_has_at_most_255_bytes() {
    run(async {
        let scene = Scene::new().await;
        let provider = &scene.provider;
        for (good, bad) in [
            ("s".repeat(255), "s".repeat(256)),
            ("é".repeat(127), "é".repeat(128)),
        ] {
            put(provider, &format!("{good}/{good}"), "x").await;
            assert!(scene.path(&format!("{good}/{good}")).is_file());
            for bad in [bad.clone(), format!("{bad}/x"), format!("x/{bad}")] {
                check_refused(try_put(provider, &bad, "x").await, ErrorKind::InvalidInput, "255");
                check_refused(try_read(provider, &bad).await, ErrorKind::InvalidInput, "255");
                let described = provider.metadata(&key(&bad), &CallOptions::default()).await;
                check_refused(described, ErrorKind::InvalidInput, "255");
            }
        }
        assert_eq!(list_all(provider).await.len(), 2);
    });
}
