//! Runs many seeds on all cores, or the one that is asked for.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What happened in all programs together, by name.
pub(crate) type Tally = BTreeMap<String, u64>;

/// After so many failures no further program runs.
const FAILURES_MAX: usize = 3;

/// No program takes longer, by the clock that is paused.
const TIME_MAX: Duration = Duration::from_hours(24);

/// Reads a number that a test is called with.
fn setting(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a test's settings come from outside")]
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} must be a number, got '{value}'")),
    )
}

/// Runs a program by its seed; an error says what is wrong with the answers.
pub(crate) fn run_one<T>(seed: u64, program: impl AsyncFnOnce() -> Result<T, String>) -> Result<T, String> {
    // The jitter of the retry layer; what is drawn before does not matter then.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| error.to_string())?;
    let work = async { tokio::time::timeout(TIME_MAX, program()).await };
    match catch_unwind(AssertUnwindSafe(|| runtime.block_on(work))) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(format!("the program did not end within {TIME_MAX:?}")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(format!("it panicked: {}", text.unwrap_or_default()))
        }
    }
}

/// Runs the seeds from 0 on, as many as `count` or as the environment says, or the one that it names.
///
/// # Panics
///
/// If one fails: with its seed and what was wrong.
pub(crate) fn run_all(
    test: &str,
    count: u64,
    program: impl Fn(u64) -> Result<Tally, String> + Sync,
) -> Tally {
    let (first, last) = match setting("BOARDS_STORAGE_TEST_SEED") {
        Some(seed) => (seed, seed + 1),
        None => (0, setting("BOARDS_STORAGE_TEST_SEEDS").unwrap_or(count)),
    };
    let next = AtomicU64::new(first);
    let (total, failures) = (Mutex::new(Tally::new()), Mutex::new(Vec::<(u64, String)>::new()));
    let work = || {
        let mut own = Tally::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= last || failures.lock().expect("not poisoned").len() >= FAILURES_MAX {
                break;
            }
            match program(seed) {
                Ok(counts) => add(&mut own, counts),
                Err(what) => failures.lock().expect("not poisoned").push((seed, what)),
            }
        }
        add(&mut total.lock().expect("not poisoned"), own);
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().expect("not poisoned");
    let tell = |(seed, what): &(u64, String)| {
        format!(
            "seed {seed}: {what}\nto run it again: BOARDS_STORAGE_TEST_SEED={seed} cargo test -p boards-storage --test \
             storage {test}\n\n"
        )
    };
    assert!(
        failures.is_empty(),
        "{}",
        failures.iter().map(tell).collect::<String>()
    );
    let mut total = total.into_inner().expect("not poisoned");
    total.insert("programs".to_owned(), last - first);
    total
}

pub(crate) fn add(total: &mut Tally, counts: Tally) {
    for (name, count) in counts {
        *total.entry(name).or_default() += count;
    }
}

/// Checks that something did happen, where enough programs ran to expect it.
#[track_caller]
pub(crate) fn expect(total: &Tally, names: impl IntoIterator<Item = String>) {
    if total["programs"] < 100 {
        return;
    }
    for name in names {
        let count = total.get(&name).copied().unwrap_or_default();
        assert!(count > 0, "no '{name}' in all programs: {total:#?}");
    }
}
