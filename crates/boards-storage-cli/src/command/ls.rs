//! `ls`: lists artifacts, or the versions of one.

use boards_storage::{
    AccessClass, ArtifactId, ArtifactQuery, ArtifactReference, ArtifactType, BoardId, Digest, StorageManager,
    TenantId, VariantName,
};
use clap::Args;
use jiff::Timestamp;

use crate::address::{explain_missing, locator};
use crate::arguments::{Selection, name_and_value, parsed, time};
use crate::errors::Result;
use crate::output::{JsonArray, Output, Table, escape, size_cell};
use crate::session::Session;
use crate::settings;

/// List artifacts, or the versions of one
///
/// In a pipe the columns are separated by tabs, without the headline, with exact sizes and all of --long. With
/// --quiet only the ids are printed. --json prints an array, whatever the number.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// Only this tenant's [default: default]
    #[arg(long, value_name = "TENANT", value_parser = parsed::<TenantId>)]
    tenant: Option<TenantId>,

    /// Every tenant's
    #[arg(long, conflicts_with_all = ["tenant", "artifact"])]
    all_tenants: bool,

    /// Only this board's
    #[arg(long, value_name = "BOARD", value_parser = parsed::<BoardId>)]
    board: Option<BoardId>,

    /// Only this type
    #[arg(short = 't', long = "type", value_name = "TYPE", value_parser = parsed::<ArtifactType>)]
    artifact_type: Option<ArtifactType>,

    /// Only the variants of this artifact
    #[arg(long, value_name = "ID", value_parser = parsed::<ArtifactId>)]
    artifact: Option<ArtifactId>,

    /// Only those with this field; several must all be there
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    meta: Vec<(String, String)>,

    /// Only this access class: public, private, temporary or authenticated
    #[arg(long, value_name = "CLASS", value_parser = parsed::<AccessClass>)]
    access: Option<AccessClass>,

    /// Only those with this content, such as blake3:1d1f…
    #[arg(long, value_name = "DIGEST", value_parser = parsed::<Digest>)]
    digest: Option<Digest>,

    /// Only those whose present version was stored then or later: such as 2026-11-30, 2026-11-30T12:00:00Z, or 2h for
    /// two hours ago
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,

    /// Only those whose present version was stored before
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,

    /// Only those that a fallback holds instead of the provider that they are meant for
    #[arg(long)]
    displaced: bool,

    /// At most so many
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// Show the content type, the provider, the home of what is displaced and the key too
    #[arg(short, long)]
    long: bool,

    /// List all versions of this artifact instead, newest first
    #[arg(long, value_name = "ID", value_parser = parsed::<ArtifactId>,
        conflicts_with_all = [
        "all_tenants", "board", "artifact_type", "artifact", "meta", "access", "digest", "since", "until", "displaced",
    ])]
    versions: Option<ArtifactId>,

    /// Which variant's versions [default: original]
    #[arg(long, value_name = "NAME", requires = "versions", value_parser = parsed::<VariantName>)]
    variant: Option<VariantName>,
}

impl Ls {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let storage = settings::open(session).await?;
        let mut listing = Listing::begin(&mut session.output, self.long)?;
        match &self.versions {
            Some(artifact) => {
                for reference in self.find_versions(&storage, artifact).await? {
                    listing.add(&mut session.output, &reference)?;
                }
            }
            None => self.list(&storage, &mut listing, &mut session.output).await?,
        }
        listing.end(&mut session.output)?;
        storage.close().await?;
        Ok(())
    }

    async fn find_versions(
        &self,
        storage: &StorageManager,
        artifact: &ArtifactId,
    ) -> Result<Vec<ArtifactReference>> {
        let selection = Selection {
            tenant: self.tenant.clone(),
            variant: self.variant.clone(),
            version: None,
        };
        let locator = locator(artifact, &selection);
        let mut versions = storage.list_versions(locator.clone()).await?;
        if versions.is_empty() {
            // The same error, and the same advice, as everywhere else.
            if let Err(error) = storage.get_artifact_reference(locator.clone()).await {
                return Err(explain_missing(storage, &locator, error).await.into());
            }
        }
        versions.truncate(
            self.limit
                .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX)),
        );
        Ok(versions)
    }

    async fn list(&self, storage: &StorageManager, listing: &mut Listing, output: &mut Output) -> Result<()> {
        let mut query = self.query();
        let mut left = self.limit.unwrap_or(u64::MAX);
        loop {
            query.limit = Some(
                usize::try_from(left)
                    .unwrap_or(usize::MAX)
                    .min(ArtifactQuery::LIMIT_MAX),
            );
            let page = storage.list_artifacts(&query).await?;
            left = left.saturating_sub(page.artifacts.len() as u64);
            for reference in &page.artifacts {
                listing.add(output, reference)?;
            }
            listing.end_page(output)?;
            match page.next {
                Some(next) if left > 0 => query.after = Some(next),
                Some(_) | None => return Ok(()),
            }
        }
    }

    fn query(&self) -> ArtifactQuery {
        let mut query = ArtifactQuery::default();
        if !self.all_tenants {
            query.tenant = Some(self.tenant.clone().unwrap_or_default());
        }
        query.board.clone_from(&self.board);
        query.artifact_type.clone_from(&self.artifact_type);
        query.artifact.clone_from(&self.artifact);
        query.user_metadata.extend(self.meta.iter().cloned());
        query.access = self.access;
        query.digest = self.digest;
        query.created_from = self.since;
        query.created_before = self.until;
        query.displaced = self.displaced;
        query
    }
}

/// A list on its way out, in any of its forms.
enum Listing {
    Json(JsonArray),
    Ids,
    Table {
        table: Table,
        has_rows: bool,
        is_long: bool,
    },
}

impl Listing {
    fn begin(output: &mut Output, long: bool) -> Result<Self> {
        if output.json {
            return Ok(Self::Json(JsonArray::begin(output)?));
        }
        if output.quiet {
            return Ok(Self::Ids);
        }
        let is_long = long || !output.is_terminal;
        let headline = [
            "ARTIFACT",
            "VARIANT",
            "TYPE",
            "SIZE",
            "VERSION",
            "CREATED",
            "CONTENT TYPE",
            "PROVIDER",
            "KEY",
            "HOME",
        ];
        let shown = if is_long { headline.len() } else { SHORT_COLUMNS };
        Ok(Self::Table {
            table: Table::new(&headline[..shown]),
            has_rows: false,
            is_long,
        })
    }

    fn add(&mut self, output: &mut Output, reference: &ArtifactReference) -> Result<()> {
        match self {
            Self::Json(array) => array.item(output, reference),
            Self::Ids => output.line(&escape(reference.artifact_id.as_str())),
            Self::Table {
                table,
                has_rows,
                is_long,
            } => {
                let cells = [
                    reference.artifact_id.to_string(),
                    reference.variant.to_string(),
                    reference.artifact_type.to_string(),
                    size_cell(output, reference.size),
                    reference.version.to_string(),
                    reference.created_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                    reference.content_type.to_string(),
                    reference.storage_provider.clone(),
                    reference.storage_key.to_string(),
                    reference.home_provider.clone().unwrap_or_default(),
                ];
                table.row(&cells[..if *is_long { cells.len() } else { SHORT_COLUMNS }]);
                *has_rows = true;
                Ok(())
            }
        }
    }

    fn end_page(&mut self, output: &mut Output) -> Result<()> {
        match self {
            Self::Table { table, .. } => table.write(output),
            Self::Json(_) | Self::Ids => Ok(()),
        }
    }

    fn end(mut self, output: &mut Output) -> Result<()> {
        self.end_page(output)?;
        match self {
            Self::Json(array) => array.end(output),
            Self::Table { has_rows: false, .. } if output.is_terminal => {
                output.line("nothing is stored that matches")
            }
            Self::Table { .. } | Self::Ids => Ok(()),
        }
    }
}

/// How many columns fit a narrow terminal.
const SHORT_COLUMNS: usize = 6;
