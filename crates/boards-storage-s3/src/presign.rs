//! Signed URLs: requests that a client without credentials may send, made by the SDK's own signer.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use boards_storage_core::{
    Capability, Checksum, ChecksumAlgorithm, Clock as _, Error, MultipartUpload, Precondition,
    PresignDownloadOptions, PresignPartOptions, PresignUploadOptions, Result, SignedMethod, SignedRequest,
    SignedUploadForm, StorageKey, SystemClock, check_expiry,
};
use jiff::Timestamp;

use crate::encoding::{self, Notes};
use crate::error::Asked;
use crate::multipart::known_id;
use crate::policy;
use crate::read::range_header;
use crate::settings::PART_BYTES_MAX;
use crate::store::{Store, checksum_header, quoted};
use crate::upload::PART_COUNT_MAX;

/// From when to when a signature holds, in whole seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) begins: Timestamp,
    pub(crate) lasts: Duration,
}

impl Life {
    /// Begins now.
    pub(crate) fn of(expires_in: Duration) -> Result<Self> {
        check_expiry(expires_in)?;
        let now = SystemClock.now();
        Ok(Self {
            begins: Timestamp::from_second(now.as_second()).unwrap_or(now),
            lasts: Duration::from_secs(expires_in.as_secs()),
        })
    }

    pub(crate) fn ends(self) -> Timestamp {
        self.begins.saturating_add(self.lasts).unwrap_or(Timestamp::MAX)
    }

    /// The beginning as the SDK wants it.
    pub(crate) fn system_time(self) -> SystemTime {
        let seconds = u64::try_from(self.begins.as_second()).unwrap_or(0);
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn config(self) -> Result<PresigningConfig> {
        PresigningConfig::builder()
            .start_time(self.system_time())
            .expires_in(self.lasts)
            .build()
            .map_err(|source| {
                Error::invalid_input("the life of the signature is not allowed").with_source(source)
            })
    }
}

pub(crate) async fn upload_request(
    store: &Store,
    key: &StorageKey,
    options: &PresignUploadOptions,
) -> Result<SignedRequest> {
    store.capabilities.check_presign_upload(key, options)?;
    encoding::check_fields(&options.attributes)?;
    let life = Life::of(store.capabilities.signed_upload_life(options))?;
    match options.form {
        SignedUploadForm::Put => put_request(store, key, options, life).await,
        SignedUploadForm::Post => policy::post_request(store, key, options, life).await,
    }
}

async fn put_request(
    store: &Store,
    key: &StorageKey,
    options: &PresignUploadOptions,
    life: Life,
) -> Result<SignedRequest> {
    if options.length_max.is_some() {
        return Err(
            Error::unsupported("a signed PUT has an exact length or none, not a greatest one")
                .with_help("sign an exact length, or a POST form"),
        );
    }
    let (crc64, md5) = checksum_headers(store, options.checksum.as_ref())?;
    let notes = Notes {
        write_id: options.write_id,
        ..Notes::default()
    };
    let request = store
        .client
        .put_object()
        .bucket(store.bucket())
        .key(store.full(key))
        .set_content_length(length_header(options.length)?)
        .set_checksum_crc64_nvme(crc64)
        .set_content_md5(md5);
    let request = as_signed_object!(request, store, &options.attributes, &notes);
    let request = match &options.precondition {
        Precondition::IfAbsent => request.if_none_match("*"),
        Precondition::IfMatch(etag) => request.if_match(quoted(etag)),
        _ => request,
    };
    let signed = request.customize().presigned(life.config()?).await;
    Ok(made(
        SignedMethod::Put,
        &signed.map_err(|error| Asked::Read.failed(error))?,
        life,
    ))
}

pub(crate) async fn part_request(
    store: &Store,
    upload: &MultipartUpload,
    number: u32,
    options: &PresignPartOptions,
) -> Result<SignedRequest> {
    store.capabilities.require(Capability::PresignedPart)?;
    let life = Life::of(options.expires_in)?;
    if !(1..=PART_COUNT_MAX).contains(&number) {
        return Err(Error::invalid_input(format!(
            "the part number must be 1 to {PART_COUNT_MAX}, got {number}"
        )));
    }
    let (crc64, md5) = checksum_headers(store, options.checksum.as_ref())?;
    let request = store
        .client
        .upload_part()
        .bucket(store.bucket())
        .key(store.full(&upload.key))
        .upload_id(known_id(upload)?)
        .part_number(number.cast_signed())
        .set_content_length(length_header(options.length)?)
        .set_checksum_crc64_nvme(crc64)
        .set_content_md5(md5);
    let signed = request.presigned(life.config()?).await;
    Ok(made(
        SignedMethod::Put,
        &signed.map_err(|error| Asked::Read.failed(error))?,
        life,
    ))
}

pub(crate) async fn download_request(
    store: &Store,
    key: &StorageKey,
    options: &PresignDownloadOptions,
) -> Result<SignedRequest> {
    store.capabilities.check_presign_download(key, options)?;
    let life = Life::of(options.expires_in)?;
    let content_type = options.content_type.as_ref().map(ToString::to_string);
    let request = store
        .client
        .get_object()
        .bucket(store.bucket())
        .key(store.full(key))
        .set_range(options.range.map(range_header))
        .set_response_content_type(content_type)
        .set_response_content_disposition(options.content_disposition.clone());
    let signed = request.presigned(life.config()?).await;
    Ok(made(
        SignedMethod::Get,
        &signed.map_err(|error| Asked::Read.failed(error))?,
        life,
    ))
}

/// Returns the headers that bind the bytes. MD5 is checked by every store, CRC-64/NVME by those that keep it.
fn checksum_headers(store: &Store, checksum: Option<&Checksum>) -> Result<(Option<String>, Option<String>)> {
    let Some(checksum) = checksum else {
        return Ok((None, None));
    };
    match checksum.algorithm() {
        ChecksumAlgorithm::Md5 => Ok((None, Some(checksum_header(checksum)))),
        ChecksumAlgorithm::Crc64Nvme if store.keeps_checksums() => {
            Ok((Some(checksum_header(checksum)), None))
        }
        other => Err(Error::unsupported(format!(
            "this store does not check {} when it receives a signed upload",
            other.name()
        ))
        .with_help("give an md5, or set checksum to crc64nvme if the store checks it")),
    }
}

fn length_header(length: Option<u64>) -> Result<Option<i64>> {
    match length {
        Some(length) if length > PART_BYTES_MAX => Err(Error::invalid_input(format!(
            "one request carries at most {PART_BYTES_MAX} bytes, got {length}"
        ))),
        length => Ok(length.map(u64::cast_signed)),
    }
}

fn made(method: SignedMethod, signed: &PresignedRequest, life: Life) -> SignedRequest {
    let request = SignedRequest::new(method, signed.uri(), life.ends());
    signed
        .headers()
        .fold(request, |request, (name, value)| request.with_header(name, value))
}
