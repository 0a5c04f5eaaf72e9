//! The fault provider: a store that fails by chance, always the same way for the same seed, or on demand.
//!
//! [`Faults::over`] puts it around any provider, and what it returns is itself a provider: every operation can fail,
//! and so can the streams that it reads and returns. What happens how often is a [`FaultProfile`]; what happens to
//! the next call of a kind can be said by a [`Step`](crate::Step), as to a [`Script`](crate::Script). What was done is
//! told by [`Faults::injected`] and [`Faults::counts`].
//!
//! # Honest and other faults
//!
//! A store that keeps every promise of [`StorageProvider`](boards_storage_core::StorageProvider) still refuses,
//! delays, breaks off and loses answers: these faults are [honest](FaultKind::is_honest), and whoever stands above a
//! provider must bear all of them. Truncated streams, wrong bytes, wrong lengths and late listings break the
//! contract. They are for those who want to see who notices: the stack that a download was cut, the manager's digest
//! that bytes are wrong. A profile that flips bits takes `VerifiedRead` away from the capabilities, since nobody
//! could keep that promise. A cut or late listing can be noticed by nobody.
//!
//! # Same seed, same run
//!
//! Each call that comes draws from one generator, in the order in which calls come, and nothing else does. So a run
//! repeats exactly if the calls come in the same order: on a runtime of one thread, in paused time, with the jitter
//! of the retry layer seeded (`fastrand::seed`), and with a provider that does not itself wait for the outside.
//!
//! # Examples
//!
//! An own provider behind faults, as its author would test what stands above it:
//!
//! ```
//! use boards_storage_core::{DownloadOptions, StorageKey, StorageProvider, UploadOptions};
//! use boards_storage_testkit::faults::{FaultKind, FaultProfile, Faults};
//! use boards_storage_testkit::MemoryProvider;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> boards_storage_core::Result<()> {
//! // One call in five fails in some way that a real store may fail in; half of all uploads lose their answer.
//! let profile = FaultProfile::honest(0.2)
//!     .without(FaultKind::Stall)
//!     .without(FaultKind::StallAfter)
//!     .with_on(boards_storage_core::OperationKind::Upload, FaultKind::ErrorAfter, 0.5);
//! let faults = Faults::new(4711, profile);
//! let provider = faults.over(MemoryProvider::new());
//!
//! let key = StorageKey::parse("a")?;
//! while provider.upload(&key, "hello".into(), &UploadOptions::default()).await.is_err() {}
//! faults.calm();
//! let download = provider.download(&key, &DownloadOptions::default()).await?.into_object()?;
//! assert_eq!(&download.bytes(5).await?[..], b"hello");
//! for injected in faults.injected() {
//!     println!("{injected}");
//! }
//! # Ok(())
//! # }
//! ```

mod kind;
mod layer;
mod log;
mod profile;
mod recent;

pub use kind::FaultKind;
pub use layer::Faults;
pub use log::{FaultCounts, Injected};
pub use profile::FaultProfile;
