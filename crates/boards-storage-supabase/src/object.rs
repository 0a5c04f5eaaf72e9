//! What is done with objects that are there: looking, reading, copying, deleting.

use std::collections::HashSet;

use boards_storage_core::{
    CopyOptions, DeleteOutcome, DeletedKey, Download, DownloadOptions, DownloadOutcome, Error, ErrorKind,
    NotModified, ObjectMetadata, Result, StorageKey,
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::client::{Client, refused, send, send_json, send_unit};
use crate::error::{lost_write, transport, unexpected};
use crate::metadata::{Info, Row, copied_metadata, header_value, user_metadata};

/// How often a look and a read may tell of different states before that is an error.
const LOOKS_MAX: usize = 16;

/// Asks what is known of an object. HEAD could not tell "not there" from "not allowed", and the shorter route takes
/// an expired key for none and then says that there is no bucket.
pub(crate) async fn info(client: &Client, key: &StorageKey) -> Result<Info> {
    send_json(client.request(
        Method::GET,
        &client.object_route("object/info/authenticated", key),
    ))
    .await
}

pub(crate) async fn metadata(client: &Client, key: &StorageKey) -> Result<ObjectMetadata> {
    info(client, key).await?.to_metadata(key)
}

/// Reads bytes and metadata of one state: both are asked for at once, and again if they do not fit.
pub(crate) async fn download(
    client: &Client,
    key: &StorageKey,
    options: &DownloadOptions,
) -> Result<DownloadOutcome> {
    let may_be_unmodified = options.if_none_match.is_some() || options.if_modified_since.is_some();
    for _ in 0..LOOKS_MAX {
        let (info, answer) = if may_be_unmodified {
            let metadata = metadata(client, key).await?;
            check_match(&metadata, options)?;
            if is_unmodified(&metadata, options) {
                let answer = NotModified::new(metadata.etag, metadata.modified);
                return Ok(DownloadOutcome::NotModified(answer));
            }
            (Ok(metadata), read(client, key, options).await)
        } else {
            futures_util::future::join(metadata(client, key), read(client, key, options)).await
        };
        let (metadata, answer) = match (info, answer) {
            (Ok(metadata), Ok(answer)) => (metadata, answer),
            (Ok(metadata), Err(error)) => {
                check_match(&metadata, options)?;
                // The backends refuse a range beyond the end in their own ways, one of them with a 500.
                if let Some(range) = options.range {
                    range.resolve(metadata.size_bytes)?;
                }
                return Err(error);
            }
            // Deleted or made between the two.
            (Err(error), Ok(_)) if error.kind() == ErrorKind::NotFound => continue,
            (Err(error), _) => return Err(error),
        };
        if is_one_state(&metadata, &answer) {
            check_match(&metadata, options)?;
            return Ok(DownloadOutcome::Object(body(metadata, answer, options)?));
        }
    }
    Err(Error::new(
        ErrorKind::ProviderUnavailable,
        "the object changed again and again while it was read",
    ))
}

async fn read(client: &Client, key: &StorageKey, options: &DownloadOptions) -> Result<Response> {
    let route = client.object_route("object/authenticated", key);
    let mut request = client.long_request(Method::GET, &route);
    if let Some(range) = options.range {
        request = request.header("range", range.to_string());
    }
    let answer = send(request).await?;
    match answer.status().as_u16() {
        200 | 206 => Ok(answer),
        _ => Err(refused(answer).await),
    }
}

/// `If-Match` is ignored by the server; the answer's own tag decides it here.
fn check_match(metadata: &ObjectMetadata, options: &DownloadOptions) -> Result<()> {
    match &options.if_match {
        Some(wanted) if metadata.etag.as_ref() != Some(wanted) => Err(Error::new(
            ErrorKind::PreconditionFailed,
            "the object has another entity tag",
        )),
        Some(_) | None => Ok(()),
    }
}

fn is_unmodified(metadata: &ObjectMetadata, options: &DownloadOptions) -> bool {
    if let Some(known) = &options.if_none_match {
        return metadata.etag.as_ref() == Some(known);
    }
    match (options.if_modified_since, metadata.modified) {
        (Some(since), Some(modified)) => modified.as_second() <= since.as_second(),
        _ => false,
    }
}

fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name).and_then(|value| value.to_str().ok())
}

/// Returns first byte, byte after the last, and size of the whole.
fn content_range(answer: &Response) -> Option<(u64, u64, u64)> {
    let (range, size) = header(answer, "content-range")?
        .strip_prefix("bytes ")?
        .split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let end: u64 = end.parse().ok()?;
    Some((start.parse().ok()?, end.checked_add(1)?, size.parse().ok()?))
}

fn is_one_state(metadata: &ObjectMetadata, answer: &Response) -> bool {
    let size = match answer.status().as_u16() {
        206 => content_range(answer).map(|(_, _, size)| size),
        _ => answer.content_length(),
    };
    let etag = header(answer, "etag").map(boards_storage_core::ETag::new);
    // A proxy may have weakened the tag.
    let is_same_tag = match (&etag, &metadata.etag) {
        (Some(read), Some(known)) => {
            read == known
                || read
                    .as_str()
                    .strip_prefix("W/")
                    .map(|rest| rest.trim_matches('"'))
                    == Some(known.as_str())
        }
        _ => true,
    };
    is_same_tag && size.is_none_or(|size| size == metadata.size_bytes)
}

fn body(metadata: ObjectMetadata, answer: Response, options: &DownloadOptions) -> Result<Download> {
    let range = match options.range {
        None => 0..metadata.size_bytes,
        Some(range) => range.resolve(metadata.size_bytes)?,
    };
    let sent = match answer.status().as_u16() {
        206 => content_range(&answer).map(|(start, end, _)| start..end),
        _ => Some(0..metadata.size_bytes),
    };
    if sent.as_ref() != Some(&range) {
        return Err(unexpected("the server sent other bytes than were asked for"));
    }
    let expected = range.end - range.start;
    let bytes = answer.bytes_stream().map_err(transport);
    Ok(Download::from_stream(
        metadata,
        range,
        exactly(bytes, expected).boxed(),
    ))
}

/// Fails when the bytes are more or fewer than they should be.
fn exactly(
    bytes: impl stream::Stream<Item = Result<Bytes>> + Send + 'static,
    expected: u64,
) -> impl stream::Stream<Item = Result<Bytes>> + Send + 'static {
    let broke = || {
        Error::new(
            ErrorKind::ProviderUnavailable,
            "the server sent another number of bytes",
        )
    };
    stream::try_unfold((Box::pin(bytes), 0), move |(mut bytes, seen)| async move {
        match bytes.next().await.transpose()? {
            Some(piece) => {
                let seen = seen + piece.len() as u64;
                if seen > expected {
                    Err(broke())
                } else {
                    Ok(Some((piece, (bytes, seen))))
                }
            }
            None if seen == expected => Ok(None),
            None => Err(broke()),
        }
    })
}

pub(crate) async fn delete(client: &Client, key: &StorageKey) -> Result<DeleteOutcome> {
    let request = client.request(Method::DELETE, &client.object_route("object", key));
    match send_unit(request).await.map_err(lost_write) {
        Ok(()) => Ok(DeleteOutcome::Existed),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(DeleteOutcome::Absent),
        Err(error) => Err(error),
    }
}

/// Deletes many keys. The server names those that it deleted; it says nothing of those that it may not delete, so
/// what is still there afterwards is asked for one by one.
pub(crate) async fn delete_many(client: &Client, keys: &[StorageKey]) -> Result<Vec<DeletedKey>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<_> = keys.iter().map(StorageKey::as_str).collect();
    let request = client.json_request(
        Method::DELETE,
        &client.bucket_route("object"),
        &json!({ "prefixes": names }),
    );
    let rows: Vec<Row> = send_json(request).await.map_err(lost_write)?;
    let mut deleted: HashSet<String> = rows.into_iter().map(|row| row.name).collect();
    let missed: Vec<_> = names
        .iter()
        .filter(|name| !deleted.contains(**name))
        .copied()
        .collect();
    let left = if missed.is_empty() {
        HashSet::new()
    } else {
        still_there(client, &missed).await?
    };
    let mut outcomes = Vec::with_capacity(keys.len());
    for key in keys {
        let outcome = if left.contains(key.as_str()) {
            delete(client, key).await
        } else if deleted.remove(key.as_str()) {
            Ok(DeleteOutcome::Existed)
        } else {
            Ok(DeleteOutcome::Absent)
        };
        outcomes.push(DeletedKey {
            key: key.clone(),
            outcome,
        });
    }
    Ok(outcomes)
}

/// Returns which of the keys have an object, in one request: only those can be signed.
async fn still_there(client: &Client, names: &[&str]) -> Result<HashSet<String>> {
    let signed = crate::presign::sign_many(client, names, 1).await?;
    Ok(signed
        .into_iter()
        .filter_map(|one| one.token.is_some().then_some(one.path))
        .collect())
}

/// Copies with the attributes that are wanted. The source must stay as it is meanwhile, or its bytes and what is said
/// of them could come from two writes.
pub(crate) async fn copy(
    client: &Client,
    from: &StorageKey,
    to: &StorageKey,
    options: &CopyOptions,
) -> Result<ObjectMetadata> {
    if options.source_if_match.is_some() {
        return Err(
            Error::unsupported("the server cannot decide a copy by its source's entity tag")
                .with_help("copy without source_if_match, or download and upload"),
        );
    }
    for _ in 0..LOOKS_MAX {
        let source = info(client, from).await?;
        let (mime_type, cache_control, user) = match &options.attributes {
            Some(attributes) => {
                let (mime_type, cache_control) = said(attributes);
                let digest = source.to_metadata(from)?.digest;
                (
                    mime_type,
                    cache_control,
                    user_metadata(attributes, digest, options.write_id),
                )
            }
            None => {
                let (mime_type, cache_control) = source.said();
                (
                    mime_type,
                    cache_control,
                    copied_metadata(&source, options.write_id),
                )
            }
        };
        let body = json!({
            "bucketId": &*client.bucket,
            "sourceKey": from.as_str(),
            "destinationKey": to.as_str(),
            "copyMetadata": false,
            "metadata": { "cacheControl": cache_control, "mimetype": mime_type },
        });
        let request = client
            .json_request(Method::POST, "object/copy", &body)
            .header("x-upsert", "true")
            .header("x-metadata", header_value(&user));
        let row: Row = send_json(request).await.map_err(lost_write)?;
        let after = info(client, from).await;
        let is_same = |after: &Info| {
            (&after.version, &after.etag, after.last_modified)
                == (&source.version, &source.etag, source.last_modified)
        };
        match after {
            Ok(after) if !is_same(&after) => {}
            Ok(_) => return Ok(row.to_metadata(to.clone())),
            // Deleted since: it cannot have been replaced before that, or the copy would tell another size.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(row.to_metadata(to.clone())),
            Err(error) => return Err(error),
        }
    }
    Err(Error::new(
        ErrorKind::ProviderUnavailable,
        "the source changed again and again while it was copied",
    ))
}

fn said(attributes: &boards_storage_core::ObjectAttributes) -> (String, String) {
    let mime_type = attributes
        .content_type
        .as_ref()
        .map_or(crate::metadata::DEFAULT_TYPE, |kind| kind.as_str());
    let cache_control = attributes.cache_control.as_deref();
    (
        mime_type.to_owned(),
        cache_control
            .unwrap_or(crate::metadata::DEFAULT_CACHE_CONTROL)
            .to_owned(),
    )
}

/// Makes the bucket, unless it is there.
pub(crate) async fn create_bucket(client: &Client, public: bool) -> Result<()> {
    let body = json!({ "id": &*client.bucket, "name": &*client.bucket, "public": public });
    match send_unit(client.json_request(Method::POST, "bucket", &body)).await {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    }
}

/// Finds out whether the bucket can be reached with this key.
pub(crate) async fn probe(client: &Client, public: bool) -> Result<()> {
    let route = format!(
        "object/info/authenticated/{}/boards-storage-probe",
        crate::client::encode(&client.bucket)
    );
    let looked: Result<Value> = send_json(client.request(Method::GET, &route)).await;
    match looked {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(_) | Err(_) => {}
    }
    if !public {
        return Ok(());
    }
    let bucket: Result<Value> = send_json(client.request(Method::GET, &client.bucket_route("bucket"))).await;
    match bucket {
        Ok(bucket) if bucket["public"] == json!(false) => Err(Error::configuration(format!(
            "public is set, but the bucket '{}' is private",
            client.bucket
        ))
        .with_help("make the bucket public, or leave public out")),
        // Only the service role may look at buckets.
        Ok(_) | Err(_) => Ok(()),
    }
}
