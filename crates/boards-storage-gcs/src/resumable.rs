//! Resumable sessions: content in chunks, of which nothing is visible before the last.
//!
//! The address of a session is a credential: it is sent no other, and is never told. After a lost answer the store is
//! asked how far it is; what it has is not sent again. A session that makes no progress ends the call: whether to
//! begin anew is decided by whoever retries.

use boards_storage_core::{Error, ErrorKind, Result};
use bytes::Bytes;
use reqwest::{Method, Response};
use serde_json::Value;

use crate::chunks::Chunks;
use crate::client::{Client, body_of, header, read_json, refused};
use crate::error::{Asked, unexpected};
use crate::resource::{Resource, crc32c_text};
use crate::upload::{Write, no_bucket};

/// How far a session is.
#[derive(Debug)]
enum Progress {
    /// The store has so many bytes, and wants more.
    At(u64),
    /// The object is there.
    Done(Box<Resource>),
}

/// A chunk that is to be sent.
struct Chunk {
    offset: u64,
    bytes: Bytes,
    /// The length of the whole and its checksum, with the last chunk.
    end: Option<(u64, u32)>,
}

impl Chunk {
    fn ends_at(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    /// Returns what the store does not have.
    fn from(&self, offset: u64) -> Bytes {
        let skipped = usize::try_from(offset - self.offset).unwrap_or(usize::MAX);
        self.bytes.slice(skipped.min(self.bytes.len())..)
    }
}

struct Session<'a> {
    client: &'a Client,
    url: String,
    asked: Asked,
    content_type: &'a str,
    /// The length of the whole, if it was known at the beginning.
    declared: Option<u64>,
}

/// Stores content chunk by chunk within one call.
pub(crate) async fn upload(client: &Client, write: &Write<'_>, chunks: &mut Chunks) -> Result<Resource> {
    let session = begin(client, write, chunks.declared()).await?;
    let outcome = session.send_all(chunks).await;
    if let Err(error) = &outcome
        && error.kind() != ErrorKind::OutcomeUnknown
    {
        // The first error is the one that matters; what stays is invisible and expires within a week.
        let _ = client.session_request(Method::DELETE, &session.url).send().await;
    }
    outcome
}

async fn begin<'a>(client: &'a Client, write: &'a Write<'_>, declared: Option<u64>) -> Result<Session<'a>> {
    let query = write.query(client, "resumable")?.with("name", &write.name);
    let said = Value::Object(write.to_json(client));
    let request = client
        .json_request(Method::POST, &client.upload_url(), &query, &said)
        .await?
        .header("x-upload-content-type", write.content_type());
    let request = match declared {
        Some(length) => request.header("x-upload-content-length", length),
        None => request,
    };
    // Nothing is visible yet, so a lost answer leaves nothing open.
    let answer = match request.send().await {
        Ok(answer) if answer.status().is_success() => answer,
        Ok(answer) => {
            let asked = asked_of(&answer, write.asked, Asked::Read);
            return Err(no_bucket(refused(answer, asked).await));
        }
        Err(error) => return Err(Asked::Read.lost(error)),
    };
    let url = header(answer.headers(), "location")
        .filter(|url| url.starts_with("http://") || url.starts_with("https://"))
        .map(str::to_owned);
    let Some(url) = url else {
        body_of(answer, Asked::Read).await?;
        return Err(unexpected("the store named no place for the upload"));
    };
    Ok(Session {
        client,
        url,
        asked: write.asked,
        content_type: write.content_type(),
        declared,
    })
}

impl Session<'_> {
    async fn send_all(&self, chunks: &mut Chunks) -> Result<Resource> {
        let size = usize::try_from(self.client.settings().chunk_size.bytes()).unwrap_or(usize::MAX);
        let mut offset = 0;
        loop {
            // The last chunk is handed out only if length and digest are right.
            let (bytes, is_last) = chunks.next(size).await?;
            let length = offset + bytes.len() as u64;
            let chunk = Chunk {
                offset,
                bytes,
                end: is_last.then(|| (length, chunks.crc32c())),
            };
            if let Some(resource) = self.send_chunk(&chunk).await? {
                return Ok(resource);
            }
            offset = length;
        }
    }

    /// Sends a chunk until the store has all of it, and returns the object if that was the last.
    async fn send_chunk(&self, chunk: &Chunk) -> Result<Option<Resource>> {
        let mut position = chunk.offset;
        loop {
            let progress = match self.put(chunk, position).await {
                Ok(progress) => progress,
                Err(error) => self.settle(chunk, position, error).await?,
            };
            match (progress, chunk.end) {
                (Progress::Done(resource), Some((length, _))) if resource.size()? == length => {
                    return Ok(Some(*resource));
                }
                (Progress::Done(_), _) => return Err(unexpected("the store ended the upload too early")),
                (Progress::At(reached), None) if reached == chunk.ends_at() => return Ok(None),
                (Progress::At(reached), _) if reached > position && reached <= chunk.ends_at() => {
                    position = reached;
                }
                (Progress::At(reached), _) => {
                    let end = chunk.ends_at();
                    return Err(Error::new(
                        ErrorKind::ProviderUnavailable,
                        format!("the store took the bytes up to {reached} of {end} and no more"),
                    ));
                }
            }
        }
    }

    async fn put(&self, chunk: &Chunk, position: u64) -> Result<Progress> {
        let bytes = chunk.from(position);
        let total = chunk.end.map(|(length, _)| length).or(self.declared);
        let total = total.map_or("*".to_owned(), |length| length.to_string());
        let range = match bytes.len() as u64 {
            0 => format!("bytes */{total}"),
            length => format!("bytes {position}-{}/{total}", position + length - 1),
        };
        let mut request = self
            .client
            .session_request(Method::PUT, &self.url)
            // The object's type was said at the beginning; emulators take it from here.
            .header("content-type", self.content_type)
            .header("content-range", range)
            .header("content-length", bytes.len());
        if let Some((_, crc32c)) = chunk.end {
            request = request.header("x-goog-hash", format!("crc32c={}", crc32c_text(crc32c)));
        }
        // Only the last chunk changes what can be seen.
        let asked = if chunk.end.is_some() {
            self.asked
        } else {
            Asked::Read
        };
        let answer = request
            .body(bytes)
            .send()
            .await
            .map_err(|error| asked.lost(error))?;
        self.progress_of(answer, asked).await
    }

    async fn progress_of(&self, answer: Response, asked: Asked) -> Result<Progress> {
        match answer.status().as_u16() {
            308 => Ok(Progress::At(match header(answer.headers(), "range") {
                None => 0,
                Some(range) => {
                    let last = range.strip_prefix("bytes=0-").and_then(|last| last.parse().ok());
                    last.and_then(|last: u64| last.checked_add(1))
                        .ok_or_else(|| unexpected("the store tells a range that makes no sense"))?
                }
            })),
            200..=299 => Ok(Progress::Done(Box::new(read_json(answer, asked).await?))),
            404 | 410 | 499 => Err(Error::new(
                ErrorKind::ProviderUnavailable,
                "the store has forgotten the upload's session",
            )
            .with_status(answer.status().as_u16())),
            _ => {
                let asked = asked_of(&answer, self.asked, asked);
                Err(refused(answer, asked).await)
            }
        }
    }

    /// Decides a chunk that brought no answer, or that of a store in trouble: the store is asked once how far it is.
    async fn settle(&self, chunk: &Chunk, position: u64, error: Error) -> Result<Progress> {
        if error.kind() != ErrorKind::OutcomeUnknown && !error.retry().is_wanted() {
            return Err(error);
        }
        let total = chunk.end.map(|(length, _)| length).or(self.declared);
        let total = total.map_or("*".to_owned(), |length| length.to_string());
        let request = self
            .client
            .session_request(Method::PUT, &self.url)
            .header("content-range", format!("bytes */{total}"))
            .header("content-length", 0);
        let looked = match request.send().await {
            Ok(answer) => self.progress_of(answer, Asked::Read).await,
            Err(lost) => Err(Asked::Read.lost(lost)),
        };
        match looked {
            Ok(Progress::At(reached)) if reached <= position => Err(not_stored(error)),
            Ok(progress) => Ok(progress),
            Err(_) => Err(error),
        }
    }
}

/// What a refusal means: the store may decide the precondition of the whole at any time.
fn asked_of(answer: &Response, whole: Asked, request: Asked) -> Asked {
    match answer.status().as_u16() {
        412 => whole,
        _ => request,
    }
}

/// The store said that it does not have the last bytes, so nothing is open.
fn not_stored(error: Error) -> Error {
    if error.kind() != ErrorKind::OutcomeUnknown {
        return error;
    }
    Error::new(
        ErrorKind::ProviderUnavailable,
        "the connection to the store broke",
    )
    .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::outcome_unknown;

    #[test]
    fn what_the_store_has_is_not_sent_again() {
        let chunk = Chunk {
            offset: 10,
            bytes: Bytes::from_static(b"abcdef"),
            end: None,
        };
        assert_eq!(chunk.ends_at(), 16);
        assert_eq!(chunk.from(10), "abcdef");
        assert_eq!(chunk.from(14), "ef");
        assert_eq!(chunk.from(16), "");
    }

    #[test]
    fn a_write_that_is_known_not_to_be_stored_is_not_open() {
        let error = not_stored(outcome_unknown("lost"));
        assert_eq!(error.kind(), ErrorKind::ProviderUnavailable);
        let other = not_stored(Error::new(ErrorKind::Timeout, "late"));
        assert_eq!(other.kind(), ErrorKind::Timeout);
    }
}
