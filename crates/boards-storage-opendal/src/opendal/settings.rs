//! The `config` block of an OpenDAL provider.

use std::collections::BTreeMap;

use boards_storage_core::{ByteSize, Error, Result, Secret};
use opendal::{Operator, OperatorRegistry};
use schemars::JsonSchema;
use serde::Deserialize;

use super::builder::{BUFFER_BYTES_MAX, OpendalBuilder, PART_BYTES};
use super::capabilities::Guarantee;
use super::error::translate;

/// Which service of OpenDAL holds the objects, and what it keeps.
///
/// The services are those that the program compiled in: each is a feature of the crate `opendal`, `services-s3` and so
/// on. `memory` is always there.
///
/// # Examples
///
/// ```
/// use boards_storage_opendal::OpendalSettings;
///
/// let settings = OpendalSettings::new("fs").with_option("root", "/srv/objects").with_option("atomic_write_dir", "/srv/new");
/// assert!(!format!("{settings:?}").contains("/srv"));
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OpendalSettings {
    /// The service's name in OpenDAL, such as `memory`, `fs` or `s3`.
    pub scheme: String,
    /// The service's options as OpenDAL names them, all as text. They may be secrets, so none is ever shown.
    #[serde(default)]
    pub options: BTreeMap<String, Secret>,
    /// The folder of the service that holds all objects.
    #[serde(default)]
    pub prefix: String,
    /// What the service keeps beside what is known of it. A guarantee that does not hold breaks the promises of every
    /// provider.
    #[serde(default)]
    pub guarantees: Vec<Guarantee>,
    /// Sorts listings of a service that has no order, in memory, of at most so many keys. Without it such a service
    /// has no listings.
    #[serde(default)]
    pub sorted_list_max: Option<usize>,
    /// The size of the pieces in which content is written, 5 MiB to 5 GiB. Default: 8 MiB.
    #[serde(default = "part_size")]
    pub part_size: ByteSize,
    /// The greatest object where the service takes one only in one piece, which is held in memory. Default: 64 MiB.
    #[serde(default = "buffer_max")]
    pub buffer_max: ByteSize,
}

fn part_size() -> ByteSize {
    ByteSize::from_bytes(PART_BYTES)
}

fn buffer_max() -> ByteSize {
    ByteSize::from_bytes(BUFFER_BYTES_MAX)
}

impl OpendalSettings {
    /// Creates settings of a service without options.
    pub fn new(scheme: impl Into<String>) -> Self {
        Self {
            scheme: scheme.into(),
            options: BTreeMap::new(),
            prefix: String::new(),
            guarantees: Vec::new(),
            sorted_list_max: None,
            part_size: part_size(),
            buffer_max: buffer_max(),
        }
    }

    /// Sets one of the service's options.
    #[must_use]
    pub fn with_option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.insert(name.into(), Secret::new(value));
        self
    }

    /// Makes the operator and begins to build the provider.
    pub(super) fn builder(self) -> Result<OpendalBuilder> {
        let scheme = self.scheme.to_ascii_lowercase();
        check_scheme(&scheme)?;
        let options = self
            .options
            .iter()
            .map(|(name, value)| (name.clone(), value.expose().to_owned()));
        let operator = Operator::via_iter(&scheme, options).map_err(|error| {
            translate(error).with_help("compare `options` with OpenDAL's documentation of the service")
        })?;
        let mut builder = OpendalBuilder::new(operator)
            .with_prefix(self.prefix)
            .with_guarantees(&self.guarantees)
            .with_part_size(self.part_size.bytes())
            .with_buffer_max(self.buffer_max.bytes());
        if scheme == "fs" && self.options.contains_key("atomic_write_dir") {
            check_atomic_write_dir(&self.options)?;
            builder = builder.with_guarantees(&[Guarantee::WholeWrites]);
        }
        if let Some(keys) = self.sorted_list_max {
            builder = builder.with_sorted_list_max(keys);
        }
        Ok(builder)
    }
}

/// Half-written files below `root` would be listed as objects.
fn check_atomic_write_dir(options: &BTreeMap<String, Secret>) -> Result<()> {
    let path = |name: &str| {
        options
            .get(name)
            .map(|value| std::path::PathBuf::from(value.expose()))
    };
    match (path("root"), path("atomic_write_dir")) {
        (Some(root), Some(staging)) if staging.starts_with(&root) => Err(Error::configuration(
            "options.atomic_write_dir must be a folder outside of options.root: what lies in it would be listed",
        )),
        _ => Ok(()),
    }
}

/// Refuses a service that the program does not have, and says how to get it.
fn check_scheme(scheme: &str) -> Result<()> {
    opendal::install_default();
    let schemes = OperatorRegistry::get().schemes();
    if schemes.contains(scheme) {
        return Ok(());
    }
    let mut compiled_in: Vec<_> = schemes.into_iter().collect();
    compiled_in.sort_unstable();
    let error = Error::configuration(format!(
        "scheme: OpenDAL's service '{scheme}' is not compiled in; compiled in: {}",
        compiled_in.join(", ")
    ));
    Err(error.with_help(format!(
        "let the program depend on `opendal` with the feature 'services-{}'",
        scheme.replace('_', "-")
    )))
}

#[cfg(test)]
mod tests {
    use boards_storage_core::{ErrorKind, ProviderFactory as _, ProviderSettings, Registry};
    use serde_json::{Value, json};

    use super::*;
    use crate::OpendalProvider;

    async fn open(config: Value) -> Result<boards_storage_core::SharedProvider> {
        let registry = Registry::compiled_in().expect("one of each");
        let settings = ProviderSettings::new("mine", OpendalProvider::KIND, config);
        registry.open(&settings).await
    }

    async fn check(config: Value, complaints: &[&str]) {
        match open(config).await {
            Ok(provider) => assert!(complaints.is_empty(), "{provider:?}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
                let told = format!("{error}\n{}", error.help().unwrap_or_default());
                assert!(!complaints.is_empty(), "{told}");
                for complaint in complaints {
                    assert!(told.contains(complaint), "{told}");
                }
                assert!(!format!("{error:?}").contains("s3cret"));
            }
        }
    }

    #[tokio::test]
    async fn settings_make_a_provider_or_say_what_is_wrong() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        check(json!({"scheme": "memory", "prefix": "a/b"}), &[]).await;
        check(
            json!({"scheme": "dropbox", "options": {"access_token": "s3cret"}}),
            &["'dropbox' is not compiled in", "fs, memory", "'services-dropbox'"],
        )
        .await;
        check(json!({"scheme": "fs"}), &["root is not specified", "options"]).await;
        check(
            json!({"scheme": "fs", "options": {"root": path("a")}}),
            &["writes into the file itself", "atomic_write_dir"],
        )
        .await;
        let inside = json!({"root": path("a"), "atomic_write_dir": path("a/b")});
        check(
            json!({"scheme": "fs", "options": inside}),
            &["outside of options.root"],
        )
        .await;
        let beside = json!({"root": path("a"), "atomic_write_dir": path("b")});
        check(json!({"scheme": "fs", "options": beside}), &[]).await;
        check(json!({"scheme": "memory", "colour": "red"}), &["colour"]).await;
    }
}
