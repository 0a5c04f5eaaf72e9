//! A test behind a feature that is off by default must not be left out in silence.
//!
//! `cargo xtask test` runs test targets with `required-features` in a suite of their own, with these features.
//! So a test file that is gated by such a feature says so in its manifest, and tests in `src/` are not gated.
//! That suite chooses its targets by name over the whole workspace: no other target has the name of a gated one.

use std::collections::BTreeSet;

use cargo_metadata::{Package, Target};

use super::{Problem, Tree};
use crate::workspace::{Workspace, features_off_by_default, is_gated, test_targets};

pub(super) fn check(workspace: &Workspace, tree: &Tree) -> Vec<Problem> {
    let packages = workspace.packages();
    let mut problems = check_names(&packages, tree);
    for package in packages {
        let off = features_off_by_default(&package.features);
        for target in test_targets(package) {
            problems.extend(check_target(target, &off, tree));
        }
        problems.extend(check_sources(package, &off, tree));
    }
    problems
}

fn check_names(packages: &[&Package], tree: &Tree) -> Vec<Problem> {
    let targets = packages
        .iter()
        .flat_map(|package| test_targets(package).map(move |target| (package, target)));
    let (gated, others): (Vec<_>, Vec<_>) = targets.partition(|(package, target)| is_gated(package, target));
    let shared = others
        .iter()
        .filter(|(_, other)| gated.iter().any(|(_, target)| target.name == other.name));
    let message = "would run twice: another test target of this name needs features, so rename one of them";
    shared
        .map(|(_, target)| Problem::in_file(&tree.relative(target.src_path.as_std_path()), message))
        .collect()
}

fn check_sources(package: &Package, off: &BTreeSet<&str>, tree: &Tree) -> Vec<Problem> {
    let folder = tree
        .relative(package.manifest_path.as_std_path())
        .replace("Cargo.toml", "src/");
    let mut problems = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.starts_with(&folder)) {
        let text = file.text.as_deref().unwrap_or_default();
        for (line, feature) in gates(text, off).filter(|(line, _)| is_test_gate(text, *line)) {
            let message = format!(
                "tests behind the feature {feature} would never run: move them to `tests/`, with `required-features`"
            );
            problems.push(Problem::at_line(&file.path, line, message));
        }
    }
    problems
}

fn check_target(target: &Target, off: &BTreeSet<&str>, tree: &Tree) -> Vec<Problem> {
    let path = tree.relative(target.src_path.as_std_path());
    let text = tree
        .file(&path)
        .and_then(|file| file.text.as_deref())
        .unwrap_or_default();
    let undeclared =
        gates(text, off).filter(|(_, feature)| !target.required_features.iter().any(|f| f == feature));
    undeclared
        .map(|(line, feature)| {
            let name = &target.name;
            let message = format!(
                "tests behind the feature {feature} would never run: add `[[test]] name = \"{name}\", \
                 required-features = [\"{feature}\"]` to the manifest"
            );
            Problem::at_line(&path, line, message)
        })
        .collect()
}

/// The lines with a `cfg` on a feature that is off by default.
fn gates<'a>(text: &'a str, off: &'a BTreeSet<&'a str>) -> impl Iterator<Item = (usize, &'a str)> {
    (1..).zip(text.lines()).filter_map(|(number, line)| {
        let attribute = line.trim_start().trim_start_matches("#!").trim_start_matches('#');
        let condition = attribute.strip_prefix("[cfg(")?;
        let feature = condition.split_once("feature = \"")?.1.split('"').next()?;
        let is_negated = condition.contains("not(feature");
        (off.contains(feature) && !is_negated).then_some((number, feature))
    })
}

/// Whether the `cfg` on a line of library code leaves tests out.
fn is_test_gate(text: &str, line: usize) -> bool {
    let is_gate = |line: &str| line.contains("all(") && (line.contains("(test,") || line.contains(", test"));
    text.lines().nth(line - 1).is_some_and(is_gate)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{gates, is_test_gate};

    #[track_caller]
    fn check_gate(line: &str, is_gate: bool) {
        let off = BTreeSet::from(["failpoints"]);
        assert_eq!(gates(line, &off).next().is_some(), is_gate, "{line}");
    }

    #[test]
    fn a_gate_is_a_cfg_on_a_feature_that_is_off() {
        check_gate("#![cfg(feature = \"failpoints\")]", true);
        check_gate("    #[cfg(all(test, feature = \"failpoints\"))]", true);
        check_gate("#[cfg(feature = \"local\")]", false);
        check_gate("#[cfg(not(feature = \"failpoints\"))]", false);
        check_gate("// #[cfg(feature = \"failpoints\")]", false);
    }

    #[test]
    fn only_a_gate_with_test_is_about_tests() {
        assert!(is_test_gate("#[cfg(all(test, feature = \"failpoints\"))]", 1));
        assert!(is_test_gate("#[cfg(all(feature = \"failpoints\", test))]", 1));
        assert!(!is_test_gate("#[cfg(feature = \"failpoints\")]", 1));
        assert!(!is_test_gate("#[cfg(any(test, feature = \"failpoints\"))]", 1));
    }
}
