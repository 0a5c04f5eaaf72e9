//! `audit`: verifies, shows and searches the audit log.

use std::time::Duration;

use boards_storage::layers::{AuditOrder, AuditVerification};
use boards_storage::{
    ArtifactId, AuditEntry, AuditLog, AuditOperation, AuditOutcome, AuditQuery, ErrorKind, TenantId,
};
use clap::{Args, Subcommand};
use jiff::Timestamp;

use crate::arguments::{parsed, time};
use crate::errors::{Failure, Result, code_of};
use crate::output::{Output, Table, escape};
use crate::session::Session;
use crate::settings;

/// How often a log that is followed is looked at.
const FOLLOW_PAUSE: Duration = Duration::from_millis(250);

/// So many events are shown at a time, so that a long answer costs no memory.
const PAGE: usize = 100;

/// Verify, show or search the audit log
///
/// The log has an event for each operation on artifacts, refusals and the issuing of signed URLs included: who, from
/// where, what, which artifact, how many bytes, and how it ended.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check that no line of the log was changed, removed, moved or cut off
    ///
    /// Every line is checked against its code and its predecessor, across all files, and the end against the last
    /// acknowledged entry, which the catalog keeps. The exit code is 9 if anything is wrong. Whoever has the key can
    /// forge the log: keep it elsewhere where that matters, by storage.audit.key.
    Verify,
    /// Show the newest events
    ///
    /// --json prints one event per line.
    Tail {
        /// How many events
        #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 10)]
        lines: usize,
        /// Go on and show events as they come
        #[arg(short, long)]
        follow: bool,
        #[command(flatten)]
        filter: Box<Filter>,
    },
    /// Search for events
    ///
    /// --json prints one event per line.
    Query {
        /// The newest first
        #[arg(short, long)]
        reverse: bool,
        /// At most so many
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
        limit: Option<u64>,
        #[command(flatten)]
        filter: Box<Filter>,
    },
}

/// Which events.
#[derive(Debug, Args)]
struct Filter {
    /// Only from this time on: such as 2026-11-30, 2026-11-30T12:00:00Z, or 2h for two hours ago
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,

    /// Only before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,

    /// Only what this principal did
    #[arg(long, value_name = "ID")]
    principal: Option<String>,

    /// Only about artifacts of this tenant
    #[arg(long, value_name = "TENANT", value_parser = parsed::<TenantId>)]
    tenant: Option<TenantId>,

    /// Only about this artifact
    #[arg(long, value_name = "ID", value_parser = parsed::<ArtifactId>)]
    artifact: Option<ArtifactId>,

    /// Only this operation, such as store, open, fetch, download_url or delete
    #[arg(long, value_name = "OPERATION", value_parser = parsed::<AuditOperation>)]
    operation: Option<AuditOperation>,

    /// Only what ended so: success, failure, denied or cancelled
    #[arg(long, value_name = "OUTCOME", value_parser = parsed::<AuditOutcome>)]
    outcome: Option<AuditOutcome>,

    /// Only about bytes at this provider
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
}

impl Filter {
    fn query(self) -> AuditQuery {
        let mut query = AuditQuery::default();
        query.since = self.since;
        query.until = self.until;
        query.principal = self.principal;
        query.tenant = self.tenant;
        query.artifact = self.artifact;
        query.operation = self.operation;
        query.outcome = self.outcome;
        query.provider = self.provider;
        query
    }
}

impl Audit {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let loaded = settings::find(&session.global).await?.load()?;
        let log = AuditLog::open(&loaded.settings.storage).await?;
        let result = match self.action {
            Action::Verify => verify(session, &log).await,
            Action::Tail {
                lines,
                follow,
                filter,
            } => tail(session, &log, lines, follow, filter.query()).await,
            Action::Query {
                reverse,
                limit,
                filter,
            } => query(session, &log, reverse, limit.unwrap_or(u64::MAX), filter.query()).await,
        };
        let closed = log.close().await;
        result.and(closed.map_err(Failure::from))
    }
}

async fn verify(session: &mut Session, log: &AuditLog) -> Result<()> {
    let found = log.verify().await?;
    let output = &mut session.output;
    if output.json {
        let mut value = serde_json::json!(found);
        value["whole"] = found.is_whole().into();
        output.json(&value)?;
    } else {
        write_verification(output, &found)?;
    }
    if found.is_whole() {
        return Ok(());
    }
    Err(Failure::Told(code_of(ErrorKind::Corruption)))
}

fn write_verification(output: &mut Output, found: &AuditVerification) -> Result<()> {
    for problem in &found.problems {
        let word = output.style.red("fail");
        output.line(&format!("{word}  {}", escape(&problem.to_string())))?;
    }
    let untold = found.problem_count - found.problems.len() as u64;
    if untold > 0 {
        output.line(&format!("{untold} more problems are not shown"))?;
    }
    if found.unfinished_bytes > 0 {
        let word = output.style.yellow("warn");
        output.line(&format!(
            "{word}  {} bytes behind the last line are none: a process died while it wrote, or is writing; they were \
             never acknowledged",
            found.unfinished_bytes
        ))?;
    }
    if found.head.is_none() && found.entries > 0 {
        let word = output.style.yellow("warn");
        output.line(&format!(
            "{word}  the catalog keeps no head of this log, so nobody can tell whether its end was cut off"
        ))?;
    }
    let counts = format!(
        "{} in {}, {} among them",
        many(found.entries, "entry", "entries"),
        many(found.files, "file", "files"),
        many(found.events, "event", "events")
    );
    let repairs = match found.repairs {
        0 => String::new(),
        1 => "; once a process died while it wrote".to_owned(),
        repairs => format!("; {repairs} times a process died while it wrote"),
    };
    if !found.is_whole() {
        return output.line(&format!(
            "the log is not whole: {}; {counts}{repairs}",
            many(found.problem_count, "problem", "problems")
        ));
    }
    let until = match &found.head {
        Some(head) => format!(", up to the acknowledged entry {}", head.sequence),
        None => String::new(),
    };
    let word = output.style.green("ok");
    output.note(&format!("{word}  the log is whole: {counts}{until}{repairs}"))
}

/// Says how many there are.
fn many(count: u64, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

async fn tail(
    session: &mut Session,
    log: &AuditLog,
    lines: usize,
    follow: bool,
    query: AuditQuery,
) -> Result<()> {
    let (entries, mut later) = log.tail(lines, query).await?;
    let mut listing = Listing::new();
    for entry in &entries {
        listing.add(&mut session.output, entry)?;
    }
    listing.write(&mut session.output)?;
    if !follow {
        return Ok(());
    }
    loop {
        session.output.flush()?;
        while let Some(entry) = later.next().await? {
            listing.add(&mut session.output, &entry)?;
        }
        listing.write(&mut session.output)?;
        session.output.flush()?;
        tokio::time::sleep(FOLLOW_PAUSE).await;
    }
}

async fn query(
    session: &mut Session,
    log: &AuditLog,
    reverse: bool,
    limit: u64,
    query: AuditQuery,
) -> Result<()> {
    let order = if reverse {
        AuditOrder::NewestFirst
    } else {
        AuditOrder::OldestFirst
    };
    let mut events = log.reader(order, query).await?;
    let mut listing = Listing::new();
    let mut left = limit;
    while left > 0
        && let Some(entry) = events.next().await?
    {
        listing.add(&mut session.output, &entry)?;
        left -= 1;
    }
    listing.write(&mut session.output)?;
    if events.unreadable() > 0 {
        let message = format!(
            "{} lines were left out, because they are no entries; see `boards-storage audit verify`",
            events.unreadable()
        );
        session.warn("audit log", &message)?;
    }
    Ok(())
}

/// Events on their way out.
struct Listing {
    table: Table,
    held: usize,
}

impl Listing {
    fn new() -> Self {
        Self {
            table: Table::new(&[
                "TIME",
                "OPERATION",
                "OUTCOME",
                "PRINCIPAL",
                "ARTIFACT",
                "PROVIDER",
                "BYTES",
                "TIME TAKEN",
            ]),
            held: 0,
        }
    }

    fn add(&mut self, output: &mut Output, entry: &AuditEntry) -> Result<()> {
        if output.json {
            let line = serde_json::to_string(entry).map_err(|source| {
                let error =
                    boards_storage::Error::new(ErrorKind::Storage, "the event cannot be written as JSON");
                Failure::from(error.with_source(source))
            })?;
            return output.line(&line);
        }
        let event = &entry.event;
        let outcome = match event.error_kind {
            Some(kind) => format!("{} ({kind})", event.outcome),
            None => event.outcome.to_string(),
        };
        let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let artifact = event.artifact.as_ref().map(|artifact| match &event.variant {
            Some(variant) => format!("{artifact}/{variant}"),
            None => artifact.to_string(),
        });
        self.table.row([
            event.time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            event.operation.to_string(),
            outcome,
            text(event.principal.as_ref().map(|principal| principal.id.clone())),
            text(artifact),
            text(event.provider.clone()),
            text(event.bytes_in.or(event.bytes_out).map(|bytes| bytes.to_string())),
            format!("{:?}", event.duration()),
        ]);
        self.held += 1;
        if self.held >= PAGE {
            self.write(output)
        } else {
            Ok(())
        }
    }

    fn write(&mut self, output: &mut Output) -> Result<()> {
        self.held = 0;
        self.table.write(output)
    }
}
