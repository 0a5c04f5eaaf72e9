//! What the provider sends.

use boards_storage_core::{
    Content, ContentType, CopyOptions, Digest, DigestAlgorithm, ListEntry, ListOptions, ObjectAttributes,
    Result, StorageProvider, UploadOptions, WriteId,
};
use boards_storage_gcs::GcsSettings;
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};

use crate::server::{Server, answer, crc32c_text, key, object, refusal, resource};

#[tokio::test]
async fn a_small_upload_is_one_request_that_says_everything() {
    let server = Server::start([("POST", object("hello"))]).await;
    let provider = server
        .provider(|mut settings: GcsSettings| {
            settings.storage_class = Some("NEARLINE".to_owned());
            settings.kms_key_name = Some("projects/p/locations/l/keyRings/r/cryptoKeys/k".to_owned());
            settings.with_prefix("boards/")
        })
        .await;
    let id = WriteId::fresh();
    let digest = Digest::of(DigestAlgorithm::Blake3, b"hello");
    let attributes = ObjectAttributes::default()
        .with_content_type(ContentType::parse("image/png").expect("a type"))
        .with_content_encoding("gzip")
        .with_user_metadata("camera", "Größe 1");
    let options = UploadOptions::default()
        .with_attributes(attributes)
        .with_digest(digest)
        .with_write_id(id);
    let content = Content::from_stream(None, futures_util::stream::iter([Ok("hello".into())]));
    provider
        .upload(&key("a b"), content, &options)
        .await
        .expect("stored");
    let asked = server.asked();
    let [post] = &asked[..] else {
        panic!("one request: {asked:?}")
    };
    assert!(
        post.line.starts_with("POST /upload/storage/v1/b/media/o?"),
        "{}",
        post.line
    );
    post.has(&[
        "uploadType=multipart",
        "kmsKeyName=projects%2Fp%2Flocations%2Fl%2FkeyRings%2Fr%2FcryptoKeys%2Fk",
    ]);
    assert_eq!(post.header("authorization"), None);
    let boundary = post
        .header("content-type")
        .and_then(|text| text.split_once("boundary="));
    let boundary = boundary.expect("a boundary").1;
    let text = post.text();
    let parts: Vec<_> = text.split(&format!("--{boundary}")).collect();
    let (head, said) = parts[1].trim().split_once("\r\n\r\n").expect("a head");
    assert_eq!(head, "content-type: application/json; charset=UTF-8");
    let said: Value = serde_json::from_str(said).expect("JSON");
    let expected = json!({
        "name": "boards/a b",
        "contentType": "image/png",
        "contentEncoding": "gzip",
        "storageClass": "NEARLINE",
        "crc32c": crc32c_text(b"hello"),
        "metadata": {
            "camera": "Größe 1",
            "boards.digest": digest.to_string(),
            "boards.write-id": id.to_string(),
        },
    });
    assert_eq!(said, expected);
    assert_eq!(parts[2], "\r\ncontent-type: image/png\r\n\r\nhello\r\n");
    assert_eq!(parts[3], "--\r\n");
}

#[tokio::test]
async fn a_long_copy_is_asked_for_until_it_is_done() {
    let under_way = r#"{"done":false,"rewriteToken":"token/1"}"#;
    let done = format!(r#"{{"done":true,"resource":{}}}"#, resource("hello", 9));
    let script = [
        ("GET", object("hello")),
        ("rewriteTo", answer(200, under_way)),
        ("rewriteTo", answer(200, done)),
    ];
    let server = Server::start(script).await;
    let copied = server
        .plain()
        .await
        .copy(&key("a"), &key("b/c"), &CopyOptions::default())
        .await;
    assert_eq!(copied.expect("copied").etag.expect("a tag").as_str(), "9-2");
    let asked = server.asked();
    assert!(
        asked[1]
            .line
            .starts_with("POST /storage/v1/b/media/o/a/rewriteTo/b/media/o/b%2Fc?")
    );
    asked[1].has(&["sourceGeneration=1700000000000007"]);
    asked[2].has(&["sourceGeneration=1700000000000007", "rewriteToken=token%2F1"]);
    let expected = json!({ "contentType": "text/plain", "metadata": { "a": "ü" } });
    assert_eq!((asked[1].json(), asked[2].json()), (expected.clone(), expected));
}

#[tokio::test]
async fn a_source_that_was_replaced_is_copied_anew() {
    let done = |generation| {
        let text = format!(r#"{{"done":true,"resource":{}}}"#, resource("other", generation));
        ("rewriteTo", answer(200, text))
    };
    let script = [
        ("GET", object("hello")),
        ("rewriteTo", refusal(404, "notFound")),
        ("GET", object("hello")),
        // A store that pins nothing copied the next state.
        done(8),
        ("GET", answer(200, resource("other", 9))),
        done(10),
    ];
    let server = Server::start(script).await;
    let attributes = ObjectAttributes::default().with_user_metadata("new", "1");
    let options = CopyOptions::default().with_attributes(attributes);
    let copied = server.plain().await.copy(&key("a"), &key("b"), &options).await;
    assert_eq!(copied.expect("copied").size_bytes, 5);
    let last = server.asked().pop().expect("asked");
    last.has(&["sourceGeneration=9"]);
    let expected = json!({ "contentType": "binary/octet-stream", "metadata": { "new": "1" } });
    assert_eq!(last.json(), expected);
}

#[tokio::test]
async fn pages_are_merged_and_uploads_in_parts_are_hidden() {
    let item = |name: &str| {
        format!(r#"{{"name":"boards/{name}","size":"1","generation":"7","metageneration":"1"}}"#)
    };
    let page = |names: &[&str], prefixes: &[&str], token: &str| {
        let items: Vec<_> = names.iter().map(|name| item(name)).collect();
        let prefixes: Vec<_> = prefixes.iter().map(|name| format!("boards/{name}")).collect();
        let prefixes = json!(prefixes);
        format!(
            r#"{{"items":[{}],"prefixes":{prefixes},"nextPageToken":"{token}"}}"#,
            items.join(",")
        )
    };
    let script = [
        (
            "/o?",
            answer(200, page(&["a", "c"], &[".boards-storage/", "b/"], "next")),
        ),
        ("pageToken=next", answer(200, page(&["d//e", "e"], &[], ""))),
    ];
    let server = Server::start(script).await;
    let provider = server.provider(|settings| settings.with_prefix("boards/")).await;
    let options = ListOptions::default()
        .with_delimiter("/")
        .with_start_after("a")
        .with_limit(5);
    let stream = provider.list(&options).await.expect("it begins");
    let listed: Result<Vec<ListEntry>> = stream.try_collect().await;
    let listed = listed.expect("listed");
    let names: Vec<_> = listed.iter().map(ListEntry::name).collect();
    assert_eq!(names, ["b/", "c", "e"]);
    let asked = server.asked();
    asked[0].has(&[
        "prefix=boards%2F",
        "delimiter=%2F",
        "startOffset=boards%2Fa",
        "maxResults=5",
    ]);
    asked[1].has(&["prefix=boards%2F", "maxResults=3", "pageToken=next"]);
}
