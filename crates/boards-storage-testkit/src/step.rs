//! What can be done to one call, by a script or by chance.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use boards_storage_core::{
    ByteStream, Content, DeletedKey, Download, DownloadOutcome, Error, Next, ObjectMetadata, Operation,
    Outcome, Result, StorageKey,
};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};

use crate::late::LateListing;

/// What happens to one call.
pub enum Step {
    /// It goes through.
    Pass,
    /// It fails before anything reaches the store.
    FailBefore(Error),
    /// It fails after the store has done it: the answer is lost.
    FailAfter(Error),
    /// It fails after this many bytes of its content were read; without content, at once. The store gets nothing.
    FailMidway(u64, Error),
    /// It goes through, but the stream that it returns gives this many bytes, or entries of a listing, and then the
    /// error. An outcome without a stream goes through.
    BreakStream(u64, Error),
    /// It goes through, but the stream that it returns gives this many bytes or entries and then nothing, ever.
    StallStream(u64),
    /// It never answers, and nothing reaches the store.
    Stall,
    /// It never answers, but the store has done it.
    StallAfter,
    /// It waits so long by tokio's clock, then it goes through.
    Delay(Duration),
    /// It is answered so, and nothing reaches the store.
    Answer(Outcome),
    /// Of a `delete_many`, the keys with these indices fail, each before or after the store has done it. Anything
    /// else goes through.
    FailKeys(BTreeMap<usize, KeyFault>),
    /// It goes through, but the stream that it returns ends after so many bytes or entries, as if it were whole: what
    /// no store may do.
    TruncateStream(u64),
    /// It goes through, but one bit of this byte of the download is wrong: what no store may do.
    FlipBit(u64),
    /// It goes through, but the answer claims so many bytes more, or fewer, than there are: what no store may do.
    WrongLength(i64),
    /// It goes through, but the listing does not know the latest writes and deletes yet: what no store may do.
    LateList(LateListing),
}

/// How one key of a `delete_many` fails.
#[derive(Debug)]
pub enum KeyFault {
    /// Nothing is done to it.
    Before(Error),
    /// It is gone, and the answer says otherwise.
    After(Error),
}

impl Step {
    /// Returns the step's name, such as `fail_before`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::FailBefore(_) => "fail_before",
            Self::FailAfter(_) => "fail_after",
            Self::FailMidway(..) => "fail_midway",
            Self::BreakStream(..) => "break_stream",
            Self::StallStream(_) => "stall_stream",
            Self::Stall => "stall",
            Self::StallAfter => "stall_after",
            Self::Delay(_) => "delay",
            Self::Answer(_) => "answer",
            Self::FailKeys(_) => "fail_keys",
            Self::TruncateStream(_) => "truncate_stream",
            Self::FlipBit(_) => "flip_bit",
            Self::WrongLength(_) => "wrong_length",
            Self::LateList(_) => "late_list",
        }
    }

    /// Does to the call what the step says.
    pub(crate) async fn run(self, operation: Operation, next: Next) -> Result<Outcome> {
        match self {
            Self::Pass => next.run(operation).await,
            Self::FailBefore(error) => Err(error),
            Self::FailAfter(error) => {
                next.run(operation).await?;
                Err(error)
            }
            Self::FailMidway(bytes, error) => {
                if let Some(content) = operation.content() {
                    read_some(content, bytes).await?;
                }
                Err(error)
            }
            Self::Stall => std::future::pending().await,
            Self::StallAfter => {
                next.run(operation).await?;
                std::future::pending().await
            }
            Self::Delay(time) => {
                tokio::time::sleep(time).await;
                next.run(operation).await
            }
            Self::Answer(outcome) => Ok(outcome),
            Self::FailKeys(faults) => fail_keys(faults, operation, next).await,
            Self::LateList(late) => late.run(operation, next).await,
            step @ (Self::BreakStream(..)
            | Self::StallStream(_)
            | Self::TruncateStream(_)
            | Self::FlipBit(_)
            | Self::WrongLength(_)) => Ok(step.change(next.run(operation).await?)),
        }
    }

    /// Does to an answer what the step says; one that is not about the answer changes nothing.
    pub(crate) fn change(self, outcome: Outcome) -> Outcome {
        match self {
            Self::BreakStream(after, error) => cut(outcome, after, End::Error(error)),
            Self::StallStream(after) => cut(outcome, after, End::Never),
            Self::TruncateStream(after) => cut(outcome, after, End::Whole),
            Self::FlipBit(position) => map_bytes(outcome, |inner| flip(inner, position)),
            Self::WrongLength(by) => lie(outcome, by),
            Self::Pass
            | Self::FailBefore(_)
            | Self::FailAfter(_)
            | Self::FailMidway(..)
            | Self::Stall
            | Self::StallAfter
            | Self::Delay(_)
            | Self::Answer(_)
            | Self::FailKeys(_)
            | Self::LateList(_) => outcome,
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

async fn read_some(content: &Content, bytes: u64) -> Result<()> {
    let mut pieces = content.open().await?;
    let mut seen = 0;
    while seen < bytes
        && let Some(piece) = pieces.next().await.transpose()?
    {
        seen += piece.len() as u64;
    }
    Ok(())
}

async fn fail_keys(
    mut faults: BTreeMap<usize, KeyFault>,
    operation: Operation,
    next: Next,
) -> Result<Outcome> {
    let Operation::DeleteMany { keys, options } = operation else {
        return next.run(operation).await;
    };
    let is_sent = |(index, _): &(usize, &StorageKey)| !matches!(faults.get(index), Some(KeyFault::Before(_)));
    let sent: Vec<StorageKey> = keys
        .iter()
        .enumerate()
        .filter(is_sent)
        .map(|(_, key)| key.clone())
        .collect();
    let mut answered = Vec::new().into_iter();
    if !sent.is_empty() {
        let operation = Operation::DeleteMany {
            keys: sent.into(),
            options,
        };
        match next.run(operation).await? {
            Outcome::DeleteMany(deleted) => answered = deleted.into_iter(),
            other => return Ok(other),
        }
    }
    let mut all = Vec::with_capacity(keys.len());
    for (index, key) in keys.iter().enumerate() {
        let key = key.clone();
        match faults.remove(&index) {
            Some(KeyFault::Before(error)) => all.push(DeletedKey {
                key,
                outcome: Err(error),
            }),
            Some(KeyFault::After(error)) => {
                let _lost = answered.next();
                all.push(DeletedKey {
                    key,
                    outcome: Err(error),
                });
            }
            None => all.extend(answered.next()),
        }
    }
    Ok(Outcome::DeleteMany(all))
}

/// How a stream ends that is cut.
enum End {
    Error(Error),
    Never,
    Whole,
}

impl End {
    fn stream<T: Send + 'static>(self) -> impl stream::Stream<Item = Result<T>> + Send + 'static {
        stream::once(async move {
            match self {
                Self::Error(error) => Some(Err(error)),
                Self::Never => std::future::pending().await,
                Self::Whole => None,
            }
        })
        .filter_map(std::future::ready)
    }
}

/// Ends the stream of an outcome after so many bytes or entries.
fn cut(outcome: Outcome, after: u64, end: End) -> Outcome {
    match outcome {
        Outcome::List(entries) => {
            let after = usize::try_from(after).unwrap_or(usize::MAX);
            Outcome::List(Box::pin(entries.take(after).chain(end.stream())))
        }
        other => map_bytes(other, |inner| cut_bytes(inner, after, end)),
    }
}

/// Passes the bytes of a download through `mapping`; any other outcome stays.
fn map_bytes(outcome: Outcome, mapping: impl FnOnce(ByteStream) -> ByteStream) -> Outcome {
    let Outcome::Download(download) = outcome else {
        return outcome;
    };
    Outcome::Download(Box::new(match *download {
        DownloadOutcome::Object(object) => DownloadOutcome::Object(object.map_stream(mapping)),
        DownloadOutcome::NotModified(answer) => DownloadOutcome::NotModified(answer),
    }))
}

fn cut_bytes(inner: ByteStream, after: u64, end: End) -> ByteStream {
    let head = inner.scan(after, |left, piece| {
        let shown = match piece {
            Ok(_) if *left == 0 => None,
            Ok(mut piece) => {
                piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= piece.len() as u64;
                Some(Ok(piece))
            }
            Err(error) => Some(Err(error)),
        };
        std::future::ready(shown)
    });
    Box::pin(head.chain(end.stream()))
}

fn flip(inner: ByteStream, position: u64) -> ByteStream {
    let mut seen = 0;
    Box::pin(inner.map(move |piece: Result<Bytes>| {
        let piece = piece?;
        let start = seen;
        seen += piece.len() as u64;
        if !(start..seen).contains(&position) {
            return Ok(piece);
        }
        let mut wrong = BytesMut::from(&piece[..]);
        let index = usize::try_from(position - start).expect("within the piece");
        wrong[index] ^= 1;
        Ok(wrong.freeze())
    }))
}

/// Lets an answer claim another size.
fn lie(outcome: Outcome, by: i64) -> Outcome {
    let wrong = |size: u64| size.saturating_add_signed(by);
    let about = |mut metadata: Box<ObjectMetadata>| {
        metadata.size_bytes = wrong(metadata.size_bytes);
        metadata
    };
    match outcome {
        Outcome::Upload(metadata) => Outcome::Upload(about(metadata)),
        Outcome::Metadata(metadata) => Outcome::Metadata(about(metadata)),
        Outcome::Copy(metadata) => Outcome::Copy(about(metadata)),
        Outcome::SetMetadata(metadata) => Outcome::SetMetadata(about(metadata)),
        Outcome::CompleteUpload(metadata) => Outcome::CompleteUpload(about(metadata)),
        Outcome::UploadPart(mut part) => {
            part.size_bytes = wrong(part.size_bytes);
            Outcome::UploadPart(part)
        }
        Outcome::Download(download) => Outcome::Download(Box::new(match *download {
            DownloadOutcome::Object(object) => DownloadOutcome::Object(lie_about_download(object, by)),
            other @ DownloadOutcome::NotModified(_) => other,
        })),
        other => other,
    }
}

fn lie_about_download(object: Download, by: i64) -> Download {
    let mut metadata = ObjectMetadata::clone(object.metadata());
    let mut range = object.range();
    metadata.size_bytes = metadata.size_bytes.saturating_add_signed(by);
    range.end = range.end.saturating_add_signed(by).max(range.start);
    Download::from_stream(metadata, range, object.into_stream())
}
