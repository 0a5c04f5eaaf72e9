//! Uploads within one call: what fits below the threshold in one request, more in chunks of a session.

use boards_storage_core::{
    Content, Error, ErrorKind, ObjectAttributes, ObjectMetadata, Precondition, Result, Retry, StorageKey,
    UploadOptions, WriteId,
};
use bytes::Bytes;
use futures_util::stream;
use reqwest::{Body, Method};
use serde_json::{Map, Value, json};

use crate::chunks::{Chunks, Expected};
use crate::client::{Client, Query, send_json, send_unit};
use crate::encoding::{self, NO_CONTENT_TYPE, Notes};
use crate::error::Asked;
use crate::resource::{Resource, conditions, crc32c_text, to_json};
use crate::resumable;
use crate::settings::Preconditions;

/// An object that is to be written.
#[derive(Debug)]
pub(crate) struct Write<'a> {
    /// Its name in the bucket.
    pub(crate) name: String,
    pub(crate) attributes: &'a ObjectAttributes,
    pub(crate) notes: Notes,
    pub(crate) precondition: &'a Precondition,
    /// What an answer means; [`Asked::Read`] for what nobody sees.
    pub(crate) asked: Asked,
}

impl Write<'_> {
    /// Returns what is said of the object, as JSON.
    pub(crate) fn to_json(&self, client: &Client) -> Map<String, Value> {
        let mut fields = client.held(to_json(self.attributes, &self.notes));
        fields.insert("name".to_owned(), json!(self.name));
        fields
    }

    /// Returns the type that the bytes are sent as.
    pub(crate) fn content_type(&self) -> &str {
        let content_type = self.attributes.content_type.as_ref();
        content_type.map_or(NO_CONTENT_TYPE, |kind| kind.as_str())
    }

    pub(crate) fn query(&self, client: &Client, upload_type: &str) -> Result<Query> {
        let query = client.kms_query("kmsKeyName").with("uploadType", upload_type);
        Ok(query.with_all(conditions(self.precondition)?))
    }
}

pub(crate) async fn upload(
    client: &Client,
    key: &StorageKey,
    content: &Content,
    options: &UploadOptions,
) -> Result<ObjectMetadata> {
    encoding::check_fields(&options.attributes)?;
    let write = Write {
        name: client.full(key),
        attributes: &options.attributes,
        notes: Notes {
            digest: options.digest,
            write_id: options.write_id,
        },
        precondition: &options.precondition,
        asked: Asked::write(&options.precondition),
    };
    let expected = Expected {
        length: options.length,
        digest: options.digest,
        checksum: None,
    };
    let resource = write_object(client, &write, content, &expected).await?;
    resource.to_metadata(key, client.settings().versions)
}

/// Writes an object of any length.
pub(crate) async fn write_object(
    client: &Client,
    write: &Write<'_>,
    content: &Content,
    expected: &Expected,
) -> Result<Resource> {
    let settings = client.settings();
    // That no object can be in the state asked for is known without asking.
    conditions(write.precondition)?;
    let mut chunks = Chunks::open(content, expected).await?;
    let threshold = usize::try_from(settings.resumable_threshold.bytes()).unwrap_or(usize::MAX);
    let is_long = chunks.is_longer_than(threshold).await?;
    if is_long && *write.precondition != Precondition::None && settings.preconditions() != Preconditions::All
    {
        return Err(
            Error::unsupported("this store decides preconditions of uploads in one request alone")
                .with_help("raise resumable_threshold above the content's length, at most 64 MiB"),
        );
    }
    let resource = if is_long {
        resumable::upload(client, write, &mut chunks).await?
    } else {
        let (bytes, _) = chunks.next(threshold).await?;
        in_one_request(client, write, bytes, chunks.crc32c()).await?
    };
    check_crc32c(client, resource, chunks.crc32c()).await
}

async fn in_one_request(client: &Client, write: &Write<'_>, bytes: Bytes, crc32c: u32) -> Result<Resource> {
    let mut said = write.to_json(client);
    said.insert("crc32c".to_owned(), json!(crc32c_text(crc32c)));
    // Fresh and random, so that no content has it.
    let boundary = WriteId::fresh().to_string();
    let head = format!(
        "--{boundary}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n{}\r\n\
         --{boundary}\r\ncontent-type: {}\r\n\r\n",
        Value::Object(said),
        write.content_type(),
    );
    let tail = format!("\r\n--{boundary}--\r\n");
    let length = head.len() + bytes.len() + tail.len();
    let pieces = [Bytes::from(head), bytes, Bytes::from(tail)];
    let body = Body::wrap_stream(stream::iter(pieces.map(Ok::<_, std::convert::Infallible>)));
    let query = write.query(client, "multipart")?;
    let request = client.request(Method::POST, &client.upload_url(), &query).await?;
    let request = request
        .header("content-type", format!("multipart/related; boundary={boundary}"))
        .header("content-length", length)
        .body(body);
    send_json(request, write.asked).await.map_err(no_bucket)
}

/// A write needs no object, so what is missing is the bucket.
pub(crate) fn no_bucket(error: Error) -> Error {
    if error.kind() != ErrorKind::NotFound {
        return error;
    }
    Error::configuration("the bucket does not exist")
        .with_status(404)
        .with_help("make the bucket, or correct its name")
        .with_source(error)
}

/// Checks that the store has what was sent. What it has instead is removed, if it is still there.
pub(crate) async fn check_crc32c(client: &Client, resource: Resource, sent: u32) -> Result<Resource> {
    match resource.crc32c() {
        Some(kept) if kept != sent => {
            let query = Query::default().with("ifGenerationMatch", resource.state()?.generation);
            let url = client.object_url(&resource.name);
            if let Ok(request) = client.request(Method::DELETE, &url, &query).await {
                // The corruption is what counts.
                drop(send_unit(request, Asked::Write).await);
            }
            Err(
                Error::new(ErrorKind::Corruption, "the store kept other bytes than were sent")
                    .with_retry(Retry::Yes)
                    .with_help(
                        "store it again; what was kept is removed, unless another write came meanwhile",
                    ),
            )
        }
        Some(_) | None => Ok(resource),
    }
}
