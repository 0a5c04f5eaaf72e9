//! What was done of late, by operation and provider: added up from the audit log, whichever process did it.

use std::collections::BTreeMap;
use std::time::Duration;

use boards_storage::layers::{AuditOrder, LatencyHistogram};
use boards_storage::{
    AuditEvent, AuditLog, AuditOperation, AuditOutcome, AuditQuery, Clock, EndKind, ErrorKind,
    FriendlyDuration, LatencyPercentiles, StorageSettings, SystemClock, TenantId,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::errors::Result;
use crate::output::{Output, Table, size_cell};

/// Looks into the audit log.
pub(super) struct Looker {
    /// None where the settings keep no log that can be read.
    log: Option<AuditLog>,
    /// How far back.
    pub(super) back: Duration,
    pub(super) tenant: Option<TenantId>,
}

impl Looker {
    pub(super) async fn open(
        settings: &StorageSettings,
        back: Duration,
        tenant: Option<TenantId>,
    ) -> Result<Self> {
        let log = match AuditLog::open(settings).await {
            Ok(log) => Some(log),
            Err(error) if error.kind() == ErrorKind::Unsupported => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { log, back, tenant })
    }

    /// Adds up what was done of late; `None` where there is no log.
    pub(super) async fn look(&self) -> Result<Option<Operations>> {
        let Some(log) = &self.log else { return Ok(None) };
        let now = SystemClock.now();
        let since = now.checked_sub(self.back).unwrap_or(Timestamp::MIN);
        // The reader goes on until an event matches: asked for a time or a tenant, it would go through all that is older.
        let mut events = log.reader(AuditOrder::NewestFirst, AuditQuery::default()).await?;
        let mut sums = BTreeMap::<_, Sum>::new();
        while let Some(entry) = events.next().await? {
            if entry.event.time < since {
                break;
            }
            if self.tenant.is_some() && self.tenant != entry.event.tenant {
                continue;
            }
            let key = (entry.event.operation, entry.event.provider.clone());
            sums.entry(key).or_default().add(&entry.event);
        }
        let done = sums
            .into_iter()
            .map(|((operation, provider), sum)| sum.finish(operation, provider));
        Ok(Some(Operations {
            since,
            done: done.collect(),
        }))
    }

    pub(super) async fn close(self) -> Result<()> {
        match self.log {
            Some(log) => Ok(log.close().await?),
            None => Ok(()),
        }
    }
}

/// What was done since a time.
#[derive(Debug, Serialize)]
pub(super) struct Operations {
    since: Timestamp,
    done: Vec<Done>,
}

/// What was done of one operation at one provider.
#[derive(Debug, Serialize)]
struct Done {
    operation: AuditOperation,
    provider: Option<String>,
    count: u64,
    failures: u64,
    cancelled: u64,
    bytes_in: u64,
    bytes_out: u64,
    duration: Option<LatencyPercentiles>,
}

#[derive(Debug, Default)]
struct Sum {
    count: u64,
    failures: u64,
    cancelled: u64,
    bytes_in: u64,
    bytes_out: u64,
    durations: LatencyHistogram,
}

impl Sum {
    fn add(&mut self, event: &AuditEvent) {
        self.count += 1;
        self.failures += u64::from(
            event
                .error_kind
                .is_some_and(|kind| EndKind::Error(kind).is_failure()),
        );
        self.bytes_in = self.bytes_in.saturating_add(event.bytes_in.unwrap_or_default());
        self.bytes_out = self.bytes_out.saturating_add(event.bytes_out.unwrap_or_default());
        if event.outcome == AuditOutcome::Cancelled {
            self.cancelled += 1;
        } else {
            self.durations.record(event.duration());
        }
    }

    fn finish(self, operation: AuditOperation, provider: Option<String>) -> Done {
        Done {
            operation,
            provider,
            count: self.count,
            failures: self.failures,
            cancelled: self.cancelled,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            duration: self.durations.percentiles(),
        }
    }
}

impl Operations {
    /// Returns the table as lines.
    pub(super) fn lines(&self, output: &Output, back: Duration) -> Vec<String> {
        let mut table = Table::new(&[
            "OPERATION",
            "PROVIDER",
            "COUNT",
            "FAILED",
            "CANCELLED",
            "IN",
            "OUT",
            "P50",
            "P90",
            "P99",
        ]);
        for done in &self.done {
            let section = (!output.is_terminal).then(|| "operations".to_owned());
            table.row(section.into_iter().chain(done.cells(output)));
        }
        let mut lines = table.lines(output);
        if output.is_terminal {
            let back = FriendlyDuration::new(back);
            lines.insert(
                0,
                if self.done.is_empty() {
                    format!("nothing was done in the last {back}")
                } else {
                    format!("done in the last {back}, by the audit log:")
                },
            );
        }
        lines
    }
}

impl Done {
    fn cells(&self, output: &Output) -> Vec<String> {
        let failed = if output.is_terminal {
            percentage(self.failures, self.count - self.cancelled)
        } else {
            self.failures.to_string()
        };
        let mut cells = vec![
            self.operation.to_string(),
            self.provider.clone().unwrap_or_else(|| "-".to_owned()),
            self.count.to_string(),
            failed,
            self.cancelled.to_string(),
            size_cell(output, self.bytes_in),
            size_cell(output, self.bytes_out),
        ];
        let times = self.duration.map(|times| [times.p50, times.p90, times.p99]);
        cells.extend(times.map_or_else(
            || vec!["-".to_owned(); 3],
            |times| times.iter().map(|time| time_cell(output, *time)).collect(),
        ));
        cells
    }
}

/// Writes a part of a whole in percent.
fn percentage(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    let percent = part as f64 * 100.0 / whole as f64;
    if part == 0 {
        "0 %".to_owned()
    } else {
        format!("{percent:.1} %")
    }
}

/// Writes a time: for people on a terminal, in seconds in a pipe.
fn time_cell(output: &Output, time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if !output.is_terminal {
        return format!("{seconds:.6}");
    }
    match seconds {
        ..0.001 => format!("{:.0} µs", seconds * 1e6),
        ..1.0 => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{seconds:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_one_digit() {
        assert_eq!(percentage(0, 0), "-");
        assert_eq!(percentage(0, 7), "0 %");
        assert_eq!(percentage(1, 3), "33.3 %");
        assert_eq!(percentage(1, 3000), "0.0 %");
    }
}
