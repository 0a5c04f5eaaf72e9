//! What content must be: the contracts of validation and of malware scanning, and how content flows through both.
//!
//! Nothing here knows a format: a [`Validator`] does (`boards-storage-validation` has one), and a [`Scanner`] knows
//! malware. An [`Inspector`] joins them, on every way in.

mod inline;
mod inspect;
mod scan;
mod tee;
mod verdict;

pub use inline::{Disposition, InlinePolicy};
pub(crate) use inline::{default_patterns as default_inline_patterns, is_active as is_active_type};
pub use inspect::{Inspected, InspectedStream, Inspector};
pub use scan::{ScanFailure, ScanMode, ScanOutcome, ScanPolicy, Scanner, SharedScanner};
pub use verdict::{
    ContentCheck, ContentFacts, ContentVerdict, Findings, Reason, ReasonKind, RefusedContent,
    SharedValidator, Validation, Validator,
};

/// How many bytes of the beginning are looked at before anything is stored: 64 KiB.
pub const HEAD_SIZE_BYTES: usize = 64 * 1024;
