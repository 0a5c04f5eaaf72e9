//! The commands, one file each.

mod audit;
mod cat;
mod completions;
mod config;
mod deleted;
mod doctor;
mod get;
mod get_resume;
mod health;
mod history;
mod info;
mod keys;
mod ls;
mod providers;
mod put;
mod put_resume;
mod quarantine;
mod quota;
mod reap;
mod restore;
mod rm;
mod route;
mod scan;
mod stats;
mod stats_operations;
mod survey;
mod url;

use clap::Subcommand;

use crate::errors::Result;
use crate::session::Session;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Put(put::Put),
    Get(get::Get),
    Cat(cat::Cat),
    Ls(ls::Ls),
    Info(info::Info),
    History(history::History),
    Url(url::Url),
    Rm(rm::Rm),
    Deleted(deleted::Deleted),
    Restore(restore::Restore),
    Reap(reap::Reap),
    Quota(quota::Quota),
    Route(route::Route),
    Stats(stats::Stats),
    Providers(providers::Providers),
    Config(config::Config),
    Scan(scan::Scan),
    Rescan(quarantine::Rescan),
    Quarantine(quarantine::Quarantine),
    Doctor(doctor::Doctor),
    Health(health::Health),
    Audit(audit::Audit),
    Keys(keys::Keys),
    Completions(completions::Completions),
}

impl Command {
    /// Runs the command to its end.
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::Put(put) => Box::pin(put.run(session)).await,
            Self::Get(get) => Box::pin(get.run(session)).await,
            Self::Cat(cat) => Box::pin(cat.run(session)).await,
            Self::Ls(ls) => Box::pin(ls.run(session)).await,
            Self::Info(info) => Box::pin(info.run(session)).await,
            Self::History(history) => Box::pin(history.run(session)).await,
            Self::Url(url) => Box::pin(url.run(session)).await,
            Self::Rm(rm) => Box::pin(rm.run(session)).await,
            Self::Deleted(deleted) => Box::pin(deleted.run(session)).await,
            Self::Restore(restore) => Box::pin(restore.run(session)).await,
            Self::Reap(reap) => Box::pin(reap.run(session)).await,
            Self::Quota(quota) => Box::pin(quota.run(session)).await,
            Self::Route(route) => Box::pin(route.run(session)).await,
            Self::Stats(stats) => Box::pin(stats.run(session)).await,
            Self::Providers(providers) => Box::pin(providers.run(session)).await,
            Self::Config(config) => Box::pin(config.run(session)).await,
            Self::Scan(scan) => Box::pin(scan.run(session)).await,
            Self::Rescan(rescan) => Box::pin(rescan.run(session)).await,
            Self::Quarantine(quarantine) => Box::pin(quarantine.run(session)).await,
            Self::Doctor(doctor) => Box::pin(doctor.run(session)).await,
            Self::Health(health) => Box::pin(health.run(session)).await,
            Self::Keys(keys) => Box::pin(keys.run(session)).await,
            Self::Audit(audit) => Box::pin(audit.run(session)).await,
            Self::Completions(completions) => completions.run(session),
        }
    }
}
