//! A task of a program: makes its calls, one after the other, and records what each was answered.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use boards_storage::prelude::*;
use boards_storage::{
    ByteStream, CallContext, CallOptions, CompleteUploadOptions, CopyOptions, CreateUploadOptions,
    DeleteOptions, DeleteOutcome, Digest, DigestAlgorithm, Download, DownloadOptions, DownloadOutcome, ETag,
    ListEntry, ListOptions, MultipartUpload, ObjectAttributes, ObjectMetadata, Part, PartPlace, Precondition,
    PresignDownloadOptions, SetMetadataOptions, StorageProvider, UploadOptions, UploadPartOptions, WriteId,
};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};

use super::linearize::Event;
use super::object::{Answer, Call, Condition, Contents, MARK, Seen};
use super::program::{Action, Finish, KEYS, Naming, Planned, Source, Wish};

/// What all tasks of a run record.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) contents: Contents,
    pub(crate) calls: RefCell<Vec<(usize, Event<Call>)>>,
    /// What must not be, whatever the state.
    pub(crate) wrong: RefCell<Vec<String>>,
    pub(crate) unknown: Cell<u64>,
    time: Cell<u64>,
}

impl Record {
    pub(crate) fn new(contents: Contents) -> Self {
        Self {
            contents,
            calls: RefCell::default(),
            wrong: RefCell::default(),
            unknown: Cell::default(),
            time: Cell::default(),
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.time.set(self.time.get() + 1);
        self.time.get()
    }

    pub(crate) fn add(&self, began: u64, calls: Vec<(usize, Call)>) {
        let ended = self.now();
        let events = calls
            .into_iter()
            .map(|(key, call)| (key, Event { began, ended, call }));
        self.calls.borrow_mut().extend(events);
    }
}

pub(crate) fn key(number: usize) -> StorageKey {
    StorageKey::parse(KEYS[number]).expect("a key")
}

/// One task.
pub(crate) struct Client<'a> {
    pub(crate) record: &'a Record,
    pub(crate) store: &'a dyn StorageProvider,
    /// The tags that this task has seen last.
    etags: RefCell<[Option<ETag>; KEYS.len()]>,
    /// What the call under way means if its caller hears nothing more of it.
    open: RefCell<Vec<(usize, Call)>>,
    /// The number of its next write.
    writer: Cell<usize>,
}

impl<'a> Client<'a> {
    pub(crate) fn new(number: usize, record: &'a Record, store: &'a dyn StorageProvider) -> Self {
        Self {
            record,
            store,
            etags: RefCell::default(),
            open: RefCell::default(),
            writer: Cell::new(1 + number * 1000),
        }
    }

    pub(crate) async fn run(&self, plan: &[Planned]) {
        for planned in plan {
            let began = self.record.now();
            let mut context = CallContext::default();
            if let Some(time) = planned.deadline {
                context = context.with_deadline_in(time);
            }
            let call = self.perform(&planned.action, context);
            match planned.patience {
                Some(time) => drop(tokio::time::timeout(time, Box::pin(call)).await),
                None => Box::pin(call).await,
            }
            let calls = self.open.take();
            let is_unknown = |(_, call): &&(usize, Call)| {
                matches!(
                    call,
                    Call::Write {
                        answer: Answer::Unknown,
                        ..
                    } | Call::Delete {
                        answer: Answer::Unknown,
                        ..
                    } | Call::Describe {
                        answer: Answer::Unknown,
                        ..
                    }
                )
            };
            let unknown = calls.iter().filter(is_unknown).count() as u64;
            self.record.unknown.set(self.record.unknown.get() + unknown);
            self.record.add(began, calls);
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each action")]
    async fn perform(&self, action: &Action, context: CallContext) {
        match *action {
            Action::Upload {
                key,
                content,
                source,
                condition,
                naming,
            } => {
                let (condition, given) = self.condition(key, condition);
                let mark = mark_of(content);
                let mut options = UploadOptions::default()
                    .with_context(context)
                    .with_precondition(given)
                    .with_attributes(marked(mark));
                options.write_id = self.name(naming);
                let bytes = self.bytes(content);
                options.digest = (content % 2 == 0).then(|| Digest::of(DigestAlgorithm::Blake3, bytes));
                let write = self.write(vec![content], Some(mark), condition);
                self.begin(key, write(Answer::Unknown));
                let result = self
                    .store
                    .upload(&self::key(key), give(bytes, source), &options)
                    .await;
                self.end(key, write(self.made(key, action, result)));
            }
            Action::Download {
                key,
                range,
                condition,
            } => {
                let options = DownloadOptions::default().with_context(context);
                self.download(key, range, condition, options, action).await;
            }
            Action::Metadata { key } => {
                let options = CallOptions::default().with_context(context);
                let found = self.store.metadata(&self::key(key), &options).await;
                let found = found.map(|metadata| Some(self.seen(key, &metadata)));
                self.looked(key, action, found);
            }
            Action::Exists { key } => {
                let options = CallOptions::default().with_context(context);
                let found = self.store.exists(&self::key(key), &options).await;
                self.looked(key, action, found.map(|exists| exists.then(Seen::default)));
            }
            Action::Delete { key, condition } => {
                let (condition, given) = self.condition(key, condition);
                let options = DeleteOptions::default()
                    .with_context(context)
                    .with_precondition(given);
                let delete = |answer| Call::Delete {
                    condition: condition.clone(),
                    answer,
                };
                self.begin(key, delete(Answer::Unknown));
                let result = self.store.delete(&self::key(key), &options).await;
                self.end(key, delete(self.deleted(action, &condition, result)));
            }
            Action::DeleteMany { ref keys } => self.delete_many(keys, context, action).await,
            Action::List { .. } => self.list(action, context).await,
            Action::Copy { .. } => self.copy(action, context).await,
            Action::SetMetadata { key, mark, condition } => {
                let (condition, given) = self.condition(key, condition);
                let options = SetMetadataOptions::default()
                    .with_context(context)
                    .with_precondition(given);
                let describe = |answer| Call::Describe {
                    mark,
                    condition: condition.clone(),
                    answer,
                };
                self.begin(key, describe(Answer::Unknown));
                let result = self
                    .store
                    .set_metadata(&self::key(key), &marked(mark), &options)
                    .await;
                self.end(key, describe(self.made(key, action, result)));
            }
            Action::Parts { .. } => self.parts(action, context).await,
            Action::Presign { key } => {
                let mut options = PresignDownloadOptions::default();
                options.context = context.clone();
                let signed = self.store.presigned_download_url(&self::key(key), &options).await;
                self.passing(action, signed.map(drop));
                let options = CallOptions::default().with_context(context);
                let url = self.store.public_url(&self::key(key), &options).await;
                self.passing(action, url.map(drop));
            }
            Action::Probe => {
                let options = CallOptions::default().with_context(context);
                self.passing(action, self.store.probe(&options).await);
            }
            Action::Pause(time) => tokio::time::sleep(time).await,
        }
    }

    /// Notes what the call means from now on if nothing more is heard of it.
    fn begin(&self, key: usize, call: Call) {
        *self.open.borrow_mut() = vec![(key, call)];
    }

    fn end(&self, key: usize, call: Call) {
        self.begin(key, call);
    }

    fn wrong(&self, action: &Action, what: impl std::fmt::Display) {
        self.record.wrong.borrow_mut().push(format!("{action:?}: {what}"));
    }

    fn bytes(&self, content: usize) -> &Bytes {
        &self.record.contents.bytes[content]
    }

    fn name(&self, naming: Naming) -> Option<WriteId> {
        let can = self.store.capabilities().has(boards_storage::Capability::WriteId);
        (can && naming == Naming::Named).then(WriteId::fresh)
    }

    fn condition(&self, key: usize, wish: Wish) -> (Condition, Precondition) {
        let known = self.etags.borrow()[key].clone();
        let operation = boards_storage::OperationKind::Upload;
        let can = |kind| self.store.capabilities().has_precondition(operation, kind);
        match (wish, known) {
            (Wish::IfAbsent, _) if can(boards_storage::PreconditionKind::IfAbsent) => {
                (Condition::IfAbsent, Precondition::IfAbsent)
            }
            (Wish::IfMatch, Some(etag)) if can(boards_storage::PreconditionKind::IfMatch) => {
                (Condition::IfMatch(etag.clone()), Precondition::IfMatch(etag))
            }
            (Wish::None | Wish::IfAbsent | Wish::IfMatch, _) => (Condition::None, Precondition::None),
        }
    }

    /// Returns what makes a write of an answer; every write has its own number.
    fn write(
        &self,
        contents: Vec<usize>,
        mark: Option<u32>,
        condition: Condition,
    ) -> impl Fn(Answer) -> Call + use<> {
        let writer = self.writer.get();
        self.writer.set(writer + 1);
        move |answer| Call::Write {
            contents: contents.clone(),
            mark,
            condition: condition.clone(),
            answer,
            writer,
        }
    }

    fn seen(&self, key: usize, metadata: &ObjectMetadata) -> Seen {
        if metadata.key != self::key(key) {
            let answered = &metadata.key;
            let what = format!("asked for '{}', answered for '{answered}'", KEYS[key]);
            self.record.wrong.borrow_mut().push(what);
        }
        self.etags.borrow_mut()[key].clone_from(&metadata.etag);
        Seen::of(metadata)
    }

    /// What a change was answered that answers metadata.
    fn made(&self, key: usize, action: &Action, result: Result<ObjectMetadata>) -> Answer {
        match result {
            Ok(metadata) => Answer::Done(self.seen(key, &metadata)),
            Err(error) => match error.kind() {
                ErrorKind::AlreadyExists | ErrorKind::PreconditionFailed => Answer::Refused,
                ErrorKind::NotFound if !matches!(action, Action::Upload { .. }) => Answer::Missing,
                _ => {
                    self.passing(action, Err(error));
                    Answer::Unknown
                }
            },
        }
    }

    fn deleted(&self, action: &Action, condition: &Condition, result: Result<DeleteOutcome>) -> Answer {
        match result {
            Ok(outcome) => Answer::Deleted(outcome),
            Err(error) if error.kind() == ErrorKind::PreconditionFailed => {
                if matches!(condition, Condition::None) {
                    self.wrong(action, &error);
                }
                Answer::Refused
            }
            Err(error) => {
                self.passing(action, Err(error));
                Answer::Unknown
            }
        }
    }

    /// Checks that a failure is one that passes: the calls themselves are right.
    fn passing(&self, action: &Action, result: Result<()>) {
        let Err(error) = result else { return };
        match error.kind() {
            ErrorKind::Storage
            | ErrorKind::ProviderUnavailable
            | ErrorKind::Timeout
            | ErrorKind::RateLimited
            | ErrorKind::OutcomeUnknown => {}
            ErrorKind::InsufficientStorage
            | ErrorKind::AccessDenied
            | ErrorKind::Corruption
            | ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::PreconditionFailed
            | ErrorKind::InvalidInput
            | ErrorKind::Unsupported
            | ErrorKind::Configuration
            | ErrorKind::Rejected => self.wrong(action, format!("{}: {error}", error.kind())),
        }
    }

    fn looked(&self, key: usize, action: &Action, result: Result<Option<Seen>>) {
        match result {
            Ok(seen) => self.end(key, Call::Read(seen)),
            Err(error) if error.kind() == ErrorKind::NotFound => self.end(key, Call::Read(None)),
            Err(error) => self.passing(action, Err(error)),
        }
    }

    async fn download(
        &self,
        key: usize,
        range: Option<ByteRange>,
        condition: Wish,
        mut options: DownloadOptions,
        action: &Action,
    ) {
        let can = |capability| self.store.capabilities().has(capability);
        options.range = range.filter(|_| can(boards_storage::Capability::Range));
        options.if_match = self.etags.borrow()[key]
            .clone()
            .filter(|_| condition == Wish::IfMatch);
        let asked = options.if_match.clone();
        let result = self.store.download(&self::key(key), &options).await;
        match result.and_then(DownloadOutcome::into_object) {
            Ok(download) => {
                let expected = options
                    .range
                    .map_or(Ok(0..download.metadata().size_bytes), |range| {
                        range.resolve(download.metadata().size_bytes)
                    });
                if expected.ok() != Some(download.range()) {
                    self.wrong(action, format!("the range {:?} was answered", download.range()));
                }
                self.read(key, download, action).await;
            }
            Err(error) => match (error.kind(), options.range) {
                (ErrorKind::PreconditionFailed, _) if asked.is_some() => {
                    let seen = Seen {
                        not_etag: asked,
                        ..Seen::default()
                    };
                    self.end(key, Call::Read(Some(seen)));
                }
                (
                    ErrorKind::InvalidInput,
                    Some(ByteRange::Bounded { start, .. } | ByteRange::From(start)),
                ) => {
                    let seen = Seen {
                        size_max: Some(start),
                        ..Seen::default()
                    };
                    self.end(key, Call::Read(Some(seen)));
                }
                _ => self.looked(key, action, Err(error)),
            },
        }
    }

    /// Reads a download, slowly. What came before a failure must be right too.
    async fn read(&self, key: usize, download: Download, action: &Action) {
        let mut seen = self.seen(key, download.metadata());
        let (start, length) = (download.range().start, download.length());
        let mut pieces = download.into_stream();
        let mut bytes = BytesMut::new();
        let mut failure = None;
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) => bytes.extend_from_slice(&piece),
                Err(error) => failure = Some(error),
            }
            seen.bytes = Some((start, bytes.clone().freeze()));
            self.end(key, Call::Read(Some(seen.clone())));
            tokio::task::yield_now().await;
        }
        match failure {
            // The object may have changed or gone meanwhile, which ends a resumed download.
            Some(error) if matches!(error.kind(), ErrorKind::PreconditionFailed | ErrorKind::NotFound) => {}
            Some(error) => self.passing(action, Err(error)),
            None if bytes.len() as u64 == length => {}
            None => self.wrong(action, format!("{} of {length} bytes as if all", bytes.len())),
        }
    }

    async fn delete_many(&self, keys: &[usize], context: CallContext, action: &Action) {
        if keys.is_empty() {
            return;
        }
        let delete = |answer| Call::Delete {
            condition: Condition::None,
            answer,
        };
        *self.open.borrow_mut() = keys.iter().map(|key| (*key, delete(Answer::Unknown))).collect();
        let names: Vec<StorageKey> = keys.iter().map(|key| self::key(*key)).collect();
        let options = DeleteOptions::default().with_context(context);
        match self.store.delete_many(&names, &options).await {
            Ok(deleted) => {
                if !deleted.iter().map(|deleted| &deleted.key).eq(&names) {
                    self.wrong(action, "other keys were answered");
                }
                let answers = keys.iter().zip(deleted).map(|(key, deleted)| {
                    (
                        *key,
                        delete(self.deleted(action, &Condition::None, deleted.outcome)),
                    )
                });
                let answers = answers.collect();
                *self.open.borrow_mut() = answers;
            }
            Err(error) => self.passing(action, Err(error)),
        }
    }

    async fn list(&self, action: &Action, context: CallContext) {
        let Action::List {
            prefix,
            delimiter,
            start_after,
            limit,
        } = *action
        else {
            return;
        };
        let can_start = self
            .store
            .capabilities()
            .has(boards_storage::Capability::ListStartAfter);
        let start_after = start_after.filter(|_| can_start);
        let mut options = ListOptions::default().with_context(context).with_prefix(prefix);
        options.delimiter = delimiter.map(str::to_owned);
        options.start_after = start_after.map(str::to_owned);
        options.limit = limit;
        let mut entries = match self.store.list(&options).await {
            Ok(entries) => entries,
            Err(error) => return self.passing(action, Err(error)),
        };
        let mut found: Vec<ListEntry> = Vec::new();
        let mut is_whole = true;
        while let Some(entry) = entries.next().await {
            match entry {
                Ok(entry) => found.push(entry),
                Err(error) => {
                    is_whole = false;
                    self.passing(action, Err(error));
                }
            }
        }
        is_whole &= limit.is_none_or(|limit| found.len() < limit);
        if !found.is_sorted_by(|one, next| one.name() < next.name())
            || limit.is_some_and(|limit| found.len() > limit)
        {
            self.wrong(action, format!("out of order or too many: {found:?}"));
        }
        let last = found.last().map(|entry| entry.name().to_owned());
        let mut calls = Vec::new();
        for (number, name) in KEYS.iter().enumerate() {
            let rest = name.strip_prefix(prefix);
            let folder = rest.zip(delimiter).and_then(|(rest, delimiter)| {
                let (folder, _) = rest.split_once(delimiter)?;
                Some(format!("{prefix}{folder}{delimiter}"))
            });
            let shown = folder.as_deref().unwrap_or(name);
            let is_asked = rest.is_some() && start_after.is_none_or(|after| shown > after);
            let entry = found.iter().find(|entry| entry.name() == shown);
            if entry.is_some() && !is_asked {
                self.wrong(action, format!("'{shown}' was not asked for"));
            }
            match entry {
                Some(ListEntry::Object(metadata)) => calls.push((
                    number,
                    Call::Read(Some(Seen {
                        size: Some(metadata.size_bytes),
                        etag: metadata.etag.clone(),
                        ..Seen::default()
                    })),
                )),
                // Of a folder with several objects nobody knows which one is there.
                Some(ListEntry::Prefix(_)) if *name == "e/z" => {
                    calls.push((number, Call::Read(Some(Seen::default()))));
                }
                Some(ListEntry::Prefix(_)) => {}
                None if is_asked && (is_whole || last.as_deref().is_some_and(|last| shown < last)) => {
                    calls.push((number, Call::Read(None)));
                }
                None => {}
            }
        }
        *self.open.borrow_mut() = calls;
    }

    async fn copy(&self, action: &Action, context: CallContext) {
        let Action::Copy {
            from,
            to,
            mark,
            condition,
        } = *action
        else {
            return;
        };
        let (condition, given) = self.condition(to, condition);
        let mut options = CopyOptions::default()
            .with_context(context)
            .with_precondition(given);
        options.attributes = mark.map(marked);
        let all: Vec<usize> = (0..self.record.contents.bytes.len()).collect();
        // It can only write what was at its source: one number for all that it may write.
        let writer = self.writer.get();
        let write = |contents: &[usize], answer| {
            self.writer.set(writer);
            self.write(contents.to_vec(), mark, condition.clone())(answer)
        };
        self.begin(to, write(&all, Answer::Unknown));
        let result = self.store.copy(&key(from), &key(to), &options).await;
        let mut calls = Vec::new();
        match self.made(to, action, result) {
            Answer::Done(seen) => {
                let contents = self.record.contents.candidates(&Seen {
                    size: seen.size,
                    checksum: seen.checksum.clone(),
                    ..Seen::default()
                });
                let source = Seen {
                    contents: Some(contents.clone()),
                    ..Seen::default()
                };
                calls.push((from, Call::Read(Some(source))));
                // An attempt before may have copied something else.
                calls.push((to, write(&all, Answer::Done(seen))));
            }
            answer => {
                if matches!(answer, Answer::Missing) {
                    calls.push((from, Call::Read(None)));
                }
                calls.push((to, write(&all, answer)));
            }
        }
        *self.open.borrow_mut() = calls;
    }

    async fn parts(&self, action: &Action, context: CallContext) {
        let Action::Parts {
            key,
            content,
            ref sizes,
            condition,
            naming,
            finish,
        } = *action
        else {
            return;
        };
        let (condition, given) = self.condition(key, condition);
        let mark = mark_of(content);
        let mut options = CreateUploadOptions::default()
            .with_context(context.clone())
            .with_precondition(given.clone())
            .with_attributes(marked(mark));
        options.write_id = self.name(naming);
        let upload = match self.store.create_upload(&self::key(key), &options).await {
            Ok(upload) => upload,
            Err(error) => return self.passing(action, Err(error)),
        };
        let call = CallOptions::default().with_context(context.clone());
        let sent = self.send_parts(&upload, content, sizes, action, &context).await;
        match (sent, finish) {
            (_, Finish::Leave) => {}
            (Some(parts), Finish::Complete) => {
                let write = self.write(vec![content], Some(mark), condition);
                self.begin(key, write(Answer::Unknown));
                let options = CompleteUploadOptions::default()
                    .with_context(context)
                    .with_precondition(given);
                let result = self.store.complete_upload(&upload, &parts, &options).await;
                self.end(key, write(self.made(key, action, result)));
            }
            (None, _) | (_, Finish::Abort) => {
                let aborted = self.store.abort_upload(&upload, &call).await;
                if aborted.is_ok() && self.store.list_parts(&upload, &call).await.is_ok() {
                    self.wrong(action, "an aborted upload has parts");
                }
                self.passing(action, aborted);
            }
        }
    }

    /// Sends the parts, each twice at most, and looks whether the store has them.
    async fn send_parts(
        &self,
        upload: &MultipartUpload,
        content: usize,
        sizes: &[usize],
        action: &Action,
        context: &CallContext,
    ) -> Option<Vec<Part>> {
        let options = UploadPartOptions::default().with_context(context.clone());
        let mut rest = self.bytes(content).clone();
        let mut parts = Vec::new();
        for (number, size) in (1..).zip(sizes) {
            let offset = self.bytes(content).len() - rest.len();
            let bytes = rest.split_to(*size);
            let mut place = PartPlace::new(number, offset as u64);
            if rest.is_empty() {
                place = place.last();
            }
            let mut sent = None;
            for source in [Source::OneShot, Source::Bytes] {
                match self
                    .store
                    .upload_part(upload, place, give(&bytes, source), &options)
                    .await
                {
                    Ok(part) => {
                        sent = Some(part);
                        break;
                    }
                    Err(error) => self.passing(action, Err(error)),
                }
            }
            let part = sent?;
            if part.size_bytes != *size as u64 || part.number != number {
                self.wrong(action, format!("a part of {size} bytes is {part:?}"));
            }
            parts.push(part);
        }
        let call = CallOptions::default().with_context(context.clone());
        match self.store.list_parts(upload, &call).await {
            Ok(listed) if listed != parts => {
                self.wrong(action, format!("the store lists {listed:?} of {parts:?}"));
            }
            Ok(_) => {}
            Err(error) => self.passing(action, Err(error)),
        }
        Some(parts)
    }
}

fn mark_of(content: usize) -> u32 {
    1_000_000 + u32::try_from(content).expect("small")
}

fn marked(mark: u32) -> ObjectAttributes {
    ObjectAttributes::default().with_user_metadata(MARK, mark.to_string())
}

/// Gives bytes as content, a stream in pieces with waits between them.
fn give(bytes: &Bytes, source: Source) -> Content {
    let length = bytes.len() as u64;
    let bytes = bytes.clone();
    let open = move |bytes: Bytes| -> ByteStream {
        let pieces: Vec<Bytes> = bytes.chunks(900).map(|piece| bytes.slice_ref(piece)).collect();
        Box::pin(stream::iter(pieces).then(|piece| async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(piece)
        }))
    };
    match source {
        Source::Bytes => Content::from_bytes(bytes),
        Source::Replayable => Content::from_factory(Some(length), move || {
            let pieces = open(bytes.clone());
            Box::pin(async move { Ok(pieces) })
        }),
        Source::OneShot => Content::from_stream(Some(length), open(bytes)),
        Source::Unknown => Content::from_stream(None, open(bytes)),
    }
}
