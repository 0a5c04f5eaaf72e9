//! `cargo xtask prove NAME`: the heavy proofs. Their figures go into `docs/`.
//!
//! To add one: a file in `prove/` with a `pub(crate) const PROOF: Proof`, its `mod` line, its line in
//! [`PROOFS`]. A proof prints its figures while it runs and returns its counts; an error counts as a failure.

mod durable_order;
mod export_traces;
mod flat_memory;
mod kill;
mod large_transfer;
mod list_million;
mod lto_plugin;
mod model;
mod msrv;
mod outage;
mod program;
mod query_parquet;
mod relay;
mod soak;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::example::{self, Profile};
use crate::tally::Tally;
use crate::workspace::Workspace;
use crate::{process, test};

/// Every proof, in the order in which `cargo xtask test` runs their small versions.
const PROOFS: &[Proof] = &[
    durable_order::PROOF,
    export_traces::PROOF,
    flat_memory::PROOF,
    kill::PROOF,
    large_transfer::PROOF,
    list_million::PROOF,
    lto_plugin::PROOF,
    model::PROOF,
    msrv::PROOF,
    outage::PROOF,
    query_parquet::PROOF,
    soak::PROOF,
];

/// A property that is shown by a long run.
#[derive(Debug)]
pub(crate) struct Proof {
    pub(crate) name: &'static str,
    /// What is shown, in one sentence.
    pub(crate) description: &'static str,
    /// The run at full size, with the flags of the command line.
    pub(crate) run: fn(&Workspace, &[String]) -> Result<Tally>,
    /// The run that `cargo xtask test` can afford, a few seconds long; none where the tests show it anyway.
    pub(crate) small: Option<SmallVersion>,
}

/// A run of seconds instead of minutes.
pub(crate) type SmallVersion = fn(&Workspace) -> Result<Tally>;

/// Prints the proofs.
pub(crate) fn list() -> ExitCode {
    for Proof {
        name,
        description,
        small,
        ..
    } in PROOFS
    {
        let small = if small.is_some() {
            ""
        } else {
            " (no small version)"
        };
        println!("{name:16} {description}{small}");
    }
    ExitCode::SUCCESS
}

/// Runs one proof at full size and closes with its counts.
pub(crate) fn main(workspace: &Workspace, name: &str, args: &[String]) -> Result<ExitCode> {
    let proof = find(name)?;
    let started = Instant::now();
    let tally = (proof.run)(workspace, args).with_context(|| format!("proof {name}"))?;
    tally.print_skipped();
    println!(
        "\nproof {name}: {} in {:.1} s",
        tally.cell(),
        started.elapsed().as_secs_f64()
    );
    Ok(tally.close())
}

/// The small versions, each with the name of its proof.
pub(crate) fn small_versions() -> impl Iterator<Item = (&'static str, SmallVersion)> {
    PROOFS.iter().filter_map(|proof| Some((proof.name, proof.small?)))
}

/// For proofs that have no flags.
fn refuse_arguments(args: &[String]) -> Result<()> {
    if let Some(arg) = args.first() {
        bail!("this proof takes no arguments, but got `{arg}`: leave it out");
    }
    Ok(())
}

/// Runs the umbrella's tests of that name at the length that the variable gives them.
fn run_long(workspace: &Workspace, tests: &str, variable: &str, length: impl ToString) -> Result<Tally> {
    // As the tests build it, so that nothing is compiled anew.
    let target = ["test", "--workspace", "--test", "storage"];
    let arguments = ["--", "--nocapture", "--test-threads=1", tests];
    let mut command = workspace.cargo(&[&target[..], &arguments].concat());
    command.env(variable, length.to_string());
    test::cargo_test(&mut command)
}

/// Runs an example outside the workspace, which fails by itself if it does not show what it is to show.
fn run_example(workspace: &Workspace, folder: &str) -> Result<Tally> {
    for (arguments, more) in [
        (
            &["clippy", "--locked", "--all-targets"][..],
            &["--", "-D", "warnings"][..],
        ),
        (&["run", "--locked", "--quiet"], &[]),
    ] {
        let mut command = example::cargo(workspace, folder, arguments, Profile::Dev)
            .with_context(|| format!("expected the folder `{folder}`"))?;
        process::run(command.args(more))?;
    }
    Ok(Tally::passed_once())
}

fn find(name: &str) -> Result<&'static Proof> {
    let names = || {
        PROOFS
            .iter()
            .map(|proof| proof.name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    PROOFS
        .iter()
        .find(|proof| proof.name == name)
        .with_context(|| format!("there is no proof `{name}`: choose one of {}", names()))
}

#[cfg(test)]
mod tests {
    use super::{PROOFS, find, refuse_arguments};

    #[test]
    fn proofs_are_found_by_their_own_name_alone() {
        for proof in PROOFS {
            assert_eq!(
                find(proof.name).unwrap().description,
                proof.description,
                "two have one name"
            );
        }
        assert!(
            find("perpetual-motion")
                .unwrap_err()
                .to_string()
                .contains("lto-plugin")
        );
    }

    #[test]
    fn an_argument_that_a_proof_cannot_use_is_refused() {
        assert!(refuse_arguments(&[]).is_ok());
        assert!(refuse_arguments(&["--rounds".to_owned()]).is_err());
    }
}
