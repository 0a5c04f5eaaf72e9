//! `rm`: deletes artifacts, variants or versions.

use boards_storage::{ArtifactLocator, CallContext, Deletion, Error, ErrorKind, StorageManager};
use clap::Args;

use crate::address::{Address, explain_missing, locator};
use crate::arguments::{Selection, parsed};
use crate::errors::{Failure, Result, code_of};
use crate::output::escape;
use crate::session::Session;
use crate::settings;

/// Delete artifacts, variants or versions
///
/// An id alone deletes the artifact with every variant and version; with --variant all versions of that variant; with
/// --version that version. A key deletes the one version that stands there. There is no question and no way back.
///
/// What is not there is told, with exit code 3, after everything else was deleted. --json prints an array with an
/// entry for each thing that was deleted.
#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// Artifact ids, storage keys or boards-storage:// URLs
    #[arg(required = true, value_name = "ID|KEY", value_parser = parsed::<Address>)]
    addresses: Vec<Address>,

    /// Take it as done if it is not there
    #[arg(long)]
    ignore_missing: bool,

    #[command(flatten)]
    selection: Selection,
}

impl Rm {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        if self
            .addresses
            .iter()
            .any(|address| matches!(address, Address::Key { .. }))
        {
            self.selection.refuse_with_key()?;
        }
        let storage = settings::open(&session.global).await?;
        let mut deleted = Vec::new();
        let mut first_failure = None;
        for address in &self.addresses {
            let (name, result) = self.delete(&storage, address).await;
            match result {
                Ok(deletion) => {
                    if !session.output.json {
                        session.output.note(&escape(&told(&name, &deletion)))?;
                    }
                    let mut entry = serde_json::json!(deletion);
                    entry["deleted"] = name.into();
                    deleted.push(entry);
                }
                Err(failure)
                    if self.ignore_missing && failure.exit_code() == code_of(ErrorKind::NotFound) => {}
                Err(failure) if self.addresses.len() == 1 => return Err(failure),
                Err(failure) => {
                    session.tell(&name, &failure)?;
                    first_failure = first_failure.or(Some(failure.exit_code()));
                }
            }
        }
        if session.output.json {
            session.output.json(&deleted)?;
        }
        storage.close().await?;
        first_failure.map_or(Ok(()), |code| Err(Failure::Told(code)))
    }

    /// Deletes one thing; returns what it is called, too.
    async fn delete(&self, storage: &StorageManager, address: &Address) -> (String, Result<Deletion>) {
        let context = CallContext::default();
        let artifact = match address {
            Address::Id(artifact) => artifact,
            Address::Key { key, .. } => {
                let result = match address.find(storage, &self.selection).await {
                    Ok(reference) => storage
                        .delete_variant(&reference, &context)
                        .await
                        .map_err(Failure::from),
                    Err(failure) => Err(failure),
                };
                return (key.to_string(), result);
            }
        };
        let locator = locator(artifact, &self.selection);
        let is_whole = self.selection.variant.is_none() && self.selection.version.is_none();
        let result = if is_whole {
            storage.delete_artifact(&locator.tenant, artifact, &context).await
        } else {
            storage.delete_variant(locator.clone(), &context).await
        };
        let result = match result {
            Ok(deletion) if deletion.existed() => Ok(deletion),
            Ok(_) => Err(missing(storage, &locator, is_whole).await.into()),
            Err(error) => Err(error.into()),
        };
        (artifact.to_string(), result)
    }
}

async fn missing(storage: &StorageManager, locator: &ArtifactLocator, is_whole: bool) -> Error {
    if !is_whole {
        // The same error, and the same advice, as everywhere else.
        if let Err(error) = storage.get_artifact_reference(locator.clone()).await {
            return explain_missing(storage, locator, error).await;
        }
    }
    let error = Error::new(
        ErrorKind::NotFound,
        format!(
            "there is no artifact '{}' of the tenant '{}'",
            locator.artifact, locator.tenant
        ),
    );
    explain_missing(storage, locator, error).await
}

fn told(name: &str, deletion: &Deletion) -> String {
    let versions = match deletion.versions {
        1 => "1 version".to_owned(),
        count => format!("{count} versions"),
    };
    match deletion.bytes_pending {
        0 => format!("deleted {name} ({versions})"),
        pending => format!(
            "deleted {name} ({versions}; the bytes of {pending} could not be removed yet, \
             `boards-storage doctor --fix` tries again)"
        ),
    }
}
