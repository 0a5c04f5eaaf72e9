//! Where one server lives: its folder under `target/services`, its ports, its processes and their logs.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::Environment;
use super::state::{Process, State};
use crate::process;
use crate::workspace::Workspace;

/// The folder of one server.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
    processes: Vec<Process>,
}

impl Place {
    pub(super) fn of(workspace: &Workspace, name: &str) -> Result<Self> {
        let folder = folder(workspace).join(name);
        make_folder(&folder.join("log"))?;
        Ok(Self {
            folder,
            processes: Vec::new(),
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the server's data are: gone with the server.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.folder.join("log")
    }

    pub(super) fn state_file(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    /// Removes the data and the state; the logs stay.
    pub(super) fn clear(&self) -> Result<()> {
        for path in [self.data(), self.state_file()] {
            let removed = if path.is_dir() {
                std::fs::remove_dir_all(&path)
            } else if path.exists() {
                std::fs::remove_file(&path)
            } else {
                Ok(())
            };
            removed.with_context(|| format!("could not remove {}", path.display()))?;
        }
        Ok(())
    }

    /// Makes a folder below the data.
    pub(super) fn make(&self, name: &str) -> Result<PathBuf> {
        let path = self.data().join(name);
        make_folder(&path)?;
        Ok(path)
    }

    /// Writes a file below the data.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        make_folder(&self.data())?;
        let path = self.data().join(name);
        std::fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
        Ok(path)
    }

    /// Starts a process that outlives this one, in a process group of its own, its output in `log/NAME.log`.
    ///
    /// It is noted at once, so that it can be ended also if what follows fails.
    pub(super) fn spawn(&mut self, name: &str, command: &mut Command) -> Result<()> {
        let path = self.logs().join(format!("{name}.log"));
        let log = || File::options().create(true).append(true).open(&path);
        let opened = || format!("could not open {}", path.display());
        command
            .stdin(Stdio::null())
            .stdout(log().with_context(opened)?)
            .stderr(log().with_context(opened)?);
        own_group(command);
        let child = command
            .spawn()
            .with_context(|| format!("could not start `{}`", process::display(command)))?;
        self.processes.push(Process::running(child.id())?);
        self.state_with(Vec::new()).save(self)
    }

    /// Takes over what runs of a server but its last process, which is to be started again.
    pub(super) fn keep_all_but_last(&mut self, state: &State) {
        self.processes.clone_from(&state.processes);
        self.processes.pop();
    }

    /// Whether all processes that were started here still run.
    pub(super) fn is_alive(&self) -> bool {
        self.processes.iter().all(Process::is_running)
    }

    pub(super) fn state_with(&self, environment: Environment) -> State {
        State {
            processes: self.processes.clone(),
            environment,
        }
    }
}

#[cfg(unix)]
fn own_group(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;

    command.process_group(0);
}

#[cfg(not(unix))]
fn own_group(_: &mut Command) {}

/// Where all servers live.
pub(super) fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target_directory().join("services")
}

/// Waits until no other `cargo xtask` of this tree starts or ends servers; the lock goes with the file.
pub(super) fn lock(workspace: &Workspace) -> Result<File> {
    let folder = folder(workspace);
    make_folder(&folder)?;
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("could not open {}", path.display()))?;
    file.lock()
        .with_context(|| format!("could not lock {}", path.display()))?;
    Ok(file)
}

/// Ports of the loopback address that nobody listens on, all different.
pub(super) fn free_ports<const COUNT: usize>() -> Result<[u16; COUNT]> {
    // All are held until the last is found, so that none comes twice.
    let held = (0..COUNT)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<std::io::Result<Vec<_>>>()
        .context("no free port on the loopback address")?;
    let mut ports = [0; COUNT];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

fn make_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("could not create {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::free_ports;

    #[test]
    fn free_ports_are_different() {
        let mut ports = free_ports::<8>().unwrap().to_vec();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 8);
    }
}
