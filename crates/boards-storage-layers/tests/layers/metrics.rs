//! What is counted: for the snapshot, and for the `metrics` facade.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{
    BytesKey, CallContext, CallOptions, CircuitState, Content, Direction, Download, DownloadOptions,
    DownloadOutcome, EndKind, ErrorKind, LatencyKey, LatencySpan, Layer, ListOptions, MetricLevel,
    MetricsSource, ObjectMetadata, OperationKind, Outcome, SeriesKey, Stack, StorageMetrics, StorageProvider,
    UploadOptions, Utilization, UtilizationKey,
};
use boards_storage_layers::{
    BreakerConfig, BreakerLayer, DeadlineLayer, METRICS, Metrics, MetricsLayer, RetryLayer, describe_metrics,
    publish_utilization,
};
use boards_storage_testkit::{MemoryProvider, Step};
use futures_util::StreamExt;

use crate::recorder::Recorded;
use crate::support::{Bench, Prepared, call, key, one_shot, sample, timed_out, unavailable};

/// Both layers with a retry between, and what they count into.
fn bench() -> (Bench, Metrics) {
    let metrics = Metrics::default();
    let layers: Vec<Arc<dyn Layer>> = vec![
        Arc::new(MetricsLayer::call(&metrics)),
        Arc::new(RetryLayer::default()),
        Arc::new(MetricsLayer::attempt(&metrics)),
    ];
    (Bench::new(layers), metrics)
}

fn series(level: MetricLevel, operation: OperationKind) -> SeriesKey {
    SeriesKey::new("main", level, operation)
}

/// The counts of an operation: how it ended, and how often.
#[track_caller]
fn check_ends(metrics: &Metrics, level: MetricLevel, operation: OperationKind, expected: &[(EndKind, u64)]) {
    let found: Vec<(EndKind, u64)> = metrics
        .snapshot()
        .operations_count
        .into_iter()
        .filter(|(key, _)| key.series == series(level, operation))
        .map(|(key, count)| (key.end, count))
        .collect();
    assert_eq!(found, expected, "{operation} {level:?}");
}

#[track_caller]
fn check_bytes(
    metrics: &StorageMetrics,
    level: MetricLevel,
    operation: OperationKind,
    direction: Direction,
    expected: u64,
) {
    let key = BytesKey {
        series: series(level, operation),
        direction,
    };
    let found = metrics.bytes_transferred.get(&key).copied().unwrap_or_default();
    assert_eq!(found, expected, "{key:?}");
}

const CALL: MetricLevel = MetricLevel::Call;
const ATTEMPT: MetricLevel = MetricLevel::Attempt;
const OK: EndKind = EndKind::Ok;
const UNAVAILABLE: EndKind = EndKind::Error(ErrorKind::ProviderUnavailable);

#[tokio::test(start_paused = true)]
async fn a_repeated_call_is_one_call_of_two_attempts() {
    let (bench, metrics) = bench();
    let kind = OperationKind::Exists;
    bench.script.push(kind, Step::FailBefore(unavailable()));
    bench
        .stack
        .exists(&key("a"), &CallOptions::default())
        .await
        .expect("second time");
    check_ends(&metrics, CALL, kind, &[(OK, 1)]);
    check_ends(&metrics, ATTEMPT, kind, &[(OK, 1), (UNAVAILABLE, 1)]);
    let snapshot = metrics.snapshot();
    assert_eq!(snapshot.error_rates.get(&series(CALL, kind)), Some(&0.0));
    assert_eq!(snapshot.error_rates.get(&series(ATTEMPT, kind)), Some(&0.5));
    assert!(snapshot.in_flight.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_answer_such_as_not_found_is_counted_but_is_no_failure() {
    let (bench, metrics) = bench();
    bench
        .stack
        .metadata(&key("a"), &CallOptions::default())
        .await
        .expect_err("nothing there");
    let not_found = EndKind::Error(ErrorKind::NotFound);
    check_ends(&metrics, CALL, OperationKind::Metadata, &[(not_found, 1)]);
    let rates = metrics.snapshot().error_rates;
    assert_eq!(rates.get(&series(CALL, OperationKind::Metadata)), Some(&0.0));
}

#[tokio::test(start_paused = true)]
async fn times_are_those_of_the_call_and_of_each_attempt() {
    let (bench, metrics) = bench();
    let kind = OperationKind::Exists;
    for _ in 0..3 {
        bench.script.push(kind, Step::Delay(Duration::from_secs(2)));
        bench
            .stack
            .exists(&key("a"), &CallOptions::default())
            .await
            .expect("answered");
    }
    let snapshot = metrics.snapshot();
    for level in MetricLevel::ALL {
        let key = LatencyKey {
            series: series(level, kind),
            span: LatencySpan::Answer,
        };
        let found = snapshot.latency_percentiles[&key];
        assert_eq!(found.count, 3);
        for time in [found.p50, found.p90, found.p99, found.p99_9] {
            assert!((1.98..2.02).contains(&time.as_secs_f64()), "{time:?}");
        }
        let stream = LatencyKey {
            span: LatencySpan::Stream,
            ..key
        };
        assert!(
            !snapshot.latency_percentiles.contains_key(&stream),
            "no stream came back"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_measured_until_its_answer_and_until_its_end() {
    let (bench, metrics) = bench();
    bench.put("a", "x").await;
    bench
        .script
        .push(OperationKind::List, Step::Delay(Duration::from_secs(1)));
    let mut entries = bench.stack.list(&ListOptions::default()).await.expect("a stream");
    let in_flight = metrics.snapshot().in_flight;
    assert_eq!(in_flight.len(), 2, "the stream is still to come: {in_flight:?}");
    while let Some(entry) = entries.next().await {
        entry.expect("listed");
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    let snapshot = metrics.snapshot();
    assert!(snapshot.in_flight.is_empty());
    let time = |span| {
        let key = LatencyKey {
            series: series(CALL, OperationKind::List),
            span,
        };
        snapshot.latency_percentiles[&key].p50.as_secs_f64()
    };
    assert!((0.99..1.01).contains(&time(LatencySpan::Answer)));
    assert!(time(LatencySpan::Stream) > 5.9, "the reader's time is in it");
}

#[tokio::test(start_paused = true)]
async fn bytes_are_what_the_caller_got_and_what_moved() {
    let (bench, metrics) = bench();
    bench.put("a", sample(1000)).await;
    bench
        .script
        .push(OperationKind::Download, Step::BreakStream(400, unavailable()));
    let download = bench
        .download("a", DownloadOptions::default())
        .await
        .expect("open");
    download.bytes(1000).await.expect("resumed");
    let snapshot = metrics.snapshot();
    check_bytes(&snapshot, CALL, OperationKind::Download, Direction::Out, 1000);
    check_bytes(&snapshot, ATTEMPT, OperationKind::Download, Direction::Out, 1000);
    check_ends(&metrics, CALL, OperationKind::Download, &[(OK, 1)]);
    check_ends(
        &metrics,
        ATTEMPT,
        OperationKind::Download,
        &[(OK, 1), (UNAVAILABLE, 1)],
    );
}

/// Uploads content whose first attempt breaks after 300 of 1000 bytes.
async fn check_upload(content: Content, moved: u64) {
    let (bench, metrics) = bench();
    bench
        .script
        .push(OperationKind::Upload, Step::FailMidway(300, unavailable()));
    bench
        .stack
        .upload(&key("b"), content, &UploadOptions::default())
        .await
        .expect("second time");
    let snapshot = metrics.snapshot();
    check_bytes(&snapshot, CALL, OperationKind::Upload, Direction::In, 1000);
    check_bytes(&snapshot, ATTEMPT, OperationKind::Upload, Direction::In, moved);
}

#[tokio::test(start_paused = true)]
async fn bytes_of_failed_attempts_have_moved_too() {
    let bytes = sample(1000);
    let pieces = Content::from_factory(Some(1000), move || {
        let stream = one_shot(&bytes, 100);
        Box::pin(async move { stream.open().await })
    });
    check_upload(pieces, 1300).await;
}

#[tokio::test(start_paused = true)]
async fn plain_bytes_move_when_the_attempt_succeeds() {
    check_upload(Content::from_bytes(sample(1000)), 1000).await;
}

#[tokio::test(start_paused = true)]
async fn a_small_read_is_counted_when_it_returns() {
    let (bench, metrics) = bench();
    let bytes = Download::from_bytes(ObjectMetadata::new(key("a"), 5), 0..5, "12345".into());
    let answer = Outcome::Download(Box::new(DownloadOutcome::Object(bytes)));
    bench.script.push(OperationKind::Download, Step::Answer(answer));
    let download = bench
        .download("a", DownloadOptions::default())
        .await
        .expect("open");
    assert!(download.as_bytes().is_some(), "the layers leave it as it is");
    check_bytes(
        &metrics.snapshot(),
        CALL,
        OperationKind::Download,
        Direction::Out,
        5,
    );
    check_ends(&metrics, CALL, OperationKind::Download, &[(OK, 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_is_cancelled_and_never_stays_in_flight() {
    let (bench, metrics) = bench();
    bench.put("a", sample(1000)).await;
    bench.script.push(OperationKind::Exists, Step::Stall);
    let (a, options) = (key("a"), CallOptions::default());
    let waiting = bench.stack.exists(&a, &options);
    tokio::time::timeout(Duration::from_secs(3), waiting)
        .await
        .expect_err("given up");
    bench.script.push(OperationKind::Download, Step::StallStream(10));
    let mut pieces = bench
        .download("a", DownloadOptions::default())
        .await
        .expect("open")
        .into_stream();
    pieces.next().await.expect("a piece").expect("bytes");
    drop(pieces);
    let listing = bench.stack.list(&ListOptions::default()).await.expect("a stream");
    drop(listing);
    for kind in [
        OperationKind::Exists,
        OperationKind::Download,
        OperationKind::List,
    ] {
        for level in MetricLevel::ALL {
            check_ends(&metrics, level, kind, &[(EndKind::Cancelled, 1)]);
        }
    }
    let snapshot = metrics.snapshot();
    check_bytes(&snapshot, CALL, OperationKind::Download, Direction::Out, 10);
    assert!(snapshot.in_flight.is_empty(), "{:?}", snapshot.in_flight);
    assert!(
        snapshot.error_rates.is_empty(),
        "a cancelled call is on neither side"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_has_every_byte_need_not_ask_for_more() {
    let (bench, metrics) = bench();
    bench.put("a", sample(1000)).await;
    // The script makes a stream of it.
    bench
        .script
        .push(OperationKind::Download, Step::StallStream(1000));
    let mut pieces = bench
        .download("a", DownloadOptions::default())
        .await
        .expect("open")
        .into_stream();
    let mut left = 1000;
    while left > 0 {
        left -= pieces.next().await.expect("a piece").expect("bytes").len();
    }
    drop(pieces);
    check_ends(&metrics, CALL, OperationKind::Download, &[(OK, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_its_deadline_ended_has_timed_out() {
    let metrics = Metrics::default();
    let bench = Bench::new(vec![
        Arc::new(DeadlineLayer::new()),
        Arc::new(MetricsLayer::call(&metrics)),
    ]);
    bench.script.push(OperationKind::Exists, Step::Stall);
    let context = CallContext::default().with_deadline_in(Duration::from_secs(1));
    let failed = bench
        .stack
        .exists(&key("a"), &CallOptions::default().with_context(context))
        .await
        .expect_err("too long");
    assert_eq!(failed.kind(), ErrorKind::Timeout);
    let timeout = EndKind::Error(ErrorKind::Timeout);
    check_ends(&metrics, CALL, OperationKind::Exists, &[(timeout, 1)]);
}

#[tokio::test(start_paused = true)]
async fn every_operation_is_counted() {
    let (bench, metrics) = bench();
    let prepared = Prepared::new(&bench).await;
    for kind in OperationKind::ALL {
        // Some fail, as those before them have changed the store; all are counted.
        let _ = call(kind, &bench.stack, &prepared).await;
        for level in MetricLevel::ALL {
            let snapshot = metrics.snapshot();
            let count = snapshot.count_of(level, |key| key.series.operation == kind);
            assert!(count >= 1, "{kind} {level:?}");
        }
    }
    assert!(metrics.snapshot().in_flight.is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_layer_around_two_providers_keeps_them_apart() {
    let metrics = Metrics::default();
    let layer: Arc<dyn Layer> = Arc::new(MetricsLayer::call(&metrics));
    for name in ["first", "second", "first"] {
        let stack = Stack::new(name, MemoryProvider::new(), vec![Arc::clone(&layer)]);
        stack
            .exists(&key("a"), &CallOptions::default())
            .await
            .expect("answered");
    }
    let counts: Vec<(String, u64)> = metrics
        .snapshot()
        .operations_count
        .into_iter()
        .map(|(key, count)| (key.series.provider, count))
        .collect();
    assert_eq!(counts, [("first".to_owned(), 2), ("second".to_owned(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_tells_the_state_of_each_circuit_that_is_used() {
    let (recorded, metrics) = (Recorded::default(), Metrics::default());
    let _guard = metrics::set_default_local_recorder(&recorded);
    let breaker = BreakerLayer::new(&BreakerConfig::default().with_calls_min(2));
    metrics.watch(&breaker.handle());
    let bench = Bench::new(vec![Arc::new(breaker)]);
    assert!(metrics.snapshot().circuits.is_empty(), "nothing was called");
    let exists = async || bench.stack.exists(&key("a"), &CallOptions::default()).await;
    exists().await.expect("answered");
    let state = || metrics.snapshot().circuits.get("main").copied();
    assert_eq!(state(), Some(CircuitState::Closed));
    assert_eq!(
        recorded.value("boards_storage_circuit_state", &[("provider", "main")]),
        Some(0.0)
    );
    for _ in 0..2 {
        bench
            .script
            .push(OperationKind::Exists, Step::FailBefore(unavailable()));
        exists().await.expect_err("it fails");
    }
    assert_eq!(state(), Some(CircuitState::Open));
    assert_eq!(
        recorded.value("boards_storage_circuit_state", &[("provider", "main")]),
        Some(2.0)
    );
    let json = serde_json::to_value(metrics.snapshot()).expect("JSON");
    assert_eq!(json["circuits"], serde_json::json!({ "main": "open" }));
    drop(bench);
    assert!(metrics.snapshot().circuits.is_empty(), "its provider is gone");
}

#[tokio::test(start_paused = true)]
async fn without_the_layer_nothing_is_counted() {
    let metrics = Metrics::default();
    let bench = Bench::new(Vec::new());
    bench
        .stack
        .exists(&key("a"), &CallOptions::default())
        .await
        .expect("answered");
    assert!(metrics.snapshot().operations_count.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_facade_gets_what_the_list_of_metrics_says_and_no_other_labels() {
    let recorded = Recorded::default();
    let _guard = metrics::set_default_local_recorder(&recorded);
    describe_metrics();
    let (metrics, breaker) = (Metrics::default(), BreakerLayer::default());
    metrics.watch(&breaker.handle());
    let layers: Vec<Arc<dyn Layer>> = vec![
        Arc::new(MetricsLayer::call(&metrics)),
        Arc::new(RetryLayer::default()),
        Arc::new(breaker),
        Arc::new(MetricsLayer::attempt(&metrics)),
    ];
    let bench = Bench::new(layers);
    let secrets = ["secret-key", "secret-tenant", "secret-message", "secret-request"];
    let prepared = Prepared::new(&bench).await;
    bench
        .script
        .push(OperationKind::Exists, Step::FailBefore(unavailable()));
    for kind in OperationKind::ALL {
        let _ = call(kind, &bench.stack, &prepared).await;
    }
    bench.put("secret-tenant/secret-key", sample(100)).await;
    let message = boards_storage_core::Error::new(ErrorKind::Corruption, "secret-message");
    bench
        .script
        .push(OperationKind::Download, Step::BreakStream(10, message));
    let context = CallContext::default().with_request_id("secret-request");
    let broken = bench
        .download(
            "secret-tenant/secret-key",
            DownloadOptions::default().with_context(context),
        )
        .await
        .expect("open");
    broken.bytes(1000).await.expect_err("broken");
    bench
        .script
        .push(OperationKind::Metadata, Step::FailBefore(timed_out()));
    let stored = UtilizationKey {
        provider: "main".to_owned(),
        tenant: boards_storage_core::TenantId::parse("secret-tenant").expect("valid"),
        artifact_type: boards_storage_core::ArtifactType::parse("secret-key").expect("valid"),
    };
    let now = BTreeMap::from([(stored, Utilization { objects: 1, bytes: 2 })]);
    publish_utilization(&BTreeMap::new(), &now);

    let operations: BTreeSet<&str> = OperationKind::ALL.iter().map(|kind| kind.name()).collect();
    let outcomes: BTreeSet<&str> = EndKind::all().map(EndKind::name).collect();
    let types: BTreeSet<&str> = boards_storage_core::ArtifactType::BUILT_IN
        .iter()
        .map(boards_storage_core::ArtifactType::name)
        .chain(["custom"])
        .collect();
    let allowed = |label: &str, value: &str| match label {
        "provider" => value == "main",
        "op" => operations.contains(value),
        "outcome" => outcomes.contains(value),
        "direction" => ["in", "out"].contains(&value),
        "type" => types.contains(value),
        _ => false,
    };
    let seen = recorded.series();
    for (name, labels, kind) in &seen {
        let listed = METRICS
            .iter()
            .find(|metric| metric.name == name)
            .unwrap_or_else(|| panic!("{name} is not in the list"));
        assert_eq!(listed.kind, *kind, "{name}");
        let names: Vec<&str> = labels.iter().map(|(label, _)| label.as_str()).collect();
        assert_eq!(names, listed.labels, "{name}");
        for (label, value) in labels {
            assert!(allowed(label, value), "{name}: {label}={value}");
            assert!(
                !secrets.iter().any(|secret| value.contains(secret)),
                "{name}: {value}"
            );
        }
    }
    let seen: BTreeSet<&str> = seen.iter().map(|(name, ..)| name.as_str()).collect();
    let listed: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(seen, listed, "each is given");
    assert_eq!(
        recorded.described(),
        listed.iter().map(ToString::to_string).collect(),
        "each is described"
    );
}

#[tokio::test(start_paused = true)]
async fn the_facade_gets_the_same_figures() {
    let recorded = Recorded::default();
    let _guard = metrics::set_default_local_recorder(&recorded);
    let (bench, _metrics) = bench();
    bench.put("a", sample(1000)).await;
    bench
        .script
        .push(OperationKind::Download, Step::BreakStream(400, unavailable()));
    let download = bench
        .download("a", DownloadOptions::default())
        .await
        .expect("open");
    let download_labels = [("provider", "main"), ("op", "download")];
    for name in ["boards_storage_inflight", "boards_storage_attempt_inflight"] {
        assert_eq!(recorded.value(name, &download_labels), Some(1.0), "{name}");
    }
    download.bytes(1000).await.expect("resumed");
    for name in ["boards_storage_inflight", "boards_storage_attempt_inflight"] {
        assert_eq!(recorded.value(name, &download_labels), Some(0.0), "{name}");
    }
    let out = [("provider", "main"), ("op", "download"), ("direction", "out")];
    assert_eq!(recorded.value("boards_storage_bytes_total", &out), Some(1000.0));
    assert_eq!(
        recorded.value("boards_storage_attempt_bytes_total", &out),
        Some(1000.0)
    );
    assert_eq!(
        recorded.value("boards_storage_retries_total", &download_labels),
        Some(1.0)
    );
    let ok = [("provider", "main"), ("op", "download"), ("outcome", "ok")];
    assert_eq!(
        recorded.samples("boards_storage_operation_duration_seconds", &ok),
        1
    );
    assert_eq!(
        recorded.samples("boards_storage_attempt_duration_seconds", &ok),
        1
    );
    let failed = [
        ("provider", "main"),
        ("op", "download"),
        ("outcome", "provider_unavailable"),
    ];
    assert_eq!(
        recorded.samples("boards_storage_attempt_duration_seconds", &failed),
        1
    );
    assert_eq!(
        recorded.samples("boards_storage_operation_answer_seconds", &download_labels),
        1
    );
}

#[test]
fn what_is_no_longer_stored_becomes_zero() {
    let recorded = Recorded::default();
    let _guard = metrics::set_default_local_recorder(&recorded);
    let key = |tenant: &str| UtilizationKey {
        provider: "main".to_owned(),
        tenant: boards_storage_core::TenantId::parse(tenant).expect("valid"),
        artifact_type: boards_storage_core::ArtifactType::Image,
    };
    let stored = |bytes| Utilization { objects: 1, bytes };
    let before = BTreeMap::from([(key("a"), stored(10)), (key("b"), stored(5))]);
    publish_utilization(&BTreeMap::new(), &before);
    let labels = [("provider", "main"), ("type", "image")];
    assert_eq!(recorded.value("boards_storage_stored_bytes", &labels), Some(15.0));
    assert_eq!(
        recorded.value("boards_storage_stored_objects", &labels),
        Some(2.0)
    );
    publish_utilization(&before, &BTreeMap::new());
    assert_eq!(recorded.value("boards_storage_stored_bytes", &labels), Some(0.0));
}
