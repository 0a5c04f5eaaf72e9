//! What the whole default stack costs: the allocations of each small operation. Times are in `docs/performance.md`.

mod operations;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use self::operations::{Small, key, run, stores};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The allocations that one small operation may make, the memory provider's own included.
const ALLOCATIONS_MAX: usize = 24;

/// How often each is measured, so that what is made once does not count.
const ROUNDS: usize = 1_000;

#[test]
fn a_small_operation_makes_few_allocations() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let key = key();
        let (_, stack) = stores().await;
        // The object is deleted last.
        for small in Small::ALL {
            for _ in 0..100 {
                run(&stack, small, &key).await;
            }
            let region = Region::new(ALLOCATOR);
            for _ in 0..ROUNDS {
                run(&stack, small, &key).await;
            }
            let stats = region.change();
            let each = (stats.allocations + stats.reallocations).div_ceil(ROUNDS);
            println!("{}: {each} allocations", small.name());
            assert!(
                each <= ALLOCATIONS_MAX,
                "{}: {each} allocations, {ALLOCATIONS_MAX} are allowed",
                small.name()
            );
        }
    });
}
