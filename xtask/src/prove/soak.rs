//! Ten minutes of 64 tasks over a store of which one call in twenty fails: flat memory, nothing left.
//!
//! The run is the umbrella's test `soak` at full length; its small version runs with the other tests.

use anyhow::Result;

use super::Proof;
use crate::tally::Tally;
use crate::workspace::Workspace;

pub(crate) const PROOF: Proof = Proof {
    name: "soak",
    description: "10 minutes of 64 tasks and 5 % faults: memory flat, no task, call or permit left",
    run,
    small: None,
};

const SECONDS: u64 = 600;

fn run(workspace: &Workspace, args: &[String]) -> Result<Tally> {
    super::refuse_arguments(args)?;
    super::run_long(workspace, "soak::", "BOARDS_STORAGE_TEST_SOAK_SECONDS", SECONDS)
}
