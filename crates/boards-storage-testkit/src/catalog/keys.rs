//! A key is never given twice, so that a late writer or a late cleaner can hurt nobody.

use std::collections::BTreeSet;

use boards_storage_core::{NewIntent, Result};

use super::case::{Case, LEASE_SECONDS, at, intent, key, later, object, overwrite};

super::catalog_tests! { "keys" {
    an_overwrite_gets_another_key
    a_key_is_not_given_again_after_a_takeover
    a_key_is_not_given_again_after_it_was_abandoned
    a_key_is_not_given_again_after_it_was_reaped
    a_key_is_not_given_again_after_it_was_deleted_and_purged
    two_artifacts_never_share_a_key
    no_key_is_given_twice_in_a_long_life
} }

async fn an_overwrite_gets_another_key(case: Case) -> Result<()> {
    let first = case.store(&overwrite("a")).await?;
    let new = overwrite("a");
    let second = case.store(&new).await?;
    assert_eq!(first.primary().key, new.plain_key);
    assert_eq!(second.primary().key, new.versioned_key);
    Ok(())
}

async fn a_key_is_not_given_again_after_a_takeover(case: Case) -> Result<()> {
    case.start(&intent("a")).await?;
    let second = later("a");
    assert_eq!(case.start(&second).await?.key, second.versioned_key);
    Ok(())
}

async fn a_key_is_not_given_again_after_it_was_abandoned(case: Case) -> Result<()> {
    let first = intent("a");
    case.start(&first).await?;
    case.catalog.abandon(first.version).await?;
    let second = intent("a");
    assert_eq!(case.start(&second).await?.key, second.versioned_key);
    Ok(())
}

async fn a_key_is_not_given_again_after_it_was_reaped(case: Case) -> Result<()> {
    case.start(&intent("a")).await?;
    for intent in case.catalog.reap_intents(at(LEASE_SECONDS), None, 10).await? {
        case.catalog.abandon(intent.version).await?;
    }
    let second = intent("a");
    assert_eq!(case.start(&second).await?.key, second.versioned_key);
    Ok(())
}

async fn a_key_is_not_given_again_after_it_was_deleted_and_purged(case: Case) -> Result<()> {
    case.store(&intent("a")).await?;
    for version in case.delete("a").await? {
        case.catalog.purge(version).await?;
    }
    let second = intent("a");
    assert_eq!(case.start(&second).await?.key, second.versioned_key);
    Ok(())
}

async fn two_artifacts_never_share_a_key(case: Case) -> Result<()> {
    let first = NewIntent {
        plain_key: key("same"),
        ..intent("a")
    };
    // Even at another provider: it may become a replica of the first.
    let second = NewIntent {
        plain_key: key("same"),
        provider: "other".to_owned(),
        ..intent("b")
    };
    case.store(&first).await?;
    assert_eq!(case.store(&second).await?.primary().key, second.versioned_key);
    Ok(())
}

async fn no_key_is_given_twice_in_a_long_life(case: Case) -> Result<()> {
    let mut given = BTreeSet::new();
    for round in 0..40_i64 {
        let now = at(round * 1000);
        let new = NewIntent {
            now,
            lease_until: at(round * 1000 + 1),
            overwrite: round % 3 != 0,
            ..intent("a")
        };
        if round % 10 == 0 {
            case.delete("a").await?;
        }
        let intent = match case.catalog.begin(&new).await? {
            boards_storage_core::Begun::Started(intent) => intent,
            _refused => continue,
        };
        assert!(
            given.insert(intent.key.clone()),
            "{} was given before",
            intent.key
        );
        match round % 4 {
            0 => case.catalog.abandon(new.version).await?,
            1 => drop(
                case.catalog
                    .reap_intents(at(round * 1000 + 500), None, 100)
                    .await?,
            ),
            _ => drop(case.catalog.commit(new.version, &object("x"), now).await?),
        }
    }
    assert!(given.len() >= 20, "only {} writes were begun", given.len());
    Ok(())
}
