//! `keys`: looks after the keys of encryption at rest.

use boards_storage::layers::{Keyring, TenantKeyGeneration, TenantKeyRecord};
use boards_storage::{Error, TenantId, open_tenant_keys};
use clap::{Args, Subcommand};

use crate::arguments::parsed;
use crate::errors::Result;
use crate::output::{Output, Table, escape};
use crate::session::Session;
use crate::settings;

/// Look after the keys of encryption at rest
///
/// Each object of a provider with `encryption: true` has a key of its own, which its tenant's key wraps; tenant keys are
/// wrapped by a key of the keyring. No command reads or writes an object.
#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print a fresh key as a line of a keyring
    ///
    /// Put the line into the file that storage.encryption.keyring names, which only its owner may read. Mark the key that
    /// is to wrap from now on by a '*' in front.
    Generate {
        /// The key's id, such as 2026-12
        #[arg(value_name = "ID")]
        id: String,
    },
    /// List the tenants' keys
    ///
    /// Neither a key nor a wrapped key is shown. --json prints an array with an entry for each tenant.
    List {
        /// Only this tenant's
        #[arg(long, value_name = "TENANT", value_parser = parsed::<TenantId>)]
        tenant: Option<TenantId>,
    },
    /// Give a tenant a new key for what it stores from now on
    ///
    /// What is stored already stays readable by its older key, and is not touched. A tenant that was shredded can store
    /// again after it; what was shredded stays lost.
    Rotate {
        /// The tenant
        #[arg(value_name = "TENANT", value_parser = parsed::<TenantId>)]
        tenant: TenantId,
    },
    /// Wrap every tenant key by the primary key of the keyring
    ///
    /// Afterwards the keyring's other keys can go. It may be repeated.
    Rewrap,
    /// Destroy every key of a tenant, so that nobody can ever read what it stored
    ///
    /// There is no way back, but for copies of the tenant keys, such as in backups: they must go, too. Programs that run
    /// notice within a minute.
    Shred {
        /// The tenant
        #[arg(value_name = "TENANT", value_parser = parsed::<TenantId>)]
        tenant: TenantId,

        /// The tenant once more, to say that it is meant
        #[arg(long, value_name = "TENANT")]
        confirm: Option<String>,
    },
}

impl Keys {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        if let Action::Generate { id } = &self.action {
            let line = Keyring::line(id)?;
            let output = &mut session.output;
            if output.json {
                return output.json(&serde_json::json!({ "line": line.expose() }));
            }
            return output.line(line.expose());
        }
        let loaded = settings::find(&session.global).await?.load()?;
        let keys = open_tenant_keys(&loaded.settings.storage).await?;
        let output = &mut session.output;
        match self.action {
            Action::Generate { .. } => Ok(()),
            Action::List { tenant } => {
                let mut records = keys.list().await?;
                records.retain(|record| tenant.as_ref().is_none_or(|only| record.tenant == *only));
                list(output, &records)
            }
            Action::Rotate { tenant } => {
                let generation = keys.rotate(&tenant).await?;
                if output.json {
                    return output.json(&serde_json::json!({ "tenant": tenant, "generation": generation }));
                }
                let tenant = escape(tenant.as_str());
                output.note(&format!(
                    "tenant '{tenant}' has key {generation}: what it stores from now on is wrapped by it"
                ))
            }
            Action::Rewrap => {
                let done = keys.rewrap_all().await?;
                let primary = keys.primary_id();
                if output.json {
                    return output.json(&serde_json::json!({
                        "key": primary, "rewrapped": done.rewrapped, "unchanged": done.unchanged,
                    }));
                }
                output.note(&format!(
                    "{} tenant keys are wrapped by '{primary}' now, {} were already",
                    done.rewrapped, done.unchanged
                ))
            }
            Action::Shred { tenant, confirm } => {
                if confirm.as_deref() != Some(tenant.as_str()) {
                    return Err(Error::invalid_input(format!(
                        "destroying the keys of tenant '{tenant}' makes all that it stored unreadable for ever"
                    ))
                    .with_help(format!("say --confirm {} if it is meant", escape(tenant.as_str())))
                    .into());
                }
                let destroyed = keys.shred(&tenant).await?;
                if output.json {
                    return output.json(&serde_json::json!({ "tenant": tenant, "destroyed": destroyed }));
                }
                let tenant = escape(tenant.as_str());
                output.note(&format!("{destroyed} keys of tenant '{tenant}' are destroyed"))
            }
        }
    }
}

fn list(output: &mut Output, records: &[TenantKeyRecord]) -> Result<()> {
    if output.json {
        let tenants: Vec<_> = records.iter().map(as_json).collect();
        return output.json(&tenants);
    }
    let mut table = Table::new(&["TENANT", "KEY", "STATE", "CREATED", "WRAPPED BY"]);
    for record in records {
        let newest = record.generations.last().map(|newest| newest.number);
        for generation in &record.generations {
            table.row([
                record.tenant.to_string(),
                generation.number.to_string(),
                state(generation, newest).to_owned(),
                generation.created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                generation.key_id.clone().unwrap_or_else(|| "-".to_owned()),
            ]);
        }
    }
    table.write(output)
}

fn state(generation: &TenantKeyGeneration, newest: Option<u32>) -> &'static str {
    match generation.destroyed {
        Some(_) => "destroyed",
        None if Some(generation.number) == newest => "writes",
        None => "reads",
    }
}

fn as_json(record: &TenantKeyRecord) -> serde_json::Value {
    let newest = record.generations.last().map(|newest| newest.number);
    let keys = record.generations.iter().map(|generation| {
        serde_json::json!({
            "generation": generation.number,
            "state": state(generation, newest),
            "created": generation.created,
            "destroyed": generation.destroyed,
            "wrapped_by": generation.key_id,
        })
    });
    serde_json::json!({ "tenant": record.tenant, "keys": keys.collect::<Vec<_>>() })
}
