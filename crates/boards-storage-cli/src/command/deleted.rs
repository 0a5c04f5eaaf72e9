//! `deleted`: lists what can be restored.

use boards_storage::{ArtifactId, DeletedArtifact, DeletedQuery, TenantId};
use clap::Args;

use crate::arguments::parsed;
use crate::errors::Result;
use crate::output::{Output, Table, escape, size_cell};
use crate::session::Session;
use crate::settings;

/// List deleted versions that can be restored
///
/// There are some only where the settings keep deleted artifacts (storage.deletion.keep). --json prints one version per
/// line. With --quiet only the ids of their artifacts are printed.
#[derive(Debug, Args)]
pub(crate) struct Deleted {
    /// Only this artifact's
    #[arg(value_name = "ID", value_parser = parsed::<ArtifactId>)]
    artifact: Option<ArtifactId>,

    /// Only this tenant's [default: default]
    #[arg(long, value_name = "TENANT", value_parser = parsed::<TenantId>)]
    tenant: Option<TenantId>,

    /// Every tenant's
    #[arg(long, conflicts_with_all = ["tenant", "artifact"])]
    all_tenants: bool,

    /// At most so many
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

impl Deleted {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let storage = settings::open(session).await?;
        let mut query = DeletedQuery::default();
        query.tenant = (!self.all_tenants).then(|| self.tenant.unwrap_or_default());
        query.artifact = self.artifact;
        let mut left = self.limit.unwrap_or(u64::MAX);
        while left > 0 {
            query.limit = Some(usize::try_from(left).unwrap_or(usize::MAX));
            let page = storage.list_deleted(&query).await?;
            let Some(last) = page.last() else { break };
            query.after = Some(last.reference.version_id);
            left -= page.len() as u64;
            write(&mut session.output, &page)?;
        }
        storage.close().await?;
        Ok(())
    }
}

/// Writes a page at a time, so that a long list costs no memory.
fn write(output: &mut Output, page: &[DeletedArtifact]) -> Result<()> {
    if output.json {
        return page.iter().try_for_each(|deleted| output.json_line(deleted));
    }
    if output.quiet {
        let mut ids = page.iter().map(|deleted| &deleted.reference.artifact_id);
        return ids.try_for_each(|id| output.line(&escape(id.as_str())));
    }
    let mut table = Table::new(&["ARTIFACT", "VERSION", "SIZE", "DELETED", "UNTIL", "KEY"]);
    for deleted in page {
        let reference = &deleted.reference;
        let time = |time: jiff::Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        table.row([
            format!("{}/{}", reference.artifact_id, reference.variant),
            reference.version.to_string(),
            size_cell(output, reference.size),
            time(deleted.deleted_at),
            time(deleted.recoverable_until),
            reference.storage_key.to_string(),
        ]);
    }
    table.write(output)
}
