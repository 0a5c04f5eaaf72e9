//! How objects lie on the disk.

use boards_storage_core::{
    Capability, Content, ContentType, DeleteOptions, DeleteOutcome, ErrorKind, StorageProvider, UploadOptions,
};
use boards_storage_local::{LocalProvider, LocalSettings};

use crate::support::{Base, get, head, key, kind, put};

#[tokio::test]
async fn an_object_is_a_plain_file_with_one_sidecar() {
    let base = Base::new();
    let provider = base.open().await;
    put(&provider, "a/b/c.bin", b"hello").await;
    assert_eq!(
        std::fs::read(base.path().join("a/b/c.bin")).expect("a file"),
        b"hello"
    );
    assert_eq!(
        std::fs::read_to_string(base.path().join(".boards-storage/format")).expect("a file"),
        "boards-storage local 1\n"
    );
    let sidecars = base.sidecars();
    assert_eq!(sidecars.len(), 1);
    let etag = head(&provider, "a/b/c.bin")
        .await
        .expect("there")
        .etag
        .expect("kept");
    assert!(
        sidecars[0]
            .to_str()
            .expect("UTF-8")
            .ends_with(&format!(".{etag}")),
        "{sidecars:?}"
    );
    let text = std::fs::read_to_string(&sidecars[0]).expect("a sidecar");
    assert!(
        text.contains("\"a/b/c.bin\"") && text.contains("image/webp") && text.contains("crc64nvme:"),
        "{text}"
    );
    assert_eq!(base.staged(), Vec::<String>::new());
    drop(provider);
    assert!(
        base.files(".boards-storage/staging").is_empty(),
        "an orderly end leaves no staging"
    );
}

#[tokio::test]
async fn an_overwrite_and_a_delete_leave_nothing_old() {
    let base = Base::new();
    let provider = base.open().await;
    for size in 0..5 {
        put(&provider, "a/b/c", &vec![1; size]).await;
        assert_eq!(base.sidecars().len(), 1);
    }
    put(&provider, "a/x", b"").await;
    let deleted = provider
        .delete(&key("a/b/c"), &DeleteOptions::default())
        .await
        .expect("deleted");
    assert_eq!(deleted, DeleteOutcome::Existed);
    assert!(!base.path().join("a/b").exists() && base.path().join("a/x").exists());
    provider
        .delete_many(&[key("a/x"), key("a/y")], &DeleteOptions::default())
        .await
        .expect("deleted");
    assert!(!base.path().join("a").exists() && base.path().exists());
    assert_eq!(base.sidecars().len(), 0);
}

#[tokio::test]
async fn what_the_name_says_needs_no_sidecar() {
    let base = Base::new();
    let provider = base.open_plain().await;
    assert!(!provider.capabilities().has(Capability::Checksum));
    let png = ContentType::parse("image/png").expect("a type");
    for (name, content_type, sidecars) in [
        ("a.png", Some(&png), 0),
        ("a", None, 0),
        ("b.png", None, 1),
        ("b", Some(&png), 2),
    ] {
        let mut options = UploadOptions::default();
        options.attributes.content_type = content_type.cloned();
        provider
            .upload(&key(name), Content::from("x"), &options)
            .await
            .expect("stored");
        assert_eq!(
            head(&provider, name)
                .await
                .expect("there")
                .attributes
                .content_type
                .as_ref(),
            content_type
        );
        assert_eq!(base.sidecars().len(), sidecars, "{name}");
    }
    // With a sidecar before and none after.
    provider
        .upload(&key("b"), Content::from("y"), &UploadOptions::default())
        .await
        .expect("stored");
    assert_eq!(base.sidecars().len(), 1);
    assert_eq!(get(&provider, "b").await.expect("read"), b"y");
}

#[tokio::test]
async fn an_unknown_format_is_refused() {
    let base = Base::new();
    std::fs::create_dir(base.path().join(".boards-storage")).expect("made");
    std::fs::write(
        base.path().join(".boards-storage/format"),
        "boards-storage local 2\n",
    )
    .expect("written");
    let error = LocalProvider::open("local", base.settings())
        .await
        .expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("boards-storage local 2"), "{error}");
}

#[tokio::test]
async fn a_base_that_cannot_be_used_is_told() {
    let base = Base::new();
    std::fs::write(base.path().join("file"), "").expect("written");
    let open = |path: &str| LocalProvider::open("local", LocalSettings::new(base.path().join(path)));
    assert_eq!(kind(open("file").await), ErrorKind::Configuration);
    assert_eq!(
        kind(LocalProvider::open("local", LocalSettings::new("")).await),
        ErrorKind::Configuration
    );
    let url = base.settings().with_public_url_base("cdn.example.com");
    assert_eq!(
        kind(LocalProvider::open("local", url).await),
        ErrorKind::Configuration
    );
    let made = open("new/deep/base").await.expect("made");
    made.probe(&Default::default()).await.expect("usable");
    std::fs::rename(base.path().join("new"), base.path().join("old")).expect("moved");
    assert_eq!(
        kind(made.probe(&Default::default()).await),
        ErrorKind::ProviderUnavailable
    );
}

#[tokio::test]
async fn a_reader_makes_nothing() {
    let base = Base::new();
    std::fs::write(base.path().join("a.txt"), "a").expect("written");
    let provider = base.open().await;
    assert_eq!(get(&provider, "a.txt").await.expect("read"), b"a");
    assert_eq!(kind(head(&provider, "b").await), ErrorKind::NotFound);
    provider.probe(&Default::default()).await.expect("usable");
    drop(provider);
    assert_eq!(base.files(""), ["a.txt".to_owned()].into());
    assert!(!base.path().join(".boards-storage").exists());
}

#[tokio::test]
async fn the_longest_keys_work_below_a_long_base() {
    let base = Base::new();
    // Together longer than any absolute path may be.
    let deep = format!("{}/x", "d".repeat(250)).repeat(14);
    let mut path = base.path().to_owned();
    path.push(deep);
    let provider = LocalProvider::open("local", LocalSettings::new(&path))
        .await
        .expect("opened");
    let segment = "s".repeat(255);
    let name = format!(
        "{segment}/{segment}/{segment}/{}/{}",
        "t".repeat(127),
        "e".repeat(128)
    );
    assert_eq!(name.len(), 1024);
    put(&provider, &name, b"far").await;
    assert_eq!(get(&provider, &name).await.expect("read"), b"far");
    provider
        .delete(&key(&name), &DeleteOptions::default())
        .await
        .expect("deleted");
    assert_eq!(kind(head(&provider, &name).await), ErrorKind::NotFound);
    let error = kind(head(&provider, &"s".repeat(256)).await);
    assert_eq!(error, ErrorKind::InvalidInput);
}

#[tokio::test]
async fn an_object_and_a_folder_exclude_each_other() {
    let base = Base::new();
    let provider = base.open().await;
    put(&provider, "a", b"1").await;
    put(&provider, "f/g", b"1").await;
    for name in ["a/b", "a/b/c", "f"] {
        let refused = provider
            .upload(&key(name), Content::from("x"), &UploadOptions::default())
            .await;
        assert_eq!(kind(refused), ErrorKind::InvalidInput, "{name}");
        assert_eq!(kind(head(&provider, name).await), ErrorKind::NotFound, "{name}");
        let absent = provider
            .delete(&key(name), &DeleteOptions::default())
            .await
            .expect("nothing to delete");
        assert_eq!(absent, DeleteOutcome::Absent, "{name}");
    }
    assert_eq!(base.sidecars().len(), 2);
    // An empty folder that somebody left there is in nobody's way.
    std::fs::create_dir(base.path().join("empty")).expect("made");
    put(&provider, "empty", b"2").await;
    assert_eq!(get(&provider, "empty").await.expect("read"), b"2");
}

#[tokio::test]
async fn a_segment_has_at_most_255_bytes() {
    let base = Base::new();
    let provider = base.open().await;
    for (good, bad) in [
        ("s".repeat(255), "s".repeat(256)),
        ("é".repeat(127), "é".repeat(128)),
    ] {
        put(&provider, &format!("{good}/{good}"), b"x").await;
        assert!(base.path().join(&good).join(&good).is_file());
        for bad in [bad.clone(), format!("{bad}/x"), format!("x/{bad}")] {
            let stored = provider
                .upload(&key(&bad), Content::from("x"), &UploadOptions::default())
                .await
                .expect_err("too long");
            assert!(stored.to_string().contains("255"), "{stored}");
            assert_eq!(stored.kind(), ErrorKind::InvalidInput);
            assert_eq!(kind(get(&provider, &bad).await), ErrorKind::InvalidInput);
            assert_eq!(kind(head(&provider, &bad).await), ErrorKind::InvalidInput);
        }
    }
}

#[tokio::test]
async fn a_folder_is_no_object() {
    let base = Base::new();
    let provider = base.open().await;
    put(&provider, "folder/object", b"x").await;
    std::fs::create_dir(base.path().join("empty")).expect("made");
    for name in ["folder", "empty"] {
        assert_eq!(kind(get(&provider, name).await), ErrorKind::NotFound);
        assert_eq!(kind(head(&provider, name).await), ErrorKind::NotFound);
        assert!(
            !provider
                .exists(&key(name), &Default::default())
                .await
                .expect("asked")
        );
        let copied = provider.copy(&key(name), &key("to"), &Default::default()).await;
        assert_eq!(kind(copied), ErrorKind::NotFound);
        let deleted = provider.delete(&key(name), &DeleteOptions::default()).await;
        assert_eq!(deleted.expect("answered"), DeleteOutcome::Absent);
    }
    assert!(base.path().join("folder/object").is_file() && base.path().join("empty").is_dir());
}
