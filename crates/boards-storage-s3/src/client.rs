//! The SDK's client: one for each provider, with one pool of connections, and without the SDK's own retry. Beside it,
//! on the same connections, what sends without its orchestrator.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpConnector, http_client_fn};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use boards_storage_core::{Error, Result, Secret};

use crate::direct::Direct;
use crate::settings::{ConnectionSettings, S3Settings};

/// Where a store that does not care about regions is said to be.
const REGION_OF_OTHERS: &str = "us-east-1";

const TLS: tls::Provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);

/// A client, and what signs and sends beside it.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) client: Client,
    pub(crate) direct: Option<Direct>,
    pub(crate) credentials: SharedCredentialsProvider,
    pub(crate) region: String,
}

/// Makes the client. Nothing is sent to the store yet.
pub(crate) async fn connect(settings: &S3Settings) -> Result<Connected> {
    let (region, credentials) = identity(settings).await?;
    let connector = connector(settings);
    let direct = Direct::of(settings, &region, credentials.clone(), connector.clone()).await;
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(settings.connections.connect_timeout.get())
        .read_timeout(settings.connections.read_timeout.get())
        .build();
    let mut config = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.clone()))
        .credentials_provider(credentials.clone())
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .force_path_style(settings.path_style())
        .timeout_config(timeouts)
        // Repeats, and what is too slow, are for the layers around the provider to decide.
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // What the SDK adds of its own is refused by many stores; the provider adds its checksums itself.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if let Some(url) = &settings.endpoint {
        config = config.endpoint_url(url);
    }
    Ok(Connected {
        client: Client::from_conf(config.build()),
        direct,
        credentials,
        region,
    })
}

/// The connections to the store.
fn connector(settings: &S3Settings) -> SharedHttpConnector {
    let ConnectionSettings {
        connect_timeout,
        read_timeout,
        idle_timeout,
        idle_max,
    } = settings.connections;
    let timeouts = HttpConnectorSettings::builder()
        .connect_timeout(connect_timeout.get())
        .read_timeout(read_timeout.get())
        .build();
    let builder = Connector::builder()
        .connector_settings(timeouts)
        .pool_idle_timeout(idle_timeout.get())
        .pool_max_idle_per_host(idle_max);
    let is_plain = settings
        .endpoint
        .as_deref()
        .is_some_and(|url| url.starts_with("http://"));
    SharedHttpConnector::new(if is_plain {
        builder.build_http()
    } else {
        builder.tls_provider(TLS).build()
    })
}

/// Returns the region and the credentials: the settings', or those of the standard chain.
async fn identity(settings: &S3Settings) -> Result<(String, SharedCredentialsProvider)> {
    let others = settings.endpoint.is_some().then(|| REGION_OF_OTHERS.to_owned());
    let region = settings.region.clone();
    let (Some(id), Some(secret)) = (&settings.access_key_id, &settings.secret_access_key) else {
        let found = chain(settings).await?;
        let region = region.or(found.region).or(others).ok_or_else(no_region)?;
        return Ok((region, found.credentials));
    };
    let token = settings.session_token.as_ref();
    let token = token.map(|token| Secret::expose(token).to_owned());
    let keys = Credentials::new(id.expose(), secret.expose(), token, None, "settings");
    let region = region.or(others).ok_or_else(no_region)?;
    Ok((region, SharedCredentialsProvider::new(keys)))
}

fn no_region() -> Error {
    Error::configuration("region is not known").with_help("set region, such as 'eu-central-1'")
}

/// What the standard chain answers.
struct Found {
    region: Option<String>,
    credentials: SharedCredentialsProvider,
}

#[cfg(feature = "credential-chain")]
async fn chain(settings: &S3Settings) -> Result<Found> {
    // Each of those that give credentials has timeouts of its own.
    let http_client = aws_smithy_http_client::Builder::new()
        .tls_provider(TLS)
        .build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http_client);
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    let config = loader.load().await;
    let credentials = config.credentials_provider().ok_or_else(no_credentials)?;
    Ok(Found {
        region: config.region().map(ToString::to_string),
        credentials,
    })
}

#[cfg(not(feature = "credential-chain"))]
async fn chain(_: &S3Settings) -> Result<Found> {
    Err(no_credentials())
}

fn no_credentials() -> Error {
    let help = if cfg!(feature = "credential-chain") {
        "set access_key_id and secret_access_key"
    } else {
        "set access_key_id and secret_access_key, or enable the Cargo feature 'credential-chain' of \
         boards-storage-s3"
    };
    Error::configuration("there are no credentials").with_help(help)
}
