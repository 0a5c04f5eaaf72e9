//! Listing: filters, order, and pages that stay right while records come and go.

use std::collections::BTreeSet;

use boards_storage_core::{
    AccessClass, ArtifactQuery, ArtifactRecord, ArtifactType, BoardId, CatalogCursor, NewIntent,
    ObjectAttributes, Result, TenantId, VariantIdentity,
};
use futures_util::{StreamExt, TryStreamExt};

use super::case::{
    Case, artifact_id, artifacts, at, identity, intent, intent_of, object, overwrite, tenant, variant_name,
};

super::catalog_tests! { "list" {
    an_empty_catalog_has_one_empty_page
    records_come_by_tenant_artifact_and_variant
    order_is_that_of_bytes
    only_present_versions_are_listed
    filters_choose_and_combine
    user_metadata_chooses
    access_digest_and_time_choose
    pages_of_every_size_give_the_same
    a_page_that_is_just_full_is_the_last
    limits_are_kept_at_their_edges
    filtered_pages_give_the_same
    a_cursor_outlives_its_record
    a_cursor_of_another_tenant_keeps_its_place
    pages_stay_right_while_records_come_and_go
} }

async fn store_variant(
    case: &Case,
    tenant_name: &str,
    artifact: &str,
    variant: &str,
) -> Result<ArtifactRecord> {
    case.store(&intent_of(VariantIdentity {
        tenant: tenant(tenant_name),
        artifact: artifact_id(artifact),
        variant: variant_name(variant),
    }))
    .await
}

async fn an_empty_catalog_has_one_empty_page(case: Case) -> Result<()> {
    let page = case.catalog.list(&ArtifactQuery::default()).await?;
    assert_eq!((page.records, page.next), (Vec::new(), None));
    Ok(())
}

async fn records_come_by_tenant_artifact_and_variant(case: Case) -> Result<()> {
    let sorted = [
        ("a", "x", "o"),
        ("a", "x", "p"),
        ("a", "y", "a"),
        ("b", "a", "z"),
        ("b", "b", "a"),
        ("c", "a", "a"),
    ];
    for index in [3, 0, 5, 2, 4, 1] {
        let (tenant, artifact, variant) = sorted[index];
        store_variant(&case, tenant, artifact, variant).await?;
    }
    let listed = case.list_all(&ArtifactQuery::default(), 2).await?;
    let names: Vec<_> = listed
        .iter()
        .map(|record| &record.variant)
        .map(|variant| {
            (
                variant.tenant.as_str(),
                variant.artifact.as_str(),
                variant.variant.as_str(),
            )
        })
        .collect();
    assert_eq!(names, sorted);
    Ok(())
}

async fn order_is_that_of_bytes(case: Case) -> Result<()> {
    let sorted = [
        " ", "-", "0", "10", "9", "A", "Z", "_", "a", "aa", "b", "z", "é", "日", "🎨",
    ];
    for index in (0..sorted.len()).rev() {
        case.store(&intent(sorted[index])).await?;
    }
    assert_eq!(
        artifacts(&case.list_all(&ArtifactQuery::default(), 3).await?),
        sorted
    );
    Ok(())
}

async fn only_present_versions_are_listed(case: Case) -> Result<()> {
    case.store_versions("a", 3).await?;
    case.store_versions("b", 1).await?;
    case.start(&overwrite("a")).await?;
    case.start(&overwrite("c")).await?;
    case.store_versions("d", 2).await?;
    case.delete("d").await?;
    let listed = case.list_all(&ArtifactQuery::default(), 10).await?;
    assert_eq!(
        listed.iter().map(|record| record.number).collect::<Vec<_>>(),
        [3, 1]
    );
    assert!(listed.iter().all(|record| record.is_current));
    Ok(())
}

fn board(name: &str) -> BoardId {
    BoardId::parse(name).expect("tests use valid ids")
}

/// Six artifacts in two tenants, two boards and two types, with two variants each.
async fn store_assortment(case: &Case) -> Result<()> {
    let rows = [
        ("t1", "a", Some("b1"), ArtifactType::Image),
        ("t1", "b", Some("b1"), ArtifactType::Video),
        ("t1", "c", Some("b2"), ArtifactType::Image),
        ("t1", "d", None, ArtifactType::Image),
        ("t2", "a", Some("b1"), ArtifactType::Image),
        ("t2", "e", None, ArtifactType::Video),
    ];
    for (tenant_name, artifact, board_name, artifact_type) in rows {
        for variant in ["original", "thumbnail"] {
            let variant = VariantIdentity {
                tenant: tenant(tenant_name),
                artifact: artifact_id(artifact),
                variant: variant_name(variant),
            };
            let artifact_type = artifact_type.clone();
            let new = NewIntent {
                board: board_name.map(board),
                artifact_type,
                ..intent_of(variant)
            };
            case.start(&new).await?;
            let mut object = object("x");
            object.attributes = ObjectAttributes::default()
                .with_user_metadata("artifact", artifact)
                .with_user_metadata("variant", new.variant.variant.as_str());
            case.catalog.commit(new.version, &object, at(0)).await?;
        }
    }
    Ok(())
}

/// The tenants and artifacts that a query answers, page by page, each artifact once.
async fn chosen(case: &Case, query: &ArtifactQuery) -> Result<String> {
    let whole = case.list_all(query, 1000).await?;
    for limit in [1, 2, 3] {
        assert_eq!(case.list_all(query, limit).await?, whole, "{query:?} by {limit}");
    }
    let names: BTreeSet<_> = whole
        .iter()
        .map(|record| {
            format!(
                "{}{}",
                &record.variant.tenant.as_str()[1..],
                record.variant.artifact
            )
        })
        .collect();
    Ok(names.into_iter().collect::<Vec<_>>().join(" "))
}

async fn filters_choose_and_combine(case: Case) -> Result<()> {
    store_assortment(&case).await?;
    let all = ArtifactQuery::default;
    let t1 = || ArtifactQuery::of_tenant(tenant("t1"));
    let cases = [
        (all(), "1a 1b 1c 1d 2a 2e"),
        (t1(), "1a 1b 1c 1d"),
        (ArtifactQuery::of_tenant(TenantId::default()), ""),
        (all().with_board(board("b1")), "1a 1b 2a"),
        (t1().with_board(board("b1")), "1a 1b"),
        (t1().with_board(board("b3")), ""),
        (all().with_artifact_type(ArtifactType::Video), "1b 2e"),
        (t1().with_artifact_type(ArtifactType::Image), "1a 1c 1d"),
        (
            t1().with_board(board("b1"))
                .with_artifact_type(ArtifactType::Image),
            "1a",
        ),
        (all().with_artifact(artifact_id("a")), "1a 2a"),
        (t1().with_artifact(artifact_id("a")), "1a"),
        (t1().with_artifact(artifact_id("e")), ""),
        (t1().with_artifact(artifact_id("a")).with_board(board("b2")), ""),
        (t1().with_artifact(artifact_id("c")).with_board(board("b2")), "1c"),
    ];
    for (query, expected) in cases {
        assert_eq!(chosen(&case, &query).await?, expected, "{query:?}");
    }
    Ok(())
}

async fn user_metadata_chooses(case: Case) -> Result<()> {
    store_assortment(&case).await?;
    let with = |name: &str, value: &str| ArtifactQuery::default().with_user_metadata(name, value);
    let cases = [
        (with("artifact", "a"), "1a 2a", 4),
        (with("variant", "thumbnail"), "1a 1b 1c 1d 2a 2e", 6),
        (
            with("artifact", "a").with_user_metadata("variant", "original"),
            "1a 2a",
            2,
        ),
        (with("artifact", "a").with_board(board("b1")), "1a 2a", 4),
        (with("artifact", "A"), "", 0),
        (with("artifact", ""), "", 0),
        (with("missing", "a"), "", 0),
        (with("artifact", "thumbnail"), "", 0),
    ];
    for (query, expected, count) in cases {
        assert_eq!(chosen(&case, &query).await?, expected, "{query:?}");
        assert_eq!(case.list_all(&query, 100).await?.len(), count, "{query:?}");
    }
    // Of the present version alone.
    case.store(&overwrite("a")).await?;
    let mut tagged = overwrite("a");
    tagged.overwrite = true;
    case.start(&tagged).await?;
    let mut object = object("x");
    object.attributes = object.attributes.with_user_metadata("tag", "old");
    case.catalog.commit(tagged.version, &object, at(0)).await?;
    assert_eq!(case.list_all(&with("tag", "old"), 10).await?.len(), 1);
    case.store(&overwrite("a")).await?;
    assert_eq!(case.list_all(&with("tag", "old"), 10).await?.len(), 0);
    Ok(())
}

async fn access_digest_and_time_choose(case: Case) -> Result<()> {
    for (second, name, access) in [
        (1, "a", AccessClass::Public),
        (2, "b", AccessClass::Private),
        (3, "c", AccessClass::Public),
        (4, "d", AccessClass::Temporary),
    ] {
        let new = NewIntent {
            access,
            ..intent(name)
        };
        case.start(&new).await?;
        case.catalog
            .commit(new.version, &object(name), at(second))
            .await?;
    }
    let again = NewIntent {
        access: AccessClass::Public,
        ..overwrite("c")
    };
    case.start(&again).await?;
    case.catalog.commit(again.version, &object("a"), at(5)).await?;
    let any = ArtifactQuery::default;
    let digest_of = |content: &str| object(content).digest;
    let cases = [
        (any().with_access(AccessClass::Public), "a c"),
        (any().with_access(AccessClass::Authenticated), ""),
        (any().with_digest(digest_of("a")), "a c"),
        (any().with_digest(digest_of("c")), ""),
        (any().with_digest(digest_of("nothing")), ""),
        (any().with_created_from(at(2)), "b c d"),
        (any().with_created_before(at(2)), "a"),
        (any().with_created_from(at(2)).with_created_before(at(5)), "b d"),
        (
            any().with_created_from(at(5)).with_access(AccessClass::Public),
            "c",
        ),
        (
            ArtifactQuery::of_tenant(tenant("other")).with_digest(digest_of("a")),
            "",
        ),
        (
            ArtifactQuery::of_tenant(TenantId::default()).with_access(AccessClass::Private),
            "b",
        ),
        (
            any().with_access(AccessClass::Public).with_digest(digest_of("a")),
            "a c",
        ),
    ];
    for (query, expected) in cases {
        for size in [1, 10] {
            let found = case.list_all(&query, size).await?;
            assert_eq!(
                artifacts(&found).join(" "),
                expected,
                "{query:?} by pages of {size}"
            );
        }
    }
    Ok(())
}

async fn store_many(case: &Case, names: impl IntoIterator<Item = String>) -> Result<()> {
    let writes = names
        .into_iter()
        .map(|name| async move { case.store(&intent(&name)).await.map(drop) });
    let mut writes = futures_util::stream::iter(writes.collect::<Vec<_>>()).buffer_unordered(64);
    while writes.try_next().await?.is_some() {}
    Ok(())
}

async fn pages_of_every_size_give_the_same(case: Case) -> Result<()> {
    store_many(&case, (0..100).map(|index| format!("a{index:03}"))).await?;
    let whole = case.list_all(&ArtifactQuery::default(), 1000).await?;
    assert_eq!(whole.len(), 100);
    for limit in [1, 7, 33, 50, 99, 100, 101] {
        assert_eq!(
            case.list_all(&ArtifactQuery::default(), limit).await?,
            whole,
            "pages of {limit}"
        );
    }
    Ok(())
}

async fn a_page_that_is_just_full_is_the_last(case: Case) -> Result<()> {
    store_many(&case, (0..10).map(|index| format!("a{index}"))).await?;
    let page = |limit| ArtifactQuery::default().with_limit(limit);
    assert_eq!(case.catalog.list(&page(10)).await?.next, None);
    let nine = case.catalog.list(&page(9)).await?;
    assert_eq!(nine.next, Some(CatalogCursor(identity("a8"))));
    assert_eq!(nine.records.len(), 9);
    Ok(())
}

async fn limits_are_kept_at_their_edges(case: Case) -> Result<()> {
    store_many(&case, (0..1002).map(|index| format!("a{index:04}"))).await?;
    let cases = [
        (None, 1000),
        (Some(0), 1),
        (Some(1), 1),
        (Some(1000), 1000),
        (Some(1001), 1000),
        (Some(usize::MAX), 1000),
    ];
    for (limit, expected) in cases {
        let mut query = ArtifactQuery::default();
        query.limit = limit;
        let page = case.catalog.list(&query).await?;
        assert_eq!(page.records.len(), expected, "{limit:?}");
        assert!(page.next.is_some(), "{limit:?}");
    }
    Ok(())
}

async fn filtered_pages_give_the_same(case: Case) -> Result<()> {
    for index in 0..60 {
        let board = Some(board(if index % 3 == 0 { "b1" } else { "b2" }));
        let artifact_type = if index % 2 == 0 {
            ArtifactType::Image
        } else {
            ArtifactType::Video
        };
        let mut new = NewIntent {
            board,
            artifact_type,
            ..intent(&format!("a{index:02}"))
        };
        new.variant.tenant = tenant(if index < 30 { "t1" } else { "t2" });
        case.store(&new).await?;
    }
    let all = ArtifactQuery::default;
    let queries = [
        (all().with_board(board("b1")), 20),
        (all().with_artifact_type(ArtifactType::Video), 30),
        (ArtifactQuery::of_tenant(tenant("t2")).with_board(board("b1")), 10),
        (
            ArtifactQuery::of_tenant(tenant("t2"))
                .with_board(board("b1"))
                .with_artifact_type(ArtifactType::Image),
            5,
        ),
    ];
    for (query, count) in queries {
        let whole = case.list_all(&query, 1000).await?;
        assert_eq!(whole.len(), count, "{query:?}");
        for limit in [1, 4, 19] {
            assert_eq!(case.list_all(&query, limit).await?, whole, "{query:?} by {limit}");
        }
    }
    Ok(())
}

async fn a_cursor_outlives_its_record(case: Case) -> Result<()> {
    store_many(&case, ["a", "b", "c", "d"].map(str::to_owned)).await?;
    let first = case.catalog.list(&ArtifactQuery::default().with_limit(2)).await?;
    let cursor = first.next.expect("two are left");
    case.delete("b").await?;
    case.delete("c").await?;
    let rest = case
        .catalog
        .list(&ArtifactQuery::default().with_after(cursor))
        .await?;
    assert_eq!(artifacts(&rest.records), ["d"]);
    Ok(())
}

async fn a_cursor_of_another_tenant_keeps_its_place(case: Case) -> Result<()> {
    store_assortment(&case).await?;
    let after = |tenant_name: &str| {
        CatalogCursor(VariantIdentity {
            tenant: tenant(tenant_name),
            artifact: artifact_id("a"),
            variant: variant_name("original"),
        })
    };
    for filter in [
        ArtifactQuery::default(),
        ArtifactQuery::default().with_board(board("b1")),
    ] {
        for (cursor, count) in [("t0", 2), ("t1", 1), ("t11", 0), ("t2", 0)] {
            let mut query = filter
                .clone()
                .with_artifact(artifact_id("a"))
                .with_after(after(cursor));
            query.tenant = Some(tenant("t1"));
            assert_eq!(case.catalog.list(&query).await?.records.len(), count, "{query:?}");
        }
    }
    Ok(())
}

async fn pages_stay_right_while_records_come_and_go(case: Case) -> Result<()> {
    store_many(&case, (0..2500).map(|index| format!("a{index:04}"))).await?;
    let mut listed = Vec::new();
    let mut query = ArtifactQuery::of_tenant(TenantId::default()).with_limit(100);
    for page_number in 0.. {
        let page = case.catalog.list(&query).await?;
        listed.extend(
            page.records
                .iter()
                .map(|record| record.variant.artifact.to_string()),
        );
        // One before and one behind the cursor come, one before it goes.
        store_many(
            &case,
            [format!("a{page_number:04}-new"), format!("z{page_number:04}")],
        )
        .await?;
        case.delete(&format!("a{:04}", page_number * 3)).await?;
        match page.next {
            Some(next) => query = query.with_after(next),
            None => break,
        }
    }
    assert!(listed.is_sorted(), "pages follow each other");
    let names: BTreeSet<_> = listed.iter().collect();
    assert_eq!(names.len(), listed.len(), "no record is listed twice");
    let expected = (0..2500)
        .map(|index| format!("a{index:04}"))
        .filter(|name| !names.contains(name))
        .count();
    assert_eq!(expected, 0, "every record that was there all the time is listed");
    assert!(
        listed.iter().any(|name| name.starts_with('z')),
        "what came behind the cursor is listed"
    );
    Ok(())
}
