//! `quota`: how much tenants store, and may store.

use boards_storage::{ByteSize, CallContext, Quota as Limits, StorageManager, TenantId};
use clap::{Args, Subcommand};

use crate::arguments::parsed;
use crate::errors::Result;
use crate::output::{Output, escape, human_size, write_pairs};
use crate::session::Session;
use crate::settings;

/// Show or set how much a tenant may store
///
/// A tenant without a quota of its own has that of the settings (storage.limits.quota). Every version counts, and what
/// is deleted counts as long as it can be restored. A write that does not fit is refused with exit code 11.
#[derive(Debug, Args)]
pub(crate) struct Quota {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what a tenant stores, and may store
    Show {
        /// The tenant
        #[arg(value_name = "TENANT", default_value = "default", value_parser = parsed::<TenantId>)]
        tenant: TenantId,
    },
    /// Give a tenant a quota of its own, which holds at once for every process
    ///
    /// What is not given is not limited. What is stored already stays, also where it is more.
    Set {
        /// The tenant
        #[arg(value_name = "TENANT", value_parser = parsed::<TenantId>)]
        tenant: TenantId,
        /// The size of all content together, such as 10GB or 500MiB
        #[arg(long, value_name = "SIZE", value_parser = parsed::<ByteSize>, required_unless_present = "objects")]
        bytes: Option<ByteSize>,
        /// The number of versions of all artifacts
        #[arg(long, value_name = "COUNT")]
        objects: Option<u64>,
    },
    /// Give a tenant the quota of the settings again
    Clear {
        /// The tenant
        #[arg(value_name = "TENANT", value_parser = parsed::<TenantId>)]
        tenant: TenantId,
    },
}

impl Quota {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let storage = settings::open(session).await?;
        let context = CallContext::default();
        let tenant = match self.command {
            Command::Show { tenant } => tenant,
            Command::Set {
                tenant,
                bytes,
                objects,
            } => {
                let quota = Limits {
                    bytes_max: bytes.map(ByteSize::bytes),
                    objects_max: objects,
                };
                storage.set_quota(&tenant, Some(quota), &context).await?;
                tenant
            }
            Command::Clear { tenant } => {
                storage.set_quota(&tenant, None, &context).await?;
                tenant
            }
        };
        show(&storage, &tenant, &mut session.output).await?;
        storage.close().await?;
        Ok(())
    }
}

async fn show(storage: &StorageManager, tenant: &TenantId, output: &mut Output) -> Result<()> {
    let (usage, holds) = storage.tenant_usage(tenant).await?;
    if output.json {
        return output.json(&serde_json::json!({
            "tenant": tenant,
            "used": usage.used,
            "quota": holds,
            "is_own": usage.quota.is_some(),
        }));
    }
    let size = |bytes: u64| format!("{} ({bytes} bytes)", human_size(bytes));
    let unlimited = || "no limit".to_owned();
    let whose = if usage.quota.is_some() {
        "the tenant's own"
    } else {
        "that of the settings"
    };
    let pairs = [
        ("tenant", escape(tenant.as_str())),
        ("bytes", size(usage.used.bytes)),
        ("bytes, at most", holds.bytes_max.map_or_else(unlimited, size)),
        ("objects", usage.used.objects.to_string()),
        (
            "objects, at most",
            holds.objects_max.map_or_else(unlimited, |max| max.to_string()),
        ),
        ("quota", whose.to_owned()),
    ];
    write_pairs(output, &pairs)
}
