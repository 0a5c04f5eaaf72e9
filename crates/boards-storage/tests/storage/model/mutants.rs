//! The model must have teeth: layers and providers that break a promise are caught by it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use boards_storage::prelude::*;
use boards_storage::{
    BoxFuture, ByteStream, DeleteOutcome, DeletedKey, DownloadOptions, DownloadOutcome, Layer, Next,
    ObjectMetadata, Operation, Outcome, async_trait,
};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};

use super::objects::{self, Change, Layers};

/// A mutant must be caught within so many programs.
const PROGRAMS_MAX: u64 = 3000;

type Around = fn(Operation, Next, u64) -> BoxFuture<'static, Result<Outcome>>;

/// A layer that breaks a promise; it counts its calls.
struct Mutant {
    around: Around,
    calls: AtomicU64,
}

impl fmt::Debug for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutant")
    }
}

#[async_trait]
impl Layer for Mutant {
    fn name(&self) -> &'static str {
        "mutant"
    }

    async fn around(&self, operation: Operation, next: Next) -> Result<Outcome> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        (self.around)(operation, next, call).await
    }
}

fn mutant(around: Around) -> Arc<dyn Layer> {
    Arc::new(Mutant {
        around,
        calls: AtomicU64::new(0),
    })
}

/// Puts the mutant outermost.
fn outside(around: Around, mut layers: Layers) -> Layers {
    layers.insert(0, mutant(around));
    layers
}

/// Puts the mutant in the place of a layer.
fn instead_of(name: &str, around: Around, layers: Layers) -> Layers {
    let replace = |layer: Arc<dyn Layer>| {
        if layer.name() == name {
            mutant(around)
        } else {
            layer
        }
    };
    layers.into_iter().map(replace).collect()
}

macro_rules! above {
    ($put:expr) => {
        Change {
            above: $put,
            ..Change::NONE
        }
    };
}

macro_rules! below {
    ($around:expr) => {
        Change {
            below: || vec![mutant($around)],
            ..Change::NONE
        }
    };
}

/// What is broken, how, and a word of what the model says of it.
const MUTANTS: &[(&str, Change, &str)] = &[
    (
        "a layer that sends a spent stream again",
        above!(|layers| instead_of("retry", send_again, layers)),
        "spent stream",
    ),
    (
        "a layer that takes a failure for a success",
        above!(|layers| outside(hide_failures, layers)),
        "nothing explains",
    ),
    (
        "a layer that repeats a conditional write and believes the refusal",
        above!(|layers| instead_of("retry", repeat_and_believe, layers)),
        "nothing explains",
    ),
    (
        "a resume that mixes two versions",
        above!(|layers| instead_of("retry", resume_anything, layers)),
        "nothing explains",
    ),
    (
        "a resume that begins one byte too late",
        above!(|layers| outside(skip_a_byte, layers)),
        "",
    ),
    (
        "a listing that ends where it failed",
        above!(|layers| outside(end_listings, layers)),
        "nothing explains",
    ),
    (
        "a delete of many that does the first alone",
        above!(|layers| outside(all_deleted, layers)),
        "nothing explains",
    ),
    (
        "a layer that says 'absent' after its own lost delete",
        above!(|layers| outside(claim_absent, layers)),
        "nothing explains",
    ),
    (
        "a provider that loses an acknowledged write",
        below!(lose_writes),
        "nothing explains",
    ),
    (
        "a provider that forgets a delete",
        below!(forget_deletes),
        "nothing explains",
    ),
    (
        "a provider that drops attributes",
        below!(drop_attributes),
        "nothing explains",
    ),
    (
        "a provider that ignores conditions",
        below!(ignore_conditions),
        "nothing explains",
    ),
    (
        "a provider that completes an upload without effect",
        below!(complete_nothing),
        "nothing explains",
    ),
    (
        "a provider that answers the old object after an overwrite",
        below!(answer_old),
        "nothing explains",
    ),
];

/// Runs programs until one catches the mutant; answers how many it took, and what was said.
fn hunt(change: Change) -> Option<(u64, String)> {
    (0..PROGRAMS_MAX).find_map(|seed| objects::check(seed, change).err().map(|what| (seed + 1, what)))
}

#[test]
fn every_mutant_is_caught() {
    let mut uncaught = Vec::new();
    for (name, change, word) in MUTANTS {
        match hunt(*change) {
            Some((programs, what)) => {
                println!("{name}: caught by program {programs}");
                assert!(what.contains(word), "{name}: caught for another reason:\n{what}");
            }
            None => uncaught.push(*name),
        }
    }
    assert!(uncaught.is_empty(), "{uncaught:#?}");
}

/// Repeats whatever failed, content and all.
fn send_again(operation: Operation, next: Next, _: u64) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        match next.clone().run(operation.clone()).await {
            Err(error) if error.retry().is_wanted() => next.run(operation).await,
            answer => answer,
        }
    })
}

/// Repeats what can be repeated; what the last attempt says is the answer.
fn repeat_and_believe(operation: Operation, next: Next, _: u64) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        for _ in 0..3 {
            match next.clone().run(operation.clone()).await {
                Err(error)
                    if error.retry().is_wanted() && operation.content().is_none_or(Content::can_replay) => {}
                answer => return answer,
            }
        }
        next.run(operation).await
    })
}

fn hide_failures(operation: Operation, next: Next, _: u64) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        let (key, length) = match &operation {
            Operation::Upload { key, content, .. } => (key.clone(), content.length()),
            _ => return next.run(operation).await,
        };
        let attributes = match &operation {
            Operation::Upload { options, .. } => options.attributes.clone(),
            _ => boards_storage::ObjectAttributes::default(),
        };
        match (next.run(operation).await, length) {
            (Err(error), Some(length)) if error.kind() == ErrorKind::ProviderUnavailable => {
                let mut made = ObjectMetadata::new(key, length);
                made.attributes = attributes;
                Ok(Outcome::Upload(Box::new(made)))
            }
            (answer, _) => answer,
        }
    })
}

/// Goes on with a broken download at its offset, with whatever is there now.
fn resume_anything(operation: Operation, next: Next, call: u64) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        let Operation::Download { key, options } = operation else {
            return repeat_and_believe(operation, next, call).await;
        };
        if options.range.is_some() {
            return next.run(Operation::Download { key, options }).await;
        }
        let again = Arc::clone(&options);
        let name = key.clone();
        let first = next.clone().run(Operation::Download { key, options }).await?;
        let Outcome::Download(download) = first else {
            return Ok(first);
        };
        let object = match *download {
            DownloadOutcome::Object(object) => object,
            other => return Ok(Outcome::Download(Box::new(other))),
        };
        let size = object.length();
        let object = object.map_stream(move |inner| go_on(inner, size, name, again, next));
        Ok(Outcome::Download(Box::new(DownloadOutcome::Object(object))))
    })
}

fn go_on(
    inner: ByteStream,
    size: u64,
    key: StorageKey,
    options: Arc<DownloadOptions>,
    next: Next,
) -> ByteStream {
    Box::pin(stream::once(async move {
        let mut whole = BytesMut::new();
        let mut pieces = inner;
        for _ in 0..20 {
            while let Some(Ok(piece)) = pieces.next().await {
                whole.extend_from_slice(&piece);
            }
            if whole.len() as u64 >= size {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            let mut options = DownloadOptions::clone(&options);
            options.if_match = None;
            options.range = Some(ByteRange::from(whole.len() as u64..size));
            let operation = Operation::Download {
                key: key.clone(),
                options: Arc::new(options),
            };
            match next.clone().run(operation).await {
                Ok(Outcome::Download(download)) => pieces = download.into_object()?.into_stream(),
                Ok(_) | Err(_) => pieces = Box::pin(stream::empty()),
            }
        }
        Ok(whole.freeze())
    }))
}

/// Drops a byte in the middle and puts another at the end.
fn skip_a_byte(operation: Operation, next: Next, _: u64) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        Ok(match next.run(operation).await? {
            Outcome::Download(download) => Outcome::Download(Box::new(match *download {
                DownloadOutcome::Object(object) => DownloadOutcome::Object(object.map_stream(|inner| {
                    Box::pin(inner.enumerate().map(|(number, piece)| match piece {
                        Ok(piece) if number == 1 => Ok(Bytes::from([&piece[1..], &piece[..1]].concat())),
                        other => other,
                    }))
                })),
                other => other,
            })),
            other => other,
        })
    })
}

fn end_listings(operation: Operation, next: Next, _: u64) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        let is_list = matches!(operation, Operation::List { .. });
        match next.run(operation).await {
            Ok(Outcome::List(entries)) => Ok(Outcome::List(Box::pin(
                entries.take_while(|entry| std::future::ready(entry.is_ok())),
            ))),
            Err(_) if is_list => Ok(Outcome::List(Box::pin(stream::empty()))),
            answer => answer,
        }
    })
}

fn all_deleted(mut operation: Operation, next: Next, _: u64) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        let mut asked: Arc<[StorageKey]> = Arc::from([]);
        if let Operation::DeleteMany { keys, .. } = &mut operation {
            let first = keys.iter().take(1).cloned().collect();
            asked = std::mem::replace(keys, first);
        }
        Ok(match next.run(operation).await? {
            Outcome::DeleteMany(mut deleted) => {
                deleted.extend(asked.iter().skip(1).map(|key| DeletedKey {
                    key: key.clone(),
                    outcome: Ok(DeleteOutcome::Unknown),
                }));
                Outcome::DeleteMany(deleted)
            }
            other => other,
        })
    })
}

fn claim_absent(operation: Operation, next: Next, _: u64) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        Ok(match next.run(operation).await? {
            Outcome::Delete(DeleteOutcome::Unknown) => Outcome::Delete(DeleteOutcome::Absent),
            other => other,
        })
    })
}

/// One write in eight is answered and not made.
fn lose_writes(operation: Operation, next: Next, call: u64) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        let Operation::Upload {
            key,
            content,
            options,
        } = &operation
        else {
            return next.run(operation).await;
        };
        if call % 8 != 7 {
            return next.run(operation).await;
        }
        let bytes = content.collect(1 << 20).await?;
        let mut made = ObjectMetadata::new(key.clone(), bytes.len() as u64);
        made.attributes = options.attributes.clone();
        made.write_id = options.write_id;
        Ok(Outcome::Upload(Box::new(made)))
    })
}

fn forget_deletes(operation: Operation, next: Next, call: u64) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        match operation {
            Operation::Delete { .. } if call.is_multiple_of(3) => Ok(Outcome::Delete(DeleteOutcome::Unknown)),
            other => next.run(other).await,
        }
    })
}

fn drop_attributes(mut operation: Operation, next: Next, call: u64) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        let mut given = None;
        if let Operation::Upload { options, .. } = &mut operation
            && call.is_multiple_of(5)
        {
            given = Some(std::mem::take(&mut Arc::make_mut(options).attributes));
        }
        Ok(match next.run(operation).await? {
            Outcome::Upload(mut made) => {
                if let Some(given) = given {
                    made.attributes = given;
                }
                Outcome::Upload(made)
            }
            other => other,
        })
    })
}

fn ignore_conditions(mut operation: Operation, next: Next, _: u64) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        if let Operation::Upload { options, .. } = &mut operation {
            Arc::make_mut(options).precondition = boards_storage::Precondition::None;
        }
        next.run(operation).await
    })
}

fn complete_nothing(operation: Operation, next: Next, call: u64) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        match operation {
            Operation::CompleteUpload { upload, parts, .. } if call.is_multiple_of(2) => {
                let size = parts.iter().map(|part| part.size_bytes).sum();
                let list = Operation::Metadata {
                    key: upload.key.clone(),
                    options: Arc::default(),
                };
                // Looks alive, and does nothing.
                let _ = next.run(list).await;
                let mut made = ObjectMetadata::new(upload.key.clone(), size);
                made.write_id = upload.write_id;
                Ok(Outcome::CompleteUpload(Box::new(made)))
            }
            other => next.run(other).await,
        }
    })
}

/// Answers a read by the version before, now and then.
fn answer_old(mut operation: Operation, next: Next, call: u64) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        if let Operation::Download { key, options } = &mut operation
            && call.is_multiple_of(2)
        {
            let look = Operation::Metadata {
                key: key.clone(),
                options: Arc::default(),
            };
            if let Ok(Outcome::Metadata(present)) = next.clone().run(look).await
                && let Some(number) = present
                    .version
                    .as_deref()
                    .and_then(|version| version.strip_prefix('v'))
                && let Ok(number) = number.parse::<u64>()
            {
                // The version before of this key, if it is the very one before.
                let mut older = DownloadOptions::clone(options);
                older.version = Some(format!("v{}", number - 1));
                older.if_match = None;
                let old = Operation::Download {
                    key: key.clone(),
                    options: Arc::new(older),
                };
                if let Ok(answer) = next.clone().run(old).await {
                    return Ok(answer);
                }
            }
        }
        next.run(operation).await
    })
}
