//! What every command has: where results go, and what the caller said for all commands.

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
}

impl Session {
    pub(crate) fn new(global: &Global) -> Self {
        Self {
            global: global.clone(),
            output: Output::new(global),
            progress: Progress::new(global),
        }
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
