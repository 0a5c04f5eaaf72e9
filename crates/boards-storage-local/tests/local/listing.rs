//! Listings: their order against a model, and their memory in one great folder.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use boards_storage_core::{ListOptions, StorageKey, StorageProvider};
use futures_util::TryStreamExt;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::child::{Running, tell};
use crate::support::{Scene, list, list_all, open, run};

/// How many files the great listing has unless the environment says otherwise.
const FILES: usize = 20_000;

/// How much the memory of a process may grow by a listing, whatever its length.
const GROWTH_KIB_MAX: u64 = 32 * 1024;

/// Returns what a listing must give.
fn model(keys: &BTreeSet<String>, options: &ListOptions) -> Vec<String> {
    let matching = keys.iter().filter(|key| key.starts_with(&options.prefix));
    let fold = |key: &String| match &options.delimiter {
        Some(delimiter) => match key[options.prefix.len()..].find(delimiter.as_str()) {
            Some(at) => key[..options.prefix.len() + at + delimiter.len()].to_owned(),
            None => key.clone(),
        },
        None => key.clone(),
    };
    let entries: BTreeSet<String> = matching.map(fold).collect();
    let is_after = |entry: &String| options.start_after.as_ref().is_none_or(|start| entry > start);
    entries
        .into_iter()
        .filter(is_after)
        .take(options.limit.unwrap_or(usize::MAX))
        .collect()
}

fn random_name(random: &mut StdRng, characters: &[char], length_max: usize) -> String {
    (0..random.random_range(1..=length_max))
        .map(|_| characters[random.random_range(0..characters.len())])
        .collect()
}

/// Makes files whose names lie on both sides of `/` in byte order.
fn random_tree(random: &mut StdRng, base: &Path) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for _ in 0..random.random_range(1..200) {
        let segments = random.random_range(1..=4);
        let name = |_| random_name(random, &['a', 'b', '-', '.', '0', ' ', 'é', '\u{10348}'], 3);
        let text = (0..segments).map(name).collect::<Vec<_>>().join("/");
        let path = base.join(&text);
        if StorageKey::parse(&text).is_err() || path.is_dir() {
            continue;
        }
        // Where a file is in the way of the folder, the key is left out.
        if std::fs::create_dir_all(path.parent().expect("a folder")).is_ok() {
            std::fs::write(path, "").expect("a file");
            keys.insert(text);
        }
    }
    keys
}

fn random_options(random: &mut StdRng, keys: &BTreeSet<String>) -> ListOptions {
    let mut text = |is_cut: bool| {
        let index = random.random_range(0..keys.len());
        let key = keys.iter().nth(index).expect("a key");
        let characters = if is_cut {
            random.random_range(0..=key.chars().count())
        } else {
            usize::MAX
        };
        key.chars().take(characters).collect::<String>()
    };
    let (prefix, whole, cut) = (text(true), text(false), text(true));
    let mut options = ListOptions::default();
    if random.random_bool(0.5) {
        options = options.with_prefix(prefix);
    }
    match random.random_range(0..5) {
        0 => options = options.with_start_after(whole),
        1 => options = options.with_start_after(cut),
        2 => options = options.with_start_after(cut + "/"),
        _ => {}
    }
    if random.random_bool(0.4) {
        options = options.with_delimiter("/");
    }
    if random.random_bool(0.4) {
        options = options.with_limit(random.random_range(1..50));
    }
    options
}

pub(crate) fn every_listing_equals_the_model() {
    let seed: u64 = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    run(async {
        for _ in 0..20 {
            let scene = Scene::new().await;
            let keys = random_tree(&mut random, &scene.base);
            if keys.is_empty() {
                continue;
            }
            let window = random.random_range(1..20);
            let provider = scene.provider.with_list_window(window);
            for _ in 0..40 {
                let options = random_options(&mut random, &keys);
                let listed = list(&provider, &options).await;
                assert_eq!(
                    listed,
                    model(&keys, &options),
                    "seed {seed}, window {window}, {options:?}, {keys:?}"
                );
            }
        }
    });
}

pub(crate) fn a_folder_of_20_000_is_listed_in_order() {
    let seed: u64 = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    run(async {
        let scene = Scene::new().await;
        let folder = scene.path("great/folder");
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut keys = BTreeSet::new();
        while keys.len() < FILES {
            let name = random_name(&mut random, &['a', 'b', 'c', 'Z', '-', '0', '9', 'ü'], 12);
            std::fs::File::create(folder.join(&name)).expect("a file");
            keys.insert(format!("great/folder/{name}"));
        }
        let sorted: Vec<String> = keys.iter().cloned().collect();
        assert!(list_all(&scene.provider).await == sorted, "seed {seed}");
        for window in [3_000, FILES, FILES - 1] {
            let provider = open(&scene.base).await.with_list_window(window);
            assert!(
                list_all(&provider).await == sorted,
                "seed {seed}, window {window}"
            );
            let first = |index: usize| sorted[index].chars().nth("great/folder/".len()).expect("a name");
            for start in [0, 2_999, 3_000, FILES - 1] {
                for options in [
                    ListOptions::default().with_start_after(&*sorted[start]),
                    ListOptions::default()
                        .with_start_after(&*sorted[start])
                        .with_limit(2_500),
                    ListOptions::default()
                        .with_prefix(format!("great/folder/{}", first(start)))
                        .with_limit(1_500),
                    ListOptions::default()
                        .with_prefix("great/folder/")
                        .with_delimiter("/"),
                ] {
                    let listed = list(&provider, &options).await;
                    assert!(
                        listed == model(&keys, &options),
                        "seed {seed}, window {window}, {options:?}"
                    );
                }
            }
        }
    });
}

/// Lists `LOCAL_LIST_FILES` empty files of one folder, and prints how long it took and how much memory.
pub(crate) fn list_million() {
    let files = match std::env::var("LOCAL_LIST_FILES") {
        Ok(text) => text.parse().expect("LOCAL_LIST_FILES is a number"),
        Err(_) => FILES,
    };
    let folder = tempfile::tempdir().expect("a folder");
    let lines = Running::start("list", &folder.path().join("base"), &[&files.to_string()]).finish();
    let [figures] = lines.as_slice() else {
        panic!("expected one line: {lines:?}")
    };
    tell(&format!("listing: {figures}"));
    assert!(
        figures.starts_with(&format!("{files} entries in order,")),
        "{figures}"
    );
}

/// A process of its own, whose greatest memory is that of the listing.
pub(crate) fn child(base: &Path, files: usize) {
    let folder = base.join("folder");
    std::fs::create_dir_all(&folder).expect("a folder");
    for index in 0..files {
        // In no order, and each once: the multiplier is odd.
        let name = u32::try_from(index)
            .expect("fewer than 2^32")
            .wrapping_mul(2_654_435_761);
        std::fs::File::create(folder.join(format!("file-{name:08x}.bin"))).expect("a file");
    }
    let before = memory_max_kib();
    run(async {
        let provider = open(base).await;
        let begun = Instant::now();
        let mut entries = provider.list(&ListOptions::default()).await.expect("a listing");
        let (mut count, mut last) = (0, String::new());
        while let Some(entry) = entries.try_next().await.expect("a whole listing") {
            assert!(entry.name() > last.as_str(), "{} after {last}", entry.name());
            last.clear();
            last.push_str(entry.name());
            count += 1;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let after = memory_max_kib();
        assert_eq!(count, files);
        assert!(
            after - before < GROWTH_KIB_MAX,
            "the memory grew from {before} to {after} KiB"
        );
        tell(&format!(
            "{count} entries in order, {seconds:.2} s, greatest memory {before} KiB before, {after} KiB after"
        ));
    });
}

/// Returns the greatest memory that this process ever had.
fn memory_max_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells it");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("VmHWM");
    line.trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number of KiB")
}
