//! What the default layers cost each small operation: time and allocations, bare and through the stack, in turn.
//!
//! `cargo xtask bench layers [--markdown]`

#[path = "../tests/cost/operations.rs"]
mod operations;

use std::alloc::System;
use std::time::{Duration, Instant};

use boards_storage::{SharedProvider, StorageKey};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use self::operations::{Small, key, run, stores};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bare and layered runs alternate so often, and the median counts: others use this machine too.
const ROUNDS: usize = 41;
const CALLS: u32 = 5_000;

/// What one operation costs.
struct Cost {
    time: Duration,
    allocations: usize,
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its table")]
fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    println!(
        "| small operation over the memory provider | bare | default layers | allocations bare | allocations |"
    );
    println!("|---|---|---|---|---|");
    runtime.block_on(async {
        let key = key();
        let (bare, stack) = stores().await;
        for small in Small::ALL {
            let (mut bare_costs, mut stack_costs) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                bare_costs.push(measure(&bare, small, &key).await);
                stack_costs.push(measure(&stack, small, &key).await);
            }
            let (bare_cost, stack_cost) = (median(bare_costs), median(stack_costs));
            println!(
                "| {} | {:.2} µs | {:.2} µs | {} | {} |",
                small.name(),
                bare_cost.time.as_secs_f64() * 1e6,
                stack_cost.time.as_secs_f64() * 1e6,
                bare_cost.allocations,
                stack_cost.allocations
            );
        }
    });
}

async fn measure(provider: &SharedProvider, small: Small, key: &StorageKey) -> Cost {
    let region = Region::new(ALLOCATOR);
    let started = Instant::now();
    for _ in 0..CALLS {
        run(provider, small, key).await;
    }
    let time = started.elapsed() / CALLS;
    let stats = region.change();
    let allocations = (stats.allocations + stats.reallocations).div_ceil(CALLS as usize);
    Cost { time, allocations }
}

fn median(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by_key(|cost| cost.time);
    costs.swap_remove(costs.len() / 2)
}
