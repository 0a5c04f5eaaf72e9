//! S3, on Ceph's object gateway.

use boards_storage::ErrorKind::{OutcomeUnknown, ProviderUnavailable, RateLimited};
use boards_storage_testkit::proxy::{Answer, Fault};
use serde_json::json;

use crate::Config;
use crate::case::{Case, Does, Expected};
use crate::store::{At, OnWire, Opened, Store, Unfinished, curl, text};

pub(crate) const STORE: Store = Store {
    name: "s3",
    kind: "s3",
    server: Some(("ceph", "S3")),
    address: "endpoint",
    open: |config| Box::pin(open(config)),
    part_bytes: PART_BYTES,
    at,
    cases,
    pinned: Some(|request| request.header("if-match").is_some()),
    pause: None,
    unfinished: |unfinished| Box::pin(count_unfinished(unfinished)),
    left_out: &[],
};

/// The least that the store takes.
const PART_BYTES: usize = 5 << 20;

async fn open(mut config: Config) -> Opened {
    let prefix = format!("faults/{:08x}/", rand::random::<u32>());
    config.insert("prefix".to_owned(), json!(prefix));
    config.insert("multipart_threshold".to_owned(), json!("1MiB"));
    config.insert("part_size".to_owned(), json!("5MiB"));
    Opened { config, double: None }
}

fn at(_: Does, at: At) -> OnWire {
    match at {
        At::Put | At::Copy => ("PUT", "/object", 0),
        At::Create => ("POST", "uploads", 0),
        At::SecondPart => ("PUT", "partNumber=2", 0),
        At::Complete => ("POST", "uploadId=", 0),
        At::Get => ("GET", "/object", 0),
        At::Head => ("HEAD", "/object", 0),
        At::Delete => ("DELETE", "/object", 0),
        At::DeleteMany => ("POST", "delete", 0),
        At::List => ("GET", "list-type=2", 0),
    }
}

/// The unfinished uploads, told by the store itself.
async fn count_unfinished(Unfinished { config, .. }: Unfinished) -> usize {
    let prefix = text(&config, "prefix").replace('/', "%2F");
    let (endpoint, bucket) = (text(&config, "endpoint"), text(&config, "bucket"));
    let keys = format!(
        "{}:{}",
        text(&config, "access_key_id"),
        text(&config, "secret_access_key")
    );
    let told = curl(&[
        "--aws-sigv4",
        &format!("aws:amz:{}:s3", text(&config, "region")),
        "--user",
        &keys,
        "--header",
        "x-amz-content-sha256: UNSIGNED-PAYLOAD",
        &format!("{endpoint}/{bucket}?prefix={prefix}&uploads="),
    ])
    .await;
    assert!(told.contains("<ListMultipartUploadsResult"), "{told}");
    told.matches("<UploadId>").count()
}

fn error(status: u16, code: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>injected</Message></Error>"
    );
    Answer::new(status)
        .with_header("content-type", "application/xml")
        .with_body(body)
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
        Case::new(Does::PutLong, At::SecondPart, reset(1 << 20), broken),
        Case::new(Does::PutLong, At::Complete, reset(10), lost),
        Case::new(Does::Parts, At::SecondPart, reset(1 << 20), broken),
        Case::new(Does::Parts, At::Complete, reset(10), lost),
        Case::new(Does::Copy, At::Copy, reset(0), lost),
        Case::new(Does::DeleteMany, At::DeleteMany, reset(10), lost),
    ]
}

fn lost_answers(lost: Expected, broken: Expected) -> Vec<Case> {
    let lose = |does, at, bare| Case::new(does, at, Fault::LoseAnswer, bare);
    vec![
        lose(Does::Put, At::Put, lost),
        lose(Does::PutIfAbsent, At::Put, lost),
        lose(Does::PutLong, At::Create, broken).may_leave_an_upload(),
        lose(Does::PutLong, At::SecondPart, broken),
        lose(Does::PutLong, At::Complete, lost),
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
    vec![
        Case::new(Does::Put, At::Put, Answer::new(503), broken),
        Case::new(Does::Put, At::Put, Answer::new(500), broken),
        Case::new(Does::Put, At::Put, Answer::new(429), limited),
        Case::new(Does::Put, At::Put, error(503, "SlowDown"), limited),
        Case::new(Does::PutIfAbsent, At::Put, error(503, "SlowDown"), limited),
        Case::new(Does::PutLong, At::Create, error(503, "SlowDown"), limited),
        Case::new(Does::PutLong, At::SecondPart, error(503, "SlowDown"), limited),
        Case::new(Does::PutLong, At::Complete, error(503, "SlowDown"), limited),
        Case::new(Does::Parts, At::SecondPart, error(500, "InternalError"), broken),
        Case::new(Does::Parts, At::Complete, error(500, "InternalError"), broken),
        Case::new(Does::Parts, At::Complete, error(503, "SlowDown"), limited),
        Case::new(Does::Get, At::Get, error(503, "SlowDown"), limited),
        Case::new(Does::Head, At::Head, Answer::new(503), broken),
        Case::new(Does::Delete, At::Delete, error(503, "SlowDown"), limited),
        Case::new(Does::DeleteMany, At::DeleteMany, error(503, "SlowDown"), limited),
        Case::new(Does::List, At::List, error(503, "SlowDown"), limited),
        Case::new(Does::Copy, At::Copy, error(503, "SlowDown"), limited),
    ]
}

/// A long request is answered before it has ended: 200, and what went wrong in the body. For the short ones this
/// never happens at a store, only at what stands before it.
fn errors_in_a_success(broken: Expected, limited: Expected) -> Vec<Case> {
    let failed = || error(200, "InternalError");
    vec![
        Case::new(Does::PutLong, At::Complete, failed(), broken),
        Case::new(Does::Parts, At::Complete, failed(), broken),
        Case::new(Does::Parts, At::Complete, error(200, "SlowDown"), limited),
        Case::new(Does::Copy, At::Copy, failed(), broken),
        Case::new(Does::Copy, At::Copy, error(200, "SlowDown"), limited),
        Case::new(Does::Put, At::Put, failed(), broken),
        Case::new(Does::PutLong, At::Create, failed(), broken),
        Case::new(Does::PutLong, At::SecondPart, failed(), broken),
        Case::new(Does::Parts, At::SecondPart, failed(), broken),
        Case::new(Does::Get, At::Get, failed(), broken),
        Case::new(Does::Head, At::Head, failed(), broken),
        Case::new(Does::List, At::List, failed(), broken),
        Case::new(Does::DeleteMany, At::DeleteMany, failed(), broken),
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
        Case::new(Does::List, At::List, reset(100), broken),
        Case::new(Does::List, At::List, truncate(100), broken),
        Case::new(Does::Copy, At::Copy, truncate(20), lost),
        Case::new(Does::Copy, At::Copy, reset(20), lost),
        Case::new(Does::DeleteMany, At::DeleteMany, truncate(20), lost),
        Case::new(Does::Parts, At::Create, truncate(20), broken).may_leave_an_upload(),
        // What is at the key tells that it was done.
        Case::new(Does::Parts, At::Complete, truncate(20), Expected::Done),
        Case::new(Does::PutLong, At::Complete, reset(20), Expected::Done),
    ]
}
