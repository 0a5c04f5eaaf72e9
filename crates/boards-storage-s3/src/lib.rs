#![doc = include_str!("../README.md")]

#[macro_use]
mod at_rest;

mod body;
mod capabilities;
mod client;
mod copy;
mod delete;
mod direct;
mod encoding;
mod error;
mod identity;
mod list;
mod multipart;
mod pieces;
mod policy;
mod presign;
mod provider;
mod read;
mod settings;
mod store;
mod upload;

pub use provider::S3Provider;
pub use settings::{ChecksumChoice, ConditionalWrites, ConnectionSettings, Encryption, S3Settings};

boards_storage_core::register_provider!(S3Provider);
