//! `stats`: what is stored, by provider, tenant and type, and what was done of late; once, or again and again.

use std::time::Duration;

use boards_storage::{
    Clock, FriendlyDuration, StorageManager, SystemClock, TenantId, Utilization, UtilizationKey,
};
use clap::Args;
use serde::Serialize;

use super::stats_operations::{Looker, Operations};
use crate::arguments::parsed;
use crate::errors::Result;
use crate::output::{Output, Screen, Table, size_cell};
use crate::session::Session;
use crate::settings;

/// How often `--watch` looks by default.
const INTERVAL: Duration = Duration::from_secs(1);

/// How often `--watch` may look.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_hours(1);

/// Show what is stored, by provider, tenant and type, and what was done of late
///
/// Every version that is not deleted counts as stored, old ones too, at each provider that has it. What was done is
/// added up from the audit log, whichever process did it: how often, which part the store failed, how many bytes went
/// in and out, and how long it took until the end of the stream. In a pipe the columns are separated by tabs, without
/// headlines and totals, with exact sizes and times in seconds, and the first one names the table.
#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// Only this tenant's [default: every tenant's]
    #[arg(long, value_name = "TENANT", value_parser = parsed::<TenantId>)]
    tenant: Option<TenantId>,

    /// How far back to look at what was done, such as 5m or 24h [default: 15m]
    #[arg(long, value_name = "DURATION", value_parser = since)]
    since: Option<Duration>,

    /// Show it again and again, until it is interrupted or nobody reads it
    ///
    /// On a terminal each table takes the place of the one before; elsewhere an empty line stands between them.
    #[arg(short, long)]
    watch: bool,

    /// How often --watch looks, such as 500ms or 1m [default: 1s]
    #[arg(long, value_name = "DURATION", requires = "watch", value_parser = interval)]
    interval: Option<Duration>,
}

/// How far back what was done is looked at by default.
const SINCE: Duration = Duration::from_mins(15);

/// Parses how far back to look.
fn since(text: &str) -> Result<Duration, String> {
    match FriendlyDuration::parse(text).map(FriendlyDuration::get) {
        Ok(time) if !time.is_zero() => Ok(time),
        Ok(_) | Err(_) => Err("it is not a duration, such as 5m or 24h".to_owned()),
    }
}

/// Parses how often to look.
fn interval(text: &str) -> Result<Duration, String> {
    match FriendlyDuration::parse(text).map(FriendlyDuration::get) {
        Ok(time) if (INTERVAL_MIN..=INTERVAL_MAX).contains(&time) => Ok(time),
        Ok(_) | Err(_) => Err("it is not a duration from 100ms to 1h, such as 500ms or 1m".to_owned()),
    }
}

impl Stats {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let loaded = settings::find(&session.global).await?.load()?;
        let back = self.since.unwrap_or(SINCE);
        let looker = Looker::open(&loaded.settings.storage, back, self.tenant.clone()).await?;
        let storage = settings::open_settings(loaded.settings.storage, session).await?;
        let output = &mut session.output;
        if self.watch {
            self.watch(&storage, &looker, output).await?;
        } else {
            let figures = self.look(&storage, &looker).await?;
            if output.json {
                output.json(&figures)?;
            } else {
                let lines = figures.lines(output);
                lines.iter().try_for_each(|line| output.line(line))?;
            }
        }
        looker.close().await?;
        storage.close().await?;
        Ok(())
    }

    /// Shows it until the future is dropped, or the output is closed.
    async fn watch(&self, storage: &StorageManager, looker: &Looker, output: &mut Output) -> Result<()> {
        let every = self.interval.unwrap_or(INTERVAL);
        let mut ticks = tokio::time::interval(every);
        // A look that took too long is not made up for.
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut screen = Screen::default();
        loop {
            ticks.tick().await;
            let figures = self.look(storage, looker).await?;
            if output.json {
                output.json(&figures)?;
                output.flush()?;
                continue;
            }
            let mut lines = figures.lines(output);
            if output.is_terminal {
                let now = SystemClock.now().strftime("%Y-%m-%dT%H:%M:%SZ");
                let every = FriendlyDuration::new(every);
                lines.insert(0, format!("{now}, every {every}; Ctrl-C ends it"));
                lines.insert(1, String::new());
            }
            screen.draw(output, &lines)?;
        }
    }

    async fn look(&self, storage: &StorageManager, looker: &Looker) -> Result<Figures> {
        let utilization = storage.catalog().utilization().await?;
        let is_wanted =
            |key: &UtilizationKey| self.tenant.as_ref().is_none_or(|tenant| key.tenant == *tenant);
        let stored = utilization
            .into_iter()
            .filter(|(key, _)| is_wanted(key))
            .map(|(key, stored)| Stored { key, stored });
        Ok(Figures {
            stored: stored.collect(),
            operations: looker.look().await?,
            back: looker.back,
        })
    }
}

/// What is shown at one time.
#[derive(Debug, Serialize)]
struct Figures {
    stored: Vec<Stored>,
    /// None where the settings keep no audit log that can be read.
    operations: Option<Operations>,
    #[serde(skip)]
    back: Duration,
}

/// How much of one kind is stored.
#[derive(Debug, Serialize)]
struct Stored {
    #[serde(flatten)]
    key: UtilizationKey,
    #[serde(flatten)]
    stored: Utilization,
}

impl Figures {
    /// Returns the tables as lines.
    fn lines(&self, output: &Output) -> Vec<String> {
        let mut lines = self.stored_lines(output);
        if let Some(operations) = &self.operations {
            if output.is_terminal {
                lines.push(String::new());
            }
            lines.extend(operations.lines(output, self.back));
        }
        lines
    }

    fn stored_lines(&self, output: &Output) -> Vec<String> {
        let mut table = Table::new(&["PROVIDER", "TENANT", "TYPE", "OBJECTS", "SIZE"]);
        let mut total = Utilization::default();
        for Stored { key, stored } in &self.stored {
            total.add(*stored);
            row(
                &mut table,
                output,
                [&key.provider, key.tenant.as_str(), key.artifact_type.name()],
                *stored,
            );
        }
        if !output.is_terminal {
            return table.lines(output);
        }
        if self.stored.is_empty() {
            return vec!["nothing is stored".to_owned()];
        }
        row(&mut table, output, ["total", "", ""], total);
        table.lines(output)
    }
}

/// Adds what is stored, and in a pipe which table it is of.
fn row(table: &mut Table, output: &Output, names: [&str; 3], stored: Utilization) {
    let section = (!output.is_terminal).then_some("stored");
    let figures = [stored.objects.to_string(), size_cell(output, stored.bytes)];
    table.row(
        section
            .into_iter()
            .chain(names)
            .chain(figures.iter().map(String::as_str)),
    );
}
