//! Calls that are dropped half-way: each took effect as a whole or not at all, and the next caller is not in its way.

use std::time::Duration;

use boards_storage_core::{Begun, DeleteMode, DeleteTarget, NewIntent, Result, VersionSelector};

use super::case::{Case, LEASE_SECONDS, at, identity, intent, intent_of, later, numbers, object, overwrite};

super::catalog_tests! { "cancellation" {
    a_dropped_begin_leaves_one_of_two_states
    a_dropped_commit_leaves_one_of_two_states
    a_dropped_deletion_leaves_one_of_two_states
    dropped_calls_do_not_harm_those_beside_them
} }

const ROUNDS: usize = 100;

/// Waits for a call until a random instant, and says whether it ended before.
async fn cut_short<T>(longest: Duration, call: impl Future<Output = Result<T>>) -> Result<Option<T>> {
    let instant = longest.mul_f64(rand::random::<f64>());
    match tokio::time::timeout(instant, call).await {
        Ok(answer) => answer.map(Some),
        Err(_late) => Ok(None),
    }
}

/// How long one write takes here, about.
async fn usual_time(case: &Case) -> Result<Duration> {
    let begun = std::time::Instant::now();
    case.store_versions("warm-up", 5).await?;
    Ok(begun.elapsed() / 10)
}

async fn a_dropped_begin_leaves_one_of_two_states(case: Case) -> Result<()> {
    let usual = usual_time(&case).await?;
    for round in 0..ROUNDS {
        let name = format!("a{round}");
        let answer = cut_short(2 * usual, case.catalog.begin(&intent(&name))).await?;
        let second = later(&name);
        let Begun::Started(begun) = case.second.begin(&second).await? else {
            panic!("the lease has ended")
        };
        if answer.is_some() {
            assert_eq!(begun.key, second.versioned_key, "the first has the plain key");
        }
        assert_eq!(
            case.catalog
                .commit(begun.version, &object("x"), at(1))
                .await?
                .number,
            1
        );
        for ended in case.catalog.reap_intents(at(2 * LEASE_SECONDS), None, 10).await? {
            assert_eq!(ended.variant, identity(&name));
            assert_ne!(ended.key, begun.key);
            case.catalog.abandon(ended.version).await?;
        }
    }
    Ok(())
}

async fn a_dropped_commit_leaves_one_of_two_states(case: Case) -> Result<()> {
    let usual = usual_time(&case).await?;
    for round in 0..ROUNDS {
        let new = intent(&format!("a{round}"));
        case.start(&new).await?;
        let answer = cut_short(2 * usual, case.catalog.commit(new.version, &object("x"), at(1))).await?;
        let seen = case.second.find(&new.variant, VersionSelector::Current).await?;
        if let Some(record) = answer {
            assert_eq!(seen, Some(record), "what was acknowledged is there");
        }
        let again = case.second.commit(new.version, &object("x"), at(1)).await?;
        assert!(seen.is_none_or(|seen| seen == again));
        assert_eq!(numbers(&case.catalog.versions(&new.variant).await?), [1]);
    }
    Ok(())
}

async fn a_dropped_deletion_leaves_one_of_two_states(case: Case) -> Result<()> {
    let usual = usual_time(&case).await?;
    let mut deleted = 0;
    for round in 0..ROUNDS {
        let name = format!("a{round}");
        case.store_versions(&name, 2).await?;
        let target = DeleteTarget::Variant(identity(&name));
        let answer = cut_short(
            2 * usual,
            case.catalog.tombstone(&target, DeleteMode::Final, at(0)),
        )
        .await?;
        // A call that was dropped may still be carried out; another one settles it.
        let rest = case
            .second
            .tombstone(&target, DeleteMode::Final, at(0))
            .await?
            .len();
        assert!(rest == 0 || rest == 2, "both versions are deleted or none");
        if answer.is_some() {
            assert_eq!(rest, 0, "what was acknowledged is deleted");
        }
        deleted += 2;
        assert_eq!(case.catalog.versions(&identity(&name)).await?, []);
        assert_eq!(case.catalog.tombstones(at(1), None, 1000).await?.len(), deleted);
    }
    Ok(())
}

async fn dropped_calls_do_not_harm_those_beside_them(case: Case) -> Result<()> {
    let usual = usual_time(&case).await?;
    for round in 0..ROUNDS {
        let mut kept = identity(&format!("kept{round}"));
        kept.variant = super::case::variant_name("v");
        let new = intent_of(kept.clone());
        let other = overwrite(&format!("other{round}"));
        let dropped = NewIntent {
            lease_until: at(1),
            ..overwrite(&format!("dropped{round}"))
        };
        let both = async {
            tokio::join!(
                cut_short(usual, case.catalog.begin(&dropped)),
                case.catalog.begin(&new),
                cut_short(usual, case.second.begin(&other)),
            )
        };
        let (_, begun, _) = both.await;
        assert!(matches!(begun?, Begun::Started(_)));
        let record = case.catalog.commit(new.version, &object("x"), at(0)).await?;
        assert_eq!(
            case.second.find(&kept, VersionSelector::Current).await?,
            Some(record)
        );
    }
    Ok(())
}
