//! `rm`: deletes artifacts, variants or versions.

use std::path::{Path, PathBuf};

use boards_storage::{ArtifactLocator, CallContext, Deletion, Error, ErrorKind, StorageManager};
use clap::Args;
use futures_util::StreamExt;
use tokio::io::AsyncReadExt;

use crate::address::{Address, explain_missing, locator};
use crate::arguments::{Selection, jobs, parsed};
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
#[command(after_help = "\
Examples:
  boards-storage rm artifact_456 --variant thumbnail
  boards-storage ls --board board_123 --quiet | boards-storage rm --from -")]
pub(crate) struct Rm {
    /// Artifact ids, storage keys or boards-storage:// URLs
    #[arg(required_unless_present = "from", value_name = "ID|KEY", value_parser = parsed::<Address>)]
    addresses: Vec<Address>,

    /// Delete what the lines of this file name, too; '-' is the standard input
    ///
    /// Empty lines do not count. Nothing is deleted if a line is no id, key or URL.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    /// How many are deleted at a time: 1 to 256
    #[arg(short, long, value_name = "COUNT", default_value_t = 4, value_parser = jobs)]
    jobs: usize,

    /// Delete for good, at once, also what was deleted before and is still kept
    #[arg(long)]
    purge: bool,

    /// Take it as done if it is not there
    #[arg(long)]
    ignore_missing: bool,

    #[command(flatten)]
    selection: Selection,
}

impl Rm {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let mut addresses = self.addresses.clone();
        if let Some(from) = &self.from {
            addresses.extend(read_list(from).await?);
        }
        if addresses
            .iter()
            .any(|address| matches!(address, Address::Key { .. }))
        {
            self.selection.refuse_with_key()?;
        }
        let storage = settings::open(session).await?;
        let is_one = self.addresses.len() == 1 && self.from.is_none();
        let mut deleted = Vec::new();
        let mut first_failure = None;
        {
            let (this, storage) = (&self, &storage);
            let deletions = addresses
                .iter()
                .map(|address| async move { Box::pin(this.delete(storage, address)).await });
            let mut deletions = std::pin::pin!(futures_util::stream::iter(deletions).buffered(self.jobs));
            while let Some((name, result)) = deletions.next().await {
                match result {
                    Ok(deletion) if session.output.json => {
                        let mut entry = serde_json::json!(deletion);
                        entry["deleted"] = name.into();
                        deleted.push(entry);
                    }
                    Ok(deletion) => session.output.note(&escape(&told(&name, &deletion)))?,
                    Err(failure)
                        if self.ignore_missing && failure.exit_code() == code_of(ErrorKind::NotFound) => {}
                    Err(failure) if is_one => return Err(failure),
                    Err(failure) => {
                        session.tell(&name, &failure)?;
                        first_failure = first_failure.or(Some(failure.exit_code()));
                    }
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
                    Ok(reference) if self.purge => storage
                        .purge_variant(&reference, &context)
                        .await
                        .map_err(Failure::from),
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
        let result = match (is_whole, self.purge) {
            (true, true) => storage.purge_artifact(&locator.tenant, artifact, &context).await,
            (true, false) => storage.delete_artifact(&locator.tenant, artifact, &context).await,
            (false, true) => storage.purge_variant(locator.clone(), &context).await,
            (false, false) => storage.delete_variant(locator.clone(), &context).await,
        };
        let result = match result {
            Ok(deletion) if deletion.existed() => Ok(deletion),
            Ok(_) => Err(missing(storage, &locator, is_whole).await.into()),
            Err(error) => Err(error.into()),
        };
        (artifact.to_string(), result)
    }
}

/// Reads addresses, one in a line.
async fn read_list(from: &Path) -> Result<Vec<Address>> {
    let text = if from.as_os_str() == "-" {
        let mut text = String::new();
        let read = tokio::io::stdin().read_to_string(&mut text).await;
        read.map(|_| text)
    } else {
        tokio::fs::read_to_string(from).await
    };
    let text = text.map_err(|source| Failure::file("cannot read the list", from, source))?;
    let lines = (1..).zip(text.lines().map(str::trim));
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(number, line)| {
            parsed::<Address>(line).map_err(|why| {
                Failure::usage(
                    format!("line {number} of the list, {line:?}, names nothing: {why}"),
                    "nothing was deleted; correct the list",
                )
            })
        })
        .collect()
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
    if let Some(until) = deletion.recoverable_until {
        let until = until.strftime("%Y-%m-%dT%H:%M:%SZ");
        return format!("deleted {name} ({versions}; `boards-storage restore` takes it back until {until})");
    }
    match deletion.bytes_pending {
        0 => format!("deleted {name} ({versions})"),
        pending => format!(
            "deleted {name} ({versions}; the bytes of {pending} could not be removed yet, \
             `boards-storage doctor --fix` tries again)"
        ),
    }
}
