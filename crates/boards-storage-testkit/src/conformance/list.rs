//! Listings: byte order, prefixes, folding, paging.

use std::collections::BTreeSet;

use boards_storage_core::{Capability, DeleteOptions, Error, ErrorKind, ListEntry, ListOptions, Result};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::case::{Case, refused};
use super::conformance_tests;
use super::need::Need::Has;

conformance_tests! {
    "list" needs [Has(Capability::List)] {
        nothing_is_an_empty_list []
        entries_come_in_byte_order []
        an_entry_tells_key_size_and_tag []
        a_prefix_may_end_within_a_segment []
        a_prefix_is_text_and_not_a_folder []
        a_prefix_that_no_key_can_have_is_the_beginning_of_nothing []
        odd_prefixes_are_taken_literally []
        a_limit_cuts []
        a_limit_of_nothing_is_refused []
        a_delimiter_folds [Has(Capability::ListDelimiter)]
        a_delimiter_folds_below_a_prefix [Has(Capability::ListDelimiter)]
        a_folded_entry_counts_once [Has(Capability::ListDelimiter)]
        another_delimiter_is_refused [Has(Capability::ListDelimiter)]
        start_after_begins_behind [Has(Capability::ListStartAfter)]
        start_after_and_a_prefix [Has(Capability::ListStartAfter)]
        start_after_and_a_delimiter [Has(Capability::ListStartAfter), Has(Capability::ListDelimiter)]
        many_keys_come_once_and_in_order []
        pages_put_together_are_the_list [Has(Capability::ListStartAfter)]
        a_dropped_listing_harms_nothing []
        what_is_deleted_is_not_listed []
        unfinished_uploads_are_not_listed [Has(Capability::Multipart)]
        what_stays_is_listed_while_others_come_and_go []
    }
}

async fn put_all(case: &Case, names: impl IntoIterator<Item = impl AsRef<str>>) -> Result<()> {
    let names: Vec<String> = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
    stream::iter(names)
        .map(Ok::<_, Error>)
        .try_for_each_concurrent(32, |name| async move { case.put(&name, "x").await.map(drop) })
        .await
}

async fn nothing_is_an_empty_list(case: Case) -> Result<()> {
    assert!(case.entries(&case.listing("")).await?.is_empty());
    case.put("a", "x").await?;
    assert!(case.entries(&case.listing("b")).await?.is_empty());
    assert!(case.entries(&case.listing("a/")).await?.is_empty());
    Ok(())
}

/// Names that sort differently by bytes, by folders, by case and by language.
const ORDER: &[&str] = &[
    "a b",
    "a!",
    "a-",
    "a.b",
    "a/b",
    "a/b.c",
    "a0",
    "a=",
    "aB",
    "ab",
    "a~",
    "a\u{7e}b",
    "B",
    "b/c/d",
    "b/c.d",
    "b/c0",
    "b/c-/x",
    "é",
    "z",
    "ä",
    "日本",
    "\u{ffff}",
    "\u{10000}",
    "_",
    "Z/y",
];

async fn entries_come_in_byte_order(case: Case) -> Result<()> {
    let mut names: Vec<_> = ORDER.iter().copied().filter(|name| case.can_hold(name)).collect();
    if !case.provider.capabilities().key_rules.file_or_folder {
        names.push("a");
        names.push("b/c");
    }
    put_all(&case, &names).await?;
    names.sort_unstable();
    assert_eq!(case.names(&case.listing("")).await?, names);
    Ok(())
}

async fn an_entry_tells_key_size_and_tag(case: Case) -> Result<()> {
    case.put_with("a", "12345", &case.options_of("one")).await?;
    case.put("b", "").await?;
    let entries = case.entries(&case.listing("")).await?;
    let sizes: Vec<_> = entries
        .iter()
        .map(|entry| match entry {
            ListEntry::Object(metadata) => (case.name_of(metadata.key.as_str()), metadata.size_bytes),
            ListEntry::Prefix(prefix) => panic!("no delimiter was given, got {prefix}"),
        })
        .collect();
    assert_eq!(sizes, [("a".to_owned(), 5), ("b".to_owned(), 0)]);
    let head = case.head("a").await?;
    let ListEntry::Object(listed) = &entries[0] else {
        panic!("seen above")
    };
    assert!(listed.etag.is_none() || listed.etag == head.etag);
    assert!(
        listed.modified.is_none() || head.modified.is_none() || {
            // Some stores list whole seconds.
            let (listed, head) = (
                listed.modified.unwrap_or_default(),
                head.modified.unwrap_or_default(),
            );
            listed.as_second() == head.as_second()
        }
    );
    Ok(())
}

async fn a_prefix_may_end_within_a_segment(case: Case) -> Result<()> {
    put_all(&case, ["image/a", "image/b", "images/a", "imag", "index"]).await?;
    for (prefix, expected) in [
        ("image", &["image/a", "image/b", "images/a"][..]),
        ("image/", &["image/a", "image/b"]),
        ("image/a", &["image/a"]),
        ("i", &["imag", "image/a", "image/b", "images/a", "index"]),
        ("images/a", &["images/a"]),
        ("images/ab", &[]),
    ] {
        assert_eq!(
            case.names(&case.listing(prefix)).await?,
            expected,
            "prefix {prefix:?}"
        );
    }
    Ok(())
}

async fn a_prefix_is_text_and_not_a_folder(case: Case) -> Result<()> {
    put_all(&case, ["a/b/c", "a/b.c", "a/bc", "ab/c"]).await?;
    assert_eq!(
        case.names(&case.listing("a/b")).await?,
        ["a/b.c", "a/b/c", "a/bc"]
    );
    assert_eq!(case.names(&case.listing("a/b/")).await?, ["a/b/c"]);
    assert_eq!(
        case.names(&case.listing("a")).await?,
        ["a/b.c", "a/b/c", "a/bc", "ab/c"]
    );
    Ok(())
}

async fn a_prefix_that_no_key_can_have_is_the_beginning_of_nothing(case: Case) -> Result<()> {
    put_all(&case, ["a/b", "c"]).await?;
    for prefix in ["a//", "/", "../", "a/../", "./", "a/b/../", "\u{1}", "a\\"] {
        assert!(
            case.entries(&case.listing(prefix)).await?.is_empty(),
            "prefix {prefix:?}"
        );
    }
    for prefix in ["/etc", "..", "../..", &"x".repeat(2000)] {
        let options = ListOptions::default().with_prefix(prefix);
        assert!(case.entries(&options).await?.is_empty(), "prefix {prefix:?}");
    }
    Ok(())
}

async fn odd_prefixes_are_taken_literally(case: Case) -> Result<()> {
    let names = [
        "a*b", "a%b", "a_b", "a?b", "a[b", "axb", "a+b", "a b", "a.b", "a&b",
    ];
    let held: Vec<_> = names.into_iter().filter(|name| case.can_hold(name)).collect();
    put_all(&case, &held).await?;
    for name in held {
        assert_eq!(case.names(&case.listing(&name[..2])).await?, [name]);
    }
    Ok(())
}

async fn a_limit_cuts(case: Case) -> Result<()> {
    put_all(&case, ["a", "b", "c", "d/e"]).await?;
    for limit in 1..6 {
        let names = case.names(&case.listing("").with_limit(limit)).await?;
        assert_eq!(names, ["a", "b", "c", "d/e"][..limit.min(4)]);
    }
    Ok(())
}

async fn a_limit_of_nothing_is_refused(case: Case) -> Result<()> {
    refused(
        case.entries(&case.listing("").with_limit(0)).await,
        ErrorKind::InvalidInput,
    );
    Ok(())
}

async fn a_delimiter_folds(case: Case) -> Result<()> {
    put_all(&case, ["a.b", "a/b", "a/c/d", "a0", "b/c", "c"]).await?;
    let names = case.names(&case.listing("").with_delimiter("/")).await?;
    assert_eq!(names, ["a.b", "a/", "a0", "b/", "c"]);
    let entries = case.entries(&case.listing("").with_delimiter("/")).await?;
    let is_prefix: Vec<_> = entries
        .iter()
        .map(|entry| matches!(entry, ListEntry::Prefix(_)))
        .collect();
    assert_eq!(is_prefix, [false, true, false, true, false]);
    Ok(())
}

async fn a_delimiter_folds_below_a_prefix(case: Case) -> Result<()> {
    put_all(&case, ["a/b", "a/c/d", "a/c/e", "a/cd/f", "ab/c"]).await?;
    for (prefix, expected) in [
        ("a/", &["a/b", "a/c/", "a/cd/"][..]),
        ("a/c", &["a/c/", "a/cd/"]),
        ("a/c/", &["a/c/d", "a/c/e"]),
        ("a", &["a/", "ab/"]),
        ("a/b", &["a/b"]),
    ] {
        let names = case.names(&case.listing(prefix).with_delimiter("/")).await?;
        assert_eq!(names, expected, "prefix {prefix:?}");
    }
    Ok(())
}

async fn a_folded_entry_counts_once(case: Case) -> Result<()> {
    put_all(
        &case,
        (0..30)
            .map(|number| format!("folder/n{number:02}"))
            .chain(["z".to_owned()]),
    )
    .await?;
    let options = case.listing("").with_delimiter("/");
    assert_eq!(case.names(&options.clone().with_limit(1)).await?, ["folder/"]);
    assert_eq!(case.names(&options.with_limit(2)).await?, ["folder/", "z"]);
    Ok(())
}

async fn another_delimiter_is_refused(case: Case) -> Result<()> {
    case.put("a", "x").await?;
    refused(
        case.entries(&case.listing("").with_delimiter("-")).await,
        ErrorKind::Unsupported,
    );
    Ok(())
}

async fn start_after_begins_behind(case: Case) -> Result<()> {
    put_all(&case, ["a", "b", "b.c", "d/e", "f"]).await?;
    for (after, expected) in [
        ("a", &["b", "b.c", "d/e", "f"][..]),
        ("", &["a", "b", "b.c", "d/e", "f"]),
        ("aa", &["b", "b.c", "d/e", "f"]),
        ("b", &["b.c", "d/e", "f"]),
        ("b.", &["b.c", "d/e", "f"]),
        ("d", &["d/e", "f"]),
        ("d/", &["d/e", "f"]),
        ("d/e", &["f"]),
        ("f", &[]),
        ("zz", &[]),
    ] {
        let options = case
            .listing("")
            .with_start_after(format!("{}{after}", case.prefix()));
        assert_eq!(case.names(&options).await?, expected, "after {after:?}");
    }
    Ok(())
}

async fn start_after_and_a_prefix(case: Case) -> Result<()> {
    put_all(&case, ["a/b", "a/d", "b"]).await?;
    let after = |text: &str| case.listing("a/").with_start_after(text);
    let before = after("");
    assert_eq!(case.names(&before).await?, ["a/b", "a/d"]);
    for (name, expected) in [
        ("a", &["a/b", "a/d"][..]),
        ("a/b", &["a/d"]),
        ("a/c", &["a/d"]),
        ("a/d", &[]),
        ("b", &[]),
    ] {
        let options = after(&format!("{}{name}", case.prefix()));
        assert_eq!(case.names(&options).await?, expected, "after {name:?}");
    }
    Ok(())
}

async fn start_after_and_a_delimiter(case: Case) -> Result<()> {
    put_all(&case, ["a", "b/c", "b/d", "b0", "c/d"]).await?;
    for (after, expected) in [
        ("a", &["b/", "b0", "c/"][..]),
        ("b", &["b/", "b0", "c/"]),
        ("b/", &["b0", "c/"]),
        ("b/c", &["b0", "c/"]),
        ("b0", &["c/"]),
        ("c/", &[]),
    ] {
        let options = case
            .listing("")
            .with_delimiter("/")
            .with_start_after(format!("{}{after}", case.prefix()));
        assert_eq!(case.names(&options).await?, expected, "after {after:?}");
    }
    Ok(())
}

/// 2,500 names: more than two pages of any store, some of them in folders.
fn many() -> Vec<String> {
    (0..2_500)
        .map(|number| match number % 5 {
            0 => format!("f{}/n{number:04}", number % 50),
            1 => format!("n{number}"),
            2 => format!("f{}.n{number:04}", number % 50),
            _ => format!("n{number:04}"),
        })
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

async fn many_keys_come_once_and_in_order(case: Case) -> Result<()> {
    let expected = many();
    put_all(&case, &expected).await?;
    assert_eq!(case.names(&case.listing("")).await?, expected);
    let with_prefix: Vec<_> = expected
        .iter()
        .filter(|name| name.starts_with("n1"))
        .cloned()
        .collect();
    assert_eq!(case.names(&case.listing("n1")).await?, with_prefix);
    assert_eq!(
        case.names(&case.listing("").with_limit(2_001)).await?,
        expected[..2_001]
    );
    if case.has(Capability::ListDelimiter) {
        let fold = |name: &String| {
            name.split_once('/')
                .map_or(name.clone(), |(folder, _)| format!("{folder}/"))
        };
        let folded: BTreeSet<_> = expected.iter().map(fold).collect();
        let names = case.names(&case.listing("").with_delimiter("/")).await?;
        assert_eq!(names, folded.into_iter().collect::<Vec<_>>());
    }
    Ok(())
}

async fn pages_put_together_are_the_list(case: Case) -> Result<()> {
    let expected: Vec<_> = many().into_iter().step_by(5).collect();
    put_all(&case, &expected).await?;
    for limit in [1, 7, 100, 499, 500, 501] {
        let mut together: Vec<String> = Vec::new();
        loop {
            let mut options = case.listing("").with_limit(limit);
            if let Some(last) = together.last() {
                options = options.with_start_after(format!("{}{last}", case.prefix()));
            }
            let page = case.names(&options).await?;
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= limit);
            together.extend(page);
        }
        assert_eq!(together, expected, "by pages of {limit}");
    }
    Ok(())
}

async fn a_dropped_listing_harms_nothing(case: Case) -> Result<()> {
    put_all(&case, (0..50).map(|number| format!("n{number:02}"))).await?;
    for taken in [0, 1, 10] {
        let entries = case.provider.list(&case.listing("")).await?;
        assert_eq!(entries.take(taken).try_collect::<Vec<_>>().await?.len(), taken);
    }
    assert_eq!(case.names(&case.listing("")).await?.len(), 50);
    Ok(())
}

async fn what_is_deleted_is_not_listed(case: Case) -> Result<()> {
    put_all(&case, ["a", "b/c", "d"]).await?;
    case.provider
        .delete(&case.key("b/c"), &DeleteOptions::default())
        .await?;
    assert_eq!(case.names(&case.listing("")).await?, ["a", "d"]);
    if case.has(Capability::ListDelimiter) {
        assert_eq!(
            case.names(&case.listing("").with_delimiter("/")).await?,
            ["a", "d"]
        );
    }
    Ok(())
}

async fn unfinished_uploads_are_not_listed(case: Case) -> Result<()> {
    case.put("a", "x").await?;
    let upload = case
        .provider
        .create_upload(&case.key("b"), &Default::default())
        .await?;
    assert_eq!(case.names(&case.listing("")).await?, ["a"]);
    case.provider.abort_upload(&upload, &Default::default()).await
}

async fn what_stays_is_listed_while_others_come_and_go(case: Case) -> Result<()> {
    let stays: Vec<_> = (0..40).map(|number| format!("s{number:02}")).collect();
    put_all(&case, &stays).await?;
    let churn = async {
        for number in 0..60 {
            let name = format!("s{:02}x", number % 40);
            case.put(&name, "x").await?;
            case.provider
                .delete(&case.key(&name), &DeleteOptions::default())
                .await?;
        }
        Ok::<_, Error>(())
    };
    let list = async {
        for _ in 0..10 {
            let names = case.names(&case.listing("")).await?;
            assert!(
                names.is_sorted_by(|one, next| one < next),
                "in order, none twice: {names:?}"
            );
            assert!(
                stays.iter().all(|name| names.contains(name)),
                "what stays is there: {names:?}"
            );
        }
        Ok(())
    };
    futures_util::future::try_join(churn, list).await.map(drop)
}
