//! What the spans say.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{
    ArtifactId, ArtifactType, CallContext, CallOptions, Content, DownloadOptions, ErrorKind, Layer,
    ListOptions, ManagerSettings, MemoryCatalog, NewArtifact, OpenOptions, OperationKind,
    PresignDownloadOptions, Stack, StorageManager, StorageProvider, SystemClock, UploadOptions,
};
use boards_storage_layers::{RetryLayer, TracingLayer};
use boards_storage_testkit::{MemoryProvider, Step};
use futures_util::StreamExt;
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, set_default};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::support::{Bench, key, sample, unavailable};

type Fields = BTreeMap<String, String>;

/// A span that was seen.
#[derive(Clone, Debug, Default)]
struct Seen {
    id: u64,
    name: String,
    parent: Option<u64>,
    fields: Fields,
    is_closed: bool,
}

/// Keeps all spans.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<BTreeMap<u64, Seen>>>);

impl Collector {
    fn install(&self) -> DefaultGuard {
        set_default(Registry::default().with(self.clone()))
    }

    /// Returns the spans of that name, in order.
    fn spans(&self, name: &str) -> Vec<Seen> {
        self.0
            .lock()
            .values()
            .filter(|span| span.name == name)
            .cloned()
            .collect()
    }
}

struct Writer<'a>(&'a mut Fields);

impl Visit for Writer<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for Collector {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let parent = context.current_span().id().map(Id::into_u64);
        let mut seen = Seen {
            id: id.into_u64(),
            name: attributes.metadata().name().to_owned(),
            parent,
            ..Seen::default()
        };
        attributes.record(&mut Writer(&mut seen.fields));
        self.0.lock().insert(id.into_u64(), seen);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _context: Context<'_, S>) {
        if let Some(seen) = self.0.lock().get_mut(&id.into_u64()) {
            values.record(&mut Writer(&mut seen.fields));
        }
    }

    fn on_close(&self, id: Id, _context: Context<'_, S>) {
        if let Some(seen) = self.0.lock().get_mut(&id.into_u64()) {
            seen.is_closed = true;
        }
    }
}

fn call_layer() -> Vec<Arc<dyn Layer>> {
    vec![Arc::new(TracingLayer::call())]
}

#[track_caller]
fn check_fields(span: &Seen, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(
            span.fields.get(*name).map(String::as_str),
            Some(*value),
            "{name} in {span:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_span_says_what_was_done() {
    let (collector, bench) = (Collector::default(), Bench::new(call_layer()));
    let _guard = collector.install();
    let context = CallContext::default().with_request_id("req-1");
    let options = UploadOptions::default().with_context(context);
    bench
        .script
        .push(OperationKind::Upload, Step::Delay(Duration::from_secs(2)));
    bench
        .stack
        .upload(&key("a/b"), Content::from("12345"), &options)
        .await
        .expect("stored");
    let spans = collector.spans("storage_call");
    assert_eq!(spans.len(), 1);
    assert!(spans[0].is_closed);
    check_fields(
        &spans[0],
        &[
            ("otel.kind", "client"),
            ("otel.name", "upload main"),
            ("storage.provider", "main"),
            ("storage.operation", "upload"),
            ("storage.key", "a/b"),
            ("storage.request_id", "req-1"),
            ("storage.bytes", "5"),
            ("storage.outcome", "ok"),
            ("storage.duration_seconds", "2.0"),
        ],
    );
    assert!(!spans[0].fields.contains_key("error.type"));
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_a_span_inside_the_calls_span() {
    let layers: Vec<Arc<dyn Layer>> = vec![
        Arc::new(TracingLayer::call()),
        Arc::new(RetryLayer::default()),
        Arc::new(TracingLayer::attempt()),
    ];
    let (collector, bench) = (Collector::default(), Bench::new(layers));
    let _guard = collector.install();
    bench
        .script
        .push(OperationKind::Exists, Step::FailBefore(unavailable()));
    bench
        .stack
        .exists(&key("a"), &CallOptions::default())
        .await
        .expect("second time");
    let attempts = collector.spans("storage_attempt");
    assert_eq!(attempts.len(), 2);
    check_fields(
        &attempts[0],
        &[
            ("storage.attempt", "1"),
            ("storage.outcome", "error"),
            ("error.type", "provider_unavailable"),
            ("otel.status_code", "ERROR"),
        ],
    );
    check_fields(
        &attempts[1],
        &[("storage.attempt", "2"), ("storage.outcome", "ok")],
    );
    check_fields(&collector.spans("storage_call")[0], &[("storage.outcome", "ok")]);
    assert!(attempts.iter().all(|attempt| attempt.parent.is_some()));
}

#[tokio::test(start_paused = true)]
async fn a_resumed_stream_is_one_call_of_two_attempts() {
    let layers: Vec<Arc<dyn Layer>> = vec![
        Arc::new(TracingLayer::call()),
        Arc::new(RetryLayer::default()),
        Arc::new(TracingLayer::attempt()),
    ];
    let (collector, bench) = (Collector::default(), Bench::new(layers));
    bench.put("a", sample(1000)).await;
    let _guard = collector.install();
    bench
        .script
        .push(OperationKind::Download, Step::BreakStream(400, unavailable()));
    let download = bench
        .download("a", DownloadOptions::default())
        .await
        .expect("open");
    assert!(
        !collector.spans("storage_call")[0].is_closed,
        "the stream is still to come"
    );
    download.bytes(1000).await.expect("resumed");
    let (call, attempts) = (
        collector.spans("storage_call"),
        collector.spans("storage_attempt"),
    );
    assert!(call[0].is_closed);
    check_fields(&call[0], &[("storage.bytes", "1000"), ("storage.outcome", "ok")]);
    check_fields(
        &attempts[0],
        &[("storage.bytes", "400"), ("storage.outcome", "error")],
    );
    check_fields(
        &attempts[1],
        &[
            ("storage.bytes", "600"),
            ("storage.outcome", "ok"),
            ("storage.attempt", "2"),
        ],
    );
    assert!(
        attempts[1].parent.is_some(),
        "it belongs to the call, though the call has answered"
    );
}

#[tokio::test(start_paused = true)]
async fn failures_and_cancellations_are_told_apart() {
    let (collector, bench) = (Collector::default(), Bench::new(call_layer()));
    bench.put("a", sample(1000)).await;
    let _guard = collector.install();
    bench.script.push(OperationKind::Exists, Step::Stall);
    let (a, options) = (key("a"), CallOptions::default());
    let call = bench.stack.exists(&a, &options);
    tokio::time::timeout(Duration::from_secs(3), call)
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
    bench
        .script
        .push(OperationKind::List, Step::BreakStream(0, unavailable()));
    assert_eq!(
        bench
            .names(ListOptions::default())
            .await
            .expect_err("broken")
            .kind(),
        ErrorKind::ProviderUnavailable
    );
    let spans = collector.spans("storage_call");
    check_fields(
        &spans[0],
        &[
            ("storage.outcome", "cancelled"),
            ("storage.duration_seconds", "3.0"),
        ],
    );
    check_fields(
        &spans[1],
        &[("storage.outcome", "cancelled"), ("storage.bytes", "10")],
    );
    check_fields(
        &spans[2],
        &[
            ("storage.outcome", "error"),
            ("error.type", "provider_unavailable"),
        ],
    );
    assert!(
        !spans[2].fields.contains_key("storage.key"),
        "a listing has no key"
    );
}

#[tokio::test(start_paused = true)]
async fn a_signed_url_is_never_recorded() {
    let (collector, bench) = (Collector::default(), Bench::new(call_layer()));
    let _guard = collector.install();
    let signed = bench
        .stack
        .presigned_download_url(&key("a"), &PresignDownloadOptions::default())
        .await;
    assert!(signed.expect("signed").url.contains("://"));
    let spans = collector.spans("storage_call");
    assert_eq!(spans.len(), 1);
    assert!(
        spans[0].fields.values().all(|value| !value.contains("://")),
        "{spans:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn without_the_layer_there_is_no_span() {
    for (layers, spans) in [(call_layer(), 1), (Vec::new(), 0)] {
        let (collector, bench) = (Collector::default(), Bench::new(layers));
        let _guard = collector.install();
        bench
            .stack
            .exists(&key("a"), &CallOptions::default())
            .await
            .expect("answered");
        assert_eq!(collector.spans("storage_call").len(), spans);
    }
}

/// A manager over a memory, with a span for each call.
fn manager() -> StorageManager {
    let manager = StorageManager::with_parts(
        ManagerSettings::new("main"),
        Arc::new(MemoryCatalog::default()),
        Arc::new(SystemClock),
        Arc::new(|name, provider| Arc::new(Stack::new(name, provider, call_layer()))),
    );
    manager
        .register_provider("main", MemoryProvider::new())
        .expect("a free name");
    manager
}

#[tokio::test]
async fn an_operation_of_the_manager_has_a_span_around_its_calls() {
    let (collector, manager) = (Collector::default(), manager());
    let _guard = collector.install();
    let mut new = NewArtifact::new(ArtifactType::Image);
    new.context = CallContext::default().with_request_id("req-1");
    let stored = manager.store_artifact(new, "12345").await.expect("stored");
    let operations = collector.spans("storage_operation");
    assert_eq!(operations.len(), 1);
    assert!(operations[0].is_closed);
    check_fields(
        &operations[0],
        &[
            ("otel.kind", "internal"),
            ("otel.name", "store artifact"),
            ("storage.operation", "store"),
            ("storage.artifact", stored.artifact_id.as_str()),
            ("storage.provider", "main"),
            ("storage.key", stored.storage_key.as_str()),
            ("storage.request_id", "req-1"),
            ("storage.bytes", "5"),
            ("storage.outcome", "ok"),
        ],
    );
    let calls = collector.spans("storage_call");
    assert!(!calls.is_empty());
    assert!(
        calls.iter().all(|call| call.parent == Some(operations[0].id)),
        "{calls:?}"
    );
}

#[tokio::test]
async fn the_span_of_an_operation_lasts_as_long_as_its_stream_and_tells_its_error() {
    let (collector, manager) = (Collector::default(), manager());
    let new = NewArtifact::new(ArtifactType::Image);
    let stored = manager
        .store_artifact(new, vec![7; 3 << 20])
        .await
        .expect("stored");
    let _guard = collector.install();
    let opened = manager.open_artifact(&stored, &OpenOptions::default()).await;
    let mut stream = opened.expect("opened").into_stream();
    let piece = stream.next().await.expect("a piece").expect("bytes");
    assert!(!collector.spans("storage_operation")[0].is_closed);
    drop(stream);
    let closed = &collector.spans("storage_operation")[0];
    assert!(closed.is_closed);
    check_fields(
        closed,
        &[
            ("storage.operation", "open"),
            ("storage.outcome", "cancelled"),
            ("storage.bytes", &piece.len().to_string()),
        ],
    );
    let missing = ArtifactId::fresh();
    let error = manager.open_artifact(missing, &OpenOptions::default()).await;
    assert_eq!(error.expect_err("there is none").kind(), ErrorKind::NotFound);
    let failed = &collector.spans("storage_operation")[1];
    check_fields(
        failed,
        &[
            ("storage.outcome", "error"),
            ("error.type", "not_found"),
            ("otel.status_code", "ERROR"),
        ],
    );
}
