//! `cargo xtask bench NAME`: builds a benchmark in release and runs it.
//!
//! To add one: a line in [`BENCHES`].

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::process;
use crate::workspace::Workspace;

const BENCHES: &[Bench] = &[Bench {
    name: "local",
    description: "the local provider beside its peers: put, get, stat, stream, list",
    package: "boards-storage-bench",
}];

/// A binary of the workspace that measures; it gets its own name as the first argument.
#[derive(Debug)]
struct Bench {
    name: &'static str,
    description: &'static str,
    package: &'static str,
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
    let Bench { package, .. } = find(name)?;
    workspace
        .package(package)
        .with_context(|| format!("cannot run the benchmark {name}"))?;
    let mut command = workspace.cargo(&["run", "--release", "--package", package, "--", name]);
    process::run(command.args(args))
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
