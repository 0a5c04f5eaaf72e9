//! A provider crate outside of the workspace compiles against the public API, registers itself, is selected by
//! settings and passes the conformance suite: at full size where the linker drops the most, in release with
//! fat LTO; small in debug.

use anyhow::Result;

use super::Proof;
use crate::example::{self, Profile};
use crate::tally::Tally;
use crate::test::cargo_test;
use crate::workspace::Workspace;

pub(crate) const PROOF: Proof = Proof {
    name: "lto-plugin",
    description: "a third-party provider crate registers and conforms, built with fat LTO",
    run,
    small: Some(small),
};

fn run(workspace: &Workspace, args: &[String]) -> Result<Tally> {
    super::refuse_arguments(args)?;
    test_example(workspace, Profile::Lto)
}

fn small(workspace: &Workspace) -> Result<Tally> {
    test_example(workspace, Profile::Dev)
}

fn test_example(workspace: &Workspace, profile: Profile) -> Result<Tally> {
    let arguments = ["test", "--no-fail-fast"];
    match example::cargo(workspace, example::CUSTOM_PROVIDER, &arguments, profile) {
        Some(mut command) => cargo_test(&mut command),
        None => Ok(Tally::skipped_once(
            example::CUSTOM_PROVIDER,
            "the folder does not exist yet",
        )),
    }
}
