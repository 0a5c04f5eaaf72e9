#![doc = include_str!("../README.md")]

mod capabilities;
mod change;
mod chunks;
mod client;
mod credentials;
mod encoding;
mod error;
mod list;
mod parts;
mod policy;
mod presign;
mod provider;
mod read;
mod resource;
mod resumable;
mod settings;
mod upload;

pub use provider::GcsProvider;
pub use settings::{CredentialsChoice, GcsSettings, Preconditions, SignerChoice};

boards_storage_core::register_provider!(GcsProvider);
