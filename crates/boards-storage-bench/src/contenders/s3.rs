//! The S3 provider and its peers on one bucket of one server, each under a prefix of its own.
//!
//! All send content type and bytes, sign the head and not the payload (`UNSIGNED-PAYLOAD`, which is what OpenDAL always
//! does, what object_store and the SDK do when they are told so, and what ours does over TLS), have a pool of
//! connections of their own, HTTP/1.1, and no retry where it can be turned off. Large objects go up in parts of
//! [`PART_BYTES`], [`CONCURRENCY`] at a time, and come down by one request.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use boards_storage_core::Secret;
use boards_storage_s3::{ChecksumChoice, S3Provider, S3Settings};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::prefix::PrefixStore;
use object_store::{Attribute, Attributes, RetryConfig as ArrowRetry};
use opendal::HttpTransporter;
use opendal_http_transport_reqwest::ReqwestTransport;

use super::{Arrow, CONTENT_TYPE, Contender, OpenDal, Ours, Result, typed};

/// The size of a part of a large object, and how many are under way at a time: our defaults, given to all.
const PART_BYTES: usize = 8 << 20;
const CONCURRENCY: usize = 4;

/// Where the bucket is.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Bucket {
    /// The URL of the server.
    #[arg(long, env = "BOARDS_STORAGE_TEST_S3__ENDPOINT")]
    endpoint: String,
    #[arg(long, env = "BOARDS_STORAGE_TEST_S3__REGION", default_value = "us-east-1")]
    region: String,
    #[arg(long, env = "BOARDS_STORAGE_TEST_S3__BUCKET")]
    bucket: String,
    #[arg(long, env = "BOARDS_STORAGE_TEST_S3__ACCESS_KEY_ID", hide_env_values = true)]
    access_key_id: String,
    #[arg(
        long,
        env = "BOARDS_STORAGE_TEST_S3__SECRET_ACCESS_KEY",
        hide_env_values = true
    )]
    secret_access_key: String,
}

/// Returns all contenders.
pub(crate) async fn all(bucket: &Bucket) -> Result<Vec<Arc<dyn Contender>>> {
    let full = S3Provider::open("full", our_settings(bucket, "boards-storage")).await?;
    let plain = our_settings(bucket, "plain").with_checksum(ChecksumChoice::Off);
    let plain = S3Provider::open("plain", plain).await?;
    Ok(vec![
        Arc::new(Ours {
            name: "boards-storage",
            keeps: "content type kept; CRC-64 of single uploads kept as metadata and checked on full reads",
            provider: Arc::new(full),
            attributes: typed()?,
        }),
        Arc::new(Ours {
            name: "boards-storage plain",
            keeps: "checksum off: content type kept; no checksum",
            provider: Arc::new(plain),
            attributes: typed()?,
        }),
        Arc::new(Sdk::open(bucket)),
        Arc::new(arrow(bucket)?),
        Arc::new(opendal(bucket)?),
    ])
}

fn our_settings(bucket: &Bucket, name: &str) -> S3Settings {
    S3Settings::new(&bucket.bucket)
        .with_endpoint(&bucket.endpoint)
        .with_region(&bucket.region)
        .with_keys(
            Secret::new(&bucket.access_key_id),
            Secret::new(&bucket.secret_access_key),
        )
        .with_prefix(format!("bench/{name}/"))
        .with_sign_payload(false)
}

fn arrow(bucket: &Bucket) -> Result<Arrow<PrefixStore<object_store::aws::AmazonS3>>> {
    let store = AmazonS3Builder::new()
        .with_endpoint(&bucket.endpoint)
        .with_region(&bucket.region)
        .with_bucket_name(&bucket.bucket)
        .with_access_key_id(&bucket.access_key_id)
        .with_secret_access_key(&bucket.secret_access_key)
        .with_allow_http(true)
        .with_unsigned_payload(true)
        .with_retry(ArrowRetry {
            max_retries: 0,
            ..ArrowRetry::default()
        })
        .build()?;
    Ok(Arrow {
        store: PrefixStore::new(store, "bench/object_store"),
        keeps: "content type kept; no checksum",
        attributes: Attributes::from_iter([(Attribute::ContentType, CONTENT_TYPE)]),
        part_bytes: Some(PART_BYTES),
        concurrency: CONCURRENCY,
    })
}

fn opendal(bucket: &Bucket) -> Result<OpenDal> {
    let service = opendal::services::S3::default()
        .root("/bench/opendal/")
        .endpoint(&bucket.endpoint)
        .bucket(&bucket.bucket)
        .region(&bucket.region)
        .access_key_id(&bucket.access_key_id)
        .secret_access_key(&bucket.secret_access_key)
        .disable_config_load();
    let operator = opendal::Operator::new(service)?;
    let transport = HttpTransporter::new(ReqwestTransport::new(reqwest::Client::new()));
    let context = operator.context().with_http_transport(transport);
    Ok(OpenDal {
        name: "OpenDAL",
        keeps: "content type kept; no checksum",
        operator: operator.with_context(context),
        content_type: Some(CONTENT_TYPE),
        part_bytes: Some(PART_BYTES),
        concurrency: CONCURRENCY,
        read_bytes: None,
    })
}

/// The AWS SDK as it is.
struct Sdk {
    client: Client,
    bucket: String,
}

impl Sdk {
    fn open(bucket: &Bucket) -> Self {
        let keys = Credentials::new(
            &bucket.access_key_id,
            &bucket.secret_access_key,
            None,
            None,
            "bench",
        );
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(bucket.region.clone()))
            .endpoint_url(&bucket.endpoint)
            .credentials_provider(keys)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .force_path_style(true)
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            // The server refuses its default over plain HTTP.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        Self {
            client: Client::from_conf(config.build()),
            bucket: bucket.bucket.clone(),
        }
    }

    async fn put_part(&self, name: &str, upload: &str, number: i32, bytes: Bytes) -> Result<CompletedPart> {
        let part = self.client.upload_part().bucket(&self.bucket).key(name);
        let part = part.upload_id(upload).part_number(number).body(bytes.into());
        let sent = part.customize().disable_payload_signing().send().await?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .build())
    }
}

fn name_of(key: &str) -> String {
    format!("bench/aws-sdk-s3/{key}")
}

#[async_trait]
impl Contender for Sdk {
    fn name(&self) -> &'static str {
        "aws-sdk-s3"
    }

    fn keeps(&self) -> &'static str {
        "content type kept; no checksum (its own is refused by the server over plain HTTP)"
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<()> {
        let request = self.client.put_object().bucket(&self.bucket).key(name_of(key));
        let request = request.content_type(CONTENT_TYPE).body(ByteStream::from(bytes));
        request.customize().disable_payload_signing().send().await?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<usize> {
        let request = self.client.get_object().bucket(&self.bucket).key(name_of(key));
        Ok(request.send().await?.body.collect().await?.into_bytes().len())
    }

    async fn stat(&self, key: &str) -> Result<u64> {
        let request = self.client.head_object().bucket(&self.bucket).key(name_of(key));
        Ok(u64::try_from(
            request.send().await?.content_length().unwrap_or(0),
        )?)
    }

    async fn put_stream(&self, key: &str, piece: Bytes, count: usize) -> Result<()> {
        let name = name_of(key);
        let request = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(&name);
        let created = request.content_type(CONTENT_TYPE).send().await?;
        let upload = created.upload_id().ok_or("no upload id")?;
        let pieces_of_part = PART_BYTES / piece.len();
        let parts = futures_util::stream::iter(0..count.div_ceil(pieces_of_part)).map(|index| {
            // A stream's pieces are put together: its parts are bytes.
            let pieces = pieces_of_part.min(count - index * pieces_of_part);
            let mut bytes = BytesMut::with_capacity(pieces * piece.len());
            for _ in 0..pieces {
                bytes.extend_from_slice(&piece);
            }
            let (name, bytes) = (&name, bytes.freeze());
            async move {
                self.put_part(name, upload, i32::try_from(index)? + 1, bytes)
                    .await
            }
        });
        let parts = parts.buffered(CONCURRENCY).try_collect().await?;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(&name);
        request.upload_id(upload).multipart_upload(parts).send().await?;
        Ok(())
    }

    async fn get_stream(&self, key: &str) -> Result<u64> {
        let request = self.client.get_object().bucket(&self.bucket).key(name_of(key));
        let mut body = request.send().await?.body;
        let mut total = 0;
        while let Some(piece) = body.try_next().await? {
            total += piece.len() as u64;
        }
        Ok(total)
    }

    async fn list(&self, folder: &str) -> Result<usize> {
        let request = self.client.list_objects_v2().bucket(&self.bucket);
        let mut pages = request
            .prefix(name_of(&format!("{folder}/")))
            .into_paginator()
            .send();
        let mut count = 0;
        while let Some(page) = pages.try_next().await? {
            count += page.contents().len();
        }
        Ok(count)
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let request = self.client.delete_object().bucket(&self.bucket).key(name_of(key));
        request.send().await?;
        Ok(())
    }
}
