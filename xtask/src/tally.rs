//! What tests came to: counts that add up, and the closing line that a reader of the output looks for.

use std::collections::BTreeMap;
use std::process::ExitCode;

/// The counts of one or more test runs.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[must_use]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: Vec<Skipped>,
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

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped.extend(other.skipped);
    }

    /// The counts in one cell of a table.
    pub(crate) fn cell(&self) -> String {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        match skipped.len() {
            0 => format!("{passed} passed, {failed} failed"),
            skipped => format!("{passed} passed, {failed} failed, {skipped} skipped"),
        }
    }

    /// Prints what was skipped: conformance tests suite by suite, counted by what they need, and all else by name.
    pub(crate) fn print_skipped(&self) {
        if self.skipped.is_empty() {
            return;
        }
        println!("\nskipped: {}", self.skipped.len());
        for line in self.skipped_lines() {
            println!("  {line}");
        }
    }

    fn skipped_lines(&self) -> Vec<String> {
        let mut suites: BTreeMap<(&str, &str), BTreeMap<&str, usize>> = BTreeMap::new();
        let mut lines = Vec::new();
        for Skipped { name, reason } in &self.skipped {
            let conformance = name
                .split_once(" [")
                .and_then(|(binary, rest)| Some((binary, rest.split_once("] ")?)))
                .and_then(|(binary, (need, test))| Some((binary, need, test.split_once("::")?.0)));
            match (conformance, reason) {
                (Some((binary, need, suite)), None) => {
                    *suites
                        .entry((binary, suite))
                        .or_default()
                        .entry(need)
                        .or_default() += 1;
                }
                (_, Some(reason)) => lines.push(format!("{name}: {reason}")),
                (None, None) => lines.push(format!("{name}: no reason given")),
            }
        }
        let suites = suites.iter().map(|((binary, suite), needs)| {
            let needs: Vec<_> = needs
                .iter()
                .map(|(need, count)| format!("{need} ({count})"))
                .collect();
            format!("{binary} {suite}: {}", needs.join(", "))
        });
        suites.chain(lines).collect()
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

#[cfg(test)]
mod tests {
    use super::{Skipped, Tally};

    #[test]
    fn skipped_conformance_is_counted_by_need() {
        let skipped = |name: &str, reason: Option<&str>| Skipped {
            name: name.to_owned(),
            reason: reason.map(str::to_owned),
        };
        let tally = Tally {
            skipped: vec![
                skipped("s3::conformance [needs copy] ceph::copy::a", None),
                skipped("s3::conformance [needs copy] ceph::copy::b", None),
                skipped("s3::conformance [needs access] ceph::access::c", None),
                skipped("s3::conformance [needs copy] other::copy::a", None),
                skipped("core::files a_link", Some("no links here")),
                skipped("core::files a_lock", None),
            ],
            ..Tally::default()
        };
        assert_eq!(
            tally.skipped_lines(),
            [
                "s3::conformance ceph: needs access (1), needs copy (2)",
                "s3::conformance other: needs copy (1)",
                "core::files a_link: no links here",
                "core::files a_lock: no reason given",
            ]
        );
    }

    #[test]
    fn tallies_add_up() {
        let mut sum = Tally {
            passed: 2,
            failed: 1,
            skipped: Vec::new(),
        };
        sum.add(Tally::passed_once());
        sum.add(Tally::skipped_once("kill", "no strace"));
        assert_eq!(sum.cell(), "3 passed, 1 failed, 1 skipped");
    }
}
