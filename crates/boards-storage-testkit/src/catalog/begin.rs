//! Who may write: leases, takeovers, and what makes variants of one artifact fit together.

use boards_storage_core::{
    AccessClass, ArtifactQuery, ArtifactType, Begun, BoardId, ErrorKind, NewIntent, Result, VersionId,
};

use super::case::{
    Case, LEASE_SECONDS, at, identity, intent, intent_of, later, object, overwrite, refused, tenant,
    variant_name,
};

super::catalog_tests! { "begin" {
    a_write_gets_what_it_asked_for
    a_write_under_way_is_invisible
    what_exists_is_answered
    what_is_being_written_is_busy_until_its_lease_ends
    busy_names_the_longest_lease_and_changes_nothing
    an_ended_lease_is_taken_over
    an_ended_lease_that_nobody_took_over_is_still_good
    a_renewed_lease_keeps_others_out
    a_lost_lease_is_not_renewed
    overwriting_waits_for_nobody
    variants_of_one_artifact_are_written_side_by_side
    a_version_id_serves_once
    another_type_board_or_class_is_refused
    a_refused_begin_changes_nothing
    tenants_have_their_own_artifacts
} }

async fn a_write_gets_what_it_asked_for(case: Case) -> Result<()> {
    let new = intent("a");
    let begun = case.start(&new).await?;
    assert_eq!(begun.version, new.version);
    assert_eq!(begun.variant, new.variant);
    assert_eq!(begun.provider, "main");
    assert_eq!(begun.key, new.plain_key);
    assert_eq!(begun.lease_until, new.lease_until);
    Ok(())
}

async fn a_write_under_way_is_invisible(case: Case) -> Result<()> {
    let new = intent("a");
    case.start(&new).await?;
    assert_eq!(case.present("a").await?, None);
    assert_eq!(case.catalog.find_by_key(&new.plain_key).await?, None);
    assert_eq!(case.catalog.versions(&new.variant).await?, []);
    assert_eq!(case.catalog.list(&ArtifactQuery::default()).await?.records, []);
    assert_eq!(case.delete("a").await?, []);
    Ok(())
}

async fn what_exists_is_answered(case: Case) -> Result<()> {
    let record = case.store(&intent("a")).await?;
    match case.catalog.begin(&intent("a")).await? {
        Begun::Exists(found) => assert_eq!(*found, record),
        begun => panic!("expected the record, got {begun:?}"),
    }
    Ok(())
}

async fn what_is_being_written_is_busy_until_its_lease_ends(case: Case) -> Result<()> {
    case.start(&intent("a")).await?;
    let soon = NewIntent {
        now: at(LEASE_SECONDS - 1),
        ..later("a")
    };
    match case.catalog.begin(&soon).await? {
        Begun::Busy { lease_until } => assert_eq!(lease_until, at(LEASE_SECONDS)),
        begun => panic!("expected busy, got {begun:?}"),
    }
    // At its end a lease no longer runs.
    case.start(&later("a")).await?;
    Ok(())
}

async fn busy_names_the_longest_lease_and_changes_nothing(case: Case) -> Result<()> {
    let ended = NewIntent {
        lease_until: at(1),
        ..overwrite("a")
    };
    case.start(&ended).await?;
    case.start(&NewIntent {
        lease_until: at(200),
        ..overwrite("a")
    })
    .await?;
    case.start(&NewIntent {
        lease_until: at(100),
        ..overwrite("a")
    })
    .await?;
    match case
        .catalog
        .begin(&NewIntent {
            now: at(50),
            ..intent("a")
        })
        .await?
    {
        Begun::Busy { lease_until } => assert_eq!(lease_until, at(200)),
        begun => panic!("expected busy, got {begun:?}"),
    }
    // Nobody took over, so the ended lease is still good.
    assert_eq!(
        case.catalog
            .commit(ended.version, &object("x"), at(51))
            .await?
            .number,
        1
    );
    Ok(())
}

async fn an_ended_lease_is_taken_over(case: Case) -> Result<()> {
    let first = intent("a");
    case.start(&first).await?;
    let second = later("a");
    let begun = case.start(&second).await?;
    assert_eq!(
        begun.key, second.versioned_key,
        "the late writer's key is its own"
    );
    refused(
        case.catalog.commit(first.version, &object("x"), at(0)).await,
        ErrorKind::PreconditionFailed,
    );
    refused(
        case.catalog.renew(first.version, at(500)).await,
        ErrorKind::PreconditionFailed,
    );
    let record = case.catalog.commit(second.version, &object("y"), at(61)).await?;
    assert_eq!((record.version, record.number), (second.version, 1));
    refused(
        case.catalog.commit(first.version, &object("x"), at(0)).await,
        ErrorKind::PreconditionFailed,
    );
    Ok(())
}

async fn an_ended_lease_that_nobody_took_over_is_still_good(case: Case) -> Result<()> {
    let new = intent("a");
    case.start(&new).await?;
    let record = case
        .catalog
        .commit(new.version, &object("x"), at(10 * LEASE_SECONDS))
        .await?;
    assert_eq!(case.present("a").await?, Some(record));
    Ok(())
}

async fn a_renewed_lease_keeps_others_out(case: Case) -> Result<()> {
    let new = intent("a");
    case.start(&new).await?;
    case.catalog.renew(new.version, at(1000)).await?;
    match case.catalog.begin(&later("a")).await? {
        Begun::Busy { lease_until } => assert_eq!(lease_until, at(1000)),
        begun => panic!("expected busy, got {begun:?}"),
    }
    assert_eq!(case.catalog.reap_intents(at(999), None, 10).await?, []);
    case.catalog.commit(new.version, &object("x"), at(900)).await?;
    Ok(())
}

async fn a_lost_lease_is_not_renewed(case: Case) -> Result<()> {
    let unknown = VersionId::fresh();
    refused(
        case.catalog.renew(unknown, at(1)).await,
        ErrorKind::PreconditionFailed,
    );
    let committed = case.store(&intent("a")).await?;
    refused(
        case.catalog.renew(committed.version, at(1)).await,
        ErrorKind::PreconditionFailed,
    );
    let abandoned = intent("b");
    case.start(&abandoned).await?;
    case.catalog.abandon(abandoned.version).await?;
    refused(
        case.catalog.renew(abandoned.version, at(1)).await,
        ErrorKind::PreconditionFailed,
    );
    let reaped = intent("c");
    case.start(&reaped).await?;
    case.catalog.reap_intents(at(LEASE_SECONDS), None, 10).await?;
    refused(
        case.catalog.renew(reaped.version, at(1)).await,
        ErrorKind::PreconditionFailed,
    );
    Ok(())
}

async fn overwriting_waits_for_nobody(case: Case) -> Result<()> {
    let first = intent("a");
    case.start(&first).await?;
    let (second, third) = (overwrite("a"), overwrite("a"));
    case.start(&second).await?;
    case.start(&third).await?;
    for (number, version) in [(1, third.version), (2, second.version)] {
        assert_eq!(
            case.catalog.commit(version, &object("x"), at(1)).await?.number,
            number
        );
    }
    // The first was not to overwrite.
    refused(
        case.catalog.commit(first.version, &object("x"), at(1)).await,
        ErrorKind::AlreadyExists,
    );
    Ok(())
}

async fn variants_of_one_artifact_are_written_side_by_side(case: Case) -> Result<()> {
    for name in ["original", "thumbnail", "Vorschau ü"] {
        let mut variant = identity("a");
        variant.variant = variant_name(name);
        case.start(&intent_of(variant)).await?;
    }
    Ok(())
}

async fn a_version_id_serves_once(case: Case) -> Result<()> {
    let new = overwrite("a");
    case.start(&new).await?;
    refused(case.catalog.begin(&new).await, ErrorKind::InvalidInput);
    let record = case.catalog.commit(new.version, &object("x"), at(0)).await?;
    let again = NewIntent {
        version: new.version,
        ..overwrite("b")
    };
    refused(case.catalog.begin(&again).await, ErrorKind::InvalidInput);
    case.delete("a").await?;
    refused(case.catalog.begin(&again).await, ErrorKind::InvalidInput);
    assert_eq!(record.number, 1);
    Ok(())
}

async fn another_type_board_or_class_is_refused(case: Case) -> Result<()> {
    let board = |name: &str| Some(BoardId::parse(name).expect("valid"));
    case.store(&NewIntent {
        board: board("b1"),
        ..intent("a")
    })
    .await?;
    let other = || {
        let mut new = NewIntent {
            board: board("b1"),
            ..intent("a")
        };
        new.variant.variant = variant_name("thumbnail");
        new
    };
    let wrong = [
        NewIntent {
            artifact_type: ArtifactType::Video,
            ..other()
        },
        NewIntent {
            board: board("b2"),
            ..other()
        },
        NewIntent {
            board: None,
            ..other()
        },
        NewIntent {
            access: AccessClass::Public,
            ..other()
        },
        NewIntent {
            access: AccessClass::Public,
            overwrite: true,
            board: board("b1"),
            ..intent("a")
        },
    ];
    for new in wrong {
        refused(case.catalog.begin(&new).await, ErrorKind::InvalidInput);
    }
    case.start(&other()).await?;
    Ok(())
}

async fn a_refused_begin_changes_nothing(case: Case) -> Result<()> {
    case.store(&intent("a")).await?;
    let mut thumbnail = later("a");
    thumbnail.variant.variant = variant_name("thumbnail");
    let first = NewIntent {
        now: at(0),
        lease_until: at(1),
        ..thumbnail.clone()
    };
    case.start(&first).await?;
    let wrong = NewIntent {
        version: VersionId::fresh(),
        artifact_type: ArtifactType::Text,
        ..thumbnail
    };
    refused(case.catalog.begin(&wrong).await, ErrorKind::InvalidInput);
    // Not superseded by the one that was refused.
    case.catalog.commit(first.version, &object("x"), at(2)).await?;
    Ok(())
}

async fn tenants_have_their_own_artifacts(case: Case) -> Result<()> {
    let mut other = NewIntent {
        artifact_type: ArtifactType::Video,
        ..intent("a")
    };
    other.variant.tenant = tenant("other");
    other.plain_key = super::case::key("other/video/a/original.mp4");
    case.store(&intent("a")).await?;
    let record = case.store(&other).await?;
    assert_eq!((record.number, record.artifact_type), (1, ArtifactType::Video));
    assert_eq!(
        case.present("a").await?.map(|record| record.artifact_type),
        Some(ArtifactType::Image)
    );
    Ok(())
}
