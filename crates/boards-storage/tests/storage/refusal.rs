//! What is refused leaves nothing behind.

use boards_storage::prelude::*;
use boards_storage::{Digest, DigestAlgorithm, ManagerSettings};
use boards_storage_testkit::MemoryProvider;

use crate::world::{World, check_kind, image, stream};

fn limited() -> World {
    let mut settings = ManagerSettings::new("main");
    settings.size_bytes_max = Some(5);
    settings.content_types = vec![boards_storage::ContentTypePattern::parse("image/*").expect("a pattern")];
    World::with(settings, MemoryProvider::builder())
}

async fn check_refused(world: &World, new: NewArtifact, content: Content, kind: ErrorKind) {
    let id = new.artifact.clone().expect("an id");
    check_kind(world.put(new, content).await, kind);
    assert_eq!(world.memory.objects(), 0);
    assert_eq!(world.memory.pending_uploads(), 0);
    check_kind(
        world.read(ArtifactLocator::new(id.clone())).await,
        ErrorKind::NotFound,
    );
    // The variant is free at once: no claim is left either.
    let retried = world.put(image(id.as_str()), "ok").await.expect("free again");
    world
        .manager
        .delete_variant(&retried, &Default::default())
        .await
        .expect("deleted");
}

#[tokio::test]
async fn size_limits_hold_at_their_edge_for_bytes_and_streams() {
    let world = limited();
    check_refused(&world, image("a"), "123456".into(), ErrorKind::Rejected).await;
    check_refused(&world, image("b"), stream(&["123", "456"]), ErrorKind::Rejected).await;
    check_refused(
        &world,
        image("c"),
        stream(&["12"]).with_length(6),
        ErrorKind::Rejected,
    )
    .await;
    assert!(world.put(image("d"), stream(&["123", "45"])).await.is_ok());
}

#[tokio::test]
async fn content_types_outside_the_list_are_refused() {
    let world = limited();
    let text = image("a").with_content_type(ContentType::parse("text/plain").expect("a type"));
    check_refused(&world, text, "x".into(), ErrorKind::Rejected).await;
}

#[tokio::test]
async fn lies_about_length_and_digest_are_refused() {
    let world = World::new();
    check_refused(
        &world,
        image("a"),
        stream(&["12"]).with_length(3),
        ErrorKind::InvalidInput,
    )
    .await;
    check_refused(
        &world,
        image("b"),
        stream(&["1234"]).with_length(3),
        ErrorKind::InvalidInput,
    )
    .await;
    for algorithm in [DigestAlgorithm::Blake3, DigestAlgorithm::Sha256] {
        let declared = image("c").with_digest(Digest::of(algorithm, b"other"));
        check_refused(&world, declared.clone(), "x".into(), ErrorKind::Corruption).await;
        check_refused(&world, declared, stream(&["x"]), ErrorKind::Corruption).await;
        let right = image("right").with_digest(Digest::of(algorithm, b"x"));
        let stored = world.put(right, stream(&["x"])).await.expect("true");
        world
            .manager
            .delete_variant(&stored, &Default::default())
            .await
            .expect("deleted");
    }
}

#[tokio::test]
async fn variants_of_one_artifact_agree_on_its_type_and_board() {
    let world = World::new();
    world.put(image("a"), "x").await.expect("stored");
    let mut video = image("a").with_variant(VariantName::parse("clip").expect("a name"));
    video.artifact_type = ArtifactType::Video;
    let error = check_kind(world.put(video, "x").await, ErrorKind::InvalidInput);
    assert!(
        error.to_string().contains("image") && error.to_string().contains("video"),
        "{error}"
    );
}
