//! Bridges between boards-storage and the two other storage libraries of Rust.
//!
//! - `OpendalProvider` (feature `opendal`): any [OpenDAL](https://opendal.apache.org) operator as a provider, from code
//!   or from settings (`type: opendal`).
//! - `ObjectStoreProvider` (feature `object_store`): any `object_store::ObjectStore` as a provider.
//! - `ProviderStore` (feature `object_store`): any provider, with its layers, *as* an `object_store::ObjectStore`, so
//!   that engines such as those for Parquet read artifacts.
//!
//! # What a bridge promises
//!
//! What the library below says is not always what a provider promises: a writer that fails may leave half an object,
//! a condition may be looked at before instead of decided by the write, a listing may come in any order. Each bridge
//! knows some services, and takes nothing for granted of the others: whoever builds it *guarantees* what the service
//! keeps. What nobody guarantees isn't declared, and what isn't declared is refused.

mod intake;
mod notes;
#[cfg(feature = "object_store")]
mod object_store;
#[cfg(feature = "opendal")]
mod opendal;
mod outflow;
mod redact;
#[cfg(feature = "object_store")]
mod store;

#[cfg(feature = "object_store")]
pub use crate::object_store::{ObjectStoreBuilder, ObjectStoreProvider};
#[cfg(feature = "opendal")]
pub use crate::opendal::{Guarantee, OpendalBuilder, OpendalProvider, OpendalSettings};
#[cfg(feature = "object_store")]
pub use crate::store::ProviderStore;

#[cfg(feature = "opendal")]
boards_storage_core::register_provider!(OpendalProvider);
