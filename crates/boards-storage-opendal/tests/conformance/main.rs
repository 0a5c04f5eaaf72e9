//! The bridges pass the conformance suite, with everything that they must be able to do pinned.

use std::sync::Arc;

use boards_storage_core::{
    BoxFuture, Capability, Error, ErrorKind, OperationKind, PreconditionKind, Result, SharedProvider,
};
use boards_storage_opendal::{Guarantee, ObjectStoreProvider, OpendalProvider};
use boards_storage_testkit::conformance::{Fixture, Suite, run_all};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use opendal::Operator;
use opendal::services::{Fs, Memory};

const LISTS: &[Capability] = &[
    Capability::List,
    Capability::ListDelimiter,
    Capability::ListStartAfter,
];

fn main() {
    run_all([
        opendal_memory(),
        opendal_files(),
        object_store_memory(),
        object_store_files(),
    ]);
}

fn opendal_memory() -> Suite {
    Suite::new("opendal-memory", || {
        Box::pin(async {
            let operator = Operator::new(Memory::default()).map_err(failed)?;
            let open = move || -> Result<SharedProvider> {
                let builder = OpendalProvider::builder(operator.clone()).with_prefix("below/this one");
                Ok(Arc::new(builder.build()?))
            };
            fixture(open)
        })
    })
    .requires(LISTS)
    .requires(&[
        Capability::Range,
        Capability::ContentType,
        Capability::ContentDisposition,
        Capability::ContentEncoding,
        Capability::CacheControl,
    ])
    .requires_precondition(OperationKind::Upload, PreconditionKind::IfAbsent)
}

fn opendal_files() -> Suite {
    Suite::new("opendal-fs", || {
        Box::pin(async {
            let folder = tempfile::tempdir().map_err(failed)?;
            let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
            let service = Fs::default().root(&path("root")).atomic_write_dir(&path("new"));
            let operator = Operator::new(service).map_err(failed)?;
            let open = move || -> Result<SharedProvider> {
                let builder = OpendalProvider::builder(operator.clone())
                    .with_guarantees(&[Guarantee::WholeWrites])
                    .with_sorted_list_max(10_000);
                Ok(Arc::new(builder.build()?))
            };
            Ok(fixture(open)?.with_guard(folder))
        })
    })
    .requires(LISTS)
    .requires(&[Capability::Range, Capability::StreamingUpload])
    .leaves_out(
        "keys::a_folder_ends_with_its_last_object",
        "OpenDAL's fs keeps empty folders",
    )
}

fn object_store_memory() -> Suite {
    Suite::new("object-store-memory", || {
        Box::pin(async {
            let store = Arc::new(InMemory::new());
            let open = move || -> Result<SharedProvider> {
                let builder = ObjectStoreProvider::builder(Arc::clone(&store) as _);
                Ok(Arc::new(builder.with_prefix("below/this one").build()?))
            };
            fixture(open)
        })
    })
    .requires(LISTS)
    .requires(&[
        Capability::Range,
        Capability::ConditionalDownload,
        Capability::StreamingUpload,
        Capability::ContentType,
        Capability::ContentDisposition,
        Capability::ContentEncoding,
        Capability::ContentLanguage,
        Capability::CacheControl,
        Capability::UserMetadata,
        Capability::Digest,
        Capability::WriteId,
    ])
    .requires_precondition(OperationKind::Upload, PreconditionKind::IfAbsent)
    .requires_precondition(OperationKind::Upload, PreconditionKind::IfMatch)
}

fn object_store_files() -> Suite {
    Suite::new("object-store-fs", || {
        Box::pin(async {
            let folder = tempfile::tempdir().map_err(failed)?;
            let store = LocalFileSystem::new_with_prefix(folder.path()).map_err(failed)?;
            let store = Arc::new(store.with_automatic_cleanup(true));
            let open = move || -> Result<SharedProvider> {
                let builder = ObjectStoreProvider::builder(Arc::clone(&store) as _);
                Ok(Arc::new(builder.build()?))
            };
            Ok(fixture(open)?.with_guard(folder))
        })
    })
    .requires(&[
        Capability::Range,
        Capability::ConditionalDownload,
        Capability::StreamingUpload,
        Capability::Copy,
    ])
    .requires_precondition(OperationKind::Upload, PreconditionKind::IfAbsent)
    .requires_precondition(OperationKind::Copy, PreconditionKind::IfAbsent)
    .leaves_out(
        "keys::characters_that_mean_something_in_urls",
        "object_store's LocalFileSystem takes the name 'http:' for a folder",
    )
}

/// A fixture whose second handle is opened as its first one.
fn fixture(open: impl Fn() -> Result<SharedProvider> + Send + Sync + 'static) -> Result<Fixture> {
    let first = open()?;
    let open = Arc::new(open);
    Ok(
        Fixture::new(first).with_second(move || -> BoxFuture<'static, Result<SharedProvider>> {
            let open = Arc::clone(&open);
            Box::pin(async move { open() })
        }),
    )
}

fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Storage, "the fixture failed").with_source(source)
}
