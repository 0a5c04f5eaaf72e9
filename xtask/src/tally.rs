//! What tests came to: counts that add up, and the closing line that a reader of the output looks for.

use std::collections::BTreeMap;
use std::process::ExitCode;

/// The name of the test binaries that run the conformance suite.
pub(crate) const CONFORMANCE: &str = "conformance";

/// The counts of one or more test runs.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[must_use]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: Vec<Skipped>,
    /// The conformance tests that passed, by test binary and suite.
    pub(crate) conformance: BTreeMap<(String, String), u64>,
}

/// A test that exists and did not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skipped {
    pub(crate) name: String,
    pub(crate) reason: Option<String>,
}

impl Tally {
    /// One proof that held.
    pub(crate) fn passed_once() -> Self {
        Self {
            passed: 1,
            ..Self::default()
        }
    }

    /// One thing that could not be run and need not be, and why.
    pub(crate) fn skipped_once(name: &str, reason: &str) -> Self {
        let skipped = Skipped {
            name: name.to_owned(),
            reason: Some(reason.to_owned()),
        };
        Self {
            skipped: vec![skipped],
            ..Self::default()
        }
    }

    /// Notes a test that passed, if it is one of a conformance suite: `binary suite::group::test`.
    pub(crate) fn note_passed(&mut self, binary: &str, test: &str) {
        let crate_name = binary.strip_suffix("::conformance").or_else(|| {
            // `cargo test` says no more than the target's name.
            (binary == CONFORMANCE).then_some(binary)
        });
        if let (Some(crate_name), Some((suite, _))) = (crate_name, test.split_once("::")) {
            let suite = (crate_name.to_owned(), suite.to_owned());
            *self.conformance.entry(suite).or_default() += 1;
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped.extend(other.skipped);
        for (suite, passed) in other.conformance {
            *self.conformance.entry(suite).or_default() += passed;
        }
    }

    /// The counts in one cell of a table.
    pub(crate) fn cell(&self) -> String {
        let Self {
            passed,
            failed,
            skipped,
            ..
        } = self;
        match skipped.len() {
            0 => format!("{passed} passed, {failed} failed"),
            skipped => format!("{passed} passed, {failed} failed, {skipped} skipped"),
        }
    }

    /// Prints each conformance suite with what passed and what was skipped, counted by what it needs; then all else
    /// that was skipped, by name.
    pub(crate) fn print_skipped(&self) {
        let (suites, others) = self.lines();
        if !suites.is_empty() {
            println!("\nconformance (suite: passed, skipped by what the provider does not have)");
        }
        suites.iter().for_each(|line| println!("  {line}"));
        if !self.skipped.is_empty() {
            println!("\nskipped: {}", self.skipped.len());
        }
        others.iter().for_each(|line| println!("  {line}"));
    }

    /// Returns a line for each conformance suite, and one for each other test that was skipped.
    fn lines(&self) -> (Vec<String>, Vec<String>) {
        let mut suites: BTreeMap<(&str, &str), Suite<'_>> = BTreeMap::new();
        for ((binary, suite), passed) in &self.conformance {
            suites.entry((binary, suite)).or_default().passed += passed;
        }
        let mut others = Vec::new();
        for Skipped { name, reason } in &self.skipped {
            match (conformance_test(name), reason) {
                (Some((binary, need, suite)), None) => {
                    *suites
                        .entry((binary, suite))
                        .or_default()
                        .skipped
                        .entry(need)
                        .or_default() += 1;
                }
                (_, Some(reason)) => others.push(format!("{name}: {reason}")),
                (None, None) => others.push(format!("{name}: no reason given")),
            }
        }
        let suites = suites.iter().map(|((binary, suite), Suite { passed, skipped })| {
            let needs: Vec<_> = skipped
                .iter()
                .map(|(need, count)| format!("{need} ({count})"))
                .collect();
            let skipped: u64 = skipped.values().sum();
            let head = format!(
                "{:42} {passed:4} passed, {skipped:4} skipped",
                format!("{binary} {suite}")
            );
            if needs.is_empty() {
                head
            } else {
                format!("{head}: {}", needs.join(", "))
            }
        });
        (suites.collect(), others)
    }

    /// Prints the closing line, which must be the last of the output, and turns failures into an exit code.
    pub(crate) fn close(&self) -> ExitCode {
        println!("\n{} passed, {} failed", self.passed, self.failed);
        if self.failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// What became of one conformance suite.
#[derive(Debug, Default)]
struct Suite<'a> {
    passed: u64,
    /// What was skipped, by what it needs.
    skipped: BTreeMap<&'a str, u64>,
}

/// Reads `binary [need] suite::group::test`, or the same without a binary.
fn conformance_test(name: &str) -> Option<(&str, &str, &str)> {
    let (binary, rest) = match name.strip_prefix('[') {
        Some(rest) => (CONFORMANCE, rest),
        None => name.split_once(" [")?,
    };
    let (need, test) = rest.split_once("] ")?;
    let binary = binary.strip_suffix("::conformance").unwrap_or(binary);
    Some((binary, need, test.split_once("::")?.0))
}

#[cfg(test)]
mod tests {
    use super::{Skipped, Tally};

    #[test]
    fn skipped_conformance_is_counted_by_need() {
        let skipped = |name: &str, reason: Option<&str>| Skipped {
            name: name.to_owned(),
            reason: reason.map(str::to_owned),
        };
        let mut tally = Tally {
            skipped: vec![
                skipped("s3::conformance [needs copy] ceph::copy::a", None),
                skipped("s3::conformance [needs copy] ceph::copy::b", None),
                skipped("s3::conformance [needs access] ceph::access::c", None),
                skipped("[needs copy] other::copy::a", None),
                skipped("core::files a_link", Some("no links here")),
                skipped("core::files a_lock", None),
            ],
            ..Tally::default()
        };
        tally.note_passed("s3::conformance", "ceph::list::a");
        tally.note_passed("s3::conformance", "garage::list::a");
        tally.note_passed("s3::live", "curl::a");
        let (suites, others) = tally.lines();
        let suites: Vec<_> = suites
            .iter()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            suites,
            [
                "conformance other 0 passed, 1 skipped: needs copy (1)",
                "s3 ceph 1 passed, 3 skipped: needs access (1), needs copy (2)",
                "s3 garage 1 passed, 0 skipped",
            ]
        );
        assert_eq!(
            others,
            [
                "core::files a_link: no links here",
                "core::files a_lock: no reason given"
            ]
        );
    }

    #[test]
    fn tallies_add_up() {
        let mut sum = Tally {
            passed: 2,
            failed: 1,
            ..Tally::default()
        };
        sum.add(Tally::passed_once());
        sum.add(Tally::skipped_once("kill", "no strace"));
        assert_eq!(sum.cell(), "3 passed, 1 failed, 1 skipped");
    }
}
