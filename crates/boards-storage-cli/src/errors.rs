//! What ends a command before its work is done: how it is told, and with which exit code.

use std::error::Error as StdError;
use std::io::{self, Write};
use std::path::Path;

use boards_storage::{Error, ErrorKind, SettingsError};
use serde_json::{Value, json};

use crate::output::{Style, escape};

/// The result of a command.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// The exit codes, as the help shows them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  any other failure
    2  wrong usage: an unknown option, a missing or malformed argument
    3  not found
    4  exists already, or changed meanwhile
    5  access denied
    6  refused input, such as a range beyond the end
    7  wrong settings
    8  unavailable, too slow or too many requests: try again later
    9  corrupted bytes
   10  rejected: a limit, the validation, malware
   11  no space left
   12  not supported by the provider
   13  outcome unknown: look before you repeat it
  130  interrupted (141: nobody reads the output any more; 143: terminated)";

/// The exit code of wrong usage, which is clap's too.
pub(crate) const USAGE: u8 = 2;

/// The exit code when the reader of the output went away, as if `SIGPIPE` had ended the program.
const CLOSED_PIPE: u8 = 141;

/// Why a command did not do all that it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The library failed, or a file of the caller's.
    Storage(Error),
    /// The settings are wrong.
    Settings(SettingsError),
    /// Arguments that do not go together.
    Usage {
        /// What is wrong.
        message: String,
        /// What to do about it.
        help: String,
    },
    /// Everything is told already; only the exit code is left.
    Told(u8),
    /// Nobody reads the output any more.
    ClosedPipe,
}

impl Failure {
    /// Arguments that do not go together.
    pub(crate) fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Usage {
            message: message.into(),
            help: help.into(),
        }
    }

    /// A file of the caller's that cannot be used; `what` is such as "cannot write".
    pub(crate) fn file(what: &str, path: &Path, source: io::Error) -> Self {
        Self::Storage(file_error(what, path, source))
    }

    /// The standard output that cannot be written.
    pub(crate) fn standard_output(source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::BrokenPipe {
            return Self::ClosedPipe;
        }
        Self::Storage(Error::new(kind_of(&source), "cannot write to the standard output").with_source(source))
    }

    /// Returns the exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Storage(error) => code_of(error.kind()),
            Self::Settings(_) => code_of(ErrorKind::Configuration),
            Self::Usage { .. } => USAGE,
            Self::Told(code) => *code,
            Self::ClosedPipe => CLOSED_PIPE,
        }
    }

    /// Tells the failure on the standard error, unless there is nothing to tell. `subject` says which of several
    /// things failed.
    pub(crate) fn tell(&self, subject: Option<&str>, json: bool, style: Style) {
        let text = if json {
            self.to_json(subject).map(|value| value.to_string())
        } else {
            self.to_text(subject, style)
        };
        if let Some(text) = text {
            write_standard_error(&text);
        }
    }

    /// Returns what is wrong in one text, and what to do about it.
    pub(crate) fn message_and_help(&self) -> (String, Option<String>) {
        match self {
            Self::Storage(error) => {
                let mut message = error.to_string();
                for cause in causes(error) {
                    message = format!("{message}: {cause}");
                }
                (message, help_of(error).map(str::to_owned))
            }
            Self::Settings(error) => (error.to_string(), None),
            Self::Usage { message, help } => (message.clone(), Some(help.clone())),
            Self::Told(code) => (format!("ended with the exit code {code}"), None),
            Self::ClosedPipe => ("nobody reads the output".to_owned(), None),
        }
    }

    fn to_text(&self, subject: Option<&str>, style: Style) -> Option<String> {
        let mut lines = Vec::new();
        let subject = subject
            .map(|subject| format!(" {}:", escape(subject)))
            .unwrap_or_default();
        let error_word = format!("{}{subject}", style.red("error:"));
        let help_word = style.cyan("help:");
        match self {
            Self::Storage(error) => {
                lines.push(format!("{error_word} {}", escape(&error.to_string())));
                lines.extend(
                    causes(error)
                        .iter()
                        .map(|cause| format!("{} {}", style.bold("cause:"), escape(cause))),
                );
                lines.extend(help_of(error).map(|help| format!("{help_word} {}", escape(help))));
            }
            Self::Settings(error) => {
                lines.push(format!("{error_word} {}", headline(error)));
                lines.extend(
                    error
                        .problems
                        .iter()
                        .map(|problem| format!("  {}", escape(&problem.to_string()))),
                );
                lines.push(format!(
                    "{help_word} correct the settings; `boards-storage config check` looks at them without doing anything else"
                ));
            }
            Self::Usage { message, help } => {
                lines.push(format!("{error_word} {}", escape(message)));
                lines.push(format!("{help_word} {}", escape(help)));
            }
            Self::Told(_) | Self::ClosedPipe => return None,
        }
        Some(lines.join("\n"))
    }

    /// The machine-readable form: `{"error": {"kind", "message", "help", "causes", …}}`.
    fn to_json(&self, subject: Option<&str>) -> Option<Value> {
        let mut error = match self {
            Self::Storage(error) => json!({
                "kind": error.kind(),
                "message": error.message(),
                "help": help_of(error),
                "causes": causes(error),
                "operation": error.operation().map(|operation| operation.to_string()),
                "provider": error.provider(),
                "key": error.key(),
                "status": error.status(),
                "code": error.code(),
                "request_id": error.request_id(),
                "exit_code": self.exit_code(),
            }),
            Self::Settings(error) => json!({
                "kind": ErrorKind::Configuration,
                "message": headline(error),
                "help": "correct the settings",
                "causes": [],
                "problems": error.problems,
                "exit_code": self.exit_code(),
            }),
            Self::Usage { message, help } => usage_json(message, Some(help)),
            Self::Told(_) | Self::ClosedPipe => return None,
        };
        if let Some(subject) = subject {
            error["subject"] = json!(subject);
        }
        Some(json!({ "error": error }))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Storage(error)
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::Settings(error)
    }
}

/// Tells wrong usage in the machine-readable form.
pub(crate) fn tell_usage_as_json(message: &str, help: Option<&str>) {
    write_standard_error(&json!({ "error": usage_json(message, help) }).to_string());
}

/// Tells on the standard error that something was left out.
pub(crate) fn tell_warning(subject: &str, message: &str, json: bool, style: Style) {
    if json {
        let warning = json!({ "warning": { "subject": subject, "message": message } });
        write_standard_error(&warning.to_string());
    } else {
        let word = style.yellow("warning:");
        write_standard_error(&format!("{word} {}: {}", escape(subject), escape(message)));
    }
}

fn write_standard_error(text: &str) {
    // There is nobody left to hear that the standard error cannot be written.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn usage_json(message: &str, help: Option<&str>) -> Value {
    json!({ "kind": "usage", "message": message, "help": help, "causes": [], "exit_code": USAGE })
}

/// An error about a file of the caller's; `what` is such as "cannot write".
pub(crate) fn file_error(what: &str, path: &Path, source: io::Error) -> Error {
    Error::new(kind_of(&source), format!("{what} '{}'", path.display())).with_source(source)
}

/// Returns the first line of wrong settings.
fn headline(error: &SettingsError) -> String {
    match error.problems.len() {
        1 => "the settings have 1 problem".to_owned(),
        count => format!("the settings have {count} problems"),
    }
}

/// Returns the texts of all sources, outermost first, each once.
fn causes(error: &Error) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !said.contains(&text) {
            causes.push(text.clone());
            said = text;
        }
        source = cause.source();
    }
    causes
}

/// Returns what to do: the outermost advice.
fn help_of(error: &Error) -> Option<&str> {
    let mut source = error.source();
    let mut help = error.help();
    while let (None, Some(cause)) = (help, source) {
        help = cause.downcast_ref::<Error>().and_then(Error::help);
        source = cause.source();
    }
    help.or_else(|| usual_help(error.kind()))
}

/// Advice for errors that bring none.
fn usual_help(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::ProviderUnavailable | ErrorKind::Timeout | ErrorKind::RateLimited => {
            Some("try again later; `boards-storage doctor` shows what can be reached")
        }
        ErrorKind::InsufficientStorage => Some("make room, or store elsewhere"),
        ErrorKind::AccessDenied => Some("check the permissions and credentials of the provider"),
        ErrorKind::Corruption => Some("restore the artifact from a replica or a backup"),
        ErrorKind::OutcomeUnknown => {
            Some("look with `boards-storage info` whether it took effect before you repeat it")
        }
        ErrorKind::Configuration => {
            Some("`boards-storage config check` shows what is wrong with the settings")
        }
        ErrorKind::Unsupported => Some("`boards-storage providers -v` shows what each provider can do"),
        ErrorKind::Storage
        | ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::PreconditionFailed
        | ErrorKind::InvalidInput
        | ErrorKind::Rejected => None,
    }
}

/// Returns the exit code of a kind: one for each thing that the caller can do about it.
pub(crate) fn code_of(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Storage => 1,
        ErrorKind::NotFound => 3,
        ErrorKind::AlreadyExists | ErrorKind::PreconditionFailed => 4,
        ErrorKind::AccessDenied => 5,
        ErrorKind::InvalidInput => 6,
        ErrorKind::Configuration => 7,
        ErrorKind::ProviderUnavailable | ErrorKind::Timeout | ErrorKind::RateLimited => 8,
        ErrorKind::Corruption => 9,
        ErrorKind::Rejected => 10,
        ErrorKind::InsufficientStorage => 11,
        ErrorKind::Unsupported => 12,
        ErrorKind::OutcomeUnknown => 13,
    }
}

fn kind_of(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::AccessDenied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::InsufficientStorage,
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
            ErrorKind::InvalidInput
        }
        _ => ErrorKind::Storage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_documented_exit_code() {
        for kind in ErrorKind::ALL {
            let code = code_of(kind);
            assert!(
                EXIT_CODES
                    .lines()
                    .any(|line| line.trim_start().starts_with(&format!("{code}  "))),
                "{kind}"
            );
        }
    }

    #[test]
    fn an_error_is_told_with_its_causes_once_and_one_help() {
        let inner = Error::new(ErrorKind::Timeout, "it took too long")
            .with_help("wait\nmore")
            .with_source(io::Error::other("deep"));
        let outer = Error::new(ErrorKind::ProviderUnavailable, "asked in vain: deep").with_source(inner);
        let text = Failure::from(outer)
            .to_text(None, Style::plain())
            .expect("an error is told");
        assert_eq!(
            text,
            "error: asked in vain: deep\ncause: it took too long\ncause: deep\nhelp: wait\\nmore"
        );
    }

    #[test]
    fn a_closed_pipe_says_nothing() {
        let failure = Failure::standard_output(io::ErrorKind::BrokenPipe.into());
        assert_eq!(
            (failure.exit_code(), failure.to_text(None, Style::plain())),
            (141, None)
        );
        let failure = Failure::standard_output(io::ErrorKind::StorageFull.into());
        assert_eq!(failure.exit_code(), 11);
    }
}
