//! The suite must catch bad providers: each mutant breaks one promise, and names the test that must fail for it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{
    BoxFuture, ByteRange, CallOptions, Capabilities, Capability, Content, DeleteOptions, DeleteOutcome,
    DownloadOptions, DownloadOutcome, ETag, ErrorKind, Layer, Next, ObjectMetadata, Operation, Outcome,
    Precondition, ProviderInfo, Result, SharedProvider, Stack, StorageKey, StorageProvider, UploadOptions,
    async_trait,
};
use boards_storage_testkit::MemoryProvider;
use boards_storage_testkit::conformance::{self, Fixture, Suite};
use bytes::BytesMut;
use futures_util::{StreamExt, stream};

type Around = fn(Operation, Next) -> BoxFuture<'static, Result<Outcome>>;

/// A layer that breaks a promise.
#[derive(Clone, Copy)]
struct Mutant {
    around: Around,
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

    fn capabilities(&self, inner: Capabilities) -> Capabilities {
        // One mutant claims to verify reads over a store that does not.
        inner.with(&[Capability::VerifiedRead])
    }

    async fn around(&self, operation: Operation, next: Next) -> Result<Outcome> {
        (self.around)(operation, next).await
    }
}

fn suite(around: Around, verifies: bool) -> Suite {
    let suite = Suite::new("mutant", move || {
        let taken: &[Capability] = if verifies {
            &[]
        } else {
            &[Capability::VerifiedRead]
        };
        let memory = MemoryProvider::builder().without(taken).build();
        let (executor, damaged) = (memory.executor(), memory.clone());
        let stack = Stack::new(
            "mutant",
            memory,
            vec![Arc::new(Mutant { around }) as Arc<dyn Layer>],
        );
        let fixture = Fixture::new(Arc::new(stack))
            .with_executor(executor)
            .with_damage(move |key| {
                let damaged = damaged.clone();
                Box::pin(async move { damaged.damage(&key) })
            });
        Box::pin(async { Ok(fixture) })
    });
    suite.with_time_limit(Duration::from_secs(30))
}

/// Breaks the operations that match; the others pass. Inside, `next` runs the rest.
macro_rules! mutant {
    ($next:ident, $pattern:pat => $body:expr) => {
        |operation, $next| {
            Box::pin(async move {
                match operation {
                    $pattern => $body,
                    other => $next.run(other).await,
                }
            })
        }
    };
}

/// Changes the options of an operation, then passes it on.
macro_rules! with_options {
    ($kind:ident, $options:ident => $change:expr) => {
        |mut operation, next| {
            Box::pin(async move {
                if let Operation::$kind { options, .. } = &mut operation {
                    let $options = Arc::make_mut(options);
                    $change;
                }
                next.run(operation).await
            })
        }
    };
}

/// Changes the outcome of an operation.
macro_rules! with_outcome {
    ($kind:ident($answer:pat_param) => $changed:expr) => {
        |operation, next| {
            Box::pin(async move {
                Ok(match next.run(operation).await? {
                    Outcome::$kind($answer) => Outcome::$kind($changed),
                    other => other,
                })
            })
        }
    };
}

/// What is broken, how, and the test that must notice.
const MUTANTS: &[(&str, &str, Around)] = &[
    (
        "drops user metadata",
        "metadata::user_metadata_is_kept",
        with_options!(Upload, options => options.attributes.user_metadata.clear()),
    ),
    (
        "keeps no language",
        "metadata::a_content_language_is_kept",
        with_options!(Upload, options => options.attributes.content_language = None),
    ),
    (
        "forgets the write id",
        "metadata::a_write_id_is_kept",
        with_options!(Upload, options => options.write_id = None),
    ),
    (
        "ignores if_absent",
        "preconditions::if_absent_leaves_what_is_there",
        with_options!(Upload, options => options.precondition = Precondition::None),
    ),
    (
        "looks first and writes then",
        "preconditions::if_absent_has_one_winner_for_each_key",
        look_then_write,
    ),
    (
        "ignores if_match of a delete",
        "delete::if_match_leaves_another_state",
        with_options!(Delete, options => options.precondition = Precondition::None),
    ),
    (
        "ignores if_match of a completion",
        "multipart::if_match_leaves_another_state",
        ignore_completion,
    ),
    (
        "ignores the expected digest",
        "upload::a_wrong_digest_stores_nothing",
        with_options!(Upload, options => options.digest = None),
    ),
    (
        "ignores the expected length",
        "upload::an_expected_length_is_held_to",
        with_options!(Upload, options => options.length = None),
    ),
    (
        "is off by one in ranges",
        "range::the_first_and_the_last_byte",
        with_options!(Download, options => if let Some(ByteRange::Bounded { end, .. }) = &mut options.range { *end += 1 }),
    ),
    (
        "reads any version",
        "versions::an_old_version_can_be_read_with_its_metadata",
        with_options!(Download, options => options.version = None),
    ),
    (
        "never says not modified",
        "conditional::if_none_match_is_not_modified",
        with_options!(Download, options => options.if_none_match = None),
    ),
    (
        "always says existed",
        "delete::truth_is_told",
        with_outcome!(Delete(_) => DeleteOutcome::Existed),
    ),
    (
        "answers deletes out of order",
        "delete::many_keys_answer_in_their_order",
        with_outcome!(DeleteMany(mut deleted) => { deleted.reverse(); deleted }),
    ),
    (
        "has one tag for all",
        "metadata::an_etag_names_one_state",
        with_outcome!(Metadata(mut metadata) => { metadata.etag = Some(ETag::new("same")); metadata }),
    ),
    (
        "lists backwards",
        "list::entries_come_in_byte_order",
        list_backwards,
    ),
    (
        "stops listing after a page",
        "list::many_keys_come_once_and_in_order",
        with_outcome!(List(entries) => Box::pin(entries.take(1000))),
    ),
    (
        "starts at instead of after",
        "list::start_after_begins_behind",
        with_options!(List, options => if let Some(after) = &mut options.start_after { after.pop(); }),
    ),
    (
        "takes prefixes for folders",
        "list::a_prefix_may_end_within_a_segment",
        prefix_is_folder,
    ),
    ("loses the last byte", "upload::bytes_come_back", lose_last_byte),
    (
        "publishes what came",
        "upload::a_failing_source_leaves_nothing",
        publish_what_came,
    ),
    (
        "publishes while it reads",
        "cancellation::a_dropped_upload_leaves_nothing",
        publish_while_reading,
    ),
    (
        "writes metadata after the bytes",
        "atomicity::readers_of_an_overwritten_object_see_a_whole_one",
        metadata_after_bytes,
    ),
    (
        "hides what failed",
        "upload::a_source_that_cannot_be_opened_leaves_the_old_object",
        hide_what_failed,
    ),
    (
        "copies bytes alone",
        "copy::bytes_and_attributes_are_copied",
        with_options!(Copy, options => options.attributes = Some(Default::default())),
    ),
    (
        "copies any state",
        "copy::another_source_tag_is_refused",
        with_options!(Copy, options => options.source_if_match = None),
    ),
    (
        "merges attributes",
        "set_metadata::all_attributes_are_replaced",
        merge_attributes,
    ),
    (
        "decodes keys",
        "keys::percent_signs_are_not_decoded",
        |operation, next| Box::pin(next.run(with_key(operation, |key| key.replace("%25", "%")))),
    ),
    (
        "folds case",
        "keys::upper_and_lower_case_stay_apart",
        |operation, next| Box::pin(next.run(with_key(operation, str::to_lowercase))),
    ),
    (
        "trims keys",
        "keys::dots_and_spaces_at_ends",
        |operation, next| {
            Box::pin(next.run(with_key(operation, |key| {
                key.trim_end_matches(['.', ' ']).to_owned()
            })))
        },
    ),
    (
        "completes without a part",
        "multipart::a_part_that_was_not_sent_is_refused",
        complete_what_is_there,
    ),
    (
        "aborts nothing",
        "multipart::an_aborted_upload_leaves_nothing",
        mutant!(next, Operation::AbortUpload { .. } => { drop(next); Ok(Outcome::AbortUpload) }),
    ),
    (
        "signs for any length",
        "presign::a_put_with_another_length_is_refused",
        with_options!(PresignedUploadUrl, options => options.length = None),
    ),
    (
        "signs for any type",
        "presign::a_put_with_another_content_type_is_refused",
        with_options!(PresignedUploadUrl, options => options.attributes.content_type = None),
    ),
    (
        "signs for longer",
        "presign::an_expired_get_is_refused",
        with_options!(PresignedDownloadUrl, options => options.expires_in *= 100),
    ),
    (
        "signs without a condition",
        "presign::a_put_if_absent_leaves_what_is_there",
        with_options!(PresignedUploadUrl, options => options.precondition = Precondition::None),
    ),
];

fn look_then_write(mut operation: Operation, next: Next) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        if let Operation::Upload { key, options, .. } = &mut operation
            && options.precondition == Precondition::IfAbsent
        {
            let look = Operation::Exists {
                key: key.clone(),
                options: Arc::default(),
            };
            if matches!(next.clone().run(look).await?, Outcome::Exists(true)) {
                return next.run(operation).await;
            }
            tokio::task::yield_now().await;
            Arc::make_mut(options).precondition = Precondition::None;
        }
        next.run(operation).await
    })
}

fn ignore_completion(mut operation: Operation, next: Next) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        match &mut operation {
            Operation::CreateUpload { options, .. } => {
                Arc::make_mut(options).precondition = Precondition::None
            }
            Operation::CompleteUpload { options, .. } => {
                Arc::make_mut(options).precondition = Precondition::None
            }
            _ => {}
        }
        next.run(operation).await
    })
}

fn list_backwards(operation: Operation, next: Next) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        match next.run(operation).await? {
            Outcome::List(entries) => {
                let mut all: Vec<_> = entries.collect().await;
                all.reverse();
                Ok(Outcome::List(Box::pin(stream::iter(all))))
            }
            other => Ok(other),
        }
    })
}

fn prefix_is_folder(mut operation: Operation, next: Next) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        if let Operation::List { options } = &mut operation
            && !options.prefix.ends_with('/')
        {
            Arc::make_mut(options).prefix.push('/');
        }
        next.run(operation).await
    })
}

fn lose_last_byte(mut operation: Operation, next: Next) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        if let Operation::Upload { content, .. } = &mut operation
            && let Some(bytes) = content.as_bytes()
        {
            *content = Content::from(bytes.slice(..bytes.len().saturating_sub(1)));
        }
        next.run(operation).await
    })
}

/// Reads what there is of the content; a failure just ends it.
fn publish_what_came(mut operation: Operation, next: Next) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        if let Operation::Upload { content, .. } = &mut operation {
            let mut bytes = BytesMut::new();
            let mut pieces = content.open().await?;
            while let Some(Ok(piece)) = pieces.next().await {
                bytes.extend_from_slice(&piece);
            }
            *content = Content::from(bytes.freeze());
        }
        next.run(operation).await
    })
}

/// Appends each piece to the object in place.
fn publish_while_reading(operation: Operation, next: Next) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        let Operation::Upload {
            key,
            content,
            options,
        } = operation
        else {
            return next.run(operation).await;
        };
        let mut bytes = BytesMut::new();
        let mut pieces = content.open().await?;
        loop {
            let content = Content::from(bytes.clone().freeze());
            let write = Operation::Upload {
                key: key.clone(),
                content,
                options: Arc::clone(&options),
            };
            let outcome = next.clone().run(write).await?;
            match pieces.next().await.transpose()? {
                Some(piece) => bytes.extend_from_slice(&piece),
                None => return Ok(outcome),
            }
        }
    })
}

fn metadata_after_bytes(mut operation: Operation, next: Next) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        let Operation::Upload { key, options, .. } = &mut operation else {
            return next.run(operation).await;
        };
        let attributes = Arc::new(std::mem::take(&mut Arc::make_mut(options).attributes));
        let describe = Operation::SetMetadata {
            key: key.clone(),
            attributes,
            options: Arc::default(),
        };
        next.clone().run(operation).await?;
        tokio::task::yield_now().await;
        match next.run(describe).await? {
            Outcome::SetMetadata(metadata) => Ok(Outcome::Upload(metadata)),
            other => Ok(other),
        }
    })
}

fn hide_what_failed(operation: Operation, next: Next) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        match operation {
            Operation::Upload { ref key, .. } => {
                let key = key.clone();
                match next.run(operation).await {
                    Err(_) => Ok(Outcome::Upload(Box::new(ObjectMetadata::new(key, 0)))),
                    outcome => outcome,
                }
            }
            other => next.run(other).await,
        }
    })
}

fn merge_attributes(mut operation: Operation, next: Next) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        if let Operation::SetMetadata { key, attributes, .. } = &mut operation {
            let look = Operation::Metadata {
                key: key.clone(),
                options: Arc::default(),
            };
            if let Outcome::Metadata(metadata) = next.clone().run(look).await? {
                Arc::make_mut(attributes)
                    .user_metadata
                    .extend(metadata.attributes.user_metadata);
            }
        }
        next.run(operation).await
    })
}

fn complete_what_is_there(mut operation: Operation, next: Next) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(async move {
        if let Operation::CompleteUpload { upload, parts, .. } = &mut operation {
            let look = Operation::ListParts {
                upload: Arc::clone(upload),
                options: Arc::default(),
            };
            if let Outcome::ListParts(sent) = next.clone().run(look).await? {
                *parts = sent.into();
            }
        }
        next.run(operation).await
    })
}

/// Changes the key's part after the test's own prefix.
fn with_key(mut operation: Operation, change: impl Fn(&str) -> String) -> Operation {
    if let Operation::Upload { key, .. }
    | Operation::Download { key, .. }
    | Operation::Metadata { key, .. }
    | Operation::Exists { key, .. }
    | Operation::Delete { key, .. } = &mut operation
        && let Ok(changed) = StorageKey::parse(change(key.as_str()))
    {
        *key = changed;
    }
    operation
}

fn pass(operation: Operation, next: Next) -> BoxFuture<'static, Result<Outcome>> {
    Box::pin(next.run(operation))
}

#[test]
fn every_mutant_is_caught_by_the_test_that_names_it() {
    let known: BTreeSet<_> = conformance::names().into_iter().collect();
    let uncaught: Vec<_> = MUTANTS
        .iter()
        .filter(|(_, test, around)| {
            assert!(known.contains(test), "there is no test {test}");
            suite(*around, true).check(test).is_ok()
        })
        .map(|(name, test, _)| format!("'{name}' passes {test}"))
        .collect();
    assert!(uncaught.is_empty(), "{uncaught:#?}");
}

#[test]
fn an_honest_provider_passes_the_same_tests() {
    for (name, test, _) in MUTANTS {
        assert_eq!(
            suite(pass, true).check(test),
            Ok(()),
            "{test}, which catches '{name}'"
        );
    }
}

#[test]
fn a_provider_that_only_claims_to_verify_is_caught() {
    let caught = suite(pass, false).check("download::damaged_bytes_are_corruption");
    assert!(
        caught
            .expect_err("it does not verify")
            .contains("expected corruption")
    );
}

#[test]
fn a_missing_pin_is_a_failure() {
    let suite = Suite::new("pinned", || {
        let memory = MemoryProvider::builder().without(&[Capability::Copy]).build();
        Box::pin(async { Ok(Fixture::new(memory)) })
    })
    .requires(&[Capability::Copy, Capability::Range]);
    assert!(
        suite
            .check("pins::copy")
            .expect_err("it is missing")
            .contains("'copy'")
    );
    assert_eq!(suite.check("pins::range"), Ok(()));
    assert!(
        suite
            .check("copy::bytes_and_attributes_are_copied")
            .expect_err("skipped")
            .contains("needs copy")
    );
}

#[test]
fn a_fixture_that_cannot_be_opened_fails_every_test() {
    let suite = Suite::new("closed", || {
        Box::pin(async {
            Err(boards_storage_core::Error::new(
                ErrorKind::ProviderUnavailable,
                "no server",
            ))
        })
    })
    .requires(&[Capability::Range]);
    let trials = suite.trials();
    assert_eq!(trials.len(), conformance::names().len() + 1);
    assert!(trials.iter().all(|trial| !trial.has_ignored_flag()));
    assert!(
        suite
            .check("upload::bytes_come_back")
            .expect_err("closed")
            .contains("no server")
    );
}

#[test]
fn a_test_that_hangs_fails_in_time() {
    let hangs: Around =
        mutant!(next, Operation::Upload { .. } => { drop(next); std::future::pending().await });
    let suite = suite(hangs, true).with_time_limit(Duration::from_millis(200));
    assert!(
        suite
            .check("upload::bytes_come_back")
            .expect_err("it hangs")
            .contains("did not end")
    );
}

#[test]
fn names_are_many_and_each_is_one() {
    let names = conformance::names();
    assert!(names.len() >= 100, "{}", names.len());
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}

/// Declares nothing, and does what it is asked all the same.
#[derive(Debug)]
struct Undeclared {
    inner: SharedProvider,
    nothing: Capabilities,
}

#[async_trait]
impl StorageProvider for Undeclared {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    fn capabilities(&self) -> &Capabilities {
        &self.nothing
    }

    async fn upload(
        &self,
        key: &StorageKey,
        content: Content,
        options: &UploadOptions,
    ) -> Result<ObjectMetadata> {
        self.inner.upload(key, content, options).await
    }

    async fn download(&self, key: &StorageKey, options: &DownloadOptions) -> Result<DownloadOutcome> {
        self.inner.download(key, options).await
    }

    async fn metadata(&self, key: &StorageKey, options: &CallOptions) -> Result<ObjectMetadata> {
        self.inner.metadata(key, options).await
    }

    async fn delete(&self, key: &StorageKey, options: &DeleteOptions) -> Result<DeleteOutcome> {
        self.inner.delete(key, options).await
    }

    async fn probe(&self, options: &CallOptions) -> Result<()> {
        self.inner.probe(options).await
    }
}

#[test]
fn what_is_done_without_being_declared_is_caught() {
    let suite = Suite::new("undeclared", || {
        let provider = Undeclared {
            inner: MemoryProvider::new(),
            nothing: Capabilities::default(),
        };
        Box::pin(async { Ok(Fixture::new(Arc::new(provider))) })
    });
    let caught = [
        "range",
        "conditional_download",
        "read_version",
        "user_metadata",
        "content_type",
        "cache_control",
        "write_id",
        "set_access",
        "upload_if_absent",
        "upload_if_match",
        "no_checksum_is_answered",
        "a_digest_is_checked_though_not_kept",
        "delete_if_match",
    ];
    for name in caught {
        assert!(
            suite.check(&format!("negative::{name}")).is_err(),
            "{name} is not caught"
        );
    }
    // What falls back on the trait's defaults is refused rightly.
    for name in ["list", "copy", "multipart", "presigned_upload", "public_url"] {
        assert_eq!(suite.check(&format!("negative::{name}")), Ok(()), "{name}");
    }
}
