//! A delete of many keys, of which some fail for a moment.

use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{
    DeleteOptions, DeleteOutcome, DeletedKey, Error, ErrorKind, Operation, OperationKind, Outcome, Result,
    Retry, StorageProvider,
};
use boards_storage_layers::RetryConfig;
use boards_storage_testkit::Step;
use parking_lot::Mutex;

use crate::support::{Bench, key, throttled, timed_out, unavailable};

type Answer = fn() -> Result<DeleteOutcome>;

/// Deletes `a`, `b` and `c` by a store that gives these answers, key by key, call by call. Returns the outcomes and
/// the keys of each call.
async fn run(answers: &'static [&'static [Answer]]) -> (Vec<DeletedKey>, Vec<String>) {
    let bench = Bench::with_retry(RetryConfig::default());
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&calls);
    bench.script.otherwise(move |operation| {
        let Operation::DeleteMany { keys, .. } = operation else {
            return Step::Pass;
        };
        let mut seen = seen.lock();
        let answers = answers[seen.len()];
        seen.push(keys.iter().map(|key| key.as_str()).collect::<String>());
        let pairs = keys.iter().zip(answers);
        Step::Answer(Outcome::DeleteMany(
            pairs
                .map(|(key, answer)| DeletedKey {
                    key: key.clone(),
                    outcome: answer(),
                })
                .collect(),
        ))
    });
    let keys = ["a", "b", "c"].map(key);
    let deleted = bench
        .stack
        .delete_many(&keys, &DeleteOptions::default())
        .await
        .expect("answered");
    assert!(
        deleted.iter().map(|deleted| &deleted.key).eq(&keys),
        "in the order of the keys"
    );
    let calls = calls.lock().clone();
    (deleted, calls)
}

const EXISTED: Answer = || Ok(DeleteOutcome::Existed);
const ABSENT: Answer = || Ok(DeleteOutcome::Absent);
const RESET: Answer = || Err(unavailable());
const SLOW: Answer = || Err(throttled(Duration::from_secs(1)));
const DENIED: Answer = || Err(Error::new(ErrorKind::AccessDenied, "no"));

#[tokio::test(start_paused = true)]
async fn only_the_keys_that_failed_for_a_moment_are_sent_again() {
    let (deleted, calls) = run(&[&[EXISTED, RESET, DENIED], &[EXISTED]]).await;
    assert_eq!(calls, ["abc", "b"]);
    assert_eq!(deleted[0].outcome.as_ref().ok(), Some(&DeleteOutcome::Existed));
    assert_eq!(deleted[1].outcome.as_ref().ok(), Some(&DeleteOutcome::Existed));
    assert_eq!(
        deleted[2].outcome.as_ref().expect_err("denied").kind(),
        ErrorKind::AccessDenied
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_that_may_have_been_removed_before_is_not_called_absent() {
    let (deleted, calls) = run(&[&[RESET, SLOW, EXISTED], &[ABSENT, ABSENT]]).await;
    assert_eq!(calls, ["abc", "ab"]);
    let outcomes: Vec<_> = deleted
        .iter()
        .map(|deleted| *deleted.outcome.as_ref().expect("gone"))
        .collect();
    assert_eq!(
        outcomes,
        [
            DeleteOutcome::Unknown,
            DeleteOutcome::Absent,
            DeleteOutcome::Existed
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn keys_that_keep_failing_are_exhausted_one_by_one() {
    let (deleted, calls) = run(&[&[RESET, EXISTED, RESET], &[RESET, RESET], &[RESET, EXISTED]]).await;
    assert_eq!(calls, ["abc", "ac", "ac"]);
    let error = deleted[0].outcome.as_ref().expect_err("an outage");
    assert_eq!((error.retry(), error.attempts()), (Retry::Exhausted, 3));
    assert!(deleted[1].outcome.is_ok() && deleted[2].outcome.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_as_a_whole_is_one_error_unless_some_keys_are_known() {
    let bench = Bench::with_retry(RetryConfig::default());
    bench.script.otherwise(|_| Step::FailBefore(timed_out()));
    let keys = ["a", "b"].map(key);
    let error = bench
        .stack
        .delete_many(&keys, &DeleteOptions::default())
        .await
        .expect_err("an outage");
    assert_eq!(
        (error.kind(), error.retry(), error.attempts()),
        (ErrorKind::Timeout, Retry::Exhausted, 3)
    );

    let answer = || {
        Outcome::DeleteMany(vec![
            DeletedKey {
                key: key("a"),
                outcome: EXISTED(),
            },
            DeletedKey {
                key: key("b"),
                outcome: RESET(),
            },
        ])
    };
    bench
        .script
        .push(OperationKind::DeleteMany, Step::Answer(answer()));
    let deleted = bench
        .stack
        .delete_many(&keys, &DeleteOptions::default())
        .await
        .expect("one is known");
    assert!(deleted[0].outcome.is_ok());
    let error = deleted[1].outcome.as_ref().expect_err("the outage goes on");
    assert_eq!(
        (error.kind(), error.retry(), error.attempts()),
        (ErrorKind::Timeout, Retry::Exhausted, 3)
    );
    assert_eq!(error.key(), Some(&key("b")));
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_another_number_of_keys_is_refused() {
    let bench = Bench::with_retry(RetryConfig::default());
    bench.script.push(
        OperationKind::DeleteMany,
        Step::Answer(Outcome::DeleteMany(Vec::new())),
    );
    let error = bench
        .stack
        .delete_many(&[key("a")], &DeleteOptions::default())
        .await
        .expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
}
