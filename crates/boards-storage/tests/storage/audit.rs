//! One event for each artifact operation: what it says, whoever ends it, and however it ends.

use std::collections::BTreeSet;
use std::time::Duration;

use boards_storage::prelude::*;
use boards_storage::{
    AuditEvent, AuditLookups, AuditOperation, AuditOptions, AuditOutcome, CallContext, Capability,
    DeleteMode, DeleteTarget, DeletedQuery, EventQuery, FileDownloadOptions, ManagerSettings, OperationKind,
    PresignDownloadOptions, Principal, ResumableOptions, SignedMethod, StoreState,
};
use boards_storage_testkit::{MemoryAudit, MemoryProvider, Step};
use futures_util::StreamExt;

use crate::world::{World, check_kind, image, in_pieces, locate, stream};

/// What the manager has that is no artifact operation.
const NO_OPERATIONS: [&str; 8] = [
    "check_health",
    "close",
    "metrics",
    // Those of the quarantine are told as the store, the open and the delete that they make.
    "list_quarantined",
    "purge_quarantined",
    "release_quarantined",
    "rescan",
    "scan_artifact",
];

/// Which operation each of the manager's methods is.
const METHODS: [(&str, AuditOperation); 22] = [
    ("store_artifact", AuditOperation::Store),
    ("store_artifact_resumable", AuditOperation::Store),
    ("abandon_store", AuditOperation::Abandon),
    ("open_artifact", AuditOperation::Open),
    ("fetch_artifact", AuditOperation::Fetch),
    ("get_download_url", AuditOperation::DownloadUrl),
    ("get_artifact_reference", AuditOperation::Reference),
    ("find_by_key", AuditOperation::FindByKey),
    ("artifact_metadata", AuditOperation::Metadata),
    ("list_artifacts", AuditOperation::List),
    ("list_versions", AuditOperation::Versions),
    ("list_events", AuditOperation::Events),
    ("delete_artifact", AuditOperation::Delete),
    ("delete_variant", AuditOperation::Delete),
    ("purge_artifact", AuditOperation::Purge),
    ("purge_variant", AuditOperation::Purge),
    ("restore_artifact", AuditOperation::Restore),
    ("restore_variant", AuditOperation::Restore),
    ("list_deleted", AuditOperation::ListDeleted),
    ("tenant_usage", AuditOperation::Usage),
    ("set_quota", AuditOperation::SetQuota),
    ("reap", AuditOperation::Reap),
];

/// A journal that keeps the last state.
#[derive(Debug, Default)]
struct Kept(std::sync::Mutex<Option<StoreState>>);

#[boards_storage::async_trait]
impl boards_storage::Journal<StoreState> for Kept {
    async fn keep(&self, state: &StoreState) -> Result<()> {
        *self.0.lock().expect("no panic") = Some(state.clone());
        Ok(())
    }

    async fn forget(&self) -> Result<()> {
        Ok(())
    }
}

/// Calls one method of the manager.
async fn call(world: &World, method: &str) -> Result<()> {
    let manager = &world.manager;
    let context = CallContext::default();
    match method {
        "store_artifact" => drop(manager.store_artifact(image("new"), "bytes").await?),
        "store_artifact_resumable" => {
            let options = ResumableOptions::new(std::sync::Arc::new(Kept::default()));
            let new = image("resumable");
            drop(manager.store_artifact_resumable(new, "bytes", &options).await?);
        }
        "abandon_store" => {
            let state = interrupted(world).await;
            manager.abandon_store(&state, &context).await?;
        }
        "open_artifact" => drop(world.read(locate("a")).await?),
        "fetch_artifact" => {
            let file = tempfile::tempfile().expect("a file");
            let options = FileDownloadOptions::default();
            drop(manager.fetch_artifact(locate("a"), file, &options).await?);
        }
        "get_download_url" => {
            let options = PresignDownloadOptions::default();
            drop(manager.get_download_url(locate("a"), &options).await?);
        }
        "get_artifact_reference" => drop(manager.get_artifact_reference(locate("a")).await?),
        "find_by_key" => {
            let key = StorageKey::parse("default/image/a/original.png")?;
            drop(manager.find_by_key(&key).await?);
        }
        "artifact_metadata" => drop(manager.artifact_metadata(locate("a"), &context).await?),
        "list_artifacts" => drop(manager.list_artifacts(&ArtifactQuery::default()).await?),
        "list_versions" => drop(manager.list_versions(locate("a")).await?),
        "list_events" => drop(manager.list_events(&EventQuery::default()).await?),
        "delete_artifact" => {
            let (tenant, artifact) = (TenantId::default(), ArtifactId::parse("a")?);
            let deletion = manager.delete_artifact(&tenant, &artifact, &context).await?;
            assert!(deletion.existed());
        }
        "delete_variant" => assert!(manager.delete_variant(locate("b"), &context).await?.existed()),
        "purge_artifact" => {
            let (tenant, artifact) = (TenantId::default(), ArtifactId::parse("c")?);
            assert!(
                manager
                    .purge_artifact(&tenant, &artifact, &context)
                    .await?
                    .existed()
            );
        }
        "purge_variant" => assert!(manager.purge_variant(locate("d"), &context).await?.existed()),
        "restore_artifact" => {
            let (tenant, artifact) = (TenantId::default(), ArtifactId::parse("e")?);
            delete_recoverably(world, "e").await?;
            drop(manager.restore_artifact(&tenant, &artifact, &context).await?);
        }
        "restore_variant" => {
            delete_recoverably(world, "e").await?;
            drop(manager.restore_variant(locate("e"), &context).await?);
        }
        "list_deleted" => drop(manager.list_deleted(&DeletedQuery::default()).await?),
        "tenant_usage" => drop(manager.tenant_usage(&TenantId::default()).await?),
        "set_quota" => manager.set_quota(&TenantId::default(), None, &context).await?,
        "reap" => drop(manager.reap(10).await?),
        unknown => panic!("nothing calls {unknown}: add it here"),
    }
    Ok(())
}

/// Deletes as a manager that keeps deleted artifacts does.
async fn delete_recoverably(world: &World, artifact: &str) -> Result<()> {
    let target = DeleteTarget::Variant(locate(artifact).identity());
    let until = jiff::Timestamp::MAX;
    let (catalog, mode) = (world.manager.catalog(), DeleteMode::Recoverable { until });
    let dead = catalog
        .tombstone(&target, mode, jiff::Timestamp::UNIX_EPOCH)
        .await?;
    assert_eq!(dead.len(), 1);
    Ok(())
}

/// Begins to store something in parts, and dies.
async fn interrupted(world: &World) -> StoreState {
    let journal = std::sync::Arc::new(Kept::default());
    let options = ResumableOptions::new(std::sync::Arc::clone(&journal) as std::sync::Arc<_>);
    let failed = Step::FailBefore(Error::new(ErrorKind::AccessDenied, "no"));
    world.script.push(OperationKind::CompleteUpload, failed);
    let content = vec![7; 12 << 20];
    let new = image("interrupted");
    let stored = world
        .manager
        .store_artifact_resumable(new, content, &options)
        .await;
    check_kind(stored, ErrorKind::AccessDenied);
    let state = journal.0.lock().expect("no panic").clone();
    state.expect("it went in parts")
}

fn audited() -> (World, std::sync::Arc<MemoryAudit>) {
    let mut settings = ManagerSettings::new("main");
    settings.uploader.single_bytes_max = 1 << 20;
    let memory = MemoryProvider::builder().without(&[Capability::StreamingUpload]);
    World::with(settings, memory).audited(AuditOptions::default())
}

/// The only event that was written since the last look.
#[track_caller]
fn only(sink: &MemoryAudit) -> AuditEvent {
    let mut events = sink.take();
    assert_eq!(events.len(), 1, "{events:#?}");
    events.remove(0)
}

#[tokio::test(start_paused = true)]
async fn every_operation_writes_exactly_one_event() {
    let (world, sink) = audited();
    for id in ["a", "b", "c", "d", "e"] {
        world.put(image(id), "bytes").await.expect("stored");
    }
    let mut seen = BTreeSet::new();
    for (method, operation) in METHODS {
        let _ = sink.take();
        call(&world, method)
            .await
            .unwrap_or_else(|error| panic!("{method}: {error:?}"));
        let mut events = sink.take();
        if method == "abandon_store" {
            // What was interrupted for it is an event of its own.
            assert_eq!(events.remove(0).outcome, AuditOutcome::Denied);
        }
        assert_eq!(events.len(), 1, "{method}: {events:#?}");
        let event = &events[0];
        assert_eq!(
            (event.operation, event.outcome),
            (operation, AuditOutcome::Success),
            "{method}"
        );
        assert_eq!(event.read_only, operation.is_read_only());
        seen.insert(operation);
    }
    let all: BTreeSet<_> = AuditOperation::ALL.iter().copied().collect();
    assert_eq!(seen, all, "every operation of the audit log is some method's");
}

#[test]
fn every_method_of_the_manager_is_known_here() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../boards-storage-core/src/manager");
    let mut found = BTreeSet::new();
    #[expect(clippy::disallowed_methods, reason = "a test that reads the source")]
    for entry in std::fs::read_dir(folder).expect("the manager's folder") {
        let source = std::fs::read_to_string(entry.expect("an entry").path()).expect("a text");
        let methods = source.split("pub async fn ").skip(1);
        found.extend(methods.map(|rest| rest.split(['(', '<']).next().unwrap_or_default().to_owned()));
    }
    let known: BTreeSet<String> = METHODS
        .iter()
        .map(|(method, _)| *method)
        .chain(NO_OPERATIONS)
        .map(str::to_owned)
        .collect();
    assert_eq!(
        found, known,
        "a new method is an operation of the audit log, or none: say which"
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_says_who_did_what() {
    let (mut world, sink) = audited();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    world.manager = world.manager.with_context(
        CallContext::default()
            .with_principal(Principal::new("ada"))
            .with_source_address("192.0.2.7".parse().expect("an address"))
            .with_user_agent("test/1.0")
            .with_trace_parent(trace),
    );
    let new = image("a")
        .with_board(BoardId::parse("board").expect("an id"))
        .with_context(CallContext::default().with_request_id("req-1"));
    world.clock.set("2026-03-04T05:06:07Z".parse().expect("a time"));
    let reference = world.put(new, "bytes").await.expect("stored");
    let event = only(&sink);
    assert_eq!(
        event.principal.as_ref().map(|principal| principal.id.as_str()),
        Some("ada")
    );
    assert_eq!(event.source_address, "192.0.2.7".parse().ok());
    assert_eq!(event.user_agent.as_deref(), Some("test/1.0"));
    assert_eq!(event.request_id.as_deref(), Some("req-1"));
    assert_eq!(
        event.trace_id.as_deref(),
        Some("4bf92f3577b34da6a3ce929d0e0e4736")
    );
    assert_eq!(event.time.to_string(), "2026-03-04T05:06:07Z");
    assert_eq!(event.tenant, Some(TenantId::default()));
    assert_eq!(event.board.as_ref().map(BoardId::as_str), Some("board"));
    assert_eq!(event.artifact.as_ref(), Some(&reference.artifact_id));
    assert_eq!(event.artifact_type, Some(ArtifactType::Image));
    assert_eq!(event.variant.as_ref(), Some(&reference.variant));
    assert_eq!(event.version, Some(reference.version_id));
    assert_eq!(event.version_number, Some(1));
    assert_eq!(event.provider.as_deref(), Some("main"));
    assert_eq!(event.key.as_ref(), Some(&reference.storage_key));
    assert_eq!(event.access, Some(AccessClass::Private));
    assert_eq!((event.bytes_in, event.bytes_out), (Some(5), None));
}

#[tokio::test(start_paused = true)]
async fn refusals_are_events() {
    let mut settings = ManagerSettings::new("main");
    settings.size_bytes_max = Some(10);
    let (world, sink) = World::with(settings, MemoryProvider::builder()).audited(AuditOptions::default());
    let check = |kind: ErrorKind, result: Result<()>| {
        assert_eq!(result.expect_err("refused").kind(), kind);
        let event = only(&sink);
        assert_eq!(
            (event.outcome, event.error_kind),
            (AuditOutcome::Failure, Some(kind))
        );
        event
    };
    world.put(image("a"), "bytes").await.expect("stored");
    assert_eq!(only(&sink).outcome, AuditOutcome::Success);
    let exists = world.put(image("a"), "other").await.map(drop);
    let event = check(ErrorKind::AlreadyExists, exists);
    assert_eq!(event.artifact.as_ref().map(ArtifactId::as_str), Some("a"));
    check(
        ErrorKind::Rejected,
        world.put(image("b"), "far too many bytes").await.map(drop),
    );
    let reserved = image("c").with_user_metadata("boards-storage-x", "y");
    check(
        ErrorKind::InvalidInput,
        world.put(reserved, "bytes").await.map(drop),
    );
    let event = check(ErrorKind::NotFound, world.read(locate("nothing")).await.map(drop));
    assert_eq!(event.operation, AuditOperation::Open);
    assert_eq!(event.artifact.as_ref().map(ArtifactId::as_str), Some("nothing"));
    // Another writer holds the variant.
    world.script.push(OperationKind::Upload, Step::Stall);
    let writing = world.put(image("d"), "bytes");
    assert!(
        tokio::time::timeout(Duration::from_secs(1), writing)
            .await
            .is_err()
    );
    tokio::task::yield_now().await;
    assert_eq!(only(&sink).outcome, AuditOutcome::Cancelled);
    check(
        ErrorKind::AlreadyExists,
        world.put(image("d"), "bytes").await.map(drop),
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_denied_says_so() {
    let (world, sink) = audited();
    let new = image("a").with_access(AccessClass::Authenticated);
    world.put(new, "bytes").await.expect("stored");
    let _ = sink.take();
    let options = PresignDownloadOptions::default();
    check_kind(
        world.manager.get_download_url(locate("a"), &options).await,
        ErrorKind::AccessDenied,
    );
    let event = only(&sink);
    assert_eq!(
        (event.operation, event.outcome),
        (AuditOperation::DownloadUrl, AuditOutcome::Denied)
    );
    assert_eq!(event.signed, None);
    assert_eq!(event.access, Some(AccessClass::Authenticated));
}

#[tokio::test(start_paused = true)]
async fn a_signed_url_is_an_event_without_the_url() {
    let (world, sink) = audited();
    let new = image("a").with_user_metadata("prompt", "a very secret prompt");
    world.put(new, "the very secret content").await.expect("stored");
    let options = PresignDownloadOptions::default().with_expires_in(Duration::from_secs(60));
    let url = world
        .manager
        .get_download_url(locate("a"), &options)
        .await
        .expect("signed");
    world.read(locate("a")).await.expect("read");
    let events = sink.take();
    let signed = events[1].signed.expect("it was signed");
    assert_eq!(
        (signed.method, signed.expires_at),
        (SignedMethod::Get, Some(url.request.expires_at))
    );
    let (_, query) = url
        .request
        .url
        .split_once('?')
        .expect("a query, with the signature");
    assert!(!query.is_empty());
    let json = serde_json::to_string(&events).expect("json");
    for secret in [query, "very secret", "://"] {
        assert!(!json.contains(secret), "{secret} in {json}");
    }
    for value in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let is_long = value.1.len() > 12;
        assert!(!is_long || !json.contains(value.1), "{} in {json}", value.1);
    }
}

/// Opens an artifact that comes as a stream of pieces.
async fn opened(world: &World, sink: &MemoryAudit) -> boards_storage::Download {
    world
        .put(image("a"), stream(&["one", "two", "three"]))
        .await
        .expect("stored");
    let _ = sink.take();
    let opened = world
        .manager
        .open_artifact(locate("a"), &OpenOptions::default())
        .await;
    let opened = opened.expect("opened");
    assert!(sink.events().is_empty(), "its end is the stream's");
    opened
}

fn streaming() -> (World, std::sync::Arc<MemoryAudit>) {
    in_pieces().audited(AuditOptions::default())
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_read_to_its_end_is_a_success() {
    let (world, sink) = streaming();
    let download = opened(&world, &sink).await;
    assert_eq!(&download.bytes(100).await.expect("read")[..], b"onetwothree");
    let event = only(&sink);
    assert_eq!(
        (event.operation, event.outcome),
        (AuditOperation::Open, AuditOutcome::Success)
    );
    assert_eq!(event.bytes_out, Some(11));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_is_cancelled_with_the_bytes_that_went_out() {
    let (world, sink) = streaming();
    let mut stream = opened(&world, &sink).await.into_stream();
    let first = stream.next().await.expect("a piece").expect("bytes");
    drop(stream);
    tokio::task::yield_now().await;
    let event = only(&sink);
    assert_eq!(event.outcome, AuditOutcome::Cancelled);
    assert_eq!(event.bytes_out, Some(first.len() as u64));
    assert!(first.len() < 11);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_says_why_and_how_far_it_came() {
    let (world, sink) = streaming();
    world
        .put(image("a"), stream(&["one", "two", "three"]))
        .await
        .expect("stored");
    let _ = sink.take();
    let broken = Error::new(ErrorKind::ProviderUnavailable, "gone");
    world.script.push(OperationKind::Download, Step::Pass);
    world
        .script
        .push(OperationKind::Download, Step::FailBefore(broken));
    let mut stream = world
        .manager
        .open_artifact(locate("a"), &OpenOptions::default())
        .await
        .expect("opened")
        .into_stream();
    let mut bytes = 0;
    while let Some(Ok(piece)) = stream.next().await {
        bytes += piece.len() as u64;
    }
    assert!(stream.next().await.is_none(), "it has ended");
    let event = only(&sink);
    assert_eq!(event.outcome, AuditOutcome::Failure);
    assert_eq!(event.error_kind, Some(ErrorKind::ProviderUnavailable));
    assert_eq!(event.bytes_out, Some(bytes));
    assert!(bytes < 11);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_cancelled() {
    let (world, sink) = audited();
    world.script.push(OperationKind::Upload, Step::Stall);
    let storing = world.put(image("a"), "bytes");
    assert!(
        tokio::time::timeout(Duration::from_secs(3), storing)
            .await
            .is_err()
    );
    tokio::task::yield_now().await;
    let event = only(&sink);
    assert_eq!(
        (event.operation, event.outcome),
        (AuditOperation::Store, AuditOutcome::Cancelled)
    );
    assert_eq!(event.duration(), Duration::from_secs(3));
    assert_eq!(event.artifact.as_ref().map(ArtifactId::as_str), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn lookups_can_be_left_out() {
    let options = AuditOptions::default().with_lookups(AuditLookups::Skip);
    let (world, sink) = World::new().audited(options);
    world.put(image("a"), "bytes").await.expect("stored");
    world
        .manager
        .get_artifact_reference(locate("a"))
        .await
        .expect("found");
    world
        .manager
        .list_artifacts(&ArtifactQuery::default())
        .await
        .expect("listed");
    world.read(locate("a")).await.expect("read");
    let operations: Vec<_> = sink.take().iter().map(|event| event.operation).collect();
    assert_eq!(operations, [AuditOperation::Store, AuditOperation::Open]);
}

#[tokio::test(start_paused = true)]
async fn events_that_wait_at_one_time_go_together() {
    let (world, sink) = audited();
    let puts = (0..64).map(|index| world.put(image(&format!("a{index}")), "bytes"));
    let stored = futures_util::future::join_all(puts).await;
    assert!(stored.iter().all(Result::is_ok));
    assert_eq!(sink.events().len(), 64);
    assert!(sink.appends() < 64, "{} appends for 64 events", sink.appends());
}
