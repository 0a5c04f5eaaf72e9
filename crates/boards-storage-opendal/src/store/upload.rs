//! Uploads in parts through `object_store`: the caller puts pieces of any size, the provider gets parts by its rules.
//!
//! What is put is cut into parts; the rest waits for more. The last part is held back until the end, so that the
//! provider hears which one it is. An upload that fits into one part goes in one call.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use boards_storage_core::{
    CallOptions, CompleteUploadOptions, Content, CreateUploadOptions, Error, ErrorKind, MultipartUpload,
    Part, PartOrder, PartPlace, PartRules, SharedProvider, StorageKey, UploadOptions, UploadPartOptions,
};
use bytes::Bytes;
use object_store::path::Path;
use object_store::{PutMultipartOptions, PutPayload, PutResult, Result, UploadPart};
use parking_lot::Mutex;
use tokio::sync::{OnceCell, watch};

use super::error::{translate, unsupported};
use super::write::{attributes, content, put_result};
use super::{ProviderStore, key_of};

/// The size of a part, where nothing else is said.
pub(super) const PART_BYTES: u64 = 8 << 20;
/// A provider without parts gets at most so many bytes, which are held in memory.
const BUFFER_BYTES_MAX: u64 = 64 << 20;
/// After so many parts they become larger, where the provider lets parts differ.
const PARTS_OF_ONE_SIZE: u32 = 1_000;

impl ProviderStore {
    /// Begins an upload. The provider hears of it when the first part is full.
    pub(super) fn begin_upload(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn object_store::MultipartUpload>> {
        if !options.tags.is_empty() {
            return Err(unsupported("tags of objects cannot be kept"));
        }
        let key = key_of(location)?;
        let whole = UploadOptions::default().with_attributes(attributes(location, &options.attributes)?);
        let capabilities = self.provider.capabilities();
        let checked = match capabilities.part_rules {
            Some(_) => capabilities.check_create_upload(&key, &CreateUploadOptions::from(&whole)),
            None => capabilities.check_upload(&key, None, &whole),
        };
        checked.map_err(|error| translate(error, location.as_ref()))?;
        let rules = capabilities.part_rules;
        Ok(Box::new(Upload {
            part_bytes: rules.map_or(BUFFER_BYTES_MAX, |rules| first_size(&rules, self.part_bytes)),
            rules,
            shared: Arc::new(Shared {
                provider: Arc::clone(&self.provider),
                key,
                whole,
                begun: OnceCell::new(),
                sent: Mutex::new(Vec::new()),
                turn: watch::Sender::new(Turn::Of(1)),
            }),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            parts: 0,
            offset: 0,
            is_over: false,
        }))
    }
}

/// The size of the first parts: what is wanted, as far as the rules let it be.
fn first_size(rules: &PartRules, wanted: u64) -> u64 {
    let size = wanted.clamp(rules.size_bytes_min.max(1), rules.size_bytes_max);
    let multiple = rules.multiple_of_bytes.max(1);
    let rounded = size.next_multiple_of(multiple);
    if rounded > rules.size_bytes_max {
        size - size % multiple
    } else {
        rounded
    }
}

/// The size of a part, which grows with its number so that the limit on their number is reached late.
fn size_of(rules: &PartRules, first: u64, number: u32) -> u64 {
    if rules.equal_size {
        return first;
    }
    let grown = first.saturating_mul(1 + u64::from(number / PARTS_OF_ONE_SIZE));
    first_size(rules, grown)
}

/// An upload whose parts may be on their way at the same time.
struct Upload {
    shared: Arc<Shared>,
    rules: Option<PartRules>,
    part_bytes: u64,
    waiting: VecDeque<Bytes>,
    waiting_bytes: u64,
    /// How many parts were cut, and where the next one begins.
    parts: u32,
    offset: u64,
    is_over: bool,
}

/// What the parts on their way share.
struct Shared {
    provider: SharedProvider,
    key: StorageKey,
    whole: UploadOptions,
    begun: OnceCell<MultipartUpload>,
    sent: Mutex<Vec<Part>>,
    /// Whose turn it is, where parts must come one after the other.
    turn: watch::Sender<Turn>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Of(u32),
    /// A part did not arrive, so none after it can.
    Broken,
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("key", &self.shared.key)
            .field("parts", &self.parts)
            .field("waiting_bytes", &self.waiting_bytes)
            .finish_non_exhaustive()
    }
}

impl Upload {
    /// Cuts what waits into parts, leaving at least a byte for the last one.
    fn cut(&mut self, rules: &PartRules) -> Vec<(PartPlace, Content)> {
        let mut cut = Vec::new();
        loop {
            let size = size_of(rules, self.part_bytes, self.parts);
            if self.waiting_bytes <= size {
                return cut;
            }
            let content = self.take(size);
            cut.push((self.next_place(size), content));
        }
    }

    fn next_place(&mut self, size: u64) -> PartPlace {
        self.parts += 1;
        let place = PartPlace::new(self.parts, self.offset);
        self.offset += size;
        place
    }

    /// Takes so many of the bytes that wait, which are there.
    fn take(&mut self, size: u64) -> Content {
        let mut pieces = Vec::new();
        let mut left = size;
        while left > 0 {
            let Some(mut piece) = self.waiting.pop_front() else {
                break;
            };
            let most = usize::try_from(left).unwrap_or(usize::MAX);
            if piece.len() > most {
                self.waiting.push_front(piece.split_off(most));
            }
            left -= piece.len() as u64;
            pieces.push(piece);
        }
        self.waiting_bytes -= size - left;
        content(pieces.into_iter().collect::<PutPayload>())
    }

    fn failed(&self, error: Error) -> object_store::Error {
        translate(error, self.shared.key.as_str())
    }

    /// Sends the last part and makes all of them one object.
    async fn finish(&mut self) -> boards_storage_core::Result<PutResult> {
        let size = self.waiting_bytes;
        let content = self.take(size);
        let shared = Arc::clone(&self.shared);
        if self.parts == 0 {
            let stored = shared
                .provider
                .upload(&shared.key, content, &shared.whole)
                .await?;
            return Ok(put_result(&stored));
        }
        let place = self.next_place(size).last();
        let order = self.rules.map_or(PartOrder::Any, |rules| rules.order);
        shared.send(place, content, order).await?;
        let mut parts = shared.sent.lock().clone();
        parts.sort_by_key(|part| part.number);
        if parts.len() != self.parts as usize {
            return Err(Error::invalid_input(format!(
                "{} of {} parts are there: wait for every part before the upload is completed",
                parts.len(),
                self.parts
            )));
        }
        let upload = shared.begun().await?;
        let options = CompleteUploadOptions::default();
        let stored = shared.provider.complete_upload(upload, &parts, &options).await?;
        Ok(put_result(&stored))
    }
}

impl Shared {
    /// The provider's upload, which the first part begins.
    async fn begun(&self) -> boards_storage_core::Result<&MultipartUpload> {
        let options = CreateUploadOptions::from(&self.whole);
        self.begun
            .get_or_try_init(|| self.provider.create_upload(&self.key, &options))
            .await
    }

    async fn send(
        &self,
        place: PartPlace,
        content: Content,
        order: PartOrder,
    ) -> boards_storage_core::Result<()> {
        if order == PartOrder::Any {
            return self.send_now(place, content).await;
        }
        let mut turn = self.turn.subscribe();
        let mine = Turn::Of(place.number);
        let reached = turn.wait_for(|turn| *turn == mine || *turn == Turn::Broken).await;
        if reached.is_ok_and(|turn| *turn == Turn::Broken) {
            return Err(Error::new(
                ErrorKind::Storage,
                "an earlier part of the upload did not arrive",
            ));
        }
        let broken = BreakOnDrop(Some(&self.turn));
        self.send_now(place, content).await?;
        broken.keep();
        self.turn.send_replace(Turn::Of(place.number + 1));
        Ok(())
    }

    async fn send_now(&self, place: PartPlace, content: Content) -> boards_storage_core::Result<()> {
        let upload = self.begun().await?;
        let options = UploadPartOptions::default();
        let part = self
            .provider
            .upload_part(upload, place, content, &options)
            .await?;
        self.sent.lock().push(part);
        Ok(())
    }
}

/// Says that no turn comes any more, if a part fails or is given up.
struct BreakOnDrop<'a>(Option<&'a watch::Sender<Turn>>);

impl BreakOnDrop<'_> {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for BreakOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(turn) = self.0 {
            turn.send_replace(Turn::Broken);
        }
    }
}

fn over() -> Error {
    Error::invalid_input("the upload is completed or aborted already")
}

#[async_trait]
impl object_store::MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        if self.is_over {
            return Box::pin(std::future::ready(Err(self.failed(over()))));
        }
        for piece in data.into_iter().filter(|piece| !piece.is_empty()) {
            self.waiting_bytes += piece.len() as u64;
            self.waiting.push_back(piece);
        }
        let Some(rules) = self.rules else {
            let is_too_much = self.waiting_bytes > BUFFER_BYTES_MAX;
            let refused =
                unsupported("the provider takes no parts, and more than 64 MiB are not held in memory");
            return Box::pin(std::future::ready(if is_too_much {
                Err(refused)
            } else {
                Ok(())
            }));
        };
        let parts = self.cut(&rules);
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            for (place, content) in parts {
                let sent = shared.send(place, content, rules.order).await;
                sent.map_err(|error| translate(error, shared.key.as_str()))?;
            }
            Ok(())
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        if self.is_over {
            return Err(self.failed(over()));
        }
        self.is_over = true;
        let finished = self.finish().await;
        finished.map_err(|error| self.failed(error))
    }

    async fn abort(&mut self) -> Result<()> {
        self.is_over = true;
        self.waiting.clear();
        self.waiting_bytes = 0;
        let Some(upload) = self.shared.begun.get() else {
            return Ok(());
        };
        let aborted = self
            .shared
            .provider
            .abort_upload(upload, &CallOptions::default())
            .await;
        aborted.map_err(|error| self.failed(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_keep_the_rules() {
        let any = PartRules::any();
        assert_eq!(first_size(&any, 100), 100);
        assert_eq!(size_of(&any, 100, 999), 100);
        assert_eq!(size_of(&any, 100, 1_000), 200);
        let mut strict = PartRules::any();
        strict.size_bytes_min = 10;
        strict.size_bytes_max = 35;
        strict.multiple_of_bytes = 10;
        for (wanted, size) in [(1, 10), (10, 10), (11, 20), (31, 30), (1_000, 30)] {
            assert_eq!(first_size(&strict, wanted), size, "{wanted}");
        }
        strict.equal_size = true;
        assert_eq!(size_of(&strict, 10, 5_000), 10);
    }
}
