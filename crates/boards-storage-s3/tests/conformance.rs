//! The S3 provider passes the conformance suite on real servers, with everything that it must be able to do pinned.

use std::sync::Arc;

use boards_storage_core::{Capability, Error, OperationKind, PreconditionKind, Result, SharedProvider};
use boards_storage_s3::{S3Provider, S3Settings};
use boards_storage_testkit::conformance::{Fixture, Suite, run_all};
use boards_storage_testkit::{CurlExecutor, TestServer};
use serde_json::{Map, Value, json};

const PINNED: &[Capability] = &[
    Capability::Range,
    Capability::ConditionalDownload,
    Capability::List,
    Capability::ListDelimiter,
    Capability::ListStartAfter,
    Capability::DeleteMany,
    Capability::Copy,
    Capability::CopyAttributes,
    Capability::SetMetadata,
    Capability::Multipart,
    Capability::StreamingUpload,
    Capability::PresignedUpload,
    Capability::PresignedPost,
    Capability::PresignedLengthMax,
    Capability::PresignedDownload,
    Capability::PresignedPart,
    Capability::ContentType,
    Capability::ContentDisposition,
    Capability::ContentEncoding,
    Capability::ContentLanguage,
    Capability::CacheControl,
    Capability::UserMetadata,
    Capability::Digest,
    Capability::WriteId,
];

/// One server in one set of settings.
#[derive(Clone, Copy)]
struct World {
    name: &'static str,
    service: &'static str,
    /// Whose settings the environment has.
    variables: &'static str,
    /// What is set beside them.
    settings: fn() -> Value,
    /// What must be there because of that.
    pinned: &'static [Capability],
}

const WORLDS: [World; 2] = [
    World {
        name: "s3",
        service: "ceph",
        variables: "S3",
        settings: || json!({}),
        pinned: &[],
    },
    World {
        name: "s3-prefix",
        service: "ceph",
        variables: "S3",
        settings: || json!({ "prefix": "below/this one/", "conditional_writes": "none" }),
        pinned: &[],
    },
];

fn main() {
    run_all(WORLDS.into_iter().filter_map(suite));
}

/// Makes the suite, unless its server was left out, which whoever did so says.
fn suite(world: World) -> Option<Suite> {
    let found = TestServer::find(world.service, world.variables);
    if matches!(found, Ok(TestServer::LeftOut)) {
        return None;
    }
    // Whoever says that the store decides a condition has it tested.
    let decided = found
        .and_then(|found| config(world, &found))
        .map(|config| config.get("conditional_writes").cloned());
    let kinds: &[_] = match decided {
        Ok(Some(Value::String(text))) if text == "all" => {
            &[PreconditionKind::IfAbsent, PreconditionKind::IfMatch]
        }
        Ok(Some(Value::String(text))) if text == "if_absent" => &[PreconditionKind::IfAbsent],
        _ => &[],
    };
    let suite = Suite::new(world.name, move || Box::pin(open(world)));
    let mut suite = suite.requires(PINNED).requires(world.pinned);
    for kind in kinds {
        suite = suite
            .requires_precondition(OperationKind::Upload, *kind)
            .requires_precondition(OperationKind::PresignedUploadUrl, *kind);
    }
    Some(suite)
}

fn config(world: World, found: &TestServer) -> Result<Map<String, Value>> {
    let TestServer::Settings(settings) = found else {
        return Err(Error::configuration("the server is left out"));
    };
    let mut config = settings.clone();
    let more = (world.settings)();
    config.extend(more.as_object().cloned().unwrap_or_default());
    Ok(config)
}

async fn open(world: World) -> Result<Fixture> {
    let found = TestServer::find(world.service, world.variables)?;
    let config = config(world, &found)?;
    let second = config.clone();
    Ok(Fixture::new(provider(config).await?)
        .with_executor(Arc::new(CurlExecutor::new()))
        .with_second(move || Box::pin(provider(second.clone()))))
}

async fn provider(config: Map<String, Value>) -> Result<SharedProvider> {
    let settings: S3Settings = serde_json::from_value(Value::Object(config))
        .map_err(|source| Error::configuration("the environment's settings").with_source(source))?;
    Ok(Arc::new(S3Provider::open("s3", settings).await?))
}
