//! Uploads of any size in bounded memory: in one call where that can be, in parts otherwise.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::capabilities::{Capability, PartOrder, PartRules};
use crate::content::{ByteStream, Content};
use crate::error::{Error, Result};
use crate::key::StorageKey;
use crate::metadata::ObjectMetadata;
use crate::operation::{MultipartUpload, Part, PartPlace};
use crate::options::{CallOptions, CompleteUploadOptions, UploadOptions, UploadPartOptions};
use crate::provider::SharedProvider;

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
}

impl Uploader {
    /// Creates an uploader with default settings.
    #[must_use]
    pub fn new(provider: SharedProvider) -> Self {
        Self {
            provider,
            settings: UploaderSettings::default(),
        }
    }

    /// Sets how it cuts and sends.
    #[must_use]
    pub fn with_settings(mut self, settings: UploaderSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Stores an object. Nothing is visible at the key before all of it is there.
    ///
    /// A failed upload in parts is aborted. If the future is dropped half-way, the parts sent stay at the store
    /// until the upload is aborted there.
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
        let fits = |length: u64| length <= single_max;
        if capabilities.part_rules.is_none() {
            return match content.length() {
                None if !can_stream => self.upload_gathered(key, &content, options).await,
                Some(_) | None => self.provider.upload(key, content, options).await,
            };
        }
        match content.length() {
            // A lone buffer is sent as it is: cutting it would copy nothing and cost calls, unless it is large.
            Some(length) if fits(length) && (can_stream || length <= self.settings.single_bytes_max) => {
                self.provider.upload(key, content, options).await
            }
            None if can_stream && single_max == u64::MAX => self.provider.upload(key, content, options).await,
            length => {
                options_fit(options, length)?;
                let mut pieces = Gatherer::new(content.open().await?);
                let whole_max = self.settings.single_bytes_max.min(single_max);
                let first = pieces.take(as_usize(whole_max).saturating_add(1)).await?;
                if first.len() as u64 <= whole_max {
                    return self
                        .provider
                        .upload(key, Content::from_bytes(first), options)
                        .await;
                }
                pieces.put_back(first);
                self.upload_in_parts(key, pieces, length, options).await
            }
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
        let bytes = pieces.take(max.saturating_add(1)).await?;
        if bytes.len() > max {
            return Err(Error::unsupported(format!(
                "this store needs the length of content above {max} bytes beforehand, and it is not known"
            ))
            .with_key(key)
            .with_help("declare the length, or store from a file"));
        }
        self.provider
            .upload(key, Content::from_bytes(bytes), options)
            .await
    }

    async fn upload_in_parts(
        &self,
        key: &StorageKey,
        pieces: Gatherer,
        length: Option<u64>,
        options: &UploadOptions,
    ) -> Result<ObjectMetadata> {
        let mut create = crate::options::CreateUploadOptions::from(options);
        create.length = create.length.or(length);
        let upload = self.provider.create_upload(key, &create).await?;
        let sent = self.send_parts(&upload, pieces, length, options).await;
        let finished = match sent {
            Ok(parts) => {
                let mut complete = CompleteUploadOptions::default()
                    .with_context(options.context.clone())
                    .with_precondition(options.precondition.clone());
                complete.digest = options.digest;
                self.provider.complete_upload(&upload, &parts, &complete).await
            }
            Err(error) => Err(error),
        };
        if finished.is_err() {
            let call = CallOptions::default().with_context(options.context.clone());
            // The error that matters is the first one; what cannot be aborted now is reaped later.
            let _ = self.provider.abort_upload(&upload, &call).await;
        }
        finished
    }

    async fn send_parts(
        &self,
        upload: &MultipartUpload,
        mut pieces: Gatherer,
        length: Option<u64>,
        options: &UploadOptions,
    ) -> Result<Vec<Part>> {
        let mut sizes = PartSizes::new(upload.part_rules, self.settings.part_size_bytes, length)?;
        let part_options = UploadPartOptions::default().with_context(options.context.clone());
        let concurrency = match upload.part_rules.order {
            PartOrder::Any => self.settings.concurrency.max(1),
            PartOrder::Sequential => 1,
        };
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
            let send = self
                .provider
                .upload_part(upload, place, Content::from_bytes(part), &part_options);
            under_way.push(send);
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

fn options_fit(options: &UploadOptions, length: Option<u64>) -> Result<()> {
    match (options.length, length) {
        (Some(asked), Some(known)) if asked != known => Err(Error::invalid_input(format!(
            "the content has {known} bytes, the options ask for {asked}"
        ))),
        _ => Ok(()),
    }
}

fn as_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// Which size each part gets.
#[derive(Clone, Copy, Debug)]
struct PartSizes {
    rules: PartRules,
    base: u64,
    grows: bool,
}

impl PartSizes {
    /// After so many parts of one size, a growing size doubles.
    const STEP: u32 = 1000;

    fn new(rules: PartRules, wanted: u64, length: Option<u64>) -> Result<Self> {
        let needed = length.map_or(0, |length| length.div_ceil(u64::from(rules.count_max.max(1))));
        let size = wanted.max(needed).max(rules.size_bytes_min).max(1);
        let multiple = rules.multiple_of_bytes.max(1);
        let size = size.div_ceil(multiple).saturating_mul(multiple);
        let largest = (rules.size_bytes_max / multiple * multiple).max(1);
        if needed > largest {
            return Err(Error::new(
                crate::ErrorKind::Rejected,
                format!(
                    "the object is too large: {} parts of at most {largest} bytes are allowed",
                    rules.count_max
                ),
            ));
        }
        Ok(Self {
            rules,
            base: size.min(largest),
            grows: length.is_none() && !rules.equal_size,
        })
    }

    fn next(&mut self, number: u32) -> Result<usize> {
        if number > self.rules.count_max {
            return Err(Error::new(
                crate::ErrorKind::Rejected,
                format!(
                    "the stream is too long for {} parts of {} bytes",
                    self.rules.count_max, self.base
                ),
            )
            .with_help("declare the length, so that larger parts are used"));
        }
        let doublings = if self.grows { (number - 1) / Self::STEP } else { 0 };
        let multiple = self.rules.multiple_of_bytes.max(1);
        let largest = self.rules.size_bytes_max / multiple * multiple;
        Ok(as_usize(
            self.base.saturating_mul(1 << doublings.min(32)).min(largest),
        ))
    }
}

/// Cuts a stream into buffers of the sizes asked for.
struct Gatherer {
    stream: ByteStream,
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    ended: bool,
}

impl Gatherer {
    fn new(stream: ByteStream) -> Self {
        Self {
            stream,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            ended: false,
        }
    }

    /// Looks for another byte.
    async fn has_more(&mut self) -> Result<bool> {
        self.fill(1).await?;
        Ok(self.waiting_bytes > 0)
    }

    async fn fill(&mut self, size: usize) -> Result<()> {
        while self.waiting_bytes < size && !self.ended {
            match self.stream.next().await {
                Some(piece) => {
                    let piece = piece?;
                    self.waiting_bytes += piece.len();
                    self.waiting.push_back(piece);
                }
                None => self.ended = true,
            }
        }
        Ok(())
    }

    fn put_back(&mut self, bytes: Bytes) {
        self.waiting_bytes += bytes.len();
        self.waiting.push_front(bytes);
    }

    /// Returns the next `size` bytes, fewer only at the end. A part that is one piece is not copied.
    async fn take(&mut self, size: usize) -> Result<Bytes> {
        self.fill(size).await?;
        let size = size.min(self.waiting_bytes);
        self.waiting_bytes -= size;
        if let Some(first) = self.waiting.front_mut()
            && first.len() >= size
        {
            return Ok(first.split_to(size));
        }
        let mut gathered = BytesMut::with_capacity(size);
        while gathered.len() < size {
            let Some(mut piece) = self.waiting.pop_front() else {
                break;
            };
            let wanted = piece.len().min(size - gathered.len());
            gathered.extend_from_slice(&piece.split_to(wanted));
            if !piece.is_empty() {
                self.waiting.push_front(piece);
            }
        }
        Ok(gathered.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_sizes(rules: PartRules, wanted: u64, length: Option<u64>, expected: &[(u32, usize)]) {
        let mut sizes = PartSizes::new(rules, wanted, length).expect("possible");
        for (number, size) in expected {
            assert_eq!(sizes.next(*number).expect("allowed"), *size, "part {number}");
        }
    }

    #[test]
    fn part_sizes_follow_the_rules() {
        let mib = 1 << 20;
        check_sizes(
            PartRules::any(),
            mib,
            Some(10 * mib),
            &[(1, 1 << 20), (10, 1 << 20)],
        );
        // 100,000 MiB need parts of 10 MiB where 10,000 are allowed.
        check_sizes(PartRules::any(), mib, Some(100_000 * mib), &[(1, 10 << 20)]);
        check_sizes(
            PartRules::any(),
            mib,
            None,
            &[(1000, 1 << 20), (1001, 2 << 20), (3001, 8 << 20)],
        );
        let equal = PartRules {
            equal_size: true,
            ..PartRules::any()
        };
        check_sizes(equal, mib, None, &[(1, 1 << 20), (9999, 1 << 20)]);
        let multiples = PartRules {
            multiple_of_bytes: 256 << 10,
            size_bytes_min: 5 << 20,
            ..PartRules::any()
        };
        check_sizes(multiples, mib + 1, None, &[(1, 5 << 20)]);
        check_sizes(multiples, (6 << 20) + 1, None, &[(1, (6 << 20) + (256 << 10))]);
    }

    #[test]
    fn more_parts_than_allowed_are_refused() {
        let few = PartRules {
            count_max: 2,
            size_bytes_max: 10,
            ..PartRules::any()
        };
        assert!(PartSizes::new(few, 10, Some(21)).is_err());
        let mut sizes = PartSizes::new(few, 10, Some(20)).expect("possible");
        assert!(sizes.next(2).is_ok() && sizes.next(3).is_err());
    }

    #[tokio::test]
    async fn a_gatherer_cuts_at_any_size() {
        let pieces = ["ab", "", "cdefg", "h"].map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
        let mut gatherer = Gatherer::new(Box::pin(futures_util::stream::iter(pieces)));
        for expected in ["abc", "d", "ef", "gh", ""] {
            assert_eq!(
                gatherer
                    .take(if expected.len() == 1 {
                        1
                    } else {
                        expected.len().max(2)
                    })
                    .await
                    .expect("read"),
                expected
            );
        }
        assert!(!gatherer.has_more().await.expect("read"));
    }
}
