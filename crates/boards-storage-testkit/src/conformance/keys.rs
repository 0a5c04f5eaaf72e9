//! Odd keys: what the key rules allow works in every operation and stays apart, what they forbid is `InvalidInput`.

use boards_storage_core::{
    CallOptions, Capability, CopyOptions, DeleteOptions, DownloadOptions, ErrorKind, Result, StorageKey,
    UploadOptions,
};

use super::case::{Case, refused};
use super::conformance_tests;
use super::need::Need::{FileOrFolder, FilesAndFolders, LimitedCharacters, LimitedSegments};

conformance_tests! {
    "keys" needs [] {
        plain_keys []
        spaces []
        unicode []
        normal_forms_stay_apart []
        upper_and_lower_case_stay_apart []
        percent_signs_are_not_decoded []
        characters_that_mean_something_in_urls []
        quotes_and_brackets []
        dots_and_spaces_at_ends []
        endings_that_look_like_sidecars []
        names_that_look_internal []
        names_that_other_systems_reserve []
        the_longest_key []
        the_longest_segment []
        many_segments []
        one_character []
        folders_are_no_objects []
        a_key_and_a_key_below_it_both_live [FilesAndFolders]
        a_key_and_a_key_below_it_exclude_each_other [FileOrFolder]
        a_folder_ends_with_its_last_object [FileOrFolder]
        longer_keys_than_the_rules_allow_are_refused []
        longer_segments_than_the_rules_allow_are_refused [LimitedSegments]
        other_characters_than_the_rules_allow_are_refused [LimitedCharacters]
    }
}

/// Stores an object under each of the names that the rules allow, and checks that each is there with its own bytes
/// and can be listed and deleted; the other names must be refused.
async fn check(case: &Case, names: &[&str]) -> Result<()> {
    let (held, foreign): (Vec<_>, Vec<_>) = names.iter().copied().partition(|name| case.can_hold(name));
    for name in &held {
        case.put_with(name, name.to_string(), &case.options_of("one"))
            .await?;
    }
    for name in &held {
        case.assert_holds(name, name.as_bytes()).await?;
        assert_eq!(
            case.head(name).await?.key,
            case.key(name),
            "the key is answered as it was given"
        );
        assert_eq!(
            case.head(name).await?.attributes,
            case.attributes("one"),
            "attributes of {name:?}"
        );
    }
    if case.has(Capability::List) {
        let mut expected: Vec<_> = held.iter().map(|name| name.to_string()).collect();
        expected.sort_unstable();
        assert_eq!(case.names(&case.listing("")).await?, expected);
        for name in &held {
            let found = case.names(&case.listing(name)).await?;
            assert!(
                found.iter().any(|found| found == name),
                "{name:?} is listed by its own name"
            );
        }
    }
    for name in foreign {
        is_refused(case, &case.key(name)).await?;
    }
    for (index, name) in held.iter().enumerate() {
        case.provider
            .delete(&case.key(name), &DeleteOptions::default())
            .await?;
        refused(case.head(name).await, ErrorKind::NotFound);
        if let Some(next) = held.get(index + 1) {
            case.assert_holds(next, next.as_bytes()).await?;
        }
    }
    Ok(())
}

/// Checks that every operation refuses a key that the rules forbid.
async fn is_refused(case: &Case, key: &StorageKey) -> Result<()> {
    let provider = &case.provider;
    let kind = ErrorKind::InvalidInput;
    refused(
        provider.upload(key, "x".into(), &UploadOptions::default()).await,
        kind,
    );
    refused(provider.download(key, &DownloadOptions::default()).await, kind);
    refused(provider.metadata(key, &CallOptions::default()).await, kind);
    refused(provider.exists(key, &CallOptions::default()).await, kind);
    refused(provider.delete(key, &DeleteOptions::default()).await, kind);
    if case.has(Capability::Copy) {
        case.put("source", "x").await?;
        refused(
            provider
                .copy(&case.key("source"), key, &CopyOptions::default())
                .await,
            kind,
        );
        refused(
            provider
                .copy(key, &case.key("target"), &CopyOptions::default())
                .await,
            kind,
        );
        provider
            .delete(&case.key("source"), &DeleteOptions::default())
            .await?;
    }
    if case.has(Capability::Multipart) {
        refused(provider.create_upload(key, &Default::default()).await, kind);
    }
    Ok(())
}

async fn plain_keys(case: Case) -> Result<()> {
    check(
        &case,
        &[
            "a",
            "b/c",
            "b/d",
            "default/image/board_123/artifact_456/original.png",
            "a-b_c.d",
            "0",
        ],
    )
    .await
}

async fn spaces(case: Case) -> Result<()> {
    check(
        &case,
        &[
            "a b",
            "a  b",
            " a",
            "folder name/file name",
            "a\u{a0}b",
            "a\u{2003}b",
            "a+b",
            "a%20b",
        ],
    )
    .await
}

async fn unicode(case: Case) -> Result<()> {
    check(
        &case,
        &[
            "grüße",
            "日本語/テスト",
            "🎉",
            "שלום",
            "a\u{200b}b",
            "\u{202e}rtl",
            "ﬀ",
            "ß",
            "ss",
            "İ",
            "\u{10ffff}",
        ],
    )
    .await
}

async fn normal_forms_stay_apart(case: Case) -> Result<()> {
    check(&case, &["e\u{301}", "\u{e9}", "\u{212b}", "\u{c5}", "A\u{30a}"]).await
}

async fn upper_and_lower_case_stay_apart(case: Case) -> Result<()> {
    check(&case, &["name", "Name", "NAME", "folder/x", "Folder/x", "é", "É"]).await
}

async fn percent_signs_are_not_decoded(case: Case) -> Result<()> {
    check(
        &case,
        &[
            "%2e%2e", "%2E%2E/a", "a%2fb", "a/b", "%", "%%", "%25", "%zz", "a%00", "%C3%BC", "ü", "100%",
        ],
    )
    .await
}

async fn characters_that_mean_something_in_urls(case: Case) -> Result<()> {
    check(
        &case,
        &[
            "a+b",
            "a&b=c",
            "a#b",
            "a?b",
            "a=b",
            "a:b",
            "http:",
            "a@b",
            "a;b",
            "a,b",
            "a!b",
            "a$b",
            "~a",
            "a?versionId=1",
        ],
    )
    .await
}

async fn quotes_and_brackets(case: Case) -> Result<()> {
    check(
        &case,
        &[
            "it's", "\"a\"", "`a`", "<a>", "[a]", "{a}", "(a)", "a|b", "a^b", "a*b", "&amp;", "]]>", "--",
            "'; drop",
        ],
    )
    .await
}

async fn dots_and_spaces_at_ends(case: Case) -> Result<()> {
    check(
        &case,
        &[
            "a.",
            "a..",
            "...",
            "..a",
            ".hidden",
            ".hidden.folder/x",
            "a ",
            "a",
            " a",
            "b./x",
            "b /x",
            "b/x",
            "a.b.",
        ],
    )
    .await
}

async fn endings_that_look_like_sidecars(case: Case) -> Result<()> {
    let names = [
        "a",
        "a.meta",
        "a.meta.json",
        "a.json",
        "a.sidecar",
        "a.attrs",
        "a.meta.meta",
        ".meta",
        "a.etag",
        "a.crc",
        "a.sha256",
    ];
    check(&case, &names).await
}

async fn names_that_look_internal(case: Case) -> Result<()> {
    let names = [
        ".boards-storage",
        "b/.boards-storage/x",
        ".boards-storage.x",
        "a.tmp",
        ".tmp",
        "a.part",
        "a.lock",
        "a~",
        "#a#",
        ".#a",
        ".a.swp",
        "a.upload",
        "tmp/x",
        "staging/x",
        "locks/x",
        ".git/config",
        "lost+found",
        ".nfs0001",
        ".DS_Store",
        "__init__",
        "upload-0000000000000001",
        "v1",
    ];
    check(&case, &names).await
}

async fn names_that_other_systems_reserve(case: Case) -> Result<()> {
    check(
        &case,
        &[
            "con",
            "CON",
            "nul",
            "aux.txt",
            "com1",
            "a:stream",
            "-rf",
            "--",
            "soap",
            "__proto__",
            "null",
            "undefined",
        ],
    )
    .await
}

/// Returns a name that makes a key of exactly `bytes`, of segments within the rules.
fn name_of_length(case: &Case, bytes: usize, fill: char) -> String {
    let segment_max = case
        .provider
        .capabilities()
        .key_rules
        .segment_bytes_max
        .unwrap_or(255)
        .min(255);
    let mut name = String::new();
    let mut left = bytes - case.prefix().len();
    while left > 0 {
        // A rest of one byte cannot be a slash and a segment.
        let segment = if left == segment_max + 1 {
            segment_max - 1
        } else {
            segment_max.min(left)
        };
        name.extend(std::iter::repeat_n(fill, segment));
        left -= segment;
        if left > 0 {
            name.push('/');
            left -= 1;
        }
    }
    name
}

async fn the_longest_key(case: Case) -> Result<()> {
    let max = case.provider.capabilities().key_rules.bytes_max;
    let names = [
        name_of_length(&case, max, 'x'),
        name_of_length(&case, max, 'y'),
        name_of_length(&case, max - 1, 'x'),
    ];
    assert_eq!(case.key(&names[0]).as_str().len(), max);
    check(&case, &names.each_ref().map(String::as_str)).await
}

async fn the_longest_segment(case: Case) -> Result<()> {
    let rules = &case.provider.capabilities().key_rules;
    let most = rules.bytes_max - case.prefix().len();
    let segment = rules.segment_bytes_max.unwrap_or(most).min(most);
    let (long, shorter) = ("s".repeat(segment), "s".repeat(segment - 1));
    let wide = "ü".repeat(segment / 2);
    check(&case, &[&long, &shorter, &wide]).await
}

async fn many_segments(case: Case) -> Result<()> {
    let most = case.provider.capabilities().key_rules.bytes_max - case.prefix().len();
    let deep = |count: usize| vec!["d"; count].join("/");
    let (deepest, less) = (deep(most.div_ceil(2)), format!("{}/x", deep(20)));
    check(&case, &[&deepest, &less]).await
}

async fn one_character(case: Case) -> Result<()> {
    let names: Vec<String> = (b' '..=b'~')
        .filter(|byte| !b"./\\".contains(byte))
        .map(|byte| char::from(byte).to_string())
        .collect();
    check(&case, &names.iter().map(String::as_str).collect::<Vec<_>>()).await
}

async fn folders_are_no_objects(case: Case) -> Result<()> {
    case.put("folder/sub/a", "x").await?;
    for folder in ["folder", "folder/sub"] {
        refused(case.head(folder).await, ErrorKind::NotFound);
        let deleted = case
            .provider
            .delete(&case.key(folder), &DeleteOptions::default())
            .await;
        assert!(
            !matches!(deleted, Ok(boards_storage_core::DeleteOutcome::Existed)),
            "no object stood at {folder}"
        );
    }
    case.assert_holds("folder/sub/a", b"x").await
}

async fn a_key_and_a_key_below_it_both_live(case: Case) -> Result<()> {
    check(&case, &["a", "a/b", "a/b/c", "a.b"]).await?;
    check(&case, &["a/b/c", "a/b", "a"]).await
}

async fn a_key_and_a_key_below_it_exclude_each_other(case: Case) -> Result<()> {
    case.put_with("a", "file", &case.options_of("one")).await?;
    for below in ["a/b", "a/b/c"] {
        let error = case.put(below, "x").await.expect_err("an object is no folder");
        assert!(
            matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::AlreadyExists),
            "{error}"
        );
        refused(case.head(below).await, ErrorKind::NotFound);
    }
    case.assert_holds("a", b"file").await?;
    assert_eq!(case.head("a").await?.attributes, case.attributes("one"));
    case.put("b/c", "below").await?;
    let error = case.put("b", "x").await.expect_err("a folder is no object");
    assert!(
        matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::AlreadyExists),
        "{error}"
    );
    case.assert_holds("b/c", b"below").await
}

async fn a_folder_ends_with_its_last_object(case: Case) -> Result<()> {
    case.put("a/b/c", "x").await?;
    case.provider
        .delete(&case.key("a/b/c"), &DeleteOptions::default())
        .await?;
    case.put("a", "file").await?;
    case.assert_holds("a", b"file").await?;
    case.provider
        .delete(&case.key("a"), &DeleteOptions::default())
        .await?;
    case.put("a/b", "x").await?;
    case.assert_holds("a/b", b"x").await
}

async fn longer_keys_than_the_rules_allow_are_refused(case: Case) -> Result<()> {
    let max = case.provider.capabilities().key_rules.bytes_max;
    if max < StorageKey::BYTES_MAX {
        is_refused(&case, &case.key(&name_of_length(&case, max + 1, 'x'))).await?;
    }
    refused(
        StorageKey::parse("x".repeat(StorageKey::BYTES_MAX + 1)),
        ErrorKind::InvalidInput,
    );
    Ok(())
}

async fn longer_segments_than_the_rules_allow_are_refused(case: Case) -> Result<()> {
    let max = case
        .provider
        .capabilities()
        .key_rules
        .segment_bytes_max
        .expect("the test needs a limit");
    for name in [
        "x".repeat(max + 1),
        format!("a/{}/b", "x".repeat(max + 1)),
        format!("{}x", "ü".repeat(max / 2 + 1)),
    ] {
        is_refused(&case, &case.key(&name)).await?;
    }
    Ok(())
}

async fn other_characters_than_the_rules_allow_are_refused(case: Case) -> Result<()> {
    let allowed = case
        .provider
        .capabilities()
        .key_rules
        .characters
        .expect("the test needs a limit");
    let foreign = "ü日🎉 %?#&+'\"<>|*~^{}[]`"
        .chars()
        .filter(|c| !allowed.contains(*c));
    for character in foreign {
        is_refused(&case, &case.key(&format!("a{character}b"))).await?;
    }
    Ok(())
}
