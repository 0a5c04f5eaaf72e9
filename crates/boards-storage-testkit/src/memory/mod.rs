//! The memory provider: every capability, nothing on disk.

mod builder;
mod executor;
mod parts;
mod presign;
mod provider;
mod store;
#[cfg(test)]
mod tests;

pub use builder::{MemoryBuilder, MemorySettings};
pub use provider::MemoryProvider;
