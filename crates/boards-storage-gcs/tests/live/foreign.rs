//! What others wrote into the bucket.

use boards_storage_core::{ErrorKind, ListEntry, ListOptions, Result, StorageProvider as _};
use futures_util::TryStreamExt as _;
use serde_json::json;

use crate::world::{World, key, tests};

tests! { "foreign":
    objects_of_other_programs_are_read_as_they_are
    what_is_stored_in_gzip_comes_in_gzip
    names_that_are_no_keys_are_left_out
    a_bucket_that_is_not_there_is_a_mistake_in_the_settings
}

async fn objects_of_other_programs_are_read_as_they_are(world: World) -> Result<()> {
    let fields = json!({ "metadata": { "Title": "Ü", "looks": "=?UTF-8?B?w5w=?=" } });
    world.raw_put("a", fields, "hello").await?;
    assert_eq!(world.read("a").await?, "hello");
    let head = world.head("a").await?;
    assert_eq!(
        head.attributes.content_type.expect("a type").as_str(),
        "text/x-raw"
    );
    let user = head.attributes.user_metadata;
    assert_eq!((user["title"].as_str(), user["looks"].as_str()), ("Ü", "Ü"));
    assert_eq!((head.digest, head.write_id), (None, None));
    Ok(())
}

async fn what_is_stored_in_gzip_comes_in_gzip(world: World) -> Result<()> {
    // Not even gzip: whoever unpacked it would fail.
    world
        .raw_put("a", json!({ "contentEncoding": "gzip" }), "packed")
        .await?;
    assert_eq!(world.read("a").await?, "packed");
    let encoding = world.head("a").await?.attributes.content_encoding;
    assert_eq!(encoding.as_deref(), Some("gzip"));
    Ok(())
}

async fn names_that_are_no_keys_are_left_out(world: World) -> Result<()> {
    for name in ["a//b", "a/", ".boards-storage/x", "good", "b/../c"] {
        world.raw_put(name, json!({}), "x").await?;
    }
    let listed: Vec<ListEntry> = world
        .provider
        .list(&ListOptions::default())
        .await?
        .try_collect()
        .await?;
    let names: Vec<_> = listed.iter().map(ListEntry::name).collect();
    assert_eq!(names, ["good"]);
    Ok(())
}

async fn a_bucket_that_is_not_there_is_a_mistake_in_the_settings(world: World) -> Result<()> {
    let provider = world.with(json!({ "bucket": "no-such-bucket" })).await?;
    world.provider.probe(&Default::default()).await?;
    let probed = provider.probe(&Default::default()).await.expect_err("no bucket");
    assert_eq!(probed.kind(), ErrorKind::Configuration);
    let stored = provider.upload(&key("a"), "x".into(), &Default::default()).await;
    assert_eq!(stored.expect_err("no bucket").kind(), ErrorKind::Configuration);
    Ok(())
}
