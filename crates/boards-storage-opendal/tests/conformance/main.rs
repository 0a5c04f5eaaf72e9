//! The bridges pass the conformance suite, with everything that they must be able to do pinned.

use std::sync::Arc;

use boards_storage_core::{
    BoxFuture, Capability, Error, ErrorKind, OperationKind, PreconditionKind, Result, SharedProvider,
};
use boards_storage_opendal::{Guarantee, ObjectStoreProvider, OpendalProvider};
use boards_storage_testkit::conformance::{Fixture, Suite, run_all};
use boards_storage_testkit::{CurlExecutor, TestServer};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use opendal::services::{Fs, Memory, S3};
use opendal::{HttpTransporter, Operator};
use opendal_http_transport_reqwest::ReqwestTransport;
use serde_json::{Map, Value};

const LISTS: &[Capability] = &[
    Capability::List,
    Capability::ListDelimiter,
    Capability::ListStartAfter,
];

fn main() {
    let here = [
        opendal_memory(),
        opendal_files(),
        object_store_memory(),
        object_store_files(),
    ];
    run_all(here.into_iter().chain(opendal_s3()).chain(object_store_s3()));
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

/// OpenDAL's own S3; none where whoever started the tests left the server out, and says so.
fn opendal_s3() -> Option<Suite> {
    if matches!(TestServer::find("ceph", "S3"), Ok(TestServer::LeftOut)) {
        return None;
    }
    let suite = Suite::new("opendal-s3", || {
        Box::pin(async {
            let operator = s3_operator()?;
            let open = move || -> Result<SharedProvider> {
                Ok(Arc::new(OpendalProvider::builder(operator.clone()).build()?))
            };
            Ok(fixture(open)?.with_executor(Arc::new(CurlExecutor::new())))
        })
    });
    let suite = suite.requires(LISTS).requires(&[
        Capability::Range,
        Capability::ConditionalDownload,
        Capability::StreamingUpload,
        Capability::PresignedUpload,
        Capability::PresignedDownload,
        Capability::ContentType,
        Capability::ContentDisposition,
        Capability::ContentEncoding,
        Capability::CacheControl,
        Capability::UserMetadata,
        Capability::Digest,
        Capability::WriteId,
    ]);
    Some(suite.leaves_out(
        "atomicity::readers",
        "Ceph 16 answers 500 to a conditional read while the object is replaced",
    ))
}

fn s3_operator() -> Result<Operator> {
    let found = s3_settings()?;
    let text = |name| text(&found, name);
    let service = S3::default()
        .root(&format!("/opendal/{:08x}/", rand::random::<u32>()))
        .endpoint(text("endpoint"))
        .bucket(text("bucket"))
        .region(text("region"))
        .access_key_id(text("access_key_id"))
        .secret_access_key(text("secret_access_key"))
        .disable_config_load();
    let operator = Operator::new(service).map_err(failed)?;
    // Each test has a runtime of its own, so the connections are no other test's.
    let transport = HttpTransporter::new(ReqwestTransport::new(reqwest::Client::new()));
    let context = operator.context().with_http_transport(transport);
    Ok(operator.with_context(context))
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
        "object_store's LocalFileSystem makes paths by the crate url, which takes a path that ends with a letter and ':' \
         for a Windows drive and appends '/'",
    )
}

/// `object_store`'s own S3, which decides what the server decides; none where the server is left out.
fn object_store_s3() -> Option<Suite> {
    if matches!(TestServer::find("ceph", "S3"), Ok(TestServer::LeftOut)) {
        return None;
    }
    let suite = Suite::new("object-store-s3", || {
        Box::pin(async {
            let prefix = format!("object-store/{:08x}", rand::random::<u32>());
            let open = move || -> Result<SharedProvider> {
                let builder = ObjectStoreProvider::builder(Arc::new(s3_store()?)).with_prefix(&prefix);
                // The server decides this one, and loses races of the other.
                let builder = builder.with_precondition(PreconditionKind::IfAbsent);
                Ok(Arc::new(builder.build()?))
            };
            fixture(open)
        })
    });
    let suite = suite.requires(LISTS).requires(&[
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
    ]);
    let suite = suite.requires_precondition(OperationKind::Upload, PreconditionKind::IfAbsent);
    Some(suite.leaves_out(
        "atomicity::readers_of_a_deleted_object",
        "Ceph 16 answers UnknownError to the deletion of many, by which object_store deletes, while the object is replaced",
    ))
}

fn s3_store() -> Result<AmazonS3> {
    let found = s3_settings()?;
    let store = AmazonS3Builder::new()
        .with_endpoint(text(&found, "endpoint"))
        .with_allow_http(true)
        .with_bucket_name(text(&found, "bucket"))
        .with_region(text(&found, "region"))
        .with_access_key_id(text(&found, "access_key_id"))
        .with_secret_access_key(text(&found, "secret_access_key"));
    store.build().map_err(failed)
}

fn s3_settings() -> Result<Map<String, Value>> {
    match TestServer::find("ceph", "S3")? {
        TestServer::Settings(found) => Ok(found),
        TestServer::LeftOut => Err(Error::configuration("the server is left out")),
    }
}

fn text<'a>(found: &'a Map<String, Value>, name: &str) -> &'a str {
    found.get(name).and_then(Value::as_str).unwrap_or_default()
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
