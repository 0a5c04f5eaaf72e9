//! The crates in `examples/`, built as their authors would build them.
//!
//! Each is a workspace of its own, so its profiles come from the command line.

use std::process::Command;

use crate::workspace::Workspace;

/// A third party's provider crate, relative to the workspace's root.
pub(crate) const CUSTOM_PROVIDER: &str = "examples/custom-provider";
/// A program that queries artifacts through the bridge to `object_store`. It needs Arrow, which takes a minute to build.
pub(crate) const QUERY_PARQUET: &str = "examples/query-parquet";
/// A program that gives its spans to a collector. It needs OpenTelemetry, which takes a minute to build.
pub(crate) const EXPORT_TRACES: &str = "examples/export-traces";
/// All of them.
pub(crate) const FOLDERS: [&str; 3] = [CUSTOM_PROVIDER, EXPORT_TRACES, QUERY_PARQUET];

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

/// `cargo SUBCOMMAND …` in the crate of that folder, on the workspace's target directory; none where there is no such
/// crate.
pub(crate) fn cargo(
    workspace: &Workspace,
    folder: &str,
    arguments: &[&str],
    profile: Profile,
) -> Option<Command> {
    let folder = workspace.root().join(folder);
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
