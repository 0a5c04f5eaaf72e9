//! Quotas: what is used is exact, and no more is stored than a tenant may.

use boards_storage_core::{
    Begun, DeleteMode, DeleteTarget, DeletedQuery, ErrorKind, NewIntent, Quota, Result, TenantId,
    TenantUsage, Usage, VersionSelector,
};

use rand::{RngExt as _, SeedableRng as _};

use super::case::{
    Case, artifact_id, at, identity, intent, intent_of, later, object, overwrite, refused, tenant,
};

super::catalog_tests! { "quota" {
    who_stores_nothing_uses_nothing
    every_version_counts_until_it_is_deleted_for_good
    a_tenant_is_counted_alone
    bytes_are_limited
    objects_are_limited
    a_known_size_is_refused_before_it_is_written
    a_refused_write_leaves_the_variant_free
    what_exists_is_answered_whatever_the_quota
    the_catalogs_quota_goes_before_the_writers
    a_quota_can_be_taken_back
    a_diverted_write_is_limited_too
    more_than_can_be_counted_is_no_limit
    racing_writers_never_exceed_it
    usage_is_exact_after_anything
} }

fn used(bytes: u64, objects: u64) -> Usage {
    Usage { bytes, objects }
}

fn limited(artifact: &str, quota: Quota) -> NewIntent {
    NewIntent {
        quota,
        ..intent(artifact)
    }
}

fn whole(artifact: &str) -> DeleteTarget {
    DeleteTarget::Artifact {
        tenant: TenantId::default(),
        artifact: artifact_id(artifact),
    }
}

async fn usage(case: &Case) -> Result<Usage> {
    let usage = case.catalog.usage(&TenantId::default()).await?;
    assert_eq!(case.second.usage(&TenantId::default()).await?, usage);
    Ok(usage.used)
}

async fn who_stores_nothing_uses_nothing(case: Case) -> Result<()> {
    assert_eq!(
        case.catalog.usage(&tenant("nobody")).await?,
        TenantUsage::default()
    );
    case.start(&intent("a")).await?;
    assert_eq!(
        usage(&case).await?,
        used(0, 0),
        "what is under way does not count"
    );
    Ok(())
}

async fn every_version_counts_until_it_is_deleted_for_good(case: Case) -> Result<()> {
    // "content" has 7 bytes.
    case.store_versions("a", 3).await?;
    assert_eq!(usage(&case).await?, used(21, 3));
    let until = DeleteMode::Recoverable { until: at(100) };
    let first = DeleteTarget::Version(identity("a"), VersionSelector::Number(1));
    case.catalog.tombstone(&first, until, at(1)).await?;
    assert_eq!(usage(&case).await?, used(21, 3), "it can be restored");
    case.catalog.restore(&first, at(2)).await?;
    assert_eq!(usage(&case).await?, used(21, 3));
    let dead = case.catalog.tombstone(&first, DeleteMode::Final, at(3)).await?;
    assert_eq!(usage(&case).await?, used(14, 2));
    case.catalog.purge(dead[0].version).await?;
    assert_eq!(usage(&case).await?, used(14, 2));
    case.catalog.tombstone(&whole("a"), until, at(4)).await?;
    assert_eq!(usage(&case).await?, used(14, 2));
    case.catalog.expire_deleted(at(100), 1).await?;
    assert_eq!(usage(&case).await?, used(7, 1));
    case.catalog
        .tombstone(&whole("a"), DeleteMode::Final, at(5))
        .await?;
    assert_eq!(usage(&case).await?, used(0, 0));
    Ok(())
}

async fn a_tenant_is_counted_alone(case: Case) -> Result<()> {
    let mut other = identity("a");
    other.tenant = tenant("other");
    let full = Quota::default().with_objects_max(0);
    case.catalog.set_quota(&TenantId::default(), Some(full)).await?;
    case.store(&intent_of(other)).await?;
    refused(
        case.catalog.begin(&intent("a")).await,
        ErrorKind::InsufficientStorage,
    );
    assert_eq!(usage(&case).await?, used(0, 0));
    assert_eq!(case.catalog.usage(&tenant("other")).await?.used, used(7, 1));
    Ok(())
}

async fn bytes_are_limited(case: Case) -> Result<()> {
    let quota = Quota::default().with_bytes_max(20);
    for name in ["a", "b"] {
        case.store(&limited(name, quota)).await?;
    }
    let third = limited("c", quota);
    case.start(&third).await?;
    let error = refused(
        case.catalog
            .commit(third.version, &object("content"), at(1))
            .await,
        ErrorKind::InsufficientStorage,
    );
    for said in ["bytes_max", "'default'", "20", "14", "7"] {
        assert!(error.to_string().contains(said), "'{error}' does not say {said}");
    }
    assert!(error.help().is_some());
    assert_eq!(case.present("c").await?, None);
    assert_eq!(usage(&case).await?, used(14, 2));
    // The write still stands, and what fits may be committed.
    case.catalog
        .commit(third.version, &object("123456"), at(1))
        .await?;
    assert_eq!(usage(&case).await?, used(20, 3), "to the last byte");
    case.store_empty(&limited("d", quota)).await?;
    Ok(())
}

impl Case {
    async fn store_empty(&self, new: &NewIntent) -> Result<()> {
        self.start(new).await?;
        self.catalog
            .commit(new.version, &object(""), at(1))
            .await
            .map(drop)
    }
}

async fn objects_are_limited(case: Case) -> Result<()> {
    let quota = Quota::default().with_objects_max(2);
    let second_version = NewIntent {
        quota,
        ..overwrite("a")
    };
    case.store(&limited("a", quota)).await?;
    case.store(&second_version).await?;
    let error = refused(
        case.catalog.begin(&limited("b", quota)).await,
        ErrorKind::InsufficientStorage,
    );
    assert!(error.to_string().contains("objects_max"), "{error}");
    case.catalog
        .tombstone(&whole("a"), DeleteMode::Final, at(1))
        .await?;
    case.store(&limited("b", quota)).await?;
    Ok(())
}

async fn a_known_size_is_refused_before_it_is_written(case: Case) -> Result<()> {
    let quota = Quota::default().with_bytes_max(10);
    let sized = |size_bytes| NewIntent {
        size_bytes: Some(size_bytes),
        ..limited("a", quota)
    };
    refused(
        case.catalog.begin(&sized(11)).await,
        ErrorKind::InsufficientStorage,
    );
    refused(
        case.catalog.begin(&sized(u64::MAX)).await,
        ErrorKind::InsufficientStorage,
    );
    case.store(&sized(10)).await?;
    Ok(())
}

async fn a_refused_write_leaves_the_variant_free(case: Case) -> Result<()> {
    let quota = Quota::default().with_bytes_max(6);
    let new = limited("a", quota);
    case.start(&new).await?;
    refused(
        case.catalog.commit(new.version, &object("content"), at(1)).await,
        ErrorKind::InsufficientStorage,
    );
    case.catalog.abandon(new.version).await?;
    case.store(&intent("a")).await?;
    refused(
        case.catalog.begin(&limited("b", quota)).await,
        ErrorKind::InsufficientStorage,
    );
    Ok(())
}

async fn what_exists_is_answered_whatever_the_quota(case: Case) -> Result<()> {
    let record = case.store(&intent("a")).await?;
    let full = Quota::default().with_objects_max(0);
    let begun = case.catalog.begin(&limited("a", full)).await?;
    assert!(
        matches!(&begun, Begun::Exists(found) if **found == record),
        "{begun:?}"
    );
    case.start(&intent("b")).await?;
    let begun = case.catalog.begin(&limited("b", full)).await?;
    assert!(matches!(begun, Begun::Busy { .. }), "{begun:?}");
    // One that is refused takes nothing over.
    let over = NewIntent {
        quota: full,
        ..later("b")
    };
    refused(case.catalog.begin(&over).await, ErrorKind::InsufficientStorage);
    let begun = case.catalog.begin(&intent("b")).await?;
    assert!(matches!(begun, Begun::Busy { .. }), "{begun:?}");
    Ok(())
}

async fn the_catalogs_quota_goes_before_the_writers(case: Case) -> Result<()> {
    let (tight, wide) = (
        Quota::default().with_objects_max(1),
        Quota::default().with_objects_max(9),
    );
    let default = TenantId::default();
    case.store(&limited("a", tight)).await?;
    case.catalog.set_quota(&default, Some(wide)).await?;
    assert_eq!(case.second.usage(&default).await?.quota, Some(wide));
    case.store(&limited("b", tight)).await?;
    let waiting = limited("c", wide);
    case.start(&waiting).await?;
    case.catalog.set_quota(&default, Some(tight)).await?;
    refused(
        case.second.commit(waiting.version, &object("x"), at(1)).await,
        ErrorKind::InsufficientStorage,
    );
    // A quota without limits is one, too.
    case.catalog.set_quota(&default, Some(Quota::default())).await?;
    case.second.commit(waiting.version, &object("x"), at(1)).await?;
    case.store(&limited("d", tight)).await?;
    Ok(())
}

async fn a_quota_can_be_taken_back(case: Case) -> Result<()> {
    let default = TenantId::default();
    let full = Quota::default().with_bytes_max(0);
    case.catalog.set_quota(&default, Some(full)).await?;
    let new = NewIntent {
        size_bytes: Some(1),
        ..intent("a")
    };
    refused(case.catalog.begin(&new).await, ErrorKind::InsufficientStorage);
    case.catalog.set_quota(&default, None).await?;
    assert_eq!(case.catalog.usage(&default).await?.quota, None);
    case.store(&new).await?;
    assert_eq!(usage(&case).await?, used(7, 1));
    Ok(())
}

async fn a_diverted_write_is_limited_too(case: Case) -> Result<()> {
    let quota = Quota::default().with_bytes_max(6);
    let new = limited("a", quota);
    case.start(&new).await?;
    let elsewhere = NewIntent {
        provider: "other".to_owned(),
        ..limited("a", quota)
    };
    case.catalog.divert(new.version, &elsewhere, at(1)).await?;
    refused(
        case.catalog
            .commit(elsewhere.version, &object("content"), at(1))
            .await,
        ErrorKind::InsufficientStorage,
    );
    case.catalog
        .commit(elsewhere.version, &object("123456"), at(1))
        .await?;
    Ok(())
}

async fn more_than_can_be_counted_is_no_limit(case: Case) -> Result<()> {
    let endless = Quota::default()
        .with_bytes_max(u64::MAX)
        .with_objects_max(u64::MAX);
    case.catalog
        .set_quota(&TenantId::default(), Some(endless))
        .await?;
    case.store(&limited("a", endless)).await?;
    assert_eq!(usage(&case).await?, used(7, 1));
    Ok(())
}

async fn racing_writers_never_exceed_it(case: Case) -> Result<()> {
    let quota = Quota::default().with_bytes_max(7 * 10 + 3);
    let write = |index: usize| {
        let catalog = case.handle(index);
        async move {
            let new = limited(&format!("a{index}"), quota);
            match catalog.begin(&new).await {
                Ok(begun) => {
                    super::case::started(begun)?;
                    catalog
                        .commit(new.version, &object("content"), at(1))
                        .await
                        .map(drop)
                }
                Err(error) => Err(error),
            }
        }
    };
    let answers = futures_util::future::join_all((0..32).map(write)).await;
    let stored = answers.iter().filter(|answer| answer.is_ok()).count();
    let refusals = answers.into_iter().filter_map(Result::err);
    let kinds: Vec<_> = refusals.map(|error| error.kind()).collect();
    assert_eq!(stored, 10);
    assert!(
        kinds.iter().all(|kind| *kind == ErrorKind::InsufficientStorage),
        "{kinds:?}"
    );
    assert_eq!(usage(&case).await?, used(70, 10));
    Ok(())
}

/// What is used, as a look at every record tells.
async fn counted(case: &Case) -> Result<Usage> {
    let mut usage = Usage::default();
    for name in ["a", "b", "c"] {
        for record in case.catalog.versions(&identity(name)).await? {
            usage.add(record.size_bytes);
        }
    }
    for dead in case.catalog.deleted(&DeletedQuery::default()).await? {
        usage.add(dead.record.size_bytes);
    }
    Ok(usage)
}

async fn usage_is_exact_after_anything(case: Case) -> Result<()> {
    for seed in 0..4 {
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        for step in 0..60 {
            let name = ["a", "b", "c"][random.random_range(0..3)];
            let target = match random.random_range(0..3) {
                0 => whole(name),
                1 => DeleteTarget::Variant(identity(name)),
                _ => DeleteTarget::Version(
                    identity(name),
                    VersionSelector::Number(random.random_range(1..20)),
                ),
            };
            match random.random_range(0..6) {
                0..3 => {
                    let new = overwrite(name);
                    case.start(&new).await?;
                    let content = "x".repeat(random.random_range(0..50));
                    case.catalog
                        .commit(new.version, &object(&content), at(step))
                        .await?;
                }
                3 => drop(
                    case.catalog
                        .tombstone(&target, DeleteMode::Final, at(step))
                        .await?,
                ),
                4 => {
                    let until = at(step + random.random_range(0..20));
                    let mode = DeleteMode::Recoverable { until };
                    case.catalog.tombstone(&target, mode, at(step)).await?;
                }
                _ if random.random() => drop(case.catalog.restore(&target, at(step)).await?),
                _ => drop(
                    case.catalog
                        .expire_deleted(at(step), random.random_range(0..5))
                        .await?,
                ),
            }
            assert_eq!(
                usage(&case).await?,
                counted(&case).await?,
                "seed {seed}, step {step}"
            );
        }
    }
    Ok(())
}
