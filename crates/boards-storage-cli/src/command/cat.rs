//! `cat`: writes an artifact's bytes to the standard output.

use boards_storage::{ByteRange, OpenOptions};
use clap::Args;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use crate::address::Address;
use crate::arguments::{Selection, byte_range, parsed};
use crate::errors::{Failure, Result};
use crate::session::Session;
use crate::settings;

/// Write an artifact's bytes to the standard output
///
/// The bytes are checked against the digest while they flow. If they are wrong, the last of them are withheld and
/// the exit code is 9. --json changes only how an error is told.
#[derive(Debug, Args)]
pub(crate) struct Cat {
    /// An artifact id, a storage key or a boards-storage:// URL
    #[arg(value_name = "ID|KEY", value_parser = parsed::<Address>)]
    address: Address,

    /// Only these bytes: FIRST-LAST (both included, from 0), FIRST- or -COUNT
    #[arg(long, value_name = "RANGE", value_parser = byte_range, allow_hyphen_values = true)]
    range: Option<ByteRange>,

    #[command(flatten)]
    selection: Selection,
}

impl Cat {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let storage = settings::open(session).await?;
        let reference = self.address.find(&storage, &self.selection).await?;
        let mut options = OpenOptions::default();
        options.range = self.range;
        let download = storage.open_artifact(&reference, &options).await?;
        let mut stdout = tokio::io::stdout();
        // A bar on the terminal that shows the bytes would be in their way.
        let bar = (!session.output.is_terminal).then(|| {
            session
                .progress
                .begin(reference.artifact_id.as_str(), Some(download.length()))
        });
        let download = match bar.as_ref().filter(|bar| bar.is_shown()) {
            Some(bar) => download.with_progress(bar.mover()),
            None => download,
        };
        let mut stream = download.into_stream();
        while let Some(piece) = stream.next().await {
            stdout
                .write_all(&piece?)
                .await
                .map_err(Failure::standard_output)?;
        }
        stdout.flush().await.map_err(Failure::standard_output)?;
        storage.close().await?;
        Ok(())
    }
}
