//! Failures of the server, its database and its store.

use std::time::Duration;

use boards_storage_core::{
    CallOptions, Content, ErrorKind, ListOptions, Result, StorageProvider, UploadOptions,
};
use boards_storage_supabase::{SupabaseProvider, SupabaseSettings};
use boards_storage_testkit::proxy::{Answer, Fault, FaultProxy, Rule};
use boards_storage_testkit::{SupabaseBackend, SupabaseFault, SupabaseOptions};
use futures_util::TryStreamExt;
use serde_json::json;

use crate::support::{BUCKET, Place, key};

#[track_caller]
fn check<T: std::fmt::Debug>(outcome: Result<T>, kind: ErrorKind, retries: bool) {
    let error = outcome.expect_err("a failure");
    assert_eq!(
        (error.kind(), error.retry().is_wanted()),
        (kind, retries),
        "{error}"
    );
    assert_eq!(error.provider(), Some("supabase"));
}

#[tokio::test]
async fn failures_of_the_database_can_be_retried() {
    let place = Place::open().await;
    for (fault, kind) in [
        (SupabaseFault::DatabaseTimeout, ErrorKind::Timeout),
        (SupabaseFault::DatabaseBusy, ErrorKind::RateLimited),
        (SupabaseFault::DatabaseDown, ErrorKind::ProviderUnavailable),
    ] {
        place.double.set_fault(fault);
        check(place.head("a").await, kind, true);
        check(place.put("a", "x").await, kind, true);
        check(place.read("a").await, kind, true);
        let exists = place.provider.exists(&key("a"), &CallOptions::default()).await;
        check(exists, kind, true);
        let listed = place
            .provider
            .list(&ListOptions::default())
            .await
            .expect("a stream");
        check(listed.try_collect::<Vec<_>>().await, kind, true);
        let begun = place.provider.create_upload(&key("a"), &Default::default()).await;
        assert!(begun.expect_err("a failure").retry().is_wanted());
    }
    place.double.set_fault(SupabaseFault::None);
    place.put("a", "x").await.expect("all is well again");
}

#[tokio::test]
async fn a_database_that_takes_no_writes_still_reads() {
    let place = Place::open().await;
    place.put("a", "x").await.expect("stored");
    place.double.set_fault(SupabaseFault::DatabaseReadOnly);
    // HTTP says 400, the body 503.
    check(place.put("a", "y").await, ErrorKind::ProviderUnavailable, true);
    assert_eq!(&place.read("a").await.expect("read")[..], b"x");
}

#[tokio::test]
async fn lost_bytes_are_no_missing_object() {
    let place = Place::open().await;
    place.put("a", "x").await.expect("stored");
    place.double.lose_bytes(BUCKET, "a");
    assert_eq!(place.head("a").await.expect("still known").size_bytes, 1);
    check(place.read("a").await, ErrorKind::Corruption, false);
    let copied = place
        .provider
        .copy(&key("a"), &key("b"), &Default::default())
        .await;
    check(copied, ErrorKind::Corruption, false);
    let file = SupabaseOptions::default().with_backend(SupabaseBackend::File);
    let place = Place::open_with(file, |settings| settings).await;
    place.put("a", "x").await.expect("stored");
    place.double.lose_bytes(BUCKET, "a");
    check(place.read("a").await, ErrorKind::ProviderUnavailable, true);
}

#[tokio::test]
async fn limits_of_the_bucket_are_held_to_by_every_way() {
    let place = Place::open().await;
    place.limit(json!({ "file_size_limit": 1000 })).await;
    place.put("a", vec![0_u8; 1000]).await.expect("at the limit");
    check(place.put("a", vec![0_u8; 1001]).await, ErrorKind::Rejected, false);
    // Of unknown length too: the bytes are gathered, so that their number can be told.
    let stream = Content::from_async_read(std::io::Cursor::new(vec![0_u8; 1001]));
    check(place.put("a", stream).await, ErrorKind::Rejected, false);
    check(
        place.put("a", vec![0_u8; 7 << 20]).await,
        ErrorKind::Rejected,
        false,
    );
    let stream = Content::from_async_read(std::io::Cursor::new(vec![0_u8; 7 << 20]));
    check(place.put("a", stream).await, ErrorKind::Rejected, false);
    assert_eq!(place.head("a").await.expect("the old").size_bytes, 1000);
    place
        .limit(json!({ "file_size_limit": null, "allowed_mime_types": ["image/png"] }))
        .await;
    check(place.put("a", "x").await, ErrorKind::Rejected, false);
}

#[tokio::test]
async fn a_missing_bucket_is_an_error_and_not_empty() {
    for is_old in [false, true] {
        let place = Place::open_with(SupabaseOptions::default().with_old(is_old), |settings| settings).await;
        let settings = SupabaseSettings::new(place.double.url(), place.double.service_key(), "nowhere");
        let provider = SupabaseProvider::open("supabase", settings)
            .await
            .expect("opened");
        check(
            provider.probe(&CallOptions::default()).await,
            ErrorKind::Configuration,
            false,
        );
        let listed = provider.list(&ListOptions::default()).await.expect("a stream");
        check(
            listed.try_collect::<Vec<_>>().await,
            ErrorKind::Configuration,
            false,
        );
        let exists = provider.exists(&key("a"), &CallOptions::default()).await;
        check(exists, ErrorKind::Configuration, false);
        let stored = provider
            .upload(&key("a"), "x".into(), &UploadOptions::default())
            .await;
        check(stored, ErrorKind::Configuration, false);
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_a_timeout() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let settings = SupabaseSettings::new(url, "k", BUCKET).with_request_timeout(Duration::from_millis(200));
    let provider = SupabaseProvider::open("supabase", settings)
        .await
        .expect("opened");
    check(
        provider.metadata(&key("a"), &CallOptions::default()).await,
        ErrorKind::Timeout,
        true,
    );
    drop(listener);
    let outcome = provider.metadata(&key("a"), &CallOptions::default()).await;
    check(outcome, ErrorKind::ProviderUnavailable, true);
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_never_shown() {
    let place = Place::open().await;
    let settings = SupabaseSettings::new(place.double.url(), "hunter2.hunter2.hunter2", BUCKET);
    assert!(!format!("{settings:?}").contains("hunter2"));
    let provider = SupabaseProvider::open("supabase", settings)
        .await
        .expect("opened");
    let error = provider
        .metadata(&key("a"), &CallOptions::default())
        .await
        .expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::AccessDenied);
    assert!(!format!("{provider:?} {error:?} {error}").contains("hunter2"));
}

/// A proxy before a double, and a provider that goes through it.
async fn through_a_proxy() -> (Place, FaultProxy, SupabaseProvider) {
    let place = Place::open().await;
    let proxy = FaultProxy::start(&place.double.url()).await.expect("a port");
    let settings = SupabaseSettings::new(proxy.endpoint(), place.double.service_key(), BUCKET);
    let provider = SupabaseProvider::open("supabase", settings)
        .await
        .expect("opened");
    (place, proxy, provider)
}

async fn check_writes(fault: impl Into<Fault>, kind: ErrorKind) {
    let (place, proxy, provider) = through_a_proxy().await;
    place.put("a", "old").await.expect("stored");
    let fault = fault.into();
    let lose_next = || proxy.inject(fault.clone());
    lose_next();
    let put = UploadOptions::default();
    check(provider.upload(&key("a"), "new".into(), &put).await, kind, true);
    lose_next();
    let copied = provider.copy(&key("a"), &key("b"), &Default::default()).await;
    // The source is looked at first.
    assert!(copied.expect_err("a failure").retry().is_wanted());
    proxy.inject(Rule::new(fault.clone()).with_method("POST"));
    let copied = provider.copy(&key("a"), &key("b"), &Default::default()).await;
    check(copied, kind, true);
    lose_next();
    check(provider.delete(&key("a"), &Default::default()).await, kind, true);
    place.put("a", "old").await.expect("stored");
    lose_next();
    let deleted = provider.delete_many(&[key("a")], &Default::default()).await;
    check(deleted, kind, true);
    assert_eq!(proxy.totals().faults, 5);
}

#[tokio::test]
async fn a_lost_answer_leaves_the_outcome_of_a_write_open() {
    check_writes(Fault::LoseAnswer, ErrorKind::OutcomeUnknown).await;
    let cut = Fault::TruncateResponse { after_bytes: 10 };
    check_writes(cut, ErrorKind::OutcomeUnknown).await;
    let (place, proxy, provider) = through_a_proxy().await;
    drop(proxy);
    // Nothing was sent.
    let unsent = provider
        .upload(&key("a"), "x".into(), &UploadOptions::default())
        .await;
    check(unsent, ErrorKind::ProviderUnavailable, true);
    assert!(place.head("a").await.is_err());
}

#[tokio::test]
async fn a_success_that_is_a_refusal_or_no_servers_is_none() {
    let refusal = json!({ "statusCode": "503", "error": "Unavailable", "message": "later" });
    let refusal = Answer::new(200).with_body(refusal.to_string());
    check_writes(refusal.clone(), ErrorKind::ProviderUnavailable).await;
    let (place, proxy, provider) = through_a_proxy().await;
    let page = || Answer::new(200).with_body("<html>Please sign in.</html>");
    let nothing = || Answer::new(200).with_body("{}");
    for answer in [page(), nothing()] {
        proxy.inject(answer);
        let put = UploadOptions::default();
        let stored = provider.upload(&key("a"), "x".into(), &put).await;
        check(stored, ErrorKind::OutcomeUnknown, true);
    }
    assert!(place.head("a").await.is_err(), "nothing was stored");
    for answer in [page(), nothing()] {
        proxy.inject(answer);
        let listed = provider.list(&ListOptions::default()).await.expect("a stream");
        check(listed.try_collect::<Vec<_>>().await, ErrorKind::Storage, false);
    }
    proxy.inject(refusal);
    let listed = provider.list(&ListOptions::default()).await.expect("a stream");
    check(
        listed.try_collect::<Vec<_>>().await,
        ErrorKind::ProviderUnavailable,
        true,
    );
}
