//! Listings against a sorted model, with windows so small that every folder is read several times.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use boards_storage_core::{ListEntry, ListOptions, StorageKey, StorageProvider};
use boards_storage_local::LocalProvider;
use futures_util::StreamExt;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use crate::processes::{start, tell};
use crate::support::Base;

/// How many files the great listing has unless `LOCAL_LIST_FILES` says otherwise.
const FILES: usize = 20_000;

/// How much the memory of a process may grow by a listing, whatever its length.
const GROWTH_KIB_MAX: u64 = 24 * 1024;

/// Makes an empty file, unless a file stands where a folder would have to be, or the other way round.
fn touch(base: &Path, name: &str) {
    let path = base.join(name);
    let folder = path.parent().expect("a folder");
    if std::fs::create_dir_all(folder).is_ok() && !path.is_dir() {
        std::fs::write(&path, "").expect("written");
    }
}

async fn listed(provider: &LocalProvider, options: &ListOptions) -> Vec<String> {
    let entries: Vec<_> = provider.list(options).await.expect("listed").collect().await;
    let names = entries.into_iter().map(|entry| match entry.expect("an entry") {
        ListEntry::Object(metadata) => {
            assert!(metadata.etag.is_some() && metadata.modified.is_some());
            metadata.key.as_str().to_owned()
        }
        ListEntry::Prefix(prefix) => prefix,
    });
    names.collect()
}

/// Says what a listing must give, from the sorted keys.
fn model(keys: &BTreeSet<String>, options: &ListOptions) -> Vec<String> {
    let after = options.start_after.clone().unwrap_or_default();
    let mut names = BTreeSet::new();
    for key in keys.iter().filter(|key| key.starts_with(&options.prefix)) {
        let rest = &key[options.prefix.len()..];
        match rest.find('/').filter(|_| options.delimiter.is_some()) {
            Some(end) => names.insert(key[..options.prefix.len() + end + 1].to_owned()),
            None => names.insert(key.clone()),
        };
    }
    names
        .into_iter()
        .filter(|name| *name > after)
        .take(options.limit.unwrap_or(usize::MAX))
        .collect()
}

fn segment() -> impl Strategy<Value = String> {
    // What sorts before and after the slash, and around each other's ends.
    proptest::collection::vec(
        prop_oneof![
            Just('a'),
            Just('b'),
            Just('-'),
            Just('.'),
            Just('0'),
            Just('ü'),
            Just(' ')
        ],
        1..3,
    )
    .prop_map(|letters| letters.into_iter().collect::<String>())
    .prop_filter("no key has it", |segment| segment != "." && segment != "..")
}

fn name() -> impl Strategy<Value = String> {
    proptest::collection::vec(segment(), 1..4).prop_map(|segments| segments.join("/"))
}

/// Text that need not be a key: names, folders, and parts of both.
fn text() -> impl Strategy<Value = String> {
    (name(), 0_usize..8, any::<bool>()).prop_map(|(name, cut, slash)| {
        let mut text: String = name.chars().take(cut).collect();
        if slash {
            text.push('/');
        }
        text
    })
}

proptest! {
    #[test]
    fn a_listing_is_the_sorted_model(
        names in proptest::collection::vec(name(), 0..40),
        prefix in prop_oneof![Just(String::new()), text()],
        start_after in proptest::option::of(text()),
        has_delimiter: bool,
        limit in proptest::option::of(1_usize..20),
        window in 1_usize..6,
    ) {
        let base = Base::new();
        for name in &names {
            touch(base.path(), name);
        }
        // What is empty or reserved is never seen.
        std::fs::create_dir_all(base.path().join("a empty/b")).expect("made");
        touch(base.path(), ".boards-storage/multipart/x");
        let keys: BTreeSet<String> = base.files("").into_iter().filter(|name| StorageKey::parse(name).is_ok()).collect();
        let mut options = ListOptions::default().with_prefix(prefix);
        options.start_after = start_after;
        options.limit = limit;
        options.delimiter = has_delimiter.then(|| "/".to_owned());
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let found = runtime.block_on(async {
            let provider = base.open().await.with_list_window(window);
            listed(&provider, &options).await
        });
        assert_eq!(found, model(&keys, &options), "{options:?} of {keys:?}");
    }
}

#[tokio::test]
async fn a_folder_far_beyond_the_window_is_listed_once_and_in_order() {
    let base = Base::new();
    std::fs::create_dir(base.path().join("d")).expect("made");
    let mut keys = BTreeSet::new();
    for index in 0..20_000_u32 {
        // Scattered, so that the order on the disk is another.
        let name = format!("d/{:08x}", index.wrapping_mul(2_654_435_761));
        std::fs::write(base.path().join(&name), "").expect("written");
        keys.insert(name);
    }
    let provider = base.open().await.with_list_window(700);
    let all = ListOptions::default();
    assert_eq!(
        listed(&provider, &all).await,
        keys.iter().cloned().collect::<Vec<_>>()
    );
    let middle = keys.iter().nth(9_999).expect("the middle");
    let rest = ListOptions::default()
        .with_prefix("d/")
        .with_start_after(middle.clone());
    assert_eq!(listed(&provider, &rest).await.len(), 10_000);
}

#[tokio::test]
async fn names_that_are_no_keys_are_left_out() {
    use std::os::unix::ffi::OsStrExt;
    let base = Base::new();
    for name in [&b"ok"[..], b"back\\slash", b"new\nline", b"\xff\xfe", b"\x7f"] {
        std::fs::write(base.path().join(std::ffi::OsStr::from_bytes(name)), "").expect("written");
    }
    let bad = base.path().join("bad\\folder");
    std::fs::create_dir(&bad).expect("made");
    std::fs::write(bad.join("x"), "").expect("written");
    let provider = base.open().await;
    assert_eq!(listed(&provider, &ListOptions::default()).await, ["ok"]);
    assert_eq!(
        listed(&provider, &ListOptions::default().with_delimiter("/")).await,
        ["ok"]
    );
}

#[tokio::test]
async fn a_long_listing_needs_no_more_memory_than_a_short_one() {
    let files = match std::env::var("LOCAL_LIST_FILES") {
        Ok(text) => text.parse().expect("LOCAL_LIST_FILES is a number"),
        Err(_) => FILES,
    };
    let base = Base::new();
    std::fs::create_dir(base.path().join("folder")).expect("made");
    for index in 0..u32::try_from(files).expect("fewer than 2^32") {
        // In no order, and each once: the multiplier is odd.
        let name = format!("folder/file-{:08x}.bin", index.wrapping_mul(2_654_435_761));
        std::fs::File::create(base.path().join(name)).expect("a file");
    }
    let output = start(&base, "list", files).wait_with_output().expect("ended");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let figures = said
        .lines()
        .find(|line| line.contains("entries in order"))
        .expect("figures");
    tell(figures);
}

/// A process of its own, whose greatest memory is that of the listing.
pub(crate) async fn list_all(provider: &LocalProvider, files: usize) {
    let (before, begun) = (memory_max_kib(), Instant::now());
    let mut entries = provider.list(&ListOptions::default()).await.expect("a listing");
    let (mut count, mut last) = (0, String::new());
    while let Some(entry) = entries.next().await {
        let entry = entry.expect("a whole listing");
        assert!(entry.name() > last.as_str(), "{} after {last}", entry.name());
        last.clear();
        last.push_str(entry.name());
        count += 1;
    }
    let (seconds, after) = (begun.elapsed().as_secs_f64(), memory_max_kib());
    assert_eq!(count, files);
    assert!(
        after - before < GROWTH_KIB_MAX,
        "the memory grew from {before} to {after} KiB"
    );
    tell(&format!(
        "{count} entries in order, {seconds:.2} s, greatest memory {before} KiB before, {after} KiB after"
    ));
}

/// Returns the greatest memory that this process ever had.
fn memory_max_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells it");
    let mut lines = status.lines();
    let text = lines.find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    text.trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number of KiB")
}
