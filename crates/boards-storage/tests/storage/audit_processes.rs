//! Several processes that write one audit log, and processes that are killed. A test starts this program again; each
//! child does the work that an environment variable names.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use boards_storage::layers::{AuditOrder, AuditVerification, JsonlConfig, JsonlSink};
use boards_storage::prelude::*;
use boards_storage::{
    AuditEvent, AuditLog, AuditOperation, AuditOptions, AuditQuery, AuditSink, AuditTrail, CallContext,
    ManagerSettings, ProviderSettings, Storage, StorageSettings, SystemClock,
};
use boards_storage_testkit::MemoryProvider;

use crate::world::image;

const WORK: &str = "AUDIT_TEST_WORK";
const FOLDER: &str = "AUDIT_TEST_FOLDER";

/// Starts this program again to do some work in a folder.
fn start(folder: &Path, work: &str) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "audit_processes::the_work_of_a_child",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(WORK, work)
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("started")
}

/// Not a test of its own: what a child does. Without the variable there is nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::disallowed_methods,
    reason = "the parent hands the child its work by the environment"
)]
async fn the_work_of_a_child() {
    let Ok(work) = std::env::var(WORK) else { return };
    let folder = std::env::var(FOLDER).expect("a folder");
    let count = if work == "forever" {
        usize::MAX
    } else {
        work.parse().expect("a count")
    };
    let (sink, _catalog) = sink(Path::new(&folder)).await;
    for _ in 0..count {
        let events: Vec<AuditEvent> = (0..1 + below(4)).map(|_index| event()).collect();
        sink.append(&events).await.expect("appended");
        for event in events {
            // Only what was acknowledged is told.
            tell(&format!("kept {}", event.id));
        }
    }
}

#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn tell(line: &str) {
    println!("{line}");
}

fn below(limit: usize) -> usize {
    usize::from(rand::random::<u8>()) % limit
}

fn event() -> AuditEvent {
    AuditEvent::new(AuditOperation::Store, &CallContext::default())
}

fn settings(folder: &Path) -> StorageSettings {
    let config = serde_json::json!({ "base_path": folder.join("objects") });
    let mut settings = StorageSettings::new(ProviderSettings::new("local", "local", config));
    settings.data_path = folder.to_owned();
    settings
}

/// Opens the log with its head in SQLite; files are small, so that they rotate.
async fn sink(folder: &Path) -> (JsonlSink, boards_storage::SharedCatalog) {
    let storage = Storage::builder()
        .settings(settings(folder))
        .open()
        .await
        .expect("opened");
    let catalog = Arc::clone(storage.catalog());
    let config = JsonlConfig::new(folder.join("audit")).with_size_bytes_max(8 << 10);
    (JsonlSink::new(config).with_catalog(Arc::clone(&catalog)), catalog)
}

/// Reads what a child says was kept, as it says it. The first line begins with what the harness says, the last may be
/// half a line.
fn told(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    lines
        .map_while(std::result::Result::ok)
        .filter_map(|line| line.split_once("kept ").map(|(_, id)| id.to_owned()))
        .filter(|id| id.len() == 36)
}

/// Verifies the log, and checks that everything that was kept is there once.
async fn check(folder: &Path, kept: &[String]) -> AuditVerification {
    let log = AuditLog::open(&settings(folder)).await.expect("opened");
    let found = log.verify().await.expect("verified");
    assert!(found.is_whole(), "{found:#?}");
    let mut events = log
        .reader(AuditOrder::OldestFirst, AuditQuery::default())
        .await
        .expect("opened");
    let mut there = BTreeSet::new();
    let mut last = 0;
    while let Some(entry) = events.next().await.expect("read") {
        assert!(entry.sequence > last);
        last = entry.sequence;
        assert!(
            there.insert(entry.event.id.to_string()),
            "an event is there twice"
        );
    }
    let lost: Vec<_> = kept.iter().filter(|id| !there.contains(*id)).collect();
    assert!(lost.is_empty(), "{} acknowledged events were lost", lost.len());
    log.close().await.expect("closed");
    found
}

#[tokio::test]
async fn eight_processes_write_one_chain() {
    const PROCESSES: usize = 8;
    const APPENDS: usize = 15;
    let folder = tempfile::tempdir().expect("a folder");
    let children: Vec<Child> = (0..PROCESSES)
        .map(|_| start(folder.path(), &APPENDS.to_string()))
        .collect();
    let mut all = Vec::new();
    for mut child in children {
        let some: Vec<String> = told(&mut child).collect();
        assert!(child.wait().expect("ended").success());
        assert!(some.len() >= APPENDS);
        all.extend(some);
    }
    let found = check(folder.path(), &all).await;
    assert_eq!(found.events, all.len() as u64);
    assert!(found.files > 1, "they rotated: {found:?}");
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill() {
    const ROUNDS: usize = 6;
    let folder = tempfile::tempdir().expect("a folder");
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        let mut children: Vec<Child> = (0..2).map(|_| start(folder.path(), "forever")).collect();
        let mut lines: Vec<_> = children.iter_mut().map(told).collect();
        // Both write by then, and never are they killed at the same moment of it.
        for lines in &mut lines {
            all.extend(lines.by_ref().take(5 + 3 * round));
        }
        for child in &mut children {
            child.kill().expect("killed");
            child.wait().expect("ended");
        }
        for lines in lines {
            all.extend(lines);
        }
        let before = check(folder.path(), &all).await;
        // The next one to write repairs what was left behind.
        let (sink, catalog) = sink(folder.path()).await;
        sink.append(&[event()]).await.expect("it goes on");
        catalog.close().await.expect("closed");
        let after = check(folder.path(), &all).await;
        assert_eq!(after.unfinished_bytes, 0);
        assert!(after.last_sequence > before.last_sequence);
    }
    assert!(!all.is_empty(), "nothing was acknowledged before a kill");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_of_one_manager_share_flushes_and_one_chain() {
    let folder = tempfile::tempdir().expect("a folder");
    let (sink, catalog) = sink(folder.path()).await;
    let trail = AuditTrail::start(Arc::new(sink), AuditOptions::default(), Arc::new(SystemClock));
    let manager = StorageManager::new(ManagerSettings::new("main"), catalog).with_audit(trail);
    manager
        .register_provider("main", MemoryProvider::builder().build())
        .expect("a free name");
    let puts = (0..64).map(|index| {
        let manager = manager.clone();
        async move { manager.store_artifact(image(&format!("a{index}")), "bytes").await }
    });
    for stored in futures_util::future::join_all(puts).await {
        stored.expect("stored");
    }
    assert_eq!(manager.audit().expect("a log").status().recorded, 64);
    manager.close().await.expect("closed");
    let found = check(folder.path(), &[]).await;
    assert_eq!(found.events, 64);
}
