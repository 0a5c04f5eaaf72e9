//! What becomes of a write whose answer was lost.

use std::sync::Arc;

use boards_storage_core::{
    Capability, CompleteUploadOptions, Content, CopyOptions, CreateUploadOptions, DeleteOptions,
    DeleteOutcome, ETag, Error, ErrorKind, ObjectMetadata, OperationKind, PartPlace, Precondition, Result,
    Retry, StorageProvider, UploadOptions, UploadPartOptions, WriteId,
};
use boards_storage_layers::{RetryConfig, RetryLayer};
use boards_storage_testkit::{MemoryProvider, Step};
use bytes::Bytes;
use std::time::Duration;

use crate::support::{Bench, key, one_shot, throttled, timed_out, unavailable};

fn bench() -> Bench {
    Bench::with_retry(RetryConfig::default())
}

fn without(capability: Capability) -> Bench {
    let memory = MemoryProvider::builder().without(&[capability]).build();
    Bench::over(memory, vec![Arc::new(RetryLayer::default())])
}

fn if_absent() -> UploadOptions {
    UploadOptions::default().with_precondition(Precondition::IfAbsent)
}

fn lost() -> Error {
    Error::new(
        ErrorKind::OutcomeUnknown,
        "the connection broke after the last byte",
    )
    .with_retry(Retry::Yes)
}

async fn upload(bench: &Bench, options: &UploadOptions) -> Result<ObjectMetadata> {
    bench
        .stack
        .upload(&key("a"), Content::from("mine"), options)
        .await
}

/// Runs an upload over these steps; its answer must be the object that is really there.
async fn check_settled(steps: Vec<Step>, options: UploadOptions, uploads: usize, looks: usize) {
    let bench = bench();
    let shown = format!("{steps:?}");
    for step in steps {
        bench.script.push(OperationKind::Upload, step);
    }
    let metadata = upload(&bench, &options)
        .await
        .unwrap_or_else(|error| panic!("{shown}: {error}"));
    let (found, bytes) = bench.find("a").await.expect("it is there");
    assert_eq!((&metadata, &bytes[..]), (&found, &b"mine"[..]), "{shown}");
    assert_eq!(bench.script.count(OperationKind::Upload), uploads, "{shown}");
    assert_eq!(bench.script.count(OperationKind::Metadata), looks, "{shown}");
}

#[tokio::test(start_paused = true)]
async fn our_own_name_at_the_key_is_success() {
    check_settled(vec![Step::FailAfter(timed_out())], if_absent(), 2, 1).await;
    check_settled(vec![Step::FailAfter(unavailable())], if_absent(), 2, 1).await;
    check_settled(vec![Step::FailAfter(lost())], if_absent(), 2, 1).await;
    let named = if_absent().with_write_id(WriteId::fresh());
    check_settled(vec![Step::FailAfter(timed_out())], named, 2, 1).await;
    // It was lost on the way there: the second attempt writes it, and nobody has to look.
    check_settled(vec![Step::FailBefore(timed_out())], if_absent(), 2, 0).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_may_be_lost_as_well() {
    let outage = || {
        vec![
            Step::FailBefore(timed_out()),
            Step::FailBefore(unavailable()),
            Step::FailAfter(lost()),
        ]
    };
    check_settled(outage(), if_absent(), 3, 1).await;
    check_settled(
        outage(),
        UploadOptions::default().with_write_id(WriteId::fresh()),
        3,
        1,
    )
    .await;
    let refused = Step::FailBefore(Error::new(ErrorKind::AccessDenied, "the key was revoked"));
    check_settled(vec![Step::FailAfter(timed_out()), refused], if_absent(), 2, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_spent_stream_is_not_sent_again_but_looked_for() {
    let bench = bench();
    bench
        .script
        .push(OperationKind::Upload, Step::FailAfter(timed_out()));
    let bytes = Bytes::from_static(b"mine");
    bench
        .stack
        .upload(&key("a"), one_shot(&bytes, 3), &if_absent())
        .await
        .expect("it is there");
    assert_eq!(bench.script.count(OperationKind::Upload), 1);
}

#[tokio::test(start_paused = true)]
async fn an_update_is_settled_like_a_creation() {
    let bench = bench();
    let before = bench.put("a", "before").await.etag.expect("a tag");
    bench
        .script
        .push(OperationKind::Upload, Step::FailAfter(timed_out()));
    let options = UploadOptions::default().with_precondition(Precondition::IfMatch(before));
    let metadata = upload(&bench, &options).await.expect("ours");
    assert_eq!(bench.find("a").await.expect("there").0, metadata);
}

/// An upload that must fail like this, with this object left at the key.
async fn check_stands(
    bench: Bench,
    steps: Vec<Step>,
    options: UploadOptions,
    kind: ErrorKind,
    left: Option<&str>,
) {
    let shown = format!("{steps:?}");
    for step in steps {
        bench.script.push(OperationKind::Upload, step);
    }
    let error = upload(&bench, &options).await.expect_err("it must fail");
    assert_eq!(error.kind(), kind, "{shown}: {error}");
    let found = bench.find("a").await.map(|(_, bytes)| bytes);
    assert_eq!(found.as_deref(), left.map(str::as_bytes), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_ours_stands() {
    let other = bench();
    other.put("a", "other").await;
    check_stands(
        other,
        vec![Step::FailBefore(timed_out())],
        if_absent(),
        ErrorKind::AlreadyExists,
        Some("other"),
    )
    .await;
    let outage = || (0..3).map(|_| Step::FailBefore(timed_out())).collect();
    check_stands(bench(), outage(), if_absent(), ErrorKind::Timeout, None).await;
    let other = bench();
    other.put("a", "other").await;
    check_stands(other, outage(), if_absent(), ErrorKind::Timeout, Some("other")).await;
}

#[tokio::test(start_paused = true)]
async fn a_first_answer_is_the_truth() {
    let bench = bench();
    let options = if_absent().with_write_id(WriteId::fresh());
    upload(&bench, &options).await.expect("stored");
    let error = upload(&bench, &options)
        .await
        .expect_err("that it is ours is for the caller to find out");
    assert_eq!(
        (error.kind(), bench.script.count(OperationKind::Metadata)),
        (ErrorKind::AlreadyExists, 0)
    );

    let condition = Precondition::IfMatch(ETag::new("gone"));
    let options = DeleteOptions::default().with_precondition(condition);
    let error = bench
        .stack
        .delete(&key("none"), &options)
        .await
        .expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::PreconditionFailed);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_there_but_not_safe_is_no_success() {
    let not_synced = || Error::new(ErrorKind::OutcomeUnknown, "the folder could not be synced");
    assert_eq!(not_synced().retry(), Retry::No);
    let steps = vec![Step::FailAfter(not_synced())];
    check_stands(
        bench(),
        steps,
        if_absent(),
        ErrorKind::OutcomeUnknown,
        Some("mine"),
    )
    .await;
    let steps = vec![Step::FailBefore(timed_out()), Step::FailAfter(not_synced())];
    check_stands(
        bench(),
        steps,
        if_absent(),
        ErrorKind::OutcomeUnknown,
        Some("mine"),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_a_name_a_conditional_write_is_not_repeated() {
    let steps = vec![Step::FailAfter(timed_out())];
    check_stands(
        without(Capability::WriteId),
        steps,
        if_absent(),
        ErrorKind::Timeout,
        Some("mine"),
    )
    .await;
    let bench = without(Capability::WriteId);
    bench.script.push(
        OperationKind::Upload,
        Step::FailBefore(throttled(Duration::from_secs(1))),
    );
    upload(&bench, &if_absent())
        .await
        .expect("a throttled call did nothing");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_cannot_be_looked_at_leaves_the_outcome_unknown() {
    let bench = bench();
    bench
        .script
        .push(OperationKind::Upload, Step::FailAfter(timed_out()));
    bench
        .script
        .push_times(3, OperationKind::Metadata, || Step::FailBefore(unavailable()));
    let error = upload(&bench, &if_absent()).await.expect_err("nobody knows");
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::OutcomeUnknown, 2));
    assert!(
        error
            .to_string()
            .starts_with("upload of 'a' on provider 'main': "),
        "{error}"
    );
    assert!(error.help().is_some() && std::error::Error::source(&error).is_some());
}

#[tokio::test(start_paused = true)]
async fn only_conditional_writes_are_named_and_a_callers_name_is_kept() {
    let bench = bench();
    assert!(
        upload(&bench, &UploadOptions::default())
            .await
            .expect("stored")
            .write_id
            .is_none()
    );
    let copied = bench
        .stack
        .copy(&key("a"), &key("b"), &CopyOptions::default())
        .await
        .expect("copied");
    assert!(copied.write_id.is_none());
    let conditional = CopyOptions::default().with_precondition(Precondition::IfAbsent);
    let copied = bench
        .stack
        .copy(&key("a"), &key("c"), &conditional)
        .await
        .expect("copied");
    assert!(copied.write_id.is_some());
    let own = WriteId::fresh();
    let options = if_absent().with_write_id(own);
    let stored = bench
        .stack
        .upload(&key("d"), Content::from("x"), &options)
        .await
        .expect("stored");
    assert_eq!(stored.write_id, Some(own));
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_settled() {
    let bench = bench();
    bench.put("a", "source").await;
    bench
        .script
        .push(OperationKind::Copy, Step::FailAfter(timed_out()));
    let options = CopyOptions::default().with_precondition(Precondition::IfAbsent);
    let metadata = bench
        .stack
        .copy(&key("a"), &key("b"), &options)
        .await
        .expect("copied");
    assert_eq!(
        bench.find("b").await.expect("there"),
        (metadata, Bytes::from_static(b"source"))
    );
    let error = bench
        .stack
        .copy(&key("a"), &key("b"), &options)
        .await
        .expect_err("it is there now");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_what_is_gone_before_the_look_is_unknown() {
    let bench = bench();
    bench
        .script
        .push(OperationKind::Upload, Step::FailAfter(timed_out()));
    let slow = Duration::from_secs(10);
    bench.script.push(OperationKind::Metadata, Step::Delay(slow));
    let options = if_absent();
    let delete = async {
        tokio::time::sleep(slow / 2).await;
        let deleted = bench.memory.delete(&key("a"), &DeleteOptions::default()).await;
        assert_eq!(deleted.expect("deleted"), DeleteOutcome::Existed);
    };
    let (uploaded, ()) = futures_util::future::join(upload(&bench, &options), delete).await;
    assert_eq!(uploaded.expect_err("gone").kind(), ErrorKind::OutcomeUnknown);
}

/// Copies over one lost answer, and the source is gone when the second attempt comes.
async fn copy_of_what_went(step: Step, options: &CopyOptions) -> (Bench, Result<ObjectMetadata>) {
    let bench = bench();
    bench.put("a", "source").await;
    bench.script.push(OperationKind::Copy, step);
    let (from, to) = (key("a"), key("b"));
    let copy = bench.stack.copy(&from, &to, options);
    let delete = async {
        // The first attempt is made at once, the second after a wait.
        tokio::task::yield_now().await;
        bench
            .memory
            .delete(&key("a"), &DeleteOptions::default())
            .await
            .expect("deleted");
    };
    let (copied, ()) = futures_util::future::join(copy, delete).await;
    (bench, copied)
}

#[tokio::test(start_paused = true)]
async fn a_copy_whose_source_went_after_it_was_made_is_no_failure() {
    let named = CopyOptions::default().with_write_id(WriteId::fresh());
    let (bench, copied) = copy_of_what_went(Step::FailAfter(timed_out()), &named).await;
    let found = bench.find("b").await.expect("it was made");
    assert_eq!(
        found,
        (
            copied.expect("its own name is there"),
            Bytes::from_static(b"source")
        )
    );
    let (_, copied) = copy_of_what_went(Step::FailBefore(timed_out()), &named).await;
    assert_eq!(copied.expect_err("nothing was made").kind(), ErrorKind::NotFound);
    // Without a name nobody can tell.
    let (_, copied) = copy_of_what_went(Step::FailAfter(timed_out()), &CopyOptions::default()).await;
    let error = copied.expect_err("unknown");
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::OutcomeUnknown, 2));
    let (_, copied) = copy_of_what_went(
        Step::FailBefore(throttled(Duration::from_secs(1))),
        &CopyOptions::default(),
    )
    .await;
    assert_eq!(copied.expect_err("nothing was done").kind(), ErrorKind::NotFound);
}

/// Completes an upload in parts over one lost answer.
async fn complete(bench: &Bench, options: CreateUploadOptions) -> Result<ObjectMetadata> {
    let stack = &bench.stack;
    let precondition = options.precondition.clone();
    let upload = stack.create_upload(&key("a"), &options).await?;
    let place = PartPlace::new(1, 0).last();
    let part = stack
        .upload_part(
            &upload,
            place,
            Content::from("mine"),
            &UploadPartOptions::default(),
        )
        .await?;
    bench
        .script
        .push(OperationKind::CompleteUpload, Step::FailAfter(timed_out()));
    let options = CompleteUploadOptions::default().with_precondition(precondition);
    stack.complete_upload(&upload, &[part], &options).await
}

#[tokio::test(start_paused = true)]
async fn a_completed_upload_is_recognised_though_its_id_is_gone() {
    let named = CreateUploadOptions::default().with_write_id(WriteId::fresh());
    let conditional = CreateUploadOptions::default().with_precondition(Precondition::IfAbsent);
    for options in [named, conditional] {
        let bench = bench();
        let metadata = complete(&bench, options).await.expect("completed");
        assert_eq!(
            bench.find("a").await.expect("there"),
            (metadata, Bytes::from_static(b"mine"))
        );
        assert_eq!(bench.script.count(OperationKind::CompleteUpload), 2);
    }
    let bench = bench();
    let error = complete(&bench, CreateUploadOptions::default())
        .await
        .expect_err("it has no name");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Timeout, Retry::Yes));
    assert_eq!(bench.script.count(OperationKind::CompleteUpload), 1);
}

#[tokio::test(start_paused = true)]
async fn the_look_at_a_completed_upload_is_repeated_too() {
    for (failures, is_ok) in [(2, true), (3, false)] {
        let bench = bench();
        bench.script.push_times(failures, OperationKind::Metadata, || {
            Step::FailBefore(unavailable())
        });
        let named = CreateUploadOptions::default().with_write_id(WriteId::fresh());
        match complete(&bench, named).await {
            Ok(metadata) => assert!(is_ok && bench.find("a").await.expect("there").0 == metadata),
            Err(error) => assert!(!is_ok && error.kind() == ErrorKind::OutcomeUnknown, "{error}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_aborted_upload_stays_unknown() {
    let bench = bench();
    let options = CreateUploadOptions::default().with_write_id(WriteId::fresh());
    let upload = bench
        .stack
        .create_upload(&key("a"), &options)
        .await
        .expect("begun");
    assert_eq!(upload.write_id, options.write_id);
    bench
        .memory
        .abort_upload(&upload, &Default::default())
        .await
        .expect("aborted");
    bench
        .script
        .push(OperationKind::CompleteUpload, Step::FailBefore(timed_out()));
    let error = bench
        .stack
        .complete_upload(&upload, &[], &Default::default())
        .await
        .expect_err("gone");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// Deletes an object, if there is one, over these steps.
async fn check_delete(exists: bool, steps: Vec<Step>, expected: DeleteOutcome) {
    let bench = bench();
    if exists {
        bench.put("a", "x").await;
    }
    let shown = format!("{exists} {steps:?}");
    for step in steps {
        bench.script.push(OperationKind::Delete, step);
    }
    let outcome = bench
        .stack
        .delete(&key("a"), &DeleteOptions::default())
        .await
        .expect("deleted");
    assert_eq!(outcome, expected, "{shown}");
    assert!(bench.find("a").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_delete_never_lies_about_what_was_there() {
    let throttle = || Step::FailBefore(throttled(Duration::from_secs(1)));
    let not_found = || Step::FailBefore(Error::not_found("no such key"));
    check_delete(true, vec![], DeleteOutcome::Existed).await;
    check_delete(false, vec![], DeleteOutcome::Absent).await;
    check_delete(true, vec![Step::FailBefore(timed_out())], DeleteOutcome::Existed).await;
    check_delete(true, vec![Step::FailAfter(timed_out())], DeleteOutcome::Unknown).await;
    check_delete(false, vec![Step::FailAfter(timed_out())], DeleteOutcome::Unknown).await;
    check_delete(true, vec![throttle()], DeleteOutcome::Existed).await;
    check_delete(false, vec![throttle()], DeleteOutcome::Absent).await;
    check_delete(
        true,
        vec![Step::FailAfter(timed_out()), not_found()],
        DeleteOutcome::Unknown,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_conditional_delete_is_settled_by_a_look() {
    for (is_overwritten, step) in [
        (false, Step::FailAfter(timed_out())),
        (true, Step::FailBefore(timed_out())),
    ] {
        let bench = bench();
        let etag = bench.put("a", "x").await.etag.expect("a tag");
        if is_overwritten {
            bench.put("a", "newer").await;
        }
        bench.script.push(OperationKind::Delete, step);
        let options = DeleteOptions::default().with_precondition(Precondition::IfMatch(etag));
        match bench.stack.delete(&key("a"), &options).await {
            Ok(outcome) => assert!(!is_overwritten && outcome == DeleteOutcome::Unknown),
            Err(error) => {
                assert!(is_overwritten, "{error}");
                assert_eq!(error.kind(), ErrorKind::PreconditionFailed);
                assert_eq!(&bench.find("a").await.expect("kept").1[..], b"newer");
            }
        }
    }
}
