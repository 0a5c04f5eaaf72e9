//! When a second request is sent, and which answer is given.

use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{CallOptions, ErrorKind, Layer, OperationKind, Result, StorageProvider};
use boards_storage_layers::{HedgeConfig, HedgeLayer, LimitsConfig, LimitsLayer};
use boards_storage_testkit::{MemoryProvider, Step};
use futures_util::poll;
use tokio::time::advance;

use crate::support::{Bench, Prepared, call, key, timed, timed_out, unavailable};

const MILLISECOND: Duration = Duration::from_millis(1);

/// 20 reads are enough, and each earns a whole second request.
fn config() -> HedgeConfig {
    HedgeConfig::default()
        .with_samples_min(20)
        .with_delay_min(MILLISECOND)
        .with_extra_load_percent(100)
}

fn bench(config: HedgeConfig) -> Bench {
    Bench::new(vec![Arc::new(HedgeLayer::new(config))])
}

async fn exists(bench: &Bench) -> Result<bool> {
    bench.stack.exists(&key("a"), &CallOptions::default()).await
}

/// Lets the layer see so many reads of 10 ms.
async fn teach(bench: &Bench, reads: usize) {
    bench
        .script
        .push_times(reads, OperationKind::Exists, || Step::Delay(10 * MILLISECOND));
    for _ in 0..reads {
        exists(bench).await.expect("answered");
    }
}

/// What the store does with one of two requests: it answers, or fails, after so many milliseconds.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Good(u32),
    Bad(u32),
    Never,
}

/// Makes each request do what its turn says. The script cannot delay and fail.
#[derive(Debug)]
struct Turns(parking_lot::Mutex<Vec<Answer>>);

#[boards_storage_core::async_trait]
impl Layer for Turns {
    fn name(&self) -> &'static str {
        "turns"
    }

    async fn around(
        &self,
        operation: boards_storage_core::Operation,
        next: boards_storage_core::Next,
    ) -> Result<boards_storage_core::Outcome> {
        let answer = {
            let mut turns = self.0.lock();
            if turns.is_empty() {
                Answer::Good(10)
            } else {
                turns.remove(0)
            }
        };
        match answer {
            Answer::Good(time) => {
                tokio::time::sleep(time * MILLISECOND).await;
                next.run(operation).await
            }
            Answer::Bad(time) => {
                tokio::time::sleep(time * MILLISECOND).await;
                Err(if time % 2 == 0 { unavailable() } else { timed_out() })
            }
            Answer::Never => std::future::pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_success_wins() {
    use Answer::{Bad, Good, Never};
    // The first request, the second one, whether it succeeds, after how many milliseconds, requests in all. The second
    // is sent after 10 ms.
    let table = [
        (Good(5), Never, Ok(()), 5, 1),
        (Good(10), Never, Ok(()), 10, 1),
        (Good(100), Good(10), Ok(()), 20, 2),
        (Good(15), Good(10), Ok(()), 15, 2),
        (Never, Good(10), Ok(()), 20, 2),
        (Good(100), Bad(5), Ok(()), 100, 2),
        (Good(100), Never, Ok(()), 100, 2),
        (Bad(5), Good(10), Err(ErrorKind::Timeout), 5, 1),
        (Bad(20), Good(100), Ok(()), 110, 2),
        (Bad(20), Bad(5), Err(ErrorKind::ProviderUnavailable), 20, 2),
        (Bad(20), Bad(95), Err(ErrorKind::ProviderUnavailable), 105, 2),
        (Bad(25), Bad(4), Err(ErrorKind::Timeout), 25, 2),
    ];
    for (first, second, result, milliseconds, requests) in table {
        let turns = Arc::new(Turns(parking_lot::Mutex::default()));
        let bench = Bench::new(vec![Arc::new(HedgeLayer::new(config())), Arc::clone(&turns) as _]);
        for _ in 0..20 {
            exists(&bench).await.expect("answered");
        }
        turns.0.lock().extend([first, second]);
        let (answer, took) = timed(exists(&bench)).await;
        let sent = 2 - turns.0.lock().len();
        assert_eq!(
            (answer.map(drop).map_err(|error| error.kind()), took, sent),
            (result, milliseconds * MILLISECOND, requests),
            "{first:?} and {second:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_the_percentile_within_its_bounds() {
    for (min, max, expected) in [(1, 1000, 10), (30, 1000, 30), (1, 4, 4)] {
        let config = config()
            .with_delay_min(min * MILLISECOND)
            .with_delay_max(max * MILLISECOND);
        let bench = bench(config);
        teach(&bench, 20).await;
        bench.script.push(OperationKind::Exists, Step::Stall);
        let (result, took) = timed(exists(&bench)).await;
        result.expect("by the second request");
        assert_eq!(took, expected * MILLISECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_hedged_before_enough_reads_were_seen() {
    for (reads, requests) in [(19, 1), (20, 2)] {
        let bench = bench(config());
        teach(&bench, reads).await;
        bench
            .script
            .push(OperationKind::Exists, Step::Delay(100 * MILLISECOND));
        exists(&bench).await.expect("answered");
        assert_eq!(bench.calls(), reads + requests);
    }
}

#[tokio::test(start_paused = true)]
async fn only_reads_are_hedged() {
    let hedged = [
        OperationKind::Download,
        OperationKind::Metadata,
        OperationKind::Exists,
        OperationKind::List,
        OperationKind::ListParts,
    ];
    for kind in OperationKind::ALL {
        let bench = bench(config().with_samples_min(1));
        let prepared = Prepared::new(&bench).await;
        bench.script.push(kind, Step::Delay(10 * MILLISECOND));
        call(kind, &bench.stack, &prepared).await.expect("seen");
        let prepared = Prepared::new(&bench).await;
        bench.script.push(kind, Step::Delay(100 * MILLISECOND));
        call(kind, &bench.stack, &prepared).await.expect("late");
        let requests = if hedged.contains(&kind) { 3 } else { 2 };
        assert_eq!(bench.script.count(kind), requests, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_extra_load_is_bounded() {
    let config = HedgeConfig::default()
        .with_samples_min(20)
        .with_delay_max(10 * MILLISECOND);
    let bench = bench(config);
    teach(&bench, 100).await;
    // From now on every read is late, as in an outage.
    bench.script.otherwise(|_| Step::Delay(1000 * MILLISECOND));
    for read in 101..=400_usize {
        exists(&bench).await.expect("late");
        let extra = bench.calls() - read;
        assert!(extra * 100 <= read * 5, "{extra} more requests for {read} reads");
    }
    assert_eq!(bench.calls(), 400 + 20);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_ten_second_requests_are_saved_up() {
    let bench = bench(config().with_extra_load_percent(5));
    teach(&bench, 1000).await;
    bench.script.otherwise(|_| Step::Stall);
    let mut stalled = Vec::new();
    for _ in 0..15 {
        let mut read = Box::pin(exists(&bench));
        assert!(poll!(&mut read).is_pending());
        advance(11 * MILLISECOND).await;
        assert!(poll!(&mut read).is_pending());
        stalled.push(read);
    }
    assert_eq!(bench.calls(), 1000 + 15 + 10);
}

#[tokio::test(start_paused = true)]
async fn the_loser_gives_its_permit_back() {
    let limits = LimitsLayer::new(LimitsConfig::default().with_concurrency(2).with_queue_length(0));
    let bench = Bench::new(vec![Arc::new(HedgeLayer::new(config())), Arc::new(limits)]);
    teach(&bench, 20).await;
    for _ in 0..5 {
        bench.script.push(OperationKind::Exists, Step::Stall);
        exists(&bench).await.expect("by the second request");
    }
    // Had one permit been lost, a hedged read would be refused.
    assert_eq!(bench.calls(), 30);
}

#[tokio::test(start_paused = true)]
async fn without_the_layer_a_late_read_is_late() {
    let hedge: Arc<dyn Layer> = Arc::new(HedgeLayer::new(config()));
    for (layers, expected) in [(vec![hedge], 20), (Vec::new(), 1000)] {
        let bench = Bench::over(MemoryProvider::new(), layers);
        teach(&bench, 20).await;
        bench
            .script
            .push(OperationKind::Exists, Step::Delay(1000 * MILLISECOND));
        bench
            .script
            .push(OperationKind::Exists, Step::Delay(10 * MILLISECOND));
        let (result, took) = timed(exists(&bench)).await;
        result.expect("answered");
        assert_eq!(took, expected * MILLISECOND);
    }
}
