//! Looking and reading. The answer to a download has no custom metadata, so both are asked for at once; they are one
//! state if their generations are the same, and asked for again if not.

use std::ops::Range;

use boards_storage_core::{
    ByteRange, ByteStream, Download, DownloadOptions, DownloadOutcome, Error, ErrorKind, NotModified,
    ObjectMetadata, Result, StorageKey,
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future, stream};
use reqwest::{Method, Response};

use crate::chunks::Crc32cHasher;
use crate::client::{Client, Query, header, refused, send_json};
use crate::error::{Asked, unexpected};
use crate::resource::{Resource, State, checksum_of, other_state};

/// How often a look and a read may tell of different states before that is an error.
pub(crate) const LOOKS_MAX: usize = 16;

/// Asks what is known of an object by its name in the bucket.
pub(crate) async fn look(client: &Client, name: &str) -> Result<Resource> {
    look_at(client, name, &Query::default()).await
}

async fn look_at(client: &Client, name: &str, query: &Query) -> Result<Resource> {
    let request = client
        .request(Method::GET, &client.object_url(name), query)
        .await?;
    send_json(request, Asked::Read).await
}

pub(crate) async fn metadata(client: &Client, key: &StorageKey) -> Result<ObjectMetadata> {
    let resource = look(client, &client.full(key)).await?;
    resource.to_metadata(key, client.settings().versions)
}

/// Finds out whether objects can be seen, without changing anything.
pub(crate) async fn probe(client: &Client) -> Result<()> {
    let query = Query::default()
        .with("maxResults", 1)
        .with("prefix", &client.settings().prefix)
        .with("fields", "nextPageToken");
    let request = client.request(Method::GET, &client.objects_url(), &query).await?;
    let listed: Result<serde_json::Value> = send_json(request, Asked::Read).await;
    listed.map(drop).map_err(crate::upload::no_bucket)
}

/// Reads bytes and metadata of one state.
pub(crate) async fn download(
    client: &Client,
    key: &StorageKey,
    options: &DownloadOptions,
) -> Result<DownloadOutcome> {
    let name = client.full(key);
    let version = match options.version.as_deref() {
        Some(version) if version.parse::<u64>().is_err() => {
            return Err(Error::not_found("there is no such version"));
        }
        version => Query::default().with_some("generation", version),
    };
    // A state that is asked for is read as such; only what may not be sent at all is looked at first.
    let wanted = options.if_match.as_ref().and_then(State::of);
    let may_be_unmodified = options.if_none_match.is_some() || options.if_modified_since.is_some();
    for _ in 0..LOOKS_MAX {
        let (looked, answer) = if may_be_unmodified {
            let resource = look_at(client, &name, &version).await?;
            let metadata = resource.to_metadata(key, client.settings().versions)?;
            check_match(&resource, options)?;
            if is_unmodified(&metadata, options) {
                let answer = NotModified::new(metadata.etag, metadata.modified);
                return Ok(DownloadOutcome::NotModified(answer));
            }
            let pinned = Query::default().with("generation", resource.state()?.generation);
            (Ok(resource), open(client, &name, &pinned, options).await)
        } else {
            let pinned = match wanted {
                Some(state) => Query::default().with("generation", state.generation),
                None => version.clone(),
            };
            let looking = look_at(client, &name, &version);
            future::join(looking, open(client, &name, &pinned, options)).await
        };
        if let Ok(resource) = &looked {
            check_match(resource, options)?;
        }
        let (resource, answer) = match (looked, answer) {
            (Ok(resource), Ok(answer)) => (resource, answer),
            (Ok(resource), Err(error)) => {
                if let Some(range) = options.range {
                    range.resolve(resource.size()?)?;
                }
                // Replaced or deleted between the two.
                if error.kind() == ErrorKind::NotFound {
                    continue;
                }
                return Err(error);
            }
            // Made between the two.
            (Err(error), Ok(_)) if error.kind() == ErrorKind::NotFound => continue,
            (Err(error), _) => return Err(error),
        };
        let read = header(answer.headers(), "x-goog-generation").and_then(|text| text.parse().ok());
        if read == Some(resource.state()?.generation) {
            return body(client, key, &resource, answer, options).map(DownloadOutcome::Object);
        }
    }
    Err(changed_again())
}

/// Too many writers.
pub(crate) fn changed_again() -> Error {
    Error::new(
        ErrorKind::ProviderUnavailable,
        "the object changed again and again while it was looked at",
    )
}

async fn open(client: &Client, name: &str, query: &Query, options: &DownloadOptions) -> Result<Response> {
    let query = query.clone().with("alt", "media");
    let request = client
        .long_request(Method::GET, &client.object_url(name), &query)
        .await?;
    // What is stored in gzip is wanted as it is stored; the store would unpack it otherwise.
    let mut request = request.header("accept-encoding", "gzip");
    if let Some(range) = options.range {
        request = request.header("range", range_header(range));
    }
    let answer = request.send().await.map_err(|error| Asked::Read.lost(error))?;
    match answer.status().as_u16() {
        200 | 206 => Ok(answer),
        _ => Err(refused(answer, Asked::Read).await),
    }
}

/// Returns the value of a `Range` header. No object ends beyond what a server counts in 63 bits.
pub(crate) fn range_header(range: ByteRange) -> String {
    const LAST: u64 = i64::MAX.unsigned_abs();
    match range {
        ByteRange::Bounded { start, end } => ByteRange::Bounded {
            start,
            end: end.min(LAST),
        },
        ByteRange::Suffix(count) => ByteRange::Suffix(count.min(LAST)),
        ByteRange::From(start) => ByteRange::From(start),
    }
    .to_string()
}

fn check_match(resource: &Resource, options: &DownloadOptions) -> Result<()> {
    match &options.if_match {
        Some(wanted) if State::of(wanted) != Some(resource.state()?) => Err(other_state()),
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

/// Reads `bytes START-END/SIZE`.
fn parse_content_range(text: &str) -> Option<(Range<u64>, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let size = size.parse().ok()?;
    (first <= last && last < size).then(|| (first..last + 1, size))
}

fn body(
    client: &Client,
    key: &StorageKey,
    resource: &Resource,
    answer: Response,
    options: &DownloadOptions,
) -> Result<Download> {
    let size = resource.size()?;
    let wanted = match options.range {
        Some(range) => range.resolve(size)?,
        None => 0..size,
    };
    let sent = match (
        answer.status().as_u16(),
        header(answer.headers(), "content-range"),
    ) {
        (206, Some(range)) => parse_content_range(range),
        (206, None) => None,
        _ => Some((0..size, size)),
    };
    if sent != Some((wanted.clone(), size)) {
        return Err(unexpected("the store sent other bytes than were asked for"));
    }
    let is_whole = wanted == (0..size);
    let expected = if is_whole { resource.crc32c() } else { None };
    let metadata = resource.to_metadata(key, client.settings().versions)?;
    let bytes = answer.bytes_stream().map_err(|error| Asked::Read.lost(error));
    let checked = checked(bytes, wanted.end - wanted.start, expected);
    Ok(Download::from_stream(metadata, wanted, checked))
}

/// Gives exactly so many bytes. If a checksum is expected and the bytes have another, the last piece is not given.
fn checked(
    bytes: impl stream::Stream<Item = Result<Bytes>> + Send + 'static,
    length: u64,
    expected: Option<u32>,
) -> ByteStream {
    let start = (Box::pin(bytes), length, Crc32cHasher::default());
    let stream = stream::try_unfold(start, move |(mut bytes, left, mut hasher)| async move {
        match bytes.next().await.transpose()? {
            Some(piece) => {
                let left = left.checked_sub(piece.len() as u64);
                let left = left.ok_or_else(|| unexpected("the store sent more bytes than it announced"))?;
                if let Some(expected) = expected {
                    hasher.update(&piece);
                    if left == 0 {
                        check(expected, hasher.finish())?;
                    }
                }
                Ok(Some((piece, (bytes, left, hasher))))
            }
            None if left == 0 => Ok(None),
            None => Err(Error::new(
                ErrorKind::ProviderUnavailable,
                format!("the connection to the store broke with {left} bytes to come"),
            )),
        }
    });
    stream.boxed()
}

fn check(expected: u32, found: u32) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    let problem = format!(
        "the bytes are not those that were stored: expected {}, got {}",
        checksum_of(expected),
        checksum_of(found)
    );
    Err(Error::new(ErrorKind::Corruption, problem).with_help("restore the object from a replica or a backup"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_written_and_read() {
        assert_eq!(range_header(ByteRange::from(2..5)), "bytes=2-4");
        assert_eq!(
            range_header(ByteRange::from(2..u64::MAX)),
            "bytes=2-9223372036854775806"
        );
        assert_eq!(range_header(ByteRange::from(2..)), "bytes=2-");
        assert_eq!(
            range_header(ByteRange::suffix(u64::MAX)),
            "bytes=-9223372036854775807"
        );
        assert_eq!(parse_content_range("bytes 2-4/10"), Some((2..5, 10)));
        for wrong in [
            "bytes 2-4/*",
            "bytes 4-2/10",
            "bytes 2-10/10",
            "2-4/10",
            "bytes */10",
        ] {
            assert_eq!(parse_content_range(wrong), None, "{wrong}");
        }
    }

    async fn read(sent: &'static str, announced: u64, expected: Option<u32>) -> Result<Vec<Bytes>> {
        let bytes = stream::iter([Ok(Bytes::from_static(sent.as_bytes()))]);
        checked(bytes, announced, expected).try_collect().await
    }

    #[tokio::test]
    async fn a_body_is_whole_and_right_or_fails() {
        let right = Some(0x9a71_bb4c);
        assert_eq!(read("hello", 5, right).await.expect("right"), ["hello"]);
        assert_eq!(read("hello", 5, None).await.expect("unchecked"), ["hello"]);
        let kind = |outcome: Result<Vec<Bytes>>| outcome.expect_err("wrong").kind();
        assert_eq!(kind(read("jello", 5, right).await), ErrorKind::Corruption);
        assert_eq!(kind(read("hell", 5, right).await), ErrorKind::ProviderUnavailable);
        assert_eq!(kind(read("hello!", 5, None).await), ErrorKind::Storage);
    }
}
