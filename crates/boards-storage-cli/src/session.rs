//! What every command has: where results go, and what the caller said for all commands.

use std::cell::RefCell;

use boards_storage::AuditTrail;

use crate::arguments::Global;
use crate::errors::{Failure, Result, tell_warning};
use crate::output::{Output, Style};
use crate::progress::Progress;

/// One run of the program.
pub(crate) struct Session {
    /// What the caller said for all commands.
    pub(crate) global: Global,
    /// Where results go.
    pub(crate) output: Output,
    /// Where progress is shown.
    pub(crate) progress: Progress,
    /// The audit log of the storage that was opened.
    trail: RefCell<Option<AuditTrail>>,
}

impl Session {
    pub(crate) fn new(global: &Global) -> Self {
        Self {
            global: global.clone(),
            output: Output::new(global),
            progress: Progress::new(global),
            trail: RefCell::new(None),
        }
    }

    /// Keeps the audit log, to close it in the end, however the command ends.
    pub(crate) fn keep_trail(&self, trail: AuditTrail) {
        self.trail.replace(Some(trail));
    }

    /// Closes the audit log, and warns of what it could not record.
    ///
    /// # Errors
    ///
    /// That the results before the warning cannot be written.
    pub(crate) async fn close_trail(&mut self) -> Result<()> {
        let Some(trail) = self.trail.take() else {
            return Ok(());
        };
        let closed = trail.close().await;
        let status = trail.status();
        if status.unrecorded == 0 && closed.is_ok() {
            return Ok(());
        }
        let cause = status
            .failure
            .or(closed.err().map(|error| error.to_string()))
            .map(|cause| format!(": {cause}"))
            .unwrap_or_default();
        let count = match status.unrecorded {
            0 => "it could not be closed".to_owned(),
            1 => "an operation could not be recorded".to_owned(),
            count => format!("{count} operations could not be recorded"),
        };
        self.warn("audit log", &format!("{count}{cause}"))
    }

    /// Tells the failure of one of several things, and goes on.
    ///
    /// # Errors
    ///
    /// That the results before it cannot be written.
    pub(crate) fn tell(&mut self, subject: &str, failure: &Failure) -> Result<()> {
        self.output.flush()?;
        let style = Style::of(
            self.global.color,
            std::io::IsTerminal::is_terminal(&std::io::stderr()),
        );
        self.progress
            .aside(|| failure.tell(Some(subject), self.global.json, style));
        Ok(())
    }

    /// Tells what was left out, and goes on.
    ///
    /// # Errors
    ///
    /// That the results before it cannot be written.
    pub(crate) fn warn(&mut self, subject: &str, message: &str) -> Result<()> {
        self.output.flush()?;
        let style = Style::of(
            self.global.color,
            std::io::IsTerminal::is_terminal(&std::io::stderr()),
        );
        self.progress
            .aside(|| tell_warning(subject, message, self.global.json, style));
        Ok(())
    }
}
