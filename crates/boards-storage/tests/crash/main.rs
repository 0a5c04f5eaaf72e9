//! `kill -9` at every phase of put, overwrite and delete, and at random instants.
//!
//! The test runs itself as a worker, which stores, overwrites and deletes artifacts, and objects of a provider in
//! place, and says what was acknowledged, until it is killed: by itself at a failpoint, or from outside. After each kill the store is opened and held
//! against what was acknowledged: no torn object, no metadata of another object, no record without bytes, no
//! acknowledged write lost. In the end nothing is left that no record names.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test program of its own: it starts and kills processes, and says what it did"
)]

mod verify;
mod worker;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use verify::Model;

/// How often each failpoint is hit, and how often a worker is killed at a random instant: few in the tests, more in
/// the proof.
fn counts() -> (usize, usize) {
    let count = |name: &str, small: usize| match std::env::var(name) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => small,
    };
    (count("CRASH_HITS", 1), count("CRASH_KILLS", 12))
}

fn main() {
    if let Ok(folder) = std::env::var("CRASH_WORKER") {
        worker::run(Path::new(&folder));
        return;
    }
    // A runner that lists tests first wants to hear their names.
    if std::env::args().any(|argument| argument == "--list") {
        if !std::env::args().any(|argument| argument == "--ignored") {
            println!("kills_at_failpoints: test\nkills_at_random: test");
        }
        return;
    }
    let asked: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let (hits, kills) = counts();
    let mut passed = 0;
    for (name, test) in [
        (
            "kills_at_failpoints",
            Box::new(move || kills_at_failpoints(hits)) as Box<dyn Fn()>,
        ),
        ("kills_at_random", Box::new(move || kills_at_random(kills))),
    ] {
        if asked.is_empty() || asked.iter().any(|part| name.contains(part.as_str())) {
            test();
            println!("test {name} ... ok");
            passed += 1;
        }
    }
    println!("\ntest result: ok. {passed} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

/// Every failpoint that storing, overwriting and deleting pass.
fn failpoints() -> Vec<&'static str> {
    // Parts and their completion are not used by the manager on a store that streams; reaping is a phase of its own.
    let is_passed = |name: &&&str| !name.starts_with("local::part") && !name.starts_with("local::complete");
    let all = [
        boards_storage::FAILPOINTS,
        boards_storage_local::FAILPOINTS,
        boards_storage_catalog::FAILPOINTS,
    ];
    all.into_iter().flatten().filter(is_passed).copied().collect()
}

fn kills_at_failpoints(hits: usize) {
    let mut reached: BTreeMap<&str, usize> = failpoints().into_iter().map(|name| (name, 0)).collect();
    let mut random = seeded();
    let folder = tempfile::tempdir().expect("a folder");
    let mut model = Model::default();
    let mut runs = 0;
    for name in failpoints() {
        let mut misses = 0;
        while reached[name] < hits {
            let nth = random.random_range(1..6);
            let output = spawn(folder.path(), random.random(), Some((name, nth)), None);
            runs += 1;
            model.check(folder.path(), &output.acknowledged);
            if output.was_killed {
                *reached.entry(name).or_default() += 1;
            } else {
                misses += 1;
                assert!(misses < 20, "the failpoint {name} is never reached");
            }
        }
    }
    model.check_nothing_is_left(folder.path());
    println!(
        "{runs} runs; each of {} failpoints was hit at least {hits} times: {reached:?}",
        reached.len()
    );
}

fn kills_at_random(kills: usize) {
    let mut random = seeded();
    let folder = tempfile::tempdir().expect("a folder");
    let mut model = Model::default();
    let mut acknowledged = 0;
    let mut killed = 0;
    while killed < kills {
        let after = Duration::from_micros(random.random_range(10_000..400_000));
        let output = spawn(folder.path(), random.random(), None, Some(after));
        acknowledged += output
            .acknowledged
            .iter()
            .filter(|line| line.starts_with("ack"))
            .count();
        killed += usize::from(output.was_killed);
        model.check(folder.path(), &output.acknowledged);
    }
    model.check_nothing_is_left(folder.path());
    println!("{kills} kills at random instants, {acknowledged} acknowledged operations, none lost");
}

fn seeded() -> StdRng {
    let seed = std::env::var("CRASH_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random);
    println!("CRASH_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

struct Output {
    /// Whole lines only: a line that was cut off was not said.
    acknowledged: Vec<String>,
    was_killed: bool,
}

fn spawn(folder: &Path, seed: u64, failpoint: Option<(&str, u32)>, kill_after: Option<Duration>) -> Output {
    let said = folder.join("said");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .env("CRASH_WORKER", folder)
        .env("CRASH_WORKER_SEED", seed.to_string())
        .stdout(Stdio::from(std::fs::File::create(&said).expect("a file")))
        .stdin(Stdio::null());
    if let Some((name, nth)) = failpoint {
        command.env("CRASH_AT", name).env("CRASH_NTH", nth.to_string());
    }
    let mut child = command.spawn().expect("a worker");
    if let Some(after) = kill_after {
        // The instant matters, so this thread sleeps.
        std::thread::sleep(after);
        child.kill().expect("SIGKILL");
    }
    let status = child.wait().expect("an end");
    let was_killed = status.code().is_none();
    assert!(
        was_killed || status.success(),
        "the worker failed by itself: {status}"
    );
    let text = std::fs::read_to_string(&said).expect("what it said");
    let acknowledged = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| line.trim_end().to_owned());
    Output {
        acknowledged: acknowledged.collect(),
        was_killed,
    }
}
