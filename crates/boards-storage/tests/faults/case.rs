//! One operation, one fault: what the bare provider says, what the layers make of it, and what the store has then.

use std::fmt;
use std::time::Duration;

use boards_storage::prelude::*;
use boards_storage::{
    CallOptions, CompleteUploadOptions, CopyOptions, CreateUploadOptions, DeleteOptions, DeleteOutcome,
    ListOptions, MultipartUpload, PartPlace, Precondition, StorageProvider, UploadOptions, UploadPartOptions,
    WriteId,
};
use boards_storage_testkit::proxy::Fault;
use bytes::Bytes;
use futures_util::TryStreamExt as _;

use crate::Config;
use crate::store::{At, Store};
use crate::world::{World, bytes, key, read};

/// What is done while the fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// Replaces an object in one request.
    Put,
    /// Makes an object in one request, if there is none.
    PutIfAbsent,
    /// Replaces an object in one call that takes several requests.
    PutLong,
    /// Replaces an object in parts, call by call, under a name for the write.
    Parts,
    /// The same without a name.
    PartsUnnamed,
    Get,
    Head,
    Delete,
    DeleteMany,
    List,
    Copy,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Done,
    /// It fails so, and a repeat may help.
    Fails(ErrorKind),
}

pub(crate) struct Case {
    does: Does,
    at: At,
    fault: Fault,
    bare: Expected,
    layered: Expected,
    /// How many uploads in parts stay behind at most, where nobody can know of them.
    unfinished_max: usize,
}

impl Case {
    /// A fault that the layers overcome.
    pub(crate) fn new(does: Does, at: At, fault: impl Into<Fault>, bare: Expected) -> Self {
        Self {
            does,
            at,
            fault: fault.into(),
            bare,
            layered: Expected::Done,
            unfinished_max: 0,
        }
    }

    /// Sets what the layers make of it.
    pub(crate) fn layered(mut self, expected: Expected) -> Self {
        self.layered = expected;
        self
    }

    /// Says that an upload whose id nobody heard of may stay.
    pub(crate) fn may_leave_an_upload(mut self) -> Self {
        self.unfinished_max = 1;
        self
    }
}

impl fmt::Display for Case {
    /// Writes the name of the test, a statement without spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (does, at) = (in_snake_case(self.does), in_snake_case(self.at));
        write!(f, "{does}_meets_")?;
        match &self.fault {
            Fault::Delay(_) => f.write_str("a_delay"),
            Fault::Answer(answer) => {
                let body = std::str::from_utf8(&answer.body).unwrap_or_default();
                let code = body
                    .split_once("<Code>")
                    .and_then(|(_, rest)| rest.split('<').next());
                let said = code.map_or_else(
                    || if body.is_empty() { "nothing" } else { "an_error" }.into(),
                    in_snake_case,
                );
                write!(f, "{}_and_{said}", answer.status)
            }
            Fault::ResetRequest { after_bytes } => write!(f, "a_reset_after_sending_{after_bytes}"),
            Fault::ResetResponse { after_bytes } => write!(f, "a_reset_after_receiving_{after_bytes}"),
            Fault::TruncateResponse { after_bytes } => write!(f, "the_end_after_receiving_{after_bytes}"),
            Fault::StallResponse { after_bytes, .. } => write!(f, "a_stall_after_receiving_{after_bytes}"),
            Fault::LoseAnswer => f.write_str("a_lost_answer"),
        }?;
        write!(f, "_at_{at}")
    }
}

/// Writes a name of several words with underscores between them.
fn in_snake_case(name: impl fmt::Debug) -> String {
    let mut text = String::new();
    for letter in format!("{name:?}")
        .chars()
        .filter(|letter| letter.is_alphanumeric())
    {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// Runs a case over the bare provider and over the layers.
pub(crate) async fn check(store: Store, config: Config, case: &Case) {
    let world = World::open(store, config).await;
    let (bare, layered) = (world.bare.clone(), world.layered());
    check_one(&world, &*bare, case, case.bare, "bare").await;
    check_one(&world, &*layered, case, case.layered, "layered").await;
}

async fn check_one(
    world: &World,
    provider: &dyn StorageProvider,
    case: &Case,
    expected: Expected,
    way: &str,
) {
    let stage = Stage::prepare(world, case.does, way).await;
    let faults = world.proxy.totals().faults;
    let unfinished_before = world.unfinished().await;
    world
        .proxy
        .inject(world.rule(case.does, case.at, case.fault.clone()));
    let outcome = stage.run(world, provider).await;
    assert_eq!(
        (world.proxy.rules_left(), world.proxy.totals().faults),
        (0, faults + 1),
        "{way}: the fault took effect: {outcome:?}"
    );
    match (expected, &outcome) {
        (Expected::Done, outcome) => assert!(outcome.is_ok(), "{way}: {outcome:?}"),
        (Expected::Fails(kind), Err(error)) => {
            assert_eq!(
                (error.kind(), error.retry().is_wanted()),
                (kind, true),
                "{way}: {error:?}"
            );
            // A stream's errors are located by the layers.
            let is_located = error.provider().is_some() && error.operation().is_some();
            assert!(is_located || case.does == Does::Get, "{error:?}");
        }
        (Expected::Fails(_), Ok(())) => panic!("{way}: taken as a success"),
    }
    stage.check_after(world, outcome.is_ok(), way).await;
    let unfinished = world.unfinished().await - unfinished_before;
    assert!(
        unfinished <= case.unfinished_max,
        "{way}: {unfinished} uploads left"
    );
}

/// The objects of one run.
struct Stage {
    does: Does,
    key: StorageKey,
    /// What an object is copied from.
    source: StorageKey,
    old: Option<Bytes>,
    new: Bytes,
}

impl Stage {
    async fn prepare(world: &World, does: Does, way: &str) -> Self {
        let old = (does != Does::PutIfAbsent).then(|| bytes(1, 70_000));
        let size = match does {
            Does::PutLong | Does::Parts | Does::PartsUnnamed => 2 * world.part_bytes() + 100_000,
            _ => 200_000,
        };
        let stage = Self {
            does,
            key: key(&format!("{way}/object")),
            source: key(&format!("{way}/source")),
            old,
            new: bytes(7, size),
        };
        if let Some(old) = &stage.old {
            world.store(&stage.key, old).await;
        }
        if does == Does::Copy {
            world.store(&stage.source, &stage.new).await;
        }
        stage
    }

    async fn run(&self, world: &World, provider: &dyn StorageProvider) -> Result<()> {
        let put = UploadOptions::default();
        let keys = std::slice::from_ref(&self.key);
        match self.does {
            Does::Put | Does::PutLong => self.put(provider, &put).await,
            Does::PutIfAbsent => {
                let put = put.with_precondition(Precondition::IfAbsent);
                self.put(provider, &put).await
            }
            Does::Parts => self.parts(world, provider, Some(WriteId::fresh())).await,
            Does::PartsUnnamed => self.parts(world, provider, None).await,
            Does::Get => {
                let got = read(provider, &self.key).await?;
                assert_eq!(Some(got), self.old, "the very bytes");
                Ok(())
            }
            Does::Head => {
                let found = provider.metadata(&self.key, &CallOptions::default()).await?;
                assert_eq!(
                    Some(found.size_bytes),
                    self.old.as_ref().map(|old| old.len() as u64)
                );
                Ok(())
            }
            Does::Delete => provider
                .delete(&self.key, &DeleteOptions::default())
                .await
                .map(drop),
            Does::DeleteMany => {
                let deleted = provider.delete_many(keys, &DeleteOptions::default()).await?;
                let outcomes: Result<Vec<DeleteOutcome>> =
                    deleted.into_iter().map(|deleted| deleted.outcome).collect();
                assert_eq!(outcomes?.len(), 1, "one for each key");
                Ok(())
            }
            Does::List => {
                let entries = provider.list(&ListOptions::default()).await?;
                let entries: Vec<_> = entries.try_collect().await?;
                let names: Vec<_> = entries.iter().map(|entry| entry.name().to_owned()).collect();
                assert_eq!(names, world.keys().await, "all of them");
                Ok(())
            }
            Does::Copy => provider
                .copy(&self.source, &self.key, &CopyOptions::default())
                .await
                .map(drop),
        }
    }

    async fn put(&self, provider: &dyn StorageProvider, options: &UploadOptions) -> Result<()> {
        let stored = provider
            .upload(&self.key, self.new.clone().into(), options)
            .await?;
        assert_eq!(stored.size_bytes, self.new.len() as u64);
        Ok(())
    }

    /// Uploads in parts as the uploader does: aborted where it fails.
    async fn parts(
        &self,
        world: &World,
        provider: &dyn StorageProvider,
        write_id: Option<WriteId>,
    ) -> Result<()> {
        let mut options = CreateUploadOptions::default();
        options.write_id = write_id;
        let upload = provider.create_upload(&self.key, &options).await?;
        let sent = self.send_parts(world, provider, &upload).await;
        if sent.is_err() {
            // An upload that was completed after all has nothing to abort.
            provider
                .abort_upload(&upload, &CallOptions::default())
                .await
                .expect("aborted");
        }
        sent
    }

    async fn send_parts(
        &self,
        world: &World,
        provider: &dyn StorageProvider,
        upload: &MultipartUpload,
    ) -> Result<()> {
        let options = UploadPartOptions::default();
        let mut parts = Vec::new();
        let (mut rest, mut offset) = (self.new.clone(), 0);
        for number in 1.. {
            let piece = rest.split_to(world.part_bytes().min(rest.len()));
            let place = PartPlace::new(number, offset);
            let place = if rest.is_empty() { place.last() } else { place };
            offset += piece.len() as u64;
            let part = provider.upload_part(upload, place, piece.into(), &options);
            parts.push(part.await?);
            if rest.is_empty() {
                break;
            }
        }
        let done = provider
            .complete_upload(upload, &parts, &CompleteUploadOptions::default())
            .await?;
        assert_eq!(done.size_bytes, offset);
        Ok(())
    }

    /// The object and the keys of this run. A store whose answer was cut may still be at work: then it is looked at
    /// again.
    async fn settled(&self, world: &World, way: &str) -> (Option<Bytes>, Vec<String>) {
        for _ in 0..100 {
            let stored = world.stored(&self.key).await;
            let keys: Vec<_> = world
                .keys()
                .await
                .into_iter()
                .filter(|name| name.starts_with(way))
                .collect();
            if keys.iter().any(|name| name == self.key.as_str()) == stored.is_some() {
                return (stored, keys);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{way}: the listing never fits the object");
    }

    /// The object is the old one or the new one, whole; after a success it is the new one. There is nothing else.
    async fn check_after(&self, world: &World, is_done: bool, way: &str) {
        let (stored, keys) = self.settled(world, way).await;
        let new = match self.does {
            Does::Get | Does::Head | Does::List => self.old.clone(),
            Does::Delete | Does::DeleteMany => None,
            _ => Some(self.new.clone()),
        };
        assert!(
            stored == new || (!is_done && stored == self.old),
            "{way}: {:?} bytes that nobody wrote",
            stored.map(|stored| stored.len())
        );
        let mut expected = Vec::new();
        if stored.is_some() {
            expected.push(self.key.as_str());
        }
        if self.does == Does::Copy {
            expected.push(self.source.as_str());
        }
        assert_eq!(keys, expected, "{way}: nothing twice");
    }
}
