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
        name: "layers",
        description: "what the default layers cost a small operation: time and allocations",
        package: "boards-storage",
        kind: Kind::Target,
        features: &[],
        servers: &[],
    },
    Bench {
        name: "encryption",
        description: "one stream through the encryption layer, beside `openssl speed`",
        package: "boards-storage-layers",
        kind: Kind::Target,
        features: &["encryption"],
        servers: &[],
    },
    Bench {
        name: "local",
        description: "the local provider beside its peers: put, get, stat, stream, list",
        package: "boards-storage-bench",
        kind: Kind::Binary,
        features: &[],
        servers: &[],
    },
    Bench {
        name: "s3",
        description: "the S3 provider beside the AWS SDK, object_store and OpenDAL on Ceph: put, get, stream",
        package: "boards-storage-bench",
        kind: Kind::Binary,
        features: &["s3"],
        servers: &["ceph"],
    },
];

/// Something of the workspace that measures.
#[derive(Debug)]
struct Bench {
    name: &'static str,
    description: &'static str,
    package: &'static str,
    kind: Kind,
    /// The package's features that it needs.
    features: &'static [&'static str],
    /// The servers that it finds by the same variables as the tests.
    servers: &'static [&'static str],
}

/// What a benchmark is to Cargo.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The package's binary; it gets the benchmark's name as the first argument.
    Binary,
    /// The package's bench target of that name.
    Target,
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
    let build = match bench.kind {
        Kind::Binary => &["build", "--release"][..],
        Kind::Target => &["bench", "--no-run", "--bench", bench.name],
    };
    process::run(&mut cargo(workspace, build, bench))?;
    let run = |workspace: &Workspace| {
        let mut command = match bench.kind {
            Kind::Binary => cargo(workspace, &["run", "--release"], bench),
            Kind::Target => cargo(workspace, &["bench", "--bench", bench.name], bench),
        };
        command.arg("--");
        if let Kind::Binary = bench.kind {
            command.arg(name);
        }
        process::run(command.args(args))
    };
    if bench.servers.is_empty() {
        return run(workspace);
    }
    let session = Session::open(workspace, &Choice::only(bench.servers))?;
    let outcome = run(&workspace.with_environment(session.environment()));
    session.close(workspace)?;
    outcome
}

fn cargo(workspace: &Workspace, subcommand: &[&str], bench: &Bench) -> Command {
    let mut command = workspace.cargo(subcommand);
    command.args(["--package", bench.package]);
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
