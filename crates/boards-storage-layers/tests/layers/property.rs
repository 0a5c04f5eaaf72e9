//! Random failures against what must hold whatever happens.

use std::time::Duration;

use boards_storage_core::{
    Content, CopyOptions, DeleteOptions, DeleteOutcome, DownloadOptions, ETag, Error, ErrorKind,
    ObjectMetadata, OperationKind, Precondition, Result, Retry, StorageProvider, UploadOptions, WriteId,
};
use boards_storage_layers::RetryConfig;
use boards_storage_testkit::Step;
use bytes::Bytes;
use parking_lot::Mutex;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

use crate::support::{Bench, key, one_shot, sample};

const ATTEMPTS_MAX: u32 = 3;
const SIZE: usize = 3000;

/// What goes wrong with one call that reaches the store.
#[derive(Clone, Debug)]
enum Fault {
    None,
    Before(Failure),
    After(Failure),
    Midway(u64, Failure),
    Break(u64, Failure),
}

#[derive(Clone, Copy, Debug)]
enum Failure {
    Unavailable,
    Timeout,
    Throttled,
    Lost,
    Denied,
}

impl Failure {
    fn error(self) -> Error {
        match self {
            Self::Unavailable => Error::new(ErrorKind::ProviderUnavailable, "reset"),
            Self::Timeout => Error::new(ErrorKind::Timeout, "no answer"),
            Self::Throttled => {
                Error::new(ErrorKind::RateLimited, "slow").with_retry(Retry::After(Duration::from_secs(3)))
            }
            Self::Lost => Error::new(ErrorKind::OutcomeUnknown, "lost").with_retry(Retry::Yes),
            Self::Denied => Error::new(ErrorKind::AccessDenied, "no"),
        }
    }
}

impl Fault {
    fn step(&self) -> Step {
        match *self {
            Self::None => Step::Pass,
            Self::Before(failure) => Step::FailBefore(failure.error()),
            Self::After(failure) => Step::FailAfter(failure.error()),
            Self::Midway(bytes, failure) => Step::FailMidway(bytes, failure.error()),
            Self::Break(bytes, failure) => Step::BreakStream(bytes, failure.error()),
        }
    }
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let failure = || {
        prop_oneof![
            Just(Failure::Unavailable),
            Just(Failure::Timeout),
            Just(Failure::Throttled),
            Just(Failure::Lost),
            Just(Failure::Denied)
        ]
    };
    // That the store has done it is never said by a refusal.
    let lost = prop_oneof![
        Just(Failure::Unavailable),
        Just(Failure::Timeout),
        Just(Failure::Lost)
    ];
    let fault = prop_oneof![
        2 => Just(Fault::None),
        2 => failure().prop_map(Fault::Before),
        3 => lost.prop_map(Fault::After),
        1 => (0..SIZE as u64, failure()).prop_map(|(bytes, failure)| Fault::Midway(bytes, failure)),
        3 => (0..=SIZE as u64, failure()).prop_map(|(bytes, failure)| Fault::Break(bytes, failure)),
    ];
    proptest::collection::vec(fault, 0..8)
}

/// One call, and what is at the key before.
#[derive(Clone, Copy, Debug)]
enum Call {
    Upload {
        content: Source,
        condition: Condition,
        is_named: bool,
    },
    Copy {
        condition: Condition,
    },
    Delete {
        condition: Condition,
    },
    Download,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Bytes,
    OneShot,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Condition {
    None,
    IfAbsent,
    IfMatch,
}

fn calls() -> impl Strategy<Value = Call> {
    let condition = || {
        prop_oneof![
            Just(Condition::None),
            Just(Condition::IfAbsent),
            Just(Condition::IfMatch)
        ]
    };
    let source = prop_oneof![Just(Source::Bytes), Just(Source::OneShot)];
    prop_oneof![
        4 => (source, condition(), any::<bool>())
            .prop_map(|(content, condition, is_named)| Call::Upload { content, condition, is_named }),
        2 => condition().prop_map(|condition| Call::Copy { condition }),
        1 => Just(Call::Delete { condition: Condition::None }),
        1 => Just(Call::Delete { condition: Condition::IfMatch }),
        2 => Just(Call::Download),
    ]
}

/// A store where only one call is made, so that everything in it is known.
struct World {
    bench: Bench,
    existed: bool,
    old: Bytes,
    etag: ETag,
    new: Bytes,
}

impl World {
    async fn new(existed: bool, faults: Vec<Fault>) -> Self {
        let bench = Bench::with_retry(RetryConfig::default().with_attempts_max(ATTEMPTS_MAX));
        let (old, new) = (sample(SIZE).slice(1..), sample(SIZE));
        bench.put("source", new.clone()).await;
        let etag = bench.put("a", old.clone()).await.etag.expect("a tag");
        if !existed {
            bench
                .memory
                .delete(&key("a"), &DeleteOptions::default())
                .await
                .expect("deleted");
        }
        let queue = Mutex::new(faults.into_iter());
        bench.script.otherwise(move |operation| {
            assert!(
                operation.content().is_none_or(Content::can_replay),
                "a spent stream was sent again"
            );
            queue.lock().next().map_or(Step::Pass, |fault| fault.step())
        });
        Self {
            bench,
            existed,
            old,
            etag,
            new,
        }
    }

    fn precondition(&self, condition: Condition) -> Precondition {
        match condition {
            Condition::None => Precondition::None,
            Condition::IfAbsent => Precondition::IfAbsent,
            Condition::IfMatch => Precondition::IfMatch(self.etag.clone()),
        }
    }

    async fn check_upload(&self, content: Source, condition: Condition, is_named: bool) {
        let content = match content {
            Source::Bytes => Content::from(self.new.clone()),
            Source::OneShot => one_shot(&self.new, 700),
        };
        let mut options = UploadOptions::default().with_precondition(self.precondition(condition));
        options.write_id = is_named.then(WriteId::fresh);
        let result = self.bench.stack.upload(&key("a"), content, &options).await;
        self.check_write(result, condition).await;
        self.check_attempts(OperationKind::Upload);
    }

    async fn check_copy(&self, condition: Condition) {
        let options = CopyOptions::default().with_precondition(self.precondition(condition));
        let result = self.bench.stack.copy(&key("source"), &key("a"), &options).await;
        self.check_write(result, condition).await;
        self.check_attempts(OperationKind::Copy);
    }

    async fn check_write(&self, result: Result<ObjectMetadata>, condition: Condition) {
        let Self {
            existed, old, new, ..
        } = self;
        let found = self.bench.find("a").await;
        let may_write = match condition {
            Condition::None => true,
            Condition::IfAbsent => !existed,
            Condition::IfMatch => *existed,
        };
        match result {
            Ok(metadata) => {
                assert!(may_write, "a success against the condition");
                assert_eq!(
                    found,
                    Some((metadata, new.clone())),
                    "a success without its effect"
                );
            }
            Err(error) => {
                let is_refused = matches!(
                    error.kind(),
                    ErrorKind::AlreadyExists | ErrorKind::PreconditionFailed
                );
                assert!(
                    !may_write || !is_refused,
                    "our own write was taken for another's: {error}"
                );
                let left = existed.then_some(old);
                assert!(
                    may_write || found.as_ref().map(|(_, bytes)| bytes) == left,
                    "a refused write left something"
                );
            }
        }
    }

    async fn check_delete(&self, condition: Condition) {
        let options = DeleteOptions::default().with_precondition(self.precondition(condition));
        match self.bench.stack.delete(&key("a"), &options).await {
            Ok(outcome) => {
                assert!(self.bench.find("a").await.is_none(), "a delete that did nothing");
                assert!(outcome != DeleteOutcome::Existed || self.existed);
                assert!(outcome != DeleteOutcome::Absent || !self.existed);
            }
            Err(error) => {
                let is_refused = error.kind() == ErrorKind::PreconditionFailed;
                let may_refuse = condition == Condition::IfMatch && !self.existed;
                assert!(
                    !is_refused || may_refuse,
                    "a refusal because of our own delete: {error}"
                );
            }
        }
        self.check_attempts(OperationKind::Delete);
    }

    async fn check_download(&self) {
        match self.bench.download("a", DownloadOptions::default()).await {
            Ok(download) => {
                assert!(self.existed);
                if let Ok(bytes) = download.bytes(SIZE).await {
                    assert_eq!(bytes, self.old, "a read of other bytes");
                }
            }
            Err(error) => assert!(error.kind() != ErrorKind::NotFound || !self.existed),
        }
    }

    #[track_caller]
    fn check_attempts(&self, kind: OperationKind) {
        let attempts = self.bench.attempts(kind);
        assert!(attempts.len() <= ATTEMPTS_MAX as usize, "{attempts:?}");
        assert!(
            attempts.iter().copied().eq((1..).take(attempts.len())),
            "numbered in order: {attempts:?}"
        );
    }
}

/// Runs one call over these faults and holds it to what must be true whatever happened.
async fn check(call: Call, existed: bool, faults: Vec<Fault>) {
    let world = World::new(existed, faults).await;
    match call {
        Call::Upload {
            content,
            condition,
            is_named,
        } => world.check_upload(content, condition, is_named).await,
        Call::Copy { condition } => world.check_copy(condition).await,
        Call::Delete { condition } => world.check_delete(condition).await,
        Call::Download => world.check_download().await,
    }
}

#[test]
fn whatever_fails_there_is_no_lie_and_no_repeat_of_a_spent_stream() {
    // Proptest prints the case that fails, made small, with its seed.
    let mut runner = TestRunner::new(Config {
        cases: 3000,
        failure_persistence: None,
        ..Config::default()
    });
    let programs = (calls(), any::<bool>(), faults());
    let outcome = runner.run(&programs, |(call, existed, faults)| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        runtime.expect("a runtime").block_on(check(call, existed, faults));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
