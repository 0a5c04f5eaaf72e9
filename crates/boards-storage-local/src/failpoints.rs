//! Named points at which a crash test can stop the program. Without the feature `failpoints` they are nothing.

/// Every failpoint, in the order in which a put, a delete and an upload in parts pass them.
#[cfg(feature = "failpoints")]
pub const FAILPOINTS: &[&str] = &[
    "local::put::staged",
    "local::put::write",
    "local::put::written",
    "local::put::noted",
    "local::put::described",
    "local::put::synced",
    "local::put::undecided",
    "local::put::locked",
    "local::put::decided",
    "local::put::renamed",
    "local::put::unlocked",
    "local::put::folders-synced",
    "local::put::swept",
    "local::delete::locked",
    "local::delete::unlinked",
    "local::delete::pruned",
    "local::delete::synced",
    "local::delete::swept",
    "local::part::written",
    "local::part::renamed",
    "local::complete::joined",
    "local::complete::committed",
    "local::complete::removed",
];

/// Marks a point that a crash test can stop at. With a second argument, a `return` action there makes the function
/// return what the closure makes of the action's text.
macro_rules! failpoint {
    ($name:expr) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name);
    };
    ($name:expr, $on_return:expr) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name, $on_return);
    };
}
