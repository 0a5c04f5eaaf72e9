//! Random programs over the layers, faults and memory: nothing acknowledged is lost, nothing corrupt is read.
//!
//! The runs are the umbrella's tests `model`, with more programs; their small versions run with the other tests.

use anyhow::{Context as _, Result, bail};

use super::Proof;
use crate::tally::Tally;
use crate::workspace::Workspace;

pub(crate) const PROOF: Proof = Proof {
    name: "model",
    description: "200,000 random programs of calls, and as many of artifacts, against a model (--seeds N)",
    run,
    small: None,
};

const SEEDS: u64 = 200_000;

fn run(workspace: &Workspace, args: &[String]) -> Result<Tally> {
    super::run_long(workspace, "model::", "BOARDS_STORAGE_TEST_SEEDS", seeds(args)?)
}

fn seeds(args: &[String]) -> Result<u64> {
    match args {
        [] => Ok(SEEDS),
        [flag, count] if flag == "--seeds" => count
            .parse()
            .with_context(|| format!("--seeds wants a number, got `{count}`")),
        _ => bail!("expected nothing or `--seeds N`, got `{}`", args.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{SEEDS, seeds};

    #[test]
    fn the_number_of_programs_can_be_chosen() {
        let parse = |args: &[&str]| seeds(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
        assert_eq!(parse(&[]).unwrap(), SEEDS);
        assert_eq!(parse(&["--seeds", "7"]).unwrap(), 7);
        assert!(parse(&["--seeds"]).is_err());
        assert!(parse(&["--seeds", "many"]).is_err());
        assert!(parse(&["7"]).is_err());
    }
}
