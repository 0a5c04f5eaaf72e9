//! The conformance suite of catalogs over the reference implementation in memory, and over SQLite with two handles of
//! one file.

use std::sync::Arc;

use boards_storage_catalog::SqliteCatalog;
use boards_storage_core::{BoxFuture, MemoryCatalog, Result};
use boards_storage_testkit::catalog::{self, Fixture};
use libtest_mimic::Arguments;

fn memory() -> BoxFuture<'static, Result<Fixture>> {
    Box::pin(async { Ok(Fixture::new(Arc::new(MemoryCatalog::default()))) })
}

fn sqlite() -> BoxFuture<'static, Result<Fixture>> {
    Box::pin(async {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("catalog.db");
        let catalog = SqliteCatalog::open(&path).await?;
        let second = SqliteCatalog::open(&path).await?;
        Ok(Fixture::new(Arc::new(catalog))
            .with_second(Arc::new(second))
            .with_guard(folder))
    })
}

fn main() {
    let mut trials = catalog::trials("memory", memory);
    trials.extend(catalog::trials("sqlite", sqlite));
    libtest_mimic::run(&Arguments::from_args(), trials).exit()
}
