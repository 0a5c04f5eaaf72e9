//! Who may begin, who waits, and how fast bytes flow.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use boards_storage_core::{
    CallOptions, Content, DownloadOptions, ErrorKind, ListOptions, OperationKind, Result, StorageProvider,
    UploadOptions,
};
use boards_storage_layers::{LimitsConfig, LimitsLayer, Refusal};
use boards_storage_testkit::Step;
use futures_util::future::{BoxFuture, join_all};
use futures_util::{StreamExt, poll};
use proptest::prelude::{Just, Strategy, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use tokio::time::{Instant, advance};

use crate::support::{Bench, key, one_shot, sample, timed};

const SECOND: Duration = Duration::from_secs(1);

fn bench(config: LimitsConfig) -> Bench {
    Bench::new(vec![Arc::new(LimitsLayer::new(config))])
}

async fn exists(bench: &Bench) -> Result<bool> {
    bench.stack.exists(&key("a"), &CallOptions::default()).await
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_run_than_may_and_the_first_that_waits_is_the_first() {
    let bench = bench(LimitsConfig::default().with_concurrency(2));
    bench.script.otherwise(|_| Step::Delay(SECOND));
    let started = Instant::now();
    let calls = (0..6).map(|_| async {
        exists(&bench).await.expect("its turn comes");
        started.elapsed()
    });
    let ends = join_all(calls).await;
    assert_eq!(ends, [1, 1, 2, 2, 3, 3].map(|seconds| seconds * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_ours_and_names_the_setting() {
    let config = LimitsConfig::default()
        .with_concurrency(1)
        .with_queue_length(1)
        .with_queue_time(3 * SECOND);
    let bench = bench(config);
    bench.script.otherwise(|_| Step::Delay(10 * SECOND));
    let (running, waiting) = (exists(&bench), exists(&bench));
    let (mut running, mut waiting) = (Box::pin(running), Box::pin(waiting));
    assert!(poll!(&mut running).is_pending() && poll!(&mut waiting).is_pending());
    for (result, refusal, setting) in [
        (exists(&bench).await, Refusal::QueueFull, "queue_length"),
        (waiting.await, Refusal::QueueTimeout, "queue_time"),
    ] {
        let error = result.expect_err("refused");
        assert_eq!(
            (error.kind(), Refusal::of(&error)),
            (ErrorKind::RateLimited, Some(refusal))
        );
        assert!(error.retry().is_wanted());
        assert_eq!((error.provider(), error.key()), (Some("main"), Some(&key("a"))));
        assert!(
            error.help().expect("help").contains(setting),
            "{:?}",
            error.help()
        );
    }
    assert_eq!(bench.calls(), 1, "nothing was sent");
    running.await.expect("answered");
}

#[tokio::test(start_paused = true)]
async fn a_probe_does_not_wait() {
    let bench = bench(LimitsConfig::default().with_concurrency(1).with_queue_length(0));
    bench.script.push(OperationKind::Exists, Step::Stall);
    let mut running = Box::pin(exists(&bench));
    assert!(poll!(&mut running).is_pending());
    exists(&bench).await.expect_err("full");
    bench.stack.probe(&CallOptions::default()).await.expect("passes");
}

#[tokio::test(start_paused = true)]
async fn a_stream_holds_its_permit_until_it_ends_fails_or_is_dropped() {
    let bench = bench(LimitsConfig::default().with_concurrency(1).with_queue_length(0));
    bench.put("a", sample(1000)).await;
    let options = ListOptions::default();
    let mut read = bench.stack.list(&options).await.expect("opened");
    exists(&bench).await.expect_err("it holds the permit");
    while read.next().await.is_some() {}
    exists(&bench)
        .await
        .expect("it has ended, though it is still there");
    let dropped = bench.stack.list(&options).await.expect("opened");
    drop(dropped);
    exists(&bench).await.expect("it was dropped");
    let broken = Step::BreakStream(10, boards_storage_core::Error::not_found("gone"));
    bench.script.push(OperationKind::Download, broken);
    let download = bench.download("a", DownloadOptions::default()).await;
    let mut pieces = download.expect("opened").into_stream();
    exists(&bench).await.expect_err("it holds the permit");
    while let Some(Ok(_)) = pieces.next().await {}
    exists(&bench).await.expect("it has failed");
}

#[tokio::test(start_paused = true)]
async fn calls_begin_at_their_rate_and_a_tenth_of_them_at_once() {
    let config = LimitsConfig::default().with_requests_per_second(20);
    let bench = bench(config);
    let started = Instant::now();
    let calls = (0..22).map(|_| async {
        exists(&bench).await.expect("its turn comes");
        started.elapsed().as_millis()
    });
    let ends = join_all(calls).await;
    // Two at once, then one each 50 ms.
    let expected: Vec<u128> = [0, 0]
        .into_iter()
        .chain((1..=20).map(|number| number * 50))
        .collect();
    for (end, expected) in ends.iter().zip(&expected) {
        assert!(end.abs_diff(*expected) <= 2, "{ends:?} instead of {expected:?}");
    }
}

/// Runs so many transfers at once, each of 100,000 bytes at 100,000 bytes a second, and checks how long they take.
async fn check_pace(count: u32, transfer: impl AsyncFn(&Bench, u32)) {
    let config = LimitsConfig::default()
        .with_upload_bytes_per_second(100_000)
        .with_download_bytes_per_second(100_000);
    let bench = bench(config);
    bench.put("a", sample(100_000)).await;
    let transfers = (0..count).map(|number| timed(transfer(&bench, number)));
    let times: Vec<Duration> = join_all(transfers)
        .await
        .into_iter()
        .map(|(_, time)| time)
        .collect();
    let total = times.iter().max().copied().expect("one");
    let expected = count * SECOND;
    assert!(total.abs_diff(expected) < SECOND / 10, "{count}: {times:?}");
    // All moved on together.
    let fastest = times.iter().min().copied().expect("one");
    assert!(total - fastest < SECOND / 5, "{count}: {times:?}");
}

#[tokio::test(start_paused = true)]
async fn bytes_flow_at_their_rate_and_streams_share_it() {
    for count in [1, 4] {
        check_pace(count, async |bench, number| {
            let content = Content::from_bytes(sample(100_000));
            let metadata = bench
                .stack
                .upload(&key(&format!("b{number}")), content, &UploadOptions::default())
                .await;
            assert_eq!(metadata.expect("stored").size_bytes, 100_000);
        })
        .await;
        check_pace(count, async |bench, number| {
            let content = one_shot(&sample(100_000), 30_000);
            let key = key(&format!("b{number}"));
            bench
                .stack
                .upload(&key, content, &UploadOptions::default())
                .await
                .expect("stored");
        })
        .await;
        check_pace(count, async |bench, _| {
            // A break that never comes makes it a stream.
            bench.script.push(
                OperationKind::Download,
                Step::BreakStream(200_000, crate::support::unavailable()),
            );
            let download = bench.download("a", DownloadOptions::default()).await;
            let mut pieces = download.expect("opened").into_stream();
            let mut read = 0;
            while read < 100_000 {
                read += pieces.next().await.expect("more").expect("bytes").len();
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn small_transfers_are_paced_too() {
    let config = LimitsConfig::default()
        .with_upload_bytes_per_second(32_000)
        .with_download_bytes_per_second(32_000);
    let bench = bench(config);
    let (_, up) = timed(async {
        for _ in 0..65 {
            let content = Content::from_bytes(sample(1000));
            bench
                .stack
                .upload(&key("a"), content, &UploadOptions::default())
                .await
                .expect("stored");
        }
    })
    .await;
    assert!(up.abs_diff(2 * SECOND) < SECOND / 10, "{up:?}");
    let (_, down) = timed(async {
        for _ in 0..65 {
            let download = bench.download("a", DownloadOptions::default()).await;
            assert_eq!(
                download.expect("opened").bytes(1000).await.expect("read").len(),
                1000
            );
        }
    })
    .await;
    assert!(down.abs_diff(2 * SECOND - SECOND / 10) < SECOND / 20, "{down:?}");
}

#[tokio::test(start_paused = true)]
async fn without_the_layer_everything_runs_at_once() {
    for (bench, expected) in [
        (bench(LimitsConfig::default().with_concurrency(1)), 10),
        (Bench::new(Vec::new()), 1),
    ] {
        bench.script.otherwise(|_| Step::Delay(SECOND));
        let (results, took) = timed(join_all((0..10).map(|_| exists(&bench)))).await;
        assert!(results.iter().all(Result::is_ok));
        assert_eq!(took, expected * SECOND);
    }
}

/// One step of a program over the queue.
#[derive(Clone, Debug)]
enum Move {
    Call,
    /// One of the calls that are not over, counted from the oldest, is dropped.
    Drop(usize),
    Wait(u32),
}

/// How a call of the model stands, with the second in which that began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Running(u32),
    Waiting(u32),
    Done,
    Full,
    TimedOut,
    Dropped,
}

/// The queue as a list of all calls that ever came.
struct Model {
    concurrency: usize,
    length_max: usize,
    time_max: u32,
    runs_for: u32,
    calls: Vec<Standing>,
}

impl Model {
    fn count(&self, is_meant: fn(&Standing) -> bool) -> usize {
        self.calls.iter().filter(|standing| is_meant(standing)).count()
    }

    /// Lets those in for whom there is a permit, the longest waiting first.
    fn fill(&mut self, now: u32) {
        while self.count(|standing| matches!(standing, Standing::Running(_))) < self.concurrency {
            let first = self
                .calls
                .iter_mut()
                .find(|standing| matches!(standing, Standing::Waiting(_)));
            let Some(first) = first else { return };
            *first = Standing::Running(now);
        }
    }

    fn call(&mut self, now: u32) {
        let is_full = self.count(|standing| matches!(standing, Standing::Running(_))) >= self.concurrency;
        let waiting = self.count(|standing| matches!(standing, Standing::Waiting(_)));
        self.calls.push(match (is_full, waiting < self.length_max) {
            (false, _) => Standing::Running(now),
            (true, true) => Standing::Waiting(now),
            (true, false) => Standing::Full,
        });
    }

    fn second(&mut self, now: u32) {
        for standing in &mut self.calls {
            match *standing {
                Standing::Running(since) if now - since >= self.runs_for => *standing = Standing::Done,
                Standing::Waiting(since) if now - since >= self.time_max => *standing = Standing::TimedOut,
                _ => {}
            }
        }
        self.fill(now);
    }
}

async fn run_queue(concurrency: u32, length_max: u32, program: &[Move]) {
    let (runs_for, time_max) = (4, 7);
    // The wait is over between two seconds, so never at the instant at which a permit is free.
    let config = LimitsConfig::default()
        .with_concurrency(concurrency)
        .with_queue_length(length_max)
        .with_queue_time(time_max * SECOND - SECOND / 2);
    let bench = bench(config);
    bench.script.otherwise(move |_| Step::Delay(runs_for * SECOND));
    let mut model = Model {
        concurrency: concurrency as usize,
        length_max: length_max as usize,
        time_max,
        runs_for,
        calls: Vec::new(),
    };
    let mut calls: Vec<Option<BoxFuture<'_, Result<bool>>>> = Vec::new();
    let mut ends: Vec<Standing> = Vec::new();
    let mut now = 0;
    for step in program {
        match step {
            Move::Call => {
                model.call(now);
                calls.push(Some(Box::pin(exists(&bench))));
                ends.push(Standing::Running(now));
            }
            Move::Drop(which) => {
                let alive: Vec<usize> = (0..calls.len()).filter(|index| calls[*index].is_some()).collect();
                if let Some(index) = alive.get(which % alive.len().max(1)) {
                    calls[*index] = None;
                    ends[*index] = Standing::Dropped;
                    model.calls[*index] = Standing::Dropped;
                    model.fill(now);
                }
            }
            Move::Wait(seconds) => {
                for _ in 0..*seconds {
                    for _half in 0..2 {
                        advance(SECOND / 2).await;
                        poll_all(&mut calls, &mut ends).await;
                    }
                    now += 1;
                    model.second(now);
                }
            }
        }
        poll_all(&mut calls, &mut ends).await;
        let expected: Vec<Standing> = model.calls.iter().map(over).collect();
        assert_eq!(
            ends.iter().map(over).collect::<Vec<_>>(),
            expected,
            "in second {now}, after {step:?}"
        );
        let sent = |standing: &&Standing| matches!(standing, Standing::Running(_) | Standing::Done);
        assert!(bench.calls() >= model.calls.iter().filter(sent).count());
    }
}

/// What can be seen of a call from outside: how it ended, if it did.
fn over(standing: &Standing) -> Standing {
    match standing {
        Standing::Running(_) | Standing::Waiting(_) => Standing::Running(0),
        other => *other,
    }
}

/// Polls until nothing moves any more: the end of one call lets another in.
async fn poll_all(calls: &mut [Option<BoxFuture<'_, Result<bool>>>], ends: &mut [Standing]) {
    for _ in 0..2 {
        for (call, end) in calls.iter_mut().zip(ends.iter_mut()) {
            let Some(future) = call else { continue };
            if let Poll::Ready(result) = poll!(future) {
                *call = None;
                *end = match result {
                    Ok(_) => Standing::Done,
                    Err(error) => match Refusal::of(&error) {
                        Some(Refusal::QueueFull) => Standing::Full,
                        Some(Refusal::QueueTimeout) => Standing::TimedOut,
                        other => panic!("{other:?}: {error}"),
                    },
                };
            }
        }
    }
}

#[test]
fn the_queue_does_what_its_model_does() {
    let step = prop_oneof![
        5 => Just(Move::Call),
        1 => (0..8_usize).prop_map(Move::Drop),
        2 => (1..4_u32).prop_map(Move::Wait),
    ];
    let programs = (1..4_u32, 0..4_u32, proptest::collection::vec(step, 1..60));
    let cases = Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(cases)
        .run(&programs, |(concurrency, length_max, program)| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .expect("a runtime");
            runtime.block_on(run_queue(concurrency, length_max, &program));
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
