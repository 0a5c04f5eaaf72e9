//! Spans reach an OpenTelemetry collector: `examples/export-traces`, which has one of its own and fails if the calls are
//! not in the caller's trace, or an attempt is not below its call.
//!
//! No small version: it costs a build of OpenTelemetry.

use anyhow::Result;

use super::Proof;
use crate::example;
use crate::tally::Tally;
use crate::workspace::Workspace;

pub(crate) const PROOF: Proof = Proof {
    name: "export-traces",
    description: "spans go by OTLP to a collector, each attempt below its call, each call in the caller's trace",
    run,
    small: None,
};

fn run(workspace: &Workspace, args: &[String]) -> Result<Tally> {
    super::refuse_arguments(args)?;
    super::run_example(workspace, example::EXPORT_TRACES)
}
