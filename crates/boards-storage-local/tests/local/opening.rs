//! Opening a base directory: its settings, several handles, a later process.

use boards_storage_core::{Capability, StorageProvider};
use boards_storage_local::{LocalProvider, LocalSettings};

use crate::support::{Base, get, head, pattern, put};

#[tokio::test]
async fn two_handles_see_each_other() {
    let base = Base::new();
    let (one, two) = (base.open().await, base.open().await);
    for round in 0..25 {
        for (writer, reader, text) in [(&one, &two, "one"), (&two, &one, "two")] {
            let text = format!("{text} {round}");
            let written = put(writer, "a/shared", text.as_bytes()).await;
            assert_eq!(get(reader, "a/shared").await.expect("there"), text.as_bytes());
            assert_eq!(head(reader, "a/shared").await.expect("there"), written);
        }
    }
    let folders = || {
        std::fs::read_dir(base.path().join(".boards-storage/staging"))
            .expect("there")
            .count()
    };
    assert_eq!(folders(), 2);
    drop(two);
    put(&one, "b", b"after the other's end").await;
    assert_eq!(folders(), 1);
}

#[tokio::test]
async fn reopening_keeps_everything() {
    let base = Base::new();
    let mut kept = Vec::new();
    for round in 0..5 {
        let provider = base.open().await;
        let name = format!("folder/{round}.png");
        kept.push((put(&provider, &name, &pattern(1_000_000 * round)).await, round));
        drop(provider);
        let provider = base.open().await;
        for (before, round) in &kept {
            let name = before.key.as_str();
            assert_eq!(head(&provider, name).await.expect("there"), *before);
            assert!(get(&provider, name).await.expect("there") == pattern(1_000_000 * round));
        }
    }
}

#[test]
fn settings_refuse_unknown_fields() {
    let parse = |text: &str| serde_json::from_str::<LocalSettings>(text).map_err(|error| error.to_string());
    let settings = parse(r#"{"base_path": "/x"}"#).expect("the least");
    assert!(settings.fsync && settings.checksum && settings.public_url_base.is_none());
    let all = r#"{"base_path": "/x", "fsync": false, "checksum": false, "public_url_base": "https://a"}"#;
    let settings = parse(all).expect("everything");
    assert!(
        !settings.fsync && !settings.checksum && settings.public_url_base.as_deref() == Some("https://a")
    );
    for (bad, word) in [
        (r#"{"base_path": "/x", "fsyncs": true}"#, "fsyncs"),
        (r#"{"base_path": "/x", "basepath": "/y"}"#, "basepath"),
        (r#"{"base_path": "/x", "fsync": "no"}"#, "boolean"),
        ("{}", "base_path"),
    ] {
        let message = parse(bad).expect_err(bad);
        assert!(message.contains(word), "{message}");
    }
}

#[tokio::test]
async fn fsync_and_checksum_can_be_switched_off() {
    let base = Base::new();
    for (round, settings) in [
        base.settings(),
        base.settings().without_fsync(),
        base.settings().without_checksum(),
        base.settings().without_fsync().without_checksum(),
    ]
    .into_iter()
    .enumerate()
    {
        let has_checksum = settings.checksum;
        let provider = LocalProvider::open("local", settings).await.expect("opened");
        assert_eq!(
            provider.capabilities().has(Capability::VerifiedRead),
            has_checksum
        );
        // All of them share one tree.
        for size in [0, 100, 3_000_000] {
            let name = format!("a/{round}/{size}.png");
            let written = put(&provider, &name, &pattern(size)).await;
            assert_eq!(written.checksum.is_some(), has_checksum);
            assert!(get(&provider, &name).await.expect("there") == pattern(size));
            assert_eq!(head(&provider, &name).await.expect("there"), written);
        }
    }
}
