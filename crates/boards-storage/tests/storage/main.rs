//! The storage as an application sees it: manager, catalog, providers and layers together.

mod attributes;
mod audit;
mod audit_failure;
mod audit_log;
mod audit_processes;
mod build;
mod deletion;
mod fallback;
mod health;
mod lifecycle;
mod model;
mod order;
mod refusal;
mod resume;
mod routing;
mod soak;
mod transfer;
#[cfg(feature = "validation")]
mod validation;
mod world;
mod write_faults;
