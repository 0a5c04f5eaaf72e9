//! The metrics as Prometheus reads them. One test: a program has one recorder.

use std::collections::{BTreeMap, BTreeSet};

use boards_storage::layers::METRICS;
use boards_storage::prelude::*;
use boards_storage::{CallContext, DURATION_BUCKETS, PrometheusExporter};

#[tokio::test]
async fn prometheus_reads_what_was_done_and_what_is_stored() {
    let exporter = PrometheusExporter::install().expect("the first one");
    let second = PrometheusExporter::install().expect_err("one alone");
    assert_eq!(second.kind(), ErrorKind::Configuration);
    let folder = tempfile::tempdir().expect("a folder");
    let storage = Storage::builder()
        .local(folder.path())
        .open()
        .await
        .expect("opened");
    let artifact =
        NewArtifact::new(ArtifactType::Text).with_artifact(ArtifactId::parse("secret").expect("an id"));
    let stored = storage.store_artifact(artifact, "hello").await.expect("stored");
    storage
        .open_artifact(&stored, &OpenOptions::default())
        .await
        .expect("opened")
        .bytes(10)
        .await
        .expect("read");
    let text = exporter.render_with(&storage).await.expect("rendered");
    for line in [
        r#"boards_storage_bytes_total{provider="local",op="upload",direction="in"} 5"#,
        r#"boards_storage_attempt_bytes_total{provider="local",op="download",direction="out"} 5"#,
        r#"boards_storage_operation_duration_seconds_count{provider="local",op="upload",outcome="ok"} 1"#,
        r#"boards_storage_inflight{provider="local",op="upload"} 0"#,
        r#"boards_storage_stored_objects{provider="local",type="text"} 1"#,
        r#"boards_storage_stored_bytes{provider="local",type="text"} 5"#,
    ] {
        assert!(text.lines().any(|found| found == line), "no {line} in {text}");
    }
    assert!(!text.contains("secret"), "{text}");
    check_format(&text);

    storage
        .delete_artifact(&stored.tenant_id, &stored.artifact_id, &CallContext::default())
        .await
        .expect("deleted");
    let text = exporter.render_with(&storage).await.expect("rendered");
    let line = r#"boards_storage_stored_bytes{provider="local",type="text"} 0"#;
    assert!(text.lines().any(|found| found == line), "no {line} in {text}");
    let metrics = storage.metrics().await.expect("a snapshot");
    assert!(metrics.storage_utilization.is_empty() && !metrics.operations_count.is_empty());
}

/// Every metric has its help, its type and, of durations, our buckets; and each is in the list.
#[track_caller]
fn check_format(text: &str) {
    let mut kinds = BTreeMap::new();
    let mut helped = BTreeSet::new();
    let mut bounds = BTreeSet::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["#", "TYPE", name, kind] => {
                kinds.insert(name, kind);
            }
            ["#", "HELP", name, ..] => {
                helped.insert(name);
            }
            _ => {}
        }
        if let Some((_, bound)) = line.split_once("le=\"") {
            bounds.insert(bound.split('"').next().expect("a bound"));
        }
    }
    assert_eq!(bounds.len(), DURATION_BUCKETS.len() + 1, "{bounds:?}");
    for (name, kind) in kinds {
        let listed = METRICS.iter().find(|metric| metric.name == name);
        let listed = listed.unwrap_or_else(|| panic!("{name} is not in the list"));
        assert_eq!(format!("{:?}", listed.kind).to_lowercase(), kind, "{name}");
        assert!(helped.contains(name), "{name} has no help");
    }
}
