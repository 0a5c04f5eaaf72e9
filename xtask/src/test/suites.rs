//! Suites: test binaries that hold hundreds of small tests, each run as one process with threads of its own.
//!
//! Their tests are made for that: each has a runtime and a corner of the store to itself, and ends by itself. A process
//! for each would open the suite's stores a thousand times. All other tests stay one process each, under nextest.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::harness::{ended_test, ignored_test};
use crate::process::{self, Watched};
use crate::tally::{Skipped, Tally};
use crate::workspace::Workspace;

/// The test targets that are suites, in whichever crate they are.
const SUITES: [&str; 6] = [
    "conformance",
    "encrypted",
    "faults",
    "live",
    "object_store",
    "transparency",
];

/// How long the process of one suite may take; the longest takes a minute on two cores.
const TIME_MAX: Duration = Duration::from_mins(10);

/// How many tests of a suite run at a time for each core: most of them wait for a server, or for a time to pass.
const TESTS_PER_CORE: usize = 4;

/// The test binary of a suite.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Suite {
    /// As nextest calls it: `crate::target`.
    id: String,
    binary: PathBuf,
}

/// What nextest is told, so that it leaves all suites alone.
pub(super) fn exclusion() -> String {
    let names: Vec<_> = SUITES.iter().map(|name| format!("binary(={name})")).collect();
    format!("not (kind(=test) and ({}))", names.join(" or "))
}

/// Builds what `selection` selects, and finds the suites among it.
pub(super) fn find(workspace: &Workspace, selection: &[&str]) -> Result<Vec<Suite>> {
    let arguments = [
        "nextest",
        "list",
        "--list-type",
        "binaries-only",
        "--message-format",
        "json",
    ];
    let mut command = workspace.cargo(&[&arguments, selection].concat());
    parse(&process::capture_with_progress(&mut command)?).context("could not read the list of nextest")
}

fn parse(listing: &[u8]) -> Result<Vec<Suite>> {
    let listing: Value = serde_json::from_slice(listing)?;
    let binaries = listing["rust-binaries"]
        .as_object()
        .context("expected an object `rust-binaries`")?;
    let is_suite = |binary: &&Value| {
        let name = binary["binary-name"].as_str();
        binary["kind"] == "test" && name.is_some_and(|name| SUITES.contains(&name))
    };
    let suite = |binary: &Value| {
        let text = |field: &str| {
            let text = binary[field].as_str();
            text.with_context(|| format!("expected a `{field}` of each binary"))
        };
        Ok(Suite {
            id: text("binary-id")?.to_owned(),
            binary: text("binary-path")?.into(),
        })
    };
    binaries.values().filter(is_suite).map(suite).collect()
}

/// Runs the tests of one suite, or those whose names contain `filter`.
///
/// Each test counts that the suite has: one that did not end, since the process did before, has failed.
pub(super) fn run(workspace: &Workspace, suite: &Suite, filter: Option<&str>) -> Result<Tally> {
    let started = Instant::now();
    let command = |arguments: &[&str]| suite_command(workspace, suite, arguments, filter);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (cores * TESTS_PER_CORE).to_string();
    let mut reader = Reader::new(&suite.id);
    let run = &mut command(&["--test-threads", &threads])?;
    let watched = process::run_watched(run, TIME_MAX, |line| {
        if let Some(failed) = reader.read(line) {
            eprintln!("        FAIL {} {failed}", suite.id);
        }
    })?;
    let complaint = reader.complaint(&watched);
    if let Some(complaint) = &complaint {
        let listing = process::capture(&mut command(&["--list"])?)?;
        for missing in reader.count_missing(&String::from_utf8_lossy(&listing)) {
            eprintln!("        FAIL {} {missing}: {complaint}", suite.id);
        }
    }
    let Reader { tally, said, .. } = reader;
    if tally.failed > 0 {
        eprintln!(
            "{}\n{}",
            said.join("\n"),
            String::from_utf8_lossy(&watched.errors)
        );
    } else if let Some(complaint) = complaint {
        bail!("{}: {complaint}, but each test reported a success", suite.id);
    }
    if tally.passed + tally.failed > 0 {
        let outcome = if tally.failed == 0 { "PASS" } else { "FAIL" };
        let (seconds, cell) = (started.elapsed().as_secs_f64(), tally.cell());
        eprintln!("       SUITE {outcome} [{seconds:8.3}s] {}: {cell}", suite.id);
    }
    Ok(tally)
}

/// The suite's program, in the folder of its crate as cargo would run it.
fn suite_command(
    workspace: &Workspace,
    suite: &Suite,
    arguments: &[&str],
    filter: Option<&str>,
) -> Result<Command> {
    let crate_name = suite.id.split("::").next().unwrap_or_default();
    let manifest = &workspace.package(crate_name)?.manifest_path;
    let folder = manifest.parent().context("a manifest is in a folder")?;
    let mut command = process::command(&suite.binary.to_string_lossy(), arguments);
    command
        .args(filter)
        .current_dir(folder)
        .env("CARGO_MANIFEST_DIR", folder)
        .envs(workspace.environment());
    Ok(command)
}

/// Reads what libtest-mimic prints of the tests of one suite.
#[derive(Debug)]
struct Reader {
    id: String,
    tally: Tally,
    /// The tests that reported, by name.
    ended: BTreeSet<String>,
    /// Whether the harness came to its end.
    is_whole: bool,
    /// All else that was printed.
    said: Vec<String>,
}

impl Reader {
    fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            tally: Tally::default(),
            ended: BTreeSet::new(),
            is_whole: false,
            said: Vec::new(),
        }
    }

    /// Returns the name of a test that failed, when its line comes.
    fn read(&mut self, line: &str) -> Option<String> {
        if let Some(Skipped { name, reason }) = ignored_test(line) {
            self.ended.insert(name.clone());
            let name = format!("{} {name}", self.id);
            self.tally.skipped.push(Skipped { name, reason });
            return None;
        }
        if let Some(name) = ended_test(line, "ok") {
            self.tally.passed += 1;
            self.tally.note_passed(&self.id, &name);
            self.ended.insert(name);
        } else if let Some(name) = ended_test(line, "FAILED") {
            self.tally.failed += 1;
            self.tally.note_failed(&self.id, &name);
            self.ended.insert(name.clone());
            return Some(name);
        } else {
            self.is_whole |= line.starts_with("test result: ");
            self.said.push(line.to_owned());
        }
        None
    }

    /// Why the counts are not to be trusted, if so.
    fn complaint(&self, watched: &Watched) -> Option<String> {
        let failed = self.tally.failed;
        let contradicts = |status: ExitStatus| status.success() != (failed == 0);
        match watched.status {
            None => Some(format!("the suite did not end within {TIME_MAX:?}")),
            Some(status) if !self.is_whole => Some(format!("the suite ended with {status} before its tests")),
            Some(status) if contradicts(status) => Some(format!("the suite ended with {status}")),
            Some(_) => None,
        }
    }

    /// Counts the tests of a listing that did not report as failed, and returns their names.
    fn count_missing(&mut self, listing: &str) -> Vec<String> {
        let listed = listing.lines().filter_map(|line| line.strip_suffix(": test"));
        let missing: Vec<_> = listed
            .filter(|name| !self.ended.contains(*name))
            .map(str::to_owned)
            .collect();
        for name in &missing {
            self.tally.failed += 1;
            self.tally.note_failed(&self.id, name);
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, ExitStatus};

    use super::{Reader, SUITES, Suite, exclusion, parse};
    use crate::process::Watched;
    use crate::workspace::{Workspace, test_targets};

    const LINES: [&str; 6] = [
        "running 4 tests",
        "test                ceph::list::a ... ok",
        "test [needs copy]   ceph::copy::b ... ignored",
        "test                ceph::list::c ... FAILED",
        "---- ceph::list::c ----",
        "expected the key",
    ];

    const RESULT: &str = "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out";

    fn read(lines: &[&str]) -> (Reader, Vec<String>) {
        let mut reader = Reader::new("s3::conformance");
        let failed = lines.iter().filter_map(|line| reader.read(line)).collect();
        (reader, failed)
    }

    fn ended(exit: &str) -> Watched {
        let status: ExitStatus = Command::new("sh").args(["-c", exit]).status().unwrap();
        Watched {
            status: Some(status),
            errors: Vec::new(),
        }
    }

    #[test]
    fn each_test_of_a_suite_counts_and_a_failure_is_told_at_once() {
        let (mut reader, failed) = read(&LINES);
        reader.read(RESULT);
        assert_eq!(failed, ["ceph::list::c"]);
        let tally = &reader.tally;
        assert_eq!((tally.passed, tally.failed), (1, 1));
        assert_eq!(
            tally.skipped[0].name,
            "s3::conformance [needs copy] ceph::copy::b"
        );
        assert!(reader.said.contains(&"expected the key".to_owned()));
        assert_eq!(reader.complaint(&ended("exit 101")), None);
        let contradiction = reader.complaint(&ended("exit 0")).unwrap();
        assert!(contradiction.contains("ended with"), "{contradiction}");
    }

    #[test]
    fn a_test_that_did_not_end_has_failed_by_name() {
        let listing = "ceph::list::a: test\n[needs copy] ceph::copy::b: test\nceph::list::c: test\n\
                       ceph::list::hangs: test\n";
        let (mut reader, _) = read(&LINES);
        let hung = Watched {
            status: None,
            errors: Vec::new(),
        };
        assert!(reader.complaint(&hung).unwrap().contains("did not end"));
        assert!(reader.complaint(&ended("exit 134")).unwrap().contains("before"));
        assert_eq!(reader.count_missing(listing), ["ceph::list::hangs"]);
        assert_eq!((reader.tally.passed, reader.tally.failed), (1, 2));
    }

    #[test]
    fn suites_are_known_by_the_name_of_their_target() {
        let listing = br#"{"rust-binaries": {
            "s3::live": {"binary-id": "s3::live", "binary-name": "live", "kind": "test", "binary-path": "/t/live-1"},
            "s3::wire": {"binary-id": "s3::wire", "binary-name": "wire", "kind": "test", "binary-path": "/t/wire-1"},
            "live": {"binary-id": "live", "binary-name": "live", "kind": "lib", "binary-path": "/t/live-2"}}}"#;
        let live = Suite {
            id: "s3::live".to_owned(),
            binary: "/t/live-1".into(),
        };
        assert_eq!(parse(listing).unwrap(), [live]);
        assert!(parse(b"{}").is_err());
        assert!(exclusion().contains("binary(=live) or "), "{}", exclusion());
    }

    #[test]
    fn each_suite_is_a_target_of_a_crate() {
        let workspace = Workspace::load().unwrap();
        let packages = workspace.packages();
        let targets: Vec<_> = packages
            .iter()
            .flat_map(|package| test_targets(package))
            .collect();
        for name in SUITES {
            assert!(targets.iter().any(|target| target.name == name), "{name}");
        }
    }
}
