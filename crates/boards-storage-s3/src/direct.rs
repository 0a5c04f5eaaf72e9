//! The requests that carry objects, sent without the SDK's orchestrator.
//!
//! The SDK writes the request and reads the answer, and its connector sends it. Between them stands what these requests
//! need: the endpoint, which is found once, and a signature by credentials that are kept. The orchestrator finds both
//! anew for each request, makes a configuration and calls some thirty interceptors, which costs more than all the rest
//! of a small request.
//!
//! Errors have the types of the SDK, so that they are translated in one place.

use aws_sdk_s3::config::SharedCredentialsProvider;
use aws_sdk_s3::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::GetObject;
use aws_sdk_s3::operation::head_object::HeadObject;
use aws_sdk_s3::operation::put_object::PutObject;
use aws_sdk_s3::operation::upload_part::UploadPart;
use aws_sdk_s3::primitives::SdkBody;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{HttpConnector as _, SharedHttpConnector};
use aws_smithy_runtime_api::client::interceptors::context::Input;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin;
use aws_smithy_runtime_api::client::ser_de::{
    DeserializeResponse as _, SerializeRequest as _, SharedRequestSerializer, SharedResponseDeserializer,
};
use aws_smithy_types::config_bag::{ConfigBag, FrozenLayer};
use aws_smithy_types::endpoint::Endpoint;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;

use crate::identity::Identities;
use crate::settings::S3Settings;

/// The longest answer that is read into memory: what a store says of one object, or of an error.
const WORDS_BYTES_MAX: usize = 1 << 20;

/// How the provider names itself to a store.
const USER_AGENT: &str = concat!("boards-storage-s3/", env!("CARGO_PKG_VERSION"));

/// Sends requests to one bucket.
#[derive(Debug)]
pub(crate) struct Direct {
    connector: SharedHttpConnector,
    identities: Identities,
    place: Place,
    payload: Payload,
    pub(crate) get: Operation,
    pub(crate) head: Operation,
    pub(crate) put: Operation,
    pub(crate) part: Operation,
}

/// Where the bucket is, and what its signature is made for.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    url: String,
    region: String,
    service: String,
}

/// Whether the SHA-256 of the bytes is part of the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Payload {
    Signed,
    Unsigned,
}

/// What the SDK knows of an operation: how its request is written and its answer read.
#[derive(Debug)]
pub(crate) struct Operation(FrozenLayer);

impl Operation {
    fn of(operation: &impl RuntimePlugin) -> Option<Self> {
        let layer = operation.config()?;
        let is_whole = layer.load::<SharedRequestSerializer>().is_some()
            && layer.load::<SharedResponseDeserializer>().is_some();
        is_whole.then_some(Self(layer))
    }

    fn bag(&self) -> ConfigBag {
        let mut bag = ConfigBag::base();
        bag.push_shared_layer(self.0.clone());
        bag
    }
}

/// What a request of the SDK ends with.
pub(crate) type Outcome<O, E> = Result<O, SdkError<E, HttpResponse>>;

impl Direct {
    /// Returns none where the bucket's endpoint wants another signature than version 4 in the headers, as directory
    /// buckets do, or none at all is found: then the SDK has to send, and to say what is wrong.
    pub(crate) async fn of(
        settings: &S3Settings,
        region: &str,
        credentials: SharedCredentialsProvider,
        connector: SharedHttpConnector,
    ) -> Option<Self> {
        Some(Self {
            connector,
            identities: Identities::of(credentials),
            place: Place::find(settings, region).await?,
            payload: if settings.sign_payload() {
                Payload::Signed
            } else {
                Payload::Unsigned
            },
            get: Operation::of(&GetObject::new())?,
            head: Operation::of(&HeadObject::new())?,
            put: Operation::of(&PutObject::new())?,
            part: Operation::of(&UploadPart::new())?,
        })
    }

    pub(crate) fn signs_payload(&self) -> bool {
        self.payload == Payload::Signed
    }

    /// Sends one request. `operation` is the one whose input, output and error these are.
    pub(crate) async fn send<I, O, E>(&self, operation: &Operation, input: I) -> Outcome<O, E>
    where
        I: std::fmt::Debug + Send + Sync + 'static,
        O: std::fmt::Debug + Send + Sync + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        let mut bag = operation.bag();
        let serializer = bag.load::<SharedRequestSerializer>().cloned();
        let request = match serializer {
            Some(serializer) => serializer.serialize_input(Input::erase(input), &mut bag),
            None => Err("the SDK does not know how to write the request".into()),
        };
        let mut request = request.map_err(SdkError::construction_failure)?;
        let identity = self.identities.now().await;
        let (identity, time) = identity
            .map_err(|error| SdkError::dispatch_failure(ConnectorError::other(error.into(), None)))?;
        self.complete(&mut request, &identity, time)
            .map_err(SdkError::construction_failure)?;
        let answered = self.connector.call(request).await;
        let response = answered.map_err(SdkError::dispatch_failure)?;
        read(&bag, response).await
    }

    /// Adds to a request what does not depend on the object.
    fn complete(
        &self,
        request: &mut HttpRequest,
        identity: &aws_smithy_runtime_api::client::identity::Identity,
        time: std::time::SystemTime,
    ) -> Result<(), BoxError> {
        request.uri_mut().set_endpoint(&self.place.url)?;
        request.headers_mut().try_insert("user-agent", USER_AGENT)?;
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let params = v4::SigningParams::builder()
            .identity(identity)
            .region(&self.place.region)
            .name(&self.place.service)
            .time(time)
            .settings(settings)
            .build()?;
        let body = match (request.body().bytes(), self.payload) {
            (Some([]), _) => SignableBody::Bytes(&[]),
            (Some(bytes), Payload::Signed) => SignableBody::Bytes(bytes),
            (_, Payload::Unsigned) | (None, _) => SignableBody::UnsignedPayload,
        };
        let signable = SignableRequest::new(request.method(), request.uri(), request.headers().iter(), body)?;
        let (instructions, _) = sign(signable, &params.into())?.into_parts();
        let (headers, _) = instructions.into_parts();
        for header in headers {
            let value = header.value().to_owned();
            request.headers_mut().try_insert(header.name(), value)?;
        }
        Ok(())
    }
}

impl Place {
    async fn find(settings: &S3Settings, region: &str) -> Option<Self> {
        let params = Params::builder()
            .bucket(&settings.bucket)
            .region(region)
            .set_endpoint(settings.endpoint.clone())
            .force_path_style(settings.path_style())
            .build()
            .ok()?;
        Self::of(
            &DefaultResolver::new().resolve_endpoint(&params).await.ok()?,
            region,
        )
    }

    fn of(endpoint: &Endpoint, region: &str) -> Option<Self> {
        let scheme = endpoint.auth_schemes().first()?;
        let text = |name: &str| scheme.get(name).and_then(|value| value.as_string());
        let is_plain = scheme.name() == "sigv4" && endpoint.headers().next().is_none();
        is_plain.then(|| Self {
            url: endpoint.url().to_owned(),
            region: text("signingRegion").unwrap_or(region).to_owned(),
            service: text("signingName").unwrap_or("s3").to_owned(),
        })
    }
}

/// Reads an answer as the operation whose configuration is given does.
async fn read<O, E>(bag: &ConfigBag, mut response: HttpResponse) -> Outcome<O, E>
where
    O: std::fmt::Debug + Send + Sync + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    // The SDK fails where this is no date, as anybody could have stored it. It is not needed.
    response.headers_mut().remove("expires");
    let Some(deserializer) = bag.load::<SharedResponseDeserializer>() else {
        return Err(SdkError::response_error(
            "the SDK does not know how to read the answer",
            response,
        ));
    };
    let outcome = match deserializer.deserialize_streaming_with_config(&mut response, bag) {
        Some(outcome) => outcome,
        None => {
            match words(response.take_body()).await {
                Ok(words) => *response.body_mut() = SdkBody::from(words),
                Err(error) => return Err(SdkError::response_error(error, response)),
            }
            deserializer.deserialize_nonstreaming_with_config(&response, bag)
        }
    };
    match outcome {
        Ok(output) => output.downcast().map_err(|other| {
            SdkError::response_error(format!("an answer of another kind: {other:?}"), response)
        }),
        Err(error) => Err(failed(error, response)),
    }
}

/// Makes the operation's own error of the one that could be any's.
fn failed<E>(
    error: OrchestratorError<aws_smithy_runtime_api::client::interceptors::context::Error>,
    response: HttpResponse,
) -> SdkError<E, HttpResponse>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let mut own: Option<E> = None;
    let error = error.map_operation_error(|error| own = error.downcast().ok());
    match own {
        Some(own) => SdkError::service_error(own, response),
        None => SdkError::response_error(format!("{error:?}"), response),
    }
}

/// Reads a short body.
async fn words(body: SdkBody) -> Result<Bytes, BoxError> {
    let mut body = std::pin::pin!(body);
    let mut words = BytesMut::new();
    while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await {
        if let Ok(piece) = frame?.into_data() {
            if words.len() + piece.len() > WORDS_BYTES_MAX {
                return Err(format!("the answer has more than {WORDS_BYTES_MAX} bytes").into());
            }
            words.extend_from_slice(&piece);
        }
    }
    Ok(words.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn place(settings: S3Settings, region: &str) -> Option<(String, String, String)> {
        let place = Place::find(&settings, region).await?;
        Some((place.url, place.region, place.service))
    }

    fn expected(url: &str, region: &str, service: &str) -> Option<(String, String, String)> {
        Some((url.to_owned(), region.to_owned(), service.to_owned()))
    }

    #[tokio::test]
    async fn the_endpoint_is_the_one_of_the_sdks_rules() {
        let region = "eu-central-1";
        assert_eq!(
            place(S3Settings::new("media"), region).await,
            expected("https://media.s3.eu-central-1.amazonaws.com", region, "s3")
        );
        // A name with a dot is in no certificate.
        assert_eq!(
            place(S3Settings::new("media.example"), region).await,
            expected(
                "https://s3.eu-central-1.amazonaws.com/media.example",
                region,
                "s3"
            )
        );
        let other = S3Settings::new("media").with_endpoint("http://127.0.0.1:9000");
        assert_eq!(
            place(other, "us-east-1").await,
            expected("http://127.0.0.1:9000/media", "us-east-1", "s3")
        );
        let access_point = "arn:aws:s3:eu-west-1:123456789012:accesspoint/mine";
        assert_eq!(
            place(S3Settings::new(access_point), "eu-west-1").await,
            expected(
                "https://mine-123456789012.s3-accesspoint.eu-west-1.amazonaws.com",
                "eu-west-1",
                "s3"
            )
        );
    }

    #[tokio::test]
    async fn what_is_signed_otherwise_is_left_to_the_sdk() {
        let directory = S3Settings::new("media--use1-az4--x-s3");
        assert_eq!(place(directory, "us-east-1").await, None);
    }

    #[test]
    fn the_sdk_says_how_its_requests_are_written_and_its_answers_read() {
        assert!(Operation::of(&GetObject::new()).is_some());
        assert!(Operation::of(&HeadObject::new()).is_some());
        assert!(Operation::of(&PutObject::new()).is_some());
        assert!(Operation::of(&UploadPart::new()).is_some());
    }

    #[tokio::test]
    async fn an_answer_that_does_not_end_is_not_read() {
        let long = |size| words(SdkBody::from(vec![b'x'; size]));
        assert_eq!(
            long(WORDS_BYTES_MAX).await.expect("it fits").len(),
            WORDS_BYTES_MAX
        );
        assert!(long(WORDS_BYTES_MAX + 1).await.is_err());
    }
}
