//! Chance: rates are kept, seeds repeat, a broken upload spends its content, capabilities say what is no longer true.

use boards_storage_core::{
    CallOptions, Capability, Content, DownloadOptions, Error, ErrorKind, OperationKind, Result, StorageKey,
    StorageProvider, UploadOptions,
};
use boards_storage_testkit::faults::{FaultKind, FaultProfile, Faults, Injected};
use boards_storage_testkit::{MemoryProvider, Step};
use bytes::Bytes;

fn key(text: &str) -> StorageKey {
    StorageKey::parse(text).expect("a valid key")
}

/// Makes the same calls with a seed, and returns what happened to them.
async fn run(seed: u64) -> (Vec<Injected>, Vec<Option<ErrorKind>>) {
    let profile = FaultProfile::honest(0.4)
        .without(FaultKind::Stall)
        .without(FaultKind::StallAfter)
        .without(FaultKind::StallStream);
    let faults = Faults::new(seed, profile);
    let provider = faults.over(MemoryProvider::new());
    let mut answers = Vec::new();
    for number in 0..50_usize {
        let name = key(&format!("{}", number % 7));
        let content = Content::from(vec![7; number * 10]);
        let stored = provider.upload(&name, content, &UploadOptions::default()).await;
        answers.push(stored.err().map(|error| error.kind()));
        let read = async {
            let download = provider.download(&name, &DownloadOptions::default()).await?;
            download.into_object()?.bytes(1000).await
        };
        answers.push(read.await.err().map(|error: Error| error.kind()));
    }
    (faults.injected(), answers)
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_is_the_same_run_and_another_is_not() {
    let first = run(11).await;
    assert_eq!(run(11).await, first);
    assert_ne!(run(12).await, first);
    assert!(first.0.len() > 10, "{}", first.0.len());
}

#[tokio::test(start_paused = true)]
async fn rates_are_kept() {
    let profile = FaultProfile::none()
        .with_on(OperationKind::Exists, FaultKind::ErrorBefore, 0.25)
        .with_on(OperationKind::Exists, FaultKind::Throttle, 0.05);
    let faults = Faults::new(5, profile);
    let provider = faults.over(MemoryProvider::new());
    for _ in 0..10_000 {
        let _some_fail = provider.exists(&key("a"), &CallOptions::default()).await;
    }
    let counts = faults.counts();
    let errors = counts[&(OperationKind::Exists, "error_before")];
    let throttled = counts[&(OperationKind::Exists, "throttle")];
    assert!(
        (2300..2700).contains(&errors) && (420..580).contains(&throttled),
        "{counts:?}"
    );
    assert_eq!(faults.injected().len() as u64, errors + throttled);
}

#[tokio::test]
async fn what_is_asked_for_comes_first_and_calm_ends_everything() -> Result<()> {
    let faults = Faults::new(1, FaultProfile::none().with(FaultKind::ErrorBefore, 1.0));
    let provider = faults.over(MemoryProvider::new());
    faults.push(OperationKind::Exists, Step::Pass);
    faults.push(
        OperationKind::Exists,
        Step::FailAfter(Error::new(ErrorKind::Rejected, "asked for")),
    );
    let exists = async || provider.exists(&key("a"), &CallOptions::default()).await;
    assert!(!exists().await?);
    assert_eq!(exists().await.expect_err("asked for").kind(), ErrorKind::Rejected);
    assert_ne!(exists().await.expect_err("by chance").kind(), ErrorKind::Rejected);
    let names: Vec<_> = faults.injected().iter().map(|injected| injected.fault).collect();
    assert_eq!(names, ["fail_after", "error_before"]);
    faults.push(OperationKind::Exists, Step::Stall);
    assert_eq!(faults.steps_left(), 1);
    faults.calm();
    assert!(!exists().await?);
    Ok(())
}

#[tokio::test]
async fn content_that_was_spent_and_is_sent_again_is_counted() {
    let faults = Faults::new(1, FaultProfile::none().with(FaultKind::BreakUpload, 1.0));
    let provider = faults.over(MemoryProvider::new());
    let content = Content::from_stream(None, futures_util::stream::iter([Ok(Bytes::from("abc"))]));
    for spent in 0..3 {
        assert_eq!(faults.spent_contents(), spent.max(1) - 1);
        let options = UploadOptions::default();
        assert!(
            provider
                .upload(&key("a"), content.clone(), &options)
                .await
                .is_err()
        );
    }
    assert_eq!(faults.spent_contents(), 2);
}

#[test]
fn whoever_flips_bits_promises_no_verified_reads() {
    let has = |profile| {
        let stack = Faults::new(1, profile).over(MemoryProvider::new());
        stack.capabilities().has(Capability::VerifiedRead)
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let _inside = runtime.enter();
    assert!(has(FaultProfile::honest(0.5)));
    assert!(!has(FaultProfile::honest(0.5).with(FaultKind::WrongBytes, 0.1)));
}
