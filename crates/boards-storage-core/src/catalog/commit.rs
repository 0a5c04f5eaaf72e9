//! What all catalogs do alike: the facts that an artifact's variants share, the record of a commit, and the words of
//! a refusal.

use jiff::Timestamp;

use crate::catalog::{ArtifactRecord, Intent, NewIntent, Replica, StoredObject};
use crate::error::{Error, ErrorKind, Result};
use crate::key::StorageKey;
use crate::options::AccessClass;
use crate::scope::{ArtifactId, ArtifactType, BoardId, VersionId};

/// What all variants of an artifact share. It binds them as long as one of its versions is not deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactFacts {
    /// The artifact's type.
    pub artifact_type: ArtifactType,
    /// The artifact's board.
    pub board: Option<BoardId>,
    /// How the artifact may be reached.
    pub access: AccessClass,
}

impl ArtifactFacts {
    /// Returns what a writer says of its artifact.
    #[must_use]
    pub fn of(intent: &NewIntent) -> Self {
        Self {
            artifact_type: intent.artifact_type.clone(),
            board: intent.board.clone(),
            access: intent.access,
        }
    }

    /// Checks what a writer says against these, which are known of the artifact.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if they differ.
    pub fn check(&self, artifact: &ArtifactId, said: &Self) -> Result<()> {
        if self == said {
            return Ok(());
        }
        Err(Error::invalid_input(format!(
            "the artifact '{artifact}' exists as {}, and is now called {}",
            self.describe(),
            said.describe()
        ))
        .with_help(
            "give the same type, board and access class for all variants of an artifact; a deleted one that can be \
             restored counts, too",
        ))
    }

    fn describe(&self) -> String {
        let board = self
            .board
            .as_ref()
            .map_or_else(|| "no board".to_owned(), |board| format!("board '{board}'"));
        format!("{} {} of {board}", self.access, self.artifact_type)
    }
}

impl ArtifactRecord {
    /// Returns the record that the commit of an intent writes.
    #[must_use]
    pub fn committed(
        intent: &Intent,
        facts: &ArtifactFacts,
        number: u64,
        object: &StoredObject,
        at: Timestamp,
    ) -> Self {
        let replica = Replica {
            provider: intent.provider.clone(),
            key: intent.key.clone(),
            etag: object.etag.clone(),
            store_version: object.store_version.clone(),
            checksum: object.checksum.clone(),
            verified_at: None,
        };
        Self {
            variant: intent.variant.clone(),
            artifact_type: facts.artifact_type.clone(),
            board: facts.board.clone(),
            access: facts.access,
            version: intent.version,
            number,
            is_current: true,
            size_bytes: object.size_bytes,
            attributes: object.attributes.clone(),
            digest: object.digest,
            digest_state: object.digest_state,
            created_at: at,
            home: intent.home.clone(),
            replicas: vec![replica],
        }
    }
}

impl Intent {
    /// The error of a writer whose intent is no longer its own.
    #[must_use]
    pub fn lost(version: VersionId) -> Error {
        Error::new(
            ErrorKind::PreconditionFailed,
            format!("the write {version} lost its lease: another writer or the cleanup took over"),
        )
        .with_help("store the artifact again")
    }

    /// The error of a writer that was not to overwrite and came second.
    #[must_use]
    pub fn came_second() -> Error {
        Error::new(
            ErrorKind::AlreadyExists,
            "another version was committed meanwhile",
        )
    }

    /// The error of a diversion to another variant or another artifact.
    #[must_use]
    pub fn other_variant(version: VersionId) -> Error {
        Error::invalid_input(format!(
            "the write {version} is of another variant, or says otherwise whether it is to overwrite"
        ))
        .with_help("divert a write to another provider only")
    }

    /// The error of a begin that repeats another's version id or versioned key.
    #[must_use]
    pub fn repeated(version: VersionId, versioned_key: &StorageKey) -> Error {
        Error::invalid_input(format!("the version id {version} or its key was used before"))
            .with_key(versioned_key)
            .with_help("begin each write with a fresh version id")
    }
}
