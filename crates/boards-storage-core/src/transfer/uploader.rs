//! Uploads of any size in bounded memory: in one call where that can be, in parts otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};

use super::journal::Journal;
use super::parts::{Gatherer, PartSizes, as_usize};
use crate::capabilities::{Capability, PartOrder};
use crate::checksum::{Digest, DigestAlgorithm};
use crate::content::Content;
use crate::error::{Error, ErrorKind, Result};
use crate::key::StorageKey;
use crate::metadata::ObjectMetadata;
use crate::operation::{MultipartUpload, Part, PartPlace};
use crate::options::{
    CallOptions, CompleteUploadOptions, CreateUploadOptions, UploadOptions, UploadPartOptions,
};
use crate::provider::SharedProvider;

/// An upload in parts as it can be kept and gone on with, in this process or another.
///
/// Its `Debug` output and its serialised form hold the store's name of the upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UploadState {
    /// The upload as the provider knows it.
    pub upload: MultipartUpload,
    /// The length of the whole, where it is known.
    pub length: Option<u64>,
    /// The size of a part that was asked for; with the rules and the length it says where each part begins.
    pub part_size_bytes: u64,
    /// Every part that was begun, by number. Which of them the store has, the store says.
    pub parts: Vec<BegunPart>,
}

/// A part that was begun: what its bytes were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BegunPart {
    /// The part's number, from 1 on.
    pub number: u32,
    /// The part's size in bytes.
    pub size_bytes: u64,
    /// The digest of the part's bytes (BLAKE3).
    pub digest: Digest,
}

/// How an [`Uploader`] cuts and sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploaderSettings {
    /// Content up to this many bytes goes in one call. 16 MiB by default.
    pub single_bytes_max: u64,
    /// The size of a part in bytes, before the store's rules and the content's length correct it. 8 MiB by default.
    pub part_size_bytes: u64,
    /// How many parts are on their way at once, where the store lets them come in any order. 4 by default.
    pub concurrency: usize,
}

impl Default for UploaderSettings {
    fn default() -> Self {
        Self {
            single_bytes_max: 16 << 20,
            part_size_bytes: 8 << 20,
            concurrency: 4,
        }
    }
}

/// Uploads content of any size through a provider.
///
/// A store that streams (`StreamingUpload`) gets everything in one call. Any other gets content of up to
/// `single_bytes_max` in one call and more in parts; stream content is held in memory a part at a time, so it needs
/// `part_size × (concurrency + 1)` bytes. Parts are replayable for the retry layer. Of unknown length, parts grow
/// where the store lets them differ, so that its limit on their number suffices.
///
/// With a [`Journal`] an upload can go on after a restart: see [`Uploader::resume`].
///
/// # Examples
///
/// ```
/// use boards_storage_core::{Content, Result, SharedProvider, StorageKey, UploadOptions, Uploader};
///
/// async fn send(provider: SharedProvider, reader: tokio::fs::File) -> Result<u64> {
///     let key = StorageKey::parse("big/film.mp4")?;
///     let content = Content::from_async_read(reader);
///     let stored = Uploader::new(provider).upload(&key, content, &UploadOptions::default()).await?;
///     Ok(stored.size_bytes)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Uploader {
    provider: SharedProvider,
    settings: UploaderSettings,
    journal: Option<Arc<dyn Journal<UploadState>>>,
}

impl Uploader {
    /// Creates an uploader with default settings.
    #[must_use]
    pub fn new(provider: SharedProvider) -> Self {
        Self {
            provider,
            settings: UploaderSettings::default(),
            journal: None,
        }
    }

    /// Sets how it cuts and sends.
    #[must_use]
    pub fn with_settings(mut self, settings: UploaderSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Keeps the state of an upload in parts while it is under way.
    ///
    /// Content above `single_bytes_max` then goes in parts wherever the store takes parts, and an upload that fails
    /// for a reason that may pass is not aborted: [`Uploader::resume`] goes on with it.
    #[must_use]
    pub fn with_journal(mut self, journal: Arc<dyn Journal<UploadState>>) -> Self {
        self.journal = Some(journal);
        self
    }

    /// Stores an object. Nothing is visible at the key before all of it is there.
    ///
    /// A failed upload in parts is aborted, unless there is a journal and it can go on. If the future is dropped
    /// half-way, the parts sent stay at the store until the upload is aborted there.
    ///
    /// # Errors
    ///
    /// As [`StorageProvider::upload`](crate::StorageProvider::upload); `Unsupported` if the store takes neither
    /// content of unknown length nor parts.
    pub async fn upload(
        &self,
        key: &StorageKey,
        content: Content,
        options: &UploadOptions,
    ) -> Result<ObjectMetadata> {
        let capabilities = self.provider.capabilities();
        let single_max = capabilities.single_upload_bytes_max.unwrap_or(u64::MAX);
        let can_stream = capabilities.has(Capability::StreamingUpload);
        if capabilities.part_rules.is_none() {
            return match content.length() {
                None if !can_stream => self.upload_gathered(key, &content, options).await,
                Some(_) | None => self.provider.upload(key, content, options).await,
            };
        }
        // What goes in one call cannot be resumed.
        let may_stream = can_stream && self.journal.is_none();
        match content.length() {
            // A lone buffer is sent as it is: cutting it would copy nothing and cost calls, unless it is large.
            Some(length)
                if length <= single_max && (may_stream || length <= self.settings.single_bytes_max) =>
            {
                self.provider.upload(key, content, options).await
            }
            None if may_stream && single_max == u64::MAX => self.provider.upload(key, content, options).await,
            length => {
                options_fit(options, length)?;
                let mut pieces = Gatherer::new(content.open().await?);
                let whole_max = self.settings.single_bytes_max.min(single_max);
                let whole_max = as_usize(whole_max);
                if pieces.has(whole_max.saturating_add(1)).await? {
                    return self.upload_in_parts(key, pieces, length, options).await;
                }
                let whole = Content::from_bytes(pieces.take(whole_max).await?);
                self.provider.upload(key, whole, options).await
            }
        }
    }

    /// Goes on with an upload that a journal kept: asks the store which parts it has and sends the others.
    ///
    /// `content` and `options` must be those that the upload began with. The content is read from its beginning, but
    /// what the store has does not travel again; it is compared with the digests in the state, so that no object is
    /// ever made of two different contents. An upload that was completed already answers its object, told by its
    /// write id; one that the store no longer knows is begun anew.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the content is not the one that the upload began with: no part of it that differs is sent,
    /// and the state stays good for the right content. Otherwise as [`Uploader::upload`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use boards_storage_core::{
    ///     Content, Journal, ObjectMetadata, Result, SharedProvider, UploadOptions, UploadState, Uploader,
    /// };
    ///
    /// async fn go_on(
    ///     provider: SharedProvider,
    ///     journal: Arc<dyn Journal<UploadState>>,
    ///     state: UploadState,
    ///     file: &std::path::Path,
    /// ) -> Result<ObjectMetadata> {
    ///     let content = Content::from_path(file).await?;
    ///     let uploader = Uploader::new(provider).with_journal(journal);
    ///     uploader.resume(state, content, &UploadOptions::default()).await
    /// }
    /// ```
    pub async fn resume(
        &self,
        state: UploadState,
        content: Content,
        options: &UploadOptions,
    ) -> Result<ObjectMetadata> {
        let length = content.length();
        options_fit(options, length)?;
        if let (Some(before), Some(now)) = (state.length, length)
            && before != now
        {
            return Err(other_content(&state.upload.key));
        }
        let call = CallOptions::default().with_context(options.context.clone());
        let key = state.upload.key.clone();
        match self.provider.list_parts(&state.upload, &call).await {
            Ok(stored) => {
                let pieces = Gatherer::new(content.open().await?);
                let sending = Sending::resumed(state, stored);
                self.finish(sending, pieces, options).await
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if let Some(stored) = self.own_object(&state.upload, &call).await? {
                    let size_bytes = compare(&state, &content, self.part_sizes(&state)?).await?;
                    if size_bytes == stored.size_bytes {
                        self.forget().await;
                        return Ok(stored);
                    }
                }
                // A layer that alone knows how to go on may have forgotten what the store still has parts of.
                let _ = self.provider.abort_upload(&state.upload, &call).await;
                self.upload(&key, content, options).await
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the object at the upload's key if the upload made it.
    async fn own_object(
        &self,
        upload: &MultipartUpload,
        call: &CallOptions,
    ) -> Result<Option<ObjectMetadata>> {
        if upload.write_id.is_none() || !self.provider.capabilities().has(Capability::WriteId) {
            return Ok(None);
        }
        match self.provider.metadata(&upload.key, call).await {
            Ok(found) if found.write_id == upload.write_id => Ok(Some(found)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A store that needs the length and has no parts gets what can be held in memory.
    async fn upload_gathered(
        &self,
        key: &StorageKey,
        content: &Content,
        options: &UploadOptions,
    ) -> Result<ObjectMetadata> {
        let max = as_usize(self.settings.single_bytes_max);
        let mut pieces = Gatherer::new(content.open().await?);
        if pieces.has(max.saturating_add(1)).await? {
            return Err(Error::unsupported(format!(
                "this store needs the length of content above {max} bytes beforehand, and it is not known"
            ))
            .with_key(key)
            .with_help("declare the length, or store from a file"));
        }
        let whole = Content::from_bytes(pieces.take(max).await?);
        self.provider.upload(key, whole, options).await
    }

    async fn upload_in_parts(
        &self,
        key: &StorageKey,
        pieces: Gatherer,
        length: Option<u64>,
        options: &UploadOptions,
    ) -> Result<ObjectMetadata> {
        let mut create = CreateUploadOptions::from(options);
        create.length = create.length.or(length);
        let mut upload = self.provider.create_upload(key, &create).await?;
        upload.write_id = upload.write_id.or(options.write_id);
        let state = UploadState {
            upload,
            length,
            part_size_bytes: self.settings.part_size_bytes,
            parts: Vec::new(),
        };
        self.finish(Sending::begun(state), pieces, options).await
    }

    /// Sends what is missing and completes. What cannot be gone on with is aborted.
    async fn finish(
        &self,
        mut sending: Sending,
        pieces: Gatherer,
        options: &UploadOptions,
    ) -> Result<ObjectMetadata> {
        let sent = self.send_parts(&mut sending, pieces, options).await;
        let upload = &sending.state.upload;
        let finished = match sent {
            Ok(parts) => {
                let mut complete = CompleteUploadOptions::default()
                    .with_context(options.context.clone())
                    .with_precondition(options.precondition.clone());
                complete.digest = options.digest;
                self.provider.complete_upload(upload, &parts, &complete).await
            }
            Err(error) => Err(error),
        };
        match &finished {
            Ok(_) => self.forget().await,
            Err(error) if sending.can_go_on_after(error) => {}
            Err(_) => {
                let call = CallOptions::default().with_context(options.context.clone());
                // The error that matters is the first one; what cannot be aborted now is reaped later.
                let _ = self.provider.abort_upload(upload, &call).await;
                self.forget().await;
            }
        }
        finished
    }

    /// A state that is not forgotten is harmless: the upload is found complete or unknown.
    async fn forget(&self) {
        if let Some(journal) = &self.journal {
            let _ = journal.forget().await;
        }
    }

    fn part_sizes(&self, state: &UploadState) -> Result<PartSizes> {
        PartSizes::new(state.upload.part_rules, state.part_size_bytes, state.length)
    }

    async fn send_parts(
        &self,
        sending: &mut Sending,
        mut pieces: Gatherer,
        options: &UploadOptions,
    ) -> Result<Vec<Part>> {
        let mut sizes = self.part_sizes(&sending.state)?;
        let part_options = UploadPartOptions::default().with_context(options.context.clone());
        let concurrency = match sending.state.upload.part_rules.order {
            PartOrder::Any => self.settings.concurrency.max(1),
            PartOrder::Sequential => 1,
        };
        let upload = sending.state.upload.clone();
        let mut under_way = FuturesUnordered::new();
        let mut parts = Vec::new();
        let mut offset = 0;
        let mut next = pieces.take(sizes.next(1)?).await?;
        for number in 1.. {
            let part = std::mem::take(&mut next);
            let is_last = !pieces.has_more().await?;
            if !is_last {
                next = pieces.take(sizes.next(number + 1)?).await?;
            }
            let place = PartPlace::new(number, offset);
            let place = if is_last { place.last() } else { place };
            offset += part.len() as u64;
            let stored = sending.begin(number, &part, self.journal.as_ref()).await?;
            match stored {
                Some(stored) => parts.push(stored),
                None => under_way.push(self.provider.upload_part(
                    &upload,
                    place,
                    Content::from_bytes(part),
                    &part_options,
                )),
            }
            while under_way.len() >= concurrency || (is_last && !under_way.is_empty()) {
                if let Some(done) = under_way.next().await {
                    parts.push(done?);
                }
            }
            if is_last {
                break;
            }
        }
        parts.sort_by_key(|part: &Part| part.number);
        Ok(parts)
    }
}

/// An upload in parts under way.
struct Sending {
    state: UploadState,
    /// The parts that the store had when the upload was taken up again.
    stored: BTreeMap<u32, Part>,
    is_resumed: bool,
    /// Whether somebody has a state to go on with.
    is_kept: bool,
}

impl Sending {
    fn begun(state: UploadState) -> Self {
        Self {
            state,
            stored: BTreeMap::new(),
            is_resumed: false,
            is_kept: false,
        }
    }

    fn resumed(state: UploadState, stored: Vec<Part>) -> Self {
        Self {
            state,
            stored: stored.into_iter().map(|part| (part.number, part)).collect(),
            is_resumed: true,
            is_kept: true,
        }
    }

    /// Notes that a part is about to be sent; returns it if the store has it already.
    async fn begin(
        &mut self,
        number: u32,
        part: &Bytes,
        journal: Option<&Arc<dyn Journal<UploadState>>>,
    ) -> Result<Option<Part>> {
        if journal.is_none() && !self.is_resumed {
            return Ok(None);
        }
        let size_bytes = part.len() as u64;
        let digest = digest_of(part.clone()).await?;
        let begun = BegunPart {
            number,
            size_bytes,
            digest,
        };
        match self.state.parts.iter().find(|known| known.number == number) {
            // Also where the store does not have the part: what is sent now would not fit what it has behind it.
            Some(known) if *known != begun => return Err(other_content(&self.state.upload.key)),
            Some(_) => {
                let stored = self.stored.get(&number);
                if let Some(whole) = stored.filter(|stored| stored.size_bytes == size_bytes) {
                    return Ok(Some(whole.clone()));
                }
            }
            None => self.state.parts.push(begun),
        }
        if let Some(journal) = journal {
            journal.keep(&self.state).await?;
            self.is_kept = true;
        }
        Ok(None)
    }

    /// Says whether the upload stays good for another try.
    fn can_go_on_after(&self, error: &Error) -> bool {
        let is_other_content = self.is_resumed && error.kind() == ErrorKind::InvalidInput;
        self.is_kept && (is_other_content || may_pass(error))
    }
}

/// Says whether the same upload may succeed later.
fn may_pass(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Storage
        | ErrorKind::ProviderUnavailable
        | ErrorKind::InsufficientStorage
        | ErrorKind::AccessDenied
        | ErrorKind::Timeout
        | ErrorKind::RateLimited
        | ErrorKind::OutcomeUnknown => true,
        ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::PreconditionFailed
        | ErrorKind::InvalidInput
        | ErrorKind::Unsupported
        | ErrorKind::Configuration
        | ErrorKind::Corruption
        | ErrorKind::Rejected => false,
    }
}

/// Reads content that is stored already and compares it with the parts that were begun; returns its length.
async fn compare(state: &UploadState, content: &Content, mut sizes: PartSizes) -> Result<u64> {
    let mut pieces = Gatherer::new(content.open().await?);
    let mut total = 0;
    for number in 1.. {
        let part = pieces.take(sizes.next(number)?).await?;
        if part.is_empty() {
            break;
        }
        let size_bytes = part.len() as u64;
        total += size_bytes;
        let digest = digest_of(part).await?;
        let is_same = state
            .parts
            .iter()
            .filter(|known| known.number == number)
            .all(|known| (known.size_bytes, known.digest) == (size_bytes, digest));
        if !is_same {
            return Err(other_content(&state.upload.key));
        }
    }
    Ok(total)
}

/// Hashes a part away from the runtime.
async fn digest_of(part: Bytes) -> Result<Digest> {
    tokio::task::spawn_blocking(move || Digest::of(DigestAlgorithm::Blake3, &part))
        .await
        .map_err(|source| Error::new(ErrorKind::Storage, "hashing a part failed").with_source(source))
}

fn other_content(key: &StorageKey) -> Error {
    Error::invalid_input("the content is not the one that the upload began with")
        .with_key(key)
        .with_help("resume with the same content, or begin a new upload")
}

fn options_fit(options: &UploadOptions, length: Option<u64>) -> Result<()> {
    match (options.length, length) {
        (Some(asked), Some(known)) if asked != known => Err(Error::invalid_input(format!(
            "the content has {known} bytes, the options ask for {asked}"
        ))),
        _ => Ok(()),
    }
}
