//! The conformance suite: how a provider is proven.
//!
//! A provider's crate has one test without the standard harness, which names a function that opens a fresh
//! [`Fixture`], and *pins* the capabilities that the provider must have:
//!
//! ```toml
//! [[test]]
//! name = "conformance"
//! harness = false
//! ```
//!
//! ```no_run
//! use boards_storage_core::{Capability, OperationKind, PreconditionKind};
//! use boards_storage_testkit::MemoryProvider;
//! use boards_storage_testkit::conformance::{self, Fixture, Suite};
//!
//! fn main() {
//!     let suite = Suite::new("memory", || Box::pin(async { Ok(Fixture::new(MemoryProvider::new())) }))
//!         .requires(&[Capability::Range, Capability::List])
//!         .requires_precondition(OperationKind::Upload, PreconditionKind::IfAbsent);
//!     conformance::run(suite);
//! }
//! ```
//!
//! What the provider does not declare is not tested but for its refusal: every undeclared capability, attribute and
//! precondition must answer `Unsupported` and change nothing. A test that cannot run is listed as ignored, with what
//! it needs in brackets; a pinned capability that is missing is a failure. At the end a table says what was
//! passed, failed and skipped by capability.

mod case;
mod fixture;
mod need;
mod suite;

mod access;
mod atomicity;
mod cancellation;
mod conditional;
mod copy;
mod delete;
mod download;
mod info;
mod keys;
mod list;
mod metadata;
mod multipart;
mod negative;
mod preconditions;
mod presign;
mod range;
mod set_metadata;
mod upload;
mod versions;

pub use fixture::{Fixture, FixtureFactory};
pub use suite::{Suite, names, run, run_all};

use boards_storage_core::{BoxFuture, Result};

use case::Case;
use need::Need;

/// One named check.
#[derive(Debug)]
pub(crate) struct Test {
    name: &'static str,
    needs: &'static [Need],
    run: fn(Case) -> BoxFuture<'static, Result<()>>,
}

/// All tests, in the order of a provider's methods.
const TESTS: &[&[Test]] = &[
    info::TESTS,
    upload::TESTS,
    download::TESTS,
    range::TESTS,
    conditional::TESTS,
    versions::TESTS,
    metadata::TESTS,
    keys::TESTS,
    delete::TESTS,
    list::TESTS,
    copy::TESTS,
    set_metadata::TESTS,
    access::TESTS,
    multipart::TESTS,
    presign::TESTS,
    preconditions::TESTS,
    atomicity::TESTS,
    cancellation::TESTS,
    negative::TESTS,
];

/// Makes the table `TESTS` of a file: the needs of the whole file, then each function with its own needs.
macro_rules! conformance_tests {
    ($group:literal needs $all:tt { $( $name:ident $needs:tt )* }) => {
        pub(super) const TESTS: &[super::Test] = &[ $(
            super::Test {
                name: concat!($group, "::", stringify!($name)),
                needs: super::conformance_tests!(@join $all $needs),
                run: |case| Box::pin($name(case)),
            },
        )* ];
    };
    (@join [$($all:expr),*] [$($needs:expr),*]) => { &[$($all,)* $($needs,)*] };
}
use conformance_tests;
