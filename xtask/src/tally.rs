//! What tests came to: counts that add up, and the closing line that a reader of the output looks for.

use std::collections::BTreeMap;
use std::process::ExitCode;

/// The name of the test binaries that run the conformance suite.
pub(crate) const CONFORMANCE: &str = "conformance";

/// The names of the others that run the same tests over several providers, each under a name of its own.
const COMPARED: [&str; 3] = ["faults", "object_store", "transparency"];

/// The counts of one or more test runs.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[must_use]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: Vec<Skipped>,
    /// The conformance tests that ran, by test binary and suite.
    pub(crate) conformance: BTreeMap<(String, String), Ran>,
}

/// How many tests of a conformance suite ran, and what came of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
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

    /// Notes a test that passed, if it is one that runs over several providers: `binary provider::group::test`.
    pub(crate) fn note_passed(&mut self, binary: &str, test: &str) {
        if let Some(ran) = self.conformance_of(binary, test) {
            ran.passed += 1;
        }
    }

    /// Notes a test that failed, if it is one that runs over several providers.
    pub(crate) fn note_failed(&mut self, binary: &str, test: &str) {
        if let Some(ran) = self.conformance_of(binary, test) {
            ran.failed += 1;
        }
    }

    fn conformance_of(&mut self, binary: &str, test: &str) -> Option<&mut Ran> {
        let name = match binary.rsplit_once("::") {
            Some((crate_name, CONFORMANCE)) => crate_name,
            Some((_, target)) if COMPARED.contains(&target) => binary,
            // `cargo test` says no more than the target's name.
            None if binary == CONFORMANCE => binary,
            _ => return None,
        };
        let suite = (name.to_owned(), test.split_once("::")?.0.to_owned());
        Some(self.conformance.entry(suite).or_default())
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped.extend(other.skipped);
        for (suite, Ran { passed, failed }) in other.conformance {
            let ran = self.conformance.entry(suite).or_default();
            ran.passed += passed;
            ran.failed += failed;
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

    /// Prints a table of the conformance suites with what they came to and what was skipped, counted by what it needs;
    /// then all else that was skipped, by name.
    pub(crate) fn print_skipped(&self) {
        let (suites, others) = self.lines();
        if !suites.is_empty() {
            println!("\n== the same tests over each provider");
        }
        suites.iter().for_each(|line| println!("  {line}"));
        if !self.skipped.is_empty() {
            println!("\nskipped: {}", self.skipped.len());
        }
        others.iter().for_each(|line| println!("  {line}"));
    }

    /// Returns the lines of the table of the conformance suites, and one for each other test that was skipped.
    fn lines(&self) -> (Vec<String>, Vec<String>) {
        let mut suites: BTreeMap<(&str, &str), Suite<'_>> = BTreeMap::new();
        for ((binary, suite), ran) in &self.conformance {
            suites.entry((binary, suite)).or_default().ran = *ran;
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
        (table(&suites), others)
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
    ran: Ran,
    /// What was skipped, by what it needs.
    skipped: BTreeMap<&'a str, u64>,
}

/// A line for each suite below a heading, and for each reason why a test of it was skipped.
fn table(suites: &BTreeMap<(&str, &str), Suite<'_>>) -> Vec<String> {
    let name = |(binary, suite): &(&str, &str)| format!("{binary}: {suite}");
    let width = suites.keys().map(|suite| name(suite).len()).max().unwrap_or(0);
    let row = |name: &str, [passed, failed, skipped]: [&str; 3], why: &str| {
        let line = format!("{name:width$}  {passed:>6}  {failed:>6}  {skipped:>7}  {why}");
        line.trim_end().to_owned()
    };
    let mut lines = Vec::new();
    for (suite, Suite { ran, skipped }) in suites {
        let total: u64 = skipped.values().sum();
        let counts = [ran.passed, ran.failed, total].map(|count| count.to_string());
        let mut reasons = skipped.iter().map(|(need, count)| format!("{count:3} {need}"));
        let first = reasons.next().unwrap_or_default();
        let counts = counts.each_ref().map(String::as_str);
        lines.push(row(&name(suite), counts, &first));
        lines.extend(reasons.map(|reason| row("", [""; 3], &reason)));
    }
    if !lines.is_empty() {
        let names = ["passed", "failed", "skipped"];
        lines.insert(0, row("crate: provider", names, "of these, and why"));
    }
    lines
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
        tally.note_failed("s3::conformance", "garage::list::b");
        tally.note_passed("storage::faults", "gcs::get_meets_a_reset");
        let (suites, others) = tally.lines();
        let suites: Vec<_> = suites
            .iter()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            suites,
            [
                "crate: provider passed failed skipped of these, and why",
                "conformance: other 0 0 1 1 needs copy",
                "s3: ceph 1 0 3 1 needs access",
                "2 needs copy",
                "s3: garage 1 1 0",
                "storage::faults: gcs 1 0 0",
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
