//! Reading: bytes, ranges, conditions, and what is known of an object.

use std::ops::Range;

use http::Method;
use jiff::Timestamp;
use serde_json::Value;

use super::access::{Action, Role};
use super::metadata::check_key;
use super::reply::{Failure, Reply, blob_reply, ok, reply, set};
use super::request::{Request, decode_uri};
use super::route::Place;
use super::state::{Object, http_date};
use super::{Shared, SupabaseBackend, token};

/// Finds an object for a role that may be restricted. A public bucket's objects are everybody's.
fn find(shared: &Shared, role: &Role, place: &Place) -> Result<Object, Failure> {
    check_key(&place.key)?;
    shared.check_database(false)?;
    let state = shared.state.lock();
    let bucket = state
        .buckets
        .get(&place.bucket)
        .ok_or_else(Failure::no_such_bucket)?;
    if !bucket.public && !role.may(shared, Action::Select, &place.bucket, &place.key) {
        return Err(Failure::no_such_key());
    }
    let object = bucket.objects.get(&place.key);
    object.cloned().ok_or_else(Failure::no_such_key)
}

/// Finds an object of a public bucket.
fn find_public(shared: &Shared, place: &Place) -> Result<Object, Failure> {
    check_key(&place.key)?;
    shared.check_database(false)?;
    let is_public = {
        let state = shared.state.lock();
        state
            .buckets
            .get(&place.bucket)
            .is_some_and(|bucket| bucket.public)
    };
    if is_public {
        find(shared, &Role::Service, place)
    } else {
        Err(Failure::no_such_bucket())
    }
}

fn find_authenticated(shared: &Shared, request: &Request, place: &Place) -> Result<Object, Failure> {
    let role = shared.role_of(request.authorization()?)?;
    find(shared, &role, place)
}

/// The short route takes an invalid token for none.
fn find_short(shared: &Shared, request: &Request, place: &Place) -> Result<Object, Failure> {
    match request.header("authorization").map(|text| shared.role_of(text)) {
        Some(Ok(role)) => find(shared, &role, place),
        Some(Err(_)) | None => find_public(shared, place),
    }
}

pub(super) async fn authenticated(
    shared: &Shared,
    request: &Request,
    place: &Place,
) -> Result<Reply, Failure> {
    let object = find_authenticated(shared, request, place)?;
    serve(shared, request, &object, None).await
}

pub(super) async fn public(shared: &Shared, request: &Request, place: &Place) -> Result<Reply, Failure> {
    let object = find_public(shared, place)?;
    serve(shared, request, &object, None).await
}

pub(super) async fn short(shared: &Shared, request: &Request, place: &Place) -> Result<Reply, Failure> {
    let object = find_short(shared, request, place)?;
    serve(shared, request, &object, None).await
}

pub(super) async fn signed(shared: &Shared, request: &Request, place: &Place) -> Result<Reply, Failure> {
    let claims = signed_claims(shared, request)?;
    if claims["url"] != format!("{}/{}", place.bucket, place.key) {
        return Err(Failure::signature("Invalid signature"));
    }
    let object = find(shared, &Role::Service, place)?;
    let expires = claims["exp"]
        .as_i64()
        .and_then(|end| Timestamp::from_second(end).ok());
    serve(shared, request, &object, expires.or(Some(Timestamp::UNIX_EPOCH))).await
}

pub(super) fn signed_claims(shared: &Shared, request: &Request) -> Result<Value, Failure> {
    let given = request
        .query("token")
        .ok_or_else(|| Failure::schema("querystring must have required property 'token'"))?;
    let claims =
        token::verify(&shared.options.jwt_secret, given, shared.now().as_second()).map_err(Failure::token)?;
    match claims["scope"].as_str() {
        Some("download") | None => Ok(claims),
        Some(_) => Err(Failure::signature("Token is not scoped for download")),
    }
}

pub(super) fn info_authenticated(
    shared: &Shared,
    request: &Request,
    place: &Place,
) -> Result<Reply, Failure> {
    Ok(info(&find_authenticated(shared, request, place)?, place))
}

pub(super) fn info_public(shared: &Shared, _request: &Request, place: &Place) -> Result<Reply, Failure> {
    Ok(info(&find_public(shared, place)?, place))
}

pub(super) fn info_short(shared: &Shared, request: &Request, place: &Place) -> Result<Reply, Failure> {
    Ok(info(&find_short(shared, request, place)?, place))
}

fn info(object: &Object, place: &Place) -> Reply {
    let mut reply = ok(&object.info(&place.bucket, &place.key));
    set(&mut reply, "etag", &object.quoted_etag());
    set(&mut reply, "last-modified", &http_date(object.updated));
    set(&mut reply, "cache-control", &object.cache_control);
    reply
}

/// What the bytes' store says to a range.
enum Wanted {
    All,
    Part(Range<u64>),
    Nothing,
}

async fn serve(
    shared: &Shared,
    request: &Request,
    object: &Object,
    expires: Option<Timestamp>,
) -> Result<Reply, Failure> {
    let backend = shared.options.backend;
    if request.method == Method::HEAD {
        let mut answer = reply(200, None, "");
        describe(&mut answer, request, object, expires);
        set(&mut answer, "content-length", &object.size.to_string());
        return Ok(answer);
    }
    if shared.is_backend_down() {
        return Err(Failure::internal());
    }
    let Some(blob) = &object.blob else {
        if backend == SupabaseBackend::File {
            return Err(Failure::internal());
        }
        let failure = Failure::new(404, "Not found", "NoSuchKey", "The resource was not found");
        let mut answer = failure.reply(!shared.options.is_old);
        set(&mut answer, "cache-control", "no-store");
        return Ok(answer);
    };
    if is_not_modified(request, object, backend) {
        let mut answer = reply(304, None, "");
        if backend == SupabaseBackend::File {
            describe(&mut answer, request, object, expires);
            set(&mut answer, "content-length", "0");
            if expires.is_none() {
                set(&mut answer, "cache-control", &object.cache_control);
            }
        } else {
            answer.headers_mut().remove("content-length");
        }
        return Ok(answer);
    }
    let wanted = match request.header("range") {
        Some(range) => parse_range(range, object.size, backend),
        None => Wanted::All,
    };
    let (status, range) = match wanted {
        Wanted::All => (200, 0..object.size),
        Wanted::Part(range) => (206, range),
        Wanted::Nothing if backend == SupabaseBackend::File => return Err(Failure::range()),
        Wanted::Nothing => return Err(Failure::internal()),
    };
    let mut answer = blob_reply(status, blob.slice(range.clone())).await;
    describe(&mut answer, request, object, expires);
    if status == 206 {
        let text = format!("bytes {}-{}/{}", range.start, range.end - 1, object.size);
        set(&mut answer, "content-range", &text);
    }
    Ok(answer)
}

fn describe(answer: &mut Reply, request: &Request, object: &Object, expires: Option<Timestamp>) {
    // Pages from the store would run with the project's own origin.
    let mime_type = if object.mime_type.starts_with("text/html") {
        "text/plain"
    } else {
        &object.mime_type
    };
    set(answer, "accept-ranges", "bytes");
    set(answer, "content-type", mime_type);
    set(answer, "etag", &object.quoted_etag());
    set(answer, "x-robots-tag", object.robots.as_deref().unwrap_or("none"));
    set(answer, "last-modified", &http_date(object.updated));
    match expires {
        Some(expires) => set(answer, "expires", &http_date(expires)),
        None => {
            let is_revalidation =
                request.headers.contains_key("if-none-match") && request.method != Method::HEAD;
            let suffix = if is_revalidation {
                ", stale-while-revalidate=30"
            } else {
                ""
            };
            set(
                answer,
                "cache-control",
                &format!("{}{suffix}", object.cache_control),
            );
        }
    }
    if let Some(name) = request.query("download") {
        let disposition = if name.is_empty() {
            "attachment;".to_owned()
        } else {
            let name = encode_component(name);
            format!("attachment; filename={name}; filename*=UTF-8''{name}")
        };
        set(answer, "content-disposition", &disposition);
    }
}

/// Encodes as JavaScript's `encodeURIComponent`.
fn encode_component(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn is_not_modified(request: &Request, object: &Object, backend: SupabaseBackend) -> bool {
    let tag = object.quoted_etag();
    if let Some(given) = request.header("if-none-match") {
        return match backend {
            SupabaseBackend::File => given == tag,
            SupabaseBackend::S3 => given == tag || given == object.etag,
        };
    }
    let since = request
        .header("if-modified-since")
        .and_then(|text| jiff::fmt::rfc2822::parse(text).ok())
        .map(|time| time.timestamp());
    match (since, backend) {
        (None, _) => false,
        // Its own times have milliseconds, the header has not.
        (Some(since), SupabaseBackend::File) => object.updated <= since,
        (Some(since), SupabaseBackend::S3) => object.updated.as_second() <= since.as_second(),
    }
}

fn parse_range(header: &str, size: u64, backend: SupabaseBackend) -> Wanted {
    // What is no range at all: one backend ignores it, the other refuses it.
    let malformed = match backend {
        SupabaseBackend::File => Wanted::Nothing,
        SupabaseBackend::S3 => Wanted::All,
    };
    let Some((unit, range)) = header.split_once('=') else {
        return malformed;
    };
    if unit != "bytes" && backend == SupabaseBackend::File {
        return Wanted::Nothing;
    }
    let Some((start, end)) = range.split_once('-') else {
        return malformed;
    };
    let (start, end) = match (start.parse::<u64>(), end.parse::<u64>()) {
        (Ok(start), Ok(end)) if start <= end => (start, end.saturating_add(1).min(size)),
        (Ok(start), Err(_)) if end.is_empty() => (start, size),
        (Err(_), Ok(0)) if start.is_empty() => return Wanted::Nothing,
        (Err(_), Ok(count)) if start.is_empty() => (size.saturating_sub(count), size),
        _ => return malformed,
    };
    if start < end {
        Wanted::Part(start..end)
    } else {
        Wanted::Nothing
    }
}

/// Returns a path as the signing route sees it: reserved characters stay encoded, which spoils their signatures.
pub(super) fn path_as_signed(raw: &str) -> String {
    decode_uri(raw).unwrap_or_else(|| raw.to_owned())
}
