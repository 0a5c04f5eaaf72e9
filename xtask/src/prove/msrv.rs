//! The stated `rust-version` is true: all targets compile with exactly that compiler.
//!
//! No small version: where the tests run on that compiler they show it, elsewhere it costs a whole build.

use anyhow::{Context as _, Result};

use super::Proof;
use crate::tally::Tally;
use crate::workspace::{Workspace, crates};
use crate::{install, process};

pub(crate) const PROOF: Proof = Proof {
    name: "msrv",
    description: "all targets compile with the oldest compiler that `rust-version` promises",
    run,
    small: None,
};

const CHECK: &[&str] = &["check", "--workspace", "--all-targets"];

fn run(workspace: &Workspace, args: &[String]) -> Result<Tally> {
    super::refuse_arguments(args)?;
    let package = workspace.package(crates::CORE)?;
    let promised = package
        .rust_version
        .as_ref()
        .context("expected a `rust-version` in the workspace's Cargo.toml")?;
    let version = promised.to_string();
    if is_current(&version)? {
        process::run(&mut workspace.cargo(CHECK))?;
    } else {
        install::toolchain(&version)?;
        let arguments = [&["run", version.as_str(), "cargo"], CHECK].concat();
        process::run(process::command("rustup", &arguments).current_dir(workspace.root()))?;
    }
    println!("compiles with Rust {version}");
    Ok(Tally::passed_once())
}

fn is_current(version: &str) -> Result<bool> {
    let output = process::capture(&mut process::command("rustc", &["--version"]))?;
    Ok(String::from_utf8_lossy(&output).starts_with(&format!("rustc {version} ")))
}
