//! `cargo xtask test`: every test there is, summed into one closing line.
//!
//! In this order: the servers; the workspace's tests; test targets that need features which are off by default; doc tests;
//! the small version of each proof, the third-party example among them. A failing test stops nothing; a
//! workspace that does not build stops everything. A suite that could not run counts as one failure, so that
//! the closing line never looks green by absence.

mod harness;
mod runner;
mod suites;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::clients;
use crate::prove;
use crate::report::{self, Row};
use crate::services::{Choice, Session};
use crate::tally::Tally;
use crate::workspace::Workspace;

pub(crate) use self::runner::{Runner, cargo_test, gated_features};

/// What to run and with which runner.
#[derive(Debug)]
pub(crate) struct TestOptions {
    pub(crate) runner: Runner,
    /// The servers that the tests talk to.
    pub(crate) services: Choice,
    /// Handed to the runner. Any argument narrows the run to the workspace's own tests.
    pub(crate) args: Vec<String>,
}

/// Runs the tests and closes with their counts.
pub(crate) fn main(workspace: &Workspace, options: &TestOptions) -> Result<ExitCode> {
    Ok(run(workspace, options)?.close())
}

/// Runs the tests, prints the summary, and leaves the closing line to the caller.
///
/// The servers come first, and those that were started here end at last.
pub(crate) fn run(workspace: &Workspace, options: &TestOptions) -> Result<Tally> {
    report::print_heading("servers");
    let session = Session::open(workspace, &options.services)?;
    let tally = run_suites(&workspace.with_environment(session.environment()), options);
    session.print_gaps();
    session.close(workspace)?;
    tally.print_skipped();
    Ok(tally)
}

fn run_suites(workspace: &Workspace, options: &TestOptions) -> Tally {
    let mut suites = Suites::default();
    let TestOptions { runner, args, .. } = options;
    let built = suites.run("workspace", || {
        // The program turns encryption on, and with it the tests of its layer.
        if args.is_empty() {
            clients::install_tink(workspace)?;
        }
        runner.workspace_tests(workspace, args)
    });
    if built && args.is_empty() {
        if let Some(gated) = runner::gated_targets(workspace) {
            suites.run("gated targets", || {
                clients::install(workspace)?;
                runner.gated_tests(workspace, &gated)
            });
        }
        suites.run("doc tests", || runner::doc_tests(workspace));
        for (name, small) in prove::small_versions() {
            suites.run(&format!("small proof: {name}"), || small(workspace));
        }
    }
    report::print_table(&format!("tests ({runner})"), &suites.rows);
    if !args.is_empty() {
        println!("\nNOT RUN, since arguments narrow the run: gated targets, doc tests, small proofs");
    } else if !built {
        println!(
            "\nNOT RUN, since the workspace's tests could not run: gated targets, doc tests, small proofs"
        );
    }
    suites.total
}

/// The suites that ran so far.
#[derive(Debug, Default)]
struct Suites {
    rows: Vec<Row>,
    total: Tally,
}

impl Suites {
    /// Runs one suite and books its counts, or one failure; says whether it could run at all.
    fn run(&mut self, name: &str, suite: impl FnOnce() -> Result<Tally>) -> bool {
        report::print_heading(name);
        let started = Instant::now();
        let result = suite();
        let duration = started.elapsed();
        let (outcome, tally, could_run) = match result {
            Ok(tally) => (tally.cell(), tally, true),
            Err(error) => {
                eprintln!("error: {name}: {error:#}");
                (
                    "COULD NOT RUN".to_owned(),
                    Tally {
                        failed: 1,
                        ..Tally::default()
                    },
                    false,
                )
            }
        };
        self.rows.push(Row {
            name: name.to_owned(),
            outcome,
            duration,
        });
        self.total.add(tally);
        could_run
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::Suites;
    use crate::tally::Tally;

    #[test]
    fn a_suite_that_cannot_run_counts_as_a_failure() {
        let mut suites = Suites::default();
        assert!(suites.run("good", || Ok(Tally {
            passed: 3,
            ..Tally::default()
        })));
        assert!(!suites.run("broken", || bail!("does not build")));
        assert_eq!((suites.total.passed, suites.total.failed), (3, 1));
        assert_eq!(suites.rows[1].outcome, "COULD NOT RUN");
    }
}
