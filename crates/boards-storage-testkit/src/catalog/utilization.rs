//! How much is stored: every version that is not deleted, by provider, tenant and type.

use boards_storage_core::{DeleteMode, DeleteTarget, NewIntent, Result, StoredObject, VersionSelector};

use super::case::{Case, artifact_type, at, identity, intent, intent_of, object, overwrite, tenant};

super::catalog_tests! { "utilization" {
    an_empty_catalog_has_none
    it_is_by_provider_tenant_and_type
    old_versions_count_and_deleted_ones_do_not
    what_is_under_way_does_not_count
    sizes_add_up_beyond_four_gibibytes
} }

/// Each row as `provider tenant type objects bytes`.
async fn rows(case: &Case) -> Result<Vec<String>> {
    let utilization = case.catalog.utilization().await?;
    assert_eq!(
        case.second.utilization().await?,
        utilization,
        "both handles agree"
    );
    Ok(utilization
        .into_iter()
        .map(|(key, stored)| {
            format!(
                "{} {} {} {} {}",
                key.provider, key.tenant, key.artifact_type, stored.objects, stored.bytes
            )
        })
        .collect())
}

async fn store(case: &Case, new: &NewIntent, size_bytes: u64) -> Result<()> {
    let started = case.start(new).await?;
    let object = StoredObject {
        size_bytes,
        ..object("x")
    };
    case.catalog
        .commit(started.version, &object, at(0))
        .await
        .map(drop)
}

/// A write of an original at a provider, of a tenant and a type.
fn intent_at(provider: &str, tenant_name: &str, type_name: &str, artifact: &str) -> NewIntent {
    let mut variant = identity(artifact);
    variant.tenant = tenant(tenant_name);
    NewIntent {
        provider: provider.to_owned(),
        artifact_type: artifact_type(type_name),
        ..intent_of(variant)
    }
}

async fn an_empty_catalog_has_none(case: Case) -> Result<()> {
    assert!(rows(&case).await?.is_empty());
    Ok(())
}

async fn it_is_by_provider_tenant_and_type(case: Case) -> Result<()> {
    for (provider, tenant, kind, artifact, size_bytes) in [
        ("s3", "t1", "video", "a", 1000),
        ("local", "t1", "image", "b", 1),
        ("local", "t1", "image", "c", 2),
        ("local", "t2", "image", "b", 4),
        ("local", "t1", "mesh", "d", 0),
        ("s3", "t1", "image", "e", 8),
    ] {
        store(&case, &intent_at(provider, tenant, kind, artifact), size_bytes).await?;
    }
    assert_eq!(
        rows(&case).await?,
        [
            "local t1 image 2 3",
            "local t1 mesh 1 0",
            "local t2 image 1 4",
            "s3 t1 image 1 8",
            "s3 t1 video 1 1000",
        ]
    );
    Ok(())
}

async fn old_versions_count_and_deleted_ones_do_not(case: Case) -> Result<()> {
    for size_bytes in [1, 10, 100] {
        store(&case, &overwrite("a"), size_bytes).await?;
    }
    store(&case, &intent("b"), 1000).await?;
    assert_eq!(rows(&case).await?, ["main default image 4 1111"]);
    let second = DeleteTarget::Version(identity("a"), VersionSelector::Number(2));
    let dead = case.catalog.tombstone(&second, DeleteMode::Final, at(1)).await?;
    assert_eq!(rows(&case).await?, ["main default image 3 1101"]);
    for tombstone in dead {
        case.catalog.purge(tombstone.version).await?;
    }
    assert_eq!(rows(&case).await?, ["main default image 3 1101"]);
    case.delete("b").await?;
    assert_eq!(rows(&case).await?, ["main default image 2 101"]);
    case.delete("a").await?;
    assert!(rows(&case).await?.is_empty());
    Ok(())
}

async fn what_is_under_way_does_not_count(case: Case) -> Result<()> {
    case.start(&intent("a")).await?;
    assert!(rows(&case).await?.is_empty());
    store(&case, &overwrite("b"), 5).await?;
    let abandoned = case.start(&overwrite("b")).await?;
    case.catalog.abandon(abandoned.version).await?;
    assert_eq!(rows(&case).await?, ["main default image 1 5"]);
    Ok(())
}

async fn sizes_add_up_beyond_four_gibibytes(case: Case) -> Result<()> {
    let large = 1 << 40;
    store(&case, &intent("a"), large).await?;
    store(&case, &intent("b"), large + 1).await?;
    assert_eq!(
        case.catalog
            .utilization()
            .await?
            .into_values()
            .map(|stored| (stored.objects, stored.bytes))
            .collect::<Vec<_>>(),
        [(2, 2 * large + 1)]
    );
    Ok(())
}
