//! Resumable uploads (TUS 1.0.0): the protocol, and uploads in parts on it.
//!
//! The server's `Location` often names a host or a prefix that cannot be reached: only its last segment counts. It
//! is Base64 of bucket, key and version, so a foreign id is told without asking. Every request repeats `x-upsert`, or
//! the server takes an overwrite for an insert. After a lost answer the offset is asked for.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use boards_storage_core::{
    Checksum, ChecksumAlgorithm, Content, CreateUploadOptions, Error, ErrorKind, MultipartUpload,
    ObjectAttributes, ObjectMetadata, Part, PartOrder, PartPlace, PartRules, Result, StorageKey,
    UploadPartOptions,
};
use bytes::Bytes;
use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value};

use crate::client::{Client, refused, send};
use crate::error::{lost_write, unexpected};
use crate::metadata::{DEFAULT_CACHE_CONTROL, DEFAULT_TYPE, user_metadata};
use crate::object;
use crate::upload::Chunks;

/// A store behind the server takes at most so many parts.
const PARTS_MAX: u32 = 10_000;

/// What the server knows of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    offset: u64,
    /// `None` as long as nobody said it.
    length: Option<u64>,
}

impl State {
    fn is_complete(self) -> bool {
        self.length == Some(self.offset)
    }
}

pub(crate) fn part_rules(chunk_bytes: u64) -> PartRules {
    let mut rules = PartRules::any();
    rules.order = PartOrder::Sequential;
    rules.size_bytes_min = chunk_bytes;
    rules.size_bytes_max = chunk_bytes;
    rules.equal_size = true;
    rules.count_max = PARTS_MAX;
    rules
}

/// Returns the cache control as the protocol carries it: as a number of seconds.
///
/// The server turns a number into `max-age` and forgets everything else.
fn cache_seconds(attributes: &ObjectAttributes) -> Result<Option<&str>> {
    let Some(cache_control) = attributes.cache_control.as_deref() else {
        return Ok(None);
    };
    let seconds = cache_control
        .strip_prefix("max-age=")
        .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    if seconds.is_none() && cache_control != DEFAULT_CACHE_CONTROL {
        return Err(Error::unsupported(format!(
            "a resumable upload cannot keep the cache control {cache_control:?}"
        ))
        .with_help("give 'max-age=SECONDS' or 'no-cache', or raise resumable_threshold"));
    }
    Ok(seconds)
}

/// Begins an upload, and returns its id. Without a length it is complete when one is given.
pub(crate) async fn create(
    client: &Client,
    key: &StorageKey,
    attributes: &ObjectAttributes,
    user: &Map<String, Value>,
    length: Option<u64>,
) -> Result<String> {
    let content_type = attributes
        .content_type
        .as_ref()
        .map_or(DEFAULT_TYPE, |kind| kind.as_str());
    // An upsert that says nothing of user metadata would keep the old.
    let user = Value::Object(user.clone()).to_string();
    let mut pairs = vec![
        ("bucketName", &*client.bucket),
        ("objectName", key.as_str()),
        ("contentType", content_type),
        ("metadata", &user),
    ];
    if let Some(seconds) = cache_seconds(attributes)? {
        pairs.push(("cacheControl", seconds));
    }
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("{name} {}", STANDARD.encode(value)))
        .collect();
    let request = tus(client, Method::POST, "upload/resumable").header("upload-metadata", pairs.join(","));
    let request = match length {
        Some(length) => request.header("upload-length", length),
        None => request.header("upload-defer-length", "1"),
    };
    let answer = send(request).await?;
    if answer.status().as_u16() != 201 {
        return Err(refused(answer).await);
    }
    let location = answer
        .headers()
        .get("location")
        .and_then(|value| value.to_str().ok());
    let id = location
        .map(|location| location.split(['?', '#']).next().unwrap_or_default())
        .and_then(|location| location.trim_end_matches('/').rsplit('/').next())
        .unwrap_or_default();
    if id.is_empty() {
        return Err(unexpected("the server named no place for the upload"));
    }
    Ok(id.to_owned())
}

fn tus(client: &Client, method: Method, route: &str) -> RequestBuilder {
    client
        .request(method, route)
        .header("tus-resumable", "1.0.0")
        .header("x-upsert", "true")
}

fn route(id: &str) -> String {
    format!(
        "upload/resumable/{}",
        crate::client::encode(id).replace('/', "%2F")
    )
}

fn unknown(key: &StorageKey) -> Error {
    Error::not_found("the upload is unknown, complete, aborted or too old").with_key(key)
}

/// Returns the version that an upload of this key makes; `None` if the id is another's.
fn version_of(client: &Client, key: &StorageKey, id: &str) -> Option<String> {
    let path = String::from_utf8(URL_SAFE_NO_PAD.decode(id.trim_end_matches('=')).ok()?).ok()?;
    let rest = path.strip_prefix(&*client.bucket)?.strip_prefix('/')?;
    let version = rest.strip_prefix(key.as_str())?.strip_prefix('/')?;
    (!version.is_empty() && !version.contains('/')).then(|| version.to_owned())
}

/// Asks how far an upload is.
async fn state(client: &Client, key: &StorageKey, id: &str) -> Result<State> {
    let answer = send(tus(client, Method::HEAD, &route(id))).await?;
    match answer.status().as_u16() {
        200 => {}
        // The answer to HEAD has no body that could say more; 400 is also a malformed id.
        404 | 410 => return Err(unknown(key)),
        400 => {
            return Err(Error::new(
                ErrorKind::AccessDenied,
                "the server did not accept the credentials for the upload",
            ));
        }
        _ => return Err(refused(answer).await),
    }
    let number = |name: &str| answer.headers().get(name)?.to_str().ok()?.parse().ok();
    let offset =
        number("upload-offset").ok_or_else(|| unexpected("the server did not tell the upload's offset"))?;
    Ok(State {
        offset,
        length: number("upload-length"),
    })
}

/// Appends bytes that belong at `offset`; `total` tells the whole length with the last of them.
///
/// What the server has already is not sent again.
async fn append(
    client: &Client,
    key: &StorageKey,
    id: &str,
    offset: u64,
    bytes: Bytes,
    total: Option<u64>,
) -> Result<()> {
    let end = offset + bytes.len() as u64;
    let from = |position: u64| {
        let done = usize::try_from(position - offset).unwrap_or(bytes.len());
        bytes.slice(done.min(bytes.len())..)
    };
    let reached = client
        .reached
        .take(id)
        .filter(|reached| (offset..end).contains(reached));
    let mut position = reached.unwrap_or(offset);
    // Twice at most: once from where the server is thought to be, once from where it is.
    for attempt in 0..2 {
        let mut request = tus(client, Method::PATCH, &route(id))
            .header("content-type", "application/offset+octet-stream")
            .header("upload-offset", position);
        if let Some(total) = total {
            request = request.header("upload-length", total);
        }
        let answer = match send(request.body(from(position))).await {
            Ok(answer) => answer,
            // The answer may have been lost, or given before all bytes were sent: the offset tells.
            Err(lost) => return settle(client, key, id, offset..end, total, lost).await,
        };
        match answer.status().as_u16() {
            204 => {
                let reached = answer
                    .headers()
                    .get("upload-offset")
                    .and_then(|value| value.to_str().ok());
                return match reached.and_then(|text| text.parse::<u64>().ok()) {
                    Some(reached) if reached != end => Err(Error::new(
                        ErrorKind::ProviderUnavailable,
                        format!("the server took only the bytes up to {reached} of {end}"),
                    )),
                    Some(_) | None => Ok(()),
                };
            }
            404 | 410 => return Err(unknown(key)),
            409 if attempt == 0 => {
                let state = state(client, key, id).await?;
                if state.offset >= end && (total.is_none() || state.is_complete()) {
                    return Ok(());
                }
                check_offset(state, offset)?;
                position = state.offset.min(end);
            }
            _ => return Err(refused(answer).await),
        }
    }
    Err(Error::new(
        ErrorKind::ProviderUnavailable,
        "another request is writing to the same upload",
    ))
}

fn check_offset(state: State, offset: u64) -> Result<()> {
    if state.offset >= offset {
        return Ok(());
    }
    Err(Error::invalid_input(format!(
        "the bytes before {offset} must come first: the server has {}",
        state.offset
    )))
}

/// Decides a request that brought no answer. What can be sent again is left to whoever retries.
async fn settle(
    client: &Client,
    key: &StorageKey,
    id: &str,
    range: std::ops::Range<u64>,
    total: Option<u64>,
    lost: Error,
) -> Result<()> {
    match state(client, key, id).await {
        Ok(state) if state.offset >= range.end && (total.is_none() || state.is_complete()) => Ok(()),
        Ok(state) => {
            check_offset(state, range.start)?;
            if state.offset > range.start {
                client.reached.note(id, state.offset);
            }
            Err(lost)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Err(error),
        // It may have been the last of the bytes.
        Err(_) => Err(lost_write(lost)),
    }
}

/// Gives an upload up. One that is complete stays: ending it could take its bytes away.
async fn terminate(client: &Client, key: &StorageKey, id: &str) -> Result<()> {
    client.reached.take(id);
    match state(client, key, id).await {
        Ok(state) if state.is_complete() => return Ok(()),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let answer = send(tus(client, Method::DELETE, &route(id))).await?;
    match answer.status().as_u16() {
        200..=299 | 404 | 409 | 410 => Ok(()),
        _ => Err(refused(answer).await),
    }
}

/// Stores content chunk by chunk within one call.
pub(crate) async fn upload_whole(
    client: &Client,
    key: &StorageKey,
    attributes: &ObjectAttributes,
    user: &Map<String, Value>,
    chunks: &mut Chunks,
    chunk_bytes: usize,
) -> Result<u64> {
    let id = create(client, key, attributes, user, chunks.declared()).await?;
    let sent = send_chunks(client, key, &id, chunks, chunk_bytes).await;
    if sent.is_err() {
        // The first error is the one that matters; what stays is invisible and expires.
        let _ = terminate(client, key, &id).await;
    }
    sent
}

async fn send_chunks(
    client: &Client,
    key: &StorageKey,
    id: &str,
    chunks: &mut Chunks,
    chunk_bytes: usize,
) -> Result<u64> {
    let mut offset = 0;
    loop {
        // The last chunk is handed out only if length and digest are right.
        let (chunk, is_last) = chunks.next(chunk_bytes).await?;
        let end = offset + chunk.len() as u64;
        let total = (is_last && chunks.declared().is_none()).then_some(end);
        append(client, key, id, offset, chunk, total).await?;
        offset = end;
        if is_last {
            return Ok(offset);
        }
    }
}

pub(crate) async fn create_upload(
    client: &Client,
    key: &StorageKey,
    options: &CreateUploadOptions,
    rules: PartRules,
) -> Result<MultipartUpload> {
    let user = user_metadata(&options.attributes, options.digest, options.write_id);
    // Without a length nothing is visible before it is completed.
    let id = create(client, key, &options.attributes, &user, None).await?;
    let mut upload = MultipartUpload::new(key.clone(), id, rules);
    upload.write_id = options.write_id;
    Ok(upload)
}

pub(crate) async fn upload_part(
    client: &Client,
    upload: &MultipartUpload,
    place: PartPlace,
    content: &Content,
    options: &UploadPartOptions,
) -> Result<Part> {
    check_known(client, upload)?;
    let size = upload.part_rules.size_bytes_max;
    let expected = u64::from(place.number.saturating_sub(1)).checked_mul(size);
    if place.number == 0 || place.number > upload.part_rules.count_max || expected != Some(place.offset) {
        // That there is no such upload counts more.
        state(client, &upload.key, &upload.id).await?;
        return Err(Error::invalid_input(format!(
            "part {} cannot begin at {}: all parts but the last have {size} bytes",
            place.number, place.offset
        )));
    }
    // A part is whole before it is sent, so a source that fails leaves nothing behind.
    let bytes = content
        .collect(usize::try_from(size).unwrap_or(usize::MAX))
        .await?;
    if bytes.is_empty() || (!place.is_last && bytes.len() as u64 != size) {
        return Err(Error::invalid_input(format!(
            "part {} has {} bytes; all but the last have {size}, the last at least 1",
            place.number,
            bytes.len()
        )));
    }
    if let Some(checksum) = &options.checksum {
        check_sum(checksum, &bytes)?;
    }
    let length = bytes.len() as u64;
    append(client, &upload.key, &upload.id, place.offset, bytes, None).await?;
    Ok(Part::new(place.number, length))
}

fn check_sum(expected: &Checksum, bytes: &[u8]) -> Result<()> {
    if expected.algorithm() != ChecksumAlgorithm::Crc64Nvme {
        return Err(Error::unsupported("a part's checksum must be crc64nvme here"));
    }
    if Checksum::crc64_nvme(bytes) == *expected {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Corruption,
        "the part does not have its checksum",
    ))
}

fn check_known(client: &Client, upload: &MultipartUpload) -> Result<String> {
    version_of(client, &upload.key, &upload.id).ok_or_else(|| unknown(&upload.key))
}

pub(crate) async fn list_parts(client: &Client, upload: &MultipartUpload) -> Result<Vec<Part>> {
    check_known(client, upload)?;
    let state = state(client, &upload.key, &upload.id).await?;
    if state.is_complete() {
        return Err(unknown(&upload.key));
    }
    let size = upload.part_rules.size_bytes_max.max(1);
    if !state.offset.is_multiple_of(size) {
        client.reached.note(&upload.id, state.offset);
    }
    Ok(parts_of(state.offset, size))
}

/// The server knows only how many bytes it has; parts of one size say the rest.
fn parts_of(offset: u64, size: u64) -> Vec<Part> {
    let sizes = std::iter::repeat_n(size, usize::try_from(offset / size).unwrap_or(usize::MAX))
        .chain((!offset.is_multiple_of(size)).then_some(offset % size));
    (1..)
        .zip(sizes)
        .map(|(number, size)| Part::new(number, size))
        .collect()
}

pub(crate) async fn complete_upload(
    client: &Client,
    upload: &MultipartUpload,
    parts: &[Part],
) -> Result<ObjectMetadata> {
    let version = check_known(client, upload)?;
    let state = state(client, &upload.key, &upload.id).await?;
    let wanted = parts_of(
        parts.iter().map(|part| part.size_bytes).sum(),
        upload.part_rules.size_bytes_max.max(1),
    );
    let is_shaped = wanted
        .iter()
        .map(|part| (part.number, part.size_bytes))
        .eq(parts.iter().map(|part| (part.number, part.size_bytes)));
    let total: u64 = wanted.iter().map(|part| part.size_bytes).sum();
    if state.is_complete() {
        // Completed before: by ourselves, if the answer was lost, or long ago.
        return stored(client, upload, &version, total)
            .await?
            .ok_or_else(|| unknown(&upload.key));
    }
    if parts.is_empty() || !is_shaped || total != state.offset {
        return Err(Error::invalid_input(format!(
            "the parts given have {total} bytes, the server has {}",
            state.offset
        ))
        .with_help("give the parts that list_parts tells, all of them"));
    }
    append(client, &upload.key, &upload.id, total, Bytes::new(), Some(total)).await?;
    match stored(client, upload, &version, total).await? {
        Some(metadata) => Ok(metadata),
        // Another write came right after.
        None => Ok(ObjectMetadata::new(upload.key.clone(), total)),
    }
}

/// Returns the object if it is the one that this upload made.
async fn stored(
    client: &Client,
    upload: &MultipartUpload,
    version: &str,
    total: u64,
) -> Result<Option<ObjectMetadata>> {
    let info = match object::info(client, &upload.key).await {
        Ok(info) => info,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let is_ours = info.version.as_deref().is_none_or(|known| known == version) && info.size()? == total;
    is_ours.then(|| info.to_metadata(&upload.key)).transpose()
}

pub(crate) async fn abort_upload(client: &Client, upload: &MultipartUpload) -> Result<()> {
    if version_of(client, &upload.key, &upload.id).is_none() {
        return Ok(());
    }
    terminate(client, &upload.key, &upload.id).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_says_which_parts_there_are() {
        let sizes = |offset| {
            parts_of(offset, 10)
                .iter()
                .map(|part| part.size_bytes)
                .collect::<Vec<_>>()
        };
        assert!(sizes(0).is_empty());
        assert_eq!(sizes(9), [9]);
        assert_eq!(sizes(10), [10]);
        assert_eq!(sizes(21), [10, 10, 1]);
        assert_eq!(parts_of(21, 10).last().map(|part| part.number), Some(3));
    }

    #[test]
    fn only_seconds_and_the_default_can_be_carried() {
        let of = |text: &str| {
            cache_seconds(&ObjectAttributes::default().with_cache_control(text))
                .map(|seconds| seconds.map(str::to_owned))
                .map_err(|error| error.kind())
        };
        assert_eq!(of("max-age=60"), Ok(Some("60".to_owned())));
        assert_eq!(of("no-cache"), Ok(None));
        for other in ["max-age=", "max-age=60, public", "no-store", "60"] {
            assert_eq!(of(other), Err(ErrorKind::Unsupported), "{other}");
        }
    }
}
