//! Points at which a crash test stops the program, set by the variable `FAILPOINTS`.

use fail::FailScenario;
use log::{LevelFilter, Log, Metadata, Record};

/// Writes what a failpoint's `print` action says to the standard error, so that a test sees that it was reached.
struct ToStandardError;

impl Log for ToStandardError {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "fail"
    }

    #[expect(clippy::print_stderr, reason = "this is what the test waits for")]
    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            eprintln!("{}", record.args());
        }
    }

    fn flush(&self) {}
}

/// Sets the failpoints up; they last as long as what is returned.
pub(crate) fn begin() -> FailScenario<'static> {
    if log::set_logger(&ToStandardError).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
    FailScenario::setup()
}
