//! `cargo xtask bench NAME`: builds a benchmark in release, starts the servers that it needs, and runs it.
//!
//! To add one: an entry in [`BENCHES`]. Servers that were started for it are ended when it ends.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::process;
use crate::services::{Choice, Session};
use crate::workspace::Workspace;

const BENCHES: &[Bench] = &[
    Bench {
        name: "local",
        description: "the local provider beside its peers: put, get, stat, stream, list",
        package: "boards-storage-bench",
        features: &[],
        servers: &[],
    },
    Bench {
        name: "s3",
        description: "the S3 provider beside the AWS SDK, object_store and OpenDAL on Ceph: put, get, stream",
        package: "boards-storage-bench",
        features: &["s3"],
        servers: &["ceph"],
    },
];

/// A binary of the workspace that measures; it gets its own name as the first argument.
#[derive(Debug)]
struct Bench {
    name: &'static str,
    description: &'static str,
    package: &'static str,
    /// The package's features that it needs.
    features: &'static [&'static str],
    /// The servers that it finds by the same variables as the tests.
    servers: &'static [&'static str],
}

/// Prints the benchmarks.
pub(crate) fn list() -> ExitCode {
    for Bench {
        name, description, ..
    } in BENCHES
    {
        println!("{name:16} {description}");
    }
    ExitCode::SUCCESS
}

/// Runs one benchmark; `args` go to it.
pub(crate) fn run(workspace: &Workspace, name: &str, args: &[String]) -> Result<()> {
    let bench = find(name)?;
    workspace
        .package(bench.package)
        .with_context(|| format!("cannot run the benchmark {name}"))?;
    // The servers are not up while the compiler works.
    process::run(&mut cargo(workspace, "build", bench))?;
    let run = |workspace: &Workspace| {
        let mut command = cargo(workspace, "run", bench);
        process::run(command.args(["--", name]).args(args))
    };
    if bench.servers.is_empty() {
        return run(workspace);
    }
    let session = Session::open(workspace, &Choice::only(bench.servers))?;
    let outcome = run(&workspace.with_environment(session.environment()));
    session.close(workspace)?;
    outcome
}

fn cargo(workspace: &Workspace, subcommand: &str, bench: &Bench) -> Command {
    let mut command = workspace.cargo(&[subcommand, "--release", "--package", bench.package]);
    if !bench.features.is_empty() {
        command.args(["--features", &bench.features.join(",")]);
    }
    command
}

fn find(name: &str) -> Result<&'static Bench> {
    let names = || {
        BENCHES
            .iter()
            .map(|bench| bench.name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    BENCHES
        .iter()
        .find(|bench| bench.name == name)
        .with_context(|| format!("there is no benchmark `{name}`: choose one of {}", names()))
}

#[cfg(test)]
mod tests {
    use super::{BENCHES, find};

    #[test]
    fn benchmarks_are_found_by_their_own_name_alone() {
        for bench in BENCHES {
            assert_eq!(
                find(bench.name).unwrap().description,
                bench.description,
                "two have one name"
            );
        }
        assert!(
            find("perpetual-motion")
                .unwrap_err()
                .to_string()
                .contains("local")
        );
    }
}
