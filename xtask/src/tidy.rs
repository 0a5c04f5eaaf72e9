//! `cargo xtask tidy`: the house rules that no compiler checks. All problems are reported in one run.
//!
//! Each rule has a file, which holds a pure check and its tests; what a rule is about stands there, once.

mod adr;
mod edges;
mod files;
mod gated;
mod manifests;
mod umbrella;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::workspace::Workspace;
use crate::{install, process};

/// A broken rule: where, and what to do about it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    /// Relative to the workspace's root.
    path: String,
    line: Option<usize>,
    message: String,
}

impl Problem {
    fn in_file(path: &str, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line: None,
            message: message.into(),
        }
    }

    fn at_line(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line: Some(line),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.message),
            None => write!(f, "{}: {}", self.path, self.message),
        }
    }
}

/// Checks every rule and fails if any is broken.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let tree = Tree::read(workspace)?;
    let mut problems = Vec::new();
    problems.extend(edges::check(workspace, &tree));
    problems.extend(manifests::check(workspace, &tree)?);
    problems.extend(umbrella::check(workspace, &tree)?);
    problems.extend(gated::check(workspace, &tree));
    problems.extend(files::check(&tree));
    problems.extend(adr::check(&tree));
    problems.sort();
    for problem in &problems {
        eprintln!("{problem}");
    }
    if !problems.is_empty() {
        bail!(
            "{} house rules are broken: see each line above for what to do",
            problems.len()
        );
    }
    println!("{} files are tidy", tree.files.len());
    Ok(())
}

/// The files of the repository: those that git tracks, and those that it would.
#[derive(Debug)]
struct Tree {
    root: PathBuf,
    files: Vec<File>,
}

#[derive(Debug)]
struct File {
    /// Relative to the root, with `/`.
    path: String,
    size_bytes: u64,
    /// None where the file is not text.
    text: Option<String>,
}

impl Tree {
    fn read(workspace: &Workspace) -> Result<Self> {
        install::program("git", "git")?;
        let root = workspace.root();
        let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let listing = process::capture(process::command("git", &arguments).current_dir(&root))?;
        let mut files = Vec::new();
        for path in listing.split(|byte| *byte == 0).filter(|path| !path.is_empty()) {
            let path = std::str::from_utf8(path).context("expected UTF-8 in the names of all files")?;
            let on_disk = root.join(path);
            // A file that was just deleted is still tracked; a symlink's target is a file of its own.
            if on_disk
                .symlink_metadata()
                .is_ok_and(|metadata| metadata.is_file())
            {
                files.push(File::read(&on_disk, path)?);
            }
        }
        Ok(Self { root, files })
    }

    fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// A path that cargo named, as the tree names it.
    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned()
    }
}

impl File {
    fn read(on_disk: &Path, path: &str) -> Result<Self> {
        let bytes = std::fs::read(on_disk).with_context(|| format!("could not read {path}"))?;
        let size_bytes = u64::try_from(bytes.len()).expect("a length fits");
        Ok(Self {
            path: path.to_owned(),
            size_bytes,
            text: String::from_utf8(bytes).ok(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Problem;

    #[test]
    fn a_problem_names_its_place() {
        assert_eq!(Problem::in_file("a.rs", "wrong").to_string(), "a.rs: wrong");
        assert_eq!(Problem::at_line("a.rs", 3, "wrong").to_string(), "a.rs:3: wrong");
    }
}
