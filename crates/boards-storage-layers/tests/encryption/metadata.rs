//! User metadata: sealed for the store, as it was for whoever says which object it is of.

use boards_storage_core::{
    CallOptions, ErrorKind, ObjectAttributes, ObjectMetadata, Result, SetMetadataOptions, StorageProvider,
    UploadOptions,
};

use super::bench::{Bench, context, key};

fn secret() -> ObjectAttributes {
    ObjectAttributes::default()
        .with_user_metadata("patient", "Erika Mustermann")
        .with_user_metadata("diagnosis", "Grippe")
}

async fn put(bench: &Bench, attributes: ObjectAttributes) -> Result<ObjectMetadata> {
    let options = UploadOptions::default()
        .with_context(context("acme", "a"))
        .with_attributes(attributes);
    bench.stack.upload(&key("a"), "x".into(), &options).await
}

async fn head(bench: &Bench, object: &str) -> Result<ObjectAttributes> {
    let call = CallOptions::default().with_context(context("acme", object));
    bench
        .stack
        .metadata(&key("a"), &call)
        .await
        .map(|found| found.attributes)
}

async fn held(bench: &Bench) -> ObjectAttributes {
    let found = bench.memory.metadata(&key("a"), &CallOptions::default()).await;
    found.expect("there").attributes
}

#[tokio::test]
async fn the_store_learns_neither_names_nor_values() {
    let bench = Bench::new();
    let answer = put(&bench, secret()).await.expect("stored");
    assert_eq!(answer.attributes, secret());
    assert_eq!(head(&bench, "a").await.expect("there"), secret());
    let shown = format!("{:?}", held(&bench).await);
    for hidden in ["patient", "Erika", "diagnosis", "Grippe"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    let call = CallOptions::default();
    let without = bench.stack.metadata(&key("a"), &call).await.expect("there");
    assert!(without.attributes.user_metadata.is_empty());
}

#[tokio::test]
async fn changed_metadata_is_sealed_as_well() {
    let bench = Bench::new();
    put(&bench, ObjectAttributes::default()).await.expect("stored");
    let options = SetMetadataOptions::default().with_context(context("acme", "a"));
    let answer = bench
        .stack
        .set_metadata(&key("a"), &secret(), &options)
        .await
        .expect("set");
    assert_eq!(answer.attributes, secret());
    assert!(!format!("{:?}", held(&bench).await).contains("Grippe"));
    bench
        .keys
        .rotate(&super::bench::tenant("acme"))
        .await
        .expect("rotated");
    assert_eq!(head(&bench, "a").await.expect("there"), secret());
    let refused = bench
        .stack
        .set_metadata(&key("a"), &secret(), &SetMetadataOptions::default())
        .await;
    assert_eq!(refused.expect_err("refused").kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn metadata_that_was_touched_or_is_anothers_is_corruption() {
    let bench = Bench::new();
    put(&bench, secret()).await.expect("stored");
    assert_eq!(
        head(&bench, "b").await.expect_err("refused").kind(),
        ErrorKind::Corruption
    );
    let (name, sealed) = held(&bench).await.user_metadata.pop_first().expect("one field");
    for at in (0..sealed.len()).step_by(7) {
        let mut text = sealed.clone().into_bytes();
        text[at] = if text[at] == b'A' { b'B' } else { b'A' };
        let touched = String::from_utf8(text).expect("ASCII");
        let attributes = ObjectAttributes::default().with_user_metadata(name.clone(), touched);
        bench
            .memory
            .set_metadata(&key("a"), &attributes, &SetMetadataOptions::default())
            .await
            .expect("set");
        let error = head(&bench, "a").await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Corruption, "{at}: {error}");
    }
}

#[tokio::test]
async fn as_much_as_fits_once_it_is_sealed_is_kept() {
    let bench = Bench::new();
    let of = |length: usize| ObjectAttributes::default().with_user_metadata("a", "x".repeat(length));
    // {"a":"…"}, 33 bytes around it, and a third more.
    let most = (2048 - 21) * 3 / 4 - 33 - 8;
    put(&bench, of(most)).await.expect("fits");
    assert_eq!(head(&bench, "a").await.expect("there"), of(most));
    let refused = put(&bench, of(most + 1)).await.expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert!(
        refused
            .help()
            .is_some_and(|help| help.contains("fewer or shorter")),
        "{refused}"
    );
}
