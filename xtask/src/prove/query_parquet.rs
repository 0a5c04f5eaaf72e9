//! A query engine reads an artifact through the bridge to `object_store`: `examples/query-parquet`, which fails if the
//! answer is wrong or more of the artifact was read than the query needs.
//!
//! No small version: it costs a build of Arrow.

use anyhow::Result;

use super::Proof;
use crate::example;
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
    super::run_example(workspace, example::QUERY_PARQUET)
}
