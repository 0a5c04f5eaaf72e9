//! Listings of more than a page, and the folder that the server loses.

use boards_storage_core::{ListOptions, StorageProvider};
use boards_storage_testkit::SupabaseOptions;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::support::{BUCKET, Place};

async fn names(place: &Place, options: ListOptions) -> Vec<String> {
    let entries: Vec<_> = place
        .provider
        .list(&options)
        .await
        .expect("a stream")
        .try_collect()
        .await
        .expect("listed");
    entries.iter().map(|entry| entry.name().to_owned()).collect()
}

async fn put_all(place: &Place, names: &[String]) {
    stream::iter(names)
        .for_each_concurrent(16, |name| async move {
            let route = format!("object/{BUCKET}/{name}");
            let stored = place.raw(reqwest::Method::POST, &route, &[], "x").await;
            assert!(stored.status().is_success(), "{name}");
        })
        .await;
}

#[tokio::test]
async fn a_folder_named_like_a_pages_last_object_is_not_lost() {
    let place = Place::open().await;
    let mut stored: Vec<_> = (0..999).map(|number| format!("a{number:03}")).collect();
    // The page of 1,000 ends with `b`; `b-c` stands between it and the folder.
    stored.extend(["b", "b-c", "b/child", "b0", "c/d"].map(str::to_owned));
    put_all(&place, &stored).await;
    let mut expected: Vec<_> = stored[..1001].to_vec();
    expected.extend(["b/", "b0", "c/"].map(str::to_owned));
    assert_eq!(
        names(&place, ListOptions::default().with_delimiter("/")).await,
        expected
    );
    let after = ListOptions::default()
        .with_delimiter("/")
        .with_start_after("a998");
    assert_eq!(names(&place, after).await, ["b", "b-c", "b/", "b0", "c/"]);
    let limited = ListOptions::default().with_prefix("b").with_delimiter("/");
    for limit in 1..=5 {
        let found = names(&place, limited.clone().with_limit(limit)).await;
        assert_eq!(found, ["b", "b-c", "b/", "b0"][..limit.min(4)]);
    }
}

#[tokio::test]
async fn an_old_server_is_listed_folder_by_folder() {
    let place = Place::open_with(SupabaseOptions::default().with_old(true), |settings| settings).await;
    // More than one page of a folder, in an order that is not the server's.
    let mut stored: Vec<_> = (0..1010).map(|number| format!("n/{number:04}")).collect();
    stored.extend(["B", "a", "a-b", "a/c", "a/b/x", "_"].map(str::to_owned));
    put_all(&place, &stored).await;
    stored.sort();
    assert_eq!(names(&place, ListOptions::default()).await, stored);
    let folded = names(&place, ListOptions::default().with_delimiter("/")).await;
    assert_eq!(folded, ["B", "_", "a", "a-b", "a/", "n/"]);
    let after = names(&place, ListOptions::default().with_start_after("n/1007")).await;
    assert_eq!(after, ["n/1008", "n/1009"]);
}

#[tokio::test]
async fn names_that_are_no_keys_are_left_out() {
    let place = Place::open().await;
    put_all(&place, &["a//b", "a/c", "z/"].map(str::to_owned)).await;
    assert_eq!(names(&place, ListOptions::default()).await, ["a/c"]);
}
