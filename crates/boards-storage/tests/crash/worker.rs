//! The program that is killed: it stores, overwrites and deletes, and says so.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use boards_storage::prelude::*;
use boards_storage::{
    ByteStream, CallContext, CallOptions, ContentTypePattern, DeleteOptions, Digest, DigestAlgorithm,
    ManagerSettings, OneOrMany, OperationKind, Precondition, ProviderSettings, RouteCondition, RoutingRule,
    SharedCatalog, SharedProvider, Stack, SystemClock, UploadOptions,
};
use boards_storage_testkit::{Script, Step};
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Short, so that the next worker can take over.
pub(crate) const LEASE: Duration = Duration::from_millis(300);
const ARTIFACTS: u32 = 12;
const OPERATIONS: usize = 80;

/// The keys of the objects that are overwritten in place begin so.
pub(crate) const IN_PLACE: &str = "in-place/";
const IN_PLACE_OBJECTS: u32 = 5;

pub(crate) fn run(folder: &Path) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let (Ok(name), Some(nth)) = (std::env::var("CRASH_AT"), number("CRASH_NTH")) {
        let hits = AtomicU32::new(0);
        fail::cfg_callback(name, move || {
            if u64::from(hits.fetch_add(1, Ordering::SeqCst)) + 1 == nth {
                let myself = rustix::process::getpid();
                rustix::process::kill_process(myself, rustix::process::Signal::KILL).expect("SIGKILL");
                // The signal ends every thread; this one goes no further.
                std::thread::park();
            }
        })
        .expect("a failpoint");
    }
    let random = StdRng::seed_from_u64(number("CRASH_WORKER_SEED").expect("a seed"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(work(folder, random));
}

/// What is meant for the provider that takes no writes, so that `local` stands in for it.
const DISPLACED: &str = "image/gif";

/// The folder of that provider.
pub(crate) const AWAY: &str = "away";

/// Opens the storage in `folder`: the local provider and SQLite, with a short lease; and a provider that fails each
/// write, every other one after it was stored.
pub(crate) async fn open(folder: &Path) -> StorageManager {
    let mut settings = ManagerSettings::new("local");
    settings.lease = LEASE;
    settings.cleanup_delay = LEASE;
    let mut condition = RouteCondition::default();
    condition.content_type = Some(OneOrMany::from(
        ContentTypePattern::parse(DISPLACED).expect("a pattern"),
    ));
    settings.routing_rules = vec![
        RoutingRule::new(AWAY)
            .with_condition(condition)
            .with_fallback(["local"]),
    ];
    let failing = Script::new();
    let writes = AtomicU32::new(0);
    failing.otherwise(move |operation| {
        if operation.kind() != OperationKind::Upload {
            return Step::Pass;
        }
        let error = Error::new(ErrorKind::ProviderUnavailable, "no writes here");
        if writes.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            Step::FailBefore(error)
        } else {
            Step::FailAfter(error)
        }
    });
    let catalog: SharedCatalog = Arc::new(
        boards_storage_catalog::SqliteCatalog::open(folder.join("catalog.db"))
            .await
            .expect("a catalog"),
    );
    let stacks = Arc::new(move |name: &str, provider| {
        let layers = if name == AWAY {
            vec![Arc::clone(&failing) as Arc<_>]
        } else {
            Vec::new()
        };
        Arc::new(Stack::new(name, provider, layers)) as Arc<_>
    });
    let manager = StorageManager::with_parts(settings, catalog, Arc::new(SystemClock), stacks);
    for (name, below) in [("local", "objects"), (AWAY, AWAY)] {
        let config = serde_json::json!({ "base_path": folder.join(below) });
        let provider = ProviderSettings::new(name, "local", config);
        manager
            .register_provider(name, open_provider(&provider).await)
            .expect("a free name");
    }
    manager
}

/// Opens a store of its own, whose objects are overwritten in place: artifacts have a new key for each version.
pub(crate) async fn open_objects(folder: &Path) -> SharedProvider {
    let config = serde_json::json!({ "base_path": folder.join("in-place") });
    open_provider(&ProviderSettings::new("in-place", "local", config)).await
}

async fn open_provider(settings: &ProviderSettings) -> SharedProvider {
    let registry = Storage::registry().expect("a registry");
    registry.open(settings).await.expect("a provider")
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("said");
}

async fn work(folder: &Path, mut random: StdRng) {
    let manager = open(folder).await;
    let objects = open_objects(folder).await;
    manager.reap(1000).await.expect("reaped");
    for _ in 0..OPERATIONS {
        if random.random_ratio(1, 3) {
            change_in_place(&objects, &mut random).await;
            continue;
        }
        let id = format!("a{}", random.random_range(0..ARTIFACTS));
        if random.random_ratio(1, 4) {
            say(&format!("begin delete {id}"));
            let artifact = ArtifactId::parse(&id).expect("an id");
            manager
                .delete_artifact(&TenantId::default(), &artifact, &CallContext::default())
                .await
                .expect("deleted");
            say(&format!("ack delete {id}"));
        } else if random.random_ratio(1, 10) {
            fail_to_store(&manager, &id).await;
            manager.reap(1000).await.expect("reaped");
        } else {
            store(&manager, &id, &mut random).await;
        }
    }
}

/// Puts, overwrites or deletes an object of the provider itself.
async fn change_in_place(objects: &SharedProvider, random: &mut StdRng) {
    let key =
        StorageKey::parse(format!("{IN_PLACE}{}", random.random_range(0..IN_PLACE_OBJECTS))).expect("a key");
    if random.random_ratio(1, 4) {
        say(&format!("begin delete {key}"));
        objects
            .delete(&key, &DeleteOptions::default())
            .await
            .expect("deleted");
        return say(&format!("ack delete {key}"));
    }
    let is_stream = random.random_bool(0.5);
    let (content, digest) = some_content(random, is_stream);
    let mut options = UploadOptions::default();
    options.attributes = options
        .attributes
        .with_user_metadata("content-digest", digest.to_string());
    options.precondition = match random.random_range(0..3) {
        0 => Precondition::None,
        1 => Precondition::IfAbsent,
        _ => match objects.metadata(&key, &CallOptions::default()).await {
            Ok(present) => Precondition::IfMatch(present.etag.expect("an etag")),
            Err(error) if error.kind() == ErrorKind::NotFound => Precondition::None,
            Err(error) => panic!("{error}: {error:?}"),
        },
    };
    say(&format!("begin put {key} {digest}"));
    match objects.upload(&key, content, &options).await {
        Ok(_) => say(&format!("ack put {key} {digest}")),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => say(&format!("refused put {key}")),
        Err(error) => panic!("{error}: {error:?}"),
    }
}

/// Makes content of a random length, at once or as a stream, and its digest.
fn some_content(random: &mut StdRng, is_stream: bool) -> (Content, Digest) {
    let length = if random.random_ratio(1, 8) {
        random.random_range(0..600_000)
    } else {
        random.random_range(0..9_000)
    };
    let mut bytes = vec![0_u8; length];
    random.fill(&mut bytes[..]);
    let digest = Digest::of(DigestAlgorithm::Blake3, &bytes);
    let content = if is_stream {
        in_pieces(bytes)
    } else {
        Content::from(bytes)
    };
    (content, digest)
}

/// A stream that ends too early: the write is refused half-way and cleaned up after.
async fn fail_to_store(manager: &StorageManager, id: &str) {
    let short = in_pieces(vec![7; 100_000]).with_length(100_001);
    let new = NewArtifact::new(ArtifactType::Image).with_artifact(ArtifactId::parse(id).expect("an id"));
    let error = manager
        .store_artifact(new.with_overwrite(), short)
        .await
        .expect_err("too short");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

async fn store(manager: &StorageManager, id: &str, random: &mut StdRng) {
    let is_displaced = random.random_bool(0.3);
    // What was read once cannot go elsewhere.
    let is_stream = !is_displaced && random.random_bool(0.5);
    let (content, digest) = some_content(random, is_stream);
    let overwrites = random.random_bool(0.6);
    let content_type = if is_displaced { DISPLACED } else { "image/png" };
    let mut new = NewArtifact::new(ArtifactType::Image)
        .with_artifact(ArtifactId::parse(id).expect("an id"))
        .with_content_type(ContentType::parse(content_type).expect("a type"))
        .with_user_metadata("content-digest", digest.to_string());
    if overwrites {
        new = new.with_overwrite();
    }
    say(&format!("begin put {id} {digest}"));
    match manager.store_artifact(new, content).await {
        Ok(_) => say(&format!("ack put {id} {digest}")),
        // It exists, or the claim of a worker that was killed has not ended yet.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => say(&format!("refused put {id}")),
        Err(error) => panic!("{error}: {error:?}"),
    }
}

fn in_pieces(bytes: Vec<u8>) -> Content {
    let pieces: Vec<Bytes> = bytes.chunks(50_000).map(Bytes::copy_from_slice).collect();
    let stream: ByteStream = Box::pin(futures_util::stream::iter(pieces.into_iter().map(Ok)));
    Content::from_stream(None, stream)
}
