//! Crashes, full disks and folders that cannot be written: nothing acknowledged is lost, nothing is silent.

use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use boards_storage_core::{
    ArtifactQuery, ArtifactRecord, AuditHead, AuditSink, Begun, Catalog, CatalogEvent, CatalogPage,
    DeleteMode, DeleteTarget, DeletedQuery, DeletedRecord, Error, ErrorKind, EventQuery, Intent,
    MemoryCatalog, NewIntent, Quota, Result, StorageKey, StoredObject, TenantId, TenantUsage, Tombstone,
    Utilization, UtilizationKey, VariantIdentity, VersionId, VersionSelector, async_trait,
};
use boards_storage_layers::JsonlSink;
use jiff::Timestamp;

use super::{Log, append, events, file, read};

/// A catalog that cannot be reached the first time its head is to be moved.
#[derive(Debug, Default)]
pub(super) struct Broken {
    inner: MemoryCatalog,
    advances: AtomicU32,
}

macro_rules! pass_on {
    ($( async fn $name:ident(&self $(, $argument:ident: $type:ty)*) -> $answer:ty; )*) => {
        #[async_trait]
        impl Catalog for Broken {
            $( async fn $name(&self $(, $argument: $type)*) -> $answer { self.inner.$name($($argument),*).await } )*

            async fn advance_audit_head(&self, log: &str, head: &AuditHead) -> Result<AuditHead> {
                if self.advances.fetch_add(1, Ordering::AcqRel) == 0 {
                    return Err(Error::new(ErrorKind::ProviderUnavailable, "the catalog is away"));
                }
                self.inner.advance_audit_head(log, head).await
            }
        }
    };
}

pass_on! {
    async fn begin(&self, intent: &NewIntent) -> Result<Begun>;
    async fn divert(&self, from: VersionId, to: &NewIntent, cleanup_from: Timestamp) -> Result<Intent>;
    async fn renew(&self, version: VersionId, lease_until: Timestamp) -> Result<()>;
    async fn commit(&self, version: VersionId, object: &StoredObject, at: Timestamp) -> Result<ArtifactRecord>;
    async fn abandon(&self, version: VersionId) -> Result<()>;
    async fn reap_intents(&self, now: Timestamp, after: Option<VersionId>, limit: usize) -> Result<Vec<Intent>>;
    async fn ended_intents(&self, now: Timestamp, after: Option<VersionId>, limit: usize) -> Result<Vec<Intent>>;
    async fn find(&self, variant: &VariantIdentity, version: VersionSelector) -> Result<Option<ArtifactRecord>>;
    async fn find_by_key(&self, key: &StorageKey) -> Result<Option<ArtifactRecord>>;
    async fn versions(&self, variant: &VariantIdentity) -> Result<Vec<ArtifactRecord>>;
    async fn list(&self, query: &ArtifactQuery) -> Result<CatalogPage>;
    async fn tombstone(&self, target: &DeleteTarget, mode: DeleteMode, at: Timestamp) -> Result<Vec<Tombstone>>;
    async fn restore(&self, target: &DeleteTarget, at: Timestamp) -> Result<Vec<ArtifactRecord>>;
    async fn deleted(&self, query: &DeletedQuery) -> Result<Vec<DeletedRecord>>;
    async fn expire_deleted(&self, now: Timestamp, limit: usize) -> Result<usize>;
    async fn usage(&self, tenant: &TenantId) -> Result<TenantUsage>;
    async fn set_quota(&self, tenant: &TenantId, quota: Option<Quota>) -> Result<()>;
    async fn tombstones(&self, before: Timestamp, after: Option<VersionId>, limit: usize) -> Result<Vec<Tombstone>>;
    async fn purge(&self, version: VersionId) -> Result<()>;
    async fn events(&self, query: &EventQuery) -> Result<Vec<CatalogEvent>>;
    async fn audit_head(&self, log: &str) -> Result<Option<AuditHead>>;
    async fn utilization(&self) -> Result<std::collections::BTreeMap<UtilizationKey, Utilization>>;
    async fn probe(&self) -> Result<()>;
}

/// Leaves what a process that died while it wrote would leave.
fn tear(log: &Log, number: u32, rest: &[u8]) {
    let path = log.path().join(file(number));
    let mut torn = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .expect("opened");
    torn.write_all(rest).expect("written");
}

#[tokio::test]
async fn a_half_written_line_is_removed_and_told() {
    let log = Log::new();
    append(&log.open(), &["a", "b"]).await;
    tear(&log, 1, b"{\"sequence\":4,\"previous\":\"12");
    let found = log.verify().await;
    assert!(found.is_whole(), "it was never acknowledged: {found:?}");
    assert_eq!(found.unfinished_bytes, 28);
    append(&log.open(), &["c"]).await;
    let found = log.verify().await;
    assert!(found.is_whole(), "{found:?}");
    assert_eq!((found.events, found.repairs, found.unfinished_bytes), (3, 1, 0));
    let text = read(&log.path().join(file(1)));
    let repair = text.lines().nth(3).expect("a line");
    assert!(
        repair.contains("\"type\":\"repair\"") && repair.contains("\"removed_bytes\":28"),
        "{repair}"
    );
}

#[tokio::test]
async fn pages_that_never_reached_the_disk_are_removed_and_told() {
    let log = Log::new();
    append(&log.open(), &["a", "b"]).await;
    // A lost page, and one behind it that was kept.
    let mut garbage = vec![0; 300];
    garbage.extend_from_slice(b"rest of a line\n{\"sequence\":9}\n");
    tear(&log, 1, &garbage);
    append(&log.open(), &["c"]).await;
    let found = log.verify().await;
    assert!(found.is_whole(), "{found:?}");
    assert_eq!((found.events, found.repairs), (3, 1));
}

#[tokio::test]
async fn a_file_whose_maker_died_is_made_again() {
    for rest in [&b""[..], b"{\"sequence\":4,\"prev"] {
        let log = Log::new();
        append(&log.open(), &["a", "b"]).await;
        tear(&log, 2, rest);
        assert!(log.verify().await.is_whole());
        log.next_day();
        append(&log.open(), &["c"]).await;
        append(&log.open(), &["d"]).await;
        let found = log.verify().await;
        assert!(found.is_whole(), "{found:?}");
        assert_eq!((found.files, found.events), (2, 4));
        assert_eq!(found.repairs, u64::from(!rest.is_empty()));
    }
}

#[tokio::test]
async fn a_log_that_lost_what_was_acknowledged_is_not_gone_on_with() {
    let log = Log::new();
    append(&log.open(), &["a", "b"]).await;
    let path = log.path().join(file(1));
    let whole = std::fs::read(&path).expect("read");
    let check = async || {
        let error = log.open().append(&events(&["c"])).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
        let error = log.open().ready().await.expect_err("not ready");
        assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
    };
    std::fs::write(&path, &whole[..whole.len() - 1]).expect("the last end of a line is gone");
    check().await;
    let last_line = whole[..whole.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .expect("lines");
    std::fs::write(&path, &whole[..=last_line]).expect("the last line is gone");
    check().await;
    std::fs::remove_file(&path).expect("the file is gone");
    check().await;
    std::fs::write(&path, &whole).expect("it is back");
    append(&log.open(), &["c"]).await;
    assert!(log.verify().await.is_whole());
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_told() {
    let log = Log::new();
    std::fs::write(log.path(), "a file stands in the way").expect("written");
    let error = log.open().ready().await.expect_err("not ready");
    assert!(error.to_string().contains("folder of the audit log"), "{error}");
    log.open().append(&events(&["a"])).await.expect_err("not written");
    std::fs::remove_file(log.path()).expect("removed");
    append(&log.open(), &["a"]).await;
}

/// A file system of 256 KiB, which goes with this value.
struct SmallDisk<'a>(&'a std::path::Path);

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_nothing_half_written_stays() {
    let log = Log::new();
    let path = log.path();
    std::fs::create_dir(&path).expect("made");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(&path)
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        // Without the right to mount, the limit on files in the next test stands in for the disk's.
        println!("no right to mount a file system: see `under_a_limit_of_files_too`");
        run_limited();
        return;
    }
    println!("the disk is a file system of 256 KiB");
    let _disk = SmallDisk(&path);
    let sink = log.open();
    append(&sink, &["a"]).await;
    std::fs::write(path.join("ballast"), vec![0; 1 << 20]).expect_err("it is full now");
    overfill(&log, &sink).await;
    std::fs::remove_file(path.join("ballast")).expect("removed");
    append(&sink, &many().iter().map(String::as_str).collect::<Vec<_>>()).await;
    let found = log.verify().await;
    assert!(found.is_whole(), "{found:?}");
    assert_eq!(found.events, 201);
}

fn many() -> Vec<String> {
    (0..200).map(|index| format!("event-{index}")).collect()
}

/// Appends more than there is room for.
async fn overfill(log: &Log, sink: &JsonlSink) {
    let many = many();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let error = sink.append(&events(&many)).await.expect_err("no room");
    assert_eq!(error.kind(), ErrorKind::InsufficientStorage, "{error:?}");
    let found = log.verify().await;
    assert!(found.is_whole(), "{found:?}");
    assert_eq!((found.events, found.unfinished_bytes), (1, 0));
}

/// Set in the child whose files cannot grow beyond 32 KiB.
const LIMITED: &str = "BOARDS_STORAGE_TEST_LIMITED_FILES";

/// Runs the test below in a child of its own, with that limit.
fn run_limited() {
    let (_, module) = module_path!().split_once("::").expect("in the crate");
    let name = format!("{module}::under_a_limit_of_files_too");
    let ran = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", &name])
        .env(LIMITED, "yes")
        .output()
        .expect("ran");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

/// Where files have no limit, it sees to a child in which they have one.
#[tokio::test]
async fn under_a_limit_of_files_too() {
    if std::env::var_os(LIMITED).is_none() {
        run_limited();
        return;
    }
    let log = Log::new();
    let sink = log.open();
    append(&sink, &["a"]).await;
    overfill(&log, &sink).await;
    append(&sink, &["b"]).await;
    let found = log.verify().await;
    assert!(found.is_whole(), "{found:?}");
    assert_eq!(found.events, 2);
}
