//! Any `object_store::ObjectStore` as a provider.

mod builder;
mod error;
mod list;
mod provider;
mod read;
mod write;

pub use builder::ObjectStoreBuilder;
pub use provider::ObjectStoreProvider;
