//! `scan`: looks for malware in what is stored.

use boards_storage::{
    ArtifactQuery, ArtifactReference, CallContext, ErrorKind, ScanOutcome, StorageManager, TenantId,
};
use clap::Args;
use serde::Serialize;

use crate::address::Address;
use crate::arguments::{Selection, parsed};
use crate::errors::{Failure, Result, code_of};
use crate::output::{Output, Table, escape};
use crate::session::Session;
use crate::settings;

/// Scan stored artifacts for malware
///
/// Without an id all artifacts of the tenant are read and scanned, each variant as it is now. Nothing is changed: what is
/// infected is told, with exit code 10, and `boards-storage rm` deletes it. --json prints an array of what was scanned.
#[derive(Debug, Args)]
pub(crate) struct Scan {
    /// Only these: artifact ids, storage keys or boards-storage:// URLs
    #[arg(value_name = "ID|KEY", value_parser = parsed::<Address>)]
    addresses: Vec<Address>,

    /// Only this tenant's [default: default]
    #[arg(long, value_name = "TENANT", value_parser = parsed::<TenantId>)]
    tenant: Option<TenantId>,

    /// Every tenant's
    #[arg(long, conflicts_with_all = ["tenant", "addresses"])]
    all_tenants: bool,
}

#[derive(Serialize)]
struct Scanned {
    artifact_id: String,
    variant: String,
    storage_key: String,
    is_clean: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
}

impl Scan {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let storage = settings::open(session).await?;
        let mut scanned = Vec::new();
        for reference in self.find(&storage).await? {
            let outcome = storage.scan_artifact(&reference, &CallContext::default()).await?;
            let signature = match outcome {
                ScanOutcome::Clean => None,
                ScanOutcome::Infected { signature } => Some(signature),
            };
            scanned.push(Scanned {
                artifact_id: reference.artifact_id.to_string(),
                variant: reference.variant.to_string(),
                storage_key: reference.storage_key.to_string(),
                is_clean: signature.is_none(),
                signature,
            });
        }
        write(&mut session.output, &scanned)?;
        storage.close().await?;
        if scanned.iter().all(|entry| entry.is_clean) {
            return Ok(());
        }
        Err(Failure::Told(code_of(ErrorKind::Rejected)))
    }

    async fn find(&self, storage: &StorageManager) -> Result<Vec<ArtifactReference>> {
        let mut found = Vec::new();
        let selection = Selection {
            tenant: self.tenant.clone(),
            ..Selection::default()
        };
        for address in &self.addresses {
            found.push(address.find(storage, &selection).await?);
        }
        if !self.addresses.is_empty() {
            return Ok(found);
        }
        let mut query = ArtifactQuery::default();
        if !self.all_tenants {
            query.tenant = Some(self.tenant.clone().unwrap_or_default());
        }
        loop {
            let page = storage.list_artifacts(&query).await?;
            found.extend(page.artifacts);
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(found),
            }
        }
    }
}

fn write(output: &mut Output, scanned: &[Scanned]) -> Result<()> {
    if output.json {
        return output.json(&scanned);
    }
    let mut table = Table::new(&["ARTIFACT", "VARIANT", "FOUND"]);
    for entry in scanned {
        if output.quiet && entry.is_clean {
            continue;
        }
        let found = entry
            .signature
            .as_deref()
            .map_or_else(|| "nothing".to_owned(), escape);
        table.row([entry.artifact_id.clone(), entry.variant.clone(), found]);
    }
    table.write(output)
}
