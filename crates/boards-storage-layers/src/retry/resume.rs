//! Streams that go on where they broke: downloads at their offset, listings after their last name.

use std::ops::Range;
use std::sync::Arc;

use boards_storage_core::{
    ByteRange, ByteStream, Capabilities, Capability, ChecksumHasher, Download, DownloadOptions,
    DownloadOutcome, Error, ErrorKind, ListEntry, ListOptions, ListStream, Next, NotModified, ObjectMetadata,
    Operation, Outcome, Result, Retry, StorageKey,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep};

use super::{Policy, Progress, Step};
use crate::context::Place;
use crate::stream::has_stream;

/// Makes the outcome's stream go on where it breaks, if the inside can do that.
pub(super) fn go_on(policy: &Arc<Policy>, operation: Operation, next: Next, outcome: Outcome) -> Outcome {
    if policy.config.attempts_max <= 1 || policy.config.resumes_max == 0 || !has_stream(&outcome) {
        return outcome;
    }
    let breaks = Breaks::new(policy, &operation, next);
    match (operation, outcome) {
        (Operation::Download { key, options }, Outcome::Download(mut outcome)) => {
            if let Some(plan) = DownloadPlan::new(&outcome, breaks.next.capabilities()) {
                // Taken out and put back, so that the box is used again.
                let nothing = DownloadOutcome::NotModified(NotModified::default());
                let opened = std::mem::replace(&mut *outcome, nothing);
                *outcome = resume_download(opened, key, options, plan, breaks);
            }
            Outcome::Download(outcome)
        }
        (Operation::List { options }, Outcome::List(entries)) => {
            Outcome::List(resume_list(entries, options, breaks))
        }
        (_, outcome) => outcome,
    }
}

/// The interruptions of one stream.
struct Breaks {
    policy: Arc<Policy>,
    next: Next,
    place: Place,
    deadline: Option<Instant>,
    /// How many failures there were since the stream last moved on, and since when.
    failures: u32,
    since: Instant,
    resumes: u32,
}

impl Breaks {
    fn new(policy: &Arc<Policy>, operation: &Operation, next: Next) -> Self {
        Self {
            policy: Arc::clone(policy),
            place: Place::new(operation, &next),
            next,
            deadline: operation.context().deadline,
            failures: 0,
            since: Instant::now(),
            resumes: 0,
        }
    }

    /// Notes that the stream moved on.
    fn moved_on(&mut self) {
        self.failures = 0;
    }

    /// Waits until the stream may be taken up again, or fails with the error that ends it.
    async fn wait(&mut self, error: Error) -> Result<()> {
        if self.failures == 0 {
            self.since = Instant::now();
        }
        self.failures += 1;
        let exhausted = |error: Error| Err(error.with_retry(Retry::Exhausted).with_attempts(self.failures));
        // Damage is not cured by reading on.
        if error.kind() == ErrorKind::Corruption {
            return Err(error);
        }
        if self.resumes >= self.policy.config.resumes_max && error.retry().is_wanted() {
            return exhausted(error);
        }
        let step = self
            .policy
            .step(&error, self.failures, self.since, self.deadline, Progress::Some);
        match step {
            Step::Again(delay) => sleep(delay).await,
            Step::GiveUp => return exhausted(error),
            Step::Stop if self.failures > 1 => return Err(error.with_attempts(self.failures)),
            Step::Stop => return Err(error),
        }
        self.resumes += 1;
        Ok(())
    }

    async fn run(&self, mut operation: Operation) -> Result<Outcome> {
        operation.context_mut().attempt = self.failures + 1;
        let outcome = self.next.clone().run(operation).await;
        if outcome.is_ok() {
            self.policy.budget.pay_back();
        }
        outcome
    }

    fn error(&self, kind: ErrorKind, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        self.place.mark(Error::new(kind, message))
    }
}

/// What a resumed download must still be.
struct DownloadPlan {
    /// What the first answer said; it has an entity tag.
    metadata: Arc<ObjectMetadata>,
    range: Range<u64>,
    /// The sum so far, where the store promises verified reads; then the metadata has what it must be.
    running: Option<ChecksumHasher>,
}

impl DownloadPlan {
    /// Plans how a download can be resumed; `None` if it cannot or need not be.
    fn new(outcome: &DownloadOutcome, capabilities: &Capabilities) -> Option<Self> {
        let DownloadOutcome::Object(download) = outcome else {
            return None;
        };
        let can_resume =
            capabilities.has(Capability::Range) && capabilities.has(Capability::ConditionalDownload);
        if !can_resume || download.length() == 0 {
            return None;
        }
        let metadata = download.metadata();
        let is_verified = download.is_whole() && capabilities.has(Capability::VerifiedRead);
        let running = match &metadata.checksum {
            // What cannot be verified in the end is not taken up.
            Some(checksum) if is_verified => Some(ChecksumHasher::new(checksum.algorithm())?),
            Some(_) | None => None,
        };
        metadata.etag.is_some().then(|| Self {
            metadata: Arc::clone(metadata),
            range: download.range(),
            running,
        })
    }
}

fn resume_download(
    outcome: DownloadOutcome,
    key: StorageKey,
    options: Arc<DownloadOptions>,
    plan: DownloadPlan,
    breaks: Breaks,
) -> DownloadOutcome {
    match outcome {
        DownloadOutcome::Object(download) => DownloadOutcome::Object(download.map_stream(move |inner| {
            let reader = Reader {
                inner: Some(inner),
                key,
                options,
                left: plan.range.clone(),
                plan,
                breaks,
            };
            Box::pin(stream::unfold(reader, |mut reader| async move {
                let item = reader.next().await?;
                Some((item, reader))
            }))
        })),
        other @ DownloadOutcome::NotModified(_) => other,
    }
}

/// A download that goes on at its offset.
struct Reader {
    /// Gone at the end.
    inner: Option<ByteStream>,
    key: StorageKey,
    options: Arc<DownloadOptions>,
    plan: DownloadPlan,
    /// The bytes that are still to come.
    left: Range<u64>,
    breaks: Breaks,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<Bytes>> {
        loop {
            let item = self.inner.as_mut()?.next().await;
            let error = match item {
                Some(Ok(piece)) => return Some(self.take(piece)),
                None if self.left.is_empty() => {
                    self.inner = None;
                    return None;
                }
                None => self.breaks.error(
                    ErrorKind::ProviderUnavailable,
                    format!(
                        "the stream ended {} bytes too early",
                        self.left.end - self.left.start
                    ),
                ),
                // Every byte is here and, if it was resumed, verified: that the connection broke then is no loss.
                Some(Err(error)) if self.left.is_empty() && error.retry().is_wanted() => {
                    self.inner = None;
                    return None;
                }
                Some(Err(error)) => error,
            };
            if let Err(error) = self.resume(error).await {
                self.inner = None;
                return Some(Err(error));
            }
        }
    }

    /// Passes a piece on; the last one only if the whole is what it must be.
    fn take(&mut self, piece: Bytes) -> Result<Bytes> {
        let length = piece.len() as u64;
        if length > self.left.end - self.left.start {
            self.inner = None;
            return Err(self.breaks.error(
                ErrorKind::Corruption,
                "the store sent more bytes than the range has",
            ));
        }
        self.left.start += length;
        if length > 0 {
            self.breaks.moved_on();
        }
        if let Some(hasher) = &mut self.plan.running {
            hasher.update(&piece);
            // Until it is resumed, the provider itself checks the whole.
            if self.left.is_empty() && self.breaks.resumes > 0 {
                let actual = hasher.clone().finish();
                if let Some(expected) = &self.plan.metadata.checksum
                    && actual != *expected
                {
                    let message = format!("the bytes have the checksum {actual} instead of {expected}");
                    self.inner = None;
                    return Err(self.breaks.error(ErrorKind::Corruption, message));
                }
            }
        }
        Ok(piece)
    }

    /// Opens the rest after an interruption.
    async fn resume(&mut self, mut error: Error) -> Result<()> {
        loop {
            self.inner = None;
            self.breaks.wait(error).await?;
            match self.reopen().await {
                Ok(stream) => {
                    self.inner = Some(stream);
                    return Ok(());
                }
                Err(again) => error = again,
            }
        }
    }

    async fn reopen(&mut self) -> Result<ByteStream> {
        let mut options = DownloadOptions::clone(&self.options);
        options.range = Some(ByteRange::from(self.left.clone()));
        options.if_match.clone_from(&self.plan.metadata.etag);
        options.if_none_match = None;
        options.if_modified_since = None;
        let operation = Operation::Download {
            key: self.key.clone(),
            options: Arc::new(options),
        };
        let wrong = |what: &'static str| self.breaks.error(ErrorKind::Storage, what);
        let outcome = match self.breaks.run(operation).await? {
            Outcome::Download(outcome) => outcome,
            _ => {
                return Err(wrong(
                    "a layer answered a download with another operation's outcome",
                ));
            }
        };
        let DownloadOutcome::Object(download) = *outcome else {
            return Err(wrong(
                "the store answered an unconditional range with 'not modified'",
            ));
        };
        self.check(&download)?;
        Ok(download.into_stream())
    }

    fn check(&self, download: &Download) -> Result<()> {
        let metadata = download.metadata();
        let first = &self.plan.metadata;
        if metadata.etag != first.etag || metadata.size_bytes != first.size_bytes {
            let error = self.breaks.error(
                ErrorKind::PreconditionFailed,
                "the object changed while it was read",
            );
            return Err(error.with_help("read it again from its beginning"));
        }
        if download.range() != self.left {
            let (asked, got) = (&self.left, download.range());
            return Err(self.breaks.error(
                ErrorKind::Storage,
                format!(
                    "bytes {}..{} were asked for, and {}..{} answered",
                    asked.start, asked.end, got.start, got.end
                ),
            ));
        }
        Ok(())
    }
}

fn resume_list(entries: ListStream, options: Arc<ListOptions>, breaks: Breaks) -> ListStream {
    let lister = Box::new(Lister {
        inner: Some(entries),
        options,
        last: None,
        given: 0,
        breaks,
    });
    Box::pin(stream::unfold(lister, |mut lister| async move {
        let item = lister.next().await?;
        Some((item, lister))
    }))
}

/// A listing that goes on after its last name.
struct Lister {
    /// Gone at the end.
    inner: Option<ListStream>,
    options: Arc<ListOptions>,
    /// The last name that was given.
    last: Option<String>,
    given: usize,
    breaks: Breaks,
}

impl Lister {
    async fn next(&mut self) -> Option<Result<ListEntry>> {
        loop {
            let error = match self.inner.as_mut()?.next().await {
                Some(Ok(entry)) => return Some(self.take(entry)),
                None => {
                    self.inner = None;
                    return None;
                }
                Some(Err(error)) => error,
            };
            if self.options.limit.is_some_and(|limit| self.given >= limit) && error.retry().is_wanted() {
                self.inner = None;
                return None;
            }
            if let Err(error) = self.resume(error).await {
                self.inner = None;
                return Some(Err(error));
            }
        }
    }

    fn take(&mut self, entry: ListEntry) -> Result<ListEntry> {
        let name = entry.name();
        if let Some(last) = &mut self.last {
            // An entry twice, or one left out, would be a listing that only looks whole.
            if self.breaks.resumes > 0 && name <= last.as_str() {
                self.inner = None;
                return Err(self.breaks.error(
                    ErrorKind::Storage,
                    "the listing that was taken up again went back",
                ));
            }
            last.clear();
            last.push_str(name);
        } else {
            self.last = Some(name.to_owned());
        }
        self.given += 1;
        self.breaks.moved_on();
        Ok(entry)
    }

    async fn resume(&mut self, mut error: Error) -> Result<()> {
        loop {
            self.inner = None;
            // Without a name given there is nothing to go on after: the same listing begins anew.
            if self.last.is_some() && !self.breaks.next.capabilities().has(Capability::ListStartAfter) {
                return Err(error);
            }
            self.breaks.wait(error).await?;
            match self.reopen().await {
                Ok(entries) => {
                    self.inner = Some(entries);
                    return Ok(());
                }
                Err(again) => error = again,
            }
        }
    }

    async fn reopen(&mut self) -> Result<ListStream> {
        let mut options = ListOptions::clone(&self.options);
        if let Some(last) = &self.last {
            options.start_after = Some(last.clone());
            options.limit = options.limit.map(|limit| limit - self.given);
        }
        match self
            .breaks
            .run(Operation::List {
                options: Arc::new(options),
            })
            .await?
        {
            Outcome::List(entries) => Ok(entries),
            _ => Err(self.breaks.error(
                ErrorKind::Storage,
                "a layer answered a listing with another outcome",
            )),
        }
    }
}
