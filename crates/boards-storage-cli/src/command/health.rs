//! `health`: how well the providers and the catalog work, and whether writes have a way.

use std::time::Duration;

use boards_storage::{
    CanaryState, Clock as _, ComponentHealth, ErrorKind, HealthOptions, HealthReport, HealthState,
    ProviderHealth, SystemClock,
};
use clap::Args;

use super::survey::Survey;
use crate::errors::{Failure, Result, code_of};
use crate::output::{Output, Table, escape};
use crate::session::Session;
use crate::settings;

/// Show how well the providers and the catalog work, and whether writes have a way
///
/// Each is probed once, which changes nothing. The exit code is 0 if the storage is ready: the catalog works, and a
/// provider of at least one route takes writes; else 8. --json prints the report, with --watch one in each line. A
/// canary that was interrupted is removed by a later one.
#[derive(Debug, Args)]
pub(crate) struct Health {
    /// Probe again and again, until Ctrl-C
    #[arg(long)]
    watch: bool,

    /// Also let each provider take, give back and delete a small object
    #[arg(long)]
    canary: bool,

    /// The seconds between two probes
    #[arg(long, value_name = "SECONDS", default_value = "5", requires = "watch",
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
}

impl Health {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let settings = settings::find(&session.global).await?.load()?.settings.storage;
        let survey = Survey::open(settings, session).await?;
        if self.watch {
            loop {
                show(&mut session.output, &self.look(&survey).await)?;
                tokio::time::sleep(Duration::from_secs(self.every)).await;
            }
        }
        let report = self.look(&survey).await;
        write(&mut session.output, &report)?;
        survey.storage.close().await?;
        if report.is_ready {
            return Ok(());
        }
        Err(Failure::Told(code_of(ErrorKind::ProviderUnavailable)))
    }

    async fn look(&self, survey: &Survey) -> HealthReport {
        let mut options = HealthOptions::default();
        if self.canary {
            options = options.with_canary();
        }
        let probed = survey.storage.check_health(&options).await;
        let now = SystemClock.now();
        let mut providers = probed.providers;
        let unopened = survey.unopened.iter();
        providers.extend(
            unopened.map(|(name, error)| ProviderHealth::new(name, ComponentHealth::unopened(error, now))),
        );
        providers.sort_by(|a, b| a.provider.cmp(&b.provider));
        let catalog = match &survey.catalog_error {
            Some(error) => ComponentHealth::unopened(error, now),
            None => probed.catalog,
        };
        HealthReport::new(catalog, providers, probed.routes)
    }
}

/// Shows one of many reports: one line of JSON, or a table with its time.
fn show(output: &mut Output, report: &HealthReport) -> Result<()> {
    if output.json {
        output.json_line(report)?;
    } else {
        let now = SystemClock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        output.note(&now)?;
        write(output, report)?;
    }
    output.flush()
}

fn write(output: &mut Output, report: &HealthReport) -> Result<()> {
    if output.json {
        return output.json(report);
    }
    let mut table = Table::new(&["COMPONENT", "STATE", "LATENCY", "SINCE", "CANARY", "LAST ERROR"]);
    table.row(cells("catalog", &report.catalog));
    for provider in &report.providers {
        table.row(cells(
            &format!("provider {}", provider.provider),
            &provider.health,
        ));
    }
    if !output.quiet {
        table.write(output)?;
    }
    for route in report.routes.iter().filter(|route| route.usable.is_empty()) {
        let which = match (route.rule, &route.name) {
            (Some(rule), Some(name)) => format!("rule {} '{name}'", rule + 1),
            (Some(rule), None) => format!("rule {}", rule + 1),
            (None, _) => "the default route".to_owned(),
        };
        let line = format!(
            "no provider takes writes of {which}, meant for '{}'",
            route.provider
        );
        output.note(&escape(&line))?;
    }
    let verdict = if report.is_ready {
        output.style.green("ready")
    } else {
        output.style.red("not ready")
    };
    output.line(&verdict)
}

fn cells(component: &str, health: &ComponentHealth) -> [String; 6] {
    let state = match health.state {
        HealthState::Unknown => "unknown",
        HealthState::Healthy => "healthy",
        HealthState::Degraded => "degraded",
        HealthState::Unavailable => "unavailable",
    };
    let canary = match health.canary {
        CanaryState::Off => "-",
        CanaryState::Passed => "passed",
        CanaryState::Failed => "failed",
        CanaryState::Refused => "refused: no listing",
    };
    let latency = health.latency.map_or_else(
        || "-".to_owned(),
        |latency| format!("{:.1} ms", latency.as_secs_f64() * 1e3),
    );
    let error = health.last_error.as_ref();
    [
        component.to_owned(),
        state.to_owned(),
        latency,
        health.since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        canary.to_owned(),
        error.map_or_else(
            || "-".to_owned(),
            |error| format!("{}: {}", error.kind, error.message),
        ),
    ]
}
