//! Steps that the recordings do not show: buckets, objects and uploads that were made before a request.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use crate::client::{send, send_partly};
use crate::recording::{Exchange, rename};
use crate::replay::Replay;

const USER: &str = "317eadce-631a-4429-a0bb-f19a7a517b4a";

/// Does what was done before that exchange.
pub(crate) async fn before(replay: &mut Replay, exchange: &Exchange) {
    match exchange.name.as_str() {
        "bucket.delete.not_empty" => replay.put("name-only", "x.txt", "x").await,
        "download.short_route" => downloads(replay).await,
        "list.root" => lists(replay).await,
        "copy.same_bucket" => {
            let said = [
                ("cache-control", "max-age=99"),
                ("x-metadata", "eyJvcmlnIjoiMSJ9"),
            ];
            replay
                .put_with("list-b", "src/orig.txt", b"original", &said)
                .await;
            replay.put("list-b", "src/other.txt", "other").await;
        }
        "sign.one" => signatures(replay).await,
        "use.object_deleted_after_sign" => replay.delete("sign-b", "gone.txt").await,
        "special.plus.sign_fully_encoded" => {
            for character in [
                "+", "&", ":", ";", "@", "=", "$", ",", "?", "!", "*", "'", "(", " ",
            ] {
                let key = format!("sp/x{character}y.txt");
                replay.put("sign-b", &key, "special").await;
            }
        }
        "tus.options" => {
            replay.bucket(json!({ "name": "tus-b" })).await;
            let limited =
                json!({ "name": "tus-lim", "file_size_limit": 1000, "allowed_mime_types": ["image/png"] });
            replay.bucket(limited).await;
        }
        "tus.patch_too_many_bytes"
        | "tus.method_override"
        | "extra.tus_small_patch0"
        | "tus.signed.delete" => {
            unrecorded_upload(replay, exchange).await;
        }
        "auth.get.no_header" => replay.put("media-private", "err/x.txt", "x").await,
        "bucket.list.final" => {
            replay
                .keep_buckets(&["media-private", "media-public", "media-limited"])
                .await
        }
        "py.create_bucket#1" => replay.bucket(json!({ "name": "s3proto-b" })).await,
        "prod.tus_location" => replay.bucket(json!({ "name": "media-private" })).await,
        name if name.starts_with("fail.") => failures(replay, exchange).await,
        _ => {}
    }
}

async fn downloads(replay: &mut Replay) {
    let bytes: Vec<u8> = (0..4).flat_map(|_| 0..=255_u8).collect();
    let private = [
        ("content-type", "application/octet-stream"),
        ("cache-control", "max-age=3600"),
        ("x-metadata", "eyJraW5kIjoidGVzdCJ9"),
    ];
    replay
        .put_with("media-private", "dl/data.bin", &bytes, &private)
        .await;
    replay
        .put_with("media-public", "dl/data.bin", &bytes, &private[..2])
        .await;
    replay
        .put_with("media-private", "dl/empty.bin", b"", &private[..1])
        .await;
    replay.put("media-private", "readonly/r.txt", "ro").await;
    replay
        .put("media-private", &format!("{USER}/mine.txt"), "mine")
        .await;
}

async fn lists(replay: &mut Replay) {
    replay.bucket(json!({ "name": "list-b" })).await;
    for key in [
        "a.txt",
        "b.txt",
        "B-upper.txt",
        "c d.txt",
        "dir/a.txt",
        "dir/b.txt",
        "dir/sub/deep.txt",
        "dir2/x.txt",
        "dir/sub2/y.txt",
        "emptyf/.emptyFolderPlaceholder",
        "numbers/1.txt",
        "numbers/2.txt",
        "numbers/10.txt",
        "_under.txt",
        "dup",
        "dup/child.txt",
    ] {
        let body = if key.ends_with("Placeholder") {
            String::new()
        } else {
            format!("data-{key}")
        };
        let cached: &[(&str, &str)] = if key == "a.txt" {
            &[("cache-control", "max-age=10")]
        } else {
            &[]
        };
        replay.put_with("list-b", key, body.as_bytes(), cached).await;
    }
}

async fn signatures(replay: &mut Replay) {
    replay.bucket(json!({ "name": "sign-b" })).await;
    replay.put("sign-b", "dir/plain.txt", "plain").await;
    let bytes: Vec<u8> = (0..4).flat_map(|_| 0..=255_u8).collect();
    let binary = [("content-type", "application/octet-stream")];
    replay.put_with("sign-b", "dir/a b.bin", &bytes, &binary).await;
    replay.put("sign-b", "plus+q?x.txt", "special").await;
    replay.put("sign-b", "pic.png", "png").await;
    replay.put("sign-b", "gone.txt", "gone").await;
    replay
        .put("media-private", &format!("{USER}/signme.txt"), "sign me")
        .await;
}

/// Creates the upload that a request goes on with, of the length that its later answers tell.
async fn unrecorded_upload(replay: &mut Replay, exchange: &Exchange) {
    let recorded = exchange
        .request
        .path
        .rsplit('/')
        .next()
        .expect("an id")
        .to_owned();
    let length = match exchange.name.as_str() {
        "tus.method_override" => 1000,
        "extra.tus_small_patch0" => 30,
        _ => 10,
    };
    let with_type = exchange.name.starts_with("extra.");
    let actual = create_upload(replay, &recorded, length, with_type).await;
    replay.known.insert(recorded, actual);
}

async fn create_upload(replay: &Replay, recorded: &str, length: usize, with_type: bool) -> String {
    let path = URL_SAFE_NO_PAD.decode(recorded).expect("an id");
    let path = rename(&String::from_utf8(path).expect("an id"));
    let (bucket, rest) = path.split_once('/').expect("a bucket");
    let (key, _version) = rest.rsplit_once('/').expect("a version");
    let mut metadata = format!(
        "bucketName {},objectName {}",
        STANDARD.encode(bucket),
        STANDARD.encode(key)
    );
    if with_type {
        metadata.push_str(&format!(",contentType {}", STANDARD.encode("text/plain")));
    }
    let length = length.to_string();
    let headers = replay.headers(&[
        ("tus-resumable", "1.0.0"),
        ("upload-length", &length),
        ("upload-metadata", &metadata),
    ]);
    let answer = send(
        replay.double.address(),
        "POST",
        "/upload/resumable",
        &headers,
        Vec::new(),
    )
    .await;
    let answer = answer.expect("created");
    let location = answer.headers.iter().find(|(name, _)| name == "location");
    let (_, location) = location.unwrap_or_else(|| panic!("no location: {answer:?}"));
    location.rsplit('/').next().expect("an id").to_owned()
}

async fn failures(replay: &mut Replay, exchange: &Exchange) {
    let text = [("content-type", "text/plain")];
    match (exchange.name.as_str(), exchange.backend.as_str()) {
        ("fail.blob_missing.get", "file") => {
            replay.put("media-private", "fail/a.txt", "a").await;
            replay.put("media-private", "fail/gone.txt", "gone").await;
            replay
                .double
                .lose_bytes(&rename("media-private"), "fail/gone.txt");
        }
        ("fail.blob_missing.get", _) => replay.double.lose_bytes(&rename("media-private"), "big/20m.bin"),
        ("fail.aborted_upload.info_after", _) => {
            let head = replay.head("POST", "/object/media-private/fail/aborted.bin", &text);
            drop(send_partly(replay.double.address(), &head, 100_000, &[b'x'; 5_000]).await);
        }
        ("fail.aborted_upsert.get_after", _) => {
            replay.put("media-private", "fail/keep.bin", "old content").await;
            let upsert = [text[0], ("x-upsert", "true")];
            let head = replay.head("POST", "/object/media-private/fail/keep.bin", &upsert);
            drop(send_partly(replay.double.address(), &head, 100_000, &[b'x'; 5_000]).await);
        }
        ("fail.tus_aborted_patch.head", _) => drop(send_half(replay, exchange).await),
        ("fail.tus_locked.head", _) => {
            let stream = send_half(replay, exchange).await;
            replay.open.push(stream);
        }
        _ => {}
    }
}

/// Sends half of an upload of 100,000 bytes on a connection that stays open.
async fn send_half(replay: &mut Replay, exchange: &Exchange) -> tokio::net::TcpStream {
    let recorded = exchange
        .request
        .path
        .rsplit('/')
        .next()
        .expect("an id")
        .to_owned();
    let actual = create_upload(replay, &recorded, 100_000, false).await;
    let said = [
        ("tus-resumable", "1.0.0"),
        ("upload-offset", "0"),
        ("content-type", "application/offset+octet-stream"),
    ];
    let head = replay.head("PATCH", &format!("/upload/resumable/{actual}"), &said);
    replay.known.insert(recorded, actual);
    send_partly(replay.double.address(), &head, 100_000, &[b'z'; 50_000]).await
}

impl Replay {
    fn headers(&self, said: &[(&str, &str)]) -> HashMap<String, String> {
        let bearer = format!("Bearer {}", self.double.service_key());
        let all = said
            .iter()
            .copied()
            .chain([("authorization", bearer.as_str()), ("host", "double")]);
        all.map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn head(&self, method: &str, path: &str, said: &[(&str, &str)]) -> String {
        let mut head = format!("{method} {} HTTP/1.1\r\n", rename(path));
        for (name, value) in self.headers(said) {
            if name != "host" {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        head
    }

    async fn must(&self, method: &str, path: &str, said: &[(&str, &str)], body: Vec<u8>) {
        let headers = self.headers(said);
        let answer = send(self.double.address(), method, &rename(path), &headers, body).await;
        let answer = answer.expect("an answer");
        assert_eq!(
            answer.status,
            200,
            "{method} {path}: {}",
            String::from_utf8_lossy(&answer.body)
        );
    }

    async fn bucket(&self, body: serde_json::Value) {
        let body = rename(&body.to_string()).into_bytes();
        self.must("POST", "/bucket", &[("content-type", "application/json")], body)
            .await;
    }

    async fn keep_buckets(&self, kept: &[&str]) {
        let address = self.double.address();
        let answer = send(address, "GET", "/bucket", &self.headers(&[]), Vec::new()).await;
        let buckets: serde_json::Value =
            serde_json::from_slice(&answer.expect("an answer").body).expect("a list of buckets");
        for bucket in buckets.as_array().expect("a list") {
            let id = bucket["id"].as_str().expect("an id");
            if !kept.iter().any(|kept| rename(kept) == id) {
                let path = format!("/bucket/{}", id.replace(' ', "%20"));
                self.must("DELETE", &path, &[], Vec::new()).await;
            }
        }
    }

    async fn put(&self, bucket: &str, key: &str, body: &str) {
        self.put_with(bucket, key, body.as_bytes(), &[]).await;
    }

    async fn put_with(&self, bucket: &str, key: &str, body: &[u8], said: &[(&str, &str)]) {
        let mut said = said.to_vec();
        if !said.iter().any(|(name, _)| *name == "content-type") {
            said.push(("content-type", "text/plain"));
        }
        said.push(("x-upsert", "true"));
        let path = format!("/object/{bucket}/{}", key.replace(' ', "%20").replace('?', "%3F"));
        self.must("POST", &path, &said, body.to_vec()).await;
    }

    async fn delete(&self, bucket: &str, key: &str) {
        self.must("DELETE", &format!("/object/{bucket}/{key}"), &[], Vec::new())
            .await;
    }
}
