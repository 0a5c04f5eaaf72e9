//! How the suites run one test, and how they tell why it failed.

use std::error::Error as _;
use std::time::Duration;

use boards_storage_core::Error;

/// Runs a future on a runtime of its own, within the time limit; a panic is an answer.
pub(crate) fn block_on<T: Send + 'static>(
    name: &str,
    time_limit: Duration,
    work: impl Future<Output = Result<T, String>> + Send + 'static,
) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name(name)
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime could be built: {error}"))?;
    // The clock is this thread's, for a test that keeps the runtime busy keeps its timers from firing too.
    let (tell, told) = std::sync::mpsc::channel();
    runtime.spawn(async move {
        let outcome = tokio::spawn(work)
            .await
            .unwrap_or_else(|panicked| Err(panic_message(panicked)));
        let _ = tell.send(outcome);
    });
    let outcome = told
        .recv_timeout(time_limit)
        .unwrap_or_else(|_late| Err(format!("the test did not end within {time_limit:?}")));
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Writes an error with its causes.
pub(crate) fn tell(error: &Error) -> String {
    let mut text = format!("{}: {error}", error.kind());
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn panic_message(error: tokio::task::JoinError) -> String {
    let Ok(payload) = error.try_into_panic() else {
        return "the test was cancelled".to_owned();
    };
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload
            .downcast_ref::<&str>()
            .map_or("the test panicked", |text| text)
            .to_owned(),
    }
}
