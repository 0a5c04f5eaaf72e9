//! The contracts of boards-storage: keys, content, providers, layers, settings, routing, the catalog and the manager.
//!
//! Nothing here knows HTTP, SQL, an SDK, an environment variable or which providers exist.

#[macro_use]
mod failpoints;

mod audit;
mod capabilities;
mod catalog;
mod checksum;
mod clock;
mod content;
mod content_type;
mod download;
mod error;
mod guard;
mod health;
mod key;
mod layer;
mod manager;
mod metadata;
mod metrics;
mod object_identity;
mod operation;
mod options;
mod protection;
mod provider;
mod range;
mod registry;
mod routing;
mod scope;
mod settings;
mod signed;
mod template;
mod trace;
mod transfer;
mod validation;

pub use async_trait::async_trait;
pub use futures_core::future::BoxFuture;
#[doc(hidden)]
pub use inventory;

pub use audit::*;
pub use capabilities::*;
pub use catalog::*;
pub use checksum::*;
pub use clock::*;
pub use content::{ByteStream, Content};
pub use content_type::ContentType;
pub use download::*;
pub use error::*;
pub use health::*;
pub use key::{RESERVED_SEGMENT, StorageKey};
pub use layer::*;
pub use manager::*;
pub use metadata::*;
pub use metrics::*;
pub use object_identity::ObjectIdentity;
pub use operation::*;
pub use options::*;
pub use protection::*;
pub use provider::*;
pub use range::*;
pub use registry::*;
pub use routing::*;
pub use scope::*;
pub use settings::*;
pub use signed::*;
pub use template::*;
pub use trace::TraceParent;
pub use transfer::*;
pub use validation::*;
