//! How long a call waited for our own limits: they tell, the breaker asks.
//!
//! The breaker stands outside the limits, and must not take a wait in our own queue for a slow store. Both run in one
//! task, so a task-local value carries the time outwards, where neither operation nor outcome has a place for it.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

tokio::task_local! {
    static WAITED: Cell<Duration>;
}

/// Runs the inside of a call, and says how much of its time was a wait of our own.
pub(crate) async fn observe<T>(call: impl Future<Output = T>) -> (T, Duration) {
    let call = async {
        let output = call.await;
        (output, WAITED.with(Cell::get))
    };
    WAITED.scope(Cell::new(Duration::ZERO), call).await
}

/// Waits, and notes how long that took.
pub(crate) async fn spend<T>(wait: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let output = wait.await;
    // Without a breaker nobody asks.
    let _nobody = WAITED.try_with(|waited| waited.set(waited.get() + started.elapsed()));
    output
}
