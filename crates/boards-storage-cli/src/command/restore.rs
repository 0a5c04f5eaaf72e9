//! `restore`: takes deletions back.

use boards_storage::{ArtifactId, ArtifactReference, CallContext, StorageManager};
use clap::Args;

use crate::address::locator;
use crate::arguments::{Selection, parsed};
use crate::errors::{Failure, Result};
use crate::output::escape;
use crate::session::Session;
use crate::settings;

/// Take the last deletion of an artifact back
///
/// An id alone restores what the artifact's last deletion deleted; with --variant that of the variant, with --version
/// that version. What earlier deletions deleted stays deleted: run it again. `boards-storage deleted` shows what can be
/// restored, and until when.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  boards-storage restore artifact_456
  boards-storage deleted --quiet | sort -u | xargs boards-storage restore")]
pub(crate) struct Restore {
    /// Artifact ids
    #[arg(required = true, value_name = "ID", value_parser = parsed::<ArtifactId>)]
    artifacts: Vec<ArtifactId>,

    #[command(flatten)]
    selection: Selection,
}

impl Restore {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let storage = settings::open(session).await?;
        let mut restored = Vec::new();
        let mut first_failure = None;
        for artifact in &self.artifacts {
            match self.restore(&storage, artifact).await {
                Ok(references) if session.output.json => restored.extend(references),
                Ok(references) => session.output.note(&escape(&told(artifact, &references)))?,
                Err(failure) if self.artifacts.len() == 1 => return Err(failure),
                Err(failure) => {
                    session.tell(artifact.as_str(), &failure)?;
                    first_failure = first_failure.or(Some(failure.exit_code()));
                }
            }
        }
        if session.output.json {
            session.output.json(&restored)?;
        }
        storage.close().await?;
        first_failure.map_or(Ok(()), |code| Err(Failure::Told(code)))
    }

    async fn restore(
        &self,
        storage: &StorageManager,
        artifact: &ArtifactId,
    ) -> Result<Vec<ArtifactReference>> {
        let context = CallContext::default();
        let locator = locator(artifact, &self.selection);
        let is_whole = self.selection.variant.is_none() && self.selection.version.is_none();
        let restored = if is_whole {
            storage
                .restore_artifact(&locator.tenant, artifact, &context)
                .await
        } else {
            storage.restore_variant(locator, &context).await
        };
        Ok(restored?)
    }
}

fn told(artifact: &ArtifactId, restored: &[ArtifactReference]) -> String {
    match restored.len() {
        1 => format!("restored {artifact} (1 version)"),
        count => format!("restored {artifact} ({count} versions)"),
    }
}
