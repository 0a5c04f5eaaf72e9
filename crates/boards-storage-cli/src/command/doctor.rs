//! `doctor`: looks whether everything works, and says what to do where it does not.

use std::path::{Path, PathBuf};

use boards_storage::{
    CallOptions, CatalogSettings, Clock as _, ErrorKind, LoadedSettings, Problem, Registry, SharedProvider,
    Storage, StorageManager, StorageSettings, SystemClock,
};
use clap::Args;
use serde::Serialize;

use super::survey::Survey;
use crate::errors::{Failure, Result, code_of};
use crate::output::{Output, escape, human_size};
use crate::session::Session;
use crate::settings::{self, Found};

/// With less free space than this a disk is worth a warning.
const FREE_BYTES_LOW: u64 = 1_000_000_000;

/// How many unfinished writes and deletes are counted, or cleaned up in one go.
const REAP_LIMIT: usize = 1000;

/// Look whether everything works, and say what to do where it does not
///
/// The settings, each provider, the scanner, the catalog, free space, and what writers and deleters that did not finish left
/// behind. The exit code is 0 if nothing fails; else that of the first failure. --json prints {"healthy", "checks"}.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Clean up what unfinished writes and deletes left behind
    #[arg(long)]
    fix: bool,
}

/// What came of one check.
#[derive(Debug, Serialize)]
struct Finding {
    status: Status,
    subject: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    #[serde(skip)]
    exit_code: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Ok,
    Warn,
    Fail,
}

impl Finding {
    fn new(status: Status, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status,
            subject: subject.into(),
            message: message.into(),
            help: None,
            exit_code: 1,
        }
    }

    fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn failed(subject: impl Into<String>, failure: &Failure) -> Self {
        let (message, help) = failure.message_and_help();
        Self {
            help,
            exit_code: failure.exit_code(),
            ..Self::new(Status::Fail, subject, message)
        }
    }
}

impl Doctor {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let mut findings = Vec::new();
        match self.examine(session, &mut findings).await {
            Ok(()) => {}
            Err(Failure::Settings(error)) => findings.extend(error.problems.iter().map(explain_problem)),
            Err(failure) => findings.push(Finding::failed("settings", &failure)),
        }
        write(&mut session.output, &findings)?;
        let first = findings.iter().find(|finding| finding.status == Status::Fail);
        first.map_or(Ok(()), |finding| Err(Failure::Told(finding.exit_code)))
    }

    /// Looks at everything. An error is one of the settings, behind which there is nothing to look at.
    async fn examine(&self, session: &Session, findings: &mut Vec<Finding>) -> Result<()> {
        let found = settings::find(&session.global).await?;
        let loaded = found.load()?;
        examine_settings(&found, &loaded, findings);
        let storage = loaded.settings.storage;
        let mut survey = Survey::open(storage.clone(), session).await?;
        let has_opened = survey.unopened.len() < storage.providers.len();
        let registry = Storage::registry()?;
        for settings in storage.providers.values() {
            let subject = format!("provider {}", settings.name);
            match survey.take_unopened(&settings.name) {
                Some(error) => findings.push(explain_unopened(&subject, &settings.kind, error, &registry)),
                None => {
                    let provider = survey.storage.provider(&settings.name)?;
                    examine_provider(&subject, &provider, findings).await;
                }
            }
        }
        examine_scanner(&survey.storage, findings).await;
        if has_opened {
            self.examine_catalog(&mut survey, &storage, findings).await;
        }
        if let Err(error) = survey.storage.close().await {
            findings.push(Finding::failed("catalog", &error.into()));
        }
        Ok(())
    }

    async fn examine_catalog(
        &self,
        survey: &mut Survey,
        settings: &StorageSettings,
        findings: &mut Vec<Finding>,
    ) {
        let path = settings.catalog_path();
        let name = match (&path, &settings.catalog) {
            (Some(path), _) => path.display().to_string(),
            (None, CatalogSettings::Postgres { .. }) => "a PostgreSQL database".to_owned(),
            (None, _) => "in memory".to_owned(),
        };
        if let Some(error) = survey.catalog_error.take() {
            return findings.push(Finding::failed("catalog", &error.into()));
        }
        let manager = &survey.storage;
        match manager.catalog().probe().await {
            Ok(()) => findings.push(Finding::new(Status::Ok, "catalog", name)),
            Err(error) => return findings.push(Finding::failed("catalog", &error.into())),
        }
        if let Some(folder) = path.as_deref().and_then(Path::parent) {
            examine_space("catalog", folder, findings).await;
        }
        let cleanup = if self.fix {
            clean_up(manager).await
        } else {
            count_unfinished(manager).await
        };
        findings.push(cleanup.unwrap_or_else(|failure| Finding::failed("unfinished", &failure)));
    }
}

fn explain_problem(problem: &Problem) -> Finding {
    Finding {
        exit_code: code_of(ErrorKind::Configuration),
        ..Finding::new(Status::Fail, "settings", problem.to_string())
    }
}

fn examine_settings(found: &Found, loaded: &LoadedSettings, findings: &mut Vec<Finding>) {
    findings.push(Finding::new(Status::Ok, "settings", found.place.to_string()));
    for note in &loaded.notes {
        let message = format!("{}: {}: {}", note.origin, note.path, note.message);
        let finding = Finding::new(Status::Warn, "settings", message);
        findings.push(Finding {
            help: note.help.clone(),
            ..finding
        });
    }
}

async fn examine_provider(subject: &str, provider: &SharedProvider, findings: &mut Vec<Finding>) {
    let info = provider.info();
    match provider.probe(&CallOptions::default()).await {
        Ok(()) => findings.push(Finding::new(
            Status::Ok,
            subject,
            format!("{} at {}", info.kind, info.location),
        )),
        Err(error) => findings.push(Finding::failed(subject, &error.into())),
    }
    if info.kind == "local" {
        examine_space(subject, Path::new(&info.location), findings).await;
    }
}

/// Asks the scanner for malware, if there is one.
async fn examine_scanner(manager: &StorageManager, findings: &mut Vec<Finding>) {
    let Some(scanner) = manager.inspector().and_then(|inspector| inspector.scanner()) else {
        return;
    };
    let subject = format!("scanner {}", scanner.name());
    findings.push(match scanner.probe().await {
        Ok(version) => Finding::new(Status::Ok, subject, version),
        Err(error) => Finding::failed(subject, &error.into())
            .with_help("start it, or correct its address in storage.validation.scan"),
    });
}

fn explain_unopened(subject: &str, kind: &str, error: boards_storage::Error, registry: &Registry) -> Finding {
    let is_absent = error.kind() == ErrorKind::Configuration && registry.how_to_enable(kind).is_some();
    let finding = Finding::failed(subject, &error.into());
    if is_absent {
        return finding;
    }
    let help = finding
        .help
        .clone()
        .unwrap_or_else(|| format!("correct storage.{}", subject.replace(' ', "s.")));
    finding.with_help(help)
}

async fn examine_space(subject: &str, folder: &Path, findings: &mut Vec<Finding>) {
    let asked: PathBuf = if folder.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        folder.to_owned()
    };
    let free = tokio::task::spawn_blocking(move || fs4::available_space(asked)).await;
    let subject = format!("{subject} space");
    findings.push(match free {
        Ok(Ok(free)) if free >= FREE_BYTES_LOW => {
            Finding::new(Status::Ok, subject, format!("{} free", human_size(free)))
        }
        Ok(Ok(free)) => Finding::new(Status::Warn, subject, format!("only {} free", human_size(free)))
            .with_help(format!("make room on the disk of {}", folder.display())),
        Ok(Err(source)) => Finding::failed(
            subject,
            &Failure::file("cannot see the free space of", folder, source),
        ),
        Err(_) => Finding::new(Status::Warn, subject, "the free space could not be looked up"),
    });
}

async fn count_unfinished(manager: &StorageManager) -> Result<Finding> {
    let (catalog, now) = (manager.catalog(), SystemClock.now());
    let writes = catalog.ended_intents(now, None, REAP_LIMIT).await?.len();
    let deletes = catalog
        .tombstones(jiff::Timestamp::MAX, None, REAP_LIMIT)
        .await?
        .len();
    let count = |count: usize| {
        let more = if count == REAP_LIMIT { "at least " } else { "" };
        format!("{more}{count}")
    };
    let message = format!("{} writes, {} deletes", count(writes), count(deletes));
    Ok(if writes + deletes == 0 {
        Finding::new(Status::Ok, "unfinished", message)
    } else {
        Finding::new(Status::Warn, "unfinished", message)
            .with_help("run `boards-storage doctor --fix` to remove what they left behind")
    })
}

/// Cleans up until nothing is left that can be.
async fn clean_up(manager: &StorageManager) -> Result<Finding> {
    let (mut intents, mut tombstones) = (0, 0);
    loop {
        let report = manager.reap(REAP_LIMIT).await?;
        intents += report.intents;
        tombstones += report.tombstones;
        let cleaned = format!("cleaned up {intents} unfinished writes and {tombstones} unfinished deletes");
        if report.failed > 0 {
            let message = format!("{cleaned}; {} could not be", report.failed);
            return Ok(Finding::new(Status::Warn, "unfinished", message)
                .with_help("try again when the provider works"));
        }
        if report.intents == 0 && report.tombstones == 0 && report.expired == 0 {
            return Ok(Finding::new(Status::Ok, "unfinished", cleaned));
        }
    }
}

fn write(output: &mut Output, findings: &[Finding]) -> Result<()> {
    if output.json {
        let is_healthy = findings.iter().all(|finding| finding.status != Status::Fail);
        return output.json(&serde_json::json!({ "healthy": is_healthy, "checks": findings }));
    }
    for finding in findings {
        if output.quiet && finding.status == Status::Ok {
            continue;
        }
        let word = match finding.status {
            Status::Ok => output.style.green("ok  "),
            Status::Warn => output.style.yellow("warn"),
            Status::Fail => output.style.red("fail"),
        };
        output.line(&format!(
            "{word}  {}: {}",
            escape(&finding.subject),
            escape(&finding.message)
        ))?;
        if let Some(help) = &finding.help {
            output.line(&format!("      {} {}", output.style.cyan("help:"), escape(help)))?;
        }
    }
    Ok(())
}
