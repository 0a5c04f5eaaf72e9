//! What is put into the tree, or changed in it, by other hands.

use std::path::Path;

use boards_storage_core::{
    ByteRange, Content, DownloadOptions, ErrorKind, ListOptions, Precondition, StorageProvider, UploadOptions,
};
use futures_util::StreamExt;

use crate::support::{Base, attributes, get, head, key, kind, pattern, put};

/// Changes a file and gives it its old time back.
fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let modified = std::fs::metadata(path)
        .expect("there")
        .modified()
        .expect("a time");
    let mut bytes = std::fs::read(path).expect("read");
    change(&mut bytes);
    std::fs::write(path, bytes).expect("written");
    std::fs::File::options()
        .write(true)
        .open(path)
        .expect("open")
        .set_modified(modified)
        .expect("set");
}

#[tokio::test]
async fn a_dropped_file_is_an_object() {
    let base = Base::new();
    let provider = base.open().await;
    std::fs::create_dir(base.path().join("d")).expect("made");
    std::fs::write(base.path().join("d/photo.png"), "png").expect("written");
    assert_eq!(get(&provider, "d/photo.png").await.expect("read"), b"png");
    let metadata = head(&provider, "d/photo.png").await.expect("there");
    assert_eq!(
        metadata.attributes.content_type.expect("by extension").as_str(),
        "image/png"
    );
    assert_eq!((metadata.checksum, metadata.digest), (None, None));
    let listed: Vec<_> = provider
        .list(&ListOptions::default())
        .await
        .expect("listed")
        .collect()
        .await;
    assert_eq!(listed.len(), 1);
    // Its etag is as good as any.
    let options =
        UploadOptions::default().with_precondition(Precondition::IfMatch(metadata.etag.expect("one")));
    provider
        .upload(&key("d/photo.png"), Content::from("new"), &options)
        .await
        .expect("replaced");
    assert_eq!(
        kind(
            provider
                .upload(&key("d/photo.png"), Content::from("x"), &options)
                .await
        ),
        ErrorKind::PreconditionFailed
    );
    assert_eq!(get(&provider, "d/photo.png").await.expect("read"), b"new");
}

#[tokio::test]
async fn attributes_can_be_given_to_a_dropped_file() {
    let base = Base::new();
    let provider = base.open().await;
    std::fs::write(base.path().join("a.txt"), "text").expect("written");
    let set = provider
        .set_metadata(&key("a.txt"), &attributes(), &Default::default())
        .await
        .expect("set");
    assert_eq!(set.attributes, attributes());
    assert!(set.checksum.is_some());
    assert_eq!(get(&provider, "a.txt").await.expect("read"), b"text");
    let copy = provider
        .copy(&key("a.txt"), &key("b.txt"), &Default::default())
        .await
        .expect("copied");
    assert_eq!((copy.attributes, copy.checksum), (attributes(), set.checksum));
}

#[tokio::test]
async fn a_file_that_was_edited_in_place_is_a_dropped_one() {
    let base = Base::new();
    let provider = base.open().await;
    put(&provider, "a.txt", b"before").await;
    std::fs::write(base.path().join("a.txt"), "edited").expect("written");
    assert_eq!(get(&provider, "a.txt").await.expect("read"), b"edited");
    let metadata = head(&provider, "a.txt").await.expect("there");
    assert_eq!(
        metadata.attributes.content_type.expect("by extension").as_str(),
        "text/plain"
    );
    assert!(metadata.checksum.is_none() && metadata.attributes.user_metadata.is_empty());
    // Cut off, with the old time: the size tells.
    put(&provider, "b.txt", b"before").await;
    change(&base.path().join("b.txt"), |bytes| bytes.truncate(3));
    assert_eq!(get(&provider, "b.txt").await.expect("read"), b"bef");
}

#[tokio::test]
async fn rotten_bytes_are_corruption_on_a_full_read() {
    let base = Base::new();
    let provider = base.open().await;
    for size in [1, 4096, 1 << 20, (3 << 20) + 17] {
        put(&provider, "x", &pattern(size)).await;
        assert_eq!(get(&provider, "x").await.expect("sound"), pattern(size));
        for place in [0, size / 2, size - 1] {
            change(&base.path().join("x"), |bytes| bytes[place] ^= 4);
            let error = get(&provider, "x").await.expect_err("rotten");
            assert_eq!(error.kind(), ErrorKind::Corruption, "{size} {place}");
            assert_eq!(error.key(), Some(&key("x")));
            if size > 1 {
                let range = DownloadOptions::default().with_range(ByteRange::from(0..1));
                let part = provider.download(&key("x"), &range).await.expect("not checked");
                assert_eq!(
                    part.into_object()
                        .expect("sent")
                        .bytes(1)
                        .await
                        .expect("read")
                        .len(),
                    1
                );
            }
            change(&base.path().join("x"), |bytes| bytes[place] ^= 4);
        }
    }
    // A copy of what is rotten does not look sound.
    change(&base.path().join("x"), |bytes| bytes[5] ^= 1);
    provider
        .copy(&key("x"), &key("y"), &Default::default())
        .await
        .expect("copied");
    assert_eq!(kind(get(&provider, "y").await), ErrorKind::Corruption);
}

#[tokio::test]
async fn damaged_metadata_is_corruption() {
    let base = Base::new();
    let provider = base.open().await;
    put(&provider, "x", b"bytes").await;
    std::fs::write(&base.sidecars()[0], "{\"format\":").expect("written");
    assert_eq!(kind(head(&provider, "x").await), ErrorKind::Corruption);
    assert_eq!(kind(get(&provider, "x").await), ErrorKind::Corruption);
    // Writing it again heals it.
    put(&provider, "x", b"again").await;
    assert_eq!(get(&provider, "x").await.expect("read"), b"again");
    assert_eq!(base.sidecars().len(), 1);
}

/// Copies a tree as `rsync -a` and `cp -a` do: bytes and times.
fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("read") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::write(&target, std::fs::read(entry.path()).expect("read")).expect("written");
            let modified = entry.metadata().expect("metadata").modified().expect("a time");
            let file = std::fs::File::options().write(true).open(&target).expect("open");
            file.set_modified(modified).expect("set");
        }
    }
}

#[tokio::test]
async fn a_tree_at_rest_survives_a_copy_with_its_times() {
    let base = Base::new();
    let provider = base.open().await;
    let mut before = Vec::new();
    for index in 0..20 {
        let name = format!("f{}/n{index}", index % 3);
        put(&provider, &name, &pattern(index * 100)).await;
        before.push((name.clone(), head(&provider, &name).await.expect("there")));
    }
    drop(provider);
    let other = Base::new();
    copy_tree(base.path(), other.path());
    let provider = other.open().await;
    for (index, (name, metadata)) in before.into_iter().enumerate() {
        assert_eq!(head(&provider, &name).await.expect("there"), metadata);
        assert_eq!(get(&provider, &name).await.expect("read"), pattern(index * 100));
    }
}
