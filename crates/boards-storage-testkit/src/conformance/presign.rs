//! Signed requests: what they allow, sent by a client without credentials, and everything that they must not allow.

use std::time::Duration;

use boards_storage_core::{
    ByteRange, Capability, Checksum, CompleteUploadOptions, ErrorKind, ObjectAttributes, OperationKind,
    Precondition, PreconditionKind, PresignDownloadOptions, PresignPartOptions, PresignUploadOptions, Result,
    SignedMethod, SignedRequest, SignedUploadForm, WriteId,
};
use bytes::Bytes;

use super::case::{Case, content_type, pattern, refused, same_bytes};
use super::conformance_tests;
use super::multipart::part_size;
use super::need::Need::{Decides, Executor, ExpiringUploads, Has};
use crate::executor::SignedResponse;

const SIGN: OperationKind = OperationKind::PresignedUploadUrl;
const PUT: super::Need = Has(Capability::PresignedUpload);
const POST: super::Need = Has(Capability::PresignedPost);
const GET: super::Need = Has(Capability::PresignedDownload);
const PART: super::Need = Has(Capability::PresignedPart);

conformance_tests! {
    "presign" needs [Executor] {
        a_put_stores_the_object [PUT]
        a_put_keeps_attributes [PUT]
        a_put_overwrites [PUT]
        a_put_of_an_odd_key [PUT]
        a_put_with_another_key_is_refused [PUT]
        a_put_with_a_changed_signature_is_refused [PUT]
        a_put_with_another_content_type_is_refused [PUT, Has(Capability::ContentType)]
        a_put_with_another_length_is_refused [PUT]
        a_put_above_its_greatest_length_is_refused [PUT, Has(Capability::PresignedLengthMax)]
        a_put_with_other_bytes_than_the_checksum_is_refused [PUT, Has(Capability::Checksum)]
        an_expired_put_is_refused [PUT, ExpiringUploads]
        a_put_if_absent_leaves_what_is_there [PUT, Decides(SIGN, PreconditionKind::IfAbsent)]
        a_put_if_match_leaves_another_state [PUT, Decides(SIGN, PreconditionKind::IfMatch)]
        a_put_keeps_its_write_id [PUT, Has(Capability::WriteId)]
        a_put_is_no_get [PUT]
        a_post_stores_the_object [POST]
        a_post_with_another_key_is_refused [POST]
        a_post_with_a_changed_signature_is_refused [POST]
        a_post_with_another_content_type_is_refused [POST, Has(Capability::ContentType)]
        a_post_above_its_greatest_length_is_refused [POST, Has(Capability::PresignedLengthMax)]
        an_expired_post_is_refused [POST]
        a_get_reads_the_object [GET]
        a_get_of_an_odd_key [GET]
        a_get_of_a_missing_object_is_not_found [GET]
        a_get_of_a_range [GET, Has(Capability::Range)]
        a_get_serves_what_was_signed [GET, Has(Capability::ContentType)]
        a_get_of_another_key_is_refused [GET]
        a_get_with_a_changed_signature_is_refused [GET]
        a_get_is_no_put [GET]
        an_expired_get_is_refused [GET]
        a_part_is_stored [PART]
        a_part_with_another_length_is_refused [PART]
        an_expired_part_is_refused [PART]
        a_request_tells_when_it_expires [GET]
        lives_out_of_bounds_are_refused []
    }
}

const KEY: &str = "signedobject";
const VICTIM: &str = "signedvictim";

fn post() -> PresignUploadOptions {
    PresignUploadOptions::default().with_form(SignedUploadForm::Post)
}

async fn sign_upload(case: &Case, options: &PresignUploadOptions) -> Result<SignedRequest> {
    case.provider.presigned_upload_url(&case.key(KEY), options).await
}

/// Some stores sign only what is there, so something is.
async fn sign_download(case: &Case, options: &PresignDownloadOptions) -> Result<SignedRequest> {
    if !case.exists(KEY).await? {
        case.put(KEY, "x").await?;
    }
    case.provider
        .presigned_download_url(&case.key(KEY), options)
        .await
}

async fn send(case: &Case, request: &SignedRequest, body: impl Into<Bytes>) -> Result<SignedResponse> {
    case.executor().send(request, body.into()).await
}

#[track_caller]
fn accepted(response: &SignedResponse) {
    let text = String::from_utf8_lossy(&response.body[..response.body.len().min(500)]);
    assert!(response.is_success(), "refused with {}: {text}", response.status);
}

/// Sends a request that must be refused with one of the statuses for a client's mistake.
async fn is_refused(case: &Case, request: &SignedRequest, body: impl Into<Bytes>) -> Result<()> {
    let response = send(case, request, body).await?;
    assert!(
        (400..500).contains(&response.status),
        "{} instead of a refusal",
        response.status
    );
    Ok(())
}

/// As [`is_refused`], and both the object and its neighbour stay as they were.
async fn changes_nothing(case: &Case, request: &SignedRequest, body: impl Into<Bytes>) -> Result<()> {
    case.put(KEY, "old").await?;
    case.put(VICTIM, "victim").await?;
    is_refused(case, request, body).await?;
    case.assert_holds(KEY, b"old").await?;
    case.assert_holds(VICTIM, b"victim").await
}

fn for_another_key(mut request: SignedRequest) -> SignedRequest {
    request.url = request.url.replacen(KEY, VICTIM, 1);
    for (_, value) in &mut request.form_fields {
        if value.ends_with(KEY) {
            *value = value.replacen(KEY, VICTIM, 1);
        }
    }
    request
}

/// Changes one character of what is, by its name, a signature or a token.
fn with_changed_signature(mut request: SignedRequest) -> SignedRequest {
    let is_secret = |name: &str| {
        let name = name.to_ascii_lowercase();
        ["signature", "token", "sig"]
            .iter()
            .any(|secret| name.ends_with(secret))
    };
    let change = |value: &str| {
        // Not the last character: in Base64 its low bits may mean nothing.
        let middle = value.len() / 2;
        let other = if value[middle..].starts_with('a') {
            "b"
        } else {
            "a"
        };
        format!("{}{other}{}", &value[..middle], &value[middle + 1..])
    };
    let mut is_changed = false;
    if let Some((path, query)) = request.url.split_once('?') {
        let changed = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, value)) if is_secret(name) && !value.is_empty() => {
                is_changed = true;
                format!("{name}={}", change(value))
            }
            _ => pair.to_owned(),
        });
        request.url = format!("{path}?{}", changed.collect::<Vec<_>>().join("&"));
    }
    for (name, value) in request.form_fields.iter_mut().chain(&mut request.headers) {
        if is_secret(name) && !value.is_empty() {
            *value = change(value);
            is_changed = true;
        }
    }
    assert!(is_changed, "no signature was found in {request:?}");
    request
}

/// Waits until what was signed for one second has expired, also on a server whose clock is a little behind.
async fn one_second_and_more(case: &Case) {
    more_than(case, Duration::from_secs(1)).await;
}

async fn more_than(case: &Case, life: Duration) {
    let time = life + Duration::from_millis(1_100);
    match &case.fixture.pass_time {
        Some(pass_time) => pass_time(time),
        None => tokio::time::sleep(time).await,
    }
}

async fn stores_the_object(case: &Case, options: &PresignUploadOptions) -> Result<()> {
    for bytes in [pattern(100_000, 90), Bytes::from_static(b"x"), Bytes::new()] {
        let request = sign_upload(case, options).await?;
        accepted(&send(case, &request, bytes.clone()).await?);
        case.assert_holds(KEY, &bytes).await?;
    }
    Ok(())
}

async fn a_put_stores_the_object(case: Case) -> Result<()> {
    stores_the_object(&case, &PresignUploadOptions::default()).await
}

async fn a_put_keeps_attributes(case: Case) -> Result<()> {
    // A store whose signatures bind no attributes says so.
    let request = match sign_upload(
        &case,
        &PresignUploadOptions::default().with_attributes(case.attributes("one")),
    )
    .await
    {
        Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(()),
        request => request?,
    };
    accepted(&send(&case, &request, "x").await?);
    assert_eq!(case.head(KEY).await?.attributes, case.attributes("one"));
    Ok(())
}

async fn a_put_overwrites(case: Case) -> Result<()> {
    case.put_with(KEY, "an older text", &case.options_of("other2"))
        .await?;
    let request = sign_upload(&case, &PresignUploadOptions::default()).await?;
    accepted(&send(&case, &request, "new").await?);
    case.assert_holds(KEY, b"new").await
}

const ODD: &[&str] = &["a b+c", "ü/日本", "%2e%2e", "a?b#c&d=e", "it's (a) *"];

async fn a_put_of_an_odd_key(case: Case) -> Result<()> {
    for name in ODD.iter().filter(|name| case.can_hold(name)) {
        let request = case
            .provider
            .presigned_upload_url(&case.key(name), &PresignUploadOptions::default())
            .await?;
        accepted(&send(&case, &request, *name).await?);
        case.assert_holds(name, name.as_bytes()).await?;
    }
    Ok(())
}

async fn a_put_with_another_key_is_refused(case: Case) -> Result<()> {
    let request = for_another_key(sign_upload(&case, &PresignUploadOptions::default()).await?);
    assert!(request.url.contains(VICTIM), "the URL names the key");
    changes_nothing(&case, &request, "evil").await
}

async fn a_put_with_a_changed_signature_is_refused(case: Case) -> Result<()> {
    let request = with_changed_signature(sign_upload(&case, &PresignUploadOptions::default()).await?);
    changes_nothing(&case, &request, "evil").await
}

async fn a_put_with_another_content_type_is_refused(case: Case) -> Result<()> {
    let attributes = ObjectAttributes::default().with_content_type(content_type("image/png"));
    let mut request = match sign_upload(
        &case,
        &PresignUploadOptions::default().with_attributes(attributes),
    )
    .await
    {
        Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(()),
        request => request?,
    };
    let is_type = |name: &str| name.eq_ignore_ascii_case("content-type");
    let bound = request.headers.iter_mut().find(|(name, _)| is_type(name));
    bound.expect("the content type is a header that must be sent").1 = "text/html".to_owned();
    changes_nothing(&case, &request, "<script>").await?;
    request.headers.retain(|(name, _)| !is_type(name));
    changes_nothing(&case, &request, "<script>").await
}

async fn a_post_with_another_content_type_is_refused(case: Case) -> Result<()> {
    let attributes = ObjectAttributes::default().with_content_type(content_type("image/png"));
    let mut request = sign_upload(&case, &post().with_attributes(attributes)).await?;
    let is_type = |name: &str| name.eq_ignore_ascii_case("content-type");
    let bound = request.form_fields.iter_mut().find(|(name, _)| is_type(name));
    bound.expect("the content type is a field that must be sent").1 = "text/html".to_owned();
    changes_nothing(&case, &request, "<script>").await
}

async fn a_put_with_another_length_is_refused(case: Case) -> Result<()> {
    let request = match sign_upload(&case, &PresignUploadOptions::default().with_length(4)).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(()),
        request => request?,
    };
    for body in ["", "123", "12345"] {
        changes_nothing(&case, &request, body).await?;
    }
    accepted(&send(&case, &request, "1234").await?);
    case.assert_holds(KEY, b"1234").await
}

async fn length_max_is_held(case: &Case, options: PresignUploadOptions) -> Result<()> {
    let request = sign_upload(case, &options.with_length_max(4)).await?;
    changes_nothing(case, &request, "12345").await?;
    accepted(&send(case, &request, "1234").await?);
    case.assert_holds(KEY, b"1234").await
}

async fn a_put_above_its_greatest_length_is_refused(case: Case) -> Result<()> {
    // A store may bound the length of forms only, and says so.
    match length_max_is_held(&case, PresignUploadOptions::default()).await {
        Err(error) if error.kind() == ErrorKind::Unsupported && case.has(Capability::PresignedPost) => Ok(()),
        outcome => outcome,
    }
}

async fn a_put_with_other_bytes_than_the_checksum_is_refused(case: Case) -> Result<()> {
    let request = match sign_upload(
        &case,
        &PresignUploadOptions::default().with_checksum(Checksum::crc64_nvme(b"right")),
    )
    .await
    {
        Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(()),
        request => request?,
    };
    changes_nothing(&case, &request, "wrong").await?;
    accepted(&send(&case, &request, "right").await?);
    case.assert_holds(KEY, b"right").await
}

async fn an_expired_put_is_refused(case: Case) -> Result<()> {
    let fixed = case.provider.capabilities().presigned_upload_life;
    let life = fixed.unwrap_or(Duration::from_secs(1));
    let request = sign_upload(&case, &PresignUploadOptions::default().with_expires_in(life)).await?;
    more_than(&case, life).await;
    changes_nothing(&case, &request, "late").await
}

async fn a_put_if_absent_leaves_what_is_there(case: Case) -> Result<()> {
    let request = sign_upload(
        &case,
        &PresignUploadOptions::default().with_precondition(Precondition::IfAbsent),
    )
    .await?;
    accepted(&send(&case, &request, "first").await?);
    case.assert_holds(KEY, b"first").await?;
    let response = send(&case, &request, "second").await?;
    assert!(matches!(response.status, 409 | 412), "{}", response.status);
    case.assert_holds(KEY, b"first").await
}

async fn a_put_if_match_leaves_another_state(case: Case) -> Result<()> {
    case.put(KEY, "one").await?;
    let old = Precondition::IfMatch(case.etag(KEY).await?);
    let request = sign_upload(&case, &PresignUploadOptions::default().with_precondition(old)).await?;
    accepted(&send(&case, &request, "two").await?);
    let response = send(&case, &request, "three").await?;
    assert!(matches!(response.status, 409 | 412), "{}", response.status);
    case.assert_holds(KEY, b"two").await
}

async fn a_put_keeps_its_write_id(case: Case) -> Result<()> {
    let id = WriteId::fresh();
    let request = match sign_upload(&case, &PresignUploadOptions::default().with_write_id(id)).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(()),
        request => request?,
    };
    accepted(&send(&case, &request, "x").await?);
    assert_eq!(case.head(KEY).await?.write_id, Some(id));
    Ok(())
}

async fn a_put_is_no_get(case: Case) -> Result<()> {
    case.put(KEY, "secret").await?;
    let mut request = sign_upload(&case, &PresignUploadOptions::default()).await?;
    request.method = SignedMethod::Get;
    let response = send(&case, &request, Bytes::new()).await?;
    assert!((400..500).contains(&response.status), "{}", response.status);
    assert!(
        !response.body.windows(6).any(|window| window == b"secret"),
        "nothing is shown"
    );
    Ok(())
}

async fn a_post_stores_the_object(case: Case) -> Result<()> {
    stores_the_object(&case, &post()).await?;
    let request = sign_upload(&case, &post()).await?;
    assert_eq!(request.method, SignedMethod::Post);
    assert!(!request.form_fields.is_empty());
    Ok(())
}

async fn a_post_with_another_key_is_refused(case: Case) -> Result<()> {
    let request = for_another_key(sign_upload(&case, &post()).await?);
    changes_nothing(&case, &request, "evil").await
}

async fn a_post_with_a_changed_signature_is_refused(case: Case) -> Result<()> {
    let request = with_changed_signature(sign_upload(&case, &post()).await?);
    changes_nothing(&case, &request, "evil").await
}

async fn a_post_above_its_greatest_length_is_refused(case: Case) -> Result<()> {
    length_max_is_held(&case, post()).await
}

async fn an_expired_post_is_refused(case: Case) -> Result<()> {
    let request = sign_upload(&case, &post().with_expires_in(Duration::from_secs(1))).await?;
    one_second_and_more(&case).await;
    changes_nothing(&case, &request, "late").await
}

async fn a_get_reads_the_object(case: Case) -> Result<()> {
    for bytes in [pattern(200_000, 91), Bytes::from_static(b"x"), Bytes::new()] {
        case.put_with(KEY, bytes.clone(), &case.options_of("one")).await?;
        let request = sign_download(&case, &PresignDownloadOptions::default()).await?;
        assert_eq!(request.method, SignedMethod::Get);
        let response = send(&case, &request, Bytes::new()).await?;
        assert_eq!(response.status, 200);
        same_bytes(&response.body, &bytes, "the body");
        if case.has(Capability::ContentType) {
            assert_eq!(response.header("content-type"), Some("text/x-one"));
        }
    }
    Ok(())
}

async fn a_get_of_an_odd_key(case: Case) -> Result<()> {
    for name in ODD.iter().filter(|name| case.can_hold(name)) {
        case.put(name, *name).await?;
        let request = case
            .provider
            .presigned_download_url(&case.key(name), &Default::default())
            .await?;
        let response = send(&case, &request, Bytes::new()).await?;
        accepted(&response);
        same_bytes(&response.body, name.as_bytes(), name);
    }
    Ok(())
}

async fn a_get_of_a_missing_object_is_not_found(case: Case) -> Result<()> {
    let options = PresignDownloadOptions::default();
    match case
        .provider
        .presigned_download_url(&case.key(KEY), &options)
        .await
    {
        // A store that signs by itself may look first.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        request => assert_eq!(send(&case, &request?, Bytes::new()).await?.status, 404),
    }
    Ok(())
}

async fn a_get_of_a_range(case: Case) -> Result<()> {
    case.put(KEY, "0123456789").await?;
    let mut asked = sign_download(&case, &PresignDownloadOptions::default()).await?;
    asked.headers.push(("range".to_owned(), "bytes=2-4".to_owned()));
    let response = send(&case, &asked, Bytes::new()).await?;
    assert_eq!((response.status, &response.body[..]), (206, &b"234"[..]));
    assert_eq!(response.header("content-range"), Some("bytes 2-4/10"));
    let bound = match sign_download(
        &case,
        &PresignDownloadOptions::default().with_range(ByteRange::from(1..3)),
    )
    .await
    {
        Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(()),
        request => request?,
    };
    let response = send(&case, &bound, Bytes::new()).await?;
    assert_eq!((response.status, &response.body[..]), (206, &b"12"[..]));
    Ok(())
}

async fn a_get_serves_what_was_signed(case: Case) -> Result<()> {
    case.put_with(KEY, "x", &case.options_of("one")).await?;
    let options = PresignDownloadOptions::default()
        .with_content_type(content_type("application/x-other"))
        .with_content_disposition("attachment; filename=\"other.bin\"");
    let request = match sign_download(&case, &options).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(()),
        request => request?,
    };
    let response = send(&case, &request, Bytes::new()).await?;
    accepted(&response);
    assert_eq!(response.header("content-type"), Some("application/x-other"));
    assert_eq!(
        response.header("content-disposition"),
        Some("attachment; filename=\"other.bin\"")
    );
    Ok(())
}

/// Sends a request that must be refused and must not show the object or its neighbour.
async fn shows_nothing(case: &Case, request: &SignedRequest) -> Result<()> {
    case.put(KEY, "secret").await?;
    case.put(VICTIM, "secret").await?;
    let response = send(case, request, Bytes::new()).await?;
    assert!(
        (400..500).contains(&response.status),
        "{} instead of a refusal",
        response.status
    );
    assert!(
        !response.body.windows(6).any(|window| window == b"secret"),
        "nothing is shown"
    );
    Ok(())
}

async fn a_get_of_another_key_is_refused(case: Case) -> Result<()> {
    let request = for_another_key(sign_download(&case, &PresignDownloadOptions::default()).await?);
    assert!(request.url.contains(VICTIM), "the URL names the key");
    shows_nothing(&case, &request).await
}

async fn a_get_with_a_changed_signature_is_refused(case: Case) -> Result<()> {
    let request = with_changed_signature(sign_download(&case, &PresignDownloadOptions::default()).await?);
    shows_nothing(&case, &request).await
}

async fn a_get_is_no_put(case: Case) -> Result<()> {
    let mut request = sign_download(&case, &PresignDownloadOptions::default()).await?;
    request.method = SignedMethod::Put;
    changes_nothing(&case, &request, "evil").await
}

async fn an_expired_get_is_refused(case: Case) -> Result<()> {
    let options = PresignDownloadOptions::default().with_expires_in(Duration::from_secs(1));
    let request = sign_download(&case, &options).await?;
    one_second_and_more(&case).await;
    shows_nothing(&case, &request).await
}

async fn a_part_is_stored(case: Case) -> Result<()> {
    let upload = case
        .provider
        .create_upload(&case.key(KEY), &Default::default())
        .await?;
    let size = part_size(&case);
    let whole = pattern(size + 10, 92);
    for (number, part) in [(1, whole.slice(..size)), (2, whole.slice(size..))] {
        let options = PresignPartOptions::default();
        let request = case
            .provider
            .presigned_part_url(&upload, number, &options)
            .await?;
        accepted(&send(&case, &request, part).await?);
    }
    case.assert_absent(KEY).await?;
    let parts = case.provider.list_parts(&upload, &Default::default()).await?;
    case.provider
        .complete_upload(&upload, &parts, &CompleteUploadOptions::default())
        .await?;
    case.assert_holds(KEY, &whole).await
}

async fn a_part_with_another_length_is_refused(case: Case) -> Result<()> {
    let upload = case
        .provider
        .create_upload(&case.key(KEY), &Default::default())
        .await?;
    let options = PresignPartOptions::default().with_length(4);
    match case.provider.presigned_part_url(&upload, 1, &options).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => {}
        request => is_refused(&case, &request?, "12345").await?,
    }
    assert!(
        case.provider
            .list_parts(&upload, &Default::default())
            .await?
            .is_empty()
    );
    case.provider.abort_upload(&upload, &Default::default()).await
}

async fn an_expired_part_is_refused(case: Case) -> Result<()> {
    let upload = case
        .provider
        .create_upload(&case.key(KEY), &Default::default())
        .await?;
    let options = PresignPartOptions::default().with_expires_in(Duration::from_secs(1));
    let request = case.provider.presigned_part_url(&upload, 1, &options).await?;
    one_second_and_more(&case).await;
    is_refused(&case, &request, "late").await?;
    assert!(
        case.provider
            .list_parts(&upload, &Default::default())
            .await?
            .is_empty()
    );
    case.provider.abort_upload(&upload, &Default::default()).await
}

async fn a_request_tells_when_it_expires(case: Case) -> Result<()> {
    let hour = sign_download(&case, &PresignDownloadOptions::default())
        .await?
        .expires_at;
    let minute = PresignDownloadOptions::default().with_expires_in(Duration::from_mins(1));
    let minute = sign_download(&case, &minute).await?.expires_at;
    let between = hour.as_second() - minute.as_second();
    assert!(
        (3_480..=3_540).contains(&between),
        "an hour and a minute are {between} s apart"
    );
    Ok(())
}

async fn lives_out_of_bounds_are_refused(case: Case) -> Result<()> {
    const WEEK: Duration = Duration::from_hours(7 * 24);
    let key = case.key(KEY);
    case.put(KEY, "x").await?;
    let fixed = case.provider.capabilities().presigned_upload_life;
    for (life, is_allowed) in [
        (Duration::ZERO, false),
        (Duration::from_millis(999), false),
        (Duration::from_secs(1), true),
        (WEEK, true),
        (WEEK + Duration::from_secs(1), false),
        (Duration::from_hours(8 * 24), false),
        (Duration::MAX, false),
    ] {
        let mut outcomes = Vec::new();
        if case.has(Capability::PresignedUpload) {
            let outcome = case
                .provider
                .presigned_upload_url(&key, &PresignUploadOptions::default().with_expires_in(life))
                .await;
            if is_allowed && fixed.is_some_and(|fixed| fixed != life) {
                refused(outcome, ErrorKind::Unsupported);
            } else {
                outcomes.push(outcome);
            }
        }
        if case.has(Capability::PresignedPost) {
            outcomes.push(
                case.provider
                    .presigned_upload_url(&key, &post().with_expires_in(life))
                    .await,
            );
        }
        if case.has(Capability::PresignedDownload) {
            let options = PresignDownloadOptions::default().with_expires_in(life);
            outcomes.push(case.provider.presigned_download_url(&key, &options).await);
        }
        if case.has(Capability::PresignedPart) {
            let upload = case.provider.create_upload(&key, &Default::default()).await?;
            let options = PresignPartOptions::default().with_expires_in(life);
            outcomes.push(case.provider.presigned_part_url(&upload, 1, &options).await);
            case.provider.abort_upload(&upload, &Default::default()).await?;
        }
        for outcome in outcomes {
            if is_allowed {
                outcome?;
            } else {
                refused(outcome, ErrorKind::InvalidInput);
            }
        }
    }
    Ok(())
}
