//! Processes that are killed: what was acknowledged is there, and the file is whole.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use boards_storage_catalog::SqliteCatalog;
use boards_storage_core::{ArtifactQuery, Catalog, TenantId, Usage, VersionSelector};

use crate::child::{check_integrity, identity, object, start};

const KILLS: usize = 30;

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(work)
}

/// The last that a child told of each artifact, and its version.
type Told = BTreeMap<String, (String, String)>;

/// Lets a child work, kills it after so long, and adds what it told.
fn kill_after(path: &Path, round: usize, time: Duration, told: &mut Told) {
    let mut child = start("flood", &[path.to_str().expect("text"), &format!("r{round}")]);
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let reader = std::thread::spawn(move || {
        let mut lines = Vec::new();
        let mut line = String::new();
        // A line without its end was cut off by the kill.
        while out.read_line(&mut line).expect("the pipe can be read") > 0 && line.ends_with('\n') {
            lines.push(std::mem::take(&mut line));
        }
        lines
    });
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::thread::sleep(Duration::from_millis(1));
        assert!(
            child.try_wait().expect("the child can be asked").is_none(),
            "the child works until it is killed"
        );
    }
    child.kill().expect("killed");
    child.wait().expect("the child can be awaited");
    for line in reader.join().expect("the reader does not panic") {
        let [state, name, version] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("the child told {line:?}");
        };
        told.insert(name.to_owned(), (state.to_owned(), version.to_owned()));
    }
}

/// Checks all that was told against the catalog.
async fn check_told(catalog: &SqliteCatalog, told: &Told) {
    for (name, (state, version)) in told {
        let found = catalog
            .find(&identity(name), VersionSelector::Current)
            .await
            .expect("asked");
        match (state.as_str(), found) {
            ("begun" | "deleting", _) | ("deleted", None) => {}
            ("stored", Some(record)) => {
                assert_eq!(record.version.to_string(), *version);
                assert_eq!(record.digest, object(name).digest);
                assert_eq!(record.attributes, object(name).attributes);
                assert_eq!(record.replicas.len(), 1);
            }
            (state, found) => panic!("{name} was {state}, and now {found:?}"),
        }
    }
}

/// Checks that what is counted as used is what there is.
async fn check_usage(catalog: &SqliteCatalog) {
    let mut used = Usage::default();
    let mut query = ArtifactQuery::default();
    loop {
        let page = catalog.list(&query).await.expect("listed");
        for record in &page.records {
            for version in catalog.versions(&record.variant).await.expect("asked") {
                used.add(version.size_bytes);
            }
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    let counted = catalog.usage(&TenantId::default()).await.expect("asked");
    assert_eq!(counted.used, used);
}

pub(crate) fn what_was_acknowledged_survives() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.db");
    let seed: u64 = rand::random();
    let mut told = Told::new();
    for round in 0..KILLS {
        // From the middle of opening the file to the middle of busy work.
        let time = Duration::from_millis((seed.rotate_left(u32::try_from(round).expect("small")) % 250) + 5);
        let before = told.len();
        kill_after(&path, round, time, &mut told);
        block_on(async {
            let catalog = SqliteCatalog::open(&path)
                .await
                .expect("a killed process leaves a catalog that opens");
            let new: Told = told
                .iter()
                .filter(|(name, _)| name.starts_with(&format!("r{round}-")))
                .map(|(name, what)| (name.clone(), what.clone()))
                .collect();
            check_told(&catalog, &new).await;
            check_usage(&catalog).await;
            catalog.close().await.expect("closed");
            check_integrity(&path).await;
        });
        assert!(told.len() >= before);
    }
    block_on(async {
        let catalog = SqliteCatalog::open(&path).await.expect("opened");
        check_told(&catalog, &told).await;
    });
    let stored = told.values().filter(|(state, _)| state == "stored").count();
    assert!(
        stored > KILLS,
        "only {stored} artifacts were stored between {KILLS} kills (seed {seed})"
    );
}

/// What a child had told when it ended at the failpoint, and whether the artifact is there then.
const EXPECTED: &[(&str, &str, bool)] = &[
    ("catalog::begin::committed", "", false),
    ("catalog::divert::before", "begun", false),
    ("catalog::divert::after", "begun", false),
    ("catalog::commit::before", "diverted", false),
    ("catalog::commit::after", "diverted", true),
    ("catalog::reap::after", "committed", true),
    ("catalog::abandon::before", "reaped", true),
    ("catalog::tombstone::before", "abandoned", true),
    ("catalog::tombstone::after", "abandoned", false),
    ("catalog::purge::before", "deleted", false),
];

pub(crate) fn every_failpoint_leaves_a_whole_catalog() {
    let mut known: Vec<_> = EXPECTED.iter().map(|(name, _, _)| *name).collect();
    let mut listed = boards_storage_catalog::FAILPOINTS.to_vec();
    known.sort_unstable();
    listed.sort_unstable();
    assert_eq!(known, listed);
    for (failpoint, last, is_there) in EXPECTED {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("catalog.db");
        let output = start("life", &[path.to_str().expect("text"), failpoint])
            .wait_with_output()
            .expect("awaited");
        assert!(!output.status.success(), "the child ends at {failpoint}");
        let told = String::from_utf8(output.stdout).expect("text");
        assert_eq!(told.lines().last().unwrap_or_default(), *last, "at {failpoint}");
        block_on(async {
            let catalog = SqliteCatalog::open(&path).await.expect("opened");
            let found = catalog
                .find(&identity("a"), VersionSelector::Current)
                .await
                .expect("asked");
            assert_eq!(found.is_some(), *is_there, "at {failpoint}");
            check_usage(&catalog).await;
            check_integrity(&path).await;
            let error = catalog
                .renew(
                    boards_storage_core::VersionId::fresh(),
                    jiff::Timestamp::UNIX_EPOCH,
                )
                .await;
            assert_eq!(
                error.expect_err("unknown").kind(),
                boards_storage_core::ErrorKind::PreconditionFailed,
                "it can be written to"
            );
        });
    }
}
