//! The S3 provider passes the conformance suite on real servers, with everything that it must be able to do pinned.

#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
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
    Capability::ContentType,
    Capability::ContentDisposition,
    Capability::ContentEncoding,
    Capability::ContentLanguage,
    Capability::CacheControl,
    Capability::UserMetadata,
    Capability::Digest,
    Capability::WriteId,
];

const SIGNATURES: &[Capability] = &[
    Capability::PresignedUpload,
    Capability::PresignedPost,
    Capability::PresignedLengthMax,
    Capability::PresignedDownload,
    Capability::PresignedPart,
];

/// One server in one set of settings.
#[derive(Clone, Copy)]
struct World {
    name: &'static str,
    service: &'static str,
    /// Whose settings the environment has.
    variables: &'static str,
    /// What is set beside them.
    settings: fn(&Map<String, Value>) -> Value,
    /// What must be there because of that.
    pinned: &'static [Capability],
    /// Whether the store decides that there is no object.
    is_conditional: bool,
    /// Whether signatures are possible.
    is_signing: bool,
    /// The tests that fail by the server's fault, and the fault.
    left_out: &'static [(&'static str, &'static str)],
}

/// Ceph, with nothing but what the environment says.
const CEPH: World = World {
    name: "s3",
    service: "ceph",
    variables: "S3",
    settings: |_| json!({}),
    pinned: &[],
    is_conditional: true,
    is_signing: true,
    left_out: &[],
};

const WORLDS: [World; 6] = [
    CEPH,
    // Nearly everything goes in parts.
    World {
        name: "s3-parts",
        settings: |_| {
            json!({
                "prefix": "below/this one/",
                "conditional_writes": "none",
                "multipart_threshold": 1000,
                "part_size": "5MiB",
                "concurrency": 3,
            })
        },
        is_conditional: false,
        ..CEPH
    },
    World {
        name: "s3-access",
        settings: |config| {
            let text = |name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default();
            let url = format!("{}/{}", text("endpoint"), text("bucket"));
            json!({ "acl": true, "public_url_base": url, "sign_payload": false })
        },
        pinned: &[Capability::SetAccess, Capability::PublicUrl],
        ..CEPH
    },
    World {
        name: "s3-versions",
        // Ceph ignores conditions in a bucket with versions.
        settings: |_| json!({ "versions": true, "bucket": VERSIONED_BUCKET, "conditional_writes": "none" }),
        pinned: &[Capability::ReadVersion],
        is_conditional: false,
        left_out: &[(
            "atomicity::readers",
            "Ceph 16 answers 404 for a moment while a version is replaced",
        )],
        ..CEPH
    },
    // The server encrypts with a key that it does not keep.
    World {
        name: "s3-encrypted",
        settings: |_| {
            let key = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
            json!({ "encryption": { "type": "customer", "key": key } })
        },
        is_signing: false,
        left_out: &[
            ("copy::", "Ceph 16 copies nothing that a customer's key encrypts"),
            (
                "set_metadata::",
                "Ceph 16 copies nothing that a customer's key encrypts",
            ),
            (
                "atomicity::changed_attributes",
                "Ceph 16 copies nothing that a customer's key encrypts",
            ),
        ],
        ..CEPH
    },
    World {
        name: "s3-garage",
        service: "garage",
        variables: "GARAGE",
        settings: |_| json!({ "checksum": "crc64nvme" }),
        pinned: &[Capability::Checksum, Capability::VerifiedRead],
        is_conditional: false,
        left_out: &[
            ("keys::the_longest", "Garage on LMDB holds no long keys"),
            ("keys::many_segments", "Garage on LMDB holds no long keys"),
            (
                "multipart::two_uploads_of_one_key",
                "Garage 2.5 forgets an upload when another of its key is completed",
            ),
            (
                "presign::a_part_is_stored",
                "Garage 2.5 demands the checksum of each part of an upload that has one",
            ),
        ],
        ..CEPH
    },
];

/// A bucket that keeps versions; the tests make it.
const VERSIONED_BUCKET: &str = "versioned";

fn main() {
    run_all(WORLDS.into_iter().filter_map(suite));
}

/// Makes the suite, unless its server was left out, which whoever did so says.
fn suite(world: World) -> Option<Suite> {
    if matches!(
        TestServer::find(world.service, world.variables),
        Ok(TestServer::LeftOut)
    ) {
        return None;
    }
    let signatures: &[_] = if world.is_signing { SIGNATURES } else { &[] };
    let suite = Suite::new(world.name, move || Box::pin(open(world)));
    let mut suite = suite.requires(PINNED).requires(signatures).requires(world.pinned);
    for (beginning, reason) in world.left_out {
        suite = suite.leaves_out(beginning, reason);
    }
    let decided = [
        (world.is_conditional, OperationKind::Upload),
        (
            world.is_conditional && world.is_signing,
            OperationKind::PresignedUploadUrl,
        ),
    ];
    for (_, operation) in decided.into_iter().filter(|(is_decided, _)| *is_decided) {
        suite = suite.requires_precondition(operation, PreconditionKind::IfAbsent);
    }
    Some(suite)
}

fn config(world: World, found: &TestServer) -> Result<Map<String, Value>> {
    let TestServer::Settings(settings) = found else {
        return Err(Error::configuration("the server is left out"));
    };
    let mut config = settings.clone();
    let more = (world.settings)(settings);
    config.extend(more.as_object().cloned().unwrap_or_default());
    Ok(config)
}

async fn open(world: World) -> Result<Fixture> {
    let found = TestServer::find(world.service, world.variables)?;
    let config = config(world, &found)?;
    if config.get("bucket").and_then(Value::as_str) == Some(VERSIONED_BUCKET) {
        make_versioned_bucket(&config).await?;
    }
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

/// Makes the bucket, by the SDK alone. That it is there already is fine.
async fn make_versioned_bucket(config: &Map<String, Value>) -> Result<()> {
    let client = support::client(config);
    let made = client.create_bucket().bucket(VERSIONED_BUCKET).send().await;
    if let Err(error) = made
        && !error.code().is_some_and(|code| code.starts_with("BucketAlready"))
    {
        return Err(support::failed(error));
    }
    let versioning = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    let request = client
        .put_bucket_versioning()
        .bucket(VERSIONED_BUCKET)
        .versioning_configuration(versioning);
    request.send().await.map(drop).map_err(support::failed)
}
