//! Store, find, open, list, overwrite, delete.

use std::time::Duration;

use boards_storage::prelude::*;
use boards_storage::{
    CallContext, FileDownloadOptions, OperationKind, PresignDownloadOptions, StorageProvider, VersionSelector,
};

use boards_storage_testkit::Step;

use crate::world::{World, check_kind, image, locate, stream};

#[tokio::test]
async fn what_is_stored_comes_back_with_its_description() {
    let world = World::new();
    let board = BoardId::parse("board_123").expect("an id");
    let new = image("artifact_456")
        .with_board(board.clone())
        .with_user_metadata("prompt", "Grüße");
    let reference = world.put(new, "pixels").await.expect("stored");
    assert_eq!(
        reference.storage_key.as_str(),
        "default/image/board_123/artifact_456/original.png"
    );
    assert_eq!(
        reference.storage_url,
        "boards-storage://main/default/image/board_123/artifact_456/original.png"
    );
    assert_eq!((reference.size, reference.version), (6, 1));
    assert_eq!(world.read(&reference).await.expect("read"), "pixels");

    let again = world
        .manager
        .get_artifact_reference(locate("artifact_456"))
        .await
        .expect("found");
    assert_eq!(again, reference);
    assert_eq!(
        world
            .manager
            .find_by_key(&reference.storage_key)
            .await
            .expect("found"),
        reference
    );
    let metadata = world
        .manager
        .artifact_metadata(&reference, &CallContext::default())
        .await
        .expect("described");
    assert_eq!(metadata.attributes.user_metadata["prompt"], "Grüße");
    assert_eq!(
        metadata.object.attributes.user_metadata,
        metadata.attributes.user_metadata
    );
    assert_eq!(metadata.object.digest, Some(reference.digest));

    let range = OpenOptions::default().with_range(ByteRange::from(2..4));
    let part = world
        .manager
        .open_artifact(&reference, &range)
        .await
        .expect("opened");
    assert_eq!(&part.bytes(10).await.expect("read")[..], b"xe");
    let beyond = OpenOptions::default().with_range(ByteRange::from(6..));
    check_kind(
        world.manager.open_artifact(&reference, &beyond).await,
        ErrorKind::InvalidInput,
    );
}

#[tokio::test]
async fn an_id_is_made_where_none_is_given() {
    let world = World::new();
    let first = world
        .put(NewArtifact::new(ArtifactType::Text), "a")
        .await
        .expect("stored");
    let second = world
        .put(NewArtifact::new(ArtifactType::Text), "a")
        .await
        .expect("stored");
    assert!(first.artifact_id < second.artifact_id, "UUIDv7 ids sort by time");
    assert_eq!(first.content_type, ContentType::octet_stream());
}

#[tokio::test]
async fn the_extension_is_no_part_of_a_variants_identity() {
    let world = World::new();
    let png = world.put(image("a"), "1").await.expect("stored");
    assert_eq!(png.storage_key.file_name(), "original.png");
    let webp = image("a").with_content_type(ContentType::parse("image/webp").expect("a type"));
    check_kind(world.put(webp, "2").await, ErrorKind::AlreadyExists);
    let weights = NewArtifact::new(ArtifactType::Model)
        .with_artifact(ArtifactId::parse("lora_789").expect("an id"))
        .with_variant(VariantFile::parse("weights.safetensors").expect("a file"));
    let reference = world.put(weights, "w").await.expect("stored");
    assert_eq!(
        reference.storage_key.as_str(),
        "default/model/lora_789/weights.safetensors"
    );
    assert_eq!(reference.variant.as_str(), "weights");
}

#[tokio::test]
async fn the_same_bytes_again_are_the_same_artifact() {
    let world = World::new();
    let first = world.put(image("a"), "same").await.expect("stored");
    assert_eq!(world.put(image("a"), "same").await.expect("bytes"), first);
    assert_eq!(
        world
            .put(image("a"), stream(&["sa", "me"]))
            .await
            .expect("a stream"),
        first
    );
    assert_eq!(
        world
            .put(image("a").with_overwrite(), "same")
            .await
            .expect("overwriting with the same"),
        first
    );
    let streamed = world.put(image("a").with_overwrite(), stream(&["same"])).await;
    assert_eq!(streamed.expect("overwriting with the same stream"), first);
    for other in ["samf", "longer", "x"] {
        check_kind(world.put(image("a"), other).await, ErrorKind::AlreadyExists);
        let owned = Content::from_async_read(other.as_bytes());
        check_kind(world.put(image("a"), owned).await, ErrorKind::AlreadyExists);
    }
    let error = check_kind(
        world
            .put(image("a").with_user_metadata("new", "field"), "same")
            .await,
        ErrorKind::AlreadyExists,
    );
    assert!(error.to_string().contains("its attributes"), "{error}");
    assert_eq!(world.memory.objects(), 1);
}

#[tokio::test]
async fn an_overwrite_is_a_new_version_under_a_new_key() {
    let world = World::new();
    let first = world.put(image("a"), "one").await.expect("stored");
    let second = world
        .put(image("a").with_overwrite(), stream(&["two"]))
        .await
        .expect("stored");
    assert_eq!((first.version, second.version), (1, 2));
    let expected = format!("default/image/a/original.{}.png", second.version_id);
    assert_eq!(second.storage_key.as_str(), expected);
    assert_eq!(world.read(locate("a")).await.expect("present"), "two");
    assert_eq!(
        world
            .read(locate("a").with_version(VersionSelector::Number(1)))
            .await
            .expect("old"),
        "one"
    );
    let versions = world.manager.list_versions(locate("a")).await.expect("listed");
    assert_eq!(versions, [second.clone(), first.clone()]);

    let context = CallContext::default();
    let deletion = world
        .manager
        .delete_variant(&second, &context)
        .await
        .expect("deleted");
    assert_eq!((deletion.versions, deletion.bytes_pending), (1, 0));
    assert_eq!(
        world
            .read(locate("a"))
            .await
            .expect("the older one is present again"),
        "one"
    );
    let third = world
        .put(image("a").with_overwrite(), "three")
        .await
        .expect("stored");
    assert_eq!(third.version, 3, "a number is never given twice");
}

#[tokio::test]
async fn a_delete_says_from_the_record_whether_there_was_anything() {
    let world = World::new();
    let context = CallContext::default();
    let (tenant, artifact) = (TenantId::default(), ArtifactId::parse("a").expect("an id"));
    world.put(image("a"), "1").await.expect("stored");
    world
        .put(
            image("a").with_variant(VariantName::parse("thumb").expect("a name")),
            "2",
        )
        .await
        .expect("stored");
    let deletion = world
        .manager
        .delete_artifact(&tenant, &artifact, &context)
        .await
        .expect("deleted");
    assert!(deletion.existed() && deletion.versions == 2);
    assert_eq!(world.memory.objects(), 0);
    let again = world
        .manager
        .delete_artifact(&tenant, &artifact, &context)
        .await
        .expect("nothing");
    assert!(!again.existed());
    check_kind(world.read(locate("a")).await, ErrorKind::NotFound);
    let anew = world.put(image("a"), "new").await.expect("stored again");
    assert_eq!(world.read(&anew).await.expect("read"), "new");
}

#[tokio::test]
async fn listing_pages_through_one_tenant() {
    let world = World::new();
    let other = TenantId::parse("other").expect("an id");
    world
        .put(image("foreign").with_tenant(other.clone()), "x")
        .await
        .expect("stored");
    for number in 0..25 {
        world
            .put(image(&format!("a{number:02}")), "x")
            .await
            .expect("stored");
    }
    let mut query = ArtifactQuery::of_tenant(TenantId::default()).with_limit(10);
    let mut ids = Vec::new();
    loop {
        let page = world.manager.list_artifacts(&query).await.expect("listed");
        ids.extend(
            page.artifacts
                .iter()
                .map(|artifact| artifact.artifact_id.to_string()),
        );
        let Some(next) = page.next else { break };
        query = query.with_after(next);
    }
    let expected: Vec<String> = (0..25).map(|number| format!("a{number:02}")).collect();
    assert_eq!(ids, expected);
    check_kind(world.read(locate("foreign")).await, ErrorKind::NotFound);
    assert!(world.read(locate("foreign").with_tenant(other)).await.is_ok());
}

#[tokio::test]
async fn urls_follow_the_access_class() {
    let world = World::new();
    let options = PresignDownloadOptions::default();
    let public = world
        .put(image("pub").with_access(AccessClass::Public), "x")
        .await
        .expect("stored");
    let url = world
        .manager
        .get_download_url(&public, &options)
        .await
        .expect("a url");
    assert!(url.is_public);
    assert_eq!(url.request.url, public.storage_url);
    let private = world.put(image("priv"), "secret").await.expect("stored");
    assert!(private.storage_url.starts_with("boards-storage://"));
    let url = world
        .manager
        .get_download_url(&private, &options)
        .await
        .expect("a url");
    assert!(!url.is_public);
    let answer = world
        .memory
        .executor()
        .send(&url.request, bytes::Bytes::new())
        .await
        .expect("sent");
    assert_eq!((answer.status, &answer.body[..]), (200, &b"secret"[..]));
    let hidden = world
        .put(image("auth").with_access(AccessClass::Authenticated), "x")
        .await
        .expect("stored");
    check_kind(
        world.manager.get_download_url(&hidden, &options).await,
        ErrorKind::AccessDenied,
    );
    let temporary = world
        .put(image("gen").with_access(AccessClass::Temporary), "x")
        .await
        .expect("stored");
    assert_eq!(temporary.storage_key.as_str(), "temp/gen/original.png");
}

#[tokio::test]
async fn objects_carry_what_a_lost_catalog_is_rebuilt_from() {
    let world = World::new();
    let reference = world.put(image("a"), "x").await.expect("stored");
    let object = world
        .memory
        .metadata(&reference.storage_key, &Default::default())
        .await
        .expect("there");
    let text = &object.attributes.user_metadata["boards-storage-artifact"];
    let record: serde_json::Value = serde_json::from_str(text).expect("json");
    assert_eq!(record["artifact"], "a");
    assert_eq!(record["version"], reference.version_id.to_string());
    check_kind(
        world
            .put(
                image("b").with_user_metadata("boards-storage-artifact", "forged"),
                "x",
            )
            .await,
        ErrorKind::InvalidInput,
    );
}

#[tokio::test]
async fn damaged_bytes_are_corruption() {
    let world = World::new();
    let reference = world.put(image("a"), "pixels").await.expect("stored");
    world.memory.damage(&reference.storage_key).expect("damaged");
    check_kind(world.read(&reference).await, ErrorKind::Corruption);
    world
        .memory
        .delete(&reference.storage_key, &Default::default())
        .await
        .expect("deleted");
    check_kind(world.read(&reference).await, ErrorKind::Corruption);
}

/// Something looks at an artifact, and a delete comes between its record and its bytes.
async fn check_gone(kind: OperationKind, look: impl AsyncFnOnce(&World, ArtifactReference) -> Result<()>) {
    let world = World::new();
    let reference = world.put(image("a"), "pixels").await.expect("stored");
    world.script.push(kind, Step::Delay(Duration::from_secs(1)));
    let looked = look(&world, reference.clone());
    let delete = async {
        let context = CallContext::default();
        let deleted = world.manager.delete_variant(&reference, &context).await;
        assert!(deleted.expect("deleted").existed());
    };
    let (looked, ()) = futures_util::future::join(looked, delete).await;
    check_kind(looked, ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn who_loses_against_a_delete_hears_that_it_is_gone_not_that_it_is_lost() {
    check_gone(OperationKind::Download, async |world, reference| {
        world.read(&reference).await.map(drop)
    })
    .await;
    check_gone(OperationKind::Metadata, async |world, reference| {
        let context = CallContext::default();
        world
            .manager
            .artifact_metadata(&reference, &context)
            .await
            .map(drop)
    })
    .await;
    check_gone(OperationKind::Download, async |world, reference| {
        let file = tempfile::tempfile().expect("a file");
        let options = FileDownloadOptions::default();
        world
            .manager
            .fetch_artifact(&reference, file, &options)
            .await
            .map(drop)
    })
    .await;
}

#[tokio::test]
async fn an_object_of_another_size_is_corruption() {
    let world = World::new();
    let reference = world.put(image("a"), "pixels").await.expect("stored");
    for by in [-1, 1] {
        world.script.push(OperationKind::Metadata, Step::WrongLength(by));
        let described = world
            .manager
            .artifact_metadata(&reference, &CallContext::default())
            .await;
        check_kind(described, ErrorKind::Corruption);
        world.script.push(OperationKind::Download, Step::WrongLength(by));
        check_kind(world.read(&reference).await, ErrorKind::Corruption);
    }
    assert!(world.read(&reference).await.is_ok());
}
