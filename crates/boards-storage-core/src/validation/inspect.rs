//! Content on its way through a validator and a scanner.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use futures_util::StreamExt;

use super::HEAD_SIZE_BYTES;
use super::scan::{ScanMode, ScanPolicy, SharedScanner};
use super::tee::{Tee, Teed};
use super::verdict::{
    ContentCheck, ContentFacts, ContentVerdict, Findings, Reason, ReasonKind, SharedValidator, Validation,
};
use crate::content::{ByteStream, Content};
use crate::error::{Error, ErrorKind, Result};

/// How much of bytes in memory is judged at a time.
const SLICE_SIZE_BYTES: usize = 256 * 1024;

/// The one policy on every way in: a validator, a scanner, or both.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{ArtifactType, Content, Inspector, Result, SharedValidator, Validation};
///
/// async fn check(validator: SharedValidator, content: Content) -> Result<Content> {
///     let inspector = Inspector::default().with_validator(validator);
///     let inspected = inspector.inspect_content(&Validation::new(ArtifactType::Image), content).await?;
///     if let Some(reason) = inspected.head().verdict.reason() {
///         return Err(reason.to_error());
///     }
///     Ok(inspected.content())
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Inspector {
    validator: Option<SharedValidator>,
    scanner: Option<SharedScanner>,
    policy: ScanPolicy,
}

impl Inspector {
    /// Adds a validator.
    #[must_use]
    pub fn with_validator(mut self, validator: SharedValidator) -> Self {
        self.validator = Some(validator);
        self
    }

    /// Adds a scanner, and what is done with its answers.
    #[must_use]
    pub fn with_scanner(mut self, scanner: SharedScanner, policy: ScanPolicy) -> Self {
        self.scanner = Some(scanner);
        self.policy = policy;
        self
    }

    /// Returns the scanner, if there is one.
    #[must_use]
    pub fn scanner(&self) -> Option<&SharedScanner> {
        self.scanner.as_ref()
    }

    /// Returns what is done with the scanner's answers.
    #[must_use]
    pub fn scan_policy(&self) -> ScanPolicy {
        self.policy
    }

    /// Returns the same inspector without its scanner's part: for content that a scan released.
    #[must_use]
    pub fn without_scanner(&self) -> Self {
        Self {
            validator: self.validator.clone(),
            scanner: None,
            policy: ScanPolicy::default(),
        }
    }

    /// Judges the first bytes: all that there are if `is_whole`. For direct uploads, whose bytes are read afterwards.
    #[must_use]
    pub fn inspect_head(&self, validation: &Validation, head: &[u8], is_whole: bool) -> Findings {
        let Some(mut check) = self
            .validator
            .as_ref()
            .map(|validator| validator.start(validation))
        else {
            return Findings::new(self.foresee(validation), ContentFacts::default());
        };
        let is_whole = is_whole && head.len() <= HEAD_SIZE_BYTES;
        let head = &head[..head.len().min(HEAD_SIZE_BYTES)];
        let verdict = check.head(head, is_whole).and(self.foresee(validation));
        let facts = check.finish().facts;
        Findings::new(
            verdict,
            ContentFacts {
                size_bytes: None,
                ..facts
            },
        )
    }

    /// The verdict of the scan before anything was read: content that is scanned later waits for that, and what is too
    /// large for the scanner is not scanned.
    fn foresee(&self, validation: &Validation) -> ContentVerdict {
        let Some(scanner) = &self.scanner else {
            return ContentVerdict::Accepted;
        };
        match (self.policy.mode, too_large_for(scanner, validation)) {
            (ScanMode::Off, _) | (ScanMode::BeforeAvailable, None) => ContentVerdict::Accepted,
            (ScanMode::BeforeAvailable, Some(error)) => self.policy.decide(&Err(error)),
            (ScanMode::Later, _) => {
                let message = "the content waits for the scan for malware";
                let reason = Reason::new(ReasonKind::ScanPending, message);
                ContentVerdict::Quarantined { reason }
            }
        }
    }

    /// Reads the head and judges it; the rest is judged while [`Inspected::content`] flows.
    ///
    /// Bytes are judged whole, at once, and stay plain bytes. Replayable content stays replayable: each opening is
    /// judged anew. A one-shot stream is begun, and goes on behind its head.
    ///
    /// # Errors
    ///
    /// What the content answers when it is read.
    pub async fn inspect_content(&self, validation: &Validation, content: Content) -> Result<Inspected> {
        let mut validation = validation.clone();
        validation.length = content.length().or(validation.length);
        let end = End::default();
        if let Some(bytes) = content.as_bytes() {
            let head = self.inspect_bytes(&validation, bytes).await?;
            end.set(Some(head.clone()));
            return Ok(Inspected {
                content,
                head,
                end,
                is_whole: true,
            });
        }
        let (head, is_whole, content) = read_head(content).await?;
        let head = self.inspect_head(&validation, &head, is_whole);
        let (inspector, slot) = (self.clone(), end.clone());
        let content = content.map_stream(move |inner| {
            slot.set(None);
            Box::pin(inspector.inspect_into(&validation, inner, slot.clone()))
        });
        Ok(Inspected {
            content,
            head,
            end,
            is_whole: false,
        })
    }

    /// Judges bytes, a slice at a time, so that other tasks have their turn.
    async fn inspect_bytes(&self, validation: &Validation, bytes: &Bytes) -> Result<Findings> {
        let slices: Vec<Result<Bytes>> = (0..bytes.len())
            .step_by(SLICE_SIZE_BYTES)
            .map(|start| Ok(bytes.slice(start..bytes.len().min(start + SLICE_SIZE_BYTES))))
            .collect();
        let mut stream = self.inspect_stream(validation, Box::pin(futures_util::stream::iter(slices)));
        while let Some(slice) = stream.next().await {
            if let (Err(error), None) = (slice, stream.findings()) {
                return Err(error);
            }
            tokio::task::yield_now().await;
        }
        stream
            .findings()
            .ok_or_else(|| Error::new(ErrorKind::Storage, "the content was not judged to its end"))
    }

    /// Judges a stream while it flows. What is rejected ends with `Rejected` as soon as it is known; what is quarantined
    /// flows on to its end.
    ///
    /// # Examples
    ///
    /// ```
    /// use boards_storage_core::{ArtifactType, ByteStream, Inspector, Validation};
    ///
    /// fn checked(inspector: &Inspector, stream: ByteStream) -> ByteStream {
    ///     Box::pin(inspector.inspect_stream(&Validation::new(ArtifactType::Image), stream))
    /// }
    /// ```
    #[must_use]
    pub fn inspect_stream(&self, validation: &Validation, stream: ByteStream) -> InspectedStream {
        self.inspect_into(validation, stream, End::default())
    }

    fn inspect_into(&self, validation: &Validation, stream: ByteStream, end: End) -> InspectedStream {
        let scanner = self.scanner.clone().filter(|scanner| {
            self.policy.mode == ScanMode::BeforeAvailable && too_large_for(scanner, validation).is_none()
        });
        let source = match scanner {
            Some(scanner) => Source::Scanned(Box::new(Tee::new(scanner, stream))),
            None => Source::Plain(stream),
        };
        InspectedStream {
            source,
            check: self
                .validator
                .as_ref()
                .map(|validator| validator.start(validation)),
            policy: self.policy,
            head: BytesMut::new(),
            phase: Phase::Head,
            pending: None,
            verdict: self.foresee(validation),
            size_bytes: 0,
            end,
        }
    }
}

/// Says that content is known to be larger than the scanner takes.
fn too_large_for(scanner: &SharedScanner, validation: &Validation) -> Option<Error> {
    let (max, length) = (scanner.size_bytes_max()?, validation.length?);
    (length > max).then(|| {
        let name = scanner.name();
        Error::invalid_input(format!("{name} takes no content of more than {max} bytes"))
    })
}

/// Reads the head of content that is not plain bytes, and returns the content as it was before.
async fn read_head(content: Content) -> Result<(Bytes, bool, Content)> {
    let mut stream = content.open().await?;
    let mut pieces: Vec<Bytes> = Vec::new();
    let (mut total, mut is_whole) = (0, false);
    while total < HEAD_SIZE_BYTES {
        let Some(piece) = stream.next().await.transpose()? else {
            is_whole = true;
            break;
        };
        total += piece.len();
        pieces.push(piece);
    }
    let mut head = BytesMut::with_capacity(total.min(HEAD_SIZE_BYTES));
    for piece in &pieces {
        let wanted = HEAD_SIZE_BYTES - head.len();
        head.extend_from_slice(&piece[..piece.len().min(wanted)]);
    }
    let is_whole = is_whole && total <= HEAD_SIZE_BYTES;
    if content.is_replayable() {
        return Ok((head.freeze(), is_whole, content));
    }
    let begun = futures_util::stream::iter(pieces.into_iter().map(Ok)).chain(stream);
    let rest = Content::from_stream(content.length(), begun);
    Ok((head.freeze(), is_whole, rest))
}

/// Where the findings at the end of an opening are left.
#[derive(Clone, Debug, Default)]
struct End(Arc<Mutex<Option<Findings>>>);

impl End {
    fn set(&self, findings: Option<Findings>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = findings;
    }

    fn get(&self) -> Option<Findings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Content whose head was judged. The rest is judged while it flows.
#[derive(Clone, Debug)]
pub struct Inspected {
    content: Content,
    head: Findings,
    end: End,
    is_whole: bool,
}

impl Inspected {
    /// Returns the content to upload.
    #[must_use]
    pub fn content(&self) -> Content {
        self.content.clone()
    }

    /// Returns what was found in the head; in everything, if the content is plain bytes.
    #[must_use]
    pub fn head(&self) -> &Findings {
        &self.head
    }

    /// Returns whether everything was judged already: the content is plain bytes.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        self.is_whole
    }

    /// Returns what was found in the opening that was read to its end last, or refused; `None` before.
    #[must_use]
    pub fn findings(&self) -> Option<Findings> {
        self.end.get()
    }

    /// Returns the verdict at the end: `None` until a stream has ended.
    #[must_use]
    pub fn verdict(&self) -> Option<ContentVerdict> {
        self.end.get().map(|findings| findings.verdict)
    }
}

enum Source {
    Plain(ByteStream),
    Scanned(Box<Tee>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The head is gathered.
    Head,
    /// The pieces pass.
    Body,
    /// Everything was said.
    Done,
}

/// A stream that is judged while it flows. Nothing comes out before the head was judged.
pub struct InspectedStream {
    source: Source,
    check: Option<Box<dyn ContentCheck>>,
    policy: ScanPolicy,
    head: BytesMut,
    phase: Phase,
    /// What came behind the head, and waits until the head is out.
    pending: Option<Bytes>,
    verdict: ContentVerdict,
    size_bytes: u64,
    end: End,
}

impl InspectedStream {
    /// Returns what was found, once the stream has ended.
    #[must_use]
    pub fn findings(&self) -> Option<Findings> {
        self.end.get()
    }

    /// Takes a verdict. The first refusal stands, but a rejection is more than a quarantine.
    fn note(&mut self, verdict: ContentVerdict) -> Result<()> {
        let replaces = match (&self.verdict, &verdict) {
            (ContentVerdict::Accepted, _) => true,
            (ContentVerdict::Quarantined { .. }, ContentVerdict::Rejected { .. }) => true,
            // What waits for a scan is told only if nothing worse is known.
            (ContentVerdict::Quarantined { reason }, ContentVerdict::Quarantined { .. }) => {
                reason.kind == ReasonKind::ScanPending
            }
            _ => false,
        };
        if replaces {
            self.verdict = verdict;
        }
        match &self.verdict {
            ContentVerdict::Rejected { reason } => {
                let error = reason.to_error();
                self.conclude();
                Err(error)
            }
            ContentVerdict::Accepted | ContentVerdict::Quarantined { .. } => Ok(()),
        }
    }

    fn conclude(&mut self) {
        self.phase = Phase::Done;
        let facts = self.check.take().map(|mut check| check.finish().facts);
        let facts = ContentFacts {
            size_bytes: Some(self.size_bytes),
            ..facts.unwrap_or_default()
        };
        self.end.set(Some(Findings::new(self.verdict.clone(), facts)));
    }

    /// Judges the head, and lets it out.
    fn pass_head(&mut self, is_whole: bool) -> Result<Option<Bytes>> {
        self.phase = Phase::Body;
        let all = std::mem::take(&mut self.head).freeze();
        let head = &all[..all.len().min(HEAD_SIZE_BYTES)];
        let is_whole = is_whole && all.len() <= HEAD_SIZE_BYTES;
        if let Some(check) = &mut self.check {
            let verdict = check.head(head, is_whole);
            self.note(verdict)?;
        }
        if all.is_empty() {
            return Ok(None);
        }
        self.pass(all).map(Some)
    }

    fn pass(&mut self, piece: Bytes) -> Result<Bytes> {
        self.size_bytes += piece.len() as u64;
        if let Some(check) = &mut self.check {
            let verdict = check.update(&piece);
            self.note(verdict)?;
        }
        Ok(piece)
    }

    fn finish(&mut self, scanned: ContentVerdict) -> Result<()> {
        // Malware is worse news than a broken header.
        self.note(scanned)?;
        if let Some(check) = &mut self.check {
            let findings = check.finish();
            self.note(findings.verdict)?;
        }
        self.conclude();
        Ok(())
    }
}

impl Stream for InspectedStream {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if this.phase == Phase::Done {
                return Poll::Ready(None);
            }
            if let ContentVerdict::Rejected { reason } = &this.verdict {
                let error = reason.to_error();
                this.conclude();
                return Poll::Ready(Some(Err(error)));
            }
            if let Some(piece) = this.pending.take() {
                return Poll::Ready(Some(this.pass(piece)));
            }
            let next = match &mut this.source {
                Source::Plain(stream) => match std::task::ready!(stream.as_mut().poll_next(context)) {
                    Some(piece) => Ok(piece),
                    None => Err(ContentVerdict::Accepted),
                },
                Source::Scanned(tee) => match std::task::ready!(tee.poll_teed(context)) {
                    Teed::Piece(piece) => Ok(piece),
                    Teed::End(outcome) => Err(this.policy.decide(&outcome)),
                },
            };
            match next {
                Ok(Err(error)) => {
                    this.phase = Phase::Done;
                    return Poll::Ready(Some(Err(error)));
                }
                Ok(Ok(piece)) if this.phase == Phase::Head => {
                    if this.head.is_empty() && piece.len() >= HEAD_SIZE_BYTES {
                        this.head = BytesMut::from(&piece[..HEAD_SIZE_BYTES]);
                        this.pending = Some(piece.slice(HEAD_SIZE_BYTES..)).filter(|rest| !rest.is_empty());
                    } else {
                        this.head.extend_from_slice(&piece);
                    }
                    if this.head.len() >= HEAD_SIZE_BYTES {
                        return Poll::Ready(this.pass_head(false).transpose());
                    }
                }
                Ok(Ok(piece)) => return Poll::Ready(Some(this.pass(piece))),
                Err(scanned) => {
                    let head = if this.phase == Phase::Head {
                        this.pass_head(true)
                    } else {
                        Ok(None)
                    };
                    let ended = head.and_then(|head| this.finish(scanned).map(|()| head));
                    return Poll::Ready(ended.transpose());
                }
            }
        }
    }
}

impl fmt::Debug for InspectedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InspectedStream")
            .field("verdict", &self.verdict)
            .field("size_bytes", &self.size_bytes)
            .finish_non_exhaustive()
    }
}
