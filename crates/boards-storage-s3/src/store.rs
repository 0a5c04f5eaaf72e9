//! What every operation needs: the client, the bucket, and the settings as the requests want them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::SharedCredentialsProvider;
use aws_sdk_s3::error::{BuildError, SdkError};
use aws_sdk_s3::operation::get_object::builders::GetObjectInputBuilder;
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::operation::head_object::builders::HeadObjectInputBuilder;
use aws_sdk_s3::operation::head_object::{HeadObjectError, HeadObjectInput, HeadObjectOutput};
use aws_sdk_s3::operation::put_object::builders::PutObjectInputBuilder;
use aws_sdk_s3::operation::put_object::{PutObjectError, PutObjectOutput};
use aws_sdk_s3::operation::upload_part::builders::UploadPartInputBuilder;
use aws_sdk_s3::operation::upload_part::{UploadPartError, UploadPartOutput};
use aws_sdk_s3::primitives::{DateTime, SdkBody};
use aws_sdk_s3::types::{ChecksumMode, ObjectCannedAcl};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use boards_storage_core::{
    AccessClass, Capabilities, Checksum, ChecksumAlgorithm, ContentType, ETag, Error, ErrorKind,
    ObjectAttributes, ObjectMetadata, Result, StorageKey,
};
use jiff::Timestamp;

use crate::at_rest::AtRest;
use crate::client;
use crate::direct::{Direct, Outcome};
use crate::encoding::{self, Notes};
use crate::error::Asked;
use crate::pieces::Pieces;
use crate::settings::{ChecksumChoice, S3Settings};

/// One bucket.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) client: Client,
    direct: Option<Direct>,
    pub(crate) credentials: SharedCredentialsProvider,
    pub(crate) region: String,
    pub(crate) settings: S3Settings,
    pub(crate) at_rest: AtRest,
    pub(crate) capabilities: Capabilities,
    /// Copies of larger objects go in parts.
    pub(crate) single_copy_bytes_max: u64,
    /// The size of a part of a copy.
    pub(crate) copy_part_bytes: u64,
    /// Whether the bucket has answered with an object, so that a 404 speaks of the key.
    is_bucket_seen: AtomicBool,
}

impl Store {
    pub(crate) async fn open(settings: S3Settings, capabilities: Capabilities) -> Result<Self> {
        let at_rest = AtRest::of(&settings)?;
        let connected = client::connect(&settings).await?;
        Ok(Self {
            client: connected.client,
            direct: connected.direct,
            credentials: connected.credentials,
            region: connected.region,
            settings,
            at_rest,
            capabilities,
            single_copy_bytes_max: 5 << 30,
            copy_part_bytes: 512 << 20,
            is_bucket_seen: AtomicBool::new(false),
        })
    }

    pub(crate) fn bucket(&self) -> &str {
        &self.settings.bucket
    }

    /// Returns the key in the bucket.
    pub(crate) fn full(&self, key: &StorageKey) -> String {
        format!("{}{key}", self.settings.prefix)
    }

    /// Says whether the store itself checks and keeps checksums.
    pub(crate) fn keeps_checksums(&self) -> bool {
        self.settings.checksum() == ChecksumChoice::Crc64nvme
    }

    /// Asks for an object's checksum where the store keeps one.
    pub(crate) fn checksum_mode(&self) -> Option<ChecksumMode> {
        self.keeps_checksums().then_some(ChecksumMode::Enabled)
    }

    /// Returns the version, if the bucket keeps them. Others answer `null`, nothing, or what they do not keep.
    pub(crate) fn version(&self, answered: Option<&str>) -> Option<String> {
        answered
            .filter(|version| self.settings.versions && !version.is_empty() && *version != "null")
            .map(ToOwned::to_owned)
    }

    /// Asks what is known of an object.
    pub(crate) async fn head(&self, key: &StorageKey) -> Result<Found> {
        self.head_named(&self.full(key), key).await
    }

    /// As [`Store::head`], by the name in the bucket; the answer calls it `key`.
    pub(crate) async fn head_named(&self, name: &str, key: &StorageKey) -> Result<Found> {
        let request = HeadObjectInput::builder()
            .bucket(self.bucket())
            .key(name)
            .set_checksum_mode(self.checksum_mode());
        match self.send_head(with_customer_key!(request, self.at_rest)).await {
            Ok(answer) => {
                check_is_an_object(answer.e_tag(), answer.last_modified())?;
                self.is_bucket_seen.store(true, Ordering::Relaxed);
                let length = answer.content_length();
                Ok(Found::of(self, key, found_fields!(answer, length)))
            }
            Err(error) => Err(self.not_found_in_bucket(Asked::Read.failed(error)).await),
        }
    }

    pub(crate) async fn send_get(
        &self,
        request: GetObjectInputBuilder,
    ) -> Outcome<GetObjectOutput, GetObjectError> {
        match &self.direct {
            Some(direct) => direct.send(&direct.get, built(request.build())?).await,
            None => request.send_with(&self.client).await,
        }
    }

    pub(crate) async fn send_head(
        &self,
        request: HeadObjectInputBuilder,
    ) -> Outcome<HeadObjectOutput, HeadObjectError> {
        match &self.direct {
            Some(direct) => direct.send(&direct.head, built(request.build())?).await,
            None => request.send_with(&self.client).await,
        }
    }

    /// Sends an object that is in memory.
    pub(crate) async fn send_put(
        &self,
        request: PutObjectInputBuilder,
    ) -> Outcome<PutObjectOutput, PutObjectError> {
        match &self.direct {
            Some(direct) => direct.send(&direct.put, built(request.build())?).await,
            None => request.send_with(&self.client).await,
        }
    }

    /// Makes the body of a part. Pieces are put together where all of them are signed.
    pub(crate) fn body_of(&self, pieces: Pieces) -> SdkBody {
        match &self.direct {
            Some(direct) if !direct.signs_payload() => pieces.into_body(),
            Some(_) | None => SdkBody::from(pieces.into_bytes()),
        }
    }

    /// Sends a part that is in memory.
    pub(crate) async fn send_part(
        &self,
        request: UploadPartInputBuilder,
    ) -> Outcome<UploadPartOutput, UploadPartError> {
        match &self.direct {
            Some(direct) => direct.send(&direct.part, built(request.build())?).await,
            None => request.send_with(&self.client).await,
        }
    }

    /// An answer to HEAD has no words: a missing bucket looks like a missing object. So, as long as no object was
    /// seen in it, the bucket is looked at too.
    async fn not_found_in_bucket(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::NotFound || self.is_bucket_seen.load(Ordering::Relaxed) {
            return error;
        }
        match self.probe().await {
            Ok(()) => error,
            Err(problem) => problem,
        }
    }

    /// Asks for the bucket.
    pub(crate) async fn probe(&self) -> Result<()> {
        match self.client.head_bucket().bucket(self.bucket()).send().await {
            Ok(_) => {
                self.is_bucket_seen.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                let error = Asked::Read.failed(error);
                if error.kind() != ErrorKind::NotFound {
                    return Err(error);
                }
                let problem = format!("the bucket '{}' does not exist", self.bucket());
                Err(Error::configuration(problem).with_help("make the bucket, or correct bucket and region"))
            }
        }
    }
}

#[expect(clippy::result_large_err, reason = "the SDK's own type")]
fn built<I, E>(input: Result<I, BuildError>) -> Outcome<I, E> {
    input.map_err(SdkError::construction_failure)
}

/// The fields that an answer to HEAD and one to GET have in common; they share no type.
pub(crate) struct Fields<'a> {
    pub(crate) size_bytes: Option<u64>,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) content_disposition: Option<&'a str>,
    pub(crate) content_encoding: Option<&'a str>,
    pub(crate) content_language: Option<&'a str>,
    pub(crate) cache_control: Option<&'a str>,
    pub(crate) metadata: Option<&'a HashMap<String, String>>,
    pub(crate) etag: Option<&'a str>,
    pub(crate) version: Option<&'a str>,
    pub(crate) modified: Option<&'a DateTime>,
    pub(crate) crc64: Option<&'a str>,
}

macro_rules! found_fields {
    ($answer:expr, $length:expr) => {
        $crate::store::Fields {
            size_bytes: $length.and_then(|length| u64::try_from(length).ok()),
            content_type: $answer.content_type(),
            content_disposition: $answer.content_disposition(),
            content_encoding: $answer.content_encoding(),
            content_language: $answer.content_language(),
            cache_control: $answer.cache_control(),
            metadata: $answer.metadata(),
            etag: $answer.e_tag(),
            version: $answer.version_id(),
            modified: $answer.last_modified(),
            crc64: $answer.checksum_crc64_nvme(),
        }
    };
}
pub(crate) use found_fields;

/// An object as the store described it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) metadata: ObjectMetadata,
    pub(crate) notes: Notes,
}

impl Found {
    pub(crate) fn of(store: &Store, key: &StorageKey, fields: Fields<'_>) -> Self {
        let (user_metadata, notes) = encoding::decode(fields.metadata);
        let own = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(ToOwned::to_owned);
        let mut attributes = ObjectAttributes::default();
        // A type that is none at all is not worth an error.
        attributes.content_type = fields
            .content_type
            .filter(|text| *text != encoding::NO_CONTENT_TYPE)
            .and_then(|text| ContentType::parse(text).ok());
        attributes.content_disposition = own(fields.content_disposition);
        attributes.content_encoding = own(fields.content_encoding);
        attributes.content_language = own(fields.content_language);
        attributes.cache_control = own(fields.cache_control);
        attributes.user_metadata = user_metadata;
        let mut metadata = ObjectMetadata::new(key.clone(), fields.size_bytes.unwrap_or(0));
        metadata.attributes = attributes;
        metadata.etag = etag(fields.etag);
        metadata.version = store.version(fields.version);
        metadata.modified = fields.modified.and_then(timestamp);
        metadata.digest = notes.digest;
        metadata.write_id = notes.write_id;
        metadata.checksum = fields
            .crc64
            .filter(|_| store.keeps_checksums())
            .and_then(parse_crc64);
        Self { metadata, notes }
    }

    /// The checksum by which a full read is checked: the store's, or the one that the provider noted.
    pub(crate) fn checksum(&self) -> Option<&Checksum> {
        self.metadata.checksum.as_ref().or(self.notes.checksum.as_ref())
    }
}

/// Returns the entity tag without quotes; some stores answer an empty one.
pub(crate) fn etag(text: Option<&str>) -> Option<ETag> {
    let tag = ETag::new(text?);
    (!tag.as_str().is_empty()).then_some(tag)
}

/// Returns the entity tag as HTTP's headers want it.
pub(crate) fn quoted(etag: &ETag) -> String {
    format!("\"{etag}\"")
}

pub(crate) fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

/// Returns a checksum as S3's headers have it.
pub(crate) fn checksum_header(checksum: &Checksum) -> String {
    BASE64.encode(checksum.value())
}

/// Reads a checksum of a whole object. One of its parts' checksums ends with their number, and is of no use.
pub(crate) fn parse_crc64(text: &str) -> Option<Checksum> {
    Checksum::new(ChecksumAlgorithm::Crc64Nvme, BASE64.decode(text).ok()?).ok()
}

/// Returns the canned ACL of an access class.
pub(crate) fn acl_of(access: AccessClass) -> ObjectCannedAcl {
    match access {
        AccessClass::Public => ObjectCannedAcl::PublicRead,
        AccessClass::Private | AccessClass::Temporary | AccessClass::Authenticated => {
            ObjectCannedAcl::Private
        }
    }
}

/// Refuses an answer that describes no object: what stands before a store may answer 200 with words of its own.
pub(crate) fn check_is_an_object(etag: Option<&str>, modified: Option<&DateTime>) -> Result<()> {
    if etag.is_some() || modified.is_some() {
        return Ok(());
    }
    let problem = "the answer has neither an entity tag nor a date, so it describes no object";
    Err(Error::new(ErrorKind::ProviderUnavailable, problem)
        .with_help("check the endpoint and what stands before it"))
}

/// Says that an answer lacks what it must have.
pub(crate) fn incomplete(what: &str) -> Error {
    Error::new(ErrorKind::Storage, format!("the store's answer has no {what}"))
}
