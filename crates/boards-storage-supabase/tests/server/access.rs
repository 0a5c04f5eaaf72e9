//! Keys that may not do everything, signatures, and public buckets.

use std::time::Duration;

use boards_storage_core::{
    CallOptions, DeleteOptions, DeleteOutcome, ErrorKind, PresignDownloadOptions, PresignUploadOptions,
    StorageProvider,
};
use boards_storage_supabase::{SupabaseProvider, SupabaseSettings};
use boards_storage_testkit::SupabaseOptions;

use crate::support::{BUCKET, Place, key};

#[tokio::test]
async fn what_may_not_be_deleted_is_not_told_to_be_absent() {
    let place = Place::open().await;
    place.put("readonly/a", "x").await.expect("stored");
    place.put("someone/b", "x").await.expect("stored");
    let settings = SupabaseSettings::new(place.double.url(), place.double.user_key("someone"), BUCKET);
    let user = SupabaseProvider::open("supabase", settings)
        .await
        .expect("opened");
    let keys = [key("readonly/a"), key("someone/b"), key("someone/c")];
    let deleted = user
        .delete_many(&keys, &DeleteOptions::default())
        .await
        .expect("tried");
    let outcomes: Vec<_> = deleted
        .into_iter()
        .map(|one| one.outcome.map_err(|error| error.kind()))
        .collect();
    assert_eq!(
        outcomes,
        [
            Err(ErrorKind::AccessDenied),
            Ok(DeleteOutcome::Existed),
            Ok(DeleteOutcome::Absent)
        ]
    );
    assert_eq!(&place.read("readonly/a").await.expect("still there")[..], b"x");
}

#[tokio::test]
async fn a_thousand_keys_go_in_one_request() {
    let options = SupabaseOptions::default().with_hard_limits(true);
    let place = Place::open_with(options, |settings| settings).await;
    place.put("n7", "x").await.expect("stored");
    let keys: Vec<_> = (0..1001).map(|number| key(&format!("n{number}"))).collect();
    let deleted = place
        .provider
        .delete_many(&keys[..1000], &DeleteOptions::default())
        .await;
    let deleted = deleted.expect("1,000 are allowed");
    let existed = deleted
        .iter()
        .filter(|one| matches!(one.outcome, Ok(DeleteOutcome::Existed)));
    assert_eq!(existed.count(), 1);
    let more = place.provider.delete_many(&keys, &DeleteOptions::default()).await;
    assert_eq!(more.expect_err("too many").kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn every_character_of_a_key_can_be_signed() {
    let place = Place::open().await;
    let hours = PresignUploadOptions::default().with_expires_in(Duration::from_hours(2));
    for character in "_!-.*'() &$@=;:+,?".chars() {
        let name = format!("sp/x{character}y?token=z.txt");
        let signed = place
            .provider
            .presigned_upload_url(&key(&name), &hours)
            .await
            .expect("signed");
        let http = reqwest::Client::new();
        let stored = http
            .put(&signed.url)
            .body(name.clone())
            .send()
            .await
            .expect("an answer");
        assert!(stored.status().is_success(), "{name}: {}", stored.status());
        assert_eq!(&place.read(&name).await.expect("stored")[..], name.as_bytes());
        let options =
            PresignDownloadOptions::default().with_content_disposition("attachment; filename=\"ü b.txt\"");
        let signed = place
            .provider
            .presigned_download_url(&key(&name), &options)
            .await
            .expect("signed");
        assert!(
            signed.url.is_ascii() && !signed.url.contains(' '),
            "{}",
            signed.url
        );
        let read = http.get(&signed.url).send().await.expect("an answer");
        let disposition = read.headers()["content-disposition"]
            .to_str()
            .expect("text")
            .to_owned();
        assert!(disposition.starts_with("attachment; filename="), "{disposition}");
        assert_eq!(read.text().await.expect("a body"), name);
    }
}

#[tokio::test]
async fn a_signed_upload_promises_no_more_than_its_key_and_its_life() {
    let place = Place::open().await;
    let hours = || PresignUploadOptions::default().with_expires_in(Duration::from_hours(2));
    for options in [hours(), PresignUploadOptions::default()] {
        let request = place.provider.presigned_upload_url(&key("a"), &options).await;
        assert!(request.expect("signed").headers.is_empty());
    }
    for options in [
        PresignUploadOptions::default().with_expires_in(Duration::from_hours(1)),
        hours().with_length(1),
        hours().with_length_max(1),
        hours()
            .with_attributes(boards_storage_core::ObjectAttributes::default().with_user_metadata("a", "b")),
        hours().with_write_id(boards_storage_core::WriteId::fresh()),
    ] {
        let refused = place.provider.presigned_upload_url(&key("a"), &options).await;
        assert_eq!(
            refused.expect_err("refused").kind(),
            ErrorKind::Unsupported,
            "{options:?}"
        );
    }
}

#[tokio::test]
async fn a_life_that_the_server_does_not_have_is_a_wrong_setting() {
    let place = Place::open_with(SupabaseOptions::default(), |mut settings| {
        settings.signed_upload_life = Duration::from_mins(1).into();
        settings
    })
    .await;
    let options = PresignUploadOptions::default().with_expires_in(Duration::from_mins(1));
    let error = place
        .provider
        .presigned_upload_url(&key("a"), &options)
        .await
        .expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.help(), Some("set signed_upload_life to '7200s'"));
}

#[tokio::test]
async fn a_public_bucket_is_read_without_a_signature() {
    let place = Place::open_with(SupabaseOptions::default(), SupabaseSettings::with_public).await;
    place.put("a b/c?d", "hello").await.expect("stored");
    place
        .provider
        .probe(&CallOptions::default())
        .await
        .expect("public");
    let url = place
        .provider
        .public_url(&key("a b/c?d"), &CallOptions::default())
        .await
        .expect("a URL");
    let read = reqwest::get(&url)
        .await
        .expect("an answer")
        .text()
        .await
        .expect("a body");
    assert_eq!(read, "hello");
    place.limit(serde_json::json!({ "public": false })).await;
    let error = place
        .provider
        .probe(&CallOptions::default())
        .await
        .expect_err("private now");
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn a_bucket_is_made_once() {
    let place = Place::open().await;
    let settings = SupabaseSettings::new(place.double.url(), place.double.service_key(), BUCKET);
    SupabaseProvider::open("again", settings.clone().with_create_bucket())
        .await
        .expect("it is there");
    let anonymous = SupabaseSettings::new(place.double.url(), place.double.anonymous_key(), "other");
    let error = SupabaseProvider::open("anonymous", anonymous.with_create_bucket())
        .await
        .expect_err("refused");
    assert_eq!(
        (error.kind(), error.provider()),
        (ErrorKind::AccessDenied, Some("anonymous"))
    );
}
