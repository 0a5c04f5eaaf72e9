//! What a test needs of a provider or of its fixture, and whether it is there.

use boards_storage_core::{Capabilities, Capability, OperationKind, PartOrder, PreconditionKind};

use super::fixture::Fixture;

/// One thing without which a test makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Has(Capability),
    Lacks(Capability),
    Decides(OperationKind, PreconditionKind),
    CannotDecide(OperationKind, PreconditionKind),
    /// A client for signed requests.
    Executor,
    /// A second handle of the same store.
    Second,
    /// A way to damage stored bytes.
    Damage,
    /// Whether `a` and `a/b` exclude each other.
    FileOrFolder,
    FilesAndFolders,
    /// The store takes only some characters in keys.
    LimitedCharacters,
    /// The store limits the segments of keys.
    LimitedSegments,
    PartsInAnyOrder,
    PartsInSequence,
    /// Parts other than the last have a least size.
    LeastPartSize,
    EqualParts,
    /// A part that is sent again may have other bytes, or may not.
    OtherBytesAgain,
    SameBytesAgain,
    /// A limit of `delete_many`.
    DeleteManyMax,
    /// Signed uploads whose life can be chosen, or a clock that passes a life that cannot.
    ExpiringUploads,
}

/// What decides whether needs are met.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) capabilities: Capabilities,
    has_executor: bool,
    has_second: bool,
    has_damage: bool,
    has_clock: bool,
}

impl Facts {
    pub(crate) fn of(fixture: &Fixture) -> Self {
        Self {
            capabilities: fixture.provider.capabilities().clone(),
            has_executor: fixture.executor.is_some(),
            has_second: fixture.second.is_some(),
            has_damage: fixture.damage.is_some(),
            has_clock: fixture.pass_time.is_some(),
        }
    }
}

impl Need {
    pub(crate) fn is_met(self, facts: &Facts) -> bool {
        let capabilities = &facts.capabilities;
        let rules = capabilities.part_rules;
        match self {
            Self::Has(capability) => capabilities.has(capability),
            Self::Lacks(capability) => !capabilities.has(capability),
            Self::Decides(operation, kind) => capabilities.has_precondition(operation, kind),
            Self::CannotDecide(operation, kind) => !capabilities.has_precondition(operation, kind),
            Self::Executor => facts.has_executor,
            Self::Second => facts.has_second,
            Self::Damage => facts.has_damage,
            Self::FileOrFolder => capabilities.key_rules.file_or_folder,
            Self::FilesAndFolders => !capabilities.key_rules.file_or_folder,
            Self::LimitedCharacters => capabilities.key_rules.characters.is_some(),
            Self::LimitedSegments => capabilities.key_rules.segment_bytes_max.is_some(),
            Self::PartsInAnyOrder => rules.is_some_and(|rules| rules.order == PartOrder::Any),
            Self::PartsInSequence => rules.is_some_and(|rules| rules.order == PartOrder::Sequential),
            Self::LeastPartSize => rules.is_some_and(|rules| rules.size_bytes_min > 1),
            Self::EqualParts => rules.is_some_and(|rules| rules.equal_size),
            Self::OtherBytesAgain => rules.is_some_and(|rules| !rules.same_bytes_again),
            Self::SameBytesAgain => rules.is_some_and(|rules| rules.same_bytes_again),
            Self::DeleteManyMax => capabilities.delete_many_max.is_some(),
            Self::ExpiringUploads => facts.has_clock || capabilities.presigned_upload_life.is_none(),
        }
    }

    /// Returns the row of the report in which a test with this need counts: all refusals of what is not declared
    /// share one.
    pub(crate) fn row(self) -> String {
        match self {
            Self::Lacks(_) | Self::CannotDecide(..) => "(what is not declared is refused)".to_owned(),
            other => other.label(),
        }
    }

    /// Says what is needed, in a few words.
    pub(crate) fn label(self) -> String {
        match self {
            Self::Has(capability) => capability.name().to_owned(),
            Self::Lacks(capability) => format!("no {capability}"),
            Self::Decides(operation, kind) => precondition_name(operation, kind),
            Self::CannotDecide(operation, kind) => format!("no {}", precondition_name(operation, kind)),
            Self::Executor => "an executor of signed requests".to_owned(),
            Self::Second => "a second handle".to_owned(),
            Self::Damage => "a way to damage bytes".to_owned(),
            Self::FileOrFolder => "file_or_folder keys".to_owned(),
            Self::FilesAndFolders => "no file_or_folder keys".to_owned(),
            Self::LimitedCharacters => "limited characters in keys".to_owned(),
            Self::LimitedSegments => "limited segments in keys".to_owned(),
            Self::PartsInAnyOrder => "parts in any order".to_owned(),
            Self::PartsInSequence => "parts in sequence".to_owned(),
            Self::LeastPartSize => "a least part size".to_owned(),
            Self::EqualParts => "parts of equal size".to_owned(),
            Self::OtherBytesAgain => "parts that can be replaced".to_owned(),
            Self::SameBytesAgain => "parts that cannot be replaced".to_owned(),
            Self::DeleteManyMax => "a limit of delete_many".to_owned(),
            Self::ExpiringUploads => "a clock that passes the life of signed uploads".to_owned(),
        }
    }
}

/// Returns a name such as `upload_if_absent`.
pub(crate) fn precondition_name(operation: OperationKind, kind: PreconditionKind) -> String {
    let kind = match kind {
        PreconditionKind::IfAbsent => "if_absent",
        PreconditionKind::IfMatch => "if_match",
    };
    format!("{operation}_{kind}")
}
