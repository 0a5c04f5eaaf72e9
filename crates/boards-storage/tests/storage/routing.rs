//! Which provider gets what.

use std::sync::Arc;

use boards_storage::prelude::*;
use boards_storage::{
    ByteSize, ManagerSettings, OneOrMany, RouteCondition, RouteQuery, RouteSize, RoutingRule, Verdict,
};
use boards_storage_testkit::MemoryProvider;

use crate::world::{World, check_kind, image, stream};

fn rule(provider: &str, condition: impl FnOnce(&mut RouteCondition)) -> RoutingRule {
    let mut conditions = RouteCondition::default();
    condition(&mut conditions);
    RoutingRule::new(provider).with_condition(conditions)
}

fn world(rules: Vec<RoutingRule>) -> World {
    let mut settings = ManagerSettings::new("main");
    settings.routing_rules = rules;
    settings.routing_buffer_bytes_max = 100;
    let world = World::with(settings, MemoryProvider::builder());
    world
        .manager
        .register_provider("big", MemoryProvider::new())
        .expect("a free name");
    world
}

async fn check(world: &World, new: NewArtifact, content: impl Into<Content>, provider: &str) {
    let reference = world.put(new, content).await.expect("stored");
    assert_eq!(reference.storage_provider, provider);
    assert_eq!(
        world.read(&reference).await.expect("read").len() as u64,
        reference.size
    );
}

#[tokio::test]
async fn a_stream_of_unknown_size_is_decided_by_its_true_size() {
    let world = world(vec![rule("big", |condition| {
        condition.size_gt = Some(ByteSize::from_bytes(5))
    })]);
    check(&world, image("a"), "12345", "main").await;
    check(&world, image("b"), "123456", "big").await;
    check(&world, image("c"), stream(&["123", "45"]), "main").await;
    check(&world, image("d"), stream(&["123", "456", "789"]), "big").await;
    check(&world, image("e"), stream(&[]), "main").await;
    check(
        &world,
        image("f"),
        Content::from("123456").with_progress(|_| {}),
        "big",
    )
    .await;
}

#[tokio::test]
async fn a_stream_is_not_buffered_for_rules_that_cannot_matter() {
    let far = ByteSize::from_bytes(1 << 40);
    let world = world(vec![
        rule("big", |condition| {
            condition.artifact_type = Some(OneOrMany::from(ArtifactType::Video));
            condition.size_gt = Some(far);
        }),
        rule("big", |condition| {
            condition.size_lt = Some(ByteSize::from_bytes(3))
        }),
        rule("main", |_| {}),
        rule("big", |condition| condition.size_gt = Some(far)),
    ]);
    check(&world, image("a"), stream(&["1"]), "big").await;
    check(&world, image("b"), stream(&["123"]), "main").await;
    let mut video = image("v");
    video.artifact_type = ArtifactType::Video;
    let error = check_kind(
        world.put(video.clone(), stream(&["1"])).await,
        ErrorKind::InvalidInput,
    );
    assert!(
        error
            .help()
            .is_some_and(|help| help.contains("declare the length")),
        "{error}"
    );
    check(&world, video, stream(&["1"]).with_length(1), "big").await;
}

#[tokio::test]
async fn every_condition_must_hold_and_the_first_rule_wins() {
    let tenant = TenantId::parse("t").expect("an id");
    let board = BoardId::parse("b").expect("an id");
    let world = world(vec![rule("big", |condition| {
        condition.content_type = Some(OneOrMany::from(
            boards_storage::ContentTypePattern::parse("image/*").expect("a pattern"),
        ));
        condition.tenant_id = Some(OneOrMany::from(tenant.clone()));
        condition.board_id = Some(OneOrMany::from(board.clone()));
        condition.access = Some(OneOrMany::from(AccessClass::Public));
        condition.size_gte = Some(ByteSize::from_bytes(2));
        condition.size_lte = Some(ByteSize::from_bytes(3));
    })]);
    let fitting = || {
        image("x")
            .with_tenant(tenant.clone())
            .with_board(board.clone())
            .with_access(AccessClass::Public)
    };
    let with_id = |new: NewArtifact, id: &str| new.with_artifact(ArtifactId::parse(id).expect("an id"));
    check(&world, with_id(fitting(), "1"), "12", "big").await;
    check(&world, with_id(fitting(), "2"), "123", "big").await;
    check(&world, with_id(fitting(), "3"), "1", "main").await;
    check(&world, with_id(fitting(), "4"), "1234", "main").await;
    check(
        &world,
        with_id(fitting(), "5").with_access(AccessClass::Private),
        "12",
        "main",
    )
    .await;
    check(
        &world,
        with_id(fitting(), "6").with_tenant(TenantId::default()),
        "12",
        "main",
    )
    .await;
    let mut boardless = with_id(fitting(), "7");
    boardless.board = None;
    check(&world, boardless, "12", "main").await;
    let text = with_id(fitting(), "8").with_content_type(ContentType::parse("text/plain").expect("a type"));
    check(&world, text, "12", "main").await;
}

#[test]
fn an_explanation_says_why_for_each_rule() {
    let world = world(vec![
        rule("big", |condition| {
            condition.artifact_type = Some(OneOrMany::from(ArtifactType::Video))
        }),
        rule("big", |condition| {
            condition.size_gt = Some(ByteSize::from_bytes(10))
        }),
        RoutingRule::new("main").with_name("the rest"),
    ]);
    let png = ContentType::parse("image/png").expect("a type");
    let query = |size| RouteQuery::new(ArtifactType::Image, size, png.clone());
    let explained = world.manager.explain_route(&query(RouteSize::Exactly(11)));
    assert_eq!(
        (explained.provider.as_deref(), explained.matched_rule),
        (Some("big"), Some(1))
    );
    let verdicts: Vec<Verdict> = explained.rules.iter().map(|rule| rule.verdict).collect();
    assert_eq!(
        verdicts,
        [Verdict::NotMatched, Verdict::Matched, Verdict::NotReached]
    );
    assert_eq!(explained.rules[0].reasons, ["artifact_type 'image' is not video"]);
    assert_eq!(
        explained.rules[1].reasons,
        ["the size, 11 bytes, is > 10 (size_gt)"]
    );
    let undecided = world.manager.explain_route(&query(RouteSize::AtLeast(0)));
    assert_eq!(
        (undecided.provider, undecided.rules[1].verdict),
        (None, Verdict::Undecided)
    );
    let last = world.manager.explain_route(&query(RouteSize::Exactly(10)));
    assert_eq!(last.rules[2].reasons, ["it has no condition"]);
}

#[tokio::test]
async fn a_rule_with_an_unknown_provider_is_a_clear_error() {
    let world = world(vec![RoutingRule::new("elsewhere")]);
    let error = check_kind(world.put(image("a"), "x").await, ErrorKind::Configuration);
    assert!(
        error.to_string().contains("elsewhere") && error.to_string().contains("big, main"),
        "{error}"
    );
    let taken = world
        .manager
        .register_provider("main", MemoryProvider::new() as Arc<_>);
    check_kind(taken, ErrorKind::Configuration);
}
