//! Writing: one chain, through files, days, keys and restarts.

use boards_storage_core::{AuditSink, Catalog, ErrorKind};
use boards_storage_layers::{AuditKeys, JsonlConfig, JsonlSink, verify_audit};

use super::{Log, append, events, file, key, keys, read};

#[tokio::test]
async fn a_log_is_whole_and_its_head_is_the_last_line() {
    let log = Log::new();
    let sink = log.open();
    append(&sink, &["a", "b"]).await;
    append(&sink, &["c"]).await;
    let found = log.verify().await;
    assert!(found.is_whole(), "{found:?}");
    assert_eq!((found.files, found.entries, found.events), (1, 4, 3));
    assert_eq!((found.first_sequence, found.last_sequence), (1, 4));
    let head = log
        .catalog
        .audit_head("audit")
        .await
        .expect("asked")
        .expect("kept");
    assert_eq!(head.sequence, 4);
    let text = read(&log.path().join(file(1)));
    assert!(text.lines().last().expect("a line").contains(&head.mac));
}

#[tokio::test]
async fn another_program_can_follow_the_chain() {
    let log = Log::new();
    append(&log.open(), &["a", "b"]).await;
    // As the documentation says, and with nothing of ours but the key.
    let mut previous = "0".repeat(64);
    for line in read(&log.path().join(file(1))).lines() {
        let (signed, mac) = line.rsplit_once(",\"mac\":\"").expect("it ends with its code");
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(value["previous"], previous);
        let code = hmac_sha256(b"0123456789abcdef0123456789abcdef", signed.as_bytes());
        assert_eq!(mac, format!("{code}\"}}"));
        previous = code;
    }
}

/// HMAC as RFC 2104 writes it, for keys of at most 64 bytes.
fn hmac_sha256(key: &[u8], message: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let pad = |with: u8| {
        let mut block = [with; 64];
        key.iter().zip(&mut block).for_each(|(key, block)| *block ^= key);
        block
    };
    let inner = Sha256::new()
        .chain_update(pad(0x36))
        .chain_update(message)
        .finalize();
    let outer = Sha256::new()
        .chain_update(pad(0x5c))
        .chain_update(inner)
        .finalize();
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_restart_goes_on_with_the_chain() {
    let log = Log::new();
    for name in ["a", "b", "c"] {
        append(&log.open(), &[name]).await;
    }
    let found = log.verify().await;
    assert!(found.is_whole(), "{found:?}");
    assert_eq!((found.files, found.events), (1, 3));
}

#[tokio::test]
async fn two_writers_share_one_chain() {
    let log = Log::new();
    let (one, other) = (log.open(), log.open());
    for round in 0..10 {
        append(&one, &[&format!("one-{round}")]).await;
        append(&other, &[&format!("other-{round}"), "more"]).await;
    }
    let found = log.verify().await;
    assert!(found.is_whole(), "{found:?}");
    assert_eq!((found.files, found.events), (1, 30));
}

#[tokio::test]
async fn files_rotate_by_size_and_by_day() {
    let log = Log::new();
    let sink = log.open_with(log.config().with_size_bytes_max(1000));
    append(&sink, &["a"]).await;
    append(&sink, &["b"]).await;
    assert_eq!(log.files(), [file(1)]);
    append(&sink, &["c"]).await;
    assert_eq!(log.files(), [file(1), file(2)]);
    log.next_day();
    append(&sink, &["d"]).await;
    assert_eq!(log.files(), [file(1), file(2), file(3)]);
    let found = log.verify().await;
    assert!(found.is_whole(), "{found:?}");
    assert_eq!((found.files, found.events, found.entries), (3, 4, 7));
}

#[tokio::test]
async fn old_files_go_where_the_settings_say_so_and_the_rest_is_whole() {
    let log = Log::new();
    let sink = log.open_with(log.config().with_files_max(2));
    for name in ["a", "b", "c", "d"] {
        append(&sink, &[name]).await;
        log.next_day();
    }
    assert_eq!(log.files(), [file(3), file(4)]);
    let found = log.verify().await;
    assert!(found.is_whole(), "{found:?}");
    assert_eq!((found.first_sequence, found.last_sequence), (5, 8));
    // What the settings keep may not go.
    std::fs::remove_file(log.path().join(file(3))).expect("removed");
    assert!(!log.verify().await.is_whole());
}

#[tokio::test]
async fn a_new_key_begins_a_file_and_the_old_one_still_verifies() {
    let log = Log::new();
    append(&log.open(), &["a"]).await;
    let fresh = key("another key, also of 32 bytes or more");
    let both = AuditKeys::new(fresh.clone()).with_previous(key("0123456789abcdef0123456789abcdef"));
    append(&log.open_with(log.config().with_keys(both.clone())), &["b"]).await;
    assert_eq!(log.files(), [file(1), file(2)]);
    let head = log.catalog.audit_head("audit").await.expect("asked");
    let found = verify_audit(log.path(), both, head.clone()).await.expect("read");
    assert!(found.is_whole(), "{found:?}");
    let found = verify_audit(log.path(), AuditKeys::new(fresh.clone()), head)
        .await
        .expect("read");
    assert!(!found.is_whole(), "the first file's key was not given");
    let refused = log
        .open_with(log.config().with_keys(keys()))
        .append(&events(&["c"]))
        .await;
    assert_eq!(
        refused.expect_err("an unknown key").kind(),
        ErrorKind::Configuration
    );
}

#[tokio::test]
async fn a_key_is_made_with_the_log_and_is_nobody_elses() {
    let log = Log::new();
    let sink = || log.open_with(JsonlConfig::new(log.path()));
    append(&sink(), &["a"]).await;
    append(&sink(), &["b"]).await;
    let keys = AuditKeys::of_folder(log.path())
        .await
        .expect("read")
        .expect("it is there");
    let head = log.catalog.audit_head("audit").await.expect("asked");
    assert!(
        verify_audit(log.path(), keys, head)
            .await
            .expect("read")
            .is_whole()
    );
    #[cfg(unix)]
    for name in ["key", "lock", &file(1)] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(log.path().join(name))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let text = read(&log.path().join("key"));
    assert_eq!(text.trim_end().len(), 64);
    assert!(!read(&log.path().join(file(1))).contains(text.trim_end()));
    // A log goes on only with its key.
    std::fs::remove_file(log.path().join("key")).expect("removed");
    let refused = sink().append(&events(&["c"])).await;
    assert_eq!(refused.expect_err("no key").kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn events_that_come_again_are_written_once() {
    let log = Log::new();
    let sink = JsonlSink::new(log.config())
        .with_clock(std::sync::Arc::clone(&log.clock) as std::sync::Arc<_>)
        .with_catalog(std::sync::Arc::new(super::disk::Broken::default()));
    let some = events(&["a", "b"]);
    sink.append(&some).await.expect_err("the head cannot be moved");
    let mut more = some;
    more.extend(events(&["c"]));
    sink.append(&more).await.expect("now it can");
    let found = verify_audit(log.path(), keys(), None).await.expect("read");
    assert_eq!((found.events, found.is_whole()), (3, true), "{found:?}");
}
