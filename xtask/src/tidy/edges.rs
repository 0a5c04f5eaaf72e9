//! Which crate may depend on which: edges point at core. Dev-dependencies are free.

use cargo_metadata::DependencyKind;

use super::{Problem, Tree};
use crate::workspace::{Workspace, crates};

/// The prefix of the names of all of our crates but xtask.
const OURS: &str = "boards-storage";

/// The crates that work with any provider and know none.
const PROVIDER_AGNOSTIC: &[&str] = &[
    "boards-storage-catalog",
    "boards-storage-http",
    "boards-storage-layers",
    "boards-storage-media",
    "boards-storage-validation",
];

pub(super) fn check(workspace: &Workspace, tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for package in workspace.packages() {
        let manifest = tree.relative(package.manifest_path.as_std_path());
        for dependency in package
            .dependencies
            .iter()
            .filter(|edge| edge.kind != DependencyKind::Development)
        {
            if let Some(reason) = forbidden(&package.name, &dependency.name) {
                let to = &dependency.name;
                let message =
                    format!("depends on {to}, but {reason}: remove the dependency, or move the code");
                problems.push(Problem::in_file(&manifest, message));
            }
        }
    }
    problems
}

/// Why `from` may not depend on `to`.
fn forbidden(from: &str, to: &str) -> Option<&'static str> {
    let is_provider = |name: &str| crates::PROVIDERS.contains(&name);
    match (from, to) {
        (_, crates::CLI | crates::XTASK) => Some("nothing depends on a program"),
        (crates::CORE, to) if to.starts_with(OURS) => Some("core knows none of our other crates"),
        (crates::VALIDATION, to) if to.starts_with(OURS) && to != crates::CORE => {
            Some("of our crates it knows core alone")
        }
        (from, to) if is_provider(from) && is_provider(to) => Some("a provider knows no other provider"),
        (from, crates::LAYERS) if is_provider(from) => Some("a provider knows no layers"),
        (from, to) if PROVIDER_AGNOSTIC.contains(&from) && is_provider(to) => {
            Some("it works with any provider")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::forbidden;

    #[track_caller]
    fn check(from: &str, to: &str, is_forbidden: bool) {
        assert_eq!(forbidden(from, to).is_some(), is_forbidden, "{from} → {to}");
    }

    #[test]
    fn edges_point_at_core() {
        check("boards-storage-local", "boards-storage-core", false);
        check("boards-storage-core", "bytes", false);
        check("boards-storage-core", "boards-storage-testkit", true);
        check("boards-storage-core", "boards-storage", true);
    }

    #[test]
    fn a_provider_knows_neither_providers_nor_layers() {
        check("boards-storage-s3", "boards-storage-local", true);
        check("boards-storage-opendal", "boards-storage-layers", true);
        check("boards-storage", "boards-storage-local", false);
        check("boards-storage", "boards-storage-layers", false);
    }

    #[test]
    fn what_serves_every_provider_knows_none() {
        check("boards-storage-catalog", "boards-storage-local", true);
        check("boards-storage-http", "boards-storage-gcs", true);
        check("boards-storage-media", "boards-storage-supabase", true);
        check("boards-storage-layers", "boards-storage-s3", true);
        check("boards-storage-http", "boards-storage-catalog", false);
        check("boards-storage-validation", "boards-storage-core", false);
        check("boards-storage-validation", "boards-storage-layers", true);
        check("boards-storage", "boards-storage-validation", false);
    }

    #[test]
    fn nothing_depends_on_a_program() {
        check("boards-storage", "boards-storage-cli", true);
        check("boards-storage-cli", "xtask", true);
        check("boards-storage-cli", "boards-storage", false);
    }
}
