//! How objects are encrypted and classed at the store: the same headers on every request that needs them.

use aws_sdk_s3::types::{ServerSideEncryption, StorageClass};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use boards_storage_core::{Error, Result, Secret};
use md5::{Digest as _, Md5};

use crate::settings::{Encryption, S3Settings};

/// The headers of writes and, with a customer's key, of reads.
#[derive(Clone, Debug)]
pub(crate) struct AtRest {
    pub(crate) storage_class: Option<StorageClass>,
    pub(crate) encryption: Option<ServerSideEncryption>,
    pub(crate) kms_key_id: Option<String>,
    pub(crate) customer_key: Option<CustomerKey>,
}

/// A key that goes along with each request.
#[derive(Clone, Debug)]
pub(crate) struct CustomerKey {
    pub(crate) key: Secret,
    pub(crate) md5: String,
}

impl AtRest {
    /// Reads the settings.
    pub(crate) fn of(settings: &S3Settings) -> Result<Self> {
        let mut at_rest = Self {
            storage_class: settings.storage_class.as_deref().map(StorageClass::from),
            encryption: None,
            kms_key_id: None,
            customer_key: None,
        };
        match &settings.encryption {
            Encryption::Default => {}
            Encryption::S3 => at_rest.encryption = Some(ServerSideEncryption::Aes256),
            Encryption::Kms { key_id } => {
                at_rest.encryption = Some(ServerSideEncryption::AwsKms);
                at_rest.kms_key_id.clone_from(key_id);
            }
            Encryption::Customer { key } => at_rest.customer_key = Some(CustomerKey::parse(key)?),
        }
        Ok(at_rest)
    }
}

impl CustomerKey {
    /// The one algorithm there is.
    pub(crate) const ALGORITHM: &str = "AES256";

    fn parse(key: &Secret) -> Result<Self> {
        let bytes = BASE64.decode(key.expose()).ok().filter(|bytes| bytes.len() == 32);
        let bytes = bytes.ok_or_else(|| {
            Error::configuration("encryption.key is not 32 bytes in Base64")
                .with_help("make one with `openssl rand -base64 32`")
        })?;
        Ok(Self {
            key: key.clone(),
            md5: BASE64.encode(Md5::digest(&bytes)),
        })
    }
}

/// Adds a customer's key to a request.
macro_rules! with_customer_key {
    ($request:expr, $at_rest:expr) => {{
        let mut request = $request;
        if let Some(customer) = &$at_rest.customer_key {
            request = request
                .sse_customer_algorithm($crate::at_rest::CustomerKey::ALGORITHM)
                .sse_customer_key(customer.key.expose())
                .sse_customer_key_md5(&customer.md5);
        }
        request
    }};
}

/// Adds the customer's key of the source to a copy.
macro_rules! with_source_key {
    ($request:expr, $at_rest:expr) => {{
        let mut request = $request;
        if let Some(customer) = &$at_rest.customer_key {
            request = request
                .copy_source_sse_customer_algorithm($crate::at_rest::CustomerKey::ALGORITHM)
                .copy_source_sse_customer_key(customer.key.expose())
                .copy_source_sse_customer_key_md5(&customer.md5);
        }
        request
    }};
}

/// Adds to a request what a new object is to be: attributes, notes, encryption, class.
macro_rules! as_new_object {
    ($request:expr, $store:expr, $attributes:expr, $notes:expr) => {{
        let content_type = $attributes.content_type.as_ref().map(ToString::to_string);
        let content_type = content_type.unwrap_or_else(|| $crate::encoding::NO_CONTENT_TYPE.to_owned());
        as_signed_object!($request, $store, $attributes, $notes).content_type(content_type)
    }};
}

/// As [`as_new_object!`], but a content type that nobody asks for stays open.
macro_rules! as_signed_object {
    ($request:expr, $store:expr, $attributes:expr, $notes:expr) => {{
        let (attributes, at_rest) = ($attributes, &$store.at_rest);
        let request = $request
            .set_content_type(attributes.content_type.as_ref().map(ToString::to_string))
            .set_content_disposition(attributes.content_disposition.clone())
            .set_content_encoding(attributes.content_encoding.clone())
            .set_content_language(attributes.content_language.clone())
            .set_cache_control(attributes.cache_control.clone())
            .set_metadata(Some($crate::encoding::encode(attributes, $notes)))
            .set_storage_class(at_rest.storage_class.clone())
            .set_server_side_encryption(at_rest.encryption.clone())
            .set_ssekms_key_id(at_rest.kms_key_id.clone());
        with_customer_key!(request, at_rest)
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_key_has_32_bytes() {
        let key = CustomerKey::parse(&Secret::new(BASE64.encode([7; 32]))).expect("32 bytes");
        assert_eq!(key.md5, "y4HAEFCYWuvAXWFTtA1Qpg==");
        for wrong in [BASE64.encode([7; 31]), "no base64".to_owned(), String::new()] {
            assert!(CustomerKey::parse(&Secret::new(wrong)).is_err());
        }
    }
}
