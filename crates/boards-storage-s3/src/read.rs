//! Downloads: conditions and ranges as headers, the body as a stream that is whole and right, or fails.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, ready};

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectInput, GetObjectOutput};
use aws_sdk_s3::primitives::{DateTime, SdkBody};
use aws_smithy_runtime_api::http::Response;
use boards_storage_core::{
    ByteRange, ByteStream, Checksum, Crc64Hasher, Download, DownloadOptions, DownloadOutcome, Error,
    ErrorKind, NotModified, ObjectMetadata, Result, StorageKey,
};
use bytes::Bytes;
use futures_util::Stream;
use http_body::Body as _;
use jiff::Timestamp;

use crate::error::Asked;
use crate::store::{Found, Store, check_is_an_object, etag, found_fields, incomplete, quoted};

pub(crate) async fn download(
    store: &Store,
    key: &StorageKey,
    options: &DownloadOptions,
) -> Result<DownloadOutcome> {
    store.capabilities.check_download(key, options)?;
    let mode = store.checksum_mode().filter(|_| options.range.is_none());
    let since = options
        .if_modified_since
        .map(|since| DateTime::from_secs(since.as_second()));
    let request = GetObjectInput::builder()
        .bucket(store.bucket())
        .key(store.full(key))
        .set_version_id(options.version.clone())
        .set_range(options.range.map(range_header))
        .set_if_match(options.if_match.as_ref().map(quoted))
        .set_if_none_match(options.if_none_match.as_ref().map(quoted))
        .set_if_modified_since(since.filter(|_| options.if_none_match.is_none()))
        .set_checksum_mode(mode);
    let request = with_customer_key!(request, store.at_rest);
    match store.send_get(request).await {
        Ok(answer) => opened(store, key, options, answer).map(DownloadOutcome::Object),
        Err(error) => match not_modified(&error) {
            Some(answer) => Ok(DownloadOutcome::NotModified(answer)),
            None => Err(refusal(options, Asked::Read.failed(error))),
        },
    }
}

/// Returns the value of a `Range` header.
pub(crate) fn range_header(range: ByteRange) -> String {
    match range {
        ByteRange::Bounded { start, end } => format!("bytes={start}-{}", end.saturating_sub(1)),
        ByteRange::From(start) => format!("bytes={start}-"),
        ByteRange::Suffix(count) => format!("bytes=-{count}"),
    }
}

/// An unknown version is malformed for some stores; it is not there.
fn refusal(options: &DownloadOptions, error: Error) -> Error {
    if options.version.is_some() && error.kind() == ErrorKind::InvalidInput && error.status() == Some(400) {
        return Error::not_found("there is no such version").with_source(error);
    }
    error
}

fn not_modified(error: &SdkError<GetObjectError, Response>) -> Option<NotModified> {
    let response = error.raw_response()?;
    if response.status().as_u16() != 304 {
        return None;
    }
    let headers = response.headers();
    let modified = headers.get("last-modified").and_then(http_date);
    Some(NotModified::new(etag(headers.get("etag")), modified))
}

fn http_date(text: &str) -> Option<Timestamp> {
    let time = DateTime::from_str(text, aws_sdk_s3::primitives::DateTimeFormat::HttpDate).ok()?;
    crate::store::timestamp(&time)
}

fn opened(
    store: &Store,
    key: &StorageKey,
    options: &DownloadOptions,
    answer: GetObjectOutput,
) -> Result<Download> {
    check_is_an_object(answer.e_tag(), answer.last_modified())?;
    let sent = answer
        .content_length()
        .and_then(|length| u64::try_from(length).ok());
    let sent = sent.ok_or_else(|| incomplete("content length"))?;
    if let Some(asked) = options.range
        && sent == 0
    {
        // Garage answers a range of an empty object with nothing, and a content range that makes no sense.
        asked.resolve(0)?;
    }
    let (range, size_bytes) = match answer.content_range() {
        Some(text) => {
            parse_content_range(text).ok_or_else(|| incomplete("content range that can be read"))?
        }
        None => (0..sent, sent),
    };
    if range.end - range.start != sent {
        return Err(incomplete("content range that fits its length"));
    }
    if let Some(asked) = options.range
        && asked.resolve(size_bytes)? != range
    {
        return Err(incomplete("range that was asked for"));
    }
    let length = i64::try_from(size_bytes).ok();
    let found = Found::of(store, key, found_fields!(answer, length));
    let is_whole = range == (0..size_bytes);
    let expected = found.checksum().cloned().filter(|_| is_whole);
    Ok(with_body(
        found.metadata,
        range,
        answer.body.into_inner(),
        expected,
    ))
}

/// Reads `bytes START-END/SIZE`.
fn parse_content_range(text: &str) -> Option<(Range<u64>, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let size = size.parse().ok()?;
    (first <= last && last < size).then(|| (first..last + 1, size))
}

fn with_body(
    metadata: ObjectMetadata,
    range: Range<u64>,
    body: SdkBody,
    expected: Option<Checksum>,
) -> Download {
    let stream: ByteStream = Box::pin(BodyStream {
        body: Mutex::new(body),
        left: range.end - range.start,
        hasher: Crc64Hasher::default(),
        expected,
        is_over: false,
    });
    Download::from_stream(metadata, range, stream)
}

/// Gives exactly the bytes that were announced. If a checksum is expected and the bytes have another, the last piece
/// is not given.
struct BodyStream {
    // Never locked: it makes the body `Sync`, and is polled exclusively.
    body: Mutex<SdkBody>,
    left: u64,
    hasher: Crc64Hasher,
    expected: Option<Checksum>,
    is_over: bool,
}

impl BodyStream {
    fn take(&mut self, piece: Bytes) -> Result<Bytes> {
        let Some(left) = self.left.checked_sub(piece.len() as u64) else {
            return Err(Error::new(
                ErrorKind::Storage,
                "the store sent more bytes than it announced",
            ));
        };
        self.left = left;
        if let Some(expected) = &self.expected {
            self.hasher.update(&piece);
            if left == 0 {
                check(expected, &self.hasher.finish())?;
            }
        }
        Ok(piece)
    }

    fn broken(&self, cause: &str) -> Error {
        let left = self.left;
        Error::new(
            ErrorKind::ProviderUnavailable,
            format!("the connection broke with {left} bytes to come{cause}"),
        )
    }
}

fn check(expected: &Checksum, found: &Checksum) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    let problem = format!("the bytes are not those that were stored: expected {expected}, got {found}");
    Err(Error::new(ErrorKind::Corruption, problem).with_help("restore the object from a replica or a backup"))
}

impl Stream for BodyStream {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.is_over {
                return Poll::Ready(None);
            }
            let body = self
                .body
                .get_mut()
                .expect("it is never locked, so no holder panicked");
            let outcome = match ready!(Pin::new(body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) if !piece.is_empty() => self.take(piece),
                    Ok(_) | Err(_) => continue,
                },
                Some(Err(cause)) => Err(self.broken(&format!(": {cause}"))),
                None if self.left > 0 => Err(self.broken("")),
                None => {
                    self.is_over = true;
                    return Poll::Ready(None);
                }
            };
            self.is_over = outcome.is_err();
            return Poll::Ready(Some(outcome));
        }
    }
}

#[cfg(test)]
mod tests {
    use boards_storage_core::StorageKey;

    use super::*;

    #[test]
    fn ranges_are_written_and_read() {
        assert_eq!(range_header(ByteRange::from(2..5)), "bytes=2-4");
        assert_eq!(range_header(ByteRange::from(2..)), "bytes=2-");
        assert_eq!(range_header(ByteRange::suffix(3)), "bytes=-3");
        assert_eq!(parse_content_range("bytes 2-4/10"), Some((2..5, 10)));
        for wrong in [
            "bytes 2-4/*",
            "bytes 4-2/10",
            "bytes 2-10/10",
            "2-4/10",
            "bytes */10",
            "bytes 0-18446744073709551615/0",
        ] {
            assert_eq!(parse_content_range(wrong), None, "{wrong}");
        }
    }

    async fn read(sent: &'static str, announced: u64, expected: Option<Checksum>) -> Result<Bytes> {
        let metadata = ObjectMetadata::new(StorageKey::parse("a").expect("a key"), announced);
        with_body(metadata, 0..announced, SdkBody::from(sent), expected)
            .bytes(100)
            .await
    }

    #[tokio::test]
    async fn a_body_is_whole_and_right_or_fails() {
        let right = Some(Checksum::crc64_nvme(b"abc"));
        assert_eq!(read("abc", 3, right.clone()).await.expect("right"), "abc");
        assert_eq!(read("abc", 3, None).await.expect("unchecked"), "abc");
        let kind = |outcome: Result<Bytes>| outcome.expect_err("wrong").kind();
        assert_eq!(kind(read("abd", 3, right.clone()).await), ErrorKind::Corruption);
        assert_eq!(kind(read("ab", 3, right).await), ErrorKind::ProviderUnavailable);
        assert_eq!(kind(read("abcd", 3, None).await), ErrorKind::Storage);
    }
}
