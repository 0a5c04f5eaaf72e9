//! The Google Cloud Storage provider passes the conformance suite on a server, with everything that it must be able to
//! do pinned.
//!
//! `BOARDS_STORAGE_TEST_GCS__BUCKET` without `…__ENDPOINT` names a bucket of a real account, by which nothing is left
//! out.

use std::sync::Arc;

use boards_storage_core::{Capability, Error, OperationKind, PreconditionKind, Result, SharedProvider};
use boards_storage_gcs::{GcsProvider, GcsSettings};
use boards_storage_testkit::conformance::{Fixture, Suite, run_all};
use boards_storage_testkit::{CurlExecutor, TestServer};
use serde_json::{Map, Value, json};

const PINNED: &[Capability] = &[
    Capability::Range,
    Capability::ConditionalDownload,
    Capability::List,
    Capability::ListDelimiter,
    Capability::ListStartAfter,
    Capability::TruthfulDelete,
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
    Capability::Checksum,
    Capability::VerifiedRead,
];

const SIGNATURES: &[Capability] = &[
    Capability::PresignedUpload,
    Capability::PresignedPost,
    Capability::PresignedLengthMax,
    Capability::PresignedDownload,
    Capability::PresignedPart,
];

/// The key of an account that does not exist, published by Google beside its vectors.
const KEY: &str = include_str!("../fixtures/test_service_account.not-a-test.json");

/// One server in one set of settings.
#[derive(Clone, Copy)]
struct World {
    name: &'static str,
    /// What is set beside what the environment says.
    settings: fn(&Map<String, Value>) -> Value,
    /// What must be there because of that.
    pinned: &'static [Capability],
    is_conditional: bool,
}

const EMULATOR: World = World {
    name: "gcs",
    settings: |_| {
        json!({
            "preconditions": "single_uploads",
            "signer": { "type": "key", "json": KEY },
            // After a 416 it closes the connection without saying so.
            "idle_max": 0,
        })
    },
    pinned: SIGNATURES,
    is_conditional: true,
};

/// What fake-gcs-server 1.54 answers wrongly, and so is proven on the wire.
const LEFT_OUT: &[(&str, &str)] = &[
    (
        "copy::attributes_can_be_taken_away",
        "fake-gcs-server 1.54 keeps the attributes of a copy's source that are not said anew",
    ),
    (
        "set_metadata::all_attributes_are_replaced",
        "fake-gcs-server 1.54 takes null in a PATCH for nothing",
    ),
    (
        "multipart::attributes_are_kept",
        "fake-gcs-server 1.54 keeps the old attributes when it composes onto an object",
    ),
    (
        "delete::many_at_once",
        "fake-gcs-server 1.54 deletes one object for two at once",
    ),
    (
        "preconditions::if_match_and_deletes",
        "fake-gcs-server 1.54 decides no precondition against a deletion of the same moment",
    ),
    (
        "atomicity::changed_attributes",
        "fake-gcs-server 1.54 changes attributes one by one",
    ),
    (
        "presign::a_get_serves_what_was_signed",
        "fake-gcs-server 1.54 serves no other type than the object's",
    ),
    ("presign::a_post_", "fake-gcs-server 1.54 has no forms"),
    ("presign::an_expired_post", "fake-gcs-server 1.54 has no forms"),
    ("presign::a_put_with_", UNSIGNED),
    ("presign::a_put_above", UNSIGNED),
    ("presign::a_put_is_no_get", UNSIGNED),
    ("presign::an_expired_put", UNSIGNED),
    ("presign::a_get_of_another_key", UNSIGNED),
    ("presign::a_get_with_a_changed", UNSIGNED),
    ("presign::a_get_is_no_put", UNSIGNED),
    ("presign::an_expired_get", UNSIGNED),
    ("presign::a_part_with_another_length", UNSIGNED),
    ("presign::an_expired_part", UNSIGNED),
];
const UNSIGNED: &str = "fake-gcs-server 1.54 checks no signature, and nothing that a signature binds";

/// A bucket that keeps versions; the tests make it.
const VERSIONED_BUCKET: &str = "versioned";

/// Nearly everything goes in chunks, to a bucket that keeps versions.
const CHUNKS: World = World {
    name: "gcs-chunks",
    settings: |settings| {
        let text = |name: &str| settings.get(name).and_then(Value::as_str).unwrap_or_default();
        let url = format!("{}/{}/below/this%20one", text("endpoint"), VERSIONED_BUCKET);
        json!({
            "bucket": VERSIONED_BUCKET,
            "prefix": "below/this one/",
            "resumable_threshold": 1000,
            "chunk_size": "256KiB",
            "versions": true,
            "idle_max": 0,
            "public_url_base": url,
        })
    },
    pinned: &[Capability::ReadVersion, Capability::PublicUrl],
    is_conditional: false,
};

fn main() {
    let found = TestServer::find("fake-gcs", "GCS");
    let is_real = matches!(&found, Ok(TestServer::Settings(settings)) if !settings.contains_key("endpoint"));
    let suites: Vec<_> = match found {
        // Whoever left the server out says what is not tested.
        Ok(TestServer::LeftOut) => Vec::new(),
        _ if is_real => vec![real()],
        _ => vec![suite(EMULATOR), suite(CHUNKS)],
    };
    run_all(suites);
}

fn suite(world: World) -> Suite {
    let suite = Suite::new(world.name, move || Box::pin(open(world.settings)));
    let mut suite = suite.requires(PINNED).requires(world.pinned);
    for (beginning, reason) in LEFT_OUT {
        suite = suite.leaves_out(beginning, reason);
    }
    if !world.is_conditional {
        return suite;
    }
    suite
        .requires_precondition(OperationKind::Upload, PreconditionKind::IfAbsent)
        .requires_precondition(OperationKind::Upload, PreconditionKind::IfMatch)
}

/// A bucket of a real account, which must decide everything.
fn real() -> Suite {
    use OperationKind::{CompleteUpload, Copy, Delete, SetMetadata, Upload};
    use PreconditionKind::{IfAbsent, IfMatch};
    let suite = Suite::new("gcs-real", || Box::pin(open(|_| json!({})))).requires(PINNED);
    [
        (Upload, IfAbsent),
        (Upload, IfMatch),
        (Copy, IfAbsent),
        (Copy, IfMatch),
        (CompleteUpload, IfAbsent),
        (CompleteUpload, IfMatch),
        (Delete, IfMatch),
        (SetMetadata, IfMatch),
    ]
    .into_iter()
    .fold(suite, |suite, (operation, kind)| {
        suite.requires_precondition(operation, kind)
    })
}

async fn open(more: fn(&Map<String, Value>) -> Value) -> Result<Fixture> {
    let TestServer::Settings(settings) = TestServer::find("fake-gcs", "GCS")? else {
        return Err(Error::configuration("the server is left out"));
    };
    let mut config = settings.clone();
    config.extend(more(&settings).as_object().cloned().unwrap_or_default());
    if config.get("bucket").and_then(Value::as_str) == Some(VERSIONED_BUCKET) {
        make_versioned_bucket(&config).await?;
    }
    let second = config.clone();
    Ok(Fixture::new(provider(config).await?)
        .with_executor(Arc::new(CurlExecutor::new()))
        .with_second(move || Box::pin(provider(second.clone()))))
}

async fn provider(config: Map<String, Value>) -> Result<SharedProvider> {
    let settings: GcsSettings = serde_json::from_value(Value::Object(config))
        .map_err(|source| Error::configuration("the environment's settings").with_source(source))?;
    Ok(Arc::new(GcsProvider::open("gcs", settings).await?))
}

/// Makes the bucket, by the protocol alone. That it is there already is fine.
async fn make_versioned_bucket(config: &Map<String, Value>) -> Result<()> {
    let text = |name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default();
    let url = format!("{}/storage/v1/b?project={}", text("endpoint"), text("project"));
    let body = json!({ "name": VERSIONED_BUCKET, "versioning": { "enabled": true } });
    let request = reqwest::Client::new().post(url).body(body.to_string());
    match request.send().await {
        Ok(answer) if answer.status().is_success() || answer.status().as_u16() == 409 => Ok(()),
        Ok(answer) => Err(Error::configuration(format!(
            "the bucket '{VERSIONED_BUCKET}' could not be made: {}",
            answer.status()
        ))),
        Err(source) => Err(Error::configuration("the server cannot be reached").with_source(source)),
    }
}
