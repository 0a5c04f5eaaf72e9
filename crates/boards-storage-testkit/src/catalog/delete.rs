//! Deletion: what readers no longer see, what takes its place, and what is left to clean up.

use boards_storage_core::{
    AccessClass, ArtifactQuery, ArtifactType, DeleteMode, DeleteTarget, ErrorKind, NewIntent, Result,
    TenantId, VersionId, VersionSelector,
};

use super::case::{
    Case, artifact_id, at, identity, intent, intent_of, numbers, object, overwrite, refused, rich_object,
    tenant, variant_name,
};

super::catalog_tests! { "delete" {
    a_deleted_version_is_seen_by_nobody
    a_tombstone_says_where_the_bytes_are
    an_artifact_is_deleted_with_all_variants
    a_variant_is_deleted_alone
    the_version_before_takes_the_place_of_the_present_one
    an_older_version_leaves_the_present_one
    a_version_is_deleted_by_every_selector
    nothing_to_delete_is_no_error
    a_deletion_takes_effect_once
    numbers_go_on_after_a_deletion
    a_write_under_way_survives_a_deletion
    a_forgotten_artifact_may_come_back_as_another
    an_artifact_with_a_variant_left_is_not_forgotten
    a_tenant_deletes_only_its_own
    tombstones_are_those_before_a_time
    tombstones_keep_their_limit
    tombstones_come_in_pages
    purging_is_idempotent
    what_is_not_deleted_is_not_purged
} }

async fn delete_version(case: &Case, artifact: &str, selector: VersionSelector) -> Result<Vec<VersionId>> {
    let target = DeleteTarget::Version(identity(artifact), selector);
    Ok(case
        .catalog
        .tombstone(&target, DeleteMode::Final, at(0))
        .await?
        .into_iter()
        .map(|dead| dead.version)
        .collect())
}

async fn a_deleted_version_is_seen_by_nobody(case: Case) -> Result<()> {
    let record = case.store(&intent("a")).await?;
    assert_eq!(case.delete("a").await?, [record.version]);
    let selectors = [
        VersionSelector::Current,
        VersionSelector::Number(1),
        VersionSelector::Id(record.version),
    ];
    for selector in selectors {
        assert_eq!(
            case.second.find(&identity("a"), selector).await?,
            None,
            "{selector:?}"
        );
    }
    assert_eq!(case.catalog.find_by_key(&record.primary().key).await?, None);
    assert_eq!(case.catalog.versions(&identity("a")).await?, []);
    assert_eq!(case.catalog.list(&ArtifactQuery::default()).await?.records, []);
    Ok(())
}

async fn a_tombstone_says_where_the_bytes_are(case: Case) -> Result<()> {
    let new = intent("a");
    case.start(&new).await?;
    let record = case.catalog.commit(new.version, &rich_object(), at(1)).await?;
    let dead = case
        .catalog
        .tombstone(&DeleteTarget::Variant(identity("a")), DeleteMode::Final, at(7))
        .await?;
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (dead[0].version, &dead[0].variant),
        (record.version, &record.variant)
    );
    assert_eq!((&dead[0].replicas, dead[0].deleted_at), (&record.replicas, at(7)));
    assert_eq!(case.catalog.tombstones(at(8), None, 10).await?, dead);
    Ok(())
}

async fn an_artifact_is_deleted_with_all_variants(case: Case) -> Result<()> {
    let mut versions: Vec<_> = case
        .store_versions("a", 2)
        .await?
        .iter()
        .map(|record| record.version)
        .collect();
    let mut thumbnail = intent("a");
    thumbnail.variant.variant = variant_name("thumbnail");
    thumbnail.plain_key = super::case::key("default/image/a/thumbnail.png");
    versions.push(case.store(&thumbnail).await?.version);
    case.store(&intent("ab")).await?;
    assert_eq!(case.delete("a").await?, versions, "by variant and number");
    assert_eq!(case.list_all(&ArtifactQuery::default(), 10).await?.len(), 1);
    Ok(())
}

async fn a_variant_is_deleted_alone(case: Case) -> Result<()> {
    let mut thumbnail = identity("a");
    thumbnail.variant = variant_name("thumbnail");
    case.store_versions("a", 3).await?;
    case.store(&intent_of(thumbnail.clone())).await?;
    let dead = case
        .catalog
        .tombstone(&DeleteTarget::Variant(identity("a")), DeleteMode::Final, at(0))
        .await?;
    assert_eq!(dead.len(), 3);
    assert_eq!(case.present("a").await?, None);
    assert!(
        case.catalog
            .find(&thumbnail, VersionSelector::Current)
            .await?
            .is_some()
    );
    Ok(())
}

async fn the_version_before_takes_the_place_of_the_present_one(case: Case) -> Result<()> {
    let records = case.store_versions("a", 4).await?;
    assert_eq!(
        delete_version(&case, "a", VersionSelector::Number(3)).await?,
        [records[2].version]
    );
    assert_eq!(
        delete_version(&case, "a", VersionSelector::Current).await?,
        [records[3].version]
    );
    let present = case.present("a").await?.expect("two are left");
    assert_eq!((present.number, present.is_current), (2, true));
    assert_eq!(case.list_all(&ArtifactQuery::default(), 10).await?, [present]);
    assert_eq!(numbers(&case.catalog.versions(&identity("a")).await?), [2, 1]);
    Ok(())
}

async fn an_older_version_leaves_the_present_one(case: Case) -> Result<()> {
    let records = case.store_versions("a", 2).await?;
    delete_version(&case, "a", VersionSelector::Number(1)).await?;
    assert_eq!(case.present("a").await?.as_ref(), records.last());
    Ok(())
}

async fn a_version_is_deleted_by_every_selector(case: Case) -> Result<()> {
    let records = case.store_versions("a", 3).await?;
    let id = VersionSelector::Id(records[0].version);
    assert_eq!(
        delete_version(&case, "b", id).await?,
        [],
        "a version of another variant"
    );
    assert_eq!(delete_version(&case, "a", id).await?, [records[0].version]);
    assert_eq!(
        delete_version(&case, "a", VersionSelector::Number(2)).await?,
        [records[1].version]
    );
    assert_eq!(
        delete_version(&case, "a", VersionSelector::Current).await?,
        [records[2].version]
    );
    assert_eq!(delete_version(&case, "a", VersionSelector::Current).await?, []);
    Ok(())
}

async fn nothing_to_delete_is_no_error(case: Case) -> Result<()> {
    assert_eq!(case.delete("a").await?, []);
    assert_eq!(
        case.catalog
            .tombstone(&DeleteTarget::Variant(identity("a")), DeleteMode::Final, at(0))
            .await?,
        []
    );
    case.store(&intent("a")).await?;
    for selector in [
        VersionSelector::Number(2),
        VersionSelector::Number(u64::MAX),
        VersionSelector::Id(VersionId::fresh()),
    ] {
        assert_eq!(delete_version(&case, "a", selector).await?, [], "{selector:?}");
    }
    assert!(case.present("a").await?.is_some());
    Ok(())
}

async fn a_deletion_takes_effect_once(case: Case) -> Result<()> {
    case.store(&intent("a")).await?;
    assert_eq!(case.delete("a").await?.len(), 1);
    assert_eq!(case.delete("a").await?, []);
    assert_eq!(case.catalog.tombstones(at(1), None, 10).await?.len(), 1);
    Ok(())
}

async fn numbers_go_on_after_a_deletion(case: Case) -> Result<()> {
    case.store_versions("a", 2).await?;
    delete_version(&case, "a", VersionSelector::Current).await?;
    assert_eq!(numbers(&case.store_versions("a", 1).await?), [3]);
    for version in case.delete("a").await? {
        case.catalog.purge(version).await?;
    }
    assert_eq!(numbers(&[case.store(&intent("a")).await?]), [4]);
    Ok(())
}

async fn a_write_under_way_survives_a_deletion(case: Case) -> Result<()> {
    case.store(&intent("a")).await?;
    let new = overwrite("a");
    case.start(&new).await?;
    case.delete("a").await?;
    let record = case.catalog.commit(new.version, &object("x"), at(1)).await?;
    assert_eq!(case.present("a").await?, Some(record));
    Ok(())
}

async fn a_forgotten_artifact_may_come_back_as_another(case: Case) -> Result<()> {
    let another = || NewIntent {
        artifact_type: ArtifactType::Model,
        access: AccessClass::Public,
        ..intent("a")
    };
    case.store_versions("a", 2).await?;
    delete_version(&case, "a", VersionSelector::Number(1)).await?;
    refused(case.catalog.begin(&another()).await, ErrorKind::InvalidInput);
    delete_version(&case, "a", VersionSelector::Number(2)).await?;
    let record = case.store(&another()).await?;
    assert_eq!(
        (record.artifact_type, record.access),
        (ArtifactType::Model, AccessClass::Public)
    );
    let found = case.present("a").await?.expect("it was committed");
    assert_eq!(
        (found.artifact_type, found.access),
        (ArtifactType::Model, AccessClass::Public)
    );
    refused(case.catalog.begin(&overwrite("a")).await, ErrorKind::InvalidInput);
    Ok(())
}

async fn an_artifact_with_a_variant_left_is_not_forgotten(case: Case) -> Result<()> {
    let mut thumbnail = identity("a");
    thumbnail.variant = variant_name("thumbnail");
    case.store(&intent("a")).await?;
    case.store(&intent_of(thumbnail)).await?;
    delete_version(&case, "a", VersionSelector::Current).await?;
    let another = NewIntent {
        artifact_type: ArtifactType::Model,
        ..intent("a")
    };
    refused(case.catalog.begin(&another).await, ErrorKind::InvalidInput);
    Ok(())
}

async fn a_tenant_deletes_only_its_own(case: Case) -> Result<()> {
    let mut other = identity("a");
    other.tenant = tenant("other");
    case.store(&intent("a")).await?;
    let record = case.store(&intent_of(other.clone())).await?;
    let target = DeleteTarget::Artifact {
        tenant: tenant("third"),
        artifact: artifact_id("a"),
    };
    assert_eq!(
        case.catalog.tombstone(&target, DeleteMode::Final, at(0)).await?,
        []
    );
    let target = DeleteTarget::Artifact {
        tenant: TenantId::default(),
        artifact: artifact_id("a"),
    };
    assert_eq!(
        case.catalog
            .tombstone(&target, DeleteMode::Final, at(0))
            .await?
            .len(),
        1
    );
    assert_eq!(
        case.catalog.find(&other, VersionSelector::Current).await?,
        Some(record)
    );
    Ok(())
}

async fn tombstones_are_those_before_a_time(case: Case) -> Result<()> {
    for second in 1..=3 {
        let name = format!("a{second}");
        case.store(&intent(&name)).await?;
        case.catalog
            .tombstone(
                &DeleteTarget::Variant(identity(&name)),
                DeleteMode::Final,
                at(second),
            )
            .await?;
    }
    for (before, count) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 3)] {
        assert_eq!(
            case.catalog.tombstones(at(before), None, 10).await?.len(),
            count,
            "before {before}"
        );
    }
    Ok(())
}

async fn tombstones_keep_their_limit(case: Case) -> Result<()> {
    case.store_versions("a", 5).await?;
    case.delete("a").await?;
    for (limit, count) in [(0, 0), (1, 1), (4, 4), (5, 5), (6, 5), (usize::MAX, 5)] {
        assert_eq!(
            case.catalog.tombstones(at(1), None, limit).await?.len(),
            count,
            "at most {limit}"
        );
    }
    Ok(())
}

async fn tombstones_come_in_pages(case: Case) -> Result<()> {
    case.store_versions("a", 5).await?;
    case.delete("a").await?;
    let all = case.catalog.tombstones(at(1), None, 10).await?;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = case.catalog.tombstones(at(1), after, 2).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.version);
        seen.extend(page);
    }
    assert_eq!((seen.len(), seen), (5, all));
    Ok(())
}

async fn purging_is_idempotent(case: Case) -> Result<()> {
    case.store_versions("a", 2).await?;
    let dead = case.delete("a").await?;
    for _ in 0..2 {
        case.catalog.purge(dead[0]).await?;
        let left: Vec<_> = case
            .catalog
            .tombstones(at(1), None, 10)
            .await?
            .iter()
            .map(|dead| dead.version)
            .collect();
        assert_eq!(left, [dead[1]]);
    }
    case.catalog.purge(VersionId::fresh()).await?;
    case.catalog.purge(dead[1]).await?;
    assert_eq!(case.catalog.tombstones(at(1), None, 10).await?, []);
    assert_eq!(case.delete("a").await?, []);
    Ok(())
}

async fn what_is_not_deleted_is_not_purged(case: Case) -> Result<()> {
    let record = case.store(&intent("a")).await?;
    case.catalog.purge(record.version).await?;
    assert_eq!(case.present("a").await?, Some(record));
    assert_eq!(case.delete("a").await?.len(), 1);
    assert_eq!(
        case.catalog.tombstones(at(1), None, 10).await?.len(),
        1,
        "the bytes are still to be removed"
    );
    Ok(())
}
