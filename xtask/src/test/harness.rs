//! Reads what test harnesses print: the closing lines of libtest and nextest, and which tests were ignored.
//!
//! Pure: text in, counts out. A line that is not understood is no count.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::tally::{CONFORMANCE, Skipped, Tally};

/// Adds up the results of the harnesses in one output of `cargo test`.
#[derive(Debug, Default)]
pub(crate) struct LibtestReader {
    tally: Tally,
    results: u64,
    /// The name of the target whose tests are being read.
    binary: String,
}

impl LibtestReader {
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.results += 1;
            self.tally.passed += count(result, "passed");
            self.tally.failed += count(result, "failed");
        } else if let Some(ignored) = ignored_test(line) {
            self.tally.skipped.push(ignored);
        } else if let Some(test) = ended_test(line, "ok") {
            self.tally.note_passed(&self.binary, &test);
        } else if let Some(test) = ended_test(line, "FAILED") {
            self.tally.note_failed(&self.binary, &test);
        } else if let Some(source) = line.trim_start().strip_prefix("Running ") {
            let is_conformance = source.starts_with("tests/conformance/");
            self.binary = if is_conformance { CONFORMANCE } else { "" }.to_owned();
        }
    }

    /// The sum, unless no harness reported.
    pub(crate) fn finish(self) -> Option<Tally> {
        (self.results > 0).then_some(self.tally)
    }
}

/// Whether a line of a runner is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Echo {
    Show,
    Hide,
}

/// Reads the output of nextest, in which each passed test is followed by its own output.
#[derive(Debug, Default)]
pub(crate) struct NextestReader {
    summary: Option<Tally>,
    /// Tests that said of themselves, while they ran, that they were skipped.
    skipped: Vec<Skipped>,
    /// What passed of the conformance suites.
    conformance: Tally,
    /// The test whose output is being read, if it passed.
    passed_test: Option<String>,
}

impl NextestReader {
    pub(crate) fn read(&mut self, line: &str) -> Echo {
        if let Some((status, rest)) = nextest_status(line) {
            self.passed_test = (status == "PASS").then(|| test_in_status(rest));
            let test = test_in_status(rest);
            match (status, test.split_once(' ')) {
                ("PASS", Some((binary, test))) => self.conformance.note_passed(binary, test),
                // After the summary the failures are listed once more.
                ("FAIL", Some((binary, test))) if self.summary.is_none() => {
                    self.conformance.note_failed(binary, test)
                }
                _ => {}
            }
            if status == "Summary" {
                self.summary = Some(summary(rest));
            }
            return Echo::Show;
        }
        let Some(test) = &self.passed_test else {
            return Echo::Show;
        };
        let belongs_to_test = line.is_empty() || line.starts_with("    ") || line.starts_with("  std");
        if !belongs_to_test {
            self.passed_test = None;
            return Echo::Show;
        }
        if let Some(ignored) = ignored_test(line.trim_start()) {
            // A test may print the output of other harnesses: only its own name counts.
            if test.ends_with(&format!(" {}", ignored.name)) {
                self.skipped.push(Skipped {
                    name: test.clone(),
                    reason: ignored.reason,
                });
            }
        }
        Echo::Hide
    }

    /// The counts of the summary, less the tests that skipped themselves; nothing without a summary.
    pub(crate) fn finish(self) -> Option<Tally> {
        let mut tally = self.summary?;
        let skipped = u64::try_from(self.skipped.len()).expect("a count of tests fits");
        tally.passed = tally.passed.saturating_sub(skipped);
        tally.skipped = self.skipped;
        tally.conformance = self.conformance.conformance;
        Some(tally)
    }
}

/// Splits `     PASS [   0.005s] rest` into its status and the rest.
fn nextest_status(line: &str) -> Option<(&str, &str)> {
    if !line.starts_with("    ") {
        return None;
    }
    let (status, rest) = line.trim_start().split_once(" [")?;
    let (time, rest) = rest.split_once(']')?;
    let is_status = !status.is_empty()
        && status
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || " -+".contains(c));
    (is_status && time.trim_end().ends_with('s')).then_some((status, rest.trim()))
}

/// Drops the counter of `(3/4) binary-id test name`.
fn test_in_status(rest: &str) -> String {
    let without_counter = match rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((_, name)) => name,
        None => rest,
    };
    collapse(without_counter)
}

fn summary(text: &str) -> Tally {
    let failed = count(text, "failed") + count(text, "timed out") + count(text, "exec failed");
    Tally {
        passed: count(text, "passed"),
        failed,
        ..Tally::default()
    }
}

/// The number before `what` in a list such as `4 tests run: 3 passed (1 slow), 1 failed`; 0 where it is absent.
fn count(text: &str, what: &str) -> u64 {
    without_parentheses(text)
        .split([',', ';', '.', ':'])
        .find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok())
        .unwrap_or(0)
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0_u32;
    text.chars()
        .filter(|character| {
            match character {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => return depth == 0,
            }
            false
        })
        .collect()
}

/// Reads `test NAME ... ignored, REASON` of libtest and `test NAME ... ignored (REASON)` of libtest-mimic.
pub(crate) fn ignored_test(line: &str) -> Option<Skipped> {
    let (name, rest) = line.strip_prefix("test ")?.split_once(" ... ignored")?;
    let reason = rest.trim_start_matches(',').trim();
    let reason = reason
        .strip_prefix('(')
        .and_then(|reason| reason.strip_suffix(')'))
        .unwrap_or(reason);
    Some(Skipped {
        name: collapse(name),
        reason: (!reason.is_empty()).then(|| reason.to_owned()),
    })
}

/// Reads `test NAME ... OUTCOME`.
pub(crate) fn ended_test(line: &str, outcome: &str) -> Option<String> {
    let name = line.strip_prefix("test ")?.strip_suffix(outcome)?;
    Some(collapse(name.strip_suffix(" ... ")?))
}

fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A test binary with ignored tests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IgnoredSuite {
    pub(crate) id: String,
    pub(crate) binary: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) tests: Vec<String>,
}

/// Reads `cargo nextest list --run-ignored only --message-format json`.
pub(crate) fn ignored_suites(listing: &[u8]) -> Result<Vec<IgnoredSuite>> {
    let listing: Value = serde_json::from_slice(listing)?;
    let suites = listing["rust-suites"]
        .as_object()
        .context("expected an object `rust-suites`")?;
    let mut found = Vec::new();
    for (id, suite) in suites {
        let Some(cases) = suite["testcases"].as_object() else {
            continue;
        };
        let chosen = cases
            .iter()
            .filter(|(_, case)| case["filter-match"]["status"] == "matches");
        let tests: Vec<_> = chosen.map(|(name, _)| name.clone()).collect();
        if tests.is_empty() {
            continue;
        }
        let path = |field: &str| suite[field].as_str().map(PathBuf::from);
        found.push(IgnoredSuite {
            id: id.clone(),
            binary: path("binary-path").with_context(|| format!("expected a `binary-path` of {id}"))?,
            folder: path("cwd").with_context(|| format!("expected a `cwd` of {id}"))?,
            tests,
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{Echo, LibtestReader, NextestReader, ignored_suites, ignored_test};
    use crate::tally::{Ran, Skipped, Tally};

    fn skipped(name: &str, reason: Option<&str>) -> Skipped {
        Skipped {
            name: name.to_owned(),
            reason: reason.map(str::to_owned),
        }
    }

    #[test]
    fn libtest_results_of_several_binaries_add_up() {
        let mut reader = LibtestReader::default();
        for line in [
            "test ign ... ignored, needs a server",
            "test bad ... FAILED",
            "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.06s",
            "test [no presign] skipped flag ... ignored",
            "test              runtime      ... ignored (no capability presign)",
            "test result: ok. 40 passed; 0 failed; 2 ignored; 0 measured; 7 filtered out; finished in 0.00s",
        ] {
            reader.read(line);
        }
        let expected = vec![
            skipped("ign", Some("needs a server")),
            skipped("[no presign] skipped flag", None),
            skipped("runtime", Some("no capability presign")),
        ];
        assert_eq!(
            reader.finish(),
            Some(Tally {
                passed: 41,
                failed: 1,
                skipped: expected,
                ..Tally::default()
            })
        );
    }

    #[test]
    fn conformance_is_counted_by_suite() {
        let ran = |passed, failed| Ran { passed, failed };
        let expected = [(("s3".to_owned(), "ceph".to_owned()), ran(2, 1))];
        let mut nextest = NextestReader::default();
        for line in [
            "        PASS [   0.005s] (1/4) s3::conformance ceph::list::a",
            "        PASS [   0.005s] (2/4) s3::conformance ceph::list::b",
            "        FAIL [   0.005s] (3/4) s3::conformance ceph::list::c",
            "        PASS [   0.005s] (4/4) s3 ceph::list::a",
            "     Summary [   0.087s] 4 tests run: 3 passed, 1 failed, 0 skipped",
        ] {
            let _ = nextest.read(line);
        }
        let tally = nextest.finish().expect("a summary");
        assert_eq!(tally.conformance, expected.into());
        let expected = [(("conformance".to_owned(), "ceph".to_owned()), ran(1, 1))];
        let mut libtest = LibtestReader::default();
        for line in [
            "     Running tests/conformance/main.rs (target/debug/deps/conformance-1)",
            "test ceph::list::a ... ok",
            "test ceph::list::b ... FAILED",
            "test result: FAILED. 1 passed; 1 failed; 0 ignored",
            "     Running tests/live/main.rs (target/debug/deps/live-1)",
            "test curl::a ... ok",
            "test result: ok. 1 passed; 0 failed; 0 ignored",
        ] {
            libtest.read(line);
        }
        let tally = libtest.finish().expect("results");
        assert_eq!(tally.conformance, expected.into());
    }

    #[test]
    fn an_output_without_a_result_is_no_tally() {
        let mut libtest = LibtestReader::default();
        libtest.read("error: could not compile `demo`");
        assert_eq!(libtest.finish(), None);
        let mut nextest = NextestReader::default();
        nextest.read("error: could not compile `demo`");
        assert_eq!(nextest.finish(), None);
    }

    #[track_caller]
    fn check_summary(line: &str, passed: u64, failed: u64) {
        let mut reader = NextestReader::default();
        assert_eq!(reader.read(line), Echo::Show);
        assert_eq!(
            reader.finish(),
            Some(Tally {
                passed,
                failed,
                ..Tally::default()
            })
        );
    }

    #[test]
    fn the_summary_of_nextest_is_read() {
        check_summary(
            "     Summary [   0.087s] 4 tests run: 3 passed, 1 failed, 3 skipped",
            3,
            1,
        );
        check_summary(
            "     Summary [   9.100s] 1 test run: 1 passed (1 slow, 1 leaky), 0 skipped",
            1,
            0,
        );
        check_summary(
            "     Summary [ 120.000s] 9/10 tests run: 4 passed (2 flaky), 2 failed (1 due to being leaky), 2 timed out, 1 exec failed, 0 skipped",
            4,
            5,
        );
    }

    #[test]
    fn a_test_that_skips_itself_under_nextest_has_not_passed() {
        let mut reader = NextestReader::default();
        let lines = [
            ("    Starting 2 tests across 1 binary", Echo::Show),
            ("        PASS [   0.005s] (1/2) demo::mimic runtime", Echo::Show),
            ("  stdout ───", Echo::Hide),
            ("", Echo::Hide),
            (
                "    test runtime      ... ignored (no capability presign)",
                Echo::Hide,
            ),
            ("    test other ... ignored (of another harness)", Echo::Hide),
            ("        FAIL [   0.005s] (2/2) demo bad", Echo::Show),
            ("    test bad ... ignored (a failure hides nothing)", Echo::Show),
            ("────────────", Echo::Show),
            (
                "     Summary [   0.087s] 2 tests run: 1 passed, 1 failed, 0 skipped",
                Echo::Show,
            ),
        ];
        for (line, echo) in lines {
            assert_eq!(reader.read(line), echo, "{line}");
        }
        let expected = vec![skipped("demo::mimic runtime", Some("no capability presign"))];
        assert_eq!(
            reader.finish(),
            Some(Tally {
                passed: 0,
                failed: 1,
                skipped: expected,
                ..Tally::default()
            })
        );
    }

    #[test]
    fn a_test_that_ran_is_not_ignored() {
        assert_eq!(ignored_test("test retry ... ok"), None);
        assert_eq!(ignored_test("running 3 tests"), None);
    }

    #[test]
    fn ignored_tests_are_listed_with_their_binary() {
        let listing = br#"{"rust-suites": {
            "demo": {"binary-path": "/t/demo-1", "cwd": "/t", "testcases": {
                "ok": {"filter-match": {"status": "mismatch"}},
                "ign": {"filter-match": {"status": "matches"}}}},
            "idle": {"testcases": {}}}}"#;
        let suites = ignored_suites(listing).unwrap();
        assert_eq!(suites.len(), 1);
        assert_eq!(
            (suites[0].id.as_str(), suites[0].tests.as_slice()),
            ("demo", &["ign".to_owned()][..])
        );
        assert!(ignored_suites(b"{}").is_err());
    }
}
