//! Going elsewhere: a write that is given up at its provider and begun at another is one write, and what it left behind
//! is found.

use boards_storage_core::{
    AccessClass, ArtifactQuery, Begun, ErrorKind, Intent, NewIntent, Result, VersionId,
};

use super::case::{
    Case, LEASE_SECONDS, artifacts, at, identity, intent, later, numbers, object, overwrite, refused, started,
};

super::catalog_tests! { "divert" {
    the_new_write_takes_the_place_of_the_old_one
    the_old_write_can_no_longer_commit
    what_was_given_up_is_cleaned_up_in_its_time
    a_diverted_write_keeps_others_out
    another_write_is_diverted_again
    only_a_running_write_is_diverted
    only_the_provider_may_differ
    a_refused_diversion_changes_nothing
    a_diverted_first_write_may_still_come_second
    overwriters_are_diverted_side_by_side
    the_record_says_where_it_was_meant_to_be
    what_is_elsewhere_is_listed
    of_many_diversions_of_one_write_one_wins
} }

/// When the cleanup of a diverted write may begin.
const CLEANUP_SECONDS: i64 = 600;

/// The same write at another provider.
fn elsewhere(new: &NewIntent) -> NewIntent {
    let again = if new.overwrite {
        overwrite(new.variant.artifact.as_str())
    } else {
        intent(new.variant.artifact.as_str())
    };
    NewIntent {
        provider: "spare".to_owned(),
        now: at(1),
        lease_until: at(LEASE_SECONDS + 1),
        ..again
    }
}

async fn divert(case: &Case, from: VersionId, to: &NewIntent) -> Result<Intent> {
    case.catalog.divert(from, to, at(CLEANUP_SECONDS)).await
}

/// Begins a write and diverts it.
async fn diverted(case: &Case, new: &NewIntent) -> Result<NewIntent> {
    case.start(new).await?;
    let to = elsewhere(new);
    divert(case, new.version, &to).await?;
    Ok(to)
}

async fn the_new_write_takes_the_place_of_the_old_one(case: Case) -> Result<()> {
    let first = intent("a");
    case.start(&first).await?;
    let to = elsewhere(&first);
    let begun = divert(&case, first.version, &to).await?;
    assert_eq!(
        (
            begun.version,
            &begun.variant,
            begun.provider.as_str(),
            begun.home.as_str()
        ),
        (to.version, &to.variant, "spare", "main")
    );
    assert_eq!(
        begun.key, to.versioned_key,
        "the plain key was given to the first"
    );
    assert_eq!(begun.lease_until, to.lease_until);
    assert_eq!(case.present("a").await?, None, "it is as invisible as the first");
    let record = case.second.commit(to.version, &object("x"), at(2)).await?;
    assert_eq!(
        (record.number, record.primary().key.clone()),
        (1, to.versioned_key)
    );
    assert_eq!(case.present("a").await?, Some(record));
    Ok(())
}

async fn the_old_write_can_no_longer_commit(case: Case) -> Result<()> {
    for first in [intent("a"), overwrite("b")] {
        let to = diverted(&case, &first).await?;
        refused(
            case.catalog.commit(first.version, &object("x"), at(1)).await,
            ErrorKind::PreconditionFailed,
        );
        refused(
            case.second.renew(first.version, at(1000)).await,
            ErrorKind::PreconditionFailed,
        );
        case.catalog.commit(to.version, &object("x"), at(1)).await?;
        refused(
            case.catalog.commit(first.version, &object("x"), at(1)).await,
            ErrorKind::PreconditionFailed,
        );
        assert_eq!(numbers(&case.catalog.versions(&first.variant).await?), [1]);
    }
    Ok(())
}

async fn what_was_given_up_is_cleaned_up_in_its_time(case: Case) -> Result<()> {
    let first = intent("a");
    let begun = case.start(&first).await?;
    let to = elsewhere(&first);
    divert(&case, first.version, &to).await?;
    case.catalog.commit(to.version, &object("x"), at(2)).await?;
    let early = at(CLEANUP_SECONDS - 1);
    assert_eq!(case.catalog.ended_intents(early, None, 10).await?, []);
    assert_eq!(case.catalog.reap_intents(early, None, 10).await?, []);
    let due = at(CLEANUP_SECONDS);
    let expected = Intent {
        lease_until: due,
        ..begun
    };
    assert_eq!(
        case.second.ended_intents(due, None, 10).await?,
        std::slice::from_ref(&expected)
    );
    assert_eq!(case.catalog.reap_intents(due, None, 10).await?, [expected]);
    case.catalog.abandon(first.version).await?;
    assert_eq!(case.catalog.reap_intents(due, None, 10).await?, []);
    Ok(())
}

async fn a_diverted_write_keeps_others_out(case: Case) -> Result<()> {
    let first = intent("a");
    let to = diverted(&case, &first).await?;
    // The lease of the first is over, that of the second is not.
    match case.catalog.begin(&later("a")).await? {
        Begun::Busy { lease_until } => assert_eq!(lease_until, to.lease_until),
        begun => panic!("expected busy, got {begun:?}"),
    }
    let after = NewIntent {
        now: to.lease_until,
        lease_until: at(3 * LEASE_SECONDS),
        ..intent("a")
    };
    case.start(&after).await?;
    refused(
        case.catalog
            .commit(to.version, &object("x"), at(LEASE_SECONDS))
            .await,
        ErrorKind::PreconditionFailed,
    );
    Ok(())
}

async fn another_write_is_diverted_again(case: Case) -> Result<()> {
    let first = intent("a");
    let second = diverted(&case, &first).await?;
    let third = NewIntent {
        provider: "last".to_owned(),
        ..elsewhere(&first)
    };
    divert(&case, second.version, &third).await?;
    let record = case.catalog.commit(third.version, &object("x"), at(2)).await?;
    assert_eq!(record.primary().provider, "last");
    let left = case.catalog.reap_intents(at(CLEANUP_SECONDS), None, 10).await?;
    let mut left: Vec<_> = left.iter().map(|intent| intent.version).collect();
    let mut expected = [first.version, second.version];
    left.sort_unstable();
    expected.sort_unstable();
    assert_eq!(left, expected, "both places are found");
    Ok(())
}

async fn only_a_running_write_is_diverted(case: Case) -> Result<()> {
    let check = async |version: VersionId| {
        refused(
            divert(&case, version, &elsewhere(&intent("a"))).await,
            ErrorKind::PreconditionFailed,
        );
    };
    check(VersionId::fresh()).await;
    let reaped = intent("a");
    case.start(&reaped).await?;
    case.catalog.reap_intents(at(LEASE_SECONDS), None, 10).await?;
    check(reaped.version).await;
    case.catalog.abandon(reaped.version).await?;
    let superseded = intent("a");
    case.start(&superseded).await?;
    let winner = later("a");
    case.start(&winner).await?;
    check(superseded.version).await;
    case.catalog.commit(winner.version, &object("x"), at(1)).await?;
    check(winner.version).await;
    Ok(())
}

async fn only_the_provider_may_differ(case: Case) -> Result<()> {
    let first = intent("a");
    case.start(&first).await?;
    let to = elsewhere(&first);
    let wrong = [
        NewIntent {
            variant: identity("b"),
            ..to.clone()
        },
        NewIntent {
            overwrite: true,
            ..to.clone()
        },
        NewIntent {
            access: AccessClass::Public,
            ..to.clone()
        },
        NewIntent {
            version: first.version,
            ..to.clone()
        },
        NewIntent {
            versioned_key: first.plain_key.clone(),
            ..to.clone()
        },
    ];
    for wrong in wrong {
        refused(
            divert(&case, first.version, &wrong).await,
            ErrorKind::InvalidInput,
        );
    }
    divert(&case, first.version, &to).await?;
    Ok(())
}

async fn a_refused_diversion_changes_nothing(case: Case) -> Result<()> {
    let first = intent("a");
    case.start(&first).await?;
    let to = elsewhere(&first);
    let wrong = NewIntent {
        variant: identity("b"),
        ..to.clone()
    };
    refused(
        divert(&case, first.version, &wrong).await,
        ErrorKind::InvalidInput,
    );
    let record = case.catalog.commit(first.version, &object("x"), at(1)).await?;
    assert_eq!(record.primary().key, first.plain_key);
    // The id and the key of what was refused are still free.
    let again = NewIntent {
        overwrite: true,
        ..to
    };
    assert_eq!(case.start(&again).await?.key, again.versioned_key);
    Ok(())
}

async fn a_diverted_first_write_may_still_come_second(case: Case) -> Result<()> {
    let first = intent("a");
    case.start(&first).await?;
    case.store(&overwrite("a")).await?;
    let to = elsewhere(&first);
    divert(&case, first.version, &to).await?;
    refused(
        case.catalog.commit(to.version, &object("x"), at(2)).await,
        ErrorKind::AlreadyExists,
    );
    Ok(())
}

async fn overwriters_are_diverted_side_by_side(case: Case) -> Result<()> {
    let (first, second) = (overwrite("a"), overwrite("a"));
    let (one, two) = (diverted(&case, &first).await?, diverted(&case, &second).await?);
    let last = case.catalog.commit(two.version, &object("two"), at(2)).await?;
    let newest = case.catalog.commit(one.version, &object("one"), at(3)).await?;
    assert_eq!((last.number, newest.number), (1, 2));
    assert_eq!(case.present("a").await?, Some(newest));
    Ok(())
}

async fn the_record_says_where_it_was_meant_to_be(case: Case) -> Result<()> {
    let to = diverted(&case, &intent("a")).await?;
    let away = case.catalog.commit(to.version, &object("x"), at(2)).await?;
    assert_eq!(
        (away.home.as_str(), away.primary().provider.as_str()),
        ("main", "spare")
    );
    assert!(away.is_displaced());
    assert_eq!(case.present("a").await?, Some(away));
    let home = case.store(&intent("b")).await?;
    assert_eq!(home.home, "main");
    assert!(!home.is_displaced());
    assert_eq!(case.present("b").await?, Some(home));
    Ok(())
}

async fn what_is_elsewhere_is_listed(case: Case) -> Result<()> {
    for artifact in ["a", "b", "c", "d"] {
        case.store(&intent(artifact)).await?;
    }
    let mut away = Vec::new();
    for artifact in ["b", "d", "e"] {
        let to = diverted(&case, &overwrite(artifact)).await?;
        away.push(case.catalog.commit(to.version, &object("x"), at(2)).await?);
    }
    // The present version of this one is at home again.
    let to = diverted(&case, &overwrite("c")).await?;
    case.catalog.commit(to.version, &object("x"), at(2)).await?;
    case.store(&overwrite("c")).await?;
    let query = ArtifactQuery::default().with_displaced();
    for limit in [1, 2, 10] {
        assert_eq!(case.list_all(&query, limit).await?, away);
    }
    case.delete("d").await?;
    assert_eq!(artifacts(&case.list_all(&query, 10).await?), ["b", "e"]);
    let one = query.with_artifact(identity("e").artifact);
    assert_eq!(artifacts(&case.list_all(&one, 10).await?), ["e"]);
    Ok(())
}

async fn of_many_diversions_of_one_write_one_wins(case: Case) -> Result<()> {
    let first = intent("a");
    case.start(&first).await?;
    let racers: Vec<_> = (0..8)
        .map(|index| {
            let (catalog, to) = (case.handle(index), elsewhere(&first));
            tokio::spawn(async move { catalog.divert(first.version, &to, at(CLEANUP_SECONDS)).await })
        })
        .collect();
    let mut winners = Vec::new();
    for racer in racers {
        match racer.await.expect("no panic") {
            Ok(begun) => winners.push(begun),
            Err(error) => assert_eq!(error.kind(), ErrorKind::PreconditionFailed, "{error}"),
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    let record = case
        .catalog
        .commit(winners[0].version, &object("x"), at(2))
        .await?;
    assert_eq!(case.present("a").await?, Some(record));
    assert_eq!(started(case.catalog.begin(&overwrite("a")).await?)?.home, "main");
    Ok(())
}
