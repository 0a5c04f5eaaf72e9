//! What the test programs share: the SDK's own client beside the provider.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Builder, Credentials, Region, RequestChecksumCalculation};
use boards_storage_core::{Error, ErrorKind};
use serde_json::{Map, Value};

/// A client with the settings of a server, which knows nothing of the provider.
pub(crate) fn client(config: &Map<String, Value>) -> Client {
    let text = |name: &str| {
        config
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let keys = Credentials::new(
        text("access_key_id"),
        text("secret_access_key"),
        None,
        None,
        "test",
    );
    let config = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(text("endpoint"))
        .region(Region::new(text("region")))
        .credentials_provider(keys)
        .force_path_style(true)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

pub(crate) fn failed(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Storage, "the SDK failed").with_source(source)
}
