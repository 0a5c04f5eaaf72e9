//! What the command line says: the options of every command, and how values are parsed.

use std::path::PathBuf;

use boards_storage::{
    ByteRange, Clock as _, Error, FriendlyDuration, SystemClock, TenantId, VariantName, VersionSelector,
};
use clap::{ArgAction, Args, Parser};
use jiff::Timestamp;

use crate::command::Command;
use crate::errors::EXIT_CODES;

/// Store, describe, list and fetch artifacts
///
/// Artifacts are images, videos, audio, texts, models, datasets and whatever else an application makes. Each has an
/// id, any number of variants ('original', 'thumbnail' …) and versions of them. Without settings everything is kept
/// in ./boards-storage-data; with a storage.yaml it goes where its rules say.
#[derive(Debug, Parser)]
#[command(name = "boards-storage", bin_name = "boards-storage", version)]
#[command(arg_required_else_help = true, max_term_width = 100)]
#[command(
    after_help = "`boards-storage help COMMAND` says more of a command; --help also lists the exit codes."
)]
#[command(after_long_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Read the settings from this file
    ///
    /// Without it: the file that BOARDS_STORAGE_CONFIG names, ./storage.yaml, boards-storage/storage.yaml in the
    /// user's configuration folder, or the built-in settings; the first that exists. Variables such as
    /// BOARDS_STORAGE__DEFAULT_PROVIDER override single fields of any of them.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Print results and errors as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Print only what a script needs
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,

    /// Log to the standard error; -vv says more, -vvv everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Show no progress bars
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,

    /// Colour the output
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true
    )]
    pub(crate) color: clap::ColorChoice,
}

/// Which variant and version of an artifact that is named by its id.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Selection {
    /// The tenant that the artifact id belongs to [default: default]
    #[arg(long, value_name = "TENANT", value_parser = parsed::<TenantId>)]
    pub(crate) tenant: Option<TenantId>,

    /// The variant, such as thumbnail [default: original]
    #[arg(long, value_name = "NAME", value_parser = parsed::<VariantName>)]
    pub(crate) variant: Option<VariantName>,

    /// The version, by number or id [default: the present one]
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub(crate) version: Option<VersionSelector>,
}

/// Parses a value by its own rules; the message says what to do.
pub(crate) fn parsed<T: std::str::FromStr<Err = Error>>(text: &str) -> Result<T, String> {
    told(text.parse())
}

/// Parses a version's number or id.
pub(crate) fn version(text: &str) -> Result<VersionSelector, String> {
    told(VersionSelector::parse(text))
}

/// Parses a byte range.
pub(crate) fn byte_range(text: &str) -> Result<ByteRange, String> {
    told(ByteRange::parse(text))
}

/// Parses how many things are done at a time.
pub(crate) fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=256) => Ok(count),
        Ok(_) | Err(_) => Err("it is not a number from 1 to 256".to_owned()),
    }
}

/// Parses `name=value`.
pub(crate) fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => {
            Err("it has no name before a '='; give NAME=VALUE, such as prompt='a lighthouse'".to_owned())
        }
    }
}

fn told<T>(result: Result<T, Error>) -> Result<T, String> {
    result.map_err(|error| match error.help() {
        Some(help) => format!("{}; {help}", error.message()),
        None => error.message().to_owned(),
    })
}

/// Parses a time: of day, a date in UTC, or how long ago.
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>() {
        let midnight = date.to_zoned_datetime(jiff::tz::TimeZone::UTC);
        return midnight
            .map(|time| time.timestamp())
            .map_err(|error| error.to_string());
    }
    let ago = FriendlyDuration::parse(text).map_err(|_error| {
        "it is no time; give a date such as 2026-11-30, a time such as 2026-11-30T12:00:00Z, or how long ago, such as 2h"
            .to_owned()
    })?;
    SystemClock
        .now()
        .checked_sub(ago.get())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_field_has_a_name_and_perhaps_a_value() {
        let field = |text| name_and_value(text).ok();
        let pair = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
        assert_eq!(field("a=b=c"), pair("a", "b=c"));
        assert_eq!(field("a="), pair("a", ""));
        assert_eq!((field("=b"), field("ab"), field("")), (None, None, None));
    }
}
