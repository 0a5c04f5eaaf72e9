//! What a child process does: it opens the catalog, works, and prints what was acknowledged, a line each.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use boards_storage_catalog::SqliteCatalog;
use boards_storage_core::{
    AccessClass, ArtifactId, ArtifactType, Begun, Catalog, Clock, DeleteMode, Digest, DigestAlgorithm,
    DigestState, NewIntent, ObjectAttributes, Result, StorageKey, StoredObject, SystemClock, TenantId,
    VariantIdentity, VariantName, VersionId,
};
use jiff::SignedDuration;

/// Starts a child of this program.
pub(crate) fn start(role: &str, arguments: &[&str]) -> Child {
    let program = std::env::current_exe().expect("this program has a path");
    Command::new(program)
        .args(["--child", role])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child can be started")
}

pub(crate) fn run(role: &str, arguments: &[String]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let outcome = runtime.block_on(async {
        let catalog = Arc::new(SqliteCatalog::open(&arguments[0]).await?);
        match role {
            "store" => store_each(&catalog, &arguments[1]).await?,
            "overwrite" => overwrite_many(&catalog, &arguments[1]).await?,
            "flood" => flood(&catalog, &arguments[1]).await?,
            "life" => whole_life(&catalog, &arguments[1]).await?,
            _ => panic!("there is no role '{role}'"),
        }
        catalog.close().await
    });
    outcome.expect("the child's work succeeds");
}

pub(crate) fn identity(artifact: &str) -> VariantIdentity {
    VariantIdentity {
        tenant: TenantId::default(),
        artifact: ArtifactId::parse(artifact).expect("valid"),
        variant: VariantName::default(),
    }
}

pub(crate) fn intent(artifact: &str) -> NewIntent {
    let version = VersionId::fresh();
    let key = |text: String| StorageKey::parse(text).expect("valid");
    let now = SystemClock.now();
    NewIntent {
        version,
        variant: identity(artifact),
        artifact_type: ArtifactType::Image,
        board: None,
        access: AccessClass::Private,
        home: "main".to_owned(),
        provider: "main".to_owned(),
        plain_key: key(format!("default/image/{artifact}/original.png")),
        versioned_key: key(format!("default/image/{artifact}/original.{version}.png")),
        overwrite: false,
        now,
        lease_until: now.checked_add(SignedDuration::from_mins(1)).expect("in range"),
        size_bytes: None,
        quota: boards_storage_core::Quota::default(),
    }
}

pub(crate) fn object(artifact: &str) -> StoredObject {
    StoredObject {
        size_bytes: artifact.len() as u64,
        attributes: ObjectAttributes::default().with_user_metadata("artifact", artifact),
        digest: Digest::of(DigestAlgorithm::Blake3, artifact.as_bytes()),
        digest_state: DigestState::Verified,
        etag: None,
        store_version: None,
        checksum: None,
    }
}

fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .expect("the parent listens");
}

/// Stores artifacts that all children store, and tells which it won.
async fn store_each(catalog: &SqliteCatalog, count: &str) -> Result<()> {
    let count: usize = count.parse().expect("a count");
    for index in 0..count {
        let name = format!("a{index}");
        loop {
            let new = intent(&name);
            match catalog.begin(&new).await? {
                Begun::Started(_) => {
                    catalog.commit(new.version, &object(&name), new.now).await?;
                    tell(&name);
                    break;
                }
                Begun::Exists(_) => break,
                Begun::Busy { .. } => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
            }
        }
    }
    Ok(())
}

/// Overwrites one artifact, and tells the numbers.
async fn overwrite_many(catalog: &SqliteCatalog, count: &str) -> Result<()> {
    let count: usize = count.parse().expect("a count");
    for _ in 0..count {
        let new = NewIntent {
            overwrite: true,
            ..intent("one")
        };
        catalog.begin(&new).await?;
        tell(
            &catalog
                .commit(new.version, &object("one"), new.now)
                .await?
                .number
                .to_string(),
        );
    }
    Ok(())
}

/// Stores, overwrites and deletes without end, in eight tasks, and tells what was acknowledged.
async fn flood(catalog: &Arc<SqliteCatalog>, prefix: &str) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::<Result<()>>::new();
    for task in 0..8 {
        let (catalog, prefix) = (Arc::clone(catalog), prefix.to_owned());
        tasks.spawn(async move {
            for index in 0_u64.. {
                let name = format!("{prefix}-{task}-{index}");
                let new = intent(&name);
                catalog.begin(&new).await?;
                tell(&format!("begun {name} {}", new.version));
                catalog.commit(new.version, &object(&name), new.now).await?;
                tell(&format!("stored {name} {}", new.version));
                if index % 5 == 4 {
                    let target = boards_storage_core::DeleteTarget::Variant(identity(&name));
                    tell(&format!("deleting {name} {}", new.version));
                    let dead = catalog.tombstone(&target, DeleteMode::Final, new.now).await?;
                    tell(&format!("deleted {name} {}", new.version));
                    catalog.purge(dead[0].version).await?;
                }
            }
            Ok(())
        });
    }
    tasks.join_next().await.expect("eight tasks").expect("no panic")
}

/// Goes through every call, and ends where the failpoint is.
async fn whole_life(catalog: &SqliteCatalog, failpoint: &str) -> Result<()> {
    fail::cfg_callback(failpoint, || std::process::abort()).expect("a failpoint");
    let first = intent("a");
    catalog.begin(&first).await?;
    tell("begun");
    let elsewhere = NewIntent {
        provider: "spare".to_owned(),
        ..intent("a")
    };
    catalog
        .divert(first.version, &elsewhere, jiff::Timestamp::MAX)
        .await?;
    tell("diverted");
    catalog.commit(elsewhere.version, &object("a"), first.now).await?;
    tell("committed");
    let ended = NewIntent {
        lease_until: first.now,
        ..intent("b")
    };
    catalog.begin(&ended).await?;
    for intent in catalog.reap_intents(first.now, None, 10).await? {
        tell("reaped");
        catalog.abandon(intent.version).await?;
    }
    tell("abandoned");
    let target = boards_storage_core::DeleteTarget::Variant(identity("a"));
    for dead in catalog.tombstone(&target, DeleteMode::Final, first.now).await? {
        tell("deleted");
        catalog.purge(dead.version).await?;
    }
    tell("purged");
    Ok(())
}

/// Checks the file past the catalog: SQLite's own structure, the references, and our invariants.
pub(crate) async fn check_integrity(path: &Path) {
    use sqlx::ConnectOptions;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut connection = options.connect().await.expect("SQLite opens the file");
    let found: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_all(&mut connection)
        .await
        .expect("checked");
    assert_eq!(found, ["ok"]);
    let broken = sqlx::query("PRAGMA foreign_key_check")
        .fetch_all(&mut connection)
        .await
        .expect("checked");
    assert_eq!(broken.len(), 0, "every reference has its row");
    for (wrong, query) in [
        (
            "a version without a replica",
            "SELECT count(*) FROM versions WHERE id NOT IN (SELECT version FROM replicas)",
        ),
        (
            "a present version that is not the newest",
            "SELECT count(*) FROM variants WHERE current_version IS NOT (SELECT id FROM versions \
             WHERE variant_id = variants.id AND deleted_at IS NULL ORDER BY number DESC LIMIT 1)",
        ),
        (
            "an artifact that is forgotten and there, or neither",
            "SELECT count(*) FROM artifacts WHERE (forgotten_at IS NULL) IS NOT EXISTS (SELECT 1 FROM variants \
             WHERE tenant = artifacts.tenant AND artifact = artifacts.artifact AND current_version IS NOT NULL)",
        ),
        (
            "an intent of a committed version",
            "SELECT count(*) FROM intents WHERE version IN (SELECT id FROM versions)",
        ),
        (
            "a key that is not reserved",
            "SELECT count(*) FROM replicas WHERE key NOT IN (SELECT key FROM used_keys)",
        ),
        (
            "an intent whose key is not reserved",
            "SELECT count(*) FROM intents WHERE key NOT IN (SELECT key FROM used_keys)",
        ),
    ] {
        let count: i64 = sqlx::query_scalar(query)
            .fetch_one(&mut connection)
            .await
            .expect("counted");
        assert_eq!(count, 0, "{wrong}");
    }
}
