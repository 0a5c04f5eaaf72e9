//! The built program, as the proofs run it: in a folder of its own, without the caller's settings.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::process;
use crate::workspace::{Workspace, crates};

/// How the program is built.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Build {
    Debug,
    Release,
}

/// The program and a folder that is removed in the end.
#[derive(Debug)]
pub(crate) struct Program {
    path: PathBuf,
    folder: PathBuf,
}

impl Program {
    pub(crate) fn build(workspace: &Workspace, proof: &str, build: Build) -> Result<Self> {
        Self::build_with(workspace, proof, build, &[])
    }

    /// Builds the program with these features besides the default ones.
    pub(crate) fn build_with(
        workspace: &Workspace,
        proof: &str,
        build: Build,
        features: &[&str],
    ) -> Result<Self> {
        let features = features.join(",");
        let mut arguments = vec!["build", "--package", crates::CLI, "--features", &features];
        let profile = match build {
            Build::Debug => "debug",
            Build::Release => {
                arguments.push("--release");
                "release"
            }
        };
        process::run(&mut workspace.cargo(&arguments))?;
        let target = workspace.target_directory();
        let folder = target
            .join("proofs")
            .join(format!("{proof}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("could not create {}", folder.display()))?;
        Ok(Self {
            path: target.join(profile).join("boards-storage"),
            folder,
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The program with these arguments, in its folder and with nothing but a search path in its environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        self.prepare(command.args(arguments));
        command
    }

    /// The program with these arguments, started by another one.
    pub(crate) fn command_under(
        &self,
        runner: &str,
        runner_arguments: &[&str],
        arguments: &[&str],
    ) -> Command {
        let mut command = Command::new(runner);
        self.prepare(command.args(runner_arguments).arg(&self.path).args(arguments));
        command
    }

    fn prepare(&self, command: &mut Command) {
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", &self.folder)
            .current_dir(&self.folder)
            .stdin(Stdio::null());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // What is left is below `target`, where nothing is kept.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
