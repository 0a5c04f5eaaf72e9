//! The named points at which a crash test can stop the catalog.

use boards_storage_core::Result;

pub(crate) const BEGIN_COMMITTED: &str = "catalog::begin::committed";
pub(crate) const DIVERT_BEFORE: &str = "catalog::divert::before";
pub(crate) const DIVERT_AFTER: &str = "catalog::divert::after";
pub(crate) const COMMIT_BEFORE: &str = "catalog::commit::before";
pub(crate) const COMMIT_AFTER: &str = "catalog::commit::after";
pub(crate) const ABANDON_BEFORE: &str = "catalog::abandon::before";
pub(crate) const REAP_AFTER: &str = "catalog::reap::after";
pub(crate) const TOMBSTONE_BEFORE: &str = "catalog::tombstone::before";
pub(crate) const TOMBSTONE_AFTER: &str = "catalog::tombstone::after";
pub(crate) const PURGE_BEFORE: &str = "catalog::purge::before";

/// The failpoints of the catalog, for tests that end the process at each of them.
///
/// `before` is reached when nothing is written yet, `after` and `committed` when the transaction is durable and the
/// caller does not know it. The action `return` makes the call fail there.
///
/// # Examples
///
/// ```
/// assert!(boards_storage_catalog::FAILPOINTS.contains(&"catalog::commit::after"));
/// ```
#[cfg(feature = "failpoints")]
pub const FAILPOINTS: &[&str] = &[
    BEGIN_COMMITTED,
    DIVERT_BEFORE,
    DIVERT_AFTER,
    COMMIT_BEFORE,
    COMMIT_AFTER,
    ABANDON_BEFORE,
    REAP_AFTER,
    TOMBSTONE_BEFORE,
    TOMBSTONE_AFTER,
    PURGE_BEFORE,
];

/// Does what a test asked for at this point; without the feature `failpoints`, nothing.
#[cfg_attr(
    not(feature = "failpoints"),
    expect(
        unused_variables,
        clippy::unnecessary_wraps,
        reason = "nothing happens here without the feature"
    )
)]
pub(crate) fn reach(name: &'static str) -> Result<()> {
    #[cfg(feature = "failpoints")]
    fail::fail_point!(name, |_| Err(boards_storage_core::Error::new(
        boards_storage_core::ErrorKind::OutcomeUnknown,
        format!("the failpoint {name} was told to fail"),
    )));
    Ok(())
}
