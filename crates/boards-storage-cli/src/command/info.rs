//! `info`: all that is known of an artifact.

use boards_storage::{ArtifactMetadata, CallContext};
use clap::Args;

use crate::address::Address;
use crate::arguments::{Selection, parsed};
use crate::errors::Result;
use crate::output::{human_size, write_pairs};
use crate::session::Session;
use crate::settings;

/// Show all that is known of an artifact
///
/// The record, and what the store that holds the bytes says of them now.
#[derive(Debug, Args)]
pub(crate) struct Info {
    /// An artifact id, a storage key or a boards-storage:// URL
    #[arg(value_name = "ID|KEY", value_parser = parsed::<Address>)]
    address: Address,

    #[command(flatten)]
    selection: Selection,
}

impl Info {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let storage = settings::open(session).await?;
        let reference = self.address.find(&storage, &self.selection).await?;
        let metadata = storage
            .artifact_metadata(&reference, &CallContext::default())
            .await?;
        storage.close().await?;
        if session.output.json {
            return session.output.json(&metadata);
        }
        write_pairs(&mut session.output, &pairs(&metadata))
    }
}

fn pairs(metadata: &ArtifactMetadata) -> Vec<(&str, String)> {
    let reference = &metadata.reference;
    let attributes = &metadata.attributes;
    let mut pairs = vec![
        ("artifact", reference.artifact_id.to_string()),
        ("variant", reference.variant.to_string()),
        (
            "version",
            format!("{} ({})", reference.version, reference.version_id),
        ),
        ("type", reference.artifact_type.to_string()),
        ("tenant", reference.tenant_id.to_string()),
    ];
    pairs.extend(
        reference
            .board_id
            .as_ref()
            .map(|board| ("board", board.to_string())),
    );
    pairs.extend([
        ("access", reference.access.to_string()),
        ("content type", reference.content_type.to_string()),
        (
            "size",
            format!("{} ({} bytes)", human_size(reference.size), reference.size),
        ),
        ("digest", reference.digest.to_string()),
        ("created", reference.created_at.to_string()),
        ("provider", reference.storage_provider.clone()),
    ]);
    let home = reference.home_provider.as_ref();
    pairs.extend(home.map(|home| ("home", format!("{home}: a fallback holds it"))));
    pairs.extend([
        ("key", reference.storage_key.to_string()),
        ("url", reference.storage_url.clone()),
    ]);
    let served = [
        ("disposition", &attributes.content_disposition),
        ("encoding", &attributes.content_encoding),
        ("language", &attributes.content_language),
        ("cache control", &attributes.cache_control),
    ];
    pairs.extend(
        served
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?))),
    );
    let object = &metadata.object;
    pairs.extend(
        object
            .checksum
            .as_ref()
            .map(|checksum| ("checksum", checksum.to_string())),
    );
    pairs.extend(object.etag.as_ref().map(|etag| ("etag", etag.to_string())));
    pairs.extend(object.modified.map(|modified| ("modified", modified.to_string())));
    pairs.extend(
        attributes
            .user_metadata
            .iter()
            .map(|(name, value)| ("meta", format!("{name}={value}"))),
    );
    pairs
}
