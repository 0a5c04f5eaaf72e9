//! Who asks, and who signs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use boards_storage_core::{Error, ErrorKind, Result};
use bytes::Bytes;
use google_cloud_auth::credentials::service_account::AccessSpecifier;
use google_cloud_auth::credentials::{
    Builder, CacheableResource, Credentials, external_account, impersonated, service_account, user_account,
};
use google_cloud_auth::errors::CredentialsError;
use google_cloud_auth::signer::{Signer as GoogleSigner, SigningError};
use http::{Extensions, HeaderMap};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{Asked, unexpected};
use crate::settings::{CredentialsChoice, GcsSettings, SignerChoice};

/// What a token is asked for; the roles of the account decide what it may do.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Where IAM is.
const IAM: &str = "https://iamcredentials.googleapis.com";

/// Who asks and who signs, as far as there is anybody.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    credentials: Option<Credentials>,
    pub(crate) signer: Option<Signer>,
}

/// Who signs.
#[derive(Clone, Debug)]
pub(crate) enum Signer {
    /// A key that is here, or the account of the machine.
    Google(GoogleSigner),
    /// IAM in the name of an account.
    Iam { service_account: String, url: String },
}

impl Identity {
    pub(crate) async fn open(settings: &GcsSettings) -> Result<Self> {
        let (credentials, own_signer) = match settings.credentials() {
            CredentialsChoice::Anonymous => (None, None),
            CredentialsChoice::ApplicationDefault => application_default()?,
            CredentialsChoice::KeyFile { path } => {
                of_key("credentials.path", read_key("credentials.path", &path).await?)?
            }
            CredentialsChoice::Key { json } => {
                of_key("credentials.json", parse_key("credentials.json", json.expose())?)?
            }
        };
        let signer = match &settings.signer {
            None => own_signer,
            Some(SignerChoice::KeyFile { path }) => {
                Some(key_signer("signer.path", read_key("signer.path", path).await?)?)
            }
            Some(SignerChoice::Key { json }) => Some(key_signer(
                "signer.json",
                parse_key("signer.json", json.expose())?,
            )?),
            Some(SignerChoice::Iam {
                service_account,
                endpoint,
            }) => {
                let base = endpoint.as_deref().unwrap_or(IAM).trim_end_matches('/');
                Some(Signer::Iam {
                    service_account: service_account.clone(),
                    url: format!("{base}/v1/projects/-/serviceAccounts/{service_account}:signBlob"),
                })
            }
        };
        Ok(Self { credentials, signer })
    }

    /// Returns the headers that say who asks.
    pub(crate) async fn headers(&self) -> Result<HeaderMap> {
        let Some(credentials) = &self.credentials else {
            return Ok(HeaderMap::new());
        };
        match credentials.headers(Extensions::new()).await {
            Ok(CacheableResource::New { data, .. }) => Ok(data),
            Ok(CacheableResource::NotModified) => Err(unexpected("the credentials gave no token")),
            Err(error) => Err(no_token(error)),
        }
    }
}

fn no_token(error: CredentialsError) -> Error {
    let kind = if error.is_transient() {
        ErrorKind::ProviderUnavailable
    } else {
        ErrorKind::AccessDenied
    };
    Error::new(kind, "the credentials give no token")
        .with_help("check the credentials, and whether Google's token service can be reached")
        .with_source(error)
}

fn application_default() -> Result<(Option<Credentials>, Option<Signer>)> {
    let builder = || Builder::default().with_scopes([SCOPE]);
    let credentials = builder().build().map_err(|source| {
        Error::configuration("there are no application default credentials")
            .with_help("sign in with `gcloud auth application-default login`, or set credentials")
            .with_source(source)
    })?;
    // A user's credentials cannot sign.
    let signer = builder().build_signer().ok().map(Signer::Google);
    Ok((Some(credentials), signer))
}

async fn read_key(field: &str, path: &std::path::Path) -> Result<Value> {
    let text = tokio::fs::read_to_string(path).await.map_err(|source| {
        Error::configuration(format!("{field}: '{}' cannot be read", path.display())).with_source(source)
    })?;
    parse_key(field, &text)
}

/// Reads a key. What is wrong with its text is not told, for the text is a secret.
fn parse_key(field: &str, text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|_secret| unusable(field))
}

fn unusable(field: &str) -> Error {
    Error::configuration(format!("{field} is not a key that Google's tools make")).with_help(
        "give the JSON of a service account's key, as `gcloud iam service-accounts keys create` writes it",
    )
}

fn kind_of(key: &Value) -> &str {
    key.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn of_key(field: &str, key: Value) -> Result<(Option<Credentials>, Option<Signer>)> {
    let kind = kind_of(&key).to_owned();
    let signer = match kind.as_str() {
        "service_account" => Some(key_signer(field, key.clone())?),
        _ => None,
    };
    let built = match kind.as_str() {
        "service_account" => service_account::Builder::new(key)
            .with_access_specifier(AccessSpecifier::from_scopes([SCOPE]))
            .build(),
        "authorized_user" => user_account::Builder::new(key).with_scopes([SCOPE]).build(),
        "external_account" => external_account::Builder::new(key).with_scopes([SCOPE]).build(),
        "impersonated_service_account" => impersonated::Builder::new(key).with_scopes([SCOPE]).build(),
        _ => return Err(unusable(field)),
    };
    // The cause may show a part of the key.
    let credentials = built.map_err(|_secret| unusable(field))?;
    Ok((Some(credentials), signer))
}

fn key_signer(field: &str, key: Value) -> Result<Signer> {
    if kind_of(&key) != "service_account" {
        return Err(unusable(field));
    }
    let built = service_account::Builder::new(key).build_signer();
    built.map(Signer::Google).map_err(|_secret| unusable(field))
}

impl Signer {
    /// Returns the e-mail address of the account that signs.
    pub(crate) async fn email(&self) -> Result<String> {
        match self {
            Self::Google(signer) => signer.client_email().await.map_err(not_signed),
            Self::Iam { service_account, .. } => Ok(service_account.clone()),
        }
    }

    /// Signs a text by RSA and SHA-256.
    pub(crate) async fn sign(
        &self,
        text: &str,
        identity: &Identity,
        http: &reqwest::Client,
    ) -> Result<Bytes> {
        match self {
            Self::Google(signer) => signer.sign(text).await.map_err(not_signed),
            Self::Iam { url, .. } => sign_blob(text, url, identity, http).await,
        }
    }
}

fn not_signed(error: SigningError) -> Error {
    if error.is_parsing() {
        return Error::configuration("the key of the signer is not an RSA key").with_help("make a new key");
    }
    let kind = if error.is_transport() {
        ErrorKind::ProviderUnavailable
    } else {
        ErrorKind::Storage
    };
    Error::new(kind, "the signer does not sign").with_source(error)
}

async fn sign_blob(text: &str, url: &str, identity: &Identity, http: &reqwest::Client) -> Result<Bytes> {
    #[derive(Deserialize)]
    struct Signed {
        #[serde(rename = "signedBlob")]
        blob: String,
    }
    let answer = http
        .post(url)
        .headers(identity.headers().await?)
        .header("content-type", "application/json")
        .body(json!({ "payload": BASE64.encode(text) }).to_string())
        .send()
        .await
        .map_err(|error| Asked::Read.lost(error))?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = answer.bytes().await.map_err(|error| Asked::Read.lost(error))?;
    if !status.is_success() {
        let error = Asked::Read.refused(status.as_u16(), &headers, &body);
        return Err(error.with_help("grant the account the role Service Account Token Creator on the signer"));
    }
    let signed = serde_json::from_slice::<Signed>(&body).ok();
    let signature = signed.and_then(|signed| BASE64.decode(signed.blob).ok());
    signature
        .map(Bytes::from)
        .ok_or_else(|| unexpected("the signer gave no signature"))
}
