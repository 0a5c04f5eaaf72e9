//! The cleanup of writes that never ended: it never takes the bytes of a record, nor those of a writer at work.

use boards_storage_core::{ErrorKind, Intent, NewIntent, Result, VersionId};

use super::case::{Case, LEASE_SECONDS, at, intent, later, object, overwrite, refused};

super::catalog_tests! { "reap" {
    ended_leases_are_taken
    running_leases_are_left
    what_was_taken_cannot_be_committed
    what_was_taken_is_answered_until_it_is_abandoned
    superseded_writes_are_taken_at_once
    committed_writes_are_never_taken
    the_limit_is_kept
    a_page_begins_after_the_one_before
    looking_takes_nothing
    a_taken_write_does_not_keep_others_out
} }

fn versions(intents: &[Intent]) -> Vec<VersionId> {
    let mut versions: Vec<_> = intents.iter().map(|intent| intent.version).collect();
    versions.sort_unstable();
    versions
}

async fn ended_leases_are_taken(case: Case) -> Result<()> {
    let begun = case.start(&intent("a")).await?;
    assert_eq!(
        case.catalog.reap_intents(at(LEASE_SECONDS), None, 10).await?,
        [begun]
    );
    Ok(())
}

async fn running_leases_are_left(case: Case) -> Result<()> {
    let new = intent("a");
    case.start(&new).await?;
    assert_eq!(
        case.catalog.reap_intents(at(LEASE_SECONDS - 1), None, 10).await?,
        []
    );
    case.catalog.commit(new.version, &object("x"), at(1)).await?;
    Ok(())
}

async fn what_was_taken_cannot_be_committed(case: Case) -> Result<()> {
    for new in [intent("a"), overwrite("b")] {
        case.start(&new).await?;
        assert_eq!(
            versions(&case.catalog.reap_intents(at(LEASE_SECONDS), None, 10).await?),
            [new.version]
        );
        refused(
            case.second.commit(new.version, &object("x"), at(0)).await,
            ErrorKind::PreconditionFailed,
        );
        case.catalog.abandon(new.version).await?;
        refused(
            case.catalog.commit(new.version, &object("x"), at(0)).await,
            ErrorKind::PreconditionFailed,
        );
    }
    Ok(())
}

async fn what_was_taken_is_answered_until_it_is_abandoned(case: Case) -> Result<()> {
    let begun = [case.start(&intent("a")).await?];
    for _ in 0..3 {
        assert_eq!(
            case.catalog.reap_intents(at(LEASE_SECONDS), None, 10).await?,
            begun
        );
    }
    // Once taken, the time no longer matters.
    assert_eq!(case.second.reap_intents(at(0), None, 10).await?, begun);
    case.catalog.abandon(begun[0].version).await?;
    assert_eq!(case.catalog.reap_intents(at(LEASE_SECONDS), None, 10).await?, []);
    Ok(())
}

async fn superseded_writes_are_taken_at_once(case: Case) -> Result<()> {
    let first = intent("a");
    case.start(&first).await?;
    let second = later("a");
    case.start(&second).await?;
    assert_eq!(
        versions(&case.catalog.reap_intents(at(LEASE_SECONDS), None, 10).await?),
        [first.version]
    );
    case.catalog
        .commit(second.version, &object("x"), at(LEASE_SECONDS))
        .await?;
    Ok(())
}

async fn committed_writes_are_never_taken(case: Case) -> Result<()> {
    case.store_versions("a", 3).await?;
    assert_eq!(case.catalog.reap_intents(at(100_000), None, 10).await?, []);
    Ok(())
}

async fn the_limit_is_kept(case: Case) -> Result<()> {
    let mut begun = Vec::new();
    for index in 0..5 {
        begun.push(case.start(&intent(&format!("a{index}"))).await?.version);
    }
    let late = at(LEASE_SECONDS);
    assert_eq!(case.catalog.reap_intents(late, None, 0).await?, []);
    let first = case.catalog.reap_intents(late, None, 2).await?;
    assert_eq!(first.len(), 2);
    // The others are still their writers' own.
    let others: Vec<_> = begun
        .iter()
        .filter(|version| !versions(&first).contains(version))
        .collect();
    assert_eq!(others.len(), 3);
    case.catalog.commit(*others[0], &object("x"), late).await?;
    for intent in first {
        case.catalog.abandon(intent.version).await?;
    }
    assert_eq!(case.catalog.reap_intents(late, None, usize::MAX).await?.len(), 2);
    Ok(())
}

async fn a_page_begins_after_the_one_before(case: Case) -> Result<()> {
    let mut begun = Vec::new();
    for index in 0..7 {
        begun.push(case.start(&intent(&format!("a{index}"))).await?);
    }
    begun.sort_unstable_by_key(|intent| intent.version);
    let late = at(LEASE_SECONDS);
    for taken in [false, true] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = if taken {
                case.catalog.reap_intents(late, after, 3).await?
            } else {
                case.catalog.ended_intents(late, after, 3).await?
            };
            let Some(last) = page.last() else { break };
            after = Some(last.version);
            seen.extend(page);
        }
        assert_eq!(seen, begun);
    }
    Ok(())
}

async fn looking_takes_nothing(case: Case) -> Result<()> {
    let new = intent("a");
    let begun = case.start(&new).await?;
    let late = at(LEASE_SECONDS);
    assert_eq!(
        case.second.ended_intents(at(LEASE_SECONDS - 1), None, 10).await?,
        []
    );
    assert_eq!(case.second.ended_intents(late, None, 10).await?, [begun]);
    case.catalog.commit(new.version, &object("x"), late).await?;
    assert_eq!(case.second.ended_intents(late, None, 10).await?, []);
    let other = intent("b");
    let begun = case.start(&other).await?;
    case.catalog.reap_intents(late, None, 10).await?;
    // What was taken is seen whatever the time.
    assert_eq!(case.second.ended_intents(at(0), None, 10).await?, [begun]);
    Ok(())
}

async fn a_taken_write_does_not_keep_others_out(case: Case) -> Result<()> {
    case.start(&intent("a")).await?;
    case.catalog.reap_intents(at(LEASE_SECONDS), None, 10).await?;
    // Even by a clock that is behind.
    case.store(&NewIntent {
        now: at(1),
        ..intent("a")
    })
    .await?;
    Ok(())
}
