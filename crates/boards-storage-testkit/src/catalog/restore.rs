//! Deletions that can be taken back, until they cannot.

use boards_storage_core::{
    AccessClass, ArtifactQuery, ArtifactRecord, ArtifactType, Begun, CatalogChange, DeleteMode, DeleteTarget,
    DeletedQuery, ErrorKind, EventQuery, NewIntent, Result, VersionId, VersionSelector,
};

use super::case::{
    Case, artifact_id, at, identity, intent, intent_of, numbers, object, overwrite, refused, rich_object,
    tenant, variant_name,
};

super::catalog_tests! { "restore" {
    what_is_deleted_recoverably_is_seen_by_nobody
    a_restored_record_is_as_it_was
    the_last_deletion_is_taken_back_and_no_earlier_one
    a_version_is_restored_alone
    a_restored_version_does_not_hide_a_newer_one
    all_variants_of_an_artifact_come_back
    nothing_to_restore_is_no_error
    a_final_deletion_is_not_restored
    its_time_ends_it
    a_final_deletion_gives_up_what_could_be_restored
    expiry_is_final_and_keeps_its_limit
    bytes_of_what_can_be_restored_stay
    an_artifact_that_can_be_restored_keeps_its_facts
    numbers_are_not_given_twice_meanwhile
    a_tenant_restores_only_its_own
    what_can_be_restored_is_listed_in_pages
    a_deletion_and_a_restoration_are_told
    restored_once_in_a_race
    restored_or_expired_and_never_both
} }

const RECOVERABLE: DeleteMode = DeleteMode::Recoverable {
    until: jiff::Timestamp::constant(1_790_000_100, 0),
};

fn whole(artifact: &str) -> DeleteTarget {
    DeleteTarget::Artifact {
        tenant: boards_storage_core::TenantId::default(),
        artifact: artifact_id(artifact),
    }
}

fn one(artifact: &str, number: u64) -> DeleteTarget {
    DeleteTarget::Version(identity(artifact), VersionSelector::Number(number))
}

async fn deleted_versions(case: &Case) -> Result<Vec<VersionId>> {
    let deleted = case.second.deleted(&DeletedQuery::default()).await?;
    Ok(deleted.into_iter().map(|dead| dead.record.version).collect())
}

async fn what_is_deleted_recoverably_is_seen_by_nobody(case: Case) -> Result<()> {
    let record = case.store(&intent("a")).await?;
    let dead = case.catalog.tombstone(&whole("a"), RECOVERABLE, at(1)).await?;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].recoverable_until, Some(at(100)));
    for selector in [
        VersionSelector::Current,
        VersionSelector::Number(1),
        VersionSelector::Id(record.version),
    ] {
        assert_eq!(
            case.second.find(&identity("a"), selector).await?,
            None,
            "{selector:?}"
        );
    }
    assert_eq!(case.catalog.find_by_key(&record.primary().key).await?, None);
    assert_eq!(case.catalog.versions(&identity("a")).await?, []);
    assert_eq!(case.catalog.list(&ArtifactQuery::default()).await?.records, []);
    assert!(case.catalog.utilization().await?.is_empty());
    assert_eq!(
        case.catalog.tombstone(&whole("a"), RECOVERABLE, at(2)).await?,
        [],
        "it is deleted already"
    );
    Ok(())
}

async fn a_restored_record_is_as_it_was(case: Case) -> Result<()> {
    let new = intent("a");
    case.start(&new).await?;
    let record = case.catalog.commit(new.version, &rich_object(), at(1)).await?;
    case.catalog.tombstone(&whole("a"), RECOVERABLE, at(2)).await?;
    assert_eq!(
        case.second.restore(&whole("a"), at(99)).await?,
        std::slice::from_ref(&record)
    );
    assert_eq!(case.present("a").await?, Some(record.clone()));
    assert_eq!(
        case.list_all(&ArtifactQuery::default(), 10).await?,
        std::slice::from_ref(&record)
    );
    assert_eq!(
        case.catalog.find_by_key(&record.primary().key).await?,
        Some(record)
    );
    assert_eq!(deleted_versions(&case).await?, []);
    assert_eq!(case.catalog.tombstones(at(1000), None, 10).await?, []);
    Ok(())
}

async fn the_last_deletion_is_taken_back_and_no_earlier_one(case: Case) -> Result<()> {
    case.store_versions("a", 4).await?;
    case.catalog.tombstone(&one("a", 4), RECOVERABLE, at(1)).await?;
    case.catalog.tombstone(&whole("a"), RECOVERABLE, at(2)).await?;
    assert_eq!(
        numbers(&case.catalog.restore(&whole("a"), at(3)).await?),
        [1, 2, 3]
    );
    assert_eq!(case.present("a").await?.map(|record| record.number), Some(3));
    assert_eq!(numbers(&case.catalog.restore(&whole("a"), at(3)).await?), [4]);
    assert_eq!(case.present("a").await?.map(|record| record.number), Some(4));
    Ok(())
}

async fn a_version_is_restored_alone(case: Case) -> Result<()> {
    let records = case.store_versions("a", 3).await?;
    case.catalog.tombstone(&whole("a"), RECOVERABLE, at(1)).await?;
    let second = case.catalog.restore(&one("a", 2), at(2)).await?;
    assert_eq!((numbers(&second), second[0].is_current), (vec![2], true));
    let by_id = DeleteTarget::Version(identity("a"), VersionSelector::Id(records[0].version));
    let first = case.catalog.restore(&by_id, at(2)).await?;
    assert_eq!((numbers(&first), first[0].is_current), (vec![1], false));
    let current = DeleteTarget::Version(identity("a"), VersionSelector::Current);
    assert_eq!(
        case.catalog.restore(&current, at(2)).await?,
        [],
        "none is present"
    );
    assert_eq!(numbers(&case.catalog.versions(&identity("a")).await?), [2, 1]);
    Ok(())
}

async fn a_restored_version_does_not_hide_a_newer_one(case: Case) -> Result<()> {
    case.store(&intent("a")).await?;
    case.catalog.tombstone(&whole("a"), RECOVERABLE, at(1)).await?;
    let newer = case.store(&intent("a")).await?;
    let restored = case.catalog.restore(&whole("a"), at(2)).await?;
    assert_eq!((numbers(&restored), restored[0].is_current), (vec![1], false));
    assert_eq!(case.present("a").await?, Some(newer));
    let versions = case.catalog.versions(&identity("a")).await?;
    let present: Vec<_> = versions.iter().map(|record| record.is_current).collect();
    assert_eq!((numbers(&versions), present), (vec![2, 1], vec![true, false]));
    Ok(())
}

async fn all_variants_of_an_artifact_come_back(case: Case) -> Result<()> {
    let mut thumbnail = identity("a");
    thumbnail.variant = variant_name("thumbnail");
    let records = [
        case.store(&intent("a")).await?,
        case.store(&intent_of(thumbnail.clone())).await?,
    ];
    case.catalog.tombstone(&whole("a"), RECOVERABLE, at(1)).await?;
    let only = case
        .catalog
        .restore(&DeleteTarget::Variant(thumbnail), at(2))
        .await?;
    assert_eq!(only, std::slice::from_ref(&records[1]));
    case.catalog.tombstone(&whole("a"), RECOVERABLE, at(3)).await?;
    case.catalog.restore(&whole("a"), at(4)).await?;
    case.catalog.restore(&whole("a"), at(4)).await?;
    assert_eq!(case.list_all(&ArtifactQuery::default(), 10).await?, records);
    Ok(())
}

async fn nothing_to_restore_is_no_error(case: Case) -> Result<()> {
    assert_eq!(case.catalog.restore(&whole("a"), at(0)).await?, []);
    let record = case.store(&intent("a")).await?;
    assert_eq!(
        case.catalog.restore(&whole("a"), at(0)).await?,
        [],
        "it is not deleted"
    );
    assert_eq!(case.catalog.expire_deleted(at(1000), 10).await?, 0);
    assert_eq!(case.present("a").await?, Some(record));
    Ok(())
}

async fn a_final_deletion_is_not_restored(case: Case) -> Result<()> {
    case.store(&intent("a")).await?;
    let dead = case
        .catalog
        .tombstone(&whole("a"), DeleteMode::Final, at(1))
        .await?;
    assert_eq!(dead[0].recoverable_until, None);
    assert_eq!(case.catalog.restore(&whole("a"), at(1)).await?, []);
    assert_eq!(deleted_versions(&case).await?, []);
    Ok(())
}

async fn its_time_ends_it(case: Case) -> Result<()> {
    case.store(&intent("a")).await?;
    case.catalog.tombstone(&whole("a"), RECOVERABLE, at(1)).await?;
    assert_eq!(
        case.catalog.restore(&whole("a"), at(100)).await?,
        [],
        "the time is over"
    );
    assert_eq!(case.catalog.expire_deleted(at(99), 10).await?, 0);
    assert_eq!(case.catalog.restore(&whole("a"), at(99)).await?.len(), 1);
    Ok(())
}

async fn a_final_deletion_gives_up_what_could_be_restored(case: Case) -> Result<()> {
    let records = case.store_versions("a", 3).await?;
    case.catalog.tombstone(&one("a", 2), RECOVERABLE, at(1)).await?;
    let current = DeleteTarget::Version(identity("a"), VersionSelector::Current);
    let dead = case.catalog.tombstone(&current, DeleteMode::Final, at(2)).await?;
    assert_eq!(dead.len(), 1, "the present one alone: {dead:?}");
    let dead = case
        .catalog
        .tombstone(&whole("a"), DeleteMode::Final, at(3))
        .await?;
    let told: Vec<_> = dead.iter().map(|dead| (dead.version, dead.deleted_at)).collect();
    assert_eq!(told, [(records[0].version, at(3)), (records[1].version, at(1))]);
    assert!(
        dead.iter().all(|dead| dead.recoverable_until.is_none()),
        "{dead:?}"
    );
    assert_eq!(case.catalog.restore(&whole("a"), at(3)).await?, []);
    assert_eq!(case.catalog.tombstones(at(9), None, 10).await?.len(), 3);
    Ok(())
}

async fn expiry_is_final_and_keeps_its_limit(case: Case) -> Result<()> {
    case.store_versions("a", 5).await?;
    case.catalog.tombstone(&whole("a"), RECOVERABLE, at(1)).await?;
    assert_eq!(case.catalog.tombstones(at(1000), None, 10).await?, []);
    assert_eq!(case.catalog.expire_deleted(at(100), 2).await?, 2);
    assert_eq!(deleted_versions(&case).await?.len(), 3);
    assert_eq!(case.catalog.expire_deleted(at(100), 10).await?, 3);
    let dead = case.catalog.tombstones(at(1000), None, 10).await?;
    assert_eq!((dead.len(), dead[0].deleted_at), (5, at(1)));
    assert_eq!(
        case.catalog.restore(&whole("a"), at(2)).await?,
        [],
        "whatever the clock of the caller says"
    );
    let another = NewIntent {
        artifact_type: ArtifactType::Model,
        ..intent("a")
    };
    case.store(&another).await?;
    Ok(())
}

async fn bytes_of_what_can_be_restored_stay(case: Case) -> Result<()> {
    let record = case.store(&intent("a")).await?;
    case.catalog.tombstone(&whole("a"), RECOVERABLE, at(1)).await?;
    case.catalog.purge(record.version).await?;
    assert_eq!(case.catalog.restore(&whole("a"), at(2)).await?, [record]);
    Ok(())
}

async fn an_artifact_that_can_be_restored_keeps_its_facts(case: Case) -> Result<()> {
    let public = |name| NewIntent {
        access: AccessClass::Public,
        ..intent(name)
    };
    let record = case.store(&intent("a")).await?;
    case.catalog.tombstone(&whole("a"), RECOVERABLE, at(1)).await?;
    refused(case.catalog.begin(&public("a")).await, ErrorKind::InvalidInput);
    assert_eq!(case.catalog.restore(&whole("a"), at(2)).await?, [record]);
    // A write that began under the old facts of another life does not change them either.
    case.catalog
        .tombstone(&whole("a"), DeleteMode::Final, at(3))
        .await?;
    let waiting = public("a");
    assert!(matches!(case.catalog.begin(&waiting).await?, Begun::Started(_)));
    let private = overwrite("a");
    case.start(&private).await?;
    case.catalog.commit(private.version, &object("x"), at(4)).await?;
    case.catalog.tombstone(&whole("a"), RECOVERABLE, at(5)).await?;
    refused(
        case.catalog.commit(waiting.version, &object("x"), at(6)).await,
        ErrorKind::InvalidInput,
    );
    Ok(())
}

async fn numbers_are_not_given_twice_meanwhile(case: Case) -> Result<()> {
    case.store_versions("a", 2).await?;
    case.catalog.tombstone(&whole("a"), RECOVERABLE, at(1)).await?;
    assert_eq!(numbers(&case.store_versions("a", 1).await?), [3]);
    case.catalog.restore(&whole("a"), at(2)).await?;
    assert_eq!(numbers(&case.catalog.versions(&identity("a")).await?), [3, 2, 1]);
    Ok(())
}

async fn a_tenant_restores_only_its_own(case: Case) -> Result<()> {
    let mut other = identity("a");
    other.tenant = tenant("other");
    case.store(&intent("a")).await?;
    case.store(&intent_of(other.clone())).await?;
    let of_other = DeleteTarget::Variant(other);
    for target in [&whole("a"), &of_other] {
        case.catalog.tombstone(target, RECOVERABLE, at(1)).await?;
    }
    let restored = case.catalog.restore(&of_other, at(2)).await?;
    assert_eq!(
        (restored.len(), restored[0].variant.tenant.as_str()),
        (1, "other")
    );
    assert_eq!(case.present("a").await?, None);
    let query = DeletedQuery::default().with_tenant(tenant("other"));
    assert_eq!(case.catalog.deleted(&query).await?, []);
    let query = DeletedQuery::default().with_tenant(boards_storage_core::TenantId::default());
    assert_eq!(case.catalog.deleted(&query).await?.len(), 1);
    Ok(())
}

async fn what_can_be_restored_is_listed_in_pages(case: Case) -> Result<()> {
    let mut records: Vec<ArtifactRecord> = case.store_versions("a", 4).await?;
    records.extend(case.store_versions("b", 3).await?);
    for name in ["a", "b"] {
        case.catalog.tombstone(&whole(name), RECOVERABLE, at(1)).await?;
    }
    let all = case.catalog.deleted(&DeletedQuery::default()).await?;
    records.sort_by_key(|record| record.version);
    records.iter_mut().for_each(|record| record.is_current = false);
    let listed: Vec<_> = all.iter().map(|dead| dead.record.clone()).collect();
    assert_eq!(listed, records);
    assert!(
        all.iter()
            .all(|dead| (dead.deleted_at, dead.recoverable_until) == (at(1), at(100)))
    );
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let mut query = DeletedQuery::default().with_limit(2);
        query.after = after;
        let page = case.catalog.deleted(&query).await?;
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.record.version);
        seen.extend(page);
    }
    assert_eq!(seen, all);
    let of_b = DeletedQuery::default()
        .with_tenant(boards_storage_core::TenantId::default())
        .with_artifact(artifact_id("b"));
    assert_eq!(case.catalog.deleted(&of_b).await?.len(), 3);
    Ok(())
}

async fn a_deletion_and_a_restoration_are_told(case: Case) -> Result<()> {
    let record = case.store(&intent("a")).await?;
    case.catalog.tombstone(&whole("a"), RECOVERABLE, at(1)).await?;
    case.catalog.restore(&whole("a"), at(2)).await?;
    case.catalog.tombstone(&whole("a"), RECOVERABLE, at(3)).await?;
    case.catalog
        .tombstone(&whole("a"), DeleteMode::Final, at(4))
        .await?;
    case.catalog.purge(record.version).await?;
    let events = case.second.events(&EventQuery::default()).await?;
    let told: Vec<_> = events.iter().map(|event| event.change.name()).collect();
    assert_eq!(told, ["committed", "deleted", "restored", "deleted", "purged"]);
    assert_eq!(events[2].at, at(2));
    let CatalogChange::Deleted {
        recoverable_until, ..
    } = &events[1].change
    else {
        panic!("{:?}", events[1]);
    };
    assert_eq!(*recoverable_until, Some(at(100)));
    Ok(())
}

async fn restored_once_in_a_race(case: Case) -> Result<()> {
    case.store_versions("a", 10).await?;
    case.catalog.tombstone(&whole("a"), RECOVERABLE, at(1)).await?;
    let restore = |index| {
        let catalog = case.handle(index);
        async move { catalog.restore(&whole("a"), at(2)).await }
    };
    let answers = futures_util::future::try_join_all((0..8).map(restore)).await?;
    let restored: usize = answers.iter().map(Vec::len).sum();
    assert_eq!(restored, 10, "{answers:?}");
    assert_eq!(case.catalog.versions(&identity("a")).await?.len(), 10);
    Ok(())
}

async fn restored_or_expired_and_never_both(case: Case) -> Result<()> {
    for round in 0..30 {
        let name = format!("a{round}");
        case.store(&intent(&name)).await?;
        case.catalog.tombstone(&whole(&name), RECOVERABLE, at(1)).await?;
        let (restorer, reaper) = (case.handle(round), case.handle(round + 1));
        // The two do not agree on the time.
        let target = whole(&name);
        let restore = tokio::spawn(async move { restorer.restore(&target, at(99)).await });
        let expire = tokio::spawn(async move { reaper.expire_deleted(at(100), 10).await });
        let (restored, expired) = (
            restore.await.expect("no panic")?.len(),
            expire.await.expect("no panic")?,
        );
        assert_eq!(
            restored + expired,
            1,
            "round {round}: {restored} restored, {expired} expired"
        );
        assert_eq!(case.present(&name).await?.is_some(), restored == 1);
    }
    Ok(())
}
