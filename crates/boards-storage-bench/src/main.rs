//! Side-by-side benchmarks of boards-storage and its peers.

mod contenders;
mod report;
mod rows;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};

use crate::contenders::Contender;
use crate::report::Format;
use crate::rows::{Row, Scale};

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
    /// The S3 provider, the AWS SDK, object_store's AmazonS3 and OpenDAL's S3, on one bucket.
    #[cfg(feature = "s3")]
    S3(S3Arguments),
}

/// What all benchmarks have.
#[derive(Args)]
struct Common {
    /// How many alternating rounds.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only rows whose name contains this text.
    #[arg(long)]
    only: Option<String>,
    /// Only contenders whose name contains this text, for profiling.
    #[arg(long)]
    contender: Option<String>,
    /// Write the tables as Markdown.
    #[arg(long)]
    markdown: bool,
}

#[derive(Args)]
struct LocalArguments {
    #[command(flatten)]
    common: Common,
    /// The folder to work in; a temporary one on /dev/shm by default.
    #[arg(long)]
    path: Option<PathBuf>,
    /// Sync every write to the disk, where the contender can.
    #[arg(long)]
    fsync: bool,
}

#[cfg(feature = "s3")]
#[derive(Args)]
struct S3Arguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    bucket: contenders::s3::Bucket,
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().subject {
        Subject::Local(arguments) => local(arguments).await,
        #[cfg(feature = "s3")]
        Subject::S3(arguments) => s3(arguments).await,
    };
    match outcome {
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
    let contenders = contenders::local::all(folder.path(), arguments.fsync).await?;
    let fsync = if arguments.fsync { "on" } else { "off" };
    let note = format!("fsync {fsync}. ");
    compare(contenders, Row::LOCAL, Scale::LOCAL, &arguments.common, &note).await
}

#[cfg(feature = "s3")]
async fn s3(arguments: S3Arguments) -> contenders::Result<()> {
    let contenders = contenders::s3::all(&arguments.bucket).await?;
    compare(contenders, Row::S3, Scale::S3, &arguments.common, "").await
}

/// Measures the chosen rows of the chosen contenders and prints the tables.
async fn compare(
    mut contenders: Vec<Arc<dyn Contender>>,
    rows: &[Row],
    scale: Scale,
    chosen: &Common,
    note: &str,
) -> contenders::Result<()> {
    let is_chosen =
        |text: &Option<String>, name: &str| text.as_ref().is_none_or(|text| name.contains(text.as_str()));
    contenders.retain(|contender| is_chosen(&chosen.contender, contender.name()));
    let mut measured = Vec::new();
    for row in rows.iter().filter(|row| is_chosen(&chosen.only, row.name())) {
        let turns = rows::measure(*row, scale, &contenders, chosen.rounds).await?;
        report::progress(*row, &contenders, &turns);
        measured.push((*row, turns));
    }
    let format = if chosen.markdown {
        Format::Markdown
    } else {
        Format::Plain
    };
    report::print(&contenders, &measured, format, note);
    Ok(())
}
