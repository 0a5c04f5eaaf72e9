//! Supabase Storage, as the testkit's double plays it.

use std::collections::BTreeSet;

use boards_storage::ErrorKind::{OutcomeUnknown, ProviderUnavailable, RateLimited};
use boards_storage_testkit::proxy::{Answer, Fault};
use boards_storage_testkit::{SupabaseDouble, SupabaseOptions};
use serde_json::json;

use crate::Config;
use crate::case::{Case, Does, Expected};
use crate::store::{At, OnWire, Opened, Store, Unfinished, curl, text};

pub(crate) const STORE: Store = Store {
    name: "supabase",
    kind: "supabase",
    server: None,
    address: "url",
    open: |config| Box::pin(open(config)),
    part_bytes: PART_BYTES,
    at,
    cases,
    // The server ignores conditions: the provider compares the tag that it answers.
    pinned: None,
    pause: Some(|config, time| {
        config.insert(
            "read_timeout".to_owned(),
            json!(format!("{}ms", time.as_millis())),
        );
    }),
    unfinished: |unfinished| Box::pin(count_unfinished(unfinished)),
    left_out: &[],
};

/// The least that the settings allow.
const PART_BYTES: usize = 256 << 10;

async fn open(mut config: Config) -> Opened {
    let double = SupabaseDouble::start(SupabaseOptions::default())
        .await
        .expect("a port");
    config.insert("url".to_owned(), json!(double.url()));
    config.insert("key".to_owned(), json!(double.service_key()));
    config.insert("bucket".to_owned(), json!("artifacts"));
    config.insert("create_bucket".to_owned(), json!(true));
    config.insert("resumable_threshold".to_owned(), json!(PART_BYTES));
    config.insert("resumable_chunk_size".to_owned(), json!(PART_BYTES));
    let double = Some(double);
    Opened { config, double }
}

fn at(_: Does, at: At) -> OnWire {
    match at {
        At::Put => ("POST", "/object/artifacts/", 0),
        At::Create => ("POST", "/upload/resumable", 0),
        At::SecondPart => ("PATCH", "/upload/resumable/", 1),
        // After three parts the length is told.
        At::Complete => ("PATCH", "/upload/resumable/", 3),
        At::Get => ("GET", "/object/authenticated/", 0),
        At::Head => ("GET", "/object/info/", 0),
        At::Delete => ("DELETE", "/object/artifacts/", 0),
        At::DeleteMany => ("DELETE", "/object/artifacts", 0),
        At::List => ("POST", "/object/list", 0),
        At::Copy => ("POST", "/object/copy", 0),
    }
}

/// The unfinished among the uploads that were heard of, told by the store itself.
async fn count_unfinished(Unfinished { config, requests }: Unfinished) -> usize {
    let ids = requests.iter().filter_map(|request| {
        let id = request.path.split("/upload/resumable/").nth(1)?;
        Some(id.to_owned())
    });
    let mut unfinished = 0;
    for id in ids.collect::<BTreeSet<_>>() {
        let told = curl(&[
            "--head",
            "--header",
            &format!("authorization: Bearer {}", text(&config, "key")),
            "--header",
            "tus-resumable: 1.0.0",
            &format!("{}/storage/v1/upload/resumable/{id}", text(&config, "url")),
        ])
        .await;
        let header = |name: &str| {
            let line = told.lines().find_map(|line| line.strip_prefix(name));
            line.map(|value| value.trim().to_owned())
        };
        let offset = header("upload-offset:");
        assert!(offset.is_some() || told.contains(" 404 "), "{told}");
        unfinished += usize::from(offset.is_some() && offset != header("upload-length:"));
    }
    unfinished
}

/// An error as the server's proxy answers it.
fn error(status: u16, code: &str) -> Answer {
    let body = json!({ "statusCode": "503", "error": code, "message": "injected", "code": code });
    Answer::new(status)
        .with_header("content-type", "application/json")
        .with_body(body.to_string())
}

fn cases() -> Vec<Case> {
    let (lost, broken) = (
        Expected::Fails(OutcomeUnknown),
        Expected::Fails(ProviderUnavailable),
    );
    [
        resets(lost, broken),
        lost_answers(lost, broken),
        refusals(broken, Expected::Fails(RateLimited)),
        errors_in_a_success(broken),
        cut_answers(lost, broken),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn resets(lost: Expected, broken: Expected) -> Vec<Case> {
    let reset = |after_bytes| Fault::ResetRequest { after_bytes };
    vec![
        Case::new(Does::Put, At::Put, reset(0), lost),
        Case::new(Does::Put, At::Put, reset(100_000), lost),
        Case::new(Does::Put, At::Put, reset(200_000), lost),
        // The offset tells that they did not arrive.
        Case::new(Does::PutLong, At::SecondPart, reset(100_000), broken),
        Case::new(Does::Parts, At::SecondPart, reset(100_000), broken),
        Case::new(Does::Copy, At::Copy, reset(10), lost),
        Case::new(Does::Delete, At::Delete, reset(0), lost),
        Case::new(Does::DeleteMany, At::DeleteMany, reset(10), lost),
    ]
}

fn lost_answers(lost: Expected, broken: Expected) -> Vec<Case> {
    let lose = |does, at, bare| Case::new(does, at, Fault::LoseAnswer, bare);
    vec![
        lose(Does::Put, At::Put, lost),
        lose(Does::PutLong, At::Create, broken).may_leave_an_upload(),
        // The offset tells that the bytes arrived.
        lose(Does::PutLong, At::SecondPart, Expected::Done),
        lose(Does::Parts, At::Create, broken).may_leave_an_upload(),
        lose(Does::Parts, At::SecondPart, Expected::Done),
        lose(Does::Parts, At::Complete, Expected::Done),
        lose(Does::PartsUnnamed, At::Complete, Expected::Done),
        lose(Does::Copy, At::Copy, lost),
        lose(Does::Delete, At::Delete, lost),
        lose(Does::DeleteMany, At::DeleteMany, lost),
        lose(Does::Get, At::Get, broken),
        lose(Does::Head, At::Head, broken),
        lose(Does::List, At::List, broken),
        // The object is stored: that it cannot be looked at changes nothing.
        lose(Does::Put, At::Head, Expected::Done),
    ]
}

fn refusals(broken: Expected, limited: Expected) -> Vec<Case> {
    vec![
        Case::new(Does::Put, At::Put, Answer::new(503), broken),
        Case::new(Does::Put, At::Put, Answer::new(500), broken),
        Case::new(Does::Put, At::Put, Answer::new(429), limited),
        Case::new(Does::Put, At::Put, error(503, "SlowDown"), limited),
        Case::new(Does::PutLong, At::Create, error(503, "SlowDown"), limited),
        Case::new(Does::PutLong, At::SecondPart, Answer::new(503), broken),
        Case::new(Does::Parts, At::SecondPart, Answer::new(503), broken),
        Case::new(Does::Parts, At::Complete, Answer::new(503), broken),
        Case::new(Does::Get, At::Get, Answer::new(503), broken),
        Case::new(Does::Get, At::Head, Answer::new(429), limited),
        Case::new(Does::Head, At::Head, Answer::new(503), broken),
        Case::new(Does::Delete, At::Delete, Answer::new(503), broken),
        Case::new(Does::DeleteMany, At::DeleteMany, Answer::new(503), broken),
        Case::new(Does::List, At::List, Answer::new(503), broken),
        Case::new(Does::Copy, At::Copy, error(503, "SlowDown"), limited),
    ]
}

/// Nothing of the server's does this; what stands before it may.
fn errors_in_a_success(broken: Expected) -> Vec<Case> {
    let failed = || error(200, "InternalError");
    vec![
        Case::new(Does::Put, At::Put, failed(), broken),
        Case::new(Does::PutLong, At::Create, failed(), broken),
        Case::new(Does::PutLong, At::SecondPart, failed(), broken),
        Case::new(Does::Parts, At::SecondPart, failed(), broken),
        Case::new(Does::Parts, At::Complete, failed(), broken),
        Case::new(Does::Copy, At::Copy, failed(), broken),
        Case::new(Does::Delete, At::Delete, failed(), broken),
        Case::new(Does::DeleteMany, At::DeleteMany, failed(), broken),
        // It does not fit what is known of the object, so it is asked for again.
        Case::new(Does::Get, At::Get, failed(), Expected::Done),
        Case::new(Does::Head, At::Head, failed(), broken),
        Case::new(Does::List, At::List, failed(), broken),
    ]
}

fn cut_answers(lost: Expected, broken: Expected) -> Vec<Case> {
    let reset = |after_bytes| Fault::ResetResponse { after_bytes };
    let truncate = |after_bytes| Fault::TruncateResponse { after_bytes };
    vec![
        Case::new(Does::Get, At::Get, reset(0), broken),
        Case::new(Does::Get, At::Get, reset(10_000), broken),
        Case::new(Does::Get, At::Get, truncate(0), broken),
        Case::new(Does::Get, At::Get, truncate(10_000), broken),
        Case::new(Does::Get, At::Get, truncate(69_999), broken),
        Case::new(Does::Get, At::Head, truncate(10), broken),
        Case::new(Does::List, At::List, reset(100), broken),
        Case::new(Does::List, At::List, truncate(20), broken),
        Case::new(Does::Put, At::Put, truncate(10), lost),
        Case::new(Does::Copy, At::Copy, truncate(20), lost),
        Case::new(Does::DeleteMany, At::DeleteMany, truncate(20), lost),
    ]
}
