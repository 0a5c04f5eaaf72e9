//! Resumable uploads: TUS 1.0.0 with creation, creation-with-upload, deferred lengths, termination and expiration.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method;
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{Mutex, Notify};
use uuid::Uuid;

use super::access::{Action, Role};
use super::blob::BlobWriter;
use super::metadata::{cache_seconds, check_key, check_mime_type, decode_text, user_metadata};
use super::reply::{Failure, Reply, reply, set};
use super::request::Request;
use super::route::{Place, unknown};
use super::state::{NewObject, http_date};
use super::upload::bucket_of;
use super::{Shared, SupabaseBackend, SupabaseFault, SupabaseLocation, token};

const OFFSET_TYPE: &str = "application/offset+octet-stream";
const HEADERS: &str = "Authorization, Content-Type, Location, Tus-Extension, Tus-Max-Size, Tus-Resumable, \
                       Tus-Version, Upload-Concat, Upload-Defer-Length, Upload-Length, Upload-Metadata, \
                       Upload-Offset, X-HTTP-Method-Override, X-Requested-With, X-Forwarded-Host, \
                       X-Forwarded-Proto, Forwarded,";

/// An upload that is under way or complete.
#[derive(Clone, Debug)]
pub(super) struct ResumableUpload {
    place: Place,
    version: Uuid,
    owner: String,
    /// Names with their values in Base64, in the order in which they are told.
    metadata: Vec<(String, String)>,
    length: Option<u64>,
    created: Timestamp,
    progress: Arc<Progress>,
}

#[derive(Debug)]
struct Progress {
    offset: AtomicU64,
    /// `None` once the upload is complete.
    writer: Mutex<Option<BlobWriter>>,
    /// Ends the request that is writing: who comes later counts.
    supersede: Notify,
}

/// A refusal: its status, its text, and whether CORS headers go with it.
struct Refusal {
    status: u16,
    text: String,
    is_early: bool,
}

impl Refusal {
    fn new(status: u16, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
            is_early: false,
        }
    }

    fn early(status: u16, text: &str) -> Self {
        Self {
            is_early: true,
            ..Self::new(status, text)
        }
    }

    fn not_found() -> Self {
        Self::new(404, "The file for this url was not found\n")
    }
}

impl From<Failure> for Refusal {
    /// Here the true status is the HTTP status.
    fn from(failure: Failure) -> Self {
        Self::new(failure.status, failure.message)
    }
}

/// Who asks, and by what right.
struct Caller {
    role: Role,
    is_upsert: bool,
    /// What a signed token is for.
    signed_url: Option<String>,
}

pub(super) async fn answer(shared: &Arc<Shared>, mut request: Request) -> Reply {
    if request.method == Method::OPTIONS {
        return options(shared);
    }
    let path = request
        .raw_path
        .trim_start_matches("/upload/resumable")
        .to_owned();
    let (is_signed, id) = match path.strip_prefix("/sign") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => (true, rest),
        Some(_) | None => (false, path.as_str()),
    };
    let id = id.trim_matches('/').to_owned();
    let methods = [Method::POST, Method::HEAD, Method::PATCH, Method::DELETE];
    if !methods.contains(&request.method) {
        return unknown(&request);
    }
    let caller = if is_signed {
        signed_caller(shared, &request)
    } else {
        match shared.role_of(request.header("authorization").unwrap_or_default()) {
            Ok(role) => Ok(Caller {
                role,
                is_upsert: request.is_upsert(),
                signed_url: None,
            }),
            Err(failure) => return failure.reply(!shared.options.is_old),
        }
    };
    let outcome = match caller {
        Ok(caller) => dispatch(shared, &mut request, &caller, &id).await,
        Err(refusal) => Err(refusal),
    };
    let (mut answer, is_early) = match outcome {
        Ok(answer) => (answer, false),
        Err(refusal) => {
            request.drain().await;
            let text = if request.method == Method::HEAD {
                String::new()
            } else {
                refusal.text
            };
            let mut answer = reply(refusal.status, Some("text/plain;charset=UTF-8"), text);
            if request.method == Method::HEAD {
                answer.headers_mut().remove("content-length");
            }
            (answer, refusal.is_early)
        }
    };
    set(&mut answer, "tus-resumable", "1.0.0");
    if !is_early {
        set(&mut answer, "access-control-allow-origin", "*");
        set(&mut answer, "access-control-expose-headers", HEADERS);
    }
    answer
}

fn options(shared: &Shared) -> Reply {
    let mut answer = reply(204, None, "");
    answer.headers_mut().remove("content-length");
    let allowed = format!("{HEADERS} Authorization, X-Upsert, Upload-Expires, ApiKey, x-signature");
    for (name, value) in [
        ("access-control-allow-headers", allowed.as_str()),
        (
            "access-control-allow-methods",
            "POST, HEAD, PATCH, OPTIONS, DELETE",
        ),
        ("access-control-allow-origin", "*"),
        ("access-control-expose-headers", HEADERS),
        ("access-control-max-age", "86400"),
        (
            "tus-extension",
            "creation,creation-with-upload,creation-defer-length,termination,expiration",
        ),
        ("tus-max-size", &shared.options.size_bytes_max.to_string()),
        ("tus-resumable", "1.0.0"),
        ("tus-version", "1.0.0"),
    ] {
        set(&mut answer, name, value);
    }
    answer
}

fn signed_caller(shared: &Shared, request: &Request) -> Result<Caller, Refusal> {
    let given = request
        .header("x-signature")
        .ok_or_else(|| Refusal::new(400, "Missing x-signature header"))?;
    let claims = token::verify(&shared.options.jwt_secret, given, shared.now().as_second())
        .map_err(|problem| Refusal::new(400, problem))?;
    Ok(Caller {
        role: Role::Service,
        is_upsert: claims["upsert"] == json!(true),
        signed_url: Some(claims["url"].as_str().unwrap_or_default().to_owned()),
    })
}

async fn dispatch(
    shared: &Arc<Shared>,
    request: &mut Request,
    caller: &Caller,
    id: &str,
) -> Result<Reply, Refusal> {
    check_headers(request)?;
    check_fault(shared)?;
    match request.method {
        Method::POST => create(shared, request, caller).await,
        Method::HEAD => head(shared, caller, id).await,
        Method::PATCH => patch(shared, request, caller, id).await,
        _ => terminate(shared, caller, id).await,
    }
}

fn check_headers(request: &Request) -> Result<(), Refusal> {
    let Some(version) = request.header("tus-resumable") else {
        return Err(Refusal::early(412, "Tus-Resumable Required\n"));
    };
    let is_number = |name: &str| {
        request
            .header(name)
            .is_none_or(|value| value.parse::<u64>().is_ok())
    };
    let content_type = request.header("content-type");
    let is_patch = request.method == Method::PATCH;
    let checks = [
        ("tus-resumable", version == "1.0.0"),
        ("upload-length", is_number("upload-length")),
        ("upload-offset", is_number("upload-offset")),
        (
            "content-type",
            !is_patch || content_type.is_none_or(|kind| kind == OFFSET_TYPE),
        ),
        (
            "upload-metadata",
            request
                .header("upload-metadata")
                .is_none_or(|text| parse_metadata(text).is_some()),
        ),
    ];
    match checks.iter().find(|(_, is_right)| !is_right) {
        Some((name, _)) => Err(Refusal::early(400, &format!("Invalid {name}\n"))),
        None => Ok(()),
    }
}

fn check_fault(shared: &Shared) -> Result<(), Refusal> {
    let broken = |what: &str| Refusal::new(500, format!("Something went wrong with that request\n{what}\n"));
    let fault = *shared.fault.lock();
    match fault {
        SupabaseFault::None => Ok(()),
        SupabaseFault::DatabaseReadOnly | SupabaseFault::DatabaseTimeout => {
            shared.check_database(true).map_err(Refusal::from)
        }
        SupabaseFault::DatabaseBusy => Err(Refusal::new(500, "database error, code: 53300")),
        SupabaseFault::DatabaseDown => Err(broken("connect ECONNREFUSED 127.0.0.1:15544")),
        SupabaseFault::BackendDown => Err(broken("connect ECONNREFUSED 127.0.0.1:15900")),
    }
}

/// Reads `name base64,name base64`; a name alone has an empty value.
fn parse_metadata(text: &str) -> Option<Vec<(String, String)>> {
    text.split(',')
        .map(|pair| {
            let (name, value) = pair.trim().split_once(' ').unwrap_or((pair.trim(), ""));
            let is_base64 = value.is_empty() || STANDARD.decode(value).is_ok();
            (!name.is_empty() && is_base64).then(|| (name.to_owned(), value.to_owned()))
        })
        .collect()
}

impl ResumableUpload {
    fn said(&self, name: &str) -> Option<String> {
        said(&self.metadata, name)
    }

    fn offset(&self) -> u64 {
        self.progress.offset.load(Ordering::Acquire)
    }

    fn metadata_header(&self) -> String {
        let pairs: Vec<_> = self
            .metadata
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        pairs.join(",")
    }
}

fn said(metadata: &[(String, String)], name: &str) -> Option<String> {
    let (_, value) = metadata.iter().find(|(known, _)| known == name)?;
    decode_text(value)
}

/// Checks that the caller may write there now, as each request does.
fn may_write(shared: &Shared, caller: &Caller, place: &Place) -> Result<(), Refusal> {
    if let Some(url) = &caller.signed_url {
        return if *url == format!("{}/{}", place.bucket, place.key) {
            Ok(())
        } else {
            Err(Refusal::new(400, "Invalid signature"))
        };
    }
    let needed: &[Action] = if caller.is_upsert {
        &[Action::Insert, Action::Update, Action::Select]
    } else {
        &[Action::Insert]
    };
    if !caller.role.may_all(shared, needed, &place.bucket, &place.key) {
        return Err(Failure::row_security().into());
    }
    let exists = shared.state.lock().object(&place.bucket, &place.key).is_some();
    if exists && !caller.is_upsert {
        return Err(Failure::key_exists().into());
    }
    Ok(())
}

async fn create(shared: &Arc<Shared>, request: &mut Request, caller: &Caller) -> Result<Reply, Refusal> {
    let length = request
        .header("upload-length")
        .and_then(|text| text.parse::<u64>().ok());
    let is_deferred = request.header("upload-defer-length").is_some();
    if length.is_some() == is_deferred {
        let text = "Upload-Length or Upload-Defer-Length header required\n";
        return Err(Refusal::new(400, text));
    }
    let given = request
        .header("upload-metadata")
        .ok_or_else(|| Refusal::new(400, "Metadata header is required"))?;
    let metadata = with_cache_control(parse_metadata(given).unwrap_or_default());
    let place = Place {
        bucket: said(&metadata, "bucketName").unwrap_or_default(),
        key: said(&metadata, "objectName").unwrap_or_default(),
    };
    if place.bucket.is_empty() {
        return Err(Refusal::new(400, "Bucket name invalid"));
    }
    check_key(&place.key)?;
    let bucket = bucket_of(shared, &place.bucket)?;
    if let Some(mime_type) = said(&metadata, "contentType") {
        check_mime_type(&bucket, &mime_type)?;
    }
    may_write(shared, caller, &place)?;
    let most = bucket
        .size_bytes_max
        .unwrap_or(u64::MAX)
        .min(shared.options.size_bytes_max);
    if length.is_some_and(|length| length > most) {
        return Err(Refusal::new(413, "Maximum size exceeded\n"));
    }
    let is_s3 = shared.options.backend == SupabaseBackend::S3;
    if length == Some(0) && is_s3 {
        return Err(Refusal::new(404, "NotFound"));
    }
    let writer = BlobWriter::new(shared.folder.path()).with_parts_by_request();
    let upload = ResumableUpload {
        version: Uuid::new_v4(),
        owner: caller.role.owner(),
        metadata,
        length,
        created: shared.now(),
        progress: Arc::new(Progress {
            offset: AtomicU64::new(0),
            writer: Mutex::new(Some(writer)),
            supersede: Notify::new(),
        }),
        place,
    };
    let path = format!("{}/{}/{}", upload.place.bucket, upload.place.key, upload.version);
    let id = URL_SAFE_NO_PAD.encode(path);
    shared.state.lock().uploads.insert(id.clone(), upload.clone());
    let mut answer = reply(201, Some("text/plain;charset=UTF-8"), "");
    answer.headers_mut().remove("content-length");
    set(&mut answer, "location", &location(shared, request, caller, &id));
    let brings_bytes = request.header("content-type") == Some(OFFSET_TYPE);
    let mut is_complete = false;
    if brings_bytes || length == Some(0) {
        is_complete = write(shared, request, caller, &id, &upload, most).await?;
        if brings_bytes {
            set(&mut answer, "upload-offset", &upload.offset().to_string());
        }
    }
    tell_end(shared, &mut answer, &upload, is_complete);
    Ok(answer)
}

/// A number of seconds becomes a `max-age`; everything else is forgotten.
fn with_cache_control(mut metadata: Vec<(String, String)>) -> Vec<(String, String)> {
    let seconds = said(&metadata, "cacheControl").and_then(|text| cache_seconds(&text));
    let value = STANDARD.encode(seconds.unwrap_or_else(|| "no-cache".to_owned()));
    match metadata.iter_mut().find(|(name, _)| name == "cacheControl") {
        Some((_, old)) => *old = value,
        None => metadata.push(("cacheControl".to_owned(), value)),
    }
    metadata
}

fn tell_end(shared: &Shared, answer: &mut Reply, upload: &ResumableUpload, is_complete: bool) {
    if is_complete {
        set(answer, "tus-complete", "1");
    } else if shared.options.backend == SupabaseBackend::S3
        && let Ok(end) = upload.created.checked_add(shared.options.resumable_life)
    {
        set(answer, "upload-expires", &http_date(end));
    }
}

fn location(shared: &Shared, request: &Request, caller: &Caller, id: &str) -> String {
    let sign = if caller.signed_url.is_some() { "sign/" } else { "" };
    let tail = format!("/upload/resumable/{sign}{id}");
    if shared.options.location == SupabaseLocation::Unreachable {
        return format!("https://storage.invalid:5000{tail}");
    }
    let mut scheme = request.header("x-forwarded-proto").unwrap_or("http");
    let own = if shared.options.gateway { "/storage/v1" } else { "" };
    let prefix = request.header("x-forwarded-prefix").unwrap_or(own);
    let host = match request.header("x-forwarded-host") {
        Some(host) => match (scheme, request.header("x-forwarded-port")) {
            ("https", Some("443")) | ("http", Some("80")) | (_, None) => host.to_owned(),
            (_, Some(port)) => format!("{host}:{port}"),
        },
        None => request.header("host").unwrap_or("localhost").to_owned(),
    };
    if shared.options.location == SupabaseLocation::Https {
        scheme = "https";
    }
    format!("{scheme}://{host}{}{tail}", prefix.trim_end_matches('/'))
}

/// Finds an upload that is neither unknown nor expired.
fn find(shared: &Shared, id: &str) -> Result<ResumableUpload, Refusal> {
    let is_id = URL_SAFE_NO_PAD
        .decode(id)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .is_some_and(|path| path.matches('/').count() >= 2);
    if !is_id {
        return Err(Refusal::new(400, "Invalid upload id"));
    }
    let upload = shared.state.lock().uploads.get(id).cloned();
    let upload = upload.ok_or_else(Refusal::not_found)?;
    let end = upload.created.checked_add(shared.options.resumable_life);
    if shared.options.backend == SupabaseBackend::S3 && end.is_ok_and(|end| end < shared.now()) {
        return Err(Refusal::new(410, "The file for this url no longer exists\n"));
    }
    Ok(upload)
}

async fn head(shared: &Shared, caller: &Caller, id: &str) -> Result<Reply, Refusal> {
    let upload = find(shared, id)?;
    if let Some(url) = &caller.signed_url
        && *url != format!("{}/{}", upload.place.bucket, upload.place.key)
    {
        return Err(Refusal::new(400, "Invalid signature"));
    }
    // A request that is still writing is ended, so that the offset holds.
    upload.progress.supersede.notify_waiters();
    drop(upload.progress.writer.lock().await);
    let mut answer = reply(200, Some("text/plain;charset=UTF-8"), "");
    answer.headers_mut().remove("content-length");
    set(&mut answer, "cache-control", "no-store");
    match upload.length {
        Some(length) => set(&mut answer, "upload-length", &length.to_string()),
        None => set(&mut answer, "upload-defer-length", "1"),
    }
    set(&mut answer, "upload-metadata", &upload.metadata_header());
    set(&mut answer, "upload-offset", &upload.offset().to_string());
    Ok(answer)
}

async fn patch(
    shared: &Arc<Shared>,
    request: &mut Request,
    caller: &Caller,
    id: &str,
) -> Result<Reply, Refusal> {
    let offset = request
        .header("upload-offset")
        .and_then(|text| text.parse::<u64>().ok())
        .ok_or_else(|| Refusal::new(403, "Upload-Offset header required\n"))?;
    if request.header("content-type").is_none() {
        return Err(Refusal::new(403, "Content-Type header required\n"));
    }
    let mut upload = find(shared, id)?;
    may_write(shared, caller, &upload.place)?;
    if upload.offset() != offset {
        return Err(Refusal::new(409, "Upload-Offset conflict\n"));
    }
    if let Some(length) = request.header("upload-length").and_then(|text| text.parse().ok()) {
        if upload.length.is_some() || length < offset {
            return Err(Refusal::new(400, "Invalid upload-length\n"));
        }
        upload.length = Some(length);
        if let Some(known) = shared.state.lock().uploads.get_mut(id) {
            known.length = Some(length);
        }
    }
    let bucket = bucket_of(shared, &upload.place.bucket)?;
    let limit = bucket
        .size_bytes_max
        .unwrap_or(u64::MAX)
        .min(shared.options.size_bytes_max);
    let most = upload.length.unwrap_or(limit);
    let is_complete = write(shared, request, caller, id, &upload, most).await?;
    let mut answer = reply(204, None, "");
    answer.headers_mut().remove("content-length");
    set(&mut answer, "upload-offset", &upload.offset().to_string());
    tell_end(shared, &mut answer, &upload, is_complete);
    Ok(answer)
}

/// Appends a request's body, and completes the upload if that was the rest. What came before a broken connection
/// stays.
async fn write(
    shared: &Arc<Shared>,
    request: &mut Request,
    caller: &Caller,
    id: &str,
    upload: &ResumableUpload,
    most: u64,
) -> Result<bool, Refusal> {
    let too_much = || Refusal::new(413, "upload's size exceeded\n");
    let left = most.saturating_sub(upload.offset());
    if request.content_length().is_some_and(|length| length > left) {
        return Err(too_much());
    }
    let superseded = upload.progress.supersede.notified();
    tokio::pin!(superseded);
    superseded.as_mut().enable();
    let mut guard = upload.progress.writer.lock().await;
    let disk = |_error| Refusal::from(Failure::internal());
    let Some(writer) = guard.as_mut() else {
        return Err(Failure::key_exists().into());
    };
    loop {
        let frame = tokio::select! {
            frame = request.body.frame() => frame,
            () = &mut superseded => return Err(Refusal::new(400, "The request was superseded\n")),
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_broken_off| Refusal::new(400, "The request broke off\n"))?;
        let Some(piece) = frame.data_ref() else { continue };
        if writer.length() + piece.len() as u64 > most {
            return Err(too_much());
        }
        writer.write(piece).await.map_err(disk)?;
        upload.progress.offset.store(writer.length(), Ordering::Release);
    }
    writer.end_large_part();
    if upload.length != Some(writer.length()) {
        return Ok(false);
    }
    let Some(writer) = guard.take() else {
        return Ok(false);
    };
    let blob = writer.finish().await.map_err(disk)?;
    complete(shared, caller, id, upload, blob)?;
    Ok(true)
}

fn complete(
    shared: &Shared,
    caller: &Caller,
    id: &str,
    upload: &ResumableUpload,
    blob: super::blob::Blob,
) -> Result<(), Refusal> {
    let place = &upload.place;
    let (etag, default_type) = match shared.options.backend {
        SupabaseBackend::File => (blob.md5_tag(), "application/octet-stream"),
        SupabaseBackend::S3 => (blob.parts_tag(), "binary/octet-stream"),
    };
    let mut state = shared.state.lock();
    let old = state.object(&place.bucket, &place.key);
    if old.is_some() && !caller.is_upsert {
        return Err(Failure::key_exists().into());
    }
    // An upsert that says nothing keeps what was said before.
    let kept = old.map_or(Value::Null, |old| old.user_metadata.clone());
    let new = NewObject {
        version: upload.version,
        owner: upload.owner.clone(),
        mime_type: upload
            .said("contentType")
            .unwrap_or_else(|| default_type.to_owned()),
        cache_control: upload.said("cacheControl").unwrap_or_default(),
        robots: None,
        user_metadata: match upload.said("metadata") {
            Some(text) => user_metadata(&text)?,
            None => kept,
        },
        etag,
        blob,
    };
    let stored = state.put(&place.bucket, &place.key, new, shared.now());
    stored.ok_or_else(Failure::no_such_bucket)?;
    if let Some(known) = state.uploads.get_mut(id) {
        known.length = Some(upload.offset());
    }
    Ok(())
}

async fn terminate(shared: &Shared, caller: &Caller, id: &str) -> Result<Reply, Refusal> {
    let upload = find(shared, id)?;
    may_write(shared, caller, &upload.place)?;
    upload.progress.supersede.notify_waiters();
    if upload.progress.writer.lock().await.is_none() {
        return Err(Failure::key_exists().into());
    }
    shared.state.lock().uploads.remove(id);
    let mut answer = reply(204, None, "");
    answer.headers_mut().remove("content-length");
    Ok(answer)
}
