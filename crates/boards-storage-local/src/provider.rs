//! The provider: it checks arguments, takes each operation to where it can block, and names what failed.

use std::sync::Arc;

use boards_storage_core::{
    AccessClass, BoxFuture, CallOptions, Capabilities, Capability, CompleteUploadOptions, Content,
    CopyOptions, CreateUploadOptions, DeleteOptions, DeleteOutcome, DeletedKey, DownloadOptions,
    DownloadOutcome, Error, KeyRules, ListOptions, ListStream, MultipartUpload, ObjectAttributes,
    ObjectMetadata, OperationKind, Part, PartPlace, PreconditionKind, PresignDownloadOptions,
    PresignPartOptions, PresignUploadOptions, Protection, ProviderFactory, ProviderInfo, Reach, Result,
    SetMetadataOptions, SharedProvider, SignedRequest, StorageKey, StorageProvider, UploadOptions,
    UploadPartOptions, async_trait,
};

use crate::hop::{Cancellation, hop, hop_until_dropped};
use crate::multipart::part_rules;
use crate::settings::LocalSettings;
use crate::store::Store;

/// Objects in a local directory.
///
/// See the [crate](crate) for how they lie on the disk. It must be used on a Tokio runtime. It holds a lock on a
/// folder of its own from its first write on, and frees it on drop.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{Capability, StorageProvider};
/// use boards_storage_local::{LocalProvider, LocalSettings};
///
/// # #[tokio::main]
/// # async fn main() -> boards_storage_core::Result<()> {
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// let provider = LocalProvider::open("local", LocalSettings::new(folder.path())).await?;
/// assert!(provider.capabilities().has(Capability::VerifiedRead));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LocalProvider {
    name: Arc<str>,
    store: Arc<Store>,
    capabilities: Capabilities,
    public_url_base: Option<String>,
}

impl LocalProvider {
    /// Opens a directory, making it if it is missing. `name` is how errors call the provider.
    ///
    /// # Errors
    ///
    /// `Configuration` if the path is not a directory, has a format that this version doesn't know, or the public
    /// URL is none; `AccessDenied` or `ProviderUnavailable` if it cannot be opened.
    pub async fn open(name: impl Into<Arc<str>>, settings: LocalSettings) -> Result<Self> {
        let name = name.into();
        let named = |error: Error| error.with_provider(Arc::clone(&name));
        let public_url_base = settings
            .public_url_base
            .as_deref()
            .map(parse_url_base)
            .transpose()
            .map_err(named)?;
        let capabilities = capabilities_of(&settings);
        let store = hop(move || Store::open(&settings)).await.map_err(named)?;
        Ok(Self {
            name,
            store: Arc::new(store),
            capabilities,
            public_url_base,
        })
    }

    /// Sets how many names of one folder a listing holds at once, so that tests need no million files.
    #[doc(hidden)]
    #[must_use]
    pub fn with_list_window(mut self, names: usize) -> Self {
        if let Some(store) = Arc::get_mut(&mut self.store) {
            store.list_window = names.max(1);
        }
        self
    }

    /// Takes the lock for every write, so that tests need no file system whose renames cannot decide.
    #[doc(hidden)]
    #[must_use]
    pub fn with_locked_writes(mut self) -> Self {
        if let Some(store) = Arc::get_mut(&mut self.store) {
            store.always_locks = true;
        }
        self
    }

    fn name_error(
        &self,
        operation: OperationKind,
        key: Option<&StorageKey>,
    ) -> impl Fn(Error) -> Error + use<> {
        Error::located(operation, &self.name, key)
    }

    fn unsupported_signature<T>(&self, operation: OperationKind) -> Result<T> {
        Err(Error::unsupported("a directory cannot sign requests by itself").with_help(NO_SIGNATURES))
            .map_err(self.name_error(operation, None))
    }
}

impl ProviderFactory for LocalProvider {
    const KIND: &'static str = "local";
    const SUMMARY: &'static str = "a local directory";
    type Settings = LocalSettings;

    fn open(name: String, settings: LocalSettings) -> BoxFuture<'static, Result<SharedProvider>> {
        Box::pin(async move { Ok(Arc::new(Self::open(name, settings).await?) as SharedProvider) })
    }

    /// What something outside serves under `public_url_base` is public. Whether the disk encrypts, the operator knows.
    fn protection(settings: &LocalSettings) -> Protection {
        Protection::new(match settings.public_url_base {
            Some(_) => Reach::Public,
            None => Reach::Private,
        })
    }
}

/// Why there are no signed URLs, and what there is instead.
const NO_SIGNATURES: &str = "signed URLs for a local directory come with the HTTP gateway; until then set \
                             public_url_base and store with access 'public', or read it through the program";

fn capabilities_of(settings: &LocalSettings) -> Capabilities {
    use OperationKind::{CompleteUpload, Copy, Delete, SetMetadata, Upload};
    let mut key_rules = KeyRules::default();
    key_rules.segment_bytes_max = Some(255);
    key_rules.file_or_folder = true;
    let mut capabilities = Capabilities::default()
        .with(&[
            Capability::Range,
            Capability::ConditionalDownload,
            Capability::List,
            Capability::ListDelimiter,
            Capability::ListStartAfter,
            Capability::TruthfulDelete,
            Capability::DeleteMany,
            Capability::Copy,
            Capability::CopyAttributes,
            Capability::SetMetadata,
            Capability::StreamingUpload,
            Capability::ContentType,
            Capability::ContentDisposition,
            Capability::ContentEncoding,
            Capability::ContentLanguage,
            Capability::CacheControl,
            Capability::UserMetadata,
            Capability::Digest,
            Capability::WriteId,
            Capability::Checksum,
            Capability::VerifiedRead,
        ])
        .with_part_rules(part_rules())
        .with_key_rules(key_rules);
    for operation in [Upload, Copy, CompleteUpload] {
        capabilities = capabilities.with_precondition(operation, PreconditionKind::IfAbsent);
    }
    for operation in [Upload, Copy, CompleteUpload, Delete, SetMetadata] {
        capabilities = capabilities.with_precondition(operation, PreconditionKind::IfMatch);
    }
    for signature in [
        Capability::PresignedUpload,
        Capability::PresignedPost,
        Capability::PresignedDownload,
        Capability::PresignedPart,
    ] {
        capabilities = capabilities.with_reason(signature, NO_SIGNATURES);
    }
    capabilities = match settings.public_url_base {
        Some(_) => capabilities.with(&[Capability::PublicUrl]),
        None => capabilities.with_reason(
            Capability::PublicUrl,
            "set public_url_base in the provider's config",
        ),
    };
    if !settings.checksum {
        capabilities = capabilities.without(&[Capability::Checksum, Capability::VerifiedRead]);
    }
    capabilities.with_protection(LocalProvider::protection(settings))
}

/// Checks the base of public URLs; keys are appended to it after a `/`.
fn parse_url_base(text: &str) -> Result<String> {
    let is_url = text.split_once("://").is_some_and(|(scheme, rest)| {
        matches!(scheme, "http" | "https") && !rest.is_empty() && !rest.starts_with('/')
    });
    let is_clean = text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains(['?', '#']);
    if is_url && is_clean {
        return Ok(text.trim_end_matches('/').to_owned());
    }
    Err(Error::configuration(format!(
        "public_url_base {text:?} is not the beginning of an http or https URL"
    ))
    .with_help("give something like 'https://cdn.example.com/boards'"))
}

/// Encodes a key for a URL's path: everything but unreserved characters and the slashes between segments.
fn encode_path(key: &StorageKey) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = String::with_capacity(key.as_str().len() + 16);
    for byte in key.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    text
}

#[async_trait]
impl StorageProvider for LocalProvider {
    fn info(&self) -> ProviderInfo {
        ProviderInfo::new(Self::KIND, self.store.tree.path().display().to_string())
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn upload(
        &self,
        key: &StorageKey,
        content: Content,
        options: &UploadOptions,
    ) -> Result<ObjectMetadata> {
        let name_error = self.name_error(OperationKind::Upload, Some(key));
        match self.capabilities.check_upload(key, content.length(), options) {
            Ok(()) => crate::upload::upload(&self.store, key, &content, options)
                .await
                .map_err(name_error),
            Err(error) => Err(name_error(error)),
        }
    }

    async fn download(&self, key: &StorageKey, options: &DownloadOptions) -> Result<DownloadOutcome> {
        let name_error = self.name_error(OperationKind::Download, Some(key));
        match self.capabilities.check_download(key, options) {
            Ok(()) => crate::read::download(&self.store, key, options)
                .await
                .map_err(name_error),
            Err(error) => Err(name_error(error)),
        }
    }

    async fn metadata(&self, key: &StorageKey, _options: &CallOptions) -> Result<ObjectMetadata> {
        let name_error = self.name_error(OperationKind::Metadata, Some(key));
        let (store, key, rules) = (
            Arc::clone(&self.store),
            key.clone(),
            self.capabilities.key_rules.check(key),
        );
        self.store
            .lane
            .hop(move || rules.and_then(|()| store.metadata(&key)))
            .await
            .map_err(name_error)
    }

    async fn exists(&self, key: &StorageKey, _options: &CallOptions) -> Result<bool> {
        let name_error = self.name_error(OperationKind::Exists, Some(key));
        let (store, key, rules) = (
            Arc::clone(&self.store),
            key.clone(),
            self.capabilities.key_rules.check(key),
        );
        self.store
            .lane
            .hop(move || rules.and_then(|()| store.exists(&key)))
            .await
            .map_err(name_error)
    }

    async fn delete(&self, key: &StorageKey, options: &DeleteOptions) -> Result<DeleteOutcome> {
        let name_error = self.name_error(OperationKind::Delete, Some(key));
        let checked = self.capabilities.check_delete(key, options);
        let (store, key, precondition) = (Arc::clone(&self.store), key.clone(), options.precondition.clone());
        let work = move |cancellation: &Cancellation| {
            checked.and_then(|()| store.delete(&key, &precondition, cancellation))
        };
        self.store.write_hop(0, work).await.map_err(name_error)
    }

    async fn delete_many(&self, keys: &[StorageKey], options: &DeleteOptions) -> Result<Vec<DeletedKey>> {
        let checked = self.capabilities.check_delete_many(keys, options);
        let (store, keys) = (Arc::clone(&self.store), keys.to_vec());
        let deleted = hop_until_dropped(move |cancellation| {
            checked.and_then(|()| store.delete_many(&keys, cancellation))
        });
        let mut deleted = deleted
            .await
            .map_err(self.name_error(OperationKind::DeleteMany, None))?;
        for one in &mut deleted {
            let outcome = std::mem::replace(&mut one.outcome, Ok(DeleteOutcome::Absent));
            one.outcome = outcome.map_err(self.name_error(OperationKind::DeleteMany, Some(&one.key)));
        }
        Ok(deleted)
    }

    async fn list(&self, options: &ListOptions) -> Result<ListStream> {
        self.capabilities
            .check_list(options)
            .map_err(self.name_error(OperationKind::List, None))?;
        Ok(crate::list::list(&self.store, options))
    }

    async fn copy(
        &self,
        from: &StorageKey,
        to: &StorageKey,
        options: &CopyOptions,
    ) -> Result<ObjectMetadata> {
        let checked = self.capabilities.check_copy(from, to, options);
        let (store, from, target, options) =
            (Arc::clone(&self.store), from.clone(), to.clone(), options.clone());
        hop_until_dropped(move |cancellation| {
            checked.and_then(|()| store.copy(&from, &target, &options, cancellation))
        })
        .await
        .map_err(self.name_error(OperationKind::Copy, Some(to)))
    }

    async fn set_metadata(
        &self,
        key: &StorageKey,
        attributes: &ObjectAttributes,
        options: &SetMetadataOptions,
    ) -> Result<ObjectMetadata> {
        let name_error = self.name_error(OperationKind::SetMetadata, Some(key));
        let checked = self.capabilities.check_set_metadata(key, attributes, options);
        let (store, key, attributes) = (Arc::clone(&self.store), key.clone(), attributes.clone());
        let precondition = options.precondition.clone();
        hop_until_dropped(move |cancellation| {
            checked.and_then(|()| store.set_metadata(&key, &attributes, &precondition, cancellation))
        })
        .await
        .map_err(name_error)
    }

    async fn set_access(&self, key: &StorageKey, _access: AccessClass, _options: &CallOptions) -> Result<()> {
        self.capabilities
            .require(Capability::SetAccess)
            .map_err(self.name_error(OperationKind::SetAccess, Some(key)))
    }

    async fn create_upload(
        &self,
        key: &StorageKey,
        options: &CreateUploadOptions,
    ) -> Result<MultipartUpload> {
        let name_error = self.name_error(OperationKind::CreateUpload, Some(key));
        let checked = self.capabilities.check_create_upload(key, options);
        let (store, key, options) = (Arc::clone(&self.store), key.clone(), options.clone());
        hop(move || checked.and_then(|()| store.create_upload(&key, &options)))
            .await
            .map_err(name_error)
    }

    async fn upload_part(
        &self,
        upload: &MultipartUpload,
        place: PartPlace,
        content: Content,
        options: &UploadPartOptions,
    ) -> Result<Part> {
        crate::multipart::upload_part(&self.store, upload, place, &content, options)
            .await
            .map_err(self.name_error(OperationKind::UploadPart, Some(&upload.key)))
    }

    async fn list_parts(&self, upload: &MultipartUpload, _options: &CallOptions) -> Result<Vec<Part>> {
        let name_error = self.name_error(OperationKind::ListParts, Some(&upload.key));
        let (store, upload) = (Arc::clone(&self.store), upload.clone());
        hop(move || store.list_parts(&upload)).await.map_err(name_error)
    }

    async fn complete_upload(
        &self,
        upload: &MultipartUpload,
        parts: &[Part],
        options: &CompleteUploadOptions,
    ) -> Result<ObjectMetadata> {
        let name_error = self.name_error(OperationKind::CompleteUpload, Some(&upload.key));
        let checked = self
            .capabilities
            .require_precondition(OperationKind::CompleteUpload, &options.precondition)
            .and_then(|()| self.capabilities.key_rules.check(&upload.key));
        let (store, upload, parts) = (Arc::clone(&self.store), upload.clone(), parts.to_vec());
        let options = options.clone();
        hop_until_dropped(move |cancellation| {
            checked.and_then(|()| store.complete_upload(&upload, &parts, &options, cancellation))
        })
        .await
        .map_err(name_error)
    }

    async fn abort_upload(&self, upload: &MultipartUpload, _options: &CallOptions) -> Result<()> {
        let name_error = self.name_error(OperationKind::AbortUpload, Some(&upload.key));
        let (store, upload) = (Arc::clone(&self.store), upload.clone());
        hop(move || store.abort_upload(&upload)).await.map_err(name_error)
    }

    async fn presigned_upload_url(&self, _: &StorageKey, _: &PresignUploadOptions) -> Result<SignedRequest> {
        self.unsupported_signature(OperationKind::PresignedUploadUrl)
    }

    async fn presigned_download_url(
        &self,
        _: &StorageKey,
        _: &PresignDownloadOptions,
    ) -> Result<SignedRequest> {
        self.unsupported_signature(OperationKind::PresignedDownloadUrl)
    }

    async fn presigned_part_url(
        &self,
        _: &MultipartUpload,
        _: u32,
        _: &PresignPartOptions,
    ) -> Result<SignedRequest> {
        self.unsupported_signature(OperationKind::PresignedPartUrl)
    }

    async fn public_url(&self, key: &StorageKey, _options: &CallOptions) -> Result<String> {
        let name_error = self.name_error(OperationKind::PublicUrl, Some(key));
        match &self.public_url_base {
            Some(base) => Ok(format!("{base}/{}", encode_path(key))),
            None => Err(name_error(
                Error::unsupported("the directory has no public URL")
                    .with_help("set public_url_base if a web server serves it"),
            )),
        }
    }

    async fn probe(&self, _options: &CallOptions) -> Result<()> {
        let store = Arc::clone(&self.store);
        hop(move || store.probe())
            .await
            .map_err(self.name_error(OperationKind::Probe, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_encoded_segment_by_segment() {
        let encode = |text: &str| encode_path(&StorageKey::parse(text).expect("a key"));
        assert_eq!(
            encode("a b/c+d?e#f&g/%2e%2e/ü~_-."),
            "a%20b/c%2Bd%3Fe%23f%26g/%252e%252e/%C3%BC~_-."
        );
    }

    #[test]
    fn a_public_url_begins_with_http() {
        assert_eq!(
            parse_url_base("https://a.example/x/").expect("a URL"),
            "https://a.example/x"
        );
        assert_eq!(
            parse_url_base("http://127.0.0.1:80").expect("a URL"),
            "http://127.0.0.1:80"
        );
        for bad in [
            "",
            "a.example",
            "ftp://a.example",
            "https://",
            "https:///x",
            "https://a b",
            "https://a?x",
        ] {
            assert!(parse_url_base(bad).is_err(), "{bad}");
        }
    }
}
