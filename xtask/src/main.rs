//! Workspace tasks of boards-storage: `cargo xtask test`, `ci`, `services`, `tidy`, `prove`, `bench`,
//! `docs`.
//!
//! This file parses the command line and dispatches; each task has a file of its own. A task that runs tests
//! ends with the line `N passed, N failed`, alone and last.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a terminal program speaks by printing"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "xtask is a blocking program that reads files and the environment"
)]

mod bench;
mod ci;
mod clients;
mod docs;
mod example;
mod install;
mod process;
mod prove;
mod report;
mod services;
mod tally;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::test::{Runner, TestOptions};
use crate::workspace::Workspace;

/// Workspace tasks of boards-storage.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Runs all tests: the workspace's, the documentation's, the third-party example's, small proofs.
    Test {
        /// Runs with cargo-nextest, and fails where it is not installed.
        #[arg(long, conflicts_with = "no_nextest")]
        nextest: bool,
        /// Runs with `cargo test`, also where cargo-nextest is installed.
        #[arg(long)]
        no_nextest: bool,
        #[command(flatten)]
        services: services::Choice,
        /// Filters and flags for the test runner; with any, only the workspace's own tests run.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Runs everything that a change must pass.
    Ci,
    /// Starts and ends the servers that the tests need; `test` does it by itself.
    Services {
        #[command(subcommand)]
        action: services::Action,
    },
    /// Checks the house rules that no compiler checks.
    Tidy,
    /// Runs a heavy proof at full size.
    Prove {
        /// Lists the proofs.
        #[arg(long)]
        list: bool,
        /// The proof's name.
        #[arg(required_unless_present = "list")]
        name: Option<String>,
        /// Flags for the proof.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Runs a benchmark.
    Bench {
        /// Lists the benchmarks.
        #[arg(long)]
        list: bool,
        /// The benchmark's name.
        #[arg(required_unless_present = "list")]
        name: Option<String>,
        /// Flags for the benchmark.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Builds the documentation; a warning is an error.
    Docs,
}

fn main() -> ExitCode {
    dispatch(Arguments::parse().task).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn dispatch(task: Task) -> Result<ExitCode> {
    let workspace = Workspace::load()?;
    match task {
        Task::Test {
            nextest,
            no_nextest,
            services,
            args,
        } => {
            let runner = match (nextest, no_nextest) {
                (true, _) => Runner::nextest()?,
                (false, true) => Runner::CargoTest,
                (false, false) => Runner::installed(),
            };
            let options = TestOptions {
                runner,
                services,
                args,
            };
            test::main(&workspace, &options)
        }
        Task::Ci => ci::main(&workspace),
        Task::Services { action } => services::main(&workspace, &action),
        Task::Tidy => tidy::run(&workspace).map(|()| ExitCode::SUCCESS),
        Task::Prove {
            name: Some(name),
            args,
            ..
        } => prove::main(&workspace, &name, &args),
        Task::Prove { name: None, .. } => Ok(prove::list()),
        Task::Bench {
            name: Some(name),
            args,
            ..
        } => bench::run(&workspace, &name, &args).map(|()| ExitCode::SUCCESS),
        Task::Bench { name: None, .. } => Ok(bench::list()),
        Task::Docs => docs::run(&workspace).map(|()| ExitCode::SUCCESS),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Arguments;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
