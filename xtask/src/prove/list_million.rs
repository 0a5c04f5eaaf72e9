//! One folder of a million files is listed in order, in the memory of a short listing.
//!
//! The run is a test of the local provider at full size; its small version runs with the other tests.

use anyhow::Result;

use super::Proof;
use crate::tally::Tally;
use crate::test::cargo_test;
use crate::workspace::{Workspace, crates};

pub(crate) const PROOF: Proof = Proof {
    name: "list-million",
    description: "one folder of 1,000,000 files is listed in byte order within 24 MiB",
    run,
    small: None,
};

fn run(workspace: &Workspace, args: &[String]) -> Result<Tally> {
    super::refuse_arguments(args)?;
    let test = "listing::a_long_listing_needs_no_more_memory_than_a_short_one";
    let arguments = [
        "test",
        "--release",
        "--package",
        crates::LOCAL,
        "--test",
        "local",
        "--",
        "--exact",
        test,
        "--nocapture",
    ];
    let mut command = workspace.cargo(&arguments);
    command.env("LOCAL_LIST_FILES", "1000000");
    cargo_test(&mut command)
}
