//! The umbrella names each provider crate it depends on: the linker drops a crate that is only listed.

use anyhow::Result;

use super::{Problem, Tree};
use crate::workspace::{Workspace, crates};

pub(super) fn check(workspace: &Workspace, tree: &Tree) -> Result<Vec<Problem>> {
    let umbrella = workspace.package(crates::UMBRELLA)?;
    let manifest = tree.relative(umbrella.manifest_path.as_std_path());
    let sources = manifest.replace("Cargo.toml", "src/");
    let sources: Vec<_> = tree
        .files
        .iter()
        .filter(|file| file.path.starts_with(&sources))
        .filter_map(|file| file.text.as_deref())
        .collect();
    let providers = umbrella
        .dependencies
        .iter()
        .map(|dependency| dependency.name.as_str());
    let providers = providers.filter(|name| crates::PROVIDERS.contains(name));
    Ok(providers
        .filter_map(|provider| check_named(&manifest, &sources, provider))
        .collect())
}

fn check_named(manifest: &str, sources: &[&str], provider: &str) -> Option<Problem> {
    let line = format!("use {} as _;", provider.replace('-', "_"));
    let is_named = sources
        .iter()
        .any(|source| source.lines().any(|code| code.trim() == line));
    let message = format!("depends on {provider} but no source names it: add `{line}` behind its feature");
    (!is_named).then(|| Problem::in_file(manifest, message))
}

#[cfg(test)]
mod tests {
    use super::check_named;

    #[track_caller]
    fn check(source: &str, is_named: bool) {
        let problem = check_named("Cargo.toml", &["//! docs", source], "boards-storage-local");
        assert_eq!(problem.is_none(), is_named, "{source}");
    }

    #[test]
    fn a_provider_is_named_by_a_use_line() {
        check(
            "#[cfg(feature = \"local\")]\nuse boards_storage_local as _;",
            true,
        );
        check("    use boards_storage_local as _;\r", true);
    }

    #[test]
    fn a_comment_or_another_provider_names_nothing() {
        check("// use boards_storage_local as _;", false);
        check("use boards_storage_s3 as _;", false);
    }
}
