//! The audit log in SQLite: events are added, found from either end, and never changed.

use std::sync::Arc;

use boards_storage_catalog::{SqliteAuditSink, SqliteCatalog};
use boards_storage_core::{
    ArtifactId, AuditEvent, AuditOperation, AuditQuery, AuditSink, CallContext, Principal, TenantId,
};
use jiff::Timestamp;
use sqlx::Executor;

use crate::support::connect;

fn event(artifact: &str, second: i64) -> AuditEvent {
    let context = CallContext::default().with_principal(Principal::new("ada"));
    let mut event = AuditEvent::new(AuditOperation::Store, &context);
    event.time = Timestamp::from_second(second).expect("in range");
    event.tenant = Some(TenantId::default());
    event.artifact = Some(ArtifactId::parse(artifact).expect("an id"));
    event.provider = Some("main".to_owned());
    event
}

fn names(entries: &[boards_storage_core::AuditEntry]) -> Vec<&str> {
    entries
        .iter()
        .filter_map(|entry| entry.event.artifact.as_ref().map(ArtifactId::as_str))
        .collect()
}

#[tokio::test]
async fn events_are_kept_in_order_and_found_from_either_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.db");
    let catalog = Arc::new(SqliteCatalog::open(&path).await.expect("opened"));
    let sink = SqliteAuditSink::of(Arc::clone(&catalog));
    sink.ready().await.expect("ready");
    let events = [event("a", 30), event("b", 10), event("c", 20)];
    sink.append(&events).await.expect("kept");
    // An event that comes again was kept already.
    sink.append(&[events[0].clone(), event("d", 40)])
        .await
        .expect("kept");
    let all = AuditQuery::default();
    let found = sink.events_after(&all, None, 10).await.expect("read");
    assert_eq!(names(&found), ["a", "b", "c", "d"]);
    assert_eq!(found[0].event, events[0]);
    let after = sink
        .events_after(&all, Some(found[0].sequence), 2)
        .await
        .expect("read");
    assert_eq!(names(&after), ["b", "c"]);
    assert_eq!(
        names(&sink.events_before(&all, None, 2).await.expect("read")),
        ["d", "c"]
    );
    let before = sink
        .events_before(&all, Some(found[2].sequence), 10)
        .await
        .expect("read");
    assert_eq!(names(&before), ["b", "a"]);
    let at = |second| Timestamp::from_second(second).expect("in range");
    for (query, expected) in [
        (all.clone().with_since(at(20)).with_until(at(40)), vec!["a", "c"]),
        (all.clone().with_principal("bob"), vec![]),
        (
            all.clone()
                .with_provider("main")
                .with_operation(AuditOperation::Delete),
            vec![],
        ),
        (
            all.with_artifact(ArtifactId::parse("b").expect("an id"))
                .with_principal("ada"),
            vec!["b"],
        ),
    ] {
        let found = sink.events_after(&query, None, 10).await.expect("read");
        assert_eq!(names(&found), expected, "{query:?}");
        for entry in &found {
            assert!(query.matches(&entry.event), "SQL and the query agree");
        }
    }
    boards_storage_core::Catalog::close(&*catalog)
        .await
        .expect("closed");
    let again = SqliteAuditSink::open(&path).await.expect("opened again");
    assert_eq!(
        again
            .events_after(&AuditQuery::default(), None, 10)
            .await
            .expect("read")
            .len(),
        4
    );
    again.close().await.expect("closed");
}

#[tokio::test]
async fn events_are_never_changed_and_heads_never_go_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.db");
    let sink = SqliteAuditSink::open(&path).await.expect("opened");
    sink.append(&[event("a", 1)]).await.expect("kept");
    sink.close().await.expect("closed");
    let mut connection = connect(&path).await;
    let head = format!(
        "INSERT INTO audit_heads VALUES ('audit', 7, '{}')",
        "0".repeat(64)
    );
    connection
        .execute(sqlx::AssertSqlSafe(head))
        .await
        .expect("a head");
    for statement in [
        "UPDATE audit_events SET principal = 'eve'",
        "DELETE FROM audit_events",
        "UPDATE audit_heads SET sequence = 6",
    ] {
        let refused = connection.execute(statement).await.expect_err("refused");
        assert!(refused.to_string().contains("never"), "{statement}: {refused}");
    }
}
