//! The workspace as cargo describes it: where it is, which packages it has, where it builds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use cargo_metadata::{Metadata, MetadataCommand, Package, Target};

use crate::process;

/// The names of the workspace's crates that a rule or a task speaks of.
pub(crate) mod crates {
    pub(crate) const CLI: &str = "boards-storage-cli";
    pub(crate) const CORE: &str = "boards-storage-core";
    pub(crate) const LAYERS: &str = "boards-storage-layers";
    pub(crate) const LOCAL: &str = "boards-storage-local";
    pub(crate) const TESTKIT: &str = "boards-storage-testkit";
    pub(crate) const UMBRELLA: &str = "boards-storage";
    pub(crate) const VALIDATION: &str = "boards-storage-validation";
    pub(crate) const XTASK: &str = "xtask";

    /// Every crate that holds providers.
    pub(crate) const PROVIDERS: &[&str] = &[
        "boards-storage-gcs",
        "boards-storage-local",
        "boards-storage-opendal",
        "boards-storage-s3",
        "boards-storage-supabase",
    ];
}

/// The workspace, loaded once per run.
#[derive(Debug)]
pub(crate) struct Workspace {
    metadata: Metadata,
    /// What each `cargo` finds in its environment beside ours.
    environment: Vec<(String, String)>,
}

impl Workspace {
    /// Asks cargo about the workspace of the current directory.
    pub(crate) fn load() -> Result<Self> {
        let metadata = MetadataCommand::new()
            .no_deps()
            .exec()
            .context("could not read the workspace: run `cargo xtask` inside of it")?;
        Ok(Self {
            metadata,
            environment: Vec::new(),
        })
    }

    /// The same workspace, whose `cargo` commands find these variables.
    pub(crate) fn with_environment(&self, environment: &[(String, String)]) -> Self {
        Self {
            metadata: self.metadata.clone(),
            environment: environment.to_vec(),
        }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.metadata.workspace_root.clone().into_std_path_buf()
    }

    pub(crate) fn target_directory(&self) -> PathBuf {
        self.metadata.target_directory.clone().into_std_path_buf()
    }

    /// The members, in the order of their names.
    pub(crate) fn packages(&self) -> Vec<&Package> {
        let mut packages = self.metadata.workspace_packages();
        packages.sort_by(|left, right| left.name.cmp(&right.name));
        packages
    }

    pub(crate) fn package(&self, name: &str) -> Result<&Package> {
        self.packages()
            .into_iter()
            .find(|package| package.name.as_str() == name)
            .with_context(|| format!("the workspace has no crate `{name}`: check `cargo metadata --no-deps`"))
    }

    /// What each program that runs tests finds in its environment.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&String, &String)> {
        self.environment.iter().map(|(name, value)| (name, value))
    }

    /// `cargo SUBCOMMAND …` at the workspace's root.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = process::command("cargo", arguments);
        command.current_dir(self.root()).envs(self.environment());
        command
    }
}

/// The integration tests of a package: each file of `tests/` that is a target.
pub(crate) fn test_targets(package: &Package) -> impl Iterator<Item = &Target> {
    package.targets.iter().filter(|target| target.is_test())
}

/// Whether cargo leaves a target out, since it needs a feature that is off by default.
pub(crate) fn is_gated(package: &Package, target: &Target) -> bool {
    let off = features_off_by_default(&package.features);
    target
        .required_features
        .iter()
        .any(|feature| off.contains(feature.as_str()))
}

/// The features of a package that its `default` does not lead to.
pub(crate) fn features_off_by_default(features: &BTreeMap<String, Vec<String>>) -> BTreeSet<&str> {
    let mut on = BTreeSet::new();
    let mut next = vec!["default"];
    while let Some(name) = next.pop() {
        if on.insert(name) {
            next.extend(features.get(name).into_iter().flatten().map(String::as_str));
        }
    }
    features
        .keys()
        .map(String::as_str)
        .filter(|name| !on.contains(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::features_off_by_default;

    #[test]
    fn features_under_default_are_on() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let features = BTreeMap::from([
            ("default".to_owned(), list(&["local"])),
            ("local".to_owned(), list(&["dep:x", "files"])),
            ("files".to_owned(), list(&[])),
            ("failpoints".to_owned(), list(&["local"])),
        ]);
        assert_eq!(features_off_by_default(&features), BTreeSet::from(["failpoints"]));
    }
}
