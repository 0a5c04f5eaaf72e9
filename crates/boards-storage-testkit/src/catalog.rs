//! The conformance suite of catalogs: how a [`Catalog`](boards_storage_core::Catalog) is proven.
//!
//! A catalog's crate has one test without the standard harness, which names a function that opens a fresh, empty
//! [`Fixture`] for each test:
//!
//! ```toml
//! [[test]]
//! name = "conformance"
//! harness = false
//! ```
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use boards_storage_core::MemoryCatalog;
//! use boards_storage_testkit::catalog::{self, Fixture};
//!
//! fn main() {
//!     catalog::run("memory", || Box::pin(async { Ok(Fixture::new(Arc::new(MemoryCatalog::default()))) }));
//! }
//! ```
//!
//! Every promise of the trait's documentation has a test here, among them those that only show in races and when calls
//! are cancelled. What only a durable catalog promises (it is there after a crash) is tested by its own crate.

mod case;
mod fixture;
mod suite;

mod audit;
mod begin;
mod cancellation;
mod commit;
mod delete;
mod divert;
mod events;
mod find;
mod keys;
mod list;
mod quota;
mod race;
mod reap;
mod restore;
mod utilization;

pub use fixture::{Fixture, FixtureFactory};
pub use suite::{names, run, trials};

use boards_storage_core::{BoxFuture, Result};

use case::Case;

/// One named check.
#[derive(Debug)]
pub(crate) struct Test {
    name: &'static str,
    run: fn(Case) -> BoxFuture<'static, Result<()>>,
}

/// All tests, in the order of an artifact's life.
const TESTS: &[&[Test]] = &[
    begin::TESTS,
    divert::TESTS,
    commit::TESTS,
    keys::TESTS,
    find::TESTS,
    list::TESTS,
    delete::TESTS,
    restore::TESTS,
    quota::TESTS,
    reap::TESTS,
    utilization::TESTS,
    events::TESTS,
    race::TESTS,
    cancellation::TESTS,
    audit::TESTS,
];

/// Makes the table `TESTS` of a file.
macro_rules! catalog_tests {
    ($group:literal { $( $name:ident )* }) => {
        pub(super) const TESTS: &[super::Test] = &[ $(
            super::Test { name: concat!($group, "::", stringify!($name)), run: |case| Box::pin($name(case)) },
        )* ];
    };
}
use catalog_tests;
