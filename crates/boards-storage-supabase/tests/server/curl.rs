//! A client that has nothing but a signed request: curl.

use std::path::Path;
use std::time::Duration;

use boards_storage_core::{PresignDownloadOptions, PresignUploadOptions, SignedRequest, StorageProvider};
use serde_json::json;
use tokio::process::Command;

use crate::support::{Place, key};

/// A picture of one red dot.
const PNG: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00,
    0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x02, 0x00, 0x00, 0x00, 0x90, 0x77, 0x53, 0xde, 0x00,
    0x00, 0x00, 0x0c, 0x49, 0x44, 0x41, 0x54, 0x08, 0xd7, 0x63, 0xf8, 0xcf, 0xc0, 0x00, 0x00, 0x03, 0x01,
    0x01, 0x00, 0x18, 0xdd, 0x8d, 0xb0, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60,
    0x82,
];

/// Runs curl, and returns the HTTP status.
async fn curl(request: &SignedRequest, output: &str, arguments: &[&str]) -> u16 {
    let output = Command::new("curl")
        .args([
            "-sS",
            "-o",
            output,
            "-w",
            "%{http_code}",
            "-X",
            request.method.name(),
        ])
        .args(arguments)
        .arg(&request.url)
        .output()
        .await
        .expect("curl is installed: `apt-get install curl`");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.parse()
        .unwrap_or_else(|_| panic!("{text} {}", String::from_utf8_lossy(&output.stderr)))
}

async fn send(request: &SignedRequest, file: &Path, content_type: &str) -> u16 {
    let data = format!("@{}", file.display());
    let header = format!("content-type: {content_type}");
    curl(request, "/dev/null", &["--data-binary", &data, "-H", &header]).await
}

#[tokio::test]
async fn a_png_goes_up_and_comes_down() {
    let place = Place::open().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (up, down) = (folder.path().join("up.png"), folder.path().join("down.png"));
    tokio::fs::write(&up, PNG).await.expect("written");
    let options = PresignUploadOptions::default().with_expires_in(Duration::from_hours(2));
    let request = place
        .provider
        .presigned_upload_url(&key("pic ture.png"), &options)
        .await
        .expect("signed");
    assert_eq!(send(&request, &up, "image/png").await, 200);
    let head = place.head("pic ture.png").await.expect("stored");
    assert_eq!(
        head.attributes.content_type.expect("a type").as_str(),
        "image/png"
    );
    let options = PresignDownloadOptions::default();
    let signed = place
        .provider
        .presigned_download_url(&key("pic ture.png"), &options)
        .await
        .expect("signed");
    assert_eq!(curl(&signed, &down.display().to_string(), &[]).await, 200);
    assert_eq!(tokio::fs::read(&down).await.expect("downloaded"), PNG);
}

#[tokio::test]
async fn what_the_bucket_or_the_signature_forbids_changes_nothing() {
    let place = Place::open().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("x");
    tokio::fs::write(&file, vec![b'x'; 2000]).await.expect("written");
    place.put("a.png", "old").await.expect("stored");
    place
        .limit(json!({ "file_size_limit": 1000, "allowed_mime_types": ["image/png"] }))
        .await;
    let options = PresignUploadOptions::default().with_expires_in(Duration::from_hours(2));
    let request = place
        .provider
        .presigned_upload_url(&key("a.png"), &options)
        .await
        .expect("signed");
    assert_eq!(send(&request, &file, "image/png").await, 400, "too large");
    tokio::fs::write(&file, b"new").await.expect("written");
    assert_eq!(send(&request, &file, "text/html").await, 400, "another type");
    let mut other = request.clone();
    other.url = other.url.replacen("a.png", "b.png", 1);
    assert_eq!(send(&other, &file, "image/png").await, 400, "another key");
    let mut tampered = request.clone();
    let last = tampered.url.len() - 10;
    let changed = if tampered.url[last..].starts_with('a') {
        "b"
    } else {
        "a"
    };
    tampered.url.replace_range(last..=last, changed);
    assert_eq!(
        send(&tampered, &file, "image/png").await,
        400,
        "another signature"
    );
    place.double.advance(Duration::from_secs(7201));
    assert_eq!(send(&request, &file, "image/png").await, 400, "expired");
    assert_eq!(&place.read("a.png").await.expect("the old")[..], b"old");
}
