//! `quarantine` and `rescan`: what was refused and is kept aside.

use boards_storage::{
    CallContext, Error, ErrorKind, QuarantinedContent, Reason, Rescan as Outcome, StorageManager, VersionId,
};
use clap::{Args, Subcommand};

use crate::arguments::parsed;
use crate::errors::{Failure, Result, code_of};
use crate::output::{Output, Table, escape, size_cell};
use crate::session::Session;
use crate::settings;

/// Show and settle what was refused and is kept in quarantine
///
/// Content comes here as storage.validation says: what is not what it says, malware, and what could not be scanned. It has
/// no record, and nobody can open it as an artifact.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Quarantine {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List what is in quarantine, and why
    Ls(Ls),
    /// Store something as what it was to become, without any check
    Release(Release),
    /// Delete something for good
    Rm(Rm),
}

/// List what is in quarantine, and why
#[derive(Debug, Args)]
struct Ls {}

/// Store something as what it was to become, without any check
#[derive(Debug, Args)]
struct Release {
    /// Its id in the quarantine
    #[arg(value_name = "ID", value_parser = parsed::<VersionId>)]
    id: VersionId,
}

/// Delete something for good
#[derive(Debug, Args)]
struct Rm {
    /// Its id in the quarantine
    #[arg(value_name = "ID", value_parser = parsed::<VersionId>)]
    id: VersionId,
}

impl Quarantine {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let storage = settings::open(session).await?;
        let context = CallContext::default();
        let entries = storage.list_quarantined(&context).await?;
        match self.action {
            None | Some(Action::Ls(Ls {})) => list(&mut session.output, &entries)?,
            Some(Action::Release(release)) => {
                let reference = storage
                    .release_quarantined(find(&entries, release.id)?, &context)
                    .await?;
                if session.output.json {
                    session.output.json(&reference)?;
                } else {
                    session
                        .output
                        .line(&format!("stored as {}", reference.artifact_id))?;
                }
            }
            Some(Action::Rm(rm)) => {
                storage
                    .purge_quarantined(find(&entries, rm.id)?, &context)
                    .await?;
                session.output.note(&format!("deleted {}", rm.id))?;
            }
        }
        storage.close().await?;
        Ok(())
    }
}

/// Scan what is in quarantine again, and store what is clean
///
/// What is kept only because it was not scanned, or because a scanner found malware that it no longer finds, is stored as
/// what it was to become. Everything else stays; `boards-storage quarantine` settles it. The exit code is 10 if malware was
/// found.
#[derive(Debug, Args)]
pub(crate) struct Rescan {
    /// Only these, by their ids in the quarantine
    #[arg(value_name = "ID", value_parser = parsed::<VersionId>)]
    ids: Vec<VersionId>,
}

impl Rescan {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let storage = settings::open(session).await?;
        let mut entries = storage.list_quarantined(&CallContext::default()).await?;
        for id in &self.ids {
            find(&entries, *id)?;
        }
        entries.retain(|entry| self.ids.is_empty() || self.ids.contains(&entry.id));
        let mut told = Vec::new();
        for entry in &entries {
            told.push((entry, rescan(&storage, entry).await?));
        }
        write(&mut session.output, &told)?;
        storage.close().await?;
        let is_infected =
            |outcome: &Outcome| matches!(outcome, Outcome::Kept(reason) if reason.kind == MALWARE);
        if told.iter().any(|(_, outcome)| is_infected(outcome)) {
            return Err(Failure::Told(code_of(ErrorKind::Rejected)));
        }
        Ok(())
    }
}

const MALWARE: boards_storage::ReasonKind = boards_storage::ReasonKind::Malware;

/// Scans one entry. What other checks refuse stays, with their reason.
async fn rescan(storage: &StorageManager, entry: &QuarantinedContent) -> Result<Outcome> {
    match storage.rescan(entry, &CallContext::default()).await {
        Ok(outcome) => Ok(outcome),
        Err(error) if error.kind() == ErrorKind::Rejected => Ok(Outcome::Kept(Reason::new(
            entry.reason.kind,
            error.message().to_owned(),
        ))),
        Err(error) => Err(error.into()),
    }
}

fn write(output: &mut Output, told: &[(&QuarantinedContent, Outcome)]) -> Result<()> {
    if output.json {
        let entries: Vec<_> = told
            .iter()
            .map(|(entry, outcome)| match outcome {
                Outcome::Released(reference) => serde_json::json!({ "id": entry.id, "released": reference }),
                Outcome::Kept(reason) => serde_json::json!({ "id": entry.id, "kept": reason }),
                _ => serde_json::json!({ "id": entry.id }),
            })
            .collect();
        return output.json(&entries);
    }
    for (entry, outcome) in told {
        let what = match outcome {
            Outcome::Released(reference) => format!("stored {} as {}", entry.id, reference.artifact_id),
            Outcome::Kept(reason) => format!("kept {}: {}", entry.id, reason.message),
            _ => format!("kept {}", entry.id),
        };
        output.line(&escape(&what))?;
    }
    Ok(())
}

fn find(entries: &[QuarantinedContent], id: VersionId) -> Result<&QuarantinedContent> {
    entries.iter().find(|entry| entry.id == id).ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            format!("nothing in quarantine has the id {id}"),
        )
        .with_help("`boards-storage quarantine` lists what there is")
        .into()
    })
}

fn list(output: &mut Output, entries: &[QuarantinedContent]) -> Result<()> {
    if output.json {
        return output.json(&entries);
    }
    if output.quiet {
        return entries
            .iter()
            .try_for_each(|entry| output.line(&entry.id.to_string()));
    }
    let mut table = Table::new(&["ID", "TIME", "REASON", "SIZE", "TENANT", "TYPE", "ARTIFACT"]);
    for entry in entries {
        table.row([
            entry.id.to_string(),
            entry.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            entry.reason.kind.name().to_owned(),
            entry
                .size_bytes
                .map_or_else(|| "-".to_owned(), |size| size_cell(output, size)),
            entry.tenant.to_string(),
            entry.artifact_type.to_string(),
            entry.artifact.to_string(),
        ]);
    }
    table.write(output)
}
