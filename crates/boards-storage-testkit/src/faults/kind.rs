//! The kinds of faults, and which operations they can happen to.

use std::fmt;

use boards_storage_core::OperationKind;

/// What can go wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultKind {
    /// It fails before anything reaches the store.
    ErrorBefore,
    /// It fails after the store has done it: the answer is lost.
    ErrorAfter,
    /// It is refused with `RateLimited`, half the time with a wait that the store asks for.
    Throttle,
    /// It takes a while.
    Delay,
    /// It never answers, and nothing reaches the store.
    Stall,
    /// It never answers, but the store has done it.
    StallAfter,
    /// It fails when a part of its content has been read.
    BreakUpload,
    /// The stream that it returns fails somewhere.
    BreakStream,
    /// The stream that it returns stands still somewhere, for ever.
    StallStream,
    /// Some keys of a `delete_many` fail, each before or after the store has done it.
    SomeKeys,
    /// The stream that it returns ends somewhere as if it were whole.
    Truncate,
    /// One bit of the bytes is wrong.
    WrongBytes,
    /// The answer claims a size that is not the true one.
    WrongLength,
    /// A listing does not show the latest writes, or still shows what was deleted last.
    LateListing,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::ErrorBefore,
        Self::ErrorAfter,
        Self::Throttle,
        Self::Delay,
        Self::Stall,
        Self::StallAfter,
        Self::BreakUpload,
        Self::BreakStream,
        Self::StallStream,
        Self::SomeKeys,
        Self::Truncate,
        Self::WrongBytes,
        Self::WrongLength,
        Self::LateListing,
    ];

    /// Returns the kind's name, such as `error_before`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ErrorBefore => "error_before",
            Self::ErrorAfter => "error_after",
            Self::Throttle => "throttle",
            Self::Delay => "delay",
            Self::Stall => "stall",
            Self::StallAfter => "stall_after",
            Self::BreakUpload => "break_upload",
            Self::BreakStream => "break_stream",
            Self::StallStream => "stall_stream",
            Self::SomeKeys => "some_keys",
            Self::Truncate => "truncate",
            Self::WrongBytes => "wrong_bytes",
            Self::WrongLength => "wrong_length",
            Self::LateListing => "late_listing",
        }
    }

    /// Returns whether a store that keeps its promises may do this.
    #[must_use]
    pub fn is_honest(self) -> bool {
        match self {
            Self::ErrorBefore
            | Self::ErrorAfter
            | Self::Throttle
            | Self::Delay
            | Self::Stall
            | Self::StallAfter
            | Self::BreakUpload
            | Self::BreakStream
            | Self::StallStream
            | Self::SomeKeys => true,
            Self::Truncate | Self::WrongBytes | Self::WrongLength | Self::LateListing => false,
        }
    }

    /// Returns whether it can happen to an operation of this kind.
    #[must_use]
    pub fn applies_to(self, operation: OperationKind) -> bool {
        let returns_stream = matches!(operation, OperationKind::Download | OperationKind::List);
        match self {
            Self::ErrorBefore
            | Self::ErrorAfter
            | Self::Throttle
            | Self::Delay
            | Self::Stall
            | Self::StallAfter => true,
            Self::BreakUpload => matches!(operation, OperationKind::Upload | OperationKind::UploadPart),
            Self::BreakStream | Self::StallStream | Self::Truncate => returns_stream,
            Self::SomeKeys => operation == OperationKind::DeleteMany,
            Self::WrongBytes => operation == OperationKind::Download,
            Self::WrongLength => matches!(
                operation,
                OperationKind::Upload
                    | OperationKind::Download
                    | OperationKind::Metadata
                    | OperationKind::Copy
                    | OperationKind::SetMetadata
                    | OperationKind::UploadPart
                    | OperationKind::CompleteUpload
            ),
            Self::LateListing => operation == OperationKind::List,
        }
    }

    /// How often an honest fault happens beside the others of [`FaultProfile::honest`](super::FaultProfile::honest).
    pub(super) fn weight(self) -> f64 {
        match self {
            Self::ErrorBefore => 6.0,
            Self::ErrorAfter => 5.0,
            Self::Throttle | Self::Delay => 3.0,
            Self::BreakUpload | Self::BreakStream | Self::SomeKeys => 5.0,
            Self::Stall | Self::StallAfter | Self::StallStream => 1.0,
            Self::Truncate | Self::WrongBytes | Self::WrongLength | Self::LateListing => 0.0,
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
