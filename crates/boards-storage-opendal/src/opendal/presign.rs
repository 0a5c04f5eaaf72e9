//! Signed requests, where the service signs.

use boards_storage_core::{
    Clock as _, Error, PresignDownloadOptions, PresignUploadOptions, Result, SignedMethod, SignedRequest,
    StorageKey, SystemClock,
};
use opendal::options::{ReadOptions, WriteOptions};
use opendal::raw::PresignedRequest;

use super::error::translate;
use super::provider::OpendalProvider;

impl OpendalProvider {
    pub(super) async fn sign_upload(
        &self,
        key: &StorageKey,
        options: &PresignUploadOptions,
    ) -> Result<SignedRequest> {
        if options.length.is_some() || options.checksum.is_some() {
            return Err(Error::unsupported(
                "OpenDAL signs neither a length nor a checksum of an upload",
            ));
        }
        if options.attributes.user_metadata.is_empty() && options.write_id.is_none() {
            let attributes = &options.attributes;
            let native = WriteOptions {
                content_type: attributes.content_type.as_ref().map(ToString::to_string),
                content_disposition: attributes.content_disposition.clone(),
                content_encoding: attributes.content_encoding.clone(),
                cache_control: attributes.cache_control.clone(),
                ..WriteOptions::default()
            };
            let begun = SystemClock.now();
            let life = self.capabilities.signed_upload_life(options);
            let signed = self
                .operator
                .presign_write_options(&self.path(key), life, native)
                .await
                .map_err(translate)?;
            return request(SignedMethod::Put, &signed, begun, life);
        }
        Err(Error::unsupported("OpenDAL signs no user metadata of an upload"))
    }

    pub(super) async fn sign_download(
        &self,
        key: &StorageKey,
        options: &PresignDownloadOptions,
    ) -> Result<SignedRequest> {
        if options.range.is_some() {
            return Err(Error::unsupported("OpenDAL signs no range")
                .with_help("let the client send its own Range header"));
        }
        let overrides = [
            (
                options.content_type.is_some(),
                self.native.read_with_override_content_type,
            ),
            (
                options.content_disposition.is_some(),
                self.native.read_with_override_content_disposition,
            ),
        ];
        if overrides
            .iter()
            .any(|(is_asked, is_there)| *is_asked && !is_there)
        {
            return Err(Error::unsupported(
                "the service cannot serve another content type or disposition than the object's",
            ));
        }
        let native = ReadOptions {
            override_content_type: options.content_type.as_ref().map(ToString::to_string),
            override_content_disposition: options.content_disposition.clone(),
            ..ReadOptions::default()
        };
        let begun = SystemClock.now();
        let signed = self
            .operator
            .presign_read_options(&self.path(key), options.expires_in, native)
            .await
            .map_err(translate)?;
        request(SignedMethod::Get, &signed, begun, options.expires_in)
    }
}

fn request(
    method: SignedMethod,
    signed: &PresignedRequest,
    begun: jiff::Timestamp,
    expires_in: std::time::Duration,
) -> Result<SignedRequest> {
    if signed.method().as_str() != method.name() {
        return Err(Error::unsupported(format!(
            "the service signs {} requests, expected {method}",
            signed.method()
        )));
    }
    let too_late = |source| Error::invalid_input("the signature would live too long").with_source(source);
    let expires_at = begun.checked_add(expires_in).map_err(too_late)?;
    let mut request = SignedRequest::new(method, signed.uri().to_string(), expires_at);
    for (name, value) in signed.header() {
        // The client's own stack sends the host.
        if name.as_str() == "host" {
            continue;
        }
        let value = value.to_str().map_err(|source| {
            Error::unsupported(format!("the header {name} that must be sent is no text")).with_source(source)
        })?;
        request = request.with_header(name.as_str(), value);
    }
    Ok(request)
}
