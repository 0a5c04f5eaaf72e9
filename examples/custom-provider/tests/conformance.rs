//! The conformance suite over the provider.

use std::sync::Arc;

use boards_storage_core::{Capability, OperationKind, PreconditionKind, Result};
use boards_storage_scratch::{ScratchProvider, ScratchSettings};
use boards_storage_testkit::conformance::{Fixture, Suite, run};

async fn open() -> Result<Fixture> {
    let settings = ScratchSettings {
        size_bytes_max: 64 << 20,
    };
    Ok(Fixture::new(Arc::new(ScratchProvider::new(&settings))))
}

fn main() {
    run(Suite::new("scratch", || Box::pin(open()))
        .requires(&[Capability::Range, Capability::List, Capability::UserMetadata])
        .requires_precondition(OperationKind::Upload, PreconditionKind::IfAbsent));
}
