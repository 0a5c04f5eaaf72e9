//! `reap`: removes what is no longer needed.

use boards_storage::ReapReport;
use clap::Args;

use crate::errors::{Failure, Result};
use crate::session::Session;
use crate::settings;

/// How much of each kind is cleaned up in one go.
const PAGE: usize = 1000;

/// Remove what unfinished writes and deletes left, and deleted artifacts whose time to be restored is over
///
/// Safe at any time, from any number of processes; meant to be run by a timer. Nothing that can be read or restored is
/// touched. The exit code is 1 if a store could not remove something: it is tried again the next time.
#[derive(Debug, Args)]
pub(crate) struct Reap {}

impl Reap {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let storage = settings::open(session).await?;
        let mut whole = ReapReport::default();
        loop {
            let report = storage.reap(PAGE).await?;
            whole.intents += report.intents;
            whole.expired += report.expired;
            whole.tombstones += report.tombstones;
            whole.failed = report.failed;
            // What failed would fail again at once.
            if report.failed > 0 || report.intents + report.expired + report.tombstones == 0 {
                break;
            }
        }
        storage.close().await?;
        if session.output.json {
            session.output.json(&whole)?;
        } else {
            let failed = match whole.failed {
                0 => String::new(),
                count => format!("; {count} could not be removed now"),
            };
            session.output.note(&format!(
                "cleaned up {} unfinished writes and {} deleted versions; the time of {} was over{failed}",
                whole.intents, whole.tombstones, whole.expired
            ))?;
        }
        if whole.failed == 0 {
            Ok(())
        } else {
            Err(Failure::Told(1))
        }
    }
}
