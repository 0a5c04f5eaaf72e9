//! What is said of objects: defaults, others' metadata, what a copy keeps.

use boards_storage_core::{
    Content, ContentType, CopyOptions, Digest, DigestAlgorithm, ErrorKind, ObjectAttributes, StorageProvider,
    UploadOptions, WriteId,
};

use crate::support::{BUCKET, Place, key};

#[tokio::test]
async fn a_default_that_was_said_is_told() {
    let place = Place::open().await;
    let said = ObjectAttributes::default()
        .with_content_type(ContentType::octet_stream())
        .with_cache_control("no-cache");
    for size in [1_usize, 7 << 20] {
        let options = UploadOptions::default().with_attributes(said.clone());
        place
            .provider
            .upload(&key("a"), vec![1; size].into(), &options)
            .await
            .expect("stored");
        assert_eq!(place.head("a").await.expect("there").attributes, said);
        place
            .provider
            .copy(&key("a"), &key("b"), &CopyOptions::default())
            .await
            .expect("copied");
        assert_eq!(place.head("b").await.expect("there").attributes, said);
        place.put("a", vec![1; size]).await.expect("stored");
        assert!(place.head("a").await.expect("there").attributes.is_empty());
    }
}

#[tokio::test]
async fn what_others_said_is_told_and_copied() {
    let place = Place::open().await;
    // {"n":1,"o":{"a":[true]},"t":"x"}
    let headers = [
        ("content-type", "text/html"),
        ("x-metadata", "eyJuIjoxLCJvIjp7ImEiOlt0cnVlXX0sInQiOiJ4In0="),
    ];
    let route = format!("object/{BUCKET}/a");
    let stored = place.raw(reqwest::Method::POST, &route, &headers, "<p>").await;
    assert!(stored.status().is_success());
    place
        .provider
        .copy(&key("a"), &key("b"), &CopyOptions::default())
        .await
        .expect("copied");
    for name in ["a", "b"] {
        let attributes = place.head(name).await.expect("there").attributes;
        let user: Vec<_> = attributes.user_metadata.into_iter().collect();
        let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            user,
            [text("n", "1"), text("o", r#"{"a":[true]}"#), text("t", "x")]
        );
        // It is served as plain text, but it is a page.
        assert_eq!(attributes.content_type.expect("a type").as_str(), "text/html");
    }
    let info = place
        .raw(reqwest::Method::GET, &format!("object/info/{BUCKET}/b"), &[], "")
        .await;
    let info: serde_json::Value = serde_json::from_slice(&info.bytes().await.expect("a body")).expect("JSON");
    assert_eq!(
        info["metadata"],
        serde_json::json!({ "n": 1, "o": { "a": [true] }, "t": "x" })
    );
}

#[tokio::test]
async fn a_copy_keeps_the_digest_and_not_the_write_id() {
    let place = Place::open().await;
    let digest = Digest::of(DigestAlgorithm::Blake3, b"x");
    let options = UploadOptions::default()
        .with_digest(digest)
        .with_write_id(WriteId::fresh());
    place
        .provider
        .upload(&key("a"), "x".into(), &options)
        .await
        .expect("stored");
    for attributes in [
        None,
        Some(ObjectAttributes::default().with_user_metadata("a", "b")),
    ] {
        let mut options = CopyOptions::default();
        options.attributes = attributes;
        place
            .provider
            .copy(&key("a"), &key("b"), &options)
            .await
            .expect("copied");
        let copied = place.head("b").await.expect("there");
        assert_eq!((copied.digest, copied.write_id), (Some(digest), None));
    }
}

#[tokio::test]
async fn a_cache_control_that_chunks_cannot_carry_is_refused() {
    let place = Place::open().await;
    let said = ObjectAttributes::default().with_cache_control("public, max-age=60");
    let options = UploadOptions::default().with_attributes(said.clone());
    let small = place
        .provider
        .upload(&key("a"), "x".into(), &options)
        .await
        .expect("in one request");
    assert_eq!(small.attributes, said);
    let content = Content::from_bytes(vec![0; 7 << 20]);
    let large = place
        .provider
        .upload(&key("a"), content, &options)
        .await
        .expect_err("refused");
    assert_eq!(large.kind(), ErrorKind::Unsupported);
    assert_eq!(place.head("a").await.expect("the old").size_bytes, 1);
}
