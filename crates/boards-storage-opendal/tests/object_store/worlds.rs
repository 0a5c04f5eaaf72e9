//! The providers that the tests run on.

use std::any::Any;
use std::sync::Arc;

use boards_storage_core::{BoxFuture, SharedProvider, Stack};
use boards_storage_local::{LocalProvider, LocalSettings};
use boards_storage_opendal::{OpendalProvider, ProviderStore};
use boards_storage_s3::{S3Provider, S3Settings};
use boards_storage_testkit::{MemoryProvider, TestServer};
use libtest_mimic::Failed;
use serde_json::Value;

/// A store, and what must live as long.
type Opened = Result<(ProviderStore, Box<dyn Any + Send>), Failed>;

#[derive(Clone, Copy)]
pub(crate) struct World {
    pub(crate) name: &'static str,
    /// Whether the provider decides `IfMatch`.
    pub(crate) decides_updates: bool,
    /// Whether objects have entity tags.
    pub(crate) has_tags: bool,
    /// The server and the name of its variables, where there is one.
    server: Option<(&'static str, &'static str)>,
    pub(crate) open: fn() -> BoxFuture<'static, Opened>,
}

pub(crate) const WORLDS: &[World] = &[
    World {
        name: "memory",
        decides_updates: true,
        has_tags: true,
        server: None,
        open: || Box::pin(async { Ok(store_of(MemoryProvider::new(), ())) }),
    },
    World {
        name: "local",
        decides_updates: true,
        has_tags: true,
        server: None,
        open: || Box::pin(local()),
    },
    World {
        name: "s3",
        decides_updates: false,
        has_tags: true,
        server: Some(("ceph", "S3")),
        open: || Box::pin(s3()),
    },
    // Both bridges, one on the other; there are no parts here.
    World {
        name: "opendal-memory",
        decides_updates: false,
        has_tags: false,
        server: None,
        open: || Box::pin(opendal()),
    },
];

impl World {
    /// Whether whoever started the tests left the server out, and says so.
    pub(crate) fn is_left_out(&self) -> bool {
        self.server
            .is_some_and(|(service, name)| matches!(TestServer::find(service, name), Ok(TestServer::LeftOut)))
    }
}

fn store_of(provider: SharedProvider, guard: impl Any + Send) -> (ProviderStore, Box<dyn Any + Send>) {
    let stack = Stack::new("tested", provider, Vec::new());
    (ProviderStore::new(Arc::new(stack)), Box::new(guard))
}

async fn local() -> Opened {
    let folder = tempfile::tempdir()?;
    let settings = LocalSettings::new(folder.path().join("base")).without_fsync();
    let provider = LocalProvider::open("local", settings).await.map_err(failed)?;
    Ok(store_of(Arc::new(provider), folder))
}

async fn opendal() -> Opened {
    let operator = opendal::Operator::new(opendal::services::Memory::default())?;
    let provider = OpendalProvider::builder(operator).build().map_err(failed)?;
    Ok(store_of(Arc::new(provider), ()))
}

async fn s3() -> Opened {
    let TestServer::Settings(mut config) = TestServer::find("ceph", "S3").map_err(failed)? else {
        return Err("the server is left out".into());
    };
    let prefix = format!("object_store/{:08x}/", rand::random::<u32>());
    config.insert("prefix".to_owned(), Value::from(prefix));
    let settings: S3Settings = serde_json::from_value(Value::Object(config))?;
    let provider = S3Provider::open("s3", settings).await.map_err(failed)?;
    Ok(store_of(Arc::new(provider), ()))
}

fn failed(error: boards_storage_core::Error) -> Failed {
    let help = error.help().unwrap_or_default();
    Failed::from(format!("{error}; {help}"))
}
