//! How many artifacts a second the catalog takes: each is a begin and a commit, both flushed to the disk.
//!
//! `cargo bench -p boards-storage-catalog -- FOLDER…` measures in a new folder inside each; the system's folder for
//! temporary files by default.

#![expect(clippy::print_stdout, reason = "a benchmark's report")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boards_storage_catalog::SqliteCatalog;
use boards_storage_core::{
    AccessClass, ArtifactId, ArtifactQuery, ArtifactType, Catalog, Clock, Digest, DigestAlgorithm,
    DigestState, NewIntent, ObjectAttributes, Result, StorageKey, StoredObject, SystemClock, TenantId,
    VariantIdentity, VariantName, VersionId, VersionSelector,
};
use jiff::SignedDuration;
use tokio::task::JoinSet;

const TIME: Duration = Duration::from_secs(4);

fn intent() -> NewIntent {
    let version = VersionId::fresh();
    let artifact = ArtifactId::fresh();
    let key = |text: String| StorageKey::parse(text).expect("valid");
    let now = SystemClock.now();
    NewIntent {
        version,
        plain_key: key(format!("default/image/{artifact}/original.png")),
        versioned_key: key(format!("default/image/{artifact}/original.{version}.png")),
        variant: VariantIdentity {
            tenant: TenantId::default(),
            artifact,
            variant: VariantName::default(),
        },
        artifact_type: ArtifactType::Image,
        board: None,
        access: AccessClass::Private,
        home: "main".to_owned(),
        provider: "main".to_owned(),
        overwrite: false,
        now,
        lease_until: now.checked_add(SignedDuration::from_mins(1)).expect("in range"),
        size_bytes: None,
        quota: boards_storage_core::Quota::default(),
    }
}

fn object(version: VersionId) -> StoredObject {
    StoredObject {
        size_bytes: 4096,
        attributes: ObjectAttributes::default()
            .with_user_metadata("prompt", "a bear")
            .with_user_metadata("seed", "42"),
        digest: Digest::of(DigestAlgorithm::Blake3, version.as_uuid().as_bytes()),
        digest_state: DigestState::Verified,
        etag: None,
        store_version: None,
        checksum: None,
    }
}

/// Runs tasks for a while, and returns how many pieces of work they did a second.
async fn rate<F>(tasks: usize, work: impl Fn() -> F + Clone + Send + 'static) -> f64
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        let work = work.clone();
        running.spawn(async move {
            let mut done = 0_u32;
            while begun.elapsed() < TIME {
                work().await.expect("the catalog works");
                done += 1;
            }
            done
        });
    }
    let mut done = 0;
    while let Some(count) = running.join_next().await {
        done += count.expect("no panic");
    }
    f64::from(done) / begun.elapsed().as_secs_f64()
}

async fn measure(parent: &Path) -> Result<()> {
    let folder = tempfile::tempdir_in(parent).expect("a folder can be made");
    let catalog = Arc::new(SqliteCatalog::open(folder.path().join("catalog.db")).await?);
    println!("{}", parent.display());
    for tasks in [1, 16, 64] {
        let shared = Arc::clone(&catalog);
        let stored = rate(tasks, move || {
            let catalog = Arc::clone(&shared);
            async move {
                let new = intent();
                catalog.begin(&new).await?;
                catalog
                    .commit(new.version, &object(new.version), new.now)
                    .await
                    .map(drop)
            }
        })
        .await;
        println!("  begin + commit, {tasks:2} tasks: {stored:8.0} artifacts/s");
    }
    let page = catalog.list(&ArtifactQuery::default()).await?;
    let variant = page.records[0].variant.clone();
    let shared = Arc::clone(&catalog);
    let found = rate(16, move || {
        let (catalog, variant) = (Arc::clone(&shared), variant.clone());
        async move { catalog.find(&variant, VersionSelector::Current).await.map(drop) }
    })
    .await;
    println!("  find,           16 tasks: {found:8.0} records/s");
    let begun = Instant::now();
    let (mut count, mut query) = (0, ArtifactQuery::default());
    loop {
        let page = catalog.list(&query).await?;
        count += page.records.len();
        match page.next {
            Some(next) => query = query.with_after(next),
            None => break,
        }
    }
    let listed = f64::from(u32::try_from(count).expect("small")) / begun.elapsed().as_secs_f64();
    println!("  list,           of {count:6}: {listed:8.0} records/s");
    catalog.close().await
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut folders: Vec<_> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    if folders.is_empty() {
        folders.push(std::env::temp_dir().display().to_string());
    }
    for folder in folders {
        measure(Path::new(&folder)).await?;
    }
    Ok(())
}
