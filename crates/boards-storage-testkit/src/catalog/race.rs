//! Many writers at once, over both handles: exactly one wins, and nobody's work is lost.

use std::collections::BTreeSet;
use std::sync::Arc;

use boards_storage_core::{
    Begun, DeleteMode, DeleteTarget, ErrorKind, NewIntent, Result, SharedCatalog, VersionSelector,
};
use tokio::task::JoinSet;

use super::case::{Case, LEASE_SECONDS, at, identity, intent, later, numbers, object, overwrite};

super::catalog_tests! { "race" {
    one_of_many_writers_may_begin
    one_of_many_writers_stores_the_artifact
    overwriters_get_every_number_once
    overwriters_never_share_a_key
    one_of_many_may_take_over
    a_repeated_commit_makes_one_version
    a_write_is_committed_or_reaped_and_never_both
    a_write_is_committed_or_taken_over_and_never_both
    each_version_is_deleted_once
    readers_always_see_one_present_version
    variants_of_one_artifact_agree_on_its_type
} }

const WRITERS: usize = 16;

/// Runs as many tasks, on both handles in turn, and collects their answers.
async fn all<T, F>(case: &Case, count: usize, work: impl Fn(usize, SharedCatalog) -> F) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for index in 0..count {
        tasks.spawn(work(index, case.handle(index)));
    }
    let mut answers = Vec::new();
    while let Some(answer) = tasks.join_next().await {
        answers.push(answer.expect("no task panics")?);
    }
    Ok(answers)
}

async fn one_of_many_writers_may_begin(case: Case) -> Result<()> {
    for round in 0..10 {
        let answers = all(&case, WRITERS, move |_, catalog| async move {
            catalog.begin(&intent(&format!("a{round}"))).await
        })
        .await?;
        let started = answers
            .iter()
            .filter(|begun| matches!(begun, Begun::Started(_)))
            .count();
        let busy = answers
            .iter()
            .filter(|begun| matches!(begun, Begun::Busy { .. }))
            .count();
        assert_eq!((started, busy), (1, WRITERS - 1));
    }
    Ok(())
}

async fn one_of_many_writers_stores_the_artifact(case: Case) -> Result<()> {
    let answers = all(&case, WRITERS, |_, catalog| async move {
        for _ in 0..10_000 {
            let new = intent("a");
            match catalog.begin(&new).await? {
                Begun::Started(begun) => {
                    return Ok((
                        true,
                        catalog.commit(begun.version, &object("x"), at(0)).await?.version,
                    ));
                }
                Begun::Exists(record) => return Ok((false, record.version)),
                Begun::Busy { .. } => tokio::task::yield_now().await,
            }
        }
        panic!("the variant stayed busy")
    })
    .await?;
    let winners: Vec<_> = answers.iter().filter(|(is_winner, _)| *is_winner).collect();
    assert_eq!(winners.len(), 1);
    assert!(
        answers.iter().all(|(_, version)| *version == winners[0].1),
        "all see the winner's version"
    );
    Ok(())
}

async fn overwriters_get_every_number_once(case: Case) -> Result<()> {
    let answers = all(&case, WRITERS, |_, catalog| async move {
        let new = overwrite("a");
        catalog.begin(&new).await?;
        Ok(catalog.commit(new.version, &object("x"), at(0)).await?.number)
    })
    .await?;
    let given: BTreeSet<u64> = answers.into_iter().collect();
    assert_eq!(given, (1..=WRITERS as u64).collect());
    let versions = case.catalog.versions(&identity("a")).await?;
    assert_eq!(numbers(&versions), (1..=WRITERS as u64).rev().collect::<Vec<_>>());
    assert_eq!(versions.iter().filter(|record| record.is_current).count(), 1);
    assert!(versions[0].is_current);
    Ok(())
}

async fn overwriters_never_share_a_key(case: Case) -> Result<()> {
    let keys = all(&case, 4 * WRITERS, |_, catalog| async move {
        match catalog.begin(&overwrite("a")).await? {
            Begun::Started(begun) => Ok(begun.key),
            begun => panic!("overwriting waits for nobody, got {begun:?}"),
        }
    })
    .await?;
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
    Ok(())
}

async fn one_of_many_may_take_over(case: Case) -> Result<()> {
    case.start(&intent("a")).await?;
    let answers = all(&case, WRITERS, |_, catalog| async move {
        catalog.begin(&later("a")).await
    })
    .await?;
    assert_eq!(
        answers
            .iter()
            .filter(|begun| matches!(begun, Begun::Started(_)))
            .count(),
        1
    );
    Ok(())
}

async fn a_repeated_commit_makes_one_version(case: Case) -> Result<()> {
    let new = intent("a");
    case.start(&new).await?;
    let answers = all(&case, WRITERS, move |_, catalog| async move {
        catalog.commit(new.version, &object("x"), at(1)).await
    })
    .await?;
    assert!(answers.iter().all(|record| *record == answers[0]));
    assert_eq!(case.catalog.versions(&identity("a")).await?.len(), 1);
    Ok(())
}

async fn a_write_is_committed_or_reaped_and_never_both(case: Case) -> Result<()> {
    let mut committed = 0;
    for round in 0..50 {
        let new = intent(&format!("a{round}"));
        case.start(&new).await?;
        let (writer, reaper) = (case.handle(round), case.handle(round + 1));
        let write = tokio::spawn(async move { writer.commit(new.version, &object("x"), at(0)).await });
        let reap = tokio::spawn(async move { reaper.reap_intents(at(LEASE_SECONDS), None, 10).await });
        let (write, reaped) = (write.await.expect("no panic"), reap.await.expect("no panic")?);
        assert_ne!(
            write.is_ok(),
            reaped.iter().any(|intent| intent.version == new.version),
            "round {round}"
        );
        match write {
            Ok(_record) => committed += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::PreconditionFailed),
        }
        case.catalog.abandon(new.version).await?;
    }
    assert_eq!(case.list_all(&Default::default(), 100).await?.len(), committed);
    Ok(())
}

async fn a_write_is_committed_or_taken_over_and_never_both(case: Case) -> Result<()> {
    for round in 0..50 {
        let name = format!("a{round}");
        let new = intent(&name);
        case.start(&new).await?;
        let (writer, other) = (case.handle(round), case.handle(round + 1));
        let write = tokio::spawn(async move { writer.commit(new.version, &object("x"), at(0)).await });
        let take = tokio::spawn(async move { other.begin(&later(&name)).await });
        let (write, taken) = (write.await.expect("no panic"), take.await.expect("no panic")?);
        match (write, taken) {
            (Ok(record), Begun::Exists(found)) => assert_eq!(record, *found),
            (Err(error), Begun::Started(_)) => assert_eq!(error.kind(), ErrorKind::PreconditionFailed),
            (write, taken) => panic!("round {round}: {write:?} and {taken:?}"),
        }
    }
    Ok(())
}

async fn each_version_is_deleted_once(case: Case) -> Result<()> {
    let records = case.store_versions("a", 20).await?;
    let answers = all(&case, WRITERS, |index, catalog| async move {
        let target = match index % 3 {
            0 => DeleteTarget::Variant(identity("a")),
            1 => DeleteTarget::Version(identity("a"), VersionSelector::Current),
            _ => DeleteTarget::Version(identity("a"), VersionSelector::Number(index as u64)),
        };
        catalog.tombstone(&target, DeleteMode::Final, at(0)).await
    })
    .await?;
    let deleted: Vec<_> = answers.into_iter().flatten().map(|dead| dead.version).collect();
    assert_eq!(deleted.len(), records.len());
    assert_eq!(deleted.iter().collect::<BTreeSet<_>>().len(), records.len());
    Ok(())
}

async fn readers_always_see_one_present_version(case: Case) -> Result<()> {
    case.store_versions("a", 2).await?;
    let writer = Arc::clone(&case.catalog);
    let writing = tokio::spawn(async move {
        for _ in 0..50 {
            let new = overwrite("a");
            writer.begin(&new).await?;
            writer.commit(new.version, &object("x"), at(0)).await?;
            let target = DeleteTarget::Version(identity("a"), VersionSelector::Current);
            writer.tombstone(&target, DeleteMode::Final, at(0)).await?;
        }
        Ok(())
    });
    let mut looks = 0;
    while !writing.is_finished() || looks == 0 {
        let present = case
            .second
            .find(&identity("a"), VersionSelector::Current)
            .await?
            .expect("two are never deleted");
        assert!(present.is_current && present.number >= 2);
        let versions = case.second.versions(&identity("a")).await?;
        assert_eq!(versions.iter().filter(|record| record.is_current).count(), 1);
        assert!(versions[0].is_current, "the newest is the present one");
        assert!(
            versions.iter().all(|record| record.replicas.len() == 1),
            "a record is whole"
        );
        looks += 1;
        tokio::task::yield_now().await;
    }
    writing.await.expect("no panic")
}

async fn variants_of_one_artifact_agree_on_its_type(case: Case) -> Result<()> {
    let types = ["image", "video", "audio", "text"];
    let answers = all(&case, WRITERS, move |index, catalog| async move {
        let mut variant = identity("a");
        variant.variant = super::case::variant_name(&format!("v{index}"));
        let artifact_type = super::case::artifact_type(types[index % types.len()]);
        let new = NewIntent {
            artifact_type,
            ..super::case::intent_of(variant)
        };
        match catalog.begin(&new).await {
            Ok(_started) => Ok(catalog
                .commit(new.version, &object("x"), at(0))
                .await
                .map_err(|error| error.kind())),
            Err(error) => Ok(Err(error.kind())),
        }
    })
    .await?;
    let won: BTreeSet<_> = answers
        .iter()
        .flatten()
        .map(|record| record.artifact_type.clone())
        .collect();
    assert_eq!(won.len(), 1, "one type for all variants");
    let stored = answers.iter().flatten().count();
    let refused = answers
        .iter()
        .filter(|answer| matches!(answer, Err(ErrorKind::InvalidInput)))
        .count();
    assert_eq!(
        (stored, refused),
        (WRITERS / types.len(), WRITERS - WRITERS / types.len())
    );
    Ok(())
}
