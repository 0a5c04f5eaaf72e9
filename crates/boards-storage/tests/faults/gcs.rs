//! Google Cloud Storage, on fake-gcs-server.

use std::collections::BTreeSet;

use boards_storage::ErrorKind::{OutcomeUnknown, ProviderUnavailable, RateLimited};
use boards_storage_testkit::proxy::{Answer, Fault};
use serde_json::{Value, json};

use crate::Config;
use crate::case::{Case, Does, Expected};
use crate::store::{At, OnWire, Opened, Store, Unfinished, curl, text};

pub(crate) const STORE: Store = Store {
    name: "gcs",
    kind: "gcs",
    server: Some(("fake-gcs", "GCS")),
    address: "endpoint",
    open: |config| Box::pin(open(config)),
    part_bytes: PART_BYTES,
    at,
    cases,
    // A state is named by its generation.
    pinned: Some(|request| request.query_names.iter().any(|name| name == "generation")),
    pause: Some(|config, time| {
        config.insert(
            "read_timeout".to_owned(),
            json!(format!("{}ms", time.as_millis())),
        );
    }),
    unfinished: |unfinished| Box::pin(count_unfinished(unfinished)),
    left_out: LEFT_OUT,
};

/// The least that a chunk can be.
const PART_BYTES: usize = 256 << 10;

/// After a chunk without an answer the provider asks how far the session is. What it makes of the true answers is
/// tested on the wire, in the provider's crate.
const SESSIONS: &str =
    "fake-gcs-server 1.54 completes a session, with what it has, when it is asked how far it is";

/// What the emulator answers wrongly.
const LEFT_OUT: &[(&str, &str)] = &[
    ("put_long_meets_a_reset_after_sending_", SESSIONS),
    ("put_long_meets_a_lost_answer_at_second_part", SESSIONS),
    ("put_long_meets_a_lost_answer_at_complete", SESSIONS),
    ("put_long_meets_503_and_an_error_at_", SESSIONS),
    ("put_long_meets_200_and_an_error_at_second_part", SESSIONS),
    ("put_long_meets_200_and_an_error_at_complete", SESSIONS),
    ("put_long_meets_a_reset_after_receiving_", SESSIONS),
    ("a_long_artifact_", SESSIONS),
];

async fn open(mut config: Config) -> Opened {
    let prefix = format!("faults/{:08x}/", rand::random::<u32>());
    config.insert("prefix".to_owned(), json!(prefix));
    config.insert("preconditions".to_owned(), json!("single_uploads"));
    config.insert("resumable_threshold".to_owned(), json!(PART_BYTES));
    config.insert("chunk_size".to_owned(), json!(PART_BYTES));
    Opened { config, double: None }
}

fn at(does: Does, at: At) -> OnWire {
    let in_parts = matches!(does, Does::Parts | Does::PartsUnnamed);
    match at {
        At::Put => ("POST", "uploadType=multipart", 0),
        // What stands for an upload in parts, and each part, is an object of its own.
        At::Create if in_parts => ("POST", "uploadType=multipart", 0),
        At::SecondPart if in_parts => ("POST", "uploadType=multipart", 2),
        At::Complete if in_parts => ("POST", "/compose", 0),
        At::Create => ("POST", "uploadType=resumable", 0),
        At::SecondPart => ("PUT", "upload_id=", 1),
        At::Complete => ("PUT", "upload_id=", 2),
        At::Get => ("GET", "alt=media", 0),
        At::Head => ("GET", "object", 0),
        At::Delete | At::DeleteMany => ("DELETE", "object", 0),
        At::List => ("GET", "/o?", 0),
        At::Copy => ("POST", "rewriteTo", 0),
    }
}

/// The unfinished uploads in parts, told by the store itself: the folders beside the keys. A session is invisible, and
/// Google forgets it within a week.
async fn count_unfinished(Unfinished { config, .. }: Unfinished) -> usize {
    let prefix = format!("{}.boards-storage/uploads/", text(&config, "prefix"));
    let told = curl(&[&format!(
        "{}/storage/v1/b/{}/o?prefix={}",
        text(&config, "endpoint"),
        text(&config, "bucket"),
        prefix.replace('/', "%2F")
    )])
    .await;
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["kind"], "storage#objects", "{told}");
    let names = told["items"].as_array().into_iter().flatten();
    let uploads = names.filter_map(|item| item["name"].as_str()?.strip_prefix(&prefix)?.split('/').next());
    uploads.collect::<BTreeSet<_>>().len()
}

/// An error as the store answers it.
fn error(status: u16, reason: &str) -> Answer {
    let body = json!({
        "error": {
            "code": 503,
            "message": "injected",
            "errors": [{ "domain": "global", "reason": reason, "message": "injected" }],
        },
    });
    Answer::new(status)
        .with_header("content-type", "application/json; charset=UTF-8")
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
        errors_in_a_success(broken, Expected::Fails(RateLimited)),
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
        Case::new(Does::PutIfAbsent, At::Put, reset(100_000), lost),
        Case::new(Does::PutLong, At::Create, reset(10), broken),
        Case::new(Does::PutLong, At::SecondPart, reset(100_000), broken),
        Case::new(Does::PutLong, At::Complete, reset(10), broken),
        Case::new(Does::Parts, At::SecondPart, reset(100_000), broken),
        Case::new(Does::Parts, At::Complete, reset(10), lost),
        Case::new(Does::Copy, At::Copy, reset(10), lost),
        Case::new(Does::Delete, At::Delete, reset(0), lost),
        Case::new(Does::DeleteMany, At::DeleteMany, reset(0), lost),
    ]
}

fn lost_answers(lost: Expected, broken: Expected) -> Vec<Case> {
    let lose = |does, at, bare| Case::new(does, at, Fault::LoseAnswer, bare);
    vec![
        lose(Does::Put, At::Put, lost),
        lose(Does::PutIfAbsent, At::Put, lost),
        lose(Does::PutLong, At::Create, broken),
        lose(Does::PutLong, At::SecondPart, Expected::Done),
        lose(Does::PutLong, At::Complete, Expected::Done),
        lose(Does::Parts, At::Create, broken).may_leave_an_upload(),
        lose(Does::Parts, At::SecondPart, broken),
        lose(Does::Parts, At::Complete, lost),
        // Without a name nobody can tell whose object is there.
        lose(Does::PartsUnnamed, At::Complete, lost).layered(lost),
        lose(Does::Copy, At::Copy, lost),
        lose(Does::Delete, At::Delete, lost),
        lose(Does::DeleteMany, At::DeleteMany, lost),
        lose(Does::Get, At::Get, broken),
        lose(Does::Head, At::Head, broken),
        lose(Does::List, At::List, broken),
    ]
}

fn refusals(broken: Expected, limited: Expected) -> Vec<Case> {
    let slow = || error(503, "rateLimitExceeded");
    vec![
        Case::new(Does::Put, At::Put, Answer::new(503), broken),
        Case::new(Does::Put, At::Put, Answer::new(500), broken),
        Case::new(Does::Put, At::Put, Answer::new(429), limited),
        Case::new(Does::Put, At::Put, slow(), limited),
        Case::new(Does::PutIfAbsent, At::Put, slow(), limited),
        Case::new(Does::PutLong, At::Create, slow(), limited),
        Case::new(Does::PutLong, At::SecondPart, slow(), limited),
        Case::new(Does::PutLong, At::Complete, slow(), limited),
        Case::new(Does::Parts, At::Create, slow(), limited),
        Case::new(Does::Parts, At::SecondPart, error(500, "backendError"), broken),
        Case::new(Does::Parts, At::Complete, error(500, "backendError"), broken),
        Case::new(Does::Parts, At::Complete, slow(), limited),
        Case::new(Does::Get, At::Get, Answer::new(503), broken),
        Case::new(Does::Get, At::Head, Answer::new(429), limited),
        Case::new(Does::Head, At::Head, Answer::new(503), broken),
        Case::new(Does::Delete, At::Delete, slow(), limited),
        Case::new(Does::DeleteMany, At::DeleteMany, slow(), limited),
        Case::new(Does::List, At::List, slow(), limited),
        Case::new(Does::Copy, At::Copy, slow(), limited),
    ]
}

/// A success with an error in its body is what a store, or what stands before it, answers when it had begun to.
fn errors_in_a_success(broken: Expected, limited: Expected) -> Vec<Case> {
    let failed = || error(200, "backendError");
    vec![
        Case::new(Does::Put, At::Put, failed(), broken),
        Case::new(Does::PutLong, At::Create, failed(), broken),
        Case::new(Does::PutLong, At::SecondPart, failed(), broken),
        Case::new(Does::PutLong, At::Complete, failed(), broken),
        Case::new(Does::Parts, At::Create, failed(), broken),
        Case::new(Does::Parts, At::SecondPart, failed(), broken),
        Case::new(Does::Parts, At::Complete, failed(), broken),
        Case::new(
            Does::Parts,
            At::Complete,
            error(200, "rateLimitExceeded"),
            limited,
        ),
        Case::new(Does::Copy, At::Copy, failed(), broken),
        Case::new(Does::Copy, At::Copy, error(200, "rateLimitExceeded"), limited),
        Case::new(Does::Delete, At::Delete, failed(), broken),
        Case::new(Does::DeleteMany, At::DeleteMany, failed(), broken),
        // What has no generation is read again.
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
        Case::new(Does::Head, At::Head, truncate(10), broken),
        Case::new(Does::List, At::List, reset(100), broken),
        Case::new(Does::List, At::List, truncate(20), broken),
        Case::new(Does::Put, At::Put, truncate(10), lost),
        Case::new(Does::Put, At::Put, reset(10), lost),
        Case::new(Does::Copy, At::Copy, truncate(20), lost),
        Case::new(Does::Copy, At::Copy, reset(20), lost),
        Case::new(Does::Parts, At::Create, truncate(20), broken).may_leave_an_upload(),
        Case::new(Does::Parts, At::SecondPart, truncate(20), broken),
        Case::new(Does::Parts, At::Complete, truncate(20), lost),
        Case::new(Does::PutLong, At::Complete, reset(20), Expected::Done),
    ]
}
