//! Programs that the tasks need: found, or installed where that is ours to do, or asked for by name.
//!
//! Nothing is installed that the package manager of the system or rustup could not bring.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};

use crate::process;

/// Whether this run has fetched apt's lists of packages, which takes seconds.
static LISTS_ARE_NEW: AtomicBool = AtomicBool::new(false);

/// Makes sure that `program` is in the `PATH`: installs `apt_package` where we are root and apt is there.
pub(crate) fn program(program: &str, apt_package: &str) -> Result<()> {
    programs(&[(program, apt_package)])
}

/// Makes sure that programs, each with its package, are in the `PATH`; see [`program`].
pub(crate) fn programs(needed: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<_> = needed
        .iter()
        .filter(|(program, _)| !is_in_path(program))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    let names: Vec<_> = missing
        .iter()
        .map(|(program, _)| format!("`{program}`"))
        .collect();
    packages_for(&names.join(", "), &packages)?;
    if let Some((program, package)) = missing.iter().find(|(program, _)| !is_in_path(program)) {
        bail!("`{program}` is still not in the PATH after installing the package {package}");
    }
    Ok(())
}

/// Installs a package that has no program to look for.
pub(crate) fn package(apt_package: &str) -> Result<()> {
    packages_for(apt_package, &[apt_package])
}

fn packages_for(needed: &str, apt_packages: &[&str]) -> Result<()> {
    let listed = apt_packages.join(" ");
    if !(is_in_path("apt-get") && is_root()) {
        bail!("needed and not installed: {needed}: install it, on Debian `apt-get install {listed}`");
    }
    eprintln!("needed and not installed: {needed}: installing {listed}");
    if !LISTS_ARE_NEW.swap(true, Ordering::Relaxed) {
        process::run(&mut process::command("apt-get", &["update"]))?;
    }
    let arguments = [&["install", "-y", "--no-install-recommends"], apt_packages].concat();
    process::run(process::command("apt-get", &arguments).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Makes sure that `cargo SUBCOMMAND`, a component of the toolchain, is there.
pub(crate) fn component(subcommand: &str, component: &str) -> Result<()> {
    if has_cargo_subcommand(subcommand) {
        return Ok(());
    }
    if !is_in_path("rustup") {
        bail!("`cargo {subcommand}` is needed and not installed: add {component} to the Rust toolchain");
    }
    process::run(&mut process::command("rustup", &["component", "add", component]))
}

/// Makes sure that rustup has the toolchain `version`.
pub(crate) fn toolchain(version: &str) -> Result<()> {
    if !is_in_path("rustup") {
        bail!(
            "rustup is needed to run Rust {version} beside the current one: install rustup, or Rust {version}"
        );
    }
    if process::succeeds(&mut process::command(
        "rustup",
        &["run", version, "rustc", "--version"],
    )) {
        return Ok(());
    }
    let arguments = [
        "toolchain",
        "install",
        version,
        "--profile",
        "minimal",
        "--no-self-update",
    ];
    process::run(&mut process::command("rustup", &arguments))
}

/// Whether `cargo SUBCOMMAND` exists; nothing is installed.
pub(crate) fn has_cargo_subcommand(subcommand: &str) -> bool {
    process::succeeds(&mut process::command("cargo", &[subcommand, "--version"]))
}

fn is_in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| is_executable(&folder.join(program)))
}

/// Whether a file can be run as a program.
#[cfg(unix)]
pub(crate) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
pub(crate) fn is_executable(path: &Path) -> bool {
    path.is_file() || path.with_extension("exe").is_file()
}

/// Whether we are the superuser.
pub(crate) fn is_root() -> bool {
    process::capture(&mut process::command("id", &["-u"])).is_ok_and(|output| output.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::{has_cargo_subcommand, is_in_path};

    #[test]
    fn a_program_is_found_by_name() {
        assert!(is_in_path("cargo"));
        assert!(!is_in_path("boards-storage-no-such-program"));
    }

    #[test]
    fn a_cargo_subcommand_that_is_not_there_is_not_found() {
        assert!(!has_cargo_subcommand("boards-storage-no-such-subcommand"));
    }
}
