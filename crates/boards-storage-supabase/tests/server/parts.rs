//! Uploads in parts: lost answers, broken parts, what a resumption sends.

use boards_storage_core::{
    CallOptions, ErrorKind, MultipartUpload, Part, PartPlace, SharedProvider, StorageProvider, UploadOptions,
    Uploader,
};
use boards_storage_testkit::{SupabaseLocation, SupabaseOptions};
use bytes::Bytes;

use crate::support::{BUCKET, Place, key};

const CHUNK: usize = 256 << 10;

async fn place() -> Place {
    let options = SupabaseOptions::default().with_location(SupabaseLocation::Unreachable);
    Place::open_with(options, |settings| {
        settings.with_resumable(CHUNK as u64, CHUNK as u64)
    })
    .await
}

fn bytes(length: usize) -> Bytes {
    (0..length)
        .map(|index| index.to_le_bytes()[0] ^ index.to_le_bytes()[1])
        .collect::<Vec<_>>()
        .into()
}

async fn send(place: &Place, upload: &MultipartUpload, whole: &Bytes, number: u32) -> Part {
    let start = (number as usize - 1) * CHUNK;
    let end = whole.len().min(start + CHUNK);
    let at = PartPlace::new(number, start as u64);
    let at = if end == whole.len() { at.last() } else { at };
    let part = place
        .provider
        .upload_part(upload, at, whole.slice(start..end).into(), &Default::default())
        .await;
    part.expect("sent")
}

#[tokio::test]
async fn a_part_whose_answer_was_lost_is_sent_again_without_harm() {
    let place = place().await;
    let whole = bytes(2 * CHUNK + 7);
    let upload = place
        .provider
        .create_upload(&key("a"), &Default::default())
        .await
        .expect("begun");
    let mut parts = Vec::new();
    for number in 1..=3 {
        send(&place, &upload, &whole, number).await;
        parts.push(send(&place, &upload, &whole, number).await);
    }
    assert_eq!(
        place
            .provider
            .list_parts(&upload, &CallOptions::default())
            .await
            .expect("listed"),
        parts
    );
    let first = place
        .provider
        .complete_upload(&upload, &parts, &Default::default())
        .await
        .expect("complete");
    // The answer to the completion was lost, too.
    let again = place
        .provider
        .complete_upload(&upload, &parts, &Default::default())
        .await
        .expect("complete");
    assert_eq!(first, again);
    assert_eq!(place.read("a").await.expect("read"), whole);
    place
        .provider
        .abort_upload(&upload, &CallOptions::default())
        .await
        .expect("nothing to abort");
    assert_eq!(place.read("a").await.expect("still there"), whole);
    // Once somebody else wrote there, it is not ours any more.
    place.put("a", "other").await.expect("stored");
    let late = place
        .provider
        .complete_upload(&upload, &parts, &Default::default())
        .await;
    assert_eq!(late.expect_err("not ours").kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_part_that_broke_off_is_gone_on_with() {
    let place = place().await;
    let whole = bytes(2 * CHUNK);
    let upload = place
        .provider
        .create_upload(&key("a"), &Default::default())
        .await
        .expect("begun");
    send(&place, &upload, &whole, 1).await;
    let offset = CHUNK.to_string();
    let headers = [
        ("tus-resumable", "1.0.0"),
        ("x-upsert", "true"),
        ("content-type", "application/offset+octet-stream"),
        ("upload-offset", offset.as_str()),
    ];
    let route = format!("upload/resumable/{}", upload.id);
    let half = whole.slice(CHUNK..CHUNK + 1000);
    let answer = place.raw(reqwest::Method::PATCH, &route, &headers, half).await;
    assert_eq!(answer.status().as_u16(), 204);
    let listed = place
        .provider
        .list_parts(&upload, &CallOptions::default())
        .await
        .expect("listed");
    assert_eq!(
        listed.iter().map(|part| part.size_bytes).collect::<Vec<_>>(),
        [CHUNK as u64, 1000]
    );
    send(&place, &upload, &whole, 2).await;
    let parts = place
        .provider
        .list_parts(&upload, &CallOptions::default())
        .await
        .expect("listed");
    place
        .provider
        .complete_upload(&upload, &parts, &Default::default())
        .await
        .expect("complete");
    assert_eq!(place.read("a").await.expect("read"), whole);
}

#[tokio::test]
async fn an_upload_that_took_too_long_is_not_found() {
    let place = place().await;
    let upload = place
        .provider
        .create_upload(&key("a"), &Default::default())
        .await
        .expect("begun");
    place.double.advance(std::time::Duration::from_hours(2));
    let late = place.provider.list_parts(&upload, &CallOptions::default()).await;
    assert_eq!(late.expect_err("expired").kind(), ErrorKind::NotFound);
    let at = PartPlace::new(1, 0).last();
    let sent = place
        .provider
        .upload_part(&upload, at, "x".into(), &Default::default())
        .await;
    assert_eq!(sent.expect_err("expired").kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn an_overwrite_in_chunks_forgets_the_old_metadata() {
    let place = place().await;
    let said = boards_storage_core::ObjectAttributes::default().with_user_metadata("a", "b");
    let options = UploadOptions::default().with_attributes(said);
    let whole = bytes(3 * CHUNK);
    place
        .provider
        .upload(&key("a"), whole.clone().into(), &options)
        .await
        .expect("stored");
    place.put("a", whole.clone()).await.expect("stored");
    assert!(place.head("a").await.expect("there").attributes.is_empty());
    assert_eq!(place.read("a").await.expect("read"), whole);
}

#[tokio::test]
async fn an_uploader_cuts_into_the_servers_chunks() {
    let place = place().await;
    let url = place.double.url();
    let settings = boards_storage_supabase::SupabaseSettings::new(url, place.double.service_key(), BUCKET)
        .with_resumable(CHUNK as u64, CHUNK as u64);
    let provider = boards_storage_supabase::SupabaseProvider::open("supabase", settings)
        .await
        .expect("opened");
    let provider: SharedProvider = std::sync::Arc::new(provider);
    let whole = bytes(5 * CHUNK + 3);
    let stream = boards_storage_core::Content::from_async_read(std::io::Cursor::new(whole.clone()));
    let stored = Uploader::new(provider)
        .upload(&key("a"), stream, &UploadOptions::default())
        .await
        .expect("stored");
    assert_eq!(stored.size_bytes, whole.len() as u64);
    assert_eq!(place.read("a").await.expect("read"), whole);
}
