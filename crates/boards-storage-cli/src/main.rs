//! The program `boards-storage`: the only place that prints and reads the environment.
//!
//! `main` parses the command line, runs one command until it ends or is interrupted, and tells the outcome.

mod address;
mod arguments;
mod command;
mod errors;
#[cfg(feature = "failpoints")]
mod failpoints;
mod kept;
mod output;
mod progress;
mod session;
mod settings;
mod sources;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::error::ErrorKind as UsageKind;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::arguments::{Cli, Global};
use crate::errors::{Failure, USAGE, tell_usage_as_json};
use crate::output::Style;
use crate::session::Session;

/// How long an interrupted command may take to clean up. A read of a terminal or pipe that never answers is left.
const CLEANUP_TIME: Duration = Duration::from_millis(500);

/// How long the audit log may take to record what was under way when the command ended.
const AUDIT_TIME: Duration = Duration::from_secs(5);

/// Two threads suffice to read, hash and write at once.
const WORKERS: usize = 2;

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    let _failpoints = failpoints::begin();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return tell_usage(&error),
    };
    let global = cli.global.clone();
    begin_logging(&global);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(source) => {
            let failure = Failure::file("cannot start threads for", "boards-storage".as_ref(), source);
            return end(&failure, &global);
        }
    };
    let mut session = Session::new(&global);
    let result = runtime.block_on(async {
        tokio::select! {
            biased;
            code = interruption() => Err(Failure::Told(code)),
            result = Box::pin(cli.command.run(&mut session)) => result,
        }
    });
    let result = result.and(session.output.flush());
    // Also of what was interrupted.
    let closing = runtime.block_on(async { tokio::time::timeout(AUDIT_TIME, session.close_trail()).await });
    let result = result.and(closing.unwrap_or(Ok(())));
    runtime.shutdown_timeout(CLEANUP_TIME);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => end(&failure, &global),
    }
}

fn end(failure: &Failure, global: &Global) -> ExitCode {
    failure.tell(
        None,
        global.json,
        Style::of(global.color, std::io::stderr().is_terminal()),
    );
    ExitCode::from(failure.exit_code())
}

/// Answers the exit code of the signal that ends the program.
async fn interruption() -> u8 {
    const INTERRUPTED: u8 = 130;
    const TERMINATED: u8 = 143;
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<Option<()>>();
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => match interrupted {
            Ok(()) => INTERRUPTED,
            Err(_) => std::future::pending().await,
        },
        _ = terminated => TERMINATED,
    }
}

/// Tells what is wrong with the command line, or the help that was asked for.
fn tell_usage(error: &clap::Error) -> ExitCode {
    let is_asked_for = matches!(error.kind(), UsageKind::DisplayHelp | UsageKind::DisplayVersion);
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    if wants_json && !is_asked_for {
        // The first line says what is wrong; the rest shows the usage.
        let text = error.to_string();
        let (message, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
        let message = message.trim_start_matches("error: ").trim();
        let usage = rest
            .lines()
            .find_map(|line| line.strip_prefix("Usage: "))
            .map(|usage| format!("usage: {usage}"));
        tell_usage_as_json(message, usage.as_deref());
        return ExitCode::from(USAGE);
    }
    // A closed pipe is all that can go wrong here, and nobody would hear of it.
    let _ = error.print();
    if is_asked_for {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(USAGE)
    }
}

/// Logs to the standard error as far as `-v` asks for it.
fn begin_logging(global: &Global) {
    let filter = match global.verbose {
        0 => return,
        1 => "boards_storage=info",
        2 => "boards_storage=debug",
        _ => "trace",
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
