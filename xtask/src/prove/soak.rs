//! Ten minutes of 64 tasks over a store of which one call in twenty fails: flat memory, nothing left.
//!
//! The run is the umbrella's test `soak` at full length; its small version runs with the other tests.

use anyhow::Result;

use super::Proof;
use crate::tally::Tally;
use crate::test::cargo_test;
use crate::workspace::{Workspace, crates};

pub(crate) const PROOF: Proof = Proof {
    name: "soak",
    description: "10 minutes of 64 tasks and 5 % faults: memory flat, no task, call or permit left",
    run,
    small: None,
};

const SECONDS: u64 = 600;

fn run(workspace: &Workspace, args: &[String]) -> Result<Tally> {
    super::refuse_arguments(args)?;
    let arguments = [
        "test",
        "--package",
        crates::UMBRELLA,
        "--test",
        "storage",
        "--",
        "--nocapture",
        "soak::",
    ];
    let mut command = workspace.cargo(&arguments);
    command.env("BOARDS_STORAGE_TEST_SOAK_SECONDS", SECONDS.to_string());
    cargo_test(&mut command)
}
