//! Finding one record: by version, by key.

use boards_storage_core::{Result, VersionId, VersionSelector};

use super::case::{Case, at, identity, intent, key, numbers, overwrite};

super::catalog_tests! { "find" {
    a_version_is_found_by_every_selector
    what_is_not_there_is_none
    a_version_belongs_to_its_variant
    versions_come_newest_first
    every_version_is_found_by_its_key
    a_key_without_a_record_is_none
    both_handles_see_a_commit_at_once
    the_catalog_can_be_probed
} }

async fn a_version_is_found_by_every_selector(case: Case) -> Result<()> {
    let records = case.store_versions("a", 3).await?;
    for record in &records {
        for selector in [
            VersionSelector::Number(record.number),
            VersionSelector::Id(record.version),
        ] {
            let found = case
                .catalog
                .find(&identity("a"), selector)
                .await?
                .expect("it was committed");
            assert_eq!((found.number, found.version), (record.number, record.version));
            assert_eq!(found.is_current, record.number == 3, "{selector:?}");
        }
    }
    assert_eq!(case.present("a").await?.as_ref(), records.last());
    Ok(())
}

async fn what_is_not_there_is_none(case: Case) -> Result<()> {
    case.store(&intent("a")).await?;
    let selectors = [0, 2, u64::MAX].map(VersionSelector::Number);
    for selector in selectors
        .into_iter()
        .chain([VersionSelector::Id(VersionId::fresh())])
    {
        assert_eq!(
            case.catalog.find(&identity("a"), selector).await?,
            None,
            "{selector:?}"
        );
    }
    assert_eq!(case.present("b").await?, None);
    assert_eq!(case.catalog.versions(&identity("b")).await?, []);
    Ok(())
}

async fn a_version_belongs_to_its_variant(case: Case) -> Result<()> {
    let record = case.store(&intent("a")).await?;
    case.store(&intent("b")).await?;
    assert_eq!(
        case.catalog
            .find(&identity("b"), VersionSelector::Id(record.version))
            .await?,
        None
    );
    Ok(())
}

async fn versions_come_newest_first(case: Case) -> Result<()> {
    case.store_versions("a", 12).await?;
    case.store_versions("b", 2).await?;
    let versions = case.catalog.versions(&identity("a")).await?;
    assert_eq!(numbers(&versions), (1..=12).rev().collect::<Vec<_>>());
    let current: Vec<_> = versions.iter().filter(|record| record.is_current).collect();
    assert_eq!((current.len(), current[0].number), (1, 12));
    Ok(())
}

async fn every_version_is_found_by_its_key(case: Case) -> Result<()> {
    for record in case.store_versions("a", 3).await? {
        let found = case
            .catalog
            .find_by_key(&record.primary().key)
            .await?
            .expect("it was committed");
        assert_eq!(
            (found.version, found.is_current),
            (record.version, record.number == 3)
        );
    }
    Ok(())
}

async fn a_key_without_a_record_is_none(case: Case) -> Result<()> {
    let new = overwrite("a");
    case.start(&new).await?;
    for unknown in [&new.plain_key, &new.versioned_key, &key("nothing/here")] {
        assert_eq!(case.catalog.find_by_key(unknown).await?, None);
    }
    Ok(())
}

async fn both_handles_see_a_commit_at_once(case: Case) -> Result<()> {
    for index in 0..50 {
        let name = format!("a{index}");
        let new = intent(&name);
        case.start(&new).await?;
        let record = case
            .handle(index)
            .commit(new.version, &super::case::object("x"), at(1))
            .await?;
        let found = case
            .handle(index + 1)
            .find(&new.variant, VersionSelector::Current)
            .await?;
        assert_eq!(found, Some(record));
    }
    Ok(())
}

async fn the_catalog_can_be_probed(case: Case) -> Result<()> {
    case.catalog.probe().await?;
    case.second.probe().await
}
