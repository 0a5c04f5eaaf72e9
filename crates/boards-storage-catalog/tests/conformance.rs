//! The conformance suite of catalogs over the reference implementation in memory, over SQLite with two handles of one file,
//! and over a PostgreSQL server with two pools of one schema.

use std::sync::Arc;

use boards_storage_catalog::{PostgresCatalog, PostgresOptions, SqliteCatalog};
use boards_storage_core::{BoxFuture, MemoryCatalog, Result, VersionId};
use boards_storage_testkit::TestServer;
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

fn postgres() -> BoxFuture<'static, Result<Fixture>> {
    Box::pin(async {
        let TestServer::Settings(server) = TestServer::find("postgres", "POSTGRES")? else {
            unreachable!("the tests of a server that is left out are not run");
        };
        let url = server["url"].as_str().expect("a URL");
        // A schema of its own for each test; the server forgets them all with its folder.
        let options = PostgresOptions::parse(url)?
            .with_schema(format!("test_{}", VersionId::fresh()))?
            .with_connections_max(8);
        let catalog = PostgresCatalog::open(options.clone()).await?;
        let second = PostgresCatalog::open(options).await?;
        Ok(Fixture::new(Arc::new(catalog)).with_second(Arc::new(second)))
    })
}

fn main() {
    let mut trials = catalog::trials("memory", memory);
    trials.extend(catalog::trials("sqlite", sqlite));
    match TestServer::find("postgres", "POSTGRES") {
        // Whoever left it out says so.
        Ok(TestServer::LeftOut) => {}
        // Without a word about the server, each of its tests fails and says so.
        Ok(TestServer::Settings(_)) | Err(_) => trials.extend(catalog::trials("postgres", postgres)),
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit()
}
