//! Opening a base directory: its settings, its format, several handles.

use boards_storage_core::{Capability, ErrorKind, StorageProvider};
use boards_storage_local::{LocalProvider, LocalSettings};

use crate::support::{
    Scene, check_refused, list_all, metadata, open, pattern, put, read, run, staging_folders, try_open,
};

pub(crate) fn two_handles_see_each_other() {
    run(async {
        let scene = Scene::new().await;
        let other = open(&scene.base).await;
        for round in 0..50 {
            let (one, two) = (format!("one {round}"), format!("two {round}"));
            let written = put(&scene.provider, "a/shared", one.clone()).await;
            assert_eq!(read(&other, "a/shared").await, one);
            assert_eq!(metadata(&other, "a/shared").await, written);
            let written = put(&other, "a/shared", two.clone()).await;
            assert_eq!(read(&scene.provider, "a/shared").await, two);
            assert_eq!(metadata(&scene.provider, "a/shared").await, written);
        }
        assert_eq!(staging_folders(&scene.base).len(), 2);
        drop(other);
        put(&scene.provider, "b", "after the other's end").await;
        assert_eq!(list_all(&scene.provider).await, ["a/shared", "b"]);
        assert_eq!(staging_folders(&scene.base).len(), 1);
    });
}

pub(crate) fn reopening_keeps_everything() {
    run(async {
        let Scene {
            folder: _folder,
            base,
            mut provider,
        } = Scene::new().await;
        let mut kept = Vec::new();
        for round in 0..5 {
            let name = format!("folder/{round}.png");
            kept.push((put(&provider, &name, pattern(1_000_000 * round, 1)).await, round));
            drop(provider);
            provider = open(&base).await;
            for (before, round) in &kept {
                let name = before.key.as_str();
                assert_eq!(metadata(&provider, name).await, *before);
                assert!(read(&provider, name).await == pattern(1_000_000 * round, 1));
            }
        }
        assert_eq!(list_all(&provider).await.len(), kept.len());
    });
}

pub(crate) fn an_unknown_format_is_refused() {
    run(async {
        for format in ["boards-storage local 2\n", "", "something else", "\u{0}\u{ff}"] {
            let Scene {
                folder: _folder,
                base,
                provider,
            } = Scene::new().await;
            put(&provider, "a", "kept").await;
            drop(provider);
            std::fs::write(base.join(".boards-storage/format"), format).expect("another format");
            let error = check_refused(try_open(&base).await, ErrorKind::Configuration, "has the format");
            assert!(error.message().contains("boards-storage local 1"), "{error:?}");
            assert_eq!(std::fs::read(base.join("a")).expect("a plain file"), b"kept");
            let kept = std::fs::read_to_string(base.join(".boards-storage/format")).expect("a format");
            assert_eq!(kept, format);
        }
    });
}

pub(crate) fn a_bad_base_path_is_named() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "a file").expect("a file");
        for bad in [file.clone(), file.join("below"), "".into()] {
            check_refused(try_open(&bad).await, ErrorKind::Configuration, "base_path");
        }
        assert_eq!(std::fs::read(&file).expect("a file"), b"a file");
        open(&folder.path().join("new/and/deep")).await;
        assert!(folder.path().join("new/and/deep").is_dir());
    });
}

pub(crate) fn settings_refuse_unknown_fields() {
    let parse = |text: &str| serde_json::from_str::<LocalSettings>(text).map_err(|error| error.to_string());
    let settings = parse(r#"{"base_path": "/x"}"#).expect("the least");
    assert!(settings.fsync && settings.checksum && settings.public_url_base.is_none());
    let all = r#"{"base_path": "/x", "fsync": false, "checksum": false, "public_url_base": "https://a"}"#;
    let settings = parse(all).expect("everything");
    assert!(
        !settings.fsync && !settings.checksum && settings.public_url_base.as_deref() == Some("https://a")
    );
    for (bad, word) in [
        (r#"{"base_path": "/x", "fsyncs": true}"#, "fsyncs"),
        (r#"{"base_path": "/x", "basepath": "/y"}"#, "basepath"),
        (r#"{"base_path": "/x", "fsync": "no"}"#, "boolean"),
        ("{}", "base_path"),
    ] {
        let message = parse(bad).expect_err(bad);
        assert!(message.contains(word), "{message}");
    }
}

pub(crate) fn fsync_and_checksum_can_be_switched_off() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        for (round, change) in [
            (0, (|settings| settings) as fn(LocalSettings) -> LocalSettings),
            (1, LocalSettings::without_fsync),
            (2, LocalSettings::without_checksum),
            (3, |settings| settings.without_fsync().without_checksum()),
        ] {
            let settings = change(LocalSettings::new(folder.path()));
            let has_checksum = settings.checksum;
            let provider = LocalProvider::open("local", settings).await.expect("opened");
            assert_eq!(
                provider.capabilities().has(Capability::VerifiedRead),
                has_checksum
            );
            // All of them share one tree.
            for size_bytes in [0, 100, 3_000_000] {
                let name = format!("a/{round}/{size_bytes}.png");
                let bytes = pattern(size_bytes, round);
                let written = put(&provider, &name, bytes.clone()).await;
                assert_eq!(written.checksum.is_some(), has_checksum);
                assert!(read(&provider, &name).await == bytes);
                assert_eq!(metadata(&provider, &name).await, written);
            }
            let rounds = usize::try_from(round).expect("few");
            assert_eq!(list_all(&provider).await.len(), (rounds + 1) * 3);
        }
    });
}
