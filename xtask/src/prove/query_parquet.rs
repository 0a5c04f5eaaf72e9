//! A query engine reads an artifact through the bridge to `object_store`: `examples/query-parquet`, which fails if the
//! answer is wrong or more of the artifact was read than the query needs.
//!
//! No small version: it costs a build of Arrow.

use anyhow::{Context as _, Result};

use super::Proof;
use crate::example::{self, Profile};
use crate::process;
use crate::tally::Tally;
use crate::workspace::Workspace;

pub(crate) const PROOF: Proof = Proof {
    name: "query-parquet",
    description: "Arrow's Parquet reader queries an artifact as an object_store, and reads only what it needs",
    run,
    small: None,
};

fn run(workspace: &Workspace, args: &[String]) -> Result<Tally> {
    super::refuse_arguments(args)?;
    for arguments in [
        &["clippy", "--locked", "--all-targets"][..],
        &["run", "--locked", "--quiet"],
    ] {
        let mut command = example::cargo(workspace, example::QUERY_PARQUET, arguments, Profile::Dev)
            .with_context(|| format!("expected the folder `{}`", example::QUERY_PARQUET))?;
        if arguments[0] == "clippy" {
            command.args(["--", "-D", "warnings"]);
        }
        process::run(&mut command)?;
    }
    Ok(Tally::passed_once())
}
