//! The third-party provider crate in `examples/custom-provider`, built as its author would build it.
//!
//! It is a workspace of its own, so its profiles come from the command line.

use std::process::Command;

use crate::workspace::Workspace;

/// Relative to the workspace's root.
pub(crate) const FOLDER: &str = "examples/custom-provider";

/// As the workspace's profile of that name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Profile {
    /// Shares with the workspace what is built already.
    Dev,
    /// In release with fat LTO.
    Lto,
}

impl Profile {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Dev => &[
                "--config=profile.dev.debug='line-tables-only'",
                "--config=profile.dev.package.'*'.opt-level=1",
            ],
            Self::Lto => &[
                "--config=profile.release.debug='line-tables-only'",
                "--config=profile.lto.inherits='release'",
                "--config=profile.lto.lto='fat'",
                "--config=profile.lto.codegen-units=1",
                "--profile=lto",
            ],
        }
    }
}

/// `cargo SUBCOMMAND …` in that crate, on the workspace's target directory; none where there is no such crate.
pub(crate) fn cargo(workspace: &Workspace, arguments: &[&str], profile: Profile) -> Option<Command> {
    let folder = workspace.root().join(FOLDER);
    if !folder.join("Cargo.toml").exists() {
        return None;
    }
    let mut command = workspace.cargo(arguments);
    command
        .current_dir(folder)
        .arg("--target-dir")
        .arg(workspace.target_directory());
    command.args(profile.arguments());
    Some(command)
}
