//! What tests came to: counts that add up, and the closing line that a reader of the output looks for.

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

    /// Prints what was skipped, each with its reason.
    pub(crate) fn print_skipped(&self) {
        if self.skipped.is_empty() {
            return;
        }
        println!("\nskipped: {}", self.skipped.len());
        for Skipped { name, reason } in &self.skipped {
            println!("  {name}: {}", reason.as_deref().unwrap_or("no reason given"));
        }
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
    use super::Tally;

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
