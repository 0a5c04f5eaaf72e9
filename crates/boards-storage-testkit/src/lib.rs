//! How a provider of boards-storage is proven, and what tests above providers stand on.
//!
//! - [`MemoryProvider`]: a store in memory with every capability; it signs requests for an in-process
//!   [`SignedRequestExecutor`]. It registers itself as the provider type `memory`.
//! - [`conformance`]: the suite that a provider, ours or a third party's, must pass.
//! - [`catalog`]: the suite that a catalog must pass.
//! - [`Script`]: a layer that fails, stalls, delays or answers call by call, and records the calls.
//! - [`faults`]: any provider behind faults, by chance and repeatable by a seed, or on demand.
//! - [`Dice`]: random numbers that a seed repeats.
//! - [`ManualClock`]: a clock that a test moves.
//! - [`samples`]: small files of many formats, and hostile ones.
//! - [`CurlExecutor`]: a client that has nothing but a signed request.
//! - [`TestServer`]: where tests find the servers they talk to.
//! - `proxy::FaultProxy`, with the feature `proxy`: breaks connections to a server on purpose.
//! - `SupabaseDouble`, with the feature `supabase`: a working server that answers as Supabase Storage does.
//!
//! # Examples
//!
//! A provider's `tests/conformance.rs`, with `harness = false` in its `Cargo.toml`:
//!
//! ```no_run
//! use boards_storage_core::Capability;
//! use boards_storage_testkit::MemoryProvider;
//! use boards_storage_testkit::conformance::{self, Fixture, Suite};
//!
//! fn main() {
//!     let open = || Fixture::new(MemoryProvider::new());
//!     let suite = Suite::new("memory", move || {
//!         let fixture = open();
//!         Box::pin(async { Ok(fixture) })
//!     });
//!     conformance::run(suite.requires(&[Capability::Range, Capability::List]));
//! }
//! ```

mod audit;
pub mod catalog;
mod clock;
pub mod conformance;
mod curl;
mod dice;
mod executor;
pub mod faults;
mod late;
mod memory;
#[cfg(feature = "proxy")]
pub mod proxy;
mod run;
pub mod samples;
mod script;
mod server;
mod step;
#[cfg(feature = "supabase")]
mod supabase;

pub use audit::MemoryAudit;
pub use clock::ManualClock;
pub use curl::CurlExecutor;
pub use dice::Dice;
pub use executor::{SignedRequestExecutor, SignedResponse};
pub use late::LateListing;
pub use memory::{MemoryBuilder, MemoryProvider, MemorySettings};
pub use script::{Call, Script};
pub use server::TestServer;
pub use step::{KeyFault, Step};
#[cfg(feature = "supabase")]
pub use supabase::{SupabaseBackend, SupabaseDouble, SupabaseFault, SupabaseLocation, SupabaseOptions};
