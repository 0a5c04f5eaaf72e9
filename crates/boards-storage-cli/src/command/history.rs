//! `history`: what changed in the catalog.

use boards_storage::{ArtifactId, CatalogChange, CatalogEvent, Error, ErrorKind, EventQuery, TenantId};
use clap::Args;

use crate::arguments::parsed;
use crate::errors::{Failure, Result};
use crate::output::{Output, Table, size_cell};
use crate::session::Session;
use crate::settings;

/// Show what was stored, deleted, restored and purged, oldest first
///
/// The catalog notes each change of its records in the transaction that makes it. --json prints one change per line,
/// a stored version with its whole record. Go on later with --after and the last number shown.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// Only this artifact's
    #[arg(value_name = "ID", value_parser = parsed::<ArtifactId>)]
    artifact: Option<ArtifactId>,

    /// Only this tenant's [default: default]
    #[arg(long, value_name = "TENANT", value_parser = parsed::<TenantId>)]
    tenant: Option<TenantId>,

    /// Every tenant's
    #[arg(long, conflicts_with_all = ["tenant", "artifact"])]
    all_tenants: bool,

    /// Only changes after the one with this number
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,

    /// At most so many
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

impl History {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let storage = settings::open(session).await?;
        let mut query = EventQuery::default();
        query.tenant = (!self.all_tenants).then(|| self.tenant.unwrap_or_default());
        query.artifact = self.artifact;
        query.after = self.after;
        let mut left = self.limit.unwrap_or(u64::MAX);
        while left > 0 {
            query.limit = Some(usize::try_from(left).unwrap_or(usize::MAX));
            let page = storage.list_events(&query).await?;
            let Some(last) = page.last() else { break };
            query.after = Some(last.sequence);
            left -= page.len() as u64;
            write(&mut session.output, &page)?;
        }
        storage.close().await?;
        Ok(())
    }
}

/// Writes a page at a time, so that a long history costs no memory.
fn write(output: &mut Output, events: &[CatalogEvent]) -> Result<()> {
    if output.json {
        for event in events {
            output.line(&line(event)?)?;
        }
        return Ok(());
    }
    let mut table = Table::new(&[
        "NUMBER", "TIME", "CHANGE", "ARTIFACT", "VERSION", "SIZE", "PROVIDER",
    ]);
    for event in events {
        let variant = event.change.variant();
        let (version, size, provider) = match &event.change {
            CatalogChange::Committed { record } => (
                format!("{} ({})", record.number, record.version),
                size_cell(output, record.size_bytes),
                record.primary().provider.clone(),
            ),
            CatalogChange::Deleted { version, .. }
            | CatalogChange::Restored { version, .. }
            | CatalogChange::Purged { version, .. } => (version.to_string(), "-".to_owned(), "-".to_owned()),
        };
        table.row([
            event.sequence.to_string(),
            event.at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            event.change.name().to_owned(),
            format!("{}/{}", variant.artifact, variant.variant),
            version,
            size,
            provider,
        ]);
    }
    table.write(output)
}

fn line(event: &CatalogEvent) -> Result<String> {
    serde_json::to_string(event).map_err(|source| {
        let error = Error::new(ErrorKind::Storage, "the change cannot be written as JSON");
        Failure::from(error.with_source(source))
    })
}
