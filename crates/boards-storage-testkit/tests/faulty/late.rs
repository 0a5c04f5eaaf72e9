//! Late listings: the last changes are missing, whatever the listing asks for.

use boards_storage_core::{
    DeleteOptions, ListOptions, OperationKind, Result, StorageKey, StorageProvider, UploadOptions,
};
use boards_storage_testkit::faults::{FaultKind, FaultProfile, Faults};
use boards_storage_testkit::{LateListing, MemoryProvider, Step};
use futures_util::TryStreamExt;

fn key(text: &str) -> StorageKey {
    StorageKey::parse(text).expect("a valid key")
}

async fn names(provider: &dyn StorageProvider, options: ListOptions) -> Result<Vec<String>> {
    let entries: Vec<_> = provider.list(&options).await?.try_collect().await?;
    Ok(entries.iter().map(|entry| entry.name().to_owned()).collect())
}

#[tokio::test]
async fn what_is_hidden_is_missing_and_ghosts_stand_in_their_places() -> Result<()> {
    let memory = MemoryProvider::new();
    for name in ["a", "b/1", "c", "d/1", "d/2"] {
        memory
            .upload(&key(name), "x".into(), &UploadOptions::default())
            .await?;
    }
    let ghost = |name: &str| boards_storage_core::ObjectMetadata::new(key(name), 1);
    let late = LateListing::default()
        .hiding(key("b/1"))
        .hiding(key("d/1"))
        .showing(ghost("bb"))
        .showing(ghost("e/1"))
        .showing(ghost("c"));
    let faults = Faults::on_demand();
    let provider = faults.over(memory);
    let check = async |options: ListOptions, expected: &[&str]| {
        faults.push(OperationKind::List, Step::LateList(late.clone()));
        assert_eq!(names(&provider, options).await.expect("listed"), expected);
    };
    let all = ListOptions::default;
    check(all(), &["a", "bb", "c", "d/2", "e/1"]).await;
    check(all().with_delimiter("/"), &["a", "bb", "c", "d/", "e/"]).await;
    check(all().with_limit(3), &["a", "bb", "c"]).await;
    check(all().with_prefix("d/"), &["d/2"]).await;
    check(all().with_start_after("c").with_delimiter("/"), &["d/", "e/"]).await;
    assert_eq!(names(&provider, all()).await?, ["a", "b/1", "c", "d/1", "d/2"]);
    Ok(())
}

#[tokio::test]
async fn by_chance_the_latest_changes_are_not_known_yet() -> Result<()> {
    let profile = FaultProfile::none().with(FaultKind::LateListing, 1.0);
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let provider = Faults::new(seed, profile.clone()).over(MemoryProvider::new());
        for name in ["a", "b"] {
            provider
                .upload(&key(name), "x".into(), &UploadOptions::default())
                .await?;
        }
        provider.delete(&key("a"), &DeleteOptions::default()).await?;
        seen.insert(names(&provider, ListOptions::default()).await?.join(" "));
    }
    // The delete is the latest; the write of b came before it.
    let expected: Vec<_> = seen.iter().map(String::as_str).collect();
    assert_eq!(expected, ["a", "a b"]);
    Ok(())
}
