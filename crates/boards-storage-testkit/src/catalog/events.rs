//! The event log: each change once, in order, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use boards_storage_core::{
    ArtifactQuery, ArtifactRecord, CatalogChange, CatalogEvent, DeleteMode, DeleteTarget, ErrorKind,
    EventQuery, Result, SharedCatalog, VariantIdentity, VersionSelector,
};

use super::case::{
    Case, artifact_id, at, identity, intent, intent_of, object, overwrite, refused, rich_object, tenant,
};

super::catalog_tests! { "events" {
    an_empty_catalog_has_none
    a_life_is_told_in_order
    a_commit_is_told_with_its_whole_record
    what_was_refused_or_is_under_way_is_not_told
    what_changes_nothing_is_told_once
    a_deletion_of_many_tells_each
    tenants_and_artifacts_are_read_alone
    pages_go_on_where_they_ended
    a_replay_gives_the_records
    a_reader_that_follows_racing_writers_misses_nothing
} }

async fn all(case: &Case, query: &EventQuery) -> Result<Vec<CatalogEvent>> {
    let events = case.catalog.events(query).await?;
    assert_eq!(case.second.events(query).await?, events, "both handles agree");
    assert!(
        events.windows(2).all(|pair| pair[0].sequence < pair[1].sequence),
        "{events:?}"
    );
    Ok(events)
}

/// Each event as `change artifact`.
async fn told(case: &Case, query: &EventQuery) -> Result<Vec<String>> {
    let events = all(case, query).await?;
    Ok(events
        .iter()
        .map(|event| format!("{} {}", event.change.name(), event.change.variant().artifact))
        .collect())
}

async fn an_empty_catalog_has_none(case: Case) -> Result<()> {
    assert_eq!(all(&case, &EventQuery::default()).await?, []);
    Ok(())
}

async fn a_life_is_told_in_order(case: Case) -> Result<()> {
    let first = case.store(&intent("a")).await?;
    let second = case.store(&overwrite("a")).await?;
    case.delete("a").await?;
    case.catalog.purge(first.version).await?;
    let events = all(&case, &EventQuery::default()).await?;
    let told: Vec<_> = events
        .iter()
        .map(|event| (event.change.name(), event.change.version()))
        .collect();
    assert_eq!(
        told,
        [
            ("committed", first.version),
            ("committed", second.version),
            ("deleted", first.version),
            ("deleted", second.version),
            ("purged", first.version),
        ]
    );
    assert_eq!((events[0].at, events[2].at), (first.created_at, at(0)));
    assert!(
        events
            .iter()
            .all(|event| *event.change.variant() == identity("a"))
    );
    Ok(())
}

async fn a_commit_is_told_with_its_whole_record(case: Case) -> Result<()> {
    let started = case.start(&intent("a")).await?;
    let record = case
        .catalog
        .commit(started.version, &rich_object(), at(3))
        .await?;
    let events = all(&case, &EventQuery::default()).await?;
    let expected = CatalogChange::Committed {
        record: Box::new(record),
    };
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].at, &events[0].change), (at(3), &expected));
    Ok(())
}

async fn what_was_refused_or_is_under_way_is_not_told(case: Case) -> Result<()> {
    let under_way = case.start(&intent("a")).await?;
    let abandoned = case.start(&intent("b")).await?;
    case.catalog.abandon(abandoned.version).await?;
    let late = case.catalog.commit(abandoned.version, &object("b"), at(0)).await;
    refused(late, ErrorKind::PreconditionFailed);
    case.catalog.renew(under_way.version, at(100)).await?;
    assert_eq!(all(&case, &EventQuery::default()).await?, []);
    Ok(())
}

async fn what_changes_nothing_is_told_once(case: Case) -> Result<()> {
    let record = case.store(&intent("a")).await?;
    case.catalog.commit(record.version, &object("a"), at(0)).await?;
    case.catalog.purge(record.version).await?;
    case.delete("a").await?;
    case.delete("a").await?;
    case.catalog.purge(record.version).await?;
    case.catalog.purge(record.version).await?;
    assert_eq!(
        told(&case, &EventQuery::default()).await?,
        ["committed a", "deleted a", "purged a"]
    );
    Ok(())
}

async fn a_deletion_of_many_tells_each(case: Case) -> Result<()> {
    let stored = case.store_versions("a", 5).await?;
    let deleted = case.delete("a").await?;
    let events = all(&case, &EventQuery::default().with_after(last(&case).await? - 5)).await?;
    let told: Vec<_> = events.iter().map(|event| event.change.version()).collect();
    assert_eq!(told, deleted);
    assert_eq!(told.len(), stored.len());
    Ok(())
}

async fn last(case: &Case) -> Result<u64> {
    let events = case.catalog.events(&EventQuery::default()).await?;
    Ok(events.last().map_or(0, |event| event.sequence))
}

async fn tenants_and_artifacts_are_read_alone(case: Case) -> Result<()> {
    let mut other = identity("a");
    other.tenant = tenant("other");
    case.store(&intent("a")).await?;
    case.store(&intent("b")).await?;
    case.store(&intent_of(other)).await?;
    let query = EventQuery::default;
    assert_eq!(
        told(&case, &query().with_tenant(tenant("other"))).await?,
        ["committed a"]
    );
    let b = query()
        .with_tenant(identity("b").tenant)
        .with_artifact(artifact_id("b"));
    assert_eq!(told(&case, &b).await?, ["committed b"]);
    assert_eq!(
        told(&case, &query().with_artifact(artifact_id("a"))).await?.len(),
        2
    );
    assert!(
        told(&case, &query().with_tenant(tenant("nobody")))
            .await?
            .is_empty()
    );
    Ok(())
}

async fn pages_go_on_where_they_ended(case: Case) -> Result<()> {
    case.store_versions("a", 7).await?;
    let whole = all(&case, &EventQuery::default()).await?;
    for size in 1..=8 {
        let (mut read, mut after) = (Vec::new(), None);
        loop {
            let mut query = EventQuery::default().with_limit(size);
            query.after = after;
            let page = all(&case, &query).await?;
            assert!(page.len() <= size);
            let Some(last) = page.last() else { break };
            after = Some(last.sequence);
            read.extend(page);
        }
        assert_eq!(read, whole, "by pages of {size}");
    }
    let beyond = EventQuery::default().with_after(u64::MAX);
    assert_eq!(all(&case, &beyond).await?, []);
    assert_eq!(all(&case, &EventQuery::default().with_limit(0)).await?.len(), 1);
    Ok(())
}

/// The present records, as who knows nothing but the events would have them.
fn replay(events: &[CatalogEvent]) -> Vec<ArtifactRecord> {
    let mut versions = BTreeMap::<VariantIdentity, BTreeMap<u64, ArtifactRecord>>::new();
    let mut deleted = Vec::new();
    for event in events {
        match &event.change {
            CatalogChange::Committed { record } => {
                let of_variant = versions.entry(record.variant.clone()).or_default();
                of_variant.insert(record.number, (**record).clone());
            }
            CatalogChange::Deleted { version, variant, .. } => {
                let of_variant = versions.entry(variant.clone()).or_default();
                of_variant.retain(|_, record| {
                    if record.version == *version {
                        deleted.push(record.clone());
                    }
                    record.version != *version
                });
            }
            CatalogChange::Restored { version, variant } => {
                let back = deleted
                    .iter()
                    .rfind(|record| record.version == *version)
                    .expect("it was deleted before");
                let of_variant = versions.entry(variant.clone()).or_default();
                of_variant.insert(back.number, back.clone());
            }
            CatalogChange::Purged { .. } => {}
        }
    }
    versions
        .into_values()
        .filter_map(|mut of_variant| of_variant.pop_last())
        .map(|(_, mut present)| {
            present.is_current = true;
            present
        })
        .collect()
}

async fn a_replay_gives_the_records(case: Case) -> Result<()> {
    case.store_versions("a", 3).await?;
    case.store_versions("b", 2).await?;
    case.store(&intent("c")).await?;
    case.delete("c").await?;
    case.store(&overwrite("c")).await?;
    let newest_of_a = DeleteTarget::Version(identity("a"), VersionSelector::Current);
    case.catalog
        .tombstone(&newest_of_a, DeleteMode::Final, at(1))
        .await?;
    case.delete("b").await?;
    case.store_versions("d", 2).await?;
    let d = DeleteTarget::Variant(identity("d"));
    let mode = DeleteMode::Recoverable { until: at(9) };
    case.catalog.tombstone(&d, mode, at(1)).await?;
    case.catalog.restore(&d, at(2)).await?;
    let listed = case.list_all(&ArtifactQuery::default(), 10).await?;
    assert_eq!(replay(&all(&case, &EventQuery::default()).await?), listed);
    assert_eq!(listed.len(), 3);
    Ok(())
}

/// Reads on after the last number until it has seen `count` events.
async fn follow(catalog: SharedCatalog, count: usize) -> Result<Vec<CatalogEvent>> {
    let mut seen: Vec<CatalogEvent> = Vec::new();
    while seen.len() < count {
        let mut query = EventQuery::default().with_limit(3);
        query.after = seen.last().map(|event| event.sequence);
        let page = catalog.events(&query).await?;
        if page.is_empty() {
            tokio::task::yield_now().await;
        }
        seen.extend(page);
    }
    Ok(seen)
}

async fn a_reader_that_follows_racing_writers_misses_nothing(case: Case) -> Result<()> {
    const WRITERS: usize = 8;
    const EACH: usize = 6;
    let write = async |writer: usize| {
        for index in 0..EACH {
            let new = intent(&format!("w{writer}-{index}"));
            let catalog = case.handle(writer);
            let started = super::case::started(catalog.begin(&new).await?)?;
            catalog.commit(started.version, &object("x"), at(0)).await?;
        }
        Ok::<_, boards_storage_core::Error>(())
    };
    let writers = futures_util::future::try_join_all((0..WRITERS).map(write));
    let follower = follow(case.handle(1), WRITERS * EACH);
    let (_, seen) = futures_util::future::try_join(writers, follower).await?;
    let artifacts: BTreeSet<_> = seen
        .iter()
        .map(|event| event.change.variant().artifact.clone())
        .collect();
    assert_eq!((seen.len(), artifacts.len()), (WRITERS * EACH, WRITERS * EACH));
    Ok(())
}
