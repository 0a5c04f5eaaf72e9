//! Side-by-side benchmarks of boards-storage and its peers.

mod contenders;
mod report;
mod rows;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::rows::Row;

/// Measures boards-storage and its peers side by side.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Subcommand)]
enum Subject {
    /// The local provider, object_store's LocalFileSystem and OpenDAL's Fs.
    Local(LocalArguments),
}

#[derive(Args)]
struct LocalArguments {
    /// The folder to work in; a temporary one on /dev/shm by default.
    #[arg(long)]
    path: Option<PathBuf>,
    /// How many alternating rounds.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only rows whose name contains this text.
    #[arg(long)]
    only: Option<String>,
    /// Only contenders whose name contains this text, for profiling.
    #[arg(long)]
    contender: Option<String>,
    /// Sync every write to the disk, where the contender can.
    #[arg(long)]
    fsync: bool,
    /// Write the table as Markdown.
    #[arg(long)]
    markdown: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Subject::Local(arguments) = Arguments::parse().subject;
    match local(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "a program's own error")]
            {
                eprintln!("error: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn local(arguments: LocalArguments) -> contenders::Result<()> {
    let parent = arguments.path.unwrap_or_else(|| PathBuf::from("/dev/shm"));
    let folder = tempfile::Builder::new()
        .prefix("boards-storage-bench-")
        .tempdir_in(parent)?;
    let mut contenders = contenders::all(folder.path(), arguments.fsync).await?;
    if let Some(text) = &arguments.contender {
        contenders.retain(|contender| contender.name().contains(text.as_str()));
    }
    let rows = Row::ALL.iter().filter(|row| {
        arguments
            .only
            .as_ref()
            .is_none_or(|text| row.name().contains(text))
    });
    let mut measured = Vec::new();
    for row in rows {
        let rounds = rows::measure(*row, &contenders, arguments.rounds).await?;
        report::progress(*row, &contenders, &rounds);
        measured.push((*row, rounds));
    }
    report::table(&contenders, &measured, arguments.markdown, arguments.fsync);
    Ok(())
}
