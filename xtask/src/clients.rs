//! What others wrote and our tests compare with, installed under `target/services`: the official Supabase clients, and
//! Tink for Python.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::install;
use crate::process;
use crate::workspace::Workspace;

const JAVASCRIPT: &str = "@supabase/storage-js@2.119.1";
const TINK: &str = "tink==1.16.0";
const PYTHON: &str = "storage3==2.34.1";

/// Installs the Supabase clients, unless they are there.
pub(crate) fn install(workspace: &Workspace) -> Result<()> {
    let folder = workspace.target_directory().join("services/supabase-clients");
    let (npm, venv) = (folder.join("npm"), folder.join("venv"));
    if !npm.join("node_modules/@supabase/storage-js").exists() {
        install::program("node", "nodejs")?;
        install::program("npm", "npm")?;
        std::fs::create_dir_all(&npm).with_context(|| format!("could not make {}", npm.display()))?;
        let prefix = npm.display().to_string();
        let arguments = [
            "install",
            "--no-audit",
            "--no-fund",
            "--prefix",
            &prefix,
            JAVASCRIPT,
        ];
        process::run(&mut process::command("npm", &arguments))?;
    }
    python(&venv, PYTHON)
}

/// Installs Tink, unless it is there.
pub(crate) fn install_tink(workspace: &Workspace) -> Result<()> {
    python(&workspace.target_directory().join("services/tink"), TINK)
}

/// Installs a Python package into an environment of its own.
fn python(venv: &Path, package: &str) -> Result<()> {
    if venv.join("installed").exists() {
        return Ok(());
    }
    install::program("python3", "python3-venv")?;
    let path = venv.display().to_string();
    process::run(&mut process::command("python3", &["-m", "venv", &path]))
        .context("python3 needs its module venv: on Debian `apt-get install python3-venv`")?;
    let pip = venv.join("bin/pip").display().to_string();
    process::run(&mut process::command(&pip, &["install", "--quiet", package]))?;
    std::fs::write(venv.join("installed"), package).context("could not note the installation")
}
