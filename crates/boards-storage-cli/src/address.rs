//! How a caller names what is stored: an artifact id, a storage key, or the URL of a reference.

use std::str::FromStr;

use boards_storage::{
    ArtifactId, ArtifactLocator, ArtifactQuery, ArtifactReference, Error, ErrorKind, StorageKey,
    StorageManager, TenantId,
};

use crate::arguments::Selection;
use crate::errors::{Failure, Result};

/// The scheme of the URLs that references give where there is no public one.
const SCHEME: &str = "boards-storage://";

/// Names an artifact, or exactly one stored version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// An artifact; options say which variant and version.
    Id(ArtifactId),
    /// The version that stands at a key.
    Key {
        /// The provider, where the URL names it.
        provider: Option<String>,
        /// The key.
        key: StorageKey,
    },
}

impl FromStr for Address {
    type Err = Error;

    /// A key has a `/`, an id has none.
    fn from_str(text: &str) -> Result<Self, Error> {
        let explain = |error: Error| {
            if error.help().is_some() {
                return error;
            }
            error.with_help("give an artifact id, a storage key or a URL that begins with boards-storage://")
        };
        if let Some(rest) = text.strip_prefix(SCHEME) {
            return match rest.split_once('/') {
                Some((provider, key)) if !provider.is_empty() => {
                    let key = StorageKey::parse(key).map_err(explain)?;
                    Ok(Self::Key {
                        provider: Some(provider.to_owned()),
                        key,
                    })
                }
                Some(_) | None => Err(explain(Error::invalid_input(format!(
                    "{text:?} names no provider and key"
                )))),
            };
        }
        if text.contains('/') {
            return Ok(Self::Key {
                provider: None,
                key: StorageKey::parse(text).map_err(explain)?,
            });
        }
        Ok(Self::Id(ArtifactId::parse(text).map_err(explain)?))
    }
}

impl Address {
    /// Finds what is named.
    pub(crate) async fn find(
        &self,
        storage: &StorageManager,
        selection: &Selection,
    ) -> Result<ArtifactReference> {
        match self {
            Self::Id(artifact) => {
                let locator = locator(artifact, selection);
                match storage.get_artifact_reference(locator.clone()).await {
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        Err(explain_missing(storage, &locator, error).await.into())
                    }
                    found => Ok(found?),
                }
            }
            Self::Key { provider, key } => {
                selection.refuse_with_key()?;
                let reference = storage.find_by_key(key).await?;
                match provider {
                    Some(provider) if *provider != reference.storage_provider => {
                        Err(Error::not_found(format!(
                            "no artifact has this key on the provider '{provider}'; one has it on '{}'",
                            reference.storage_provider
                        ))
                        .with_key(key)
                        .into())
                    }
                    Some(_) | None => Ok(reference),
                }
            }
        }
    }
}

impl Selection {
    /// Refuses options that say again, or otherwise, what a key says.
    pub(crate) fn refuse_with_key(&self) -> Result<()> {
        if self.tenant.is_none() && self.variant.is_none() && self.version.is_none() {
            return Ok(());
        }
        Err(Failure::usage(
            "--tenant, --variant and --version go with an artifact id; a key names all of them already",
            "leave them out, or give the artifact's id instead of the key",
        ))
    }
}

/// Names a version by id and options.
pub(crate) fn locator(artifact: &ArtifactId, selection: &Selection) -> ArtifactLocator {
    ArtifactLocator::new(artifact.clone())
        .with_tenant(selection.tenant.clone().unwrap_or_default())
        .with_variant(selection.variant.clone().unwrap_or_default())
        .with_version(selection.version.unwrap_or_default())
}

/// Says what there is instead of what was asked for.
pub(crate) async fn explain_missing(
    storage: &StorageManager,
    asked: &ArtifactLocator,
    error: Error,
) -> Error {
    let query = ArtifactQuery::of_tenant(asked.tenant.clone())
        .with_artifact(asked.artifact.clone())
        .with_limit(20);
    // If even that cannot be found out, the first error is the one to tell.
    let present = storage
        .list_artifacts(&query)
        .await
        .map(|page| page.artifacts)
        .unwrap_or_default();
    if let Some(current) = present
        .iter()
        .find(|reference| reference.variant == asked.variant)
    {
        return error.with_help(format!(
            "its present version is {}; `boards-storage ls --versions {}` shows all",
            current.version, asked.artifact
        ));
    }
    if !present.is_empty() {
        let names: Vec<&str> = present
            .iter()
            .map(|reference| reference.variant.as_str())
            .collect();
        return error.with_help(format!("give --variant; the artifact has {}", names.join(", ")));
    }
    if asked.tenant == TenantId::default() {
        return error
            .with_help("`boards-storage ls` shows what is stored; give --tenant if it is another tenant's");
    }
    error.with_help(format!(
        "`boards-storage ls --tenant {}` shows what is stored",
        asked.tenant
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(Option<&str>, &str)>) {
        let found = text.parse::<Address>().ok();
        let found = found.as_ref().map(|address| match address {
            Address::Id(id) => (None, id.as_str()),
            Address::Key { provider, key } => (provider.as_deref(), key.as_str()),
        });
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn an_address_is_an_id_a_key_or_a_url() {
        check("artifact_456", Some((None, "artifact_456")));
        check(
            "default/image/a/original.png",
            Some((None, "default/image/a/original.png")),
        );
        check(
            "boards-storage://s3/default/image/a/original.png",
            Some((Some("s3"), "default/image/a/original.png")),
        );
        for bad in [
            "",
            "..",
            "a/../b",
            "/a",
            "a\nb",
            "boards-storage://",
            "boards-storage:///a",
            "boards-storage://s3",
        ] {
            check(bad, None);
        }
    }
}
