//! Tenant keys: made, rotated, wrapped anew, destroyed; by one process and by several.

use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{ErrorKind, Layer, Stack, StorageProvider, UploadOptions};
use boards_storage_layers::{
    EncryptionHeader, EncryptionLayer, FileTenantKeyStore, Keyring, SecretKey, TenantKeyStore, TenantKeys,
};
use boards_storage_testkit::MemoryProvider;

use super::bench::{Bench, context, key, sample, tenant};

fn keyring(primary: &str, keys: &[(&str, SecretKey)]) -> Arc<Keyring> {
    let find = |id: &str| {
        keys.iter()
            .find(|(known, _)| *known == id)
            .expect("known")
            .1
            .clone()
    };
    let mut ring = Keyring::new(primary, find(primary)).expect("an id");
    for (id, secret) in keys.iter().filter(|(id, _)| *id != primary) {
        ring = ring.with_key(*id, secret.clone()).expect("another id");
    }
    Arc::new(ring)
}

async fn generation(bench: &Bench, name: &str) -> u32 {
    let held = bench.stored(name).await;
    EncryptionHeader::parse(&held).expect("a header").generation()
}

#[tokio::test]
async fn rotation_leaves_old_objects_readable_and_untouched() {
    let bench = Bench::new();
    bench.put("old", &sample(100)).await;
    let before = bench.stored("old").await;
    assert_eq!(bench.keys.rotate(&tenant("acme")).await.expect("rotated"), 2);
    bench.put("new", &sample(100)).await;
    assert_eq!(
        (generation(&bench, "old").await, generation(&bench, "new").await),
        (1, 2)
    );
    assert_eq!(bench.stored("old").await, before);
    assert_eq!(bench.get("old").await.expect("read"), sample(100));
    assert_eq!(bench.get("new").await.expect("read"), sample(100));
}

#[tokio::test]
async fn a_shredded_tenant_reads_nothing_writes_nothing_and_says_why() {
    let bench = Bench::new();
    bench.put("a", &sample(100)).await;
    bench.keys.rotate(&tenant("acme")).await.expect("rotated");
    assert_eq!(bench.keys.shred(&tenant("acme")).await.expect("shredded"), 2);
    let read = bench.get("a").await.expect_err("refused");
    assert_eq!(read.kind(), ErrorKind::AccessDenied);
    assert!(
        read.to_string()
            .contains("key of the tenant 'acme' was destroyed"),
        "{read}"
    );
    let options = UploadOptions::default().with_context(context("acme", "b"));
    let write = bench
        .stack
        .upload(&key("b"), "x".into(), &options)
        .await
        .expect_err("refused");
    assert_eq!(write.kind(), ErrorKind::AccessDenied);
    let record = &bench.keys.list().await.expect("listed")[0];
    assert!(record.is_shredded() && record.generations.iter().all(|kept| kept.wrapped.is_none()));
    // A new key begins a new life; the old objects stay gone.
    assert_eq!(bench.keys.rotate(&tenant("acme")).await.expect("made"), 3);
    bench.put("b", &sample(10)).await;
    assert_eq!(bench.get("b").await.expect("read"), sample(10));
    assert_eq!(
        bench.get("a").await.expect_err("gone").kind(),
        ErrorKind::AccessDenied
    );
    assert_eq!(
        bench
            .keys
            .shred(&tenant("globex"))
            .await
            .expect_err("none")
            .kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test(start_paused = true)]
async fn another_process_notices_a_shredded_tenant_within_a_minute() {
    let bench = Bench::new();
    bench.put("a", &sample(100)).await;
    let key_encryption_key = SecretKey::random().expect("random");
    let other_ring = Keyring::new("test", key_encryption_key).expect("an id");
    let other = TenantKeys::new(
        Arc::new(other_ring),
        Arc::clone(&bench.store) as Arc<dyn TenantKeyStore>,
    );
    other.shred(&tenant("acme")).await.expect("shredded");
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(
        bench.get("a").await.expect_err("refused").kind(),
        ErrorKind::AccessDenied
    );
}

#[tokio::test]
async fn rewrapping_lets_an_old_key_encryption_key_go() {
    let (old, new) = (
        SecretKey::random().expect("random"),
        SecretKey::random().expect("random"),
    );
    let pairs = [("old", old), ("new", new)];
    let store: Arc<dyn TenantKeyStore> = Arc::new(boards_storage_layers::MemoryTenantKeyStore::default());
    let memory = MemoryProvider::new();
    let stack = |keys: TenantKeys| {
        let layer: Arc<dyn Layer> = Arc::new(EncryptionLayer::new(keys));
        Stack::new("main", Arc::clone(&memory) as _, vec![layer])
    };
    let first = TenantKeys::new(keyring("old", &pairs[..1]), Arc::clone(&store));
    let options = UploadOptions::default().with_context(context("acme", "a"));
    stack(first)
        .upload(&key("a"), "hello".into(), &options)
        .await
        .expect("stored");
    let both = TenantKeys::new(keyring("new", &pairs), Arc::clone(&store));
    let done = both.rewrap_all().await.expect("rewrapped");
    assert_eq!((done.rewrapped, done.unchanged), (1, 0));
    let again = both.rewrap_all().await.expect("rewrapped");
    assert_eq!((again.rewrapped, again.unchanged), (0, 1));
    let read = async |ring: Arc<Keyring>| {
        let options = boards_storage_core::DownloadOptions::default().with_context(context("acme", "a"));
        let download = stack(TenantKeys::new(ring, Arc::clone(&store)))
            .download(&key("a"), &options)
            .await?;
        download.into_object()?.bytes(100).await
    };
    assert_eq!(
        &read(keyring("new", &pairs[1..])).await.expect("read")[..],
        b"hello"
    );
    let missing = read(keyring("old", &pairs[..1])).await.expect_err("refused");
    assert_eq!(missing.kind(), ErrorKind::Configuration);
    assert!(
        missing.to_string().contains("the keyring has no key 'new'"),
        "{missing}"
    );
}

#[tokio::test]
async fn a_wrong_key_of_the_right_id_is_corruption() {
    let store: Arc<dyn TenantKeyStore> = Arc::new(boards_storage_layers::MemoryTenantKeyStore::default());
    let keys = |secret| TenantKeys::new(keyring("k", &[("k", secret)]), Arc::clone(&store));
    keys(SecretKey::random().expect("random"))
        .rotate(&tenant("acme"))
        .await
        .expect("made");
    let memory = MemoryProvider::new();
    let layer: Arc<dyn Layer> = Arc::new(EncryptionLayer::new(keys(SecretKey::random().expect("random"))));
    let stack = Stack::new("main", memory as _, vec![layer]);
    let options = UploadOptions::default().with_context(context("acme", "a"));
    let refused = stack
        .upload(&key("a"), "x".into(), &options)
        .await
        .expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::Corruption);
}

#[expect(clippy::disallowed_methods, reason = "a test that spoils the file itself")]
#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_make_one_first_key_and_lose_no_generation() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tenant-keys.json");
    let pair = [("k", SecretKey::random().expect("random"))];
    let keys = || TenantKeys::new(keyring("k", &pair), Arc::new(FileTenantKeyStore::new(&path)));
    let mut writers = Vec::new();
    let memory = MemoryProvider::new();
    for number in 0..8 {
        let layer: Arc<dyn Layer> = Arc::new(EncryptionLayer::new(keys()));
        let stack = Stack::new("main", Arc::clone(&memory) as _, vec![layer]);
        writers.push(tokio::spawn(async move {
            let name = format!("object-{number}");
            let options = UploadOptions::default().with_context(context("acme", &name));
            stack
                .upload(&key(&name), "hello".into(), &options)
                .await
                .map(drop)
        }));
    }
    for writer in writers {
        writer.await.expect("no panic").expect("stored");
    }
    assert_eq!(keys().list().await.expect("listed")[0].generations.len(), 1);
    let rotations = (0..5).map(|_| {
        let keys = keys();
        tokio::spawn(async move { keys.rotate(&tenant("acme")).await })
    });
    for rotation in rotations.collect::<Vec<_>>() {
        rotation.await.expect("no panic").expect("rotated");
    }
    let record = keys().list().await.expect("listed").remove(0);
    let numbers: Vec<u32> = record.generations.iter().map(|kept| kept.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    let text = std::fs::read_to_string(&path).expect("the file");
    std::fs::write(&path, &text[..text.len() / 2]).expect("cut");
    assert_eq!(
        keys().list().await.expect_err("refused").kind(),
        ErrorKind::Corruption
    );
    std::fs::write(&path, text.replace("\"format\": 1", "\"format\": 2")).expect("written");
    assert!(
        keys()
            .list()
            .await
            .expect_err("refused")
            .to_string()
            .contains("format 2")
    );
}

#[cfg(unix)]
#[expect(clippy::disallowed_methods, reason = "a test that looks at the file itself")]
#[tokio::test]
async fn a_file_of_tenant_keys_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tenant-keys.json");
    let ring = keyring("k", &[("k", SecretKey::random().expect("random"))]);
    let keys = TenantKeys::new(ring, Arc::new(FileTenantKeyStore::new(&path)));
    keys.rotate(&tenant("acme")).await.expect("made");
    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn nothing_that_is_printed_holds_a_key() {
    let secret = SecretKey::new([0xab; 32]);
    let bench = Bench::new();
    for text in [
        format!("{secret:?}"),
        format!("{:?}", bench.stack),
        format!("{:?}", bench.keys),
    ] {
        assert!(!text.contains("171") && !text.contains("abab"), "{text}");
    }
}
