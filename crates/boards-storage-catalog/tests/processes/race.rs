//! Processes that race for the same variants.

use std::collections::BTreeSet;
use std::process::Child;

use boards_storage_catalog::SqliteCatalog;
use boards_storage_core::Catalog;

use crate::child::{check_integrity, identity, start};

const PROCESSES: usize = 4;

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(work)
}

/// Waits for children that have to succeed, and returns all that they told.
fn collect(children: Vec<Child>) -> Vec<Vec<String>> {
    let outputs = children
        .into_iter()
        .map(|child| child.wait_with_output().expect("the child can be awaited"));
    outputs
        .map(|output| {
            assert!(output.status.success(), "a child failed: {}", output.status);
            String::from_utf8(output.stdout)
                .expect("text")
                .lines()
                .map(str::to_owned)
                .collect()
        })
        .collect()
}

pub(crate) fn one_process_stores_each_variant() {
    const VARIANTS: usize = 200;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.db");
    let shown = path.to_str().expect("text");
    let count = VARIANTS.to_string();
    let told = collect((0..PROCESSES).map(|_| start("store", &[shown, &count])).collect());
    let mut won: Vec<_> = told.iter().flatten().cloned().collect();
    won.sort();
    let mut expected: Vec<_> = (0..VARIANTS).map(|index| format!("a{index}")).collect();
    expected.sort();
    assert_eq!(won, expected, "each variant has exactly one winner");
    block_on(async {
        let catalog = SqliteCatalog::open(&path).await.expect("opened");
        let page = catalog.list(&Default::default()).await.expect("listed");
        assert_eq!(page.records.len(), VARIANTS);
        assert!(page.records.iter().all(|record| record.number == 1));
        catalog.close().await.expect("closed");
        check_integrity(&path).await;
    });
}

pub(crate) fn overwrites_are_numbered_once() {
    const OVERWRITES: u64 = 100;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.db");
    let shown = path.to_str().expect("text");
    let count = OVERWRITES.to_string();
    let told = collect(
        (0..PROCESSES)
            .map(|_| start("overwrite", &[shown, &count]))
            .collect(),
    );
    let numbers: Vec<u64> = told
        .iter()
        .flatten()
        .map(|line| line.parse().expect("a number"))
        .collect();
    let distinct: BTreeSet<_> = numbers.iter().copied().collect();
    assert_eq!(numbers.len(), distinct.len(), "no number is given twice");
    assert_eq!(
        distinct,
        (1..=OVERWRITES * PROCESSES as u64).collect(),
        "there is no gap"
    );
    block_on(async {
        let catalog = SqliteCatalog::open(&path).await.expect("opened");
        let versions = catalog.versions(&identity("one")).await.expect("asked");
        assert_eq!(versions.len(), numbers.len());
        catalog.close().await.expect("closed");
        check_integrity(&path).await;
    });
}

pub(crate) fn many_processes_create_the_catalog() {
    let folder = tempfile::tempdir().expect("a folder");
    for round in 0..5 {
        let path = folder.path().join(format!("{round}/catalog.db"));
        let shown = path.to_str().expect("text");
        let told = collect((0..6).map(|_| start("store", &[shown, "1"])).collect());
        assert_eq!(told.concat(), ["a0"]);
    }
}
