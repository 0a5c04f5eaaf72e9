//! What others did to the bucket: damage, metadata in other spellings, objects that have no key here, many objects.

use aws_sdk_s3::primitives::ByteStream;
use boards_storage_core::{
    ByteRange, DeleteOptions, DownloadOptions, Error, ErrorKind, ListOptions, Result, StorageProvider as _,
    UploadOptions,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use crate::support::failed;
use crate::world::{World, key, refused, tests};

tests! { "foreign":
    damage_of_a_single_upload_is_seen
    metadata_of_others_are_read
    objects_without_a_valid_key_are_not_listed
    more_objects_than_a_page_are_listed_and_deleted
    keys_that_xml_cannot_say_are_deleted_among_others
    an_object_encrypted_with_a_customer_key_needs_it
}

async fn damage_of_a_single_upload_is_seen(world: World) -> Result<()> {
    world
        .provider
        .upload(&key("a"), "hello".into(), &UploadOptions::default())
        .await?;
    let name = world.full("a");
    let head = world
        .raw
        .head_object()
        .bucket(world.bucket())
        .key(&name)
        .send()
        .await
        .map_err(failed)?;
    // The same metadata, other bytes: as a rotten disk would.
    let request = world.raw.put_object().bucket(world.bucket()).key(&name);
    let request = request
        .set_metadata(head.metadata().cloned())
        .body(ByteStream::from_static(b"jello"));
    request.send().await.map_err(failed)?;
    refused(world.read("a").await, ErrorKind::Corruption);
    let part = DownloadOptions::default().with_range(ByteRange::from(1..5));
    let download = world.provider.download(&key("a"), &part).await?.into_object()?;
    assert_eq!(download.bytes(10).await?, "ello");
    // The provider's own notes are no metadata of the application.
    assert!(world.head("a").await?.attributes.user_metadata.is_empty());
    Ok(())
}

async fn metadata_of_others_are_read(world: World) -> Result<()> {
    let request = world.raw.put_object().bucket(world.bucket()).key(world.full("a"));
    let request = request
        .metadata("Plain", "as it is")
        .metadata("title", "=?utf-8?q?Gr=C3=BC=C3=9Fe?=")
        .metadata("boards.digest", "nonsense");
    request
        .body(ByteStream::from_static(b"x"))
        .send()
        .await
        .map_err(failed)?;
    let head = world.head("a").await?;
    let expected = [("plain", "as it is"), ("title", "Grüße")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(head.attributes.user_metadata, expected.into());
    assert_eq!(head.digest, None);
    Ok(())
}

async fn objects_without_a_valid_key_are_not_listed(world: World) -> Result<()> {
    for name in ["folder/", "a//b", "good", "back\\slash"] {
        let request = world
            .raw
            .put_object()
            .bucket(world.bucket())
            .key(world.full(name));
        request
            .body(ByteStream::from_static(b"x"))
            .send()
            .await
            .map_err(failed)?;
    }
    let entries: Vec<_> = world
        .provider
        .list(&ListOptions::default())
        .await?
        .try_collect()
        .await?;
    let names: Vec<_> = entries.iter().map(|entry| entry.name()).collect();
    assert_eq!(names, ["good"]);
    Ok(())
}

async fn more_objects_than_a_page_are_listed_and_deleted(world: World) -> Result<()> {
    const COUNT: usize = 1_050;
    let keys: Vec<_> = (0..COUNT).map(|number| key(&format!("n{number:05}"))).collect();
    stream::iter(&keys)
        .map(Ok::<_, Error>)
        .try_for_each_concurrent(16, |key| async {
            world
                .provider
                .upload(key, "x".into(), &UploadOptions::default())
                .await
                .map(drop)
        })
        .await?;
    let list = |options: ListOptions| {
        let provider = &world.provider;
        async move { provider.list(&options).await?.try_collect::<Vec<_>>().await }
    };
    let listed = list(ListOptions::default()).await?;
    let expected: Vec<_> = keys.iter().map(|key| key.as_str()).collect();
    assert_eq!(
        listed.iter().map(|entry| entry.name()).collect::<Vec<_>>(),
        expected
    );
    let some = list(
        ListOptions::default()
            .with_start_after("n00010")
            .with_limit(1_001),
    )
    .await?;
    assert_eq!((some.len(), some[0].name()), (1_001, "n00011"));
    for some in keys.chunks(1_000) {
        for deleted in world
            .provider
            .delete_many(some, &DeleteOptions::default())
            .await?
        {
            deleted.outcome?;
        }
    }
    assert!(list(ListOptions::default()).await?.is_empty());
    Ok(())
}

async fn keys_that_xml_cannot_say_are_deleted_among_others(world: World) -> Result<()> {
    let keys = [key("a"), key("odd\u{ffff}"), key("b&<>\"'"), key("a")];
    for key in &keys {
        world
            .provider
            .upload(key, "x".into(), &UploadOptions::default())
            .await?;
    }
    let deleted = world
        .provider
        .delete_many(&keys, &DeleteOptions::default())
        .await?;
    assert_eq!(
        deleted.iter().map(|deleted| &deleted.key).collect::<Vec<_>>(),
        keys.iter().collect::<Vec<_>>()
    );
    for deleted in deleted {
        deleted.outcome?;
    }
    let left: Vec<_> = world
        .provider
        .list(&ListOptions::default())
        .await?
        .try_collect()
        .await?;
    assert!(left.is_empty(), "{left:?}");
    let in_parts = world.in_parts().await?;
    let outcome = in_parts
        .create_upload(&key("odd\u{ffff}"), &Default::default())
        .await;
    refused(outcome, ErrorKind::InvalidInput);
    Ok(())
}

async fn an_object_encrypted_with_a_customer_key_needs_it(world: World) -> Result<()> {
    let with = |byte: u8| {
        let key = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [byte; 32]);
        world.with(json!({ "encryption": { "type": "customer", "key": key } }))
    };
    let (right, wrong) = (with(1).await?, with(2).await?);
    right
        .upload(&key("a"), "secret".into(), &UploadOptions::default())
        .await?;
    let read = right
        .download(&key("a"), &DownloadOptions::default())
        .await?
        .into_object()?;
    assert_eq!(read.bytes(10).await?, "secret");
    for provider in [&wrong, &world.provider] {
        let outcome = provider.download(&key("a"), &DownloadOptions::default()).await;
        assert!(outcome.is_err(), "the key is needed");
    }
    Ok(())
}
