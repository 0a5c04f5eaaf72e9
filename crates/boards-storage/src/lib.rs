#![doc = include_str!("../README.md")]

mod audit;
mod builder;
#[cfg(feature = "encryption")]
mod encryption;
mod order;
#[cfg(feature = "prometheus")]
mod prometheus;
mod validation;

pub use audit::{AuditEvents, AuditLog};
pub use boards_storage_core::*;
pub use builder::{Storage, StorageBuilder};
#[cfg(feature = "encryption")]
pub use encryption::open_tenant_keys;
pub use order::{DefaultLayers, default_layers};
#[cfg(feature = "prometheus")]
pub use prometheus::{DURATION_BUCKETS, PrometheusExporter};

/// The layers that go around every provider, for those who build their own stack.
pub mod layers {
    pub use boards_storage_layers::*;
}

/// OpenDAL and `object_store` as providers, and any provider as an `object_store::ObjectStore`.
#[cfg(any(feature = "opendal", feature = "object_store"))]
pub mod bridges {
    pub use boards_storage_opendal::*;
}

// A provider crate that nobody names is dropped by the linker, and its registration with it.
#[cfg(feature = "gcs")]
use boards_storage_gcs as _;
#[cfg(feature = "local")]
use boards_storage_local as _;
#[cfg(any(feature = "opendal", feature = "object_store"))]
use boards_storage_opendal as _;
#[cfg(feature = "s3")]
use boards_storage_s3 as _;
#[cfg(feature = "supabase")]
use boards_storage_supabase as _;

/// What an application needs for the main job.
pub mod prelude {
    pub use crate::builder::Storage;
    pub use boards_storage_core::{
        AccessClass, ArtifactId, ArtifactLocator, ArtifactQuery, ArtifactReference, ArtifactType, BoardId,
        ByteRange, Content, ContentType, Error, ErrorKind, NewArtifact, OpenOptions, Result, StorageKey,
        StorageManager, TenantId, VariantFile, VariantName,
    };
}
