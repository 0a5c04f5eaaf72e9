//! No phase of put, overwrite and delete loses or tears anything when the process is killed in it.
//!
//! The run is the umbrella's test `crash` at full size; its small version runs with the other tests.

use anyhow::Result;

use super::Proof;
use crate::tally::Tally;
use crate::test::cargo_test;
use crate::workspace::{Workspace, crates};

pub(crate) const PROOF: Proof = Proof {
    name: "kill",
    description: "kill -9, 20 times at each failpoint and 500 times at random instants, loses and tears nothing",
    run,
    small: None,
};

fn run(workspace: &Workspace, args: &[String]) -> Result<Tally> {
    super::refuse_arguments(args)?;
    let arguments = [
        "test",
        "--package",
        crates::UMBRELLA,
        "--features",
        "failpoints",
        "--test",
        "crash",
    ];
    let mut command = workspace.cargo(&arguments);
    command.env("CRASH_HITS", "20").env("CRASH_KILLS", "500");
    cargo_test(&mut command)
}
