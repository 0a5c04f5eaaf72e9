//! Every crate inherits the lints, the license and the compiler version, says what it is, and has a README.

use std::path::Path;

use anyhow::{Context as _, Result};
use toml::{Table, Value};

use super::{Problem, Tree};
use crate::workspace::Workspace;

/// What each manifest takes from the workspace: table, field.
const INHERITED: &[(&str, &str)] = &[("package", "license"), ("package", "rust-version")];

pub(super) fn check(workspace: &Workspace, tree: &Tree) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for package in workspace.packages() {
        let path = tree.relative(package.manifest_path.as_std_path());
        let text = tree.file(&path).and_then(|file| file.text.as_deref());
        let text =
            text.with_context(|| format!("could not read {path}: it is not among the repository's files"))?;
        problems.extend(check_manifest(&path, text).with_context(|| format!("could not parse {path}"))?);
        let readme = Path::new(&path)
            .with_file_name("README.md")
            .to_string_lossy()
            .into_owned();
        let has_text = |text: &str| !text.trim().is_empty();
        if !tree
            .file(&readme)
            .and_then(|file| file.text.as_deref())
            .is_some_and(has_text)
        {
            let message = "is missing or empty: say what the crate holds and what it never knows";
            problems.push(Problem::in_file(&readme, message));
        }
    }
    Ok(problems)
}

fn check_manifest(path: &str, text: &str) -> Result<Vec<Problem>> {
    let manifest: Table = text.parse()?;
    let field = |table: &str, field: &str| manifest.get(table).and_then(|table| table.get(field));
    let is_inherited = |value: &Value| value.get("workspace").and_then(Value::as_bool) == Some(true);
    let mut problems = Vec::new();
    if field("lints", "workspace").and_then(Value::as_bool) != Some(true) {
        problems.push(Problem::in_file(
            path,
            "does not inherit the lints: add `workspace = true` under `[lints]`",
        ));
    }
    for (table, name) in INHERITED {
        if !field(table, name).is_some_and(is_inherited) {
            let message =
                format!("does not inherit `{name}`: add `{name}.workspace = true` under `[{table}]`");
            problems.push(Problem::in_file(path, message));
        }
    }
    let description = field("package", "description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if description.trim().is_empty() {
        problems.push(Problem::in_file(
            path,
            "has no `description`: say in one line what the crate is",
        ));
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::check_manifest;

    const GOOD: &str = r#"
        [package]
        name = "boards-storage-example"
        description = "An example"
        license.workspace = true
        rust-version = { workspace = true }
        [lints]
        workspace = true
    "#;

    #[track_caller]
    fn check_broken(good: &str, broken: &str, complaint: &str) {
        let problems = check_manifest("Cargo.toml", &GOOD.replace(good, broken)).unwrap();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].message.contains(complaint), "{problems:?}");
    }

    #[test]
    fn a_whole_manifest_is_accepted() {
        assert_eq!(check_manifest("Cargo.toml", GOOD).unwrap(), []);
    }

    #[test]
    fn each_missing_field_is_named() {
        check_broken("[lints]", "[other]", "[lints]");
        check_broken("license.workspace = true", r#"license = "MIT""#, "license");
        check_broken("rust-version = { workspace = true }", "", "rust-version");
        check_broken(
            r#"description = "An example""#,
            r#"description = " ""#,
            "description",
        );
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        assert_eq!(check_manifest("Cargo.toml", "[package]").unwrap().len(), 4);
    }

    #[test]
    fn a_manifest_that_is_no_toml_is_an_error() {
        assert!(check_manifest("Cargo.toml", "[package").is_err());
    }
}
