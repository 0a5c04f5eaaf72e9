//! Streams that break on the way.

use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{
    ByteRange, CallContext, Capability, Checksum, ChecksumAlgorithm, Download, DownloadOptions,
    DownloadOutcome, ETag, Error, ErrorKind, ListEntry, ListOptions, ObjectMetadata, Operation,
    OperationKind, Outcome, Result, Retry, StorageProvider,
};
use boards_storage_layers::{RetryConfig, RetryLayer};
use boards_storage_testkit::{MemoryProvider, Step};
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use crate::support::{Bench, key, sample, throttled, timed, unavailable};

const SIZE: usize = 700_000;
const END: u64 = 700_000;

fn bench() -> Bench {
    Bench::with_retry(RetryConfig::default())
}

fn without(capabilities: &[Capability]) -> Bench {
    let memory = MemoryProvider::builder().without(capabilities).build();
    Bench::over(memory, vec![Arc::new(RetryLayer::default())])
}

fn push(bench: &Bench, step: Step) {
    bench.script.push(OperationKind::Download, step);
}

async fn read(bench: &Bench, options: DownloadOptions) -> Result<Bytes> {
    bench.download("a", options).await?.bytes(SIZE).await
}

/// Breaks the download after so many bytes each time. Every byte must arrive once, and each resumption must ask for
/// exactly what is missing of the first answer's state.
async fn check_resumed(range: Option<ByteRange>, breaks: &[u64]) {
    let bench = bench();
    let bytes = sample(SIZE);
    let etag = bench.put("a", bytes.clone()).await.etag;
    breaks
        .iter()
        .for_each(|after| push(&bench, Step::BreakStream(*after, unavailable())));
    let mut options = DownloadOptions::default();
    options.range = range;
    let whole = range.map_or(0..END, |range| range.resolve(END).expect("inside"));
    let expected =
        bytes.slice(usize::try_from(whole.start).expect("small")..usize::try_from(whole.end).expect("small"));
    assert_eq!(
        read(&bench, options).await.expect("resumed"),
        expected,
        "{range:?} {breaks:?}"
    );

    let calls = bench.script.calls();
    let mut offset = whole.start;
    for (call, after) in calls.iter().skip(1).zip(breaks) {
        offset += after;
        assert_eq!(
            call.range,
            Some(ByteRange::from(offset..whole.end)),
            "{range:?} {breaks:?}"
        );
        assert_eq!((&call.if_match, call.attempt), (&etag, 2));
    }
    assert_eq!(calls.len(), breaks.len() + 1, "{range:?} {breaks:?}");
}

#[tokio::test(start_paused = true)]
async fn a_download_goes_on_at_its_offset() {
    check_resumed(None, &[]).await;
    check_resumed(None, &[1]).await;
    check_resumed(None, &[262_144]).await;
    check_resumed(None, &[300_000, 262_143, 1]).await;
    check_resumed(None, &[END - 1]).await;
    check_resumed(None, &[10; 30]).await;
    check_resumed(Some(ByteRange::from(100..500_000)), &[7, 400_000]).await;
    check_resumed(Some(ByteRange::from(699_000..)), &[999]).await;
    check_resumed(Some(ByteRange::suffix(5)), &[1, 1, 1, 1]).await;
}

#[tokio::test(start_paused = true)]
async fn a_break_before_the_first_byte_or_after_the_last_is_no_loss() {
    for after in [0, END] {
        let bench = bench();
        bench.put("a", sample(SIZE)).await;
        push(&bench, Step::BreakStream(after, unavailable()));
        assert_eq!(
            read(&bench, DownloadOptions::default()).await.expect("whole"),
            sample(SIZE)
        );
        assert_eq!(bench.calls(), if after == 0 { 2 } else { 1 });
    }
}

/// A broken read that must fail like this after so many calls.
async fn check_fails(bench: Bench, steps: Vec<Step>, kind: ErrorKind, retry: Retry, calls: usize) {
    bench.put("a", sample(SIZE)).await;
    let shown = format!("{steps:?}");
    steps.into_iter().for_each(|step| push(&bench, step));
    let error = read(&bench, DownloadOptions::default())
        .await
        .expect_err("it must fail");
    assert_eq!((error.kind(), error.retry()), (kind, retry), "{shown}: {error}");
    assert_eq!(bench.calls(), calls, "{shown}");
}

fn broken(after: u64) -> Step {
    Step::BreakStream(after, unavailable())
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_does_not_move_on_is_given_up() {
    let unavailable_kind = ErrorKind::ProviderUnavailable;
    let fail = || Step::FailBefore(unavailable());
    check_fails(
        bench(),
        vec![broken(5), broken(0), broken(0)],
        unavailable_kind,
        Retry::Exhausted,
        3,
    )
    .await;
    check_fails(
        bench(),
        vec![broken(5), fail(), broken(0)],
        unavailable_kind,
        Retry::Exhausted,
        3,
    )
    .await;
    check_fails(
        bench(),
        vec![broken(5), fail(), fail(), broken(5)],
        unavailable_kind,
        Retry::Exhausted,
        3,
    )
    .await;
    let two = Bench::with_retry(RetryConfig::default().with_resumes_max(2));
    check_fails(
        two,
        vec![broken(5), broken(5), broken(5)],
        unavailable_kind,
        Retry::Exhausted,
        3,
    )
    .await;
    let none = Bench::with_retry(RetryConfig::default().with_resumes_max(0));
    check_fails(none, vec![broken(5)], unavailable_kind, Retry::Yes, 1).await;
    let poor = Bench::with_retry(RetryConfig::default().with_budget_tokens_max(14));
    check_fails(
        poor,
        vec![broken(5), broken(5)],
        unavailable_kind,
        Retry::Exhausted,
        2,
    )
    .await;
    let long = Step::BreakStream(5, throttled(Duration::from_hours(1)));
    check_fails(bench(), vec![long], ErrorKind::RateLimited, Retry::Exhausted, 1).await;
    let once = Bench::with_retry(RetryConfig::default().with_attempts_max(1));
    check_fails(once, vec![broken(5)], unavailable_kind, Retry::Yes, 1).await;
}

#[tokio::test(start_paused = true)]
async fn empty_pieces_are_no_progress() {
    let bench = bench();
    let metadata = bench.put("a", sample(SIZE)).await;
    bench.script.otherwise(move |operation| {
        let Operation::Download { options, .. } = operation else {
            return Step::Pass;
        };
        let range = options
            .range
            .map_or(0..END, |range| range.resolve(END).expect("inside"));
        let pieces = [Ok(Bytes::new()), Err(unavailable())];
        let download = Download::from_stream(metadata.clone(), range, Box::pin(stream::iter(pieces)));
        Step::Answer(Outcome::Download(Box::new(DownloadOutcome::Object(download))))
    });
    let error = read(&bench, DownloadOptions::default())
        .await
        .expect_err("it never moves on");
    assert_eq!(
        (error.retry(), error.attempts(), bench.calls()),
        (Retry::Exhausted, 3, 3)
    );
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_stream_counts_from_where_it_last_moved_on() {
    let config = RetryConfig::default()
        .with_attempts_max(100)
        .with_time_max(Duration::from_secs(60));
    let bench = Bench::with_retry(config);
    bench.put("a", sample(SIZE)).await;
    let wait = || throttled(Duration::from_secs(25));
    // Two waits, a piece, and then only two more.
    [5, 0, 5]
        .into_iter()
        .for_each(|after| push(&bench, Step::BreakStream(after, wait())));
    bench.script.otherwise(move |_| Step::BreakStream(0, wait()));
    let (result, took) = timed(read(&bench, DownloadOptions::default())).await;
    assert_eq!(result.expect_err("an outage").attempts(), 3);
    assert_eq!((took, bench.calls()), (Duration::from_secs(100), 5));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_cured_by_reading_on_ends_the_stream() {
    let damaged = Error::new(ErrorKind::Corruption, "bad bytes").with_retry(Retry::Yes);
    check_fails(
        bench(),
        vec![Step::BreakStream(5, damaged)],
        ErrorKind::Corruption,
        Retry::Yes,
        1,
    )
    .await;
    let late = Error::new(ErrorKind::Corruption, "the checksum is another");
    check_fails(
        bench(),
        vec![Step::BreakStream(END, late)],
        ErrorKind::Corruption,
        Retry::No,
        1,
    )
    .await;
    let denied = || Error::new(ErrorKind::AccessDenied, "no");
    check_fails(
        bench(),
        vec![Step::BreakStream(5, denied())],
        ErrorKind::AccessDenied,
        Retry::No,
        1,
    )
    .await;
    let steps = vec![broken(5), Step::FailBefore(denied())];
    check_fails(bench(), steps, ErrorKind::AccessDenied, Retry::No, 2).await;
}

#[tokio::test(start_paused = true)]
async fn without_ranges_or_conditional_reads_the_error_passes() {
    for capability in [Capability::Range, Capability::ConditionalDownload] {
        let (kind, retry) = (ErrorKind::ProviderUnavailable, Retry::Yes);
        check_fails(without(&[capability]), vec![broken(5)], kind, retry, 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_resumed_read_never_mixes_two_states() {
    for is_removed in [false, true] {
        let bench = bench();
        bench.put("a", sample(SIZE)).await;
        push(&bench, broken(300_000));
        let mut pieces = bench
            .download("a", DownloadOptions::default())
            .await
            .expect("open")
            .into_stream();
        pieces.next().await.expect("a piece").expect("bytes");
        if is_removed {
            bench
                .memory
                .delete(&key("a"), &Default::default())
                .await
                .expect("deleted");
        } else {
            bench.put("a", vec![7; SIZE]).await;
        }
        let rest: Vec<_> = pieces.collect().await;
        let error = rest.last().expect("more").as_ref().expect_err("it is gone");
        let expected = if is_removed {
            ErrorKind::NotFound
        } else {
            ErrorKind::PreconditionFailed
        };
        assert_eq!(error.kind(), expected);
    }
}

/// Lets the store answer the resumption of a read that broke after 10 bytes.
async fn check_answer(
    range: ByteRange,
    change: fn(ObjectMetadata, Bytes) -> Download,
    expected: Result<(), ErrorKind>,
) {
    let bench = bench();
    let bytes = sample(SIZE);
    let metadata = bench.put("a", bytes.clone()).await;
    push(&bench, broken(10));
    let answer = DownloadOutcome::Object(change(metadata, bytes.clone()));
    push(&bench, Step::Answer(Outcome::Download(Box::new(answer))));
    let mut options = DownloadOptions::default();
    let whole = range.resolve(END).expect("inside");
    if whole != (0..END) {
        options = options.with_range(range);
    }
    let result = read(&bench, options).await;
    assert_eq!(result.map(drop).map_err(|error| error.kind()), expected);
}

#[tokio::test(start_paused = true)]
async fn a_resumption_must_be_of_the_same_object_and_range() {
    let whole = || ByteRange::from(0..);
    check_answer(
        whole(),
        |m, b| Download::from_bytes(m, 10..END, b.slice(10..)),
        Ok(()),
    )
    .await;
    check_answer(
        whole(),
        |m, b| Download::from_bytes(m, 0..END, b),
        Err(ErrorKind::Storage),
    )
    .await;
    let other_tag = |mut m: ObjectMetadata, b: Bytes| {
        m.etag = Some(ETag::new("other"));
        Download::from_bytes(m, 10..END, b.slice(10..))
    };
    check_answer(whole(), other_tag, Err(ErrorKind::PreconditionFailed)).await;
    let no_tag = |mut m: ObjectMetadata, b: Bytes| {
        m.etag = None;
        Download::from_bytes(m, 10..END, b.slice(10..))
    };
    check_answer(whole(), no_tag, Err(ErrorKind::PreconditionFailed)).await;
    let other_size = |mut m: ObjectMetadata, b: Bytes| {
        m.size_bytes += 1;
        Download::from_bytes(m, 10..END, b.slice(10..))
    };
    check_answer(whole(), other_size, Err(ErrorKind::PreconditionFailed)).await;
}

#[tokio::test(start_paused = true)]
async fn a_resumed_read_of_the_whole_stays_verified() {
    let damaged = |metadata: ObjectMetadata, bytes: Bytes| {
        let mut rest = bytes[10..].to_vec();
        rest[SIZE / 2] ^= 1;
        Download::from_bytes(metadata, 10..END, rest.into())
    };
    check_answer(ByteRange::from(0..), damaged, Err(ErrorKind::Corruption)).await;
}

#[tokio::test(start_paused = true)]
async fn an_object_whose_checksum_cannot_be_followed_is_resumed_only_in_parts() {
    let first = |is_whole: bool| {
        let mut metadata = ObjectMetadata::new(key("a"), END);
        metadata.etag = Some(ETag::new("tag"));
        metadata.checksum = Some(Checksum::new(ChecksumAlgorithm::Md5, vec![0; 16]).expect("a checksum"));
        let end = if is_whole { END } else { 100 };
        let broken = stream::iter([Ok(sample(SIZE).slice(..10)), Err(unavailable())]);
        let download = Download::from_stream(metadata.clone(), 0..end, Box::pin(broken));
        (
            Outcome::Download(Box::new(DownloadOutcome::Object(download))),
            metadata,
        )
    };
    for is_whole in [true, false] {
        let bench = bench();
        let (answer, metadata) = first(is_whole);
        push(&bench, Step::Answer(answer));
        let rest = Download::from_bytes(metadata, 10..100, sample(SIZE).slice(10..100));
        push(
            &bench,
            Step::Answer(Outcome::Download(Box::new(DownloadOutcome::Object(rest)))),
        );
        let result = read(&bench, DownloadOptions::default()).await;
        assert_eq!(result.is_ok(), !is_whole, "{result:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_too_early_is_gone_on_with_and_one_too_long_is_refused() {
    for (length, extra) in [(10, 0), (SIZE, 1)] {
        let bench = bench();
        let metadata = bench.put("a", sample(SIZE)).await;
        let pieces = [Ok(sample(SIZE).slice(..length)), Ok(sample(extra))];
        let lying = Download::from_stream(metadata, 0..END, Box::pin(stream::iter(pieces)));
        push(
            &bench,
            Step::Answer(Outcome::Download(Box::new(DownloadOutcome::Object(lying)))),
        );
        let download = bench
            .download("a", DownloadOptions::default())
            .await
            .expect("open");
        let pieces: Vec<_> = download.into_stream().collect().await;
        match pieces.last().expect("pieces") {
            Ok(_) => assert_eq!((bench.calls(), extra), (2, 0)),
            Err(error) => assert_eq!((error.kind(), extra), (ErrorKind::Corruption, 1)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_bounds_the_waits_of_a_stream() {
    let bench = bench();
    bench.put("a", sample(SIZE)).await;
    push(&bench, Step::BreakStream(5, throttled(Duration::from_secs(10))));
    let context = CallContext::default().with_deadline_in(Duration::from_secs(9));
    let error = read(&bench, DownloadOptions::default().with_context(context))
        .await
        .expect_err("too long a wait");
    assert_eq!((error.retry(), bench.calls()), (Retry::Exhausted, 1));
}

/// Breaks a listing after so many entries each time; it must be the same as the unbroken one.
async fn check_listed(options: ListOptions, breaks: &[u64]) {
    let bench = bench();
    for name in ["a", "b/1", "b/2", "c", "d/1", "d/2/x", "e", "f"] {
        bench.put(name, "x").await;
    }
    let expected = bench.names(options.clone()).await.expect("healthy");
    for after in breaks {
        bench.script.push(OperationKind::List, broken(*after));
    }
    assert_eq!(
        bench.names(options.clone()).await.expect("resumed"),
        expected,
        "{options:?} {breaks:?}"
    );
    assert_eq!(bench.script.steps_left(), 0, "{breaks:?}");
}

#[tokio::test(start_paused = true)]
async fn a_listing_goes_on_after_its_last_name() {
    let all = ListOptions::default;
    for breaks in [&[0_u64][..], &[1], &[2, 3, 1], &[7, 1], &[8], &[1; 8], &[0, 0, 8]] {
        check_listed(all(), breaks).await;
        check_listed(all().with_limit(8), breaks).await;
    }
    for breaks in [&[1_u64][..], &[2, 1], &[2, 0, 1]] {
        check_listed(all().with_delimiter("/"), breaks).await;
        check_listed(all().with_delimiter("/").with_limit(4), breaks).await;
        check_listed(all().with_start_after("b/1").with_limit(4), breaks).await;
    }
    check_listed(all().with_limit(2), &[2]).await;
    check_listed(all().with_prefix("d/"), &[1]).await;
}

#[tokio::test(start_paused = true)]
async fn without_start_after_a_listing_is_taken_up_only_at_its_beginning() {
    for (after, is_ok) in [(0, true), (1, false)] {
        let bench = without(&[Capability::ListStartAfter]);
        bench.put("a", "x").await;
        bench.put("b", "x").await;
        bench.script.push(OperationKind::List, broken(after));
        assert_eq!(bench.names(ListOptions::default()).await.is_ok(), is_ok);
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_goes_back_is_refused() {
    let bench = bench();
    bench.put("a", "x").await;
    bench.put("b", "x").await;
    bench.script.push(OperationKind::List, broken(1));
    let again = stream::iter([Ok(ListEntry::Object(Box::new(ObjectMetadata::new(key("a"), 1))))]);
    bench
        .script
        .push(OperationKind::List, Step::Answer(Outcome::List(Box::pin(again))));
    let error = bench
        .names(ListOptions::default())
        .await
        .expect_err("twice the same");
    assert_eq!(error.kind(), ErrorKind::Storage);
}

#[tokio::test(start_paused = true)]
async fn without_the_layer_a_broken_stream_stays_broken() {
    for (bench, is_helped) in [(bench(), true), (Bench::new(Vec::new()), false)] {
        bench.put("a", sample(SIZE)).await;
        push(&bench, broken(5));
        bench.script.push(OperationKind::List, broken(0));
        assert_eq!(read(&bench, DownloadOptions::default()).await.is_ok(), is_helped);
        assert_eq!(bench.names(ListOptions::default()).await.is_ok(), is_helped);
    }
}
